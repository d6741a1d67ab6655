"""What those see who only look: files that cannot be read, jobs that ended while no driver lived, late words."""

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time

import pytest
from conftest import ROOT, at_executor, until
from module_submit import ended, prepare, write_journal

import qmap as module

#: Hardly depends on the Python.
pytestmark = pytest.mark.once

NOBODY = 65534

#: Calls qmap as another user. What is imported later is imported here, for that user may not see where it lies.
OTHER_USER = """
import argparse, concurrent.futures.thread, difflib, fcntl, getpass, gettext
import importlib.util, os, pwd, queue, shutil, sys
import qmap, qmap_backends.tools.watch
gettext.dgettext('messages', 'x')
os.setgroups([])
os.setgid({0})
os.setuid({0})
sys.exit(qmap.main(sys.argv[1:]))
""".format(NOBODY)


@pytest.fixture
def public(qmap):
    """QMap in a folder that all may enter, and called by another user where the call says so."""
    if os.getuid():
        pytest.skip('only root can be two users')
    qmap.folder = tempfile.mkdtemp(dir='/tmp')
    os.chmod(qmap.folder, 0o755)
    own = list(qmap.program)

    def as_nobody(*args):
        qmap.program = [sys.executable, '-c', OTHER_USER]
        qmap.environ['PYTHONPATH'] = ROOT
        try:
            return qmap(*args)
        finally:
            qmap.program = own

    qmap.as_nobody = as_nobody
    yield qmap
    shutil.rmtree(qmap.folder)


def put_folder(path):
    """Let a folder stand where a file is expected: EISDIR."""
    os.rename(path, path + '.aside')
    os.mkdir(path)


def put_bad_disk(path):
    """Let each read of a file fail: EIO."""
    os.rename(path, path + '.aside')
    os.symlink('/proc/self/mem', path)


COMMANDS = {'fields': ['info', '-s', 'all', 'status'], 'map': ['info', '-s', 'u'], 'json': ['info', '--format', 'json'],
            'summary': ['info', '--summary'], 'advise': ['info', '--advise'], 'log': ['info', '--log', '0'],
            'watch': ['info', '--watch'], 'report': ['report'], 'reattach': ['reattach'], 'control': ['control']}


def call_there(tool, words, logs='out'):
    """Call qmap for a folder."""
    more = ['pause'] if words[0] == 'control' else []
    return tool(words[0], '-l', logs, *(words[1:] + more))


@pytest.mark.parametrize('spoil', [put_folder, put_bad_disk])
@pytest.mark.parametrize('name', ['.qmap/journal.0001', 'execution.info', 'qmap_input'])
def test_a_file_that_cannot_be_read_is_not_taken_for_one_that_is_not_there(qmap, name, spoil):
    qmap.write('a.map', 'true\n')
    qmap('submit', 'a.map', '--logs', 'out')
    spoil(qmap.path('out', name))
    for words in COMMANDS.values():
        result = call_there(qmap, words)
        assert result.code == 2 and not result.out, (words, result)
        assert re.match('qmap: error: .*{}: (Is a directory|Input/output error)\n$'.format(name), result.err), result


def test_a_journal_of_which_only_the_later_records_cannot_be_read(qmap):
    # The compacted one was read, and what came behind it is missing.
    qmap.write('a.map', 'false\n')
    qmap('submit', 'a.map', '--logs', 'out')
    qmap('control', '-l', 'out', 'retry')
    put_folder(qmap.path('out', '.qmap', 'journal.0002'))
    result = qmap('info', '-l', 'out', '-s', 'all', 'status')
    assert result.code == 2 and 'journal.0002: Is a directory' in result.err


@pytest.mark.parametrize('name', ['.qmap/run', '.qmap/driver.json'])
def test_what_tells_whether_the_journal_is_up_to_date_cannot_be_read(qmap, name):
    left_by_driver(qmap, 'true\n', [submitted('0')])
    if name == '.qmap/run':
        os.rename(qmap.path('out', name), qmap.path('aside'))
        qmap.write('out/.qmap/run', '')
    else:
        put_folder(qmap.path('out', name))
    for words in ('fields', 'summary', 'map', 'advise', 'report'):
        result = call_there(qmap, COMMANDS[words])
        assert result.code == 2 and name in result.err and not result.out, (words, result)


@pytest.mark.parametrize('words', [['info', '-s', 'all', 'status'], ['info', '-s', 'u'], ['info', '--summary'],
                                   ['reattach'], ['control']])
@pytest.mark.parametrize('name', ['.qmap/journal.0001', '.qmap', 'execution.info', 'qmap_input', ''])
def test_what_another_user_may_not_read_is_named(public, name, words):
    public.write('a.map', 'true\n')
    public('submit', 'a.map', '--logs', 'out')
    os.chmod(public.path('out', name), 0o600)
    result = call_there(public.as_nobody, words)
    assert result.code == 2 and not result.out, result
    read = re.match('qmap: error: .*{}.*: Permission denied'.format(os.path.join('out', name)), result.err)
    assert read or words == ['control'] and 'only users with write permission can control' in result.err, result


def test_another_user_looks_on_and_is_told_that_it_cannot_drive(public):
    left_by_driver(public, 'true\nfalse\n', [submitted('0', '1'), lost('0'), lost('1')])
    say_end(public, '0.1', 0)
    before = state_of(public)
    result = public.as_nobody('reattach', '-l', 'out')
    assert result.code == 1 and '2 jobs: 1 completed, 1 failed' in result.out
    assert state_of(public) == before
    result = public.as_nobody('control', '-l', 'out', 'pause')
    assert result.err == 'qmap: error: out: not writable (Permission denied); only users with write permission can ' \
        'control its jobs\n'


def test_another_user_who_looks_on_leaves_when_all_jobs_have_said_their_end(public):
    left_by_driver(public, 'true\ntrue\n', [submitted('0', '1'), ended('0', 5)])
    say_start(public, '1.1')
    public.program = [sys.executable, '-c', OTHER_USER]
    public.environ['PYTHONPATH'] = ROOT
    with open(public.path('screen'), 'wb') as screen:
        process = public.start('reattach', '-l', 'out', stdout=screen)
    until(lambda: '! no write permission in out; viewing only' in public.read('screen'))
    until(lambda: '1/2, 1 running, viewing; no driver is running' in public.read('screen'))
    say_end(public, '1.1', 0)
    process.communicate(timeout=60)
    assert process.returncode == 0 and '2 jobs: 2 completed' in public.read('screen')


def test_a_viewer_is_patient_with_a_journal_that_cannot_be_read_for_a_while(qmap):
    qmap.write('a.map', 'until [ -e go ]; do sleep 0.05; done\n')
    driver = qmap.start('submit', 'a.map', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '0.out')))
    with open(qmap.path('screen'), 'wb') as screen:
        viewer = qmap.start('reattach', '-l', 'out', stdout=screen)
    until(lambda: 'viewing; driver: pid {}'.format(driver.pid) in qmap.read('screen'))
    path = qmap.path('out', '.qmap', 'journal.0001')
    put_folder(path)
    until(lambda: '! {}: Is a directory'.format(path) in qmap.read('screen'))
    os.rmdir(path)
    os.rename(path + '.aside', path)
    qmap.write('go', '')
    viewer.communicate(timeout=60)
    driver.communicate(timeout=60)
    assert (viewer.returncode, driver.returncode) == (0, 0), qmap.read('screen')


def test_what_was_read_before_a_file_could_be_read_no_further_counts_once(qmap, monkeypatch):
    logs = left_by_driver(qmap, 'true\n' * 3, [submitted('0', '1', '2')] + [ended(id, 5) for id in '012'])
    ledger, read_events = module.Plan(logs).ledger(), module.read_events

    def fail_after_some(*args):
        ends = 0
        for found in read_events(*args):
            ends += found[0]['event'] == 'end'
            if ends == 2:
                raise OSError(5, 'Input/output error')
            yield found

    monkeypatch.setattr(module, 'read_events', fail_after_some)
    with pytest.raises(OSError) as error:
        ledger.load()
    assert error.value.filename == logs.journal(1) and ledger.counts[3] == 1
    monkeypatch.setattr(module, 'read_events', read_events)
    ledger.load()
    assert ledger.counts[3] == 3 and ledger.totals.requested == 15


def test_watching_is_patient_with_a_journal_that_cannot_be_read_for_a_while(qmap):
    journal = left_by_driver(qmap, 'true\n', [submitted('0')]).journal(1)
    with open(qmap.path('seen'), 'wb') as seen:
        process = qmap.start('info', '-l', 'out', '--watch', '--every', '1', 'status', stdout=seen)
    until(lambda: '! no driver is running' in qmap.read('seen') and '0   PENDING' in qmap.read('seen'))
    put_folder(journal)
    until(lambda: '! {}: Is a directory'.format(journal) in qmap.read('seen'))
    os.rmdir(journal)
    os.rename(journal + '.aside', journal)
    say_end(qmap, '0.1', 0)
    assert process.wait(60) == 0
    assert qmap.read('seen').splitlines()[-1] == '0   COMPLETED'
    process.stderr.close()


def test_a_driver_is_patient_with_words_of_a_job_that_cannot_be_read_for_a_while(qmap):
    from test_driver import Scripted, execution
    driver = execution(qmap, 'until [ -e go ]; do sleep 0.05; done\n', Scripted())
    driver.lead()
    driver.tick()
    until(lambda: qmap.words('out'))
    qmap.write('go', '')
    until(lambda: qmap.ends('out'))
    path = qmap.path('out', '.qmap', 'run', '0.1.start')
    put_folder(path)
    for _ in range(3):
        driver.tick()
        assert driver.trouble == path + ': Is a directory' and not driver.ledger.counts[4]
    os.rmdir(path)
    os.rename(path + '.aside', path)
    driver.tick()
    assert driver.counts()['COMPLETED'] == 1


def test_an_order_that_cannot_be_read_keeps_no_other_from_being_obeyed(qmap):
    qmap.write('a.map', 'false\n')
    qmap('submit', 'a.map', '--logs', 'out')
    os.mkdir(qmap.path('out', '.qmap', 'inbox', '0.json'))
    assert qmap('control', '-l', 'out', 'retry').out.startswith('retrying 1 job\n')
    assert qmap('reattach', '-l', 'out').code == 1
    assert qmap('info', '-l', 'out', 'retries').lines[1:] == ['0\t1']


def test_a_job_that_made_its_output_unreadable_has_ended_all_the_same(qmap):
    qmap.write('a.map', 'rm "$QMAP_LOGS/0.err"; mkdir "$QMAP_LOGS/0.err"; exit 3\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1
    info = qmap.info('out', '0')
    assert info['exit_code'] == 3 and info['error'] == qmap.path('out', '0.err') + ': Is a directory'
    assert qmap('report', '-l', 'out').code == 0 and '0.err: Is a directory' in qmap.read('out.html')


def test_an_execution_info_that_is_damaged_is_told_from_none(qmap):
    prepare(qmap, 'true\n', 'out')
    qmap.write('out/execution.info', '{"token": "1')
    result = qmap('info', '-l', 'out')
    assert result.code == 2 and result.err == 'qmap: error: {}: damaged: not JSON; restore it from a backup\n'.format(
        qmap.path('out', 'execution.info'))


def test_a_file_above_the_folder_is_no_execution(qmap):
    qmap.write('a.map', 'true\n')
    result = qmap('info', '-l', 'a.map/out')
    assert result.code == 2 and 'a.map/out: Not a directory' in result.err


def test_a_driver_of_another_user_is_seen_where_proc_hides_it(monkeypatch):
    def refuse(pid, number):
        raise error

    born = module.birth(os.getpid())
    assert module.seems_alive(os.getpid(), born) and not module.seems_alive(os.getpid(), born + '0')
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    monkeypatch.setattr(os, 'kill', refuse)
    for error, alive in ((PermissionError(), True), (ProcessLookupError(), False)):
        assert module.seems_alive(4711, born) is alive
    assert not module.seems_alive(4711, 'another-boot/12')


# What the jobs have written since the last driver left

def left_by_driver(tool, text, events):
    """Make an execution that a driver has left behind with these events in its journal, and return its Logs."""
    path = prepare(tool, text, 'out')
    write_journal(path, events)
    tool.write('out/.qmap/driver.json', '{"host": "login", "pid": 1, "born": "x/1", "epoch": 1, "released": true}')
    return module.Logs(path)


def submitted(*ids, **more):
    """Return the event of a batch with the first attempts of these jobs."""
    return dict({'event': 'batch', 'batch': 1, 'name': 'x.1', 'tasks': [id + '.1' for id in ids], 'time': 1000.0},
                **more)


def lost(id):
    """Return the event of a job that was called lost."""
    return {'event': 'end', 'job': id, 'attempt': 1, 'status': 'FAILED', 'batch': 1, 'k': 0, 'submitted': 1000.0,
            'started': 1010.0, 'finished': 5000.0, 'host': 'c01', 'error_reason': 'lost', 'unheard': True,
            'error': 'vanished without reporting an exit status'}


def say_start(tool, key, **more):
    """Let an attempt say that it began."""
    who = dict({'host': 'c02', 'pid': 7, 'born': 'x/7', 'executor_id': '77', 'batch': 1}, **more)
    tool.write('out/.qmap/run/{}.start'.format(key), '{}\n{}s {} 1010.5 .\n'.format(
        json.dumps(who), '0m0.000s 0m0.000s\n' * 2, key))


def say_end(tool, key, code):
    """Let an attempt say how it ended."""
    if key + '.start' not in os.listdir(tool.path('out', '.qmap', 'run')):
        say_start(tool, key)
    with open(tool.path('out', '.qmap', 'run', key + '.start'), 'a') as words:
        words.write('0m0.000s 0m0.000s\n0m1.000s 0m0.500s\ne {} {} .\n'.format(key, json.dumps(
            {'exit_code': code, 'time': 1020.5, 'memory': 5000})))


def state_of(tool):
    """Return all that lies in the logs folder: path, contents, when it was written."""
    found = []
    for folder, _, names in os.walk(tool.path('out')):
        found += [(path, os.stat(path).st_mtime_ns, tool.read(path)) for path in (
            os.path.join(folder, name) for name in sorted(names))]
    return sorted(found)


def test_jobs_that_went_on_without_a_driver_are_shown_as_they_are(qmap):
    qmap.write('a.map', 'echo begun; until [ -e go ]; do sleep 0.05; done\n'
                        'echo begun; until [ -e go ]; do sleep 0.05; done; echo "no such sample" >&2; exit 5\n')
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '2')
    until(lambda: all(os.path.exists(qmap.path('out', name)) and qmap.read('out', name) for name in ('0.out', '1.out')))
    process.kill()
    process.communicate()
    result = qmap('info', '-l', 'out', '--summary')
    assert result.lines[0] == '2 jobs: 2 running'
    assert result.err.startswith('qmap: warning: no driver is running: ')
    qmap.write('go', '')
    until(lambda: len(qmap.ends('out')) == 2)
    before = state_of(qmap)
    result = qmap('info', '-l', 'out', '--summary')
    assert result.lines[0].startswith('2 jobs: 1 completed, 1 failed, in 00:00:') and not result.err
    assert result.lines[1] == '  1 job: exit 5: no such sample  (id 1)'
    result = qmap('info', '-l', 'out', '-s', 'all', 'status', 'exit_code', 'error', 'executor_id')
    pids = re.findall(r'(\d+)\n', result.out)
    assert result.lines[1:] == ['0\tCOMPLETED\t0\t\t' + pids[0], '1\tFAILED\t5\tno such sample\t' + pids[1]]
    assert not result.err and float(qmap('info', '-l', 'out', 'usage.time.seconds').lines[1].split('\t')[1]) > 0
    assert qmap('info', '-l', 'out', '--collapse').lines == [qmap.read('a.map').splitlines()[1] + ' ## line=1']
    assert 'based on the 1 completed of 2 jobs' in qmap('info', '-l', 'out', '--advise').out
    assert qmap('info', '-l', 'out', '--watch', 'status').lines[-2:] == ['0   COMPLETED', '1   FAILED']
    assert qmap('info', '-l', 'out', '--log', '1', '--err', '--follow').out == 'no such sample\n'
    assert state_of(qmap) == before, 'a look writes nothing'
    assert qmap('report', '-l', 'out').code == 0 and 'no such sample' in qmap.read('out.html')
    assert state_of(qmap) == before
    qmap('reattach', '-l', 'out')
    assert qmap.statuses('out') == ['COMPLETED', 'FAILED'] and os.listdir(qmap.path('out', '.qmap', 'run')) == []


def test_what_was_left_to_a_scheduler_is_seen_to_end(qmap):
    at_executor(qmap, 'lsf')
    qmap.write('a.map', 'true\nuntil [ -e go ]; do sleep 0.05; done; exit 4\n')
    assert qmap('submit', 'a.map', '-p', 'lsf', '--leave', '--logs', 'out').code == 0
    until(lambda: qmap.statuses('out') == ['COMPLETED', 'RUNNING'])
    assert 'no driver is running' in qmap('info', '-l', 'out', '--summary').err
    qmap.write('go', '')
    until(lambda: qmap.statuses('out') == ['COMPLETED', 'FAILED'])
    result = qmap('info', '-l', 'out', '--summary')
    assert result.lines[1] == '  1 job: exit 4  (id 1)' and not result.err
    assert qmap('reattach', '-l', 'out').code == 1 and qmap.statuses('out') == ['COMPLETED', 'FAILED']


def test_what_began_since_is_running_and_what_only_the_scheduler_knows_is_pending(qmap):
    left_by_driver(qmap, 'true\n' * 4, [submitted('0', '1', '2', '3'), {
        'event': 'run', 'job': '3', 'attempt': 1, 'status': 'RUNNING', 'batch': 1, 'k': 4, 'submitted': 1000.0,
        'started': 1001.0, 'host': 'c09', 'executor_id': '9'}])
    say_start(qmap, '1.1')
    say_start(qmap, '2.1')
    with open(qmap.path('out', '.qmap', 'run', '2.1.start'), 'a') as words:
        words.write('v 2.1 .\n')
    result = qmap('info', '-l', 'out', '-s', 'all', 'status', 'host', 'executor_id', 'seconds.started')
    assert result.lines[1:] == ['0\tPENDING\t\t\t', '1\tRUNNING\tc02\t77\t1010.5', '2\tPENDING\t\t\t',
                                '3\tRUNNING\tc09\t9\t1001.0']
    assert qmap('info', '-l', 'out', '--summary').lines[0] == '4 jobs: 2 pending, 2 running'
    for words in COMMANDS:
        if words not in ('watch', 'log', 'reattach', 'control'):
            assert call_there(qmap, COMMANDS[words]).err.count('no driver is running: submitted jobs') == 1


@pytest.mark.parametrize('name', [
    '', '1.2.end', '9.1.end', 'x.1.start', '1.1.start', '1.1.why', 'home.1', '0.1.end', '1.1.end'])
def test_what_else_lies_there_is_no_word_of_a_job(qmap, name):
    left_by_driver(qmap, 'true\ntrue\n', [submitted('0', '1'), ended('0', 5)])
    if name:
        qmap.write('out/.qmap/run/' + name, '')    # what is torn stands there empty
    assert qmap.statuses('out') == ['COMPLETED', 'PENDING']


def test_jobs_that_share_a_shell_tell_of_themselves_as_well(qmap):
    left_by_driver(qmap, 'true\n' * 6, [submitted(*'012345', shares=1), ended('0', 5)])
    qmap.write('out/5.err', 'oh\n')
    qmap.write('out/.qmap/run/share.1.0', ''.join([
        '{"host":"c03","pid":8,"born":"x/8","executor_id":"8"}\n',
        's 0.1 1010.0 .\n0m0.0s 0m0.0s\n0m0.1s 0m0.1s\ne 0.1 1015.0 0 .\n',
        's 1.1 1020.0 .\n0m0.0s 0m0.0s\n0m0.3s 0m0.1s\ne 1.1 1025.0 0 .\n',
        's 5.1 1030.0 .\n0m0.0s 0m0.0s\n0m0.3s 0m0.1s\ne 5.1 1035',
        '\n0m0.0s 0m0.0s\n0m0.3s 0m0.1s\ne 5.1 1035.0 4 .\n',
        's 2.1 1040.0 .\ns 3.1 104']))
    result = qmap('info', '-l', 'out', '-s', 'all', 'status', 'host', 'usage.time.seconds', 'usage.time.cpu', 'error')
    assert result.lines[1:] == [
        '0\tCOMPLETED\tc01\t5.0\t\t', '1\tCOMPLETED\tc03\t5.0\t0.2\t', '2\tRUNNING\tc03\t\t\t', '3\tPENDING\t\t\t\t',
        '4\tPENDING\t\t\t\t', '5\tFAILED\tc03\t5.0\t0.0\toh']
    assert '2 pending, 1 running, 2 completed, 1 failed' in qmap('info', '-l', 'out', '--summary').lines[0]


def test_why_a_job_was_ended_is_told_too(qmap):
    left_by_driver(qmap, 'false\nfalse\n', [submitted('0', '1'), {'event': 'cancel', 'numbers': [[1, 1]]}])
    for key in ('0.1', '1.1'):
        say_start(qmap, key)
        say_end(qmap, key, 143)
    qmap.write('out/.qmap/run/0.1.why', '{"reason": "time", "words": "time limit exceeded (00:00:01)"}\n')
    assert qmap('info', '-l', 'out', 'error_reason', 'error').lines[1:] == [
        '0\ttime\ttime limit exceeded (00:00:01)', '1\tcancelled\tcancelled']


def test_of_a_group_the_map_holds_what_did_not_end_well(qmap):
    logs = left_by_driver(qmap, 'true\ntrue\nfalse\ntrue\n', [submitted('0')])
    module.write_json(logs.execution, dict(module.read_json(logs.execution), group=4))
    say_end(qmap, '0.1', 1)
    qmap.write('out/.qmap/run/0.1.done', '0\n1\n')
    assert qmap('info', '-l', 'out', '--collapse').lines == ['false ## line=2', 'true ## line=3']


def test_a_driver_on_another_host_that_is_silent_for_long_is_not_believed_to_know_all(qmap):
    left_by_driver(qmap, 'true\ntrue\n', [submitted('0', '1')])
    say_end(qmap, '0.1', 0)
    path = qmap.path('out', '.qmap', 'driver.json')
    qmap.write(path, '{"host": "login9", "pid": 17, "born": "y/1", "epoch": 1, "beat": 4, "released": false}')
    assert qmap.statuses('out') == ['PENDING'] * 2, 'its driver will say so in a moment'
    os.utime(path, (time.time() - 1000,) * 2)
    result = qmap('info', '-l', 'out', '-s', 'all', 'status')
    assert result.lines[1:] == ['0\tCOMPLETED', '1\tPENDING']
    assert 'no heartbeat from the driver (pid 17 on login9) for 00:16:' in result.err


# What comes late

@pytest.mark.parametrize('code, status', [(0, 'COMPLETED'), (3, 'FAILED')])
def test_what_a_lost_job_says_late_is_believed_also_when_all_others_have_ended(qmap, code, status):
    left_by_driver(qmap, 'true\ntrue\n', [submitted('0', '1'), ended('1', 5), lost('0')])
    qmap.write('out/0.err', 'why\n')
    assert 'vanished without reporting' in qmap('info', '-l', 'out', '--summary').lines[1]
    say_end(qmap, '0.1', code)
    before, fields = state_of(qmap), ['status', 'exit_code', 'error', 'error_reason', 'host', 'usage.time.elapsed']
    seen = [qmap('info', '-l', 'out', '-s', 'all', *fields).lines, qmap('info', '-l', 'out', '--summary').lines,
            qmap('info', '-l', 'out', '--collapse').lines]
    assert seen[0][1].startswith('0\t{}\t{}'.format(status, code)) and 'vanished' not in str(seen)
    assert seen[2] == ([] if status == 'COMPLETED' else ['true ## line=0'])
    assert state_of(qmap) == before
    result = qmap('reattach', '-l', 'out')
    assert result.code == (1 if code else 0) and seen[1][0] in result.out, result
    assert seen == [qmap('info', '-l', 'out', '-s', 'all', *fields).lines, qmap('info', '-l', 'out', '--summary').lines,
                    qmap('info', '-l', 'out', '--collapse').lines]
    assert qmap.info('out', '0')['status'] == status and os.listdir(qmap.path('out', '.qmap', 'run')) == []


def test_a_job_that_is_lost_for_good_stays_so(qmap):
    qmap.write('a.map', 'cut -d" " -f6 /proc/self/stat; sleep 1000\n')    # the runner leads its session
    process = qmap.start('submit', 'a.map', '--logs', 'out')
    runner = int(until(lambda: os.path.exists(qmap.path('out', '0.out')) and qmap.read('out', '0.out')))
    process.kill()
    process.communicate()
    for pid in [int(name) for name in os.listdir('/proc') if name.isdigit()]:
        try:
            if os.getsid(pid) == runner:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for _ in range(2):
        assert qmap('reattach', '-l', 'out').code == 1 and qmap.info('out', '0')['error_reason'] == 'lost'
    say_end(qmap, '0.1', 0)
    assert qmap('reattach', '-l', 'out').code == 0
    say_end(qmap, '0.1', 1)    # a word of one that has said all
    assert qmap('reattach', '-l', 'out').code == 0 and qmap.statuses('out') == ['COMPLETED']


def test_what_a_job_says_while_its_driver_leaves_is_taken_in(qmap):
    from test_driver import Scripted, execution
    driver = execution(qmap, 'until [ -e go ]; do sleep 0.05; done\n', Scripted())
    driver.lead()
    driver.tick()
    assert driver.counts()['COMPLETED'] == 0
    qmap.write('go', '')
    until(lambda: qmap.ends('out'))
    driver.leaving = 'leave'
    driver._finish()
    assert driver.counts()['COMPLETED'] == 1 and qmap.info('out', '0')['status'] == 'COMPLETED'


def test_a_late_word_of_an_attempt_before_the_last_counts_for_nothing(qmap):
    left_by_driver(qmap, 'true\n', [submitted('0'), lost('0'), {'event': 'retry', 'numbers': [[0, 0]]}])
    say_end(qmap, '0.1', 0)
    assert qmap.statuses('out') == ['UNSUBMITTED']


def test_it_took_as_long_whoever_says_so(qmap):
    logs = left_by_driver(qmap, 'true\ntrue\n', [submitted('0'), ended('0', 5)])
    module.write_json(logs.execution, dict(module.read_json(logs.execution), created_seconds=1000.0))
    told = qmap('reattach', '-l', 'out').lines
    line = qmap('info', '-l', 'out', '--summary').lines[0]
    assert line in told and re.match(r'2 jobs: 2 completed, in \d+-\d\d:\d\d:\d\d$', line)
    assert line in qmap('reattach', '-l', 'out').lines
