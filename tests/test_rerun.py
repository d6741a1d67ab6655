"""The map of what is left: its commands keep the identifiers that they had, so that they write what they would have."""

import json
import os
import re

import pytest

#: Depends little on the Python.
pytestmark = pytest.mark.twice

#: Writes a file that is named by the identifier, and fails until `ok` is there.
ONCE = 'test -e ok && echo ${QMAP_LINE} >r_$QMAP_LINE'


def rerun(qmap, logs, again, *more):
    """Submit the map of what failed in a folder, as the summary proposes it; return the lines of its commands."""
    assert qmap('info', '-l', logs, '-o', again + '.map').code == 0
    result = qmap('submit', again + '.map', '-l', again, '-q', *more)
    assert result.code in (0, 1) and 'warning' not in result.err, result
    lines = qmap.read(again + '.map').splitlines()
    return lines[lines.index('[jobs]') + 1:]


def test_commands_keep_their_identifiers_in_a_rerun_and_in_a_rerun_of_it(qmap):
    qmap.write('m.map', 'echo zero >r_${QMAP_LINE}\n' + 'true\n' * 9 + ONCE + '\n' + ONCE + '\n')
    assert qmap('submit', 'm.map', '-l', 'a', '-q').code == 1
    assert rerun(qmap, 'a', 'b') == [ONCE + ' ## line=10', ONCE + ' ## line=11']
    assert not os.path.exists(qmap.path('r_0'))
    qmap.write('ok', '')
    assert rerun(qmap, 'b', 'c') == [ONCE + ' ## line=10', ONCE + ' ## line=11']
    assert [qmap.read(name) for name in ('r_00', 'r_10', 'r_11')] == ['zero\n', '10\n', '11\n']
    first = qmap.read('c.map').splitlines().index(ONCE + ' ## line=10') + 1
    assert qmap('info', '-l', 'c', '-s', 'all', 'line', 'command').lines[1:] == [
        '0\t{}\t{}'.format(first, ONCE), '1\t{}\t{}'.format(first + 1, ONCE)]
    assert qmap.info('c', '0')['params'] == qmap.info('a', '00')['params']


def test_the_rest_of_a_group_keeps_them_also_among_ignored_parameters(qmap):
    qmap.write('m.map', 'true\n' + ONCE + '\n' + ONCE + ' ## memory=1G\n')
    assert qmap('submit', 'm.map', '-l', 'a', '-q', '-g', '3').code == 1
    qmap.write('ok', '')
    assert qmap('info', '-l', 'a', '-o', 'again.map').code == 0
    assert qmap.read('again.map').splitlines()[-2:] == [ONCE + ' ## line=1', ONCE + ' ## memory=1G line=2']
    result = qmap('submit', 'again.map', '-l', 'b', '-q', '-g', '2')
    assert result.code == 0 and 'ignored with --group' in result.err
    assert [qmap.read(name) for name in ('r_1', 'r_2')] == ['1\n', '2\n'] and not os.path.exists(qmap.path('r_0'))


def test_what_is_left_of_a_group_of_a_rerun_is_still_known(qmap):
    qmap.write('m.map', 'echo ${QMAP_LINE} >>ran ## line=7\ntest -e ok ## line=3\n')
    assert qmap('submit', 'm.map', '-l', 'a', '-q', '-g', '2').code == 1
    assert qmap('info', '-l', 'a', 'commands.done').lines == ['id\tcommands.done', '0\t1']
    assert qmap('info', '-l', 'a', '--collapse').lines == ['test -e ok ## line=3']
    assert qmap.read('ran') == '7\n'


def test_the_identifier_is_no_parameter(qmap):
    qmap.write('m.map', 'echo $QMAP_LINE; env | grep -ic ^qmap_line ## line=007\ntrue ## line=008 sample=x\n')
    result = qmap('submit', 'm.map', '-l', 'a', '-q')
    assert result.code == 0 and 'line=' not in result.err and 'QMAP_LINE' not in result.err, result
    assert qmap.read('a', '0.out') == '007\n1\n'
    assert 'line' not in qmap.info('a', '0')['params'] and qmap.info('a', '1')['params']['sample'] == 'x'
    dry = qmap('submit', 'm.map', '--dry-run')
    assert 'export QMAP_LINE=007' in dry.lines and 'export QMAP_JOB=0' in dry.lines


def test_jobs_that_differ_in_their_identifiers_only_are_submitted_together(qmap):
    qmap.write('m.map', ''.join('true ## line={}\n'.format(number) for number in (5, 3, 8)))
    assert qmap('submit', 'm.map', '-l', 'a', '-q', '-r', '3').code == 0
    events = map(json.loads, qmap.read('a', '.qmap', 'journal.0001').splitlines())
    assert next(event['tasks'] for event in events if event['event'] == 'batch')[:2] == ['0.1', '1.1']


@pytest.mark.parametrize('text, first, second', [
    ('a ## line=07\nb\nc ## line=07\n', 1, 3),
    ('a\nb ## line=0\n', 1, 2),
    ('a ## line=1\nb\n', 1, 2),
    ('[jobs]\na ## line=5 cores=1\nb ## line=6\nc ## line=5\n', 2, 4),
])
def test_an_identifier_that_two_commands_have_is_an_error_that_names_both(qmap, text, first, second):
    qmap.write('m.map', text)
    result = qmap('submit', 'm.map', '-l', 'a')
    assert result.code == 2 and result.err.count('\n') == 1
    assert re.search(r'm.map, line {}: identifier .* is also that of line {};'.format(second, first), result.err)
    assert not os.path.exists(qmap.path('a'))


def test_identifiers_of_another_width_are_others(qmap):
    qmap.write('m.map', 'true ## line=1\ntrue ## line=01\n')
    assert qmap('submit', 'm.map', '-l', 'a', '-q').code == 0


@pytest.mark.parametrize('value', ['x', '-1', '', '1' * 19])
def test_an_identifier_is_a_number(qmap, value):
    qmap.write('m.map', "true\ntrue ## 'line={}'\n".format(value))
    result = qmap('submit', 'm.map', '-l', 'a')
    assert result.code == 2 and 'm.map, line 2: line = ' + value in result.err


def test_a_large_map_of_a_rerun_is_read_as_fast_as_another(tmp_path):
    import time
    import qmap as module
    times = []
    for name, tail in (('plain', ''), ('rerun', ' ## line={:06d}')):
        path = tmp_path / name
        path.write_text('[jobs]\n' + ''.join(('echo {}' + tail + '\n').format(number, number)
                                             for number in range(100000)))
        start = time.process_time()
        map = module.Map(str(path))
        map.check_line_ids()
        times.append(time.process_time() - start)
        assert not map.owns and map.line_id(99999) == '099999'[-len(map.line_id(99999)):]
    assert times[1] < 10 * times[0] + 1    # some three times; through the reader of parameters it would be a hundred
