"""Real executions that are not left alone: drivers are killed, frozen and woken, several start at once, the
scheduler is stopped and started, while some 1,000 jobs append a line to a file each. In the end each file has
one line.

    tests/run --chaos 600    ten minutes, on this machine, Slurm and Grid Engine at once
    python tests/chaos.py [--jobs N] [--seed N] SECONDS local|slurm|sge ...
"""

import argparse
import collections
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CLUSTERS = os.path.join(ROOT, 'tests', 'clusters')
SLURM = os.environ.get('QMAP_TEST_SLURM', '/var/lib/qmap-slurm')


class Chaos:
    """One execution and what happens to it."""

    def __init__(self, executor, jobs, seed):
        self.executor = executor
        self.jobs = 2 * jobs if executor == 'local' else jobs
        self.random = random.Random(seed)
        self.folder = tempfile.mkdtemp(prefix='qmap-chaos-')
        self.environ = dict(os.environ, QMAP_HOME=self.folder, PYTHONDONTWRITEBYTECODE='1')
        if executor == 'slurm':
            self.environ['SLURM_CONF'] = os.path.join(SLURM, 'etc', 'slurm.conf')
        self.living = []
        self.frozen = {}
        self.down = 0
        self.done = collections.Counter()

    def qmap(self, *words):
        """Start qmap."""
        log = open(os.path.join(self.folder, 'screen'), 'ab')
        process = subprocess.Popen([sys.executable, os.path.join(ROOT, 'qmap.py')] + list(words), cwd=self.folder,
                                   env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   start_new_session=True)
        log.close()
        self.living.append(process)
        return process

    def run(self):
        """Let it all happen, and return what is wrong in the end; '' for nothing."""
        with open(os.path.join(self.folder, 'a.map'), 'w') as target:
            if self.executor == 'local':    # short ones, which share a shell; sometimes one that blocks it
                command = 'echo ran >>ran/${QMAP_LINE}; sleep '
                target.write(((command + '0.01\n') * 99 + command + '3\n') * (self.jobs // 100))
            else:
                target.write('echo ran >>ran/${QMAP_LINE}; sleep 0.1\n' * self.jobs)
        with open(os.path.join(self.folder, 'chaos.conf'), 'w') as target:
            target.write('executor = {}\npoll = 3\n'.format(self.executor))
        os.mkdir(os.path.join(self.folder, 'ran'))
        workers = []
        if self.executor != 'local' and self.random.random() < 0.5:
            workers = ['--pull', '8']
            self.done['rounds with workers'] += 1
        self.qmap('submit', 'a.map', '-p', 'chaos', '-r', '2' if self.executor == 'local' else '32', '-l', 'out',
                  *workers)
        end = time.monotonic() + 60
        while not os.path.exists(os.path.join(self.folder, 'out', '.qmap', 'journal.0001')):
            if time.monotonic() > end:
                return 'it did not begin'
            time.sleep(0.05)
        try:
            end = time.monotonic() + 60 + self.jobs * 0.6
            while len(os.listdir(os.path.join(self.folder, 'ran'))) < self.jobs and time.monotonic() < end:
                time.sleep(self.random.uniform(0, 1.5))
                self.living = [process for process in self.living if process.poll() is None]
                self.wake(time.monotonic())
                self.random.choice([self.kill, self.freeze, self.reattach, self.reattach, self.crowd,
                                    self.scheduler])()
        finally:
            self.wake(float('inf'))
            if self.down:
                self.start()
        return self.check()

    def kill(self):
        """Kill a process at any moment."""
        if self.living:
            self.done['killed'] += 1
            self.random.choice(self.living).kill()

    def freeze(self):
        """Stop a process, as Ctrl-Z does, for some seconds."""
        if self.living:
            self.done['frozen'] += 1
            process = self.random.choice(self.living)
            process.send_signal(signal.SIGSTOP)
            self.frozen[process] = time.monotonic() + self.random.choice([0.5, 5, 15])

    def wake(self, now):
        """Wake those that have slept enough."""
        for process, when in list(self.frozen.items()):
            if now > when:
                process.send_signal(signal.SIGCONT)
                del self.frozen[process]
        if self.down and now > self.down:
            self.start()

    def reattach(self):
        """Start one more."""
        if len(self.living) < 5:
            self.done['reattached'] += 1
            self.qmap('reattach', '-l', 'out')

    def crowd(self):
        """Start several at the same moment."""
        for _ in range(3):
            self.reattach()

    def scheduler(self):
        """Stop the scheduler for some seconds."""
        if self.executor == 'local' or self.down or self.random.random() < 0.8:
            return
        self.done['scheduler stopped'] += 1
        self.down = time.monotonic() + self.random.choice([1, 5, 15])
        subprocess.call([os.path.join(CLUSTERS, self.executor + '-down')] + {
            'slurm': ['--dir', SLURM, 'slurmctld'], 'sge': ['qmaster']}[self.executor], stdout=subprocess.DEVNULL)

    def start(self):
        """Start the scheduler again."""
        self.down, options = 0, []
        if self.executor == 'slurm':
            with open(os.path.join(SLURM, 'etc', 'options')) as source:
                options = shlex.split(source.read())
        subprocess.call([os.path.join(CLUSTERS, self.executor + '-up')] + options, stdout=subprocess.DEVNULL)

    def check(self):
        """See it to its end, undisturbed, and look."""
        last = self.qmap('reattach', '-l', 'out')
        try:
            last.wait(400)
        except subprocess.TimeoutExpired:
            return 'it does not end'
        for process in self.living:
            process.wait(60)
        ran = {}
        for name in os.listdir(os.path.join(self.folder, 'ran')):
            with open(os.path.join(self.folder, 'ran', name)) as source:
                ran[name] = len(source.read().split())
        wrong = {name: count for name, count in ran.items() if count != 1}
        if len(ran) != self.jobs or wrong:
            return '{} of {} jobs ran, not once: {}'.format(len(ran), self.jobs, wrong)
        statuses = collections.Counter(json.loads(line)['status'] for line in subprocess.check_output(
            [sys.executable, os.path.join(ROOT, 'qmap.py'), 'info', '-l', 'out', '-s', 'all', '--format', 'json',
             'status'], cwd=self.folder).decode().splitlines())
        return '' if statuses == {'COMPLETED': self.jobs} else 'all ran once, but: {}'.format(dict(statuses))


def main():
    parser = argparse.ArgumentParser(description='Disturb real executions.')
    parser.add_argument('seconds', type=float)
    parser.add_argument('executors', nargs='+', choices=['local', 'slurm', 'sge'])
    parser.add_argument('--jobs', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=random.randrange(10 ** 6))
    options = parser.parse_args()
    if len(options.executors) > 1:
        others = [subprocess.Popen([sys.executable, os.path.abspath(__file__), '--jobs', str(options.jobs), '--seed',
                                    str(options.seed), str(options.seconds), executor])
                  for executor in options.executors]
        return max([process.wait() for process in others])
    end, rounds, done = time.monotonic() + options.seconds, 0, collections.Counter()
    while not rounds or time.monotonic() < end:
        chaos = Chaos(options.executors[0], options.jobs, options.seed + rounds)
        words = chaos.run()
        rounds, done = rounds + 1, done + chaos.done
        if words:
            print('{}: FAILED: {} (seed {}, {})'.format(
                chaos.executor, words, options.seed + rounds - 1, chaos.folder), flush=True)
            return 1
        shutil.rmtree(chaos.folder, ignore_errors=True)
    print('{}: {} rounds of {} jobs, each ran once and is COMPLETED; {}'.format(
        options.executors[0], rounds, options.jobs, ', '.join('{} {}'.format(*item) for item in sorted(done.items()))),
        flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
