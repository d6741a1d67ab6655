"""The README: its examples come out as they stand there, and it names all that there is."""

import os
import re
import shutil
import subprocess

import pytest
from conftest import EXECUTORS, QMAP, ROOT, at_executor

import qmap as module

#: Depends little on the Python.
pytestmark = pytest.mark.twice

with open(os.path.join(ROOT, 'README.md'), encoding='utf-8') as source:
    README = source.read()

#: What differs from run to run, in the order in which it is made equal.
VARYING = [(r'\d{8}', 'DATE'), (r'\d\d:\d\d:\d\d', 'TIME'), (r'qmap: elapsed .*', 'qmap: elapsed'),
           (r'max running \d+', 'max running N')]

#: What schedulers say of their own where a command runs in the foreground.
CHATTER = r'Job <\d+> is submitted|<<|srun: |salloc: '


def alike(text):
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text


def examples():
    """Return the list of (command, lines it prints) of all console blocks, in their order."""
    found = []
    for block in re.findall(r'```console\n(.*?)```', README, re.DOTALL):
        for line in block.splitlines():
            if line.startswith('$ '):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def matches(expected, lines):
    """Tell whether lines are as expected, where a line '...' stands for any."""
    if not expected:
        return not lines
    if expected[0] == '...':
        return any(matches(expected[1:], lines[skip:]) for skip in range(len(lines) + 1))
    pattern = re.escape(alike(expected[0])).replace(r'\.\.\.', '.*')
    return bool(lines) and re.match(pattern + '$', alike(lines[0])) is not None and matches(expected[1:], lines[1:])


@pytest.mark.skipif(len(os.listdir('/usr/share/doc')) < 350, reason='needs the documentation of 300 packages')
@pytest.mark.parametrize('executor', EXECUTORS)
def test_the_examples_come_out_as_they_stand_there(qmap, executor):
    at_executor(qmap, executor)
    shutil.copy(QMAP, qmap.path('qmap.py'))
    shutil.copytree(os.path.join(ROOT, 'qmap_backends'), qmap.path('qmap_backends'))
    os.mkdir(qmap.path('bin'))
    os.symlink(qmap.program[0], qmap.path('bin', 'python3'))
    qmap.environ['PATH'] = qmap.path('bin') + ':' + qmap.environ['PATH']
    shell = subprocess.Popen(['bash'], cwd=qmap.folder, env=qmap.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    for command, expected in examples():
        command = command.replace('-p local', '-p ' + executor)
        expected = [line.replace('profile local', 'profile ' + executor).replace('-p local', '-p ' + executor)
                    for line in expected]
        shell.stdin.write('{{\n{}\n}} </dev/null\necho "==end"\n'.format(command).encode())
        shell.stdin.flush()
        lines = []
        for line in shell.stdout:
            if line == b'==end\n':
                break
            lines.append(line.decode().rstrip('\n'))
        lines = [line for line in lines if not re.match(CHATTER, line)]
        assert matches(expected, lines), '$ {}\n{}\n--- expected\n{}'.format(
            command, '\n'.join(lines), '\n'.join(expected))
    shell.communicate()


def test_every_option_stands_in_it():
    tools = [action for action in module.make_parser()._actions if action.dest == 'tool'][0].choices
    for name, parser in tools.items():
        for action in parser._actions:
            for option in action.option_strings:
                if option not in ('-h', '--help', '--working_directory', '-b'):
                    assert option in README, '{} of {}'.format(option, name)


@pytest.mark.parametrize('words', [module.PARAMETERS, module.SETTINGS, module.REASONS, module.STATUSES])
def test_every_name_stands_in_it(words):
    assert not [word for word in words if '`{}`'.format(word) not in README and word not in README]


def test_every_field_stands_in_it(qmap):
    qmap.write('a.map', 'true\nfalse\n')
    qmap('submit', 'a.map', '-g', '2', '--logs', 'out')
    info = qmap.info('out', '0')
    for key, value in info.items():
        for path in ([key] if not isinstance(value, dict) else ['{}.{}'.format(key, inner) for inner in value]):
            if path.startswith(('params.', 'seconds.')):
                continue
            if path.startswith('usage.'):
                path = '`usage.{}'.format(path.split('.')[1])
            assert path in README, path
