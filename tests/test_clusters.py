"""The same cases through every executor: this machine, the LSF stand-in, and real Slurm and Grid Engine where they run.

tests/run starts the clusters; by hand: tests/clusters/slurm-up --accounting, then QMAP_TEST_SLURM=/var/lib/qmap-slurm;
tests/clusters/sge-up, then QMAP_TEST_SGE=1.
"""

import json
import os
import re
import select
import signal
import stat
import subprocess
import time

import pytest
from conftest import EXECUTORS, at_executor, until

#: Hardly depends on the Python.
pytestmark = pytest.mark.once


@pytest.fixture(params=EXECUTORS)
def cluster(request, qmap):
    """QMap with a profile for an executor that is there, and its commands counted in the file `calls`."""
    name = request.param
    commands = at_executor(qmap, name)
    count_calls(qmap, commands)
    qmap.executor = name
    qmap.write('mine.conf', 'executor = {}\npoll = 2\n'.format(name))
    qmap.environ['QMAP_PROFILE'] = 'mine'
    return qmap


def count_calls(qmap, commands):
    """Put a wrapper in front of each command that notes its calls."""
    os.mkdir(qmap.path('bin'))
    for command in commands:
        real = subprocess.check_output(['bash', '-c', 'type -P ' + command], env=qmap.environ).decode().strip()
        name = os.path.join('bin', command)
        qmap.write(name, '#!/bin/bash\necho {0} >>{1}\nexec {2} "$@"\n'.format(command, qmap.path('calls'), real))
        os.chmod(qmap.path(name), os.stat(qmap.path(name)).st_mode | stat.S_IXUSR)
    qmap.environ['PATH'] = qmap.path('bin') + ':' + qmap.environ['PATH']


def calls(qmap):
    return qmap.read('calls').split() if os.path.exists(qmap.path('calls')) else []


SUBMISSIONS = {'sbatch', 'qsub', 'bsub'}


def test_ends_of_all_kinds(cluster):
    cluster.write('a.map', 'echo out; echo err >&2\nexit 3\nkill -9 $$\nnosuchcommand\nexit 99\nexit 100\n'
                           'echo $QMAP_CORES $PWD\n')
    result = cluster('submit', 'a.map', '--logs', 'out')
    assert result.code == 1, result
    rows = [line.split('\t') for line in cluster(
        'info', '-l', 'out', '-s', 'all', 'status', 'exit_code', 'error_reason', 'executor_id', 'host').lines[1:]]
    assert [row[1:4] for row in rows] == [
        ['COMPLETED', '0', ''], ['FAILED', '3', 'exit'], ['FAILED', '137', 'signal'], ['FAILED', '127', 'exit'],
        ['FAILED', '99', 'exit'], ['FAILED', '100', 'exit'], ['COMPLETED', '0', '']]
    assert all(row[4] and row[5] for row in rows)
    assert cluster.read('out', '0.out') == 'out\n' and cluster.read('out', '0.err') == 'err\n'
    assert cluster.read('out', '6.out') == '1 {}\n'.format(cluster.folder)
    assert cluster.info('out', '0')['usage']['time']['cpu'] >= 0
    assert os.listdir(cluster.path('out', '.qmap', 'run')) == os.listdir(cluster.path('out', '.qmap', 'batch')) == []
    if cluster.executor != 'local':
        assert len(SUBMISSIONS & set(calls(cluster))) == 1 and sum(call in SUBMISSIONS for call in calls(cluster)) == 1


def test_equal_parameters_go_out_together_and_job_cmd_can_be_pasted(cluster):
    cluster.write('a.map', 'echo ran >>ran_${QMAP_LINE}\n' * 30 + 'echo ran >>ran_${QMAP_LINE} ## time=30m\n')
    assert cluster('submit', 'a.map', '-t', '1h', '-r', '40', '--logs', 'out').code == 0
    assert all(cluster.read('ran_{:02d}'.format(number)) == 'ran\n' for number in range(31))
    if cluster.executor != 'local':
        assert sum(call in SUBMISSIONS for call in calls(cluster)) == 2
        command = cluster.info('out', '00')['job_cmd']
        assert re.match(r'(\w+=\w+ )?(sbatch|qsub|bsub) ', command)


def test_parameters_are_asked_for_and_the_job_sees_them(cluster):
    cluster.write('a.map', 'echo $QMAP_CORES $QMAP_MEMORY; ulimit -n >/dev/null\n')
    result = cluster('submit', 'a.map', '-c', '2', '-m', '500M', '-t', '10m', '-n', 'my name: 1/x', '--logs', 'out')
    assert result.code == 0, result
    assert cluster.read('out', '0.out') == '2 500M\n'


def test_odd_folders(cluster):
    for name in ('a b', "a'; echo x", '%j%d', '$HOME', 'h\u00e9', 'c:d,e'):
        os.mkdir(cluster.path(name))
        cluster.write(os.path.join(name, 'a.map'), 'pwd\n')
        inner = cluster.folder
        cluster.folder = cluster.path(name)
        try:
            result = cluster('submit', 'a.map', '--logs', 'out')
            assert result.code == 0, result
            assert cluster.read('out', '0.out') == cluster.folder + '\n'
        finally:
            cluster.folder = inner


def test_the_environment_reaches_the_job_without_that_of_a_surrounding_one(cluster):
    cluster.environ.update(MINE='a b,c="d"', SLURM_ARRAY_TASK_ID='77', SGE_TASK_ID='77', LSB_JOBINDEX='77',
                           SLURM_MEM_PER_CPU='1', SLURM_CPU_BIND='x')
    cluster.environ.pop('LC_ALL', None)
    cluster.write('a.map', 'echo "$MINE" $LC_ALL $SLURM_CPU_BIND\n' * 2)
    assert cluster('submit', 'a.map', '--logs', 'out').code == 0
    bound = ' x' if cluster.executor == 'local' else ''    # nothing is submitted there: it is the user's own
    assert cluster.read('out', '0.out') == cluster.read('out', '1.out') == 'a b,c="d"{}\n'.format(bound)


def test_what_cannot_be_started_through_its_own_fault_fails_at_once_and_leaves_the_queue(cluster):
    cluster.write('a.map', 'true ## working_directory=/nonexistent/x\n' * 3)
    result = cluster('submit', 'a.map', '--logs', 'out')
    assert result.code == 1
    for id in '012':
        info = cluster.info('out', id)
        assert (info['error_reason'], info['retries']) == ('exit', 0) and re.search(
            '/nonexistent/x|CWD_NOTEXIST', info['error']), info
    assert sum(call in SUBMISSIONS for call in calls(cluster)) == (cluster.executor != 'local')
    if cluster.executor == 'sge':
        number = cluster.info('out', '0')['executor_id'].partition('.')[0]
        assert not re.search(r'^ *{} '.format(number), subprocess.check_output(['qstat']).decode(), re.M)


def test_what_is_refused_fails_with_the_schedulers_own_words(cluster):
    if cluster.executor == 'local':
        pytest.skip('this machine has no queues')
    cluster.write('a.map', 'true ## queue=nosuchqueue\ntrue\n')
    result = cluster('submit', 'a.map', '--logs', 'out')
    assert result.code == 1
    info = cluster.info('out', '0')
    assert info['error_reason'] == 'submit' and re.search('partition|queue', info['error'])
    assert cluster.info('out', '1')['status'] == 'COMPLETED'


def test_ctrl_c_twice_cancels_what_runs_and_what_waits(cluster):
    cluster.write('a.map', 'echo begun; sleep 1000\n' * 3)
    with open(cluster.path('screen'), 'wb') as screen:
        process = cluster.start('submit', 'a.map', '--logs', 'out', '-r', '2', stdout=screen)
    until(lambda: all(os.path.exists(cluster.path('out', id + '.out')) for id in '01'))
    until(lambda: '2 running' in cluster.read('screen'))
    os.kill(process.pid, signal.SIGINT)
    until(lambda: 'Ctrl-C again' in cluster.read('screen'))
    time.sleep(0.5)    # a second one at the same moment would be the first one, passed on
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=100)
    assert process.returncode == 130
    assert cluster.statuses('out') == ['FAILED', 'FAILED', 'UNSUBMITTED']
    assert {cluster.info('out', id)['error_reason'] for id in '01'} == {'cancelled'}


def test_a_driver_that_dies_and_one_that_comes_back(cluster):
    cluster.write('a.map', 'echo ${QMAP_LINE} >>ran_${QMAP_LINE}; sleep 0.3\n' * 40)
    process = cluster.start('submit', 'a.map', '--logs', 'out', '-r', '10')
    until(lambda: len([name for name in os.listdir(cluster.folder) if name.startswith('ran_')]) > 5)
    process.kill()
    process.communicate()
    result = cluster('reattach', '-l', 'out')
    assert result.code == 0, result
    assert all(cluster.read('ran_{:02d}'.format(number)).count('\n') == 1 for number in range(40))


@pytest.mark.slow
def test_a_job_over_its_memory(cluster):
    if cluster.executor == 'lsf':
        pytest.skip('LSF enforces it only where the site wants it: see test_lsf_fake.py')
    cluster.write('eat.py', 'x = bytearray(400 << 20)\nimport time\ntime.sleep(60)\n')
    cluster.write('a.map', '{} eat.py\n'.format(cluster.program[0]))
    result = cluster('submit', 'a.map', '-m', '100M', '--logs', 'out')
    assert result.code == 1
    info = cluster.info('out', '0')
    # Grid Engine makes malloc fail: Python itself says so
    assert info['error_reason'] == 'memory' or cluster.executor == 'sge' and 'MemoryError' in info['error'], info


@pytest.mark.slow
def test_a_job_over_its_time(cluster):
    if cluster.executor == 'slurm':
        pytest.skip('Slurm counts in minutes: see test_slurm_real.py')
    cluster.write('a.map', 'sleep 1000\n')
    assert cluster('submit', 'a.map', '-t', '3s', '--logs', 'out').code == 1
    assert cluster.info('out', '0')['error_reason'] == 'time'


@pytest.mark.slow
def test_two_thousand_short_jobs_cost_few_calls(cluster):
    if cluster.executor == 'local':
        pytest.skip('this machine has no scheduler to spare')
    cluster.write('a.map', 'sleep 0.1\n' * 2000)
    cluster.write('mine.conf', 'executor = {}\n'.format(cluster.executor))
    result = cluster('submit', 'a.map', '-r', '64', '--logs', 'out', timeout=900)
    assert result.code == 0, result
    made = calls(cluster)
    seconds = json.loads(cluster.read('out', 'execution.info'))
    submissions = sum(call in SUBMISSIONS for call in made)
    assert submissions < 100, submissions
    last = max(cluster.info('out', '{:04d}'.format(number))['seconds']['finished'] for number in range(2000))
    minutes = max(1, (last - seconds['created_seconds']) / 60)
    assert (len(made) - submissions) / minutes < 20
    assert cluster('info', '-l', 'out', '-s', 'c', 'usage.time.cpu').out.count('\n') == 2001


@pytest.mark.parametrize('accepted', [True, False])
def test_a_submission_whose_reply_is_lost(cluster, accepted):
    if cluster.executor == 'local':
        pytest.skip('nothing is between QMap and this machine')
    cluster.write('a.map', 'echo ran >>ran_${QMAP_LINE}; sleep 0.1\n' * 12)
    command = sorted(SUBMISSIONS & set(os.listdir(cluster.path('bin'))))[0]
    wrapper = cluster.read('bin', command).splitlines()
    # The first call ends as if it had been killed: without a word, and nobody knows whether it got through.
    quietly = '{} >/dev/null 2>&1'.format(wrapper[-1].replace('exec ', '') if accepted else 'true')
    lost = ['if mkdir {}; then'.format(cluster.path('first')), quietly, 'exit 143', 'fi']
    cluster.write('bin/' + command, '\n'.join(wrapper[:-1] + lost + wrapper[-1:]) + '\n')
    result = cluster('submit', 'a.map', '-r', '6', '--logs', 'out')
    assert result.code == 0, result
    assert all(cluster.read('ran_{:02d}'.format(number)) == 'ran\n' for number in range(12))
    assert sum(call in SUBMISSIONS for call in calls(cluster)) >= (2 if accepted else 3)


def test_run_is_as_if_it_had_been_typed(cluster):
    cluster.environ['MINE'] = 'a b'
    result = cluster('run', '-q', 'echo "$MINE"; pwd; echo err >&2; exit 5')
    assert result.code == 5, result
    assert result.out == 'a b\n{}\n'.format(cluster.folder) and 'err\n' in result.err
    assert 'qmap: elapsed 00:00:0' in cluster('run', 'true').err
    result = cluster('run', '-q', '-c', '2', '-m', '500M', '-t', '10m', 'echo "$QMAP_CORES  \'x\'"\necho b')
    assert result.out == "2  'x'\nb\n"
    assert cluster('run', '-q', 'kill -9 $$').code == 137


def test_ctrl_c_ends_what_run_runs(cluster):
    import pty
    pid, terminal = pty.fork()
    if not pid:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.chdir(cluster.folder)
        os.execve(cluster.program[0], cluster.program + ['run', 'test -t 1 && echo tty; touch begun; exec sleep 1000'],
                  cluster.environ)
    until(lambda: os.path.exists(cluster.path('begun')))
    seen = b''
    try:
        for _ in range(60):
            os.write(terminal, b'\x03')    # bash passes over one that comes while touch runs
            while select.select([terminal], [], [], 1)[0]:
                seen += os.read(terminal, 1000)
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass    # the other end is closed
    status = os.waitpid(pid, 0)[1]
    os.close(terminal)
    assert b'tty' in seen
    assert os.WEXITSTATUS(status) != 0 or cluster.executor == 'sge'    # qrsh says 0 then


@pytest.mark.slow
def test_a_night_that_mends_itself(cluster):
    """Of 60 jobs, 10 want twice the memory, 5 twice the time, 5 have a bug, and a node is lost: all others complete.

    Only Slurm has several nodes here, and what is over its time ends minutes later there: see test_slurm_real.py.
    """
    if cluster.executor == 'lsf':
        pytest.skip('LSF enforces memory only where the site wants it: see test_lsf_fake.py')
    with_nodes = cluster.executor == 'slurm'
    cluster.write('eat.py', 'x = bytearray(150 << 20)\nimport time\ntime.sleep(2)\n')
    memory = '180M' if cluster.executor == 'sge' else '100M'
    cluster.write('a.map', ('sleep 20\n' if with_nodes else 'true\n') * 5 + 'true\n' * 35
                  + '{} eat.py ## memory={}\n'.format(cluster.program[0], memory) * 10
                  + 'sleep {} ## time=3s\n'.format(0 if with_nodes else 5) * 5 + 'exit 3\n' * 5)
    process = cluster.start('submit', 'a.map', '--logs', 'out', '-m', '200M', '-t', '10m', '--retries', '2', '-r', '32')
    if with_nodes:
        until(lambda: os.path.exists(cluster.path('out')) and cluster.statuses('out')[0] == 'RUNNING')
        node = cluster('info', '-l', 'out', '-s', 'all', 'host').lines[1].split('\t')[1]
        update = ['scontrol', 'update', 'nodename=' + node, 'reason=test', 'state=']
        subprocess.check_call(update[:-1] + ['state=down'], env=cluster.environ)
        until(lambda: '"error_reason": "node"' in cluster(
            'info', '-l', 'out', '-s', 'all', 'attempts', '--format', 'json').out)
        subprocess.call(update[:-1] + ['state=resume'], env=cluster.environ)    # it may have come back by itself
    assert process.wait(600) == 1
    assert cluster.statuses('out') == ['COMPLETED'] * 55 + ['FAILED'] * 5


def test_outputs_of_jobs_of_several_commands_and_a_map_that_grows(cluster):
    cluster.write('a.map', 'echo a > a ## out=a\ntrue ## out=b\necho c > c ## out=c\n')
    assert cluster('submit', 'a.map', '-l', 'out', '-g', '2', '-q').code == 1
    told = cluster('info', '-l', 'out', 'error', 'commands.done')
    assert told.lines[1:] == ['0\tb is missing or empty\t1']
    cluster.write('d', 'x')
    cluster.write('a.map', 'echo d > d ## out=d\necho c > c ## out=c\n')
    result = cluster('submit', 'a.map', '-l', 'out', '--resume', '--skip', 'existing', '--no-console')
    assert '2 jobs: 1 done, 1 new; 1 no longer in the map' in result.out and '2 completed (1 skipped)' in result.out
    assert cluster.read('d') == 'x' and cluster.info('out', '4')['reason'] == 'skipped: its outputs exist'
