"""Which lines of what drives an execution the worlds of the simulation reach.

    tests/run --simulate 600 --coverage   print how many of each class, and which are reached in none
    python tests/reached.py 600           the same; Python 3.12 or newer

What the worlds reached is kept below .tests: tests/mutants.py plays first those that come by a changed line.
"""

import argparse
import ast
import collections
import hashlib
import json
import multiprocessing
import os
import sys

import mutants
import simulation

PROGRAM = os.path.join(mutants.ROOT, 'qmap.py')


def lines_that_run(code, inside=False):
    """Yield the numbers of the lines that run in functions of a code object, without those that say `def`."""
    if inside and code.co_name != '<lambda>':
        yield from {line for _, _, line in code.co_lines() if line} - {code.co_firstlineno}
    for inner in code.co_consts:
        if hasattr(inner, 'co_lines'):
            # A function has fast locals; the body of a class has none.
            yield from lines_that_run(inner, inside or bool(inner.co_flags & 2))


def lines_of_parts(text):
    """Return {class or function: the lines of it that run}, for those of mutants.PARTS."""
    lines = sorted(set(lines_that_run(compile(text, PROGRAM, 'exec'))))
    return collections.OrderedDict(
        (node.name, [line for line in lines if node.lineno < line <= node.end_lineno])
        for node in ast.parse(text).body if getattr(node, 'name', '') in mutants.PARTS)


def play(seed):
    """Play a world; return its number, the lines of the driver that it reached, and the rule that it broke."""
    monitoring, reached = sys.monitoring, set()

    def at_line(code, line):
        if code.co_filename == PROGRAM:
            reached.add(line)
        return monitoring.DISABLE    # until the next world
    if not monitoring.get_tool(monitoring.COVERAGE_ID):
        monitoring.use_tool_id(monitoring.COVERAGE_ID, 'reached')
        simulation.install()
    monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.LINE, at_line)
    monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE)
    monitoring.restart_events()
    broken = simulation.simulate(seed)
    monitoring.set_events(monitoring.COVERAGE_ID, 0)
    return seed, sorted(reached), broken


def spans(lines, among):
    """Return numbers as '3-5 9': those that follow each other in `among` are written together."""
    found, place = [], {line: index for index, line in enumerate(among)}
    for line in lines:
        if found and place[line] == place[found[-1][1]] + 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    return ' '.join(str(first) if first == last else '{}-{}'.format(first, last) for first, last in found)


def main():
    parser = argparse.ArgumentParser(description='Say which lines of the driver the worlds of the simulation reach.')
    parser.add_argument('count', nargs='?', type=int, default=600, help='of worlds')
    parser.add_argument('--first', '--from', type=int, default=0, metavar='SEED', help='number of the first one')
    parser.add_argument('--note', action='store_true', help='note that they hold for this version')
    options = parser.parse_args()
    if os.environ.get('PYTHONHASHSEED') != '0':    # or a world would not repeat exactly
        os.execve(sys.executable, [sys.executable] + sys.argv, dict(os.environ, PYTHONHASHSEED='0'))
    with open(PROGRAM, 'rb') as source:
        text = source.read()
    parts = lines_of_parts(text)
    seeds = range(options.first, options.first + options.count)
    wanted = set().union(*parts.values())
    times, worlds, holds = collections.Counter(), {}, True
    with multiprocessing.Pool(len(os.sched_getaffinity(0)), maxtasksperchild=20) as pool:
        for seed, lines, broken in pool.imap_unordered(play, seeds):
            worlds[seed] = sorted(wanted.intersection(lines))
            times.update(worlds[seed])
            if broken:
                holds = False
                print('seed {} breaks a rule: {}'.format(seed, broken))
    for name, lines in parts.items():
        missed = [line for line in lines if not times[line]]
        print('{:14} {:4} lines {:4} %  {}'.format(
            name, len(lines), 100 * (len(lines) - len(missed)) // len(lines), spans(missed, lines)))
    print('{} of {} lines are reached by {} worlds: {:.1f} %'.format(
        len(times), len(wanted), options.count, 100 * len(times) / len(wanted)))
    if options.note and holds:
        simulation.note_held(options.first, options.first + options.count)
    os.makedirs(os.path.dirname(mutants.REACHED), exist_ok=True)
    with open(mutants.REACHED, 'w') as target:
        json.dump({'program': hashlib.sha256(text).hexdigest(), 'worlds': worlds}, target)
    return 0 if holds else 1


if __name__ == '__main__':
    sys.exit(main())
