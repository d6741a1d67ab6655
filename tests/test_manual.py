"""`qmap help`: the pages of the manual in the terminal, from whatever QMap is installed as."""

import os
import re
import shutil
import sys

import pytest
from conftest import ROOT

from qmap_backends.tools import manual

#: Depends little on the Python.
pytestmark = pytest.mark.twice


def test_every_page_is_a_topic_with_a_line_about_it(qmap):
    names = {name[:-3] for name in os.listdir(os.path.join(ROOT, 'qmap_backends', 'manual'))}
    assert set(manual.topics()) == names - {manual.INDEX}
    lines = qmap('help').lines
    for name, about in manual.topics().items():
        assert [line for line in lines if line.split()[:1] == [name] and about.split()[0] in line]


@pytest.mark.parametrize('topic', manual.topics())
def test_a_page_is_readable_in_the_terminal(qmap, topic):
    qmap.environ['COLUMNS'] = '80'
    lines = qmap('help', topic).lines
    assert lines[0].lower().startswith(topic.lower() + ': ') and len(lines) > 5
    code = [line for line in lines if line.startswith('    ')]
    assert not [line for line in lines if len(line) > 80 and line not in code]
    assert not [line for line in lines if line not in code and ('`' in line or '](' in line or '| ' in line[:3])]


def test_a_section_is_a_topic_as_well(qmap):
    lines = qmap('help', 'several', 'users').lines
    assert lines[0] == 'SEVERAL USERS' and any('umask 077' in line for line in lines)
    wildcards = qmap('help', 'wildcards').out
    assert '**' in wildcards and '{{?=name}}' in wildcards and 'ENVIRONMENTS' not in wildcards


def test_help_of_a_tool_without_a_page_and_of_nothing_known(qmap):
    assert qmap('help', 'help').out == qmap('help', '--help').out
    result = qmap('help', 'zombie')
    assert result.code == 2 and result.err.startswith('qmap: error: zombie: no such topic; topics: install, ')


def test_a_word_that_is_no_topic_names_the_pages_with_it(qmap):
    result = qmap('help', 'qsub')
    pages = re.match(r'qmap: error: qsub: no such topic; pages with this word: (.*)\n', result.err).group(1).split(', ')
    assert result.code == 2 and 'coming' in pages and set(pages) < set(manual.topics())
    counts = [manual.page_text(page).count('qsub') for page in pages]
    assert counts == sorted(counts, reverse=True) and counts[-1] > 0
    assert qmap('help', 'Sample', 'SHEET').err.startswith('qmap: error: Sample SHEET: no such topic; pages with ')
    near = qmap('help', 'recipe').err
    assert near.startswith('qmap: error: recipe: no such topic (did you mean recipes?); pages with')


def test_headings_of_help_are_those_of_every_python(qmap):
    for words in (['submit'], ['info'], ['control'], ['control', 'retry'], []):
        text = qmap(*words, '--help').out
        assert '\noptions:\n' in text and 'positional' not in text and 'optional' not in text
    assert '\narguments:\n' in qmap('submit', '--help').out


def test_what_links_to_other_pages_says_so_at_the_end(qmap):
    lines = qmap('help', 'control').lines
    assert lines[-2:] == ['SEE ALSO', '  qmap help info, logs, submit']


def test_the_manual_is_in_a_bundle(qmap):
    page = qmap('help', 'wildcards').out
    assert qmap('bundle', 'all.py').code == 0
    os.mkdir(qmap.path('alone'))
    shutil.move(qmap.path('all.py'), qmap.path('alone', 'all.py'))
    qmap.program = [sys.executable, '-I', '-S', qmap.path('alone', 'all.py')]
    assert qmap('help', 'wildcards').out == page
    assert qmap('bundle', 'again.py').code == 0
    qmap.program = [sys.executable, '-I', '-S', 'again.py']
    assert qmap('help', 'wildcards').out == page


def test_tables_of_a_narrow_terminal():
    table = ['| name | meaning |', '| --- | --- |', '| `a` | one two three |', '| `a very long name` | x \\| y |']
    assert list(manual.lay_out_table(table, 20)) == [
        'name      meaning   ',
        '--------  ----------',
        'a         one two   ',
        '          three     ',
        'a very long name',
        '          x | y     ']
