"""Profiles: where jobs run, and what they get."""

import os

import pytest

from qmap import Profile, load_backend


def submit(qmap, *args):
    qmap.write('a.map', 'true\n')
    return qmap('submit', 'a.map', '--dry-run', *args)


def test_the_first_line_says_which_profile_and_why(qmap):
    assert submit(qmap).lines[0] == 'profile: local (from QMAP_PROFILE)'
    assert submit(qmap, '-p', 'local').lines[0] == 'profile: local (from -p)'
    del qmap.environ['QMAP_PROFILE']
    qmap.environ['PATH'] = os.path.dirname(qmap.program[0]) + ':' + bin_without_schedulers(qmap)
    assert submit(qmap).lines[0] == 'profile: local (no scheduler found)'


@pytest.mark.parametrize('command, name', [('sbatch', 'slurm'), ('qsub', 'sge'), ('bsub', 'lsf'), ('', 'local')])
def test_a_profile_that_names_no_executor_has_the_scheduler_of_the_machine(qmap, command, name):
    qmap.write('site.conf', '[params]\nqueue = long\n')
    qmap.environ['PATH'] = os.path.dirname(qmap.program[0]) + ':' + bin_without_schedulers(qmap)
    if command:
        qmap.write('bin/' + command, '#!/bin/sh\nexit 1\n')
        os.chmod(qmap.path('bin', command), 0o755)
    found = 'found ' + command if command else 'no scheduler found'
    for given in ('site', './site.conf'):
        assert submit(qmap, '-p', given).lines[0] == 'profile: {} (executor {}; from -p; {})'.format(given, name, found)
    if not command:
        assert qmap('run', '-q', '-p', 'site', 'echo $QMAP_QUEUE').out == 'long\n'


def test_the_account_of_a_site_and_that_of_a_map_or_the_command_line(qmap):
    qmap.write('site.conf', 'executor = slurm\n[params]\naccount = lab\n')
    for text, more, wanted in (('true\n', [], 'lab'), ('true ## account=mine\n', [], 'mine'),
                               ('true\n', ['--set', 'account=ours', '--set', 'sample=S 1'], 'ours')):
        qmap.write('b.map', text)
        told = qmap('submit', 'b.map', '--dry-run', '-p', './site.conf', *more)
        assert '--account={} '.format(wanted) in told.out and 'QMAP_ACCOUNT=' + wanted in told.out
    assert "QMAP_SAMPLE='S 1'" in told.out


RULES = '[queues]\ngpu = gpus>=1\nshort = time <= 3h memory<=250G cores<16\nbigmem = memory>250G\n'


@pytest.mark.parametrize('params, wanted', [
    ({'memory': 2 << 30, 'time': 3600}, 'short'), ({'memory': 2 << 30, 'time': 3600, 'cores': 16}, ''),
    ({'memory': 2 << 30, 'time': 3 * 3600 + 1}, ''), ({'memory': 300 << 30, 'time': 1}, 'bigmem'),
    ({'time': 3600}, ''), ({'memory': 2 << 30}, ''), ({'memory': 300 << 30, 'gpus': 2}, 'gpu'), ({'gpus': 0}, ''),
    ({'gpus': 1, 'queue': 'mine'}, 'mine'), ({'gpus': 1, 'extra': '-Q -p mine'}, ''),
    ({'gpus': 1, 'extra': '-Q'}, 'gpu')])
def test_the_queue_is_that_of_the_first_rule_that_fits(qmap, params, wanted):
    qmap.write('site.conf', 'executor = slurm\n' + RULES)
    backend = load_backend('slurm', Profile(qmap.path('site.conf')).settings)
    assert backend.requested(params).get('queue', '') == wanted
    # Those of a job that is tried again with more are asked again.
    assert backend.requested(dict(params, queue='', gpus=0, memory=900 << 30)).get('queue') == (
        '' if ' -p ' in params.get('extra', '') else 'bigmem')


@pytest.mark.parametrize('executor, option', [('slurm', '-p'), ('sge', '-q'), ('lsf', '-q')])
def test_rules_for_queues_lead_every_scheduler_and_say_where_none_fits(qmap, executor, option):
    qmap.write('site.conf', 'executor = {}\n'.format(executor) + RULES)
    told = submit(qmap, '-p', './site.conf', '-m', '300G')
    assert ' {} bigmem '.format(option) in told.out and '    queue = bigmem\n' in told.out and 'no rule' not in told.err
    told = submit(qmap, '-p', './site.conf', '-t', '4h')
    assert ' {} '.format(option) not in told.out and told.err.count(
        'no rule of [queues] in the profile fits; no queue is requested') == 1
    qmap.write('site.conf', 'executor = {}\n'.format(executor) + RULES + 'long =\n')
    assert ' {} long '.format(option) in submit(qmap, '-p', './site.conf', '-t', '4h').out
    assert ' {} own '.format(option) in submit(qmap, '-p', './site.conf', '-t', '4h', '--set', 'queue=own').out


@pytest.mark.parametrize('rule, words', [
    ('short = tme<=3h', 'queue short: tme<=3h: must be a comparison of cores, gpus, memory, nodes, tasks, time'),
    ('short = time<=soon', 'queue short: time = soon: '), ('short = 3h', 'queue short: 3h: must be'),
    ('short', 'line 3: ')])
def test_a_rule_for_queues_that_cannot_be_read_is_an_error(qmap, rule, words):
    qmap.write('site.conf', 'executor = slurm\n[queues]\n' + rule + '\n')
    told = submit(qmap, '-p', './site.conf')
    assert told.code == 2 and words in told.err and './site.conf' in told.err


@pytest.mark.parametrize('executor', ['slurm', 'sge', 'lsf'])
def test_what_a_site_demands_stands_before_the_options_of_map_and_job(qmap, executor):
    words = '-A lab --comment=x'
    qmap.write('site.conf', 'executor = {}\n[params]\nextra = -A lab\n'.format(executor))
    for text in ('[params]\nextra = --comment=x\n[jobs]\ntrue\n', 'true ## extra=--comment=x\n'):
        qmap.write('b.map', text)
        out = qmap('submit', 'b.map', '--dry-run', '-p', 'site').out
        assert '    extra = {}\n'.format(words) in out and ' {}'.format(words) in out.partition('submission')[2]
        # It is the profile's, and not that of the execution: a rerun gets it from there.
        assert qmap('submit', 'b.map', '--dry-run', '-p', 'local').out.count('lab') == 0
    assert '    extra = -A lab\n' in submit(qmap, '-p', 'site').out


def test_a_relative_of_lsf_is_refused_before_anything_is_submitted(qmap):
    qmap.write('mine.conf', 'executor = lsf\n')
    qmap.environ['PATH'] = os.path.dirname(qmap.program[0]) + ':' + bin_without_schedulers(qmap)
    qmap.write('bin/lsid', '#!/bin/sh\necho OpenLava 4.0.0, May 10 2016\n')
    os.chmod(qmap.path('bin', 'lsid'), 0o755)
    qmap.write('a.map', 'true\n')
    result = qmap('submit', 'a.map', '-p', 'mine', '-l', 'out')
    assert result.code == 2 and not os.path.exists(qmap.path('out'))
    assert result.err == ('qmap: error: LSF: OpenLava 4.0.0 lacks options of bsub that QMap needs (-rn, -oo, -cwd); '
                          'IBM Spectrum LSF has them\n')


def bin_without_schedulers(qmap):
    os.mkdir(qmap.path('bin'))
    for name in ('bash', 'sh', 'sleep', 'cat', 'rm'):
        os.symlink('/bin/' + name, qmap.path('bin', name))
    return qmap.path('bin')


def test_a_file_in_the_format_of_qmap_04(qmap):
    qmap.write('mine.conf', "# mine\nexecutor = 'local'\nshow_usage = false\nmax_ungrouped = 5\n\n[params]\n"
                            "  cores = 2\n  extra = --comment \"a b\"\n[editable_params]\ncores = Cores\n")
    result = submit(qmap, '-p', 'mine')
    assert result.lines[0] == 'profile: mine (executor local; from -p)'
    assert 'cores = 2' in result.out and 'extra = --comment "a b"' in result.out
    assert submit(qmap, '-p', './mine.conf').code == 0
    qmap.write('b.map', 'true\n' * 6)
    result = qmap('submit', 'b.map', '-p', 'mine')
    assert result.code == 2 and '6 commands; profile' in result.err and '--group' in result.err
    assert qmap('submit', 'b.map', '-p', 'mine', '-g', '2', '--logs', 'out').code == 0


def test_default_conf_lies_below(qmap):
    qmap.write('default.conf', '[params]\nmemory = 1G\ncores = 1\n')
    qmap.write('mine.conf', 'executor = local\n[params]\ncores = 2\n')
    result = submit(qmap, '-p', 'mine')
    assert 'memory = 1G' in result.out and 'cores = 2' in result.out
    assert 'memory = 1G' in submit(qmap, '-p', 'local').out


def test_folders_in_their_order(qmap):
    os.mkdir(qmap.path('config'))
    os.mkdir(qmap.path('config', 'qmap'))
    qmap.environ['XDG_CONFIG_HOME'] = qmap.path('config')
    qmap.write('config/qmap/x.conf', 'executor = local\n[params]\ncores = 1\n')
    assert 'cores = 1' in submit(qmap, '-p', 'x').out
    qmap.write('x.conf', 'executor = local\n[params]\ncores = 2\n')
    assert 'cores = 2' in submit(qmap, '-p', 'x').out


@pytest.mark.parametrize('text, message', [
    ('executor = local\n[params]\nmemory = 3X\n', 'memory = 3X'),
    ('executor = torque\n', 'executor = torque: unknown executor; known: local, slurm, sge, lsf'),
    ('executor = local\nnonsense\n', 'mine.conf, line 2: neither'),
    ('executor = local\nmax_ungrouped = many\n', 'max_ungrouped = many'),
    ('executor = slurm\npoll = often\n', 'profile: poll = often: must be a positive integer'),
    ('executor = slurm\ngive_up = soon\n', 'profile: give_up = soon: '),
    ('executor = lsf\nmemory_per = box\n', 'profile: memory_per = box: must be one of'),
])
def test_what_is_wrong_is_said(qmap, text, message):
    qmap.write('mine.conf', text)
    result = submit(qmap, '-p', 'mine')
    assert result.code == 2 and message in result.err and result.err.count('\n') == 1


def test_unknown_settings_are_warned_about(qmap):
    qmap.write('mine.conf', 'executor = local\nmax_runing = 3\n[parms]\nx = 1\n')
    result = submit(qmap, '-p', 'mine')
    assert 'unknown setting max_runing (did you mean max_running?)' in result.err
    assert '[parms]: unknown section' in result.err


def test_max_running_of_the_profile(qmap):
    qmap.write('mine.conf', 'executor = local\nmax_running = 1\n')
    assert 'max running 1' in submit(qmap, '-p', 'mine').out


def test_marks_and_windows_line_ends_and_comments_behind_headers(qmap):
    qmap.write('mine.conf', b'\xef\xbb\xbfexecutor = local\r\n[params] # all jobs\r\ncores = 1\r\n'
                            b'queue = a\xc2\x85b\r\n')
    result = submit(qmap, '-p', 'mine')
    assert result.code == 0 and result.err == '' and 'cores = 1' in result.out and 'queue = a\x85b' in result.out


def test_what_stands_behind_a_header_is_not_lost(qmap):
    qmap.write('mine.conf', 'executor = local\n[params] memory = 1G\ncores = 1\n')
    result = submit(qmap, '-p', 'mine')
    assert result.code == 2 and 'mine.conf, line 2: [params] memory = 1G: text after a section header' in result.err


def test_groups_of_one_may_be_asked_for(qmap):
    qmap.write('mine.conf', 'executor = local\nmax_ungrouped = 1\n')
    qmap.write('b.map', 'false\nfalse\n')
    assert 'give --group N' in qmap('submit', 'b.map', '-p', 'mine', '-l', 'out').err
    result = qmap('submit', 'b.map', '-p', 'mine', '-g', '1', '--logs', 'out')
    assert result.code == 1
    assert [line for line in result.lines if line.startswith('to rerun')][0].endswith(' -p mine -g 1')
