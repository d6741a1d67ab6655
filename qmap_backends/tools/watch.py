"""Questions that take their time: `qmap info --log`, which prints a job's output, and `qmap info --watch`.

Both only read, so that anybody may ask who may read the folder.
"""

import os
import sys
import time

from qmap import (
    ENDED_CODES, ExecutionReader, QMapError, RUNNING, SKIPPED, STATUS_CODES, cell_text, check_attempt,
    check_fields, counts_for_people, encode, is_record, made_by_04, open_folder, open_regular,
    outdated_sentence, parse_id, print_bytes, print_warnings, printable_text, shown_path)

#: Seconds between two looks at a file that grows.
LOOK = 0.5


class Output:
    """What a job wrote to stdout or stderr.

    A file is opened anew for each look and closed again, because over NFS an open one would not show what
    another host adds; and folders are listed first, which asks the server again whether a file has come.
    """

    def __init__(self, source, id, suffix, attempt=None):
        """
        Args:
            source: ExecutionReader, or Folder04
            id: of the job, with its zeros or without
            suffix: '.out' or '.err'
            attempt: number of the attempt, from 1; by default the last one

        Raises:
            QMapError: there is no such job or attempt
        """
        self._source, self._suffix = source, suffix
        self._name = 'stderr' if suffix == '.err' else 'stdout'
        self._old = not source.has_journal
        plan = source if self._old else source.plan
        self.id = parse_id(id, plan, '--log')
        if not self._old:
            check_attempt(attempt, self.id, self.attempts())
        self.attempt = attempt

    def attempts(self):
        """Return how many attempts there were so far."""
        ledger = self._source.ledger
        return ledger.attempts[ledger.number(self.id)]

    def record(self):
        """Return the job's last record."""
        if self._old:
            known = (info for info in self._source.jobs('all') if info['id'] == self.id)
            return next(known, {'status': 'UNSUBMITTED'})
        ledger = self._source.ledger
        return ledger.record(ledger.number(self.id))

    def _paths(self, attempt):
        """Return where the output of an attempt may be: it is put aside as the next attempt is submitted."""
        base = os.path.join(self._source.path, self.id) if self._old else self._source.plan.path(self.id)
        last = base + self._suffix
        if not attempt:
            return [last]
        found = ['{}.{}{}'.format(base, attempt, self._suffix)]
        if self._old or attempt > self.attempts():
            return found + [last]
        # As long as a retry waits, the attempt before it may not have been put aside.
        is_put_aside = attempt == 1 or self.record()['status'] != 'PENDING'
        return found + [last] if attempt == self.attempts() and is_put_aside else found

    def open(self, attempt):
        """Return the file of an attempt, open to be read; None where it is not there.

        Raises:
            QMapError: it is there, and cannot be read
        """
        for path in self._paths(attempt):
            try:
                os.listdir(os.path.dirname(path))
                return open_regular(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise QMapError('{}: {}'.format(path, error.strerror))
        return None

    def why_none(self):
        """Return why there is no file, and whether that is how it should be: it would be empty."""
        record, name = self.record(), self._name
        has_attempt = self._old or self.attempts()
        if record['status'] == 'UNSUBMITTED' or not has_attempt:
            known = SKIPPED if record['status'] == 'COMPLETED' else record.get('error')
            reason = known or 'not submitted yet'
            return 'job {} has no output: {}'.format(self.id, reason), False
        if record['status'] == 'PENDING':
            return 'job {} has no output: still pending'.format(self.id), False
        empty_files_go = not self._old and self._source.plan.info.get('keep') == 'failed'
        if record['status'] == 'COMPLETED' and empty_files_go:
            return 'job {} wrote nothing to {} (--keep failed keeps no empty files)'.format(
                self.id, name), True
        if not record.get('started') and not self._old:
            return 'job {} has no output: it did not start ({})'.format(
                self.id, record.get('error') or record['status'].lower()), False
        return 'job {}: its {} is missing in {}'.format(self.id, name, self._source.path), False

    def over(self):
        """Tell whether nothing more will come, as the journal or the job itself says."""
        if self._old:
            return True
        self._source.look()
        record = self.record()
        if record['status'] in ('COMPLETED', 'FAILED'):
            return True
        if self.attempt and self.attempt < self.attempts():
            return True
        return '{}.{}.end'.format(self.id, self.attempt or self.attempts()) in self._source.logs.listing()

    def write(self, put):
        """Write it as it is.

        Args:
            put: function that writes bytes

        Raises:
            QMapError: there is none, and there should be
        """
        source = self.open(self.attempt or (0 if self._old else self.attempts()))
        if source is None:
            reason, in_order = self.why_none()
            if not in_order:
                raise QMapError(reason)
            print_warnings([reason])
            return
        with source:
            for block in iter(lambda: source.read(1 << 20), b''):
                put(block)
            if not source.tell():
                print_warnings(['job {}: its {} is empty{}'.format(
                    self.id, self._name, ' so far' if self.record()['status'] == RUNNING else '')])

    def follow(self, put):
        """Write it, and what is added, until the job has ended. An attempt that begins meanwhile follows."""
        shown, place = self.attempt or (0 if self._old else self.attempts()), 0
        while True:
            over = self.over()    # asked before the file is read, so that nothing comes behind the last look
            last = self.attempt or (0 if self._old else self.attempts())
            place = self._add(put, shown, place)
            if last != shown:
                if shown:
                    print_warnings(['job {}: attempt {} begins'.format(self.id, last)])
                shown, place = last, 0
                continue
            if over:
                return
            time.sleep(LOOK)

    def _add(self, put, attempt, place):
        source = self.open(attempt)
        if source is None:
            return place
        with source:
            if os.fstat(source.fileno()).st_size < place:    # written anew
                place = 0
            source.seek(place)
            for block in iter(lambda: source.read(1 << 20), b''):
                put(block)
                place += len(block)
        return place


def log(options):
    """Run `qmap info --log`, and return the exit status."""
    source = open_folder(options.logs)
    print_warnings(source.warnings)
    output = Output(source, options.log, '.err' if options.err else '.out', options.attempt)
    if options.follow:
        output.follow(print_bytes)
    else:
        output.write(print_bytes)
    return 0


class Table:
    """What `--watch` shows: a table of fields, or the counts and the jobs that something happened to last."""

    #: What is told of the latest jobs, and how many are at hand to be shown.
    FIELDS = ['status', 'started', 'finished', 'host', 'error_reason', 'error']

    def __init__(self, execution, statuses, fields, ids=None):
        """
        Args:
            execution: ExecutionReader
            statuses: set of them
            fields: list of dotted paths; empty for the latest jobs
            ids: of the jobs of which there are fields, as '3,7-12'; None for all
        """
        self._execution, self._statuses, self._fields, self._ids = execution, statuses, fields, ids
        self._latest = {}
        self.trouble = ''

    def look(self):
        """Read what is new. What cannot be read is trouble, which may be over at the next look."""
        execution, self.trouble = self._execution, ''
        try:
            execution.look(self.hear)
            for event in execution.ledger.unwritten:
                self.hear(event)
            self.trouble = outdated_sentence(execution.logs, execution.ledger)
        except OSError as error:
            self.trouble = '{}: {}'.format(error.filename or execution.path, error.strerror)

    def hear(self, event):
        """Note what happened last."""
        if is_record(event):
            self._latest.pop(event['job'], None)
            self._latest[event['job']] = True
            if len(self._latest) > 200:
                del self._latest[next(iter(self._latest))]

    def lines(self, most):
        """Return the lines to show, at most so many."""
        execution = self._execution
        counts = execution.counts()
        total = sum(counts.values())
        shown = counts_for_people(counts, execution.failures.cancelled)
        found = ['{}  {}  {:,}/{:,} finished, {}'.format(
            time.strftime('%H:%M:%S'), shown_path(execution.path), counts['COMPLETED'] + counts['FAILED'],
            total, ', '.join('{:,} {}'.format(number, status) for status, number in shown.items()))]
        if self.trouble:
            found.append('! ' + self.trouble)
        if self._fields:
            rows = self._chosen(most - len(found) - 1)
        else:
            rows = self._of_latest(most - len(found) - 1)
        return found + aligned([['id'] + (self._fields or self.FIELDS)] + rows)

    def _row(self, info):
        fields = self._fields or self.FIELDS
        return [info['id']] + [cell_text(info, path) for path in fields]

    def _chosen(self, most):
        parts = ['id'] + [path.partition('.')[0] for path in self._fields]
        rows = []
        for info in self._execution.jobs(list(self._statuses), parts, self._ids):
            rows.append(self._row(info))
            if len(rows) > most:
                return rows[:most - 1] + [['...']]
        return rows

    def _of_latest(self, most):
        ledger, plan = self._execution.ledger, self._execution.plan
        if not self._latest:    # nothing happened since it is watched: what runs, or the last of the map
            running = STATUS_CODES[RUNNING]
            numbers = [number for number, code in enumerate(ledger.status) if code == running][:most] or \
                [number for number, code in enumerate(ledger.status) if code in ENDED_CODES][-most:]
            self._latest = {ledger.id(number): True for number in numbers}
        rows = []
        for id in list(self._latest)[::-1][:max(0, most)]:
            record = ledger.record(ledger.number(id))
            rows.append(self._row(plan.info_of(record, ledger, ['id'] + self.FIELDS)))
        return rows


def aligned(rows):
    """Return rows of texts as lines with columns."""
    widths = [max(len(row[place]) for row in rows if place < len(row))
              for place in range(max(map(len, rows)))]
    return ['  '.join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]


def watch(options, statuses):
    """Run `qmap info --watch`: refresh a table until the execution ends; return the exit status."""
    import shutil
    if made_by_04(options.logs):
        raise QMapError('{}: made by qmap 0.4; nothing left to watch'.format(options.logs))
    execution = ExecutionReader(options.logs)
    print_warnings(execution.warnings)
    params, _ = execution.changed_params()
    check_fields(options.fields, [*params, *execution.plan.map.names])
    table = Table(execution, statuses, options.fields, options.ids)
    terminal = sys.stdout.isatty() and os.environ.get('TERM') != 'dumb'
    shown = None
    table.look()
    while True:
        left = execution.left()
        size = shutil.get_terminal_size()
        lines = [printable_text(line) for line in table.lines(size.lines - 1 if terminal else 1000000)]
        if terminal:
            # Home; each line with the rest of the old one cleared; then all below it (ECMA-48: CUP, EL, ED).
            text = '\x1b[H' + ''.join(line[:size.columns - 1] + '\x1b[K\n' for line in lines) + '\x1b[J'
            if shown is None:
                text = '\x1b[2J' + text
        else:
            text = '\n'.join(lines) + '\n' if lines[1:] != shown else ''
        shown = lines[1:]
        print_bytes(encode(text))
        if not left:
            return 0
        time.sleep(options.every or 2)
        table.look()
