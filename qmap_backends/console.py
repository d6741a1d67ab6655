"""The full-screen console of `qmap submit` and `qmap reattach`: all jobs, a look into each, and the steering.

It shows an execution that this process drives or views, and steers it in both cases through the inbox, as
`qmap control` does. Whoever lets it work (attend() in qmap.py) calls `update`, `wait` and `say` in turn. Needs of
qmap.py its module object, handed as an argument: nothing here imports it.

Nothing here keeps a list of records: of a million jobs there are some bytes each, and the records of the lines that are
seen. Whatever jobs or commands hold goes to the terminal only through `clean`.
"""

import array
import bisect
import collections
import curses
import itertools
import locale
import os
import re
import select
import signal
import socket
import sys
import termios
import time
import traceback
import unicodedata

from qmap_backends.manual import KEYS

#: The letters that stand for the statuses, in their order, in the bar and where there is little room.
LETTERS = '.PRCFO'

#: Jobs up to which a list of those that are wanted is made at once.
FEW = 5000

#: Bytes of a file that are shown, from its end or its beginning.
SHOWN = 256 * 1024

ESCAPES = re.compile(r'\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])')


########################################################################################################################
# Text
########################################################################################################################

def clean(text, ascii_only=False):
    """Return text in which each character is one that a terminal shows and does not obey.

    Args:
        text: of any origin
        ascii_only: for terminals that do not speak UTF-8
    """
    if text.isprintable() and (not ascii_only or len(text) == len(text.encode('utf-8', 'replace'))):
        return text
    return ''.join(char if ' ' <= char <= '~' else harmless(char, ascii_only) for char in text)


def harmless(char, ascii_only):
    """Return what is shown for a character outside of ASCII's printable ones."""
    code = ord(char)
    if code < 32 or code == 127:
        return '^' + chr(code ^ 64)
    if 0xdc80 <= code <= 0xdcff:    # a byte that was no UTF-8 (surrogateescape)
        return '\\x{:02x}'.format(code - 0xdc00)
    if unicodedata.category(char) == 'Zs':
        return ' '
    return char if char.isprintable() and not ascii_only else '?'


def char_cells(char):
    """Return how many cells of a terminal a printable character takes."""
    if unicodedata.category(char) in ('Mn', 'Me'):
        return 0
    return 2 if unicodedata.east_asian_width(char) in 'WF' else 1


def clip(text, width):
    """Return as much of clean text as fits in so many cells."""
    if len(text) == len(text.encode('utf-8', 'replace')):
        return text[:width]
    taken = 0
    for index, char in enumerate(text):
        taken += char_cells(char)
        if taken > width:
            return text[:index]
    return text


def wrap(text, width):
    """Yield clean text in lines of at most so many cells, at least one."""
    width = max(2, width)
    while True:
        part = clip(text, width)
        yield part
        text = text[len(part):]
        if not text:
            return


def text_lines(data, ascii_only):
    """Return the lines of a file's bytes as clean text: without escape sequences, of a line that was drawn over itself
    only the last state."""
    text = ESCAPES.sub('', data.decode('utf-8', 'backslashreplace'))
    lines = text.split('\n')
    if not lines[-1]:
        lines.pop()
    return [clean(line.rstrip('\r').rpartition('\r')[2].expandtabs(), ascii_only) for line in lines]


def short_time(seconds):
    """Return seconds as '45s', '12m', '3h05m', '2d07h': what changes seldom is drawn seldom."""
    seconds = max(0, int(seconds))
    if seconds < 60:
        return '{}s'.format(seconds)
    if seconds < 3600:
        return '{}m'.format(seconds // 60)
    if seconds < 86400:
        return '{}h{:02d}m'.format(seconds // 3600, seconds // 60 % 60)
    return '{}d{:02d}h'.format(seconds // 86400, seconds // 3600 % 24)


def running_time(seconds):
    """Return the time of something that goes on: in the first minute in steps of 5 seconds, to be drawn less often."""
    return short_time(seconds if seconds < 10 or seconds >= 60 else seconds // 5 * 5)


def read_part(path, from_end=True, size=SHOWN):
    """Return (bytes, how many are before them, how many behind) of a file, None where it cannot be read."""
    try:
        with open(path, 'rb') as source:    # opened anew each time: over NFS only that shows what others wrote
            whole = os.fstat(source.fileno()).st_size
            start = max(0, whole - size) if from_end else 0
            source.seek(start)
            data = source.read(size)
    except OSError:
        return None
    return data, start, max(0, whole - start - len(data))


########################################################################################################################
# The terminal
########################################################################################################################

class Screen:
    """The terminal while it is ours, and what is drawn on it.

    Attributes:
        ascii_only: whether it speaks only ASCII
        size: (lines, columns)
        away: whether it is somebody else's now: we were suspended, or put into the background
    """

    NAMES = {curses.KEY_UP: 'up', curses.KEY_DOWN: 'down', curses.KEY_LEFT: 'left', curses.KEY_RIGHT: 'right',
             curses.KEY_PPAGE: 'pgup', curses.KEY_NPAGE: 'pgdn', curses.KEY_HOME: 'home', curses.KEY_END: 'end',
             curses.KEY_ENTER: 'enter', curses.KEY_BACKSPACE: 'backspace', curses.KEY_BTAB: 'backtab',
             curses.KEY_DC: 'delete', '\n': 'enter', '\r': 'enter', '\x1b': 'esc', '\t': 'tab', '\x7f': 'backspace',
             '\b': 'backspace', '\x0c': 'redraw', '\x02': 'pgup', '\x06': 'pgdn', '\x15': 'clear'}

    #: Of the statuses, of trouble, and of what is less important: colour, and what else tells it.
    COLOURS = {'.': (-1, curses.A_DIM), 'P': (curses.COLOR_YELLOW, 0), 'R': (curses.COLOR_CYAN, curses.A_BOLD),
               'C': (curses.COLOR_GREEN, 0), 'F': (curses.COLOR_RED, curses.A_BOLD), 'O': (curses.COLOR_MAGENTA, 0),
               'trouble': (curses.COLOR_RED, curses.A_REVERSE | curses.A_BOLD), 'dim': (-1, curses.A_DIM),
               'bold': (-1, curses.A_BOLD), 'bar': (-1, curses.A_REVERSE)}

    def __init__(self):
        """Take the terminal.

        Raises:
            curses.error: it cannot be drawn on
        """
        curses.setupterm()    # initscr would end the process where the terminal is not known
        if not curses.tigetstr('cup'):
            raise curses.error('the cursor cannot be moved')
        self.ascii_only = locale.nl_langinfo(locale.CODESET).upper() not in ('UTF-8', 'UTF8')
        patience, os.environ['ESCDELAY'] = os.environ.get('ESCDELAY'), os.environ.get('ESCDELAY', '40')
        try:
            self._window = curses.initscr()
        finally:    # the jobs shall not see it
            if patience is None:
                del os.environ['ESCDELAY']
        self.away, self._open = False, True
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self):
        curses.noecho()
        curses.cbreak()
        self._window.keypad(True)
        self._window.nodelay(True)
        self._cursor(0)
        modes = termios.tcgetattr(0)
        modes[6][termios.VQUIT] = b'\0'    # Ctrl-\ would end us, and leave the terminal as it is now
        termios.tcsetattr(0, termios.TCSANOW, modes)
        curses.def_prog_mode()
        self._attributes = {name: more for name, (_, more) in self.COLOURS.items()}
        if curses.has_colors() and not os.environ.get('NO_COLOR'):
            curses.start_color()
            curses.use_default_colors()
            for pair, (name, (colour, more)) in enumerate(self.COLOURS.items(), 1):
                if colour >= 0:
                    curses.init_pair(pair, colour, -1)
                    self._attributes[name] = more | curses.color_pair(pair)
        self._signals = {number: signal.signal(number, self._signal) for number in (signal.SIGTSTP, signal.SIGCONT)}
        self._stopped = self._continued = False
        self.size = self._window.getmaxyx()

    def _signal(self, number, frame):
        if number == signal.SIGTSTP:
            self._stopped = True
        else:
            self._continued = True

    @staticmethod
    def _cursor(kind):
        try:
            curses.curs_set(kind)
        except curses.error:
            pass    # it has no such thing

    def close(self):
        """Give the terminal back as it was."""
        if self._open:
            self._open = False
            for number, handler in getattr(self, '_signals', {}).items():
                signal.signal(number, handler)
            if not self.away:
                self._cursor(1)
                try:
                    curses.endwin()
                except curses.error:
                    pass    # it is gone

    def ready(self):
        """Look after suspensions and the size, and tell whether the terminal is ours to draw on."""
        if self._stopped:
            self._suspend()
        ours = in_foreground()
        if ours and (self.away or self._continued):
            self.away = self._continued = False
            curses.reset_prog_mode()
            self._window.keypad(True)
            self._cursor(0)
            self.redraw()
        elif not ours:
            self.away = True
        if ours:
            self._resize()
        return ours

    def _suspend(self):
        self._stopped = False
        if not self.away:
            self._cursor(1)
            curses.endwin()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)    # here it stands still, and goes on at SIGCONT
        signal.signal(signal.SIGTSTP, handler)
        self.away = True

    def _resize(self):
        try:
            size = os.get_terminal_size(1)
        except OSError:
            return
        if size.lines and size.columns and (size.lines, size.columns) != self._window.getmaxyx():
            curses.resizeterm(size.lines, size.columns)
            self.redraw()
        self.size = self._window.getmaxyx()

    def redraw(self):
        """Draw all of it the next time, not only what has changed."""
        self._window.clearok(True)

    def keys(self):
        """Return the list of keys that were pressed: characters, or words such as 'enter'."""
        found = []
        while len(found) < 500:
            try:
                key = self._window.get_wch()
            except (curses.error, ValueError):    # ValueError: not in the terminal's encoding
                break
            name = self.NAMES.get(key, key)
            if isinstance(name, str):
                found.append(name)
        return found

    def attribute(self, name):
        """Return the attribute of a status letter, 'trouble', 'dim', 'bold' or 'bar'."""
        return self._attributes.get(name, 0)

    def begin(self):
        """Start with an empty screen."""
        self._window.erase()

    def put(self, y, x, text, look='', fill=False):
        """Draw text from a cell on, as far as there is room, and return the column behind it.

        Args:
            y, x: line and column
            text: of any origin
            look: see `attribute`
            fill: whether the rest of the line gets the same look
        """
        lines, columns = self.size
        if not 0 <= y < lines or not 0 <= x < columns:
            return x
        text = clip(clean(text, self.ascii_only), columns - x)
        end = x + (len(text) if self.ascii_only else sum(map(char_cells, text)))
        if fill:
            text += ' ' * (columns - end)
        try:
            self._window.addstr(y, x, text, self.attribute(look))
        except (curses.error, UnicodeError):
            pass    # the last cell of the screen: it is drawn, but the cursor cannot go on
        return end

    def end(self):
        """Send what has changed."""
        self._window.noutrefresh()
        curses.doupdate()


def in_foreground():
    """Tell whether the terminal is ours, not that of another job of the shell."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return True    # no controlling terminal


########################################################################################################################
# Which jobs are listed
########################################################################################################################

class Walk:
    """A list that is made only as far as somebody looks.

    Attributes:
        spent: seconds that making it took
    """

    def __init__(self, numbers, total):
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


class Listing:
    """The jobs that are listed, and their order.

    A job's place among the newest is known from `_key`: of one whose status has changed while we looked the place in
    `_log`, from 1; of all others, from 0 down, that in `_base`, which is the order in which it was when we came.

    Attributes:
        statuses: set of the letters that are wanted, all where it is empty
        newest: whether the newest event comes first, and not the lowest id
        text: what is searched
        marks: bytearray, 1 for each job that is marked
    """

    #: Jobs that are compared at once; seconds that a search may take between two looks at the keys.
    STEP, SLICE = 1024, 0.03
    #: A list is made anew after so many times as long as it took.
    RARELY = 50

    def __init__(self, qmap, execution):
        self._qmap, self._execution = qmap, execution
        ledger = execution.ledger
        self.count = ledger.count
        self.statuses, self.newest, self.text = set(), True, ''
        self.marks = bytearray(self.count)
        self._hits, self._at, self._lines = None, 0, None
        self._seen = bytes(ledger.status)
        self._log = array.array('I')
        self._order(ledger.newest())
        self._rows, self._stale, self._made, self._spent = None, True, 0, 0

    def _order(self, numbers):
        self._base = numbers
        if isinstance(numbers, range):
            self._key = array.array('q', range(0, -self.count, -1))
        else:
            self._key = array.array('q', bytes(8 * self.count))
            for place, number in enumerate(numbers):
                self._key[number] = -place

    def look(self):
        """Take in which jobs have changed their status since the last time, and return whether any has."""
        now = bytes(self._execution.ledger.status)
        if now == self._seen:
            return False
        changes = []
        for start in range(0, self.count, self.STEP):
            old, new = self._seen[start:start + self.STEP], now[start:start + self.STEP]
            if old != new:
                changes += [start + k for k, pair in enumerate(zip(old, new)) if pair[0] != pair[1]]
        # Of what was changed at the same time, what waits comes last, and what runs first.
        changes.sort(key=lambda number: (LETTERS[now[number]] in 'CFO') + 2 * (LETTERS[now[number]] == 'R'))
        for number in changes:
            self._log.append(number)
            self._key[number] = len(self._log)
        self._seen, self._stale = now, True
        if len(self._log) > 2 * self.count + FEW:
            base = array.array('I', self._walk(None))
            self._log = array.array('I')
            self._order(base)
        return True

    def _walk(self, mask):
        """Yield the wanted jobs, the newest first."""
        log, base, key = self._log, self._base, self._key
        for place in range(len(log), 0, -1):
            number = log[place - 1]
            if key[number] == place and (mask is None or mask[number]):
                yield number
        for place, number in enumerate(base):
            if key[number] == -place and (mask is None or mask[number]):
                yield number

    def choose(self, statuses=None, newest=None):
        """List other statuses, or in another order."""
        self.statuses = self.statuses if statuses is None else statuses
        self.newest = self.newest if newest is None else newest
        self._stale, self._made = True, 0

    # Searching

    def search(self, text):
        """List only the jobs with a text in their commands, capital or not, or with these ids. `seek` finds them."""
        self.text = text
        self._hits, self._stale, self._made, self._at = None, True, 0, 0
        if not text:
            self._at = len(self._execution.plan.map)
            return
        self._hits = bytearray(self.count)
        self._pattern = self._qmap.encode(text).lower()
        try:
            spans = self._qmap.parse_ids(text, self._execution.plan)
        except self._qmap.QMapError:
            spans = []
        group = self._execution.plan.group
        for first, last in spans:
            first, last = first // group, last // group
            self._hits[first:last + 1] = b'\1' * (last + 1 - first)

    @property
    def searching(self):
        """Whether there is more to look through."""
        return self._hits is not None and self._at < len(self._execution.plan.map)

    def seek(self):
        """Search on for a moment."""
        end = time.perf_counter() + self.SLICE
        while self.searching and time.perf_counter() < end:
            self._seek_slice()
        self._stale = True

    def _seek_slice(self):
        """Search the text of the next commands as it stands in the file: that is faster than to read each."""
        plan, pattern, hits = self._execution.plan, self._pattern, self._hits
        places, group, first = plan.map.places(), plan.group, self._at
        last = max(first + 1, bisect.bisect_right(places, places[first] + 64 * 1024, first))
        with open(plan.map.path, 'rb') as source:
            source.seek(places[first])
            data = source.read(places[last] - places[first] if last < len(places) else -1).lower()
        start, index, found = places[first], first, data.find(pattern)
        while found >= 0:
            index = bisect.bisect_right(places, start + found, index, min(last, index + 8)) - 1
            if index == last - 1 or places[index + 1] <= start + found:
                index = bisect.bisect_right(places, start + found, index, last) - 1
            # What stands behind a command, comments say, is not part of it.
            if data.find(b'\n', places[index] - start, found) < 0 or \
                    pattern in self._qmap.encode(plan.map.raw(index)).lower():
                hits[index // group] = 1
            following = places[index + 1] - start if index + 1 < last else len(data)
            found = data.find(pattern, following)
        self._at = last

    # The list

    def _mask(self):
        """Return a byte a job, 1 for each that is wanted; None for all."""
        if not self.statuses:
            return self._hits
        mask = self._seen.translate(bytes(
            int(code < len(LETTERS) and LETTERS[code] in self.statuses) for code in range(256)))
        if self._hits is None:
            return mask
        both = int.from_bytes(mask, 'little') & int.from_bytes(self._hits, 'little')
        return both.to_bytes(self.count, 'little')

    def rows(self):
        """Return the list of the numbers of all that is wanted; one that took long to make may be of a while ago."""
        now = time.monotonic()
        spent = self._spent + getattr(self._rows, 'spent', 0)
        if self._rows is None or self._stale and now >= self._made + self.RARELY * spent:
            begun = time.perf_counter()
            self._rows, self._stale, self._made = self._make(), False, now
            self._spent = time.perf_counter() - begun
        return self._rows

    def _make(self):
        mask = self._mask()
        if mask is None:
            return Walk(self._walk(None), self.count) if self.newest else range(self.count)
        total = mask.count(1)
        if self.newest and total > FEW:
            return Walk(self._walk(bytes(mask)), total)
        if total > FEW:
            return array.array('I', itertools.compress(range(self.count), mask))
        found, at = [], mask.find(1)
        while at >= 0:
            found.append(at)
            at = mask.find(1, at + 1)
        return sorted(found, key=self._key.__getitem__, reverse=True) if self.newest else found

    def index(self, number, hint):
        """Return where a job is in the list, None where it is not, or not near `hint`."""
        rows = self.rows()
        if isinstance(rows, range):
            return number
        if isinstance(rows, Walk):
            return rows.index(number, hint)
        if self.newest:
            return rows.index(number) if number in rows else None
        at = bisect.bisect_left(rows, number)
        return at if at < len(rows) and rows[at] == number else None

    def mark_all(self):
        """Mark all that is listed; where all of it is marked, none."""
        mask = self._mask()
        mask = bytes(mask) if mask is not None else b'\1' * self.count
        wanted, marked = int.from_bytes(mask, 'little'), int.from_bytes(self.marks, 'little')
        marked = marked & ~wanted if wanted & marked == wanted else marked | wanted
        self.marks = bytearray(marked.to_bytes(self.count, 'little'))

    def marked(self):
        """Return an iterator over the marked jobs."""
        return itertools.compress(range(self.count), self.marks)


########################################################################################################################
# How fast it goes
########################################################################################################################

class Pace:
    """The rate of the last minutes, and when all will be done."""

    WINDOW = 300
    SAMPLE = 200

    def __init__(self, execution, time_of):
        self._execution, self._time = execution, time_of
        self._points = collections.deque()
        self._mix = (float('-inf'), 1)

    def look(self):
        """Take in how many have ended by now."""
        now, counts = self._time(), self._execution.ledger.counts
        ended = counts[3] + counts[4]
        if self._points and ended < self._points[-1][1]:    # some are to run again
            self._points.clear()
        if not self._points or now - self._points[-1][0] >= 1:
            self._points.append((now, ended))
        while now - self._points[0][0] > self.WINDOW and len(self._points) > 2:
            self._points.popleft()

    def rate(self):
        """Return jobs per second, 0 where it is not known."""
        if not self._points:
            return 0
        counts, (since, before) = self._execution.ledger.counts, self._points[0]
        seconds = self._time() - since
        return max(0, counts[3] + counts[4] - before) / seconds if seconds >= 1 else 0

    def eta(self):
        """Return the seconds until all has ended, None where nobody can know."""
        rate, ledger = self.rate(), self._execution.ledger
        if not rate or not ledger.left() or self._execution.halted:
            return None
        if self._time() - self._mix[0] > 30:
            self._mix = (self._time(), self._ratio(ledger))
        return ledger.left() / rate * self._mix[1]

    def _ratio(self, ledger):
        """Return how much longer those that are left are than those that have ended, by what each may take at most."""
        plan, step = self._execution.plan, max(1, ledger.count // (4 * self.SAMPLE))
        sums = {True: [0, 0], False: [0, 0]}
        if plan.group > 1:
            return 1
        for number in range(0, ledger.count, step):
            own = plan.map.command(number)[1]
            part = sums[ledger.status[number] in (3, 4)]
            part[0] += own.get('time') or plan.params.get('time') or 1
            part[1] += 1
        (ended, of_ended), (left, of_left) = sums[True], sums[False]
        return left / of_left / (ended / of_ended) if of_left and of_ended >= 20 else 1


########################################################################################################################
# In plain words
########################################################################################################################

CODES = {126: 'the command is there, but cannot be executed', 127: 'a command was not found',
         2: 'for many commands: wrongly called'}

WHY_FAILED = {
    'memory': 'It used more memory than it had asked for. Retry it with more: r.',
    'time': 'It ran longer than the time that it had asked for. Retry it with more: r.',
    'cancelled': 'Somebody cancelled it. Retry it: r.',
    'node': 'The machine on which it ran failed. Retry it: r.',
    'submit': 'It was not accepted for submission. The words below are those of who refused it.',
    'lost': 'It has gone without a word, and nobody knows how it ended. Its output below may tell. Retry it: r.',
}


def explain(execution, record, params):
    """Return in plain words what is with a job.

    Args:
        execution: Execution
        record: dict, its last event
        params: dict of its parameters
    """
    status, reason = record['status'], record.get('error_reason')
    if status == 'FAILED' and reason == 'exit':
        code = record.get('exit_code')
        return 'The command ended with exit status {}{}.'.format(
            code, ': ' + CODES[code] if code in CODES else '')
    if status == 'FAILED' and reason == 'signal':
        number = record.get('signal')
        return 'It was killed by a signal{}: from outside, or it crashed.'.format(
            ' ({})'.format(signal.Signals(number).name) if number in set(signal.Signals) else '')
    if status == 'FAILED':
        return WHY_FAILED.get(reason, 'It failed, and nobody said why.')
    if status == 'PENDING':
        if execution.plan.info['executor'] == 'local':
            return 'It waits until {} of this machine {} free.'.format(
                '{} cores'.format(params['cores']) if params.get('cores', 1) > 1 else 'a core',
                'are' if params.get('cores', 1) > 1 else 'is')
        words = record.get('words')
        return 'It is in the queue of the scheduler{}.'.format(
            ', which says: ' + words if words else ', which has not said why it waits')
    if status == 'UNSUBMITTED':
        if execution.halted:
            return 'It is not yet submitted, and submitting is paused. Resume: p.'
        return 'It is not yet submitted: others are before it, and only so many may be in the scheduler at once ' \
            '(max-running: m).'
    if status == 'RUNNING':
        return 'It runs on {}.'.format(record.get('host') or 'a machine that it has not named yet')
    if status == 'COMPLETED':
        return 'It ended well.'
    return 'The scheduler says: {}.'.format(record.get('words') or 'something that QMap does not know')


########################################################################################################################
# Questions to the user
########################################################################################################################

class Menu:
    """A question that is answered by a key. Esc takes it back.

    Args:
        title: the question
        entries: list of (key, what it means, function)
    """

    def __init__(self, title, entries):
        self._title, self._entries = title, entries + [('Esc', 'no, go back', None)]

    def lines(self):
        """Return a list of (text, look)."""
        return [(self._title, 'bar')] + [('  {:>3}  {}'.format(key, what), '') for key, what, _ in self._entries]

    def key(self, key):
        """Answer it. Return whether it stays open."""
        for name, _, action in self._entries:
            if key == name and action:
                return bool(action())
        return key not in ('esc', 'n', 'q')


class Form:
    """Questions that are answered by typing. Enter does it, Esc takes it back.

    Args:
        title: what is to be done
        fields: list of [key, label, text, note]
        action: function of a dict of the texts; it raises `error` with a message where one of them is wrong
        error: class of that exception
    """

    def __init__(self, title, fields, action, error):
        self._title, self._fields, self._action, self._error = title, fields, action, error
        self._at, self._wrong = 0, ''

    def lines(self):
        """Return a list of (text, look)."""
        width = max(len(label) for _, label, _, _ in self._fields)
        lines = [(self._title, 'bar')]
        for place, (_, label, text, note) in enumerate(self._fields):
            here = place == self._at
            lines.append(('{} {:<{}}: {}{}{}'.format(
                '>' if here else ' ', label, width, text, '_' if here else '', '   ({})'.format(note) if note else ''),
                'bold' if here else ''))
        return lines + [('! ' + self._wrong, 'trouble') if self._wrong else (
            'Enter: do it   Esc: no' + ('   up down: other fields' if len(self._fields) > 1 else ''), 'dim')]

    def key(self, key):
        """Take a key. Return whether it stays open."""
        field, self._wrong = self._fields[self._at], ''
        if key == 'enter':
            try:
                return bool(self._action({name: text.strip() for name, _, text, _ in self._fields}))
            except self._error as error:
                self._wrong = str(error)
        elif key in ('down', 'tab', 'up', 'backtab'):
            self._at = (self._at + (1 if key in ('down', 'tab') else -1)) % len(self._fields)
        elif key == 'backspace':
            field[2] = field[2][:-1]
        elif key == 'clear':
            field[2] = ''
        elif len(key) == 1 and key.isprintable():
            field[2] += key
        return key != 'esc'


class Search:
    """The line in which one types what to search; the list follows at once."""

    def __init__(self, listing, page):
        self._listing, self._page = listing, page

    def lines(self):
        """Return a list of (text, look)."""
        return [('/{}_   (Enter: keep, Esc: all jobs)'.format(self._listing.text), 'bar')]

    def key(self, key):
        """Take a key. Return whether it stays open."""
        text = self._listing.text
        if key == 'backspace':
            text = text[:-1]
        elif key == 'clear' or key == 'esc':
            text = ''
        elif len(key) == 1 and key.isprintable():
            text += key
        if text != self._listing.text:
            self._listing.search(text)
            self._page.top()
        return key not in ('esc', 'enter')


########################################################################################################################
# Pages
########################################################################################################################

class ListPage:
    """The jobs, a line each.

    Attributes:
        number: the job on which the cursor is, None where none is listed
    """

    HINT = 'Enter look  / search  F failed  r retry  c cancel  p pause  q quit  ? keys'

    def __init__(self, console):
        self._console, self._listing = console, console.listing
        self._index = self._top = self._shift = 0
        self._height = 1
        self.number = None

    def _settle(self, follow=False):
        """Put the cursor on the job where it was; on the first line it stays there, whatever comes in, unless it is to
        follow its job."""
        rows = self._listing.rows()
        if (self._index or follow) and self.number is not None:
            at = self._listing.index(self.number, self._index)
            if at is not None:
                self._top += at - self._index
                self._index = at
        self._go(self._index)
        return rows

    def _go(self, index):
        rows = self._listing.rows()
        self._index = max(0, min(index, len(rows) - 1))
        try:
            self.number = rows[self._index] if len(rows) else None
        except IndexError:    # it became shorter just now
            self._index, self.number = 0, rows[0] if len(rows) else None
        self._top = max(0, min(self._top, self._index, max(0, len(rows) - self._height)))
        self._top = max(self._top, self._index - self._height + 1)

    def move(self, steps):
        """Go to another job of the list."""
        self._settle(follow=True)
        self._go(self._index + steps)

    def top(self):
        """Go to the first job."""
        self._index = self._top = 0
        self._go(0)

    def key(self, key):
        """Take a key, and return whether it meant something."""
        listing, page = self._listing, max(1, self._height - 1)
        steps = {'up': -1, 'k': -1, 'down': 1, 'j': 1, 'pgup': -page, 'pgdn': page, 'home': -listing.count,
                 'g': -listing.count, 'end': listing.count, 'G': listing.count}.get(key)
        if steps:
            self.move(steps)
        elif key in 'UPRCFO':
            letter = '.' if key == 'U' else key
            listing.choose(listing.statuses ^ {letter})
            self.top()
        elif key == 's':
            now = LETTERS.index(min(listing.statuses)) if len(listing.statuses) == 1 else -1
            listing.choose({LETTERS[now + 1]} if now + 1 < len(LETTERS) else set())
            self.top()
        elif key == 'o':
            listing.choose(newest=not listing.newest)
            self.top()
        elif key == '/':
            self._console.dialog = Search(listing, self)
        elif key == 'esc':
            listing.choose(set())
            listing.search('')
            listing.marks = bytearray(listing.count)
            self._settle(follow=True)
        elif key in ('left', 'right'):
            self._shift = max(0, self._shift + (20 if key == 'right' else -20))
        elif key == ' ' and self.number is not None:
            listing.marks[self.number] ^= 1
            self.move(1)
        elif key == '*':
            listing.mark_all()
        elif key == 'enter' and self.number is not None:
            self._console.open(JobPage(self._console, self))
        else:
            return False
        return True

    def draw(self, screen, y, height):
        """Draw it on lines y to y + height - 1."""
        if height > 2:
            self._title(screen, y)
            y, height = y + 1, height - 1
        self._height = max(1, height)
        rows = self._settle()
        for line in range(height):
            try:
                number = rows[self._top + line] if self._top + line < len(rows) else None
            except IndexError:
                number = None
            if number is None:
                break
            self._row(screen, y + line, number, number == self.number)
        if not len(rows):
            screen.put(y, 2, 'searching...' if self._listing.searching else 'no such job', 'dim')

    def _columns(self, width):
        """Return the list of (title, width) of the columns before the command."""
        columns = [('id', max(2, self._console.execution.ledger.width))]
        columns.append(('status', 13) if width >= 50 else ('', 1))
        if width >= 60:
            columns.append(('try', 3))
        if width >= 34:
            columns.append(('time', 6))
        if width >= 70:
            columns.append(('memory', 11 if width >= 76 else 6))
        if width >= 76:
            columns.append(('host', 8 if width < 100 else 16))
        return columns

    def _title(self, screen, y):
        listing = self._listing
        cells = ['{:<{}}'.format(title[:width], width) for title, width in self._columns(screen.size[1])]
        screen.put(y, 0, ' ' + ' '.join(cells) + ' command', 'bar', fill=True)
        total, marked = len(listing.rows()), listing.marks.count(1)
        place = self._index + 1 if total else 0
        room = screen.size[1] - sum(len(cell) + 1 for cell in cells) - 1
        only = ' '.join(letter for letter in LETTERS if letter in listing.statuses)
        words = [self._console.qmap.STATUSES[LETTERS.index(letter)].lower() for letter in only.split()]
        for said in (['{:,} of {:,}'.format(place, total), marked and '{:,} marked'.format(marked), ' or '.join(words),
                      'newest first' if listing.newest else 'by id'],
                     ['{}/{}'.format(place, total), marked and '*{}'.format(marked), only,
                      'new' if listing.newest else 'id'],
                     ['{}/{}'.format(place, total), only]):
            if listing.text:
                said.insert(-1, '/{}{}'.format(listing.text, '...' if listing.searching else ''))
            text = ' {} '.format('  '.join(filter(None, said)))
            if len(text) + 10 <= room:
                break
        screen.put(y, max(0, screen.size[1] - len(text)), text, 'bar')

    def _row(self, screen, y, number, here):
        execution = self._console.execution
        ledger, letter = execution.ledger, LETTERS[self._console.status(number)]
        record, params = self._console.record(number)
        name = self._console.state_text(record)
        attempts = ledger.attempts[number]
        used, asked = record.get('memory'), params.get('memory')
        if record['status'] == 'RUNNING':
            used = execution.peak(number)
        size = self._console.qmap.memory_text
        memory = '{}/{}'.format(size(used) if used else '-', size(asked) if asked else '-') if used or asked else ''
        values = {'id': ledger.id(number), 'status': '{} {}'.format(letter, name), '': letter,
                  'try': str(attempts or ''), 'time': self._console.elapsed_text(record),
                  'memory': (memory, size(used) if used else ''), 'host': (record.get('host') or '').partition('.')[0]}
        x = 1
        mark = '*' if self._listing.marks[number] else '>' if here else ' '
        screen.put(y, 0, mark, 'bold')
        for title, width in self._columns(screen.size[1]):
            value = values[title]
            if isinstance(value, tuple):
                value = value[0] if width > 6 else value[1]
            look = 'bar' if here else letter if title in ('status', '') else ''
            screen.put(y, x, '{:<{}} '.format(clean(value)[:width], width), look)
            x += width + 1
        command = execution.plan.map.command(number * execution.plan.group)[0].replace('\n', ' ')
        group = len(execution.plan.commands(number))
        if group > 1:
            command = '{} (+{} more)'.format(command, group - 1)
        screen.put(y, x, command[self._shift:self._shift + 4 * screen.size[1]], 'bar' if here else '', fill=here)


class TextPage:
    """Lines to be read: messages, or the keys.

    Args:
        console: Console
        title: of the page
        lines: function that returns the list of lines
        at_end: whether it begins at the end, and stays there
    """

    HINT = 'up down PgUp PgDn scroll  Esc back'

    def __init__(self, console, title, lines, at_end=False):
        self._console, self._title, self._lines = console, title, lines
        self._top, self._height, self._total = 0, 1, 0
        self._at_end = at_end

    def key(self, key):
        """Take a key, and return whether it meant something."""
        page = max(1, self._height - 1)
        steps = {'up': -1, 'k': -1, 'down': 1, 'j': 1, 'pgup': -page, 'pgdn': page, ' ': page, 'home': -1 << 40,
                 'g': -1 << 40, 'end': 1 << 40, 'G': 1 << 40}.get(key)
        if steps:
            self._top = max(0, min(self._top + steps, self._total - self._height))
            self._at_end = steps > 0 and self._top >= self._total - self._height
        elif key in ('esc', 'q', 'enter', 'backspace'):
            self._console.back()
        else:
            return False
        return True

    def draw(self, screen, y, height):
        """Draw it on lines y to y + height - 1."""
        if height > 2:
            screen.put(y, 0, ' ' + self._title, 'bar', fill=True)
            y, height = y + 1, height - 1
        self._show(screen, y, height, self._lines())

    def _show(self, screen, y, height, lines):
        width = screen.size[1]
        lines = [part for line in lines for part in wrap(clean(line, screen.ascii_only), width)]
        self._height, self._total = max(1, height), len(lines)
        last = max(0, self._total - self._height)
        self._top = last if self._at_end else min(self._top, last)
        for place, line in enumerate(lines[self._top:self._top + height]):
            screen.put(y + place, 0, line)


class JobPage(TextPage):
    """One job: what is known of it, its output as it comes, and its script."""

    HINT = 'Tab 1-4 pages  < > other jobs  r retry  c cancel  Esc back  ? keys'
    PARTS = ('about', 'out', 'err', 'script')

    def __init__(self, console, page):
        super().__init__(console, '', None)
        self._page, self._part = page, 0
        self._from_start = False

    @property
    def number(self):
        """The job."""
        return self._page.number

    def key(self, key):
        """Take a key, and return whether it meant something."""
        if key in ('tab', 'right', 'backtab', 'left', '1', '2', '3', '4'):
            step = {'tab': 1, 'right': 1}.get(key, -1)
            self._turn(int(key) - 1 if key.isdigit() else (self._part + step) % len(self.PARTS))
        elif key in ('<', '>'):
            self._page.move(1 if key == '>' else -1)
            self._turn(self._part)
        else:
            if key in ('home', 'g', 'end', 'G'):
                self._from_start = key in ('home', 'g')
            return super().key(key)
        return True

    def _turn(self, part):
        self._part, self._top, self._from_start = part, 0, False
        self._at_end = self.PARTS[part] in ('out', 'err')

    def draw(self, screen, y, height):
        """Draw it on lines y to y + height - 1."""
        number = self.number
        if number is None:
            screen.put(y, 0, 'no such job')
            return
        if height > 2:
            record = self._console.record(number)[0]
            x = screen.put(y, 0, ' job {} '.format(record['job']), 'bar', fill=True)
            x = screen.put(y, x, ' {} {} '.format(LETTERS[self._console.status(number)],
                                                  self._console.state_text(record)), 'bar')
            for part, name in enumerate(self.PARTS):
                text = '{} {}'.format(part + 1, name)
                x = screen.put(y, x + 1, '[{}]'.format(text) if part == self._part else ' {} '.format(text), 'bar')
            y, height = y + 1, height - 1
        lines = {'about': self._about, 'script': self._script}.get(self.PARTS[self._part], self._output)(screen)
        self._show(screen, y, height, lines)

    def _path(self, suffix):
        return self._console.execution.plan.path(self._console.execution.ledger.id(self.number), suffix)

    def _output(self, screen):
        part = read_part(self._path('.' + self.PARTS[self._part]), not self._from_start)
        if part is None:
            return ['nothing is written yet']
        data, before, behind = part
        lines = text_lines(data, screen.ascii_only) or ['empty']
        path = self._path('.' + self.PARTS[self._part])
        if before:
            lines.insert(0, '({:,} bytes before this: Home, or {})'.format(before, path))
        if behind:
            lines.append('({:,} bytes behind this: End, or {})'.format(behind, path))
        return lines

    def _script(self, screen):
        part = read_part(self._path('.sh'), False)
        if part:
            return text_lines(part[0], screen.ascii_only)
        plan = self._console.execution.plan
        return ['The script is there only while a job is submitted (or, with --keep failed, if it failed). It runs:',
                ''] + [line for index in plan.commands(self.number)
                       for line in plan.map.command(index)[0].split('\n')]

    def _about(self, screen):
        console, execution = self._console, self._console.execution
        ledger, plan = execution.ledger, execution.plan
        record, params = console.record(self.number)
        info = plan.info_of(record, ledger)
        lines = [explain(execution, record, params)]
        if record.get('error') and record['status'] == 'FAILED':
            lines += ['', '  ' + record['error']]
        lines += ['', 'command', *('  ' + line for line in info.pop('command').split('\n'))]
        lines += ['', '{:<12} {}'.format('time', console.elapsed_text(record))]
        if record['status'] == 'RUNNING' and execution.peak(self.number):
            lines.append('{:<12} {} so far'.format('memory', console.qmap.memory_text(execution.peak(self.number))))
        attempts = info.pop('attempts', ())
        info.pop('seconds', None)
        lines += flat(info)
        for past in attempts:
            lines += ['', 'attempt {}: {}'.format(past['attempt'], console.qmap.describe_end(past)
                                                  if past['status'] == 'FAILED' else past['status'].lower())]
            lines += ['  ' + line for line in flat(past) if not line.startswith(('attempt ', 'status '))]
            for suffix in ('.out', '.err'):
                path = self._path('.{}{}'.format(past['attempt'], suffix))
                lines += ['  {:<10} {}'.format(suffix[1:], path)] if os.path.exists(path) else []
        return lines


def flat(values, before=''):
    """Return the lines that say what a dict holds, those of inner ones with their names; what is empty is left out."""
    lines = []
    for key, value in values.items():
        if isinstance(value, dict):
            lines += flat(value, before + key + '.')
        elif value not in (None, ''):
            lines.append('{:<12} {}'.format(before + key, value))
    return lines


########################################################################################################################
# The console
########################################################################################################################

class Console:
    """The full-screen view of an execution, with the methods of the plain View.

    Attributes:
        qmap: the module
        execution: Execution
        listing: Listing
        dialog: the question that is open, None for none
        detaches: whether a driver in the background is to go on when this one has left
    """

    #: Seconds: the longest wait for a key; between two drawings at least, and at most; for which a message stays, and
    #: for which the console stays open after the end where somebody is at the keys.
    WAIT, SOON, DRAW, NOTICE, STAY = 0.25, 0.4, 1, 12, 60
    #: Seconds after which an order that nobody obeys is named, and after which it is taken back.
    SLOW, TAKEN_BACK = 4, 120

    def __init__(self, qmap, execution, plain):
        """Take the terminal.

        Args:
            plain: View, which says in plain lines what is said when this is closed

        Raises:
            curses.error, OSError: it cannot be drawn on
        """
        self.qmap, self.execution = qmap, execution
        self.listing = Listing(qmap, execution)
        self.dialog, self.detaches = None, False
        self._plain, self._closed = plain, False
        self._pace = Pace(execution, time.monotonic)
        self._inbox = qmap.Inbox(execution.logs, qmap.Here())
        self._orders = {}
        self._messages = collections.deque(maxlen=1000)
        self._noticed = 0
        self._pages = [ListPage(self)]
        self._touched = None
        self._leaves = False
        self._driver = (float('-inf'), {})
        self._drawn, self._dirty = 0, True
        self._keys = select.poll()
        self._keys.register(0, select.POLLIN)
        sys.stdout.flush()
        self._screen = Screen()

    # What attend() and follow() call

    def update(self, last=False):
        """Show how things are, if something has changed.

        Args:
            last: whether this is the last look: the terminal is given back
        """
        if last:
            self.close()
        elif self._closed:
            self._plain.update()
        else:
            self._safely(self._update)

    def say(self, text):
        """Show a message."""
        if self._closed:
            self._plain.say(text)
        else:
            self._messages.append((time.time(), text))
            self._noticed, self._dirty = time.monotonic(), True

    note = say

    def finish(self, summary):
        """Print the last lines."""
        self._plain.finish(summary)

    def wait(self, seconds):
        """Wait for keys, for a moment, and obey them."""
        if self._closed:
            self._plain.wait(seconds)
        else:
            self._safely(self._wait)

    def holds(self):
        """Tell whether somebody looks and shall not be thrown out, although all is over."""
        if self._closed or self._leaves or self._touched is None:
            return False
        if any(id not in self.execution.ledger.obeyed for id in self._orders):
            self.execution.start()    # it was retried
        return time.monotonic() - self._touched < self.STAY

    def close(self):
        """Give the terminal back. What is to be said from now on is said in plain lines."""
        if not self._closed:
            self._closed = True
            self._screen.close()
            if not self.detaches:
                for id in self._orders:
                    self._inbox.remove(id)

    def _safely(self, function):
        try:
            function()
        except Exception:    # the jobs must not suffer from what a view does wrong
            problem = traceback.format_exc()
            self.close()
            sys.stderr.write(problem)
            self._plain.say('the console failed; plain lines from here on')

    def _wait(self):
        if self._screen.away:
            time.sleep(self.WAIT)
            return
        busy = self.listing.searching
        for _, what in self._keys.poll(0 if busy else int(1000 * self.WAIT)):
            if what & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                self.close()    # the terminal is gone; the jobs are not
                return
        for key in self._screen.keys():
            self._touched, self._dirty = time.monotonic(), True
            self._key(key)
        if busy and self.listing.searching:
            self.listing.seek()
            self._dirty = True

    def _update(self):
        now = time.monotonic()
        since = now - self._drawn
        if since >= self.DRAW or since >= self.SOON and self.listing.look():
            self._dirty = True
        away = self._screen.away
        if not self._screen.ready():
            return
        if not (self._dirty or away):
            if self._screen.size == self._size:
                return
        self._dirty = False
        self.listing.look()
        self._pace.look()
        self._mind_orders(now)
        self._draw()
        self._drawn = time.monotonic()

    # Keys

    @property
    def page(self):
        """The page that is seen."""
        return self._pages[-1]

    def open(self, page):
        """Show another page, until `back`."""
        self._pages.append(page)

    def back(self):
        """Show the page before."""
        self._pages.pop()

    def _key(self, key):
        if key == 'redraw':
            self._screen.redraw()
        elif self.dialog:
            dialog = self.dialog
            if not dialog.key(key) and self.dialog is dialog:
                self.dialog = None
        elif not self.page.key(key):
            action = {'?': self._show_keys, 'l': self._show_messages, 'p': self._pause, 'm': self._max_running,
                      'e': self._edit, 'r': self._retry, 'c': self._cancel, 'd': self._detach, 'a': self._submit_all,
                      'q': self._quit}.get(key)
            if action:
                action()

    def _show_keys(self):
        self.open(TextPage(self, 'keys', lambda: ['{:<30} {:<6} {}'.format(*row) for row in KEYS]))

    def _show_messages(self):
        self.open(TextPage(self, 'messages', lambda: [
            '{}  {}'.format(time.strftime('%H:%M:%S', time.localtime(when)), text)
            for when, text in self._messages] or ['none so far'], at_end=True))

    # Steering

    def _order(self, command, words):
        """Put a command into the inbox, from where the driver takes it, here or elsewhere."""
        try:
            id = self._inbox.drop(dict(command, by=self.qmap.whoami()))
        except OSError as error:
            self.say('cannot {}: {}: {}'.format(words, error.filename or self.execution.path, error.strerror))
            return
        self._orders[id] = (time.monotonic(), words)

    def _mind_orders(self, now):
        for id, (since, words) in list(self._orders.items()):
            if id in self.execution.ledger.obeyed:
                del self._orders[id]
            elif now - since > self.TAKEN_BACK:
                del self._orders[id]
                self._inbox.remove(id)
                self.say('nobody has obeyed: {}; the order is taken back'.format(words))

    def _waiting(self):
        """Return the sentence about an order that the driver lets wait, '' for none."""
        slow = [words for since, words in self._orders.values() if time.monotonic() - since > self.SLOW]
        return 'the driver has not obeyed yet: {}'.format(', '.join(slow)) if slow else ''

    def _pause(self):
        if self.execution.halted:
            self.dialog = Menu('Submit again?', [('y', 'yes, resume', lambda: self._order({'do': 'resume'}, 'resume'))])
        else:
            self.dialog = Menu('Submit nothing more for now? What runs goes on.', [
                ('y', 'yes, pause', lambda: self._order({'do': 'pause'}, 'pause'))])

    def _max_running(self):
        def change(texts):
            try:
                number = self.qmap.parse_count(texts['number'])
            except ValueError as error:
                raise self.qmap.QMapError('{}: {}'.format(texts['number'], error))
            self._order({'do': 'max-running', 'number': number}, 'max-running {}'.format(number))

        self.dialog = Form('How many jobs may be in the scheduler at once?',
                           [['number', 'max-running', '', 'now {}'.format(self.max_running)]], change,
                           self.qmap.QMapError)

    def _checked(self, texts):
        """Return parameters as orders have them.

        Raises:
            QMapError: one is wrong
        """
        found = {}
        for key, text in texts.items():
            if key == 'working_directory' and text and not os.path.isdir(self.qmap.file_name(text)):
                raise self.qmap.QMapError('{}: the working directory is not there'.format(text))
            found[key] = self.qmap.write_parameter(key, self.qmap.checked(key, text)) if text else ''
        return found

    def _edit(self):
        execution, qmap = self.execution, self.qmap
        labels = execution.plan.info.get('editable_params') or {key: key for key in ('cores', 'memory', 'time')}
        params = qmap.changed(execution.plan.params, execution.ledger.settings.get('params'))
        now = {key: qmap.write_parameter(key, params[key]) if key in params else '' for key in labels}

        def change(texts):
            changes = self._checked({key: text for key, text in texts.items() if text != now[key]})
            if changes:
                self._order({'do': 'set', 'params': changes}, 'set ' + ' '.join(
                    '{}={}'.format(*item) for item in changes.items()))

        self.dialog = Form('Parameters of the {} not yet submitted'.format(
            qmap.plural(execution.ledger.counts[0], 'job')),
            [[key, label or key, now[key], ''] for key, label in labels.items()], change, qmap.QMapError)

    def _targets(self, letters):
        """Return a list of (key, words, what an order says of them): the job here, and those that are marked."""
        ledger, found = self.execution.ledger, []
        number = getattr(self.page, 'number', None)
        if number is not None and LETTERS[ledger.status[number]] in letters:
            found.append(('j', 'job ' + ledger.id(number), {'ids': self._spans([number])}))
        marked = [number for number in self.listing.marked() if LETTERS[ledger.status[number]] in letters]
        if marked:
            found.append(('k', 'the {}'.format(self.qmap.plural(len(marked), 'marked job')),
                          {'ids': self._spans(marked)}))
        return found

    def _spans(self, numbers):
        group = self.execution.plan.group
        return [[first * group, last * group] for first, last in self.qmap.spans(numbers)]

    def _retry(self):
        targets, failed = self._targets('CF'), self.execution.ledger.counts[4]
        if failed:
            targets.append(('f', 'all {}'.format(self.qmap.plural(failed, 'failed job')), {'statuses': ['FAILED']}))
        if not targets:
            self.say('retry: no job here has ended')
        elif len(targets) == 1:
            self._retry_form(*targets[0][1:])
        else:
            self.dialog = Menu('Run again', [
                (key, words, lambda words=words, which=which: self._retry_form(words, which))
                for key, words, which in targets])

    def _retry_form(self, words, which):
        params = self.execution.plan.params
        if len(which.get('ids', ())) == 1 and which['ids'][0][0] == which['ids'][0][1]:
            params = self.record(which['ids'][0][0] // self.execution.plan.group)[1]

        def retry(texts):
            changes = self._checked({key: text for key, text in texts.items() if text})
            self._order(dict(which, do='retry', params=changes), 'retry ' + words)
            self.listing.marks = bytearray(self.listing.count)

        self.dialog = Form('Run {} again; empty: as before'.format(words), [
            [key, key, '', 'now {}'.format(self.qmap.write_parameter(key, params[key])) if key in params else '']
            for key in ('cores', 'memory', 'time')], retry, self.qmap.QMapError)
        return True

    def _cancel(self):
        targets, left = self._targets('.PRO'), self.execution.left()
        if left:
            targets.append(('a', 'all {} that have not ended'.format(self.qmap.plural(left, 'job')), {}))

        def cancel(words, which):
            self._order(dict(which, do='cancel'), 'cancel ' + words)
            self.listing.marks = bytearray(self.listing.count)

        if not targets:
            self.say('cancel: all have ended')
            return
        self.dialog = Menu('Cancel? What runs is ended, what waits never runs.', [
            (key, words, lambda words=words, which=which: cancel(words, which)) for key, words, which in targets])

    # Leaving

    def _leave(self, how='leave', detaches=False):
        self._leaves = True
        self.detaches = self.execution.passed_on = detaches
        getattr(self.execution, how)()
        self.say({'leave': 'leaving', 'cancel': 'cancelling what was submitted; leaves when it has ended',
                  'hand_over': 'submitting all that the scheduler takes, then leaving'}[how])

    def _detach(self):
        if not self.execution.driving:
            self.dialog = Menu('The execution is driven elsewhere, and goes on there. Leave this view?', [
                ('y', 'yes, leave', self._leave)])
            return
        self.dialog = Menu('Go on in the background, without this terminal?', [
            ('y', 'yes, detach; `qmap reattach` looks at it again', lambda: self._leave(detaches=True))])

    def _submit_all(self):
        if self.execution.plan.info['executor'] == 'local':
            self.say('submit all: this machine has no queue to leave jobs in; d goes on in the background')
        elif not self.execution.driving:
            self.say('submit all: only where it is driven')
        else:
            self.dialog = Menu('Hand all jobs to the scheduler now, whatever max-running says, and leave?', [
                ('y', 'yes; `qmap reattach` collects them later', lambda: self._leave('hand_over'))])

    def _quit(self):
        counts, plural = self.execution.counts(), self.qmap.plural
        live = plural(counts['PENDING'] + counts['RUNNING'] + counts['OTHER'], 'submitted job')
        if not self.execution.working():
            self._leave()
        elif self.execution.driving:
            entries = [('l', 'leave; {} go on without qmap, nothing new is submitted'.format(live), self._leave),
                       ('d', 'detach; all goes on in the background', lambda: self._leave(detaches=True)),
                       ('x', 'cancel the {}, and leave'.format(live), lambda: self._leave('cancel'))]
            if self.execution.plan.info['executor'] != 'local':
                entries.insert(2, ('a', 'submit all to the scheduler, and leave', lambda: self._leave('hand_over')))
            self.dialog = Menu('Quit?', entries)
        else:
            self.dialog = Menu('Quit? This process only looks on.', [
                ('l', 'leave this view; the execution goes on where it is driven', self._leave),
                ('s', 'stop the driver, too; {} go on'.format(live), lambda: self._order({'do': 'stop'}, 'stop')),
                ('x', 'stop the driver, and cancel the {}'.format(live),
                 lambda: self._order({'do': 'stop', 'cancel': True}, 'stop and cancel'))])

    # Of a job

    def status(self, number):
        """Return the code of a job's status, as the list was made with."""
        return self.execution.ledger.status[number]

    def record(self, number):
        """Return the last record of a job, and its parameters."""
        ledger, plan = self.execution.ledger, self.execution.plan
        record = ledger.record(number)
        changes = record.get('params')
        if record['status'] == 'UNSUBMITTED':
            changes = plan.changes(ledger, number)
        return record, self.qmap.changed(plan.job_params(number), changes)

    def state_text(self, record):
        """Return a word or two on how a job is."""
        if record['status'] == 'FAILED':
            reason = record.get('error_reason')
            return 'exit {}'.format(record.get('exit_code')) if reason == 'exit' else 'signal {}'.format(
                record.get('signal') or '') if reason == 'signal' else reason or 'failed'
        if record['status'] == 'PENDING' and record.get('words'):
            return record['words'].partition(':')[0]
        return record['status'].lower()

    def elapsed_text(self, record):
        """Return how long a job ran, or has been running; in brackets, how long it has been waiting."""
        if record['status'] in ('COMPLETED', 'FAILED'):
            if record.get('started') and record.get('finished'):
                return short_time(record['finished'] - record['started'])
        elif record.get('started'):
            return running_time(time.time() - record['started'])
        elif record['status'] == 'PENDING' and record.get('submitted'):
            waited = time.time() - record['submitted']
            return '({})'.format(short_time(waited) if waited >= 60 else '<1m')
        return ''

    # Drawing

    @property
    def max_running(self):
        """How many jobs may be in the scheduler at once."""
        return self.execution.ledger.settings.get('max_running') or self.execution.plan.info['max_running']

    def _who(self):
        """Return the words on who drives, and what troubles there are."""
        execution = self.execution
        if execution.driving:
            return 'drives: this process, {} on {}'.format(os.getpid(), socket.gethostname()), execution.trouble
        if not execution.working():
            return 'all has ended', ''
        if time.monotonic() - self._driver[0] >= 1:
            driver = execution.driver()
            here = driver.get('host') == socket.gethostname()
            if here and self.qmap.birth(driver['pid']) != driver['born']:
                driver = {}
            self._driver = (time.monotonic(), driver)
        driver = self._driver[1]
        if not driver:
            return 'views; nobody drives', execution.trouble
        return 'views; driven by process {} on {} ({})'.format(
            driver['pid'], driver['host'], 'this machine' if driver['host'] == socket.gethostname() else 'elsewhere'), \
            driver.get('trouble') or ''

    def _head(self, screen):
        """Draw the lines at the top, and return how many there are."""
        lines, columns = self._size = screen.size
        execution, counts = self.execution, self.execution.ledger.counts
        who, trouble = self._who()
        y = 0
        if lines >= 10:
            x = screen.put(y, 0, ' ' + self.qmap.shown_path(execution.path), 'bold')
            where = '{}  {} '.format(who, execution.plan.info['executor'])
            screen.put(y, max(x + 2, columns - len(where)), where)
            y += 1
        if lines >= 8:
            screen.put(y, 0, ' ' + '  '.join(self._figures()), 'P' if execution.halted else '')
            y += 1
        if lines >= 6:
            self._bar(screen, y, counts)
            y += 1
        if lines >= 3:
            self._counts(screen, y, counts)
            y += 1
        load = execution.load
        if load and lines >= 12:
            screen.put(y, 0, ' cluster: {nodes} nodes, {used:.0f} % in use, {mine:.0f} % yours'.format(**load))
            y += 1
        if trouble and lines >= 4:
            screen.put(y, 0, ' ! ' + trouble, 'trouble', fill=True)
            y += 1
        return y

    def _figures(self):
        execution = self.execution
        figures = ['PAUSED' if execution.halted else 'leaving' if self._leaves else 'submitting'
                   if execution.ledger.counts[0] else 'all submitted', 'at most {:,} at once'.format(self.max_running),
                   self.qmap.time_text(max(0, time.time() - execution.plan.info['created_seconds']))]
        rate, eta = self._pace.rate(), self._pace.eta()
        if rate:
            figures.append('{:.1f} jobs/s'.format(rate) if rate >= 0.1 else '{:.1f} jobs/h'.format(3600 * rate))
        if eta is not None:
            figures.append('ETA ' + short_time(eta))
        reason = execution.waits_for() if counts_waiting(execution.ledger.counts) else ''
        return figures + (['waits: ' + reason] if reason else [])

    def _bar(self, screen, y, counts):
        total, width = sum(counts), max(1, screen.size[1] - 10)
        x = screen.put(y, 0, ' [')
        for letter, cells in zip('CFORP.', shares([counts[LETTERS.index(letter)] for letter in 'CFORP.'], width)):
            x = screen.put(y, x, letter * cells, letter)
        screen.put(y, x, '] {:.0f} %'.format(100 * (counts[3] + counts[4]) // max(1, total)))

    def _counts(self, screen, y, counts):
        for name in (str.lower, lambda status: ''):
            parts = [(letter, ' {:,} {}'.format(count, name(status)).rstrip())
                     for letter, status, count in zip(LETTERS, self.qmap.STATUSES, counts)]
            if sum(len(text) + 3 for _, text in parts) <= screen.size[1]:
                break
        else:
            parts = [part for part, count in zip(parts, counts) if count]
        x = 1
        for letter, text in parts:
            x = screen.put(y, x, letter, letter)
            x = screen.put(y, x, text) + 2

    def _draw(self):
        screen = self._screen
        screen.begin()
        y = self._head(screen)
        lines = screen.size[0]
        below = self._below(lines)
        below = below[:max(0, lines - y - 1)] if not self.dialog else below[:lines]
        self.page.draw(screen, y, max(0, lines - y - len(below)))
        for place, (text, look) in enumerate(below, lines - len(below)):
            screen.put(place, 0, text, look, fill=True)
        screen.end()

    def _below(self, lines):
        """Return the lines at the bottom, as (text, look): the question that is open, else messages and some keys."""
        if self.dialog:
            return self.dialog.lines()
        below = []
        if time.monotonic() - self._noticed < self.NOTICE and self._messages:
            below += [(text, 'bold') for when, text in itertools.islice(
                self._messages, max(0, len(self._messages) - 3), None) if time.time() - when < self.NOTICE]
        if self._waiting():
            below.append((self._waiting(), 'trouble'))
        if not self.execution.working() and not self._leaves:
            below.append(('All jobs have ended. q leaves; by itself it does after a minute without a key.', 'bold'))
        if lines >= 7:
            below.append((self.page.HINT, 'dim'))
        return below


def counts_waiting(counts):
    """Tell whether jobs wait, and none runs."""
    return bool(counts[1] and not counts[2])


def shares(counts, width):
    """Return how many cells each count gets of so many; one that is not 0 gets one at least, where there is room."""
    total = max(1, sum(counts))
    cells = [count * width // total or (1 if count else 0) for count in counts]
    cells[cells.index(max(cells))] += width - sum(cells)
    return [max(0, part) for part in cells]


def open_console(qmap, execution, plain):
    """Return a Console on this process's terminal, None where it is none that could show one.

    Args:
        qmap: the module
        execution: Execution
        plain: View
    """
    try:
        return Console(qmap, execution, plain)
    except (curses.error, OSError, termios.error):
        return None
