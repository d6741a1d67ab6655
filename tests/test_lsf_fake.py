"""The LSF backend with a cluster that runs jobs, and that fails, stalls and lies as told (fakes/lsf/fakelsf.py)."""

import fcntl
import json
import os
import re
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

import qmap as module  # noqa: E402
from conftest import at_executor  # noqa: E402
from qmap import Lsf, RUNNER, load_backend  # noqa: E402

#: Hardly depends on the Python.
pytestmark = pytest.mark.once

FINAL = ('COMPLETED', 'FAILED')


class Site:
    """The cluster of one test, with the backend that talks to it."""

    def __init__(self, folder):
        self.folder = folder
        self.cluster = folder / 'cluster'
        self.cluster.mkdir()
        self.count = 0
        self.backend = load_backend('lsf')
        self.conf(TERMINATE_INTERVAL='0.2', RETRY='0.1', IDLE='0.5')

    def conf(self, **settings):
        with (self.cluster / 'conf').open('a') as target:
            for key, value in settings.items():
                target.write('{}={}\n'.format(key, value))

    def calls(self, command):
        path = self.cluster / 'calls'
        calls = [json.loads(line)[1:] for line in path.read_text().splitlines()] if path.exists() else []
        return [words for words in calls if words[0] == command]

    def ask(self, text, count=1, **params):
        """Submit a script as it is, and return (kind, id or words, name)."""
        self.count += 1
        script = self.folder / 'script {}.sh'.format(self.count)
        script.write_text('#!/bin/bash\n{}\n'.format(text))
        params.setdefault('working_directory', str(self.folder))
        name = self.backend.job_name('test', self.count, 'tok')
        report = str(self.folder / 'report {}'.format(self.count))
        return self.backend.submit(str(script), name, count, params, report) + (name,)

    def submit(self, text, count=1, **params):
        kind, number, _ = self.ask(text, count, **params)
        assert kind == 'ok', number
        return number

    def until(self, number, wanted, tasks=1):
        """Wait until so many tasks have one of these states, and return the last answer of poll."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            answer = self.backend.poll([number])
            if answer is not None and sum(status in wanted for status, _, _ in answer.values()) >= tasks:
                return answer
            time.sleep(0.05)
        raise AssertionError('not {} within 20 s: {}'.format(wanted, answer))

    def ends(self, number, tasks=1):
        return self.until(number, FINAL, tasks)

    def exists(self, *names):
        end = time.monotonic() + 20
        while not all((self.folder / name).exists() for name in names):
            assert time.monotonic() < end, 'no {}'.format(names)
            time.sleep(0.02)

    def close(self):
        """End the cluster with all its jobs: it ends when its folder goes away."""
        self.cluster.rename(self.folder / 'gone')
        lock, poke = self.folder / 'gone' / 'runner.lock', self.folder / 'gone' / 'poke'
        if lock.exists():
            # Read and write, so that it opens although nobody may be there to read.
            fd = os.open(str(poke), os.O_RDWR | os.O_NONBLOCK)
            os.write(fd, b'.')
            with lock.open() as source:
                fcntl.flock(source, fcntl.LOCK_EX)
            os.close(fd)


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / 'with a blank'
    folder.mkdir()
    monkeypatch.setenv('PATH', os.pathsep.join([os.path.join(ROOT, 'tests', 'fakes', 'lsf'),
                                                os.path.dirname(sys.executable), os.environ['PATH']]))
    monkeypatch.setenv('FAKE_LSF_DIR', str(folder / 'cluster'))
    found = Site(folder)
    yield found
    found.close()


# Jobs that end ########################################################################################################

def test_an_array_with_every_way_to_end(site):
    number = site.submit('case $LSB_JOBINDEX in 2) exit 3;; 3) kill -9 $$;; 4) nosuchcommand;; esac', 4)
    answer = site.ends(number, 4)
    assert {task: found[:2] for task, found in answer.items()} == {
        (number, 1): ('COMPLETED', ''), (number, 2): ('FAILED', 'exit'), (number, 3): ('FAILED', 'signal'),
        (number, 4): ('FAILED', 'exit')}
    accounts = site.backend.accounts(list(answer))
    assert accounts[number, 1]['exit_code'] == 0
    assert accounts[number, 2]['exit_code'] == 3
    assert accounts[number, 3]['signal'] == 9
    assert accounts[number, 4]['exit_code'] == 127
    assert accounts[number, 1]['host'] == 'hosta'
    assert accounts[number, 1]['memory'] > 0


@pytest.mark.parametrize('lacks', ['jobindex pend_reason', 'exit_reason', 'jobindex job_name', '-o'])
def test_a_bjobs_that_lacks_fields_answers_all_the_same(site, lacks):
    site.conf(LACKS=lacks)
    number = site.submit('case $LSB_JOBINDEX in 2) exit 3;; 3) sleep 60;; esac', 4)
    answer = site.until(number, ('COMPLETED', 'FAILED'), tasks=3)
    assert {task: found[0] for task, found in answer.items()} == {
        (number, 1): 'COMPLETED', (number, 2): 'FAILED', (number, 3): 'RUNNING', (number, 4): 'COMPLETED'}
    assert site.backend.find('test.1.tok') == number and site.backend.find('test.2.tok') == ''
    site.backend.cancel([(number, 3)], {number: 4})
    site.until(number, ('COMPLETED', 'FAILED'), tasks=4)
    accounts = site.backend.accounts(list(answer))
    assert accounts[number, 1]['status'] == 'COMPLETED' and accounts[number, 2]['exit_code'] == 3
    assert accounts[number, 3]['reason'] == 'cancelled'
    assert site.backend.usage()['mine'] == 0
    # It is asked for what it lacks only once.
    asked = len(site.calls('bjobs'))
    site.backend.poll([number])
    assert len(site.calls('bjobs')) == asked + 1


def test_a_single_job_has_index_0_its_directory_and_its_report(site):
    number = site.submit('echo "$LSB_JOBID $LSB_JOBINDEX $PWD"')
    assert site.ends(number) == {(number, 0): ('COMPLETED', '', '')}
    report = (site.folder / 'report 1.0').read_text()
    assert 'Successfully completed.' in report
    assert report.endswith('\n{} 0 {}\n'.format(number, site.folder))


def test_the_environment_reaches_the_job_without_a_surrounding_jobs(site, monkeypatch):
    monkeypatch.setenv('MINE', 'a "b"\nc')
    monkeypatch.setenv('LSB_JOBID', '77')
    monkeypatch.setenv('LSB_SURROUNDING', '77')
    number = site.submit('printf %s "$MINE$LSB_SURROUNDING" > env.txt')
    site.ends(number)
    assert (site.folder / 'env.txt').read_text() == 'a "b"\nc'


@pytest.mark.parametrize('within_a_job', [False, True])
def test_the_variables_by_which_users_name_their_group_reach_bsub(site, monkeypatch, within_a_job):
    # LSB_DEFAULT_...: "Environment variable reference", IBM Spectrum LSF 10.1.0
    names = ['LSB_DEFAULTPROJECT', 'LSB_DEFAULT_JOBGROUP', 'LSB_DEFAULT_USERGROUP', 'LS_COLORS']
    if within_a_job:
        monkeypatch.setenv('LSB_JOBID', '77')
    for name in names:
        monkeypatch.setenv(name, 'mine')
    # What a site's esub reads is no trace of a job where there is none.
    monkeypatch.setenv('LSB_SITE_OPTION', 'mine')
    site.ends(site.submit('env > env.txt'))
    seen = (site.folder / 'env.txt').read_text().splitlines()
    assert set(seen) >= {name + '=mine' for name in names}
    assert ('LSB_SITE_OPTION=mine' in seen) is not within_a_job


def test_what_steers_a_submission_is_no_part_of_the_environment_of_the_job(site, monkeypatch):
    monkeypatch.setenv('LSB_NTRIES', '5')
    number = site.submit('''{}\nprintf '%s.' "${{LSB_NTRIES-}}" "${{LSB_EXIT_IF_CWD_NOTEXIST-}}" > env.txt'''.format(
        RUNNER + 'qmap_begin . 1 "$LSB_JOBID"\ncd "$LS_SUBCWD"'))
    site.ends(number)
    assert (site.folder / 'env.txt').read_text() == '5..'


def test_time_limit(site):
    site.conf(MINUTE='0.3')
    number = site.submit('sleep 60', time=60)
    assert site.ends(number)[number, 0][:2] == ('FAILED', 'time')
    account = site.backend.accounts([(number, 0)])[number, 0]
    assert account['exit_code'] == 140 and account['words'].startswith('TERM_RUNLIMIT')


def test_memory_limit(site):
    site.conf(LSB_JOB_MEMLIMIT='Y')
    number = site.submit('exec python3 -c "import time; x = bytearray(150 << 20); time.sleep(60)"', memory=60 << 20)
    assert site.ends(number)[number, 0][:2] == ('FAILED', 'memory')
    assert site.backend.accounts([(number, 0)])[number, 0]['memory'] > 60 << 20


def test_a_retry_requests_no_more_than_the_queue_allows(qmap):
    at_executor(qmap, 'lsf')
    qmap.environ.update(FAKE_LSF_RUNLIMIT='short*3', FAKE_LSF_TERMINATE_INTERVAL='0.5')
    qmap.write('a.map', '[params]\nqueue = short\ntime = 1m\n[jobs]\nsleep 4\n')
    result = qmap('submit', 'a.map', '-p', 'lsf', '-l', 'out', '--retries', '1', '--grow', '8', '--no-console')
    assert 'retried with time = 00:03:00' in result.out and qmap.statuses('out') == ['COMPLETED'], result


def test_a_missing_working_directory_is_no_run_in_tmp(site):
    number = site.submit('touch ran', working_directory=str(site.folder / 'nowhere'))
    status, reason, words = site.ends(number)[number, 0]
    assert (status, reason) == ('FAILED', 'unstartable')
    assert words.startswith('TERM_CWD_NOTEXIST')


def test_the_reason_of_a_memory_kill_that_lsf_does_not_know(site):
    site.conf(LSB_JOB_MEMLIMIT='Y', HIDE_REASONS='Y')
    number = site.submit('exec python3 -c "import time; x = bytearray(150 << 20); time.sleep(60)"', memory=60 << 20)
    status, reason, _ = site.ends(number)[number, 0]
    assert status == 'FAILED' and reason in ('signal', 'exit')


def test_an_exit_code_that_bjobs_leaves_out_is_in_bhist(site):
    site.conf(HIDE_CODES='Y')
    number = site.submit('exit 7')
    assert site.ends(number)[number, 0] == ('FAILED', 'exit', 'LSF gives no exit code')
    assert site.backend.accounts([(number, 0)])[number, 0]['exit_code'] == 7


# Cancelling ###########################################################################################################

def test_cancelling_what_runs_what_waits_and_what_has_ended(site):
    site.conf(HOSTS='hosta*2')
    number = site.submit('[ $LSB_JOBINDEX = 1 ] || { touch runs.$LSB_JOBINDEX; sleep 60; }', 6)
    site.exists('runs.2', 'runs.3')
    site.backend.cancel([(number, k) for k in (1, 2, 5, 6)], {number: 6})
    # 4 has the slot of 2 now.
    answer = site.until(number, FINAL, 4)
    assert answer[number, 1][:2] == ('COMPLETED', '')
    assert {answer[number, k][:2] for k in (2, 5, 6)} == {('FAILED', 'cancelled')}
    assert site.calls('bkill') == [['bkill', '{}[1-2,5-6]'.format(number)]]
    site.exists('runs.4')
    assert site.until(number, ['RUNNING'], 2)[number, 4][0] == 'RUNNING'
    accounts = site.backend.accounts([(number, k) for k in range(1, 7)])
    assert sorted(k for _, k in accounts) == [1, 2, 5, 6]
    assert 'host' not in accounts[number, 5] and accounts[number, 2]['host'] == 'hosta'


def test_a_whole_array_goes_by_its_id_and_ended_ones_are_no_error(site):
    first = site.submit('true')
    site.ends(first)
    number = site.submit('sleep 60', 3)
    site.backend.cancel([(first, 0), ('999', 0)] + [(number, k) for k in (1, 2, 3)], {first: 1, '999': 1, number: 3})
    answer = site.ends(number, 3)
    assert {found[:2] for found in answer.values()} == {('FAILED', 'cancelled')}
    assert site.calls('bkill') == [['bkill', first, '999', number]]


def test_a_job_that_ignores_signals_is_killed_in_the_end(site):
    number = site.submit("trap '' INT TERM; touch up; while :; do sleep 0.1; done")
    site.exists('up')
    site.backend.cancel([(number, 0)], {number: 1})
    assert site.ends(number)[number, 0][:2] == ('FAILED', 'cancelled')
    assert site.backend.accounts([(number, 0)])[number, 0]['signal'] == 9


def test_nothing_is_cancelled_for_an_id_that_is_none(site):
    number = site.submit('sleep 60')
    site.backend.cancel([('0', 0), ('', 0), ('', 3)], {})
    assert site.calls('bkill') == []
    assert site.until(number, ['RUNNING'])


# Limits ###############################################################################################################

def test_the_site_says_how_large_an_array_may_be(site):
    site.conf(MAX_JOB_ARRAY_SIZE='10')
    assert site.backend.limits() == {'array': 10}
    site.conf(FAIL_BPARAMS='bparams: not here')
    assert site.backend.limits() == {'array': 1000}


def test_an_array_too_large_fails_nothing_and_makes_the_next_smaller(site):
    site.conf(MAX_JOB_ARRAY_SIZE='10', FAIL_BPARAMS='bparams: not here')
    kind, words, _ = site.ask('true', 11)
    assert (kind, words) == ('busy', 'Job array index too large. Job not submitted.')
    assert site.backend.limits() == {'array': 5}
    number = site.submit('true', 5)
    site.ends(number, 5)


def test_the_limit_of_pending_jobs_is_waiting_not_failing(site):
    site.conf(HOSTS='hosta*1', MAX_PEND_JOBS='2')
    first = site.submit('sleep 60')
    site.until(first, ['RUNNING'])
    second = site.submit('true', 2)
    kind, words, name = site.ask('true')
    assert kind == 'busy' and 'Pending job threshold reached' in words
    assert site.backend.find(name) == ''
    site.backend.cancel([(second, 1), (second, 2)], {second: 2})
    site.until(second, FINAL, 2)
    site.submit('true')


def test_a_bsub_that_waits_at_the_limit_and_is_killed_is_looked_up(site, monkeypatch):
    # LSB_NTRIES is not obeyed everywhere.
    monkeypatch.setitem(Lsf.of_submissions, 'LSB_NTRIES', '100')
    monkeypatch.setattr(module, 'TIMEOUT', 3)
    site.conf(MAX_PEND_JOBS='0')
    kind, words, name = site.ask('true')
    assert kind == 'silent' and 'Pending job threshold reached' in words
    assert site.backend.find(name) == ''


# Submissions whose answer is lost, and refusals #######################################################################

@pytest.mark.parametrize('way', ['hang', 'quiet', 'empty', 'timeout'])
def test_a_lost_answer_is_found_by_name(site, monkeypatch, way):
    site.conf(LOSE=way, LOSE_TIMES='1')
    monkeypatch.setattr(module, 'TIMEOUT', 2)
    kind, _, name = site.ask('true', 3)
    assert kind == 'silent'
    number = site.backend.find(name)
    assert number and len(site.ends(number, 3)) == 3
    # Also when it has ended.
    assert site.backend.find(name) == number


def test_a_submission_that_never_was(site):
    assert site.backend.find('test.1.none') == ''
    site.submit('true')
    assert site.backend.find('test.1.none') == ''
    # Only the whole name counts.
    assert site.backend.find('test.1') == ''


def test_variables_that_silence_bsub_do_not_reach_it(site, monkeypatch):
    for key in ('BSUB_QUIET', 'BSUB_QUIET2', 'BSUB_STDERR', 'LSB_BJOBS_FORMAT'):
        monkeypatch.setenv(key, 'jobid')
    site.ends(site.submit('true'))


def test_a_late_answer_is_an_answer(site):
    site.conf(DELAY_BSUB='0.5', CHATTER='esub: welcome, Job <1> is not yours')
    site.ends(site.submit('true'))


@pytest.mark.parametrize('text', ['User cannot use the queue', 'Request aborted by esub', 'Error in rusage section'])
def test_refused_with_the_words_of_lsf(site, text):
    site.conf(REFUSE=text)
    kind, words, name = site.ask('true')
    assert kind == 'refused' and words == text + '. Job not submitted.'
    assert site.backend.find(name) == ''


@pytest.mark.parametrize('params, words', [
    ({'queue': 'nosuch'}, 'nosuch: No such queue. Job not submitted.'),
    ({'cores': 65}, 'Too many processors requested. Job not submitted.'),
    ({'queue': 'short', 'time': 7200}, 'RUNLIMIT: Cannot exceed queue\'s hard limit(s). Job not submitted.'),
    ({'extra': '-R "rusage[mem=x]"'}, 'Error in rusage section. Job not submitted.'),
])
def test_params_that_the_cluster_does_not_take(site, params, words):
    site.conf(RUNLIMIT='short*60')
    assert site.ask('true', **params)[:2] == ('refused', words)


def test_a_trouble_that_passes_is_no_refusal(site):
    site.conf(REFUSE='Request from non-LSF host rejected', REFUSE_TIMES='1')
    assert site.ask('true')[0] == 'busy'
    site.ends(site.submit('true'))


# When LSF does not answer #############################################################################################

@pytest.mark.parametrize('kind', ['down', 'busy', 'connect', 'query', 'lim'])
def test_without_mbatchd_nothing_is_known_and_all_goes_on_after(site, kind):
    number = site.submit('sleep 1; touch done')
    site.until(number, ['RUNNING'])
    site.conf(DOWN=kind)
    assert site.ask('true')[0] == 'busy'
    assert site.backend.poll([number]) is None
    assert site.backend.find('test.1.tok') is None
    assert site.backend.accounts([(number, 0)]) is None
    assert site.backend.usage() is None
    site.backend.cancel([('999', 0)], {'999': 1})
    assert site.backend.limits() == {'array': 1000}
    site.conf(DOWN='')
    assert site.ends(number)[number, 0][0] == 'COMPLETED'
    assert (site.folder / 'done').exists()


def test_a_command_that_hangs_is_no_answer(site, monkeypatch):
    number = site.submit('true')
    monkeypatch.setattr(module, 'TIMEOUT', 0.5)
    site.conf(HANG_BJOBS='30')
    assert site.backend.poll([number]) is None
    assert site.backend.find('test.1.tok') is None
    assert site.backend.accounts([(number, 0)]) is None


@pytest.mark.parametrize('stream', ['stderr', 'stdout'])
def test_waiting_lines_before_a_good_answer(site, stream):
    site.conf(WAITING='2', WAITING_STREAM=stream)
    number = site.submit('exit 3')
    assert site.ends(number)[number, 0][:2] == ('FAILED', 'exit')
    assert site.backend.find('test.1.tok') == number
    assert site.backend.find('test.9.tok') == ''


def test_an_error_that_nobody_knows_is_no_news(site):
    number = site.submit('true')
    site.conf(FAIL_BJOBS='Batch library internal error')
    assert site.backend.poll([number]) is None
    assert site.backend.find('test.1.tok') is None
    assert site.backend.accounts([(number, 0)]) is None


# What bjobs shows #####################################################################################################

@pytest.mark.parametrize('settings', [{}, {'DISPLAY_ENH': 'Y'}, {'CONSISTENT': 'Y'}])
def test_unknown_ids_among_known_ones_have_left_the_queue(site, settings):
    site.conf(**settings)
    number = site.submit('true', 2)
    site.ends(number, 2)
    answer = site.backend.poll(['9999', number, '8888'])
    assert sorted(answer) == [(number, 1), (number, 2)]
    assert site.backend.poll(['9999']) == {}


def test_an_id_of_which_nothing_is_said_has_not_left_the_queue(site):
    number = site.submit('sleep 60')
    site.conf(MUTE='Y')
    assert site.backend.poll(['9999', number]) is None
    assert site.backend.find('test.1.none') is None
    site.conf(MUTE='')
    assert sorted(site.backend.poll(['9999', number])) == [(number, 0)]


def test_a_host_that_is_lost_is_neither_dead_nor_alive(site):
    number = site.submit('touch up; sleep 60')
    site.exists('up')
    site.until(number, ['RUNNING'])
    site.conf(HOST_LOST='hosta')
    status, reason, words = site.backend.poll([number])[number, 0]
    assert (status, reason) == ('OTHER', '') and re.search(site.backend.unended, words)
    assert site.backend.accounts([(number, 0)]) == {}
    site.conf(HOST_LOST='')
    assert site.backend.poll([number])[number, 0][0] == 'RUNNING'


@pytest.mark.parametrize('state, status', [
    ('ZOMBI', 'OTHER'), ('SSUSP', 'RUNNING'), ('SUSP', 'RUNNING'), ('PROV', 'PENDING'), ('WAIT', 'PENDING'),
    ('BRANDNEW', 'OTHER')])
def test_rare_states(site, state, status):
    number = site.submit('sleep 60')
    site.until(number, ['RUNNING'])
    site.conf(LIST='{}:{}'.format(number, state))
    told, _, words = site.backend.poll([number])[number, 0]
    assert told == status and bool(re.search(site.backend.unended, words)) == (state == 'ZOMBI')
    assert site.backend.unknown == (['state: BRANDNEW'] if state == 'BRANDNEW' else [])


def test_why_a_job_is_pending(site):
    site.conf(HOSTS='hosta*2 hostb*2')
    number = site.submit('true', cores=3)
    assert 'no host has as many free slots as requested' in site.until(number, ['PENDING'])[number, 0][2]
    held = site.submit('true', extra='-H')
    assert site.until(held, ['PENDING'])[held, 0][2].startswith('held')


def test_many_ids_are_one_question(site):
    ids = [site.submit('true') for _ in range(3)]
    before = len(site.calls('bjobs'))
    site.backend.poll(ids)
    assert len(site.calls('bjobs')) == before + 1


# Forgotten jobs #######################################################################################################

def forgotten(site):
    number = site.submit('[ $LSB_JOBINDEX = 1 ] || exit 3', 2)
    site.ends(number, 2)
    site.conf(CLEAN_PERIOD='0')
    time.sleep(0.05)
    assert site.backend.poll([number]) == {}
    return number


def test_what_bjobs_has_forgotten_bacct_and_bhist_know(site):
    number = forgotten(site)
    accounts = site.backend.accounts([(number, 1), (number, 2), ('9999', 0)])
    assert sorted(accounts) == [(number, 1), (number, 2)]
    assert (accounts[number, 1]['status'], accounts[number, 1]['exit_code']) == ('COMPLETED', 0)
    assert (accounts[number, 2]['reason'], accounts[number, 2]['exit_code']) == ('exit', 3)
    assert accounts[number, 2]['host'] == 'hosta'
    assert len(site.calls('bacct')) == 1 and len(site.calls('bhist')) == 1


def test_a_reason_of_bacct_stays_when_bhist_adds_the_code(site):
    number = site.submit('touch up; sleep 60')
    site.exists('up')
    site.backend.cancel([(number, 0)], {number: 1})
    site.ends(number)
    site.conf(CLEAN_PERIOD='0', BHIST_REASONS='no')
    time.sleep(0.05)
    account = site.backend.accounts([(number, 0)])[number, 0]
    assert account['reason'] == 'cancelled' and account['exit_code'] > 128


def test_without_accounts_for_users_nothing_else_is_lost(site):
    number = forgotten(site)
    site.conf(ACCOUNTS='no')
    assert site.backend.accounts([(number, 1)]) == {}


def test_logs_that_do_not_answer_are_no_answer(site, monkeypatch):
    number = forgotten(site)
    site.conf(HANG_BACCT='30', HANG_BHIST='30')
    monkeypatch.setattr(module, 'TIMEOUT', 0.5)
    assert site.backend.accounts([(number, 1)]) is None


# The cluster, and one command at once #################################################################################

def test_load_of_the_cluster(site):
    site.conf(HOSTS='hosta*6 hostb*4')
    assert site.backend.usage() == {'nodes': 2, 'used': 0.0, 'mine': 0.0}
    number = site.submit('sleep 60', cores=5)
    site.until(number, ['RUNNING'])
    assert site.backend.usage() == {'nodes': 2, 'used': 50.0, 'mine': 50.0}


def test_an_interactive_command(site):
    argv = site.backend.interactive({'cores': 2, 'working_directory': str(site.folder)},
                                    'echo "a  b $PWD $LSB_DJOB_NUMPROC"; echo oops >&2; exit 5')
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 5
    assert done.stdout.decode() == 'a  b {} 2\n'.format(site.folder)
    assert 'oops\n' in done.stderr.decode() and 'is submitted' in done.stderr.decode()


def test_the_version_decides_whether_memory_has_a_unit(site, monkeypatch):
    gigabyte = {'memory': 2 ** 30}
    assert '1024MB' in site.backend.submit_argv('/s', 'n', 1, gigabyte, '/o')
    site.conf(VERSION='9.1.3.0')
    assert '1048576' in load_backend('lsf').submit_argv('/s', 'n', 1, gigabyte, '/o')
    (site.folder / 'lsf.conf').write_text('LSF_UNIT_FOR_LIMITS=MB\n')
    monkeypatch.setenv('LSF_ENVDIR', str(site.folder))
    argv = load_backend('lsf').submit_argv('/s', 'n', 1, gigabyte, '/o')
    assert '1024' in argv and 'rusage[mem=1024]' in argv
