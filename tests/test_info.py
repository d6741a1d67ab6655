"""info: fields, filters, maps of what is left; and folders of qmap 0.4."""

import csv
import io
import json
import os

import pytest


@pytest.fixture
def done(qmap):
    """An execution with four jobs, of which the second and the last failed."""
    qmap.write('a.map', '[pre]\nX=1\n[post]\necho bye\n[params]\ncores = 1\n[jobs]\necho zero\n'
                        'echo "a\tb" >&2; exit 2 ## memory=1G\necho two\nexit 9\n')
    qmap('submit', 'a.map', '--logs', 'out', '-t', '1h')
    return qmap


def test_fields_as_a_table(done):
    result = done('info', '-l', 'out', '-s', 'all', 'status', 'exit_code', 'params.memory', 'nosuch.field')
    assert result.lines == ['id\tstatus\texit_code\tparams.memory\tnosuch.field', '0\tCOMPLETED\t0\t\t',
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
    (['c', '-s', 'f'], '0123'), (['all'], '0123'), (['a'], '0123'), (['u,p,r,o'], '')])
def test_statuses(done, words, ids):
    assert [line[0] for line in done('info', '-l', 'out', '-s', *(words + ['status'])).lines[1:]] == list(ids)


def test_a_wrong_status_names_the_right_ones(done):
    result = done('info', '-l', 'out', '-s', 'done', 'status')
    assert result.code == 2 and 'done: no status; known are unsubmitted, pending' in result.err


def test_a_field_that_no_job_has_is_warned_about(done):
    result = done('info', '-l', 'out', 'exitcode', 'params.mine')
    assert result.code == 0 and result.err == 'qmap: warning: no job has a field exitcode: did you mean exit_code?\n'
    assert done('info', '-l', 'out', 'id', 'status').lines[0] == 'id\tstatus'


def test_a_map_without_commands_is_warned_about(done):
    assert 'no job is RUNNING: the map has no commands' in done('info', '-l', 'out', '-s', 'r').err


def test_what_may_be_out_of_date_is_said(qmap):
    import module_submit
    from conftest import until
    module_submit.prepare(qmap, 'sleep 1000\n', 'out')
    process = qmap.start('reattach', '-l', 'out')
    until(lambda: 'RUNNING' in qmap.statuses('out'))
    assert qmap('info', '-l', 'out', '-s', 'r', 'status').err == ''
    process.kill()
    process.communicate()
    assert 'nobody drives this execution' in qmap('info', '-l', 'out', '-s', 'r', 'status').err


def test_options_may_stand_between_fields(done):
    assert done('info', 'status', '-l', 'out', '-s', 'c', 'exit_code').lines[0] == 'id\tstatus\texit_code'


def test_the_map_of_what_failed_is_a_map_with_all_its_sections_and_parameters(done):
    result = done('info', '-l', 'out', '-o', 'rerun.map')
    assert result.code == 0 and result.out == ''
    assert done.read('rerun.map') == (
        '[pre]\nX=1\n\n[post]\necho bye\n\n[params]\ncores = 1\ntime = 01:00:00\nworking_directory = {}\n\n'
        '[jobs]\necho "a\tb" >&2; exit 2 ## memory=1G line=1\nexit 9 ## line=3\n'.format(done.folder))
    assert done('submit', 'rerun.map', '--logs', 'again').code == 1
    assert done.statuses('again') == ['FAILED', 'FAILED']


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
    assert old('info', '-l', 'old', '-s', 'f,u').lines == [
        '[pre]', 'module load x', '', '[params]', 'cores = 2', '', '[jobs]', 'echo b ## line=1', 'echo c ## line=2']


def test_it_cannot_be_driven(old):
    result = old('reattach', '-l', 'old')
    assert result.code == 2 and 'qmap 0.4 made none' in result.err
