"""What one asks while it runs or when it is over: the summary, the output of a job, a table that is shown again."""

import json
import os
import shutil
import signal
import subprocess
import sys

import module_submit
import pytest
from conftest import QMAP, ROOT, until

import qmap as module


def failed(id, error, host='a', **more):
    return dict({'job': id, 'attempt': 1, 'status': 'FAILED', 'error_reason': 'exit', 'exit_code': 1, 'error': error,
                 'host': host}, **more)


def grouped(errors):
    failures = module.Failures()
    for number, error in enumerate(errors):
        failures.add(failed(str(number), error))
    return [(group.count, group.error) for group in failures.groups()]


@pytest.mark.parametrize('one, other', [
    ('cannot open s32.bam', 'cannot open s57.bam'), ('at 0x7f1a', 'at 0x99'), ('line 3, column 4', 'line 17, column 1'),
    ('/tmp/tmp.aXy3Zk is full', '/tmp/tmp.Uqw8Tn is full'), ('no commit 12ab34cd56', 'no commit ffe1200a1'),
    ('/a/b/out/003.sh: line 11: x: command not found', '/a/b/out/004.sh: line 12: x: command not found')])
def test_messages_that_differ_in_numbers_fall_together(one, other):
    assert len(grouped([one, other])) == 1


@pytest.mark.parametrize('one, other', [
    ('samtools: command not found', 'bwa: command not found'), ('/bin/bwa: not found', '/bin/samtools: not found'),
    ('decade', 'facade'), ('No such file or directory', 'Permission denied')])
def test_messages_that_say_different_things_stay_apart(one, other):
    assert len(grouped([one, other])) == 2


def test_many_that_differ_in_names_alone_fall_together():
    names = ['anna', 'berta', 'clara', 'dora', 'emma']
    assert grouped('cannot open {}.bam'.format(name) for name in names) == [(5, 'cannot open anna.bam')]
    assert grouped("KeyError: '{}'".format(name) for name in names) == [(5, "KeyError: 'anna'")]


def test_signals_stay_apart_and_what_is_taken_back_is_gone():
    failures = module.Failures()
    records = [failed(str(number), 'killed by signal {}'.format(number), error_reason='signal', signal=number)
               for number in (9, 15)]
    for record in records:
        failures.add(record)
    assert len(failures.groups()) == 2
    failures.remove(records[0])
    assert [group.text() for group in failures.groups()] == ['1 job: signal 15 (TERM): killed by signal 15  (id 15)']


@pytest.mark.parametrize('reason', ['memory', 'time'])
def test_what_exceeds_a_limit_is_one_group_whoever_says_so(reason):
    failures = module.Failures()
    records = [failed('0', 'OUT_OF_MEMORY', error_reason=reason),
               failed('1', 'slurmstepd: error: Detected 1 oom-kill event(s)', error_reason=reason)]
    for record in records:
        failures.add(record)
    assert [(group.count, group.ids) for group in failures.groups()] == [(2, ['0', '1'])]
    failures.remove(records[1])
    assert [group.count for group in failures.groups()] == [1]


def test_where_earlier_attempts_failed_is_not_known():
    group = module.Group('exit 1')
    for number in range(30):
        group.add(failed(str(number), 'x', 'c12', attempt=2))
    assert group.only_on({'c12': 40, 'c13': 500}) == []
    group.remove(failed('0', 'x', 'c12', attempt=2))
    assert group.hosts == {'': 29}


def test_no_number_of_different_messages_fills_the_memory():
    failures = module.Failures()
    records = [failed(str(number), 'word{}'.format(''.join('abcdefghij'[int(digit)] for digit in str(number))))
               for number in range(5000)]
    for record in records:
        failures.add(record)
    assert len(failures._groups) <= 2 * failures.LIMIT + 1
    assert sum(group.count for group in failures.groups()) == 5000
    for record in records:
        failures.remove(record)
    assert not failures.groups()


@pytest.mark.parametrize('where, ran, said', [
    ({'c12': 30, 'c13': 30}, {'c12': 40, 'c13': 40, 'c14': 500}, ['c12', 'c13']),
    ({'c12': 30}, {'c12': 500}, []),                         # there is no other host
    ({'c12': 2}, {'c12': 40, 'c13': 40}, []),                # by chance
    ({'c12': 30, 'c13': 30}, {'c12': 400, 'c13': 400, 'c14': 2}, [])])
def test_hosts_are_named_where_that_tells_something(where, ran, said):
    group = module.Group('exit 1')
    for host, count in where.items():
        for number in range(count):
            group.add(failed(str(number), 'x', host))
    assert group.only_on(ran) == said
    assert ('on c12, c13 only' in group.text(group.only_on(ran))) == (said == ['c12', 'c13'])


@pytest.fixture
def done(qmap):
    """An execution with six jobs, of which four failed."""
    qmap.write('a.map', ''.join('echo out {0}; echo "cannot open s{0}.bam" >&2; exit 1\n'.format(number)
                                for number in (31, 57, 58)) + 'nosuch\ntrue\nprintf "a\\xff\\0b"\n')
    qmap.result = qmap('submit', 'a.map', '--logs', 'out')
    return qmap


def test_the_summary_at_the_end_and_at_any_time(done):
    program = 'python3 ' + os.path.join(ROOT, 'qmap.py')
    rest = ['  3 jobs: exit 1, such as: cannot open s31.bam  (ids 0, 1, 2)',
            '  1 job: exit 127: nosuch: command not found  (id 3)', 'logs folder: out',
            'to see one: {} info -l out --log 0 --err'.format(program),
            'to retry what failed: {0} control -l out retry && {0} reattach -l out'.format(program),
            'to rerun what failed: {0} info -l out -o rerun.map && {0} submit rerun.map'.format(program)]
    assert done.result.lines[-6:] == rest
    lines = done('info', '-l', 'out', '--summary').lines
    assert lines[0].startswith('6 jobs: 2 completed, 4 failed, in 00:00:0') and lines[1:] == rest


def test_a_lone_file_names_a_command_that_works_without_the_folder(qmap):
    shutil.copy(QMAP, qmap.path('lone.py'))
    qmap.program[1] = qmap.path('lone.py')
    qmap.write('a.map', 'echo bad >&2; false\n')
    assert 'to see one: cat out/0.err' in qmap('submit', 'a.map', '--logs', 'out').lines
    result = qmap('info', '-l', 'out', '--log', '0')
    assert result.code == 2 and 'the folder qmap_backends is not beside' in result.err


def test_the_summary_for_programs(done):
    found = json.loads(done('info', '-l', 'out', '--summary', '--format', 'json').out)
    assert found['status'] == 1 and found['jobs'] == 6 and found['counts']['FAILED'] == 4
    assert found['failures'][0]['jobs'] == 3 and found['failures'][0]['ids'] == ['0', '1', '2']
    assert set(found['core_hours']) == {'asked', 'used'} and found['logs'] == done.path('out')
    assert done('info', '-l', 'out', '--summary', 'status').code == 2


def test_core_hours_count_every_attempt_with_its_own_cores(qmap):
    qmap.write('a.map', 'sleep 0.3; [ $QMAP_ATTEMPT = 2 ] ## cores=2\n')
    qmap('submit', 'a.map', '--logs', 'out', '-c', '1')
    asked = [json.loads(qmap('info', '-l', 'out', '--summary', '--format', 'json').out)['core_hours']['asked']]
    qmap('control', '-l', 'out', 'retry')
    qmap('reattach', '-l', 'out')
    asked.append(json.loads(qmap('info', '-l', 'out', '--summary', '--format', 'json').out)['core_hours']['asked'])
    assert 2 * 0.3 <= asked[0] * 3600 and 2 * 2 * 0.3 <= asked[1] * 3600


def test_core_hours_are_said_where_there_are_some(qmap):
    module_submit.write_journal(module_folder(qmap, 2), [
        {'event': 'end', 'job': str(number), 'attempt': 1, 'status': 'COMPLETED', 'started': 1e9,
         'finished': 1e9 + 3600, 'cpu': 1800.0} for number in range(2)])
    assert '; core-hours: 1.0 used, 2.0 requested' in qmap('info', '-l', 'out', '--summary').lines[0]


def module_folder(qmap, count):
    """Make an execution that nobody drives, and return its folder."""
    module_submit.prepare(qmap, 'true\n' * count, 'out')
    return qmap.path('out')


def test_a_summary_of_qmap_04(qmap):
    os.mkdir(qmap.path('old'))
    qmap.write('old/qmap_input', 'echo a\necho b\necho c\n')
    qmap.write('old/execution.info', '{}')
    for id, status in enumerate(['COMPLETED', 'FAILED', 'UNSUBMITTED']):
        qmap.write('old/{}.info'.format(id), json.dumps({'status': status}))
    qmap.write('old/1.err', 'warning\nit broke\n')
    lines = qmap('info', '-l', 'old', '--summary').lines
    assert lines[:2] == ['3 jobs: 1 unsubmitted, 1 completed, 1 failed', '  1 job: failed: it broke  (id 1)']
    assert qmap('info', '-l', 'old', '--log', '1', '--err').out == 'warning\nit broke\n'


def test_the_output_of_a_job_as_it_is(done):
    process = done.start('info', '-l', 'out', '--log', '5')
    assert process.communicate()[0] == b'a\xff\0b'
    assert done('info', '-l', 'out', '--log', '0000').out == 'out 31\n'
    assert done('info', '-l', 'out', '--log', '0', '--err').out == 'cannot open s31.bam\n'
    wrong = done('info', '-l', 'out', '--log', '17')
    assert wrong.code == 2 and 'no such job' in wrong.err
    assert done('info', '-l', 'out', '--err').code == 2


def test_the_output_of_earlier_attempts(qmap):
    qmap.write('a.map', 'echo attempt $QMAP_ATTEMPT; [ $QMAP_ATTEMPT = 2 ]\n')
    qmap('submit', 'a.map', '--logs', 'out')
    qmap('control', '-l', 'out', 'retry')
    assert qmap('info', '-l', 'out', '--log', '0', '--attempt', '1').out == 'attempt 1\n'
    qmap('reattach', '-l', 'out')
    assert qmap('info', '-l', 'out', '--log', '0', '--attempt', '1').out == 'attempt 1\n'
    assert qmap('info', '-l', 'out', '--log', '0', '--attempt', '2').out == 'attempt 2\n'
    assert qmap('info', '-l', 'out', '--log', '0').out == 'attempt 2\n'
    assert 'no attempt 3' in qmap('info', '-l', 'out', '--log', '0', '--attempt', '3').err


def test_output_that_is_not_there_is_told_in_a_line(qmap):
    module_folder(qmap, 2)
    result = qmap('info', '-l', 'out', '--log', '1')
    assert result.code == 2 and result.err == 'qmap: error: job 1 has no output: not submitted yet\n'
    qmap.write('a.map', 'true\n')
    qmap('submit', 'a.map', '--logs', 'kept', '--keep', 'failed')
    result = qmap('info', '-l', 'kept', '--log', '0')
    assert result.code == 0 and not result.out
    assert result.err == 'qmap: warning: job 0 wrote nothing to stdout (--keep failed keeps no empty files)\n'
    qmap('submit', 'a.map', '--logs', 'whole')
    result = qmap('info', '-l', 'whole', '--log', '0', '--err')
    assert (result.code, result.out, result.err) == (0, '', 'qmap: warning: job 0: its stderr is empty\n')


def script_of(qmap, id, *more):
    """Return the script that `info` prints, without the line that only what is piped needs."""
    result = qmap('info', 'out', '--script', id, *more)
    assert result.code == 0 and not result.err
    first, line, rest = result.out.split('\n', 2)
    assert line.endswith('# from a pipe')
    return first + '\n' + rest


def test_the_script_of_a_job_is_the_one_that_ran_whatever_was_changed_since(qmap):
    qmap.write('a.map', '[pre]\nX="it\'s"\n[post]\necho post\n[params]\nmemory = 200M\n[jobs]\n'
                        'echo $X ## sample=S1\n[ $QMAP_ATTEMPT = 2 ] ## memory=150M time=2h\n'
                        '[ $QMAP_ATTEMPT = 2 ] ## line=7\nprintf "a\\tb"\n')
    qmap('submit', 'a.map', '-t', '1h', '--logs', 'out')
    ran = [script_of(qmap, id) for id in '0123']
    assert [qmap.read('out', id + '.sh') for id in '12'] == ran[1:3], 'those of failed jobs lie there'
    qmap('control', '-l', 'out', 'retry', '1,2', '-m', '300M')
    assert 'MEMORY=300M' in script_of(qmap, '1') and 'ATTEMPT=2' in script_of(qmap, '1')    # what would run
    assert [script_of(qmap, id, '--attempt', '1') for id in '0123'] == ran
    qmap('control', '-l', 'out', 'cancel', '2')
    assert script_of(qmap, '2') == ran[2]    # its last attempt, again
    qmap('reattach', '-l', 'out')
    for order in (['set', 'memory=1G'], ['retry', '3', '-t', '3h']):
        qmap('control', '-l', 'out', *order)
    assert script_of(qmap, '1') != ran[1] == script_of(qmap, '01', '--attempt', '1')
    assert script_of(qmap, '3', '--attempt', '1') == ran[3]
    assert 'MEMORY=1G' in script_of(qmap, '3') and 'TIME=03:00:00' in script_of(qmap, '3')


def test_a_script_goes_through_a_pipe_into_bash_and_needs_no_file(qmap):
    qmap.write('inner.sh', 'false\ntrue\n')
    qmap.write('a.map', '[pre]\n. ./inner.sh\nread x || true\n[jobs]\ncat; echo "[$QMAP_LINE $x]"\nexit 5\n')
    qmap('submit', 'a.map', '-g', '2', '--logs', 'out')
    os.unlink(qmap.path('out', '0.sh'))
    shutil.copy(QMAP, qmap.path('lone.py'))
    qmap.write('repeat', 'python3 lone.py info out --script 0 | bash; echo $?\n'
                         'bash <(python3 lone.py info out --script 0) <<<typed; echo $?\n'
                         'bash -c "$(python3 lone.py info out --script 0)" <<<typed; echo $?\n'
                         'python3 lone.py info out --script 0 -o kept; bash kept </dev/null; echo $?\n')
    told = subprocess.check_output(['bash', 'repeat'], cwd=qmap.folder, env=qmap.environ)
    assert told == b'[0 ]\n5\n' + b'[0 typed]\n5\n' * 2 + b'[0 ]\n5\n'


def test_what_would_run_of_a_job_that_was_never_submitted(qmap):
    module_submit.prepare(qmap, 'true ## memory=1G\n', 'out')
    assert 'export QMAP_MEMORY=1G\n' in script_of(qmap, '0') and 'export QMAP_ATTEMPT=1\n' in script_of(qmap, '0')


def test_qmap_04_kept_its_scripts(qmap):
    os.mkdir(qmap.path('out'))
    qmap.write('out/qmap_input', 'echo a\necho b\n')
    qmap.write('out/execution.info', '{}')
    qmap.write('out/1.sh', '#!/bin/bash\nset -e\n\necho b\n')
    assert script_of(qmap, '1') == '#!/bin/bash\nset -e\n\necho b\n'
    result = qmap('info', 'out', '--script', '0')
    assert (result.code, result.err) == (2, 'qmap: error: out/0.sh: No such file or directory\n')


@pytest.mark.slow
def test_a_subfolder_of_a_large_execution(qmap):
    qmap.write('a.map', 'true\n' * 10000 + 'echo last\n')
    qmap('submit', 'a.map', '-g', '5000', '--logs', 'out')
    assert os.path.isdir(qmap.path('out', '10'))
    assert qmap('info', '-l', 'out', '--log', '10000').out == 'last\n'


def test_follow_until_the_job_has_ended(qmap):
    qmap.write('a.map', 'until [ -e go1 ]; do sleep 0.05; done\n'
                        'echo begun; until [ -e go2 ]; do sleep 0.05; done; echo over\n')
    driver = qmap.start('submit', 'a.map', '-r', '1', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '0.out')))
    with open(qmap.path('followed'), 'wb') as target:
        process = qmap.start('info', '-l', 'out', '--log', '1', '--follow', stdout=target)
    qmap.write('go1', '')
    until(lambda: qmap.read('followed') == 'begun\n')
    assert process.poll() is None
    qmap.write('go2', '')
    assert process.wait(60) == 0 and qmap.read('followed') == 'begun\nover\n'
    driver.communicate(timeout=60)


def test_follow_goes_on_with_a_new_attempt(qmap):
    qmap.write('a.map', 'echo attempt $QMAP_ATTEMPT; [ $QMAP_ATTEMPT = 2 ]\n')
    qmap('submit', 'a.map', '--logs', 'out')
    qmap('control', '-l', 'out', 'retry')
    with open(qmap.path('followed'), 'wb') as target:
        process = qmap.start('info', '-l', 'out', '--log', '0', '--follow', stdout=target)
    until(lambda: qmap.read('followed') == 'attempt 1\n')
    qmap('reattach', '-l', 'out')
    assert process.communicate(timeout=60)[1] == b'qmap: warning: job 0: attempt 2 begins\n'
    assert process.returncode == 0 and qmap.read('followed') == 'attempt 1\nattempt 2\n'


def test_a_retry_that_waits_does_not_show_the_output_of_the_attempt_before(qmap):
    batches = [{'event': 'batch', 'batch': number, 'name': 'a', 'tasks': ['0.{}'.format(number)], 'time': 1000.0}
               for number in (1, 2)]
    module_submit.write_journal(module_folder(qmap, 1), [
        batches[0], module_submit.ended('0', 1), {'event': 'retry', 'numbers': [[0, 0]]}, batches[1]])
    qmap.write('out/0.out', 'attempt 1\n')    # the driver is about to put it aside
    result = qmap('info', '-l', 'out', '--log', '0')
    assert (result.code, result.out) == (2, '') and 'job 0 has no output: still pending' in result.err
    os.rename(qmap.path('out', '0.out'), qmap.path('out', '0.1.out'))
    assert qmap('info', '-l', 'out', '--log', '0', '--attempt', '1').out == 'attempt 1\n'


def test_watch_shows_until_the_end(qmap):
    qmap.write('a.map', 'until [ -e go ]; do sleep 0.05; done\nexit 3\n')
    driver = qmap.start('submit', 'a.map', '-r', '1', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '0.out')))
    before = sorted(os.listdir(qmap.path('out', '.qmap')))
    with open(qmap.path('seen'), 'wb') as target:
        process = qmap.start('info', '-l', 'out', '--watch', '--every', '1', stdout=target)
    with open(qmap.path('table'), 'wb') as target:
        other = qmap.start('info', '-l', 'out', '--watch', '--every', '1', 'status', 'exit_code', stdout=target)
    until(lambda: qmap.read('table').count('\n') >= 4)
    assert sorted(os.listdir(qmap.path('out', '.qmap'))) == before
    qmap.write('go', '')
    assert process.wait(60) == 0 and other.wait(60) == 0
    driver.communicate(timeout=60)
    assert '2/2 finished, 1 completed, 1 failed' in qmap.read('seen')
    assert qmap.read('table').splitlines()[-2:] == ['0   COMPLETED  0', '1   FAILED     3']


def test_watch_on_a_terminal_ends_with_ctrl_c(qmap):
    import pty
    module_folder(qmap, 100)
    main, side = pty.openpty()
    process = subprocess.Popen([sys.executable, QMAP, 'info', '-l', 'out', '--watch', 'status'], cwd=qmap.folder,
                               env=dict(qmap.environ, TERM='xterm', LINES='10', COLUMNS='40'),
                               stdin=side, stdout=side, stderr=side, start_new_session=True)
    os.close(side)
    seen = b''
    while seen.count(b'\x1b[H') < 2:
        seen += os.read(main, 1000)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    os.close(main)
    screen = seen.split(b'\x1b[H')[1]
    assert screen.count(b'\n') <= 9 and b'...' in screen
