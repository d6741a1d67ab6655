"""The ways to have QMap: the checkout, an installation, a lone file, a bundle; and from Python."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import QMAP, ROOT

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


def test_a_lone_file_on_a_bare_python(qmap):
    shutil.copy(QMAP, qmap.path('qmap.py'))
    # -I -S: no site-packages, hence no filelock, and nothing of ours
    qmap.program = [sys.executable, '-I', '-S', 'qmap.py']
    works(qmap)


def test_a_lone_file_does_not_flood_the_login_node_of_a_cluster(qmap):
    shutil.copy(QMAP, qmap.path('qmap.py'))
    qmap.program = [sys.executable, '-I', '-S', 'qmap.py']
    os.mkdir(qmap.path('bin'))
    qmap.write('bin/sbatch', '#!/bin/sh\n')
    os.chmod(qmap.path('bin', 'sbatch'), 0o755)
    qmap.environ['PATH'] = qmap.path('bin') + ':' + qmap.environ['PATH']
    del qmap.environ['QMAP_PROFILE']
    qmap.write('a.map', MAP)
    result = qmap('submit', 'a.map')
    assert result.code == 2
    assert 'found sbatch' in result.err and 'qmap_backends' in result.err and 'qmap bundle' in result.err
    assert not [name for name in os.listdir(qmap.folder) if name.startswith('a_')]
    assert qmap('submit', 'a.map', '-p', 'local').code == 0


@pytest.mark.slow
def test_a_bundle_carries_everything_to_run_and_to_import(qmap):
    result = qmap('bundle', 'all.py')
    assert result.code == 0 and 'qmap_backends' in result.out
    os.mkdir(qmap.path('elsewhere'))
    shutil.move(qmap.path('all.py'), qmap.path('elsewhere', 'all.py'))
    qmap.folder = qmap.path('elsewhere')
    qmap.program = [sys.executable, '-I', '-S', 'all.py']
    works(qmap)
    code = 'import sys; sys.path.insert(0, "."); import all as q, qmap_backends as b; print(q.__version__, b.NAMES)'
    assert subprocess.check_output([sys.executable, '-I', '-S', '-c', code], cwd=qmap.folder).decode().startswith(
        module.__version__)
    # A bundle makes the same bundle again.
    assert qmap('bundle', 'again.py').code == 0
    assert qmap.read('again.py') == qmap.read('all.py')


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
        assert result.code == 0 and len(result.lines) <= 40
