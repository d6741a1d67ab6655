"""The backend of Grid Engine against real daemons: `QMAP_TEST_SGE=1 pytest tests/test_sge_real.py`, as root.

tests/clusters/sge-up starts them where they do not run; they are left running.
"""

import glob
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import at_executor, outage, until
from qmap import Processes, load_backend

HERE = os.path.dirname(os.path.abspath(__file__))
UP, DOWN = (os.path.join(HERE, 'clusters', name) for name in ('sge-up', 'sge-down'))

pytestmark = [pytest.mark.real, pytest.mark.skipif(
    not os.environ.get('QMAP_TEST_SGE'), reason='QMAP_TEST_SGE is not set: no Grid Engine')]


class Site:
    """A folder, a backend, and a name for each submission."""

    def __init__(self, folder):
        self.folder = folder
        self.backend = load_backend('sge')
        self.backend.since = time.time()
        self.token = 'k{:x}'.format(int(time.time() * 1000))
        self.batch = 0

    def submit(self, body, count=1, **params):
        """Submit a script; return what the backend answers, and the name."""
        self.batch += 1
        script = self.folder / 'run.sh'
        script.write_text(body + '\n')
        name = self.backend.job_name('test', self.batch, self.token)
        output = str(self.folder / 'batch{}'.format(self.batch))
        params.setdefault('working_directory', str(self.folder))
        return self.backend.submit(str(script), name, count, params, output), name

    def start(self, body, count=1, **params):
        """Submit a script that has to be taken; return its id."""
        (kind, words), _ = self.submit(body, count, **params)
        assert kind == 'ok', words
        return words

    def said(self, name):
        """Return what was written to a file, perhaps after what the profile of the user says."""
        return (self.folder / name).read_text()

    def state(self, task):
        """Return what `poll` says of a task, None if it has left the queue."""
        return self.backend.poll([task[0]]).get(task)

    def until(self, question, limit=60):
        """Ask until the answer is true, and return it."""
        end = time.monotonic() + limit
        while True:
            said = question()
            if said:
                return said
            assert time.monotonic() < end, subprocess.check_output(['qstat']).decode()
            time.sleep(0.3)

    def ends(self, *tasks):
        """Wait until all tasks have an end in the accounts, and return those."""
        self.until(lambda: not set(tasks) & set(self.backend.poll([job for job, _ in tasks])))
        self.until(lambda: set(tasks) <= set(self.backend.accounts(tasks)))
        return [self.backend.accounts(tasks)[task] for task in tasks]

    def configure(self, key, value):
        """Change a limit of the whole site."""
        said = subprocess.check_output(['qconf', '-sconf'], env=dict(os.environ, SGE_SINGLE_LINE='1')).decode()
        (self.folder / 'global').write_text(re.sub(r'(?m)^{} .*$'.format(key), '{} {}'.format(key, value), said))
        subprocess.check_output(['qconf', '-Mconf', str(self.folder / 'global')])


@pytest.fixture(scope='module')
def daemons():
    subprocess.check_call([UP])


@pytest.fixture
def site(daemons, tmp_path):
    site = Site(tmp_path)
    yield site
    subprocess.call(['qdel', '-u', 'root'], stdout=subprocess.DEVNULL)


@pytest.fixture
def closed(site):
    """The queue takes no jobs for a while."""
    subprocess.check_output(['qmod', '-d', 'main.q'])
    yield
    subprocess.check_output(['qmod', '-e', 'main.q'])


def test_jobs_end_well_and_badly(site):
    good = site.start('echo "it ran in $PWD"')
    three = site.start('exit 3')
    dead = site.start('kill -SEGV $$')
    found = site.ends((good, 0), (three, 0), (dead, 0))
    assert [end['status'] for end in found] == ['COMPLETED', 'FAILED', 'FAILED']
    assert [(end['reason'], end.get('exit_code'), end.get('signal')) for end in found] == [
        ('', 0, None), ('exit', 3, None), ('signal', 139, 11)]
    assert found[2]['words'] == 'killed by signal 11 (SIGSEGV)'
    assert site.said('batch1.0').endswith('it ran in {}\n'.format(site.folder))


def test_qacct_says_what_the_file_says(site):
    job = site.start('sleep 2; exit 4', count=2, memory=300 << 20, time=60)
    by_file = site.ends((job, 1), (job, 2))
    site.backend.settings['accounting'] = '/nonexistent'
    by_command = site.backend.accounts([(job, 1), (job, 2)])
    for k, end in enumerate(by_file, 1):
        other = by_command[job, k]
        assert (end['exit_code'], end['reason'], end['host']) == (other['exit_code'], other['reason'], other['host'])
        assert abs(end['elapsed'] - other['elapsed']) <= 1 and abs(end['cpu'] - other['cpu']) < 0.01


def test_an_array(site):
    job = site.start('echo "I am $SGE_TASK_ID of $JOB_ID"; [ $SGE_TASK_ID != 2 ]', count=3)
    found = site.ends(*[(job, k) for k in (1, 2, 3)])
    assert [end['status'] for end in found] == ['COMPLETED', 'FAILED', 'COMPLETED']
    assert site.said('batch1.3').endswith('I am 3 of {}\n'.format(job))


def test_paths_that_hurt(site):
    top, jobs = site.folder, {}
    for name in ('a b', "it's", 'é"x"', 'a;b', 'p%p\\', '$HOME', 'x\ny', 'a:b', 'a,b'):
        site.folder = top / name
        site.folder.mkdir()
        jobs[name] = site.start('pwd'), 0
    ends = dict(zip(jobs, site.ends(*jobs.values())))
    assert {name: end['status'] for name, end in ends.items()} == dict.fromkeys(jobs, 'COMPLETED')
    for name in ('a b', "it's", 'é"x"', 'a;b', 'p%p\\'):
        words = [file for file in (top / name).iterdir() if file.suffix == '.0']
        assert words[0].read_text().endswith('{}\n'.format(top / name))


def test_the_environment_of_the_user_reaches_the_job_and_lines_of_the_script_are_no_options(site, monkeypatch):
    monkeypatch.setenv('QMAP_TEST', 'a,b "c"\n$d')
    monkeypatch.setenv('PE_HOSTFILE', '/nonexistent')
    monkeypatch.delenv('LC_ALL', raising=False)
    job = site.start('#$ -l nosuch=1\nprintf "%s" "$QMAP_TEST|${LC_ALL-none}|${PE_HOSTFILE-none}"')
    site.ends((job, 0))
    assert site.said('batch1.0').endswith('a,b "c"\n$d|none|none')


def test_cores_memory_and_time_are_what_the_job_gets(site):
    job = site.start('echo $NSLOTS; ulimit -v', cores=2, memory=1 << 30, time=60, extra='-l h_rt=90')
    site.ends((job, 0))
    assert site.said('batch1.0').split()[-2:] == ['2', str(1 << 20)]


def test_memory_that_the_site_counts_by_the_job(site):
    complexes = subprocess.check_output(['qconf', '-sc']).decode()
    names = {'was': complexes, 'by job': re.sub(r'(?m)^(h_vmem .*)YES( +\S+ +\d+ *)$', r'\1JOB\2', complexes)}
    for name, text in names.items():
        (site.folder / name).write_text(text)
    try:
        subprocess.check_output(['qconf', '-Mc', str(site.folder / 'by job')])
        site.ends((site.start('ulimit -v', cores=4, memory=600 << 20), 0))
    finally:
        subprocess.check_output(['qconf', '-Mc', str(site.folder / 'was')])
    assert site.said('batch1.0').endswith('{}\n'.format(600 << 10))


def test_accounts_that_were_put_aside(site):
    task = site.start('exit 3'), 0
    site.ends(task)
    root = os.environ.get('SGE_ROOT') or '/var/lib/gridengine'
    path = os.path.join(root, os.environ.get('SGE_CELL') or 'default', 'common', 'accounting')
    os.rename(path, path + '-20261122')
    try:
        assert site.backend.accounts([task])[task]['exit_code'] == 3
    finally:
        # Nothing was written meanwhile: no other task has ended.
        os.rename(path + '-20261122', path)


@pytest.mark.slow
def test_more_time_than_asked_for(site):
    job = site.start('sleep 60', time=3)
    end, = site.ends((job, 0))
    assert (end['status'], end['reason'], end['signal']) == ('FAILED', 'time', 9)
    assert 3 <= end['elapsed'] < 30


@pytest.mark.slow
def test_more_memory_than_asked_for(site):
    # Three processes, each within the limit: one alone would only be refused the memory.
    hungry = 'python3 -c \'import time; x = b"x" * 70000000; time.sleep(60)\' &\n'
    job = site.start(hungry * 3 + 'wait', memory=110 << 20, time=50)
    end, = site.ends((job, 0))
    assert (end['status'], end['reason']) == ('FAILED', 'memory')


def test_cancelled_while_pending(site, closed):
    one, array = site.start('sleep 60'), site.start('sleep 60', count=4)
    assert site.state((one, 0))[:2] == ('PENDING', '')
    site.until(lambda: 'no queue has room' in site.state((one, 0))[2])
    site.backend.cancel([(one, 0), (array, 2), (array, 3)], {one: 1, array: 4})
    assert set(site.backend.poll([one, array])) == {(array, 1), (array, 4)}
    site.backend.cancel([(array, k) for k in (1, 2, 3, 4)], {array: 4})
    assert site.backend.poll([one, array]) == {}
    assert site.backend.accounts([(one, 0), (array, 2)]) == {}


def test_cancelled_while_running(site):
    one, array = site.start('sleep 60'), site.start('sleep 60', count=3)
    tasks = [(one, 0), (array, 1), (array, 2), (array, 3)]
    site.until(lambda: {state[0] for state in site.backend.poll([one, array]).values()} == {'RUNNING'})
    # The first word is of a job that nobody knows: the others go all the same.
    site.backend.cancel([('999999', 0)] + tasks[:3], {one: 1, array: 3})
    assert [end['signal'] for end in site.ends(*tasks[:3])] == [9, 9, 9]
    assert site.state(tasks[3])[0] == 'RUNNING'


def test_cancelled_by_force(site):
    job = site.start('sleep 60')
    site.until(lambda: site.state((job, 0))[0] == 'RUNNING')
    subprocess.check_output(['qdel', '-f', job])
    end, = site.ends((job, 0))
    assert (end['status'], end['reason']) == ('FAILED', 'cancelled')


def test_a_missing_directory_is_a_failure_and_not_waited_for(site):
    job = site.start('exit 0', working_directory='/nonexistent/x')
    array = site.start('exit 0', count=2, extra='-S /no/such/shell')
    site.until(lambda: [state[0] for state in site.backend.poll([job, array]).values()] == ['FAILED'] * 3)
    states = site.backend.poll([job, array])
    assert states[job, 0] == ('FAILED', 'unstartable', "can't chdir to /nonexistent/x: No such file or directory")
    assert states[array, 2] == ('FAILED', 'unstartable', 'unable to find shell "/no/such/shell"')
    site.backend.cancel(list(states), {job: 1, array: 2})
    assert site.backend.poll([job, array]) == {}
    end, = site.ends((job, 0))
    assert (end['status'], end['reason']) == ('FAILED', 'unstartable') and 'exit_code' not in end


def test_exit_status_99_and_100_mean_something_to_grid_engine(site):
    again, error = site.start('exit 99'), site.start('exit 100')
    site.until(lambda: site.state((error, 0)) == ('FAILED', 'unstartable', 'exit_status of job start = 100'))
    site.until(lambda: 'restarted' in (site.state((again, 0)) or ('', '', ''))[2])
    assert site.backend.accounts([(again, 0)]) == {}


def test_why_a_job_is_pending(site):
    much = site.start('exit 0', memory=500 << 30)
    many = site.start('exit 0', cores=65)
    held = site.start('exit 0', extra='-h')
    late = site.start('exit 0', extra='-a 203001010000')
    site.until(lambda: all(state[2] for state in site.backend.poll([much, many, held, late]).values()))
    states = site.backend.poll([much, many, held, late])
    assert {state[:2] for state in states.values()} == {('PENDING', '')}
    assert 'no host has as much of it free' in states[much, 0][2]
    assert 'no host has as many free slots' in states[many, 0][2]
    assert states[held, 0][2] == 'held'
    assert 'it waits for its start time' in states[late, 0][2]


def test_suspended_and_restarted(site):
    job = site.start('sleep 60', extra='-r y')
    site.until(lambda: site.state((job, 0))[0] == 'RUNNING')
    subprocess.check_output(['qmod', '-sj', job])
    site.until(lambda: site.state((job, 0)) == ('RUNNING', '', 'suspended'))
    subprocess.check_output(['qmod', '-usj', job])
    site.until(lambda: site.state((job, 0)) == ('RUNNING', '', ''))
    subprocess.call(['qmod', '-rj', job], stdout=subprocess.DEVNULL)
    site.until(lambda: 'restarted' in site.state((job, 0))[2])
    assert site.backend.accounts([(job, 0)]) == {}


@pytest.mark.parametrize('params, words', [
    ({'queue': 'nosuch.q'}, 'unknown queue "nosuch.q"'), ({'cores': 2, 'penv': 'nosuch'}, '"nosuch" does not exist'),
    ({'extra': '-l nosuch=1'}, 'unknown resource "nosuch"'), ({'extra': '-nosuch'}, 'invalid option argument'),
    ({'extra': '-w e', 'memory': 500 << 30}, 'no suitable queues'),
    ({'extra': '-P nosuch'}, '"nosuch" does not exist')])
def test_refused(site, params, words):
    (kind, said), name = site.submit('exit 0', **params)
    assert kind == 'refused' and words in said
    assert site.backend.find(name) == ''


def test_a_site_that_allows_small_arrays_only(site):
    site.configure('max_aj_tasks', 5)
    try:
        assert site.backend.limits() == {'array': 5}
        (kind, words), name = site.submit('exit 0', count=6)
        assert kind == 'busy' and 'more than 5 tasks' in words
        assert site.backend.find(name) == ''
        site.start('exit 0', count=5)
    finally:
        site.configure('max_aj_tasks', 75000)
    assert site.backend.limits() == {'array': 75000}


def test_a_site_that_allows_few_jobs_only(site, closed):
    site.until(lambda: not subprocess.check_output(['qstat', '-u', '*']))
    site.configure('max_u_jobs', 2)
    try:
        site.start('exit 0', count=2)
        site.start('exit 0')
        (kind, words), name = site.submit('exit 0')
        assert kind == 'busy' and 'jobs are allowed per user' in words
        assert site.backend.find(name) == ''
    finally:
        site.configure('max_u_jobs', 0)


def test_a_submission_is_found_by_its_name(site, closed):
    (_, waiting), name = site.submit('sleep 60', count=3)
    assert site.backend.find(name) == waiting
    assert site.backend.find(name[:-1]) == '' and site.backend.find(name + '1') == ''
    site.backend.cancel([(waiting, k) for k in (1, 2, 3)], {waiting: 3})
    assert site.backend.find(name) == waiting


def test_a_submission_that_has_ended_is_found_by_its_name(site):
    (_, job), name = site.submit('exit 0')
    site.until(lambda: not site.state((job, 0)))
    assert site.backend.find(name) == job
    site.ends((job, 0))
    assert site.backend.find(name) == job
    site.backend.settings['accounting'] = '/nonexistent'
    assert [record['jobnumber'] for record in site.backend._records(name)] == [job]


@pytest.mark.slow
@pytest.mark.parametrize('how', [['--kill'], []], ids=['killed', 'stopped'])
def test_qmaster_goes_and_comes_back(site, how):
    (_, job), name = site.submit('sleep 8; exit 3')
    site.until(lambda: site.state((job, 0))[0] == 'RUNNING')
    # A crash forgets what was only just said; wait for it to be written down.
    (_, other), _ = site.submit('exit 0')
    site.ends((other, 0))
    subprocess.check_call([DOWN] + how + ['qmaster'])
    try:
        (kind, words), lost = site.submit('exit 0')
        assert kind == 'busy' and 'select error' in words
        assert site.backend.poll([job]) is None
        assert site.backend.find(name) is None
        assert site.backend.usage() is None
        assert site.backend.limits() == {'array': 1000}
        assert site.backend.accounts([(other, 0)])[other, 0]['status'] == 'COMPLETED'
        site.backend.cancel([(job, 0)], {job: 1})
    finally:
        subprocess.check_call([UP, 'qmaster'])
    assert site.backend.find(name) == job
    assert site.backend.find(lost) == ''
    end, = site.ends((job, 0))
    assert (end['status'], end['exit_code']) == ('FAILED', 3)
    site.ends((site.start('exit 0'), 0))


@pytest.mark.slow
def test_qmaster_that_hangs(site):
    with open('/var/spool/gridengine/qmaster/qmaster.pid') as file:
        qmaster = int(file.read())
    os.kill(qmaster, signal.SIGSTOP)
    try:
        (kind, _), name = site.submit('exit 0')
        assert kind == 'silent'
        assert site.backend.poll(['1']) is None
    finally:
        os.kill(qmaster, signal.SIGCONT)
    assert site.backend.find(name) == ''


def test_the_load(site):
    job = site.start('sleep 60', cores=16)
    site.until(lambda: site.state((job, 0))[0] == 'RUNNING')
    found = site.until(lambda: site.backend.usage())
    assert found['nodes'] == 1 and found['mine'] >= 25 and found['used'] >= 25


def test_a_command_now(site, monkeypatch):
    monkeypatch.chdir(site.folder)
    command = 'echo "a  b" $NSLOTS $PWD\necho e >&2; cat; exit 7'
    argv = site.backend.interactive({'cores': 2, 'memory': 1 << 30}, command)
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 7
    assert done.stdout.decode() == 'a  b 2 {}\n'.format(site.folder)
    assert done.stderr.decode() == 'e\n'


@pytest.mark.parametrize('how', [[], ['--kill']])
def test_an_execution_goes_on_through_an_outage(qmap, how):
    at_executor(qmap, 'sge')
    outage(qmap, 'sge', lambda: subprocess.check_call([DOWN] + how + ['qmaster']),
           lambda: subprocess.check_call([UP, 'qmaster']))


@pytest.mark.slow
def test_what_ran_on_a_host_that_died_runs_again(qmap):
    at_executor(qmap, 'sge')
    qmap.write('a.map', 'sleep 20\n' * 3 + 'exit 3\n')
    process = qmap.start('submit', 'a.map', '-p', 'sge', '-l', 'out', '-m', '50M', '--retries', '2')
    until(lambda: os.path.isdir(qmap.path('out', '.qmap')) and qmap.statuses('out')[:3] == ['RUNNING'] * 3)
    path, = glob.glob('/var/spool/gridengine/execd/*/execd.pid')
    with open(path) as source:
        execd = int(source.read())
    for pid in [execd] + Processes().tree(execd):
        os.kill(pid, signal.SIGKILL)
    subprocess.check_call([UP])
    # Grid Engine says then that they failed "before writing exit_status", which may be seen late.
    assert process.wait(400) == 1
    assert qmap.statuses('out') == ['COMPLETED'] * 3 + ['FAILED']
    assert '3 jobs saved by retries' in qmap('info', '-l', 'out', '--summary').out
