"""The executions below a folder: `qmap` alone, tools in a folder without one, and a map that is submitted once more."""

import json
import os
import shutil
import subprocess

import pytest
from conftest import until

import qmap as module
from qmap_backends.tools import executions


@pytest.fixture
def ended(qmap):
    """An execution in the folder out, of which one job of two failed."""
    qmap.write('a.map', 'true\nfalse\n')
    qmap('submit', 'a.map', '--logs', 'out')
    return qmap


def prepare(qmap, logs, text='true\n' * 3):
    """Make an execution of which nothing has run."""
    qmap.write('b.map', text)
    return module.Request(qmap.path('b.map'), profile='local').create(qmap.path(logs))


def edit(path, **changes):
    """Change what a JSON file says; None takes a key away."""
    found = dict(module.read_json(path), **changes)
    module.write_json(path, {key: value for key, value in found.items() if value is not None})


def rows(lines):
    """Return the rows of the list, without the next command, as lists of words."""
    start = next(place for place, line in enumerate(lines) if line.startswith('folder '))
    return [line.split('python3')[0].split() for line in lines[start + 1:] if 'python3' in line]


def test_qmap_alone_lists_them_newest_first_with_the_next_command(ended):
    os.makedirs(ended.path('deep', 'er'))
    prepare(ended, 'deep/er/new')
    result = ended()
    assert result.code == 0 and result.err == '' and result.lines[0].startswith('2 executions in or below this folder')
    assert result.lines[1].split() == executions.HEAD
    new, old = rows(result.lines)
    assert new[:4] == ['deep/er/new', '0/3', 'no', 'driver'] and old[:4] == ['out', '2/2', 'finished', '1']
    for line, code, words in ((result.lines[2], 0, '3 completed'), (result.lines[3], 0, '1 completed, 1 failed')):
        command = line[line.index('python3'):]
        pasted = subprocess.run(['bash', '-c', command], cwd=ended.folder, env=ended.environ, stdout=subprocess.PIPE)
        assert pasted.returncode == code and words in pasted.stdout.decode()
    assert rows(ended().lines)[0][:3] == ['deep/er/new', '3/3', 'finished']


def test_one_that_runs(qmap):
    qmap.write('a.map', 'true\nsleep 100\n')
    driver = qmap.start('submit', 'a.map', '--logs', 'out')
    try:
        until(lambda: os.path.exists(qmap.path('out', '.qmap', 'driver.json')) and
              rows(qmap().lines)[0][:3] == ['out', '1/2', 'running'])
        assert qmap().lines[2].endswith(' reattach out')
        assert 'running; view with: ' in qmap('submit', 'a.map', '--dry-run').lines[1]
    finally:
        qmap('control', 'out', 'stop', '--cancel')
        driver.communicate()


@pytest.mark.parametrize('words', [['info'], ['info', 'status'], ['reattach'], ['report'], ['control', 'pause'],
                                   ['info', '--summary'], ['info', '--advise'], ['info', '--log', '0']])
def test_a_tool_in_a_folder_without_one_names_those_below(qmap, words):
    result = qmap(*words)
    assert result.code == 2 and result.out == '' and len(result.err.splitlines()) == 1
    qmap.environ['LC_ALL'] = 'C'
    os.mkdir(qmap.path('h\u00e9'))
    prepare(qmap, 'h\u00e9/out')
    result = qmap(*words)
    lines = result.err.splitlines()
    assert result.code == 2 and result.out == '' and 'no execution of QMap in this folder' in lines[0]
    assert rows(lines)[0][:2] == ["'h\u00e9/out'", '0/3']


def test_qmap_alone_where_there_is_none_is_the_help(qmap):
    result = qmap()
    assert result.code == 2 and result.out.startswith('usage: qmap')


def test_the_commands_of_odd_folders_can_be_pasted(qmap, odd):
    prepare(qmap, odd)
    line = qmap().lines[2]
    subprocess.check_call(['bash', '-c', line[line.index('python3'):]], cwd=qmap.folder, env=qmap.environ)
    assert '  3/3    finished  ' in qmap().lines[2]


def test_what_is_hidden_linked_deep_or_inside_is_passed_over(qmap):
    for name in ('.hidden/out', 'a/b/c/out', 'out', 'out/inner'):
        os.makedirs(os.path.dirname(qmap.path(name)) or '.', exist_ok=True)
        prepare(qmap, name)
    os.symlink(qmap.path('out'), qmap.path('link'))
    assert executions.Search(qmap.folder).found == [qmap.path('out')]
    assert executions.Search(qmap.path('out')).found == [qmap.path('out')]


@pytest.mark.parametrize('bound, value', [('FOLDERS', 20), ('SECONDS', 0)])
def test_the_search_is_bounded_and_says_so(qmap, monkeypatch, bound, value):
    prepare(qmap, 'out')
    for number in range(100):
        os.makedirs(qmap.path('many', str(number)))
    monkeypatch.setattr(executions, bound, value)
    looked_at = []
    monkeypatch.setattr(executions.os.path, 'isdir', lambda path: looked_at.append(path) or os.path.exists(path))
    assert executions.Search(qmap.folder).cut and len(looked_at) <= 21
    monkeypatch.undo()
    monkeypatch.setattr(executions, 'FOLDERS', 101)
    assert executions.listing(qmap.folder)[-1].startswith('The search ended after 101 folders')
    monkeypatch.setattr(executions, 'FOLDERS', 102)
    assert not executions.Search(qmap.folder).cut


def test_little_is_read_of_one_that_has_ended(ended):
    os.remove(ended.path('out', '.qmap', 'journal.0001'))
    os.remove(ended.path('out', 'qmap_input'))
    assert rows(ended().lines)[0][:4] == ['out', '2/2', 'finished', '1']


def test_what_was_cancelled_has_not_failed(qmap):
    prepare(qmap, 'out')
    qmap('control', 'out', 'cancel')
    assert rows(qmap().lines)[0][:5] == ['out', '3/3', 'finished', '3', 'cancelled']
    edit(qmap.path('out', 'execution.info'), cancelled=None)    # an earlier release did not note it
    assert rows(qmap().lines)[0][:5] == ['out', '3/3', 'finished', '3', 'cancelled']


def test_a_large_one_is_not_counted(qmap, monkeypatch):
    prepare(qmap, 'out')
    monkeypatch.setattr(executions, 'BYTES', 10)
    assert '?/3' in executions.listing(qmap.folder)[2]


def test_one_that_is_damaged_does_not_hide_the_others(qmap):
    prepare(qmap, 'good')
    prepare(qmap, 'bad')
    os.remove(qmap.path('bad', 'qmap_input'))
    os.makedirs(qmap.path('none', '.qmap'))
    found = rows(qmap().lines)
    assert [row[0] for row in found] == ['bad', 'good'] and found[0][2] == 'unreadable'


def test_on_a_terminal_the_newest_are_shown_and_long_commands_stand_alone(qmap):
    prepare(qmap, 'out')
    for number in range(12):
        shutil.copytree(qmap.path('out'), qmap.path('more', str(number)))
        edit(qmap.path('more', str(number), 'execution.info'), created_seconds=number)
    lines = executions.listing(qmap.folder, 400)
    assert len(lines) == 2 + executions.LISTED + 1 and lines[2].split()[0].endswith('out')
    assert lines[3].split()[0].endswith('more/11') and lines[-1].startswith('and 3 older; ')
    lines = executions.listing(qmap.folder, 40)
    assert len(lines) == 2 + 2 * executions.LISTED + 1 and ' reattach ' in lines[3] and lines[3].startswith('    ')
    assert len(executions.listing(qmap.folder)) == 2 + 13


@pytest.mark.parametrize('seconds, text', [
    (-5, '0 s'), (59, '59 s'), (60, '1 min'), (7199, '1 h'), (86400, '1 day'), (10 * 86400, '10 days')])
def test_ages(seconds, text):
    assert executions.age_text(seconds) == text


def test_a_logs_folder_needs_no_option(ended):
    assert ended('info', 'out', 'status').lines == ['id\tstatus', '1\tFAILED']
    assert ended('info', 'out', '-s', 'all', 'status').lines == ended('info', '-l', 'out', '-s', 'all', 'status').lines
    assert ended('info', 'out/', '--summary').lines[0].startswith('2 jobs: ')
    assert ended('reattach', 'out', '-j', '1').code == 1 and ended('report', 'out', '-o', 'x.html').code == 0
    assert ended('control', 'out', 'retry', '1').out.startswith('retrying 1 job')
    assert ended('control', 'out/', 'max-running', '3').code == 0
    for words in (['reattach', 'out', '-l', 'out'], ['report', 'out', '-l', 'out']):
        assert 'give one logs folder' in ended(*words).err
    for words in (['reattach', 'no'], ['control', 'no', 'pause'], ['info', 'no/'], ['report', 'no']):
        result = ended(*words)
        assert result.code == 2 and os.path.join(ended.folder, 'no') + ': No such file or directory' in result.err


def test_a_field_that_is_also_a_folder(ended):
    shutil.copytree(ended.path('out'), ended.path('out', 'host'))
    os.mkdir(ended.path('out', 'status'))
    os.mkdir(ended.path('out', 'other'))
    ended.folder = ended.path('out')
    assert ended('info', 'status').lines == ['id\tstatus', '1\tFAILED']
    assert ended('info', 'host').lines[0].startswith(module.INFO_MAP.partition('{')[0])
    assert ended('info', '-l', '.', 'host').lines[0] == 'id\thost'
    assert 'out/other: no execution' in ended('info', 'other').err


def test_a_folder_named_like_an_order(qmap):
    prepare(qmap, 'pause')
    assert qmap('control', 'pause').code == 2
    assert qmap('control', './pause', 'pause').out.startswith('paused')
    assert 'unknown order' in qmap('control', 'puase').err
    assert 'ORDER' in qmap('control', './pause').err


def test_a_map_that_was_submitted_before(ended):
    lines = ended('submit', 'a.map', '--logs', 'again').lines
    assert lines[1].startswith('this map was submitted before: out, ')
    assert ', 1 of 2 jobs completed, 1 failed; retry with: ' in lines[1]
    command = lines[1][lines[1].index('python3'):]
    assert subprocess.call(['bash', '-c', command], cwd=ended.folder, env=ended.environ) == 1
    assert json.loads(ended('info', 'out', '--format', 'json').out)['retries'] == 1
    assert 'before: again, ' in ended('submit', 'a.map', '--dry-run').lines[1]
    quiet = ended('submit', 'a.map', '--quiet')
    assert 'before' not in quiet.out + quiet.err
    ended.write('c.map', 'true\nfalsE\n')
    assert 'before' not in ended('submit', 'c.map').out


def test_another_execution_that_runs_on_this_machine(qmap):
    qmap.write('a.map', 'until [ -e go ]; do sleep 0.1; done\n')
    qmap.write('b.map', 'true\n')
    said = 'out runs on this machine, too; the two do not share its cores and memory: divide them with -r'
    assert qmap('submit', 'a.map', '-l', 'out', '--detach').code == 0
    assert qmap('submit', 'b.map', '-l', 'b').lines[1] == said and said in qmap('submit', 'b.map', '--dry-run').out
    assert 'runs on' not in qmap('submit', 'b.map', '--dry-run', '-p', 'slurm').out
    quiet = qmap('submit', 'b.map', '-l', 'quiet', '-q')
    assert quiet.out == quiet.err == ''
    qmap.write('go', '')
    assert qmap('reattach', 'out').code == 0
    assert 'runs on' not in qmap('submit', 'b.map', '-l', 'last').out


def test_a_map_of_which_all_jobs_have_completed_or_some_are_left(qmap):
    prepare(qmap, 'out')
    quiet = qmap('submit', 'b.map', '--logs', 'at_once', '--quiet')
    assert quiet.out == '' and quiet.err.startswith('qmap: warning: this map was submitted before: out, ')
    shutil.rmtree(qmap.path('at_once'))
    line = qmap('submit', 'b.map', '--logs', 'two').lines[1]
    assert ', 0 of 3 jobs completed, no driver; resume with: ' in line and line.endswith(' reattach out')
    line = qmap('submit', 'b.map', '--logs', 'three').lines[1]
    assert 'before: two, ' in line and line.endswith(', 3 of 3 jobs completed')


def test_the_default_folder_of_a_dry_run_is_the_one_that_would_be_made(qmap):
    qmap.write('a.map', 'true\n')
    name = qmap('submit', 'a.map').lines[1].split()[-1]
    assert qmap('submit', 'a.map', '--dry-run').lines[2].endswith('logs folder {}-2'.format(name))
