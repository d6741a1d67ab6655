"""The full-screen console, in a real terminal: keys are sent, and the screen is read."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

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
            seconds = 0
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
    screen.type('4')
    screen.sees('^#!/bin/bash')
    screen.type('r')
    screen.sees('1  selected: job 0')
    screen.type('1')
    screen.sees('memory: .*now 100M')
    screen.type(DOWN, '2X', ENTER)
    screen.sees('2X')
    screen.type('\x7f', 'G', ENTER)
    screen.sees('1 job to run again, with memory = 2G')
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
    qmap.write('a.map', 'sleep 1; [ "$QMAP_ATTEMPT" = 2 ]\n')
    screen = console('submit', 'a.map', '--logs', 'out')
    screen.type('o')
    screen.sees('All jobs finished')
    screen.type('r')
    screen.sees('1  selected: job 0')
    screen.type(ENTER)
    screen.sees(r'Retry \(selected: job 0\)')
    screen.type(ENTER)
    screen.sees('C completed')
    screen.type('q')
    assert screen.ends() == 0


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


def test_steers_what_it_drives(qmap, console):
    qmap.write('a.map', STAYS * 30)
    qmap.write('mine.conf', 'executor = local\n[editable_params]\nmemory = Memory of each\n')
    screen = console('submit', 'a.map', '--logs', 'out', '-p', 'mine', '-r', '1')
    screen.sees('R 1 ')
    screen.type('p')
    screen.sees('paused: nothing is submitted')
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
    screen.sees('paused: nothing')
    screen.type('F')
    screen.sees('0 +F exit 3')
    screen.type('r', '1')
    screen.sees('Retry .selected: job 0')
    screen.type(ENTER)
    screen.sees('1 job to run again')
    driver.kill()
    driver.wait()
    screen.sees(r'driver: this process \(pid {} on'.format(screen.process.pid))
    screen.type('l')
    screen.sees('the driver is gone: this process drives now')
    screen.type(ESC, 'q')
    screen.sees('3  cancel the')
    screen.type('3')
    assert screen.ends() == 3
    assert 'to go on' in screen.look()


def test_any_size(qmap, console):
    qmap.write('a.map', 'exit 1\n' * 30 + STAYS)
    screen = console('submit', 'a.map', '--logs', 'out')
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
    screen.type('\x03')
    assert screen.ends() == 130
    assert '31 jobs: 31 failed' in screen.look() and 'cancelled' in screen.look()


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
    code = ('import sys; sys.path.insert(0, {!r}); import qmap; from qmap_backends import console; '
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
    shown = screen.sees('ended with exit status 1')
    colours = re.search(br'\x1b\[[0-9;]*3[0-7][;m]', screen.raw)
    assert bool(colours) == (environ in ({'LC_ALL': 'C'}, {'TERM': 'screen-256color'}))
    if environ == {'LC_ALL': 'C'}:
        assert all(byte < 128 for byte in screen.raw)
    else:
        assert 'h\u00e9' in shown


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
    assert 'goes on in the background as process' in screen.look()
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


def test_the_keys_are_in_the_readme():
    from qmap_backends.console import KEYS
    with open(os.path.join(ROOT, 'README.md'), encoding='utf-8') as source:
        readme = source.read()
    for row in KEYS:
        line = '| {} | {} | {} |'.format(*row)
        for char, written in (('<', '&lt;'), ('>', '&gt;'), ('*', '\\*')):
            line = line.replace(char, written)
        assert line in readme
