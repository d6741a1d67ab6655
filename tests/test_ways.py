"""The ways to have QMap: the checkout, an installation, a lone file, a bundle; and from Python."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import EXECUTORS, QMAP, ROOT, at_executor, until

import qmap as module

MAP = 'echo ${QMAP_LINE}\n' * 3


def works(qmap):
    """See the five tools work."""
    qmap.write('a.txt', 'x')
    assert qmap('template', 'cat *.txt', '-f', 'a.map').code == 0
    assert qmap('submit', 'a.map', '--logs', 'out').code == 0
    assert qmap('info', '-l', 'out', '-s', 'all', 'status').lines[1:] == ['0\tCOMPLETED']
    assert qmap('reattach', '-l', 'out').code == 0
    assert qmap('run', '-q', 'echo hi').out == 'hi\n'
    assert qmap('--version').out == 'qmap {}\n'.format(module.__version__)


@pytest.fixture
def lone(qmap):
    """A lone file, on a Python without any package, in a folder of its own."""
    shutil.copy(QMAP, qmap.path('qmap.py'))
    # -I -S: no site-packages, hence no filelock, and nothing of ours
    qmap.program = [sys.executable, '-I', '-S', 'qmap.py']
    return qmap


@pytest.fixture(params=EXECUTORS)
def lone_at(request, lone):
    """A lone file on a machine that has this scheduler, which nobody names."""
    at_executor(lone, request.param)
    del lone.environ['QMAP_PROFILE']
    hide_other_schedulers(lone, module.COMMANDS.get(request.param))
    lone.write('default.conf', 'poll = 2\n')
    lone.executor = request.param
    lone.found = {'local': 'no scheduler found', 'slurm': 'found sbatch', 'sge': 'found qsub',
                  'lsf': 'found bsub'}[request.param]
    return lone


def hide_other_schedulers(qmap, own):
    """Take the submission commands of schedulers out of the PATH, but for one, whatever this machine has."""
    fakes, folders = [], []
    for folder in qmap.environ['PATH'].split(':'):
        (fakes if folder.startswith(ROOT) else folders).append(folder)
    os.mkdir(qmap.path('commands'))
    for folder in filter(os.path.isdir, folders):
        for name in os.listdir(folder):
            if name not in set(module.COMMANDS.values()) - {own} and not os.path.lexists(qmap.path('commands', name)):
                os.symlink(os.path.join(folder, name), qmap.path('commands', name))
    qmap.environ['PATH'] = ':'.join(fakes + [qmap.path('commands')])


def test_a_lone_file_on_a_bare_python(lone):
    works(lone)


def test_a_lone_file_drives_the_scheduler_that_is_there(lone_at):
    works(lone_at)
    lone_at.write('b.map', 'echo out; echo err >&2\nexit 3\nkill -9 $$\necho $QMAP_CORES $PWD\n')
    result = lone_at('submit', 'b.map', '-c', '1', '-t', '10m', '--logs', 'ends')
    assert result.code == 1 and result.lines[0] == 'profile: {} ({})'.format(lone_at.executor, lone_at.found)
    rows = [line.split('\t') for line in lone_at(
        'info', '-l', 'ends', '-s', 'all', 'status', 'exit_code', 'error_reason', 'executor_id').lines[1:]]
    assert [row[1:4] for row in rows] == [['COMPLETED', '0', ''], ['FAILED', '3', 'exit'],
                                          ['FAILED', '137', 'signal'], ['COMPLETED', '0', '']]
    assert all(row[4] for row in rows)
    assert lone_at.read('ends', '0.out') == 'out\n' and lone_at.read('ends', '0.err') == 'err\n'
    assert lone_at.read('ends', '3.out') == '1 {}\n'.format(lone_at.folder)
    assert lone_at('run', '-q', 'exit 5').code == 5


def test_a_lone_file_picks_up_what_a_killed_one_has_left(lone_at):
    lone_at.write('a.map', 'echo ran >>ran_${QMAP_LINE}; until [ -e go ]; do sleep 0.2; done\n' * 3)
    driver = lone_at.start('submit', 'a.map', '-r', '2', '--logs', 'out')
    until(lambda: len([name for name in os.listdir(lone_at.folder) if name.startswith('ran_')]) == 2)
    until(lambda: lone_at.statuses('out').count('RUNNING') == 2)
    driver.kill()
    driver.communicate()
    again = lone_at.start('reattach', '-l', 'out')
    until(lambda: '"pid": {}'.format(again.pid) in lone_at.read('out', '.qmap', 'driver.json'))
    cancelled = lone_at('control', '-l', 'out', 'cancel', '0')
    assert cancelled.code == 0 and cancelled.out == 'cancelling 1 submitted job\n', cancelled
    until(lambda: lone_at.statuses('out')[0] == 'FAILED', 200)    # the grace of a queue that has no accounts
    lone_at.write('go', '')
    out, _ = again.communicate(timeout=120)
    assert again.returncode == 1, out
    rows = [line.split('\t')[1:] for line in lone_at(
        'info', '-l', 'out', '-s', 'all', 'status', 'error_reason').lines[1:]]
    assert rows == [['FAILED', 'cancelled']] + [['COMPLETED', '']] * 2
    assert [lone_at.read('ran_{}'.format(number)) for number in range(3)] == ['ran\n'] * 3


def test_a_lone_file_says_once_what_the_folder_would_add(lone_at):
    lone_at.write('a.map', MAP)
    lacks = 'no console, no report' if lone_at.executor == 'local' else 'no console, no report, no accounting'
    note = ('qmap: note: {}: the folder qmap_backends is not beside qmap.py; copy it there, or make one file with '
            'everything (`qmap bundle FILE` where both are)\n'.format(lacks))
    assert lone_at('submit', 'a.map', '--logs', 'out').err == note
    assert lone_at('reattach', '-l', 'out').err == note
    assert lone_at('submit', 'a.map', '--logs', 'more', '-q').err == ''
    assert lone_at('info', '-l', 'out', '-s', 'all', 'status').err == ''
    result = lone_at('report', '-l', 'out')
    assert result.code == 2 and result.err == note.replace('note: ' + lacks, 'error: report')


def test_a_command_of_several_tasks_needs_more_than_a_lone_file_at_slurm(lone):
    lone.write('many.conf', 'executor = slurm\n[params]\ntasks = 2\n')
    result = lone('run', '-p', 'many', 'hostname')
    assert result.code == 2
    assert result.err.startswith('qmap: error: Slurm: a command of several tasks or nodes: the folder qmap_backends is')


@pytest.mark.slow
def test_a_bundle_carries_everything_to_run_and_to_import(qmap):
    result = qmap('bundle', 'all.py')
    assert result.code == 0 and 'qmap_backends' in result.out
    os.mkdir(qmap.path('elsewhere'))
    shutil.move(qmap.path('all.py'), qmap.path('elsewhere', 'all.py'))
    qmap.folder = qmap.path('elsewhere')
    qmap.program = [sys.executable, '-I', '-S', 'all.py']
    works(qmap)
    has_its_tools(qmap)
    code = 'import sys; sys.path.insert(0, "."); import all as q, qmap_backends as b; print(q.__version__, b)'
    assert subprocess.check_output([sys.executable, '-I', '-S', '-c', code], cwd=qmap.folder).decode().startswith(
        module.__version__)
    # A bundle makes the same bundle again.
    assert qmap('bundle', 'again.py').code == 0
    assert qmap.read('again.py') == qmap.read('all.py')


def installed(qmap, name='home', file='qmap.py'):
    """Copy QMap into a folder, and return the path of its file there."""
    os.makedirs(qmap.path(name))
    shutil.copytree(os.path.join(ROOT, 'qmap_backends'), qmap.path(name, 'qmap_backends'),
                    ignore=shutil.ignore_patterns('__pycache__'))
    return shutil.copy(QMAP, qmap.path(name, file))


def has_its_tools(qmap):
    """See tools work that lie beside qmap.py, and take from it what they need."""
    qmap.write('tools.map', 'echo out; echo err >&2; false\n')
    said = qmap('submit', 'tools.map', '--logs', 'tools', '--progress', 'json')
    assert said.code == 1 and '"error": "err"' in said.out
    assert qmap('report', '-l', 'tools').code == 0
    assert qmap('info', '-l', 'tools', '--log', '0').out == 'out\n'
    assert '1 job: ' not in qmap('info', '-l', 'tools', '--advise').out
    assert 'complete -o default' in qmap('completion', 'bash').out
    assert 'did you mean qmap submit?' in qmap('submti').err
    assert 'qmap_backends' in qmap('bundle', 'bundle.py', '--force').out
    os.mkdir(qmap.path('v04'))
    qmap.write('v04/qmap_input', 'true\n')
    qmap.write('v04/0.info', '{"status": "COMPLETED"}')
    assert qmap('info', '-l', 'v04', '-s', 'all', 'status').lines == ['id\tstatus', '0\tCOMPLETED']
    assert 'sbatch' in qmap('submit', 'tools.map', '-p', 'slurm', '--dry-run').out
    result = qmap('submit', 'tools.map', '--logs', 'again')
    assert result.code == 1 and 'submitted before' in result.out    # told by the tool that looks for executions


#: How it may be started, in a folder in which a module lies that is no QMap, but has its name.
STARTED = {
    'script': ['{home}/qmap.py'], 'isolated': ['-I', '{home}/qmap.py'], 'renamed': ['{home}/other.py'],
    'link': ['{home}/link'], 'module': ['-m', 'home.qmap'], 'renamed module': ['-m', 'home.other'],
    'script, safe path': ['{home}/qmap.py'], 'module, safe path': ['-m', 'home.qmap'],
    'imported': ['-c', 'import sys; sys.path[0] = {home!r}; import qmap; sys.exit(qmap.main())'],
    'renamed, imported': ['-c', 'import sys; sys.path.append({home!r}); import other; sys.exit(other.main())'],
    'in a package': ['-c', 'import sys; from home import qmap; sys.exit(qmap.main())'],
    'in a package of its name': [
        '-c', 'import sys; sys.path[0] = {above!r}; from qmap import qmap; sys.exit(qmap.main())'],
    'after the other': ['-c', 'import sys; sys.modules["qmap"] = sys; from home import qmap; sys.exit(qmap.main())'],
    'by its path': [
        '-c', 'import sys; from importlib import util; '
        'spec = util.spec_from_file_location("qmap", {home!r} + "/qmap.py"); '
        'qmap = util.module_from_spec(spec); spec.loader.exec_module(qmap); sys.exit(qmap.main())']}


@pytest.mark.twice
@pytest.mark.parametrize('way', sorted(STARTED))
def test_the_modules_beside_it_take_what_they_need_from_the_file_that_was_started(qmap, way):
    home = os.path.dirname(installed(qmap))
    shutil.copy(QMAP, os.path.join(home, 'other.py'))
    os.symlink('qmap.py', os.path.join(home, 'link'))
    os.mkdir(qmap.path('above'))
    os.symlink(home, qmap.path('above', 'qmap'))
    qmap.write('qmap.py', 'raise SystemExit("this is no QMap")\n')
    if 'safe path' in way:
        qmap.environ.update(PYTHONSAFEPATH='1', PYTHONPATH=qmap.folder)
    qmap.program = [sys.executable] + [word.format(home=home, above=qmap.path('above')) for word in STARTED[way]]
    has_its_tools(qmap)


def test_a_module_of_the_same_name_in_the_repository_keeps_it(qmap):
    home = os.path.dirname(installed(qmap, file='jobs.py'))
    qmap.write('home/qmap.py', 'MAP = "of the quality"\n')
    for first, second in (('jobs', 'qmap'), ('qmap', 'jobs')):
        code = 'import {}, {}; jobs.load_tool("report", "report"); print(qmap.MAP)'.format(first, second)
        assert subprocess.check_output([sys.executable, '-c', code], cwd=home).decode() == 'of the quality\n'


@pytest.mark.parametrize('name', ['two', 'link'])
@pytest.mark.parametrize('load', ['load_tool("report", "report")', 'load_backend("slurm")'])
def test_two_copies_in_a_process_do_not_mix(qmap, load, name):
    one, two = (installed(qmap, folder) for folder in ('one', 'two'))
    os.symlink('one', qmap.path('link'))
    code = ('from one import qmap as one; from {} import qmap as two; assert one.QMapError is not two.QMapError\n'
            'assert one.{}\n'
            'try: two.{}\n'
            'except two.QMapError as error: print(error)\n'
            'assert one.{}').format(name, *[load] * 3)
    assert subprocess.check_output([sys.executable, '-c', code], cwd=qmap.folder).decode() == (
        '{}: another copy of QMap is in use in this process, {}; import only one of them\n'.format(
            two if name == 'two' else one, one))


def test_a_folder_of_another_release_is_an_error_of_one_line(qmap):
    path = installed(qmap)
    with open(qmap.path('home', 'qmap_backends', 'tools', 'report.py'), 'a') as target:
        target.write('from qmap import of_another_release\n')
    qmap.program[1] = path
    result = qmap('report', '-l', 'out')
    assert result.code == 2 and result.err.count('\n') == 1
    assert result.err.startswith("qmap: error: report: cannot import name 'of_another_release'")
    assert result.err.endswith('; copy qmap.py and qmap_backends together, of one release\n')
    qmap.write('home/qmap_backends/slurm.py', 'class BACKEND:\n    """As of a release before."""\n')
    qmap.write('a.map', 'true\n')
    assert qmap('submit', 'a.map', '-p', 'slurm').err == (
        'qmap: error: slurm: {}/home/qmap_backends/slurm.py is of another release; copy qmap.py and qmap_backends '
        'together, of one release\n'.format(qmap.folder))
    for name in ('__init__', 'tools/report'):
        qmap.write('home/qmap_backends/{}.py'.format(name), '')
    assert qmap('report', '-l', 'out').err == (
        'qmap: error: {}: another copy of QMap is in use in this process, {}; import only one of them\n'.format(
            path, qmap.path('home', 'qmap_backends', '__init__.py')))


def test_a_bundle_overwrites_nothing_by_itself(qmap):
    qmap.write('a.map', 'true\n')
    result = qmap('bundle', 'a.map')
    assert result.code == 2 and 'a.map already exists' in result.err and qmap.read('a.map') == 'true\n'
    assert qmap('bundle', 'a.map', '--force').code == 0 and 'PAYLOAD' in qmap.read('a.map')


def test_a_bundle_cannot_be_made_of_a_lone_file(qmap):
    shutil.copy(QMAP, qmap.path('qmap.py'))
    qmap.program = [sys.executable, '-I', '-S', 'qmap.py']
    result = qmap('bundle', 'all.py')
    assert result.code == 2 and 'qmap_backends' in result.err and not os.path.exists(qmap.path('all.py'))


@pytest.mark.slow
def test_pip_install(qmap):
    source = qmap.path('source')
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns('.git', '.tests', '__pycache__', 'build', '*.egg-info'))
    subprocess.check_call([sys.executable, '-m', 'venv', '--system-site-packages', qmap.path('venv')])
    # The environment of the tests lends setuptools and filelock, so that nothing need be fetched.
    site = subprocess.check_output([sys.executable, '-c', 'import sysconfig; print(sysconfig.get_paths()["purelib"])'])
    lib = subprocess.check_output([qmap.path('venv', 'bin', 'python'), '-c',
                                   'import sysconfig; print(sysconfig.get_paths()["purelib"])']).decode().strip()
    with open(os.path.join(lib, 'lend.pth'), 'w') as target:
        target.write(site.decode())
    subprocess.check_output([qmap.path('venv', 'bin', 'python'), '-m', 'pip', 'install', '-q', '--no-build-isolation',
                             '--no-index', '--no-deps', source], stderr=subprocess.STDOUT)
    qmap.program = [qmap.path('venv', 'bin', 'qmap')]
    works(qmap)
    assert '{{?=name}}' in qmap('help', 'wildcards').out
    assert 'to rerun what failed: qmap info' in rerun_of_a_failure(qmap)


def rerun_of_a_failure(qmap):
    qmap.write('bad.map', 'false\n')
    return qmap('submit', 'bad.map').out


def test_from_python(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('QMAP_PROFILE', 'local')
    (tmp_path / 'jobs.map').write_text('true\nexit 3\nsleep 0.2\n')
    import signal
    before = signal.getsignal(signal.SIGINT)
    execution = module.submit('jobs.map', max_running=4, logs='out', cores=1)
    events = list(execution)
    assert execution.wait() is True
    assert dict(execution.counts()) == dict(UNSUBMITTED=0, PENDING=0, RUNNING=0, COMPLETED=2, FAILED=1, OTHER=0)
    assert [job['id'] for job in execution.jobs(status='failed')] == ['1']
    assert [job['params']['cores'] for job in execution.jobs()] == ['1'] * 3
    assert {event['job']: event['status'] for event in events}['1'] == 'FAILED'
    assert module.reattach('out').wait() is True
    assert capfd.readouterr() == ('', '')
    assert signal.getsignal(signal.SIGINT) is before


def test_errors_in_python_are_of_one_kind(tmp_path):
    with pytest.raises(module.QMapError):
        module.submit(str(tmp_path / 'no.map'), profile='local')
    with pytest.raises(module.QMapError):
        module.reattach(str(tmp_path))


def test_leaving_and_coming_back_in_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'jobs.map').write_text('until [ -e go ]; do sleep 0.05; done\n' * 2)
    execution = module.submit('jobs.map', max_running=1, logs='out', profile='local')
    for event in execution:
        if event['status'] == 'RUNNING':
            execution.leave()
    assert execution.wait() is False
    (tmp_path / 'go').write_text('')
    again = module.reattach('out')
    assert again.wait() is True and again.counts()['COMPLETED'] == 2


def test_help_fits_a_screen(qmap):
    for tool in ([], ['template'], ['submit'], ['reattach'], ['info'], ['run'], ['bundle']):
        result = qmap(*tool + ['--help'])
        assert result.code == 0 and len(result.lines) <= (56 if tool == ['submit'] else 40)
