"""What the tests share: QMap called as a user calls it, in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
QMAP = os.path.join(ROOT, 'qmap.py')
sys.path.insert(0, ROOT)

#: Folders that hurt: each has broken some tool of this kind.
ODD_NAMES = ['a b', 'a"b', "a'; echo foo", 'a\nb', '%j%d', '$HOME', 'h\u00e9\u4e16', '*', r'a\=0', '-l', '#x']


class Result:
    """What a call said and did."""

    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err
        self.lines = out.splitlines()

    def __repr__(self):
        return 'exit status {}\n{}\n--- stderr\n{}'.format(self.code, self.out, self.err)


class Tool:
    """Calls qmap in a folder."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.environ = dict(os.environ, QMAP_PROFILE='local', PYTHONDONTWRITEBYTECODE='1',
                            QMAP_HOME=self.folder, XDG_CONFIG_HOME=self.folder)
        for name in ('LOADEDMODULES', 'CONDA_PREFIX', 'CONDA_DEFAULT_ENV', 'VIRTUAL_ENV',
                     'QMAP_TEMPLATE_BASE', 'QMAP_TEST_SLURM', 'QMAP_TEST_SGE'):
            self.environ.pop(name, None)
        self.program = [sys.executable, QMAP]

    def start(self, *args, **options):
        """Start qmap, and return the process, in a session of its own."""
        options.setdefault('stdout', subprocess.PIPE)
        options.setdefault('stderr', subprocess.PIPE)
        return subprocess.Popen(self.program + list(args), cwd=self.folder, env=self.environ,
                                stdin=subprocess.DEVNULL, start_new_session=True, **options)

    def __call__(self, *args, **options):
        """Run qmap to its end, and return the Result."""
        process = self.start(*args)
        try:
            out, err = process.communicate(timeout=options.get('timeout', 120))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        out, err = (text.decode('utf-8', 'surrogateescape') for text in (out, err))
        result = Result(process.returncode, out, err)
        assert 'Traceback' not in result.err, result
        return result

    def path(self, *parts):
        """Return a path in the folder."""
        return os.path.join(self.folder, *parts)

    def write(self, name, text):
        """Write a file, and return its name."""
        with open(self.path(name), 'wb') as target:
            target.write(text if isinstance(text, bytes) else text.encode('utf-8', 'surrogateescape'))
        return name

    def read(self, *parts):
        """Return what a file holds, as text."""
        with open(self.path(*parts), 'rb') as source:
            return source.read().decode('utf-8', 'surrogateescape')

    def info(self, logs, id):
        """Return the metadata of a job."""
        return json.loads(self.read(logs, id + '.info'))

    def words(self, logs):
        """Return what the jobs have said that is still to be read, as a list of (kind, key, dict)."""
        import qmap
        logs = qmap.Logs(self.path(logs))
        return [word for name in os.listdir(logs.run) if name.endswith('.start')
                for word in qmap.Words(logs, name).hear()]

    def ends(self, logs):
        """Return the list of the keys of the jobs that have said that they ended."""
        return [key for kind, key, _ in self.words(logs) if kind == 'e']

    def statuses(self, logs):
        """Return the list of the statuses of all jobs, as `info` tells them."""
        return [line.split('\t')[1] for line in self('info', '-l', logs, '-s', 'all', 'status').lines[1:]]


def until(condition, seconds=60):
    """Wait until something is so, and return it; fail where it never is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError('waited {} s in vain'.format(seconds))


@pytest.fixture
def qmap(tmp_path):
    """QMap in an empty folder, with the profile local. What a test leaves behind there ends with it."""
    tool = Tool(tmp_path)
    yield tool
    kill_left_over('QMAP_HOME=' + tool.folder)


def kill_left_over(setting):
    """Kill the processes that have this setting in their environment."""
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/{}/environ'.format(pid), 'rb') as source:
                if os.fsencode(setting) in source.read().split(b'\0'):
                    os.kill(int(pid), signal.SIGKILL)
        except OSError:    # it is gone, or not ours
            pass


@pytest.fixture(params=ODD_NAMES)
def odd(request):
    """A name that hurts."""
    return request.param


#: Where the same cases run: this machine, the LSF stand-in, and real Slurm and Grid Engine where they are.
EXECUTORS = ['local', 'lsf', pytest.param('slurm', marks=pytest.mark.cluster),
             pytest.param('sge', marks=pytest.mark.cluster)]


def at_executor(tool, name):
    """Point a tool to an executor, and return the list of the scheduler's commands that it will use."""
    if name == 'lsf':
        os.mkdir(tool.path('lsf'))
        tool.environ.update(FAKE_LSF_DIR=tool.path('lsf'), FAKE_LSF_MINUTE='2',
                            PATH=os.path.join(ROOT, 'tests', 'fakes', 'lsf') + ':' + tool.environ['PATH'])
        return ['bsub', 'bjobs', 'bkill', 'bhist', 'bacct', 'bparams', 'bqueues', 'bhosts']
    if name == 'slurm':
        folder = os.environ.get('QMAP_TEST_SLURM')
        if not folder:
            pytest.skip('no real Slurm (QMAP_TEST_SLURM is not set)')
        shown = subprocess.check_output(['bash', '-c', '. "$0/env"; env', folder]).decode()
        tool.environ.update(line.split('=', 1) for line in shown.splitlines()
                            if line.startswith(('SLURM_', 'PATH=')))
        return ['sbatch', 'squeue', 'sacct', 'scancel', 'scontrol', 'sinfo']
    if name == 'sge':
        if not os.environ.get('QMAP_TEST_SGE'):
            pytest.skip('no real Grid Engine (QMAP_TEST_SGE is not set)')
        return ['qsub', 'qstat', 'qacct', 'qdel', 'qconf']
    return []


def outage(tool, executor, stop, start):
    """See an execution through the scheduler's end and new start: every job runs once, and none fails.

    Args:
        tool: Tool
        executor: name
        stop, start: functions that end the scheduler, and start it again
    """
    def ran():
        return [name for name in os.listdir(tool.folder) if name.startswith('ran_')]

    tool.write('mine.conf', 'executor = {}\npoll = 2\n'.format(executor))
    tool.write('a.map', 'echo ran >>ran_${QMAP_LINE}; sleep 1\n' * 40)
    with open(tool.path('screen'), 'wb') as screen:
        process = tool.start('submit', 'a.map', '-p', 'mine', '-r', '8', '--logs', 'out', stdout=screen)
    until(lambda: len(ran()) > 10)
    stop()
    try:
        until(lambda: '! ' in tool.read('screen'))
    finally:
        start()
    process.communicate(timeout=200)
    assert process.returncode == 0, tool.read('screen')
    assert all(tool.read('ran_{:02d}'.format(number)) == 'ran\n' for number in range(40))
