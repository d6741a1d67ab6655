"""What the jobs of an execution requested and used: `qmap info --advise`, and figures of `qmap report`."""

import array
import collections
import itertools
import math

from qmap import (
    ENDED_CODES, Ledger, Logs, Plan, QMapError, REASONS, STATUSES, cores_of, dropped_numbers, exact_memory,
    is_final_record, memory_text, peak_text, plural, retried_numbers, sound_record, with_unmerged)

UNKNOWN = float('nan')

#: How a job ended, as `Usage.ends` stores it: 0 has not ended, 1 COMPLETED, 2 FAILED without a known reason.
NOT_ENDED, COMPLETED, FAILED = 0, 1, 2

#: Fewer jobs than this say little of those to come.
FEW = 20

#: Workers are worth it (--pull) from so many jobs on of which half take less than so many seconds.
MANY, SHORT = 100, 10

#: Seconds that a job must run to tell how many cores it uses: of a shorter one, most is its start.
MEASURABLE = 1

#: What share of the jobs the advice is to fit.
FIT = 0.99

#: Up to which amount a figure is rounded up to a multiple of what, so that the advice reads as people type.
MEGA, GIGA = 1024 ** 2, 1024 ** 3
MEMORY_STEPS = [(256 * MEGA, 32 * MEGA), (GIGA, 128 * MEGA), (4 * GIGA, GIGA // 2), (16 * GIGA, GIGA),
                (64 * GIGA, 4 * GIGA), (256 * GIGA, 16 * GIGA), (math.inf, 64 * GIGA)]
#: In seconds. Schedulers take whole minutes.
TIME_STEPS = [(600, 60), (3600, 300), (4 * 3600, 900), (86400, 3600), (4 * 86400, 6 * 3600),
              (math.inf, 86400)]


class Shared(list):
    """Values that many jobs share: each stands in the list once, and a job has only its index, the code.

    Attributes:
        codes: {value: code}
    """

    def __init__(self, values=(), most=math.inf):
        """
        Args:
            values: the first ones
            most: the highest code, which all values behind it share
        """
        super().__init__(values)
        self._most = most
        self.codes = {value: code for code, value in enumerate(self)}

    def code_of(self, value):
        """Return the code of a value, a new one where it is not in the list yet."""
        code = self.codes.get(value)
        if code is None:
            code = self.codes[value] = min(len(self), self._most)
            self.append(value)
        return code


class Times:
    """When the last attempt of each job was submitted, started, finished: seconds since 1970, 0 if unknown.

    Attributes:
        submitted, started, finished: an array each
    """

    def __init__(self, count):
        self.submitted, self.started, self.finished = (array.array('d', bytes(8 * count)) for _ in range(3))


class Used:
    """What the last attempt of each job used; nan where that is not known.

    Attributes:
        elapsed: array of the seconds that it ran
        cpu: array of the seconds of CPU time
        memory: array of the most bytes that it held
        below: array of an upper bound of these, where only that is known
    """

    def __init__(self, count):
        self.elapsed, self.memory, self.below = (array.array('d', [UNKNOWN]) * count for _ in range(3))
        self.cpu = array.array('f', [UNKNOWN]) * count


class Usage:
    """What the last attempt of each job requested and used: a column for each figure, 59 bytes a job.

    Attributes:
        count: number of jobs
        ends: bytearray, how each ended: an index into `reasons`
        reasons: Shared words for `ends`
        times: Times
        used: Used
        asked: index into `sets`
        sets: Shared (cores, memory, time), seconds and bytes as numbers, None where not asked for
        host: index into `hosts`
        hosts: Shared names, of which the first is '', for none
        earlier: list of (number of the job, how it ended, host, submitted, started, finished) of the attempts
            that ran before a retry
    """

    def __init__(self, count, group, reasons):
        """
        Args:
            count: number of jobs
            group: commands in a job
            reasons: all words that `error_reason` may be
        """
        self.count = count
        self._group = group
        self.reasons = Shared(['', 'completed', 'failed'] + list(reasons))
        self.ends = bytearray(count)
        self.times, self.used = Times(count), Used(count)
        self.asked = array.array('I', bytes(4 * count))
        self.host = array.array('H', bytes(2 * count))
        self.sets, self.hosts, self.earlier = Shared(), Shared([''], 65535), []
        self._same = None, 0

    def extend_for(self, plan, event):
        """Take in that the map is another from here on, with more jobs, as a `map` event says."""
        plan.note_map(event)
        count = -(-event['commands'] // self._group)
        more, self.count = count - self.count, count
        other = Usage(more, self._group, [])
        for own, added in (self, other), (self.times, other.times), (self.used, other.used):
            for name, column in vars(added).items():
                if isinstance(column, (bytearray, array.array)):
                    getattr(own, name).extend(column)

    def add(self, record, params, on_cluster=True):
        """Take the record of a job that has ended in place of what was known of the job.

        Args:
            record: dict, an event of the journal
            params: dict, with what its attempt was submitted
            on_cluster: whether a scheduler ran it
        """
        number, times, used = int(record['job']) // self._group, self.times, self.used
        started, finished = record.get('started'), record.get('finished')
        memory, cpu = record.get('memory'), record.get('cpu')
        if record.get('oom_kills') and record['status'] == 'COMPLETED':
            memory = None    # it had too little, and it is not known how much it needs
        self.ends[number] = COMPLETED if record['status'] == 'COMPLETED' else \
            self.reasons.codes.get(record.get('error_reason'), FAILED)
        times.submitted[number], times.started[number] = record.get('submitted') or 0, started or 0
        times.finished[number] = finished or 0
        used.elapsed[number] = max(0, finished - started) if started and finished else UNKNOWN
        used.memory[number] = memory or UNKNOWN
        below = None if memory else record.get('memory_below')
        used.below[number] = below or UNKNOWN
        used.cpu[number] = UNKNOWN if cpu is None else cpu
        if params is not self._same[0]:
            self._same = params, self.sets.code_of((
                cores_of(params, on_cluster), params.get('memory'), params.get('time')))
        self.asked[number] = self._same[1]
        self.host[number] = self.hosts.code_of(record.get('host') or '')

    def retry(self, number):
        """Take it that a job runs once more."""
        times = self.times
        if self.ends[number] and times.started[number] and times.finished[number]:
            self.earlier.append((number, self.ends[number], self.host[number], times.submitted[number],
                                 times.started[number], times.finished[number]))
        self.forget(number)

    @property
    def cancelled(self):
        """The code in `ends` of what was cancelled."""
        return self.reasons.codes['cancelled']

    def forget(self, number):
        """Take it that a job has not ended, or not ended by running."""
        self.ends[number] = NOT_ENDED

    def settle(self, ledger, add):
        """Take in what the events do not tell one by one, and leave out jobs that are no longer in the map.

        Args:
            ledger: Ledger, read
            add: function of the record of a job that has ended
        """
        for number, status in enumerate(ledger.status):
            if number in ledger.gone:
                self.forget(number)
            elif status in ENDED_CODES:
                if not self.ends[number]:    # cancelled before it was submitted, or told by another event
                    add(ledger.record(number))
            elif self.ends[number]:
                self.forget(number)
        kept = [attempt for attempt in self.earlier if attempt[0] not in ledger.gone]
        self.earlier = [attempt for attempt in kept    # but those of which a retry was taken back
                        if not self.ends[attempt[0]] or self.times.started[attempt[0]] != attempt[4]]

    def where(self, ends):
        """Return an iterator that tells of each job whether it ended so.

        Args:
            ends: function of a code in `ends`
        """
        return map(bytes(bool(ends(code)) for code in range(256)).__getitem__, self.ends)


def read(path):
    """Read an execution in one pass over its journal.

    Args:
        path: of the logs folder

    Returns:
        (Plan, Ledger, Usage)

    Raises:
        QMapError: there is none, or it cannot be read
    """
    logs = Logs(path)
    plan = Plan(logs)
    ledger = Ledger(logs, plan.first, plan.group)
    usage = Usage(ledger.count, plan.group, REASONS)
    ledger.on_map = lambda event: usage.extend_for(plan, event)

    def add_record(record):
        record = sound_record(record)
        usage.add(record, plan.params_of(record), plan.on_cluster)

    def on_event(event):
        if is_final_record(event):
            add_record(event)
        for number in retried_numbers(event):
            usage.retry(number)
        for number in dropped_numbers(event):
            usage.forget(number)

    try:
        driver = logs.driver_now()
        ledger.load(on_event)
        ledger.miss(driver)
        plan.settle_map(ledger)
        ledger = with_unmerged(plan, ledger)
        for event in ledger.unwritten:
            on_event(event)
        usage.settle(ledger, add_record)
    except OSError as error:
        raise QMapError('{}: {}'.format(error.filename or path, error.strerror))
    return plan, ledger, usage


def quantile(values, share):
    """Return the least of sorted values that is not below this share of them."""
    return values[max(0, math.ceil(share * len(values) - 1e-9) - 1)]


def spread(values):
    """Return the number, median, 95th percentile and maximum of figures; None if there are none."""
    values = sorted(values)
    if not values:
        return None
    half = len(values) // 2
    median = values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2
    return collections.OrderedDict([
        ('jobs', len(values)), ('median', median), ('percentile_95', quantile(values, 0.95)),
        ('maximum', values[-1])])


def round_up(value, steps):
    """Return a figure rounded up to a multiple that suits its size."""
    step = next(step for most, step in steps if value <= most)
    return int(math.ceil(value / step) or 1) * step


def time_flag(seconds):
    """Return seconds as they are typed behind -t: 45m, 1h30m, 2d."""
    parts = [(seconds // 86400, 'd'), (seconds // 3600 % 24, 'h'), (seconds // 60 % 60, 'm'),
             (seconds % 60, 's')]
    return ''.join('{:.0f}{}'.format(number, unit) for number, unit in parts if number) or '0s'


class Needs:
    """What the jobs that completed used.

    Attributes:
        memory, time, cores: as from `spread`
        below: of how many only an upper bound of the memory is known, and the highest of them; None for none
        used_cores: sorted array of how many cores each kept busy
    """

    def __init__(self, usage, completed):
        """
        Args:
            usage: Usage
            completed: bytes, 1 for each job that completed
        """
        used = usage.used
        self.memory = spread(value for value in itertools.compress(used.memory, completed) if value == value)
        below = [value for value in itertools.compress(used.below, completed) if value == value]
        self.below = None
        if below:
            self.below = collections.OrderedDict([('jobs', len(below)), ('maximum', int(max(below)))])
        self.time = spread(value for value in itertools.compress(used.elapsed, completed) if value == value)
        self.used_cores = array.array('f', sorted(
            cpu / elapsed for cpu, elapsed in itertools.compress(zip(used.cpu, used.elapsed), completed)
            if cpu == cpu and elapsed >= MEASURABLE))
        self.cores = spread(self.used_cores)


class Requests:
    """What the jobs that have ended had requested.

    Attributes:
        values: {'cores', 'memory', 'time': sorted list of the values}
        some_without: set of those keys that some jobs did not request
    """

    KEYS = ('cores', 'memory', 'time')

    def __init__(self, usage):
        found = set(itertools.compress(usage.asked, usage.where(lambda code: code != NOT_ENDED)))
        self.values, self.some_without = collections.OrderedDict(), set()
        for place, key in enumerate(self.KEYS):
            values = {usage.sets[code][place] for code in found}
            self.values[key] = sorted(values - {None})
            if None in values:
                self.some_without.add(key)


class Waste:
    """What was reserved and what was used, by all that ran, in byte-seconds and core-seconds.

    Attributes:
        reserved_memory, used_memory, core_time, cpu_time: sums
    """

    def __init__(self, usage):
        reserved_memory = used_memory = core_time = cpu_time = 0
        used, sets = usage.used, usage.sets
        ran = usage.where(lambda code: code != NOT_ENDED)
        for elapsed, cpu, memory, asked in itertools.compress(
                zip(used.elapsed, used.cpu, used.memory, usage.asked), ran):
            if not elapsed > 0:
                continue
            cores, limit, _ = sets[asked]
            if cpu == cpu:
                core_time += cores * elapsed
                cpu_time += min(cpu, cores * elapsed)
            if limit and memory == memory:
                reserved_memory += limit * elapsed
                used_memory += min(memory, limit) * elapsed
        self.reserved_memory, self.used_memory = reserved_memory, used_memory
        self.core_time, self.cpu_time = core_time, cpu_time


def largest_limit_exceeded(usage, place, reason):
    """Return the largest limit that some jobs exceeded, None where it is not known.

    Args:
        usage: Usage
        place: of the limit in `sets`
        reason: the `error_reason` of these jobs
    """
    code = usage.reasons.index(reason)
    sets = set(itertools.compress(usage.asked, usage.where(lambda end: end == code)))
    return max((usage.sets[asked][place] for asked in sets if usage.sets[asked][place]), default=None)


class Fit:
    """The least memory and time that FIT of the jobs would have fitted in, as far as is known.

    Attributes:
        flags: {'memory': bytes, 'time': seconds}, those that are known
        fitting, of: how many jobs these would have fitted, of how many
        beyond: {'memory', 'time': number of jobs that exceeded that limit}
        too_little: {'memory', 'time': the largest limit that was exceeded, or None}
    """

    def __init__(self, usage, needs, completed, failed):
        """
        Args:
            usage: Usage
            needs: Needs
            completed: bytes, 1 for each job that completed
            failed: {error_reason: number of jobs}
        """
        self.beyond = collections.OrderedDict((key, failed.get(key, 0)) for key in ('memory', 'time'))
        self.too_little = {key: largest_limit_exceeded(usage, Requests.KEYS.index(key), key)
                           for key in self.beyond}
        self.flags, self.fitting = collections.OrderedDict(), 0
        used, memory_known = usage.used, needs.memory or needs.below
        # Where the memory of some is not known, the others speak for them. An upper bound is enough for each.
        enough = array.array('d', (memory if memory == memory else below
                                   for memory, below in zip(used.memory, used.below)))
        has_time = (elapsed == elapsed for elapsed in used.elapsed)
        has_memory = (memory == memory for memory in enough) if memory_known else itertools.repeat(True)
        known = bytes(map(all, zip(completed, has_time, has_memory)))
        self.of = known.count(1) + sum(self.beyond.values())
        if 1 not in known:
            return
        spare = max(0, int((1 - FIT) * self.of + 1e-9) - sum(self.beyond.values()))
        if memory_known:
            spare //= 2    # whoever does not fit the one may fit the other
            memory = sorted(itertools.compress(enough, known))[-1 - spare]
            self.flags['memory'] = round_up(memory, MEMORY_STEPS)
        seconds = sorted(itertools.compress(used.elapsed, known))[-1 - spare]
        self.flags['time'] = round_up(seconds, TIME_STEPS)
        most, longest = self.flags.get('memory', math.inf), self.flags['time']
        self.fitting = sum(1 for memory, elapsed in itertools.compress(zip(enough, used.elapsed), known)
                           if elapsed <= longest and not memory > most)


class Advice:
    """What an execution teaches about what to request.

    What jobs need is known from those that completed. One that failed for another reason may have stopped
    before it had used what it needs; one over its memory or time needs more than it asked for, and nobody
    knows how much.

    Attributes:
        counts: {status: number of jobs}
        failed: {error_reason: number of jobs}
        cancelled: number of jobs
        skipped: number of jobs that are COMPLETED and never ran
        needs: Needs
        requests: Requests
        waste: Waste
        fit: Fit
        flags: {'memory', 'time', 'cores', 'pull': number} of the request that is recommended
    """

    def __init__(self, plan, ledger, usage):
        """
        Args:
            plan, ledger, usage: as `read` returns them
        """
        self._local = plan.info['executor'] == 'local'
        self.counts = collections.OrderedDict(zip(STATUSES, ledger.counts))
        self.cancelled = usage.ends.count(usage.cancelled)
        self.skipped = ledger.count_skipped()
        self.failed = collections.OrderedDict()
        for code, reason in enumerate(usage.reasons):
            if code > COMPLETED and usage.ends.count(code):
                self.failed[reason] = usage.ends.count(code)
        completed = bytes(usage.where(lambda code: code == COMPLETED))
        self.needs = Needs(usage, completed)
        self.requests = Requests(usage)
        self.waste = Waste(usage)
        self.fit = Fit(usage, self.needs, completed, self.failed)
        self.flags = collections.OrderedDict(self.fit.flags)
        if self.flags:
            self._advise_cores()
            if not (self._local or plan.info.get('pull') or ledger.settings.get('pull')):
                self._advise_workers(plan.info['max_running'])

    def _advise_cores(self):
        requested = self.requests.values['cores']
        if len(requested) == 1 and self.needs.used_cores:
            enough = max(1, math.ceil(quantile(self.needs.used_cores, 0.95) - 0.05))
            if enough < requested[0]:
                self.flags['cores'] = enough

    def _advise_workers(self, most):
        time = self.needs.time
        if most and time['jobs'] >= MANY and time['median'] < SHORT:
            self.flags['pull'] = min(most, time['jobs'] // FEW)

    def flag_text(self):
        """Return the flags to ask with next time, '-m 6G -t 2h'; '' where nothing is known."""
        parts = []
        if 'memory' in self.flags:
            parts.append('-m ' + exact_memory(self.flags['memory']))
        if 'time' in self.flags:
            parts.append('-t ' + time_flag(self.flags['time']))
        return ' '.join(parts)

    def as_dict(self):
        """Return all of it for programs: bytes, seconds and numbers of cores."""
        found = collections.OrderedDict([
            ('jobs', sum(self.counts.values())), ('counts', self.counts), ('failed', self.failed)])
        for key, figures in (('memory', self.needs.memory), ('time', self.needs.time),
                             ('cores', self.needs.cores)):
            found[key] = collections.OrderedDict([('asked', self.requests.values[key]), ('used', figures)])
        found['memory']['below'] = self.needs.below
        waste, fit = self.waste, self.fit
        found['unused'] = collections.OrderedDict([
            ('memory', share_unused(waste.used_memory, waste.reserved_memory)),
            ('cores', share_unused(waste.cpu_time, waste.core_time))])
        found['reserved'] = collections.OrderedDict([
            ('byte_seconds', round(waste.reserved_memory)), ('core_seconds', round(waste.core_time, 3))])
        found['next'] = collections.OrderedDict([
            ('flags', self.flag_text())] + list(self.flags.items())
            + [('fits', fit.fitting), ('of', fit.of), ('needed_more_than_asked', fit.beyond)])
        return found

    # As sentences

    def lines(self):
        """Yield it as lines for people."""
        yield self.basis()
        if not self.needs.time:
            yield 'no recommendation: no job has completed yet'
        else:
            yield self.figures('memory', self.needs.memory, memory_text)
            yield self.figures('time', self.needs.time, short_time)
            yield self.figures('cores', self.needs.cores, '{:.1f}'.format)
        for sentence in self.notes() + self.advice():
            yield sentence

    def basis(self):
        """Return the sentence that says on which jobs all this is based, and which are not among them."""
        counts = self.counts
        total = sum(counts.values())
        failed = collections.OrderedDict(item for item in self.failed.items() if item[0] != 'cancelled')
        rest = []
        if counts['FAILED'] > self.cancelled:
            reasons = ', '.join('{}{}'.format('' if len(failed) == 1 else '{:,} '.format(count), reason)
                                for reason, count in failed.items())
            rest.append('{:,} failed{}'.format(
                counts['FAILED'] - self.cancelled, ' ({})'.format(reasons) if reasons else ''))
        if self.cancelled:
            rest.append('{:,} cancelled'.format(self.cancelled))
        going = counts['RUNNING'] + counts['PENDING'] + counts['OTHER']
        if going:
            rest.append('{:,} running or pending'.format(going))
        if counts['UNSUBMITTED']:
            rest.append('{:,} not submitted'.format(counts['UNSUBMITTED']))
        if not rest:
            return 'based on {}, all completed'.format(plural(total, 'job'))
        return 'based on the {:,} completed of {}; the others: {}'.format(
            counts['COMPLETED'], plural(total, 'job'), ', '.join(rest))

    def requested(self, key, text):
        """Return what was requested: '8G', '4G to 32G', 'nothing'."""
        found = self.requests.values[key]
        if not found:
            return 'nothing'
        if key == 'cores':
            text = str
        elif key == 'memory':
            text = memory_text
        shown = text(found[0]) if len(found) == 1 else '{} to {}'.format(text(found[0]), text(found[-1]))
        return shown + (', or nothing' if key in self.requests.some_without else '')

    def figures(self, key, found, text):
        """Return the line of one resource."""
        head = '{:8}requested {}; used: '.format(key, self.requested(key, text))
        below = self.needs.below if key == 'memory' else None
        if below and not found and below['jobs'] == self.counts['COMPLETED']:
            return head + less_than(below['maximum'])
        if not found and not below:
            time = self.needs.time
            if key == 'cores' and self.waste.core_time and time and time['maximum'] < MEASURABLE:
                return head + 'unknown (all jobs ran for less than {} s)'.format(MEASURABLE)
            if self._local:
                return head + 'unknown'
            return head + 'unknown (reported neither by the nodes nor by the accounting of the scheduler)'
        missing = self.counts['COMPLETED'] - (found['jobs'] if found else 0) - (below['jobs'] if below else 0)
        parts = []
        if found:
            parts.append('median {}, 95th percentile {}, maximum {}'.format(
                text(found['median']), text(found['percentile_95']), text(found['maximum'])))
        if below:
            parts.append('{} for {}'.format(
                less_than(below['maximum']), plural(below['jobs'], 'job')))
        if missing > 0:
            parts.append('unknown for {}'.format(plural(missing, 'job')))
        return head + '; '.join(parts)

    def notes(self):
        """Return sentences about what was requested and not used, and about what the figures cannot tell."""
        found, parts, waste = [], [], self.waste
        if waste.reserved_memory:
            parts.append(unused('requested memory', waste.used_memory / GIGA, waste.reserved_memory / GIGA,
                                'GB-hours'))
        if waste.core_time:
            parts.append(unused('requested core time', waste.cpu_time, waste.core_time, 'core-hours'))
        if parts:
            found.append('unused: ' + ' and '.join(parts))
        if self._local and self.needs.memory:
            found.append('short jobs on one machine share a shell: their peak memory is the highest in that '
                         'shell')
        return found

    def advice(self):
        """Return the sentences that say what to request next time."""
        flags = self.flag_text()
        found = []
        if flags:
            fitting, total = self.fit.fitting, self.fit.of
            found.append('recommended: {} would have been enough for {} % of the jobs ({:,} of {:,})'.format(
                flags, 100 * fitting // total, fitting, total)
                + ('; too few jobs for a reliable estimate' if total < FEW else ''))
        if 'cores' in self.flags:
            found.append('-c {} may be enough: 95 % of the jobs used at most {:.1f} cores on average; some '
                         'may take longer with it'.format(
                             self.flags['cores'], quantile(self.needs.used_cores, 0.95)))
        if 'pull' in self.flags:
            found.append('half of the jobs ran for at most {}, and a scheduler takes seconds to start a job: '
                         'with --pull {}, as many workers run them one after another'.format(
                             short_time(self.needs.time['median']), self.flags['pull']))
        return found + [self._beyond(key, flag) for key, flag in (('memory', '-m'), ('time', '-t'))
                        if self.fit.beyond[key]]

    def _beyond(self, key, flag):
        """Return the sentence about the jobs that exceeded a limit."""
        count, limit = self.fit.beyond[key], self.fit.too_little[key]
        text = exact_memory if key == 'memory' else time_flag
        return '{} exceeded {} {} limit; actual need unknown{}'.format(
            plural(count, 'job'), 'its' if count == 1 else 'their', key,
            '' if limit is None else ' (more than {}); try {} {}'.format(text(limit), flag, text(2 * limit)))


def less_than(below):
    """Return an upper bound of memory, in bytes, as 'less than 43M'."""
    return 'less than ' + peak_text({'memory_below': below})[1:]


def share_unused(used, reserved):
    """Return the share of a request that was not used, from 0 to 1; None where nothing was requested."""
    return round(1 - used / reserved, 4) if reserved else None


def unused(what, used, reserved, unit):
    """Return '71 % of requested core time (250 of 352 core-hours)'; of small amounts, the share alone."""
    shown = '' if reserved < 360 else ' ({} of {} {})'.format(
        amount((reserved - used) / 3600), amount(reserved / 3600), unit)
    return '{:.0f} % of {}{}'.format(100 * share_unused(used, reserved), what, shown)


def amount(value):
    """Return a number with as many digits as one reads: 1,234, 56.7, 0.04."""
    if value >= 100:
        return '{:,.0f}'.format(value)
    return '{:.1f}'.format(value) if value >= 1 else '{:.2g}'.format(value)


def short_time(seconds):
    """Return seconds with the two units that matter: 0.35s, 12s, 3m20s, 1h05m, 2d4h."""
    if seconds < 10:
        return '{:.2g}s'.format(seconds)
    seconds = int(round(seconds))
    for size, unit, below, part in ((86400, 'd', 3600, 'h'), (3600, 'h', 60, 'm'), (60, 'm', 1, 's')):
        if seconds >= size:
            rest = seconds % size // below
            return '{}{}{}'.format(seconds // size, unit, '{:02d}{}'.format(rest, part) if rest else '')
    return '{}s'.format(seconds)
