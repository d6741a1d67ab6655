"""What is damaged, missing or put back is told of: no traceback, and no wrong status without a word."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys

import pytest

import qmap as module
from conftest import Tool, until

#: What stands where something else should.
WRONG = [None, True, -1, 1.5, float('nan'), float('inf'), 10 ** 400, 'x', '', '../../x', '\x1b]0;x\x07', [], [1], {},
         {'x': 'y'}]


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """An execution with all kinds of ends, several attempts, orders and drivers; and a copy that is compacted."""
    tool = Tool(tmp_path_factory.mktemp('made'))
    tool.write('a.map', 'true\nexit 3\necho words >&2; exit 1\nkill -9 $$\ntest $QMAP_ATTEMPT = 2\n' + 'true\n' * 20)
    assert tool('submit', 'a.map', '-l', 'out').code == 1
    assert tool('control', '-l', 'out', 'retry', '-m', '1G', '1-4').code == 0
    assert tool('control', '-l', 'out', 'set', 'x=1').code == 0
    tool('reattach', '-l', 'out')
    shutil.copytree(tool.path('out'), tool.path('compacted'))
    script = 'import qmap; qmap.Ledger.SMALL = -10 ** 9; qmap.Lease.READERS = 0; qmap.Inbox(qmap.Logs("compacted"), ' \
        'qmap.Host()).drop({"do": "resume"}); qmap.reattach("compacted", force=True).wait()'
    subprocess.check_call([sys.executable, '-c', script], cwd=tool.folder, env=dict(
        tool.environ, PYTHONPATH=os.path.dirname(module.__file__)))
    assert any(name.startswith('snapshot') for name in os.listdir(tool.path('compacted', '.qmap')))
    return tool


@pytest.fixture
def folder(made, qmap):
    """A copy of it, to be damaged."""
    for name in ('out', 'compacted'):
        shutil.copytree(made.path(name), qmap.path(name))
    return qmap


def told(path):
    """Return all that is told of an execution, and the words about what is wrong, which may be all there is."""
    try:
        execution = module.ExecutionReader(path)
        jobs = json.loads(json.dumps(list(execution.jobs('all'))))
        summary = module.Summary(execution)
        lines = list(summary.lines()) + [json.dumps(summary.as_dict())]
    except module.QMapError as error:
        return None, [str(error)]
    for text in execution.warnings + [line for line in lines if line]:
        module.printable_text(text)
    return jobs, execution.warnings


def journals(path):
    """Return the paths of the journal's files."""
    return sorted(os.path.join(path, '.qmap', name) for name in os.listdir(os.path.join(path, '.qmap'))
                  if name.startswith(('journal', 'snapshot')))


def changed(data, dice):
    """Return bytes with a change in them."""
    place, size = dice.randrange(len(data)), dice.choice([1, 1, 1, 2, 10, 100, 1000])
    kind = dice.choice(['cut', 'change', 'change', 'digit', 'zero', 'remove', 'twice', 'swap', 'insert'])
    if kind == 'cut':
        return data[:place]
    if kind == 'change':
        return data[:place] + bytes([data[place] ^ dice.randrange(1, 256)]) + data[place + 1:]
    if kind == 'digit':
        places = [match.start() for match in re.finditer(rb'\d', data)]
        place = dice.choice(places)
        return data[:place] + str((int(data[place:place + 1]) + dice.randrange(1, 10)) % 10).encode() + data[place + 1:]
    if kind == 'zero':
        return data[:place] + bytes(len(data[place:place + size])) + data[place + size:]
    if kind == 'remove':
        return data[:place] + data[place + size:]
    if kind == 'twice':
        return data[:place] + data[place:place + size] * 2 + data[place + size:]
    lines = data.splitlines(True)
    if kind == 'swap':
        one, other = dice.randrange(len(lines)), dice.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
        return b''.join(lines)
    added = dice.choice([b'\n', b'{}\n', b'\n{"event":[]}\n', b'[' * 5000 + b'\n', b'\xff'])
    return data[:place] + added + data[place:]


@pytest.mark.twice
@pytest.mark.parametrize('name', ['out', 'compacted'])
@pytest.mark.parametrize('seeds', [range(60), pytest.param(range(60, 560), marks=pytest.mark.slow)])
def test_no_change_in_the_journal_goes_unnoticed(folder, name, seeds):
    path = folder.path(name)
    truth, words = told(path)
    assert not words and {job['status'] for job in truth} == {'COMPLETED', 'FAILED'}
    noticed = 0
    for seed in seeds:
        dice = random.Random(seed)
        victim = dice.choice(journals(path))
        with open(victim, 'rb') as source:
            data = source.read()
        damaged = changed(data, dice)
        with open(victim, 'wb') as target:
            target.write(damaged)
        jobs, words = told(path)
        assert jobs == truth or words, (seed, victim, [pair for pair in zip(truth, jobs) if pair[0] != pair[1]][:3])
        noticed += bool(words)
        with open(victim, 'wb') as target:
            target.write(data)
    assert noticed > len(seeds) // 2
    assert told(path) == (truth, [])


@pytest.mark.twice
def test_drivers_who_contradict_each_other_about_what_counts(qmap):
    path = qmap.path('out')
    qmap.write('a.map', 'true\nexit 3\n')
    assert qmap('submit', 'a.map', '-l', 'out').code == 1
    for _ in range(2):
        assert qmap('control', '-l', 'out', 'retry', '1').code == 0 and qmap('reattach', '-l', 'out').code == 1
    truth, words = told(path)
    files = journals(path)
    assert len(files) >= 3 and not words
    records = read_records(files[-1])
    lead, = (record for record in records if record['event'] == 'lead')
    assert lead['read']['1'] > 100
    lead['read']['1'] = 100
    write_records(files[-1], records)
    jobs, words = told(path)
    assert jobs == truth and 'journal.0001, byte 100: unreadable record' in words[0]


def write_records(path, records):
    """Write a journal as releases did that knew no sums: what is wrong in a record must be seen from itself."""
    with open(path, 'w') as target:    # no longer than it was: what a driver did not read of it does not count
        target.write(''.join(json.dumps(record, separators=(',', ':')) + '\n' for record in records))


def read_records(path):
    """Return the records of a journal, without the sums."""
    with open(path) as source:
        return [record for record in map(json.loads, source) if record['event'] != 'sum']


def tried(path, capsys):
    """Ask all tools that only read."""
    jobs, words = told(path)
    for argv in (['report', '-l', path, '--force', '-o', path + '.html'], ['info', '-l', path, '--advise']):
        assert module.main(argv) in (0, 2)
        err = capsys.readouterr().err
        assert 'Traceback' not in err
    return jobs, words


@pytest.mark.once
@pytest.mark.parametrize('many', [1, pytest.param(len(WRONG), marks=pytest.mark.slow)])
@pytest.mark.parametrize('name', ['out', 'compacted'])
def test_a_field_of_the_wrong_type_is_no_traceback(folder, capsys, name, many):
    path, dice = folder.path(name), random.Random(1)
    truth, seen = told(path)[0], set()
    for victim in journals(path):
        records = read_records(victim)
        for place, record in enumerate(records):
            for key in sorted(set(record) - {'event'}):
                if (record['event'], record.get('status'), key) in seen:
                    continue
                seen.add((record['event'], record.get('status'), key))
                for value in dice.sample(WRONG, many) + ['missing']:
                    other = dict(record, **{key: value})
                    if value == 'missing':
                        del other[key]
                    write_records(victim, records[:place] + [other] + records[place + 1:])
                    jobs, words = tried(path, capsys)
                    assert words or [job['status'] for job in jobs] == [job['status'] for job in truth] or \
                        key in ('read', 'numbers'), (record['event'], key, value)
        write_records(victim, records)
    assert len(seen) > 50


def test_what_an_overtaken_driver_wrote_last_is_not_missing(folder):
    """It writes that it drives, and how much it has said, after the next one has begun."""
    for name in ('out', 'compacted'):
        path = folder.path(name, '.qmap', 'driver.json')
        driver = json.loads(folder.read(path))
        driver.update(epoch=driver['epoch'] - 1, bytes=10 ** 6, released=False, pid=1, born='x')
        folder.write(path, json.dumps(driver))
        assert told(folder.path(name))[1] == []
        done = folder('reattach', '-l', name)
        assert (done.code, 'cannot be read' in done.err) == (1, False)


@pytest.mark.once
@pytest.mark.parametrize('many', [1, pytest.param(len(WRONG), marks=pytest.mark.slow)])
@pytest.mark.parametrize('name', ['execution.info', '.qmap/driver.json', '0.info'])
def test_a_wrong_field_elsewhere_is_an_error_or_does_not_matter(folder, capsys, monkeypatch, name, many):
    monkeypatch.chdir(folder.folder)
    path, dice = folder.path('out', name), random.Random(2)
    truth = told(folder.path('out'))[0]
    with open(path.replace('0.info', '00.info')) as source:
        right = json.load(source)
    for key in sorted(right):
        for value in dice.sample(WRONG, many) + ['missing']:
            other = dict(right, **{key: value})
            if value == 'missing':
                del other[key]
            with open(path, 'w') as target:
                target.write(json.dumps(other))
            jobs, words = tried(folder.path('out'), capsys)
            assert words or [job['status'] for job in jobs] == [job['status'] for job in truth]
            for argv in (['info', '-l', 'out', '-s', 'all', 'status'], ['reattach', '-l', 'out'],
                         ['submit', 'a.map', '-l', 'out']):
                assert module.main(argv) in (0, 1, 2)
                assert 'Traceback' not in capsys.readouterr().err
    for value in WRONG:
        with open(path, 'w') as target:
            target.write(json.dumps(value))
        assert module.main(['info', '-l', 'out', '-s', 'all', 'status']) in (0, 2)
        assert module.main(['control', '-l', 'out', 'resume']) in (0, 2) or name == 'execution.info'


# ---- while it runs

def pid_of(qmap):
    """Return the number of the driver, None as long as there is none."""
    return (module.read_json(qmap.path('out', '.qmap', 'driver.json')) or {}).get('pid')


def ended(process, patience=60):
    """Wait for a process, which is told to end after some seconds; return its status and what it wrote."""
    try:
        out, err = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert b'Traceback' not in out + err, out + err
    return process.returncode, (out + err).decode()


@pytest.mark.once
@pytest.mark.parametrize('name', [
    '.qmap/lock', '.qmap/inbox', '.qmap/batch', '.qmap/driver.json', '0.out', '.qmap/batch/1.list'])
def test_what_is_deleted_under_its_feet_loses_no_job(qmap, name):
    qmap.write('a.map', 'sleep 0.3; echo ${QMAP_LINE} >>ran\n' * 6)
    process = qmap.start('submit', 'a.map', '-l', 'out', '-r', '1')
    until(lambda: os.path.exists(qmap.path('ran')))
    path = qmap.path('out', name)
    if os.path.isdir(path):
        shutil.rmtree(path)
        os.mkdir(path)
    elif os.path.exists(path):
        os.unlink(path)
    code, said = ended(process)
    again = ended(qmap.start('reattach', '-l', 'out'))
    assert again[0] in (0, 1), (said, again)
    ran = sorted(qmap.read('ran').split())
    completed = [id for id in '012345' if qmap.info('out', id)['status'] == 'COMPLETED']
    assert len(set(ran)) == len(ran) and set(completed) <= set(ran)
    assert len(completed) == 6 or name == '.qmap/batch', qmap.statuses('out')


@pytest.mark.once
@pytest.mark.parametrize('name', ['', '.qmap', '.qmap/run'])
def test_a_folder_that_is_gone_is_told_of(qmap, name):
    qmap.write('a.map', 'sleep 0.3\n' * 20)
    process = qmap.start('submit', 'a.map', '-l', 'out', '-r', '1', '--no-console')
    until(lambda: pid_of(qmap) == process.pid)
    os.rename(qmap.path('out', name).rstrip('/'), qmap.path('gone'))
    code, said = ended(process, 8)
    assert code in (2, 3) and 'No such file or directory' in said, said
    asked = qmap('info', '-l', 'out', '-s', 'all', 'status')
    assert asked.code == (0 if name else 2) and (name != '.qmap' or 'the journal is missing' in asked.err), asked


@pytest.mark.once
@pytest.mark.parametrize('many', [8, pytest.param(60, marks=pytest.mark.slow)])
def test_many_that_reattach_and_steer_at_once(qmap, many):
    qmap.write('a.map', 'sleep 0.2; echo ${QMAP_LINE} >>ran\n' * 40)
    qmap('submit', 'a.map', '-l', 'out', '-r', '1', '--detach')
    started = []
    for number in range(many):
        started.append(qmap.start(*[['reattach', '-l', 'out', '-q'], ['control', '-l', 'out', 'max-running', '2'],
                                    ['control', '-l', 'out', 'pause'], ['control', '-l', 'out', 'resume']][number % 4]))
    for process in started[1::2] + started[2::4]:
        assert ended(process, 300)[0] == 0
    assert qmap('control', '-l', 'out', 'resume').code == 0
    assert qmap('reattach', '-l', 'out', '-q', timeout=300).code == 0
    for process in started[::4]:
        assert ended(process, 300)[0] == 0
    assert sorted(map(int, qmap.read('ran').split())) == list(range(40))


@pytest.mark.once
def test_two_submits_into_one_folder(qmap):
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran\n' * 3)
    for place in range(4):
        started = [qmap.start('submit', 'a.map', '-l', 'out', '-q') for _ in range(4)]
        codes = [ended(process) for process in started]
        assert sorted(code for code, _ in codes) == [0, 2, 2, 2], codes
        assert all('contains an execution already' in said for code, said in codes if code), codes
        shutil.rmtree(qmap.path('out'))
    assert sorted(qmap.read('ran').split()) == list('000011112222')


@pytest.mark.once
def test_few_files_may_be_open(qmap):
    qmap.write('a.map', 'echo ${QMAP_LINE} >>ran\n' * 200)
    qmap.program = ['bash', '-c', 'ulimit -n 32; exec "$@"', 'qmap'] + qmap.program
    assert qmap('submit', 'a.map', '-l', 'out', '-q', '-r', '2').code == 0
    assert sorted(map(int, qmap.read('ran').split())) == list(range(200))


# ---- what was put back, or is another's

@pytest.mark.once
def test_an_old_journal_that_is_put_back_is_noticed(folder):
    path, truth = folder.path('out'), told(folder.path('out'))[0]
    last = journals(path)[-1]
    with open(last, 'rb') as source:
        lines = source.read().splitlines(True)
    with open(last, 'wb') as target:    # as it was some time before
        target.write(b''.join(lines[:4]))
    jobs, words = told(path)
    assert words and jobs != truth
    result = folder('reattach', '-l', 'out')
    assert result.code == 2 and 'unreadable record' in result.err, result
    folder('reattach', '-l', 'out', '--force')
    assert [job['status'] for job in told(path)[0]] == [job['status'] for job in truth]


@pytest.mark.once
@pytest.mark.parametrize('which', [0, 1, -1])
def test_a_part_of_the_journal_that_is_gone_is_told_and_nothing_runs_again(qmap, which):
    qmap.write('a.map', 'echo ran >>ran\nexit 3\n')
    qmap('submit', 'a.map', '-l', 'out', '-q')
    if which:
        for _ in range(2):
            qmap('control', '-l', 'out', 'retry', '1')
            qmap('reattach', '-l', 'out')
    gone = journals(qmap.path('out'))[which]
    os.remove(gone)
    assert os.path.basename(gone) + ': missing' in told(qmap.path('out'))[1][0]
    for argv in (['info', '-l', 'out', '-s', 'all', 'status'], ['report', '-l', 'out'],
                 ['info', '-l', 'out', '--summary'], ['info', '-l', 'out', '--advise']):
        assert os.path.basename(gone) + ': missing' in qmap(*argv).err
    result = qmap('reattach', '-l', 'out')
    assert result.code == (1 if which == 1 else 2)    # the one in the middle has only what came to nothing later
    assert os.path.basename(gone) + ': missing' in result.err
    assert qmap('reattach', '-l', 'out', '--force').code == 1    # what the .info files say still counts
    assert qmap.statuses('out') == ['COMPLETED', 'FAILED'] and qmap.read('ran') == 'ran\n'


@pytest.mark.once
def test_a_map_that_was_changed_is_an_error(folder):
    folder.write('out/qmap_input', folder.read('out', 'qmap_input') + 'true\n')
    for argv in (['info', '-l', 'out', '-s', 'all', 'status'], ['reattach', '-l', 'out'], ['report', '-l', 'out']):
        result = folder(*argv)
        assert result.code == 2 and 'was changed: it contains 26 commands, but 25 were submitted' in result.err, result


@pytest.mark.once
@pytest.mark.parametrize('suffix', ['.start', '.end', '.why', '.done'])
def test_words_of_a_job_that_are_no_words_do_no_harm(qmap, suffix):
    qmap.write('a.map', 'sleep 2; echo ${QMAP_LINE} >>ran\n' * len(WRONG))
    process = qmap.start('submit', 'a.map', '-l', 'out', '-r', '2', '--no-console')
    until(lambda: pid_of(qmap) == process.pid and os.listdir(qmap.path('out', '.qmap', 'run')))
    for number, value in enumerate(WRONG):
        if number < 2 and suffix in ('.start', '.end'):
            continue    # these run already, and say it themselves
        text = json.dumps(value) if number % 2 else json.dumps({
            'host': value, 'pid': value, 'born': value, 'executor_id': value, 'time': value, 'exit_code': value,
            'reason': value, 'words': value, 'memory': value, 'void': value})
        said = 's {0} {1} .\ne {0} {1} .\n'.format('{:02d}.1'.format(number), text) * (suffix == '.start')
        qmap.write('out/.qmap/run/{:02d}.1{}'.format(number, suffix), text + '\n' + said)
    for name in ('share.x', 'share.1.2.3', 'share.1.1', 'left.', 'left.1.x', 'home.x', 'cancel.', '..start', 'x.1.end',
                 '0.0.start', '00.99999999999.end', '00.-1.end', '\udcff.1.start', ' 00.1.start'):
        with open(os.path.join(qmap.path('out', '.qmap', 'run'), name), 'w') as target:
            target.write('s 00.1 x .\ne 00.1 1 2 .\nv ../../x .\n{"host": 1}\ne 00.1 nan 0 .\n')
    code, said = ended(process, 100)
    assert code in (0, 1), said
    ran = sorted(map(int, qmap.read('ran').split()))
    assert len(ran) == len(set(ran))
    for number in ran:
        assert qmap.info('out', '{:02d}'.format(number))['status'] == 'COMPLETED' or suffix in ('.start', '.end')
