"""Executions that an older version began go on with this one.

`data/1.0.0` is the logs folder of one: jobs of two commands each on one machine, of which some completed, one
failed, two were cancelled while they ran and one before it was submitted, and one runs once more with more
memory. Its fourth driver was killed, and its machine went down with two shells that ran several short jobs in
turn: one job had completed there unnoticed, one was at work, two were only on the lists.
"""

import json
import os
import subprocess

import pytest

import qmap as module
from conftest import ROOT, until
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
    os.utime(qmap.path('out', '.qmap', 'driver.json'), (1e9, 1e9))
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


#: What the runner of an older version did, without its care.
OLD_RUNNER = r"""
cd "$1"
read -r boot </proc/sys/kernel/random/boot_id
read -r line </proc/$$/stat
line=(${line##*) })
printf '{"host":"%s","pid":%d,"born":"%s","executor_id":"%d","time":%d}\n' \
    "$2" $$ $boot/${line[19]} $$ $(date +%s) >out/.qmap/run/5.1.start
until [ -e go ]; do sleep 0.05; done
echo ran >>ran_5
{ times; printf '{"exit_code":0,"time":%d,"memory":0}\n' $(date +%s); } >out/.qmap/run/5.1.end
"""


def test_its_tasks_of_one_job_each_are_heard_to_their_end(qmap):
    from test_reading import left_by_driver, submitted
    logs = left_by_driver(qmap, 'echo ran >>ran_${QMAP_LINE}\n' * 7, [
        submitted(*'0123456'), {'event': 'submitted', 'batch': 1, 'id': 'x.1'}])
    host, run = module.Host().host, 'out/.qmap/run/{}.1.{}'
    begun = '{{"host":"{}","pid":7,"born":"{}/7","executor_id":"7","time":1010.5}}\n'.format(host, BOOT)
    said = '0m0.000s 0m0.000s\n0m1.000s 0m0.500s\n{{"exit_code":{},"time":1020.5,"memory":5000}}\n'
    for id, start, end in (('0', begun, said.format(0)), ('1', begun, said.format(3)), ('2', begun, None),
                           ('3', '{"void":1}\n', None), ('6', begun, '0m0.000s')):
        qmap.write(run.format(id, 'start'), start)
        if end is not None:
            qmap.write(run.format(id, 'end'), end)
    qmap.write('out/.qmap/batch/1', OLD_RUNNER)
    runner = subprocess.Popen(['bash', logs.batch(1), qmap.folder, host], start_new_session=True)
    until(lambda: 'executor_id' in qmap.read(run.format('5', 'start')) if os.path.exists(
        qmap.path(run.format('5', 'start'))) else False)
    assert rows(qmap, 'status', 'executor_id') == {
        '0': ['COMPLETED', '7'], '1': ['FAILED', '7'], '2': ['RUNNING', '7'], '3': ['PENDING', ''],
        '4': ['PENDING', ''], '5': ['RUNNING', str(runner.pid)], '6': ['RUNNING', '7']}
    with open(qmap.path('screen'), 'wb') as screen:
        process = qmap.start('reattach', '-l', 'out', stdout=screen)
    until(lambda: all(os.path.exists(qmap.path('ran_' + id)) for id in '2346'))
    qmap.write('go', '')
    assert runner.wait(60) == 0
    process.communicate(timeout=60)
    assert process.returncode == 1, qmap.read('screen')
    assert rows(qmap, 'status', 'retries', 'usage.time.cpu')['0'] == ['COMPLETED', '0', '1.5']
    assert rows(qmap, 'status', 'retries', 'exit_code') == {
        '0': ['COMPLETED', '0', '0'], '1': ['FAILED', '0', '3'], '2': ['COMPLETED', '1', '0'],
        '3': ['COMPLETED', '0', '0'], '4': ['COMPLETED', '0', '0'], '5': ['COMPLETED', '0', '0'],
        '6': ['COMPLETED', '1', '0']}
    assert sorted(name for name in os.listdir(qmap.folder) if name.startswith('ran_')) == [
        'ran_2', 'ran_3', 'ran_4', 'ran_5', 'ran_6']
    assert all(qmap.read('ran_' + id) == 'ran\n' for id in '23456')
    assert os.listdir(qmap.path('out', '.qmap', 'run')) == []
