"""Completion in real shells, and the help of the tools."""

import os
import pty
import select
import shutil
import subprocess
import time

import pytest

import qmap as module

#: Depends little on the Python.
pytestmark = pytest.mark.twice

SHELLS = ['bash', pytest.param('zsh', marks=pytest.mark.skipif(not shutil.which('zsh'), reason='zsh is not here'))]

#: What bash offers for words, of which the last one is being typed.
ASK = '. ./completion; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _qmap; printf "%s\\n" "${COMPREPLY[@]}"'


@pytest.fixture
def offered(qmap):
    """A function of words that returns what bash offers."""
    qmap.write('completion', qmap('completion', 'bash').out)
    qmap.write('mine.conf', 'executor = local\n')
    qmap.write('default.conf', '')

    def ask(*words):
        out = subprocess.check_output(['bash', '--norc', '-c', ASK, 'bash', 'qmap'] + list(words), cwd=qmap.folder,
                                      env=qmap.environ)
        return out.decode().split()
    return ask


@pytest.mark.parametrize('words, expected', [
    (['sub'], ['submit']), (['info', 'usage.mem'], [
        'usage.memory', 'usage.memory.peak', 'usage.memory.bytes', 'usage.memory.below']),
    (['info', '-s', 'f'], ['failed']), (['info', '--status', 'failed,comp'], ['failed,completed']),
    (['info', '--format', ''], ['tsv', 'csv', 'json']), (['submit', 'a.map', '-p', 'lo'], ['local']),
    (['submit', '-p', 'm'], ['mine']), (['run', '--profile', '=', 'sg'], ['sge']),
    (['control', 'can'], ['cancel']), (['control', 'out', 'can'], ['cancel']),
    (['control', '-l', 'out', 'retry', '--mem'], ['--memory']),
    (['control', 'set', 'mem'], ['memory=']),
    (['submit', '--set', 'gp'], ['gpus=']), (['submit', '--on'], ['--on-finish']), (['submit', ''], []),
    (['submit', '-n', 'info', '--dry'], ['--dry-run']), (['help', 'prof'], ['profiles']), (['completion', ''], [
        'bash', 'zsh'])])
def test_what_is_offered(offered, words, expected):
    assert offered(*words) == expected


def test_every_option_of_every_tool_is_offered(offered):
    from qmap_backends.tools import completion
    for name, parser in completion.subparsers(module.make_parser()).items():
        options = {option for action in parser._actions for option in action.option_strings if option.startswith('--')}
        assert set(offered(name, '--')) == options
    assert set(offered('')) == set(completion.subparsers(module.make_parser()))


@pytest.mark.parametrize('shell', SHELLS)
def test_the_tab_key_in_a_real_shell(qmap, shell):
    qmap.write('completion', qmap('completion', shell).out)
    qmap.write('some_file', '')
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(qmap.folder)
        argv = ['bash', '--norc', '--noprofile', '-i'] if shell == 'bash' else ['zsh', '-f', '-i']
        os.execvpe(shell, argv, dict(qmap.environ, TERM='xterm', PS1='> ', HOME=qmap.folder))
    seen = b''

    def type_and_see(keys, expected):
        nonlocal seen
        os.write(terminal, keys)
        start, end = len(seen), time.monotonic() + 30
        while expected not in seen[start:]:
            assert time.monotonic() < end, seen.decode('utf-8', 'replace')
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096)

    try:
        type_and_see(b'. ./completion; echo rea""dy\r', b'ready')
        type_and_see(b'qmap rea\t', b'attach')
        type_and_see(b'\x15qmap info exit_\t', b'code')
        type_and_see(b'\x15qmap info --sum\t', b'mary')
        type_and_see(b'\x15qmap submit some_\t', b'file')
    finally:
        os.close(terminal)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@pytest.mark.parametrize('tool', ['template', 'submit', 'reattach', 'control', 'info', 'report', 'run', 'bundle',
                                  'completion', 'doctor', 'help'])
def test_help_is_one_screen_with_examples_at_its_end(qmap, tool):
    qmap.environ['COLUMNS'] = '80'
    lines = qmap(tool, '--help').lines
    assert len(lines) <= (56 if tool == 'submit' else 40) and max(map(len, lines)) <= 80
    assert lines[lines.index('examples:') + 1:] and lines[-1].startswith('  ')
