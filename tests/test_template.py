"""What `template` makes of a command: groups, wildcards, quotes, and the lines that bring the environment along."""

import os
import subprocess
import time
import unittest.mock
import venv

import pytest

import qmap as module

#: Prints its arguments, each with a NUL behind it.
ARGS = "printf '%s\\0' "
INITS = ('/usr/share/modules/init/bash', '/usr/share/Modules/init/bash', '/usr/share/lmod/lmod/init/bash')
ODD_NAMES = ['with blank', 'it\'s', 'say "hi"', 'back\\slash', '$HOME', '`tick`', '100%', 'new\nline', 'tab\there',
             'ünïcödé', '\udcff\udcfe', '-dash', 'a;b|c&d', '(x)', '{a,b}', '[b]', 'star*', 'q?', '#hash', 'a ## b=c',
             '!bang', 'a=b', '~', "'\"", '${QMAP_LINE}', '{{x}}', ' lead', 'trail ', '\\', "\\'", '日本']


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return str(tmp_path)


def touch(*names):
    for name in names:
        path = os.fsencode(name) if isinstance(name, str) else name
        if os.path.dirname(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb'):
            pass


def write(name, text):
    with open(name, 'wb') as file:
        file.write(text.encode('utf-8', 'surrogateescape'))


def template(command, environ=None, **options):
    """The lines of the map, in an environment."""
    with unittest.mock.patch.dict(os.environ, environ or {}, clear=True):
        return list(module.template_lines(command, **options))


def jobs(command, environ=None, **options):
    """The commands of the map."""
    lines = template(command, environ, **options)
    return lines[lines.index('[jobs]') + 1:]


def bash(script, environ=None, check=True):
    """What bash prints, without start-up files; bytes as text."""
    done = subprocess.run(['bash', '--norc', '--noprofile', '-c', script.encode('utf-8', 'surrogateescape')],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environ)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.decode('utf-8', 'surrogateescape')


def seen(command):
    """The arguments that the shell hands over when it runs the command."""
    return bash(command).split('\0')[:-1]


def wrong(command, *words, **options):
    """Expect an error in one line with these words."""
    with pytest.raises(module.QMapError) as caught:
        template(command, **options)
    assert '\n' not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_command_without_groups_is_one_job_as_typed():
    command = 'echo  "a  b"\t\'c  d\'   $$ "$HOME" ~ \\* $? ${x[0]} $((1+2)) ; true 2>&1 | cat && [ -f x ] # *'
    assert template(command) == ['[jobs]', command]
    assert jobs('echo a \\\n  b') == ['echo a   b']


@pytest.mark.parametrize('command, expected', [
    ('x {{a,b}}  {{1,2,3}}', ['x a  1', 'x a  2', 'x a  3', 'x b  1', 'x b  2', 'x b  3']),
    ('x {{ a b ,\tc}}', ['x a b', 'x c']),
    ('x{{, -v}} {{a,}}.', ['x a.', 'x .', 'x-v a.', 'x-v .']),
    ('x {{a\\,b,c}}', ['x a,b', 'x c']),
    ('x {{$HOME,"a b",\'*\',a{b}c,${a}}}', ['x $HOME', 'x "a b"', "x '*'", 'x a{b}c', 'x ${a}']),
    ('x ${y:-{{a,b}}} ${{{c,d}}}', ['x ${y:-a} ${c}', 'x ${y:-a} ${d}', 'x ${y:-b} ${c}', 'x ${y:-b} ${d}']),
    ('{{?=w}} {{?w:a,b}}{{?=w}} "{{?=w}}"', ['a aa "a"', 'b bb "b"']),
    ('echo {{?w:hello,world}} > /tmp/x_{{?=w}}', ['echo hello > /tmp/x_hello', 'echo world > /tmp/x_world']),
])
def test_lists_make_all_combinations_the_first_group_slowest(command, expected):
    assert jobs(command) == expected


def test_a_file_gives_its_lines(folder):
    write('names', '# comment\r\n\r\none\r\n  # too\r\n  two  words \r\n"three"\r\n\udcff')
    assert jobs('x {{names}}') == ['x one', "x 'two  words'", 'x \'"three"\'', "x '\udcff'"]
    assert jobs('x {{raw:names}}') == ['x one', 'x two  words', 'x "three"', 'x \udcff']
    write('names', 'a\nb')
    for name in ('~/names', '$D/names', '${D}/names'):
        assert jobs('{{?=n}} {{?n:' + name + '}}', {'HOME': folder, 'D': folder}) == ['a a', 'b b']


def test_a_missing_or_wrong_file_is_an_error():
    write('empty', '# nothing\n\n')
    write('data', 'ok\na\0b\n')
    os.mkdir('dir')
    wrong('x {{nowhere}}', '{{nowhere}}', 'No such file', 'comma')
    wrong('x {{?n:nowhere}}', '{{?n:nowhere}}')
    wrong('x {{empty}}', '{{empty}}')
    wrong('x {{dir}}', '{{dir}}', 'directory')
    wrong('x {{data}}', 'data', 'NUL')
    wrong('data', 'data, line 2', 'NUL')


@pytest.mark.parametrize('command, words', [
    ('x {{?:a}}', ['{{?:a}}', '{{?name:...}}']),
    ('x {{?=nope}}', ['nope']),
    ('x {{?=}} {{?a:b,c}}', ['{{?=}}']),
    ('x {{?1a:b,c}}', ['{{?1a:b,c}}']),
    ('x {{?a b:b,c}}', ['{{?a b:b,c}}']),
    ('x {{?a*:b,c}}', ['{{?a*:b,c}}']),
    ('x {{?name}}', ['{{?name}}']),
    ('x {{a,b', ['{{a,b']),
    ('x {{a,b} y', ['{{a,b}']),
    ('x {{}}', ['{{}}']),
    ('x {{?a:}}', ['{{?a:}}']),
    ('x {{a,{{b,c}}}}', ['closed']),
    ('x {{?a:b\nc}}', ['b\\nc']),
    ('x {{*\n}}', ['no file matches']),
    ('x {{?a:b,c}} {{?a:d,e}}', ['twice', '{{?a:d,e}}']),
    ('x {{?a:b,c}} {{?a:*}}', ['twice', '{{?a:*}}']),
    ('x {{?a:b,c}} {{f{{?=a}}}}', ['{{f']),
    ('x `y {{?f:*}}`', ['$(...)']),
])
def test_an_ill_formed_group_is_an_error_that_names_it(command, words):
    wrong(command, *words)


def test_two_braces_themselves():
    assert seen(jobs(ARGS + "'{''{.Name}}'")[0]) == ['{{.Name}}']
    write('names', '{{.Name}}\n')
    assert jobs('x {{raw:names}}') == ['x {{.Name}}']
    assert jobs('x {{names}}') == ["x '{{.Name}}'"]


@pytest.mark.parametrize('command, expected', [
    ("docker ps --format '\\{{.Names}}'", ["docker ps --format '{{.Names}}'"]),
    ('x \\{{a,b}} {{1,2}}', ['x {{a,b}} 1', 'x {{a,b}} 2']),
    ("awk '\\{{print $1}}' *.txt", ["awk '{{print $1}}' a.txt", "awk '{{print $1}}' b.txt"]),
    ('x \\\\{{a,b}}', ['x \\\\a', 'x \\\\b']),
    ('x \\\\\\{{a}}', ['x \\\\{{a}}']),
    ('x \\{{{a,b}}}', ['x \\{a}', 'x \\{b}']),
    ("x '\\{{?=n}}' {{?n:a,b}}", ["x '{{?=n}}' a", "x '{{?=n}}' b"]),
    ('x {{a,\\{{b}}', ['x a', 'x {{b']),
    ('x {{*}}\\{{.txt', ["x 'c{{.txt'"]),
])
def test_a_backslash_makes_braces_the_commands_own(command, expected):
    touch('a.txt', 'b.txt', 'c{{.txt')
    if '*.txt' in command:
        os.remove('c{{.txt')
    assert jobs(command) == expected


def test_errors_show_braces_as_they_are_typed_and_name_the_way_out(qmap):
    wrong("docker ps --format '{{.Names}}'", '{{.Names}}', 'write \\{{')
    wrong('x {{a', 'write \\{{')
    for command in ('x \\{{a *.nope', 'x \\{{*.nope', 'x {{a\\{{b}}', 'x \\{{ {{?=f}}', '`\\{{ {{?f:*}}`', '# \\{{'):
        done = qmap('template', command)
        assert done.code == 2 and done.err.count('\n') == 1, done


@pytest.mark.parametrize('command, expected', [
    ('x {{"a,b",c}}', ['x "a,b"', 'x c']),
    ("x {{'a,b' , c}}", ["x 'a,b'", 'x c']),
    ('x {{--in="a,b",-t "c, d"}}', ['x --in="a,b"', 'x -t "c, d"']),
    ('x {{x{a,b},c}}', ['x x{a,b}', 'x c']),
    ("x {{awk '{print $1,$2}',cat}}", ["x awk '{print $1,$2}'", 'x cat']),
    ('x {{${y,,},z}}', ['x ${y,,}', 'x z']),
    ('x "{{don\'t,can\'t}}"', ['x "don\'t"', 'x "can\'t"']),
    ('x {{"a\\",b",c}}', ['x "a\\",b"', 'x c']),
    ('x {{a\\,b,c}}', ['x a,b', 'x c']),
])
def test_a_comma_in_quotes_or_braces_parts_no_list(command, expected):
    assert jobs(command) == expected


def test_a_comma_in_braces_alone_makes_no_list():
    wrong('x {{x{a,b}}}', '{{x{a,b}}}', 'a list needs a comma')


@pytest.mark.parametrize('item', [
    name for name in ODD_NAMES if '\n' not in name and '\t' not in name and name[0] != '#'], ids=ascii)
def test_the_line_of_a_file_is_one_word_wherever_it_stands(item):
    write('list', item)
    words = ['{}', '"{}"', "'{}'", 'pre_{}_post', '"pre {} post"', "'pre '{}' post'", '"a"{}\'b\'', 'x={}',
             '"$(printf %s {})"', '"$(printf %s "{}")"', '{}{}', '"{}"\'{}\'']
    for first, again in (('{{list}}', '{{list}}'), ('{{?f:list}}', '{{?=f}}'), ('{{?f: list }}', '{{?=f}}')):
        line = jobs(ARGS + ' '.join(words).replace('{}', again).replace(again, first, 1))
        item = item.strip()
        assert seen(line[0]) == [
            item, item, item, 'pre_' + item + '_post', 'pre ' + item + ' post', 'pre ' + item + ' post',
            'a' + item + 'b', 'x=' + item, item, item, item + item, item + item]
        assert len(line) == 1


def test_what_a_newcomer_would_remove():
    write('files.txt', 'my sample.txt\nR&D (final).txt\n')
    assert jobs('rm -f {{?f:files.txt}}') == ["rm -f 'my sample.txt'", "rm -f 'R&D (final).txt'"]
    assert jobs('rm -f {{files.txt}}') == jobs('rm -f {{?f:files.txt}}')


@pytest.mark.parametrize('command, expected', [
    ('x {{?s:list}}/*.bam {{?=s}}', ["x 'a b/1.bam' 'a b'", "x 'a b/2.bam' 'a b'", 'x c/3.bam c']),
    ('x "{{?s:list}}/{{?f:*}}.bam" {{?=f}} "{{?=s}}"',
     ["x 'a b/1.bam' 1 \"a b\"", "x 'a b/2.bam' 2 \"a b\"", 'x c/3.bam 3 "c"']),
    ('x --in={{list}}/*.bam', ["x --in='a b/1.bam'", "x --in='a b/2.bam'", 'x --in=c/3.bam']),
    ('x {{list}} {{1,2}}', ["x 'a b' 1", "x 'a b' 2", 'x c 1', 'x c 2']),
    ('x {{1,2}} {{?l:list}}', ["x 1 'a b'", 'x 1 c', "x 2 'a b'", 'x 2 c']),
    ('x {{list}}{{list}}', ["x 'a b''a b'", "x 'a b'c", "x c'a b'", 'x cc']),
    # where wildcards stay as typed, but lines of files are words
    ('case {{?l:list}} in *.gz) y;; *) z {{?=l}} *.bam;; esac',
     ["case 'a b' in *.gz) y;; *) z 'a b' *.bam;; esac", 'case c in *.gz) y;; *) z c *.bam;; esac']),
    ('[[ {{?l:list}} == *.gz ]] || x {{?=l}}', ["[[ 'a b' == *.gz ]] || x 'a b'", '[[ c == *.gz ]] || x c']),
    ('x $(( {{numbers}} * 2 )) *.b', ['x $(( 1 * 2 )) t.b', 'x $(( 20 * 2 )) t.b']),
    ('(( {{numbers}} * 2 > 3 )) && x *.b', ['(( 1 * 2 > 3 )) && x t.b', '(( 20 * 2 > 3 )) && x t.b']),
    ('x ${y:-{{?l:list}}} ${y:-*} # {{?=l}} *.bam',
     ["x ${y:-'a b'} ${y:-*} # 'a b' *.bam", 'x ${y:-c} ${y:-*} # c *.bam']),
    ('x "${y:-{{list}}}"', ['x "${y:-a b}"', 'x "${y:-c}"']),
    ('a[{{numbers}}]=1 x *.b', ['a[1]=1 x t.b', 'a[20]=1 x t.b']),
    ('x $(y {{?l:list}} *.b) $NOPE/{{?=l}}', ["x $(y 'a b' t.b) $NOPE/'a b'", 'x $(y c t.b) $NOPE/c']),
])
def test_lines_of_files_and_wildcards(command, expected):
    touch('a b/1.bam', 'a b/2.bam', 'c/3.bam', 't.b')
    write('list', 'a b\nc\n')
    write('numbers', '1\n20\n')
    assert jobs(command) == expected


@pytest.mark.parametrize('command', [
    'x `y {{list}}`', "x $'a{{?l:list}}'", 'x {{?l:list}}/*.nope', 'x {{list}}$Y/{{?f:*}}'])
def test_where_the_line_of_a_file_cannot_stand_the_error_shows_what_was_typed(qmap, command):
    write('list', 'a b\n')
    done = qmap('template', command)
    assert done.code == 2 and done.err.count('\n') == 1
    assert any(word in done.err for word in ('{{...}}', '{{?=l}}', 'a b/*.nope', 'a b$Y/{{?f:*}}')), done


def test_a_file_of_several_columns_is_an_error_that_says_what_to_do():
    write('s.tsv', '# no\nsample\tfile\nA\ta.txt\n')
    for command in ('gzip -c {{?x:s.tsv}} > {{?=x}}.gz', 'x {{s.tsv}}'):
        wrong(command, 's.tsv, line 2: contains a tab', '--table s.tsv')
    assert jobs('x {{raw:s.tsv}}') == ['x sample\tfile', 'x A\ta.txt']


def test_a_mark_of_utf8_at_the_start_of_a_file_is_passed_over():
    for name in ('list', 'commands', 'base'):
        with open(name, 'wb') as target:
            target.write(b'\xef\xbb\xbf[pre]\r\ntrue\r\n[jobs]\r\necho {{list}}\r\n')
    write('list', '\ufeffone\r\ntwo')
    assert template('commands', base='base') == ['[pre]', 'true', 'true', '', '[jobs]', 'echo one', 'echo two']


def test_a_hundred_thousand_lines_of_a_file_take_about_a_second():
    write('list', ''.join('my file {}\n'.format(number) for number in range(50000)))
    started = time.process_time()
    lines = jobs('x "{{?f:list}}" -o out/{{?=f}}.{{a,b}}')
    assert time.process_time() - started < 6
    assert lines[1] == 'x "my file 0" -o out/\'my file 0\'.b' and len(lines) == 100000


def test_linked_folders_are_not_entered():
    touch('t/a.txt', 't/d/b.txt', 'far/c.txt')
    for link, target in (('t/loop', '.'), ('t/d/up', '..'), ('t/far', '../far'), ('t/l.txt', 'a.txt')):
        os.symlink(target, link)
    assert jobs('x t/**/*.txt') == ['x t/a.txt', 'x t/d/b.txt', 'x t/l.txt']
    assert jobs('x **/c.txt') == ['x far/c.txt'] and jobs('x t/f*/*') == ['x t/far/c.txt']
    assert jobs('x t/**') == ['x t/', 'x t/a.txt', 'x t/d', 'x t/d/b.txt', 'x t/d/up', 'x t/far', 'x t/l.txt',
                              'x t/loop']
    assert jobs('x t/**/') == ['x t/', 'x t/d/'] and jobs('x t/loop/**/b.txt') == ['x t/loop/d/b.txt']
    assert jobs('x {{?d:**}}/{{?f:*}}.txt {{?=d}}') == [
        'x far/c.txt far', 'x t/a.txt t', 'x t/d/b.txt t/d', 'x t/l.txt t']


def test_a_file_of_commands_that_is_not_there_is_an_error(qmap):
    touch('dir/x')
    for name in ('nope.txt', './nope', 'dir/nope', 'dir', 'dir/', '~/nope.map'):
        done = qmap('template', name)
        assert (done.code, done.out) == (2, '') or name == 'dir', done
        assert name == 'dir' or name in done.err and 'no such file or program' in done.err
    write('prog.sh', '#!/bin/bash\n')
    for command in ('true', 'samtools', 'command nope.txt', '/bin/true', 'cat nope.txt'):
        if command != '/bin/true':
            assert jobs(command) == [command]


def test_wildcards_are_sorted_and_combined():
    touch('b.txt', 'a.txt', 'd/2', 'd/10', 'd/1')
    assert jobs('x *.txt d/*') == ['x a.txt d/1', 'x a.txt d/10', 'x a.txt d/2',
                                   'x b.txt d/1', 'x b.txt d/10', 'x b.txt d/2']


@pytest.mark.parametrize('command, expected', [
    ('x a?', ['x a1', 'x a2']),
    ('x [a-b]1', ['x a1', 'x b1']),
    ('x [!a]1', ['x b1']),
    ('x c/*.x', ['x c/f.x']),
    ('x **/*.x', ['x c/d/e.x', 'x c/f.x', "x 'g h.x'"]),
    ('x {{?=f}} {{?f:**/*.x}}', ['x c/d/e.x c/d/e.x', 'x c/f.x c/f.x', "x 'g h.x' 'g h.x'"]),
    ('x {{?f:g *.x}} {{?=f}}', ["x 'g h.x' 'g h.x'"]),
    ('x [cg]**', ['x c', "x 'g h.x'"]),
    ('x .h*', ['x .hidden']),
    # lists and files before wildcards
    ('x a* {{1,2}}', ['x a1 1', 'x a2 1', 'x a1 2', 'x a2 2']),
    ('x {{a*,b*}}', ['x a1', 'x a2', 'x b1']),
    ('x {{a,b}}*', ['x a1', 'x a2', 'x b1']),
    ('x {{raw:patterns}}', ['x b1', 'x a1', 'x a2']),
    ('x {{?f:raw:patterns}} {{?=f}}', ['x b1 b1', 'x a1 a1', 'x a2 a2']),
    ('x {{patterns}}', ["x 'b*'", "x 'a?'"]),
    # the name of a wildcard in a list stands for the path
    ('x {{?f:a*,b*,c}} {{?=f}}', ['x a1 a1', 'x a2 a2', 'x b1 b1', 'x c c']),
])
def test_all_kinds_of_wildcards(command, expected):
    touch('a1', 'a2', 'b1', 'c/d/e.x', 'c/f.x', 'g h.x', '.hidden')
    write('patterns', 'b*\na?\n')
    assert jobs(command) == expected


@pytest.mark.parametrize('command, expected', [
    ('x {{?dir:**}}/{{?f:*}}.txt {{?=dir}} {{?=f}}', ['x d/e/two.txt d/e two', 'x d/one.txt d one', 'x top.txt . top']),
    ('x d/{{?dir:**}}/{{?f:*}}.txt {{?=dir}}/{{?=f}}', ['x d/e/two.txt e/two', 'x d/one.txt ./one']),
    ('x {{?dir:d/**}}/{{?f:*}}.txt {{?=dir}}/{{?=f}}', ['x d/e/two.txt d/e/two', 'x d/one.txt d/one']),
    ('x {{?p:**/*}}.txt {{?=p}}', ['x d/e/two.txt d/e/two', 'x d/one.txt d/one', 'x top.txt top']),
    ('x d/{{?a:?}}{{?b:*}}.txt {{?=a}}-{{?=b}}', ['x d/one.txt o-ne']),
    ('x {{?a:[a-e]}}/{{?b:*}}.txt {{?=b}}', ['x d/one.txt one']),
    ('x */{{?b:*}}.txt {{?=b}}', ['x d/one.txt one']),
    ('x d/{{?p:**}} {{?=p}}', ['x d/ .', 'x d/e e', 'x d/e/two.txt e/two.txt', 'x d/one.txt one.txt']),
    ('x {{?a:*}}{{?b:*}} {{?=a}}', ['x d d', 'x s1 s1', 'x s2 s2', 'x top.txt top.txt']),
    # a name again in its own path
    ('x {{?s:*}}/{{?=s}}.bam {{?=s}}', ['x s1/s1.bam s1', 'x s2/s2.bam s2']),
    ('x {{?=s}}/{{?s:*}}.bam {{?=s}}', ['x s1/s1.bam s1', 'x s2/s2.bam s2']),
])
def test_several_named_wildcards_in_one_path_are_told_apart(command, expected):
    touch('top.txt', 'd/one.txt', 'd/e/two.txt', 's1/s1.bam', 's1/s2.bam', 's2/s2.bam')
    assert jobs(command) == expected


def test_a_name_in_the_wildcards_of_others():
    touch('s1/a', 's1/b', 's2/c', 's1.ref', 's2.ref')
    assert jobs('x {{?s:s?}} {{?=s}}/*') == ['x s1 s1/a', 'x s1 s1/b', 'x s2 s2/c']
    assert jobs('x {{?=s}}/{{?f:*}} {{?s:s?}}') == ['x s1/a s1', 'x s1/b s1', 'x s2/c s2']
    assert jobs('x {{?s:s1,s2}} {{?=s}}/{{?f:*}}') == ['x s1 s1/a', 'x s1 s1/b', 'x s2 s2/c']
    wrong('x {{?=b}}{{?a:*}} {{?=a}}{{?b:*}}', 'a b')


def test_what_matches_nothing_is_an_error():
    touch('a.txt', 'd1/x', 'd2/y')
    wrong('x *.bam', '*.bam', 'quote')
    wrong('x {{*.bam}}', '{{*.bam}}')
    wrong('x {{?f:*.bam}}', '{{?f:*.bam}}')
    wrong('x {{?s:*}}/{{?=s}}', '{{?s:*}}/{{?=s}}')
    wrong('x *.txt *.bam', '*.bam')
    wrong('x {{*.txt,*.bam}}', '*.bam')
    wrong('x {{?d:d?}} {{?=d}}/x*', '{{?=d}}/x*')
    wrong('curl http://x.org/?q=1', 'x.org/?q')


def test_quoted_and_escaped_wildcards_are_literal():
    touch('a.txt', 'a*b')
    command = 'grep \'a*b\' "x?[a-b]" \\* \\? \\[a] a\\*b {{1,2}}'
    assert jobs(command) == [command.replace('{{1,2}}', '1'), command.replace('{{1,2}}', '2')]
    touch('x*1', 'xy1')
    assert jobs('x x\\** "x*"?') == ["x 'x*1' 'x*1'"]
    assert jobs("x x'*'{{?n:*}} {{?=n}}") == ["x 'x*1' 1"]


def test_wildcards_may_stand_in_a_word_with_quotes():
    touch('a b/1.txt')
    for word in ('"a b"/*.txt', "'a b'/*.txt", 'a\\ b/*.txt', '"a b/"*.txt', '"a b/{{*.txt}}"', "'a b/{{*.txt}}'"):
        assert seen(jobs(ARGS + word)[0]) == ['a b/1.txt']


def test_what_is_no_wildcard_in_a_shell():
    for command in ('echo $? $* $@ $# $! $- $$', 'echo ${x[0]} ${x[*]} ${x%.*} ${x//?/-}', '[ -f x ] && y',
                    '[[ $x == *.txt ]] && y', 'echo $((a*b)) $(( $(echo 1) * 2 ))', '((i*2))', 'a[0]=1; b[$i]+=2',
                    'case $x in *.gz) z;; a?|b*) y;; (*) c;; esac', 'jq .[] f', 'y # all *.bam', 'y ## cores=2',
                    "echo $'a*\\'b?'", 'cat <<< "*"', 'echo "${x:-*}" "$(echo "a*")"', 'y 2>&1', 'x=$[2*3]',
                    'echo a] ['):
        assert jobs(command) == [command]


def test_the_shell_goes_on_behind_what_stays_as_typed():
    touch('a.txt')
    for start in ('case $x in *.gz) z *.gz;; *) y;; esac; ', '[[ $x == *.gz ]] && ', '((i*2)) || ',
                  'x $(cat <<< "*");'):
        assert jobs(start + 'ls a*') == [start + 'ls a.txt']
    assert jobs('[ -f a* ] && y $(cat *.txt) "$(cat "a"*)" <(cat *.txt) (cat *.txt); y<*.txt>*.txt|z *.txt&') == [
        '[ -f a.txt ] && y $(cat a.txt) "$(cat a.txt)" <(cat a.txt) (cat a.txt); y<a.txt>a.txt|z a.txt&']


def test_home_and_variables_are_replaced_to_match(folder):
    touch('x1.txt', 'x 2.txt')
    environ = {'HOME': folder, 'DATA': folder}
    for word in ('~/x*.txt', '$HOME/x*.txt', '${DATA}/x*.txt', '"$DATA"/x*.txt', '{{~/x*.txt}}', '{{$DATA/x*.txt}}'):
        assert [seen(line) for line in jobs(ARGS + word, environ)] == [
            ['{}/x 2.txt'.format(folder)], ['{}/x1.txt'.format(folder)]]
    assert jobs('x $HOME ~ $HOME/y *1.txt', environ) == ['x $HOME ~ $HOME/y x1.txt']


def test_what_only_the_job_knows_is_left_to_the_shell():
    touch('a1')
    for command in ('x $NOPE/*', 'for i in a b; do ls $i*; done', 'ls $(pwd)/*', 'ls ${x%.*}*', 'ls $1*', 'ls `x *`*',
                    'x=1; ls $x*'):
        assert jobs(command, {'i': 'a', 'x': 'a'}) == [command]
    assert jobs('ls $i* a*', {}) == ['ls $i* a1']
    wrong('x $NOPE/{{?f:*}}', '$NOPE')
    wrong('x \\{{?f:*}}', '{{?f:*}}')


def test_a_part_of_a_word_is_matched_where_the_whole_is_not():
    touch('a.txt', 'b c.txt')
    assert jobs('x --in=*.txt') == ['x --in=a.txt', "x --in='b c.txt'"]
    assert jobs('x "-i {{?f:*.txt}} -o {{?=f}}.out"') == ['x "-i a.txt -o a.txt.out"', 'x "-i b c.txt -o b c.txt.out"']
    assert jobs("python -c 'open(\"{{a*}}\")'") == ["python -c 'open(\"a.txt\")'"]
    assert jobs('x -v {{a*}}:/mnt out={{?=f}},in={{?f:a*}}') == ['x -v a.txt:/mnt out=a.txt,in=a.txt']
    touch('year=1/a.txt')
    assert jobs('x year=*/*.txt') == ['x year=1/a.txt']


@pytest.mark.parametrize('name', ODD_NAMES, ids=ascii)
def test_any_name_is_one_word_wherever_it_stands(name):
    touch('in/' + name)
    words = ['{}', '"{}"', "'{}'", 'pre_{}_post', '"pre {} post"', "'pre '{}' post'", '"a"{}\'b\'',
             '"$(printf %s {})"', '"$(printf %s "{}")"']
    line, = jobs(ARGS + ' '.join(words).replace('{}', '{{?=f}}') + ' in/{{?f:*}}')
    assert '\n' not in line
    assert seen(line) == [name, name, name, 'pre_' + name + '_post', 'pre ' + name + ' post', 'pre ' + name + ' post',
                          'a' + name + 'b', name, name, 'in/' + name]


@pytest.mark.parametrize('name', ODD_NAMES, ids=ascii)
def test_a_folder_of_any_name_is_matched(name):
    touch(name + '/file.txt')
    for word in ('*/*.txt', '{{?d:*}}/*.txt', '"{{?d:*}}/{{?f:*}}".txt', '**/*.txt'):
        line, = jobs(ARGS + word)
        assert '\n' not in line
        assert seen(line) == [name + '/file.txt']


def test_a_path_cannot_be_taken_for_what_a_map_means():
    touch('a ## cores=2', '${QMAP_LINE}')
    first, second = jobs(ARGS + '*')
    assert '${QMAP_LINE}' not in first and ' ## ' not in second
    assert [seen(first), seen(second)] == [['${QMAP_LINE}'], ['a ## cores=2']]


@pytest.mark.parametrize('locale', ['C', 'C.UTF-8'])
def test_names_of_any_bytes_in_any_locale(qmap, locale):
    touch(b'in/\xff\xfe', 'in/é')
    write('commands', 'é \udcff in/{{?f:*}} {{?=f}}\n')
    qmap.environ.update(LC_ALL=locale)
    expected = ["é \udcff 'in/é' 'é'", "é \udcff 'in/\udcff\udcfe' '\udcff\udcfe'"]
    assert sorted(qmap('template', 'commands').lines) == ['[jobs]'] + expected
    assert sorted(qmap('template', b'\xc3\xa9 \xff in/{{?f:*}} {{?=f}}').lines) == ['[jobs]'] + expected


def test_a_file_of_commands_is_expanded_command_by_command():
    write('commands', '# first\n\necho {{a,b}}\r\n   # second\ncat \\\n  {{c,d}}')
    assert template('commands') == ['[jobs]', 'echo a', 'echo b', 'cat   c', 'cat   d']


def test_a_map_of_commands_keeps_its_sections():
    write('commands', '[params]\ncores = 2\n[jobs]\necho {{a,b}} ## time=1h\n[pre]\ncd /\n\n[post]\ntrue\n')
    assert template('commands') == ['[pre]', 'cd /', '', '[post]', 'true', '', '[params]', 'cores = 2', '',
                                    '[jobs]', 'echo a ## time=1h', 'echo b ## time=1h']


def test_errors_in_a_file_of_commands_say_where():
    write('commands', 'echo a\n\necho *.nope\n')
    wrong('commands', 'commands, line 3', '*.nope')
    write('empty', '# nothing\n')
    wrong('empty', 'empty')
    write('sections', '[jobs]\na\n[foo]\n')
    wrong('sections', 'sections, line 3', '[foo]', '[params]')


def test_only_what_holds_something_gets_a_section():
    assert template('x') == ['[jobs]', 'x']
    assert template('x', params={'memory': 4 << 30, 'cores': 2}) == [
        '[params]', 'memory = 4G', 'cores = 2', '', '[jobs]', 'x']


def test_base_sections_are_carried_over_and_its_commands_are_not():
    write('base', '[pre]\n# set up\n\nmodule purge\n[post]\nrm "$TMP"\n[params]\ncores = 2\nextra = --a=b\n'
                  '[jobs]\nold\n')
    assert template('x', params={'cores': 4}, base='base') == [
        '[pre]', 'module purge', '', '[post]', 'rm "$TMP"', '', '[params]', 'cores = 4', 'extra = --a=b', '',
        '[jobs]', 'x']
    write('base', '[pre]\nset -e\n')
    assert template('x', base='base') == ['[pre]', 'set -e', '', '[jobs]', 'x']


def test_a_file_of_commands_comes_before_the_base():
    write('base', '[pre]\none\n[params]\ncores = 2\nqueue = q\n')
    write('commands', '[pre]\ntwo\n[params]\ncores = 3\n[jobs]\nx\n')
    assert template('commands', base='base') == [
        '[pre]', 'one', 'two', '', '[params]', 'cores = 3', 'queue = q', '', '[jobs]', 'x']


def test_a_missing_or_wrong_base_is_an_error():
    wrong('x', 'nowhere', 'No such file', base='nowhere')
    write('base', '[pre]\n[prams]\n')
    wrong('x', 'base, line 2', '[prams]', base='base')


@pytest.mark.parametrize('command', ['', '  ', '{{,a}}', '[pre]', '# x', 'x {{a,b\\}}', 'a\nb', 'x \\'], ids=repr)
def test_what_a_map_cannot_hold_is_an_error(command):
    wrong(command)


@pytest.mark.parametrize('command', [
    'x {{?a:FIRST}} {{?b:SECOND}} {{?=a}}_{{?=b}} $#', 'x a/{{?a:*}} b/{{?b:*}} {{?=b}}'])
def test_a_hundred_thousand_combinations_take_about_a_second(command):
    touch(*['a/{}'.format(i) for i in range(100)] + ['b/{} x'.format(i) for i in range(1000)])
    first, second = (','.join(map(str, range(count))) for count in (100, 1000))
    command = command.replace('FIRST', first).replace('SECOND', second)
    started = time.process_time()
    lines = jobs(command)
    # five times what it takes, for slow machines; one by one through the lexer it would be far more
    assert time.process_time() - started < 5
    assert len(lines) == len(set(lines)) == 100000


@pytest.mark.parametrize('command, expected', [
    ('x {{1..3}}', ['x 1', 'x 2', 'x 3']),
    ('x {{08..10}}', ['x 08', 'x 09', 'x 10']),
    ('x {{1..010}}', ['x {:03}'.format(number) for number in range(1, 11)]),
    ('x {{1..9..4}} {{ 3..1..-2 }}', ['x 1 3', 'x 1 1', 'x 5 3', 'x 5 1', 'x 9 3', 'x 9 1']),
    ('x {{-1..1}}', ['x -1', 'x 0', 'x 1']),
    ('x {{?c:1..2,X,"3..4",5..5}}.{{?=c}}', ['x 1.1', 'x 2.2', 'x X.X', 'x "3..4"."3..4"', 'x 5.5']),
    ('x {{./1..2}}', ['x line']),
])
def test_numbers(command, expected):
    write('1..2', 'line')
    assert jobs(command) == expected


def test_a_range_that_goes_nowhere_is_an_error():
    wrong('x {{1..2..0}}', '{{1..2..0}}: the step is 0')
    wrong('x {{1..}}', '{{1..}}')


@pytest.mark.parametrize('command, expected', [
    ('x {{?f:in/*.gz}} {{?=f:name}} {{?=f:dir}}/{{?=f:stem}}{{?=f:ext}}',
     ["x 'in/a b.fq.gz' 'a b.fq.gz' in/'a b'.fq.gz", 'x in/c.gz c.gz in/c.gz']),
    ('x "{{?f:in/*.gz}}" "{{?=f:stem}}.txt"', ["x 'in/a b.fq.gz' \"a b.txt\"", 'x in/c.gz "c.txt"']),
    ('x --in={{?f:in/*.gz}},{{?=f:stem}}', ["x --in='in/a b.fq.gz','a b'", 'x --in=in/c.gz,c']),
    ('x {{?f:list}} {{?=f:stem}} {{?=f}}', ["x '/d/e f.tar.xz' 'e f' '/d/e f.tar.xz'"]),
    ('x {{?f:raw:names}} {{?=f:stem}}', ['x v.1.bam v.1', 'x .hidden .hidden']),
    ('x {{?f!:names}} {{?=f:ext}}.', ['x v.1.bam .bam.', 'x .hidden .']),
    ('x {{?f:a/b.c/,"d e/f g.h",z}} {{?=f:dir}} {{?=f:stem}}', [
        'x a/b.c/ a b', 'x "d e/f g.h" \'d e\' \'f g\'', 'x z . z']),
    ('x {{?f:in/c.*,z.y}} {{?=f:stem}}', ['x in/c.gz c', 'x z.y z']),
    ('x {{?f:in/c.*}} {{?=f:dir}}/{{?=f:stem}}.*', ['x in/c.gz in/c.gz']),
])
def test_parts_of_a_path(command, expected):
    touch('in/a b.fq.gz', 'in/c.gz')
    write('list', '/d/e f.tar.xz')
    write('names', 'v.1.bam\n.hidden\n')
    assert jobs(command) == expected


def test_a_part_that_there_cannot_be_is_an_error():
    touch('a.txt')
    wrong('x {{?f:a,b}} {{?=f:base}}', '{{?=f:stem}}')
    wrong('x {{?f:*.txt}}{{?=f:stem}}', 'same word')
    wrong('x {{?f:$HOME/x,y}} {{?=f:dir}}', '$HOME/x')
    wrong('x {{?f!:*.txt}}', 'always quoted')
    write('list', 'a.txt b.txt')
    wrong('x {{?f!:list}} {{?=f:ext}}', '{{?=f:ext}}', 'a.txt b.txt')
    wrong('x {{?f:a,b}} {{?=g}}', 'no group is named g')


def test_lists_side_by_side():
    write('list', 'a b\nc\n')
    touch('1_R1', '2_R1', '1_R2', '2_R2')
    assert jobs('x {{1,2}} {{?f:list}} {{03..04}} {{?=f}}', link=True) == ["x 1 'a b' 03 'a b'", 'x 2 c 04 c']
    assert jobs('x {{?a:*}}_R1 *_R2 {{?=a}}', link=True) == ['x 1_R1 1_R2 1', 'x 2_R1 2_R2 2']
    assert jobs('x {{?a:*}}_R1 {{?=a}}_*', link=True) == [
        'x 1_R1 1_R1', 'x 1_R1 1_R2', 'x 2_R1 2_R1', 'x 2_R1 2_R2']
    assert jobs('x', link=True) == ['x'] and jobs('x {{1,2}}', link=True) == ['x 1', 'x 2']
    wrong('x {{1,2}} {{1..3}}', '{{1,2}} has 2', '{{1..3}} has 3', link=True)
    wrong('x *_R1 1*2', '*_R1 has 2', '1*2 has 1', link=True)
    wrong('x {{1,2}} *_R1', '*_R1', 'to a file', link=True)


def table(text, *conditions, name='s.tsv', own_params=False):
    write(name, text)
    return module.Table(name, conditions, own_params)


SHEET = ('\ufeffsample\treads\tSample ID\t1st\r\nS1\tin/a b.fq.gz\tx;y\t-n 3\r\n\t\t\t\r\n'
         '"S ""2"""\tit\'s\t\t"a\tb"\r\n\r\n')


@pytest.mark.parametrize('command, expected', [
    ('x {{?sample}} "{{?reads}}"', ['x S1 "in/a b.fq.gz"', 'x \'S "2"\' "it\'s"']),
    ('x {{?=sample}} {{?=reads:stem}}.bam {{?sample}}',
     ["x S1 'a b'.bam S1", 'x \'S "2"\' \'it\'"\'"\'s\'.bam \'S "2"\'']),
    ('x {{?Sample ID}} {{?1st!}}', ["x 'x;y' -n 3", "x '' a\tb"]),
    ('x', ['x', 'x']),
    ('x {{?sample}} {{1,2}}', ['x S1 1', 'x S1 2', 'x \'S "2"\' 1', 'x \'S "2"\' 2']),
])
def test_a_table_makes_a_job_for_each_row(command, expected):
    assert jobs(command, table=table(SHEET)) == expected


def test_rows_and_lists_side_by_side():
    sheet = table('a\nx\ny\n')
    assert jobs('x {{?a}} {{1,2}}', table=sheet, link=True) == ['x x 1', 'x y 2']
    wrong('x {{?a}} {{1,2,3}}', 's.tsv has 2', table=sheet, link=True)


@pytest.mark.parametrize('name, text', [
    ('s.csv', 'a,b\n"1,2",3\n'), ('s.CSV', 'a;b\n1,2;3\n'), ('s.txt', 'a\tb\r1,2\t3\r'),
    ('s.tsv', 'a,b\n"1,2",3'),
    ('s.csv', 'a\tb\n1,2\t3\n'), ('s', '#a \t b\n1,2\t3\n')])
def test_what_parts_the_fields(name, text):
    assert jobs('x {{?a}} {{?b}}', table=table(text, name=name)) == ['x 1,2 3']


@pytest.mark.parametrize('conditions, expected', [
    (['type=tumor'], 'ac'), (['type!=tumor'], 'bd'), (['reads!='], 'abd'), (['type=tumor', 'reads!='], 'a'),
    (['reads='], 'c'), (['type == normal'], ''), (['type ==normal'], 'b')])
def test_conditions_choose_rows(conditions, expected):
    text = 'sample\ttype\treads\na\ttumor\t1\nb\tnormal\t2\nc\ttumor\t\nd\t\t4\n'
    if not expected:
        with pytest.raises(module.QMapError, match='no rows with type == normal'):
            table(text, *conditions)
    else:
        assert jobs('{{?sample}}', table=table(text, *conditions)) == list(expected)


@pytest.mark.parametrize('text, words', [
    ('', 's.tsv: the table is empty'),
    ('a\tb\n', 's.tsv: no rows below the header'),
    ('a\tb\n1\t2\n\n1\n', 's.tsv, line 4: 1 field where the header has 2'),
    ('a\tb\n1\t"2\n2"\n1\t2\t3\n', 's.tsv, line 4: 3 fields where the header has 2'),
    ('a\ta\n1\t2\n', 's.tsv, line 1: the column a is there twice'),
    ('a\t\tb\n1\t2\t3\n', 's.tsv, line 1: column 2 has no name'),
    ('S1\tdata.txt\nS2\tx\n', 's.tsv, line 1: data.txt is a file, and no name of a column'),
    ('a\tb\n1\t2\n1\t"2\n3\t4\n', 's.tsv, line 3: unexpected end of data'),
    ('a\tb\n1\t"2"3\n', 's.tsv, line 2: '),
    ('a\tb\n1\t\udcff\n', 's.tsv, line 2: not UTF-8'),
    ('a\tb\n1\t\0\n', 's.tsv, line 2: contains a NUL byte'),
    ('PK\x03\x04\0\n', 's.tsv, line 1: an Excel workbook'),
    ('\x1f\udc8b\x08', 's.tsv, line 1: compressed'),
    ('a\tA\n1\t2\n', 's.tsv, line 1: the columns a and A are both the parameter A'),
    ('a\tmemory\n1\t\n2\tlots\n', 's.tsv, line 3: memory = lots: invalid memory size'),
], ids=ascii)
def test_a_bad_sheet_is_an_error_with_the_line_and_no_map_is_left(qmap, text, words):
    qmap.write('data.txt', '')
    write('s.tsv', text)
    done = qmap('template', 'x {{?a}}', '--table', 's.tsv', '-o', 'new/x.map')
    assert (done.code, done.out) == (2, '') and done.err.startswith('qmap: error: ' + words), done.err
    assert done.err.count('\n') == 1 and not os.path.exists('new')


def test_columns_are_parameters_of_their_jobs(qmap):
    qmap.write('s.tsv', 'sample\tstatus\tname\tMemory\tSample ID\tnote\n'
                        "it's\tnew\tn\t1G\ta\tx ## y=z ## ##\n" 'S2\t\t\t\t\t"two\nlines"\n')
    done = qmap('template', 'printf "%s|" "$QMAP_SAMPLE" "$QMAP_STATUS_" "$QMAP_NAME_" "$QMAP_MEMORY" '
                '"$QMAP_SAMPLE_ID" '
                '"$QMAP_NOTE" {{?note}}', '--table', 's.tsv', '-o', 'x.map', '-m', '2G')
    assert done.code == 0 and 'own parameters: memory' in done.err
    done = qmap('submit', 'x.map', '--no-console', '-l', 'out')
    assert done.code == 0 and 'warning' not in done.out + done.err
    note = 'x ## y=z ## ##'
    assert qmap.read('out', '0.out') == "it's|new|n|1G|a|{0}|{0}|".format(note)
    assert qmap.read('out', '1.out') == 'S2|||2G||two lines|two\nlines|'
    rows = qmap('info', 'out', '-s', 'all', '--format', 'json', 'params.sample', 'params.memory', 'sample')
    assert '"params.sample": "it\'s"' in rows.out and '"params.memory": "2G"' in rows.out
    assert qmap('info', 'out', '-s', 'all', '-o', 'again.map').code == 0
    assert qmap('submit', 'again.map', '--no-console', '-l', 'again').code == 0
    assert [qmap.read('again', name) for name in ('0.out', '1.out')] == [
        qmap.read('out', name) for name in ('0.out', '1.out')]


def test_parameters_of_the_command_go_before_those_of_its_row():
    sheet = table('sample\tmemory\nS1\t8G\nS2\t\n', own_params=True)
    assert jobs('x {{?sample}} ## memory=1G', table=sheet) == [
        'x S1 ## memory=1G sample=S1', 'x S2 ## memory=1G sample=S2']
    assert jobs('x ## sample={{?sample}}x {{?memory}}', table=sheet)[0] == \
        'x ## sample=S1x 8G ## sample=S1 memory=8G'
    assert jobs('x', table=sheet) == ['x ## sample=S1 memory=8G', 'x ## sample=S2']


def test_a_table_from_a_pipe_and_a_file_of_commands():
    write('commands', 'a {{?s}}\nb {{?s}}\n')
    end, start = os.pipe()
    os.write(start, b's\n1\n2\n')
    os.close(start)
    sheet = module.Table('/dev/fd/{}'.format(end), (), False)
    os.close(end)
    assert jobs('commands', table=sheet) == ['a 1', 'a 2', 'b 1', 'b 2']


@pytest.mark.parametrize('locale', ['C', 'C.UTF-8'])
def test_a_table_in_any_locale(qmap, locale):
    qmap.write('s.tsv', 'größe\tb\né\t日本\n')
    qmap.environ.update(LC_ALL=locale)
    done = qmap('template', b'x {{?gr\xc3\xb6\xc3\x9fe}} {{?b}} \xc3\xa9', '--table', 's.tsv')
    assert done.code == 0 and done.lines[1].startswith("x 'é' '日本' é ## "), done
    assert qmap('template', b'x', '--table', 's.tsv', '--where', b'gr\xc3\xb6\xc3\x9fe=\xc3\xa9').code == 0


def test_a_map_of_any_size_takes_no_more_memory_and_a_huge_one_wants_force(qmap):
    import tracemalloc
    write('list', ''.join('in/{}.txt\n'.format(number) for number in range(20000)))
    write('s.tsv', 'a\tb\n' + ''.join('{0}\t{0}\n'.format(number) for number in range(20000)))
    tracemalloc.start()
    try:
        for command in ('x {{?f:list}} {{?=f:stem}}', 'x {{1..150}} {{1..150}}', 'x {{?a}}'):
            sheet = module.Table('s.tsv') if 'a' in command else None
            lines = module.template_lines(command, table=sheet, conda_env='', modules=[])
            next(lines)
            tracemalloc.clear_traces()
            assert sum(1 for _ in lines) > 19999
            assert tracemalloc.get_traced_memory()[1] < 1 << 20, command
    finally:
        tracemalloc.stop()
    wrong('x {{1..5}} {{1..5}}', '25 commands', '--force', most=24)
    assert len(jobs('x {{1..5}} {{1..5}}', most=25)) == 25
    touch('1', '2')
    wrong('x {{a,b}} [12]', 'more than', '--force', most=3)
    done = qmap('template', 'x {{1..10000}} {{1..1001}}', '-o', 'new/x.map')
    assert done.code == 2 and '10,010,000 commands' in done.err and not os.path.exists('new')
    done = qmap('template', 'x {{1..10000}} {{1..1001}}', '--sample', '2', '-o', '-')
    assert done.lines == ['[jobs]', 'x 1 1', 'x 1 2']


def test_of_a_map_that_cannot_be_made_nothing_is_printed(qmap):
    qmap.write('commands', 'x {{1..100000}}\nx *.nope\n')
    for words in (['-o', '-'], ['-f', '/dev/stdout'], []):
        done = qmap('template', 'commands', *words)
        assert (done.code, done.out) == (2, '') and 'line 2' in done.err


@pytest.mark.parametrize('option', ['-f', '-o', '--output'])
def test_the_map_is_written_to_a_file_that_submit_takes(qmap, option):
    done = qmap('template', 'echo {{?w:hello,world}} > x_{{?=w}}', option, 'hello.map')
    assert (done.code, done.out, done.err) == (0, '', '')
    assert qmap.read('hello.map') == '[jobs]\necho hello > x_hello\necho world > x_world\n'
    assert qmap('submit', 'hello.map', '--no-console').code == 0
    assert qmap.read('x_world') == 'world\n'


def test_the_folder_of_the_map_is_made(qmap):
    assert qmap('template', 'echo a', '-o', 'new/folder/x.map').code == 0
    assert qmap.read('new/folder/x.map') == '[jobs]\necho a\n'
    assert qmap('template', 'echo {{nope}}', '-o', 'other/x.map').code == 2 and not os.path.exists('other')
    assert qmap('template', 'echo a', '-o', 'new/folder/x.map/y').err.count('\n') == 1


def test_without_a_command_there_is_a_map_to_add_commands_to(qmap):
    qmap.write('base', '[pre]\ntrue\n[jobs]\nold\n')
    assert qmap('template', '-c', '2', '-b', 'base').lines == [
        '[pre]', 'true', '', '[params]', 'cores = 2', '', '[jobs]']
    assert qmap('template').lines == ['[jobs]'] and qmap('template', '').code == 2


def test_an_existing_file_is_kept_without_force(qmap):
    qmap.write('old', 'mine\n')
    done = qmap('template', 'x', '-f', 'old')
    assert done.code == 2 and '--force' in done.err and qmap.read('old') == 'mine\n'
    assert qmap('template', 'x', '-f', 'old', '--force').code == 0
    assert qmap.read('old') == '[jobs]\nx\n'


@pytest.mark.slow
def test_no_file_is_left_by_an_error_and_an_old_one_is_kept(qmap):
    qmap.write('old', 'mine\n')
    for words in (['x *.nope'], ['x {{nowhere}}'], ['x {{?=f}}'], ['x', '-c', 'many'], ['x', '--base', 'nowhere']):
        for output in ('new', 'old'):
            done = qmap('template', '-f', output, '--force', *words)
            assert done.code == 2 and done.err.count('\n') == 1
    assert os.listdir('.') == ['old'] and qmap.read('old') == 'mine\n'


def test_the_options_of_the_tool(qmap):
    qmap.write('base', '[pre]\nset -u\n[params]\nqueue = q\ncores = 1\n')
    done = qmap('template', 'x', '-c', '4', '-m', '16', '-t', '90m', '--conda-env', '/e', '--module', 'a', '--module',
                'b', '--base', 'base')
    assert done.lines[:3] == ['[pre]', 'set -u', 'set +u'] and 'module load a b' in done.lines
    assert done.lines[done.lines.index('conda activate /e'):] == [
        'conda activate /e', 'set -u', '', '[params]', 'queue = q', 'cores = 4', 'memory = 16G', 'time = 01:30:00', '',
        '[jobs]', 'x']
    qmap.environ['QMAP_TEMPLATE_BASE'] = 'base'
    assert qmap('template', 'x').lines == [
        '[pre]', 'set -u', '', '[params]', 'queue = q', 'cores = 1', '', '[jobs]', 'x']


def pre(environ, **options):
    """The lines of [pre]."""
    lines = template('x', environ=environ, **options)
    return lines[1:lines.index('')] if lines[0] == '[pre]' else []


def run_pre(lines, command):
    """Run the lines as a job does: empty environment, no start-up files, and the first failure ends it."""
    return bash('\n'.join(["trap 'exit $?' ERR"] + lines + [command]))


def fails(lines, word):
    """Expect that the first line that cannot do its work ends the job, and says why."""
    script = '\n'.join(["trap 'exit $?' ERR"] + lines + ['echo went on'])
    done = subprocess.run(['bash', '--norc', '--noprofile', '-c', script], env={}, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert done.returncode != 0 and done.stdout == b'' and word in done.stderr.decode()


@pytest.mark.parametrize('init', INITS)
def test_real_modules_are_loaded_again(init, folder):
    if not os.path.isfile(init):
        pytest.skip('no Environment Modules there')
    touch('modules/tool/1.0')
    write('modules/tool/1.0', '#%Module1.0\nsetenv TOOL "a b"\n')
    printed = bash('source {}; module use "$PWD/modules"; module load tool/1.0; env -0'.format(init),
                   environ={'PATH': os.environ['PATH'], 'HOME': folder})
    environ = dict(entry.split('=', 1) for entry in printed.split('\0') if '=' in entry)
    assert run_pre(pre(environ), 'echo "$TOOL"') == 'a b\n'
    fails(pre(environ, modules=['nope']), 'nope')


def stand_in_modules(home):
    """A file init/bash that defines `module` and, as some do, has a command that fails in it."""
    touch(home + '/init/bash')
    write(home + '/init/bash', 'false\nmodule() { echo "$MODULEPATH: $*"; }\ntrue\n')
    return os.path.abspath(home)


@pytest.mark.parametrize('variable', ['MODULESHOME', 'LMOD_PKG'])
def test_module_is_defined_from_where_it_is(variable):
    home = stand_in_modules("it's lmod")
    environ = {variable: home, 'LOADEDMODULES': 'gcc/12:mpi', 'MODULEPATH': '/a b:$c'}
    assert run_pre(pre(environ), 'true') == '/a b:$c: load gcc/12 mpi\n'


def test_given_modules_stand_in_for_loaded_ones():
    environ = {'LOADEDMODULES': 'gcc', 'MODULESHOME': stand_in_modules('m')}
    assert pre(environ, modules=['R', 'a b'])[-1] == "module load R 'a b'"
    assert pre(environ, modules=[]) == [] and pre({'LOADEDMODULES': ''}) == []
    assert pre({}, modules=['R']) == ['module load R']
    write('base', '[pre]\nmodule load gcc\n')
    assert pre(environ, base='base').count('module load gcc') == 1


def test_modules_that_came_from_elsewhere_do_no_harm():
    lines = pre({'LOADEDMODULES': 'gcc', 'MODULESHOME': '/nowhere'})
    assert len(lines) == 1 and lines[0].startswith('#') and 'gcc' in lines[0]


def stand_in_conda(root):
    """What conda puts in the environment needs: ROOT/bin/conda and the file that defines `conda activate`."""
    touch(root + '/bin/conda', root + '/etc/profile.d/conda.sh', root + '/envs/my env/bin/x')
    write(root + '/bin/conda', '#!/bin/bash\necho \'conda() { echo "hook conda $*"; }\'\n')
    os.chmod(root + '/bin/conda', 0o755)
    write(root + '/etc/profile.d/conda.sh', 'false\nconda() { PATH="$2/bin:$PATH"; echo "conda $*"; }\n')
    return os.path.abspath(root)


def conda_environ(root, prefix):
    return {'CONDA_EXE': root + '/bin/conda', 'CONDA_PREFIX': prefix, 'CONDA_DEFAULT_ENV': os.path.basename(prefix)}


def test_a_conda_environment_is_activated_by_its_path():
    root = stand_in_conda("mini'conda 3")
    for prefix in (root, root + '/envs/my env', '/scratch/p'):
        assert run_pre(pre(conda_environ(root, prefix)), 'true') == 'conda activate {}\n'.format(prefix)
    assert pre({'CONDA_EXE': root + '/bin/conda'}) == []


def test_a_given_conda_environment():
    root = stand_in_conda('conda')
    environ = conda_environ(root, root)
    assert run_pre(pre(environ, conda_env='my env'), 'true') == 'conda activate my env\n'
    assert run_pre(pre({'PATH': root + '/bin'}, conda_env='/some/where'), 'true') == 'conda activate /some/where\n'
    assert pre(environ, conda_env='') == []
    assert pre({'PATH': ''}, conda_env='x') == ['eval "$(conda shell.bash hook)" || :', 'conda activate x']


def test_a_conda_without_its_usual_folders_is_asked_for_its_hook():
    root = stand_in_conda('odd conda')
    usual = pre(conda_environ(root, '/p q'))
    os.remove(root + '/etc/profile.d/conda.sh')
    assert run_pre(pre(conda_environ(root, '/p q')), 'true') == 'hook conda activate /p q\n'
    fails(usual, 'conda.sh')


@pytest.mark.parametrize('program', ['mamba', 'micromamba'])
def test_mamba_and_micromamba(program):
    root = os.path.abspath('mamba root')
    touch('mamba root/envs/e/x', 'some bin/' + program)
    exe = os.path.abspath('some bin/' + program)
    write(exe, '#!/bin/bash\necho "hook" >&2\n[ "$*" = "shell hook --shell bash" ] || exit 1\n'
               'echo "' + program + '() { echo $MAMBA_ROOT_PREFIX \\"\\$@\\"; }"\n')
    os.chmod(exe, 0o755)
    environ = {'MAMBA_EXE': exe, 'MAMBA_ROOT_PREFIX': root, 'CONDA_PREFIX': root + '/envs/e', 'CONDA_DEFAULT_ENV': 'e'}
    for prefix in (root + '/envs/e', '/p q', root):
        assert run_pre(pre(dict(environ, CONDA_PREFIX=prefix)), 'true') == root + ' activate ' + prefix + '\n'
    # with conda there as well, the one activates that the environment belongs to
    conda = stand_in_conda('conda')
    both = dict(conda_environ(conda, conda), **{key: environ[key] for key in ('MAMBA_EXE', 'MAMBA_ROOT_PREFIX')})
    assert pre(both)[-1] == 'conda activate ' + conda
    assert pre(both, conda_env='e')[-1] == program + ' activate e'


@pytest.mark.parametrize('options, on', [
    ('set -u', True), ('set -euo pipefail', True), ('set -e -u', True), ('set -o nounset', True),
    ('set -eo nounset', True),
    ('set -e', False), ('set -o pipefail', False), ('set -u\nset +u', False), ('set +o nounset', False),
    ('sort -u x | set_up -u', False), ('set -- -x; sort -u x', False)])
def test_a_base_that_ends_at_unset_variables_does_not_while_conda_is_activated(options, on):
    root = stand_in_conda('conda')
    write(root + '/etc/profile.d/conda.sh', 'conda() { echo "$PS1_OF_CONDA conda $*"; }\n')
    write('base', '[pre]\n' + options + '\n')
    lines = pre(conda_environ(root, root), base='base')
    assert [line for line in lines if line in ('set +u', 'set -u')][-2:] == ['set +u', 'set -u'] if on else \
        lines[-1].startswith('conda')
    if on:
        assert run_pre(lines, 'echo $-').splitlines()[0].endswith('conda activate ' + root)
        assert 'u' in run_pre(lines, 'echo $-').splitlines()[-1]


def test_a_real_virtual_environment_is_active_in_the_job():
    path = os.path.abspath("v env's")
    venv.create(path, with_pip=False)
    lines = pre({'VIRTUAL_ENV': path})
    assert run_pre(lines, 'python -c "import sys; print(sys.prefix)"') == path + '\n'
    assert pre({'VIRTUAL_ENV': '/nowhere'}) == []
    assert pre({'VIRTUAL_ENV': path}, conda_env='') == []
    os.remove(path + '/bin/activate')
    fails(lines, 'activate')


def test_modules_conda_and_virtual_environment_in_their_order():
    path = os.path.abspath('venv')
    venv.create(path, with_pip=False)
    root = stand_in_conda('conda')
    environ = dict(conda_environ(root, '/c'), VIRTUAL_ENV=path, LOADEDMODULES='m', MODULESHOME=stand_in_modules('m'))
    text = '\n'.join(pre(dict(environ, PATH=path + '/bin:/c/bin:/usr/bin')))
    assert text.index('module load') < text.index('conda activate') < text.index('venv/bin/activate')
    for first, second in ((path, '/c'), ('/c', path)):
        lines = pre(dict(environ, PATH='{}/bin:{}/bin:/usr/bin'.format(first, second)))
        assert run_pre(lines, 'echo "${PATH%%/bin:*}"').endswith('\n' + first + '\n')
