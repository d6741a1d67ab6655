"""The real driver in a simulated world: time, hosts, the visibility of files and the scheduler come from here, and a
seed decides what goes wrong. After each run the rules of `qmap help reliability` must hold.

    tests/run --simulate 10000          that many seeds, in parallel; prints the first that fails
    python tests/simulation.py --seed 7 one seed, with the story of it
    python tests/simulation.py --plant claim 200    with a bug planted: see PLANTED

Drivers and viewers are the real `qmap.Session`, each in a thread; one runs at a time, and the others stand where
they last waited or touched a file, so that a seed repeats exactly. What they touch is real files; what they see of
those that another host has written is up to a minute old. The runner is the one thing that is played: RUNNER in
qmap.py is bash, and `Copy` does the same steps, any of which may be its last.
"""

import argparse
import collections
import contextlib
import errno
import heapq
import itertools
import json
import os
import random
import re
import shutil
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import qmap as module    # noqa: E402

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
    ('tries', 'the runner gives up saying how a job ended, after 30 tries'),
    ('status', 'what is no exit status is taken for one'),
    ('late', 'what says how it ended after it was called lost is not believed'),
    ('verdict', 'a job that was told to end, and did so with 0, is COMPLETED'),
    ('obedient', 'a job that the scheduler told to end, and did so with 0, is COMPLETED'),
    ('place', 'an event is looked for one byte before its place'),
    ('beat', 'a driver on another host is taken for dead after a minute'),
    ('inbox', 'an order is taken out of the inbox before it is written'),
    ('nothing', 'set says that it was done, and changes nothing'),
    ('next', 'who cancels a job cancels the next one as well'),
    ('former', 'a job of which a retry is taken back is COMPLETED, whatever it was'),
    ('pause', 'a pause is noted, and submitting goes on'),
    ('more', 'one job more is submitted than may run'),
    ('deaf', 'a job whose end has just come is judged without it'),
    ('judge', 'accounts that do not answer know nothing of a job'),
    ('absent', 'no answer to whether a submission is there counts as that it is not'),
    ('again', 'an id that the scheduler gives again is not noticed'),
    ('begun', 'what has just claimed its attempt is taken back with the rest'),
    ('unclaimed', 'a cancelled job on a list counts as claimed, and no file is made'),
    ('back', 'what the queue says of a job counts more than that it has begun'),
    ('copy', 'whether a copy of another submission lives is not asked'),
    ('trace', 'what left the queue once without a trace is lost'),
    ('hush', 'a scheduler that is busy is asked again at once'),
    ('hasty', 'words that nobody knows count as a refusal at once'),
    ('half', 'a scheduler that takes fewer tasks at once is offered as many again'),
    ('dropped', 'what somebody has taken out of the queue is submitted again'),
    ('rerun', 'a job that was interrupted does not run again'),
    ('unended', 'a cancelled job whose node is dead is waited for'),
    ('cut', 'a job that only the end of its worker cut off has failed'),
    ('decided', 'that jobs are short, and workers run them, is not written down'),
    ('wavering', 'once workers run the jobs, those that come back have tasks of their own again'),
    ('whose', 'what became of a worker counts also for a job that ended before'),
    ('reruns', 'a job that is interrupted runs again without end'),
    ('forgets', 'that a job shall end is told to the scheduler once only'),
    ('given', 'a job that will never start is given up without claiming it'),
    ('hole', 'a node on which launches fail is submitted to as before'),
    ('stale', 'an answer of the queue counts also for what was submitted after it was asked'),
    ('flight', 'a submission is looked for by name while it is still under way'),
    ('script', 'the script of an attempt is made with the parameters that hold now'),
    ('whole', 'an .info that is there counts as whole, and is left as it is'),
    ('early', 'the .info files count as written before they are'),
])

#: What goes wrong in each world in which a bug is looked for: else few of them would have it. `pull`: it has workers.
NEEDS = {
    'again': {'forget', 'launch'}, 'begun': {'narrow', 'twice'}, 'check': {'crash', 'suspend'},
    'copy': {'hand', 'twice'}, 'deaf': {'accounts'}, 'dropped': {'hand'}, 'early': {'crash'},
    'hole': {'hole', 'pull'}, 'late': {'tardy'}, 'lie': {'lie'}, 'obedient': {'polite', 'preempt'},
    'queue': {'tardy'}, 'read': {'suspend', 'takeover'}, 'script': {'control'}, 'stale': {'poll'},
    'unended': {'control', 'dead', 'node'}, 'whole': {'torn'},
}


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
        self.driver = None
        self.looked = 0    # when it last listed what lies in run/
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


class Host:
    """What qmap.Host is, of an actor."""

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

    def __init__(self, world, word, batch, host, id, done, known=True, made=0):
        self.world, self.word, self.host, self.id, self.done = world, word, host, id, done
        self.made = made    # when the script of its batch was written, on the clock of who did
        self.known = known    # to the scheduler
        self.alive, self.stopped, self.forgotten, self.running = True, False, False, False
        self.signal = ''    # by which its job was told to end
        self.polite = 'polite' in world.kinds and world.random.random() < 0.5    # its job answers TERM with status 0
        self.said = os.path.join(world.logs.run, word)
        self.gate = os.path.join(world.logs.qmap, 'batch', batch)
        self.then(world.random.choice([0, 0.2]), self.look)

    def then(self, seconds, step, *args, **options):
        """Go on with a step after some seconds, unless it is killed before: chance says how often."""
        def go():
            if self.alive and self.world.fault('runner', options.get('chance', 0.04)):
                self.world.say('runner of {} killed', self.word)
                self.kill(self.world.random.choice(['signal', 'memory', 'node', '']))
            elif self.alive:
                step(*args)
        self.world.at(seconds, go)

    def wait_for_room(self, step, *args):
        """Go on with a step in a while, when the disk may have room: as often as that takes."""
        self.then(10, step, *args, chance=0.001)

    def kill(self, reason, late=0):
        """Kill -9."""
        self.world.truth['killed', self.word] += 1
        self.end('FAILED', reason, late)

    def end(self, status, reason, late=0):
        """It is over, and the scheduler hears of it sooner or later."""
        self.alive = self.running = False
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
        elif tries == 60 or tries == 5 and self.world.clock_of(self.host) - self.made > 180:
            self.late()
        else:
            self.then(1, self.look, tries + 1)

    def claim(self):
        """Make .start, which only one can."""
        if self.world.full and self.world.random.random() < 0.5:    # not even an empty file
            if self.world.random.random() < 0.3:    # an earlier version gives up
                return self.end('FAILED', 'exit')
            return self.wait_for_room(self.look)
        if not self.make_start():
            return self.late()
        self.then(self.torn(), self.start)

    def make_start(self):
        """Make .start, and return whether that was this copy."""
        try:
            os.close(os.open(self.said + '.start', os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            self.world.made(self.host, self.word + '.start')
        except FileExistsError:
            return self.world.plant == 'claim'
        return True

    def start(self):
        """Fill it, and look once more whether its batch is over by now."""
        if not self.world.full:
            self.world.put(self.said + '.start', json.dumps(dict({
                'job': self.word.partition('.')[0], 'attempt': int(self.word.partition('.')[2]), 'host': self.host,
                'pid': 1, 'born': 'x', 'executor_id': self.id, 'time': self.world.clock_of(self.host)},
                **self.words())) + '\n')
            self.world.whole[self.word + '.start'] = self.world.now
        self.then(self.world.random.choice([0, 0, 0.1]), self.begin)

    def words(self):
        """Return what .start says more."""
        return {}

    def begin(self):
        """Begin, unless its batch is over."""
        if self.closed():
            self.world.put(self.said + '.start', '' if self.world.full else '{"void":1}\n')
            self.late()
        else:
            self.launch()

    def launch(self):
        """Run the job, as soon as there is room for its output."""
        world = self.world
        if world.full and world.random.random() < 0.7:
            return self.wait_for_room(self.launch)
        world.ran[self.word] += 1
        world.say('runs {} on {} as {}', self.word, self.host, self.id)
        if world.ran[self.word] > 1:
            raise Broken('{} ran twice'.format(self.word))
        self.running = True
        lasts = world.random.choice([0.1, 1, 10, 100, 300])
        if world.fault('endless', 0.2):
            lasts = 3000
        self.then(min(lasts, 1) if self.stopped else lasts, self.finish, self.word)

    def late(self):
        """Its batch is over, or another copy was first."""
        self.end(*('FAILED', 'exit') if self.world.old else ('COMPLETED', ''))

    def tell(self):
        """TERM: what runs ends soon."""
        self.stopped = True
        self.then(self.world.random.choice([0, 1, 8]), self.finish, self.word)

    def finish(self, word):
        """The job ends, if it has not done so."""
        world = self.world
        if not self.running or word != self.word:
            return
        self.running = False
        code, self.signal = world.random.choice([0, 0, 0, 0, 1, 3, 137]), 'TERM' if self.stopped else ''
        if self.stopped or self.told_to_end():
            code = 0 if self.polite else 143
        world.ends[self.word] = (world.now, world.clock_of(self.host), code)
        world.say('{} ends with {}', self.word, code)
        if world.fault('trap', 0.3):
            world.say('a signal arrives at this moment')
            if world.old:    # a runner of an earlier version lost the status then
                code = world.random.choice([-1, -1, 256, 'x'])
        self.write(code, 0)

    def told_to_end(self):
        """Tell whether the job alone was told to end."""
        return False

    def write(self, code, tries):
        """Make .end, as soon as there is room."""
        if self.world.full and tries == 30 and self.world.plant == 'tries':
            self.end('FAILED', 'exit')
        elif self.world.full:
            self.wait_for_room(self.write, code, tries + 1)
        else:
            open(self.said + '.end', 'w').close()
            self.world.made(self.host, self.word + '.end')
            self.then(self.torn(), self.fill, code, 0)

    def fill(self, code, tries):
        """Say how it ended."""
        if self.world.full:
            return self.wait_for_room(self.fill, code, tries + 1)
        end = {'exit_code': code, 'time': self.world.ends[self.word][1], 'memory': 0}
        if self.signal:
            end['signal'] = self.signal
            self.world.signalled.add(self.word)
        self.world.put(self.said + '.end', '0m0.1s 0m0.1s\n0m0.5s 0m0.2s\n{}\n'.format(json.dumps(end)))
        self.world.whole[self.word + '.end'] = self.world.now
        self.world.exits[self.word] = code
        self.world.say('{} has said that it ended with {}', self.word, code)
        self.end('FAILED' if code else 'COMPLETED', 'exit' if code else '')


class Worker(Copy):
    """A worker of a crew at work, step by step as PULL in qmap.py."""

    def __init__(self, world, name, crowd, k, host, id, done, known=True, made=0):
        self.crowd, self.k, self.name = crowd, k, name
        self.list, self.last, self.number = list(crowd['tasks']), crowd['last'], crowd['batch']
        self.fresh, self.turn, self.told = True, [], set()
        super().__init__(world, name, str(crowd['batch']), host, id, done, known, made)

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
        self.running = False
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
        if self.world.full and self.world.random.random() < 0.5:    # not even an empty file
            return self.wait_for_room(self.reach, word)
        self.word, self.said = word, os.path.join(self.world.logs.run, word)
        if not self.make_start():
            return self.late()
        self.world.copies.setdefault(word, []).append(self)
        if self.forgotten:
            self.world.truth['forgotten', word] += 1
        self.then(self.torn(), self.start)

    def words(self):
        """Return what .start says more than that of other jobs."""
        return {'crew': self.crowd['batch'], 'k': self.k}

    def launch(self):
        """Run, and look now and then whether the job is to end."""
        super().launch()
        if self.running:
            self.world.at(5, lambda word=self.word: self.poke(word))
            if self.world.limited and self.world.fault('over time', 0.1):
                self.world.at(self.world.random.choice([1, 5]), lambda word=self.word: self.time_out(word))

    def late(self):
        """What it wanted is another's, or of a batch that is over: on to the next."""
        self.word = self.name
        self.take()

    def poke(self, word):
        """End the job if somebody cancelled it."""
        if not self.alive or self.word != word or not self.running:
            return
        if os.path.exists(self.said + '.why') and self.world.random.random() < 0.7:
            self.world.truth['cancelled', word] += 1
            self.told.add(word)
            self.finish(word)
        else:
            self.world.at(5, lambda: self.poke(word))

    def time_out(self, word):
        """End the job because its own time is over."""
        if not self.alive or self.word != word or not self.running or os.path.exists(self.said + '.why'):
            return
        if not self.world.full:
            self.world.put(self.said + '.why', json.dumps({
                'reason': 'time', 'words': 'ran over its time', 'time': self.world.clock_of(self.host)}) + '\n')
            self.world.verdicts.setdefault(word, (self.world.now, self.world.clock_of(self.host), 'time'))
        self.world.truth['time', word] += 1
        self.told.add(word)
        self.then(self.world.random.choice([0, 1]), self.finish, word)

    def told_to_end(self):
        """Tell whether the job alone was told to end."""
        return self.word in self.told

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

    def submit(self, script, name, count, avoided=()):
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
        made = int(re.search(r'qmap_begin .* \d+ (\d+) "', text).group(1))
        id, self.next = str(self.next), self.next + 1
        tasks = {k if count > 1 else 0: {'word': word, 'state': 'PENDING', 'since': self.world.now, 'reason': '',
                                         'host': '', 'batch': batch, 'crowd': crowd, 'made': made}
                 for k, word in enumerate(words, 1)}
        self.jobs[id] = {'name': name, 'tasks': tasks, 'since': self.world.now, 'avoided': list(avoided)}
        for k in tasks:
            tasks[k]['never'] = self.world.fault('never', 0.03)
            waits = [60, 200, 1000] if tasks[k]['never'] else [0.1, 1, 5, 30]    # somebody mends it
            self.world.at(self.world.random.choice(waits), lambda k=k: self.begin(id, name, k))
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
        nodes = [node for node in world.nodes if node not in job['avoided']]
        task['host'] = world.random.choice(nodes)
        if world.hole in nodes and not world.calm and world.random.random() < 0.7:
            # What it gets ends at once, and so it is free for the next.
            task['host'] = world.hole
            world.say('{} ends on {} before it begins', task['word'], world.hole)
            self.ended(id, name, k, 'FAILED', 'node')
            return
        if world.fault('launch', 0.05):
            # The node does not take it, and the scheduler cancels it by itself.
            self.ended(id, name, k, 'FAILED', 'cancelled')
            world.truth['launch', task['word']] += 1
            return
        task.update(state='RUNNING', since=world.now)
        world.runner(task, k, task['host'], '{}.{}'.format(id, k),
                     lambda status, reason: self.ended(id, name, k, status, reason))
        if world.fault('limit', 0.2):
            world.at(world.random.choice([1, 20, 200]), lambda: self.time_out(id, name, k))
        if world.fault('twice', 0.05):
            other = world.random.choice(world.nodes)
            world.at(world.random.choice([0, 5, 60, 300]), lambda: world.runner(
                task, k, other, '{}.{}'.format(id, k), lambda status, reason: None, False))

    def time_out(self, id, name, k):
        """A task has reached its time limit: tell it to end, and say so."""
        job, world = self.jobs.get(id), self.world
        if not job or job['name'] != name or job['tasks'][k]['state'] != 'RUNNING' or self.down:
            return
        job['tasks'][k]['over'] = True
        for copy in world.copies.get(job['tasks'][k]['word'], []):
            if copy.alive and copy.known:
                world.say('{} is over its time limit', copy.word)
                world.truth['time', copy.word] += 1
                copy.tell()
                world.at(30, lambda copy=copy: copy.alive and copy.running and copy.kill('time'))

    def ended(self, id, name, k, status, reason):
        """A task has ended, as its node tells the controller, sooner or later."""
        job = self.jobs.get(id)
        if not job or job['name'] != name:
            return
        if self.down:
            self.world.at(10, lambda: self.ended(id, name, k, status, reason))
            return
        if job['tasks'][k].get('cancelled') and reason in ('', 'exit') and self.world.random.random() < 0.5:
            status, reason = 'FAILED', 'cancelled'    # however it ended then
        elif job['tasks'][k].get('over') and reason in ('', 'exit'):
            status, reason = 'FAILED', 'time'
        elif job['tasks'][k].get('preempted') and reason in ('', 'exit'):
            status, reason = 'FAILED', 'preempted'
        job['tasks'][k].update(state=status, reason=reason, since=self.world.now)
        self.world.truth[reason, job['tasks'][k]['word']] += 1

    def poll(self, ids):
        """Return what squeue would say."""
        world, found = self.world, {}
        for id in ids:
            id = id.partition('.')[0]
            for k, task in (self.jobs[id]['tasks'].items() if id in self.jobs else ()):
                is_old = task['state'] in ('COMPLETED', 'FAILED') and world.now - task['since'] > 120
                if is_old or task['state'] == 'taken out':
                    continue
                ending = 'ending' if task['state'] == 'RUNNING' and task.get('cancelled') else ''
                found[id, k] = (task['state'], task['reason'], task['reason'] or ending)
                if task['state'] == 'PENDING' and task['never']:
                    found[id, k] = ('PENDING', '', 'a limit: it will never start')
                    world.truth['never', task['word']] += 1
                    world.truth['never'] += bool(task['crowd'])
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

    def preempt(self):
        """End a task that runs, for one of more importance."""
        running = [task for job in self.jobs.values() for task in job['tasks'].values() if task['state'] == 'RUNNING']
        if running and not self.down:
            task = self.world.random.choice(running)
            task['preempted'] = True
            for copy in self.world.copies.get(task['word'], ()):
                self.world.truth['preempted', copy.word] += 1
            self.world.stop(task['word'], 'preempted')

    def cancel(self, tasks):
        """End tasks, as scancel does."""
        for id, k in tasks:
            task = self.jobs[id]['tasks'].get(k) if id in self.jobs else None
            if task and task['state'] == 'PENDING':
                task.update(state='FAILED', reason='cancelled', since=self.world.now)
                self.world.truth['cancelled', task['word']] += 1
            elif task and task['state'] == 'RUNNING':
                self.world.truth['cancelled', task['word']] += 1
                task['cancelled'] = True
                self.world.stop(task['word'])

    def take_out(self):
        """Somebody cancels a task of an array before it begins: nothing is left of it in the queue."""
        waiting = [(job, k) for job in self.jobs.values() for k, task in job['tasks'].items()
                   if k and task['state'] == 'PENDING' and not task['crowd']]
        if waiting and not self.down:
            job, k = self.world.random.choice(waiting)
            job['tasks'][k].update(state='taken out', since=self.world.now)
            self.world.truth['cancelled', job['tasks'][k]['word']] += 1
            self.world.say('{} is taken out of the queue', job['tasks'][k]['word'])

    def put_back(self):
        """Somebody ends a task, to have the scheduler start it once more."""
        running = [(id, job, k) for id, job in self.jobs.items() for k, task in job['tasks'].items()
                   if task['state'] == 'RUNNING' and not task['crowd']]
        if not running or self.down:
            return
        id, job, k = self.world.random.choice(running)
        task = job['tasks'][k]
        self.world.say('{} is put back into the queue', task['word'])
        for copy in self.world.copies.get(task['word'], ()):
            copy.alive = copy.running = copy.alive and not copy.known
        self.world.truth['killed', task['word']] += 1
        task.update(state='PENDING', since=self.world.now)
        self.world.at(120, lambda: self.begin(id, job['name'], k))

    def forget(self):
        """The controller is killed, and comes back as it was some seconds ago."""
        self.world.dropped.clear()
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


class Simulated(module.Backend):
    """The backend, as one process uses it."""

    name = title = 'simulated'
    task_variable, id_variable = 'SIMULATED_K', 'SIMULATED_ID'
    poll_interval, proves_absence, give_up = 10, True, 100
    unended = 'ending'

    def __init__(self, world):
        super().__init__({})
        self.world = world
        self.hush = {}    # until when to leave it alone with jobs that ask for the same
        self.asked = float('-inf')    # for the load, last

    def job_name(self, prefix, batch, token):
        return '{}.{}.{}'.format(prefix, batch, token)

    def job_cmd(self, *args):
        return 'simulated'

    def task_name(self, task):
        return '{}.{}'.format(*task)

    def submit(self, script, name, count, params, output):
        """Take a submission. Rule: one that does not answer, or takes no job more, is not asked at once again."""
        asked = frozenset(params.items())
        if self.world.now < self.hush.get(asked, 0):
            raise Broken('the scheduler is asked again at once')
        word, text = self._submit(script, name, count)
        self.world.answers.setdefault(name, word)    # somebody may have looked for it before it came
        if word in ('busy', 'silent', 'unclear'):
            self.hush[asked] = self.world.now + (0.005 if word != 'silent' and count > 1 else 4.9)
        planted = {'silent': 'silent', 'hasty': 'unclear'}.get(self.world.plant)
        return ('refused' if word == planted else word), text

    def _submit(self, script, name, count):
        world, cluster = self.world, self.world.cluster
        world.step('submit')
        if cluster.down:
            return 'busy', 'connection refused'
        if count > world.narrow:
            return 'busy', 'too many at once'
        chance = world.random.random() if not world.calm else 1
        if chance < 0.05:
            for word in json.loads(world.last_batch):
                world.truth['refused', word] += 1
            return 'refused', 'no such partition'
        if chance < 0.12:
            return 'busy', 'a limit'
        if chance < 0.14:
            return 'unclear', 'strange words'
        if chance < 0.17:
            return 'silent', 'no answer, not taken'
        if chance < 0.22:
            # It is taken only minutes later.
            copy = os.path.join(world.folder, 'late{}'.format(len(os.listdir(world.folder))), os.path.basename(script))
            os.mkdir(os.path.dirname(copy))
            shutil.copyfile(script, copy)
            avoided = list(self.avoided)
            world.at(world.random.choice([5, 40, 200, 400]), lambda: cluster.submit(copy, name, count, avoided))
            return 'silent', 'no answer, taken later'
        id = cluster.submit(script, name, count, self.avoided)
        world.step('submitted')
        if chance < 0.32:
            return 'silent', 'no answer, taken'
        if chance < 0.37 and world.actor:
            world.actor.wait(world.random.choice([5, 50]))
        return 'ok', id

    def find(self, name):
        self.world.step('find')
        found = next((id for id, job in self.world.cluster.jobs.items() if job['name'] == name), '')
        self.world.answers[name] = None if self.world.cluster.down else found
        return '' if self.world.plant == 'absent' and self.world.cluster.down else self.world.answers[name]

    def usage(self):
        """Return the load. Rule: once a minute is enough."""
        self.world.step('usage')
        since, self.asked = self.asked, self.world.actor.driver.began
        if self.asked - since < 59:
            raise Broken('the load is asked for again after {} s'.format(self.asked - since))
        return None if self.world.cluster.down else {'nodes': 2, 'used': 50, 'mine': 10}

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

    #: Seconds after which nothing goes wrong any more, and for which all may go on then; for which a disk is full for
    #: long; in which those who can must have ended what is to be cancelled.
    CALM, LAST, HOUR, SOON = 900, 5100, 3600, 400

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
        self.ends = {}    # how attempts truly ended: (when, on the clock of its node, exit status)
        self.exits = {}    # and what their runners have said of it
        self.there, self.whole = {}, {}    # since when a name is in run/, and since when what it says is whole
        self.verdicts = {}    # of attempts that were told to end: (when, on the clock of who wants it, why)
        self.signalled = set()    # attempts that the scheduler told to end, and that say so
        self.cancelled = set()    # attempts that somebody ordered to end
        self.answers = {}    # by name of a submission: what the scheduler said of it last
        self.beats = {}    # by segment: when its driver was last seen to live
        self.until = {}    # when what is so for a while ends
        self.ran = collections.Counter()
        self.submitted = collections.Counter()
        self.orders = {}    # by id: what somebody dropped
        self.copies = {}
        self.dropped = set()    # (driver, attempt): those that were taken out of the queue, as it has seen
        self.seen = {}    # name in run/: (host that made it, when others see it)
        self.ghosts = {}
        self.calm = self.over = False
        self.full = self.forbidden = False
        self.lying = 0
        self.last_batch = '[]'
        self.hosts = ['login1', 'login2']
        self.nodes = ['node1', 'node2', 'login1']
        self.hole = ''    # the node where nothing begins
        self.boots = dict.fromkeys(self.hosts + self.nodes, 0)
        self.skew = {host: self.random.choice([0, 0, -7200, 3600, 40]) for host in self.hosts + self.nodes}
        # What goes wrong in this world, and how often: most seeds have few kinds of faults, some have all.
        self.rate = self.random.choice([0, 0.3, 1, 1, 2])
        kinds = ['crash', 'suspend', 'launch', 'twice', 'runner', 'node', 'poll', 'accounts', 'late', 'torn', 'disk',
                 'permission', 'outage', 'forget', 'lie', 'takeover', 'control', 'halt', 'machine', 'clock',
                 'polite', 'trap', 'tardy', 'over time', 'narrow', 'hand', 'limit', 'hole', 'preempt', 'slow',
                 'never']
        self.kinds = set(kinds if self.random.random() < 0.3 else self.random.sample(kinds, self.random.randint(0, 9)))
        # These take long, and are rare.
        self.kinds.update(kind for kind in ('hour', 'endless', 'dead') if self.rate and self.random.random() < 0.05)
        self.kinds.update(['node'] if 'dead' in self.kinds else [])
        needed = NEEDS.get(plant, set())
        self.kinds |= needed - {'pull'}
        self.rate = self.rate or int(bool(needed))
        # Whether its runners are those of an earlier version.
        self.old = 'trap' in self.kinds and self.random.random() < 0.5
        self.narrow = self.random.randint(1, 3) if 'narrow' in self.kinds else 1000    # tasks in a submission
        self.calm_at = (self.CALM if self.rate else 0) + (self.HOUR if 'hour' in self.kinds else 0)
        self.locking = self.random.choice(['all', 'all', 'host', 'none'])
        self.bare = self.random.random() < 0.3
        self.cluster = Cluster(self)
        self.jobs = self.random.randint(1, 9)
        self.group = self.random.choice([1, 1, 1, 2])
        self.pull = self.random.choice([0, None, None, 1, 2, 3])
        self.pull = self.pull or 1 if 'pull' in needed else self.pull
        self.short = False    # whether a journal says that jobs are short, and workers run what is left
        self.limited = 'over time' in self.kinds and self.group == 1    # each job has less time than a worker
        module.RERUNS = self.random.choice([0, 1, 5])
        self.compacting = self.random.random() < 0.3    # the journal, at every start

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
        if name.endswith('.end') and self.fault('tardy', 0.2):
            late = self.random.choice([150, 400, 1500])
        self.seen[name] = (host, self.now + late)
        self.there[name] = self.now

    def visible(self, host, name):
        """Tell whether a host sees a name in run/."""
        maker, when = self.seen.get(name, (host, 0))
        return maker == host or self.now >= when

    def known_since(self, host, name, since):
        """Return when a host could see a name in run/ that was there since some time: infinity where it is not."""
        if name not in since or not os.path.exists(os.path.join(self.logs.run, name)):
            return float('inf')
        maker, when = self.seen[name]
        return since[name] if maker == host else max(when, since[name])

    # What the scheduler does to jobs

    def runner(self, task, k, host, id, done, known=True):
        """Start a copy of the runner on a node; `done` hears how it ended for the scheduler, if that knows of it."""
        if task['crowd']:
            copy = Worker(self, task['word'], task['crowd'], k or 1, host, id, done, known, task['made'])
        else:
            copy = Copy(self, task['word'], task['batch'], host, id, done, known, task['made'])
        self.copies.setdefault(task['word'], []).append(copy)

    @staticmethod
    def put(path, text):
        with open(path, 'w') as target:
            target.write(text)

    def stop(self, word, reason='cancelled'):
        """The scheduler sends TERM, and after a while KILL, to what runs an attempt."""
        for copy in self.copies.get(word, []):
            if copy.alive and self.random.random() < 0.5:
                copy.tell()
            elif copy.alive:
                copy.kill(reason)

    # What goes wrong by itself

    def troubles(self):
        """Plan what happens to the world until it is calm."""
        self.often('node', self.node, 100, 400)
        self.often('preempt', self.cluster.preempt, 60, 300)
        self.often('machine', self.machine, 150, 600)
        self.often('outage', lambda: self.window(self.cluster, 'down', [5, 60, 200]), 60, 300)
        self.often('forget', self.forget, 60, 400)
        self.often('disk', lambda: self.window(self, 'full', [3, 40]), 60, 300)
        self.often('permission', lambda: self.window(self, 'forbidden', [3, 40]), 60, 300)
        if 'hour' in self.kinds:
            self.at(self.random.uniform(0, 60), lambda: self.window(self, 'full', [self.HOUR]))
        self.often('lie', lambda: setattr(self, 'lying', self.now + self.random.choice([5, 40, 60])), 60, 200)
        self.often('clock', self.clock, 100, 300)
        self.often('hole', lambda: setattr(self, 'hole', self.random.choice(self.nodes + [''])), 50, 300)
        self.often('control', self.command, 30, 200)
        self.often('hand', self.cluster.take_out, 5, 60)
        self.often('hand', self.cluster.put_back, 30, 200)
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
        def over():
            if self.now >= self.until[name]:
                setattr(owner, name, False)

        self.say('{} from now on', name)
        setattr(owner, name, True)
        lasts = self.random.choice(seconds)
        self.until[name] = max(self.until.get(name, 0), self.now + lasts)
        self.at(lasts, over)

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
        unnoticed = self.fault('dead', 0.7)    # the scheduler waits for the node for ever
        for copy in [copy for copies in self.copies.values() for copy in copies]:
            if copy.alive and copy.host == name:
                if unnoticed:
                    copy.done = lambda *_: None
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
        """Put a command into the inbox, while somebody may look into it."""
        if self.over:
            return
        try:
            self.orders[module.Inbox(self.logs, Somebody(self, host)).drop(command)] = command
        except OSError:
            pass

    # The run

    def reattach(self, host, takeover=False):
        """Start a process with a Session in it."""
        def work(actor):
            session = actor.session = module.Session(self.logs.path, takeover=takeover)
            with contextlib.suppress(Crash):
                session._work()
            actor.rest = session.left()
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
        if 'endless' in self.kinds:
            self.cancel_all()
        if 'dead' in self.kinds:
            self.at(100, self.cancel_dead)
        self.finish()

    def cancel_all(self):
        """Cancel what runs while the scheduler does not answer: it must have ended some time after that does."""
        def shall_end():
            ledger = self.ledger()
            return {'{job}.{attempt}'.format(**ledger.live[number]) for number in ledger.cancelled}

        def unseen(word):    # it has ended, and only its words are still on their way, while its worker goes on
            return self.seen.get(word + '.end', ('', 0))[1] > self.now - self.SOON

        def check(words):
            words = {word for word in words & shall_end() if not self.truth['forgotten', word] and not unseen(word)}
            if words:
                raise Broken('{} should have been cancelled long ago'.format(sorted(words)))

        self.window(self.cluster, 'down', [60])
        self.drop(self.hosts[0], {'do': 'cancel', 'statuses': [module.RUNNING]})
        self.truth['cancel'] += 1
        self.at(self.SOON, lambda: self.at(self.SOON, lambda words=shall_end(): check(words)))

    def cancel_dead(self):
        """Cancel all that was submitted: nothing else ends what was on dead nodes."""
        self.truth['cancel'] += 1
        self.drop(self.hosts[0], {'do': 'cancel', 'statuses': [module.PENDING, module.RUNNING, module.OTHER]})

    def finish(self):
        """See it through to its end."""
        living = self.living()
        if self.ledger().settings.get('halted'):    # commands of several hosts come in the order of their clocks
            self.drop(self.hosts[0], {'do': 'resume'})
        if not living:
            ledger = self.ledger()
            late = self.late_words(ledger)
            waiting = ledger.left() or ledger.unsaved or os.listdir(os.path.join(self.logs.qmap, 'inbox'))
            if waiting or late and max(late) <= self.now:
                self.reattach(self.hosts[0])
            elif not late and not any(copy.alive for copies in self.copies.values() for copy in copies):
                self.over = True
                return
        self.at(20, self.finish)

    def late_words(self, ledger):
        """Return when the words of attempts that were judged without them can be seen."""
        unheard = ['{job}.{attempt}.end'.format(**record) for record in map(ledger.record, range(ledger.count))
                   if record.get('unheard')]
        unheard = [name for name in unheard if name in self.whole]
        return [self.seen[name][1] for name in unheard if os.path.exists(os.path.join(self.logs.run, name))]

    def ledger(self):
        ledger = module.Ledger(self.logs, self.jobs, self.group, totals=module.UsageTotals(1, other=lambda record: 1))
        ledger.load()
        return ledger

    def run(self):
        """Live through it, and check what came of it."""
        self.prepare()
        self.reattach(self.random.choice(self.hosts))
        self.people()
        self.troubles()
        self.at(self.calm_at, self.quiet)
        while self.events:
            self.now, _, what = heapq.heappop(self.events)
            if self.now > self.calm_at + self.LAST:
                raise Broken('it does not end: {}'.format(dict(zip(module.STATUSES, self.ledger().counts))))
            what()
            for actor in self.actors:
                if actor.error:
                    raise actor.error
        self.check()

    def prepare(self):
        path = os.path.join(self.folder, 'a.map')
        self.put(path, 'true{}\n'.format(' ## time=01:00:00' if self.limited else '') * self.jobs)
        self.logs = module.Logs(os.path.join(self.folder, 'out'))
        self.logs.create()
        shutil.copyfile(path, self.logs.input)
        module.write_json.real(self.logs.execution, {
            'version': module.__version__, 'map': path, 'name': 'a', 'profile': 'simulated', 'executor': 'local',
            'settings': {'show_usage': self.random.choice(['no', 'no', 'no', 'yes'])},
            'params': dict({'working_directory': self.folder}, **{'time': '02:00:00'} if self.limited else {}),
            'map_params': {}, 'repeat': [],
            'max_running': self.random.randint(1, 4), 'group': self.group, 'pull': self.pull, 'token': '0000',
            'logs': self.logs.path, 'created_seconds': 0})

    def check(self):
        """The rules for what comes of it; those that hold at each step are further below."""
        ledger = self.ledger()
        if ledger.left() or ledger.live:
            raise Broken('not all have ended: {}'.format(ledger.counts))
        for number in range(ledger.count):
            self.check_job(ledger, number)
        self.check_sums(ledger)
        for word, count in self.ran.items():
            if count > 1:
                raise Broken('{} ran {} times'.format(word, count))
        forgotten = set(self.orders) - set(ledger.obeyed)
        if forgotten:
            raise Broken('nobody obeyed {}'.format([self.orders[id] for id in forgotten]))

    def check_job(self, ledger, number):
        """Check the last record of a job, and its .info."""
        record = ledger.record(number)
        word = '{}.{}'.format(record['job'], record['attempt'])
        if record.get('error') == 'cancelled before it was submitted':
            if not self.truth['cancel']:
                raise Broken('{} was dropped, and nobody asked for it'.format(word))
            return
        if self.exits.get(word) == 0 and (word in self.verdicts or word in self.cancelled):
            self.check_verdict(word, record)
        elif self.exits.get(word) == 0 and word in self.signalled:
            self.check_obedient(word, record)
        elif record['status'] == 'COMPLETED' or self.exits.get(word) == 0:
            if (record['status'], self.exits.get(word)) != ('COMPLETED', 0):
                raise Broken('{} is {} ({}), but ended with {}'.format(
                    word, record['status'], record['error_reason'], self.exits.get(word)))
        else:
            self.cause(word, record)
        interrupted = [attempt.get('error_reason') in module.INTERRUPTED
                       for attempt in [record] + ledger.earlier(number)]
        if interrupted[0] and record.get('started') and sum(interrupted) <= module.RERUNS and not self.truth['cancel']:
            raise Broken('{} was interrupted, and does not run again'.format(word))
        # Where words come late, it may have been judged without them.
        for attempt in ledger.earlier(number) if not self.kinds & {'late', 'tardy'} else ():
            former = '{job}.{attempt}'.format(**attempt)
            if attempt.get('alone') and self.exits.get(former) in range(256) and former not in self.signalled:
                raise Broken('{} ended by itself, and runs once more as if its worker had been cut off'.format(former))
        if record['attempt'] > 1 + len(ledger.earlier(number)):
            raise Broken('{} is a new attempt, and nobody asked for it'.format(word))
        info = module.read_json.real(os.path.join(self.logs.path, record['job'] + '.info'))
        if info is None and any(self.boots.values()) or 'suspend' in self.kinds:
            return    # lost with a machine's power, or written by a driver that was overtaken; the journal has it
        if not info or (info['status'], info['retries']) != (record['status'], max(0, record['attempt'] - 1)):
            raise Broken('{}: its .info says {}'.format(word, info))
        if record.get('started'):
            self.check_script(ledger, number, record)

    def check_script(self, ledger, number, record):
        """Check that the script of a job's last attempt, as map and journal tell it, is the one that was written."""
        path = os.path.join(self.logs.path, record['job'] + '.sh')
        with open(path) as source:
            text = source.read()
        # That of a retry which was taken back may have been written.
        is_its = 'export QMAP_ATTEMPT={attempt}\n'.format(**record) in text
        if is_its and text != module.Plan(self.logs).script_of(ledger, number):
            raise Broken('{job}.{attempt} ran another script than its parameters make'.format(**record))

    def check_obedient(self, word, record):
        """Check the record of an attempt that the scheduler told to end, and that ended with 0: it was cut short, where
        nothing kept the scheduler from saying so."""
        clear = not self.bare and self.kinds <= {
            'limit', 'polite', 'trap', 'torn', 'clock', 'narrow', 'control', 'runner', 'twice', 'launch', 'over time'}
        if record['status'] == 'FAILED':
            self.cause(word, record)
        elif clear and self.truth['time', word]:
            raise Broken('{} was told to end at its time limit, did so with 0, and is COMPLETED'.format(word))

    def check_verdict(self, word, record):
        """Check the record of an attempt that was told to end, and ended with 0: which of the two was first counts,
        where all clocks agree on that."""
        if record.get('error_reason') not in (None, 'time', 'cancelled'):
            raise Broken('{} ended with 0, and is FAILED ({})'.format(word, record['error_reason']))
        if word not in self.verdicts:
            return    # it was wanted, and nobody came to do it
        told, ended = self.verdicts[word], self.ends[word]
        later = [end > since for end, since in zip(ended, told[:2])]
        sooner = [end < since for end, since in zip(ended, told[:2])]
        reasons = {told[2], 'cancelled' if word in self.cancelled else told[2]}
        if word in self.signalled and self.truth['time', word]:
            reasons.add('time')
        if all(later) and (record['status'] != 'FAILED' or record['error_reason'] not in reasons):
            raise Broken('{} was told to end ({}), did so with 0, and is {} ({})'.format(
                word, told[2], record['status'], record.get('error_reason')))
        if all(sooner) and record['status'] != 'COMPLETED' and word not in self.signalled:
            raise Broken('{} is FAILED ({}), but had ended with 0 when it was told to end'.format(
                word, record['error_reason']))

    def check_sums(self, ledger):
        """Check what is counted over all jobs."""
        statuses, figures = collections.Counter(), module.UsageTotals(1, other=lambda record: 1)
        for number in range(ledger.count):
            record = ledger.record(number)
            statuses[record['status']] += 1
            for attempt in [record] + ledger.earlier(number):
                figures.add(attempt)
        if [statuses[status] for status in module.STATUSES] != ledger.counts:
            raise Broken('the counts are wrong: {}'.format(ledger.counts))
        for kept, right in ((ledger.totals.requested, figures.requested), (ledger.totals.used, figures.used)):
            if abs(kept - right) > 0.001:
                raise Broken('{} core-seconds are {} by the records'.format(kept, right))
        if +ledger.totals.hosts != +figures.hosts:
            raise Broken('{} are {} by the records'.format(ledger.totals.hosts, figures.hosts))

    def cause(self, word, record):
        """Check that a failure has a cause that happened."""
        reason, code = record['error_reason'], self.exits.get(word)
        known = code in range(256)    # an exit status; not None, nor what a runner says that lost it
        was_ended = code or self.truth['killed', word] or word in self.signalled
        if reason == 'cancelled' and 'lie' in self.kinds and was_ended:
            return    # it did fail; that of all things the queue is wrong about why cannot be known
        killed = self.truth['killed', word]
        happened = {
            'exit': known and code, 'signal': code in (137, 143) or killed or word in self.exits and not known,
            'cancelled': self.truth['cancel'] or self.truth['cancelled', word] or self.truth['launch', word],
            'submit': self.truth['refused', word] or self.truth['never', word] or self.truth['never'],
            'memory': killed, 'time': self.truth['time', word] or 'clock' in self.kinds,    # which may have jumped
            'node': killed or self.truth['node', word], 'preempted': killed or self.truth['preempted', word],
            'lost': killed or word in self.exits and not known or not self.ran[word] and (
                self.submitted[word] >= 4 or self.truth['launch', word] >= 4)}
        if not happened[reason]:
            raise Broken('{} is FAILED for {}, which did not happen: {}'.format(word, reason, record))
        if (reason == 'exit' or not known) and record.get('exit_code') != (code if known else None):
            raise Broken('{} has exit code {}, not {}'.format(word, record.get('exit_code'), code))


class Somebody:
    """Host, for a person who drops a command."""

    def __init__(self, world, host):
        self.host, self.pid, self._world = host, 1, world

    def time(self):
        return self._world.clock_of(self.host)


# ---- between the module and the system

WORLD = None
REAL = {name: getattr(module, name) for name in (
    'write_json', 'write_bytes', 'write_text', 'remove_file', 'read_json', 'read_end', 'Journal', 'Lock', 'Inbox',
    'Driver', 'Lease', 'Steering', 'Pools', 'Asker', 'Submitter', 'Recall', 'Copies', 'Queue', 'Reports', 'Scribe',
    'load_backend', 'Host', 'bring_to_disk', 'selected_jobs')}
METHODS = [(module.Logs, 'listing'), (module.Ledger, 'load'), (module.Ledger, 'compact'), (module.Ledger, 'verify'),
           (module.Admission, 'beats_elsewhere'), (module.Unended, 'correct'), (module.Attempts, 'claim'),
           (module.Plan, 'script_of')]
REAL.update({method: getattr(*method) for method in METHODS})
REAL['returned'] = module.EVENTS['returned']


class Journal(REAL['Journal']):
    """The segment of a process, of which the machine may lose what was not brought to the disk."""

    all = []

    def __init__(self, path, opening):
        WORLD.step('journal')
        self.path, self.host, self.synced = path, WORLD.actor.host, 0
        super().__init__(path, opening)
        self.all[:] = [other for other in self.all if other.path != path] + [self]    # one that came to nothing is gone
        WORLD.beats[int(path.rpartition('.')[2])] = WORLD.now
        WORLD.actor.fresh = True

    def write(self, events):
        WORLD.step('events')
        size = self.size
        try:
            places = super().write(events)
            self.check_places(events, places)
            return places
        except OSError:
            if WORLD.plant == 'torn':
                os.write(self._handle, b'{"event":"run","jo')
                self._torn, self.size = False, os.path.getsize(self.path)
            raise
        finally:
            for event in events if self.size > size else ():
                if event['event'] == 'batch':
                    WORLD.last_batch = json.dumps(event['tasks'])
                    WORLD.submitted.update(event['tasks'])
            for event in self.lines_from(size):
                WORLD.short = WORLD.short or event.get('event') == 'set' and 'pull' in event
                if event.get('event') == 'returned':    # the same attempt comes again
                    for word in event['tasks']:
                        WORLD.verdicts.pop(word, None)
                        WORLD.cancelled.discard(word)

    def lines_from(self, place):
        """Yield the events that stand in the file from a byte on, as whole lines: who is killed while it writes may
        have written some."""
        with open('/proc/self/fd/{}'.format(self._handle), 'rb') as source:
            source.seek(place)
            for line in source.read().split(b'\n')[:-1]:
                try:
                    yield json.loads(line.decode())
                except ValueError:    # torn
                    pass

    def check_places(self, events, places):
        """Rule: each event stands where it is said to stand."""
        if WORLD.plant == 'place' and len(places) > 1:
            places[-1] -= 1
        with open('/proc/self/fd/{}'.format(self._handle), 'rb') as source:
            for event, place in zip(events, places):
                source.seek(place)
                if json.loads(source.readline().decode()) != json.loads(json.dumps(event)):
                    raise Broken('{} does not stand at byte {} of {}'.format(event, place, self.path))

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

    def unsynced(self):
        """Tell whether some of it may not be on the disk."""
        return self.synced is not None and self.synced < self.size

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
    if path == WORLD.logs.driver:
        WORLD.beats[value['epoch']] = WORLD.now
    WORLD.step('written')


def write_bytes(path, flags, data):
    """Write a file; an .info that is made may be torn, by a crash or a full disk."""
    if not path.endswith('.info'):
        return REAL['write_bytes'](path, flags, data)
    WORLD.step('write')
    WORLD.say('makes {}', os.path.basename(path))
    if os.path.exists(path) and WORLD.plant == 'whole':
        return None
    torn = WORLD.fault('torn', 0.05)
    REAL['write_bytes'](path, flags, data[:WORLD.random.randrange(len(data))] if torn else data)
    if torn and WORLD.fault('crash', 0.5):
        WORLD.actor.dead = True
        raise Crash()
    if torn:
        raise OSError(errno.ENOSPC, 'No space left on device')
    return WORLD.step('written')


def write_text(path, text):
    WORLD.step('write')
    REAL['write_text'](path, text)


def remove_file(path):
    try:
        WORLD.step('remove')
        REAL['remove_file'](path)
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
    driver = WORLD.actor and WORLD.actor.driver
    if hidden(path) or WORLD.plant == 'deaf' and driver and driver.judging is not None:
        return None
    end = REAL['read_end'](path)
    if end is None and WORLD.plant == 'empty' and os.path.exists(path):
        return {'exit_code': 0, 'time': 0}
    if end and WORLD.plant == 'status' and end.get('exit_code') not in range(256):
        end['exit_code'] = 255
    if end and WORLD.plant == 'obedient':
        end.pop('signal', None)
    return end


def listing(logs):
    WORLD.step('list')
    WORLD.actor.looked = WORLD.now
    blind = WORLD.plant == 'begun' and WORLD.actor.driver and WORLD.actor.driver.returning
    return sorted(name for name in REAL[module.Logs, 'listing'](logs) if WORLD.visible(WORLD.actor.host, name)
                  and not (blind and name.endswith('.start')))


def beats_elsewhere(admission, driver):
    """Rule: a driver on another host is taken for dead only after a long silence."""
    beats = REAL[module.Admission, 'beats_elsewhere'](admission, driver)
    if WORLD.plant == 'beat':
        beats = admission._host.monotonic() - admission._foreign[1] < 60
    since = WORLD.now - WORLD.beats.get(driver['epoch'], float('-inf'))
    if not beats and since < module.Beat.SILENCE - 1:
        raise Broken('the driver of segment {}, which beat {} s ago, is taken for dead'.format(driver['epoch'], since))
    return beats


class Inbox(REAL['Inbox']):
    """What others tell the driver."""

    def waiting(self, *args):
        found = super().waiting(*args)
        if WORLD.plant == 'inbox' and WORLD.actor.driver:
            for id, _ in found:
                module.remove_file(self._path(id))
        return found

    def remove(self, id):
        """Rule: an order is taken away only when it stands in the journal for sure."""
        driver = WORLD.actor.driver
        if id not in driver.ledger.obeyed or WORLD.plant != 'fsync' and driver.lease.unsynced():
            raise Broken('the order {} is taken away before it is sure to be in the journal'.format(id))
        super().remove(id)


class Lease(REAL['Lease']):
    """The right to drive, with the rules of the driver about what is written."""

    def __init__(self, *args):
        super().__init__(*args)
        self.written = collections.deque(maxlen=50)    # the last events, and as what they were written

    def write(self, events):
        """Rule: what was written is not changed afterwards."""
        driver = WORLD.actor.driver
        for event, text in self.written:
            if json.dumps(event) != text:
                raise Broken('{} was written, and is {} now'.format(text, event))
        self.written.extend((event, json.dumps(event)) for event in events)
        for event in events:
            check = getattr(driver, 'before_' + event['event'], None)
            if check:
                check(event, events)
        written = self.unwritten + list(events)
        super().write(events)
        for event in written:
            check = getattr(driver, 'after_' + event['event'], None)
            if check:
                check(event)

    def check_epoch(self):
        WORLD.step('check')
        if WORLD.plant != 'check':
            super().check_epoch()
        WORLD.step('checked')

    def unsynced(self):
        """Tell whether some of what was written may not be on the disk."""
        return self._journal.unsynced()


class Driver(REAL['Driver']):
    """The driver, with rules that hold at each step, and with bugs planted."""

    LOOK = 3

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        WORLD.actor.driver = self
        self.began = 0    # to look at everything, last
        self.judging = None    # since when it judges what is gone
        self.blind = self.returning = False    # whether the accounts have not answered; whether it takes a batch back
        self.causes, self.cancelled_at = 1, 0    # reasons to tell the scheduler what to end; when that was done last

    def lead(self, *args, **options):
        leads = super().lead(*args, **options)
        if leads:    # others may have died while they wrote what is cancelled
            self.after_cancel(None)
        return leads

    # What is written

    def before_batch(self, event, events):
        """Rules: nothing is submitted while it is halted; where nobody asked for workers, there are some only once the
        journal says so, and from then on they run all that they can."""
        if self.ledger.settings.get('halted'):
            raise Broken('batch {} is submitted, and all is paused'.format(event['batch']))
        if WORLD.pull is None and 'crew' in event and not WORLD.short:
            raise Broken('there are workers, and the journal does not say why')
        if WORLD.pull is None and 'crew' not in event and self.ledger.settings.get('pull'):
            params = module.change_params(self.plan.params, self.ledger.settings.get('params'))
            for number in [self.ledger.number(module.split_key(key)[0]) for key in event['tasks']]:
                earlier = self.ledger.earlier(number)
                fits = module.worker_can_run(self.submitter.job_params(number)[0], params)
                if fits and not (earlier and earlier[-1].get('alone')):
                    raise Broken('job {} has a task of its own, and workers run the others'.format(number))

    def after_batch(self, event):
        """Rule: no more is submitted than may run."""
        if event.get('crew', event['batch']) != event['batch']:
            return    # for workers that are there
        alone = sum('crew' not in self.ledger.batch_of(record) for record in self.ledger.live.values())
        workers = self.pools.at_work() + event.get('workers', 0)
        if alone + workers > self.max_running:
            raise Broken('{} jobs and {} workers where {} may run'.format(alone, workers, self.max_running))

    def before_run(self, event, events):
        """Rule: what has begun does not wait."""
        if event['status'] == 'PENDING' and self.attempts.has_begun(module.key_of(event)):
            raise Broken('{}.{} had begun, and is PENDING'.format(event['job'], event['attempt']))

    def before_end(self, event, events):
        """Rule: what is cancelled before it ran was claimed, so that nobody runs it."""
        path = self.attempts.status_path(event, '.start')
        live = self.ledger.number(event['job']) in self.ledger.live    # else it tells once more how it ended
        if live and event.get('error') == 'cancelled before it ran' and not os.path.exists(path):
            raise Broken('{} is not claimed, and cancelled'.format(path))

    def before_retry(self, event, events):
        """Rule: what runs again by itself was interrupted, not too often, or its worker ended, once; and nobody has
        cancelled it."""
        if any(other['event'] == 'command' for other in events):
            return
        for number in module.retried_numbers(event):
            ends = [other for other in events if other['event'] == 'end' and self.ledger.number(other['job']) == number]
            record, earlier = (ends or [self.ledger.record(number)])[0], self.ledger.earlier(number)
            word = module.key_of(record)
            if record.get('alone') and number not in self.ledger.cancelled:
                if earlier and earlier[-1].get('alone') or not isinstance(WORLD.copies[word][0], Worker):
                    raise Broken('{} had a task of its own, and runs again'.format(word))
                continue
            if record.get('error_reason') not in module.INTERRUPTED or number in self.ledger.cancelled:
                raise Broken('{} runs again, and was not interrupted'.format(module.key_of(record)))
            if sum(attempt.get('error_reason') in module.INTERRUPTED for attempt in earlier) >= module.RERUNS:
                raise Broken('{} was interrupted too often, and runs again'.format(module.key_of(record)))

    def after_cancel(self, event):
        WORLD.cancelled.update(map(module.key_of, map(self.ledger.live.get, self.ledger.cancelled)))

    def after_submitted(self, event):
        self.causes += bool(event['id'])

    def before_command(self, event, events):
        """Rule: an order does what it says to the jobs that it names, and nothing else."""
        self.causes += 1
        found, right = effects_of(events), self.effects_of_order(WORLD.orders[event['command']])
        if found != right:
            raise Broken('the order {} does {}, and not {}'.format(WORLD.orders[event['command']], found, right))

    def after_command(self, event):
        """Rule: and then it is so."""
        right, ledger = effects_of(self.last_events), self.ledger
        for key in ('halted', 'max_running', 'params'):
            if key in right and ledger.settings.get(key) != right[key]:
                raise Broken('{} is {}, and not {}'.format(key, ledger.settings.get(key), right[key]))
        for key, statuses in (('dropped', ['FAILED']), ('retry', ['UNSUBMITTED']), ('end', ['COMPLETED', 'FAILED'])):
            for number in right.get(key, ()):
                status = module.STATUSES[ledger.status[number]]
                if status not in statuses:
                    raise Broken('job {} was {}, and is {}'.format(number, key, status))
        if not right.get('cancel', set()) <= set(ledger.cancelled):
            raise Broken('{} are not cancelled'.format(right['cancel'] - set(ledger.cancelled)))

    def effects_of_order(self, order):
        """Return what an order must come to, as `effects_of` tells it."""
        do, ledger, settings = order['do'], self.ledger, self.ledger.settings
        if do in ('pause', 'resume'):
            return {'halted': do == 'pause'}
        if do == 'max-running':
            return {'max_running': order['number']}
        if do == 'set':
            return {'params': dict(settings.get('params') or {}, **order['params'])}
        unnamed = do == 'retry' and not order.get('statuses') and not order.get('ids')
        statuses = ['FAILED'] if unnamed else order.get('statuses') or module.STATUSES
        ids = order.get('ids') or [[0, ledger.commands]]
        named = [number for number in range(ledger.count) if module.STATUSES[ledger.status[number]] in statuses
                 and any(first <= number * ledger.group <= last for first, last in ids)]
        if unnamed:    # who cancels jobs does not want them again by the way
            named = [number for number in named if ledger.record(number).get('error_reason') != 'cancelled']
        live = {number for number in named if number in ledger.live}
        if do == 'stop':
            right = {'cancel': live if order.get('cancel') else set()}
        elif do == 'cancel':
            waiting = {number for number in named if not ledger.status[number]}
            back = set(filter(ledger.before_retry, waiting))
            right = {'cancel': live, 'dropped': waiting - back, 'end': back}
        else:
            right = {'retry': {number for number in named if number not in live and ledger.status[number]}}
            if order.get('params') and right['retry']:
                right['retry params'] = order['params']
        return {key: value for key, value in right.items() if value}

    # What is done

    def tick(self):
        self.began = WORLD.now
        super().tick()

    def set(self, **settings):
        if WORLD.plant == 'decided' and 'pull' in settings:
            self.ledger.settings.update(settings)
        else:
            super().set(**settings)

    @property
    def halted(self):
        return super().halted and WORLD.plant != 'pause'

    def _complain(self, error):
        super()._complain(error)
        self.backend.hush = {}    # when it submits again is decided anew


class Steering(REAL['Steering']):
    """What is ordered and cancelled."""

    def _answer(self, order):
        reply = super()._answer(order)
        if WORLD.plant == 'nothing' and order['do'] == 'set':
            reply = reply._replace(events=[])
        if WORLD.plant == 'former' and order['do'] == 'cancel':
            reply = reply._replace(events=[dict(event, status='COMPLETED') if event['event'] == 'end' else event
                                           for event in reply.events])
        self.driver.last_events = reply.events
        return reply

    def tell_backend(self):
        """Rule: the scheduler is told again only after a while, or for a reason."""
        driver = self.driver
        if not driver.causes and WORLD.now - driver.cancelled_at < 55:
            raise Broken('what is cancelled is told again after {} s'.format(WORLD.now - driver.cancelled_at))
        told = {module.key_of(self.ledger.live[number]): since for number, since in self.ledger.cancelled.items()}
        began = WORLD.now    # it may be suspended meanwhile
        super().tell_backend()
        driver.causes, driver.cancelled_at = 0, began
        for word, since in told.items():
            WORLD.verdicts.setdefault(word, (WORLD.now, since, 'cancelled'))
        if WORLD.plant == 'forgets':
            self.cancel_due = float('inf')

    def cancel(self, numbers):
        self.driver.causes += 1
        super().cancel(numbers)


class Pools(REAL['Pools']):
    """The workers that take jobs from lists."""

    @property
    def size(self):
        returned = any(self.ledger.attempts[number] for number in self.ledger.following(1))
        return 0 if WORLD.plant == 'wavering' and WORLD.pull is None and returned else super().size

    def claim(self, record):
        return WORLD.plant == 'unclaimed' or super().claim(record)

    def cut_off(self, *args):
        return WORLD.plant != 'cut' and super().cut_off(*args)

    def ended_alone(self, *args):
        return WORLD.plant != 'whose' and super().ended_alone(*args)


class Asker(REAL['Asker']):
    """What is asked beside the work of the driver: of some questions the answer takes long, and then it is that of
    the time when they were asked, or that of its end."""

    def ask(self, kind, about, function, *arguments):
        self.kind = kind
        super().ask(kind, about, function, *arguments)

    def _put(self, question):
        world, kind = WORLD, self.kind
        question.since = world.now
        if kind == 'submit':
            self.check_nodes()
        if not world.fault('slow', 0.3):
            return self.put(kind, question)
        seconds, early = world.random.choice([5, 30, 100]), world.random.random() < 0.5
        world.say('the answer to {} takes {} s', kind, seconds)
        if kind == 'submit' and not early:    # it has read the script by then
            function, (script, *others) = question._call
            copy = os.path.join(world.folder, 'slow{}'.format(len(os.listdir(world.folder))), os.path.basename(script))
            os.mkdir(os.path.dirname(copy))
            shutil.copyfile(script, copy)
            question._call = function, (copy, *others)
        if early or kind == 'load':
            self.put(kind, question)
            question.answered = False
            world.at(seconds, lambda: setattr(question, 'answered', True))
        else:
            world.at(seconds, lambda: self.put(kind, question))

    def check_nodes(self):
        """Rule: nothing is submitted to a node of which the journal says that nothing begins there."""
        avoided = {node for node, (since, _, _) in self.ledger.settings.get('avoided', {}).items()
                   if abs(self.here.time() - since) < 3600}
        if avoided != set(() if WORLD.plant == 'hole' else self.backend.avoided):
            raise Broken('submitted to {}, where nothing begins'.format(' '.join(avoided)))

    def put(self, kind, question):
        """Ask, now."""
        if kind == 'submit':
            WORLD.last_batch = json.dumps(question.about[0]['tasks'])
        question.put(self.backend)
        if isinstance(question.error, (Crash, Broken)):
            raise question.error

    def take(self, kind):
        question = super().take(kind)
        if question and WORLD.plant == 'stale' and kind == 'poll':
            question.about = self.driver.queue._known_ids()
        return question


class Submitter(REAL['Submitter']):
    """What is handed over."""

    def room(self):
        return super().room() + (WORLD.plant == 'more')

    def submit_batch(self, *args, **options):
        more = super().submit_batch(*args, **options)
        if WORLD.plant == 'hush':
            self.forget_failures()
        return more or WORLD.plant == 'hush'

    def take_answer(self):
        more = super().take_answer()
        if WORLD.plant == 'hush':
            self.forget_failures()
        return more

    def forget_failures(self):
        for timer in [self.timer, self.demands._untaken] + [
                demand.timer for demand in self.demands._by_params.values()]:
            timer.due = 0

    def largest(self, demand):
        return self._array_limit if WORLD.plant == 'half' else super().largest(demand)


class Recall(REAL['Recall']):
    """What is taken back."""

    def forget_id(self, batch, id):
        """Rule: one submission has an id, and of those that had it before only what has begun counts."""
        others = [other for other in self.ledger.batches.values() if other.get('id') == id and other['batch'] != batch]
        if WORLD.plant != 'again':
            super().forget_id(batch, id)
        for other in others:
            for record in self.ledger.live.values():
                name = '{}.{}.start'.format(record['job'], record['attempt'])
                if record['batch'] == other['batch'] and (
                        other['id'] == id or WORLD.known_since(self.here.host, name, WORLD.there) > WORLD.now):
                    raise Broken('{} still waits under the id {}, which is given again'.format(name, id))

    def return_batch(self, batch):
        """Rule: a submission counts as not made only where the scheduler has said so."""
        answer = WORLD.answers.get(batch['name'])
        if self.lease._epoch < max(self.logs.epochs()):
            pass    # it was overtaken: what it writes counts for nothing, and the answer may be that to another
        elif batch.get('id') is None and answer not in ('', 'busy', 'unclear', 'refused'):
            raise Broken('{} is taken back, of which the scheduler said: {}'.format(batch['name'], answer))
        if self.driver.asker.batch_under_way() == batch['batch']:
            raise Broken('{} is taken back while it is being submitted'.format(batch['name']))
        self.driver.returning = True
        super().return_batch(batch)
        self.driver.returning = False

    def may_rerun(self, number, event):
        if WORLD.plant == 'reruns':
            return event.get('error_reason') in module.INTERRUPTED
        return WORLD.plant != 'rerun' and super().may_rerun(number, event)

    def _names_to_find(self):
        if WORLD.plant != 'flight':
            return super()._names_to_find()
        return {number: batch['name'] for number, batch in self.ledger.batches.items() if batch.get('id') is None}

    def unsubmit(self, keys):
        """Rule: an attempt that can be seen to have begun is not taken back, nor one that somebody took out of
        the queue."""
        if WORLD.dropped.intersection((self.driver, key) for key in keys):
            raise Broken('{} was taken out of the queue, and is taken back'.format(sorted(keys)))
        for word in keys:
            if WORLD.known_since(self.here.host, word + '.start', WORLD.there) < WORLD.actor.looked:
                raise Broken('{} is taken back, and has begun'.format(word))
        super().unsubmit(keys)


class Queue(REAL['Queue']):
    """What is believed of the scheduler."""

    def _see(self, number, record, answer, now):
        """Rule: an answer says nothing of what was submitted after it was asked."""
        job = WORLD.cluster.jobs.get(self.ledger.batch_of(record).get('id'))
        if self.question and job and job['since'] > self.question.since:
            raise Broken('{} was submitted after the queue was asked for it'.format(module.key_of(record)))
        waited, task = set(self._waited), self.driver.attempts.task(record)
        events = super()._see(number, record, answer, now)
        attempt = self.driver.attempts.by_key.get(module.key_of(record))
        if attempt and attempt.dropped and WORLD.plant == 'dropped':
            attempt.dropped = False
        in_cluster = WORLD.cluster.jobs.get(task[0]) if task else None
        is_out = in_cluster and in_cluster['tasks'].get(task[1], {}).get('state') == 'taken out'    # its id comes again
        if is_out and task in waited and task not in answer and {id for id, _ in answer} == {id for id, _ in waited}:
            WORLD.dropped.add((self.driver, module.key_of(record)))
        return events

    def poll(self):
        for record in self.ledger.live.values() if WORLD.plant == 'back' else ():
            if self.here.monotonic() >= self.timer.due and 'started' in record:
                record['began'] = record.pop('started')
        self.question = self.driver.asker.under_way('poll')
        super().poll()
        for record in self.ledger.live.values() if WORLD.plant == 'back' else ():
            if 'began' in record:
                record['started'] = record.pop('began')

    def _judge(self, tasks, accounts, *args):
        driver = self.driver
        driver.judging, driver.blind = WORLD.now, accounts is None
        for number in tasks if WORLD.plant == 'trace' else ():
            driver.attempts.tries[number] = 3
        super()._judge(tasks, {} if driver.blind and WORLD.plant == 'judge' else accounts, *args)
        driver.judging = None


class Copies(REAL['Copies']):
    """What other submissions run."""

    def may_run(self, *args):
        return WORLD.plant != 'copy' and super().may_run(*args)


class Reports(REAL['Reports']):
    """What is believed of the jobs."""

    def _verdict(self, number, record, end):
        if WORLD.plant == 'verdict' and end and end['exit_code'] == 0:
            return None
        return super()._verdict(number, record, end)

    def ended(self, record, end, *args):
        """Rules: nothing is called ended without its own words while these can be seen, while a copy of it runs that
        the scheduler has, or because the scheduler did not answer. Of what was told to end the scheduler is asked."""
        driver, word = self.driver, module.key_of(record)
        if not end and driver.judging is not None:
            if driver.blind:
                raise Broken('{} has ended, says a scheduler that does not answer'.format(word))
            if WORLD.known_since(self.here.host, word + '.end', WORLD.whole) < driver.judging:
                raise Broken('{} has said how it ended, and is judged without that'.format(word))
            if self.here_runs(word):
                raise Broken('{} has ended, and a copy of it runs'.format(word))
        event = super().ended(record, end, *args)
        if word in WORLD.signalled and event['status'] == 'COMPLETED' and not args and not os.path.exists(
                os.path.join(WORLD.logs.run, word + '.why')):
            raise Broken('{} was told to end, did so with 0, and nobody asks why'.format(word))
        by_limit = event.get('error_reason') == 'time' and not os.path.exists(
            os.path.join(WORLD.logs.run, word + '.why'))
        if by_limit and 'crew' in self.ledger.batch_of(record) and not event.get('rerun'):
            raise Broken('{} has failed because its worker had no time left'.format(word))
        return event

    def here_runs(self, word):
        """Tell whether it can be seen that an attempt runs, and the scheduler can be asked for it."""
        seen = WORLD.known_since(self.here.host, word + '.start', WORLD.whole) < self.driver.judging
        return seen and not WORLD.kinds & {'lie', 'forget'} and any(
            copy.running and copy.known and copy.word == word for copy in WORLD.copies[word])

    def _correct(self, number, key):
        if WORLD.plant not in ('lie', 'late'):
            super()._correct(number, key)


class Scribe(REAL['Scribe']):
    """What is written for each job, and what is removed."""

    def flush(self):
        if WORLD.plant == 'early':
            self.lease.write([{'event': 'saved'}])
        super().flush()

    def _clean(self):
        if WORLD.plant != 'claims':
            return super()._clean()
        closed = self.driver.attempts.closed
        for name in self.logs.listing():
            if name.rpartition('.')[0] in closed:
                module.remove_file(os.path.join(self.logs.run, name))
        closed.clear()
        self.needs_cleaning = False


def effects_of(events):
    """Return what the events of an order change: settings, and sets of jobs."""
    found = {}
    for event in events:
        if event['event'] == 'set':
            found.update((key, value) for key, value in event.items() if key not in ('event', 'time'))
        elif event['event'] in ('cancel', 'dropped', 'retry'):
            found[event['event']] = {number for first, last in event['numbers'] for number in range(first, last + 1)}
            if event.get('params'):
                found['retry params'] = event['params']
        elif event['event'] == 'end':    # of a retry that was taken back
            found.setdefault('end', set()).add(int(event['job']) // WORLD.group)
    return found


def selected_jobs(ledger, order):
    numbers = REAL['selected_jobs'](ledger, order)
    if WORLD.plant == 'next' and order['do'] == 'cancel':
        numbers = sorted(set(numbers) | {min(number + 1, ledger.count - 1) for number in numbers})
    return numbers


def load(ledger, heard=None):
    fresh, WORLD_actor = getattr(WORLD.actor, 'fresh', False), WORLD.actor
    if WORLD_actor:
        WORLD_actor.fresh = False
    if not (fresh and WORLD.plant == 'read'):
        REAL[module.Ledger, 'load'](ledger, heard)


def compact(ledger, path, last):
    WORLD.step('compact')
    places = REAL[module.Ledger, 'compact'](ledger, path, last)
    WORLD.step('compacted')
    if WORLD.plant == 'history':    # what is compacted goes before it is in its place
        for epoch in ledger.logs.epochs():
            if epoch <= last:
                os.unlink(ledger.logs.journal(epoch))
    WORLD.step('compacted')
    return places


def same(ledger, other, places):
    equal = REAL[module.Ledger, 'verify'](ledger, other, places)
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


def apply_returned(ledger, event, place):
    REAL['returned'].apply(ledger, event, place)
    if WORLD.plant == 'return':
        for task in event['tasks']:
            ledger.attempts[ledger.number(task.partition('.')[0])] += 1


def script_of(plan, ledger, number, attempt=None):
    if WORLD.plant == 'script':
        params = module.change_params(plan.job_params(number), plan.changes(ledger, number))
        return plan.script(ledger.id(number), attempt or ledger.attempts[number], params)
    return REAL[module.Plan, 'script_of'](plan, ledger, number, attempt)


def correct(unended, answer, now):
    return answer if WORLD.plant == 'unended' else REAL[module.Unended, 'correct'](unended, answer, now)


def claim(attempts, record):
    return WORLD.plant == 'given' or REAL[module.Attempts, 'claim'](attempts, record)


def install():
    """Put the world in its place."""
    write_json.real, read_json.real = REAL['write_json'], REAL['read_json']
    for function in (write_json, write_bytes, write_text, remove_file, read_json, read_end, Journal, Lock, Inbox,
                     Driver, Lease, Steering, Pools, Asker, Submitter, Recall, Copies, Queue,
                     Reports, Scribe, selected_jobs):
        setattr(module, function.__name__, function)
    module.Host = lambda: Host(WORLD.actor)
    module.load_backend = lambda executor, settings=None, wake=None: Simulated(WORLD)
    module.bring_to_disk = bring_to_disk
    module.Logs.listing, module.Admission.beats_elsewhere = listing, beats_elsewhere
    module.Ledger.load, module.Unended.correct, module.Attempts.claim = load, correct, claim
    module.Plan.script_of = script_of
    module.EVENTS['returned'] = REAL['returned']._replace(apply=apply_returned)
    module.Pool.LIST = 4
    module.ShortJobs.FIRST, module.ShortJobs.MANY, module.ShortJobs.PART = 2, 1, 0.5
    module.Ledger.worth_compacting = lambda ledger: WORLD.compacting
    module.Ledger.compact, module.Ledger.verify = compact, same


def simulate(seed, plant='', tell=None):
    """Run one seed, and return what rule it breaks, '' for none."""
    global WORLD
    folder = tempfile.mkdtemp(prefix='qmap-simulation-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
    Journal.all = []
    module.Inbox._count = itertools.count(1)
    world = WORLD = World(seed, folder, plant, tell)
    Simulated.grace = 0 if plant == 'queue' else 90
    Simulated.lingers = plant == 'lie'
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
