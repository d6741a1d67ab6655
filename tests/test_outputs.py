"""What jobs make, and for what executions wait: out=, --skip existing, --after."""

import json
import os
import re

import pytest
from conftest import until
from module_submit import prepare
from test_control import control
from test_runner import RUNNERS, end_of, start
from test_runner import prepare as prepare_runner

import qmap as module


@pytest.fixture
def submit(qmap, monkeypatch):
    """Return a function that submits commands from the test's folder, and returns their Execution."""
    monkeypatch.chdir(qmap.folder)
    monkeypatch.setattr(module.Gate, 'LOOK', 0.1)
    return lambda commands, logs, **options: module.submit(commands, logs=logs, profile='local', **options)


def told(execution, *fields):
    """Return what is told of all jobs, as a list of tuples."""
    return [tuple(job[field] for field in fields) for job in execution.jobs('all', fields)]


@pytest.mark.once
@pytest.mark.parametrize('how', RUNNERS)
def test_a_runner_says_which_output_is_missing_or_empty(tmp_path, how):
    cases = [('echo x >> "$X"', 2), ('true', 1), ('echo x >> "$X"; echo y > b', None), ('mkdir "$X"; echo > b', 1),
             ('mkdir "$X" b; touch "$X/.a" b/c', None), ('exit 3', None), (': > "$X"', 1),
             ('setsid sh -c \'sleep 0.5; echo x > "$X"; echo y > b\' &', None)]    # it is seen a little later
    begun = []
    for number, (command, lacks) in enumerate(cases):
        logs = module.Logs(str(tmp_path / str(number)))
        logs.create()
        paths = [os.path.join(logs.path, name) for name in ("a \u00e9 *'$x\\", 'b')]
        command = 'cd "{}"; export X={}; {}\n'.format(logs.path, module.shlex.quote(paths[0]), command)
        limits = ' >'.join(['0'] + list(map(module.in_one_word, paths)))
        begun.append((logs, start(prepare_runner(logs, how, command, limits=limits)), lacks))
    for logs, process, lacks in begun:
        process.wait(timeout=60)
        assert end_of(logs).get('lacks') == lacks, end_of(logs)


def test_a_job_without_its_output_has_failed(submit, qmap):
    execution = submit(['echo x > $QMAP_OUT ## out=${QMAP_LINE}.txt', 'true ## out=b/b.txt sample=S2', 'true',
                        'mkdir c; echo 1 > c/d; echo 2 > "e,f" ## \'out=c,e\\,f\'', 'exit 3 ## out=g'], 'out')
    assert execution.wait()
    assert told(execution, 'status', 'error_reason', 'exit_code') == [
        ('COMPLETED', '', 0), ('FAILED', 'output', 0), ('COMPLETED', '', 0), ('COMPLETED', '', 0),
        ('FAILED', 'exit', 3)]
    assert qmap.read('0.txt') == 'x\n'
    assert '  1 job: no output: b/b.txt is missing or empty  (id 1 sample=S2)' in qmap('info', 'out', '--summary').lines
    assert qmap('info', 'out', '-s', 'output', 'error').lines[1:] == ['1\tb/b.txt is missing or empty']
    assert 'true ## out=b/b.txt sample=S2 line=1' in qmap('info', 'out').lines
    os.mkdir(qmap.path('b'))
    qmap.write('b/b.txt', 'there')
    control(qmap, 'retry', '-s', 'output')
    resumed = module.reattach('out')
    assert resumed.wait() and resumed.counts()['FAILED'] == 1


def test_what_an_earlier_version_began_may_call_a_parameter_so(qmap):
    path = prepare(qmap, 'true ## out=$HOME/none\n'.replace('$HOME', 'x'), 'out')
    info = module.read_json(os.path.join(path, 'execution.info'))
    del info['outputs']
    module.write_json(os.path.join(path, 'execution.info'), info)
    assert module.reattach(path).wait() and qmap.statuses('out') == ['COMPLETED']


@pytest.mark.parametrize('outputs, inputs, made', [
    ([('o', 5, 'x')], [], True), ([('o', 5, '')], [], False), ([('o', 5, None)], [], False), ([], [], True),
    ([('o', 5, 'x')], [('i', 5, 'x')], True), ([('o', 5, 'x')], [('i', 6, '')], False),
    ([('o', 5, 'x')], [('i', 4, None)], False), ([('o', 9, 'x'), ('p', 5, 'x')], [('i', 6, 'x')], False),
    ([('o', 9, 'x'), ('p', 9, 'x')], [('i', 6, 'x'), ('j', 7, 'x')], True)])
def test_what_is_made_is_there_and_no_older_than_what_it_is_made_of(tmp_path, outputs, inputs, made):
    for name, seconds, text in outputs + inputs:
        if text is not None:
            (tmp_path / name).write_text(text)
            os.utime(str(tmp_path / name), (seconds, seconds))
    outputs, inputs = ([str(tmp_path / name) for name, _, _ in paths] for paths in (outputs, inputs))
    assert module.is_made(outputs, inputs) == made
    os.mkdir(str(tmp_path / 'folder'))
    assert not module.is_made([str(tmp_path / 'folder')], [])
    (tmp_path / 'folder' / 'x').write_text('')
    assert module.is_made([str(tmp_path / 'folder')], [])


def test_jobs_whose_outputs_are_there_are_skipped_unless_somebody_retries_them(submit, qmap):
    qmap.write('0', 'x')
    execution = submit(['echo new > {0} ## out={0}'.format(number) for number in range(3)] + ['true'], 'out',
                       skip='existing')
    assert execution.wait() and [qmap.read(str(number)) for number in range(3)] == ['x', 'new\n', 'new\n']
    assert told(execution, 'status', 'reason', 'retries', 'exit_code')[:2] == [
        ('COMPLETED', 'skipped: its outputs exist', 0, None), ('COMPLETED', '', 0, 0)]
    for words in [], ['--err']:
        assert qmap('info', 'out', '--log', '0', *words).err == \
            'qmap: error: job 0 has no output: skipped: its outputs exist\n'
    assert [qmap.info('out', '0')[field] for field in ('status', 'reason', 'attempts')] == [
        'COMPLETED', 'skipped: its outputs exist', []]
    assert qmap('info', 'out', '-s', 'skipped', 'id').lines[1:] == ['0\tCOMPLETED']
    assert qmap('info', 'out', '--summary').lines[0].startswith('4 jobs: 4 completed (1 skipped)')
    assert json.loads(qmap('info', 'out', '--summary', '--format', 'json').out)['skipped'] == 1
    assert qmap('info', 'out', '--advise').code == 0 and qmap('report', 'out', '-o', 'r.html').code == 0
    assert '4 of 4; 1 skipped, as outputs exist' in qmap.read('r.html')
    control(qmap, 'retry', '0,1')
    assert not os.path.exists(qmap.path('out', '0.info'))
    assert control(qmap, 'cancel', '0').startswith('retry of 1 job withdrawn: 1 completed as before\n')
    assert qmap.info('out', '0')['status'] == 'COMPLETED'
    assert module.reattach('out').wait() and qmap.read('0') == 'x'
    control(qmap, 'retry', '-s', 'skipped')
    assert module.reattach('out').wait() and qmap.read('0') == 'new\n'


def test_each_command_of_a_job_has_its_own_outputs(submit, qmap):
    commands = ['echo $QMAP_OUT > $QMAP_OUT ## out=a', 'echo $QMAP_IN > b ## out=b in=a', 'true ## out=c',
                'echo d > d', 'echo e > e ## out=', 'echo f > f ## out=f sample=6']
    execution = submit(commands, 'out', group=2, params={'out': '${QMAP_LINE}'})
    qmap.write('3', 'made')
    assert execution.wait() and qmap.read('a') == 'a\n' and qmap.read('b') == 'a\n'
    assert '(after ##: sample) are ignored' in execution.warnings[0]
    assert told(execution, 'status', 'error_reason', 'error') == [
        ('COMPLETED', '', ''), ('FAILED', 'output', 'c is missing or empty'), ('COMPLETED', '', '')]
    assert qmap.info('out', '2')['commands'] == {'count': 2, 'done': 0}
    qmap.write('c', 'made')
    os.unlink(qmap.path('3'))
    control(qmap, 'retry')
    assert module.reattach('out').wait()
    assert qmap.info('out', '2')['error'] == '3 is missing or empty'
    assert qmap.info('out', '2')['commands'] == {'count': 2, 'done': 1}    # it is told which one is missing
    assert [line for line in qmap('info', 'out').lines if 'line=' in line] == ['echo d > d ## line=3']


def test_a_job_of_several_commands_is_skipped_when_all_of_them_have_made_theirs(submit, qmap):
    for name in 'abd':
        qmap.write(name, '')
        qmap.write(name, 'x')
    execution = submit(['echo {0}{0} > {0} ## out={0}'.format(name) for name in 'abcd'] + ['echo b > e', ': ## out=b'],
                       'out', group=2, skip='existing')
    assert execution.wait() and [qmap.read(name) for name in 'abcde'] == ['x', 'x', 'cc\n', 'dd\n', 'b\n']
    assert [job['id'] for job in execution.jobs('skipped')] == ['0']


def test_an_older_execution_that_goes_on_with_another_map_knows_outputs(qmap):
    path = prepare(qmap, 'true\ntrue ## out=nope\n', 'out')
    info = module.read_json(os.path.join(path, 'execution.info'))
    del info['outputs'], info['skip'], info['after']
    module.write_json(os.path.join(path, 'execution.info'), info)
    qmap.write('b.map', 'true\ntrue ## out=nope\necho x > made ## out=made\n')
    result = qmap('submit', 'b.map', '-l', 'out', '--resume', '-q')
    assert result.code == 1 and qmap.statuses('out') == ['COMPLETED', 'FAILED', 'COMPLETED']


def test_outputs_of_new_commands_are_looked_for_as_well(submit, qmap):
    execution = submit(['until [ -e go ]; do sleep 0.05; done', 'true ## out=a'], 'out', skip='existing')
    qmap.write('new', 'x')
    qmap.write('b.map', 'until [ -e go ]; do sleep 0.05; done\ntrue ## out=a\necho y > new ## out=new\necho z > z\n')
    assert '2 new' in qmap('control', 'out', 'add', 'b.map').out
    until(lambda: execution.counts()['COMPLETED'] == 2)
    qmap.write('go', '')
    assert execution.wait() and qmap.read('new') == 'x' and [job['id'] for job in execution.jobs('skipped')] == ['2']


def test_what_goes_on_with_another_map_may_wait_and_skip(submit, qmap):
    other = submit(['until [ -e go ]; do sleep 0.05; done'], 'other')
    assert submit(['true ## out=a', 'false'], 'out').wait()
    for path in 'ab':
        qmap.write(path, 'x')
    commands = ['true ## out=a', 'false', 'echo y > b ## out=b', 'echo c > c ## out=c']
    with pytest.raises(module.QMapError, match='is this execution itself'):
        submit(commands, 'out', resume=True, after='out')
    execution = submit(commands, 'out', resume=True, after='other', skip='existing')
    until(lambda: 'waiting for' in execution._session.trouble)
    execution.leave()
    execution.wait()
    assert module.ExecutionReader('out').awaited == [qmap.path('other')]
    execution.start()    # a new driver waits, too
    until(lambda: 'waiting for' in execution._session.trouble)
    assert not os.path.exists(qmap.path('c'))
    qmap.write('go', '')
    assert other.wait() and execution.wait() and qmap.read('b') == 'x' and qmap.read('c') == 'c\n'
    assert told(execution, 'status') == [('COMPLETED',), ('FAILED',), ('COMPLETED',), ('COMPLETED',)]
    assert [job['id'] for job in execution.jobs('skipped')] == ['2']


def test_an_execution_waits_for_others(submit, qmap):
    first = submit(['until [ -e go ]; do sleep 0.05; done', 'exit 1'], 'first')
    second = submit(['true'], 'second', after='first')
    third = submit(['true'], 'third', after_any=['first'])
    until(lambda: first.counts()['FAILED'] and '1 failed' in second._session.trouble)
    assert re.match(r'waiting for (\S*/)?first: 0 of 2 jobs completed, 1 failed$', second._session.trouble)
    assert second.counts()['UNSUBMITTED'] == third.counts()['UNSUBMITTED'] == 1
    assert 'it waits for other executions; to start now: ' in qmap('info', 'second', '--summary').out
    qmap.write('go', '')
    assert first.wait() and third.wait()
    until(lambda: 'retry (control -l' in second._session.trouble)
    second.leave()
    second.wait()
    assert second.start().wait(0.5) is False    # a new driver waits, too
    assert qmap('control', 'second', 'start').lines == ['no longer waiting: 1 job to submit']
    assert second.wait() and second.counts()['COMPLETED'] == 1
    assert qmap('control', 'third', 'start').lines == ['not waiting for other executions']


def test_a_retry_of_the_other_counts(submit, qmap):
    first = submit(['[ -e go ]'], 'first')
    assert first.wait()
    second = submit(['true'], 'second', after=['first'])
    until(lambda: second._session.trouble)
    qmap.write('go', '')
    control_first = qmap('control', 'first', 'retry')
    assert control_first.code == 0 and module.reattach('first').wait() and second.wait()


@pytest.mark.parametrize('words, error', [
    (['--after', 'nope'], 'nope: No such file or directory'),
    (['--after', 'a.map'], 'a.map: Not a directory'),
    (['--after-any', '.,nope'], 'no execution of QMap in this folder'),
    (['--skip', 'all'], '--skip: all: unknown value; known: existing'),
    (['--set', 'out=~/x'], 'out = ~/x: no shell reads this'),
    (['b.map'], 'only one map')])
def test_slips_are_errors(qmap, words, error):
    qmap.write('a.map', 'true\n')
    qmap.write('b.map', 'true ## in=$HOME/x\n')
    result = qmap('submit', 'a.map', *words)
    assert result.code == 2 and error in result.err and result.err.count('\n') == 1
    assert 'b.map, line 1: in = $HOME/x: no shell reads this' in qmap('submit', 'b.map').err
    assert not [name for name in os.listdir(qmap.folder) if name.startswith(('a_', 'b_'))]


def test_who_skips_nothing_is_told(qmap):
    qmap.write('a.map', 'true\n')
    told = qmap('submit', 'a.map', '--skip', 'existing', '--dry-run').err
    assert '--skip existing: no command names its outputs' in told
