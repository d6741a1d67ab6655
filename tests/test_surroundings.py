"""What surrounds the process: closed and full streams, folders that are gone, a bare environment, modules of others.

Every tool answers with one line and the right exit status, or goes on with what it was asked for; never a traceback."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest
from conftest import QMAP, ROOT, until

#: Every tool in every mode: its words, and what it does where its output cannot be written: it 'fails', because the
#: output is what was asked for, or 'works', because that was something else.
CALLS = [
    ('template "echo {{a,b}}"', 'fails'), ('template "echo {{a,b}}" -f new.map', 'works'),
    ('submit a.map -l new', 'works'), ('submit a.map -l new -q', 'works'), ('submit a.map -l new --bell', 'works'),
    ('submit a.map -l new --no-console', 'works'), ('submit a.map -l new --detach', 'works'),
    ('submit a.map -l new --progress json', 'works'), ('submit a.map --dry-run', 'fails'),
    ('submit a.map --dry-run --progress json', 'fails'),
    ('reattach -l old', 'works'), ('reattach -l left', 'works'), ('reattach -l left --progress json', 'works'),
    ('control -l left pause', 'works'), ('control -l left max-running 3', 'works'),
    ('control -l left set cores=1', 'works'),
    ('control -l old retry', 'works'), ('control -l left cancel', 'works'), ('control -l left stop', 'works'),
    ('info -l old', 'fails'), ('info -l old -s all status command', 'fails'),
    ('info -l old -s all --format json', 'fails'), ('info -l old -s all --format csv status', 'fails'),
    ('info -l old --summary', 'fails'),
    ('info -l old --summary --format json', 'fails'), ('info -l old --advise', 'fails'),
    ('info -l old --advise --format json', 'fails'), ('info -l old --log 0', 'fails'),
    ('info -l old --log 0 --follow', 'fails'), ('info -l old --watch', 'fails'),
    ('info -l old --watch status', 'fails'),
    ('info -l old -o new.map', 'works'), ('info -l old --summary -o new.txt', 'works'),
    ('report -l old', 'works'), ('bundle new.py', 'works'), ('run "echo hi > new.txt"', 'works'),
    ('completion bash', 'fails'), ('completion zsh', 'fails'), ('help', 'fails'), ('help map', 'fails'),
    ('help submit', 'fails'), ('--help', 'fails'), ('submit --help', 'fails'), ('', 'fails'), ('--version', 'fails')]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with an execution that has ended, and one that was left."""
    made = tmp_path_factory.mktemp('made')
    (made / 'a.map').write_text('echo 0\nexit 3\n')
    environ = dict(os.environ, QMAP_PROFILE='local')
    for logs in ('old', 'left'):
        code = subprocess.call([sys.executable, QMAP, 'submit', 'a.map', '-l', logs, '-q'], cwd=str(made), env=environ,
                               stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        assert code == 1
    # Nobody drives the other one, and its jobs are to run again.
    assert subprocess.call([sys.executable, QMAP, 'control', '-l', 'left', 'retry', '-s', 'all'], cwd=str(made),
                           env=environ, stdout=subprocess.DEVNULL) == 0
    return str(made)


@pytest.fixture
def call(qmap, folder):
    """A function that calls qmap from a shell line, with `$@` for the program, in a copy of the folder."""
    shutil.rmtree(qmap.folder)
    shutil.copytree(folder, qmap.folder, symlinks=True)

    for logs in ('old', 'left'):    # the execution was moved there: a copy would not be driven
        info = qmap.read(logs, 'execution.info').replace(os.path.join(folder, logs), qmap.path(logs))
        qmap.write(os.path.join(logs, 'execution.info'), info)

    def run(line, stdout=subprocess.PIPE, **environ):
        env = {key: value for key, value in dict(qmap.environ, **environ).items() if value is not None}
        shell = subprocess.Popen(['bash', '-c', line, 'sh'] + qmap.program, cwd=qmap.folder, env=env,
                                 stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                                 start_new_session=True)
        out, err = ((text or b'').decode('utf-8', 'surrogateescape') for text in shell.communicate(timeout=100))
        assert 'Traceback' not in out + err and 'Exception ignored' not in out + err, (line, out, err)
        return shell.returncode, out, err

    return run


def settled(qmap):
    """Return the statuses of the executions in the folder that this test made, once they have ended."""
    if not os.path.isdir(qmap.path('new')):
        return None
    until(lambda: not {'UNSUBMITTED', 'PENDING', 'RUNNING'} & set(qmap.statuses('new')))
    return qmap.statuses('new')


def usual(words):
    """Return the exit status where nothing is odd."""
    if words.startswith(('submit', 'reattach')) and not {'--detach', '--dry-run', '--help'} & set(words.split()):
        return 1
    return 0


@pytest.mark.once
@pytest.mark.parametrize('words, kind', CALLS)
@pytest.mark.parametrize('broken, error', [('>&-', 'Bad file descriptor'), ('> /dev/full', 'No space left on device')])
def test_an_output_that_cannot_be_written(qmap, call, words, kind, broken, error):
    code, _, err = call('"$@" {} {}'.format(words, broken))
    if kind == 'fails':
        assert code == 2 and err == 'qmap: error: standard output: {}\n'.format(error)
    else:
        assert code == usual(words) and 'error' not in err
    assert settled(qmap) in (None, ['COMPLETED', 'FAILED'])


@pytest.mark.once
@pytest.mark.parametrize('words, kind', CALLS)
def test_an_output_that_nobody_reads(qmap, call, words, kind):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        code, _, err = call('exec "$@" ' + words, writer)
    finally:
        os.close(writer)
    assert code == (141 if kind == 'fails' else usual(words)) and 'error' not in err
    assert settled(qmap) in (None, ['COMPLETED', 'FAILED'])


@pytest.mark.once
@pytest.mark.parametrize('words, kind', CALLS)
@pytest.mark.parametrize('broken', ['2> /dev/full', '<&- >&- 2>&-'])
def test_the_other_streams_matter_less(qmap, call, words, kind, broken):
    code, _, _ = call('"$@" {} {}'.format(words, broken))
    assert code == (2 if '>&- 2' in broken and kind == 'fails' else usual(words))
    assert settled(qmap) in (None, ['COMPLETED', 'FAILED'])


@pytest.mark.once
@pytest.mark.parametrize('words', [words for words, _ in CALLS])
@pytest.mark.parametrize('environ', [
    dict(LANG=None, LC_ALL='C', HOME=None, TMPDIR='/is/not/there'),
    dict(LC_ALL='xx_XX.nonsense', PYTHONIOENCODING='ascii', PYTHONOPTIMIZE='2', TERM=None, PYTHONWARNINGS='error',
         PYTHONSAFEPATH='1')])
def test_a_bare_or_odd_environment(qmap, call, words, environ):
    code, _, err = call('"$@" ' + words, **environ)
    assert code == usual(words) and 'error' not in err
    assert settled(qmap) in (None, ['COMPLETED', 'FAILED'])


@pytest.mark.once
def test_a_view_whose_disk_is_full_goes_on_when_there_is_room(qmap):
    qmap.write('a.map', 'sleep 0.1\n')
    os.mkfifo(qmap.path('pipe'))
    qmap.write('full.py', textwrap.dedent('''
        import errno, io, sys
        sys.path.insert(0, sys.argv[1])
        import qmap

        class Full(io.StringIO):
            full = True

            def write(self, text):
                if self.full:
                    raise OSError(errno.ENOSPC, 'No space left on device')
                return super().write(text)

        class Session:
            on_event = None

        stream = Full()
        view = qmap.PlainView(Session(), stream)
        view.say('lost')
        stream.full = False
        view.say('heard')
        print(stream.getvalue(), end='')
        '''))
    assert subprocess.check_output([sys.executable, qmap.path('full.py'), ROOT]).decode() == 'heard\n'


@pytest.mark.once
@pytest.mark.parametrize('words, told', [
    ('submit {0}/a.map -l {0}/new', 2), ('submit {0}/a.map -l {0}/new -w {0}', 1), ('submit {0}/a.map -w {0}', 2),
    ('submit a.map', 2), ('submit {0}/a.map -l {0}/new -w {0} --detach', 0), ('submit {0}/a.map -w {0} --dry-run', 2),
    ('info -l {0}/old', 0), ('info -l {0}/old --summary', 0), ('info', 2), ('info -l {0}/old -o new.map', 2),
    ('reattach -l {0}/left', 1), ('reattach', 2), ('control -l {0}/left pause', 0), ('control pause', 2),
    ('report -l {0}/old -o {0}/new.html', 0), ('report -l {0}/old', 2), ('template "echo a"', 0),
    ('template "echo a" -f new.map', 2), ('run -q true', 0), ('bundle {0}/new.py', 0), ('completion bash', 0),
    ('--version', 0)])
def test_a_current_folder_that_was_removed(qmap, call, words, told):
    code, out, err = call('mkdir gone && cd gone && rmdir ../gone && "$@" ' + words.format(qmap.folder))
    said = [line for line in err.splitlines() if 'getcwd' not in line]    # what bash, pyenv say of it
    assert code == told and (len(said) == 1 and said[0].startswith('qmap: error: ') if told == 2 else said == [])
    assert settled(qmap) in (None, ['COMPLETED', 'FAILED'])
    assert told != 2 or not os.path.exists(qmap.path('new'))


@pytest.mark.once
def test_a_current_folder_that_is_removed_while_jobs_run(qmap):
    os.mkdir(qmap.path('here'))
    qmap.write('here/a.map', 'until [ -e {0}/go ]; do sleep 0.05; done\nfalse\n'.format(qmap.folder))
    qmap.folder = qmap.path('here')
    process = qmap.start('submit', 'a.map', '-l', '../out', '-w', '/', '--no-console')
    qmap.folder = os.path.dirname(qmap.folder)
    until(lambda: os.path.exists(qmap.path('out', '0.out')))
    shutil.rmtree(qmap.path('here'))
    qmap.write('go', '')
    out, err = (text.decode() for text in process.communicate(timeout=60))
    assert process.returncode == 1 and err == '' and 'logs folder: {}'.format(qmap.path('out')) in out
    assert qmap.read('out', '0.err') == ''


#: Modules that QMap uses, at once or later, and names that people give their files.
NAMES = ['json', 'queue', 'select', 'string', 'shutil', 'subprocess', 'random', 'argparse', 'tempfile', 'difflib',
         'configparser', 'csv', 'glob', 'curses', 'logging', 'concurrent', 'textwrap', 'zlib', 'base64']


@pytest.mark.twice
def test_modules_of_others_beside_it_and_in_the_current_folder(qmap):
    for folder in ('beside', 'here'):
        os.mkdir(qmap.path(folder))
        for name in NAMES:
            qmap.write(os.path.join(folder, name + '.py'), 'raise SystemExit("the wrong {}")\n'.format(name))
    shutil.copy(QMAP, qmap.path('beside', 'qmap.py'))
    shutil.copytree(os.path.join(ROOT, 'qmap_backends'), qmap.path('beside', 'qmap_backends'))
    qmap.write('here/a.map', 'echo a\nfalse\n')
    beside = qmap.path('beside', 'qmap.py')
    qmap.folder = qmap.path('here')
    for program, path in (([sys.executable, beside], None), ([sys.executable, beside], ':/nowhere'),
                          ([sys.executable, '-m', 'qmap'], os.path.dirname(beside))):
        qmap.program = program
        qmap.environ.pop('PYTHONPATH', None)
        if path and '-m' not in program:
            qmap.environ['PYTHONPATH'] = path
        if '-m' in program:
            qmap.folder = qmap.path('..', 'beside')
            shutil.copy(qmap.path('..', 'here', 'a.map'), qmap.path('a.map'))
        assert qmap('submit', 'a.map', '-l', 'out', '--on-finish', 'true').code == 1
        assert qmap('info', '-l', 'out', '-s', 'all', 'status', 'error', '--format', 'csv').code == 0
        assert qmap('info', '-l', 'out', '--advise').code == 0
        assert qmap('report', '-l', 'out').code == 0
        assert qmap('bundle', 'all.py').code == 0
        assert qmap('submit', 'a.map', '-l', 'again', '--progress', 'json').code == 1
        for name in ('out', 'again'):
            shutil.rmtree(qmap.path(name))
        for name in ('out.html', 'all.py'):
            os.unlink(qmap.path(name))


@pytest.mark.twice
@pytest.mark.parametrize('options, environ', [(['-I'], {}), ([], {'PYTHONSAFEPATH': '1'}), (['-E'], {})])
def test_the_folder_beside_it_is_found_however_python_looks_for_modules(qmap, options, environ):
    qmap.environ.update(environ)
    qmap.write('a.map', 'true\n')
    qmap.program = [sys.executable] + options + [QMAP]
    assert qmap('submit', 'a.map', '-l', 'out', '--progress', 'json').code == 0
    assert qmap('report', '-l', 'out').code == 0
    assert qmap('submit', 'a.map', '-l', 'later', '--detach').code == 0
    assert qmap('reattach', '-l', 'later').code == 0
    result = qmap('submit', 'a.map', '-p', 'slurm', '--dry-run')
    assert result.code == 0 and 'sbatch' in result.out


def test_it_uses_its_own_folder_also_where_another_release_is_installed(qmap):
    os.makedirs(qmap.path('site', 'qmap_backends'))
    qmap.write('site/qmap_backends/__init__.py', 'raise SystemExit("another release")\n')
    qmap.environ['PYTHONPATH'] = qmap.path('site')
    assert qmap('help', 'map').code == 0
    assert qmap('bundle', 'all.py').code == 0
    qmap.program = [sys.executable, qmap.path('all.py')]
    assert qmap('help', 'map').code == 0


@pytest.mark.once
def test_a_parent_that_ignores_the_ends_of_its_children(qmap):
    qmap.write('a.map', 'true\nexit 3\nkill -9 $$\n')
    qmap.program = ['bash', '-c', 'trap "" CHLD; exec "$@"', 'sh'] + qmap.program
    assert qmap('submit', 'a.map', '-l', 'out').code == 1
    assert qmap.statuses('out') == ['COMPLETED', 'FAILED', 'FAILED']
    assert qmap('run', '-q', 'exit 5').code == 5


@pytest.mark.once
def test_messages_are_one_line_in_any_locale(qmap):
    for environ in ({'LC_ALL': 'C'}, {'LC_ALL': 'C.UTF-8'}):
        qmap.environ.update(environ)
        process = qmap.start(b'submit', b'h\xc3\xa9\xff\n.map')
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err.count(b'\n')) == (2, b'', 1)
        assert err.startswith(b'qmap: error: h\xc3\xa9\\xff\\n.map: ')    # in signs that every terminal shows


@pytest.fixture(scope='module')
def no_sync(tmp_path_factory):
    """A library that makes fsync say what FSYNC_ERRNO says."""
    if not shutil.which('cc'):
        pytest.skip('no C compiler')
    folder = tmp_path_factory.mktemp('sync')
    (folder / 'sync.c').write_text('#include <errno.h>\n#include <stdlib.h>\n'
                                   'int fsync(int f) { errno = atoi(getenv("FSYNC_ERRNO")); return -1; }\n'
                                   'int fdatasync(int f) { return fsync(f); }\n')
    subprocess.check_call(['cc', '-shared', '-fPIC', '-o', str(folder / 'sync.so'), str(folder / 'sync.c')])
    return str(folder / 'sync.so')


@pytest.mark.once
@pytest.mark.parametrize('name', ['EINVAL', 'ENOSYS', 'EOPNOTSUPP'])
def test_a_file_system_without_sync(qmap, no_sync, name):
    import errno
    qmap.environ.update(LD_PRELOAD=no_sync, FSYNC_ERRNO=str(getattr(errno, name)))
    qmap.write('a.map', 'true\n' * 3)
    assert qmap('submit', 'a.map', '-l', 'out').code == 0
    assert qmap('control', '-l', 'out', 'retry', '-s', 'all').code == 0
    assert qmap('reattach', '-l', 'out').code == 0
    assert qmap.statuses('out') == ['COMPLETED'] * 3


@pytest.mark.once
def test_a_disk_that_fails_is_no_file_system_without_sync(qmap, no_sync):
    import errno
    qmap.environ.update(LD_PRELOAD=no_sync, FSYNC_ERRNO=str(errno.EIO))
    qmap.write('a.map', 'touch ran\n')
    process = qmap.start('submit', 'a.map', '-l', 'out', '--no-console', stdout=open(qmap.path('screen'), 'wb'))
    until(lambda: 'Input/output error' in qmap.read('screen'))
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 3 and not os.path.exists(qmap.path('ran'))
