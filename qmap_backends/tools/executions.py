"""The executions below a folder, for `qmap` alone and for tools that are given no logs folder; and those of a
map that is submitted once more.

The search is bounded, and little is read of what it finds.
"""

import collections
import filecmp
import os
import time

from qmap import (
    COMPLETED, EXECUTION_FIELDS, ExecutionReader, FAILED, Logs, NoExecution, OTHER, PENDING, QMapError,
    RUNNING, STATUSES, is_driven, of_types, plural, qmap_command, quote_shown, read_json, shown_path,
    unreadable_error)
from qmap_backends.tools.watch import aligned

#: How the search ends on a large or slow file system: levels below the first folder, folders, seconds.
DEPTH, FOLDERS, SECONDS = 3, 2000, 2

#: Seconds of the search that `submit` makes, which must not keep jobs waiting.
BESIDE = 0.5

#: So many executions are listed on a terminal.
LISTED = 10

#: Bytes of maps and journals that are read to count jobs, in one call: a second's work.
BYTES = 1 << 26


class Search:
    """The logs folders at and below a folder, the nearest first.

    Hidden folders, links to folders, and what lies inside a logs folder are passed over.

    Attributes:
        found: list of paths
        cut: whether it ended before all folders were searched
    """

    def __init__(self, folder, depth=DEPTH, seconds=None):
        """
        Args:
            folder: path
            depth: levels below it to be searched
            seconds: for which it may last, by default SECONDS
        """
        self.found, self.cut = [], False
        self._end, self._seen = time.monotonic() + (SECONDS if seconds is None else seconds), 0
        waiting = collections.deque([(folder, depth)])
        while waiting and not self._late():
            path, below = waiting.popleft()
            if os.path.isdir(os.path.join(path, '.qmap')):
                self.found.append(path)
            elif below:
                waiting.extend((inner, below - 1) for inner in self._folders(path))

    def _late(self):
        late = time.monotonic() > self._end
        self.cut = self.cut or late
        return late

    def _folders(self, path):
        """Yield the folders in one, as long as the bounds allow."""
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if self._late():
                        return
                    if entry.name.startswith('.') or not entry.is_dir(follow_symlinks=False):
                        continue
                    if self._seen == FOLDERS:
                        self.cut = True
                        return
                    self._seen += 1
                    yield entry.path
        except OSError:    # not for this user, or gone
            pass


class Found:
    """An execution, as far as little reading tells.

    Attributes:
        path: of its logs folder
        created: when it was submitted, in seconds since 1970
        jobs: their number
        counts: {status: number of jobs}, None where that takes too long to find out
        cancelled: how many of those that FAILED were cancelled
        driven: whether a driver is at work
        trouble: why it cannot be read, '' for nothing
    """

    def __init__(self, path):
        """
        Args:
            path: of the logs folder

        Raises:
            QMapError: it holds no execution
        """
        self.path, self._logs = path, Logs(path)
        self.counts, self.cancelled, self.driven, self.paused, self.trouble = None, 0, False, False, ''
        try:
            info = read_json(self._logs.execution)
        except OSError as error:
            raise unreadable_error(error, path)
        self._info = of_types(info, dict(EXECUTION_FIELDS, counts=dict, cancelled=int, halted=bool))
        if 'token' not in self._info:
            raise NoExecution(path)
        self.created, self.jobs = self._info.get('created_seconds', 0), self._info.get('jobs', 0)

    def look(self, most):
        """Find out how far it is.

        Args:
            most: bytes that may be read for it

        Returns:
            the bytes that were read
        """
        try:
            self.driven = is_driven(self._logs)
            if self._noted():
                return 0
            size = self._size()
            if size > most:
                return 0
            execution = ExecutionReader(self.path)
            self.counts, self.cancelled = execution.counts(), execution.failures.cancelled
            self.paused = execution.halted
            return size
        except OSError as error:
            self.trouble = error.strerror or str(error)
        except QMapError as error:
            self.trouble = str(error)
        return 0

    def _noted(self):
        """Take what the last driver noted as it left, if nothing can have happened since; tell whether."""
        counts = of_types(self._info.get('counts'), dict.fromkeys(STATUSES, int))
        if not self._logs.driver_now().get('released') or len(counts) < len(STATUSES):
            return False
        if any(counts[status] for status in (PENDING, RUNNING, OTHER)):
            return False
        if counts[FAILED] and 'cancelled' not in self._info:    # an early release wrote it
            return False
        self.counts = collections.OrderedDict((status, counts[status]) for status in STATUSES)
        self.cancelled, self.paused = self._info.get('cancelled', 0), self._info.get('halted', False)
        return True

    def _size(self):
        """Return the bytes of the map and the journal."""
        with os.scandir(self._logs.qmap) as entries:
            return os.path.getsize(self._logs.input) + sum(
                entry.stat().st_size for entry in entries if entry.name.startswith(('journal.', 'snapshot.')))

    @property
    def left(self):
        """How many jobs have not ended; None where that is not known."""
        counts = self.counts
        return counts and sum(counts.values()) - counts[COMPLETED] - counts[FAILED]

    @property
    def runs_here(self):
        """Whether this machine itself runs jobs of it at the moment."""
        is_here = self.driven and self._logs.driver_now().get('host') == os.uname().nodename
        return is_here and self.left != 0 and self._info.get('executor') == 'local'

    @property
    def failed(self):
        """How many jobs failed, and were not cancelled."""
        return max(0, self.counts[FAILED] - self.cancelled) if self.counts else 0

    @property
    def state(self):
        """What goes on with it, in a word or two."""
        if self.trouble:
            return 'unreadable'
        if self.paused and self.left:
            return 'paused'
        if self.driven:
            return 'running'
        return 'finished' if self.left == 0 else 'no driver'

    def _failures(self):
        parts = ['{:,}'.format(self.failed)] * (self.failed > 0)
        parts += ['{:,} cancelled'.format(self.cancelled)] * (self.cancelled > 0)
        return ', '.join(parts) or '-'

    def next(self):
        """Return the command that a person wants next: to look on or resume, or to see how it ended."""
        where = quote_shown(shown_path(self.path))
        over = self.state in ('finished', 'unreadable')
        if self.state == 'paused' and not self.driven:
            return '{0} control -l {1} resume && {0} reattach {1}'.format(qmap_command(), where)
        return '{} {}'.format(qmap_command(), ('info {} --summary' if over else 'reattach {}').format(where))

    def advice(self):
        """Return how to continue it, behind a semicolon; '' if all jobs completed, or it cannot be read."""
        where = quote_shown(shown_path(self.path))
        if self.state == 'finished' and self.failed:
            return '; retry with: {0} control -l {1} retry && {0} reattach {1}'.format(qmap_command(), where)
        if self.state in ('finished', 'unreadable'):
            return ''
        return '; {} with: {}'.format('view' if self.driven else 'resume', self.next())

    def row(self):
        """Return it as a row of the list, as HEAD has it, with the next command at its end."""
        ended = '?' if self.left is None else '{:,}'.format(self.jobs - self.left)
        return [quote_shown(shown_path(self.path)), '{}/{:,}'.format(ended, self.jobs), self.state,
                self._failures(), age_text(time.time() - self.created), self.next()]


#: The columns of the list.
HEAD = ['folder', 'ended', 'state', 'failed', 'age', 'next']


def age_text(seconds):
    """Return for how long something has been there, in its largest unit: '12 s', '3 min', '5 h', '2 days'."""
    for size, unit in ((86400, 'day'), (3600, 'h'), (60, 'min')):
        if seconds >= size:
            count = int(seconds // size)
            return '{:,} {}{}'.format(count, unit, 's' if unit == 'day' and count > 1 else '')
    return '{} s'.format(max(0, int(seconds)))


def newest_first(paths):
    """Return the Found of these logs folders, the one that was submitted last first."""
    found = []
    for path in paths:
        try:
            found.append(Found(path))
        except QMapError:    # a folder of that name, and no execution
            continue
    return sorted(found, key=lambda execution: execution.created, reverse=True)


def listing(folder, columns=None):
    """Return the lines that tell of the executions at and below a folder; none where there are none.

    Args:
        folder: path
        columns: of the terminal on which they are shown; None where all executions shall be listed
    """
    search = Search(folder)
    found = newest_first(search.found)
    if not found:
        return []
    shown, left = found[:LISTED] if columns else found, BYTES
    for execution in shown:
        left -= execution.look(left)
    rows = [execution.row() for execution in shown]
    lines = aligned([HEAD] + rows)
    if columns and max(map(len, lines)) > columns:    # the commands on lines of their own, to be copied whole
        lines = [line for text, row in zip(aligned([HEAD[:-1]] + [row[:-1] for row in rows]), [HEAD] + rows)
                 for line in ([text] if row is HEAD else [text, '    ' + row[-1]])]
    where = shown_path(folder)
    lines.insert(0, '{} in or below {}, newest first:'.format(
        plural(len(found), 'execution'), 'this folder' if where == os.curdir else where))
    if len(found) > len(shown):
        lines.append('and {} older; to list all: {} | cat'.format(len(found) - len(shown), qmap_command()))
    if search.cut:
        lines.append('The search ended after {:,} folders or {} s: there may be more.'.format(
            FOLDERS, SECONDS))
    return lines


def of_same_map(map, paths):
    """Return the newest execution that was submitted from the same map; None where there is none.

    Args:
        map: path of the map
        paths: of logs folders

    Raises:
        OSError: the map cannot be read
    """
    size, found = os.path.getsize(map), []
    for path in paths:
        try:
            if os.path.getsize(os.path.join(path, 'qmap_input')) == size:
                found.append(path)
        except OSError:
            continue
    for execution in newest_first(found):
        try:
            if filecmp.cmp(os.path.join(execution.path, 'qmap_input'), map, shallow=False):
                return execution
        except OSError:
            continue
    return None


def beside(map, folder, new=None, local=False, silent=False):
    """Return sentences about the executions beside one that begins: how far one of the same map is, and
    which runs on this machine at the same time.

    Args:
        map: path of the map
        folder: path of the folder in which the logs folders lie
        new: path of the logs folder that was just made
        local: whether the one that begins runs on this machine itself
        silent: whether to tell only of one of the same map that has not finished
    """
    paths = [path for path in Search(folder, 1, BESIDE).found
             if not (new and os.path.realpath(path) == os.path.realpath(new))]
    return run_already(map, paths, silent) + (running_here(paths) if local and not silent else [])


def running_here(paths):
    """Return a list with the sentence about the first of these executions whose jobs this machine itself
    runs; empty where there is none, or it takes too long to find."""
    end = time.monotonic() + BESIDE
    for path in paths:
        if time.monotonic() > end:
            break
        try:
            if is_driven(Logs(path)):
                execution = Found(path)
                execution.look(BYTES)
                if execution.runs_here:
                    return ['{} runs on this machine, too; the two do not share its cores and memory: divide '
                            'them with -r'.format(quote_shown(shown_path(path)))]
        except (OSError, QMapError):    # not for this user, or gone
            continue
    return []


def run_already(map, paths, unfinished=False):
    """Return a list with the sentence that says how far an execution of the same map is, and how to resume
    it; empty where there is none, or where only an unfinished one is asked for. Other arguments as for
    `of_same_map`."""
    try:
        execution = of_same_map(map, paths)
    except OSError:    # submitting goes on all the same
        return []
    if execution is None:
        return []
    execution.look(BYTES)
    if unfinished and execution.state == 'finished':
        return []
    where = quote_shown(shown_path(execution.path))
    age = age_text(time.time() - execution.created)
    parts = ['this map was submitted before: {}, {} ago'.format(where, age)]
    if execution.counts:
        parts.append('{:,} of {} completed'.format(
            execution.counts[COMPLETED], plural(execution.jobs, 'job')))
    if execution.failed:
        parts.append('{:,} failed'.format(execution.failed))
    if execution.state != 'finished':
        parts.append(execution.state)
    return [', '.join(parts) + execution.advice()]
