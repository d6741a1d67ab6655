"""README and manual: their examples come out as they stand there, their links lead somewhere, and they name all that
there is."""

import os
import re
import shutil
import subprocess

import pytest
from conftest import EXECUTORS, QMAP, ROOT, at_executor

import qmap as module
from qmap_backends import manual

#: Depends little on the Python.
pytestmark = pytest.mark.twice

FOLDER = os.path.join('qmap_backends', 'manual')
PAGES = ['README.md'] + [os.path.join(FOLDER, name) for name in sorted(os.listdir(os.path.join(ROOT, FOLDER)))]

#: What differs from run to run, in the order in which it is made equal.
VARYING = [(r'\d{8}', 'DATE'), (r'\d\d:\d\d:\d\d', 'TIME'), (r'qmap: elapsed .*', 'qmap: elapsed'),
           (r'max running \d+', 'max running N')]

#: What schedulers say of their own where a command runs in the foreground.
CHATTER = r'Job <\d+> is submitted|<<|srun: |salloc: '

#: Pages whose examples need the documentation of 300 packages.
NEEDS_FILES = [os.path.join(FOLDER, 'tutorial.md')]


#: Pages whose examples are run by each scheduler; the others by this machine only.
SCHEDULED = ['README.md'] + [os.path.join(FOLDER, name) for name in ('tutorial.md', 'submit.md', 'control.md', 'run.md')]


def page(path):
    """Return the text of a page."""
    with open(os.path.join(ROOT, path), encoding='utf-8') as source:
        return source.read()


def alike(text):
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text


def examples(path):
    """Return the list of (command, lines it prints) of all console blocks of a page, in their order. A command goes on
    in lines that begin with > ."""
    found = []
    for block in re.findall(r'^```console\n(.*?)^```', page(path), re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith('$ '):
                found.append((line[2:], []))
            elif line.startswith('> ') and not found[-1][1]:
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
    return bool(lines) and re.match(pattern + '$', alike(lines[0])) is not None and matches(expected[1:], lines[1:])


EVERYWHERE = [(path, 'local') for path in PAGES if examples(path)] + [
    pytest.param(path, *getattr(executor, 'values', (executor,)), marks=getattr(executor, 'marks', ()))
    for path in SCHEDULED for executor in EXECUTORS[1:]]


def put_on_path(qmap):
    """Give the folder `qmap.py` as in a checkout, and the commands `python3` and `qmap`, this as pip installs it."""
    shutil.copy(QMAP, qmap.path('qmap.py'))
    shutil.copytree(os.path.join(ROOT, 'qmap_backends'), qmap.path('qmap_backends'))
    os.mkdir(qmap.path('bin'))
    os.symlink(qmap.program[0], qmap.path('bin', 'python3'))
    qmap.write('bin/qmap', '#!{}\nimport sys\nsys.path.insert(0, {!r})\nimport qmap\nsys.exit(qmap.entry())\n'.format(
        qmap.program[0], qmap.folder))
    os.chmod(qmap.path('bin', 'qmap'), 0o755)
    qmap.environ['PATH'] = qmap.path('bin') + ':' + qmap.environ['PATH']


@pytest.mark.parametrize('path, executor', EVERYWHERE)
def test_the_examples_come_out_as_they_stand_there(qmap, path, executor):
    if path in NEEDS_FILES and len(os.listdir('/usr/share/doc')) < 350:
        pytest.skip('needs the documentation of 300 packages')
    at_executor(qmap, executor)
    put_on_path(qmap)
    os.mkdir(qmap.path('here'))
    for name in ('qmap.py', 'qmap_backends'):
        os.symlink(os.path.join('..', name), qmap.path('here', name))
    shell = subprocess.Popen(['bash'], cwd=qmap.path('here'), env=qmap.environ, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for command, expected in examples(path):
        command = command.replace('-p local', '-p ' + executor)
        expected = [line.replace('profile: local', 'profile: ' + executor).replace('-p local', '-p ' + executor)
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


def anchors(path):
    """Return the set of the anchors that GitHub gives to the headings of a page."""
    text = re.sub(r'^```.*?^```', '', page(path), flags=re.DOTALL | re.MULTILINE)
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-')
            for heading in re.findall(r'^#+ (.+)$', text, re.MULTILINE)}


@pytest.mark.parametrize('path', PAGES)
def test_every_link_leads_somewhere(path):
    text = re.sub(r'^```.*?^```', '', page(path), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r'\]\(([^()\s]+)\)', text):
        name, _, anchor = target.partition('#')
        found = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        assert os.path.isfile(os.path.join(ROOT, found)), target
        assert not anchor or anchor in anchors(found), target


def test_the_readme_is_an_entrance():
    assert len(page('README.md').splitlines()) <= 220


def test_the_page_for_programs_is_short():
    assert len(page(os.path.join(FOLDER, 'SKILL.md')).splitlines()) <= 150


@pytest.mark.parametrize('tool', ['template', 'submit', 'reattach', 'control', 'info', 'report', 'run'])
def test_every_option_stands_on_the_page_of_its_tool(tool):
    text = page(os.path.join(FOLDER, tool + '.md'))
    parser = module.make_parser().tools[tool]
    for action in parser._actions:
        for option in action.option_strings:
            if option not in ('-h', '--help', '--working_directory', '-b'):
                assert re.search(r'(?<![\w-]){}(?![\w-])'.format(option), text), option


def first_cells(name, heading):
    """Return the names in the first column of the table of a page whose head begins with a heading."""
    table = re.search(r'^\| {} \|.*\n\|[ -|]+\|\n((?:\|.*\n)+)'.format(heading), page(os.path.join(FOLDER, name + '.md')),
                      re.MULTILINE)
    cells = [line.split(' | ')[0] for line in table.group(1).splitlines()]
    return [word for cell in cells for word in re.findall(r'`([^`]+)`', cell) or [cell.strip('| ')]]


def test_the_tables_hold_what_the_code_knows():
    assert first_cells('map', 'parameter') == list(module.PARAMETERS)
    settings = first_cells('profiles', 'setting')
    assert set(settings) == set(module.SETTINGS) | {'[params]', '[editable_params]'}
    assert first_cells('fields', 'status') == list(module.STATUSES)
    reasons = re.search(r'^\| `error_reason` \| .*', page(os.path.join(FOLDER, 'fields.md')), re.MULTILINE).group()
    assert set(re.findall('`([^`]+)`', reasons)) == set(module.REASONS) | {'error_reason'}
    reserved = page(os.path.join(FOLDER, 'variables.md')).partition('## Reserved names')[2]
    assert set(re.findall(r'`([a-z_]+)`', reserved)) == set(module.RESERVED)


def test_every_field_has_a_row(qmap):
    qmap.write('a.map', 'true\nfalse\n')
    qmap('submit', 'a.map', '-g', '2', '--logs', 'out')
    rows = first_cells('fields', 'field')
    for key, value in qmap.info('out', '0').items():
        for path in ([key] if not isinstance(value, dict) else ['{}.{}'.format(key, inner) for inner in value]):
            assert any(row == path or row.startswith(path + '.') or path.startswith(row.rstrip('*')) for row in rows) \
                or path.startswith('seconds.'), path


def test_every_order_has_a_row():
    orders = [action for action in module.make_parser().tools['control']._actions if isinstance(action.choices, dict)]
    rows = [word.split()[0] for word in first_cells('control', 'order')]
    assert set(rows) == set(orders[0].choices)


def test_every_key_of_the_console_has_a_row():
    rows = re.findall(r'^\| (.+) \| (list|job|control|leave|show) \| (.+) \|$', page(os.path.join(FOLDER, 'console.md')),
                      re.MULTILINE)
    assert [tuple(manual.plain_text(cell) for cell in row) for row in rows] == \
        [tuple(cell.replace('`', '') for cell in row) for row in manual.KEYS]


def test_the_events_stand_in_the_manual(qmap):
    import json
    qmap.write('a.map', 'true\nfalse\n')
    rows = first_cells('progress', 'event')
    for args in (['--logs', 'out'], ['--dry-run'], ['--logs', 'later', '--detach']):
        for line in qmap('submit', 'a.map', '--progress', 'json', *args).lines:
            event = json.loads(line)
            assert event['event'] in rows
            row = re.search(r'^\| `{}` \| .*'.format(event['event']), page(os.path.join(FOLDER, 'progress.md')),
                            re.MULTILINE).group()
            if event['event'] != 'end':
                assert not [key for key in event if key not in ('event', 'time') and '`{}`'.format(key) not in row]
    qmap('reattach', '-l', 'later', '-q')
