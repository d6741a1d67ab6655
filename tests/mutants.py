"""Small random changes to what drives an execution: the simulation or the tests have to find each.

    tests/run --mutants 200                 so many, two at once; a table of those that nobody found
    python tests/mutants.py 20 --first 40   those with the numbers 40 to 59

Each number stands for one change, as long as qmap.py stays as it is. A change is found where the simulation breaks a
rule, or a test fails or takes too long. What survives either changes nothing that anybody could see (see HARMLESS),
or is not proved. Once `tests/run --simulate 600 --coverage` has run, only the worlds that come by a change are played.
"""

import argparse
import ast
import concurrent.futures
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: The classes that are changed: the journal and what it tells, the lease, what judges, submits and obeys, workers.
PARTS = (
    'JobTable', 'Places', 'Segments', 'DriverHosts', 'JournalState', 'Ledger', 'Compaction', 'Journal',
    'Words', 'Order', 'Pause', 'Resume', 'Start', 'MaxRunning', 'JobsOrder', 'Cancel', 'Retry', 'Set',
    'Include', 'Add', 'Stop', 'Attempt', 'judge', 'Beat', 'Lease', 'Timer', 'Attempts', 'Disk', 'Scribe',
    'Reports', 'Chunk', 'Chunks', 'Shares', 'Pool', 'ShortJobs', 'Unclaimed', 'Pools', 'BadHosts',
    'Launches', 'Question', 'Asker', 'Copies', 'Unended', 'Hopeless', 'Queue', 'Retries', 'Recall',
    'Demand', 'Demands', 'Lists', 'Submitter', 'Halts', 'Steering', 'Gate', 'Driver', 'Inbox')

#: How pytest is asked, and for what.
PYTEST = ['-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider', '-m', 'not cluster and not real and not slow']
QUICK = 'judge journal slurm driver launches shortage rerun interrupted reattach'
OTHERS = 'shares pull control damage reading'

#: What looks for a change, the quickest first: words for Python, and the seconds that they may take at the most.
WATCHERS = [
    (['tests/simulation.py', '40'], 300),
    (PYTEST + ['tests/test_{}.py'.format(name) for name in QUICK.split()], 600),
    (['tests/simulation.py', '600', '--first', '40'], 1800),
    (PYTEST[:-1] + ['not cluster and not real'] + ['tests/test_{}.py'.format(name) for name in OTHERS.split()], 1800)]

#: {(the line, the kind of the change): why nobody can see it}.
HARMLESS = {
    ("self.due = float('inf')", 'no assignment'): 'a search for what needs none is made again, and asks nothing',
    ('if self.ledger.cancelled.keys() & set(submission.numbers):', 'if true'):
        'note_cancelled looks itself whether there is anything to cancel',
    ('if age > self.READERS:', 'compare'): 'two times of a file server that differ by exactly that',
    ('self._count += 1', 'number'): 'the others only see whether the beat is another one',
    ('self.load, self._load_due = {}, 0', 'number'): 'the clock has shown more than a second before',
    ('place = self._places.get(path, 0)', 'number'): 'the first line of a segment says who drives, and is no order',
}

#: Which lines each world reaches, as tests/reached.py has found.
REACHED = os.path.join(ROOT, '.tests', 'reached.json')

#: What takes the place of a comparison, of an operator between numbers, and of a word between conditions.
COMPARISONS = {
    ast.Lt: ('<', '<='), ast.LtE: ('<=', '<'), ast.Gt: ('>', '>='), ast.GtE: ('>=', '>'), ast.Eq: ('==', '!='),
    ast.NotEq: ('!=', '=='), ast.In: ('in', 'not in'), ast.NotIn: ('not in', 'in'), ast.Is: ('is', 'is not'),
    ast.IsNot: ('is not', 'is')}
OPERATORS = {ast.Add: ('+', '-'), ast.Sub: ('-', '+')}
WORDS = {ast.And: ('and', 'or'), ast.Or: ('or', 'and')}


class Source:
    """The text of a program, with all small changes that could be made to some of its classes.

    Attributes:
        text: bytes
        changes: list of (kind, start, end, what takes the place of these bytes)
    """

    def __init__(self, text, parts):
        self.text, self.changes = text, []
        self._lines = [0]
        for line in text.splitlines(True):
            self._lines.append(self._lines[-1] + len(line))
        self._tree = ast.parse(text)
        for node in self._tree.body:
            if getattr(node, 'name', '') in parts:
                for inner in ast.walk(node):
                    self._look_at(inner)

    def changed(self, change):
        """Return the text with a change made to it."""
        _, start, end, new = change
        return self.text[:start] + new.encode() + self.text[end:]

    def line(self, change):
        """Return the number of the line that a change begins in."""
        return self.text.count(b'\n', 0, change[1]) + 1

    def statement(self, change):
        """Return a range of the lines of the statement in which a change is: of its head, if others are in it."""
        line, found = self.line(change), None
        for node in ast.walk(self._tree):    # what is within another comes after it
            if isinstance(node, ast.stmt) and node.lineno <= line <= node.end_lineno:
                body = getattr(node, 'body', None)
                last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno
                found = range(node.lineno, last + 1) if line <= last else found
        return found

    def _span(self, node):
        return (self._lines[node.lineno - 1] + node.col_offset,
                self._lines[node.end_lineno - 1] + node.end_col_offset)

    def _between(self, kind, left, right, old, new):
        """Note that what stands between two nodes can be another one."""
        start, end = self._span(left)[1], self._span(right)[0]
        place = self.text.find(old.encode(), start, end)
        if place >= 0:
            self.changes.append((kind, place, place + len(old), new))

    def _replace(self, kind, node, new):
        self.changes.append((kind,) + self._span(node) + (new,))

    def _look_at(self, node):
        """Note the changes that can be made to a node."""
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            self._between('compare', node.left, node.comparators[0], *COMPARISONS[type(node.ops[0])])
        elif isinstance(node, ast.BoolOp):
            self._between('word', node.values[0], node.values[1], *WORDS[type(node.op)])
        elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            self._between('operator', node.left, node.right, *OPERATORS[type(node.op)])
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self._replace('not', node, self.text[slice(*self._span(node.operand))].decode())
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            self._replace('number', node, str(node.value + 1))
        elif isinstance(node, ast.If):
            self._replace('if true', node.test, 'True')
            self._replace('if false', node.test, 'False')
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self._replace('no call', node, 'pass')
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            self._replace('no assignment', node, 'pass')


def numbered(source, number):
    """Return the change that a number stands for."""
    return random.Random(number).choice(source.changes)


def run(words, folder, seconds):
    """Run Python with these words in a folder; return whether all was well within this time."""
    environ = dict(os.environ, QMAP_PROFILE='local', PYTHONDONTWRITEBYTECODE='1')
    process = subprocess.Popen(
        [sys.executable] + words, cwd=folder, env=environ, start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return process.wait(timeout=seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def worlds_at(source, change):
    """Return the seeds of the simulation that reach a change, None where that is not known for this version."""
    if not os.path.exists(REACHED):
        return None
    with open(REACHED) as kept:
        reached = json.load(kept)
    if reached['program'] != hashlib.sha256(source.text).hexdigest():
        return None
    lines = set(source.statement(change))
    return [seed for seed, others in reached['worlds'].items() if not lines.isdisjoint(others)]


def watchers(source, change):
    """Return what looks for a change, as WATCHERS: the worlds that reach it are enough, if they are known."""
    seeds = worlds_at(source, change)
    if seeds is None:
        return WATCHERS
    tests = [(words, seconds) for words, seconds in WATCHERS if 'tests/simulation.py' not in words]
    parts = seeds[:30], seeds[30:150]
    return [(['tests/simulation.py', '--seeds', ','.join(part)], 300) for part in parts if part] + tests


def hunt(source, change):
    """Return what found a change, '' where nothing did."""
    with tempfile.TemporaryDirectory(prefix='qmap-mutant-') as folder:
        for name in ('tests', 'qmap_backends'):
            shutil.copytree(os.path.join(ROOT, name), os.path.join(folder, name))
        for name in ('README.md', 'setup.py', 'LICENSE'):
            shutil.copy(os.path.join(ROOT, name), folder)
        with open(os.path.join(folder, 'qmap.py'), 'wb') as target:
            target.write(source.changed(change))
        os.chmod(os.path.join(folder, 'qmap.py'), 0o755)
        for words, seconds in watchers(source, change):
            if not run(words, folder, seconds):
                return 'the simulation' if 'tests/simulation.py' in words else 'the tests'
    return ''


def main():
    parser = argparse.ArgumentParser(description='Look whether small changes to the driver are found.')
    parser.add_argument('count', nargs='?', type=int, default=200, help='of changes')
    parser.add_argument('--first', type=int, default=0, help='number of the first one')
    parser.add_argument('--list', action='store_true', help='only say which these are')
    options = parser.parse_args()
    with open(os.path.join(ROOT, 'qmap.py'), 'rb') as program:
        source = Source(program.read(), PARTS)
    lines, survived, harmless = source.text.decode().splitlines(), 0, 0
    numbers = range(options.first, options.first + options.count)

    def tell(number, found):
        change = numbered(source, number)
        print('{:5} {:14} {}  line {}: {} -> {}'.format(
            number, found, change[0], source.line(change), lines[source.line(change) - 1].strip(),
            change[3].splitlines()[0] or '(nothing)'), flush=True)
    if options.list:
        for number in numbers:
            tell(number, '')
        return 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        chased = {pool.submit(hunt, source, numbered(source, number)): number for number in numbers}
        for future in concurrent.futures.as_completed(chased):
            found, change = future.result(), numbered(source, chased[future])
            why = HARMLESS.get((lines[source.line(change) - 1].strip(), change[0]))
            harmless, survived = harmless + bool(not found and why), survived + (not found and not why)
            tell(chased[future], found or ('harmless' if why else 'SURVIVED'))
            if why and not found:
                print('      ' + why)
    found = options.count - survived - harmless
    print('{} of {} changes were found, {} change nothing, {} survived: {:.1f} % of those that change something'.format(
        found, options.count, harmless, survived, 100 * found / max(1, found + survived)))
    return 1 if survived else 0


if __name__ == '__main__':
    sys.exit(main())
