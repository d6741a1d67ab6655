"""Map files: what is a command, what is a section, what is wrong."""

import os

import pytest

import qmap as module


def read(tmp_path, text):
    path = tmp_path / 'x.map'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return module.Map(str(path))


def commands(map):
    return [map.command(index)[0] for index in range(len(map))]


def test_a_file_without_sections_is_a_list_of_commands(tmp_path):
    map = read(tmp_path, 'echo a\n\n# no\n  # nor this\necho b')
    assert commands(map) == ['echo a', 'echo b']
    assert [map.line(0), map.line(1)] == [1, 5]


def test_sections(tmp_path):
    map = read(tmp_path, '[pre]\nmodule load x\n[params]\ncores = 7\nmemory=16G\n[post]\nrm y\n[jobs]\na\nb\n')
    assert map.sections == {'pre': ['module load x'], 'post': ['rm y']}
    assert map.params == {'cores': 7, 'memory': 16 << 30}
    assert commands(map) == ['a', 'b']


def test_a_test_in_brackets_is_a_command(tmp_path):
    lines = ['[ -f x ] && y', '[[ a = a ]]', '[ post = "$x" ] && y', '[ $x ]; y', '[a]b']
    assert commands(read(tmp_path, '\n'.join(lines))) == lines


def test_crlf_and_a_missing_last_newline(tmp_path):
    map = read(tmp_path, b'[pre]\r\nx\r\n[jobs]\r\necho a\r\necho b')
    assert commands(map) == ['echo a', 'echo b']
    assert map.sections['pre'] == ['x']


def test_a_trailing_backslash_continues_a_line(tmp_path):
    map = read(tmp_path, 'echo a \\\n  b \\\n# c\necho d\\\\\necho e\\')
    assert commands(map) == ['echo a   b # c', 'echo d\\\\', 'echo e\\']
    assert [map.line(i) for i in range(3)] == [1, 4, 5]


def test_bytes_that_are_not_utf8_survive(tmp_path):
    assert module.encode(commands(read(tmp_path, b'echo \xff\xfe\xe9\n'))[0]) == b'echo \xff\xfe\xe9'


def test_blanks_at_the_end_stay_because_they_may_be_escaped(tmp_path):
    assert commands(read(tmp_path, 'cat a\\ \n')) == ['cat a\\ ']


@pytest.mark.parametrize('text, command, own', [
    ('x ## cores=6 memory=25G', 'x', {'cores': 6, 'memory': 25 << 30}),
    ('x ## extra="--gres gpu:1"', 'x', {'extra': '--gres gpu:1'}),
    ('x ## a ## time=1h', 'x ## a', {'time': 3600}),
    ('echo a ## b', 'echo a ## b', {}),
    ('echo ${x##*/}', 'echo ${x##*/}', {}),
    ('echo a ## cores=1 b', 'echo a ## cores=1 b', {}),
    ('echo "a ## b=c d"', 'echo "a ## b=c d"', {}),
    ('echo a ##cores=6', 'echo a ##cores=6', {}),
])
def test_a_commands_own_parameters(tmp_path, text, command, own):
    assert read(tmp_path, text + '\n').command(0) == (command, own)


def test_a_parameter_is_split_at_the_first_equals_sign(tmp_path):
    assert read(tmp_path, '[params]\nextra = --gres=gpu:1\n[jobs]\nx\n').params == {'extra': '--gres=gpu:1'}


def test_an_unknown_parameter_is_kept_and_the_nearest_known_one_named(tmp_path):
    map = read(tmp_path, '[params]\nmemroy = 3\n[jobs]\nx\n')
    assert map.params == {'memroy': '3'}
    assert 'line 2: memroy is no parameter of QMap (did you mean memory?): exported as QMAP_MEMROY' in map.warnings[0]


@pytest.mark.parametrize('text, message', [
    ('', 'no commands'),
    ('# only this\n', 'no commands'),
    ('[jobs]\n', 'no commands'),
    ('[jobz]\nx\n', 'line 1: [jobz] is no section'),
    ('[pre]\nx\n[jobs\ny\n', 'line 3: [jobs lacks its closing bracket'),
    ('x\n[pre]\ny\n', 'line 1: stands before the first section'),
    ('x\na\0b\n', 'line 2: holds a NUL byte'),
    ('x\\\na\0b\n', 'line 2: holds a NUL byte'),
    ('[params]\ncores = two\n[jobs]\nx\n', 'line 2: cores = two: is no whole number'),
    ('[params]\ncores = 0\n[jobs]\nx\n', 'line 2: cores = 0'),
    ('[params]\nmemory = 5X\n[jobs]\nx\n', 'line 2: memory = 5X: is no amount of memory'),
    ('[params]\ntime = 1:30\n[jobs]\nx\n', 'line 2: time = 1:30: is no time'),
    ('[params]\ncores\n[jobs]\nx\n', 'line 2: cores: a parameter is written key = value'),
    ('[params]\na b = 1\n[jobs]\nx\n', 'line 2: a b: a parameter is named'),
    ('x\ny ## cores=-1\n', 'line 2: cores = -1'),
])
def test_wrong_input_says_file_line_and_what(tmp_path, text, message):
    with pytest.raises(module.QMapError) as error:
        read(tmp_path, text)
    assert 'x.map' in str(error.value) and message in str(error.value)


def test_a_map_that_can_be_read_only_once_is_refused(tmp_path):
    os.mkfifo(str(tmp_path / 'pipe'))
    with open(os.open(str(tmp_path / 'pipe'), os.O_RDWR), 'w'), pytest.raises(module.QMapError) as error:
        module.Map(str(tmp_path / 'pipe'))
    assert 'pipe: can be read only once; write the commands to a file first' in str(error.value)


@pytest.mark.parametrize('text, size', [
    ('16', 16 << 30), ('512M', 512 << 20), ('1.5G', 3 << 29), ('2t', 2 << 40), ('1P', 1 << 50), ('100K', 100 << 10),
    ('8GB', 8 << 30), ('8GiB', 8 << 30)])
def test_memory(text, size):
    assert module.parse_memory(text) == size
    assert module.parse_memory(module.exact_memory(size)) == size


@pytest.mark.parametrize('text, seconds', [
    ('90m', 5400), ('2h', 7200), ('1d', 86400), ('1:30:00', 5400), ('2-00:00:00', 172800), ('2', 7200), ('0.5', 1800),
    ('30s', 30), ('1h30m', 5400), ('1.5h', 5400)])
def test_time(text, seconds):
    assert module.parse_time(text) == seconds
    assert module.parse_time(module.time_text(seconds)) == seconds


@pytest.mark.parametrize('parse, text', [
    (module.parse_memory, text) for text in ('', '0', '-1G', '1X', 'G', '1 G 2', '1e3')] + [
    (module.parse_time, text) for text in ('', '0', '1:30', '-1h', '1x', '1:99:00', 'h', '0s')] + [
    (module.parse_count, text) for text in ('', '0', '-1', '1.5', 'x')])
def test_what_is_no_amount(parse, text):
    with pytest.raises(ValueError):
        parse(text)


def test_sizes_are_told_in_a_readable_unit():
    assert [module.memory_text(size) for size in (3 << 29, 512 << 20, 2048, 0)] == ['1.5G', '512M', '2K', '0K']


def test_a_million_lines_are_read_in_little_memory(tmp_path):
    path = tmp_path / 'big.map'
    path.write_bytes(b''.join(b'echo %d\n' % number for number in range(200000)))
    map = module.Map(str(path))
    assert len(map) == 200000 and map.command(199999) == ('echo 199999', {})
    assert map._offsets.itemsize + map._lines.itemsize <= 16


def test_a_map_written_again_is_the_same_map(tmp_path):
    text = ('[pre]\nmodule load x\n\n[post]\nrm y\n\n[params]\ncores = 7\nmemory = 16G\n\n[jobs]\na ## cores=2 line=07\n'
            'b ## line=08\n')
    assert '\n'.join(read(tmp_path, text).text(range(2))) + '\n' == text
