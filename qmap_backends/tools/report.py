"""`qmap report`: one HTML file that shows an execution, and needs only a browser: no script, font or network.

Shapes are SVG that stretches with the page; all text is HTML beside it, so that it stays readable from a
phone to a projector, and on paper. Whatever comes from the execution goes through `html_text`.
"""

import array
import bisect
import collections
import html
import itertools
import math
import os
import platform
import re
import time

from qmap import (
    Failures, __version__, counts_for_people, decode, error_line, is_driven, memory_text, open_regular,
    peak_text, plural, read_tail, sound_record, write_parameter)
from qmap_backends.tools.advice import (
    COMPLETED, GIGA, MEASURABLE, MEGA, NOT_ENDED, UNKNOWN, amount, less_than, quantile, share_unused,
    short_time, spread)

#: Steps of time over which the curves take means.
BINS = 300

#: Jobs that are drawn one by one, at the most; those of which each tells what it is; and lines of them.
DRAWN, TOLD, LANES = 2500, 500, 64

#: Lines of hosts in the timeline; where there are more hosts, neighbours share one.
ROWS = 40

#: Groups of failures that are shown, lines of an example's stderr, and lines of the map.
GROUPS, TAIL, HEAD = 12, 12, 12

#: Jobs that are listed of a group of failures, and of all groups together, at the most.
LISTED, LISTED_IN_ALL = 300, 1500

#: Seconds that the clock of a file system may be from others.
CLOCK = 60

#: The longest line that is shown, and the longest in a list.
LONGEST, LONGEST_IN_LIST = 300, 160

#: What XML cannot hold, or a terminal would obey.
UNSHOWN = re.compile('\x1b\\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f'
                     '\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]')

TIME_TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
              172800, 604800, 2592000, 7776000, 31536000, 157680000, 1576800000]

MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split()


def html_text(value):
    """Return text as HTML shows it: escaped, and with a sign in place of what is not text."""
    def sign_for(match):
        is_escape_sequence = match.group()[0] == '\x1b' and match.group()[1:]
        return '' if is_escape_sequence else '\ufffd'

    return html.escape(UNSHOWN.sub(sign_for, str(value)))


def cut_line(line, most=LONGEST):
    """Return a line, shortened where it is very long."""
    return line if len(line) <= most else line[:most] + '\u2026'


def natural_key(name):
    """Return what sorts c2 before c10."""
    return [int(part) if part.isdigit() else part for part in re.split('([0-9]+)', name)]


def short_number(value):
    """Return a coordinate as short as it can be written."""
    shown = '{:.1f}'.format(value)
    return shown[:-2] if shown.endswith('.0') else shown


def round_ticks(most, count):
    """Return ticks from 0 to `most` or just beyond, some `count` of them, at round numbers."""
    raw = most / count
    power = 10 ** math.floor(math.log10(raw)) if raw > 0 else 1
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= raw * 0.999)
    if most >= 1:
        step = max(1, step)
    return [number * step for number in range(int(math.ceil(most / step - 1e-9)) + 1)]


def date_text(seconds):
    """Return '27 Nov' of a local time."""
    local = time.localtime(seconds)
    return '{} {}'.format(local.tm_mday, MONTHS[local.tm_mon - 1])


def moment_text(seconds):
    """Return '27 Nov 2026, 14:03' of a local time."""
    local = time.localtime(seconds)
    return '{} {}, {:02d}:{:02d}'.format(date_text(seconds), local.tm_year, local.tm_hour, local.tm_min)


def steps_path(values, top, height=100):
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


#: A time axis is drawn to several scales where stretches in which next to nothing happens take most of it: so
#: many at the most, each with this share of the time or more, all with that share or more, on this part of
#: the width.
QUIET, QUIET_EACH, QUIET_ALL, QUIET_WIDTH = 3, 0.15, 0.6, 0.25

#: With fewer attempts than this, each is worth its time; else a stretch with one of so many is quiet.
QUIET_FROM, QUIET_OF = 10, 50

#: With more attempts than twice this, some of them tell what is quiet.
SAMPLED = 20000


def quiet_stretches(begin, end, starts, ends):
    """Return the stretches of time that can be drawn narrower, so that what happens in the others is seen:
    before the first jobs start, in a night between, or when only the last few still run. A sorted list of
    (begin, end).

    Args:
        begin, end: of all, in seconds
        starts, ends: sorted times, of which the attempts were started and ended
    """
    if len(starts) < QUIET_FROM or end <= begin:
        return []
    for few in (0, max(1, len(starts) // QUIET_OF)):
        found = []
        # From each end on, until more than a few attempts are seen: those that run then, or start later.
        for gone, first in enumerate([begin] + ends):
            last = starts[gone + few] if gone + few < len(starts) else end
            if last - first >= QUIET_EACH * (end - begin):
                found.append((first, last))
        chosen = []
        for first, last in sorted(found, key=lambda stretch: stretch[0] - stretch[1]):
            if len(chosen) < QUIET and all(last <= other[0] or first >= other[1] for other in chosen):
                chosen.append((first, last))
        if QUIET_ALL * (end - begin) <= sum(last - first for first, last in chosen) < end - begin:
            return sorted(chosen)
    return []


#: A part of an axis: from begin to end, in seconds, from bin `left` on so many bins.
Piece = collections.namedtuple('Piece', 'begin end left bins quiet')


class Axis:
    """A horizontal axis of time.

    Attributes:
        begin, end: seconds since 1970
        pieces: list of Piece
        width: of a bin, seconds, where something happens
        ticks: list of (share of the width, label, second label or '')
        unit: what the labels are
    """

    def __init__(self, begin, end, quiet=()):
        """
        Args:
            begin, end: seconds since 1970
            quiet: stretches that are drawn narrower, as from `quiet_stretches`
        """
        self.begin, self.end = begin, max(end, begin + 0.001)
        self.pieces = self._pieces(quiet)
        self._ends = [piece.end for piece in self.pieces[:-1]]
        busy = [piece for piece in self.pieces if not piece.quiet]
        longest = max(busy, key=lambda piece: piece.bins)
        self.width = (longest.end - longest.begin) / longest.bins
        span = sum(piece.end - piece.begin for piece in busy)
        self.ticks = []
        if span < 120 and self.end - self.begin < 7200:
            self.unit = 'seconds since the start'
            self._tick_seconds(busy, span)
        else:
            self._tick_clock(busy, span)

    def _pieces(self, quiet):
        edges = [self.begin] + [edge for stretch in quiet for edge in stretch] + [self.end]
        parts = [(first, last, place % 2 == 1) for place, (first, last) in enumerate(zip(edges, edges[1:]))
                 if last > first]
        narrow = int(QUIET_WIDTH * BINS) // len(quiet) if quiet else 0
        wide = BINS - narrow * len(quiet)
        span = sum(last - first for first, last, still in parts if not still)
        busy = sum(1 for _, _, still in parts if not still)
        found, left = [], 0
        for first, last, still in parts:
            # Each a tenth of what is fair at least, so that it can be seen.
            bins = narrow if still else int(0.1 * wide / busy + 0.9 * wide * (last - first) / span)
            found.append(Piece(first, last, left, bins, still))
            left += bins
        last = found.pop()
        return found + [last._replace(bins=BINS - last.left)]

    def _tick_seconds(self, busy, span):
        for piece, step in self._steps(busy, span, lambda span, most: round_ticks(span, most)[1]):
            number = math.ceil((piece.begin - self.begin) / step - 1e-9)
            while self.begin + number * step <= piece.end + 1e-9 * step:
                label = '{:g}'.format(round(number * step, 6))
                self.ticks.append((self.at(self.begin + number * step), label, ''))
                number += 1

    def _tick_clock(self, busy, span):
        zone, day, coarse = time.localtime(self.begin), None, True
        for piece, step in self._steps(busy, span, lambda span, most: next(
                (step for step in TIME_TICKS if span / step <= most), TIME_TICKS[-1])):
            value = math.ceil((piece.begin + zone.tm_gmtoff) / step) * step - zone.tm_gmtoff
            coarse = coarse and step >= 86400
            while value <= piece.end:
                now = time.localtime(value)
                first, second = date_text(value), ''
                if step < 86400:
                    first = time.strftime('%H:%M:%S' if step < 60 else '%H:%M', now)
                    second = date_text(value) if now.tm_yday != day else ''
                elif step >= 2592000:
                    second = str(now.tm_year)
                day = now.tm_yday
                self.ticks.append((self.at(value), first, second))
                value += step
        self.unit = 'date' if coarse else 'time of day ({})'.format(time.strftime('%Z', zone))

    @staticmethod
    def _steps(busy, span, step):
        """Yield (Piece, step of its ticks) for some eight ticks in all, and one or more in each.

        Args:
            busy: list of Piece
            span: seconds of all of them
            step: function of a span and a number of ticks that returns the step
        """
        for piece in busy:
            seconds = piece.end - piece.begin
            yield piece, step(span, 8) if seconds >= 2 * step(span, 8) else step(seconds, 2)

    def bin(self, seconds):
        """Return where a time is, in bins from the left."""
        piece = self.pieces[bisect.bisect_right(self._ends, seconds)]
        place_ = piece.left + (seconds - piece.begin) * piece.bins / (piece.end - piece.begin)
        return min(max(0.0, place_), float(BINS))

    def at(self, seconds):
        """Return where a time is, from 0 to 1."""
        return self.bin(seconds) / BINS

    def labels(self):
        """Return the axis as a row."""
        two = any(second for _, _, second in self.ticks)
        marks = ''.join('<span class="t quiet" style="left:{:.2f}%">{}</span>'.format(
            100 * (piece.left + piece.bins / 2) / BINS, short_time(piece.end - piece.begin))
            for piece in self.pieces if piece.quiet)
        kind = 'axis two' if two else 'axis'
        return time_row('', axis_labels(self.ticks) + marks, html_text(self.unit), kind)

    def grid(self, height=100, width=BINS):
        """Return its grid lines, and what marks the stretches that are drawn narrower."""
        marks = ''.join('<path class="quiet" d="M{} 0h{}v{}h-{}z"/>'.format(
            short_number(width * piece.left / BINS), short_number(width * piece.bins / BINS), height,
            short_number(width * piece.bins / BINS)) for piece in self.pieces if piece.quiet)
        lines = ('M{} 0v{}'.format(short_number(width * share), height) for share, _, _ in self.ticks)
        return '{}<path class="grid" d="{}"/>'.format(marks, ''.join(lines))

    def sentence(self):
        """Return what is to be said of stretches that are drawn narrower, '' where there are none."""
        spans = [short_time(piece.end - piece.begin) for piece in self.pieces if piece.quiet]
        return '' if not spans else 'Shaded: {} in which few jobs started or ran, drawn narrower.'.format(
            ' and '.join(spans))


def time_row(left, middle, right, kind='', height=0):
    """Return a row of the pictures that share an axis of time: the picture, and the texts beside it."""
    style = ' style="height:{}px"'.format(height) if height else ''
    return '<div class="row {}"><div class="l">{}</div><div class="a"{}>{}</div>' \
        '<div class="r">{}</div></div>\n'.format(kind, left, style, middle, right)


def axis_labels(marks):
    """Return the labels (share, label, second label) of a horizontal axis; narrow pages show every other."""
    found = []
    for number, (share, first, second) in enumerate(marks):
        side = 'last' if share > 0.98 else ''
        if share < 0.02:
            side = 'first'
        found.append('<span class="t {}{}" style="left:{:.2f}%">{}{}</span>'.format(
            side, ' odd' if number % 2 else '', 100 * share, html_text(first),
            '<br/><b>{}</b>'.format(html_text(second)) if second else ''))
    return ''.join(found)


def svg_picture(body, label, width=BINS, height=100):
    """Return a picture that stretches."""
    return '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'.format(
        width, height, html_text(label), body)


def level_labels(marks, top):
    """Return the labels of a vertical axis."""
    return ''.join('<span class="v{}" style="bottom:{:.1f}%">{}</span>'.format(
        '' if mark else ' zero', 100 * mark / top, axis_number(mark, top)) for mark in marks)


def axis_number(value, top):
    """Return a number for an axis that goes up to `top`: 0, 500; 0, 0.5k, 20k; 0, 1.5M."""
    for size, unit in ((1e6, 'M'), (1e4, 'k')):
        if top >= size and value:
            return '{:g}{}'.format(value / (1e6 if unit == 'M' else 1000), unit)
    return '{:,.0f}'.format(value) if value == int(value) else '{:g}'.format(value)


def legend_keys(*names):
    """Return a legend: words behind a sample of their colour and shape."""
    return ''.join('<span class="key"><i class="{}"></i>{}</span>'.format(kind, html_text(name))
                   for kind, name in names)


#: How jobs end, for people; and which of `Usage.reasons` that is, where it is not failed.
ENDS = ('completed', 'failed', 'cancelled')
KINDS = {'': 'running', 'completed': 'completed', 'cancelled': 'cancelled'}


class Clocks:
    """How far the clocks of the hosts are from the driver's, as far as the records prove it.

    No job starts before it was submitted, or ends after its end was heard of. What a host says otherwise is
    put right by the least that makes it possible.

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
        times = usage.times
        for host, submitted, started, finished in zip(
                usage.host, times.submitted, times.started, times.finished):
            if submitted and started:
                if started - submitted < least[host]:
                    least[host] = started - submitted
                if finished - last > most[host]:
                    most[host] = finished - last
        self.shifts = [0] + [self._shift(behind, ahead) for behind, ahead in zip(least[1:], most[1:])]
        self._hosts = usage.hosts

    def _shift(self, behind, ahead):
        """Return the seconds to add to the times of a host that are so much too early, or too late."""
        if behind < -self.SMALL:
            return -behind
        return -ahead if ahead > self.SMALL else 0

    def sentence(self):
        """Return what was put right, '' for nothing."""
        wrong = [(abs(shift), name, 'behind' if shift > 0 else 'ahead')
                 for shift, name in zip(self.shifts, self._hosts) if shift]
        if not wrong:
            return ''
        wrong.sort(reverse=True)
        named = ', '.join('{} ({} {})'.format(name, short_time(shift), side)
                          for shift, name, side in wrong[:4])
        if len(wrong) > 4:
            named += ' and {} more'.format(len(wrong) - 4)
        return 'Clocks differ: times from {} were shifted so that no job starts before its submission.' \
            .format(named)


class Attempts:
    """All attempts of which the times are known, by the driver's clock.

    Attributes:
        shifts: list by host: seconds to add to its times
    """

    def __init__(self, usage, live, shifts):
        """
        Args:
            usage: Usage
            live: list of the records of live jobs
            shifts: those of Clocks
        """
        self.shifts = shifts
        self._usage, self._live = usage, live
        self._codes = {name: code for code, name in enumerate(usage.hosts)}

    def ended(self):
        """Return an iterator over all attempts that have ended: (number of the job, how it ended, code of the
        host, submitted, started, finished, whether it was the last)."""
        usage, times = self._usage, self._usage.times
        last = zip(itertools.count(), usage.ends, usage.host, times.submitted, times.started, times.finished,
                   itertools.repeat(True))
        return itertools.chain((attempt for attempt in last if attempt[1]),
                               (attempt + (False,) for attempt in usage.earlier))

    def running(self):
        """Yield (record, code of the host, when it started) of the live jobs that run."""
        for record in self._live:
            if record.get('started'):
                host = self._codes.get(record.get('host', ''), 0)
                yield record, host, record['started'] + self.shifts[host]

    def spans(self, now):
        """Return the arrays of when attempts started, and when these ended."""
        starts, ends, shifts = array.array('d'), array.array('d'), self.shifts
        for _, _, host, _, started, finished, _ in self.ended():
            if started and finished:
                starts.append(started + shifts[host])
                ends.append(finished + shifts[host])
        for _, _, started in self.running():
            starts.append(started)
            ends.append(now)
        return starts, ends

    def first_submission(self):
        """Return when the first attempt was submitted, 0 where none was."""
        return min(itertools.chain(
            (value for value in self._usage.times.submitted if value),
            (attempt[3] for attempt in self._usage.earlier if attempt[3]),
            (record['submitted'] for record in self._live)), default=0)

    def last_dropped(self):
        """Return when the last attempt ended that had not started, 0 where there is none."""
        return max((finished for _, _, _, _, started, finished, _ in self.ended() if not started), default=0)


def make_axis(begin, end, starts, ends, lasts):
    """Return the Axis of an execution.

    Args:
        begin, end: of all, in seconds
        starts, ends: of the attempts, as from `Attempts.spans`
        lasts: whether some jobs are not over
    """
    step = 1 + len(starts) // SAMPLED
    quiet = quiet_stretches(begin, end, sorted(starts[::step]), sorted(ends[::step]))
    ends_quietly = bool(quiet) and quiet[-1][1] == end
    if not lasts and not ends_quietly:    # with some room, to see what ended last
        end += 0.02 * (end - begin - sum(last - first for first, last in quiet))
    return Axis(begin, end, quiet)


class Course:
    """What ran where and when, over steps of time.

    Attributes:
        attempts: Attempts
        axis: Axis, None where nothing was submitted
        running: list by host of lists: jobs at once, the mean of each step
        waiting: list: jobs that were submitted and did not run yet
        ended: {'completed', 'failed' or 'cancelled': list: jobs that had ended by then}
        failed, earlier: lists by host of sets of steps in which jobs failed; and earlier attempts of others
        jobs, failures: lists by host: number of jobs, and of those that failed
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
        hosts = len(usage.hosts)
        self.attempts = Attempts(usage, live, clocks.shifts)
        starts, ends = self.attempts.spans(now)
        self.first, self.last = min(starts, default=0), max(ends, default=0)
        begin = min((value for value in (self.attempts.first_submission(), self.first) if value), default=0)
        self.axis = None
        if begin:
            end = now if live else max(self.last, self.attempts.last_dropped())
            self.axis = make_axis(begin, end, starts, ends, bool(live))
        self.waiting = []
        self.running = [[] for _ in range(hosts)]
        self.failed, self.earlier = [set() for _ in range(hosts)], [set() for _ in range(hosts)]
        self.ended = {kind: [] for kind in ENDS}
        self.jobs, self.failures = [0] * hosts, [0] * hosts
        self.busy = 0
        if self.axis:
            self._fill(usage, live, now)

    def _fill(self, usage, live, now):
        shifts, bin_of = self.attempts.shifts, self.axis.bin
        size = BINS + 2
        running = [[0.0] * size for _ in usage.hosts]
        waiting = [0.0] * size
        ended = {kind: [0] * size for kind in ENDS}

        def step(into, at, sign):
            """Add a step to what is to be summed up: the part of its first bin, and all of the later ones."""
            whole = int(at)
            into[whole] += sign * (whole + 1 - at)
            into[whole + 1] += sign * (at - whole)

        for _, end, host, submitted, started, finished, last in self.attempts.ended():
            kind = KINDS.get(usage.reasons[end], 'failed')
            if started:
                started += shifts[host]
                if submitted:
                    step(waiting, bin_of(submitted), 1)
                    step(waiting, bin_of(started), -1)
            if finished:
                finished += shifts[host]
                at = bin_of(finished)
                if started:
                    step(running[host], bin_of(started), 1)
                    step(running[host], at, -1)
                    self.busy += max(0, finished - started)
                at = min(BINS - 1, int(at))
                if last:
                    ended[kind][at] += 1
                if kind == 'failed' or not last:
                    (self.failed if last else self.earlier)[host].add(at)
            if last:
                self.jobs[host] += 1
                self.failures[host] += kind == 'failed'
        for record in live:
            step(waiting, bin_of(record['submitted']), 1)
        for record, host, started in self.attempts.running():
            step(waiting, bin_of(started), -1)
            step(running[host], bin_of(started), 1)
            self.busy += max(0, now - record['started'])
            self.jobs[host] += 1
        self.running = [list(itertools.accumulate(values))[:BINS] for values in running]
        self.waiting = [max(0, value) for value in itertools.accumulate(waiting)][:BINS]
        self.ended = {kind: list(itertools.accumulate(values))[:BINS] for kind, values in ended.items()}

    def at_once(self):
        """Return how many jobs ran at once, by step."""
        return [max(0, sum(values)) for values in zip(*self.running)]


class Timeline:
    """The pictures of what ran where and when."""

    #: The words of the legend.
    LEGEND = collections.OrderedDict([
        ('completed', 'completed'), ('failed', 'failed: outlined'), ('cancelled', 'cancelled'),
        ('running', 'still running: thin'), ('hollow', 'earlier attempts: hollow')])

    def __init__(self, plan, ledger, usage, course, clocks, now):
        """
        Args:
            plan, ledger, usage: as `advice.read` returns them
            course: Course
            clocks: Clocks
            now: seconds since 1970
        """
        self._plan, self._ledger, self._usage = plan, ledger, usage
        self._course, self._clocks, self._now = course, clocks, now
        self.hosts = sorted((name for name, jobs in zip(usage.hosts, course.jobs) if name and jobs),
                            key=natural_key)

    def html(self):
        """Return the section."""
        if not self._course.first:
            return page_section('Timeline', '<p>No job has run.</p>')
        lanes = self._lanes()
        notes = [self._course.axis.sentence(), self._clocks.sentence()]
        picture = self._bars(lanes) if lanes else self._density()
        return page_section('Timeline', picture + ''.join(map(small_note, filter(None, notes))))

    def _lanes(self):
        """Return {host: list of slots, each a list of attempts}; None where there is too much.

        An attempt: start, end, number of the job, how it ended (an index into Usage.reasons, NOT_ENDED for
        what still runs), whether it was the last.
        """
        usage, attempts, axis = self._usage, self._course.attempts, self._course.axis
        shifts = attempts.shifts
        jobs = [(started + shifts[host], finished + shifts[host], usage.hosts[host], number, end, last)
                for number, end, host, _, started, finished, last in attempts.ended() if started and finished]
        for record, _, started in attempts.running():
            jobs.append((started, self._now, record.get('host', ''), self._ledger.number(record['job']),
                         NOT_ENDED, True))
        if not 0 < len(jobs) <= DRAWN:
            return None
        if len(jobs) > TOLD:
            widths = sorted(axis.at(end) - axis.at(start) for start, end, *_ in jobs)
            if quantile(widths, 0.5) < 0.001:
                return None
        gap = 0.000002 * (axis.end - axis.begin)
        found, count = {}, 0
        for start, end, host, job, how, last in sorted(jobs):
            slots = found.setdefault(host, [])
            slot = next((slot for slot in slots if slot[-1][1] <= start + gap), None)
            if slot is None:
                slot, count = [], count + 1
                slots.append(slot)
            slot.append((start, end, job, how, last))
        return found if count <= LANES else None

    def _bars(self, lanes):
        """Return a bar for each attempt, a line for each slot."""
        axis = self._course.axis
        count = sum(map(len, lanes.values()))
        told = sum(len(slot) for slots in lanes.values() for slot in slots) <= TOLD
        height = next((height for most, height in ((8, 20), (24, 14)) if count <= most), 10)
        rows, there = [], set()
        for host in sorted(lanes, key=natural_key):
            slots = lanes[host]
            shapes = self._shapes(slots, told)
            body = ''.join('<g class="{}">{}</g>'.format(
                kind, ''.join(paths) if told else '<path d="{}"/>'.format(''.join(paths)))
                for kind, paths in shapes.items())
            there.update(kind.split()[-1] for kind in shapes)
            jobs, deep = sum(1 for slot in slots for attempt in slot if attempt[4]), 10 * len(slots)
            label = '{} jobs on {}'.format(jobs, host)
            picture = svg_picture(axis.grid(deep, 1000) + body, label, 1000, deep)
            totals = self._totals(jobs, len(shapes.get('failed', ())))
            rows.append(time_row(
                html_text(host or '(unknown)'), picture, totals, 'host', height * len(slots)))
        legend = legend_keys(*[item for item in self.LEGEND.items() if item[0] in there])
        return '<p class="legend">{}<span>a bar for each job, a line for each slot of a host</span></p>\n' \
            '<div class="time">{}{}</div>'.format(legend, ''.join(rows), axis.labels())

    def _shapes(self, slots, told):
        """Return {class: list of shapes} of the bars of a host."""
        axis, shapes = self._course.axis, collections.OrderedDict()
        for line, slot in enumerate(slots):
            for start, end, job, how, last in slot:
                kind = KINDS.get(self._usage.reasons[how], 'failed')
                path = self._bar(1000 * axis.at(start), 1000 * axis.at(end), 10 * line, kind)
                shapes.setdefault(kind if last else kind + ' hollow', []).append(
                    path if not told else '<path d="{}"><title>{}</title></path>'.format(
                        path, html_text(self._tell(job, start, end, how, last))))
        return shapes

    @staticmethod
    def _bar(left, right, top, kind):
        """Return the path of a job's bar in a line of height 10, with a gap to the next if there is room."""
        wide, thick = max(0.8, right - left), 4 if kind == 'running' else 8
        wide = short_number(wide - 0.6 if wide > 3 else wide)
        return 'M{} {}h{}v{}h-{}z'.format(short_number(left), top + (10 - thick) // 2, wide, thick, wide)

    def _tell(self, number, start, end, how, last):
        """Return what a bar says when it is pointed at."""
        own = own_text(self._plan, number)
        return 'job {}{}: {}, {}\n{}{}'.format(
            self._ledger.id(number), '' if last else ', earlier attempt',
            self._usage.reasons[how] or 'running', short_time(end - start), own + '\n' if own else '',
            cut_line(self._plan.map.command(number * self._plan.group)[0]))

    def _totals(self, jobs, failed):
        """Return how many jobs a host ran, and how many of them failed."""
        return plural(jobs, 'job') + (', <em>{:,} failed</em>'.format(failed) if failed else '')

    def _density(self):
        """Return the number of jobs at once on each host, where there are too many for a bar each."""
        course = self._course
        names = list(self.hosts) or ['']
        share = -(-len(names) // ROWS)
        groups = [names[first:first + share] for first in range(0, len(names), share)]
        if self.hosts and course.jobs[0] and any(course.running[0]):
            groups.append([''])
        codes = {name: code for code, name in enumerate(self._usage.hosts)}
        curves = []
        for group in groups:
            curves.append([max(0, sum(values) / len(group))
                           for values in zip(*(course.running[codes[name]] for name in group))])
        top = max(itertools.chain(*curves), default=0) or 1
        rows = [self._density_row(group, [codes[name] for name in group], curve, top)
                for group, curve in zip(groups, curves)]
        scale = 'height: jobs running at once on {}, maximum {}; steps of {}'.format(
            'a host' if share == 1 else 'a host, the mean of {} neighbours'.format(share), amount(top),
            short_time(course.axis.width))
        legend = legend_keys(
            ('running', 'running'), *[('failed', 'failed: below the line')] * any(course.failed),
            *[('hollow', 'earlier attempts: hollow')] * any(course.earlier))
        return '<p class="legend">{}<span>{}</span></p>\n<div class="time">{}{}</div>'.format(
            legend, html_text(scale), ''.join(rows), course.axis.labels())

    def _density_row(self, names, codes, curve, top):
        """Return the row of one host, or of neighbours."""
        course = self._course
        name = names[0] or '(unknown)'
        if len(names) > 1:
            alike = os.path.commonprefix([name, names[-1]]).rstrip('0123456789')
            name = '{}\u2009\u2026\u2009{}'.format(name, names[-1][len(alike):])
        body = course.axis.grid(120) + '<path class="running" d="{}"/>'.format(steps_path(curve, top))
        for shape, found in (('<path class="failed" d="{}"/>', course.failed),
                             ('<g class="failed hollow"><path d="{}"/></g>', course.earlier)):
            at = sorted(set().union(*(found[code] for code in codes)))
            body += shape.format(''.join('M{} 106h1v14h-1z'.format(bin_) for bin_ in at)) if at else ''
        jobs, failed = (sum(figures[code] for code in codes) for figures in (course.jobs, course.failures))
        totals = self._totals(jobs, failed)
        picture = svg_picture(body, 'jobs at once on ' + name, BINS, 120)
        return time_row(html_text(name), picture, totals, 'host', 28)


def own_text(plan, number):
    """Return the parameters of its own that a job has in the map, 'sample=S191 memory=4G'."""
    if plan.alike:
        return ''
    return ' '.join('{}={}'.format(name, write_parameter(name, value))
                    for name, value in plan.map.command(number)[1].items())


class Failed:
    """What failed, in groups, and what was cancelled, job by job as far as one reads."""

    def __init__(self, plan, ledger, usage, course, hosts):
        """
        Args:
            plan, ledger, usage: as `advice.read` returns them
            course: Course
            hosts: names of those on which jobs ran
        """
        self._plan, self._ledger, self._usage, self._hosts = plan, ledger, usage, hosts
        self._jobs = {name: jobs for name, jobs in zip(usage.hosts, course.jobs) if name}
        self._left = LISTED_IN_ALL
        self._own = any(own_text(plan, number) for number in self._numbers(lambda code: code > COMPLETED))

    def _numbers(self, wanted):
        return itertools.compress(itertools.count(), self._usage.where(wanted))

    def html(self):
        """Return the sections."""
        cancelled = self._usage.cancelled
        failures = Failures(LISTED)
        for number in self._numbers(lambda code: code > COMPLETED and code != cancelled):
            failures.add(sound_record(self._ledger.record(number)))
        groups = failures.groups()
        found = ''
        if groups:
            most, rest = groups[0].count, groups[GROUPS:]
            found = ''.join(self._article(group, most, place < 4)
                            for place, group in enumerate(groups[:GROUPS]))
            if rest:
                found += small_note('And {} more, in {} of failures: qmap info -s failed error'.format(
                    plural(sum(group.count for group in rest), 'job'), plural(len(rest), 'other kind')))
            found = page_section('Failures', found)
        return found + self._cancelled(list(self._numbers(lambda code: code == cancelled)))

    def _cancelled(self, numbers):
        """Return the section with what was cancelled."""
        if not numbers:
            return ''
        ran = sum(1 for number in numbers if self._usage.times.started[number])
        if ran == len(numbers):
            when = 'all of them while they ran'
        elif ran:
            when = '{:,} while they ran, {:,} before'.format(ran, len(numbers) - ran)
        else:
            when = 'before they ran'
        jobs = self._list([self._ledger.id(number) for number in numbers[:LISTED]], len(numbers), False)
        return page_section('Cancelled', job_group(
            len(numbers), 100, 'cancelled', '<strong>{}</strong>'.format(when), '', jobs))

    def _article(self, group, most, shown):
        """Return a group of failures with its jobs, and what the first of them said.

        Args:
            group: Group
            most: how many jobs the largest group has
            shown: whether what it said is to be unfolded
        """
        id, several = group.ids[0], group.count > 1
        own = own_text(self._plan, self._ledger.number(id))
        example = '{}job {}, {}<code>{}</code>'.format(
            'example: ' if several else '', id, html_text(own) + ', ' if own else '',
            html_text(cut_line(self._command(id))))
        details = self._stderr(id, shown)
        if several:
            details += self._list(group.ids, group.count, not group.same)
        return job_group(group.count, 100 * group.count / most, 'failed', self._message(group),
                         html_text(self._where(group)) + example, details)

    @staticmethod
    def _message(group):
        """Return what a group of failures says."""
        error, what = html_text(cut_line(group.error)), '<strong>{}</strong>'.format(html_text(group.what))
        if group.what in group.error and group.same:
            return '<strong>{}</strong>'.format(error)
        if not error:
            return what
        return '{}{} <code>{}</code>'.format(what, '' if group.same else ', such as', error)

    def _where(self, group):
        """Return on which hosts a kind of failure was seen: 'on c12, c13 only; '."""
        only = group.only_on(self._jobs)
        if only:
            return 'on {} only; '.format(', '.join(only))
        names = sorted((name for name in group.hosts or () if name), key=natural_key)
        if group.hosts is None:
            return 'on many hosts; '
        if not names or len(self._hosts) < 2:
            return ''
        if len(names) <= 4:
            return 'on {}; '.format(', '.join(names))
        most = max(names, key=group.hosts.get)
        return 'on {} of {} hosts, most on {} ({:,}); '.format(
            len(names), len(self._hosts), most, group.hosts[most])

    def _command(self, job):
        """Return a job's command; of a group the first."""
        command = self._plan.map.command(int(job))[0].replace('\n', ' ')
        more = len(self._plan.commands(int(job) // self._plan.group)) - 1
        return command + (' (and {} more)'.format(more) if more > 0 else '')

    def _stderr(self, job, shown):
        """Return the end of a job's stderr."""
        path = self._plan.path(job, '.err')
        try:
            lines = read_tail(path).rstrip().split('\n')[-TAIL:]
        except OSError as error:
            lines = ['{}: {}'.format(path, error.strerror)]
        if not any(line.strip() for line in lines):
            return ''
        last_states = (line.rstrip('\r').split('\r')[-1] for line in lines)
        return '<details{}><summary>end of its stderr</summary><pre>{}</pre></details>'.format(
            ' open="open"' if shown else '', '\n'.join(html_text(cut_line(line)) for line in last_states))

    def _list(self, ids, count, differ):
        """Return the jobs of a group, folded.

        Args:
            ids: of those that are known
            count: how many there are
            differ: whether each has an error of its own
        """
        ids = ids[:self._left]
        self._left -= len(ids)
        if not ids:
            return ''
        hosts = len(self._hosts) > 1
        columns = [head for head, wanted in (('job', True), ('parameters', self._own), ('command', True),
                                             ('last line of stderr', differ), ('host', hosts)) if wanted]
        rows = []
        for id in ids:
            number = self._ledger.number(id)
            record = sound_record(self._ledger.record(number)) if differ or hosts else {}
            cells = {'job': id, 'parameters': own_text(self._plan, number), 'command': self._command(id),
                     'last line of stderr': error_line(record), 'host': record.get('host', '')}
            rows.append('<tr>{}</tr>'.format(''.join('<td{}>{}</td>'.format(
                ' class="w"' if head in ('command', 'last line of stderr') else '',
                html_text(cut_line(cells[head].replace('\n', ' '), LONGEST_IN_LIST))) for head in columns)))
        words = 'all {:,} jobs'.format(count) if len(ids) == count else \
            'the first {:,} of {:,} jobs'.format(len(ids), count)
        return '<details><summary>{}</summary><div class="scroll"><table class="jobs">' \
            '<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div></details>'.format(
                words, ''.join('<th>{}</th>'.format(head) for head in columns), '\n'.join(rows))


def job_group(count, share, kind, what, more, details):
    """Return a group of jobs: how many, as a number and a bar (percent of the width), and what it is."""
    more = '<p class="soft">{}</p>'.format(more) if more else ''
    return '<article class="failure"><div class="count"><b>{:,}</b>' \
        '<i class="{}" style="width:{:.1f}%"></i></div>' \
        '<div><p>{}</p>{}{}</div></article>\n'.format(count, kind, max(1, share), what, more, details)


#: The names of the schedulers, for people.
SCHEDULERS = {'slurm': 'Slurm', 'sge': 'Grid Engine', 'lsf': 'LSF'}


class Report:
    """The page."""

    def __init__(self, plan, ledger, usage, advice):
        """
        Args:
            plan, ledger, usage: as `advice.read` returns them
            advice: Advice
        """
        self.plan, self.ledger, self.usage, self.advice = plan, ledger, usage, advice
        self.made = time.time()
        self.driven = is_driven(plan.logs)
        # Where no driver runs, nothing is known of what came after the last record.
        self.now = self.made if self.driven else min(self.made, self._last_written() - CLOCK)
        live = list(ledger.live.values())
        clocks = Clocks(usage, self._last_written())
        self.course = Course(usage, live, clocks, self.now)
        self.timeline = Timeline(plan, ledger, usage, self.course, clocks, self.now)
        self.failed = Failed(plan, ledger, usage, self.course, self.timeline.hosts)

    @property
    def jobs(self):
        """The number of jobs."""
        return sum(self.advice.counts.values())

    def _last_written(self):
        """Return when the journal was last written, or what the jobs have said since, give or take the
        clock that tells it."""
        logs = self.plan.logs
        paths = [logs.journal(epoch) for epoch in logs.epochs()]
        if self.ledger.unwritten:
            paths += [os.path.join(logs.run, name) for name in logs.listing()]
        return max((os.stat(path).st_mtime for path in paths), default=self.made) + CLOCK

    def parts(self):
        """Yield the page, piece by piece."""
        title = html_text(self.plan.info.get('name') or 'qmap')
        yield PAGE.format(title=title, style=STYLE)
        yield self.head(title)
        for part in (self.failed.html, self.timeline.html, self.progress, self.histograms, self.advise,
                     self.about):
            yield part()
        yield self.foot()
        yield '</main>\n</body>\n</html>\n'

    # The top

    def head(self, title):
        """Return the title, the headline figures and the bar of all statuses."""
        left = self.ledger.left()
        state = ''
        if left:
            state = '<strong class="state">not finished: {:,} of {} remaining, as of {}{}</strong>'.format(
                left, plural(self.jobs, 'job'), moment_text(self.now),
                '' if self.driven else '; no driver is running')
        counts = counts_for_people(self.advice.counts, self.advice.cancelled)
        order = ('completed', 'failed', 'cancelled', 'running', 'pending', 'other', 'unsubmitted')
        there = [status for status in order if status in counts]
        bar = ''.join('<i class="{}" style="flex-grow:{}"></i>'.format(status, counts[status])
                      for status in there)
        legend = legend_keys(*[(status, '{:,} {}'.format(counts[status], status)) for status in there])
        return '<header>\n<p class="kind">QMap report</p>\n<h1>{}</h1>\n' \
            '<p class="lead">{}</p>\n{}</header>\n' \
            '<div class="tiles">{}</div>\n<div class="bar">{}</div>\n<p class="legend">{}</p>\n'.format(
                title, html_text(self._lead(left)), state, ''.join(self.tiles()), bar, legend)

    def _lead(self, left):
        """Return the line below the title: '12 jobs on c01 through Slurm, 27 Nov 2026, 14:03 - 15:10'."""
        course, executor = self.course, self.plan.info['executor']
        parts, hosts = [plural(self.jobs, 'job')], self.timeline.hosts
        if len(hosts) > 1:
            parts.append('on {} hosts'.format(len(hosts)))
        elif hosts:
            parts.append('on ' + hosts[0])
        if executor != 'local':
            parts.append('through ' + SCHEDULERS.get(executor, executor))
        span = ''
        if course.first:
            first = moment_text(course.first)
            until = 'now' if left and self.driven else moment_text(course.last)
            if first.partition(', ')[0] == until.partition(', ')[0]:
                until = until.partition(', ')[2]
            span = ', {}{} ({})'.format(first, '' if first.endswith(until) else ' \u2013 ' + until,
                                        time.strftime('%Z', time.localtime(course.first)))
        return ' '.join(parts) + span

    def tiles(self):
        """Yield the headline figures."""
        course, advice = self.course, self.advice
        completed, failed = advice.counts['COMPLETED'], advice.counts['FAILED'] - advice.cancelled
        share = 100 * completed / self.jobs
        shown = '{:.0f}'.format(share) if share in (0, 100) else '{:.1f}'.format(min(99.9, max(0.1, share)))
        skipped = '; {:,} skipped, as outputs exist'.format(advice.skipped) if advice.skipped else ''
        yield headline_tile(shown + '\u202f%', 'completed', '{:,} of {:,}{}'.format(
            completed, self.jobs, skipped))
        reasons = ['{:,} {}'.format(number, 'submission refused' if reason == 'submit' else reason)
                   for reason, number in sorted(advice.failed.items(), key=lambda item: -item[1])
                   if reason != 'cancelled']
        more = ', '.join(reasons[:3]) or 'none'
        if advice.cancelled:
            more = '{}{:,} cancelled'.format(more + '; ' if reasons else '', advice.cancelled)
        yield headline_tile('{:,}'.format(failed), 'failed', more)
        if course.first and course.last > course.first:
            span = course.last - course.first
            yield headline_tile(short_time(span), 'elapsed', per_time(
                (completed - advice.skipped + failed) / span))
            yield headline_tile(amount(course.busy / span), 'jobs running', 'mean; maximum {:,.0f}'.format(
                max(course.at_once(), default=0)))
        core_time, time = advice.waste.core_time, advice.needs.time
        if core_time:
            figure, what = amount(core_time / 3600), 'core-hours requested'
            if core_time < 360:
                figure, what = short_time(core_time), 'core time requested'
            yield headline_tile(figure, what, '{:.0f}\u202f% used'.format(
                100 - 100 * share_unused(advice.waste.cpu_time, core_time)))
        if time:
            yield headline_tile(short_time(time['median']), 'median wall time', '95th percentile {}'.format(
                short_time(time['percentile_95'])))

    # Job states over time

    def progress(self):
        """Return the section with the statuses over time."""
        course, jobs = self.course, self.jobs
        if not course.axis:
            return ''
        areas, total = [], [0] * BINS
        for kind in ENDS:
            total = [one + other for one, other in zip(total, course.ended[kind])]
            areas.append((kind, list(total)))
        names = [(kind, '{:,} {}'.format(course.ended[kind][-1], kind), course.ended[kind][-1])
                 for kind in ENDS]
        parts = [self._areas('Jobs ended, of {:,}'.format(jobs), areas[::-1], jobs, names, 150)]
        at_once = course.at_once()
        parts.append(self._areas('Jobs running', [('running', at_once)], max(at_once),
                                 [('running', 'running', 1)], 90))
        if self.plan.info['executor'] != 'local':
            parts.append(self._areas('Jobs pending', [('pending', course.waiting)], max(course.waiting),
                                     [('pending', 'pending', 1)], 70))
        return page_section('Job states over time', '<div class="time">{}{}</div>'.format(
            ''.join(parts), course.axis.labels()))

    def _areas(self, title, areas, top, names, height):
        """Return areas over time, those behind first, from a list of (kind, values); '' if they are empty."""
        if not top:
            return ''
        marks = [mark for mark in round_ticks(top, 4) if mark <= top * 1.001]
        body = self.course.axis.grid() + level_lines(marks, top) + ''.join(
            '<path class="{}" d="{}"/>'.format(kind, steps_path(values, top)) for kind, values in areas)
        legend = '<br/>'.join(legend_keys((kind, word)) for kind, word, count in names if count)
        picture = svg_picture(body, title)
        return '<h3>{}</h3>{}'.format(
            html_text(title), time_row(level_labels(marks, top), picture, legend, 'curve', height))

    # Histograms

    def histograms(self):
        """Return the section with how long jobs ran, what memory they used, and how busy their cores were."""
        usage, cancelled = self.usage, self.usage.cancelled
        ran = bytes(elapsed == elapsed and end not in (NOT_ENDED, cancelled)
                    for end, elapsed in zip(usage.ends, usage.used.elapsed))
        if not any(ran):
            return ''
        good = bytes(end == COMPLETED for end in itertools.compress(usage.ends, ran))
        flags, limits = self.advice.flags, self.advice.requests.values
        found = []
        if self.plan.info['executor'] != 'local':
            found.append(Histogram('Queue wait time', 'time', self._waited(ran), good))
        elapsed, memory, cpu = (array.array('d', itertools.compress(values, ran)) for values in (
            usage.used.elapsed, usage.used.memory, usage.used.cpu))
        found.append(Histogram('Wall time', 'time', elapsed, good, limits['time'], flags.get('time')))
        bounds = [value for value in itertools.compress(usage.used.below, ran) if value == value]
        found.append(Histogram('Peak memory (RSS)', 'memory', memory, good, limits['memory'],
                               flags.get('memory'),
                               below=(len(bounds), less_than(max(bounds)) if bounds else '')))
        sets, asked = usage.sets, array.array('I', itertools.compress(usage.asked, ran))
        if len(limits['memory']) > 1:
            shares = array.array('d', (100 * value / sets[code][1] if sets[code][1] else UNKNOWN
                                       for value, code in zip(memory, asked)))
            found.append(Histogram('Memory efficiency (used of requested)', 'share', shares, good))
        shares = array.array('d', (
            100 * busy / (seconds * sets[code][0]) if sets[code][0] and seconds >= MEASURABLE else UNKNOWN
            for busy, seconds, code in zip(cpu, elapsed, asked)))
        short = any(seconds < MEASURABLE for seconds in elapsed)
        found.append(Histogram(
            'CPU efficiency (used of requested)', 'share', shares, good,
            why=' (shorter than {} s, or not reported)'.format(MEASURABLE) if short else ''))
        legend = legend_keys(*[('completed', 'completed')] * any(good),
                             *[('failed', 'failed, on top')] * (not all(good)))
        return page_section(
            'Resource usage', '<p class="legend">{}<span>height: number of jobs</span></p>'
            '<div class="charts{}">{}</div>'.format(
                legend, ' even' if len(found) == 4 else '', ''.join(one.html() for one in found)))

    def _waited(self, ran):
        """Return the array of the seconds that the jobs of a mask waited in the queue."""
        times, shifts = self.usage.times, self.course.attempts.shifts
        return array.array('d', (
            max(0, started + shifts[host] - submitted) if started and submitted else UNKNOWN
            for started, submitted, host in itertools.compress(
                zip(times.started, times.submitted, self.usage.host), ran)))

    # Tables

    def advise(self):
        """Return the section with what to request next time."""
        advice = self.advice
        if not advice.needs.time:
            return ''
        rows = []
        for name, figures, form in (
                ('memory', advice.needs.memory, memory_text), ('time', advice.needs.time, short_time),
                ('cores', advice.needs.cores, '{:.1f}'.format)):
            cells = ['\u2013'] * 3
            if name == 'memory' and advice.needs.below and not figures:
                cells = [peak_text({'memory_below': advice.needs.below['maximum']})] * 3
            if figures:
                cells = [form(figures[part]) for part in ('median', 'percentile_95', 'maximum')]
            left = {'memory': share_unused(advice.waste.used_memory, advice.waste.reserved_memory),
                    'cores': share_unused(advice.waste.cpu_time, advice.waste.core_time)}.get(name)
            rows.append('<tr><th>{}</th><td>{}</td></tr>'.format(name, '</td><td>'.join(map(
                html_text, [advice.requested(name, form)] + cells
                + ['\u2013' if left is None else '{:.0f}\u202f%'.format(100 * left)]))))
        sentences = [advice.basis()] + advice.notes() + [
            sentence for sentence in advice.advice() if not sentence.startswith('recommended')]
        flags = advice.flag_text()
        big = ''
        if flags:
            fitting, total = advice.fit.fitting, advice.fit.of
            big = '<p class="flags"><code>{}</code> <span>would have been enough for {}\u202f% of the jobs ' \
                '({:,} of {:,})</span></p>'.format(html_text(flags), 100 * fitting // total, fitting, total)
        heads = ('', 'requested', 'median used', '95th percentile', 'maximum', 'unused')
        return page_section(
            'Recommended request', '{}<div class="scroll"><table><thead><tr>{}</tr></thead>'
            '<tbody>{}</tbody></table></div>{}'.format(
                big, ''.join('<th>{}</th>'.format(head) for head in heads), ''.join(rows), ''.join(
                    '<p class="soft">{}</p>'.format(html_text(as_sentence(sentence)))
                    for sentence in sentences)))

    def about(self):
        """Return the section with the map's head, the parameters and the versions."""
        info = self.plan.info
        numbers = [number for number, attempts in enumerate(self.ledger.attempts)
                   if attempts > 1 and number not in self.ledger.gone]
        retried, saved = len(numbers), sum('saved' in self.ledger.record(number) for number in numbers)
        asked = collections.Counter(
            number for number in numbers for record in self.ledger.earlier(number) if record.get('again'))
        facts = [
            ('map', info.get('map')), ('commands', '{:,}'.format(len(self.plan.map))),
            ('commands per job', info['group'] if info['group'] > 1 else None),
            ('max running', self.ledger.settings.get('max_running') or info.get('max_running')),
            ('profile', info.get('profile')), ('scheduler', info.get('executor')),
            ('retried', plural(retried, 'job') if retried else None),
            ('saved by retries', plural(saved, 'job') if saved else None),
            ('asked to run again', '{}, {}'.format(
                plural(len(asked), 'job'), plural(sum(asked.values()), 'time')) if asked else None),
            ('submitted', moment_text(info['created_seconds']) if info.get('created_seconds') else None),
            ('submitted from', info.get('host')), ('logs folder', info.get('logs')),
            ('qmap', info.get('version'))]
        with open_regular(self.plan.map.path) as source:
            lines = [decode(line.rstrip(b'\r\n')) for line in itertools.islice(source, HEAD + 1)]
        more = max(0, len(lines) - HEAD)
        head = '\n'.join(html_text(cut_line(line)) for line in lines[:HEAD])
        params = list(info['params'].items())
        params += [(name + ', later', value or 'none')
                   for name, value in (self.ledger.settings.get('params') or {}).items()]
        return page_section(
            'Map and parameters', '<div class="pair">'
            '<div><h3>First lines of the map</h3><pre>{}{}</pre></div><div><h3>Parameters</h3>{}'
            '<h3>Execution</h3>{}</div></div>'.format(
                head, '\n\u2026' if more else '', facts_table(params), facts_table(facts)))

    def foot(self):
        """Return the last line."""
        sampled = '' if self.jobs <= DRAWN else ' Curves show means over steps of time, histograms every job.'
        return '<footer><p>Made by <code>qmap report</code> {} with Python {} on {}. Counts and usage are ' \
            'of the last attempt of each job; memory and CPU time as far as they are known.{}</p>' \
            '</footer>\n'.format(
                html_text(__version__), platform.python_version(), moment_text(self.made), sampled)


class Scale:
    """The horizontal axis of a histogram.

    Attributes:
        low, high: values at its ends; their logarithms where `log`
        log: whether it is logarithmic
        marks: values that are labelled
        bins: number of bars
    """

    BINS = 36

    #: How far beyond the largest value a limit may be, so that the axis goes up to it.
    NEAR = 1.6

    def __init__(self, kind, values, limits):
        """
        Args:
            kind: as for Histogram
            values: numbers
            limits: those that are to be shown if they are near
        """
        least, most = min(values), max(values)
        self.low, self.log, self.bins = 0, False, self.BINS
        if kind == 'share':
            self.high, self.marks = 105 if most > 100 else 100, [0, 25, 50, 75, 100]
            self.bins = self.high // 5
            return
        # The axis ends where the jobs do, or at a limit that is not far from them.
        far = max([most] + [limit for limit in limits if limit <= self.NEAR * most]) or 1
        self.log = kind == 'time' and most > 40 * max(least, 1e-9) and most > 2
        if self.log:
            floor = max(least, most / 1e5, 0.01)
            self.low, self.high = math.log10(floor), math.log10(far * 1.02)
            self.marks = [mark for mark in (0.01, 0.1, 1, 10, 60, 600, 3600, 36000, 86400, 864000)
                          if floor <= mark <= far]
        else:
            step = self._time_step(far) if kind == 'time' else 2 ** math.ceil(math.log(max(far, 1) / 4, 2))
            self.high = far * 1.0001
            self.marks = [step * number for number in range(int(far / step + 1e-9) + 1)]

    @staticmethod
    def _time_step(far):
        """Return the seconds between two marks of an axis that ends at `far`."""
        if far < 4:
            power = 10 ** math.floor(math.log10(far))
            return next(size * power for size in (0.5, 1, 2) if far < 5 * size * power)
        return next((step for step in TIME_TICKS if far / step <= 5), TIME_TICKS[-1])

    def at(self, value):
        """Return where a value is, from 0 to 1."""
        if self.log:
            value = math.log10(max(value, 1e-6))
        return min(1, max(0, (value - self.low) / (self.high - self.low)))

    def holds(self, value):
        """Tell whether a value is on the axis."""
        return value <= (10 ** self.high if self.log else self.high) * 1.0001

    def bars(self, values, good):
        """Return a list of [completed, failed jobs], one for each bar.

        Args:
            values, good: as for Histogram
        """
        found = [[0, 0] for _ in range(self.bins)]
        low, scale, last, log = self.low, self.bins / (self.high - self.low), self.bins - 1, math.log10
        for value, fine in zip(values, good):
            if value == value:
                if self.log:
                    value = log(value) if value > 1e-6 else -6
                found[min(last, max(0, int((value - low) * scale)))][not fine] += 1
        return found


class Histogram:
    """How many jobs used how much of something."""

    def __init__(self, title, kind, values, good, asked=(), advised=None, why='', below=(0, '')):
        """
        Args:
            title: text
            kind: time (seconds), memory (bytes) or share (percent)
            values: array of numbers, nan where not known
            good: for each, whether the job completed
            asked: sorted limits
            advised: what is recommended to request
            why: some values may not be known, in brackets
            below: of how many only an upper bound is known, and that as text
        """
        self._why, self._below = why, below
        self.title, self.kind, self.asked, self.advised = title, kind, list(asked), advised
        known = array.array('d', (value for value in values if value == value))
        self.unknown = len(values) - len(known) - below[0]
        fine = [value for value in itertools.compress(values, good) if value == value]
        #: Of those that completed, as in the advice; of all where none did.
        self.found = spread(fine or known)
        self.of = 'completed: ' if fine and len(fine) < len(known) else ''
        self.scale, self.bars = None, []
        if known:
            self.scale = Scale(kind, known, self.asked[-1:] + [advised or 0])
            self.bars = self.scale.bars(values, good)

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
        if not self.scale:
            return '<figure><h3>{}</h3><p class="soft">{}</p></figure>'.format(
                html_text(self.title), html_text(self._unknown_text()))
        top = max(sum(bar) for bar in self.bars)
        marks = [mark for mark in round_ticks(top, 3) if mark <= top]
        body = level_lines(marks, top, 1000) + ''.join(
            '<path class="{}" d="{}"/>'.format(kind, ''.join(self._bars(which, top)))
            for which, kind in enumerate(('completed', 'failed')) if any(bar[which] for bar in self.bars))
        lines, notes = self._marks()
        caption = self.of + 'median {}, 95th percentile {}, maximum {}'.format(
            *(self.form(self.found[part]) for part in ('median', 'percentile_95', 'maximum')))
        if self.kind == 'share' and self.scale.high > 100:
            caption += '; the last bar: more than 100\u202f%'
        if self._below[0]:
            caption += '; {1} for {0:,}'.format(*self._below)
        if self.unknown:
            caption += '; unknown for {:,}{}'.format(self.unknown, self._why)
        labels = axis_labels([(self.scale.at(mark), self.form(mark), '') for mark in self.scale.marks])
        return '<figure><h3>{}</h3><div class="hist"><div class="l">{}</div><div class="a">{}{}</div>' \
            '<div class="x">{}</div></div><figcaption>{}{}</figcaption></figure>\n'.format(
                html_text(self.title), level_labels(marks, top), svg_picture(body, self.title, 1000), lines,
                labels, html_text(caption), notes)

    def _unknown_text(self):
        """Return what there is to say where no value is known."""
        count, bound = self._below
        if not count:
            return 'Unknown{}.'.format(self._why)
        if not self.unknown:
            return as_sentence(bound)
        return as_sentence('{} for {:,}; unknown for {:,}{}'.format(bound, count, self.unknown, self._why))

    def _bars(self, which, top):
        wide = 1000 / self.scale.bins
        for place_, bar in enumerate(self.bars):
            if bar[which]:
                tall = max(0.8, 100 * bar[which] / top)
                base = 100 - (100 * bar[0] / top if which else 0)
                yield 'M{} {}h{}v-{}h-{}z'.format(
                    *map(short_number, (place_ * wide + 1, base, wide - 2, tall, wide - 2)))

    def _marks(self):
        """Return the lines for what was requested and is recommended, and notes on those off the axis."""
        lines, notes = [], []
        # Each with the share of the width past which its text stands left of the line: they must not cross.
        marks = []
        if self.asked and self.kind != 'share':
            marks.append(('asked', 'requested', self.asked[-1], 0.5))
        if self.advised:
            marks.append(('advised', 'recommended', self.advised, 0.3))
        for level, (kind, name, value, half) in enumerate(marks):
            share = self.scale.at(value)
            if self.scale.holds(value):
                turned = ' turned' if share > half else ''
                lines.append(
                    '<span class="mark {}{}" style="left:{:.2f}%;--level:{}"><b>{} {}</b></span>'.format(
                        kind, turned, 100 * share, level, name, self.form(value)))
            elif kind == 'asked':
                notes.append('; requested {}, off the axis'.format(self.form(value)))
        return ''.join(lines), html_text(''.join(notes))


def level_lines(marks, top, width=BINS):
    """Return the grid lines of a vertical axis."""
    return '<path class="grid" d="{}"/>'.format(
        ''.join('M0 {}h{}'.format(short_number(100 - 100 * mark / top), width) for mark in marks))


def page_section(title, body):
    """Return a chapter of the page."""
    return '<section>\n<h2>{}</h2>\n{}\n</section>\n'.format(html_text(title), body)


def small_note(words):
    """Return a small remark."""
    return '<p class="soft">{}</p>\n'.format(html_text(words))


def headline_tile(figure, what, more):
    """Return a headline figure."""
    return '<div class="tile"><b>{}</b><span>{}</span><small>{}</small></div>'.format(
        html_text(figure), html_text(what), html_text(more))


def facts_table(pairs):
    """Return a table of names and values, without those that have none."""
    return '<table class="facts"><tbody>{}</tbody></table>'.format(''.join(
        '<tr><th>{}</th><td>{}</td></tr>'.format(html_text(name), html_text(value).replace('/', '/<wbr/>'))
        for name, value in pairs if value not in (None, '')) or '<tr><td>none</td></tr>')


def per_time(rate):
    """Return a number of jobs per second in the unit that one reads: '3.4 jobs per minute'."""
    for seconds, unit in ((1, 'second'), (60, 'minute')):
        if rate * seconds >= 1:
            return '{} jobs per {}'.format(amount(rate * seconds), unit)
    return '{} jobs per hour'.format(amount(3600 * rate))


def as_sentence(sentence):
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
--completed:#009e73;--failed:#d55e00;--cancelled:#7d8791;--running:#0072b2;--pending:#e3b23c;--other:#b0568f;
--unsubmitted:#d3dae0;--quiet:#eef1f5}
@media screen and (prefers-color-scheme:dark){:root{--bg:#12171d;--ink:#e8edf2;--soft:#9aa7b4;--line:#2a333d;
--card:#1a2129;--completed:#2fbf93;--failed:#f0803c;--cancelled:#8b96a1;--running:#56a9de;--pending:#e8c35c;
--other:#d58abb;--unsubmitted:#3c4752;--quiet:#1c242d}}
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
.state{display:inline-block;margin-top:.7rem;padding:.2rem .7rem;border:2px solid var(--running);
border-radius:1rem}
.soft,figcaption{color:var(--soft);font-size:.86rem;margin:.35rem 0}
.tiles{display:grid;grid-template-columns:repeat(6,minmax(0,1fr));gap:.8rem;margin:1.6rem 0 1.3rem}
.tile{background:var(--card);border-radius:8px;padding:.75rem .9rem .7rem}
.tile b{display:block;font-size:1.75rem;line-height:1.2;font-weight:650;letter-spacing:-.02em;
white-space:nowrap}
.tile span{display:block;font-size:.88rem;line-height:1.3}
.tile small{display:block;color:var(--soft);font-size:.8rem;line-height:1.35;margin-top:.15rem}
.bar{display:flex;gap:2px;height:16px;border-radius:4px;overflow:hidden}
.bar i{min-width:3px;flex-basis:0}
.legend{display:flex;flex-wrap:wrap;gap:.15rem 1.2rem;margin:.55rem 0 .8rem;font-size:.86rem;
color:var(--soft)}
.key{white-space:nowrap;color:var(--ink)}
.key i{display:inline-block;width:.85em;height:.85em;border-radius:2px;margin-right:.45em;
vertical-align:-.08em}
i.completed,.key .completed{background:var(--completed)}i.failed{background:var(--failed)}
i.running{background:var(--running)}i.pending{background:var(--pending)}i.other{background:var(--other)}
i.unsubmitted{background:var(--unsubmitted)}i.cancelled{background:var(--cancelled)}
.key .hollow{border:2px solid var(--failed)}
svg{position:absolute;inset:0;width:100%;height:100%;display:block;overflow:visible}
svg .completed{fill:var(--completed)}svg .failed{fill:var(--failed)}svg .running{fill:var(--running)}
svg .pending{fill:var(--pending)}svg .cancelled{fill:var(--cancelled)}svg .quiet{fill:var(--quiet)}
svg .grid{fill:none;stroke:var(--line);stroke-width:1px;vector-effect:non-scaling-stroke}
svg g.failed path{stroke:var(--ink);stroke-width:1px;vector-effect:non-scaling-stroke}
svg g.hollow path{fill:none;stroke:var(--completed);stroke-width:1.5px;vector-effect:non-scaling-stroke}
svg g.failed.hollow path{stroke:var(--failed)}svg g.cancelled.hollow path{stroke:var(--cancelled)}
.row{display:grid;grid-template-columns:6.5rem minmax(0,1fr) 10.5rem;column-gap:.8rem}
.row .a{position:relative}
.row .l{text-align:right;position:relative;font-size:.82rem;white-space:nowrap;overflow:hidden;
text-overflow:ellipsis}
.row .r{font-size:.82rem;color:var(--soft);white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.row .r em{font-style:normal;color:var(--ink);font-weight:600}
.host{align-items:center;margin-bottom:5px}
.curve{margin-bottom:1.1rem}.curve .l{overflow:visible}
.axis{margin-top:.1rem}.axis .a{height:1.5em;font-size:.78rem;color:var(--soft)}
.two .a{height:2.7em}.axis .r{font-size:.78rem;padding-top:.25em}
.t{position:absolute;top:.25em;transform:translateX(-50%);white-space:nowrap;text-align:center;
line-height:1.25}
.t.first{transform:none;text-align:left}.t.last{transform:translateX(-100%);text-align:right}
.t b{font-weight:600;color:var(--ink)}
.v{position:absolute;right:0;transform:translateY(50%);font-size:.78rem;color:var(--soft);line-height:1;
white-space:nowrap}
.time h3{margin-left:7.3rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(18.5rem,1fr));gap:1.6rem 2rem}
.even{grid-template-columns:repeat(auto-fit,minmax(min(100%,23rem),1fr))}
figure{margin:0}
.hist{display:grid;grid-template-columns:2.9rem minmax(0,1fr);grid-template-rows:190px 1.6rem;
column-gap:.5rem}
.hist .l,.hist .a{position:relative}
.hist .x{grid-column:2;position:relative;font-size:.78rem;color:var(--soft)}
.mark{position:absolute;top:0;bottom:0;width:0;border-left:2px dashed var(--ink)}
.mark.advised{border-left-style:dotted}
.mark b{position:absolute;left:.45em;top:calc(var(--level)*1.55em);font-size:.76rem;line-height:1.3;
font-weight:600;
z-index:1;white-space:nowrap;background:var(--bg);padding:0 .25em;border-radius:3px}
.mark.turned b{left:auto;right:.55em}
.failure{display:grid;grid-template-columns:6.5rem minmax(0,1fr);column-gap:1rem;padding:.8rem 0;
border-top:1px solid var(--line)}
.failure p{margin:0 0 .15rem;overflow-wrap:anywhere}
.count b{font-size:1.3rem;line-height:1.2;display:block}
.count i{display:block;height:6px;border-radius:3px;margin-top:.3rem}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.84em}
pre{background:var(--card);border-radius:6px;padding:.7rem .9rem;margin:.4rem 0 0;overflow-x:auto;
line-height:1.45;
font-size:.78rem}
summary{cursor:pointer;color:var(--soft);font-size:.86rem}
details{margin-top:.3rem}.t.quiet{font-style:italic}
.jobs{font-size:.78rem;margin:.3rem 0 .6rem}
.jobs td,.jobs thead th{text-align:left;padding:.22rem 1.1rem .22rem 0;white-space:nowrap}
.jobs td+td{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.jobs .w{white-space:normal;overflow-wrap:break-word;min-width:17rem}
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
.curve .r{white-space:normal}.curve .r br{display:none}.curve .r .key{margin-right:.9rem}
.t.odd{display:none}.pair{grid-template-columns:minmax(0,1fr)}
.failure{grid-template-columns:4rem minmax(0,1fr)}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.tile b{font-size:1.45rem}}
@media print{@page{margin:13mm}html{font-size:11.5px}body{font-size:1rem}main{max-width:none;padding:0}
section{margin-top:2rem}.tile b{font-size:1.5rem}.tile{padding:.5rem .6rem}.tiles{gap:.5rem}
.row{grid-template-columns:5.5rem minmax(0,1fr) 9.5rem}.time h3{margin-left:6.3rem}
.time,figure,.failure,.tiles,.row,.scroll,tr,.flags,.charts,pre{break-inside:avoid}
h2,h3,.legend{break-after:avoid}
.charts{grid-template-columns:repeat(3,minmax(0,1fr));gap:1rem 1.4rem}
.even{grid-template-columns:repeat(2,minmax(0,1fr))}.hist{grid-template-rows:150px 1.6rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere}td,th{padding-top:.25rem;padding-bottom:.25rem}
footer{margin-top:1.5rem}}
"""
