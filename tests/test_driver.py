"""The driver against a scheduler that says what it likes: nothing is lost, nothing runs twice."""

import collections
import itertools
import json
import os
import re
import signal
import subprocess
import threading
import time

import module_submit
import pytest

import qmap as module


class Host(module.Host):
    """A process whose clock goes a hundred times as fast: the waits of minutes pass in a second."""

    @staticmethod
    def monotonic():
        return module.Host.monotonic() * 100

    @staticmethod
    def rest(seconds):
        module.Host.rest(seconds / 100)

    def sleep(self, seconds):
        super().sleep(min(seconds, 1) / 100)


class Scripted(module.Backend):
    """A scheduler that runs each task as a process, and answers submissions as it is told first."""

    name = title = 'scripted'
    task_variable, id_variable = 'SCRIPTED_K', 'SCRIPTED_ID'
    answers_at_once = True

    def __init__(self, answers=()):
        super().__init__({})
        self.answers = list(answers)
        self.processes = {}
        self.names = {}
        self.count = 0
        self.late = []

    def job_name(self, prefix, batch, token):
        return '{}.{}.{}'.format(prefix, batch, token)

    def job_cmd(self, *args):
        return 'scripted'

    def task_name(self, task):
        return '{}.{}'.format(*task)

    def run(self, script, name, count):
        self.count += 1
        id = str(self.count)
        self.names[name] = id
        for k in range(1, count + 1):
            self.begin(script, id, k, (id, k if count > 1 else 0))
        return id

    def begin(self, script, id, k, task):
        self.processes[task] = subprocess.Popen(
            ['bash', script], stdin=subprocess.DEVNULL, start_new_session=True,
            env=dict(os.environ, SCRIPTED_K=str(k), SCRIPTED_ID=id))

    def submit(self, script, name, count, params, output):
        answer = self.answers.pop(0) if self.answers else 'ok'
        if answer == 'late':    # accepted without an answer, but begun only when somebody calls begin_late
            copy = script.partition('/out/')[0] + '/late'    # the scheduler keeps its own
            with open(script) as source, open(copy, 'w') as target:
                target.write(source.read())
            self.late.append((copy, name, count))
            return 'silent', 'no answer'
        if answer in ('ok', 'accepted'):
            id = self.run(script, name, count)
            return ('ok', id) if answer == 'ok' else ('silent', 'no answer')
        return answer, 'as it is told'

    def find(self, name):
        return self.names.get(name, '')

    def poll(self, ids):
        return {task: ('RUNNING', '', '') for task, process in self.processes.items()
                if task[0] in ids and process.poll() is None}

    def accounts(self, tasks):
        return {}

    def cancel(self, tasks, counts):
        for task in tasks:
            if task in self.processes:
                os.killpg(self.processes[task].pid, signal.SIGTERM)


def execution(qmap, text, backend, here=None, **changes):
    """Return a driver for a map, not yet leading."""
    logs = module.Logs(module_submit.prepare(qmap, text, qmap.path('out')))
    plan = module.Plan(logs)
    plan.info.update(max_running=4, **changes)
    return module.Driver(logs, plan, backend, here or Host())


def ran(qmap):
    path = qmap.path('ran')
    return collections.Counter(qmap.read('ran').split() if os.path.exists(path) else [])


def each_once(qmap, driver):
    assert driver.counts()['COMPLETED'] == driver.ledger.count, driver.counts()
    assert ran(qmap) == {driver.ledger.id(number): 1 for number in range(driver.ledger.count)}
    again = module.Ledger(driver.logs, driver.ledger.commands, driver.ledger.group)
    again.load()
    assert (again.status, again.attempts, again.counts, again.live) == (
        driver.ledger.status, driver.ledger.attempts, driver.ledger.counts, driver.ledger.live)


@pytest.mark.parametrize('answers', [
    ['busy', 'busy', 'ok', 'busy', 'busy', 'busy'], ['silent', 'ok', 'silent'], ['accepted', 'accepted', 'busy'],
    ['silent', 'busy', 'accepted', 'busy', 'silent']])
def test_answers_in_any_order(qmap, answers):
    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 10, Scripted(answers))
    driver.lead()
    driver.drive()
    each_once(qmap, driver)


def test_a_submission_that_begins_after_it_was_given_up(qmap):
    backend = Scripted(['late'])
    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 3, backend)
    driver.lead()
    driver.drive()
    each_once(qmap, driver)
    # Only now does the scheduler begin what it took long ago. It ends well: for another exit status a site may have its
    # scheduler run it again.
    for script, name, count in backend.late:
        written = re.sub(r'(?m)^(qmap_begin .* 1 )\d+ ', r'\g<1>1 ', qmap.read('late'))
        assert written != qmap.read('late')
        qmap.write('late', written)
        late, began = backend.run(script, name, count), time.monotonic()
        assert [backend.processes[late, k + 1].wait() for k in range(count)] == [0] * count
        assert time.monotonic() - began < 50    # it does not hold its place for a minute
    assert sum(ran(qmap).values()) == 3


def test_groups_keep_their_ids(qmap):
    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 10, Scripted(['busy', 'silent']), group=3)
    driver.plan.group = 3
    driver.lead()
    driver.drive()
    assert driver.counts()['COMPLETED'] == 4
    assert ran(qmap) == {str(number): 1 for number in range(10)}


def test_a_full_disk_stops_submitting_and_then_goes_on(qmap, monkeypatch):
    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 10, Scripted())
    driver.lead()
    real, left = os.fdatasync, [3, 2, 1]

    def full(handle):
        if left:
            left.pop()
            raise OSError(28, 'No space left on device')
        real(handle)

    monkeypatch.setattr(os, 'fdatasync', full)
    driver.drive()
    assert not left
    each_once(qmap, driver)


def test_an_end_that_was_torn_is_no_end(qmap):
    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n', Scripted())
    backend = driver.backend

    def torn(script, name, count, params, output):
        backend.processes['1', 0] = subprocess.Popen(['true'])
        qmap.write('out/.qmap/run/0.1.start', '{"job":"0","attempt":1,"host":"x","pid":1,"born":"y","time":1}\n')
        qmap.write('out/.qmap/run/0.1.end', '')
        return 'ok', '1'

    backend.submit = torn
    driver.lead()
    driver.drive()
    assert driver.counts()['FAILED'] == 1
    assert driver.ledger.record(0)['error_reason'] == 'lost'


def test_a_driver_that_was_overtaken_stops_before_it_submits(qmap):
    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 3, Scripted())
    driver.lead()
    module.Journal(driver.logs.journal(2), {'event': 'open', 'host': 'other'}).close()
    with pytest.raises(module.NotDriver):
        driver.drive()
    assert not ran(qmap)
    assert not module.read_json(driver.logs.driver)['released']


#: Whether a driver has to be taken for alive. In what it differs from a process that lives on this host, and sees the
#: folder through the same mount; what the lock says; for how many seconds its beat stands; True and False, or that
#: its beat has to be watched.
DRIVEN = [
    ({}, True, 0, False), ({}, None, 0, True),
    ({'pid': 1 << 30}, True, 0, False), ({'pid': 1 << 30}, None, 0, False),
    ({'mount': -1}, True, 0, 'asks'), ({'mount': -1}, None, 0, 'asks'), ({'mount': -1, 'pid': 1 << 30}, True, 0, False),
    ({'host': 'other'}, True, 0, 'asks'), ({'host': 'other'}, True, 9999, 'asks'),
    ({'born': 'another-start/7'}, True, 0, 'asks'), ({'born': 'another-start/7'}, True, 9999, False),
    ({'born': 'another-start/7', 'beat': None}, True, 9999, 'asks'), ({'born': ''}, True, 0, False),
    ({'mount': -1, 'released': True}, True, 0, False), ({'host': 'other', 'released': True}, True, 0, False)]


@pytest.mark.parametrize('differs, locked, silence, expected', DRIVEN)
def test_a_lock_proves_only_what_it_can(qmap, differs, locked, silence, expected):
    child = subprocess.Popen(['sleep', '100'])
    try:
        driver = execution(qmap, 'true\n', Scripted())
        driver.lead()
        record = dict(module.read_json(driver.logs.driver), pid=child.pid, born=module.birth(child.pid))
        module.write_json(driver.logs.driver, dict(record, **differs))
        os.utime(driver.logs.driver, (time.time() - silence,) * 2)
        asked = []
        found = driver.lease._is_driven(locked, lambda driver: asked.append(driver) or True)
        assert found == bool(expected) and bool(asked) == (expected == 'asks')
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize('threads', [True, False])
def test_metadata_is_whole_where_each_file_takes_long(qmap, monkeypatch, threads):
    from concurrent.futures import ThreadPoolExecutor
    qmap.write('a.map', 'echo ${QMAP_LINE}\nfalse\n' * 20)
    monkeypatch.setattr(module.Scribe, 'FAR', -1)
    if not threads:
        def refuse(pool, *args, submit=ThreadPoolExecutor.submit):
            if pool._max_workers == module.Scribe.TOGETHER:
                raise RuntimeError("can't start new thread")
            return submit(pool, *args)
        monkeypatch.setattr(ThreadPoolExecutor, 'submit', refuse)
    execution = module.submit(qmap.path('a.map'), logs=qmap.path('out'), profile='local')
    execution.wait()
    for number in range(40):
        info = json.loads(qmap.read('out', '{:02}.info'.format(number)))
        assert (info['status'], info['exit_code']) == (('COMPLETED', 0) if number % 2 == 0 else ('FAILED', 1))
        assert os.path.exists(qmap.path('out', '{:02}.sh'.format(number))) == (number % 2 == 1)


def test_commands_are_read_by_several_threads(qmap):
    qmap.write('a.map', ''.join('echo {}\n'.format('x' * (number % 97)) for number in range(2000)))
    map = module.Map(qmap.path('a.map'))
    wrong = []

    def read():
        wrong.extend(number for number in range(2000) if map.raw(number) != 'echo ' + 'x' * (number % 97))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_others_names_in_the_folder_do_no_harm(qmap):
    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 3, Scripted())
    for name in ('batch/.nfs0001', 'run/.nfs0002', 'run/x.y.start', 'run/9999.1.end', 'journal.x'):
        qmap.write('out/.qmap/' + name, '')
    driver.lead()
    driver.drive()
    each_once(qmap, driver)


@pytest.mark.slow
def test_ten_thousand_ends_at_once(qmap):
    backend = Scripted()
    driver = execution(qmap, 'true\n' * 10000, backend)
    driver.plan.info['max_running'] = 10000

    def all_at_once(script, name, count, params, output):
        backend.count += 1
        for key in driver.ledger.batches[backend.count]['tasks']:
            qmap.write('out/.qmap/run/{}.start'.format(key), (
                '{{"host":"x","pid":1,"born":"y","executor_id":"1","batch":1}}\n0m0s 0m0s\n0m0s 0m0s\ns {0} 1 .\n'
                '0m0s 0m0s\n0m0s 0m0s\ne {0} {{"exit_code":0,"time":2,"memory":0}} .\n').format(key))
        return 'ok', str(backend.count)

    backend.submit = all_at_once
    backend.limits = lambda: {'array': 10000}
    driver.lead()
    driver.drive()
    assert driver.counts()['COMPLETED'] == 10000
    assert not os.listdir(driver.logs.run) and not os.listdir(os.path.dirname(driver.logs.batch(1)))


def test_the_info_of_a_job_is_made_once_and_never_renamed(qmap, monkeypatch):
    made, replaced = [], []

    def note(name, paths):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, **options: paths.append(args) or real(*args, **options))

    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 9, Scripted())
    driver.lead()
    note('open', made)
    note('replace', replaced)
    driver.drive()
    each_once(qmap, driver)
    infos = [args[0] for args in made if '.info' in args[0] and args[1] & os.O_CREAT and 'execution' not in args[0]]
    assert sorted(infos) == [qmap.path('out', '{}.info'.format(number)) for number in range(9)]
    assert not [args for args in replaced if os.path.basename(args[1])[0].isdigit()]


def test_the_info_files_that_a_crash_tore_or_left_out_are_made_by_the_next_driver(qmap, monkeypatch):
    class Killed(BaseException):
        pass

    def tear(path, flags, data):
        write_bytes(path, flags, data[:len(data) // 2] if path.endswith('.info') else data)
        if path.endswith('.info'):
            raise Killed()

    driver, write_bytes = execution(qmap, 'true\n' * 3, Scripted()), module.write_bytes
    driver.lead()
    flush = driver.scribe.flush
    monkeypatch.setattr(driver.scribe, 'flush', lambda: driver.ledger.left() or flush())
    monkeypatch.setattr(module, 'write_bytes', tear)
    with pytest.raises(Killed):
        driver.drive()
    infos = [qmap.path('out', '{}.info'.format(number)) for number in range(3)]
    assert [module.read_json(path) for path in infos] == [None] * 3 and any(map(os.path.exists, infos))
    assert qmap('reattach', '-l', 'out').code == 0
    assert [module.read_json(path)['status'] for path in infos] == ['COMPLETED'] * 3
    epochs = driver.logs.epochs()
    assert qmap('reattach', '-l', 'out').code == 0 and driver.logs.epochs() == epochs


def test_what_could_not_say_when_it_ended_is_charged_what_the_accounts_say(qmap):
    class Accounting(Scripted):
        def accounts(self, tasks):
            return {task: {'status': 'FAILED', 'reason': 'signal', 'words': '', 'signal': 9, 'elapsed': 0.25}
                    for task in tasks if self.processes[task].poll() is not None}

    # what runs the job, and would write its end, is the parent of the shell above the job's own
    driver = execution(qmap, 'kill -KILL $(cut -d" " -f4 /proc/$PPID/stat)\n', Accounting())
    driver.lead()
    driver.drive()
    assert qmap.info('out', '0')['usage']['time']['seconds'] == 0.25


@pytest.mark.parametrize('steps', [False, True])
@pytest.mark.parametrize('host, elapsed, memory', [
    ('n1', 0, 5000), ('n1.site.org', 9, 5000), ('n[1-2]', 10, 5000), ('copy', 1, None), ('copy', None, None)])
def test_what_the_accounts_know_of_the_usage_is_kept_unless_it_is_of_a_copy_that_came_too_late(
        qmap, host, elapsed, memory, steps):
    driver = still(qmap, 'true\nsleep 60\n', Told())
    account = {'status': 'COMPLETED', 'reason': '', 'words': '', 'host': host, 'memory': 5000,
               'cpu': 7.5, 'steps': steps}
    driver.backend.accounts = lambda tasks: {
        task: dict(account, **{} if elapsed is None else {'elapsed': elapsed}) for task in tasks}
    driver.tick()
    say(driver, '0.1.start', executor_id='1.1')
    say(driver, '0.1.end', exit_code=0, memory=0, time=driver.here.time() + 10)
    for _ in range(90):
        driver.here.now += 1
        driver.tick()
    record = driver.ledger.record(0)
    assert record.get('memory') == memory
    # Of what srun starts, the runner does not see the CPU time.
    assert record['cpu'] == (7.5 if memory and steps else 0)


def test_a_process_that_drives_once_more_does_not_count_twice_what_it_wrote(qmap):
    first = execution(qmap, 'true\nfalse\n', Scripted())
    first.lead()
    first.drive()
    again = module.Driver(first.logs, first.plan, Scripted(), Host())
    assert again.lead(idle=True, seen=first.ledger) and again.ledger is first.ledger
    fresh = first.plan.ledger()
    fresh.load()
    assert (again.ledger.records_read, again.ledger.counts) == (fresh.records_read, fresh.counts)
    assert (again.ledger.totals.requested, again.ledger.totals.hosts) == (fresh.totals.requested, fresh.totals.hosts)


class Still(Host):
    """A process whose clock goes on only when it is told to, or when it waits."""

    now = 1000.0

    def monotonic(self):
        return self.now

    def rest(self, seconds):
        self.now += seconds

    sleep = rest


class Told(Scripted):
    """A scheduler that runs nothing: its ids, and what its queue says, are what a test says.

    Attributes:
        queue: as `poll` returns it; None where all runs
        cancelled: tasks that somebody told it to end
    """

    def __init__(self, answers=()):
        super().__init__(answers)
        self.queue = None
        self.ids = iter('123456789')
        self.cancelled = []

    def run(self, script, name, count):
        self.names[name] = id = next(self.ids)
        return id

    def poll(self, ids):
        return {(id, k): ('RUNNING', '', '') for id in ids for k in range(9)} if self.queue is None else self.queue

    def cancel(self, tasks, counts):
        self.cancelled += tasks


def still(qmap, text, backend, **changes):
    """Return a driver whose clock stands still, and which leads."""
    driver = execution(qmap, text, backend, Still(), **changes)
    driver.lead()
    return driver


def say(driver, name, **words):
    """Let a job say something: <id>.<attempt>.start or .end."""
    words = dict({'host': 'n1', 'pid': 1, 'born': 'x/1', 'time': driver.here.time()}, **words)
    with open(os.path.join(driver.logs.run, name), 'w') as target:
        target.write('0m0s 0m0s\n0m0s 0m0s\n' * name.endswith('.end') + json.dumps(words) + '\n')


def test_free_places_are_gathered_for_some_seconds_and_then_used(qmap):
    driver = still(qmap, 'true\n' * 8, Told())
    driver.tick()
    assert len(driver.ledger.live) == 4
    say(driver, '0.1.start', executor_id='1.1')
    say(driver, '0.1.end', exit_code=0, memory=0, time=driver.here.time() + 200)
    for seconds, live in ((1, 3), (driver.submitter.GATHER - 2, 3), (2, 4)):
        driver.here.now += seconds
        driver.tick()
        assert len(driver.ledger.live) == live, seconds


def test_free_places_of_short_jobs_are_gathered_for_a_tenth_of_the_time_that_these_take(qmap):
    driver = still(qmap, 'true\n' * 8, Told())
    driver.tick()
    say(driver, '0.1.start', executor_id='1.1')
    say(driver, '0.1.end', exit_code=0, memory=0, time=driver.here.time() + 35)
    for seconds, live in ((1, 3), (2, 3), (1, 4)):
        driver.here.now += seconds
        driver.tick()
        assert len(driver.ledger.live) == live, seconds


def test_what_ended_jobs_used_is_asked_for_once_a_minute_and_at_the_end_at_once(qmap):
    driver = still(qmap, 'true\n' * 20, Told(), group=1)
    driver.plan.info['max_running'] = 20
    questions = []

    def accounts(tasks):
        questions.append(len(tasks))
        return {task: {'memory': 1 << 20, 'cpu': 1.0} for task in tasks}

    driver.backend.accounts = accounts
    driver.backend.queue = {('1', k): ('RUNNING', '', '') for k in range(1, 21)}
    driver.tick()

    def end_jobs(numbers):
        for number in numbers:
            key = '{}.1'.format(driver.ledger.id(number))
            say(driver, key + '.start', executor_id='1.{}'.format(number + 1))
            say(driver, key + '.end', exit_code=0)
            for _ in range(10):
                driver.here.now += 1
                driver.tick()

    end_jobs(range(18))
    assert sum(questions) >= 12 and len(questions) <= 4
    with_info = [os.path.exists(qmap.path('out', '{:02d}.info'.format(number))) for number in range(18)]
    assert with_info == [number not in driver.queue.waiting_for_usage for number in range(18)]
    end_jobs(range(18, 20))
    assert sum(questions) == 20 and not driver.queue.waiting_for_usage
    assert [driver.ledger.record(number)['memory'] for number in range(20)] == [1 << 20] * 20
    assert [qmap.info('out', '{:02d}'.format(number))['usage']['memory']['bytes'] for number in range(20)] == \
        [1 << 20] * 20


def test_the_inbox_is_looked_into_once_a_second(qmap, monkeypatch):
    driver = still(qmap, 'true\n', Told())
    looks = []
    monkeypatch.setattr(driver.steering.inbox, 'waiting', lambda obeyed=(): looks.append(driver.here.now) or [])
    for seconds in (0, 0, 0.5, driver.LOOK):
        driver.here.now += seconds
        driver.tick()
    assert looks == [1000, 1000.5 + driver.LOOK]


def test_a_job_that_somebody_cancels_in_the_queue_fails_sooner_than_one_that_is_nowhere(qmap):
    driver = still(qmap, 'true\ntrue\n', Told())
    driver.tick()
    driver.backend.queue = {('1', 1): ('FAILED', 'cancelled', 'CANCELLED')}
    while driver.ledger.status[0] != module.STATUS_CODES['FAILED']:
        assert driver.here.now < 1000 + driver.queue.PATIENCE + 20 < 1000 + driver.backend.grace
        driver.here.now += 1
        driver.tick()
    assert driver.ledger.record(0)['error_reason'] == 'cancelled' and 1 in driver.ledger.live


def test_why_a_job_is_ended_is_noted_only_for_those_that_have_begun(qmap):
    driver = still(qmap, 'true\n' * 3, Told())
    driver.tick()
    say(driver, '1.1.start', executor_id='1.2')
    driver.here.now += 1
    driver.tick()
    driver.steering.cancel(list(driver.ledger.live))
    assert [name for name in os.listdir(driver.logs.run) if name.endswith('.why')] == ['1.1.why']


def test_who_leaves_and_cancels_ends_all_that_was_submitted(qmap):
    driver = still(qmap, 'true\n' * 6, Told())
    driver.tick()
    driver.leaving = 'cancel'
    driver.here.now += 1
    driver.tick()
    assert sorted(driver.backend.cancelled) == [('1', k) for k in range(1, 5)]


def test_a_job_is_known_by_what_the_scheduler_calls_it(qmap):
    driver = still(qmap, 'true\n' * 2, Told())
    driver.tick()
    say(driver, '1.1.start', executor_id='77')
    driver.here.now += 1
    driver.tick()
    assert driver.ledger.live[1]['executor_id'] == '1.2'


def test_a_job_of_a_submission_without_an_id_is_known_by_what_it_calls_itself(qmap):
    driver = still(qmap, 'true\n' * 2, Told(['silent']))
    driver.backend.find = lambda name: None
    driver.tick()
    say(driver, '1.1.start', executor_id='77')
    driver.here.now += 1
    driver.tick()
    assert driver.ledger.live[1]['executor_id'] == '77'


def test_an_id_that_is_given_again_gives_back_what_waits_under_it(qmap):
    driver = still(qmap, 'true\n' * 4, Told())
    driver.plan.info['max_running'] = 2
    driver.tick()
    say(driver, '0.1.start', executor_id='1.1')
    driver.here.now += 1
    driver.tick()
    driver.backend.ids = iter('1')
    driver.set(max_running=4)
    driver.here.now += driver.submitter.GATHER
    driver.tick()
    assert [module.STATUSES[status] for status in driver.ledger.status] == [
        'RUNNING', 'UNSUBMITTED', 'PENDING', 'PENDING']
    assert {record['batch'] for record in driver.ledger.live.values()} == {1, 2}


def test_jobs_that_ask_for_different_things_are_submitted_in_one_look(qmap):
    driver = still(qmap, 'true\ntrue ## memory=2G\ntrue\ntrue ## memory=3G\n', Told())
    driver.tick()
    assert len(driver.ledger.live) == 4 and len(driver.ledger.batches) == 3


def test_jobs_that_differ_in_parameters_of_the_user_only_are_submitted_together(qmap):
    driver = still(qmap, 'true ## sample=a\ntrue ## sample=b\ntrue ## sample=c memory=2G\ntrue\n', Told())
    driver.tick()
    assert [len(batch['tasks']) for batch in driver.ledger.batches.values()] == [3, 1]
    texts = [qmap.read(driver.logs.batch(number, '.list')) for number in driver.ledger.batches]
    assert [text.count('QMAP_SAMPLE') for text in texts] == [2, 1]
    assert all('QMAP_SAMPLE=' + name in text for name, text in zip('abc', [texts[0], *texts]))


def test_a_scheduler_that_takes_fewer_tasks_at_once_is_offered_fewer(qmap):
    backend = Scripted()
    driver = execution(qmap, 'echo ${QMAP_LINE} >>ran\n' * 10, backend)
    run, counts = backend.run, []

    def submit(script, name, count, params, output):
        counts.append(count)
        return ('ok', run(script, name, count)) if count < 2 else ('busy', 'at most one')

    backend.submit = submit
    driver.lead()
    driver.drive()
    each_once(qmap, driver)
    assert counts[:3] == [4, 2, 1]


def test_a_scheduler_is_not_burdened_with_what_the_jobs_run(qmap):
    driver = still(qmap, 'true {}\n'.format('x' * 1000) * 10, Told())
    driver.backend.limits = lambda: {'array': 9}
    driver.plan.info['max_running'] = 10
    driver.tick()
    sizes = [os.path.getsize(driver.logs.batch(number)) for number in (1, 2)]
    assert sizes[0] == sizes[1]


def test_the_accounts_must_have_answered_before_a_job_is_judged(qmap):
    driver = still(qmap, 'true\n', Told())
    driver.tick()
    say(driver, '0.1.start', executor_id='1')
    driver.backend.queue = {}
    driver.backend.accounts = lambda tasks: None
    for _ in range(4):
        driver.here.now += driver.backend.grace
        driver.tick()
    assert 0 in driver.ledger.live
    driver.backend.accounts = lambda tasks: {}
    for _ in range(2):
        driver.here.now += driver.backend.grace
        driver.tick()
    assert driver.ledger.record(0)['error_reason'] == 'lost'


NOTE = 'slurmstepd-n1: error: *** JOB 9 ON n1 CANCELLED AT 2026-11-30T06:42:24 DUE TO JOB REQUEUE ***\n'


@pytest.mark.parametrize('noted', [True, False])
def test_a_job_that_somebody_puts_back_into_the_queue_while_it_runs_comes_back_as_another_attempt(
        qmap, noted):
    driver = still(qmap, 'true\n' * 2, Told())
    driver.backend.NOTES = module.Slurm.NOTES
    driver.tick()
    say(driver, '0.1.start', executor_id='9')
    driver.here.now += 1
    driver.tick()
    driver.backend.queue = {('1', 1): ('PENDING', '', 'BeginTime'), ('1', 2): ('RUNNING', '', '')}
    if noted:
        qmap.write('out/.qmap/batch/1.out.1', NOTE)
    driver.set(halted=True)
    begun = driver.here.now
    tick_until(driver, lambda: 0 not in driver.ledger.live or driver.here.now > begun + 200)
    if not noted:    # then the copy finds that the attempt is taken
        assert driver.ledger.live[0]['status'] == 'RUNNING'
        driver.backend.queue.pop(('1', 1))
        tick_until(driver, lambda: 0 not in driver.ledger.live)
    record = (driver.ledger.earlier(0) or [driver.ledger.record(0)])[-1]
    assert driver.ledger.status[0] == module.STATUS_CODES['UNSUBMITTED' if noted else 'FAILED']
    assert (record['error_reason'], NOTE.strip() in record['error']) == (
        'preempted' if noted else 'lost', noted)
    assert noted or record['error'] == 'put back into the queue while it ran, as it seems'
    assert driver.backend.cancelled == [('1', 1)] and driver.ledger.live[1]['status'] == 'RUNNING'


def test_a_job_that_runs_and_is_called_pending_for_a_while_goes_on(qmap):
    driver = still(qmap, 'true\n', Told())
    driver.tick()
    say(driver, '0.1.start', executor_id='1')
    for queue in ({('1', 0): ('PENDING', '', '')}, None, {}):
        driver.backend.queue = queue
        driver.here.now += driver.backend.poll_interval
        driver.tick()
    assert driver.ledger.live[0]['status'] == 'RUNNING'
    while driver.ledger.live:
        driver.here.now += 10
        driver.tick()
    assert driver.ledger.record(0)['error_reason'] == 'lost'


def test_a_job_that_is_cancelled_while_it_waits_is_told_in_some_seconds(qmap):
    driver = still(qmap, 'true\n' * 3, Told())
    driver.backend.queue = {('1', k): ('PENDING', '', 'Priority') for k in (1, 2, 3)}
    driver.tick()
    driver.here.now += driver.backend.poll_interval
    driver.tick()
    driver.here.now += driver.backend.poll_interval / 2
    driver.steering.cancel([1])
    driver.backend.queue['1', 2] = ('FAILED', 'cancelled', 'CANCELLED')
    for _ in range(5):
        driver.here.now += 1
        driver.tick()
    assert driver.backend.cancelled == [('1', 2)] and sorted(driver.ledger.live) == [0, 2]
    assert driver.ledger.record(1)['error_reason'] == 'cancelled'


@pytest.mark.parametrize('left, proves, forgets, expected', [
    ([1, 3], True, True, 'FAILED'), ([1], True, True, 'FAILED'),
    ([], True, True, 'UNSUBMITTED'),    # the scheduler has forgotten all: as if it had not been submitted
    ([], True, False, 'FAILED'),    # one that forgets nothing
    ([1, 3], False, True, 'UNSUBMITTED')])
def test_a_job_that_somebody_takes_out_of_an_array_that_the_queue_still_has_was_cancelled(
        qmap, left, proves, forgets, expected):
    driver = still(qmap, 'true\n' * 4, Told())
    driver.backend.proves_absence, driver.backend.forgets = proves, forgets
    driver.set(max_running=4)
    driver.backend.queue = {('1', k): ('PENDING', '', 'Priority') for k in range(1, 5)}
    driver.tick()
    driver.here.now += driver.backend.poll_interval
    driver.tick()
    driver.backend.queue = {('1', k): ('PENDING', '', 'Priority') for k in left}
    driver.set(halted=True)
    for _ in range(15):
        driver.here.now += 10
        driver.tick()
    assert module.STATUSES[driver.ledger.status[1]] == expected
    assert expected == 'UNSUBMITTED' or driver.ledger.record(1)['error_reason'] == 'cancelled'
    assert sorted(driver.ledger.live) == [k - 1 for k in left]


@pytest.mark.parametrize('only, reason', [('77', 'memory'), ('78', 'lost')])
def test_accounts_of_a_job_with_another_name_count_for_the_attempt_that_this_job_has_begun(qmap, only, reason):
    driver = still(qmap, 'true\n', Told())
    driver.tick()
    say(driver, '0.1.start', executor_id='77')
    driver.backend.queue = {}
    driver.backend.accounts = lambda tasks: {task: {'reason': 'memory', 'words': 'OUT_OF_MEMORY', 'only': only}
                                             for task in tasks}
    while driver.ledger.live:
        driver.here.now += 10
        driver.tick()
    assert driver.ledger.record(0)['error_reason'] == reason


def test_a_job_that_was_ended_and_says_so_after_it_was_judged_has_failed_for_the_same_reason(qmap):
    driver = still(qmap, 'true ## time=1h\ntrue\n', Told())
    driver.tick()
    say(driver, '0.1.start', executor_id='1')
    driver.tick()
    say(driver, '0.1.why', reason='time', words='ran over its time')
    driver.backend.queue = {('2', 0): ('RUNNING', '', '')}
    driver.here.now += 1
    ended = driver.here.time()
    for _ in range(4):
        driver.here.now += driver.backend.grace
        driver.tick()
    assert driver.ledger.record(0)['error_reason'] == 'time' and not os.path.exists(driver.logs.run + '/0.1.why')
    say(driver, '0.1.end', exit_code=0, time=ended)    # it answered with 0, and that was seen only now
    driver.here.now += 10
    driver.tick()
    assert (driver.ledger.record(0)['status'], driver.ledger.record(0)['error_reason']) == ('FAILED', 'time')
    assert driver.ledger.record(0)['exit_code'] == 0


def test_a_snapshot_knows_what_a_retry_that_was_withdrawn_leaves(qmap):
    driver = still(qmap, 'true\ntrue\n', Told())
    driver.tick()
    say(driver, '0.1.start', executor_id='1.1')
    say(driver, '0.1.end', exit_code=1)
    driver.here.now += 1
    driver.tick()
    driver.backend.answers = ['busy']
    for order in ({'do': 'retry', 'ids': [[0, 0]]}, {'do': 'cancel', 'ids': [[0, 0]]}):
        driver.steering.inbox.drop(order)
        driver.here.now += driver.submitter.GATHER + 1
        driver.tick()
    assert driver.ledger.last_batch == 2 and driver.ledger.record(0)['status'] == 'FAILED'
    path = qmap.path('snapshot')
    places = driver.ledger.compact(path, driver.lease._epoch)
    fresh = driver.plan.ledger((path, driver.lease._epoch))
    fresh.load()
    assert fresh.verify(driver.ledger, places)
    assert fresh.batches == driver.ledger.batches and fresh.batches[1]['live'] == 1


def test_a_job_that_a_copy_of_its_submission_runs_is_not_lost_with_its_own_task(qmap):
    driver = still(qmap, 'true\n', Told())
    driver.tick()
    say(driver, '0.1.start', executor_id='77')
    driver.backend.queue = {('77', 0): ('RUNNING', '', '')}
    for _ in range(4):
        driver.here.now += driver.backend.grace
        driver.tick()
    assert 0 in driver.ledger.live
    driver.backend.queue = {}
    for _ in range(4):
        driver.here.now += driver.backend.grace
        driver.tick()
    assert driver.ledger.record(0)['error_reason'] == 'lost'


@pytest.mark.parametrize('number', [0, -1, '3', None])
def test_how_many_may_run_is_a_whole_number_of_one_or_more(qmap, number):
    driver = still(qmap, 'true\n' * 2, Told())
    id = driver.steering.inbox.drop({'do': 'max-running', 'number': number})
    driver.tick()
    assert driver.ledger.obeyed[id].startswith('the driver does not know this order; ') and driver.max_running == 4
    driver.steering.inbox.drop({'do': 'max-running', 'number': 3})
    driver.here.now += driver.LOOK
    driver.tick()
    assert driver.max_running == 3


class Hanging(Told):
    """A scheduler of which the answers are given when a test says so.

    Attributes:
        held: kinds of questions that are not answered for now
    """

    answers_at_once = False

    def __init__(self, answers=()):
        super().__init__(answers)
        self.held = {}

    def hold(self, kind):
        """Answer no question of a kind, until the event that this returns is set."""
        self.held[kind] = threading.Event()
        return self.held[kind]

    def _when_told(self, kind, answer, *arguments):
        if kind in self.held:
            self.held[kind].wait(60)
        return answer(*arguments)

    def submit(self, *arguments):
        return self._when_told('submit', super().submit, *arguments)

    def poll(self, ids):
        return self._when_told('poll', super().poll, ids)

    def accounts(self, tasks):
        return self._when_told('accounts', super().accounts, tasks)


def tick_until(driver, is_so, seconds=1):
    """Let time pass for a driver until something is so: for the clock, and for those who answer."""
    for _ in range(1000):
        driver.here.now += seconds
        driver.tick()
        if is_so():
            return
        module.time.sleep(0.01)
    raise AssertionError(is_so)


def test_a_queue_that_does_not_answer_keeps_nothing_else_waiting(qmap):
    driver = still(qmap, 'true\n' * 6, Hanging())
    released, accounts = driver.backend.hold('poll'), driver.backend.hold('accounts')
    tick_until(driver, lambda: driver.asker.under_way('poll'))
    for number in range(6):    # each makes room for another
        tick_until(driver, lambda: number in driver.ledger.live)
        say(driver, '{}.1.start'.format(number), executor_id='1.{}'.format(number))
        say(driver, '{}.1.end'.format(number), exit_code=0)
        tick_until(driver, lambda: driver.counts()['COMPLETED'] == number + 1)
    assert driver.asker.under_way('poll') and driver.asker.under_way('accounts')
    beat = module.read_json(driver.logs.driver)['beat']
    tick_until(driver, lambda: module.read_json(driver.logs.driver)['beat'] > beat)
    released.set()
    accounts.set()


def test_free_places_are_gathered_also_where_jobs_end_while_a_submission_is_under_way(qmap):
    driver = still(qmap, 'true\n' * 9, Hanging())
    tick_until(driver, lambda: driver.ledger.batches and driver.ledger.batches[1].get('id'))

    def end_job(number):
        say(driver, '{}.1.start'.format(number), executor_id='1.{}'.format(number + 1))
        say(driver, '{}.1.end'.format(number), exit_code=0, memory=0, time=driver.here.time() + 200)

    answer = driver.backend.hold('submit')
    end_job(0)
    end_job(1)
    tick_until(driver, lambda: len(driver.ledger.batches) == 2)
    end_job(2)
    tick_until(driver, lambda: len(driver.ledger.live) == 3, 0.1)
    answer.set()
    tick_until(driver, lambda: driver.ledger.batches[2].get('id'), 0.1)
    for _ in range(3):
        driver.here.now += 1
        driver.tick()
        module.time.sleep(0.01)
    assert len(driver.ledger.live) == 3
    tick_until(driver, lambda: len(driver.ledger.live) == 4)


def test_an_answer_of_the_queue_says_nothing_of_what_was_submitted_since(qmap):
    driver = still(qmap, 'true\n' * 6, Hanging())
    driver.backend.queue = {('1', k): ('RUNNING', '', '') for k in (1, 2, 3)}
    tick_until(driver, lambda: len(driver.ledger.batches) == 1 and driver.ledger.batches[1].get('id'))
    released = driver.backend.hold('poll')
    tick_until(driver, lambda: driver.asker.under_way('poll'))
    driver.set(max_running=6)
    tick_until(driver, lambda: driver.ledger.batches.get(2, {}).get('id'))
    released.set()
    tick_until(driver, lambda: driver.attempts.by_key.get('3.1') and driver.attempts.by_key['3.1'].gone, 0)
    gone = {key for key, attempt in driver.attempts.by_key.items() if attempt.gone}
    assert gone == {'3.1'} and driver.ledger.live[5]['batch'] == 2


def test_while_a_submission_is_not_answered_jobs_are_heard_and_orders_obeyed(qmap):
    driver = still(qmap, 'true\n' * 6, Hanging())
    released = driver.backend.hold('submit')
    tick_until(driver, lambda: driver.asker.under_way('submit'))
    say(driver, '0.1.start', executor_id='77')
    say(driver, '0.1.end', exit_code=0)
    driver.steering.inbox.drop({'do': 'cancel', 'ids': [[1, 1]]})
    tick_until(driver, lambda: driver.counts()['COMPLETED'] == 1 and driver.ledger.cancelled)
    assert not driver.backend.cancelled and driver.ledger.batches[1].get('id') is None
    released.set()
    tick_until(driver, lambda: driver.backend.cancelled)
    assert driver.backend.cancelled == [('1', 2)]


def test_a_submission_that_is_not_answered_before_the_driver_leaves_is_found_by_its_name(qmap):
    driver = still(qmap, 'true\n' * 2, Hanging())
    released = driver.backend.hold('submit')
    tick_until(driver, lambda: driver.asker.under_way('submit'))
    driver._finish()
    driver.lease.release()
    assert driver.here.now < 1100
    released.set()
    again = module.Driver(driver.logs, driver.plan, Told(), Still())
    again.backend.names = {driver.ledger.batches[1]['name']: '5'}
    assert again.lead()
    again.tick()
    assert again.ledger.batches[1]['id'] == '5' and len(again.ledger.live) == 2


def test_an_answer_that_is_not_understood_is_shown(qmap):
    driver = still(qmap, 'true\n', Told())
    driver.backend.poll = lambda ids: driver.backend.ask(
        ['bash', '-c', 'echo "Invalid field specs jobindex" >&2; exit 99']) and None
    driver.tick()
    driver.here.now += 30
    driver.tick()
    assert 'no usable answer from scripted since' in driver.trouble
    assert driver.trouble.endswith(': Invalid field specs jobindex')


class Choosy(Told):
    """A scheduler that answers by what jobs ask for.

    Attributes:
        reply: function of the parameters that returns an outcome
        asked: list of (when, memory) of all submissions
    """

    def __init__(self, here, reply):
        super().__init__()
        self.here, self.reply, self.asked = here, reply, []
        self.ids = map(str, itertools.count(1))

    def submit(self, script, name, count, params, output):
        self.asked.append((self.here.now, params.get('memory', 0) >> 30))
        outcome = self.reply(params)
        return (outcome, self.run(script, name, count) if outcome == 'ok' else 'strange words')


def choosy(qmap, text, reply):
    """Return a driver that leads, of which the scheduler is Choosy."""
    here = Still()
    driver = execution(qmap, text, Choosy(here, reply), here)
    driver.lead()
    return driver


def live_lines(driver):
    return sorted(driver.ledger.live)


def pass_time(driver, seconds, step=1):
    """Let time pass, with looks in between."""
    for _ in range(int(seconds / step)):
        driver.here.now += step
        driver.tick()


def test_what_the_scheduler_does_not_take_holds_up_nothing_else(qmap):
    text = 'true ## memory=1G\n' * 6 + 'true ## memory=2G\ntrue ## memory=3G\n' + 'true\n' * 3
    driver = choosy(qmap, text, lambda params: 'busy' if params.get('memory') else 'ok')
    pass_time(driver, 15)
    assert live_lines(driver) == [8, 9, 10]
    assert 'scripted: strange words (memory = 1G); strange words (memory = 2G)' in driver.trouble
    driver.backend.reply = lambda params: 'ok'
    driver.plan.info['max_running'] = 11
    pass_time(driver, 300)
    assert len(driver.ledger.live) == 11 and driver.trouble == ''


def test_a_scheduler_that_takes_nothing_is_not_asked_more_often_for_jobs_that_ask_for_different_things(qmap):
    text = ''.join('true ## memory={}G\n'.format(number) for number in range(1, 41))
    driver = choosy(qmap, text, lambda params: 'busy')
    driver.plan.info['max_running'] = 40
    driver.tick()
    pass_time(driver, 600)
    assert len(driver.backend.asked) < 40
    driver.backend.reply = lambda params: 'ok'
    pass_time(driver, 600)
    assert len(driver.ledger.live) == 40


def test_a_scheduler_that_fails_is_not_asked_for_all_that_it_has_taken_before(qmap):
    text = ''.join('true ## memory={}G\n'.format(number % 20 + 1) for number in range(80))
    driver = choosy(qmap, text, lambda params: 'ok')
    driver.plan.info['max_running'] = 20
    driver.tick()
    assert len(driver.ledger.live) == 20
    driver.plan.info['max_running'] = 80
    driver.backend.reply, driver.backend.asked = lambda params: 'busy', []
    pass_time(driver, 600)
    assert 3 < len(driver.backend.asked) < 40


def test_words_that_nobody_knows_are_a_refusal_of_one_batch_after_some_minutes(qmap):
    driver = choosy(qmap, 'true\n' * 9, lambda params: 'unclear')
    pass_time(driver, 500, 5)
    assert driver.counts()['FAILED'] == 0 and 'strange words' in driver.trouble
    pass_time(driver, 400, 5)
    assert driver.counts()['FAILED'] == 4    # as many as were submitted together at first
    assert driver.ledger.record(0)['error_reason'] == 'submit' and driver.ledger.record(0)['error'] == 'strange words'
    driver.backend.reply = lambda params: 'ok'
    pass_time(driver, 600, 5)
    assert live_lines(driver) == [4, 5, 6, 7]


def test_what_the_scheduler_says_and_nobody_knows_is_in_the_log_once(qmap):
    driver = choosy(qmap, 'true\n', lambda params: 'ok')
    driver.backend.note_unknown('state', 'ODD')
    pass_time(driver, 60, 5)
    driver.asker = module.Asker(driver)    # as the next driver has it, which is told the same, and more
    driver.backend.note_unknown('reason', 'NewReason')
    pass_time(driver, 60, 5)
    text = qmap.read('out', 'execution.log')
    assert [line.rpartition('report it: ')[2] for line in text.splitlines()] == ['state: ODD', 'reason: NewReason']


def test_a_refusal_of_what_was_taken_before_is_not_believed_at_once(qmap):
    driver = choosy(qmap, 'true\n' * 8, lambda params: 'ok')
    driver.tick()
    driver.plan.info['max_running'] = 8
    driver.backend.reply = lambda params: 'refused'
    pass_time(driver, 3000, 30)    # jobs that ask for the same are in the scheduler
    assert driver.counts()['FAILED'] == 0 and len(driver.ledger.live) == 4
    driver.backend.reply = lambda params: 'ok'
    pass_time(driver, 300, 5)
    assert len(driver.ledger.live) == 8


def test_a_driver_that_takes_over_does_not_believe_it_at_once_either(qmap):
    first = choosy(qmap, 'true\n' * 8, lambda params: 'ok')
    first.tick()
    first.lease.release()
    driver = module.Driver(first.logs, first.plan, first.backend, first.here)
    driver.lead(foreign=None)
    driver.plan.info['max_running'] = 8
    driver.backend.reply = lambda params: 'refused'
    pass_time(driver, 3000, 30)
    assert driver.counts()['FAILED'] == 0 and len(driver.ledger.live) == 4


def test_a_refusal_of_what_was_never_taken_is_one(qmap):
    driver = choosy(qmap, 'true\n' * 8, lambda params: 'refused')
    pass_time(driver, 30)
    assert driver.counts()['FAILED'] == 8


# ---- jobs that will never start

NEVER = ('PENDING', '', 'PartitionTimeLimit: requests more time than the partition allows: it will never start')


@pytest.mark.parametrize('ids, is_sound', [
    ([[1, 0]], False), ([[-1, 0]], False), ([[0, 10 ** 9]], True), ([[19, 19]] * 60, True), ([[0, 19]] * 100, False)])
def test_an_order_names_jobs_in_spans_and_hardly_any_twice(qmap, ids, is_sound):
    driver = execution(qmap, 'true\n' * 20, Scripted())
    driver.lead()
    order = {'do': 'cancel', 'ids': ids, 'owner': os.geteuid()}
    if is_sound:
        assert driver.steering._answer(order).events
    else:
        with pytest.raises(ValueError):
            driver.steering._answer(order)


@pytest.mark.parametrize('pull', [0, 2])
def test_jobs_that_will_never_start_fail_after_the_time_that_the_profile_says(qmap, pull):
    driver = still(qmap, 'true\n' * 3, Told())
    driver.backend.give_up = 7200
    driver.plan.info['pull'] = pull
    driver.backend.queue = {('1', 1): NEVER, ('1', 2): NEVER if pull else ('PENDING', '', 'Priority'),
                            ('1', 3): ('PENDING', '', 'Priority')}
    for _ in range(3):
        driver.here.now += 3600
        driver.tick()
        assert driver.counts()['FAILED'] == 0
    driver.here.now += 3700
    driver.tick()
    record = driver.ledger.record(0)
    assert (record['status'], record['error_reason']) == ('FAILED', 'submit')
    assert record['error'] == 'given up after 02:00:00: ' + NEVER[2]
    assert driver.counts()['FAILED'] == (3 if pull else 1)    # of workers that never start, all that they would run
    assert driver.backend.cancelled == [('1', 1)] + ([('1', 2)] if pull else [])
    # Nothing can begin it any more: it is claimed, or its batch is over.
    assert pull or os.path.exists(os.path.join(driver.logs.run, '0.1.start'))


def test_a_job_that_begins_after_all_is_not_given_up(qmap):
    driver = still(qmap, 'true\n', Told())
    driver.backend.give_up = 60
    driver.backend.queue = {('1', 0): NEVER}
    driver.tick()
    driver.here.now += 50
    driver.tick()
    say(driver, '0.1.start', executor_id='1')
    driver.here.now += 50
    driver.tick()
    assert driver.ledger.record(0)['status'] == 'RUNNING' and not driver.backend.cancelled


def test_jobs_that_will_never_start_are_waited_for_unless_the_profile_says_otherwise(qmap):
    driver = still(qmap, 'true\n', Told())
    driver.backend.queue = {('1', 0): NEVER}
    for _ in range(5):
        driver.here.now += 86400
        driver.tick()
    assert driver.ledger.record(0)['status'] == 'PENDING'


def test_what_ended_jobs_used_is_told_also_where_it_cannot_be_written_at_once(qmap, monkeypatch):
    driver = still(qmap, 'true\n', Told(), group=1)
    driver.backend.accounts = lambda tasks: {task: {'memory': 1 << 20, 'cpu': 1.0} for task in tasks}
    driver.backend.queue = {('1', 0): ('RUNNING', '', '')}
    driver.tick()
    say(driver, '0.1.start', executor_id='1')
    say(driver, '0.1.end', exit_code=0)
    write, full = driver.lease._journal.write, [True]

    def write_maybe(events):
        if full and any(event['event'] == 'usage' for event in events):
            full.pop()
            raise OSError(28, 'No space left on device')
        return write(events)

    monkeypatch.setattr(driver.lease._journal, 'write', write_maybe)
    for _ in range(150):
        driver.here.now += 1
        driver.tick()
    assert not full and driver.ledger.record(0)['memory'] == 1 << 20


def test_how_many_commands_were_done_is_told_also_of_a_job_that_is_heard_of_late(qmap):
    driver = execution(qmap, 'true\n' * 2, Told(), Still())
    driver.plan.group = 2
    driver.lead()
    driver.tick()
    say(driver, '0.1.start', executor_id='1')
    with open(os.path.join(driver.logs.run, '0.1.done'), 'w') as target:
        target.write('0\n')
    driver.backend.queue, driver.backend.accounts = {}, lambda tasks: {}
    for _ in range(300):
        driver.here.now += 1
        driver.tick()
    assert driver.ledger.record(0)['error_reason'] == 'lost'
    say(driver, '0.1.end', exit_code=3)
    driver.here.now += 60
    driver.tick()
    assert [driver.ledger.record(0)[key] for key in ('error_reason', 'done')] == ['exit', 1]


def test_that_the_disk_was_full_is_said_once(qmap):
    driver = still(qmap, 'true\n', Told())
    event = {'event': 'end', 'job': '0', 'attempt': 1, 'status': 'FAILED', 'error_reason': 'exit', 'error': ''}
    driver.disk.note_full(driver.here.monotonic())
    for _ in range(2):
        driver.disk.explain([event])
    assert event['error'] == 'the disk of the logs folder was full'
