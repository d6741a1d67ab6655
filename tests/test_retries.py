"""Jobs that failed are retried by themselves, with what they need, and the others are not."""

import json
import os

import pytest
from module_submit import ended, prepare, write_journal
from test_driver import choosy, pass_time, say

import qmap as module


def retried(qmap, text, reply=lambda params: 'ok', **rules):
    """Return a driver that leads, with rules for retries; the scheduler answers as `reply` says."""
    driver = choosy(qmap, text, reply)
    driver.plan.retry_rules = module.RetryRules(rules)
    driver.tick()
    return driver


def end(driver, key, **words):
    """Let an attempt begin and end."""
    say(driver, key + '.start', executor_id='1.1')
    say(driver, key + '.end', **dict({'exit_code': 1, 'memory': 0}, **words))
    pass_time(driver, 12)


def starve(driver, key):
    """Let an attempt end for lack of memory."""
    end(driver, key, oom_kills=1)


def follow(driver):
    """Return a driver that takes over."""
    driver.lease.release()
    following = module.Driver(driver.logs, driver.plan, driver.backend, driver.here)
    following.lead(foreign=None, idle=True)
    return following


def memory_of(driver, number=0):
    return module.memory_text(driver.plan.params_of(driver.ledger.record(number))['memory'])


@pytest.mark.parametrize('text, rules, requests', [
    ('memory=4G retries=2', {}, ['4G', '8G', '16G']),
    ('memory=4G retries=1', {'grow': '1.5'}, ['4G', '6G']),
    ('memory=4G retries=5', {'max_memory': '10G'}, ['4G', '8G', '10G']),
    ('memory=4G,6G,32G retries=4', {}, ['4G', '6G', '32G', '32G', '32G']),
    ('memory=4G,6G,32G retries=4', {'max_memory': '20G'}, ['4G', '6G', '20G']),
    ('memory=4G retries=2', {'grow': '1'}, ['4G', '4G', '4G']),
    ('memory=4G', {}, ['4G'])])
def test_what_lacks_memory_requests_more_as_often_as_it_may(qmap, text, rules, requests):
    driver = retried(qmap, 'true ## {}\n'.format(text), **rules)
    for attempt, request in enumerate(requests, 1):
        assert (driver.ledger.attempts[0], memory_of(driver)) == (attempt, request)
        starve(driver, '0.{}'.format(attempt))
        driver = follow(driver)    # whoever drives by then
        pass_time(driver, 12)
    record = driver.ledger.record(0)
    assert (record['status'], record['error_reason'], record['attempt']) == ('FAILED', 'memory', len(requests))


def test_each_attempt_has_its_value_of_each_list(qmap):
    driver = retried(qmap, 'true ## time=1h,6h "queue=short, long" memory=1G retries=2\n')
    assert driver.plan.job_params(0)['queue'] == 'short' and driver.plan.job_params(0)['time'] == 3600
    starve(driver, '0.1')
    assert driver.ledger.live[0]['params'] == {'memory': '2G', 'queue': 'long', 'time': '06:00:00'}
    assert 'QMAP_TIME=06:00:00' in driver.plan.script_of(driver.ledger, 0)
    assert 'QMAP_QUEUE=short\n' in driver.plan.script_of(driver.ledger, 0, 1)


@pytest.mark.parametrize('retry_on, again', [
    ('', False), ('exit', True), ('75', False), ('3', True), ('1-5,75', True), ('signal', False)])
def test_other_failures_are_retried_only_if_they_are_named(qmap, retry_on, again):
    driver = retried(qmap, 'true ## memory=1G retries=1\n', retry_on=retry_on)
    end(driver, '0.1', exit_code=3)
    assert driver.ledger.attempts[0] == 1 + again and memory_of(driver) == '1G'


def test_what_says_itself_that_it_lacks_memory_requests_more(qmap):
    driver = retried(qmap, 'true ## memory=1G retries=1\n')
    qmap.write(os.path.join('out', '0.err'), 'terminate called after throwing std::bad_alloc\n')
    end(driver, '0.1', exit_code=1)
    assert memory_of(driver) == '2G'
    end(driver, '0.2', exit_code=0)
    assert driver.ledger.totals.saved == {('memory', 'memory', '1G', '2G'): 1}


def test_what_requests_no_memory_cannot_request_more(qmap):
    driver = retried(qmap, 'true ## retries=3\n')
    starve(driver, '0.1')
    assert driver.ledger.record(0)['status'] == 'FAILED'


def test_who_is_cancelled_is_not_retried(qmap):
    driver = retried(qmap, 'true ## memory=1G retries=3\n', retry_on='exit')
    driver.steering.cancel([0])
    end(driver, '0.1', exit_code=3)
    assert (driver.ledger.record(0)['status'], driver.ledger.attempts[0]) == ('FAILED', 1)


def test_a_retry_that_is_withdrawn_leaves_its_first_end(qmap):
    driver = retried(qmap, 'true ## memory=1G retries=3\n')
    driver.set(halted=True)
    starve(driver, '0.1')
    assert driver.counts()['UNSUBMITTED'] == 1
    driver.lease.write(module.Cancel.obey(driver, {'do': 'cancel', 'ids': [[0, 0]]}).events)
    record = driver.ledger.record(0)
    assert (record['status'], record['error_reason']) == ('FAILED', 'memory')
    driver.lease.write(module.Retry.obey(driver, {'do': 'retry', 'ids': [[0, 0]]}).events)
    assert not driver.recall.retries.chain(0)    # and somebody's own retry gives it all of them anew


def test_a_larger_request_that_is_refused_leaves_the_first_reason(qmap):
    driver = retried(qmap, 'true ## memory=4G retries=3\n',
                     lambda params: 'refused' if params['memory'] > 4 << 30 else 'ok')
    starve(driver, '0.1')
    record = driver.ledger.record(0)
    assert (record['status'], record['error_reason']) == ('FAILED', 'memory')
    assert record['error'].endswith('; refused with memory = 8G: strange words')


def test_it_is_tried_once_with_the_most_that_can_be_had(qmap):
    def reply(params):
        if params['memory'] == 8 << 30:    # and only now it tells why
            driver.backend.most = lambda params: {'memory': 6 << 30}
        return 'refused' if params['memory'] > 4 << 30 else 'ok'

    driver = retried(qmap, 'true ## memory=4G retries=3\n', reply)
    starve(driver, '0.1')
    assert [asked for _, asked in driver.backend.asked] == [4, 8, 6]
    assert driver.ledger.record(0)['error_reason'] == 'memory' and driver.ledger.attempts[0] == 3


def test_a_larger_request_that_will_never_start_is_given_up(qmap):
    driver = retried(qmap, 'true ## memory=4G retries=3\ntrue ## memory=1G\n')
    starve(driver, '0.1')
    never = ('PENDING', '', 'PartitionNodeLimit: it will never start')
    driver.backend.queue = {(batch['id'], index): never for batch in driver.ledger.batches.values() for index in (0, 1)}
    pass_time(driver, 900, 30)
    record = driver.ledger.record(0)
    assert record['error_reason'] == 'memory' and 'given up after 00:10:00' in record['error']
    assert 1 in driver.ledger.live    # nobody asked for that


def save(driver, number, starving=1):
    """Let a job of which there are a hundred complete, after so many attempts that lack memory."""
    for attempt in range(1, starving + 1):
        starve(driver, '{:03d}.{}'.format(number, attempt))
    end(driver, '{:03d}.{}'.format(number, starving + 1), exit_code=0)


@pytest.mark.parametrize('learn', ['true', 'false'])
def test_what_follows_starts_with_what_saved_ten(qmap, learn):
    driver = retried(qmap, 'true ## memory=4G retries=1\n' * 19 + 'true ## memory=2G\n' * 90, learn=learn)
    for number in range(10):
        assert not driver.ledger.settings.get('learned')
        save(driver, number)
    driver = follow(driver)
    pass_time(driver, 20)
    assert driver.ledger.settings.get('learned') == ({'memory': {'4G': '8G'}} if learn == 'true' else None)
    driver.plan.info['max_running'] = 20
    pass_time(driver, 20)
    assert [memory_of(driver, number) for number in (18, 19)] == ['8G' if learn == 'true' else '4G', '2G']
    assert driver.ledger.attempts[18] == 1
    assert driver.plan.worker_params(driver.ledger) == driver.plan.params    # which request nothing
    if learn == 'true':
        reply = module.Set.obey(driver, {'do': 'set', 'params': {'memory': '4G'}})
        assert reply.text.endswith('; what was learned about it is forgotten')
        driver.lease.write(reply.events)
        assert module.raised_texts(driver.ledger, {'memory': '4G'}) == {}
        driver.recall.retries.learn()    # and it is not learned once more
        assert driver.ledger.settings['learned'] == {'memory': {'4G': '4G'}}


def test_what_saved_most_of_ten_is_learned_also_by_who_takes_over(qmap):
    driver = retried(qmap, 'true ## memory=4G retries=2\n' * 101)
    for number in range(9):
        save(driver, number, 1 + (number > 5))
    driver.recall.retries.LEARN = 99    # as if it were killed before it could
    save(driver, 9)
    assert not driver.ledger.settings.get('learned')
    driver = follow(driver)
    assert driver.ledger.settings['learned'] == {'memory': {'4G': '8G'}}
    assert driver.ledger.settings['learned_reason'].startswith(
        'learned: 10 jobs with memory = 4G were saved by more; what is not submitted yet starts with 8G (--no-learn ')


def test_what_retries_do_is_told(qmap):
    driver = retried(qmap, 'true ## memory=4G retries=2\n' * 104)
    for number in range(2):
        save(driver, number)
    for attempt in '1', '2':
        end(driver, '002.' + attempt, exit_code=85)
    end(driver, '003.1', exit_code=85)
    starve(driver, '003.2')
    right = {'saved': {'memory': 2}, 'waiting': 0, 'running': 2, 'requests': {'memory = 8G': 1},
             'again': {'jobs': 2, 'times': 3}}
    reader = module.ExecutionReader(driver.logs.path)
    assert reader.retry_counts().as_dict() == right
    assert reader.retry_counts().parts() == [
        '2 saved (2 memory)', '2 running again: 1 with memory = 8G',
        '2 jobs asked to run again (exit 85), 3 times']
    found = json.loads(qmap('info', 'out', '--summary', '--format', 'json').out)['retries']
    assert {key: found[key] for key in right} == right and found['learned'] == {}
    assert '2 jobs asked to run again (exit 85), 3 times' in qmap('info', 'out', '--summary').lines


def test_a_group_runs_only_what_did_not_end_well(qmap):
    qmap.write('a.map', 'echo a >>ran\necho b >>ran; [ -e ok ] || { touch ok; exit 75; }\necho c >>ran\n')
    result = qmap('submit', 'a.map', '--logs', 'out', '-g', '3', '--retries', '2', '--retry-on', '75')
    assert result.code == 0 and '0 exit 75; retried' in result.out
    assert qmap.read('ran').split() == ['a', 'b', 'b', 'c']
    assert '1 job saved by retries (1 exit)' in result.out
    saved = json.loads(qmap('info', 'out', '--summary', '--format', 'json').out)['retries']
    assert (saved['saved'], saved['next']) == ({'exit': 1}, []) and saved['core_hours_lost'] >= 0


@pytest.mark.parametrize('own, params, rules, said', [
    (['', ''], {'memory': '4G'}, {}, '2 jobs with memory = 8G, then 16G'),
    (['', ''], {'memory': '50M, 200M'}, {}, '2 jobs with memory = 200M, then 200M'),
    (['', ''], {'memory': '50M,70M,1G'}, {}, '2 jobs with memory = 70M, then 1G'),
    (['', ''], {'memory': '4G'}, {'max_memory': '6G'}, '2 jobs with memory = 6G'),
    (['', ''], {'memory': '4G'}, {'max_memory': '4G'}, None),
    (['', ''], {}, {}, None),
    ([' ## memory=4G', ' ## memory=4G'], {}, {}, '2 jobs with memory = 8G, then 16G'),
    ([' ## memory=4G', ' ## memory=1G,2G'], {}, {}, '2 jobs with more memory, such as 8G, then 16G'),
    ([' ## memory=4G', ' ## memory=4G retries=1', ''], {}, {}, '1 job with memory = 8G, then 16G'),
    ([' ## memory=4G'] * 5, {}, {}, 'up to 5 jobs with more memory, such as 8G, then 16G')])
def test_the_summary_says_what_retries_would_have_done(qmap, own, params, rules, said):
    qmap.write('a.map', ''.join('true{}\n'.format(text) for text in own))
    path = module.Request(qmap.path('a.map'), profile='local', params=params, retry=rules).create(qmap.path('out'))
    failed = {'status': 'FAILED', 'error_reason': 'memory', 'error': 'too much', 'exit_code': 137}
    jobs = list(map(str, range(len(own))))
    batch = {'event': 'batch', 'batch': 1, 'name': 'a', 'tasks': [job + '.1' for job in jobs], 'time': 1000.0}
    write_journal(path, [batch] + [ended(job, 60, **failed) for job in jobs])
    told = [line for line in module.Summary(module.ExecutionReader(path)).lines() if '--retries' in line]
    assert told == (['--retries 2 would have retried ' + said] if said else [])


@pytest.mark.parametrize('words, message', [
    (['--retries', 'x'], 'retries = x: must be a positive integer or 0'),
    (['--grow', '0.5'], 'grow = 0.5: must be a number of 1 or more'),
    (['--retry-on', 'memory'], 'retry_on = memory: must be exit, signal, or exit statuses such as 75 or 130-139'),
    (['--max-memory', 'much'], 'max_memory = much: invalid memory size'),
    (['-m', '8G,4G'], 'memory = 8G,4G: each attempt must request more than the one before')])
def test_what_is_wrong_is_said_before_a_folder_is_made(qmap, words, message):
    qmap.write('a.map', 'true\n')
    result = qmap('submit', 'a.map', '--logs', 'out', *words)
    assert result.code == 2 and message in result.err and not os.path.exists(qmap.path('out'))


def test_a_profile_and_a_program_say_the_same(qmap):
    qmap.write('mine.conf', 'executor = local\nretries = 3\nretry_on = exit\nmax_time = 2d\nlearn = no\n')
    qmap.write('a.map', 'true\n')
    request = module.Request(qmap.path('a.map'), profile=qmap.path('mine.conf'), retry={'grow': '3'})
    rules = module.RetryRules(request.retry)
    assert (request.params['retries'], rules.retry_on, rules.grow, rules.most, rules.learn) == (
        3, {'exit'}, 3, {'time': 172800}, False)
    assert request.repeat == ['-p', qmap.path('mine.conf'), '--grow', '3']
    with pytest.raises(module.QMapError, match='unknown keyword retry_one'):
        module.submit(qmap.path('a.map'), retry_one=2)


@pytest.mark.parametrize('wrong', [
    {'saved': 3}, {'saved': {'parameter': 'cores'}}, {'saved': {'parameter': 'memory', 'before': '1G', 'after': 'x'}},
    {'retry': 3, 'rerun': True}, {'retry': {'memory': 'x'}, 'rerun': True}, {'before': 'x', 'rerun': True}])
def test_what_is_damaged_in_a_record_stops_nothing(qmap, wrong):
    path = prepare(qmap, 'true\n', qmap.path('out'))
    batch = {'event': 'batch', 'batch': 1, 'name': 'a', 'tasks': ['0.1'], 'time': 1000.0}
    failed = {'status': 'FAILED', 'error_reason': 'exit', 'error': '', 'exit_code': 1}
    write_journal(path, [batch, ended('0', 60, **dict(failed, **wrong))])
    assert '1 job' in qmap('info', 'out', '--summary').out
    result = qmap('reattach', 'out', '--force', '--no-console')
    assert result.code in (0, 1) and 'Traceback' not in result.err + result.out


def lose(driver, key, host):
    """Let an attempt begin on a host that dies."""
    say(driver, key + '.start', executor_id='1.1', host=host)
    pass_time(driver, 12)
    record = driver.ledger.live[0]
    driver.reports.log([driver.reports.ended(record, None, {'reason': 'node', 'words': 'NODE_FAIL', 'host': host})])
    pass_time(driver, 12)


def elsewhere(qmap, text='true\n', **changes):
    """Return a driver of jobs that may be sent elsewhere, and the list of what its submissions avoid."""
    driver, asked = retried(qmap, text), []
    driver.plan.info.update(dict({'exclude': True}, **changes))
    driver.backend.refuses_unfit = True
    submit = driver.backend.submit
    driver.backend.submit = lambda *args: asked.append(list(driver.backend.avoided)) or submit(*args)
    return driver, asked


def test_a_job_whose_host_failed_runs_elsewhere_whoever_drives(qmap):
    driver, asked = elsewhere(qmap)
    driver.set(excluded={'n9': [1, 'node failed 3 times']})
    driver.attempts.launches._good[''] = {'n2', 'n3'}
    lose(driver, '0.1', 'n1')
    lose(driver, '0.2', 'n2')
    assert asked == [['n1', 'n9'], ['n1', 'n2', 'n9']]
    assert next(iter(driver.ledger.batches.values()))['elsewhere'] == ['n1', 'n2']
    driver = follow(driver)
    assert driver.recall.retries.elsewhere(0) == ('n1', 'n2')
    driver.plan.info['exclude'] = False
    assert driver.recall.retries.elsewhere(0) == ()


def test_what_waits_for_another_host_in_vain_runs_where_it_can(qmap):
    driver, asked = elsewhere(qmap)
    lose(driver, '0.1', 'n1')
    driver.backend.queue = {(batch['id'], index): ('PENDING', '', 'Resources')
                            for batch in driver.ledger.batches.values() for index in (0, 1)}
    pass_time(driver, 3660, 60)
    assert asked == [['n1'], []]
    first, second = driver.ledger.earlier(0)
    assert (second['error_reason'], second['error']) == ('submit', 'waited 01:00:00 for another host than n1')
    end(driver, '0.3', exit_code=0)
    assert driver.ledger.record(0)['status'] == 'COMPLETED'


def test_where_there_may_be_no_other_host_none_is_asked_for(qmap):
    driver, asked = elsewhere(qmap)
    driver.backend.refuses_unfit = False    # it would wait for ever
    lose(driver, '0.1', 'n1')
    assert asked == [[]]


@pytest.mark.parametrize('name, params, fixed', [
    ('slurm', {'extra': '-w n1'}, True), ('slurm', {'extra': '--nodes=2'}, False),
    ('sge', {'queue': 'all.q@n1'}, True), ('sge', {'extra': '-l h=n1'}, True), ('sge', {'queue': 'all.q'}, False),
    ('lsf', {'extra': '-m n1'}, True), ('lsf', {'extra': '-q x'}, False)])
def test_a_request_that_says_where_it_runs_is_left_as_it_is(name, params, fixed):
    assert module.load_backend(name, {}).chooses_hosts(params) == fixed
