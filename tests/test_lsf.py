"""The words for LSF's commands, and what their output means. The outputs are in data/lsf."""

import os
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from qmap import REASONS, Answer, Lsf, QMapError, call_scheduler, load_backend  # noqa: E402
from qmap_backends import lsf  # noqa: E402

GB = 2 ** 30


def data(name):
    with open(os.path.join(ROOT, 'tests', 'data', 'lsf', name)) as source:
        return source.read()


def option(argv, name):
    return argv[argv.index(name) + 1]


# Submitting ###########################################################################################################

def test_one_task_is_no_array_and_several_are_one_from_index_1():
    assert option(load_backend('lsf').submit_argv('/s', 'n.1.x', 1, {}, '/o'), '-J') == 'n.1.x'
    assert option(load_backend('lsf').submit_argv('/s', 'n.1.x', 7, {}, '/o'), '-J') == 'n.1.x[1-7]'


def test_a_job_is_never_rerun_and_never_sends_mail():
    argv = load_backend('lsf').submit_argv('/s', 'n', 3, {}, '/logs/b 1')
    assert '-rn' in argv
    assert option(argv, '-oo') == '/logs/b 1.%I'


def test_a_percent_sign_in_a_path_is_kept_from_lsf():
    argv = load_backend('lsf').submit_argv('/s', 'n', 3, {'working_directory': '/w/100%J'}, '/logs/100%I')
    assert option(argv, '-oo') == '/dev/null'
    assert '-cwd' not in argv


def test_cores_stay_on_one_host():
    argv = load_backend('lsf').submit_argv('/s', 'n', 1, {'cores': 4}, '/o')
    assert option(argv, '-n') == '4'
    assert option(argv, '-R') == 'span[hosts=1]'
    assert Lsf.request_argv({'cores': 0}) == []    # one, as for jobs that ask for nothing


def test_nodes_share_the_slots_and_tasks_alone_may_spread():
    assert option(Lsf.request_argv({'cores': 10, 'nodes': 3}), '-R') == 'span[ptile=4]'
    assert option(Lsf.request_argv({'tasks': 10, 'nodes': 1}), '-R') == 'span[hosts=1]'
    assert Lsf.request_argv({'tasks': 10}) == ['-n', '10']
    assert option(Lsf.request_argv({'nodes': 3}), '-n') == '3'


@pytest.mark.parametrize('seconds, minutes', [(1, '1'), (60, '1'), (61, '2'), (3600, '60'), (5400, '90')])
def test_time_is_minutes_rounded_up(seconds, minutes):
    assert Lsf.request_argv({'time': seconds}) == ['-W', minutes]


@pytest.mark.parametrize('style, limit, reservation', [
    ({}, '16384MB', 'mem=16384MB'),
    ({'unit': 'default'}, '16777216', 'mem=16384'),
    ({'unit': 'MB'}, '16384', 'mem=16384'),
    ({'unit': 'GB'}, '16', 'mem=16'),
    ({'unit': 'TB'}, '1', 'mem=1'),
    ({'per': 'slot'}, '16384MB', 'mem=4096MB'),
    ({'per': 'job'}, '16384MB', 'mem=16384MB/job'),
    ({'per': 'slot', 'limit_per': 'slot'}, '4096MB', 'mem=4096MB'),
])
def test_memory_in_the_units_of_the_site(style, limit, reservation):
    argv = Lsf.request_argv({'memory': 16 * GB, 'cores': 4}, **style)
    assert option(argv, '-M') == limit
    assert option(argv, '-R') == 'rusage[{}] span[hosts=1]'.format(reservation)


def test_memory_of_several_nodes_is_reserved_on_each():
    argv = Lsf.request_argv({'memory': 16 * GB, 'cores': 8, 'nodes': 2})
    assert option(argv, '-R') == 'rusage[mem=8192MB] span[ptile=4]'


def test_memory_is_rounded_up_and_never_zero():
    assert option(Lsf.request_argv({'memory': 1}), '-M') == '1MB'
    assert option(Lsf.request_argv({'memory': GB + 1}), '-M') == '1025MB'


@pytest.mark.parametrize('params, style, wanted', [
    ({'gpus': 2}, {}, 'num=2:j_exclusive=yes'), ({'gpus': 2, 'nodes': 2}, {}, 'num=1:j_exclusive=yes'),
    ({'gpus': 1, 'cores': 4}, {'per': 'slot'}, 'num=1/host:j_exclusive=yes')])
def test_gpus_are_for_a_host_and_for_nobody_else(params, style, wanted):
    assert option(Lsf.request_argv(params, **style), '-gpu') == wanted


@pytest.mark.parametrize('extra', ['-gpu num=1:gmodel=A100', '-gpu -', '-R "rusage[ngpus_physical=1]"'])
def test_gpus_in_extra_are_in_place_of_ours(extra):
    assert Lsf.request_argv({'gpus': 2, 'extra': extra}) == [] == Lsf.request_argv({'gpus': 0})


def test_account_constraint_and_reservation():
    params = {'account': 'lab', 'constraint': 'avx', 'reservation': 'u#1'}
    argv = load_backend('lsf').submit_argv('/s', 'n', 1, params, '/o')
    assert (option(argv, '-P'), option(argv, '-R'), option(argv, '-U')) == ('lab', 'select[avx]', 'u#1')
    argv = load_backend('lsf').submit_argv('/s', 'n', 1, dict(params, extra='-P other'), '/o')
    assert argv.count('-P') == 1 and option(argv, '-P') == 'other'


def test_extra_comes_last_and_is_split_as_a_shell_does():
    params = {'extra': '-P "my project" -R select[avx]', 'queue': 'long'}
    argv = load_backend('lsf').submit_argv('/s', 'n', 1, params, '/o')
    assert argv[-4:] == ['-P', 'my project', '-R', 'select[avx]']
    assert option(argv, '-q') == 'long'


def test_an_option_that_does_not_exist_is_told():
    with pytest.raises(QMapError) as error:
        load_backend('lsf', {'memory_per': 'core'})
    assert 'memory_per = core: must be one of host, slot, job' in str(error.value)


def test_the_submission_can_be_pasted():
    backend = load_backend('lsf', {'memory_unit': 'suffix'})
    line = backend.job_cmd('/a b/s.sh', 'n.1.x', 2, {'working_directory': '/w d'}, '/o')
    assert line == ("LSB_EXIT_IF_CWD_NOTEXIST=Y bsub -J 'n.1.x[1-2]' -rn -oo /o.%I -cwd '/w d' < '/a b/s.sh'")


@pytest.mark.parametrize('prefix', ['a[1-3]', 'a*b', '  ', 'x' * 300, 'with "quotes"', 'ünï', '-J', 'a/b', 'a|b%J'])
def test_names_are_legal_and_short(prefix):
    name = load_backend('lsf').job_name(prefix, 12, 'k3j')
    assert name.endswith('.12.k3j')
    assert len(name) < 64
    assert not set(name) & set('[]*/|%"\' \\') and name[0] not in '-.'
    name.encode('ascii')


def test_tasks_by_their_name_for_people():
    assert load_backend('lsf').task_name(('123', 4)) == '123[4]'
    assert load_backend('lsf').task_name(('123', 0)) == '123'


def test_detected_version_decides_the_unit():
    assert Lsf.parse_version(data('lsid.out')) == (10, 1, 0, 15)
    assert Lsf.parse_version('bash: lsid: not found') == ()
    assert Lsf.parse_unit(data('lsf.conf')) == 'MB'
    assert Lsf.parse_unit('LSF_UNIT_FOR_LIMITS="g"') == 'GB'
    assert Lsf.parse_unit('nothing') == ''


# What bsub says #######################################################################################################

@pytest.mark.parametrize('name, number', [('default', '39605914'), ('queue', '542935'), ('chatter', '542935')])
def test_the_id_is_found_in_whatever_is_around_it(name, number):
    text = data('bsub.{}.out'.format(name))
    assert Lsf.parse_submission(Answer(0, text)) == ('ok', number)
    assert Lsf.parse_submission(Answer(0, '', data('waiting.txt') + text)) == ('ok', number)


@pytest.mark.parametrize('line', data('bsub.refused.err').splitlines())
def test_refusals(line):
    assert Lsf.parse_submission(Answer(255, '', line + '\n')) == ('refused', line)
    # Waiting lines before a refusal do not make it a passing trouble.
    assert Lsf.parse_submission(Answer(255, '', data('waiting.txt') + line + '\n')) == ('refused', line)


@pytest.mark.parametrize('line', data('bsub.busy.err').splitlines())
def test_passing_troubles_and_limits(line):
    assert Lsf.parse_submission(Answer(255, '', line + '\n')) == ('busy', line)


@pytest.mark.parametrize('outcome, words', [
    ('busy', 'System call failed: Resource temporarily unavailable'), ('busy', 'Unknown user'),
    ('busy', 'Batch library internal error'), ('busy', 'Batch service not registered'),
    ('busy', 'Job file cannot be created: No space left on device'), ('busy', 'Pending slot threshold reached'),
    ('unclear', 'User permission denied'), ('unclear', 'The moon is full'),
    ('refused', 'User group must be specified')])
def test_other_words_of_bsub(outcome, words):
    assert Lsf.parse_submission(Answer(255, '', words + '. Job not submitted.\n'))[0] == outcome


def test_words_that_do_not_say_whether_it_was_submitted_are_silence():
    assert Lsf.parse_submission(Answer(255, '', 'something else\n'))[0] == 'silent'


def test_a_refusal_keeps_the_words_of_the_site():
    assert Lsf.parse_submission(Answer(255, '', data('bsub.esub.err'))) == (
        'refused', 'Your memory request is above the limit of the queue. Request aborted by esub. Job not submitted.')


@pytest.mark.parametrize('answer', [
    Answer(None, '', 'bsub: no answer within 60 s'),
    Answer(None, '', data('bsub.busy.err').splitlines()[3] + '\nbsub: no answer within 60 s'),
    Answer(0, '', ''), Answer(0, 'welcome to the cluster\n', ''), Answer(255, '', ''),
    Answer(255, '', 'Contacting batch daemon: Communication timeout. Job not submitted.\n'),
])
def test_what_may_have_been_submitted_is_silence(answer):
    assert Lsf.parse_submission(answer)[0] == 'silent'


def test_a_killed_command_takes_along_what_it_started_and_keeps_its_words():
    # A site's bsub is often a wrapper: the real one must not submit behind our back.
    answer = call_scheduler(['bash', '-c', 'sleep 300 & echo $!; echo waiting >&2; wait'], timeout=1)
    assert answer.code is None
    assert answer.err.startswith('waiting\n') and 'no answer within 1 s' in answer.message()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            with open('/proc/{}/stat'.format(answer.out.strip())) as source:
                if source.read().rpartition(')')[2].split()[0] == 'Z':
                    break
        except OSError:
            break
    else:
        raise AssertionError('it still runs')


def test_a_wrong_option_is_a_refusal():
    text = 'bsub: illegal option -- zz\nUsage: bsub [options] command\n'
    assert Lsf.parse_submission(Answer(255, '', text)) == ('refused', 'bsub: illegal option -- zz')


# What bjobs says ######################################################################################################

def statuses():
    return {job['task']: load_backend('lsf').describe(job) for job in Lsf.parse_jobs(data('bjobs.out'))}


@pytest.mark.parametrize('task, status, reason', [
    (('764213236', 0), 'FAILED', 'time'),
    (('301970', 1), 'RUNNING', ''),
    (('301970', 2), 'PENDING', ''),
    (('301828', 0), 'COMPLETED', ''),
    (('301829', 0), 'FAILED', 'cancelled'),
    (('301830', 0), 'FAILED', 'exit'),
    (('301831', 0), 'FAILED', 'exit'),
    (('301832', 0), 'OTHER', ''),
    (('301833', 0), 'OTHER', ''),
    (('301834', 0), 'PENDING', ''),
    (('301835', 0), 'RUNNING', ''),
    (('301836', 0), 'RUNNING', ''),
    (('301837', 0), 'PENDING', ''),
    (('301838', 0), 'PENDING', ''),
    (('301839', 0), 'OTHER', ''),
    (('301840', 0), 'FAILED', 'signal'),
    (('301841', 0), 'FAILED', 'memory'),
    (('301842', 0), 'FAILED', 'unstartable'),
    (('301843', 0), 'FAILED', 'exit'),
])
def test_states_and_reasons(task, status, reason):
    assert statuses()[task][:2] == (status, reason)


def test_lines_that_are_no_jobs_are_left_out():
    assert len(Lsf.parse_jobs(data('bjobs.out'))) == 19
    assert Lsf.parse_jobs(data('waiting.txt')) == []


def test_states_say_it_in_words():
    said = statuses()
    assert said['301970', 2][2] == ('Not enough job slot(s): 1 host; see queue|short for more '
                                    '(requests more slots than are free)')
    assert said['301834', 0][2].startswith('held: it starts only after bresume')
    assert 'BRANDNEW' in said['301839', 0][2]
    assert 'lost contact' in said['301832', 0][2]
    assert 'memory runs out' in said['301840', 0][2]
    assert said['301843', 0][2] == 'TERM_BRANDNEW: job killed for a new reason'


def test_every_reason_is_one_that_qmap_has():
    assert set(Lsf.TERMINATIONS.values()) <= set(REASONS) | {'unstartable'}
    assert {status for status, _ in Lsf.STATES.values()} == {'PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'OTHER'}


def test_usage_of_jobs():
    accounts = {job['task']: lsf.job_account(job) for job in Lsf.parse_jobs(data('bjobs.out'))}
    assert accounts['764213236', 0] == {
        'status': 'FAILED', 'reason': 'time', 'words': 'TERM_RUNLIMIT: job killed after reaching LSF run time limit',
        'exit_code': 140, 'signal': 12, 'host': 'b681e480bd', 'cpu': 0.1, 'elapsed': 50.0, 'memory': 522 * 2 ** 20}
    assert accounts['301828', 0] == {'status': 'COMPLETED', 'reason': '', 'words': '', 'exit_code': 0, 'host': 'h1',
                                     'cpu': 0.1, 'elapsed': 1.0}
    assert 'exit_code' not in accounts['301830', 0]
    assert accounts['301970', 1] is None and accounts['301832', 0] is None


def test_post_processing_does_not_hide_a_failure():
    assert Lsf.verdict('POST_ERR')['status'] == 'COMPLETED'
    assert Lsf.verdict('POST_ERR', '3')['status'] == 'FAILED'
    assert Lsf.verdict('POST_DONE')['status'] == 'COMPLETED'


def test_a_code_that_the_site_calls_a_success_is_one():
    # SUCCESS_EXIT_VALUES of an application profile.
    assert Lsf.verdict('DONE', '3') == {'status': 'COMPLETED', 'reason': '', 'words': '', 'exit_code': 3}


def test_only_its_own_line_makes_an_id_unknown():
    assert Lsf.parse_missing(data('bjobs.missing.err')) == {'99999', '105[77]'}
    assert Lsf.parse_missing('No unfinished job found\n' + data('waiting.txt')) == set()


@pytest.mark.parametrize('text, seconds', [('50 second(s)', 50), ('0.1', 0.1), ('12.5 seconds', 12.5),
                                           ('01:02:03', 3723), ('7 sec.', 7), ('-', None), ('', None), ('soon', None)])
def test_seconds(text, seconds):
    assert lsf.parse_seconds(text) == seconds


@pytest.mark.parametrize('text, size', [('522 Mbytes', 522 * 2 ** 20), ('5.2 Gbytes', int(5.2 * GB)),
                                        ('5M', 5 * 2 ** 20), ('3.2G', int(3.2 * GB)), ('48 G', 48 * GB),
                                        ('1 Tbytes', 1024 * GB), ('100 KB', 102400), ('-', None), ('12', None),
                                        ('', None)])
def test_memory_sizes(text, size):
    assert lsf.parse_memory(text) == size


def test_hosts_with_their_slots():
    assert lsf.parse_hosts('4*h1:8*h2') == {'h1': 4, 'h2': 8}
    assert lsf.parse_hosts('h1:h1') == {'h1': 2}
    assert lsf.parse_hosts('') == {}


# What bhist, bacct and the others say #################################################################################

def test_bhist_with_folded_lines():
    accounts = lsf.parse_events(data('bhist.out'))
    assert accounts['102', 0] == {'status': 'FAILED', 'reason': 'exit', 'words': 'exit code 3', 'exit_code': 3,
                                  'host': 'vm', 'cpu': 0.0, 'elapsed': 0.0}
    assert accounts['103', 7] == {
        'status': 'FAILED', 'reason': 'memory',
        'words': 'TERM_MEMLIMIT: job killed after reaching LSF memory usage limit',
        'exit_code': 1, 'host': 'node19', 'cpu': 31911.0, 'elapsed': 6450.0, 'memory': 48 * GB}
    assert (accounts['104', 0]['reason'], accounts['104', 0]['signal']) == ('signal', 9)
    assert accounts['105', 0]['reason'] == 'cancelled' and 'exit_code' not in accounts['105', 0]
    assert accounts['106', 0]['status'] == 'COMPLETED' and accounts['106', 0]['host'] == 'node20'
    assert ('107', 0) not in accounts


def test_a_signal_that_a_person_has_sent_is_a_cancellation():
    text = data('bhist.out')
    killed = text[text.index('Job <104>'):].partition('\nJob <')[0]
    for name, reason in (('KILL', 'cancelled'), ('TERM', 'cancelled'), ('USR1', 'signal')):
        line = 'Tue Dec 23 14:46:44: Signal <{}> requested by user or administrator <ann>;\n'.format(name)
        place = killed.index('\n', killed.index('Dispatched')) + 1
        account = lsf.parse_events(killed[:place] + line + killed[place:])['104', 0]
        assert account['reason'] == reason and ('<ann>' in account['words']) == (reason == 'cancelled')
        assert lsf.lacks_reason(account) == (reason == 'signal')


def test_bacct_with_folded_lines():
    accounts = lsf.parse_events(data('bacct.out'))
    assert accounts['3329613', 0] == {'status': 'COMPLETED', 'reason': '', 'words': '', 'exit_code': 0, 'host': 'a3201',
                                      'cpu': 0.08, 'elapsed': 67.0, 'memory': 5 * 2 ** 20}
    assert accounts['234', 24] == {
        'status': 'FAILED', 'reason': 'time', 'words': 'TERM_RUNLIMIT: job killed after reaching LSF run time limit',
        'host': 'n0081', 'cpu': 11.02, 'elapsed': 87021.0, 'memory': int(3.2 * GB)}
    assert len(accounts) == 2


def test_logs_that_say_nothing():
    assert lsf.parse_events('No matching job found\n') == {}
    assert lsf.parse_events('') == {}


def test_hosts_that_are_up_and_their_load():
    assert lsf.parse_bhosts(data('bhosts.out')) == (4, 100, 50)


def test_largest_array():
    assert Lsf.parse_limits(data('bparams.out')) == {'array': 2000}
    assert Lsf.parse_limits('Default Queues:  normal\n') == {}


# Cancelling ###########################################################################################################

def test_arrays_are_cancelled_as_ranges():
    tasks = [('12', 0), ('13', 1), ('13', 2), ('13', 3), ('13', 7)]
    assert Lsf.cancel_argv + load_backend('lsf').task_words(tasks, {'13': 9}) == ['bkill', '12', '13[1-3,7]']
    assert load_backend('lsf').task_words([('13', 1), ('13', 2)], {'13': 2}) == ['13']


@pytest.mark.parametrize('name', ['0', '', '-1', '00', 'all', '12x'])
def test_no_id_can_kill_all_jobs(name):
    assert load_backend('lsf').task_words([(name, 0), (name, 3)], {}) == []


def test_index_lists_stay_short():
    words = load_backend('lsf').task_words([('12345678', k) for k in range(1, 5000, 2)], {})
    assert max(len(word) for word in words) < 4094
    assert sum(len(word[9:-1].split(',')) for word in words) == 2500


@pytest.mark.parametrize('text, left', [
    ('Invalid field specs jobindex', ('jobid', 'job_name', 'stat', 'exit_code')),    # OpenLava 4
    ('<EXIT_CODE> in the format string is not a valid field name.', ('jobid', 'jobindex', 'stat')),    # volclava
    ('bjobs: illegal option -- o\nUsage: bjobs [-h] [-w]', ()),    # LSF 8
    ('Job <7> is not found', ('jobid', 'jobindex', 'stat', 'exit_code')),
    ('LSF is down. Please wait ...', ('jobid', 'jobindex', 'stat', 'exit_code')),
    ('Invalid field specs stat', ()),
])
def test_what_bjobs_does_not_know_is_not_asked_for(text, left):
    assert Lsf.fewer_fields(('jobid', 'jobindex', 'stat', 'exit_code'), text) == left


def test_the_table_of_bjobs():
    text = ('JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME\n'
            '103     me      RUN   short      vm          4*h1:8*h2   a.1.tok[12] Nov 22 06:56\n'
            '104     me      PEND  normal     vm             -        a b.2.tok  Nov 22 06:56\n')
    first, second = Lsf.parse_jobs(text, ())
    assert (first['task'], first['stat'], first['exec_host']) == (('103', 12), 'RUN', '4*h1:8*h2')
    assert (second['task'], second['stat'], second['exec_host']) == (('104', 0), 'PEND', '')
    assert load_backend('lsf').describe(second) == ('PENDING', '', '')


@pytest.mark.parametrize('text, relative', [
    ('OpenLava 4.0.0, May 10 2016\n\nMy cluster name is x', 'OpenLava 4.0.0'), ('volclava 2.2', 'volclava 2.2'),
    ('IBM Spectrum LSF Standard 10.1.0.14, Jun 14 2024', ''), ('', '')])
def test_relatives_of_lsf_are_told_apart(text, relative):
    assert Lsf.parse_relative(text) == relative


@pytest.mark.parametrize('told, noted', [
    ('TERM_NEWEST: ended for a new reason', ['exit_reason: TERM_NEWEST: ended for a new reason']),
    ('TERM_OWNER: job killed by owner', []), ('-', [])])
def test_why_lsf_ended_a_job_is_noted_where_nobody_knows_it(told, noted):
    backend = load_backend('lsf')
    job, = Lsf.parse_jobs('103|12|EXIT|137|{}|h1|1.0|1|-|-'.format(told))
    assert backend.describe(job)[:2] == ('FAILED', 'cancelled' if 'OWNER' in told else 'signal')
    assert backend.unknown == noted
    # Where it says nothing else, it is no other reason.
    job, = Lsf.parse_jobs('103|12|EXIT|-|{}|h1|1.0|1|-|-'.format(told))
    assert backend.describe(job)[:2] == ('FAILED', {'N': '', 'O': 'cancelled', '': 'exit'}[told[5:6]])


QUEUES = """
QUEUE: long
  -- For jobs that take days.

PARAMETERS/STATISTICS
PRIO NICE STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN SSUSP USUSP  RSV
 30   20  Open:Active       -    -    -    -     0     0     0     0     0    0

DEFAULT LIMITS:
 RUNLIMIT
 60.0 min

MAXIMUM LIMITS:
 CPULIMIT                         RUNLIMIT                         PROCLIMIT
 20.0 min of h1                   240.0 min of h1                  1 4 64

 FILELIMIT  DATALIMIT  STACKLIMIT CORELIMIT  MEMLIMIT   SWAPLIMIT  PROCESSLIMIT
  20000 K       -        2048 K    20000 K     16 G        -             3

SCHEDULING PARAMETERS
           r15s   r1m  r15m   ut      pg    io   ls    it    tmp    swp    mem
 loadSched   -     -     -     -       -     -    -     -     -      -      -

USERS: all

------------------------------------------------------------------------------

QUEUE: free
  -- RUNLIMIT of this one is none.

MAXIMUM LIMITS:
 MEMLIMIT
    512 M

USERS: all

QUEUE: open
"""


def test_what_the_queues_allow():
    assert lsf.parse_queues(QUEUES) == {
        'long': {'time': 240 * 60, 'memory': 16 << 30}, 'free': {'memory': 512 << 20}, 'open': {}}
    assert lsf.parse_queues('') == lsf.parse_queues('bqueues: not for users') == {}
    backend = lsf.FullLsf({'memory_limit_per': 'slot'})
    backend._queues = lsf.parse_queues(QUEUES)
    assert backend.most({'queue': 'long', 'cores': 4}) == {'time': 240 * 60, 'memory': 64 << 30}
    assert backend.most({'queue': 'long', 'extra': '-q free'}) == backend.most({}) == {}
