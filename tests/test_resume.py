"""An execution goes on with a map that was edited, extended or sorted: what is done stays done."""

import itertools
import json
import os
import random

import pytest

import qmap as module
from qmap_backends.tools import listing
from conftest import ROOT, until
from module_submit import ended, prepare, write_journal
from test_journal import compact
from test_older import BOOT, FOLDER, HOST, move_execution

#: Says that it ran, and fails as long as a file of its name is there.
WORK = 'echo {0} >>ran; test ! -e bad_{0}\n'


def resume(qmap, text, *words, code=0, logs='out'):
    """Write the map, go on with it, and return the Result."""
    qmap.write('a.map', text)
    result = qmap('submit', 'a.map', '-l', logs, '--resume', '--no-console', *words)
    assert result.code == code, result
    return result


def what_ran(qmap):
    """Return the sorted lines that jobs have written since the last time."""
    found = sorted(qmap.read('ran').splitlines()) if os.path.exists(qmap.path('ran')) else []
    qmap.write('ran', '')
    return found


def matched(tool, old, new, group=1):
    """Return the MapMatch of two texts."""
    tool.write('old.map', old)
    tool.write('new.map', new)
    return module.MapMatch(module.Map(tool.path('old.map')), module.Map(tool.path('new.map')), group)


def map_of_sheet(qmap, names):
    """Write a sample sheet, and return the map that is made of it."""
    rows = ''.join('{0}\tfastq/{0}.fq\tbam/{0}.bam\n'.format(name) for name in names)
    qmap.write('samples.tsv', 'sample\tfastq\tout\n' + rows)
    command = 'echo {{?sample}} >>ran; read reads <{{?fastq}} && echo $reads >{{?out}}'
    return qmap('template', command, '--table', 'samples.tsv', '-o', '-').out


def test_a_week_in_the_life_of_a_sample_sheet(qmap):
    names, more = (['s{:03d}'.format(number) for number in some] for some in (range(1, 201), range(201, 401)))
    bad = names[5:200:13]
    for folder in ('fastq', 'bam'):
        os.mkdir(qmap.path(folder))
    for name in set(names + more + ['s017b']) - set(bad):
        qmap.write('fastq/{}.fq'.format(name), 'reads of ' + name + '\n')
    qmap.write('a.map', map_of_sheet(qmap, names))
    assert qmap('submit', 'a.map', '-l', 'out', '-q').code == 1 and len(bad) == 15
    assert what_ran(qmap) == names
    failed = qmap('info', '-l', 'out', 'params.sample', 'error_reason').lines[1:]
    assert failed == ['{:03d}\t{}\texit'.format(int(name[1:]) - 1, name) for name in bad]
    for name in bad:
        qmap.write('fastq/{}.fq'.format(name), 'reads of ' + name + '\n')
    result = resume(qmap, qmap.read('a.map'))
    assert '200 jobs: 185 done, 15 failed and run again\n' in result.out and what_ran(qmap) == bad
    result = resume(qmap, map_of_sheet(qmap, names + more))
    assert '400 jobs: 200 done, 200 new\n' in result.out and what_ran(qmap) == more
    renamed = ['s017b' if name == 's017' else name for name in names + more]
    result = resume(qmap, map_of_sheet(qmap, renamed))
    assert '400 jobs: 399 done, 1 new; 1 no longer in the map\n' in result.out and what_ran(qmap) == ['s017b']
    random.Random(1).shuffle(renamed)
    result = resume(qmap, map_of_sheet(qmap, renamed))
    assert '400 jobs: 400 done; 1 no longer in the map\n' in result.out and what_ran(qmap) == []
    assert '400 completed' in result.out and qmap.statuses('out') == ['COMPLETED'] * 400
    assert all(qmap.read('bam', name + '.bam') == 'reads of ' + name + '\n' for name in renamed)
    # Ids and files of the first ones have stayed, and the lists leave out what is gone.
    assert qmap.read('out', '016.out') == '' and qmap.info('out', '005')['retries'] == 1
    command = 'echo {0} >>ran; read reads <fastq/{0}.fq && echo $reads >bam/{0}.bam'
    told = qmap('info', '-l', 'out', '-s', 'all', 'command').lines
    assert len(told) == 401 and told[1] == '000\t' + command.format('s001') and told[-1].startswith('400\t')
    assert qmap('info', '-l', 'out', '-s', 'gone', 'command').lines[1:] == ['016\t' + command.format('s017')]
    again = qmap('info', '-l', 'out', '-s', 'all', '-o', 'all.map')
    assert again.code == 0 and 's017 ' not in qmap.read('all.map')
    assert qmap('control', 'out', 'cancel', '400').out == '1 job had finished already\n'


@pytest.mark.parametrize('old, new, pairs, fresh', [
    ('a\nb\nc\n', 'c\na\nb\n', [1, 2, 0], []),
    ('a\nb\n', 'a\nx\nb\ny\n', [0, 2], [1, 3]),
    ('a\na\na\n', 'a\nb\na\n', [0, 2, -1], [1]),
    ('a \nb\\\n c\n', ' a\nb c\n', [0, 1], []),
    ('a ## memory=1G\nb ## line=7\n', 'b ## cores=2\na\n', [1, 0], []),
    ('a ## x\nb\n', 'a\na ## x\nb ## x\n', [1, -1], [0, 2]),    # a comment is part of the command
    # Equal commands are told apart by their own parameters, whatever the order, and by them only where needed.
    ('./run ## sample=a\n./run ## sample=b\n', './run ## sample=c\n./run ## sample=b\n', [-1, 1], [0]),
    ('./run a ## sample=a\n', './run a ## sample=a batch=7\n', [0], []),
    ('./run $QMAP_SAMPLE ## sample=a\n', './run $QMAP_SAMPLE ## sample=b\n', [-1], [0]),
    ('./run $QMAP_SAMPLE ## sample=a memory=1G\n', './run $QMAP_SAMPLE ## memory=2G sample=a\n', [0], [])])
def test_which_commands_are_the_same(qmap, old, new, pairs, fresh):
    match = matched(qmap, '[jobs]\n' + old, '[jobs]\n' + new)
    assert list(match.pairs) == pairs
    assert [index for index, mark in enumerate(match.fresh) if mark] == fresh


def test_commands_of_a_job_are_told_apart_by_their_outputs(qmap):
    match = matched(qmap, '[jobs]\n./run $QMAP_OUT ## out=a\n./run $QMAP_OUT ## out=b\nx ## memory=1G\ny ## in=a\n',
                    '[jobs]\nx\n./run $QMAP_OUT ## out=b\n./run $QMAP_OUT ## out=c\ny ## in=b\n', group=2)
    assert list(match.pairs) == [-1, 1, 0, 3] and list(match.changed) == [0, 0, 0, 1]


def test_half_of_a_hash_does_not_make_commands_equal(qmap, monkeypatch):
    """Where half of the keys of different commands are equal, as chance may have it, they are still different."""
    real = module.CommandKeys.__init__

    def half(keys, map, group):
        real(keys, map, group)
        keys.high = module.array.array('Q', bytes(8 * len(map)))
    monkeypatch.setattr(module.CommandKeys, '__init__', half)
    assert list(matched(qmap, 'a\nb\nc\nb\n', 'c\nx\nb\na\n').pairs) == [3, 2, 0, -1]


def test_jobs_that_go_and_jobs_that_come_back(qmap):
    path = prepare(qmap, ''.join(map(WORK.format, 'abcde')), 'out')
    write_journal(path, [
        {'event': 'batch', 'batch': 1, 'name': 'x', 'tasks': ['0.1', '1.1', '2.1', '3.1'], 'time': 1000.0},
        ended('0', 5), ended('1', 5, status='FAILED', error_reason='exit', exit_code=1),
        ended('2', 5, status='FAILED', error_reason='exit', exit_code=1), ended('3', 5)])
    module.write_json(module.Logs(path).driver, {
        'epoch': 1, 'host': 'login', 'pid': 1, 'born': 'x/1', 'released': True})
    result = resume(qmap, ''.join(map(WORK.format, 'ab')))
    assert '2 jobs: 1 done, 1 failed and run again; 3 no longer in the map' in result.out
    assert '2 completed' in result.out and what_ran(qmap) == ['b']
    reader = module.ExecutionReader(path)
    assert reader.counts()['COMPLETED'] == 2 and sum(reader.counts().values()) == 2 and not reader.failures.groups()
    assert [(info['id'], info['status'], info['error']) for info in reader.jobs('gone')] == [
        ('2', 'FAILED', ''), ('3', 'COMPLETED', ''), ('4', 'FAILED', 'no longer in the map')]
    summary = json.loads(qmap('info', '-l', 'out', '--summary', '--format', 'json').out)
    assert summary['counts']['FAILED'] == 0
    # Whoever names one sees it; else nothing counts them.
    assert qmap('info', 'out', '--ids', '2-3', 'status').lines[1:] == ['2\tFAILED', '3\tCOMPLETED']
    assert [info['id'] for info in reader.jobs(ids='0,3')] == ['0', '3']
    advised = json.loads(qmap('info', 'out', '--advise', '--format', 'json').out)
    assert (advised['jobs'], advised['time']['used']['jobs'], advised['failed']) == (2, 2, {})
    assert qmap('report', 'out', '-o', 'a.html').code == 0
    page = qmap.read('a.html')
    assert '2 completed' in page and '1 failed' not in page and '3 completed' not in page
    # Nobody runs them by another way.
    assert 'no jobs' in qmap('control', '-l', 'out', 'retry', '2').out + 'no jobs'
    assert module.ExecutionReader(path).left() == 0
    result = resume(qmap, ''.join(map(WORK.format, 'edcba')))
    assert '5 jobs: 3 done, 2 failed and run again' in result.out and what_ran(qmap) == ['c', 'e']
    assert qmap.statuses('out') == ['COMPLETED'] * 5


def test_what_else_changed_is_told_and_counts_if_that_is_wanted(qmap):
    text = '[params]\nmemory = 1G\n[jobs]\necho one $QMAP_REF >>ran\necho two >>ran ## cores=1\n'
    qmap.write('a.map', text)
    assert qmap('submit', 'a.map', '-l', 'out', '-q', '--set', 'ref=x', '-c', '1').code == 0
    assert what_ran(qmap) == ['one x', 'two']
    assert ' = ' not in resume(qmap, text).out and what_ran(qmap) == []    # what the command line said, holds
    new = '[pre]\ntrue\n' + text.replace('1G', '2G').replace('cores=1', 'cores=1 time=1h')
    new += 'echo new $QMAP_MEMORY >>ran\n'
    result = resume(qmap, new, '--dry-run')
    assert '3 jobs: 2 done, 1 new' in result.out and '[pre] changed' in result.out
    assert 'memory = 2G (was 1G)' in result.out and 'own parameters of 1 completed job changed' in result.out
    assert '--resume=strict' in result.out and 'dry run' in result.out
    assert os.listdir(os.path.join(qmap.path('out'), '.qmap', 'inbox')) == [] and what_ran(qmap) == []
    assert not [name for name in os.listdir(os.path.join(qmap.path('out'), '.qmap')) if name.startswith('map')]
    resume(qmap, new)
    assert what_ran(qmap) == ['new 2G']
    infos = {info['id']: info['params'] for info in module.ExecutionReader(qmap.path('out')).jobs()}
    assert [infos[id]['memory'] for id in '012'] == ['1G', '1G', '2G'] and 'time' not in infos['1']
    qmap.write('a.map', new.replace('2G', '3G'))
    result = qmap('submit', 'a.map', '-l', 'out', '--resume=strict', '--no-console')
    assert '3 jobs: 3 changed and run again' in result.out
    assert len(what_ran(qmap)) == 3 and qmap.info('out', '1')['params']['time'] == '01:00:00'


@pytest.mark.parametrize('compacted', [False, True])
def test_what_completed_before_a_change_is_known_as_such_later(qmap, monkeypatch, compacted):
    text = '[pre]\ntrue\n[params]\ntime = 1h\n[jobs]\necho one >>ran\necho two >>ran\n'
    qmap.write('a.map', text)
    assert qmap('submit', 'a.map', '-l', 'out', '-q', '-c', '1').code == 0
    assert what_ran(qmap) == ['one', 'two']
    new = text.replace('true', ':') + 'echo new >>ran\n'
    assert '(--resume=strict runs them again)' in resume(qmap, new).out and what_ran(qmap) == ['new']
    assert qmap('control', 'out', 'retry', '1').code == 0 and qmap('reattach', 'out', '-q').code == 0
    assert what_ran(qmap) == ['two']
    if compacted:
        compact(qmap, monkeypatch)
    result = resume(qmap, new + 'true\n', '--resume=strict')
    assert '4 jobs: 2 done, 1 changed and run again, 1 new' in result.out and what_ran(qmap) == ['one']
    assert '4 done' in resume(qmap, new + 'true\n', '--resume=strict').out and what_ran(qmap) == []


def test_what_the_map_says_anew_counts_more_than_an_earlier_retry(qmap):
    qmap.write('a.map', 'false ## memory=1G\nfalse\nfalse \\\n 1\n')
    assert qmap('submit', 'a.map', '-l', 'out', '-q', '-m', '2G').code == 1
    assert qmap('control', 'out', 'retry', '-m', '3G', '-t', '1h').code == 0
    assert qmap('reattach', 'out', '-q').code == 1
    text = 'false ## memory=4G\nfalse\nfalse  1 ## cores=1\n'
    resume(qmap, text, code=1)
    told = [info['params'] for info in module.ExecutionReader(qmap.path('out')).jobs()]
    assert [(params['memory'], params['time']) for params in told] == [
        ('4G', '01:00:00'), ('3G', '01:00:00'), ('3G', '01:00:00')] and told[2]['cores'] == '1'
    resume(qmap, text, '-m', '5G', code=1)
    told = [info['params'] for info in module.ExecutionReader(qmap.path('out')).jobs()]
    assert [params['memory'] for params in told] == ['4G', '5G', '5G']


@pytest.mark.parametrize('words, message', [
    (['-g', '2'], '--group 2: was 1'), (['--keep', 'failed'], '--keep failed: was all'),
    (['--on-finish', 'true'], '--on-finish')])
def test_what_cannot_be_changed_any_more(qmap, words, message):
    prepare(qmap, 'true\n', 'out')
    assert message in resume(qmap, 'true\n', *words, code=2).err


def test_slips(qmap):
    prepare(qmap, 'true\n', 'out')
    assert 'none of its commands is in the map of' in resume(qmap, 'false\n', code=2).err
    assert os.listdir(qmap.path('out', '.qmap', 'inbox')) == []
    assert 'No such file' in resume(qmap, 'true\n', code=2, logs='ouut').err
    assert 'give the logs folder' in qmap('submit', 'a.map', '--resume').err
    assert 'line 2: cores = -x: must be' in resume(qmap, '[params]\ncores = -x\n[jobs]\ntrue\n', code=2).err
    assert qmap.statuses('out') == ['UNSUBMITTED']


def test_jobs_of_several_commands(qmap):
    qmap.write('a.map', ''.join(map(WORK.format, 'abcde')))
    qmap.write('bad_c', '')
    assert qmap('submit', 'a.map', '-l', 'out', '-q', '-g', '2').code == 1
    assert what_ran(qmap) == ['a', 'b', 'c', 'e']
    os.unlink(qmap.path('bad_c'))
    result = resume(qmap, ''.join(map(WORK.format, 'hgfeac')))    # b and d are gone; a was done, and c failed
    assert '4 jobs: 2 done, 2 new; 1 no longer in the map' in result.out
    assert what_ran(qmap) == ['c', 'f', 'g', 'h']
    told = list(module.ExecutionReader(qmap.path('out')).jobs(fields=['id', 'status']))
    assert [info['id'] for info in told] == ['0', '4', '6', '8'] and {info['status'] for info in told} == {'COMPLETED'}
    assert '4 jobs: 4 done' in resume(qmap, ''.join(map(WORK.format, 'aecfgh'))).out and what_ran(qmap) == []


def test_an_execution_that_an_older_version_began(qmap):
    path = qmap.path('out')    # jobs of two commands
    move_execution(os.path.join(ROOT, 'tests', 'data', '1.0.0'), path, {
        FOLDER: os.path.dirname(path), HOST: os.uname().nodename, BOOT: module.boot_id()})
    map, before = module.Map(os.path.join(path, 'qmap_input'), submitted=True), module.ExecutionReader(path)
    lines = [map.raw(index) for index in range(len(map))]
    lines = [line for line in lines[::-1] if line != 'sleep 1000'] + ['echo more']
    qmap.write('b.map', '\n'.join(itertools.chain(before.plan.map.text(()), lines, [''])))
    result = qmap('control', 'out', 'add', 'b.map')
    assert result.code == 0 and result.out.startswith('12 jobs: 4 done, 2 failed and run again, '), result
    assert '2 new; 2 no longer in the map\n' in result.out
    after = module.ExecutionReader(path)
    assert [info['id'] for info in after.jobs('gone')] == ['06', '08'] and after.plan.map.owns == map.owns
    assert [info['id'] for info in after.jobs('completed')] == [info['id'] for info in before.jobs('completed')]
    assert [info['id'] for info in after.jobs()][-2:] == ['24', '26'] and len(after.plan.map) == 27


def test_a_living_driver_takes_new_commands_and_viewers_see_them(qmap):
    qmap.write('a.map', 'until test -e ok; do sleep 0.1; done\nsleep 300\nfalse\n' + 'true\n' * 7)
    assert qmap('submit', 'a.map', '-l', 'out', '--detach', '-r', '2').code == 0
    reader = module.ExecutionReader(qmap.path('out'))
    qmap.write('a.map', 'until test -e ok; do sleep 0.1; done\nsleep 300\n' + 'true\n' * 6 + 'echo more\n')
    result = qmap('control', 'out', 'add', 'a.map')
    assert result.out.startswith('9 jobs: ') and '1 new; ' in result.out and '2 no longer in the map' in result.out
    assert os.listdir(qmap.path('out', '.qmap', 'inbox')) == []
    reader.look()
    assert sum(reader.counts().values()) == 9 and reader.plan.map.command(10)[0] == 'echo more'
    qmap.write('ok', '')
    result = qmap('control', 'out', 'cancel', '1')
    assert until(lambda: qmap('reattach', 'out', '-q').code == 1)
    told = [info['status'] for info in module.ExecutionReader(qmap.path('out')).jobs()]
    assert told.count('COMPLETED') == 8 and qmap.read('out', '10.out') == 'more\n'


def test_from_python(qmap):
    logs, script = qmap.path('out'), qmap.path('a.map')
    qmap.write('a.map', 'echo a >>ran\necho b >>ran\n')
    assert module.submit(script, profile='local', logs=logs, working_directory=qmap.folder).wait()
    what_ran(qmap)
    qmap.write('a.map', 'echo c >>ran\necho b >>ran\n')
    execution = module.submit(script, profile='local', logs=logs, resume=True)
    assert execution.wait() and what_ran(qmap) == ['c'] and execution.counts()['COMPLETED'] == 2
    assert module.submit(['echo b >>ran', 'echo d >>ran'], profile='local', logs=logs, resume=True).wait()
    assert what_ran(qmap) == ['d']
    for wrong in ({'resume': 'x', 'logs': logs}, {'resume': True}):
        with pytest.raises(module.QMapError):
            module.submit(script, profile='local', **wrong)


def test_others_may_not_change_what_runs(qmap):
    logs = module.Logs(prepare(qmap, 'true\n', 'out'))
    order = {'do': 'add', 'map': '0' * 16 + '.map', 'params': {}, 'owner': os.geteuid() + 1}
    with pytest.raises(module.QMapError, match='only the user of the driver'):
        module.refuse_others(order, logs)
    with pytest.raises(ValueError):
        module.Plan(logs).staged_map('../qmap_input')


def test_the_console_lists_what_comes_and_no_longer_what_goes(qmap):
    path = prepare(qmap, 'a\nb\nc\n', 'out')
    write_journal(path, [
        {'event': 'batch', 'batch': 1, 'name': 'x', 'tasks': ['1.1'], 'time': 1000.0}, ended('1', 5)])
    module.write_json(module.Logs(path).driver, {
        'epoch': 1, 'host': 'login', 'pid': 1, 'born': 'x/1', 'released': True})
    session = module.Session(path)
    shown = listing.Listing(session)
    shown.marks[2] = 1
    assert len(shown.rows()) == 3
    shown.search('a')
    qmap.write('b.map', 'd\nb\na\n')
    assert qmap('control', 'out', 'add', 'b.map').out.startswith('3 jobs: 1 done, 1 not yet submitted, 1 new; 1 no')
    session.look()
    assert shown.look() and shown.count == 4 and shown.text == 'a' and list(shown.marks) == [0, 0, 1, 0]
    shown.search('')
    assert sorted(shown.rows()) == [0, 1, 3]
    shown.choose(statuses={'.'})
    assert sorted(shown.rows()) == [0, 3]


def test_ids_and_files_of_many_that_come_later():
    table = module.JobTable(5000, 1)
    table.extend(20000)
    assert [table.id(number) for number in (7, 4999, 12345)] == ['0007', '4999', '12345']
    assert [table.number(id) for id in ('0007', '12345')] == [7, 12345]
    for wrong in ('7', '00007', '012345', '20000'):
        with pytest.raises(ValueError):
            table.number(wrong)
    logs = module.Logs('/x')
    assert [logs.job(id, '.out', 5000) for id in ('0007', '12345')] == ['/x/0007.out', '/x/12/12345.out']
