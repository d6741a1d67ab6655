"""Slurm, beside what a lone qmap.py says to it: accounts, reasons in plain words, the load, and commands in a
terminal.

Nothing here asks for a field that not every release from 17 to 26 has: `Reserved`, for one, became `Planned`
in 23.02, and asking for either makes sacct fail on half of the sites.
"""

import os
import re
import signal
import sys
import time

from qmap import OTHER, Slurm, join_cluster, portions, split_clusters
from qmap_backends import cluster_load, read_clock, read_size

#: Days that the accounts are searched back where the driver does not say since when (`Backend.since`). Ids
#: start again when a site resets its controller; so an older job of the same number is not ours.
LOOKBACK = 60

#: What the reason of a pending job means. https://slurm.schedmd.com/job_reason_codes.html
#: Those of limits, of which there are a hundred, are made out by `meaning`.
REASONS = {
    'AccountingPolicy': 'a limit of the accounting is reached',
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
    'FedJobLock': 'another cluster of the federation may be starting it',
    'InactiveLimit': 'was inactive for too long',
    'InvalidAccount': 'its account does not exist any more: it will never start',
    'InvalidQOS': 'its quality of service does not exist any more: it will never start',
    'InvalidReason': 'Slurm itself has no name for the reason',
    'JobArrayTaskLimit': 'its array has reached its limit of running tasks',
    'JobHeldAdmin': 'held by an administrator, who has to release it',
    'JobHeldUser': 'held; release it with `scontrol release`',
    'JobHoldMaxRequeue': 'held after too many failed launches',
    'Licenses': 'waits for a licence',
    'MaxMemPerLimit': 'requests more memory than is allowed: it will never start',
    'MpiPortsBusy': 'waits for free network ports for MPI',
    'NodeDown': 'a node that it needs is down',
    'NvidiaImexChannels': 'waits for a free IMEX channel, by which GPUs of several nodes share memory',
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
    'ReservationInvalid': 'its reservation is not valid for it: it will not start by itself',
    'Resources': 'waits for free nodes: next in line',
    'SchedDefer': 'waits for the next round of the scheduler',
}

#: Runs srun within salloc with the words of a command behind `bash`. srun tells the command of one task and
#: one node; the command is to find what salloc says of all of them, as a batch script does.
AS_IN_A_BATCH = 'outer=(); for name in "${{!SLURM_@}}"; do outer+=("$name=${{!name}}"); done; ' \
    'exec {} env -u SLURM_NTASKS -u SLURM_NPROCS -u SLURM_DISTRIBUTION "${{outer[@]}}" "$@"'

#: Flags behind a node's state, as in `idle~` or `down*`: sinfo(1), NODE STATE CODES.
NODE_FLAGS = '*~#!%$@^-+'
NODES_UP = ('idle', 'mixed', 'allocated', 'completing', 'reserved', 'planned', 'perfctrs', 'blocked')


# ---- accounts

def accounts_argv(ids, since):
    """Return the words of sacct that tell all of these ids.

    Not -D: of an id that was given out twice the newest record is wanted. The times are local ones, and sacct
    runs in the same time zone.

    Args:
        ids: list of ids
        since: seconds since the epoch; a job that ended before is not ours
    """
    return ['sacct', '-n', '-P', '--delimiter=' + Slurm.SEPARATOR, '-S', day(since), '-j', ','.join(ids),
            '--format=JobID,State,ExitCode,End,Elapsed,TotalCPU,MaxRSS,NodeList,JobName,UID,JobIDRaw,NTasks']


def find_accounts_argv(name, since):
    """Return the words of sacct that show what this user had under a name."""
    return ['sacct', '-n', '-X', '-P', '--delimiter=' + Slurm.SEPARATOR, '-S', day(since),
            '-u', str(os.getuid()), '--name={}'.format(name), '--format=JobID,State,NodeList']


def day(seconds):
    """Return the local day of a time, as sacct reads it."""
    return time.strftime('%Y-%m-%d', time.localtime(seconds))


def parse_accounts(text, token=''):
    """Return {task: dict} as `Backend.accounts` does, of the tasks that have ended.

    Sources of odd facts: before 25.11, sacct shows exit codes over 128 without the 128 (137 reads 9:0), so
    that `exit_code` is less sure than what the job says itself; `0:53` is an output file that could not be
    opened; the memory of a job is that of its largest step, and sampled, hence often too little for a short
    job. Tasks that were cancelled before they started share one row, `27_[5-6,8-9%4]`, which may name some
    that did start: their own rows count.

    Args:
        text: what `accounts_argv` printed
        token: what the names of ours hold; steps have names of their own. A job of this user that has another
            name may be ours, or have got our id: it comes with its id as `only`, and counts if it is the task
            that has begun the attempt
    """
    found, never, used = {}, {}, {}
    for fields in Slurm.split_lines(text):
        is_step = '.' in fields[0]
        if len(fields) < 8:
            continue
        name, user, raw, processes = (fields + 4 * [''])[8:12]
        renamed = not is_step and token not in name
        another = re.search(Slurm.NAME_END, name) or user != str(os.getuid())
        if renamed and another:
            continue
        number, _, index = fields[0].partition('.')[0].partition('_')
        number = number.partition('+')[0]    # '12+0' is the first part of a heterogeneous job
        if index.startswith('['):
            if not renamed:
                never.update(never_started(number, index, fields[1]))
            continue
        task = (number, int(index or 0))
        job = None if is_step else read_job(fields)
        if job:
            found[task] = dict(job, only=raw) if renamed else job
        is_step_of_ours = is_step and task in found
        if job or is_step_of_ours:
            add_step(used.setdefault(task, {}), fields, processes)
    for task, use in used.items():
        found[task].update(use)
    never.update(found)
    return never


def add_step(used, fields, processes):
    """Add to what a job has used, a dict with memory and steps, what the fields of one of its steps tell.

    Args:
        used: dict
        fields: as `accounts_argv` asks for them
        processes: number of those that srun has started, as text; '' of the job itself. MaxRSS is that of the
            largest: sacct(1).
    """
    peak = (read_size(fields[6]) or 0) * int(processes if processes.isdigit() else 1)
    if peak > used.get('memory', 0):
        used['memory'] = peak
    if re.search(r'\.\d+$', fields[0]):    # neither .batch nor .extern
        used['steps'] = True


def never_started(number, index, word):
    """Return {task: dict} of the tasks that share a row, if they have ended before they started."""
    status, reason = Slurm.read_state(word)
    if status != 'FAILED':
        return {}
    return {(number, k): {'status': status, 'reason': reason, 'words': word}
            for k in Slurm.read_indices(index)}


def read_job(fields):
    """Return what the fields of a job, or of a task of an array, tell of its end; None where they tell of
    none.

    A record that has not caught up yet, or REQUEUED, says nothing about the end. After slurmdbd was away, it
    says FAILED 0:0 with an unknown end for half a minute, of a job that ended meanwhile, whatever its exit
    code.
    """
    word, exits, end, elapsed, cpu, _, host = fields[1:8]
    status, reason = Slurm.read_state(word)
    if status in ('PENDING', 'RUNNING') or not end[:1].isdigit():
        return None
    words = '' if status == 'COMPLETED' else Slurm.STATE_WORDS.get(word, word)
    job = {'status': status, 'reason': reason, 'words': words}
    code, _, number = exits.partition(':')
    if word in ('COMPLETED', 'FAILED') and code.isdigit() and number.isdigit():
        if int(number) == 0:
            job['exit_code'] = int(code)
            # Since 25.11 as it is: a shell says so that a signal ended a command.
            if int(code) - 128 in list(signal.Signals):
                job.update(reason='signal', signal=int(code) - 128)
        elif int(number) == 53 and int(code) == 0:
            job.update(reason='node',
                       words='FAILED (0:53): on the node, the output folder is missing or read-only')
        else:
            job.update(reason='signal', signal=int(number))
    job.update({key: value for key, value in (('elapsed', read_clock(elapsed)), ('cpu', read_clock(cpu)))
                if value is not None})
    if host and host != 'None assigned':
        job['host'] = host
    return job


# ---- the load, and a command now

def usage_argv():
    """Return the words that list all nodes (with each partition), and those that list this user's running
    jobs."""
    return (['sinfo', '-h', '-N', '-o', Slurm.SEPARATOR.join(('%N', '%T', '%C'))],
            ['squeue', '-h', '-a', '-t', 'RUNNING', '-u', str(os.getuid()), '-o', '%C'])


def parse_usage(nodes, jobs):
    """Return the dict of `Backend.usage`, or None where there are no nodes.

    Args:
        nodes: name, state and CPUs as allocated/idle/other/total, a line for each node and partition
        jobs: CPUs, a line for each running job of this user
    """
    seen = {}
    for line in nodes.splitlines():
        fields = line.split(Slurm.SEPARATOR)
        if len(fields) == 3 and re.match(r'\d+/\d+/\d+/\d+$', fields[2].strip()):
            seen[fields[0]] = (fields[1], [int(number) for number in fields[2].split('/')])
    busy = sum(cpus[0] for _, cpus in seen.values())
    there = sum(cpus[0] + cpus[1] for _, cpus in seen.values())
    if not seen:
        return None
    mine = sum(int(line) for line in jobs.split() if line.isdigit())
    up = [word for word, _ in seen.values() if word.rstrip(NODE_FLAGS) in NODES_UP and '*' not in word]
    return cluster_load(len(up), there, busy, mine)


def partitions_argv():
    """Return the words that list the partitions: what each allows, a line for each kind of its nodes."""
    return ['sinfo', '-h', '-a', '-e', '-o', Slurm.SEPARATOR.join(('%P', '%l', '%m'))]


def parse_partitions(text):
    """Return {name of a partition, '' for the default one: {'time': seconds, 'memory': bytes of its largest
    node}}; what has no limit is left out.

    Args:
        text: name (with a * for the default one), time limit, and MB of a node, a line for each kind of nodes
    """
    found = {}
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(Slurm.SEPARATOR)]
        if len(fields) != 3:
            continue
        name, limit, size = fields
        for name in [name.rstrip('*')] + [''] * name.endswith('*'):
            known = found.setdefault(name, {})
            seconds = read_clock(limit if ':' in limit else '')
            known.update({'time': int(seconds)} if seconds else {})
            if size.isdigit():
                known['memory'] = max(int(size) << 20, known.get('memory', 0))
    return found


def interactive_argv(params, command, stdin, stdout, overlap):
    """Return the words that run a shell command on a node now.

    One task goes through srun alone. For several, or several nodes, salloc gets the nodes, and the command
    runs once, on the first, from where it may use the others with srun or mpirun.

    Args:
        params: see `Backend`; `quiet`, where it is true, silences what Slurm says of its own
        command: for bash
        stdin, stdout: whether they are terminals. With both, the command gets a terminal too; with the latter
            alone, its output comes unbuffered. Where stdout is a pipe or a file, the command finds a pipe as
            well, or `ls` would write columns and colours into files; whole lines come at once then.
        overlap: whether this srun knows --overlap (since 20.11), without which the command's own srun would
            wait for the CPU that the command has
    """
    words = ['-Q'] if params.get('quiet') else []
    if params.get('name'):
        words += ['-J', params['name']]
    words += Slurm.resources(params)
    step = ['--pty'] if stdin and stdout else ['--quit-on-interrupt'] + (['--unbuffered'] if stdout else [])
    shell = ['bash', '-c', '--', command]
    if max(params.get('tasks', 1), params.get('nodes', 1)) == 1:
        return ['srun', '--export=ALL'] + step + words + shell
    quiet = ['-Q'] if params.get('quiet') else []
    one_task = ['srun', '--export=ALL', '--nodes=1', '--ntasks=1'] + (['--overlap'] if overlap else [])
    in_batch = AS_IN_A_BATCH.format(' '.join(one_task + quiet + step))
    return ['salloc'] + words + ['bash', '-c', '--', in_batch, 'bash'] + shell


def parse_version(text):
    """Return (year, month) of the release in what `srun --version` prints, or (0, 0): 'slurm 20.11.9' -> (20,
    11)."""
    match = re.search(r'\b(\d+)\.(\d+)', text)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


class FullSlurm(Slurm):
    """Slurm, release 17 to 26, with all that it can be asked."""

    #: Whether the site keeps accounts, as far as is known.
    _keeps_accounts = False
    #: What the partitions allow, as `parse_partitions` tells it.
    _partitions = {}

    def limits(self):
        """See `Backend.limits`. What `most` tells is asked together with them."""
        self._partitions = parse_partitions(self.ask(partitions_argv()).out)
        return super().limits()

    def most(self, params):
        """See `Backend.most`: what one of the partitions allows."""
        params, found = self.requested(params), {}
        if re.search(r'(^|\s)({})'.format(self.queue_option), params.get('extra') or ''):
            return {}
        known = [self._partitions.get(name, {}) for name in (params.get('queue') or '').split(',')]
        for key, count in ('time', 1), ('memory', params.get('nodes') or 1):
            if all(key in partition for partition in known):
                found[key] = count * max(partition[key] for partition in known)
        return found

    @property
    def proves_absence(self):
        """See `Backend`: also where the accounts know of what has begun."""
        return super().proves_absence or all((self._keeps_accounts, not self._was_cut))

    def meaning(self, reason):
        """See `Backend.meaning`: of 'PartitionTimeLimit', or 'ReqNodeNotAvail, UnavailableNodes:n4'."""
        word = re.split('[,:(]', reason.strip('() '))[0].strip()
        if word in REASONS:
            return REASONS[word]
        if word.startswith('Nodes required for job are DOWN'):
            return REASONS['ReqNodeNotAvail']
        if 'env retrieval failed' in word:    # since 25.05; before, the job ran without
            return 'held: its node could not make the environment for --export or --get-user-env; ' \
                'leave these out, or release it with `scontrol release`'
        if 'requeued held' in word:
            return 'held after a failed launch, until you release it with `scontrol release`'
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

    def find_on(self, cluster, name):
        """See `Slurm.find_on`.

        When the queue has forgotten a submission, the accounts know of it. A site without accounts, or whose
        accounts do not answer, is no reason to wait: what ran has left its own word in the logs folder.
        """
        found = super().find_on(cluster, name)
        if found == '':
            answer = self.ask(find_accounts_argv(name, self._since()), cluster)
            found = self.parse_find(answer.out) if answer.code == 0 else ''
        return found

    def accounts(self, tasks):
        """See `Backend.accounts`. A task that is not in it may be there some seconds later."""
        found = {}
        wanted = set(tasks)
        for cluster, numbers in split_clusters(sorted({number for number, _ in wanted})).items():
            there = self.accounts_on(cluster, numbers)
            if there is None:
                return None
            found.update(((join_cluster(number, cluster), index), job)
                         for (number, index), job in there.items())
        for job in found.values():
            if job['status'] == OTHER:
                self.note_unknown('state', job['words'])
        return {task: job for task, job in found.items() if task in wanted}

    def accounts_on(self, cluster, numbers):
        """Return what `accounts` does, of all tasks of these submissions of one cluster."""
        found = {}
        for some in portions(numbers):
            answer = self.ask(accounts_argv(some, self._since()), cluster)
            if answer.unstarted() or 'accounting storage is disabled' in answer.err:
                return {}
            if answer.code != 0:
                return None
            self._keeps_accounts = True
            found.update(parse_accounts(answer.out, self.token))
        if self.read_limits().get('caches'):
            for job in found.values():
                if 'memory' in job:
                    job['memory_below'] = job.pop('memory')
        return found

    def _since(self):
        """Return the time, in seconds since the epoch, before which no job of ours can have ended.

        A day early, because the clock of the accounts may be another one.
        """
        return (self.since or time.time() - LOOKBACK * 86400) - 86400

    def usage(self):
        """See `Backend.usage`."""
        nodes, jobs = (self.ask(words, self.clusters({})[0]) for words in usage_argv())
        return parse_usage(nodes.out, jobs.out) if nodes.code == 0 and jobs.code == 0 else None

    def interactive(self, params, command):
        """See `Backend.interactive`, and `interactive_argv`."""
        overlap = parse_version(self.ask(['srun', '--version']).out) >= (20, 11)
        return interactive_argv(params, command, sys.stdin.isatty(), sys.stdout.isatty(), overlap)


BACKEND = FullSlurm
