"""What the parameter `extra` must not hold: it is refused before anything is submitted."""

import os

import pytest
from conftest import at_executor

from qmap import load_backend


def fault(scheduler, extra):
    return load_backend(scheduler).extra_fault({'extra': extra})


@pytest.mark.parametrize('scheduler, extra, option', [
    ('slurm', '-J align', '-J'), ('slurm', '--job-name=align', '--job-name=align'), ('slurm', '-p long -Jx', '-Jx'),
    ('slurm', '--job align', '--job'), ('slurm', '-a 0-4', '-a'), ('slurm', '--array=0-4', '--array=0-4'),
    ('slurm', '-M all', '-M'), ('slurm', '--clusters=all', '--clusters=all'), ('slurm', '-HQ', '-HQ'),
    ('slurm', '--wait', '--wait'), ('slurm', '--test-only', '--test-only'), ('slurm', '--wrap "true"', '--wrap'),
    ('sge', '-N align', '-N'), ('sge', '-t 1-4', '-t'), ('sge', '-sync y', '-sync'), ('sge', '-b yes', '-b'),
    ('sge', '-w v', '-w'), ('sge', '-verify', '-verify'), ('sge', '-clear', '-clear'),
    ('lsf', '-J align', '-J'), ('lsf', '-q long -K', '-K'), ('lsf', '-Is bash', '-Is')])
def test_options_that_take_a_submission_out_of_the_drivers_hands(scheduler, extra, option):
    assert fault(scheduler, extra).startswith('extra: {}: '.format(option))


@pytest.mark.parametrize('scheduler, extra, word', [
    ('slurm', '-A my project', 'project'), ('slurm', '--exclusive node', 'node'), ('slurm', 'long', 'long'),
    ('slurm', '--mem=4G more', 'more'), ('slurm', '-- other.sh', '--'), ('slurm', '-p long : -p short', ':'),
    ('slurm', '-', '-'), ('slurm', '--stepmgr x.sh', 'x.sh'), ('sge', '-h u', 'u'),
    ('sge', '-P my proj', 'proj'), ('sge', '-pe mpi 4 5', '5'), ('sge', '-cwd x', 'x'),
    ('lsf', '-P my proj', 'proj'), ('lsf', '-x long', 'long')])
def test_words_that_belong_to_no_option(scheduler, extra, word):
    assert fault(scheduler, extra).startswith('extra: {}: belongs to no option'.format(word))


@pytest.mark.parametrize('scheduler, extra', [
    ('slurm', '--account=a --gres gpu:1 -C "intel&ib"'), ('slurm', '-n4 -vv --exclusive -w n1'),
    ('slurm', '-i -'),
    ('slurm', '--nice=-5 --comment "two words"'), ('slurm', '--wait-all-nodes=1 --cluster-constraint=x'),
    ('slurm', '-HO --signal=B:USR1@60'), ('slurm', ''),
    ('sge', '-pe mpi 4 -l h_vmem=1G -p -100'), ('sge', '-binding env linear:2 -w e -sync n -b n'),
    ('sge', '-l hostname=!n4 -hard -l gpu=1 -h'), ('lsf', '-G team -R "select[a] rusage[b=1]" -x -sp 5'),
    ('lsf', '-app a -H -gpu num=1'), ('local', '-J x y')])
def test_what_else_there_is_goes_to_the_scheduler(scheduler, extra):
    assert fault(scheduler, extra) == ''


def test_quotes_left_open():
    assert fault('slurm', '--comment "a') == 'extra: No closing quotation'


def test_it_is_refused_before_anything_is_submitted_with_the_line_of_the_map(qmap):
    qmap.write('a.map', '[params]\nextra = --account=a\n[jobs]\ntrue\ntrue ## extra="-J align"\n')
    result = qmap('submit', 'a.map', '-p', 'slurm', '-l', 'out', code=2)
    assert 'a.map, line 5: extra: -J: QMap finds its jobs by their name' in result.err
    assert not os.path.exists(qmap.path('out'))


def test_a_profile_is_named_where_it_says_so(qmap):
    qmap.write('site.conf', 'executor = lsf\n[params]\nextra = -P my proj\n')
    qmap.write('a.map', 'true\n')
    for tool, word in ('submit', 'a.map'), ('run', 'true'):
        result = qmap(tool, '-p', './site.conf', word, code=2)
        assert 'error: profile ./site.conf: extra: proj: belongs to no option' in result.err


def test_set_refuses_it_too(qmap):
    at_executor(qmap, 'lsf')
    qmap.write('a.map', 'true\ntrue\n')
    qmap('submit', 'a.map', '-p', 'lsf', '-l', 'out', '--leave')
    assert 'extra: -K: ' in qmap('control', '-l', 'out', 'set', 'extra=-K', code=2).err
