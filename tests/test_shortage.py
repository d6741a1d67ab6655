"""What this machine has too little of, and clocks that lie: nothing is lost, QMap says so, and goes on when it can."""

import io
import json
import os
import re
import signal
import subprocess

import pytest
from conftest import until
from test_local import running
from test_shares import MANY, shared

import qmap as module

#: Goes before QMap in its Python: no more threads than a file says, as long as it is there.
FEW_THREADS = '''
import os, threading
def limited(start):
    def limit(*args, **more):
        if os.path.exists({limit!r}) and len(os.listdir('/proc/self/task')) >= int(open({limit!r}).read()):
            raise RuntimeError("can't start new thread")
        return start(*args, **more)
    return limit
for name in ('_start_new_thread', '_start_joinable_thread'):
    if hasattr(threading, name):
        setattr(threading, name, limited(getattr(threading, name)))
'''

#: The same: no process, as long as a file is there.
NO_PROCESSES = '''
import errno, os, subprocess
def limited(start):
    def limit(*args, **more):
        if os.path.exists({limit!r}):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return start(*args, **more)
    return limit
if hasattr(os, 'posix_spawn'):
    os.posix_spawn = limited(os.posix_spawn)
subprocess.Popen = limited(subprocess.Popen)
'''

#: The same: the wall clock has been set.
OTHER_TIME = '''
import time
time.time = lambda now=time.time: now() + {shift}
'''

#: A bash whose runner claims its attempt and then finds no process for the job, as long as a file is there.
NO_FORK = '''#!/bin/bash
script=${{!#}}
[[ -e {limit} && $script == */batch/* ]] || exec {bash} "$@"
echo tried >>{tried}
read -r boot </proc/sys/kernel/random/boot_id
read -r line </proc/$$/stat; line=(${{line##*) }})
start=${{script%/batch/*}}/run/0.1.start
printf '{{"host":"%s","pid":%d,"born":"%s","executor_id":"%d","time":%(%s)T}}\\n' \\
    "$(uname -n)" $$ "$boot/${{line[19]}}" $$ -1 >"$start"
sleep 1.5
echo '{{"void":1}}' >"$start"
exit 254
'''


def python_with(qmap, text, **values):
    """Let the tool's Python run this first."""
    os.makedirs(qmap.path('site'), exist_ok=True)
    qmap.write('site/sitecustomize.py', text.format(**values))
    qmap.environ['PYTHONPATH'] = qmap.path('site')


def on_screen(qmap, *args):
    """Start qmap, and return the process; what it says is in the file screen."""
    with open(qmap.path('screen'), 'wb') as screen:
        return qmap.start(*args, stdout=screen)


# Threads and processes

@pytest.mark.slow
@pytest.mark.parametrize('threads', ['1', '2', '3'])    # none for the driver, none for the warden, none for a job
def test_without_a_thread_it_waits_and_says_so(qmap, threads):
    python_with(qmap, FEW_THREADS, limit=qmap.path('limit'))
    qmap.write('limit', threads)
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran; sleep 0.1\n' * 12)
    process = on_screen(qmap, 'submit', 'a.map', '--logs', 'out')
    until(lambda: 'this machine: cannot start a thread' in qmap.read('screen'))
    assert process.poll() is None and not os.path.exists(qmap.path('ran'))
    os.unlink(qmap.path('limit'))
    process.communicate(timeout=60)
    assert process.returncode == 0, qmap.read('screen')
    assert sorted(map(int, qmap.read('ran').split())) == list(range(12))


@pytest.mark.parametrize('cores, jobs', [('1', 12), ('0', 4)])
def test_one_thread_for_jobs_is_enough(qmap, cores, jobs):
    python_with(qmap, FEW_THREADS, limit=qmap.path('limit'))
    qmap.write('limit', '4')
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran\n' * jobs)
    assert qmap('submit', 'a.map', '--logs', 'out', '-c', cores, '-r', '2').code == 0
    assert sorted(map(int, qmap.read('ran').split())) == list(range(jobs))


def test_ctrl_c_ends_the_wait_for_a_thread(qmap):
    python_with(qmap, FEW_THREADS, limit=qmap.path('limit'))
    qmap.write('limit', '1')
    qmap.write('a.map', 'true\n')
    process = on_screen(qmap, 'submit', 'a.map', '--logs', 'out')
    until(lambda: 'cannot start a thread' in qmap.read('screen'))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert qmap.statuses('out') == ['UNSUBMITTED']


def test_run_does_not_begin_without_the_thread_that_watches_the_limits(qmap):
    python_with(qmap, FEW_THREADS, limit=qmap.path('limit'))
    qmap.write('limit', '1')
    result = qmap('run', '-t', '1h', 'touch ran')
    assert result.code == 2 and 'cannot start a thread' in result.err and not os.path.exists(qmap.path('ran'))
    assert qmap('run', 'touch ran').code == 0


@pytest.mark.slow
def test_without_a_process_it_waits_and_says_so(qmap):
    python_with(qmap, NO_PROCESSES, limit=qmap.path('limit'))
    qmap.write('limit', '')
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran\n' * 3)
    process = on_screen(qmap, 'submit', 'a.map', '--logs', 'out')
    until(lambda: 'this machine: cannot start a process' in qmap.read('screen'))
    os.unlink(qmap.path('limit'))
    process.communicate(timeout=60)
    assert process.returncode == 0, qmap.read('screen')
    assert sorted(map(int, qmap.read('ran').split())) == [0, 1, 2]


@pytest.mark.slow
def test_a_runner_that_finds_no_process_for_its_job_costs_no_attempt(qmap):
    os.mkdir(qmap.path('bin'))
    bash = subprocess.check_output(['bash', '-c', 'echo $BASH']).decode().strip()
    qmap.write('bin/bash', NO_FORK.format(limit=qmap.path('limit'), tried=qmap.path('tried'), bash=bash))
    os.chmod(qmap.path('bin', 'bash'), 0o755)
    qmap.environ['PATH'] = qmap.path('bin') + ':' + qmap.environ['PATH']
    qmap.write('limit', '')
    qmap.write('a.map', 'echo ran >>ran\n')
    process = on_screen(qmap, 'submit', 'a.map', '--logs', 'out', '--no-console')
    until(lambda: os.path.exists(qmap.path('tried')) and qmap.read('tried').count('\n') > 5, 120)
    assert 'this machine: cannot start a process' in qmap.read('screen')
    os.unlink(qmap.path('limit'))
    process.communicate(timeout=60)
    assert process.returncode == 0 and qmap.read('ran') == 'ran\n', qmap.read('screen')
    info = qmap.info('out', '0')
    assert (info['status'], info['retries'], info['attempts']) == ('COMPLETED', 0, [])


# The clock

def kill_driver(process):
    process.kill()
    process.communicate()


@pytest.mark.parametrize('shift', [7200, -7200])
def test_a_wall_clock_that_is_set_ends_no_job(qmap, shift):
    qmap.write('a.map', 'echo begun; sleep 4; echo end\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-t', '30m')
    until(lambda: os.path.exists(qmap.path('out', '0.out')) and qmap.read('out', '0.out'))
    kill_driver(process)
    python_with(qmap, OTHER_TIME, shift=shift)
    assert qmap('reattach', '-l', 'out').code == 0
    assert qmap.read('out', '0.out') == 'begun\nend\n'
    assert 4 <= qmap.info('out', '0')['usage']['time']['seconds'] < 1000


@pytest.mark.slow
def test_the_time_of_an_adopted_job_counts_from_its_own_beginning(qmap):
    # Its runner waits for its turn, and is older.
    qmap.write('a.map', 'sleep 6\necho begun; sleep 4; echo end ## time=8s\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1')
    until(lambda: os.path.exists(qmap.path('out', '1.out')) and qmap.read('out', '1.out'))
    kill_driver(process)
    assert qmap('reattach', '-l', 'out').code == 0
    assert qmap.read('out', '1.out') == 'begun\nend\n'


@pytest.mark.parametrize('shift', [7200, -7200])
def test_short_jobs_share_a_shell_whatever_the_time_is(qmap, shift):
    python_with(qmap, OTHER_TIME, shift=shift)
    qmap.write('a.map', 'true\n' * 2 * MANY)
    assert qmap('submit', 'a.map', '--logs', 'out', '-r', '2').code == 0
    assert shared(qmap, 'out')


# Memory

def on_memory_disk(path):
    return b'tmpfs' in subprocess.check_output(['stat', '-f', '-c', '%T', path])


MAPS = '''
import mmap, time
with open('big', 'r+b') as source:
    mapped = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
print(sum(mapped[i] for i in range(0, len(mapped), 4096)))
time.sleep(4)
'''


@pytest.mark.slow
def test_the_pages_of_mapped_files_are_no_memory_of_a_job(qmap):
    if on_memory_disk(qmap.folder):
        pytest.skip('files are in memory here')
    with open(qmap.path('big'), 'wb') as big:
        big.truncate(300 << 20)
    qmap.write('maps.py', MAPS)
    qmap.write('a.map', '{} maps.py\n'.format(qmap.program[0]))
    assert qmap('submit', 'a.map', '--logs', 'out', '-m', '150M').code == 0
    assert 0 < qmap.info('out', '0')['usage']['memory']['bytes'] < 150 << 20
    result = qmap('run', '-m', '150M', '{} maps.py'.format(qmap.program[0]))
    assert result.code == 0 and 'killed' not in result.err


def test_memory_that_processes_share_by_intent_counts(qmap):
    qmap.write('eat.py', 'import mmap, time\nx = mmap.mmap(-1, 300 << 20)\nx.write(b"x" * len(x))\ntime.sleep(1000)\n')
    qmap.write('a.map', '{} eat.py\n'.format(qmap.program[0]))
    assert qmap('submit', 'a.map', '--logs', 'out', '-m', '100M').code == 1
    assert qmap.info('out', '0')['error_reason'] == 'memory'


@pytest.mark.twice
def test_memory_of_a_process_on_an_old_kernel(monkeypatch):
    files = {'/proc/7/status': b'Name:\tx\nVmRSS:\t    4000 kB\n', '/proc/7/statm': b'9000 1000 400 1 0 2000 0\n'}
    monkeypatch.setattr(module, 'open', lambda path, mode: io.BytesIO(files[path]), raising=False)
    page = os.sysconf('SC_PAGE_SIZE')
    assert module.process_memory(7) == (600 * page, 400 * page)
    files['/proc/7/smaps_rollup'] = b'0-1 ---p\nRss:   4000 kB\nPss:   3000 kB\nPss_Anon:   10 kB\nPss_Shmem:   5 kB\n'
    assert module.proportional_memory(7) == 15 << 10
    files['/proc/7/smaps_rollup'] = b'0-1 ---p\nRss:   4000 kB\nPss:   3000 kB\n'
    assert module.proportional_memory(7) == 3000 << 10


@pytest.mark.once
def test_the_cores_of_a_cgroup_are_its_quota_in_its_period(monkeypatch):
    files = {'/proc/self/cgroup': '4:cpu,cpuacct:/a\n', '/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us': '400000\n',
             '/sys/fs/cgroup/cpu/a/cpu.cfs_period_us': '200000\n', '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n'}

    def opened(path, *mode):
        if path not in files:
            raise FileNotFoundError(path)
        return io.StringIO(files[path])

    monkeypatch.setattr(module, 'open', opened, raising=False)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: range(64))
    assert module.machine_cores() == 2
    del files['/sys/fs/cgroup/cpu/a/cpu.cfs_period_us']
    assert module.machine_cores() == 4
    files.update({'/proc/self/cgroup': '0::/b\n', '/sys/fs/cgroup/b/cpu.max': '300000 100000\n'})
    assert module.machine_cores() == 3


# Processes that outlive what started them

#: Catches SIGTERM, and needs a moment then.
SAVES = '''bash -c 'trap "sleep 2; echo saved >>state; exit 1" TERM; echo begun; sleep 60 & wait' '''

#: Ignores SIGTERM, in a process group of its own.
STAYS = '''timeout 1000 bash -c 'trap "" TERM; echo begun; while :; do sleep 1; done; : 1239' '''


def left_over(qmap):
    return [pid for pid in os.listdir('/proc') if pid.isdigit() and STAYS.split("'")[1] in arguments(pid)
            and folder_of(pid) == qmap.folder]


def arguments(pid):
    try:
        with open('/proc/{}/cmdline'.format(pid)) as source:
            return source.read().split('\0')
    except (OSError, UnicodeDecodeError):
        return []


def folder_of(pid):
    try:
        return os.readlink('/proc/{}/cwd'.format(pid))
    except OSError:
        return ''


@pytest.mark.slow
def test_what_ignores_the_end_of_its_time_is_killed_in_any_process_group(qmap):
    qmap.write('a.map', STAYS + '; echo never\n')
    assert qmap('submit', 'a.map', '--logs', 'out', '-t', '1s').code == 1
    assert qmap.read('out', '0.out') == 'begun\n' and not left_over(qmap)
    info = qmap.info('out', '0')
    assert info['error_reason'] == 'time'


@pytest.mark.slow
def test_the_same_of_an_adopted_job(qmap):
    qmap.write('a.map', STAYS + '; echo never\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-t', '3s')
    until(lambda: os.path.exists(qmap.path('out', '0.out')) and qmap.read('out', '0.out'))
    kill_driver(process)
    assert qmap('reattach', '-l', 'out').code == 1
    assert qmap.read('out', '0.out') == 'begun\n' and not left_over(qmap)


@pytest.mark.slow
def test_run_waits_for_what_it_told_to_end(qmap):
    assert qmap('run', '-q', '-t', '1s', SAVES + '; true').code == 143
    assert qmap.read('state') == 'saved\n'
    assert qmap('run', '-q', '-t', '1s', STAYS + '; true').code == 143
    assert not left_over(qmap)


def test_what_a_job_leaves_in_another_process_group_ends_with_it(qmap):
    qmap.write('a.map', 'timeout 1000 sleep 1238 & echo done\n' * 3)
    assert qmap('submit', 'a.map', '--logs', 'out').code == 0
    until(lambda: not running(qmap, '1238'))


ZOMBIES = 'sleep 1; cat /proc/[0-9]*/stat 2>/dev/null | grep -c ") Z "; true'


def as_first_process(qmap):
    """Let the tool run as the first process of a namespace."""
    program = ['unshare', '-pf', '--mount-proc']
    if subprocess.call(program + ['true'], stderr=subprocess.DEVNULL) != 0:
        pytest.skip('namespaces are not permitted here')
    qmap.program = program + qmap.program


@pytest.mark.slow
def test_the_first_process_of_a_container_gathers_no_zombies(qmap):
    as_first_process(qmap)
    qmap.write('a.map', '(sleep 9 &); true\n' * 20 + ZOMBIES + '\nfalse\n')
    assert qmap('submit', 'a.map', '--logs', 'out', '-r', '1').code == 1
    assert int(qmap.read('out', '20.out')) < 5
    assert qmap.statuses('out') == ['COMPLETED'] * 21 + ['FAILED']


def test_the_first_process_of_a_container_passes_signals_on(qmap):
    as_first_process(qmap)
    qmap.write('a.map', 'touch begun; sleep 100\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('begun')))
    with open('/proc/{0}/task/{0}/children'.format(process.pid)) as children:
        os.kill(int(children.read()), signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 3


# The disk

@pytest.fixture
def small_disk(qmap):
    """A file system of 600K in the folder disk."""
    os.mkdir(qmap.path('disk'))
    if os.getuid() != 0 or subprocess.call(['mount', '-t', 'tmpfs', '-o', 'size=600k', 'none', qmap.path('disk')]) != 0:
        pytest.skip('nothing can be mounted here')
    yield qmap.path('disk')
    subprocess.call(['umount', '-l', qmap.path('disk')])


@pytest.mark.slow
@pytest.mark.parametrize('option', ['size=20m', 'nr_inodes=5000'])
def test_no_job_is_begun_on_a_disk_that_is_full(qmap, small_disk, option):
    if option.startswith('nr'):
        subprocess.check_call(['mount', '-o', 'remount,size=20m,nr_inodes=150', small_disk])
    qmap.write('a.map', 'head -c 30000 /dev/zero\n' * 300)
    process = on_screen(qmap, 'submit', 'a.map', '--logs', 'disk/out', '--no-console')
    until(lambda: re.search('No space left on device|no new jobs are started', qmap.read('screen')))
    begun = qmap.statuses('disk/out').count('UNSUBMITTED')
    assert begun
    subprocess.check_call(['mount', '-o', 'remount,' + option, small_disk])
    process.communicate(timeout=120)
    statuses = qmap.statuses('disk/out')
    assert set(statuses) <= {'COMPLETED', 'FAILED'} and statuses.count('FAILED') <= 4, qmap.read('screen')
    errors = json.loads(qmap('info', '-l', 'disk/out', '-s', 'failed', '-f', 'json', 'error').out or '[]')
    assert all('No space left' in job['error'] or 'the disk of the logs folder was full' in job['error']
               for job in errors), errors


def test_what_is_left_of_a_small_disk(small_disk):
    assert module.space_lacking(small_disk, 16 << 20) == ''
    with open(os.path.join(small_disk, 'filler'), 'wb') as filler:
        filler.write(bytes(580 << 10))
    assert module.space_lacking(small_disk, 16 << 20) == '20K'
    os.unlink(os.path.join(small_disk, 'filler'))
    subprocess.check_call(['mount', '-o', 'remount,nr_inodes=10', small_disk])
    for number in range(9):
        open(os.path.join(small_disk, str(number)), 'w').close()
    assert module.space_lacking(small_disk, 16 << 20) == '0 files'
    assert module.space_lacking('/nowhere', 1) == ''
