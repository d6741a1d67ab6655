"""Workers that pull jobs from lists: each job runs once, with its own records, whatever becomes of a worker."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import at_executor, until
from module_submit import ended
from test_driver import Host, Scripted, each_once, execution
from test_reattach import journal
import qmap as module

#: Hardly depends on the Python.
pytestmark = pytest.mark.once

CLUSTERS = ['lsf', pytest.param('slurm', marks=pytest.mark.cluster), pytest.param('sge', marks=pytest.mark.cluster)]
ONCE = 'echo ran >>ran_${QMAP_LINE}; echo to out ${QMAP_LINE}'


@pytest.fixture(params=CLUSTERS)
def cluster(request, qmap):
    """QMap with a cluster that it asks every two seconds."""
    at_executor(qmap, request.param)
    qmap.write('mine.conf', 'executor = {}\npoll = 2\n'.format(request.param))
    qmap.environ['QMAP_PROFILE'] = 'mine'
    qmap.cluster = request.param
    return qmap


@pytest.fixture
def lsf(qmap):
    """The same with the stand-in alone, where the cluster makes no difference."""
    at_executor(qmap, 'lsf')
    qmap.write('mine.conf', 'executor = lsf\npoll = 2\n')
    qmap.environ['QMAP_PROFILE'] = 'mine'
    return qmap


def ran(tool):
    """Return {line: how often it ran}."""
    return {name[4:]: tool.read(name).count('ran') for name in os.listdir(tool.folder) if name.startswith('ran_')}


def records(tool, *fields):
    """Return the rows of a table of fields, without its header."""
    return [line.split('\t') for line in tool('info', '-l', 'out', '-s', 'all', *fields).lines[1:]]


def test_every_job_runs_once_and_has_its_own_record(cluster):
    cluster.write('a.map', (ONCE + '\n') * 200)
    result = cluster('submit', 'a.map', '--pull', '4', '-l', 'out')
    assert result.code == 0, result
    assert ran(cluster) == {'{:03d}'.format(number): 1 for number in range(200)}
    rows = records(cluster, 'status', 'exit_code', 'executor_id', 'host', 'usage.time.cpu', 'started')
    assert all(row[1:3] == ['COMPLETED', '0'] and all(row[3:]) for row in rows)
    assert 1 <= len({row[3] for row in rows}) <= 4
    assert cluster.read('out', '007.out') == 'to out 007\n'
    assert os.listdir(cluster.path('out', '.qmap', 'run')) == os.listdir(cluster.path('out', '.qmap', 'batch')) == []


@pytest.mark.slow
def test_a_worker_that_dies_costs_the_job_that_it_ran(cluster):
    commands = [ONCE] * 60
    # The worker itself.
    commands[9] = ONCE + '; mkdir killed || exit 9; kill -9 $(cut -d" " -f4 /proc/$PPID/stat); sleep 100'
    commands[20] = 'exit 3'
    cluster.write('a.map', '\n'.join(commands) + '\n')
    result = cluster('submit', 'a.map', '--pull', '3', '-l', 'out', timeout=400)
    assert result.code == 1, result
    failed = {row[0]: row[1:] for row in records(cluster, 'status', 'error_reason') if row[1] == 'FAILED'}
    assert sorted(failed) == ['09', '20'] and failed['20'][1] == 'exit'
    # Where the scheduler says that a signal ended the worker, it may not have been the job: that runs once more.
    times = ran(cluster)
    assert times.pop('09') <= 2 and set(times.values()) == {1} and len(times) == 58


def test_cancelling_one_that_waits_and_one_that_runs(cluster):
    cluster.write('a.map', 'echo ran >>ran_${QMAP_LINE}; sleep 3000\n' + (ONCE + '; sleep 1\n') * 12)
    with open(cluster.path('screen'), 'wb') as screen:
        process = cluster.start('submit', 'a.map', '--pull', '1', '-l', 'out', stdout=screen)
    until(lambda: '00' in ran(cluster))
    assert cluster('control', '-l', 'out', 'cancel', '0,7').code == 0
    process.communicate(timeout=300)
    rows = {row[0]: row[1:] for row in records(cluster, 'status', 'error_reason')}
    assert rows.pop('00') == rows.pop('07') == ['FAILED', 'cancelled']
    assert all(row == ['COMPLETED', ''] for row in rows.values())
    assert '07' not in ran(cluster) and set(ran(cluster).values()) == {1}


def test_a_driver_that_is_killed_is_followed_by_another(cluster):
    cluster.write('a.map', (ONCE + '; sleep 0.3\n') * 60)
    process = cluster.start('submit', 'a.map', '--pull', '3', '-l', 'out')
    until(lambda: len(ran(cluster)) > 10)
    process.kill()
    process.communicate()
    result = cluster('reattach', '-l', 'out')
    assert result.code == 0, result
    assert set(ran(cluster).values()) == {1} and len(ran(cluster)) == 60


def test_ctrl_c_twice_ends_workers_and_jobs(cluster):
    cluster.write('a.map', (ONCE + '; sleep 300\n') * 30)
    process = cluster.start('submit', 'a.map', '--pull', '3', '-l', 'out')
    until(lambda: len(ran(cluster)) == 3)
    until(lambda: [row for row in records(cluster, 'status') if row[1] == 'RUNNING'])
    process.send_signal(signal.SIGINT)
    until(lambda: b'no new jobs' in os.read(process.stdout.fileno(), 100000))
    time.sleep(0.5)    # a second one at the same moment would be the first one, passed on
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=150) and process.returncode == 130
    assert set(ran(cluster).values()) == {1}
    rows = records(cluster, 'status', 'error_reason')
    assert {tuple(row[1:]) for row in rows} <= {('FAILED', 'cancelled'), ('UNSUBMITTED', '')}
    assert len(ran(cluster)) <= sum(row[1] == 'FAILED' for row in rows)


def test_a_job_that_asks_for_more_than_a_worker_has_is_submitted_by_itself(lsf):
    lsf.write('a.map', (ONCE + '\n') * 5 + ONCE + ' ## cores=2\n' + ONCE + ' ## memory=1G\n')
    result = lsf('submit', 'a.map', '--pull', '2', '-l', 'out', '-c', '1')
    assert result.code == 0, result
    submissions = {row[0]: re.sub(r'\[.*', '', row[1]) for row in records(lsf, 'executor_id')}
    assert len({submissions[id] for id in '01234'}) == 1
    assert submissions['5'] != submissions['0'] != submissions['6'] != submissions['5']
    assert set(ran(lsf).values()) == {1} and len(ran(lsf)) == 7


def test_workers_and_jobs_by_themselves_are_no_more_than_may_run(lsf):
    lsf.write('a.map', (ONCE + '; sleep 1\n') * 4 + (ONCE + '; sleep 1 ## cores=2\n') * 4)
    result = lsf('submit', 'a.map', '--pull', '2', '-r', '3', '-l', 'out', '-c', '1')
    assert result.code == 0 and set(ran(lsf).values()) == {1} and len(ran(lsf)) == 8, result
    times = [(float(row[2]), float(row[3])) for row in records(lsf, 'status', 'seconds.started', 'seconds.finished')]
    assert max(sum(start <= began < end for start, end in times) for began, _ in times) <= 3


def test_its_own_time_is_kept_by_the_worker(lsf):
    lsf.write('a.map', 'sleep 300 ## time=0:00:02\n' + ONCE + '\n')
    result = lsf('submit', 'a.map', '--pull', '1', '-l', 'out', '-t', '1h')
    assert result.code == 1
    assert records(lsf, 'status', 'error_reason', 'error') == [
        ['0', 'FAILED', 'time', 'time limit exceeded (00:00:02)'], ['1', 'COMPLETED', '', '']]


def test_fewer_workers_when_fewer_may_run(lsf):
    lsf.write('a.map', (ONCE + '; sleep 0.3\n') * 120)
    process = lsf.start('submit', 'a.map', '--pull', '4', '-l', 'out')
    until(lambda: len(ran(lsf)) > 8)
    assert lsf('control', '-l', 'out', 'max-running', '1').code == 0
    process.communicate(timeout=200)
    assert process.returncode == 0 and set(ran(lsf).values()) == {1} and len(ran(lsf)) == 120
    late = sorted(records(lsf, 'executor_id', 'finished'), key=lambda row: row[2])[-15:]
    assert len({row[1] for row in late}) == 1


def test_it_is_for_clusters(qmap):
    qmap.write('a.map', 'true\n')
    result = qmap('submit', 'a.map', '--pull', '2')
    assert result.code == 2 and '--pull: only for clusters' in result.err


def test_none_are_made_where_0_is_given_whatever_the_profile_says(lsf):
    lsf.write('mine.conf', 'executor = lsf\npull = 2\n')
    lsf.write('a.map', 'true\n' * 4)
    assert '4 jobs, 2 workers, ' in lsf('submit', 'a.map', '-p', 'mine', '--dry-run').out
    assert 'workers' not in lsf('submit', 'a.map', '-p', 'mine', '--pull', '0', '--dry-run').out


class Site(module.Backend):
    """A scheduler that says in K and ID what it runs."""

    task_variable, id_variable = 'K', 'ID'


def crew(tool, commands, workers=1, within=0, last=True, site=Site, sizes=None):
    """Write the script and the list of workers, as the driver does, and return their logs."""
    logs = module.Logs(tool.path('out'))
    logs.create()
    module.write_text(logs.batch(1), module.batch_script(logs, 1, 0, site, True, (), workers, within))
    add_list(logs, 1, 1, ['{}.1'.format(number) for number in range(len(commands))], commands, last, sizes)
    return logs


def add_list(logs, batch, crew, tasks, commands, last=True, sizes=None):
    """Write a list for workers."""
    jobs = [(task, task.strip('=').partition('.')[0], 0, module.JobScript('', '', command + '\n', ''))
            for task, command in zip(tasks, commands)]
    module.write_text(logs.batch(batch, '.list'), module.job_list(crew, last, sizes or [(1, len(jobs))], jobs))


def heard(logs, kind):
    """Return {key: what was said} of what workers have said of jobs, of one kind."""
    names = [name for name in os.listdir(logs.run) if name.endswith('.start')]
    return {key: said for name in names for one, key, said in module.Words(logs, name).hear() if one == kind}


def last_words(logs, k=1):
    """Return what a worker has said as it left."""
    with open(logs.run_file('left', 1, k)) as source:
        return json.load(source)


@pytest.mark.parametrize('sizes', [[(1, 9)], [(9, 1)]])
def test_a_worker_leaves_before_its_time_is_over(qmap, sizes):
    logs = crew(qmap, ['sleep 1.2'] * 9, within=12, sizes=sizes)
    subprocess.check_call(['bash', logs.batch(1)])
    assert last_words(logs) == {'why': 'its time is nearly over', 'signal': ''}
    ended = heard(logs, 'e')
    assert 1 <= len(ended) < 9 and set(heard(logs, 's')) == set(ended)
    # It gives back what it has claimed and does not come to.
    assert list(heard(logs, 'v')) == ([] if sizes == [(1, 9)] else ['{}.1'.format(len(ended))])


@pytest.mark.parametrize('sizes', [[(1, 30)], [(6, 4), (1, 6)]])
def test_workers_share_a_list_and_begin_nothing_once_it_is_closed(qmap, sizes):
    logs = crew(qmap, ['echo ran; sleep 0.2'] * 30, workers=3, sizes=sizes)
    workers = [subprocess.Popen(['bash', logs.batch(1)], env=dict(os.environ, K=str(k))) for k in (1, 2, 3)]
    until(lambda: len(heard(logs, 'e')) > 5)
    os.unlink(logs.batch(1, '.list'))
    for worker in workers:
        worker.wait(60)
    ran = {key for key in heard(logs, 's') if os.path.exists(logs.job(key[:-2], '.out', 30))}
    assert len(ran) < 30 and set(heard(logs, 'e')) == ran == set(heard(logs, 's')) - set(heard(logs, 'v'))


def test_a_worker_goes_on_with_the_next_list_of_its_crew(qmap):
    logs = crew(qmap, ['echo $QMAP_DONE'] * 4, last=False)
    add_list(logs, 7, 2, ['3.1'], ['echo of another'])
    add_list(logs, 9, 1, ['=1.2'], ['echo $QMAP_DONE'])
    subprocess.check_call(['bash', logs.batch(1)])
    assert sorted(heard(logs, 'e')) == ['0.1', '1.1', '1.2', '2.1', '3.1']
    assert qmap.read('out', '1.out').splitlines()[-1] == logs.run + '/1.2.done'
    assert 'another' not in qmap.read('out', '3.out')


def test_a_list_for_crew_12_is_not_for_crew_1(qmap):
    logs = crew(qmap, ['true'] * 2, last=False)
    add_list(logs, 13, 12, ['1.7'], ['true'])
    add_list(logs, 14, 1, ['1.8'], ['true'])
    subprocess.check_call(['bash', logs.batch(1)])
    assert sorted(heard(logs, 'e')) == ['0.1', '1.1', '1.8']


def test_each_job_that_is_cancelled_may_end_by_itself(qmap):
    logs = crew(qmap, ["trap 'exit 7' TERM; while :; do sleep 0.1; done"] * 3)
    worker = subprocess.Popen(['bash', logs.batch(1)])
    for number in range(3):
        key = '{}.1'.format(number)
        until(lambda: key in heard(logs, 's'))
        module.write_text(os.path.join(logs.run, 'cancel.1.1'), '{0} {0}\n'.format(key))
        assert until(lambda: heard(logs, 'e').get(key))['exit_code'] == 7, number
    assert worker.wait(60) == 0


def test_a_job_further_on_in_a_chunk_that_is_cancelled_does_not_begin(qmap):
    waits = 'until [ -e {} ]; do sleep 0.1; done'.format(qmap.path('go'))
    logs = crew(qmap, [waits, 'echo ran', 'echo ran'], sizes=[(3, 1)])
    worker = subprocess.Popen(['bash', logs.batch(1)])
    until(lambda: '0.1' in heard(logs, 's'))
    module.write_text(os.path.join(logs.run, 'cancel.1.1'), '1.1 0.1\n')
    qmap.write('go', '')
    assert worker.wait(60) == 0
    assert list(heard(logs, 'c')) == ['1.1'] and sorted(heard(logs, 'e')) == ['0.1', '2.1']
    assert not os.path.exists(logs.job('1', '.out', 3))


def test_what_a_job_used_is_its_own(qmap):
    for sizes in ([(1, 2)], [(2, 1)]):
        logs = crew(qmap, ['i=0; while [ $((++i)) -lt 200000 ]; do :; done', 'true'], sizes=sizes)
        subprocess.check_call(['bash', logs.batch(1)])
        used = heard(logs, 'e')
        assert used['0.1']['cpu'] > 0.1 > used['1.1']['cpu'] >= 0
        shutil.rmtree(logs.path)


#: What tells a worker how long it may go on: Slurm's variable or squeue, Grid Engine's queue.
TELLS = [('slurm', {'SLURM_JOB_END_TIME': 9}, ''), ('slurm', {}, 'squeue echo 0:09'),
         ('sge', {}, 'qconf echo "h_rt 0:0:9,[b=0:1:0]"'), ('slurm', {}, 'squeue echo UNLIMITED'),
         ('slurm', {}, 'squeue exit 1'), ('sge', {}, 'qconf echo h_rt INFINITY')]


@pytest.mark.parametrize('name, environ, command', TELLS)
def test_a_worker_learns_how_long_it_may_go_on(qmap, monkeypatch, name, environ, command):
    monkeypatch.setattr(module, 'WORKER_ASKS', -4)    # at once
    known = bool(environ) or '9' in command
    site = type('Site', (Site,), {'remaining': module.load_backend(name).remaining})
    logs = crew(qmap, ['sleep 1.2'] * (9 if known else 2), site=site)
    os.mkdir(qmap.path('bin'))
    if command:
        qmap.write('bin/' + command.split()[0], '#!/bin/bash\n{}\n'.format(command.partition(' ')[2]))
        os.chmod(qmap.path('bin', command.split()[0]), 0o755)
    environ = {key: str(int(time.time()) + value) for key, value in environ.items()}
    subprocess.check_call(['bash', logs.batch(1)], env=dict(
        os.environ, PATH=qmap.path('bin') + ':' + os.environ['PATH'], SLURM_JOB_ID='1', QUEUE='main', **environ))
    assert last_words(logs)['why'] == ('its time is nearly over' if known else 'no job is left')
    assert 1 <= len(heard(logs, 'e')) < 9


def test_a_job_that_its_worker_had_no_time_for_runs_again_in_a_task_of_its_own(lsf):
    lsf.environ['FAKE_LSF_MINUTE'] = '8'    # QMap expects that a minute has 60 seconds
    lsf.write('a.map', 'echo ran >>ran_${QMAP_LINE}; sleep 3; echo done\n' * 3)
    result = lsf('submit', 'a.map', '--pull', '1', '-t', '1m', '-l', 'out')
    assert result.code == 0, result
    again = [id for id, count in ran(lsf).items() if count == 2]
    assert again and max(ran(lsf).values()) == 2
    assert [lsf.info('out', id)['retries'] for id in again] == [1] * len(again)
    assert all(lsf.read('out', '{}.out'.format(number)) == 'done\n' for number in range(3))


def test_short_jobs_go_to_workers_by_themselves_and_larger_ones_go_alone(cluster):
    cluster.write('a.map', (ONCE + '\n') * 100 + ONCE + ' ## cores=2\n')
    result = cluster('submit', 'a.map', '-r', '16', '-c', '1', '-l', 'out')
    assert result.code == 0 and set(ran(cluster).values()) == {1} and len(ran(cluster)) == 101, result
    assert (result.out + result.err).count('--pull 0 avoids this') == 1
    events = journal(cluster, 'out')
    decided = next(place for place, event in enumerate(events) if event['event'] == 'set')
    batches = [(place > decided, 'crew' in event, len(event['tasks'])) for place, event in enumerate(events)
               if event['event'] == 'batch']
    assert batches[0] == (False, False, 8)    # the others wait for a moment: the first tell how long they take
    assert [crew for late, crew, count in batches if late and not (count == 1 and not crew)] == [True]
    assert [count for late, crew, count in batches if late and not crew] == [1]
    summary = cluster('info', '-l', 'out', '--summary', '--format', 'json')
    assert json.loads(summary.out)['pull'] == 16 <= events[decided]['pull']    # as many as may run


@pytest.mark.parametrize('pull, crews', [(None, True), (0, False)])
def test_nobody_is_made_a_worker_where_0_is_given(qmap, pull, crews):
    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 70, Scripted(), pull=pull)
    told = []
    driver.lease.on_event = told.append
    driver.lead()
    driver.drive()
    each_once(qmap, driver)
    assert any('crew' in event for event in told) is crews
    assert ('pull' in driver.ledger.settings) is crews


class Now(Host):
    """A process for which time passes at once."""

    now = 0.0

    def time(self):
        return self.now


MANY = 8
#: Seconds that jobs took and waited; how many run; the time that each asks for; whether workers come of it.
SEEN = [
    ([(0.1, 3)] * MANY, 0, None, True), ([(0.1, 3)] * (MANY - 1), 0, None, False),
    ([(3, 3)] * MANY, 0, None, False), ([(40, 300)] * MANY, 0, None, True), ([(90, 3000)] * MANY, 0, None, False),
    ([(0.1, 3)] * MANY, 1, None, False), ([(0.1, 3)] * MANY * 2, 1, None, True),    # how long takes the one that runs?
    ([(0.1, 3)] * MANY + [(900, 3)] * 2, 0, None, False),    # some are short
    ([(0.1, 0.1)] * MANY + [(0.1, 3)] * MANY, 0, None, True),    # these waited for places
    ([(10, 300)] * MANY, 0, 60, False), ([(10, 300)] * MANY, 0, 120, True)]


@pytest.mark.parametrize('ends, running, time, workers', SEEN)
def test_jobs_are_short_where_they_take_much_less_than_the_scheduler_to_start_one(
        qmap, monkeypatch, ends, running, time, workers):
    monkeypatch.setattr(module.Submitter, 'gathering', lambda submitter: 2)
    driver = execution(qmap, 'true\n' * 160, Scripted(), Now(), pull=None)
    driver.plan.params.update({'time': time} if time else {})
    driver.lead()
    short, driver.here.now = driver.pools.short, 5000.0
    for lasted, waited in ends:
        short.note_end(ended('000', lasted, submitted=5000 - lasted - waited))
        short.note_end(ended('000', 0, submitted=5000 - waited, status='FAILED'))
    driver.ledger.counts[module.STATUSES.index(module.RUNNING)] = running
    short.decide()
    short.decide()
    assert driver.ledger.settings.get('pull') == (160 if workers else None)
