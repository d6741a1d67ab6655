"""The README: its examples come out as they stand there, and it names all that there is."""

import os

import pytest
from conftest import EXECUTORS, ROOT, at_executor
from examples import put_on_path, read_examples, run_examples

import qmap as module

#: Depends little on the Python.
pytestmark = pytest.mark.twice

with open(os.path.join(ROOT, 'README.md'), encoding='utf-8') as source:
    README = source.read()


@pytest.mark.skipif(len(os.listdir('/usr/share/doc')) < 350, reason='needs the documentation of 300 packages')
@pytest.mark.parametrize('executor', EXECUTORS)
def test_the_examples_come_out_as_they_stand_there(qmap, executor):
    at_executor(qmap, executor)
    put_on_path(qmap)
    found = [(command.replace('-p local', '-p ' + executor),
              [line.replace('profile: local', 'profile: ' + executor).replace('-p local', '-p ' + executor)
               for line in expected]) for command, expected in read_examples(README)]
    run_examples(found, qmap.folder, qmap.environ)


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
