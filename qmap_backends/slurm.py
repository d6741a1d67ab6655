"""Slurm: https://slurm.schedmd.com/documentation.html

Submissions go through `sbatch`, questions through `squeue` and, where the site keeps accounts, `sacct`. Nothing here
asks for a field that not every release from 17 to 25 has: `Reserved`, for one, became `Planned` in 23.02, and asking
for either makes sacct fail on half of the sites.
"""

import os
import re
import shlex
import sys
import time

from qmap_backends import Backend, call, chunks, numbers, ranges

#: What separates the fields: names and reasons may hold commas, bars and spaces, but hardly this one.
SEPARATOR = '\x1f'

#: Days that the accounts are searched back where the driver does not say since when (`Backend.since`). Ids start again
#: when a site resets its controller; so an older job of the same number is not ours.
LOOKBACK = 60

#: The states of a job and its flags, which are shown in place of the state: (status, reason).
#: https://slurm.schedmd.com/job_state_codes.html, and squeue(1) for the older ones.
STATES = {
    'PENDING': ('PENDING', ''),
    'CONFIGURING': ('PENDING', ''),
    'POWER_UP_NODE': ('PENDING', ''),
    'REQUEUED': ('PENDING', ''),
    'REQUEUE_FED': ('PENDING', ''),
    'REQUEUE_HOLD': ('PENDING', ''),
    'RESV_DEL_HOLD': ('PENDING', ''),
    'SPECIAL_EXIT': ('PENDING', ''),
    'RUNNING': ('RUNNING', ''),
    # Hides the final state; a job in it is about to end.
    'COMPLETING': ('RUNNING', ''),
    'RESIZING': ('RUNNING', ''),
    'SIGNALING': ('RUNNING', ''),
    'STAGE_OUT': ('RUNNING', ''),
    'STOPPED': ('RUNNING', ''),
    'SUSPENDED': ('RUNNING', ''),
    'UPDATE_DB': ('RUNNING', ''),
    'COMPLETED': ('COMPLETED', ''),
    'BOOT_FAIL': ('FAILED', 'node'),
    'CANCELLED': ('FAILED', 'cancelled'),
    'DEADLINE': ('FAILED', 'time'),
    'FAILED': ('FAILED', 'exit'),
    'LAUNCH_FAILED': ('FAILED', 'node'),
    'NODE_FAIL': ('FAILED', 'node'),
    'OUT_OF_MEMORY': ('FAILED', 'memory'),
    # Like a node that failed: no fault of the job's, and nobody meant to cancel it.
    'PREEMPTED': ('FAILED', 'node'),
    'RECONFIG_FAIL': ('FAILED', 'node'),
    'TIMEOUT': ('FAILED', 'time'),
    # Its twin runs on another cluster of the federation.
    'REVOKED': ('OTHER', ''),
}

#: What squeue's reason says of a job that is FAILED. '' where it may be one thing or another: JobLaunchFailure stands
#: for a script that was killed by a signal, and for an output file that could not be opened.
ENDS = {
    'NonZeroExitCode': 'exit',
    'RaisedSignal': 'signal',
    'JobLaunchFailure': '',
    'BadConstraints': '',
    'OutOfMemory': 'memory',
    'TimeLimit': 'time',
    'NodeDown': 'node',
    'SystemFailure': 'node',
}

#: What the reason of a pending job means. https://slurm.schedmd.com/job_reason_codes.html
#: Those of limits, of which there are a hundred, are made out by `meaning`.
REASONS = {
    'AccountNotAllowed': 'the account may not use this partition: it will never start',
    'BadConstraints': 'no node fits its request: it will never start',
    'BeginTime': 'waits for its begin time (after a node failure: two minutes)',
    'BurstBufferOperation': 'its burst buffer failed: it will not start by itself',
    'BurstBufferResources': 'waits for room in the burst buffer',
    'BurstBufferStageIn': 'its burst buffer is being filled',
    'Cleaning': 'is still being cleaned up after an earlier run',
    'Constraints': 'no node that fits its request is available now',
    'DeadLine': 'cannot meet its deadline: it will never start',
    'Dependency': 'waits for another job',
    'DependencyNeverSatisfied': 'waits for a job that failed: it will never start',
    'InvalidAccount': 'its account does not exist any more: it will never start',
    'InvalidQOS': 'its quality of service does not exist any more: it will never start',
    'JobArrayTaskLimit': 'its array has reached its limit of running tasks',
    'JobHeldAdmin': 'held by an administrator, who has to release it',
    'JobHeldUser': 'held; release it with `scontrol release`',
    'JobHoldMaxRequeue': 'held after too many failed launches',
    'Licenses': 'waits for a licence',
    'MaxMemPerLimit': 'requests more memory than is allowed: it will never start',
    'NodeDown': 'a node that it needs is down',
    'PartitionConfig': 'requests more than the partition has or allows: it will not start',
    'PartitionDown': 'the partition is closed: it starts when an administrator opens it',
    'PartitionInactive': 'the partition is inactive: it starts when an administrator opens it',
    'PartitionNodeLimit': 'requests more nodes than the partition allows, or than are up',
    'PartitionTimeLimit': 'requests more time than the partition allows: it will never start',
    'Priority': 'waits for jobs of a higher priority',
    'Prolog': 'its node is being prepared',
    'QOSNotAllowed': 'its quality of service is not allowed here: it will never start',
    'QOSUsageThreshold': 'the account has used up its limit of this quality of service',
    'ReqNodeNotAvail': 'a node that it needs is reserved, drained or down',
    'Reservation': 'waits for its reservation to begin',
    'ReservationDeleted': 'its reservation was deleted: it will never start',
    'Resources': 'waits for free nodes: next in line',
}

#: Words of sbatch after which it is not known whether the job was accepted. The controller may have taken it, and only
#: the reply got lost: that was seen with 'Socket timed out'.
SILENCE = re.compile('timed out|zero bytes|(send|receive|shutdown) failure|unexpected message|insane message|'
                     'connection reset|broken pipe|not connected|communication|shutting down', re.I)

#: Words after which it surely was not accepted, though it may be later: limits on the number of jobs, and a controller
#: that no connection could be made to, so that nothing was sent ('connect failure': the other failures come later).
#: The texts: https://github.com/SchedMD/slurm/blob/master/src/common/slurm_errno.c
BUSY = re.compile('(QOS|Assoc|Max)[A-Za-z]*Submit|resource temporarily unavailable|MaxJobCount|unable to accept job|'
                  'queue full|try again|rate limit|standby mode|presently disabled|partition not available|'
                  'not available now|nodes are busy|connect failure|configuration source|munge encode failed|'
                  'writing script/environment', re.I)

#: Its one sentence for all limits. Newer releases name the limit in a line before it.
POLICY = re.compile('violates accounting/QOS policy', re.I)
LIMIT = re.compile(r'\b(QOS|Assoc|Max)[A-Z]\w+')

#: Flags behind a node's state, as in `idle~` or `down*`: sinfo(1), NODE STATE CODES.
NODE_FLAGS = '*~#!%$@^-+'
NODES_UP = ('idle', 'mixed', 'allocated', 'completing', 'reserved', 'planned', 'perfctrs', 'blocked')


# ---- submitting

def resources(params):
    """Return the options that sbatch, salloc and srun share, for these params.

    `cores` and `memory` are for the whole job, while Slurm counts CPUs for each task and memory for each node: both are
    divided, and rounded up. What is in `extra` comes last, and so wins; where it brings a memory of its own, `memory`
    is left out, as `--mem` and `--mem-per-cpu` exclude each other.

    Raises:
        ValueError: `extra` ends within quotes
    """
    words = []
    extra = shlex.split(params.get('extra', ''))
    if 'working_directory' in params:
        words += ['-D', params['working_directory']]
    if 'queue' in params:
        words += ['-p', params['queue']]
    if 'nodes' in params:
        words.append('--nodes={}'.format(params['nodes']))
    if 'tasks' in params:
        words.append('--ntasks={}'.format(params['tasks']))
    if 'cores' in params:
        words.append('--cpus-per-task={}'.format(share(params['cores'], params.get('tasks') or params.get('nodes'))))
    own = {'--mem', '--mem-per-cpu', '--mem-per-gpu'}.intersection(word.partition('=')[0] for word in extra)
    if 'memory' in params and not own:
        words.append('--mem={}M'.format(share(params['memory'], (params.get('nodes') or 1) * 1024 ** 2)))
    if 'time' in params:
        words += ['-t', time_words(params['time'])]
    return words + extra


def share(amount, parts):
    """Return a part of an amount, rounded up."""
    return -(-amount // (parts or 1))


def time_words(seconds):
    """Return seconds as Slurm reads them, in whole minutes, rounded up: 5400 -> '01:30:00', 100000 -> '1-03:47:00'."""
    minutes = share(seconds, 60)
    days, minutes = divmod(int(minutes), 24 * 60)
    words = '{:02}:{:02}:00'.format(*divmod(minutes, 60))
    return '{}-{}'.format(days, words) if days else words


def output_words(output, many):
    r"""Return the path for `-o`: '.%a' added for an array, '.0' for a single job.

    A `%` in the path is written twice. A backslash in it stands for itself when written twice, but then nothing else
    is replaced either: the tasks of an array would overwrite one file, so /dev/null it is. (sbatch(1), filename
    pattern; `%%` and `\\` as seen with 22.05.)
    """
    if '\\' in output:
        return '/dev/null' if many else output.replace('\\', '\\\\') + '.0'
    return output.replace('%', '%%') + ('.%a' if many else '.0')


def submit_argv(script, name, count, params, output):
    """Return the words of sbatch for `Backend.submit_argv`.

    Options are on the command line, where no `#SBATCH` line or variable can change them.

    Raises:
        ValueError: `extra` ends within quotes
    """
    words = ['sbatch', '--parsable', '--no-requeue', '--export=ALL', '-J', name]
    if count > 1:
        words.append('--array=1-{}'.format(count))
    # Without -e, stderr goes to the same file.
    words += ['-o', output_words(output, count > 1)]
    return words + resources(params) + [script]


def parse_id(text):
    """Return the id in what sbatch printed, or '' where there is none, or more than one thing that could be it.

    Seen: '41'; '1507;cluster'; 'Submitted batch job 44 on cluster x'; each of them between the lines of a banner.
    """
    told = re.findall(r'\bSubmitted batch job (\d+)\b', text)
    lines = [line.strip() for line in text.splitlines()]
    found = set(told) or {line.partition(';')[0] for line in lines if re.match(r'\d+;\S+$', line)}
    found = found or {line for line in lines if re.match(r'\d+$', line)}
    return found.pop() if len(found) == 1 else ''


def error_words(answer):
    """Return in one line what a Slurm command complained of: all its lines, because the last alone seldom says which
    limit or name it was, and without their 'sbatch: error: '."""
    lines = re.findall(r'^(?:sbatch|squeue|sacct|scancel): (?:error: |fatal: )?(.*\S)', answer.err, re.M)
    return '; '.join(lines) or answer.words()


def parse_submission(answer, count=1, params=None):
    """Return what `Backend.submit` has to, for an `Answer` of sbatch.

    Args:
        answer: what sbatch said
        count: tasks in the submission
        params: its params, to say better what is wrong with them
    """
    if answer.code == 0:
        number = parse_id(answer.out)
        return ('ok', number) if number else ('silent', 'no job id in: {}'.format(answer.words()))
    words = error_words(answer)
    text = '{}\n{}'.format(answer.out, answer.err)
    if answer.code is None:
        if not unstarted(answer):
            return 'silent', words
        # The command itself could not be started; the environment or the words may be too long for the system.
        return ('refused' if 'too long' in words else 'busy'), words
    if SILENCE.search(text) or parse_id(answer.out):
        return 'silent', words
    if BUSY.search(text):
        return 'busy', words
    if POLICY.search(text) and not LIMIT.search(text):
        return 'busy', words
    if 'Invalid job array specification' in text and count > 1:
        return 'busy', '{} (an array of {})'.format(words, count)
    if answer.code < 0 or 128 < answer.code < 255 or not text.strip():
        # Killed before it could say anything final.
        return 'silent', words
    if 'mem-per-cpu' in text and 'memory' in (params or {}):
        each = share(params['memory'], max(params.get('cores', 1), params.get('tasks', 1)) * 1024 ** 2)
        words += ': leave `memory` out, and put `--mem-per-cpu={}M` into `extra`'.format(each)
    return 'refused', words


def unstarted(answer):
    """Return whether the command was never started: it is missing, or the system refused to run it."""
    return answer.code is None and 'no answer within' not in answer.err


# ---- following

def state(text):
    """Return (status, reason) for a state as Slurm writes it; ('OTHER', '') for one that is not known.

    Handles tails and cuts: 'CANCELLED by 1000', 'OUT_OF_ME+'.
    """
    word = text.split()[0] if text.split() else ''
    if word.endswith('+'):
        word = next((known for known in sorted(STATES) if known.startswith(word[:-1])), word)
    return STATES.get(word, ('OTHER', ''))


def meaning(reason):
    """Return what the reason of a pending job means, in plain words, or ''.

    Args:
        reason: as squeue has it, for example 'PartitionTimeLimit' or 'ReqNodeNotAvail, UnavailableNodes:n4'
    """
    word = re.split('[,:(]', reason.strip('() '))[0].strip()
    if word in REASONS:
        return REASONS[word]
    if word.startswith('Nodes required for job are DOWN'):
        return REASONS['ReqNodeNotAvail']
    if 'requeued held' in word:
        return 'held after a failed launch; release it with `scontrol release`'
    if not re.match('(QOS|Assoc|Max)[A-Za-z]', word):
        return ''
    if 'Min' in word.replace('Minutes', ''):
        return 'requests less than the minimum for a job here: it will never start'
    if 'PerJob' in word or 'PerNode' in word:
        return 'requests more than the maximum for a job here: it will never start'
    if 'Jobs' in word or 'JobLimit' in word:
        return 'the limit of running jobs is reached: it waits for one to end'
    if 'Minutes' in word and 'RunMinutes' not in word:
        return 'the granted computing time is used up'
    return 'the limit of resources in use is reached: it waits for other jobs to end'


#: Lists of indices are cut at 64 characters without it: squeue(1), sacct(1), ENVIRONMENT VARIABLES.
WHOLE = {'SLURM_BITSTR_LEN': '0'}


def poll_argv(ids, each=False):
    """Return the words of squeue that list all tasks of these ids, ended ones too while they are known.

    The ids are asked as %F and %K, because %i is cut at 30 characters, and %A is another number for each task. The name
    tells whose id it is now: a controller that was killed forgets what it took last, and gives its ids again.

    Args:
        ids: list of ids
        each: whether pending tasks come one a line. Not by default: `-r` forgets the last of the tasks where they are
            every second or third one of an array ('2-200:2', seen with 22.05).
    """
    return (['squeue', '-h', '-t', 'all', '-o', SEPARATOR.join(('%F', '%K', '%T', '%r', '%j')), '-j', ','.join(ids)]
            + (['-r'] if each else []))


def foreign(names, token):
    """Tell whether a job is another's, by the field with its name, where there is one."""
    return any(not name.endswith(token) for name in names)


def parse_poll(text, token=''):
    """Return {task: (status, reason, words)} for what `poll_argv` lists.

    Tasks of an array that have not started share a line: '5-6,8-20%4'. Those that were cancelled before they started
    may leave one record without index: it comes as task 0 of the array.

    Args:
        text: what it printed
        token: with which the names of ours end
    """
    found = {}
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(SEPARATOR)]
        # With SLURM_CLUSTERS there may be lines like 'CLUSTER: name' in between.
        if len(fields) < 4 or foreign(fields[4:], token):
            continue
        number, index, word, why = fields[:4]
        status, reason = state(word)
        why = '' if why == 'None' else why
        words = word
        if status == 'PENDING':
            words = ': '.join(part for part in (why, meaning(why)) if part) or word
        elif status == 'RUNNING':
            words = '' if word == 'RUNNING' else word
        elif status == 'COMPLETED':
            words = ''
        elif status == 'FAILED':
            if word == 'FAILED':
                reason = ENDS.get(why.split(':')[0], reason)
            words = '{} ({})'.format(word, why) if why else word
        for k in indices('[{}]'.format(index)) or [0]:
            found[number, k] = (status, reason, words)
    return found


def accounts_argv(ids, since):
    """Return the words of sacct that tell all of these ids.

    Not -D: of an id that was given out twice the newest record is wanted. The times are local ones, and sacct runs in
    the same time zone.

    Args:
        ids: list of ids
        since: seconds since the epoch; a job that ended before is not ours
    """
    return ['sacct', '-n', '-P', '--delimiter={}'.format(SEPARATOR), '-S', day(since), '-j', ','.join(ids),
            '--format=JobID,State,ExitCode,End,Elapsed,TotalCPU,MaxRSS,NodeList,JobName']


def day(seconds):
    """Return the local day of a time, as sacct reads it."""
    return time.strftime('%Y-%m-%d', time.localtime(seconds))


def parse_accounts(text, token=''):
    """Return {task: dict} as `Backend.accounts` does, of the tasks that have ended.

    Sources of odd facts: sacct shows exit codes over 128 without the 128 (137 reads 9:0), so that `exit_code` is less
    sure than what the job says itself; `0:53` is an output file that could not be opened; the memory of a job is that
    of its largest step, and sampled, hence often too little for a short job. Tasks that were cancelled before they
    started share one row, `27_[5-6,8-9%4]`, which may name some that did start: their own rows count.

    Args:
        text: what `accounts_argv` printed
        token: with which the names of ours end; steps have names of their own
    """
    found = {}
    never = {}
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(SEPARATOR)]
        if len(fields) < 8 or '.' not in fields[0] and foreign(fields[8:], token):
            continue
        name, word, exits, end, elapsed, cpu, memory, host = fields[:8]
        name, _, step = name.partition('.')
        number, _, index = name.partition('_')
        status, reason = state(word)
        if index.startswith('['):
            if status == 'FAILED':
                never.update({(number, k): {'status': status, 'reason': reason, 'words': word} for k in indices(index)})
            continue
        # '12+0' is the first part of a heterogeneous job.
        task = (number.partition('+')[0], int(index or 0))
        if step:
            if task in found:
                found[task]['memory'] = max(found[task].get('memory', 0), size(memory))
            continue
        # A record that has not caught up yet, or REQUEUED, says nothing about the end. After slurmdbd was away, it says
        # FAILED 0:0 with an unknown end for half a minute, of a job that ended meanwhile, whatever its exit code.
        if status in ('PENDING', 'RUNNING') or not end[:1].isdigit():
            continue
        job = found[task] = {'status': status, 'reason': reason, 'words': '' if status == 'COMPLETED' else word}
        code, _, signal = exits.partition(':')
        if word in ('COMPLETED', 'FAILED') and code.isdigit() and signal.isdigit():
            if int(signal) == 0:
                job['exit_code'] = int(code)
            elif int(signal) == 53 and int(code) == 0:
                job.update(reason='node', words='FAILED (0:53): on the node, the output folder is missing or read-only')
            else:
                job.update(reason='signal', signal=int(signal))
        job.update({key: value for key, value in (('elapsed', seconds(elapsed)), ('cpu', seconds(cpu)))
                    if value is not None})
        if host and host != 'None assigned':
            job['host'] = host
        if size(memory):
            job['memory'] = size(memory)
    for task, job in never.items():
        found.setdefault(task, job)
    for job in found.values():
        if not job.get('memory', 1):
            del job['memory']
    return found


def indices(text):
    """Return the list of the indices in '[5-6,8-9,13-20%4]', also where it is cut: '[1-2,4-5,7-'."""
    found = []
    parts = text.strip('[]').partition('%')[0].split(',')
    # The last one of a text that is cut may be anything.
    for part in parts if ']' in text else parts[:-1]:
        try:
            found.extend(numbers(part))
        except ValueError:
            pass
    return found


def seconds(text):
    """Return the seconds in '[days-][hours:]minutes:seconds[.fraction]', or None where it is something else."""
    match = re.match(r'(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)$', text)
    if not match:
        return None
    days, hours, minutes, rest = (float(part or 0) for part in match.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + rest


def size(text):
    """Return the bytes in '3188K', '1.50G' or '0'; 0 where it is something else."""
    match = re.match(r'(\d+(?:\.\d+)?)([KMGTP]?)n?c?$', text)
    return int(float(match.group(1)) * 1024 ** ' KMGTP'.index(match.group(2) or ' ')) if match else 0


def find_argv(name):
    """Return the words of squeue that show what this user has under a name."""
    return ['squeue', '-h', '-t', 'all', '-u', str(os.getuid()), '-n', name,
            '-o', SEPARATOR.join(('%F', '%T', '%r'))]


def find_accounts_argv(name, since):
    """Return the words of sacct that show what this user had under a name."""
    return ['sacct', '-n', '-X', '-P', '--delimiter={}'.format(SEPARATOR), '-S', day(since), '-u', str(os.getuid()),
            '--name={}'.format(name), '--format=JobID,State,NodeList']


def parse_find(text):
    """Return the id of the first submission that is listed by `find_argv` or `find_accounts_argv`, or ''.

    A submission that was refused may leave a record, FAILED without ever having had a node: it does not count.
    """
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(SEPARATOR)]
        if len(fields) == 3 and not (fields[1] == 'FAILED' and fields[2] in ('BadConstraints', 'None assigned')):
            number = re.match(r'\d+', fields[0])
            if number:
                found.append(int(number.group()))
    return str(min(found)) if found else ''


# ---- the rest

def cancel_argv(words):
    """Return the words of scancel for some of `cancel_words`."""
    return ['scancel'] + list(words)


def cancel_words(tasks, counts):
    """Return how scancel is told of tasks: '41', a whole array '27', or parts of it '27_[1-3,7]'."""
    arrays = {}
    for number, index in tasks:
        arrays.setdefault(number, set()).add(index)
    return [number if 0 in found or len(found) == counts.get(number) else '{}_[{}]'.format(number, ranges(found))
            for number, found in sorted(arrays.items())]


def limits_argv():
    """Return the words that show the site's configuration."""
    return ['scontrol', 'show', 'config']


def parse_limits(text):
    """Return {'array': the largest number of tasks} from `scontrol show config`; {} where it does not say.

    MaxArraySize limits the index: the greatest is one less. `max_array_tasks` limits the tasks. slurm.conf(5)
    """
    found = [int(number) - 1 for number in re.findall(r'^MaxArraySize\s*=\s*(\d+)', text, re.M)]
    found += [int(number) for number in re.findall(r'^SchedulerParameters\s*=.*\bmax_array_tasks=(\d+)', text, re.M)]
    return {'array': max(1, min(found))} if found else {}


def usage_argv():
    """Return the words that list all nodes (with each partition), and those that list this user's running jobs."""
    return (['sinfo', '-h', '-N', '-o', SEPARATOR.join(('%N', '%T', '%C'))],
            ['squeue', '-h', '-t', 'RUNNING', '-u', str(os.getuid()), '-o', '%C'])


def parse_usage(nodes, jobs):
    """Return the dict of `Backend.usage`, or None where there are no nodes.

    Args:
        nodes: name, state and CPUs as allocated/idle/other/total, a line for each node and partition
        jobs: CPUs, a line for each running job of this user
    """
    seen = {}
    for line in nodes.splitlines():
        fields = line.split(SEPARATOR)
        if len(fields) == 3 and re.match(r'\d+/\d+/\d+/\d+$', fields[2].strip()):
            seen[fields[0]] = (fields[1], [int(number) for number in fields[2].split('/')])
    busy = sum(cpus[0] for _, cpus in seen.values())
    there = sum(cpus[0] + cpus[1] for _, cpus in seen.values())
    if not seen:
        return None
    mine = sum(int(line) for line in jobs.split() if line.isdigit())
    up = [word for word, _ in seen.values() if word.rstrip(NODE_FLAGS) in NODES_UP and '*' not in word]
    return {'nodes': len(up), 'used': 100 * busy / max(1, there), 'mine': 100 * mine / max(1, there)}


def interactive_argv(params, command, stdin, stdout, overlap):
    """Return the words that run a shell command on a node now.

    One task goes through srun alone. For several, or several nodes, salloc gets the nodes, and the command runs once,
    on the first, from where it may use the others with srun or mpirun.

    Args:
        params: see `Backend`; `quiet`, where it is true, silences what Slurm says of its own
        command: for bash
        stdin, stdout: whether they are terminals. With both, the command gets a terminal too; with the latter alone,
            its output comes unbuffered. Where stdout is a pipe or a file, the command finds a pipe as well, or `ls`
            would write columns and colours into files; whole lines come at once then.
        overlap: whether this srun knows --overlap (since 20.11), without which the command's own srun would wait for
            the CPU that the command has
    """
    words = ['-Q'] if params.get('quiet') else []
    if params.get('name'):
        words += ['-J', params['name']]
    words += resources(params)
    step = ['--pty'] if stdin and stdout else ['--quit-on-interrupt'] + (['--unbuffered'] if stdout else [])
    shell = ['bash', '-c', '--', command]
    if max(params.get('tasks', 1), params.get('nodes', 1)) == 1:
        return ['srun', '--export=ALL'] + step + words + shell
    quiet = ['-Q'] if params.get('quiet') else []
    return (['salloc'] + words + ['srun', '--export=ALL', '--nodes=1', '--ntasks=1'] + quiet
            + (['--overlap'] if overlap else []) + step + shell)


def parse_version(text):
    """Return (year, month) of the release in what `srun --version` prints, or (0, 0): 'slurm 20.11.9' -> (20, 11)."""
    match = re.search(r'\b(\d+)\.(\d+)', text)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


class Slurm(Backend):
    """Slurm, release 17 to 25."""

    name = 'slurm'
    title = 'Slurm'
    commands = ('sbatch', 'squeue', 'scancel', 'scontrol')
    task_variable = 'SLURM_ARRAY_TASK_ID'
    # slurmstepd's lines in the standard error of the batch script, as seen on 22.05
    NOTES = ((r'DUE TO TIME LIMIT', 'time'), (r'oom-kill event|[Ee]xceeded (?:job )?memory limit', 'memory'),
             (r'DUE TO (?:NODE FAILURE|PREEMPTION)', 'node'), (r'\*\*\* .* CANCELLED AT', 'cancelled'))
    id_variable = 'SLURM_JOB_ID'

    def __init__(self, options=None):
        super().__init__(options)
        self._limits = {}

    def submit_argv(self, script, name, count, params, output):
        """See `Backend.submit_argv`, and `submit_argv`."""
        return submit_argv(script, name, count, params, output)

    def submit(self, script, name, count, params, output):
        """See `Backend.submit`.

        An array that is busy may be too large: for the site ('Invalid job array specification': ask `limits` again, and
        submit fewer), or for a limit on the number of jobs, which counts each task and refuses the array as a whole
        ('QOSMaxSubmitJobPerUserLimit': submit fewer, or wait). With the controller's table of jobs full, sbatch itself
        waits for two minutes; it is killed before that, and counts as silent.
        """
        try:
            words = self.submit_argv(script, name, count, params, output)
        except ValueError as error:
            return 'refused', 'extra: {}'.format(error)
        said = parse_submission(call(words, LC_ALL=os.environ.get('LC_ALL')), count, params)
        if said[0] == 'busy' and count > 1:
            self._limits = {}
        return said

    def job_name(self, prefix, batch, token):
        """See `Backend.job_name`. No commas, by which squeue -n would take it for two."""
        return '{}.{}.{}'.format(re.sub('[^A-Za-z0-9_.-]+', '_', prefix)[:40].strip('.-') or 'qmap', batch, token)

    def find(self, name):
        """See `Backend.find`.

        The queue knows a submission until some minutes after its end; later the accounts do. A site without accounts,
        or whose accounts do not answer, is no reason to wait: what ran has left its own word in the logs folder.
        A controller that comes back may answer this question a moment before it takes up a submission that waits at its
        door, so that '' is not quite sure in the first seconds.
        """
        answer = call(find_argv(name))
        if answer.code != 0:
            return None
        found = parse_find(answer.out)
        if not found:
            answer = call(find_accounts_argv(name, self._since()), **WHOLE)
            found = parse_find(answer.out) if answer.code == 0 else ''
        return found

    def poll(self, ids):
        """See `Backend.poll`."""
        found = {}
        for some in chunks(sorted(set(ids))):
            listed = self._listed(some)
            if listed is None:
                return None
            found.update(listed)
        return found

    def _listed(self, ids):
        """Return `parse_poll` of some ids, or None without an answer.

        One id that is not known any more is an error for squeue; among several it is left out. Should a release
        complain of several too, they are asked half by half.
        """
        answer = call(poll_argv(ids), **WHOLE)
        if answer.code == 0 and '...' in answer.out:
            answer = call(poll_argv(ids, True))
        if answer.code == 0:
            return parse_poll(answer.out, self.token)
        if 'Invalid job id specified' not in answer.err:
            return None
        if len(ids) == 1:
            return {}
        found = {}
        for half in (ids[:len(ids) // 2], ids[len(ids) // 2:]):
            listed = self._listed(half)
            if listed is None:
                return None
            found.update(listed)
        return found

    def accounts(self, tasks):
        """See `Backend.accounts`. A task that is not in it may be there some seconds later."""
        found = {}
        wanted = set(tasks)
        for some in chunks(sorted({number for number, _ in wanted})):
            answer = call(accounts_argv(some, self._since()), **WHOLE)
            if unstarted(answer) or 'accounting storage is disabled' in answer.err:
                return {}
            if answer.code != 0:
                return None
            found.update(parse_accounts(answer.out, self.token))
        return {task: job for task, job in found.items() if task in wanted}

    def _since(self):
        """Return the time, in seconds since the epoch, before which no job of ours can have ended.

        A day early, because the clock of the accounts may be another one.
        """
        return (self.since or time.time() - LOOKBACK * 86400) - 86400

    def cancel(self, tasks, counts):
        """See `Backend.cancel`. scancel says nothing about tasks that have ended, or that it does not know."""
        for words in chunks(cancel_words(tasks, counts)):
            call(cancel_argv(words))

    def usage(self):
        """See `Backend.usage`."""
        nodes, jobs = (call(words) for words in usage_argv())
        return parse_usage(nodes.out, jobs.out) if nodes.code == 0 and jobs.code == 0 else None

    def interactive(self, params, command):
        """See `Backend.interactive`, and `interactive_argv`.

        Raises:
            ValueError: `extra` ends within quotes
        """
        overlap = parse_version(call(['srun', '--version']).out) >= (20, 11)
        return interactive_argv(params, command, sys.stdin.isatty(), sys.stdout.isatty(), overlap)

    def limits(self):
        """See `Backend.limits`. Asked once, and again after an array was refused."""
        self._limits = self._limits or parse_limits(call(limits_argv()).out)
        return self._limits or super().limits()

    def task_name(self, task):
        """See `Backend.task_name`: '123_4', or '123' for a single job."""
        number, index = task
        return '{}_{}'.format(number, index) if index else number


BACKEND = Slurm
