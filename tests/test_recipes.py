"""The recipes of the manual: each runs in an empty folder, and prints what stands there."""

import glob
import os
import re
import shutil

import pytest
from conftest import ROOT
from examples import put_on_path, read_examples, run_examples

#: Depends little on the Python.
pytestmark = pytest.mark.twice

with open(os.path.join(ROOT, 'qmap_backends', 'manual', 'recipes.md'), encoding='utf-8') as source:
    CONTENTS, *SECTIONS = re.split('^## ', source.read(), flags=re.MULTILINE)
RECIPES = dict(section.split('\n', 1) for section in SECTIONS)


@pytest.mark.slow
@pytest.mark.parametrize('heading', RECIPES)
def test_a_recipe_prints_what_stands_there(qmap, heading):
    found = read_examples(RECIPES[heading])
    assert any('qmap' in command or 'run.py' in command for command, _ in found)
    if any('curl ' in command for command, _ in found) and not shutil.which('curl'):
        pytest.skip('curl is not here')
    put_on_path(qmap)
    folder = qmap.path('empty')
    os.mkdir(folder)
    qmap.environ.update(HOME=folder, PYTHONPATH=qmap.folder, LC_ALL='C')
    for name in ('QMAP_HOME', 'XDG_CONFIG_HOME'):
        qmap.environ.pop(name)
    try:
        run_examples(found, folder, qmap.environ)
    except AssertionError:
        for log in glob.glob(os.path.join(folder, '*', 'execution.log')):    # of a driver in the background
            qmap('control', '-l', os.path.dirname(log), 'stop', '--cancel')
        raise


def test_the_contents_list_all_of_them_in_their_order():
    assert re.findall(r'\[([^]]+)\]\(#', CONTENTS) == list(RECIPES)
    assert len(SECTIONS) == len(RECIPES) == 31
