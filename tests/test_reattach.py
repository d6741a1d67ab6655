"""reattach: drivers that die, drivers that leave, several at once."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from conftest import QMAP, until


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def journal(qmap, logs):
    lines = []
    for name in sorted(os.listdir(qmap.path(logs, '.qmap'))):
        if name.startswith('journal.'):
            lines += [json.loads(line) for line in qmap.read(logs, '.qmap', name).splitlines()]
    return lines


def test_after_kill_9_each_job_has_run_exactly_once(qmap):
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran; sleep 0.01\n' * 200)
    for _ in range(4):
        process = qmap.start('reattach', '-l', 'out') if os.path.exists(qmap.path('out')) else \
            qmap.start('submit', 'a.map', '--logs', 'out')
        seen = qmap.read('ran').count('\n') if os.path.exists(qmap.path('ran')) else 0
        until(lambda: os.path.exists(qmap.path('ran')) and qmap.read('ran').count('\n') > min(seen + 20, 190))
        kill(process)
    result = qmap('reattach', '-l', 'out')
    assert result.code == 0, result
    assert sorted(qmap.read('ran').split()) == ['{:03d}'.format(number) for number in range(200)]
    assert qmap.statuses('out') == ['COMPLETED'] * 200
    assert {qmap.info('out', '{:03d}'.format(number))['status'] for number in range(200)} == {'COMPLETED'}
    assert os.listdir(qmap.path('out', '.qmap', 'run')) == []


def test_running_jobs_are_adopted_with_their_exit_status(qmap):
    qmap.write('a.map', 'echo begun; until [ -e go ]; do sleep 0.05; done; exit 7\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '0.out')) and qmap.read('out', '0.out'))
    kill(process)
    second = qmap.start('reattach', '-l', 'out')
    until(lambda: len([event for event in journal(qmap, 'out') if event['event'] == 'lead']) == 2)
    qmap.write('go', '')
    second.communicate()
    assert second.returncode == 1
    info = qmap.info('out', '0')
    assert info['exit_code'] == 7 and info['retries'] == 0


def test_a_job_that_ended_while_nobody_drove_is_believed(qmap):
    qmap.write('a.map', 'echo begun; until [ -e go ]; do sleep 0.05; done\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '0.out')) and qmap.read('out', '0.out'))
    kill(process)
    qmap.write('go', '')
    until(lambda: qmap.ends('out'))
    assert qmap('reattach', '-l', 'out').code == 0
    assert qmap.info('out', '0')['usage']['time']['cpu'] >= 0


def test_a_job_killed_with_its_runner_while_nobody_drove_is_lost_not_completed(qmap):
    qmap.write('a.map', 'cut -d" " -f6 /proc/self/stat; sleep 1000\n')    # the runner leads its session
    process = qmap.start('submit', 'a.map', '--logs', 'out')
    runner = int(until(lambda: os.path.exists(qmap.path('out', '0.out')) and qmap.read('out', '0.out')))
    kill(process)
    for group in (runner, *[int(pid) for pid in os.listdir('/proc') if pid.isdigit() and session(pid) == runner]):
        try:
            os.kill(group, signal.SIGKILL)
        except OSError:
            pass
    result = qmap('reattach', '-l', 'out')
    assert result.code == 1
    assert qmap.info('out', '0')['error_reason'] == 'lost'


def session(pid):
    try:
        return os.getsid(int(pid))
    except OSError:
        return None


@pytest.mark.slow
def test_a_runner_killed_under_a_living_driver_fails_its_job_and_leaves_nothing_running(qmap):
    qmap.write('a.map', 'echo $PPID; sleep 1000 & wait\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out')
    runner = int(until(lambda: os.path.exists(qmap.path('out', '0.out')) and qmap.read('out', '0.out')))
    os.kill(runner, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == 1
    info = qmap.info('out', '0')
    assert info['error_reason'] == 'signal' and info['exit_code'] == 137
    until(lambda: not [pid for pid in os.listdir('/proc') if pid.isdigit() and session(pid) == runner])


def test_a_finished_folder_prints_its_summary(qmap):
    qmap.write('a.map', 'true\nfalse\n')
    qmap('submit', 'a.map', '--logs', 'out')
    before = qmap.read('out', 'execution.info')
    result = qmap('reattach', '-l', 'out')
    assert result.code == 1
    assert '2 jobs: 1 completed, 1 failed' in result.out
    what = [line.partition(': ')[0] for line in result.lines]
    assert what.index('to retry what failed') + 1 == what.index('to rerun what failed')
    assert qmap.read('out', 'execution.info') == before


def test_the_duration_is_that_of_the_execution(qmap):
    qmap.write('a.map', 'true\nsleep 1\n' * 2)
    driver = qmap.start('submit', 'a.map', '--logs', 'out', '-j', '1')
    until(lambda: 'COMPLETED' in qmap.read('out', '.qmap', 'journal.0001')
          if os.path.exists(qmap.path('out', '.qmap', 'journal.0001')) else False)
    kill(driver)
    info = json.loads(qmap.read('out', 'execution.info'))
    qmap.write('out/execution.info', json.dumps(dict(info, created_seconds=info['created_seconds'] - 7200)))
    assert ', in 02:00:' in qmap('reattach', 'out').out    # it went on
    assert ', in 02:00:' in qmap('reattach', 'out').out    # it looks
    assert ', in 02:00:' in qmap('info', 'out', '--summary').out


def test_ten_at_once_one_drives_and_nothing_runs_twice(qmap):
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran; sleep 0.02\n' * 60)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1')
    until(lambda: os.path.exists(qmap.path('ran')))
    kill(process)
    several = [qmap.start('reattach', '-l', 'out') for _ in range(10)]
    outs = [each.communicate(timeout=120)[0].decode() for each in several]
    assert [each.returncode for each in several] == [0] * 10, outs
    assert sorted(qmap.read('ran').split()) == ['{:02d}'.format(number) for number in range(60)]
    assert all('60 completed' in out for out in outs)
    assert len([event for event in journal(qmap, 'out') if event['event'] == 'lead']) == 2


@pytest.mark.slow
def test_a_viewer_takes_over_when_the_driver_is_gone(qmap):
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran; until [ -e go ]; do sleep 0.05; done\n' * 3)
    first = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1')
    until(lambda: os.path.exists(qmap.path('ran')))
    with open(qmap.path('screen'), 'wb') as screen:
        second = qmap.start('reattach', '-l', 'out', stdout=screen)
    until(lambda: 'viewing; driver: pid {}'.format(first.pid) in qmap.read('screen'))
    kill(first)
    until(lambda: os.path.exists(qmap.path('out', '.qmap', 'journal.0002')))
    qmap.write('go', '')
    second.communicate()
    assert second.returncode == 0
    assert sorted(qmap.read('ran').split()) == ['0', '1', '2']


@pytest.mark.slow
def test_ctrl_c_in_a_viewer_stops_the_view_only(qmap):
    qmap.write('a.map', 'until [ -e go ]; do sleep 0.05; done\n')
    first = qmap.start('submit', 'a.map', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '0.out')))
    with open(qmap.path('screen'), 'wb') as screen:
        second = qmap.start('reattach', '-l', 'out', stdout=screen)
    until(lambda: 'viewing' in qmap.read('screen'))
    os.kill(second.pid, signal.SIGINT)
    second.communicate()
    assert second.returncode == 130
    assert re.search(r'the driver continues \(pid {} on .*\); stop it with: .* control out stop'.format(first.pid),
                     qmap.read('screen'))
    qmap.write('go', '')
    first.communicate()
    assert first.returncode == 0


def test_max_running_can_be_changed(qmap):
    qmap.write('a.map', 'true\n' * 4)
    first = qmap.start('submit', 'a.map', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '.qmap', 'journal.0001')))
    kill(first)
    assert qmap('reattach', '-l', 'out', '-r', '1').code == 0
    assert [event['max_running'] for event in journal(qmap, 'out') if event['event'] == 'set'] in ([1], [])


def test_a_torn_record_at_the_end_of_a_journal_is_no_record(qmap):
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran\n' * 5)
    process = qmap.start('submit', 'a.map', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '.qmap', 'journal.0001')))
    kill(process)
    with open(qmap.path('out', '.qmap', 'journal.0001'), 'ab') as target:
        target.write(b'{"event":"end","job":"0","attem')
    assert qmap('reattach', '-l', 'out').code == 0
    assert sorted(qmap.read('ran').split()) == list('01234')


def test_damaged_records_stop_a_reattach_until_it_is_forced(qmap):
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran; [ ${QMAP_LINE} != 3 ]\n' * 5)
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1
    path = qmap.path('out', '.qmap', 'journal.0001')
    with open(path, 'rb') as source:
        lines = source.read().split(b'\n')
    place = [number for number, line in enumerate(lines) if b'"end"' in line and b'"job":"3"' in line][0]
    lines[place] = b'\0' * 20
    with open(path, 'wb') as target:
        target.write(b'\n'.join(lines))
    result = qmap('reattach', '-l', 'out')
    assert result.code == 2 and '1 record cannot be read' in result.err and '--force' in result.err, result
    result = qmap('reattach', '-l', 'out', '--force')
    assert result.code == 1 and 'journal.0001' in result.err
    assert qmap.statuses('out') == ['COMPLETED'] * 3 + ['FAILED', 'COMPLETED']
    assert sorted(qmap.read('ran').split()) == list('01234')


def test_a_journal_of_a_driver_that_was_overtaken_counts_for_nothing(qmap):
    qmap.write('a.map', 'true\n' * 3)
    assert qmap('submit', 'a.map', '--logs', 'out').code == 0
    with open(qmap.path('out', '.qmap', 'journal.0002'), 'x') as target:
        size = os.path.getsize(qmap.path('out', '.qmap', 'journal.0001'))
        target.write(json.dumps({'event': 'lead', 'epoch': 2, 'read': {'1': size}}) + '\n')
    with open(qmap.path('out', '.qmap', 'journal.0001'), 'a') as target:
        target.write('{"event":"end","job":"0","attempt":1,"status":"FAILED","error_reason":"exit"}\n')
    assert qmap.statuses('out') == ['COMPLETED'] * 3


@pytest.mark.parametrize('tool', ['info', 'reattach'])
def test_a_folder_without_an_execution(qmap, tool):
    result = qmap(tool)
    assert result.code == 2 and 'no execution of QMap' in result.err
    result = qmap(tool, '-l', 'nowhere')
    assert result.code == 2 and 'nowhere' in result.err


def test_a_folder_may_be_moved(qmap):
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran\n' * 3 + 'false\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1
    os.rename(qmap.path('out'), qmap.path('elsewhere'))
    assert qmap.statuses('elsewhere') == ['COMPLETED'] * 3 + ['FAILED']
    assert qmap('reattach', '-l', 'elsewhere').code == 1


def interrupted_job(qmap, **start):
    """Leave an execution whose only job said that it started, in words that are changed."""
    qmap.write('a.map', 'echo begun; [ -e again ] || sleep 1000\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '0.out')) and qmap.read('out', '0.out'))
    path = qmap.path('out', '.qmap', 'run', '0.1.start')
    who, rest = qmap.read(path).split('\n', 1)
    words = json.loads(who)
    kill(process)
    for pid in [pid for pid in os.listdir('/proc') if pid.isdigit() and session(pid) == words['pid']]:
        os.kill(int(pid), signal.SIGKILL)
    qmap.write(path, json.dumps(dict(words, **start)) + '\n' + rest)


def test_a_job_whose_machine_was_started_anew_runs_again(qmap):
    interrupted_job(qmap, born='another-boot/1234')
    qmap.write('again', '')
    assert qmap('reattach', '-l', 'out').code == 0
    info = qmap.info('out', '0')
    assert [past['error_reason'] for past in info['attempts']] == ['node'] and info['retries'] == 1


def test_a_job_on_another_machine_is_not_judged_from_here(qmap):
    interrupted_job(qmap, host='elsewhere')
    with open(qmap.path('screen'), 'wb') as screen:
        process = qmap.start('reattach', '-l', 'out', stdout=screen)
    until(lambda: qmap('info', '-l', 'out', '-s', 'all', 'reason').lines[1:] == ['0\ton elsewhere, another machine'])
    with open(qmap.path('out', '.qmap', 'run', '0.1.start'), 'a') as words:
        words.write('0m0.000s 0m0.000s\n0m0.010s 0m0.000s\ne 0.1 {"exit_code":0,"time":1} .\n')
    process.communicate()
    assert process.returncode == 0


def test_a_folder_without_its_journal_can_still_be_asked(qmap):
    import shutil
    qmap.write('a.map', 'true\n')
    qmap('submit', 'a.map', '--logs', 'out')
    shutil.rmtree(qmap.path('out', '.qmap'))
    assert qmap.statuses('out') == ['COMPLETED']
    result = qmap('reattach', '-l', 'out')
    assert result.code == 2 and 'without a journal' in result.err


def test_after_a_power_failure_what_may_have_begun_is_another_attempt(qmap):
    qmap.write('a.map', 'echo ${QMAP_LINE}.$QMAP_ATTEMPT >>ran; sleep 1\n' * 6)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '2')
    until(lambda: os.path.exists(qmap.path('ran')))
    process.kill()
    process.wait()
    until(lambda: len(qmap.ends('out')) == 2)
    # The machine starts anew, and what the jobs said last did not get to its disk.
    for name in os.listdir(qmap.path('out', '.qmap', 'run')):
        os.unlink(qmap.path('out', '.qmap', 'run', name))
    path = qmap.path('out', '.qmap', 'journal.0001')
    events = [json.loads(line) for line in qmap.read(path).splitlines() if '"sum"' not in line]
    qmap.write(path, ''.join(json.dumps(dict(event, born='another-start/1') if 'born' in event else event) + '\n'
                             for event in events))
    result = qmap('reattach', '-l', 'out')
    assert result.code == 0, result
    ran = qmap.read('ran').split()
    assert len(ran) == len(set(ran)) == 8, 'no attempt twice'
    assert {word.partition('.')[0] for word in ran if word.endswith('.2')} >= {'0', '1'}


def test_a_driver_that_was_killed_before_it_said_a_word_is_not_waited_for(qmap):
    qmap.write('a.map', 'true\n' * 2)
    qmap.write('dies.py', """
import os, signal, sys
import qmap
qmap.bring_to_disk = lambda path: path.endswith('.qmap') and os.kill(os.getpid(), signal.SIGKILL)
real = qmap.Lease._begin
qmap.Lease._begin = lambda self: real(self) if sys.argv[1] == 'lead' else os.kill(os.getpid(), signal.SIGKILL)
sys.exit(qmap.main(sys.argv[2:]))
""")
    for moment, command in (('open', ['submit', 'a.map', '--logs', 'out']), ('lead', ['reattach', '-l', 'out']),
                            ('open', ['reattach', '-l', 'out'])):
        process = subprocess.Popen([sys.executable, qmap.path('dies.py'), moment] + command, cwd=qmap.folder, env=dict(
            qmap.environ, PYTHONPATH=os.path.dirname(QMAP)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    assert len([name for name in os.listdir(qmap.path('out', '.qmap')) if name.startswith('journal')]) == 3
    assert qmap('reattach', '-l', 'out', timeout=60).code == 0
