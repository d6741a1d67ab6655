"""Grid Engine: Sun, Son of, Univa, Altair and Open. Tried on Son of Grid Engine 8.1.9, whose manual pages are meant.

How a job's parameters are asked for:

    cores, tasks       -pe PENV N, N being the larger of the two, where it is more than 1: a slot is a core, a process
                       takes a slot, and Grid Engine knows no processes of several cores. PENV: `penv` of the job, else
                       of the profile, else smp. It should be one that keeps all slots on one host.
    nodes              nothing: how slots spread over hosts is a property of the parallel environment
    memory             -l h_vmem=M, M being the memory over the slots, since Grid Engine counts it per slot. A site that
                       manages another resource (mem_free, virtual_free) names it in the profile: memory_resource
    time               -l h_rt=SECONDS
    queue              -q
    working_directory  -wd
    extra              as it is, last, so that it wins: a memory, h_rt, -pe or -q of its own is in place of ours. With
                       -N, -t or -sync of its own a submission is not recognised any more

Settings in the profile: `penv`, `memory_resource`, and `accounting`, the path of the accounting file where neither
SGE_ROOT nor Debian's place leads to it.
"""

import math
import os
import pwd
import re
import shlex
import signal
import sys
import time
from xml.etree import ElementTree

from qmap_backends import Backend, CHUNK, call, chunks, numbers, ranges

#: What the letters of a state say; a state has one or several (Eqw, dRr, hRwq). The first row with a letter of the
#: state decides the status, and every row adds its words. A task that runs is RUNNING whatever else there is to say,
#: and an E means that it never started and waits for somebody to delete it: nothing else will end it.
#: sge_status(5), https://manpages.debian.org/bookworm/gridengine-common/sge_status.5.en.html
STATES = (
    ('z', 'OTHER', 'finished'),
    ('r', 'RUNNING', ''),
    ('t', 'RUNNING', ''),
    ('s', 'RUNNING', 'suspended'),
    ('S', 'RUNNING', 'suspended with its queue'),
    ('T', 'RUNNING', 'suspended because its host is overloaded'),
    ('E', 'FAILED', 'in error state'),
    ('h', 'PENDING', 'held'),
    ('q', 'PENDING', ''),
    ('w', 'PENDING', ''),
    ('R', 'PENDING', 'restarted'),
    ('d', 'OTHER', 'being deleted'),
)

#: What the number under `failed` of an accounting record says: reason, words. 0 is no failure, and 24 and 25 (it goes
#: on elsewhere) are no end; what is not here is the node's. sge_status(5), as above.
FAILURES = {
    0: ('', ''),
    12: ('', 'the job ended, the parallel environment was not stopped'),
    13: ('', 'the job ended, the parallel environment was not stopped'),
    14: ('', 'the job ended, its epilog was not run'),
    15: ('', 'the job ended, its epilog failed'),
    16: ('', 'the job ended, its processors were not released'),
    17: ('signal', 'killed'),
    26: ('exit', 'its output file could not be opened'),
    27: ('exit', 'its shell was not found'),
    28: ('exit', 'its working directory could not be entered'),
    30: ('exit', 'exit status 100, which Grid Engine treats as an error'),
    37: ('limit', 'killed for exceeding h_rt, h_cpu or h_vmem'),
    100: ('signal', 'killed'),
}

#: Numbers under `failed` that are no end: migrating, rescheduled. There will be another record.
NO_END = (24, 25)

#: What `qstat -j` says of a task in error state through the job's own fault; any other words are the node's fault.
OWN_FAULT = re.compile(r"can't chdir|can't open|unable to find shell|execv|exit_status of job start = 100")

#: What the scheduler says of a pending job, and what it means.
MEANINGS = (
    (re.compile(r'cannot run in PE .* only offers'), 'no host has as many free slots in this parallel environment'),
    (re.compile(r'cannot run .* offers only'), 'no host has as much of it free'),
    (re.compile(r'dropped because of overload or full'), 'no queue has room'),
    (re.compile(r'job dependencies'), 'it waits for another job'),
    (re.compile(r'execution time not reached'), 'it waits for its start time'),
)

#: Pending submissions that are asked for their reason at most: the answer has a line for every queue of the site.
ASKED = 10

#: Words of a submission that surely was not taken, though it may be another time. Exit status 25 is another of them.
BUSY = re.compile(r"got select error|jobs are allowed|job with more than \d+ tasks|rejected temporarily"
                  r"|temporarily rejected|waited longer than|timeout in communication|can't resolve (user|group)")

#: Words of a connection that broke when the submission may have been on its way.
UNSURE = re.compile(r'commlib error|got send|got read|got connect|gdi request|answer list|unable to (send|contact)')

#: Resources that hold the memory of a job at one site or another; `extra` with one of them says all about memory.
MEMORY_RESOURCE = re.compile(r'(?!.*gpu)(\w*mem\w*|virtual_free|[vm]f|[hs]_rss|ram)')

#: A directory that -wd cannot name: words with a dollar are replaced ($HOME, $TASK_ID, $USER), a newline ends it, and
#: the job waits in error state for ever. It starts in / instead, and its script has to change its directory.
UNUSABLE = r'[$\n]'

#: Tasks of an array, where the site does not say. And the largest, where it sets no limit.
ARRAY = 1000
LARGEST_ARRAY = 75000

#: Bytes of the accounting file that are read at once.
BLOCK = 1 << 20

#: Old records in a row after which the accounting file is not read on: a host that was away reports late.
OLD = 1000

#: Seconds by which the clock of the scheduler may be behind that of the driver.
CLOCK = 300


# How Grid Engine writes things -------------------------------------------------------------------------------------

def number(text):
    """Return the number at the start of a text, 0 if there is none: '0.131s' -> 0.131, '137    (Killed)' -> 137.0."""
    found = re.match(r'-?\d+(\.\d+)?', text.strip())
    return float(found.group()) if found else 0.0


def size(text):
    """Return the bytes that '381.891MB' or '4G' stand for; lower-case letters count by 1000. sge_types(1)"""
    letter = text.strip().lstrip('0123456789.')[:1]
    base = 1000 if letter.islower() else 1024
    return int(number(text) * base ** max(0, 'BKMGT'.find(letter.upper())))


def seconds(text):
    """Return the seconds that '90' or '1:30:00' stand for, None for INFINITY and the like. sge_types(1)"""
    total = 0
    for part in text.split(':'):
        if not re.match(r'\d*$', part):
            return None
        total = total * 60 + int(part or 0)
    return total


def moment(text):
    """Return the seconds since the epoch of 'Sun Nov 22 06:54:59 2026', in local time; 0 for '-/-' and the like."""
    try:
        return time.mktime(time.strptime(text.strip()))
    except ValueError:
        return 0


def user():
    """Return the user's name as Grid Engine has it: it asks the system, not the environment."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


# Commands and their answers ----------------------------------------------------------------------------------------

def resources(words):
    """Return the names of the resources that the -l options among the words ask for."""
    return [item.partition('=')[0] for option, value in zip(words, words[1:]) if option == '-l'
            for item in value.split(',')]


def request_argv(params, options):
    """Return the options for cores, memory, time and queue, and `extra`: what qsub and qrsh have in common.

    Raises:
        ValueError: extra has an open quote
    """
    extra = shlex.split(params.get('extra', ''))
    slots = max(params.get('cores', 1), params.get('tasks', 1))
    argv = []
    if '-pe' in extra:
        asked = extra[extra.index('-pe'):][2:3]
        slots = int(asked[0]) if asked and asked[0].isdigit() and int(asked[0]) else slots
    elif slots > 1:
        argv += ['-pe', params.get('penv') or options.get('penv') or 'smp', str(slots)]
    if params.get('memory') and not any(MEMORY_RESOURCE.fullmatch(name) for name in resources(extra)):
        # Fractions are taken by some releases only. K and M count by 1024, k and m do not.
        kilobytes = math.ceil(params['memory'] / slots / 1024)
        amount = '{}M'.format(kilobytes // 1024) if kilobytes % 1024 == 0 else '{}K'.format(kilobytes)
        argv += ['-l', '{}={}'.format(options.get('memory_resource') or 'h_vmem', amount)]
    if params.get('time') and 'h_rt' not in resources(extra):
        argv += ['-l', 'h_rt={}'.format(math.ceil(params['time']))]
    # Two -q add up, and one unknown queue among them is enough to be refused.
    if params.get('queue') and '-q' not in extra:
        argv += ['-q', params['queue']]
    return argv + extra


def submit_argv(script, name, count, params, output, options):
    """Return the words of a submission; see `Backend.submit_argv`.

    Raises:
        ValueError: extra has an open quote
    """
    argv = ['qsub', '-terse', '-N', name]
    # Lines with #$ in the user's commands are no options (-C ''), the shell of the queue may be any (-S), and no site
    # default turns the script into a command (-b n). Our own driver decides on a second run (-r n).
    argv += ['-C', '', '-S', '/bin/bash', '-b', 'n', '-r', 'n']
    # -V takes the whole environment along; -v would stop at commas. Values are cut at some 9995 characters, and shell
    # functions that were exported do not arrive.
    argv += ['-V']
    directory = params.get('working_directory')
    if not directory:
        argv += ['-cwd']
    else:
        argv += ['-wd', '/' if re.search(UNUSABLE, directory) else directory]
    # Grid Engine fills in $TASK_ID, 0 for a single job. It would take a colon as the end of a host's name, a comma as
    # the end of the path, and other words with a dollar for its own.
    argv += ['-j', 'y', '-o', '/dev/null' if re.search(r'[:,$\n]', output) else output + '.$TASK_ID']
    if count > 1:
        argv += ['-t', '1-{}'.format(count)]
    return argv + request_argv(params, options) + [script]


def parse_submit(answer, count):
    """Return what the `Answer` of a submission means, as `Backend.submit` does.

    An exit status of 1 does not mean that nothing was submitted: where a queue shuts the user out, the words are
    `Your job 18 ("x") has been submitted` all the same, and the job is there. And anything may stand around the id.
    """
    found = set(re.findall(r'Your job(?:-array)? (\d+)(?:\.\d+-\d+:\d+)? \("', answer.out + '\n' + answer.err))
    if answer.code == 0:
        terse = r'^\s*(\d+)\s*$' if count == 1 else r'^\s*(\d+)\.1-{}:1\s*$'.format(count)
        found.update(re.findall(terse, answer.out, re.MULTILINE))
    if len(found) == 1:
        return 'ok', found.pop()
    if found or not answer.code or answer.code < 0:
        return 'silent', answer.words()
    said = answer.err + answer.out
    lines = [line.strip() for line in said.splitlines() if line.strip() not in ('', 'Exiting.')]
    words = ' '.join(lines) or answer.words()
    if answer.code == 25 or BUSY.search(said):
        return 'busy', words
    return ('silent' if not lines or UNSURE.search(said) else 'refused'), words


def parse_qstat(text):
    """Return the tasks that `qstat -xml` lists, as tuples (id, k, name, owner, state, slots).

    Raises:
        ValueError: it is no such list
    """
    try:
        tree = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(str(error))
    tasks = []
    for job in tree.iter('job_list'):
        # Pending tasks of an array share an entry: 3-7:1, or 1,5,8-11:1. No array has no entry.
        for k in numbers(job.findtext('tasks') or '0'):
            tasks.append((job.findtext('JB_job_number'), k, job.findtext('JB_name'), job.findtext('JB_owner'),
                          job.findtext('state') or '', int(job.findtext('slots') or 1)))
    return tasks


def parse_state(letters):
    """Return (status, words) of a state such as qw, Eqw or dRr."""
    rows = [row for row in STATES if row[0] in letters]
    if not rows:
        return 'OTHER', 'in the unknown state {}'.format(letters)
    return rows[0][1], ', '.join(row[2] for row in rows if row[2])


def parse_reasons(text):
    """Return why jobs wait, from `qstat -j`: two dicts, {(id, k): error} and {id: why it is pending}.

    For a job that is no array k is 1: Grid Engine says so.
    """
    errors, pending, job, scheduling = {}, {}, '', False
    for line in text.splitlines():
        key, _, value = line.partition(':')
        scheduling = key == 'scheduling info' or (scheduling and line.startswith(' '))
        if key == 'job_number':
            job = value.strip()
        elif key.startswith('error reason'):
            # Date, time, and the [user:process] of the one that says it.
            errors[job, int(number(key.split()[-1]))] = re.sub(r'^\S+ +\S+ +\[\d+:\d+\]: (error: )?', '', value.strip())
        elif scheduling:
            words = (value if key == 'scheduling info' else line).strip()
            # A line on each queue comes first, and the one that matters last.
            if not words.startswith(('queue instance', '(Collecting', 'Job is in')):
                pending[job] = words
    return errors, pending


def error_reason(words):
    """Return the reason of a task in error state: 'exit' for what the job's own settings cause, else 'node'."""
    return 'exit' if OWN_FAULT.search(words) else 'node'


def explain(words):
    """Return the scheduler's words on a pending job with what they mean, where that is known."""
    for pattern, meaning in MEANINGS:
        if pattern.search(words):
            return '{}: {}'.format(words, meaning)
    return words


# The accounts ------------------------------------------------------------------------------------------------------

#: Place of a field in a line of the accounting file, and its key in the output of qacct. accounting(5)
FIELDS = {'hostname': 1, 'owner': 3, 'jobname': 4, 'jobnumber': 5, 'qsub_time': 8, 'end_time': 10, 'failed': 11,
          'exit_status': 12, 'ru_wallclock': 13, 'ru_minflt': 21, 'slots': 34, 'taskid': 35, 'cpu': 36}


def parse_accounting(line):
    """Return the record in a line of the accounting file, None if it is none.

    A record is a dict of strings with the keys that qacct prints; times are seconds since the epoch, as numbers.
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
    """Yield the lines of a binary file without their newlines, the last one first; b'' where it ends with a newline."""
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

    The file of a site grows for years, to gigabytes, and records are written as jobs end: read from the end, it costs
    no more than what happened since. A last line without a newline is still being written and left out.

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
    """Return 'time' or 'memory' if the job had more than it asked for, and '' if not, or if it is not known."""
    asked = dict(item.split('=', 1) for item in re.split(r'[ ,]', record.get('category', '')) if '=' in item)
    for name, used in (('h_rt', 'ru_wallclock'), ('s_rt', 'ru_wallclock'), ('h_cpu', 'cpu'), ('s_cpu', 'cpu')):
        limit = seconds(asked[name]) if name in asked else None
        if limit and number(record.get(used, '')) >= limit:
            return 'time'
    limit = size(asked.get('h_vmem', '')) * (number(record.get('slots', '')) or 1)
    if limit and size(record.get('maxvmem', '')) >= limit:
        return 'memory'
    return ''


def enforced(record):
    """Return which limit Grid Engine has enforced, 'time' or 'memory', where its record only says one of them."""
    if over_limit(record):
        return over_limit(record)
    if 'h_rt=' in record.get('category', ''):
        return 'memory'  # it was not the time; and the peak of memory is only sampled, and often missed
    # Then the time is a limit of the queue. Queues allow for hours, memory is mostly used up early.
    return 'time' if number(record.get('ru_wallclock', '')) >= 3600 else 'memory'


def verdict(record):
    """Return what `Backend.accounts` says of a task, None for a record that is no end.

    A job that was ended by qdel has the same record as one that was killed by its node for lack of memory: exit
    status 137. Only some releases (Univa) say who deleted it.
    """
    failed, code = int(number(record.get('failed', ''))), int(number(record.get('exit_status', '')))
    if failed in NO_END:
        return None
    reason, words = FAILURES.get(failed, ('node', 'Grid Engine could not run it, error {}'.format(failed)))
    found = {'name': record.get('jobname', ''), 'host': record.get('hostname', ''),
             'elapsed': number(record.get('ru_wallclock', '')), 'cpu': number(record.get('cpu', ''))}
    # It is sampled: a short job has none.
    if size(record.get('maxvmem', '')):
        found['memory'] = size(record['maxvmem'])
    if reason in ('exit', 'node'):
        pass  # it did not run, and an exit status of 0 means nothing
    elif record.get('deleted_by', 'NONE') != 'NONE':
        reason, words = 'cancelled', 'deleted by {}'.format(record['deleted_by'])
    elif reason in ('signal', 'limit'):
        found['exit_code'] = code
        if reason == 'limit':
            reason = enforced(record)
        elif over_limit(record):
            reason, words = over_limit(record), FAILURES[37][1]
        elif code <= 128:
            reason, words = 'node', 'its shepherd process exited before it did'
        if code > 128:
            found['signal'] = code - 128
        if reason == 'signal':
            words = 'killed by signal {}{}'.format(code - 128, ' ({})'.format(signal.Signals(code - 128).name)
                                                   if code - 128 in list(signal.Signals) else '')
    elif not code and not any(number(record.get(key, '1')) for key in ('ru_wallclock', 'ru_minflt', 'cpu')):
        # Not one page fault: no process has ended. This is what `qdel -f` writes.
        reason, words = 'cancelled', 'deleted by force'
    else:
        found['exit_code'] = code
        reason = 'exit' if code else ''
        words = words or ('exit status {}'.format(code) if code else '')
    found.update(status='FAILED' if reason else 'COMPLETED', reason=reason, words=words)
    return found


# The rest ----------------------------------------------------------------------------------------------------------

def cancel_words(tasks, counts):
    """Return what qdel is to delete: 'ID' for all of a submission, 'ID.a-b' and 'ID.c' for some tasks of an array."""
    wanted = {}
    for job, k in tasks:
        wanted.setdefault(job, set()).add(k)
    words = []
    for job, ks in wanted.items():
        if 0 in ks or len(ks) >= counts.get(job, len(ks) + 1):
            words.append(job)
        else:
            words.extend('{}.{}'.format(job, part) for part in ranges(ks).split(','))
    return words


def parse_hosts(text):
    """Return (hosts that are up, slots, used slots) from `qhost -q -xml`.

    The queues of a host commonly share its cores: it has as many slots as the largest of them.

    Raises:
        ValueError: it is no such list
    """
    try:
        tree = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(str(error))
    up = slots = used = 0
    for host in tree.iter('host'):
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


def parse_limits(text):
    """Return the limits in the output of `qconf -sconf`, as `Backend.limits` does."""
    found = re.search(r'^max_aj_tasks\s+(\d+)', text, re.MULTILINE)
    return {'array': int(found.group(1)) or LARGEST_ARRAY} if found else {'array': ARRAY}


class GridEngine(Backend):
    """Grid Engine, through qsub, qstat, qacct, qdel, qrsh, qhost and qconf.

    Two exit statuses mean something to Grid Engine, whatever was submitted with -r n: after 99 a job goes back into
    the queue (Rq), after 100 it stays there in error state (Eqw). A script should end with another one.
    """

    name = 'sge'
    title = 'Grid Engine'
    commands = ('qsub', 'qstat', 'qdel')
    task_variable = 'SGE_TASK_ID'
    id_variable = 'JOB_ID'
    # Eqw: its node has shut it out, and there it stays.
    lingers = True

    def submit_argv(self, script, name, count, params, output):
        """See `Backend`. Raises ValueError where extra has an open quote."""
        return submit_argv(script, name, count, params, output, self.options)

    def submit(self, script, name, count, params, output):
        """See `Backend`."""
        try:
            argv = self.submit_argv(script, name, count, params, output)
        except ValueError as error:
            return 'refused', 'extra: {}'.format(error)
        # -V hands the environment over to the job, where LC_ALL=C has no business.
        return parse_submit(call(argv, LC_ALL=os.environ.get('LC_ALL')), count)

    def job_name(self, prefix, batch, token):
        """See `Backend`. qsub(1) forbids some characters and others break it; these are safe, after a letter."""
        prefix = re.sub(r'[^A-Za-z0-9_.-]', '_', prefix)[:40]
        if not re.match(r'[A-Za-z_]', prefix):
            prefix = 'q' + prefix
        return '{}.{}.{}'.format(prefix, batch, token)

    def find(self, name):
        """See `Backend`. A job that ended is among the last finished ones (-s z) until its accounts are written; where
        the site keeps none, that is all: '' then means that it is not in the queue.
        """
        answer = call(['qstat', '-u', user(), '-s', 'prsz', '-xml'])
        try:
            tasks = parse_qstat(answer.out) if answer.code == 0 else None
        except ValueError:
            tasks = None
        if tasks is None:
            return None
        found = [job for job, _, called, _, _, _ in tasks if called == name]
        if not found:
            records = self._records(name)
            if records is None:
                return None
            found = [record['jobnumber'] for record in records if record['jobname'] == name]
        # Submitted twice under one name: the driver knows of the later one.
        return max(found, key=int, default='')

    def poll(self, ids):
        """See `Backend`. One qstat, and one `qstat -j` where tasks are in error state or wait for no known reason."""
        # -s says what is the default, for users who have another one in ~/.sge_qstat.
        answer = call(['qstat', '-u', user(), '-s', 'prs', '-xml'])
        try:
            tasks = parse_qstat(answer.out) if answer.code == 0 else None
        except ValueError:
            tasks = None
        if tasks is None:
            return None
        ids = set(ids)
        states = {(job, k): parse_state(state) for job, k, _, _, state, _ in tasks if job in ids}
        errors, pending = self._reasons(states)
        for (job, k), (status, words) in states.items():
            reason = ''
            if status == 'FAILED':
                words = errors.get((job, k or 1), words)
                reason = error_reason(words)
            elif status == 'PENDING' and not words:
                words = explain(pending.get(job, ''))
            states[job, k] = status, reason, words
        return states

    def _reasons(self, states):
        """Ask why tasks do not run; return what `parse_reasons` does. Those in error state first."""
        failed = {job for (job, _), (status, _) in states.items() if status == 'FAILED'}
        waiting = {job for (job, _), state in states.items() if state == ('PENDING', '')} - failed
        errors, pending = {}, {}
        for some in chunks(sorted(failed, key=int) + sorted(waiting, key=int)[:ASKED]):
            for known, said in zip((errors, pending), parse_reasons(call(['qstat', '-j', ','.join(some)]).out)):
                known.update(said)
        return errors, pending

    def accounts(self, tasks):
        """See `Backend`. A record is written some time after the end, by default up to 15 s: a task that is not in it
        may be so later. A task deleted before it started has none, ever. `name` tells whose record it is: after a
        crash sge_qmaster gives the same ids again.
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
        """Return the user's accounting records, the oldest first, of a name or of ids; [] without accounts, None
        without an answer.

        qacct takes one id at a time and reads years of accounts for it. So the file is read, and where it cannot be,
        qacct is asked once for all of the user's jobs.
        """
        owner = user()
        since = self.since - CLOCK if self.since else 0
        try:
            records = []
            for line in recent_accounting(self._accounting_file(), since):
                fields = line.split(':', 6)
                if len(fields) == 7 and fields[3] == owner and (fields[4] == name or fields[5] in ids):
                    records.append(parse_accounting(line))
            return [record for record in reversed(records) if record]
        except OSError:
            pass
        if name:
            answer = call(['qacct', '-j', name])
        else:
            # -b goes by the start: one that never started (error state) is left out, and known by its state.
            after = ['-b', time.strftime('%Y%m%d%H%M', time.localtime(since))] if since else []
            answer = call(['qacct', '-j', '-o', owner] + after)
        if answer.code == 0:
            return [record for record in parse_qacct(answer.out) if record.get('owner') == owner]
        return [] if re.search(r'not found|no jobs running since|No such file', answer.err) else None

    def _accounting_file(self):
        """Return where the accounting file should be; Debian's commands know their SGE_ROOT without the variable."""
        root, cell = os.environ.get('SGE_ROOT') or '/var/lib/gridengine', os.environ.get('SGE_CELL') or 'default'
        return self.options.get('accounting') or os.path.join(root, cell, 'common', 'accounting')

    def cancel(self, tasks, counts):
        """See `Backend`. qdel takes ids, tasks and ranges in one call, and goes on after one that it does not know."""
        for words in chunks(cancel_words(tasks, counts), CHUNK):
            call(['qdel'] + words)

    def usage(self):
        """See `Backend`. In slots."""
        hosts = call(['qhost', '-q', '-xml'])
        mine = call(['qstat', '-u', user(), '-s', 'r', '-xml'])
        if hosts.code != 0 or mine.code != 0:
            return None
        try:
            up, slots, used = parse_hosts(hosts.out)
            own = sum(task[-1] for task in parse_qstat(mine.out))
        except ValueError:
            return None
        return {'nodes': up, 'used': 100.0 * used / slots if slots else 0.0,
                'mine': min(100.0, 100.0 * own / slots) if slots else 0.0}

    def interactive(self, params, command):
        """See `Backend`. Facts for who runs it, as seen on 8.1.9:

        - qrsh ends with the exit status of the command, 128 and the signal, or 0 where it was itself ended by a signal;
          INT, TERM and HUP to it kill the job.
        - More than some 60 kB on its standard input may hang it for ever: give it a terminal, or /dev/null, or little.
        - With -pty and no terminal there is no output at all.
        """
        here = os.getcwd()
        argv = ['qrsh', '-wd', here, '-V', '-now', 'no']
        if re.search(UNUSABLE, here):
            argv[2], command = '/', 'cd {} || exit\n{}'.format(shlex.quote(here), command)
        if sys.stdin.isatty() and sys.stdout.isatty():
            argv += ['-pty', 'y']
        # With -noshell the words are handed over as they are; otherwise they are joined, for the user's login shell.
        return argv + request_argv(params, self.options) + ['-noshell', 'bash', '-c', '--', command]

    def limits(self):
        """See `Backend`."""
        return parse_limits(call(['qconf', '-sconf']).out)

    def task_name(self, task):
        """See `Backend`: 123.4, or 123."""
        job, k = task
        return '{}.{}'.format(job, k) if k else job


BACKEND = GridEngine
