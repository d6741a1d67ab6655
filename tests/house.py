#!/usr/bin/env python3
"""Measure how easy the code is to read: python3 tests/house.py prints what is larger than the aims, and the totals.

The aims: no class over 350 lines or 12 attributes, no function over 50 lines or of a complexity over 20 (branches,
loops, handlers, and each `and` and `or`), no conditional expression within another, no `and` and `or` mixed without a
name for one of them, no line over 110 columns. They are signs of a wrong cut, and no limits to be gamed.
"""

import ast
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
AIMS = {'lines of a class': 350, 'attributes of a class': 12, 'lines of a function': 50, 'complexity': 20}
COLUMNS = 110

BRANCHES = (ast.If, ast.IfExp, ast.For, ast.While, ast.ExceptHandler, ast.comprehension, ast.Assert)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def sources():
    """Yield the paths of qmap.py and of all modules in qmap_backends."""
    yield os.path.join(ROOT, 'qmap.py')
    for folder, _, names in sorted(os.walk(os.path.join(ROOT, 'qmap_backends'))):
        for name in sorted(names):
            if name.endswith('.py'):
                yield os.path.join(folder, name)


def own_nodes(function):
    """Yield the nodes of a function, but not those of functions and classes that are defined in it."""
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, FUNCTIONS + (ast.ClassDef,)):
            waiting.extend(ast.iter_child_nodes(node))


def complexity(function):
    """Return the number of ways through a function, with each `and` and `or` as one more."""
    return 1 + sum(isinstance(node, BRANCHES) + len(getattr(node, 'ifs', ())) +
                   (len(node.values) - 1 if isinstance(node, ast.BoolOp) else 0) for node in own_nodes(function))


def attributes(of_class):
    """Return the names of the attributes that the methods of a class set on themselves."""
    return {node.attr for node in ast.walk(of_class) if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id == 'self'}


def is_mixed(node):
    """Tell whether a condition mixes `and` with `or`."""
    return isinstance(node, ast.BoolOp) and any(
        isinstance(part, ast.BoolOp) and type(part.op) is not type(node.op) for part in node.values)


def is_nested(node):
    """Tell whether a conditional expression stands directly in another one."""
    return isinstance(node, ast.IfExp) and any(isinstance(part, ast.IfExp) for part in (node.body, node.orelse))


def measured(path):
    """Yield (what, where, number) of all that is measured in a file."""
    with open(path, encoding='utf-8') as source:
        text = source.read()
    for node in ast.walk(ast.parse(text)):
        where = '{}:{} {}'.format(os.path.relpath(path, ROOT), getattr(node, 'lineno', 0), getattr(node, 'name', ''))
        if isinstance(node, ast.ClassDef):
            yield 'lines of a class', where, node.end_lineno - node.lineno + 1
            yield 'attributes of a class', where, len(attributes(node))
        elif isinstance(node, FUNCTIONS):
            yield 'lines of a function', where, node.end_lineno - node.lineno + 1
            yield 'complexity', where, complexity(node)
        elif is_nested(node):
            yield 'nested conditional expressions', where, 1
        elif is_mixed(node):
            yield 'conditions that mix and with or', where, 1
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > COLUMNS:
            yield 'lines over {} columns'.format(COLUMNS), '{}:{}'.format(os.path.relpath(path, ROOT), number), 1


def main():
    found = [item for path in sources() for item in measured(path)]
    for what, aim in AIMS.items():
        over = sorted(((number, where) for kind, where, number in found if kind == what and number > aim), reverse=True)
        print('{} over {}: {}'.format(what, aim, len(over)))
        for number, where in over:
            print('  {:6} {}'.format(number, where))
    for what in ('nested conditional expressions', 'conditions that mix and with or',
                 'lines over {} columns'.format(COLUMNS)):
        over = [where for kind, where, _ in found if kind == what]
        print('{}: {}'.format(what, len(over)))
        if '-v' in sys.argv[1:]:
            print('\n'.join('         ' + where for where in over))


if __name__ == '__main__':
    main()
