"""Grid Engine, beside what a lone qmap.py says to it: accounts, reasons in plain words, the load, and
commands in a terminal.

A setting in the profile: `accounting`, the path of the accounting file where neither SGE_ROOT nor Debian's
place leads to it.
"""

import os
import re
import signal
import sys
import time

from qmap import UNSTARTABLE, GridEngine
from qmap_backends import cluster_load, read_clock, read_size

#: What the number under `failed` of an accounting record says: reason, words. 0 is no failure, and 24 and 25
#: (it goes on elsewhere) are no end; what is not here is the node's. sge_status(5), as for
#: `GridEngine.STATES`.
FAILURES = {
    0: ('', ''),
    12: ('', 'the job ended, the parallel environment was not stopped'),
    13: ('', 'the job ended, the parallel environment was not stopped'),
    14: ('', 'the job ended, its epilog was not run'),
    15: ('', 'the job ended, its epilog failed'),
    16: ('', 'the job ended, its processors were not released'),
    17: ('signal', 'killed'),
    26: ('node', 'its output file could not be opened'),
    27: (UNSTARTABLE, 'its shell was not found'),
    28: (UNSTARTABLE, 'its working directory could not be entered'),
    30: ('exit', 'exit status 100, which Grid Engine treats as an error'),
    37: ('limit', 'killed for exceeding h_rt, h_cpu or h_vmem'),
    100: ('signal', 'killed'),
}

#: Numbers under `failed` that are no end: migrating, rescheduled. There will be another record.
NO_END = (24, 25)

#: What the scheduler says of a pending job, and what it means.
MEANINGS = (
    ('cannot run in PE .* only offers', 'no host has as many free slots in this parallel environment'),
    ('cannot run .* offers only', 'no host has as much of it free'),
    ('dropped because of overload or full', 'no queue has room'),
    ('job dependencies', 'it waits for another job'),
    ('execution time not reached', 'it waits for its start time'),
)

#: Bytes of the accounting file that are read at once.
BLOCK = 1 << 20

#: Old records in a row after which the accounting file is not read on: a host that was away reports late.
OLD = 1000

#: Seconds by which the clock of the scheduler may be behind that of the driver.
CLOCK = 300


# ---- how Grid Engine writes things

def number(text):
    """Return the number at the start of a text, 0 if there is none: '0.131s' -> 0.131, '137    (Killed)' ->
    137.0."""
    found = re.match(r'-?\d+(\.\d+)?', text.strip())
    return float(found.group()) if found else 0.0


def size(text):
    """Return the bytes that '381.891MB' or '4G' stand for; lower-case letters count by 1000. sge_types(1)"""
    return read_size(text, 1000 if text.islower() else 1024) or 0


def moment(text):
    """Return the seconds since the epoch of 'Sun Nov 22 06:54:59 2026', in local time; 0 for '-/-' and the
    like."""
    try:
        return time.mktime(time.strptime(text.strip()))
    except ValueError:
        return 0


# ---- accounts

#: Place of a field in a line of the accounting file, and its key in the output of qacct. accounting(5)
FIELDS = {'hostname': 1, 'owner': 3, 'jobname': 4, 'jobnumber': 5, 'qsub_time': 8, 'end_time': 10,
          'failed': 11, 'exit_status': 12, 'ru_wallclock': 13, 'ru_minflt': 21, 'slots': 34, 'taskid': 35,
          'cpu': 36}


def parse_accounting(line):
    """Return the record in a line of the accounting file, None if it is none.

    A record is a dict of strings with the keys that qacct prints; times are seconds since the epoch, as
    numbers.
    """
    fields = line.rstrip('\n').split(':')
    if len(fields) < 43 or line.startswith('#'):
        return None
    record = {key: fields[place] for key, place in FIELDS.items()}
    # What was asked for may hold a colon, and the fields before it may not.
    tail = fields[-5:] if len(fields) >= 45 else fields[-3:]
    record['category'] = ':'.join(fields[39:len(fields) - len(tail)])
    record['maxvmem'] = tail[2]
    if tail[1] != 'NONE':
        return None  # one process of a parallel job: the job has a record of its own
    record['qsub_time'], record['end_time'] = number(record['qsub_time']), number(record['end_time'])
    return record


def parse_qacct(text):
    """Return the records that `qacct -j` prints, as `parse_accounting` does."""
    records = []
    for line in text.splitlines():
        key, _, value = line.partition(' ')
        if line.startswith('====='):
            records.append({})
        elif records and key:
            records[-1][key] = value.strip()
    for record in records:
        for key in ('qsub_time', 'end_time'):
            record[key] = moment(record.get(key, ''))
    return [record for record in records if 'jobnumber' in record]


def backwards(file):
    """Yield the lines of a binary file without their newlines, the last one first; b'' where it ends with a
    newline."""
    place, rest = file.seek(0, os.SEEK_END), b''
    while place:
        start = max(0, place - BLOCK)
        file.seek(start)
        lines = (file.read(place - start) + rest).split(b'\n')
        place, rest = start, lines.pop(0)
        for line in reversed(lines):
            yield line
    yield rest


def recent_accounting(path, since):
    """Yield the lines of an accounting file, the last one first, back to a time.

    The file of a site grows for years, to gigabytes, and records are written as jobs end: read from the end,
    it costs no more than what happened since. A last line without a newline is still being written and left
    out.

    Args:
        path: of the file
        since: seconds since the epoch; records of jobs that ended before may be among the lines

    Raises:
        OSError: it cannot be read
    """
    old = 0
    with open(path, 'rb') as file:
        lines = backwards(file)
        next(lines)
        for line in lines:
            line = line.decode('utf-8', 'replace')
            end = line.split(':', 11)[10:11]
            old = old + 1 if end and 0 < number(end[0]) < since else 0
            if old > OLD:
                return
            yield line


def over_limit(record):
    """Return 'time' or 'memory' if the job had more than it asked for, and '' if not, or if it is not
    known."""
    asked = dict(item.split('=', 1) for item in re.split(r'[ ,]', record.get('category', '')) if '=' in item)
    for name, used in (('h_rt', 'ru_wallclock'), ('s_rt', 'ru_wallclock'), ('h_cpu', 'cpu'),
                       ('s_cpu', 'cpu')):
        limit = read_clock(asked[name]) if name in asked else None
        if limit and number(record.get(used, '')) >= limit:
            return 'time'
    limit = size(asked.get('h_vmem', '')) * (number(record.get('slots', '')) or 1)
    if limit and size(record.get('maxvmem', '')) >= limit:
        return 'memory'
    return ''


def enforced(record):
    """Return which limit Grid Engine has enforced, 'time' or 'memory', where its record only says one of
    them."""
    if over_limit(record):
        return over_limit(record)
    if 'h_rt=' in record.get('category', ''):
        return 'memory'  # it was not the time; and the peak of memory is only sampled, and often missed
    # Then the time is a limit of the queue. Queues allow for hours, memory is mostly used up early.
    return 'time' if number(record.get('ru_wallclock', '')) >= 3600 else 'memory'


def verdict(record):
    """Return what `Backend.accounts` says of a task, None for a record that is no end.

    A job that was ended by qdel has the same record as one that was killed by its node for lack of memory:
    exit status 137. Only some releases (Univa) say who deleted it.
    """
    failed, code = int(number(record.get('failed', ''))), int(number(record.get('exit_status', '')))
    if failed in NO_END:
        return None
    reason, message = FAILURES.get(failed, ('node', 'Grid Engine could not run it, error {}'.format(failed)))
    found = {'name': record.get('jobname', ''), 'host': record.get('hostname', ''),
             'elapsed': number(record.get('ru_wallclock', '')), 'cpu': number(record.get('cpu', ''))}
    # It is sampled: a short job has none.
    if size(record.get('maxvmem', '')):
        found['memory'] = size(record['maxvmem'])
    if reason in ('exit', 'node', UNSTARTABLE):
        pass  # it did not run, and an exit status of 0 means nothing
    elif record.get('deleted_by', 'NONE') != 'NONE':
        reason, message = 'cancelled', 'deleted by {}'.format(record['deleted_by'])
    elif reason in ('signal', 'limit'):
        found['exit_code'] = code
        if reason == 'limit':
            reason = enforced(record)
        elif over_limit(record):
            reason, message = over_limit(record), FAILURES[37][1]
        elif code <= 128:
            reason, message = 'node', 'its shepherd process exited before it did'
        if code > 128:
            found['signal'] = code - 128
        if reason == 'signal':
            known = code - 128 in list(signal.Signals)
            message = 'killed by signal {}{}'.format(
                code - 128, ' ({})'.format(signal.Signals(code - 128).name) if known else '')
    elif not code and not any(number(record.get(key, '1')) for key in ('ru_wallclock', 'ru_minflt', 'cpu')):
        # Not one page fault: no process has ended. This is what `qdel -f` writes.
        reason, message = 'cancelled', 'deleted by force'
    else:
        found['exit_code'] = code
        reason = 'exit' if code else ''
        message = message or ('exit status {}'.format(code) if code else '')
    found.update(status='FAILED' if reason else 'COMPLETED', reason=reason, words=message)
    return found


# ---- the load

def parse_hosts(text):
    """Return (hosts that are up, slots, used slots) from `qhost -q -xml`.

    The queues of a host commonly share its cores: it has as many slots as the largest of them.

    Raises:
        ValueError: it is no such list
    """
    up = slots = used = 0
    for host in GridEngine.parse_xml(text).iter('host'):
        values = {value.get('name'): value.text or '' for value in host.iter('hostvalue')}
        if not values.get('load_avg', '-').strip('-'):
            continue  # the one called global, and those whose daemon is silent
        up += 1
        queues = [{value.get('name'): number(value.text or '') for value in queue.iter('queuevalue')}
                  for queue in host.iter('queue')]
        here = max([queue.get('slots', 0) for queue in queues] or [number(values.get('num_proc', ''))])
        slots += here
        used += min(here, sum(queue.get('slots_used', 0) for queue in queues))
    return up, int(slots), int(used)


class FullGridEngine(GridEngine):
    """Grid Engine, with all that it can be asked: through qacct and qhost as well."""

    def meaning(self, reason):
        """See `Backend.meaning`."""
        return next((meaning for pattern, meaning in MEANINGS if re.search(pattern, reason)), '')

    def find(self, name):
        """See `Backend.find`. A job that ended is among the last finished ones until its accounts are
        written; where the site keeps none, that is all.
        """
        found = super().find(name)
        if found == '':
            records = self._records(name)
            if records is None:
                return None
            numbers = [record['jobnumber'] for record in records if record['jobname'] == name]
            found = max(numbers, key=int, default='')
        return found

    def accounts(self, tasks):
        """See `Backend`. A record is written some time after the end, by default up to 15 s: a task that is
        not in it may be so later. A task deleted before it started has none, ever. `name` tells whose record
        it is: after a crash sge_qmaster gives the same ids again.
        """
        wanted = set(tasks)
        records = self._records(ids={job for job, _ in wanted})
        if records is None:
            return None
        found = {}
        for record in records:
            task = record['jobnumber'], int(number(record.get('taskid', '')))
            if task in wanted and not 0 < record['qsub_time'] < self.since - CLOCK:
                last = verdict(record)
                # One that was put back into the queue after this has no end yet.
                found.pop(task, None) if last is None else found.update({task: last})
        return found

    def _records(self, name='', ids=()):
        """Return the user's accounting records, the oldest first, of a name or of ids; [] without accounts,
        None without an answer.

        qacct takes one id at a time and reads years of accounts for it. So the file is read, and where it
        cannot be, qacct is asked once for all of the user's jobs.
        """
        owner = self.user()
        since = self.since - CLOCK if self.since else 0
        try:
            records = []
            for line in recent_accounting(self._accounting_file(), since):
                fields = line.split(':', 6)
                if len(fields) < 7 or fields[3] != owner:
                    continue
                if fields[4] == name or fields[5] in ids:
                    records.append(parse_accounting(line))
            return [record for record in reversed(records) if record]
        except OSError:
            pass
        if name:
            answer = self.ask(['qacct', '-j', name])
        else:
            # -b goes by the start: one that never started (error state) is left out, and known by its state.
            after = ['-b', time.strftime('%Y%m%d%H%M', time.localtime(since))] if since else []
            answer = self.ask(['qacct', '-j', '-o', owner] + after)
        if answer.code == 0:
            return [record for record in parse_qacct(answer.out) if record.get('owner') == owner]
        return [] if re.search(r'not found|no jobs running since|No such file', answer.err) else None

    def _accounting_file(self):
        """Return where the accounting file should be; Debian's commands know their SGE_ROOT without the
        variable."""
        root = os.environ.get('SGE_ROOT') or '/var/lib/gridengine'
        cell = os.environ.get('SGE_CELL') or 'default'
        return self.settings.get('accounting') or os.path.join(root, cell, 'common', 'accounting')

    def usage(self):
        """See `Backend.usage`. In slots."""
        hosts, mine = self.ask(['qhost', '-q', '-xml']), self.own_tasks('r')
        if hosts.code != 0 or mine is None:
            return None
        try:
            up, slots, used = parse_hosts(hosts.out)
        except ValueError:
            return None
        return cluster_load(up, slots, used, sum(task[-1] for task in mine))

    def interactive(self, params, command):
        """See `Backend.interactive`. With -pty and no terminal there is no output at all."""
        argv = super().interactive(params, command)
        if sys.stdin.isatty() and sys.stdout.isatty():
            argv[-5:-5] = ['-pty', 'y']
        return argv


BACKEND = FullGridEngine
