"""The look at how easy the code is to read finds what it is there to find, and fails where that grows."""

import ast
import os
import re
import subprocess
import sys

import house
import pytest
from conftest import ROOT

#: Only the newer Pythons know where a definition ends.
pytestmark = [pytest.mark.twice, pytest.mark.skipif(not hasattr(ast, 'unparse'), reason='needs Python 3.9')]

LONG_FUNCTION = 'def long():\n' + '    pass\n' * 50
TANGLED = 'def tangled(x):\n    return (' + ' and\n            '.join(['x'] * 21) + ')\n'
LONG_CLASS = 'class Long:\n' + '    x = 1\n' * 350
FULL_CLASS = 'class Full:\n    def __init__(self):\n' + ''.join(
    '        self.a{} = 0\n'.format(number) for number in range(13))
NESTED = 'x = (1 if a else 2) if b else 3\n'
MIXED = 'x = a and b or c\n'
LONG_LINE = 'x = "' + 'y' * 105 + '"\n'


@pytest.mark.parametrize('text, found', [
    ('x = 1 if a else 2\n', {}),
    (NESTED, {house.NESTED: 1}),
    ('x = 1 if a else 2 if b else 3\n', {house.NESTED: 1}),
    ('x = 1 if (a if b else c) else 2\n', {house.NESTED: 1}),
    ('x = a and b and not c\n', {}),
    (MIXED, {house.MIXED: 1}),
    ('if a and (b or c):\n    pass\n', {house.MIXED: 1}),
    (LONG_LINE.replace('y', '', 1), {}),
    (LONG_LINE, {house.LONG: 1}),
    (LONG_FUNCTION.replace('    pass\n', '', 1), {}),
    (LONG_FUNCTION, {'lines of a function over 50': 1, 'largest: lines of a function': 51}),
    (TANGLED.replace('x and\n            ', '', 1), {}),
    (TANGLED, {'complexity over 20': 1, 'largest: complexity': 21}),
    (LONG_CLASS.replace('    x = 1\n', '', 1), {}),
    (LONG_CLASS, {'lines of a class over 350': 1, 'largest: lines of a class': 351}),
    (FULL_CLASS.replace('        self.a0 = 0\n', ''), {}),
    (FULL_CLASS, {'attributes of a class over 12': 1, 'largest: attributes of a class': 13})])
def test_each_figure_counts_what_exceeds_its_aim_and_nothing_else(tmp_path, text, found):
    path = tmp_path / 'module.py'
    path.write_text(text)
    nothing, figures = (house.count_excess(house.find_excess(paths)) for paths in ([], [str(path)]))
    assert figures == dict(nothing, **found)
    assert set(figures) == set(house.LIMITS)


@pytest.mark.parametrize('figure', sorted(house.LIMITS))
def test_the_check_fails_where_a_figure_exceeds_its_limit(tmp_path, monkeypatch, capsys, figure):
    path = tmp_path / 'module.py'
    path.write_text(LONG_FUNCTION + TANGLED + LONG_CLASS + FULL_CLASS + NESTED + MIXED + LONG_LINE)
    monkeypatch.setattr(house, 'sources', lambda: [str(path)])
    monkeypatch.setattr(house, 'LIMITS', house.count_excess(house.find_excess([str(path)])))
    assert house.main(['--check']) == 0 and capsys.readouterr().out == ''
    house.LIMITS[figure] -= 1
    assert house.main(['--check']) == 1 and capsys.readouterr().out.startswith(figure + ': ')


def test_all_modules_are_looked_at_and_what_exceeds_an_aim_is_named_with_its_place():
    names = {os.path.relpath(path, ROOT) for path in house.sources()}
    assert {'qmap.py', 'qmap_backends/slurm.py', 'qmap_backends/tools/console.py'} <= names
    shown = subprocess.check_output([sys.executable, os.path.join(ROOT, 'tests', 'house.py'), '-v']).decode()
    for line in shown.splitlines():
        assert re.match('[a-z].*: [0-9]+$|  [ 0-9]{6} [a-z_0-9/]+[.]py:[0-9]+', line), line
