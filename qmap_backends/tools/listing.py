"""The console's list of jobs: which are listed, and in which order; why they failed; how fast it goes.

Nothing here keeps a list of records: of a million jobs there are some bytes each.
"""

import array
import bisect
import collections
import itertools
import time

from qmap import NAMES, NUMBERS, QMapError, describe_end, encode, error_line, open_regular, parse_ids

#: The letters that stand for the statuses, in their order, in the bar and where there is little room.
LETTERS = '.PRCFO'

#: The letter of jobs that were cancelled: FAILED for programs, and counted by themselves for people.
CANCELLED = 'X'

#: Jobs up to which a list of those that are wanted is made at once.
FEW = 5000


##############################################################################################################
# Which jobs are listed
##############################################################################################################

class Walk:
    """A list that is made only as far as somebody looks.

    Attributes:
        spent: seconds that making it took
    """

    def __init__(self, numbers, total):
        """
        Args:
            numbers: iterator over all that is in the list
            total: how many that are
        """
        self._numbers, self._total, self._made = numbers, total, []
        self.spent = 0

    def __len__(self):
        return self._total

    def __getitem__(self, index):
        if index >= len(self._made):
            begun = time.perf_counter()
            self._made.extend(itertools.islice(self._numbers, index + 100 - len(self._made)))
            self.spent += time.perf_counter() - begun
            if index >= len(self._made):    # some have changed since they were counted
                self._total = len(self._made)
        return self._made[index]

    def index(self, number, hint):
        """Return where a job is, None where it is not among those before `hint` and some behind it."""
        if len(self):
            try:
                self[min(hint + FEW, len(self) - 1)]
            except IndexError:
                pass
        try:
            return self._made.index(number)
        except ValueError:
            return None


class Masks:
    """Sets of jobs: a byte for each job, 1 for those in the set. All bytes at once take next to no time."""

    def __init__(self, count, gone=()):
        """
        Args:
            count: number of jobs
            gone: numbers of those that are no longer in the map, and in no set
        """
        self._count = count
        self.none, every = bytes(count), bytearray(b'\1' * count)
        for number in gone:
            every[number] = 0
        self.all = bytes(every)

    def of(self, codes, wanted):
        """Return the mask of the jobs whose byte is one of those that are wanted."""
        return codes.translate(bytes(int(code in wanted) for code in range(256)))

    def both(self, one, other):
        """Return the mask of the jobs that are in both."""
        return self._joined(one, other, int.__and__)

    def without(self, one, other):
        """Return the mask of the jobs that are in the first one, and not in the other."""
        return self.both(one, self._joined(other, self.all, int.__xor__))

    def either(self, one, other):
        """Return the mask of the jobs that are in one of them."""
        return self._joined(one, other, int.__or__)

    def _joined(self, one, other, how):
        joined = how(int.from_bytes(one, 'little'), int.from_bytes(other, 'little'))
        return joined.to_bytes(self._count, 'little')

    @staticmethod
    def numbers(mask):
        """Yield the numbers of the jobs in a mask."""
        at = mask.find(1)
        while at >= 0:
            yield at
            at = mask.find(1, at + 1)


class Reasons:
    """Why each job failed, as far as it has been read: a byte a job, which stands for a group of failures.

    Attributes:
        group: what the jobs that are wanted have in common, see `key_of`; None for all
    """

    #: So many groups are told apart; then those that differ in names fall together, and at last all others.
    EXACT, LIMIT = 150, 250

    def __init__(self, session, masks):
        self._session, self._masks = session, masks
        self._codes = bytearray(len(masks.none))
        self._keys, self._known = {}, 0
        self._attempts = b''
        self.group = None

    def key_of(self, what, error, coarse=False):
        """Return what the failures of a group have in common.

        Args:
            what: in a few words, how they ended
            error: the last line of stderr of one of them
            coarse: whether they may differ in names, not only in numbers
        """
        alike = NUMBERS.sub('#', error or '')
        return what, NAMES.sub('*', alike) if coarse else alike

    def forget(self, numbers):
        """Take it that these jobs may have failed for another reason since."""
        if self._known:
            for number in numbers:
                self._codes[number] = 0

    def look(self):
        """Forget what is known of jobs that have been submitted again."""
        if not self._known:
            return
        now, step = self._session.ledger.attempts.tobytes(), 2048
        if self._attempts and now != self._attempts:
            for start in range(0, len(now), step):
                if now[start:start + step] != self._attempts[start:start + step]:
                    self._codes[start // 2:(start + step) // 2] = bytes(len(now[start:start + step]) // 2)
        self._attempts = now

    def mixed(self, failed):
        """Tell whether of so many jobs that FAILED some were cancelled, and some were not."""
        return 0 < self._session.failures.cancelled < failed

    def unread(self, failed):
        """Return the mask of those jobs of a mask of failed ones whose records are still to be read: none
        where nobody asks, or all is known without."""
        if self.group is None and not self.mixed(failed.count(1)):
            return self._masks.none
        return self._masks.both(failed, self._masks.of(self._codes, {0}))

    def read(self, failed, seconds):
        """Read records of failed jobs for a while, and return whether there was any to read."""
        end, found = time.perf_counter() + seconds, False
        for number in self._masks.numbers(self.unread(failed)):
            found = True
            self._codes[number] = self._code(self._session.ledger.record(number))
            self._known += 1
            if time.perf_counter() > end:
                break
        return found

    def _code(self, record):
        if record['status'] != 'FAILED':    # it has just been taken up again
            return 0
        what, error = describe_end(record), error_line(record)
        key = self.key_of(what, error)
        if key not in self._keys and len(self._keys) >= self.EXACT:
            key = self.key_of(what, error, True)
        if key not in self._keys and len(self._keys) >= self.LIMIT:
            return 255
        return self._keys.setdefault(key, len(self._keys) + 1)

    def cancelled(self, failed):
        """Return the mask of those of a mask of failed jobs that were cancelled, as far as it is known."""
        cancelled = self._session.failures.cancelled
        if not cancelled:
            return self._masks.none
        if not self.mixed(failed.count(1)):
            return failed
        return self._of_keys(failed, lambda key: key[0] == 'cancelled')

    def in_group(self, failed):
        """Return the mask of those of a mask of failed jobs that are in `group`, as far as it is known."""
        return self._of_keys(failed, lambda key: self.group in (key, self.key_of(*key, coarse=True)))

    def _of_keys(self, failed, wanted):
        return self._masks.both(failed, self._masks.of(
            self._codes, {code for key, code in self._keys.items() if wanted(key)}))


class NewestFirst:
    """The order of all jobs by their latest events.

    A job's place is known from `key`: of one whose status has changed while we looked the place in `_log`,
    from 1; of all others, from 0 down, that in `_base`, which is the order in which it was when we came.

    Attributes:
        key: array of these places, by job
    """

    def __init__(self, numbers, count):
        """
        Args:
            numbers: of all jobs, the newest first
            count: how many these are
        """
        self._count = count
        self._start(numbers)

    def _start(self, numbers):
        self._base, self._log = numbers, array.array('I')
        if isinstance(numbers, range):
            self.key = array.array('q', range(0, -self._count, -1))
        else:
            self.key = array.array('q', bytes(8 * self._count))
            for place, number in enumerate(numbers):
                self.key[number] = -place

    def note(self, numbers):
        """Take it that these jobs have changed, one after another."""
        for number in numbers:
            self._log.append(number)
            self.key[number] = len(self._log)
        if len(self._log) > 2 * self._count + FEW:
            self._start(array.array('I', self.walk(b'\1' * self._count)))

    def walk(self, mask):
        """Yield the jobs of a mask, the newest first."""
        log, base, key = self._log, self._base, self.key
        for place in range(len(log), 0, -1):
            number = log[place - 1]
            if key[number] == place and mask[number]:
                yield number
        for place, number in enumerate(base):
            if key[number] == -place and mask[number]:
                yield number

    def sorted(self, numbers, newest):
        """Return the list of some jobs, the newest first or last."""
        return sorted(numbers, key=self.key.__getitem__, reverse=newest)


class TextSearch:
    """The jobs with a text in their commands, or with these ids; found bit by bit.

    Attributes:
        text: what is searched, '' for nothing
        hits: bytearray, 1 for each job that was found; None where nothing is searched
    """

    def __init__(self, session, text=''):
        """
        Args:
            session: Session
            text: to be found in any case, or ids
        """
        plan = session.plan
        self._map, self._group = plan.map, plan.group    # another may take its place
        self.text, self.hits = text, None
        self._pattern, self._at = encode(text).lower(), 0
        if not text:
            self._at = len(self._map)
            return
        self.hits = bytearray(session.ledger.count)
        try:
            found = parse_ids(text, plan)
        except QMapError:
            found = []
        for first, last in found:
            first, last = first // plan.group, min(last // plan.group, len(self.hits) - 1)
            self.hits[first:last + 1] = b'\1' * (last + 1 - first)

    @property
    def unfinished(self):
        """Whether there is more to look through."""
        return self._at < len(self._map)

    def seek(self, seconds):
        """Search on for a while."""
        end = time.perf_counter() + seconds
        while self.unfinished and time.perf_counter() < end:
            self._seek_slice()

    def _seek_slice(self):
        """Search the text of the next commands as it stands in the file: that is faster than to read each."""
        map, pattern, hits = self._map, self._pattern, self.hits
        places, group, first = map.places(), self._group, self._at
        last = max(first + 1, bisect.bisect_right(places, places[first] + 64 * 1024, first))
        with open_regular(map.path) as source:
            source.seek(places[first])
            data = source.read(places[last] - places[first] if last < len(places) else -1).lower()
        start, index, found = places[first], first, data.find(pattern)
        while found >= 0:
            index = bisect.bisect_right(places, start + found, index, min(last, index + 8)) - 1
            if index == last - 1 or places[index + 1] <= start + found:
                index = bisect.bisect_right(places, start + found, index, last) - 1
            # What stands behind a command, comments say, is not part of it.
            if data.find(b'\n', places[index] - start, found) < 0 or \
                    pattern in encode(map.raw(index)).lower():
                hits[index // group] = 1
            following = places[index + 1] - start if index + 1 < last else len(data)
            found = data.find(pattern, following)
        self._at = last


class Remade:
    """A list that is made anew where it is outdated, but seldom if that takes long."""

    #: It is made after so many times as long as it took.
    RARELY = 50

    def __init__(self, make):
        """
        Args:
            make: function that returns the list
        """
        self._make = make
        self._rows, self._outdated = None, True
        self._made, self._spent = 0, 0

    def expire(self, at_once=False):
        """Take it that the list is outdated; `at_once`: it is made anew however long that takes."""
        self._outdated = True
        if at_once:
            self._made = 0

    def rows(self):
        """Return the list; it may be some seconds old if it is long."""
        now = time.monotonic()
        spent = self._spent + getattr(self._rows, 'spent', 0)
        due = self._outdated and now >= self._made + self.RARELY * spent
        if self._rows is None or due:
            begun = time.perf_counter()
            self._rows, self._outdated, self._made = self._make(), False, now
            self._spent = time.perf_counter() - begun
        return self._rows


class Listing:
    """The jobs that are listed, and their order.

    Attributes:
        count: number of all jobs
        statuses: set of the letters that are wanted, all where it is empty
        by_id: whether they stand in the order of the map; else those that run come first, the longest above,
            then those that failed, that ended otherwise, that wait, each with the newest event above
        reasons: Reasons
        marks: bytearray, 1 for each job that is marked
    """

    #: Jobs that are compared at once; seconds that a search may take between two looks at the keys.
    STEP, SLICE = 1024, 0.03
    FAILED = {LETTERS.index('F')}

    def __init__(self, session):
        self._session = session
        ledger = session.ledger
        self.count, self._gone = ledger.count, ledger.gone
        self.statuses, self.by_id = set(), False
        self._masks = Masks(self.count, self._gone)
        self.reasons = Reasons(session, self._masks)
        self.marks = bytearray(self.count)
        self._search = TextSearch(session)
        self._seen = bytes(ledger.status)[:self.count]
        self._order = NewestFirst(ledger.by_newest(), self.count)
        self._rows = Remade(self._make)

    def look(self):
        """Take in which jobs have changed their status since the last time, and return whether any has."""
        if self._session.ledger.count > self.count or self._session.ledger.gone != self._gone:
            self._begin_anew()
            return True
        now = bytes(self._session.ledger.status)[:self.count]
        self.reasons.look()
        if now == self._seen:
            return False
        changes = []
        for start in range(0, self.count, self.STEP):
            old, new = self._seen[start:start + self.STEP], now[start:start + self.STEP]
            if old != new:
                changes += [start + place for place, pair in enumerate(zip(old, new)) if pair[0] != pair[1]]
        # Of what was changed at the same time, what waits comes last, and what runs first.
        changes.sort(key=lambda number: (LETTERS[now[number]] in 'CFO') + 2 * (LETTERS[now[number]] == 'R'))
        self._order.note(changes)
        self.reasons.forget(changes)
        self._seen = now
        self._rows.expire()
        return True

    def _begin_anew(self):
        """Begin anew with other jobs, where the map is another."""
        statuses, by_id, text, marks = self.statuses, self.by_id, self.text, self.marks
        self.__init__(self._session)
        self.statuses, self.by_id = statuses, by_id
        self.marks[:len(marks)] = marks
        self.search(text)

    def choose(self, statuses=None, by_id=None):
        """List other statuses, or in another order."""
        self.statuses = self.statuses if statuses is None else statuses
        self.by_id = self.by_id if by_id is None else by_id
        self._rows.expire(at_once=True)

    def choose_group(self, group):
        """List only the failed jobs of a group; None for all jobs."""
        self.reasons.group = group
        self._rows.expire(at_once=True)

    @property
    def filtered(self):
        """Whether some jobs are not wanted."""
        return bool(self.statuses or self.text or self.reasons.group)

    # Searching

    @property
    def text(self):
        """What is searched."""
        return self._search.text

    def search(self, text):
        """List only the jobs with these ids, or with a text in their commands. `seek` finds them."""
        self._search = TextSearch(self._session, text)
        self._rows.expire(at_once=True)

    @property
    def searching(self):
        """Whether there is more to look through."""
        return self._search.unfinished

    def seek(self):
        """Search on for a moment."""
        self._search.seek(self.SLICE)
        self._rows.expire()

    # The list

    def read_reasons(self, seconds):
        """Read for a while why jobs failed, if that is wanted; return whether there was anything to read."""
        found = self.reasons.read(self._failed(), seconds)
        if found:
            self._rows.expire()
        return found

    @property
    def reading(self):
        """Whether the list that is wanted is not known yet."""
        return self.reasons.group is not None and 1 in self.reasons.unread(self._failed())

    def _failed(self):
        return self._masks.of(self._seen, self.FAILED)

    def _mask(self):
        """Return a byte a job, 1 for each that is wanted; None for all."""
        if not self.filtered and not self._gone:
            return None
        masks, mask = self._masks, self._masks.all
        if self.statuses:
            letters = self.statuses.intersection(LETTERS)
            mask = masks.both(mask, masks.of(self._seen, {LETTERS.index(letter) for letter in letters}))
        if ('F' in self.statuses) != (CANCELLED in self.statuses):
            cancelled = self.reasons.cancelled(self._failed())
            mask = (masks.without if 'F' in self.statuses else masks.either)(mask, cancelled)
        if self.reasons.group is not None:
            mask = masks.both(mask, self.reasons.in_group(self._failed()))
        return mask if self._search.hits is None else masks.both(mask, self._search.hits)

    def rows(self):
        """Return the list of the wanted jobs' numbers; it may be some seconds old if it is long."""
        return self._rows.rows()

    def _make(self):
        mask = self._mask()
        if not self.by_id:
            return self._running_first(self._masks.all if mask is None else mask)
        if mask is None:
            return range(self.count)
        return array.array('I', itertools.compress(range(self.count), mask))

    def _running_first(self, mask):
        masks, total = self._masks, mask.count(1)
        running, other, ended, pending, waiting = (
            masks.both(mask, masks.of(self._seen, {LETTERS.index(letter) for letter in letters}))
            for letters in ('R', 'O', 'CF', 'P', '.'))
        failed = masks.both(ended, self._failed())
        failed = masks.without(failed, self.reasons.cancelled(failed))
        order = self._order
        parts = [order.sorted(masks.numbers(running), newest=False)]
        parts += [order.sorted(masks.numbers(part), newest=True) if part.count(1) <= FEW else order.walk(part)
                  for part in (failed, other, masks.without(ended, failed), pending, waiting)]
        numbers = itertools.chain.from_iterable(parts)
        return list(numbers) if total <= FEW else Walk(numbers, total)

    def index(self, number, hint):
        """Return where a job is in the list, None where it is not, or not near `hint`."""
        rows = self.rows()
        if isinstance(rows, range):
            return number
        if isinstance(rows, Walk):
            return rows.index(number, hint)
        if not self.by_id:
            return rows.index(number) if number in rows else None
        at = bisect.bisect_left(rows, number)
        return at if at < len(rows) and rows[at] == number else None

    def mark_all(self):
        """Mark all that is listed; where all of it is marked, none."""
        wanted, masks = self._mask() or self._masks.all, self._masks
        all_marked = masks.both(wanted, self.marks) == wanted
        self.marks = bytearray((masks.without if all_marked else masks.either)(self.marks, wanted))

    def listed(self):
        """Return an iterator over all that is listed, in the order of the map."""
        return itertools.compress(range(self.count), self._mask() or self._masks.all)

    def failed(self):
        """Return the lists of the jobs that failed, and of those that were cancelled, each in the order of
        the map; None instead where it is not known yet which is which."""
        failed = self._failed()
        if self.reasons.mixed(failed.count(1)) and 1 in self.reasons.unread(failed):
            return None
        cancelled = self.reasons.cancelled(failed)
        return tuple(list(self._masks.numbers(mask))
                     for mask in (self._masks.without(failed, cancelled), cancelled))

    def marked(self):
        """Return an iterator over the marked jobs."""
        return itertools.compress(range(self.count), self.marks)


##############################################################################################################
# How fast it goes
##############################################################################################################

class Pace:
    """The rate of the last minutes, and when all will be done."""

    WINDOW = 300
    #: Jobs that are looked at to know how long they take, and seconds between two such looks.
    SAMPLE, LOOK = 200, 30

    def __init__(self, session, time_of):
        """
        Args:
            session: Session
            time_of: function that returns seconds, of a clock that is never set
        """
        self._session, self._time = session, time_of
        self._points = collections.deque()
        self._looked, self._ratio, self._took = float('-inf'), 1, []

    def _ended(self):
        """Return how many jobs have run to their end."""
        ledger = self._session.ledger
        return ledger.count_of('COMPLETED') + ledger.count_of('FAILED') - self._session.failures.cancelled

    def look(self):
        """Take in how many have ended by now."""
        now, ended = self._time(), self._ended()
        before = self._points[-1][1] if self._points else 0
        if ended == before - 1:    # the driver is just counting one that was cancelled
            ended = before
        if ended < before:    # some are to run again
            self._points.clear()
        if not self._points or now - self._points[-1][0] >= 1:
            self._points.append((now, ended))
        while now - self._points[0][0] > self.WINDOW and len(self._points) > 2:
            self._points.popleft()

    def rate(self):
        """Return jobs per second, 0 where it is not known, or nothing is left."""
        if not self._points or not self._session.ledger.left():
            return 0
        since, before = self._points[0]
        seconds = self._time() - since
        return max(0, self._ended() - before) / seconds if seconds >= 1 else 0

    def eta(self):
        """Return the seconds until all has ended, None where nobody can know: nothing has ended yet, nothing
        is submitted any more, or what runs takes longer than all that has ended."""
        session, ledger = self._session, self._session.ledger
        if not ledger.left() or session.halted or session.stopping:
            return None
        patience = self.LOOK if len(self._took) >= self.SAMPLE // 10 else self.LOOK // 10
        if self._time() - self._looked > patience:
            self._looked, self._took, self._ratio = self._time(), self._durations(), self._length_ratio()
        tail = self._tail()
        if not ledger.count_of('UNSUBMITTED') + ledger.count_of('PENDING'):
            return tail
        rate = self.rate()
        return max(ledger.left() / rate * self._ratio, tail or 0) if rate else None

    def _durations(self):
        """Return the sorted durations of some jobs that have completed."""
        ledger, found = self._session.ledger, set()
        for part in range(self.SAMPLE):
            found.add(ledger.status.find(3, part * ledger.count // self.SAMPLE))
        records = [ledger.record(number) for number in found if number >= 0]
        return sorted(max(0, record['finished'] - record['started']) for record in records
                      if record.get('finished') and record.get('started'))

    def _tail(self):
        """Return the seconds until the jobs at work have ended, None where that cannot be known: of a job
        that has run for so long, those that took longer tell how much longer it will."""
        now, longest = time.time(), 0
        try:
            live = list(itertools.islice(self._session.ledger.live.values(), 1000))
        except RuntimeError:    # the driver has just changed it
            return None
        for record in live:
            if record['status'] == 'RUNNING' and record.get('started'):
                ran = now - record['started']
                longer = self._took[bisect.bisect_right(self._took, ran):]
                if not longer:
                    return None
                longest = max(longest, sum(longer) / len(longer) - ran)
        return longest

    def _length_ratio(self):
        """Return how much longer the remaining jobs are than the ended ones, by their time limits."""
        plan, ledger = self._session.plan, self._session.ledger
        sums = {True: [0, 0], False: [0, 0]}
        if plan.group > 1:
            return 1
        for number in range(0, ledger.count, max(1, ledger.count // (4 * self.SAMPLE))):
            own = plan.map.command(number)[1]
            part = sums[ledger.status[number] in (3, 4)]
            part[0] += own.get('time') or plan.params.get('time') or 1
            part[1] += 1
        (ended, of_ended), (left, of_left) = sums[True], sums[False]
        return left / of_left / (ended / of_ended) if of_left and of_ended >= 20 else 1
