#!/usr/bin/env python3
"""Measure how easy qmap.py and qmap_backends are to read: what is larger than the aims, and the totals.

    python3 tests/house.py            the figures, and where the largest are
    python3 tests/house.py -v         also where all that stands that is only counted
    python3 tests/house.py --check    exit status 1 if a figure exceeds its limit; .ci/run calls it

The aims: no class over 350 lines or 12 attributes, no function over 50 lines or of a complexity over 20
(branches, loops, handlers, and each `and` and `or`), no conditional expression within another, no `and` and
`or` mixed without a name for one of them, no line over 110 columns. They are signs of a wrong cut, and no
limits to be gamed.

Where a figure is worse than its aim, its limit is what it is today. A limit only falls: whoever improves the
figure lowers it.
"""

import ast
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLUMNS = 110

#: What has a size, and the largest that is aimed at.
AIMS = {'lines of a class': 350, 'attributes of a class': 12, 'lines of a function': 50, 'complexity': 20}
#: What is only counted, and should not be there at all.
NESTED = 'nested conditional expressions'
MIXED = 'conditions that mix and with or'
LONG = 'lines over {} columns'.format(COLUMNS)

#: What --check allows.
LIMITS = {
    'lines of a class over 350': 0,
    'largest: lines of a class': 350,
    'attributes of a class over 12': 5,
    'largest: attributes of a class': 19,
    'lines of a function over 50': 0,
    'largest: lines of a function': 50,
    'complexity over 20': 0,
    'largest: complexity': 20,
    'nested conditional expressions': 0,
    'conditions that mix and with or': 0,
    'lines over 110 columns': 27,
}

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
    ways = 1
    for node in own_nodes(function):
        ways += isinstance(node, BRANCHES) + len(getattr(node, 'ifs', ()))
        if isinstance(node, ast.BoolOp):
            ways += len(node.values) - 1
    return ways


def attributes(of_class):
    """Return the names of the attributes that the methods of a class set on themselves."""
    stored = (node for node in ast.walk(of_class)
              if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    return {node.attr for node in stored if isinstance(node.value, ast.Name) and node.value.id == 'self'}


def is_mixed(node):
    """Tell whether a condition mixes `and` with `or`."""
    return isinstance(node, ast.BoolOp) and any(
        isinstance(part, ast.BoolOp) and type(part.op) is not type(node.op) for part in node.values)


def is_nested(node):
    """Tell whether a conditional expression stands directly in another one."""
    return isinstance(node, ast.IfExp) and any(
        isinstance(part, ast.IfExp) for part in (node.test, node.body, node.orelse))


def measured(path):
    """Yield (what, where, number) of all that is measured in a file."""
    with open(path, encoding='utf-8') as source:
        text = source.read()
    for node in ast.walk(ast.parse(text)):
        where = '{}:{} {}'.format(
            os.path.relpath(path, ROOT), getattr(node, 'lineno', 0), getattr(node, 'name', ''))
        if isinstance(node, ast.ClassDef):
            yield 'lines of a class', where, node.end_lineno - node.lineno + 1
            yield 'attributes of a class', where, len(attributes(node))
        elif isinstance(node, FUNCTIONS):
            yield 'lines of a function', where, node.end_lineno - node.lineno + 1
            yield 'complexity', where, complexity(node)
        elif is_nested(node):
            yield NESTED, where, 1
        elif is_mixed(node):
            yield MIXED, where, 1
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > COLUMNS:
            yield LONG, '{}:{}'.format(os.path.relpath(path, ROOT), number), 1


def find_excess(paths):
    """Return {what: [(number, where)]} of all in these files that exceeds its aim, the largest first."""
    excess = {what: [] for what in list(AIMS) + [NESTED, MIXED, LONG]}
    for path in paths:
        for what, where, number in measured(path):
            if number > AIMS.get(what, 0):
                excess[what].append((number, where))
    for what in AIMS:
        excess[what].sort(reverse=True)
    return excess


def count_excess(excess):
    """Return {figure: number}, as in LIMITS: how much exceeds each aim, and the largest size of each kind."""
    figures = {}
    for what, found in excess.items():
        if what in AIMS:
            figures['{} over {}'.format(what, AIMS[what])] = len(found)
            figures['largest: ' + what] = max([AIMS[what]] + [number for number, _ in found])
        else:
            figures[what] = len(found)
    return figures


def show_excess(excess, verbose):
    """Print what exceeds the aims; `verbose`: also where all that stands that is only counted."""
    for what, found in excess.items():
        print('{}: {}'.format('{} over {}'.format(what, AIMS[what]) if what in AIMS else what, len(found)))
        for number, where in found if what in AIMS or verbose else ():
            print('  {:6} {}'.format(number if what in AIMS else '', where))


def main(arguments):
    excess = find_excess(sources())
    if '--check' not in arguments:
        show_excess(excess, '-v' in arguments)
        return 0
    figures = count_excess(excess)
    for figure, number in figures.items():
        limit = LIMITS[figure]
        if number > limit:
            print('{}: {} (limit {}); python3 tests/house.py -v says where'.format(figure, number, limit))
        elif number < limit:
            print('{}: {}; the limit {} in tests/house.py can be lowered'.format(figure, number, limit))
    return int(any(number > LIMITS[figure] for figure, number in figures.items()))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
