"""`qmap doctor`: what it says of a machine and a folder, and of a file system under torture."""

import copy
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT, until

from qmap import Profile, QMapError
from qmap_backends.tools import doctor, torture

#: Hardly depends on the Python.
pytestmark = pytest.mark.once

KINDS = ['named', 'listed', 'appended', 'replaced', 'removed']


@pytest.fixture
def disk(qmap):
    """An empty folder to be tortured."""
    os.mkdir(qmap.path('disk'))
    return qmap.path('disk')


@pytest.fixture
def lsf(qmap):
    """The stand-in for LSF, with a cluster in the folder."""
    os.mkdir(qmap.path('cluster'))
    qmap.environ.update(FAKE_LSF_DIR=qmap.path('cluster'), FAKE_LSF_RETRY='0.1', FAKE_LSF_TERMINATE_INTERVAL='0.2')
    qmap.environ['PATH'] = os.pathsep.join([
        os.path.join(ROOT, 'tests', 'fakes', 'lsf'), os.path.dirname(sys.executable), qmap.environ['PATH']])
    yield
    shutil.rmtree(qmap.path('cluster'))


def sound(lines):
    """Tell whether lines say that files are seen at once, claims exclude, and QMap can be used."""
    table = [re.match(r'(.+?) {2,}(\S+ m?s) +(\S+ m?s) +(\d+)$', line) for line in lines[2:7]]
    assert [row and row.group(1) for row in table] == [
        'files opened', 'files listed', 'lines appended', 'files replaced', 'files removed']
    assert all(int(row.group(4)) >= 5 for row in table)
    assert re.match(r'claims \(O_EXCL\) +[\d,]+ files, each made by one$', lines[7])
    assert re.match(r'locks \(flock\) +exclude: taken [\d,]+ times, refused [\d,]+ times?$', lines[8])
    return lines[-1] == 'QMap can be used here'


# Without --torture ####################################################################################################

def test_what_is_well_is_said_line_by_line(qmap):
    result = qmap('doctor')
    assert result.code == 0 and not result.err
    assert {line[:5] for line in result.lines} == {'ok   ', 'note '}
    for text in ('qmap 1', 'Python 3', 'bash ', 'filelock', 'profile local', ' GB free', 'locks exclude'):
        assert [line for line in result.lines if line.startswith('ok') and text in line], text
    assert os.listdir(qmap.folder) == []


def test_a_scheduler_that_does_not_answer_is_bad(qmap, lsf):
    result = qmap('doctor', '-p', 'lsf')
    assert result.code == 0 and 'ok   profile lsf (from -p): LSF answers' in result.lines
    qmap.environ['FAKE_LSF_DOWN_BJOBS'] = 'query'
    result = qmap('doctor', '-p', 'lsf')
    assert result.code == 1
    assert [line for line in result.lines if line.startswith('bad  profile lsf (from -p): LSF does not answer: ')]


@pytest.mark.parametrize('words, error', [
    (['nowhere'], 'nowhere: no such folder'), (['file'], 'file: not a folder'),
    (['--seconds', '2'], '--seconds: only with --torture'),
    (['--torture', '/proc'], '/proc: No such file or directory'),
    (['--torture', '--seconds', '0'], '--seconds: 0: must be a positive integer (see qmap doctor --help)')])
def test_what_cannot_be_done_is_one_line(qmap, words, error):
    qmap.write('file', '')
    result = qmap('doctor', *words)
    assert (result.code, result.out, result.err) == (2, '', 'qmap: error: {}\n'.format(error))


def test_a_folder_that_cannot_be_written_is_bad(qmap):
    result = qmap('doctor', '/proc')
    assert result.code == 1 and 'bad  /proc: No such file or directory' in result.lines


def test_a_mount_is_named_with_what_its_options_say_of_caches_and_locks(tmp_path, monkeypatch):
    mounts = tmp_path / 'mounts'
    mounts.write_text('/dev/sda / ext4 rw 0 0\nserver:/x /data/my\\040home nfs4 rw,nolock,actimeo=60,hard 0 0\n'
                      '/dev/sdb /data/my ext4 rw,noac 0 0\n')
    real = open
    monkeypatch.setattr(doctor, 'open', lambda path, mode: real(str(mounts), mode), raising=False)
    assert doctor.describe_mount('/data/my home/me') == 'nfs4 nolock actimeo=60 from server:/x'
    assert doctor.describe_mount('/data/my home 2') == 'ext4'
    mounts.write_text('')
    assert doctor.describe_mount('/') == 'unknown file system'


# Two halves that really run ###########################################################################################

def test_two_processes_of_this_machine(qmap, disk):
    result = qmap('doctor', '--torture', 'disk', '--seconds', '2')
    assert result.code == 0 and not result.err and sound(result.lines)
    assert re.match(r'disk \(.+\): \S+ and another process, 2 s$', result.lines[0])
    assert 'note  between two processes of this machine; -p PROFILE tests it with another node' in result.lines
    assert os.listdir(disk) == []


def test_the_other_half_is_a_job(qmap, disk, lsf):
    result = qmap('doctor', '--torture', 'disk', '--seconds', '2', '-p', 'lsf')
    assert result.code == 0 and sound(result.lines)
    assert result.err.startswith('qmap: LSF job 101 is the other half; waiting for it (Ctrl-C cancels it)\n')
    assert [line for line in result.lines if line.startswith('note  both halves ran on ')]
    assert os.listdir(disk) == []


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('profile', ['local', 'lsf'])
def test_an_interruption_leaves_nothing_behind(qmap, disk, lsf, profile, number):
    running = qmap.start('doctor', '--torture', disk, '-p', profile)
    # The other half is at work.
    until(lambda: glob.glob(os.path.join(disk, '*', 'named', 'far.[1-9]*')) and
          glob.glob(os.path.join(disk, '*', 'named', 'near.[1-9]*')))
    os.kill(running.pid, number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and b'Traceback' not in err and not out
    assert os.listdir(disk) == []
    if profile == 'lsf':
        listed = subprocess.check_output(['bjobs', '-a'], env=qmap.environ, cwd=qmap.folder)
        assert [line.split()[2] for line in listed.splitlines()[1:]] == [b'EXIT']


def test_a_job_that_is_refused_is_one_line(qmap, disk, lsf):
    qmap.environ['FAKE_LSF_REFUSE'] = 'No queue for you'
    result = qmap('doctor', '--torture', 'disk', '-p', 'lsf')
    assert result.code == 2 and re.match(r'qmap: error: LSF: No queue for you.*\n$', result.err)
    assert os.listdir(disk) == []


def test_a_node_without_python(tmp_path):
    script = tmp_path / 'script'
    script.write_text(doctor.script_text(str(tmp_path), 2).replace(doctor.shlex.quote(sys.executable), '/no/python'))
    result = subprocess.run([shutil.which('bash'), str(script)], env={'PATH': str(tmp_path)}, stdout=subprocess.PIPE)
    assert result.returncode == 1 and re.match(rb'no Python 3\.6 on \S+, which the other half', result.stdout)


def test_another_half_that_ends_early_is_told_with_its_last_words(tmp_path):
    script = tmp_path / 'script'
    script.write_text('echo first; echo no Python 3.6 on n1; exit 1')
    other = doctor.FarProcess(str(script))
    other.start()
    with pytest.raises(QMapError, match='^the other half ended: no Python 3.6 on n1$'):
        until(other.check)


class Scheduler:
    """What a FarJob asks of a scheduler, with the answers of a list."""

    title, poll_interval, refuses_unfit, avoided = 'Slurm', 0, False, ()
    FOUND = {('7', 0): ('RUNNING', '', '')}

    def __init__(self, outcome=('ok', '7'), found='', polls=()):
        self.outcome, self.found, self.polls, self.cancelled = outcome, found, list(polls), []

    def extra_fault(self, settings):
        return ''

    unusable = str

    def job_name(self, prefix, batch, token):
        return prefix

    def submit(self, script, name, count, params, output):
        self.params = params
        return self.outcome

    def find(self, name):
        return self.found

    def poll(self, ids):
        return self.polls.pop(0) if len(self.polls) > 1 else self.polls[0]

    def cancel(self, tasks, counts):
        self.cancelled += tasks


def job_at(monkeypatch, tmp_path, **answers):
    """Return a FarJob and its Scheduler."""
    scheduler = Scheduler(**answers)
    monkeypatch.setattr(doctor, 'load_backend', lambda *given: scheduler)
    monkeypatch.setattr(doctor, 'LEAVING', 0.1)
    monkeypatch.setenv('QMAP_PROFILE', 'slurm')
    return doctor.FarJob(str(tmp_path / 'disk' / 'script'), Profile(), 60), scheduler


def test_a_job_whose_submission_got_no_answer_is_looked_for(monkeypatch, tmp_path):
    job, scheduler = job_at(monkeypatch, tmp_path, outcome=('silent', 'timed out'), found='7', polls=[None])
    job.start()
    job.check()
    job.end()
    assert scheduler.cancelled == [('7', 0)] and scheduler.params['time'] > 60 and scheduler.params['cores'] == 1
    job, scheduler = job_at(monkeypatch, tmp_path, outcome=('silent', 'timed out'), polls=[None])
    with pytest.raises(QMapError, match='^Slurm: timed out$'):
        job.start()
    job.end()
    assert scheduler.cancelled == []


def test_a_job_tells_once_that_it_waits_and_why_and_that_it_runs(monkeypatch, tmp_path, capsys):
    pending = {('7', 0): ('PENDING', '', 'Priority')}
    job, scheduler = job_at(monkeypatch, tmp_path, polls=[pending, pending, None, Scheduler.FOUND])
    job.start()
    for _ in range(6):
        job.check()
    assert capsys.readouterr().err.splitlines()[1:] == [
        'qmap: job 7 is pending: Priority', 'qmap: job 7 is running']


@pytest.mark.parametrize('refuses, avoided', [(True, 1), (False, 0)])
def test_another_node_is_asked_for_only_where_a_job_would_not_wait_for_ever(monkeypatch, tmp_path, refuses, avoided):
    monkeypatch.setattr(Scheduler, 'refuses_unfit', refuses)
    assert len(job_at(monkeypatch, tmp_path)[1].avoided) == avoided


def test_a_job_that_fails_or_leaves_unseen_is_told(monkeypatch, tmp_path):
    os.mkdir(str(tmp_path / 'disk'))
    job, scheduler = job_at(monkeypatch, tmp_path, polls=[Scheduler.FOUND, {('7', 0): ('FAILED', 'node', 'NODE_FAIL')}])
    job.start()
    job.check()
    with pytest.raises(QMapError, match='^job 7 ended: NODE_FAIL$'):
        job.check()
    (tmp_path / 'disk' / 'script.0').write_text('hello\nno Python 3.6 on n1\n\n')
    with pytest.raises(QMapError, match='^job 7 ended: no Python 3.6 on n1$'):
        job.check()
    job, scheduler = job_at(monkeypatch, tmp_path, polls=[{}])
    os.unlink(str(tmp_path / 'disk' / 'script.0'))
    job.start()
    job.check()    # what it has said may come late
    monkeypatch.setattr(doctor, 'LIMIT', 0)
    time.sleep(0.01)
    with pytest.raises(QMapError, match='^job 7 ended: nothing of it was seen here$'):
        job.check()
    job.end()
    assert scheduler.cancelled == []


def torture_here(monkeypatch, tmp_path, limit=1):
    """Run both halves in this process for two seconds, and return the Findings."""
    folder = str(tmp_path / 'disk')
    os.mkdir(folder)
    half = torture.Half(folder, torture.NEAR, 1)
    half.prepare()
    far = threading.Thread(target=torture.run_far, args=(folder, '1', str(limit)))
    far.start()
    reports = torture.run_near(half, limit, lambda: None)
    far.join()
    return doctor.Findings(*reports)


def test_a_disk_without_o_excl_and_locks_is_found_out(monkeypatch, tmp_path):
    def make_file(path):
        open(path, 'ab').close()
    monkeypatch.setattr(torture.Claims, '_claim', lambda self, number: make_file(self._path(number)) or True)
    monkeypatch.setattr(torture.fcntl, 'flock', lambda handle, how: None)
    found = torture_here(monkeypatch, tmp_path)
    lines, usable = doctor.describe_findings(found, is_cluster=False)
    assert found.doubled > 5 and found.overlaps > 0 and not usable
    assert lines[8].startswith('bad   both made the same file (O_EXCL), ')
    assert lines[7].startswith('locks (flock)       do not exclude: taken ')
    assert lines[-1] == 'QMap should not be used here'


def test_names_that_are_listed_late_are_found_out(monkeypatch, tmp_path):
    true, lists = os.listdir, []

    def listdir(folder):
        lists.append((time.monotonic(), folder, true(folder)))
        return next((names for when, where, names in reversed(lists)
                     if where == folder and when < time.monotonic() - 0.6), [])
    monkeypatch.setattr(torture.os, 'listdir', listdir)
    found = torture_here(monkeypatch, tmp_path, limit=20)
    assert found.worst('listed') >= 0.6 > found.late['named'][0]
    assert doctor.describe_findings(found, is_cluster=False)[1]


def test_a_disk_without_atomic_rename_is_found_out(monkeypatch, tmp_path):
    true = torture.replace_file

    def replace_file(path, text):
        if path.endswith('.'):
            with open(path, 'wb') as target:
                target.write(text[:100])
                target.flush()
                time.sleep(0.05)
            os.unlink(path)
            time.sleep(0.05)
        true(path, text)
    monkeypatch.setattr(torture, 'replace_file', replace_file)
    found = torture_here(monkeypatch, tmp_path)
    lines, usable = doctor.describe_findings(found, is_cluster=False)
    assert not usable and set(found.faults['replaced']) == {'missing', 'torn'}
    assert [line for line in lines if re.match(r'bad   files replaced: missing .* times?, torn .* times?: ', line)]


# What the reports mean ################################################################################################

def reports(ahead=1e6, delay=0.01):
    """Return the reports of two halves that saw all after a delay; the far clock is so many seconds ahead."""
    near, far = (
        {'host': host, 'boot': host, 'did': {kind: [start + number for number in range(9)] for kind in KINDS},
         'seen': {kind: [start + number + delay for number in range(9)] for kind in KINDS},
         'unwatched': {}, 'faults': {kind: {} for kind in KINDS}, 'won': won,
         'held': [(start + first + number, start + first + number + 0.3) for number in range(9)], 'refused': 4,
         'lock_error': ''}
        for host, start, won, first in (('login', 0, [1, 3], 0), ('n1', ahead, [2, 4], 0.5)))
    return near, far


@pytest.mark.parametrize('ahead', [0, 1e6, -1e6])
def test_clocks_need_not_agree(ahead):
    found = doctor.Findings(*reports(ahead))
    assert 0.01 <= found.worst('named') < 0.021 and found.excludes() and not found.overlaps
    lines, usable = doctor.describe_findings(found, is_cluster=True)
    assert usable and lines[-2].startswith('locks') and lines[-1] == 'QMap can be used here'


def test_two_clocks_are_in_doubt_where_little_is_seen_at_once_and_one_is_not():
    near, far = reports(0, delay=20)
    found = doctor.Findings(near, far)
    assert found.worst('named') == found.doubt == 40
    lines, _ = doctor.describe_findings(found, is_cluster=True)
    assert [line for line in lines if line.startswith('note  all times may be up to 40 s too long, because')]
    far['boot'] = near['boot']
    assert doctor.Findings(near, far).worst('named') == 20 and not doctor.Findings(near, far).doubt


def test_what_was_not_watched_does_not_count():
    near, far = reports()
    near['seen']['named'][:2] = [50, 50]
    assert doctor.Findings(near, far).worst('named') > 49
    near['unwatched'] = {'named': 2}
    assert doctor.Findings(near, far).worst('named') < 1


@pytest.mark.parametrize('change, usable, said', [
    (lambda near, far: far['won'].append(3), False, 'bad   both made the same file (O_EXCL), 1 time: a job'),
    (lambda near, far: far['won'].append(6), False, 'bad   neither was told that it made a file (O_EXCL)'),
    (lambda near, far: far['seen']['appended'].pop(), False, 'bad   lines appended: seen too late, QMap'),
    (lambda near, far: [late(near, kind, 91) for kind in ('named', 'listed')], False,
     'bad   files opened, files listed: seen too late, QMap waits for 90 s: jobs that have ended are called lost; sho'),
    (lambda near, far: late(near, 'replaced', 91), True, 'note  the ends of jobs and orders of `control` may be'),
    (lambda near, far: late(near, 'replaced', 181), False, 'bad   files replaced: seen too late, QMap waits for 180 s'),
    (lambda near, far: late(far, 'removed', 95), False, 'bad   files removed: seen too late, QMap waits for 90 s'),
    (lambda near, far: far['faults']['replaced'].update(torn=2), False, 'bad   files replaced: torn 2 times: what '),
    (lambda near, far: far.update(lock_error='No locks available'), True, 'note  locks do not exclude: QMap does not'),
    (lambda near, far: [half.update(refused=0) for half in (near, far)], True, 'note  locks do not exclude: QMap does'),
    (lambda near, far: far['held'].append((1e6 + 2.1, 1e6 + 2.9)), True, 'note  locks do not exclude: QMap does not'),
    (lambda near, far: far.update(host='login'), True, 'note  both halves ran on login: what two nodes see of each ')])
def test_each_fault_is_named(change, usable, said):
    near, far = copy.deepcopy(reports())
    change(near, far)
    lines, can_be_used = doctor.describe_findings(doctor.Findings(near, far), is_cluster=True)
    assert can_be_used == usable and [line for line in lines if line.startswith(said)], lines
    assert len([line for line in lines if line.startswith('bad')]) == (not usable)


def late(half, kind, seconds):
    """Let a half see the last act of a kind late."""
    half['seen'][kind][-1] += seconds
