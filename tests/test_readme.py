"""README and manual: their examples come out as they stand there, their links lead somewhere, and they name all that
there is."""

import json
import os
import re

import pytest
from conftest import EXECUTORS, ROOT, at_executor
from examples import put_on_path, read_examples, run_examples

import qmap as module
from qmap_backends.tools import manual

#: Depends little on the Python.
pytestmark = pytest.mark.twice

FOLDER = os.path.join('qmap_backends', 'manual')
PAGES = ['README.md'] + [os.path.join(FOLDER, name) for name in sorted(os.listdir(os.path.join(ROOT, FOLDER)))]

#: Pages whose examples need the documentation of 300 packages.
NEEDS_FILES = [os.path.join(FOLDER, 'tutorial.md')]

#: The page that test_recipes.py runs, each recipe in a folder of its own.
RECIPES = os.path.join(FOLDER, 'recipes.md')

#: Pages whose examples are run by each scheduler; the others by this machine only.
SCHEDULED = ['README.md'] + [os.path.join(FOLDER, name + '.md') for name in ('tutorial', 'submit', 'control', 'run')]


def page(path):
    """Return the text of a page."""
    with open(os.path.join(ROOT, path), encoding='utf-8') as source:
        return source.read()


EVERYWHERE = [
    pytest.param(path, 'local', marks=() if path in SCHEDULED else pytest.mark.slow)
    for path in PAGES if read_examples(page(path)) and path != RECIPES] + [
    pytest.param(path, *getattr(executor, 'values', (executor,)), marks=getattr(executor, 'marks', ()))
    for path in SCHEDULED for executor in EXECUTORS[1:]]


@pytest.mark.parametrize('path, executor', EVERYWHERE)
def test_the_examples_come_out_as_they_stand_there(qmap, path, executor):
    if path in NEEDS_FILES and len(os.listdir('/usr/share/doc')) < 350:
        pytest.skip('needs the documentation of 300 packages')
    at_executor(qmap, executor)
    put_on_path(qmap)
    os.mkdir(qmap.path('here'))
    for name in ('qmap.py', 'qmap_backends'):
        os.symlink(os.path.join('..', name), qmap.path('here', name))
    found = [(command.replace('-p local', '-p ' + executor),
              [line.replace('profile: local', 'profile: ' + executor).replace('-p local', '-p ' + executor)
               for line in expected]) for command, expected in read_examples(page(path))]
    run_examples(found, qmap.path('here'), qmap.environ)


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
    text = page(os.path.join(FOLDER, name + '.md'))
    table = re.search(r'^\| {} \|.*\n\|[ -|]+\|\n((?:\|.*\n)+)'.format(heading), text, re.MULTILINE)
    cells = [line.split(' | ')[0] for line in table.group(1).splitlines()]
    return [word for cell in cells for word in re.findall(r'`([^`]+)`', cell) or [cell.strip('| ')]]


def test_the_tables_hold_what_the_code_knows():
    assert first_cells('map', 'parameter') == list(module.PARAMETERS)
    settings = first_cells('profiles', 'setting')
    assert set(settings) == set(module.SETTINGS) | {'[params]', '[queues]', '[editable_params]'}
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


def test_the_fields_of_info_are_those_of_the_manual():
    text = page(os.path.join(FOLDER, 'fields.md'))
    assert {row[:-2] if row.endswith('.*') else row for row in first_cells('fields', 'field')} <= set(module.FIELDS)
    assert not [path for path in module.FIELDS if '`' + path not in text]


def test_every_order_has_a_row():
    orders = [action for action in module.make_parser().tools['control']._actions if isinstance(action.choices, dict)]
    rows = [word.split()[0] for word in first_cells('control', 'order')]
    assert set(rows) == set(orders[0].choices)


def test_every_key_of_the_console_has_a_row():
    text = page(os.path.join(FOLDER, 'console.md'))
    rows = re.findall(r'^\| (.+) \| (list|job|control|leave|show) \| (.+) \|$', text, re.MULTILINE)
    assert [tuple(manual.plain_text(cell) for cell in row) for row in rows] == \
        [tuple(cell.replace('`', '') for cell in row) for row in manual.KEYS]


def test_the_events_stand_in_the_manual(qmap):
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
