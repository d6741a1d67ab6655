"""Jobs that are interrupted by nothing that they did, or ask for it: they run again by themselves."""

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


@pytest.mark.parametrize('earlier, again, goes_on', [
    ([], None, True), ([85] * 99, None, True), ([85] * 100, None, False), ([], 0, False), ([85], 1, False),
    # What somebody has had run since counts anew; other reruns do not count.
    ([85, 'end', 85], 2, True), ([85, None, 85], 2, False), ([None] * 9, 1, True)])
def test_who_asks_to_run_again_does_so_a_hundred_times_at_the_most(qmap, earlier, again, goes_on):
    path = prepare(qmap, 'true{}\n'.format('' if again is None else ' ## again={}'.format(again)), 'out')
    logs = module.Logs(path)
    journal = module.Journal(logs.journal(1), {'event': 'open', 'host': 'login', 'pid': 1, 'born': 'x/1'})
    for attempt, code in enumerate(earlier, 1):
        rerun = {} if code == 'end' else {'rerun': True}
        journal.write([asking(attempt, **rerun) if code else interrupted(attempt, **rerun),
                       {'event': 'retry', 'numbers': [[0, 0]]}])
    journal.close()
    driver = module.Driver(logs, module.Plan(logs), module.Local(), module.Host())
    assert driver.lead()
    assert driver.recall.may_rerun(0, asking(len(earlier) + 1)) == goes_on
    driver.lease.release()


def asking(attempt, **more):
    """Return the end of an attempt of job 0 that asks to run again."""
    return dict(interrupted(attempt, 'exit', **more), exit_code=85)


def test_what_it_saved_is_there_until_it_completes(qmap):
    qmap.write('a.map', 'echo x >>$QMAP_STATE/x; [ $(wc -l <$QMAP_STATE/x) = 3 ] || exit 85\n'
                        'echo y >$QMAP_STATE/y; exit 85 ## again=1\n'
                        'echo "${QMAP_STATE-none}"; exit 85 ## again=0\n'
                        'echo "${HOME:+${QMAP_STATE:-none}}"\n')
    result = qmap('submit', 'a.map', '-p', 'local', '--logs', 'out')
    assert result.code == 1
    assert [qmap.info('out', id)['retries'] for id in '0123'] == [2, 1, 0, 0]
    assert [name for name in sorted(os.listdir(qmap.path('out'))) if name.endswith('.state')] == ['1.state', '2.state']
    assert qmap.read('out/1.state/y') == 'y\n'
    assert qmap.info('out', '1')['error'] == 'asked to run again, as often as --again allows'
    assert '0 exit 85; runs again' in result.out
    assert '2 jobs asked to run again (exit 85), 3 times' in result.lines
    # Somebody who has it run again finds what it saved.
    assert qmap('control', '-l', 'out', 'retry', '1').code == 0
    assert qmap('reattach', '-l', 'out').code == 1
    assert qmap.info('out', '1')['retries'] == 3


def test_in_a_group_too(qmap):
    qmap.write('a.map', 'echo a >>a\necho b >>b; [ $(wc -l <b) = 2 ] || exit 85\n')
    assert qmap('submit', 'a.map', '-p', 'local', '-g', '2', '--logs', 'out').code == 0
    # The command that ended well is not run again.
    assert (qmap.read('a'), qmap.read('b')) == ('a\n', 'b\nb\n') and qmap.info('out', '0')['retries'] == 1


@pytest.mark.parametrize('end, cut_off', [
    ({'exit_code': 140, 'forewarned': 'task'}, True), ({'exit_code': 140, 'forewarned': 'job'}, False),
    ({'exit_code': 140}, False), ({'exit_code': 143, 'signal': 'TERM'}, True)])
def test_who_is_told_that_only_its_worker_has_no_time_left_runs_again_by_itself(qmap, end, cut_off):
    path = prepare(qmap, 'true\n', 'out')
    logs = module.Logs(path)
    driver = module.Driver(logs, module.Plan(logs), module.Local(), module.Host())
    assert driver.lead()
    driver.lease.commit([{'event': 'batch', 'batch': 1, 'name': 'x', 'tasks': ['0.1'], 'time': 1000, 'crew': 1,
                          'workers': 1, 'id': '7', 'with': {}}])
    event = dict(interrupted(1, 'time'), batch=1)
    assert driver.pools.cut_off(event, dict(end, time=1005), None) == cut_off
    driver.lease.release()


@pytest.mark.parametrize('text, value', [
    ('USR2@120', 'USR2@120'), ('sigusr1 @ 060', 'USR1@60'), ('TERM@1', 'TERM@1'), ('USR2', None), ('KILL@9', None),
    ('USR2@0', None), ('USR2@2m', None), ('B:USR1@300', None), ('12@60', None)])
def test_a_signal_is_a_name_and_seconds(text, value):
    if value:
        assert module.read_parameter('signal', text) == value
    else:
        with pytest.raises(ValueError, match=r'signal = .*write USR2@120, the seconds before the time limit'):
            module.read_parameter('signal', text)


@pytest.mark.parametrize('options, own, warning', [
    (['--signal', 'USR2@60'], '', 'signal: no signal is sent to jobs without a time limit; give --time'),
    (['--signal', 'USR2@60'], ' ## time=1h', ''), ([], ' ## signal=USR2@60', 'signal: no signal is sent'),
    (['--signal', 'USR2@60', '-t', '1m'], '', 'signal = USR2@60: sent as soon as a job begins, because its time is'),
    (['--signal', 'USR2@60', '-t', '61s'], '', '')])
def test_a_signal_that_cannot_come_is_said(qmap, options, own, warning):
    qmap.write('a.map', 'true{}\n'.format(own))
    result = qmap('submit', 'a.map', '-p', 'local', '--dry-run', *options)
    assert result.code == 0 and (warning in result.err if warning else 'signal' not in result.err)


def test_the_folder_for_its_state_is_the_same_in_each_attempt_of_a_group(qmap):
    qmap.write('a.map', 'touch $QMAP_STATE/x\n[ -e c ] || { touch c; exit 85; }\n')
    assert qmap('submit', 'a.map', '-p', 'local', '-g', '2', '--logs', 'out').code == 0
    assert not os.path.exists(qmap.path('out/0.state'))
