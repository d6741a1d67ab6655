"""`qmap doctor`: whether QMap can be used here; with --torture, what two nodes see of each other."""

import collections
import contextlib
import math
import os
import pkgutil
import re
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

from qmap import (
    Backend, Beat, COMPLETED, FAILED, FILE, Lock, PENDING, Profile, QMapError, RUNNING, __version__,
    absolute_path, load_backend, plural, print_message, quote_shown, shown_path, write_output)
from qmap_backends.tools import torture

#: Seconds for which --torture acts, unless told.
SECONDS = 60

#: Seconds after which what was not seen is not waited for any more.
LIMIT = Beat.SILENCE + 20

#: Seconds for which a job that has ended may stay in the queue, or files in a folder that is removed.
LEAVING = 30

#: Kinds of acts: what they concern, and how late this may be seen. The beat of a driver is a file that is
#: replaced.
KINDS = collections.OrderedDict([
    ('named', ('files opened', Backend.grace)), ('listed', ('files listed', Backend.grace)),
    ('appended', ('lines appended', Backend.grace)), ('replaced', ('files replaced', Beat.SILENCE)),
    ('removed', ('files removed', Backend.grace))])

#: From so many tries on, a lock that was never refused does not exclude.
TRIES = 10

#: Seconds: what is seen later than that is worth a word.
NOTICEABLE = 5

#: Options of a mount that tell of its caches and locks: nfs(5), mount.lustre(8).
MOUNT_OPTIONS = r'nolock|local_lock=.*|(?:no|local)?flock|noac|nocto|ac\w+=\d+|lookupcache=.*'

#: What runs the far half, with the same Python where the node has it.
SCRIPT = r"""#!/bin/bash
for python in {python} python3 python ''; do
    ! "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null || break
done
if [ -z "$python" ]; then
    echo "no Python 3.6 on $HOSTNAME, which the other half of this test needs (jobs do not)"
    exit 1
fi
exec "$python" -I - {folder} {seconds} {limit} <<'END_OF_THE_FAR_HALF'
{text}
END_OF_THE_FAR_HALF
"""

#: What is known of a job of which the scheduler says nothing: it does not answer, or has not got the job.
UNKNOWN = ('', '', '')
LEFT = (COMPLETED, '', 'nothing of it was seen here')

#: Statuses of a job that has ended.
ENDED = COMPLETED, FAILED

#: How a line of `qmap doctor` begins.
OK, NOTE, BAD = 'ok', 'note', 'bad'


def examine(options):
    """Run `qmap doctor`, and return its exit status: 0 QMap can be used, 1 it cannot.

    Raises:
        QMapError: that could not be found out
    """
    folder = absolute_path(options.folder)
    if options.seconds and not options.torture:
        raise QMapError('--seconds: only with --torture')
    if not os.path.isdir(folder):
        raise QMapError('{}: {}'.format(options.folder, 'not a folder' if os.path.exists(folder) else
                                        'no such folder'))
    profile = Profile(options.profile)
    if options.torture:
        return torture_folder(folder, profile, options.seconds or SECONDS)
    lines = [*check_machine(), *check_profile(profile), *check_folder(folder)]
    write_output(None, ('{:5}{}'.format(*line) for line in lines))
    return int(any(mark == BAD for mark, _ in lines))


##############################################################################################################
# What is looked at without --torture
##############################################################################################################

def check_machine():
    """Yield (mark, sentence) about what QMap itself needs."""
    yield OK, 'qmap {}: {}'.format(__version__, FILE)
    yield OK, 'Python {}: {}'.format(sys.version.split()[0], sys.executable)
    try:
        found = subprocess.check_output(['bash', '-c', 'echo "${BASH_VERSION%%(*}"']).decode().strip()
    except (OSError, subprocess.CalledProcessError) as error:
        yield BAD, 'bash: {}'.format(error)
    else:
        is_new = [int(part) for part in re.findall(r'\d+', found)[:2]] >= [4, 2]
        yield OK if is_new else BAD, 'bash {}{}'.format(found, '' if is_new else ': QMap needs 4.2 or newer')
    try:
        from filelock import __version__ as version
        yield OK, 'filelock {}'.format(version)
    except Exception:    # not there, or made for another Python
        yield OK, 'filelock is not installed: flock is used instead'


def check_profile(profile):
    """Yield (mark, sentence) about the profile and its scheduler."""
    for warning in profile.warnings:
        yield NOTE, warning
    name = 'profile {} ({})'.format(profile.name, profile.why)
    if profile.executor == 'local':
        yield OK, '{}: jobs run on this machine'.format(name)
        return
    backend = load_backend(profile.executor, profile.settings)
    fault = backend.extra_fault(profile.settings) or backend.unusable()
    if not fault and backend.find('qmap-doctor') is None:
        fault = '{} does not answer: {}'.format(backend.title, backend.last_answer().message())
    yield BAD if fault else OK, '{}: {}'.format(name, fault or backend.title + ' answers')


def check_folder(folder):
    """Yield (mark, sentence) about a folder in which logs folders are to be."""
    try:
        room = os.statvfs(folder)
        with scratch_folder(folder) as scratch:
            fault, excludes = try_folder(scratch)
    except QMapError as error:
        yield BAD, str(error)
        return
    yield BAD if fault else OK, '{}: {}, {:,.1f} GB free{}'.format(
        shown_path(folder), describe_mount(folder), room.f_bavail * room.f_frsize / 1e9,
        fault and ': ' + fault)
    yield (OK, 'locks exclude the processes of this machine') if excludes else (NOTE, WITHOUT_LOCKS)
    yield NOTE, 'what other nodes see of it: qmap doctor --torture ' + quote_shown(shown_path(folder))


def try_folder(folder):
    """Return what is wrong with a folder, as far as one process can tell, '' for nothing; and whether locks
    exclude."""
    path = os.path.join(folder, 'file')
    torture.make_file(path)
    try:
        torture.make_file(path)
        return 'a file that is there can be made once more (O_EXCL)', False
    except FileExistsError:
        pass
    torture.replace_file(path, b'text')
    with open(path, 'rb') as source:
        if source.read() != b'text':
            return 'a file that was replaced is not the new one', False
    first, second = Lock(path), Lock(path)
    return '', first.acquire() is True and second.acquire() is False


def describe_mount(folder):
    """Return the type of a folder's file system, from where it is mounted if that is another host, and what
    its options tell of caches and locks."""
    folder, found = os.path.realpath(folder), ['', '', 'unknown file system', '']
    try:
        with open('/proc/self/mounts', 'rb') as lines:    # fstab(5): source, place, type, options
            for line in lines:
                words = [os.fsdecode(re.sub(rb'\\(\d{3})', lambda code: bytes([int(code.group(1), 8)]), word))
                         for word in line.split()]
                is_within = os.path.join(folder, '').startswith(os.path.join(words[1], ''))
                if is_within and len(words[1]) >= len(found[1]):    # of several at one place, the last
                    found = words
    except (OSError, IndexError):
        pass
    about = [found[2]] + [option for option in found[3].split(',') if re.match(MOUNT_OPTIONS + r'\Z', option)]
    return ' '.join(about + ['from ' + found[0]] * (':' in found[0] or found[0].startswith('//')))


##############################################################################################################
# --torture
##############################################################################################################

def torture_folder(folder, profile, seconds):
    """Run `qmap doctor --torture`, and return the exit status.

    Args:
        folder: path
        profile: Profile: whether the far half is a process or a job
        seconds: for which both halves act
    """
    is_cluster, shown = profile.executor != 'local', shown_path(folder)
    with handled_signals(signal.default_int_handler), scratch_folder(folder) as scratch:
        script = os.path.join(scratch, 'script')
        other = FarJob(script, profile, seconds) if is_cluster else FarProcess(script)
        try:
            half = torture.Half(scratch, torture.NEAR, seconds)
            half.prepare()
            with open(script, 'w') as target:
                target.write(script_text(scratch, seconds))
            start_whole(other)
            near, far = torture.run_near(half, LIMIT, other.check)
            if far is not None:
                other.settle()
        except OSError as error:
            raise QMapError('{}: {}'.format(shown, error.strerror))
        finally:
            with handled_signals(signal.SIG_IGN):
                other.end()
    if far is None:
        raise QMapError('{}: what the other half said at its end was not seen within {} s; is it the same '
                        'folder on the node?'.format(shown, 3 * LIMIT))
    lines, usable = describe_findings(Findings(near, far), is_cluster)
    title = '{} ({}): {} and {}, {} s'.format(
        shown, describe_mount(folder), near['host'], far['host'] if is_cluster else 'another process',
        seconds)
    write_output(None, [title] + lines)
    return int(not usable)


def start_whole(other):
    """Start the far half; a signal that comes meanwhile counts when it is known what to end."""
    noted = []
    with handled_signals(lambda *given: noted.append(given)):
        other.start()
    if noted:
        raise KeyboardInterrupt


def script_text(folder, seconds):
    """Return the bash script that runs the far half."""
    return SCRIPT.format(
        python=shlex.quote(sys.executable or 'python3'), folder=shlex.quote(folder), seconds=seconds,
        limit=LIMIT, text=pkgutil.get_data('qmap_backends', 'tools/torture.py').decode())


@contextlib.contextmanager
def handled_signals(handler):
    """Have the signals that end a program handled in another way, unless they are ignored."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [(number, signal.signal(number, handler)) for number in numbers
              if signal.getsignal(number) != signal.SIG_IGN]
    try:
        yield
    finally:
        for number, earlier in before:
            signal.signal(number, earlier)


@contextlib.contextmanager
def scratch_folder(folder):
    """Make a folder within another, and remove it at the end with all that is in it.

    Raises:
        QMapError: it cannot be made
    """
    path = os.path.join(folder, 'qmap-doctor.' + os.urandom(4).hex())
    try:
        os.mkdir(path, 0o700)
    except OSError as error:
        raise QMapError('{}: {}'.format(shown_path(folder), error.strerror))
    try:
        yield path
    finally:
        with handled_signals(signal.SIG_IGN):
            remove_folder(path)


def remove_folder(path):
    """Remove a folder with all that is in it, into which a job that was cancelled may still write."""
    end = time.monotonic() + LEAVING
    while os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
        if time.monotonic() > end:
            print_message('warning: {} could not be removed'.format(shown_path(path)))
            return
        if os.path.isdir(path):
            time.sleep(0.1)


class FarProcess:
    """The far half as another process of this machine."""

    def __init__(self, script):
        """
        Args:
            script: path of what it runs
        """
        self._script, self._child = script, None

    def start(self):
        """Start it."""
        with open(output_of(self._script), 'wb') as output:
            self._child = subprocess.Popen(['bash', self._script], stdin=subprocess.DEVNULL, stdout=output,
                                           stderr=output, start_new_session=True)

    def check(self):
        """Raise QMapError if it has ended and was of no use."""
        if self._child.poll():
            raise QMapError('the other half ended: {}'.format(
                last_line(output_of(self._script)) or 'it was killed'))

    def settle(self):
        """Wait until it has ended."""
        self._child.wait()

    def end(self):
        """End it, if it runs."""
        if self._child and self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()


class FarJob:
    """The far half as a job of a scheduler, on another node if there is one."""

    def __init__(self, script, profile, seconds):
        """
        Args:
            script: path
            profile: Profile
            seconds: for which it acts

        Raises:
            QMapError: the profile does not do
        """
        self._script, self._id, self._due, self._gone, self._told = script, None, 0, None, set()
        self._backend = backend = load_backend(profile.executor, profile.settings)
        fault = backend.extra_fault(profile.settings) or backend.unusable()
        if fault:
            raise QMapError('profile {}: {}'.format(profile.name, fault))
        folder, scratch = os.path.split(os.path.dirname(script))
        backend.since, backend.token, backend.folder = time.time(), scratch.rpartition('.')[2], '/' + scratch
        if backend.refuses_unfit:    # others would let it wait for ever where there is no other node
            backend.avoided = {socket.gethostname().partition('.')[0]}
        self._params = {name: profile.params[name] for name in ('queue', 'memory') if name in profile.params}
        self._params.update(cores=1, time=seconds + 5 * LIMIT, working_directory=folder)

    def start(self):
        """Submit it.

        Raises:
            QMapError: it is not taken
        """
        backend = self._backend
        name = backend.job_name('doctor', 1, backend.token)
        try:
            outcome, detail = backend.submit(self._script, name, 1, self._params, self._script)
        except ValueError as error:
            outcome, detail = 'refused', str(error)
        self._id = detail if outcome == 'ok' else None
        if outcome == 'silent':
            self._id = backend.find(name) or None
        if self._id is None:
            raise QMapError('{}: {}'.format(backend.title, detail))
        print_message('{} job {} is the other half; waiting for it (Ctrl-C cancels it)'.format(
            backend.title, self._id))

    def _ask(self):
        """Return (status, reason, message) of the job: UNKNOWN where the scheduler does not answer, and LEFT
        where the job is not in the queue."""
        answer = self._backend.poll([self._id])
        return UNKNOWN if answer is None else answer.get((self._id, 0), LEFT)

    def check(self):
        """Ask the scheduler now and then; raise QMapError if the job has ended and nothing more can come."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + min(10, self._backend.poll_interval)
        status, _, message = self._ask()
        if status in ENDED:
            self._gone = self._gone or now
            if status == FAILED or now - self._gone > LIMIT:
                raise QMapError('job {} ended: {}'.format(
                    self._id, last_line(output_of(self._script)) or message))
        elif status not in self._told:
            self._told.add(status)
            if status == RUNNING:
                print_message('job {} is running'.format(self._id))
            elif status == PENDING and message:
                print_message('job {} is pending: {}'.format(self._id, message))

    def settle(self):
        """Wait until it has left the queue: a scheduler may write its output only then."""
        end = time.monotonic() + LEAVING
        while self.is_queued() and time.monotonic() < end:
            time.sleep(1)

    def is_queued(self):
        """Tell whether it has not ended, as far as is known."""
        return self._ask()[0] not in ENDED

    def end(self):
        """End it, if it is in the queue."""
        if self._id is not None and self.is_queued():
            self._backend.cancel([(self._id, 0)], {self._id: 1})
            self.settle()


def output_of(script):
    """Return the path of what the far half prints."""
    return script + '.0'


def last_line(path):
    """Return the last line of a file that says something, '' for none."""
    try:
        with open(path, 'rb') as source:
            lines = source.read().decode('utf-8', 'replace').split('\n')
    except OSError:
        return ''
    return next((line.strip() for line in reversed(lines) if line.strip()), '')


##############################################################################################################
# What --torture has found
##############################################################################################################

class Findings:
    """What the reports of both halves say.

    Attributes:
        hosts: the names of both hosts
        late: {kind: sorted list of the seconds after which acts were seen}, at the most
        unseen: {kind: number of acts that were never seen}
        faults: {kind: {what was seen that never should be: how often}}
        claims: number of files that were claimed
        doubled: number of those that both halves made
        unowned: number of those of which neither half was told that it made them
        taken, refused: how often the lock was got, and found to be taken
        overlaps: number of times that both halves had it
        lock_error: why locks do not work, '' where they do
        doubt: seconds by which what is in `late` may be too much
    """

    def __init__(self, near, far):
        """
        Args:
            near, far: dicts, as of `Half.tell`
        """
        self.hosts = near['host'], far['host']
        there, back = (list(delays_of(*pair)) for pair in ((near, far), (far, near)))
        # The clocks of two machines have nothing in common. But nothing is seen before it is done: the far
        # clock is ahead by no more than the least of `there`, and by no less than minus the least of `back`.
        most, least = min(there, default=0), -min(back, default=0)
        if near['boot'] == far['boot'] and least <= 0 <= most:    # one clock
            most = least = 0
        self.doubt = most - least
        self.late, self.unseen, self.faults = {}, {}, {}
        for kind in KINDS:
            late = [delay - least for delay in delays_of(near, far, [kind])]
            late += [delay + most for delay in delays_of(far, near, [kind])]
            self.late[kind] = sorted(late)
            self.unseen[kind] = sum(max(0, len(one['did'][kind]) - len(other['seen'][kind]))
                                    for one, other in ((near, far), (far, near)))
            self.faults[kind] = sum((collections.Counter(half['faults'][kind]) for half in (near, far)),
                                    collections.Counter())
        self.claims = max(near['won'] + far['won'], default=0)
        won = [set(half['won']) for half in (near, far)]
        self.doubled, self.unowned = len(won[0] & won[1]), self.claims - len(won[0] | won[1])
        self.taken, self.refused = len(near['held'] + far['held']), near['refused'] + far['refused']
        self.lock_error = near['lock_error'] or far['lock_error']
        self.overlaps = count_overlaps(near['held'], far['held'], (most + least) / 2, self.doubt / 2)

    def worst(self, kind):
        """Return after how many seconds the last act of a kind was seen, infinity where some never were."""
        return math.inf if self.unseen[kind] or not self.late[kind] else self.late[kind][-1]

    def excludes(self):
        """Tell whether locks exclude."""
        was_refused = self.refused or self.taken < TRIES
        return bool(was_refused and not self.lock_error and not self.overlaps)


def delays_of(doer, watcher, kinds=KINDS):
    """Yield the seconds from each act to where it was first seen, each on its own clock.

    Args:
        doer, watcher: reports of two halves
        kinds: those that count
    """
    for kind in kinds:
        pairs = list(zip(doer['did'][kind], watcher['seen'][kind]))
        for did, seen in pairs[watcher['unwatched'].get(kind, 0):]:
            yield seen - did


def count_overlaps(near, far, offset, doubt):
    """Return how many spans of time certainly have a part in common with one of the others.

    Args:
        near, far: lists of (from, to), each on its own clock
        offset: seconds that the far clock is ahead, give or take
        doubt: seconds
    """
    spans = [(start - offset, end - offset) for start, end in far]
    return sum(any(min(end, other[1]) - max(start, other[0]) > doubt for other in spans)
               for start, end in near)


WITHOUT_LOCKS = ('locks do not exclude: QMap does not rely on them, but replaces a driver on another host '
                 'only after three minutes of its silence; use --takeover only if that driver is dead')


def describe_findings(found, is_cluster):
    """Return what was found as a list of lines, and whether QMap can be used.

    Args:
        found: Findings
        is_cluster: whether the far half was a job
    """
    lines = ['{:20}{:>10}{:>10}{:>8}'.format('seen by the other', 'typical', 'worst', 'times')]
    for kind, (title, _) in KINDS.items():
        late, worst = found.late[kind], found.worst(kind)
        lines.append('{:20}{:>10}{:>10}{:>8,}'.format(
            title, seconds_text(statistics.median(late)) if late else '-',
            seconds_text(worst) if worst < math.inf else '> {} s'.format(LIMIT), len(late)))
    broken = found.doubled + found.unowned
    lines.append('{:20}{}, each made by {}'.format(
        'claims (O_EXCL)', plural(found.claims, 'file'),
        'one, but for {:,}'.format(broken) if broken else 'one'))
    lines.append('{:20}{}'.format('locks (flock)', describe_locks(found)))
    faults, notes = list(find_faults(found)), list(find_notes(found, is_cluster))
    lines += ['bad   ' + fault for fault in faults] + ['note  ' + note for note in notes]
    lines.append('QMap {} here'.format('should not be used' if faults else 'can be used'))
    return lines, not faults


def describe_locks(found):
    """Return in a few words what locks do."""
    if found.lock_error:
        return 'do not work: ' + found.lock_error
    return '{}: taken {}, refused {}{}'.format(
        'exclude' if found.excludes() else 'do not exclude', plural(found.taken, 'time'),
        plural(found.refused, 'time'),
        ', held by both {}'.format(plural(found.overlaps, 'time')) if found.overlaps else '')


#: What comes of kinds of acts that are seen too late.
HARM = collections.OrderedDict([
    (('named', 'listed', 'appended'), 'jobs that have ended are called lost'),
    (('removed',), 'a job could run twice'), (('replaced',), 'a driver that lives seems dead')])


def find_faults(found):
    """Yield what keeps QMap from being used, and what to do."""
    elsewhere = 'give logs folders of another file system'
    if found.doubled:
        yield 'both made the same file (O_EXCL), {}: a job could run twice; {}'.format(
            plural(found.doubled, 'time'), elsewhere)
    if found.unowned:
        yield 'neither was told that it made a file (O_EXCL), {}: jobs could be lost; {}'.format(
            plural(found.unowned, 'time'), elsewhere)
    for kinds, harm in HARM.items():
        bad = [kind for kind in kinds if found.worst(kind) > KINDS[kind][1]]
        if bad:
            yield '{}: seen too late, QMap waits for {} s: {}; shorten the caches of the mount (NFS: ' \
                'actimeo), or {}'.format(
                    ', '.join(KINDS[kind][0] for kind in bad), KINDS[bad[0]][1], harm, elsewhere)
    for kind, faults in found.faults.items():
        if faults:
            seen = ', '.join('{} {}'.format(fault, plural(faults[fault], 'time')) for fault in sorted(faults))
            yield '{}: {}: what QMap has written may be read wrongly; {}'.format(
                KINDS[kind][0], seen, elsewhere)


def find_notes(found, is_cluster):
    """Yield what one should know, and what to do."""
    worst = max(map(found.worst, KINDS))
    if NOTICEABLE < worst < math.inf:
        yield 'the ends of jobs and orders of `control` may be noticed up to {} late'.format(
            seconds_text(worst))
    if found.doubt > NOTICEABLE:
        yield 'all times may be up to {} too long, because little was seen at once; more --seconds ' \
            'help'.format(seconds_text(found.doubt))
    if not found.excludes():
        yield WITHOUT_LOCKS
    if not is_cluster:
        yield 'between two processes of this machine; -p PROFILE tests it with another node'
    elif len(set(found.hosts)) == 1:
        yield 'both halves ran on {}: what two nodes see of each other is not known'.format(found.hosts[0])


def seconds_text(seconds):
    """Return seconds for people: '12 ms', '3.4 s', '75 s'."""
    if seconds < 1:
        return '{:.0f} ms'.format(seconds * 1000)
    return '{:.{}f} s'.format(seconds, int(seconds < 10))
