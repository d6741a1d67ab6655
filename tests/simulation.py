"""The real driver in a simulated world: time, hosts, the visibility of files and the scheduler come from here, and a
seed decides what goes wrong. After each run the rules of `qmap help reliability` must hold.

    tests/run --simulate 10000          that many seeds, in parallel; prints the first that fails
    ... --simulate 10000 --from 5000 --note    those from 5000 on; if all hold, that is noted in tests/data/held.txt
    python tests/simulation.py --seed 7 one seed, with the story of it
    python tests/simulation.py --plant claim 200    with a bug planted: see PLANTED

Drivers and viewers are the real `qmap.Session`, each in a thread; one runs at a time, and the others stand where
they last waited or touched a file, so that a seed repeats exactly. What they touch is real files; what they see of
those that another host has written is up to a minute old, and ends anywhere. The runners are played: RUNNER in qmap.py
is bash, and `Runner` does the same steps, any of which may be its last. Where this machine runs the jobs, `Machine` is
the real `qmap.Local`, and only what that starts is played.
"""

import argparse
import collections
import contextlib
import errno
import hashlib
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
    ('saved', 'a job that asks to run again does not'),
    ('recount', 'how often a job has asked to run again is forgotten where another drives'),
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
    ('point', 'a line that was torn counts'),
    ('piece', 'a line of which only a piece is seen counts as read'),
    ('offset', 'what a chunk says is read on from one byte too far'),
    ('doubled', 'an end that is said twice, as a full disk tore it, counts twice'),
    ('anew', 'what a chunk said while its jobs were not submitted is not read again when they are'),
    ('alone', 'a job in the middle of a chunk is taken for a chunk of its own'),
    ('cpu', 'what the jobs before it in its chunk used counts for a job as well'),
    ('list', 'a list that is not whole counts'),
    ('driver', 'a chunk that a driver has claimed begins all the same'),
    ('ours', 'the rest of a chunk that a driver has claimed stays where it is'),
    ('onward', 'what is cancelled further on in a chunk begins all the same'),
    ('void', 'that neither a job nor those behind it in its chunk begin is believed of the first one only'),
    ('rest', 'what the worker of a chunk did not come to is forgotten'),
    ('open', 'what a lost worker did not come to is given to others while its list is there'),
    ('unseen', 'what is on a list comes back at once when that is closed, whatever is still to be seen of it'),
    ('moved', 'what a chunk says of a job counts also where that was given back'),
    ('orphan', 'what a runner of this machine ran that was killed goes on beside the next attempt'),
    ('traceless', 'an attempt of which a machine may have lost the trace with its power has the next one\'s name'),
    ('behind', 'what waits behind a long job is given to others while the list of its share is there'),
    ('gpus', 'what a job of an earlier driver has of the GPUs is not known'),
    ('inherited', 'what another machine has begun is not waited for, when its shares are closed'),
    ('throttle', 'this machine runs as many jobs as it can, whatever max-running says'),
    ('stay', 'workers stay where fewer may run'),
    ('all', 'who cancels a job of an array ends all of it'),
    ('repeat', 'an order that was obeyed is obeyed once more where it still lies there'),
    ('order', 'of several orders the newest is obeyed first'),
    ('answer', 'the answer to an order counts one job more than it cancels'),
    ('stop', 'a driver that shall stop, and cancel all, cancels nothing'),
    ('unchanged', 'what a retry changes is written down, and not submitted'),
    ('asks', 'the scheduler is asked for what the map says, whatever was set'),
    ('waits', 'what waits on this machine begins although all is paused'),
    ('usage', 'what the accounts add counts also for a job that runs again'),
    ('timed', 'a job that the queue calls failed by a signal is FAILED for its time'),
    ('host', 'an attempt has the host of the one before'),
    ('done', 'how many commands are done is removed while the end of the job may still be heard'),
    ('frozen', 'who looks again once the journal was compacted sees what was before'),
    ('unread', 'who looks again does not read what was written since'),
    ('polls', 'the queue is asked at each look'),
    ('chatter', 'what the queue says is written down also where it is nothing new'),
    ('limits', 'the scheduler is asked for its limits before each submission'),
    ('load', 'the load is asked for at each look'),
    ('insists', 'the scheduler is told at each look what it shall end'),
    ('litter', 'what the jobs said stays when they are over'),
    ('mute', 'nobody says why nothing goes on'),
    ('leaves', 'a process ends once nothing runs, whatever is left to submit'),
    ('marker', 'the place of an event behind a torn record leaves out what says that it was torn'),
    ('span', 'the last of several jobs is forgotten when they are written as a span'),
    ('overtaken', 'what a driver wrote that was overtaken counts'),
    ('words', 'words are removed before the journal that tells them is on the disk'),
    ('condensed', 'a journal that was compacted tells nothing of earlier attempts'),
    ('silence', 'the beat of a driver does not count on'),
    ('canaries', 'who takes over does not know which jobs come first'),
    ('heedless', 'jobs fail as --halt says, and submitting goes on'),
    ('scared', 'what an execution was halted for halts it again when it is resumed'),
    ('shunned', 'who takes over submits to hosts that were left out'),
    ('linger', 'workers stay on hosts that were left out'),
    ('many', 'all hosts may be left out'),
    ('back', 'a job whose node failed is submitted to that node again'),
    ('drops', 'what is not submitted when an execution halts never runs'),
    ('twin', 'a job that is retried has its attempt once more, and no new one'),
    ('grown', 'who takes over forgets what retried jobs request'),
    ('mends', 'a job is retried without end'),
    ('first', 'a job whose request has grown, and is refused, has failed for that'),
    ('learned', 'what was learned for the jobs that follow is not written down'),
    ('learns', 'nobody learns from what saved others'),
    ('anyhow', 'a job that somebody has cancelled is retried'),
    ('shrunk', 'a journal that was compacted does not know that the map is another'),
    ('former map', 'who looks on keeps the map that was before'),
    ('renumbered', 'commands that a map had have other places in the next one'),
    ('withdrawn', 'what is no longer in the map is submitted all the same'),
    ('proof', 'an attempt that ended with 0 and lacks an output is COMPLETED'),
    ('insisted', 'a job whose outputs are there is skipped also where somebody retries it'),
    ('partly', 'a job of several commands is skipped where the first of them has its output'),
    ('proven', 'a command that lacks its output counts as done in a job of several'),
    ('unsought', 'a driver does not look for the outputs of jobs that are added to the map'),
    ('ahead', 'a new driver does not wait for other executions'),
    ('waited', 'that somebody has ended the waiting for other executions is not written down'),
])

#: What goes wrong in each world in which a bug is looked for: else few of them would have it. `pull`: it has workers;
#: `chunk`: they claim several jobs at once; `local`: it runs on this machine; `group`: its jobs have several commands;
#: `brief`: its queue lists for seconds what has ended; `gpus`: each job has one of three to itself; `proof`, `skip`,
#: `after`: its jobs name outputs, some are there, it waits for another execution.
NEEDS = {
    'saved': {'saves'}, 'recount': {'saves', 'crash', 'takeover'},
    'again': {'forget', 'launch'}, 'alone': {'control', 'pull', 'chunk'},
    'anew': {'late', 'forget', 'launch', 'outage'},
    'begun': {'narrow', 'twice'}, 'behind': {'local'}, 'check': {'crash', 'suspend'}, 'copy': {'hand', 'twice'},
    'deaf': {'accounts', 'slow', 'brief'}, 'doubled': {'disk'}, 'driver': {'control', 'pull', 'chunk'},
    'dropped': {'hand'},
    'early': {'crash'}, 'gpus': {'local', 'crash', 'gpus'}, 'hole': {'hole', 'pull'},
    'inherited': {'local', 'late', 'crash'}, 'late': {'tardy'},
    'lie': {'lie'}, 'list': {'torn', 'pull'}, 'moved': {'pull', 'chunk', 'nap', 'forget'},
    'obedient': {'polite', 'preempt'}, 'onward': {'control', 'pull', 'chunk'},
    'open': {'pull', 'chunk', 'nap', 'forget'}, 'orphan': {'local', 'runner'}, 'ours': {'control', 'pull', 'chunk'},
    'piece': {'late'}, 'point': {'disk'}, 'queue': {'late', 'brief'}, 'read': {'suspend', 'takeover'},
    'rest': {'pull', 'chunk', 'runner'}, 'script': {'control'}, 'stale': {'poll'},
    'traceless': {'local', 'machine'}, 'unended': {'control', 'dead', 'node'},
    'unseen': {'late', 'pull', 'chunk', 'leave'}, 'void': {'pull', 'chunk', 'leave'}, 'whole': {'torn'},
    'throttle': {'local'}, 'stay': {'control', 'pull'}, 'all': {'control'}, 'repeat': {'control', 'crash'},
    'order': {'control'}, 'answer': {'control'}, 'stop': {'control'}, 'unchanged': {'control'},
    'asks': {'control'}, 'waits': {'local', 'control'}, 'usage': {'control'}, 'timed': {'runner'},
    'done': {'tardy', 'group'}, 'insists': {'control'}, 'mute': {'outage'}, 'marker': {'disk'}, 'span': {'control'},
    'overtaken': {'suspend', 'takeover'}, 'words': {'machine'}, 'silence': {'crash'},
    'canaries': {'halts', 'crash'}, 'heedless': {'halts'}, 'scared': {'halts'}, 'drops': {'halts'},
    'shunned': {'node', 'crash', 'bad'}, 'linger': {'node', 'pull', 'bad'}, 'many': {'node', 'bad'},
    'back': {'node', 'bad'},
    'twin': {'runner', 'retries'}, 'grown': {'runner', 'retries', 'crash'}, 'mends': {'runner', 'retries'},
    'first': {'runner', 'retries'}, 'learned': {'runner', 'retries', 'crash'}, 'learns': {'runner', 'retries'},
    'anyhow': {'runner', 'retries', 'control', 'polite'},
    'shrunk': {'edit', 'crash'}, 'former map': {'edit'}, 'renumbered': {'edit'}, 'withdrawn': {'edit'},
    'proof': {'proof'}, 'insisted': {'skip', 'control', 'crash'}, 'ahead': {'after', 'crash', 'halt'},
    'waited': {'after', 'control'}, 'partly': {'skip', 'group'}, 'proven': {'proof', 'group'},
    'unsought': {'skip', 'edit'},
}

#: {planted bug: a seed with which it was found}: so it is found soon where little has changed since.
SEEDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data', 'planted.json')

#: Which seeds have held, and for which version: lines of its hash, and of spans as 0-999.
HELD = os.path.join(os.path.dirname(SEEDS), 'held.txt')


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
        self.dead = self.over = self.torn = False
        self.woken = self.asleep = False
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
        if not self.actor.woken:
            self.actor.asleep = True
            self.actor.wait(max(0.01, seconds))
            self.actor.asleep = False
        self.actor.woken = False

    def wake(self):
        self.actor.woken = True
        if self.actor.asleep:
            ticket = self.actor.waiting
            self.actor.world.at(0.001, lambda: self.actor.resume(ticket))


class Runner:
    """What runs jobs, step by step as RUNNER in qmap.py: it claims a chunk of them, and runs one after another.

    Attributes:
        word: the attempt at hand; the name of its task where there is none
        chunk: the attempts of its chunk that it has not come to
        file: where it says what becomes of them, in run/
        known: to the scheduler
    """

    #: How often it is killed at a step.
    RISK = 0.04

    def __init__(self, world, name, batch, k, host, id, done, known=True):
        self.world, self.name, self.host, self.id, self.done = world, name, host, id, done
        self.word, self.chunk, self.file, self.batch, self.k = name, [], '', batch, k
        self.made = batch.made
        self.known = known
        self.pid = world.pids = world.pids + 2    # its job has the next one
        self.born = 'boot{}/{}'.format(world.boots[host], self.pid)
        self.alive, self.stopped, self.forgotten, self.running = True, False, False, False
        self.starter = None    # on this machine, the process that waits for its end
        self.devices = []    # its GPUs
        self.began = None    # when the attempt at hand began, as it says
        self.signal = ''    # by which its job was told to end
        self.told = set()    # attempts that were told to end, and not their runner
        self.code = None    # with which it exits
        self.spent = 0    # seconds of CPU time of all its jobs
        self.before = 0    # and of those before the one at hand
        self.polite = 'polite' in world.kinds and world.random.random() < 0.5    # its job answers TERM with status 0
        self.said = ''
        self.voice = Files(self) if self.is_old() else Lines(self)
        self.follow(batch.number)
        world.runners.append(self)
        self.then(world.moment(), self.look)

    def is_old(self):
        """Tell whether it is one of the version before."""
        return False

    def follow(self, number):
        """Take the list of a batch for its own."""
        self.number, self.gate = number, self.world.logs.batch(number) + self.voice.gate
        self.list = None

    def has_list(self):
        """Tell whether the list is there, and read it. Rule: it says what the journal says."""
        self.list = self.list or List.read(self.gate)
        return bool(self.list) and self.list.check(self.world, self.number)

    def then(self, seconds, step, *args, **options):
        """Go on with a step after some seconds, unless it is killed before: chance says how often."""
        def go():
            if self.alive and self.world.fault('runner', options.get('chance', self.RISK)):
                self.world.say('runner of {} killed', self.word)
                reason = self.world.random.choice(['signal', 'memory', 'node', ''])
                self.kill('memory' if self.world.starving else reason)
            elif self.alive:
                step(*args)
        self.world.at(seconds, go)

    def wait_for_room(self, step, *args):
        """Go on with a step in a while, when the disk may have room: as often as that takes."""
        self.then(10, step, *args, chance=0.001)

    def kill(self, reason, late=0):
        """Kill -9."""
        self.world.truth['killed', self.word] += 1
        self.code = -9
        goes_on = self.running and reason == 'signal' and self.starter and not self.starter.dead
        self.end('FAILED', reason, late)
        self.running = goes_on    # on this machine its job does

    def end(self, status, reason, late=0):
        """It is over, and the scheduler hears of it sooner or later."""
        self.alive = self.running = False
        self.world.at(late + self.world.random.choice([0, 0.5, 8]), lambda: self.done(status, reason))

    def closed(self):
        """Tell whether its batch is over."""
        return not os.path.exists(self.gate) and self.world.plant != 'gate'

    def torn(self):
        """Return how long a file stands there empty."""
        lasts = 0.2 if self.world.local else 2
        return lasts if self.world.fault('torn', 0.3) else 0

    def look(self, tries=0):
        """Wait for the script of its batch."""
        if self.has_list():
            self.then(self.world.moment(), self.next_chunk)
        elif tries == 60 or tries == 5 and self.world.clock_of(self.host) - self.made > 180:
            self.late()
        else:
            self.then(1, self.look, tries + 1)

    def next_chunk(self):
        """Find a chunk to run."""
        self.claim(self.list.chunks[self.k - 1])

    def claim(self, chunk):
        """Make the file of a chunk, which only one can."""
        if self.world.full and self.world.random.random() < 0.5:    # not even an empty file
            return self.cannot_claim(chunk)
        file = chunk[0] + '.start'
        if not self.make(file, chunk):
            return self.late()
        self.world.say('{} on {} claims {} of batch {}', self.name, self.host, ' '.join(chunk), self.number)
        self.file, self.chunk = file, list(chunk)
        for word in chunk:
            self.world.void.pop(word, None)
        self.take_on(self.chunk.pop(0))
        self.then(self.torn(), self.voice.open)

    def cannot_claim(self, chunk):
        """There is no room for the file of a chunk."""
        self.wait_for_room(self.look)

    def make(self, file, chunk):
        """Make the file of a chunk, and return whether that was this copy."""
        try:
            handle = os.open(self.path(file), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            self.inode = os.fstat(handle).st_ino
            os.close(handle)
            self.world.made(self.host, file)
            if isinstance(self.voice, Lines):    # it does not begin before it can say so
                self.world.unsay(chunk[0])
        except FileExistsError:
            claim = module.read_json.real(self.path(file)) if self.world.plant == 'driver' else None
            return self.world.plant == 'claim' or bool(claim) and 'driver' in claim
        return True

    def path(self, name):
        """Return the path of a file in run/."""
        return os.path.join(self.world.logs.run, name)

    def take_on(self, word):
        """Come to an attempt of the chunk."""
        self.word, self.said = word, self.path(word)
        copies = self.world.copies.setdefault(word, [])
        if self not in copies:
            copies.append(self)
        if self.forgotten:
            self.world.truth['forgotten', word] += 1

    def started(self):
        """It was said that the attempt at hand begins: look once more whether the batch is over by now."""
        pause = self.world.moment()
        self.then(self.world.nap() or pause, self.begin)

    def begin(self):
        """Begin, unless its batch is over."""
        if self.closed():
            self.voice.void()
        else:
            self.launch()

    def launch(self):
        """Run the job, as soon as there is room for its output."""
        world = self.world
        if world.full and world.random.random() < 0.7:
            return self.wait_for_room(self.launch)
        if world.fault('short', 0.02):
            world.say('there is no process for {}', self.word)
            self.code = 254
            return self.voice.void()
        world.ran[self.word] += 1
        world.say('runs {} on {} as {} of batch {}', self.word, self.host, self.id, self.number)
        if world.ran[self.word] > 1:
            raise Broken('{} ran twice'.format(self.word))
        world.check_launch(self)
        world.began[self.word] = self.began
        world.hosts_of[self.word], world.ids_of[self.word] = self.host, self.id
        world.scripts[self.word] = self.list.scripts[self.word]
        world.proof.check_launch(self.word, self.list)
        self.running = True
        world.check_running(self)
        lasts = self.lasts()
        self.spent = round(self.spent + world.random.uniform(0.001, 0.9 * lasts), 3)
        world.used[self.word] = round(self.spent - self.before, 3)
        self.then(min(lasts, 1) if self.stopped else lasts, self.finish, self.word)

    def lasts(self):
        """Return how long the job takes, in seconds."""
        random, fate = self.world.random, self.world.fate(self.word)
        if fate:
            return fate[0]
        if self.world.local:
            return random.choice([0.01] * 12 + [0.03] * 12 + [0.3, 0.3, random.choice([1, 5, 60])])
        lasts = random.choice([0.1, 1, 10, 100, 300])
        return 3000 if self.world.fault('endless', 0.2) else lasts

    def late(self):
        """Its batch is over, or another copy was first."""
        self.code = 75 if self.code is None else self.code
        self.end(*('FAILED', 'exit') if self.code != 75 or self.world.old else ('COMPLETED', ''))

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
        if not self.alive:
            return    # it went on without its runner
        fate, self.signal = world.fate(word), 'TERM' if self.stopped else ''
        code = fate[1] if fate else world.random.choice(
            [0, 1, 85, 85, 85] if 'saves' in world.kinds else [0, 0, 0, 0, 1, 3, 137])
        if self.stopped or self.word in self.told:
            code = 0 if self.polite else 143
        if code == 0 and isinstance(self.voice, Lines):
            world.proof.note_lack(self.word)
        self.count_done(code)
        world.ends[self.word] = (world.now, world.clock_of(self.host), code)
        world.peaks[self.word] = 0 if world.local else world.random.randint(1, 900 << 20)    # less than jobs ask for
        world.say('{} ends with {}', self.word, code)
        if world.fault('trap', 0.3):
            world.say('a signal arrives at this moment')
            if world.old and isinstance(self.voice, Files):    # a runner of an earlier version lost the status then
                code = world.random.choice([-1, -1, 256, 'x'])
        self.voice.ended(code)

    def memory(self):
        """Return what it says of the memory of the attempt at hand; some nodes do not know."""
        return self.world.peaks[self.word] * (self.host != self.world.nodes[0])

    def count_done(self, code):
        """Say how many commands of a group have ended well, as each does when it has."""
        if self.world.group > 1 and not self.world.full:
            count = self.world.random.randrange(self.world.group) if code else self.world.group
            self.world.done_of[self.word] = count
            self.world.put(self.said + '.done', 'a line\n' * count)

    def note_end(self, code):
        """It was said how the attempt at hand ended."""
        if self.signal:
            self.world.signalled.add(self.word)
        self.world.exits[self.word] = self.code = code
        self.world.say('{} has said that it ended with {}', self.word, code)

    def ended(self, code):
        """It was said how the attempt at hand ended: go on."""
        self.note_end(code)
        self.before = self.spent
        self.go_on()

    def go_on(self):
        """Go on with the next attempt of the chunk, if there is one and it is to begin."""
        if not self.chunk:
            return self.chunk_over()
        self.take_on(self.chunk.pop(0))
        if self.leaves():
            self.voice.void()
        elif self.is_cancelled():
            self.voice.leave_out()
        else:
            self.then(self.world.nap(), self.voice.start)

    def leaves(self):
        """Tell whether it ends before the next attempt of its chunk begins."""
        return self.stopped

    def is_cancelled(self):
        """Tell whether somebody has cancelled the attempt at hand, before that begins."""
        return False

    def more(self):
        """Return what it says more of itself."""
        return {}

    def chunk_over(self):
        """All of its chunk is over."""
        self.end('FAILED' if self.code else 'COMPLETED', 'exit' if self.code else '')


class Files:
    """How a runner of the version before speaks: a file for each word.

    Attributes:
        gate: what the name of the file that it looks for has behind the number of the batch
    """

    gate = ''

    def __init__(self, runner):
        self.runner, self.world = runner, runner.world

    def open(self):
        """Say who has claimed a chunk of one attempt, and that it begins."""
        runner, world, now = self.runner, self.world, self.world.clock_of(self.runner.host)
        if not world.full:
            world.put(runner.said + '.start', json.dumps(dict({
                'job': runner.word.partition('.')[0], 'attempt': int(runner.word.partition('.')[2]),
                'host': runner.host, 'pid': runner.pid, 'born': runner.born,
                'executor_id': runner.id or str(runner.pid), 'time': now}, **runner.more())) + '\n')
            runner.began, runner.said_at = now, world.now
            world.reached.add(runner.word)
            world.whole[runner.word, 'start'] = (runner.word + '.start', 0, world.now)
        else:
            world.truth['mute', runner.word] += 1
            runner.said_at = world.now
        runner.started()

    def void(self):
        """Say that nothing was run of what was claimed."""
        self.world.put(self.runner.said + '.start', '' if self.world.full else '{"void":1}\n')
        self.runner.late()

    def ended(self, code, tries=0):
        """Make .end, as soon as there is room."""
        runner, world = self.runner, self.world
        if world.full and tries == 30 and world.plant == 'tries':
            runner.end('FAILED', 'exit')
        elif world.full:
            runner.wait_for_room(self.ended, code, tries + 1)
        else:
            open(runner.said + '.end', 'w').close()
            world.made(runner.host, runner.word + '.end')
            runner.then(runner.torn(), self.fill, code, 0)

    def fill(self, code, tries):
        """Say how it ended."""
        runner, world = self.runner, self.world
        if world.full:
            return runner.wait_for_room(self.fill, code, tries + 1)
        end = {'exit_code': code, 'time': world.ends[runner.word][1], 'memory': runner.memory(),
               'before': times(runner.before)}
        if runner.signal:
            end['signal'] = runner.signal
        world.put(runner.said + '.end', '0m0.1s 0m0.1s\n{}\n{}\n'.format(times(runner.spent), json.dumps(end)))
        world.whole[runner.word, 'end'] = (runner.word + '.end', 0, world.now)
        runner.ended(code)


class Lines:
    """How a runner speaks: in one file for all of a chunk."""

    gate = '.list'

    def __init__(self, runner):
        self.runner, self.world = runner, runner.world

    def open(self):
        """Say who has claimed a chunk, and that its first attempt begins."""
        runner = self.runner
        self.start(json.dumps(dict({
            'host': runner.host, 'pid': runner.pid, 'born': runner.born, 'executor_id': runner.id or str(runner.pid),
            'batch': int(runner.number)}, **runner.more())) + '\n' + self.times())

    def start(self, before=''):
        """Say that an attempt begins."""
        runner, world = self.runner, self.world
        now = world.clock_of(runner.host)

        def whole():
            world.reached.add(runner.word)

        def said():
            runner.began, runner.said_at = now, world.now
            whole()
            world.note(runner.word, 'start', runner.file)
            runner.started()

        self.say('{}s {} {} .\n'.format(before, runner.word, now), said, whole)

    def void(self):
        """Say that an attempt, and what is behind it, does not begin."""
        self.world.unsay(self.runner.word)
        self.world.say('{} and what is behind it does not begin', self.runner.word)

        def whole():
            size = os.path.getsize(runner.path(runner.file)) if os.path.exists(runner.path(runner.file)) else 0
            for word in [runner.word] + runner.chunk:
                world.void[word] = (int(runner.number), runner.file, size, world.now)

        def said():
            whole()
            runner.late()

        runner, world = self.runner, self.world
        self.say('v {} .\n'.format(runner.word), said, whole)

    def leave_out(self):
        """Say that an attempt does not begin, as it is cancelled."""
        self.say('c {} .\n'.format(self.runner.word), self.runner.go_on)

    def ended(self, code):
        """Say how an attempt ended."""
        runner, world = self.runner, self.world
        end = {'exit_code': code, 'time': world.ends[runner.word][1], 'memory': runner.memory()}
        if runner.signal:
            end['signal'] = runner.signal
        if runner.word in world.proof.lacking:
            end['lacks'] = world.proof.lacking[runner.word]

        def whole():
            world.note(runner.word, 'end', runner.file)
            runner.note_end(code)

        def said():
            world.note(runner.word, 'end', runner.file)
            runner.ended(code)

        self.say('{}e {} {} .\n'.format(self.times(), runner.word, json.dumps(end)), said, whole)

    def times(self):
        """Return the two lines about the CPU time that was used."""
        return '0m0.1s 0m0.1s\n{}\n'.format(times(self.runner.spent))

    def say(self, text, then, whole=None, tries=0, torn=0):
        """Say something, as soon as there is room for it, and go on.

        Args:
            text: some lines
            then: function to go on with
            whole: function to call where all of it was said, but for its end, and is said again
            tries: how often it was tried
            torn: of how many characters only the end is missing
        """
        runner, world = self.runner, self.world
        if world.full and not (world.plant == 'tries' and tries == 30):
            size = len(text) - 1 if world.random.random() < 0.3 else world.random.randrange(len(text))
            self.append(text[:size])
            if torn == 1 and size and whole:
                whole()
            missing = len(text) - size if size or not torn else torn
            return runner.wait_for_room(self.say, '\n' + text.lstrip('\n'), then, whole, tries + 1, missing)
        if world.fault('torn', 0.02):
            world.say('{} is torn', text)
            self.append(text[:world.random.randrange(len(text))])
            return runner.kill('node')
        if world.full:
            return runner.end('FAILED', 'exit')
        self.append(text)
        then()

    def append(self, text):
        """Add to the file. On a cluster it is opened for each word, and so it is there again where somebody has removed
        it; on this machine it is open."""
        runner = self.runner
        path, there = runner.path(runner.file), os.path.exists(runner.path(runner.file))
        if self.world.local and not (there and os.stat(path).st_ino == runner.inode):
            return
        with open(path, 'a') as target:
            target.write(text)
        if not there:
            self.world.made(runner.host, runner.file)
        self.world.grown(runner.host, runner.file, os.path.getsize(path), 'e ' in text and not runner.chunk)


def times(seconds):
    """Return a line as bash's `times` writes it."""
    return '{}m{:.3f}s 0m0.000s'.format(int(seconds // 60), seconds % 60)


class List:
    """The list of a batch.

    Attributes:
        chunks: list of lists of attempts
        crew: number of the batch whose workers it is for, as a text; '' for none
        last: whether no other follows
        scripts: {attempt: its script}
        proving: attempts that have to make an output
    """

    def __init__(self, lines):
        head = lines[0].split()
        self.crew, self.last = head[2] if head[1] == 'crew' else '', head[-1] == 'last'
        jobs = [line.split(' ')[0].lstrip('=') for line in lines[5:-1:3]]
        parts = zip(lines[6::3], itertools.repeat(lines[3]), lines[7::3], itertools.repeat(lines[4]))
        self.proving = {words[0].lstrip('=') for words in map(str.split, lines[5:-1:3]) if words[-1][0] == '>'}
        self.scripts = {word: re.sub(r'\\(.)', lambda match: match.group(1).replace('n', '\n'), ''.join(texts))
                        for word, texts in zip(jobs, parts)}
        self.chunks = []
        for size, many in (map(int, sizes.split('x')) for sizes in lines[1].split()):
            for _ in range(many):
                self.chunks.append(jobs[:size])
                jobs = jobs[size:]

    @classmethod
    def read(cls, path):
        """Return the list in a file, None where it is not there, or not whole."""
        try:
            with open(path) as source:
                lines = source.read().split('\n')[:-1]
        except FileNotFoundError:
            return None
        if not path.endswith('.list'):    # the script that a runner of the version before waits for
            return cls.read(path + '.list')
        return cls(lines) if lines and (lines[-1] == '# end' or WORLD.plant == 'list') else None

    def check(self, world, number):
        """Rule: it says what the journal says."""
        event = world.batches[int(number)]
        if self.chunks != module.chunks_of(event) or self.crew != str(event.get('crew', '')):
            raise Broken('the list of batch {} is not what the journal says'.format(number))
        return True


class Copy(Runner):
    """The runner at work on the chunk of one task."""

    def __init__(self, world, name, batch, k, *options):
        self.RISK = 0.002 if world.local else 0.04
        super().__init__(world, name, batch, k, *options)

    def is_old(self):
        return self.world.old and len(self.batch.chunks[self.k - 1]) == 1

    def cannot_claim(self, chunk):
        """An earlier version gives up."""
        if self.world.random.random() < 0.3:
            return self.end('FAILED', 'exit')
        super().cannot_claim(chunk)


class Worker(Runner):
    """A worker of a crew at work, step by step as PULL in qmap.py."""

    def __init__(self, *options):
        self.fresh, self.turn, self.leaving = True, [], False
        super().__init__(*options)
        self.crew, self.workers = self.number, self.batch.workers

    def kill(self, reason, late=0):
        """Kill -9, and with it the job at hand."""
        super().kill(reason, late)
        if reason == 'cancelled':
            self.world.truth['cancelled', self.word] += 1

    def next_chunk(self):
        """Go on with the next chunk."""
        self.running, self.word = False, self.name
        if self.leaves():
            self.leave()
        elif self.closed():
            self.next_list(0)
        elif self.turn:
            self.then(self.world.moment(), self.reach, self.turn.pop(0))
        elif self.fresh:
            self.fresh, self.turn = False, self.list.chunks[self.k - 1::self.workers]
            self.next_chunk()
        else:
            there = os.listdir(self.world.logs.run)
            self.turn = [chunk for chunk in self.list.chunks if chunk[0] + '.start' not in there]
            self.world.random.shuffle(self.turn)
            if self.turn:
                self.next_chunk()
            else:
                self.next_list(0)

    def reach(self, chunk):
        """Come to a chunk."""
        if self.closed():
            return self.next_chunk()
        self.left_out = False    # that was the last one of another chunk
        self.claim(chunk)

    def cannot_claim(self, chunk):
        """It leaves, or tries again."""
        if self.world.random.random() < 0.3:
            return self.leave()
        self.wait_for_room(self.reach, chunk)

    def leaves(self):
        """Tell whether it ends before the next attempt begins: somebody wants it to, or it has no time left."""
        home = module.read_json.real(self.path('home.{}'.format(self.crew)))
        with contextlib.suppress(FileNotFoundError), open(self.world.logs.excluded) as source:
            self.leaving = self.leaving or self.host in source.read().split()
        self.leaving = self.leaving or self.stopped or home is not None and self.k > home
        self.leaving = self.leaving or self.world.fault('leave', 0.05)
        return self.leaving

    def cancels(self):
        """Return the attempts that it is told to end, or to leave out."""
        try:
            with open(self.path('cancel.{}.{}'.format(self.crew, self.k))) as source:
                return [line.split(' ')[0] for line in source.read().split('\n')]
        except FileNotFoundError:
            return []

    def is_cancelled(self):
        self.left_out = self.word in self.cancels()
        if not self.left_out:
            return False
        self.world.truth['cancelled', self.word] += 1
        return self.world.plant != 'onward'

    def more(self):
        return {'crew': int(self.crew), 'k': self.k}

    left_out = False    # whether it was told to leave out the attempt at hand

    def launch(self):
        """Run, and look now and then whether the job is to end. Rule: what is to be left out does not begin."""
        if self.left_out:
            raise Broken('{} is to be left out, and begins'.format(self.word))
        super().launch()
        if self.running:
            self.world.at(5, lambda word=self.word: self.poke(word))
            if self.world.limited and self.world.fault('over time', 0.1):
                self.world.at(self.world.random.choice([1, 5]), lambda word=self.word: self.time_out(word))

    def late(self):
        """What it wanted is another's, or of a batch that is over: on to the next."""
        if self.code == 254:
            return self.end('FAILED', 'exit')
        self.next_chunk()

    def chunk_over(self):
        """On to the next."""
        self.then(0, self.next_chunk)

    def poke(self, word):
        """End the job if somebody cancelled it."""
        if not self.alive or self.word != word or not self.running:
            return
        if word in self.cancels() and self.world.random.random() < 0.7:
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

    def is_last(self):
        """Tell whether no list comes behind that which it has."""
        return bool(self.list) and self.list.last

    def next_list(self, tries):
        """Look for the next list of its crew."""
        folder = os.path.join(self.world.logs.qmap, 'batch')
        names = [name[:-5] for name in os.listdir(folder) if name.endswith('.list')]
        for number in sorted(int(name) for name in names if int(name) > int(self.number)):
            found = List.read(self.world.logs.batch(number) + '.list')
            if found and found.crew == self.crew and not self.is_last():
                self.follow(str(number))
                self.fresh, self.turn = True, []
                self.has_list()
                return self.next_chunk()
        if self.is_last() or tries == 15 or self.stopped:
            self.leave()
        else:
            self.then(1, self.next_list, tries + 1)

    def leave(self):
        """Say the last word, and end."""
        if not (self.is_last() and self.closed()) and not self.world.full:
            name = 'left.{}.{}'.format(self.crew, self.k)
            self.world.put(self.path(name), json.dumps({'signal': 'TERM' if self.stopped else ''}) + '\n')
            self.world.made(self.host, name)
        self.end('COMPLETED', '')


class Batch:
    """What a submission hands over, as its script and the journal tell it.

    Attributes:
        number: as a text
        chunks: of its tasks, or of the list of its workers
        workers: how many there are, 0 for none
        words: of its tasks: the attempt that each runs, or a name for a worker, or for what runs several
        made: when, by the clock of whoever made it
    """

    def __init__(self, world, script):
        with open(script) as source:
            text = source.read()
        self.number = os.path.basename(script)
        self.chunks = module.chunks_of(world.batches[int(self.number)])
        self.workers = int(re.search(r'qmap_workers=(\d+)', text).group(1))
        self.made = int(re.search(r'qmap_begin .* \d+ (\d+) "', text).group(1))
        self.words = ['worker{}.{}'.format(self.number, k) for k in range(1, self.workers + 1)] or [
            chunk[0] if len(chunk) == 1 else 'chunk{}.{}'.format(self.number, k)
            for k, chunk in enumerate(self.chunks, 1)]

    def runner(self, world, k, *options):
        """Start what runs a task, and return it.

        Args:
            k: its index, from 1
            options: those of Runner, behind k
        """
        word = self.words[k - 1]
        runner = (Worker if self.workers else Copy)(world, word, self, k, *options)
        world.copies.setdefault(word, []).append(runner)
        return runner


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
        batch = Batch(self.world, script)
        assert len(batch.words) == count, batch.words
        id, self.next = str(self.next), self.next + 1
        tasks = {k if count > 1 else 0: {'word': word, 'state': 'PENDING', 'since': self.world.now, 'reason': '',
                                         'host': '', 'workers': batch.workers}
                 for k, word in enumerate(batch.words, 1)}
        # There may be no other node for it, ever.
        is_stuck = self.world.batches[int(batch.number)].get('elsewhere') and random.Random(
            'stuck {} {}'.format(self.world.seed, id)).random() < 0.2
        self.jobs[id] = {'name': name, 'tasks': tasks, 'since': self.world.now, 'avoided': list(avoided),
                         'stuck': is_stuck}
        self.world.handed[id, name] = batch
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
        if self.down or job['stuck'] or not set(self.world.nodes) - set(job['avoided']):
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
        if world.fault('resume', 0.3):
            world.say('{} waits for {}, which does not come up', task['word'], task['host'])
            world.at(world.random.choice([5, 60, 300]), lambda: self.send_back(id, name, k, task['since']))
            return
        batch, id_here = world.handed[id, name], '{}.{}'.format(id, k)
        batch.runner(world, k or 1, task['host'], id_here,
                     lambda status, reason: self.ended(id, name, k, status, reason))
        if world.fault('limit', 0.2):
            world.at(world.random.choice([1, 20, 200]), lambda: self.time_out(id, name, k))
        if world.fault('twice', 0.05):
            other = world.random.choice(world.nodes)
            world.at(world.random.choice([0, 5, 60, 300]), lambda: batch.runner(
                world, k or 1, other, id_here, lambda status, reason: None, False))

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
                is_old = task['state'] in ('COMPLETED', 'FAILED') and world.now - task['since'] > world.keeps
                if is_old or task['state'] == 'taken out':
                    continue
                ending = 'ending' if task['state'] == 'RUNNING' and task.get('cancelled') else ''
                reason = 'time' if world.plant == 'timed' and task['reason'] == 'signal' else task['reason']
                found[id, k] = (task['state'], reason, task['reason'] or ending)
                if task['state'] == 'PENDING' and task['never']:
                    found[id, k] = ('PENDING', '', 'a limit: it will never start')
                    world.truth['never', task['word']] += 1
                    world.truth['never'] += bool(task['workers'])
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
                if task['word'] in world.exits:
                    found[id, k]['memory'] = world.peaks[task['word']]
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
                   if k and task['state'] == 'PENDING' and not task['workers']]
        if waiting and not self.down:
            job, k = self.world.random.choice(waiting)
            job['tasks'][k].update(state='taken out', since=self.world.now)
            self.world.truth['cancelled', job['tasks'][k]['word']] += 1
            self.world.say('{} is taken out of the queue', job['tasks'][k]['word'])

    def put_back(self):
        """Somebody ends a task, to have the scheduler start it once more."""
        running = [(id, job, k) for id, job in self.jobs.items() for k, task in job['tasks'].items()
                   if task['state'] == 'RUNNING' and not task['workers']]
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

    def send_back(self, id, name, k, since):
        """The node of a task did not come up, and the scheduler starts it once more, whatever was asked for: a node of
        a cloud (requeue_on_resume_failure), or one whose prolog failed."""
        job = self.jobs.get(id)
        task = job['tasks'][k] if job and job['name'] == name else {}
        if (task.get('state'), task.get('since')) != ('RUNNING', since):
            return
        if self.down:
            self.world.at(10, lambda: self.send_back(id, name, k, since))
        elif task.get('cancelled'):
            self.ended(id, name, k, 'FAILED', 'cancelled')
        else:
            self.world.say('{} goes back into the queue', task['word'])
            task.update(state='PENDING', since=self.world.now, preempted=False, over=False)
            self.world.at(self.world.random.choice([1, 120]), lambda: self.begin(id, name, k))

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
        word, text = self._submit(script, name, count, params)
        self.world.check_asked(name, params)
        self.world.answers.setdefault(name, word)    # somebody may have looked for it before it came
        if word in ('busy', 'silent', 'unclear'):
            self.hush[asked] = self.world.now + (0.005 if word != 'silent' and count > 1 else 4.9)
        planted = {'silent': 'silent', 'hasty': 'unclear'}.get(self.world.plant)
        return ('refused' if word == planted else word), text

    def _submit(self, script, name, count, params):
        world, cluster = self.world, self.world.cluster
        world.step('submit')
        if cluster.down:
            return 'busy', 'connection refused'
        if count > world.narrow:
            return 'busy', 'too many at once'
        chance = world.random.random() if not world.calm else 1
        grown = world.mends and params.get('memory', 0) > 1 << 30 and not world.calm
        if chance < 0.05 or grown and world.dice.random() < 0.3:
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


class Machine(module.Local):
    """This machine, as one process uses it: what that starts is played."""

    def __init__(self, world, wake):
        super().__init__({}, wake)
        self.world, self.actor, self.host = world, world.actor, world.actor.host
        self._room.cores = self._room._free_cores = world.cores
        self._room.memory = self._room._free_memory = 4 << 30
        self._room._devices = world.devices

    def submit(self, script, name, count, params, output):
        self.world.step('submit')
        self.world.check_asked(name, params)
        self.world.answers[name] = 'ok'
        answer = super().submit(script, name, count, params, output)
        self.world.step('submitted')
        return answer

    def throttle(self, jobs):
        super().throttle(1000 if self.world.plant == 'throttle' else jobs)

    def find(self, name):
        self.world.step('find')
        self.world.answers[name] = super().find(name)
        return self.world.answers[name]

    def poll(self, ids):
        self.world.step('poll')
        return super().poll(ids)

    def started(self, task, start, params, status_path):
        here = start.get('host') == self.host
        super().started(task, dict(start, host=os.uname().nodename) if here else start, params, status_path)

    def cancel(self, tasks, counts):
        self.world.step('cancel')
        super().cancel(tasks, counts)

    def _guard(self):
        return True

    def _prepare(self):
        pass

    def _give_thread(self, task, script, running):
        self.world.at(0.002, lambda: self.begin(task, script, running))

    def begin(self, task, script, running):
        """Start what runs a task, unless this process has ended meanwhile."""
        world = self.world
        if self.actor.dead or self.actor.over or self._closed or self._running.get(task) is not running:
            return
        try:
            batch = Batch(world, script)
        except FileNotFoundError:    # bash finds none either
            return self._over(task, dict(running.verdict, cpu=0, memory=0), running)
        runner = batch.runner(world, task[1] or 1, self.host, '', lambda *_: self.over(task, running, runner))
        runner.starter, runner.devices = self.actor, running.devices
        running.pid = runner.pid

    def over(self, task, running, runner):
        """What ran a task has ended, as the process sees that waits for it."""
        if self.actor.dead or self.actor.over:
            return
        account = dict(running.verdict, cpu=runner.spent, memory=0)
        if runner.code == -9:
            self.world.actor = self.actor
            module.send(running.pids(Processes()), 9)
            self.world.actor = None
            account = dict({'reason': 'signal', 'words': ''}, signal=9, exit_code=137, **account)
        self._over(task, None if runner.code == 75 else account, running)


class Processes:
    """A look at the processes of a machine."""

    def __init__(self):
        self.host = WORLD.actor.host

    def birth(self, pid):
        return birth(pid, self.host)

    def tree(self, pid):
        return [pid + 1] if any(runner.running for runner in self._runners(pid)) else []

    def outside(self, pids, leader):
        return [pid for pid in pids if pid != leader]

    def orphans(self, pid):
        return []

    def first_child(self, pid):
        return None

    def _runners(self, pid):
        return [runner for runner in WORLD.runners if runner.pid == pid and runner.host == self.host]


def birth(pid, host=None):
    """Return what tells a process from a later one with its number, '' where it is gone."""
    for runner in WORLD.runners:
        is_there = runner.host == (host or WORLD.actor.host) and (runner.alive or runner.running)
        if is_there and pid - runner.pid in (0, 1):
            if pid == runner.pid:
                return runner.born if runner.alive else ''
            return runner.running and '{}/{}'.format(runner.born, runner.word)
    return ''


def devices_of(pid):
    """Return the GPUs that a runner was given."""
    if WORLD.plant == 'gpus':
        return []
    return next((runner.devices for runner in WORLD.runners
                 if runner.pid == pid and runner.host == WORLD.actor.host), [])


def send(pids, number):
    """Send a signal to processes: to jobs."""
    for runner in WORLD.runners:
        is_orphan = WORLD.plant == 'orphan' and not runner.alive
        if runner.running and runner.host == WORLD.actor.host and runner.pid + 1 in pids and not is_orphan:
            WORLD.say('{} gets signal {}', runner.word, number)
            runner.told.add(runner.word)
            if not runner.alive:
                runner.running = False
            runner.then(WORLD.random.choice([0, 0.1, 2, 8]) if number == 15 else 0, runner.finish, runner.word)


class Clock:
    """The module time, for what runs in the world."""

    def __getattr__(self, name):
        return getattr(time, name)

    def monotonic(self):
        return WORLD.now if WORLD else time.monotonic()

    def time(self):
        return WORLD.clock_of(WORLD.actor.host) if WORLD and WORLD.actor else time.time()


class Proof:
    """What the jobs of a world make, and for what it waits. It has chances of its own, so that a world without these
    things is as it was.

    Attributes:
        named: whether the commands name their outputs
        made: numbers of the commands whose outputs are there: a job of such ones is not to be run
        lacking: attempts that ended with 0, and lack an output: that of which of its commands, from 1
        again: numbers of the jobs that somebody has retried
        until: when the other execution is over; 0 for none
        started: whether somebody has ended the waiting
    """

    def __init__(self, world, needed):
        self.world, self.random = world, random.Random('proof {}'.format(world.seed))
        chances = [self.random.random() for _ in range(3)]
        self.named = chances[0] < 0.25 or bool(needed & {'proof', 'skip'})
        skips = self.named and (chances[1] < 0.5 or 'skip' in needed)
        part = 0.4 if world.group == 1 else 0.6
        self.made = {number for number in range(3 * world.jobs) if skips and self.random.random() < part}
        waits = chances[2] < 0.15 or 'after' in needed
        self.until = self.random.choice([3, 40, 400, 3000]) if waits and 'hour' not in world.kinds else 0
        self.lacking, self.again, self.started = {}, set(), False

    def own(self, number):
        """Return what the line of a command says of its outputs."""
        return (' ##' * (not self.world.limited) + ' out=o{}'.format(number)) * self.named

    def is_there(self, number, commands=None):
        """Tell whether the outputs of a job are there; commands: of the map, where it is another."""
        first, size = number * self.world.group, self.world.group
        if commands is None:
            numbers = range(self.world.jobs)[first:first + size]
        else:
            lines = commands[first:first + size]
            numbers = [int(line.split()[1]) if 'true' in line else -1 for line in lines]
        return all(number in self.made for number in numbers)

    def note_lack(self, word):
        """An attempt ends with 0: one of its outputs may be missing."""
        if self.named and self.random.random() < 0.3:
            most = self.world.jobs - int(word.partition('.')[0])
            self.lacking[word] = self.random.randint(1, max(1, min(self.world.group, most)))

    def info(self):
        """Return what execution.info says of these things."""
        return dict({'outputs': True, 'skip': 'existing' if self.made else ''},
                    **{'after': {'/other': True}} if self.until else {})

    def troubles(self):
        """Let somebody end the waiting."""
        if self.until and self.random.random() < 0.5:
            host = self.random.choice(self.world.hosts)
            self.world.at(self.random.uniform(0, 1.5 * self.until), lambda: self.world.drop(host, {'do': 'start'}))

    def check_launch(self, word, jobs):
        """Rules: nothing begins while another execution is waited for; what is there is not run unless somebody wants
        it; what an attempt has to make stands in its list."""
        number = int(word.partition('.')[0]) // self.world.group
        if self.world.now < self.until and not self.started:
            raise Broken('{} begins, and another execution is waited for'.format(word))
        if 'edit' not in self.world.kinds and self.is_there(number) and number not in self.again:
            raise Broken('{} begins, and its outputs are there'.format(word))
        if self.named != (word in jobs.proving):
            raise Broken('the list of {} does not say what it makes'.format(word))

    def is_skipped(self, record):
        """Tell whether a record is that of a job that was skipped, and may be."""
        is_there = 'edit' in self.world.kinds or self.is_there(int(record['job']) // self.world.group)
        return record.get('words') == module.SKIPPED and is_there

    def check_good(self, word, record):
        """Rule: what ended with 0 is COMPLETED, and nothing else; but what lacks an output has failed for that."""
        code, reason = self.world.exits.get(word), record.get('error_reason')
        right = ('FAILED', 'output') if word in self.lacking else ('COMPLETED', None)
        if code != 0 or (record['status'], reason) != right:
            raise Broken('{} is {} ({}), but ended with {}'.format(word, record['status'], reason, code))
        if reason and 'edit' not in self.world.kinds:
            path = 'o{}'.format(int(record['job']) + self.lacking[word] - 1)
            if record['error'] != path + ' is missing or empty':
                raise Broken('{} lacks {}, and not: {}'.format(word, path, record['error']))

    def explains(self, number, record, commands):
        """Tell whether a job was skipped. Rule: what is there is COMPLETED, unless somebody has wanted something else.
        """
        is_there = self.is_there(number, commands if 'edit' in self.world.kinds else None)
        if is_there and not self.is_skipped(record) and number not in self.again | self.world.named:
            raise Broken('job {} is to be skipped, and is {}'.format(number, record))
        if record.get('words') == module.SKIPPED and record['attempt'] == 0 and not is_there:
            raise Broken('job {} is skipped, and its outputs are missing'.format(number))
        return self.is_skipped(record) and not record['attempt']


class World:
    """All of it, for one seed."""

    #: What all jobs request where they are retried.
    REQUEST = {'memory': '1G', 'retries': '2'}
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
        self.actors, self.lookers = [], []    # processes that drive, if they may; that only look
        self.pids = 100
        self.locks = {}
        self.truth = collections.Counter()
        self.ends = {}    # how attempts truly ended: (when, on the clock of its node, exit status)
        self.exits = {}    # and what their runners have said of it
        # Of (attempt, 'start' or 'end'): (file in run/, its size then, when it said so, or was made; and whole).
        self.there, self.whole = {}, {}
        self.scripts = {}    # of attempts, as their runners had them
        self.began, self.used = {}, {}    # what attempts have said of their beginning; CPU seconds that they use
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
        self.pieces = {}    # name in run/: [[size, when others see so much of it], ...]
        self.runners = []
        self.reached = set()    # attempts of which somebody said that they begin
        self.said_at, self.unsure = {}, set()    # by name in run/: when it was written; attempts whose words are gone
        self.void = {}    # attempts that do not begin after all: (batch, file that says so, its size, since when)
        self.unwanted = {}    # attempts that were cancelled before they began: since when their runners are told
        self.halted = float('inf')    # since when nothing is to begin
        self.spent = collections.Counter()    # by job: attempts that were given up without an end
        self.batches, self.handed = {}, {}    # events, by number; by (id, name): the Batch that was submitted so
        self.named = set()    # jobs that somebody has ordered to end
        self.told = {}    # by id of an order: the answer that somebody got
        self.lines, self.edits = [], {}    # of the map as somebody has it; by name: of those that were to be taken
        self.maps = {}    # by name of a map in the folder: (all commands that it is to have, those of the user)
        self.limits = [(0, 0)]    # (since when, how many may run)
        self.written_at, self.asked_for = {}, {}    # of batches: when they were written; what each asks for
        self.hosts_of, self.ids_of, self.peaks, self.done_of = {}, {}, {}, {}    # of attempts, as they are
        self.life = Life(self)
        self.calm = self.over = False
        self.moved = self.CALM
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
                 'never', 'nap', 'leave', 'short']
        self.kinds = set(kinds if self.random.random() < 0.3 else self.random.sample(kinds, self.random.randint(0, 9)))
        # These take long, and are rare.
        self.kinds.update(kind for kind in ('hour', 'endless', 'dead') if self.rate and self.random.random() < 0.05)
        self.kinds.update(['node'] if 'dead' in self.kinds else [])
        self.kinds.update(['resume'] if self.rate and seed % 16 == 5 else [])
        self.kinds.update(['saves'] if self.rate and seed % 16 == 11 else [])
        self.kinds.update(['edit'] if self.rate and seed % 16 == 9 else [])
        needed = NEEDS.get(plant, set())
        self.kinds |= needed - {'pull', 'chunk', 'local', 'group', 'brief', 'halts', 'bad', 'gpus'} - {
            'proof', 'skip', 'after'}
        self.rate = self.rate or int(bool(needed))
        # Whether its runners are those of an earlier version.
        self.old = self.random.random() < (0.5 if 'trap' in self.kinds else 0.1)
        self.narrow = self.random.randint(1, 3) if 'narrow' in self.kinds else 1000    # tasks in a submission
        self.calm_at = (self.CALM if self.rate else 0) + (self.HOUR if 'hour' in self.kinds else 0)
        self.locking = self.random.choice(['all', 'all', 'host', 'none'])
        self.bare = self.random.random() < 0.3
        # For so many seconds the queue lists what has ended.
        self.keeps = 5 if 'brief' in needed else self.random.choice([120, 120, 5])
        self.local = self.random.random() < 0.2 and not needed or 'local' in needed    # it runs on this machine
        # Only what is on a disk of its own can a machine lose with its power, and then no other one drives.
        self.own_disk = self.local and self.random.random() < {'traceless': 1, 'inherited': 0}.get(plant, 0.5)
        self.hosts = ['login1'] * 2 if self.own_disk else self.hosts
        self.cores = self.random.choice([1, 1, 2, 3])
        self.cores = 3 if 'gpus' in needed else self.cores
        gpus = 3 if 'gpus' in needed else random.Random(seed).choice([0, 0, 2, 3])
        self.devices = ['0', '1', '2'][:gpus] if self.local else []    # each job asks for one
        self.cluster = Cluster(self)
        self.jobs = self.random.randint(20, 80) if self.local else self.random.randint(1, 9)
        self.jobs += 12 if 'bad' in needed else 0
        self.group = 1 if self.local else self.random.choice([1, 1, 1, 2])
        self.group = 2 if 'group' in needed else self.group
        self.pull = self.random.choice([0, None, None, 1, 2, 3])
        self.pull = self.pull or 1 if 'pull' in needed else self.pull
        self.chunk = self.random.choice([1, 2, 3, 5])    # jobs that a worker claims at once, at the most
        self.chunk = max(3, self.chunk) if 'chunk' in needed else self.chunk
        self.short = False    # whether a journal says that jobs are short, and workers run what is left
        # Each job has less time than a worker.
        self.limited = 'over time' in self.kinds and self.group == 1 and not self.local
        self.proof = Proof(self, needed)
        module.RERUNS = self.random.choice([0, 1, 5])
        module.Hopeless.ELSEWHERE = module.Hopeless.LONGEST = 300
        module.AGAIN_MOST = seed % 4    # how often a job may save its state and run again
        self.compacting = self.random.random() < 0.3    # the journal, at every start
        own = random.Random('halts {}'.format(seed))    # what it draws changes nothing else in the world
        halts = own.random() < 0.3 or 'halts' in needed
        self.canary = own.choice([None, None, 1, 2, 3]) if halts else None
        self.canary = own.randint(1, 2) if plant == 'canaries' else self.canary
        self.halt = own.choice(['', 'fail=1', 'fail=2', 'now,fail=2', 'fail=40%']) if halts else 'never'
        self.exclude = own.random() < 0.3 or 'bad' in needed
        self.shunned = {}    # hosts that were left out: since when
        self.canaries, self.released = set(), False    # the jobs that come first; whether the others may come
        # How many jobs had ended and failed when all was resumed; whether some of them may run again since then.
        self.resumed, self.retried = [0, 0], False
        self.choose_retries('retries' in needed)

    def choose_retries(self, needed):
        """Choose whether and how jobs are retried, by dice of its own."""
        dice = random.Random('retries {}'.format(self.seed))
        self.mends = needed or dice.random() < 0.4 * (self.seed > 0)    # the small world is the first
        self.starving, self.dice = needed, dice
        self.request = self.REQUEST if self.mends else {}
        self.rules = {'retry_on': dice.choice(['', 'exit', 'exit,signal']), 'grow': dice.choice(['2', '3', '1']),
                      'max_memory': dice.choice(['', '2G']), 'learn': dice.choice(['true', 'false'])}
        self.rules.update({'grow': '2', 'max_memory': '', 'learn': 'true'} if needed else {})
        if dice.random() < 0.3 and not needed:
            self.request = dict(self.request, memory='1G, 2G, 6G') if self.request else {}

    def seems_retried(self, record):
        """Tell whether a record is of an attempt behind which a retry follows that counts."""
        return bool(record.get('rerun')) and 'retry' in record and record.get('error_reason') != 'submit'

    def check_retries(self, ledger, number):
        """Rule: each job is retried as often as it may be, and no more."""
        record, earlier = ledger.record(number), ledger.earlier(number)
        past = sum(map(self.seems_retried, earlier))
        if record['status'] != 'FAILED' or number in self.named or not self.mends or record.get('unheard'):
            return
        reasons = ['memory'] if (record.get('params') or {}).get('memory') != '' else []
        reasons += ['time'] if self.limited else []
        reasons += self.rules['retry_on'].split(',')
        most = self.rules['max_memory'] or self.rules['grow'] == '1' or self.local or ',' in self.request['memory']
        ordered = any(order['do'] == 'retry' for order in self.orders.values())
        if record['error_reason'] in reasons and past < 2 and record.get('started') and not (
                most and record['error_reason'] == 'memory') and not ordered:
            raise Broken('{} failed for {}, and was retried {} times'.format(
                module.key_of(record), record['error_reason'], past))

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
        self.seen[name], self.pieces[name], self.said_at[name] = (host, self.now + late), [], self.now
        if name.endswith(('.start', '.end')):
            word, _, kind = name.rpartition('.')
            self.there[word, kind] = (name, 0, self.now)

    def grown(self, host, name, size, last):
        """A file in run/ has grown; others see that in pieces, in their order, which may end within a line.

        Args:
            last: whether it does not grow any more, most likely: then only that a job has ended may come very late
        """
        pieces, self.said_at[name] = self.pieces.setdefault(name, []), self.now
        before, since = pieces[-1] if pieces else (0, 0)
        late = [self.random.choice([0, 2, 20, 60]) if self.fault('late', 0.5) else 0 for _ in range(2)]
        if last and self.fault('tardy', 0.2):
            late[1] = self.random.choice([150, 400, 1500])
        for part, wait in zip((self.random.randint(before, size), size), sorted(late)):
            since = max(since, self.now + wait)
            pieces.append((part, since))

    def note(self, word, kind, name):
        """An attempt has said that it begins, or how it ended, at the end of a file."""
        if os.path.exists(self.path(name)):
            self.there[word, kind] = self.whole[word, kind] = (name, os.path.getsize(self.path(name)), self.now)

    def unsay(self, word):
        """An attempt does not begin after all."""
        self.there.pop((word, 'start'), None)
        self.whole.pop((word, 'start'), None)

    def path(self, name):
        """Return the path of a name in run/."""
        return os.path.join(self.logs.run, name)

    def visible_size(self, host, name):
        """Return how many bytes of a file in run/ a host sees."""
        if not self.visible(host, name):
            return 0
        if self.seen.get(name, (host,))[0] == host or not self.pieces.get(name):
            return float('inf')
        return max([size for size, when in self.pieces[name] if when <= self.now], default=0)

    def others_see(self, name, size):
        """Return when hosts that did not write a file in run/ see so much of it."""
        when = next((when for part, when in self.pieces[name] if part >= size), 0) if size else 0
        return max(when, self.seen[name][1])

    def visible(self, host, name):
        """Tell whether a host sees a name in run/."""
        maker, when = self.seen.get(name, (host, 0))
        return maker == host or self.now >= when

    def known_since(self, host, word, kind, since):
        """Return when a host could see that an attempt began, or how it ended: infinity where it cannot.

        Args:
            since: `there` or `whole`
        """
        name, size, when = since.get((word, kind), ('', 0, 0))
        if not name or not os.path.exists(self.path(name)):
            return float('inf')
        return when if self.seen[name][0] == host else max(when, self.others_see(name, size))

    # What the scheduler does to jobs

    def fate(self, word):
        """Return how long an attempt takes, in seconds, and its exit status; None to leave both to chance."""
        return None

    def moment(self):
        """Return for how long a runner needs for a step."""
        return self.random.choice([0, 0, 0.002 if self.local else 0.1])

    def nap(self):
        """Return for how long a runner sleeps at this moment, without anybody knowing."""
        return self.random.choice([10, 100, 1000, 3600]) if self.fault('nap', 0.03) else 0

    def check_launch(self, runner):
        """Rule: what was cancelled, or is on hold, does not begin where a look at files tells that."""
        tells = self.local or 'crew' in self.batches[int(runner.number)]
        since = self.unwanted.get(runner.word, float('inf')) if tells else float('inf')
        if runner.said_at - since > 200:
            raise Broken('{} was cancelled {:.0f} s ago, and begins'.format(runner.word, self.now - since))
        record = self.record_of(runner.word)
        if record and record['status'] == 'FAILED' and record.get('error', '').startswith('cancelled before it'):
            raise Broken('{} begins, and the journal says: {}'.format(runner.word, record['error']))
        job = runner.word.partition('.')[0]
        for other in self.runners if self.local else ():
            waits = other.starter and not other.starter.dead and other.host == runner.host
            if other.running and waits and other.word.partition('.')[0] == job:
                raise Broken('{} begins, and {} still runs'.format(runner.word, other.word))
            if other.running and other.host == runner.host and set(other.devices) & set(runner.devices):
                raise Broken('{} begins on a GPU of {}'.format(runner.word, other.word))
        if self.local and runner.said_at - self.halted > (30 if self.kinds & {'disk', 'hour', 'torn'} else 3):
            raise Broken('{} begins, and all is paused'.format(runner.word))

    def check_asked(self, name, params):
        """Rule: what is asked of the scheduler is what the map says, and what was set since."""
        asked = {key: text for key, text in module.write_parameters(params).items()
                 if key not in ('working_directory', 'gpus')}
        right = {key: text for key, text in module.write_parameters(
            module.read_parameters(self.asked_for[name])).items()}
        if asked != right:
            raise Broken('{} asks for {}, where {} was set'.format(name, asked, right))

    def newest(self):
        """Return the Driver that drove last, None for none."""
        return max((actor.driver for actor in self.actors if actor.driver and actor.driver.lease.ledger),
                   key=lambda driver: driver.lease._epoch, default=None)

    def record_of(self, word):
        """Return the record of an attempt, as the driver knows it; None where its job is at another."""
        driver = self.newest()
        try:
            record = driver and driver.ledger.record(driver.ledger.number(word.partition('.')[0]))
        except (module.QMapError, ValueError):    # another driver compacts the journal, or it has not read all
            return None
        return record if record and module.key_of(record) == word else None

    def check_running(self, runner):
        """Rule: no more jobs run at once than may, and than might when the first of them was submitted."""
        driver = self.newest()
        live = driver.ledger.live if driver else {}
        running = [other for other in self.runners if other.running and other.known and any(
            module.key_of(record) == other.word and str(record['batch']) == other.number
            for record in (live.get(int(other.word.partition('.')[0]) // self.group),) if record)]
        since = min([self.written_at[other.number] for other in running], default=self.now)
        first = max(number for number, (when, _) in enumerate(self.limits) if when <= since)
        most = max(count for _, count in self.limits[first:])
        if len(running) > most and not self.kinds & {'lie', 'forget'}:    # else the scheduler does not know them
            raise Broken('{} run at once, where {} may'.format(' '.join(sorted(
                other.word for other in running)), most))

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
        self.often('node', self.node, *(20, 60) if 'bad' in NEEDS.get(self.plant, ()) else (100, 400))
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
        self.often('edit', self.edit, 30, 200)
        self.often('halt', lambda: [actor.kill() for actor in self.actors], 60, 300)
        self.cluster.save()
        self.proof.troubles()

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
        for copy in self.runners:
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
        for actor in self.lookers:    # what they have seen of it may be gone
            actor.kill()
        if self.own_disk:
            self.lose_words(name)
        for runner in self.runners if self.local else ():
            if runner.host == name and (runner.alive or runner.running):
                runner.kill('node')
        for journal in module.Journal.all:
            if journal.host == name and journal.synced is not None and os.path.exists(journal.path):
                size = os.path.getsize(journal.path)
                if size > journal.synced:
                    size = self.random.randint(journal.synced, size)
                    os.truncate(journal.path, size)
                    epoch = int(journal.path.rpartition('.')[2])
                    self.life.void(lambda change: change.epoch == epoch and change.size > size)
                journal.synced = None
        for name in os.listdir(self.logs.path):
            if name.endswith('.info') and name != 'execution.info' and self.random.random() < 0.2:
                self.put(os.path.join(self.logs.path, name), '')

    def lose_words(self, host):
        """What was just said on a machine, or the file for it, is gone with its power."""
        for name, (maker, _) in self.seen.items():
            path = self.path(name)
            if maker != host or not os.path.exists(path):
                continue
            if self.said_at.get(name, 0) < self.now - 10 or self.random.random() < 0.5:
                continue
            size = self.random.randint(0, os.path.getsize(path))
            if self.random.random() < 0.5:
                size = 0
                os.unlink(path)
            else:
                os.truncate(path, size)
            self.lost(name, size)

    def lost(self, name, size):
        """What is behind so many bytes of a file in run/ is gone."""
        self.say('{} has lost what is behind byte {}', name, size)
        for since in (self.there, self.whole):
            gone = [key for key, (file, end, _) in since.items() if file == name and (end or float('inf')) > size]
            for word, kind in gone:
                since.pop((word, kind))
                self.unsure.add(word)

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
        ahead = [word for runner in self.runners if runner.running and runner.known for word in runner.chunk]
        if do == 'cancel' and ahead and self.random.random() < 0.5:    # what is next in a chunk that runs
            command['ids'] = [[int(self.random.choice(ahead).partition('.')[0])] * 2]
        if do == 'cancel' and 'ids' not in command:
            command['statuses'] = [self.random.choice(module.STATUSES)]
        if do == 'stop':
            command['cancel'] = self.random.random() < 0.3
        self.say('{}', command)
        self.drop(host, command)
        if self.random.random() < 0.2:    # and others, too
            self.drop(self.random.choice(self.hosts), {'do': 'max-running', 'number': self.random.randint(1, 5)})
        if do == 'pause':
            self.at(self.random.choice([5, 100]), lambda: self.drop(host, {'do': 'resume'}))

    def edit(self):
        """Somebody changes the map, and has the execution go on with it."""
        first = self.maps[''][0]
        lines = [line for line in self.lines if self.random.random() < 0.8] or self.lines[:1]
        others = ['true {}'.format(self.random.randrange(3 * self.jobs)) for _ in range(self.random.randint(0, 3))]
        lines += sorted({*others, self.random.choice(first)} - set(lines))
        self.random.shuffle(lines)
        name, host = '{:016x}.map'.format(self.random.getrandbits(64)), self.random.choice(self.hosts)
        params = dict(self.params, **{'memory': '1G'} if self.random.random() < 0.2 else {})
        self.put(os.path.join(self.logs.inbox, name), ''.join(
            line + self.own + self.proof.own(line.split()[1]) + '\n' for line in lines))
        self.lines = self.edits[name] = lines
        self.drop(host, {'do': 'add', 'by': 'somebody@' + host, 'map': name, 'params': params,
                         'strict': self.random.random() < 0.2})

    def drop(self, host, command):
        """Put a command into the inbox, while somebody may look into it."""
        if self.over:
            return
        inbox = module.Inbox(self.logs, Somebody(self, host))
        try:
            id = inbox.drop(command)
        except OSError:
            return
        self.orders[id] = command

        def ask():
            answer = None if self.over else inbox.answer(id)
            if answer:
                self.told[id] = answer['said']
            elif not self.over:
                self.at(30, ask)
        self.at(10, ask)

    # The run

    def reattach(self, host, takeover=False):
        """Start a process with a Session in it."""
        def work(actor):
            session = actor.session = module.Session(self.logs.path, takeover=takeover)
            with contextlib.suppress(Crash):
                session._work()
                self.check_leaving(session)
            actor.rest = session.left()
        self.say('reattach on {}{}', host, ' --takeover' if takeover else '')
        actor = Actor(self, host, work)
        self.actors.append(actor)
        self.at(0, lambda: actor.resume(0))

    def check_leaving(self, session):
        """Rule: a process ends when nothing is left, when it is told to, or says why."""
        if session.left() and not session.leaving and not session.trouble:
            raise Broken('a process has ended, {} jobs are left, and nobody says why'.format(session.left()))

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

    def viewers(self):
        """Somebody looks at it now and then, and nobody may drive meanwhile."""
        def work(actor):
            since, reader = self.now, module.ExecutionReader(self.logs.path)
            for wait in self.random.choice([[], [1], [5, 60], [50, 50, 50, 400]]) + [None]:
                began = self.now
                with contextlib.suppress(module.QMapError):    # it was compacted meanwhile
                    reader.look()
                    self.check_view(reader, since)
                if wait is None:
                    return
                since = began
                actor.wait(wait)

        actor = Actor(self, self.random.choice(self.hosts), work)
        self.lookers.append(actor)
        self.at(0, lambda: actor.resume(0))
        if not self.calm:
            self.at(self.random.choice([50, 200, 400]), self.viewers)

    def check_view(self, reader, since):
        """Rules: what somebody sees was so at some time since they looked last, and adds up; and `info` says the
        same."""
        ledger, told = reader.ledger, {info['id']: info for info in reader.jobs()}
        commands, _ = self.maps[ledger.map.get('file', '')]
        for number in range(ledger.count):
            record = ledger.record(number)
            word = module.key_of(record)
            if record['job'] not in told and number in ledger.gone:
                continue
            info, first = told[record['job']], number * self.group
            right = record['status'], '\n'.join(commands[first:first + self.group])
            if (info['status'], info['command']) != right:
                raise Broken('{} is told as {}, and is {}'.format(word, info, right))
            said = word in self.exits and record['status'] in Life.OVER or (
                word in self.reached and record['status'] == 'RUNNING')
            if not self.life.was(number, (record['status'], record['attempt']), since) and not said:
                raise Broken('{} is shown as {}, and was not since {:.0f}'.format(word, record['status'], since))
            has_run = word not in self.unsure and not self.proof.is_skipped(record)
            if record['status'] == 'COMPLETED' and self.exits.get(word) != 0 and has_run:
                raise Broken('{} is shown as COMPLETED, and ended with {}'.format(word, self.exits.get(word)))
            if record['status'] == 'RUNNING' and record.get('started') and word not in self.reached | self.unsure:
                raise Broken('{} is shown as RUNNING, and has not begun'.format(word))
        self.check_sums(ledger)

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
            name, size, _ = self.there.get((word, 'end'), ('', 0, 0))
            return bool(name) and self.others_see(name, size) > self.now - self.SOON

        def reachable(word):    # no driver ends what runs on another machine, or keeps what sleeps from waking up
            drivers = {actor.host for actor in self.living() if actor.driver}
            runners = [copy for copy in self.copies.get(word, ()) if copy.alive and copy.word == word]
            sleep = runners and not any(copy.running for copy in runners)
            return not sleep and (not self.local or any(copy.host in drivers for copy in runners))

        def check(words):
            words = {word for word in filter(reachable, words & shall_end())
                     if not self.truth['forgotten', word] and not unseen(word)}
            if words:
                raise Broken('{} should have been cancelled long ago'.format(sorted(words)))

        self.window(self.cluster, 'down', [60])
        self.drop(self.hosts[0], {'do': 'cancel', 'statuses': [module.RUNNING]})
        self.at(self.SOON, lambda: self.at(self.SOON, lambda words=shall_end(): check(words)))

    def cancel_dead(self):
        """Cancel all that was submitted: nothing else ends what was on dead nodes."""
        self.drop(self.hosts[0], {'do': 'cancel', 'statuses': [module.PENDING, module.RUNNING, module.OTHER]})

    def finish(self):
        """See it through to its end."""
        living = self.living()
        if self.ledger().settings.get('halted'):    # commands of several hosts come in the order of their clocks
            self.drop(self.hosts[0], {'do': 'resume'})
        if not living:
            ledger = self.ledger()
            late = self.late_words(ledger)
            orders = [name for name in os.listdir(os.path.join(self.logs.qmap, 'inbox')) if name.endswith('.json')]
            waiting = ledger.left() or ledger.unsaved or orders
            if waiting or late and max(late) <= self.now:
                self.reattach(self.hosts[0])
            elif not late and not any(runner.alive for runner in self.runners):
                self.over = True
                return
        elif self.local and self.now > self.moved + 600 and not any(runner.alive for runner in self.runners):
            # What ran on another machine is gone, and only there that can be seen.
            self.moved = self.now
            self.say('somebody moves to {}', self.hosts[1])
            for actor in living:
                actor.kill()
            self.hosts.reverse()
        self.at(20, self.finish)

    def late_words(self, ledger):
        """Return when the words of attempts that were judged without them can be seen."""
        unheard = [self.whole.get((module.key_of(record), 'end'), ('', 0, 0))
                   for record in map(ledger.record, range(ledger.count)) if record.get('unheard')]
        return [self.others_see(name, size) for name, size, _ in unheard if name and os.path.exists(self.path(name))]

    def ledger(self):
        ledger = module.Ledger(self.logs, self.jobs, self.group, totals=module.UsageTotals(1, other=lambda record: 1))
        ledger.load()
        return ledger

    def run(self):
        """Live through it."""
        self.prepare()
        self.reattach(self.random.choice(self.hosts))
        self.people()
        self.viewers()
        self.troubles()
        self.at(self.calm_at, self.quiet)
        self.live()

    def live(self):
        """Let all happen that is to happen, and check what came of it."""
        while self.events:
            self.now, _, what = heapq.heappop(self.events)
            if self.now > self.calm_at + self.LAST:
                raise Broken('it does not end: {}'.format(dict(zip(module.STATUSES, self.ledger().counts))))
            what()
            for actor in self.actors + self.lookers:
                if actor.error:
                    raise actor.error
        self.check()

    def prepare(self):
        path = os.path.join(self.folder, 'a.map')
        self.own = ' ## time=01:00:00' if self.limited else ''
        self.lines = ['true {}'.format(number) if 'edit' in self.kinds else 'true' for number in range(self.jobs)]
        self.maps[''] = self.lines, self.lines
        self.put(path, ''.join(line + self.own + self.proof.own(number) + '\n'
                               for number, line in enumerate(self.lines)))
        self.logs = module.Logs(os.path.join(self.folder, 'out'))
        self.logs.create()
        shutil.copyfile(path, self.logs.input)
        self.params = dict(dict({'working_directory': self.folder}, **self.request),
                           **dict({'time': '02:00:00'} if self.limited else {},
                                  **{'gpus': '1'} if self.devices else {}))
        settings, most = {'show_usage': self.random.choice(['no', 'no', 'no', 'yes'])}, self.random.randint(1, 4)
        most = 3 if self.plant == 'gpus' else most
        module.write_json.real(self.logs.execution, {
            'version': module.__version__, 'map': path, 'name': 'a', 'profile': 'simulated', 'executor': 'local',
            'settings': settings,
            'params': self.params,
            'retry': self.rules if self.mends else {}, 'map_params': {}, 'repeat': [],
            'max_running': most, 'group': self.group, 'pull': self.pull, 'token': '0000',
            'canary': self.canary, 'halt': self.halt, 'exclude': self.exclude, **self.proof.info(),
            'logs': self.logs.path, 'created_seconds': 0})
        self.limits = [(0, most)]

    def check(self):
        """The rules for what comes of it; those that hold at each step are further below."""
        ledger = self.ledger()
        if ledger.left() or ledger.live:
            raise Broken('not all have ended: {}'.format(ledger.counts))
        for number in range(ledger.count):
            self.check_job(ledger, number)
        self.check_sums(ledger)
        self.check_learned(ledger)
        self.check_map(ledger)
        for word, count in self.ran.items():
            if count > 1:
                raise Broken('{} ran {} times'.format(word, count))
        for id, said in self.told.items():
            if ledger.obeyed.get(id) != said and not self.kinds & {'machine', 'suspend'}:    # else it was obeyed anew
                raise Broken('{} was answered: {}, and what was done is: {}'.format(
                    self.orders[id], said, ledger.obeyed.get(id)))
        self.check_left()
        forgotten = set(self.orders) - set(ledger.obeyed)
        if forgotten:
            raise Broken('nobody obeyed {}'.format([self.orders[id] for id in forgotten]))

    def check_map(self, ledger):
        """Rule: there is a job for each command of the map that was taken last, and for no other."""
        commands, lines = self.maps[ledger.map.get('file', '')]
        wanted = [command for index, command in enumerate(commands) if index // self.group not in ledger.gone]
        if self.group == 1 and sorted(wanted) != sorted(lines):
            raise Broken('there are jobs for {}, and in the map are {}'.format(wanted, lines))

    def check_left(self):
        """Rule: nothing is left in the folder that nobody needs any more."""
        driver, ledger = self.newest(), self.ledger()
        unheard = {module.key_of(record) for record in map(ledger.record, range(ledger.count)) if record.get('unheard')}
        for folder in ('run', 'batch', 'inbox'):
            left = os.listdir(os.path.join(self.logs.qmap, folder))
            # A driver that is killed may leave the second of two files of a runner of the version before.
            left = [name for name in left if self.said_at.get(name, 0) < driver.began - 60
                    and not (self.old and name.endswith('.end'))
                    and not unheard & set(driver.chunks.keys_of(name.rpartition('.')[0]))]
            if left:
                raise Broken('{} are left in {}'.format(' '.join(sorted(left)), folder))

    def check_job(self, ledger, number):
        """Check the last record of a job, and its .info."""
        record = ledger.record(number)
        word = '{}.{}'.format(record['job'], record['attempt'])
        if word in self.unsure:
            return
        is_skipped = self.proof.explains(number, record, self.maps[ledger.map.get('file', '')][0])
        if is_skipped:
            self.check_info(word, record)
            return
        if record.get('error') in ('cancelled before it was submitted', 'no longer in the map'):
            if number not in self.named:
                raise Broken('{} was dropped, and nobody asked for it'.format(word))
            return
        if self.exits.get(word) == 0 and (word in self.verdicts or word in self.cancelled):
            self.check_verdict(word, record)
        elif self.exits.get(word) == 0 and word in self.signalled:
            self.check_obedient(word, record)
        elif record['status'] == 'COMPLETED' or self.exits.get(word) == 0:
            self.proof.check_good(word, record)
        else:
            self.cause(word, record)
        for attempt in [record] + ledger.earlier(number):
            self.check_own(module.key_of(attempt), attempt)
        interrupted = [attempt.get('error_reason') in module.INTERRUPTED + (('lost',) if self.mends else ())
                       for attempt in [record] + ledger.earlier(number)]
        if interrupted[0] and record.get('started') and sum(interrupted) <= module.RERUNS and number not in self.named:
            raise Broken('{} was interrupted, and does not run again'.format(word))
        if module.asks_again(record) and number not in self.named and times_again(ledger, number) < module.AGAIN_MOST:
            raise Broken('{} asks to run again, and does not'.format(word))
        # Where words come late, it may have been judged without them.
        for attempt in ledger.earlier(number) if not self.kinds & {'late', 'tardy'} else ():
            former = '{job}.{attempt}'.format(**attempt)
            if attempt.get('alone') and self.exits.get(former) in range(256) and former not in self.signalled:
                raise Broken('{} ended by itself, and runs once more as if its worker had been cut off'.format(former))
        self.check_retries(ledger, number)
        if record['attempt'] > 1 + len(ledger.earlier(number)) + self.spent[record['job']]:
            raise Broken('{} is a new attempt, and nobody asked for it'.format(word))
        if self.check_info(word, record) and word in self.scripts:
            self.check_script(ledger, number, record)

    def check_info(self, word, record):
        """Check the .info of a job, and tell whether it is known how that has to be."""
        info = module.read_json.real(os.path.join(self.logs.path, record['job'] + '.info'))
        if info is None and any(self.boots.values()) or 'suspend' in self.kinds:
            return False    # lost with a machine's power, or written by an overtaken driver; the journal has it
        if not info or (info['status'], info['retries']) != (record['status'], max(0, record['attempt'] - 1)):
            raise Broken('{}: its .info says {}'.format(word, info))
        return True

    def check_own(self, word, record):
        """Check that what is told of an attempt is its own: when it began and ended, its exit status, what it used."""
        if word not in self.exits or record.get('unheard') or word in self.unsure:
            return
        code = self.exits[word]
        told = {key: record.get(key) for key in ('started', 'finished', 'exit_code')}
        own = {'started': self.began.get(word), 'finished': self.ends[word][1],
               'exit_code': code if code in range(256) else None}
        if told['started']:
            told['host'], own['host'] = record.get('host'), self.hosts_of[word]
        if record.get('memory') is not None and not self.local:
            told['memory'], own['memory'] = record['memory'], self.peaks[word]
        if record['status'] == 'FAILED' and self.group > 1:
            told['done'], own['done'] = record.get('done'), record.get('before', 0) + self.done_of.get(word, 0)
            if record['error_reason'] == 'output':
                own['done'] = min(own['done'], self.proof.lacking.get(word, 9) - 1)
        if record.get('cpu') is not None and abs(record['cpu'] - self.used[word]) > 0.002:
            told['cpu'], own['cpu'] = record['cpu'], self.used[word]
        if self.old and not told['started']:
            own['started'] = told['started']    # that file is seen later
        if told != own:
            raise Broken('{} has {}, and its own are {}'.format(word, told, own))

    def check_script(self, ledger, number, record):
        """Check that the script of a job's last attempt, as map and journal tell it, is the one that ran; and that it
        is there where the attempt failed."""
        word, path = module.key_of(record), os.path.join(self.logs.path, record['job'] + '.sh')
        plan = module.Plan(self.logs)
        plan.settle_map(ledger)
        if ledger.map and self.group > 1:    # what was too few commands for a job may have been filled up
            return
        script = plan.script_of(ledger, number)
        if self.scripts[word] != script:
            raise Broken('{} ran another script than its parameters make'.format(word))
        if record['status'] == 'FAILED':
            with open(path) as source:
                if source.read() != script:
                    raise Broken('{} says another script than {} ran'.format(path, word))

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
        if record.get('error_reason') == 'preempted' and word in self.signalled and self.truth['preempted', word]:
            return
        if record.get('error_reason') == 'output' and word in self.proof.lacking:
            return
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

    def check_learned(self, ledger):
        """Rule: at the end it is known from which request on jobs were saved by more."""
        learned = ledger.settings.get('learned') or {}
        for (_, key, before, _), count in ledger.totals.saved.items():
            if key and count > 0 and self.rules['learn'] == 'true' and before not in learned.get(key, {}):
                raise Broken('{} = {} was too little, and nobody learns from that'.format(key, before))

    def check_sums(self, ledger):
        """Check what is counted over all jobs."""
        statuses, figures = collections.Counter(), module.UsageTotals(1, other=lambda record: 1)
        for number in range(ledger.count):
            record = ledger.record(number)
            statuses[record['status']] += number not in ledger.gone or record['status'] in Life.LIVE
            for attempt in [record] + ledger.earlier(number):
                if attempt['status'] in ('COMPLETED', 'FAILED'):
                    figures.add(attempt)
        if [statuses[status] for status in module.STATUSES] != ledger.counts:
            raise Broken('the counts are wrong: {}'.format(ledger.counts))
        for kept, right in ((ledger.totals.requested, figures.requested), (ledger.totals.used, figures.used),
                            (ledger.totals.lost, figures.lost)):
            if abs(kept - right) > 0.001:
                raise Broken('{} core-seconds are {} by the records'.format(kept, right))
        for kept, right in (ledger.totals.saved, figures.saved), (ledger.totals.asked, figures.asked):
            if +kept != +right:
                raise Broken('{} are {} by the records'.format(kept, right))
        if +ledger.totals.hosts != +figures.hosts:
            raise Broken('{} are {} by the records'.format(ledger.totals.hosts, figures.hosts))

    def cause(self, word, record):
        """Check that a failure has a cause that happened."""
        reason, code = record['error_reason'], self.exits.get(word)
        known = code in range(256)    # an exit status; not None, nor what a runner says that lost it
        was_ended = code or self.truth['killed', word] or self.truth['node', word] or word in self.signalled
        if reason == 'cancelled' and 'lie' in self.kinds and was_ended:
            return    # it did fail; that of all things the queue is wrong about why cannot be known
        killed, mute = self.truth['killed', word], self.local and self.truth['mute', word]
        lasted = self.ends.get(word, (0, 0))[1] - (self.began.get(word) or 0)    # with its wait for room
        happened = {
            'exit': known and code, 'output': word in self.proof.lacking,
            'signal': code in (137, 143) or killed or word in self.exits and not known,
            'cancelled': int(record['job']) // self.group in self.named or self.truth['cancelled', word] or
            self.truth['launch', word],
            'submit': self.truth['refused', word] or self.truth['never', word] or self.truth['never'],
            'memory': killed,    # clocks may have jumped
            'time': self.truth['time', word] or 'clock' in self.kinds or lasted > 3400,
            'node': killed or self.truth['node', word], 'preempted': killed or self.truth['preempted', word],
            'lost': killed or mute or word in self.exits and not known or word in self.void or not self.ran[word] and (
                self.submitted[word] >= 4 or self.truth['launch', word] >= 4)}
        number = int(record['job']) // self.group
        refused = happened['submit'] and any(past.get('error_reason') == reason and self.seems_retried(past)
                                             for past in self.ledger().earlier(number))
        if not happened[reason] and not refused:
            raise Broken('{} is FAILED for {}, which did not happen: {}'.format(word, reason, record))
        if not happened[reason]:
            return    # what it says of its end is what an earlier attempt said
        if self.local and killed and record.get('exit_code') == 137:
            return    # this machine knows by which signal
        if (reason == 'exit' or not known) and record.get('exit_code') != (code if known else None):
            raise Broken('{} has exit code {}, not {}'.format(word, record.get('exit_code'), code))


class Change:
    """What an event makes of a job.

    Attributes:
        when: it was written
        epoch, size: of the segment, with that
        number, state: of the job; its status and attempt, a pair
        sure: whether it stands in the journal, and counts
    """

    def __init__(self, when, epoch, number, state):
        self.when, self.epoch, self.size, self.number, self.state = when, epoch, 0, number, state
        self.sure = False


class Life:
    """The lives of all jobs: which event may follow which, and what was so at which time."""

    #: By kind of event: from which statuses it leads on.
    LIVE, OVER = ('PENDING', 'RUNNING', 'OTHER'), ('COMPLETED', 'FAILED')
    FROM = {'batch': ('UNSUBMITTED',), 'run': LIVE, 'end': LIVE, 'usage': OVER, 'returned': LIVE, 'retry': OVER,
            'dropped': ('UNSUBMITTED',), 'cancel': LIVE}

    def __init__(self, world):
        self.world = world
        self.changes = collections.defaultdict(list)    # by number of the job

    def follow(self, lease, events):
        """Rule: a status changes only as the picture of a job's life has it. Return the Changes of these events."""
        ledger, found, ahead = lease.ledger, [], {}
        for event in events:
            for number, attempt in self.meant(ledger, event):
                state = ahead.get(number) or (module.STATUSES[ledger.status[number]], ledger.attempts[number])
                ahead[number] = self.after(ledger, event, number, attempt, state)
                change = Change(self.world.now, lease._epoch, number, ahead[number])
                self.changes[number].append(change)
                found.append(change)
            if event['event'] == 'lead':
                self.void(lambda change: change.epoch < event['epoch'] and
                          change.size > event['read'].get(change.epoch, 0))
        return found

    @staticmethod
    def meant(ledger, event):
        """Yield (number, attempt) of the jobs that an event is about; None for the attempt that these are at."""
        if event['event'] in ('batch', 'returned'):
            for key in event['tasks']:
                id, attempt = module.split_key(key)
                yield ledger.number(id), attempt
        elif event['event'] in ('run', 'end', 'usage'):
            yield ledger.number(event['job']), event['attempt']
        elif event['event'] in ('retry', 'dropped', 'cancel'):
            for first, last in event['numbers']:
                for number in range(first, last + 1):
                    yield number, None

    def after(self, ledger, event, number, attempt, state):
        """Return the state to which an event leads."""
        kind, (status, last) = event['event'], state
        right = last + 1 if kind == 'batch' else last
        allowed = status in self.FROM[kind] and attempt in (None, right)
        if kind == 'end' and not allowed and attempt == last:
            back = ledger.before_retry(number) if status == 'UNSUBMITTED' else None
            if status == 'UNSUBMITTED' and self.world.proof.is_skipped(event) and not attempt:
                back = event
            allowed = status == 'FAILED' and bool(ledger.record(number).get('unheard'))
            allowed = allowed or bool(back) and back['status'] == event['status']
        if kind == 'usage' and event['status'] != status or not allowed:
            raise Broken('job {} is {} in attempt {}, and then comes {}'.format(number, status, last, event))
        if kind in ('run', 'end'):
            return event['status'], attempt
        if kind == 'returned':
            dropped = number in ledger.cancelled
            return 'FAILED' if dropped else 'UNSUBMITTED', attempt - (not event.get('spent'))
        return {'batch': 'PENDING', 'retry': 'UNSUBMITTED', 'dropped': 'FAILED'}.get(kind, status), right

    def void(self, is_void):
        """Note that some of what was written does not count, or is gone."""
        for changes in self.changes.values():
            for change in changes:
                if is_void(change):
                    change.sure = False

    def was(self, number, state, since):
        """Tell whether a job was in a state at some time since then."""
        for change in reversed(self.changes[number]):
            if change.state == state:
                return True
            if change.when < since and change.sure:
                return False
        return state == ('UNSUBMITTED', 0)


class Costs:
    """What a driver costs."""

    #: Calls of the scheduler in a minute, by kind, at the most.
    MOST = {'poll': 10, 'accounts': 13, 'submit': 15, 'find': 12, 'cancel': 6, 'load': 2, 'limits': 6, 'workers': 4,
            'copies': 2}

    def __init__(self):
        self.calls = collections.defaultdict(collections.deque)    # by kind: when the scheduler was asked
        self.written = collections.Counter()    # by attempt: records of it that are not its end
        self.saved = collections.Counter()    # by name: how often an .info was made
        self.records = collections.Counter()    # by job: ends that were written, of attempts or before any

    def note_call(self, kind):
        """Rule: the scheduler is asked so often in a minute at the most."""
        calls = self.calls[kind]
        calls.append(WORLD.now)
        while WORLD.now - calls[0] >= 60:
            calls.popleft()
        if len(calls) > self.MOST[kind] and not WORLD.local:
            raise Broken('{} calls of the scheduler in a minute, to {}'.format(len(calls), kind))

    def note_events(self, events):
        """Rule: few records are written of an attempt before that is over."""
        for event in events:
            if event['event'] in ('end', 'usage'):
                self.records[event['job']] += 1
            self.records.update(map(WORLD.actor.driver.ledger.id, module.dropped_numbers(event)))
            if event['event'] == 'run':
                submission = module.key_of(event), event['batch']
                self.written[submission] += 1
                if self.written[submission] > 5 + 10 * ('lie' in WORLD.kinds):
                    raise Broken('{} records are written of {}'.format(self.written[submission], submission[0]))

    def note_saved(self, name):
        """Rule: an .info is made once for each record that it tells, and for what an earlier driver left."""
        self.saved[name] += 1
        if self.saved[name] > 1 + self.records[name.partition('.')[0]]:
            raise Broken('{} was made {} times'.format(name, self.saved[name]))


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
    'Driver', 'Lease', 'Steering', 'Halts', 'BadHosts', 'Unclaimed', 'Pools', 'Chunks', 'Shares',
    'Gate', 'Awaited', 'commands_done',
    'read_words', 'sound_end', 'Processes', 'birth', 'send',
    'is_runner', 'time', 'Asker', 'Submitter', 'Retries', 'Recall', 'Copies', 'Queue', 'Reports', 'Scribe',
    'load_backend', 'Host', 'WORD', 'bring_to_disk', 'selected_jobs', 'as_spans')}
METHODS = [(module.Logs, 'listing'), (module.Ledger, 'load'), (module.Ledger, 'compact'), (module.Ledger, 'verify'),
           (module.Admission, 'beats_elsewhere'), (module.Unended, 'correct'), (module.Attempts, 'claim'),
           (module.Plan, 'script_of'), (module.Words, 'hear'), (module.Words, '_count_cpu'),
           (module.Logs, 'close_batch'), (module.Ledger, 'outdated'), (module.Ledger, '_read_segment'),
           (module.Session, '_undone'), (module.ExecutionReader, 'look'), (module.Plan, 'changes'),
           (module.Compaction, '_surviving'), (module.Beat, 'show'), (module.Plan, 'note_map'),
           (module.Renewal, 'lines')]
REAL.update({method: getattr(*method) for method in METHODS})
REAL.update({kind: module.EVENTS[kind] for kind in ('returned', 'retry')}, ftruncate=os.ftruncate)


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
        size, torn = self.size, self._torn
        WORLD.actor.torn = torn
        try:
            places = super().write(events)
            if torn and WORLD.plant == 'marker':
                places = [place - len('{"event":"torn"}\n') for place in places]
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
                if event.get('event') == 'batch':
                    WORLD.batches[event['batch']] = event
                    WORLD.written_at[str(event['batch'])] = WORLD.now
                WORLD.short = WORLD.short or event.get('event') == 'set' and 'pull' in event
                if event.get('event') == 'returned':    # the same attempt comes again
                    if event.get('spent'):
                        WORLD.spent.update(word.partition('.')[0] for word in event['tasks'])
                    for word in event['tasks']:
                        WORLD.verdicts.pop(word, None)
                        WORLD.unwanted.pop(word, None)
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
            if not self._torn and WORLD.fault('crash', 0.2):
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


def write_json(path, value, lasting=False):
    WORLD.step('write')
    WORLD.say('writes {}', os.path.basename(path))
    REAL['write_json'](path, value, lasting)
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
    WORLD.step('written')
    return WORLD.actor.driver.costs.note_saved(os.path.basename(path))


def write_text(path, text):
    """Write a file; a list may not become whole, where a process is killed meanwhile."""
    WORLD.step('write')
    if path.endswith('.new') and WORLD.fault('torn', 0.1):
        path = path[:-3] + 'list' if WORLD.plant == 'list' else path
        WORLD.put(path, text[:WORLD.random.randrange(len(text))])
        if WORLD.fault('crash', 0.3):
            WORLD.actor.dead = True
            raise Crash()
        WORLD.actor.wait(2)
        os.unlink(path)
        path = path.replace('.list', '.new')
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


def cut_file(handle, size):
    """Cut a segment off where it was torn, which may fail as well: here not twice in a row, nor where a whole line got
    there, for what that tells would count twice, nor where the line that says so may be lost with a machine's power."""
    if WORLD and WORLD.actor and not (WORLD.actor.torn or 'machine' in WORLD.kinds):
        with open('/proc/self/fd/{}'.format(handle), 'rb') as source:
            source.seek(size)
            torn = source.read().lstrip(b'\n')
            partial = b'\n' not in torn and not torn.endswith(b'}')
        if partial and WORLD.fault('disk', 0.3):
            raise OSError(errno.EIO, 'Input/output error')
    REAL['ftruncate'](handle, size)


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


def read_words(path, offset):
    """Return the whole lines of words behind so many bytes, as far as this host sees them."""
    name = os.path.basename(path)
    try:
        with open(path, 'rb') as source:
            source.seek(offset)
            text = source.read()
    except FileNotFoundError:
        return b''
    seen = WORLD.visible_size(WORLD.actor.host, name) - offset
    text = text[:max(0, int(min(len(text), seen)))]
    return text if WORLD.plant == 'piece' else text[:text.rfind(b'\n') + 1]


def hear(words):
    found = REAL[module.Words, 'hear'](words)
    if found and WORLD.plant == 'offset':
        words._read += 1
    return found


def count_cpu(words):
    if WORLD.plant == 'cpu':
        words._spent = 0
    return REAL[module.Words, '_count_cpu'](words)


def is_made(outputs, inputs):
    return int(os.path.basename(outputs[0])[1:]) in WORLD.proof.made


def commands_done(plan, event, end):
    if WORLD.plant == 'proven':
        event = dict(event, error_reason='')
    return REAL['commands_done'](plan, event, end)


class Awaited(REAL['Awaited']):
    """The other execution."""

    def hindrance(self):
        return 'waiting for another execution' if WORLD.now < WORLD.proof.until else ''


class Gate(REAL['Gate']):
    """What comes before the first submission."""

    def waits(self):
        is_new = self.ledger.drivers.last != '' and len(WORLD.actors) > 1
        return super().waits() and not (WORLD.plant == 'ahead' and is_new)

    def _is_made(self, number):
        if WORLD.plant == 'insisted':
            return not self.ledger.status[number] and WORLD.proof.is_there(number)
        if WORLD.plant == 'partly' and not self.ledger.attempts[number]:
            return not self.ledger.status[number] and number * self.ledger.group in WORLD.proof.made
        if WORLD.plant == 'unsought' and number * self.ledger.group >= WORLD.jobs:
            return False
        return super()._is_made(number)


def sound_end(text):
    end = REAL['sound_end'](text)
    if end and WORLD.plant == 'proof':
        end.pop('lacks', None)
    return {'exit_code': 0, 'time': 0} if end is None and WORLD.plant == 'empty' else end


def close_batch(logs, number):
    """Remove a list, unless a bug is planted."""
    WORLD.step('remove')
    event = WORLD.batches.get(int(number), {})
    if WORLD.plant != ('open' if 'crew' in event else 'behind') or not WORLD.actor.driver.chunks.giving:
        REAL[module.Logs, 'close_batch'](logs, number)


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

    listed = ()    # ids of the orders that were there, last

    def waiting(self, *args):
        found = super().waiting(*args)
        found = found[::-1] if WORLD.plant == 'order' and WORLD.actor.driver else found
        self.listed = [id for id, _ in found]
        if WORLD.plant == 'inbox' and WORLD.actor.driver:
            for id, _ in found:
                module.remove_file(self._path(id))
        return found

    def remove(self, id, map=''):
        """Rule: an order is taken away only when it stands in the journal for sure."""
        driver = WORLD.actor.driver
        if id not in driver.ledger.obeyed or WORLD.plant != 'fsync' and driver.lease.unsynced():
            raise Broken('the order {} is taken away before it is sure to be in the journal'.format(id))
        if WORLD.fault('crash', 0.1):
            WORLD.actor.dead = True
            raise Crash()
        super().remove(id, map)


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
        for event in events:
            check = getattr(driver, 'before_' + event['event'], None)
            if check:
                check(event, events)
        written = self.unwritten + list(events)
        lived = WORLD.life.follow(self, written)
        super().write(events)
        driver.costs.note_events(written)
        for change in lived:
            change.sure, change.size = True, self._journal.size
        self.written.extend((event, json.dumps(event)) for event in written)
        for event in written:
            check = getattr(driver, 'after_' + event['event'], None)
            if check:
                check(event)

    hasty = False    # whether nothing is brought to the disk

    def sync(self):
        if not self.hasty:
            super().sync()

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
        self.leads, self.costs = False, Costs()
        self.looked = self.moved = 0    # and when that went on
        self.judging = None    # since when it judges what is gone
        self.blind = self.returning = False    # whether the accounts have not answered; whether it takes a batch back
        self.causes, self.cancelled_at = 1, 0    # reasons to tell the scheduler what to end; when that was done last

    def lead(self, *args, **options):
        leads = self.leads = super().lead(*args, **options)
        if leads:
            WORLD.resumed = self.ledger.settings.get('halt_from', [0, 0])
        if leads:    # others may have died while they wrote what is cancelled
            self.after_cancel(None)
        return leads

    # What is written

    def before_batch(self, event, events):
        """Rules: nothing is submitted while it is halted; where nobody asked for workers, there are some only once the
        journal says so, and from then on they run all that they can."""
        if self.ledger.settings.get('halted'):
            raise Broken('batch {} is submitted, and all is paused'.format(event['batch']))
        excluded = {host for host, (_, why) in self.ledger.settings.get('excluded', {}).items() if why}
        with contextlib.suppress(FileNotFoundError), open(self.logs.excluded) as source:
            excluded -= set(source.read().split())
        if any(WORLD.now - WORLD.shunned[host] > 20 for host in excluded):
            raise Broken('{} are left out, and workers there are not told'.format(excluded))
        numbers = {self.ledger.number(module.split_key(key)[0]) for key in event['tasks']}
        are_gone = WORLD.canaries and WORLD.canaries <= self.without_attempt()
        is_awaited = WORLD.canary and not WORLD.released and not are_gone
        if is_awaited and not (WORLD.canaries and numbers <= WORLD.canaries):
            raise Broken('{} are submitted, and no canary has completed'.format(sorted(numbers - WORLD.canaries)))
        for number in [self.ledger.number(module.split_key(key)[0]) for key in event['tasks']]:
            if number in self.ledger.gone:
                raise Broken('job {} is submitted, and is no longer in the map'.format(number))
            if event.get('params', {}) != self.expected_changes(number):
                raise Broken('job {} is submitted with {}, where {} was set'.format(
                    number, event.get('params'), self.expected_changes(number)))
        own = {'time': '01:00:00'} if WORLD.limited and 'crew' not in event else {}
        asked = dict(module.first_texts(WORLD.request), **{'time': '02:00:00'} if WORLD.limited else {})
        asked.update(own)
        asked.update(event.get('params', {}) if 'crew' not in event else self.ledger.settings.get('params') or {})
        asked.update(module.raised_texts(self.ledger, asked) if 'crew' in event else {})
        WORLD.asked_for[event['name']] = {key: text.partition(',')[0] for key, text in asked.items() if text}
        if WORLD.pull is None and 'crew' in event and not WORLD.short:
            raise Broken('there are workers, and the journal does not say why')
        if WORLD.pull is None and 'crew' not in event and self.ledger.settings.get('pull'):
            params = self.plan.worker_params(self.ledger)
            for number in [self.ledger.number(module.split_key(key)[0]) for key in event['tasks']]:
                earlier = self.ledger.earlier(number)
                fits = module.worker_can_run(self.submitter.job_params(number)[0], params)
                if fits and not (earlier and earlier[-1].get('alone')) and 'elsewhere' not in event:
                    raise Broken('job {} has a task of its own, and workers run the others'.format(number))

    def after_batch(self, event):
        """Rule: no more is submitted than may run."""
        if event.get('crew', event['batch']) != event['batch'] or WORLD.local:
            return    # for workers that are there, or it waits for its turn
        alone = sum('crew' not in self.ledger.batch_of(record) for record in self.ledger.live.values())
        workers = self.pools.at_work() + event.get('workers', 0)
        if alone + workers > self.max_running:
            raise Broken('{} jobs and {} workers where {} may run'.format(alone, workers, self.max_running))

    def expected_changes(self, number):
        """Return what is to be different from the map for a job that is submitted now, as texts."""
        own = {'time'} if WORLD.limited else set()
        found = {key: text.partition(',')[0] for key, text in (self.ledger.settings.get('params') or {}).items()
                 if key not in own}    # of several values the first one
        changed, last = self.ledger.changes.get(number, {}), self.ledger.earlier(number)[-1:]
        found.update(changed)
        if last and last[0].get('rerun') and not last[0].get('retry', {}).items() <= found.items():
            raise Broken('job {} is submitted with {}, and its retry was to have {}'.format(
                number, found, last[0]['retry']))
        learned = self.ledger.settings.get('learned')
        is_newest = self.lease._epoch == max(self.logs.epochs())
        if learned and is_newest and WORLD.ledger().settings.get('learned') != learned:
            raise Broken('what was learned stands nowhere: {}'.format(learned))
        asked = dict(module.first_texts(WORLD.request), **{'time': '01:00:00'} if WORLD.limited else {})
        raised = module.raised_texts(self.ledger, dict(asked, **found))
        found.update((key, text) for key, text in raised.items() if key not in changed)
        return found

    def before_cancel(self, event, events):
        """Rule: nobody ends what nobody has cancelled."""
        numbers = {number for first, last in event['numbers'] for number in range(first, last + 1)}
        if 'now' in WORLD.halt and any(other.get('halt_kind') == 'rule' for other in events):
            WORLD.named.update(numbers)
        if not any(other['event'] == 'command' for other in events) and not numbers <= WORLD.named:
            raise Broken('{} are cancelled, and nobody ordered that'.format(sorted(numbers - WORLD.named)))

    def without_attempt(self):
        """Return the numbers of jobs that never run: their outputs are there, or they are no longer in the map."""
        return {number for number in range(self.ledger.count)
                if number in self.ledger.gone or self.ledger.is_skipped(number)}

    def before_set(self, event, events):
        """Rules: canaries are chosen once, and others come when one has completed, or when there is none of which
        that is to be hoped; what halts is so."""
        if event.get('canaries'):
            count = min(WORLD.canary, self.ledger.count)
            if WORLD.canaries - set(event['canaries']) or len(event['canaries']) != count:
                raise Broken('{} are canaries, and {} were'.format(event['canaries'], WORLD.canaries))
            WORLD.canaries = set(event['canaries'])
        records = [self.ledger.record(number) for number in WORLD.canaries - self.without_attempt()]
        if 'canaries' in event and not event['canaries']:
            if not WORLD.released and not self.ledger.settings.get('halt_reason') and not all(
                    record.get('error_reason') == 'cancelled' for record in records) and not any(
                    record['status'] == 'COMPLETED' for record in records):
                raise Broken('the canaries {} are forgotten'.format(WORLD.canaries))
            WORLD.released = True
        if event.get('halt_kind') == 'canary' and not all(record['status'] == 'FAILED' for record in records):
            raise Broken('halted, and not all canaries failed')
        for host in event.get('excluded', ()):
            WORLD.shunned.setdefault(host, WORLD.now)
            ends = [record for number in range(self.ledger.count) for record in [
                self.ledger.record(number)] + self.ledger.earlier(number) if record.get('host') == host]
            bad = [record for record in ends if record['status'] == 'FAILED']
            if len(bad) < module.BadHosts.FAILED or len(event['excluded']) > 1:
                raise Broken('{} are left out, of which {} failed'.format(event['excluded'], bad))
        if event.get('halt_kind') == 'rule' and not self.exceeds(False):
            raise Broken('halted: {}'.format(event['halt_reason']))

    def exceeds(self, sure):
        """Tell whether so many jobs have failed since all was resumed that it is to halt. Those that run again since
        then may have been among them.

        Args:
            sure: whether it must, and not only may
        """
        limit = re.search(r'fail=(\d+)(%?)', WORLD.halt)
        jobs = set(range(self.ledger.count)) - self.ledger.gone
        ends = [record['status'] for record in map(self.ledger.record, jobs) if record['status'] in Life.OVER
                and record.get('error_reason') != 'cancelled']
        if not limit or limit.group(2) and WORLD.resumed and WORLD.retried:
            return bool(limit) and not sure
        before = WORLD.resumed if sure or not WORLD.retried else [0, 0]
        ended, failed = len(ends) - before[0], ends.count('FAILED') - before[1]
        if limit.group(2):
            return ended >= 20 and 100 * failed >= int(limit.group(1)) * ended
        return failed >= int(limit.group(1))

    def after_set(self, event):
        if event.get('halt_reason'):
            self.causes += 1
            WORLD.halted = min(WORLD.halted, WORLD.now)
        if 'halt_from' in event:
            WORLD.resumed, WORLD.retried = event['halt_from'], False

    def before_usage(self, event, events):
        """Rule: what the accounts add is of the same attempt."""
        WORLD.check_own(module.key_of(event), event)

    def before_run(self, event, events):
        """Rule: what has begun does not wait."""
        if event['status'] == 'PENDING' and self.attempts.has_begun(module.key_of(event)):
            raise Broken('{}.{} had begun, and is PENDING'.format(event['job'], event['attempt']))

    def before_end(self, event, events):
        """Rules: what is cancelled before it ran was claimed, so that nobody runs it; what is told of an attempt is
        its own."""
        WORLD.check_own(module.key_of(event), event)
        last = self.ledger.earlier(self.ledger.number(event['job']))[-1:]
        by_refusal = event.get('error_reason') == 'submit' and not event.get('rerun')
        if by_refusal and last and WORLD.seems_retried(last[0]) and last[0]['retry']:
            raise Broken('{} has failed for the refusal of its retry'.format(module.key_of(event)))
        live = self.ledger.number(event['job']) in self.ledger.live    # else it tells once more how it ended
        path = WORLD.path((self.chunks.first_of(event) if live else '') + '.start')
        if live and event.get('error') == 'cancelled before it ran' and not os.path.exists(path):
            raise Broken('{} is not claimed, and cancelled'.format(path))

    def before_retry(self, event, events):
        """Rule: what runs again by itself was interrupted, not too often, or its worker ended, once; and nobody has
        cancelled it."""
        WORLD.retried = True
        if any(other['event'] == 'command' for other in events):
            return
        for number in module.retried_numbers(event):
            ends = [other for other in events if other['event'] == 'end' and self.ledger.number(other['job']) == number]
            record, earlier = (ends or [self.ledger.record(number)])[0], self.ledger.earlier(number)
            word = module.key_of(record)
            if 'retry' in record:
                self.check_retry(record, earlier, number, event)
                continue
            if record.get('alone') and number not in self.ledger.cancelled:
                if earlier and earlier[-1].get('alone') or not isinstance(WORLD.copies[word][0], Worker):
                    raise Broken('{} had a task of its own, and runs again'.format(word))
                continue
            if module.asks_again(record) and number not in self.ledger.cancelled:
                if times_again(self.ledger, number) >= module.AGAIN_MOST:
                    raise Broken('{} has asked to run again too often, and does'.format(word))
                continue
            reasons = module.INTERRUPTED + (('lost',) if WORLD.mends else ())
            before = itertools.takewhile(lambda past: not module.waited_in_vain(past), reversed(earlier))
            if module.waited_in_vain(record) and number not in self.ledger.cancelled and any(
                    past.get('error_reason') in reasons for past in before):
                continue    # there was no other host
            if record.get('error_reason') not in reasons or number in self.ledger.cancelled:
                raise Broken('{} runs again, and was not interrupted'.format(module.key_of(record)))
            if sum(attempt.get('error_reason') in reasons for attempt in earlier) >= module.RERUNS:
                raise Broken('{} was interrupted too often, and runs again'.format(module.key_of(record)))

    def check_retry(self, record, earlier, number, event):
        """Rule: what is retried failed for a reason that counts, not too often, and requests what it should."""
        word = module.key_of(record)
        chain = list(itertools.takewhile(lambda other: other.get('rerun'), reversed(earlier)))
        past = sum(map(WORLD.seems_retried, chain))
        if number in self.ledger.cancelled or not WORLD.mends or (past >= 2 and record['error_reason'] != 'submit'):
            raise Broken('{} is retried, {} times before, and cancelled or not to be'.format(word, past))
        if record['error_reason'] not in ['memory', 'time', 'submit'] + WORLD.rules['retry_on'].split(','):
            raise Broken('{} is retried, and failed for {}'.format(word, record['error_reason']))
        if event.get('params', {}) != record['retry']:
            raise Broken('{} is retried with {}, not {}'.format(word, event.get('params'), record['retry']))
        asked = self.plan.params_of(record).get('memory')
        right = asked and int(asked * float(WORLD.rules['grow']))
        if record['error_reason'] == 'memory' and ',' not in WORLD.request['memory'] and asked:
            most = module.parse_memory(WORLD.rules['max_memory'] or '1000G')
            if min(right, most) != module.parse_memory(record['retry'].get('memory', module.exact_memory(asked))):
                raise Broken('{} requests {} at its retry, after {}'.format(word, record['retry'], asked))

    def after_cancel(self, event):
        WORLD.cancelled.update(map(module.key_of, map(self.ledger.live.get, self.ledger.cancelled)))

    def after_submitted(self, event):
        self.causes += bool(event['id'])

    def before_command(self, event, events):
        """Rules: an order does what it says to the jobs that it names, and nothing else; it is answered truly; each
        is obeyed once, and those that came before it first."""
        self.causes += 1
        order = WORLD.orders[event['command']]
        found, right = effects_of(events), self.effects_of_order(order)
        if order['do'] == 'add':    # what an earlier retry changed, and the map says anew
            found.pop('retry params', None)
            WORLD.retried = True    # or jobs that are no longer in the map are not counted any more
        if found != right:
            raise Broken('the order {} does {}, and not {}'.format(order, found, right))
        WORLD.named.update(right.get('cancel', ()), right.get('dropped', ()), right.get('end', ()))
        WORLD.proof.again.update(right.get('retry', ()))    # even if only this gets to the disk, and not the answer
        for other in events:
            if other['event'] == 'map':
                WORLD.named.update(right['map'][1])    # nobody wants what becomes of these
                WORLD.maps[other['file']] = right['map'][0], WORLD.edits[order['map']]
        told, true = counts_in(event['said']), self.counts_of_order(order, right)
        if told != true:
            raise Broken('the order {} is answered: {}; and it is {}'.format(order, event['said'], true))
        if self.lease._epoch == max(self.logs.epochs()) and event['command'] in WORLD.ledger().obeyed:
            raise Broken('the order {} is obeyed twice'.format(order))
        sooner = [id for id in self.steering.inbox.listed if id < event['command'] and id not in self.ledger.obeyed]
        if sooner:
            raise Broken('the order {} is obeyed, and {} came before it'.format(order, WORLD.orders[sooner[0]]))

    def after_command(self, event):
        """Rule: and then it is so."""
        right, ledger = effects_of(self.last_events), self.ledger
        WORLD.halted = min(WORLD.halted, WORLD.now) if self.ledger.settings.get('halted') else float('inf')
        if 'max_running' in right:
            WORLD.limits.append((WORLD.now, right['max_running']))
        WORLD.proof.started = WORLD.proof.started or bool(right.get('waited'))
        for number, params in right.get('retry params', {}).items():
            if not params.items() <= ledger.changes.get(number, {}).items():
                raise Broken('job {} is not changed to {}'.format(number, params))
        for key in ('halted', 'max_running', 'params', 'waited'):
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
        if do == 'start':
            return {'waited': True} if self.steering.gate.waits() else {}
        if do == 'max-running':
            return {'max_running': order['number']}
        if do == 'set':
            found = {'params': dict(settings.get('params') or {}, **order['params'])}
            text, memory = order['params']['memory'], (settings.get('learned') or {}).get('memory', {})
            if memory.get(text, text) != text:    # somebody knows better
                found['learned'] = dict(settings['learned'], memory=dict(memory, **{text: text}))
            return found
        if do == 'add':
            return {key: value for key, value in self.effects_of_map(order)[0].items() if value}
        unnamed = do == 'retry' and not order.get('statuses') and not order.get('ids')
        statuses = ['FAILED'] if unnamed else order.get('statuses') or module.STATUSES
        ids = order.get('ids') or [[0, ledger.commands]]
        named = [number for number in range(ledger.count) if module.STATUSES[ledger.status[number]] in statuses
                 and any(first <= number * ledger.group <= last for first, last in ids)
                 and not (number in ledger.gone and number not in ledger.live)]
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
                right['retry params'] = dict.fromkeys(right['retry'], order['params'])
        return {key: value for key, value in right.items() if value}

    def effects_of_map(self, order):
        """Return what comes of another map, as `effects_of` tells it, and the numbers that the answer tells."""
        ledger, lines, size = self.ledger, WORLD.edits[order['map']], WORLD.group
        commands, user = WORLD.maps[ledger.map.get('file', '')]
        former = ledger.map.get('params') or self.plan.info['params']
        changes = {key: order['params'].get(key, '') for key in {**former, **order['params']}
                   if former.get(key) != order['params'].get(key)}
        jobs, gone, kept, places = collections.defaultdict(set), set(), set(), {}
        for index in sorted(range(len(commands)), key=lambda index: (index // size in ledger.gone, index)):
            places.setdefault(commands[index], index)
        here = {places[line]: line for line in lines if line in places}
        for number in range(ledger.count):
            own = {index for index in range(number * size, min(number * size + size, len(commands)))
                   if commands[index] != module.FILLER.decode()}
            status, live = module.STATUSES[ledger.status[number]], number in ledger.live
            if not (own <= set(here) or own & set(here) and (live or status == 'COMPLETED')):
                gone.add(number)
                continue
            kept.update(here[index] for index in own & set(here))
            again = status == 'COMPLETED' and order['strict'] and (changes or ledger.former[number])
            jobs['live' if live else 'again' if again else status].add(number)
        fresh = [line for line in lines if line not in kept]
        waiting = {number for number in gone if not ledger.status[number]}
        back = set(filter(ledger.before_retry, waiting))
        right = {'retry': jobs['FAILED'] | jobs['again'], 'end': back, 'dropped': waiting - back,
                 'cancel': {number for number in gone if ledger.status[number] == 1}}
        if changes:
            right['params'] = dict(ledger.settings.get('params') or {}, **changes)
        if fresh or gone != ledger.gone or changes:
            filler = [module.FILLER.decode()] * (-len(commands) % size if fresh else 0)
            right['map'] = commands + filler + fresh, gone
        told = [len(jobs[key]) for key in ('COMPLETED', 'again', 'FAILED', 'live', 'UNSUBMITTED')]
        told.append(-(-len(fresh) // size))
        return right, [sum(told)] + [number for number in told + [len(gone)] if number]

    def counts_of_order(self, order, right):
        """Return the numbers that an answer to an order tells, in their order."""
        do, ledger = order['do'], self.ledger
        if do == 'add':
            return self.effects_of_map(order)[1]
        unsubmitted, live = ledger.count_of(module.UNSUBMITTED), len(ledger.live)
        if do == 'cancel':
            over = sum(module.STATUSES[ledger.status[number]] in Life.OVER for number in selected_jobs(ledger, order))
            numbers = [len(right.get('cancel', ())), len(right.get('end', ())), len(right.get('dropped', ())),
                       over if order.get('ids') else 0]
            return [number for number in numbers if number]
        if do == 'retry':
            return [len(right.get('retry', ()))]
        if do == 'stop' and not order['cancel'] and self.backend.takes_back:
            live = ledger.count_of(module.RUNNING)
        if do == 'start':
            return [unsubmitted] * bool(right)
        return {'pause': [unsubmitted, live], 'resume': [unsubmitted], 'set': [unsubmitted], 'stop': [live],
                'max-running': [order.get('number'), self.max_running]}[do]

    # What is done

    def tick(self):
        self.began = WORLD.now
        super().tick()
        self.look_whether_it_goes_on()
        self.look_whether_it_halts()

    def look_whether_it_halts(self):
        """Rule: where so many jobs have failed, nothing more is submitted."""
        waiting = self.ledger.count_of(module.UNSUBMITTED)
        quiet = self.halted or self.leaving or self.trouble or self.lease._epoch < max(self.logs.epochs())
        if waiting and not quiet and self.exceeds(True) and self.counted == list(self.ledger.counts):
            raise Broken('{} failed, and submitting goes on'.format(self.ledger.counts))
        self.counted = list(self.ledger.counts)

    counted = None

    def look_whether_it_goes_on(self):
        """Rule: where nothing goes on, it is said why."""
        stands = not self.ledger.live and self.ledger.left() and not self.halted and not self.leaving
        stands = stands and not (self.asker.under_way('submit') or self.asker.under_way('limits'))
        slept = WORLD.now - self.looked > 30
        if not stands or slept or self.trouble or self.lease._epoch < max(self.logs.epochs()):
            self.moved = WORLD.now
        self.looked = WORLD.now
        if WORLD.now - self.moved > 60:
            raise Broken('nothing goes on since {:.0f}, and nobody says why'.format(self.moved))

    def set(self, **settings):
        if {'decided': 'pull', 'learned': 'learned'}.get(WORLD.plant) in settings:
            self.ledger.settings.update(settings)
        else:
            super().set(**settings)

    @property
    def halted(self):
        return super().halted and WORLD.plant != 'pause'

    @property
    def trouble(self):
        return '' if WORLD.plant == 'mute' else super().trouble

    def _complain(self, error):
        super()._complain(error)
        self.backend.hush = {}    # when it submits again is decided anew


class Steering(REAL['Steering']):
    """What is ordered and cancelled."""

    def _answer(self, order):
        reply = super()._answer(order)
        if (WORLD.plant, order['do']) in (('nothing', 'set'), ('waited', 'start')):
            reply = reply._replace(events=[])
        if WORLD.plant == 'former' and order['do'] == 'cancel':
            reply = reply._replace(events=[dict(event, status='COMPLETED') if event['event'] == 'end' else event
                                           for event in reply.events])
        if WORLD.plant == 'stop' and order['do'] == 'stop':
            reply = reply._replace(events=[])
        if WORLD.plant == 'withdrawn' and order['do'] == 'add':
            reply = reply._replace(events=[event for event in reply.events if event['event'] != 'dropped'])
        if WORLD.plant == 'answer' and order['do'] == 'cancel':
            reply = reply._replace(text=re.sub(r'\d+', lambda match: str(int(match.group()) + 1), reply.text, 1))
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
        for record in map(self.ledger.live.get, self.ledger.cancelled):
            if not driver.attempts.has_begun(module.key_of(record)):
                WORLD.unwanted.setdefault(module.key_of(record), WORLD.now)
        for word, since in told.items():
            WORLD.verdicts.setdefault(word, (WORLD.now, since, 'cancelled'))
        if WORLD.plant == 'forgets':
            self.cancel_due = float('inf')

    def cancel(self, numbers):
        self.driver.causes += 1
        super().cancel(numbers)

    def end_tasks(self, tasks):
        if WORLD.plant == 'all':
            others = map(self.driver.attempts.task, self.ledger.live.values())
            tasks = list(tasks) + [task for task in others if task and task[0] in {id for id, _ in tasks}]
        super().end_tasks(tasks)

    def end_cancelled(self, now):
        if WORLD.plant == 'insists' and self.ledger.cancelled:
            self._cancel_now = True
        super().end_cancelled(now)

    def obey(self):
        if WORLD.plant == 'repeat':
            self.ledger.obeyed.clear()
        super().obey()

    def _obey(self, *args):
        awaited = dict(self.driver.queue.waiting_for_usage)
        super()._obey(*args)
        if WORLD.plant == 'usage':
            self.driver.queue.waiting_for_usage.update(awaited)


class BadHosts(REAL['BadHosts']):
    """Where nothing more is submitted."""

    FAILED = 2

    @property
    def PART(self):
        return 1 if WORLD.plant == 'many' else 0.05

    def excluded(self):
        return set() if WORLD.plant == 'shunned' and self.lease._epoch > 1 else super().excluded()

    def _tell_workers(self):
        if WORLD.plant != 'linger':
            super()._tell_workers()


class Halts(REAL['Halts']):
    """What stops an execution early."""

    def canaries(self):
        return [] if WORLD.plant == 'canaries' and self.lease._epoch > 1 else super().canaries()

    def look(self):
        if WORLD.plant == 'scared':
            self.ledger.settings.pop('halt_from', None)
        if WORLD.plant != 'heedless':
            super().look()
        if WORLD.plant == 'drops' and self.ledger.settings.get('halt_reason') and not self.driver.leaving:
            waiting = [number for number in range(self.ledger.count) if not self.ledger.status[number]]
            self.lease.write([{'event': 'dropped', 'time': self.here.time(), 'numbers': module.as_spans(waiting)}]
                             if waiting else [])


class Unclaimed(REAL['Unclaimed']):
    """The jobs on lists that nobody has begun."""

    def _on_lists(self, *args):
        waiting = super()._on_lists(*args)
        if WORLD.plant == 'ours':
            waiting.ours.clear()
        if WORLD.plant == 'rest':
            waiting.rest.clear()
        return waiting

    def _take_back(self, *args):
        *args, grace = args
        super()._take_back(*args, -1 if WORLD.plant == 'unseen' else grace)


class Pools(REAL['Pools']):
    """The workers that take jobs from lists."""

    @property
    def size(self):
        returned = any(self.ledger.attempts[number] for number in self.ledger.following(1))
        return 0 if WORLD.plant == 'wavering' and WORLD.pull is None and returned else super().size

    def claim(self, record):
        return WORLD.plant == 'unclaimed' or super().claim(record)

    def look_after(self):
        self.driver.chunks.giving = True
        super().look_after()
        self.driver.chunks.giving = False

    def _shrink(self, count):
        if WORLD.plant != 'stay':
            super()._shrink(count)

    def cut_off(self, *args):
        return WORLD.plant != 'cut' and super().cut_off(*args)

    def ended_alone(self, *args):
        return WORLD.plant != 'whose' and super().ended_alone(*args)


class Asker(REAL['Asker']):
    """What is asked beside the work of the driver: of some questions the answer takes long, and then it is that of
    the time when they were asked, or that of its end."""

    def ask(self, kind, about, function, *arguments):
        self.kind = kind
        self.driver.costs.note_call(kind)
        if kind == 'cancel':
            self.check_ended(arguments[0])
        super().ask(kind, about, function, *arguments)

    def _put(self, question):
        world, kind = WORLD, self.kind
        question.since = world.now
        if world.local:
            return self.put(kind, question)
        if kind == 'submit':
            self.check_nodes(question.about[0])
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
            actor = world.actor
            world.at(seconds, lambda: kind != 'submit' and actor.dead or self.put(kind, question))

    def check_ended(self, tasks):
        """Rule: nobody ends what nobody has cancelled, and runs."""
        tasks = set(tasks)
        for number, record in self.ledger.live.items():
            if self.driver.attempts.task(record) in tasks and number not in self.ledger.cancelled and any(
                    copy.running and copy.known and copy.word == module.key_of(record)
                    for copy in WORLD.copies.get(module.key_of(record), ())):
                raise Broken('{} runs, is not cancelled, and the scheduler shall end it'.format(
                    module.key_of(record)))

    def check_nodes(self, event):
        """Rule: nothing is submitted to a node of which the journal says that nothing begins there, nor a job to the
        node that failed with it."""
        own = set(event.get('elsewhere', ()))
        avoided = {node for node, (since, _, _) in self.ledger.settings.get('avoided', {}).items()
                   if abs(self.here.time() - since) < 3600}
        excluded = {host for host, (_, why) in self.ledger.settings.get('excluded', {}).items() if why}
        begun = set().union(*self.driver.attempts.launches._good.values()) - excluded
        if excluded - set(self.backend.avoided) and len(self.driver.attempts.launches._good) == 1 and begun:
            raise Broken('submitted to {}, which is left out'.format(' '.join(excluded)))
        if avoided - own != set(() if WORLD.plant == 'hole' else self.backend.avoided) - excluded - own:
            raise Broken('submitted to {}, where nothing begins'.format(' '.join(avoided)))
        for key in event['tasks'] if WORLD.exclude and len(self.driver.attempts.launches._good) == 1 else ():
            earlier = self.ledger.earlier(self.ledger.number(module.split_key(key)[0]))
            hosts = {record.get('host') for record in earlier} & set(WORLD.nodes)
            last = earlier[-1] if earlier else {}
            interrupted = last.get('rerun') and last.get('error_reason') in ('node', 'preempted', 'lost')
            if interrupted and last.get('host') in hosts and begun - hosts - avoided and (
                    last['host'] not in self.backend.avoided) and not any(map(module.waited_in_vain, earlier)):
                raise Broken('{} is submitted to {} once more, which failed'.format(key, last['host']))

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

    def submit_batch(self, numbers, params, *args, **options):
        params = self.plan.params if WORLD.plant == 'asks' else params
        more = super().submit_batch(numbers, params, *args, **options)
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

    def submit(self):
        self._array_limit = 0 if WORLD.plant == 'limits' else self._array_limit
        super().submit()

    def largest(self, demand):
        return self._array_limit if WORLD.plant == 'half' else super().largest(demand)


class Retries(REAL['Retries']):
    """What is retried."""

    LEARN = 1

    def wanted(self, number):
        return super().wanted(number) and 100 if WORLD.plant == 'mends' else super().wanted(number)

    def note(self, number, event):
        cancelled = self.ledger.cancelled
        if WORLD.plant == 'anyhow' and number in cancelled:
            self.ledger.cancelled = {}
        super().note(number, event)
        self.ledger.cancelled = cancelled

    def learn(self):
        if WORLD.plant != 'learns':
            super().learn()

    def explain_refusal(self, event):
        return event if WORLD.plant == 'first' else super().explain_refusal(event)


class Recall(REAL['Recall']):
    """What is taken back."""

    def forget_id(self, batch, id):
        """Rule: one submission has an id, and of those that had it before only what has begun counts."""
        others = [other for other in self.ledger.batches.values() if other.get('id') == id and other['batch'] != batch]
        if WORLD.plant != 'again':
            super().forget_id(batch, id)
        names = {name for name in REAL[module.Logs, 'listing'](self.logs) if WORLD.visible(self.here.host, name)}
        for other in others:
            for record in self.ledger.live.values():
                word = module.key_of(record)
                if record['batch'] == other['batch'] and self.driver.chunks.is_claimed(record, names):
                    continue    # its worker comes to it
                if record['batch'] == other['batch'] and (other['id'] == id or WORLD.known_since(
                        self.here.host, word, 'start', WORLD.there) > WORLD.now):
                    raise Broken('{} still waits under the id {}, which is given again'.format(word, id))

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

    def withdraw(self):
        if WORLD.plant != 'waits' or self.driver.leaving:
            super().withdraw()

    def take_over(self):
        super().take_over()
        if WORLD.plant == 'traceless':
            self._untraced = 0
        if WORLD.plant == 'grown':
            self.ledger.changes.clear()

    def may_rerun(self, number, event):
        if WORLD.plant == 'reruns':
            return event.get('error_reason') in module.INTERRUPTED
        if WORLD.plant == 'saved' and module.asks_again(event):
            return False
        return WORLD.plant != 'rerun' and super().may_rerun(number, event)

    def times_again(self, number):
        if WORLD.plant != 'recount':
            return super().times_again(number)
        return sum(module.asks_again(record) for record in self.ledger.earlier(number)
                   if record.get('batch', 0) > self.driver.submitter._last_batch)

    def _names_to_find(self):
        if WORLD.plant != 'flight':
            return super()._names_to_find()
        return {number: batch['name'] for number, batch in self.ledger.batches.items() if batch.get('id') is None}

    def unsubmit(self, keys, **options):
        """Rule: an attempt that can be seen to have begun is not taken back, nor one that somebody took out of
        the queue."""
        if WORLD.dropped.intersection((self.driver, key) for key in keys):
            raise Broken('{} was taken out of the queue, and is taken back'.format(sorted(keys)))
        for word in keys:
            if WORLD.known_since(self.here.host, word, 'start', WORLD.there) < WORLD.actor.looked:
                raise Broken('{} is taken back, and has begun'.format(word))
        super().unsubmit(keys, **options)


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
        self.timer.due = 0 if WORLD.plant == 'polls' else self.timer.due
        self.question = self.driver.asker.under_way('poll')
        super().poll()
        for record in self.ledger.live.values() if WORLD.plant == 'back' else ():
            if 'began' in record:
                record['started'] = record.pop('began')

    def look_at_load(self, now):
        self._load_due = 0 if WORLD.plant == 'load' else self._load_due
        super().look_at_load(now)

    def _see_listed(self, record, status, message):
        events = super()._see_listed(record, status, message)
        return events or ([self.driver.attempts.changed_record(record)] if WORLD.plant == 'chatter' else events)

    def _judge(self, tasks, accounts, *args):
        driver = self.driver
        driver.judging, driver.blind = WORLD.now, accounts is None
        for number in tasks if WORLD.plant == 'trace' else ():
            driver.attempts.tries[number] = 3
        super()._judge(tasks, {} if driver.blind and WORLD.plant == 'judge' else accounts, *args)
        driver.judging = None


class Chunks(REAL['Chunks']):
    """What is said of the jobs of chunks."""

    giving = False    # whether something is about to be given to others

    def give_back(self):
        """Rule: what was said not to begin is given back."""
        self.giving = True
        super().give_back()
        self.giving = False
        for record in self.ledger.live.values() if not (WORLD.full or WORLD.forbidden) else ():
            key = module.key_of(record)
            batch, name, size, since = WORLD.void.get(key, (0, '', 0, 0))
            is_free = name == key + '.start'    # to be claimed again
            if batch == record['batch'] and not is_free and os.path.exists(WORLD.path(name)) and max(
                    since, WORLD.others_see(name, size)) < self.driver.began - 60:
                raise Broken('{} was said not to begin, and is not given back'.format(module.key_of(record)))

    def _is_of(self, *args):
        return WORLD.plant == 'moved' or super()._is_of(*args)

    def _take_ended(self, chunk):
        found = super()._take_ended(chunk)
        if WORLD.plant == 'doubled':
            self.held.clear()
        return found

    def forget(self, keys):
        if WORLD.plant != 'anew':
            super().forget(keys)

    def has_end(self, *args):
        return WORLD.plant != 'deaf' and super().has_end(*args)

    def first_of(self, record):
        return module.key_of(record) if WORLD.plant == 'alone' else super().first_of(record)

    def _take_back(self, chunk, key):
        if WORLD.plant == 'void' and key in chunk.keys:
            chunk.keys = chunk.keys[:chunk.keys.index(key) + 1]
        super()._take_back(chunk, key)


class Shares(REAL['Shares']):
    """What shells of this machine run in turn."""

    def take_over(self):
        super().take_over()
        if WORLD.plant == 'inherited':
            self._inherited_due = 0

    def look_after(self):
        self.driver.chunks.giving = True
        super().look_after()
        self.driver.chunks.giving = False


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
            unsaid = word in WORLD.unsure
            if not unsaid and WORLD.known_since(self.here.host, word, 'end', WORLD.whole) < driver.judging:
                raise Broken('{} has said how it ended, and is judged without that'.format(word))
            if self.here_runs(word):
                raise Broken('{} has ended, and a copy of it runs'.format(word))
        event = super().ended(record, end, *args)
        earlier = self.ledger.earlier(self.ledger.number(record['job'])) if WORLD.plant == 'host' else ()
        if earlier and earlier[-1].get('host'):
            event['host'] = earlier[-1]['host']
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
        seen = WORLD.known_since(self.here.host, word, 'start', WORLD.whole) < self.driver.judging
        return seen and not WORLD.kinds & {'lie', 'forget'} and any(
            copy.running and copy.known and copy.word == word for copy in WORLD.copies[word])

    def corrected(self, *args):
        return [] if WORLD.plant in ('lie', 'late') else super().corrected(*args)


class Scribe(REAL['Scribe']):
    """What is written for each job, and what is removed."""

    def flush(self):
        if WORLD.plant == 'early':
            self.lease.write([{'event': 'saved'}])
        self.lease.hasty = WORLD.plant == 'words'
        super().flush()
        self.lease.hasty = False

    def _clean(self):
        if WORLD.plant == 'litter':
            self.remove_scripts()
            self.needs_cleaning = False
            return None
        if WORLD.plant == 'done':
            for key in self.driver.attempts.closed:
                module.remove_file(os.path.join(self.logs.run, key + '.done'))
        if WORLD.plant != 'claims':
            return super()._clean()
        closed = self.driver.attempts.closed
        for name in self.logs.listing():
            if name.rpartition('.')[0] in closed:
                module.remove_file(os.path.join(self.logs.run, name))
        closed.clear()
        self.needs_cleaning = False


def chunk_sizes(count, left, workers, most):
    """Return how large the chunks of a list are: any size, as many jobs are more than a world has."""
    found = []
    while count > 0:
        found.append(WORLD.random.randint(1, min(WORLD.chunk, count)))
        count -= found[-1]
    return found


def effects_of(events):
    """Return what the events of an order change: settings, and sets of jobs."""
    found = {}
    for event in events:
        if event['event'] == 'set':
            found.update((key, value) for key, value in event.items()
                         if key in ('halted', 'max_running', 'params', 'waited', 'learned'))
        elif event['event'] in ('cancel', 'dropped', 'retry'):
            numbers = set(module.numbers_in(event['numbers']))
            found.setdefault(event['event'], set()).update(numbers)
            if event.get('params'):
                found.setdefault('retry params', {}).update(dict.fromkeys(numbers, event['params']))
        elif event['event'] == 'map':
            map = module.Map(os.path.join(WORLD.logs.qmap, event['file']), submitted=True)
            found['map'] = [map.command(index)[0] for index in range(len(map))], set(module.numbers_in(event['gone']))
        elif event['event'] == 'end':    # of a retry that was taken back
            found.setdefault('end', set()).add(int(event['job']) // WORLD.group)
    return found


def times_again(ledger, number):
    """Return how many attempts of a job before the last one asked to run again, since somebody had it run."""
    count = 0
    for record in reversed(ledger.earlier(number)):
        if not record.get('rerun'):
            break
        count += module.asks_again(record)
    return count


def counts_in(said):
    """Return the numbers that an answer to an order tells of it."""
    if said.startswith(('max running', 'cancelling', 'retry of', 'driver stops', 'paused', 'resumed',
                        'no longer waiting')) or re.match(r'\d', said):
        said = re.sub(r'withdrawn: .*? as before', 'withdrawn', said)
        return [int(number) for number in re.findall(r'\b(\d+)\b', said)]
    found = re.search(r'(?:retrying|for) (\d+) ', said)
    return [int(found.group(1))] if found else []


def why_outdated(logs):
    """Return why the journal may be out of date, '' where somebody drives."""
    return '' if any(actor.driver and actor.driver.leads for actor in WORLD.living()) else 'no driver is running'


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


def apply_retry(ledger, event, place):
    REAL['retry'].apply(ledger, event, place)
    if WORLD.plant == 'twin':
        for number in module.numbers_in(event['numbers']):
            ledger.attempts[number] -= 1


def script_of(plan, ledger, number, attempt=None):
    if WORLD.plant == 'script':
        params = module.change_params(plan.job_params(number), plan.changes(ledger, number))
        return ''.join(plan.script(ledger.id(number), attempt or ledger.attempts[number], params))
    return REAL[module.Plan, 'script_of'](plan, ledger, number, attempt)


def correct(unended, answer, now):
    return answer if WORLD.plant == 'unended' else REAL[module.Unended, 'correct'](unended, answer, now)


def is_planted(plant):
    """Tell whether a bug is planted in what is looked at."""
    return bool(WORLD) and WORLD.plant == plant and WORLD.actor is not None


def outdated(ledger):
    return not is_planted('frozen') and REAL[module.Ledger, 'outdated'](ledger)


def read_segment(ledger, epoch, most, *args):
    REAL[module.Ledger, '_read_segment'](ledger, epoch, None if is_planted('overtaken') else most, *args)


def undone(session, late):
    found = REAL[module.Session, '_undone'](session, late)
    return found and not (is_planted('leaves') and session._drove and not session._ledger.live)


def look(reader, *args):
    if not (is_planted('unread') and reader._merged):
        REAL[module.ExecutionReader, 'look'](reader, *args)


def changes(plan, ledger, number):
    found = REAL[module.Plan, 'changes'](plan, ledger, number)
    return dict(ledger.settings.get('params') or {}) if is_planted('unchanged') and number in ledger.changes else found


def as_spans(numbers):
    spans = REAL['as_spans'](numbers)
    if is_planted('span') and spans and spans[-1][0] < spans[-1][1]:
        spans[-1] = [spans[-1][0], spans[-1][1] - 1]
    return spans


def surviving(compaction, event, place):
    if is_planted('shrunk') and event['event'] == 'map':
        return []
    number = compaction.ledger.number(event['job']) if event['event'] == 'end' else None
    if is_planted('condensed') and number is not None and compaction.ledger.places.newest[number] != place:
        return []
    return REAL[module.Compaction, '_surviving'](compaction, event, place)


def note_map(plan, event):
    if not is_planted('former map'):
        REAL[module.Plan, 'note_map'](plan, event)


def renewal_lines(renewal):
    lines = list(REAL[module.Renewal, 'lines'](renewal))
    return lines[:-2] + lines[:-3:-1] if is_planted('renumbered') else lines


def show_beat(beat, *args, **options):
    beat._count -= is_planted('silence')
    REAL[module.Beat, 'show'](beat, *args, **options)


def claim(attempts, record):
    return WORLD.plant == 'given' or REAL[module.Attempts, 'claim'](attempts, record)


def install():
    """Put the world in its place."""
    write_json.real, read_json.real = REAL['write_json'], REAL['read_json']
    for function in (write_json, write_bytes, write_text, remove_file, read_json, read_end, Journal, Lock,
                     Inbox, Driver, Lease, Steering, Halts, BadHosts, Unclaimed, Pools, Chunks, Shares,
                     read_words, sound_end, Processes, birth, devices_of, send, Asker, Submitter, Retries,
                     Recall, Copies, Queue, Reports, Scribe, selected_jobs, chunk_sizes, why_outdated,
                     Gate, Awaited, is_made, commands_done):
        setattr(module, function.__name__, function)
    module.Host = lambda: Host(WORLD.actor)
    module.load_backend = lambda executor, settings=None, wake=None: (
        Machine(WORLD, wake) if WORLD.local else Simulated(WORLD))
    module.is_runner, module.time = lambda pid: True, Clock()
    module.bring_to_disk, os.ftruncate = bring_to_disk, cut_file
    module.Ledger.outdated, module.Ledger._read_segment, module.Session._undone = outdated, read_segment, undone
    module.ExecutionReader.look, module.Plan.changes, module.as_spans = look, changes, as_spans
    module.Compaction._surviving, module.Beat.show = surviving, show_beat
    module.Logs.listing, module.Admission.beats_elsewhere = listing, beats_elsewhere
    module.Ledger.load, module.Unended.correct, module.Attempts.claim = load, correct, claim
    module.Plan.script_of, module.Plan.note_map, module.Renewal.lines = script_of, note_map, renewal_lines
    module.Words.hear, module.Words._count_cpu, module.Logs.close_batch = hear, count_cpu, close_batch
    module.EVENTS['retry'] = REAL['retry']._replace(apply=apply_retry)
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
    pattern = REAL['WORD'].pattern
    module.WORD = re.compile(pattern.replace(r' \.', r'(?: \.)?') if plant == 'point' else pattern)
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
        for actor in world.actors + world.lookers:
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


def version():
    """Return a hash of the driver and of this file: what a seed does stays true while that is the same."""
    total = hashlib.sha256()
    for path in (module.__file__, __file__):
        with open(path, 'rb') as source:
            total.update(source.read())
    return total.hexdigest()[:16]


def note_held(first, last):
    """Write down that all seeds from `first` up to, and without, `last` hold for this version."""
    lines, spans = read_held()
    spans, joined = sorted(spans + [[first, last - 1]]), []
    for first, last in spans:
        if joined and first <= joined[-1][1] + 1:
            joined[-1][1] = max(last, joined[-1][1])
        else:
            joined.append([first, last])
    lines[version()] = ' '.join('{}-{}'.format(*span) for span in joined)
    with open(HELD, 'w') as target:
        target.writelines('{} {}\n'.format(*line) for line in lines.items())


def read_held():
    """Return {hash of a version: spans of the seeds that hold for it, as text}, and those of this version as a
    list."""
    lines = collections.OrderedDict()
    if os.path.exists(HELD):
        with open(HELD) as source:
            lines.update(line.rstrip('\n').split(' ', 1) for line in source)
    return lines, [list(map(int, span.split('-'))) for span in lines.get(version(), '').split()]


def main():
    parser = argparse.ArgumentParser(description='Run the driver in a simulated world.')
    parser.add_argument('count', nargs='?', type=int, default=1000, help='number of seeds')
    parser.add_argument('--first', '--from', type=int, default=0, metavar='SEED', help='the first seed')
    parser.add_argument('--seed', type=int, help='run this one, and tell its story')
    parser.add_argument('--seeds', help='run these, as 3,17,40, up to the first that fails')
    parser.add_argument('--plant', choices=list(PLANTED) + ['all'], help='plant a bug, and see whether it is found')
    parser.add_argument('--note', action='store_true',
                        help='note that these seeds hold for this version; with --plant: note with which '
                             'seed, which is tried first from then on')
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
    with open(SEEDS) as source:
        seeds = json.load(source)
    for plant in PLANTED if options.plant == 'all' else [options.plant or '']:
        done, broken = 0, []
        jobs = [(first, min(first + 20, options.first + options.count), plant)
                for first in range(options.first, options.first + options.count, 20)]
        if options.seeds:
            jobs = [(seed, seed + 1, plant) for seed in map(int, options.seeds.split(','))]
        if plant in seeds:
            jobs.insert(0, (seeds[plant], seeds[plant] + 1, plant))
        with multiprocessing.Pool(len(os.sched_getaffinity(0)), maxtasksperchild=20) as pool:
            for count, found in pool.imap_unordered(several, jobs):
                done, broken = done + count, broken + found
                if broken and (plant or options.seeds):
                    break
        if plant:
            print('planted {}: {}'.format(plant, 'found with seed {}'.format(min(broken)[0]) if broken
                                          else 'NOT FOUND in {} seeds'.format(done)), flush=True)
            status = status or int(not broken)
            seeds.update({plant: seed for seed, _ in broken[:1]})
        elif broken:
            seed, words = min(broken)
            print('{} of {} seeds break a rule, the first: {}\n{}'.format(len(broken), done, seed, words))
            print('to see its story: python tests/simulation.py --seed {}'.format(seed))
            status = 1
    if options.note and options.plant:
        with open(SEEDS, 'w') as target:
            json.dump(seeds, target, indent=0, sort_keys=True)
    if not options.plant:
        if options.note and not status and not options.seeds:
            note_held(options.first, options.first + options.count)
        held = read_held()[0].get(version())
        if held:
            print('seeds that have held for this version: {}'.format(held))
        print('{} seeds in {:.0f} s: {}'.format(
            done, time.monotonic() - since, 'FAILED' if status else 'all rules hold'))
    return status


if __name__ == '__main__':
    sys.exit(main())
