"""The Slurm backend against real daemons, as tests/clusters/slurm-up starts them.

    tests/clusters/slurm-up --accounting
    QMAP_TEST_SLURM=/var/lib/qmap-slurm python -m pytest tests/test_slurm_real.py

Those tests that stop daemons need root; without the variable, or a cluster that answers, all are skipped.
"""

import itertools
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from conftest import at_executor, outage, until
from qmap import call_scheduler, clean_environment, load_backend

CLUSTERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'clusters')
DIR = os.environ.get('QMAP_TEST_SLURM', '')
MEGABYTE = 1024 ** 2
#: In the names of nodes: clusters in other chroots share the cgroups of this machine.
HOST = os.uname().nodename.partition('.')[0]


def why_not():
    """Return why these tests can not run, or ''."""
    if not DIR:
        return 'QMAP_TEST_SLURM does not name the directory of a running Slurm (see tests/clusters/slurm-up)'
    if not shutil.which('sbatch'):
        return 'no sbatch on this machine'
    answer = call_scheduler(['sinfo', '-h'], SLURM_CONF=os.path.join(DIR, 'etc', 'slurm.conf'))
    return '' if answer.code == 0 else 'the Slurm of QMAP_TEST_SLURM does not answer: {}'.format(answer.message())


WHY_NOT = why_not()
pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
as_root = pytest.mark.skipif(os.getuid() != 0, reason='only root can stop daemons')

counter = itertools.count(1)
token = '{:x}'.format(time.time_ns() if hasattr(time, 'time_ns') else int(time.time() * 1e9))


@pytest.fixture
def backend(monkeypatch):
    monkeypatch.setenv('SLURM_CONF', os.path.join(DIR, 'etc', 'slurm.conf'))
    return load_backend('slurm')


@pytest.fixture
def submit(backend, tmp_path):
    """Return a function that submits some bash and returns what the backend answers; all is cancelled at the end."""
    ids = []

    def submit(text, count=1, name=None, **params):
        number = next(counter)
        script = tmp_path / 'script {}'.format(number)
        script.write_text('#!/bin/bash\n' + text + '\n')
        params.setdefault('working_directory', str(tmp_path))
        answer = backend.submit(str(script), name or backend.job_name('test', number, token), count, params,
                                str(tmp_path / "it's 50% out {}".format(number)))
        if answer[0] == 'ok':
            ids.append(answer[1])
        return answer

    yield submit
    backend.cancel([(id, 0) for id in ids], {})


def wait(question, seconds=30):
    """Return what the question answers, as soon as it is something."""
    end = time.monotonic() + seconds
    while True:
        found = question()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.3)


def polled(backend, task, *statuses, **options):
    """Return what the queue says of a task once it has one of these statuses."""
    def ask():
        found = (backend.poll([task[0]]) or {}).get(task)
        return found if found and found[0] in statuses else None
    return wait(ask, **options)


def accounted(backend, task):
    """Return what the accounts say of a task once they know it; they may be some seconds late."""
    return wait(lambda: (backend.accounts([task]) or {}).get(task))


def ok(answer):
    assert answer[0] == 'ok', answer
    return answer[1]


def up():
    """Start what is not running, with the options it was started with."""
    with open(os.path.join(DIR, 'etc', 'options')) as file:
        options = shlex.split(file.read())
    subprocess.check_call([os.path.join(CLUSTERS, 'slurm-up')] + options, stdout=subprocess.DEVNULL)


def down(*words):
    subprocess.check_call([os.path.join(CLUSTERS, 'slurm-down'), '--dir', DIR] + list(words))


@pytest.fixture
def mended():
    """Start again, at the end, what a test has stopped."""
    yield
    up()


@pytest.fixture
def stuck():
    """Return a function that makes the controller stand still, and go on at the end or when called again."""
    with open(os.path.join(DIR, 'pid', 'slurmctld')) as file:
        pid = int(file.read())
    yield lambda still: os.kill(pid, signal.SIGSTOP if still else signal.SIGCONT)
    os.kill(pid, signal.SIGCONT)


# ---- how jobs end

def test_a_job_that_completes(backend, submit):
    task = ok(submit('sleep 1')), 0
    assert polled(backend, task, 'COMPLETED') == ('COMPLETED', '', '')
    job = accounted(backend, task)
    assert (job['status'], job['reason'], job['exit_code']) == ('COMPLETED', '', 0)
    assert job['elapsed'] >= 1 and job['host']


@pytest.mark.parametrize('text, reason, key, value', [
    ('exit 3', 'exit', 'exit_code', 3), ('kill -9 $$', 'signal', 'signal', 9),
    ('nosuchcommand', 'exit', 'exit_code', 127)])
def test_a_job_that_fails(backend, submit, text, reason, key, value):
    task = ok(submit(text)), 0
    assert polled(backend, task, 'FAILED')[1] in (reason, '')
    job = accounted(backend, task)
    assert (job['status'], job['reason'], job[key]) == ('FAILED', reason, value)


def test_out_of_memory(backend, submit):
    task = ok(submit('{} -c "x = bytearray(300000000); import time; time.sleep(5)"'.format(shlex.quote(sys.executable)),
                     memory=64 * MEGABYTE)), 0
    status, reason, words = polled(backend, task, 'FAILED')
    job = accounted(backend, task)
    with open(os.path.join(DIR, 'etc', 'slurm.conf')) as file:
        kernel = 'task/cgroup' in file.read()
    # Without cgroups Slurm kills the job by itself, and does not say why.
    assert job['reason'] == reason == 'memory' if kernel else job['status'] == 'FAILED'


@pytest.mark.slow
def test_time_limit(backend, submit):
    task = ok(submit('sleep 300', time=60)), 0
    assert polled(backend, task, 'FAILED', seconds=150)[:2] == ('FAILED', 'time')
    assert accounted(backend, task)['reason'] == 'time'


def test_cancelled_in_the_queue(backend, submit):
    task = ok(submit('sleep 60', extra='--hold')), 0
    assert polled(backend, task, 'PENDING')[2].startswith('JobHeld')
    backend.cancel([task], {task[0]: 1})
    assert polled(backend, task, 'FAILED')[1] == 'cancelled'
    assert accounted(backend, task)['reason'] == 'cancelled'


def test_cancelled_while_running(backend, submit):
    task = ok(submit('sleep 60')), 0
    assert polled(backend, task, 'RUNNING')
    backend.cancel([task], {task[0]: 1})
    assert polled(backend, task, 'FAILED')[1] == 'cancelled'
    assert accounted(backend, task)['reason'] == 'cancelled'


def test_cancelling_what_has_ended_or_never_was_harms_nothing(backend, submit):
    gone = ok(submit('true')), 0
    polled(backend, gone, 'COMPLETED')
    task = ok(submit('sleep 60')), 0
    backend.cancel([gone, ('99999999', 0), task], {})
    assert polled(backend, task, 'FAILED')[1] == 'cancelled'
    assert backend.poll([gone[0]])[gone][0] == 'COMPLETED'


@pytest.mark.outage
@as_root
def test_a_node_that_fails(backend, submit):
    node = call_scheduler(['sinfo', '-h', '-N', '-o', '%N'], SLURM_CONF=os.environ['SLURM_CONF']).out.split()[-1]
    task = ok(submit('sleep 60', extra='-w {}'.format(node))), 0
    assert polled(backend, task, 'RUNNING')
    try:
        subprocess.check_call(['scontrol', 'update', 'NodeName=' + node, 'State=DOWN', 'Reason=test'])
        assert polled(backend, task, 'FAILED')[:2] == ('FAILED', 'node')
        assert accounted(backend, task)['reason'] == 'node'
    finally:
        # It may have come back by itself, and then this is an error.
        call_scheduler(['scontrol', 'update', 'NodeName=' + node, 'State=RESUME'])
        assert wait(lambda: call_scheduler(['sinfo', '-h', '-N', '-n', node, '-o', '%T']).out.split()[0] in (
            'idle', 'mixed'))


@pytest.mark.parametrize('count', [1, 2])
def test_a_job_that_somebody_renames_is_ours(backend, submit, tmp_path, count):
    backend.token, backend.folder = token, '/{}/script '.format(tmp_path.name)
    task = ok(submit('sleep 60', count)), count - 1 and 2
    assert polled(backend, task, 'RUNNING')
    subprocess.check_call(['scontrol', 'update', 'JobId=' + task[0], 'JobName=align'])
    assert polled(backend, task, 'RUNNING')
    backend.cancel([task], {})
    assert polled(backend, task, 'FAILED')[1] == 'cancelled'
    job = accounted(backend, task)
    assert job['reason'] == 'cancelled' and job['only'].isdigit()
    backend.folder = '/other/'
    assert backend.poll([task[0]]) == {}


def test_a_job_that_is_suspended_is_alive(backend, submit):
    task = ok(submit('sleep 20')), 0
    assert polled(backend, task, 'RUNNING')
    if call_scheduler(['scontrol', 'suspend', task[0]]).code != 0:
        pytest.skip('this user may not suspend jobs')
    assert backend.poll([task[0]])[task] == ('RUNNING', '', 'SUSPENDED')


# ---- where jobs run

def test_a_missing_working_directory_is_told_in_the_output_of_the_scheduler(backend, submit, tmp_path):
    task = ok(submit('pwd', working_directory=str(tmp_path / 'nosuch'))), 0
    assert polled(backend, task, 'COMPLETED')
    said = ''.join(path.read_text() for path in tmp_path.iterdir() if ' out ' in path.name)
    assert "couldn't chdir" in said and '/tmp' in said


def test_a_submission_is_kept_from_nodes(backend, submit):
    nodes = sorted(set(backend.ask(['sinfo', '-h', '-N', '-p', 'main', '-o', '%N']).out.split()))
    backend.avoided = nodes[1:-1]
    id = submit('sleep 1', extra='-x {}'.format(nodes[-1]))[1]
    account = wait(lambda: (backend.accounts([(id, 0)]) or {}).get((id, 0)))
    assert account['host'] == nodes[0]


def test_an_output_folder_that_is_none_fails_the_job_and_says_so(backend, tmp_path):
    script = tmp_path / 'script'
    script.write_text('#!/bin/bash\ntrue\n')
    # One that is only missing is made by newer releases.
    word, id = backend.submit(str(script), backend.job_name('test', next(counter), token), 1, {},
                              str(script / 'out'))
    assert polled(backend, (id, 0), 'FAILED')
    assert 'output folder' in accounted(backend, (id, 0))['words']


@pytest.mark.parametrize('folder, files', [
    ("a b'c", ['o.1', 'o.2']), ('50%a', ['o.1', 'o.2']), ('new\nline', ['o.1', 'o.2']), ('back\\slash', [])])
def test_folders_whose_names_hurt(backend, tmp_path, folder, files):
    place = tmp_path / folder
    place.mkdir()
    script = place / 'script'
    script.write_text('#!/bin/bash\npwd >"$PWD/pwd.$SLURM_ARRAY_TASK_ID"\n')
    word, id = backend.submit(str(script), backend.job_name('test', next(counter), token), 2,
                              {'working_directory': str(place)}, str(place / 'o'))
    assert polled(backend, (id, 1), 'COMPLETED', 'FAILED')[0] == 'COMPLETED'
    assert polled(backend, (id, 2), 'COMPLETED', 'FAILED')[0] == 'COMPLETED'
    assert sorted(path.name for path in place.iterdir()) == sorted(files + ['pwd.1', 'pwd.2', 'script'])
    assert (place / 'pwd.1').read_text() == str(place) + '\n'


def test_a_job_gets_what_it_asked_for_and_the_environment_of_the_user(backend, submit, tmp_path, monkeypatch):
    monkeypatch.setenv('OWN', 'two\nlines, and more')
    monkeypatch.setenv('LC_ALL', 'C.UTF-8')
    monkeypatch.setenv('SLURM_ARRAY_TASK_ID', '77')
    id = ok(submit('printf "%s|" "$OWN" "$LC_ALL" "${SLURM_ARRAY_TASK_ID-none}" "$SLURM_CPUS_PER_TASK" "$SLURM_NTASKS" '
                   '"$SLURM_MEM_PER_NODE" >env', cores=6, tasks=2, memory=100 * MEGABYTE + 1, time=61))
    limit = call_scheduler(['scontrol', 'show', 'job', id]).out
    assert 'TimeLimit=00:02:00' in limit and 'Requeue=0' in limit
    assert polled(backend, (id, 0), 'COMPLETED')
    assert (tmp_path / 'env').read_text() == 'two\nlines, and more|C.UTF-8|none|3|2|101|'


# ---- arrays and limits

def test_an_array_has_all_its_tasks_and_cancelling_takes_ranges(backend, submit):
    id = ok(submit('sleep 3; [ "$SLURM_ARRAY_TASK_ID" != 2 ] || exit 4; sleep 30', 12))
    assert wait(lambda: [task for task, found in backend.poll([id]).items() if found[0] == 'RUNNING'][11:])
    backend.cancel([(id, k) for k in (1, 3, 5, 6, 7)], {id: 12})
    assert polled(backend, (id, 7), 'FAILED')[1] == 'cancelled'
    assert polled(backend, (id, 2), 'FAILED')[1] == 'exit'
    assert backend.poll([id])[id, 4][0] == 'RUNNING'
    backend.cancel([(id, k) for k in range(1, 13)], {id: 12})
    assert polled(backend, (id, 12), 'FAILED')[1] == 'cancelled'
    found = wait(lambda: [job for job in [backend.accounts([(id, k) for k in range(1, 13)])] if job and len(job) == 12])
    assert found[0][id, 2]['exit_code'] == 4
    assert {job['reason'] for task, job in found[0].items() if task != (id, 2)} == {'cancelled'}


def test_tasks_of_an_irregular_rest_are_all_listed(backend, submit):
    id = ok(submit('true', 200, extra='--hold'))
    odd = [(id, k) for k in range(1, 200, 2)]
    backend.cancel(odd, {id: 200})
    found = backend.poll([id])
    assert {k for (_, k), (status, _, _) in found.items() if status == 'PENDING'} == set(range(2, 201, 2))
    backend.cancel([(id, k) for k in range(1, 201)], {id: 200})
    assert wait(lambda: len(backend.accounts([(id, k) for k in range(2, 201, 2)])) == 100)


def test_an_array_as_large_as_the_site_allows_and_one_larger(backend, submit):
    most = backend.limits()['array']
    assert submit('true', most + 1, extra='--hold')[0] == 'busy'
    id = ok(submit('true', most, extra='--hold'))
    assert len(backend.poll([id])) == most


def test_the_limit_of_a_quality_of_service_is_busy_and_fails_nothing(backend, submit):
    if 'tiny' not in call_scheduler(['sacctmgr', '-nP', 'show', 'qos', 'format=name'],
                                    SLURM_CONF=os.environ['SLURM_CONF']).out:
        pytest.skip('the cluster was started without --accounting')
    word, words = submit('sleep 60', 5, extra='--qos=tiny')
    assert word == 'busy' and 'QOSMaxSubmitJobPerUserLimit' in words
    id = ok(submit('sleep 60', 4, extra='--qos=tiny'))
    assert submit('sleep 60', extra='--qos=tiny')[0] == 'busy'
    polled(backend, (id, 4), 'PENDING')
    assert wait(lambda: 'the limit of running jobs is reached' in backend.poll([id])[id, 4][2])


def test_a_closed_partition_and_too_much_time_say_so(backend, submit):
    closed = ok(submit('true', queue='closed'))
    long = ok(submit('true', queue='short', time=600))
    words = wait(lambda: [w for w in [backend.poll([closed])[closed, 0][2]] if 'closed' in w])
    assert words[0].startswith('PartitionDown: the partition is closed')
    words = wait(lambda: [w for w in [backend.poll([long])[long, 0][2]] if w.startswith('PartitionTimeLimit')])
    assert words[0].endswith('it will never start')


def test_what_is_refused_is_refused_in_the_words_of_the_site(backend, submit):
    word, words = submit('true', queue='nosuch')
    assert word == 'refused' and 'nosuch' in words
    word, words = submit('true', memory=10 ** 13)
    assert word == 'refused' and 'Memory specification' in words


# ---- silence

def test_a_broken_configuration_fails_nothing(backend, submit, tmp_path, monkeypatch):
    broken = tmp_path / 'slurm.conf'
    with open(os.environ['SLURM_CONF']) as source:
        broken.write_text(source.read() + 'NodName=slip\n')
    with monkeypatch.context() as then:
        then.setenv('SLURM_CONF', str(broken))
        outcome, message = submit('true')
        assert outcome == 'busy' and 'Unable to process configuration file' in message
    assert submit('true')[0] == 'ok'


def test_a_script_that_is_too_large_means_fewer_jobs_at_once(submit):
    text = '# ' + 'x' * (4 << 20)
    assert submit(text, 2)[0] == 'busy'
    assert submit('# ' + 'x' * (3 << 20), 2)[0] == 'ok'


def test_ids_that_the_queue_forgot(backend, submit):
    task = ok(submit('sleep 20')), 0
    assert backend.poll(['99999999']) == {}
    assert backend.poll(['99999999', '99999998']) == {}
    assert list(backend.poll(['99999999', task[0]])) == [task]


def test_a_submission_is_found_by_its_name_whatever_became_of_it(backend, submit):
    for text in ('sleep 30', 'true'):
        name = backend.job_name('find me', next(counter), token)
        assert backend.find(name) == ''
        id = ok(submit(text, name=name))
        polled(backend, (id, 0), 'RUNNING', 'COMPLETED')
        assert backend.find(name) == id


@pytest.mark.outage
@as_root
def test_a_lost_reply_is_silent_and_the_job_is_found(backend, submit, stuck):
    name = backend.job_name('lost', next(counter), token)
    stuck(True)
    assert submit('sleep 1', 3, name=name)[0] == 'silent'
    assert backend.poll(['1']) is None
    stuck(False)
    id = wait(lambda: backend.find(name))
    assert id
    assert polled(backend, (id, 3), 'COMPLETED')


@pytest.mark.outage
@as_root
def test_a_controller_that_is_down_takes_nothing_and_says_nothing(backend, submit, mended):
    task = ok(submit('sleep 15')), 0
    assert polled(backend, task, 'RUNNING')
    name = backend.job_name('down', next(counter), token)
    down('slurmctld')
    # Each of them tries for nine seconds.
    assert submit('true', name=name)[0] == 'busy'
    assert backend.poll([task[0], '99999999']) is None
    assert backend.find(name) is None
    up()
    assert polled(backend, task, 'COMPLETED')
    assert backend.find(name) == ''


@pytest.mark.outage
@as_root
@pytest.mark.slow
def test_a_controller_that_is_killed_forgets_no_job_of_a_minute_ago(backend, submit, mended):
    task = ok(submit('sleep 45')), 0
    held = ok(submit('true', 7, extra='--hold'))
    # What came in the last seconds before the kill, Slurm does forget, and gives out the same ids again.
    time.sleep(15)
    down('--kill', 'slurmctld')
    assert backend.usage() is None
    assert backend.limits() == {'array': 1000}
    backend.cancel([task], {task[0]: 1})
    up()
    assert len(backend.poll([held])) == 7
    assert polled(backend, task, 'COMPLETED', seconds=60)


@pytest.mark.outage
@as_root
def test_accounts_that_are_down_are_silent_and_nothing_else_is(backend, submit, mended):
    if not os.path.exists(os.path.join(DIR, 'pid', 'slurmdbd')):
        pytest.skip('the cluster was started without --accounting')
    down('--kill', 'slurmdbd')
    name = backend.job_name('dbd', next(counter), token)
    task = ok(submit('exit 3', name=name)), 0
    assert polled(backend, task, 'FAILED')[1] == 'exit'
    assert backend.accounts([task]) is None
    assert backend.find(name) == task[0]
    assert backend.find(name + 'x') == ''
    up()
    assert wait(lambda: (backend.accounts([task]) or {}).get(task), 90)['exit_code'] == 3


@pytest.fixture(scope='module')
def bare(tmp_path_factory):
    """A second small Slurm, without accounts, that takes arrays of 5, and forgets jobs after some seconds."""
    place = str(tmp_path_factory.mktemp('bare'))
    subprocess.check_call([os.path.join(CLUSTERS, 'slurm-up'), '--dir', place, '--port', '28800', '--nodes', '1',
                           '--node', 'bare-' + HOST, '--set', 'MaxArraySize=6', '--set', 'MinJobAge=2'],
                          stdout=subprocess.DEVNULL)
    yield os.path.join(place, 'etc', 'slurm.conf')
    subprocess.check_call([os.path.join(CLUSTERS, 'slurm-down'), '--dir', place, '--purge'])


@pytest.fixture
def other(tmp_path_factory):
    """Another small cluster of the same Slurm, with the same accounts: `there` for the option -M."""
    place = str(tmp_path_factory.mktemp('there'))
    subprocess.check_call([os.path.join(CLUSTERS, 'slurm-up'), '--dir', place, '--port', '28820', '--nodes', '1',
                           '--node', 'there-' + HOST, '--cluster', 'there', '--accounts-of', DIR],
                          stdout=subprocess.DEVNULL)
    conf = os.path.join(DIR, 'etc', 'slurm.conf')
    assert wait(lambda: call_scheduler(['squeue', '-M', 'there'], SLURM_CONF=conf).code == 0, 60)
    yield
    subprocess.check_call([os.path.join(CLUSTERS, 'slurm-down'), '--dir', place, '--purge'])


@as_root
def test_jobs_on_another_cluster_of_the_same_slurm(other, qmap):
    at_executor(qmap, 'slurm')
    qmap.write('mine.conf', 'executor = slurm\npoll = 2\nextra = -M there\n')
    where = 'echo $SLURM_CLUSTER_NAME >>ran_${QMAP_LINE}'
    qmap.write('a.map', '{0}\n{0}; exit 3\n{0}; sleep 1; kill -9 $PPID; sleep 60\n{0}; sleep 1000\n'
                        '{0} ## extra="-M qmap"\n'.format(where))
    real = subprocess.check_output(['bash', '-c', 'type -P sbatch'], env=qmap.environ).decode().strip()
    os.mkdir(qmap.path('bin'))    # the first answer is lost
    qmap.write('bin/sbatch', '#!/bin/bash\nif mkdir {0}/lost; then {1} "$@" >/dev/null 2>&1; exit 143; fi\n'
                             'exec {1} "$@"\n'.format(shlex.quote(qmap.folder), real))
    os.chmod(qmap.path('bin', 'sbatch'), 0o755)
    qmap.environ['PATH'] = qmap.path('bin') + ':' + qmap.environ['PATH']
    words = ['-p', './mine.conf', '--pull', '0', '--logs', 'out']
    process = qmap.start('submit', 'a.map', *words)
    until(lambda: all(os.path.exists(qmap.path('ran_' + id)) for id in '01234'), 180)
    process.kill()    # another driver knows the clusters as well
    process.communicate()
    process = qmap.start('reattach', '--logs', 'out')
    assert qmap('control', '-l', 'out', 'cancel', '3').code == 0
    process.communicate(timeout=200)
    ids = qmap('info', '-l', 'out', '-s', 'all', 'executor_id').lines[1:]
    # Two had ended before it was found where they are: they tell the number only.
    assert [id.partition(';')[2] for id in ids[2:]] == ['there', 'there', 'qmap']
    assert [qmap.read('ran_' + id) for id in '01234'] == ['there\n'] * 4 + ['qmap\n']
    told = [(info['status'], info['error_reason']) for info in (qmap.info('out', id) for id in '01234')]
    assert told == [('COMPLETED', ''), ('FAILED', 'exit'), ('FAILED', 'signal'), ('FAILED', 'cancelled'),
                    ('COMPLETED', '')]


@as_root
def test_a_site_without_accounts(bare, backend, submit, monkeypatch):
    monkeypatch.setenv('SLURM_CONF', bare)
    name = backend.job_name('bare', next(counter), token)
    assert backend.find(name) == ''
    assert backend.limits()['array'] == 5
    assert submit('true', 6)[0] == 'busy'
    task = ok(submit('exit 3', 5, name=name)), 5
    assert polled(backend, task, 'FAILED')[1] == 'exit'
    assert backend.find(name) == task[0]
    assert backend.accounts([task]) == {}
    assert wait(lambda: backend.poll([task[0]]) == {}, 60)
    assert backend.find(name) == ''


# ---- the cluster, and `run`

def test_wishes_in_variables_count_where_nothing_else_is_said(submit, monkeypatch, tmp_path):
    for name, value in (('PARTITION', 'short'), ('TIMELIMIT', '1'), ('MEM_PER_CPU', '77'), ('REQUEUE', '1'),
                        ('ARRAY_INX', '0-3'), ('WAIT', '1')):
        monkeypatch.setenv('SBATCH_' + name, value)
    told = 'squeue -h -j $SLURM_JOB_ID -o "%P %l %m" > {}; echo "${{SLURM_ARRAY_TASK_ID-no}} array" >> {}'
    for name, params in (('said', {}), ('not said', {'memory': 100 * MEGABYTE, 'time': 120, 'queue': 'main'})):
        path = tmp_path / name
        ok(submit(told.format(*[shlex.quote(str(path))] * 2), **params))
        expected = ['short 1:00 77M', 'no array'] if name == 'said' else ['main 2:00 100M', 'no array']
        assert wait(lambda: path.exists() and path.read_text().count('\n') == 2 and path.read_text())
        assert path.read_text().splitlines() == expected


def test_usage(backend, submit):
    task = ok(submit('sleep 20', cores=8)), 0
    assert polled(backend, task, 'RUNNING')
    load = backend.usage()
    assert load['nodes'] >= 1
    assert 0 < load['mine'] <= load['used'] <= 100


def run(backend, command, params=None, **streams):
    return subprocess.run(backend.interactive(params or {}, command), env=clean_environment(), **streams)


def test_run_passes_input_output_and_status(backend):
    data = b'a\tb\r\n\0\4\3no newline'
    done = run(backend, 'cat; echo error >&2; exit 7', input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (7, data)
    assert b'error\n' in done.stderr


def test_run_is_where_it_was_called(backend, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('OWN', "it's")
    done = run(backend, 'pwd; echo "$OWN"; [ -t 1 ] || echo no terminal', stdin=subprocess.DEVNULL,
               stdout=subprocess.PIPE)
    assert done.stdout.decode() == "{}\nit's\nno terminal\n".format(tmp_path)


def test_run_on_several_tasks_runs_once_and_can_use_them_all(backend):
    done = run(backend, 'echo once; srun echo task; exit 5', {'tasks': 4, 'quiet': True},
               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert done.returncode == 5
    assert sorted(done.stdout.split()) == [b'once'] + 4 * [b'task']


def test_run_has_a_terminal_where_there_is_one(backend, monkeypatch):
    master, slave = pty.openpty()
    monkeypatch.setattr(sys, 'stdin', os.fdopen(os.dup(slave), 'r'))
    monkeypatch.setattr(sys, 'stdout', os.fdopen(os.dup(slave), 'w'))
    words = backend.interactive({}, '[ -t 0 ] && [ -t 1 ] && read line && echo "got $line"; exit 6')
    child = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, env=clean_environment(),
                             start_new_session=True)
    os.close(slave)
    os.write(master, b'hello\n')
    assert child.wait(60) == 6
    assert b'got hello' in os.read(master, 10000)
    os.close(master)


@pytest.mark.outage
@as_root
@pytest.mark.parametrize('how', [[], ['--kill']])
def test_an_execution_goes_on_through_an_outage(qmap, how):
    at_executor(qmap, 'slurm')
    outage(qmap, 'slurm', lambda: down(*(how + ['slurmctld'])), lambda: up())


def test_usage_is_that_of_steps_on_all_nodes_and_no_cache_of_files(qmap):
    at_executor(qmap, 'slurm')
    qmap.write('work.py', 'import time\nheld = bytearray(80 << 20)\nend = time.process_time() + 0.6\n'
                          'while time.process_time() < end:\n    pass\n')
    qmap.write('a.map', '[params]\nmemory = 512M\n[jobs]\n'
                        'dd if=/dev/zero of=big bs=1M count=300; cat big >/dev/null; rm big\n'
                        'srun -n1 python3 work.py\nsrun python3 work.py ## tasks=2 nodes=2\n')
    assert qmap('submit', 'a.map', '-p', 'slurm', '--logs', 'out').code == 0
    files, step, nodes = (qmap.info('out', id)['usage'] for id in '012')
    assert files['memory']['bytes'] < files['memory']['below'] / 1.1 and files['memory']['below'] > 250 * MEGABYTE
    assert step['time']['cpu'] >= 0.6 and step['memory']['bytes'] > 80 * MEGABYTE
    assert nodes['time']['cpu'] >= 1.2 and nodes['memory']['bytes'] > 160 * MEGABYTE


def test_a_node_on_which_jobs_fail_is_left_out_also_by_who_takes_over(qmap):
    at_executor(qmap, 'slurm')
    shown = call_scheduler(['sinfo', '-h', '-N', '-o', '%N %c'], SLURM_CONF=qmap.environ['SLURM_CONF']).out
    nodes = sorted({tuple(line.split()) for line in shown.splitlines()})
    if len(nodes) < 3:
        pytest.skip('needs three nodes')
    bad, cores = nodes[1]
    job = '[ $SLURMD_NODENAME != {} ] || {{ echo no scratch >&2; exit 3; }}; sleep 0.5\n'
    qmap.write('a.map', job.format(bad) * 36)
    # More cores than half a node has, so that no node is given all that is submitted at once.
    options = ['-p', 'slurm', '--pull', '0', '-r', '6', '-c', str(int(cores) // 2 + 1)]
    assert qmap('submit', 'a.map', *options, '-l', 'out', '--canary', '2').code == 1
    failed = qmap.statuses('out').count('FAILED')
    assert 3 <= failed < 20 and '  left out: {} ('.format(bad) in qmap('info', 'out', '--summary').out
    qmap('control', 'out', 'retry')
    assert qmap('reattach', 'out', '-q').code == 0


@as_root
@pytest.mark.slow
def test_a_node_whose_daemon_is_killed(qmap, tmp_path_factory):
    place = str(tmp_path_factory.mktemp('nodes'))
    slurm = ['--dir', place]
    subprocess.check_call([os.path.join(CLUSTERS, 'slurm-up'), *slurm, '--port', '28900', '--nodes', '2', '--node',
                           'lost-' + HOST, '--cpus', '1', '--set', 'SlurmdTimeout=10'], stdout=subprocess.DEVNULL)
    try:
        qmap.environ['SLURM_CONF'] = os.path.join(place, 'etc', 'slurm.conf')
        qmap.write('mine.conf', 'executor = slurm\npoll = 2\n')
        qmap.write('a.map', 'echo $SLURMD_NODENAME; [ -e again ] || sleep 1000\necho $SLURMD_NODENAME; sleep 20\n')
        process = qmap.start('submit', 'a.map', '-p', 'mine', '--logs', 'out')
        for id in '01':
            until(lambda: os.path.exists(qmap.path('out', id + '.out')) and qmap.read('out', id + '.out'))
        node = qmap.read('out', '0.out').strip()
        subprocess.check_call([os.path.join(CLUSTERS, 'slurm-down'), *slurm, '--kill', 'slurmd-' + node])
        qmap.write('again', '')
        process.communicate(timeout=350)
        assert qmap.statuses('out') == ['COMPLETED', 'COMPLETED']
        info = qmap.info('out', '0')
        assert info['attempts'][0]['error_reason'] == 'node' and info['attempts'][0]['error']
        assert info['retries'] == 1 and qmap.read('out', '0.out').strip() != node
    finally:
        subprocess.check_call([os.path.join(CLUSTERS, 'slurm-down'), *slurm, '--purge'])
