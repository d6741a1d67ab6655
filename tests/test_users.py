"""Several users on one machine: what one may do to the jobs, files and terminal of another."""

import json
import os
import pty
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

import pytest

import qmap as module
from conftest import ROOT, Result, kill_left_over, until

pytestmark = pytest.mark.once

#: Numbers of users and of a group that nobody has, so that none have to be made.
ALICE, MALLORY, GROUP = 61001, 61002, 61009
ESCAPES = '\x1b]0;title\x07\x1b[2J\r\u202ebad\x9b31m'


def become(uid, umask, groups):
    """Return a function that makes a process one of this user."""
    def change():
        os.umask(umask)
        if uid:
            os.setgroups(groups)
            os.setgid(uid)
            os.setuid(uid)
    return change


class Users:
    """QMap as several users call it, in a folder that all may write, as /tmp."""

    def __init__(self, folder):
        self.folder = folder
        self.environ = dict(os.environ, QMAP_PROFILE='local', PYTHONDONTWRITEBYTECODE='1', HOME=self.path('none'),
                            QMAP_HOME='', XDG_CONFIG_HOME='')
        self.qmap = os.path.join(folder, 'tool', 'qmap.py')
        os.mkdir(os.path.dirname(self.qmap))
        shutil.copy(os.path.join(ROOT, 'qmap.py'), self.qmap)
        shutil.copytree(os.path.join(ROOT, 'qmap_backends'), os.path.join(folder, 'tool', 'qmap_backends'))
        for path, folders, files in os.walk(os.path.join(folder, 'tool')):
            for name in [path] + [os.path.join(path, name) for name in files]:
                os.chmod(name, 0o755)
        os.chmod(folder, 0o1777)
        pythons = [sys.executable, '/usr/bin/python3', '/usr/local/bin/python3']
        self.python = next(filter(self._runs, pythons), None)

    def _runs(self, python):
        call = [python, self.qmap, '--version']
        try:
            return subprocess.call(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=become(ALICE, 0o022, [])) == 0
        except OSError:
            return False

    def path(self, *names):
        """Return a path in the folder."""
        return os.path.join(self.folder, *names)

    def start(self, uid, *argv, **options):
        """Start a command as a user."""
        umask, groups = options.pop('umask', 0o022), options.pop('groups', [])
        options.setdefault('cwd', self.folder)
        options.setdefault('env', self.environ)
        options.setdefault('stdin', subprocess.DEVNULL)
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                                preexec_fn=become(uid, umask, groups), **options)

    def ran(self, uid, *argv, **options):
        """Run a command as a user, and return the Result."""
        process = self.start(uid, *argv, **options)
        try:
            out, err = process.communicate(timeout=100)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        result = Result(process.returncode, *(text.decode('utf-8', 'surrogateescape') for text in (out, err)))
        assert 'Traceback' not in result.err, result
        return result

    def __call__(self, uid, *argv, **options):
        """Run qmap as a user, and return the Result."""
        return self.ran(uid, self.python, self.qmap, *argv, **options)

    def write(self, uid, name, text, mode=0o644):
        """Write a file of a user."""
        with open(self.path(name), 'wb') as target:
            target.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(target.name, mode)
        os.chown(target.name, uid, uid)
        return target.name

    def read(self, *names):
        """Return what a file holds."""
        with open(self.path(*names), 'rb') as source:
            return source.read().decode('utf-8', 'surrogateescape')

    def link(self, uid, target, *names):
        """Make a link of a user in the place of whatever is there."""
        self.away(*names)
        os.symlink(target, self.path(*names))
        os.lchown(self.path(*names), uid, uid)

    def away(self, *names):
        """Remove a file."""
        if os.path.lexists(self.path(*names)):
            os.unlink(self.path(*names))

    def made(self, uid, name, commands, *options, **more):
        """Let a user submit a map; return the Result."""
        self.write(uid, name + '.map', commands)
        return self(uid, 'submit', name + '.map', '-l', name, '-q', *options, **more)


@pytest.fixture(scope='module')
def users():
    """Users in a folder of their own."""
    if os.getuid() != 0:
        pytest.skip('only root can become other users')
    folder = tempfile.mkdtemp(prefix='qmap-users-', dir='/tmp')
    found = Users(folder)
    if not found.python:
        shutil.rmtree(folder)
        pytest.skip('no Python here that every user can run')
    yield found
    kill_left_over('HOME=' + found.path('none'))
    shutil.rmtree(folder)


def modes(folder):
    """Yield (path, mode) of all that is in a folder, and of itself."""
    for path, _, files in os.walk(folder):
        for name in [path] + [os.path.join(path, name) for name in files]:
            yield name, stat.S_IMODE(os.lstat(name).st_mode)


# ---- what another user may not make me run

@pytest.mark.parametrize('mode', [0o755, 0o777])
def test_a_folder_that_another_user_made_ahead_is_refused(users, mode):
    name = 'ahead{:o}'.format(mode)
    os.mkdir(users.path(name))
    os.chown(users.path(name), MALLORY, MALLORY)
    os.chmod(users.path(name), mode)
    result = users.made(ALICE, name, 'true\n')
    assert result.code == 2 and result.err.count('\n') == 1, result
    assert 'belongs to user 61002' in result.err and 'give a new folder' in result.err
    assert not os.listdir(users.path(name))
    assert users.made(0, name, 'true\n').code == 2    # nor does root


def test_a_folder_that_every_user_may_write_is_refused(users):
    os.mkdir(users.path('all'))
    os.chown(users.path('all'), ALICE, ALICE)
    os.chmod(users.path('all'), 0o777)
    result = users.made(ALICE, 'all', 'true\n')
    assert result.code == 2 and 'writable by every user' in result.err, result
    os.chmod(users.path('all'), 0o755)
    assert users.made(ALICE, 'all', 'false\n').code == 1
    assert users(ALICE, 'control', '-l', 'all', 'retry').code == 0
    os.chmod(users.path('all'), 0o777)
    assert users(ALICE, 'reattach', '-l', 'all').code == 2
    assert users(ALICE, 'info', '-l', 'all', 'status').code == 0
    os.chmod(users.path('all'), 0o755)


def test_the_default_folder_in_tmp_steps_aside(users):
    users.write(ALICE, 'aside.map', 'true\n')
    base = 'aside_' + time.strftime('%Y%m%d')
    os.mkdir(users.path(base))
    os.chown(users.path(base), MALLORY, MALLORY)
    users.link(MALLORY, users.path('nowhere'), base + '-2')
    assert users(ALICE, 'submit', 'aside.map', '-q').code == 0
    assert os.listdir(users.path(base)) == [] and os.stat(users.path(base + '-3')).st_uid == ALICE


def test_driving_the_folder_of_another_user_is_refused_and_reading_is_not(users):
    users.made(MALLORY, 'evil', 'id -u >>{}\nfalse\n'.format(users.path('ran')), umask=0o000)
    os.chmod(users.path('evil'), 0o777)
    assert users(MALLORY, 'control', '-l', 'evil', 'retry', '0-1').code == 2    # every user may write it
    for path, _ in list(modes(users.path('evil'))):
        os.chmod(path, 0o775 if os.path.isdir(path) else 0o664)
    assert users(MALLORY, 'control', '-l', 'evil', 'retry', '0-1').code == 0
    before = users.read('ran')
    for uid, groups in ((0, []), (ALICE, [MALLORY])):
        for argv in (['reattach'], ['reattach', '--detach'], ['control', 'retry']):
            result = users(uid, argv[0], '-l', 'evil', *argv[1:], groups=groups)
            assert result.code == 2 and 'belongs to user 61002' in result.err, result
        assert users(uid, 'info', '-l', 'evil', '-s', 'all', 'status', groups=groups).code == 0
        assert users(uid, 'report', '-l', 'evil', '-o', 'page{}.html'.format(uid), groups=groups).code == 0
    assert users.read('ran') == before and not os.path.exists(users.path('evil', 'execution.log'))
    assert users(ALICE, 'reattach', '-l', 'evil', '--force', groups=[MALLORY]).code == 1
    assert users.read('ran') == before + '61001\n'


def test_a_folder_with_the_inside_of_another_is_refused(users):
    users.made(ALICE, 'inner', 'false\n')
    os.mkdir(users.path('outer'))
    os.chown(users.path('outer'), MALLORY, MALLORY)
    users.link(MALLORY, users.path('inner', '.qmap'), 'outer', '.qmap')
    for name in ('execution.info', 'qmap_input'):
        shutil.copy(users.path('inner', name), users.path('outer', name))
    assert users(ALICE, 'control', '-l', 'inner', 'retry').code == 0
    assert users(ALICE, 'reattach', '-l', 'outer').code == 2


@pytest.mark.parametrize('key', ['working_directory', 'extra', 'home', 'profile', 'done', 'A;touch x;B', 'x\n'])
def test_who_may_write_the_folder_steers_and_does_not_say_what_runs(users, key):
    name = 'shared' + str(abs(hash(key)) % 10 ** 6)
    os.mkdir(users.path(name))
    os.chown(users.path(name), ALICE, GROUP)
    os.chmod(users.path(name), 0o2775)
    users.write(ALICE, 'shared.map', 'false\n')
    logs = name + '/logs'
    assert users(ALICE, 'submit', 'shared.map', '-l', logs, '-q', umask=0o002, groups=[GROUP]).code == 1
    inbox = users.path(logs, '.qmap', 'inbox')
    orders = [('1', {'do': 'set', 'params': {key: '/tmp'}, 'by': 'root@' + ESCAPES}),
              ('2', {'do': 'retry', 'params': {key: ' '}}), ('3', {'do': 'max-running', 'number': 7}),
              ('4', {'do': 'retry', 'params': {'memory': '1G'}})]
    for id, order in orders:
        users.write(MALLORY, os.path.join(logs, '.qmap', 'inbox', id + '.json'), json.dumps(order))
    result = users(ALICE, 'control', '-l', logs, 'resume', umask=0o002, groups=[GROUP])
    users(ALICE, 'reattach', '-l', logs, umask=0o002, groups=[GROUP])
    journal = [json.loads(line) for line in users.read(logs, '.qmap', 'journal.0002').splitlines()]
    said = {event['command']: event for event in journal if event['event'] == 'command'}
    assert said['1']['refused'] and said['2']['refused'] and not said['3']['refused'] and not said['4']['refused']
    assert said['1']['by'].startswith('user 61002 (as root@') and '\x1b' not in result.out + result.err
    script = users.read(logs, '0.sh')
    assert "QMAP_MEMORY=1G" in script and 'touch' not in script and 'HOME=/tmp' not in script
    assert not os.listdir(inbox)


def test_an_unknown_home_is_not_one_below_the_current_folder(users):
    users.write(MALLORY, 'home.map', 'true\n')
    config = users.path('here', '~', '.config', 'qmap')
    os.makedirs(config)
    for setting in ('default', 'local'):
        users.write(MALLORY, os.path.join(config, setting + '.conf'), 'on_finish = touch ' + users.path('told'))
    environ = {key: value for key, value in users.environ.items() if key not in ('HOME', 'QMAP_HOME')}
    for config in ('', '~/.config'):
        environ['XDG_CONFIG_HOME'] = config
        assert users(ALICE, 'submit', '../home.map', '-l', users.path('home' + config.replace('/', '')), env=environ,
                     cwd=users.path('here')).code == 0
    assert not os.path.exists(users.path('told'))


# ---- what another user may not read or write

@pytest.mark.parametrize('umask', [0o077, 0o027, 0o022, 0o002, 0o000])
def test_files_and_folders_follow_the_umask_and_not_everybody_may_write_them(users, umask):
    name = 'mask{:o}'.format(umask)
    users.made(ALICE, name, 'true\necho x; sleep 0.2\nfalse\n', umask=umask)
    assert users(ALICE, 'control', '-l', name, 'retry', umask=umask).code == 0
    for path, mode in modes(users.path(name)):
        assert not mode & umask, (path, oct(mode))
        if not path.endswith(('.out', '.err')):    # of the jobs themselves
            assert not mode & 0o002, (path, oct(mode))
    users(ALICE, 'report', '-l', name, '-o', name + '.html', umask=umask)
    assert stat.S_IMODE(os.stat(users.path(name + '.html')).st_mode) == 0o666 & ~umask


def test_the_lock_cannot_be_held_by_who_may_only_read(users):
    users.made(ALICE, 'locked', 'false\n')
    path = users.path('locked', '.qmap', 'lock')
    os.chmod(path, 0o644)    # as older releases made it
    assert users(ALICE, 'control', '-l', 'locked', 'retry').code == 0
    hold = 'import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX)'
    assert users.start(ALICE, users.python, '-c', hold, path).wait() == 0
    assert users.start(MALLORY, users.python, '-c', hold, path).wait() != 0
    assert users(ALICE, 'reattach', '-l', 'locked').code == 1


@pytest.mark.parametrize('write', ['write_json', 'write_text', 'write_output'])
def test_a_link_at_the_name_of_a_temporary_file_is_not_followed(users, write):
    victim = users.write(0, 'precious', 'mine')
    path = users.write(0, 'written', 'old')
    users.link(MALLORY, victim, 'written.tmp{}'.format(os.getpid()))
    value = {'write_json': {'a': 1}, 'write_text': 'new', 'write_output': ['new']}[write]
    getattr(module, write)(path, value)
    assert users.read('precious') == 'mine' and 'old' not in users.read('written')
    users.away('written.tmp{}'.format(os.getpid()))


@pytest.mark.parametrize('name', ['execution.log', '.qmap/lock', '.qmap/driver.json', '0.info', 'execution.info'])
def test_a_link_in_a_folder_that_a_group_shares_destroys_nothing(users, name):
    logs = 'linked' + name.replace('/', '_')
    users.made(ALICE, logs, 'false\n', umask=0o002)
    victim = users.write(ALICE, 'precious_of_alice', 'mine', 0o600)
    text = users.read(logs, name) if name == 'execution.info' else 'mine'
    users.write(ALICE, 'precious_of_alice', text, 0o600)
    users(ALICE, 'control', '-l', logs, 'retry')
    users.link(MALLORY, victim, logs, name)
    for more in (['--detach'], []):
        process = users.start(ALICE, users.python, users.qmap, 'reattach', '-l', logs, *more, umask=0o002)
        ended(process, 8)
    assert users.read('precious_of_alice') == text


@pytest.mark.parametrize('name', ['0.err', '0.out', 'qmap_input', '.qmap/journal.0001', 'execution.info'])
def test_a_link_does_not_show_what_its_maker_may_not_read(users, name):
    logs = 'curious' + name.replace('/', '_')
    users.made(MALLORY, logs, 'echo bad >&2; false\n')
    secret = users.write(0, 'secret', 'root:$6$hash\n', 0o600)
    users.link(MALLORY, secret, logs, name)
    for argv in (['report', '-l', logs, '-o', logs + '.html', '--force'], ['info', '-l', logs, '--log', '0'],
                 ['info', '-l', logs, '--log', '0', '--err'], ['info', '-l', logs, '-s', 'all', 'command']):
        result = users(0, *argv)
        assert '$6$' not in result.out + result.err
    assert not os.path.exists(users.path(logs + '.html')) or '$6$' not in users.read(logs + '.html')
    own = users.write(MALLORY, 'own', 'shown\n')    # a link to what is his own is followed
    if name in ('0.err', '0.out'):
        users.link(MALLORY, own, logs, name)
        assert 'shown' in users(0, 'info', '-l', logs, '--log', '0', *['--err'] * (name == '0.err')).out


def test_only_what_runs_jobs_is_killed(users):
    users.made(ALICE, 'forged', 'sleep 300\n', '--detach', umask=0o002)
    until(lambda: any(name.endswith('.start') for name in os.listdir(users.path('forged', '.qmap', 'run'))))
    driver = json.loads(users.read('forged', '.qmap', 'driver.json'))['pid']
    os.kill(driver, signal.SIGKILL)
    bystander = users.start(ALICE, 'sleep', '300')
    path = users.path('forged', '.qmap', 'run', '0.1.start')
    who, rest = users.read(path).split('\n', 1)
    start = json.loads(who)
    real = start['pid']
    try:
        until(lambda: module.birth(driver) == '')
        users.write(MALLORY, path, json.dumps(
            dict(start, pid=bystander.pid, born=module.birth(bystander.pid))) + '\n' + rest)
        driving = users.start(ALICE, users.python, users.qmap, 'reattach', '-l', 'forged')
        users(ALICE, 'control', '-l', 'forged', 'cancel')
        driving.communicate(timeout=100)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
        for pid in module.Processes().tree(real) + [real]:
            os.kill(pid, signal.SIGKILL)


# ---- what another user may not stop

def ended(process, patience):
    """Wait for a process; after some seconds it is asked to end. Return what it wrote."""
    try:
        return process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.terminate()
        return process.communicate(timeout=60)


SPECIAL = ['execution.info', 'qmap_input', '0.out', '0.err', '0.info', '.qmap/driver.json', '.qmap/journal.0001',
           '.qmap/lock', '.qmap/inbox/1.json', '.qmap/run/0.1.start', '.qmap/run/0.1.end', '.qmap/run/0.1.why',
           '.qmap/run/share.1.1', '.qmap/run/left.1.1', '.qmap/batch/1', '.qmap/batch/1.list', 'execution.log']


def put(kind, path):
    """Put what is no file where one should be."""
    if kind == 'folder':
        os.mkdir(path)
    elif kind == 'socket':
        folder = os.getcwd()
        os.chdir(os.path.dirname(path))    # the path may be too long
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.basename(path))
        os.chdir(folder)
    else:
        os.mknod(path, 0o666 | (stat.S_IFIFO if kind == 'fifo' else stat.S_IFCHR), os.makedev(1, 5))


@pytest.mark.parametrize('kind, names', [
    ('fifo', SPECIAL), ('device', SPECIAL[6:10]), ('socket', SPECIAL[6:10]), ('folder', SPECIAL[6:10]),
    pytest.param('folder', SPECIAL, marks=pytest.mark.slow), pytest.param('device', SPECIAL, marks=pytest.mark.slow)])
def test_what_is_no_file_keeps_nobody_waiting(users, kind, names):
    kept = '{}{}'.format(kind, len(names))
    users.made(ALICE, kept, 'echo x >&2; false\n')
    asked = [['info', '-s', 'all', 'status', 'error'], ['info', '--log', '0', '--err'], ['control', 'retry'],
             ['report', '-o', kept + '.html', '--force'], ['reattach', '-q']]
    for place, name in enumerate(names):
        logs = '{}.{}'.format(kept, place)
        shutil.copytree(users.path(kept), users.path(logs))
        for path, _ in list(modes(users.path(logs))):
            os.chown(path, ALICE, ALICE)
        users.away(logs, name)
        put(kind, users.path(logs, name))
        argvs = [[argv[0], '-l', logs] + argv[1:] for argv in asked]
        started = [users.start(ALICE, users.python, users.qmap, *argv) for argv in argvs]
        for argv, process in zip(argvs, started):
            looks_on = argv[0] == 'reattach'    # where the folder cannot be written
            out, err = ended(process, 5 if looks_on else 150)
            assert b'Traceback' not in err, (name, argv, err)


def test_a_flood_is_survived(users):
    users.made(ALICE, 'flood', 'false\n', umask=0o002)
    inbox = users.path('flood', '.qmap', 'inbox')
    for number in range(12000):
        os.close(os.open(os.path.join(inbox, 'x{}.json'.format(number)), os.O_CREAT))
    for path, _ in list(modes(inbox)):
        os.chown(path, ALICE, ALICE)
    with open(os.path.join(inbox, '0huge.json'), 'wb') as target:
        target.truncate(1 << 40)    # a sparse one
    with open(os.path.join(inbox, '0deep.json'), 'wb') as target:
        target.write(b'[' * 1000000)
    assert users(ALICE, 'control', '-l', 'flood', 'retry').code == 0
    assert users(ALICE, 'reattach', '-l', 'flood').code == 1
    with open(users.path('flood', '.qmap', 'journal.9999'), 'wb') as target:
        target.truncate(1 << 34)
    result = users(ALICE, 'info', '-l', 'flood', '-s', 'all', 'status')
    assert result.code == 0 and 'unreadable record' in result.err, result
    assert users(ALICE, 'reattach', '-l', 'flood').code in (1, 2)


def test_too_many_files_of_others_are_named(users, monkeypatch):
    users.made(ALICE, 'many', 'false\n')
    logs = module.Logs(users.path('many'))
    module.Plan(logs)
    logs.most = 10
    for number in range(11):
        os.close(os.open(os.path.join(logs.run, 'x{}'.format(number)), os.O_CREAT))
    with pytest.raises(OSError) as error:
        logs.listing()
    assert 'more than 10 files; QMap did not make them' in str(error.value)


# ---- what another user may not write to my terminal

def on_terminal(users, uid, *argv):
    """Run a command on a terminal, and return what it wrote."""
    master, slave = pty.openpty()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, cwd=users.folder,
                               env=dict(users.environ, TERM='xterm', NO_COLOR='1'), start_new_session=True,
                               preexec_fn=become(uid, 0o022, []))
    os.close(slave)
    found = b''
    ready = select.poll()    # takes any number of a file
    ready.register(master, select.POLLIN)
    while ready.poll(100000):
        try:
            data = os.read(master, 1 << 16)
        except OSError:
            break
        if not data:
            break
        found += data
    os.close(master)
    process.wait()
    return found.decode('utf-8', 'surrogateescape')


def test_nothing_of_a_job_is_obeyed_by_a_terminal(users):
    name = 'esc\x1b]0;folder\x07\n\u202e'
    command = "echo '{0}' >&2; false # {0}\n".format(ESCAPES.replace('\r', '')).encode() + b'false # \x9b31m\n'
    users.write(MALLORY, 'escape.map', b'[params]\nname = x\x1b[2J\n[jobs]\n' + command)
    users(MALLORY, 'submit', 'escape.map', '-l', name, '-q')
    journal = users.read(name, '.qmap', 'journal.0001').replace('"sum"', '"old"')
    journal = journal.replace('"error":"', '"error":"\\u001b[31mforged\\r').replace(
        '"host":"{}"'.format(os.uname().nodename), '"host":"\\u001b]0;host\\u0007"')
    users.write(MALLORY, os.path.join(name, '.qmap', 'journal.0001'), journal)
    qmap = [users.python, users.qmap]
    page = name + '.html'
    for argv in (['info', '-l', name], ['info', '-l', name, 'command', 'error', 'host'],
                 ['info', '-l', name, '--summary'], ['info', '-l', name, '-s', 'all', '--format', 'json'],
                 ['info', '-l', name, '--collapse'], ['reattach', '-l', name], ['info', '-l', name + 'x'],
                 ['report', '-l', name, '-o', page, '--force'], ['info', '-l', name, 'error', '--format', 'csv'],
                 ['submit', 'escape.map', '--dry-run']):
        shown = on_terminal(users, ALICE, *qmap + argv)
        for bad in ('\x1b', '\x07', '\x9b', '\u202e', '\udc9b', '\r\r'):
            assert bad not in shown, (argv, shown)
        assert '\r' not in shown.replace('\r\n', '') or argv[0] == 'reattach', (argv, shown)
    page = users.read(page)
    assert not any(bad in page for bad in ('\x1b', '\x07', '\x9b', '\u202e'))
    watched = on_terminal(users, ALICE, *qmap + ['info', '-l', name, '--watch', '-s', 'all', 'command', 'host'])
    assert '\x1b]' not in watched and '\u202e' not in watched and '\x07' not in watched


def test_markup_is_shown_and_not_obeyed(users):
    command = 'echo "<script>a()</script>" >&2; false # </pre><img src=x>'
    users.made(ALICE, 'markup', '[params]\nx = <hr>"\n[jobs]\n' + command)
    users(ALICE, 'report', '-l', 'markup', '-o', 'markup.html')
    page = users.read('markup.html')
    assert not any(tag in page for tag in ('<script', '<img', '<hr>')) and '&lt;script&gt;' in page


def test_a_spreadsheet_gets_no_formula(users):
    users.made(ALICE, 'formula', '=1+1 ## x==cmd\n@x\n-x\n+x\n')
    rows = users(ALICE, 'info', '-l', 'formula', '-s', 'all', '--format', 'csv', 'command', 'exit_code').lines
    assert rows == ['id,command,exit_code', "0,'=1+1,127", "1,'@x,127", "2,'-x,127", "3,'+x,127"]
    assert module.no_formula('-12.5') == '-12.5' and module.no_formula('-12.5+cmd') == "'-12.5+cmd"
    exact = users(ALICE, 'info', '-l', 'formula', '-s', 'all', 'command').lines
    assert exact[1] == '0\t=1+1'
