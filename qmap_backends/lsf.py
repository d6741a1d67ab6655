"""IBM Spectrum LSF 10: bsub, bjobs, bkill, bacct, bhist, bhosts, bparams and lsid.

The script goes to `bsub` on standard input, because a site may or may not read a file that is named as a command. All
options are words of the command line. Several tasks are one array, `-J "name[1-n]"`.

How the parameters are written:
    cores     -n, all on one host (`span[hosts=1]`): without it LSF spreads the slots, and the script has the first only
    nodes     hosts: the slots are dealt out evenly (`span[ptile=...]`)
    tasks     -n as well; where `nodes` is not given LSF may spread them. The larger of cores and tasks counts
    memory    -M (the limit) and `rusage[mem=...]` (the reservation): see the options below
    time      -W, in minutes, rounded up; LSF has no seconds. A site without ABS_RUNLIMIT scales it by the host's speed
    queue     -q
    penv      nothing: LSF has no parallel environments. `extra = -a openmpi` is its nearest word
    extra     split as a shell splits words, last, so that it can add to all others

Options of the profile, for sites that differ:
    memory_unit       suffix   numbers carry their unit: `-M 4096MB` (default; LSF 10.1 and later)
                      KB, MB, GB, TB   bare numbers in this unit: what LSF_UNIT_FOR_LIMITS says in lsf.conf
                      default  bare numbers as LSF means them without that setting: -M in KB, rusage in MB
                      When it is not set and `lsid` tells of a version before 10.1, the site's lsf.conf is read.
    memory_per        host     `rusage[mem]` is for a host, as LSF has it by default: the job's memory by its nodes
                      slot     it is for a slot (RESOURCE_RESERVE_PER_TASK=Y): the job's memory by its slots
                      job      written as `mem=.../job`, whatever the site says (LSF 10.1.0.9)
    memory_limit_per  job      -M is the memory of the whole job (default)
                      slot     sites that multiply -M by the slots, or apply it to each process: divided by the slots

A folder with `%` in its name cannot be given to LSF, which replaces %J, %I and others and has no way to quote them.
Such an output goes to /dev/null, and such a working directory is left to the script itself.
"""

import math
import os
import re
import shlex
import shutil
import sys

from qmap_backends import Backend, call, chunks, ranges

#: How often a command tries to reach mbatchd before it gives up; without LSB_NTRIES it never does (IBM,
#: LSB_QUERY_RETRY_INTERVAL_STEP). bsub tries once: it also waits without end at the limit of pending jobs, and one
#: that tries again after a lost reply would submit twice.
SUBMIT_TRIES = 1
QUERY_TRIES = 2

#: An array's size where `bparams` does not say (IBM, bsub -J).
ARRAY = 1000

#: Parts of one index list, as in 123[1,3,5-9]: keeps each word far below the 4,094 characters of LSF.
PARTS = 200

#: What `bjobs -o` is asked for; pend_reason comes last, because it may contain the delimiter.
FIELDS = ('jobid', 'jobindex', 'stat', 'exit_code', 'exit_reason', 'exec_host', 'cpu_used', 'run_time', 'max_mem',
          'pend_reason')

#: The states of bjobs and what they mean here.
#: IBM Spectrum LSF 10.1.0, "LSF terms and concepts", section "Job states", and "bjobs command".
STATES = {
    'PEND': ('PENDING', ''),
    'PROV': ('PENDING', 'its host is being woken up'),
    'WAIT': ('PENDING', 'waits in a chunk of jobs'),
    'PSUSP': ('PENDING', 'held: it starts only after bresume'),
    'FWD_PEND': ('PENDING', 'forwarded to another cluster'),
    'RUN': ('RUNNING', ''),
    'USUSP': ('RUNNING', 'suspended by a user or an administrator'),
    'SSUSP': ('RUNNING', 'suspended by LSF'),
    'DONE': ('COMPLETED', ''),
    'POST_DONE': ('COMPLETED', ''),
    'PDONE': ('COMPLETED', ''),
    'EXIT': ('FAILED', ''),
    'POST_ERR': ('COMPLETED', 'its post-processing failed'),
    'PERR': ('COMPLETED', 'its post-processing failed'),
    'UNKWN': ('OTHER', 'LSF has lost contact with its host'),
    'ZOMBI': ('OTHER', 'killed, but its host does not answer: it ends when the host is back'),
}

#: Why LSF ended a job, and which reason that is here.
#: IBM Spectrum LSF 10.1.0, "Termination reasons displayed by bacct, bhist, and bjobs".
TERMINATIONS = {
    'TERM_ADMIN': 'cancelled',
    'TERM_BUCKET_KILL': 'cancelled',
    'TERM_CHKPNT': 'cancelled',
    'TERM_CPULIMIT': 'time',
    'TERM_CSM_ALLOC': 'node',
    'TERM_CWD_NOTEXIST': 'exit',
    'TERM_DATA': 'node',
    'TERM_DEADLINE': 'time',
    'TERM_EXTERNAL_SIGNAL': 'signal',
    'TERM_FORCE_ADMIN': 'cancelled',
    'TERM_FORCE_OWNER': 'cancelled',
    'TERM_KUBE': 'node',
    'TERM_LOAD': 'node',
    'TERM_MC_RECALL': 'node',
    'TERM_MEMLIMIT': 'memory',
    'TERM_ORPHAN_SYSTEM': 'cancelled',
    'TERM_OTHER': 'node',
    'TERM_OWNER': 'cancelled',
    'TERM_PREEMPT': 'node',
    'TERM_PROCESSLIMIT': 'signal',
    'TERM_REMOVE_HUNG_JOB': 'node',
    'TERM_REQUEUE_ADMIN': 'node',
    'TERM_REQUEUE_OWNER': 'node',
    'TERM_RMS': 'node',
    'TERM_RUNLIMIT': 'time',
    'TERM_SLURM': 'node',
    'TERM_SWAP': 'memory',
    'TERM_THREADLIMIT': 'signal',
    'TERM_WINDOW': 'node',
    'TERM_ZOMBIE': 'node',
}

#: Pending reasons that deserve an explanation: how they begin, and what it means.
#: IBM Spectrum LSF 10.1.0, "Pending reasons", and "bjobs -p".
PENDING = (
    ('Not enough processors to meet the job\'s spanning requirement', 'no host has as many free slots as requested'),
    ('Job requirements for reserving resource (mem) not satisfied', 'no host has as much free memory as requested'),
    ('Job\'s requirements for resource reservation not satisfied', 'no host has the reserved resources free'),
    ('Not enough job slot(s)', 'requests more slots than are free'),
    ('Not enough slots or resources', 'requests more than is free'),
    ('The queue has been closed', 'waits until an administrator opens the queue'),
    ('The queue has been inactivated', 'waits until the queue is active again'),
    ('Job dependency condition', 'waits for other jobs'),
    ('New job is waiting for scheduling', 'LSF has not considered it yet'),
)

#: The line of a success. A site's esub may print others around it.
SUBMITTED = re.compile(r'Job <(\d+)> is submitted')

#: bsub's own words when it surely has not submitted, but may another time. Most are of the vendor's table of messages
#: (lsb_perror); the waiting lines are of "Customize batch command messages" (IBM Spectrum LSF 10.1.0).
PASSING = re.compile(
    'non-LSF host rejected|pending job threshold|connection refused|timeout on connect call|reached its job limit'
    '|no job id can be used|queue has been closed|job array index too large|try later|unknown cluster name or'
    '|cannot allocate memory|cannot fork|batch daemon internal error|appropriate port number'
    '|please wait|still trying|limit exceeded|unable to contact', re.IGNORECASE)

#: And when it cannot know, because it broke off after the request was sent.
DOUBTFUL = re.compile('communication time|batch protocol error|xdr |end of file|lsf library call'
                      '|server is not connected', re.IGNORECASE)

#: Lines that only say that LSF takes its time. They come before a good answer too.
WAITING = re.compile('please wait|still trying', re.IGNORECASE)

NOT_FOUND = re.compile(r'Job <([^<>]*)> is not found')
NOTHING_FOUND = re.compile(r'No (?:unfinished |matching )?job found', re.IGNORECASE)
#: How a line of bacct -l or bhist -l begins: a time, and for elements of arrays the index.
EVENT = r'(?m)^[ \t]*\w{3} \w{3} +\d+ [\d:]{8}(?: \d{4})?: +(?:\[\d+\] +)?'
JOB_ID = re.compile(r'(\d+)(?:\[(\d+)\])?$')

UNITS = {'KB': 2 ** 10, 'MB': 2 ** 20, 'GB': 2 ** 30, 'TB': 2 ** 40}
CHOICES = {'memory_unit': ('suffix', 'default') + tuple(sorted(UNITS)), 'memory_per': ('host', 'slot', 'job'),
           'memory_limit_per': ('job', 'slot')}


# Words for the commands ###############################################################################################

def slots(params):
    """Return the number of slots that these params ask for: the largest of cores, tasks and nodes."""
    return max(params.get('cores') or 1, params.get('tasks') or 1, params.get('nodes') or 1)


def memory_word(size, unit, default):
    """Return a memory size for bsub, rounded up.

    Args:
        size: bytes
        unit: suffix, default, or one of UNITS (see the module)
        default: the unit that LSF means here where the site has set none
    """
    if unit == 'suffix':
        return '{}MB'.format(max(1, math.ceil(size / UNITS['MB'])))
    return '{}'.format(max(1, math.ceil(size / UNITS[default if unit == 'default' else unit])))


def request_argv(params, unit='suffix', per='host', limit_per='job'):
    """Return the options of bsub for these params, without `working_directory` and `extra`.

    Args:
        params: see the border
        unit, per, limit_per: the options memory_unit, memory_per and memory_limit_per
    """
    argv, resources = [], []
    count, nodes, memory = slots(params), params.get('nodes') or 0, params.get('memory')
    if params.get('queue'):
        argv += ['-q', params['queue']]
    if count > 1:
        argv += ['-n', '{}'.format(count)]
    if params.get('time'):
        # bsub -W has minutes only (IBM, bsub -W).
        argv += ['-W', '{}'.format(max(1, math.ceil(params['time'] / 60)))]
    if memory:
        limit = memory if limit_per == 'job' else memory / count
        argv += ['-M', memory_word(limit, unit, 'KB')]
        share = memory / {'job': 1, 'slot': count, 'host': max(1, nodes)}[per]
        resources.append('rusage[mem={}{}]'.format(memory_word(share, unit, 'MB'), '/job' if per == 'job' else ''))
    if nodes > 1:
        resources.append('span[ptile={}]'.format(math.ceil(count / nodes)))
    elif count > 1 and (nodes == 1 or not params.get('tasks')):
        resources.append('span[hosts=1]')
    if resources:
        argv += ['-R', ' '.join(resources)]
    return argv


def directory_argv(params):
    """Return the option for the working directory, if it can be written (see the module)."""
    path = params.get('working_directory') or ''
    return ['-cwd', path] if path and '%' not in path else []


def submit_argv(name, count, params, output, unit='suffix', per='host', limit_per='job'):
    """Return the words of bsub for a script on standard input (see Backend.submit_argv and `request_argv`)."""
    # -rn: whoever submits decides what runs again. -oo: without any -o LSF sends mail; without -e the file has
    # standard error too. It writes the file when the job has ended.
    argv = ['bsub', '-J', '{}[1-{}]'.format(name, count) if count > 1 else name, '-rn',
            '-oo', '/dev/null' if '%' in output else '{}.%I'.format(output)]
    return (argv + directory_argv(params) + request_argv(params, unit, per, limit_per)
            + shlex.split(params.get('extra') or ''))


def jobs_argv(*selection):
    """Return the words of bjobs that list FIELDS of these jobs: options and ids."""
    return ['bjobs', '-noheader', '-o', '{} delimiter=\'|\''.format(' '.join(FIELDS))] + list(selection)


def specs(tasks, counts=None):
    """Return tasks as LSF takes them: '123' for a single job or a whole array, else '123[4-6]'.

    Args:
        tasks: list of tasks; an id that is not a positive number is left out: `bkill 0` kills all jobs of a user
        counts: {id: number of tasks}, to know a whole array
    """
    indices = {}
    for name, index in tasks:
        indices.setdefault(name, set()).add(index)
    words = []
    for name in indices:
        if not re.match('[1-9][0-9]*$', name):
            continue
        if 0 in indices[name] or len(indices[name]) == (counts or {}).get(name):
            words.append(name)
            continue
        for part in chunks(ranges(indices[name]).split(','), PARTS):
            words.append('{}[{}]'.format(name, ','.join(part)))
    return words


def cancel_argv(words):
    """Return the words of bkill for these `specs`."""
    return ['bkill'] + list(words)


# What the commands say ################################################################################################

def complaint(answer):
    """Return what a person should read of a failure: the last lines of it, without those that only say to wait.

    A site's esub says in lines of its own why it refuses, before bsub's `Request aborted by esub`.
    """
    lines = [line.strip() for line in (answer.err + '\n' + answer.out).splitlines() if line.strip()]
    return ' '.join([line for line in lines if not WAITING.search(line)][-4:] or lines[-1:]) or answer.words()


def parse_submit(answer):
    """Return (kind, id or words) of bsub's answer: see Backend.submit.

    'Job not submitted.' is bsub's last word on every failure it knows. It is a refusal but for limits and passing
    troubles, and but for errors that came after the request was sent. At the limit of pending jobs bsub does not fail
    but waits, without LSB_NTRIES for ever. One that was killed there has most likely not submitted, yet it may have
    tried again, with success, in its last moment: it counts as silent, and a look at the name tells.
    """
    found = SUBMITTED.search(answer.out) or SUBMITTED.search(answer.err)
    if found:
        return 'ok', found.group(1)
    words = complaint(answer)
    text = answer.err + '\n' + answer.out
    if answer.code is None or answer.code == 0:
        return 'silent', words
    last = [line for line in text.splitlines() if 'not submitted' in line] or text.splitlines()
    if any(DOUBTFUL.search(line) for line in last):
        return 'silent', words
    if any(PASSING.search(line) for line in last):
        return 'busy', words
    if 'not submitted' in text or 'usage:' in text.lower():
        return 'refused', words
    return 'silent', words


def parse_task(name, index=''):
    """Return the task of '123[4]', or of '123' and its index; None if it is something else."""
    found = JOB_ID.match(name.strip())
    if not found:
        return None
    return found.group(1), int(found.group(2) or (index.strip() if index.strip().isdigit() else 0))


def parse_jobs(text):
    """Return the list of dicts that `jobs_argv` brings: FIELDS as text ('' where it is unset), and `task`.

    Lines of another form are left out: waiting lines, banners, a reason that goes on in the next line.
    """
    found = []
    for line in text.splitlines():
        values = [value.strip() for value in line.split('|', len(FIELDS) - 1)]
        if len(values) != len(FIELDS) or not re.match('[A-Z_]+$', values[2]):
            continue
        job = dict(zip(FIELDS, ('' if value == '-' else value for value in values)))
        job['task'] = parse_task(job['jobid'], job['jobindex'])
        if job['task']:
            found.append(job)
    return found


def parse_missing(text):
    """Return the set of ids of which LSF says itself that it does not know them."""
    return {name.strip() for name in NOT_FOUND.findall(text)}


def parse_seconds(text):
    """Return the seconds of '50 second(s)', '0.1', '12.5 seconds' or '01:02:03'; None for something else."""
    text = text.strip()
    clock = re.match(r'(\d+):(\d\d):(\d\d(?:\.\d+)?)$', text)
    if clock:
        return int(clock.group(1)) * 3600 + int(clock.group(2)) * 60 + float(clock.group(3))
    number = re.match(r'(\d+(?:\.\d+)?)(?:\s*s(?:ec\w*(?:\(s\))?)?)?\.?$', text)
    return float(number.group(1)) if number else None


def parse_memory(text):
    """Return the bytes of '522 Mbytes', '5.2 Gbytes', '5M' or '48 G'; None without a unit, which the site decides."""
    found = re.match(r'(\d+(?:\.\d+)?)\s*([KMGTPE])(?:B|bytes?)?$', text.strip(), re.IGNORECASE)
    if not found:
        return None
    return int(float(found.group(1)) * 2 ** (10 * ('KMGTPE'.index(found.group(2).upper()) + 1)))


def parse_hosts(text):
    """Return {host: slots} of '4*h1:8*h2' or 'h1:h1'."""
    hosts = {}
    for part in text.split(':'):
        count, star, name = part.strip().rpartition('*')
        if name:
            hosts[name] = hosts.get(name, 0) + (int(count) if star and count.isdigit() else 1)
    return hosts


def pending_words(reason):
    """Return a pending reason, with its meaning where there is one."""
    for beginning, meaning in PENDING:
        if reason.startswith(beginning):
            return '{} ({})'.format(reason.rstrip(' ;'), meaning)
    return reason.rstrip(' ;')


def verdict(state, code='', reason='', host=''):
    """Return what became of a job: dict with status, reason, words and, where known, exit_code and signal.

    Args:
        state: as bjobs writes it
        code: exit_code as text; LSF leaves it out for 0, and sometimes for a job that it has killed
        reason: exit_reason, such as 'TERM_OWNER: job killed by owner'; '' if LSF does not know
        host: exec_host; '' for a job that never started
    """
    status, words = STATES.get(state, ('OTHER', 'LSF says {}, a state unknown to QMap'.format(state)))
    if state in ('POST_ERR', 'PERR') and code.strip('0'):
        status = 'FAILED'
    found = {'status': status, 'reason': '', 'words': words}
    if status not in ('COMPLETED', 'FAILED'):
        return found
    if code.isdigit():
        found['exit_code'] = int(code)
    elif status == 'COMPLETED':
        found['exit_code'] = 0
    if status == 'COMPLETED':
        return found
    number = found.get('exit_code')
    # Above 128 it is a signal, or a program that ended so by itself: LSF writes both alike ("LSF job exit codes").
    signal = number - 128 if number and 128 < number <= 192 else None
    keyword = re.match(r'TERM_\w+', reason)
    found['reason'] = TERMINATIONS.get(keyword.group(0) if keyword else '', '')
    found['words'] = reason.rstrip(' .;')
    if signal:
        found['signal'] = signal
    if not found['reason']:
        if signal:
            found['reason'] = 'signal'
            hint = {9: ', as the kernel sends it when memory runs out', 12: ', as LSF sends it at the time limit',
                    24: ', as sent at the CPU time limit'}.get(signal, '')
            found['words'] = found['words'] or 'killed by signal {}{}'.format(signal, hint)
        elif number is None and not host:
            found['reason'] = 'cancelled'
            found['words'] = found['words'] or 'ended while it was pending'
        else:
            found['reason'] = 'exit'
            found['words'] = found['words'] or ('LSF gives no exit code' if number is None else
                                                'exit code {}'.format(number))
    return found


def job_status(job):
    """Return (status, reason, words) of one of `parse_jobs`."""
    if STATES.get(job['stat'], ('',))[0] == 'PENDING':
        words = pending_words(job['pend_reason'])
        return 'PENDING', '', ': '.join(part for part in (STATES[job['stat']][1], words) if part)
    found = verdict(job['stat'], job['exit_code'], job['exit_reason'], job['exec_host'])
    return found['status'], found['reason'], found['words']


def job_account(job):
    """Return the account of one of `parse_jobs`, or None while it has not ended."""
    found = verdict(job['stat'], job['exit_code'], job['exit_reason'], job['exec_host'])
    if found['status'] not in ('COMPLETED', 'FAILED'):
        return None
    found.update(host=','.join(sorted(parse_hosts(job['exec_host']))) or None, cpu=parse_seconds(job['cpu_used']),
                 elapsed=parse_seconds(job['run_time']), memory=parse_memory(job['max_mem']))
    return {key: value for key, value in found.items() if value is not None}


def unfold(text):
    """Return the output of bhist -l or bacct -l with its folded lines joined.

    They are folded at 79 columns, inside words, and go on after 21 blanks.
    """
    return text.replace('\r\n', '\n').replace('\n' + ' ' * 21, '')


def records(text):
    """Yield (id, text) of each job in the output of `bacct -l` or `bhist -l`."""
    starts = list(re.finditer(r'(?m)^[ \t]*Job <\s*([^>]*)>', text))
    for start, following in zip(starts, starts[1:] + [None]):
        yield start.group(1), text[start.start():following.start() if following else len(text)]


def parse_end(part):
    """Return (state, exit code as text, reason, CPU seconds or None) of one of `records`; state is '' before its end.

    A job that ran again has several ends: the last one counts.
    """
    state, code, reason, cpu = '', '', '', None
    for end in re.finditer(EVENT + r'(Done successfully|Completed <\s*(?:done|exit)>|Exited)([^\n]*)', part):
        state = 'DONE' if 'done' in end.group(1).lower() else 'EXIT'
        number = re.match(r' with exit code (\d+)', end.group(2))
        killed = re.match(r' (?:by|with)(?: LSF)? signal(?: termination:)? (\d+)', end.group(2))
        code = number.group(1) if number else '{}'.format(128 + int(killed.group(1))) if killed else code
        keyword = re.search(r'TERM_\w+:[^;.\n]*', end.group(2))
        reason = keyword.group(0) if keyword else reason
        used = re.search(r'CPU time used is ([\d.]+) sec', end.group(2))
        cpu = float(used.group(1)) if used else cpu
    return state, code if state == 'EXIT' else '', reason, cpu


def parse_use(part):
    """Return dict of cpu, elapsed (seconds) and memory (bytes), as far as one of `records` has them."""
    # bacct: a row of numbers; its turnaround includes the wait. bhist: seconds by state, and the peak.
    row = re.search(r'(?m)^\s*CPU_T +WAIT +TURNAROUND[^\n]*\n\s*([\d.]+) +(\d+) +(\d+) +\w+ +[\d.]+ +(\S+)', part)
    if row:
        return {'cpu': float(row.group(1)), 'elapsed': float(int(row.group(3)) - int(row.group(2))),
                'memory': parse_memory(row.group(4))}
    totals = re.search(r'(?m)^\s*PEND +PSUSP +RUN [^\n]*\n\s*\d+ +\d+ +(\d+) ', part)
    peak = re.search(r'MAX MEM: *([\d.]+ *\w+)', part)
    return {'elapsed': float(totals.group(1)) if totals else None,
            'memory': parse_memory(peak.group(1)) if peak else None}


def parse_events(text):
    """Return {task: account} of the ended jobs in the output of `bacct -l` or `bhist -l`.

    bacct knows the reason and what a job used, bhist its exit code as well; they write the rest alike.
    """
    accounts = {}
    for header, part in records(unfold(text)):
        task = parse_task(header)
        state, code, reason, cpu = parse_end(part)
        if not task or not state:
            continue
        starts = re.findall(EVENT + r'[Dd]ispatched (?:\d+ Task\(s\) on Host\(s\)|to) ((?:<[^>]*> ?)+)', part)
        starts += re.findall(EVENT + r'[Ss]tarted on (?:\d+ \S+ )?((?:<[^>]*> ?)+)', part)
        host = ','.join(sorted(parse_hosts(':'.join(re.findall(r'<\s*([^>]*)>', starts[-1]))))) if starts else ''
        account = dict(verdict(state, code, reason, host), host=host or None, cpu=cpu)
        account.update(parse_use(part))
        accounts[task] = {key: value for key, value in account.items() if value is not None}
    return accounts


def parse_bhosts(text):
    """Return (hosts that are up, their slots, the slots in use) of `bhosts -w`.

    A host without a limit of slots (MAX is `-`) counts as a host only.
    """
    up = total = used = 0
    for line in text.splitlines():
        words = line.split()
        if len(words) < 6 or words[0] == 'HOST_NAME' or not words[4].isdigit():
            continue
        if words[1].startswith(('unavail', 'unreach')):
            continue
        up += 1
        if words[3].isdigit():
            total += int(words[3])
            used += min(int(words[3]), int(words[4]))
    return up, total, used


def parse_bparams(text):
    """Return the largest array of `bparams -a`, or None."""
    found = re.search(r'MAX_JOB_ARRAY_SIZE\s*=\s*(\d+)', text)
    return int(found.group(1)) if found else None


def parse_version(text):
    """Return the version of `lsid` as a tuple, such as (10, 1, 0, 15), or ()."""
    found = re.search(r'LSF [^\n]*?(\d+(?:\.\d+)+)', text)
    return tuple(int(part) for part in found.group(1).split('.')) if found else ()


def parse_unit(text):
    """Return LSF_UNIT_FOR_LIMITS of lsf.conf, or of `badmin showconf mbd`, as one of UNITS; '' if it is not there."""
    found = re.search(r'(?mi)^\s*LSF_UNIT_FOR_LIMITS\s*=\s*"?([KMGT])B?\b', text)
    return found.group(1).upper() + 'B' if found else ''


# The backend ##########################################################################################################

class Lsf(Backend):
    """The LSF cluster of this machine."""

    name = 'lsf'
    title = 'LSF'
    commands = ('bsub', 'bjobs', 'bkill')
    task_variable = 'LSB_JOBINDEX'
    # lines of the job report; IBM Spectrum LSF 10, "Termination reasons displayed by bacct, bhist, and bjobs"
    NOTES = ((r'TERM_MEMLIMIT|TERM_SWAP', 'memory'), (r'TERM_(?:RUN|CPU)LIMIT|TERM_DEADLINE', 'time'),
             (r'TERM_(?:FORCE_)?(?:OWNER|ADMIN)', 'cancelled'), (r'TERM_(?:PREEMPT|WINDOW|LOAD|ZOMBIE)', 'node'))
    id_variable = 'LSB_JOBID'

    def __init__(self, options=None):
        """Make a backend; see the module for the options.

        Raises:
            ValueError: an option has a value that is none
        """
        super().__init__(options)
        for key in CHOICES:
            if self.options.get(key) and self.options[key] not in CHOICES[key]:
                raise ValueError('{} = {}: must be one of {}'.format(key, self.options[key], ', '.join(CHOICES[key])))
        self._unit = self.options.get('memory_unit') or ''
        self._array = None

    def memory_unit(self):
        """Return how memory is written: the option, or what suits the version; asked once."""
        if not self._unit:
            self._unit = 'suffix'
            version = parse_version(call(['lsid'], timeout=10).out)
            if version and version < (10, 1):
                self._unit = self._configured_unit() or 'default'
        return self._unit

    def _configured_unit(self):
        """Return LSF_UNIT_FOR_LIMITS of the site, or ''."""
        answer = call(['badmin', 'showconf', 'mbd'], timeout=10, LSB_NTRIES='{}'.format(QUERY_TRIES))
        if parse_unit(answer.out):
            return parse_unit(answer.out)
        try:
            with open(os.path.join(os.environ.get('LSF_ENVDIR') or '/etc', 'lsf.conf'), errors='replace') as source:
                return parse_unit(source.read())
        except OSError:
            return ''

    def _styles(self, params):
        """Return the keyword arguments of `request_argv` that the options decide."""
        return {'unit': self.memory_unit() if params.get('memory') else 'suffix',
                'per': self.options.get('memory_per') or 'host',
                'limit_per': self.options.get('memory_limit_per') or 'job'}

    def submit_argv(self, script, name, count, params, output):
        """Return the words of bsub; the script is its standard input (see `job_cmd`)."""
        return submit_argv(name, count, params, output, **self._styles(params))

    def job_cmd(self, script, name, count, params, output):
        """Return the submission as a line to be pasted into a shell.

        LSB_EXIT_IF_CWD_NOTEXIST: without it a job whose directory is missing on the host runs in /tmp (IBM, bsub -cwd).
        """
        return 'LSB_EXIT_IF_CWD_NOTEXIST=Y {} < {}'.format(
            super().job_cmd(script, name, count, params, output), shlex.quote(script))

    def submit(self, script, name, count, params, output):
        """Submit: see the border, and `parse_submit` for what counts as what."""
        # The environment becomes that of the job, where LC_ALL=C has no business.
        answer = call(self.submit_argv(script, name, count, params, output), stdin=script,
                      LC_ALL=os.environ.get('LC_ALL'), LSB_NTRIES='{}'.format(SUBMIT_TRIES),
                      LSB_EXIT_IF_CWD_NOTEXIST='Y')
        kind, words = parse_submit(answer)
        if kind == 'busy' and count > 1 and 'array index too large' in words:
            # `bparams` did not say, or the queue allows less: `limits` has a smaller number from now on.
            self._array = max(1, count // 2)
        return kind, words

    def job_name(self, prefix, batch, token):
        """Return a name: without brackets, which make arrays, `*`, which finds others, and all that needs quotes."""
        readable = re.sub('[^A-Za-z0-9_.-]+', '_', prefix).strip('_.-')[:40] or 'qmap'
        return '{}.{}.{}'.format(readable, batch, token)

    def _ask(self, argv):
        """Return the `Answer` of a question to LSF, that gives up soon."""
        return call(argv, LSB_NTRIES='{}'.format(QUERY_TRIES))

    def find(self, name):
        """Look for a submission by its name: the id, '' or None.

        A job that ended longer ago than the site's CLEAN_PERIOD (an hour) is '' too: LSF has forgotten it, and what it
        wrote itself has to tell.
        """
        answer = self._ask(jobs_argv('-a', '-J', name))
        found = sorted({int(job['task'][0]) for job in parse_jobs(answer.out)})
        if found:
            return '{}'.format(found[0])
        text = answer.err + '\n' + answer.out
        if answer.code is not None and (name in parse_missing(text) or NOTHING_FOUND.search(text)):
            return ''
        return None

    def poll(self, ids):
        """Ask bjobs for all of them.

        An id has left the queue only where LSF itself says `Job <id> is not found`: its exit status means nothing (it
        differs by version and by LSB_BJOBS_CONSISTENT_EXIT_CODE), and other silence is no news. The number of tasks of
        an id is not known here, so no news of one id cannot be told task by task: then the whole answer is None, and
        nothing is concluded from it. The next question comes soon.
        """
        tasks = {}
        for part in chunks(sorted(set(ids))):
            answer = self._ask(jobs_argv('-a', *part))
            if answer.code is None:
                return None
            jobs = parse_jobs(answer.out)
            known = {job['task'][0] for job in jobs} | parse_missing(answer.err + '\n' + answer.out)
            if not known.issuperset(part):
                return None
            tasks.update((job['task'], job_status(job)) for job in jobs)
        return tasks

    def accounts(self, tasks):
        """Ask bjobs, then bacct for what it has forgotten, then bhist for that and for missing exit codes.

        bacct and bhist read log files, are slow, and at some sites are not for users: what they do not say is left out.
        """
        wanted = set(tasks)
        found, open_tasks = {}, set()
        for part in chunks(specs(wanted)):
            answer = self._ask(jobs_argv('-a', *part))
            if answer.code is None:
                return None
            jobs = parse_jobs(answer.out)
            text = answer.err + '\n' + answer.out
            if not jobs and not NOT_FOUND.search(text) and not NOTHING_FOUND.search(text):
                return None
            for job in jobs:
                account = job_account(job)
                if account:
                    found[job['task']] = account
                else:
                    open_tasks.add(job['task'])
        silent = 0
        logs = [command for command in (['bacct', '-l'], ['bhist', '-a', '-l', '-n', '2']) if shutil.which(command[0])]
        for command in logs:
            missing = wanted - set(found) - open_tasks
            if command[0] == 'bhist':
                missing |= {task for task in wanted & set(found)
                            if found[task]['status'] == 'FAILED' and 'exit_code' not in found[task]
                            and found[task].get('host')}
            for part in chunks(specs(missing)):
                answer = self._ask(command + part)
                for task, account in parse_events(answer.out).items():
                    if task in missing:
                        # The later log adds to the earlier one, but does not take a reason away.
                        if task in found and account['reason'] in ('exit', 'signal'):
                            account = dict(account, reason=found[task]['reason'], words=found[task]['words'])
                        found[task] = dict(found.get(task, {}), **account)
                if answer.code is None:
                    silent += 1
                    break
        if logs and silent == len(logs) and wanted - set(found) - open_tasks:
            return None
        return {task: found[task] for task in wanted if task in found}

    def cancel(self, tasks, counts):
        """Kill the tasks. bkill ends with 255 when one of them had ended, and has killed the others all the same."""
        for part in chunks(specs(tasks, counts)):
            self._ask(cancel_argv(part))

    def usage(self):
        """Return the load: see the border. A host that is closed but answers is up."""
        answer = self._ask(['bhosts', '-w'])
        up, total, used = parse_bhosts(answer.out)
        if not up:
            return None
        own = self._ask(jobs_argv('-r'))
        jobs = parse_jobs(own.out)
        if not jobs and not NOTHING_FOUND.search(own.err + '\n' + own.out):
            return None
        mine = sum(sum(parse_hosts(job['exec_host']).values()) for job in jobs)
        return {'nodes': up, 'used': 100.0 * used / max(1, total), 'mine': 100.0 * mine / max(1, total)}

    def interactive(self, params, command):
        """Return the words of an interactive bsub: with a pseudo-terminal where this process has a terminal.

        bsub hands one string to /bin/sh. What it says itself goes to standard error (BSUB_STDERR), and away where
        params has a true `quiet` (BSUB_QUIET).
        """
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        return (['env', 'BSUB_STDERR=Y'] + (['BSUB_QUIET=Y'] if params.get('quiet') else [])
                + ['bsub', '-Is' if terminal else '-I'] + directory_argv(params)
                + request_argv(params, **self._styles(params)) + shlex.split(params.get('extra') or '')
                + ['/bin/bash -c -- {}'.format(shlex.quote(command))])

    def limits(self):
        """Return the largest array: MAX_JOB_ARRAY_SIZE of bparams, which bounds the index as well, else 1,000."""
        size = parse_bparams(self._ask(['bparams', '-a']).out) or ARRAY
        return {'array': min(size, self._array or size)}

    def chatter(self, text):
        """See `Backend`: what stands below the job report."""
        return text.rpartition('The output (if any) follows:')[2]

    def task_name(self, task):
        """Return '123[4]', or '123' for a single job."""
        return '{}[{}]'.format(*task) if task[1] else task[0]


BACKEND = Lsf
