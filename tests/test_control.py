"""Steering: control, whoever drives and also where nobody does; leaving in the background and coming back."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from conftest import ROOT, at_executor, until

#: Hardly depends on the Python.
pytestmark = pytest.mark.once


def driving(qmap, logs='out'):
    """Return what driver.json says while somebody drives."""
    path = qmap.path(logs, '.qmap', 'driver.json')
    driver = json.loads(qmap.read(path)) if os.path.exists(path) else {'released': True}
    return not driver['released'] and driver


@pytest.fixture
def detached(qmap):
    """Return a function that submits a map in the background, and stop what is left of it at the end."""
    def detach(text, *words):
        qmap.write('a.map', text)
        result = qmap('submit', 'a.map', '--logs', 'out', '--detach', *words)
        assert result.code == 0, result
        return result

    yield detach
    if os.path.exists(qmap.path('out')):
        qmap('control', '-l', 'out', 'stop', '--cancel')


def control(qmap, *words):
    result = qmap('control', '-l', 'out', *words)
    assert result.code == 0, result
    return result.out


def over(qmap, count):
    """Wait until so many jobs have ended."""
    return until(lambda: sum(status in ('COMPLETED', 'FAILED') for status in qmap.statuses('out')) == count)


def test_detach_goes_on_in_the_background_and_says_how_to_look_and_stop(qmap, detached):
    result = detached('sleep 1; echo ${QMAP_LINE} >>ran\n' * 4, '-r', '2')
    assert 'view: ' in result.out and 'stop: ' in result.out
    view = qmap('reattach', '-l', 'out')
    assert (view.code, sorted(qmap.read('ran').split())) == (0, list('0123')), view
    until(lambda: not driving(qmap))
    until(lambda: '4 jobs: 4 completed' in qmap.read('out', 'execution.log'))


def test_a_detached_driver_survives_the_end_of_its_session(qmap):
    qmap.write('a.map', 'sleep 0.5\n' * 6)
    process = subprocess.Popen(
        ['setsid', '-w', 'bash', '-c', '"$0" "$@"; kill -HUP 0; kill -KILL 0'] + qmap.program +
        ['submit', 'a.map', '--logs', 'out', '--detach', '-r', '2'], cwd=qmap.folder, env=qmap.environ,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.wait()
    over(qmap, 6)


def test_what_is_wrong_is_said_before_it_detaches(qmap):
    result = qmap('submit', 'nosuch.map', '--detach')
    assert (result.code, result.err) == (2, 'qmap: error: nosuch.map: No such file or directory\n')


def test_pause_and_resume(qmap, detached):
    detached('sleep 0.2\n' * 12, '-r', '1')
    assert control(qmap, 'pause').startswith('paused: running jobs continue; ')
    until(lambda: set(qmap.statuses('out')) == {'COMPLETED', 'UNSUBMITTED'})
    view = qmap.start('reattach', '-l', 'out')
    assert 'jobs to submit' in control(qmap, 'resume')
    over(qmap, 12)
    assert view.wait(30) == 0


def test_what_is_paused_says_how_to_resume_it_when_nobody_drives(qmap, detached):
    detached('sleep 0.2\n' * 12, '-r', '1')
    control(qmap, 'pause')
    control(qmap, 'stop')
    until(lambda: not driving(qmap))
    assert 'it is paused; to submit again: ' in qmap('info', '-l', 'out', '--summary').out
    control(qmap, 'resume')
    said = qmap('info', '-l', 'out', '--summary').out
    assert 'paused' not in said and 'to go on: ' in said
    assert qmap('reattach', '-l', 'out').code == 0


def test_max_running_and_parameters_of_what_is_not_yet_submitted(qmap, detached):
    show = 'until [ -e go ]; do sleep 0.1; done; echo $QMAP_MEMORY $QMAP_SAMPLE >${QMAP_LINE}\n'
    detached(show * 2 + 'true ## memory=2G\n', '-r', '1')
    until(lambda: 'RUNNING' in qmap.statuses('out'))
    assert control(qmap, 'set', 'memory=1536M', 'sample=x y') == \
        'memory = 1536M, sample = x y for 2 unsubmitted jobs\n'
    assert control(qmap, 'set', 'memory=1536M').startswith(
        'memory = 1536M for 1 unsubmitted job; 1 has its own by the map, behind ##\n')
    assert control(qmap, 'max-running', '2') == 'max running: 2 (was 1)\n'
    qmap.write('go', '')
    over(qmap, 3)
    assert control(qmap, 'set', 'cores=2').startswith(
        'cores = 2 for 0 unsubmitted jobs; it holds for those that are retried or added later\n')
    assert (qmap.read('0'), qmap.read('1')) == ('\n', '1536M x y\n')
    lines = qmap('info', '-l', 'out', '-s', 'all', 'params.memory').lines[1:]
    assert lines == ['0\t', '1\t1536M', '2\t2G']


def test_cancel_some_and_retry_them(qmap, detached):
    detached('sleep 100\n' + 'sleep 0.1\n' * 10, '-r', '1')
    until(lambda: qmap.statuses('out')[0] == 'RUNNING')
    assert control(qmap, 'cancel', '0,3-4') == \
        'cancelling 1 submitted job, 2 unsubmitted jobs dropped\n'
    over(qmap, 11)
    assert [number for number, status in enumerate(qmap.statuses('out')) if status == 'FAILED'] == [0, 3, 4]
    assert {line.split('\t')[1] for line in qmap('info', '-l', 'out', 'error_reason').lines[1:]} == {'cancelled'}
    until(lambda: not driving(qmap))
    said = control(qmap, 'retry', '3')
    assert said.startswith('retrying 1 job\nno driver is running; resume with: ')
    assert qmap('reattach', '-l', 'out').code == 1
    assert qmap.statuses('out').count('COMPLETED') == 9


def test_of_jobs_that_take_no_core_all_are_cancelled(qmap, detached):
    detached('touch here_${QMAP_LINE}; sleep 1000; touch never\n' * 20, '-c', '0', '-r', '20')
    until(lambda: qmap.statuses('out') == ['RUNNING'] * 20)
    control(qmap, 'cancel')
    over(qmap, 20)
    until(lambda: not driving(qmap))
    assert qmap.statuses('out') == ['FAILED'] * 20 and not os.path.exists(qmap.path('never'))


def test_what_was_cancelled_is_retried_only_when_it_is_asked_for(qmap, detached):
    detached('exit 1\n' + 'sleep 100\n' * 3, '-r', '1')
    until(lambda: qmap.statuses('out')[:2] == ['FAILED', 'RUNNING'])
    control(qmap, 'cancel')
    over(qmap, 4)
    until(lambda: not driving(qmap))
    said = control(qmap, 'retry')
    assert said.startswith('retrying 1 job, without 3 cancelled (retry those with -s cancelled)\n')
    assert qmap.statuses('out') == ['UNSUBMITTED', 'FAILED', 'FAILED', 'FAILED']
    assert control(qmap, 'retry', '-s', 'cancelled', '0-2').startswith('retrying 2 jobs\n')
    assert re.match(r'retry of [23] jobs withdrawn: [12] cancelled and 1 failed as before', control(qmap, 'cancel'))
    assert qmap.statuses('out') == ['FAILED'] * 4
    assert control(qmap, 'retry').startswith('retrying 1 job, without 3 cancelled')
    assert control(qmap, 'cancel', '0') == 'retry of 1 job withdrawn: 1 failed as before\n'
    assert control(qmap, 'retry', '-s', 'failed').startswith(
        'retrying 4 jobs, 3 of them cancelled (without -s, cancelled jobs are left out)\n')


def test_jobs_are_retried_by_the_reason_for_which_they_failed(qmap):
    qmap.write('a.map', 'exit 1\nkill -9 $$\ntrue\n')
    qmap('submit', 'a.map', '--logs', 'out')
    assert control(qmap, 'retry', '-s', 'signal').startswith('retrying 1 job\n')
    assert qmap.statuses('out') == ['FAILED', 'UNSUBMITTED', 'COMPLETED']


def test_a_retry_keeps_what_the_earlier_attempts_left(qmap):
    qmap.write('a.map', 'echo out $QMAP_ATTEMPT; echo err $QMAP_ATTEMPT >&2; [ $QMAP_ATTEMPT = 3 ]\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1
    control(qmap, 'retry')
    assert qmap('reattach', '-l', 'out').code == 1
    control(qmap, 'retry', '-s', 'failed', '-m', '3G', '-t', '90m')
    last = qmap('reattach', '-l', 'out')
    assert last.code == 0 and 'err' not in last.out, last
    info = qmap.info('out', '0')
    assert [(past['attempt'], past['status'], past['exit_code'], past['error']) for past in info['attempts']] == [
        (1, 'FAILED', 1, 'err 1'), (2, 'FAILED', 1, 'err 2')]
    assert (info['status'], info['retries'], info['params']['memory'], info['params']['time']) == (
        'COMPLETED', 2, '3G', '01:30:00')
    for suffix in ('out', 'err'):
        assert [qmap.read('out', '0{}.{}'.format(n, suffix)) for n in ('.1', '.2', '')] == [
            '{} {}\n'.format(suffix, n) for n in (1, 2, 3)]
    assert json.loads(qmap('info', '-l', 'out', '-s', 'all', '--format', 'json').out)['attempts'] == info['attempts']


def test_programs_get_the_reply_and_the_state_as_json(qmap, detached):
    def ask(*words):
        result = qmap('control', '-l', 'out', *words)
        assert result.err == '' and result.out.count('\n') == 1
        return result.code, json.loads(result.out)

    def summary():
        return json.loads(qmap('info', '-l', 'out', '--summary', '--format', 'json').out)

    detached('sleep 100\n' * 3, '-r', '1')
    until(lambda: qmap.statuses('out')[0] == 'RUNNING')
    driver = json.loads(qmap.read('out', '.qmap', 'driver.json'))
    who = {'host': os.uname().nodename, 'pid': driver['pid']}
    found = summary()
    assert (found['paused'], found['max_running'], found['driver'], found['cancelled']) == (False, 1, who, 0)
    assert ask('max-running', '2', '--format', 'json') == (0, {
        'order': 'max-running', 'refused': False, 'reply': 'max running: 2 (was 1)', 'driver': who, 'next': ''})
    code, reply = ask('--format', 'json', 'pause')
    assert code == 0 and reply['reply'].startswith('paused: ') and summary()['paused']
    assert summary()['max_running'] == 2
    for words, said in ((['cancel', '9'], '9: no such job; ids: '), (['set', 'memory=999T'], 'each job requests')):
        code, reply = ask('--format', 'json', *words)
        assert code == 2 and list(reply) == ['order', 'refused', 'reply'] and reply['refused'] is True
        assert reply['order'] == words[0] and reply['reply'].startswith(said)
    ask('cancel', '--format', 'json')
    ask('stop', '--format', 'json')
    over(qmap, 3)
    until(lambda: not driving(qmap))
    found = summary()
    assert found['driver'] is None and found['cancelled'] == 3 and found['counts']['FAILED'] == 3
    code, reply = ask('retry', '-s', 'cancelled', '--format', 'json')
    assert reply['driver'] is None and reply['next'].endswith(' reattach -l out')


def test_a_retry_that_has_not_begun_can_be_taken_back(qmap):
    qmap.write('a.map', 'echo out; sleep 0.2\nexit 3\ntrue\ntrue\n')
    qmap('submit', 'a.map', '--logs', 'out', '-m', '1G')
    before = [line for line in qmap('info', '-l', 'out', '-s', 'all', '--format', 'json').lines]
    figures = json.loads(qmap('info', '-l', 'out', '--summary', '--format', 'json').out)
    assert control(qmap, 'retry', '-s', 'all').startswith(
        'retrying 4 jobs (3 had completed; cancel withdraws what has not started yet)\n')
    assert qmap.statuses('out') == ['UNSUBMITTED'] * 4
    assert control(qmap, 'cancel', '2').startswith('retry of 1 job withdrawn: 1 completed as before\n')
    assert control(qmap, 'cancel') == 'retry of 3 jobs withdrawn: 2 completed and 1 failed as before\n'
    for _ in range(2):
        assert qmap('info', '-l', 'out', '-s', 'all', '--format', 'json').lines == before
        assert json.loads(qmap('info', '-l', 'out', '--summary', '--format', 'json').out) == figures
        assert qmap.info('out', '0')['status'] == 'COMPLETED' and qmap.read('out', '0.out') == 'out\n'
        assert qmap('report', '-l', 'out', '--force', '-o', 'out.html').code == 0
        assert qmap('reattach', '-l', 'out').code == 1
    # ... and a second retry runs.
    control(qmap, 'retry', '1')
    assert qmap('reattach', '-l', 'out').code == 1
    assert [past['attempt'] for past in qmap.info('out', '1')['attempts']] == [1]
    # What was cancelled before is cancelled again, and what never ran is dropped.
    control(qmap, 'retry', '1')
    assert control(qmap, 'cancel') == 'retry of 1 job withdrawn: 1 failed as before\n'
    assert qmap.info('out', '1')['retries'] == 1


def test_what_runs_is_not_retried_and_what_is_over_not_cancelled(qmap, detached):
    detached('sleep 100\ntrue\n', '-r', '2')
    until(lambda: qmap.statuses('out') == ['RUNNING', 'COMPLETED'])
    assert control(qmap, 'retry', '0') == 'retrying 0 jobs, without 1 job that had not finished\n'
    assert control(qmap, 'cancel', '1') == '1 job had finished already\n'
    assert qmap.statuses('out') == ['RUNNING', 'COMPLETED']


@pytest.mark.parametrize('words, what', [
    (['cancel', '3'], '3: no such job; ids: 0, 1'),
    (['cancel', 'x'], 'x: invalid job id; write 3 or 3,7-12'),
    (['retry', '1-0'], '1-0: the range runs backwards; write 0-1'),
    (['cancel', '-s', 'bad'], 'bad: unknown status'), (['set', 'memory'], 'memory: not a parameter; write KEY=VALUE'),
    (['set', 'memory=much'], 'memory = much: invalid memory size; write 512M'),
    (['max-running', '0'], 'must be a positive integer'),
    (['set', 'cores=1000'], 'each job requests 1,000 cores; this machine has'),
    (['retry', '-m', '900T'], 'each job requests 900T of memory'),
    (['set', 'working_directory=/nosuch'], '/nosuch: no such working directory'), ([], 'ORDER'),
    (['nosuch'], 'nosuch')])
def test_what_is_wrong_in_an_order(qmap, words, what):
    qmap.write('a.map', 'true\ntrue\n')
    qmap('submit', 'a.map', '--logs', 'out')
    result = qmap('control', '-l', 'out', *words)
    assert result.code == 2 and what in result.err and result.err.count('\n') == 1, result
    assert not os.listdir(qmap.path('out', '.qmap', 'inbox'))


def test_the_ids_of_groups(qmap):
    qmap.write('a.map', 'true\n' * 10)
    qmap('submit', 'a.map', '--logs', 'out', '-g', '3')
    assert 'no such job; ids: 0, 3, 6, 9' in qmap('control', '-l', 'out', 'retry', '4').err
    assert control(qmap, 'retry', '1-6').startswith('retrying 2 jobs (2 had completed; ')
    assert qmap('info', '-l', 'out', '-s', 'u', 'status').lines[1:] == ['3\tUNSUBMITTED', '6\tUNSUBMITTED']


def test_stop_leaves_what_runs_and_cancel_does_not(qmap, detached):
    detached('until [ -e go ]; do sleep 0.1; done; echo done >${QMAP_LINE}\n' * 2 + 'true\n', '-r', '2')
    until(lambda: qmap.statuses('out')[:2] == ['RUNNING'] * 2)
    assert control(qmap, 'stop') == 'driver stops; 2 running jobs continue\n'
    until(lambda: not driving(qmap))
    qmap.write('go', '')
    until(lambda: os.path.exists(qmap.path('1')))
    assert qmap('reattach', '-l', 'out').code == 0
    assert control(qmap, 'stop') == 'no driver is running; 0 jobs submitted\n'


def test_stop_and_cancel(qmap, detached):
    detached('sleep 100\n' * 3, '-r', '2')
    until(lambda: qmap.statuses('out')[:2] == ['RUNNING'] * 2)
    assert control(qmap, 'stop', '--cancel') == 'driver stops; cancelling 2 submitted jobs\n'
    until(lambda: not driving(qmap))
    assert qmap.statuses('out') == ['FAILED', 'FAILED', 'UNSUBMITTED']


def test_cancel_ends_what_a_dead_driver_left(qmap, detached):
    detached('sleep 100\n' * 4, '-r', '2')
    until(lambda: qmap.statuses('out')[:2] == ['RUNNING'] * 2)
    os.kill(driving(qmap)['pid'], signal.SIGKILL)
    control(qmap, 'cancel')
    assert qmap.statuses('out') == ['FAILED'] * 4


@pytest.mark.slow
def test_a_viewer_takes_over_and_what_it_is_told_counts(qmap, detached):
    detached('sleep 0.5; echo ${QMAP_LINE} >>ran\n' * 30, '-r', '1')
    viewer = qmap.start('reattach', '-l', 'out', '-r', '2')
    until(lambda: 'max running: 2' in qmap.read('out', 'execution.log'))
    first = driving(qmap)['pid']
    os.kill(first, signal.SIGKILL)
    until(lambda: driving(qmap) and driving(qmap)['pid'] == viewer.pid, 15)
    control(qmap, 'max-running', '1')
    out, _ = viewer.communicate(timeout=60)
    assert viewer.returncode == 0 and b'the driver has exited; this process is the driver now' in out
    assert sorted(map(int, qmap.read('ran').split())) == list(range(30))


def test_a_command_is_obeyed_once_whoever_takes_it(qmap):
    qmap.write('a.map', 'false\n')
    qmap('submit', 'a.map', '--logs', 'out')
    control(qmap, 'retry')
    journal = qmap.read('out', '.qmap', 'journal.0002')
    id = json.loads(next(line for line in journal.splitlines() if '"command"' in line))['command']
    # As a crash between the two would leave it: written down, and still in the inbox.
    qmap.write('out/.qmap/inbox/{}.json'.format(id), '{"do": "retry"}')
    qmap('reattach', '-l', 'out')
    assert qmap.info('out', '0')['retries'] == 1
    assert not os.listdir(qmap.path('out', '.qmap', 'inbox'))


def test_a_folder_that_may_only_be_read_can_be_looked_at(qmap):
    if os.getuid() == 0 and subprocess.call(['setpriv', '--version'], stdout=subprocess.DEVNULL) != 0:
        pytest.skip('no setpriv to become another user with')
    qmap.write('a.map', 'true\nfalse\nsleep 3\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '2')
    until(lambda: os.path.exists(qmap.path('out')) and 'RUNNING' in qmap.statuses('out'))
    folder = qmap.folder
    while os.getuid() == 0 and folder != '/':
        os.chmod(folder, os.stat(folder).st_mode | 0o055)
        folder = os.path.dirname(folder)
    other = qmap.program
    if os.getuid() == 0:
        other = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '/usr/bin/python3',
                 qmap.program[1]]
    if subprocess.call(other + ['--version'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) != 0:
        pytest.skip('another user cannot run QMap here')
    view = subprocess.run(other + ['reattach', '-l', 'out'], cwd=qmap.folder, env=qmap.environ, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60)
    assert view.returncode == 1 and b'2 completed, 1 failed' in view.stdout, view
    shown = subprocess.run(other + ['info', '-l', 'out', 'exit_code'], cwd=qmap.folder, env=qmap.environ,
                           stdout=subprocess.PIPE)
    assert shown.stdout == b'id\texit_code\n1\t1\n'
    told = subprocess.run(other + ['control', '-l', 'out', 'pause'], cwd=qmap.folder, env=qmap.environ,
                          stderr=subprocess.PIPE)
    if os.getuid() == 0:
        assert told.returncode == 2 and b'Permission denied' in told.stderr
    process.communicate()


def test_a_folder_that_was_moved_goes_on_and_a_copy_is_refused(qmap):
    qmap.write('a.map', 'sleep 1; echo ${QMAP_LINE} >>ran\n' * 4)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1')
    until(lambda: os.path.exists(qmap.path('ran')))
    process.terminate()
    process.communicate()
    shutil.copytree(qmap.path('out'), qmap.path('copy'), symlinks=True)
    refused = qmap('reattach', '-l', 'copy')
    assert refused.code == 2 and 'is a copy of' in refused.err, refused
    shutil.rmtree(qmap.path('copy'))
    until(lambda: not subprocess.run(['pgrep', '-f', qmap.path('out', '.qmap', 'batch')],
                                     stdout=subprocess.PIPE).stdout)
    os.rename(qmap.path('out'), qmap.path('moved'))
    assert qmap('reattach', '-l', 'moved').code == 0
    assert sorted(qmap.read('ran').split()) == list('0123')


def test_a_copy_is_refused_also_when_the_first_one_has_gone_elsewhere(qmap):
    qmap.write('a.map', 'false\n')
    qmap('submit', 'a.map', '--logs', 'out')
    control(qmap, 'retry')
    shutil.copytree(qmap.path('out'), qmap.path('copy'))
    os.rename(qmap.path('out'), qmap.path('moved'))
    refused = qmap('reattach', '-l', 'copy')
    assert refused.code == 2 and 'is a copy of' in refused.err, refused
    assert qmap('reattach', '-l', 'moved').code == 1
    assert qmap('reattach', '-l', 'copy', '--force').code == 1


def test_the_map_of_what_failed_has_the_changed_parameters(qmap):
    qmap.write('a.map', 'false\nfalse ## sample=x\n')
    qmap('submit', 'a.map', '--logs', 'out', '-m', '1G')
    control(qmap, 'set', 'memory=2G', 'time=1h')
    control(qmap, 'retry', '1', '-m', '3G')
    assert qmap('info', '-l', 'out', '-s', 'u', 'params.memory').lines[1:] == ['1\t3G']
    lines = qmap('info', '-l', 'out', '-s', 'all').lines
    assert 'memory = 2G' in lines and 'time = 01:00:00' in lines
    assert lines[-2:] == ['false ## line=0', 'false ## sample=x memory=3G line=1']


@pytest.mark.parametrize('executor', ['lsf', pytest.param('slurm', marks=pytest.mark.cluster),
                                      pytest.param('sge', marks=pytest.mark.cluster)])
def test_leave_hands_everything_over_and_reattach_collects(qmap, executor):
    at_executor(qmap, executor)
    qmap.write('mine.conf', 'executor = {}\npoll = 2\n'.format(executor))
    qmap.write('a.map', 'echo ${QMAP_LINE} >${QMAP_LINE}\n' * 12)
    result = qmap('submit', 'a.map', '-p', 'mine', '-r', '2', '--leave', '--logs', 'out')
    assert result.code == 0, result
    assert 'UNSUBMITTED' not in qmap.statuses('out')
    assert qmap('reattach', '-l', 'out').code == 0
    assert sorted(int(name) for name in os.listdir(qmap.folder) if name.isdigit()) == list(range(12))


def test_this_machine_has_no_queue_to_leave_jobs_in(qmap):
    qmap.write('a.map', 'true\n')
    result = qmap('submit', 'a.map', '--leave', '--logs', 'out')
    assert result.code == 2 and '--detach' in result.err, result
    assert not os.path.exists(qmap.path('out'))


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason='only root can mount a small disk')
def test_a_full_disk_stops_submitting_and_then_it_goes_on(qmap):
    os.mkdir(qmap.path('disk'))
    if subprocess.call(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', qmap.path('disk')]) != 0:
        pytest.skip('nothing can be mounted here')
    try:
        qmap.write('a.map', 'sleep 0.1; echo ${QMAP_LINE} >>ran\n' * 60)
        process = qmap.start('submit', 'a.map', '--logs', 'disk/out', '-r', '2', stdout=open(qmap.path('screen'), 'wb'))
        until(lambda: os.path.exists(qmap.path('ran')))
        with open(qmap.path('disk', 'filler'), 'wb', buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass
        until(lambda: re.search('No space left on device|disk nearly full', qmap.read('screen')))
        os.unlink(qmap.path('disk', 'filler'))
        process.communicate(timeout=120)
        assert process.returncode == 0, qmap.read('screen')
        assert sorted(map(int, qmap.read('ran').split())) == list(range(60))
        assert qmap.statuses('disk/out') == ['COMPLETED'] * 60
    finally:
        subprocess.call(['umount', '-l', qmap.path('disk')])


# ---- several hosts

#: QMap on a host whose locks exclude nobody, with shorter beats.
ELSEWHERE = '''
import sys
sys.path.insert(0, {root!r})
import qmap
qmap.Lock.acquire = lambda lock: True
qmap.Lock.release = lambda lock: None
qmap.Beat.EVERY, qmap.Beat.SILENCE = 0.5, 5
qmap.entry()
'''


@pytest.fixture
def hosts(qmap):
    """Return a function that starts qmap on a host of some name, with locks that exclude nobody."""
    if subprocess.call(['unshare', '--uts', 'true'], stderr=subprocess.DEVNULL) != 0:
        pytest.skip('no UTS namespaces here, or not for this user')
    at_executor(qmap, 'lsf')
    qmap.write('mine.conf', 'executor = lsf\npoll = 1\n')
    qmap.write('elsewhere.py', ELSEWHERE.format(root=ROOT))
    started = []

    def on(host, *words):
        qmap.program = ['unshare', '--uts', 'bash', '-c', 'hostname {} && exec "$0" "$@"'.format(host), sys.executable,
                        qmap.path('elsewhere.py')]
        process = qmap.start(*words, stdout=open(qmap.path('screen.' + host), 'ab'))
        started.append(process)
        return process

    yield on
    for process in started:
        if process.poll() is None:
            process.kill()


@pytest.mark.slow
def test_a_host_waits_for_the_beat_of_another_to_stand_still(qmap, hosts):
    qmap.write('a.map', 'sleep 0.5; echo ${QMAP_LINE} >>ran\n' * 40)
    first = hosts('one', 'submit', 'a.map', '-p', 'mine', '-r', '4', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('ran')))
    second = hosts('two', 'reattach', '-l', 'out')
    until(lambda: 'on one' in qmap.read('screen.two'))
    assert driving(qmap)['host'] == 'one'
    os.kill(first.pid, signal.SIGKILL)
    assert second.wait(120) == 0
    assert sorted(map(int, qmap.read('ran').split())) == list(range(40))
    assert len([name for name in os.listdir(qmap.path('out', '.qmap')) if name.startswith('journal')]) == 2


@pytest.mark.slow
def test_a_driver_that_is_taken_over_notices_and_never_both_submit(qmap, hosts):
    qmap.write('a.map', 'sleep 0.3; echo ${QMAP_LINE} >>ran\n' * 60)
    one = hosts('one', 'submit', 'a.map', '-p', 'mine', '-r', '4', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('ran')))
    two = hosts('two', 'reattach', '-l', 'out', '--takeover')
    until(lambda: 'another process is the driver now' in qmap.read('screen.one'))
    three = hosts('three', 'reattach', '-l', 'out', '--takeover')
    until(lambda: 'another process is the driver now' in qmap.read('screen.two'))
    assert [process.wait(120) for process in (one, two, three)] == [0, 0, 0]
    assert sorted(map(int, qmap.read('ran').split())) == list(range(60))
    batches = [[json.loads(line) for line in qmap.read('out', '.qmap', name).splitlines() if '"batch"' in line]
               for name in sorted(os.listdir(qmap.path('out', '.qmap'))) if name.startswith('journal')]
    assert len(batches) == 3 and batches[2]


@pytest.mark.slow
def test_a_driver_that_was_frozen_and_taken_over_wakes_up_as_a_viewer(qmap, hosts):
    qmap.write('a.map', 'sleep 0.3; echo ${QMAP_LINE} >>ran\n' * 40)
    one = hosts('one', 'submit', 'a.map', '-p', 'mine', '-r', '4', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('ran')))
    one.send_signal(signal.SIGSTOP)
    two = hosts('two', 'reattach', '-l', 'out')
    until(lambda: driving(qmap)['host'] == 'two')
    one.send_signal(signal.SIGCONT)
    assert [process.wait(120) for process in (one, two)] == [0, 0]
    assert 'another process is the driver now' in qmap.read('screen.one')
    assert sorted(map(int, qmap.read('ran').split())) == list(range(40))


# ---- what a review found

def test_orders_of_another_version_or_by_a_strange_hand_harm_nobody(qmap, detached):
    detached('sleep 1\n' * 4, '-r', '2')
    inbox = qmap.path('out', '.qmap', 'inbox')
    for number, text in enumerate([
            '{"do": "set", "params": {"memory": 5}}', '{"do": "retry", "params": ["x"]}', '[1]', 'no JSON',
            '{"do": "max-running", "number": "5"}', '{"do": "set", "params": {"foo": [1]}}', '{"do": "fly"}',
            '{"do": "max-running", "number": -3}', '{"do": "cancel", "ids": [[-3, -3]]}', '{}']):
        qmap.write(os.path.join(inbox, '{:020d}-x.json'.format(number)), text)
    over(qmap, 4)
    assert qmap.statuses('out') == ['COMPLETED'] * 4
    until(lambda: not driving(qmap))
    assert qmap.read('out', '.qmap', 'journal.0001').count('"refused":true') == 8


def test_what_was_cancelled_unsubmitted_in_a_large_map_can_be_retried(qmap):
    qmap.write('a.map', 'true\n' * 12000)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '2')
    until(lambda: os.path.exists(qmap.path('out', '.qmap', 'journal.0001')))
    process.kill()
    process.communicate()
    control(qmap, 'cancel', '2000-11999')
    control(qmap, 'cancel', '-s', 'u')
    control(qmap, 'retry', '11000-11009')
    assert qmap('reattach', '-l', 'out').code == 1
    assert [status for status in qmap.statuses('out')[11000:11009]] == ['COMPLETED'] * 9


def test_stop_and_cancel_where_the_scheduler_is_silent_ends(qmap):
    at_executor(qmap, 'lsf')
    qmap.write('mine.conf', 'executor = lsf\npoll = 1\n')
    qmap.write('a.map', 'sleep 100\n' * 2)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-p', 'mine')
    until(lambda: os.path.exists(qmap.path('out', '.qmap')) and 'RUNNING' in qmap.statuses('out'))
    process.kill()
    process.communicate()
    path, qmap.environ['PATH'] = qmap.environ['PATH'], os.defpath
    result = qmap('control', '-l', 'out', 'stop', '--cancel', timeout=60)
    assert result.code == 0 and 'cancelling' in result.out, result
    qmap.environ['PATH'] = path
    assert qmap('reattach', '-l', 'out').code == 1
    assert qmap.statuses('out') == ['FAILED'] * 2


def test_the_info_of_what_was_retried_and_then_taken_back(qmap):
    qmap.write('a.map', 'false\n')
    qmap('submit', 'a.map', '--logs', 'out')
    control(qmap, 'retry')
    assert not os.path.exists(qmap.path('out', '0.info'))
    control(qmap, 'cancel')
    info = qmap.info('out', '0')
    assert (info['status'], info['error_reason'], info['retries'], info['attempts']) == ('FAILED', 'exit', 0, [])


def test_a_retry_warns_that_the_map_was_changed(qmap):
    qmap.write('a.map', 'flase\n')
    qmap('submit', 'a.map', '--logs', 'out')
    assert qmap('control', 'out', 'retry').err == ''
    qmap.write('a.map', 'true\n')
    result = qmap('control', 'out', 'retry')
    assert result.code == 0
    assert 'a.map: changed since it was submitted; retry runs the commands as submitted' in result.err
    assert qmap('control', 'out', 'pause').err == ''
    os.remove(qmap.path('a.map'))
    assert qmap('control', 'out', 'retry').err == ''
