"""LSF, beside what a lone qmap.py says to it: accounts, reasons in plain words, the load, and commands in a
terminal."""

import re
import shutil
import sys

from qmap import Lsf, portions
from qmap_backends import cluster_load, read_clock, read_size

#: Pending reasons that deserve an explanation: how they begin, and what it means.
#: IBM Spectrum LSF 10.1.0, "Pending reasons", and "bjobs -p".
PENDING = (
    ('Not enough processors to meet the job\'s spanning requirement',
     'no host has as many free slots as requested'),
    ('Job requirements for reserving resource (mem) not satisfied',
     'no host has as much free memory as requested'),
    ('Job\'s requirements for resource reservation not satisfied', 'no host has the reserved resources free'),
    ('Not enough job slot(s)', 'requests more slots than are free'),
    ('Not enough slots or resources', 'requests more than is free'),
    ('The queue has been closed', 'waits until an administrator opens the queue'),
    ('The queue has been inactivated', 'waits until the queue is active again'),
    ('Dependency condition invalid or never satisfied', 'waits for what never comes: it will never start'),
    ('Job dependency condition', 'waits for other jobs'),
    ('New job is waiting for scheduling', 'LSF has not considered it yet'),
)

#: How a line of bacct -l or bhist -l begins: a time, and for elements of arrays the index.
EVENT = r'(?m)^[ \t]*\w{3} \w{3} +\d+ [\d:]{8}(?: \d{4})?: +(?:\[\d+\] +)?'

#: The commands that read LSF's log files, in the order in which they are asked.
LOGS = (['bacct', '-l'], ['bhist', '-a', '-l', '-n', '2'])


# ---- accounts

def parse_seconds(text):
    """Return the seconds of '50 second(s)', '0.1', '12.5 seconds' or '01:02:03'; None for something else."""
    text = text.strip()
    number = re.match(r'(\d+(?:\.\d+)?)(?:\s*s(?:ec\w*(?:\(s\))?)?)?\.?$', text)
    return float(number.group(1)) if number else read_clock(text)


def parse_memory(text):
    """Return the bytes of '522 Mbytes', '5.2 Gbytes', '5M' or '48 G'; None without a unit, which the site
    decides."""
    return read_size(text) if text[-1:].isalpha() else None


def parse_hosts(text):
    """Return {host: slots} of '4*h1:8*h2' or 'h1:h1'."""
    hosts = {}
    for part in text.split(':'):
        count, star, name = part.strip().rpartition('*')
        if name:
            hosts[name] = hosts.get(name, 0) + (int(count) if star and count.isdigit() else 1)
    return hosts


def job_account(job):
    """Return the account of one of `parse_jobs`, or None while it has not ended."""
    found = Lsf.verdict(job['stat'], job['exit_code'], job['exit_reason'], job['exec_host'])
    if found['status'] not in ('COMPLETED', 'FAILED'):
        return None
    found.update(host=','.join(sorted(parse_hosts(job['exec_host']))) or None,
                 cpu=parse_seconds(job['cpu_used']), elapsed=parse_seconds(job['run_time']),
                 memory=parse_memory(job['max_mem']))
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
    """Return (state, exit code as text, reason, CPU seconds or None) of one of `records`; state is '' before
    its end.

    A job that ran again has several ends: the last one counts.
    """
    state, code, reason, cpu = '', '', '', None
    for end in re.finditer(EVENT + r'(Done successfully|Completed <\s*(?:done|exit)>|Exited)([^\n]*)', part):
        state = 'DONE' if 'done' in end.group(1).lower() else 'EXIT'
        number = re.match(r' with exit code (\d+)', end.group(2))
        killed = re.match(r' (?:by|with)(?: LSF)? signal(?: termination:)? (\d+)', end.group(2))
        if number:
            code = number.group(1)
        elif killed:
            code = '{}'.format(128 + int(killed.group(1)))
        keyword = re.search(r'TERM_\w+:[^;.\n]*', end.group(2))
        reason = keyword.group(0) if keyword else reason
        used = re.search(r'CPU time used is ([\d.]+) sec', end.group(2))
        cpu = float(used.group(1)) if used else cpu
    return state, code if state == 'EXIT' else '', reason, cpu


def parse_use(part):
    """Return dict of cpu, elapsed (seconds) and memory (bytes), as far as one of `records` has them."""
    # bacct: a row of numbers; its turnaround includes the wait. bhist: seconds by state, and the peak.
    row = re.search(r'(?m)^\s*CPU_T +WAIT +TURNAROUND[^\n]*\n'
                    r'\s*([\d.]+) +(\d+) +(\d+) +\w+ +[\d.]+ +(\S+)', part)
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
        task = Lsf.parse_task(header)
        state, code, reason, cpu = parse_end(part)
        if not task or not state:
            continue
        starts = re.findall(EVENT + r'[Dd]ispatched (?:\d+ Task\(s\) on Host\(s\)|to) ((?:<[^>]*> ?)+)', part)
        starts += re.findall(EVENT + r'[Ss]tarted on (?:\d+ \S+ )?((?:<[^>]*> ?)+)', part)
        hosts = parse_hosts(':'.join(re.findall(r'<\s*([^>]*)>', starts[-1]))) if starts else ()
        host = ','.join(sorted(hosts))
        account = dict(Lsf.verdict(state, code, reason, host), host=host or None, cpu=cpu)
        account.update(parse_use(part))
        sent = re.findall(EVENT + r'(Signal <(?:KILL|TERM|INT)> requested by user or administrator <.*?>)',
                          part)
        if sent and account['reason'] == 'signal':
            account.update(reason='cancelled', words=sent[-1])
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


def parse_queues(text):
    """Return {queue: what a job can have there at the most, as far as it is limited}, of `bqueues -l`: dict
    of time (seconds) and memory (bytes, as for `bsub -M`).

    Below MAXIMUM LIMITS, the names of limits stand on a line, and their values on the next: RUNLIMIT and
    `240.0 min of h1`, MEMLIMIT and `16 G`. (IBM Spectrum LSF 10.1.0, "bqueues", "Resource usage limits".)
    """
    found = {}
    for part in re.split(r'(?m)^QUEUE:', text.replace('\r\n', '\n'))[1:]:
        most = re.search(r'(?ms)^MAXIMUM LIMITS:(.*?)(?=^[A-Z]|\Z)', part)
        limits = {}
        text = most.group(1) if most else ''
        for names, values in re.findall(r'(?m)^ +([A-Z][A-Z ]*LIMIT) *\n +(\S[^\n]*)', text):
            values = re.findall(r'-|[\d.]+(?: [KMGTPE]\b| min\b(?: of \S+)?)?', values)
            limits.update(zip(names.split(), values))
        minutes = re.match(r'([\d.]+) min', limits.get('RUNLIMIT', ''))
        sizes = {'time': int(60 * float(minutes.group(1))) if minutes else None,
                 'memory': parse_memory(limits.get('MEMLIMIT', ''))}
        found[part.split(None, 1)[0]] = {key: size for key, size in sizes.items() if size}
    return found


def lacks_reason(account):
    """Tell whether a job failed on a host, and the account does not say with which exit status, or why a
    signal ended it."""
    is_open = 'exit_code' not in account or account['reason'] == 'signal'
    return account['status'] == 'FAILED' and is_open and bool(account.get('host'))


class FullLsf(Lsf):
    """LSF, with all that it can be asked: through bacct, bhist, bhosts and bqueues as well."""

    #: What the queues allow, as `parse_queues` tells it.
    _queues = {}

    def limits(self):
        """See `Backend.limits`. What `most` tells is asked together with them."""
        self._queues = parse_queues(self.ask(['bqueues', '-l']).out)
        return super().limits()

    def most(self, params):
        """See `Backend.most`: what the queue allows that the job requests."""
        params = self.requested(params)
        if re.search(r'(^|\s)({})'.format(self.queue_option), params.get('extra') or ''):
            return {}
        most = dict(self._queues.get(params.get('queue') or '', {}))
        if 'memory' in most and self.settings.get('memory_limit_per') == 'slot':
            most['memory'] *= max(params.get(key) or 1 for key in ('cores', 'tasks', 'nodes'))
        return most

    def meaning(self, reason):
        """See `Backend.meaning`."""
        return next((meaning for beginning, meaning in PENDING if reason.startswith(beginning)), '')

    def accounts(self, tasks):
        """See `Backend.accounts`: ask bjobs, then bacct for what that has forgotten, then bhist for that and
        for missing exit codes, and for who has sent a signal.

        bacct and bhist read log files, are slow, and at some sites are not for users: what they do not say is
        left out.
        """
        wanted = set(tasks)
        jobs = self._ask_queue(wanted)
        if jobs is None:
            return None
        accounts = {job['task']: job_account(job) for job in jobs}
        found = {task: account for task, account in accounts.items() if account}
        missing = wanted - set(accounts)
        logs = [command for command in LOGS if shutil.which(command[0])]
        answers = []
        for command in logs:
            asked = missing - set(found)
            if 'exit_reason' not in self._fields:    # then the logs alone know why a signal came
                asked |= {task for task in wanted & set(found) if found[task]['reason'] == 'signal'}
            if command[0] == 'bhist':
                asked |= {task for task in wanted & set(found) if lacks_reason(found[task])}
            answers.append(self._ask_log(command, asked, found))
        if logs and not any(answers) and missing - set(found):
            return None
        for account in found.values():
            self.note_reason(account['words'])
        return {task: found[task] for task in wanted if task in found}

    def _ask_queue(self, tasks):
        """Return what bjobs knows of tasks, as `Lsf.parse_jobs` does, None without an answer."""
        jobs = []
        for part in portions(self.task_words(tasks, {})):
            answer, listed = self.ask_jobs('-a', *part)
            if answer.code is None:
                return None
            text = answer.whole()
            if not listed and not re.search(self.NOT_FOUND, text) and not re.search(self.NOTHING_FOUND, text):
                return None
            jobs += listed
        return jobs

    def _ask_log(self, command, tasks, found):
        """Add what a log says of tasks to what was found; return whether it has answered.

        Args:
            command: list of words: bacct or bhist, with options
            tasks: set of those that it is asked for
            found: {task: dict}, as `accounts` returns it
        """
        for part in portions(self.task_words(tasks, {})):
            answer = self.ask(command + part)
            for task, account in parse_events(answer.out).items():
                if task in tasks:
                    # The later log adds to the earlier one, but does not take a reason away.
                    if task in found and account['reason'] in ('exit', 'signal'):
                        account = dict(account, reason=found[task]['reason'], words=found[task]['words'])
                    found[task] = dict(found.get(task, {}), **account)
            if answer.code is None:
                return False
        return True

    def usage(self):
        """See `Backend.usage`. A host that is closed but answers is up."""
        up, total, used = parse_bhosts(self.ask(['bhosts', '-w']).out)
        if not up:
            return None
        own, jobs = self.ask_jobs('-r')
        if not jobs and not re.search(self.NOTHING_FOUND, own.whole()):
            return None
        return cluster_load(up, total, used, sum(sum(parse_hosts(job['exec_host']).values()) for job in jobs))

    def interactive(self, params, command):
        """See `Backend.interactive`: with a pseudo-terminal where this process has a terminal."""
        argv = super().interactive(params, command)
        if sys.stdin.isatty() and sys.stdout.isatty():
            argv[argv.index('-I')] = '-Is'
        return argv


BACKEND = FullLsf
