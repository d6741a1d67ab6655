"""run: one command, as if it had been typed."""

import os
import pty
import signal
import subprocess

import pytest
from conftest import until


def test_streams_and_exit_status_are_the_commands(qmap):
    result = qmap('run', '-q', 'echo out; echo err >&2; exit 5')
    assert (result.code, result.out, result.err) == (5, 'out\n', 'err\n')


def test_then_it_says_what_was_used(qmap):
    result = qmap('run', 'true')
    assert result.code == 0 and result.out == '' and result.err.startswith('qmap: elapsed 00:00:0')
    assert 'cpu ' in result.err and 'peak memory ' in result.err


@pytest.mark.parametrize('command', [
    'echo "a  b" \'c "d"\'', 'echo a\necho b', 'cat <<X\n$((1+1))\nX', "printf '%s|' a\\ b", 'echo é'])
def test_the_command_reaches_the_shell_as_typed(qmap, command):
    assert qmap('run', '-q', command).out == subprocess.check_output(['bash', '-c', command]).decode()


def test_a_signal_is_told_as_a_shell_does(qmap):
    assert qmap('run', '-q', 'kill -9 $$').code == 137
    assert qmap('run', '-q', 'nosuchcommand').code == 127


def test_bytes_pass_untouched_in_both_directions(qmap):
    raw = bytes(range(256)) * 1000
    process = subprocess.Popen(qmap.program + ['run', '-q', 'cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               cwd=qmap.folder, env=qmap.environ)
    assert process.communicate(raw)[0] == raw


def test_the_same_folder_and_environment(qmap):
    qmap.environ['MINE'] = 'a b'
    assert qmap('run', '-q', '-c', '1', 'pwd; echo $MINE $QMAP_CORES').out == qmap.folder + '\na b 1\n'


def test_a_signal_to_qmap_is_passed_on(qmap):
    process = qmap.start('run', '-q', 'trap "echo told; exit 4" TERM; sleep 100 >/dev/null 2>&1 & touch ready; wait')
    until(lambda: os.path.exists(qmap.path('ready')))
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0] == b'told\n' and process.returncode == 4


def test_a_terminal_is_passed_through_and_ctrl_c_reaches_the_command(qmap):
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(qmap.folder)
        command = 'test -t 0 && test -t 1 && echo tty; trap "echo caught; exit 6" INT; echo ready; ' \
            'while :; do sleep 0.1; done'
        os.execve(qmap.program[0], qmap.program + ['run', '-q', command], qmap.environ)
    seen = b''
    while b'ready' not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, b'\x03')
    while b'caught' not in seen:
        seen += os.read(terminal, 1000)
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 6
    assert b'tty' in seen and seen.count(b'caught') == 1
    os.close(terminal)


def test_limits_hold(qmap):
    result = qmap('run', '-q', '-t', '1s', 'sleep 100')
    assert result.code == 143 and 'time limit exceeded' in result.err
    eat = '{} -c "x = bytearray(300 << 20); import time; time.sleep(100)"'.format(qmap.program[0])
    result = qmap('run', '-q', '-m', '100M', eat)
    assert result.code == 137 and 'of memory, 100M requested' in result.err
    assert qmap('run', '-c', '10000', 'true').code == 2


def test_a_command_may_begin_with_a_dash(qmap):
    result = qmap('run', '-q', '--', '-n x')
    assert result.code == 127 and 'command not found' in result.err and 'option' not in result.err


@pytest.mark.parametrize('words', [
    ['printf', '%s|', 'a  b', '*', '$HOME', "it's", '', '-q', '--', 'x\ny', 'é'],
    ['--', 'printf', '%s|', '--', '#', '~', '&&', '\\'], ['-m', '1G', '--', 'echo', '-n', 'a b']])
def test_several_words_are_a_program_and_its_arguments_as_they_are(qmap, words):
    plain = words[words.index('--') + 1:] if words[0].startswith('-') else words
    assert qmap('run', '-q', *words).out == subprocess.check_output(plain).decode()


def test_options_stand_before_a_program_and_may_follow_a_command_in_quotes(qmap):
    assert qmap('run', '-q', 'printf', '%s|', '-q', '-m', '--help', '--version').out == '-q|-m|--help|--version|'
    result = qmap('run', 'echo  a b', '-c', '1', '-q')
    assert (result.code, result.out, result.err) == (0, 'a b\n', '')
    assert 'unrecognised: more ' in qmap('run', 'echo a', '-q', 'more').err


@pytest.mark.parametrize('words, message', [
    ([], 'run: missing command'), (['-q'], 'run: missing command'), (['--'], 'run: missing command'),
    (['-x', 'ls'], 'unrecognised: -x (options of the command stand behind it; ')])
def test_wrong_words_run_nothing(qmap, words, message):
    result = qmap('run', *words)
    assert result.code == 2 and result.out == '' and message in result.err
