"""The real runner, killed before each of its commands in turn, and what the real driver makes of it.

    tests/run --points          all points of all scenes; prints how many there are
    python tests/points.py share worker 7 3    every seventh of these scenes, from the fourth on

A scene is a batch that the real driver has submitted, with the script and the list that it wrote. Bash runs that script
with a trap that it calls before each command, also in what it has forked (DEBUG in bash(1)): first to count them, and
then once for each, where it stops and waits for what is to happen to it, see FATES. Then a new driver, by its own
clock, reads the folder and goes on, until all jobs have ended.

The laws: no attempt runs twice. Who has said its end is COMPLETED, and runs no more. All others run again, and none is
lost: only what the queue forgot while it ran, and a driver then kept from beginning, may stay FAILED as lost.
"""

import collections
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import qmap as module    # noqa: E402

#: What happens to a runner that is about to execute a command.
FATES = collections.OrderedDict([
    ('node', 'all that runs there is killed'),
    ('runner', 'the runner is killed; its job goes on for a moment'),
    ('part', 'what the runner has forked is killed; the runner goes on'),
    ('torn', 'a part of what the command is to write is written, then all is killed'),
    ('term', 'it is told to end, as by a scheduler that needs its place'),
    ('beside', 'another copy of the task runs to its end, then this one goes on'),
    ('after', 'all is killed, then the scheduler starts the same task again'),
    ('driver', 'the queue has forgotten it, and a driver does what comes of that; then it goes on'),
])

#: Begins the script behind what the runner does to traps itself: names each command by what has forked the process that
#: is to execute it (the command behind which that was) and its number there.
TRAP = r"""
POINT_AT={at} POINT_TRACE={trace} POINT_TO={to} POINT_FROM={source} POINT_PID=$BASHPID POINT_OF= POINT_N=0
point() {{
    [ "$BASHPID" = "$POINT_PID" ] || POINT_OF=$POINT_OF$POINT_N. POINT_PID=$BASHPID POINT_N=0
    ((++POINT_N))
    [ -z "$POINT_TRACE" ] || builtin printf '%s %s\0' "$POINT_OF$POINT_N" "$BASH_COMMAND" >>"$POINT_TRACE"
    [ "$POINT_OF$POINT_N" = "$POINT_AT" ] || return 0
    builtin echo $BASHPID >"$POINT_TO"
    POINT_AT=
    until [ -n "$POINT_AT" ]; do builtin read -r POINT_AT <"$POINT_FROM"; done
    [ "$POINT_AT" != go ] || return 0
    POINT_TEXT=$(trap - DEBUG; builtin eval "${{BASH_COMMAND%% >[ |]*}}"; builtin echo .)
    builtin eval 'builtin printf %s "${{POINT_TEXT:0:$((${{#POINT_TEXT}} - 1 - POINT_AT))}}"' \
        "$([[ $BASH_COMMAND != *' >'[' |']* ]] || builtin printf '>|%s' "${{BASH_COMMAND##* >[ |]}}")"
    builtin echo torn >"$POINT_TO"
    builtin read -r POINT_AT <"$POINT_FROM"
}}
sleep() {{ command sleep ${{1/#1/0}}; }}
POINT_NOW=${{EPOCHREALTIME:-}}
unset EPOCHREALTIME
EPOCHREALTIME=$POINT_NOW
set -T
trap 'point "$@"' DEBUG
"""

#: Commands that write something that others read, as bash writes them.
WRITES = re.compile(r'(printf (?!-v)(?!"\$torn")|times)(?!.*[0-9]?>&)', re.DOTALL)
#: How many characters are missing of what is torn; all of a line but its end, its last field, half of it...
MISSING = (1, 2, 3, 12, 40)


class Broken(AssertionError):
    """A law does not hold."""


class Clock(module.Host):
    """A process by whose clock no time passes but where it waits, up to some hours of work."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def rest(self, seconds):
        self.now += seconds

    def sleep(self, seconds):
        self.now += max(0.01, seconds)
        if self.now > 20000:
            raise Broken('the driver does not come to an end')


class Stage(module.Backend):
    """A scheduler that runs what it is given at once. It knows what became of the tasks of the first batch.

    Attributes:
        calls: list of (script, number of tasks) of the submissions
        fates: {task: what the accounts say of it}
    """

    name = title = 'stage'
    task_variable, id_variable = 'STAGE_K', 'STAGE_ID'
    answers_at_once = True
    grace, poll_interval = 5, 2

    def __init__(self, fates=None):
        super().__init__({})
        self.calls, self.fates, self._running = [], dict(fates or {}), {}

    def job_cmd(self, *args):
        return 'stage'

    def task_name(self, task):
        return '{}.{}'.format(*task)

    def submit(self, script, name, count, params, output):
        self.calls.append((script, count))
        id = str(len(self.calls) + bool(self.fates))
        if self.fates:
            for k in range(1, count + 1):
                self._running[id, k if count > 1 else 0] = self.start(script, k, id)
        return 'ok', id

    def start(self, script, k, id):
        """Start a task, and return its process."""
        environ = dict(module.job_environment(), **{self.task_variable: str(k), self.id_variable: id})
        return subprocess.Popen(['bash', script], env=environ, start_new_session=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def find(self, name):
        return ''

    def poll(self, ids):
        for task, process in self._running.items():
            self.fates[task] = {'status': 'FAILED' if process.wait() else 'COMPLETED'}
        self._running = {}
        return {}

    def accounts(self, tasks):
        return {task: self.fates[task] for task in tasks if task in self.fates}

    def cancel(self, tasks, counts):
        pass


class Slots(Stage):
    """As this machine: it has no ids, and short jobs share a shell."""

    id_variable = 'STAGE_NO_ID'
    starts_jobs = takes_back = True

    def start(self, script, k, id):
        return super().start(script, k, '')


#: The backend, the sizes of the chunks, what is different from the defaults, and what else a job does.
SCENES = collections.OrderedDict([
    ('task', (Stage, [1], {}, 'true; ')),
    ('long', (Stage, [1], {}, ': {}; '.format('x' * 40000))),    # its script goes to a file
    ('share', (Slots, [3], {'max_running': 1}, '')),
    ('worker', (Stage, [2, 1], {'pull': 1, 'max_running': 1}, '')),
    # Its jobs have a time of their own; it is told to leave out the second one, which is then another's.
    ('orders', (Stage, [2], {'pull': 1, 'max_running': 1}, '')),
])


class Scene:
    """A batch that was submitted, and has not begun.

    Attributes:
        name: of the scene
        folder: where all lies; its jobs write to `ran` there that they begin and end
        points: {name: the command} of its runner
    """

    #: A job says that it begins, and that it ends.
    JOB = 'echo "begins $QMAP_JOB.$QMAP_ATTEMPT" >>ran; {}echo "ends $QMAP_JOB.$QMAP_ATTEMPT" >>ran{}\n'

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.stage, sizes, self.changes, middle = SCENES[name]
        self.params = {'time': '2h'} if name == 'orders' else {}
        self.logs = module.Logs(os.path.join(folder, 'out'))
        self.ran, self.kept = os.path.join(folder, 'ran'), os.path.join(folder, 'kept')
        self._to, self._from = (os.path.join(folder, name) for name in ('to', 'from'))
        for path in (self._to, self._from):
            os.mkfifo(path)
        self._heard, self._told = (os.open(path, os.O_RDWR | os.O_NONBLOCK) for path in (self._to, self._from))
        self._submit(self.JOB.format(middle, ' ## time=1h' if name == 'orders' else '') * sum(sizes), sizes)
        self.points = self._count()

    def close(self):
        """Close what is open."""
        os.close(self._heard)
        os.close(self._told)

    def _driver(self, stage):
        """Return a driver that leads."""
        plan = module.Plan(self.logs)
        plan.info.update(self.changes)
        driver = module.Driver(self.logs, plan, stage, Clock())
        driver.lead(idle=True)
        return driver

    def _submit(self, text, sizes):
        """Make the execution, have its jobs submitted in chunks of these sizes, and lose the driver."""
        path, here, jobs = os.path.join(self.folder, 'jobs.map'), os.getcwd(), sum(sizes)
        module.write_text(path, text)
        os.chdir(self.folder)
        try:
            module.Request(path, profile='local', params=self.params).create(self.logs.path)
        finally:
            os.chdir(here)
        stage = self.stage()
        driver = self._driver(stage)
        if len(sizes) < jobs:    # as where they are short
            driver.submitter.room, driver.submitter.speed = lambda: jobs, lambda: 100
            driver.submitter._chunk_sizes = lambda *_: sizes
        driver.tick()
        driver.tick()
        driver.lease.sync()
        driver.lease.release()
        (self.script, count), = stage.calls
        assert count == 1
        if self.name == 'orders':
            module.write_text(self.logs.run_file('cancel', 1, 1), '1.1 0.1\n')
        shutil.copytree(self.logs.path, self.kept)

    def _restore(self):
        """Bring the folder back to where nothing has begun."""
        shutil.rmtree(self.logs.path)
        shutil.copytree(self.kept, self.logs.path)
        module.remove_file(self.ran)
        for pipe in (self._heard, self._told):    # what nobody came to read
            while select.select([pipe], [], [], 0)[0]:
                os.read(pipe, 1000)

    def _start(self, at='', trace=''):
        """Start the runner, with the trap if there is anything to do at a point."""
        with open(self.script) as source:
            text = source.read()
        if at or trace:
            head, line, rest = text.partition('trap - ERR DEBUG RETURN EXIT\n')
            assert line, 'the runner does not do to traps what it did'
            text = head + line + TRAP.format(at=at, trace=trace, to=self._to, source=self._from) + rest
        # It would wait for a list that is gone: by the time when that was made.
        text = re.sub(r'(\nqmap_begin .* )\d+( "\$)', r'\g<1>0\2', text)
        path = os.path.join(self.folder, 'played' if at or trace else 'copy')
        module.write_text(path, text)
        return self.stage().start(path, 1, '1')

    def _count(self):
        """Return {name: command} of the points of the runner."""
        trace = os.path.join(self.folder, 'trace')
        self._restore()
        self._start(trace=trace).wait()
        with open(trace, errors='replace') as source:
            return collections.OrderedDict(line.split(' ', 1) for line in source.read().split('\0')[:-1])

    def _hear(self, process):
        """Wait for what the runner says at its point, and return it; '' where it has ended without."""
        while True:
            if select.select([self._heard], [], [], 0.002)[0]:
                return os.read(self._heard, 100).decode().strip()
            if process.poll() is not None and not select.select([self._heard], [], [], 0)[0]:
                return ''

    def _tell(self, word):
        os.write(self._told, word.encode() + b'\n')

    def applies(self, point, fate):
        """Tell whether something may happen at a point."""
        if fate == 'part':
            return '.' in point
        return fate != 'torn' or bool(WRITES.match(self.points[point]))

    def cases(self):
        """Return the list of all (point, fate, characters that are missing)."""
        return [(point, fate, missing) for fate in FATES for point in self.points if self.applies(point, fate)
                for missing in (MISSING if fate == 'torn' else (0,))]

    def play(self, point, fate, missing=0):
        """Play what happens at a point, and return whether it was reached.

        Raises:
            Broken: a law does not hold
        """
        self._restore()
        process = self._start(at=point)
        pid = self._hear(process)
        if pid:
            self._befall(process, int(pid), fate, missing)
        code = process.wait()
        if code < 0:
            kill_session(process.pid)
        if fate == 'after':
            self._start().wait()
        said, account = self._said(), {'status': 'FAILED' if code else 'COMPLETED'}
        if code < 0 or fate == 'term':
            account = {'status': 'FAILED', 'reason': 'node' if code < 0 else 'preempted', 'words': 'as it is played'}
        driver = self._driver(self.stage({('1', 0): account}))
        driver.drive()
        self._check(driver.ledger, said, fate)
        return bool(pid)

    def _befall(self, process, pid, fate, missing):
        """Let something happen to a runner that stands at a point."""
        if fate == 'torn':
            self._tell(str(missing))
            self._hear(process)
        if fate in ('node', 'torn', 'after'):
            kill_session(process.pid)
        elif fate == 'part':
            os.kill(pid, signal.SIGKILL)
        elif fate == 'runner':
            os.kill(process.pid, signal.SIGKILL)
            if pid != process.pid:
                self._tell('go')
            process.wait()
            until_still(process.pid)
        elif fate == 'term':
            process.terminate()
            self._tell('go')
        elif fate == 'beside':
            self._start().wait()
            self._tell('go')
        elif fate == 'driver':
            driver = self._driver(self.stage({('1', 0): {}}))
            while driver.ledger.left() and driver.here.now < 1100:
                driver.tick()
                driver.here.sleep(1)
            driver.lease.sync()
            driver.lease.release()
            self._tell('go')

    def _said(self):
        """Return {attempt: exit status} of those that have said their end; 143 where they were told to."""
        found = {}
        for name in os.listdir(self.logs.run):
            with open(os.path.join(self.logs.run, name), errors='replace') as source:
                for line in source.read().split('\n')[:-1]:
                    match = re.match(r'e (\d+\.\d+) \{"exit_code":(\d+),.*\} \.$', line)
                    if match:
                        found[match.group(1)] = 143 if '"signal"' in line else int(match.group(2))
        return found

    def begun(self):
        """Return how often each attempt began, as a Counter."""
        try:
            with open(self.ran) as source:
                words = [line.split() for line in source]
        except FileNotFoundError:
            words = []
        return collections.Counter(key for word, key in words if word == 'begins')

    def _check(self, ledger, said, fate):
        """See that the laws hold.

        Args:
            ledger: at the end
            said: as from `_said`, before the last driver began
            fate: what happened
        """
        ran = self.begun()
        for key, count in ran.items():
            if count > 1:
                raise Broken('{} ran {} times'.format(key, count))
        for number in range(ledger.count):
            record, id = ledger.record(number), ledger.id(number)
            words = {key: code for key, code in said.items() if key.partition('.')[0] == id}
            may_fail = set(words.values()) - {0} if fate == 'part' else fate == 'driver' and not words
            if record['status'] != module.COMPLETED and not may_fail:
                raise Broken('{} is {}: {}'.format(id, record['status'], record))
            if record['status'] == module.COMPLETED and not ran[module.key_of(record)]:
                raise Broken('{} is COMPLETED, and did not run'.format(module.key_of(record)))
            done = [key for key, code in words.items() if code == 0]
            if done and done != [module.key_of(record)]:
                raise Broken('{} is done, and went on as {}'.format(done, module.key_of(record)))
            if fate == 'driver' and sum(ran[key] for key in ran if key.partition('.')[0] == id) > 1:
                raise Broken('{} ran in two attempts: {}'.format(id, ran))


def session(pid):
    """Return the living processes of a session."""
    found = []
    for other in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/{}/stat'.format(other), 'rb') as source:
                fields = source.read().rpartition(b')')[2].split()
        except OSError:
            continue
        if int(fields[3]) == pid and fields[0] not in (b'Z', b'X'):
            found.append(int(other))
    return found


def kill_session(pid):
    """Kill all processes of a session, and wait for their end."""
    while True:
        found = session(pid)
        for other in found:
            try:
                os.kill(other, signal.SIGKILL)
            except OSError:
                pass
        if not found:
            return
        time.sleep(0.001)


def until_still(pid):
    """Wait until the jobs of a session have ended, or for a moment."""
    end = time.monotonic() + 0.05
    while session(pid) and time.monotonic() < end:
        time.sleep(0.005)


def play_some(names, stride=1, first=0):
    """Play every `stride`-th case of scenes, and print what there is; return whether the laws hold."""
    good, total, played, missed = True, 0, 0, 0
    for name in names:
        folder = tempfile.mkdtemp(dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
        try:
            scene = Scene(name, folder)
            cases = scene.cases()
            total += len(cases)
            cases = cases[first % stride::stride]
            for case in cases:
                found = play(scene, case)
                good, missed = good and found is not False, missed + (found is None)
            played += len(cases)
            counts = collections.Counter(fate for _, fate, _ in cases)
            print('{}: {} commands; {}'.format(name, len(scene.points), ', '.join(
                '{} {}'.format(count, fate) for fate, count in counts.items())), flush=True)
            scene.close()
        finally:
            shutil.rmtree(folder)
    print('{} of {} points played, {} not reached: {}'.format(
        played, total, missed, 'all laws hold' if good else 'BROKEN'))
    return good and missed <= played / 50


def play(scene, case):
    """Play one case of a scene, and return whether the laws hold; print what does not.

    Returns:
        None where the runner did not come there this time: what watches beside it has its own pace
    """
    point, fate, missing = case
    try:
        return scene.play(*case) or None
    except Broken as error:
        print('{} {} {} {}: {!r}: {}'.format(scene.name, point, fate, missing, scene.points[point][:80], error))
        return False


def main(words):
    """What is given on the command line: see above."""
    numbers = [int(word) for word in words if word.isdigit()]
    return 0 if play_some([word for word in words if word in SCENES] or SCENES, *numbers) else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
