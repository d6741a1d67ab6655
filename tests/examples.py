"""The console blocks of README and manual: read from a page, run in a shell, compared with what they print."""

import os
import re
import shutil
import subprocess

from conftest import QMAP, ROOT

#: What differs from run to run, in the order in which it is made equal.
VARYING = [(r'\d{8}', 'DATE'), (r'\d\d:\d\d:\d\d', 'TIME'), (r'qmap: elapsed .*', 'qmap: elapsed'),
           (r'max running \d+', 'max running N')]

#: What schedulers say of their own where a command runs in the foreground.
CHATTER = r'Job <\d+> is submitted|<<|srun: |salloc: '


def alike(text):
    """Return a text without what differs from run to run."""
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text


def read_examples(text):
    """Return the list of (command, lines that it prints) of all console blocks of a text in Markdown, in
    their order.

    A command stands behind `$ `, and continues in the lines that begin with `>`.
    """
    found = []
    for block in re.findall(r'^```console\n(.*?)^```', text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith('$ '):
                found.append((line[2:], []))
            elif re.match('>( |$)', line) and not found[-1][1]:
                found[-1] = (found[-1][0] + '\n' + line[2:], [])
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
    return bool(lines) and re.match(pattern + '$', alike(lines[0])) is not None and \
        matches(expected[1:], lines[1:])


def put_on_path(qmap):
    """Give the folder `qmap.py` as in a checkout, and the commands `python3` and `qmap`, as pip has it."""
    shutil.copy(QMAP, qmap.path('qmap.py'))
    shutil.copytree(os.path.join(ROOT, 'qmap_backends'), qmap.path('qmap_backends'))
    os.mkdir(qmap.path('bin'))
    os.symlink(qmap.program[0], qmap.path('bin', 'python3'))
    qmap.write('bin/qmap', '#!{}\nimport sys\nsys.path.insert(0, {!r})\nimport qmap\nsys.exit(qmap.entry())\n'.format(
        qmap.program[0], qmap.folder))
    os.chmod(qmap.path('bin', 'qmap'), 0o755)
    qmap.environ['PATH'] = qmap.path('bin') + ':' + qmap.environ['PATH']


def run_examples(found, folder, environ):
    """Run examples one after another in one shell, and check what each prints.

    Args:
        found: list of (command, lines that it prints), as of read_examples
        folder: path where the shell starts
        environ: dict of its environment

    Raises:
        AssertionError: a command printed something else
    """
    shell = subprocess.Popen(['bash'], cwd=folder, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    try:
        for command, expected in found:
            # `:` because a group that holds nothing but a comment is a syntax error
            shell.stdin.write('{{\n{}\n:\n}} </dev/null\necho "==end"\n'.format(command).encode())
            shell.stdin.flush()
            lines = []
            for line in shell.stdout:
                if line == b'==end\n':
                    break
                lines.append(line.decode('utf-8', 'replace').rstrip('\n'))
            lines = [line for line in lines if not re.match(CHATTER, line)]
            assert matches(expected, lines), '$ {}\n{}\n--- expected\n{}'.format(
                command, '\n'.join(lines), '\n'.join(expected))
    finally:
        shell.communicate()
