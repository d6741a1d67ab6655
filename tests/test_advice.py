"""info --advise: what was asked and used, and what to ask for next time."""

import json
import math
import os
import shutil

import pytest
from conftest import QMAP
from module_submit import ended, prepare, write_journal

import qmap as module
from qmap_backends.tools import advice

#: Depends little on the Python.
pytestmark = pytest.mark.twice

MEGA, GIGA = 1024 ** 2, 1024 ** 3


@pytest.fixture
def made(qmap):
    """A function that makes an execution of jobs that ended so, and returns what is advised, as text and as a dict."""
    def make(events, count=None, params='[params]\ncores = 2\nmemory = 4G\ntime = 1h\n[jobs]\n', more=''):
        count = count or len(events)
        shutil.rmtree(qmap.path('out'), ignore_errors=True)
        path = prepare(qmap, params + ''.join('true{}\n'.format(more) for _ in range(count)), 'out')
        write_journal(path, events)
        text = qmap('info', '-l', 'out', '--advise')
        found = qmap('info', '-l', 'out', '--advise', '--format', 'json')
        assert text.code == found.code == 0 and text.err == found.err
        assert not text.err or 'no driver is running' in text.err
        return text.out, json.loads(found.out)
    return make


def test_jobs_of_which_only_an_upper_bound_is_known(made):
    few = [ended('{:02d}'.format(n), 10, memory_below=43 * MEGA) for n in range(30)]
    text, found = made(few)
    assert 'memory  requested 4G; used: less than 43M\n' in text
    assert found['memory'] == {'asked': [4 * GIGA], 'used': None, 'below': {'jobs': 30, 'maximum': 43 * MEGA}}
    assert found['next']['flags'] == '-m 64M -t 1m' and found['next']['fits'] == 30
    assert found['unused']['memory'] is None
    # The others are the sample; what is enough for them is for all.
    text, found = made(few + [ended('{:02d}'.format(n), 10, memory=GIGA) for n in range(30, 40)] + [ended('40', 10)])
    assert 'maximum 1G; less than 43M for 30 jobs; unknown for 1 job\n' in text
    assert found['memory']['used'] == {'jobs': 10, 'median': GIGA, 'percentile_95': GIGA, 'maximum': GIGA}
    assert found['next']['memory'] == GIGA and found['next']['of'] == 40


def test_the_figures_are_right(made):
    # Job n of 1 to 200 ran n * 10 s on 2 cores, held n * 10 MB, and kept one core busy.
    text, found = made([ended('{:03d}'.format(n - 1), 10 * n, memory=10 * n * MEGA, cpu=10 * n)
                        for n in range(1, 201)])
    assert found['memory'] == {'asked': [4 * GIGA], 'below': None, 'used': {
        'jobs': 200, 'median': 1005 * MEGA, 'percentile_95': 1900 * MEGA, 'maximum': 2000 * MEGA}}
    assert found['time'] == {'asked': [3600], 'used': {
        'jobs': 200, 'median': 1005, 'percentile_95': 1900, 'maximum': 2000}}
    assert found['cores']['used']['median'] == found['cores']['used']['maximum'] == 1
    # Reserved: 4 GB and 2 cores for 10 + 20 + ... s; used: the squares of that.
    seconds = sum(10 * n for n in range(1, 201))
    assert found['reserved'] == {'byte_seconds': 4 * GIGA * seconds, 'core_seconds': 2 * seconds}
    squares = sum(10 * n * 10 * n * MEGA for n in range(1, 201))
    assert found['unused'] == {'memory': round(1 - squares / (4 * GIGA * seconds), 4), 'cores': 0.5}
    # 198 of 200 are 99 %: one may be too large, and one too long. 1990 MB and 1990 s are rounded up.
    assert found['next']['memory'] == 2 * GIGA and found['next']['time'] == 2100
    assert found['next']['flags'] == '-m 2G -t 35m' and found['next']['fits'] == found['next']['of'] == 200
    assert text.splitlines() == [
        'based on 200 jobs, all completed',
        'memory  requested 4G; used: median 1005M, 95th percentile 1.9G, maximum 2G',
        'time    requested 1h; used: median 16m45s, 95th percentile 31m40s, maximum 33m20s',
        'cores   requested 2; used: median 1.0, 95th percentile 1.0, maximum 1.0',
        'unused: 67 % of requested memory (150 of 223 GB-hours) and 50 % of requested core time (55.8 of 112 '
        'core-hours)',
        'short jobs on one machine share a shell: their peak memory is the highest in that shell',
        'recommended: -m 2G -t 35m would have been enough for 100 % of the jobs (200 of 200)',
        '-c 1 may be enough: 95 % of the jobs used at most 1.0 cores on average; some may take longer with it']


def test_one_in_a_hundred_may_be_far_too_large(made):
    _, found = made([ended('{:03d}'.format(n), 100, memory=MEGA * (3000 if n < 2 else 100)) for n in range(200)])
    assert found['next'] == {'flags': '-m 3G -t 2m', 'memory': 3 * GIGA, 'time': 120, 'fits': 200, 'of': 200,
                             'needed_more_than_asked': {'memory': 0, 'time': 0}}
    _, found = made([ended('{:03d}'.format(n), 100, memory=MEGA * (3000 if n < 2 else 100)) for n in range(400)])
    assert found['next']['flags'] == '-m 128M -t 2m' and found['next']['fits'] == 398


def test_what_failed_over_its_memory_needs_an_unknown_amount(made):
    text, found = made([
        ended('00', 60, memory=GIGA), ended('01', 60, memory=2 * GIGA),
        ended('02', 30, memory=4 * GIGA, status='FAILED', error_reason='memory', error='memory limit exceeded of 4G'),
        ended('03', 3600, memory=GIGA, status='FAILED', error_reason='time', error='time limit exceeded'),
        ended('04', 1, memory=MEGA, status='FAILED', error_reason='exit', error='x', exit_code=1)], count=11)
    assert found['failed'] == {'exit': 1, 'memory': 1, 'time': 1}
    assert found['memory']['used']['jobs'] == 2 and found['next']['needed_more_than_asked'] == {'memory': 1, 'time': 1}
    assert (found['next']['fits'], found['next']['of']) == (2, 4)
    assert 'based on the 2 completed of 11 jobs; the others: 3 failed (1 exit, 1 memory, 1 time), 6 not submitted\n' \
        in text
    assert 'recommended: -m 2G -t 1m would have been enough for 50 % of the jobs (2 of 4); too few jobs for' in text
    assert '1 job exceeded its memory limit; actual need unknown (more than 4G); try -m 8G\n' in text
    assert '1 job exceeded its time limit; actual need unknown (more than 1h); try -t 2h\n' in text


def test_what_completed_though_it_lacked_memory_does_not_tell_how_much_is_enough(made):
    text, found = made([ended('0', 10, memory=GIGA), ended('1', 10, memory=4 * GIGA, oom_kills=1)])
    assert found['memory']['used']['maximum'] == GIGA and 'unknown for 1 job' in text


def test_without_accounts_no_memory_is_known_and_none_is_advised(made):
    text, found = made([ended('0', 60), ended('1', 70)])
    assert found['memory']['used'] is None and found['unused'] == {'memory': None, 'cores': None}
    assert found['next']['flags'] == '-t 2m' and found['next']['fits'] == 2
    assert 'memory  requested 4G; used: unknown\n' in text and 'cores   requested 2; used: unknown\n' in text


def test_of_some_it_may_not_be_known(made):
    text, found = made([ended('0', 60, memory=GIGA), ended('1', 700)])
    assert 'maximum 1G; unknown for 1 job\n' in text and found['next']['of'] == 1


def test_the_last_attempt_of_a_job_counts_and_what_the_accounts_add(made):
    batch = {'event': 'batch', 'batch': 2, 'name': 'x', 'tasks': ['0.2', '1.2'], 'time': 2000.0,
             'params': {'memory': '16G'}}
    over = {'status': 'FAILED', 'error_reason': 'memory', 'error': 'memory limit exceeded', 'memory': 4 * GIGA}
    second = ended('0', 100, attempt=2, batch=2, params={'memory': '16G'})
    text, found = made([
        ended('0', 50, **over), ended('1', 50, **over), ended('2', 50, **over), ended('3', 20, memory=GIGA),
        {'event': 'retry', 'numbers': [[0, 2]], 'params': {'memory': '16G'}}, batch, second,
        dict(second, event='usage', memory=10 * GIGA), {'event': 'dropped', 'numbers': [[2, 2]], 'time': 2100.0}])
    assert found['counts']['COMPLETED'] == 2 and found['counts']['PENDING'] == 1
    assert found['failed'] == {'cancelled': 1}
    assert found['memory']['used']['maximum'] == 10 * GIGA and found['next']['needed_more_than_asked']['memory'] == 0
    assert found['memory']['asked'] == [4 * GIGA, 16 * GIGA] and 'requested 4G to 16G; used' in text
    assert 'the others: 1 cancelled, 1 running or pending' in text


def test_commands_with_parameters_of_their_own(made):
    text, found = made([ended('0', 10, memory=GIGA, cpu=40)], params='', more=' ## cores=8 memory=2G')
    assert found['cores']['asked'] == [8] and found['cores']['used']['median'] == 4
    assert found['unused'] == {'memory': 0.5, 'cores': 0.5} and 'time    requested nothing; used' in text


def test_nothing_is_known_of_what_has_not_run(made):
    text, found = made([], count=3)
    assert 'based on the 0 completed of 3 jobs; the others: 3 not submitted' in text
    assert 'no job has completed yet' in text
    assert 'recommended' not in text and found['next']['flags'] == '' and found['time']['used'] is None


@pytest.mark.parametrize('value, memory, flag', [
    (1, '32M', '1m'), (61, '32M', '2m'), (600, '32M', '10m'), (601, '32M', '15m'), (3601, '32M', '1h15m'),
    (5 * 3600 + 1, '32M', '6h'), (90000, '32M', '1d6h'), (86400 * 5 + 1, '32M', '6d'), (40 * MEGA, '64M', ''),
    (300 * MEGA, '384M', ''), (GIGA + 1, '1.5G', ''), (4 * GIGA, '4G', ''), (4 * GIGA + 1, '5G', ''),
    (17 * GIGA, '20G', ''), (65 * GIGA, '80G', ''), (300 * GIGA, '320G', '')])
def test_flags_are_rounded_up_to_what_one_types(value, memory, flag):
    assert module.parse_memory(memory) == advice.round_up(value, advice.MEMORY_STEPS) >= value
    if flag:
        found = advice.round_up(value, advice.TIME_STEPS)
        assert advice.time_flag(found) == flag and module.parse_time(flag) == found >= value


def test_the_advice_is_never_less_than_what_99_percent_used():
    for count in (1, 2, 99, 100, 101, 1000, 1234):
        values = sorted(math.exp(n * 7.31 % 17) for n in range(count))
        assert sum(value <= advice.quantile(values, 0.99) for value in values) >= 0.99 * count


@pytest.mark.parametrize('seconds, text', [
    (0.3512, '0.35s'), (12, '12s'), (60, '1m'), (200, '3m20s'), (3900, '1h05m'), (187200, '2d04h'), (86400, '1d')])
def test_times_are_short(seconds, text):
    assert advice.short_time(seconds) == text


def test_jobs_that_really_ran(qmap):
    qmap.write('a.map', 'sleep 0.2\nsleep 0.1\nexit 3\nsleep 0.1\nsleep 0.1\n')
    assert qmap('submit', 'a.map', '-g', '2', '-m', '100M', '-t', '1h', '--logs', 'out').code == 1
    result = qmap('info', '--advise', '-l', 'out')
    assert result.code == 0 and 'based on the 2 completed of 3 jobs; the others: 1 failed (exit)' in result.out
    assert '-t 1m would have been enough for 100 % of the jobs (2 of 2); too few jobs for a reliable' in result.out
    assert 'cores   requested 1; used: unknown (all jobs ran for less than 1 s)' in result.out
    assert qmap('info', '--advise', '-l', 'out', '-o', 'advice.txt').out == ''
    assert qmap.read('advice.txt') == result.out


@pytest.mark.parametrize('executor, pull, seconds, workers', [
    ('slurm', None, 0.5, 10), ('slurm', None, 9, 10), ('slurm', None, 30, None), ('slurm', 8, 0.5, None),
    ('local', None, 0.5, None)])
def test_workers_are_advised_for_short_jobs_on_a_cluster(qmap, executor, pull, seconds, workers):
    path = prepare(qmap, 'true\n' * 200, 'out')
    write_journal(path, [ended('{:03d}'.format(number), seconds) for number in range(200)])
    info = json.loads(qmap.read('out', 'execution.info'))
    module.write_json(qmap.path('out', 'execution.info'), dict(info, executor=executor, pull=pull or 0, max_running=50))
    said = qmap('info', '-l', 'out', '--advise').out
    assert ('with --pull {}, as many'.format(workers) in said) if workers else ('--pull' not in said)
    assert json.loads(qmap('info', '-l', 'out', '--advise', '--format', 'json').out)['next'].get('pull') == workers


def test_what_cannot_be_advised_is_said(qmap):
    qmap.write('a.map', 'true\n')
    qmap('submit', 'a.map', '--logs', 'out')
    result = qmap('info', '-l', 'out', '--advise', 'status')
    assert result.code == 2 and '--advise covers all jobs' in result.err
    os.mkdir(qmap.path('old'))
    qmap.write('old/qmap_input', 'true\n')
    result = qmap('info', '-l', 'old', '--advise')
    assert result.code == 2 and result.err == 'qmap: error: old: made by qmap 0.4, without the figures for --advise\n'
    assert 'no execution of QMap' in qmap('info', '--advise').err
    with open(module.Logs(qmap.path('out')).journal(1), 'ab') as journal:
        journal.write(b'{nonsense\n')
    result = qmap('info', '-l', 'out', '--advise')
    assert result.code == 0 and 'unreadable record' in result.err and 'based on 1 job, all' in result.out
    shutil.copy(QMAP, qmap.path('alone.py'))
    qmap.program[1] = qmap.path('alone.py')
    result = qmap('info', '-l', 'out', '--advise')
    assert result.code == 2 and '--advise: the folder qmap_backends is not beside alone.py' in result.err
