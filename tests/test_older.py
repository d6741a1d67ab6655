"""Executions that an older version began go on with this one.

`data/1.0.0` is the logs folder of one: jobs of two commands each on one machine, of which some completed, one
failed, two were cancelled while they ran and one before it was submitted, and one runs once more with more
memory. Its fourth driver was killed, and its machine went down with two shells that ran several short jobs in
turn: one job had completed there unnoticed, one was at work, two were only on the lists.
"""

import json
import os

import pytest

import qmap as module
from conftest import ROOT
from test_journal import compact, files, told

DATA = os.path.join(ROOT, 'tests', 'data', '1.0.0')

#: Where it was made.
FOLDER, HOST, BOOT = '/home/user/work', 'node1', '00000000-0000-0000-0000-000000000001'


def move_execution(source, target, texts):
    """Copy a logs folder, as if it had been made elsewhere.

    Args:
        source, target: paths
        texts: dict of what its files say: {as it is: as it shall be}
    """
    ends = {}    # {segment: {where a line ended: where it ends now}}
    for folder, _, names in os.walk(source):
        there = os.path.join(target, os.path.relpath(folder, source))
        os.makedirs(there, exist_ok=True)
        for name in sorted(names):
            with open(os.path.join(folder, name)) as lines:
                kind, _, epoch = name.partition('.')
                lines = move_segment(lines, epoch, texts, ends) if kind == 'journal' else [
                    replaced(line, texts) for line in lines]
            with open(os.path.join(there, name), 'w') as copy:
                copy.writelines(lines)
    for name in ('run', 'batch', 'inbox'):
        os.makedirs(os.path.join(target, '.qmap', name), exist_ok=True)
    path = os.path.join(target, 'execution.info')
    with open(path) as info:
        info = json.load(info)
    with open(path, 'w') as copy:
        json.dump(dict(info, inode=os.stat(target).st_ino), copy, indent=2)


def move_segment(lines, epoch, texts, ends):
    """Return the lines of a segment of the journal, and note in `ends` where they end. They have no sums yet."""
    own, old, new, found = ends.setdefault(str(int(epoch)), {}), 0, 0, []
    for line in lines:
        old += len(line)
        event = json.loads(replaced(line, texts))
        if 'read' in event:
            event['read'] = {read: ends[read][end] for read, end in event['read'].items()}
        found.append(json.dumps(event, separators=(',', ':')) + '\n')
        new += len(found[-1])
        own[old] = new
    return found


def replaced(line, texts):
    """Return a line with other texts in it."""
    for text, other in texts.items():
        line = line.replace(text, other)
    return line


@pytest.fixture(params=[module.boot_id(), BOOT], ids=['same boot', 'other boot'])
def older(qmap, request):
    """That execution, as if it had been made on this machine, with its jobs free to end."""
    move_execution(DATA, qmap.path('out'), {FOLDER: qmap.folder, HOST: module.Host().host, BOOT: request.param})
    qmap.write('all', '')
    return qmap


def rows(qmap, *fields):
    """Return what `info` says of all jobs, as {id: list of texts}."""
    lines = qmap('info', '-l', 'out', '-s', 'all', 'id', *fields).lines
    return {line.split('\t')[0]: line.split('\t')[1:] for line in lines[1:]}


#: How it ends.
ENDS = {'00': 'COMPLETED', '02': 'exit', '04': 'COMPLETED', '06': 'cancelled', '08': 'cancelled', '10': 'cancelled',
        '12': 'COMPLETED', '14': 'COMPLETED', '16': 'COMPLETED', '20': 'COMPLETED', '22': 'COMPLETED'}


def test_one_looks_at_it(older):
    statuses = rows(older, 'status', 'error_reason')
    assert {id: statuses[id] for id in ('00', '02', '06', '10')} == {
        '00': ['COMPLETED', ''], '02': ['FAILED', 'exit'], '06': ['FAILED', 'cancelled'], '10': ['FAILED', 'cancelled']}
    assert statuses['16'] == ['COMPLETED', '']    # as its shell says
    assert statuses['18'] == ['RUNNING', ''] and statuses['20'] == ['PENDING', '']
    jobs = {job['id']: job for job in module.Execution(older.path('out')).jobs('all')}
    assert [past['exit_code'] for past in jobs['04']['attempts']] == [1] and jobs['04']['params']['memory'] == '200M'


def test_it_goes_on_to_its_end(older, monkeypatch):
    result = older('reattach', '-l', 'out', '-q', timeout=30)
    assert result.code == 1, result
    ended = rows(older, 'status', 'error_reason', 'retries')
    assert {id: reason or status for id, (status, reason, _) in ended.items() if id != '18'} == ENDS
    assert int(ended['04'][2]) >= 1 and older.info('out', '04')['params']['memory'] == '200M'
    before = told(older)
    compact(older, monkeypatch)
    assert told(older) == before and len(files(older)) == 2, files(older)
