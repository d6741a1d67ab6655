"""Map files: what is a command, what is a section, what is wrong."""

import gc
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
    assert 'line 2: unknown parameter memroy (did you mean memory?); passed to jobs as QMAP_MEMROY' in map.warnings[0]


@pytest.mark.parametrize('text, message', [
    ('', 'no commands'),
    ('# only this\n', 'no commands'),
    ('[jobs]\n', 'no commands'),
    ('[jobz]\nx\n', 'line 1: [jobz]: unknown section (did you mean jobs?)'),
    ('[pre]\nx\n[jobs\ny\n', 'line 3: [jobs: missing closing bracket'),
    ('x\n[pre]\ny\n', 'line 1: text before the first section'),
    ('x\na\0b\n', 'line 2: contains a NUL byte'),
    ('x\\\na\0b\n', 'line 2: contains a NUL byte'),
    ('[params]\ncores = two\n[jobs]\nx\n', 'line 2: cores = two: must be a positive integer or 0'),
    ('[params]\ncores = 0.5\n[jobs]\nx\n', 'line 2: cores = 0.5'),
    ('[params]\nmemory = 5X\n[jobs]\nx\n', 'line 2: memory = 5X: invalid memory size'),
    ('[params]\ntime = 1:30\n[jobs]\nx\n', 'line 2: time = 1:30: invalid time'),
    ('[params]\ncores\n[jobs]\nx\n', 'line 2: cores: not a parameter; write key = value'),
    ('[params]\na b = 1\n[jobs]\nx\n', 'line 2: a b: invalid parameter name'),
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
    assert 'pipe: pipes are not supported; save the map to a file' in str(error.value)


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
    assert map._places.offsets.itemsize + map._places.lines.itemsize <= 16


def test_a_map_written_again_is_the_same_map(tmp_path):
    text = ('[pre]\nmodule load x\n\n[post]\nrm y\n\n[params]\ncores = 7\nmemory = 16G\n\n[jobs]\n'
            'a ## cores=2 line=07\nb ## line=08\n')
    assert '\n'.join(read(tmp_path, text).text(range(2))) + '\n' == text


@pytest.mark.once
@pytest.mark.parametrize('line', ['[post] # clean up', '[jobs]:', '[ pre ]  # x', '[post] rm x', '[jobs # x',
                                  '[params: x',
                                  '[posts] # clean up', '[Post]: x', '[Jobs]'])
@pytest.mark.parametrize('section', ['[jobs]', '[pre]'])
def test_a_slip_in_a_header_is_an_error_and_no_command(qmap, section, line):
    qmap.write('a.map', '{}\ntouch ran\n{}\nrm -rf work\n[jobs]\ntrue\n'.format(section, line))
    result = qmap('submit', 'a.map', '-l', 'out')
    assert result.code == 2 and 'a.map, line 3: ' in result.err and result.err.count('\n') == 1
    assert not os.path.exists(qmap.path('out')) and not os.path.exists(qmap.path('ran'))


def test_a_slip_in_a_header_is_an_error_of_template_too(qmap):
    qmap.write('base.map', '[pre] # first\ntrue\n')
    result = qmap('template', 'echo a', '--base', 'base.map')
    assert result.code == 2 and 'base.map, line 1: [pre] # first: text after a section header' in result.err
    assert qmap('template', '[pre] x').code == 2


def test_a_folder_that_was_submitted_before_is_read_as_it_was(qmap):
    qmap.write('a.map', 'false\nfalse\n')
    assert qmap('submit', 'a.map', '-l', 'out', '-q').code == 1
    qmap.write('out/qmap_input', 'false ## line=x status=y\n[post] # x\n')
    lines = qmap('info', '-l', 'out', 'command', 'params.status').lines
    assert lines[1:] == ['0\tfalse\ty', '1\t[post] # x\t']


@pytest.mark.parametrize('text', ['echo a\necho b\n', '[jobs]\necho a\necho b\n', '# no\necho a\necho b\n',
                                  '[params]\r\ncores=1\r\n[jobs]\r\necho a \\\r\n\r\necho b\r\n', 'echo a\necho b'])
def test_a_mark_of_utf8_at_the_start_is_passed_over(qmap, text):
    qmap.write('a.map', b'\xef\xbb\xbf' + text.encode())
    assert qmap('submit', 'a.map', '-l', 'out', '-q').code == 0
    assert [qmap.read('out', id + '.out') for id in '01'] == ['a\n', 'b\n']
    assert qmap('info', '-l', 'out', '-s', 'c', '--collapse').lines[1] == 'echo b ## line=1'


@pytest.mark.once
@pytest.mark.parametrize('coding', ['utf-16', 'utf-16-le', 'utf-16-be'])
@pytest.mark.parametrize('name', ['a.map', 'mine.conf', 'list', 'base.map'])
def test_utf16_is_named(qmap, coding, name):
    qmap.write('a.map', 'true\n')
    qmap.write('mine.conf', 'executor = local\n')
    qmap.write(name, '[params]\ncores = 1\n[jobs]\ntrue\n'.encode(coding))
    result = qmap('template', 'x {{list}}') if name == 'list' else qmap('template', 'x', '-b', name) \
        if name == 'base.map' else qmap('submit', 'a.map', '-p', 'mine')
    assert result.code == 2 and name in result.err and 'UTF-16' in result.err and 'UTF-8' in result.err, result


def test_own_parameters_count_where_the_command_is_continued(qmap):
    qmap.write('a.map', 'echo $QMAP_SAMPLE \\\n  b ## sample=x\necho $QMAP_SAMPLE\n')
    qmap('submit', 'a.map', '-l', 'out', '-q')
    assert [qmap.read('out', id + '.out') for id in '01'] == ['x b\n', '\n']


@pytest.mark.once
@pytest.mark.parametrize('tail', ['##cores=2', '## cores = 2', '## cores 2', '## cores:2', '## memory: 4G',
                                  '### cores=2', '## --cores=2', '## cores=2 # why', '## cores=2 ##',
                                  '##  memory=1G x',
                                  '## cores=2 ## memory=1G', '##\tcores=2', '## sample=first try'])
def test_a_comment_that_looks_like_parameters_is_warned_about(qmap, tail):
    qmap.write('a.map', 'true\ntrue {}\n'.format(tail))
    result = qmap('submit', 'a.map', '--dry-run')
    assert result.code == 0 and result.err.startswith('qmap: warning: a.map, line 2: ##'), result
    assert 'a comment' in result.err and result.err.count('\n') == 1


def test_a_tab_before_parameters_is_warned_about_and_how_many_there_are(qmap):
    qmap.write('a.map', 'true\t## cores=2\n' * 1500)
    result = qmap('submit', 'a.map', '--dry-run')
    assert 'a.map, line 1 and 1,499 more: ## cores=2: taken as a comment' in result.err and result.err.count('\n') == 1


@pytest.mark.once
@pytest.mark.parametrize('line', ['echo ${x##*/} # ## no', 'awk 1 ##', 'echo a ## b', 'echo a ## time is money',
                                  'x ## cores=1'])
def test_other_comments_are_not(qmap, line):
    qmap.write('a.map', line + '\n')
    assert qmap('submit', 'a.map', '--dry-run').err == ''


def test_the_same_parameter_twice_is_warned_about(qmap):
    qmap.write('a.map', '[params]\ncores = 1\nmemory = 1G\ncores = 2\n[jobs]\ntrue ## time=1h time=2h\n')
    result = qmap('submit', 'a.map', '--dry-run')
    assert 'a.map, line 4: cores: given twice; the last value counts' in result.err
    assert 'a.map, line 6: time: given twice' in result.err and 'time = 02:00:00' in result.out
    qmap.write('mine.conf', 'executor = local\n[params]\nqueue = a\nqueue = b\n')
    assert 'mine.conf, line 4: queue: given twice' in qmap('submit', 'a.map', '--dry-run', '-p', 'mine').err


RESERVED = sorted(module.RESERVED)


@pytest.mark.once
@pytest.mark.parametrize('name', RESERVED + ['Line', 'STATUS'])
def test_a_parameter_called_like_a_variable_of_qmap_is_refused_wherever_it_is_given(qmap, name):
    qmap.write('good.map', 'sleep 9\n')
    own = name != 'line'
    for text in ['[params]\n{} = 5\n[jobs]\ntrue\n'] + ['\n\ntrue ## {}=5\n'] * own:
        qmap.write('a.map', text.format(name))
        result = qmap('submit', 'a.map', '-l', 'out')
        assert result.code == 2 and 'reserved name (QMap sets QMAP_{} itself)'.format(name.upper()) in result.err
        assert 'a.map, line ' in result.err and result.err.count('\n') == 1
    for section in ('params', 'editable_params'):
        qmap.write('mine.conf', 'executor = local\n[{}]\n{} = 5\n'.format(section, name))
        for words in (['submit', 'good.map', '-l', 'out', '-p', 'mine'], ['run', '-p', 'mine', 'true']):
            result = qmap(*words)
            assert result.code == 2 and 'mine.conf: {}: reserved name'.format(name) in result.err
    assert not os.path.exists(qmap.path('out'))


@pytest.mark.once
def test_it_is_refused_by_control_and_from_python_too(qmap):
    import module_submit
    module_submit.prepare(qmap, 'true\n', 'out')
    for name in RESERVED:
        result = qmap('control', '-l', 'out', 'set', name + '=5')
        assert result.code == 2 and 'reserved name' in result.err
        with pytest.raises(module.QMapError) as error:
            module.Request(qmap.path('out', 'qmap_input'), profile='local', params={name: '5'})
        assert 'reserved name' in str(error.value)
    session = module.Session(qmap.path('out'))
    inbox = module.Inbox(session.logs, module.Host())
    id = inbox.drop({'do': 'set', 'params': {'line': '5'}, 'by': 'me'})
    session.obey_orders()
    assert 'reserved name' in inbox.answer(id)['said'] and inbox.answer(id)['refused']


def test_every_variable_that_a_job_finds_is_reserved_or_a_parameter(qmap):
    show = 'env; compgen -A variable QMAP_'    # those of the script itself, too
    qmap.write('a.map', '[pre]\n{0}\n[post]\n{0}\n[jobs]\n{0}\n{0}\n'.format(show))
    qmap('submit', 'a.map', '-l', 'out', '-q', '-g', '2', '-m', '1G', '-t', '1h')
    names = {line.partition('=')[0][5:].lower() for line in qmap.read('out', '0.out').splitlines()
             if line.startswith('QMAP_')}
    assert {'line', 'job', 'attempt', 'logs', 'status', 'cores'} <= names
    assert names <= set(module.RESERVED) | set(module.PARAMETERS), names


@pytest.mark.parametrize('text, message', [
    ('[params]\nCores = 2\n[jobs]\ntrue\n', 'line 2: Cores: parameter names are in lower case; write cores'),
    ('true ## MEMORY=1G\n', 'line 1: MEMORY: parameter names are in lower case; write memory'),
    ('[params]\nSample = x\nsample = y\n[jobs]\ntrue\n', 'line 3: Sample and sample: both become QMAP_SAMPLE'),
    ('[params]\nSample = x\n[jobs]\ntrue\ntrue ## sample=y\n', 'line 5: Sample and sample: both'),
    ('true ## a_b=1\ntrue ## A_b=1\n', 'line 2: a_b and A_b: both'),
])
def test_names_that_differ_only_in_case_are_refused(qmap, text, message):
    qmap.write('a.map', text)
    result = qmap('submit', 'a.map', '-l', 'out')
    assert result.code == 2 and 'a.map, ' + message in result.err


def test_so_they_are_between_profile_map_and_control(qmap):
    qmap.write('a.map', 'false ## Sample=x\n')
    qmap.write('mine.conf', 'executor = local\n[params]\nsample = 5\n')
    result = qmap('submit', 'a.map', '-l', 'out', '-p', 'mine')
    assert result.code == 2 and 'sample and Sample: both become QMAP_SAMPLE' in result.err
    assert qmap('submit', 'a.map', '-l', 'out', '-q').code == 1
    result = qmap('control', '-l', 'out', 'set', 'SAMPLE=5')
    assert result.code == 2 and 'Sample and SAMPLE' in result.err
    assert 'write cores' in qmap('control', '-l', 'out', 'set', 'Cores=5').err


@pytest.mark.parametrize('name, meant', [
    ('prefix', 'name'), ('cpus', 'cores'), ('mem', 'memory'), ('walltime', 'time')])
def test_the_names_that_others_use_are_known(qmap, name, meant):
    qmap.write('a.map', '[params]\n{} = 1\n[jobs]\ntrue\n'.format(name))
    assert 'did you mean {}?'.format(meant) in qmap('submit', 'a.map', '--dry-run').err


def test_a_list_of_commands_that_begins_with_parameters_is_warned_about(qmap):
    qmap.write('a.map', 'memory = 16G\ncores=2\ntrue\n')
    assert 'a.map, line 1: memory = 16G is taken as a command' in qmap('submit', 'a.map', '--dry-run').err
    qmap.write('a.map', 'name=x echo "$name"\ntrue\n')
    assert qmap('submit', 'a.map', '--dry-run').err == ''


def test_a_parameter_that_is_set_twice_is_warned_about(qmap):
    import module_submit
    module_submit.prepare(qmap, 'true\n', 'out')
    result = qmap('control', '-l', 'out', 'set', 'cores=1', 'cores=2')
    assert 'cores: given twice; the last value counts' in result.err and 'cores = 2' in result.out


def test_a_map_that_nobody_has_any_more_holds_no_file(qmap):
    qmap.write('a.map', 'true\n')
    gc.disable()    # as in `info`
    try:
        before = os.listdir('/proc/self/fd')
        assert module.Map(qmap.path('a.map')).command(0) == ('true', {})
        assert len(os.listdir('/proc/self/fd')) == len(before)
    finally:
        gc.enable()
