"""The journal is condensed at a start when most of it is history, and nobody can tell."""

import os

import pytest

import qmap as module


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


def condense(qmap, monkeypatch):
    """Let a driver come to which everything is bulky, and nobody else reads."""
    monkeypatch.setattr(module.Ledger, 'SMALL', -10 ** 9)
    monkeypatch.setattr(module.Driver, 'READERS', 0)
    module.Inbox(module.Logs(qmap.path('out')), module.Here()).drop({'do': 'resume'})
    execution = module.reattach(qmap.path('out'))
    execution.wait()
    return execution


def files(qmap):
    """Return the names of the journal's files."""
    return sorted(name for name in os.listdir(qmap.path('out', '.qmap')) if name.startswith(('journal', 'snapshot')))


def test_nobody_can_tell_that_it_was_condensed(folder, monkeypatch):
    before, many = told(folder), files(folder)
    condense(folder, monkeypatch)
    assert len(many) > 5 and len(files(folder)) == 2, files(folder)
    assert files(folder)[1].startswith('snapshot')
    assert told(folder) == before
    condense(folder, monkeypatch)    # and again, with the snapshot as what there is
    assert len(files(folder)) == 2 and told(folder) == before


def test_it_goes_on_where_it_was(folder, monkeypatch):
    condense(folder, monkeypatch)
    assert folder('control', '-l', 'out', 'retry', '-s', 'failed', '-m', '2G').code == 0
    folder('reattach', '-l', 'out')
    info = folder.info('out', '01')
    assert (info['status'], info['retries'], info['params']['memory']) == ('FAILED', 2, '2G')
    assert [past['attempt'] for past in info['attempts']] == [1, 2]


def test_what_is_not_the_same_is_not_used(folder, monkeypatch):
    before, many = told(folder), files(folder)
    monkeypatch.setattr(module.Ledger, 'same', lambda *args: False)
    condense(folder, monkeypatch)
    assert told(folder) == before
    assert [name for name in files(folder) if name in many] == many and not files(folder)[-1].startswith('snapshot')


def test_a_disk_without_room_for_it_keeps_the_old_ones(folder, monkeypatch):
    before, many = told(folder), files(folder)

    def full(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(module.Ledger, '_still', full)
    condense(folder, monkeypatch)
    assert told(folder) == before and [name for name in files(folder) if name in many] == many


def test_small_journals_are_left_alone(folder):
    assert not any(name.startswith('snapshot') for name in files(folder))


def test_a_viewer_goes_on(folder, monkeypatch):
    viewer = module.Execution(folder.path('out'))
    counts = viewer.counts()
    condense(folder, monkeypatch)
    with pytest.raises(module.QMapError, match='ask again'):
        list(viewer.jobs('all'))
    assert viewer.ledger.outdated()
    viewer._view()
    assert viewer.counts() == counts and len(list(viewer.jobs('all'))) == 25
