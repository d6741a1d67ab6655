"""What stops an execution early: canaries, --halt, and first jobs that all fail alike."""

import os
import re
import time

import pytest
from conftest import until
from test_views import Terminal

import qmap as module

#: Hardly depends on the Python.
pytestmark = pytest.mark.once

FAILS = 'sleep 0.05; echo no such sample >&2; exit 3\n'


def counts(qmap, logs='out'):
    """Return how many jobs are UNSUBMITTED, COMPLETED and FAILED."""
    statuses = qmap.statuses(logs)
    return tuple(map(statuses.count, ('UNSUBMITTED', 'COMPLETED', 'FAILED')))


@pytest.mark.parametrize('text, rule', [
    ('fail=20', (False, 20, None)), ('soon,fail=1', (False, 1, None)), ('now,fail=5%', (True, None, 5)),
    ('fail=0.5%', (False, None, 0.5)), ('fail=0', None), ('fail=101%', None), ('fail=', None), ('done=1', None),
    ('now', None), ('later,fail=1', None), ('fail=1.5', None), ('fail=-1', None)])
def test_rules_of_halt(text, rule):
    try:
        assert module.parse_halt(text) == rule
    except ValueError:
        assert rule is None


def test_where_the_first_jobs_all_fail_alike_it_halts_once(qmap):
    qmap.write('a.map', FAILS * 40)
    result = qmap('submit', 'a.map', '-l', 'out', '-r', '1')
    left, completed, failed = counts(qmap)
    assert (result.code, completed) == (4, 0) and 20 <= failed < 40 and left == 40 - failed
    paused = re.search('^  (paused: the first (.*) jobs all failed: exit 3: no such sample  .ids 00, 01, 02, ....)$',
                       result.out, re.MULTILINE)
    assert 20 <= int(paused.group(2)) <= failed and paused.group(1) + '; ' in result.out
    assert re.match('to go on: .* control -l out resume && .* reattach -l out$', result.lines[-1])
    again = qmap('reattach', '-l', 'out')
    assert again.code == 4 and again.lines[1] == paused.group(1) and counts(qmap)[0] == left
    assert re.search(r'^out .* paused .* control -l out resume && .* reattach out *$', qmap().out, re.MULTILINE)
    assert qmap('control', '-l', 'out', 'resume').out.startswith('resumed: ')
    assert ' no driver ' in qmap().out and 'resume' not in qmap().out
    assert qmap('reattach', '-l', 'out', '-q').code == 1 and counts(qmap) == (0, 0, 40)


@pytest.mark.parametrize('text, options', [
    ('true\n' + FAILS * 25, []), (FAILS * 10 + 'exit 4\n' * 15, []), (FAILS * 25, ['--no-halt']),
    (FAILS * 19 + 'true\n', [])])
def test_it_halts_for_nothing_else(qmap, text, options):
    qmap.write('a.map', text)
    assert qmap('submit', 'a.map', '-l', 'out', '-r', '1', *options).code == 1
    assert counts(qmap)[0] == 0


def test_canaries_come_first_and_all_others_wait_for_them(qmap):
    commands = [FAILS.strip()] * 12
    commands[7] += ' ## memory=20M'
    commands[3] += ' ## memory=10M'
    qmap.write('a.map', '\n'.join(commands) + '\n')
    result = qmap('submit', 'a.map', '-l', 'out', '--canary', '3')
    assert result.code == 4 and 'paused: all canaries failed: exit 3: no such sample  (ids 00, 07, 11); 9 jobs ' \
        'not submitted' in result.lines
    assert [id for id, status in enumerate(qmap.statuses('out')) if status == 'FAILED'] == [0, 7, 11]
    qmap('control', '-l', 'out', 'resume')
    assert qmap('reattach', '-l', 'out', '-q').code == 1 and counts(qmap) == (0, 0, 12)


def test_where_a_canary_completes_the_others_follow(qmap):
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran; [ ${QMAP_LINE} != 0 ]\n' * 9)
    assert qmap('submit', 'a.map', '-l', 'out', '-r', '1', '--canary', '2', '-q').code == 1
    assert qmap.read('ran').split() == list('081234567') and counts(qmap) == (0, 8, 1)
    qmap.write('a.map', 'true\n')
    assert qmap('submit', 'a.map', '-l', 'few', '--canary', '5', '-q').code == 0


def test_halt_after_so_many_failures_with_what_runs(qmap):
    qmap.write('a.map', 'true\n' + 'exit 3\n' + 'sleep 60\n' + 'exit 4\n' + 'true\n' * 5)
    since = time.time()
    result = qmap('submit', 'a.map', '-l', 'out', '-r', '2', '-c', '0', '--halt', 'now,fail=2')
    assert result.code == 4 and time.time() - since < 50
    assert re.search(r'^  paused: 2 of \d jobs failed \(--halt now,fail=2\)$', result.out, re.MULTILINE)
    left, completed, failed = counts(qmap)
    assert failed == 3 and left + completed == 6 and qmap.info('out', '2')['error_reason'] == 'cancelled'
    again = qmap('submit', 'a.map', '-l', 'again', '-r', '2', '-c', '0', '--halt', 'fail=1', '--leave')
    assert again.code == 2 and '--leave' in again.err


def test_halt_after_a_part_of_the_jobs_needs_twenty_ends(qmap):
    qmap.write('a.map', 'sleep 0.05; exit 3\ntrue\n' * 20)
    result = qmap('submit', 'a.map', '-l', 'out', '-r', '1', '--halt', 'fail=50%')
    left, completed, failed = counts(qmap)
    assert result.code == 4 and completed + failed >= 20 and left > 0


@pytest.mark.parametrize('word, code', [(b'r\n', 1), (b'q\n', 4)])
def test_on_a_terminal_it_waits_for_a_word(qmap, word, code):
    qmap.write('a.map', FAILS * 40)
    terminal = Terminal(qmap, 'submit', 'a.map', '-l', 'out', '-r', '1', '--no-console').read()
    until(lambda: b'To submit the others all the same, type r and Enter' in terminal.seen)
    os.write(terminal.main, word)
    assert terminal.end()[0] == code and (counts(qmap)[0] > 0) == (code == 4)


def test_in_the_background_the_driver_ends(qmap):
    qmap.write('a.map', FAILS * 40)
    assert qmap('submit', 'a.map', '-l', 'out', '-r', '1', '--detach', '--on-finish',
                'echo $QMAP_STATUS >told').code == 0
    until(lambda: os.path.exists(qmap.path('told')) and qmap.read('told') == '4\n')
    until(lambda: 'to go on: ' in qmap.read('out', 'execution.log'))


def test_from_python(qmap):
    qmap.write('a.map', FAILS * 40)
    execution = module.submit(qmap.path('a.map'), profile='local', logs=qmap.path('out'), max_running=1, canary=2,
                              halt='never')
    assert not execution.wait() and execution.halt_reason.startswith('all canaries failed: exit 3')
    assert execution.counts()['UNSUBMITTED'] == 38
    for wrong in {'halt': 'x'}, {'halt': 3}, {'canary': 0}, {'canary': 'x'}:
        with pytest.raises(module.QMapError) as caught:
            module.submit(qmap.path('a.map'), profile='local', **wrong)
        assert list(wrong)[0] in str(caught.value)
