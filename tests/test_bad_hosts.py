"""Hosts on which jobs fail that would not elsewhere: nothing more is submitted to them, and workers there leave."""

import itertools
import json
import os
import subprocess
import time

import pytest
from test_driver import Scripted, execution

import qmap as module

#: Hardly depends on the Python.
pytestmark = pytest.mark.once

#: A job that fails on n2, and says where it ran.
PICKY = 'echo $SLURMD_NODENAME >>ran; [ $SLURMD_NODENAME != n2 ] || { echo no scratch >&2; exit 3; }\n'


class Hosts(Scripted):
    """A scheduler that gives each task the next of some hosts which are not to be avoided."""

    def __init__(self, *hosts):
        super().__init__()
        self.turns, self.hosts, self.submissions = itertools.count(), hosts, []

    def submit(self, script, name, count, params, output):
        self.submissions.append(list(self.avoided))
        return super().submit(script, name, count, params, output)

    def begin(self, script, id, k, task):
        hosts = [host for host in self.hosts if host not in self.avoided]
        self.processes[task] = subprocess.Popen(
            ['bash', script], stdin=subprocess.DEVNULL, start_new_session=True,
            env=dict(os.environ, SCRIPTED_K=str(k), SCRIPTED_ID=id, SLURM_JOB_ID=id,
                     SLURMD_NODENAME=hosts[next(self.turns) % len(hosts)]))


@pytest.fixture
def drive(qmap, monkeypatch):
    """Return a function that drives a map to its end, and returns the driver."""
    def drive(text, backend, before=None, **changes):
        driver = execution(qmap, text, backend, **dict({'exclude': True}, **changes))
        driver.lead()
        if before:
            driver.set(**before)
        driver.drive()
        return driver

    monkeypatch.setattr(module.BadHosts, 'EVERY', 0)
    return drive


def test_a_host_on_which_jobs_fail_that_pass_elsewhere_gets_no_more(qmap, drive):
    backend = Hosts('n1', 'n2', 'n3')
    driver = drive(PICKY * 60, backend)
    assert backend.submissions[0] == [] and backend.submissions[-1] == ['n2']
    failed = driver.counts()['FAILED']
    assert driver.counts()['COMPLETED'] + failed == 60 and 3 <= failed < 15
    why = driver.ledger.settings['excluded']['n2'][1]
    assert 'exit 3: no scratch, on n2 only' in why
    summary = qmap('info', 'out', '--summary').lines
    assert '  left out: n2 ({})'.format(why) in summary
    assert json.loads(qmap('info', 'out', '--summary', '--format', 'json').out)['excluded'] == {'n2': why}
    wrong = qmap('control', 'out', 'include', 'n1')
    assert wrong.code == 2 and wrong.err == 'qmap: error: n1: not left out; left out: n2\n'
    assert qmap('control', 'out', 'include', 'n2').lines == ['jobs may run on n2 again']
    reader = module.ExecutionReader(qmap.path('out'))
    assert reader.excluded == {} and list(reader.ledger.settings['excluded']) == ['n2']    # and not once more


def test_who_takes_over_leaves_the_host_out_from_the_first_submission_on(qmap, drive):
    driver = drive(PICKY * 60, Hosts('n1', 'n2', 'n3'))
    failed = driver.counts()['FAILED']
    assert failed and qmap('control', 'out', 'retry').lines[0] == 'retrying {}'.format(module.plural(failed, 'job'))
    backend = Hosts('n1', 'n2', 'n3')
    following = module.Driver(driver.logs, module.Plan(driver.logs), backend, driver.here)
    following.lead()
    following.drive()
    assert backend.submissions[0] == ['n2'] and following.counts()['COMPLETED'] == 60


@pytest.mark.parametrize('text, hosts, exclude', [
    (PICKY, ['n1', 'n2'], False), ('exit 3\n', ['n1', 'n2'], True), (PICKY, ['n2'], True),
    ('true\n', ['n1', 'n2'], True)])
def test_no_host_is_left_out_for_what_happens_everywhere(drive, text, hosts, exclude):
    driver = drive(text * 30, Hosts(*hosts), exclude=exclude)
    assert not driver.ledger.settings.get('excluded')


def test_workers_leave_a_host_that_is_left_out(qmap, drive):
    drive('sleep 0.02\n' + PICKY * 30, Hosts('n1', 'n2'), {'excluded': {'n2': [time.time(), 'no scratch']}}, pull=2)
    assert qmap.read('ran').split() == ['n1'] * 30
    assert qmap.read('out', '.qmap', 'excluded') == 'n2\n'


def test_node_failures_and_at_most_one_of_twenty_hosts(qmap, drive):
    driver = execution(qmap, 'true\n' * 300, Hosts('n1'), exclude=True)
    driver.lead()
    bad_hosts, totals = driver.attempts.launches.bad_hosts, driver.ledger.totals
    totals.hosts.update({'n{}'.format(number): 9 for number in range(39)})
    totals.node_failures.update({('n1', 1): 12, ('n1', 7): 1, ('n2', 1): 9})
    bad_hosts.look()
    assert bad_hosts.excluded() == set()
    totals.node_failures.update({(host, minute): 1 for host in ('n1', 'n2', 'n3', 'a b') for minute in range(7, 10)})
    bad_hosts.look()
    assert bad_hosts.excluded() == {'n1'}    # 1 of 39
    assert driver.ledger.settings['excluded']['n1'][1] == 'node failed 4 times'
    totals.hosts.update({'n{}'.format(number): 9 for number in range(60)})
    bad_hosts.look()
    assert bad_hosts.excluded() == {'n1', 'n2', 'n3'}
    driver.lease.release()
    event = {'event': 'set', 'time': 5, 'excluded': {'n1': [5, 'node failed'], 'n2': [4, 'x'], 'n3': [5, '']}}
    told, = module.excluded_sentences(event, driver.logs.path)
    assert told.startswith('n1: no more jobs there: node failed; use it again with: ') and told.endswith('include n1')


def test_a_rest_of_the_map_is_submitted_in_the_same_way(qmap):
    qmap.write('a.map', 'true\n')
    request = module.Request(qmap.path('a.map'), profile='local', halt='never', exclude=False)
    assert request.repeat == ['-p', 'local', '--halt', 'never', '--no-exclude']
