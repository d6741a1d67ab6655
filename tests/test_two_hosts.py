"""Two hosts that see each other late: one folder, mounted for each as a client of NFS would (late_disk.py).

A host is a name space with a mount and a name of its own. All times are a twentieth of what they are: what a host
knows of a name or a file counts for 3 s instead of a minute, and a driver is silent after 9 s instead of three minutes.
"""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import ROOT, at_executor, kill_left_over, until
from qmap import STATUSES

QUICK = 1 / 20
PROGRAM = """
import sys
sys.path.insert(0, {!r})
import qmap
for room, name in ((qmap.Beat, 'EVERY'), (qmap.Beat, 'SILENCE'), (qmap.Shares, 'UNSEEN'), (qmap.Backend, 'grace')):
    setattr(room, name, getattr(room, name) * {})
qmap.entry()
""".format(ROOT, QUICK)
#: A job says in a file of its own, which all hosts see at once, that it ran.
RUN = 'echo ran >>"$RAN/{}"; {}\n'

pytestmark = [pytest.mark.slow, pytest.mark.once]
#: What differs between the hosts: their names; their start as well, as of two machines that have the same name; or
#: nothing but the mount.
NAMES, STARTS, MOUNTS = 'names', 'starts', 'mounts'


class Hosts:
    """The hosts A and B, which have one folder."""

    def __init__(self, qmap, differ, *options):
        """
        Args:
            qmap: Tool
            differ: see NAMES
            options: of late_disk.py
        """
        self.qmap, self.differ, self.disks, self.started = qmap, differ, [], []
        for name in ('files', 'ran', 'home', 'here', 'A', 'B'):
            os.mkdir(qmap.path(name))
        qmap.write('quick.py', PROGRAM)
        qmap.write('boot', 'another-start\n')
        qmap.environ['RAN'] = qmap.path('ran')
        for host in 'AB':
            self.disks.append(subprocess.Popen([
                sys.executable, os.path.join(ROOT, 'tests', 'late_disk.py'), qmap.path('files'), qmap.path(host),
                str(60 * QUICK)] + list(options)))
        until(lambda: all(os.path.ismount(qmap.path(host)) for host in 'AB'))

    def start(self, host, *argv):
        """Start a program on a host in the folder, and return the process. What it prints goes to `screen`."""
        lines = ['mount --bind "$0/{}" "$0/here"'.format(host), 'hostname host{}'.format(
            host if self.differ == NAMES else '')]
        flags = ['--mount', '--uts']
        if self.differ == STARTS:
            flags += ['--pid', '--fork', '--mount-proc', '--kill-child']
            if host == 'B':
                lines.append('mount --bind "$0/boot" /proc/sys/kernel/random/boot_id')
        lines += ['cd "$0/here"', 'exec "$@"']
        with open(self.screen(host), 'ab') as screen:
            process = subprocess.Popen(
                ['unshare'] + flags + ['bash', '-c', '\n'.join(lines), self.qmap.folder] + list(argv), stdout=screen,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=self.qmap.environ, start_new_session=True)
        self.started.append(process)
        return process

    def qmap_on(self, host, *args):
        """Start qmap on a host, and return the process."""
        return self.start(host, sys.executable, self.qmap.path('quick.py'), *args)

    def screen(self, host):
        """Return the path of what was printed on a host."""
        return self.qmap.path('screen.' + host)

    def said(self):
        """Return what was printed on both."""
        return '\n'.join('--- {}\n{}'.format(host, self.qmap.read(self.screen(host))) for host in 'AB'
                         if os.path.exists(self.screen(host)))

    def ran(self):
        """Return {job: how often it ran}."""
        return {name: self.qmap.read('ran', name).count('ran\n') for name in sorted(os.listdir(self.qmap.path('ran')))}

    def drivers(self):
        """Return how many there have been."""
        return len([name for name in os.listdir(self.qmap.path('files', 'out', '.qmap')) if name.startswith('journal')])

    def told(self, host, field):
        """Return what `info` prints on a host of a field of all jobs."""
        with open(self.qmap.path('told'), 'wb'):
            pass
        process = self.start(host, 'bash', '-c', '"$@" >"$0"', self.qmap.path('told'), sys.executable,
                             self.qmap.path('quick.py'), 'info', '-l', 'out', '-s', 'all', field)
        assert process.wait(60) == 0, self.said()
        return [line.split('\t')[1] for line in self.qmap.read('told').splitlines()[1:]]

    def end(self):
        """End all that runs, and unmount the folder."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        kill_left_over('QMAP_HOME=' + self.qmap.folder)
        for host in 'AB':
            subprocess.call(['umount', '-l', self.qmap.path(host)])
        for disk in self.disks:
            disk.kill()
            disk.wait()


@pytest.fixture
def hosts(qmap):
    """A function that makes the Hosts, as they are to differ."""
    unshared = ['unshare', '--mount', '--uts', '--pid', '--fork', '--mount-proc', 'true']
    if os.getuid() or not os.path.exists('/dev/fuse') or subprocess.call(unshared, stderr=subprocess.DEVNULL):
        pytest.skip('two hosts need root, FUSE and name spaces')
    made = []

    def make(*args):
        try:
            made.append(Hosts(qmap, *args))
        except AssertionError:
            pytest.skip('FUSE cannot be mounted here')
        return made[0]

    yield make
    for each in made:
        each.end()


@pytest.mark.parametrize('options', [
    (NAMES,), (NAMES, 'locks'), (STARTS,), (MOUNTS, 'stubborn')], ids=' '.join)
def test_nobody_takes_over_from_a_driver_that_lives(qmap, hosts, options):
    both = hosts(*options)
    qmap.write('files/a.map', ''.join(RUN.format(number, 'sleep 1') for number in range(32)))
    first = both.qmap_on('A', 'submit', 'a.map', '-c', '0', '-r', '4', '--logs', 'out')
    until(both.ran)
    second = both.qmap_on('B', 'reattach', '-l', 'out')
    assert both.qmap_on('B', 'control', '-l', 'out', 'cancel', '31').wait(60) == 0, both.said()
    seen = both.told('B', 'status')
    assert len(seen) == 32 and set(seen) <= set(STATUSES)
    assert [process.wait(100) for process in (first, second)] == [1, 1], both.said()
    assert both.drivers() == 1, both.said()
    assert both.ran() == {str(number): 1 for number in range(31)}, both.said()
    assert both.told('A', 'error_reason')[31] == 'cancelled'


@pytest.mark.parametrize('differ', [NAMES, STARTS, MOUNTS])
def test_a_driver_that_is_gone_is_followed_and_nothing_runs_twice(qmap, hosts, differ):
    both = hosts(differ, 'stubborn')
    # One shell has several jobs by then. The first of them waits, and so do those that it is still to run.
    text = ''.join(RUN.format(number, 'sleep 0.02') for number in range(80))
    # It looks at their list, as they will: what A knows of that is fresh when B removes it.
    look = 'cat out/.qmap/batch/*.list &>"$RAN/../list" || :'
    text += RUN.format(80, 'until [ -e "$RAN/../go" ]; do sleep 0.1; {}; done'.format(look))
    text += ''.join(RUN.format(number, 'sleep 0.02') for number in range(81, 120))
    qmap.write('files/a.map', text)
    first = both.qmap_on('A', 'submit', 'a.map', '-r', '1', '--logs', 'out')
    until(lambda: '80' in both.ran())
    second = both.qmap_on('B', 'reattach', '-l', 'out')
    os.killpg(first.pid, signal.SIGKILL)
    until(lambda: both.drivers() == 2)
    end = time.monotonic() + 1
    until(lambda: '81' in both.ran() or time.monotonic() > end)
    qmap.write('go', '')
    assert second.wait(100) == 0, both.said()
    ran = both.ran()
    if differ == STARTS:    # with its driver that machine is gone, and what ran there
        assert ran.pop('80') <= 2
    assert set(ran.values()) == {1} and len(ran) in (119, 120), both.said()


@pytest.mark.parametrize('pull', ['0', '3'])
def test_jobs_on_another_host_are_heard_late_and_believed(qmap, hosts, pull):
    both = hosts(NAMES)
    at_executor(qmap, 'lsf')
    qmap.write('lsf/conf', 'IDLE=600\nRETRY=0.1\nTERMINATE_INTERVAL=0.2\n')
    assert both.start('B', 'bsub', '-o', '/dev/null', 'true').wait(60) == 0    # so the cluster is there
    qmap.write('lsf.conf', 'executor = lsf\npoll = 1\n')
    qmap.write('files/a.map', ''.join(RUN.format(number, 'sleep 0.2; uname -n') for number in range(30)))
    driver = both.qmap_on('A', 'submit', 'a.map', '-p', qmap.path('lsf.conf'), '-r', '8', '--pull', pull,
                          '--logs', 'out')
    assert driver.wait(100) == 0, both.said()
    assert both.ran() == {str(number): 1 for number in range(30)}
    assert {qmap.read('files', 'out', '{:02d}.out'.format(number)) for number in range(30)} == {'hostB\n'}
    assert {json.loads(qmap.read('files', 'out', name))['retries'] for name in os.listdir(qmap.path('files', 'out'))
            if name.endswith('.info') and name != 'execution.info'} == {0}
