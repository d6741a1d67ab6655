"""The language of Slurm: command lines, and answers as real daemons gave them (tests/data/slurm/answers.json)."""

import json
import os
import shlex
import subprocess

import pytest

from qmap import Answer, Slurm, load_backend
from qmap_backends import read_clock, read_size, slurm

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data', 'slurm', 'answers.json')) as file:
    ANSWERS = json.load(file)

#: What the recorded jobs were: 'exit3' -> '9'.
JOBS = ANSWERS.pop('jobs')
G = 1024 ** 3


def answer(name):
    said = ANSWERS[name]
    return Answer(said['code'], '\n'.join(said['out']), '\n'.join(said['err']))


def text(name):
    return answer(name).out


def argv(count=1, output='/logs/batch/1', **params):
    return load_backend('slurm').submit_argv('/logs/batch/1', 'map.1.abc', count, params, output)


def after(words, option):
    return words[words.index(option) + 1]


def command(tmp_path, monkeypatch, name, script):
    """Put a command in front of the PATH, for what a healthy Slurm can not be made to say."""
    path = tmp_path / 'bin' / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('#!/bin/bash\n' + script)
    path.chmod(0o755)
    monkeypatch.setenv('PATH', '{}:{}'.format(path.parent, os.environ['PATH']))


# ---- submission: the words

def test_a_single_job_is_no_array_and_is_never_requeued():
    assert argv() == ['sbatch', '--parsable', '--no-requeue', '--open-mode=append', '--export=ALL', '-J', 'map.1.abc',
                      '-o', '/logs/batch/1.0', '/logs/batch/1']


def test_an_array_counts_from_one_and_each_task_has_a_file_of_its_own():
    words = argv(12)
    assert '--array=1-12' in words
    assert words[words.index('-o') + 1] == '/logs/batch/1.%a'


def test_the_script_is_the_last_word_and_extra_comes_last_before_it():
    words = argv(queue='main', time=60, extra='-p other --comment "two words"')
    assert words[-4:] == ['-p', 'other', '--comment', 'two words'][-3:] + ['/logs/batch/1']
    assert words.index('main') < words.index('other')


def test_parameters_are_for_the_whole_job():
    assert '--cpus-per-task=8' in argv(cores=8)
    assert '--cpus-per-task=1' in argv(cores=0)    # one at the least
    assert '--mem=4096M' in argv(memory=4 * G)
    words = argv(cores=10, tasks=4, nodes=2, memory=3 * G)
    assert '--ntasks=4' in words and '--nodes=2' in words
    assert '--cpus-per-task=3' in words
    assert '--mem=1536M' in words


def test_cores_on_several_nodes_are_divided_among_them():
    assert '--cpus-per-task=4' in argv(cores=8, nodes=2)


@pytest.mark.parametrize('amount, words', [
    (1, '--mem=1M'), (1024 ** 2, '--mem=1M'), (1024 ** 2 + 1, '--mem=2M'), (1500 * 1000 ** 2, '--mem=1431M')])
def test_memory_is_rounded_up_to_whole_megabytes(amount, words):
    assert words in argv(memory=amount)


@pytest.mark.parametrize('amount, words', [
    (1, '00:01:00'), (60, '00:01:00'), (61, '00:02:00'), (5400, '01:30:00'), (86400, '1-00:00:00'),
    (100000, '1-03:47:00'), (30 * 86400, '30-00:00:00')])
def test_time_is_rounded_up_to_whole_minutes(amount, words):
    assert after(argv(time=amount), '-t') == words


@pytest.mark.parametrize('extra', ['--mem-per-cpu=2G', '--mem-per-cpu 2G', '--mem=1G', '--gres=gpu:1 --mem-per-gpu=8G'])
def test_memory_is_left_out_where_extra_brings_its_own(extra):
    assert '--mem=4096M' not in argv(memory=4 * G, extra=extra)


def test_mem_bind_is_no_memory():
    assert '--mem=4096M' in argv(memory=4 * G, extra='--mem-bind=local')


def test_what_is_one_option_each_comes_before_extra():
    words = argv(account='lab', qos='high', constraint='a&b', reservation='r', extra='-A other --comment ""')
    assert words[-9:] == ['--account=lab', '--qos=high', '--constraint=a&b', '--reservation=r', '-A', 'other',
                          '--comment', '', '/logs/batch/1']
    assert not any(word.startswith('--account') for word in argv(account=''))


def test_gpus_are_of_the_job_and_asked_for_by_node():
    assert '--gpus-per-node=2' in argv(gpus=2) and '--gpus-per-node=1' in argv(gpus=2, nodes=2)
    assert 'gpu' not in ' '.join(argv(gpus=0))


@pytest.mark.parametrize('extra', [
    '--gres=gpu:a100:1', '--gres lscratch:10,gpu:1', '-G 2', '-G2', '--gpus=2', '--gpus-per-task=1',
    '--gpus-per-node=a100:1', '--tres-per-task=gres/gpu:1'])
def test_gpus_in_extra_are_in_place_of_ours(extra):
    assert '--gpus-per-node=4' not in argv(gpus=4, extra=extra)


@pytest.mark.parametrize('extra', ['--gres=lscratch:10', '--gpu-bind=closest', '--mem-per-gpu=8G', '-w gpu1',
                                   '--gres-flags=enforce-binding -p gpu'])
def test_what_only_adds_to_gpus_leaves_ours(extra):
    assert '--gpus-per-node=4' in argv(gpus=4, extra=extra)


def test_paths_that_sbatch_would_rewrite():
    assert '/50%% off/1.%a' in argv(2, output='/50% off/1')
    assert '/50%% off/1.0' in argv(1, output='/50% off/1')
    assert '/a\\\\b/1.0' in argv(1, output='/a\\b/1')
    assert '/dev/null' in argv(2, output='/a\\b/1')


def test_the_command_can_be_pasted():
    backend = load_backend('slurm')
    params = {'extra': '--comment "it\'s; two"', 'working_directory': '/a b/$c'}
    line = backend.job_cmd('/s p', 'n', 3, params, '/o')
    assert shlex.split(line) == backend.submit_argv('/s p', 'n', 3, params, '/o')


def test_quotes_left_open_in_extra_refuse_the_job():
    word, words = load_backend('slurm').submit('/s', 'n', 1, {'extra': '--comment "a'}, '/o')
    assert word == 'refused' and words.startswith('extra: ')


@pytest.mark.parametrize('prefix', ['my map', 'a,b|c', 'ünï/cödé', '--x', '', '.', 'n' * 500, 'a\nb'])
def test_names_are_legal_short_and_unique(prefix):
    backend = load_backend('slurm')
    name = backend.job_name(prefix, 12, 'f00d')
    assert name.endswith('.12.f00d') and len(name) < 64
    assert not set(name) - set('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-')
    assert name[0] not in '-.'


# ---- several clusters of one Slurm

#: What squeue and sacct say there, and that each is asked for its own jobs only.
THERE = '''[ "$1 $2" = "-M there" ] || set -- -M here "$@"
echo "${0##*/} $2: ${*: -1}" >>%s/asked
case "${0##*/} $2" in
    'squeue there') [[ " $* " = *' -a '* ]] || index='1\x1f'
        printf "7\\x1f${index-}RUNNING\\x1fNone\\x1fa.3.0a1b2c3d\\x1f/x/batch/3\\n" ;;
    'squeue here') printf '7\\x1fN/A\\x1fPENDING\\x1fPriority\\x1fb.2.0a1b2c3d\\x1f/x/batch/2\\n' ;;
    'sacct there')
        printf '%%s\\x1f' 7_1 COMPLETED 0:0 2026-11-30T10:00:00 00:00:09 00:01 '' n1 a.3.0a1b2c3d %s 7 1; echo ;;
esac
'''


@pytest.fixture
def several(monkeypatch, tmp_path):
    for name in ('squeue', 'sacct', 'scancel'):
        command(tmp_path, monkeypatch, name, THERE % (tmp_path, os.getuid()))
    backend = load_backend('slurm')
    backend.token = '0a1b2c3d'
    return backend


def test_each_cluster_is_asked_for_what_is_there(several, tmp_path):
    assert several.poll(['7', '7;there']) == {
        ('7', 0): ('PENDING', '', 'Priority: waits for jobs of a higher priority'), ('7;there', 1): ('RUNNING', '', '')}
    assert several.accounts([('7;there', 1), ('7', 0)]) == {('7;there', 1): {
        'status': 'COMPLETED', 'reason': '', 'words': '', 'exit_code': 0, 'elapsed': 9, 'cpu': 1, 'host': 'n1'}}
    several.cancel([('7;there', 1), ('7;there', 2), ('7', 0), ('8;there', 0)], {'7;there': 3, '7': 1, '8;there': 1})
    assert sorted(line for line in (tmp_path / 'asked').read_text().splitlines() if line.startswith('scancel')) == [
        'scancel here: 7', 'scancel there: 8']
    assert several.task_name(('7;there', 1)) == '7_1;there' and several.task_name(('7;there', 0)) == '7;there'


@pytest.mark.parametrize('extra', [
    '-M there', '-Mthere', '--clusters=nosuch --cluster there', '--clusters here,there'])
def test_a_submission_is_looked_for_on_the_clusters_that_it_may_be_on(several, extra):
    assert several.extra_fault({'extra': extra}) == ''
    assert several.find_submission('a.3.0a1b2c3d', {'extra': extra}) == '7;there'
    assert several.find('a.3.0a1b2c3d') == ''
    of_profile = load_backend('slurm', {'extra': extra})
    assert of_profile.find('a.3.0a1b2c3d') == '7;there'


def test_what_a_job_calls_itself_is_asked_for_on_every_cluster_of_the_execution(several):
    assert sorted(several.claimed_ids('7', {'1;there', '2;there', '3'})) == ['7', '7;there']
    assert several.claimed_ids('7', set()) == several.claimed_ids('7', {'3'}) == ['7']


# ---- submission: the answers

@pytest.mark.parametrize('name, id', [
    ('sbatch ok', '1'), ('sbatch cluster', '2;qmap'), ('sbatch words', '3'), ('sbatch words cluster', '4;qmap')])
def test_ids_as_sbatch_prints_them(name, id):
    assert Slurm.parse_submission(answer(name)) == ('ok', id)


@pytest.mark.parametrize('printed, id', [
    ('1507;', '1507'), ('\x1b[32mSubmitted batch job 44\x1b[0m\n', '44'), ('\x1b[1m41\x1b[m\n', '41'),
    ('Welcome to the Stampede3\n\n---> 7 jobs queued\n75168975;stampede\n', '75168975;stampede'),
    ('No partition specified, using default 1\n2024\tnews\n77\n', '77'),
    ('\n  --> ok\nSubmitted batch job 44 on cluster x\n12 hours left\n', '44;x'),
    ('sbatch: 3 nodes are free\nSubmitted batch job 3\n', '3'),
    ('2024\n77\n', ''), ('Welcome to the Stampede3\n', ''), ('', ''), ('Submitted batch job \n', '')])
def test_ids_in_what_sites_print_around_them(printed, id):
    assert Slurm.parse_id(printed) == id


def test_success_without_a_clear_id_is_looked_up():
    assert Slurm.parse_submission(Answer(0, 'queued, thank you\n'))[0] == 'silent'
    assert Slurm.parse_submission(Answer(0, '1\n2\n'))[0] == 'silent'


@pytest.mark.parametrize('name, words', [
    ('sbatch partition', 'nosuch'), ('sbatch account', 'Invalid account'), ('sbatch qos', 'Invalid qos'),
    ('sbatch memory', 'Memory specification'), ('sbatch mem and mem-per-cpu', 'mutually exclusive'),
    ('sbatch gres', 'gres'), ('sbatch feature', 'Invalid feature'), ('sbatch time', 'Invalid --time'),
    ('sbatch option', '--nosuchopt'), ('sbatch unavailable', 'Invalid node name')])
def test_what_slurm_will_never_take_is_refused_in_its_own_words(name, words):
    word, said = Slurm.parse_submission(answer(name))
    assert word == 'refused'
    assert words in said and 'sbatch: error' not in said


@pytest.mark.parametrize('name', ['sbatch tiny', 'sbatch full', 'sbatch down', 'sbatch munged down'])
def test_limits_and_passing_troubles_are_busy(name):
    assert Slurm.parse_submission(answer(name))[0] == 'busy'


@pytest.mark.parametrize('name', ['sbatch tiny array', 'sbatch array'])
def test_an_array_that_is_too_large_is_busy(name):
    assert Slurm.parse_submission(answer(name), 1001)[0] == 'busy'


def test_equal_words_are_said_once():
    said = Answer(1, '', 'sbatch: error: Unable to establish control machine address\n' * 11
                  + 'sbatch: error: Batch job submission failed: No error\n')
    assert Slurm.parse_submission(said) == (
        'busy', 'Unable to establish control machine address; Batch job submission failed: No error')


def test_a_script_that_cannot_be_read_now_is_no_refusal():
    assert Slurm.parse_submission(answer('sbatch no file'))[0] == 'busy'
    assert Slurm.parse_submission(answer('sbatch not a script'))[0] == 'unclear'


def test_a_script_that_is_too_long_is_an_array_that_is_too_large():
    said = Answer(1, '', 'sbatch: error: Batch job submission failed: Pathname of a file, directory or other parameter '
                         'too long\n')
    assert Slurm.parse_submission(said, 60000)[0] == 'busy'
    assert Slurm.parse_submission(said, 1)[0] == 'refused'


def test_the_limit_is_named():
    assert 'QOSMaxSubmitJobPerUserLimit' in Slurm.parse_submission(answer('sbatch tiny'))[1]


@pytest.mark.parametrize('name', ['sbatch stuck', 'sbatch controller killed', 'sbatch full killed'])
def test_a_lost_reply_is_silent(name):
    assert Slurm.parse_submission(answer(name))[0] == 'silent'


@pytest.mark.parametrize('word, code, said', [
    ('busy', 1, 'AssocMaxSubmitJobLimit\nsbatch: error: Job violates accounting/QOS policy'),
    ('busy', 1, 'Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user\'s size)'),
    ('refused', 1, 'QOSMaxWallDurationPerJobLimit\nsbatch: error: Job violates accounting/QOS policy'),
    ('busy', 1, 'Batch job submission failed: Required partition not available (inactive or drain)'),
    ('busy', 1, 'Batch job submission failed: Rate limit exceeded, please retry later'),
    ('silent', 1, 'Batch job submission failed: Zero Bytes were transmitted or received'),
    ('silent', 1, 'Batch job submission failed: Unable to contact slurm controller (receive failure)'),
    ('silent', 1, 'Batch job submission failed: Unable to contact slurm controller (send failure)'),
    ('busy', 255, 'Slurm job queue full, sleeping and retrying'),    # 26.05
    ('unclear', 1, 'Please name a project'),
    # A plugin of the site says something before Slurm's own words.
    ('unclear', 1, 'You must specify an account (-A). Please correct your job script and try again.\n'
                   'sbatch: error: Batch job submission failed: Unspecified error'),
    ('unclear', 1, 'Communication with the licence server was not possible\n'
                   'sbatch: error: Batch job submission failed: Lua function execution failed'),
    ('refused', 1, 'The cluster is shutting down at 08:00, ask for less\n'
                   'sbatch: error: Batch job submission failed: Requested node configuration is not available'),
    ('busy', 1, 'Batch job submission failed: Invalid job credential'),
    ('busy', 1, 'Batch job submission failed: Protocol authentication error'),
    ('busy', 1, 'Batch job submission failed: Authentication credential expired'),
    ('busy', 1, 'Batch job submission failed: Incompatible versions of client and server code'),
    ('busy', 1, 'Batch job submission failed: Invalid user id'),
    ('busy', 1, 'Batch job submission failed: Unable to resolve user ID'),
    ('busy', 1, 'Batch job submission failed: Unable to connect to database'),
    ('busy', 1, 'Batch job submission failed: Required node not available (down, drained or reserved)'),
    ('busy', 1, 'Batch job submission failed: Requested reservation not usable now'),
    ('busy', 1, 'Batch job submission failed: Slurm internal error'),
    ('busy', 1, "Batch job submission failed: Can't find an address, check slurm.conf"),
    ('busy', 1, 'Parse error in file /etc/slurm/slurm.conf line 3: "NodName=n1"\n'
                'sbatch: fatal: Unable to process configuration file'),
    ('silent', 1, 'Batch job submission failed: Kernel reported delayed socket error after successful write()'),
    ('unclear', 1, 'Batch job submission failed: Unspecified error')])
def test_other_words_of_sbatch(word, code, said):
    assert Slurm.parse_submission(Answer(code, '', 'sbatch: error: {}\n'.format(said)), 5)[0] == word


@pytest.mark.parametrize('code', [-9, 137, 1])
def test_killed_before_it_said_anything_is_silent(code):
    assert Slurm.parse_submission(Answer(code))[0] == 'silent'


def test_an_id_from_a_wrapper_that_failed_afterwards_is_looked_up():
    assert Slurm.parse_submission(Answer(1, '77\n', 'cannot write my log'))[0] == 'silent'


def test_a_site_that_wants_memory_per_cpu_is_met_with_advice():
    said = Answer(1, '', 'sbatch: error: Use --mem-per-cpu\n'
                         'sbatch: error: Batch job submission failed: Unspecified error\n')
    word, words = Slurm.parse_submission(said, 1, {'memory': 8 * G, 'cores': 4})
    assert word == 'unclear'
    assert '`--mem-per-cpu=2048M` into `extra`' in words


def test_no_sbatch_at_all_submits_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert load_backend('slurm').submit('/s', 'n', 1, {}, '/o')[0] == 'busy'


def seen_by_sbatch(monkeypatch, tmp_path, **variables):
    """Return the lines of `env` as sbatch sees it, where these variables are set."""
    command(tmp_path, monkeypatch, 'sbatch', 'env >{}/seen; echo 7\n'.format(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load_backend('slurm').submit('/s', 'n', 1, {}, '/o') == ('ok', '7')
    return set((tmp_path / 'seen').read_text().splitlines())


def test_a_submission_keeps_the_wishes_of_the_user_and_drops_the_job_around_it(monkeypatch, tmp_path):
    kept = dict(LC_ALL='ca_ES.UTF-8', SBATCH_ACCOUNT='mine', SBATCH_PARTITION='other', SBATCH_QOS='low',
                SBATCH_TIMELIMIT='5', SBATCH_WAIT4SWITCH='1', SLURM_CONF='/etc/x', SLURM_PARTITION='for-srun',
                SALLOC_QOS='low', LS_COLORS='di=34', LSB_DEFAULT_USERGROUP='team1')
    dropped = dict(SLURM_ARRAY_TASK_ID='3', SLURM_JOB_PARTITION='outer', SLURM_MEM_PER_CPU='1', SRUN_DEBUG='3',
                   SBATCH_MEM_BIND_TYPE='none', SBATCH_WAIT='1', SBATCH_ARRAY_INX='0-5', SBATCH_DEBUG='1',
                   SBATCH_ERROR='/e', SQUEUE_FORMAT='%i', SACCT_FORMAT='JobID', SCANCEL_INTERACTIVE='1')
    seen = seen_by_sbatch(monkeypatch, tmp_path, **dict(kept, **dropped))
    assert seen >= {'{}={}'.format(*item) for item in kept.items()}
    assert not {line.partition('=')[0] for line in seen} & set(dropped)


def test_a_cluster_that_only_sbatch_would_hear_of_is_asked_too(monkeypatch, tmp_path):
    seen = seen_by_sbatch(monkeypatch, tmp_path, SBATCH_CLUSTERS='there')
    assert 'SLURM_CLUSTERS=there' in seen and 'SBATCH_CLUSTERS=there' not in seen
    command(tmp_path, monkeypatch, 'squeue', 'echo "$SLURM_CLUSTERS" >{}/asked\n'.format(tmp_path))
    assert load_backend('slurm').poll(['1']) == {}
    assert (tmp_path / 'asked').read_text() == 'there\n'


# ---- following

def test_every_state_of_the_table_is_a_status_of_qmap():
    for status, reason in Slurm.STATES.values():
        assert status in ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'OTHER')
        assert bool(reason) == (status == 'FAILED')


@pytest.mark.parametrize('word, expected', [
    ('OUT_OF_ME+', ('FAILED', 'memory')), ('OUT_OF_MEMORY', ('FAILED', 'memory')),
    ('CANCELLED+', ('FAILED', 'cancelled')), ('CANCELLED by 1000', ('FAILED', 'cancelled')),
    ('NODE_FAIL', ('FAILED', 'node')), ('PREEMPTED', ('FAILED', 'preempted')), ('TIMEOUT', ('FAILED', 'time')),
    ('SUSPENDED', ('RUNNING', '')), ('REQUEUED', ('PENDING', '')), ('EXPEDITING', ('PENDING', '')),
    ('REVOKED', ('RUNNING', '')),    # its twin has begun elsewhere
    ('COMPLETING', ('RUNNING', '')), ('SOMETHING_NEW', ('OTHER', '')), ('', ('OTHER', '')), ('NEWER+', ('OTHER', ''))])
def test_states(word, expected):
    assert Slurm.read_state(word) == expected


def polled(name):
    found = load_backend('slurm').parse_poll(text(name))
    return lambda job, index=0: found.get((JOBS[job], index))


def test_jobs_in_all_states_at_once():
    job = polled('squeue states')
    assert job('ok') == ('RUNNING', '', '')
    assert job('susp') == ('RUNNING', '', 'SUSPENDED')
    assert job('cancelrun') == ('RUNNING', '', Slurm.unended)
    assert job('nodir') == ('COMPLETED', '', '')
    assert job('exit3') == ('FAILED', 'exit', 'FAILED (NonZeroExitCode)')
    assert job('kill') == ('FAILED', '', 'FAILED (JobLaunchFailure)')
    assert job('oom')[:2] == ('FAILED', 'memory')
    assert job('cancelpend')[:2] == ('FAILED', 'cancelled')
    assert job('array', 3)[0] == 'COMPLETED' and job('array', 4)[0] == 'FAILED'
    assert job('array', 20)[0] == 'PENDING' and job('array', 11) is None
    assert job('big', 196)[0] == 'PENDING' and job('big', 195) is None


@pytest.mark.parametrize('job, reason, words', [
    ('closed', 'PartitionDown', 'closed'), ('long', 'PartitionTimeLimit', 'more time than the partition allows'),
    ('nodes', 'PartitionNodeLimit', 'more nodes'), ('held', 'JobHeldUser', 'held'),
    ('dep', 'Dependency', 'another job'), ('never', 'DependencyNeverSatisfied', 'never start'),
    ('begin', 'BeginTime', 'begin time')])
def test_pending_jobs_say_why_and_what_it_means(job, reason, words):
    status, _, said = polled('squeue states')(job)
    assert status == 'PENDING' and said.startswith(reason + ': ') and words in said


def test_the_time_limit_of_a_partition_in_plain_words():
    meaning = load_backend('slurm').meaning('PartitionTimeLimit')
    assert meaning == 'requests more time than the partition allows: it will never start'


@pytest.mark.parametrize('reason, words', [
    ('ReqNodeNotAvail, UnavailableNodes:n4', 'reserved, drained or down'), ('(Resources)', 'free nodes'),
    ('Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions', 'down'),
    ('launch failed requeued held', 'scontrol release'),
    ('user env retrieval failed requeued held', '--export or --get-user-env'),    # 25.05
    ('QOSMaxJobsPerUserLimit', 'limit of running jobs'), ('AssocMaxJobsLimit', 'limit of running jobs'),
    ('AssocMaxWallDurationPerJobLimit', 'never start'), ('QOSMaxCpuMinutesPerJobLimit', 'never start'),
    ('QOSMaxMemoryPerNode', 'never start'), ('QOSMinCpuNotSatisfied', 'requests less'),
    ('AssocGrpCPUMinutesLimit', 'used up'), ('AssocGrpCPURunMinutesLimit', 'waits for other jobs'),
    ('QOSMaxCpuPerUserLimit', 'waits for other jobs'), ('MaxMemPerLimit', 'more memory')])
def test_reasons_of_limits_and_with_tails(reason, words):
    assert words in load_backend('slurm').meaning(reason)


@pytest.mark.parametrize('reason', [
    'NvidiaImexChannels', 'SchedDefer', 'InactiveLimit', 'AccountingPolicy', 'FedJobLock', 'ReservationInvalid',
    'MpiPortsBusy', 'InvalidReason'])
def test_reasons_of_new_releases_have_a_meaning(reason):
    assert load_backend('slurm').meaning(reason)


def test_a_reason_that_is_not_known_is_shown_as_it_is():
    line = Slurm.SEPARATOR.join(('7', 'N/A', 'PENDING', 'SomethingNew'))
    assert load_backend('slurm').parse_poll(line) == {('7', 0): ('PENDING', '', 'SomethingNew')}


def test_what_nobody_knows_is_noted_once_and_is_no_reason(monkeypatch, tmp_path):
    backend = load_backend('slurm')
    rows = [('7', 'PENDING', 'SomethingNew'), ('8', 'PENDING', 'SomethingNew'), ('9', 'FAILED', 'NewEnd'),
            ('10', 'BRAND_NEW', 'None'), ('11', 'PENDING', 'Resources'), ('12', 'FAILED', 'NonZeroExitCode'),
            ('13', 'PENDING', 'waits for a block of 4 nodes'), ('14', 'PENDING', 'JobLaunchFailure')]
    found = backend.parse_poll('\n'.join(Slurm.SEPARATOR.join((id, 'N/A', word, why)) for id, word, why in rows))
    assert found['9', 0] == ('FAILED', '', 'FAILED (NewEnd)') and found['10', 0] == ('OTHER', '', 'BRAND_NEW')
    assert found['13', 0][2] == 'waits for a block of 4 nodes'
    backend.note_answer(Answer(1, '', 'slurm_load_jobs error: Job 17 has lost its hat'))
    backend.note_answer(Answer(1, '', 'slurm_load_jobs error: Job 18 has lost its hat'))
    backend.note_answer(Answer(1, '', 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)'))
    backend.note_answer(Answer(None, '', 'squeue: no answer within 60 s'))
    line = Slurm.SEPARATOR.join(('7', 'ODD', '0:0', '2026-01-01T00:00:00', '00:00:01', '00:00:01', '', 'n1', 'x',
                                 str(os.getuid()), '7'))
    command(tmp_path, monkeypatch, 'sacct', "echo '{}'\n".format(line))
    assert backend.accounts([('7', 0)])['7', 0]['reason'] == ''
    for script in ('echo thank you', 'echo "sbatch: error: strange\twörds" >&2; exit 1',
                   'echo "sbatch: error: Invalid qos specification" >&2; exit 1', 'echo 9'):
        command(tmp_path, monkeypatch, 'sbatch', script + '\n')
        backend.submit('/s', 'n', 1, {}, '/o')
    assert backend.unknown == [
        'reason: SomethingNew', 'end: NewEnd', 'state: BRAND_NEW',
        'answer: slurm_load_jobs error: Job 17 has lost its hat', 'state: ODD',
        'answer to a submission: thank you', 'answer to a submission: sbatch: error: strange w rds']
    for number in range(100):
        backend.note_unknown('state', 'x' * (number + 1))
    assert len(backend.unknown) == 20


@pytest.mark.parametrize('name, command, ours', [
    ('map.7.0123abcd', '/x/map.logs/.qmap/batch/7', True),
    ('map.7.0123abcd-prod', '/x/map.logs/.qmap/batch/7', True),
    ('align', '/mnt/x/map.logs/.qmap/batch/7', True),    # renamed; and seen from another host
    ('align', "'/x/map.logs/.qmap/batch/7'", True),
    ('align', '/x/other.logs/.qmap/batch/7', False), ('align', '/x/map.logs/.qmap/batch/7.sh', False),
    ('align', '', False), ('align', '(null)', False),
    ('map.7.ffffffff', '/x/map.logs/.qmap/batch/7', False), ('a\nmap\x1f', '/x/map.logs/.qmap/batch/7', False)])
def test_whose_job_it_is_that_has_an_id_of_ours(name, command, ours):
    backend = load_backend('slurm')
    backend.token, backend.folder = '0123abcd', '/map.logs/.qmap/batch/'
    line = Slurm.SEPARATOR.join(('7', 'N/A', 'RUNNING', 'None', name, command))
    assert backend.parse_poll(line) == ({('7', 0): ('RUNNING', '', '')} if ours else {})


def test_a_submission_is_found_whatever_a_site_makes_of_its_name():
    lines = [('5', 'map.1.0123abcd-prod', '/x/map.logs/.qmap/batch/1'), ('6', 'align', '/x/map.logs/.qmap/batch/11'),
             ('7', 'align', '/x/map.logs/.qmap/batch/1'), ('8', 'map.11.0123abcd', '')]
    text = '\n'.join(Slurm.SEPARATOR.join((id, 'PENDING', 'None', name, path)) for id, name, path in lines)
    assert Slurm.parse_find(text, 'map.1.0123abcd', '/map.logs/.qmap/batch/') == '5'
    assert Slurm.parse_find(text, 'map.11.0123abcd', '/map.logs/.qmap/batch/') == '6'
    assert Slurm.parse_find(text.partition('\n')[2], 'map.1.0123abcd', '/map.logs/.qmap/batch/') == '7'
    assert Slurm.parse_find(text, 'map.2.0123abcd', '/map.logs/.qmap/batch/') == ''


@pytest.mark.parametrize('name, user, expected', [
    ('map.1.0123abcd', '', {'reason': 'memory'}), ('map.1.0123abcd-prod', '', {'reason': 'memory'}),
    ('align', '', {'reason': 'memory', 'only': '9'}), ('align', '1', None), ('map.1.ffffffff', '', None),
    ('a\nmap\x1f.1.0123abcd', '', None)])
def test_accounts_of_a_job_with_another_name_count_for_the_task_that_says_so_itself(name, user, expected):
    line = Slurm.SEPARATOR.join((
        '7_2', 'OUT_OF_MEMORY', '0:125', '2026-01-01T00:00:00', '00:00:01', '00:00:01', '', 'n1', name,
        user or str(os.getuid()), '9'))
    step = line.replace('7_2', '7_2.batch').replace(name, 'batch')
    found = slurm.parse_accounts(line + '\n' + step, '0123abcd').get(('7', 2))
    assert (found and {key: found[key] for key in expected or found}) == expected
    assert not found or found.get('only') == (expected or {}).get('only')


def test_a_job_that_waits_for_no_known_reason_has_no_words():
    line = Slurm.SEPARATOR.join(('7', 'N/A', 'PENDING', 'None'))
    assert load_backend('slurm').parse_poll(line) == {('7', 0): ('PENDING', '', '')}


def test_a_deadline_is_told_from_a_time_limit():
    line = Slurm.SEPARATOR.join(('7', 'N/A', 'DEADLINE', 'DeadLine'))
    status, reason, words = load_backend('slurm').parse_poll(line)['7', 0]
    assert (status, reason) == ('FAILED', 'time') and '--deadline' in words


def test_tasks_cancelled_before_they_started_may_be_one_record():
    line = Slurm.SEPARATOR.join(('27', 'N/A', 'CANCELLED', 'JobArrayTaskLimit'))
    assert load_backend('slurm').parse_poll(line)['27', 0][:2] == ('FAILED', 'cancelled')


@pytest.mark.parametrize('words, expected', [
    ('2-200:2', range(2, 201, 2)), ('5-6,8-20%4', [5, 6] + list(range(8, 21))), ('7', [7]), ('N/A', [0])])
def test_tasks_that_wait_share_a_line(words, expected):
    found = load_backend('slurm').parse_poll(Slurm.SEPARATOR.join(('27', words, 'PENDING', 'Priority')))
    assert [k for _, k in found] == list(expected)


def test_a_list_of_tasks_that_is_cut_is_asked_again_one_by_one(monkeypatch, tmp_path):
    command(tmp_path, monkeypatch, 'squeue',
            'if [[ " $* " = *" -r "* ]]; then\n{}fi\n{}'.format(squeue('squeue each'), squeue('squeue cut')))
    assert load_backend('slurm').poll([JOBS['irregular']]) == load_backend('slurm').parse_poll(text('squeue whole'))
    assert len(load_backend('slurm').parse_poll(text('squeue whole'))) == 90


def test_why_squeue_is_not_asked_for_a_line_each():
    whole, each = (load_backend('slurm').parse_poll(text('squeue every second' + more)) for more in ('', ' -r'))
    assert set(whole) - set(each) == {(JOBS['every2'], 200)}


def test_rows_of_accounts_that_are_cut_tell_what_is_left_and_nothing_wrong():
    whole, cut = (slurm.parse_accounts(text('sacct ' + name)) for name in ('whole', 'cut'))
    assert len(whole) == 90 and 10 < len(cut) < 90 and set(cut) < set(whole)


def test_a_heading_of_the_cluster_is_no_job():
    assert list(load_backend('slurm').parse_poll('CLUSTER: qmap\n' + text('squeue cluster'))) == [(JOBS['exit3'], 0)]


def squeue(name):
    """A squeue that says what was recorded, and writes down how it was asked."""
    said = ANSWERS[name]
    return 'echo "$*" >>"${{0%/*}}/asked"\nprintf %s {}\nprintf %s {} >&2\nexit {}\n'.format(
        shlex.quote('\n'.join(said['out'])), shlex.quote('\n'.join(said['err'])), said['code'])


@pytest.mark.parametrize('name, ids, expected', [
    ('squeue one gone', ['99999'], {}), ('squeue two gone', ['99998', '99999'], {}),
    ('squeue down', ['1', '2'], None), ('squeue stuck', ['1'], None), ('squeue munged down', ['1'], None)])
def test_ids_that_are_gone_are_no_silence_and_silence_is_not_gone(monkeypatch, tmp_path, name, ids, expected):
    command(tmp_path, monkeypatch, 'squeue', squeue(name))
    assert load_backend('slurm').poll(ids) == expected


def test_a_release_that_fails_for_one_unknown_id_among_many_loses_nothing(monkeypatch, tmp_path):
    command(tmp_path, monkeypatch, 'squeue', 'ids=,${!#},\n'
            'if [[ $ids = *,13,* ]]; then echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; fi\n'
            "for id in ${ids//,/ }; do printf '%s\\x1fN/A\\x1fRUNNING\\x1fNone\\n' $id; done\n")
    found = load_backend('slurm').poll([str(number) for number in range(10, 20)])
    assert sorted(int(id) for id, _ in found) == [10, 11, 12, 14, 15, 16, 17, 18, 19]


def test_a_thousand_ids_are_asked_in_two_questions_and_none_in_no_question(monkeypatch, tmp_path):
    command(tmp_path, monkeypatch, 'squeue', squeue('squeue two gone'))
    backend = load_backend('slurm')
    assert backend.poll([]) == {}
    assert not (tmp_path / 'bin' / 'asked').exists()
    assert backend.poll([str(number) for number in range(1000)]) == {}
    assert len((tmp_path / 'bin' / 'asked').read_text().splitlines()) == 2


# ---- accounts

def account(job, index=0):
    return slurm.parse_accounts(text('sacct ended'))[JOBS[job], index]


def test_accounts_tell_how_jobs_ended():
    assert (account('ok')['status'], account('ok')['exit_code'], account('ok')['words']) == ('COMPLETED', 0, '')
    assert (account('exit3')['reason'], account('exit3')['exit_code']) == ('exit', 3)
    assert (account('kill')['reason'], account('kill')['signal']) == ('signal', 9)
    assert (account('segv')['reason'], account('segv')['signal']) == ('signal', 11)
    assert 'exit_code' not in account('kill')
    assert account('127')['exit_code'] == 127
    assert account('oom')['reason'] == 'memory' and 'signal' not in account('oom')
    assert account('cancelrun')['reason'] == 'cancelled' and account('cancelrun')['words'] == 'CANCELLED by 0'
    assert account('cancelpend')['reason'] == 'cancelled' and 'host' not in account('cancelpend')
    assert account('noout')['reason'] == 'node' and 'output folder' in account('noout')['words']


def test_exit_codes_over_128_lose_128_as_sacct_has_it():
    assert account('137')['exit_code'] == 9 and account('137')['reason'] == 'exit'


@pytest.mark.parametrize('exits, expected', [
    ('137:0', ('signal', 137, 9)), ('143:0', ('signal', 143, 15)), ('0:9', ('signal', None, 9)),
    ('255:0', ('exit', 255, None)), ('128:0', ('exit', 128, None))])
def test_exit_codes_over_128_of_new_releases_are_those_of_signals(exits, expected):
    line = Slurm.SEPARATOR.join(('7', 'FAILED', exits, '2026-01-01T00:00:00', '00:00:01', '00:00:01', '', 'n1', 'x',
                                 str(os.getuid()), '7'))
    job = slurm.parse_accounts(line)['7', 0]
    assert (job['reason'], job.get('exit_code'), job.get('signal')) == expected


def test_usage_is_that_of_the_job_and_its_largest_step():
    job = account('steps')
    assert job['memory'] == 130496 * 1024
    assert job['elapsed'] == 6 and job['cpu'] == 0.142 and job['host'] == 'q1'
    assert account('ok')['memory'] == 161244 * 1024


def test_the_memory_of_a_step_is_that_of_all_its_processes():
    # https://github.com/troycomi/reportseff/issues/41: seff says 14.86 GB
    ended = ['COMPLETED', '0:0', '2026-11-01T10:00:00', '00:10:00']
    rows = [['8'] + ended + ['10:00', '', 'n[1-2]', 'x.1.t', '0', '8', ''],
            ['8.batch'] + ended + ['00:01', '9000K', 'n1', 'batch', '', '', '1'],
            ['8.0'] + ended + ['09:59', '1947276K', 'n[1-2]', 'a', '', '', '8']]
    found = slurm.parse_accounts('\n'.join(Slurm.SEPARATOR.join(row) for row in rows), 't')
    assert found['8', 0]['memory'] == 15952084992 and found['8', 0]['cpu'] == 600 and found['8', 0]['steps']


def test_memory_that_was_never_sampled_is_not_there():
    assert 'memory' not in account('noout')


def test_tasks_that_never_started_share_a_row_and_those_that_did_keep_their_own():
    assert account('array', 20) == {'status': 'FAILED', 'reason': 'cancelled', 'words': 'CANCELLED by 0'}
    assert account('array', 16)['host'] == 'q1'
    assert account('big', 100)['reason'] == 'cancelled'
    assert (JOBS['big'], 101) not in slurm.parse_accounts(text('sacct ended'))


def test_what_has_not_ended_is_not_there():
    found = slurm.parse_accounts(text('sacct ended'))
    assert (JOBS['held'], 0) not in found and (JOBS['array'], 11) not in found
    row = Slurm.SEPARATOR.join(('7', '{}', '0:0', '{}', '00:00:02', '00:00.001', '', 'n1'))
    assert slurm.parse_accounts(row.format('RUNNING', 'Unknown')) == {}
    assert slurm.parse_accounts(row.format('REQUEUED', '2026-11-22T09:03:09')) == {}


def test_a_record_without_an_end_is_not_believed():
    assert text('sacct half').split(Slurm.SEPARATOR)[:2] == [JOBS['half'], 'FAILED']
    assert slurm.parse_accounts(text('sacct half')) == {}


def test_accounts_ask_only_for_fields_that_every_release_has():
    words = slurm.accounts_argv(['1'], 0)
    asked = [word for word in words if word.startswith('--format=')][0][len('--format='):].split(',')
    assert set(asked) <= {
        'JobID', 'State', 'ExitCode', 'End', 'Elapsed', 'TotalCPU', 'MaxRSS', 'NodeList', 'JobName', 'UID', 'JobIDRaw',
        'NTasks'}
    assert '-j' in words and '-S' in words


@pytest.mark.parametrize('words, expected', [
    ('[5-6,8-9,13-20%4]', [5, 6, 8, 9] + list(range(13, 21))), ('[1-199:3]', list(range(1, 200, 3))), ('[7]', [7]),
    ('[1-2,4-5,7-8,10-11,13-14,16-', [1, 2, 4, 5, 7, 8, 10, 11, 13, 14]), ('[1-2,...]', [1, 2])])
def test_lists_of_indices_whole_and_cut(words, expected):
    assert Slurm.read_indices(words) == expected


@pytest.mark.parametrize('words, expected', [
    ('00:00:02', 2), ('1-02:03:04', 93784), ('00:00.178', 0.178), ('02:03.500', 123.5), ('INVALID', None), ('', None)])
def test_times(words, expected):
    assert read_clock(words) == expected


@pytest.mark.parametrize('words, expected', [
    ('3188K', 3188 * 1024), ('1.50G', 3 * G // 2), ('0', 0), ('4096', 4096), ('', None), ('?', None)])
def test_sizes(words, expected):
    assert read_size(words) == expected


@pytest.mark.parametrize('name, expected', [('sacct disabled', {}), ('sacct down', None), ('sacct gone', {})])
def test_no_accounts_and_no_answer_are_told_apart(monkeypatch, tmp_path, name, expected):
    command(tmp_path, monkeypatch, 'sacct', squeue(name))
    assert load_backend('slurm').accounts([('99999', 0)]) == expected


def test_a_machine_without_sacct_has_no_accounts(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert load_backend('slurm').accounts([('1', 0)]) == {}


def test_accounts_are_not_older_than_the_execution(monkeypatch, tmp_path):
    command(tmp_path, monkeypatch, 'sacct', squeue('sacct ended'))
    backend = load_backend('slurm')
    backend.since = 86400 * 365
    assert list(backend.accounts([(JOBS['exit3'], 0)])) == [(JOBS['exit3'], 0)]
    assert '-S 1970-12-3' in (tmp_path / 'bin' / 'asked').read_text()


# ---- find, cancel, limits, usage, run

def test_a_lost_submission_is_found_by_its_name():
    assert Slurm.parse_find(text('squeue found')) == Slurm.parse_find(text('sacct found')) != ''
    assert Slurm.parse_find(text('squeue not found')) == ''


def test_the_record_of_a_refused_submission_is_not_found():
    line = Slurm.SEPARATOR.join(('5', 'FAILED', 'BadConstraints'))
    assert Slurm.parse_find(line) == ''
    assert Slurm.parse_find(line + '\n' + Slurm.SEPARATOR.join(('6', 'PENDING', 'Priority'))) == '6'


def test_a_name_is_surely_absent_only_when_the_queue_says_so(monkeypatch, tmp_path):
    command(tmp_path, monkeypatch, 'squeue', squeue('squeue down'))
    command(tmp_path, monkeypatch, 'sacct', squeue('sacct found'))
    assert load_backend('slurm').find('stuck') is None
    command(tmp_path, monkeypatch, 'squeue', squeue('squeue not found'))
    assert load_backend('slurm').find('stuck') == Slurm.parse_find(text('sacct found'))
    for name in ('sacct disabled', 'sacct down', 'sacct gone'):
        command(tmp_path, monkeypatch, 'sacct', squeue(name))
        assert load_backend('slurm').find('stuck') == ''


def test_a_submission_to_a_hidden_partition_is_found(monkeypatch, tmp_path):
    line = '\\x1f'.join(('7', 'PENDING', 'Priority', 'map.1.0123abcd', '/x'))
    command(tmp_path, monkeypatch, 'squeue', "[[ \" $* \" != *' -a '* ]] || printf '{}\\n'\n".format(line))
    assert load_backend('slurm').find('map.1.0123abcd') == '7'


def test_cancelling_names_whole_arrays_by_their_id_and_parts_as_ranges():
    tasks = [('41', 0), ('27', 1), ('27', 2), ('27', 3), ('28', 1), ('28', 2), ('28', 3), ('28', 7)]
    assert load_backend('slurm').task_words(tasks, {'41': 1, '27': 3, '28': 9}) == ['27', '28_[1-3,7]', '41']


def test_the_largest_array():
    assert Slurm.parse_limits(text('scontrol config')) == {'array': 1000, 'remembered': 300}
    assert Slurm.parse_limits('MaxArraySize            = 100001\n'
                              'SchedulerParameters     = bf_interval=5,max_array_tasks=500\n') == {'array': 500}
    assert Slurm.parse_limits('MaxArraySize            = 0\n') == {'array': 1}
    assert Slurm.parse_limits('') == {}


@pytest.mark.parametrize('release, plugin, params, by, caches', [
    ('24.11.5', 'autodetect', '(null)', 'cgroup', True), ('23.11.0', 'cgroup/v2', 'UsePss', 'cgroup', True),
    ('24.11.5', 'cgroup/v1', '(null)', 'cgroup', False), ('25.11.1', 'autodetect', 'no_file_cache', 'cgroup', False),
    ('23.02.7', 'autodetect', '(null)', 'cgroup', False), ('26.05.5', 'autodetect', '(null)', 'linux', False)])
def test_memory_that_may_be_that_of_caches_of_files_is_an_upper_bound(monkeypatch, tmp_path, release, plugin, params,
                                                                      by, caches):
    command(tmp_path, monkeypatch, 'scontrol', "echo '{}'\n".format('\n'.join('{:24}= {}'.format(*pair) for pair in (
        ('JobAcctGatherType', 'jobacct_gather/' + by), ('JobAcctGatherParams', params), ('SLURM_VERSION', release),
        ('CgroupPlugin', plugin)))))
    rows = [['9', 'COMPLETED', '0:0', '2026-11-30T10:00:00', '00:00:09', '00:01', '', 'n1', 'a.3.0a1b2c3d',
             str(os.getuid()), '9', ''], ['9.batch', 'COMPLETED', '0:0', '2026-11-30T10:00:00', '00:00:09', '00:01',
                                          '2048K', 'n1', 'batch', '', '9.batch', '1']]
    command(tmp_path, monkeypatch, 'sacct', "echo '{}'\n".format('\n'.join(map('\x1f'.join, rows))))
    backend = load_backend('slurm')
    backend.token = '0a1b2c3d'
    job = backend.accounts([('9', 0)])[('9', 0)]
    assert (job.get('memory'), job.get('memory_below')) == ((None, 2 << 20) if caches else (2 << 20, None))


@pytest.mark.parametrize('age, proves', [('300 sec', True), ('60 sec', False), ('', False)])
def test_what_is_not_listed_proves_something_where_ended_jobs_stay_listed(age, proves, monkeypatch, tmp_path):
    command(tmp_path, monkeypatch, 'scontrol', 'echo "MaxArraySize = 10"; echo "MinJobAge    = {}"'.format(age))
    command(tmp_path, monkeypatch, 'sacct', '')
    backend = load_backend('slurm')
    assert backend.proves_absence == proves and backend.limits()['array'] == 9
    backend.accounts([('1', 0)])    # a site that keeps accounts knows of what has begun
    assert backend.proves_absence


def test_the_exit_statuses_for_which_a_site_runs_jobs_again():
    lines = 'MaxArraySize = 11\nRequeueExit             = 3,10-12\nRequeueExitHold         = 4\n'
    assert Slurm.parse_limits(lines) == {'array': 10, 'requeues': [3, 10, 11, 12, 4]}
    assert 'requeues' not in Slurm.parse_limits('RequeueExit             = (null)\nRequeueExitHold         = (null)\n')


def test_retries_know_what_a_partition_allows(monkeypatch, tmp_path):
    lines = [('short*', '3:00:00', '64000'), ('short*', '3:00:00', '128000'), ('long', '7-00:00:00', '64000'),
             ('free', 'infinite', '64000')]
    backend = load_backend('slurm', {'[queues]': 'long = time>3h'})
    backend._partitions = slurm.parse_partitions('\n'.join(Slurm.SEPARATOR.join(line) for line in lines) + '\nodd\n')
    large, small = 128000 << 20, 64000 << 20
    assert backend.most({}) == {'time': 10800, 'memory': large}
    assert backend.most({'queue': 'long', 'nodes': 2}) == {'time': 604800, 'memory': 2 * small}
    assert backend.most({'queue': 'short,long'}) == {'time': 604800, 'memory': large}
    assert backend.most({'queue': 'short,free'}) == {'memory': large} and backend.most({'queue': 'other'}) == {}
    assert backend.most({'time': 20000}) == {'time': 604800, 'memory': small}    # the rules of the profile say where
    assert backend.most({'extra': '-p long'}) == {}


def test_limits_are_asked_once_and_again_after_an_array_was_refused(monkeypatch, tmp_path):
    command(tmp_path, monkeypatch, 'scontrol', squeue('scontrol down'))
    command(tmp_path, monkeypatch, 'sbatch', squeue('sbatch array'))
    backend = load_backend('slurm')
    assert backend.limits() == {'array': 1000}
    command(tmp_path, monkeypatch, 'scontrol', 'echo "MaxArraySize = 11"; echo >>"${0%/*}/times"')
    assert backend.limits() == backend.limits() == {'array': 10}
    assert (tmp_path / 'bin' / 'times').read_text() == '\n'
    assert backend.submit('/s', 'n', 500, {}, '/o')[0] == 'busy'
    backend.limits()
    assert (tmp_path / 'bin' / 'times').read_text() == '\n\n'


def test_usage_counts_each_node_once():
    assert slurm.parse_usage(text('sinfo'), text('squeue cpus')) == {'nodes': 4, 'used': 12.5, 'mine': 12.5}


def test_usage_without_what_is_down():
    lines = [('n1', 'mixed', '8/8/0/16'), ('n2', 'down*', '0/0/16/16'), ('n3', 'idle~', '0/16/0/16'),
             ('n4', 'drained', '0/0/16/16'), ('n5', 'idle*', '0/16/0/16')]
    found = slurm.parse_usage('\n'.join(Slurm.SEPARATOR.join(line) for line in lines), '4\n')
    assert found['nodes'] == 2 and round(found['used'], 1) == 16.7 and round(found['mine'], 1) == 8.3
    assert slurm.parse_usage('', '') is None


def test_run_in_a_terminal_and_without_one():
    words = slurm.interactive_argv({'cores': 2, 'queue': 'main'}, 'ls "$HOME"', True, True, True)
    assert words[0] == 'srun' and '--pty' in words and words[-4:] == ['bash', '-c', '--', 'ls "$HOME"']
    words = slurm.interactive_argv({}, 'ls', False, True, True)
    assert '--pty' not in words and '--unbuffered' in words and '--quit-on-interrupt' in words
    words = slurm.interactive_argv({'quiet': True}, 'ls', True, False, True)
    assert '--pty' not in words and '--unbuffered' not in words and '-Q' in words


@pytest.mark.parametrize('overlap', [True, False])
def test_run_on_several_nodes_runs_the_command_once_and_with_what_all_of_them_are(monkeypatch, tmp_path, overlap):
    command(tmp_path, monkeypatch, 'salloc', """while [ "$1" != bash ]; do echo "$1" >>{}/salloc; shift; done
        export SLURM_NTASKS=8 SLURM_NNODES=2 SLURM_JOB_NODELIST='a b'; exec "$@"\n""".format(tmp_path))
    command(tmp_path, monkeypatch, 'srun', """while [ "$1" != env ]; do echo "$1" >>{}/srun; shift; done
        export SLURM_NTASKS=1 SLURM_NPROCS=1 SLURM_NNODES=1 SLURM_STEP_ID=0; exec "$@"\n""".format(tmp_path))
    words = slurm.interactive_argv(
        {'nodes': 2, 'tasks': 8}, 'echo "$SLURM_NTASKS ${SLURM_NPROCS-} $SLURM_NNODES $SLURM_STEP_ID '
        '$SLURM_JOB_NODELIST"; exit 5', False, False, overlap)
    done = subprocess.run(words, stdout=subprocess.PIPE, universal_newlines=True)
    assert (done.returncode, done.stdout) == (5, '8  2 0 a b\n')
    assert {'--nodes=2', '--ntasks=8'} <= set((tmp_path / 'salloc').read_text().split())
    step = (tmp_path / 'srun').read_text().split()
    assert '--ntasks=1' in step and ('--overlap' in step) == overlap


@pytest.mark.parametrize('printed, version', [
    ('slurm 20.11.9', (20, 11)), ('slurm-wlm 22.05.8', (22, 5)), ('slurm 17.11.13-2', (17, 11)), ('', (0, 0))])
def test_versions(printed, version):
    assert slurm.parse_version(printed) == version


def test_names_of_tasks_for_people():
    backend = load_backend('slurm')
    assert backend.task_name(('123', 4)) == '123_4' and backend.task_name(('123', 0)) == '123'
