"""submit, on this machine: what runs, with what, and what is told of it."""

import json
import os
import shlex
import signal
import subprocess
import time

import pytest
from conftest import until


def test_a_plain_number_of_hours_that_may_be_meant_as_minutes_is_told(qmap):
    qmap.write('a.map', 'true\n')
    for text, words in (('60', '-t 60: 2-12:00:00 for each job (a plain number is hours; minutes: -t 60m)'), ('2', ''),
                        ('60m', '')):
        lines = qmap('submit', 'a.map', '-t', text, '-l', 'out' + text).lines
        assert [line for line in lines if line.startswith('-t ')] == [words] * bool(words)


@pytest.mark.parametrize('command, told', [
    ('gzip -dc a | sort > b', True), ('a |& b', True), ("awk '{print $1 | \"sort\"}' a", False), ('a || b', False),
    ('a >| b', False), ('echo "a | b" \\| c', False), ('set -o pipefail; a | b', False)])
def test_pipes_that_hide_a_failure_are_told(qmap, command, told):
    qmap.write('a.map', 'true\n' + command + '\n')
    notice = 'pipes without pipefail: only the last command of a pipe can make its job fail; for all of them, ' \
        'set -o pipefail in [pre]'
    assert (notice in qmap('submit', 'a.map', '--dry-run').lines) == told
    qmap.write('b.map', '[pre]\nset -eo pipefail\n[jobs]\n' + command + '\n')
    assert notice not in qmap('submit', 'b.map', '--dry-run').lines


def test_jobs_run_and_leave_their_files(qmap):
    qmap.write('a.map', 'echo one\necho two >&2\n')
    result = qmap('submit', 'a.map', '--logs', 'out')
    assert result.code == 0
    assert '2 jobs: 2 completed' in result.out
    assert qmap.read('out', '0.out') == 'one\n'
    assert qmap.read('out', '1.err') == 'two\n'
    assert qmap.read('out', 'qmap_input') == 'echo one\necho two >&2\n'
    info = qmap.info('out', '1')
    assert info['status'] == 'COMPLETED' and info['exit_code'] == 0 and info['line'] == 2
    assert info['command'] == 'echo two >&2' and info['retries'] == 0 and info['host']
    assert info['usage']['time']['elapsed'] == '00:00:00' and info['usage']['memory']['below'] > 0
    assert info['submitted'].endswith('Z') and info['seconds']['started'] <= info['seconds']['finished']


def test_a_map_from_a_pipe_is_read_once_and_kept(qmap):
    def shell(text):
        text = text.replace('QMAP', ' '.join(map(shlex.quote, qmap.program)))
        return subprocess.run(['bash', '-c', text], cwd=qmap.folder, env=qmap.environ, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT).stdout.decode()
    qmap.write('a.map', 'echo one\nexit 3\n')
    shown = shell('cat a.map | QMAP submit - -r 1; cat stdin_*/qmap_input')
    assert 'logs folder stdin_2' in shown and '2 jobs: 1 completed, 1 failed' in shown
    assert shown.endswith('echo one\nexit 3\n')
    shown = shell('QMAP submit <(cat a.map; echo "[foo]"); QMAP submit <(cat a.map) -n day/1 -q; '
                  'QMAP control -l day_1_* retry')
    assert 'qmap: error: stdin, line 3: [foo]: unknown section' in shown
    assert 'retrying 1 job' in shown and 'changed since' not in shown


def test_failures_are_grouped_with_their_last_stderr_line_and_the_way_to_rerun_them(qmap):
    qmap.write('a.map', 'true\n' + 'echo "no such sample" >&2; exit 3\n' * 3 + 'kill -SEGV $$\nnosuchprogram\n')
    result = qmap('submit', 'a.map', '--logs', 'out')
    assert result.code == 1
    assert '3 jobs: exit 3: no such sample  (ids 1, 2, 3)' in result.out, result
    assert '1 job: killed by signal 11 (SEGV)' in result.out
    assert '1 job: exit 127' in result.out and 'nosuchprogram: command not found' in result.out
    assert 'info -l out -o rerun.map && ' in result.out and 'submit rerun.map' in result.out
    assert [qmap.info('out', id)['error_reason'] for id in '14'] == ['exit', 'signal']
    assert qmap.info('out', '1')['error'] == 'no such sample'


def test_a_job_that_kills_its_own_shell_ends_with_that_signal(qmap):
    qmap.write('a.map', 'kill -9 $$\nkill -TERM $$\nsh -c \'kill -USR1 $$\'\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1
    assert [qmap.info('out', id)['exit_code'] for id in '012'] == [137, 143, 138]


def test_ids_are_padded_places_in_the_map(qmap):
    qmap.write('a.map', 'true\n' * 11)
    assert qmap('submit', 'a.map', '--logs', 'out').code == 0
    assert sorted(name for name in os.listdir(qmap.path('out')) if name.endswith('.out'))[:2] == ['00.out', '01.out']
    assert os.path.exists(qmap.path('out', '10.out'))


def test_placeholders_also_in_single_quotes(qmap):
    qmap.write('a.map', "echo '${QMAP_LINE}' ${QMAP_CORES} $QMAP_LINE\n" * 2)
    assert qmap('submit', 'a.map', '--logs', 'out').code == 0
    assert qmap.read('out', '1.out') == '1 1 1\n'


def test_what_is_exported(qmap):
    qmap.write('a.map', '[params]\ncores = 2\nmemory = 1G\ntime = 90m\nsample = a "b" $c\n'
                        '[jobs]\nenv | grep ^QMAP_ | sort\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 0
    lines = dict(line.split('=', 1) for line in qmap.read('out', '0.out').splitlines())
    assert lines['QMAP_CORES'] == '2' and lines['QMAP_MEMORY'] == '1G' and lines['QMAP_TIME'] == '01:30:00'
    assert lines['QMAP_SAMPLE'] == 'a "b" $c' and lines['QMAP_JOB'] == '0' and lines['QMAP_ATTEMPT'] == '1'
    assert lines['QMAP_LOGS'] == qmap.path('out') and lines['QMAP_LINE'] == '0'


def test_precedence_own_then_command_line_then_map_then_profile(qmap):
    qmap.write('p.conf', 'executor = local\n[params]\ncores = 1\nmemory = 1G\ntime = 1h\nqueue = q\n')
    qmap.write('a.map', '[params]\nmemory = 2G\ntime = 2h\nqueue = map\n[jobs]\ntrue ## time=4h\ntrue\n')
    assert qmap('submit', 'a.map', '-p', 'p', '-t', '3h', '-m', '3', '--logs', 'out').code == 0
    params = qmap.info('out', '0')['params']
    assert (params['cores'], params['memory'], params['time'], params['queue']) == ('1', '3G', '04:00:00', 'map')
    assert qmap.info('out', '1')['params']['time'] == '03:00:00'


def test_pre_and_post_commands(qmap):
    qmap.write('a.map', '[pre]\nX=from_pre\nf() { echo "f $1"; }\n[post]\necho post $X\n[jobs]\nf $X\nexit 4\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1
    assert qmap.read('out', '0.out') == 'f from_pre\npost from_pre\n'
    assert qmap.read('out', '1.out') == 'post from_pre\n'
    assert qmap.info('out', '1')['exit_code'] == 4


def test_a_pre_command_that_fails_ends_the_job(qmap):
    qmap.write('inner.sh', 'false\ntrue\n')
    qmap.write('a.map', '[pre]\nsource inner.sh\nfalse || true\ncd /nonexistent\n[jobs]\necho never\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1
    assert qmap.read('out', '0.out') == ''
    assert qmap.info('out', '0')['error'] == 'qmap: [pre] failed with exit status 1: cd /nonexistent'


def test_a_failing_post_command_fails_the_job(qmap):
    qmap.write('a.map', '[post]\nfalse\n[jobs]\ntrue\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1


def test_groups_end_at_the_first_failure_and_tell_what_ended_well(qmap):
    qmap.write('a.map', 'echo a; exit 0\ncd /; echo b\nfalse\necho d\npwd\n')
    result = qmap('submit', 'a.map', '-g', '4', '--logs', 'out')
    assert result.code == 1 and '2 jobs' in result.out
    assert qmap.read('out', '0.out') == 'a\nb\n'
    assert qmap.read('out', '4.out') == qmap.folder + '\n'
    info = qmap.info('out', '0')
    assert info['status'] == 'FAILED' and info['commands'] == {'count': 4, 'done': 2}
    assert info['command'] == 'echo a; exit 0\ncd /; echo b\nfalse\necho d'
    assert qmap('info', '-l', 'out', '--collapse').lines == ['false ## line=2', 'echo d ## line=3']
    assert '-g 4' in result.out


def test_in_groups_own_parameters_are_ignored_with_a_warning(qmap):
    qmap.write('a.map', 'true ## cores=100\ntrue\n')
    result = qmap('submit', 'a.map', '-g', '2', '--logs', 'out')
    assert result.code == 0 and 'ignored with --group' in result.err


def test_the_way_to_rerun_is_the_way_it_was_run(qmap):
    qmap.write('a.map', 'false\n' * 2)
    result = qmap('submit', 'a.map', '--logs', 'out', '-p', 'local', '-r', '1', '-g', '2')
    assert 'submit rerun.map -p local -r 1 -g 2\n' in result.out


def test_post_commands_know_how_the_commands_ended(qmap):
    qmap.write('a.map', '[post]\nsh -c \'echo $QMAP_STATUS\'\n[jobs]\nexit 4\ntrue\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1
    assert (qmap.read('out', '0.out'), qmap.read('out', '1.out')) == ('4\n', '0\n')


def test_a_syntax_error_fails_its_own_job_only(qmap):
    qmap.write('a.map', 'echo "open\necho )\ntrue\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1
    assert qmap.statuses('out') == ['FAILED', 'FAILED', 'COMPLETED']


@pytest.mark.parametrize('command', [
    'echo "a  b"', "echo 'it''s'", 'echo `echo a`', 'echo $((1+1))', 'cat <<< "x"', 'echo a \\"b\\"', 'echo a#b # c',
    'printf "%s\\n" \'"\'', 'x="a b"; echo "$x"', 'echo !!', 'echo a;echo b', '(exit 0) && echo ok || echo no',
    'for i in 1 2; do echo $i; done', 'echo {a,b}', 'echo ~', 'yes | head -1', 'echo \xe9\u4e16'])
def test_a_command_does_what_bash_does(qmap, command):
    import subprocess
    expected = subprocess.check_output(['bash', '-c', command], cwd=qmap.folder)
    qmap.write('a.map', command + '\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 0
    assert qmap.read('out', '0.out').encode('utf-8', 'surrogateescape') == expected


def test_odd_folders(qmap, odd):
    os.mkdir(qmap.path(odd))
    qmap.folder = qmap.path(odd)
    qmap.write('x.map', 'pwd\nfalse\n')
    result = qmap('submit', 'x.map', '--logs=' + odd)
    assert result.code == 1, result
    assert qmap.read(odd, '0.out') == qmap.folder + '\n'
    assert qmap.info(odd, '0')['params']['working_directory'] == qmap.folder
    assert qmap('info', '--logs=' + odd, '-s', 'all', 'status').lines == ['id\tstatus', '0\tCOMPLETED', '1\tFAILED']
    # The way to rerun that was printed works when pasted.
    import subprocess
    line = [line for line in result.lines if line.startswith('to rerun')]
    if '\n' not in odd:
        command = line[0].partition(': ')[2].replace('python3 ', '"$PYTHON" ', 2)
        import sys
        subprocess.call(['bash', '-c', command], cwd=qmap.folder, env=dict(qmap.environ, PYTHON=sys.executable))
        assert os.path.exists(qmap.path('rerun.map'))


def test_names_beyond_ascii_in_a_locale_without_them(qmap):
    qmap.environ['LC_ALL'] = 'C'
    folder = 'h\u00e9\u4e16'
    os.mkdir(qmap.path(folder).encode())
    qmap.write('a.map', '[params]\nworking_directory = {}\n[jobs]\npwd; echo \u4e16\n'.format(folder))
    result = qmap('submit', 'a.map', '--logs', folder + '/out')
    assert result.code == 0, result
    assert qmap.read(folder, 'out', '0.out') == qmap.path(folder) + '\n\u4e16\n'
    assert '\u4e16/out' in result.out and qmap('submit', 'a.map', '--dry-run').code == 0


def test_output_that_is_not_utf8(qmap):
    qmap.write('a.map', b"printf '\\xff\\xe9\\n'; printf 'bad \\xff\\n' >&2; exit 1\n")
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1
    with open(qmap.path('out', '0.out'), 'rb') as source:
        assert source.read() == b'\xff\xe9\n'
    assert qmap('info', '-l', 'out', 'error').lines[1] == '0\tbad \udcff'


def test_the_working_directory(qmap):
    os.mkdir(qmap.path('there'))
    qmap.write('a.map', 'pwd\n')
    assert qmap('submit', 'a.map', '-w', 'there', '--logs', 'out').code == 0
    assert qmap.read('out', '0.out') == qmap.path('there') + '\n'
    result = qmap('submit', 'a.map', '-w', 'nowhere', '--logs', 'out2')
    assert result.code == 2 and 'working directory' in result.err and not os.path.exists(qmap.path('out2'))


def test_default_logs_folders_never_collide(qmap):
    qmap.write('a.map', 'true\n')
    day = time.strftime('%Y%m%d')
    for _ in range(3):
        assert qmap('submit', 'a.map').code == 0
    assert sorted(name for name in os.listdir(qmap.folder) if name.startswith('a_')) == [
        'a_' + day, 'a_{}-2'.format(day), 'a_{}-3'.format(day)]


def test_a_folder_that_is_not_empty_is_refused(qmap):
    qmap.write('a.map', 'true\n')
    assert qmap('submit', 'a.map', '--logs', 'before').code == 0
    for more in ([], ['--dry-run']):
        result = qmap('submit', 'a.map', '--logs', 'before', *more)
        assert result.code == 2 and 'contains an execution already; resume it with reattach -l before' in result.err
    os.mkdir(qmap.path('out'))
    qmap.write('out/mine', 'x')
    result = qmap('submit', 'a.map', '--logs', 'out')
    assert result.code == 2 and 'not empty' in result.err
    assert os.listdir(qmap.path('out')) == ['mine']


@pytest.mark.parametrize('text, args, message', [
    ('', [], 'no commands'),
    ('x\n', ['-m', '5X'], 'memory = 5X'),
    ('x\n', ['-r', '0'], '-r/--max-running: 0: must be a positive integer'),
    ('x\n', ['-c', '9999'], 'each job requests 9,999 cores; this machine has'),
    ('x\n', ['-m', '999T'], 'each job requests 999T of memory; this machine has'),
    ('x\n', ['-p', 'nosuch'], 'profile nosuch'),
    ('x\n', ['--nonsense'], 'unrecognised: --nonsense (see qmap submit --help)'),
    ('x\n', ['--memroy', '3'], 'unrecognised: --memroy 3 (did you mean --memory?)'),
    ('x\n', ['..'], 'unrecognised: .. (a logs folder is given with --logs; '),
    ('x\n[jobs]\n', [], 'a.map, line 1'),
])
def test_wrong_input_is_one_line_and_leaves_nothing(qmap, text, args, message):
    qmap.write('a.map', text)
    result = qmap('submit', 'a.map', '--logs', 'out', *args)
    assert result.code == 2
    assert result.err.startswith('qmap: error: ') and result.err.count('\n') == 1 and message in result.err
    assert os.listdir(qmap.folder) == ['a.map']


def test_an_unreadable_file(qmap):
    assert 'nothere.map: No such file' in qmap('submit', 'nothere.map').err
    os.mkdir(qmap.path('dir.map'))
    assert 'dir.map: Is a directory' in qmap('submit', 'dir.map').err


@pytest.mark.once
@pytest.mark.parametrize('words, message', [
    (['--leave', '--dry-run'], '--leave: needs a scheduler'), (['--leave', '--detach'], 'give only one of them'),
    (['--', '--no-console'], 'options stand before --;')])
def test_options_that_do_not_go_together(qmap, words, message):
    qmap.write('-x.map', 'true\n')
    before = ['--', '-x.map'] if '--' in words else ['./-x.map']
    result = qmap('submit', '-p', 'local', *(before + [word for word in words if word != '--']))
    assert result.code == 2 and message in result.err and 'did you mean' not in result.err
    assert os.listdir(qmap.folder) == ['-x.map']


def test_dry_run_shows_and_leaves_nothing(qmap):
    qmap.write('a.map', '[params]\ncores = 2\n[jobs]\necho hello\necho two\n')
    result = qmap('submit', 'a.map', '--dry-run')
    assert result.code == 0
    assert '2 jobs' in result.out and 'cores = 2' in result.out and 'echo hello' in result.out
    assert os.listdir(qmap.folder) == ['a.map']


def test_a_map_changed_after_submission_does_not_matter(qmap):
    qmap.write('a.map', 'until [ -e go ]; do sleep 0.05; done\n' + 'echo old\n' * 3)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1')
    until(lambda: os.path.exists(qmap.path('out', '0.out')))
    qmap.write('a.map', 'echo new\n' * 100)
    qmap.write('go', '')
    assert process.wait() == 0
    process.communicate()
    assert qmap.read('out', '3.out') == 'old\n'


def test_more_jobs_than_one_folder_should_hold_share_subfolders(qmap):
    qmap.write('a.map', 'true\n' * 10001)
    process = qmap.start('submit', 'a.map', '--logs', 'out')
    until(lambda: os.path.exists(qmap.path('out', '00', '00003.info')))
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 3
    assert len(os.listdir(qmap.path('out'))) < 20


def test_max_running_is_never_exceeded(qmap):
    qmap.write('a.map', 'echo + >>trace; sleep 0.05; echo - >>trace\n' * 12)
    assert qmap('submit', 'a.map', '-r', '1', '--logs', 'out').code == 0
    assert qmap.read('trace') == '+\n-\n' * 12


def test_the_environment_does_not_leak_from_job_to_job(qmap):
    qmap.write('a.map', 'echo [$LEAK]; export LEAK=1; cd /; umask 0; trap "echo x" EXIT; trap - EXIT\n' * 4)
    assert qmap('submit', 'a.map', '-r', '1', '--logs', 'out').code == 0
    assert {qmap.read('out', id + '.out') for id in '0123'} == {'[]\n'}


def test_the_script_repeats_the_job_by_hand(qmap):
    import subprocess
    qmap.write('a.map', '[pre]\nX=1\n[jobs]\necho $X $QMAP_JOB; exit 5\n')
    assert qmap('submit', 'a.map', '--logs', 'out').code == 1
    done = subprocess.run(['bash', qmap.path('out', '0.sh')], stdout=subprocess.PIPE, cwd='/')
    assert done.returncode == 5 and done.stdout == b'1 0\n'


def test_sigterm_leaves_at_once_and_the_jobs_go_on(qmap):
    qmap.write('a.map', 'echo begun; until [ -e go ]; do sleep 0.05; done; echo done\n' * 4)
    process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1')
    until(lambda: qmap.read('out', '0.out') if os.path.exists(qmap.path('out', '0.out')) else '')
    process.send_signal(signal.SIGTERM)
    out = process.communicate()[0].decode()
    assert process.returncode == 3
    assert '3 unsubmitted, 1 running' in out and 'to go on: ' in out
    qmap.write('go', '')
    until(lambda: qmap.read('out', '0.out') == 'begun\ndone\n')
    assert qmap('reattach', '-l', 'out').code == 0
    assert qmap.statuses('out') == ['COMPLETED'] * 4


@pytest.mark.slow
def test_a_program_around_it_that_passes_ctrl_c_on_does_not_make_it_a_second_one(qmap):
    qmap.write('a.map', 'until [ -e go ]; do sleep 0.05; done\n')
    with open(qmap.path('screen'), 'wb') as screen:
        process = qmap.start('submit', 'a.map', '--logs', 'out', stdout=screen)
    until(lambda: '1 running' in qmap.read('screen'))
    for _ in range(3):
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.05)
    process.communicate(timeout=60)
    assert 'Cancelling' not in qmap.read('screen') and qmap.statuses('out') == ['RUNNING']
    qmap.write('go', '')
    assert qmap('reattach', '-l', 'out').code == 0


@pytest.mark.slow
def test_ctrl_c_says_what_goes_on_and_a_second_one_cancels(qmap):
    qmap.write('a.map', 'echo begun; sleep 1000\n' * 3)
    with open(qmap.path('screen'), 'wb') as screen:
        process = qmap.start('submit', 'a.map', '--logs', 'out', '-r', '1', stdout=screen)
    until(lambda: '1 running' in qmap.read('screen'))
    os.kill(process.pid, signal.SIGINT)
    until(lambda: 'Press Ctrl-C again to cancel it' in qmap.read('screen'))
    time.sleep(0.5)    # a second one at the same moment would be the first one, passed on
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    out = qmap.read('screen')
    assert '1 running job continues' in out and 'Cancelling 1 job' in out
    assert qmap.statuses('out') == ['FAILED', 'UNSUBMITTED', 'UNSUBMITTED']
    info = qmap.info('out', '0')
    assert info['error_reason'] == 'cancelled'


def test_a_warning_where_more_is_asked_than_the_machine_holds(qmap):
    qmap.write('a.map', 'true\n')
    result = qmap('submit', 'a.map', '-r', '100000', '--logs', 'out')
    assert result.code == 0 and 'this machine has room for 2 such jobs at once' in result.err


def test_lines_in_a_log_say_what_happened(qmap):
    qmap.write('a.map', 'true\n' * 3)
    result = qmap('submit', 'a.map', '--logs', 'out')
    assert result.lines[0] == 'profile: local (from QMAP_PROFILE)'
    assert result.lines[1].startswith('3 jobs, max running ')
    assert '\r' not in result.out
    assert json.loads(qmap.read('out', 'execution.info'))['counts']['COMPLETED'] == 3


@pytest.mark.slow
def test_memory_stays_flat_however_many_jobs_there_were(qmap):
    def resident():
        return int(open('/proc/{}/statm'.format(process.pid)).read().split()[1]) * os.sysconf('SC_PAGE_SIZE')

    def ended():
        path = ('out', '.qmap', 'journal.0001')
        return qmap.read(*path).count('"event":"end"') if os.path.exists(qmap.path(*path)) else 0

    qmap.write('a.map', 'true\n' * 15000)
    process = qmap.start('submit', 'a.map', '--logs', 'out')
    until(lambda: ended() > 7000)
    before = resident()
    until(lambda: ended() > 14000)
    after = resident()
    process.communicate()
    assert process.returncode == 0
    # 7,000 records of a few hundred bytes would be seen.
    assert after - before < 1500000, (before, after)


@pytest.mark.slow
def test_keep_failed_leaves_what_somebody_may_want_to_see(qmap):
    qmap.write('a.map', 'true\n' * 300 + 'echo said\nfalse\necho complained >&2\n'
               '[ $QMAP_ATTEMPT = 2 ] || { echo first; exit 1; }\n')
    assert qmap('submit', 'a.map', '--logs', 'out', '--keep', 'failed').code == 1
    names = sorted(name for name in os.listdir(qmap.path('out')) if name[0] in '0123456789')
    assert names == ['300.out', '301.err', '301.info', '301.out', '301.sh', '302.err', '303.err', '303.info', '303.out',
                     '303.sh']
    assert qmap('control', '-l', 'out', 'retry', '303').code == 0
    assert qmap('reattach', '-l', 'out').code == 1
    names = sorted(name for name in os.listdir(qmap.path('out')) if name.startswith('303'))
    assert names == ['303.1.out']
    result = qmap('info', '-l', 'out', '-s', 'completed', 'exit_code', 'retries', 'job_cmd')
    assert len(result.lines) == 304
    assert result.lines[-1] == '303\t0\t1\tpython3 {} info -l {} --script 303 | bash'.format(
        qmap.program[1], qmap.path('out'))
    assert '--keep failed' in qmap('reattach', '-l', 'out').out


def test_keep_can_stand_in_the_profile(qmap):
    qmap.write('tidy.conf', 'executor = local\nkeep = failed\n')
    qmap.write('wrong.conf', 'executor = local\nkeep = some\n')
    qmap.write('a.map', 'true\n')
    assert qmap('submit', 'a.map', '--logs', 'out', '-p', './tidy.conf').code == 0
    assert sorted(os.listdir(qmap.path('out'))) == ['.qmap', 'execution.info', 'qmap_input']
    result = qmap('submit', 'a.map', '--logs', 'other', '-p', './wrong.conf')
    assert result.code == 2 and 'keep = some: must be all or failed' in result.err
