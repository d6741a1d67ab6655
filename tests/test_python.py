"""From Python: programs that embed QMap, interrupt it, drop it, and end."""

import ast
import gc
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from conftest import ROOT, until

import qmap as module

#: Ten jobs that each say that they ran.
TEN = 'echo $QMAP_LINE >> ran\n' * 10

#: A program whose types .ci/run has checked.
TYPED = os.path.join(ROOT, 'tests', 'typed_program.py')


class Program:
    """Runs a Python program that embeds QMap."""

    def __init__(self, tool):
        self.tool = tool

    def start(self, text, *options):
        """Start it, in a session of its own, and return the process."""
        self.tool.write('program.py', 'import sys\nsys.path.insert(0, {!r})\nimport qmap\n'.format(ROOT)
                        + textwrap.dedent(text))
        return subprocess.Popen([sys.executable] + list(options) + ['program.py'], cwd=self.tool.folder,
                                env=self.tool.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, start_new_session=True)

    def end(self, process):
        """Wait for it, and return (exit status, lines of stdout, stderr)."""
        out, err = (text.decode() for text in process.communicate(timeout=100))
        assert 'Traceback' not in err and 'Exception ignored' not in err and 'Warning' not in err, err
        return process.returncode, out.splitlines(), err

    def __call__(self, text, *options):
        return self.end(self.start(text, *options))


@pytest.fixture
def program(qmap):
    """A function that runs a program."""
    return Program(qmap)


@pytest.mark.parametrize('slip, near', [
    ({'max_runing': 1}, 'max_running'), ({'log': 'x'}, 'logs'), ({'work_dir': '/tmp'}, 'working_directory'),
    ({'memroy': '1G'}, 'memory'), ({'sample': 'x'}, 'params={')])
def test_a_slip_in_a_keyword_is_an_error(qmap, slip, near):
    qmap.write('a.map', 'true\n')
    with pytest.raises(module.QMapError) as caught:
        module.submit(qmap.path('a.map'), profile='local', **dict({'logs': qmap.path('out')}, **slip))
    assert list(slip)[0] in str(caught.value) and near in str(caught.value)
    assert not os.path.exists(qmap.path('out'))


def test_parameters_of_ones_own(qmap):
    qmap.write('a.map', 'echo $QMAP_SAMPLE $QMAP_CORES\n')
    execution = module.submit(qmap.path('a.map'), profile='local', logs=qmap.path('out'), cores=None, memory=None,
                              params={'sample': 's 1', 'cores': 1, 'time': None})
    assert execution.wait() and qmap.read('out', '0.out') == 's 1 1\n'
    assert list(execution.jobs())[0]['params']['sample'] == 's 1'


@pytest.mark.parametrize('wrong', [
    {'max_running': 'x'}, {'max_running': 0}, {'max_running': 2.5}, {'max_running': True}, {'max_running': [1]},
    {'group': 'x'}, {'group': -1}, {'pull': 'x'}, {'pull': -1}, {'keep': 'x'}, {'keep': 1}, {'profile': 3},
    {'logs': 5}, {'cores': 'x'}, {'cores': [1]}, {'memory': {}}, {'params': 'cores=1'}, {'params': [1]},
    {'params': {'a b': 1}}, {'params': {1: 1}}])
def test_wrong_values_are_errors_of_one_kind(qmap, wrong):
    qmap.write('a.map', 'true\n')
    with pytest.raises(module.QMapError) as caught:
        module.submit(qmap.path('a.map'), **dict({'logs': qmap.path('out'), 'profile': 'local'}, **wrong))
    assert list(wrong)[0] in str(caught.value) and '\n' not in str(caught.value)
    assert not os.path.exists(qmap.path('out'))
    for wrong in (None, 3, {}, [3], ['a\nb'], ['#a'], ['[jobs]'], ['[jbs]'], ['a\\'], ['']):
        with pytest.raises(module.QMapError):
            module.submit(wrong, profile='local')
    with pytest.raises(module.QMapError):
        module.reattach(None)


def test_a_list_of_commands_is_a_map(qmap, monkeypatch):
    monkeypatch.chdir(qmap.folder)
    execution = module.submit(('echo {}'.format(number) for number in (1, 2)), profile='local', name='x')
    assert execution.wait() and os.path.basename(execution.path).startswith('x_2')
    assert [job['command'] for job in execution.jobs()] == ['echo 1', 'echo 2']
    with pytest.raises(module.QMapError) as caught:
        module.submit(['true', 'true ## memory=x'], profile='local')
    assert str(caught.value).startswith('commands, line 2: memory = x: invalid memory size')


def test_a_program_uses_all_that_is_promised_with_its_types(qmap):
    qmap.write('a.map', 'true\nexit 3\n')
    shown = subprocess.check_output([sys.executable, TYPED, 'a.map', 'out'], cwd=qmap.folder, env=qmap.environ,
                                    stderr=subprocess.STDOUT).decode().splitlines()
    # Events are those from then on: some may have happened before.
    assert set(shown[:-6]) <= {'0 RUNNING', '1 RUNNING', '0 COMPLETED', '1 FAILED'}
    assert shown[-6:] == [
        'ended True 0', 'counts 1 1', "failed [{'id': '1', 'exit_code': 3}]",
        "[] - out <qmap.Execution '{}': 1 completed, 1 failed>".format(qmap.path('out')), 'resumed True 0 0',
        '{}: no execution of QMap in this folder; give its logs folder'.format(ROOT)]


def test_all_that_programs_use_has_types_and_the_type_checker_sees_its_use():
    with open(TYPED, encoding='utf-8') as source:
        used = {node.attr for node in ast.walk(ast.parse(source.read())) if isinstance(node, ast.Attribute)}
    with open(os.path.join(ROOT, 'qmap_backends', 'manual', 'python.md'), encoding='utf-8') as source:
        told = set(re.findall(r'^\| `(\w+)\(', source.read(), re.MULTILINE))
    assert {'wait', 'counts', 'jobs', 'left'} <= told <= used and set(module.__all__) <= used
    functions = [module.submit, module.reattach] + [
        getattr(value, 'fget', value) for name, value in vars(module.Execution).items()
        if name[:1] != '_' and (callable(value) or isinstance(value, property))]
    assert len(functions) > len(told)
    for function in functions:
        arguments = set(inspect.signature(function).parameters) - {'self'}
        assert arguments | {'return'} == set(function.__annotations__), function.__name__


def test_numbers_and_paths_in_other_clothes(qmap):
    import pathlib
    qmap.write('a.map', 'true\n' * 3)
    execution = module.submit(pathlib.Path(qmap.path('a.map')), max_running='1', group=None, pull=0, profile='local',
                              logs=pathlib.Path(qmap.path('out')))
    assert execution.wait()
    assert module.reattach(pathlib.Path(qmap.path('out')), max_running='2').wait()
    with pytest.raises(module.QMapError):
        module.reattach(qmap.path('out'), max_running='x')


def test_it_shows_what_it_is_and_starts_as_often_as_one_likes(qmap):
    qmap.write('a.map', 'until [ -e {0}/go ]; do sleep 0.05; done\n'.format(qmap.folder) * 2)
    execution = module.submit(qmap.path('a.map'), profile='local', logs=qmap.path('out'), max_running=1)
    assert repr(execution).startswith("<qmap.Execution '{}': ".format(qmap.path('out')))
    assert execution.start() is execution and execution.start().working()
    until(lambda: execution.counts()['RUNNING'])
    execution.leave()
    assert execution.wait() is False and not execution.working()
    qmap.write('go', '')
    assert execution.start().wait() is True
    assert repr(execution).endswith(': 2 completed>')


def test_iterating_says_that_it_cannot_go_on(qmap):
    qmap.write('a.map', 'true\n')
    assert qmap('submit', 'a.map', '-l', 'out').code == 0
    assert qmap('control', '-l', 'out', 'retry', '-s', 'all').code == 0
    shutil.copytree(qmap.path('out'), qmap.path('copy'))
    with pytest.raises(module.QMapError):
        list(module.reattach(qmap.path('copy')))


def test_an_iterator_that_is_dropped_gathers_no_more_events(qmap):
    qmap.write('a.map', 'true\n' * 5)
    execution = module.submit(qmap.path('a.map'), profile='local', logs=qmap.path('out'))
    for event in execution:
        break
    del event
    gc.collect()
    assert execution.wait() and execution._listeners == []


INTERRUPTED = '''
    import threading
    e = qmap.submit('a.map', logs='out', profile='local', max_running=1)

    def drive():
        for turn in range(3):
            try:
                print('waiting', flush=True)
                print(e.wait(), e.left(), e.working(), flush=True)
                break
            except KeyboardInterrupt:
                print('interrupted', e.working(), flush=True)

    {}
'''


def test_waiting_survives_ctrl_c(qmap, program):
    qmap.write('a.map', 'until [ -e go ]; do sleep 0.05; done\n' * 2)
    process = program.start(INTERRUPTED.format('drive()'))
    lines = []
    for _ in range(2):
        lines.append(process.stdout.readline())
        until(lambda: os.path.exists(qmap.path('out', '0.out')))
        time.sleep(0.3)    # it is in the wait by now; where it is not, the test proves less, and does not fail
        os.kill(process.pid, signal.SIGINT)
        lines.append(process.stdout.readline())
    lines.append(process.stdout.readline())
    qmap.write('go', '')
    code, out, err = program.end(process)
    assert lines == [b'waiting\n', b'interrupted True\n'] * 2 + [b'waiting\n']
    assert (code, out, err) == (0, ['True 0 False'], '')
    assert qmap.statuses('out') == ['COMPLETED'] * 2


def test_another_thread_may_submit_and_wait(qmap, program):
    qmap.write('a.map', TEN)
    code, out, err = program('''
        import threading

        def drive():
            e = qmap.submit('a.map', logs='out', profile='local')
            print(e.wait(), e.working())

        thread = threading.Thread(target=drive)
        thread.start()
        thread.join()
        ''')
    assert (code, out, err) == (0, ['True False'], '')


@pytest.mark.parametrize('end, status', [
    ('', 0), ('sys.exit(3)', 3), ('del e', 0), ('import gc; e = None; gc.collect()', 0)])
def test_a_program_waits_for_its_executions_as_it_ends(qmap, program, end, status):
    qmap.write('a.map', 'sleep 0.2; ' + TEN)
    code, _, err = program("e = qmap.submit('a.map', logs='out', profile='local', max_running=2)\n" + end)
    assert code == status and len(qmap.read('ran').split()) == 10
    assert err.startswith('qmap: {}: waiting for '.format(qmap.path('out'))) and err.count('\n') == 1


def test_a_program_that_has_left_does_not_wait_for_what_was_not_submitted(qmap, program):
    qmap.write('a.map', 'sleep 2; ' + TEN)
    code, _, err = program('''
        e = qmap.submit('a.map', logs='out', profile='local', max_running=1)
        for event in e:
            if event['status'] == 'RUNNING':
                e.leave()
        ''')
    assert (code, err) == (0, '') and len(qmap.read('ran').split()) < 10


def test_ctrl_c_ends_the_waiting_at_the_end(qmap, program):
    qmap.write('a.map', 'until [ -e go ]; do sleep 0.05; done\n' * 5)
    process = program.start("qmap.submit('a.map', logs='out', profile='local', max_running=1)")
    first = process.stderr.readline()
    until(lambda: 'RUNNING' in qmap.statuses('out'))
    os.kill(process.pid, signal.SIGINT)
    until(lambda: json.loads(qmap.read('out', '.qmap', 'driver.json')).get('released'))
    qmap.write('go', '')
    code, _, err = program.end(process)
    assert b'waiting for ' in first and err == '' and code == 0
    assert 'UNSUBMITTED' in qmap.statuses('out')
    assert qmap('reattach', '-l', 'out').code == 0


def test_a_viewer_does_not_wait_as_it_ends(qmap, program):
    qmap.write('a.map', 'until [ -e go ]; do sleep 0.05; done\n')
    driver = qmap.start('submit', 'a.map', '-l', 'out', '--no-console')
    until(lambda: 'RUNNING' in qmap.statuses('out') if os.path.exists(qmap.path('out', '0.out')) else False)
    code, out, err = program('''
        import time
        e = qmap.reattach('out')
        while not e.viewing:
            time.sleep(0.05)
        print(e.left())
        ''')
    qmap.write('go', '')
    driver.communicate(timeout=60)
    assert (code, out, err, driver.returncode) == (0, ['1'], '', 0)


def test_a_fork_of_a_program_does_not_wait(qmap, program):
    qmap.write('a.map', 'until [ -e go ]; do sleep 0.05; done\n')
    code, out, _ = program('''
        import os
        e = qmap.submit('a.map', logs='out', profile='local')
        if os.fork() == 0:
            print(e.working(), e.wait(), flush=True)
            sys.exit(5)
        print(os.WEXITSTATUS(os.wait()[1]), flush=True)
        open('go', 'w').close()
        e.wait()
        ''', '-W', 'ignore')    # Python warns of forks beside threads
    assert (code, out) == (0, ['False False', '5'])


@pytest.mark.parametrize('way', [
    'e.wait()', 'list(e)', 'e.wait(); del e', 'e.wait(); list(e.jobs())', 'e = [e]; e[0].wait(); e.append(e); del e',
    'e.wait(); qmap.reattach("out").wait()', 'e.wait(); qmap.Execution("out").counts()', 'e.leave(); e.wait()',
    'e.wait(); e.start().wait()', 'e.wait(); [list(qmap.Execution("out").jobs()) for _ in range(3)]'])
def test_no_file_is_left_open(qmap, program, way):
    qmap.write('a.map', 'true\nfalse\n')
    code, _, err = program('''
        import gc
        e = qmap.submit('a.map', logs='out', profile='local')
        {}
        gc.collect()
        '''.format(way), '-W', 'error')
    assert (code, err) == (0, '')
