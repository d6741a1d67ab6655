"""The full-screen console of `qmap submit` and `qmap reattach`: all jobs, the details of each, and control over them.

It shows an execution that this process drives or views, and steers it in both cases through the inbox, as
`qmap control` does. Whoever lets it work (attend() in qmap.py) calls `update`, `wait` and `say` in turn. Needs of
qmap.py its module object, handed as an argument: nothing here imports it.

Nothing here keeps a list of records: of a million jobs there are some bytes each, and the records of the lines that are
seen. Whatever jobs or commands hold goes to the terminal only through `clean_text`.
"""

import collections
import curses
import itertools
import os
import select
import signal
import socket
import sys
import termios
import textwrap
import time
import traceback

from qmap_backends.listing import CANCELLED, LETTERS, Listing, Pace
from qmap_backends.manual import KEYS
from qmap_backends.terminal import (Screen, clean_text, clip_text, exact_time, read_part, rough_time, short_time,
                                    text_cells, text_lines, wrap_text)


########################################################################################################################
# In plain words
########################################################################################################################

CODES = {126: 'the command exists, but cannot be executed', 127: 'a command was not found',
         2: 'for many commands: wrong usage'}

WHY_FAILED = {
    'memory': 'It exceeded its memory limit. Retry it with more memory: r.',
    'time': 'It exceeded its time limit. Retry it with more time: r.',
    'cancelled': 'It was cancelled. Retry it: r.',
    'node': 'The machine on which it ran failed. Retry it: r.',
    'submit': 'Its submission was refused, for the reason given below.',
    'lost': 'It vanished without reporting an exit status. Its output may tell why. Retry it: r.',
}


def explain_status(execution, record, params):
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
        return WHY_FAILED.get(reason, 'It failed for an unknown reason.')
    if status == 'PENDING':
        if execution.plan.info['executor'] == 'local':
            cores = params.get('cores', 1)
            return 'It waits for {} of this machine.'.format(
                '{} free cores'.format(cores) if cores > 1 else 'a free core')
        words = record.get('words')
        return 'It waits in the queue of the scheduler{}.'.format(
            ', which says: ' + words if words else ', which gives no reason yet')
    if status == 'UNSUBMITTED':
        if execution.halted:
            return 'It is not submitted yet: submission is paused. Resume: p.'
        return 'It is not submitted yet: other jobs come first, and max running (m) limits how many are pending or ' \
            'running at once.'
    if status == 'RUNNING':
        return 'It is running{}.'.format(' on ' + record['host'] if record.get('host') else '')
    if status == 'COMPLETED':
        return 'It completed.'
    return 'The scheduler says: {}.'.format(record.get('words') or 'a state that QMap does not know')


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
    return record['status'].lower()


def elapsed_text(record):
    """Return how long a job ran, or has been running; in brackets, how long it has been waiting."""
    if record['status'] in ('COMPLETED', 'FAILED'):
        if record.get('started') and record.get('finished'):
            return exact_time(record['finished'] - record['started'])
    elif record.get('started'):
        return short_time(time.time() - record['started'])
    elif record['status'] == 'PENDING' and record.get('submitted'):
        waited = int(time.time() - record['submitted'])
        return '({})'.format(rough_time(waited // 10 * 10 if 10 <= waited < 60 else waited))    # of many, seldom drawn
    return ''


def local_time(seconds):
    """Return seconds since 1970 as the date and the time here."""
    return time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds)) if seconds else ''


########################################################################################################################
# Questions to the user
########################################################################################################################

class Menu:
    """A question that is answered by a key, or by moving to an answer and Enter. Esc takes it back.

    Args:
        title: the question
        entries: list of (what it means, function). Digits answer, which mean nothing in the list, or the key that an
            entry has as a third part
        careful: whether it begins at the answer that does nothing
    """

    def __init__(self, title, entries, careful=False):
        self._title = title
        self._entries = [(entry[2] if len(entry) > 2 else str(place), *entry[:2])
                         for place, entry in enumerate(entries, 1)] + [('Esc', 'no, go back', None)]
        self._at = len(entries) if careful else 0

    def lines(self):
        """Return a list of (text, look)."""
        return [(' ' + self._title, 'bar')] + [
            ('{} {:>3}  {}'.format('>' if place == self._at else ' ', key, what), 'bold' if place == self._at else '')
            for place, (key, what, _) in enumerate(self._entries)]

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
    """

    def __init__(self, title, fields, action, error):
        self._title, self._fields, self._action, self._error = title, fields, action, error
        self._at, self._wrong = 0, ''

    def lines(self):
        """Return a list of (text, look)."""
        width = max(len(label) for _, label, _, _ in self._fields)
        lines = [(' ' + self._title, 'bar')]
        for place, (_, label, text, note) in enumerate(self._fields):
            here = place == self._at
            lines.append(('{} {:<{}}: {}{}{}'.format(
                '>' if here else ' ', label, width, text, '_' if here else '', '   ({})'.format(note) if note else ''),
                'bold' if here else ''))
        return lines + [('! ' + self._wrong, 'trouble') if self._wrong else (
            'Enter: do it   Esc: go back' + ('   Up Down: other fields' if len(self._fields) > 1 else ''), 'dim')]

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


########################################################################################################################
# The list
########################################################################################################################

class Columns:
    """What the list shows of each job: columns as wide as what they have held so far, and the rest of the command.

    Attributes:
        own: names of parameters that commands of the map have of their own and QMap does not know, a column each
        start: what most commands begin with, which is left out
    """

    #: Commands that are looked at to know what they have in common; of them, so many in ten.
    SAMPLE, MOST = 200, 8
    #: Characters that are worth leaving out; the least room that a command gets; the most that a column gets.
    WORTH, ROOM, WIDEST = 12, 16, {'status': 16, 'memory': 11, 'host': 16}
    #: Own parameters that get a column.
    SHOWN = 3

    def __init__(self, qmap, execution):
        self._qmap, self._execution = qmap, execution
        self._width = {'id': max(2, execution.ledger.width), 'time': 4}
        count, group, plan = execution.ledger.count, execution.plan.group, execution.plan
        sample = [plan.map.command(part * count // self.SAMPLE * group) for part in range(self.SAMPLE)] \
            if count > self.SAMPLE else [plan.map.command(number * group) for number in range(count)]
        found = collections.Counter(key for _, own in sample for key in own if key not in qmap.PARAMETERS)
        self.own = [key for key, _ in found.most_common(self.SHOWN)] if group == 1 else []
        self.start = self._common_start(sorted(command.replace('\n', ' ') for command, _ in sample))

    def _common_start(self, commands):
        """Return what most of the sorted commands begin with, up to the end of a word or a folder; '' where that is
        not worth leaving out, or all there is of one."""
        most = max(2, -(-len(commands) * self.MOST // 10))
        pairs = zip(commands, commands[most - 1:])
        found = max((os.path.commonprefix(pair) for pair in pairs), key=len, default='')
        if found in commands:
            return ''
        found = found[:max(found.rfind(end) for end in ' /=') + 1]
        return found if len(found) >= self.WORTH else ''

    def values(self, number, record, params):
        """Return {title: text} of a job, and note how wide they are."""
        used, requested = record.get('memory'), params.get('memory')
        if record['status'] == 'RUNNING':
            used = self._execution.peak(number)
        size = self._qmap.memory_text
        attempts, letter = self._execution.ledger.attempts[number], letter_of(record)
        values = {
            'id': self._execution.ledger.id(number), 'letter': letter,
            'status': '{} {}'.format(letter, state_text(record)), 'try': str(attempts) if attempts > 1 else '',
            'time': elapsed_text(record), 'host': '', 'memory': '{}/{}'.format(
                size(used) if used else '-', size(requested) if requested else '-') if used or requested else ''}
        if self._execution.plan.info['executor'] != 'local':
            values['host'] = (record.get('host') or '').partition('.')[0]
        for key in self.own:
            values[key] = self._qmap.write_parameter(key, params[key]) if key in params else ''
        for title, text in values.items():
            if text:
                width = max(len(title), text_cells(clean_text(text)))
                self._width[title] = max(self._width.get(title, 0), min(width, self.WIDEST.get(title, 24)))
        return values

    def fit(self, room):
        """Return the list of (title, width) of the columns that fit, the command left out. What has held nothing so
        far is no column."""
        status = 'status' if room >= 50 else 'letter'
        chosen, room = {'id'}, room - 2 - self._width['id'] - 1 - min(self.ROOM, room // 3)
        for title in [status, *self.own, 'time', 'memory', 'try', 'host']:
            if title in self._width and self._width[title] < room:
                room -= self._width[title] + 1
                chosen.add(title)
        order = ['id', status, 'try', 'time', 'memory', 'host', *self.own]
        return [(title, 1 if title == 'letter' else self._width[title]) for title in order if title in chosen]

    def command(self, number, shift, ellipsis):
        """Return the command of a job, from where it differs from the others; shifted to the right or left."""
        plan = self._execution.plan
        command = plan.map.command(number * plan.group)[0].replace('\n', ' ')
        more = len(plan.commands(number)) - 1
        if more:
            command = '{} (+{} more)'.format(command, more)
        left = max(0, shift + (len(self.start) if command.startswith(self.start) else 0))
        return (ellipsis if left else '') + command[left:]


########################################################################################################################
# Pages
########################################################################################################################

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
        self._columns = Columns(console.qmap, console.execution)
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
        for parts in ([marks, self._filter_text(screen, False), order], [marks, *short, order], [marks, *short],
                      [marked and '*{}'.format(marked), *short], short, []):
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
        listing, statuses = self._listing, self._console.qmap.STATUSES
        names = [('cancelled' if letter == CANCELLED else statuses[LETTERS.index(letter)].lower())
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

    A line is a text; a (text, look); a (label, text, look), the texts of which stand below each other; or a list of
    (text, look) that fits as it is.

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
        steps = {'up': -1, 'k': -1, 'down': 1, 'j': 1, 'pgup': -page, 'pgdn': page, ' ': page, 'home': -1 << 40,
                 'end': 1 << 40, 'G': 1 << 40}.get(key)
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
    sections = [(name, [(keys, what) for keys, where, what in KEYS if where == place]) for place, name in names]
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
    """The failures in groups: how many jobs ended in the same way, with the same message. Enter lists them."""

    KEYS = [('Enter', 'list these jobs'), ('Esc', 'back'), ('?', 'keys'), ('Up Down', 'move')]
    own_key = 'g'

    def __init__(self, console, page):
        self._console, self._page = console, page
        self._at, self._top, self._height, self._groups = 0, 0, 1, []
        self._look()

    def _look(self):
        """Take in the groups as they are now: those of cancelled jobs last."""
        self._groups = sorted(self._console.execution.failures.groups(), key=lambda group: group.what == 'cancelled')
        self._at = max(0, min(self._at, len(self._groups) - 1))

    def key(self, key):
        """Take a key, and return whether it meant something."""
        page = max(1, self._height - 1)
        steps = {'up': -1, 'k': -1, 'down': 1, 'j': 1, 'pgup': -page, 'pgdn': page, 'home': -1 << 40, 'end': 1 << 40,
                 'G': 1 << 40}.get(key)
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
        hosts = self._console.execution.figures().hosts
        what = max([6] + [len(group.what) for group in self._groups])
        count = max([4] + [len('{:,}'.format(group.count)) for group in self._groups])
        if height > 2:
            screen.put(y, 0, '  {:>{}}  {:<{}}  last line of stderr'.format('jobs', count, 'reason', what), 'title',
                       fill=True)
            y, height = y + 1, height - 1
        self._height = max(1, height)
        self._top = max(min(self._top, self._at), self._at - self._height + 1)
        if not self._groups:
            screen.put(y, 2, 'no failures', 'dim')
        for line, group in enumerate(self._groups[self._top:self._top + height]):
            here = self._top + line == self._at
            look = 'bar' if here else CANCELLED if group.what == 'cancelled' else 'F'
            screen.put(y + line, 0, '>' if here else '', 'bold')
            x = screen.put(y + line, 2, '{:>{},}  {:<{}}  '.format(group.count, count, group.what, what), look)
            screen.put(y + line, x, self._text(group, hosts, screen), 'bar' if here else '', fill=here)

    @staticmethod
    def _text(group, hosts, screen):
        """Return what a group has in common, where it happened, and some ids."""
        parts = [group.error if group.same else 'such as: ' + group.error] if group.error else []
        only_on = group.only_on(hosts)
        if only_on:
            parts.append('on {} only'.format(', '.join(only_on)))
        if group.ids:
            parts.append('({}{})'.format(', '.join(group.ids), ', ...' if group.count > len(group.ids) else ''))
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
                text = '{} {}'.format(part + 1, name)
                x = screen.put(y, x + 1, '[{}]'.format(text) if part == self._part else ' {} '.format(text), 'bar')
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
        return self._console.execution.plan.path(self._console.execution.ledger.id(self.number), suffix)

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
        part = read_part(self._path('.sh'), False)
        if part:
            return text_lines(part[0], screen.ascii_only)
        plan = self._console.execution.plan
        return [('The script exists only while a job is submitted (or, with --keep failed, if it failed). It runs:',
                 'dim'), ''] + [line for index in plan.commands(self.number)
                                for line in plan.map.command(index)[0].split('\n')]


class JobText:
    """What is known of a job, as lines for a TextPage."""

    #: Lines of stderr that are shown.
    TAIL = 6
    #: Parameters that stand in lines of their own, beside what was used of them.
    SHOWN = ('memory', 'time', 'cores', 'tasks')

    def __init__(self, console, number, record, params):
        self._console, self._number, self._record, self._params = console, number, record, params
        self._execution, self._qmap = console.execution, console.qmap

    def lines(self):
        """Return the list of lines."""
        letter = letter_of(self._record)
        lines = [(explain_status(self._execution, self._record, self._params), letter), '']
        if self._record['status'] == 'FAILED':
            lines += self._error()
        lines += [field for field in self._fields() if field[1] not in (None, '')]
        if self._record['status'] != 'FAILED':
            tail = self._tail('.err', 'stderr', 3)
            lines += [''] + tail[:-1] if tail else []
        for past in self._execution.ledger.earlier(self._number):
            lines += self._past(past)
        return lines

    def _path(self, suffix):
        return self._execution.plan.path(self._execution.ledger.id(self._number), suffix)

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
            error = self._qmap.message(self._record)
            return [('message', error, ''), ''] if error else []
        return self._tail('.err', 'stderr', 3) or self._tail('.out', 'stderr is empty; stdout', 2)

    def _fields(self):
        """Return a list of (label, text, look)."""
        execution, record, params = self._execution, self._record, self._params
        ledger, plan = execution.ledger, execution.plan
        write = self._qmap.write_parameter
        info = plan.info_of(record, ledger, ['line', 'command', 'executor_id', 'job_cmd', 'commands'])
        own = [key for key in params if key not in self._qmap.PARAMETERS]
        fields = [('status', '{} {}'.format(letter_of(record), self._status()), letter_of(record))]
        fields += [(key, write(key, params[key]), '') for key in own]
        fields += [('command' if place == 0 else '', line, '') for place, line in
                   enumerate(info['command'].split('\n'))]
        if len(plan.commands(self._number)) > 1:
            fields.append(('done', '{} of {} commands'.format(
                len(plan.commands(self._number)) if record['status'] == 'COMPLETED' else record.get('done', 0),
                len(plan.commands(self._number))), ''))
        fields += self._usage() + [
            ('host', record.get('host'), ''), ('submitted', local_time(record.get('submitted')), ''),
            ('started', local_time(record.get('started')), ''), ('finished', local_time(record.get('finished')), ''),
            ('pid' if plan.info['executor'] == 'local' else 'scheduler id', info['executor_id'], '')]
        fields += [(key.replace('_', ' '), write(key, value), '') for key, value in params.items()
                   if key not in self.SHOWN and key not in own]
        return fields + [
            ('script' if plan.info['executor'] == 'local' else 'submitted by', info['job_cmd'], ''),
            ('map', '{}, line {}'.format(self._qmap.shown_path(plan.map.path), info['line']), '')]

    def _status(self):
        record, attempt = self._record, self._record.get('attempt') or 0
        text = record['status'].lower()
        if record['status'] == 'FAILED':
            ending = self._qmap.describe_end(record)
            text = ending if ending == 'cancelled' else 'failed: ' + ending
        return text + (', attempt {}'.format(attempt) if attempt > 1 else '')

    def _usage(self):
        """Return the fields of what was requested, and used."""
        record, params, qmap = self._record, self._params, self._qmap
        peak = self._execution.peak(self._number) if record['status'] == 'RUNNING' else record.get('memory')
        memory, limit = params.get('memory'), params.get('time')
        elapsed = elapsed_text(record)
        fields = [(elapsed.startswith('(') and 'waiting' or 'time', ', '.join(filter(None, [
            elapsed.strip('()'), limit and '{} requested'.format(qmap.time_text(limit))])), '')]
        fields.append(('memory', ', '.join(filter(None, [
            peak and '{} peak'.format(qmap.memory_text(peak)), memory and '{} requested'.format(
                qmap.memory_text(memory)), peak and memory and '{:.0f} %'.format(100 * peak / memory)])), ''))
        cores = self._qmap.cores_of(params)
        spent = (record.get('finished') or 0) - (record.get('started') or 0)
        busy = record.get('cpu') and spent > 0 and '{:.1f} used on average'.format(record['cpu'] / spent)
        fields.append(('cores', ', '.join(filter(None, [
            busy, '{} requested'.format(cores) if cores > 1 or busy else ''])), ''))
        return fields

    def _past(self, past):
        """Return the lines on an earlier attempt."""
        ending = self._qmap.describe_end(past) if past['status'] == 'FAILED' else past['status'].lower()
        lines = ['', ('attempt {}: {}'.format(past['attempt'], ending), letter_of(past))]
        seconds = past.get('started') and past.get('finished') and past['finished'] - past['started']
        fields = [('error', self._qmap.message(past)), ('time', seconds and exact_time(seconds)),
                  ('memory', past.get('memory') and self._qmap.memory_text(past['memory'])), ('host', past.get('host')),
                  ('finished', local_time(past.get('finished'))), ('scheduler id', past.get('executor_id'))]
        for suffix, name in (('.out', 'stdout'), ('.err', 'stderr')):
            path = self._path('.{}{}'.format(past['attempt'], suffix))
            fields.append((name, self._qmap.shown_path(path) if os.path.exists(path) else ''))
        return lines + [('  ' + label, str(value), '') for label, value in fields if value]


########################################################################################################################
# Control
########################################################################################################################

class Orders:
    """What was told to the driver, and has not been obeyed yet."""

    #: Seconds after which an order that nobody obeys is named, and after which it is taken back.
    SLOW, TAKEN_BACK = 4, 120

    def __init__(self, console):
        self._console, self._qmap, self._execution = console, console.qmap, console.execution
        self._inbox = console.qmap.Inbox(console.execution.logs, console.qmap.Here())
        self._sent = {}

    def send(self, order, name):
        """Put an order into the inbox, from where the driver takes it, here or elsewhere.

        Args:
            order: dict, as `qmap control` makes it
            name: for the user
        """
        try:
            id = self._inbox.drop(dict(order, by=self._qmap.whoami()))
        except OSError as error:
            self._console.say('cannot {}: {}: {}'.format(
                name, error.filename or self._execution.path, error.strerror))
            return
        self._console.clear_notices()
        self._sent[id] = (time.monotonic(), name)

    def look(self):
        """Forget what has been obeyed, and take back what nobody obeys."""
        for id, (since, name) in list(self._sent.items()):
            if id in self._execution.ledger.obeyed:
                del self._sent[id]
            elif time.monotonic() - since > self.TAKEN_BACK:
                del self._sent[id]
                self._inbox.remove(id)
                self._console.say('{}: taken back, no driver has obeyed'.format(name))

    def waiting(self):
        """Tell whether there is any that has not been obeyed."""
        return any(id not in self._execution.ledger.obeyed for id in self._sent)

    def lines(self):
        """Return the lines about the orders that wait, as (text, look)."""
        now = time.monotonic()
        slow = [name for since, name in self._sent.values() if now - since > self.SLOW]
        fresh = [name for since, name in self._sent.values() if now - since <= self.SLOW]
        return ([(' {}: sent, waiting for the driver'.format(', '.join(fresh)), 'bold')] if fresh else []) + (
            [(' the driver has not obeyed yet: {}'.format(', '.join(slow)), 'trouble')] if slow else [])

    def remove(self):
        """Take all of them back."""
        for id in self._sent:
            self._inbox.remove(id)


class Control:
    """What the keys do that steer an execution, or leave it."""

    #: Above so many jobs one is asked once more.
    MANY = 100

    def __init__(self, console, orders):
        self._console, self._orders = console, orders
        self._qmap, self._execution, self._listing = console.qmap, console.execution, console.listing
        self.keys = {'p': self._pause, 'm': self._ask_max_running, 'e': self._edit, 'r': self._retry,
                     'c': self._cancel, 'd': self._detach, 'a': self._submit_all, 'q': self._quit}

    def _ask(self, title, entries, careful=False):
        self._console.dialog = Menu(title, entries, careful)
        return True

    def _pause(self):
        name = 'resume' if self._execution.halted else 'pause'
        self._orders.send({'do': name}, name)

    def _ask_max_running(self):
        def change(texts):
            try:
                number = self._qmap.parse_count(texts['number'])
            except ValueError as error:
                raise self._qmap.QMapError('{}: {}'.format(texts['number'], error))
            self._orders.send({'do': 'max-running', 'number': number}, 'max running {}'.format(number))

        self._console.dialog = Form(
            'Maximum number of jobs pending or running at once',
            [['number', 'max running', '', 'now {:,}'.format(self._console.max_running)]], change,
            self._qmap.QMapError)

    def _checked(self, texts):
        """Return parameters as orders have them.

        Raises:
            QMapError: one is wrong
        """
        found = {}
        for key, text in texts.items():
            if key == 'working_directory' and text and not os.path.isdir(self._qmap.file_name(text)):
                raise self._qmap.QMapError('{}: no such folder'.format(text))
            found[key] = self._qmap.write_parameter(key, self._qmap.checked(key, text)) if text else ''
        return found

    def _edit(self):
        execution, qmap = self._execution, self._qmap
        labels = execution.plan.info.get('editable_params') or {key: key for key in ('cores', 'memory', 'time')}
        params = qmap.changed(execution.plan.params, execution.ledger.settings.get('params'))
        now = {key: qmap.write_parameter(key, params[key]) if key in params else '' for key in labels}

        def change(texts):
            changes = self._checked({key: text for key, text in texts.items() if text != now[key]})
            if changes:
                self._orders.send({'do': 'set', 'params': changes}, 'set ' + ' '.join(
                    '{}={}'.format(*item) for item in changes.items()))

        self._console.dialog = Form('Parameters of the {} not submitted yet'.format(
            qmap.plural(execution.ledger.counts[0], 'job')),
            [[key, label or key, now[key], ''] for key, label in labels.items()], change, qmap.QMapError)

    # Which jobs

    def _targets(self, letters):
        """Return a list of (name, numbers, what an order says): the job here, the marked, the listed ones."""
        ledger, found = self._execution.ledger, []

        def add(name, numbers):
            numbers = [number for number in numbers if LETTERS[ledger.status[number]] in letters]
            if numbers and numbers not in [others for _, others, _ in found]:
                found.append((name.format(self._qmap.plural(len(numbers), 'job')), numbers,
                              {'ids': self._spans(numbers)}))

        number = getattr(self._console.page, 'number', None)
        if number is not None:
            add('selected: job ' + self._name(number), [number])
        if 1 in self._listing.marks:
            add('marked: {}', self._listing.marked())
        if self._listing.filtered:
            add('listed: {}', self._listing.listed())
        return found

    def _name(self, number):
        """Return a job's id, with its own parameters where the map has them."""
        params = self._console.record(number)[1]
        own = ['{}={}'.format(key, self._qmap.write_parameter(key, params[key]))
               for key in self._console.own_parameters if key in params]
        name = self._execution.ledger.id(number) + (' ({})'.format(' '.join(own)) if own else '')
        return name.replace('{', '{{').replace('}', '}}')

    def _spans(self, numbers):
        group = self._execution.plan.group
        return [[first * group, last * group] for first, last in self._qmap.spans(numbers)]

    def _retry(self):
        targets, failed = self._targets('CF'), self._execution.ledger.counts[4]
        kinds = self._listing.failed() if failed else ((), ())
        if kinds is None:
            targets.append(('all failed and cancelled: {}'.format(self._qmap.plural(failed, 'job')), None,
                            {'statuses': ['FAILED']}))
            kinds = ((), ())
        for name, numbers in zip(('failed', 'cancelled'), kinds):
            if numbers and numbers not in [others for _, others, _ in targets]:
                targets.append(('all {}: {}'.format(name, self._qmap.plural(len(numbers), 'job')), numbers,
                                {'ids': self._spans(numbers)}))
        if not targets:
            self._console.say('retry: no job here has finished')
        elif len(targets) == 1:
            self._retry_form(*targets[0])
        else:
            self._ask('Retry which jobs?', [
                (target[0], lambda target=target: self._retry_form(*target)) for target in targets])

    def _requested(self, key, numbers):
        """Return the note on what jobs have requested so far."""
        plan, ledger, found = self._execution.plan, self._execution.ledger, set()
        if numbers is not None and (plan.alike or len(numbers) > 1000) and not ledger.changes:
            numbers = numbers[:1]
        for number in numbers or ():
            params = self._qmap.changed(plan.job_params(number), plan.changes(ledger, number))
            found.add(params.get(key))
        if not found or found == {None}:
            return ''
        texts = [self._qmap.write_parameter(key, value) if value else 'none'
                 for value in sorted(found, key=lambda value: value or 0)]
        return 'now {}'.format(texts[0] if len(texts) == 1 else '{} to {}'.format(texts[0], texts[-1]))

    def _retry_form(self, name, numbers, which):
        def retry(texts):
            changes = self._checked({key: text for key, text in texts.items() if text})
            self._orders.send(dict(which, do='retry', params=changes), 'retry ({})'.format(name))
            self._listing.marks = bytearray(self._listing.count)

        self._console.dialog = Form('Retry ({}); empty: as before'.format(name), [
            [key, key, '', self._requested(key, numbers)] for key in ('cores', 'memory', 'time')],
            retry, self._qmap.QMapError)
        return True

    def _cancel(self):
        targets, left = self._targets('.PRO'), self._execution.left()
        if left and left not in [len(numbers) for _, numbers, _ in targets]:
            targets.append(('all unfinished: {}'.format(self._qmap.plural(left, 'job')), range(left), {}))
        if not targets:
            self._console.say('cancel: all jobs have finished')
            return
        self._ask('Cancel jobs? Running jobs are killed, waiting jobs are dropped.', [
            (target[0], lambda target=target: self._cancel_these(*target)) for target in targets],
            careful=len(targets) == 1 and targets[0][2] == {})

    def _cancel_these(self, name, numbers, which, sure=False):
        """Cancel jobs; ask once more where they are many. Return whether there is still a question."""
        if len(numbers) > self.MANY and not sure:
            return self._ask('Cancel {:,} jobs?'.format(len(numbers)), [
                ('yes, cancel them', lambda: self._cancel_these(name, numbers, which, True), 'y')], careful=True)
        self._orders.send(dict(which, do='cancel'), 'cancel ({})'.format(name))
        self._listing.marks = bytearray(self._listing.count)
        return False

    # Leaving

    def _leave(self, how='leave', detaches=False):
        self._console.leaves = True
        self._console.detaches = self._execution.passed_on = detaches
        getattr(self._execution, how)()
        self._console.say({'leave': 'quitting', 'cancel': 'cancelling what was submitted, then quitting',
                           'hand_over': 'submitting all jobs to the scheduler, then quitting'}[how])

    def _detach(self):
        if not self._execution.driving:
            self._ask('The driver is another process, and continues. Quit this view?', [
                ('yes, quit', self._leave, 'y')])
            return
        self._ask('Continue in the background, without this terminal?', [
            ('yes, detach; `qmap reattach` shows it again', lambda: self._leave(detaches=True), 'y')])

    def _submit_all(self):
        if self._execution.plan.info['executor'] == 'local':
            self._console.say('submit all: this machine has no queue that keeps jobs; d continues in the background')
        elif not self._execution.driving:
            self._console.say('submit all: only in the process that is the driver')
        else:
            self._ask('Submit all jobs to the scheduler now, ignoring max running, and quit?', [
                ('yes; `qmap reattach` collects them later', lambda: self._leave('hand_over'), 'y')])

    def _quit(self):
        counts = self._execution.counts()
        local = self._execution.plan.info['executor'] == 'local'
        number = counts['RUNNING'] + (0 if local else counts['PENDING'] + counts['OTHER'])
        live = self._qmap.plural(number, 'running job' if local else 'submitted job')
        going = '{} {}'.format(live, 'continues' if number == 1 else 'continue')
        if not self._execution.working():
            self._leave()
        elif self._execution.driving:
            entries = [('quit: {}, nothing new is submitted'.format(going), self._leave),
                       ('detach: everything continues in the background', lambda: self._leave(detaches=True)),
                       ('cancel the {}, and quit'.format(live), lambda: self._leave('cancel'))]
            if not local:
                entries.insert(2, ('submit all jobs to the scheduler, and quit', lambda: self._leave('hand_over')))
            self._ask('Quit?', entries)
        else:
            self._ask('Quit? This process only views.', [
                ('quit this view: the driver continues', self._leave),
                ('stop the driver as well: {}, nothing new is submitted'.format(going),
                 lambda: self._orders.send({'do': 'stop'}, 'stop')),
                ('stop the driver, and cancel the {}'.format(live),
                 lambda: self._orders.send({'do': 'stop', 'cancel': True}, 'stop and cancel'))])


########################################################################################################################
# The lines at the top
########################################################################################################################

class Head:
    """The lines at the top: who drives, how far it is and how fast it goes."""

    #: Names of the statuses where there is little room.
    SHORT = {'.': 'unsub', 'P': 'pend', 'R': 'run', 'C': 'done', 'F': 'fail', CANCELLED: 'canc', 'O': 'other'}

    def __init__(self, console):
        self._console, self._qmap, self._execution = console, console.qmap, console.execution
        self._pace = Pace(console.execution, time.monotonic)
        self._driver = (float('-inf'), {})

    def _who(self):
        """Return the list of ways to say who drives, the longest first, and what troubles there are."""
        execution, host = self._execution, socket.gethostname()
        if execution.driving:
            return ['driver: this process (pid {} on {})'.format(os.getpid(), host),
                    'driver: pid {}'.format(os.getpid())], execution.trouble
        if not execution.working():
            return ['finished' if not execution.left() else 'stopped'], ''
        if not execution.viewing:
            return ['starting'], ''
        if time.monotonic() - self._driver[0] >= 1:
            driver = execution.driver()
            if driver.get('host') == host and self._qmap.birth(driver['pid']) != driver['born']:
                driver = {}
            self._driver = (time.monotonic(), driver)
        driver = self._driver[1]
        if not driver:
            return ['viewing; no driver is running', 'no driver'], execution.trouble
        return ['viewing; driver: pid {} on {}{}'.format(
            driver['pid'], driver['host'], ' (this machine)' if driver['host'] == host else ''),
            'viewing; driver: pid {}'.format(driver['pid']), 'viewing'], driver.get('trouble') or ''

    def draw(self, screen):
        """Draw it, and return how many lines that took."""
        self._pace.look()
        lines, execution, counts = screen.size[0], self._execution, self._console.counts()
        who, trouble = self._who()
        y = 0
        if lines >= 10:
            self._first_line(screen, who)
            y += 1
        if lines >= 8:
            self._figures(screen, y)
            y += 1
        if lines >= 6:
            self._bar(screen, y, counts)
            y += 1
        if lines >= 3:
            self._counts(screen, y, counts)
            y += 1
        load = execution.load
        if load and lines >= 12:
            screen.put_parts(y, 0, [(' cluster ', 'dim'), ('{nodes} nodes'.format(**load), ''), (screen.dot, 'dim'),
                                    ('{used:.0f} % in use'.format(**load), ''), (screen.dot, 'dim'),
                                    ('{mine:.0f} % yours'.format(**load), '')])
            y += 1
        if trouble and lines >= 4:
            screen.put(y, 0, ' ! ' + trouble, 'trouble', fill=True)
            y += 1
        return y

    def _first_line(self, screen, who):
        """Draw the folder, and as much on who drives as there is room for."""
        executor, columns = self._execution.plan.info['executor'], screen.size[1]
        x = screen.put(0, 0, ' ' + self._qmap.shown_path(self._execution.path), 'bold')
        for text in who + ['']:
            text = screen.dot.join(filter(None, [executor, text])) + ' '
            if x + 2 + text_cells(clean_text(text)) <= columns:
                screen.put(0, columns - text_cells(clean_text(text)), text)
                return

    def _state(self):
        """Return (what the execution does, look)."""
        execution, counts = self._execution, self._execution.ledger.counts
        if not execution.left():
            return 'finished', 'bold'
        if execution.halted:
            return 'PAUSED', 'P'
        if self._console.leaves or execution.stopping:
            return 'stopping', 'P'
        return ('submitting' if counts[0] else 'all submitted'), 'bold'

    def _figures(self, screen, y):
        execution = self._execution
        text, look = self._state()
        limit, cores = self._console.max_running, 0
        if execution.plan.info['executor'] == 'local' and execution.driving:
            cores = self._qmap.machine_cores()
        figures = [('max running', '{:,}{}'.format(limit, ' ({} cores)'.format(cores) if 0 < cores < limit else '')),
                   ('elapsed', self._qmap.time_text(max(0, self._elapsed())))]
        rate, eta = self._pace.rate(), self._pace.eta()
        if rate >= 0.1:
            figures.append(('rate', '{:,.1f} jobs/s'.format(rate)))
        elif rate:
            figures.append(('rate', '{:.1f} jobs/h'.format(3600 * rate)))
        if eta is not None:
            figures.append(('ETA', rough_time(eta)))
        counts = execution.ledger.counts
        reason = execution.waits_for() if counts[1] and not counts[2] else ''
        if reason:
            figures.append(('waiting:', reason))
        for dropped in ('', 'max running', 'rate', 'elapsed', 'waiting:'):
            figures = [figure for figure in figures if figure[0] != dropped]
            parts = [(' ' + text, look)]
            for label, value in figures:
                parts += [(screen.dot, 'dim'), (label + ' ' if label != 'rate' else '', 'dim'), (value, '')]
            if sum(text_cells(clean_text(text)) for text, _ in parts) < screen.size[1]:
                break
        screen.put_parts(y, 0, parts)

    def _elapsed(self):
        """Return the seconds since it was submitted, until the last job ended."""
        last = self._execution.figures().last if not self._execution.left() else 0
        return (last or time.time()) - self._execution.created

    def _bar(self, screen, y, counts):
        ended, total = counts['C'] + counts['F'] + counts[CANCELLED], max(1, sum(counts.values()))
        texts = ['{} %'.format(100 * ended // total)]
        if screen.size[1] >= 60:
            texts.append('{:,}/{:,}'.format(ended, total))
        end = '] {} '.format('  '.join(texts))
        x = screen.put(y, 0, ' [')
        for letter, cells in zip(counts, share_cells(list(counts.values()), max(1, screen.size[1] - 2 - len(end)))):
            x = screen.put(y, x, screen.blocks[letter] * cells, letter)
        screen.put(y, x, end)

    def _counts(self, screen, y, counts):
        """Draw how many jobs there are of each status; where there is little room, with short names or none, and
        without those that are none."""
        names = dict(zip(LETTERS, map(str.lower, self._qmap.STATUSES)))
        names[CANCELLED] = 'cancelled'
        all_letters = [letter for letter in counts if counts[letter] or letter not in 'XO']
        few = [letter for letter in all_letters if counts[letter]]
        for letters, named in [*itertools.product((all_letters, few), (names, self.SHORT, {})),
                               ([letter for letter in few if letter in 'RCFX'], {})]:
            parts = []
            for letter in sorted(letters, key='.PRCFXO'.index):
                name = named[letter] + ' ' if named else ''
                parts += [(letter, letter), (' {:,} '.format(counts[letter]), ''), (name + ' ', 'dim')]
            if sum(len(text) for text, _ in parts) < screen.size[1]:
                break
        screen.put_parts(y, 1, parts)


def share_cells(counts, width):
    """Return how many cells each count gets of so many; one that is not 0 gets one at least, where there is room."""
    total = max(1, sum(counts))
    cells = [count * width // total or (1 if count else 0) for count in counts]
    cells[cells.index(max(cells))] += width - sum(cells)
    return [max(0, part) for part in cells]


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
        leaves: whether this process is about to leave
        detaches: whether a driver in the background is to go on when this one has left
    """

    #: Seconds: the longest wait for a key; between two drawings at least, and at most; for which a message stays, and
    #: for which the console stays open after the end where somebody is at the keys.
    WAIT, SOON, DRAW, NOTICE, STAY = 0.25, 0.4, 1, 12, 60
    #: Seconds in which records are read at a time, where nobody waits for them, and where somebody does.
    READ, READ_NOW = 0.01, 0.03

    def __init__(self, qmap, execution, plain):
        """Take the terminal.

        Args:
            plain: View, which says in plain lines what is said when this is closed

        Raises:
            curses.error, OSError: it cannot be drawn on
        """
        self.qmap, self.execution = qmap, execution
        self.listing = Listing(qmap, execution)
        self.dialog, self.leaves, self.detaches = None, False, False
        self._plain, self._closed = plain, False
        self._orders = Orders(self)
        self._control = Control(self, self._orders)
        self._head = Head(self)
        self._messages = collections.deque(maxlen=1000)
        self._cleared = 0
        self._pages = [ListPage(self)]
        self._touched = None
        self._drawn, self._dirty, self._size = 0, True, None
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
            self._dirty = True

    note = say

    def clear_notices(self):
        """Show the messages so far no longer, except on their page."""
        self._cleared = time.time()

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
        if self._closed or self.leaves or self._touched is None:
            return False
        if self._orders.waiting():
            self.execution.start()    # it was retried
        return time.monotonic() - self._touched < self.STAY

    def close(self):
        """Give the terminal back. What is to be said from now on is said in plain lines."""
        if not self._closed:
            self._closed = True
            self._screen.close()
            if not self.detaches:
                self._orders.remove()

    def _safely(self, function):
        try:
            function()
        except self.qmap.QMapError:    # a record has just moved into another file: the next look finds it there
            self._dirty = True
        except Exception:    # the jobs must not suffer from what a view does wrong
            problem = traceback.format_exc()
            self.close()
            sys.stderr.write(problem)
            self._plain.say('the console failed; plain lines from here on')

    def _wait(self):
        if self._screen.away:
            time.sleep(self.WAIT)
            return
        listing = self.listing
        busy = listing.searching or listing.reading
        for _, what in self._keys.poll(0 if busy else int(1000 * self.WAIT)):
            if what & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                self.close()    # the terminal is gone; the jobs are not
                return
        for key in self._screen.keys():
            self._touched, self._dirty = time.monotonic(), True
            self._key(key)
        if listing.searching:
            listing.seek()
            self._dirty = True
        self._dirty = listing.read_reasons(self.READ_NOW if busy else self.READ) or self._dirty

    def _update(self):
        since = time.monotonic() - self._drawn
        if since >= self.DRAW or since >= self.SOON and self.listing.look():
            self._dirty = True
        away = self._screen.away
        if not self._screen.ready():
            return
        if not (self._dirty or away) and self._screen.size == self._size:
            return
        self._dirty = False
        self.listing.look()
        self._orders.look()
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

    def back_to_list(self):
        """Show the list of jobs."""
        del self._pages[1:]

    def _key(self, key):
        if key == 'redraw':
            self._screen.redraw()
        elif self.dialog:
            dialog = self.dialog
            if not dialog.key(key) and self.dialog is dialog:
                self.dialog = None
        elif not self.page.key(key):
            if key in ('?', 'l', 'g'):
                self._open_over(key)
            elif key in self._control.keys:
                self._control.keys[key]()

    def _open_over(self, key):
        """Show the keys, the messages or the groups, instead of another of them that is open."""
        if hasattr(self.page, 'own_key') and self.page.own_key:
            self.back()
        if key == '?':
            self.open(TextPage(self, 'keys', key_lines, own_key='?'))
        elif key == 'l':
            self.open(TextPage(self, 'messages', self._message_lines, own_key='l', at_end=True))
        else:
            self.open(GroupsPage(self, self._pages[0]))

    def _message_lines(self, width):
        return [(time.strftime('%H:%M:%S', time.localtime(when)), text, '')
                for when, text in self._messages] or [('none so far', 'dim')]

    # What the pages ask

    @property
    def max_running(self):
        """How many jobs may be pending or running at once."""
        return self.execution.ledger.settings.get('max_running') or self.execution.plan.info['max_running']

    @property
    def own_parameters(self):
        """The names of parameters that commands of the map have of their own."""
        return self._pages[0].own_parameters

    def counts(self):
        """Return {letter: number of jobs}, in the order of the bar."""
        counts = dict(zip(LETTERS, self.execution.ledger.counts))
        counts[CANCELLED] = min(self.execution.failures.cancelled, counts['F'])
        counts['F'] -= counts[CANCELLED]
        return collections.OrderedDict((letter, counts[letter]) for letter in 'CFXORP.')

    def record(self, number):
        """Return the last record of a job, and its parameters."""
        ledger, plan = self.execution.ledger, self.execution.plan
        record = ledger.record(number)
        changes = record.get('params')
        if record['status'] == 'UNSUBMITTED':
            changes = plan.changes(ledger, number)
        return record, self.qmap.changed(plan.job_params(number), changes)

    # Drawing

    def _draw(self):
        screen = self._screen
        self._size = screen.size
        screen.begin()
        y = self._head.draw(screen)
        lines = screen.size[0]
        below = self._below(lines)
        below = below[:max(0, lines - y - 1)] if not self.dialog else below[:lines]
        self.page.draw(screen, y, max(0, lines - y - len(below)))
        for place, (text, look) in enumerate(below, lines - len(below)):
            if isinstance(text, str):
                screen.put(place, 0, text, look, fill=True)
            else:
                screen.put(place, 0, '', '', fill=True)
                screen.put_parts(place, 0, text)
        screen.end()

    def _below(self, lines):
        """Return the lines at the bottom, as (text or list of parts, look): the question that is open, else messages
        and some keys."""
        if self.dialog:
            return [(part, look) for text, look in self.dialog.lines() for part in wrap_text(
                clean_text(text, self._screen.ascii_only), self._screen.size[1], words=True)]
        now = time.time()
        fresh = [' ' + text for when, text in itertools.islice(
            self._messages, max(0, len(self._messages) - 3), None) if when > max(self._cleared, now - self.NOTICE)]
        below = [(text, 'bold') for text in fresh] + self._orders.lines()
        if not self.execution.working() and not self.leaves:
            below.append((' All jobs finished. Press q to quit (closes after {} s idle).'.format(self.STAY), 'bold'))
        if lines >= 7:
            below.append((self._key_parts(), ''))
        return below

    def _key_parts(self):
        """Return the keys of the page that fit into a line, as parts: the most important first, q and ? last."""
        room, found = self._screen.size[1], []
        for key, label in self.page.KEYS:
            label = 'resume' if key == 'p' and self.execution.halted else label
            if len(key) + len(label) + 3 <= room:
                room -= len(key) + len(label) + 3
                found.append((key, label))
        found.sort(key=lambda item: item[0] in 'q?')
        return [part for key, label in found for part in ((key, 'key'), (' ' + label + '  ', ''))]


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
