"""The full-screen console, in a real terminal: keys are sent, and the screen is read."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from types import SimpleNamespace

import pytest
from conftest import ROOT, until

#: Depends little on the Python.
pytestmark = pytest.mark.twice

pyte = pytest.importorskip('pyte')
pytest.importorskip('curses')

UP, DOWN, END, HOME, PGDN = '\x1b[A', '\x1b[B', '\x1b[4~', '\x1b[1~', '\x1b[6~'
ENTER, ESC, TAB = '\r', '\x1b', '\t'

#: A job that stays until the test lets it go.
STAYS = 'until [ -e go ]; do sleep 0.1; done\n'


class Terminal:
    """A process in a terminal of its own: what it draws, and what is typed."""

    def __init__(self, argv, folder, environ, lines=24, columns=80):
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b''
        self.master, slave = pty.openpty()
        self._size(lines, columns)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environ,
                                        preexec_fn=own_terminal)
        os.close(slave)

    def _size(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', lines, columns, 0, 0))

    def resize(self, lines, columns):
        self.look()
        self.screen.resize(lines, columns)
        self._size(lines, columns)

    def look(self, seconds=0.02):
        """Take in what is drawn, and return the screen as text."""
        while self.master is not None and select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:    # nobody has it open any more
                break
            if not data:
                break
            self.raw += data
            self._stream.feed(data)
            seconds = 0.03    # a drawing may come in parts
        return '\n'.join(line.rstrip() for line in self.screen.display)

    def type(self, *keys):
        for key in keys:
            os.write(self.master, key.encode())
            if key == ESC:
                time.sleep(0.15)    # else it is the begin of another key

    def sees(self, pattern, seconds=60):
        """Wait until the screen shows a pattern, and return the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            shown = self.look(0.1)
            if re.search(pattern, shown, re.MULTILINE):
                return shown
        raise AssertionError('{!r} is not to be seen:\n{}'.format(pattern, shown))

    def ends(self, seconds=60):
        """Wait for the end, and return the exit status."""
        until(lambda: self.look(0.1) and False or self.process.poll() is not None, seconds)
        self.look()
        return self.process.returncode

    def dies(self):
        """Take the terminal away."""
        os.close(self.master)
        self.master = None


@pytest.fixture
def console(qmap):
    """A function that calls qmap in a terminal and returns that."""
    made = []

    def start(*args, **options):
        environ = dict(qmap.environ, TERM='linux', LC_ALL='C.UTF-8')
        environ.pop('NO_COLOR', None)
        environ.update(options.pop('environ', {}))
        argv = options.pop('argv', None) or qmap.program + list(args)
        made.append(Terminal(argv, qmap.folder, environ, **options))
        return made[-1]

    yield start
    qmap.write('go', '')
    for terminal in made:
        if terminal.process.poll() is None:
            terminal.process.kill()
        terminal.process.wait()
        if terminal.master is not None:
            os.close(terminal.master)


def test_retries_a_failed_job_with_more_memory(qmap, console):
    qmap.write('a.map', 'echo some words; [ "$QMAP_MEMORY" = 2G ] || { echo too little >&2; exit 7; }\n' + STAYS)
    screen = console('submit', 'a.map', '--logs', 'out', '-m', '100M', columns=140)
    shown = screen.sees('0 +F exit 7')
    assert 'out' in shown and 'driver: this process (pid {} on'.format(screen.process.pid) in shown
    assert re.search(r'P 0 pending  R 1 running  C 0 completed  F 1 failed', shown)
    assert re.search('\\[\u2588+\u2593+\\] 50 %  1/2', shown)
    screen.type('F')
    screen.sees('1 of 1.*failed')
    screen.type(ENTER)
    shown = screen.sees('ended with exit status 7')
    assert 'too little' in shown
    screen.type('2')
    screen.sees('^some words')
    screen.type('3')
    screen.sees('^too little')
    until(lambda: os.path.exists(qmap.path('out', '0.sh')))
    os.unlink(qmap.path('out', '0.sh'))
    screen.type('4')
    screen.sees('^#!/bin/bash')
    screen.sees('export QMAP_MEMORY=100M')
    screen.type('r')
    screen.sees('memory: .*now 100M')
    screen.type(DOWN, '2')
    screen.sees(r'memory: 2_ +\(= 2G; now 100M\)')
    screen.type('X', ENTER)
    screen.sees('2X')
    screen.type('\x7f', 'G', ENTER)
    screen.sees('retrying 1 job, with memory = 2G')
    screen.sees('C completed')
    screen.type('1', END)
    screen.sees('attempt 1: exit 7')
    screen.type(ESC, 'F')
    screen.sees('1 +R running')
    qmap.write('go', '')
    screen.sees('All jobs finished')
    screen.type('q')
    assert screen.ends() == 0
    assert '2 jobs: 2 completed' in screen.look()


def test_ends_by_itself_where_nobody_touched_it(qmap, console):
    qmap.write('a.map', 'sleep 1\nexit 5\n')
    screen = console('submit', 'a.map', '--logs', 'out')
    screen.sees('F exit 5')
    assert screen.ends(20) == 1
    assert '2 jobs: 1 completed, 1 failed' in screen.look()


def test_a_job_is_retried_after_the_end(qmap, console):
    qmap.write('a.map', 'sleep 1; [ "$QMAP_ATTEMPT" = 2 ] || exit 1; ' + STAYS)
    screen = console('submit', 'a.map', '--logs', 'out')
    screen.type('o')
    screen.sees('All jobs finished')
    screen.type('r')
    screen.sees(r'Retry \(selected: job 0\)')
    screen.type(ENTER)
    screen.sees('^ retries 1 (waiting|running again)$')
    qmap.write('go', '')
    screen.sees('C completed')
    screen.type('q')
    assert screen.ends() == 0


def test_a_key_that_moves_in_the_list_moves_in_a_menu(qmap, console):
    qmap.write('a.map', STAYS * 3)
    screen = console('submit', 'a.map', '--logs', 'out', '-r', '1')
    screen.sees('> 0 +R running')
    screen.type('c')
    screen.sees('^> +1  selected: job 0(.|\n)*2  all unfinished: 3 jobs')
    screen.type('j')
    screen.sees('^> +2  all unfinished')
    screen.type('j')
    screen.sees('^> Esc  no, go back')
    screen.type('k', 'k', 'k', 'a', 'm', 'l', 't')    # and what means something elsewhere means nothing
    screen.sees('^> Esc  no, go back')
    screen.type(ENTER)
    screen.sees('Enter open')
    screen.type('c')
    screen.sees('^> +1  selected')
    screen.type(ENTER)
    screen.sees('R 1 .* X 1 ')    # only the selected one; the next runs


def test_what_is_listed_is_cancelled_and_more_than_a_hundred_only_after_a_second_answer(qmap, console):
    qmap.write('a.map', STAYS + ''.join('true tool_{}\n'.format(n) for n in range(200)))
    screen = console('submit', 'a.map', '--logs', 'out', '-r', '1', columns=120)
    screen.sees('000 R running')
    screen.type('/', 'tool_7', ENTER)
    screen.sees('1 of 11 ')
    screen.type('c')
    screen.sees('1  selected: job 008(.|\n)*2  listed: 11 jobs(.|\n)*3  all unfinished: 201 jobs')
    screen.type('2')
    screen.sees('F 0 failed  X 11 cancelled')
    screen.type(ESC, 'c')
    screen.sees('1  all unfinished: 190 jobs')
    screen.type('1')
    screen.sees('Cancel 190 jobs.(.|\n)*^> Esc  no, go back')
    screen.type(ENTER)
    screen.sees('Enter open')
    screen.type('c')
    screen.sees('1  all unfinished: 190 jobs')
    screen.type('1')
    screen.sees('Cancel 190 jobs.')
    screen.type('y')
    screen.sees('X 201 cancelled')
    screen.type('q')
    assert screen.ends() == 1


def test_cancelled_jobs_are_told_from_failed_ones(qmap, console):
    qmap.write('a.map', 'exit 3\n' * 3 + STAYS + 'true\n' * 6)
    screen = console('submit', 'a.map', '--logs', 'out', '-r', '1', columns=120)
    screen.sees('F 3 failed')
    screen.type('/', '4-9', ENTER)
    screen.sees('of 6 ')
    screen.type('c')
    screen.sees('listed: 6 jobs')
    screen.type('2')
    screen.sees('F 3 failed  X 6 cancelled(.|\n)*^  4 +X cancelled')
    screen.type(ESC, 'F')
    screen.sees('of 3 .*failed.*\n> 2 +F exit 3 .*\n  1 +F exit 3 .*\n  0 +F exit 3 .*\n\n')
    screen.type('X')
    screen.sees('of 9 .*failed or cancelled.*\n> 2 +F exit 3 .*\n.*\n.*\n  9 +X cancelled')
    screen.type('F')
    screen.sees('of 6 .*cancelled.*\n> 9 +X cancelled .*\n(  [4-8] +X cancelled .*\n){5}\n')
    screen.type(ESC, 'r')
    screen.sees('all failed: 3 jobs(.|\n)*all cancelled: 6 jobs')
    screen.type(ESC)
    qmap.write('go', '')
    shown = screen.sees('All jobs finished')
    assert not re.search('jobs/[sh]|ETA', shown)
    elapsed = re.search('elapsed [0-9:]+', shown).group()
    screen.look(2.5)
    assert elapsed in screen.look()    # all has ended, and so has the clock


def test_the_failures_in_groups(qmap, console):
    qmap.write('a.map', ''.join('echo cannot open s{}.bam >&2; exit 2\n'.format(n) for n in range(7)) +
               'echo "no space" >&2; exit 1\n' * 2 + STAYS)
    screen = console('submit', 'a.map', '--logs', 'out', columns=120)
    screen.sees('F 9 ')
    screen.type('g')
    screen.sees(r'^> +7 +exit 2  such as: cannot open s0.bam  \(0, 1, 2, ...\)\n +2 +exit 1  no space  \(7, 8\)')
    screen.type('g')
    screen.sees('of 10 ')
    screen.type('g', DOWN)
    screen.sees('^> +2 +exit 1')
    screen.type(ENTER)
    screen.sees('of 2 .*group: exit 1 no space.*\n> [78] +F exit 1 .*\n  [78] +F exit 1 .*\n\n')
    screen.type('r')
    screen.sees('listed: 2 jobs')
    screen.type('2')
    screen.sees('Retry .listed: 2 jobs')
    screen.type(ESC)
    screen.sees('Enter open')
    screen.type(ESC)
    screen.sees('of 10 ')


def test_running_jobs_come_first_then_failed_ones(qmap, console):
    qmap.write('a.map', 'true\nexit 1\ntrue\n' + STAYS + 'exit 1\n' + STAYS + 'true\n')
    screen = console('submit', 'a.map', '--logs', 'out', '-r', '2')
    screen.sees('\n> 3 +R .*\n  5 +R .*\n  4 +F .*\n  1 +F .*\n  [0-6] +C .*\n  [0-6] +C .*\n  [0-6] +[CP.] .*\n\n')


def test_what_commands_share_is_cut_away_and_their_own_parameters_have_columns(qmap, console):
    qmap.write('a.map', ''.join(
        'true /data/a/long/folder/of/all/S{0:02d}.bam ## sample=S{0:02d}\n'.format(n) for n in range(9)) + STAYS)
    screen = console('submit', 'a.map', '--logs', 'out', '-r', '1', columns=100)
    screen.sees('C 9 ')
    shown = screen.sees(r'id status +time .*sample command')
    assert re.search('5 +C completed .*S05 +\u2026S05.bam$', shown, re.MULTILINE)
    assert 'until [ -e go ]' in shown
    screen.type('\x1b[D', '\x1b[D')
    screen.sees('S05 +true /data/a/long/folder/of/all/S05.bam$')
    screen.type('o', DOWN, 'r')
    screen.sees(r'Retry \(selected: job 1 \(sample=S01\)\)')


def test_the_table_of_keys_and_the_messages_close_by_their_own_keys(qmap, console):
    qmap.write('a.map', STAYS)
    screen = console('submit', 'a.map', '--logs', 'out', lines=30, columns=100)
    screen.sees('0 +R running')
    screen.type('?')
    shown = screen.sees('what most commands begin with')    # the last line of it
    for words in ('In the list', 'show only jobs of this status', 'retry jobs (more memory, time)', 'redraw the screen',
                  'quit; asks what happens to jobs'):
        assert words in shown
    screen.type('?')
    screen.sees('0 +R running')
    screen.type('l')
    screen.sees('^ messages(.|\n)*none so far')
    screen.type('?')    # instead of it, not above it
    screen.sees('In the list')
    screen.type(ESC)
    screen.sees('0 +R running')
    screen.type('l', 'l')
    screen.sees('0 +R running')


def test_the_keys_in_the_last_line_stand_out(qmap, console):
    qmap.write('a.map', STAYS)
    screen = console('submit', 'a.map', '--logs', 'out', columns=100)
    shown = screen.sees('0 +R running').split('\n')
    assert 'm max' in shown[-1] and 'l log' in shown[-1]
    last = screen.screen.buffer[23]
    assert all(last[x].reverse for x in range(5)) and not last[6].reverse    # Enter, open
    assert screen.screen.buffer[3][shown[3].index('R 1')].fg == 'cyan'
    assert b'no driver is running' not in screen.raw    # not even in the first moment


def test_the_clock_of_a_running_job_goes_every_second(qmap, console):
    qmap.write('a.map', STAYS)
    screen = console('submit', 'a.map', '--logs', 'out')
    seen = set()
    while len(seen) < 12:
        seen.update(map(int, re.findall('R running +([0-9]+)s', screen.look(0.1))))
    assert max(seen) - min(seen) < 15
    assert 'ETA' not in screen.look()


def test_a_job_page_is_aligned_and_says_why_it_failed(qmap, console):
    qmap.write('a.map', '[params]\nworking_directory = .\n[jobs]\n'
               'for n in 1 2 3 4 5 6 7 8 9; do echo line $n >&2; done; exit 3 ## memory=150M sample=S7\n' + STAYS)
    screen = console('submit', 'a.map', '--logs', 'out', '-m', '100M', columns=100, lines=40)
    screen.sees('F exit 3')
    screen.type('F', ENTER)
    shown = screen.sees('ended with exit status 3')
    assert re.search(r'stderr, last lines \(all: 3\)\n  line 4\n(.*\n)*  line 9\n', shown)
    begins = {len(re.search('^{} +'.format(label), shown, re.MULTILINE).group())
              for label in ('status', 'sample', 'command', 'memory', 'working directory', 'started')}
    assert len(begins) == 1, shown
    assert re.search(r'^status +F failed: exit 3$', shown, re.MULTILINE)
    assert re.search('^started +' + time.strftime('%Y-%m-%d '), shown, re.MULTILINE)
    line = next(place for place, text in enumerate(shown.split('\n')) if text.startswith('status'))
    assert screen.screen.buffer[line][begins.pop()].fg == 'red'
    screen.type('r')
    screen.sees(r'memory:.*\(now 150M\)')    # what this one requested, not what all do


def test_the_note_of_a_retry_says_what_the_jobs_requested(qmap, console):
    qmap.write('a.map', ''.join('exit 1 ## memory={}M\n'.format(100 + 50 * n) for n in range(3)) + STAYS)
    screen = console('submit', 'a.map', '--logs', 'out', '-m', '64M')
    screen.sees('F 3 failed')
    screen.sees('> 3 +R running')
    screen.type('r')
    screen.sees(r'Retry \(all failed: 3 jobs\)')
    screen.sees(r'memory:.*\(now 100M to 200M\)')
    assert 'changed since it was submitted' not in screen.look(0.1)
    screen.type('\x1b')
    screen.sees('q quit')
    qmap.write('a.map', 'true\n' * 4)    # what the user has mended runs with `submit` only
    screen.type('r')
    screen.sees(r'a\.map: changed since it was submitted; retry runs')


def estimate(durations, ran, waiting, rate=0, **flags):
    """Return what Pace says of an execution of which jobs have completed, run and wait."""
    from qmap_backends.tools.listing import Pace
    now = time.time()
    ended, count = len(durations), len(durations) + len(ran) + waiting
    records = [{'status': 'COMPLETED', 'started': 1, 'finished': 1 + seconds} for seconds in durations]
    counts = {'UNSUBMITTED': waiting, 'PENDING': 0, 'COMPLETED': 0, 'FAILED': flags.get('cancelled', 0)}
    ledger = SimpleNamespace(
        count=count, status=bytearray([3] * ended + [2] * len(ran) + [0] * waiting), record=records.__getitem__,
        left=lambda: len(ran) + waiting, count_of=lambda status: counts[status],
        live={n: {'status': 'RUNNING', 'started': now - seconds} for n, seconds in enumerate(ran)})
    execution = SimpleNamespace(
        ledger=ledger, halted=flags.get('halted', False), stopping=flags.get('stopping', False),
        failures=SimpleNamespace(cancelled=flags.get('cancelled', 0)),
        plan=SimpleNamespace(group=2))
    clock = [0]
    pace = Pace(execution, lambda: clock[0])
    pace.look()
    counts['COMPLETED'] = ended
    clock[0] = ended / rate if rate else 100
    pace.look()
    return pace.eta(), pace.rate()


@pytest.mark.once
def test_the_eta_knows_the_jobs_at_work_and_is_silent_where_nobody_can_know():
    assert estimate([10] * 50, [2, 5], 100, rate=2) == (pytest.approx(51), 2)
    assert estimate([10] * 50, [2, 5], 0, rate=2)[0] == pytest.approx(8, abs=0.1)    # the last two
    assert estimate([10, 10, 30, 50], [20], 0)[0] == pytest.approx(20, abs=0.1)    # those that took longer: 30, 50
    assert estimate([10] * 50, [2, 35], 0, rate=2)[0] is None    # none of the others took so long
    assert estimate([10] * 50, [2, 5], 100, rate=2, halted=True)[0] is None
    assert estimate([10] * 50, [2, 5], 100, rate=2, stopping=True)[0] is None
    assert estimate([], [5], 0)[0] is None
    assert estimate([10] * 50, [1], 10, rate=2, cancelled=100000)[1] == 2    # these have not run


@pytest.mark.once
def test_a_start_that_most_commands_share():
    from qmap_backends.tools.pages import Columns
    found = Columns._common_start
    share = SimpleNamespace(MOST=8, WORTH=12)
    common = ['gzip -dc /data/fq/S{:02d}.gz'.format(n) for n in range(9)]
    assert found(share, sorted(common)) == 'gzip -dc /data/fq/'
    assert found(share, sorted(common + ['multiqc .'])) == 'gzip -dc /data/fq/'
    assert found(share, sorted(common[:5] + ['a', 'b', 'c'])) == ''
    assert found(share, ['sleep 1000000000'] * 9) == '' and found(share, ['one command']) == ''


def test_filters_searches_and_sorts(qmap, console):
    qmap.write('a.map', ''.join('exit {} # Alpha{}\n'.format(n % 2, n) for n in range(20)) + STAYS)
    screen = console('submit', 'a.map', '--logs', 'out', columns=140)
    screen.sees('F 10 ')
    screen.sees('C 10 ')
    screen.type('F')
    assert 'completed' not in '\n'.join(screen.sees('of 10.*failed').split('\n')[4:])
    screen.type('C')
    screen.sees('of 20')
    screen.type(ESC, '/', 'alpha1')
    screen.sees('of 11')    # alpha1 and alpha10 to alpha19
    screen.type('7', ENTER, 'o')
    assert '17 F exit 1' in screen.sees('1 of 1 ')
    screen.type(ESC, 'o')
    screen.sees('of 21 .*running first')
    screen.type('o', '/', '3,7-9', ENTER)
    shown = screen.sees('of 4 ')
    assert [line[2:4] for line in shown.split('\n')[5:9]] == ['03', '07', '08', '09']
    screen.type('s', 's', 's', 's')
    screen.sees('of 1 .*completed')
    screen.type(ESC, HOME, ' ', ' ', 'r')
    screen.sees('marked: 2 jobs')
    screen.type(ESC, '/', 'nothing has this', ENTER)
    screen.sees('no such job')


def test_jobs_that_take_no_core(qmap, console):
    qmap.write('a.map', 'false\n' + STAYS * 9)
    screen = console('submit', 'a.map', '--logs', 'out', '-c', '0', '-r', '30', columns=140)
    screen.sees('max running 30 (?!.*cores)')
    screen.sees('R 9 running')
    screen.type('F')
    screen.sees('1 of 1.*failed')
    screen.type(ENTER)
    screen.sees('cores +.*0 requested')
    screen.type('r')
    screen.sees('cores *: .*now 0')


def test_steers_what_it_drives(qmap, console):
    qmap.write('a.map', STAYS * 30)
    qmap.write('mine.conf', 'executor = local\n[editable_params]\nmemory = Memory of each\n')
    screen = console('submit', 'a.map', '--logs', 'out', '-p', 'mine', '-r', '1')
    screen.sees('R 1 ')
    screen.type('p')
    screen.sees('paused: running jobs continue')
    screen.sees('PAUSED')
    screen.type('m', '2', ENTER)
    screen.sees('max running 2 ')
    screen.type('e')
    screen.sees('Memory of each')
    screen.type('64M', ENTER)
    screen.sees('memory = 64M for')
    screen.type('p')
    screen.sees('resumed')
    screen.type('l')
    shown = screen.sees(r'^ messages(.|\n)*Esc back')
    assert 'paused' in shown and 'resumed' in shown and '64M' in shown
    screen.type(ESC, 'c')
    screen.sees('all unfinished: 30 jobs')
    screen.type('2')
    screen.sees('F 0 .*X 30 ')
    screen.type('q')
    assert screen.ends() == 1


def test_a_viewer_steers_and_takes_over(qmap, console):
    qmap.write('a.map', 'exit 3\n' + STAYS + 'true\n' * 3)
    driver = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '2')
    until(lambda: os.path.exists(qmap.path('out', '.qmap', 'driver.json')))
    screen = console('reattach', '-l', 'out')
    screen.sees('viewing; driver: pid {} on'.format(driver.pid))
    screen.sees('F 1 ')
    screen.type('p')
    screen.sees('paused: running')
    screen.type('F')
    screen.sees('0 +F exit 3')
    screen.type('r')
    screen.sees('Retry .selected: job 0')
    screen.type(ENTER)
    screen.sees('retrying 1 job')
    driver.kill()
    driver.wait()
    screen.sees(r'driver: this process \(pid {} on'.format(screen.process.pid))
    screen.type('l')
    screen.sees('the driver has exited; this process is the driver now')
    screen.type(ESC, 'q')
    screen.sees('3  cancel the')
    screen.type('3')
    assert screen.ends() == 3
    assert 'to go on' in screen.look()


def test_an_order_is_shown_until_the_driver_obeys(qmap, console):
    qmap.write('a.map', STAYS)
    driver = qmap.start('submit', 'a.map', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '.qmap', 'driver.json')))
    screen = console('reattach', '-l', 'out', columns=100)
    screen.sees('0 +R running')
    driver.send_signal(signal.SIGSTOP)
    screen.type('p')
    screen.sees('^ pause: sent, waiting for the driver')
    screen.sees('^ no answer from the driver yet: pause')
    driver.send_signal(signal.SIGCONT)
    shown = screen.sees('^ .*paused: running jobs continue')
    assert 'answer' not in shown and 'waiting' not in shown
    screen.sees('^ PAUSED(.|\n)*p resume')
    driver.kill()
    driver.communicate()


def test_any_size(qmap, console):
    qmap.write('a.map', 'exit 1\n' * 30 + STAYS)
    screen = console('submit', 'a.map', '--logs', 'out', '--no-halt')
    screen.sees('F 30 ')
    for lines, columns in ((50, 200), (5, 20), (3, 10), (1, 1), (2, 40), (10, 40), (24, 80)):
        screen.resize(lines, columns)
        for keys in ('F', ENTER, TAB, ESC, 'r', ESC, '?', ESC, 'l', ESC, 'q', ESC, 'F'):
            screen.type(keys)
        if lines == 5:
            screen.sees('F 30')
            screen.sees(r'^[> ] \d\d [RF] ')
        screen.look(0.3)
        assert screen.process.poll() is None
    screen.sees(r'F 30 failed')
    screen.type('\x03')
    screen.sees(r'Stopping: no new jobs. 1 running job continues; qmap exits in 10 s. ')
    screen.sees('^ stopping')
    time.sleep(0.5)    # a second one at the same moment would be the first one, passed on
    screen.type('\x03')
    assert screen.ends() == 130
    assert '31 jobs: 30 failed, 1 cancelled' in screen.look()


def test_is_suspended_and_comes_back(qmap, console):
    qmap.write('a.map', STAYS)
    screen = console(argv=['bash', '--norc', '-i'], environ={'PS1': 'ready> '})
    screen.sees('ready>')
    screen.type(' '.join(qmap.program) + ' submit a.map --logs out' + ENTER)
    screen.sees('0 +R running')
    screen.type('\x1a')
    screen.sees('Stopped(.|\n)*ready>')
    screen.type('echo can you $((40 + 2))?' + ENTER)
    screen.sees('can you 42')    # it echoes and has its lines
    screen.type('clear; fg' + ENTER)
    screen.sees('0 +R running')
    screen.type('\x1a')
    screen.sees('Stopped(.|\n)*ready>')
    screen.type('bg' + ENTER, 'echo still $((40 + 3))' + ENTER)
    screen.sees('still 43')
    qmap.write('go', '')
    screen.sees('1 job: 1 completed')
    screen.type('exit' + ENTER)
    screen.ends()


def test_a_terminal_that_dies(qmap, console):
    qmap.write('a.map', STAYS + 'touch done\n')
    screen = console('submit', 'a.map', '--logs', 'out', '-r', '1')
    screen.sees('0 +R running')
    screen.dies()
    assert until(lambda: screen.process.poll() is not None) and screen.process.returncode == 3
    screen = console(argv=['bash', '-c', "trap '' HUP; exec \"$@\"", 'bash'] + qmap.program + ['reattach', '-l', 'out'])
    screen.sees('0 +R running')
    screen.dies()    # and with nohup it goes on
    qmap.write('go', '')
    assert until(lambda: screen.process.poll() is not None) and os.path.exists(qmap.path('done'))
    assert qmap.statuses('out') == ['COMPLETED', 'COMPLETED']


def test_sigterm_restores_the_terminal(qmap, console):
    qmap.write('a.map', STAYS)
    screen = console('submit', 'a.map', '--logs', 'out')
    before = termios.tcgetattr(screen.master)
    screen.sees('0 +R running')
    assert termios.tcgetattr(screen.master) != before
    screen.process.terminate()
    assert screen.ends() == 3
    assert termios.tcgetattr(screen.master) == before
    assert 'to go on:' in screen.look()


def test_a_bug_in_it_leaves_the_plain_view(qmap, console):
    qmap.write('a.map', 'sleep 1\n')
    code = ('import sys; sys.path.insert(0, {!r}); import qmap; from qmap_backends.tools import console; '
            'console.ListPage.draw = None; sys.exit(qmap.main(sys.argv[1:]))'.format(ROOT))
    screen = console(argv=[sys.executable, '-c', code, 'submit', 'a.map', '--logs', 'out'])
    assert screen.ends() == 0
    assert 'plain lines from here on' in screen.look() and '1 job: 1 completed' in screen.look()


@pytest.mark.parametrize('environ', [{'LC_ALL': 'C'}, {'NO_COLOR': '1'}, {'TERM': 'vt100'},
                                     {'TERM': 'screen-256color'}])
def test_other_terminals(qmap, console, environ):
    qmap.write('a.map', 'echo h\u00e9\u4e16 >&2; exit 1 # \u00e4\n' + STAYS)
    screen = console('submit', 'a.map', '--logs', 'out', environ=environ)
    shown = screen.sees('0 +F exit 1')
    letters = environ not in ({'TERM': 'screen-256color'},)
    assert re.search(r'\[F+R+\]' if letters else '\\[\u2588+\u2593+\\]', shown)
    screen.type('F', ENTER)
    screen.sees('ended with exit status 1')
    colours = re.search(br'\x1b\[[0-9;]*3[0-7][;m]', screen.raw)
    assert bool(colours) == (environ in ({'LC_ALL': 'C'}, {'TERM': 'screen-256color'}))
    if environ == {'LC_ALL': 'C'}:
        assert all(byte < 128 for byte in screen.raw)
    else:
        screen.sees('h\u00e9')


def test_hostile_bytes(qmap, console):
    hostile = b'\x1b]0;evil\x07\x1b[2J\x1b[31mred\x1b[0m \x00\x9b5n\xff\xfe\x0e\x1bc \xe2\x80\xae'
    qmap.write('bytes', hostile + b'\nlast line\n')
    qmap.write('a.map', b'cat bytes; cat bytes >&2; exit 1 # ' + hostile.replace(b'\0', b'') + b'\n' +
               STAYS.encode())
    screen = console('submit', 'a.map', '--logs', 'out')
    screen.sees('0 +F exit 1')
    screen.type('F', ENTER)
    screen.sees('ended with exit status 1')
    screen.type('2')
    shown = screen.sees('^last line')
    assert 'red ^@' in shown and '\\xff\\xfe^N' in shown
    screen.type('3')
    screen.sees(r'\[3 stderr\](.|\n)*^last line')
    for bad in (b'\x1b]0;', b'\x07', b'\x9b5n', b'\x0e', b'\xff', b'\xe2\x80\xae', b'\0'):
        assert bad not in screen.raw, bad


def test_plain_where_there_is_no_room_for_it(qmap, console):
    qmap.write('a.map', 'true\n')
    for number, (options, environ) in enumerate((
            (['--no-console'], {}), ([], {'TERM': 'dumb'}), ([], {'TERM': 'no-such-terminal'}), ([], {'TERM': ''}))):
        screen = console('submit', 'a.map', '--logs', 'out{}'.format(number), *options, environ=environ)
        assert screen.ends() == 0
        assert '1 job: 1 completed' in screen.look() and b'\x1b[?1049h' not in screen.raw


def test_detach(qmap, console):
    qmap.write('a.map', STAYS + 'true\n')
    screen = console('submit', 'a.map', '--logs', 'out', '-r', '1')
    screen.sees('0 +R running')
    screen.type('d')
    screen.sees('Continue in the background')
    screen.type('y')
    assert screen.ends() == 0
    assert 'continues in the background (pid' in screen.look()
    qmap.write('go', '')
    assert qmap('reattach', '-l', 'out').code == 0
    assert qmap.statuses('out') == ['COMPLETED', 'COMPLETED']


def test_a_tick_writes_little(qmap, console):
    qmap.write('a.map', STAYS * 40)
    screen = console('submit', 'a.map', '--logs', 'out', '-r', '40', lines=50, columns=200)
    screen.sees(r'P pending +\(10s\)')    # what waits for longer is drawn every ten seconds
    screen.look(2)
    begun, before = time.monotonic(), len(screen.raw)
    while time.monotonic() - begun < 5:
        screen.look(0.5)
    assert (len(screen.raw) - before) / (time.monotonic() - begun) < 250


def test_a_million_jobs(qmap, console):
    with open(qmap.path('a.map'), 'w') as target:
        target.write(STAYS)
        target.writelines('sort sample_{}.bam\n'.format(n) for n in range(1, 1000000))
    screen = console('submit', 'a.map', '--logs', 'out', '-r', '1')
    screen.sees('000000 R running')
    screen.type('p')
    screen.sees('PAUSED')
    for keys, seen in ((END, '1,000,000 of 1,000,000|1000000/1000000'), (HOME, '> 000000'),
                       (PGDN + PGDN, '> 0000(1|2|3)'), ('/sample_999998' + ENTER, '> 999998'), (ESC, '>'),
                       ('/999997' + ENTER, '> 999997'), (ESC + 'o' + END, '> 999999'), ('U', '/999999|of 999,999')):
        begun = time.monotonic()
        screen.type(*re.findall('\x1b(?!\\[)|[^\x1b]+|\x1b\\[[0-9]+~', keys))
        screen.sees(seen, 20)
        print(repr(keys), '{:.2f} s'.format(time.monotonic() - begun))
    screen.type('q', '3')
    screen.ends()
