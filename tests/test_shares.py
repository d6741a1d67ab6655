"""Short jobs on this machine share a shell: nothing differs from a shell of their own, but for the time it takes."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import QMAP, until

#: So many short jobs that those which come after them share a shell.
MANY = 400

#: Scripts that would differ if anything leaked, or were not as in a bash of its own.
SCRIPTS = [
    'true', 'false', 'exit 7', 'echo out; echo err >&2', 'no-such-command', 'kill -9 $$', 'kill -TERM $BASHPID',
    'set -e; false; echo no', 'set -u; echo $nothing_is_there; echo no', 'if true; then', 'echo "$#-$*-$?"',
    'set -o pipefail; false | true', '[ "$$" = "$BASHPID" ] && echo same', 'echo $0 | sed "s,.*/[0-9]*,,"',
    'trap "echo bye" EXIT; exit 3', 'exec echo replaced', 'cd /; pwd', 'pwd', 'umask', 'umask 077', 'umask',
    'ulimit -n 99; ulimit -n', 'ulimit -n', 'leak=1; export LEAK=1', 'echo "${leak-none} ${LEAK-none}"',
    'exec 7>/dev/null', 'ls /proc/self/fd | tr "\\n" " "', 'alias ls=false; function ls { :; }', 'type -t ls',
    'trap "" TERM', 'trap', 'cat', 'read line || echo nothing', 'echo "${!qmap_@}"', 'compgen -v | grep qmap_',
    'declare -F', 'wait; echo waited', '(exit 4)', 'sleep 0.01 & wait', 'sleep 100 &', 'kill 0',
    'sleep 5 & kill %1; wait; echo ok', 'python3 -c "import os; os.kill(os.getppid(), 9)"', 'return 3',
    'source /dev/null && echo sourced', '. /dev/null && echo dotted', 'echo $SHLVL $PPID >/dev/null; echo $-',
    'echo ${BASH_SOURCE[0]##*[0-9]}', 'local x', 'shopt | sort | cksum', 'set -o | cksum',
    'env | grep -v "QMAP_\\|^_=\\|SHLVL\\|PWD" | sort | cksum', 'jobs', 'sh -c "exit 5"', 'echo $((1/0))',
    'echo "unclosed', 'printf "\\\\377"', 'cat <<< held', 'for i in 1 2 3; do echo $i; done | tail -n 1',
    'coproc cat; echo ${COPROC[0]:+fd}', 'false; echo $?', ': ${x?unset}', 'n=qmap; eval "echo \\${${n}_time-none}"',
    'python3 -c "import os; print(os.getpgrp() == os.getpgid(os.getppid()))" & wait']


def output(qmap, logs, id):
    texts = (qmap.read(logs, id + suffix) for suffix in ('.out', '.err'))
    return [re.sub(r'(/)(alone|shared)/[0-9]+|(line|forked|pid) [0-9]+', r'\1\3', text) for text in texts]


def journal(qmap, logs):
    return [json.loads(line) for name in sorted(os.listdir(qmap.path(logs, '.qmap'))) if name.startswith('journal.')
            for line in qmap.read(logs, '.qmap', name).splitlines()]


def shared(qmap, logs):
    """Return the ids of the jobs that were begun in a share."""
    batches = {event['batch'] for event in journal(qmap, logs) if event['event'] == 'batch' and 'chunks' in event}
    return {event['job'] for event in journal(qmap, logs) if event['event'] == 'end' and event.get('batch') in batches}


@pytest.mark.slow
def test_all_comes_out_as_in_a_shell_of_its_own(qmap):
    qmap.write('alone.map', ''.join(script + ' ## memory=1G\n' for script in SCRIPTS))
    qmap.write('shared.map', 'true\n' * MANY + '\n'.join(SCRIPTS) + '\n')
    qmap('submit', 'alone.map', '--logs', 'alone')
    qmap('submit', 'shared.map', '--logs', 'shared', '-r', '2')
    assert len(shared(qmap, 'shared')) > MANY / 2 and not shared(qmap, 'alone')
    for number, script in enumerate(SCRIPTS):
        one, other = '{:02}'.format(number), str(MANY + number)
        assert other in shared(qmap, 'shared')
        assert output(qmap, 'shared', other) == output(qmap, 'alone', one), script
        fields = ('status', 'exit_code', 'error_reason')
        assert [qmap.info('shared', other)[field] for field in fields] == \
            [qmap.info('alone', one)[field] for field in fields], script
    usage = qmap.info('shared', str(MANY + SCRIPTS.index('sh -c "exit 5"')))['usage']
    assert usage['time']['cpu'] < 5 and usage['time']['seconds'] >= 0


@pytest.mark.slow
def test_a_long_job_among_short_ones_holds_nobody_up(qmap):
    qmap.write('a.map', ('true\n' * MANY + 'sleep 3; echo slept\n') * 2 + 'true\n' * MANY)
    assert qmap('submit', 'a.map', '--logs', 'out', '-r', '2', timeout=30).code == 0
    events = [event for event in journal(qmap, 'out') if event['event'] == 'end']
    slept = [qmap.info('out', '{:04}'.format(number)) for number in (MANY, 2 * MANY + 1)]
    first = min(info['seconds']['finished'] for info in slept)
    assert len([event for event in events if event['finished'] < first]) > MANY
    assert len(events) == 3 * MANY + 2


def test_what_waits_behind_a_long_job_is_given_to_others(qmap):
    # The long one waits for all of them: those of its own share would never begin.
    waits = 'until [ "$(wc -l <ran)" = 100 ]; do sleep 0.1; done\n'
    qmap.write('a.map', 'true\n' * MANY + waits + 'echo ran >>ran\n' * 100)
    qmap.write('ran', '')
    assert qmap('submit', 'a.map', '--logs', 'out', '-r', '2', timeout=60).code == 0
    assert str(MANY) in shared(qmap, 'out')


def test_what_a_job_used_is_logged_once(qmap):
    qmap.write('a.map', 'true\n' * 2 * MANY + 'sleep 2\n')
    assert qmap('submit', 'a.map', '--logs', 'out', '-r', '2').code == 0
    told = [event['job'] for event in journal(qmap, 'out') if event['event'] == 'usage']
    assert len(told) == len(set(told))


def test_one_of_them_is_cancelled_and_its_neighbours_are_not(qmap):
    qmap.write('a.map', 'true\n' * MANY + 'echo begun >here; sleep 1000\n' + 'echo ran >>ran\n' * 50)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1')
    until(lambda: os.path.exists(qmap.path('here')))
    assert qmap('control', '-l', 'out', 'cancel', str(MANY)).code == 0
    process.communicate(timeout=60)
    info = qmap.info('out', str(MANY))
    assert (info['status'], info['error_reason']) == ('FAILED', 'cancelled')
    assert qmap.read('ran') == 'ran\n' * 50
    assert sorted(set(qmap.statuses('out'))) == ['COMPLETED', 'FAILED']


def test_a_shell_that_is_killed_costs_the_job_that_it_ran(qmap):
    qmap.write('a.map', 'true\n' * MANY + 'echo begun >here; sleep 1000\n' + 'echo ran >>ran\n' * 50)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1')
    until(lambda: os.path.exists(qmap.path('here')))
    until(lambda: str(MANY) in {event['job'] for event in journal(qmap, 'out') if event['event'] == 'run'})
    run = [event for event in journal(qmap, 'out') if event['event'] == 'run' and event['job'] == str(MANY)][-1]
    os.kill(int(run['executor_id']), signal.SIGKILL)
    process.communicate(timeout=60)
    info = qmap.info('out', str(MANY))
    assert (info['status'], info['error_reason'], info['exit_code']) == ('FAILED', 'signal', 137)
    assert qmap.read('ran') == 'ran\n' * 50


@pytest.mark.slow
@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGTERM])
def test_each_runs_once_though_drivers_come_and_go(qmap, how):
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran; sleep 0.01\n' * 600)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '2')
    for enough in (100, 250, 400):
        until(lambda: os.path.exists(qmap.path('ran')) and len(qmap.read('ran').split()) > enough)
        process.send_signal(how)
        process.communicate()
        process = qmap.start('reattach', '-l', 'out')
    process.communicate(timeout=60)
    assert sorted(qmap.read('ran').split()) == ['{:03}'.format(number) for number in range(600)]
    assert set(qmap.statuses('out')) == {'COMPLETED'}
    assert shared(qmap, 'out') and os.listdir(qmap.path('out', '.qmap', 'run')) == []


def test_a_driver_that_leaves_leaves_nothing_that_begins_later(qmap):
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran; sleep 0.01\n' * 600)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '2')
    until(lambda: os.path.exists(qmap.path('ran')) and len(qmap.read('ran').split()) > 100)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    before = len(qmap.read('ran').split())
    time.sleep(0.5)
    assert len(qmap.read('ran').split()) <= before + 2
    statuses = qmap.statuses('out')
    assert statuses.count('UNSUBMITTED') >= 600 - before - 2


@pytest.mark.slow
def test_what_has_ended_is_known_when_the_driver_leaves(qmap):
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran; sleep 0.01\n' * 2000)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '2')
    until(lambda: os.path.exists(qmap.path('ran')) and len(qmap.read('ran').split()) > 300)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    time.sleep(0.3)
    assert qmap.statuses('out').count('COMPLETED') >= len(qmap.read('ran').split()) - 3


@pytest.mark.slow
def test_what_a_share_said_is_logged_once_there_is_room(qmap):
    qmap.write('full.py', """
import errno, sys
import qmap
real, refused = qmap.Journal.write, []
def write(self, events):
    if not refused and sum(event['event'] == 'end' for event in events) > 20:
        refused.append(True)
        raise OSError(errno.ENOSPC, 'No space left on device')
    return real(self, events)
qmap.Journal.write = write
code = qmap.main(['submit', 'a.map', '--logs', 'out', '-r', '2'])
sys.exit(code if refused else 9)
""")
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran\n' * 900)
    environ = dict(qmap.environ, PYTHONPATH=os.path.dirname(QMAP))
    assert subprocess.call([sys.executable, qmap.path('full.py')], cwd=qmap.folder, env=environ, timeout=100) == 0
    assert sorted(qmap.read('ran').split()) == ['{:03}'.format(number) for number in range(900)]


@pytest.mark.slow
def test_cancelling_what_runs_again_and_again_harms_nobody_else(qmap):
    qmap.write('often.py', """
import sys, time
import qmap
execution = qmap.submit('a.map', logs='out', max_running=2, profile='local')
asked = 0
def execution_running():
    return [info['id'] for info in execution.jobs('running', ['id'])]
while not execution.wait(0.1):
    running = [int(id) for id in execution_running()]
    if running:
        qmap.Inbox(qmap.Logs(execution.path), qmap.Host()).drop(
            {'do': 'cancel', 'ids': [[id, id] for id in running], 'by': 'me'})
        asked += 1
sys.exit(0 if asked > 5 else 9)
""")
    command = 'echo ${QMAP_LINE} >>ran; sleep '
    qmap.write('a.map', ((command + '0.01\n') * 99 + command + '4\n') * 6)
    environ = dict(qmap.environ, PYTHONPATH=os.path.dirname(QMAP))
    assert subprocess.call([sys.executable, qmap.path('often.py')], cwd=qmap.folder, env=environ, timeout=100) == 0
    ran = qmap.read('ran').split()
    assert len(ran) == len(set(ran)), 'no attempt twice'
    statuses = qmap.statuses('out')
    assert set(statuses) == {'COMPLETED', 'FAILED'} and len(statuses) == 600
    failed = qmap('info', '-l', 'out', 'error_reason').lines[1:]
    assert {line.partition('\t')[2] for line in failed} == {'cancelled'}


@pytest.mark.slow
def test_a_shell_that_is_told_to_end_passes_it_on(qmap):
    qmap.write('a.map', 'true\n' * MANY + 'echo begun >here; sleep 1000; echo late >late\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1')
    until(lambda: os.path.exists(qmap.path('here')))
    until(lambda: str(MANY) in {event['job'] for event in journal(qmap, 'out') if event['event'] == 'run'})
    process.kill()
    process.wait()
    process = qmap.start('reattach', '-l', 'out')
    until(lambda: os.path.exists(qmap.path('out', '.qmap', 'journal.0002')))
    run = [event for event in journal(qmap, 'out') if event['event'] == 'run' and event['job'] == str(MANY)][-1]
    os.kill(int(run['executor_id']), signal.SIGTERM)
    process.communicate(timeout=60)
    info = qmap.info('out', str(MANY))
    assert (info['status'], info['exit_code']) == ('FAILED', 143) and not os.path.exists(qmap.path('late'))


def test_a_job_that_is_stopped_has_not_ended(qmap):
    qmap.write('a.map', 'true\n' * MANY + 'echo begun >here; until [ -e go ]; do sleep 0.05; done; echo done >done\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1')
    until(lambda: os.path.exists(qmap.path('here')))
    until(lambda: str(MANY) in {event['job'] for event in journal(qmap, 'out') if event['event'] == 'run'})
    run = [event for event in journal(qmap, 'out') if event['event'] == 'run' and event['job'] == str(MANY)][-1]
    child = int(subprocess.check_output(['ps', '-o', 'pid=', '--ppid', run['executor_id']]))
    os.killpg(child, signal.SIGSTOP)
    time.sleep(0.3)
    os.killpg(child, signal.SIGCONT)
    qmap.write('go', '')
    process.communicate(timeout=60)
    assert process.returncode == 0 and qmap.read('done') == 'done\n'


@pytest.mark.slow
def test_what_ends_is_told_at_once_and_what_it_used_follows(qmap):
    qmap.write('a.map', 'true\n' * MANY + 'until [ -e go$QMAP_LINE ]; do sleep 0.05; done\n' * 10)
    process = qmap.start('submit', 'a.map', '-l', 'out', '-r', '2')
    for number in range(MANY, MANY + 10):    # the share ends only with the last of them
        qmap.write('go{}'.format(number), '')
        until(lambda: qmap.statuses('out')[number] == 'COMPLETED' if os.path.exists(qmap.path('out')) else False)
    process.communicate()
    assert process.returncode == 0
    rows = [line.split('\t') for line in qmap('info', '-l', 'out', '-s', 'all', 'usage.memory.below').lines[1:]]
    assert len(rows) == MANY + 10 and all(int(row[1]) > 0 for row in rows[MANY:])    # `true` needs less than QMap
