"""The real driver in a simulated world: time, hosts, the visibility of files and the scheduler come from here, and a
seed decides what goes wrong. After each run the rules of README, "What is promised", must hold.

    tests/run --simulate 10000          that many seeds, in parallel; prints the first that fails
    python tests/simulation.py --seed 7 one seed, with the story of it
    python tests/simulation.py --plant claim 200    with a bug planted: see PLANTED

Drivers and viewers are the real `qmap.Execution`, each in a thread; one runs at a time, and the others stand where
they last waited or touched a file, so that a seed repeats exactly. What they touch is real files; what they see of
those that another host has written is up to a minute old. The runner is the one thing that is played: RUNNER in
qmap.py is bash, and `Copy` does the same steps, any of which may be its last.
"""

import argparse
import collections
import errno
import heapq
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import qmap as module    # noqa: E402
from qmap_backends import Backend    # noqa: E402

#: Bugs that can be planted, each with what it does. The simulation must find all of them.
PLANTED = collections.OrderedDict([
    ('fsync', 'the journal is not brought to the disk before a submission'),
    ('claim', 'the runner runs an attempt also where it cannot make .start'),
    ('gate', 'the runner runs an attempt of a batch that is over'),
    ('claims', 'claims are removed although their batch goes on'),
    ('check', 'nobody looks for a newer driver between the intent and the submission'),
    ('read', 'a new driver reads the journal before it begins its own segment'),
    ('queue', 'what is not in the queue is gone, without waiting for its words'),
    ('silent', 'a submission without an answer counts as refused'),
    ('lie', 'what the queue calls cancelled is believed at once, and for good'),
    ('torn', 'a record that was torn by a full disk is not cut off, and swallows the next'),
    ('return', 'a job that is given back gets a new attempt, whatever became of the old one'),
    ('empty', 'an end that is not yet whole counts as exit status 0'),
    ('history', 'old segments of the journal are removed before what stands for them is there'),
])


class Crash(BaseException):
    """The process is killed here."""


class Broken(AssertionError):
    """A rule does not hold."""


class Actor:
    """A process with a driver or viewer in it: a thread that runs only when it is its turn."""

    def __init__(self, world, host, work):
        self.world = world
        self.host = host
        self.pid = world.pids = world.pids + 1
        self.born = 'boot{}/{}'.format(world.boots[host], self.pid)
        self.dead = self.over = False
        self.woken = False
        self.waiting = 0
        self.turn = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self.error = None
        self.thread.start()

    def _run(self, work):
        self.turn.acquire()
        try:
            if not self.dead:
                work(self)
        except Crash:
            pass
        except BaseException as error:
            self.error = error
        self.over = True
        self.world.back.release()

    def resume(self, ticket):
        """Let it run until it waits again, if this is still what it waits for."""
        if self.over or ticket != self.waiting:
            return
        self.world.actor = self
        self.turn.release()
        self.world.back.acquire()
        self.world.actor = None

    def wait(self, seconds):
        """Give the turn away for some time. Called by the actor itself."""
        self.waiting += 1
        ticket = self.waiting
        self.world.at(seconds, lambda: self.resume(ticket))
        self.world.back.release()
        self.turn.acquire()
        if self.dead:
            raise Crash()

    def kill(self):
        """Kill -9."""
        if not self.over and not self.dead:
            self.dead = True
            self.waiting += 1
            self.world.actor = self
            self.turn.release()
            self.world.back.acquire()
            self.world.actor = None


class Here:
    """What qmap.Here is, of an actor."""

    def __init__(self, actor):
        self.actor = actor
        self.host, self.pid, self.born = actor.host, actor.pid, actor.born

    def birth(self, pid):
        for actor in self.actor.world.living():
            if actor.pid == pid and actor.host == self.host:
                return actor.born
        return ''

    def monotonic(self):
        return self.actor.world.now + 1000 * (self.actor.pid % 7)

    def time(self):
        return self.actor.world.clock_of(self.host)

    def rest(self, seconds):
        pass

    def sleep(self, seconds):
        if self.actor.woken:
            self.actor.woken = False
        else:
            self.actor.wait(max(0.01, seconds))

    def wake(self):
        self.actor.woken = True


class Copy:
    """The runner at work on one attempt, step by step as RUNNER in qmap.py."""

    def __init__(self, world, word, batch, host, id, done):
        self.world, self.word, self.host, self.id, self.done = world, word, host, id, done
        self.alive, self.stopped, self.forgotten = True, False, False
        self.said = os.path.join(world.logs.run, word)
        self.gate = os.path.join(world.logs.qmap, 'batch', batch)
        self.then(world.random.choice([0, 0.2]), self.look)

    def then(self, seconds, step, *args):
        """Go on with a step after some seconds, unless it is killed before."""
        def go():
            if self.alive and self.world.fault('runner', 0.04):
                self.world.say('runner of {} killed', self.word)
                self.kill(self.world.random.choice(['signal', 'memory', 'node', '']))
            elif self.alive:
                step(*args)
        self.world.at(seconds, go)

    def kill(self, reason, late=0):
        """Kill -9."""
        self.world.truth['killed', self.word] += 1
        self.end('FAILED', reason, late)

    def end(self, status, reason, late=0):
        """It is over, and the scheduler hears of it sooner or later."""
        self.alive = False
        self.world.at(late + self.world.random.choice([0, 0.5, 8]), lambda: self.done(status, reason))

    def closed(self):
        """Tell whether its batch is over."""
        return not os.path.exists(self.gate) and self.world.plant != 'gate'

    def torn(self):
        """Return how long a file stands there empty."""
        return 2 if self.world.fault('torn', 0.3) else 0

    def look(self, tries=0):
        """Wait for the script of its batch."""
        if not self.closed():
            self.then(self.world.random.choice([0, 0, 0.1]), self.claim)
        elif tries == 60:
            self.end('FAILED', 'exit')
        else:
            self.then(1, self.look, tries + 1)

    def claim(self):
        """Make .start, which only one can."""
        try:
            os.close(os.open(self.said + '.start', os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            self.world.made(self.host, self.word + '.start')
        except FileExistsError:
            if self.world.plant != 'claim':
                return self.end('FAILED', 'exit')
        self.then(self.torn(), self.start)

    def start(self):
        """Run, unless its batch is over by now."""
        world = self.world
        if self.closed():
            world.put(self.said + '.start', '{"void":1}\n')
            return self.late()
        if not world.full:
            world.put(self.said + '.start', json.dumps(dict({
                'job': self.word.partition('.')[0], 'attempt': int(self.word.partition('.')[2]), 'host': self.host,
                'pid': 1, 'born': 'x', 'executor_id': self.id, 'time': world.clock_of(self.host)}, **self.words())))
        world.ran[self.word] += 1
        world.say('runs {} on {} as {}', self.word, self.host, self.id)
        if world.ran[self.word] > 1:
            raise Broken('{} ran twice'.format(self.word))
        self.then(world.random.choice([0.1, 1, 10, 100]), self.finish)

    def words(self):
        """Return what .start says more."""
        return {}

    def late(self):
        """Its batch is over."""
        self.end('FAILED', 'exit')

    def finish(self):
        """The job ends."""
        code = self.world.random.choice([0, 0, 0, 0, 1, 3, 137])
        self.write(143 if self.stopped else code, 0)

    def write(self, code, tries):
        """Make .end, as soon as there is room."""
        if self.world.full and tries < 30:
            self.then(10, self.write, code, tries + 1)
        elif self.world.full:
            self.kill('exit')
        else:
            open(self.said + '.end', 'w').close()
            self.world.made(self.host, self.word + '.end')
            self.then(self.torn(), self.fill, code)

    def fill(self, code):
        """Say how it ended."""
        self.world.put(self.said + '.end', '0m0.1s 0m0.1s\n0m0.5s 0m0.2s\n{}\n'.format(json.dumps(
            {'exit_code': code, 'time': self.world.clock_of(self.host), 'memory': 0})))
        self.world.exits[self.word] = code
        self.world.say('{} ended with {}', self.word, code)
        self.end('FAILED' if code else 'COMPLETED', 'exit' if code else '')


class Worker(Copy):
    """A worker of a crew at work, step by step as PULL in qmap.py."""

    def __init__(self, world, name, crowd, k, host, id, done):
        self.crowd, self.k, self.name = crowd, k, name
        self.list, self.last, self.number = list(crowd['tasks']), crowd['last'], crowd['batch']
        self.fresh, self.turn, self.over = True, [], False
        super().__init__(world, name, str(crowd['batch']), host, id, done)

    def kill(self, reason, late=0):
        """Kill -9, and with it the job at hand."""
        super().kill(reason, late)
        if reason == 'cancelled':
            self.world.truth['cancelled', self.word] += 1

    def claim(self):
        """The script of its batch was seen: take job after job."""
        self.take()

    def take(self):
        """Go on with the next job."""
        home = module.read_json.real(os.path.join(self.world.logs.run, 'home.{}'.format(self.crowd['batch'])))
        if self.stopped or home is not None and self.k > home:
            self.leave()
        elif self.closed():
            self.more(0)
        elif self.turn:
            self.then(self.world.random.choice([0, 0, 0.1]), self.reach, self.turn.pop(0))
        elif self.fresh:
            self.fresh, self.turn = False, self.list[self.k - 1::self.crowd['workers']]
            self.take()
        else:
            there = os.listdir(self.world.logs.run)
            self.turn = [word for word in self.list if word + '.start' not in there]
            self.world.random.shuffle(self.turn)
            if self.turn:
                self.take()
            else:
                self.more(0)

    def reach(self, word):
        """Make .start of a job."""
        if self.closed():
            return self.take()
        said = os.path.join(self.world.logs.run, word)
        try:
            os.close(os.open(said + '.start', os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            self.world.made(self.host, word + '.start')
        except FileExistsError:
            if self.world.plant != 'claim':
                return self.take()
        self.word, self.said = word, said
        self.world.copies.setdefault(word, []).append(self)
        if self.forgotten:
            self.world.truth['forgotten', word] += 1
        self.then(self.torn(), self.start)

    def words(self):
        """Return what .start says more than that of other jobs."""
        return {'crew': self.crowd['batch'], 'k': self.k}

    def start(self):
        """Run, and look now and then whether the job is to end."""
        super().start()
        if self.alive:
            self.world.at(5, lambda word=self.word: self.poke(word))

    def late(self):
        """What it has claimed is of a batch that is over: on to the next."""
        self.word = self.name
        self.take()

    def poke(self, word):
        """End the job if somebody cancelled it."""
        if not self.alive or self.word != word or word in self.world.exits:
            return
        if os.path.exists(self.said + '.why') and self.world.random.random() < 0.7:
            self.world.truth['cancelled', word] += 1
            self.ended = 143
            self.write(143, 0)
        else:
            self.world.at(5, lambda: self.poke(word))

    def write(self, code, tries):
        """Make .end, unless that was done when the job was ended."""
        if (self.word + '.end') not in self.world.seen:
            super().write(code, tries)

    def end(self, status, reason, late=0):
        """A job has ended, or all of it."""
        if self.alive and self.word in self.world.exits and reason in ('', 'exit'):
            self.word = self.name
            self.then(0, self.take)
        else:
            super().end(status, reason, late)

    def more(self, tries):
        """Look for the next list of its crew."""
        folder = os.path.join(self.world.logs.qmap, 'batch')
        for number in sorted(int(name) for name in os.listdir(folder) if name.isdigit()):
            if number > self.number and not self.last:
                with open(os.path.join(folder, str(number))) as source:
                    lines = source.read().split('\n')
                if lines[0].split()[:3] == ['#', 'crew', str(self.crowd['batch'])] and '# end' in lines:
                    self.number, self.last, self.fresh = number, lines[0].endswith(' last'), True
                    self.list = [line.split()[0].lstrip('=') for line in lines[1:lines.index('# end')]]
                    self.gate, self.turn = os.path.join(folder, str(number)), []
                    return self.take()
        if self.last or tries == 15 or self.stopped:
            self.leave()
        else:
            self.then(1, self.more, tries + 1)

    def leave(self):
        """Say the last word, and end."""
        if not self.closed() and not self.world.full:
            name = 'left.{}.{}'.format(self.crowd['batch'], self.k)
            self.world.put(os.path.join(self.world.logs.run, name), json.dumps(
                {'signal': 'TERM' if self.stopped else ''}) + '\n')
            self.world.made(self.host, name)
        super().end('COMPLETED', '')


class Cluster:
    """A scheduler with two nodes, and a controller that forgets, repeats itself, and is not always there."""

    def __init__(self, world):
        self.world = world
        self.jobs = {}    # id: dict name, tasks {k: dict word state since reason host}
        self.next = 100
        self.down = False
        self.saved = None

    def submit(self, script, name, count):
        """Take a submission, and return its id."""
        with open(script) as source:
            text = source.read()
        words = [line.split(' ')[0] for line in text.partition('tasks=(\n')[2].partition('\n)\n')[0].split('\n')]
        batch, crowd = os.path.basename(script), None
        if 'qmap_workers=' in text:
            crowd = {'tasks': [word.lstrip('=') for word in words], 'workers': count, 'batch': int(batch),
                     'last': 'qmap_last=yes' in text}
            words = ['worker{}.{}'.format(batch, k) for k in range(1, count + 1)]
        assert len(words) == count, text
        id, self.next = str(self.next), self.next + 1
        tasks = {k if count > 1 else 0: {'word': word, 'state': 'PENDING', 'since': self.world.now, 'reason': '',
                                         'host': '', 'batch': batch, 'crowd': crowd}
                 for k, word in enumerate(words, 1)}
        self.jobs[id] = {'name': name, 'tasks': tasks, 'since': self.world.now}
        for k in tasks:
            self.world.at(self.world.random.choice([0.1, 1, 5, 30]), lambda k=k: self.begin(id, name, k))
        return id

    def begin(self, id, name, k):
        """Start a task on a node, if it still waits."""
        job = self.jobs.get(id)
        if not job or job['name'] != name or job['tasks'][k]['state'] != 'PENDING':
            return
        if self.down:
            self.world.at(20, lambda: self.begin(id, name, k))
            return
        task, world = job['tasks'][k], self.world
        task['host'] = world.random.choice(world.nodes)
        if world.fault('launch', 0.05):
            # The node does not take it, and the scheduler cancels it by itself.
            self.ended(id, name, k, 'FAILED', 'cancelled')
            world.truth['launch', task['word']] += 1
            return
        task.update(state='RUNNING', since=world.now)
        world.runner(task, k, task['host'], '{}.{}'.format(id, k),
                     lambda status, reason: self.ended(id, name, k, status, reason))
        if world.fault('twice', 0.05):
            other = world.random.choice(world.nodes)
            world.at(world.random.choice([0, 5, 60, 300]), lambda: world.runner(
                task, k, other, '{}.{}'.format(id, k), lambda status, reason: None))

    def ended(self, id, name, k, status, reason):
        """A task has ended, as its node tells the controller, sooner or later."""
        job = self.jobs.get(id)
        if not job or job['name'] != name:
            return
        if self.down:
            self.world.at(10, lambda: self.ended(id, name, k, status, reason))
            return
        job['tasks'][k].update(state=status, reason=reason, since=self.world.now)
        self.world.truth[reason, job['tasks'][k]['word']] += 1

    def poll(self, ids):
        """Return what squeue would say."""
        world, found = self.world, {}
        for id in ids:
            id = id.partition('.')[0]
            for k, task in (self.jobs[id]['tasks'].items() if id in self.jobs else ()):
                if task['state'] in ('COMPLETED', 'FAILED') and world.now - task['since'] > 120:
                    continue
                found[id, k] = (task['state'], task['reason'], task['reason'])
        if world.now < world.lying:
            for task in list(found):
                # That a job was cancelled which never began is all that the queue can say of it, so it is no lie.
                ran = world.ran[self.jobs[task[0]]['tasks'][task[1]]['word']]
                lie = world.random.choice(['', '', 'gone', 'gone', 'cancelled' if ran else '', 'failed', 'pending'])
                if lie == 'gone':
                    del found[task]
                elif lie:
                    found[task] = {'cancelled': ('FAILED', 'cancelled', 'CANCELLED'), 'failed': ('FAILED', '', ''),
                                   'pending': ('PENDING', '', '')}[lie]
        return found

    def accounts(self, tasks):
        """Return what sacct would say: of some of what has ended, a little late."""
        found, world = {}, self.world
        for id, k in tasks:
            task = self.jobs[id]['tasks'].get(k) if id in self.jobs else None
            if task and task['state'] in ('COMPLETED', 'FAILED') and world.now - task['since'] > 3:
                found[id, k] = {'status': task['state'], 'reason': task['reason'], 'words': task['reason']}
                if task['host']:
                    found[id, k]['host'] = task['host']
        return found

    def cancel(self, tasks):
        """End tasks, as scancel does."""
        for id, k in tasks:
            task = self.jobs[id]['tasks'].get(k) if id in self.jobs else None
            if task and task['state'] == 'PENDING':
                task.update(state='FAILED', reason='cancelled', since=self.world.now)
                self.world.truth['cancelled', task['word']] += 1
            elif task and task['state'] == 'RUNNING':
                self.world.truth['cancelled', task['word']] += 1
                self.world.stop(task['word'])

    def forget(self):
        """The controller is killed, and comes back as it was some seconds ago."""
        if self.saved:
            running = {task['word'] for job in self.jobs.values() for task in job['tasks'].values()}
            jobs, self.next = json.loads(self.saved)
            self.jobs = {id: dict(job, tasks={int(k): task for k, task in job['tasks'].items()})
                         for id, job in jobs.items()}
            for word in running - {task['word'] for job in self.jobs.values() for task in job['tasks'].values()}:
                self.world.truth['forgotten', word] += 1
                for copy in self.world.copies.get(word, ()):
                    copy.forgotten = True
                    self.world.truth['forgotten', copy.word] += 1
            for id, job in self.jobs.items():
                for k, task in job['tasks'].items():
                    if task['state'] == 'RUNNING' and self.world.now - task['since'] < 30:
                        task['state'] = 'PENDING'
                    if task['state'] == 'RUNNING' and not any(
                            copy.alive for copy in self.world.copies.get(task['word'], [])):
                        self.world.at(30, lambda id=id, name=job['name'], k=k: self.ended(
                            id, name, k, 'FAILED', 'node'))
                    if task['state'] == 'PENDING':
                        self.world.at(5, lambda id=id, name=job['name'], k=k: self.begin(id, name, k))

    def save(self):
        """Write down the state of the controller."""
        self.saved = json.dumps([self.jobs, self.next])
        if not self.world.calm:
            self.world.at(10, self.save)


class Simulated(Backend):
    """The backend, as one process uses it."""

    name = title = 'simulated'
    task_variable, id_variable = 'SIMULATED_K', 'SIMULATED_ID'
    poll_interval = 10

    def __init__(self, world):
        super().__init__({})
        self.world = world

    def job_name(self, prefix, batch, token):
        return '{}.{}.{}'.format(prefix, batch, token)

    def job_cmd(self, *args):
        return 'simulated'

    def task_name(self, task):
        return '{}.{}'.format(*task)

    def submit(self, script, name, count, params, output):
        word, text = self._submit(script, name, count)
        return ('refused' if word == 'silent' and self.world.plant == 'silent' else word), text

    def _submit(self, script, name, count):
        world, cluster = self.world, self.world.cluster
        world.step('submit')
        if cluster.down:
            return 'busy', 'connection refused'
        chance = world.random.random() if not world.calm else 1
        if chance < 0.05:
            for word in json.loads(world.last_batch):
                world.truth['refused', word] += 1
            return 'refused', 'no such partition'
        if chance < 0.12:
            return 'busy', 'a limit'
        if chance < 0.17:
            return 'silent', 'no answer, not taken'
        if chance < 0.22:
            # It is taken only minutes later.
            copy = os.path.join(world.folder, 'late{}'.format(len(os.listdir(world.folder))), os.path.basename(script))
            os.mkdir(os.path.dirname(copy))
            shutil.copyfile(script, copy)
            world.at(world.random.choice([5, 40, 200, 400]), lambda: cluster.submit(copy, name, count))
            return 'silent', 'no answer, taken later'
        id = cluster.submit(script, name, count)
        world.step('submitted')
        if chance < 0.32:
            return 'silent', 'no answer, taken'
        if chance < 0.37:
            world.actor.wait(world.random.choice([5, 50]))
        return 'ok', id

    def find(self, name):
        self.world.step('find')
        if self.world.cluster.down:
            return None
        return next((id for id, job in self.world.cluster.jobs.items() if job['name'] == name), '')

    def poll(self, ids):
        self.world.step('poll')
        if self.world.cluster.down or self.world.fault('poll', 0.05):
            return None
        return self.world.cluster.poll(ids)

    def accounts(self, tasks):
        self.world.step('accounts')
        if self.world.cluster.down or self.world.fault('accounts', 0.1):
            return None
        return {} if self.world.bare else self.world.cluster.accounts(tasks)

    def cancel(self, tasks, counts):
        self.world.step('cancel')
        if not self.world.cluster.down:
            self.world.cluster.cancel(tasks)


class World:
    """All of it, for one seed."""

    #: Seconds after which nothing goes wrong any more, and after which all must be over.
    CALM, END = 900, 6000

    def __init__(self, seed, folder, plant='', tell=None):
        self.seed = seed
        self.random = random.Random(seed)
        self.folder = folder
        self.plant = plant
        self.tell = tell
        self.now = 0.0
        self.events = []
        self.count = 0
        self.back = threading.Semaphore(0)
        self.actor = None
        self.actors = []
        self.pids = 100
        self.locks = {}
        self.truth = collections.Counter()
        self.exits = {}
        self.ran = collections.Counter()
        self.copies = {}
        self.seen = {}    # name in run/: (host that made it, when others see it)
        self.ghosts = {}
        self.calm = False
        self.full = self.forbidden = False
        self.lying = 0
        self.last_batch = '[]'
        self.hosts = ['login1', 'login2']
        self.nodes = ['node1', 'node2', 'login1']
        self.boots = dict.fromkeys(self.hosts + self.nodes, 0)
        self.skew = {host: self.random.choice([0, 0, -7200, 3600, 40]) for host in self.hosts + self.nodes}
        # What goes wrong in this world, and how often: most seeds have few kinds of faults, some have all.
        self.rate = self.random.choice([0, 0.3, 1, 1, 2])
        kinds = ['crash', 'suspend', 'launch', 'twice', 'runner', 'node', 'poll', 'accounts', 'late', 'torn', 'disk',
                 'permission', 'outage', 'forget', 'lie', 'takeover', 'control', 'halt', 'machine', 'clock']
        self.kinds = set(kinds if self.random.random() < 0.3 else self.random.sample(kinds, self.random.randint(0, 8)))
        self.locking = self.random.choice(['all', 'all', 'host', 'none'])
        self.bare = self.random.random() < 0.3
        self.cluster = Cluster(self)
        self.jobs = self.random.randint(1, 9)
        self.group = self.random.choice([1, 1, 1, 2])
        self.pull = self.random.choice([0, 0, 1, 2, 3])
        self.condensing = self.random.random() < 0.3    # the journal, at every start

    # Time

    def at(self, seconds, what):
        """Do something so many seconds from now."""
        self.count += 1
        heapq.heappush(self.events, (self.now + seconds, self.count, what))

    def clock_of(self, host):
        """Return the time that a host's clock shows."""
        return 1.7e9 + self.now + self.skew[host]

    def say(self, text, *args):
        """Tell the story."""
        if self.tell:
            who = '{}@{}'.format(self.actor.pid, self.actor.host) if self.actor else ''
            self.tell('{:8.2f} {:12} {}'.format(self.now, who, text.format(*args)))

    def fault(self, kind, chance):
        """Tell whether something of this kind goes wrong now."""
        return not self.calm and kind in self.kinds and self.random.random() < chance * self.rate

    def step(self, what):
        """A process touches something: it may be killed here, or put to sleep."""
        actor = self.actor
        if actor is None or actor.dead:
            return
        self.say('{}', what)
        if self.fault('crash', 0.004):
            self.say('killed at {}', what)
            actor.dead = True
            raise Crash()
        # Longer between two steps of becoming the driver, and there is a driver still at work elsewhere.
        if self.fault('suspend', 0.1 if what == 'journal' else 0.004):
            seconds = self.random.choice([3, 30, 250, 400])
            self.say('suspended at {} for {} s', what, seconds)
            actor.wait(seconds)
        if self.full and what in ('write', 'journal'):
            raise OSError(errno.ENOSPC, 'No space left on device')
        if self.forbidden and what in ('write', 'journal', 'remove'):
            raise OSError(errno.EACCES, 'Permission denied')

    # Files, as a host sees them

    def made(self, host, name):
        """A file was made in run/ by a host."""
        late = self.random.choice([0, 2, 20, 60]) if self.fault('late', 0.5) else 0
        self.seen[name] = (host, self.now + late)

    def visible(self, host, name):
        """Tell whether a host sees a name in run/."""
        maker, when = self.seen.get(name, (host, 0))
        return maker == host or self.now >= when

    # What the scheduler does to jobs

    def runner(self, task, k, host, id, done):
        """Start a copy of the runner on a node; `done` hears how it ended for the scheduler."""
        if task['crowd']:
            copy = Worker(self, task['word'], task['crowd'], k or 1, host, id, done)
        else:
            copy = Copy(self, task['word'], task['batch'], host, id, done)
        self.copies.setdefault(task['word'], []).append(copy)

    @staticmethod
    def put(path, text):
        with open(path, 'w') as target:
            target.write(text)

    def stop(self, word):
        """The scheduler sends TERM, and after a while KILL, to what runs an attempt."""
        for copy in self.copies.get(word, []):
            if copy.alive and self.random.random() < 0.5:
                copy.stopped = True
            elif copy.alive:
                copy.kill('cancelled')

    # What goes wrong by itself

    def troubles(self):
        """Plan what happens to the world until it is calm."""
        self.often('node', self.node, 100, 400)
        self.often('machine', self.machine, 150, 600)
        self.often('outage', lambda: self.window(self.cluster, 'down', [5, 60, 200]), 60, 300)
        self.often('forget', self.forget, 60, 400)
        self.often('disk', lambda: self.window(self, 'full', [3, 40]), 60, 300)
        self.often('permission', lambda: self.window(self, 'forbidden', [3, 40]), 60, 300)
        self.often('lie', lambda: setattr(self, 'lying', self.now + self.random.choice([5, 40, 60])), 60, 200)
        self.often('clock', self.clock, 100, 300)
        self.often('control', self.command, 30, 200)
        self.often('halt', lambda: [actor.kill() for actor in self.actors], 60, 300)
        self.cluster.save()

    def often(self, kind, what, least, most):
        """Let something happen again and again, if this world has trouble of this kind."""
        def go():
            if not self.calm:
                self.say('{}', kind)
                what()
                self.at(self.random.uniform(least, most) / max(self.rate, 0.1), go)
        if kind in self.kinds and self.rate:
            self.at(self.random.uniform(0, most) / self.rate, go)

    def window(self, owner, name, seconds):
        """Let something be so for a while."""
        setattr(owner, name, True)
        self.at(self.random.choice(seconds), lambda: setattr(owner, name, False))

    def forget(self):
        """The controller is killed, and started again."""
        def back():
            self.cluster.down = False
            self.cluster.forget()

        self.cluster.down = True
        self.at(self.random.choice([5, 30]), back)

    def node(self):
        """A node goes down with all that it runs; the scheduler notices after a while."""
        name = self.random.choice(self.nodes[:2])
        for copy in [copy for copies in self.copies.values() for copy in copies]:
            if copy.alive and copy.host == name:
                copy.kill('node', 30)

    def machine(self):
        """A login node loses its power: what was not on the disk is gone."""
        name = self.random.choice(self.hosts)
        self.boots[name] += 1
        for actor in self.actors:
            if actor.host == name:
                actor.kill()
        for journal in module.Journal.all:
            if journal.host == name and journal.synced is not None and os.path.exists(journal.path):
                size = os.path.getsize(journal.path)
                if size > journal.synced:
                    os.truncate(journal.path, self.random.randint(journal.synced, size))
                journal.synced = None
        for name in os.listdir(self.logs.path):
            if name.endswith('.info') and name != 'execution.info' and self.random.random() < 0.2:
                self.put(os.path.join(self.logs.path, name), '')

    def clock(self):
        """The clock of a machine jumps."""
        self.skew[self.random.choice(self.hosts + self.nodes)] = self.random.choice([0, -86400, 7200])

    def command(self):
        """Somebody steers."""
        host = self.random.choice(self.hosts)
        do = self.random.choice(['pause', 'max-running', 'cancel', 'retry', 'retry', 'set', 'stop'])
        command = {'do': do, 'by': 'somebody@' + host}
        if do == 'max-running':
            command['number'] = self.random.randint(1, 5)
        if do == 'set':
            command['params'] = {'memory': self.random.choice(['1G', '2G', ''])}
        if do in ('cancel', 'retry') and self.random.random() < 0.8:
            first = self.random.randrange(self.jobs)
            command['ids'] = [[first, min(self.jobs - 1, first + self.random.randrange(3))]]
        if do == 'retry':
            command['params'] = self.random.choice([{}, {'time': '01:00:00'}])
        if do == 'cancel' and 'ids' not in command:
            command['statuses'] = [self.random.choice(module.STATUSES)]
        if do == 'stop':
            command['cancel'] = self.random.random() < 0.3
        self.say('{}', command)
        self.drop(host, command)
        if do == 'cancel':
            self.truth['cancel'] += 1
        if do == 'stop' and command['cancel']:
            self.truth['cancel'] += 1
        if do == 'pause':
            self.at(self.random.choice([5, 100]), lambda: self.drop(host, {'do': 'resume'}))

    def drop(self, host, command):
        """Put a command into the inbox."""
        try:
            module.Inbox(self.logs, Somebody(self, host)).drop(command)
        except OSError:
            pass

    # The run

    def reattach(self, host, takeover=False):
        """Start a process with an Execution in it."""
        def work(actor):
            execution = actor.execution = module.Execution(self.logs.path, takeover=takeover)
            execution._work()
            if execution._error and not isinstance(execution._error, Crash):
                raise execution._error
            actor.rest = execution.left()
        self.say('reattach on {}{}', host, ' --takeover' if takeover else '')
        actor = Actor(self, host, work)
        self.actors.append(actor)
        self.at(0, lambda: actor.resume(0))

    def living(self):
        """Return the processes that are there."""
        return [actor for actor in self.actors if not actor.over and not actor.dead]

    def people(self):
        """Somebody looks after it now and then, and starts what is missing."""
        living = self.living()
        if not living or len(living) < 3 and self.random.random() < 0.1:
            self.reattach(self.random.choice(self.hosts), self.fault('takeover', 0.3))
        if not self.calm:
            self.at(self.random.choice([5, 50, 100]), self.people)

    def quiet(self):
        """From now on nothing goes wrong."""
        self.say('calm')
        self.calm = True
        self.full = self.forbidden = self.cluster.down = False
        self.lying = 0
        self.drop(self.hosts[0], {'do': 'resume'})
        self.finish()

    def finish(self):
        """See it through to its end."""
        living = self.living()
        if self.ledger().settings.get('halted'):    # commands of several hosts come in the order of their clocks
            self.drop(self.hosts[0], {'do': 'resume'})
        if not living:
            ledger = self.ledger()
            if ledger.left() or os.listdir(os.path.join(self.logs.qmap, 'inbox')):
                self.reattach(self.hosts[0])
            else:
                return
        self.at(20, self.finish)

    def ledger(self):
        ledger = module.Ledger(self.logs, self.jobs, self.group, figures=module.Figures(1, other=lambda record: 1))
        ledger.load()
        return ledger

    def run(self):
        """Live through it, and check what came of it."""
        self.prepare()
        self.reattach(self.random.choice(self.hosts))
        self.people()
        self.troubles()
        self.at(self.CALM if self.rate else 0, self.quiet)
        while self.events:
            self.now, _, what = heapq.heappop(self.events)
            if self.now > self.END:
                raise Broken('it does not end: {}'.format(dict(zip(module.STATUSES, self.ledger().counts))))
            what()
            for actor in self.actors:
                if actor.error:
                    raise actor.error
        self.check()

    def prepare(self):
        path = os.path.join(self.folder, 'a.map')
        self.put(path, 'true\n' * self.jobs)
        self.logs = module.Logs(os.path.join(self.folder, 'out'))
        self.logs.create()
        shutil.copyfile(path, self.logs.input)
        module.write_json.real(self.logs.execution, {
            'version': module.__version__, 'map': path, 'name': 'a', 'profile': 'simulated', 'executor': 'local',
            'settings': {}, 'params': {'working_directory': self.folder}, 'map_params': {}, 'repeat': [],
            'max_running': self.random.randint(1, 4), 'group': self.group, 'pull': self.pull, 'token': '0000',
            'logs': self.logs.path, 'created_seconds': 0})

    def check(self):
        """The rules."""
        ledger = self.ledger()
        if ledger.left() or ledger.live:
            raise Broken('not all have ended: {}'.format(ledger.counts))
        statuses, figures = collections.Counter(), module.Figures(1, other=lambda record: 1)
        for number in range(ledger.count):
            record = ledger.record(number)
            for attempt in [record] + ledger.earlier(number):
                figures.add(attempt)
            word = '{}.{}'.format(record['job'], record['attempt'])
            statuses[record['status']] += 1
            if record['status'] == 'COMPLETED':
                if self.exits.get(word) != 0:
                    raise Broken('{} is COMPLETED, but ended with {}'.format(word, self.exits.get(word)))
            elif record['error'] == 'cancelled before it was submitted':
                if not self.truth['cancel']:
                    raise Broken('{} was dropped, and nobody asked for it'.format(word))
                continue
            else:
                self.cause(word, record)
            if record['attempt'] > 1 + len(ledger.earlier(number)):
                raise Broken('{} is a new attempt, and nobody asked for it'.format(word))
            info = module.read_json.real(os.path.join(self.logs.path, record['job'] + '.info'))
            if info is None and any(self.boots.values()) or 'suspend' in self.kinds:
                continue    # lost with a machine's power, or written by a driver that was overtaken; the journal has it
            if (info['status'], info['retries']) != (record['status'], max(0, record['attempt'] - 1)):
                raise Broken('{}: its .info says {}'.format(word, info))
        if [statuses[status] for status in module.STATUSES] != ledger.counts:
            raise Broken('the counts are wrong: {}'.format(ledger.counts))
        for kept, right in ((ledger.figures.asked, figures.asked), (ledger.figures.used, figures.used)):
            if abs(kept - right) > 0.001:
                raise Broken('{} core-seconds are {} by the records'.format(kept, right))
        if +ledger.figures.hosts != +figures.hosts:
            raise Broken('{} are {} by the records'.format(ledger.figures.hosts, figures.hosts))
        for word, count in self.ran.items():
            if count > 1:
                raise Broken('{} ran {} times'.format(word, count))

    def cause(self, word, record):
        """Check that a failure has a cause that happened."""
        reason, code = record['error_reason'], self.exits.get(word)
        if code == 0 and reason == 'cancelled' and self.truth['cancelled', word]:
            return    # it was asked to end, and was just done
        if reason == 'lost' and self.truth['forgotten', word]:
            return    # it went on, but nobody knew of it any more
        if code == 0:
            if self.seen[word + '.end'][1] < self.now - 60:
                raise Broken('{} is FAILED ({}), but ended with 0'.format(word, reason))
            return
        if reason == 'cancelled' and 'lie' in self.kinds and (code or self.truth['killed', word]):
            return    # it did fail; that of all things the queue is wrong about why cannot be known
        happened = {
            'exit': code not in (None, 0), 'signal': code in (137, 143) or self.truth['killed', word],
            'cancelled': self.truth['cancel'] or self.truth['cancelled', word] or self.truth['launch', word],
            'submit': self.truth['refused', word], 'memory': self.truth['killed', word],
            'node': self.truth['killed', word] or self.truth['node', word], 'time': False,
            'lost': self.truth['killed', word] or self.truth['launch', word] >= 4 or not self.ran[word]}
        if not happened[reason]:
            raise Broken('{} is FAILED for {}, which did not happen: {}'.format(word, reason, record))
        if reason == 'exit' and record.get('exit_code') != code:
            raise Broken('{} has exit code {}, not {}'.format(word, record.get('exit_code'), code))


class Somebody:
    """Here, for a person who drops a command."""

    def __init__(self, world, host):
        self.host, self.pid, self._world = host, 1, world

    def time(self):
        return self._world.clock_of(self.host)


# ---- between the module and the system

WORLD = None
REAL = {name: getattr(module, name) for name in (
    'write_json', 'write_text', 'remove', 'read_json', 'read_end', 'Journal', 'Lock', 'load_backend', 'Here',
    'bring_to_disk')}
METHODS = [(module.Logs, 'listing'), (module.Driver, '_clean'), (module.Driver, '_check_epoch'),
           (module.Ledger, 'load'), (module.Ledger, 'condense'), (module.Ledger, 'same'), (module.Driver, '_correct')]
REAL.update({method: getattr(*method) for method in METHODS})
REAL['hear_returned'] = module.Ledger._HEAR['returned']


class Journal(REAL['Journal']):
    """The segment of a process, of which the machine may lose what was not brought to the disk."""

    all = []

    def __init__(self, path, opening):
        WORLD.step('journal')
        self.path, self.host, self.synced = path, WORLD.actor.host, 0
        super().__init__(path, opening)
        self.all[:] = [other for other in self.all if other.path != path] + [self]    # one that came to nothing is gone
        WORLD.actor.fresh = True

    def write(self, events):
        WORLD.step('events')
        size = self.size
        try:
            return super().write(events)
        except OSError:
            if WORLD.plant == 'torn':
                os.write(self._handle, b'{"event":"run","jo')
                self._torn, self.size = False, os.path.getsize(self.path)
            raise
        finally:
            for event in events if self.size > size else ():
                if event['event'] == 'batch':
                    WORLD.last_batch = json.dumps(event['tasks'])

    def _put(self, data):
        WORLD.step('put')
        if WORLD.full or WORLD.fault('torn', 0.02):
            os.write(self._handle, bytes(data[:WORLD.random.randint(0, len(data) - 1)]))
            if WORLD.fault('crash', 0.2):
                WORLD.actor.dead = True
                raise Crash()
            raise OSError(errno.ENOSPC, 'No space left on device')
        if WORLD.forbidden:
            raise OSError(errno.EACCES, 'Permission denied')
        return super()._put(data)

    def sync(self):
        WORLD.step('sync')
        if WORLD.plant != 'fsync':
            self.synced = os.path.getsize(self.path) if self.synced is not None else None

    def close(self):
        if self._handle is not None:
            super().close()
        self._handle = None


class Lock:
    """The driver's lock: for all hosts, for one, or not there at all."""

    def __init__(self, path):
        self._actor = WORLD.actor

    def acquire(self):
        WORLD.step('lock')
        if WORLD.locking == 'none':
            return None
        holders = [actor for actor in WORLD.living() if getattr(actor, 'lock', None)]
        if any(actor.host == self._actor.host or WORLD.locking == 'all' for actor in holders):
            return False
        self._actor.lock = self
        return True

    def release(self):
        self._actor.lock = None


def write_json(path, value):
    WORLD.step('write')
    WORLD.say('writes {}', os.path.basename(path))
    REAL['write_json'](path, value)
    WORLD.step('written')


def write_text(path, text):
    WORLD.step('write')
    REAL['write_text'](path, text)


def remove(path):
    try:
        WORLD.step('remove')
        REAL['remove'](path)
    except OSError:
        pass


def bring_to_disk(path):
    WORLD.step('disk')
    for journal in Journal.all if WORLD.plant != 'fsync' else ():
        if journal.path == path and journal.synced is not None:
            journal.synced = os.path.getsize(path)


def hidden(path):
    """Tell whether this host does not yet see a file."""
    return os.path.dirname(path) == WORLD.logs.run and not WORLD.visible(WORLD.actor.host, os.path.basename(path))


def read_json(path):
    return None if hidden(path) else REAL['read_json'](path)


def read_end(path):
    end = None if hidden(path) else REAL['read_end'](path)
    if end is None and WORLD.plant == 'empty' and os.path.exists(path):
        return {'exit_code': 0, 'time': 0}
    return end


def listing(logs):
    WORLD.step('list')
    return sorted(name for name in REAL[module.Logs, 'listing'](logs) if WORLD.visible(WORLD.actor.host, name))


def clean(driver):
    if WORLD.plant != 'claims':
        return REAL[module.Driver, '_clean'](driver)
    for name in driver.logs.listing():
        if name.rpartition('.')[0] in driver._spent:
            module.remove(os.path.join(driver.logs.run, name))
    driver._spent.clear()
    driver._news = False


def check_epoch(driver):
    WORLD.step('check')
    if WORLD.plant != 'check':
        REAL[module.Driver, '_check_epoch'](driver)
    WORLD.step('checked')


def load(ledger, heard=None):
    fresh, WORLD_actor = getattr(WORLD.actor, 'fresh', False), WORLD.actor
    if WORLD_actor:
        WORLD_actor.fresh = False
    if not (fresh and WORLD.plant == 'read'):
        REAL[module.Ledger, 'load'](ledger, heard)


def condense(ledger, path, last):
    WORLD.step('condense')
    places = REAL[module.Ledger, 'condense'](ledger, path, last)
    WORLD.step('condensed')
    if WORLD.plant == 'history':    # what is condensed goes before it is in its place
        for epoch in ledger.logs.epochs():
            if epoch <= last:
                os.unlink(ledger.logs.journal(epoch))
    WORLD.step('condensed')
    return places


def same(ledger, other, places):
    equal = REAL[module.Ledger, 'same'](ledger, other, places)
    alone = sum(epoch > ledger.snapshot for epoch in ledger.logs.epochs()) == 1    # nobody else drives since
    if not equal and alone and not WORLD.full:
        raise Broken('the snapshot does not say the same')
    if equal:
        for number in range(ledger.count):
            told = [dict(record, event='') for one in (ledger, other)
                    for record in [one.record(number)] + one.earlier(number)]
            if told[:len(told) // 2] != told[len(told) // 2:]:
                raise Broken('the snapshot tells another story of job {}'.format(number))
    return equal


def hear_returned(ledger, event, place):
    REAL['hear_returned'](ledger, event, place)
    if WORLD.plant == 'return':
        for task in event['tasks']:
            ledger.attempts[ledger.number(task.partition('.')[0])] += 1


def install():
    """Put the world in its place."""
    write_json.real, read_json.real = REAL['write_json'], REAL['read_json']
    for function in (write_json, write_text, remove, read_json, read_end, Journal, Lock):
        setattr(module, function.__name__, function)
    module.Here = lambda: Here(WORLD.actor)
    module.load_backend = lambda executor, settings=None, wake=None: Simulated(WORLD)
    module.bring_to_disk = bring_to_disk
    module.Logs.listing, module.Driver._clean, module.Driver._check_epoch = listing, clean, check_epoch
    module.Ledger.load, module.Ledger._HEAR['returned'] = load, hear_returned
    module.Driver.LOOK = 3
    module.Crew.LIST = 4
    module.Ledger.bulky = lambda ledger: WORLD.condensing
    module.Ledger.condense, module.Ledger.same = condense, same


def simulate(seed, plant='', tell=None):
    """Run one seed, and return what rule it breaks, '' for none."""
    global WORLD
    folder = tempfile.mkdtemp(prefix='qmap-simulation-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
    Journal.all = []
    module.Inbox._count = itertools.count(1)
    world = WORLD = World(seed, folder, plant, tell)
    Simulated.grace = 0 if plant == 'queue' else 90
    Simulated.lingers = plant == 'lie'
    module.Driver._correct = REAL[module.Driver, '_correct'] if plant != 'lie' else lambda *args: None
    try:
        world.run()
        return ''
    except Broken as broken:
        return str(broken)
    except Exception as error:
        import traceback
        return ''.join(traceback.format_exception(type(error), error, error.__traceback__))
    finally:
        world.calm = True
        for actor in world.actors:
            actor.kill()
        for journal in Journal.all:
            journal.close()
        shutil.rmtree(folder, ignore_errors=True)


def several(job):
    """Run some seeds, and return those that break a rule."""
    first, last, plant = job
    found = []
    for seed in range(first, last):
        words = simulate(seed, plant)
        if words:
            found.append((seed, words))
            if plant:
                break
    return last - first, found


def main():
    parser = argparse.ArgumentParser(description='Run the driver in a simulated world.')
    parser.add_argument('count', nargs='?', type=int, default=1000, help='number of seeds')
    parser.add_argument('--first', type=int, default=0, help='the first seed')
    parser.add_argument('--seed', type=int, help='run this one, and tell its story')
    parser.add_argument('--plant', choices=list(PLANTED) + ['all'], help='plant a bug, and see whether it is found')
    options = parser.parse_args()
    if os.environ.get('PYTHONHASHSEED') != '0':    # or a seed would not repeat exactly
        os.execve(sys.executable, [sys.executable] + sys.argv, dict(os.environ, PYTHONHASHSEED='0'))
    install()
    if options.seed is not None:
        words = simulate(options.seed, options.plant or '', lambda line: print(line, flush=True))
        print('seed {}: {}'.format(options.seed, words or 'all rules hold'))
        return 1 if words else 0
    import multiprocessing
    status, since = 0, time.monotonic()
    for plant in PLANTED if options.plant == 'all' else [options.plant or '']:
        done, broken = 0, []
        jobs = [(first, min(first + 20, options.first + options.count), plant)
                for first in range(options.first, options.first + options.count, 20)]
        with multiprocessing.Pool(len(os.sched_getaffinity(0)), maxtasksperchild=20) as pool:
            for count, found in pool.imap_unordered(several, jobs):
                done, broken = done + count, broken + found
                if plant and broken:
                    break
        if plant:
            print('planted {}: {}'.format(plant, 'found with seed {}'.format(min(broken)[0]) if broken
                                          else 'NOT FOUND in {} seeds'.format(done)), flush=True)
            status = status or int(not broken)
        elif broken:
            seed, words = min(broken)
            print('{} of {} seeds break a rule, the first: {}\n{}'.format(len(broken), done, seed, words))
            print('to see its story: python tests/simulation.py --seed {}'.format(seed))
            status = 1
    if not options.plant:
        print('{} seeds in {:.0f} s: {}'.format(
            options.count, time.monotonic() - since, 'FAILED' if status else 'all rules hold'))
    return status


if __name__ == '__main__':
    sys.exit(main())
