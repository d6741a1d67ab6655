"""Jobs that are interrupted by nothing that they did: they run again by themselves."""

import os
import subprocess

import pytest
from conftest import at_executor, until
from module_submit import ended, prepare

import qmap as module

#: Sleeps in its first attempt.
LINE = 'echo run >>ran; [ "$(wc -l <ran)" -gt {} ] || sleep 100\n'


def preempt(qmap, times):
    """Preempt the one job that runs, so many times."""
    for count in range(1, times + 1):
        until(lambda: os.path.exists(qmap.path('ran')) and len(qmap.read('ran').split()) == count, 100)
        jobs = subprocess.check_output(['bjobs', '-noheader', '-o', 'jobid'], env=qmap.environ).decode().split()
        subprocess.call(['bkill'] + jobs, env=qmap.environ, stdout=subprocess.DEVNULL)


@pytest.fixture
def lsf(qmap):
    """QMap on the LSF stand-in, where whoever kills a job preempts it."""
    at_executor(qmap, 'lsf')
    qmap.write(os.path.join('lsf', 'conf'), 'KILLED=TERM_PREEMPT: job killed after preemption\nTERMINATE_INTERVAL=1\n')
    qmap.write('mine.conf', 'executor = lsf\npoll = 2\n')
    return qmap


def test_a_preempted_job_runs_again_by_itself(lsf):
    lsf.write('a.map', LINE.format(1))
    with open(lsf.path('screen'), 'wb') as screen:
        process = lsf.start('submit', 'a.map', '-p', 'mine', '--logs', 'out', stdout=screen)
    preempt(lsf, 1)
    assert process.wait(120) == 0
    info = lsf.info('out', '0')
    assert (info['status'], info['retries']) == ('COMPLETED', 1)
    past, = info['attempts']
    assert (past['status'], past['error_reason']) == ('FAILED', 'preempted') and 'PREEMPT' in past['error']
    assert 'preempted: TERM_PREEMPT: job killed after preemption; runs again' in lsf.read('screen')
    assert lsf('info', '-l', 'out', '--summary').code == 0


def test_its_worker_takes_other_jobs(lsf):
    lsf.write('a.map', LINE.format(1) + 'echo b >>others\n' * 3)
    process = lsf.start('submit', 'a.map', '-p', 'mine', '--pull', '1', '--logs', 'out')
    preempt(lsf, 1)
    assert process.wait(120) == 0
    assert lsf.read('others') == 'b\n' * 3 and lsf.info('out', '0')['retries'] == 1


def test_who_is_cancelled_does_not_run_again(lsf):
    lsf.write('a.map', LINE.format(1))
    process = lsf.start('submit', 'a.map', '-p', 'mine', '--logs', 'out')
    until(lambda: os.path.exists(lsf.path('ran')))
    assert lsf('control', '-l', 'out', 'cancel', '0').code == 0
    assert process.wait(120) == 1
    info = lsf.info('out', '0')
    assert (info['error_reason'], info['retries'], lsf.read('ran')) == ('cancelled', 0, 'run\n')


def interrupted(attempt, reason='preempted', **more):
    """Return the end of an attempt of job 0 that was interrupted."""
    return ended('0', 5, status='FAILED', error_reason=reason, attempt=attempt, exit_code=None, **more)


@pytest.mark.parametrize('reasons, again', [
    ([], True), (['exit'] * 9, True), (['node'] * 4, True), (['node'] * 3 + ['preempted'] * 2, False)])
def test_five_times_at_the_most(qmap, reasons, again):
    path = prepare(qmap, 'true\ntrue\n', 'out')
    logs = module.Logs(path)
    journal = module.Journal(logs.journal(1), {'event': 'open', 'host': 'login', 'pid': 1, 'born': 'x/1'})
    for attempt, reason in enumerate(reasons, 1):
        journal.write([interrupted(attempt, reason), {'event': 'retry', 'numbers': [[0, 0]]}])
    journal.close()
    driver = module.Driver(logs, module.Plan(logs), module.Local(), module.Host())
    assert driver.lead()
    assert driver.recall.may_rerun(0, interrupted(len(reasons) + 1)) == again
    driver.lease.release()


def test_a_driver_that_died_before_it_could_say_so_leaves_it_to_the_next(qmap):
    path = prepare(qmap, 'echo a\necho b\n', 'out')
    journal = module.Journal(module.Logs(path).journal(1), {'event': 'open', 'host': 'login', 'pid': 1, 'born': 'x/1'})
    journal.write([{'event': 'lead', 'epoch': 1, 'host': 'login', 'pid': 1, 'born': 'x/1', 'read': {}, 'time': 1000.0},
                   interrupted(1, rerun=True)])
    journal.close()
    result = qmap('reattach', '-l', 'out', '--takeover')
    assert result.code == 0, result
    assert qmap.info('out', '0')['retries'] == 1 and qmap.info('out', '1')['retries'] == 0


def test_who_is_heard_of_late_runs_again_too(qmap):
    """The scheduler said that it was preempted before anybody knew that it had begun."""
    path = prepare(qmap, 'echo a\necho b\n', 'out')
    journal = module.Journal(module.Logs(path).journal(1), {'event': 'open', 'host': 'login', 'pid': 1, 'born': 'x/1'})
    journal.write([{'event': 'lead', 'epoch': 1, 'host': 'login', 'pid': 1, 'born': 'x/1', 'read': {}, 'time': 1000.0},
                   dict(interrupted(1, unheard=True), started=None)])
    journal.close()
    qmap.write(os.path.join('out', '.qmap', 'run', '0.1.start'),
               '{"host":"n1","pid":7,"born":"x","executor_id":"7","time":1000}\n')
    qmap.write(os.path.join('out', '.qmap', 'run', '0.1.end'),
               '0m0s 0m0s\n0m0s 0m0s\n{"exit_code":143,"time":1005,"memory":0,"signal":"TERM"}\n')
    result = qmap('reattach', '-l', 'out', '--takeover')
    assert result.code == 0, result
    assert qmap.info('out', '0')['retries'] == 1 and qmap.info('out', '0')['attempts'][0]['error_reason'] == 'preempted'
