"""Launches that fail: the scheduler starts a task on a node, and the job never begins there."""

import itertools
import os
import re

import pytest
from test_driver import Scripted, each_once, execution

import qmap as module

WORDS = 'FAILED (0:53): on the node, the output folder is missing or read-only'


class Nodes(Scripted):
    """A scheduler with two nodes that keeps accounts. On bad ones all ends before it begins, and so they are always
    free for the next."""

    def __init__(self, *bad, **account):
        super().__init__()
        self.bad, self.account = bad, dict({'status': 'FAILED', 'reason': 'node', 'words': WORDS}, **account)
        self.failed, self.submissions = {}, []    # {task: node} where it never began; what each one had to avoid
        self.turns = itertools.count()

    def submit(self, script, name, count, params, output):
        self.submissions.append(list(self.avoided))
        self.extra = params.get('extra', '')
        return super().submit(script, name, count, params, output)

    def begin(self, script, id, k, task):
        free, turn = [node for node in self.bad if node not in self.avoided], next(self.turns)
        if free and (turn % 2 == 0 or len(self.bad) == 2) or self.extra == '-F broken':
            free = free or ['n1', 'n2']
            self.failed[task] = free[turn % len(free)]
        else:
            super().begin(script, id, k, task)

    def accounts(self, tasks):
        return {task: dict(self.account, host=self.failed[task]) for task in tasks if task in self.failed}


@pytest.mark.parametrize('pull', [0, 2])
def test_a_node_on_which_launches_fail_gets_no_more_jobs(qmap, pull):
    backend = Nodes('n2')
    driver = execution(qmap, 'sleep 0.1; echo ${QMAP_LINE} >>ran\n' * 24, backend, pull=pull)
    driver.lead()
    driver.drive()
    each_once(qmap, driver)
    assert backend.submissions[0] == [] and backend.submissions[-1] == ['n2']
    assert driver.ledger.settings['avoided']['n2'][1] == WORDS
    # No more than were on their way when that was known.
    assert len(backend.failed) <= 8, backend.failed


def test_a_node_is_not_avoided_for_one_launch_that_failed(qmap):
    class Once(Nodes):
        """The node is mended after that."""

        def begin(self, script, id, k, task):
            super().begin(script, id, k, task)
            self.bad = () if self.failed else self.bad

    backend = Once('n2')
    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 4, backend)
    driver.lead()
    driver.drive()
    each_once(qmap, driver)
    assert len(backend.failed) == 1 and not driver.ledger.settings.get('avoided')


def test_jobs_that_can_begin_nowhere_are_not_put_down_to_nodes(qmap):
    backend = Nodes()
    driver = execution(qmap, ''.join(
        'echo ${{QMAP_LINE}} >>ran{}\n'.format(' ## extra="-F broken"' * (k % 3 == 0)) for k in range(12)), backend)
    driver.lead()
    driver.drive()
    assert driver.counts()['COMPLETED'] == 8 and not driver.ledger.settings.get('avoided')
    assert {driver.ledger.record(number)['error_reason'] for number in range(0, 12, 3)} == {'lost'}
    assert len(backend.failed) <= 4 * 8    # their launches are counted


def test_a_node_that_alone_is_free_is_avoided_where_that_cannot_make_jobs_wait_for_ever(qmap):
    class Full(Nodes):
        """All other nodes are full at first."""
        refuses_unfit = True

        def begin(self, script, id, k, task):
            self.turns = itertools.count(2 * len(self.avoided))
            super().begin(script, id, k, task)

    backend = Full('n2')
    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 8, backend)
    driver.lead()
    driver.drive()
    each_once(qmap, driver)
    assert backend.submissions[0] == [] and backend.submissions[-1] == ['n2'] and len(backend.failed) == 4


@pytest.mark.parametrize('words', ['Requested node configuration is not available', 'no such thing'])
def test_where_only_the_node_fits_the_submission_goes_there(monkeypatch, words):
    asked = []

    def answer(argv, *args, **options):
        asked.append('--exclude=n2' in argv)
        failed = module.Answer(1, '', 'sbatch: error: Batch job submission failed: ' + words)
        return failed if asked[-1] else module.Answer(0, '41\n')
    monkeypatch.setattr(module, 'call_scheduler', answer)
    backend = module.load_backend('slurm', {})
    backend.avoided = ['n2']
    assert backend.submit('/x', 'name', 1, {}, '/out') == ('ok', '41') and asked == [True, False]


def test_a_driver_that_follows_knows_the_node(qmap):
    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 3, Nodes('n2'))
    driver.lead()
    driver.set(avoided={'n2': [driver.here.time(), WORDS, '']})
    driver.lease.release()
    after = module.Driver(driver.logs, driver.plan, Nodes('n2'), driver.here)
    after.lead()
    after.drive()
    each_once(qmap, after)
    assert not after.backend.failed and after.backend.submissions == [['n2']]


def test_where_no_launch_succeeds_that_is_said_and_nothing_more_is_submitted(qmap, monkeypatch):
    monkeypatch.setattr(module.Launches, 'LOST', 4)
    backend = Nodes('n1', 'n2')
    driver = execution(qmap, 'true\n' * 40, backend)
    driver.lead()
    driver.drive()
    counts = driver.counts()
    assert counts['UNSUBMITTED'] and 4 <= counts['FAILED'] < 9, counts
    assert not driver.ledger.settings.get('avoided')    # there is nowhere else
    record = driver.ledger.record(0)
    assert record['error_reason'] == 'lost'
    assert re.match('submitted 4 times, never began on n[12](, n[12])?: ', record['error'])
    assert record['error'].endswith(WORDS)
    assert driver.trouble == 'scripted: no job begins on n1, n2: {}; nothing more is submitted'.format(WORDS)


def test_workers_that_never_begin_are_not_submitted_for_ever_and_fail_no_job(qmap, monkeypatch):
    monkeypatch.setattr(module.Launches, 'HOPE', 60)
    backend = Nodes('n1', 'n2')
    driver = execution(qmap, 'true\n' * 40, backend, pull=2)
    driver.lead()
    driver.drive()
    assert driver.counts()['UNSUBMITTED'] == 40 and 1 < len(backend.submissions) < 6
    assert driver.trouble == 'scripted: no job begins on n1, n2: {}; nothing more is submitted'.format(WORDS)


def test_a_submission_of_which_a_shell_finds_nothing_to_run_is_not_repeated(qmap):
    backend = Nodes('n1', 'n2', reason='exit', exit_code=127, words='exit code 127')
    driver = execution(qmap, 'true\n', backend)
    driver.lead()
    driver.drive()
    record = driver.ledger.record(0)
    assert len(backend.submissions) == 1 and record['error'].endswith('never began on n1: exit code 127'), record


def test_what_was_given_up_and_waits_in_the_queue_is_taken_out(qmap):
    class Forgetful(Scripted):
        """It does not list the first submission until all jobs have ended."""
        def begin(self, script, id, k, task):
            if id != '1':
                super().begin(script, id, k, task)

        def poll(self, ids):
            waits = {('1', 1): ('PENDING', '', ''), ('1', 2): ('COMPLETED', '', '')}
            return waits if ids == ['1'] and self.count > 1 else super().poll(ids)

        def cancel(self, tasks, counts):
            self.cancelled = tasks

    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 2, Forgetful())
    driver.lead()
    driver.drive()
    each_once(qmap, driver)
    assert driver.backend.cancelled == [('1', 1)]


def test_what_the_scheduler_wrote_after_the_last_driver_had_gone_is_removed(qmap):
    driver = execution(qmap, 'true\n', Scripted())
    late = driver.logs.batch(7) + '.out.1'
    module.write_text(late, 'Sender: LSF System\n')
    driver.lead()
    driver.tick()
    assert not os.path.exists(late)
    driver.drive()


@pytest.mark.parametrize('executor, extra, option', [
    ('slurm', '', ['--exclude=n2,n4']), ('slurm', '-x n1', ['--exclude=n1,n2,n4']),
    ('slurm', '--exclude=n[6-8] --qos=x', ['--exclude=n[6-8],n2,n4']), ('slurm', '-w n4', []),
    ('slurm', '--nodelist=n4', []),
    ('sge', '', ['-l', 'h=!(n2|n4)']), ('sge', '-l h=n4', []),
    ('lsf', '', ['-R', "select[type==local && hname!='n2' && hname!='n4']"]), ('lsf', '-m n4', []),
    ('lsf', '-R "select[type==any]"', ['-R', "select[hname!='n2' && hname!='n4']"]), ('lsf', '-R "2*{ncpus>4}"', [])])
def test_how_schedulers_are_told(executor, extra, option):
    backend = module.load_backend(executor, {})
    params = {'extra': extra} if extra else {}
    before = backend.submit_argv('/x', 'name', 1, params, '/out')
    backend.avoided = ['n2', 'n4']
    after = backend.submit_argv('/x', 'name', 1, params, '/out')
    assert [word for word in after if word not in before] == [word for word in option if word not in before]
    assert len(after) == len(before) + len(option)
