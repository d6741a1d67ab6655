"""The small changes that `tests/run --mutants` makes."""

import ast
import os
import sys

import pytest

import mutants

pytestmark = pytest.mark.skipif(sys.version_info < (3, 8), reason='where a node of a program ends is known from 3.8 on')


def test_each_is_a_program_that_differs_in_one_place():
    with open(os.path.join(mutants.ROOT, 'qmap.py'), 'rb') as program:
        source = mutants.Source(program.read(), mutants.PARTS)
    names = {getattr(node, 'name', '') for node in ast.parse(source.text).body}
    assert set(mutants.PARTS) <= names and len(source.changes) > 3000
    for number in range(5):
        change = mutants.numbered(source, number)
        assert change == mutants.numbered(source, number)
        ast.parse(source.changed(change))
        assert source.changed(change) != source.text


def test_what_changes_nothing_survives_and_what_breaks_is_found(monkeypatch):
    with open(os.path.join(mutants.ROOT, 'qmap.py'), 'rb') as program:
        source = mutants.Source(program.read(), mutants.PARTS)
    monkeypatch.setattr(mutants, 'WATCHERS', [(['qmap.py', '--version'], 60)])
    start = source.text.index(b'def main(')
    assert mutants.hunt(source, ('nothing', start, start, '')) == ''
    assert mutants.hunt(source, ('broken', start, start, '1 / 0\n')) == 'the tests'
