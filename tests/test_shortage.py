"""What this machine has too little of, and clocks that lie: nothing is lost, QMap says so, and goes on when it can."""

import io
import os
import subprocess

import pytest
from conftest import until

import qmap as module

#: Goes before QMap in its Python: the wall clock has been set.
OTHER_TIME = '''
import time
time.time = lambda now=time.time: now() + {shift}
'''

def python_with(qmap, text, **values):
    """Let the tool's Python run this first."""
    os.makedirs(qmap.path('site'), exist_ok=True)
    qmap.write('site/sitecustomize.py', text.format(**values))
    qmap.environ['PYTHONPATH'] = qmap.path('site')


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
