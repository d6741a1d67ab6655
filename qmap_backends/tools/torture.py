"""One half of `qmap doctor --torture`: what a process does in a folder, and what it sees of another's doing.

Two processes do the same at once, often on two machines. `doctor` imports this for the near half; of the
script that runs the far one it is the text. So it needs nothing but Python 3.6, and imports nothing of QMap.

Each half counts its own acts, such as "I have made my third file", and looks all the time how many acts of
the other it can see. It uses the folder as QMap does: names are looked for by opening and by listing, a
growing file is written through one descriptor and read through a new one each time, a file is replaced by a
rename, and who makes a file (O_EXCL) has claimed it.
"""

import collections
import errno
import fcntl
import json
import os
import random
import sys
import time

#: The halves, in this order.
HALVES = NEAR, FAR = 'near', 'far'

#: Seconds between two acts of a kind, and between two looks at all: from, to.
ACTS, LOOKS = (0.1, 0.3), (0.005, 0.02)

#: Seconds between two looks before the other half is there.
WAIT = 0.1


class Trial:
    """One kind of act.

    Attributes:
        did: when each act of this half began, on its clock
        seen: when each act of the other was first seen, on the clock of this half
        faults: Counter of what never should be seen
    """

    #: The name of its folder, and in the reports.
    name = ''

    def __init__(self, folder, me, other, most):
        """
        Args:
            folder: path
            me, other: names of this half and the other
            most: acts that are possible
        """
        self.folder, self.me, self.other, self.most = os.path.join(folder, self.name), me, other, most
        self.did, self.seen, self.faults, self.due = [], [], collections.Counter(), 0

    def prepare(self):
        """Make what is there before both halves begin."""
        os.mkdir(self.folder)

    def act(self):
        """Do what is next, if it is due."""
        now = time.monotonic()
        if now >= self.due and len(self.did) < self.most:
            self.due = now + random.uniform(*ACTS)
            self.did.append(now)
            self.do(len(self.did))

    def look(self):
        """Note which acts of the other can be seen."""
        try:
            count = self.visible(len(self.seen))
        except OSError:    # a stale handle, for example: nothing is seen at the moment
            return
        self.seen += [time.monotonic()] * (count - len(self.seen))

    def path(self, half, number=''):
        """Return the path of a file of a half."""
        return os.path.join(self.folder, '{}.{}'.format(half, number))

    def do(self, number):
        """Do something, for the time with this number, from 1."""
        raise NotImplementedError

    def visible(self, count):
        """Return how many acts of the other can be seen, of which so many have been."""
        raise NotImplementedError

    def end(self):
        """Do nothing more."""


class Named(Trial):
    """Files are made, and looked for by opening them, again and again from long before they are made."""

    name = 'named'

    def do(self, number):
        make_file(self.path(self.me, number))

    def visible(self, count):
        while can_open(self.path(self.other, count + 1)):
            count += 1
        return count


class Listed(Trial):
    """Files are made, and looked for by listing their folder."""

    name = 'listed'

    def do(self, number):
        make_file(self.path(self.me, number))

    def visible(self, count):
        return max(count, sum(name.startswith(self.other) for name in os.listdir(self.folder)))


class Removed(Trial):
    """Files that were there before are removed, and opened again and again until they cannot be."""

    name = 'removed'

    def prepare(self):
        super().prepare()
        for half in HALVES:
            for number in range(1, self.most + 1):
                make_file(self.path(half, number))

    def do(self, number):
        os.unlink(self.path(self.me, number))

    def visible(self, count):
        while count < self.most and not can_open(self.path(self.other, count + 1)):
            count += 1
        return count


class Appended(Trial):
    """Lines are appended to a file that stays open, and read by opening the file anew. A line that is not
    whole, or holds something else, is not seen."""

    name = 'appended'

    def __init__(self, *args):
        super().__init__(*args)
        self._handle, self._place = None, 0

    def do(self, number):
        if self._handle is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            self._handle = os.open(self.path(self.me), flags, 0o600)
        os.write(self._handle, self._line(number))

    @staticmethod
    def _line(number):
        return b'%d of the lines that were appended\n' % number

    def visible(self, count):
        with open(self.path(self.other), 'rb') as source:
            source.seek(self._place)
            for line in source:
                if line != self._line(count + 1):
                    break
                count, self._place = count + 1, self._place + len(line)
        return count

    def end(self):
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class Replaced(Trial):
    """A file is replaced by a newer one, which is renamed, and read again and again."""

    name = 'replaced'

    def do(self, number):
        replace_file(self.path(self.me), self._text(number))

    @staticmethod
    def _text(number):
        return b'%d\n' % number * 2000

    def visible(self, count):
        try:
            with open(self.path(self.other), 'rb') as source:
                text = source.read()
        except FileNotFoundError:
            if count:
                self.faults['missing'] += 1
            raise
        first = text.partition(b'\n')[0]
        if not first.isdigit() or text != self._text(int(first)):
            self.faults['torn'] += 1
            return count
        return max(count, int(first))


TRIALS = (Named, Listed, Appended, Replaced, Removed)


class Claims:
    """Both halves want to be the one that makes a file (O_EXCL), then the next.

    Attributes:
        won: numbers of the files that this half made
    """

    name = 'claims'

    def __init__(self, folder):
        self.folder, self.won, self._next = os.path.join(folder, self.name), [], 1

    def race(self):
        """Claim the next file that is free."""
        while not self._claim(self._next):
            self._next += 1
        self.won.append(self._next)
        self._next += 1
        # A file system that remembers that a file was not there may let both make it.
        can_open(self._path(self._next + random.randrange(20)))

    def _path(self, number):
        return os.path.join(self.folder, str(number))

    def _claim(self, number):
        try:
            make_file(self._path(number))
        except FileExistsError:
            return False
        return True


class Locking:
    """Both halves want the same lock (flock), hold it a moment, and let go.

    Attributes:
        held: list of (when it was ours, when it was about to be let go)
        refused: how often another was found to have it
        error: why locks do not work, '' where they do
    """

    name = 'lock'

    def __init__(self, folder):
        self.held, self.refused, self.error = [], 0, ''
        self._path, self._due = os.path.join(folder, self.name), 0
        self._handle = self._since = None

    def step(self):
        """Take the lock, or let it go, if that is due."""
        now = time.monotonic()
        if now < self._due or self.error:
            return
        self._due = now + random.uniform(0.01, 0.06)
        if self._handle is not None:
            self.end()
            return
        # As the driver does it: a new descriptor each time.
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                self.refused += 1
            else:
                self.error = error.strerror or str(error)
            return
        self._handle, self._since = handle, time.monotonic()

    def end(self):
        """Let go of the lock, if we have it."""
        if self._handle is not None:
            self.held.append((self._since, time.monotonic()))
            os.close(self._handle)
            self._handle = None


class Half:
    """All that one of the two processes does and sees."""

    def __init__(self, folder, me, seconds):
        """
        Args:
            folder: path; both halves give the same one
            me: NEAR or FAR
            seconds: for which both are to act
        """
        other = HALVES[me == NEAR]
        most = int(seconds / ACTS[0]) + 10
        self.folder, self.me, self.other, self.seconds = folder, me, other, seconds
        self.trials = [trial(folder, me, other, most) for trial in TRIALS]
        self.claims, self.lock, self._unwatched = Claims(folder), Locking(folder), {}

    def prepare(self):
        """Make what both halves need."""
        for trial in self.trials:
            trial.prepare()
        os.mkdir(self.claims.folder)

    def turn(self, acting=False):
        """Look once, act if wanted, and pause."""
        for trial in self.trials:
            trial.look()
            if acting:
                trial.act()
        if acting:
            self.claims.race()
            self.lock.step()
        time.sleep(random.uniform(*LOOKS))

    def await_other(self, check):
        """Look now and then until something of the other half is seen.

        Args:
            check: see `run_near`
        """
        while not any(trial.seen for trial in self.trials):
            check()
            time.sleep(WAIT)
            self.turn()
        # For how long these could be seen nobody knows.
        self._unwatched = {trial.name: len(trial.seen) for trial in self.trials}

    def has_seen_all(self, did):
        """Tell whether all acts of the other half were seen: {name: when each was done}."""
        return all(len(trial.seen) >= len(did[trial.name]) for trial in self.trials)

    def tell(self):
        """Act no more, and say what was done and seen so far, for the other half to read."""
        self.lock.end()
        for trial in self.trials:
            trial.end()
        with open('/proc/sys/kernel/random/boot_id') as source:
            boot = source.read()
        return {
            'host': os.uname()[1], 'boot': boot, 'did': {trial.name: trial.did for trial in self.trials},
            'seen': {trial.name: trial.seen for trial in self.trials}, 'unwatched': self._unwatched,
            'faults': {trial.name: trial.faults for trial in self.trials}, 'won': self.claims.won,
            'held': self.lock.held, 'refused': self.lock.refused, 'lock_error': self.lock.error}

    def publish(self, name):
        """Write what `tell` returns to a file of this name; return it."""
        report = self.tell()
        replace_file(os.path.join(self.folder, name), json.dumps(report).encode())
        return report

    def read(self, name):
        """Return what the other half has written to a file of this name, None where it cannot be read yet."""
        try:
            with open(os.path.join(self.folder, name), 'rb') as source:
                return json.loads(source.read().decode())
        except (OSError, ValueError):
            return None


def make_file(path):
    """Make an empty file, which is not there.

    Raises:
        FileExistsError: it is
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def can_open(path):
    """Tell whether a file is there, by opening it."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno == errno.ESTALE:    # removed by another host
            return False
        raise
    return True


def replace_file(path, text):
    """Write bytes to a file, which others see whole or not at all."""
    with open(path + 'new', 'wb') as target:
        target.write(text)
    os.replace(path + 'new', path)


def run_near(half, limit, check):
    """Run the near half to its end, once the other is under way.

    Args:
        half: Half
        limit: seconds after which nothing more is waited for
        check: function that is called while the other half is awaited; raises an error where it will not come

    Returns:
        the reports of both halves, (near, far); None for far where it told nothing within the limit
    """
    half.await_other(check)
    end = time.monotonic() + half.seconds
    while time.monotonic() < end:
        half.turn(acting=True)
    half.publish('stop')
    end, far = time.monotonic() + 3 * limit, None
    while far is None and time.monotonic() < end:
        check()
        half.turn()
        far = half.read('report')
    end = time.monotonic() + limit
    while far and not half.has_seen_all(far['did']) and time.monotonic() < end:
        half.turn()
    return half.tell(), far


def run_far(folder, seconds, limit):
    """Run the far half to its end. It acts until the near one says that it acts no more.

    Args:
        folder: path
        seconds, limit: as of the near half, as text
    """
    half, limit = Half(folder, FAR, float(seconds)), float(limit)
    end, near = time.monotonic() + half.seconds + 2 * limit, None
    while near is None and time.monotonic() < end:
        half.turn(acting=True)
        near = half.read('stop')
    half.tell()
    end = time.monotonic() + limit
    while near and not half.has_seen_all(near['did']) and time.monotonic() < end:
        half.turn()
    half.publish('report')


if __name__ == '__main__':
    try:
        run_far(*sys.argv[1:])
    except OSError as error:    # also where the near half was interrupted, and has removed the folder
        sys.exit('{}: {}'.format(error.filename or 'second half', error.strerror or error))
