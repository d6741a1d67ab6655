"""`qmap report`: one HTML file that shows an execution, and needs nothing but a browser: no script, font or network.

Shapes are SVG that stretches with the page; all text is HTML beside it, so that it stays readable from a telephone to a
projector, and on paper. Whatever comes from the execution goes through `text`. Nothing here imports qmap.py: its module
object is handed as an argument.
"""

import array
import collections
import html
import itertools
import math
import os
import platform
import re
import time

from .advice import COMPLETED, GIGA, MEGA, NOT_ENDED, UNKNOWN, amount, quantile, share_unused, short_time, spread

#: Steps of time over which the curves take means.
BINS = 300

#: Jobs that are drawn one by one, at the most; those of which each tells what it is; and lines of them.
DRAWN, TOLD, LANES = 2500, 500, 64

#: Lines of hosts in the timeline; where there are more hosts, neighbours share one.
ROWS = 40

#: Groups of failures that are shown, lines of an example's stderr, and lines of the map.
GROUPS, TAIL, HEAD = 12, 12, 12

#: Seconds that the clock of a file system may be from others.
CLOCK = 60

#: The longest line that is shown.
LONGEST = 300

#: What XML cannot hold, or a terminal would obey.
UNSHOWN = re.compile('\x1b\\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]')

TIME_TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800,
              2592000, 7776000, 31536000, 157680000, 1576800000]

MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split()


def text(value):
    """Return text as HTML shows it: escaped, and with a sign in place of what is not text."""
    return html.escape(UNSHOWN.sub(lambda match: '' if match.group()[0] == '\x1b' and match.group()[1:] else '\ufffd',
                                   str(value)))


def cut(line):
    """Return a line, shortened where it is very long."""
    return line if len(line) <= LONGEST else line[:LONGEST] + '\u2026'


def natural(name):
    """Return what sorts c2 before c10."""
    return [int(part) if part.isdigit() else part for part in re.split('([0-9]+)', name)]


def place(value):
    """Return a coordinate as short as it can be written."""
    shown = '{:.1f}'.format(value)
    return shown[:-2] if shown.endswith('.0') else shown


def nice(most, count):
    """Return ticks from 0 to `most` or just beyond, some `count` of them, at round numbers."""
    raw = most / count
    power = 10 ** math.floor(math.log10(raw)) if raw > 0 else 1
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= raw * 0.999)
    if most >= 1:
        step = max(1, step)
    return [number * step for number in range(int(math.ceil(most / step - 1e-9)) + 1)]


def date(seconds):
    """Return '27 Nov' of a local time."""
    local = time.localtime(seconds)
    return '{} {}'.format(local.tm_mday, MONTHS[local.tm_mon - 1])


def moment(seconds):
    """Return '27 Nov 2026, 14:03' of a local time."""
    local = time.localtime(seconds)
    return '{} {}, {:02d}:{:02d}'.format(date(seconds), local.tm_year, local.tm_hour, local.tm_min)


def steps(values, top, height=100):
    """Return the path of an area under steps, one unit of x wide each.

    Args:
        values: list of numbers
        top: value at the upper edge
        height: of the picture
    """
    parts, last, run = ['M0 {}'.format(height)], None, 0
    for value in values:
        y = max(0, int(round(height - height * value / top))) if top else height
        if y != last:
            parts.append('{}V{}'.format('h{}'.format(run) if run else '', y))
            last, run = y, 0
        run += 1
    return '{}h{}V{}z'.format(''.join(parts), run, height)


class Axis:
    """A horizontal axis of time.

    Attributes:
        begin, end: seconds since 1970
        width: of a bin, seconds
        ticks: list of (share of the width, label, second label or '')
        unit: what the labels are
    """

    def __init__(self, begin, end):
        self.begin, self.end = begin, max(end, begin + 0.001)
        span = self.end - self.begin
        self.width = span / BINS
        self.ticks = []
        if span < 120:
            self.unit = 'seconds since the start'
            for value in nice(span, 8):
                if value <= span:
                    self.ticks.append((value / span, '{:g}'.format(round(value, 6)), ''))
            return
        step = next((step for step in TIME_TICKS if span / step <= 8), TIME_TICKS[-1])
        local = time.localtime(self.begin)
        self.unit = 'time of day ({})'.format(time.strftime('%Z', local)) if step < 86400 else 'date'
        value = math.ceil((self.begin + local.tm_gmtoff) / step) * step - local.tm_gmtoff
        day = None
        while value <= self.end:
            now = time.localtime(value)
            first, second = date(value), ''
            if step < 86400:
                first = time.strftime('%H:%M:%S' if step < 60 else '%H:%M', now)
                second = date(value) if now.tm_yday != day else ''
            elif step >= 2592000:
                second = str(now.tm_year)
            day = now.tm_yday
            self.ticks.append(((value - self.begin) / span, first, second))
            value += step

    def at(self, seconds):
        """Return where a time is, from 0 to 1."""
        return min(1, max(0, (seconds - self.begin) / (self.end - self.begin)))

    def labels(self):
        """Return the axis as a row."""
        two = any(second for _, _, second in self.ticks)
        return row('', ticks(self.ticks), text(self.unit), 'axis two' if two else 'axis')

    def grid(self, height=100, width=BINS):
        """Return its grid lines."""
        return '<path class="grid" d="{}"/>'.format(
            ''.join('M{} 0v{}'.format(place(width * share), height) for share, _, _ in self.ticks))


def row(left, middle, right, kind='', height=0):
    """Return a row of the pictures that share an axis of time: what stands left, the picture, what stands right."""
    return '<div class="row {}"><div class="l">{}</div><div class="a"{}>{}</div><div class="r">{}</div></div>\n'.format(
        kind, left, ' style="height:{}px"'.format(height) if height else '', middle, right)


def ticks(marks):
    """Return the labels of a horizontal axis: (share, label, second label). Every other one goes where it is narrow."""
    found = []
    for number, (share, first, second) in enumerate(marks):
        side = 'first' if share < 0.02 else 'last' if share > 0.98 else ''
        found.append('<span class="t {}{}" style="left:{:.2f}%">{}{}</span>'.format(
            side, ' odd' if number % 2 else '', 100 * share, text(first),
            '<br/><b>{}</b>'.format(text(second)) if second else ''))
    return ''.join(found)


def svg(body, label, width=BINS, height=100):
    """Return a picture that stretches."""
    return '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'.format(
        width, height, text(label), body)


def levels(marks, top):
    """Return the labels of a vertical axis."""
    return ''.join('<span class="v{}" style="bottom:{:.1f}%">{}</span>'.format(
        '' if mark else ' zero', 100 * mark / top, number(mark, top)) for mark in marks)


def number(value, top):
    """Return a number for an axis that goes up to `top`: 0, 500; 0, 0.5k, 20k; 0, 1.5M."""
    for size, unit in ((1e6, 'M'), (1e4, 'k')):
        if top >= size and value:
            return '{:g}{}'.format(value / (1e6 if unit == 'M' else 1000), unit)
    return '{:,.0f}'.format(value) if value == int(value) else '{:g}'.format(value)


def key(*names):
    """Return a legend: words behind a sample of their colour and shape."""
    return ''.join('<span class="key"><i class="{}"></i>{}</span>'.format(kind, text(word)) for kind, word in names)


class Clocks:
    """How far the clocks of the hosts are from the driver's, as far as the records prove it.

    No job starts before it was submitted, or ends after its end was heard of. What a host says otherwise is put right
    by the least that makes it possible.

    Attributes:
        shifts: list by host: seconds to add to its times
    """

    #: What is not worth a word.
    SMALL = 5

    def __init__(self, usage, last):
        """
        Args:
            usage: Usage
            last: when the last end was heard of
        """
        least, most = [0.0] * len(usage.hosts), [0.0] * len(usage.hosts)
        for host, submitted, started, finished in zip(usage.host, usage.submitted, usage.started, usage.finished):
            if submitted and started:
                if started - submitted < least[host]:
                    least[host] = started - submitted
                if finished - last > most[host]:
                    most[host] = finished - last
        self.shifts = [-behind if behind < -self.SMALL else -ahead if ahead > self.SMALL else 0
                       for behind, ahead in zip(least, most)]
        self.shifts[0] = 0
        self._hosts = usage.hosts

    def sentence(self):
        """Return what was put right, '' for nothing."""
        wrong = [(abs(shift), name, 'behind' if shift > 0 else 'ahead')
                 for shift, name in zip(self.shifts, self._hosts) if shift]
        if not wrong:
            return ''
        wrong.sort(reverse=True)
        named = ', '.join('{} ({} {})'.format(name, short_time(shift), side) for shift, name, side in wrong[:4])
        return 'Clocks differ: what {}{} told was moved so that no job starts before it was submitted.'.format(
            named, ' and {} more'.format(len(wrong) - 4) if len(wrong) > 4 else '')


class Course:
    """What ran where and when, over steps of time.

    Attributes:
        axis: Axis, None where nothing was submitted
        running: list by host of lists: jobs at once, the mean of each step
        waiting: list: jobs that were submitted and did not run yet
        ended: {'completed' or 'failed': list: jobs that had ended by then}
        failed: list by host of {step: jobs that failed}
        jobs, failures: lists by host
        busy: job-seconds
        first, last: when the first job started, and the last that had started ended; 0 where nothing ran
    """

    def __init__(self, usage, live, clocks, now):
        """
        Args:
            usage: Usage
            live: list of the records of live jobs
            clocks: Clocks
            now: seconds since 1970
        """
        self._usage, self._shifts = usage, clocks.shifts
        hosts = len(usage.hosts)
        begin = min(itertools.chain(
            (value for value in usage.submitted if value), (record['submitted'] for record in live)), default=0)
        self.first, self.last, end = self._limits()
        if any(record.get('started') for record in live):
            self.first = min([record['started'] for record in live if record.get('started')]
                             + [self.first] * bool(self.first))
            self.last = now
        begin = min(value for value in (begin, self.first, 1e18) if value)
        self.axis = None
        if begin < 1e18:
            # With some room behind the end, to see it.
            end = now if live else end + 0.02 * (end - begin)
            self.axis = Axis(begin, end)
        self.waiting = []
        self.running, self.failed = [[] for _ in range(hosts)], [collections.Counter() for _ in range(hosts)]
        self.ended = {'completed': [], 'failed': []}
        self.jobs, self.failures = [0] * hosts, [0] * hosts
        self.busy = 0
        if self.axis:
            self._fill(live, now)

    def _limits(self):
        """Return when the first job started, when the last that had started ended, and when the last one ended; 0 where
        none did."""
        first, last, end, shifts = 0, 0, 0, self._shifts
        for ended, host, started, finished in zip(
                self._usage.ends, self._usage.host, self._usage.started, self._usage.finished):
            if ended and finished:
                finished += shifts[host]
                if finished > end:
                    end = finished
                if started:
                    started += shifts[host]
                    if not first or started < first:
                        first = started
                    if finished > last:
                        last = finished
        return first, last, end

    def _fill(self, live, now):
        usage, axis, shifts = self._usage, self.axis, self._shifts
        size, scale, begin = BINS + 2, 1 / axis.width, axis.begin
        running = [[0.0] * size for _ in usage.hosts]
        waiting = [0.0] * size
        ended = {'completed': [0] * size, 'failed': [0] * size}

        def step(into, seconds, sign):
            """Add a step to what is to be summed up: the part of its first bin, and all of the later ones."""
            at = (seconds - begin) * scale
            at = 0.0 if at < 0 else float(BINS) if at > BINS else at
            whole = int(at)
            into[whole] += sign * (whole + 1 - at)
            into[whole + 1] += sign * (at - whole)

        for end, host, submitted, started, finished in zip(
                usage.ends, usage.host, usage.submitted, usage.started, usage.finished):
            if not end:
                continue
            self.jobs[host] += 1
            if started:
                started += shifts[host]
                if submitted:
                    step(waiting, submitted, 1)
                    step(waiting, started, -1)
            if finished:
                finished += shifts[host]
                if started:
                    step(running[host], started, 1)
                    step(running[host], finished, -1)
                    self.busy += max(0, finished - started)
                at = min(BINS - 1, max(0, int((finished - begin) * scale)))
                ended['completed' if end == COMPLETED else 'failed'][at] += 1
            if end != COMPLETED:
                self.failures[host] += 1
                if finished:
                    self.failed[host][at] += 1
        codes = {name: code for code, name in enumerate(usage.hosts)}
        for record in live:
            step(waiting, record['submitted'], 1)
            if record.get('started'):
                host = codes.get(record.get('host', ''), 0)
                step(waiting, record['started'] + shifts[host], -1)
                step(running[host], record['started'] + shifts[host], 1)
                self.busy += max(0, now - record['started'])
                self.jobs[host] += 1
        self.running = [list(itertools.accumulate(values))[:BINS] for values in running]
        self.waiting = [max(0, value) for value in itertools.accumulate(waiting)][:BINS]
        self.ended = {name: list(itertools.accumulate(values))[:BINS] for name, values in ended.items()}

    def at_once(self):
        """Return how many jobs ran at once, by step."""
        return [max(0, sum(values)) for values in zip(*self.running)]


class Report:
    """The page."""

    def __init__(self, qmap, plan, ledger, usage, advice):
        """
        Args:
            qmap: the module
            plan, ledger, usage: as `advice.read` returns them
            advice: Advice
        """
        self.qmap, self.plan, self.ledger, self.usage, self.advice = qmap, plan, ledger, usage, advice
        self.made = time.time()
        self.driven = qmap.beats(plan.logs)
        # Where nobody drives, nothing is known of what came after the last word.
        self.now = self.made if self.driven else min(self.made, self._last_heard() - CLOCK)
        self.counts = advice.counts
        self.jobs = sum(self.counts.values())
        self.live = list(ledger.live.values())
        self.clocks = Clocks(usage, self._last_heard())
        self.course = Course(usage, self.live, self.clocks, self.now)
        self.failed = ledger.failures.groups()
        self.retried = sum(1 for attempts in ledger.attempts if attempts > 1)
        self.hosts = sorted((name for name, jobs in zip(usage.hosts, self.course.jobs) if name and jobs), key=natural)

    def _last_heard(self):
        """Return when the journal was last written, or what the jobs have said since, with some time for the clock
        that tells it."""
        logs = self.plan.logs
        paths = [logs.journal(epoch) for epoch in logs.epochs()]
        if self.ledger.unwritten:
            paths += [os.path.join(logs.run, name) for name in logs.listing()]
        return max((os.stat(path).st_mtime for path in paths), default=self.made) + CLOCK

    def parts(self):
        """Yield the page, piece by piece."""
        title = text(self.plan.info.get('name') or 'qmap')
        yield PAGE.format(title=title, style=STYLE)
        yield self.head(title)
        for part in (self.timeline, self.progress, self.histograms, self.failures, self.advise, self.about):
            yield part()
        yield self.foot()
        yield '</main>\n</body>\n</html>\n'

    # The top

    def head(self, title):
        """Return the title, the headline figures and the bar of all statuses."""
        course, counts, plural = self.course, self.counts, self.qmap.plural
        left = self.ledger.left()
        words = [plural(self.jobs, 'job')]
        if len(self.hosts) > 1:
            words.append('on {} hosts'.format(len(self.hosts)))
        elif self.hosts:
            words.append('on ' + self.hosts[0])
        executor = self.plan.info['executor']
        words.append('' if executor == 'local' else 'through ' + {
            'slurm': 'Slurm', 'sge': 'Grid Engine', 'lsf': 'LSF'}.get(executor, executor))
        span = ''
        if course.first:
            first, until = moment(course.first), 'now' if left and self.driven else moment(course.last)
            if first.partition(', ')[0] == until.partition(', ')[0]:
                until = until.partition(', ')[2]
            span = ', {}{}'.format(first, '' if first.endswith(until) else ' \u2013 ' + until)
        state = '<strong class="state">not finished: {:,} of {} to go, as of {}{}</strong>'.format(
            left, plural(self.jobs, 'job'), moment(self.now), '' if self.driven else '; nobody drives it now') \
            if left else ''
        order = ('COMPLETED', 'FAILED', 'RUNNING', 'PENDING', 'OTHER', 'UNSUBMITTED')
        there = [status for status in order if counts[status]]
        bar = ''.join('<i class="{}" style="flex-grow:{}"></i>'.format(status.lower(), counts[status])
                      for status in there)
        legend = key(*[(status.lower(), '{:,} {}'.format(counts[status], status.lower())) for status in there])
        return '<header>\n<p class="kind">QMap report</p>\n<h1>{}</h1>\n<p class="lead">{}{}</p>\n{}</header>\n' \
            '<div class="tiles">{}</div>\n<div class="bar">{}</div>\n<p class="legend">{}</p>\n'.format(
                title, text(' '.join(word for word in words if word)), text(span), state,
                ''.join(self.tiles()), bar, legend)

    def tiles(self):
        """Yield the headline figures."""
        course, counts, advice = self.course, self.counts, self.advice
        completed = counts['COMPLETED']
        share = 100 * completed / self.jobs
        shown = '{:.0f}'.format(share) if share in (0, 100) else '{:.1f}'.format(min(99.9, max(0.1, share)))
        yield tile(shown + '\u202f%', 'completed', '{:,} of {:,}'.format(completed, self.jobs))
        failed = counts['FAILED']
        words = ', '.join('{:,} {}'.format(number, 'not accepted' if word == 'submit' else word)
                          for word, number in sorted(advice.failed.items(), key=lambda item: -item[1])[:3])
        yield tile('{:,}'.format(failed), 'failed', words or 'none')
        if course.first and course.last > course.first:
            span = course.last - course.first
            ended = completed + failed
            rate = ended / span
            yield tile(short_time(span), 'elapsed',
                       '{} jobs per {}'.format(*(
                           (amount(rate), 'second') if rate >= 1 else (amount(60 * rate), 'minute')
                           if rate * 60 >= 1 else (amount(3600 * rate), 'hour'))))
            yield tile(amount(course.busy / span), 'jobs at once', 'mean; up to {:,.0f}'.format(
                max(course.at_once(), default=0)))
        if advice.core_time:
            figure, what = (short_time(advice.core_time), 'core time') if advice.core_time < 360 else \
                (amount(advice.core_time / 3600), 'core-hours')
            yield tile(figure, what, 'reserved; {:.0f}\u202f% used'.format(
                100 - 100 * share_unused(advice.cpu_time, advice.core_time)))
        if advice.time:
            yield tile(short_time(advice.time['median']), 'median job', '95\u202f% within {}'.format(
                short_time(advice.time['percentile_95'])))

    # What ran where and when

    def timeline(self):
        """Return the section with what ran on each host."""
        course = self.course
        if not course.first:
            return section('What ran where and when', '<p>Nothing has run.</p>')
        lanes = self.lanes()
        body = self.bars(lanes) if lanes else self.density()
        clocks = self.clocks.sentence()
        return section('What ran where and when', body + (note(clocks) if clocks else ''))

    def lanes(self):
        """Return {host: list of slots, each a list of (start, end, job, how it ended)}; None where there is too much.

        How it ended: an index into Usage.reasons, NOT_ENDED for what still runs.
        """
        usage, shifts = self.usage, self.clocks.shifts
        jobs = [(started + shifts[host], finished + shifts[host], usage.hosts[host], number, end)
                for number, (end, host, started, finished) in enumerate(zip(
                    usage.ends, usage.host, usage.started, usage.finished)) if end and started and finished]
        codes = {name: code for code, name in enumerate(usage.hosts)}
        for record in self.live:
            if record.get('started'):
                host = record.get('host', '')
                jobs.append((record['started'] + shifts[codes.get(host, 0)], self.now, host,
                             self.ledger.number(record['job']), NOT_ENDED))
        if not 0 < len(jobs) <= DRAWN:
            return None
        width = (self.course.axis.end - self.course.axis.begin) / 1000
        if quantile(sorted(end - start for start, end, _, _, _ in jobs), 0.5) < width:
            return None
        found, count = {}, 0
        for start, end, host, job, how in sorted(jobs):
            slots = found.setdefault(host, [])
            slot = next((slot for slot in slots if slot[-1][1] <= start + 0.002 * width), None)
            if slot is None:
                slot, count = [], count + 1
                slots.append(slot)
            slot.append((start, end, job, how))
        return found if count <= LANES else None

    def bars(self, lanes):
        """Return a bar for each job, a line for each slot."""
        axis = self.course.axis
        count = sum(map(len, lanes.values()))
        told = sum(len(slot) for slots in lanes.values() for slot in slots) <= TOLD
        height = 20 if count <= 8 else 14 if count <= 24 else 10
        rows, there = [], set()
        for host in sorted(lanes, key=natural):
            slots = lanes[host]
            shapes = collections.OrderedDict([('completed', []), ('failed', []), ('running', [])])
            for line, slot in enumerate(slots):
                for start, end, job, how in slot:
                    kind = {NOT_ENDED: 'running', COMPLETED: 'completed'}.get(how, 'failed')
                    path = self.bar(1000 * axis.at(start), 1000 * axis.at(end), 10 * line, kind)
                    shapes[kind].append(path if not told else '<path d="{}"><title>{}</title></path>'.format(
                        path, text(self.tell(job, start, end, how))))
            body = ''.join('<g class="{}">{}</g>'.format(
                kind, ''.join(paths) if told else '<path d="{}"/>'.format(''.join(paths)))
                for kind, paths in shapes.items() if paths)
            there.update(kind for kind, paths in shapes.items() if paths)
            jobs, deep = sum(map(len, slots)), 10 * len(slots)
            picture = svg(axis.grid(deep, 1000) + body, '{} jobs on {}'.format(jobs, host), 1000, deep)
            totals = self.totals(jobs, len(shapes['failed']))
            rows.append(row(text(host or '(unknown)'), picture, totals, 'host', height * len(slots)))
        legend = key(*[(kind, words) for kind, words in (
            ('completed', 'completed: full'), ('failed', 'failed: outlined'), ('running', 'still running: thin'))
            if kind in there])
        return '<p class="legend">{}<span>a bar for each job, a line for each that a host ran at once</span></p>\n' \
            '<div class="time">{}{}</div>'.format(legend, ''.join(rows), axis.labels())

    @staticmethod
    def bar(left, right, top, kind):
        """Return the path of a job's bar in a line of height 10, with a gap to the next where there is room for it."""
        wide, thick = max(0.8, right - left), 4 if kind == 'running' else 8
        wide = place(wide - 0.6 if wide > 3 else wide)
        return 'M{} {}h{}v{}h-{}z'.format(place(left), top + (10 - thick) // 2, wide, thick, wide)

    def tell(self, number, start, end, how):
        """Return what a bar says when it is pointed at."""
        return 'job {}: {}, {}{}'.format(
            self.ledger.id(number), 'running' if how == NOT_ENDED else self.usage.reasons[how], short_time(end - start),
            '\n' + cut(self.plan.map.command(number * self.plan.group)[0]))

    def totals(self, jobs, failed):
        """Return how many jobs a host ran, and how many of them failed."""
        return self.qmap.plural(jobs, 'job') + (', <em>{:,} failed</em>'.format(failed) if failed else '')

    def density(self):
        """Return the number of jobs at once on each host, where there are too many for a bar each."""
        course = self.course
        axis, codes = course.axis, {name: code for code, name in enumerate(self.usage.hosts)}
        names = list(self.hosts) or ['']
        share = -(-len(names) // ROWS)
        groups = [names[first:first + share] for first in range(0, len(names), share)]
        if self.hosts and course.jobs[0] and any(course.running[0]):
            groups.append([''])
        curves = []
        for group in groups:
            curves.append([max(0, sum(values) / len(group))
                           for values in zip(*(course.running[codes[name]] for name in group))])
        top = max(itertools.chain(*curves), default=0) or 1
        rows = []
        for group, curve in zip(groups, curves):
            failed = collections.Counter()
            for name in group:
                failed.update(course.failed[codes[name]])
            name = group[0] or '(unknown)'
            if len(group) > 1:
                name = '{}\u2009\u2026\u2009{}'.format(name, group[-1])
            jobs, lost = (sum(figures[codes[name]] for name in group) for figures in (course.jobs, course.failures))
            body = axis.grid(120) + '<path class="running" d="{}"/>'.format(steps(curve, top))
            if failed:
                body += '<path class="failed" d="{}"/>'.format(
                    ''.join('M{} 106h1v14h-1z'.format(at) for at in sorted(failed)))
            picture = svg(body, 'jobs at once on ' + name, BINS, 120)
            rows.append(row(text(name), picture, self.totals(jobs, lost), 'host', 28))
        words = 'height: jobs running at once on {}, up to {}; each step is the mean of {}'.format(
            'a host' if share == 1 else 'a host, the mean of {} neighbours'.format(share), amount(top),
            short_time(axis.width))
        return '<p class="legend">{}<span>{}</span></p>\n<div class="time">{}{}</div>'.format(
            key(('running', 'running'), *[('failed', 'failed: below the line')] * any(course.failed)), text(words),
            ''.join(rows), axis.labels())

    # Statuses over time

    def progress(self):
        """Return the section with the statuses over time."""
        course = self.course
        if not course.axis:
            return ''
        completed, failed = course.ended['completed'], course.ended['failed']
        both = [one + other for one, other in zip(completed, failed)]
        marks = nice(self.jobs, 4)
        top = max(self.jobs, 1)
        marks = [mark for mark in marks if mark <= top * 1.001]
        grid = course.axis.grid() + level_lines(marks, top)
        body = grid + '<path class="failed" d="{}"/><path class="completed" d="{}"/>'.format(
            steps(both, top), steps(completed, top))
        rows = [row(levels(marks, top), svg(body, 'jobs that have ended'), self.direct(
            ('completed', '{:,} completed'.format(completed[-1]), completed[-1]),
            ('failed', '{:,} failed'.format(failed[-1]), failed[-1])), 'curve', 150)]
        ended = '<h3>Jobs that had ended, of {:,}</h3>'.format(self.jobs)
        at_once = course.at_once()
        submitted = [run + wait for run, wait in zip(at_once, course.waiting)]
        marks = nice(max(submitted + [1]), 3)
        top = marks[-1]
        body = course.axis.grid() + level_lines(marks, top) + '<path class="pending" d="{}"/>' \
            '<path class="running" d="{}"/>'.format(steps(submitted, top), steps(at_once, top))
        if max(submitted) > 0:
            rows.append('<h3>Jobs in the scheduler at once</h3>')
            names = self.direct(
                ('running', 'running', max(at_once)), ('pending', 'pending, on top', max(course.waiting)))
            rows.append(row(levels(marks, top), svg(body, 'jobs running and waiting'), names, 'curve', 110))
        return section('Statuses over time', '<div class="time">{}{}{}</div>'.format(
            ended, ''.join(rows), course.axis.labels()))

    @staticmethod
    def direct(*names):
        """Return the labels right of a curve; those of which there is nothing are left out."""
        return '<br/>'.join(key((kind, word)) for kind, word, count in names if count)

    # Histograms

    def histograms(self):
        """Return the section with how long jobs ran, what memory they used, and how busy their cores were."""
        usage = self.usage
        ran = bytes(elapsed == elapsed and end != NOT_ENDED for end, elapsed in zip(usage.ends, usage.elapsed))
        if not any(ran):
            return ''
        good = bytes(end == COMPLETED for end in itertools.compress(usage.ends, ran))
        elapsed, memory = (
            array.array('d', itertools.compress(values, ran)) for values in (usage.elapsed, usage.memory))
        sets, asked = usage.sets, array.array('I', itertools.compress(usage.asked, ran))
        flags, limits = self.advice.flags, self.advice.asked['memory']
        found = []
        if self.plan.info['executor'] != 'local':
            shifts = self.clocks.shifts
            waited = array.array('d', (
                max(0, started + shifts[host] - submitted) if started and submitted else UNKNOWN
                for started, submitted, host in itertools.compress(
                    zip(usage.started, usage.submitted, usage.host), ran)))
            found.append(Histogram('How long they waited', 'time', waited, good))
        times = self.advice.asked['time']
        found.append(Histogram('How long they ran', 'time', elapsed, good, times, flags.get('time')))
        found.append(Histogram('Memory that they used', 'memory', memory, good, limits, flags.get('memory')))
        if len(limits) > 1:
            shares = (100 * value / sets[code][1] if sets[code][1] else UNKNOWN for value, code in zip(memory, asked))
            found.append(Histogram('Memory used, of what was asked', 'share', array.array('d', shares), good))
        shares = (100 * cpu / (seconds * sets[code][0]) if seconds > 0 else UNKNOWN
                  for cpu, seconds, code in zip(itertools.compress(usage.cpu, ran), elapsed, asked))
        found.append(Histogram('How busy their cores were', 'share', array.array('d', shares), good))
        legend = key(*[('completed', 'completed')] * any(good), *[('failed', 'failed, on top')] * (not all(good)))
        return section('What they used', '<p class="legend">{}<span>height: number of jobs</span></p>'
                       '<div class="charts{}">{}</div>'.format(
                           legend, ' even' if len(found) == 4 else '', ''.join(one.html() for one in found)))

    # Words and tables

    def failures(self):
        """Return the section with what failed, grouped, and an example of each."""
        if not self.failed:
            return ''
        groups, rest = self.failed[:GROUPS], self.failed[GROUPS:]
        most = groups[0].count
        found = []
        for position, group in enumerate(groups):
            where, example = self.where(group), ''
            if group.ids:    # else those of which the ids were known have been tried again
                example = 'example: job {}, <code>{}</code>'.format(
                    group.ids[0], text(cut(self.command(group.ids[0]))))
            found.append(
                '<article class="failure"><div class="count"><b>{:,}</b><i class="failed" style="width:{:.1f}%"></i>'
                '</div><div><p>{}</p><p class="soft">{}{}</p>{}</div></article>\n'.format(
                    group.count, max(1, 100 * group.count / most), self.words(group), text(where), example,
                    self.stderr(group.ids[0], position < 4) if group.ids else ''))
        if rest:
            found.append(note('And {} more, in {} of failures: qmap info -s failed error'.format(
                self.qmap.plural(sum(group.count for group in rest), 'job'),
                self.qmap.plural(len(rest), 'other kind'))))
        return section('What failed', ''.join(found))

    @staticmethod
    def words(group):
        """Return what a group of failures says."""
        if group.what in group.error and group.same:
            return '<strong>{}</strong>'.format(text(cut(group.error)))
        return '<strong>{}</strong>{} <code>{}</code>'.format(
            text(group.what), '' if group.same else ', such as', text(cut(group.error))) if group.error else \
            '<strong>{}</strong>'.format(text(group.what))

    def where(self, group):
        """Return on which hosts a kind of failure was seen: 'on c12, c13 only; '."""
        only = group.only_on({name: jobs for name, jobs in zip(self.usage.hosts, self.course.jobs) if name})
        if only:
            return 'on {} only; '.format(', '.join(only))
        names = sorted((name for name in group.hosts or () if name), key=natural)
        if group.hosts is None:
            return 'on many hosts; '
        if not names or len(self.hosts) < 2:
            return ''
        if len(names) <= 4:
            return 'on {}; '.format(', '.join(names))
        most = max(names, key=group.hosts.get)
        return 'on {} of {} hosts, most on {} ({:,}); '.format(len(names), len(self.hosts), most, group.hosts[most])

    def command(self, job):
        """Return a job's command; of a group the first."""
        command = self.plan.map.command(int(job))[0].replace('\n', ' ')
        more = len(self.plan.commands(int(job) // self.plan.group)) - 1
        return command + (' (and {} more)'.format(more) if more > 0 else '')

    def stderr(self, job, shown):
        """Return the end of a job's stderr."""
        path = self.plan.path(job, '.err')
        try:
            lines = self.qmap.tail(path).rstrip().split('\n')[-TAIL:]
        except OSError as error:
            lines = ['{}: {}'.format(path, error.strerror)]
        if not any(line.strip() for line in lines):
            return ''
        return '<details{}><summary>the end of its stderr</summary><pre>{}</pre></details>'.format(
            ' open="open"' if shown else '', '\n'.join(text(cut(line.rstrip('\r').split('\r')[-1])) for line in lines))

    def advise(self):
        """Return the section with what to ask for next time."""
        advice, memory_text = self.advice, self.qmap.memory_text
        if not advice.time:
            return ''
        rows = []
        for name, figures, form in (('memory', advice.memory, memory_text), ('time', advice.time, short_time),
                                    ('cores busy', advice.cores, '{:.1f}'.format)):
            cells = ['\u2013'] * 3
            if figures:
                cells = [form(figures[part]) for part in ('median', 'percentile_95', 'maximum')]
            unused = {'memory': share_unused(advice.used_memory, advice.reserved_memory),
                      'cores busy': share_unused(advice.cpu_time, advice.core_time)}.get(name)
            rows.append('<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td></tr>'.format(
                name, text(advice.asked_text(name.split()[0], form)),
                '</td><td>'.join(map(text, cells)),
                '\u2013' if unused is None else '{:.0f}\u202f%'.format(100 * unused)))
        sentences = [advice.known()] + advice.notes() + [
            sentence for sentence in advice.advice() if not sentence.startswith('next time')]
        flags = advice.flag_text()
        big = ''
        if flags:
            big = '<p class="flags"><code>{}</code> <span>would have fitted {}\u202f% of the jobs ({:,} of {:,})' \
                '</span></p>'.format(text(flags), 100 * advice.fitting // advice.of, advice.fitting, advice.of)
        return section('What to ask for next time', '{}<div class="scroll"><table><thead><tr><th></th><th>asked</th>'
                       '<th>median</th><th>95\u202f% within</th><th>at most</th><th>reserved, never used</th></tr>'
                       '</thead><tbody>{}</tbody></table></div>{}'.format(big, ''.join(rows), ''.join(
                           '<p class="soft">{}</p>'.format(text(capital(' '.join(sentence.split()))))
                           for sentence in sentences)))

    def about(self):
        """Return the section with the map's head, the parameters and the versions."""
        info, qmap = self.plan.info, self.qmap
        pairs = [(name, value) for name, value in info['params'].items()]
        facts = [
            ('map', info.get('map')), ('commands', '{:,}'.format(len(self.plan.map))),
            ('commands in a job', info['group'] if info['group'] > 1 else None),
            ('at once, at most', self.ledger.settings.get('max_running') or info.get('max_running')),
            ('profile', info.get('profile')), ('scheduler', info.get('executor')),
            ('tried again', qmap.plural(self.retried, 'job') if self.retried else None),
            ('submitted', moment(info['created_seconds']) if info.get('created_seconds') else None),
            ('from', info.get('host')), ('logs folder', info.get('logs')), ('qmap', info.get('version'))]
        with open(self.plan.map.path, 'rb') as source:
            lines = [qmap.decode(line.rstrip(b'\r\n')) for line in itertools.islice(source, HEAD + 1)]
        more = max(0, len(lines) - HEAD)
        head = '\n'.join(text(cut(line)) for line in lines[:HEAD])
        changes = self.ledger.settings.get('params') or {}
        return section('What was run', '<div class="pair"><div><h3>The map\u2019s head</h3><pre>{}{}</pre></div>'
                       '<div><h3>Parameters</h3>{}<h3>Execution</h3>{}</div></div>'.format(
                           head, '\n\u2026' if more else '',
                           table(pairs + [(name + ', later', value or 'none') for name, value in changes.items()]),
                           table(facts)))

    def foot(self):
        """Return the last line."""
        sampled = '' if self.jobs <= DRAWN else ' Curves show means over steps of time, histograms every job.'
        return '<footer><p>Made by <code>qmap report</code> {} with Python {} on {}. Figures are of the last ' \
            'attempt of each job; memory and CPU time as far as they are known.{}</p></footer>\n'.format(
                text(self.qmap.__version__), platform.python_version(), moment(self.made), sampled)


class Histogram:
    """How many jobs used how much of something."""

    BINS = 36

    def __init__(self, title, kind, values, good, asked=(), advised=None):
        """
        Args:
            title: text
            kind: time (seconds), memory (bytes) or share (percent)
            values: array of numbers, nan where not known
            good: for each, whether the job completed
            asked: sorted limits
            advised: what is to be asked for next time
        """
        self.title, self.kind, self.asked, self.advised = title, kind, list(asked), advised
        self.known = array.array('d', (value for value in values if value == value))
        self.unknown = len(values) - len(self.known)
        fine = [value for value in itertools.compress(values, good) if value == value]
        #: Of those that completed, as in the advice; of all where none did.
        self.found = spread(fine or self.known)
        self.of = 'completed: ' if fine and len(fine) < len(self.known) else ''
        self.log = False
        self.bars = [[0, 0] for _ in range(self.BINS)]
        if self.known:
            self._scale()
            self._count(values, good)

    def _scale(self):
        least, most = min(self.known), max(self.known)
        if self.kind == 'share':
            self.low, self.high, self.marks = 0, 105 if most > 100 else 100, [0, 25, 50, 75, 100]
            self.BINS = self.high // 5
            self.bars = [[0, 0] for _ in range(self.BINS)]
            return
        far = max([most] + [limit for limit in self.asked[-1:] if limit <= 4 * most]) or 1
        if self.advised and self.advised <= 2 * most:
            far = max(far, self.advised)
        if self.kind == 'time':
            floor = max(least, most / 1e5, 0.01)
            self.log = most > 40 * max(least, 1e-9) and most > 2
            if self.log:
                self.low, self.high = math.log10(floor), math.log10(far * 1.02)
                self.marks = [mark for mark in (0.01, 0.1, 1, 10, 60, 600, 3600, 36000, 86400, 864000)
                              if floor <= mark <= far]
                return
            step = next((step for step in TIME_TICKS if far / step <= 5), TIME_TICKS[-1])
            if far < 4:
                self.marks = nice(far, 4)
                step = self.marks[1]
        else:
            step = 2 ** math.ceil(math.log(max(far, 1) / 4, 2))
        count = max(1, math.ceil(far / step - 1e-9))
        self.low, self.high, self.marks = 0, count * step, [step * number for number in range(count + 1)]

    def _at(self, value):
        if self.log:
            value = math.log10(max(value, 1e-6))
        return min(1, max(0, (value - self.low) / (self.high - self.low)))

    def _count(self, values, good):
        low, scale, last, log = self.low, self.BINS / (self.high - self.low), self.BINS - 1, math.log10
        for value, fine in zip(values, good):
            if value == value:
                if self.log:
                    value = log(value) if value > 1e-6 else -6
                place_ = int((value - low) * scale)
                self.bars[min(last, max(0, place_))][not fine] += 1

    def form(self, value):
        """Return a value as the axis shows it."""
        if self.kind == 'share':
            return '{:.0f}\u202f%'.format(value)
        if self.kind == 'memory':
            if not value:
                return '0'
            for size, unit in ((1024 * GIGA, 'T'), (GIGA, 'G'), (MEGA, 'M'), (1024, 'K')):
                if value >= size:
                    shown = '{:.1f}'.format(value / size)
                    return (shown[:-2] if shown.endswith('.0') else shown) + unit
            return '{:.0f}B'.format(value)
        return short_time(value) if value else '0'

    def html(self):
        """Return the figure."""
        if not self.known:
            return '<figure><h3>{}</h3><p class="soft">Not known: neither the nodes nor the accounts of the ' \
                'scheduler tell.</p></figure>'.format(text(self.title))
        most = max(sum(bar) for bar in self.bars)
        marks = nice(most, 3)
        top = marks[-1]
        body = level_lines(marks, top, 1000) + ''.join(
            '<path class="{}" d="{}"/>'.format(kind, ''.join(self._bars(which, top)))
            for which, kind in enumerate(('completed', 'failed')) if any(bar[which] for bar in self.bars))
        lines, notes = self._marks()
        words = self.of + 'median {}, 95\u202f% within {}, at most {}'.format(
            *(self.form(self.found[part]) for part in ('median', 'percentile_95', 'maximum')))
        if self.kind == 'share' and self.high > 100:
            words += '; the last bar: more than 100\u202f%'
        if self.unknown:
            words += '; not known of {:,}'.format(self.unknown)
        return '<figure><h3>{}</h3><div class="hist"><div class="l">{}</div><div class="a">{}{}</div>' \
            '<div class="x">{}</div></div><figcaption>{}{}</figcaption></figure>\n'.format(
                text(self.title), levels(marks, top), svg(body, self.title, 1000), lines,
                ticks([(self._at(mark), self.form(mark), '') for mark in self.marks]), text(words), notes)

    def _bars(self, which, top):
        wide = 1000 / self.BINS
        for place_, bar in enumerate(self.bars):
            if bar[which]:
                tall = max(0.8, 100 * bar[which] / top)
                base = 100 - (100 * bar[0] / top if which else 0)
                yield 'M{} {}h{}v-{}h-{}z'.format(
                    place(place_ * wide + 1), place(base), place(wide - 2), place(tall), place(wide - 2))

    def _marks(self):
        """Return the lines for what was asked and what is advised, and words for those that lie beyond the picture."""
        lines, notes = [], []
        # Each with the share of the width past which its words stand left of the line, so that they do not cross.
        marks = [('asked', 'asked', limit, 0.5) for limit in self.asked[-1:]] if self.kind != 'share' else []
        if self.advised:
            marks.append(('advised', 'next time', self.advised, 0.3))
        edge = 10 ** self.high if self.log else self.high
        for level, (kind, word, value, half) in enumerate(marks):
            share = self._at(value)
            if value <= edge * 1.0001:
                lines.append('<span class="mark {}{}" style="left:{:.2f}%;--level:{}"><b>{} {}</b></span>'.format(
                    kind, ' turned' if share > half else '', 100 * share, level, word, self.form(value)))
            elif kind == 'asked':
                notes.append('; asked {}, beyond the picture'.format(self.form(value)))
        return ''.join(lines), text(''.join(notes))


def level_lines(marks, top, width=BINS):
    """Return the grid lines of a vertical axis."""
    return '<path class="grid" d="{}"/>'.format(
        ''.join('M0 {}h{}'.format(place(100 - 100 * mark / top), width) for mark in marks))


def section(title, body):
    """Return a chapter of the page."""
    return '<section>\n<h2>{}</h2>\n{}\n</section>\n'.format(text(title), body)


def note(words):
    """Return a small remark."""
    return '<p class="soft">{}</p>\n'.format(text(words))


def tile(figure, what, more):
    """Return a headline figure."""
    return '<div class="tile"><b>{}</b><span>{}</span><small>{}</small></div>'.format(
        text(figure), text(what), text(more))


def table(pairs):
    """Return a table of names and values, without those that have none."""
    return '<table class="facts"><tbody>{}</tbody></table>'.format(''.join(
        '<tr><th>{}</th><td>{}</td></tr>'.format(text(name), text(value).replace('/', '/<wbr/>'))
        for name, value in pairs if value not in (None, '')) or '<tr><td>none</td></tr>')


def capital(sentence):
    """Return a sentence with a large first letter and a full stop."""
    return sentence[0].upper() + sentence[1:] + '.'


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="generator" content="qmap report"/>
<title>{title} \u00b7 QMap report</title>
<style>{style}</style>
</head>
<body>
<main>
"""

#: The colours are those of Okabe and Ito, which all kinds of colour vision tell apart.
STYLE = """
:root{color-scheme:light dark;--bg:#fff;--ink:#16202b;--soft:#5a6672;--line:#e3e8ed;--card:#f5f7fa;
--completed:#0072b2;--failed:#d55e00;--running:#009e73;--pending:#e3b23c;--other:#b0568f;--unsubmitted:#c8d0d8}
@media screen and (prefers-color-scheme:dark){:root{--bg:#12171d;--ink:#e8edf2;--soft:#9aa7b4;--line:#2a333d;
--card:#1a2129;--completed:#56a9de;--failed:#f0803c;--running:#2fbf93;--pending:#e8c35c;--other:#d58abb;
--unsubmitted:#434f5b}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;print-color-adjust:exact;-webkit-print-color-adjust:exact}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"Noto Sans",sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:1120px;margin:0 auto;padding:2.2rem 1.5rem 3rem}
h1{font-size:2.3rem;line-height:1.15;letter-spacing:-.02em;margin:.1rem 0 .4rem;overflow-wrap:anywhere}
h2{font-size:1.3rem;letter-spacing:-.01em;margin:0 0 .7rem}
h3{font-size:.92rem;font-weight:600;margin:0 0 .4rem}
section{margin-top:2.8rem}
.kind{margin:0;color:var(--soft);font-size:.8rem;letter-spacing:.08em;text-transform:uppercase}
.lead{margin:0;color:var(--soft);font-size:1.05rem}
.state{display:inline-block;margin-top:.7rem;padding:.2rem .7rem;border:2px solid var(--running);border-radius:1rem}
.soft,figcaption{color:var(--soft);font-size:.86rem;margin:.35rem 0}
.tiles{display:grid;grid-template-columns:repeat(6,minmax(0,1fr));gap:.8rem;margin:1.6rem 0 1.3rem}
.tile{background:var(--card);border-radius:8px;padding:.75rem .9rem .7rem}
.tile b{display:block;font-size:1.75rem;line-height:1.2;font-weight:650;letter-spacing:-.02em;white-space:nowrap}
.tile span{display:block;font-size:.88rem;line-height:1.3}
.tile small{display:block;color:var(--soft);font-size:.8rem;line-height:1.35;margin-top:.15rem}
.bar{display:flex;gap:2px;height:16px;border-radius:4px;overflow:hidden}
.bar i{min-width:3px;flex-basis:0}
.legend{display:flex;flex-wrap:wrap;gap:.15rem 1.2rem;margin:.55rem 0 .8rem;font-size:.86rem;color:var(--soft)}
.key{white-space:nowrap;color:var(--ink)}
.key i{display:inline-block;width:.85em;height:.85em;border-radius:2px;margin-right:.45em;vertical-align:-.08em}
i.completed,.key .completed{background:var(--completed)}i.failed{background:var(--failed)}
i.running{background:var(--running)}i.pending{background:var(--pending)}i.other{background:var(--other)}
i.unsubmitted{background:var(--unsubmitted)}
svg{position:absolute;inset:0;width:100%;height:100%;display:block;overflow:visible}
svg .completed{fill:var(--completed)}svg .failed{fill:var(--failed)}svg .running{fill:var(--running)}
svg .pending{fill:var(--pending)}
svg .grid{fill:none;stroke:var(--line);stroke-width:1px;vector-effect:non-scaling-stroke}
svg g.failed,svg g.failed path{fill:var(--bg);stroke:var(--failed);stroke-width:2px;vector-effect:non-scaling-stroke}
.row{display:grid;grid-template-columns:6.5rem minmax(0,1fr) 10.5rem;column-gap:.8rem}
.row .a{position:relative}
.row .l{text-align:right;position:relative;font-size:.82rem;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.row .r{font-size:.82rem;color:var(--soft);white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.row .r em{font-style:normal;color:var(--ink);font-weight:600}
.host{align-items:center;margin-bottom:5px}
.curve{margin-bottom:1.1rem}.curve .l{overflow:visible}
.axis{margin-top:.1rem}.axis .a{height:1.5em;font-size:.78rem;color:var(--soft)}
.two .a{height:2.7em}.axis .r{font-size:.78rem;padding-top:.25em}
.t{position:absolute;top:.25em;transform:translateX(-50%);white-space:nowrap;text-align:center;line-height:1.25}
.t.first{transform:none;text-align:left}.t.last{transform:translateX(-100%);text-align:right}
.t b{font-weight:600;color:var(--ink)}
.v{position:absolute;right:0;transform:translateY(50%);font-size:.78rem;color:var(--soft);line-height:1;white-space:nowrap}
.time h3{margin-left:7.3rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(18.5rem,1fr));gap:1.6rem 2rem}
.even{grid-template-columns:repeat(auto-fit,minmax(min(100%,23rem),1fr))}
figure{margin:0}
.hist{display:grid;grid-template-columns:2.9rem minmax(0,1fr);grid-template-rows:190px 1.6rem;column-gap:.5rem}
.hist .l,.hist .a{position:relative}.hist .x{grid-column:2;position:relative;font-size:.78rem;color:var(--soft)}
.mark{position:absolute;top:0;bottom:0;width:0;border-left:2px dashed var(--ink)}
.mark.advised{border-left-style:dotted}
.mark b{position:absolute;left:.45em;top:calc(var(--level)*1.55em);font-size:.76rem;line-height:1.3;font-weight:600;
z-index:1;white-space:nowrap;background:var(--bg);padding:0 .25em;border-radius:3px}
.mark.turned b{left:auto;right:.55em}
.failure{display:grid;grid-template-columns:6.5rem minmax(0,1fr);column-gap:1rem;padding:.8rem 0;
border-top:1px solid var(--line)}
.failure p{margin:0 0 .15rem;overflow-wrap:anywhere}
.count b{font-size:1.3rem;line-height:1.2;display:block}
.count i{display:block;height:6px;border-radius:3px;margin-top:.3rem}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.84em}
pre{background:var(--card);border-radius:6px;padding:.7rem .9rem;margin:.4rem 0 0;overflow-x:auto;line-height:1.45;
font-size:.78rem}
summary{cursor:pointer;color:var(--soft);font-size:.86rem}
table{border-collapse:collapse;font-size:.9rem}
th{text-align:left;font-weight:600}
td,th{padding:.38rem 1.3rem .38rem 0;border-bottom:1px solid var(--line);vertical-align:top}
thead th,td+td{text-align:right}thead th{font-weight:500;color:var(--soft);font-size:.82rem}
td,thead th{text-align:right}
.facts{width:100%;margin-bottom:1.4rem}.facts td{text-align:left;overflow-wrap:anywhere;padding-right:0}
.facts th{font-weight:400;color:var(--soft);white-space:nowrap;width:1%}
.scroll{overflow-x:auto}
.flags{margin:.2rem 0 1rem;font-size:1.05rem}
.flags code{font-size:1.35rem;font-weight:650;background:var(--card);border-radius:6px;padding:.25rem .7rem;
margin-right:.5rem;white-space:nowrap}
.pair{display:grid;grid-template-columns:minmax(0,1.35fr) minmax(0,1fr);gap:1.5rem 2.2rem}
footer{margin-top:3rem;border-top:1px solid var(--line);color:var(--soft);font-size:.82rem}
@media screen and (max-width:1000px){.tiles{grid-template-columns:repeat(3,minmax(0,1fr))}}
@media screen and (max-width:760px){main{padding:1.3rem 1rem 2rem}h1{font-size:1.7rem}
.row{grid-template-columns:4rem minmax(0,1fr);column-gap:.5rem}.row .r{grid-column:2;line-height:1.3}
.host .r{font-size:.74rem;padding:.1rem 0 .25rem}.axis .r{text-align:center}.time h3{margin-left:4.5rem}
.curve .r br{display:none}.curve .r .key{margin-right:.9rem}
.t.odd{display:none}.pair{grid-template-columns:minmax(0,1fr)}.failure{grid-template-columns:4rem minmax(0,1fr)}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.tile b{font-size:1.45rem}}
@media print{@page{margin:13mm}html{font-size:11.5px}body{font-size:1rem}main{max-width:none;padding:0}
section{margin-top:2rem}.tile b{font-size:1.5rem}.tile{padding:.5rem .6rem}.tiles{gap:.5rem}
.row{grid-template-columns:5.5rem minmax(0,1fr) 9.5rem}.time h3{margin-left:6.3rem}
.time,figure,.failure,.tiles,.row,.scroll,tr,.flags,.charts,pre{break-inside:avoid}h2,h3,.legend{break-after:avoid}
.charts{grid-template-columns:repeat(3,minmax(0,1fr));gap:1rem 1.4rem}
.even{grid-template-columns:repeat(2,minmax(0,1fr))}.hist{grid-template-rows:150px 1.6rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere}td,th{padding-top:.25rem;padding-bottom:.25rem}footer{margin-top:1.5rem}}
"""
