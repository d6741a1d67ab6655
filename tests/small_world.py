"""Every step of some small worlds: three jobs, of which one is retried and one cancelled, and a driver that another one
takes over from. Nothing is left to chance, as it is in simulation.py, whose world and rules these are.

    tests/run --steps                   all points; says how many there are
    python tests/small_world.py         some of them, in half a minute
    python tests/small_world.py --story machine --point power:17:3    one point, with its story

All calls of the driver that change the disk are counted first, and those to the scheduler. Then the world begins anew
for each, and the driver is killed behind it (kill), or in the middle of it where it writes (tear); or the machine loses
its power there (power). Of what was not brought to the disk by then, what is left is what a file system may leave:

- Names (made, linked, renamed, removed) come to the disk with the next fsync of whatever file or folder, as ext4 and
  XFS have one journal for all of them; of those since then any may be missing, whatever their order.
- Of a file that was written since its own fsync, nothing may be there, any of its writes, half of the last one, or
  zeros in their place.
- After half a minute all is on the disk.

Where there are more such states than `MOST`, those are played that differ in one name or file from a state that has
lost nothing, or all, or has all torn; and those that have lost all behind some call, or before it. How many are left
out is said. States from which the same follows are played once.

Where a scheduler runs the jobs, the logs folder is on a disk that all nodes share, as over NFS: its names stand, and
only what the machine of the driver has written to a file that it has not closed may be missing. Where this machine runs
them, all ends with its power. After each point somebody looks, and a new driver comes: each job must run to its end, no
attempt twice, all that is told must be true, what was cancelled must not be COMPLETED, and an order that was answered
must not be forgotten.
"""

import argparse
import collections
import hashlib
import io
import itertools
import os
import random
import shutil
import sys
import tempfile
import time

import simulation
from simulation import Broken, Crash, module

#: Which worlds there are.
#:     local: whether this machine runs the jobs
#:     pull, chunk: how many workers there are, 0 for a task of its own for each job; how many jobs they claim at once
#:     running: how many jobs may run
#:     cancelled: the status in which the third job is cancelled
#:     alive: whether the driver still lives when another one, elsewhere, takes over; else it is killed
Story = collections.namedtuple('Story', 'local pull chunk running cancelled alive')
STORIES = collections.OrderedDict([
    ('tasks', Story(False, 0, 1, 2, module.RUNNING, False)),
    ('waiting', Story(False, 0, 1, 1, module.UNSUBMITTED, True)),
    ('workers', Story(False, 1, 2, 2, module.PENDING, False)),
    ('machine', Story(True, 0, 1, 3, module.RUNNING, False)),
    ('shell', Story(True, 0, 1, 1, module.UNSUBMITTED, False)),
])

#: Bugs that can be planted, beside those of simulation.py, each with what it does.
PLANTED = collections.OrderedDict([
    ('dropping', 'the name of an order is not brought to the disk'),
    ('describing', 'execution.info gets its name before it is on the disk'),
    ('leaving', 'who looks leaves although .info files are missing that nobody writes'),
])

#: A point at which the world ends: kill, tear or power; the number of the call, from 1; behind how many bytes it is
#: torn, or which of the states that the power may leave.
Point = collections.namedtuple('Point', 'how call which')

#: Calls of os that change a disk; none but these may be used.
CHANGES = ('open', 'write', 'rename', 'replace', 'link', 'unlink', 'mkdir', 'truncate', 'ftruncate')
UNKNOWN = ('symlink', 'remove', 'rmdir', 'removedirs', 'renames', 'pwrite', 'writev', 'sendfile', 'copy_file_range',
           'posix_fallocate', 'mkfifo', 'mknod')

#: Seconds after which a system has written what it was given; states of a point that are played, at the most.
WRITTEN_BACK, MOST = 30, 200


class Disk:
    """What lies below a folder, and what would be left of it without power.

    Attributes:
        calls: what was done so far: (what, name, bytes that were written)
        names: {name: number of the file} that are on the disk for sure
        changes: later ones: [(when, {name: number, or None where it is removed}), ...]
        texts: {number: [(when, content), ...]}: the first one is on the disk for sure
        writers: {number: (host, name)} of those that were written to
        lost: copies of the last three where the power was lost, None before
    """

    def __init__(self, world, root, shared):
        self.world, self.root, self.shared = world, root, shared
        self.calls, self.changes, self.lost = [], [], None
        self.names, self.texts, self.writers, self._numbers = {}, {}, {}, {}
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, 'rb') as source:
                    self.add(os.stat(path).st_ino, source.read())
                self.names[path] = self._numbers[os.stat(path).st_ino]

    def add(self, inode, text=b''):
        """Take in a file that was made, and return its number."""
        number = self._numbers[inode] = len(self.texts) + 1
        self.texts[number] = [(self.world.now, text)]
        return number

    def sees(self, path):
        """Tell whether a path lies here, and whoever uses it now would lose what it has written."""
        if self.lost or not isinstance(path, str) or not path.startswith(self.root + '/'):
            return False
        return not self.shared or self.world.actor is not None or self.world.person

    def knows(self, handle):
        """Tell whether an open file lies here."""
        if self.lost or not (not self.shared or self.world.actor is not None or self.world.person):
            return False
        return os.fstat(handle).st_ino in self._numbers

    def number(self, path):
        return self._numbers.get(os.lstat(path).st_ino)

    def change_names(self, change):
        """Names are changed: at once where the disk is another machine's."""
        if self.shared:
            apply_change(self.names, change)
        else:
            self.changes.append((self.world.now, change))

    def change_text(self, handle):
        """A file has another content."""
        path, actor = '/proc/self/fd/{}'.format(handle), self.world.actor
        number = self._numbers[os.fstat(handle).st_ino]
        with io.open(path, 'rb') as source:
            self.texts[number].append((self.world.now, source.read()))
        self.writers[number] = (actor.host if actor else '', os.path.basename(os.readlink(path)))

    def sync(self, handle):
        """An open file or folder was brought to the disk, and all names with it."""
        if self.lost:
            return
        number = self._numbers.get(os.fstat(handle).st_ino)
        if number:
            del self.texts[number][:-1]
        for _, change in self.changes:
            apply_change(self.names, change)
        self.changes = []

    def called(self, what, path, data=b''):
        """Something was done: this may be the point."""
        world, point = self.world, self.world.point
        by_driver = world.actor in world.actors
        self.calls.append((what, os.path.basename(path), bytes(data), by_driver))
        if point and point.call == len(self.calls):
            world.say('{} behind {} {}', point.how, what, os.path.basename(path))
            if point.how == 'power':
                self.lost = dict(self.names), list(self.changes), {
                    number: list(texts) for number, texts in self.texts.items()}
                world.plan_loss()
            if world.actor:
                world.actor.dead = True
                raise Crash()

    def tear(self, data):
        """Return how much of what is written the driver comes to write."""
        point = self.world.point
        is_here = point and point.how == 'tear' and point.call == len(self.calls) + 1
        return data[:point.which] if is_here else data

    def states(self):
        """Return what the power may have left, and how many more such states there are.

        Returns:
            ([{path: content}, ...], number)
        """
        names, changes, texts = self.lost
        since = self.world.now - WRITTEN_BACK
        names = dict(names)
        while changes and changes[0][0] < since:
            apply_change(names, changes.pop(0)[1])
        choices = [[True, False] for _ in changes]
        loose = [number for number in sorted(texts)
                 if variants(texts[number], since)[1:] and self.is_loose(number)]
        choices += [variants(texts[number], since) for number in loose]
        total, kept = 1, [options[0] for options in choices]
        for options in choices:
            total *= len(options)
        found = collections.OrderedDict()
        picks = list(itertools.product(*choices) if total <= MOST else some_of(choices, kept))
        for pick in picks:
            there = dict(names)
            for (_, change), stays in zip(changes, pick):
                if stays:
                    apply_change(there, change)
            contents = {number: versions[-1][1] for number, versions in texts.items()}
            contents.update(zip(loose, pick[len(changes):]))
            state = {path: (number, contents[number]) for path, number in there.items()}
            found.setdefault(tuple(sorted(state.items())), state)
        return list(found.values()), total - len(picks)

    def is_loose(self, number):
        """Tell whether a machine may have lost what was written to a file. On a shared disk another machine has not;
        and what was closed is there."""
        host, name = self.writers[number]
        is_open = name.startswith('journal') or name == self.calls[-1][1]
        return not self.shared or host == self.world.lost_host and is_open

    def leave(self, state):
        """Put what the power has left in the place of what was there."""
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                if not self.shared and path not in state:
                    self.world.say('{} is gone', path)
                    self.world.cut(path, 0)
                    os.unlink(path)
        first = {}
        for path, (number, text) in sorted(state.items()):
            there = module.read_bytes(path)
            if there is None and self.shared:
                continue    # another machine has removed it
            if there != text:
                self.world.say('{} has {} of {} bytes', path, len(text), len(there or b''))
                if there is not None:
                    same = next((place for place, pair in enumerate(zip(there, text)) if pair[0] != pair[1]),
                                min(len(there), len(text)))
                    if same < len(there):
                        self.world.cut(path, same)
                    os.unlink(path)
                if number in first:
                    os.link(first[number], path)
                else:
                    with io.open(path, 'wb') as target:
                        target.write(text)
            first.setdefault(number, path)


def apply_change(names, change):
    """Change names."""
    for name, number in change.items():
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


def variants(versions, since):
    """Return what may be left of the content of a file, that which has lost nothing first.

    Args:
        versions: [(when, content), ...], the first one for sure
        since: time before which all is on the disk
    """
    while len(versions) > 1 and versions[1][0] < since:
        versions = versions[1:]
    texts = [text for _, text in versions]
    if len(texts) == 1:
        return texts
    first, before, last = texts[0], texts[-2], texts[-1]
    found = [last, first] + (texts[1:-1] if len(texts) < 5 else [before])
    grown = len(last) - len(before)
    if grown > 0:
        found.append(last[:len(before) + grown // 2])
    if last.startswith(first):
        found.append(first + b'\0' * (len(last) - len(first)))
    return list(collections.OrderedDict.fromkeys(found))


def some_of(choices, kept):
    """Yield some picks of one option for each choice, as the text above says."""
    lost = [options[1] for options in choices]
    worst = [options[-1] for options in choices]
    found = collections.OrderedDict()
    for base in (kept, lost, worst):
        found[tuple(base)] = True
        for place, options in enumerate(choices):
            for option in options:
                found[tuple(base[:place]) + (option,) + tuple(base[place + 1:])] = True
    for place in range(len(choices)):
        for other in (lost, worst):
            found[tuple(kept[:place]) + tuple(other[place:])] = True
            found[tuple(other[:place]) + tuple(kept[place:])] = True
    return found


class System:
    """The module os, for what runs in the world: it knows what was changed on the disk."""

    def __getattr__(self, name):
        if name in UNKNOWN:
            raise Broken('os.{} changes the disk, and is not counted'.format(name))
        return getattr(os, name)

    def urandom(self, size):
        """Return the same bytes in each world."""
        world = simulation.WORLD
        world.drawn += 1
        return hashlib.sha256(str(world.drawn).encode()).digest()[:size]

    def getpid(self):
        """Return the number of the process whose turn it is."""
        world = simulation.WORLD
        return world.actor.pid if world and world.actor else os.getpid()

    @staticmethod
    def _disk(path):
        """Return the disk, None where a path is not on it; and a process that was killed does nothing more."""
        world = simulation.WORLD
        disk = world and world.disk
        if not disk:
            return None
        if isinstance(path, int):
            seen = disk.knows(path)
        else:
            seen = disk.sees(path)
        if world.actor and world.actor.dead and (seen or disk.lost):
            raise Crash()
        return disk if seen else None

    def open(self, path, flags, mode=0o777, **options):
        makes, cuts = flags & os.O_CREAT, flags & os.O_TRUNC
        disk = self._disk(path) if makes or cuts else None
        is_there = disk and os.path.lexists(path)
        size = os.path.getsize(path) if is_there else 0
        handle = os.open(path, flags, mode, **options)
        if disk and not is_there:
            disk.change_names({path: disk.add(os.fstat(handle).st_ino)})
            disk.called('open', path)
        elif disk and cuts and size:
            disk.change_text(handle)
            disk.called('open', path)
        return handle

    def write(self, handle, data):
        disk = self._disk(handle)
        if not disk:
            return os.write(handle, data)
        done = os.write(handle, disk.tear(bytes(data)))
        disk.change_text(handle)
        disk.called('write', os.readlink('/proc/self/fd/{}'.format(handle)), data)
        return done

    def ftruncate(self, handle, size):
        disk = self._disk(handle)
        os.ftruncate(handle, size)
        if disk:
            disk.change_text(handle)
            disk.called('ftruncate', os.readlink('/proc/self/fd/{}'.format(handle)))

    def truncate(self, path, size):
        handle = os.open(path, os.O_WRONLY)
        try:
            self.ftruncate(handle, size)
        finally:
            os.close(handle)

    def rename(self, path, other):
        disk = self._disk(path)
        os.rename(path, other)
        if disk:
            disk.change_names({path: None, other: disk.number(other)})
            disk.called('rename', other)

    replace = rename

    def link(self, path, other):
        disk = self._disk(path)
        os.link(path, other)
        if disk:
            disk.change_names({other: disk.number(other)})
            disk.called('link', other)

    def unlink(self, path):
        disk = self._disk(path)
        os.unlink(path)
        if disk:
            disk.change_names({path: None})
            disk.called('unlink', path)

    def mkdir(self, path, *args):
        if self._disk(path):
            raise Broken('{} is made, and not counted'.format(path))
        os.mkdir(path, *args)

    def makedirs(self, path, *args, **options):
        if not os.path.isdir(path):
            self.mkdir(path, *args)

    def fsync(self, handle):
        os.fsync(handle)
        sync(handle)

    fdatasync = fsync


SYSTEM = System()


class Raw(io.FileIO):
    """A file that is open to be written, as `open` has it."""

    def write(self, data):
        return SYSTEM.write(self.fileno(), bytes(data))


def open_file(path, mode='r', buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    """Do what open() does."""
    if not set(mode) & set('wax') or not isinstance(path, str) or not SYSTEM._disk(path):
        return io.open(path, mode, buffering, encoding, errors, newline, closefd, opener)
    raw = Raw(path, mode.replace('b', '').replace('t', ''), opener=SYSTEM.open)
    buffered = io.BufferedWriter(raw)
    return buffered if 'b' in mode else io.TextIOWrapper(buffered, encoding, errors, newline)


def sync(handle):
    """What was written to an open file or folder is on the disk now."""
    world = simulation.WORLD
    disk = world and world.disk
    if disk and world.plant != 'fsync' and not (world.actor and world.actor.dead):
        disk.sync(handle)
        disk.called('fsync', os.readlink('/proc/self/fd/{}'.format(handle)))


def sync_file(handle, sync_it=None):
    sync(handle)


def bring_to_disk(path):
    if (simulation.WORLD.plant, os.path.basename(path).partition('.tmp')[0]) in (
            ('dropping', 'inbox'), ('describing', 'execution.info')):
        return
    simulation.bring_to_disk(path)
    handle = os.open(path, os.O_RDONLY)
    try:
        sync(handle)
    finally:
        os.close(handle)


class Journal(simulation.Journal):
    """The segment of a process, and what of it is on the disk."""

    def sync(self):
        super().sync()
        sync(self._handle)


class World(simulation.World):
    """A small world.

    Attributes:
        story: Story
        point: Point at which it ends, None for never
        disk: Disk
        found: what the power may have left at the point: the states, and how many more there are
        drawn: how many random texts there are
    """

    def __init__(self, story, point, folder, plant, tell):
        self.point, self.disk, self.person, self.drawn = point, None, False, 0
        self.found, self.asked, self.taken, self.restarts, self.lost_host = ([], 0), {}, False, 0, ''
        super().__init__(0, folder, plant, tell)
        self.story = story
        self.random = random.Random(0)
        self.kinds, self.rate, self.calm_at, self.calm = set(), 0, 0, True
        self.skew = dict.fromkeys(self.skew, 0)
        self.old = self.bare = self.limited = self.own_disk = False
        self.narrow, self.jobs, self.group, self.cores, self.hole = 1000, 3, 1, 2, ''
        self.local, self.pull, self.chunk = story.local, story.pull, story.chunk
        self.hosts = ['login1', 'login1' if story.local else 'login2']
        self.locking = 'none' if story.alive else 'all'
        self.compacting = True
        module.RERUNS = 5

    def fate(self, word):
        """The first job ends well; the second one fails, until somebody wants it again; the third one goes on."""
        job = word.partition('.')[0]
        return {'0': (1, 0), '1': (2, 0 if 'retry' in self.asked else 3), '2': (1000, 0)}[job]

    def run(self):
        """Live through it."""
        self.prepare()
        info = module.read_json.real(self.logs.execution)
        info.update(max_running=self.story.running, settings={'show_usage': 'no'})
        module.write_json.real(self.logs.execution, info)
        self.disk = Disk(self, self.logs.path, not self.local)
        self.reattach(self.hosts[0])
        self.at(1, self.steer)
        self.at(20, self.finish)
        self.live()

    def step(self, what):
        """A process touches something: where that is the scheduler, a point."""
        super().step(what)
        if what in ('submit', 'submitted', 'cancel') and self.actor in self.actors:
            if self.actor.dead:
                raise Crash()
            if not self.disk.lost:
                self.disk.called(what, '')

    # Somebody

    def steer(self):
        """Somebody looks at it now and then, retries what has failed, cancels the third job, and has another driver
        take over."""
        if not self.over:
            self.ask_for_all()
            self.at(1, self.steer)

    def finish(self):
        """See it through to its end."""
        self.ask_for_all()
        super().finish()

    def ask_for_all(self):
        """Ask for what is to be asked for now."""
        ledger = self.ledger()
        second, third = ledger.record(1), ledger.record(2)
        if second['status'] == 'FAILED' and second['error_reason'] == 'exit':
            return self.ask({'do': 'retry', 'ids': [[1, 1]], 'params': {}}, ledger)
        is_due = self.has_asked('retry', ledger) or self.now > 10
        if is_due and third['status'] in (self.story.cancelled, 'RUNNING') and not ledger.cancelled:
            self.ask({'do': 'cancel', 'ids': [[2, 2]]}, ledger)
        if 'cancel' in self.asked and not self.taken:
            self.taken = True
            self.at(self.random.choice([0.5, 1.5]), self.take_over)

    def has_asked(self, do, ledger):
        """Tell whether an order was dropped, and is there or was obeyed."""
        id = self.asked.get(do)
        return bool(id) and (id in ledger.obeyed or os.path.exists(
            os.path.join(self.logs.qmap, 'inbox', id + '.json')))

    def ask(self, order, ledger):
        """Drop an order, unless it is there."""
        if not self.has_asked(order['do'], ledger):
            self.say('somebody asks for {}', order)
            self.truth['cancel'] += order['do'] == 'cancel'
            known, self.person = set(self.orders), True
            try:
                self.drop(self.hosts[0], order)
            finally:
                self.person = False
            for id in set(self.orders) - known:
                self.asked[order['do']] = id

    def take_over(self):
        """Another driver comes."""
        if self.story.alive:
            return self.reattach(self.hosts[1], True)
        for actor in self.living():
            self.say('{} is killed', actor.pid)
            actor.kill()

    # Without power

    def plan_loss(self):
        """All ends now."""
        host = self.actor.host if self.actor else self.hosts[0]
        self.count += 1
        simulation.heapq.heappush(self.events, (self.now, -1, lambda: self.lose_power(host)))

    def lose_power(self, host):
        """A machine has no power any more, and comes back with what is on the disk."""
        self.boots[host] += 1
        self.restarts, self.lost_host = self.restarts + 1, host
        for actor in self.actors + self.lookers:
            if actor.host == host:
                actor.kill()
        for runner in self.runners if self.local else ():
            if runner.alive or runner.running:
                runner.kill('node')
        for journal in module.Journal.all:
            journal.synced = None if journal.host == host else journal.synced
        self.found = self.disk.states()
        answered = set(self.ledger().obeyed)
        self.disk.leave(self.found[0][self.point.which])
        ledger = self.ledger()
        for id in list(self.orders):
            if id not in ledger.obeyed and not os.path.exists(os.path.join(self.logs.qmap, 'inbox', id + '.json')):
                if id in answered:
                    raise Broken('{} was answered, and is forgotten'.format(self.orders[id]))
                del self.orders[id]
        self.at(0.5, self.look)

    def cut(self, path, size):
        """What is behind so many bytes of a file is gone."""
        if os.path.dirname(path) == self.logs.run:
            self.lost(os.path.basename(path), size)

    def look(self):
        """Somebody looks, while nobody drives. Rule: what is shown is true."""
        self.viewers()

    def check_left(self):
        """What a process that was killed has left of an order, or of why it ends an attempt, stays."""
        for folder in ('inbox', 'run'):
            for name in os.listdir(os.path.join(self.logs.qmap, folder)):
                if '.tmp' in name or name.endswith('.why'):
                    self.said_at[name] = self.now
        super().check_left()

    def check_view(self, reader, since):
        """Without power what was so before may be so again."""
        super().check_view(reader, 0 if self.restarts else since)

    def check_script(self, *args):
        """Files of single jobs are not brought to the disk: only the journal is."""
        if not self.restarts:
            super().check_script(*args)

    def check(self):
        """The rules for what comes of it."""
        super().check()
        ledger = self.ledger()
        for number, right in enumerate(('COMPLETED', 'COMPLETED', 'FAILED')):
            record = ledger.record(number)
            word = module.key_of(record)
            if record['status'] != right:
                raise Broken('{} is {} ({}) in the end'.format(word, record['status'], record.get('error_reason')))
            if right == 'COMPLETED' and self.ends.get(word, (0, 0, None))[2] != 0:
                raise Broken('{} is COMPLETED, and has not ended with 0'.format(word))
        third = ledger.record(2)
        may = ('cancelled', 'node') if self.restarts and self.local else ('cancelled',)
        if third['error_reason'] not in may:
            raise Broken('{} is FAILED ({})'.format(module.key_of(third), third['error_reason']))
        if set(self.asked) != {'retry', 'cancel'}:
            raise Broken('only {} was asked for'.format(sorted(self.asked)))

    def signature(self, state):
        """Return what tells what follows from a state."""
        told = (sorted(state.items()), sorted(self.ran.items()), sorted(self.ends), sorted(self.asked), self.taken)
        return hashlib.sha256(repr(told).encode()).hexdigest()


def install():
    """Put the world in its place."""
    simulation.install()
    module.os = simulation.os = SYSTEM
    module.open = simulation.open = open_file
    module.sync_file, module.bring_to_disk, module.Journal = sync_file, bring_to_disk, Journal
    undone = module.Session._undone
    module.Session._undone = lambda session, late: undone(
        session, late and not (session.viewing and simulation.WORLD.plant == 'leaving'))


def play(story, point=None, plant='', tell=None):
    """Play a story up to a point, and on; return the world, and what rule it breaks, '' for none."""
    folder = tempfile.mkdtemp(prefix='qmap-small-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
    simulation.Journal.all = []
    module.Inbox._count = itertools.count(1)
    simulation.WORLD = None
    world = World(STORIES[story], point, folder, plant, tell)
    simulation.WORLD = world
    simulation.Simulated.grace, simulation.Simulated.lingers = 90, False
    try:
        world.run()
        return world, ''
    except Broken as broken:
        return world, str(broken)
    except Exception as error:
        import traceback
        return world, ''.join(traceback.format_exception(type(error), error, error.__traceback__))
    finally:
        for actor in world.actors + world.lookers:
            actor.kill()
        for journal in simulation.Journal.all:
            journal.close()
        shutil.rmtree(folder, ignore_errors=True)


def play_calls(job):
    """Play all points at some calls.

    Args:
        job: (story, bug, [(number, (what, name, data, by_driver)), ...], how many of the states: 1 for all)

    Returns:
        (Counter of points, [(Point, rule), ...], states that are left out)
    """
    story, plant, calls, every = job
    points, broken, left_out, seen = collections.Counter(), [], 0, set()

    def try_point(*where):
        point = Point(*where)
        points[point.how] += 1
        world, words = play(story, point, plant)
        if words:
            broken.append((point, words))
        return world

    for number, (what, _, data, by_driver) in calls:
        if by_driver:
            try_point('kill', number, 0)
            cuts = {1, len(data) // 2, len(data) - 1} if what == 'write' else set()
            for cut in sorted(cuts & set(range(1, len(data)))):
                try_point('tear', number, cut)
        world = try_point('power', number, 0)
        states, more = world.found
        left_out += more
        for which, state in list(enumerate(states)):
            sign = world.signature(state)
            if which and sign not in seen and not (number + which) % every:
                try_point('power', number, which)
            seen.add(sign)
        points['states'] += len(states)
    return points, broken, left_out


def main():
    parser = argparse.ArgumentParser(description='Play every step of some small worlds.')
    parser.add_argument('--all', action='store_true', help='all points')
    parser.add_argument('--every', type=int, default=25, help='else one call of so many, and one state of so many')
    parser.add_argument('--near', default='', help='only calls with this in the name of their file, and two behind')
    parser.add_argument('--story', choices=list(STORIES), help='only this one')
    parser.add_argument('--point', help='HOW:CALL:WHICH: play this one, and tell its story')
    parser.add_argument('--plant', default='', choices=list(PLANTED) + list(simulation.PLANTED), help='plant a bug')
    parser.add_argument('--calls', action='store_true', help='list the calls')
    options = parser.parse_args()
    if os.environ.get('PYTHONHASHSEED') != '0':    # or a point would not repeat exactly
        os.execve(sys.executable, [sys.executable] + sys.argv, dict(os.environ, PYTHONHASHSEED='0'))
    install()
    stories = [options.story] if options.story else list(STORIES)
    if options.point or options.calls:
        how, call, which = options.point.split(':') if options.point else ('', 0, 0)
        point = Point(how, int(call), int(which)) if how else None
        world, words = play(stories[0], point, options.plant, None if options.calls else print)
        if options.calls:
            for number, (what, name, data, by_driver) in enumerate(world.disk.calls, 1):
                print(number, what, name, len(data), '' if by_driver else '(not the driver)')
        print(words or 'all rules hold')
        return int(bool(words))
    return play_stories(stories, options)


def play_stories(stories, options):
    """Play the points of some stories, print how many there are, and return 1 where a rule is broken, else 0."""
    import multiprocessing
    every = 1 if options.all else options.every
    status, since = 0, time.monotonic()
    with multiprocessing.Pool(len(os.sched_getaffinity(0)), maxtasksperchild=20) as pool:
        for story in stories:
            world, words = play(story, None, options.plant)
            calls = list(enumerate(world.disk.calls, 1))
            by_driver = sum(call[-1] for _, call in calls)
            near = [call for place, call in enumerate(calls)
                    if any(options.near in name for _, (_, name, _, _) in calls[max(0, place - 2):place + 1])]
            jobs = [(story, options.plant, [call], every) for call in near[::every]]
            points, broken, left_out = collections.Counter(), [(None, words)] if words else [], 0
            for counts, found, more in pool.imap_unordered(play_calls, jobs):
                points, broken, left_out = points + counts, broken + found, left_out + more
            print('{}: {} calls, {} of them the driver\'s; {} kills, {} torn writes, {} losses of power '
                  '({} states, {} more left out); {} break a rule; {:.0f} s'.format(
                      story, len(calls), by_driver, points['kill'], points['tear'], points['power'], points['states'],
                      left_out, len(broken), time.monotonic() - since), flush=True)
            told = collections.Counter()
            for point, words in sorted(broken, key=str):
                told[words] += 1
                if told[words] == 1:
                    where = '--point {}:{}:{}'.format(*point) if point else ''
                    print('    --story {} {}: {}'.format(story, where, words))
            for words, count in told.items():
                print('    {} times: {}'.format(count, words.strip().split('\n')[-1]))
            status = status or int(bool(broken))
    return status


if __name__ == '__main__':
    sys.exit(main())
