"""What the console shows: the list of jobs, a job, the failures in groups, texts; and its questions.

Whatever jobs or commands hold goes to the terminal only through `clean_text`.
"""

import collections
import itertools
import os
import signal
import textwrap
import time

from qmap import (
    PARAMETERS, STATUSES, cores_of, describe_end, encode, error_line, memory_text, peak_text, shown_path,
    time_text, write_parameter)
from qmap_backends.tools.listing import CANCELLED, LETTERS
from qmap_backends.tools.manual import KEYS
from qmap_backends.tools.terminal import (
    SHOWN, clean_text, clip_text, exact_time, read_part, rough_time, short_time, text_cells, text_lines,
    wrap_text)


##############################################################################################################
# In plain words
##############################################################################################################

CODES = {126: 'the command exists, but cannot be executed', 127: 'a command was not found',
         2: 'for many commands: wrong usage'}

WHY_FAILED = {
    'output': 'It ended with exit status 0, and the output named below is missing or empty (out=).',
    'memory': 'It exceeded its memory limit. Retry it with more memory: r.',
    'time': 'It exceeded its time limit. Retry it with more time: r.',
    'cancelled': 'It was cancelled. Retry it: r.',
    'node': 'The machine on which it ran failed. Retry it: r.',
    'preempted': 'The scheduler took its machine for another job. Retry it: r.',
    'submit': 'Its submission was refused, for the reason given below.',
    'lost': 'It vanished without reporting an exit status. Its output may tell why. Retry it: r.',
}


def why_unsubmitted(session):
    """Return in plain words why jobs are not submitted."""
    if session.halted:
        return 'submission is paused. Resume: p.'
    if session.awaited:
        return 'other executions come first. To wait no longer: qmap control start.'
    return 'other jobs come first, and max running (m) limits how many are pending or running at once.'


def explain_status(session, record, params):
    """Return in plain words what is with a job.

    Args:
        session: Session
        record: dict, its last event
        params: dict of its parameters
    """
    status, reason = record['status'], record.get('error_reason')
    if status == 'FAILED' and reason == 'exit':
        code = record.get('exit_code')
        if code is None:
            return 'The scheduler could not start it, for the reason given below.'
        return 'The command ended with exit status {}{}.'.format(
            code, ': ' + CODES[code] if code in CODES else '')
    if status == 'FAILED' and reason == 'signal':
        number = record.get('signal')
        return 'It was killed by a signal{}: from outside, or it crashed.'.format(
            ' ({})'.format(signal.Signals(number).name) if number in set(signal.Signals) else '')
    if status == 'FAILED':
        return WHY_FAILED.get(reason, 'It failed for an unknown reason.')
    if status == 'PENDING':
        if session.plan.info['executor'] == 'local':
            cores = params.get('cores', 1)
            if not cores:
                return 'It waits: other jobs come first.'
            return 'It waits for {} of this machine.'.format(
                '{} free cores'.format(cores) if cores > 1 else 'a free core')
        its_reason = record.get('words')
        return 'It waits in the queue of the scheduler{}.'.format(
            ', which says: ' + its_reason if its_reason else ', which gives no reason yet')
    if status == 'UNSUBMITTED':
        return 'It is not submitted yet: ' + why_unsubmitted(session)
    if status == 'RUNNING':
        return 'It is running{}.'.format(' on ' + record['host'] if record.get('host') else '')
    if status == 'COMPLETED':
        return 'It was not run: its outputs exist. To run it: r.' if is_skipped(record) else 'It completed.'
    return 'The scheduler says: {}.'.format(record.get('words') or 'a state that QMap does not know')


def is_skipped(record):
    """Tell whether a job is COMPLETED that never ran."""
    return record['status'] == 'COMPLETED' and not record.get('attempt', 1)


def letter_of(record):
    """Return the letter that stands for the status of a record."""
    if record['status'] == 'FAILED' and record.get('error_reason') == 'cancelled':
        return CANCELLED
    return '.' if record['status'] == 'UNSUBMITTED' else record['status'][0]


def state_text(record):
    """Return a word or two on how a job is."""
    if record['status'] == 'FAILED':
        reason = record.get('error_reason')
        if reason == 'exit':
            return 'exit {}'.format(record.get('exit_code'))
        if reason == 'signal':
            return 'signal {}'.format(record.get('signal') or '').rstrip()
        return reason or 'failed'
    if record['status'] == 'PENDING' and record.get('words'):
        return record['words'].partition(':')[0]
    return 'skipped' if is_skipped(record) else record['status'].lower()


def elapsed_text(record):
    """Return how long a job ran, or has been running; in brackets, how long it has been waiting."""
    if record['status'] in ('COMPLETED', 'FAILED'):
        if record.get('started') and record.get('finished'):
            return exact_time(record['finished'] - record['started'])
    elif record.get('started'):
        return short_time(time.time() - record['started'])
    elif record['status'] == 'PENDING' and record.get('submitted'):
        waited = int(time.time() - record['submitted'])
        if 10 <= waited < 60:    # of many: seldom drawn
            waited = waited // 10 * 10
        return '({})'.format(rough_time(waited))
    return ''


def local_time(seconds):
    """Return seconds since 1970 as the date and the time here."""
    return time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds)) if seconds else ''


##############################################################################################################
# Questions to the user
##############################################################################################################

class Menu:
    """A question that is answered by a key, or by moving to an answer and Enter. Esc takes it back.

    Args:
        title: the question
        entries: list of (what it means, function). Digits answer, which mean nothing in the list, or the key
            that an entry has as a third part
        careful: whether it begins at the answer that does nothing
    """

    def __init__(self, title, entries, careful=False):
        self._title = title
        self._entries = [(entry[2] if len(entry) > 2 else str(place), *entry[:2])
                         for place, entry in enumerate(entries, 1)] + [('Esc', 'no, go back', None)]
        self._at = len(entries) if careful else 0

    def lines(self):
        """Return a list of (text, look)."""
        lines = [(' ' + self._title, 'bar')]
        for place, (key, what, _) in enumerate(self._entries):
            here = place == self._at
            lines.append(('{} {:>3}  {}'.format('>' if here else ' ', key, what), 'bold' if here else ''))
        return lines

    def key(self, key):
        """Take a key. Return whether it stays open."""
        if key in ('up', 'k', 'backtab', 'down', 'j', 'tab'):
            self._at = (self._at + (1 if key in ('down', 'j', 'tab') else -1)) % len(self._entries)
        elif key == 'enter':
            return self._do(self._entries[self._at][2])
        else:
            for name, _, action in self._entries:
                if key == name:
                    return self._do(action)
        return key not in ('esc', 'n', 'q')

    @staticmethod
    def _do(action):
        return bool(action and action())


class Form:
    """Questions that are answered by typing. Enter does it, Esc takes it back.

    Args:
        title: what is to be done
        fields: list of [key, label, text, note]
        action: function of a dict of the texts; it raises `error` with a message where one of them is wrong
        error: class of that exception
        warning: what to know before
        read: function of a name and its text that returns what the text means, '' where it says so itself
    """

    def __init__(self, title, fields, action, error, warning='', read=lambda name, text: ''):
        self._title, self._fields, self._action, self._error = title, fields, action, error
        self._warning, self._read = warning, read
        self._at, self._wrong = 0, ''

    def lines(self):
        """Return a list of (text, look)."""
        width = max(len(label) for _, label, _, _ in self._fields)
        lines = [(' ' + self._title, 'bar')] + [('! ' + self._warning, 'trouble')] * bool(self._warning)
        for place, (name, label, text, note) in enumerate(self._fields):
            here, meant = place == self._at, self._read(name, text)
            note = '; '.join((['= ' + meant] if meant else []) + ([note] if note else []))
            note = '   ({})'.format(note) if note else ''
            lines.append(('{} {:<{}}: {}{}{}'.format(
                '>' if here else ' ', label, width, text, '_' if here else '', note), 'bold' if here else ''))
        if self._wrong:
            return lines + [('! ' + self._wrong, 'trouble')]
        others = '   Up Down: other fields' if len(self._fields) > 1 else ''
        return lines + [('Enter: do it   Esc: go back' + others, 'dim')]

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
        return [(' /{}_   (text in the command, or ids: 3,7-12;  Enter: keep  Esc: all jobs)'.format(
            self._listing.text), 'bar')]

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


##############################################################################################################
# The list
##############################################################################################################

class Columns:
    """What the list shows of each job: columns as wide as what they have held so far, and the command.

    Attributes:
        own: names of parameters that commands have of their own and QMap does not know, a column each
        start: what most commands begin with, which is left out
    """

    #: Commands that are looked at to know what they have in common; of them, so many in ten.
    SAMPLE, MOST = 200, 8
    #: Characters that are worth leaving out; the least room that a command gets; the most that a column gets.
    WORTH, ROOM, WIDEST = 12, 16, {'status': 16, 'memory': 11, 'host': 16}
    #: Own parameters that get a column.
    SHOWN = 3

    def __init__(self, session):
        self._session = session
        self._width = {'id': max(2, session.ledger.width), 'time': 4}
        count, group, plan = session.ledger.count, session.plan.group, session.plan
        sample = [plan.map.command(part * count // self.SAMPLE * group) for part in range(self.SAMPLE)] \
            if count > self.SAMPLE else [plan.map.command(number * group) for number in range(count)]
        found = collections.Counter(key for _, own in sample for key in own if key not in PARAMETERS)
        self.own = [key for key, _ in found.most_common(self.SHOWN)] if group == 1 else []
        self.start = self._common_start(sorted(command.replace('\n', ' ') for command, _ in sample))

    def _common_start(self, commands):
        """Return what most of the sorted commands begin with, up to the end of a word or a folder; '' where
        that is not worth leaving out, or all there is of one."""
        most = max(2, -(-len(commands) * self.MOST // 10))
        pairs = zip(commands, commands[most - 1:])
        found = max((os.path.commonprefix(pair) for pair in pairs), key=len, default='')
        if found in commands:
            return ''
        found = found[:max(found.rfind(end) for end in ' /=') + 1]
        return found if len(found) >= self.WORTH else ''

    def values(self, number, record, params):
        """Return {title: text} of a job, and note how wide they are."""
        used, requested = peak_text(record), params.get('memory')
        if record['status'] == 'RUNNING':
            used = peak_text({'memory': self._session.peak(number)})
        attempts, letter = self._session.ledger.attempts[number], letter_of(record)
        values = {
            'id': self._session.ledger.id(number), 'letter': letter,
            'status': '{} {}'.format(letter, state_text(record)),
            'try': str(attempts) if attempts > 1 else '',
            'time': elapsed_text(record), 'host': '', 'memory': '{}/{}'.format(
                used or '-', memory_text(requested) if requested else '-') if used or requested else ''}
        if self._session.plan.info['executor'] != 'local':
            values['host'] = (record.get('host') or '').partition('.')[0]
        for key in self.own:
            values[key] = write_parameter(key, params[key]) if key in params else ''
        for title, text in values.items():
            if text:
                width = max(len(title), text_cells(clean_text(text)))
                self._width[title] = max(self._width.get(title, 0), min(width, self.WIDEST.get(title, 24)))
        return values

    def fit(self, room):
        """Return the list of (title, width) of the columns that fit, the command left out. What has held
        nothing so far is no column."""
        status = 'status' if room >= 50 else 'letter'
        chosen, room = {'id'}, room - 2 - self._width['id'] - 1 - min(self.ROOM, room // 3)
        for title in [status, *self.own, 'time', 'memory', 'try', 'host']:
            if title in self._width and self._width[title] < room:
                room -= self._width[title] + 1
                chosen.add(title)
        order = ['id', status, 'try', 'time', 'memory', 'host', *self.own]
        return [(title, 1 if title == 'letter' else self._width[title]) for title in order if title in chosen]

    def command(self, number, shift, ellipsis):
        """Return the command of a job, from where it differs from the others; scrolled right or left."""
        plan = self._session.plan
        command = plan.map.command(number * plan.group)[0].replace('\n', ' ')
        more = len(plan.commands(number)) - 1
        if more:
            command = '{} (+{} more)'.format(command, more)
        left = max(0, shift + (len(self.start) if command.startswith(self.start) else 0))
        return (ellipsis if left else '') + command[left:]


##############################################################################################################
# Pages
##############################################################################################################

class ListPage:
    """The jobs, a line each.

    Attributes:
        number: the job on which the cursor is, None where none is listed
    """

    KEYS = [('Enter', 'open'), ('q', 'quit'), ('?', 'keys'), ('r', 'retry'), ('c', 'cancel'), ('F', 'failed'),
            ('/', 'search'), ('g', 'groups'), ('p', 'pause'), ('m', 'max'), ('d', 'detach'), ('l', 'log'),
            ('Space', 'mark'), ('o', 'order'), ('e', 'edit'), ('s', 'status')]

    def __init__(self, console):
        self._console, self._listing = console, console.listing
        self._columns = Columns(console.session)
        self._index = self._top = self._shift = 0
        self._height = 1
        self.number = None

    def _settle(self, follow=False):
        """Put the cursor on the job where it was; on the first line it stays there, whatever comes in, unless
        it is to follow its job."""
        rows = self._listing.rows()
        stays_on_first = not self._index and not follow
        if self.number is not None and not stays_on_first:
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

    @property
    def own_parameters(self):
        """The names of parameters that commands of the map have of their own."""
        return self._columns.own

    def top(self):
        """Go to the first job."""
        self._index = self._top = 0
        self._go(0)

    def key(self, key):
        """Take a key, and return whether it meant something."""
        listing, page = self._listing, max(1, self._height - 1)
        steps = {'up': -1, 'k': -1, 'down': 1, 'j': 1, 'pgup': -page, 'pgdn': page, 'home': -listing.count,
                 'end': listing.count, 'G': listing.count}.get(key)
        if steps:
            self.move(steps)
        elif key in 'UPRCFXO' or key in 'so':
            self._choose(key)
        elif key == '/':
            self._console.dialog = Search(listing, self)
        elif key == 'esc':
            listing.choose(set())
            listing.choose_group(None)
            listing.search('')
            listing.marks = bytearray(listing.count)
            self._settle(follow=True)
        elif key in ('left', 'right'):
            self._shift = max(-len(self._columns.start), self._shift + (20 if key == 'right' else -20))
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

    def _choose(self, key):
        """List other statuses, or in another order."""
        listing, letters = self._listing, '.PRCFXO'
        if key == 'o':
            listing.choose(by_id=not listing.by_id)
        elif key == 's':
            now = letters.index(min(listing.statuses)) if len(listing.statuses) == 1 else -1
            listing.choose({letters[now + 1]} if now + 1 < len(letters) else set())
        else:
            listing.choose(listing.statuses ^ {'.' if key == 'U' else key})
        self.top()

    def draw(self, screen, y, height):
        """Draw it on lines y to y + height - 1."""
        self._height = max(1, height - (height > 2))
        rows, found = self._settle(), []
        for place in range(self._top, min(self._top + self._height, len(rows))):
            try:
                number = rows[place]
            except IndexError:    # it became shorter just now
                break
            found.append((number, self._columns.values(number, *self._console.record(number))))
        columns = self._columns.fit(screen.size[1])
        if height > 2:
            self._title(screen, y, columns)
            y += 1
        for line, (number, values) in enumerate(found):
            self._row(screen, y + line, number, values, columns)
        if not found:
            busy = self._listing.searching or self._listing.reading
            screen.put(y, 2, 'searching' + screen.ellipsis if busy else 'no such job', 'dim')

    def _title(self, screen, y, columns):
        screen.put(y, 0, '', 'title', fill=True)
        x = 2
        for title, width in columns:
            screen.put(y, x, title[:width] if title != 'letter' else '', 'title')
            x += width + 1
        end = screen.put(y, x, 'command', 'title')
        total, marked = len(self._listing.rows()), self._listing.marks.count(1)
        place = self._index + 1 if total else 0
        order = 'by id' if self._listing.by_id else 'running first'
        short = [self._filter_text(screen, True)]
        marks = marked and '{:,} marked'.format(marked)
        for parts in ([marks, self._filter_text(screen, False), order], [marks, *short, order],
                      [marks, *short], [marked and '*{}'.format(marked), *short], short, []):
            parts = ['{:,} of {:,}'.format(place, total) if parts else '{}/{}'.format(place, total), *parts]
            text = screen.dot.join(filter(None, parts)) + ' '
            if text_cells(clean_text(text)) < screen.size[1] - end:
                break
        at = screen.size[1] - text_cells(clean_text(text))
        start = self._columns.start
        if start and end + len(start) + 10 < at:
            screen.put(y, end + 2, '({} = {})'.format(screen.ellipsis, start.strip()), 'title')
        screen.put(y, max(0, at), text, 'title')

    def _filter_text(self, screen, short):
        """Return which jobs are listed, '' for all."""
        listing = self._listing
        names = [('cancelled' if letter == CANCELLED else STATUSES[LETTERS.index(letter)].lower())
                 for letter in '.PRCFXO' if letter in listing.statuses]
        parts = [' '.join(sorted(listing.statuses)) if short else ' or '.join(names)]
        if listing.reasons.group:
            parts.append('one group' if short else 'group: ' + clip_text(' '.join(listing.reasons.group), 30))
        if listing.text:
            parts.append('/' + listing.text)
        if listing.searching or listing.reading:
            parts.append('searching' + screen.ellipsis)
        return screen.dot.join(filter(None, parts))

    def _row(self, screen, y, number, values, columns):
        here, letter = number == self.number, values['letter']
        screen.put(y, 0, '>' if here else '', 'bold')
        screen.put(y, 1, '*' if self._listing.marks[number] else '', 'bold')
        x = 2
        for title, width in columns:
            look = letter if title in ('status', 'letter') else ''
            text = clip_text(clean_text(values[title], screen.ascii_only), width)
            x = screen.put(y, x, text + ' ' * (width + 1 - text_cells(text)), 'bar' if here else look)
        command = self._columns.command(number, self._shift, screen.ellipsis)
        screen.put(y, x, command[:4 * screen.size[1]], 'bar' if here else '', fill=here)


class TextPage:
    """Lines to be read: messages, or the keys.

    A line is a text; a (text, look); a (label, text, look), the texts of which stand below each other; or a
    list of (text, look) that fits as it is.

    Args:
        console: Console
        title: of the page
        lines: function of the width of the screen that returns the list of lines
        own_key: that opens it, and closes it again
        at_end: whether it begins at the end, and stays there
    """

    KEYS = [('Up Down PgUp PgDn', 'scroll'), ('Esc', 'back')]
    #: Where the texts behind labels begin: as far to the right as the labels need, from and up to here.
    LEAST, MOST = 10, 20

    def __init__(self, console, title, lines, own_key='', at_end=False):
        self._console, self._title, self._lines = console, title, lines
        self._top, self._height, self._total = 0, 1, 0
        self._at_end = at_end
        self.own_key = own_key

    def key(self, key):
        """Take a key, and return whether it meant something."""
        page = max(1, self._height - 1)
        steps = {'up': -1, 'k': -1, 'down': 1, 'j': 1, 'pgup': -page, 'pgdn': page, ' ': page,
                 'home': -1 << 40, 'end': 1 << 40, 'G': 1 << 40}.get(key)
        if steps:
            self._top = max(0, min(self._top + steps, self._total - self._height))
            self._at_end = steps > 0 and self._top >= self._total - self._height
        elif key in ('esc', 'q', 'enter', 'backspace') or key == self.own_key:
            self._console.back()
        else:
            return False
        return True

    def draw(self, screen, y, height):
        """Draw it on lines y to y + height - 1."""
        if height > 2:
            screen.put(y, 0, ' ' + self._title, 'bar', fill=True)
            y, height = y + 1, height - 1
        self._show(screen, y, height, self._lines(screen.size[1]))

    def _show(self, screen, y, height, lines):
        labels = [len(line[0]) for line in lines if isinstance(line, tuple) and len(line) == 3]
        indent = min(max(labels + [self.LEAST]) + 2, self.MOST, screen.size[1] // 3)
        lines = [part for line in lines for part in self._laid_out(screen, line, indent)]
        self._height, self._total = max(1, height), len(lines)
        last = max(0, self._total - self._height)
        self._top = last if self._at_end else min(self._top, last)
        for place, line in enumerate(lines[self._top:self._top + height]):
            screen.put_parts(y + place, 0, line)

    @staticmethod
    def _laid_out(screen, line, indent):
        """Yield a line as lists of (text, look) that fit."""
        if isinstance(line, list):
            yield line
            return
        output = isinstance(line, str)
        if output:
            line = (line, '')
        label, text, look = line if len(line) == 3 else ('', *line)
        indent = indent if len(line) == 3 else 0
        for part in wrap_text(clean_text(text, screen.ascii_only), screen.size[1] - indent, not output):
            before = [('{:<{}} '.format(label[:indent - 1], indent - 1), 'dim')] if indent else []
            yield before + [(part, look)]
            label = ''


def key_lines(width):
    """Return the table of keys as lines for a TextPage, in two columns where there is room."""
    names = [('list', 'In the list'), ('job', 'In job details'), ('control', 'Control'), ('leave', 'Leaving'),
             ('show', 'Other')]
    sections = [(name, [(keys, what) for keys, where, what in KEYS if where == place])
                for place, name in names]
    sections.append(('Columns', [('time', 'run time; (...): time in queue'), ('try', 'number of the attempt'),
                                 ('memory', 'peak / requested'), ('...', 'what most commands begin with')]))
    two = width >= 90
    room = width // 2 if two else width
    found = [[], []]
    for name, rows in sections:
        column = found[int(two and name not in ('In the list', 'In job details'))]
        column += [[('', '')]] * bool(column) + [[(' ' + name, 'bold')]]
        for keys, what in rows:
            indent = 16
            parts = textwrap.wrap(what, max(10, room - indent - 2))
            column.append([('  {:<{}}'.format(keys, indent - 2), 'C'), (parts[0], '')])
            column += [[(' ' * indent + part, '')] for part in parts[1:]]
    lines = []
    for left, right in itertools.zip_longest(*found, fillvalue=[('', '')]):
        gap = room - sum(len(text) for text, _ in left)
        lines.append(left + [(' ' * gap, '')] + right if two else left)
    return lines


class GroupsPage:
    """The failures in groups: how many jobs ended alike, with the same message. Enter lists them."""

    KEYS = [('Enter', 'list these jobs'), ('Esc', 'back'), ('?', 'keys'), ('Up Down', 'move')]
    own_key = 'g'

    def __init__(self, console, page):
        self._console, self._page = console, page
        self._at, self._top, self._height, self._groups = 0, 0, 1, []
        self._look()

    def _look(self):
        """Take in the groups as they are now: those of cancelled jobs last."""
        groups = self._console.session.failures.groups()
        self._groups = sorted(groups, key=lambda group: group.what == 'cancelled')
        self._at = max(0, min(self._at, len(self._groups) - 1))

    def key(self, key):
        """Take a key, and return whether it meant something."""
        page = max(1, self._height - 1)
        steps = {'up': -1, 'k': -1, 'down': 1, 'j': 1, 'pgup': -page, 'pgdn': page,
                 'home': -1 << 40, 'end': 1 << 40, 'G': 1 << 40}.get(key)
        if steps:
            self._at = max(0, min(self._at + steps, len(self._groups) - 1))
        elif key == 'enter' and self._groups:
            self._list_group(self._groups[self._at])
        elif key in ('esc', 'q', 'backspace', self.own_key):
            self._console.back()
        else:
            return False
        return True

    def _list_group(self, group):
        listing = self._console.listing
        key_of = listing.reasons.key_of
        coarse = key_of(group.what, group.error, True)
        alike = [other for other in self._groups if key_of(other.what, other.error, True) == coarse]
        listing.choose(set())
        listing.search('')
        listing.choose_group(coarse if len(alike) == 1 else key_of(group.what, group.error))
        self._page.top()
        self._console.back_to_list()

    def draw(self, screen, y, height):
        """Draw it on lines y to y + height - 1."""
        self._look()
        hosts = self._console.session.figures().hosts
        what = max([6] + [len(group.what) for group in self._groups])
        count = max([4] + [len('{:,}'.format(group.count)) for group in self._groups])
        if height > 2:
            screen.put(y, 0, '  {:>{}}  {:<{}}  last line of stderr'.format('jobs', count, 'reason', what),
                       'title', fill=True)
            y, height = y + 1, height - 1
        self._height = max(1, height)
        self._top = max(min(self._top, self._at), self._at - self._height + 1)
        if not self._groups:
            screen.put(y, 2, 'no failures', 'dim')
        for line, group in enumerate(self._groups[self._top:self._top + height]):
            here = self._top + line == self._at
            look = CANCELLED if group.what == 'cancelled' else 'F'
            screen.put(y + line, 0, '>' if here else '', 'bold')
            x = screen.put(y + line, 2, '{:>{},}  {:<{}}  '.format(group.count, count, group.what, what),
                           'bar' if here else look)
            screen.put(y + line, x, self._text(group, hosts, screen), 'bar' if here else '', fill=here)

    @staticmethod
    def _text(group, hosts, screen):
        """Return what a group has in common, where it happened, and some ids."""
        parts = [group.error if group.same else 'such as: ' + group.error] if group.error else []
        only_on = group.only_on(hosts)
        if only_on:
            parts.append('on {} only'.format(', '.join(only_on)))
        if group.ids:
            more = ', ...' if group.count > len(group.ids) else ''
            parts.append('({}{})'.format(', '.join(group.ids), more))
        return '  '.join(parts)


class JobPage(TextPage):
    """One job: what is known of it, its output as it comes, and its script."""

    KEYS = [('Tab 1-4', 'pages'), ('Esc', 'back'), ('< >', 'other jobs'), ('r', 'retry'), ('c', 'cancel'),
            ('?', 'keys'), ('g', 'groups'), ('End', 'follow'), ('l', 'log')]
    PARTS = ('about', 'stdout', 'stderr', 'script')
    SUFFIXES = {'stdout': '.out', 'stderr': '.err'}

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
            if key in ('home', 'end', 'G'):
                self._from_start = key == 'home'
            return super().key(key)
        return True

    def _turn(self, part):
        self._part, self._top, self._from_start = part, 0, False
        self._at_end = self.PARTS[part] in self.SUFFIXES

    def draw(self, screen, y, height):
        """Draw it on lines y to y + height - 1."""
        number = self.number
        if number is None:
            screen.put(y, 0, 'no such job')
            return
        record, params = self._console.record(number)
        if height > 2:
            x = screen.put(y, 0, ' job {} '.format(record['job']), 'bar', fill=True)
            for part, name in enumerate(self.PARTS):
                tab = '[{} {}]' if part == self._part else ' {} {} '
                x = screen.put(y, x + 1, tab.format(part + 1, name), 'bar')
            state = ' {} {} '.format(letter_of(record), state_text(record))
            screen.put(y, max(x + 1, screen.size[1] - len(state)), state, 'bar')
            y, height = y + 1, height - 1
        if self._part == 0:
            lines = JobText(self._console, number, record, params).lines()
        elif self.PARTS[self._part] == 'script':
            lines = self._script(screen)
        else:
            lines = self._output(screen)
        self._show(screen, y, height, lines)

    def _path(self, suffix):
        return self._console.session.plan.path(self._console.session.ledger.id(self.number), suffix)

    def _output(self, screen):
        path = self._path(self.SUFFIXES[self.PARTS[self._part]])
        part = read_part(path, not self._from_start)
        if part is None:
            return [('nothing written yet', 'dim')]
        data, before, behind = part
        lines = text_lines(data, screen.ascii_only) or [('empty', 'dim')]
        if before:
            lines.insert(0, ('({:,} bytes before this: Home, or {})'.format(before, path), 'dim'))
        if behind:
            lines.append(('({:,} bytes after this: End, or {})'.format(behind, path), 'dim'))
        return lines

    def _script(self, screen):
        session = self._console.session
        text = session.plan.script_of(session.ledger, self.number)
        return text_lines(encode(text)[:SHOWN], screen.ascii_only)


class JobText:
    """What is known of a job, as lines for a TextPage."""

    #: Lines of stderr that are shown.
    TAIL = 6
    #: Parameters that stand in lines of their own, beside what was used of them.
    SHOWN = ('memory', 'time', 'cores', 'tasks')

    def __init__(self, console, number, record, params):
        self._console, self._number, self._record, self._params = console, number, record, params
        self._session = console.session

    def lines(self):
        """Return the list of lines."""
        letter = letter_of(self._record)
        lines = [(explain_status(self._session, self._record, self._params), letter), '']
        if self._record['status'] == 'FAILED':
            lines += self._error()
        lines += [field for field in self._fields() if field[1] not in (None, '')]
        if self._record['status'] != 'FAILED':
            tail = self._tail('.err', 'stderr', 3)
            lines += [''] + tail[:-1] if tail else []
        for past in self._session.ledger.earlier(self._number):
            lines += self._past(past)
        return lines

    def _path(self, suffix):
        return self._session.plan.path(self._session.ledger.id(self._number), suffix)

    def _tail(self, suffix, name, key):
        """Return the last lines of what a job has written."""
        part = read_part(self._path(suffix), size=8192)
        found = text_lines(part[0], False) if part else []
        while found and not found[-1].strip():
            found.pop()
        if not found:
            return []
        more = len(found) > self.TAIL or part[1]
        title = name + (', last lines (all: {})'.format(key) if more else '')
        return [(title, 'dim')] + ['  ' + line for line in found[-self.TAIL:]] + ['']

    def _error(self):
        """Return the last lines of stderr, or what else is known of a failure."""
        if self._record.get('error_reason') in ('submit', 'cancelled') or not self._record.get('started'):
            error = error_line(self._record)
            return [('message', error, ''), ''] if error else []
        return self._tail('.err', 'stderr', 3) or self._tail('.out', 'stderr is empty; stdout', 2)

    def _fields(self):
        """Return a list of (label, text, look)."""
        session, record, params = self._session, self._record, self._params
        ledger, plan = session.ledger, session.plan
        info = plan.info_of(record, ledger, ['line', 'command', 'executor_id', 'job_cmd', 'commands'])
        own = [key for key in params if key not in PARAMETERS]
        fields = [('status', '{} {}'.format(letter_of(record), self._status()), letter_of(record))]
        fields += [(key, write_parameter(key, params[key]), '') for key in own]
        fields += [('command' if place == 0 else '', line, '') for place, line in
                   enumerate(info['command'].split('\n'))]
        count = len(plan.commands(self._number))
        if count > 1:
            done = count if record['status'] == 'COMPLETED' else record.get('done', 0)
            fields.append(('done', '{} of {} commands'.format(done, count), ''))
        fields += self._usage() + [
            ('host', record.get('host'), ''), ('submitted', local_time(record.get('submitted')), ''),
            ('started', local_time(record.get('started')), ''),
            ('finished', local_time(record.get('finished')), ''),
            ('pid' if plan.info['executor'] == 'local' else 'scheduler id', info['executor_id'], '')]
        fields += [(key.replace('_', ' '), write_parameter(key, value), '') for key, value in params.items()
                   if key not in self.SHOWN and key not in own]
        return fields + [
            ('script' if plan.info['executor'] == 'local' else 'submitted by', info['job_cmd'], ''),
            ('map', '{}, line {}'.format(shown_path(plan.map.path), info['line']), '')]

    def _status(self):
        record, attempt = self._record, self._record.get('attempt') or 0
        text = record['status'].lower()
        if record['status'] == 'FAILED':
            ending = describe_end(record)
            text = ending if ending == 'cancelled' else 'failed: ' + ending
        return text + (', attempt {}'.format(attempt) if attempt > 1 else '')

    def _usage(self):
        """Return the fields of what was requested, and used."""
        record, params, plan = self._record, self._params, self._session.plan
        if record['status'] == 'RUNNING':
            record = dict(record, memory=self._session.peak(self._number))
        peak = record.get('memory')
        memory, limit = params.get('memory'), params.get('time')
        elapsed = elapsed_text(record)
        times = [elapsed.strip('()'), limit and '{} requested'.format(time_text(limit))]
        amounts = [peak_text(record) and peak_text(record) + ' peak',
                   memory and '{} requested'.format(memory_text(memory)),
                   peak and memory and '{:.0f} %'.format(100 * peak / memory)]
        cores = cores_of(params, plan.on_cluster)
        spent = (record.get('finished') or 0) - (record.get('started') or 0)
        busy = record.get('cpu') and spent > 0 and '{:.1f} used on average'.format(record['cpu'] / spent)
        shares = [busy, '{} requested'.format(cores) if cores != 1 or busy else '']
        spent_on = 'waiting' if elapsed.startswith('(') else 'time'
        return [(label, ', '.join(filter(None, texts)), '') for label, texts in (
            (spent_on, times), ('memory', amounts), ('cores', shares))]

    def _past(self, past):
        """Return the lines on an earlier attempt."""
        ending = describe_end(past) if past['status'] == 'FAILED' else past['status'].lower()
        lines = ['', ('attempt {}: {}'.format(past['attempt'], ending), letter_of(past))]
        seconds = past.get('started') and past.get('finished') and past['finished'] - past['started']
        fields = [('error', error_line(past)), ('time', seconds and exact_time(seconds)),
                  ('memory', peak_text(past)), ('host', past.get('host')),
                  ('finished', local_time(past.get('finished'))), ('scheduler id', past.get('executor_id'))]
        for suffix, name in (('.out', 'stdout'), ('.err', 'stderr')):
            path = self._path('.{}{}'.format(past['attempt'], suffix))
            fields.append((name, shown_path(path) if os.path.exists(path) else ''))
        return lines + [('  ' + label, str(value), '') for label, value in fields if value]
