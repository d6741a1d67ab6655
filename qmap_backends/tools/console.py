"""The full-screen console of `qmap submit` and `qmap reattach`: all jobs, the details of each, and orders.

It shows an execution that this process drives or views, and steers it in both cases through the inbox, as
`qmap control` does. Whoever lets it work (attend() in qmap.py) calls `update`, `wait` and `say` in turn.

The list is made in listing.py, the pages are in pages.py, and what they draw on is in terminal.py. None of it
keeps a list of records: of a million jobs there are some bytes each, and the records of the lines that are
seen.
"""

import collections
import curses
import itertools
import os
import socket
import sys
import termios
import time
import traceback

from qmap import (
    Host, Inbox, QMapError, STATUSES, View, as_spans, change_params, file_name, machine_cores, map_changed,
    parse_count, parse_parameter, plural, seems_alive, shown_path, stop_session, time_text, whoami,
    write_parameter)
from qmap_backends.tools.listing import CANCELLED, LETTERS, Listing, Pace
from qmap_backends.tools.pages import Form, GroupsPage, ListPage, Menu, TextPage, key_lines
from qmap_backends.tools.terminal import Screen, clean_text, rough_time, text_cells, wrap_text


##############################################################################################################
# Control
##############################################################################################################

class Orders:
    """What was told to the driver, and has not been obeyed yet."""

    #: Seconds after which an order that nobody obeys is named, and after which it is taken back.
    SLOW, TAKEN_BACK = 4, 120

    def __init__(self, console):
        self._console, self._session = console, console.session
        self._inbox = Inbox(console.session.logs, Host())
        self._sent = {}

    def send(self, order, name):
        """Put an order into the inbox, from where the driver takes it, here or elsewhere.

        Args:
            order: dict, as `qmap control` makes it
            name: for the user
        """
        try:
            id = self._inbox.drop(dict(order, by=whoami()))
        except OSError as error:
            self._console.say('cannot {}: {}: {}'.format(
                name, error.filename or self._session.path, error.strerror))
            return
        self._console.clear_notices()
        self._sent[id] = (time.monotonic(), name)

    def look(self):
        """Forget what has been obeyed, and take back what nobody obeys."""
        for id, (since, name) in list(self._sent.items()):
            if id in self._session.ledger.obeyed:
                del self._sent[id]
            elif time.monotonic() - since > self.TAKEN_BACK:
                del self._sent[id]
                self._inbox.remove(id)
                self._console.say('{}: withdrawn, no driver answered'.format(name))

    def waiting(self):
        """Tell whether there is any that has not been obeyed."""
        return any(id not in self._session.ledger.obeyed for id in self._sent)

    def lines(self):
        """Return the lines about the orders that wait, as (text, look)."""
        now = time.monotonic()
        slow = [name for since, name in self._sent.values() if now - since > self.SLOW]
        fresh = [name for since, name in self._sent.values() if now - since <= self.SLOW]
        return ([(' {}: sent, waiting for the driver'.format(', '.join(fresh)), 'bold')] if fresh else []) + (
            [(' no answer from the driver yet: {}'.format(', '.join(slow)), 'trouble')] if slow else [])

    def remove(self):
        """Take all of them back."""
        for id in self._sent:
            self._inbox.remove(id)


class Messages:
    """What was said: the latest at the bottom for a while, all of it on a page."""

    #: Seconds for which a message stays at the bottom, and how many are there at once.
    NOTICE, SHOWN = 12, 3

    def __init__(self):
        self._all = collections.deque(maxlen=1000)
        self._cleared = 0

    def add(self, text):
        """Take a message."""
        self._all.append((time.time(), text))

    def clear(self):
        """Show the messages so far no longer, except on their page."""
        self._cleared = time.time()

    def fresh(self):
        """Return the list of those at the bottom."""
        now = time.time()
        latest = itertools.islice(self._all, max(0, len(self._all) - self.SHOWN), None)
        return [' ' + text for when, text in latest if when > max(self._cleared, now - self.NOTICE)]

    def lines(self, width):
        """Return all of them, as lines for a TextPage."""
        return [(time.strftime('%H:%M:%S', time.localtime(when)), text, '')
                for when, text in self._all] or [('none so far', 'dim')]


def meant_value(key, text):
    """Return what a memory or a time means that is typed without a unit, '800G' for 800; '' for all else."""
    if key not in ('memory', 'time') or not text.strip().replace('.', '', 1).isdigit():
        return ''
    try:
        return write_parameter(key, parse_parameter(key, text))
    except QMapError:
        return ''


class Control:
    """What the keys do that steer an execution, or leave it.

    Attributes:
        orders: Orders
        keys: {key: function}
    """

    #: Above so many jobs one is asked once more.
    MANY = 100

    def __init__(self, console):
        self._console, self.orders = console, Orders(console)
        self._session, self._listing = console.session, console.listing
        self.keys = {'p': self._pause, 'm': self._ask_max_running, 'e': self._edit, 'r': self._retry,
                     'c': self._cancel, 'd': self._detach, 'a': self._submit_all, 'q': self._quit}

    def _ask(self, title, entries, careful=False):
        self._console.dialog = Menu(title, entries, careful)
        return True

    def _pause(self):
        name = 'resume' if self._session.halted else 'pause'
        self.orders.send({'do': name}, name)

    def _ask_max_running(self):
        def change(texts):
            try:
                number = parse_count(texts['number'])
            except ValueError as error:
                raise QMapError('{}: {}'.format(texts['number'], error))
            self.orders.send({'do': 'max-running', 'number': number}, 'max running {}'.format(number))

        self._console.dialog = Form(
            'Maximum number of jobs pending or running at once',
            [['number', 'max running', '', 'now {:,}'.format(self._console.max_running)]], change, QMapError)

    def _checked(self, texts):
        """Return parameters as orders have them.

        Raises:
            QMapError: one is wrong
        """
        found = {}
        for key, text in texts.items():
            if key == 'working_directory' and text and not os.path.isdir(file_name(text)):
                raise QMapError('{}: no such folder'.format(text))
            found[key] = write_parameter(key, parse_parameter(key, text)) if text else ''
        return found

    def _edit(self):
        session = self._session
        labels = session.plan.info.get('editable_params') or dict(
            cores='cores', memory='memory', time='time')
        params = change_params(session.plan.params, session.ledger.settings.get('params'))
        now = {key: write_parameter(key, params[key]) if key in params else '' for key in labels}

        def change(texts):
            changes = self._checked({key: text for key, text in texts.items() if text != now[key]})
            if changes:
                self.orders.send({'do': 'set', 'params': changes}, 'set ' + ' '.join(
                    '{}={}'.format(*item) for item in changes.items()))

        waiting = plural(session.ledger.count_of('UNSUBMITTED'), 'job')
        self._console.dialog = Form(
            'Parameters of the {} not submitted yet'.format(waiting),
            [[key, label or key, now[key], ''] for key, label in labels.items()], change, QMapError,
            read=meant_value)

    # Which jobs

    def _targets(self, letters):
        """Return a list of (name, numbers, what an order says): the job here, the marked, the listed ones."""
        ledger, found = self._session.ledger, []

        def add(name, numbers):
            numbers = [number for number in numbers if LETTERS[ledger.status[number]] in letters]
            if numbers and numbers not in [others for _, others, _ in found]:
                found.append((name.format(plural(len(numbers), 'job')), numbers,
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
        own = ['{}={}'.format(key, write_parameter(key, params[key]))
               for key in self._console.own_parameters if key in params]
        name = self._session.ledger.id(number) + (' ({})'.format(' '.join(own)) if own else '')
        return name.replace('{', '{{').replace('}', '}}')

    def _spans(self, numbers):
        group = self._session.plan.group
        return [[first * group, last * group] for first, last in as_spans(numbers)]

    def _retry(self):
        targets, failed = self._targets('CF'), self._session.ledger.count_of('FAILED')
        kinds = self._listing.failed() if failed else ((), ())
        if kinds is None:
            targets.append(('all failed and cancelled: {}'.format(plural(failed, 'job')), None,
                            {'statuses': ['FAILED']}))
            kinds = ((), ())
        for name, numbers in zip(('failed', 'cancelled'), kinds):
            if numbers and numbers not in [others for _, others, _ in targets]:
                targets.append(('all {}: {}'.format(name, plural(len(numbers), 'job')), numbers,
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
        plan, ledger, found = self._session.plan, self._session.ledger, set()
        if numbers is not None and not ledger.changes:
            if plan.alike or len(numbers) > 1000:
                numbers = numbers[:1]
        for number in numbers or ():
            params = change_params(plan.job_params(number), plan.changes(ledger, number))
            found.add(params.get(key))
        if not found or found == {None}:
            return ''
        texts = ['none' if value is None else write_parameter(key, value)
                 for value in sorted(found, key=lambda value: value or 0)]
        return 'now {}'.format(texts[0] if len(texts) == 1 else '{} to {}'.format(texts[0], texts[-1]))

    def _retry_form(self, name, numbers, which):
        def retry(texts):
            changes = self._checked({key: text for key, text in texts.items() if text})
            self.orders.send(dict(which, do='retry', params=changes), 'retry ({})'.format(name))
            self._listing.marks = bytearray(self._listing.count)

        self._console.dialog = Form('Retry ({}); empty: as before'.format(name), [
            [key, key, '', self._requested(key, numbers)] for key in ('cores', 'memory', 'time')],
            retry, QMapError, ' '.join(map_changed(self._session.plan)), meant_value)
        return True

    def _cancel(self):
        targets, left = self._targets('.PRO'), self._session.left()
        if left and left not in [len(numbers) for _, numbers, _ in targets]:
            targets.append(('all unfinished: {}'.format(plural(left, 'job')), range(left), {}))
        if not targets:
            self._console.say('cancel: all jobs have finished')
            return
        self._ask('Cancel jobs? Running jobs are killed, waiting jobs are dropped.', [
            (target[0], lambda target=target: self._cancel_these(*target)) for target in targets],
            careful=len(targets) == 1 and targets[0][2] == {})

    def _cancel_these(self, name, numbers, which, sure=False):
        """Cancel jobs; ask once more where they are many. Return whether there is still a question."""
        if len(numbers) > self.MANY and not sure:
            entry = ('yes, cancel them', lambda: self._cancel_these(name, numbers, which, True), 'y')
            return self._ask('Cancel {:,} jobs?'.format(len(numbers)), [entry], careful=True)
        self.orders.send(dict(which, do='cancel'), 'cancel ({})'.format(name))
        self._listing.marks = bytearray(self._listing.count)
        return False

    # Leaving

    def _leave(self, way='quit'):
        self._console.leaves = True
        if way == 'detach':
            self._session.successor = 'background'
        elif self._session.successor == 'background':    # on second thoughts
            self._session.successor = ''
        stop_session(self._session, way, self._console.say)

    def _detach(self):
        if not self._session.driving:
            self._ask('The driver is another process, and continues. Quit this view?', [
                ('yes, quit', self._leave, 'y')])
            return
        self._ask('Continue in the background, without this terminal?', [
            ('yes, detach; `qmap reattach` shows it again', lambda: self._leave('detach'), 'y')])

    def _submit_all(self):
        if self._session.plan.info['executor'] == 'local':
            self._console.say('submit all: needs a scheduler; d continues in the background')
        elif not self._session.driving:
            self._console.say('submit all: only in the process that is the driver')
        else:
            self._ask('Submit all jobs to the scheduler now, ignoring max running, and quit?', [
                ('yes; `qmap reattach` collects them later', lambda: self._leave('submit all'), 'y')])

    def _quit(self):
        counts = self._session.counts()
        local = self._session.plan.info['executor'] == 'local'
        number = counts['RUNNING'] + (0 if local else counts['PENDING'] + counts['OTHER'])
        live = plural(number, 'running job' if local else 'submitted job')
        going = '{} {}'.format(live, 'continues' if number == 1 else 'continue')
        if not self._session.left():
            self._console.leaves = True    # as soon as the driver has written all of it
        elif not self._session.working():
            self._leave()
        elif self._session.driving:
            entries = [('quit: {}, nothing new is submitted'.format(going), self._leave),
                       ('detach: everything continues in the background', lambda: self._leave('detach')),
                       ('cancel the {}, and quit'.format(live), lambda: self._leave('cancel'))]
            if not local:
                entries.insert(2, ('submit all jobs to the scheduler, and quit',
                                   lambda: self._leave('submit all')))
            self._ask('Quit?', entries)
        else:
            self._ask('Quit? This process only views.', [
                ('quit this view: the driver continues', self._leave),
                ('stop the driver as well: {}, nothing new is submitted'.format(going),
                 lambda: self.orders.send({'do': 'stop'}, 'stop')),
                ('stop the driver, and cancel the {}'.format(live),
                 lambda: self.orders.send({'do': 'stop', 'cancel': True}, 'stop and cancel'))])


##############################################################################################################
# The lines at the top
##############################################################################################################

class Head:
    """The lines at the top: who drives, how far it is and how fast it goes."""

    #: Names of the statuses where there is little room.
    SHORT = {'.': 'unsub', 'P': 'pend', 'R': 'run', 'C': 'done', 'F': 'fail', CANCELLED: 'canc', 'O': 'other'}

    def __init__(self, console):
        self._console, self._session = console, console.session
        self._pace = Pace(console.session, time.monotonic)
        self._driver = (float('-inf'), {})

    def _who(self):
        """Return the list of ways to say who drives, the longest first, and what troubles there are."""
        session, host = self._session, socket.gethostname()
        if session.driving:
            return ['driver: this process (pid {} on {})'.format(os.getpid(), host),
                    'driver: pid {}'.format(os.getpid())], session.trouble
        if not session.working():
            return ['finished' if not session.left() else 'stopped'], ''
        if not session.viewing:
            return ['starting'], ''
        if time.monotonic() - self._driver[0] >= 1:
            driver = session.driver()
            if driver.get('host') == host and not seems_alive(driver['pid'], driver['born']):
                driver = {}
            self._driver = (time.monotonic(), driver)
        driver = self._driver[1]
        if not driver:
            return ['viewing; no driver is running', 'no driver'], session.trouble
        return ['viewing; driver: pid {} on {}{}'.format(
            driver['pid'], driver['host'], ' (this machine)' if driver['host'] == host else ''),
            'viewing; driver: pid {}'.format(driver['pid']), 'viewing'], driver.get('trouble') or ''

    def draw(self, screen):
        """Draw it, and return how many lines that took."""
        self._pace.look()
        lines, session, counts = screen.size[0], self._session, self._console.counts()
        who, trouble = self._who()
        if not trouble and self._session.halt_reason:
            trouble = 'paused: ' + self._session.halt_reason
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
        retries, dot = session.retry_counts().parts() if lines >= 12 else [], (screen.dot, 'dim')
        if retries:
            parts = [part for text in retries for part in (dot, (text, ''))]
            screen.put_parts(y, 0, [(' retries ', 'dim')] + parts[1:])
            y += 1
        load = session.load
        if load and lines >= 12:
            screen.put_parts(y, 0, [
                (' cluster ', 'dim'), ('{nodes} nodes'.format(**load), ''), dot,
                ('{used:.0f} % in use'.format(**load), ''), dot, ('{mine:.0f} % yours'.format(**load), '')])
            y += 1
        if trouble and lines >= 4:
            screen.put(y, 0, ' ! ' + trouble, 'trouble', fill=True)
            y += 1
        return y

    def _first_line(self, screen, who):
        """Draw the folder, and as much on who drives as there is room for."""
        executor, columns = self._session.plan.info['executor'], screen.size[1]
        x = screen.put(0, 0, ' ' + shown_path(self._session.path), 'bold')
        for text in who + ['']:
            text = screen.dot.join(filter(None, [executor, text])) + ' '
            if x + 2 + text_cells(clean_text(text)) <= columns:
                screen.put(0, columns - text_cells(clean_text(text)), text)
                return

    def _state(self):
        """Return (what the execution does, look)."""
        session = self._session
        if not session.left():
            return 'finished', 'bold'
        if session.halted:
            return 'PAUSED', 'P'
        if self._console.leaves or session.stopping:
            return 'stopping', 'P'
        return ('submitting' if session.ledger.count_of('UNSUBMITTED') else 'all submitted'), 'bold'

    def _figures(self, screen, y):
        session = self._session
        text, look = self._state()
        limit, cores = self._console.max_running, 0
        takes_cores = not session.plan.on_cluster and session.plan.params.get('cores') != 0
        if takes_cores and session.driving:
            cores = machine_cores()
        few_cores = ' ({} cores)'.format(cores) if 0 < cores < limit else ''
        figures = [('max running', '{:,}{}'.format(limit, few_cores)),
                   ('elapsed', time_text(max(0, self._elapsed())))]
        if session.workers:
            figures.insert(1, ('workers', '{:,}'.format(session.workers)))
        rate, eta = self._pace.rate(), self._pace.eta()
        if rate >= 0.1:
            figures.append(('rate', '{:,.1f} jobs/s'.format(rate)))
        elif rate:
            figures.append(('rate', '{:.1f} jobs/h'.format(3600 * rate)))
        if eta is not None:
            figures.append(('ETA', rough_time(eta)))
        ledger = session.ledger
        nothing_runs = ledger.count_of('PENDING') and not ledger.count_of('RUNNING')
        reason = session.pending_reason() if nothing_runs else ''
        if reason:
            figures.append(('waiting:', reason))
        for dropped in ('', 'workers', 'max running', 'rate', 'elapsed', 'waiting:'):
            figures = [figure for figure in figures if figure[0] != dropped]
            parts = [(' ' + text, look)]
            for label, value in figures:
                parts += [(screen.dot, 'dim'), (label + ' ' if label != 'rate' else '', 'dim'), (value, '')]
            if sum(text_cells(clean_text(text)) for text, _ in parts) < screen.size[1]:
                break
        screen.put_parts(y, 0, parts)

    def _elapsed(self):
        """Return the seconds since it was submitted, until the last job ended."""
        last = self._session.figures().last if not self._session.left() else 0
        return (last or time.time()) - self._session.created

    def _bar(self, screen, y, counts):
        ended, total = counts['C'] + counts['F'] + counts[CANCELLED], max(1, sum(counts.values()))
        texts = ['{} %'.format(100 * ended // total)]
        if screen.size[1] >= 60:
            texts.append('{:,}/{:,}'.format(ended, total))
        end = '] {} '.format('  '.join(texts))
        x = screen.put(y, 0, ' [')
        room = max(1, screen.size[1] - 2 - len(end))
        for letter, cells in zip(counts, share_cells(list(counts.values()), room)):
            x = screen.put(y, x, screen.blocks[letter] * cells, letter)
        screen.put(y, x, end)

    def _counts(self, screen, y, counts):
        """Draw how many jobs there are of each status; where there is little room, with short names or none,
        and without those that are none."""
        names = dict(zip(LETTERS, map(str.lower, STATUSES)))
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
    """Return how many of so many cells each count gets: at least one if it is not 0 and there is room."""
    total = max(1, sum(counts))
    cells = [count * width // total or (1 if count else 0) for count in counts]
    cells[cells.index(max(cells))] += width - sum(cells)
    return [max(0, part) for part in cells]


##############################################################################################################
# The console
##############################################################################################################

class Console(View):
    """The full-screen view of an execution.

    Attributes: those of View, and
        listing: Listing
        dialog: the question that is open, None for none
        leaves: whether this process is about to leave
    """

    #: Seconds: the longest wait for a key; between two drawings at least, and at most; for which the console
    #: stays open after the end where somebody is at the keys.
    WAIT, SOON, DRAW, STAY = 0.25, 0.4, 1, 60
    #: Seconds in which records are read at a time, where nobody waits for them, and where somebody does.
    READ, READ_NOW = 0.01, 0.03

    def __init__(self, session, plain):
        """Take the terminal.

        Args:
            plain: View, which says in plain lines what is said when this is closed

        Raises:
            curses.error, OSError: it cannot be drawn on
        """
        super().__init__(session)
        self.listing = Listing(session)
        self.dialog, self.leaves = None, False
        self._plain = plain
        self._control = Control(self)
        self._head = Head(self)
        self._messages = Messages()
        self._pages = [ListPage(self)]
        self._touched = None
        self._drawn, self._dirty = 0, True
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
        elif self._screen.is_open:
            self._safely(self._update)
        else:
            self._plain.update()

    def say(self, text):
        """Show a message."""
        if self._screen.is_open:
            self._messages.add(text)
            self._dirty = True
        else:
            self._plain.say(text)

    def clear_notices(self):
        """Show the messages so far no longer, except on their page."""
        self._messages.clear()

    def finish(self, summary):
        """Print the last lines."""
        self._plain.finish(summary)

    def wait(self, seconds):
        """Wait for keys, for a moment, and obey them."""
        if self._screen.is_open:
            self._safely(self._wait)
        else:
            self._plain.wait(seconds)

    def can_ask(self):
        """See View: p resumes, q quits."""
        return True

    def holds(self):
        """Tell whether somebody looks and shall not be thrown out, although all is over."""
        if not self._screen.is_open or self.leaves or self._touched is None:
            return False
        if self._control.orders.waiting():
            self.session.start()    # it was retried
        return time.monotonic() - self._touched < self.STAY

    def close(self):
        """Give the terminal back. What is to be said from now on is said in plain lines."""
        if self._screen.is_open:
            self._screen.close()
            if self.session.successor != 'background':
                self._control.orders.remove()

    def _safely(self, function):
        try:
            function()
        except QMapError:    # a record has just moved into another file: the next look finds it there
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
        if not self._screen.wait(0 if busy else self.WAIT):
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
        if since >= self.DRAW:
            self._dirty = True
        elif since >= self.SOON and self.listing.look():
            self._dirty = True
        away = self._screen.away
        if not self._screen.ready():
            return
        if not (self._dirty or away or self._screen.resized):
            return
        self._dirty = False
        self.listing.look()
        self._control.orders.look()
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
            self.open(TextPage(self, 'messages', self._messages.lines, own_key='l', at_end=True))
        else:
            self.open(GroupsPage(self, self._pages[0]))

    # What the pages ask

    @property
    def max_running(self):
        """How many jobs may be pending or running at once."""
        return self.session.max_running

    @property
    def own_parameters(self):
        """The names of parameters that commands of the map have of their own."""
        return self._pages[0].own_parameters

    def counts(self):
        """Return {letter: number of jobs}, in the order of the bar."""
        counts = dict(zip(LETTERS, self.session.ledger.counts))
        counts[CANCELLED] = min(self.session.failures.cancelled, counts['F'])
        counts['F'] -= counts[CANCELLED]
        return collections.OrderedDict((letter, counts[letter]) for letter in 'CFXORP.')

    def record(self, number):
        """Return the last record of a job, and its parameters."""
        ledger, plan = self.session.ledger, self.session.plan
        record = ledger.record(number)
        changes = record.get('params')
        if record['status'] == 'UNSUBMITTED':
            changes = plan.changes(ledger, number)
        return record, change_params(plan.job_params(number), changes)

    # Drawing

    def _draw(self):
        screen = self._screen
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
        """Return the lines at the bottom, as (text or list of parts, look): the question that is open, else
        messages and some keys."""
        if self.dialog:
            return [(part, look) for text, look in self.dialog.lines() for part in self._wrapped(text)]
        fresh = self._messages.fresh()
        if lines >= 20:
            fresh = [part for text in fresh for part in self._wrapped(text)]
        below = [(text, 'bold') for text in fresh] + self._control.orders.lines()
        if not self.session.working() and not self.leaves:
            text = ' All jobs finished. Press q to quit (closes after {} s idle).'.format(self.STAY)
            below.append((text, 'bold'))
        if lines >= 7:
            below.append((self._key_parts(), ''))
        return below

    def _wrapped(self, text):
        return wrap_text(clean_text(text, self._screen.ascii_only), self._screen.size[1], words=True)

    def _key_parts(self):
        """Return the keys of the page that fit into a line, as parts: important ones first, q and ? last."""
        room, found = self._screen.size[1], []
        for key, label in self.page.KEYS:
            label = 'resume' if key == 'p' and self.session.halted else label
            if len(key) + len(label) + 3 <= room:
                room -= len(key) + len(label) + 3
                found.append((key, label))
        found.sort(key=lambda item: item[0] in 'q?')
        return [part for key, label in found for part in ((key, 'key'), (' ' + label + '  ', ''))]


def open_console(session, plain):
    """Return a Console on this process's terminal, None where it is none that could show one.

    Args:
        session: Session
        plain: View
    """
    try:
        return Console(session, plain)
    except (curses.error, OSError, termios.error):
        return None
