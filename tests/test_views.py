"""What is shown while it runs: on a terminal, in a log file, to programs, to nobody; and who is told of the end."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from conftest import QMAP, until

import qmap as module

#: A job that waits until the file `go` is there.
WAIT = 'until [ -e go ]; do sleep 0.05; done\n'


class Terminal:
    """QMap on a terminal of its own."""

    def __init__(self, tool, *args, **environ):
        main, side = pty.openpty()
        self.main, self.seen = main, b''
        environ = dict(dict(tool.environ, TERM='xterm', NO_COLOR='', COLUMNS='100', LINES='24'), **environ)
        self.process = subprocess.Popen([sys.executable, QMAP] + list(args), cwd=tool.folder, env=environ, stdin=side,
                                        stdout=side, stderr=side, start_new_session=True)
        os.close(side)

    def read(self):
        """Start to read the screen."""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        return self

    def _read(self):
        try:
            for block in iter(lambda: os.read(self.main, 65536), b''):
                self.seen += block
        except OSError:    # it was closed on the other side
            pass

    def end(self):
        """Wait for its end, and return (exit status, all that was written)."""
        status = self.process.wait(60)
        self.reader.join(10)
        return status, self.seen.decode('utf-8', 'replace')


def screen(text):
    """Return the lines that stand on a screen in the end."""
    text = re.sub(r'\x1b\[[0-9;]*m', '', text).replace('\r\n', '\n')
    return [line.split('\r')[-1].rstrip() if not line.endswith('\r') else line.split('\r')[-2].rstrip()
            for line in text.split('\n')]


def test_failures_are_printed_above_the_line_as_they_happen(qmap):
    qmap.write('a.map', 'echo "cannot open x" >&2; exit 4\n' + WAIT + 'true\n')
    terminal = Terminal(qmap, 'submit', 'a.map', '-r', '1', '--no-console', '--logs', 'out').read()
    until(lambda: b'0 failed' in terminal.seen and b'1 running' in terminal.seen)
    assert not os.path.exists(qmap.path('go'))
    qmap.write('go', '')
    status, text = terminal.end()
    assert status == 1
    assert '0 failed: exit 4: cannot open x' in screen(text)
    assert '\x1b[31m0 failed\x1b[0m' in text and '\x1b[32m2 completed\x1b[0m' in text


@pytest.mark.parametrize('environ', [{'NO_COLOR': '1'}, {'TERM': 'dumb'}])
def test_without_colour_all_is_said_as_well(qmap, environ):
    qmap.write('a.map', 'true\nfalse\n')
    status, text = Terminal(qmap, 'submit', 'a.map', '--no-console', '--logs', 'out', **environ).read().end()
    assert status == 1 and '\x1b' not in text
    assert any(line.startswith('2 jobs: 1 completed, 1 failed') for line in screen(text))


def test_a_flood_of_failures_is_limited(qmap):
    qmap.write('a.map', 'echo no >&2; exit 1\n' * 300)
    result = qmap('submit', 'a.map', '--logs', 'out', '--no-halt')
    shown = [line for line in result.lines if ' failed: exit 1: no' in line]
    more = [int(match.group(1)) for match in (re.search(r'and (\d+) more failed', line) for line in result.lines)
            if match]
    assert 10 <= len(shown) < 100 and len(shown) + sum(more) == 300
    assert all(re.match(r'\d\d:\d\d:\d\d  ', line) for line in shown)


@pytest.mark.slow
def test_a_terminal_that_takes_nothing_stops_no_job(qmap):
    qmap.write('a.map', 'touch ran_${QMAP_LINE}; head -c 400 /dev/zero | tr "\\0" x >&2; exit 1\n' * 400)
    terminal = Terminal(qmap, 'submit', 'a.map', '--no-console', '--no-halt', '--logs', 'out')    # nobody reads
    until(lambda: len([name for name in os.listdir(qmap.folder) if name.startswith('ran_')]) == 400)
    until(lambda: set(qmap.statuses('out')) == {'FAILED'})
    assert terminal.read().end()[0] == 1


def test_a_terminal_that_dies_stops_no_job(qmap):
    qmap.write('a.map', WAIT + 'true\n' * 3)
    terminal = Terminal(qmap, 'submit', 'a.map', '-r', '1', '--no-console', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '0.out')))
    os.close(terminal.main)
    qmap.write('go', '')
    terminal.process.wait(60)
    qmap('reattach', '-l', 'out')
    assert qmap.statuses('out') == ['COMPLETED'] * 4


def test_quiet_says_what_failed_and_nothing_else(qmap):
    qmap.write('good.map', 'true\n')
    qmap.write('bad.map', 'true\nexit 7\n')
    result = qmap('submit', 'good.map', '-q', '--logs', 'good')
    assert (result.code, result.out, result.err) == (0, '', '')
    result = qmap('submit', 'bad.map', '--quiet', '--logs', 'bad')
    assert result.code == 1 and result.lines[0].startswith('2 jobs: 1 completed, 1 failed')
    assert result.lines[1] == '  1 job: exit 7  (id 1)'
    assert not qmap('submit', 'good.map', '-q', '--detach', '--logs', 'later').out
    until(lambda: qmap.statuses('later') == ['COMPLETED'])


def events(result):
    return [json.loads(line) for line in result.lines]


def test_json_for_programs(qmap):
    qmap.write('a.map', 'echo bad >&2; exit 3\ntrue\n')
    found = events(qmap('submit', 'a.map', '--progress', 'json', '--logs', 'out'))
    assert found[0]['event'] == 'start' and found[0]['jobs'] == 2 and found[0]['logs'] == qmap.path('out')
    jobs = [event for event in found if event['event'] == 'job']
    assert [event['status'] for event in jobs if event['id'] == '0'][0] == 'PENDING'
    ends = {event['id']: event for event in jobs if event['status'] in ('COMPLETED', 'FAILED')}
    assert ends['0']['exit_code'] == 3 and ends['0']['error'] == 'bad' and ends['1']['status'] == 'COMPLETED'
    assert [event['counts'] for event in found if event['event'] == 'counts'][-1]['FAILED'] == 1
    assert found[-1]['event'] == 'end' and found[-1]['status'] == 1 and found[-1]['left'] is False
    assert found[-1]['failures'][0]['error'] == 'bad'
    assert all(event['time'] > 1e9 for event in found)
    again = events(qmap('reattach', '-l', 'out', '--progress', 'json'))
    assert [event['event'] for event in again if event['event'] != 'counts'] == ['start', 'end']


def test_json_of_a_dry_run_and_in_the_background(qmap):
    qmap.write('a.map', 'true ## cores=1\n')
    found, = events(qmap('submit', 'a.map', '--progress', 'json', '--dry-run'))
    assert found['event'] == 'dry-run' and found['params']['cores'] == '1' and '\ntrue\n' in found['script']
    found, = events(qmap('submit', 'a.map', '--progress', 'json', '--detach', '--logs', 'out'))
    assert found['event'] == 'detached' and found['logs'] == qmap.path('out')
    until(lambda: qmap.statuses('out') == ['COMPLETED'])


def test_json_that_nobody_reads_any_more(qmap):
    qmap.write('a.map', 'true\n' + WAIT + 'true\n' * 5)
    process = qmap.start('submit', 'a.map', '-r', '1', '--progress', 'json', '--logs', 'out')
    process.stdout.readline()
    process.stdout.close()
    qmap.write('go', '')
    assert process.wait(60) == 0 and qmap.statuses('out') == ['COMPLETED'] * 7
    process.stderr.close()


TELL = 'env | grep ^QMAP_ >told; cat >told.json; echo told'


def test_the_end_is_told_once(qmap):
    qmap.write('a.map', 'true\nexit 5\n')
    result = qmap('submit', 'a.map', '--on-finish', TELL + '; echo x >>times', '--logs', 'out')
    assert result.code == 1 and 'told' in result.lines
    told = dict(line.split('=', 1) for line in qmap.read('told').splitlines())
    assert told['QMAP_LOGS'] == qmap.path('out') and told['QMAP_STATUS'] == '1' and told['QMAP_JOBS'] == '2'
    assert told['QMAP_COMPLETED'] == '1' and told['QMAP_FAILED'] == '1' and told['QMAP_NAME'] == 'a'
    assert told['QMAP_SUMMARY'].startswith('2 jobs: 1 completed, 1 failed')
    assert json.loads(qmap.read('told.json'))['failures'][0]['what'] == 'exit 5'
    qmap('reattach', '-l', 'out')
    assert qmap.read('times') == 'x\n'
    qmap('control', '-l', 'out', 'retry')
    qmap('reattach', '-l', 'out')
    assert qmap.read('times') == 'x\nx\n'


def test_a_viewer_does_not_tell_and_a_driver_in_the_background_does(qmap):
    qmap.write('mine.conf', 'executor = local\non_finish = echo x >>times\n')
    qmap.write('a.map', WAIT)
    qmap('submit', 'a.map', '-p', 'mine', '--detach', '--logs', 'out')
    viewer = qmap.start('reattach', '-l', 'out')
    qmap.write('go', '')
    viewer.communicate(timeout=60)
    until(lambda: os.path.exists(qmap.path('times')) and qmap.read('times'))
    assert qmap.read('times') == 'x\n'


def test_a_driver_that_is_stopped_tells_that_jobs_are_left(qmap):
    qmap.write('a.map', WAIT * 2)
    process = qmap.start('submit', 'a.map', '-r', '1', '--on-finish', 'echo $QMAP_STATUS >told', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '0.out')))
    qmap('control', '-l', 'out', 'stop')
    process.communicate(timeout=60)
    assert process.returncode == 3 and qmap.read('told') == '3\n'
    qmap.write('go', '')
    qmap('reattach', '-l', 'out')
    assert qmap.read('told') == '0\n'


@pytest.mark.parametrize('quiet', [[], ['-q']])
def test_telling_that_fails_is_a_warning(qmap, quiet):
    qmap.write('a.map', 'true\n')
    result = qmap('submit', 'a.map', '--on-finish', 'exit 9', '--logs', 'out', *quiet)
    assert result.code == 0 and 'warning: --on-finish: exit status 9' in result.lines


def test_from_python_the_end_is_told_too(qmap):
    qmap.write('a.map', 'true\n')
    execution = module.submit(qmap.path('a.map'), logs=qmap.path('out'), profile='local',
                              on_finish='echo $QMAP_COMPLETED >{}'.format(qmap.path('told')))
    assert execution.wait(60) and qmap.read('told') == '1\n'


def test_the_bell_rings_on_a_terminal_only(qmap):
    qmap.write('a.map', 'true\n')
    assert '\a' in Terminal(qmap, 'submit', 'a.map', '--no-console', '--bell', '--logs', 'one').read().end()[1]
    assert '\a' not in qmap('submit', 'a.map', '--bell', '--logs', 'two').out
    assert '\a' not in Terminal(qmap, 'submit', 'a.map', '--no-console', '--logs', 'three').read().end()[1]


@pytest.fixture
def cancelled(qmap):
    """What was printed of four jobs, of which one failed and two were cancelled, and the logs folder `out`."""
    qmap.write('a.map', 'true\nexit 3\n' + 'sleep 100\n' * 2)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1',
                         '--on-finish', 'env | grep ^QMAP_ >told; cat >told.json')
    until(lambda: os.path.exists(qmap.path('out')) and qmap.statuses('out')[1:3] == ['FAILED', 'RUNNING'])
    assert qmap('control', '-l', 'out', 'cancel').code == 0
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    return out.decode().splitlines()


def test_what_was_cancelled_is_counted_apart_from_what_failed(qmap, cancelled):
    assert any(re.match(r'\S+  4/4, 1 failed, 2 cancelled', line) for line in cancelled), cancelled
    assert [line[10:] for line in cancelled if re.match(r'\S+  \d+ failed', line)] == ['1 failed: exit 3']
    assert any(line.endswith('  2 cancelled') for line in cancelled) and not any(
        'failed: cancelled' in line for line in cancelled)
    head = next(place for place, line in enumerate(cancelled) if line.startswith('4 jobs: '))
    assert cancelled[head].startswith('4 jobs: 1 completed, 1 failed, 2 cancelled, in ')
    assert cancelled[head + 1] == '  1 job: exit 3  (id 1)'
    assert re.match('  [12] jobs?: cancelled', cancelled[head + 2])
    assert qmap('info', '-l', 'out', '--summary').lines[0].startswith('4 jobs: 1 completed, 1 failed, 2 cancelled, in ')
    assert '4/4 finished, 1 completed, 1 failed, 2 cancelled' in qmap('info', '-l', 'out', '--watch').out


def test_to_programs_what_was_cancelled_is_failed(qmap, cancelled):
    told = dict(line.split('=', 1) for line in qmap.read('told').splitlines())
    assert (told['QMAP_STATUS'], told['QMAP_FAILED'], told['QMAP_CANCELLED']) == ('1', '3', '2')
    found = json.loads(qmap.read('told.json'))
    assert found['counts']['FAILED'] == 3 and found['cancelled'] == 2
    what = [group['what'] for group in found['failures']]
    assert what[0] == 'exit 3' and set(what[1:]) == {'cancelled'}
    assert qmap('reattach', '-l', 'out').code == 1


def test_what_to_do_about_what_was_cancelled_works_when_pasted(qmap, cancelled):
    commands = dict(line.split(': ', 1) for line in cancelled if line.startswith('to '))
    assert 'to retry what failed' in commands and 'to rerun what failed' not in commands
    command = commands['to run what was cancelled'].partition(' && ')[0]
    said = subprocess.check_output(['bash', '-c', command], cwd=qmap.folder, env=qmap.environ).decode()
    assert said.startswith('retrying 2 jobs\n')
    assert qmap.statuses('out') == ['COMPLETED', 'FAILED', 'UNSUBMITTED', 'UNSUBMITTED']


@pytest.mark.slow
def test_the_bar_tells_what_was_cancelled(qmap):
    qmap.write('a.map', 'true\nfalse\n' + 'sleep 100\n' * 8)
    terminal = Terminal(qmap, 'submit', 'a.map', '-r', '1', '--no-console', '--logs', 'out').read()
    until(lambda: b'1 running' in terminal.seen and b'1 failed' in terminal.seen)
    qmap('control', '-l', 'out', 'cancel')
    text = terminal.end()[1]
    assert '[\x1b[32m##\x1b[0m\x1b[31mxx\x1b[0m\x1b[2m----------------\x1b[0m]' in text
    assert '\x1b[31m1 failed\x1b[0m, \x1b[2m8 cancelled\x1b[0m' in text


def test_many_kinds_of_failures_do_not_hide_what_was_cancelled():
    failures = module.Failures()
    for number in range(3 * failures.LIMIT):
        word = ''.join(chr(ord('g') + int(digit)) for digit in str(number))
        failures.add({'job': str(number), 'status': 'FAILED', 'error_reason': 'lost', 'error': word})
    records = [{'job': str(number), 'status': 'FAILED', 'error_reason': 'cancelled', 'error': 'cancelled'}
               for number in range(5)]
    for record in records:
        failures.add(record)
    assert failures.cancelled == 5 and failures.groups()[-1].what == 'cancelled'
    failures.remove(records[0])
    assert failures.cancelled == 4


def test_failures_are_named_with_the_own_parameters_of_their_jobs(qmap):
    qmap.write('a.map', '[jobs]\nexit 3 ## sample=S1 memory=1G\nexit 3 ## sample="a b" lane=2\nexit 3\ntrue\n'
                        'exit 4 ## x={}\n'.format('y' * 100))
    result = qmap('submit', 'a.map', '--logs', 'out')
    for text in (result.out, qmap('info', '-l', 'out', '--summary').out):
        assert '  3 jobs: exit 3  (ids 0 sample=S1, 1 sample=a b lane=2, 2)\n' in text
        assert '(id 4 x={}...)\n'.format('y' * 55) in text
    assert '0 sample=S1 failed: exit 3' in result.out and '2 failed: exit 3' in result.out


@pytest.mark.parametrize('error, several', [
    ('cancelled before it was submitted', 'cancelled before they were submitted'),
    ('cancelled before it ran', 'cancelled before they ran'), ('cancelled', 'cancelled')])
def test_one_job_is_cancelled_and_several_are(error, several):
    failures = module.Failures()
    record = {'job': '0', 'status': 'FAILED', 'error_reason': 'cancelled', 'error': error}
    failures.add(record)
    assert failures.groups()[0].text() == '1 job: {}  (id 0)'.format(error)
    failures.add(dict(record, job='1'))
    assert failures.groups()[0].text() == '2 jobs: {}  (ids 0, 1)'.format(several)


def test_the_summary_names_jobs_that_are_still_failed(qmap):
    qmap.write('a.map', ''.join('[ -e ok ] || {{ echo cannot open {} >&2; exit 1; }}\n'.format(n) for n in range(6)))
    qmap('submit', 'a.map', '--logs', 'out')
    assert 'cannot open 0  (ids 0, 1, 2, ...)' in qmap('info', '-l', 'out', '--summary').out
    qmap.write('ok', '')
    qmap('control', '-l', 'out', 'retry', '0-3')
    again = qmap('reattach', '-l', 'out')
    for result in (again, qmap('info', '-l', 'out', '--summary')):
        assert '  2 jobs: exit 1, such as: cannot open 4  (ids 4, 5)' in result.lines, result
        assert any(line.startswith('to see one: ') and '--log 4 ' in line for line in result.lines)


def test_fields_keep_their_tabs_on_a_terminal(qmap):
    qmap.write('a.map', 'true ## sample=a\x1bb\n')
    assert qmap('submit', 'a.map', '-l', 'out', '-q').code == 0
    status, seen = Terminal(qmap, 'info', '-l', 'out', '-s', 'all', 'status', 'params.sample').read().end()
    assert status == 0 and 'id\tstatus\tparams.sample\r\n0\tCOMPLETED\ta\\x1bb\r\n' in seen


class Shown:
    """A session of which a test says what is to be shown."""

    viewing = halted = False
    load, trouble, on_event = {}, '', None
    retry_counts = staticmethod(lambda: SimpleNamespace(parts=list))
    failures = module.Failures()

    def __init__(self, *jobs):
        self.ledger = self.plan = self
        self.named = str
        self.say(*jobs)

    def say(self, *jobs):
        self.live = {number: {'status': status, 'words': words} for number, (status, words) in enumerate(jobs)}

    def counts(self):
        return {status: sum(job['status'] == status for job in self.live.values()) for status in module.STATUSES}

    pending_reason, suspended = module.ExecutionReader.pending_reason, module.ExecutionReader.suspended


def lines_of_log(monkeypatch, session, *told):
    """Return what a plain view writes into a file, while the session says one thing after another."""
    stream, clock = io.StringIO(), [1000]
    monkeypatch.setattr(module.time, 'monotonic', lambda: clock[0])
    view = module.PlainView(session, stream)
    for jobs in told:
        session.say(*jobs)
        for _ in range(20):
            clock[0] += 1
            view.update()
    return [line.partition('  ')[2] for line in stream.getvalue().splitlines()]


def test_a_log_tells_each_new_reason_why_jobs_wait_once(monkeypatch):
    first, other = ('PENDING', 'Priority: waits for jobs of a higher priority'), ('PENDING', 'requeued held')
    node = [('PENDING', 'ReqNodeNotAvail, UnavailableNodes:n' + number) for number in '45']
    said = lines_of_log(
        monkeypatch, Shown(), [('PENDING', '')], [first], [other], [first], [other], node[:1], node[1:],
        [first, first], [('RUNNING', ''), first], [first, ('OTHER', '')])
    reasons = [words for _, words in (first, other, node[0])]
    assert said == ['0/1, 1 pending'] + ['0/1, 1 pending, waiting: ' + words for words in reasons] + [
        '0/2, 2 pending, waiting: ' + first[1], '0/2, 1 pending, 1 running',
        '0/2, 1 pending, 1 other, waiting: ' + first[1]]


def test_the_reason_that_is_told_is_that_of_most_jobs_that_wait(monkeypatch):
    jobs = [('PENDING', 'Priority'), ('PENDING', 'Resources'), ('PENDING', 'Resources'), ('OTHER', 'x')]
    assert lines_of_log(monkeypatch, Shown(), jobs) == ['0/4, 3 pending, 1 other, waiting: Resources']


@pytest.mark.parametrize('words', ['SUSPENDED', 'suspended by a user or an administrator', 'suspended with its queue'])
def test_suspended_jobs_are_told(monkeypatch, words):
    runs, stands, waits = ('RUNNING', ''), ('RUNNING', words), ('PENDING', 'Resources')
    assert lines_of_log(monkeypatch, Shown(), [runs, runs, waits], [runs, stands, waits], [stands, stands, waits]) == [
        '0/3, 1 pending, 2 running', '0/3, 1 pending, 2 running (1 suspended)',
        '0/3, 1 pending, 2 running (2 suspended), waiting: Resources']
