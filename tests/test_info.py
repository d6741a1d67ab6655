"""info: fields, filters, maps of what is left; and folders of qmap 0.4."""

import csv
import io
import json
import os
import shutil
import zlib

import pytest
from conftest import QMAP


@pytest.fixture
def done(qmap):
    """An execution with four jobs, of which the second and the last failed."""
    qmap.write('a.map', '[pre]\nX=1\n[post]\necho bye\n[params]\ncores = 1\n[jobs]\necho zero\n'
                        'echo "a\tb" >&2; exit 2 ## memory=1G\necho two\nexit 9\n')
    qmap('submit', 'a.map', '--logs', 'out', '-t', '1h')
    return qmap


def test_fields_as_a_table(done):
    result = done('info', '-l', 'out', '-s', 'all', 'status', 'exit_code', 'params.memory', 'params.queue')
    assert result.lines == ['id\tstatus\texit_code\tparams.memory\tparams.queue', '0\tCOMPLETED\t0\t\t',
                            '1\tFAILED\t2\t1G\t', '2\tCOMPLETED\t0\t\t', '3\tFAILED\t9\t\t']


def test_collapse_puts_bars_between_fields(done):
    assert done('info', '-l', 'out', '--collapse', 'status').lines == ['id|status', '1|FAILED', '3|FAILED']


def test_csv_and_json(done):
    rows = list(csv.reader(io.StringIO(done('info', '-l', 'out', '--format', 'csv', 'error', 'command').out)))
    assert rows[1] == ['1', 'a\\tb', 'echo "a\\tb" >&2; exit 2']
    first = json.loads(done('info', '-l', 'out', '--format', 'json', 'exit_code', 'usage').lines[0])
    assert first['id'] == '1' and first['exit_code'] == 2 and first['usage']['time']['elapsed'] == '00:00:00'
    whole = json.loads(done('info', '-l', 'out', '--format', 'json').lines[0])
    assert whole == done.info('out', '1')


def test_a_tab_in_a_field_does_not_break_the_table(done):
    assert done('info', '-l', 'out', 'error').lines[1] == '1\ta\\tb'


@pytest.mark.parametrize('words, ids', [
    (['failed'], '13'), (['f'], '13'), (['FAILED'], '13'), (['completed'], '02'), (['c,f'], '0123'),
    (['c', '-s', 'f'], '0123'), (['all'], '0123'), (['a'], '0123'), (['u,p,r,o'], ''),
    (['exit'], '13'), (['EXIT,c'], '0123'), (['cancelled'], ''), (['cancelled,memory', '-s', 'c'], '02')])
def test_statuses(done, words, ids):
    assert [line[0] for line in done('info', '-l', 'out', '-s', *(words + ['status'])).lines[1:]] == list(ids)


def test_a_wrong_status_names_the_right_ones(done):
    result = done('info', '-l', 'out', '-s', 'xyz', 'status')
    assert result.code == 2 and 'xyz: unknown status; known: unsubmitted, pending' in result.err
    assert 'skipped, gone, and the reasons' in result.err


@pytest.mark.parametrize('words, error', [
    (['exitcode'], 'exitcode (did you mean exit_code?)'), (['status', 'nosuch'], 'nosuch; list of fields: '),
    (['params.memery'], 'params.memery (did you mean params.memory?)'), (['seconds.start'], 'seconds.start'),
    (['params.qqq'], 'params.qqq; parameters: cores, time, working_directory, memory\n'),
    (['memry', '--watch'], 'memry (did you mean params.memory?)')])
def test_a_field_that_no_job_has_is_an_error(done, words, error):
    result = done('info', '-l', 'out', *words)
    assert (result.code, result.out) == (2, '') and result.err.startswith('qmap: error: unknown field ' + error)
    assert result.err.count('\n') == 1


def test_jobs_are_chosen_by_their_ids(done):
    assert done('info', '-l', 'out', '--ids', '1', 'exit_code').lines[1:] == ['1\t2']
    both = done('info', '-l', 'out', '-s', 'all', 'status').lines
    assert done('info', '-l', 'out', '--ids', '0-1,0', 'status').lines == both[:3]
    assert done('info', '-l', 'out', '--ids', '0,1', '-s', 'unsubmitted', 'status').lines == both[:1]
    assert 'no such job' in done('info', '-l', 'out', '--ids', '99', 'status').err


def test_fields_that_some_jobs_have(done):
    assert done('info', '-l', 'out', 'params.memory', 'params.queue', 'seconds.started').err == ''
    assert done('info', '-l', 'out', 'id', 'status').lines[0] == 'id\tstatus'


def test_a_map_without_commands_is_warned_about(done):
    assert 'no job is RUNNING; the map has no commands' in done('info', '-l', 'out', '-s', 'r').err


def test_what_may_be_out_of_date_is_said(qmap):
    import module_submit
    from conftest import until
    module_submit.prepare(qmap, 'sleep 1000\n', 'out')
    process = qmap.start('reattach', '-l', 'out')
    until(lambda: 'RUNNING' in qmap.statuses('out'))
    assert qmap('info', '-l', 'out', '-s', 'r', 'status').err == ''
    process.kill()
    process.communicate()
    assert 'no driver is running' in qmap('info', '-l', 'out', '-s', 'r', 'status').err


def test_options_may_stand_between_fields(done):
    assert done('info', 'status', '-l', 'out', '-s', 'c', 'exit_code').lines[0] == 'id\tstatus\texit_code'


def test_the_map_of_what_failed_is_a_map_with_all_its_sections_and_parameters(done):
    result = done('info', '-l', 'out', '-o', 'rerun.map')
    assert result.code == 0 and result.out == ''
    first, _, text = done.read('rerun.map').partition('\n')
    assert text == (
        '[pre]\nX=1\n\n[post]\necho bye\n\n[params]\ncores = 1\ntime = 01:00:00\nworking_directory = {}\n\n'
        '[jobs]\necho "a\tb" >&2; exit 2 ## memory=1G line=1\nexit 9 ## line=3\n'.format(done.folder))
    assert first == '# made by qmap info, checksum {:08x}'.format(zlib.crc32(text.encode()))
    assert done('submit', 'rerun.map', '--logs', 'again').code == 1
    assert done.statuses('again') == ['FAILED', 'FAILED']


def test_it_overwrites_its_own_maps_and_nothing_else(done):
    done.write('mine.map', '[jobs]\necho mine\n')
    for words in ([], ['status'], ['--summary'], ['--advise'], ['--format', 'json']):
        result = done('info', '-l', 'out', '-o', 'mine.map', *words)
        assert result.code == 2 and result.err == (
            'qmap: error: mine.map already exists; give another name, or --force to overwrite it\n')
    assert done.read('mine.map') == '[jobs]\necho mine\n'
    for _ in range(2):
        assert done('info', '-l', 'out', '-o', 'rerun.map').code == 0
    assert done('info', '-l', 'out', '-o', 'rerun.map', 'status').code == 2
    made = done.read('rerun.map')
    for edited in (made.replace('exit 9', 'exit 0'), made + 'echo more\n', made.partition('\n')[2]):
        done.write('rerun.map', edited)
        assert done('info', '-l', 'out', '-o', 'rerun.map').code == 2 and done.read('rerun.map') == edited
    done.write('rerun.map', made)
    assert done('info', '-l', 'out', '-o', 'mine.map', '--force').code == 0
    assert done.read('mine.map') == done.read('rerun.map')
    assert done('submit', 'mine.map', '--dry-run').code == 0
    assert done('info', '-l', 'out', '--force').code == 2


def test_a_device_or_a_link_that_it_writes_to_stays_one(done):
    import subprocess
    os.mkfifo(done.path('pipe'))
    os.symlink('target', done.path('link'))
    reader = subprocess.Popen(['cat', done.path('pipe')], stdout=subprocess.PIPE)
    assert done('info', '-l', 'out', '-o', 'pipe').code == 0
    assert done('info', '-l', 'out', '-o', '/dev/null').code == 0
    assert done('info', '-l', 'out', '-o', 'link').code == 0
    assert reader.communicate(timeout=60)[0].decode() == done.read('target') != ''
    assert not os.path.isfile('/dev/null') and os.path.islink(done.path('link'))
    assert done('template', 'echo a', '-f', '/dev/stdout').out == '[jobs]\necho a\n'


def test_its_json_is_read_by_every_parser(done):
    """A byte that is not UTF-8 is U+FFFD there; the other formats have it as it is."""
    done.write('caf\udce9.map', b'echo caf\xe9 \xf0\x9f\x98\x80 "\\udcff"; echo \xfe >&2; false\n')
    progress = done('submit', 'caf\udce9.map', '-l', 'l\udce9', '--progress', 'json', '--on-finish',
                    'cat > summary')
    assert progress.code == 1
    texts = progress.lines + [done.read('l\udce9', name) for name in ('0.info', 'execution.info')]
    texts += [done('info', '-l', 'l\udce9', '--format', 'json', *words).out for words in (
        [], ['command', 'error'], ['--summary'], ['--advise'])] + [done.read('summary')]
    for text in texts:
        assert not [letter for letter in str(json.loads(text)) if '\ud800' <= letter <= '\udfff'], text
    command = 'echo caf\ufffd \U0001f600 "\\udcff"; echo \ufffd >&2; false'
    assert json.loads(texts[-5])['command'] == json.loads(done.read('l\udce9', '0.info'))['command'] == command
    assert done('info', '-l', 'l\udce9', 'error').lines[1] == '0\t\udcfe'
    # And QMap itself finds its way, with what it writes now and with what it wrote before.
    assert done('control', '-l', 'l\udce9', 'retry').code == 0
    assert done('reattach', '-l', 'l\udce9').code == 1
    info = json.loads(json.loads(done.read('l\udce9', 'execution.info'))['exact'])
    assert info['logs'].endswith('/l\udce9') and info['name'] == 'caf\udce9'
    done.write(os.path.join('l\udce9', 'execution.info'), json.dumps(info))
    assert done('control', '-l', 'l\udce9', 'retry').code == 0
    assert done('reattach', '-l', 'l\udce9').code == 1


def test_collapsed_it_is_the_commands_only(done):
    assert done('info', '-l', 'out', '--collapse', '-s', 'c').lines == ['echo zero ## line=0', 'echo two ## line=2']


def test_in_the_folder_itself(done):
    done.folder = done.path('out')
    assert done('info', '-s', 'c', '--collapse').lines == ['echo zero ## line=0', 'echo two ## line=2']


def test_output_that_nobody_reads_is_no_error(done):
    import subprocess
    done.write('b.map', ''.join('echo {}\n'.format(number) for number in range(3000)))
    command = '{} {} submit b.map --dry-run >/dev/null; {} {} info -l out -s all --format json | true'.format(
        *done.program * 2)
    process = subprocess.run(command, shell=True, cwd=done.folder, env=done.environ, stderr=subprocess.PIPE)
    assert process.stderr == b''


def test_nothing_is_left_where_the_output_cannot_be_written(done):
    result = done('info', '-l', 'out', '-o', 'nowhere/x.map')
    assert result.code == 2 and 'nowhere/x.map' in result.err


def test_jobs_that_were_not_submitted_have_fields_too(qmap):
    import module_submit
    module_submit.prepare(qmap, 'true ## cores=2\ntrue\n', 'out')
    assert qmap('info', '-l', 'out', '-s', 'u', 'command', 'params.cores', 'retries', 'job_cmd').lines[1:] == [
        '0\ttrue\t2\t0\t', '1\ttrue\t\t0\t']


@pytest.fixture
def old(qmap):
    """A logs folder as qmap 0.4 left it."""
    os.mkdir(qmap.path('old'))
    qmap.write('old/qmap_input', '[pre]\nmodule load x\n[params]\ncores=2\n[jobs]\necho a\necho b\necho c\n')
    qmap.write('old/execution.info', '{"groups": null, "max_running": 2}')
    for id, status in enumerate(['COMPLETED', 'FAILED', 'UNSUBMITTED']):
        qmap.write('old/{}.info'.format(id), json.dumps({
            'command': 'echo ' + 'abc'[id], 'status': status, 'retries': 0, 'executor_id': str(100 + id),
            'usage': {'time': {'elapsed': '00:00:0{}'.format(id)}}}))
    return qmap


def test_a_folder_of_qmap_04_can_be_asked(old):
    assert old('info', '-l', 'old', '-s', 'all', 'status', 'executor_id', 'usage.time.elapsed').lines == [
        'id\tstatus\texecutor_id\tusage.time.elapsed', '0\tCOMPLETED\t100\t00:00:00', '1\tFAILED\t101\t00:00:01',
        '2\tUNSUBMITTED\t102\t00:00:02']
    assert old('info', '-l', 'old', '-s', 'f,u').lines[1:] == [
        '[pre]', 'module load x', '', '[params]', 'cores = 2', '', '[jobs]', 'echo b ## line=1', 'echo c ## line=2']


def test_it_cannot_be_driven(old):
    result = old('reattach', '-l', 'old')
    assert result.code == 2 and 'made by qmap 0.4' in result.err


def test_it_needs_no_option_either(old):
    assert old('info', 'old', 'status').out == old('info', '-l', 'old', 'status').out != ''


def test_a_lone_file_says_what_it_needs_to_read_one(old):
    shutil.copy(QMAP, old.path('lone.py'))
    old.program[1] = old.path('lone.py')
    for words in (['old', 'status'], ['-l', 'old'], ['-l', 'old', '--summary']):
        result = old('info', *words)
        assert result.code == 2 and result.err.startswith(
            'qmap: error: old: made by qmap 0.4: the folder qmap_backends is not beside lone.py; copy it there, or')
