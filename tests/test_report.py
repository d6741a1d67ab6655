"""report: one page that shows an execution."""

import os
import re
import shutil
import time
import xml.etree.ElementTree

import pytest
from conftest import QMAP
from module_submit import ended, prepare, write_journal

import qmap as module
from qmap_backends import advice, report

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
    assert page.words.split(' What ran')[0].endswith('3 completed 1 failed')
    tiles = page.find('div', 'tile')
    assert tiles == ['75.0 % completed 3 of 4', '1 failed 1 exit', '1m10s elapsed 3.4 jobs per minute',
                     '1.9 jobs at once mean; up to 2', '4m20s core time reserved; 81 % used',
                     '30s median job 95 % within 1m']
    assert [words for words in page.find('div', 'r') if 'job' in words] == ['2 jobs', '2 jobs, 1 failed']
    assert '4 jobs on 2 hosts' in page.words
    assert '-m 2G -t 1m would have fitted 100 % of the jobs (3 of 3)' in page.words


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


def usage_of(events, count=None):
    usage = advice.Usage(count or len(events), 1, module.REASONS)
    for event in events:
        usage.add(event, {})
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
    assert 'Clocks differ: what early (11574d01h ahead), late (10m behind) told was moved' in page.words
    assert '2m elapsed' in ' '.join(page.find('div', 'tile'))


def test_failures_are_grouped_with_their_hosts_and_an_example(made):
    events = [ended('00', 5, host='c01')] + [
        failed('{:02d}'.format(n), host='c{}'.format(12 + n % 2), error='line {}: samtools: not found'.format(n))
        for n in range(1, 12)] + [failed('12', error_reason='memory', error='over its memory of 4G', exit_code=None)]
    text = 'true\n' + 'samtools sort\n' * 12

    def stderr(path):
        with open(os.path.join(path, '01.err'), 'wb') as target:
            target.write(b'loading\rloaded\n\x1b[31mline 1: samtools: not found\x1b[0m\n')
    page = made(events, text, stderr)
    groups = page.find('article', 'failure')
    assert groups[0] == '11 exit 127 , such as line 1: samtools: not found on c12, c13; example: job 01, ' \
        'samtools sort the end of its stderr loaded line 1: samtools: not found'
    assert groups[1] == '1 over its memory of 4G on c01; example: job 12, samtools sort'


def test_failures_of_which_the_known_ones_are_tried_again(made):
    page = made([failed('{:02d}'.format(n)) for n in range(10)]
                + [{'event': 'retry', 'numbers': [[0, 2]]}, {'event': 'saved'}], 'false\n' * 12)
    assert page.find('article', 'failure') == ['7 exit 127 line 12: samtools: not found']


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
    ([], 'Nothing has run.'),
    ([failed(str(n), started=None, host='', error_reason='submit', exit_code=None) for n in range(3)],
     '0 % completed 0 of 3 3 failed 3 not accepted'),
    ([{'event': 'dropped', 'numbers': [[0, 2]], 'time': 2000.0}], '3 cancelled'),
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
        assert 'not finished: 2 of 3 jobs to go' in page.words and 'still running: thin' in page.words
        assert 'nobody drives' not in page.words and '1 running' in page.words
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
    assert 'node0 \u2026 node2' in page.words and 'such as cannot read 0' in page.words
    assert time.monotonic() - begin < 60


def test_a_file_that_is_there_is_kept(qmap):
    prepare(qmap, 'true\n', 'out')
    qmap.write('out.html', 'mine')
    result = qmap('report', '-l', 'out')
    assert result.code == 2 and 'out.html: is there already; give another name with -o, or --force' in result.err
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
    assert result.code == 2 and result.err == 'qmap: error: old: qmap 0.4 kept no figures for report\n'
    assert 'no execution of QMap' in qmap('report').err
    shutil.copy(QMAP, qmap.path('alone.py'))
    qmap.program[1] = qmap.path('alone.py')
    result = qmap('report')
    assert result.code == 2 and 'report: the folder qmap_backends is not beside alone.py' in result.err
    assert sorted(os.listdir(qmap.folder)) == ['alone.py', 'old']


@pytest.mark.parametrize('most, ticks', [
    (1, [0, 1]), (3, [0, 1, 2, 3]), (7, [0, 5, 10]), (100, [0, 50, 100]), (0.3, [0, 0.1, 0.2, 0.3])])
def test_ticks_are_round(most, ticks):
    assert [round(tick, 9) for tick in report.nice(most, 3)] == ticks


@pytest.mark.parametrize('span', [0.01, 3, 100, 500, 4000, 50000, 400000, 4e6, 4e7, 4e8])
def test_the_axis_of_time_has_some_ticks_and_not_many(span):
    axis = report.Axis(1795730000.0, 1795730000.0 + span)
    assert 2 <= len(axis.ticks) <= 11 and all(0 <= share <= 1 for share, _, _ in axis.ticks)
    assert len({first + second for _, first, second in axis.ticks}) == len(axis.ticks) or span > 1e5
