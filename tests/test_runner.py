"""What runs a job: whatever happens around it, the job's own words are kept, and its command means what it says."""

import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import types

import pytest
from conftest import until

import qmap as module

#: Who runs a job: the task of a batch, one that runs another job after it, and a worker that takes it from a list.
RUNNERS = ('share', 'task', 'worker')

#: The scheduler: of a runner with NO_ID in its environment, which says its words as on a cluster.
SCHEDULER = types.SimpleNamespace(task_variable='K', id_variable='NO_ID', remaining='')


def script_of(command):
    """Return a text, or what is a JobScript already, as a JobScript."""
    return command if isinstance(command, module.JobScript) else module.JobScript('', '', command, '')


def prepare(logs, how, *commands, chunk=False, limits=0, **options):
    """Write the list and the script of a batch with jobs 0, 1...: those of a share are one chunk, which goes on behind
    a single one; those of a worker are if `chunk` says so.

    Args:
        logs: Logs
        how: one of RUNNERS
        commands: texts, or JobScripts
        chunk: see above
        limits: of each job, see `job_list`
        options: for `batch_script`

    Returns:
        path of the script
    """
    if how == 'share' and len(commands) == 1:
        commands += 'true\n',
    jobs = [('{}.1'.format(number), str(number), limits, script_of(command)) for number, command in enumerate(commands)]
    crew = 1 if how == 'worker' else 0
    sizes = [(len(jobs), 1)] if how == 'share' or chunk else [(1, len(jobs))]
    module.write_text(logs.batch(1, '.list'), module.job_list(crew, True, sizes, jobs))
    module.write_text(logs.batch(1), module.batch_script(logs, 1, 0, SCHEDULER, workers=crew, **options))
    return logs.batch(1)


def start(script, **environ):
    """Start a runner, and return its process."""
    return subprocess.Popen(['bash', script], env=dict(os.environ, K='1', **environ), start_new_session=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def begin(folder, how, command, options=(), **environ):
    """Start a runner with one job in a new folder, and return its process and its Logs; `options` as of `prepare`."""
    logs = module.Logs(str(folder))
    logs.create()
    return start(prepare(logs, how, command, **dict(options)), **environ), logs


def heard(logs, kind, key='0.1'):
    """Return what runners have said of a job, as a list of dicts."""
    words = [word for name in os.listdir(logs.run) if name.endswith('.start')
             for word in module.Words(logs, name).hear()]
    return [said for own, about, said in words if (own, about) == (kind, key)]


def end_of(logs, key='0.1'):
    """Return what a job said at its end, None while it has not."""
    return dict(enumerate(heard(logs, 'e', key))).get(0)


def text(*parts):
    """Return what a file holds, '' where it is not there."""
    try:
        with open(os.path.join(*parts)) as source:
            return source.read()
    except FileNotFoundError:
        return ''


@pytest.mark.parametrize('how', ['share', 'worker'])
def test_what_is_cut_off_at_the_end_of_a_torn_list_does_not_run(tmp_path, how):
    logs = module.Logs(str(tmp_path))
    logs.create()
    script = prepare(logs, how, 'echo whole\n', 'echo torn; exit 3\n', chunk=True)
    path = logs.batch(1, '.list')
    os.truncate(path, text(path).index('; exit 3'))
    start(script).wait(timeout=60)
    assert end_of(logs)['exit_code'] == 0 and text(logs.path, '0.out') == 'whole\n'
    assert not heard(logs, 's', '1.1') and text(logs.path, '1.out') == ''


@pytest.mark.once
@pytest.mark.parametrize('how', RUNNERS)
@pytest.mark.parametrize('job, status', [('trap "exit 0" TERM; ', 0), ('trap "exit 7" TERM; ', 7), ('', 143)])
@pytest.mark.parametrize('first', ['runner', 'job', 'both'])
def test_the_status_of_a_job_is_known_though_a_signal_comes_as_it_ends(tmp_path, how, job, status, first):
    command = job + 'echo $$; sleep 30 & wait; exit 5\n'
    begun = [begin(tmp_path / str(number), how, command) for number in range(12)]
    for process, logs in begun:
        job = int(until(lambda: text(logs.path, '0.out')))
        group = os.getpgid(job)
        if first == 'both':
            # The runner is stopped, so that both wait for it when it goes on.
            process.send_signal(signal.SIGSTOP)
        if first != 'job':
            process.send_signal(signal.SIGTERM)
        try:
            os.killpg(group, signal.SIGTERM)
        except ProcessLookupError:    # what the runner passed on has ended it
            pass
        if first == 'both':
            until(lambda: not module.birth(job))
            process.send_signal(signal.SIGCONT)
        if first == 'job':
            process.send_signal(signal.SIGTERM)
    for process, _ in begun:
        process.wait(timeout=60)
    assert [end_of(logs)['exit_code'] for _, logs in begun] == [status] * len(begun)


@pytest.mark.once
@pytest.mark.parametrize('how', RUNNERS)
def test_a_job_that_is_killed_has_that_status(tmp_path, how):
    process, logs = begin(tmp_path / 'out', how, 'kill -KILL 0')
    process.wait(timeout=60)
    assert end_of(logs)['exit_code'] == 137


@pytest.mark.once
@pytest.mark.parametrize('how', ['task', 'worker'])
@pytest.mark.parametrize('environ, host', [
    ({'SLURM_JOB_ID': '7', 'SLURMD_NODENAME': 'n1'}, 'n1'), ({'SLURM_JOB_ID': '7'}, os.uname().nodename),
    ({'SLURM_JOB_ID': '6', 'SLURMD_NODENAME': 'n1'}, os.uname().nodename)])
def test_a_node_has_the_name_that_slurm_gives_it(tmp_path, how, environ, host):
    process, logs = begin(tmp_path / 'out', how, 'true\n', NO_ID='7', **environ)
    process.wait(timeout=60)
    assert heard(logs, 's')[0]['host'] == host


@pytest.mark.once
@pytest.mark.parametrize('how', ['task', 'worker'])
def test_variables_of_a_submission_are_as_the_user_set_them_for_the_job(tmp_path, how):
    process, logs = begin(
        tmp_path / 'out', how, 'echo "${ONE-unset} ${OTHER-unset} ${QMAP_OUTER_ONE-unset}"\n',
        ONE='1', QMAP_OUTER_ONE='', OTHER='1', QMAP_OUTER_OTHER="it's 5")
    process.wait(timeout=60)
    assert text(logs.path, '0.out') == "unset it's 5 unset\n"


class Cgroups:
    """Folders in the place of the kernel's, below tmp_path/cgroup, with the cgroup of job 7 of Slurm.

    Attributes:
        folder: of the job's cgroup
        environ: variables for a runner
    """

    #: What /proc/self/cgroup says in the batch step, and where the job's cgroup is then.
    KINDS = {1: ('4:memory:/slurm/uid_0/job_7/step_batch/task_0\n2:cpuacct:/\n0::/\n', 'memory/slurm/uid_0/job_7'),
             2: ('0::/slurmstepd.scope/job_7/step_batch/user/task_0\n', 'slurmstepd.scope/job_7'),
             # cgroup.conf(5) of Slurm 26.05, CgroupJobIdPaths
             26: ('0::/slurmstepd.scope/sEKNKTV3WPV500/step_batch/user/task_0\n', 'slurmstepd.scope/sEKNKTV3WPV500')}

    def __init__(self, tmp_path, kind):
        self._own, path = self.KINDS[kind]
        self._root, self._one = tmp_path / 'cgroup', kind == 1
        self.folder = self._root / path
        self.folder.mkdir(parents=True)
        (self._root / 'self').write_text(self._own)
        self.environ = {'NO_ID': '7', 'SLURM_JOB_ID': '7'}
        self.peak = self.folder / ('memory.max_usage_in_bytes' if self._one else 'memory.peak')

    def stat(self, held, shared, file):
        """Return what memory.stat says, in megabytes: of version 1, what is below does not count twice."""
        text = 'total_rss {0}\nshmem {1}\ntotal_shmem {1}\ntotal_cache {2}\n' if self._one else \
            'anon {0}\nfile {2}\nkernel 1\nshmem {1}\n'
        return text.format(*(amount << 20 for amount in (held, shared, file)))

    def write(self, held, shared, file, peak):
        """Write what the kernel would say now."""
        (self.folder / 'memory.stat').write_text(self.stat(held, shared, file))
        self.peak.write_text('{}\n'.format(peak << 20))

    def see(self, held, shared, file, peak):
        """Return lines of bash that go on when this has been seen."""
        # Each time another pipe, as who reads one reads on where a second one writes. Who waits at the old one goes on.
        return ('mkfifo {stat}.new; [ ! -p {stat} ] || mv {stat} {stat}.old; mv {stat}.new {stat}\n'
                '[ ! -p {stat}.old ] || {{ : 1<>{stat}.old; rm {stat}.old; }}\n'
                'echo {} >{peak}.new; mv {peak}.new {peak}\nprintf {} >{stat}\n').format(
            peak << 20, shlex.quote(self.stat(held, shared, file)), stat=shlex.quote(str(self.folder / 'memory.stat')),
            peak=shlex.quote(str(self.peak)))

    def last(self, held, shared, file, peak):
        """Return lines of bash after which this can be seen."""
        stat = shlex.quote(str(self.folder / 'memory.stat'))
        return 'printf {} >{stat}.new; mv {stat}.new {stat}\necho {} >{peak}.new; mv {peak}.new {peak}\n'.format(
            shlex.quote(self.stat(held, shared, file)), peak << 20, stat=stat, peak=shlex.quote(str(self.peak)))

    def place(self, script):
        """Let a script look here."""
        with open(script) as source:
            found = source.read()
        module.write_text(script, found.replace('/sys/fs/cgroup', str(self._root)).replace(
            '/proc/self/cgroup', str(self._root / 'self')))


@pytest.fixture
def measured(tmp_path):
    """Return a function that runs jobs in a cgroup as the kernel has it, and returns the end of the last one."""
    def run(how, groups, *commands, **environ):
        if 'mkfifo' in commands[-1]:    # a worker may still look at what was there before this job
            commands = commands[:-1] + (groups.see(1, 0, 2, 3) + commands[-1],)
        logs = module.Logs(str(tmp_path / 'out'))
        logs.create()
        script = prepare(logs, how, *commands)
        groups.place(script)
        start(script, **dict(groups.environ, **environ)).wait(timeout=60)
        end = end_of(logs, '{}.1'.format(len(commands) - 1))
        return {key: value >> 20 if key.startswith('memory') else value for key, value in end.items()}
    return run


@pytest.mark.once
@pytest.mark.parametrize('how', ['task', 'worker'])
@pytest.mark.parametrize('kind', sorted(Cgroups.KINDS))
def test_the_memory_of_a_job_is_what_it_held_and_no_cache_of_files(tmp_path, measured, how, kind):
    groups = Cgroups(tmp_path, kind)
    groups.write(1, 0, 2, 3)
    end = measured(how, groups, groups.see(100, 20, 620, 719) + groups.see(10, 0, 600, 720) + groups.see(9, 0, 1, 720)
                   + groups.last(2, 0, 1, 720))
    assert (end['memory'], end['memory_below']) == (120, 720)


@pytest.mark.once
@pytest.mark.parametrize('how', ['task', 'worker'])
@pytest.mark.parametrize('kind', sorted(Cgroups.KINDS))
def test_a_peak_that_nobody_saw_counts_but_for_the_caches(tmp_path, measured, how, kind):
    groups = Cgroups(tmp_path, kind)
    groups.write(1, 0, 2, 3)
    end = measured(how, groups, groups.last(2, 0, 100, 400))
    assert (end['memory'], end['memory_below']) == (300, 400)


@pytest.mark.once
@pytest.mark.parametrize('how', ['share', 'worker'])
def test_a_job_that_needs_less_than_one_before_it_in_the_same_runner(tmp_path, measured, how):
    groups = Cgroups(tmp_path, 2)
    groups.write(1, 0, 2, 3)
    end = measured(how, groups, groups.last(2, 0, 100, 400),
                   groups.see(80, 0, 1, 400) + groups.see(1, 0, 1, 400) + groups.last(2, 0, 1, 400))
    assert (end['memory'], end['memory_below']) == (80, 400)


@pytest.mark.once
@pytest.mark.parametrize('how', ['task', 'worker'])
@pytest.mark.parametrize('counted', [True, False])
def test_the_cpu_time_of_what_srun_starts_is_that_of_the_cgroup_or_unknown(tmp_path, measured, how, counted):
    # slurmstepd is the parent of those processes, and bash knows only of its own children.
    groups = Cgroups(tmp_path, 2)
    groups.write(1, 0, 2, 3)
    step = groups.folder / 'step_0'
    step.mkdir()
    if counted:
        (groups.folder / 'cpu.stat').write_text('usage_usec 7500000\nuser_usec 7000000\n')
    end = measured(how, groups, groups.see(80, 0, 1, 90) + groups.see(1, 0, 1, 90) + groups.last(2, 0, 1, 90))
    assert end['cpu'] == (7.5 if counted else None) and end['memory'] > 80


@pytest.mark.once
@pytest.mark.parametrize('how', ['task', 'worker'])
@pytest.mark.parametrize('environ', [
    {'SLURM_JOB_NUM_NODES': '2'}, {'SLURM_JOB_ID': '', 'LSB_JOBID': '7', 'LSB_MCPU_HOSTS': 'a 4 b 2'},
    {'SLURM_JOB_ID': '', 'JOB_ID': '7', 'NHOSTS': '2'}])
def test_of_a_job_on_several_nodes_one_of_them_cannot_tell_the_usage(tmp_path, measured, how, environ):
    groups = Cgroups(tmp_path, 2)
    groups.write(80, 0, 2, 90)
    end = measured(how, groups, 'true\n', **environ)
    assert (end['cpu'], end['memory'], end['memory_below']) == (None, 0, 0)


@pytest.mark.once
@pytest.mark.parametrize('how', ['task', 'worker'])
def test_what_looks_at_the_memory_leaves_nothing_to_the_job_and_ends_with_it(tmp_path, measured, how):
    groups = Cgroups(tmp_path, 2)
    groups.write(1, 0, 2, 3)
    end = measured(how, groups, groups.see(1, 0, 1, 3) + 'echo /proc/$$/fd/*\n' + groups.last(1, 0, 1, 3))
    assert end['exit_code'] == 0
    # 3 is the folder that bash looks into.
    open_files = {os.path.basename(path) for path in text(str(tmp_path), 'out', '0.out').split()}
    assert open_files == {'0', '1', '2', '3'}
    until(lambda: not subprocess.call(['pgrep', '-f', str(tmp_path)], stdout=subprocess.DEVNULL) == 0)


@pytest.mark.once
@pytest.mark.parametrize('how', RUNNERS)
@pytest.mark.parametrize('scheduler', ['', '7'])
@pytest.mark.parametrize('room', [0, 15, 60])
def test_what_a_job_said_waits_for_room_on_the_disk_however_long_that_is(tmp_path, how, scheduler, room):
    # Ten seconds are none here, and a limit for the sizes of files is as good as a full disk: of what does not fit,
    # the first bytes are written.
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'sleep').write_text('#!/bin/bash\necho >>{}/slept\n'.format(tmp_path))
    (tmp_path / 'bin' / 'sleep').chmod(0o755)
    os.mkfifo(str(tmp_path / 'go'))
    # (What Python ignores at such a limit is ignored below as well.)
    logs = module.Logs(str(tmp_path / 'out'))
    logs.create()
    script = prepare(logs, how, 'echo begun; read <{}/go; exit 3\n'.format(tmp_path))
    process = subprocess.Popen(
        ['bash', script], restore_signals=False, start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=dict(os.environ, K='1', NO_ID=scheduler, PATH='{}:{}'.format(tmp_path / 'bin', os.environ['PATH'])))
    until(lambda: text(logs.path, '0.out'))
    _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    size = os.path.getsize(os.path.join(logs.run, '0.1.start')) + room
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, most))
    (tmp_path / 'go').write_text('\n')
    until(lambda: text(str(tmp_path), 'slept').count('\n') > 100)
    assert process.poll() is None and end_of(logs) is None
    assert os.path.getsize(os.path.join(logs.run, '0.1.start')) == size
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
    process.wait(timeout=60)
    end = end_of(logs)
    assert end['exit_code'] == 3 and 0 <= end['cpu'] < 1 and len(heard(logs, 'e')) == 1


@pytest.mark.once
def test_what_is_not_written_yet_is_read_later_and_what_was_torn_counts_once(tmp_path):
    logs = module.Logs(str(tmp_path / 'out'))
    logs.create()
    words, path = module.Words(logs, '0.1.start'), os.path.join(logs.run, '0.1.start')
    assert words.hear() == []
    said = ('{"host":"n1","pid":7,"born":"x/7","executor_id":"7","batch":1}\n0m0s 0m0s\n0m0.250s 0m0s\ns 0.1 1000.5 .\n'
            '0m0s 0m0s\n0m1.2\n0m0s 0m0s\n0m1.250s 0m0s\ne 0.1 {"exit_code":3,"ti\n'
            '0m0s 0m0s\n0m1.250s 0m0s\ne 0.1 {"exit_code":3,"time":1005,"memory":0} .\ns 1.1 10\ns 1.1 1006 .\n')
    heard = []
    for end in range(len(said) + 1):
        module.write_text(path, said[:end])
        heard += words.hear()
    assert [(kind, key, found['time']) for kind, key, found in heard] == [
        ('s', '0.1', 1000.5), ('e', '0.1', 1005), ('s', '1.1', 1006)]
    assert (heard[1][2]['exit_code'], heard[1][2]['cpu']) == (3, 1.0)
    assert heard[2][2]['host'] == words.who['host'] == 'n1'
    assert module.Words(logs, '0.1.start').hear() == heard


@pytest.mark.once
def test_a_job_that_is_cancelled_in_the_chunk_of_a_worker_is_left_out(tmp_path):
    logs = module.Logs(str(tmp_path / 'out'))
    logs.create()
    os.mkfifo(str(tmp_path / 'go'))
    commands = ['echo ran; read <{}/go\n'.format(tmp_path)] + ['echo ran\n'] * 3
    process = start(prepare(logs, 'worker', *commands, chunk=True))
    until(lambda: text(logs.path, '0.out'))
    module.write_text(logs.run_file('cancel', 1, 1), '1.1 0.1\n3.1 0.1\n')
    (tmp_path / 'go').write_text('\n')
    assert process.wait(timeout=60) == 0
    assert [text(logs.path, '{}.out'.format(number)) for number in range(4)] == ['ran\n', '', 'ran\n', '']
    assert [(kind, key) for kind, key, _ in module.Words(logs, '0.1.start').hear()] == [
        ('s', '0.1'), ('e', '0.1'), ('c', '1.1'), ('s', '2.1'), ('e', '2.1'), ('c', '3.1')]


@pytest.mark.once
@pytest.mark.parametrize('chunk', [False, True])
def test_a_worker_whose_first_jobs_all_fail_waits_until_its_host_may_be_left_out(tmp_path, chunk):
    logs = module.Logs(str(tmp_path / 'out'))
    logs.create()
    process = start(prepare(logs, 'worker', *['false\n'] * 20, chunk=chunk))
    until(lambda: end_of(logs, '2.1'))
    module.write_text(os.path.join(logs.qmap, 'excluded'), os.uname().nodename + '\n')
    assert process.wait(timeout=60) == 0
    with open(logs.run_file('left', 1, 1)) as source:
        assert json.load(source)['why'] == 'its host is left out'
    assert not end_of(logs, '9.1')


@pytest.mark.once
def test_a_chunk_of_a_batch_that_is_closed_begins_no_other_job(tmp_path):
    logs = module.Logs(str(tmp_path / 'out'))
    logs.create()
    os.mkfifo(str(tmp_path / 'go'))
    process = start(prepare(logs, 'share', 'echo ran; read <{}/go\n'.format(tmp_path), 'echo ran\n', 'echo ran\n'))
    until(lambda: text(logs.path, '0.out'))
    logs.close_batch(1)
    (tmp_path / 'go').write_text('\n')
    process.wait(timeout=60)
    # It says that the next one begins, looks, and takes it back: with all that is behind it.
    assert [(kind, key) for kind, key, _ in module.Words(logs, '0.1.start').hear()] == [
        ('s', '0.1'), ('e', '0.1'), ('s', '1.1'), ('v', '1.1')]
    assert not text(logs.path, '1.out') + text(logs.path, '2.out')


@pytest.mark.once
def test_nothing_waits_for_a_folder_that_is_gone(tmp_path):
    import shutil
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'sleep').write_text('#!/bin/bash\nexit\n')
    (tmp_path / 'bin' / 'sleep').chmod(0o755)
    process, logs = begin(tmp_path / 'out', 'task', 'echo begun; read <{}/fifo\n'.format(tmp_path),
                          PATH='{}:{}'.format(tmp_path / 'bin', os.environ['PATH']))
    os.mkfifo(str(tmp_path / 'fifo'))
    until(lambda: text(logs.path, '0.out'))
    shutil.rmtree(logs.path)
    (tmp_path / 'fifo').write_text('go\n')
    process.wait(timeout=60)


@pytest.fixture
def others_folder():
    """A folder that others may enter: pytest keeps its own for its owner."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield folder


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason='only root can be another user, who has no other processes')
@pytest.mark.parametrize('how', ['task', 'share', 'worker'])
def test_a_job_for_which_there_is_no_process_was_not_begun(others_folder, how):
    logs = module.Logs(os.path.join(others_folder, 'out'))
    logs.create()
    script, user = prepare(logs, how, 'echo ran\n'), 61720 + RUNNERS.index(how)
    for folder, _, names in os.walk(logs.path):
        for name in [folder] + [os.path.join(folder, name) for name in names]:
            os.chown(name, user, user)

    def be_poor():
        resource.setrlimit(resource.RLIMIT_NPROC, (2, 2))    # itself, and the shell above the job's own
        os.setgid(user)
        os.setuid(user)

    process = subprocess.Popen(['bash', script], env=dict(os.environ, K='1'), preexec_fn=be_poor,
                               start_new_session=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert process.wait(timeout=120) == 254
    assert end_of(logs) is None and text(logs.path, '0.out') == ''
    assert heard(logs, 'v')


def run(qmap, lines, *options):
    """Submit a map, and return the Result."""
    qmap.write('a.map', lines)
    return qmap('submit', 'a.map', '--logs', 'out', *options)


@pytest.mark.parametrize('command, status', [
    ("echo it's one", 2), ('cat <<EOF', 0), ('if true; then', 2), ('echo "a', 2), ('(', 2), ('echo $(ls', 2), ('}', 2)])
def test_what_is_open_in_a_command_does_not_reach_the_next(qmap, command, status):
    result = run(qmap, '{}\necho needed >kept\necho that\'s three\n'.format(command), '-g', '3')
    assert result.code == 1
    info = qmap.info('out', '0')
    if status:
        assert (info['exit_code'], info['commands']['done']) == (status, 0) and not os.path.exists(qmap.path('kept'))
    else:
        assert (info['exit_code'], info['commands']['done']) == (2, 2) and qmap.read('kept') == 'needed\n'
    assert 'QMAP_' not in qmap.read('out', '0.out')


#: One that runs in a subshell, one with a bash of its own, and one of several commands.
SHELLS = [('', ()), (': $$; ', ()), ('', ('-g', '2'))]


@pytest.mark.parametrize('before, options', SHELLS)
def test_a_command_that_is_longer_than_the_system_passes_on(qmap, before, options):
    many = [29000, 30000, 60000, 200000]
    assert run(qmap, ''.join('{}echo {}\n'.format(before, chr(97 + number) * many[number]) for number in range(4)),
               *options).code == 0
    printed = ''.join(qmap.read('out', name) for name in sorted(os.listdir(qmap.path('out'))) if name.endswith('.out'))
    assert [(line[0], len(line)) for line in printed.split()] == list(zip('abcd', many))


@pytest.mark.parametrize('before, options', SHELLS)
def test_what_bash_says_of_an_error_names_the_script_of_the_job(qmap, before, options):
    script = qmap.path('out', '0.sh')
    run(qmap, before + 'no-such-program\n' + before + 'true\n', *options)
    said = re.escape(script) + r': line \d+: no-such-program: command not found\n\Z'
    assert re.match(said, qmap.read('out', '0.err'))
    assert qmap('info', '-l', 'out', '--summary').lines[1].startswith('  1 job: exit 127: no-such-program: command not')
    again = subprocess.run(['bash', script], stderr=subprocess.PIPE)
    assert (again.returncode, again.stderr.decode()) == (127, qmap.read('out', '0.err')), 'it repeats all, by the line'


def test_a_job_finds_the_name_of_its_script_and_not_how_it_came_to_it(qmap):
    qmap.environ['QMAP_SCRIPT'] = 'mine'
    for before, options in SHELLS:
        assert run(qmap, before + 'env | grep ^QMAP_SCRIPT; echo ${QMAP_SCRIPT-none}\n' + before + 'true\n',
                   '-l', 'of{}{}'.format(len(before), len(options)), *options).code == 0
    assert run(qmap, 'echo $0\ntrue\n').code == 0
    assert [qmap.read('of' + name, '0.out') for name in ('00', '60', '02')] == ['none\n'] * 3
    assert qmap.read('out', '0.out') == qmap.path('out', '0.sh') + '\n'


@pytest.mark.parametrize('before, options', SHELLS)
def test_others_do_not_see_a_command_among_the_processes(qmap, before, options):
    qmap.write('a.map', (before + 'SECRET=hunter2; echo begun; until [ -e go ]; do sleep 0.05; done\n') * 2)
    process = qmap.start('submit', 'a.map', '-l', 'out', *options)
    until(lambda: os.path.exists(qmap.path('out', '0.out')) and qmap.read('out', '0.out'))
    shown = subprocess.check_output(['ps', '-eww', '-o', 'args'])
    qmap.write('go', '')
    process.communicate(timeout=60)
    assert process.returncode == 0 and b'/.qmap/batch/' in shown and b'hunter2' not in shown


def test_commands_of_a_group_end_as_they_do_alone(qmap):
    commands = ['echo "a  b"', "printf '%s\\n' 'it'\\''s'", 'x=1', 'echo ${x-none}', 'echo $#', 'set -u',
                'echo ${y-none}', 'cd /', 'pwd', 'exit 0', 'trap "echo bye" EXIT', 'cat', 'false; true',
                'echo $QMAP_LINE ${QMAP_LINE}']
    qmap.write('a.map', '\n'.join(commands) + '\n')
    assert qmap('submit', 'a.map', '-l', 'alone').code == 0
    assert qmap('submit', 'a.map', '-l', 'group', '-g', str(len(commands))).code == 0
    alone = ''.join(qmap.read('alone', '{:02}.out'.format(number)) for number in range(len(commands)))
    assert qmap.read('group', '00.out') == alone


@pytest.mark.parametrize('pre', ['', '[pre]\nset -euo pipefail\n', '[pre]\nset -o posix\n', '[pre]\ntrap "" TERM\n',
                                 '[pre]\necho() { builtin echo "$@"; }\n'])
@pytest.mark.parametrize('command, status', [
    ('true', 0), ('false', 1), ('if true; then', 2), ('exit 7', 7), ("echo it's", 2),
    ('kill -TERM $BASHPID; sleep 60', 143)])
def test_post_runs_whatever_became_of_the_command(qmap, pre, command, status):
    if 'trap' in pre and status == 143:
        pytest.skip('what ignores TERM is not ended by it')
    result = run(qmap, pre + '[post]\nbuiltin echo "cleanup $QMAP_STATUS" >cleaned\n[jobs]\n' + command + '\n')
    assert result.code == (1 if status else 0), result
    assert qmap.read('cleaned') == 'cleanup {}\n'.format(status)
    assert qmap.info('out', '0')['exit_code'] == status


def test_options_that_pre_sets_hold_for_each_command_and_for_post(qmap):
    lines = ('[pre]\nset -eo pipefail\n[post]\nfalse\necho never >post\n[jobs]\n'
             '{}echo first; false | true; echo never >cmd\n')
    assert run(qmap, lines.format(''), '-g', '2').code == 1
    assert run(qmap, lines.format('true\n').replace('out', 'two'), '-g', '2', '--logs', 'two').code == 1
    assert not os.path.exists(qmap.path('post')) and not os.path.exists(qmap.path('cmd'))


@pytest.mark.parametrize('way', ['time', 'cancel'])
def test_post_runs_when_the_job_is_told_to_end(qmap, way):
    qmap.write('a.map', '[post]\necho cleanup $QMAP_STATUS >cleaned\n[jobs]\n'
               'echo begun >begun; sleep 1000\necho two >two\n')
    process = qmap.start('submit', 'a.map', '-l', 'out', '-g', '2', '-t', '2s' if way == 'time' else '1h')
    until(lambda: os.path.exists(qmap.path('begun')))
    if way == 'cancel':
        assert qmap('control', '-l', 'out', 'cancel').code == 0
    process.communicate(timeout=60)
    assert qmap.read('cleaned') == 'cleanup 143\n' and not os.path.exists(qmap.path('two'))
    info = qmap.info('out', '0')
    assert (info['status'], info['error_reason'], info['commands']['done']) == (
        'FAILED', 'time' if way == 'time' else 'cancelled', 0)


#: Bash below the job's own saves its state when it is told to end, which takes a while.
SAVES = 'bash -c \'trap "sleep 1.5; echo saved >state; exit 1" TERM; echo begun >begun; sleep 60 & wait\'\n'


@pytest.mark.parametrize('way', ['time', 'cancel', 'Ctrl-C'])
def test_a_program_that_is_told_to_end_has_time_to_save_its_state(qmap, way):
    qmap.write('a.map', SAVES)
    process = qmap.start('submit', 'a.map', '-l', 'out', '-t', '2s' if way == 'time' else '1h')
    until(lambda: os.path.exists(qmap.path('begun')))
    if way == 'cancel':
        assert qmap('control', '-l', 'out', 'cancel').code == 0
    elif way == 'Ctrl-C':
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert qmap.read('state') == 'saved\n'
    assert qmap.info('out', '0')['error_reason'] == ('time' if way == 'time' else 'cancelled')


@pytest.mark.parametrize('way', ['time', 'cancel'])
@pytest.mark.parametrize('group', ['1', '2'])
def test_a_job_that_we_end_has_failed_though_it_answers_with_0(qmap, way, group):
    qmap.write('a.map', "trap 'exit 0' TERM; echo begun >begun; sleep 60 & wait; echo rest >rest\n"
               + 'true\n' * (group == '2'))
    process = qmap.start('submit', 'a.map', '-l', 'out', '-g', group, '-t', '2s' if way == 'time' else '1h')
    until(lambda: os.path.exists(qmap.path('begun')))
    if way == 'cancel':
        assert qmap('control', '-l', 'out', 'cancel').code == 0
    process.communicate(timeout=60)
    assert process.returncode == 1 and not os.path.exists(qmap.path('rest'))
    info = qmap.info('out', '0')
    assert (info['status'], info['error_reason']) == ('FAILED', 'time' if way == 'time' else 'cancelled')
    assert 'sleep 60' in qmap('info', '-l', 'out').out    # and so it is in the map of what failed


def test_a_job_that_had_ended_when_it_was_cancelled_is_completed(qmap):
    event = module.end_event({'job': '0', 'attempt': 1}, None, {'exit_code': 0, 'time': 5}, None, None, '')
    assert event['status'] == 'COMPLETED'
    # The driver has not seen the end when the order comes: the times tell which came first.
    qmap.write('a.map', 'true\n')
    process = qmap.start('submit', 'a.map', '-l', 'out')
    process.communicate(timeout=60)
    assert qmap('control', '-l', 'out', 'cancel', '0').out == '1 job had finished already\n'
    assert qmap.statuses('out') == ['COMPLETED']


def test_output_that_a_job_opens_by_name_is_added_to(qmap):
    run(qmap, 'echo one; echo two >>/dev/stdout; echo three\n'
              'echo one >&2; echo two | tee -a /dev/stderr >/dev/null; echo 3 >&2\n')
    assert qmap.read('out', '0.out') == 'one\ntwo\nthree\n' and qmap.read('out', '1.err') == 'one\ntwo\n3\n'
    # A program that cuts the file by name does not have the rest overwritten.
    run(qmap, 'echo begun; sleep 0.1; echo cut >/dev/stdout; echo rest\n', '--logs', 'cut')
    assert qmap.read('cut', '0.out') == 'cut\nrest\n'


#: What other programs leave in the environment of a shell, and what a job then sees as its bash would.
STATES = [
    ({'SHELLOPTS': 'braceexpand:errexit:hashall:interactive-comments'}, 'false; echo no', '', 1),
    ({'SHELLOPTS': 'braceexpand:hashall:interactive-comments:nounset'}, 'echo ${nothing-set}; echo $nothing', 'set\n',
     1),
    ({'SHELLOPTS': 'braceexpand:hashall:interactive-comments:noglob:noclobber'}, 'echo *; echo $SHELLOPTS',
     '*\nbraceexpand:hashall:interactive-comments:noclobber:noglob\n', 0),
    ({'BASHOPTS': 'nullglob:failglob', 'POSIXLY_CORRECT': '1'}, 'echo $POSIXLY_CORRECT; shopt -q failglob && echo set',
     '1\nset\n', 0),
    ({'BASH_ENV': 'start'}, 'false; echo no', '', 1),
    ({'BASH_FUNC_cd%%': '() {  builtin cd "$@" && builtin echo in\n}'}, 'cd /', 'in\n', 0),
    ({'BASH_FUNC_read%%': '() {  builtin echo read\n}', 'BASH_FUNC_kill%%': '() {  builtin echo killed\n}'},
     'read x; kill -0 $$', 'read\nkilled\n', 0),
    ({'BASH_FUNC_echo%%': '() {  builtin echo "<$*>"\n}'}, 'echo a', '<a>\n', 0),
    ({'BASH_FUNC_builtin%%': '() {  return 7\n}'}, 'builtin echo a', 'a\n', 0),
    ({'TMOUT': '1', 'GLOBIGNORE': '*', 'FUNCNEST': '1'}, 'echo $TMOUT', '1\n', 0),
    ({'QMAP_WAIT': '1', 'QMAP_DONE': 'done', 'QMAP_TASK': '7', 'QMAP_MEMORY': '5G'},
     'echo "${QMAP_WAIT-none} ${QMAP_MEMORY-none}"', 'none none\n', 0)]


@pytest.mark.parametrize('environ, command, out, status', STATES)
@pytest.mark.parametrize('kind', ['alone', 'group', 'shared'])
def test_a_shell_state_in_the_environment_is_for_the_job_alone(qmap, environ, command, out, status, kind):
    qmap.write('start', 'set -e\n')
    qmap.environ.update(environ, PATH='{}:{}'.format(os.path.dirname(sys.executable), os.environ['PATH']))
    if 'BASH_ENV' in environ:
        qmap.environ['BASH_ENV'] = qmap.path('start')
    before = 'echo before >>seen\n' * {'alone': 0, 'group': 1, 'shared': 300}[kind]
    number = {'alone': '0', 'group': '0', 'shared': '300'}[kind]
    result = run(qmap, before + command + '\n', *(['-g', '2'] if kind == 'group' else ['-r', '2']))
    assert result.code == status, result
    assert qmap.read('out', number + '.out') == out
    assert not [info for info in qmap.statuses('out')[:-1] if info != 'COMPLETED']


@pytest.mark.once
def test_a_submission_hands_over_the_same_environment(monkeypatch):
    monkeypatch.setenv('SHELLOPTS', 'braceexpand:errexit')
    monkeypatch.setenv('BASH_FUNC_cd%%', '() {  :\n}')
    monkeypatch.setenv('QMAP_WAIT', '1')
    monkeypatch.setenv('SLURM_JOB_ID', '1')
    lines = module.call_scheduler(['env']).out.splitlines()
    assert {'QMAP_KEPT_0=BASH_FUNC_cd%%=() {  :', 'QMAP_KEPT_1=SHELLOPTS=braceexpand:errexit'} <= set(lines)
    assert not [line for line in lines if line.startswith(('SHELLOPTS', 'BASH_FUNC_cd', 'QMAP_WAIT', 'SLURM_JOB_ID'))]


def test_jobs_see_the_locale_that_the_shell_has_and_not_the_one_that_python_makes(qmap):
    for name in list(qmap.environ):
        if name.startswith('LC_') or name == 'LANG':
            del qmap.environ[name]
    run(qmap, 'env | grep -c LC_ || true\n')
    assert qmap.read('out', '0.out') == '0\n'
    qmap.environ['LC_CTYPE'] = 'C.UTF-8'
    run(qmap, 'echo $LC_CTYPE\n', '--logs', 'own')
    assert qmap.read('own', '0.out') == 'C.UTF-8\n'


@pytest.mark.parametrize('given', [None, 'C', 'POSIX'])
def test_all_that_is_run_sees_that_locale(qmap, given):
    for name in list(qmap.environ):
        if name.startswith('LC_') or name == 'LANG':
            del qmap.environ[name]
    if given:
        qmap.environ['LC_CTYPE'] = given
    show = 'echo "${LC_CTYPE-unset}"'
    qmap.write('a.map', show + '\n')
    assert qmap('submit', 'a.map', '-l', 'out', '-q', '--on-finish', show + ' >finished').code == 0
    assert qmap('submit', 'a.map', '-l', 'later', '--detach').code == 0
    until(lambda: qmap.statuses('later') == ['COMPLETED'])
    found = [qmap.read('out', '0.out'), qmap.read('finished'), qmap.read('later', '0.out'), qmap('run', '-q', show).out]
    assert found == [(given or 'unset') + '\n'] * 4


def test_a_trap_of_pre_for_errors_goes_on_to_be_one(qmap):
    assert run(qmap, "[pre]\ntrap 'echo trapped' ERR\n[jobs]\nfalse; true\n").code == 0
    assert qmap.read('out', '0.out') == 'trapped\n'
    assert run(qmap, "[pre]\nfalse\ntrap 'echo trapped' ERR\n[jobs]\ntrue\n", '--logs', 'two').code == 1
    assert '[pre] failed with exit status 1: false' in qmap.info('two', '0')['error']


@pytest.mark.parametrize('pre', ["echo it's", 'cat <<EOF', 'if true; then'])
def test_what_is_open_in_pre_does_not_reach_the_command(qmap, pre):
    result = run(qmap, '[pre]\n{}\n[jobs]\necho ran >ran; echo "it\'s"\n'.format(pre))
    if pre.startswith('cat'):
        assert result.code == 0 and qmap.read('ran') == 'ran\n'
    else:
        assert result.code == 1 and not os.path.exists(qmap.path('ran'))
        assert '[pre] failed' in qmap.info('out', '0')['error']


def test_what_a_job_leaves_behind_has_a_moment_and_is_named_when_it_is_killed(qmap):
    run(qmap, 'echo x | tee >(sleep 0.2; cat >kept) >/dev/null\n(sleep 60; echo r >never) &\ntrue &\n')
    assert qmap.read('kept') == 'x\n'
    assert [qmap.info('out', str(number))['reason'] for number in range(3)] == [
        '', 'killed the processes that it left in the background', '']


@pytest.mark.parametrize('value', [-1, 256, 'x', None])
def test_what_is_no_exit_status_is_not_taken_for_one(tmp_path, value):
    import json
    (tmp_path / '0.1.end').write_text('0m0s 0m0s\n0m0s 0m0s\n{}\n'.format(json.dumps(
        {'exit_code': value, 'time': 5, 'memory': 0})))
    end = module.read_end(str(tmp_path / '0.1.end'))
    assert end['exit_code'] is None and module.ended_unexplained(end)
    event = module.end_event({'job': '0', 'attempt': 1}, None, end, {'reason': 'time', 'words': 'TIMEOUT'}, None, '')
    assert (event['status'], event['error_reason']) == ('FAILED', 'time')
    event = module.end_event({'job': '0', 'attempt': 1}, None, end, None, None, '')
    assert (event['error_reason'], event['error']) == ('lost', 'ended; its exit status is unknown')


@pytest.mark.once
@pytest.mark.parametrize('how', RUNNERS)
@pytest.mark.parametrize('command, out, status', [
    # A job that can be warned takes it as a warning, whatever kind of shell it has; one that cannot is ended by it.
    ('trap "echo saved" USR1\necho $$\nfor i in 1 2 3; do sleep 0.5; done\n', 'saved', 0),
    ("exec bash -c 'trap \"echo saved; exit 3\" ALRM; echo $$; sleep 10 & wait; exit 5'\n", 'saved', 3),
    ('echo $$; sleep 30\n', '', 128 + signal.SIGXCPU)])
def test_a_signal_that_warns_is_for_the_job_and_ends_nothing_else(tmp_path, how, command, out, status):
    process, logs = begin(tmp_path / 'out', how, command)
    until(lambda: text(logs.path, '0.out'))
    warning = {0: signal.SIGUSR1, 3: signal.SIGALRM}.get(status, signal.SIGXCPU)
    process.send_signal(warning)
    assert process.wait(timeout=60) == (status if how == 'task' else 0)
    # A warning that has ended it was the end of all that ran there.
    ended_by = 'XCPU' if status == 152 else None
    assert end_of(logs)['exit_code'] == status and end_of(logs).get('signal') == ended_by
    assert text(logs.path, '0.out').split()[1:] == out.split()


@pytest.mark.once
def test_a_command_of_several_is_warned_and_the_others_still_run(tmp_path):
    (tmp_path / 'a.map').write_text(
        '[post]\necho post\n[jobs]\ntrap "echo saved" USR1; echo begun; sleep 3 & wait; wait\necho next\n')
    script = module.job_script('0', 1, [0, 1], module.Map(str(tmp_path / 'a.map')), 2,
                               {'working_directory': str(tmp_path)}, module.Logs(str(tmp_path / 'out')))
    process, logs = begin(tmp_path / 'out', 'task', script)
    until(lambda: text(logs.path, '0.out'))
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=60) == 0
    assert text(logs.path, '0.out').split() == ['begun', 'saved', 'next', 'post']


@pytest.mark.once
@pytest.mark.parametrize('how', ['task', 'worker'])
def test_a_job_says_that_it_was_told_to_end(tmp_path, how):
    process, logs = begin(tmp_path / 'out', how, 'trap "exit 0" TERM; echo $$; sleep 30 & wait\n')
    until(lambda: text(logs.path, '0.out'))
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    assert (end_of(logs)['exit_code'], end_of(logs)['signal']) == (0, 'TERM')
    assert module.ended_unexplained(end_of(logs))


@pytest.mark.once
@pytest.mark.parametrize('status, variable, requeues, told', [
    (0, '', (), 0), (0, 'all', (), 0), (3, '', (), 3), (137, '', (), 137), (255, '', (), 255),
    # 75 and 254 are words of QMap's own, 99 and 100 of Grid Engine.
    (75, '', (), 1), (254, '', (), 1), (99, '', (), 1), (100, '', (), 1),
    # LSF and Slurm run a task again for the statuses that the site says.
    (3, '3 9', (), 1), (1, '1 75', (), 2), (3, '30 13', (), 3), (3, 'all ~1', (), 1), (3, 'all', (), 0),
    (3, 'all ~3', (), 3), (4, '9 EXCLUDE(4)', (), 1), (11, '', (3, 10, 11, 12), 1), (4, '', (3, 10), 4)])
def test_the_scheduler_is_told_the_status_of_a_job_unless_it_means_more(tmp_path, status, variable, requeues, told):
    logs = module.Logs(str(tmp_path))
    logs.create()
    prepare(logs, 'task', 'exit {}\n'.format(status), requeues=requeues)
    assert subprocess.call(['bash', logs.batch(1)], env=dict(os.environ, K='1', LSB_EXIT_REQUEUE=variable)) == told
    assert end_of(logs)['exit_code'] == status


@pytest.mark.parametrize('end, account, status, reason', [
    # A job that was told to end and did so with 0 was cut short, if the scheduler says so.
    ({'exit_code': 0, 'signal': 'TERM'}, {'reason': 'time', 'words': 'TIMEOUT'}, 'FAILED', 'time'),
    ({'exit_code': 0, 'signal': 'TERM'}, {'reason': 'node', 'words': 'PREEMPTED'}, 'FAILED', 'node'),
    ({'exit_code': 0, 'signal': 'TERM'}, {'reason': 'cancelled', 'words': 'CANCELLED'}, 'FAILED', 'cancelled'),
    ({'exit_code': 0, 'signal': 'TERM'}, {'reason': '', 'words': ''}, 'COMPLETED', None),
    ({'exit_code': 0, 'signal': 'TERM'}, {'reason': 'exit', 'words': ''}, 'COMPLETED', None),
    ({'exit_code': 0, 'signal': 'TERM'}, None, 'COMPLETED', None),
    ({'exit_code': 0}, {'reason': 'time', 'words': 'TIMEOUT'}, 'COMPLETED', None),
    # What the kernel kills for lack of memory is no failure by itself, but the reason of one.
    ({'exit_code': 0, 'oom_kills': 1}, None, 'COMPLETED', None),
    ({'exit_code': 1, 'oom_kills': 1}, None, 'FAILED', 'memory'),
    ({'exit_code': 137, 'oom_kills': 2}, {'reason': 'signal', 'words': ''}, 'FAILED', 'memory'),
    ({'exit_code': 1, 'oom_kills': 0}, None, 'FAILED', 'exit'),
    # Who does not answer the signal that the time is nearly over needs more of it.
    ({'exit_code': 140, 'forewarned': 'job'}, None, 'FAILED', 'time'),
    ({'exit_code': 140, 'forewarned': 'job'}, {'reason': 'signal', 'words': ''}, 'FAILED', 'time'),
    ({'exit_code': 140}, None, 'FAILED', 'signal')])
def test_what_ended_a_job(end, account, status, reason):
    event = module.end_event({'job': '0', 'attempt': 1}, None, dict(end, time=5), account, None, '')
    assert (event['status'], event.get('error_reason')) == (status, reason)
    assert event.get('words', '') == (module.LACKED_MEMORY if end.get('oom_kills') else '')


GB = 2 ** 30
LSF, SGE = module.load_backend('lsf'), module.load_backend('sge')


@pytest.mark.once
@pytest.mark.parametrize('reason, rules, params, lasted, known, end', [
    # The time is up, whatever signal came of it: minutes for Slurm and LSF, seconds for Grid Engine.
    ('time', LSF, {'time': 60}, 62, {'exit_code': 140, 'signal': 12}, {'signal': 'USR2'}),
    ('time', LSF, {'time': 50}, 58, {'exit_code': 143, 'signal': 15}, {'signal': 'TERM'}),
    ('', LSF, {'time': 50}, 51, {'exit_code': 143, 'signal': 15}, {'signal': 'TERM'}),
    ('time', SGE, {'time': 50}, 51, {'exit_code': 138, 'signal': 10}, {}),
    ('', SGE, {'time': 50}, 51, {'exit_code': 137, 'signal': 9}, None),
    ('', LSF, {'time': 600}, 62, {'exit_code': 143, 'signal': 15}, {'signal': 'TERM'}),
    ('', LSF, {}, 62, {'exit_code': 137, 'signal': 9}, {}),
    # One that was told to end and answered with 0 has to have used all of it.
    ('time', LSF, {'time': 60}, 61, {'exit_code': 0}, {'signal': 'TERM'}),
    ('', LSF, {'time': 60}, 59, {'exit_code': 0}, {'signal': 'TERM'}),
    ('', LSF, {'time': 60}, 5, {'exit_code': 0}, {'signal': 'USR2'}),
    # LSF sends USR2 for nothing else, also at the limit of a queue; a job that sends it to itself was not told.
    ('time', LSF, {}, 62, {'exit_code': 140, 'signal': 12}, {'signal': 'USR2'}),
    ('', LSF, {}, 62, {'exit_code': 140, 'signal': 12}, {}),
    ('', SGE, {}, 62, {'exit_code': 140, 'signal': 12}, {'signal': 'USR2'}),
    # Memory was all in use; unless the kernel says that it has killed nothing for it.
    ('memory', LSF, {'memory': GB}, 5, {'exit_code': 137, 'signal': 9, 'memory': GB}, {}),
    ('', LSF, {'memory': GB}, 5, {'exit_code': 137, 'signal': 9, 'memory': GB}, {'oom_kills': 0}),
    ('', LSF, {'memory': GB}, 5, {'exit_code': 143, 'signal': 15, 'memory': GB}, {}),
    ('', LSF, {'memory': GB}, 5, {'exit_code': 137, 'signal': 9, 'memory': GB // 2}, {}),
    ('', LSF, {'memory': GB}, 5, {'exit_code': 137, 'signal': 9}, {})])
def test_what_was_asked_for_and_used_decides_where_nobody_says_why(reason, rules, params, lasted, known, end):
    event = dict(known, started=1000, finished=1000 + lasted)
    assert module.reached_limit(event, end, params, rules)[0] == reason
    # Without its own words its end is told by another clock than its start.
    assert module.reached_limit(event, None, params, rules)[0] != 'time'


STEP = 'slurmstepd-n1: error: Detected 1 oom-kill event(s) in StepId=3.0. Some of your processes may have been killed'
HINT = 'last (probably out of memory'


@pytest.mark.once
@pytest.mark.parametrize('name, text, reason, error', [
    ('slurm', 'srun: error: n1: task 0: Out Of Memory\nsrun: launch/slurm: x\n' + STEP + '\nlast\n', 'memory',
     'srun: error: n1: task 0: Out Of Memory'),
    ('slurm', STEP.replace('oom-kill', 'oom_kill') + '\n', 'memory', STEP.replace('oom-kill', 'oom_kill')),
    ('slurm', 'I read: ' + STEP + '\n', None, None),    # in the middle of a line it is somebody else's
    ('sge', STEP + '\n', None, None),
    ('slurm', 'Traceback\nMemoryError\n', None, HINT + ')'),
    ('sge', 'Error: Could not reserve enough space for object heap\nError: Could not create the JVM\n', None,
     HINT + ': h_vmem limits the address space, of which a JVM needs 2 to 4 GB more than its -Xmx)'),
    ('lsf', "terminate called after throwing an instance of 'std::bad_alloc'\n", None, HINT + ')'),
    ('lsf', 'MemoryError\n' + 'line\n' * 5, None, None), ('lsf', '', None, None),
    ('local', 'MemoryError\n', None, None)])
def test_what_stderr_tells_of_a_lack_of_memory(name, text, reason, error):
    changes = module.load_backend(name).lack_of_memory(text, 'last')
    assert (changes.get('error_reason'), changes.get('error')) == (reason, error)


#: A job that begins with what keeps its own shell, and says what it is told.
TOLD = """import os, signal, sys, time
signal.signal(signal.SIGUSR2, lambda *_: (print('told', flush=True), os._exit(int(sys.argv[1]))))
print('ready', flush=True)
time.sleep(30)
"""


@pytest.mark.once
@pytest.mark.parametrize('options', [
    dict(limits='3 @USR2@2'), dict(limits='0 @USR2@2', within=3)], ids=['own', 'task'])
@pytest.mark.parametrize('how, environ', [('task', {}), ('task', {'NO_ID': '7'}), ('worker', {'NO_ID': '7'})])
@pytest.mark.parametrize('answer', [0, 85, None])
def test_a_job_is_told_before_its_time_is_over(tmp_path, how, environ, options, answer):
    program = tmp_path / 'told.py'
    program.write_text(TOLD)
    command = '{} {} {}\n'.format(shlex.quote(sys.executable), program, answer) if answer is not None else 'sleep 30\n'
    own = module.as_lines(module.state_lines(str(tmp_path / 'out' / '0.state'))
                          + module.forewarning_lines({'signal': 'USR2@2'}))
    process, logs = begin(
        tmp_path / 'out', how, module.JobScript(own, '', 'touch "$QMAP_STATE/x"\n' + command, ''), options, **environ)
    assert until(lambda: os.path.exists(os.path.join(logs.path, '0.state', 'x')))
    process.wait(timeout=60)
    end = end_of(logs)
    if answer is None:
        assert end['exit_code'] == 140 and end['forewarned'] == ('task' if options.get('within') else 'job')
    else:
        assert text(logs.path, '0.out') == 'ready\ntold\n' and end['exit_code'] == answer and 'forewarned' not in end
    assert 'signal' not in end
    assert os.path.isdir(os.path.join(logs.path, '0.state')) == (answer != 0)


@pytest.mark.once
@pytest.mark.parametrize('backend, tool, said', [
    (module.Lsf, 'bqueues', 'DEFAULT LIMITS:\n RUNLIMIT\n 1.0 min of h1\nMAXIMUM LIMITS:\n RUNLIMIT\n 9.0 min'),
    (module.GridEngine, 'qconf', 'qname short\ns_rt 0:2:0\nh_rt 0:1:0,[h1=INFINITY]\n'),
    (module.Slurm, 'squeue', '1:00')])
def test_a_job_that_requests_no_time_is_told_before_its_queue_ends_it(tmp_path, monkeypatch, backend, tool, said):
    monkeypatch.setattr(SCHEDULER, 'remaining', backend.remaining)
    bin = tmp_path / 'bin'
    bin.mkdir()
    module.write_text(str(bin / tool), "#!/bin/sh\ncat <<'END'\n{}\nEND\n".format(said))
    (bin / tool).chmod(0o755)
    process, logs = begin(tmp_path / 'out', 'task', 'sleep 30\n', dict(limits='0 @USR2@59'), SLURM_JOB_ID='7',
                          PATH='{}:{}'.format(bin, os.environ['PATH']))
    process.wait(timeout=60)
    assert end_of(logs)['forewarned'] == 'task' and end_of(logs)['exit_code'] == 140


@pytest.mark.once
def test_no_signal_comes_where_no_time_is_known(tmp_path):
    process, logs = begin(tmp_path / 'out', 'task', 'sleep 2\n', dict(limits='0 @USR2@9'))
    process.wait(timeout=60)
    assert end_of(logs)['exit_code'] == 0


@pytest.mark.once
@pytest.mark.parametrize('how', RUNNERS)
def test_what_a_job_saved_stays_where_it_was_told_to_end(tmp_path, how):
    state = tmp_path / 'out' / '0.state'
    command = 'mkdir {}; trap "exit 0" TERM; echo ready; sleep 30 & wait\n'.format(state)
    process, logs = begin(tmp_path / 'out', how, command, dict(limits='0 @'))
    until(lambda: text(logs.path, '0.out'))
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    assert end_of(logs)['exit_code'] == 0 and state.is_dir()
