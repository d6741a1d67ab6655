"""The border between qmap.py and the modules beside it: what they take from it, and how."""

import ast
import os

import pytest
from conftest import QMAP, ROOT

import qmap as module

#: Does not depend on the Python.
pytestmark = pytest.mark.once


def parse(path):
    """Return the tree of a module."""
    with open(path, encoding='utf-8') as source:
        return ast.parse(source.read())


def imports(tree):
    """Yield (statement, module, names) of all imports of a module, wherever they stand in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name, []
        elif isinstance(node, ast.ImportFrom):
            yield node, '.' * node.level + (node.module or ''), [alias.name for alias in node.names]


BESIDE = {os.path.relpath(os.path.join(folder, name), ROOT): parse(os.path.join(folder, name))
          for folder, _, names in os.walk(os.path.join(ROOT, 'qmap_backends')) for name in names
          if name.endswith('.py')}


def test_the_modules_beside_take_what_qmap_offers_them_and_all_of_it():
    taken = {name for tree in BESIDE.values() for _, source, names in imports(tree) if source == 'qmap'
             for name in names}
    assert taken == set(module.FOR_TOOLS)
    assert [name for name in module.FOR_TOOLS if not hasattr(module, name) or name.startswith('_')] == ['__version__']
    assert list(module.FOR_TOOLS) == sorted(set(module.FOR_TOOLS), key=lambda name: (name.lower(), name))


@pytest.mark.parametrize('path', sorted(BESIDE))
def test_they_take_it_by_name_at_their_top_where_it_is_certain_whose_it_is(path):
    tree = BESIDE[path]
    for node, source, names in imports(tree):
        if source.partition('.')[0] in ('qmap', 'qmap_backends'):
            assert names and '*' not in names and node in tree.body, ast.dump(node)
    assert 'qmap' not in {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == 'modules'
                and isinstance(node.value, ast.Name) and node.value.id == 'sys']


def test_qmap_loads_them_inside_functions_only():
    tree = parse(QMAP)
    assert not [source for node, source, _ in imports(tree) if source.startswith('qmap') and node in tree.body]


def test_what_lets_a_view_work_uses_its_interface_and_all_of_it():
    used = {node.attr for node in ast.walk(parse(QMAP)) if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name) and node.value.id == 'view'}
    assert used == {name for name in vars(module.View) if not name.startswith('_')}


def test_each_executor_has_a_backend_and_those_beside_derive_from_them():
    assert set(module.BACKENDS) == set(module.EXECUTORS) == {'local'} | set(module.COMMANDS)
    for name, plain in module.BACKENDS.items():
        full = module.load_backend(name)
        assert isinstance(full, plain) and (type(full) is plain) == (name == 'local') and full.name == name
