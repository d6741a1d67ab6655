"""report: one page that shows an execution."""

import array
import os
import re
import shutil
import time
import xml.etree.ElementTree

import pytest
from conftest import QMAP
from module_submit import ended, prepare, write_journal

import qmap as module
from qmap_backends.tools import advice, report

#: Depends little on the Python.
pytestmark = pytest.mark.twice

MEGA, GIGA = 1024 ** 2, 1024 ** 3


class Page:
    """A report as a browser sees it."""

    def __init__(self, text):
        self.text = text
        self.tree = xml.etree.ElementTree.fromstring(text)
        assert not re.search(r'https?:|//|<script|<link|<img|@import|url\(|src=|href=|javascript:', text)
        self.words = re.sub(r'\s+', ' ', ' '.join(
            part for element in self.tree.iter('main') for part in element.itertext()))

    def find(self, name, kind):
        """Return the words of all elements of this name and class."""
        return [re.sub(r'\s+', ' ', ' '.join(element.itertext())).strip() for element in self.tree.iter(name)
                if kind in element.get('class', '').split()]

    def rows(self, kind):
        """Return the rows of the bodies of all tables of this class, each a list of cells."""
        return [list(row) for table in self.tree.iter('table') if kind in table.get('class', '').split()
                for row in table.find('tbody')]


@pytest.fixture
def made(qmap):
    """A function that makes an execution of jobs that ended so, and returns its page."""
    def make(events, text=None, change=None):
        shutil.rmtree(qmap.path('out'), ignore_errors=True)
        path = prepare(qmap, text or '[params]\ncores = 2\nmemory = 4G\n[jobs]\n' + 'true\n' * len(events), 'out')
        write_journal(path, events)
        if change:
            change(path)
        result = qmap('report', '-l', 'out', '--force')
        assert result.code == 0 and result.err == '', result
        assert re.match(r'out\.html: [\d,]+ jobs?, \d+ kB\n$', result.out)
        return Page(qmap.read('out.html'))
    return make


def failed(job, **more):
    return ended(job, more.pop('seconds', 1), **dict(
        dict(status='FAILED', exit_code=127, error_reason='exit', error='line 12: samtools: not found'), **more))


def test_the_headline_figures_are_right(made):
    # Two hosts, a job after the other on each: 30 s and 30 s, 60 s and (failed) 10 s.
    page = made([
        ended('0', 30, memory=GIGA, cpu=30), ended('1', 30, memory=2 * GIGA, cpu=60, started=1040.0, finished=1070.0),
        ended('2', 60, memory=GIGA, cpu=120, host='c02'),
        failed('3', host='c02', started=1070.0, finished=1080.0, memory=GIGA, cpu=0)])
    assert page.words.split(' Failures')[0].endswith('3 completed 1 failed')
    tiles = page.find('div', 'tile')
    assert tiles == ['75.0 % completed 3 of 4', '1 failed 1 exit', '1m10s elapsed 3.4 jobs per minute',
                     '1.9 jobs running mean; maximum 2', '4m20s core time requested 81 % used',
                     '30s median wall time 95th percentile 1m']
    assert [words for words in page.find('div', 'r') if 'job' in words] == ['2 jobs', '2 jobs, 1 failed']
    assert '4 jobs on 2 hosts' in page.words
    assert '-m 2G -t 1m would have been enough for 100 % of the jobs (3 of 3)' in page.words


def test_jobs_that_took_no_core(made):
    page = made([ended('0', 30, cpu=3), ended('1', 30, cpu=3)], text='[params]\ncores = 0\n[jobs]\ntrue\ntrue\n')
    assert 'core time requested' not in page.words and 'cores 0 0.1 0.1 0.1' in page.words


def test_each_job_is_a_bar_that_tells_what_it_is(made):
    page = made([ended('0', 30), failed('1', started=1040.0, finished=1050.0)],
                text='echo "<a & b>" >x\nsamtools\n')
    titles = [element.text for element in page.tree.iter('title')]
    assert titles[1:] == ['job 0: completed, 30s\necho "<a & b>" >x', 'job 1: exit, 10s\nsamtools']
    # From 1000 (submitted) to 1050 and a little more.
    paths = [element.get('d') for element in page.tree.iter('path') if element.find('title') is not None]
    scale = 1000 / (50 * 1.02)
    for path, begin, seconds in zip(paths, (10, 40), (30, 10)):
        left, wide = (float(part) for part in re.match(r'M([\d.]+) 1h([\d.]+)v8', path).groups())
        assert abs(left - begin * scale) < 0.1 and abs(wide + 0.6 - seconds * scale) < 0.1


def course(usage, live=(), now=9000.0):
    return report.Course(usage, list(live), report.Clocks(usage, now), now)


def usage_of(events, count=None, retried=None):
    usage = advice.Usage(count or len(events), 1, module.REASONS)
    for event in events:
        usage.add(event, {})
    if retried is not None:
        usage.retry(retried)
    return usage


def test_the_curves_add_up():
    found = course(usage_of([
        ended('0', 100.0, host='a'), ended('1', 33.3, host='b'), failed('2', seconds=50, host='b')]))
    width = found.axis.width
    assert [round(sum(values) * width, 6) for values in found.running] == [0, 100, 83.3]
    assert round(found.busy, 6) == 183.3 and round(sum(found.waiting) * width, 6) == 30
    assert found.ended['completed'][-1] == 2 and found.ended['failed'][-1] == 1
    assert (found.first, found.last) == (1010, 1110) and max(found.at_once()) <= 3.0001


def test_what_still_runs_or_waits_is_there_until_now():
    live = [{'job': '1', 'submitted': 1000.0, 'started': 1050.0, 'host': 'b'}, {'job': '2', 'submitted': 1100.0}]
    found = course(usage_of([ended('0', 90.0, host='b')], 3), live, 1200.0)
    assert found.axis.end == 1200 and round(sum(found.running[1]) * found.axis.width, 6) == 90 + 150
    assert round(sum(found.waiting) * found.axis.width, 6) == 10 + 50 + 100 and found.waiting[-1] == 1


def test_clocks_that_differ_are_put_right_and_named(made):
    events = [ended('0', 50, host='right'), ended('1', 50, host='late', started=400.0, finished=450.0),
              ended('2', 50, host='early', started=1e9, finished=1e9 + 50)]
    clocks = report.Clocks(usage_of(events), 1060.0)
    assert clocks.shifts == [0, 0, 600, 1060 - 1e9 - 50]
    page = made(events, change=lambda path: os.utime(module.Logs(path).journal(1), (1060, 1060)))
    assert 'Clocks differ: times from early (11574d01h ahead), late (10m behind) were shifted' in page.words
    assert '2m elapsed' in ' '.join(page.find('div', 'tile'))


def test_failures_are_grouped_with_their_hosts_and_an_example(made):
    events = [ended('00', 5, host='c01')] + [
        failed('{:02d}'.format(n), host='c{}'.format(12 + n % 2), error='line {}: samtools: not found'.format(n))
        for n in range(1, 12)]
    events.append(failed('12', error_reason='memory', error='memory limit exceeded (4G)', exit_code=None))
    text = 'true\n' + 'samtools sort\n' * 12

    def stderr(path):
        with open(os.path.join(path, '01.err'), 'wb') as target:
            target.write(b'loading\rloaded\n\x1b[31mline 1: samtools: not found\x1b[0m\n')
    page = made(events, text, stderr)
    groups = page.find('article', 'failure')
    assert groups[0].startswith(
        '11 exit 127 , such as line 1: samtools: not found on c12, c13; example: job 01, samtools sort '
        'end of its stderr loaded line 1: samtools: not found all 11 jobs job command last line of stderr host ')
    assert groups[1] == '1 memory limit exceeded (4G) on c01; job 12, samtools sort'
    assert [[cell.text for cell in row] for row in page.rows('jobs')] == [
        ['{:02d}'.format(n), 'samtools sort', 'line {}: samtools: not found'.format(n), 'c{}'.format(12 + n % 2)]
        for n in range(1, 12)]


def test_each_failed_job_is_listed_with_its_own_parameters(made):
    text = '[params]\ncores = 2\n[jobs]\n' + ''.join(
        'align {0} ## sample=S{0} memory={1}G\n'.format(n, 1 + n % 2) for n in range(4))
    page = made([ended('0', 5)] + [failed(str(n)) for n in range(1, 4)], text)
    assert '3 exit 127 line 12: samtools: not found example: job 1, sample=S1 memory=2G, align 1' in page.words
    assert [[cell.text for cell in row] for row in page.rows('jobs')] == [
        ['1', 'sample=S1 memory=2G', 'align 1'], ['2', 'sample=S2 memory=1G', 'align 2'],
        ['3', 'sample=S3 memory=2G', 'align 3']]
    details, = [element for element in page.tree.iter('details') if element[0].text == 'all 3 jobs']
    assert not details.get('open')


def test_of_very_many_failures_the_first_are_listed(made):
    page = made([failed('{:04d}'.format(n), error='kind ' + 'abcdefghi'[n % 9]) for n in range(9 * 400)])
    assert page.words.count('the first 300 of 400 jobs') == 5
    assert len(page.rows('jobs')) == report.LISTED_IN_ALL and len(page.text) < 400000


def test_what_was_cancelled_is_apart_from_what_failed(made):
    page = made([ended('0', 30), failed('1', started=1010.0, finished=1030.0)] + [
        failed(str(n), started=1010.0, finished=1035.0, exit_code=143, error_reason='cancelled', error='cancelled')
        for n in (2, 3)] + [{'event': 'dropped', 'numbers': [[4, 6]], 'time': 1035.0}], 'true\n' * 7)
    assert page.find('div', 'tile')[1] == '1 failed 1 exit; 5 cancelled'
    assert page.find('p', 'legend')[0] == '1 completed 1 failed 5 cancelled'
    groups = page.find('article', 'failure')
    assert groups[0].startswith('1 exit 127') and groups[1].startswith('5 2 while they ran, 3 before all 5 jobs')
    assert page.find('div', 'r')[0] == '4 jobs, 1 failed'
    assert sorted(element.get('class') for element in page.tree.iter('g')) == ['cancelled', 'completed', 'failed']
    # What they used until somebody ended them says nothing of such jobs.
    assert 'completed: median 30s, 95th percentile 30s, maximum 30s' in page.words
    assert '{:.1f} jobs per minute'.format(60 * 2 / 30) in page.words


def test_earlier_attempts_are_hollow(made):
    page = made([ended('0', 50), failed('1', started=1010.0, finished=1030.0),
                 {'event': 'retry', 'numbers': [[1, 1]]},
                 ended('1', 20, attempt=2, started=1040.0, finished=1060.0)])
    bars = {element.get('class'): sorted(path.find('title').text for path in element)
            for element in page.tree.iter('g')}
    assert bars == {'completed': ['job 0: completed, 50s\ntrue', 'job 1: completed, 20s\ntrue'],
                    'failed hollow': ['job 1, earlier attempt: exit, 20s\ntrue']}
    assert page.find('div', 'r')[0] == '2 jobs' and 'earlier attempts: hollow' in page.words
    found = course(usage_of([ended('0', 1), failed('1', started=1010.0, finished=1030.0)], retried=1))
    assert round(sum(found.running[1]) * found.axis.width, 6) == 21 and found.ended['failed'][-1] == 0


def test_jobs_of_whose_memory_only_an_upper_bound_is_known(made):
    page = made([ended('0', 60, memory_below=42 * MEGA + 1), ended('1', 60, memory_below=MEGA)])
    assert 'Peak memory (RSS) Less than 43M.' in page.words and '<43M <43M <43M' in page.words
    page = made([ended('0', 60, memory_below=42 * MEGA), ended('1', 60, memory=GIGA), ended('2', 60)])
    assert 'maximum 1G; less than 42M for 1; unknown for 1' in page.words


def test_no_long_job_squeezes_the_others(made):
    # 39 jobs of a second, one after the other, and one of an hour beside them.
    page = made([ended('00', 3600)] + [
        ended('{:02d}'.format(n), 1, started=1010.0 + n, finished=1011.0 + n) for n in range(1, 40)])
    paths = [element.get('d') for element in page.tree.iter('path') if element.find('title') is not None]
    wide = [float(re.match(r'M[\d.]+ \d+h([\d.]+)v', path).group(1)) for path in paths]
    assert min(wide[1:]) > 10 and wide[0] > 800
    assert page.words.count('drawn narrower') == 1 and 'Shaded: 59m' in page.words


@pytest.mark.parametrize('starts, ends, quiet', [
    (range(20), range(1, 21), []),                                                    # one after another
    ([0] * 20, [100] * 20, []),                                                       # all at once
    (range(20), list(range(1, 20)) + [1000], [(19, 1000)]),                           # the last one takes long
    (list(range(20)) + [1000], list(range(1, 21)) + [1001], [(20, 1000)]),            # a pause
    (range(900, 920), range(901, 921), [(0, 900)]),                                   # they had to wait
    ([0, 1, 2, 3], [1, 2, 3, 1000], [])])                                             # a few, each worth its time
def test_stretches_without_much_are_drawn_narrower(starts, ends, quiet):
    end = max(ends)
    found = report.quiet_stretches(0, end, list(starts), list(ends))
    assert found == quiet
    axis = report.Axis(0, end, found)
    places = [axis.bin(end * part / 1000) for part in range(1001)]
    assert places[0] == 0 and places == sorted(places) and abs(places[-1] - report.BINS) < 1e-6
    assert sum(piece.bins for piece in axis.pieces) == report.BINS and min(piece.bins for piece in axis.pieces) > 9
    assert all(any(piece.left / report.BINS <= share <= (piece.left + piece.bins) / report.BINS
                   for share, _, _ in axis.ticks) for piece in axis.pieces if not piece.quiet)


@pytest.mark.parametrize('kind, values, asked, high, marks', [
    ('time', [0.2, 1.1], [600], 1.1, [0, 0.5, 1]), ('time', [50, 100], [130], 130, [0, 30, 60, 90, 120]),
    ('memory', [3 * MEGA, 35 * MEGA], [4 * GIGA], 35 * MEGA, [0, 16 * MEGA, 32 * MEGA]),
    ('share', [20, 40], [], 100, [0, 25, 50, 75, 100])])
def test_the_axis_of_a_histogram_ends_where_the_jobs_do(kind, values, asked, high, marks):
    found = report.Histogram('x', kind, array.array('d', values), b'\1' * len(values), asked)
    assert abs(found.scale.high / high - 1) < 0.001 and found.scale.marks == marks
    assert sum(map(sum, found.bars)) == len(values)


def test_failures_of_which_the_known_ones_are_tried_again(made):
    page = made([failed('{:02d}'.format(n)) for n in range(10)]
                + [{'event': 'retry', 'numbers': [[0, 2]]}, {'event': 'saved'}], 'false\n' * 12)
    group, = page.find('article', 'failure')
    assert group.startswith('7 exit 127 line 12: samtools: not found example: job 03, false all 7 jobs ')
    assert [row[0].text for row in page.rows('jobs')] == ['{:02d}'.format(n) for n in range(3, 10)]


def test_many_kinds_of_failures_are_summed_up(made):
    page = made([failed('{:02d}'.format(n), error='word ' + 'abcdefghijklmnopqrst'[n]) for n in range(20)])
    assert len(page.find('article', 'failure')) == report.GROUPS
    assert 'And 8 jobs more, in 8 other kinds of failures' in page.words


EVIL = '</pre></style></svg><script>alert("1")</script>&amp;<!-- \x01\x1b[2J\udcff\'"'


def test_everything_is_escaped(made):
    def evil(path):
        with open(os.path.join(path, '1.err'), 'wb') as target:
            target.write(module.encode(EVIL) + b'\xff\xfe\n' + b'x' * 9000)
        logs = module.Logs(path)
        info = module.read_json(logs.execution)
        info['name'] = EVIL
        info['params'] = {'cores': '2', 'mine': EVIL}
        module.write_json(logs.execution, info)
    text = '[params]\ncores = 2\n[jobs]\necho {0}\nfalse {0}\n'.format(EVIL.replace('\x01', '').replace('\x1b', ''))
    page = made([ended('0', 5, host=EVIL), failed('1', error=EVIL, host=EVIL)], text, evil)
    assert 'alert("1")' in page.words and '<script' in page.words and '\x1b' not in page.text
    assert len(page.text) < 60000


@pytest.mark.parametrize('events, words', [
    ([failed(str(n), started=None, host='', error_reason='submit', exit_code=None) for n in range(3)],
     '0 % completed 0 of 3 3 failed 3 submission refused'),
    ([{'event': 'dropped', 'numbers': [[0, 2]], 'time': 2000.0}], '0 failed 3 cancelled'),
    ([], 'No job has run.'),
    ([ended('0', 0)], '0s'), ([ended('0', 0.0004, memory=5, cpu=0)], '33.3 %'),
    ([ended('0', 3e7, memory=3e13, cpu=9e9)], '347d05h'),
    ([ended('0', 5, started=None)], '33.3 %'), ([ended('0', -5, host='')], '33.3 %'),
    ([failed(str(n)) for n in range(3)], '0 % completed')])
def test_odd_executions_have_a_page(made, events, words):
    page = made(events, 'true\n' * 3)
    assert words in page.words and 'nan' not in page.text and 'None' not in page.words


def test_one_that_still_runs(qmap):
    from conftest import until
    qmap.write('a.map', 'true\nsleep 1000\ntrue\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1')
    try:
        until(lambda: os.path.isdir(qmap.path('out', '.qmap')) and 'RUNNING' in qmap.statuses('out'))
        assert qmap('report', '-l', 'out').code == 0
        page = Page(qmap.read('out.html'))
        assert 'not finished: 2 of 3 jobs remaining' in page.words and 'still running: thin' in page.words
        assert 'no driver' not in page.words and '1 running' in page.words
    finally:
        qmap('control', '-l', 'out', 'stop', '--cancel')
        process.communicate(timeout=60)


def test_a_hundred_thousand_jobs_fit_into_300_kb(made):
    begin = time.monotonic()
    page = made([ended('{:05d}'.format(n), 40 + n % 97, memory=(100 + n % 3001) * MEGA, cpu=n % 80,
                       submitted=1000.0 + n // 20, started=1010.0 + n // 20, finished=1050.0 + n // 20 + n % 97,
                       host='node{}'.format(n % 120)) if n % 50 else
                 failed('{:05d}'.format(n), started=1010.0 + n // 20, finished=1011.0 + n // 20,
                        host='node{}'.format(n % 120), error='cannot read {}'.format(n)) for n in range(100000)])
    assert len(page.text) < 300000 and '100,000 jobs on 120 hosts' in page.words
    assert 'the mean of 3 neighbours' in page.words and 'Curves show means over steps of time' in page.words
    assert 'node0 \u2026 2' in page.words and 'such as cannot read 0' in page.words
    assert time.monotonic() - begin < 60


def test_a_file_that_is_there_is_kept(qmap):
    prepare(qmap, 'true\n', 'out')
    qmap.write('out.html', 'mine')
    result = qmap('report', '-l', 'out')
    assert result.code == 2 and 'out.html already exists; give another name with -o, or --force' in result.err
    assert qmap.read('out.html') == 'mine'
    assert qmap('report', '-l', 'out', '-o', 'talk.html').out.startswith('talk.html: 1 job, ')
    assert qmap('report', '-l', 'out', '--force').code == 0 and qmap.read('out.html') != 'mine'
    assert 'nowhere/x.html' in qmap('report', '-l', 'out', '-o', 'nowhere/x.html').err


def test_folders_with_odd_names(qmap, odd):
    path = prepare(qmap, 'true\n', 'sub')
    os.rename(path, qmap.path(odd))
    assert qmap('report', '-l' + odd).code == 0
    assert os.path.isfile(qmap.path(odd + '.html'))
    Page(qmap.read(odd + '.html'))


def test_in_the_folder_itself_and_without_a_locale(qmap):
    path = prepare(qmap, 'echo \u4e16\n', 'out')
    write_journal(path, [ended('0', 1)])
    qmap.folder = qmap.path('out')
    qmap.environ.update(LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')
    assert qmap('report').code == 0
    assert 'echo \u4e16' in Page(qmap.read('out.html')).words


def test_what_cannot_be_drawn_is_said(qmap):
    os.mkdir(qmap.path('old'))
    qmap.write('old/qmap_input', 'true\n')
    result = qmap('report', '-l', 'old')
    assert result.code == 2 and result.err == 'qmap: error: old: made by qmap 0.4, without the figures for report\n'
    assert 'no execution of QMap' in qmap('report').err
    shutil.copy(QMAP, qmap.path('alone.py'))
    qmap.program[1] = qmap.path('alone.py')
    result = qmap('report')
    assert result.code == 2 and 'report: the folder qmap_backends is not beside alone.py' in result.err
    assert sorted(os.listdir(qmap.folder)) == ['alone.py', 'old']


@pytest.mark.parametrize('most, ticks', [
    (1, [0, 1]), (3, [0, 1, 2, 3]), (7, [0, 5, 10]), (100, [0, 50, 100]), (0.3, [0, 0.1, 0.2, 0.3])])
def test_ticks_are_round(most, ticks):
    assert [round(tick, 9) for tick in report.round_ticks(most, 3)] == ticks


@pytest.mark.parametrize('span', [0.01, 3, 100, 500, 4000, 50000, 400000, 4e6, 4e7, 4e8])
def test_the_axis_of_time_has_some_ticks_and_not_many(span):
    axis = report.Axis(1795730000.0, 1795730000.0 + span)
    assert 2 <= len(axis.ticks) <= 11 and all(0 <= share <= 1 for share, _, _ in axis.ticks)
    assert len({first + second for _, first, second in axis.ticks}) == len(axis.ticks) or span > 1e5
