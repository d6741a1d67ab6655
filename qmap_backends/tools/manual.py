"""The manual for `qmap help`: the pages of the folder manual/, in Markdown, laid out for a terminal."""

import collections
import html
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import textwrap

#: What each key of the console does: (keys, where, what). The table of its `?`, too.
KEYS = [
    ('Up Down, j k', 'list', 'previous, next job'),
    ('PgUp PgDn', 'list', 'page up, page down'),
    ('Home End', 'list', 'first, last job'),
    ('Left Right', 'list', 'scroll the commands'),
    ('Enter', 'list', 'open job details'),
    ('o', 'list', 'order: running first, or by id'),
    ('U P R C F X O', 'list', 'show only jobs of this status (U: unsubmitted, X: cancelled); again: all'),
    ('s', 'list', 'show only the next status'),
    ('/', 'list', 'search text, or ids (3,7-12)'),
    ('g', 'list', 'failures in groups'),
    ('Space, *', 'list', 'mark the job, all listed jobs'),
    ('Esc', 'list', 'clear search, filter, marks'),
    ('Tab, 1 2 3 4', 'job', 'about, stdout, stderr, script'),
    ('< >', 'job', 'previous, next job of the list'),
    ('Up Down, End', 'job', 'scroll; End follows the output'),
    ('Esc', 'job', 'back to the list'),
    ('p', 'control', 'pause or resume submission'),
    ('m', 'control', 'set max running'),
    ('e', 'control', 'edit unsubmitted jobs'),
    ('r', 'control', 'retry jobs (more memory, time)'),
    ('c', 'control', 'cancel jobs'),
    ('d', 'leave', 'detach: run in the background'),
    ('a', 'leave', 'submit all and quit (clusters)'),
    ('q', 'leave', 'quit; asks what happens to jobs'),
    ('Ctrl-C', 'leave', 'stop in 10 s; again: cancel'),
    ('Ctrl-Z', 'leave', 'suspend; `fg` comes back'),
    ('l', 'show', 'log: what was done, and errors'),
    ('?', 'show', 'this table'),
    ('Ctrl-L', 'show', 'redraw the screen'),
]

#: The page that lists the others, and no topic itself.
INDEX = 'README'

#: The widest lines that one reads with ease.
WIDEST = 100


def page_text(name):
    """Return the Markdown of a page.

    Args:
        name: of the file, without .md

    Raises:
        OSError: there is no such page
    """
    return pkgutil.get_data('qmap_backends', 'manual/{}.md'.format(name)).decode()


def topics():
    """Return the topics, in the order of the index, as a dict {name: one line about it}."""
    rows = re.findall(r'^\| \[.+?\]\((.+?)\.md\) \| (.+) \|$', page_text(INDEX), re.MULTILINE)
    return collections.OrderedDict((name, plain_text(about)) for name, about in rows)


def find_section(title):
    """Return the Markdown of the first section whose title, in lower case, begins so; None for none."""
    for name in topics():
        marks, wanted, fenced = '', [], False
        for line in page_text(name).splitlines():
            fenced = fenced != line.startswith('```')
            heading = None if fenced else re.match(r'(##+) (.+)', line)
            if heading and marks and len(heading.group(1)) <= len(marks):
                break
            if heading and not marks and plain_text(heading.group(2)).lower().startswith(title):
                marks = heading.group(1)
            if marks:
                wanted.append(line)
        if wanted:
            return '\n'.join(wanted)
    return None


def pages_with(words):
    """Return the topics on whose pages a word stands, or several words in a row; the most frequent first.

    Args:
        words: text, in any case
    """
    wanted = re.compile(r'(?<!\w){}'.format(r'\s+'.join(map(re.escape, words.split()))), re.IGNORECASE)
    found = collections.Counter({name: len(wanted.findall(plain_text(page_text(name)))) for name in topics()})
    return [name for name, count in found.most_common() if count]


def plain_text(text):
    """Return a line of Markdown without its marks; what stands between ` is left as it is."""
    parts = text.split('`')
    parts[::2] = [html.unescape(re.sub(r'\\(.)', r'\1', part.replace('**', ''))) for part in parts[::2]]
    return re.sub(r'\[([^][]+)\]\([^()\s]*\)', r'\1', ''.join(parts))


def lay_out(markdown, width):
    """Yield the lines of a page for a terminal.

    Args:
        markdown: text
        width: columns
    """
    before = ''
    for kind, block in markdown_blocks(markdown):
        if before and not kind == before == 'item':
            yield ''
        before = kind
        if kind == 'heading':
            title = plain_text(block[0].lstrip('#').strip())
            yield title if block[0].startswith('# ') else title.upper()
        elif kind == 'code':
            for line in block:
                yield ('    ' + line).rstrip()
        elif kind == 'table':
            for line in lay_out_table(block, width - 2):
                yield ('  ' + line).rstrip()
        else:
            indent = len(block[0]) - len(block[0].lstrip())
            mark = re.match(r'(?:[-*]|\d+\.) ', block[0].lstrip()) if kind == 'item' else None
            start = '  ' + ' ' * indent
            rest = start + ' ' * len(mark.group() if mark else '')
            for line in wrap(plain_text(' '.join(line.strip() for line in block)), width, start, rest):
                yield line


def begun_block(line, kind):
    """Return the kind of block that begins with a line of Markdown, '' where none does.

    Args:
        line: text
        kind: of the block that is open
    """
    if line.startswith('```'):
        return 'code'
    if re.match('#+ ', line):
        return 'heading'
    if line.startswith('|'):
        return 'table' if kind != 'table' else ''
    return 'item' if re.match(r'\s*(?:[-*]|\d+\.) ', line) else ''


def markdown_blocks(markdown):
    """Yield the parts of Markdown as (kind, lines): heading, code, table, item or text; no front matter."""
    kind, block = '', []
    for line in re.sub(r'\A---\n.*?\n---\n', '', markdown, flags=re.DOTALL).splitlines() + ['']:
        if kind == 'code':
            if not line.startswith('```'):
                block.append(line)
                continue
            yield kind, block
            kind, block = '', []
            continue
        begun = begun_block(line, kind)
        ends = begun or not line.strip()
        if block and ends:
            yield kind, block
            kind, block = '', []
        if begun == 'code':
            kind = 'code'
        elif line.strip():
            kind = begun or kind or 'text'
            block.append(line)
            if kind == 'heading':
                yield kind, block
                kind, block = '', []


def table_rows(lines):
    """Return the rows of a table in Markdown, the head first, as lists of plain texts."""
    lines = [line.strip()[1:-1] for line in lines if not re.match(r'\|[\s|:-]+\|$', line)]
    cells = [re.split(r'(?<!\\)\|', line) for line in lines]
    return [[plain_text(cell.strip().replace('\\|', '|')) for cell in row] for row in cells]


def lay_out_table(lines, width):
    """Yield the lines of a table: columns as wide as what they hold, as far as there is room. A first cell
    that is too long for its column has a line to itself."""
    rows = table_rows(lines)
    widths = [max(map(len, column)) for column in zip(*rows)]
    widths[0] = min(widths[0], max(width * 2 // 5, width - 2 * (len(widths) - 1) - sum(widths[1:])))
    left = width - widths[0] - 2 * (len(widths) - 1)
    for place, column in enumerate(sorted(range(1, len(widths)), key=lambda number: widths[number])):
        widths[column] = min(widths[column], left // (len(widths) - 1 - place))
        left -= widths[column]
    for number, row in enumerate(rows):
        if number == 1:
            yield '  '.join('-' * columns for columns in widths)
        cells = [wrap(cell, columns) for cell, columns in zip(row, widths)]
        if len(row[0]) > widths[0]:
            for line in wrap(row[0], width):
                yield line
            cells[0] = ['']
        for line in range(max(map(len, cells))):
            yield '  '.join('{:{}}'.format(cell[line] if line < len(cell) else '', columns)
                            for cell, columns in zip(cells, widths))


def wrap(text, width, start='', rest=''):
    """Return the lines of a text that is at most `width` wide; options and paths are not broken."""
    return textwrap.wrap(text, width, initial_indent=start, subsequent_indent=rest, break_long_words=False,
                         break_on_hyphens=False) or [start]


def lines_of(topic, width=None):
    """Return a topic as a list of lines for a terminal.

    Args:
        topic: one of `topics()`, or the begin of the title of a section; '' for the list of topics
        width: columns, by default those of the terminal, but no more than one reads with ease

    Raises:
        KeyError: there is no such topic
    """
    known = {name.lower(): name for name in topics()}
    page = known.get(topic.lower()) if topic else INDEX
    markdown = page_text(page) if page else find_section(topic.lower())
    if markdown is None:
        raise KeyError(topic)
    width = width or min(WIDEST, shutil.get_terminal_size().columns)
    lines = list(lay_out(markdown, width))
    others = sorted(set(re.findall(r'\]\((\w+)\.md[)#]', markdown)) & set(known.values()))
    if others and topic:
        lines += ['', 'SEE ALSO'] + wrap('qmap help ' + ', '.join(others), width, '  ', '  ')
    return lines


def page_through(lines):
    """Show lines in the reader's pager (PAGER, else less) where they are more than a terminal has room for.

    Returns:
        whether they were shown
    """
    on_terminal = sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()
    pager = os.environ.get('PAGER') or shutil.which('less')
    if not on_terminal or not pager or len(lines) < shutil.get_terminal_size().lines:
        return False
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)    # Ctrl-C is for the pager
    try:
        process = subprocess.Popen(pager, shell=True, stdin=subprocess.PIPE,
                                   env=dict({'LESS': 'FRX'}, **os.environ))
        process.communicate('\n'.join(lines + ['']).encode())
    finally:
        signal.signal(signal.SIGINT, interrupt)
    return process.returncode != 127    # 127: the shell has not found it
