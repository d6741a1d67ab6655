"""The journal is compacted at a start when most of it is history, and nobody can tell."""

import os
import signal
import subprocess
import sys

import pytest
from module_submit import ended, prepare, write_journal

import qmap as module
from conftest import ROOT


@pytest.fixture
def folder(qmap):
    """An execution with all kinds of ends, several attempts, and orders."""
    qmap.write('a.map', 'true\nexit 3\necho words >&2; exit 1\nkill -9 $$\ntest $QMAP_ATTEMPT = 2\n' + 'true\n' * 20)
    assert qmap('submit', 'a.map', '-l', 'out').code == 1
    for order in (['retry', '-m', '1G', '1-4'], ['retry', '2'], ['cancel', '2'], ['max-running', '1'], ['retry', '3']):
        assert qmap('control', '-l', 'out', *order).code == 0
        if order[-1] != '2':
            qmap('reattach', '-l', 'out')
    return qmap


def told(qmap):
    """Return all that the tools tell of it."""
    return qmap('info', '-l', 'out', '-s', 'all', '--format', 'json').out, qmap('info', '-l', 'out', '--summary').out


def compact(qmap, monkeypatch):
    """Let a driver come to which everything is worth compacting, and nobody else reads."""
    monkeypatch.setattr(module.Ledger, 'SMALL', -10 ** 9)
    monkeypatch.setattr(module.Lease, 'READERS', 0)
    module.Inbox(module.Logs(qmap.path('out')), module.Host()).drop({'do': 'resume'})
    execution = module.reattach(qmap.path('out'))
    execution.wait()
    return execution


def files(qmap):
    """Return the names of the journal's files."""
    return sorted(name for name in os.listdir(qmap.path('out', '.qmap')) if name.startswith(('journal', 'snapshot')))


def test_nobody_can_tell_that_it_was_compacted(folder, monkeypatch):
    before, many = told(folder), files(folder)
    compact(folder, monkeypatch)
    assert len(many) > 5 and len(files(folder)) == 2, files(folder)
    assert files(folder)[1].startswith('snapshot')
    assert told(folder) == before
    compact(folder, monkeypatch)    # and again, with the snapshot as what there is
    assert len(files(folder)) == 2 and told(folder) == before


def test_it_goes_on_where_it_was(folder, monkeypatch):
    compact(folder, monkeypatch)
    assert folder('control', '-l', 'out', 'retry', '-s', 'failed', '-m', '2G').code == 0
    folder('reattach', '-l', 'out')
    info = folder.info('out', '01')
    assert (info['status'], info['retries'], info['params']['memory']) == ('FAILED', 2, '2G')
    assert [past['attempt'] for past in info['attempts']] == [1, 2]


def test_what_is_not_the_same_is_not_used(folder, monkeypatch):
    before, many = told(folder), files(folder)
    monkeypatch.setattr(module.Ledger, 'verify', lambda *args: False)
    compact(folder, monkeypatch)
    assert told(folder) == before
    assert [name for name in files(folder) if name in many] == many and not files(folder)[-1].startswith('snapshot')


def test_a_disk_without_room_for_it_keeps_the_old_ones(folder, monkeypatch):
    before, many = told(folder), files(folder)

    def full(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(module.Compaction, '_surviving', full)
    compact(folder, monkeypatch)
    assert told(folder) == before and [name for name in files(folder) if name in many] == many


def test_small_journals_are_left_alone(folder):
    assert not any(name.startswith('snapshot') for name in files(folder))


def test_a_viewer_goes_on(folder, monkeypatch):
    viewer = module.Session(folder.path('out'))
    counts = viewer.counts()
    compact(folder, monkeypatch)
    with pytest.raises(module.QMapError, match='try again'):
        list(viewer.jobs('all'))
    assert viewer.ledger.outdated()
    viewer._view()
    assert viewer.counts() == counts and len(list(viewer.jobs('all'))) == 25


#: A driver to which everything is worth compacting, and that is killed before the step with this number.
KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import qmap
step = int(sys.argv[3])
qmap.Ledger.SMALL, qmap.Lease.READERS = -10 ** 9, 0

def before(owner, name):
    real = getattr(owner, name)

    def wrapped(*args, **kwargs):
        global step
        if compacting:
            step -= 1
            if step < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(owner, name, wrapped)

compacting, real = [], qmap.Lease._compact
qmap.Lease._compact = lambda driver: (compacting.append(1), real(driver))
for owner, name in ((qmap.os, 'fsync'), (qmap.os, 'replace'), (qmap.Ledger, 'compact'),
                    (qmap.Ledger, '_read_snapshot'), (qmap.Ledger, 'verify'), (qmap.Lease, 'remove_history'),
                    (qmap.Driver, '_finish')):
    before(owner, name)
qmap.Inbox(qmap.Logs(sys.argv[2]), qmap.Host()).drop({'do': 'resume'})
qmap.reattach(sys.argv[2]).wait()
"""


@pytest.mark.slow
def test_whoever_compacts_may_be_killed_at_any_step(folder):
    want = told(folder)
    for step in range(100):
        code = subprocess.call([sys.executable, '-c', KILLED, ROOT, folder.path('out'), str(step)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert told(folder) == want, step
        if not code:
            break
        assert code == -signal.SIGKILL, step
    assert step >= 9 and len(files(folder)) == 2, (step, files(folder))


def test_the_second_retry_of_a_job_that_was_taken_back_is_compacted(qmap):
    def batch(number, attempt):
        return {'event': 'batch', 'batch': number, 'name': 'a.{}.x'.format(number), 'tasks': ['0.{}'.format(attempt)],
                'time': 1000.0}

    retry = {'event': 'retry', 'numbers': [[0, 0]]}
    failed = ended('0', 5, attempt=2, batch=2, status='FAILED', error_reason='exit', exit_code=1)
    path = prepare(qmap, 'true\n', 'out')
    write_journal(path, [
        batch(1, 1), ended('0', 5), retry, batch(2, 2), failed, retry, batch(3, 3),
        {'event': 'returned', 'tasks': ['0.3'], 'spent': False, 'time': 1000.0}, failed])
    logs, snapshot = module.Logs(path), qmap.path('snapshot')
    ledger = module.Ledger(logs, 1, 1)
    ledger.load()
    assert [past['attempt'] for past in ledger.earlier(0)] == [1]
    places = ledger.compact(snapshot, 1)
    fresh = module.Ledger(logs, 1, 1, (snapshot, 1))
    fresh.load()
    assert fresh.verify(ledger, places)


def test_the_open_segment_is_known_by_the_name_that_it_has(tmp_path):
    """File systems that ask by name what is open (some of FUSE do) would find no file."""
    path = str(tmp_path / 'journal.0001')
    journal = module.Journal(path, {'event': 'open'})
    names = [os.readlink('/proc/self/fd/' + number) for number in os.listdir('/proc/self/fd')
             if os.path.lexists('/proc/self/fd/' + number)]
    journal.close()
    assert [name for name in names if name.startswith(path)] == [path]


def test_what_a_full_disk_tears_several_times_hides_no_record(tmp_path, monkeypatch):
    journal = module.Journal(str(tmp_path / 'journal.0001'), {'event': 'open'})
    put, cut, failing = journal._put, os.ftruncate, [True, True]
    cuts = [OSError(5, 'Input/output error'), None]

    def put_some(data):
        if failing:
            failing.pop()
            put(data[:20])
            raise OSError(28, 'No space left on device')
        return put(data)

    def cut_maybe(handle, size):
        error = cuts.pop(0)
        if error:
            raise error
        cut(handle, size)

    monkeypatch.setattr(journal, '_put', put_some)
    monkeypatch.setattr(os, 'ftruncate', cut_maybe)
    for _ in range(2):
        with pytest.raises(OSError):
            journal.write([{'event': 'left', 'time': 7}])
    places = journal.write([{'event': 'left', 'time': 8}])
    journal.close()
    with open(str(tmp_path / 'journal.0001'), 'rb') as source:
        events = [event for event, _, _ in module.read_events(source)]
        source.seek(places[0])
        assert module.parse_event(source.readline()) == {'event': 'left', 'time': 8}
    assert [event and event['event'] for event in events] == ['open', 'sum', None, 'torn', 'left', 'sum']


def test_who_looks_reads_on_while_another_process_has_only_begun_to_drive(qmap):
    logs = module.Logs(prepare(qmap, 'true\n' * 2, qmap.path('out')))

    def lead(epoch, read):
        return {'event': 'lead', 'epoch': epoch, 'read': read, 'host': 'a', 'pid': 1, 'born': 'b/1', 'time': 0}

    first = module.Journal(logs.journal(1), {'event': 'open', 'host': 'a', 'pid': 1, 'born': 'b/1'})
    first.write([lead(1, {})])
    second = module.Journal(logs.journal(2), {'event': 'open', 'host': 'a', 'pid': 2, 'born': 'b/2'})
    ledger = module.Ledger(logs, 2, 1)
    ledger.load()
    first.write([{'event': 'dropped', 'numbers': [[0, 0]], 'time': 0}])
    ledger.load()
    assert ledger.record(0)['status'] == 'FAILED'
    second.write([lead(2, {'1': first.size})])
    first.write([{'event': 'dropped', 'numbers': [[1, 1]], 'time': 0}])    # counts for nothing
    ledger.load()
    assert ledger.record(1)['status'] == 'UNSUBMITTED' and not ledger.damage
    first.close()
    second.close()
