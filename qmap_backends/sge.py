"""Grid Engine, beside what a lone qmap.py says to it: accounts, reasons in plain words, the load, and
commands in a terminal.

A setting in the profile: `accounting`, the paths of the accounting files where neither SGE_ROOT nor Debian's
place leads to them.
"""

import glob
import json
import os
import re
import signal
import sys
import time

from qmap import OTHER, UNSTARTABLE, GridEngine
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

#: Numbers under `failed` that have a meaning: sge_status(5).
KNOWN_FAILURES = {100, *range(38)}

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
    """Return the seconds since the epoch of a local time in the output of qacct, 0 for '-/-' and the like.

    'Sun Nov 22 06:54:59 2026'; '11/22/2026 06:54:59.123' (Univa, Altair); '2026-11-22 06:54:59.123456' (Open
    Cluster Scheduler 9, sge_time.cc).
    """
    for form in ('%a %b %d %H:%M:%S %Y', '%m/%d/%Y %H:%M:%S', '%Y-%m-%d %H:%M:%S'):
        try:
            return time.mktime(time.strptime(text.partition('.')[0].strip(), form))
        except ValueError:
            pass
    return 0


def in_seconds(value):
    """Return a time since the epoch in seconds: Univa and Altair write milliseconds, Open Cluster Scheduler
    microseconds."""
    while value > 1e11:
        value /= 1000
    return value


# ---- accounts

#: Place of a field in a line of the accounting file, and its key in the output of qacct. accounting(5)
FIELDS = {'qname': 0, 'hostname': 1, 'owner': 3, 'jobname': 4, 'jobnumber': 5, 'qsub_time': 8,
          'start_time': 9, 'end_time': 10, 'failed': 11, 'exit_status': 12, 'ru_wallclock': 13,
          'ru_minflt': 21, 'slots': 34, 'taskid': 35, 'cpu': 36}

#: What follows these: category, iow, pe_taskid, maxvmem. What was asked for may hold a colon, while the
#: fields before it may not; and the releases add different ones behind (Univa and Altair nine or more).
REQUEST = re.compile(r'(.*?):[\d.]+:(NONE|\d+\.[A-Za-z][^:]*):([\d.]+)(?::|$)')

#: The fields of Open Cluster Scheduler that have another name in qacct: a JSON object a line,
#: sge_accounting(5) and sge_rusage.cc of release 9.
JSON_KEYS = {'job_name': 'jobname', 'job_number': 'jobnumber', 'task_number': 'taskid',
             'submission_time': 'qsub_time'}

#: What is looked at of such a line before it is parsed.
JSON_HEAD = [re.compile(r'"{}"\s*:\s*"?([^",}}]*)'.format(key))
             for key in ('owner', 'job_name', 'job_number', 'end_time')]


def read_head(line):
    """Return [owner, name, id, end in seconds] of a record in the accounting file, None for another line."""
    if line.startswith('{'):
        matches = [pattern.search(line) for pattern in JSON_HEAD]
        found = [match.group(1) for match in matches if match]
    else:
        fields = line.split(':', 12)
        found = fields[3:6] + fields[10:11] if len(fields) == 13 else []
    if len(found) < 4 or not found[2].isdigit():
        return None
    return found[:3] + [in_seconds(number(found[3]))]


def parse_accounting(line):
    """Return the record in a line of the accounting file, None if it is none.

    A record is a dict of strings with the keys that qacct prints; times are seconds since the epoch, as
    numbers.
    """
    record = parse_json(line) if line.startswith('{') else parse_fields(line)
    if not record or record['pe_taskid'] != 'NONE':
        return None  # one process of a parallel job: the job has a record of its own
    start, end = number(record['start_time']), number(record['end_time'])
    if in_seconds(end) != end and start:
        record['ru_wallclock'] = str(in_seconds(end) - in_seconds(start))
    record.update({key: in_seconds(number(record[key])) for key in ('qsub_time', 'start_time', 'end_time')})
    return record


def parse_fields(line):
    """Return the record in a line of fields with colons between them, None if it is none."""
    fields = line.rstrip('\n').split(':', 39)
    request = REQUEST.match(fields[39]) if len(fields) == 40 else None
    if not request:
        return None
    record = {key: fields[place] for key, place in FIELDS.items()}
    record['category'], record['pe_taskid'], record['maxvmem'] = request.groups()
    return record


def parse_json(line):
    """Return the record in a line that is a JSON object, None if it is none."""
    try:
        told = dict(all_items(json.loads(line)))
    except (ValueError, AttributeError):
        return None
    record = dict.fromkeys(FIELDS, '')
    record.update(category='NONE', pe_taskid='NONE', maxvmem='0')
    record.update((JSON_KEYS.get(key, key), str(value)) for key, value in told.items())
    record['ru_wallclock'] = record['ru_wallclock'] or record.get('wallclock', '')
    return record


def all_items(told):
    """Yield (key, value) of an object and of those within it: some releases have the usage there."""
    for key, value in told.items():
        if isinstance(value, dict):
            yield from all_items(value)
        elif value is not None:
            yield key, value


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
            head = read_head(line)
            old = old + 1 if head and 0 < head[3] < since else 0
            if old > OLD:
                return
            yield line


def accounting_files(patterns, since):
    """Return the paths of the accounting files that may tell of jobs which ended after a time, the one that
    was changed last first.

    A file may have been put aside (logrotate): `accounting.0`, `accounting-20261122`. What was compressed
    cannot be read from its end, and is left out.

    Args:
        patterns: list of paths, also with wildcards
        since: seconds since the epoch, 0 for any time: then without those that were put aside
    """
    found = {}
    for pattern in patterns:
        put_aside = glob.glob(pattern + '[.-]*') if since else []
        for path in glob.glob(pattern) + put_aside:
            try:
                changed = os.stat(path).st_mtime
            except OSError:
                continue
            if changed >= since and not path.endswith(('.gz', '.bz2', '.xz', '.zst')):
                found[path] = changed
    return sorted(found, key=found.get, reverse=True)


def read_accounting(paths, since, owner, name, ids):
    """Return the records of a user in accounting files, the oldest first, of a name or of ids; None where no
    file can be read, or nothing in them tells of that time.

    Args:
        paths: list of paths, the newest file first
        since: see `recent_accounting`
        owner: name of the user
        name: of a submission, or ''
        ids: set of ids
    """
    records, understood = [], False
    for path in paths:
        try:
            for line in recent_accounting(path, since):
                head = read_head(line)
                if not head:
                    continue
                understood = understood or head[3] >= since
                is_asked_for = head[1] == name or head[2] in ids
                if is_asked_for and head[0] == owner:
                    records.append(parse_accounting(line))
        except OSError:
            continue
    return [record for record in reversed(records) if record] if understood else None


def parse_queue(text):
    """Return {name: value} of the limits of a queue, as `qconf -sq` prints them: h_rt 0:0:8, or INFINITY, or
    with another value for some hosts behind a comma. queue_conf(5)"""
    pairs = (line.split(None, 1) for line in text.splitlines() if line[:2] in ('s_', 'h_'))
    values = {pair[0]: pair[1].partition(',')[0].strip() for pair in pairs if len(pair) == 2}
    return {name: value for name, value in values.items() if value != 'INFINITY'}


def limits_of(record, queue):
    """Return {name: (limit, by the queue)} of the limits of a job: what it asked for, and those of its queue.

    Args:
        record: of the job
        queue: as `parse_queue` returns it
    """
    asked = dict(item.split('=', 1) for item in re.split(r'[ ,]', record.get('category', '')) if '=' in item)
    return {name: (asked.get(name) or queue.get(name, ''), name not in asked)
            for name in set(asked) | set(queue)}


def reached_limit(record, limits):
    """Return the name of the limit that a job has reached, '' if it did not, or if none is known.

    Args:
        record: of the job
        limits: as `limits_of` returns them
    """
    for name in ('h_rt', 's_rt', 'h_cpu', 's_cpu'):
        used = 'ru_wallclock' if name.endswith('rt') else 'cpu'
        limit = read_clock(limits[name][0]) if name in limits else None
        if limit and number(record.get(used, '')) >= limit:
            return name
    for name in ('h_vmem', 's_vmem'):
        limit = size(limits[name][0]) if name in limits else 0
        limit *= number(record.get('slots', '')) or 1
        if limit and size(record.get('maxvmem', '')) >= limit:
            return name
    return ''


def enforced_limit(record, limits):
    """Return the name of the limit that Grid Engine has enforced, where its record only says that it was
    one."""
    name = reached_limit(record, limits)
    if name:
        return name
    memory = next((name for name in ('h_vmem', 's_vmem') if name in limits), '')
    if not memory:
        return 'h_rt'    # of a queue that cannot be asked
    if 'h_rt' in limits:
        return memory    # it was not the time; and the peak of memory is only sampled, and often missed
    # Then it may be a limit of the queue. Memory is mostly used up early, or the peak is near it.
    limit = size(limits[memory][0]) * (number(record.get('slots', '')) or 1)
    is_near = size(record.get('maxvmem', '')) > limit / 2
    return memory if is_near or number(record.get('ru_wallclock', '')) < 10 else 'h_rt'


def describe_limit(name, limits, record):
    """Return (reason, message) of a job that was ended at a limit."""
    value, by_queue = limits.get(name, ('', False))
    message = FAILURES[37][1]
    if by_queue:
        message = 'ended at a limit of the queue {} ({} {})'.format(record.get('qname', ''), name, value)
    return 'memory' if 'vmem' in name else 'time', message


def killed(record, limits, reason, code, deleter):
    """Return (reason, message) of a job that was killed.

    Args:
        record: as `parse_accounting` returns it
        limits: as `limits_of` returns them
        reason: 'limit' where Grid Engine says that a limit was exceeded, else 'signal'
        code: its exit status
        deleter: who deleted it: NONE, or a daemon that enforced a limit, or has given the job up
            (sge_accounting(5) of release 9)
    """
    by_limit = reason == 'limit' or deleter.startswith('execd@')
    limit = enforced_limit(record, limits) if by_limit else reached_limit(record, limits)
    if limit:
        return describe_limit(limit, limits, record)
    if deleter.startswith('qmaster@'):
        return 'node', 'ended by {}'.format(deleter)
    if code <= 128:
        return 'node', 'its shepherd process exited before it did'
    known = code - 128 in list(signal.Signals)
    return 'signal', 'killed by signal {}{}'.format(
        code - 128, ' ({})'.format(signal.Signals(code - 128).name) if known else '')


def verdict(record, queue=None):
    """Return what `Backend.accounts` says of a task, None for a record that is no end.

    A job that was ended by qdel has the same record as one that was killed by its node for lack of memory:
    exit status 137. Only some releases (Univa) say who deleted it.

    Args:
        record: as from `parse_accounting`
        queue: the limits of its queue, as `parse_queue` returns them
    """
    limits = limits_of(record, queue or {})
    failed, code = int(number(record.get('failed', ''))), int(number(record.get('exit_status', '')))
    if failed in NO_END:
        return None
    reason, message = FAILURES.get(failed, ('node', 'Grid Engine could not run it, error {}'.format(failed)))
    if failed not in KNOWN_FAILURES:
        return {'name': record.get('jobname', ''), 'host': record.get('hostname', ''), 'status': OTHER,
                'reason': '', 'words': 'Grid Engine says {} of it, a number unknown to qmap'.format(failed)}
    found = {'name': record.get('jobname', ''), 'host': record.get('hostname', ''),
             'elapsed': number(record.get('ru_wallclock', '')), 'cpu': number(record.get('cpu', ''))}
    deleter = record.get('deleted_by', 'NONE')
    # It is sampled: a short job has none.
    if size(record.get('maxvmem', '')):
        found['memory'] = size(record['maxvmem'])
    if reason in ('exit', 'node', UNSTARTABLE):
        pass  # it did not run, and an exit status of 0 means nothing
    elif not deleter.startswith(('NONE', 'execd@', 'qmaster@')):
        reason, message = 'cancelled', 'deleted by {}'.format(deleter)
    elif reason in ('signal', 'limit'):
        found['exit_code'] = code
        reason, message = killed(record, limits, reason, code, deleter)
        if code > 128:
            found['signal'] = code - 128
    elif not code and not any(number(record.get(key, '1')) for key in ('ru_wallclock', 'ru_minflt', 'cpu')):
        # Not one page fault: no process has ended. This is what `qdel -f` writes.
        reason, message = 'cancelled', 'deleted by force'
    elif code > 128 and reached_limit(record, limits):
        # It ended by itself at the signal that came before: s_rt sends USR1, s_cpu and s_vmem XCPU.
        found['exit_code'] = code
        reason, message = describe_limit(reached_limit(record, limits), limits, record)
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

    def __init__(self, settings=None, wake=None):
        """See `Backend`."""
        super().__init__(settings, wake)
        self._queues = {}    # the limits of those that were asked for

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
                last = verdict(record, self._queue_limits(record))
                if last and last['status'] == OTHER:
                    self.note_unknown('failed', record['failed'])
                # One that was put back into the queue after this has no end yet.
                found.pop(task, None) if last is None else found.update({task: last})
        return found

    def _queue_limits(self, record):
        """Return the limits of the queue of a job that may have reached one; asked once for each queue."""
        queue, failed = record.get('qname', ''), int(number(record.get('failed', '')))
        was_killed = failed in (37, 100) or number(record.get('exit_status', '')) > 128
        if not was_killed or not queue:
            return {}
        if queue not in self._queues:
            self._queues[queue] = parse_queue(self.ask(['qconf', '-sq', queue]).out)
        return self._queues[queue]

    def most(self, params):
        """See `Backend.most`: the limits of the queue that it requests, if they were asked for, as a job has
        reached one."""
        limits, found = self._queues.get(self.requested(params).get('queue', ''), {}), {}
        if limits.get('h_rt'):
            found['time'] = int(read_clock(limits['h_rt']) or 0)
        if limits.get('h_vmem') and self.memory_resource() == 'h_vmem':
            found['memory'] = (params.get('cores') or 1) * int(size(limits['h_vmem']))
        return {key: value for key, value in found.items() if value}

    def _records(self, name='', ids=()):
        """Return the user's accounting records, the oldest first, of a name or of ids; [] without accounts,
        None without an answer.

        qacct takes one id at a time and reads years of accounts for it. So the files are read. Where there
        are none, or they tell nothing, qacct is asked once for all of the user's jobs: the site may have
        moved its accounts, and left an old file there.
        """
        owner = self.user()
        since = self.since - CLOCK if self.since else 0
        paths = accounting_files(self._accounting_paths(), since)
        records = read_accounting(paths, since, owner, name, set(ids))
        if records is not None:
            return records
        if name:
            answer = self.ask(['qacct', '-j', name])
        else:
            # -b goes by the start: one that never started (error state) is left out, and known by its state.
            after = ['-b', time.strftime('%Y%m%d%H%M', time.localtime(since))] if since else []
            answer = self.ask(['qacct', '-j', '-o', owner] + after)
        if answer.code == 0:
            return [record for record in parse_qacct(answer.out) if record.get('owner') == owner]
        return [] if re.search(r'not found|no jobs running since|No such file', answer.err) else None

    def _accounting_paths(self):
        """Return where the accounting files should be, as a list; Debian's commands know their SGE_ROOT
        without the variable."""
        told = self.settings.get('accounting')
        if told:
            return [glob.escape(told)] if os.path.exists(told) else told.split()
        root = os.environ.get('SGE_ROOT') or '/var/lib/gridengine'
        common = os.path.join(root, os.environ.get('SGE_CELL') or 'default', 'common')
        return [os.path.join(glob.escape(common), name) for name in ('accounting.jsonl', 'accounting')]

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
