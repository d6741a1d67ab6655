"""The language of Grid Engine: command lines, and answers as real daemons gave them (tests/data/sge)."""

import json
import os
import re
import subprocess
import sys
import time

import pytest

import qmap as module
from qmap import Answer, GridEngine, load_backend
from qmap_backends import read_clock, sge

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data', 'sge')


def data(name):
    with open(os.path.join(DATA, name)) as file:
        return file.read()


def answer(name):
    said = json.loads(data('answers.json'))[name]
    return Answer(said['code'], said['out'], said['err'])


@pytest.fixture
def backend(monkeypatch):
    """The backend of the user who made the records in tests/data."""
    monkeypatch.setattr(GridEngine, 'user', lambda self: 'root')
    return load_backend('sge', {'accounting': os.path.join(DATA, 'accounting')})


def argv(count=1, options=None, output='/logs/batch/0001', **params):
    return load_backend('sge', options).submit_argv('/logs/run.sh', 'a.1.x', count, params, output)


def after(words, option):
    """Return all values that follow an option."""
    return [value for word, value in zip(words, words[1:]) if word == option]


# Command lines -----------------------------------------------------------------------------------------------------

def test_a_submission_of_one_job():
    assert argv(working_directory='/data/my project') == [
        'qsub', '-terse', '-N', 'a.1.x', '-C', '', '-S', '/bin/bash', '-b', 'n', '-r', 'n', '-V',
        '-wd', '/data/my project', '-j', 'y', '-o', '/logs/batch/0001.$TASK_ID', '/logs/run.sh']


def test_several_tasks_are_an_array_from_1():
    assert after(argv(count=5), '-t') == ['1-5']
    assert '-t' not in argv(count=1)


def test_without_a_working_directory_the_job_starts_in_this_one():
    assert '-cwd' in argv() and '-wd' not in argv()


@pytest.mark.parametrize('directory', ['/data/$HOME', '/data/a\nb'])
def test_a_working_directory_that_grid_engine_would_change_is_not_told(directory):
    assert after(argv(working_directory=directory), '-wd') == ['/']


@pytest.mark.parametrize('output', ['/logs/a:b/1', '/logs/a,b/1', '/logs/$x/1', '/logs/a\nb/1'])
def test_words_of_the_scheduler_are_lost_where_their_path_cannot_be_told(output):
    assert after(argv(output=output), '-o') == ['/dev/null']


def test_paths_with_blanks_quotes_and_other_letters_are_told():
    assert after(argv(output='/logs/a "b" é%/1'), '-o') == ['/logs/a "b" é%/1.$TASK_ID']


@pytest.mark.parametrize('params, expected', [
    ({'memory': 4 << 30}, 'h_vmem=4096M'),
    ({'memory': 4 << 30, 'cores': 4}, 'h_vmem=1024M'),
    ({'memory': 4 << 30, 'cores': 3}, 'h_vmem=1398102K'),
    ({'memory': 1}, 'h_vmem=1K'),
    ({'memory': (1 << 20) + 1}, 'h_vmem=1025K'),
    ({'memory': 4 << 30, 'tasks': 2}, 'h_vmem=2048M'),
    ({'memory': 4 << 30, 'cores': 1, 'extra': '-pe mpi 2'}, 'h_vmem=2048M'),
])
def test_memory_is_of_the_job_and_asked_for_per_slot(params, expected):
    assert after(argv(**params), '-l') == [expected]


def test_the_site_may_call_memory_otherwise():
    assert after(argv(memory=1 << 30, options={'memory_resource': 'mem_free'}), '-l') == ['mem_free=1024M']


@pytest.mark.parametrize('extra', ['-l h_vmem=3G', '-hard -l mem_free=3G', '-l gpu=1,virtual_free=3G',
                                   '-l m_mem_free=1G'])
def test_memory_in_extra_is_in_place_of_ours(extra):
    assert not any('=1024M' in word for word in argv(memory=1 << 30, extra=extra))


def test_memory_of_another_kind_in_extra_leaves_ours():
    assert 'h_vmem=1024M' in argv(memory=1 << 30, extra='-l gpu_mem=8G')


def test_time_is_in_whole_seconds():
    assert after(argv(time=5400), '-l') == ['h_rt=5400']
    assert after(argv(time=0.2), '-l') == ['h_rt=1']
    assert after(argv(time=5400, extra='-l h_rt=60'), '-l') == ['h_rt=60']


def test_cores_are_slots_of_a_parallel_environment():
    def asked(**params):
        words = argv(**params)
        return words[words.index('-pe'):][1:3] if '-pe' in words else None
    assert asked(cores=1) is None and asked(cores=0) is None
    assert asked(cores=4) == ['smp', '4']
    assert asked(cores=4, penv='openmp') == ['openmp', '4']
    assert asked(cores=4, options={'penv': 'threads'}) == ['threads', '4']
    assert asked(cores=4, penv='openmp', options={'penv': 'threads'}) == ['openmp', '4']
    assert asked(tasks=3) == ['smp', '3']
    assert asked(cores=4, tasks=2) == ['smp', '4']
    assert asked(cores=4, extra='-pe mpi 8') == ['mpi', '8']


def test_queue_nodes_and_extra():
    assert after(argv(queue='long.q'), '-q') == ['long.q']
    assert after(argv(queue='long.q', extra='-q short.q'), '-q') == ['short.q']
    assert argv(nodes=3) == argv()
    assert argv(extra="-P 'my project' -l gpu=1")[-5:] == ['-P', 'my project', '-l', 'gpu=1', '/logs/run.sh']


def test_account_constraint_and_reservation():
    assert after(argv(account='lab'), '-P') == ['lab']
    assert after(argv(account='lab', extra='-P other'), '-P') == ['other']
    assert after(argv(reservation='7'), '-ar') == ['7']
    assert after(argv(constraint='avx2,model=epyc', extra='-l x=1'), '-l') == ['avx2,model=epyc', 'x=1']
    assert after(argv(constraint='h_vmem=2G', memory=1 << 30), '-l') == ['h_vmem=2G']


@pytest.mark.parametrize('params, expected', [
    ({'gpus': 2}, ['gpu=2']), ({'gpus': 0}, []), ({'gpus': 2, 'cores': 2}, ['gpu=1']),
    ({'gpus': 1, 'cores': 4}, ['gpu=0.25']), ({'gpus': 2, 'options': {'gpu_resource': 'cuda'}}, ['cuda=2']),
    ({'gpus': 2, 'extra': '-l gpu=1'}, ['gpu=1']), ({'gpus': 2, 'extra': '-l ngpus=1'}, ['ngpus=1']),
    ({'gpus': 2, 'constraint': 'gpu_type=a100'}, ['gpu=2', 'gpu_type=a100']),
    ({'gpus': 2, 'extra': '-l cuda=1', 'options': {'gpu_resource': 'cuda'}}, ['cuda=1'])])
def test_gpus_are_of_the_job_and_asked_for_as_the_site_counts_them(params, expected):
    assert after(argv(**params), '-l') == expected


def test_extra_with_an_open_quote_is_refused(backend):
    kind, words = backend.submit('/logs/run.sh', 'a.1.x', 1, {'extra': "-P 'x"}, '/logs/1')
    assert kind == 'refused' and 'quotation' in words


def test_the_command_can_be_pasted(backend):
    line = backend.job_cmd('/logs/run.sh', 'a.1.x', 3, {'working_directory': "/it's mine"}, '/logs/1')
    words = subprocess.check_output(['bash', '-c', 'printf "%s\\0" ' + line]).decode().split('\0')[:-1]
    assert words == backend.submit_argv('/logs/run.sh', 'a.1.x', 3, {'working_directory': "/it's mine"}, '/logs/1')


@pytest.mark.parametrize('prefix', ['analysis', '1abc', 'a b', 'é', 'x:y/z@*?\\', '', 'all', '-N', '.x', 'a\nb',
                                    'x' * 600])
def test_names_are_legal_whatever_the_user_calls_it(backend, prefix):
    name = backend.job_name(prefix, 12, 'k3f')
    assert name[0].isalpha() or name[0] == '_'
    assert all(letter.isalnum() or letter in '_.-' for letter in name) and all(ord(letter) < 128 for letter in name)
    assert name.startswith('b12.') and name.endswith('.k3f') and len(name) < 60


def test_a_plain_name_stays_readable_in_the_ten_characters_of_qstat(backend):
    assert backend.job_name('analysis', 12, 'k3f') == 'b12.analysis.k3f'
    assert backend.job_name('a.b', 12, 'k3f') == 'b12.a.b.k3f'


def test_tasks_are_called_as_qstat_does(backend):
    assert backend.task_name(('123', 4)) == '123.4'
    assert backend.task_name(('123', 0)) == '123'


def test_a_command_is_run_now_as_it_is(backend):
    words = backend.interactive({'cores': 2, 'memory': 1 << 30}, 'echo "a  b"\nexit 3')
    assert words[:6] == ['qrsh', '-wd', os.getcwd(), '-V', '-now', 'no']
    assert words[-5:] == ['-noshell', 'bash', '-c', '--', 'echo "a  b"\nexit 3']
    assert 'h_vmem=512M' in words
    assert '-pty' not in words or (sys.stdin.isatty() and sys.stdout.isatty())


def test_a_command_is_run_in_a_directory_that_cannot_be_named(backend, tmp_path, monkeypatch):
    (tmp_path / "it's $HOME").mkdir()
    monkeypatch.chdir(tmp_path / "it's $HOME")
    words = backend.interactive({}, 'pwd')
    assert after(words, '-wd') == ['/']
    assert subprocess.check_output(words[-4:], cwd='/').decode().strip() == os.getcwd()


def test_cancelling_names_whole_submissions_and_ranges():
    counts = {'7': 1, '8': 5, '9': 5}
    tasks = [('7', 0), ('9', 1), ('9', 2), ('9', 5)] + [('8', k) for k in range(1, 6)]
    assert load_backend('sge').task_words(tasks, counts) == ['7', '9.1-2', '9.5', '8']
    assert load_backend('sge').task_words([('5', 1), ('5', 2)], {}) == ['5.1-2']


# Answers to a submission -------------------------------------------------------------------------------------------

@pytest.mark.parametrize('name, count, expected', [
    ('qsub-terse', 1, '21'), ('qsub-terse-array', 5, '22'), ('qsub-plain', 1, '23'), ('qsub-plain-array', 5, '24')])
def test_the_id_of_a_submission(name, count, expected):
    assert GridEngine.parse_submission(answer(name), count) == ('ok', expected)


def test_exit_status_1_and_submitted_all_the_same():
    assert answer('qsub-acl').code == 1
    assert GridEngine.parse_submission(answer('qsub-acl'), 1) == ('ok', '31')


@pytest.mark.parametrize('out, count, expected', [
    ('Site JSV 2.1: checked 14 rules\n*** welcome to cluster 3 ***\n\n4711\n', 1, '4711'),
    ('JSV: project set\n4711.1-20:1\nThank you, 3 jobs today.\n', 20, '4711'),
    ('4711\nYour job 4711 ("x") has been submitted\n', 1, '4711'),
])
def test_the_id_among_words_of_the_site(out, count, expected):
    assert GridEngine.parse_submission(Answer(0, out), count) == ('ok', expected)


@pytest.mark.parametrize('out, count', [
    ('12\n4711\n', 1), ('', 1), ('OK\n', 1), ('4711\n', 20), ('4711.1-5:1\n', 20), ('job 4711 taken\n', 1)])
def test_an_answer_without_a_sure_id_is_silence(out, count):
    assert GridEngine.parse_submission(Answer(0, out), count)[0] == 'silent'


@pytest.mark.parametrize('name, words', [
    ('qsub-queue', 'unknown queue "nosuch.q"'), ('qsub-penv', 'environment "nosuch" does not exist'),
    ('qsub-option', 'invalid option argument "-nosuch"'), ('qsub-memory', 'is not a memory value'),
    ('qsub-unsuitable', 'no suitable queues')])
def test_what_will_never_be_taken_is_refused_with_the_words(name, words):
    kind, said = GridEngine.parse_submission(answer(name), 1)
    assert kind == 'refused' and words in said and 'Exiting' not in said


@pytest.mark.parametrize('name, words', [
    ('qsub-limit', 'only 2 jobs are allowed per user'), ('qsub-tasks', 'more than 75000 tasks'),
    ('qsub-down', 'Connection refused')])
def test_limits_and_an_absent_qmaster_are_no_refusal(name, words):
    kind, said = GridEngine.parse_submission(answer(name), 1)
    assert kind == 'busy' and words in said


@pytest.mark.parametrize('outcome, words', [
    ('busy', 'Unable to run job: request limit "*:add:job:*:*=50" exceeded'),
    ('unclear', 'Unable to run job: please name a project'), ('unclear', 'sge_qmaster is angry')])
def test_other_words_of_qsub(outcome, words):
    assert GridEngine.parse_submission(Answer(1, '', words + '\nExiting.\n'), 1) == (outcome, words)
    assert GridEngine.parse_submission(answer('qsub-script'), 1)[0] == 'unclear'


@pytest.mark.parametrize('said', [
    Answer(None, '', 'qsub: no answer within 60 s'),
    Answer(-15, '', ''),
    Answer(1, '', 'error: commlib error: got read error (closing "node/qmaster/1")\nUnable to run job: failed '
                  'receiving gdi request response for mid=1 (got syncron message receive timeout error).\nExiting.\n'),
    Answer(1, '', 'Unable to run job: unable to send message to qmaster using port 6444 on host "node": got send '
                  'timeout\nExiting.\n'),
    Answer(1, '', 'Unable to run job: Error reading answer list from qmaster\nExiting.\n'),
    Answer(1, '', ''),
])
def test_a_broken_connection_is_silence(said):
    assert GridEngine.parse_submission(said, 1)[0] == 'silent'


# The queue ---------------------------------------------------------------------------------------------------------

def test_a_listing_with_all_its_tasks():
    tasks = {(job, k): (name, state, slots)
             for job, k, name, _, state, slots in GridEngine.parse_tasks(data('qstat.xml'))}
    assert tasks['9', 0] == ('run.1.k4', 'dr', 1)
    assert tasks['10', 1][1] == 'dr' and tasks['10', 2][1] == 'r'
    assert [k for job, k in sorted(tasks) if job == '10'] == list(range(1, 10))
    assert [k for job, k in sorted(tasks) if job == '18'] == (
        [1, 5, 6] + list(range(8, 13)) + list(range(14, 21)) + list(range(25, 41)))
    assert tasks['14', 0] == ('manyslots.6.k4', 'qw', 65)
    assert {tasks[job, 0][1] for job in ('16', '19', '17', '11')} == {'s', 't', 'Rq', 'hqw'}


@pytest.mark.parametrize('text', ['', 'error: something', '<?xml version="1.0"?><job_info>'])
def test_a_listing_that_is_none(text):
    with pytest.raises(ValueError):
        GridEngine.parse_tasks(text)


@pytest.mark.parametrize('letters, status, words', [
    ('qw', 'PENDING', ''), ('hqw', 'PENDING', 'held'), ('Rq', 'PENDING', 'restarted'),
    ('hRwq', 'PENDING', 'held, restarted'),
    ('r', 'RUNNING', ''), ('t', 'RUNNING', ''), ('hr', 'RUNNING', 'held'), ('Rr', 'RUNNING', 'restarted'),
    ('Rt', 'RUNNING', 'restarted'), ('s', 'RUNNING', 'suspended'), ('ts', 'RUNNING', 'suspended'),
    ('S', 'RUNNING', 'suspended with its queue'), ('tS', 'RUNNING', 'suspended with its queue'),
    ('T', 'RUNNING', 'suspended because its host is overloaded'), ('RtT', 'RUNNING', None), ('Rs', 'RUNNING', None),
    ('RS', 'RUNNING', None), ('dr', 'RUNNING', 'being deleted'), ('dt', 'RUNNING', 'being deleted'),
    ('dRr', 'RUNNING', 'restarted, being deleted'), ('dRs', 'RUNNING', None), ('dT', 'RUNNING', None),
    ('dqw', 'PENDING', 'being deleted'), ('Eqw', 'FAILED', 'in error state'), ('Ehqw', 'FAILED', None),
    ('EhRqw', 'FAILED', None), ('z', 'OTHER', 'finished'), ('d', 'OTHER', 'being deleted'),
    ('', 'OTHER', None), ('X', 'OTHER', 'in the unknown state X'), ('rX', 'RUNNING', ''),
])
def test_every_state(letters, status, words):
    found = GridEngine.read_state(letters)
    assert found[0] == status
    assert words is None or found[1] == words


@pytest.mark.parametrize('letters', ['dr', 'dt', 'dRr', 'dS', 'ds', 'dT', 'dqw'])
def test_what_is_being_deleted_has_not_ended(letters):
    assert re.search(GridEngine.unended, GridEngine.read_state(letters)[1])
    assert not re.search(GridEngine.unended, GridEngine.read_state(letters[1:])[1])


def test_why_jobs_are_in_error_state():
    errors, _ = GridEngine.parse_reasons(data('qstat-j-error.txt'))
    assert errors['5', 1] == "can't chdir to /nonexistent: No such file or directory"
    assert errors['6', 1] == 'can\'t open output file "/nonexistent/x": No such file or directory'
    assert [errors['7', k] for k in (1, 2, 3)] == ['unable to find shell "/no/such/shell"'] * 3
    assert [GridEngine.error_reason(errors[job, 1]) for job in '567'] == ['unstartable', 'node', 'unstartable']
    assert GridEngine.error_reason('can\'t create directory active_jobs/4.1: No space left on device') == 'node'


def test_why_jobs_are_pending():
    _, pending = GridEngine.parse_reasons(data('qstat-j-pending.txt'))
    assert pending == {
        '12': 'job dropped because of job dependencies',
        '13': '(-l h_vmem=500G) cannot run at host "node" because it offers only hc:h_vmem=118.000G',
        '14': 'cannot run in PE "smp" because it only offers 0 slots',
        '15': 'execution time not reached'}
    meaning = load_backend('sge').meaning
    assert meaning(pending['14']) == 'no host has as many free slots in this parallel environment'
    assert meaning(pending['13']) == 'no host has as much of it free'
    assert meaning('something else') == ''
    _, pending = GridEngine.parse_reasons(data('qstat-j-disabled.txt'))
    assert pending == {'20': 'All queues dropped because of overload or full'}


def test_nothing_is_known_where_the_site_does_not_say_why():
    text = 'job_number:  4\nscheduling info:     (Collecting of scheduler job information is turned off)\n'
    assert GridEngine.parse_reasons(text) == ({}, {})


# The accounts ------------------------------------------------------------------------------------------------------

TASKS = [('1', k) for k in range(1, 9)] + [(str(job), 0) for job in (2, 3, 4, 5, 6, 8, 99)] + [('7', 2)]


@pytest.fixture(params=['file', 'qacct'])
def accounts(request, backend, monkeypatch):
    """What the accounts say of TASKS, from the file and from qacct."""
    if request.param == 'qacct':
        monkeypatch.setattr(backend, '_records', lambda ids: sge.parse_qacct(data('qacct.txt')))
    return backend.accounts(TASKS)


@pytest.mark.parametrize('task, status, reason, code, number', [
    (('1', 1), 'COMPLETED', '', 0, None),
    (('1', 2), 'FAILED', 'exit', 3, None),
    (('1', 3), 'FAILED', 'signal', 139, 11),
    (('1', 4), 'FAILED', 'signal', 137, 9),
    (('1', 5), 'FAILED', 'memory', 137, 9),
    (('1', 6), 'FAILED', 'time', 137, 9),
    (('1', 8), 'FAILED', 'exit', 137, None),
    (('2', 0), 'COMPLETED', '', 0, None),
    (('3', 0), 'FAILED', 'signal', 137, 9),
    (('4', 0), 'FAILED', 'cancelled', None, None),
    (('5', 0), 'FAILED', 'unstartable', None, None),
    (('6', 0), 'FAILED', 'node', None, None),
    (('7', 2), 'FAILED', 'unstartable', None, None),
    (('8', 0), 'FAILED', 'exit', None, None),
])
def test_how_jobs_ended(accounts, task, status, reason, code, number):
    found = accounts[task]
    assert (found['status'], found['reason']) == (status, reason)
    assert (found.get('exit_code'), found.get('signal')) == (code, number)
    assert bool(found['words']) == (status == 'FAILED')


def test_a_job_that_was_only_put_back_into_the_queue_has_no_end(accounts):
    assert ('1', 7) not in accounts and ('99', 0) not in accounts


def test_usage_comes_in_seconds_and_bytes(accounts):
    found = accounts['1', 6]
    assert found['elapsed'] == 6 and found['host'] == 'node' and found['name'] == 'mix.1.k3'
    assert abs(found['cpu'] - 0.164) < 0.001
    assert abs(found['memory'] - 13230080) < 1024
    assert 'memory' not in accounts['2', 0]


def test_records_before_the_execution_belong_to_somebody_else(backend, tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))    # without a real qacct, which would be asked next
    lines = [line.split(':') for line in data('accounting').splitlines()]
    submitted = max(int(fields[8]) for fields in lines if len(fields) > 8)
    write_accounts(tmp_path / 'accounting', data('accounting'))
    backend.settings['accounting'] = str(tmp_path / 'accounting')
    backend.since = submitted
    assert ('1', 1) in backend.accounts(TASKS)
    backend.since = submitted + 2 * sge.CLOCK
    assert backend.accounts(TASKS) == {}


def test_of_an_id_that_was_used_twice_the_last_record_counts(backend, tmp_path):
    lines = data('accounting').splitlines(True)
    again = [line.replace(':1:sge:', ':3:sge:').replace('mix.1', 'new.9') for line in lines if 'par.2' in line]
    again = [line.replace(':2:sge:', ':3:sge:').replace('par.2', 'new.9') for line in again]
    path = tmp_path / 'accounting'
    path.write_text(''.join(lines) + ''.join(again))
    backend.settings['accounting'] = str(path)
    found = backend.accounts([('3', 0)])['3', 0]
    assert (found['name'], found['status']) == ('new.9.k3', 'COMPLETED')


def test_others_and_half_written_records_do_not_count(backend, tmp_path, monkeypatch):
    path = tmp_path / 'accounting'
    path.write_text(data('accounting').rstrip('\n'))
    backend.settings['accounting'] = str(path)
    assert ('1', 6) in backend.accounts(TASKS)
    line = [line for line in data('accounting').splitlines() if 'gone.3' in line][0]
    path.write_text(line + '\n' + line.replace(':3:sge', ':8:sge')[:150])
    assert list(backend.accounts(TASKS)) == [('3', 0)]
    monkeypatch.setattr(GridEngine, 'user', lambda self: 'somebody')
    assert backend.accounts(TASKS) == {}


@pytest.mark.parametrize('block', [1, 7, 64, 1 << 20])
def test_the_file_is_read_from_its_end(tmp_path, monkeypatch, block):
    monkeypatch.setattr(sge, 'BLOCK', block)
    path = tmp_path / 'accounting'
    for text in ('', 'one', 'one\n', '\n', 'one\n\ntwo\nthr', 'one\ntwo\nthree\n'):
        path.write_text(text)
        assert list(sge.recent_accounting(str(path), 0)) == text.split('\n')[:-1][::-1]


def test_reading_stops_before_the_years_of_old_records(tmp_path, monkeypatch):
    monkeypatch.setattr(sge, 'OLD', 3)
    line = 'q:node:g:root:name:{0}:sge:0:{0}:{0}:{0}:0:0'
    ends = [50] * 100 + [200, 60, 201, 202]  # a host that was away told of 60 late
    path = tmp_path / 'accounting'
    path.write_text(''.join(line.format(end) + '\n' for end in ends))
    found = [text.split(':')[10] for text in sge.recent_accounting(str(path), 100)]
    assert found == ['202', '201', '60', '200', '50', '50', '50']


def test_colons_in_the_request_and_the_processes_of_a_parallel_job():
    line = [line for line in data('accounting').splitlines() if 'par.2' in line][0]
    record = sge.parse_accounting(line.replace('-l h_vmem=64M', '-l h_rt=0:30:0,h_vmem=64M'))
    assert record['category'] == '-l h_rt=0:30:0,h_vmem=64M -pe smp 2'
    limits = sge.limits_of(record, {})
    assert sge.reached_limit(dict(record, ru_wallclock='1800'), limits) == 'h_rt'
    assert sge.reached_limit(dict(record, maxvmem=str(128 << 20)), limits) == 'h_vmem'
    assert sge.reached_limit(dict(record, ru_wallclock='1799', maxvmem=str((128 << 20) - 1)), limits) == ''
    assert sge.parse_accounting(line.replace(':NONE:0.000000:0:0', ':1.node:0.000000:0:0')) is None
    assert sge.parse_accounting('# Version: 8.1.9') is None


def write_accounts(path, text):
    """Write a file that was changed last soon after the records of tests/data."""
    path.write_text(text)
    os.utime(str(path), (1795400000, 1795400000))


def other_releases():
    """Yield (release, what its accounting file says of a job that was killed for its time)."""
    times = '1795336952000:1795336953000:1795337015500'
    head = 'main.q:node:g:root:a.1.k3:7:sge:0:' + times + ':37:137:62:0.1:0.1:900:0:0:0:0:9:0:0:0:0:0:0:0:5:5'
    tail = 'NONE:dep:NONE:1:3:1.5:0:0:-l h_rt=0:1:0,h_vmem=1G:0.000:NONE:2097152.0:0:0'
    # Univa's accounting(5): job_class, qdel_info, maxrss, maxpss, submit_host, cwd, submit_cmd, wallclock
    yield 'Univa', head + ':' + tail + ':NONE:NONE:900:800:login:/home/x:qsub -t 1-9 a.sh:62.5'
    # sge_rusage.cc of Open Cluster Scheduler 9
    told = {'job_number': 7, 'task_number': 3, 'start_time': 1795336953000000, 'end_time': 1795337015500000,
            'owner': 'root', 'hostname': 'node', 'slots': 1, 'job_name': 'a.1.k3', 'exit_status': 137,
            'submission_time': 1795336952000000, 'category': '-l h_rt=60', 'failed': 37}
    usage = {'ru_wallclock': 62, 'wallclock': 62.5, 'cpu': 1.5, 'maxvmem': 2097152.0}
    yield 'Open', json.dumps(dict(told, **usage), separators=(',', ':'))
    yield 'Open', json.dumps(dict(told, usage={'rusage': {'ru_wallclock': 62}, 'usage': usage}))


@pytest.mark.parametrize('release, line', list(other_releases()))
def test_accounts_of_other_releases_tell_the_same(backend, tmp_path, monkeypatch, release, line):
    monkeypatch.setattr(GridEngine, 'user', lambda self: 'root')
    cell = tmp_path / 'default' / 'common'
    cell.mkdir(parents=True)
    monkeypatch.setenv('SGE_ROOT', str(tmp_path))
    monkeypatch.delenv('SGE_CELL', raising=False)
    del backend.settings['accounting']
    write_accounts(cell / ('accounting' if release == 'Univa' else 'accounting.jsonl'), line + '\n')
    if release == 'Open':    # what was there before the site got this release
        write_accounts(cell / 'accounting', data('accounting'))
    backend.since = 1795336952
    assert backend.accounts([('7', 3)]) == {('7', 3): {
        'name': 'a.1.k3', 'host': 'node', 'elapsed': 62.5, 'cpu': 1.5, 'memory': 2097152, 'exit_code': 137,
        'signal': 9, 'status': 'FAILED', 'reason': 'time', 'words': sge.FAILURES[37][1]}}
    monkeypatch.setattr(backend, 'own_tasks', lambda states: [])
    assert backend.find('a.1.k3') == '7'
    assert sge.read_head(line) == ['root', 'a.1.k3', '7', 1795337015.5]


@pytest.mark.parametrize('letter', 'zf')
def test_a_submission_that_has_ended_is_found_by_each_release(backend, tmp_path, monkeypatch, letter):
    path = tmp_path / 'bin' / 'qstat'
    path.parent.mkdir()
    # qstat of Open Cluster Scheduler 9.2, ocs_QStatModelBase.cc
    path.write_text('#!/bin/bash\ncase " $* " in\n*" -s {} "*) cat {}/qstat-all.xml ;;\n'
                    '*" -s prs "*) echo "<job_info></job_info>" ;;\n'
                    '*) echo "ERROR! wrong argument to -s option" >&2; exit 1 ;;\nesac\n'.format(letter, DATA))
    path.chmod(0o755)
    monkeypatch.setenv('PATH', '{}:{}'.format(path.parent, os.environ['PATH']))
    name = GridEngine.parse_tasks(data('qstat-all.xml'))[0][2]
    assert GridEngine.find(backend, name) in {task[0] for task in GridEngine.parse_tasks(data('qstat-all.xml'))}
    assert GridEngine.find(backend, 'nobody') == ''
    path.write_text('#!/bin/bash\nexit 1\n')
    assert GridEngine.find(backend, 'nobody') is None


def test_a_limit_on_requests_is_no_answer(backend, monkeypatch):
    said = Answer(1, '', 'error: request limit "*:get:job:*:*=50" exceeded')    # gdi_request_limits
    monkeypatch.setattr(backend, 'ask', lambda argv: said)
    monkeypatch.setattr(backend, 'last_answer', lambda: said)
    assert backend.poll(['7']) is None and backend.find('a.1.k3') is None
    backend.note_answer(said)
    assert backend.unknown == []


def test_an_old_file_that_somebody_has_touched_is_not_asked_for_what_is_new(backend, tmp_path):
    path = tmp_path / 'accounting'
    path.write_text(data('accounting'))
    os.utime(str(path), (1895400000, 1895400000))
    assert sge.read_accounting([str(path)], 1895300000, 'root', '', {'1'}) is None
    assert sge.read_accounting([str(path)], 0, 'root', '', {'1'})


def test_a_file_that_tells_nothing_is_no_file(backend, tmp_path, monkeypatch):
    path = tmp_path / 'accounting'
    backend.settings['accounting'] = str(path)
    monkeypatch.setattr(backend, 'ask', lambda argv, **options: Answer(0, data('qacct.txt')))
    for text in ('', '# Version: 10\n', 'another format, one\nanother format, two\n'):
        path.write_text(text)
        assert ('1', 1) in backend.accounts([('1', 1)])
    # What another release has left there: nothing was written since the execution began.
    path.write_text(data('accounting').replace(':1:sge:', ':9:sge:'))
    assert backend.accounts([('1', 1)]) == {}
    backend.since = os.stat(str(path)).st_mtime + 2 * sge.CLOCK
    backend.accounts([('1', 1)])
    monkeypatch.setattr(backend, 'ask', lambda argv, **options: Answer(1, '', 'error: job name a not found'))
    assert backend.accounts([('1', 1)]) == {}


@pytest.mark.parametrize('name', ['accounting.0', 'accounting-20261122', 'accounting.202611'])
def test_a_record_in_a_file_that_was_put_aside(backend, tmp_path, name):
    lines = data('accounting').splitlines(True)
    write_accounts(tmp_path / name, ''.join(lines[:-1]))
    write_accounts(tmp_path / 'accounting', lines[-1])
    write_accounts(tmp_path / (name + '.gz'), '\x1f')
    backend.settings['accounting'] = str(tmp_path / 'accounting')
    backend.since = 1795336952
    assert ('1', 1) in backend.accounts([('1', 1)])
    # Another place, where the profile says so.
    archive = tmp_path / 'archive'
    archive.mkdir()
    (tmp_path / name).rename(archive / name)
    assert backend.accounts([('1', 1)]) == {}
    backend.settings['accounting'] += ' {}/accounting*'.format(archive)
    assert ('1', 1) in backend.accounts([('1', 1)])


def test_the_times_of_qacct_in_every_release():
    expected = time.mktime((2026, 11, 22, 6, 54, 59, 0, 0, -1))
    for text in ('Sun Nov 22 06:54:59 2026', '2026-11-22 06:54:59.123456', '11/22/2026 06:54:59.123'):
        assert sge.moment(text) == expected
    assert sge.moment('-/-') == 0


@pytest.mark.parametrize('deleter, category, failed, reason', [
    ('me@login', 'NONE', '100', 'cancelled'),
    ('execd@node', '-l h_rt=60', '37', 'time'),
    ('execd@node', '-l h_rt=60', '100', 'time'),
    ('qmaster@head', '-l h_rt=60', '100', 'time'),
    ('qmaster@head', 'NONE', '100', 'node'),
])
def test_a_daemon_that_ends_a_job_is_no_person(deleter, category, failed, reason):
    record = {'failed': failed, 'exit_status': '137', 'deleted_by': deleter, 'category': category,
              'ru_wallclock': '62'}
    assert sge.verdict(record)['reason'] == reason


def test_why_jobs_wait_in_the_words_of_open_cluster_scheduler():
    text = ('job_number:                      7\nerror_reason              2:          can\'t chdir to /x\n'
            'scheduling_info:            queue instance "a" dropped\n'
            '                            no host has room\n')
    assert GridEngine.parse_reasons(text) == ({('7', 2): "can't chdir to /x"}, {'7': 'no host has room'})


@pytest.mark.parametrize('changes, reason', [
    ({'failed': '100 : after', 'exit_status': '138', 'category': '-l s_rt=5', 'ru_wallclock': '5s'}, 'time'),
    ({'failed': '100', 'exit_status': '137', 'deleted_by': 'root@node'}, 'cancelled'),
    ({'failed': '100', 'exit_status': '0'}, 'node'),
    ({'failed': '37', 'exit_status': '137', 'category': 'NONE', 'ru_wallclock': '2s'}, 'time'),
    ({'failed': '37', 'exit_status': '137', 'category': '-l h_vmem=1G', 'ru_wallclock': '2s'}, 'memory'),
    ({'failed': '37', 'exit_status': '137', 'category': '-l h_vmem=1G,h_rt=60', 'ru_wallclock': '50s'}, 'memory'),
    ({'failed': '37', 'exit_status': '137', 'category': '-l h_vmem=1G', 'ru_wallclock': '50', 'maxvmem': '8M'}, 'time'),
    ({'failed': '0', 'exit_status': '138', 'category': '-l s_rt=5', 'ru_wallclock': '5s'}, 'time'),
    ({'failed': '37', 'exit_status': '137', 'category': 'NONE', 'ru_wallclock': '86401s'}, 'time'),
    ({'failed': '37', 'exit_status': '137', 'category': '-l h_vmem=1G', 'ru_wallclock': '86401'}, 'time'),
    ({'failed': '19  : before writing exit_status', 'exit_status': '0'}, 'node'),
    ({'failed': '8', 'exit_status': '1'}, 'node'),
    ({'failed': '15', 'exit_status': '0', 'ru_minflt': '900'}, ''),
    ({'failed': '15', 'exit_status': '2', 'ru_minflt': '900'}, 'exit'),
    ({'failed': '0', 'exit_status': '0', 'ru_wallclock': '0s', 'cpu': '0.000s', 'ru_minflt': '15000'}, ''),
    ({'failed': '0', 'exit_status': '0', 'ru_wallclock': '0s', 'cpu': '0.000s', 'ru_minflt': '0'}, 'cancelled'),
])
def test_ends_that_are_hard_to_bring_about(changes, reason):
    found = sge.verdict(changes)
    assert found['reason'] == reason
    assert found['status'] == ('FAILED' if reason else 'COMPLETED')


def test_what_nobody_knows_is_noted_and_is_no_reason(backend, tmp_path, monkeypatch):
    found = sge.verdict({'failed': '77', 'exit_status': '0'})
    assert (found['status'], found['reason']) == ('OTHER', '') and '77' in found['words']
    line = [line for line in data('accounting').splitlines() if ':1:sge:' in line][0].split(':')
    task = ('1', int(line[35]))
    path = tmp_path / 'accounting'
    path.write_text(':'.join(line[:11] + ['77'] + line[12:]) + '\n')
    backend.settings['accounting'] = str(path)
    assert backend.accounts([task])[task]['reason'] == ''
    listed = ('<job_info><job_list><JB_job_number>{}</JB_job_number><JB_name>a</JB_name><JB_owner>root</JB_owner>'
              '<state>{}</state><slots>1</slots></job_list></job_info>')
    told = {'qstat -u': listed.format(7, 'rX'), 'qstat -j': ''}
    monkeypatch.setattr(backend, 'ask', lambda argv: Answer(0, told[' '.join(argv[:2])]))
    assert backend.poll(['7']) == {('7', 0): ('RUNNING', '', '')}
    told = {'qstat -u': listed.format(8, 'Eqw'), 'qstat -j': 'job_number: 8\nerror {2026}: it cannot\nx: y'}
    assert backend.poll(['8'])['8', 0] == ('FAILED', 'node', 'in error state')
    told = {'qstat -u': 'queue instance, one'}
    assert backend.poll(['8']) is None
    assert backend.unknown == ['failed: 77', 'state: rX', 'reason of an error state: error {2026}: it cannot',
                               'answer: queue instance, one']


QUEUE = """qname                 main.q
s_rt                  INFINITY
h_rt                  0:0:8,[slow=1:0:0]
s_cpu                 INFINITY
h_vmem                INFINITY
"""


def test_a_limit_of_the_queue_is_named(backend, monkeypatch):
    assert sge.parse_queue(QUEUE) == {'h_rt': '0:0:8'}
    record = {'failed': '37', 'exit_status': '137', 'category': 'NONE', 'ru_wallclock': '9s', 'maxvmem': '8.2M',
              'qname': 'main.q'}
    asked = []
    monkeypatch.setattr(backend, 'ask', lambda argv: asked.append(argv) or Answer(0, QUEUE, ''))
    for _ in range(2):
        found = sge.verdict(record, backend._queue_limits(record))
        assert (found['reason'], found['words']) == ('time', 'ended at a limit of the queue main.q (h_rt 0:0:8)')
    assert asked == [['qconf', '-sq', 'main.q']]
    soft = dict(record, failed='100', exit_status='138')    # USR1, and the job answered
    assert sge.verdict(soft, {'s_rt': '0:0:8'})['reason'] == 'time'
    assert sge.verdict(dict(soft, failed='0'), {'s_rt': '0:0:8'})['reason'] == 'time'
    assert sge.verdict(dict(soft, failed='0', ru_wallclock='7'), {'s_rt': '0:0:8'})['reason'] == 'exit'
    assert backend._queue_limits(dict(record, failed='0', exit_status='1')) == {}


def test_retries_know_what_the_queue_allows_in_which_a_job_was_killed():
    backend = sge.FullGridEngine({'memory_per': 'slot'})
    limits = sge.parse_queue('h_rt  1:0:0,[node1=2:0:0]\nh_vmem  4G\ns_rt  INFINITY\n')
    backend._queues = {'short.q': limits, 'all.q': {}}
    assert backend.most({'queue': 'short.q', 'cores': 2}) == {'time': 3600, 'memory': 8 << 30}
    assert backend.most({'queue': 'all.q'}) == backend.most({'queue': 'other.q'}) == backend.most({}) == {}


def test_no_end_yet():
    assert sge.verdict({'failed': '25  : rescheduling', 'exit_status': '0'}) is None
    assert sge.verdict({'failed': '24', 'exit_status': '0'}) is None


def test_units():
    assert [sge.size(text) for text in ('4G', '1k', '1.5K', '0.000B', '512.000B')] == [4 << 30, 1000, 1536, 0, 512]
    assert [sge.size(text) for text in ('381.891MB', '3624960.000000', '')] == [int(381.891 * (1 << 20)), 3624960, 0]
    assert [read_clock(text) for text in ('90', '1:30:00', '0:1:30', '::5', 'INFINITY')] == [90, 5400, 90, 5, None]
    assert sge.moment('-/-') == 0 and sge.moment('Sun Nov 22 06:54:59 2026') > 1.7e9


# The site ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('kind, setting, amount', [
    ('YES', '', '256M'), ('NO', '', '256M'), ('JOB', '', '1024M'), ('HOST', '', '1024M'), ('', '', '256M'),
    ('JOB', 'slot', '256M'), ('YES', 'job', '1024M')])
def test_memory_is_asked_for_as_the_site_counts_it(monkeypatch, kind, setting, amount):
    listed = ('#name     shortcut  type    relop requestable consumable default  urgency\n'
              'h_vmem    vm        MEMORY  <=    YES         {}        2G       0\n'
              'virtual_free vf     MEMORY  <=    YES         NO         0       0\n'.format(kind))
    backend = load_backend('sge', {'memory_per': setting})
    asked = []
    monkeypatch.setattr(backend, 'ask', lambda argv: asked.append(argv) or Answer(0, listed if kind else ''))
    wanted = {'cores': 4, 'memory': 1 << 30}
    assert after(backend.request_argv(wanted), '-l') == ['h_vmem=' + amount]
    assert after(backend.request_argv(wanted), '-l') == ['h_vmem=' + amount]
    assert after(backend.request_argv({'memory': 1 << 30}), '-l') == ['h_vmem=1024M']
    assert len(asked) == (0 if setting else 1 if kind else 2)


def test_gpus_count_for_the_job_where_the_site_counts_them_so(monkeypatch):
    backend = load_backend('sge')
    monkeypatch.setattr(backend, 'ask', lambda argv: Answer(0, 'gpu gpu INT <= YES JOB 0 0\n'))
    assert after(backend.request_argv({'cores': 4, 'gpus': 2}), '-l') == ['gpu=2']


def test_the_load_of_the_hosts():
    assert sge.parse_hosts(data('qhost.xml')) == (1, 64, 5)
    down = data('qhost.xml').replace("name='load_avg'>0", "name='load_avg'>-</hostvalue><hostvalue name='x'>0")
    assert sge.parse_hosts(down) == (0, 0, 0)


def test_the_limits_of_the_site():
    assert GridEngine.parse_limits(data('qconf-sconf.txt')) == {'array': 75000}
    assert GridEngine.parse_limits(data('qconf-sconf.txt').replace('75000', '10')) == {'array': 10}
    assert GridEngine.parse_limits(data('qconf-sconf.txt').replace('75000', '0')) == {'array': GridEngine.LARGEST_ARRAY}
    assert GridEngine.parse_limits('') == {}


def test_without_grid_engine_there_is_no_answer(backend, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    backend.settings['accounting'] = str(tmp_path / 'none')
    assert backend.poll(['1']) is None and backend.find('a') is None and backend.usage() is None
    assert backend.accounts([('1', 0)]) == {} and backend.limits() == {'array': 1000}
    assert backend.submit('x', 'a.1.x', 1, {}, '/x')[0] == 'silent'
    assert backend.cancel([('1', 0)], {}) is None


def test_the_environment_of_a_surrounding_job_stays_behind(monkeypatch):
    monkeypatch.setenv('PE_HOSTFILE', '/spool/1/pe_hostfile')
    monkeypatch.setenv('SGE_TASK_ID', '4')
    monkeypatch.setenv('SGE_ROOT', '/opt/sge')
    lines = module.call_scheduler(['env'], LC_ALL=None).out.splitlines()
    assert 'SGE_ROOT=/opt/sge' in lines
    assert not [line for line in lines if line.startswith(('PE_HOSTFILE', 'SGE_TASK_ID', 'LC_ALL'))]
    assert 'LC_ALL=C' in module.call_scheduler(['env']).out.splitlines()
