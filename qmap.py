#!/usr/bin/env python3
"""QMap runs a long list of similar shell commands in parallel, on one machine or through Slurm, Grid Engine
or LSF, throttled so that nobody hogs the cluster, and never loses one.

Five tools: `template` expands wildcards into a jobs map file, `submit` runs the map, `reattach` picks an
execution up again from its logs folder, `info` queries the jobs, `run` runs one command now. `qmap help` is
the manual. From Python:

    import qmap
    execution = qmap.submit('jobs.map', max_running=4, logs='out')
    execution.wait()
    print(execution.counts())

Promised to programs: `submit`, `reattach`, `Execution` and `QMapError`. All else may change from release to
release.

The words: a *map* holds *commands*; a *job* is a command or a group of them; an *attempt* is one run of a
job; a *batch* is what one submission hands over; an *execution* is all of it. The one process that submits is
the *driver*, any other that looks is a *viewer*. What they share lies in the logs folder:

    LOGS/qmap_input            the map, as submitted first
    LOGS/execution.info        JSON: all that concerns the whole execution
    LOGS/<id>.sh               what the job runs; `bash <id>.sh` repeats it by hand
    LOGS/<id>.out  <id>.err    its output, live
    LOGS/<id>.info             JSON: all that is known of the job; made when it is over
    LOGS/execution.log         messages of a driver in the background; what a scheduler says and nobody knows
    LOGS/.qmap/lock            the driver's lock: holds no data, is never removed
    LOGS/.qmap/driver.json     who drives, with a beat that counts up
    LOGS/.qmap/journal.0007    JSON lines, an event each; written by the driver of epoch 7 and by nobody else
    LOGS/.qmap/snapshot.0006   what still counts of the segments up to 6, where most of them was history
    LOGS/.qmap/batch/12        the script that was handed over as batch 12: the runner and a list of attempts
    LOGS/.qmap/batch/12.3      on this machine: the list of the short jobs that its third shell runs in turn
    LOGS/.qmap/batch/12.out.3  what the scheduler itself, or the runner, had to say of its third task
    LOGS/.qmap/run/<id>.<attempt>.start  .end  .done
                               what a job says, written where it runs: that it began, how it ended, and each
                               command of a group that did; merged into the journal and removed
    LOGS/.qmap/run/<id>.<attempt>.why
                               why the driver, or the worker, ended an attempt
    LOGS/.qmap/run/share.<batch>.<k>
                               what several short jobs say that one shell of this machine runs, a line each
    LOGS/.qmap/run/left.<crew>.<k>
                               a worker, which pulled jobs from lists, has said its last word
    LOGS/.qmap/run/home.<crew> the index of the last worker that is still wanted
    LOGS/.qmap/run/cancel.<crew>.<k>
                               the attempt that this worker is to end
    LOGS/.qmap/excluded        the hosts on which workers take no more jobs
    LOGS/.qmap/map.2.<hex>     the map that took the place of the first one, and begins with its commands
    LOGS/.qmap/inbox/          what others tell the driver: a file each, dropped whole, taken once

Nothing that was not written here first is ever done. The driver writes its intent to the journal, and that to
the disk; then it looks whether another has begun a newer segment, which ends it; only then it acts. A new
driver begins its segment before it reads the older ones. So whatever an old one may still do after a sleep,
the new one knows of.

Nothing that a job did not say itself is believed while it may still say it. The runner claims an attempt by
creating `.start` (O_EXCL), and leaves its exit status in `.end`. The claims stay until the script of their
batch is gone, and without that script no copy of the batch that comes late runs anything. So no attempt runs
twice, whoever submits it.
"""

import os
import sys

if __name__ == '__main__':
    # Python looks for modules in the script's folder first of all; with -m, or where PYTHONPATH has an empty
    # part, in the current one. A json.py or queue.py that happens to lie there is not the standard library's.
    try:
        searched_last = ['', os.path.dirname(os.path.realpath(__file__)), os.getcwd()]
    except OSError:    # the current folder was removed
        searched_last = ['', os.path.dirname(__file__)]
    sys.path.sort(key=lambda folder: folder in searched_last)

import array
import collections
import contextlib
import copy
import errno
import io
import itertools
import json
import operator
import re
import shlex
import signal
import stat
import threading
import time
from binascii import crc32

TYPE_CHECKING = False    # for type checkers it is True: the import costs milliseconds
if TYPE_CHECKING:
    import typing    # noqa: F401: for annotations

__version__ = '1.0.0'
__all__ = ['Execution', 'QMapError', 'reattach', 'submit']

#: All that the modules of qmap_backends take from this one.
FOR_TOOLS = (
    '__version__', 'absolute_path', 'as_spans', 'Backend', 'Beat', 'Carried', 'cell_text',
    'change_params', 'check_attempt', 'check_fields', 'COMPLETED', 'cores_of', 'counts_for_people',
    'decode', 'describe_end', 'dropped_numbers', 'encode', 'ENDED_CODES', 'error_line', 'exact_memory',
    'EXECUTION_FIELDS', 'ExecutionReader', 'EXECUTORS', 'FAILED', 'Failures', 'FIELDS', 'FILE',
    'file_name', 'FOLDER_MODE', 'GridEngine', 'Host', 'Inbox', 'is_driven', 'is_final_record',
    'is_record', 'job_environment', 'join_cluster', 'Ledger', 'load_backend', 'Lock', 'Logs', 'Lsf',
    'machine_cores', 'made_by_04', 'Map', 'map_changed', 'memory_text', 'MEMORY_UNITS', 'NAMES',
    'NO_ROOM', 'NoExecution', 'NUMBERS', 'of_types', 'open_folder', 'open_regular', 'OTHER',
    'outdated_sentence', 'PARAMETERS',
    'parse_count', 'parse_id', 'parse_ids', 'parse_parameter', 'parse_statuses', 'peak_text', 'PENDING',
    'Plan', 'plural', 'portions', 'print_bytes', 'print_message', 'print_warnings', 'printable_text',
    'Profile', 'qmap_command', 'QMapError', 'quote_shown', 'read_json', 'read_last_line', 'read_tail',
    'REASONS', 'remove_file', 'retried_numbers', 'RUNNING', 'seems_alive', 'shown_path', 'SKIPPED', 'Slurm',
    'sound_record', 'split_clusters', 'status_changes', 'STATUS_CODES', 'STATUSES', 'stop_session',
    'strict_json', 'time_text', 'UNNEEDED', 'unreadable_error', 'UNSTARTABLE', 'UsageTotals', 'View',
    'whoami', 'with_unmerged', 'write_output', 'write_parameter')

#: The statuses of a job, in the order in which they are shown. The index is what the ledger stores.
STATUSES = ('UNSUBMITTED', 'PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'OTHER')
UNSUBMITTED, PENDING, RUNNING, COMPLETED, FAILED, OTHER = STATUSES
STATUS_CODES = {status: code for code, status in enumerate(STATUSES)}
ENDED_CODES = (STATUS_CODES[COMPLETED], STATUS_CODES[FAILED])
UNLIVE_CODES = (STATUS_CODES[UNSUBMITTED],) + ENDED_CODES

#: Why a job is FAILED.
REASONS = ('exit', 'signal', 'output', 'memory', 'time', 'cancelled', 'node', 'preempted', 'submit', 'lost')

#: What is asked for as if it were a status: jobs that are no longer in the map.
GONE = 'gone'
#: Of jobs that are COMPLETED, as their outputs were there.
UNNEEDED = 'skipped'

#: Those that are nothing the job did: another attempt follows by itself, so many times for a job.
INTERRUPTED, RERUNS = ('node', 'preempted'), 5
#: The exit status of a job that has saved its state, and wants to go on: so many times for a job.
AGAIN, AGAIN_MOST = 85, 100

#: This file, and its folder: qmap_backends lies beside it.
FILE = os.path.realpath(__file__)
FOLDER = os.path.dirname(FILE)

#: Past so many jobs, the files of a thousand of them share a subfolder.
FLAT = 10000


class QMapError(Exception):
    """A mistake that a user can mend, or a folder that QMap will not touch. The message is one line."""


class NoExecution(QMapError):
    """A folder holds no execution.

    Attributes:
        path: of the folder
    """

    def __init__(self, path):
        super().__init__('{}: no execution of QMap in this folder; give its logs folder'.format(path))
        self.path = path


def decode(raw):
    """Return bytes as text in which every byte survives."""
    return raw.decode('utf-8', 'surrogateescape')


def encode(text):
    """Return the bytes of a text that `decode`, the command line or a file name gave."""
    return text.encode('utf-8', 'surrogateescape')


def readable_bytes(text):
    """Return the bytes of a text for people to read, whatever it holds."""
    try:
        return encode(text)
    except UnicodeEncodeError:
        return text.encode('utf-8', 'replace')


def decode_name(text):
    """Return an argument or a file name as `decode` gives text, whatever the locale made of it."""
    return decode(os.fsencode(text))


def file_name(text):
    """Return text as the functions of `os` take it: the opposite of `decode_name`."""
    return os.fsdecode(encode(text))


def absolute_path(path):
    """Return a path as an absolute one.

    Raises:
        QMapError: it is relative, and the current folder was removed
    """
    try:
        return os.path.abspath(path)
    except OSError as error:
        raise QMapError('{}: the current folder does not exist ({}); cd to another one, or give absolute '
                        'paths'.format(path, error.strerror))


def join_characters(text):
    """Return text in which each character is one, also if a locale without UTF-8 made bytes of it."""
    try:
        return decode(encode(text))
    except UnicodeEncodeError:    # half a surrogate pair, which no name holds
        return text


def printable_text(text):
    """Return text of which a terminal shows each character, and obeys none: others are written as in Python.

    Shown are not those that turn the direction of writing, nor what no UTF-8 can be; but what joins letters.
    """
    text = join_characters(text)
    if text.isprintable():
        return text
    import unicodedata
    return ''.join(char if char.isprintable() or char in '\u200c\u200d' or unicodedata.category(char) in (
        'Zs', 'Cn', 'Co') else escape_character(char) for char in text)


def escape_character(char):
    """Return a character as Python writes it; of a byte that is no UTF-8, as bytes are written."""
    code = ord(char)
    if 0xdc80 <= code <= 0xdcff:
        return '\\x{:02x}'.format(code - 0xdc00)
    return char.encode('unicode_escape').decode()


def quote_shown(text):
    """Return text quoted for a shell, in characters that a terminal shows: with $'...' where need be."""
    text = join_characters(text)
    if text.isprintable():
        return shlex.quote(text)
    parts = (char if char.isprintable() and char not in "\\'" else
             ''.join('\\x{:02x}'.format(byte) for byte in encode(char)) for char in text)
    return "$'{}'".format(''.join(parts))


def plural(count, word):
    """Return '1 job', '2 jobs', '12,000 jobs'."""
    return '{:,} {}{}'.format(count, word, '' if count == 1 else 's')


def shown_path(path):
    """Return a path as a person would write it: relative where it is below this folder."""
    try:
        relative = os.path.relpath(path)
    except OSError:    # the current folder was removed
        return path
    if relative.startswith(os.pardir):
        return path
    return os.path.join('.', relative) if relative.startswith('-') else relative


def qmap_command():
    """Return how QMap was called, to be pasted."""
    name = sys.argv[0] if sys.argv and sys.argv[0] else 'qmap'
    if not name.endswith('.py'):
        return os.path.basename(name)
    return 'python3 {}'.format(shlex.quote(name))


def print_message(text):
    """Print a message on standard error, as `print_aside` does."""
    print_aside('qmap: ' + text)


def print_warnings(sentences):
    """Print warnings."""
    for sentence in sentences:
        print_message('warning: {}'.format(sentence))


def print_aside(line):
    """Print a line for people on standard error, whatever the locale. Where it cannot be written, nobody is
    told: the exit status says it, too."""
    try:
        sys.stderr.flush()
        sys.stderr.buffer.write(readable_bytes(printable_text(line) + '\n'))
        sys.stderr.buffer.flush()
    except (OSError, ValueError):
        pass


##############################################################################################################
# Beside this file: the folder qmap_backends, or what a bundle carries of it
##############################################################################################################

#: What to do where there is only this file, which has the verbs of all schedulers, and no more.
MISSING_FOLDER = ('the folder qmap_backends is not beside {}; copy it there, or make one file with '
                  'everything (`qmap bundle FILE` where both are)'.format(os.path.basename(__file__)))


def name_is_free(name):
    """Tell whether no module has this name: neither one that is loaded, nor one that could be."""
    if name in sys.modules:
        return False
    from importlib.util import find_spec
    return find_spec(name) is None


# The modules beside this file say `from qmap import ...`, also where this file is run as a script, or has
# another name. A module of somebody else's that is called qmap keeps its name: see `import_beside`.
if __name__ in sys.modules:
    if __name__ == '__main__' or name_is_free('qmap'):
        sys.modules.setdefault('qmap', sys.modules[__name__])


def backends_there():
    """Tell whether the folder is there."""
    from importlib.util import find_spec
    return find_spec('qmap_backends') is not None


def note_lone_file(executor, quiet):
    """Say what the folder would add, where it is not there.

    Args:
        executor: of the execution that begins, or is picked up
        quiet: whether nobody wants to know
    """
    if not quiet and not backends_there():
        print_message('note: no console, no report{}: {}'.format(
            '' if executor == 'local' else ', no accounting', MISSING_FOLDER))


#: Held while the name of qmap may be lent: executions work in threads.
LOADING = threading.Lock()


def import_beside(name):
    """Return a module of qmap_backends. While it is loaded, the name qmap belongs to this module.

    Raises:
        QMapError: what was loaded before belongs to another copy of this file, whose classes do not fit
        ImportError: it cannot be loaded, or is of another release
    """
    from importlib import import_module
    from types import ModuleType
    with LOADING:
        named = sys.modules.get('qmap')
        if not named or vars(named) is not globals():
            sys.modules['qmap'] = ModuleType('qmap')
            vars(sys.modules['qmap']).update(globals())
        try:
            package = import_module('qmap_backends')
            module = import_module(name)
        finally:
            if named:
                sys.modules['qmap'] = named
            else:
                del sys.modules['qmap']
    taken = getattr(package, 'job_environment', None)
    if taken is not job_environment:
        other = taken.__globals__['FILE'] if taken else package.__file__
        raise QMapError('{}: another copy of QMap is in use in this process, {}; import only one of them'
                        .format(FILE, other))
    return module


def load_module(name, what):
    """Return a module of qmap_backends, None where that folder is not beside this file.

    Args:
        name: of the module
        what: the words of the command line, or of a profile, that need it

    Raises:
        QMapError: the folder is there, and of another release, or of another copy of this file
    """
    if not backends_there():
        return None
    try:
        return import_beside(name)
    except ImportError as error:
        raise other_release(what, error)


def other_release(what, why):
    """Return the QMapError about a folder that does not fit this file, which begins with the arguments."""
    return QMapError('{}: {}; copy {} and qmap_backends together, of one release'.format(
        what, why, os.path.basename(__file__)))


def load_tool(name, what=None):
    """Return a tool, which is a module of qmap_backends.tools.

    Args:
        name: of the module
        what: the words of the command line that need it; None if it can be done without

    Returns:
        the module; None where it cannot be loaded, and can be done without

    Raises:
        QMapError: it cannot be loaded, and is needed
    """
    try:
        tool = load_module('qmap_backends.tools.' + name, what)
    except (OSError, QMapError):
        if what:
            raise
        return None
    if what and not tool:
        raise QMapError('{}: {}'.format(what, MISSING_FOLDER))
    return tool


class Carried:
    """Imports the modules that a bundle carries as text."""

    def __init__(self, payload):
        import base64
        import zlib
        self.sources = json.loads(zlib.decompress(base64.b85decode(payload.replace('\n', ''))).decode())

    def find_spec(self, name, path=None, target=None):
        """Return the spec of a carried module, None for others (importlib.abc.MetaPathFinder)."""
        from importlib.machinery import ModuleSpec
        start = name.replace('.', '/')
        for path, package in ((start + '.py', False), (start + '/__init__.py', True)):
            if path in self.sources:
                return ModuleSpec(name, self, origin=os.path.join(FILE, path), is_package=package)
        return None

    def create_module(self, spec):
        """Leave it to the import system."""
        return None

    def exec_module(self, module):
        """Run the module's text."""
        spec = module.__spec__
        module.__file__ = spec.origin
        source = self.sources[spec.origin[len(FILE) + 1:]]
        exec(compile(source, spec.origin, 'exec'), module.__dict__)

    def get_data(self, path):
        """Return what a file holds that is no module, such as a page of the manual (pkgutil.get_data)."""
        try:
            return self.sources[path[len(FILE) + 1:]].encode()
        except KeyError:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def get_source(self, name):
        """Return the text of a module, for tracebacks."""
        return self.sources[self.find_spec(name).origin[len(FILE) + 1:]]


class Beside:
    """Finds the folder qmap_backends that belongs to this file, however Python was told to look for modules
    (-I, -P, PYTHONSAFEPATH) and whatever else is installed: what a bundle carries, else what lies beside."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Return the spec of qmap_backends, None for others (importlib.abc.MetaPathFinder)."""
        if name != 'qmap_backends':
            return None
        if CARRIED:
            return CARRIED.find_spec(name)
        from importlib.machinery import PathFinder
        found = PathFinder.find_spec(name, [FOLDER])
        return found if found and found.has_location else None    # a folder without __init__.py has none


##############################################################################################################
# Units
##############################################################################################################

MEMORY_UNITS = 'KMGTP'
TIME_UNITS = {'d': 86400, 'h': 3600, 'm': 60, 's': 1}


def parse_memory(text):
    """Return the bytes that '512M', '1.5G', '2T' or '16' (G) stands for.

    Raises:
        ValueError: it is nothing of the kind, with a message that says what is
    """
    match = re.match(r'(\d+(?:\.\d+)?)\s*(?:([KMGTP])i?B?)?$', text.strip(), re.IGNORECASE)
    size = 0
    if match:
        size = int(float(match.group(1)) * 1024 ** (MEMORY_UNITS.index((match.group(2) or 'G').upper()) + 1))
    if not size:
        raise ValueError('invalid memory size; write 512M, 1.5G or 2T (units K M G T P; default G)')
    return size


def memory_text(size):
    """Return bytes as '1.5G', '512M' or '0.3K': at most one decimal, in the largest unit that fits."""
    for power in range(len(MEMORY_UNITS), 0, -1):
        if size >= 1024 ** power:
            value = '{:.1f}'.format(size / 1024 ** power)
            return (value[:-2] if value.endswith('.0') else value) + MEMORY_UNITS[power - 1]
    return '{:.1f}K'.format(size / 1024) if size else '0K'


def peak_text(record):
    """Return the peak memory of a record: '1.5G'; '<43M' if only an upper bound is known; '' for unknown."""
    if record.get('memory'):
        return memory_text(record['memory'])
    below = record.get('memory_below')
    return '<' + memory_text(-(-below // 1024 ** 2) * 1024 ** 2) if below else ''


def exact_memory(size):
    """Return bytes in the largest unit that gives a whole number, as `parse_memory` reads it back."""
    for power in range(len(MEMORY_UNITS), 1, -1):
        if size % 1024 ** power == 0:
            return '{}{}'.format(size // 1024 ** power, MEMORY_UNITS[power - 1])
    return '{}K'.format(-(-size // 1024))


def parse_time(text):
    """Return the seconds that '90m', '2h', '1d', '1h30m', '1:30:00', '2-00:00:00' or '2' (hours) stands for.

    Raises:
        ValueError: it is nothing of the kind, with a message that says what is
    """
    text = text.strip().lower()
    clock = re.match(r'(?:(\d+)-)?(\d+):([0-5]?\d):([0-5]?\d)$', text)
    seconds = 0
    if clock:
        days, hours, minutes, rest = (int(part or 0) for part in clock.groups())
        seconds = days * 86400 + hours * 3600 + minutes * 60 + rest
    elif re.match(r'\d+(\.\d+)?$', text):
        seconds = int(float(text) * 3600)
    elif re.match(r'(\d+(\.\d+)?\s*[dhms]\s*)+$', text):
        seconds = int(sum(float(number) * TIME_UNITS[unit]
                          for number, unit in re.findall(r'(\d+(?:\.\d+)?)\s*([dhms])', text)))
    if not seconds:
        raise ValueError('invalid time; write 90m, 2h, 1d, 1:30:00 or 2-00:00:00 (default unit: hours)')
    return seconds


def time_text(seconds):
    """Return seconds as '00:01:12', or '2-00:00:00' from a day on."""
    days, rest = divmod(int(seconds), 86400)
    text = '{:02d}:{:02d}:{:02d}'.format(rest // 3600, rest // 60 % 60, rest % 60)
    return '{}-{}'.format(days, text) if days else text


def parse_count(text):
    """Return the whole number, 1 or more, that the text stands for.

    Raises:
        ValueError: it is nothing of the kind
    """
    if not re.match(r'0*[1-9]\d{0,8}$', text.strip()):
        raise ValueError('must be a positive integer')
    return int(text)


def parse_number(text):
    """Return the whole number that the text stands for, 0 among them.

    Raises:
        ValueError: it is nothing of the kind
    """
    try:
        return 0 if text.strip() == '0' else parse_count(text)
    except ValueError as error:
        raise ValueError('{} or 0'.format(error))


#: When an execution stops early: after so many failures, or such a percentage of the jobs that have ended,
#: None for the other of the two; now: whether submitted jobs are cancelled as well.
HaltRule = collections.namedtuple('HaltRule', 'now count percent')


def parse_halt(text):
    """Return the HaltRule that 'fail=20', 'fail=5%', 'soon,fail=20' or 'now,fail=1' stands for.

    Raises:
        ValueError: it is nothing of the kind
    """
    match = re.match(r'(?:(now|soon),)?fail=(\d{1,9}|\d{1,3}\.\d+%|\d{1,3}%)$', text.strip())
    number = float(match.group(2).rstrip('%')) if match else 0
    is_part = bool(match) and match.group(2).endswith('%')
    if not 0 < number <= (100 if is_part else 10 ** 9):
        raise ValueError('must be fail=N or fail=N%, or now,fail=N to cancel running jobs as well')
    return HaltRule(match.group(1) == 'now', None if is_part else int(number), number if is_part else None)


#: The signals that the script of a job survives (see `forewarning_lines`, GUARD).
FOREWARNINGS = ('USR1', 'USR2', 'TERM', 'INT', 'HUP', 'QUIT', 'ALRM', 'XCPU')


def parse_signal(text):
    """Return 'USR2@120' for that, 'usr2 @ 120' or 'SIGUSR2@120': a signal, and the seconds before the end of
    a job's time at which it is sent.

    Raises:
        ValueError: it is nothing of the kind
    """
    match = re.match(r'(?:SIG)?([A-Z]+[12]?)\s*@\s*(0*[1-9]\d{0,8})$', text.strip().upper())
    if not match or match.group(1) not in FOREWARNINGS:
        raise ValueError('invalid signal; write USR2@120, the seconds before the time limit; signals: '
                         + ' '.join(FOREWARNINGS))
    return '{}@{}'.format(match.group(1), int(match.group(2)))


def iso_time(seconds):
    """Return a time as ISO 8601 in UTC, '' for none."""
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(seconds)) if seconds else ''


##############################################################################################################
# Files
##############################################################################################################

#: Bytes at the most of a file that is read whole, and of a line of the journal: far more than QMap writes.
LARGEST, LONGEST = 1 << 26, 1 << 28


class NotRegular(OSError):
    """Something else was put where a regular file belongs: a FIFO, a device, a link of another user."""


def open_regular(path):
    """Open a file to read its bytes, whoever may have put something else there.

    A FIFO would keep the reader waiting, a device never end; and a link of another user could lead to a file
    that he may not read himself, of which he would then be shown what the reader shows. Links of the reader's
    own, or to a file of whoever made the link, are followed.

    Raises:
        OSError: it cannot be opened, or is no regular file
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        link = os.lstat(path)
        if not stat.S_ISREG(os.stat(path).st_mode):    # to open a device may do something already
            raise NotRegular(errno.EINVAL, 'not a regular file', path)
        handle = os.open(path, flags)
        if link.st_uid not in (os.geteuid(), 0, os.fstat(handle).st_uid):
            os.close(handle)
            raise NotRegular(errno.EACCES, 'link of another user to a file that is not theirs', path)
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        raise NotRegular(errno.EINVAL, 'not a regular file', path)
    return open(handle, 'rb')


def open_to_append(path):
    """Open a file to add bytes to it: a regular file, and no link that leads to another.

    Raises:
        OSError: it cannot be opened, or is no regular file
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    handle = os.open(path, flags, FILE_MODE)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, 'not a regular file', path)
    return open(handle, 'ab')


#: That a file is not there. Any other error says nothing of what it holds, and must not be taken for that.
ABSENT = (FileNotFoundError, NotADirectoryError)

#: What a write says where there is no room.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def is_there(path):
    """Tell whether a file is there. (os.path.exists says no also where it may not look.)

    Raises:
        OSError: that cannot be found out
    """
    try:
        os.stat(path)
    except ABSENT:
        return False
    return True


@contextlib.contextmanager
def name_in_errors(path):
    """Give the errors of reading an open file its name, which they come without."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or path
        raise


def unreadable_error(error, path):
    """Return the QMapError for a file that cannot be read.

    Args:
        error: OSError
        path: to be named where the error names no file
    """
    return QMapError('{}: {}'.format(error.filename or path, error.strerror or error))


def read_bytes(path):
    """Return what a file holds, None where there is none.

    Raises:
        OSError: it cannot be read
    """
    return read_owned(path)[0]


def read_owned(path):
    """Return what a file holds, None where there is none or something else in its place, and the number of
    the user whose file it is.

    Raises:
        OSError: it cannot be read
    """
    try:
        with name_in_errors(path), open_regular(path) as source:
            there = os.fstat(source.fileno())
            # One byte more than there should be, so that a disk that fails says so.
            return source.read(there.st_size + 1) if there.st_size < LARGEST else None, there.st_uid
    except ABSENT + (NotRegular,):
        return None, None


def parse_json(data):
    """Return what bytes say in JSON, None where they do not (yet)."""
    try:
        value = None if data is None else json.loads(decode(data))
        return json.loads(value['exact']) if isinstance(value, dict) and 'exact' in value else value
    except (ValueError, TypeError, RecursionError):
        return None


def read_json(path):
    """Return what a JSON file holds, None where it is missing, too large or not (yet) whole.

    Raises:
        OSError: it cannot be read
    """
    return parse_json(read_bytes(path))


def of_types(value, types):
    """Return of a dict that was read from a file those items that are what they should be, {} where it is no
    dict: the file may be damaged, or another's.

    Args:
        value: of any kind
        types: {key: type, or tuple of types}
    """
    if not isinstance(value, dict):
        return {}
    return {key: value[key] for key, kind in types.items() if key in value and is_of_type(value[key], kind)}


#: What happens where something in what was read is not what it should be.
UNSOUND = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def is_of_type(value, kind):
    """Tell whether a value is of a type; of a number also whether it is one that can be reckoned with."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind) and not (isinstance(value, (int, float)) and not abs(value) < 1 << 53)


#: A number, in what is read from files.
NUMBER = (int, float)


def write_json(path, value, lasting=False):
    """Replace a JSON file: its readers see the old one or the new one, never half of it.

    Every parser reads it. Where it holds bytes that are not UTF-8, its `exact` is the same once more as a
    text of JSON, in which \\udcNN stands for the byte NN, and `read_json` returns that.

    Args:
        path, value: of the file, and a dict
        lasting: whether that shall be so also where the machine loses its power

    Raises:
        OSError: it could not be written; the old one stands
    """
    replace_file(path, exact_json(value), lasting)


def create_json(path, value):
    """Make a JSON file, as `write_json` does, by one creation and no rename; one that is there already is
    replaced. A crash can leave it torn.

    Raises:
        OSError: it could not be written; there is none, or the old one stands
    """
    data = exact_json(value)
    try:
        write_bytes(path, os.O_EXCL, data)
    except FileExistsError:
        replace_file(path, data)
    except OSError:    # not all of it
        remove_file(path)
        raise


def exact_json(value):
    """Return the bytes of a JSON file that holds a dict, as `write_json` says."""
    text = pretty_json(value)
    if strict_json(text) != text:
        text = strict_json(pretty_json(dict(value, exact=ENCODER.encode(value))))
    return text.encode()


def replace_file(path, data, lasting=False):
    """Replace a file whole.

    Args:
        path, data, lasting: of the file, its bytes, and as for `write_json`

    Raises:
        OSError: it could not be written; the old one stands
    """
    temporary = '{}.tmp{}'.format(path, os.getpid())
    try:
        write_new(temporary, data)
        if lasting:    # a file system may keep the new name without what it stands for
            bring_to_disk(temporary)
        os.replace(temporary, path)
    except OSError:
        remove_file(temporary)
        raise


#: The modes of files and folders that QMap makes, of which the umask takes some away. Not every user may ever
#: write them, because they say what runs.
FILE_MODE, FOLDER_MODE = 0o664, 0o775


def write_new(path, data):
    """Write a file that is not there; one that is there, as of a process that was killed, is removed first,
    and so is a link that would lead elsewhere.

    Raises:
        OSError: it could not be made, or not all of it written
    """
    try:
        write_bytes(path, os.O_EXCL, data)
    except FileExistsError:
        os.unlink(path)
        write_bytes(path, os.O_EXCL, data)


def write_bytes(path, flags, data):
    """Write a file from its beginning: what open() does, in half of its time.

    Raises:
        OSError: it could not be opened, or not all of it written
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, FILE_MODE)
    try:
        done = os.write(handle, data)
        while done < len(data):
            done += os.write(handle, data[done:])
    finally:
        os.close(handle)


def call_all(calls, at_once=1):
    """Call functions, in their order; or several at once, as long as there are threads.

    Args:
        calls: tuples of a function and its arguments
        at_once: how many threads do it; each call may then be made twice

    Raises:
        OSError: as the first of them that failed
    """
    if at_once > 1:
        from concurrent.futures import ThreadPoolExecutor
        # That error says that there is no thread to be had.
        with contextlib.suppress(RuntimeError), ThreadPoolExecutor(at_once) as pool:
            for made in [pool.submit(*call) for call in calls]:
                made.result()
            return
    for call in calls:
        call[0](*call[1:])


def pretty_json(value):
    """Return a dict as JSON, a key on each line: what json.dumps(indent=...) does, in a fifth of its time."""
    lines = ['  "{}": {}'.format(key, text_of(part) if type(part) is str else plain_json(part))
             for key, part in value.items()]
    return '{\n' + ',\n'.join(lines) + '\n}\n'


def plain_json(value):
    """Return the JSON of a value in one line."""
    if value is None:
        return 'null'
    return str(value) if type(value) is int else ENCODER.encode(value)


#: What writes JSON, and a text in it.
ENCODER, text_of = json.JSONEncoder(), json.encoder.encode_basestring_ascii

#: In JSON: a pair of surrogates, which stands for one character; a lone one; any other escape.
ESCAPE = re.compile(r'\\(?:ud[89ab]..\\ud[c-f]..|(ud[89a-f]..)|.)')


def strict_json(text):
    """Return JSON as every parser reads it: a byte that is not UTF-8, which `decode` makes a lone surrogate,
    is U+FFFD in it."""
    if '\\ud' not in text:
        return text
    return ESCAPE.sub(lambda found: '\\ufffd' if found.group(1) else found.group(), text)


def json_text(value):
    """Return a value as JSON that every parser reads."""
    return strict_json(ENCODER.encode(value))


#: What fsync(2) says where a file system or a kind of file has nothing that could be brought to a disk.
NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def sync_file(handle, sync=os.fsync):
    """Wait until an open file is on the disk, where the file system can do that: some network ones cannot.

    Args:
        handle: file descriptor
        sync: os.fsync, or os.fdatasync

    Raises:
        OSError: what was written may not be there
    """
    try:
        sync(handle)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


def bring_to_disk(path):
    """Make a file, or the names in a folder, survive a crash of the machine, where the file system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def space_lacking(path, wanted):
    """Return what a file system has left, where that is too little: '12K' or '3 files'; '' for enough.

    Quotas do not show here (statvfs(3)).

    Args:
        path: of a folder in it
        wanted: bytes; of a small file system an eighth is enough, and a file for each 16K
    """
    try:
        found = os.statvfs(path)
    except OSError:
        return ''
    blocks, files = (found.f_bfree, found.f_ffree) if os.geteuid() == 0 else (found.f_bavail, found.f_favail)
    if blocks * found.f_frsize < min(wanted, found.f_blocks * found.f_frsize // 8):
        return memory_text(blocks * found.f_frsize)
    if files < min(wanted >> 14, found.f_files // 8):    # some file systems count none
        return plural(files, 'file')
    return ''


def read_line(path):
    """Return what a file of the kernel holds, a line without its end; '' where it cannot be read."""
    try:
        with open(path) as source:
            return source.read().strip()
    except OSError:
        return ''


def read_tail(path, size=4096):
    """Return the end of a file as text, '' where there is none.

    Raises:
        OSError: it cannot be read
    """
    try:
        with name_in_errors(path), open_regular(path) as source:
            source.seek(0, os.SEEK_END)
            source.seek(max(0, source.tell() - size))
            return decode(source.read(size))
    except ABSENT:
        return ''


def read_last_line(path):
    """Return the last line that a job wrote to a file; of one that cannot be read, why: a job may have done
    anything to its own output, and its end is known all the same."""
    try:
        return last_line(read_tail(path))
    except OSError as error:
        return '{}: {}'.format(path, error.strerror)


def last_line(text):
    """Return the last line of a text that says something, without control characters; '' for none."""
    for line in reversed(text.replace('\r', '\n').split('\n')):
        if line.strip():
            return re.sub(r'\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]', '', line.strip())[-500:]
    return ''


def write_text(path, text):
    """Write a file; one that is there is replaced, so that who is reading it reads on in the old one.

    Raises:
        OSError: it could not be written whole; then it is not there, or the old one is
    """
    written, data = path, encode(text)
    try:
        try:
            write_bytes(path, os.O_EXCL, data)
        except FileExistsError:
            written = '{}.tmp{}'.format(path, os.getpid())
            write_new(written, data)
            os.replace(written, path)
    except OSError:
        remove_file(written)
        raise


def keep_old_file(path, other):
    """Give a file another name, unless it is not there or that name is taken.

    Raises:
        OSError: it cannot be found out, or done
    """
    if is_there(path) and not is_there(other):
        os.rename(path, other)


def remove_file(path):
    """Remove a file that may be gone."""
    try:
        os.unlink(path)
    except OSError:
        pass


##############################################################################################################
# Parameters and map files
##############################################################################################################

class Sizes(int):
    """The first of several numbers, one for each attempt of a job.

    Attributes:
        rungs: all of them
    """

    rungs = ()


class Names(str):
    """The first of several texts, one for each attempt of a job; see `Sizes`."""

    rungs = ()


def read_rungs(kind, text, read):
    """Return the value that a text of a parameter stands for, or the values in it, one for each attempt of a
    job.

    Args:
        kind: Sizes or Names
        text: '4G, 8G', or with units '4G,8G': in '4,5G' the comma is that of a fraction
        read: function that reads one

    Raises:
        ValueError: one is wrong, or is not larger than the one before
    """
    texts = re.split(r',\s+', text.strip())
    if kind is Sizes and len(texts) == 1 and re.match(r'[^,]*[^\d.,][^,]*,', text):
        texts = text.split(',')
    values = [read(part) for part in texts]
    if len(values) == 1:
        return values[0]
    if kind is Sizes and not all(map(int.__lt__, values, values[1:])):
        raise ValueError('each attempt must request more than the one before')
    found = kind(values[0])
    found.rungs = values
    return found


def read_memories(text):
    """Return the bytes of '4G', or of the first attempt in '4G, 8G, 32G', as `read_rungs` does."""
    return read_rungs(Sizes, text, parse_memory)


def read_times(text):
    """Return the seconds of '1h', or of the first attempt in '1h, 6h', as `read_rungs` does."""
    return read_rungs(Sizes, text, parse_time)


def read_queues(text):
    """Return a queue, or that of the first attempt in 'short, long', as `read_rungs` does. The commas in
    'short,long' are for the scheduler, which takes one of these."""
    return read_rungs(Names, text, str)


#: The parameters that may have several values, one for each attempt.
RAISED = ('memory', 'time', 'queue')


def rungs_of(params):
    """Return {parameter: list of its values, one for each attempt}, of those that have several."""
    return {key: params[key].rungs for key in RAISED if getattr(params.get(key), 'rungs', ())}


def plain_values(params):
    """Return parameters with the values of the first attempt alone."""
    return {key: value.rungs[0] if getattr(value, 'rungs', ()) else value for key, value in params.items()}


#: The parameters of a job that name files, with commas between them: what it makes, and of what.
PATHS = OUTPUTS, INPUTS = ('out', 'in')

#: What a job may ask for: how its value is read and written, and what it is.
PARAMETERS = collections.OrderedDict([
    ('cores', (parse_number, str, 'cores for the job')),
    ('memory', (read_memories, exact_memory, 'memory for the job (units K M G T P; default G)')),
    ('time', (read_times, time_text, 'wall time limit (90m, 2h, 1d, 1:30:00; default unit: hours)')),
    ('gpus', (parse_number, str, 'GPUs for the job')),
    ('queue', (read_queues, str, 'queue or partition')),
    ('account', (str, str, 'account or project that is charged')),
    ('qos', (str, str, 'quality of service (Slurm)')),
    ('constraint', (str, str, 'nodes to run on, in the words of the scheduler')),
    ('reservation', (str, str, 'reservation to run in')),
    ('nodes', (parse_count, str, 'number of nodes')),
    ('tasks', (parse_count, str, 'number of tasks (processes)')),
    ('penv', (str, str, 'parallel environment (Grid Engine)')),
    ('signal', (parse_signal, str, 'signal so many seconds before the time is over (USR2@120)')),
    ('again', (parse_number, str, 'how often a job may end with 85, and go on')),
    ('name', (str, str, 'prefix of the job names')),
    ('working_directory', (str, str, 'folder in which the commands run')),
    ('extra', (str, str, 'options for the scheduler, as on its command line')),
    ('retries', (parse_number, str, 'how often a failed job is retried')),
])

#: Those for which jobs are submitted together that have others: the scheduler is not asked for them.
NOT_REQUESTED = ('name', 'working_directory', 'signal', 'again', 'retries')

#: What other tools, and qmap 0.4, call some of them.
SYNONYMS = {'prefix': 'name', 'cpus': 'cores', 'threads': 'cores', 'ram': 'memory', 'mem': 'memory',
            'walltime': 'time', 'acct': 'account',
            'partition': 'queue', 'cwd': 'working_directory', 'workdir': 'working_directory', 'gpu': 'gpus',
            'ngpus': 'gpus', 'accelerator': 'gpus'}

#: Of these, the values that commands have of their own are looked at before anything is submitted.
CHECKED = ('cores', 'gpus', 'qos')

#: No parameter has one of these names: QMap gives QMAP_LINE and so on to jobs itself, reads it, or uses it in
#: the scripts of jobs.
RESERVED = ('line', 'job', 'attempt', 'logs', 'status', 'done', 'wait', 'task', 'profile', 'home',
            'template_base', 'commands', 'i', 'ids', 'post', 'set', 'told', 'state')

SECTIONS = ('pre', 'post', 'params', 'jobs')

HEADER = re.compile(r'\s*\[\s*(\w+)\s*\]\s*$')
#: What was meant for a header: a section's name in brackets with something behind it, or without the second
#: bracket; any name in brackets with a comment or a colon behind it. `[ post = x ]` is a command.
SLIP = re.compile(r'\[\s*({})\s*(?:\]|[#:]|$)|\[(\w+)\]\s*[#:;]'.format('|'.join(SECTIONS)))
#: A line that is a command, nothing else but its identifier, and whole: most lines of a large map.
PLAIN = re.compile(rb'[^\s#\[\\\0][^#\\\0]*(?:\n| ## line=(\d{1,18})\r?\n)\Z')
LINE_ID = re.compile(r'[0-9]{1,18}')
#: What looks like a command's own parameters: `##cores=2`, `## cores = 2`, `## cores 2`, `## sample=x y`.
MEANT = re.compile(r'\s(##+\s*(?:--)?(?:line|{})(?:\s*[=:]|\s+\d).{{,60}}|## [A-Za-z_]\w*=.{{,60}})'.format(
    '|'.join(PARAMETERS)))
#: Options of a scheduler in a script of its own.
DIRECTIVE = re.compile(rb'#(?:SBATCH|BSUB|PBS|SWARM|\$)\s+-')
KEY = re.compile(r'[A-Za-z_]\w*\Z')
NUL_BYTE = 'contains a NUL byte, which no shell can read; save UTF-16 text as UTF-8'
UTF8_MARK = b'\xef\xbb\xbf'
UTF16_MARKS = (b'\xff\xfe', b'\xfe\xff')


def text_start(start, name):
    """Return how many bytes at the start of a text are no part of it: the mark that some editors put there.

    Args:
        start: the first bytes of a file, up to its first line end at least
        name: of the file

    Raises:
        QMapError: it is in UTF-16, of which each other byte is mostly NUL
    """
    if start.startswith(UTF16_MARKS) and b'\0' in start:
        raise QMapError('{}: encoded in UTF-16; save it as UTF-8'.format(name))
    return len(UTF8_MARK) if start.startswith(UTF8_MARK) else 0


def read_header(text):
    """Return the section that a line of a map begins, None where it is none.

    Raises:
        ValueError: the line was meant for a header, and is none
    """
    header, slip = HEADER.match(text), SLIP.match(text.strip())
    found = header.group(1) if header else None
    name = found or (slip.group(2) if slip else None)
    if name and name not in SECTIONS:
        raise ValueError('[{}]: unknown section{}; known sections: {}'.format(
            name, did_you_mean(name, SECTIONS), ' '.join('[{}]'.format(known) for known in SECTIONS)))
    if slip and not header:
        wrong = 'missing closing bracket; write [name]'
        if ']' in text:
            wrong = 'text after a section header; move it to the next line'
        raise ValueError('{}: {}'.format(text.strip(), wrong))
    return found


#: What is said of a name that no parameter may have.
INVALID_NAME = '{}: invalid parameter name; use letters, digits and _, and no digit first'


def check_name(key):
    """Raise ValueError where a parameter must not have this name."""
    if not KEY.match(key):
        raise ValueError(INVALID_NAME.format(key))
    if key.lower() in RESERVED:
        raise ValueError('{}: reserved name (QMap sets QMAP_{} itself); rename the parameter'.format(
            key, key.upper()))
    if key not in PARAMETERS and key.lower() in PARAMETERS:
        raise ValueError('{}: parameter names are in lower case; write {}'.format(key, key.lower()))


def check_case(keys):
    """Raise QMapError where two names of parameters differ in case only: they would be one variable."""
    seen = {}
    for key in keys:
        other = seen.setdefault(key.upper(), key)
        if other != key:
            raise QMapError('{} and {}: both become QMAP_{}; use one spelling'.format(
                other, key, key.upper()))


def read_parameter(key, value):
    """Return the value of a parameter as it is kept: numbers, bytes and seconds as int, all else as text.

    Raises:
        ValueError: the value cannot be read; the message says what would be right
    """
    if not KEY.match(key):
        raise ValueError(INVALID_NAME.format(key))
    if key not in PARAMETERS:
        return value
    try:
        return PARAMETERS[key][0](value)
    except ValueError as error:
        raise ValueError('{} = {}: {}'.format(key, value, error))


def write_parameter(key, value):
    """Return the value of a parameter as text that `read_parameter` reads."""
    if key not in PARAMETERS:
        return value
    return ', '.join(map(PARAMETERS[key][1], getattr(value, 'rungs', ()) or [value]))


def split_paths(text):
    """Return the list of the paths in the value of a parameter in PATHS: `\\,` is a comma within one."""
    parts = re.split(r'(?<!\\),', text)
    return [part.strip().replace('\\,', ',') for part in parts if part.strip()]


def check_paths(key, value):
    """Raise ValueError where the value of a parameter in PATHS is one for a shell, which never sees it."""
    text = value.replace('${QMAP_LINE}', '')
    if '$' in text or '`' in text or any(path.startswith('~') for path in split_paths(text)):
        raise ValueError('{} = {}: no shell reads this; write paths without variables and ~ (${{QMAP_LINE}} '
                         'is known)'.format(key, value))


def is_made(outputs, inputs):
    """Tell whether files are there that are not empty, or folders with something in them, and none is older
    than one of the inputs, which are all there.

    Args:
        outputs, inputs: lists of paths
    """
    try:
        made = [os.stat(file_name(path)) for path in outputs]
        for path, there in zip(outputs, made):
            if not (os.listdir(file_name(path)) if stat.S_ISDIR(there.st_mode) else there.st_size):
                return False
        newest = max((os.stat(file_name(path)).st_mtime_ns for path in inputs), default=0)
    except (OSError, ValueError):
        return False
    return all(there.st_mtime_ns >= newest for there in made)


def foreign_parameters(keys):
    """Return the warnings about parameters that QMap does not know, and that look like ones that it does."""
    hints = ((key, meant_parameter(key, PARAMETERS)) for key in keys
             if key not in PARAMETERS and not key.endswith('_'))    # as `name_`, which is not meant to be `name`
    return ['unknown parameter {}{}; passed to jobs as QMAP_{}'.format(key, hint, key.upper())
            for key, hint in hints if hint]


def meant_parameter(key, known):
    """Return ' (did you mean that one?)' for a name like a known one, or that other tools have; else ''."""
    near = SYNONYMS.get(key.lower().replace('_', ''))
    return ' (did you mean {}?)'.format(near) if near else did_you_mean(key.lower(), known, likeness=0.75)


def did_you_mean(word, known, mark='', kind='', likeness=0.61):
    """Return ' (did you mean that one?)' where there is a word like this among those that are known, else ''.

    Args:
        word: text
        known: iterable of texts
        mark: what stands before the word that is meant
        kind: of what the words are names: tool, order, status or field; other tools have other names for them
        likeness: at least, from 0 to 1
    """
    from difflib import get_close_matches
    slips = load_tool('slips') if kind else None
    near = slips.SYNONYMS[kind].get(word.lower(), '') if slips else ''
    near = near or ''.join(get_close_matches(word, known, 1, likeness))
    return ' (did you mean {}{}?)'.format(mark, near) if near else ''


def split_own(text):
    """Split a command from its own parameters.

    Only where all that follows the last ' ## ' is key=value are these parameters.

    Returns:
        (command, list of (key, value as text))
    """
    command, mark, tail = text.rpartition(' ## ')
    if not mark or '=' not in tail:
        return text, []
    try:
        words = shlex.split(tail)
    except ValueError:
        return text, []
    if not all('=' in word and KEY.match(word.partition('=')[0]) for word in words):
        return text, []
    return command, [tuple(word.split('=', 1)) for word in words]


def parameter_word(key, value):
    """Return a command's own parameter as `split_own` reads it: on one line, and without the mark in it."""
    text = shlex.quote('{}={}'.format(key, re.sub(r'[\0-\x1f\x7f]', ' ', value)))
    return re.sub(' ##(?= )', """ '"##"'""", text) if '##' in text else text


def open_for(owner, path):
    """Open a file to be read, and close it when its owner is gone, in whatever order Python takes both away.

    Args:
        owner: object that has the file
        path: of the file

    Returns:
        (binary file, function that closes it before)

    Raises:
        OSError: it cannot be opened
    """
    import weakref
    source = open_regular(path)
    return source, weakref.finalize(owner, source.close)


def near_file(path):
    """Return what to do where a map is missing: a file of a like name, a command to run; '' for nothing."""
    folder, name = os.path.split(path)
    try:
        near = did_you_mean(name, [other for other in os.listdir(folder or '.') if other != name],
                            os.path.join(folder, ''))
    except OSError:
        return ''
    if path == '-':
        return '; save the map to a file, pipes are not supported'
    return near or ('; to run one command: qmap run ' + shlex.quote(path) if ' ' in path else '')


def what_folder(path):
    """Return what to do where a map is a folder: a logs folder can be resumed; '' for nothing."""
    if os.path.isdir(os.path.join(path, '.qmap')):
        return '; resume an execution with reattach -l ' + path
    return ''


def is_continued(line):
    """Tell whether a line of bytes goes on in the next: it ends in an odd number of backslashes."""
    return (len(line) - len(line.rstrip(b'\\'))) % 2 == 1


class CommandPlaces:
    """Where the commands of a map stand in its file, and what they are called: some bytes for each.

    Attributes:
        offsets: array of the places in the file where the commands begin
        lines: array of the numbers of the lines, from 1, on which they begin
        width: digits of an identifier that no command has of its own
        extras: {every value of `extra`: number of the first line with it}
        own: {(parameter, value): number of the first line with it}, of those in CHECKED that commands have
        status: of the file, as os.stat_result
    """

    def __init__(self):
        self.status = None
        self.offsets = array.array('Q')
        self.lines = array.array('L')
        self.extras, self.own = collections.OrderedDict(), collections.OrderedDict()
        self.width = 1
        self._ids = array.array('Q')    # of own identifiers of commands: the digits, behind a 1

    def __len__(self):
        return len(self.offsets)

    def identify(self, digits):
        """Note the identifier of the command that was read last: digits, as text or bytes."""
        gap = len(self.offsets) - 1 - len(self._ids)
        if gap:
            self._ids.frombytes(bytes(self._ids.itemsize * gap))
        self._ids.append(int('1' + digits if isinstance(digits, str) else b'1' + digits))

    def line_id(self, index):
        """Return the identifier of a command; see `Map.line_id`."""
        return self.own_id(index) or '{:0{}d}'.format(index, self.width)

    def own_id(self, index):
        """Return the identifier that a command has of its own, '' for none."""
        number = self._ids[index] if index < len(self._ids) else 0
        return str(number)[1:] if number else ''

    def same_id(self):
        """Return the indices of two commands with the same identifier, None where there are none."""
        ids = self._ids
        if not ids:
            return None
        complete = len(ids) == len(self) and ids[0]
        if complete and all(map(int.__lt__, ids, itertools.islice(ids, 1, None))):    # in order
            return None
        ordered = sorted(int('1' + self.line_id(index)) for index in range(len(self)))
        twice = next(itertools.compress(ordered, map(int.__eq__, ordered, ordered[1:])), None)
        if twice is None:
            return None
        return tuple(itertools.islice(
            (index for index in range(len(self)) if self.line_id(index) == str(twice)[1:]), 2))


class MapScan:
    """One pass through a map file from end to end.

    Attributes:
        sections, params, names, owns: those of the Map
        places: CommandPlaces
    """

    def __init__(self, path, submitted, title):
        """
        Args:
            path: of the file
            submitted: whether it was taken before: then it is read, though now something may be refused
            title: what it is called in messages
        """
        self.path, self._title = path, title
        self.sections = {'pre': [], 'post': []}
        self.params = {}
        self.names = collections.OrderedDict()
        self.owns = set()
        self.places = CommandPlaces()
        self._submitted = submitted
        self._section = 'jobs'
        self._sectioned = False    # whether there was a header
        self._first = None    # the number of the line with the first command, where no header stands above it
        self._odd = collections.OrderedDict()    # what looks odd: {kind: [line, text, how often]}

    def read(self):
        """Read it.

        Raises:
            QMapError: something in it is wrong
            OSError: it cannot be read
        """
        if os.path.exists(self.path) and not os.path.isfile(self.path) and not os.path.isdir(self.path):
            raise QMapError('{}: pipes are not supported; save the map to a file'.format(self.path))
        offsets, numbers, plain = self.places.offsets, self.places.lines, PLAIN.match
        number, among_commands = 0, False
        with open_regular(self.path) as lines:
            self.places.status = os.fstat(lines.fileno())
            offset = text_start(lines.readline(), self._title)
            lines.seek(offset)
            for line in lines:
                number, start = number + 1, offset
                offset += len(line)
                command = plain(line) if among_commands else None
                if command:
                    offsets.append(start)
                    numbers.append(number)
                    if command.lastindex:
                        self.places.identify(command.group(1))
                    continue
                for more in self._read_line(line, start, number, lines):
                    number, offset = number + 1, offset + len(more)
                among_commands = self._section == 'jobs' and bool(self._first or self._sectioned)
        self.places.width = len(str(len(self.places) - 1))

    def _read_line(self, line, start, number, lines):
        """Take in a line, and return the list of the lines that continue it.

        Args:
            line: bytes
            start: its place in the file
            number: of it, from 1
            lines: file from which those that continue it are read
        """
        text = line.strip()
        if not text or text.startswith(b'#'):
            if DIRECTIVE.match(text):
                self._note('directive', number, '{}: not read; put resources below [params], and other '
                                                'options of the scheduler into extra'.format(decode(text)))
            return []
        self._check_bytes(line, number)
        header = text.startswith(b'[') and self._section_begun(decode(text), number)
        if header:
            self._section, self._sectioned = header, True
            if self._first:
                raise self._wrong(self._first, 'text before the first section; move it below [jobs]')
            return []
        if self._section == 'jobs':
            self._begin_command(text, start, number)
        whole, continued = line, []
        for more in self._continued(lines, line):
            continued.append(more)
            self._check_bytes(more, number + len(continued))
            whole = whole.rstrip(b'\r\n')[:-1] + more
        if self._section == 'params':
            self._read_param(decode(whole.strip()), number)
        elif self._section != 'jobs':
            self.sections[self._section].append(decode(whole.rstrip(b'\r\n')))
        elif b'##' in whole:
            self._read_own(decode(whole.rstrip(b'\r\n')), number)
        return continued

    def _begin_command(self, text, start, number):
        """Note the place of a command; text: the first line of it, as bytes."""
        if not self._sectioned and self._first is None:
            self._first = number
            self._check_first(text, number)
        self.places.offsets.append(start)
        self.places.lines.append(number)

    def _wrong(self, number, text):
        return QMapError('{}, line {}: {}'.format(self._title, number, text))

    def _check_bytes(self, line, number):
        if b'\0' in line:
            raise self._wrong(number, NUL_BYTE)

    def _check_first(self, line, number):
        """Look whether a list of commands begins with a parameter, which a shell takes for a variable."""
        key, mark, value = decode(line).partition('=')
        if mark and key.strip() in PARAMETERS and len(value.split()) == 1:
            self._note('first', number, '{} is taken as a command; put parameters below [params], and '
                                        'commands below [jobs]'.format(decode(line)))

    @staticmethod
    def _continued(lines, line):
        """Yield the lines that continue one."""
        while line and is_continued(line.rstrip(b'\r\n')):
            line = lines.readline()
            if line:
                yield line

    def _section_begun(self, text, number):
        """Return the section that a line begins, None where it is a command."""
        try:
            return read_header(text)
        except ValueError as error:
            if self._submitted:
                return None
            raise self._wrong(number, str(error))

    def _read_param(self, text, number):
        key, mark, value = (part.strip() for part in text.partition('='))
        if not mark:
            raise self._wrong(number, '{}: not a parameter; write key = value'.format(text))
        self._add_param(self.params, key, value, number)

    def _read_own(self, text, number):
        """Check a command's own parameters, and note its identifier."""
        command, pairs = split_own(text)
        id, own = None, {}
        for key, value in pairs:
            if key == 'line' and LINE_ID.fullmatch(value):
                if id is not None:
                    self._note('line', number, 'line: given twice; the last value counts')
                id = value
            elif key == 'line' and not self._submitted:
                raise self._wrong(number, 'line = {}: reserved for the identifier that `info` gives to a '
                                          'command (at most 18 digits); delete it, or rename the parameter'
                                  .format(value))
            else:
                self._add_param(own, key, value, number)
        if id is not None:
            self.places.identify(id)
        self.owns.update(own)
        for key in CHECKED:
            if key in own:
                self.places.own.setdefault((key, own[key]), number)
        meant = MEANT.search(command)
        if meant:
            self._note('meant', number, '{}: taken as a comment; parameters of a command stand at its end, '
                                        'after one " ## ", as key=value key=value'.format(meant.group(1)))

    def _add_param(self, params, key, value, number):
        try:
            if key not in self.names and not self._submitted:
                check_name(key)
                check_case(list(self.names) + [key])
            if key in PATHS and not self._submitted:
                check_paths(key, value)
            given = read_parameter(key, value)
        except (QMapError, ValueError) as error:
            raise self._wrong(number, str(error))
        if key in params:
            self._note((key, 'twice'), number, '{}: given twice; the last value counts'.format(key))
        for warning in foreign_parameters([key]):
            self._note(key, number, warning)
        if key == 'extra':
            self.places.extras.setdefault(given, number)
        params[key] = given
        self.names[key] = True

    def _note(self, kind, number, text):
        """Note what looks odd in a line: of each kind the first one, and how many there are."""
        self._odd.setdefault(kind, [number, text, 0])[2] += 1

    def warnings(self):
        """Return a list of sentences about what looks odd in it."""
        found = []
        for number, text, count in self._odd.values():
            more = ' and {:,} more'.format(count - 1) if count > 1 else ''
            found.append('{}, line {}{}: {}'.format(self._title, number, more, text))
        return found


class Map:
    """A jobs map file: its sections, and its commands, which are read from the file when they are needed.

    Attributes:
        path: of the file
        title: what it is called in messages
        sections: {'pre': [lines], 'post': [lines]}, as text
        params: dict of the parameters for all jobs
        names: of all parameters in it, in their order
        warnings: list of sentences about what looks odd in it
        owns: set of the names of the parameters that commands have of their own
    """

    def __init__(self, path, empty=False, submitted=False, title=None):
        """Read a map once from end to end, and keep the place of each command.

        Args:
            path: of the file
            empty: whether it may be without commands
            submitted: whether it was taken before: then it is read, though now something may be refused
            title: what it is called in messages, by default its path

        Raises:
            QMapError: the file cannot be read or is wrong, with its name and the number of the line
        """
        import functools
        import weakref
        self.path, self.title = path, title or path
        scan = MapScan(path, submitted, self.title)
        try:
            scan.read()
        except ABSENT as error:
            raise QMapError('{}: {}{}'.format(path, error.strerror, near_file(path)))
        except OSError as error:
            raise QMapError('{}: {}{}'.format(path, error.strerror or error, what_folder(path)))
        self.sections, self.params, self.names, self.owns = scan.sections, scan.params, scan.names, scan.owns
        self.warnings = scan.warnings()
        self._places = scan.places
        self._reading = threading.Lock()    # the driver and those who ask share the file
        if not len(self) and not empty:
            pre, mend = len(self.sections['pre']), 'write one per line'
            if pre:
                mend = 'all its lines ({}) belong to [pre]: add a line [jobs] before the commands'.format(pre)
            raise QMapError('{}: contains no commands; {}'.format(self.title, mend))
        self._file, self._close_file = open_for(self, self.path)
        # The driver asks for the same commands again and again, those of the jobs at work. What remembers
        # them does not keep the map, and its open file, alive.
        this = weakref.proxy(self)
        self.command = functools.lru_cache(4096)(lambda index: this._command(index))

    def copy(self, path):
        """Copy the file, and read it there from now on.

        Raises:
            QMapError: it has changed since it was read
            OSError: it cannot be copied
        """
        import shutil
        mode = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open_regular(self.path) as source, open(os.open(path, mode, FILE_MODE), 'wb') as target:
            shutil.copyfileobj(source, target, 1 << 20)
        now = os.stat(self.path)
        changed = any(getattr(now, name) != getattr(self._places.status, name)
                      for name in ('st_size', 'st_mtime_ns', 'st_ino'))
        if changed or os.path.getsize(path) != now.st_size:
            raise QMapError('{}: changed while it was read; submit it again'.format(self.title))
        self._close_file()
        self._file, self._close_file = open_for(self, path)
        self.path = path

    def line_id(self, index):
        """Return the identifier of a command: the one that it had in the map from which `info` took it, else
        its place from 0, padded with zeros."""
        return self._places.line_id(index)

    def check_line_ids(self):
        """Raise QMapError where two commands have the same identifier."""
        same = self._places.same_id()
        if same:
            first, second = same
            raise QMapError(
                '{}, line {}: identifier {} (QMAP_LINE) is also that of line {}; delete line=, or give '
                'another number'.format(
                    self.title, self.line(second), self.line_id(second), self.line(first)))

    def __len__(self):
        """Return the number of commands."""
        return len(self._places)

    def extras(self):
        """Return {every value of `extra`: number of the first line with it}."""
        return self._places.extras

    def own_values(self):
        """Return {(parameter, value): number of the first line with a command that has it}, of those in
        CHECKED."""
        return self._places.own

    def places(self):
        """Return the array of the places in the file where the commands begin. Not to be changed."""
        return self._places.offsets

    def line(self, index):
        """Return the number of the line, from 1, on which a command begins."""
        return self._places.lines[index]

    def raw(self, index):
        """Return a command as it stands in the map, own parameters included, continued lines joined."""
        with self._reading:
            self._file.seek(self._places.offsets[index])
            line = self._file.readline().rstrip(b'\r\n')
            while is_continued(line):
                more = self._file.readline()
                if not more:
                    break
                line = line[:-1] + more.rstrip(b'\r\n')
        return decode(line)

    def raws(self):
        """Yield all commands as `raw` returns them, but as bytes."""
        with open_regular(self.path) as source:
            here = 0
            for place in self._places.offsets:
                if place != here:
                    source.seek(place)
                line = source.readline()
                here = place + len(line)
                line = line.rstrip(b'\r\n')
                while line[-1:] == b'\\' and is_continued(line):
                    here = -1
                    more = source.readline()
                    if not more:
                        break
                    line = line[:-1] + more.rstrip(b'\r\n')
                yield line

    def own_id(self, index):
        """Return the identifier that a command has of its own, '' for none."""
        return self._places.own_id(index)

    def _command(self, index):
        """Return a command and the dict of its own parameters."""
        text = self.raw(index)
        if ' ## ' not in text:
            return text, {}
        command, pairs = split_own(text)
        return command, {key: read_parameter(key, value) for key, value in pairs
                         if key != 'line' or not LINE_ID.fullmatch(value)}

    def text(self, indices, params=None, own=None):
        """Yield the lines of a map with these commands and all its sections, as `submit` takes it. Each
        command keeps its identifier.

        Args:
            indices: the commands to keep
            params: dict of the parameters to write, the map's own by default
            own: function of an index that returns a dict of texts, which join the command's own parameters
        """
        params = self.params if params is None else params
        for section in ('pre', 'post', 'params'):
            lines = self.sections.get(section) or []
            if section == 'params':
                lines = ['{} = {}'.format(key, write_parameter(key, value)) for key, value in params.items()]
            if lines:
                yield '[{}]'.format(section)
                for line in lines:
                    yield line
                yield ''
        yield '[jobs]'
        for index in indices:
            yield identified_line(self.raw(index), self.line_id(index), own(index) if own else None)


def identified_line(text, line_id, more=None):
    """Return the line of a map with a command and its identifier.

    Args:
        text: the command with its own parameters, as it stands in a map
        line_id: its identifier, which takes the place of another
        more: dict of texts, which join its own parameters; None for none
    """
    pairs = []
    if ' ## ' in text:
        text, pairs = split_own(text)
    pairs = collections.OrderedDict(pairs, **more or {})
    pairs.pop('line', None)
    words = [parameter_word(*pair) for pair in pairs.items()]
    return '{} ## {}'.format(text, ' '.join(words + ['line=' + line_id]))


#: A map that takes the place of another begins with all commands of that, in their order: so jobs keep their
#: ids. It fills up the last job of several commands with this one.
FILLER = b':    # nothing'


def path_texts(map, group, index, params):
    """Return the values of the parameters in PATHS of a command, a dict of texts.

    Args:
        map: Map
        group: commands in a job; where there are several, each names its own paths
        index: of the command
        params: those of the job
    """
    command, own = map.command(index) if group > 1 else ('', {})
    found = ((key, own.get(key, params.get(key))) for key in PATHS)
    is_filler = encode(command) == FILLER
    return {key: text.replace('${QMAP_LINE}', map.line_id(index)) for key, text in found
            if text is not None and not is_filler}


def is_pipe(path):
    """Tell whether a path is that of a pipe, such as bash has for <(...)."""
    there = status_of((path, True))
    return there is not None and stat.S_ISFIFO(there.st_mode)


def spool_pipe(path):
    """Return a temporary file, which is removed when it is closed, with all that comes out of a pipe.

    Args:
        path: of the pipe; '-' for standard input

    Raises:
        QMapError: it cannot be read, or there is no room for it
    """
    import shutil
    try:
        with contextlib.ExitStack() as stack:
            source = sys.stdin.buffer if path == '-' else stack.enter_context(open(path, 'rb'))
            return spool(lambda target: shutil.copyfileobj(source, target, 1 << 20))
    except OSError as error:
        raise QMapError('{}: {}'.format('stdin' if path == '-' else path, error.strerror or error))


def spool_commands(commands):
    """Return a temporary file, as `spool_pipe` does, with a map of these commands, a line each.

    Args:
        commands: iterable of texts

    Raises:
        QMapError: one of them is no command of one line
    """
    lines = []
    for number, command in enumerate(commands, 1):
        fault = command_fault(command)
        if fault:
            raise QMapError('commands, line {}: {!r}: {}'.format(number, command, fault))
        lines.append(encode(command) + b'\n')
    return spool(lambda target: target.writelines(lines))


def command_fault(command):
    """Return why something cannot be a command of a map by itself, '' for no reason."""
    if not isinstance(command, str):
        return 'a command must be text'
    if not command.strip() or command.lstrip().startswith('#'):
        return 'not a command'
    if '\n' in command or '\r' in command or is_continued(encode(command)):
        return 'a command is one line; join lines with ; or &&'
    try:
        return 'a section header, not a command' if read_header(command) else ''
    except ValueError as error:
        return str(error)


def spool(write):
    """Return a temporary file that a function has written, to be read by its name."""
    import tempfile
    target = tempfile.NamedTemporaryFile(prefix='qmap-')
    try:
        write(target)
        target.flush()
    except BaseException:
        target.close()
        raise
    return target


def change_params(params, changes):
    """Return parameters with changes, a dict of texts, made in them; an empty text takes one away."""
    if not changes:
        return params
    params = dict(params, **read_parameters({key: text for key, text in changes.items() if text}))
    return {key: value for key, value in params.items() if changes.get(key) != ''}


def read_parameters(texts):
    """Return the parameters that a dict of texts stands for."""
    return collections.OrderedDict((key, read_parameter(key, value)) for key, value in texts.items())


def write_parameters(params):
    """Return parameters as a dict of texts."""
    return collections.OrderedDict((key, write_parameter(key, value)) for key, value in params.items())


def cores_of(params, on_cluster):
    """Return how many cores a job with these parameters reserves: on a cluster one at least."""
    if params.get('cores') == 0 and not on_cluster:
        return 0
    return params.get('cores') or params.get('tasks') or 1


def parse_parameter(key, text):
    """Return the value of a parameter from the command line.

    Raises:
        QMapError: it cannot be read, or is a name that no parameter has
    """
    try:
        check_name(key)
        if key in PATHS:
            check_paths(key, text)
        return read_parameter(key, text)
    except ValueError as error:
        raise QMapError(str(error))


def parse_exits(text):
    """Return the ends that 'exit', 'signal', '75' or '130-139' stand for, with commas between them: a set of
    words and exit statuses.

    Raises:
        ValueError: it is nothing of the kind
    """
    found = set()
    for word in text.split(','):
        match = re.match(r'(\d{1,3})(?:-(\d{1,3}))?\Z', word.strip())
        first, last = (int(match.group(1)), int(match.group(2) or match.group(1))) if match else (0, 0)
        if word.strip() not in ('exit', 'signal') and not 0 < first <= last < 256:
            raise ValueError('must be exit, signal, or exit statuses such as 75 or 130-139')
        found.update(range(first, last + 1) if match else [word.strip()])
    return found


def parse_factor(text):
    """Return the factor, 1 or more, that a text stands for.

    Raises:
        ValueError: it is nothing of the kind
    """
    if not re.match(r'\d{1,4}(\.\d+)?\Z', text.strip()) or float(text) < 1:
        raise ValueError('must be a number of 1 or more')
    return float(text)


TRUE = ('true', 'yes', '1')


def parse_switch(text):
    """Return whether a text is a yes; ValueError where it is no no either."""
    if text.lower() not in TRUE + ('false', 'no', '0'):
        raise ValueError('must be true or false')
    return text.lower() in TRUE


#: What says how jobs are retried, beside the parameter `retries`: how its text is read, and the default.
RETRY_RULES = collections.OrderedDict([
    ('retry_on', (parse_exits, '')), ('grow', (parse_factor, '2')), ('max_memory', (parse_memory, '')),
    ('max_time', (parse_time, '')), ('learn', (parse_switch, 'true'))])


class RetryRules:
    """How jobs are retried that have the parameter `retries`.

    Attributes:
        retry_on: set of the ends for which they are, beside memory and time: see `parse_exits`
        grow: how many times as much of memory or time they request then
        most: {'memory': bytes, 'time': seconds}: never more
        learn: whether jobs that follow start with what saved others
    """

    def __init__(self, texts):
        """
        Args:
            texts: dict of those that were given, by the names in RETRY_RULES

        Raises:
            QMapError: one is wrong
        """
        found = {}
        for key, (read, default) in RETRY_RULES.items():
            try:
                text = texts.get(key) or default
                found[key] = read(text) if text else None
            except ValueError as error:
                raise QMapError('{} = {}: {}'.format(key, text, error))
        self.retry_on, self.grow, self.learn = found['retry_on'] or set(), found['grow'], found['learn']
        self.most = {key: found['max_' + key] for key in ('memory', 'time') if found['max_' + key]}

    def concern(self, reason, record):
        """Tell whether a job is retried that failed so, as far as that depends on the reason alone.

        Args:
            reason: see `Retries.reason_of`
            record: of the attempt
        """
        code = record.get('exit_code')
        if reason in ('memory', 'time') or reason in self.retry_on:
            return True
        codes = {code, 128 + (record.get('signal') or 0)} if reason in ('exit', 'signal') else set()
        return not codes.isdisjoint(self.retry_on)


##############################################################################################################
# Templates
##############################################################################################################

# One command line with groups and wildcards stands for many commands:
#
#   {{a,b,c}}          a list: blanks around the items are dropped, an item may be empty, \, is a comma of one
#   {{1..22}}          numbers; {{01..22}} of two digits, {{1..99..2}} every other one, {{1..22,X}} in a list
#   {{file}}           its lines, without blank ones and comments, each as one word
#   {{raw:file}}       the same, as they are typed
#   {{*.txt}}          the paths that match; so does any word with a wildcard, as in a shell
#   {{?column}}        a column of the table, as one word; {{?column!}} as it is typed
#   {{?name:...}}      any of these, with a name; {{?name!:file}} a raw file
#   {{?=name}}         its value once more, anywhere in the command; {{?=name:stem}} a part of that path
#   \{{                two braces of the command's own
#
# Lists and raw files go in as they are typed. Then a word with a wildcard is matched whole, as a shell would.
# Where nothing is found, so is each of its parts between = and , (--in=*.txt), and where it holds a group,
# between other signs and quoted blanks ("-i {{*.txt}}"). ~ and variables are replaced to match, and stay
# replaced. What only the shell can know stays as typed: a word with $(...), ${x%.*}, or a variable that is
# not set here or that the command sets; also [[ ]], case and (( )) without wildcards in groups.

GROUP = re.compile(r'\{\{(?!\{)((?:\{[^{}]*\}|[^{}]|\}(?!\}))*)\}\}')
NAMED = re.compile(r'(?:\?([A-Za-z_]\w*)(!?):)?\s*(.*?)\s*', re.DOTALL)
REFERENCE = re.compile(r'\?=([A-Za-z_]\w*)(?::(\w+))?')
RAW = 'raw:'
#: NumberRange: the first, the last, and the step.
NUMBER_RANGE = re.compile(r'(-?[0-9]+)\.\.(-?[0-9]+)(?:\.\.(-?[0-9]+))?')
#: What can be had of a path, and the end of a name that is its extension: with .gz and so on, two.
PARTS = ('name', 'stem', 'dir', 'ext')
EXTENSION = re.compile(r'(?<=.)(?:(?:\.[A-Za-z]\w*)?\.(?:gz|bz2|xz|zst|Z)|\.[^.]*)\Z', re.DOTALL)
#: Commands that a template makes without being forced to.
MANY = 10 ** 7
#: Lines of a list that are kept; a longer file is read each time.
KEPT_LINES = 10000
#: What a list is made of: a comma parts it, unless it stands behind a backslash, in quotes or in braces.
ITEMS = re.compile(r"""\\.|\{[^{}]*\}|(?<!\w)"(?:\\.|[^"\\])*"(?!\w)|(?<!\w)'[^']*'(?!\w)|(?P<comma>,)|.""",
                   re.DOTALL)
#: What stands in a command for braces of its own, and for the line of a file, by name or number: no text that
#: was read holds these.
BRACES = '\ud800'
LINE_MARK = '\ud801'
LINE_OF = LINE_MARK + '{}\ud802'
OWN_BRACES = re.compile(r'(?<!\\)((?:\\\\)*)\\\{\{(?!\{)')
WILDCARD = re.compile(r'[*?[]')
#: A list item that is one unquoted path with wildcards: its name stands for the path that matches.
PATTERN = re.compile(r'(?=.*[*?[])[\w./~$*?[\]!+@%=-]+')
#: What makes a shell end at a variable that is not set (-), or go on (+).
UNSET = re.compile(r'\bset\s(?:[^#;|&]*\s)?([-+])(?:[A-Za-z]*u[A-Za-z]*\b|[A-Za-z]*o\s+nounset\b)')
#: A command without any of these need not be taken apart.
SUSPECT = re.compile(r'\{\{|[*?]|\[[^\s[]')

#: What a command is made of, by the quote that is open.
VALUES = r'(?P<value>\ud801[\w:]+\ud802)|(?P<group>' + GROUP.pattern
#: What begins a stretch of text of which wildcards mean something else.
OPENING = re.compile(r'\$?\(|\$[{[]|\[\[|\w+|#')
SPECIAL = VALUES + r""")|(?P<closed>`[^`]*`)|(?P<var>\$[A-Za-z_]\w*|\$\{\w+\})|(?P<unknown>
    \$\{(?:[^{}]|\{[^{}]*\})*\}|\$\(\((?:(?!\{\{)[^()]|\([^()]*\))*\)\)|\$\[[^]]*\]|\$[-\d@*\#?$!])|(?P<inside>\$\()|"""
TOKENS = {quote: re.compile(pattern, re.VERBOSE | re.DOTALL) for quote, pattern in {
    "'": VALUES + r""")|(?P<quote>')|(?P<split>[\s=,:;|&<>()"`])|(?P<text>[\w./%+@-]+|.)""",
    '"': SPECIAL + r"""(?P<escape>\\[$`"\\])|(?P<quote>")|(?P<split>[\s=,:;|&<>()'])|(?P<text>[\w./%+@-]+|.)""",
    '': r"""(?P<ansi>\$'(?:\\.|[^'\\])*')|""" + SPECIAL + r"""
        (?P<end> [\s;&|<>)] | (?<![^\s;&|(]) (?:    # what is no word, and where one begins, what stays as typed
            \[\[\s(?:(?!\{\{).)*?\s\]\] | case\s(?:(?!\{\{).)*?\sesac\b | \#(?:(?!\{\{).)* |
            \(\((?:(?!\{\{)[^()]|\([^()]*\))*\)\) | [A-Za-z_]\w*\[[^]\s]*\]\+?= )) |
        (?P<nested>\()|(?P<escape>\\.?)|(?P<quote>['"])|(?P<split>[=,:])|
        (?P<wild>\*+|\?|\[(?!!?\])[^][\s;&|<>()'"$`\\/\ud801]+\])|
        (?P<home>(?<![^\s;&|<>(=,:])~[\w.-]*(?=[/\s]|\Z))|(?P<text>[\w./%+@-]+|.)""",
}.items()}

#: A piece of a word. kind: text; split, where a word may be parted; wild; group, with wildcards; ref, to such
#: a group; value, the line of a file or a cell; unknown, which only the shell can read. value: what it means;
#: of a ref or value, which of PARTS. name: of a group, ref or value. start, end: its place in the command.
#: before, after: the quote that is open there.
Piece = collections.namedtuple('Piece', 'kind value name start end before after')

#: Any number of folders, in a pattern for `glob`.
DEEP = re.compile(r'(?:(?<=/)|\A)\*\*(?:/|\Z)')
#: What a pattern for `glob` is made of, with \0name\0 where a named group begins, \0\0 at its end, and
#: \0=name\0 where its value stands again.
GLOB = re.compile(r"""(?:(?<=[/\0])|\A)(?P<deep>\*\*(?:\0\0)?(?:/|\Z))|(?P<name>\0=?\w*\0)|(?P<set>\[[^]]+\])|
    (?P<star>\*+)|(?P<one>\?)|(?P<text>.)""", re.VERBOSE | re.DOTALL)


def template_lines(command, params=None, base=None, conda_env=None, modules=None, **ways):
    """Yield the lines of a map with every command that a template stands for.

    All combinations are made, the first group varying slowest: the rows of the table first, then lists and
    files in the order of the command, then the wildcards, sorted.

    Args:
        command: the command, or the path of a file of commands: a list, or a map, whose sections are kept;
            None for a map without commands
        params: dict of parameters; they go before those of the file, and these before those of the base
        base: path of a map whose sections are carried over; its commands are not
        conda_env: name or path of a conda environment; by default the active one, and Python's active virtual
            environment; '' is none
        modules: list of Environment Modules; by default the loaded ones
        ways: table, link and most, as for `expand_all`

    Raises:
        QMapError: nothing matches, a file is missing, a group is ill-formed
    """
    maps = [Map(base, empty=True)] if base else []
    commands = [] if command is None else [(None, command)]
    if command is not None and os.path.isfile(command):
        own = Map(command)
        maps.append(own)
        commands = ((own.line(index), file_name(own.raw(index))) for index in range(len(own)))
    elif command is not None:
        check_program(command)
    activating = map(decode_name, environment_lines(conda_env, modules))
    pre, post = ([line for part in maps for line in part.sections[section]] for section in ('pre', 'post'))
    pre += added_lines(list(activating), pre)
    merged = collections.OrderedDict()
    for part in [part.params for part in maps] + [params or {}]:
        merged.update(part)
    settings = ['{} = {}'.format(key, write_parameter(key, value)) for key, value in merged.items()]
    for section, content in (('pre', pre), ('post', post), ('params', settings)):
        if content:
            yield from ['[{}]'.format(section)] + content + ['']
    yield '[jobs]'
    yield from expand_all(commands, command, **ways)


def added_lines(activating, pre):
    """Return those of the lines that bring an environment which [pre] lacks, so that they work behind it."""
    lines = [line for line in activating if line not in pre]
    if lines and UNSET.findall('\n'.join(pre))[-1:] == ['-']:    # the scripts of conda are not made for this
        return ['set +u'] + lines + ['set -u']
    return lines


def expand_all(commands, path, table=None, link=False, most=None):
    """Yield all commands that templates stand for.

    Args:
        commands: iterable of (number of the line, template); None where it stands in no file
        path: of the file
        table: Table of which each row is taken, or None
        link: whether lists are taken side by side, not in all combinations
        most: how many there may be, None for any number

    Raises:
        QMapError: as for `template_lines`; it names the line
    """
    count, cache = 0, {}
    for number, text in commands:
        try:
            left = None if most is None else most - count
            for line in expand_command(text.replace('\\\n', ''), cache, table, link, left):
                count += 1
                yield decode_name(line)
        except QMapError as error:
            place = '{}, line {}: '.format(path, number) if number else ''
            raise QMapError(place + str(error).replace('\n', '\\n'))


def check_program(command):
    """Raise QMapError where a command of one word looks like the name of a file that is not there."""
    import shutil
    if re.fullmatch(r'[\w./~+-]*[./][\w./~+-]*', command) and not shutil.which(os.path.expanduser(command)):
        raise QMapError('{0}: no such file or program; to use a program that only the jobs find, write '
                        '"command {0}"'.format(decode_name(command)))


def expand_command(command, cache, table=None, link=False, most=None):
    """Yield every command that a template stands for.

    Args:
        command: the template
        cache: dict of what each pattern has matched so far
        table, link, most: as for `expand_all`
    """
    pieces = GROUP.split(OWN_BRACES.sub(lambda match: match.group(1) + BRACES, command))
    sources = Groups(pieces, table).sources
    check_count(sources, link, most)
    count, values = 0, {}
    for combination in combine([source.items for source in sources], link):
        for source, item in zip(sources, combination):
            source.put(item, pieces, values)
        text = ''.join(pieces)
        suspect = values or SUSPECT.search(text)
        for line in match_all(text, values, cache, link and sources) if suspect else [text]:
            line = line.replace(BRACES, '{{')
            check_line(line)
            count += 1
            if most is not None and count > most:
                raise too_many('more than')
            yield table.with_params(line, combination[0]) if table else line


def check_count(sources, link, most):
    """Raise QMapError where lists cannot be taken side by side, or give too many commands."""
    if link:
        check_lengths([(as_typed(source.written), source.items) for source in sources])
    count = 1
    for source in sources[:1] if link else sources:
        count *= len(source.items)
    if most is not None and count > most:
        raise too_many(format(count, ','))


def check_lengths(lists):
    """Raise QMapError where lists, pairs of how they are written and what is in them, differ in length."""
    if len({len(items) for _, items in lists}) > 1:
        raise QMapError('--link: different lengths: ' + ', '.join(
            '{} has {:,}'.format(written, len(items)) for written, items in lists))


def too_many(count):
    """Return the error that there are too many commands; count: how many, as text."""
    return QMapError('{} commands, where {:,} are a large map; to make them all, give --force'.format(
        count, MANY))


def combine(lists, link):
    """Yield tuples with an item of each list: all combinations, or, to link, those of equal places."""
    if not lists:
        yield ()
    elif link:
        yield from zip(*lists)
    else:    # itertools.product would keep all items
        for item in lists[0]:
            for others in combine(lists[1:], link):
                yield (item,) + others


class Source:
    """Values that a command takes one after the other: of a list, the lines of a file, the rows of a table.

    Attributes:
        items: the values, an iterable with a length that can be read again
        written: as what it is known to the user
        mark: name of the mark that stands for its items, '' where there is none
    """

    def __init__(self, items, written):
        self.items, self.written, self.mark = items, written, ''
        self._texts, self._values = [], {}

    def put(self, item, pieces, values):
        """Put an item where it belongs, in the pieces of a command, and in the dict of values of marks."""
        for index, text in self._texts:
            pieces[index] = text(item)
        for name, value in self._values.items():
            values[name] = value(item)

    def add_text(self, index, text):
        """Note that a piece of the command is the text that a function makes of an item."""
        self._texts.append((index, text))

    def add_value(self, name, value):
        """Note that a mark stands for the value that a function makes of an item."""
        self._values[name] = value


class Groups:
    """The groups of a command.

    Attributes:
        sources: list of the Source of each table, list and file, the table first
    """

    def __init__(self, pieces, table=None):
        """Find out what they stand for.

        Args:
            pieces: list of texts and what stands in groups, in turn; a group's is replaced by how it is
                written, or by a mark where it stands for a value
            table: Table, or None
        """
        self._pieces, self._table = pieces, table
        self.sources = [Source(table, table.path)] if table else []
        self._names = dict.fromkeys(table.columns, self.sources[0]) if table else {}    # None is paths
        references = []
        for index, piece in enumerate(pieces):
            if index % 2 == 0:
                check_braces(piece)
                continue
            pieces[index] = '{{' + piece + '}}'
            if piece.startswith('?='):
                references.append((piece, index))
            elif table and piece.startswith('?') and ':' not in piece:
                self._put_column(piece[1:].strip(), index)
            else:
                self._read(piece, index)
        for piece, index in references:
            self._refer(*read_reference(piece, pieces[index], self._names), index=index)

    def _put_column(self, name, index, part=''):
        """Put a column of the table into the command; with a ! behind its name as it is typed."""
        import operator
        raw = name.endswith('!') and name not in self._table.columns and not part
        place = self._table.index(name[:-1].strip() if raw else name, as_typed(self._pieces[index]))
        if raw:
            self.sources[0].add_text(index, operator.itemgetter(place))
            return
        mark = name if KEY.match(name) else str(10 ** 6 + place)    # not a group's
        self.sources[0].add_value(mark, operator.itemgetter(place))
        self._pieces[index] = mark_of(mark, part)

    def _read(self, piece, index):
        """Find out what a group stands for that is no reference."""
        written = self._pieces[index]
        name, raw, body = read_group(piece, written, self._names)
        found, as_lines = read_items(body, as_typed(written), raw)
        source = None if found is None else Source(found, written)
        if name:
            self._names[name] = source
        if not source:
            return
        self.sources.append(source)
        if as_lines:
            source.mark = name or str(index)
            source.add_value(source.mark, str)
            self._pieces[index] = mark_of(source.mark)
        else:
            source.add_text(index, lambda item: list_item(item, name))

    def _refer(self, name, part, index):
        """Put the value of a group, or a part of it, where it is referred to."""
        source = self._names[name]
        if self._table and name in self._table.columns:
            self._put_column(name, index, part)
        elif source and source.mark:
            self._pieces[index] = mark_of(name, part)
        elif source:
            source.add_text(index, lambda item: list_reference(item, name, part))


def mark_of(name, part=''):
    """Return the mark that stands in a command for a value, or for one of PARTS of it."""
    return LINE_OF.format(name + ':' + part if part else name)


def read_reference(piece, written, names):
    """Return the name that a reference speaks of, and which of PARTS it wants, '' for the whole.

    Args:
        piece: what stands between the braces
        written: the same, with the braces
        names: those that are known
    """
    name, mark, part = (text.strip() for text in piece[2:].partition(':'))
    if not name or part not in PARTS + ('',) or bool(mark) != bool(part):
        raise QMapError('{}: invalid reference; write {{{{?=name}}}}, or a part of that path: {}'.format(
            as_typed(written), ' '.join('{{{{?={}:{}}}}}'.format(name or 'name', each) for each in PARTS)))
    if name not in names:
        raise QMapError('{{{{?={0}}}}}: no group is named {0}{1}; name one with {{{{?{0}:...}}}}'.format(
            name, did_you_mean(name, names)))
    return name, part


def list_item(item, name):
    """Return how an item of a list is written: a path with wildcards that has a name as a group."""
    return '{{?' + name + ':' + item + '}}' if name and PATTERN.fullmatch(item) else item


def list_reference(item, name, part):
    """Return how an item of a list is written where it is referred to, or one of PARTS of it."""
    if PATTERN.fullmatch(item):
        return '{{?=' + name + ':' * bool(part) + part + '}}'
    if not part:
        return item
    try:
        words = shlex.split(item)
    except ValueError:
        words = []
    found = path_part(words[0], part) if len(words) == 1 else '$'
    if shlex.quote(item) == item:
        return found
    if '$' in found or '`' in found:
        raise QMapError('{{{{?={}:{}}}}}: {} is not the path of a file, as far as can be seen here'.format(
            name, part, as_typed(item)))
    return quote_word(found)


def path_part(path, part):
    """Return one of PARTS of a path, all of it for ''. The stem and the extension together are the name."""
    path = path.rstrip('/') or path
    if part == 'dir':
        return os.path.dirname(path) or '.'
    name = os.path.basename(path)
    end = EXTENSION.search(name)
    place = end.start() if end else len(name)
    return {'name': name, 'stem': name[:place], 'ext': name[place:]}[part]


def check_braces(text):
    """Raise QMapError where braces stand in a text between groups."""
    if '{{' in text:
        raise QMapError('{}: unclosed or nested braces; to pass braces to the command, write \\{{{{'.format(
            as_typed(text[text.index('{{'):])))


def read_group(group, written, names):
    """Return the name of a group, '' for none, whether it goes in as it is, and what stands in it.

    Args:
        group: what stands between the braces
        written: the same, with the braces
        names: those of the groups before
    """
    name, raw, body = NAMED.fullmatch(group).groups('')
    if re.fullmatch(r'\?[A-Za-z_]\w*!?', body):
        raise QMapError('{}: a column, but no table is given; add --table FILE'.format(as_typed(written)))
    misnamed = body.startswith('?') and not name
    if misnamed or not body:
        raise QMapError('{}: invalid group; write {{{{a,b}}}}, {{{{file}}}}, {{{{*}}}}, {{{{?name:...}}}} or '
                        '{{{{?=name}}}} (names: letters, digits and _)'.format(as_typed(written)))
    if name in names:
        raise QMapError('{}: the name {} is used twice; refer to the first one with {{{{?={}}}}}'.format(
            as_typed(written), name, name + ':' + body if body in PARTS else name))
    return name, bool(raw), body


def read_items(body, written, raw):
    """Return what a group stands for, None for paths; and whether that is lines of a file, a word each.

    Args:
        body: what stands in the group
        written: the group
        raw: whether it goes in as it is
    """
    found = split_items(body)
    if len(found) > 1 or NUMBER_RANGE.fullmatch(body):
        return ListItems(found, written), False
    if WILDCARD.search(body):
        if raw:
            raise QMapError('{}: paths are always quoted; leave out the !'.format(written))
        return None, False
    in_front = body.startswith(RAW)
    as_lines = not in_front and not raw
    return read_list(body[len(RAW) * in_front:].strip(), written, as_lines), as_lines


class ListItems:
    """The items of a list, among which numbers such as 1..22 stand for many."""

    def __init__(self, items, written):
        self._parts = [self._numbers(item, written) or [item] for item in items]
        self._length = sum(map(len, self._parts))

    def __iter__(self):
        return itertools.chain.from_iterable(self._parts)

    def __len__(self):
        return self._length

    @staticmethod
    def _numbers(item, written):
        """Return the NumberRange that an item stands for, None where it is no such item."""
        match = NUMBER_RANGE.fullmatch(item)
        if not match:
            return None
        first, last, step = match.groups('1')
        if not int(step):
            raise QMapError('{}: the step is 0'.format(written))
        return NumberRange(first, last, abs(int(step)))


class NumberRange:
    """NumberRange as text, from the first to the last, down too; of equal width where one begins with a 0."""

    def __init__(self, first, last, step):
        padded = any(re.match('-?0[0-9]', text) for text in (first, last))
        self._width = max(len(first), len(last)) if padded else 0
        first, last = int(first), int(last)
        self._numbers = range(first, last + 1, step) if first <= last else range(first, last - 1, -step)

    def __iter__(self):
        return map(('{:0%dd}' % self._width if self._width else '{}').format, self._numbers)

    def __len__(self):
        return len(self._numbers)


def check_line(line):
    """Raise QMapError where a command cannot be a line of a map."""
    try:
        wrong = read_header(line) if line.lstrip()[:1] == '[' else None
    except ValueError:
        wrong = True
    if wrong or line.lstrip()[:1] in ('', '#') or '\n' in line or is_continued(encode(line)):
        raise QMapError('not a line of a map (blank, a comment, a section header or several lines): '
                        '{!r:.200}'.format(line))


def as_typed(text, values=None):
    """Return text as it was typed, for people: without marks, or with what they stand for."""
    def typed(match):
        name, _, part = match.group(1).partition(':')
        if values:
            return path_part(values[name], part) if part else values[name]
        return '{{...}}' if name.isdigit() else '{{?=' + match.group(1) + '}}'
    return re.sub(LINE_OF.format(r'([\w:]+)'), typed, text).replace(BRACES, '\\{{')


def split_items(body):
    """Return the items of a list; there is one where nothing parts it."""
    items = ['']
    for match in ITEMS.finditer(body):
        if match.group('comma'):
            items.append('')
        else:
            items[-1] += match.group()
    return [item.strip().replace('\\,', ',') for item in items] if len(items) > 1 else [body]


def read_list(path, written, as_lines):
    """Return the lines of a file, without blank ones and comments.

    Args:
        path: of the file, with ~ and variables, as it stands in the command
        written: the group in which it stands
        as_lines: whether each is to be one word of the command
    """
    path, count, kept = path.replace(BRACES, '{{'), 0, []
    lines = ListFile(path)
    try:
        for number, line in lines.numbered():
            if '\0' in line:
                raise QMapError('{}: the file {}'.format(written, NUL_BYTE))
            if as_lines and '\t' in line:
                raise QMapError('{}: {}, line {}: contains a tab, but each line is one value; for a table, '
                                'give --table {} and write {{{{?COLUMN}}}}'.format(
                                    written, path, number, path))
            count += 1
            if count <= KEPT_LINES or not lines.lasts:
                kept.append(line)
    except OSError as error:
        raise QMapError('{}: {} (a list needs a comma, a pattern a wildcard; to pass braces to the command, '
                        'write \\{{{{)'.format(written, error.strerror))
    if not count:
        raise QMapError('{}: the file is empty'.format(written))
    lines.length = count
    return kept if count == len(kept) else lines


class ListFile:
    """The lines of a file, without blank ones and comments, read anew each time.

    Attributes:
        lasts: whether it can be read again; a pipe cannot
        length: how many there are, once that is known
    """

    def __init__(self, path):
        """
        Args:
            path: of the file, with ~ and variables
        """
        self._name, self._path = path, os.path.expanduser(os.path.expandvars(path))
        self.lasts, self.length = os.path.isfile(self._path), 0

    def __len__(self):
        return self.length

    def __iter__(self):
        return (line for _, line in self.numbered())

    def numbered(self):
        """Yield (number, line), from 1.

        Raises:
            OSError: it cannot be read
        """
        with open(self._path, 'rb') as source:
            first = source.readline()
            whole = itertools.chain([first[text_start(first, self._name):]], source)
            # some end their lines with a carriage return only
            lines = itertools.chain.from_iterable(line.splitlines() for line in whole)
            for number, line in enumerate(lines, 1):
                line = os.fsdecode(line.strip())
                if line and not line.startswith('#'):
                    yield number, line


def read_variable(name, text):
    """Return the kind of a piece, and the value of a variable where the command does not set it itself."""
    if name not in os.environ or re.search(r'(?<!\w)' + name + r'(\+?=|\s+in\s)', text):
        return 'unknown', os.environ.get(name, '')
    return 'text', os.environ[name]


def split_words(text):
    """Return the words of a command, also those within ( ) and $( ), each as a list of pieces."""
    words, quote, word, outer, position = [], '', [], [], 0
    literal, depth = 0, 0    # up to where wildcards stay as typed, and how many ( were open where that began
    while position < len(text):
        match = TOKENS[quote].match(text, position)
        kind, value, start, position = match.lastgroup, match.group(), position, match.end()
        before = quote
        if kind in ('end', 'unknown') and LINE_MARK in value:    # lines of files in it are words all the same
            literal, depth = (literal, depth) if start < literal else (position, len(outer))
            value = OPENING.match(value).group()
            kind = {'$(': 'inside', '(': 'nested', '${': 'unknown', '$[': 'unknown'}.get(value, 'text')
            position = start + len(value)
        if kind == 'end':
            words.append(word)
            word = []
            if value == ')' and len(outer) > (depth if start < literal else 0):
                quote, word = outer.pop()
        elif kind in ('inside', 'nested'):
            word.append(Piece('unknown', '', '', start, position, before, quote))
            outer.append((quote, word))
            quote, word = '', []
        else:
            if kind == 'quote':
                quote = '' if quote else value
            kind, value, name = read_token(kind, value, text, start < literal)
            word.append(Piece(kind, value, name, start, position, before, quote))
    return words + [word] + [word for _, word in outer]


#: What tokens stand for that are text, and are not written as they are meant.
MEANINGS = {'home': os.path.expanduser, 'escape': lambda token: token[1:], 'quote': lambda token: ''}


def read_token(kind, value, text, literal):
    """Return the kind, the value and the name of the piece of a word that a token stands for.

    Args:
        kind, value: of the token, as TOKENS has found it
        text: the command
        literal: whether wildcards stay as typed there
    """
    if kind == 'group':
        return read_path_group(value)
    if kind == 'value':
        name, _, part = value[1:-1].partition(':')
        return kind, part, name
    if kind == 'var':
        return read_variable(value.strip('${}'), text) + ('',)
    if kind in ('closed', 'ansi'):
        if GROUP.search(value) or LINE_MARK in value:
            raise QMapError("{}: groups cannot stand in backticks or $'...'; write $(...) or \"...\"".format(
                as_typed(value)))
        return 'unknown', value, ''
    if kind == 'wild' and literal:
        return 'text', value, ''
    if kind in MEANINGS:
        return 'text', MEANINGS[kind](value), ''
    return kind, value, ''


def read_path_group(written):
    """Return the kind, the value and the name of the piece that a group of paths stands for."""
    reference = REFERENCE.fullmatch(written[2:-2])
    if reference:
        name, part = reference.groups('')
        return 'ref', part, name
    if not WILDCARD.search(written):
        return 'text', written, ''
    name, _, pattern = NAMED.fullmatch(written[2:-2]).groups('')
    return 'group', os.path.expanduser(os.path.expandvars(pattern)), name


def split_parts(text, values, cache):
    """Return the parts of a command that change, in order, each a list of pieces. values: {name: line}."""
    parts = []
    for word in split_words(text):
        for part in word_parts(word, values, cache):
            kinds = {piece.kind for piece in part}
            if 'unknown' in kinds and 'group' in kinds:
                raise QMapError('{}: only the shell of the job can expand part of this; move the group to '
                                'another word'.format(as_typed(text[part[0].start:part[-1].end], values)))
            if kinds & {'wild', 'group'} and 'unknown' not in kinds:
                parts.append(part)
            else:
                parts += [[piece] for piece in part if piece.kind in ('ref', 'value')]
    return sorted(parts, key=lambda part: part[0].start)


def word_parts(word, values, cache):
    """Return what is matched each by itself of a word: the whole, or where that matches nothing, what lies
    between some signs. A word and its parts are lists of pieces."""
    kinds = {piece.kind for piece in word}
    if not kinds & {'wild', 'group'}:
        return [word]
    if 'unknown' not in kinds and match_paths(word, values, cache):
        return [word]
    signs = [piece for piece in word if piece.kind == 'split']
    if 'group' not in kinds:
        signs = [piece for piece in signs if piece.value in '=,' and not piece.before]
    return [list(part) for is_sign, part in itertools.groupby(word, signs.__contains__) if not is_sign]


def take_apart(text, values, cache):
    """Take a command apart into what stays and what changes.

    Returns:
        (list of texts, '' for what changes; {name: [(index, piece)]} of references; list of parts with
        wildcards: (index, pieces, names in it, names of others that it needs))
    """
    if (text,) in cache:
        return cache[text,]
    cells, references, waiting, position = [], {}, [], 0
    for part in split_parts(text, values, cache):
        cells += [text[position:part[0].start], '']
        position = part[-1].end
        if part[0].kind in ('ref', 'value') and len(part) == 1:
            references.setdefault(part[0].name, []).append((len(cells) - 1, part[0]))
        else:
            own, others = ({piece.name for piece in part if piece.kind == kind} for kind in ('group', 'ref'))
            if needs_own_part(part, own):
                raise QMapError('{}: a part of a path cannot stand in the same word as the path'.format(
                    as_typed(text[part[0].start:part[-1].end], values)))
            waiting.append((len(cells) - 1, part, own, others - own))
    cells.append(text[position:])
    if not waiting and len(cache) < 10000:    # else it is not the same with other lines of the files
        cache[text,] = cells, references, waiting
    return cells, references, waiting


def match_all(text, values, cache, link=False):
    """Yield the commands that the wildcards of one command stand for.

    Args:
        text: the command
        values: {name: value} of marks
        cache: as for `expand_command`
        link: False for all combinations; else the list of Source beside which wildcards stand, an empty one
            where wildcards are to be taken side by side
    """
    cells, references, waiting = take_apart(text, values, cache)
    cells, values, order = list(cells), dict(values), in_order(waiting)

    def put(names):
        for name in names:
            for place, piece in references.get(name, ()):
                cells[place] = quote_within(as_referred(piece, names), piece.before, piece.after)

    def matches(part):
        found = match_paths(part, values, cache)
        if not found:
            raise QMapError('{}: no file matches; to pass the wildcard to the command, quote it'.format(
                typed_part(text, part, values)))
        return found

    def fill(depth, turn=None):
        if depth == len(order):
            yield ''.join(cells)
            return
        cell, part, _, needs = order[depth]
        found = matches(part)
        for path, captured in found if needs or turn is None else found[turn:turn + 1]:
            cells[cell] = quote_within(path, part[0].before, part[-1].after)
            values.update(captured)
            put(captured)
            yield from fill(depth + 1, turn)

    put(values)
    if link is False or not order:
        return fill(0)
    if link:
        raise QMapError('--link: {}: wildcards stand side by side with other wildcards only; write the paths '
                        'to a file'.format(typed_part(text, order[0][1], values)))
    alone = [part for _, part, _, needs in order if not needs]
    check_lengths([(typed_part(text, part, values), matches(part)) for part in alone])
    return itertools.chain.from_iterable(fill(0, turn) for turn in range(len(matches(alone[0]))))


def typed_part(text, part, values):
    """Return a part of a command, a list of pieces, as it was typed."""
    return as_typed(text[part[0].start:part[-1].end], values)


def in_order(waiting):
    """Return the parts with wildcards, as `take_apart` has them, each behind those that it needs."""
    waiting, order, known = list(waiting), [], set()
    while waiting:
        ready = [entry for entry in waiting if entry[3] <= known]
        if not ready:
            raise QMapError('{}: these groups refer to each other; break the circle'.format(
                ' '.join(sorted({name for entry in waiting for name in entry[3]}))))
        order.append(ready[0])
        waiting.remove(ready[0])
        known |= ready[0][2]
    return order


def match_paths(part, values, cache):
    """Return [(path, {name: value}), ...] of what a part of a command matches, sorted.

    values: of the lines of files, and of the groups in other parts, a dict; one that is missing may be any.
    """
    import glob
    own = {piece.name: piece.value for piece in part if piece.kind == 'group' and piece.name}
    if needs_own_part(part, own):
        return []    # a pattern cannot say that
    pattern, names = '', set()      # see GLOB
    for piece in part:
        if piece.name in names:
            pattern += '\0={}\0'.format(piece.name)
        elif piece.name in own:
            names.add(piece.name)
            pattern += '\0{}\0{}\0\0'.format(piece.name, own[piece.name])
        elif piece.kind in ('ref', 'value'):
            pattern += glob.escape(as_referred(piece, values)) if piece.name in values else '*'
        else:
            pattern += piece.value if piece.kind in ('wild', 'group') else glob.escape(piece.value)
    pattern = pattern.replace(BRACES, '{{')
    if pattern not in cache:
        wanted = re.sub('\0=?(\\w*)\0',
                        lambda match: own[match.group(1)] if '=' in match.group() else '', pattern)
        try:
            found = sorted(find_paths(wanted))
            regex = re.compile(GLOB.sub(as_regex, pattern), re.DOTALL)
        except re.error as error:
            raise QMapError('{}: {}'.format(wanted, error))
        matches = [(path, regex.fullmatch(path)) for path in found]
        if len(cache) >= 10000:    # they may be as many as a table has rows
            cache.clear()
        cache[pattern] = [(path, {name: folder_text(value) if own[name].endswith('**') else value
                                  for name, value in match.groupdict().items()})
                          for path, match in matches if match]
    return cache[pattern]


def needs_own_part(part, names):
    """Tell whether a part of a command refers to one of PARTS of a path of its own; names: of its groups."""
    return any(piece.kind == 'ref' and piece.value and piece.name in names for piece in part)


def as_referred(piece, values):
    """Return the value, of {name: value}, to which a piece refers, or the part of it."""
    value = values[piece.name]
    return path_part(value, piece.value) if piece.value else value


def folder_text(matched):
    """Return what ** has matched as the path of a folder."""
    return matched.rstrip('/') or matched or '.'


def find_paths(pattern):
    """Return the set of the paths that match a pattern for `glob`. But ** enters no folder that is a link: it
    may lead back, and each file would be there many times."""
    import glob
    deep = DEEP.search(pattern)
    if not deep:
        return set(glob.glob(pattern))
    start, rest = pattern[:deep.start()], pattern[deep.end():]
    folders = glob.glob(start) if start else ['']
    found = set() if rest else set(folders)
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder or '.') as entries:
                entries = [(folder + entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries
                           if not entry.name.startswith('.')]
        except OSError:    # may not be read, or is no folder
            continue
        folders += [path + '/' for path, is_folder in entries if is_folder]
        if rest:
            found |= find_paths(glob.escape(folder) + rest)
        elif deep.group().endswith('/'):
            found.update(path + '/' for path, is_folder in entries if is_folder)
        else:
            found.update(path for path, _ in entries)
    return found - {''}


def as_regex(match):
    """Return what a match of GLOB is in a regular expression."""
    kind, text = match.lastgroup, match.group()
    if kind == 'deep':      # **/ may be no folder at all, and then there is no slash either
        return ('(?:.*/)?' if text.endswith('/') else '.*') + (')' if '\0' in text else '')
    if kind == 'name':
        name = text.strip('\0=')
        if '=' in text:
            return '(?P={})'.format(name)
        return '(?P<{}>'.format(name) if name else ')'
    if kind == 'set':
        inside = re.sub(r'([\\^[&|~])', r'\\\1', text[1:-1])
        return '[{}]'.format('^' + inside[1:] if inside[0] == '!' else inside)
    return {'star': '[^/]*', 'one': '[^/]'}.get(kind) or re.escape(text)


def quote_word(text):
    """Return text as one word for the shell, on one line, in which nothing means anything to a map."""
    if re.search(r'[\0-\x1f\x7f]|\$\{QMAP| ## ', text):
        return "$'{}'".format(re.sub(r"[\0-\x1f\x7f\\'$#]",
                                     lambda match: '\\x{:02x}'.format(ord(match.group())), text))
    return shlex.quote(text)


def quote_within(value, before, after):
    """Return a value as it is written where these quotes are open, so that the shell reads it as it is."""
    plain = {'"': r'[^\0-\x1f\x7f"\\$`!#]*', "'": r"[^\0-\x1f\x7f'$#]*"}.get(before)
    if plain and before == after and re.fullmatch(plain, value):
        return value
    return before + quote_word(value) + after


class Table:
    """The rows of a table with a header: TSV, or CSV by its ending, as the `csv` module reads them. They are
    read anew each time.

    Attributes:
        path: of the file
        columns: names of the columns
    """

    #: What parts the fields, if the first of it stands in the header at all; CSV files first have commas.
    DELIMITERS = '\t,;'
    #: How a file begins that is no text, and what to do then.
    BINARY = {b'PK\x03\x04': 'an Excel workbook, or another archive; save the table as CSV or TSV',
              b'\xd0\xcf\x11\xe0': 'an Excel workbook; save the table as CSV or TSV',
              b'\x1f\x8b': 'compressed; give --table <(zcat FILE)'}
    CONDITION = re.compile(r'(.*?)\s*(!=|==?)(.*)', re.DOTALL)

    def __init__(self, path, conditions=(), own_params=True):
        """Read a table from end to end.

        Args:
            path: of the file, '-' for standard input
            conditions: iterable of texts, COLUMN=VALUE or COLUMN!=VALUE; rows for which one does not hold are
                left out
            own_params: whether its columns are parameters of the jobs

        Raises:
            QMapError: it cannot be read or is wrong, with the number of the line
        """
        self.path = path
        try:
            self._source = self._open(path)
        except OSError as error:
            raise QMapError('{}: {}{}'.format(path, error.strerror, near_file(path)))
        self._delimiter = self._find_delimiter()
        number, cells = next(self._numbered(), (1, []))
        self.columns = self._read_header(number, cells)
        self._conditions = [self._read_condition(text) for text in conditions]
        self._params = self._name_params(number) if own_params else []
        self._last = None, ''    # the last row of which the parameters were asked for, and these as text
        self._length = sum(1 for _ in self._rows())
        if not self._length:
            raise QMapError('{}: no rows {}'.format(
                path, 'with ' + ' and '.join(conditions) if conditions else 'below the header'))

    def __len__(self):
        return self._length

    def __iter__(self):
        return (cells for _, cells in self._rows())

    @staticmethod
    def _open(path):
        """Return a file of bytes that can be read again; that of a pipe is a copy."""
        source = sys.stdin.buffer if path == '-' else open(path, 'rb')
        if source.seekable():
            return source
        import shutil
        with source:
            return spool(lambda target: shutil.copyfileobj(source, target))

    def _wrong(self, number, text):
        return QMapError('{}, line {}: {}'.format(self.path, number, text))

    def _lines(self):
        """Yield its lines as text."""
        self._source.seek(0)
        first = self._source.readline()
        for start, text in self.BINARY.items():
            if first.startswith(start):
                raise self._wrong(1, text)
        whole = itertools.chain([first[text_start(first, self.path):]], self._source)
        # some end their lines with a carriage return only
        lines = itertools.chain.from_iterable(line.splitlines(True) for line in whole)
        for number, line in enumerate(lines, 1):
            if b'\0' in line:
                raise self._wrong(number, 'contains a NUL byte, and is no table; save it as CSV or TSV')
            try:
                line.decode('utf-8')
            except UnicodeDecodeError:
                raise self._wrong(number, 'not UTF-8; save the table as UTF-8')
            yield os.fsdecode(line)    # as file names and arguments are

    def _find_delimiter(self):
        """Return what parts the fields: what its ending says, another one if the header has none of it."""
        header = next((line for line in self._lines() if line.strip()), '')
        usual = ',' if self.path.lower().endswith('.csv') else '\t'
        return next((sign for sign in usual + self.DELIMITERS if sign in header), usual)

    def _numbered(self):
        """Yield (number of the line on which it begins, list of its fields) of each row that is not blank."""
        import csv
        reader, number = csv.reader(self._lines(), delimiter=self._delimiter, strict=True), 1
        try:
            for cells in reader:
                if any(cells):
                    yield number, cells
                number = reader.line_num + 1
        except csv.Error as error:
            raise self._wrong(number, '{}; a field that begins with a " ends with one, and "" stands for one '
                                      'in it'.format(error))

    def _read_header(self, number, cells):
        """Return the names of the columns."""
        names = [name.strip() for name in cells]
        if names:
            names[0] = names[0].lstrip('#').lstrip()
        files = [name for name in names if re.search('[./]', name) and os.path.isfile(name)]
        twice = sorted(name for name in set(names) if names.count(name) > 1 and name)
        if not any(names):
            raise QMapError('{}: the table is empty'.format(self.path))
        if files:
            raise self._wrong(number, '{} is a file, and no name of a column; add a line with the names of '
                                      'the columns'.format(files[0]))
        if twice:
            raise self._wrong(number, 'the column {} is there twice; rename one'.format(twice[0]))
        if '' in names:
            raise self._wrong(number, 'column {} has no name'.format(names.index('') + 1))
        return names

    def _rows(self):
        """Yield (number of the line, list of fields) of each row for which all conditions hold.

        Raises:
            QMapError: a row is wrong
        """
        rows = self._numbered()
        next(rows)
        for number, cells in rows:
            if len(cells) != len(self.columns):
                raise self._wrong(number, '{} field{} where the header has {}'.format(
                    len(cells), 's' * (len(cells) != 1), len(self.columns)))
            if all((cells[index] == value) == wanted for index, wanted, value in self._conditions):
                self._check_params(number, cells)
                yield number, cells

    def _read_condition(self, text):
        """Return the place of the column, whether it is to be the value, and the value, of a condition."""
        match = self.CONDITION.fullmatch(text)
        if not match:
            raise QMapError('--where {}: write COLUMN=VALUE or COLUMN!=VALUE'.format(text))
        name, sign, value = match.groups()
        return self.index(name.strip(), '--where ' + text), sign != '!=', value

    def index(self, name, place):
        """Return the place of a column in a row.

        Args:
            name: of the column
            place: where it is asked for, as it was typed

        Raises:
            QMapError: there is no such column
        """
        if name in self.columns:
            return self.columns.index(name)
        raise QMapError('{}: {} has no column {}{}; its columns: {}'.format(
            place, self.path, name, did_you_mean(name, self.columns), ', '.join(self.columns)))

    def _name_params(self, number):
        """Return the names of the parameters that the columns are, in their order."""
        names, seen = [column_parameter(column) for column in self.columns], {}
        for column, name in zip(self.columns, names):
            other = seen.setdefault(name.upper(), column)
            if other != column:
                raise self._wrong(number, 'the columns {} and {} are both the parameter {} of jobs; rename '
                                          'one, or give --no-params'.format(other, column, name))
        return names

    def _check_params(self, number, cells):
        """Raise QMapError where a field is no value of the parameter that it is."""
        for name, cell in zip(self._params, cells):
            if name in PARAMETERS and cell:
                try:
                    read_parameter(name, cell)
                except ValueError as error:
                    raise self._wrong(number, '{} (the column is what the job requests; to avoid it, '
                                              'rename it, or give --no-params)'.format(error))

    def requests(self):
        """Return the names of the columns that are requests of the jobs."""
        return [name for name in self._params if name in PARAMETERS]

    def with_params(self, line, cells):
        """Return a command with the parameters that a row gives it; those that it has itself go before."""
        if not self._params:
            return line
        own = {key.lower() for key, _ in split_own(line)[1]} if ' ## ' in line else ()
        if own:
            return '{} {}'.format(line, self._param_words(cells, own)).rstrip()
        if self._last[0] is not cells:
            self._last = cells, self._param_words(cells)
        return '{} ## {}'.format(line, self._last[1]) if self._last[1] else line

    def _param_words(self, cells, own=()):
        """Return the parameters that a row gives a command, as text; own: those that it has itself."""
        given = [(name, cell) for name, cell in zip(self._params, cells) if cell or name not in PARAMETERS]
        return ' '.join(parameter_word(name, cell) for name, cell in given if name.lower() not in own)


def column_parameter(column):
    """Return the name of the parameter of jobs that a column of a table is: its own, if that is none that
    QMap has for itself. `name`, which is the prefix of the names of jobs, is mostly the name of a sample."""
    name = re.sub('[^A-Za-z0-9_]', '_', column)
    name = '_' * name[0].isdigit() + name
    if name.lower() in RESERVED + ('name',):
        return name + '_'
    return name.lower() if name.lower() in PARAMETERS else name


# What the job's shell has to do to stand where this one stands. It is no login shell and has read no start-up
# file, so `module` and `conda activate` are unknown to it. It may also stop at the first command that fails,
# even within a file that it sources: hence `|| :` behind those. The next line notices what they leave undone.

def environment_lines(conda_env, modules):
    """Return the lines for [pre] that bring modules and environments; see `template_lines`."""
    lines = module_lines(modules)
    conda = conda_lines(conda_env)
    venv = os.path.join(os.environ.get('VIRTUAL_ENV', ''), 'bin')
    if conda_env is not None or not os.path.isfile(os.path.join(venv, 'activate')):
        return lines + conda
    activate = ['source {} || exit'.format(quote_word(os.path.join(venv, 'activate')))]
    # of two environments, the one that is first on PATH was activated last
    both = [folder for folder in os.environ.get('PATH', '').split(':')
            if folder in (venv, os.path.join(os.environ.get('CONDA_PREFIX', ''), 'bin'))]
    return lines + (activate + conda if both and both[0] != venv else conda + activate)


def module_lines(modules):
    """Return the lines that load Environment Modules (modules.readthedocs.io, lmod.readthedocs.io).

    Both makes leave LOADEDMODULES, MODULEPATH and MODULESHOME in the environment, Lmod also LMOD_PKG; the
    file init/bash of either defines `module`, and keeps a MODULEPATH that is set.
    """
    names = os.environ.get('LOADEDMODULES', '').split(':') if modules is None else modules
    names = ' '.join(quote_word(name) for name in names if name)
    files = [os.path.join(os.environ.get(home, ''), 'init', 'bash') for home in ('MODULESHOME', 'LMOD_PKG')]
    files = [file for file in files if os.path.isfile(file)]
    if not names:
        return []
    if not files and modules is None:
        return ['# modules that are loaded, but not available on this machine: ' + names]
    path = os.environ.get('MODULEPATH') if files else ''
    return (['export MODULEPATH=' + quote_word(path)] if path else []) + [
        'source {} || :'.format(quote_word(file)) for file in files[:1]] + ['module load ' + names]


def conda_lines(conda_env):
    """Return the lines that activate a conda environment: the active one by its path.

    CONDA_EXE is ROOT/bin/conda, and ROOT/etc/profile.d/conda.sh defines `conda activate` (conda 4.4 and
    newer); other layouts have `conda shell.bash hook`. MAMBA_EXE and MAMBA_ROOT_PREFIX are set by micromamba
    and mamba 2, whose hook defines a function with the name of the program (mamba.readthedocs.io).
    """
    import shutil
    wanted = os.environ.get('CONDA_PREFIX', '') if conda_env is None else conda_env
    conda = os.environ.get('CONDA_EXE') or shutil.which('conda') or ''
    mamba, mamba_root = os.environ.get('MAMBA_EXE', ''), os.environ.get('MAMBA_ROOT_PREFIX', '')
    root = os.path.dirname(os.path.dirname(conda))
    script = os.path.join(root, 'etc', 'profile.d', 'conda.sh')
    line = 'source {} || :'.format(quote_word(script))
    if not os.path.isfile(script):
        line = 'eval "$({} shell.bash hook)" || :'.format(quote_word(conda or 'conda'))
    command = 'conda'
    in_conda, in_mamba = (os.path.isdir(os.path.join(folder, 'envs', wanted))
                          for folder in (root, mamba_root))
    only_in_mamba = in_mamba and not in_conda
    without_conda = only_in_mamba or not conda
    if mamba and without_conda:
        line = 'export MAMBA_EXE={} MAMBA_ROOT_PREFIX={}; '.format(quote_word(mamba), quote_word(mamba_root))
        line += 'eval "$("$MAMBA_EXE" shell hook --shell bash)" || :'
        command = os.path.basename(mamba)
    return [line, '{} activate {}'.format(command, quote_word(wanted))] if wanted else []


##############################################################################################################
# Profiles
##############################################################################################################

#: What a profile may say beside its sections [params] and [editable_params].
SETTINGS = collections.OrderedDict([
    ('executor', 'scheduler: local, slurm, sge or lsf'),
    ('extra', 'options for every submission, before the extra of map and job'),
    ('max_running', 'default of --max-running'),
    ('max_ungrouped', 'maximum number of commands without --group (0: unlimited)'),
    ('keep', 'default of --keep: all or failed'),
    ('pull', 'default of --pull (0: each job is a job of the scheduler)'),
    ('on_finish', 'default of --on-finish'),
    ('retries', 'default of --retries'),
    ('retry_on', 'default of --retry-on'),
    ('grow', 'default of --grow'),
    ('max_memory', 'default of --max-memory'),
    ('max_time', 'default of --max-time'),
    ('learn', 'false: as --no-learn'),
    ('show_usage', 'show the load of the cluster: true or false'),
    ('poll', 'seconds between two queries of the scheduler'),
    ('give_up', 'time after which jobs fail that will never start, as the scheduler says'),
    ('penv', 'Grid Engine: parallel environment for more than one core'),
    ('memory_resource', 'Grid Engine: resource that limits memory'),
    ('gpu_resource', 'Grid Engine: resource that counts GPUs'),
    ('accounting', 'Grid Engine: paths of the accounting files'),
    ('memory_unit', 'LSF: unit of memory sizes'),
    ('memory_per', 'Grid Engine, LSF: memory is requested per slot, job or host'),
    ('memory_limit_per', 'LSF: memory is limited per job or slot'),
])

EXECUTORS = ('local', 'slurm', 'sge', 'lsf')


class QueueRules:
    """Which queue is for which jobs: what stands below [queues] in a profile, the first rule that fits."""

    #: What a rule compares, and what a job has that does not request it; of memory and time nobody knows.
    DEFAULTS = {'cores': 1, 'gpus': 0, 'nodes': 1, 'tasks': 1, 'memory': None, 'time': None}
    COMPARE = {'<=': operator.le, '>=': operator.ge, '<': operator.lt, '>': operator.gt, '=': operator.eq}

    def __init__(self, text):
        """
        Args:
            text: a rule a line, such as 'short = time<=3h memory<=250G'; without a condition it fits any job

        Raises:
            ValueError: a rule cannot be read
        """
        self._rules = []
        for line in text.splitlines():
            name, _, conditions = (part.strip() for part in line.partition('='))
            self._rules.append((name, [self._read(name, condition) for condition in
                                       re.sub(r'\s*([<>]=?|=)\s*', r'\1', conditions).split()]))

    def _read(self, name, text):
        """Return a condition as (parameter, function that compares, value)."""
        match = re.match('([a-z]+)([<>]=?|=)(.+)$', text)
        if not match or match.group(1) not in self.DEFAULTS:
            raise ValueError('queue {}: {}: must be a comparison of {}, such as time<=3h'.format(
                name, text, ', '.join(sorted(self.DEFAULTS))))
        key, sign, value = match.groups()
        try:
            return key, self.COMPARE[sign], read_parameter(key, value)
        except ValueError as error:
            raise ValueError('queue {}: {}'.format(name, error))

    def __bool__(self):
        return bool(self._rules)

    def choose(self, params):
        """Return the first queue whose rule fits these parameters of a job, '' where none does."""
        return next((name for name, conditions in self._rules
                     if all(self._fits(params, *condition) for condition in conditions)), '')

    def _fits(self, params, key, compare, value):
        """Tell whether a condition is known to hold."""
        requested = params.get(key, self.DEFAULTS[key])
        return requested is not None and compare(requested, value)


class Profile:
    """Where and how jobs run: the executor, its settings, and parameters for all jobs.

    Attributes:
        name: as given, or of the executor that was found
        why: in a few words, how it was chosen
        executor: one of EXECUTORS
        settings: dict of text
        params: dict of parameters
        editable: dict of the parameters that may be changed while an execution runs, with their labels
    """

    def __init__(self, name=None):
        """Load a profile.

        Args:
            name: of a built-in profile, of a file NAME.conf, or a path; by default QMAP_PROFILE, else the
                scheduler that this machine has, else local

        Raises:
            QMapError: there is no such profile, or something in it is wrong
        """
        self.settings, self.params, self.editable = {}, {}, {}
        self.warnings = []
        self.why = 'from -p'
        if not name and os.environ.get('QMAP_PROFILE'):
            name, self.why = os.environ['QMAP_PROFILE'], 'from QMAP_PROFILE'
        found = None
        if not name:
            found = find_scheduler()
            name = found or 'local'
            self.why = 'found {}'.format(COMMANDS[found]) if found else 'no scheduler found'
        self.name = name
        for folder in reversed(profile_folders()):
            self._read(os.path.join(folder, 'default.conf'))
        path = self._find(name)
        if path:
            self._read(path)
        elif name in EXECUTORS:
            self.settings['executor'] = name
        else:
            raise QMapError(
                'profile {0}: not found{1}; built in: {2}; others: {0}.conf in {3}; for a partition or '
                'queue, write queue = {0} below [params] in the map'.format(
                    name, did_you_mean(name, EXECUTORS), ', '.join(EXECUTORS),
                    ' or '.join(profile_folders())))
        self.executor = self._executor(name)
        # It adds to that of a map or a job: a site may demand it of every submission.
        extra = [part for part in (self.settings.get('extra'), self.params.pop('extra', '')) if part]
        if extra:
            self.settings['extra'] = ' '.join(extra)
        if self.executor not in EXECUTORS:
            raise QMapError('profile {}: executor = {}: unknown executor; known: {}'.format(
                name, self.executor, ', '.join(EXECUTORS)))

    def _executor(self, name):
        """Return the executor: as the profile says or is called, else the scheduler of this machine."""
        if 'executor' in self.settings or name in EXECUTORS:
            return self.settings.get('executor', name)
        found = find_scheduler()
        self.why += '; found {}'.format(COMMANDS[found]) if found else '; no scheduler found'
        return found or 'local'

    @staticmethod
    def _find(name):
        if os.sep in name or name.endswith('.conf'):
            if not os.path.isfile(name):
                raise QMapError('profile {}: no such file'.format(name))
            return name
        for folder in profile_folders():
            path = os.path.join(folder, name + '.conf')
            if os.path.isfile(path):
                return path
        return None

    def _read(self, path):
        try:
            with open(path, 'rb') as source:
                text = source.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise QMapError('{}: {}'.format(path, error.strerror or error))
        lines = self._lines(decode(text[text_start(text, path):]), path)
        import configparser
        parser = configparser.RawConfigParser(delimiters=('=',), comment_prefixes=('#',), strict=False)
        parser.optionxform = str
        try:
            # Above the settings configparser wants a section: it stands on line 0, to keep the numbers.
            parser.read_string('\n'.join(['[settings]'] + lines), path)
        except configparser.Error as error:
            number = getattr(error, 'lineno', None) or (getattr(error, 'errors', None) or [(1, '')])[0][0]
            raise QMapError('{}, line {}: neither key = value nor [section]'.format(path, number - 1))
        for key, value in parser.items('settings'):
            if key not in SETTINGS:
                self.warnings.append('{}: unknown setting {}{}; known: {}'.format(
                    path, key, did_you_mean(key, SETTINGS), ', '.join(SETTINGS)))
            self.settings[key] = strip_quotes(value)
        for section in parser.sections():
            if section == 'params':
                for key, value in parser.items(section):
                    self.params[key] = self._checked(key, strip_quotes(value), path)
            elif section == 'editable_params':
                for key, label in parser.items(section):
                    self._checked(key, None, path)
                    self.editable[key] = label
            elif section == 'queues':
                self.settings['[queues]'] = self._checked_rules(parser.items(section), path)
            elif section != 'settings':
                self.warnings.append('{}: [{}]: unknown section; known: [params] [editable_params] [queues]'
                                     .format(path, section))

    def _lines(self, text, path):
        """Return the lines of a profile, each header alone on its own; a comment may stand behind it."""
        lines, section, seen = [], 'settings', set()
        for number, line in enumerate(text.split('\n'), 1):
            line = line.strip()
            if '\0' in line:
                raise QMapError('{}, line {}: {}'.format(path, number, NUL_BYTE))
            header = re.match(r'(\[[^]]*\])\s*(?:#.*)?$', line)
            if header:
                line = section = header.group(1)
            elif line.startswith('[') and ']' in line:
                raise QMapError('{}, line {}: {}: text after a section header; move it to the next '
                                'line'.format(path, number, line))
            lines.append(line)
            key, mark = line.partition('=')[:2]
            place = (section, key.strip())
            if mark and place in seen and not line.startswith('#'):
                self.warnings.append('{}, line {}: {}: given twice; the last value counts'.format(
                    path, number, key.strip()))
            seen.add(place)
        return lines

    @staticmethod
    def _checked(key, value, path):
        """Return the value of a parameter; of one that is None only the name is checked."""
        try:
            check_name(key)
            return None if value is None else read_parameter(key, value)
        except ValueError as error:
            raise QMapError('{}: {}'.format(path, error))

    @staticmethod
    def _checked_rules(items, path):
        """Return the rules for queues as the setting that `QueueRules` reads."""
        text = '\n'.join('{} = {}'.format(name, strip_quotes(rule)) for name, rule in items)
        try:
            QueueRules(text)
        except ValueError as error:
            raise QMapError('{}: [queues]: {}'.format(path, error))
        return text

    def number(self, key):
        """Return a setting as a whole number, None where it is not set or 0.

        Raises:
            QMapError: it is something else
        """
        value = self.settings.get(key, '0')
        if not value.isdigit():
            raise QMapError('profile {}: {} = {}: must be a whole number'.format(self.name, key, value))
        return int(value) or None

    def sentence(self):
        """Return the line that says which profile this is and why."""
        executor = '' if self.name == self.executor else 'executor {}; '.format(self.executor)
        return 'profile: {} ({}{})'.format(self.name, executor, self.why)


#: The submission command of each scheduler: what tells that it is there.
COMMANDS = collections.OrderedDict([('slurm', 'sbatch'), ('sge', 'qsub'), ('lsf', 'bsub')])


def strip_quotes(value):
    """Return the value of a setting without the quotes around the whole of it."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in '\'"' else value


def find_scheduler():
    """Return the name of the scheduler whose submission command is on the PATH, None for none."""
    import shutil
    for name, command in COMMANDS.items():
        if shutil.which(command):
            return name
    return None


def profile_folders():
    """Return the folders in which profiles are looked for, the first one first."""
    config = os.path.join(os.path.expanduser('~'), '.config')    # with ~ as it is for a user without a home
    # One that is not absolute is to be ignored (XDG Base Directory Specification).
    if os.path.isabs(os.environ.get('XDG_CONFIG_HOME', '')):
        config = os.environ['XDG_CONFIG_HOME']
    found = [os.environ.get('QMAP_HOME')] + ([os.path.join(config, 'qmap')] if os.path.isabs(config) else [])
    return [folder for folder in found if folder]


##############################################################################################################
# The logs folder
##############################################################################################################

class Logs:
    """The names in a logs folder, and how its files are read and written.

    Every file is written by one process, and replaced whole; what another host may have written is read by
    listing its folder and opening it anew, because network file systems cache attributes but not an open.
    """

    def __init__(self, path):
        self.path = absolute_path(path)
        self.qmap = os.path.join(self.path, '.qmap')
        self.run = os.path.join(self.qmap, 'run')
        self.input = os.path.join(self.path, 'qmap_input')
        self.execution = os.path.join(self.path, 'execution.info')
        self.excluded = os.path.join(self.qmap, 'excluded')
        self.messages = os.path.join(self.path, 'execution.log')
        self.driver = os.path.join(self.qmap, 'driver.json')
        self.lock = os.path.join(self.qmap, 'lock')
        self.inbox = os.path.join(self.qmap, 'inbox')
        self.most = 1 << 30    # files in run/; Plan knows how many jobs there are

    def create(self):
        """Make the folder and its inner ones.

        Raises:
            QMapError: it cannot be made, or there is something in it
        """
        try:
            os.makedirs(self.path, FOLDER_MODE, exist_ok=True)
            if os.listdir(self.path):
                raise QMapError(self.taken())
            reason = self.distrusted()
            if reason:
                raise QMapError('{}: {}; give a new folder with --logs'.format(
                    shown_path(self.path), reason))
            os.mkdir(self.qmap, FOLDER_MODE)
            for name in ('run', 'batch', 'inbox'):
                os.mkdir(os.path.join(self.qmap, name), FOLDER_MODE)
        except FileExistsError:    # another process was just as quick
            raise QMapError(self.taken())
        except OSError as error:
            raise QMapError('{}: {}; give another logs folder with --logs'.format(
                self.path, error.strerror or error))

    def distrusted(self):
        """Return why others than this user and root may have a say in what lies here, '' for no reason.

        What lies here says what runs, and where it is written. A file system that shows all files as one
        user's, or shows no modes, cannot tell: hence the file that is made to see what it shows of one's own.
        """
        for there in filter(None, map(status_of, ((self.path, True), (self.qmap, False), (self.qmap, True)))):
            foreign = there.st_uid not in (os.geteuid(), 0)
            open_to_all = there.st_mode & stat.S_IWOTH and not stat.S_ISLNK(there.st_mode)
            if not (foreign or open_to_all):
                continue
            own = self._made_here()
            if foreign and not (own and own.st_uid == there.st_uid):
                return 'belongs to {}, whose commands would run as you'.format(user_name(there.st_uid))
            if open_to_all and not (own and own.st_mode & stat.S_IWOTH):
                return 'writable by every user, who could change what runs as you; use chmod o-w'
        return ''

    def _made_here(self):
        """Return the status of a file that was made here for a moment, None where none can be."""
        path = os.path.join(self.qmap if os.path.isdir(self.qmap) else self.path, '.' + os.urandom(8).hex())
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
        try:
            return os.fstat(handle)
        finally:
            os.close(handle)
            remove_file(path)

    def driver_now(self):
        """Return who drives, as driver.json has it; {} where that says nothing, or cannot be read."""
        return of_types(read_json(self.driver), DRIVER_FIELDS)

    def taken(self):
        """Return what to say where the folder is not empty."""
        if os.path.isdir(self.qmap):
            return '{0}: contains an execution already; resume it with reattach -l {0}, with an edited map ' \
                'by --resume, or give another folder with --logs'.format(shown_path(self.path))
        return '{}: the logs folder is {}; give another one with --logs'.format(
            self.path, 'not empty' if os.path.isdir(self.path) else 'a file')

    def journal(self, epoch):
        """Return the path of a journal's segment."""
        return os.path.join(self.qmap, 'journal.{:04d}'.format(epoch))

    def snapshot(self, epoch):
        """Return the path of the file that stands for all segments up to this one."""
        return os.path.join(self.qmap, 'snapshot.{:04d}'.format(epoch))

    def has_other_maps(self):
        """Tell whether another map may have taken the place of the first one.

        Raises:
            OSError: that cannot be read
        """
        return any(map(MAP_NAME.match, os.listdir(self.qmap)))

    def epochs(self, kind='journal'):
        """Return the sorted numbers of all journal segments, or snapshots."""
        found = []
        for name in os.listdir(self.qmap):
            head, _, tail = name.partition('.')
            if head == kind and tail.isdigit():
                found.append(int(tail))
        return sorted(found)

    def batch(self, number, suffix=''):
        """Return the path of a batch's script, or of another of its files."""
        return os.path.join(self.qmap, 'batch', str(number) + suffix)

    def close_batch(self, number):
        """Remove the list of a batch, without which nothing more of it begins, and its script: earlier
        versions look for that.

        Raises:
            OSError: one of them cannot be removed
        """
        for suffix in ('.list', ''):
            try:
                os.unlink(self.batch(number, suffix))
            except FileNotFoundError:
                pass

    def is_open(self, number):
        """Tell whether jobs of a batch may still begin."""
        return any(os.path.exists(self.batch(number, suffix)) for suffix in ('.list', ''))

    def job(self, id, suffix, count):
        """Return the path of a job's file, in a subfolder for each thousand where there were many commands at
        first, and for jobs that came later and make them many."""
        is_deep = count > FLAT or len(id) > len(str(FLAT - 1))
        folder = os.path.join(self.path, id[:-3]) if is_deep else self.path
        return os.path.join(folder, id + suffix)

    def listing(self):
        """Return the names of what the jobs themselves have written, and what is not yet merged.

        Raises:
            OSError: it cannot be read, or holds more than all jobs could have written
        """
        with os.scandir(self.run) as entries:
            names = [entry.name for entry in itertools.islice(entries, self.most + 1)]
        if len(names) > self.most:
            raise OSError(
                errno.EMFILE, 'more than {:,} files; QMap did not make them'.format(self.most), self.run)
        return names

    def run_files(self, names):
        """Return a list of the RunFiles that names in run/ stand for."""
        return list(filter(None, map(parse_run_file, names)))

    def run_file(self, kind, *numbers):
        """Return the path of the file of a batch in run/, as `parse_run_file` reads its name."""
        return os.path.join(self.run, '.'.join([kind] + [str(number) for number in numbers]))


#: What the name of a file in run/ tells: its kind (start, done, why of an attempt; left, cancel, home of a
#: batch; earlier versions: end, share), the key of the attempt, the numbers of the batch and of its task; ''
#: and 0 for none.
RunFile = collections.namedtuple('RunFile', 'kind key batch index')
RUN_FILE = re.compile(r'(?:(share|left|cancel)\.(\d{1,15})\.(\d{1,15})|(home)\.(\d{1,15})|'
                      r'(\d+\.\d+)\.(start|end|done|why))\Z')


def parse_run_file(name):
    """Return the RunFile that a name in run/ stands for, None for a name that QMap gives to no file."""
    match = RUN_FILE.match(name)
    if not match:
        return None
    kind, batch, index, limit, pool, key, said = match.groups()
    return RunFile(kind or limit or said, key or '', int(batch or pool or 0), int(index or 0))


def words_in(files):
    """Return {name: RunFile} of the words of chunks that there are among these RunFiles, or of attempts of
    which nothing but the end is seen."""
    found = {}
    for file in files:
        name = file.key + '.start'
        if file.kind == 'end':
            found[name] = file
        elif file.kind == 'start':
            found.setdefault(name, file)
        elif file.kind == 'share':
            found['share.{}.{}'.format(file.batch, file.index)] = file
    return found


def status_of(pair):
    """Return what os.stat says, None where there is nothing.

    Args:
        pair: a path, and whether to follow it where it is a link
    """
    try:
        return os.stat(pair[0], follow_symlinks=pair[1])
    except OSError:
        return None


def user_name(uid):
    """Return the name of a user, or its number where it has none."""
    import pwd
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return 'user {}'.format(uid)


#: What a runner says as it begins (of a claim that ran nothing: void, driver), and as a job ends.
START_FIELDS = {
    'host': str, 'pid': int, 'born': str, 'executor_id': str, 'batch': int, 'crew': int, 'k': int,
    'driver': int, 'time': NUMBER, 'void': int}
END_FIELDS = {
    'time': NUMBER, 'cpu': NUMBER, 'memory': int, 'memory_below': int, 'before': str, 'left': int,
    'group_cpu': int, 'steps': int, 'nodes': int, 'signal': str, 'oom_kills': int, 'forewarned': str,
    'lacks': int}

#: What execution.info says.
EXECUTION_FIELDS = {
    'version': str, 'name': str, 'profile': str, 'executor': str, 'settings': dict, 'editable_params': dict,
    'params': dict, 'map_params': dict, 'retry': dict, 'max_running': int, 'group': int, 'keep': str,
    'pull': int,
    'on_finish': str, 'repeat': list, 'jobs': int, 'commands': int, 'working_directory': str, 'logs': str,
    'inode': int, 'host': str, 'token': str, 'created_seconds': NUMBER, 'canary': int, 'halt': str,
    'exclude': bool,
    'outputs': bool, 'skip': str, 'after': dict}

#: What a map event says; the names of maps in the folder .qmap; and how many commands one may add.
MAP_FIELDS = {
    'file': str, 'number': int, 'commands': int, 'owns': bool, 'params': dict, 'gone': list, 'time': NUMBER}
MAP_NAME = re.compile(r'map\.\d{1,9}\.[0-9a-f]{16}\Z')
MOST_COMMANDS = 1 << 30
#: The names of maps of the user that wait in the inbox, each for an order.
STAGED_NAME = re.compile(r'[0-9a-f]{16}\.map\Z')

#: What a batch event says, and what it must.
BATCH_FIELDS = {
    'batch': int, 'name': str, 'tasks': list, 'time': NUMBER, 'params': dict, 'chunks': list, 'crew': int,
    'workers': int, 'with': dict, 'id': str, 'shares': int, 'elsewhere': list}
NEEDED = ('batch', 'name', 'tasks', 'time')


def chunks_of(event):
    """Return the keys of the jobs of a batch, a list for each of its chunks.

    Raises:
        ValueError, TypeError: the event is damaged
    """
    keys, many = event['tasks'], event.get('shares')
    if many:    # an earlier version
        return [keys[first::many] for first in range(many)]
    found, place = [], 0
    for size, count in event.get('chunks') or [(1, len(keys))]:
        if size < 1 or place + size * count > len(keys):
            raise ValueError(event)
        found += [keys[first:first + size] for first in range(place, place + size * count, size)]
        place += size * count
    if place != len(keys):
        raise ValueError(event)
    return found


def is_shared(event):
    """Tell whether the tasks of a batch, which stand for no worker, run several jobs each."""
    return 'crew' not in event and not {'shares', 'chunks'}.isdisjoint(event)


#: Who drives, in driver.json and at the beginning of a segment of the journal.
DRIVER_FIELDS = {
    'event': str, 'host': str, 'pid': int, 'born': str, 'mount': int, 'nonce': str, 'epoch': int, 'beat': int,
    'released': bool, 'trouble': str, 'max_running': int, 'bytes': int, 'read': dict}


def read_start(path):
    """Return what a runner said as it began, {} where nothing is there (yet)."""
    start = of_types(read_json(path), START_FIELDS)
    return start if 'void' in start or 'driver' in start or {'host', 'time'} <= set(start) else {}


def read_why(path):
    """Return why this execution ended an attempt, {} where that is not written: a dict with reason, words and
    time. Early releases wrote no time."""
    return sound_why(read_json(path))


def sound_why(value):
    """Return what a .why tells, as far as it is what it should be; {} where it is not."""
    why = of_types(value, {'reason': str, 'words': str, 'time': NUMBER})
    return why if 'words' in why and why.get('reason') in REASONS else {}


def birth(pid):
    """Return what tells a process from a later one with the same number: the boot, and its start in clock
    ticks since.

    Returns:
        text, '' where there is no such process. A process that has ended and was not waited for counts as
        none. (proc(5), /proc/[pid]/stat, fields 3 and 22)
    """
    try:
        with open('/proc/{}/stat'.format(pid), 'rb') as source:
            fields = source.read().rpartition(b')')[2].split()
        return '' if fields[0] in (b'Z', b'X') else '{}/{}'.format(boot_id(), fields[19].decode())
    except (OSError, IndexError):
        return ''


def seems_alive(pid, born):
    """Tell whether a process of this machine is there that had this `birth`. Where /proc does not show those
    of other users (proc(5), mount option hidepid), one of theirs with that number is taken for it."""
    if os.access('/proc/{}/stat'.format(pid), os.R_OK) or born.partition('/')[0] != boot_id():
        return bool(born) and birth(pid) == born
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        pass
    return False


def boot_id():
    """Return what tells this start of the machine from others."""
    return read_line('/proc/sys/kernel/random/boot_id')


class Lock:
    """The driver's lock: filelock where it is installed, the same flock on the same file where it is not.

    It settles at once who drives among the processes of one host that see the folder through one mount.
    Across hosts and mounts a lock that succeeds proves nothing: NFS with nolock, BeeGFS, Lustre with
    localflock keep it to themselves. So it is never the only proof.
    """

    def __init__(self, path):
        self.path = path
        self._held = None

    def acquire(self):
        """Return True if the lock is ours now, False if another process has it, None if locks do not work.

        Raises:
            OSError: the file can neither be opened nor made
        """
        import fcntl
        handle, mode = self._open()
        try:
            # Old releases of filelock call a file system without locks "held by another": asked here first.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            return False if error.errno in (errno.EAGAIN, errno.EACCES) else None
        try:
            from filelock import FileLock, Timeout
        except Exception:    # not there, or made for another Python
            self._held = handle
            return True
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)
        # Before 3.10 it leaves the mode as it is.
        knows_mode = 'mode' in FileLock.__init__.__code__.co_varnames
        lock = FileLock(self.path, timeout=0, **({'mode': mode} if knows_mode else {}))
        try:
            lock.acquire()
        except Timeout:
            return False
        self._held = lock
        return True

    def _open(self):
        """Open the file, and return its descriptor and mode. Only who may write the folder may open it:
        whoever can read it could hold the lock for ever."""
        mode = 0o660 if os.stat(os.path.dirname(self.path)).st_mode & stat.S_IWGRP else 0o600
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(self.path, flags, mode)
        there = os.fstat(handle)
        if not stat.S_ISREG(there.st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, 'not a regular file', self.path)
        if there.st_uid == os.geteuid() and stat.S_IMODE(there.st_mode) != mode:
            try:
                os.fchmod(handle, mode)
            except OSError:    # a file system without modes
                pass
        return handle, mode

    def release(self):
        """Give the lock back. The file stays."""
        if isinstance(self._held, int):
            os.close(self._held)
        elif self._held is not None:
            self._held.release()
        self._held = None


##############################################################################################################
# How jobs ended: failures in groups, and totals of what was used
##############################################################################################################

#: What differs in messages that mean the same: hexadecimal numbers, random names of temporary files, numbers.
NUMBERS = re.compile(r'\b0[xX][0-9a-fA-F]+|\b(?=[a-f-]*\d)[0-9a-f]{8}[0-9a-f-]*\b|(?<=tmp)[._-]?\w{6,}|\d+')
#: And, where more than a few are alike but for these: what stands in quotes, paths, names of files.
NAMES = re.compile(r"""(["'`])[^"'`]+["'`]|[^\s:"'`(),;=]*[/.][^\s:"'`(),;=]+""")
#: How bash begins a message about the job's script.
SCRIPT = re.compile(r'\S*/\d+\.sh: (?:eval: )?line \d+: ')


class Failures:
    """How many jobs failed, grouped by what happened and by the last line of stderr, as far as that is not
    about one job alone: "cannot open s32.bam" and "cannot open s57.bam" are one group.

    Attributes:
        outdated: whether a job that a group names has been taken out, so that its ids or its error may be
            missing
    """

    #: So many groups are told apart; then those that differ in names fall together, and at last all others.
    LIMIT = 1000

    #: So many groups may differ in names alone; more are shown as one.
    ALIKE = 3

    #: Where the rest of them is counted, those that were cancelled apart.
    OTHERS, CANCELLED = ('other', ''), ('cancelled', '')

    def __init__(self, ids=3):
        """
        Args:
            ids: how many ids each group keeps
        """
        self._groups = {}
        self._ids = ids
        self.outdated = False

    @staticmethod
    def _key(record):
        if record.get('error_reason') in ('memory', 'time', 'output'):    # in whatever words
            return describe_end(record), ''
        return describe_end(record), NUMBERS.sub('#', error_line(record))

    @staticmethod
    def _coarse(key):
        return key[0], NAMES.sub('*', key[1])

    def _rest(self, key):
        return self.CANCELLED if key[0] == 'cancelled' else self.OTHERS

    @property
    def cancelled(self):
        """How many of them were cancelled."""
        return sum(group.count for (what, _), group in self._groups.copy().items() if what == 'cancelled')

    def add(self, record):
        """Count a record."""
        key = self._key(record)
        if key not in self._groups and len(self._groups) >= self.LIMIT:
            key = self._coarse(key)
            if key not in self._groups and len(self._groups) >= 2 * self.LIMIT:
                key = self._rest(key)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key[0], self._ids)
        group.add(record)

    def remove(self, record):
        """Count a record no more."""
        key = self._key(record)
        key = next((key for key in (key, self._coarse(key), self._rest(key)) if key in self._groups), None)
        if key is None:
            return    # a viewer has read what a full disk took back
        self.outdated = self.outdated or record['job'] in self._groups[key].ids
        self._groups[key].remove(record)
        if not self._groups[key].count:
            del self._groups[key]

    def are_alike(self):
        """Tell whether all of them, but for those that were cancelled, are of one kind."""
        groups = self._groups.copy().items()
        return len({self._coarse(key) for key, group in groups if group.what != 'cancelled'}) == 1

    def groups(self):
        """Return a list of Group, the most frequent first, those that were cancelled last."""
        alike = collections.OrderedDict()
        for key, group in sorted(self._groups.copy().items()):
            alike.setdefault(self._coarse(key), []).append(group)
        found = []
        for groups in alike.values():
            found += [Group.merged(groups)] if len(groups) > self.ALIKE else groups
        return sorted(found, key=lambda group: (group.what == 'cancelled', -group.count, group.ids))


#: More seconds than there are, in any time that was told.
SECONDS = 1 << 50


class UsageTotals:
    """What the attempts that have ended had reserved, and what they used.

    Attributes:
        requested, used: core-seconds that they had reserved, and CPU seconds that they used
        lost: core-seconds of those that were retried
        saved: {(reason, parameter, text before, text after): number of jobs that a retry saved}, a Counter
        asked: {id of a job as a number: how often its exit status asked that it runs again}, a Counter
        alike: whether all reserved the same cores whose records tell of no parameters
        last: when the last of them ended, in seconds since 1970
        hosts: {host: number of them that ended there}
        node_failures: {(host, minute): number of those whose node failed then}: together they are one failure
    """

    def __init__(self, cores, alike=True, other=None):
        """
        Args:
            cores: that a job reserves
            alike: see above
            other: function of a record that returns the cores of its job, for all others
        """
        self.requested = self.used = self.lost = self.last = 0
        self.hosts, self.node_failures, self.saved, self.asked = (collections.Counter() for _ in range(4))
        self._cores, self.alike, self._other = cores, alike, other

    def add(self, record, sign=1):
        """Count the last record of an attempt, or no more, with sign -1.

        Raises:
            ValueError, TypeError: it tells of no such times
        """
        started, finished, host = record.get('started'), record.get('finished'), record.get('host')
        saved = self._read_saved(record['saved']) if 'saved' in record else None
        asked = int(record['job']) if record.get('again') else None
        if started and finished:
            cores = self._cores if self.alike and 'params' not in record else self._other(record)
            cpu = record.get('cpu') or 0
            if not -SECONDS < started <= finished + SECONDS < 2 * SECONDS or not -SECONDS < cpu < SECONDS:
                raise ValueError(record)
            if finished > started:
                self.requested += sign * cores * (finished - started)
                self.lost += sign * cores * (finished - started) if 'retry' in record else 0
            self.used += sign * cpu
            if finished > self.last:
                self.last = finished
        if host:
            self.hosts[host] += sign
            if record.get('error_reason') == 'node':
                self.node_failures[host, int(finished or 0) // 60] += sign
        if saved:
            self.saved[saved] += sign
        if asked is not None:
            self.asked[asked] += sign
            if not self.asked[asked]:
                del self.asked[asked]

    @staticmethod
    def _read_saved(saved):
        """Return what a record says of the retries that saved a job, as a key of `saved`."""
        reason, parameter, before, after = (
            str(saved.get(part, '')) for part in ('reason', 'parameter', 'before', 'after'))
        if parameter not in ('', 'memory', 'time'):
            raise ValueError(saved)
        if parameter:
            read_parameter(parameter, after)
        return reason, parameter, before, after


class Group:
    """Jobs that failed in the same way.

    Attributes:
        count: number of jobs
        what: in a few words, what happened
        error: the last line of stderr of the first of them
        same: whether it is that of all
        ids: some of their ids, sorted
        hosts: {host: number of jobs}; None for too many
    """

    #: So many hosts are counted.
    HOSTS = 20

    __slots__ = ('count', 'what', 'error', 'same', 'ids', 'hosts', '_most')

    def __init__(self, what, ids=3):
        self.count, self.what, self.error, self.same, self.ids, self.hosts = 0, what, None, True, [], {}
        self._most = ids

    def add(self, record):
        """Count a job."""
        self.count += 1
        error = error_line(record)
        self.same = self.same and self.error in (None, error)
        if self.error is None or not self.ids or record['job'] < self.ids[0]:
            self.error = error
        if len(self.ids) < self._most or record['job'] < self.ids[-1]:
            self.ids = sorted(self.ids + [record['job']])[:self._most]
        if self.hosts is not None:
            self._count_host(self._host_of(record), 1)

    @staticmethod
    def _host_of(record):
        """Return where a job failed, '' where it is not known, or not of all its attempts."""
        return (record.get('host') or '') if record.get('attempt', 1) < 2 else ''

    def _count_host(self, host, count):
        self.hosts[host] = self.hosts.get(host, 0) + count
        if not self.hosts[host]:
            del self.hosts[host]
        elif len(self.hosts) > self.HOSTS:
            self.hosts = None

    def remove(self, record):
        """Count a job no more."""
        self.count -= 1
        self.ids = [id for id in self.ids if id != record['job']]
        if self.hosts and self._host_of(record) in self.hosts:
            self._count_host(self._host_of(record), -1)

    @classmethod
    def merged(cls, groups):
        """Return one group for several."""
        found = cls(groups[0].what, groups[0]._most)
        found.same = False
        found.error = min(groups, key=lambda group: group.ids or ['~']).error
        found.count = sum(group.count for group in groups)
        found.ids = sorted(itertools.chain.from_iterable(group.ids for group in groups))[:found._most]
        for group in groups:
            for host, count in (group.hosts or {}).items():
                if found.hosts is not None:
                    found._count_host(host, count)
        if any(group.hosts is None for group in groups):
            found.hosts = None
        return found

    def only_on(self, jobs):
        """Return the sorted hosts without which there would hardly be such failures: few, and not by chance.

        Args:
            jobs: {host: number of jobs that ended there}
        """
        if not self.hosts or '' in self.hosts or len(self.hosts) > 3:
            return []
        share = sum(jobs.get(host, 0) for host in self.hosts) / (sum(jobs.values()) or 1)
        return sorted(self.hosts) if share ** (self.count - len(self.hosts)) < 0.01 else []

    def text(self, only_on=(), named=str):
        """Return it as a line.

        Args:
            only_on: hosts, as from `only_on`
            named: function of an id that returns how to name the job
        """
        error, mark = self.error, ':' if self.same else ', such as:'
        if self.count > 1 and self.what == 'cancelled':
            error = error.replace('before it was', 'before they were')
            error = error.replace('before it ran', 'before they ran')
        what = '' if self.what in error and self.same else self.what + (mark + ' ' if error else '')
        where = ', on {} only'.format(', '.join(only_on)) if only_on else ''
        return '{}: {}{}{}{}'.format(plural(self.count, 'job'), what, error, where, self._ids_text(named))

    def _ids_text(self, named):
        if not self.ids:
            return ''
        shown = ', '.join(map(named, self.ids[:3])) + (', ...' if self.count > len(self.ids[:3]) else '')
        return '  ({} {})'.format('id' if self.count == 1 else 'ids', shown)


def failure_text(record):
    """Return in a line why a job FAILED."""
    what, error = describe_end(record), error_line(record)
    if what in error:
        return error
    if what == error.lower():    # the scheduler's one word for it
        return what
    return '{}: {}'.format(what, error) if error else what


def error_line(record):
    """Return the last line of a job's stderr, without what bash puts before it."""
    return SCRIPT.sub('', record.get('error') or '', 1)


def signal_name(number):
    """Return '9 (KILL)'."""
    try:
        return '{} ({})'.format(number, signal.Signals(number).name[3:])
    except ValueError:
        return str(number)


def describe_end(record):
    """Return in a few words how a FAILED job ended."""
    reason = record.get('error_reason')
    if reason == 'exit':
        code = record.get('exit_code')
        return 'could not be started' if code is None else 'exit {}'.format(code)
    if reason == 'signal' and record.get('signal'):
        return 'signal {}'.format(signal_name(record['signal']))
    return {'memory': 'memory limit exceeded', 'time': 'time limit exceeded', 'node': 'node failed',
            'submit': 'submission refused', 'output': 'no output'}.get(reason, reason or 'failed')


##############################################################################################################
# The ledger: what the journal says
##############################################################################################################

#: What an attempt used, as a record says it: seconds, bytes, an upper bound where the bytes are not known.
USED = ('cpu', 'memory', 'memory_below')

#: What a record says of a job, beside what the ledger itself builds on.
RECORD_FIELDS = {
    'executor_id': str, 'exit_code': int, 'error_reason': str, 'error': str, 'words': str,
    'submitted': NUMBER, 'started': NUMBER, 'finished': NUMBER, 'host': str, 'cpu': NUMBER, 'memory': NUMBER,
    'memory_below': NUMBER, 'done': int, 'signal': int, 'params': dict, 'batch': int, 'k': int,
    'oom_kills': int, 'rerun': bool, 'alone': bool, 'retry': dict, 'before': int, 'saved': dict,
    'again': bool}
#: Those that are never negative.
RECORD_NUMBERS = [key for key, kind in RECORD_FIELDS.items() if kind is NUMBER]


def sound_record(record):
    """Return a record without what in it is not what it should be, and with a word about that."""
    wrong = {key for key, kind in RECORD_FIELDS.items()
             if record.get(key) is not None and not is_of_type(record[key], kind)}
    wrong.update(key for key in RECORD_NUMBERS if key not in wrong and not (record.get(key) or 0) >= 0)
    for key in ('params', 'retry', 'saved'):
        try:
            change_params({}, record.get(key))
        except UNSOUND:
            wrong.add(key)
    if not wrong:
        return record
    record = {key: value for key, value in record.items() if key not in wrong}
    return dict(record, words='damaged in the journal: ' + ', '.join(sorted(wrong)))


def attempt_key(id, attempt):
    """Return the key of an attempt, '<id>.<attempt>': its name in the journal, in run/, in lists of runners.

    Args:
        id: of the job, as text
        attempt: its number, from 1
    """
    return '{}.{}'.format(id, attempt)


def key_of(record):
    """Return the key of the attempt that a record or an event is about."""
    return attempt_key(record['job'], record['attempt'])


def split_key(key):
    """Return the id of the job, and the number of the attempt, of which this is the `attempt_key`.

    Raises:
        ValueError: it is none
    """
    id, _, attempt = key.partition('.')
    if not attempt.isdigit():    # int() takes more: ' 1', '+1', '1_0'
        raise ValueError(key)
    return id, int(attempt)


#: The index of the worker that runs a job which is still on its list.
UNASSIGNED = -1

#: So many events of the journal at the most have a sum behind them, with which a change in them is noticed.
BLOCK = 1000
#: Events that tell of no job, but of the lines before them.
BETWEEN = ('sum', 'torn')


def json_line(event):
    """Return an event as a line of the journal."""
    return json.dumps(event, separators=(',', ':')).encode() + b'\n'


def sum_line(lines):
    """Return the line that stands behind lines of the journal, so that a change in them is noticed.

    Args:
        lines: list of bytes
    """
    return b'{"event":"sum","crc":%d}\n' % crc32(b''.join(lines))


def as_spans(numbers):
    """Return sorted whole numbers as spans: [1, 2, 3, 7] -> [[1, 3], [7, 7]]."""
    found = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def numbers_in(found):
    """Return an iterator over the numbers in spans."""
    return itertools.chain.from_iterable(range(first, last + 1) for first, last in found)


def parse_event(line):
    """Return the event on a line of the journal, None where the line is not one."""
    text = decode(line).rstrip()
    try:
        event, end = SCAN(text, 0)    # json.loads, without what it asks before and after
    except (StopIteration, ValueError, RecursionError):
        return None
    if end != len(text) or not isinstance(event, dict):
        return None
    return event if isinstance(event.get('event'), str) else None


def read_events(source, place=0, limit=None):
    """Yield (event, byte where its line begins, the line) of a file; event None where a line is not one.

    Args:
        source: file, open for reading bytes, at that place
        place: the byte where to begin
        limit: the byte where to end, None for the last whole line that is there
    """
    rest = b''
    while True:
        data = rest + source.read(max(1 << 16, len(rest)))
        whole = data.rfind(b'\n') + 1
        more, rest = len(data) > len(rest), data[whole:]
        lines = io.BytesIO(data[:whole]).readlines()
        try:    # many at once take less time
            events = SCAN('[' + decode(b','.join(lines)) + ']', 0)[0]
            good = len(events) == len(lines) and all(event['event'] for event in events)
        except (StopIteration, ValueError, TypeError, LookupError, RecursionError):
            good = False
        for line, event in zip(lines, events if good else map(parse_event, lines)):
            if limit is not None and place + len(line) > limit:
                return
            yield event, place, line
            place += len(line)
        if len(rest) > LONGEST:    # nothing that QMap wrote
            yield None, place, rest
            return
        if not more:
            return


SCAN = json.JSONDecoder().scan_once    # type: ignore[attr-defined]


class JobTable:
    """The jobs of an execution by their numbers: ids, statuses, attempts, and which come next.

    Attributes:
        commands: number of commands in the map
        group: commands in a job
        count: number of jobs
        width: digits of an id
        status: bytearray, by number: an index into STATUSES
        attempts: array, by number: the newest attempt, 0 for none
        counts: list with the number of jobs of each status, in the order of STATUSES
        again: deque of the numbers of jobs that come before those which were never submitted; some may not be
            UNSUBMITTED any more
        gone: set of the numbers of jobs that are no longer in the map: none of them is submitted, and
            `counts` leaves them out, but for those that are still live
        former: bytearray, by number: 1 where the newest attempt has what all jobs had - parameters, [pre],
            [post] - before the map was replaced
    """

    def __init__(self, commands, group):
        """
        Args:
            commands: number of commands in the map
            group: commands in a job
        """
        self.commands = commands
        self.group = group
        self.count = -(-commands // group)
        self.width = len(str(commands - 1))
        self.status = bytearray(self.count)
        self.attempts = array.array('H', bytes(2 * self.count))
        self.counts = [self.count, 0, 0, 0, 0, 0]
        self.again = collections.deque()
        self.gone = set()
        self.former = bytearray(self.count)
        self._next = 0

    def extend(self, commands):
        """Take in that the map has so many commands by now, whose first ones are those that it had."""
        more = -(-commands // self.group) - self.count
        self.commands, self.count = commands, self.count + more
        self.status.extend(bytes(more))
        self.attempts.frombytes(bytes(2 * more))
        self.former.extend(bytes(more))
        self.counts[0] += more

    def set_gone(self, numbers):
        """Note which jobs are no longer in the map; all others are."""
        for change, changed in (-1, numbers - self.gone), (1, self.gone - numbers):
            for number in changed:
                if self.status[number] in UNLIVE_CODES:
                    self.counts[self.status[number]] += change
        self.gone, self._next = numbers, 0

    def id(self, number):
        """Return the id of a job: the place of its first command in the map, padded with zeros."""
        return '{:0{}d}'.format(number * self.group, self.width)

    def number(self, id):
        """Return the number of the job with this id.

        Raises:
            ValueError: there is none
        """
        is_short = len(id) < self.width
        is_overlong = len(id) > self.width and id[0] == '0'
        if is_short or is_overlong or not id.isdigit():    # int() takes more: ' 1', '+1', '1_0'
            raise ValueError(id)
        number = int(id)
        if self.group > 1:
            number, rest = divmod(number, self.group)
            if rest:
                raise ValueError(id)
        if not 0 <= number < self.count:
            raise ValueError(id)
        return number

    def numbers(self, found):
        """Return the list of the numbers of jobs that spans stand for.

        Raises:
            ValueError, TypeError: they are not such
        """
        if not all(0 <= first <= last < self.count for first, last in found):
            raise ValueError(found)
        return list(numbers_in(found))

    def attempt(self, key):
        """Return what an `attempt_key` stands for, as the job's id, its number and the attempt.

        Raises:
            ValueError: it is no such thing
        """
        id, attempt = split_key(key)
        if not 0 < attempt < 1 << 16:
            raise ValueError(key)
        return id, self.number(id), attempt

    def next_key(self, number):
        """Return the `attempt_key` of a job's next attempt."""
        return attempt_key(self.id(number), self.attempts[number] + 1)

    def next_job(self):
        """Return the number of the next job to submit, without taking it; None where there is none."""
        while self.again:
            if self._waits(self.again[0]):
                return self.again[0]
            self.again.popleft()
        while self._next < self.count and not self._waits(self._next):
            self._next += 1
        return self._next if self._next < self.count else None

    def _waits(self, number):
        """Tell whether a job is to be submitted."""
        return not self.status[number] and number not in self.gone

    def following(self, limit):
        """Return the numbers of the next jobs to submit, at most `limit`."""
        return list(itertools.islice(self.unsubmitted(), limit))

    def unsubmitted(self):
        """Yield the numbers of the jobs to submit, the next one first."""
        if self.next_job() is None:
            return
        taken = set()    # a job that was returned twice stands there twice
        for number in self.again:
            if self._waits(number) and number not in taken:
                taken.add(number)
                yield number
        for number in range(self._next, self.count):
            if self._waits(number) and number not in taken:
                yield number

    def left(self):
        """Return how many jobs have not reached a final status."""
        return sum(self.counts) - self.count_of(COMPLETED) - self.count_of(FAILED)

    def count_of(self, status):
        """Return how many jobs have a status."""
        return self.counts[STATUS_CODES[status]]

    def is_skipped(self, number):
        """Tell whether a job is COMPLETED without an attempt."""
        return self.status[number] == STATUS_CODES[COMPLETED] and not self.attempts[number]

    def count_skipped(self):
        """Return how many jobs of the map are COMPLETED without an attempt."""
        return sum(self.is_skipped(number) and number not in self.gone for number in range(self.count))

    def set_status(self, number, status):
        """Note a job's status."""
        code = STATUS_CODES[status]
        counted = number not in self.gone
        self.counts[self.status[number]] -= counted or self.status[number] not in UNLIVE_CODES
        self.counts[code] += counted or code not in UNLIVE_CODES
        self.status[number] = code

    def set_unsubmitted(self, number):
        """Note that a job is to be submitted again, before those that never were."""
        self.set_status(number, UNSUBMITTED)
        self.again.append(number)
        self.former[number] = 0


def place_in(epoch, byte):
    """Return a place in the journal as a number: the segment in the upper bits, the byte in the lower 44."""
    return epoch << 44 | byte


class Places:
    """Where in the journal the records of jobs stand, each as `place_in` writes it.

    Attributes:
        newest: array, by number of the job: its newest record; 0 for none
        earlier: {number: list of the last records of its attempts before each retry}
        submitted: array, by batch: its submission, if that tells a command; 0 for none
    """

    def __init__(self, count):
        self.newest = array.array('Q', bytes(8 * count))
        self.earlier = {}
        self.submitted = array.array('Q')

    def extend(self, count):
        """Make room for so many jobs in all."""
        self.newest.frombytes(bytes(8 * (count - len(self.newest))))

    def tell(self, number, place):
        """Tell whether the newest record of a job, or one of an earlier attempt, stands at a place."""
        return self.newest[number] == place or place in self.earlier.get(number, ())

    def set_aside(self, number):
        """Take it that the newest record of a job is now that of an earlier attempt."""
        if self.newest[number]:
            self.earlier.setdefault(number, []).append(self.newest[number])
        self.newest[number] = 0

    def take_back(self, number):
        """Take it that the newest of a job's earlier attempts is no earlier one."""
        self.earlier[number].pop()
        if not self.earlier[number]:
            del self.earlier[number]

    def set_submission(self, batch, place):
        """Note where the submission of a batch stands."""
        self.submitted.extend(itertools.repeat(0, batch + 1 - len(self.submitted)))
        self.submitted[batch] = place

    def submission(self, batch):
        """Return where the submission of a batch stands, 0 for nowhere."""
        known = isinstance(batch, int) and 0 <= batch < len(self.submitted)
        return self.submitted[batch] if known else 0

    def without_empty(self):
        """Return all of it in a form that can be compared."""
        submitted = {batch: place for batch, place in enumerate(self.submitted) if place}
        return self.newest, self.earlier, submitted


class Segments:
    """The files that a ledger is read from: the journal's segments, and the snapshot in place of the first.

    Attributes:
        logs: Logs
        snapshot: the last segment that the snapshot stands for, 0 where none was read
        snapshot_path: of that, None for none
        unwritten: list of events that stand in no file
    """

    #: The segment in which the unwritten events are thought to stand: the newest.
    UNWRITTEN = (1 << 20) - 1

    def __init__(self, logs, snapshot_read=None, unwritten=()):
        """
        Args:
            logs: Logs
            snapshot_read: path of the snapshot, the last segment that it stands for; None for none
            unwritten: list of events
        """
        self.logs = logs
        self.snapshot_path, self.snapshot = snapshot_read or (None, 0)
        self.unwritten = list(unwritten)
        self._source, self._close = (0, None), None    # the segment that was read last, and its open file
        self._shared = 0, None    # the event of several jobs that was read last
        self._reading = threading.Lock()

    def path(self, epoch):
        """Return the path of the file that is read as a segment."""
        return self.snapshot_path if epoch == self.snapshot else self.logs.journal(epoch)

    def event_at(self, place):
        """Return the event at a place, None where none stands there (any more).

        Raises:
            QMapError: the segment is gone
            OSError: it cannot be read
        """
        epoch, byte = place >> 44, place & (1 << 44) - 1
        if epoch == self.UNWRITTEN:
            return self.unwritten[byte - 1]
        with self._reading:
            if self._shared[0] == place:
                return self._shared[1]
            source = self._source[1] if self._source[0] == epoch else self._open(epoch)
            with name_in_errors(self.path(epoch)):
                source.seek(byte)
                event = parse_event(source.readline(LONGEST))
            if event and 'job' not in event:    # it may be long, and is needed once more
                self._shared = place, event
        return event

    def _open(self, epoch):
        path = self.path(epoch)
        if self._source[1]:
            self._close()
        self._source = (0, None)
        try:
            source, self._close = open_for(self, path)
        except FileNotFoundError:
            raise QMapError('{}: was compacted while it was read; try again'.format(path))
        self._source = (epoch, source)
        return source


def view_of(driver):
    """Return a text that is the same for drivers on one host that see the folder through one mount: what one
    of them writes the other sees at once. Earlier versions did not say which mount."""
    host = driver.get('host', '')
    return '{}/{}'.format(host, driver['mount']) if 'mount' in driver else host


class DriverHosts:
    """On which machines the drivers of an execution ran.

    Attributes:
        last: host of whoever drove last, and by which mount: see `view_of`
        boots: {host: which start of the machine it was}
        restarted_after: the last batch before such a machine was started anew, 0 for none: with its power it
            may have lost that jobs of its own had begun
    """

    def __init__(self):
        self.last, self.boots, self.restarted_after = '', {}, 0

    def note(self, lead, last_batch):
        """Note who drives from here on.

        Args:
            lead: dict, an event
            last_batch: the last that was submitted before
        """
        boot, self.last = lead.get('born', '').partition('/')[0], view_of(lead)
        if self.boots.setdefault(lead.get('host'), boot) != boot:
            self.boots[lead.get('host')], self.restarted_after = boot, last_batch


def sound_settings(settings):
    """Return what steers the driver, as an event has it.

    Raises:
        ValueError, TypeError, AttributeError: it is nothing of the kind
    """
    counts = [settings.get(key, 1) for key in ('max_running', 'pull', 'skipped')]
    numbers = [*settings.get('canaries', []), *settings.get('halt_from', [])]
    ''.join(settings.get(key, '') for key in ('pull_reason', 'learned_reason', 'halt_reason', 'halt_kind'))
    is_sound = isinstance(settings.get('halted', False) | settings.get('waited', False), bool) and all(
        is_of_type(count, int) and count > 0 for count in counts)
    is_sound = is_sound and len(settings.get('halt_from', '..')) == 2
    if not is_sound or not all(is_of_type(number, int) for number in numbers):
        raise ValueError(settings)
    sound_begin(settings)
    change_params({}, settings.get('params') or {})
    for key, learned in settings.get('learned', {}).items():
        for text in itertools.chain.from_iterable(learned.items()):
            read_parameter(key, text)
    for node, (since, message, kind) in settings.get('avoided', {}).items():
        if not (is_of_type(since, NUMBER) and is_of_type(node + message + kind, str)):
            raise ValueError(settings)
    for host, (since, message) in settings.get('excluded', {}).items():
        if not (is_of_type(since, NUMBER) and is_of_type(host + message, str)):
            raise ValueError(settings)
    return settings


def sound_begin(settings):
    """Return what comes before the first job, a dict of `skip` and `after`, as an event or an order has it.

    Raises:
        ValueError, TypeError, AttributeError: it is nothing of the kind
    """
    begin = {key: settings[key] for key in ('skip', 'after') if key in settings}
    ''.join([begin.get('skip', ''), *begin.get('after', ())])
    if not all(is_of_type(wholly, bool) for wholly in begin.get('after', {}).values()):
        raise ValueError(settings)
    return begin


def dropped_record(state, number, event):
    """Return the record of a job that was cancelled before it was submitted.

    Args:
        state: JournalState
        number: of the job
        event: dict, by which it was
    """
    error = 'no longer in the map' if number in state.gone else 'cancelled before it was submitted'
    return {'job': state.id(number), 'attempt': state.attempts[number], 'status': FAILED,
            'error_reason': 'cancelled', 'error': error, 'finished': event['time']}


class JournalState(JobTable):
    """All jobs of an execution, as the events of a journal tell them: a few bytes a job, and the whole record
    only of live ones.

    Attributes:
        live: {number: record} of the jobs that are PENDING, RUNNING or OTHER
        batches: {batch: event} of the submissions that still have live jobs
        last_batch: the last that was submitted
        failures: Failures
        totals: UsageTotals, where they are kept
        settings: what was set last
        changes: {number: dict of texts}, the parameters that a retry changed
        cancelled: {number: when that was said, in seconds since 1970} of the live jobs that shall end
        obeyed: {id: the reply} of the orders of others
        unsaved: numbers of the jobs whose .info may say less, or be torn
        drivers: DriverHosts
        places: Places
        segments: Segments
        records_read: how many records of single jobs were taken in
        map, on_map: the newest `map` event, {} for none; function that is called with each of them first
    """

    def __init__(self, commands, group, segments, totals=None):
        """
        Args:
            commands: number of commands in the map as it was submitted
            group: commands in a job
            segments: Segments, where the events stand
            totals: UsageTotals to keep; None for none
        """
        super().__init__(commands, group)
        self.live = {}
        self.batches = {}
        self.last_batch = 0
        self.failures = Failures()
        self.totals = totals
        self.settings = {}
        self.changes, self._same_changes = {}, {}
        self.cancelled = {}
        self.obeyed = {}
        self.unsaved = set()
        self.drivers = DriverHosts()
        self.places = Places(self.count)
        self.segments = segments
        self.records_read, self.map, self.on_map = 0, {}, None

    # What events change. A method raises one of UNSOUND where an event is not what it should be.

    def apply(self, event, place):
        """Take an event in.

        Args:
            event: dict
            place: where it stands, as `place_in` writes it
        """
        kind = EVENTS.get(event['event'])
        if kind and kind.apply:
            kind.apply(self, event, place)

    def apply_lead(self, event, place):
        """Another process drives from here on."""
        self.drivers.note(event, self.last_batch)

    def apply_batch(self, event, place):
        """Attempts are about to be submitted."""
        told = {key: event[key] for key in BATCH_FIELDS if key in event or key in NEEDED}
        if of_types(event, BATCH_FIELDS) != told:
            raise ValueError(event)
        batch, time, params = event['batch'], event['time'], event.get('params')
        attempts = [self.attempt(key) for key in event['tasks']]
        pulled = 'crew' in event
        workers = event['workers'] if pulled else 1
        if not self._may_be_batch(batch) or not workers > 0:
            raise ValueError(event)
        change_params({}, params)
        with_chunks = not {'shares', 'chunks'}.isdisjoint(event)
        chunks = chunks_of(event) if with_chunks else event['tasks']
        places = {key: index for index, keys in enumerate(chunks, 1) for key in keys} if with_chunks else {}
        self.batches[batch] = dict(event, live=len(attempts))
        self.last_batch = max(self.last_batch, batch)
        for index, (key, (id, number, attempt)) in enumerate(zip(event['tasks'], attempts), 1):
            self.attempts[number] = attempt
            self.places.newest[number] = place
            self.set_status(number, PENDING)
            record = self.live[number] = {'job': id, 'attempt': attempt, 'status': PENDING, 'batch': batch,
                                          'k': places.get(key, index) if len(chunks) > 1 else 0,
                                          'submitted': time}
            if pulled:
                record['k'] = UNASSIGNED
            if params:
                record['params'] = params
            if self.group > 1 and self.done_before(number):
                record['before'] = self.done_before(number)

    def _may_be_batch(self, batch):
        return 0 < batch < 1000000 + 100 * self.count

    def apply_submitted(self, event, place):
        """The scheduler took a batch."""
        if not self._may_be_batch(event['batch']) or not isinstance(event['id'], str):
            raise ValueError(event)
        if event['batch'] in self.batches:
            self.batches[event['batch']]['id'] = event['id']
        if event.get('job_cmd'):
            self.places.set_submission(event['batch'], place)

    def apply_returned(self, event, place):
        """Attempts were not submitted after all."""
        for _, number, attempt in [self.attempt(key) for key in event['tasks']]:
            cancelled = number in self.cancelled
            self._release(number)
            self.unsaved.add(number)
            self.attempts[number] = attempt - (not event.get('spent'))
            if cancelled:
                self._drop(number, event, place)
            else:
                self.places.newest[number] = 0
                self.set_unsubmitted(number)

    def apply_run(self, event, place):
        """The record of a job that has not ended is this one."""
        number, code = self.number(event['job']), STATUS_CODES[event['status']]
        if code in ENDED_CODES or not 0 <= event['batch'] < 1 << 40 or event['k'] < UNASSIGNED:
            raise ValueError(event)
        self.attempts[number] = event['attempt']
        self._note_record(number, place)
        self.set_status(number, event['status'])
        self.live[number] = event

    def apply_end(self, event, place):
        """The attempt of a job is over."""
        number, status = self.number(event['job']), event['status']
        if status != COMPLETED and status != FAILED:
            raise ValueError(status)
        if self.status[number] == STATUS_CODES[FAILED]:    # it was called failed too soon
            record = self._uncount(number)
            if number not in self.gone:
                self.failures.remove(record)
        counted = False
        if not self.status[number] and number in self.places.earlier:
            if event['attempt'] == self.attempts[number]:
                # A retry was taken back that had not begun. In a snapshot the attempt's first end may be
                # missing: its batch stands in that place, or nothing.
                counted = self.before_retry(number) is not None
                last = self.segments.event_at(self.places.earlier[number][-1]) or {}
                if counted or key_of(event) in last.get('tasks', ()):
                    self.places.take_back(number)
        self.attempts[number] = event['attempt']
        self._note_record(number, place)
        self.set_status(number, status)
        self._release(number)
        if self.totals and not counted:
            self.totals.add(event)
        if status == FAILED and number not in self.gone:
            self.failures.add(event)

    def apply_usage(self, event, place):
        """The record of a job that has ended is this one."""
        number = self.number(event['job'])
        if self.totals and self.status[number] in ENDED_CODES:
            self._uncount(number)
            self.totals.add(event)
        self._note_record(number, place)

    def _uncount(self, number):
        """Take the last record of a job, which another is to replace, out of the totals, and return it."""
        record = self.record(number)
        if self.totals:
            self.totals.add(record, -1)
        return record

    def _note_record(self, number, place):
        self.records_read += 1
        self.places.newest[number] = place
        self.unsaved.add(number)

    def apply_saved(self, event, place):
        """The .info files are up to date, except some."""
        self.unsaved = set(self.numbers(event.get('but', ())))

    def apply_set(self, event, place):
        """What steers the driver has changed."""
        self.settings.update(sound_settings({
            key: value for key, value in event.items() if key not in ('event', 'time')}))

    def apply_state(self, event, place):
        """A snapshot ends: what its lines leave out."""
        settings, boots = sound_settings(event['settings']), dict(event['starts'])
        changes = {int(number): dict(texts) for number, texts in event['changes'].items()}
        unsaved, again = set(self.numbers(event['unsaved'])), collections.deque(event['again'])
        if not all(0 <= number < self.count for number in itertools.chain(again, changes)):
            raise ValueError(event)
        former = bytearray(self.count)
        for number in self.numbers(event.get('former', ())):    # early releases did not note it
            former[number] = 1
        restarted_after, last_batch = event['before'] + 0, event['last_batch'] + 0
        last = str(event['driver_host'])
        self.settings, self.changes, self.unsaved, self.again = settings, changes, unsaved, again
        self.last_batch, self.former = last_batch, former
        self.drivers.boots, self.drivers.restarted_after, self.drivers.last = boots, restarted_after, last

    def apply_command(self, event, place):
        """An order was obeyed or refused."""
        self.obeyed[event['command']] = str(event['said'])

    def apply_cancel(self, event, place):
        """Submitted jobs shall end."""
        for number in self.numbers(event['numbers']):
            if number in self.live:
                self.cancelled.setdefault(number, event.get('time', 0) + 0)

    def apply_dropped(self, event, place):
        """Jobs were cancelled before they were submitted."""
        for number in self.numbers(event['numbers']):
            if self.attempts[number]:
                self.unsaved.add(number)
            self._drop(number, event, place)

    def _drop(self, number, event, place):
        self.places.newest[number] = place
        if self.status[number] != STATUS_CODES[FAILED] and number not in self.gone:    # twice in a snapshot
            self.failures.add(dropped_record(self, number, event))
        self.set_status(number, FAILED)

    def apply_retry(self, event, place):
        """Jobs that have ended shall run once more."""
        params = event.get('params')
        change_params({}, params)
        for number in self.numbers(event['numbers']):
            record = self.record(number)
            if record['status'] == FAILED and number not in self.gone:
                self.failures.remove(record)
            self.places.set_aside(number)
            if params:
                changes = dict(self.changes.get(number, {}), **params)
                # Thousands of jobs may have the same.
                self.changes[number] = self._same_changes.setdefault(tuple(sorted(changes.items())), changes)
            # In a snapshot the job may live: the end of an attempt whose retry was taken back is read later.
            self._release(number)
            self.unsaved.add(number)
            self.set_unsubmitted(number)

    def _release(self, number):
        record = self.live.pop(number, None)
        self.cancelled.pop(number, None)
        batch = self.batches.get(record['batch']) if record else None
        if batch:
            batch['live'] -= 1
            if not batch['live']:
                del self.batches[record['batch']]

    # What is asked of it

    def chosen(self, wanted, numbers=None):
        """Yield the numbers of the jobs with these statuses, or that are FAILED for these reasons.

        Args:
            wanted: set of STATUSES, REASONS and UNNEEDED, as `parse_statuses` returns it; and GONE, without
                which jobs that are no longer in the map are left out
            numbers: of the jobs to choose from, all by default
        """
        codes = {STATUS_CODES[word] for word in wanted if word in STATUS_CODES}
        reasons = {word for word in wanted if word in REASONS}
        failed = STATUS_CODES[FAILED] if reasons else None
        for number in range(self.count) if numbers is None else numbers:
            code = self.status[number]
            if number in self.gone and code in UNLIVE_CODES:
                if GONE in wanted:
                    yield number
                continue
            if code in codes:
                yield number
            elif code == failed and self.record(number).get('error_reason') in reasons:
                yield number
            elif UNNEEDED in wanted and self.is_skipped(number):
                yield number

    def by_newest(self):
        """Return the numbers of all jobs, those with the newest events first, those without any last."""
        if self.count_of(UNSUBMITTED) == self.count:
            return range(self.count)
        return array.array('I', sorted(range(self.count), key=self.places.newest.__getitem__, reverse=True))

    def record(self, number):
        """Return the last record of a job as a dict, with little in it if it was never submitted."""
        record = self.live.get(number)
        place = self.places.newest[number]
        if record is None and place:
            record = self.segments.event_at(place)
            if record and record['event'] in ('dropped', 'returned'):
                return dropped_record(self, number, record)
            if record and 'job' not in record:    # the driver is just changing it
                record = self.live.get(number)
        return record or {'job': self.id(number), 'attempt': self.attempts[number],
                          'status': STATUSES[self.status[number]]}

    def named_failures(self):
        """Return the Failures, with ids of jobs that are FAILED: read again, if some have been retried."""
        if not self.failures.outdated:
            return self.failures
        found = Failures()
        try:
            for number in self.chosen({FAILED}):
                found.add(sound_record(self.record(number)))
        except QMapError:    # the journal is being compacted
            return self.failures
        return found

    def earlier(self, number):
        """Return the last records of a job's earlier attempts."""
        records = map(self.segments.event_at, self.places.earlier.get(number, ()))
        return [record for record in records if record and record['event'] not in ('dropped', 'returned')]

    def done_before(self, number):
        """Return how many commands of a job the attempt that follows its earlier ones leaves out."""
        last = sound_record((self.earlier(number) or [{}])[-1])
        return last.get('done', 0) if is_retried(last) else 0

    def before_retry(self, number):
        """Return the event that takes back the retry of a job that has not begun: how its last attempt ended,
        once more. None where there is none: it was never submitted, or cancelled before."""
        places = self.places.earlier.get(number)
        record = self.segments.event_at(places[-1]) if places and not self.status[number] else None
        if not record or record.get('status') not in (COMPLETED, FAILED):
            return None
        if record.get('attempt') != self.attempts[number]:
            return None
        return dict({key: record[key] for key in record if key != 'rerun'}, event='end')

    def batch_of(self, record):
        """Return the batch of a live record."""
        return self.batches.get(record.get('batch')) or {}

    def job_cmd(self, record):
        """Return the command that submitted a record's batch, '' where jobs run by their own scripts."""
        place = self.places.submission(record.get('batch', 0))
        event = self.segments.event_at(place) if place else None
        return str((event or {}).get('job_cmd', ''))


def replace_map(state, event, place):
    """Take in that the map is another from here on, which begins with the commands that it had.

    Args:
        state: JournalState
        event: dict, a `map` event
        place: where it stands
    """
    commands, gone = event['commands'], event['gone']
    if set(of_types(event, MAP_FIELDS)) != set(MAP_FIELDS) or not MAP_NAME.match(event['file']):
        raise ValueError(event)
    jobs = -(-commands // state.group)
    is_in_it = all(0 <= first <= last < jobs for first, last in gone)
    is_sound = is_in_it and event.get('differs') in (None, True)
    if not is_sound or not 0 <= commands - state.commands < MOST_COMMANDS:
        raise ValueError(event)
    read_parameters(event['params'])
    if state.on_map:
        state.on_map(event)
    if state.totals:
        state.totals.alike = state.totals.alike and not event['owns']
    if event.get('differs'):
        state.former = bytearray(map(bool, state.status))
    state.extend(commands)
    state.places.extend(state.count)
    former, gone = state.gone, set(numbers_in(gone))
    for number in gone - former:
        if state.status[number] == STATUS_CODES[FAILED]:
            state.failures.remove(state.record(number))
    state.set_gone(gone)
    for number in former - gone:
        if state.status[number] == STATUS_CODES[FAILED]:
            state.failures.add(state.record(number))
    state.map = event


class Ledger(JournalState):
    """What the journal says, as it is read from the logs folder.

    The driver writes an event to its segment and then applies it here; viewers read the same lines and apply
    them too. The events, each a JSON object on a line of its own:

        open        the first line of a segment, of a process that is about to drive: host, pid, born
        lead        it drives: epoch, read {segment: bytes of it that count}, version; host, pid, born, time
        batch       attempts are about to be submitted: batch, name, tasks ["<id>.<attempt>", ...], time;
                    params: what is different from the map, as texts; shares: how many tasks of the scheduler
                    run these in turn, where not each runs one; workers: how many take them from this list,
                    crew: the batch with which these were submitted, id: its own, where it is known, and with:
                    what they requested, as texts; elsewhere: the hosts that this submission alone does not
                    want, on which its jobs were interrupted
        submitted   the scheduler took it: batch, id ('' once it has given that id to another), job_cmd
        returned    these attempts were not submitted after all: tasks, time; spent: if that is not sure, so
                    that the next time is another attempt
        run, end    a job's record: job, attempt, status and all that is known of it, as RECORD_FIELDS and, of
                    a failure that may have to be corrected, unheard, cancelled and why. rerun: the job runs
                    once more; retry: that counts as one of its `retries`, and this is different then; before:
                    so many of its commands had ended well in earlier attempts; saved: by which retries
        usage       the record again, with what the scheduler's accounts added
        command     what came of an order (not a command of the map): command (its id), by, said (the
                    reply), refused, time
        set         what steers the driver: max_running, halted, params of what is not yet submitted, pull
                    (how many workers take the jobs, as these are short; pull_reason: how short), learned
                    ({parameter: {its text: what jobs request instead}}), avoided
                    ({node: [since when it is avoided, why, by jobs with which queue and extra]}), canaries
                    (numbers of the jobs that come first, while the others wait for them), halt_reason (why
                    it is halted by itself, '' where it is not; halt_kind: by what), halt_from (how many jobs
                    had ended and failed when that was resumed), excluded ({host: [since when nothing more is
                    submitted to it, why; '' where somebody wants it used again]}), waited (other executions
                    are waited for no longer), after, skip (as in execution.info, since the map was another),
                    skipped (how many jobs were, at last), time
        cancel      these submitted jobs shall end: numbers, as spans [[first, last], ...], time
        dropped     these jobs were cancelled before they were submitted: numbers, time
        retry       these jobs shall run once more: numbers, params
        saved       all .info files are up to date with what stands above, but not those of these jobs: but,
                    numbers as spans
        map         the map is another from here on, and begins with the commands that it had: file, its name
                    in the folder .qmap, number (how many there were, with this one), commands, owns (whether
                    commands have parameters of their own), params of all its jobs as texts, gone: the jobs
                    that are no longer in it, as spans; time; differs: if something of all jobs does from
                    before, so that attempts up to here had other parameters, [pre] or [post]
        torn        the line before was not written whole, and has been written again
        sum         crc, of the lines since the last sum or torn, which nothing has changed (zlib's CRC-32)
        state       the end of a snapshot: what its lines leave out (settings, starts, before, last_batch,
                    driver_host, again, unsaved, changes, former), and read: {segment: bytes of it that this
                    stands for}
        left        the driver leaves, and says so: time

    Some names on disk are older than those in the code, and stay, so that every version reads them. `tasks`
    are keys of attempts, `shares` are chunks, `crew` is a pool, `k` an index, `words` a message, `unheard`
    means inferred, `spent` used up; `said` is a reply, and `do` the name of an order.

    Attributes:
        logs: Logs
        damage: list of (segment, byte) of what cannot be read
    """

    #: Records that are never worth the work of compaction.
    SMALL = 10000

    def __init__(self, logs, commands, group, snapshot_read=None, totals=None):
        """
        Args:
            logs: Logs
            commands: number of commands in the map
            group: commands in a job
            snapshot_read: path of the snapshot, the last segment that it stands for; None for the newest
            totals: UsageTotals to keep; None for none
        """
        super().__init__(commands, group, Segments(logs, snapshot_read), totals)
        self.logs = logs
        self.damage = []
        self._read = None    # {segment: bytes of it that were read}, None as long as nothing was
        self._covered = {}    # the same for the segments that the snapshot stands for
        self._led = 0    # the newest segment that a driver leads, of those that were read
        self._astray = None    # (segment, byte) up to which it counts, where more of it was read
        self._blocks = {}    # by segment: the lines that were read since its last sum

    @property
    def snapshot(self):
        """The last segment that the snapshot stands for from which this was read, 0 for none."""
        return self.segments.snapshot

    @property
    def unwritten(self):
        """List of the events that stand in no journal."""
        return self.segments.unwritten

    def load(self, on_event=None):
        """Read all that has been added to the journal since the last time, by whichever driver.

        Args:
            on_event: function that is called with each event, after it was applied

        Raises:
            OSError: a segment cannot be read
        """
        if self._read is None:
            self._read = {}
            self._read_snapshot()
        epochs = self.logs.epochs()
        for epoch in epochs:
            # As long as a newer one has no driver that leads, the older one may grow.
            if epoch > self.snapshot and epoch >= self._led:
                # What an old driver wrote after the next one had read its segment counts for nothing.
                leads = (self.first(self.logs, later) for later in epochs if later > epoch)
                lead = next((event for event in leads if event.get('event') == 'lead'), {})
                self._read_segment(epoch, lead.get('read', {}).get(str(epoch)), on_event)

    def _read_snapshot(self):
        """Read the snapshot, if there is one."""
        segments, found = self.segments, self.logs.epochs('snapshot')
        if not segments.snapshot_path:
            if not found:
                return
            segments.snapshot_path, segments.snapshot = self.logs.snapshot(found[-1]), found[-1]
        with name_in_errors(segments.snapshot_path), open_regular(segments.snapshot_path) as source:
            end = self._take(source, self.snapshot)
        if not self._covered:    # it was whole once: the state stands at its end
            self.damage.append((self.snapshot, end))

    def _read_segment(self, epoch, limit, on_event):
        start, path = self._read.get(epoch, 0), self.logs.journal(epoch)
        try:
            source = open_regular(path)
        except ABSENT:    # it was compacted just now
            return
        with name_in_errors(path), source:
            source.seek(start)
            self._read[epoch] = start
            self._take(source, epoch, start, limit, on_event, self._read)

    def _take(self, source, epoch, start=0, limit=None, on_event=None, read=None):
        """Take in what an open file says from a byte on, and return the byte up to which that was. It is
        noted in `read`, also where the file cannot be read to its end: no event may count twice."""
        bad, end, block, upper = None, start, self._blocks.setdefault(epoch, []), place_in(epoch, 0)
        appliers = {name: kind.apply for name, kind in EVENTS.items() if kind.apply}
        try:
            for event, byte, line in read_events(source, start, limit):
                end = byte + len(line)
                kind = event and event['event']
                if kind in BETWEEN:
                    bad = self._close_block(epoch, event, byte, bad)
                    if kind == 'sum':
                        continue
                block.append(line)
                try:
                    if kind in appliers:    # as `apply` does it
                        appliers[kind](self, event, upper | byte)
                except UNSOUND:
                    event = None
                if event is None:
                    bad = byte
                    self.damage.append((epoch, byte))
                elif on_event:
                    on_event(event)
                if len(block) > 2 * BLOCK:    # of an older release, which wrote no sums
                    block.clear()
        finally:
            if read is not None:
                read[epoch] = end
        if limit is not None and end < limit and not self._is_damaged(epoch):
            self.damage.append((epoch, end))    # a later driver has read more than there is
        return end

    def _close_block(self, epoch, event, byte, bad):
        """Take in what an event says of the lines since the last one of the kind, and return the byte of the
        last line that cannot be read, None for none.

        Args:
            epoch: the segment
            event: dict, sum or torn
            byte: where it stands
            bad: where the last line stands that cannot be read, None for none
        """
        block = self._blocks[epoch]
        if event['event'] == 'torn':
            if bad is not None:
                self.damage.remove((epoch, bad))
            bad = None
        elif event.get('crc') != crc32(b''.join(block)):
            first = byte - sum(map(len, block))
            if bad is None or bad < first:    # else it is known already
                self.damage.append((epoch, first))
        block.clear()
        return bad

    def apply_lead(self, event, place):
        """See JournalState; what it had read of older segments is what counts of them."""
        super().apply_lead(event, place)
        self._led = place >> 44
        for epoch, counts in event.get('read', {}).items():
            epoch = int(epoch)
            if self._read.get(epoch, 0) > counts:
                self._astray = (epoch, counts)
            elif counts and epoch > self.snapshot and epoch not in self._read and not self._is_damaged(epoch):
                self.damage.append((epoch, 0))

    def apply_state(self, event, place):
        """See JournalState; and what the snapshot stands for."""
        covered = {int(epoch): byte + 0 for epoch, byte in event['read'].items()}
        super().apply_state(event, place)
        self._covered = covered

    # How far it was read, and what of it cannot be

    def outdated(self):
        """Tell whether this must be read from the beginning: segments that it was read from may be gone,
        because there is a newer snapshot; or more was read than counts, of a driver that was overtaken."""
        if self._read is None:
            return False
        return self._astray is not None or max(self.logs.epochs('snapshot'), default=0) > self.snapshot

    def accept(self):
        """Take what was read as it is: drivers contradict each other, and reading it again is no better."""
        if self._astray:
            self.damage.append(self._astray)
            self._astray = None

    def current(self):
        """Tell whether reading on is as good as from the beginning: nobody has begun to drive since."""
        if not self._read or self.outdated():
            return False
        return max(self.logs.epochs(), default=0) <= max(self._read)

    @staticmethod
    def first(logs, epoch):
        """Return how a segment begins: its lead, which says who drives and what counts of the older ones;
        where it has not come yet, who opened the segment; {} where neither has.

        Raises:
            OSError: it cannot be read
        """
        found, path = {}, logs.journal(epoch)
        try:
            with name_in_errors(path), open_regular(path) as source:
                for _ in range(3):
                    event = of_types(parse_event(source.readline(1 << 20)), DRIVER_FIELDS)
                    if event.get('event') in ('open', 'lead'):
                        found = event
        except ABSENT:    # it was compacted just now
            pass
        return found

    def segment_path(self, epoch):
        """Return the path of the file that was read as a segment."""
        return self.segments.path(epoch)

    def read_so_far(self):
        """Return {segment: bytes of it that were read}."""
        found = dict(self._covered)
        found.update(self._read or {})
        return found

    def wrote(self, epoch, byte):
        """Note that this process wrote a segment up to a byte, and applied that: it is not to be read."""
        self._read[epoch] = byte
        self._blocks.pop(epoch, None)

    def missing(self, driver):
        """Return where records are missing at the end of the last segment: (segment, byte), None for nowhere.

        Args:
            driver: who drove last, as driver.json had it before this was read
        """
        epoch, read = driver.get('epoch'), self.read_so_far()
        if not epoch or epoch < max(read, default=0):    # it was overtaken: what counts of it is known
            return None
        return (epoch, read.get(epoch, 0)) if driver.get('bytes', 0) > read.get(epoch, 0) else None

    def miss(self, driver):
        """Note what is missing, as above, where nothing else in the segment is damaged."""
        missing = self.missing(driver)
        if missing and not self._is_damaged(missing[0]):
            self.damage.append(missing)

    def _is_damaged(self, epoch):
        return any(damaged == epoch for damaged, _ in self.damage)

    def damage_texts(self):
        """Return the warnings about what cannot be read, the first 20."""
        places = ((self.segment_path(epoch), byte) for epoch, byte in self.damage[:20])
        return ['{}, byte {}: unreadable record'.format(path, byte) if os.path.lexists(path) else
                '{}: missing; the statuses of its jobs are not known'.format(path) for path, byte in places]

    # Others like it

    def with_unwritten(self, events):
        """Return a copy that has taken in events which stand in no journal, while this one stays as it is.

        Args:
            events: list of dicts, run and end
        """
        other = copy.copy(self)
        for name in ('counts', 'status', 'attempts', 'live', 'cancelled', 'unsaved', 'places', '_read'):
            setattr(other, name, copy.copy(getattr(self, name)))
        other.places.newest = copy.copy(self.places.newest)    # such events change nothing else in there
        other.batches = {batch: dict(event) for batch, event in self.batches.items()}
        other.failures, other.totals = copy.deepcopy(self.failures), copy.deepcopy(self.totals)
        other.segments = Segments(self.logs, (self.segments.snapshot_path, self.snapshot), events)
        for index, event in enumerate(events, 1):
            other.apply(event, place_in(Segments.UNWRITTEN, index))
        return other

    def worth_compacting(self):
        """Tell whether most of what was read is history: several records of jobs for each that counts."""
        records = self.count - self.count_of(UNSUBMITTED) + sum(map(len, self.places.earlier.values()))
        return self.records_read > 3 * records + self.SMALL

    def compact(self, path, last):
        """Write what still counts of all that was read into one file, and bring that to the disk.

        Args:
            path: of the file
            last: the last segment that it is to stand for; no later one may say anything yet

        Returns:
            the Places that one must have which is read from it

        Raises:
            OSError: it could not be written; then it is not there
        """
        return Compaction(self, last).write(path)

    def verify(self, other, places):
        """Tell whether this ledger, read from a snapshot, says the same as the one that was compacted.

        Args:
            other: Ledger
            places: what its `compact` returned
        """
        def told(ledger):
            return (ledger.status, ledger.attempts, ledger.counts, ledger.live, ledger.batches,
                    ledger.settings, ledger.cancelled, ledger.obeyed, ledger.changes, ledger.unsaved,
                    ledger.former, ledger.last_batch, vars(ledger.drivers), ledger.map, ledger.gone,
                    {epoch: byte for epoch, byte in ledger.read_so_far().items() if epoch <= self.snapshot},
                    sorted({number for number in ledger.again if not ledger.status[number]}))

        if self.damage or told(self) != told(other):
            return False
        return self.places.without_empty() == places.without_empty()

    def at(self, path):
        """Return this, read from a snapshot that lies elsewhere now."""
        self.segments.snapshot_path = path
        return self


class Compaction:
    """Writes what still counts of the segments that a ledger was read from into one file, a snapshot.

    Attributes:
        ledger: Ledger
        last: the last segment that the snapshot stands for
        places: Places in the snapshot
        size: its bytes so far
    """

    def __init__(self, ledger, last):
        self.ledger, self.last = ledger, last
        self.places, self.size = Places(ledger.count), 0
        self._block = []    # the lines since the last sum

    def write(self, path):
        """Write the snapshot, bring it to the disk, and return the Places of what it tells.

        Raises:
            OSError: it could not be written; then it is not there
        """
        try:
            with open(path, 'xb') as target:
                for event, place, line in self._events():
                    for part, numbers in self._surviving(event, place):
                        self._relocate(place, part, numbers)
                        self._put(target, line if part is event else json_line(part))
                self._put(target, json_line(self._state()))
                if self._block:
                    target.write(sum_line(self._block))
                target.flush()
                sync_file(target.fileno())
        except OSError:
            remove_file(path)
            raise
        return self.places

    def _events(self):
        """Yield (event, its place, its line) of all that was read."""
        ledger, read = self.ledger, self.ledger.read_so_far()
        sources = [(ledger.snapshot, None)] if ledger.snapshot else []
        sources += [(epoch, read[epoch]) for epoch in sorted(read) if ledger.snapshot < epoch <= self.last]
        for epoch, limit in sources:
            with open_regular(ledger.segment_path(epoch)) as source:
                for event, byte, line in read_events(source, limit=limit):
                    if event:
                        yield event, place_in(epoch, byte), line

    def _put(self, target, line):
        self._block.append(line)
        self.size += target.write(line)
        if len(self._block) == BLOCK:
            self.size += target.write(sum_line(self._block))
            self._block = []

    def _state(self):
        """Return the event at the end of a snapshot, which tells what its other lines leave out."""
        ledger = self.ledger
        again = collections.OrderedDict.fromkeys(
            number for number in ledger.again if not ledger.status[number])
        return {'event': 'state', 'settings': ledger.settings, 'starts': ledger.drivers.boots,
                'before': ledger.drivers.restarted_after, 'last_batch': ledger.last_batch,
                'driver_host': ledger.drivers.last, 'again': list(again),
                'unsaved': as_spans(sorted(ledger.unsaved)), 'changes': ledger.changes,
                'former': as_spans(itertools.compress(range(ledger.count), ledger.former)),
                'read': {epoch: byte for epoch, byte in ledger.read_so_far().items() if epoch <= self.last}}

    def _surviving(self, event, place):
        """Return what of an event is needed to come to this state: a list of (event, numbers of its jobs)."""
        kind = EVENTS.get(event['event'], UNKNOWN_EVENT)
        return kind.keep(self, event, place) if kind.keep else []

    def keep_whole(self, event, place):
        """See `_surviving`; as it stands."""
        return [(event, ())]

    def keep_record(self, event, place):
        """See `_surviving`; if it is the last record of an attempt, which always comes as its end."""
        number = self.ledger.number(event['job'])
        if not self.ledger.places.tell(number, place):
            return []
        return [(dict(event, event='end') if event['event'] == 'usage' else event, [number])]

    def keep_batch(self, event, place):
        """See `_surviving`; unless each of its attempts has come to an end that stands by itself."""
        ledger = self.ledger
        attempts = [ledger.attempt(key) for key in event['tasks']]
        over = all(attempt <= ledger.attempts[number] for _, number, attempt in attempts)
        if over and event['batch'] not in ledger.batches:
            return []
        return [(event, [number for _, number, _ in attempts])]

    def keep_submitted(self, event, place):
        """See `_surviving`; if it tells the command, or of a batch that has live jobs."""
        ledger, batch = self.ledger, event['batch']
        return [(event, ())] if ledger.places.submission(batch) == place or batch in ledger.batches else []

    def keep_returned(self, event, place):
        """See `_surviving`; and that those which were to be cancelled were dropped with it."""
        ledger = self.ledger
        numbers = [ledger.attempt(key)[1] for key in event['tasks']]
        gone = sorted(number for number in numbers if ledger.places.tell(number, place))
        dropped = {'event': 'dropped', 'numbers': as_spans(gone), 'time': event['time']}
        return [(event, ()), (dropped, gone)] if gone else [(event, ())]

    def keep_dropped(self, event, place):
        """See `_surviving`; as it stands."""
        return [(event, numbers_in(event['numbers']))]

    def _relocate(self, place, event, numbers):
        """Note that what is told at a place will stand where the snapshot ends now."""
        new, old = place_in(self.last, self.size), self.ledger.places
        if event['event'] == 'submitted' and event.get('job_cmd'):
            self.places.set_submission(event['batch'], new)
        for number in numbers:
            if old.newest[number] == place:
                self.places.newest[number] = new
            elif place in old.earlier.get(number, ()):
                self.places.earlier.setdefault(number, []).append(new)


#: How a kind of event changes a ledger, and what of it compaction keeps: methods, None for nothing. The
#: docstring of Ledger says what each tells.
EventKind = collections.namedtuple('EventKind', 'apply keep')
EVENTS = {
    'open': EventKind(None, None),
    'lead': EventKind(Ledger.apply_lead, None),
    'batch': EventKind(Ledger.apply_batch, Compaction.keep_batch),
    'submitted': EventKind(Ledger.apply_submitted, Compaction.keep_submitted),
    'returned': EventKind(Ledger.apply_returned, Compaction.keep_returned),
    'run': EventKind(Ledger.apply_run, Compaction.keep_record),
    'end': EventKind(Ledger.apply_end, Compaction.keep_record),
    'usage': EventKind(Ledger.apply_usage, Compaction.keep_record),
    'command': EventKind(Ledger.apply_command, Compaction.keep_whole),
    'set': EventKind(Ledger.apply_set, None),
    'cancel': EventKind(Ledger.apply_cancel, Compaction.keep_whole),
    'dropped': EventKind(Ledger.apply_dropped, Compaction.keep_dropped),
    'retry': EventKind(Ledger.apply_retry, Compaction.keep_whole),
    'map': EventKind(replace_map, Compaction.keep_whole),
    'saved': EventKind(Ledger.apply_saved, None),
    'torn': EventKind(None, None),
    'sum': EventKind(None, None),
    'state': EventKind(Ledger.apply_state, None),
    'left': EventKind(None, None)}

#: What only a later version writes.
UNKNOWN_EVENT = EventKind(None, Compaction.keep_whole)


def is_end(event):
    """Tell whether an event says how an attempt ended."""
    return event['event'] == 'end'


def is_failure(event):
    """Tell whether an event says that an attempt FAILED."""
    return event['event'] == 'end' and event['status'] == FAILED


def runs_again(event):
    """Tell whether an event ends an attempt that was interrupted, so that the job runs once more by
    itself."""
    return is_failure(event) and bool(event.get('rerun'))


def asks_again(event):
    """Tell whether an attempt ended with the exit status that says: run me again."""
    return event.get('error_reason') == 'exit' and event.get('exit_code') == AGAIN


def again_words(event):
    """Return what the end of an attempt says behind which the job runs again, and that counts as no retry.
    """
    return {'rerun': True, 'again': True} if asks_again(event) else {'rerun': True}


def is_retried(record):
    """Tell whether an attempt was the last but for a retry that counts (see `Retries`), or for one that it
    asked for."""
    is_wanted = 'retry' in record or asks_again(record)
    return is_wanted and bool(record.get('rerun'))


def rerun_events(ledger, events):
    """Return a list of the events that let jobs run once more whose end says so, those together that request
    the same then."""
    groups = collections.OrderedDict()
    for event in filter(runs_again, events):
        params = tuple(sorted(event.get('retry', {}).items()))
        groups.setdefault(params, []).append(ledger.number(event['job']))
    return [dict({'params': dict(params)} if params else {}, event='retry', numbers=as_spans(sorted(numbers)))
            for params, numbers in groups.items()]


def is_record(event):
    """Tell whether an event is a job's record, with a status that is new."""
    return event['event'] in ('run', 'end')


def is_final_record(event):
    """Tell whether an event is the record of an attempt that is over, with what is known of it by now."""
    return event['event'] in ('end', 'usage') and event['status'] in (COMPLETED, FAILED)


def is_reply(event):
    """Tell whether an event says what came of an order."""
    return event['event'] == 'command'


def retried_numbers(event):
    """Return the numbers of the jobs that an event lets run once more, an iterator."""
    return numbers_in(event['numbers'] if event['event'] == 'retry' else ())


def dropped_numbers(event):
    """Return the numbers of the jobs that an event cancels before they are submitted, an iterator."""
    return numbers_in(event['numbers'] if event['event'] == 'dropped' else ())


def status_changes(event, ledger):
    """Yield what an event says of the statuses of jobs: dicts with job (its id), attempt, status; of a job
    that has ended with all that is known.

    Args:
        event: dict
        ledger: Ledger that has taken it in
    """
    kind = event['event']
    if kind in ('run', 'end'):
        yield event
    elif kind in ('batch', 'returned'):
        status = PENDING if kind == 'batch' else UNSUBMITTED
        for key in event['tasks']:
            id, attempt = split_key(key)
            yield {'job': id, 'attempt': attempt, 'status': status}
    elif kind in ('dropped', 'retry'):
        change = {'status': UNSUBMITTED}
        if kind == 'dropped':
            change = {'status': FAILED, 'error_reason': 'cancelled'}
        for number in numbers_in(event['numbers']):
            yield dict(change, job=ledger.id(number), attempt=ledger.attempts[number])


class Journal:
    """The segment that this driver writes: whole lines, one writer.

    Attributes:
        size: its bytes
        synced: how many of them were brought to the disk
    """

    def __init__(self, path, opening):
        """Make the segment.

        Args:
            path: of the segment
            opening: its first event, which says whose it is. Where the file system knows links, no segment is
                ever seen without: whoever finds one would have to wait for a driver that nobody knows

        Raises:
            FileExistsError: another driver was first
            OSError: it cannot be made
        """
        self._torn = False
        temporary = '{}.{}'.format(path, os.urandom(8).hex())
        self._open(temporary, opening)
        try:
            os.link(temporary, path)
        except OSError as error:
            # Over NFS a link can be there and its answer lost: open(2).
            if os.fstat(self._handle).st_nlink != 2:
                os.close(self._handle)
                if error.errno in (errno.EEXIST, errno.ENOENT):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
                self._open(path, opening)
                return
        finally:
            remove_file(temporary)
        # Some file systems know an open file only by the name under which it was opened.
        former = self._handle
        try:
            self._handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError:
            remove_file(path)
            raise
        finally:
            os.close(former)

    def _open(self, path, opening):
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self.size = self.synced = 0
        try:
            self.write([opening])
        except BaseException:
            os.close(self._handle)
            remove_file(path)
            raise

    def write(self, events):
        """Add events, and return the place of each.

        Raises:
            OSError: they are not (all) there; nobody will count what is
        """
        parts, places, block = [], [], []
        if self._torn:
            parts.append(b'\n')
            block.append(b'{"event":"torn"}\n')
        place = self.size + sum(map(len, parts + block))
        for event in events:
            line = json_line(event)
            places.append(place)
            block.append(line)
            place += len(line)
            if len(block) == BLOCK or len(places) == len(events):
                block.append(sum_line(block))
                place += len(block[-1])
                parts += block
                block = []
        data = memoryview(b''.join(parts))
        while data:
            try:
                written = self._put(data)
            except OSError:
                # Whole lines that did get there would count twice when they are written again, so all of it
                # is void.
                before, self._torn = self._torn, True
                try:
                    os.ftruncate(self._handle, self.size)
                    self._torn = before    # what was torn then is still there
                except OSError:
                    self.size = os.fstat(self._handle).st_size
                raise
            data = data[written:]
        self._torn = False
        self.size = place
        return places

    def _put(self, data):
        return os.write(self._handle, data)

    def sync(self):
        """Wait until all of it is on the disk."""
        size = self.size
        sync_file(self._handle, os.fdatasync)
        self.synced = size

    def close(self):
        """Let go of the file."""
        os.close(self._handle)


##############################################################################################################
# What a job runs: its script, and the runner
##############################################################################################################

#: The runner: runs the jobs of chunks where the scheduler put it. It needs bash 4.2 and nothing else there. The
#: node may have given its shell options, traps and functions that are meant for others.
#:
#: The list of a batch, batch/<number>.list, has five lines: whose it is (see `job_list`), how large its chunks
#: are, the first jobs of these, and two parts that all scripts have in common; three for each job: what it is
#: called, and two parts of its script; and a last one. Without it nothing of the batch begins.
#:
#: What is said of the jobs of a chunk goes to one file that nobody else writes, run/<key of the first
#: one>.start. Who makes it has claimed the chunk. It has the lines: who this is, in JSON; `s KEY TIME .`
#: before a job begins; `v KEY .` if neither that nor those behind it in the chunk do after all; `c KEY .` for
#: one that is left out, as it was cancelled; and after two lines from `times`, `e KEY JSON .`, how it ended.
#: A line without its point was torn.
RUNNER = r"""
unset -f builtin unset cd echo exec exit kill printf read set shopt sleep test times trap wait '['
set +eufxvC +o posix
shopt -u extdebug failglob nocasematch nullglob
trap - ERR DEBUG RETURN EXIT
unset TMOUT GLOBIGNORE
IFS=$' \t\n'
qmap_now() {  # bash 5 knows parts of a second, in the writing of the locale
    if [ -n "${EPOCHREALTIME:-}" ]; then qmap_time=${EPOCHREALTIME/,/.}; else printf -v qmap_time '%(%s)T' -1; fi
}
qmap_listen() {  # from now on a signal is for the job, which is the last one unless the signal only warns it
    local name
    qmap_signal= qmap_child= qmap_again= qmap_unbegun= qmap_sampler=
    for name in TERM INT HUP USR2; do trap "qmap_pass $name" $name; done
    for name in USR1 QUIT ALRM XCPU URG WINCH CONT; do trap "qmap_warn $name" $name; done
    # bash ends by itself where no process is to be had.
    trap '[ -z "$qmap_unbegun" ] || qmap_void' EXIT
    exec {qmap_pipe}<> <(:)    # a job tells its exit status there, and knows it as 4
    exec 4<&$qmap_pipe {qmap_pipe}<&-
    exec {qmap_pipe}<> <(:)    # and what the shell has used goes through this one
    exec 7<&$qmap_pipe {qmap_pipe}<&-
}
qmap_pass() {
    qmap_again=yes qmap_signal=$1
    [ -z "$qmap_child" ] || kill -$1 -- -$qmap_child
}
qmap_warn() {  # pass on a signal that only warns the job
    qmap_again=yes
    [ -n "$qmap_child" ] || return
    [[ $1 = URG || $1 = WINCH || $1 = CONT ]] || qmap_warned=$1    # these end nothing
    kill -$1 -- -$qmap_child
}
qmap_room() {  # what could not be written: wait for room on the disk, for as long as the folder is there
    [ $((++qmap_try)) -lt 30 ] || [ -d "$qmap_logs/.qmap/run" ] || return 1
    sleep 10
}
qmap_alive() {  # whether some process of a group has not ended (proc(5), /proc/[pid]/stat, fields 3 and 5)
    local line
    for line in /proc/[0-9]*/stat; do
        read -r line <"$line" || continue
        line=(${line##*) })
        [[ ${line[2]} != $1 || ${line[0]} = [ZX] ]] || return 0
    done
    return 1
}
qmap_wait() {  # for the job, and leave its status in qmap_status
    qmap_warned= qmap_child=$qmap_job
    [ -z "$qmap_signal" ] || kill -$qmap_signal -- -$qmap_child
    qmap_again=yes
    while [ -n "$qmap_again" ]; do qmap_again=; wait $qmap_child; qmap_status=$?; done
    # bash loses the status of a child that ends while a trap runs, and may then not even wait for it. So the job tells
    # its status itself, unless it is killed.
    until read -t 0 -u 4 && read -r -u 4 qmap_status; do
        kill -0 $qmap_child || { qmap_untold; break; }
        sleep 0.1
    done
    qmap_now
    qmap_left= qmap_told=$qmap_signal
    if [ -n "$qmap_warned" ] && [ $qmap_status = $((128 + $(kill -l $qmap_warned))) ]; then
        qmap_told=${qmap_told:-$qmap_warned}    # it was for all that runs here, and has ended the job
    fi
    ! kill -0 -- -$qmap_child || ! qmap_alive $qmap_child || qmap_end_rest
    qmap_child= qmap_try=0
}
qmap_untold() {  # the job has ended, and did not tell its status
    if read -t 0 -u 4; then
        read -r -u 4 qmap_status    # it just did
    elif [ $qmap_status = 254 ]; then
        qmap_unbegun=yes    # its shell found no process for it
    elif [ -n "$qmap_signal" ]; then
        [ "${qmap_task:0:1}" = = ] || qmap_signal=KILL    # it outlives the others
        qmap_status=$((128 + $(kill -l $qmap_signal)))
    elif [ -n "$qmap_warned" ] && [ $qmap_status -le 128 ]; then
        qmap_status=$((128 + $(kill -l $qmap_warned)))
    fi
}
qmap_end_rest() {  # what the job leaves behind, which would hold what was given to it
    qmap_try=10
    # A job that was told to end may need ten seconds.
    [ -z "$qmap_signal" ] && [ $qmap_status -lt 128 ] && [ ! -e "$qmap_said.why" ] || qmap_try=100
    while kill -0 -- -$qmap_child && qmap_alive $qmap_child; do
        if [ $((qmap_try--)) = 0 ]; then qmap_left=left; break; fi
        sleep 0.1
    done
    kill -KILL -- -$qmap_child
}
qmap_find_group() {  # the cgroup of the scheduler's job, where it counts memory (cgroups(7), versions 1 and 2)
    local line path
    qmap_group= qmap_events= qmap_cpu=0 qmap_high=0 qmap_killed=0 qmap_serial=0
    [ -z "$qmap_id" ] || while read -r line; do
        # Its name ends with the id, or is another one above the batch step: Slurm 26.05.
        [[ $line =~ ^(0:|[0-9]+:([^:]*,)?memory(,[^:]*)?):((.*/)?[^/]*[^0-9/]$qmap_id)(/|$) ||
            $line =~ ^(0:|[0-9]+:([^:]*,)?memory(,[^:]*)?):(()/.+)/step_batch(/|$) ]] || continue
        path=${BASH_REMATCH[4]}
        if [ -r "/sys/fs/cgroup/memory$path/memory.stat" ]; then
            qmap_group=/sys/fs/cgroup/memory$path
            qmap_peak=$qmap_group/memory.max_usage_in_bytes qmap_names=(total_rss total_shmem total_cache)
        elif [ -r "/sys/fs/cgroup$path/memory.stat" ]; then
            qmap_group=/sys/fs/cgroup$path
            qmap_peak=$qmap_group/memory.peak qmap_names=(anon shmem file)
        fi
        # Version 1 counts what was killed in the cgroup where that was, version 2 below it as well.
        line=/sys/fs/cgroup/memory${line#*:*:}
        for path in "$line/memory.oom_control" "/sys/fs/cgroup$path/memory.events"; do
            [ ! -r "$path" ] || qmap_events=$path
        done
    done </proc/self/cgroup
}
qmap_read_group() {  # what the cgroup holds: what only its processes can give back, and caches of files
    local line lines=()
    mapfile -t lines <"$qmap_group/memory.stat"
    qmap_held=0 qmap_cache=0
    for line in "${lines[@]}"; do
        case ${line% *} in
            "${qmap_names[0]}") ((qmap_held += ${line#* })) ;;
            "${qmap_names[1]}") ((qmap_held += ${line#* }, qmap_cache -= ${line#* })) ;;
            "${qmap_names[2]}") ((qmap_cache += ${line#* })) ;;
        esac
    done
}
qmap_measure() {  # has the cgroup held more than what is known, qmap_most, or qmap_high with caches?
    local cache
    qmap_below=0
    read -r qmap_below <"$qmap_peak"
    qmap_read_group
    [ $qmap_held -le $qmap_most ] || qmap_most=$qmap_held
    # A moment that nobody saw: what was no cache then, as far as one can tell, was held.
    if [ $qmap_below -gt $((qmap_high + qmap_high / 64)) ]; then
        cache=$((qmap_cache > qmap_cached ? qmap_cache : qmap_cached))
        [ $((qmap_below - cache)) -le $qmap_most ] || qmap_most=$((qmap_below - cache))
        qmap_high=$qmap_below
    fi
}
qmap_sample() {  # beside the runner: tell the most that each job held, and whether srun has started something
    local line most cached=0 steps=0 told= pause=100
    qmap_most=0 most=0
    exec 3>&- 4>&- 6>&- 7>&-
    trap '' TERM INT HUP USR1 USR2 QUIT ALRM XCPU
    LC_ALL=C    # for parts of a second
    while kill -0 $$; do
        printf -v line '%d.%03d' $((pause / 1000)) $((pause % 1000))
        if read -r -t $line -u $qmap_ask line; then
            qmap_serial=$line qmap_most=0 qmap_cached=0 most=0 cached=0 steps=0 pause=100
            read -r qmap_high <"$qmap_peak"
            continue
        fi
        pause=$((pause < 4000 ? pause * 13 / 10 : 5000))
        qmap_measure
        qmap_cached=$qmap_cache
        # What grows by little is not told, so that a pipe can hold what grows for days.
        [ $qmap_most -le $((most + most / 64)) ] || most=$qmap_most
        [ $qmap_cache -le $((cached + cached / 64)) ] || cached=$qmap_cache
        for line in "$qmap_group"/step_[0-9]*; do [ ! -d "$line" ] || steps=1; done
        line="$qmap_serial $most $cached $qmap_high $steps"
        [ "$line" = "$told" ] || echo "$line" >&$qmap_answer
        told=$line
    done
}
qmap_look_on() {  # from now on somebody looks at the memory
    [ -n "$qmap_group" ] && exec {qmap_ask}<> <(:) {qmap_answer}<> <(:) || return
    qmap_sampler=$(qmap_sample >/dev/null & echo $!)
}
qmap_memory() {  # leave in qmap_used what the job has used, as the cgroup tells it
    local line key value killed=0 cpu steps=0
    [ -z "$qmap_nodes" ] || qmap_used+=",\"nodes\":$qmap_nodes"
    # How many processes the kernel has killed for lack of memory (oom_kill, since Linux 4.13).
    [ -z "$qmap_events" ] || while read -r key value; do
        [ "$key" != oom_kill ] || killed=$value
    done <"$qmap_events"
    [ -z "$qmap_events" ] || qmap_used+=",\"oom_kills\":$((killed - qmap_killed))"
    qmap_killed=$killed
    [ -n "$qmap_group" ] || return
    qmap_most=0 qmap_cached=0
    while [ -n "$qmap_sampler" ] && read -t 0 -u $qmap_answer && read -r -u $qmap_answer -a line; do
        [ "${line[0]}" = $qmap_serial ] || continue
        qmap_most=${line[1]} qmap_cached=${line[2]} qmap_high=${line[3]} steps=${line[4]}
    done
    line=$qmap_most
    qmap_measure
    # What is held now is the runner's.
    [ $line -gt 0 ] || [ $qmap_most -gt $qmap_held ] || qmap_most=0
    qmap_used=${qmap_used/:0/:$qmap_most}
    # The peak of the cgroup is an upper bound, which says something where it is much higher.
    [ $((qmap_below - qmap_most)) -le $((qmap_most > 0 ? qmap_most / 8 + (16 << 20) : 0)) ] ||
        qmap_used+=",\"memory_below\":$qmap_below"
    if read -r line cpu <"$qmap_group/cpu.stat"; then
        qmap_used+=",\"group_cpu\":$((cpu - qmap_cpu))" qmap_cpu=$cpu
    fi
    [ $steps = 0 ] || qmap_used+=',"steps":1'
}
qmap_begin() {  # LOGS, the batch, when that was written, the scheduler's id, if there is one
    local line boot
    for line in "${!QMAP_OUTER_@}"; do    # what only the submission was to have
        if [ -n "${!line}" ]; then export "${line#QMAP_OUTER_}=${!line}"; else unset "${line#QMAP_OUTER_}"; fi
        unset "$line"
    done
    qmap_logs=$1 qmap_number=$2 qmap_made=$3 qmap_id=$4
    qmap_run=$qmap_logs/.qmap/run qmap_batch=$qmap_logs/.qmap/batch/$qmap_number.list
    qmap_born= qmap_worker= qmap_over= qmap_count=0 qmap_longest=0 qmap_timer= qmap_bell= qmap_status=
    exec {qmap_err}>&2 2>/dev/null    # what fails below is looked at, and need not be told
    # $HOSTNAME may be that of the machine which the environment came from.
    read -r qmap_host </proc/sys/kernel/hostname
    # Slurm may call it otherwise, and so do its options. (A job that surrounds the driver has other ids.)
    [ -z "$qmap_id" ] || [ "$SLURM_JOB_ID" != "$qmap_id" ] || qmap_host=${SLURMD_NODENAME:-$qmap_host}
    read -r boot </proc/sys/kernel/random/boot_id
    if read -r line </proc/$$/stat; then line=(${line##*) }); qmap_born=$boot/${line[19]}; fi
    qmap_listen
    qmap_find_group
    # On several nodes, what is measured here is not all.
    qmap_nodes=
    if [ -n "$qmap_id" ]; then
        line=($LSB_MCPU_HOSTS)    # each host and its slots
        case $qmap_id in
            "$SLURM_JOB_ID") qmap_nodes=$SLURM_JOB_NUM_NODES ;;
            "$LSB_JOBID") qmap_nodes=$((${#line[@]} / 2)) ;;
            "$JOB_ID") qmap_nodes=$NHOSTS ;;
        esac
        [[ $qmap_nodes =~ ^[0-9]+$ && $qmap_nodes -gt 1 ]] || qmap_nodes=
    fi
    cd /
}
qmap_read() {  # the head of a list: not all of it, which may be large
    mapfile -t -n 5 qmap_head <"$1" && [ ${#qmap_head[@]} = 5 ]
}
qmap_await_list() {  # the list: 75 where the batch is over, 74 on trouble
    local try=0
    # What was just made may not be seen from here for a while. Opening the folder asks anew. And a batch
    # whose list is gone is over: it comes too late, and runs nothing.
    until qmap_read "$qmap_batch"; do
        [ -z "$qmap_signal" ] || return 75
        qmap_now
        # No file stays unseen for so long.
        if [ $((++try)) -ge 5 ] && [ $((${qmap_time%.*} - qmap_made)) -ge 180 ] && [ -d "$qmap_run" ]; then
            return 75
        fi
        if [ $try -ge 60 ]; then
            echo "qmap: $qmap_batch is not there on $qmap_host" >&$qmap_err
            [ -d "$qmap_run" ] && return 75 || return 74
        fi
        set -- "${qmap_batch%/*}"/.[q]*; sleep 1
    done
}
qmap_read_chunk() {  # open the list at chunk K, which has qmap_count jobs, and load the first one
    local sizes chunk=$(($1 - 1)) before=0
    qmap_count=0
    for sizes in ${qmap_head[1]}; do    # 20x16: so many jobs, so many such chunks
        if [ $chunk -lt ${sizes#*x} ]; then
            exec 6<"$qmap_batch" || return
            qmap_load $((5 + 3 * (before + chunk * ${sizes%x*}))) && qmap_count=${sizes%x*}
            return
        fi
        ((chunk -= ${sizes#*x}, before += ${sizes%x*} * ${sizes#*x}))
    done
    return 1
}
qmap_load() {  # read the next job, or the one so many lines further on, and make it the one at hand
    # Not all of them at once: what bash has in its memory costs each process that it starts.
    mapfile -s ${1:-0} -n 3 -u 6 qmap_lines
    [[ ${qmap_lines[2]} = *$'\n' ]] || return    # the list is gone
    qmap_job=(${qmap_lines[0]})
    qmap_task=${qmap_job[0]} qmap_base=$qmap_logs/${qmap_job[1]} qmap_limit=${qmap_job[2]}
    qmap_signals= qmap_state=
    [[ ${qmap_job[3]} != @* ]] || qmap_signals=${qmap_job[3]#@} qmap_state=yes
    qmap_key=${qmap_task#=}
    qmap_said=$qmap_run/$qmap_key
    printf -v qmap_text '%b%b%b%b' \
        "${qmap_lines[1]%?}" "${qmap_head[3]}" "${qmap_lines[2]%?}" "${qmap_head[4]}"
}
qmap_say() {  # add a line to the words of this chunk. Other hosts see it once it is closed.
    local torn='\n'    # what was tried to be said before, in the loop below
    [ -z "$qmap_id" ] || torn=
    qmap_try=0
    until if [ -n "$qmap_id" ]; then qmap_put "$@" >>"$qmap_words"; else qmap_put "$@"; fi; do
        qmap_room || return
        torn='\n'
    done
}
qmap_put() {
    printf "$torn"
    [ $1 != e ] || times
    printf '%s .\n' "$*"
}
qmap_claim() {  # make the chunk of the job at hand ours: 75 where it is not, 74 on trouble
    [ -z "$qmap_signal" ] || return 75
    qmap_words=$qmap_run/$qmap_key.start
    # Whoever makes the file runs the chunk, and nobody else ever does.
    set -C
    if ! exec >"$qmap_words"; then
        set +C
        [ -e "$qmap_words" ] && return 75
        echo "qmap: $qmap_words cannot be written on $qmap_host" >&$qmap_err
        return 74
    fi
    set +C
    qmap_now
    qmap_try=0
    until printf '{"host":"%s","pid":%d,"born":"%s","executor_id":"%s","batch":%d%s}\n' "$qmap_host" $$ \
        "$qmap_born" "${qmap_id:-$$}" $qmap_number "$qmap_worker" &&
        times && printf 's %s %s .\n' $qmap_key $qmap_time
    do qmap_room || return 74; echo; done
    [ -z "$qmap_id" ] || exec >/dev/null
}
qmap_void() {  # nothing is run of what is left of the chunk
    qmap_say v $qmap_key
    qmap_count=0
}
qmap_is_open() {  # whether the batch is not over: only opening its list asks anew what other hosts do
    if [ -z "$qmap_id" ]; then [ -e "$qmap_batch" ]; else { : <"$qmap_batch"; }; fi
}
qmap_time_out() {  # beside a job with a time of its own: end it when that is over
    exec 3>&- 4>&- 6>&- 7>&- {qmap_tick}<> <(:)
    read -t $qmap_limit -u $qmap_tick
    qmap_now
    [ -e "$qmap_said.why" ] ||
        printf '{"reason": "time", "words": "time limit exceeded (%02d:%02d:%02d)", "time": %s}\n' \
            $((qmap_limit / 3600)) $((qmap_limit / 60 % 60)) $((qmap_limit % 60)) "$qmap_time" >"$qmap_said.why"
    kill -TERM -- -$qmap_job
    read -t 10 -u $qmap_tick
    kill -KILL -- -$qmap_job
}
qmap_forewarn() {  # tell the job before its time is over, its own or that of what runs it
    local end=$qmap_limit
    if [ $end = 0 ]; then
        [ $qmap_within != 0 ] || qmap_learn_time ask
        [ $qmap_within != 0 ] || return
        end=$qmap_within
        [ -z "$qmap_id" ] || ((end -= SECONDS))    # that began with this runner
    fi
    qmap_after=$((end - ${qmap_signals#*@}))
    [ $qmap_after -gt 0 ] || qmap_after=1
    qmap_bell=$(qmap_ring >/dev/null & echo $!)
}
qmap_ring() {  # beside a job that is to be told
    exec 3>&- 4>&- 6>&- 7>&- {qmap_tick}<> <(:)
    read -t $qmap_after -u $qmap_tick
    ! kill -0 $$ || kill -${qmap_signals%@*} -- -$qmap_job
}
qmap_forewarned() {  # after the job: did that end it?
    kill -KILL $qmap_bell
    if [ $qmap_status = $((128 + $(kill -l ${qmap_signals%@*}))) ] && [ $qmap_seconds -ge $qmap_after ]; then
        [ $qmap_limit = 0 ] && qmap_used+=',"forewarned":"task"' || qmap_used+=',"forewarned":"job"'
    fi
    qmap_bell=
}
qmap_check_outputs() {  # which output of the job is missing or empty: its number, in qmap_lacks
    local path number=0 try=0 most=1
    # What other nodes have written may be seen a minute late.
    [ -z "$qmap_id" ] || most=$((${qmap_nodes:-1} > 1 ? 65 : 3))
    for path in ${qmap_lines[0]}; do
        [ "${path:0:1}" = '>' ] || continue
        printf -v path %b "${path:1}"
        ((number += 1))
        until qmap_has_content "$path"; do
            if [ $((try++)) = $most ] || [ -n "$qmap_signal" ]; then
                qmap_lacks=$number
                return
            fi
            sleep 1
        done
    done
}
qmap_has_content() {  # whether there is a file that is not empty, or a folder with something in it
    local name
    if [ -d "$1" ]; then
        for name in "$1"/* "$1"/.[!.]*; do [ ! -e "$name" ] || return 0; done
        return 1
    fi
    [ ! -s "$1" ] || return 0
    set -- "${1%/*}"/.[q]*    # opening the folder asks a server anew
    return 1
}
qmap_repeats() {  # whether a scheduler may run a job again, or hold it, that ends with this status
    # 75 says here that an attempt is another's, 254 that there was no process for it. Grid Engine runs a job
    # again for 99, and holds it for 100. LSF tells in the variable what its queue has as REQUEUE_EXIT_VALUES
    # ("all ~1 ~2 EXCLUDE(3)"), the batch what Slurm has.
    local again=" ${LSB_EXIT_REQUEUE-} $qmap_requeues "
    again=${again//[^0-9~al]/ }
    case $1 in 0) return 1 ;; 75 | 99 | 100 | 254) return 0 ;; esac
    [[ $again != *" ~$1 "* && ( $again = *" $1 "* || $again = *" all "* ) ]]
}
"""

#: Runs the jobs, one after the other. It stands outside of any function, whose variables jobs would see. A
#: job that is marked with = runs in a subshell. Any other gets a bash of its own, below a shell that outlives
#: it and tells its status. That bash gets back what its environment said to shells: see `job_environment`. A
#: script that the system would not pass on is written to its file: MAX_ARG_STRLEN in execve(2).
LOOP = r"""
while :; do
    if [ $qmap_count = 0 ]; then
        qmap_next_chunk || break
    else
        qmap_load || { qmap_count=0; continue; }
        if [ -n "$qmap_signal" ] || qmap_leaves; then qmap_void; break; fi
        if qmap_is_cancelled; then qmap_say c $qmap_key; ((qmap_count--)); continue; fi
        qmap_now
        [ -z "$qmap_id" ] && printf 's %s %s .\n' $qmap_key $qmap_time || qmap_say s $qmap_key $qmap_time
    fi
    # The claims of a batch are removed after its list, and so may have been this chunk's first one.
    qmap_is_open || { qmap_void; continue; }
    qmap_unbegun=yes qmap_try=0 qmap_began=${qmap_time%.*}
    ((qmap_count--, qmap_serial++))
    [ -z "$qmap_sampler" ] || ! kill -0 $qmap_sampler || echo $qmap_serial >&$qmap_ask
    set -m
    until {
        if [ "${qmap_task:0:1}" = = ] && [ -z "$BASH_ENV" ]; then
            (
                [ -z "$qmap_sampler" ] || exec {qmap_ask}<&- {qmap_answer}<&-
                export QMAP_DONE=$qmap_said.done
                _qmap=$qmap_text SECONDS=0
                BASH_ARGV0=$qmap_base.sh    # errors are said to be there, from release 5 on
                # The lines in which bash says that errors are count on from here, unless they are set thus.
                builtin eval "{ :; } 2>&\$((2 + (LINENO = 0)))"$'\n'"$_qmap" 3<&- 4>&- 6<&- 7<&-
                builtin printf '%d\n' $? >&4
            ) &
        else
            (
                trap : TERM INT HUP USR2 USR1 QUIT ALRM XCPU
                set +m
                [ -z "$qmap_sampler" ] || exec {qmap_ask}<&- {qmap_answer}<&-
                qmap_env=()
                for qmap_kept in "${!QMAP_KEPT_@}"; do qmap_env+=("${!qmap_kept}"); unset "$qmap_kept"; done
                qmap_command=(bash -c '_qmap=$QMAP_SCRIPT; builtin unset QMAP_SCRIPT; builtin eval "$_qmap"')
                if [ ${#qmap_text} -gt 30000 ]; then
                    qmap_command=(bash)
                    printf %s "$qmap_text" >|"$qmap_base.sh" || exit 254
                    qmap_text=
                fi
                exec 5>&2 2>/dev/null    # it would say there by which signal the job was ended
                QMAP_SCRIPT=$qmap_text QMAP_DONE=$qmap_said.done ${qmap_env[0]:+env} "${qmap_env[@]}" \
                    "${qmap_command[@]}" "$qmap_base.sh" 2>&5 3<&- 4>&- 5>&- 6<&- 7<&-
                printf '%d\n' $? >&4
            ) &
        fi
    } </dev/null >>"$qmap_base.out" 2>>"$qmap_base.err"; do qmap_room && [ -z "$qmap_signal" ] || exit 75; done
    set +m
    qmap_unbegun= qmap_job=$!
    [ $qmap_limit = 0 ] || qmap_timer=$(qmap_time_out >/dev/null & echo $!)
    [ -z "$qmap_signals" ] || qmap_forewarn
    qmap_wait
    [ -z "$qmap_unbegun" ] || exit 254
    [ -z "$qmap_timer" ] || kill -KILL $qmap_timer
    qmap_timer= qmap_seconds=$((${qmap_time%.*} - qmap_began + 1)) qmap_used='"memory":0'
    [ $qmap_seconds -le $qmap_longest ] || qmap_longest=$qmap_seconds
    [ -z "$qmap_bell" ] || qmap_forewarned
    [ -z "$qmap_group$qmap_events$qmap_nodes" ] || qmap_memory
    qmap_lacks=
    [[ $qmap_status != 0 || ${qmap_lines[0]} != *' >'* ]] || qmap_check_outputs
    printf -v qmap_end '{"exit_code":%d,"time":%s,%s%s%s%s}' $qmap_status "$qmap_time" "$qmap_used" \
        "${qmap_left:+,\"left\":1}" "${qmap_told:+,\"signal\":\"$qmap_told\"}" \
        "${qmap_lacks:+,\"lacks\":$qmap_lacks}"
    # On this machine in one piece: each line of printf is a write, and each write may cost a millisecond.
    [ -z "$qmap_id" ] && times >&7 && read -r -u 7 qmap_line && read -r -u 7 qmap_spent &&
        echo -n "$qmap_line"$'\n'"$qmap_spent"$'\n'"e $qmap_key $qmap_end ."$'\n' ||
        qmap_say e $qmap_key "$qmap_end"
    # What it had saved is of no use once it has ended well, and that is said.
    [ -z "$qmap_state" ] || [ "$qmap_status$qmap_told$qmap_lacks" != 0 ] || [ -e "$qmap_said.why" ] ||
        rm -rf -- "$qmap_base.state"
done
"""

#: Begins the script of a batch whose jobs may run in subshells: bash says of an error in such a one that it
#: is where $0 says, if its own commands do not come from a file.
EVALUATE = 'builtin eval "$(<"$0")"'
AS_TEXT = """[ -n "$BASH_EXECUTION_STRING" ] || exec bash -c '{}' "$0"
""".format(EVALUATE)

#: How a runner learns for how long it may go on; @REMAINING@ stands for `Backend.remaining`.
LEARN_TIME = r"""
qmap_now
qmap_since=${qmap_time%.*}
qmap_learn_time() {  # how long that is, where it is less than was asked for; may it `ask`?
    qmap_remaining=
@REMAINING@    [ -n "$qmap_remaining" ] || return
    [ $qmap_within -gt 0 ] && [ $qmap_remaining -ge $qmap_within ] ||
        qmap_within=$((qmap_remaining > 0 ? qmap_remaining : 1))
}
"""

#: How a task finds the jobs that it runs, those of one chunk, and how it ends. A script that was started
#: before its time waits for a word; without one it ends.
ONCE = (r"""
exec 3>&$qmap_err {qmap_err}>&-
qmap_err=3 qmap_refused=75 qmap_chunk=
qmap_leaves() { return 1; }
qmap_is_cancelled() { return 1; }
qmap_next_chunk() {
    [ -z "$qmap_chunk" ] || return
    qmap_chunk=$qmap_k
    qmap_read_chunk $qmap_k || return
    qmap_claim || { qmap_refused=$? qmap_count=0; return 1; }
    qmap_look_on
    return 0
}
qmap_await_list || qmap_refused=$? qmap_chunk=none
[ -z "$QMAP_WAIT" ] || { read -r qmap_line && unset QMAP_WAIT; } || exit 75
""", r"""
[ -z "$qmap_sampler" ] || kill -KILL $qmap_sampler
if [ -z "$qmap_status" ]; then
    # Nothing is left to be done, and for any other status a site may have its scheduler run this again.
    [ $qmap_refused != 75 ] || [ -z "$qmap_id" ] || exit 0
    exit $qmap_refused
fi
for qmap_told in $qmap_status 1 2 3 0; do qmap_repeats $qmap_told || exit $qmap_told; done
""")

#: What a script says that is not the same in a subshell as in a bash of its own: its own process, where it
#: stands, functions of the environment that change it, the variables of the runner.
OWN_SHELL = re.compile(r"""\$\$|\$\{\$|\$!|\$\{!|\$0|\$\{0|\$-|PPID|BASH|FUNCNAME|SHLVL|
    \b(?:set|return|caller|exit|exec)\b|
    \b(?:source|module|ml|conda|mamba|micromamba|enable|builtin|jobs|compgen|trap|declare|typeset|shopt|suspend)\b|
    \b(?:history|eval)\b|qmap_|
    (?:^|[\s;&|({`])\.\s|\b(?:kill|wait|disown|fg|bg)\b[^\n;|&]*%""", re.VERBOSE | re.MULTILINE)


#: Seconds for which a worker waits for another list, and after which the first asks how long it may go on.
WORKER_WAIT, WORKER_ASKS = 15, 60

#: How a worker (`qmap submit --pull`) finds the jobs that it runs, and how it ends: it claims chunk after
#: chunk of the list of its batch, and of those that follow for its crew, until none is left, its own time is
#: nearly over, or somebody wants it to leave. @WAIT@ stands for the seconds for which it waits for another
#: list, @ASKS@ for those after which it asks the scheduler how long it may go on.
PULL = (r"""
qmap_crew=$qmap_number qmap_look=0 qmap_fresh=yes qmap_tried=0 qmap_turn=()
qmap_good= qmap_bad=0 qmap_judged=0
qmap_worker=",\"crew\":$qmap_crew,\"k\":$qmap_k" qmap_cancels=$qmap_run/cancel.$qmap_crew.$qmap_k
exec 3>&$qmap_err {qmap_err}>&-
qmap_err=3
# Each worker may have to ask the scheduler: not all at once, and those that soon have no job left do not.
qmap_time_due=$((qmap_since + @ASKS@ + qmap_k % 30))
qmap_learn_time
qmap_runs() {  # whether a job is the one that has said last that it begins, in these words of its chunk
    local lines=()
    mapfile -t lines <"$qmap_run/$2.start"
    [[ "${lines[*]: -1}" = "s $1 "* ]]
}
qmap_watch() {  # beside the worker: end the job at hand if that is cancelled
    # (The worker itself gets no signal for it: its bash could lose the status of a job that ends at the same moment.)
    local key first line pid
    local -A told=()
    exec 3>&- 4>&- 6>&- 7>&- {qmap_tick}<> <(:)
    while read -t 5 -u $qmap_tick; kill -0 $$; do
        [ ! -e "$qmap_cancels" ] || while read -r key first; do
            for line in /proc/[0-9]*/stat; do
                pid=${line//[^0-9]/}
                read -r line <"/proc/$pid/stat" || continue
                line=(${line##*) })
                # A child of the worker in a process group of its own is the job that has not said its end.
                [ "${line[1]}/${line[2]}" = "$$/$pid" ] && qmap_runs $key $first || continue
                if [ $((told[$key]++)) -lt 2 ]; then kill -TERM -- -$pid; else kill -KILL -- -$pid; fi
            done
        done <"$qmap_cancels"
    done
}
qmap_is_cancelled() {  # the job at hand, which has not begun
    local key first
    [ -e "$qmap_cancels" ] || return
    while read -r key first; do [ "$key" != $qmap_key ] || return 0; done <"$qmap_cancels"
    return 1
}
qmap_hesitate() {  # while all jobs have failed here: a node that is bad may eat the map before it is left out
    [ $qmap_judged != $qmap_serial ] || return
    qmap_judged=$qmap_serial
    if [ "$qmap_status" = 0 ]; then
        qmap_good=yes
    elif [ $((++qmap_bad)) -ge 3 ] && [ $qmap_bad -le 8 ]; then
        sleep 5
        qmap_look=0
    fi
}
qmap_leaves() {  # whether to begin no other job, for which qmap_over says why
    local limit need
    [ -n "$qmap_good" ] || qmap_hesitate
    qmap_now
    if [ ${qmap_time%.*} -ge $qmap_look ]; then
        qmap_look=$((${qmap_time%.*} + 5))
        if [ -n "$qmap_time_due" ] && [ ${qmap_time%.*} -ge $qmap_time_due ]; then
            qmap_time_due=
            qmap_learn_time ask
        fi
        ! read -r limit <"$qmap_run/home.$qmap_crew" || [ "$qmap_k" -le "$limit" ] || qmap_over='sent home'
        ! read -r limit <"$qmap_logs/.qmap/excluded" || [[ " $limit " != *" $qmap_host "* ]] ||
            qmap_over='its host is left out'
    fi
    need=$((qmap_limit > 0 ? qmap_limit : qmap_longest + qmap_longest / 10))
    # A job that is to be told earlier than that would be told at once.
    [[ -z $qmap_signals || $qmap_limit != 0 ]] || ((need += ${qmap_signals#*@}))
    [ $qmap_within = 0 ] || [ $qmap_longest = 0 ] ||
        [ $((qmap_since + qmap_within - ${qmap_time%.*})) -ge $((need + 5)) ] ||
        qmap_over='its time is nearly over'
    [ -n "$qmap_over" ]
}
qmap_plan() {  # which chunks to try next: its own part of the list, then what others have left; 1 for none
    local chunk key rest=() heads=(${qmap_head[2]})
    local -A taken=()
    qmap_turn=() qmap_tried=0
    if [ -n "$qmap_fresh" ]; then
        qmap_fresh=
        for ((chunk = qmap_k; chunk <= ${#heads[@]}; chunk += qmap_workers)); do qmap_turn+=($chunk); done
        [ ${#qmap_turn[@]} = 0 ] || return 0
    fi
    for key in "$qmap_run"/*.start; do key=${key##*/}; taken[${key%.start}]=yes; done
    for ((chunk = 1; chunk <= ${#heads[@]}; chunk++)); do
        [ -n "${taken[${heads[chunk - 1]}]}" ] || rest+=($chunk)
    done
    chunk=$(((qmap_k - 1) * ${#rest[@]} / qmap_workers))    # not all at the same place
    qmap_turn=(${rest[@]:chunk} ${rest[@]:0:chunk})
    [ ${#qmap_turn[@]} -gt 0 ]
}
qmap_more() {  # the next list for this crew, 1 where none comes
    local try name number line next
    [[ ${qmap_head[0]} != *' last' ]] || return 1
    for ((try = 0; try < @WAIT@; try++)); do
        next=
        for name in "$qmap_logs"/.qmap/batch/*.list; do
            number=${name##*/} number=${number%.list}
            [[ $number =~ ^[0-9]+$ && $number -gt $qmap_number && ( -z $next || $number -lt $next ) ]] || continue
            read -r line <"$name" && [[ "$line " = "# crew $qmap_crew "* ]] && next=$number
        done
        if [ -n "$next" ] && qmap_read "$qmap_logs/.qmap/batch/$next.list"; then
            qmap_number=$next qmap_batch=$qmap_logs/.qmap/batch/$next.list qmap_fresh=yes
            qmap_turn=() qmap_tried=0
            return 0
        fi
        [ -z "$qmap_over$qmap_signal" ] || return 1
        sleep 1
    done
    return 1
}
qmap_next_chunk() {
    while [ -z "$qmap_over$qmap_signal" ]; do
        qmap_count=0
        if ! qmap_is_open; then
            qmap_more || return
        elif [ $qmap_tried -ge ${#qmap_turn[@]} ]; then
            qmap_plan || qmap_more || return
        else
            qmap_read_chunk ${qmap_turn[qmap_tried++]} || continue
            ! qmap_leaves || break
            qmap_claim
            case $? in 0) return 0 ;; 74) qmap_over='cannot write' ;; esac
        fi
    done
    qmap_count=0
    return 1
}
# Neither this nor what watches over a job's time is a child of the worker, which has one at a time: where bash has lost
# the status of one, it would wait for the other.
qmap_watcher=$(qmap_watch >/dev/null & echo $!)
qmap_look_on
qmap_await_list
if [ $? = 74 ]; then
    kill -KILL $qmap_watcher
    exit 74
fi
""", r"""
if [[ ${qmap_head[0]} != *' last' ]] || qmap_is_open; then    # else nobody waits for this word
    printf '{"why":"%s","signal":"%s"}\n' "${qmap_over:-no job is left}" "$qmap_signal" \
        >"$qmap_run/left.$qmap_crew.$qmap_k"
fi
kill -KILL $qmap_watcher $qmap_sampler
exit 0
""")


def batch_script(logs, batch, made, backend, subshells=False, requeues=(), workers=0, within=0):
    """Return the script that is submitted for a batch.

    Args:
        logs: Logs
        batch: its number
        made: when this is, in seconds since 1970
        backend: Backend
        subshells: whether some of its jobs may run in subshells
        requeues: the exit statuses for which the scheduler runs a task again, or holds it
        workers: how many take chunks from its list; 0 where each task runs the chunk with its index
        within: the seconds that were asked for, 0 for any time; for workers
    """
    begin, end = PULL if workers else ONCE
    begin = LEARN_TIME + begin.lstrip('\n')
    for name, value in (('WAIT', WORKER_WAIT), ('ASKS', WORKER_ASKS), ('REMAINING', backend.remaining)):
        begin = begin.replace('@{}@'.format(name), str(value).lstrip('\n'))
    return ''.join([
        '#!/bin/bash\n# Runs jobs of QMap, those of {}.list.\n'.format(batch), AS_TEXT if subshells else '',
        RUNNER.lstrip('\n'), 'qmap_k=${{{}:-1}}\n'.format(backend.task_variable),
        '[ "$qmap_k" -gt 0 ] 2>/dev/null || qmap_k=1\n',
        'qmap_requeues={}\nqmap_workers={} qmap_within={}\n'.format(
            shlex.quote(' '.join(map(str, requeues))), workers, within),
        'qmap_begin {} {} {} "${}"\n'.format(shlex.quote(logs.path), batch, int(made), backend.id_variable),
        begin.lstrip('\n'), LOOP.lstrip('\n'), end.lstrip('\n')])


def job_list(crew, last, sizes, jobs):
    """Return the text of the list of a batch.

    Args:
        crew: number of the batch whose workers it is for, 0 for none
        last: whether no list will follow for them
        sizes: list of pairs: how many jobs are in a chunk, and how many such chunks follow
        jobs: list of (task, path, limits, JobScript): '<id>.<attempt>', marked with = where a subshell will
            do; the path of the job's files in the logs folder without suffix; the seconds that it may run, 0
            for as long as what runs it, and behind blanks, where it has a folder for its state, @ and its
            parameter `signal`, and for each file that it has to make > and `in_one_word` of its path
    """
    whose = 'crew {}{}'.format(crew, ' last' if last else '') if crew else 'jobs'
    common, heads, place = jobs[0][-1], [], 0    # jobs of a batch have the same parameters
    for size, many in sizes if crew else ():
        heads += [task.lstrip('=') for task, *_ in jobs[place:place + size * many:size]]
        place += size * many
    lines = ['# ' + whose, ' '.join('{}x{}'.format(*pair) for pair in sizes), ' '.join(heads),
             in_one_line(common.setup), in_one_line(common.end)]
    for task, path, limits, script in jobs:
        lines.append('{} {} {}'.format(task, path, limits))
        lines += [in_one_line(script.own), in_one_line(script.commands)]
    return '\n'.join(lines + ['# end', ''])


def in_one_word(path):
    """Return a path as printf has it for %b (bash(1)), in characters that mean nothing to bash."""
    return re.sub(rb'[^\w./-]', lambda byte: b'\\0%03o' % ord(byte.group()), encode(path)).decode()


def in_one_line(text):
    """Return a text as printf has it for %b (bash(1)), in one line."""
    return text.replace('\\', '\\\\').replace('\n', '\\n')


#: Variables that change how bash itself, or a runner, works. They are for the job alone: until that begins
#: they go by the name of KEPT and a number.
SHELL_VARIABLES = ('BASH_ENV', 'ENV', 'SHELLOPTS', 'BASHOPTS', 'POSIXLY_CORRECT', 'BASH_COMPAT', 'BASH_XTRACEFD',
                   'EPOCHREALTIME', 'EXECIGNORE', 'FUNCNEST', 'GLOBIGNORE', 'TMOUT')
KEPT = 'QMAP_KEPT_'

#: Begins the names of variables that hold what the user has set of those that only a submission is to have
#: otherwise; empty where nothing is set. A runner sets it again.
OUTER = 'QMAP_OUTER_'

#: A function that bash finds in its environment under a name of what is its own (compgen -b; SHELL BUILTIN
#: COMMANDS in bash(1)): BASH_FUNC_cd%% or, before release 4.4, BASH_FUNC_cd().
SHELL_FUNCTION = re.compile(r'''BASH_FUNC_(?:[.:[]|alias|bg|bind|break|builtin|caller|cd|command|compgen|complete|
    compopt|continue|declare|dirs|disown|echo|enable|env|eval|exec|exit|export|false|fc|fg|getopts|hash|help|history|
    jobs|kill|let|local|logout|mapfile|popd|printf|pushd|pwd|read|readarray|readonly|return|set|shift|shopt|sleep|source|suspend|
    test|times|trap|true|type|typeset|ulimit|umask|unalias|unset|wait)(?:%%|\(\))\Z''', re.VERBOSE)


def job_environment():
    """Return the environment for a runner: as it was when this process began, with what would change the
    runner itself kept aside for its jobs, and without what a surrounding job of QMap says of itself."""
    environ = outer_environment()
    environ.pop('BASH_FUNC_builtin%%', None)    # scripts of jobs need the true one, to tell it from other functions
    own = set(OWN_VARIABLES) | {'QMAP_' + key.upper() for key in PARAMETERS}
    environ = {name: value for name, value in environ.items()
               if name not in own and not name.startswith((KEPT, OUTER))}
    for number, name in enumerate(sorted(filter(changes_shells, environ))):
        environ['{}{}'.format(KEPT, number)] = '{}={}'.format(name, environ.pop(name))
    return environ


def changes_shells(name):
    """Tell whether a variable changes how bash itself works."""
    return name in SHELL_VARIABLES or SHELL_FUNCTION.match(name) is not None


def outer_environment():
    """Return the environment as this process was started with it: Python sets LC_CTYPE for itself where the
    locale is C (PEP 538)."""
    environ = dict(os.environ)
    if environ.get('LC_CTYPE') in ('C.UTF-8', 'C.utf8', 'UTF-8'):
        try:
            with open('/proc/self/environ', 'rb') as source:    # proc(5)
                first = dict(entry.partition(b'=')[::2] for entry in source.read().split(b'\0'))
        except OSError:
            return environ
        del environ['LC_CTYPE']
        if b'LC_CTYPE' in first:
            environ['LC_CTYPE'] = os.fsdecode(first[b'LC_CTYPE'])
    return environ


#: What a job's script and its runner say in variables, beside the parameters.
OWN_VARIABLES = ('QMAP_JOB', 'QMAP_ATTEMPT', 'QMAP_LOGS', 'QMAP_LINE', 'QMAP_STATE', 'QMAP_STATUS',
                 'QMAP_DONE', 'QMAP_TASK', 'QMAP_WAIT', 'QMAP_SCRIPT')


def exported_variables(params):
    """Return the variables that tell a command its parameters. QMAP_CORES is never 0: many programs take
    that for all cores."""
    found = collections.OrderedDict([('QMAP_CORES', '1')])
    found.update(('QMAP_' + key.upper(), write_parameter(key, value)) for key, value in params.items()
                 if (key, value) != ('cores', 0))
    return found


#: The script of an attempt, in four parts of its text: what it sets that other jobs of the map have not, or
#: otherwise; what is set for all of them, and [pre]; its commands; what runs them, where that is not clear by
#: itself, and [post].
JobScript = collections.namedtuple('JobScript', 'own setup commands end')


def keeps_state(texts, sections, params):
    """Tell whether a job has a folder for what it saves between its attempts: where a command or a section
    names it, or where it is told before its time is over, or may run again.

    Args:
        texts: of its commands
        sections: of the map
        params: the job's parameters
    """
    named = any('QMAP_STATE' in text for lines in (texts, *sections.values()) for text in lines)
    return named or 'signal' in params or bool(params.get('again'))


def state_lines(path):
    """Return the lines of bash that make the folder for what a job saves between its attempts."""
    return export_lines(QMAP_STATE=path) + ['builtin [ -d "$QMAP_STATE" ] || mkdir -p -- "$QMAP_STATE"']


def forewarning_lines(params):
    """Return the lines of bash by which a job's own shell survives what tells its command that the time is
    nearly over."""
    return ['trap : {}'.format(params['signal'].partition('@')[0])] if 'signal' in params else []


def job_script(id, attempt, indices, map, group, params, logs, before=0, state=''):
    """Return the JobScript of an attempt of a job.

    Args:
        id: of the job
        attempt: its number
        indices: of its commands in the map
        map: Map
        group: commands in a job
        params: the job's parameters
        logs: Logs
        before: how many of the commands have ended well in earlier attempts, and are left out
        state: path of the folder for what it saves, where that is not beside the others of its map
    """
    export, sections = exported_variables(params), map.sections
    cores, line_ids = export['QMAP_CORES'], [map.line_id(index) for index in indices]
    texts = [map.command(index)[0].replace('${QMAP_LINE}', line_id).replace('${QMAP_CORES}', cores)
             for index, line_id in zip(indices, line_ids)]
    saves, first = keeps_state(texts, sections, params), line_ids[0]
    paths = ['QMAP_' + key.upper() for key in PATHS if key in params]
    export.update((name, export[name].replace('${QMAP_LINE}', first)) for name in paths)
    if group > 1:
        texts = [paths_line(path_texts(map, group, index, params), export) + text
                 for index, text in zip(indices, texts)]
    line_ids, texts = line_ids[before:], texts[before:]
    lines = ['#!/bin/bash', '# Job {} of {}'.format(id, repr(logs.path))]
    lines += export_lines(QMAP_JOB=id, QMAP_ATTEMPT=str(attempt), QMAP_LINE=(line_ids or [first])[0])
    names = {'QMAP_' + name.upper() for name in map.names}.union(paths)
    lines += export_lines(**{key: export.pop(key) for key in list(export) if key in names})
    if saves:
        lines += state_lines(state or logs.job(id, '.state', len(map)))
    own = as_lines(lines + forewarning_lines(params))
    lines = export_lines(QMAP_LOGS=logs.path, **export)
    lines.append('builtin cd -- "$QMAP_WORKING_DIRECTORY" || builtin exit')
    if group == 1 and not sections['post']:
        return JobScript(own, as_lines(lines + pre_lines(sections['pre']) + ['']), as_lines(texts), '')
    setup = as_lines(lines + ['QMAP_TOLD=', GUARD] + pre_lines(sections['pre']) + [''])
    lines = ['QMAP_IDS=({})'.format(' '.join(line_ids)), 'QMAP_COMMANDS=(']
    lines += [shlex.quote(text) for text in texts] + [')']
    return JobScript(own, setup, as_lines(lines), as_lines([COMMANDS_LOOP] + post_lines(sections['post']) + [
        'builtin exit $QMAP_STATUS']))


def paths_line(texts, export):
    """Return what stands before a command that shares a job with others, where it names other paths than the
    job: bash that tells them.

    Args:
        texts: dict as from `path_texts`
        export: dict of the variables of the job
    """
    variables = collections.OrderedDict(('QMAP_' + key.upper(), text) for key, text in texts.items())
    return ''.join(line + '; ' for line in export_lines(**{
        name: text for name, text in variables.items() if export.get(name) != text}))


def pre_lines(section):
    """Return the lines of bash that run [pre]."""
    if not section:
        return []
    # One that sets a trap for errors of its own keeps it.
    own = any(re.search(r'\bERR\b', line) for line in section)
    return ['', '# [pre]: the first of these that fails ends the job', CHECK, eval_line(section),
            '[[ $(trap -p ERR) != *"qmap: [pre] failed"* ]] || trap - ERR' if own else 'trap - ERR']


def post_lines(section):
    """Return the lines of bash that run [post]."""
    if not section:
        return []
    return ['', '# [post]', 'export QMAP_STATUS', '(', '[[ $QMAP_SET != *e* ]] || set -e',
            eval_line(section), ')', 'QMAP_POST=$?', '[[ $QMAP_STATUS != 0 ]] || QMAP_STATUS=$QMAP_POST']


def export_lines(**variables):
    """Return the lines of bash that set variables."""
    return ['export {}={}'.format(key, shlex.quote(value)) for key, value in variables.items()]


def as_lines(lines):
    """Return lines as a text."""
    return ''.join(line + '\n' for line in lines)


def whole_script(text):
    """Return a script so that it can be piped into bash, too: with a line that has bash read all of it first,
    because a command that reads its standard input would read the rest of the script."""
    known = '${BASH_SOURCE-}${BASH_EXECUTION_STRING-}'
    line = '[ -n "{}" ] || exec "$BASH" <(exec cat) </dev/null    # from a pipe'.format(known)
    return text.replace('\n', '\n{}\n'.format(line), 1)


def eval_line(lines):
    """Return a line of bash that runs lines of a map by themselves: what is open in them stays there."""
    return 'builtin eval {}'.format(shlex.quote('\n'.join(lines)))


#: Ends a job at the first line of [pre] that fails, and says which. A failure within a file that it sources
#: is none: there the script has a file below it in BASH_SOURCE, or the first one with bash -c.
CHECK = r"""
trap 'QMAP_STATUS=$?; [[ -n ${BASH_SOURCE[${BASH_EXECUTION_STRING:+1}0 ? 0 : 1]-} ]] || {
    builtin echo "qmap: [pre] failed with exit status $QMAP_STATUS: ${BASH_COMMAND:0:200}" >&2
    builtin exit $QMAP_STATUS
}' ERR
""".strip('\n')

#: A job with several commands or a [post] goes on when it is told to end: no command is begun, but [post] is.
#: A signal that only warns is for the command.
GUARD = r"""
trap 'QMAP_TOLD=143' TERM; trap 'QMAP_TOLD=130' INT; trap 'QMAP_TOLD=129' HUP; trap 'QMAP_TOLD=140' USR2
trap : USR1 QUIT ALRM XCPU
""".strip('\n')

#: Runs each command in a shell of its own, with the options that [pre] has set, until one fails.
COMMANDS_LOOP = r"""
QMAP_SET=$- QMAP_STATUS=0
set +e
for QMAP_I in "${!QMAP_COMMANDS[@]}"; do
    QMAP_STATUS=${QMAP_TOLD:-0}
    [[ $QMAP_STATUS = 0 ]] || break
    (
        export QMAP_LINE="${QMAP_IDS[QMAP_I]}"
        [[ -z ${QMAP_SIGNAL-} ]] || trap : "${QMAP_SIGNAL%@*}"
        [[ $QMAP_SET != *e* ]] || set -e
        builtin eval "${QMAP_COMMANDS[QMAP_I]}"
    )
    QMAP_STATUS=$?
    [[ $QMAP_STATUS = 0 ]] || break
    [[ -n $QMAP_TOLD || -z ${QMAP_DONE:-} ]] || builtin echo "${QMAP_IDS[QMAP_I]}" >>"$QMAP_DONE"
done
""".strip('\n')


##############################################################################################################
# Schedulers: what the driver asks of each, and how Slurm, Grid Engine and LSF are told it
##############################################################################################################

#: Seconds that a scheduler's command may take before its silence counts as no answer.
TIMEOUT = 60

#: Why a scheduler ended a task that it could not start: what the job itself asks for, such as a directory
#: that is missing. Of a job it becomes the reason exit.
UNSTARTABLE = 'unstartable'

#: Different texts of a scheduler that are noted because nobody knows them, and characters of each, at most.
UNKNOWN_TEXTS, UNKNOWN_SIZE = 20, 1000

#: Ids on one command line at the most: well below any limit on its length.
IDS_AT_ONCE = 500

#: Variables that a surrounding job leaves, by how their names begin. sbatch(1) and srun(1), OUTPUT
#: ENVIRONMENT VARIABLES; those that srun reads as the user's wish, or that lead to the cluster, no job sets.
#: qsub(1), ENVIRONMENTAL VARIABLES.
LEFT_BY_A_JOB = re.compile(
    r'SLURM_(?!(?:CONF|CONF_SERVER|CLUSTERS|JWT|SACK_\w+'
    r'|ACCOUNT|CONSTRAINT|PARTITION|QOS|RESERVATION|TIMELIMIT|WCKEY)$)'
    r'|SBATCH_(?:CPU|MEM)_BIND|SRUN_|SGE_TASK_|PE_HOSTFILE|PMIX?_')

#: Those that a job of LSF leaves: some fifty ("Environment variables set for job execution", IBM Spectrum LSF
#: 10.1.0). Outside of a job, variables of these names are the user's: esub of a site reads such.
LEFT_BY_LSF = re.compile('LSB_(?!DEFAULT)|LS_(?!COLORS$)')

#: Variables that change what a command prints, or what becomes of a submission. squeue(1), sacct(1),
#: sinfo(1), scancel(1), sbatch(1), ENVIRONMENT VARIABLES; "Environment variable reference", IBM Spectrum LSF
#: 10.1.0.
CHANGES_COMMANDS = re.compile(
    'SQUEUE_|SACCT_|SINFO_|SCANCEL_|SCONTROL_|SBATCH_(?:ARRAY_INX|CLUSTERS|DEBUG|ERROR|INPUT|REQUEUE|WAIT)$'
    '|BSUB_|LSB_(?:BHIST|BHOSTS|BJOBS|HMS|JOBID_DISP)_')


class Answer:
    """What a scheduler's command said.

    Attributes:
        code: exit status, or None where the command could not be started or did not end in time
        out: its standard output, as text
        err: its standard error, as text, or why there was no answer
    """

    def __init__(self, code, out='', err=''):
        self.code = code
        self.out = out
        self.err = err

    def message(self):
        """Return what a person should read of it: the last line of stderr that says something, or of
        stdout."""
        lines = [line.strip() for line in (self.err.strip() or self.out.strip()).splitlines() if line.strip()]
        return lines[-1] if lines else 'exit status {}, no message'.format(self.code)

    def whole(self):
        """Return all that it said, as one text."""
        return '{}\n{}'.format(self.err, self.out)

    def unstarted(self):
        """Tell whether the command was never started: it is missing, or the system refused to run it."""
        return self.code is None and 'no answer within' not in self.err


def clean_environment(environ=None):
    """Return a copy of the environment for a scheduler's command: what the user says in variables counts
    (such as SBATCH_PARTITION, or LSB_DEFAULT_USERGROUP), and what a surrounding job left there does not.

    Args:
        environ: mapping of variables; the process's own by default
    """
    environ = os.environ if environ is None else environ
    dropped = [LEFT_BY_A_JOB, CHANGES_COMMANDS] + [LEFT_BY_LSF] * ('LSB_JOBID' in environ)
    found = {key: value for key, value in environ.items() if not any(names.match(key) for names in dropped)}
    if 'SBATCH_CLUSTERS' in environ:
        # Only sbatch reads it, and all questions have to go there too.
        found['SLURM_CLUSTERS'] = environ['SBATCH_CLUSTERS']
    return found


def call_scheduler(argv, stdin=None, timeout=None, **variables):
    """Run a scheduler's command and return its `Answer`. The one door to external commands.

    Args:
        argv: list of words; no shell is involved
        stdin: path of a file to be its standard input; closed otherwise
        timeout: seconds, after which it is killed and counts as silent; what it said until then is kept
        variables: set in its environment, beside LC_ALL=C; None takes one out. A submission has to hand over
            the LC_ALL of the user, since its environment becomes that of the job
    """
    import subprocess
    environ = clean_environment(job_environment())
    environ.update(dict({'LC_ALL': 'C'}, **variables))
    environ = {key: value for key, value in environ.items() if value is not None}
    timeout = timeout or TIMEOUT
    try:
        with open(stdin or os.devnull, 'rb') as source:
            child = subprocess.Popen(argv, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     env=environ, start_new_session=True)
    except OSError as error:
        return Answer(None, '', '{}: {}'.format(argv[0], error.strerror or error))
    try:
        out, err = child.communicate(timeout=timeout)
        code, late = child.returncode, ''
    except subprocess.TimeoutExpired:
        # With all its session: a site's wrapper would leave the real command behind, which may submit after
        # all.
        os.killpg(child.pid, signal.SIGKILL)
        code, late = None, '{}: no answer within {:g} s'.format(argv[0], timeout)
        try:
            out, err = child.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            out = err = b''
    out, err = out.decode('utf-8', 'replace'), err.decode('utf-8', 'replace')
    return Answer(code, out, '\n'.join(part for part in (err, late) if part))


def fold_lines(lines, between=' '):
    """Return lines as one, with a text between them; each that is there several times, once."""
    return between.join(collections.OrderedDict.fromkeys(lines))


def portions(items, size=IDS_AT_ONCE):
    """Yield the items in lists of at most `size`."""
    items = list(items)
    for start in range(0, len(items), size):
        yield items[start:start + size]


def write_ranges(indices):
    """Return whole numbers as a scheduler writes them: [1, 2, 3, 7] -> '1-3,7'."""
    return ','.join('{}'.format(first) if first == last else '{}-{}'.format(first, last)
                    for first, last in as_spans(sorted(indices)))


def read_ranges(text):
    """Return the list of whole numbers that '1-3,7' or '1-10:3' stands for; the opposite of `write_ranges`.

    Raises:
        ValueError: the text is something else
    """
    found = []
    for part in text.split(','):
        span, _, step = part.partition(':')
        first, _, last = span.partition('-')
        found.extend(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


def group_tasks(tasks, counts):
    """Return tasks by submission, for schedulers that name a whole one by its id alone.

    Args:
        tasks: list of tasks
        counts: {id: number of tasks of that submission}

    Returns:
        list of (id, set of indices); None in place of the indices for a whole submission
    """
    found = collections.OrderedDict()
    for number, index in tasks:
        found.setdefault(number, set()).add(index)
    return [(number, None if 0 in indices or len(indices) == counts.get(number) else indices)
            for number, indices in found.items()]


def divide_up(amount, parts):
    """Return a part of an amount, as the next larger whole number."""
    return int(-(-amount // (parts or 1)))


class ExtraRules:
    """What the parameter `extra` must not hold: options that take a submission out of the driver's hands, and
    words that belong to no option. A submission command takes the first of these for the script to run.
    """

    def __init__(self, refused, flags, values=None, bundled=False):
        """
        Args:
            refused: {names of options, separated by spaces: what to do instead}; a name with '=' and a
                pattern is meant only with such a value
            flags: names of the options without a value, separated by spaces
            values: {name of an option: how many values may follow it}, where it is more than one
            bundled: whether a letter may be followed by its value, or by other letters: -n4, -HQ
        """
        self._refused = {name: hint for names, hint in refused.items() for name in names.split()}
        self._flags, self._values, self._bundled = set(flags.split()), values or {}, bundled

    def fault(self, text):
        """Return why `extra` cannot be taken, '' where it can."""
        try:
            words = shlex.split(text)
        except ValueError as error:
            return 'extra: {}'.format(error)
        values = 0    # that the option before may still have
        for word, following in itertools.zip_longest(words, words[1:], fillvalue=''):
            if re.match(r'-\D', word) and word != '--':
                hint, values = self._read_option(word, following)
                if hint:
                    return 'extra: {}: {}'.format(word, hint)
            elif values:
                values -= 1
            else:
                return 'extra: {}: belongs to no option; put quotes around a value with spaces'.format(word)
        return ''

    def _read_option(self, word, following):
        """Return (what to do instead of an option, '' where it may stand; how many values may follow it).

        Args:
            word: the option
            following: the next word, '' for none
        """
        name, mark, value = word.partition('=')
        names = [name]
        if self._bundled and not name.startswith('--'):
            letters = re.match('(?s)-((?:[{}])*)(.?)(.*)'.format(''.join(
                flag[1] for flag in self._flags if len(flag) == 2)), word)
            names = ['-' + letter for letter in letters.group(1) + letters.group(2)]
            name, mark = names[-1], letters.group(3)
        elif self._bundled and len(name) > 4:    # a long name may be cut, where only one begins so
            names += [known for known in self._refused if known.startswith(name)]
        value = value if mark else following
        for known, hint in self._refused.items():
            known, _, pattern = known.partition('=')
            if known in names and re.match(pattern, value):
                return hint, 0
        return '', 0 if mark or name in self._flags else self._values.get(name, 1)


#: What programs say that could not get memory: Python, C++, the C library, Java, R.
NO_MEMORY = (r'\bMemoryError\b|\bbad_alloc\b|Cannot allocate memory|Could not reserve enough space'
             r'|Native memory allocation|java\.lang\.OutOfMemoryError|cannot allocate vector of size')


class JobLimits:
    """How a scheduler limits the time and memory of jobs, and what tells that it did: a part of `Backend`."""

    #: Bash with which a runner learns how long the scheduler lets it go on: it leaves the seconds since its
    #: start (qmap_since; now is qmap_time) in qmap_remaining, which is empty before, or nothing. It may ask
    #: the scheduler only if its first argument is `ask`.
    remaining = ''
    #: The seconds of which a time limit is a multiple, and the signals that are sent for nothing else.
    time_step = 60
    limit_signals: 'typing.Tuple[str, ...]' = ()
    #: How a line in a job's stderr begins that says that a step had too little memory; what is said of other
    #: jobs that could not get it.
    STEP_NOTE, memory_hint = '', 'probably out of memory'

    def lack_of_memory(self, text, error):
        """Return what changes in the last event of a job that failed by itself, where its stderr says that it
        had too little memory; {} where it does not.

        Args:
            text, error: the end of its stderr, and the last line of that
        """
        match = self.STEP_NOTE and re.search('^(?:{}).*'.format(self.STEP_NOTE), text, re.MULTILINE)
        if match:
            return {'error_reason': 'memory', 'error': match.group().strip()}
        is_short = any(re.search(NO_MEMORY, line) for line in text.splitlines()[-5:])
        return {'error': '{} ({})'.format(error, self.memory_hint)} if is_short and self.memory_hint else {}


class KnownWords:
    """What a scheduler's words mean, and those that QMap does not know: a part of `Backend`.

    Attributes:
        unknown: list of what the scheduler has said and QMap does not know, for people
    """

    #: What the last words of a submission that failed mean: (outcome, pattern), the first that fits.
    #: 'silent': it may have been taken; 'busy': it was not, and may be later; 'refused': it never will be.
    #: All other words are unclear.
    FAILURES: 'typing.Tuple[typing.Tuple[str, str], ...]' = ()

    def __init__(self):
        self.unknown = []

    @classmethod
    def classify_failure(cls, verdict):
        """Return the outcome of a submission that failed: silent, busy, refused, or unclear.

        Args:
            verdict: the scheduler's own last words, without what a site or a plugin says before them
        """
        return next((outcome for outcome, pattern in cls.FAILURES if re.search(pattern, verdict)), 'unclear')

    def note_unknown(self, what, text):
        """Note what the scheduler says and QMap does not know: `Asker` writes it to execution.log, once.

        Args:
            what: kind of it, such as 'state'
            text: as the scheduler writes it
        """
        line = '{}: {}'.format(what, re.sub('[^ -~]+', ' ', text.strip())[:UNKNOWN_SIZE])
        if line in self.unknown or len(self.unknown) == UNKNOWN_TEXTS:
            return
        if NUMBERS.sub('#', line) not in [NUMBERS.sub('#', other) for other in self.unknown]:
            self.unknown.append(line)

    def note_answer(self, answer):
        """Note the `Answer` of a command that failed, if its words are not known."""
        if answer.code and self.classify_failure(answer.whole()) == 'unclear':
            self.note_unknown('answer', answer.whole())

    def note_submission(self, outcome, answer):
        """Note the `Answer` to a submission of which nobody knows what came of it, for its words."""
        has_no_id = outcome == 'silent' and answer.code == 0
        if outcome == 'unclear' or has_no_id:
            self.note_unknown('answer to a submission', answer.whole())


class JobRequests:
    """How what jobs ask for is said to a scheduler, beside what each says in its own way: a part of
    `Backend`."""

    title, starts_jobs, settings = '', False, {}    # see `Backend`
    #: Parameters that are one option each: {parameter: (option, {} in it being the value; the option in
    #: `extra` that takes its place, None where the last one counts, or several add up)}.
    options: 'typing.Dict[str, typing.Tuple[str, typing.Optional[str]]]' = {}
    #: Parameters that it has nothing for, and what to do: {parameter: sentence}.
    lacks: 'typing.Dict[str, str]' = {}
    #: ExtraRules, None where `extra` means nothing.
    extra_rules: 'typing.Optional[ExtraRules]' = None
    #: How an option of `extra` begins that names a queue (a pattern); '' where there are no queues.
    queue_option = ''
    _queue_rules: 'typing.Optional[QueueRules]' = None    # as soon as somebody has asked

    def extra_fault(self, params):
        """Return why the `extra` of params cannot be taken, '' where it can."""
        return self.extra_rules.fault(params.get('extra') or '') if self.extra_rules else ''

    @classmethod
    def option_words(cls, params, extra):
        """Return the words for the parameters in `options`; `extra` is a list of words."""
        return [word.format(params[key]) for key, (option, same) in cls.options.items()
                if params.get(key) and same not in extra for word in option.split()]

    def request_warnings(self, params, where=''):
        """Return the sentences about what params ask for and jobs do not get like that; `where` begins each.
        """
        found = []
        if params.get('cores') == 0 and not self.starts_jobs:
            found.append('cores = 0: taken as 1, the least that a scheduler gives a job')
        found += ['{} = {}: {} has none, nothing is requested; {}'.format(key, params[key], self.title, hint)
                  for key, hint in self.lacks.items() if params.get(key)]
        return [where + text for text in found]

    def requested(self, params):
        """Return params with the `extra` of the profile before that of the map or the job, and with the queue
        that the rules of the profile choose, where nothing else says which."""
        if self.settings.get('extra'):
            own = params.get('extra', '')
            params = dict(params, extra='{} {}'.format(self.settings['extra'], own).strip())
        queue = self.queue_rules().choose(params) if self._wants_queue(params) else ''
        return dict(params, queue=queue) if queue else params

    def _wants_queue(self, params):
        """Tell whether the rules of the profile are to choose the queue."""
        if not self.queue_rules() or not self.queue_option or params.get('queue'):
            return False
        return not re.search(r'(^|\s)({})'.format(self.queue_option), params.get('extra') or '')

    def queue_rules(self):
        """Return the QueueRules of the profile."""
        if self._queue_rules is None:
            self._queue_rules = QueueRules(self.settings.get('[queues]', ''))
        return self._queue_rules

    def queue_warnings(self, params, where=''):
        """Return the sentence, in a list, that no rule of the profile fits what params ask for; else []."""
        if not self._wants_queue(self.requested(params)):
            return []
        return [where + 'no rule of [queues] in the profile fits; no queue is requested']


#: Jobs to have in the scheduler at once, where neither anybody nor the machine says how many.
DEFAULT_RUNNING = 100


class Backend(JobLimits, KnownWords, JobRequests):
    """What the driver asks of a scheduler. Where a method raises NotImplementedError, a subclass has its own.

    A backend turns plain values into the language of one scheduler and back. It keeps no state about jobs,
    and answers in values, because silence is normal: a scheduler that does not answer is a value too, and
    never an exception.

    A *task* is a pair (id, index): the scheduler's id of a submission as a string, and the index in the array
    from 1, or 0 where the submission was a single job. *params* is a dict: `cores`, `gpus`, `nodes` and
    `tasks` are integers, `memory` is bytes and `time` seconds, each for the whole job; `queue`, `account`,
    `qos`, `constraint`, `reservation`, `penv`, `name`, `working_directory` and `extra` are strings. A
    parameter that nobody asked for is not in it.
    """

    #: The name in profiles, and the one for people.
    name = title = ''
    #: Variables in the job's environment: the index in the array, and the scheduler's id.
    task_variable = id_variable = ''
    #: Seconds between two questions while all is well.
    poll_interval = 30
    #: Seconds after which jobs fail that will never start, as the scheduler says; None for never.
    give_up: 'typing.Optional[int]' = None
    #: Seconds for which what a job, or a worker, that has left the queue said last may come late: caches of
    #: network file systems. `judge` and `Pools` wait for it; the manual's page reliability.md promises it.
    grace: float = 90
    #: Seconds of work to hand over ahead of time: only where handing over costs nothing and can be undone.
    ahead = 0
    #: Whether it starts the jobs itself, on this machine.
    starts_jobs = False
    #: Whether what has not begun can be taken back for certain: see `withdraw`.
    takes_back = False
    #: Whether jobs are ended by what QMap starts, and not by the scheduler, when their time is over.
    limits_time = False
    #: Whether `accounts` knows of a task as soon as it has ended, so that its usage can be had at once.
    accounts_at_once = False
    #: Whether it never has to be waited for, because no command is run; see `Asker`.
    answers_at_once = False
    #: Whether an id may be given again, to another submission.
    reuses_ids = True
    #: Whether a task that the queue calls FAILED stays there until it is cancelled.
    lingers = False
    #: How a message of the queue reads while a task that was told to end has not ended (a pattern): for long
    #: only where its node is dead. And how a person removes such a task, '' where that needs nobody.
    unended, removal = '', ''
    #: Whether what waited, and is not listed any more, has been taken out by somebody, where the queue's
    #: memory is whole: it still lists all that has begun, or the accounts know of that.
    proves_absence = False
    #: Whether it may forget what it took last, when it is killed.
    forgets = True
    #: What it has not for jobs that wait, '' for nothing: only where it runs them itself.
    shortage = ''
    #: Whether a submission that no node fits is refused at once, and does not wait for ever.
    refuses_unfit = False
    #: Variables in the environment of a question, and of a submission.
    of_questions = {}
    of_submissions = {}
    #: The command that ends tasks, as a list of words.
    cancel_argv = []
    #: What the scheduler writes into the output of a task that it ends: (pattern, reason), the first counts.
    NOTES: 'typing.Tuple[typing.Tuple[str, str], ...]' = ()

    #: Settings of the profile that have one of some values: {name: those}.
    choices: 'typing.Dict[str, typing.Tuple[str, ...]]' = {}

    def __init__(self, settings=None, wake=None):
        """Make a backend.

        Args:
            settings: dict of strings, those of the profile
            wake: function to call when a task has ended, where the backend knows that by itself

        Raises:
            ValueError: a setting has a value that is none
        """
        super().__init__()
        self.settings = dict(settings or {})
        for key, choices in self.choices.items():
            value = self.settings.get(key)
            if value and value not in choices:
                raise ValueError('{} = {}: must be one of {}'.format(key, value, ', '.join(choices)))
        #: Seconds since the epoch: nothing of this execution was submitted before. The driver sets it,
        #: because schedulers use their ids again: without it the accounts may speak of a job of long ago.
        self.since = 0
        #: With what the names of this execution's submissions end, and how the paths of their scripts begin,
        #: without what stands above the logs folder. The driver sets both, for the same reason.
        self.token = self.folder = ''
        #: Names of nodes on which nothing is to start; those that no job wants. The driver sets both.
        self.avoided = self.avoided_by_all = ()
        self._last = threading.local()

    # Submitting

    def submit_argv(self, script, name, count, params, output):
        """Return the submission command as a list of words.

        Args:
            script: path of the script to run, once for each task
            name: of the submission: unique, made by `job_name`
            count: number of tasks; 1 makes a single job, more an array with indices from 1
            params: see the class
            output: path where the scheduler itself may write about the tasks: it gets '.K' added, K being
                the index (0 for a single job)

        Raises:
            ValueError: `extra` ends within quotes
        """
        raise NotImplementedError

    def parse_submission(self, answer, count, params):
        """Return what the `Answer` of a submission means, as `submit` does."""
        raise NotImplementedError

    def submit(self, script, name, count, params, output):
        """Hand the script to the scheduler; the arguments are those of `submit_argv`.

        Returns:
            ('ok', id); ('refused', message): it will never be taken like this; ('busy', message): a limit or
            a passing trouble, nothing was submitted; ('unclear', message): nothing was submitted, for a
            reason that is not known; ('silent', message): it may have been submitted, look for the name
        """
        requested = self.requested(params)
        fault = self.extra_fault(requested)
        if fault:    # of an execution that an earlier version began
            return 'refused', fault
        argv = self.submit_argv(script, name, count, requested, output)
        # The environment becomes that of the job, where LC_ALL=C has no business.
        variables = dict(self.of_submissions, LC_ALL=os.environ.get('LC_ALL'))
        variables.update((OUTER + name, os.environ.get(name, '')) for name in self.of_submissions)
        answer = call_scheduler(argv, self.submit_input(script), **variables)
        outcome, detail = self.parse_submission(answer, count, requested)
        if outcome == 'busy' and count > 1:
            self.expect_less(count, detail)
        self.note_submission(outcome, answer)
        if outcome in ('refused', 'unclear') and self.avoided:    # there may be no others that fit
            self.avoided = () if self.avoided == self.avoided_by_all else self.avoided_by_all
            return self.submit(script, name, count, params, output)
        return outcome, detail

    def chooses_hosts(self, params):
        """Tell whether jobs with params, as from `requested`, say on which hosts they run."""
        return False

    def submit_input(self, script):
        """Return the path of what the submission command reads, None for nothing."""
        return None

    def expect_less(self, count, message):
        """Learn that an array of so many tasks was not taken, and why: `limits` may have changed."""

    def job_cmd(self, script, name, count, params, output):
        """Return the submission command as a line to be pasted into a shell."""
        argv = self.submit_argv(script, name, count, self.requested(params), output)
        return ' '.join(shlex.quote(word) for word in argv)

    def job_name(self, prefix, batch, token):
        """Return a name for a submission: legal here, short, readable, and unique by the token.

        Args:
            prefix: what the user calls the execution
            batch: number of the batch
            token: short text that no other execution has
        """
        readable = re.sub('[^A-Za-z0-9_.-]+', '_', prefix)[:40].strip('.-') or 'qmap'
        return '{}.{}.{}'.format(readable, batch, token)

    def task_name(self, task):
        """Return how the scheduler writes a task: its executor_id for people."""
        raise NotImplementedError

    def unusable(self):
        """Return why nothing can be submitted to this scheduler at all, '' where nothing is known against
        it."""
        return ''

    def limits(self):
        """Return what the site allows, as it says itself: dict with array (the largest number of tasks), and
        requeues (list of the exit statuses for which it runs a task again, or holds it) where it has such."""
        return {'array': 1000}

    # Following

    def ask(self, argv, **options):
        """Return the `Answer` to a question; the options are those of `call_scheduler`."""
        self._last.answer = call_scheduler(argv, **dict(self.of_questions, **options))
        return self._last.answer

    def last_answer(self):
        """Return the Answer to the last question that this thread has asked, None for none."""
        return getattr(self._last, 'answer', None)

    def find(self, name):
        """Return the id of the submission with this name, '' if there surely is none, None without an
        answer."""
        raise NotImplementedError

    def find_submission(self, name, params):
        """Return what `find` does, of a submission with these params: they may say where it is."""
        return self.find(name)

    def claimed_ids(self, claim, own):
        """Return the ids under which the queue may know a task that calls itself so.

        Args:
            claim: what it calls itself
            own: set of the ids of this execution
        """
        return [claim]

    def poll(self, ids):
        """Ask the queue for all submissions at once.

        Args:
            ids: list of scheduler ids

        Returns:
            {task: (status, reason, message)}, or None without an answer. A task that is not in it has left
            the queue. status is PENDING, RUNNING, COMPLETED, FAILED or OTHER; reason is '' or, of a FAILED
            task, one of exit, signal, memory, time, cancelled, node, preempted, lost, or UNSTARTABLE; the
            message says it as the scheduler does, or why it is pending.
        """
        found = {}
        for some in portions(sorted(set(ids))):
            listed = self.list_tasks(some)
            if listed is None:
                return None
            found.update(listed)
        return found

    def list_tasks(self, ids):
        """Return what `poll` does, of so many ids as fit on a command line."""
        raise NotImplementedError

    def meaning(self, reason):
        """Return in plain words what a reason for waiting means, '' where nobody knows."""
        return ''

    def accounts(self, tasks):
        """Ask the accounting for ended tasks, in batches.

        Returns:
            {task: dict} of those it knows; {} where the site keeps no accounts; None without an answer. A
            dict may hold status, reason and words as in `poll`, exit_code, signal (numbers), host, elapsed
            and cpu (seconds), memory (bytes, the peak), steps (whether srun has started some); and `only`, the
            id that an attempt must have said when it began, where it is not sure that the task is ours.
        """
        return {}

    def note(self, text):
        """Return why the scheduler ended a task, from what it wrote into the task's output: dict with reason
        and words, {} for nothing."""
        for pattern, reason in self.NOTES:
            match = re.search('.*(?:{}).*'.format(pattern), text)
            if match:
                return {'reason': reason, 'words': match.group().strip()}
        return {}

    def chatter(self, text):
        """Return the part of a task's output beside the job's own that says what went wrong in starting
        it."""
        return text

    def usage(self):
        """Return the load of the cluster, or None without an answer.

        Returns:
            dict: nodes (that are up), used (percent of the cores in use), mine (percent that is this user's)
        """
        return None

    # Ending

    def task_words(self, tasks, counts):
        """Return how `cancel_argv` is told of tasks, as a list of words; see `cancel`."""
        raise NotImplementedError

    def cancel(self, tasks, counts):
        """Cancel tasks: in batches, arrays as ranges. One that has ended meanwhile is no error.

        Args:
            tasks: list of tasks
            counts: {id: number of tasks of that submission}, so that a whole array is named by its id alone
        """
        for words in portions(self.task_words(tasks, counts)):
            self.ask(self.cancel_argv + words)

    # Running a command now

    def interactive(self, params, command):
        """Return the words that run a shell command now, with these params, in this directory and
        environment.

        Args:
            params: see the class; `quiet`, where it is true, silences what the scheduler says of its own
            command: for bash

        Raises:
            ValueError: it cannot be run like this
        """
        raise NotImplementedError

    # Only a backend that runs the tasks itself has another answer

    def holds(self, params):
        """Return how many jobs with these params to have in the scheduler at once, where nobody says."""
        return DEFAULT_RUNNING

    def refusal(self, params):
        """Return why a job with these params can never run, '' where only the scheduler knows."""
        return ''

    def most(self, params):
        """Return what a job with these parameters can have at the most, as far as that is known: a dict with
        memory (bytes) and time (seconds)."""
        return {}

    def throttle(self, jobs):
        """Set how many jobs may run at once."""

    def started(self, task, start, params, status_path):
        """Learn what a task said when it started.

        Args:
            task: the task
            start: dict, its own words: host, pid, born, time
            params: of the job
            status_path: path of its words, without the suffix
        """

    def peak(self, task):
        """Return the bytes of memory that a task was seen to use, None where nobody looked."""
        return None

    def seen(self, task):
        """Return what is known of the memory that a running task has used: dict with `memory` in bytes, or
        {}."""
        return {}

    def forget(self, task):
        """Forget an ended task: what was known of it is written down."""

    def settled(self, task):
        """Tell whether a task that has said its end will bring no more news."""
        return True

    def withdraw(self):
        """Take back what was submitted and has not begun, if that is for certain; return those tasks."""
        return []

    def close(self):
        """Let go. What was submitted goes on."""


def join_cluster(number, cluster):
    """Return the id of a submission of Slurm: as sbatch prints it, with the cluster where it names one."""
    return '{};{}'.format(number, cluster) if cluster else number


def split_clusters(ids):
    """Return {cluster: list of the numbers there} of ids of Slurm; '' where none is named."""
    found = collections.OrderedDict()
    for id in ids:
        number, _, cluster = id.partition(';')
        found.setdefault(cluster, []).append(number)
    return found


class SlurmAnswers:
    """What the commands of Slurm say, in plain values: a part of `Slurm`."""

    #: What separates the fields: names and reasons may hold commas, bars and spaces, but hardly this one.
    SEPARATOR = '\x1f'

    #: The states of a job and its flags, which are shown in place of the state: (status, reason).
    #: https://slurm.schedmd.com/job_state_codes.html, and squeue(1) for the older ones.
    STATES = {
        'PENDING': ('PENDING', ''),
        'CONFIGURING': ('PENDING', ''),
        'EXPEDITING': ('PENDING', ''),    # since 25.11: requeued, at the head of the queue
        'POWER_UP_NODE': ('PENDING', ''),
        'REQUEUED': ('PENDING', ''),
        'REQUEUE_FED': ('PENDING', ''),
        'REQUEUE_HOLD': ('PENDING', ''),
        'RESV_DEL_HOLD': ('PENDING', ''),
        'SPECIAL_EXIT': ('PENDING', ''),
        'RUNNING': ('RUNNING', ''),
        # Hides the final state; a job in it is about to end.
        'COMPLETING': ('RUNNING', ''),
        'RESIZING': ('RUNNING', ''),
        'SIGNALING': ('RUNNING', ''),
        'STAGE_OUT': ('RUNNING', ''),
        'STOPPED': ('RUNNING', ''),
        'SUSPENDED': ('RUNNING', ''),
        'UPDATE_DB': ('RUNNING', ''),
        'COMPLETED': ('COMPLETED', ''),
        'BOOT_FAIL': ('FAILED', 'node'),
        'CANCELLED': ('FAILED', 'cancelled'),
        'DEADLINE': ('FAILED', 'time'),
        'FAILED': ('FAILED', 'exit'),
        'LAUNCH_FAILED': ('FAILED', 'node'),
        'NODE_FAIL': ('FAILED', 'node'),
        'OUT_OF_MEMORY': ('FAILED', 'memory'),
        'PREEMPTED': ('FAILED', 'preempted'),
        'RECONFIG_FAIL': ('FAILED', 'node'),
        'TIMEOUT': ('FAILED', 'time'),
        # Its twin has begun, on another cluster of the federation.
        'REVOKED': ('RUNNING', ''),
    }

    #: What a state does not say by itself.
    STATE_WORDS = {'DEADLINE': 'DEADLINE: its --deadline came before its end'}

    #: What squeue's reason says of a job that is FAILED. '' where it may be one thing or another:
    #: JobLaunchFailure stands for a script that was killed by a signal, and for an output file that could not
    #: be opened.
    ENDS = {
        'NonZeroExitCode': 'exit',
        'RaisedSignal': 'signal',
        'JobLaunchFailure': '',
        'BadConstraints': '',
        'OutOfMemory': 'memory',
        'TimeLimit': 'time',
        'NodeDown': 'node',
        'SystemFailure': 'node',
    }

    #: See `Backend`. https://github.com/SchedMD/slurm/blob/master/src/common/slurm_errno.c has the texts, and
    #: sbatch itself. The controller may have taken a submission of which only the reply got lost ('Socket
    #: timed out'); where no connection could be made ('connect failure'), nothing was sent.
    FAILURES: 'typing.Tuple[typing.Tuple[str, str], ...]' = (
        ('silent', '(?i)timed out|zero bytes|(send|receive|shutdown) failure|unexpected message'
                   '|insane message|connection reset|broken pipe|not connected|communication'
                   '|shutting down|delayed socket error|forced closed by quiesce'),
        ('busy', '(?i)(QOS|Assoc|Max)[A-Za-z]*Submit|resource temporarily unavailable|MaxJobCount'
                 '|unable to accept job|queue full|try again|rate limit|standby mode'
                 '|presently disabled|submissions disabled|partition not available'
                 '|not available now|not usable now|nodes are busy|node not available'
                 '|connect failure|connection refused|configuration source|process configuration'
                 '|writing script/environment|munge|authentication|credential|protocol version'
                 '|incompatible versions|rejected by handler|find an address'
                 '|control machine address|name resolution|connect to database|internal error'
                 '|(invalid|resolve|find) user id|plugin file not found|shared libraries'
                 '|stale file handle|unable to open file|bus error|cannot allocate memory'
                 '|cannot fork|no error'),
        ('refused', '(?i)invalid .*specifi(cation|ed)|specification invalid|can ?not be satisfied'
                    '|node configuration is not available|nodes not in this partition'
                    '|no partition specified|group not permitted to use'
                    '|more processors requested than permitted'
                    '|memory required by task is not available|time limit is invalid'
                    '|time limit specification required|invalid job array|reservation is invalid'
                    '|denied to requested reservation|job dependency problem|burst buffer request'
                    '|unrecognized option|invalid option'
                    '|option .* (is ambiguous|requires an argument)|mutually exclusive'
                    '|invalid numeric value|other parameter too long'),
    )

    #: Its one sentence for all limits. Newer releases name the limit in a line before it.
    POLICY, LIMIT = '(?i)violates accounting/QOS policy', r'\b(QOS|Assoc|Max)[A-Z]\w+'

    @staticmethod
    def parse_id(text):
        """Return the id in what sbatch printed, or '' where there is none, or more than one thing that could
        be it. Where sbatch names a cluster of several, the id is 'number;cluster'.

        Seen: '41'; '1507;cluster'; 'Submitted batch job 44 on cluster x'; each of them between the lines of a
        banner, which may be in colours.
        """
        text = re.sub(r'\x1b\[[\d;]*[A-Za-z]', '', text)
        told = re.findall(r'\bSubmitted batch job (\d+)\b(?: on cluster ([\w.-]+))?', text)
        told = told or re.findall(r'(?m)^[ \t]*(\d+);([\w.-]*)', text)
        told = told or [(number, '') for number in re.findall(r'(?m)^[ \t]*(\d+)[ \t\r]*$', text)]
        return join_cluster(*told[0]) if len(set(told)) == 1 else ''

    @staticmethod
    def complaint(answer):
        """Return in one line what a Slurm command complained of: all its lines, because the last alone seldom
        says which limit or name it was, and without their 'sbatch: error: '."""
        lines = re.findall(r'^(?:sbatch|squeue|sacct|scancel): (?:error: |fatal: )?(.*\S)', answer.err, re.M)
        return fold_lines(lines, '; ') or answer.message()

    @staticmethod
    def verdict(answer):
        """Return the last words of sbatch itself on a submission that failed. What plugins of the site say
        stands before them, under its name too."""
        own = r'^sbatch: (?:error: |fatal: )?(?:Batch job submission failed: )?(.*\S)'
        lines = re.findall(own, answer.err, re.M)
        return lines[-1] if lines else answer.whole()

    @classmethod
    def parse_submission(cls, answer, count=1, params=None):
        """See `Backend.parse_submission`.

        An array that is busy may be too large: for the site ('Invalid job array specification': ask `limits`
        again, and submit fewer), or for a limit on the number of jobs, which counts each task and refuses the
        array as a whole ('QOSMaxSubmitJobPerUserLimit': submit fewer, or wait). With the controller's table
        of jobs full, sbatch itself waits for two minutes; it is killed before that, and counts as silent.
        """
        if answer.code == 0:
            number = cls.parse_id(answer.out)
            return ('ok', number) if number else ('silent', 'no job id in: {}'.format(answer.message()))
        message, text = cls.complaint(answer), answer.whole()
        if answer.code is None:
            if not answer.unstarted():
                return 'silent', message
            # The command itself could not be started; the environment or the words may be too long for the
            # system.
            return ('refused' if 'too long' in message else 'busy'), message
        killed = answer.code < 0 or 128 < answer.code < 255
        if killed or not text.strip() or cls.parse_id(answer.out):    # before it could say anything final
            return 'silent', message
        verdict = cls.verdict(answer)
        if count > 1 and re.search('Invalid job array specification|other parameter too long', verdict):
            return 'busy', '{} (an array of {})'.format(message, count)
        if re.search(cls.POLICY, verdict):
            # The line before it names the limit; older releases name none.
            limit = re.search(cls.LIMIT, text)
            return 'refused' if limit and 'Submit' not in limit.group() else 'busy', message
        if 'mem-per-cpu' in text and 'memory' in (params or {}):
            cores = max(params.get('cores', 1), params.get('tasks', 1))
            each = divide_up(params['memory'], cores * 1024 ** 2)
            message += ': leave `memory` out, and put `--mem-per-cpu={}M` into `extra`'.format(each)
        return cls.classify_failure(verdict), message

    @staticmethod
    def parse_limits(text):
        """Return from `scontrol show config`, as far as it says so: `array` and `requeues` as `limits` does,
        `remembered`, the seconds for which a job that has ended is listed at least, and `caches`, True where
        the memory in the accounts may be that of caches of files: cgroups of version 2 since 23.11, but for
        no_file_cache of 25.11 (cgroup_v2.c; slurm.conf(5), JobAcctGatherParams).

        MaxArraySize limits the index: the greatest is one less. `max_array_tasks` limits the tasks.
        slurm.conf(5) RequeueExit holds for jobs of --no-requeue too, as seen with 22.05.
        """
        found = [int(number) - 1 for number in re.findall(r'^MaxArraySize\s*=\s*(\d+)', text, re.M)]
        found += map(int, re.findall(r'^SchedulerParameters\s*=.*\bmax_array_tasks=(\d+)', text, re.M))
        limits = {'array': max(1, min(found))} if found else {}
        for seconds in re.findall(r'^MinJobAge\s*=\s*(\d+)', text, re.M):
            limits['remembered'] = int(seconds)
        release = re.search(r'^SLURM_VERSION\s*=\s*(\d+)\.(\d+)', text, re.M)
        by_cgroup = re.search(r'^JobAcctGatherType\s*=\s*(jobacct_gather/)?cgroup', text, re.M)
        without = r'^JobAcctGatherParams\s*=.*no_file_cache|^CgroupPlugin\s*=\s*(cgroup/)?v1'
        if by_cgroup and release and not re.search(without, text, re.M):
            if tuple(map(int, release.groups())) >= (23, 11):
                limits['caches'] = True
        again = re.findall(r'^RequeueExit(?:Hold)?\s*=\s*(\d[\d,-]*)', text, re.M)
        if again:
            limits['requeues'] = list(read_ranges(','.join(again)))
        return limits

    @classmethod
    def read_state(cls, text):
        """Return (status, reason) for a state as Slurm writes it; ('OTHER', '') for one that is not known.

        Handles tails and cuts: 'CANCELLED by 1000', 'OUT_OF_ME+'.
        """
        word = text.split()[0] if text.split() else ''
        if word.endswith('+'):
            word = next((known for known in sorted(cls.STATES) if known.startswith(word[:-1])), word)
        return cls.STATES.get(word, ('OTHER', ''))

    @staticmethod
    def read_indices(text):
        """Return the list of the indices in '[5-6,8-9,13-20%4]', also where it is cut: '[1-2,4-5,7-'."""
        found = []
        parts = text.strip('[]').partition('%')[0].split(',')
        # The last one of a text that is cut may be anything.
        for part in parts if ']' in text else parts[:-1]:
            try:
                found.extend(read_ranges(part))
            except ValueError:
                pass
        return found

    #: With what the names end that QMap gives: the number of the batch, and the token.
    NAME_END = r'\.\d+\.[0-9a-f]{8}(?![0-9a-f])'

    @classmethod
    def is_ours(cls, name, token, command, folder, number=r'\d+'):
        """Tell whether a job that has an id of ours is ours still: a controller that was killed forgets what
        it took last, and gives its ids again.

        The name proves it, but not the contrary: a site's job_submit plugin adds to it, and `scontrol update`
        or `extra` changes it. Nothing changes the path of the script that was submitted.

        Args:
            name: of the job
            token: what the names of ours hold
            command: the path of its script, as squeue shows it
            folder: how that begins for ours, without what stands above the logs folder
            number: pattern of the rest of it: the number of the batch
        """
        command, folder = (re.sub(r'\W', '', path) for path in (command, folder))    # releases may quote it
        return token in name or bool(
            folder and not re.search(cls.NAME_END, name) and re.search(folder + number + '$', command))

    @classmethod
    def split_lines(cls, text):
        """Yield the fields of each line, without spaces around them."""
        for line in text.splitlines():
            yield [field.strip() for field in line.split(cls.SEPARATOR)]

    @classmethod
    def parse_find(cls, text, name='', folder=''):
        """Return the id of the first submission that is listed, '' for none: a line for each task, with the
        id, the state, the reason or nodes; and the name and the script, where there are others among them.

        A submission that was refused may leave a record, FAILED without ever having had a node: it does not
        count.

        Args:
            text: what was printed
            name: of the submission
            folder: how the path of its script begins
        """
        found, batch = [], name.split('.')[-2:][0]
        for fields in cls.split_lines(text):
            if len(fields) not in (3, 5):
                continue
            called, command = fields[3:] or (name, '')
            if not cls.is_ours(called, name, command, folder, batch):
                continue
            refused = fields[1] == 'FAILED' and fields[2] in ('BadConstraints', 'None assigned')
            number = re.match(r'\d+', fields[0])
            if number and not refused:
                found.append(int(number.group()))
        return str(min(found)) if found else ''

    def parse_poll(self, text):
        """Return {task: (status, reason, message)} for what `poll_argv` lists, as far as it is ours.

        Tasks of an array that have not started share a line: '5-6,8-20%4'. Those that were cancelled before
        they started may leave one record without index: it comes as task 0 of the array.
        """
        found = {}
        for fields in self.split_lines(text):
            # With SLURM_CLUSTERS there may be lines like 'CLUSTER: name' in between.
            if len(fields) < 4:
                continue
            number, index, word, why, name, command = (fields + ['', ''])[:6]
            if not self.is_ours(name, self.token, command, self.folder):
                continue
            told = self.describe(word, '' if why == 'None' else why)
            found.update(((number, k), told) for k in self.read_indices('[{}]'.format(index)) or [0])
        return found

    def describe(self, word, why):
        """Return (status, reason, message) of a job, from the state and the reason that squeue shows."""
        status, reason = self.read_state(word)
        if status == 'PENDING':
            own = '' if word == 'PENDING' else word
            meaning = self.meaning(why)
            is_name = re.match(r'\w+$', why)    # other reasons are sentences, and say what they mean
            if is_name and not meaning and why not in self.ENDS:
                self.note_unknown('reason', why)
            return status, reason, ': '.join(part for part in (why, meaning) if part) or own
        if status == 'COMPLETED' or word == 'RUNNING':
            return status, reason, ''
        if status == 'FAILED':
            end = why.split(':')[0]
            if word == 'FAILED' and end:
                reason = self.ENDS.get(end, '')    # where nobody knows it, it is no other one
                if end not in self.ENDS and not self.meaning(end):
                    self.note_unknown('end', why)
            word = self.STATE_WORDS.get(word, word)
            return status, reason, '{} ({})'.format(word, why) if why else word
        if status == OTHER:
            self.note_unknown('state', word)
        return status, reason, word


class Slurm(SlurmAnswers, Backend):
    """Slurm, release 17 to 26: https://slurm.schedmd.com/documentation.html

    Submissions go through `sbatch`, questions through `squeue`. Nothing here asks for a field that not every
    release has.
    """

    name = 'slurm'
    title = 'Slurm'
    task_variable = 'SLURM_ARRAY_TASK_ID'
    id_variable = 'SLURM_JOB_ID'
    refuses_unfit = True
    #: squeue(1), sacct(1), ENVIRONMENT VARIABLES: without the first, lists of indices are cut at 64
    #: characters; with the second, what another cluster of a federation has run of ours is in the accounts.
    of_questions = {'SLURM_BITSTR_LEN': '0', 'SACCT_FEDERATION': '1'}
    cancel_argv = ['scancel']
    unended = 'COMPLETING'
    # slurmstepd and srun, in the stderr of what has called srun
    STEP_NOTE = r'slurmstepd\S*: error: Detected \d+ oom.kill event|srun: error: .*\bOut Of Memory'
    # Newer releases have the variable; %L is the time that is left: 1-02:03:04, 1:59, UNLIMITED.
    remaining = r"""
if [ -n "${SLURM_JOB_END_TIME-}" ]; then
    qmap_remaining=$((SLURM_JOB_END_TIME - qmap_since))
elif [ "$1" = ask ]; then    # from now on
    qmap_line=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
    read -t 30 -r qmap_line < <(squeue -h -j "$qmap_line" -o %L)
    [[ $qmap_line =~ ^(([0-9]+)-)?(([0-9]+):)?([0-9]+):([0-9]+)$ ]] && qmap_remaining=$(((
        (10#0${BASH_REMATCH[2]} * 24 + 10#0${BASH_REMATCH[4]}) * 60 + 10#${BASH_REMATCH[5]}) * 60 +
        10#${BASH_REMATCH[6]} + ${qmap_time%.*} - qmap_since))
fi
"""
    # sbatch(1)
    queue_option = '-p|--partition'
    extra_rules = ExtraRules({
        '-a --array': 'QMap makes the arrays; leave it out',
        '-J --job-name': 'QMap finds its jobs by their name; set the parameter name instead',
        '-M=all$ --clusters=all$ --cluster=all$': 'name the clusters',
        '-Q --quiet': 'hides the id that QMap needs; leave it out',
        '-W --wait': 'QMap waits for the jobs itself; leave it out',
        '--wrap': 'QMap submits a script of its own; put the command into the map',
        '-h --help -u --usage -V --version --test-only': 'submits nothing; leave it out',
    }, '-H -I -k -O -Q -R -s -u -v -V -W -h --contiguous --exclusive --get-user-env --hold '
       '--ignore-pbs --immediate --nice --no-bell --no-kill --no-requeue --overcommit --oversubscribe '
       '--propagate --reboot --requeue --resv-ports --share --parsable --spread-job --stepmgr '
       '--use-min-nodes --verbose --x11',
        bundled=True)
    # sbatch(1): of each, the last one counts
    options = {'account': ('--account={}', None), 'qos': ('--qos={}', None),
               'constraint': ('--constraint={}', None), 'reservation': ('--reservation={}', None)}
    #: Options that ask for GPUs, one word of `extra` a line.
    GPU_OPTIONS = r'(?m)^(-G|--gpus\b|--(gres|tres-per-task)[=\n].*gpu)'
    # slurmstepd's lines in the standard error of the batch script, as seen on 22.05
    NOTES = ((r'DUE TO TIME LIMIT', 'time'), (r'oom-kill event|[Ee]xceeded (?:job )?memory limit', 'memory'),
             (r'DUE TO NODE FAILURE', 'node'), (r'DUE TO (?:PREEMPTION|JOB REQUEUE)', 'preempted'),
             (r'\*\*\* .* CANCELLED AT', 'cancelled'))

    def __init__(self, settings=None, wake=None):
        super().__init__(settings, wake)
        self._limits, self._was_cut = {}, False

    @property
    def proves_absence(self):
        """See `Backend`: it does where what has ended stays listed for longer than between two looks."""
        return not self._was_cut and self.read_limits().get('remembered', 0) > 2 * self.poll_interval

    @staticmethod
    def resources(params):
        """Return the options that sbatch, salloc and srun share, for these params.

        `cores` and `memory` are for the whole job, while Slurm counts CPUs for each task and memory for each
        node: both are divided, and rounded up. What is in `extra` comes last, and so wins; where it brings a
        memory of its own, `memory` is left out, as `--mem` and `--mem-per-cpu` exclude each other. So are
        `gpus`, which are divided among the nodes: a --gres without them may stand beside --gpus-per-node,
        and of several --gres only the last one counts.

        Raises:
            ValueError: `extra` ends within quotes
        """
        words = []
        extra = shlex.split(params.get('extra', ''))
        if 'working_directory' in params:
            words += ['-D', params['working_directory']]
        if 'queue' in params:
            words += ['-p', params['queue']]
        if 'nodes' in params:
            words.append('--nodes={}'.format(params['nodes']))
        if 'tasks' in params:
            words.append('--ntasks={}'.format(params['tasks']))
        if 'cores' in params:
            words.append('--cpus-per-task={}'.format(
                max(1, divide_up(params['cores'], params.get('tasks') or params.get('nodes')))))
        own = {'--mem', '--mem-per-cpu', '--mem-per-gpu'} & {word.partition('=')[0] for word in extra}
        if 'memory' in params and not own:
            memory = divide_up(params['memory'], (params.get('nodes') or 1) * 1024 ** 2)
            words.append('--mem={}M'.format(memory))
        if params.get('gpus') and not re.search(Slurm.GPU_OPTIONS, '\n'.join(extra)):
            words.append('--gpus-per-node={}'.format(divide_up(params['gpus'], params.get('nodes'))))
        if 'time' in params:
            words += ['-t', time_text(60 * divide_up(params['time'], 60))]    # in whole minutes
        return words + Slurm.option_words(params, extra) + extra

    @staticmethod
    def output_path(output, many):
        r"""Return the path for `-o`: '.%a' added for an array, '.0' for a single job.

        A `%` in the path is written twice. A backslash in it stands for itself when written twice, but then
        nothing else is replaced either: the tasks of an array would overwrite one file, so /dev/null it is.
        (sbatch(1), filename pattern; `%%` and `\\` as seen with 22.05.)
        """
        if '\\' in output:
            return '/dev/null' if many else output.replace('\\', '\\\\') + '.0'
        return output.replace('%', '%%') + ('.%a' if many else '.0')

    def submit_argv(self, script, name, count, params, output):
        """See `Backend.submit_argv`. Options are on the command line, where no `#SBATCH` line or variable can
        change them."""
        words = ['sbatch', '--parsable', '--no-requeue', '--open-mode=append', '--export=ALL', '-J', name]
        if count > 1:
            words.append('--array=1-{}'.format(count))
        # Without -e, stderr goes to the same file.
        words += ['-o', self.output_path(output, count > 1)]
        resources = self.resources(params)
        if not self.chooses_hosts(params):
            resources += self.avoid_argv(resources)
        return words + resources + [script]

    def chooses_hosts(self, params):
        """See `Backend.chooses_hosts`: with a list of nodes to run on, sbatch might refuse."""
        words = self.resources(params)
        return bool(re.search(r'^(-[wF]|--node(list|file))', '\n'.join(words), re.M))

    def avoid_argv(self, words):
        """Return the option that keeps a submission from some nodes. Of several, sbatch takes the last.

        Args:
            words: the options that come before
        """
        excluded, text = [], '\n'.join(words)
        if not self.avoided:
            return []
        for match in re.finditer(r'^(?:-x\n?|--exclude[=\n])(.+)', text, re.M):
            excluded = [match.group(1)]
        return ['--exclude={}'.format(','.join(excluded + sorted(self.avoided)))]

    def expect_less(self, count, message):
        """See `Backend.expect_less`."""
        self._limits = {}

    def task_name(self, task):
        """See `Backend.task_name`: '123_4', or '123' for a single job; '123_4;there' on another cluster."""
        number, mark, cluster = task[0].partition(';')
        return '{}_{}'.format(number, task[1]) + mark + cluster if task[1] else task[0]

    def limits(self):
        """See `Backend.limits`."""
        return dict(super().limits(), **self.read_limits())

    def read_limits(self):
        """Return what `parse_limits` does. Asked once, and again after an array was refused."""
        if not self._limits:
            answer = self.ask(['scontrol', 'show', 'config'], self.clusters({})[0])
            self._limits = self.parse_limits(answer.out)
        return self._limits

    def clusters(self, params):
        """Return the names of the clusters of several, one of which gets a submission with these params; ['']
        where it is this one, or those of SLURM_CLUSTERS."""
        words = shlex.split(self.requested(params).get('extra', ''))
        found = re.findall(r'(?m)^(?:-M\n?|--clusters?[=\n])(.+)$', '\n'.join(words))
        return found[-1].split(',') if found else ['']

    # Following

    def ask(self, argv, cluster='', **options):
        """See `Backend.ask`; where a cluster is named, that one is asked."""
        return super().ask(argv[:1] + ['-M', cluster] * bool(cluster) + argv[1:], **options)

    def find(self, name):
        """See `Backend.find`."""
        return self.find_submission(name, {})

    def find_submission(self, name, params):
        """See `Backend.find_submission`."""
        found = None
        for cluster in self.clusters(params):
            number = self.find_on(cluster, name)
            if number:
                return join_cluster(number, cluster)
            if number is None:
                return None
            found = number
        return found

    def find_on(self, cluster, name):
        """Return what `find` does, of one cluster: the number of the submission there.

        The queue knows a submission until some minutes after its end. A controller that comes back may answer
        this question a moment before it takes up a submission that waits at its door, so that '' is not quite
        sure in the first seconds.
        """
        # -a: without ids, squeue leaves out what is in hidden partitions.
        answer = self.ask(['squeue', '-h', '-a', '-t', 'all', '-u', str(os.getuid()),
                           '-o', self.SEPARATOR.join(('%F', '%T', '%r', '%j', '%o'))], cluster)
        return self.parse_find(answer.out, name, self.folder) if answer.code == 0 else None

    @classmethod
    def poll_argv(cls, ids, each=False):
        """Return the words of squeue that list all tasks of these ids, ended ones too while they are known.

        The ids are asked as %F and %K, because %i is cut at 30 characters, and %A is another number for each
        task. The name and the script tell whose id it is now: see `is_ours`.

        Args:
            ids: list of ids
            each: whether pending tasks come one a line. Not by default: `-r` forgets the last of the tasks
                where they are every second or third one of an array ('2-200:2', seen with 22.05).
        """
        return (['squeue', '-h', '-t', 'all', '-o', cls.SEPARATOR.join(('%F', '%K', '%T', '%r', '%j', '%o')),
                 '-j', ','.join(ids)] + (['-r'] if each else []))

    def claimed_ids(self, claim, own):
        """See `Backend.claimed_ids`: a job tells the number only."""
        return [join_cluster(claim, cluster) for cluster in split_clusters(own)] or [claim]

    def list_tasks(self, ids):
        """See `Backend.list_tasks`."""
        found = {}
        for cluster, numbers in split_clusters(ids).items():
            listed = self.list_on(cluster, numbers)
            if listed is None:
                return None
            found.update(((join_cluster(number, cluster), index), told)
                         for (number, index), told in listed.items())
        return found

    def list_on(self, cluster, ids):
        """Return what `list_tasks` does, of the numbers of submissions of one cluster.

        One id that is not known any more is an error for squeue; among several it is left out. Should a
        release complain of several too, they are asked half by half.
        """
        answer = self.ask(self.poll_argv(ids), cluster)
        indices = [fields[1] for fields in self.split_lines(answer.out) if len(fields) > 1]
        if answer.code == 0 and any('...' in index for index in indices):
            self._was_cut = True
            answer = self.ask(self.poll_argv(ids, True), cluster)
        if answer.code == 0:
            return self.parse_poll(answer.out)
        if 'Invalid job id specified' not in answer.err:
            return None
        if len(ids) == 1:
            return {}
        found = {}
        for half in (ids[:len(ids) // 2], ids[len(ids) // 2:]):
            listed = self.list_on(cluster, half)
            if listed is None:
                return None
            found.update(listed)
        return found

    # The rest

    def cancel(self, tasks, counts):
        """See `Backend.cancel`: on each cluster those that are there."""
        found = collections.OrderedDict()    # {cluster: (tasks, counts)}, by their numbers there
        for id, index in tasks:
            number, _, cluster = id.partition(';')
            there, own = found.setdefault(cluster, ([], {}))
            there.append((number, index))
            if id in counts:
                own[number] = counts[id]
        for cluster, (there, own) in found.items():
            for words in portions(self.task_words(there, own)):
                self.ask(self.cancel_argv + words, cluster)

    def task_words(self, tasks, counts):
        """See `Backend.task_words`: '41', a whole array '27', or parts of it '27_[1-3,7]'. scancel says
        nothing about tasks that have ended, or that it does not know."""
        return [number if indices is None else '{}_[{}]'.format(number, write_ranges(indices))
                for number, indices in sorted(group_tasks(tasks, counts))]

    def interactive(self, params, command):
        """See `Backend.interactive`."""
        if max(params.get('tasks', 1), params.get('nodes', 1)) > 1:
            raise ValueError('a command of several tasks or nodes: ' + MISSING_FOLDER)
        words = ['-Q'] if params.get('quiet') else []
        return ['srun', '--export=ALL'] + words + self.resources(params) + ['bash', '-c', '--', command]


class GridEngineAnswers:
    """What the commands of Grid Engine say, in plain values: a part of `GridEngine`."""

    #: What the letters of a state say; a state has one or several (Eqw, dRr, hRwq). The first row with a
    #: letter of the state decides the status, and every row adds its words. A task that runs is RUNNING
    #: whatever else there is to say, and an E means that it never started and waits for somebody to delete
    #: it: nothing else will end it. sge_status(5),
    #: https://manpages.debian.org/bookworm/gridengine-common/sge_status.5.en.html
    STATES = (
        ('z', 'OTHER', 'finished'),
        ('r', 'RUNNING', ''),
        ('t', 'RUNNING', ''),
        ('s', 'RUNNING', 'suspended'),
        ('S', 'RUNNING', 'suspended with its queue'),
        ('T', 'RUNNING', 'suspended because its host is overloaded'),
        ('E', 'FAILED', 'in error state'),
        ('h', 'PENDING', 'held'),
        ('q', 'PENDING', ''),
        ('w', 'PENDING', ''),
        ('R', 'PENDING', 'restarted'),
        ('d', 'OTHER', 'being deleted'),
    )

    #: What `qstat -j` says of a task in error state through the job's own fault; any other words are the
    #: node's fault, also that it cannot open the output file, which is in the logs folder.
    OWN_FAULT = "can't chdir|can't open input|unable to find shell|execv|exit_status of job start = 100"

    #: The largest array where the site sets no limit.
    LARGEST_ARRAY = 75000

    #: Letters of `qstat -s` for jobs that have finished, as far as the site keeps any: up to Open Cluster
    #: Scheduler 9.1, and since 9.2 (its release notes).
    FINISHED = ('z', 'f')

    @classmethod
    def parse_limits(cls, text):
        """Return the limits in the output of `qconf -sconf`; {} where it does not say."""
        found = re.search(r'^max_aj_tasks\s+(\d+)', text, re.MULTILINE)
        return {'array': int(found.group(1)) or cls.LARGEST_ARRAY} if found else {}

    @staticmethod
    def parse_consumable(text, name):
        """Return how a resource is counted, from `qconf -sc`: NO and YES (both limit a slot), JOB or HOST; ''
        where it does not say. (complex(5); what is limited, as seen with 8.1.9.)"""
        for fields in map(str.split, text.splitlines()):
            if len(fields) > 5 and name in fields[:2]:
                return fields[5]
        return ''

    @staticmethod
    def parse_xml(text):
        """Return the root element of what a command of Grid Engine says with -xml.

        Raises:
            ValueError: it is no XML
        """
        from xml.etree import ElementTree
        try:
            return ElementTree.fromstring(text)
        except ElementTree.ParseError as error:
            raise ValueError(str(error))

    @classmethod
    def parse_tasks(cls, text):
        """Return the tasks that `qstat -xml` lists, as tuples (id, index, name, owner, state, slots).

        Raises:
            ValueError: it is no such list
        """
        tasks = []
        for job in cls.parse_xml(text).iter('job_list'):
            # Pending tasks of an array share an entry: 3-7:1, or 1,5,8-11:1. No array has no entry.
            for index in read_ranges(job.findtext('tasks') or '0'):
                tasks.append((job.findtext('JB_job_number'), index, job.findtext('JB_name'),
                              job.findtext('JB_owner'), job.findtext('state') or '',
                              int(job.findtext('slots') or 1)))
        return tasks

    @classmethod
    def read_state(cls, letters):
        """Return (status, message) of a state such as qw, Eqw or dRr."""
        rows = [row for row in cls.STATES if row[0] in letters]
        if not rows:
            return 'OTHER', 'in the unknown state {}'.format(letters)
        return rows[0][1], ', '.join(row[2] for row in rows if row[2])

    @staticmethod
    def parse_reasons(text):
        """Return why jobs wait, from `qstat -j`: two dicts, {(id, index): error} and {id: why it is pending}.

        For a job that is no array the index is 1: Grid Engine says so. Open Cluster Scheduler 9.2 has no time
        before the error, and underscores in the keys (ocs_QStatJobViewPlain.cc).
        """
        errors, pending, number, scheduling = {}, {}, '', False
        for line in text.splitlines():
            key, _, value = line.partition(':')
            key = key.replace('_', ' ')
            goes_on = scheduling and line.startswith(' ')
            scheduling = key == 'scheduling info' or goes_on
            if key == 'job number':
                number = value.strip()
            elif key.startswith('error reason'):
                # Date, time, and the [user:process] of the one that says it.
                index = int('0' + re.match(r'\D*(\d*)', key).group(1))
                errors[number, index] = re.sub(r'^\S+ +\S+ +\[\d+:\d+\]: (error: )?', '', value.strip())
            elif scheduling:
                message = (value if key == 'scheduling info' else line).strip()
                # A line on each queue comes first, and the one that matters last.
                if not message.startswith(('queue instance', '(Collecting', 'Job is in')):
                    pending[number] = message
        return errors, pending

    @classmethod
    def error_reason(cls, message):
        """Return the reason of a task in error state: UNSTARTABLE for what the job's own settings cause, else
        'node'."""
        return UNSTARTABLE if re.search(cls.OWN_FAULT, message) else 'node'


class GridEngine(GridEngineAnswers, Backend):
    """Grid Engine: Sun, Son of, Univa, Altair and Open. Tried on Son of Grid Engine 8.1.9, whose manual pages
    are meant.

    How a job's parameters are asked for:

        cores, tasks       -pe PENV N, N being the larger of the two, where it is more than 1: a slot is a
                           core, a process takes a slot, and Grid Engine knows no processes of several cores.
                           PENV: `penv` of the job, else of the profile, else smp. It should be one that keeps
                           all slots on one host.
        nodes              nothing: how slots spread over hosts is a property of the parallel environment
        memory             -l h_vmem=M, M being the memory over the slots, since Grid Engine counts it per
                           slot; all of it where the resource is a consumable of kind JOB or HOST (`qconf
                           -sc`), or the profile says so: memory_per = job. A site that manages another
                           resource (mem_free, virtual_free) names it in the profile: memory_resource
        gpus               -l gpu=N, or the resource that the profile names (gpu_resource), over the slots as
                           memory is, in fractions if need be: a resource of whole numbers refuses these
        time               -l h_rt=SECONDS
        queue              -q
        account            -P: the project; -A is a remark for the accounts
        constraint         -l, as it is
        reservation        -ar
        qos                nothing
        working_directory  -wd
        extra              as it is, last, so that it wins: a memory, GPUs, h_rt, -pe, -q, -P or -ar of its
                           own is in place of ours

    Two exit statuses mean something to Grid Engine, whatever was submitted with -r n: after 99 a job goes
    back into the queue (Rq), after 100 it stays there in error state (Eqw). A script should end with another
    one.
    """

    name = 'sge'
    title = 'Grid Engine'
    task_variable = 'SGE_TASK_ID'
    id_variable = 'JOB_ID'
    # Eqw: its node has shut it out, and there it stays.
    lingers = True
    time_step = 1
    memory_hint = ('probably out of memory: h_vmem limits the address space, of which a JVM needs 2 to 4 GB '
                   'more than its -Xmx')
    # What was asked for is known; a queue may allow less: h_rt 0:2:0. queue_conf(5)
    remaining = r"""
[ "$1" != ask ] || while read -t 30 -r qmap_line qmap_value; do
    [[ $qmap_line = [hs]_rt && ${qmap_value%%,*} =~ ^(([0-9]*):([0-9]*):)?([0-9]+)$ ]] || continue
    qmap_value=$(((10#0${BASH_REMATCH[2]} * 60 + 10#0${BASH_REMATCH[3]}) * 60 + 10#${BASH_REMATCH[4]}))
    [ -n "$qmap_remaining" ] && [ $qmap_remaining -lt $qmap_value ] || qmap_remaining=$qmap_value
done < <(qconf -sq "$QUEUE")
"""
    # A task that was deleted before it began leaves nothing. One that has begun is in the accounts, or has
    # said so itself. What it takes it writes down before it answers: bootstrap(5), spooling_method.
    proves_absence, forgets = True, False
    cancel_argv = ['qdel']
    unended, removal = 'being deleted', 'an administrator can remove it with qdel -f {}'
    # qsub(1)
    queue_option = r'-q(?!\S)'
    extra_rules = ExtraRules({
        '-t': 'QMap makes the arrays; leave it out',
        '-N': 'QMap finds its jobs by their name; set the parameter name instead',
        '-clear': 'takes away what QMap asks for; leave it out',
        '-sync=[^n]': 'QMap waits for the jobs itself; leave it out',
        '-b=y': 'QMap submits a script of its own; leave it out',
        '-help -verify -w=[vp]': 'submits nothing; leave it out',
    }, '-clear -cwd -h -hard -help -noshell -nostdin -notify -soft -terse -verbose -verify -V',
        {'-pe': 2, '-binding': 2, '-adds': 3, '-mods': 3, '-clears': 2})
    options = {'account': ('-P {}', '-P'), 'reservation': ('-ar {}', '-ar'), 'constraint': ('-l {}', None)}
    lacks = {'qos': 'set queue, or what this site has for it in extra'}

    #: Pending submissions that are asked for their reason at most: the answer has a line for every queue of
    #: the site.
    ASKED = 10

    #: See `Backend`. A connection that broke when the submission may have been on its way is silent.
    FAILURES: 'typing.Tuple[typing.Tuple[str, str], ...]' = (
        ('busy', r'got select error|jobs are allowed|job with more than \d+ tasks'
                 '|rejected temporarily|temporarily rejected|waited longer than'
                 "|timeout in communication|can't resolve (user|group)|request limit .* exceeded"),
        ('silent', 'commlib error|got send|got read|got connect|gdi request|answer list'
                   '|unable to (send|contact)'),
        ('refused', 'unknown (queue|resource|option|attribute|object|project|host|user)'
                    r'|does not exist|no suitable queues|invalid|illegal|is not a (\w+ )?value'
                    '|not a valid|(cannot|can.t) parse|usage:|requires an|no access to project'
                    '|(missing|wrong) (option|argument|value|project)|without project'),
    )

    choices = {'memory_per': ('slot', 'job')}

    #: Resources that hold the memory of a job at one site or another; `extra` with one of them says all about
    #: memory.
    MEMORY_RESOURCE = r'(?!.*gpu)(\w*mem\w*|virtual_free|[vm]f|[hs]_rss|ram)'

    #: Resources that count the GPUs of a job at one site or another, likewise.
    GPU_RESOURCE = r'(n_?|num_?)?gpus?'

    #: A directory that -wd cannot name: words with a dollar are replaced ($HOME, $TASK_ID, $USER), a newline
    #: ends it, and the job waits in error state for ever. It starts in / instead, and its script has to
    #: change its directory.
    UNUSABLE = r'[$\n]'

    def __init__(self, settings=None, wake=None):
        """Make a backend; see the class for the settings."""
        super().__init__(settings, wake)
        self._counted_per = {}    # by resource: 'slot' or 'job'

    @staticmethod
    def user():
        """Return the user's name as Grid Engine has it: it asks the system, not the environment."""
        import pwd
        try:
            return pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            return str(os.geteuid())

    def memory_resource(self):
        """Return the name of the resource that limits memory."""
        return self.settings.get('memory_resource') or 'h_vmem'

    def counted_per(self, resource, slots):
        """Return what a resource is counted for, 'slot' or 'job', as the site says, which is asked once.

        Args:
            resource: its name
            slots: number of slots; with one it makes no difference, and nothing is asked
        """
        told = self._counted_per.get(resource)
        if slots > 1 and not told:
            kind = self.parse_consumable(self.ask(['qconf', '-sc']).out, resource)
            told = kind and ('job' if kind in ('JOB', 'HOST') else 'slot')
            if told:    # without an answer it is asked again
                self._counted_per[resource] = told
        return told or 'slot'

    def memory_per(self, slots):
        """Return what memory is counted for: the setting, or what `counted_per` does."""
        return self.settings.get('memory_per') or self.counted_per(self.memory_resource(), slots)

    def gpu_argv(self, params, slots, named):
        """Return the option for GPUs, in whose place is what `extra` asks for: the names of resources."""
        resource = self.settings.get('gpu_resource') or 'gpu'
        own = [name for name in named if name == resource or re.fullmatch(self.GPU_RESOURCE, name)]
        if own or not params.get('gpus'):
            return []
        each = params['gpus'] / (slots if self.counted_per(resource, slots) == 'slot' else 1)
        return ['-l', '{}={:.6g}'.format(resource, each)]

    @staticmethod
    def named_resources(words):
        """Return the names of the resources that the -l options among the words ask for."""
        return [item.partition('=')[0] for option, value in zip(words, words[1:]) if option == '-l'
                for item in value.split(',')]

    def chooses_hosts(self, params):
        """See `Backend.chooses_hosts`: by `-l h=`, or a queue on one of its hosts (all.q@n1)."""
        extra = shlex.split(params.get('extra', ''))
        extra = self.option_words(params, extra) + extra
        queues = [after for word, after in zip(extra, extra[1:]) if word == '-q'] + [params.get('queue', '')]
        named = self.named_resources(extra)
        return '@' in ' '.join(queues) or not {'h', 'hostname'}.isdisjoint(named)

    def request_argv(self, params):
        """Return the options for cores, memory, time and queue, and `extra`: what qsub and qrsh have in
        common.

        Raises:
            ValueError: extra has an open quote
        """
        extra = shlex.split(params.get('extra', ''))
        extra = self.option_words(params, extra) + extra
        named = self.named_resources(extra)
        slots = max(params.get('cores', 1), params.get('tasks', 1))
        argv = []
        if '-pe' in extra:
            wanted = extra[extra.index('-pe'):][2:3]
            slots = int(wanted[0]) if wanted and wanted[0].isdigit() and int(wanted[0]) else slots
        elif slots > 1:
            argv += ['-pe', params.get('penv') or self.settings.get('penv') or 'smp', str(slots)]
        if params.get('memory') and not any(re.fullmatch(self.MEMORY_RESOURCE, name) for name in named):
            # Fractions are taken by some releases only. K and M count by 1024, k and m do not.
            kilobytes = divide_up(params['memory'], 1024 * (slots if self.memory_per(slots) == 'slot' else 1))
            amount = '{}K'.format(kilobytes) if kilobytes % 1024 else '{}M'.format(kilobytes // 1024)
            argv += ['-l', '{}={}'.format(self.memory_resource(), amount)]
        argv += self.gpu_argv(params, slots, named)
        if params.get('time') and 'h_rt' not in named:
            argv += ['-l', 'h_rt={}'.format(divide_up(params['time'], 1))]
        if self.avoided and not self.chooses_hosts(params):
            argv += ['-l', 'h=!({})'.format('|'.join(sorted(self.avoided)))]    # sge_types(5), MATCHING TYPES
        # Two -q add up, and one unknown queue among them is enough to be refused.
        if params.get('queue') and '-q' not in extra:
            argv += ['-q', params['queue']]
        return argv + extra

    def submit_argv(self, script, name, count, params, output):
        """See `Backend.submit_argv`."""
        argv = ['qsub', '-terse', '-N', name]
        # Lines with #$ in the user's commands are no options (-C ''), the shell of the queue may be any (-S),
        # and no site default turns the script into a command (-b n). Our own driver decides on a second run
        # (-r n).
        argv += ['-C', '', '-S', '/bin/bash', '-b', 'n', '-r', 'n']
        # -V takes the whole environment along; -v would stop at commas. Values are cut at some 9995
        # characters, and shell functions that were exported do not arrive.
        argv += ['-V']
        directory = params.get('working_directory')
        if not directory:
            argv += ['-cwd']
        else:
            argv += ['-wd', '/' if re.search(self.UNUSABLE, directory) else directory]
        # Grid Engine fills in $TASK_ID, 0 for a single job. It would take a colon as the end of a host's
        # name, a comma as the end of the path, and other words with a dollar for its own.
        argv += ['-j', 'y', '-o', '/dev/null' if re.search(r'[:,$\n]', output) else output + '.$TASK_ID']
        if count > 1:
            argv += ['-t', '1-{}'.format(count)]
        return argv + self.request_argv(params) + [script]

    @classmethod
    def parse_submission(cls, answer, count, params=None):
        """See `Backend.parse_submission`.

        An exit status of 1 does not mean that nothing was submitted: where a queue shuts the user out, the
        words are `Your job 18 ("x") has been submitted` all the same, and the job is there. And anything may
        stand around the id.
        """
        found = set(re.findall(r'Your job(?:-array)? (\d+)(?:\.\d+-\d+:\d+)? \("', answer.whole()))
        if answer.code == 0:
            terse = r'^\s*(\d+)\s*$' if count == 1 else r'^\s*(\d+)\.1-{}:1\s*$'.format(count)
            found.update(re.findall(terse, answer.out, re.MULTILINE))
        if len(found) == 1:
            return 'ok', found.pop()
        if found or not answer.code or answer.code < 0:
            return 'silent', answer.message()
        said = answer.err + answer.out
        lines = [line.strip() for line in said.splitlines() if line.strip() not in ('', 'Exiting.')]
        message = fold_lines(lines) or answer.message()
        if not lines:
            return 'silent', message
        return 'busy' if answer.code == 25 else cls.classify_failure(said), message

    def job_name(self, prefix, batch, token):
        """See `Backend.job_name`. qsub(1) forbids some characters and others break it; these are safe, after
        a letter. qstat shows ten characters only: the number of the batch comes first."""
        readable, number, end = super().job_name(prefix, batch, token).rsplit('.', 2)
        return 'b{}.{}.{}'.format(number, readable, end)

    def task_name(self, task):
        """See `Backend.task_name`: 123.4, or 123."""
        number, index = task
        return '{}.{}'.format(number, index) if index else number

    def limits(self):
        """See `Backend.limits`."""
        return self.parse_limits(self.ask(['qconf', '-sconf']).out) or super().limits()

    # Following

    def own_tasks(self, states):
        """Return what `parse_tasks` does of this user's tasks in these states (qstat -s), None without an
        answer."""
        # -s also where it says what is the default, for users who have another one in ~/.sge_qstat.
        answer = self.ask(['qstat', '-u', self.user(), '-s', states, '-xml'])
        try:
            return self.parse_tasks(answer.out) if answer.code == 0 else None
        except ValueError:
            self.note_unknown('answer', answer.whole())
            return None

    def find(self, name):
        """See `Backend.find`. A job that ended is among the last finished ones for a while: '' means that it
        is not in the queue."""
        tasks = []
        for states in ('prs',) + self.FINISHED:
            listed = self.own_tasks(states)
            # Each release knows one of the letters for what has finished.
            if listed is None and 'wrong argument to -s' not in self.last_answer().whole():
                return None
            tasks += listed or []
        # Submitted twice under one name: the driver knows of the later one.
        return max((number for number, _, called, _, _, _ in tasks if called == name), key=int, default='')

    def poll(self, ids):
        """See `Backend.poll`. One qstat, and one `qstat -j` where tasks are in error state or wait for no
        known reason."""
        tasks = self.own_tasks('prs')
        if tasks is None:
            return None
        for state in {task[4] for task in tasks}:
            if set(state) - {row[0] for row in self.STATES}:
                self.note_unknown('state', state)
        ids = set(ids)
        states = {(number, index): self.read_state(state)
                  for number, index, _, _, state, _ in tasks if number in ids}
        errors, pending = self._reasons(states)
        for (number, index), (status, message) in states.items():
            reason = ''
            if status == 'FAILED':
                message = errors.get((number, index or 1), message)
                reason = self.error_reason(message)
            elif status == 'PENDING' and not message:
                message = pending.get(number, '')
                message = ': '.join(part for part in (message, self.meaning(message)) if part)
            states[number, index] = status, reason, message
        return states

    def _reasons(self, states):
        """Ask why tasks do not run; return what `parse_reasons` does. Those in error state first."""
        failed = {number for (number, _), (status, _) in states.items() if status == 'FAILED'}
        waiting = {number for (number, _), state in states.items() if state == ('PENDING', '')} - failed
        errors, pending = {}, {}
        for some in portions(sorted(failed, key=int) + sorted(waiting, key=int)[:self.ASKED]):
            answer = self.ask(['qstat', '-j', ','.join(some)])
            told = self.parse_reasons(answer.out)
            errors.update(told[0])
            pending.update(told[1])
            if answer.code == 0 and failed.intersection(some) - {number for number, _ in errors}:
                lines = [line for line in answer.out.splitlines() if re.search('(?i)error', line)]
                self.note_unknown('reason of an error state', '\n'.join(lines) or answer.out)
        return errors, pending

    # The rest

    def task_words(self, tasks, counts):
        """See `Backend.task_words`: 'ID' for all of a submission, 'ID.a-b' and 'ID.c' for some tasks of an
        array. qdel goes on after one that it does not know."""
        words = []
        for number, indices in group_tasks(tasks, counts):
            words += [number] if indices is None else [
                '{}.{}'.format(number, part) for part in write_ranges(indices).split(',')]
        return words

    def interactive(self, params, command):
        """See `Backend.interactive`. Facts for who runs it, as seen on 8.1.9:

        - qrsh ends with the exit status of the command, 128 and the signal, or 0 where it was itself ended by
          a signal; INT, TERM and HUP to it kill the job.
        - More than some 60 kB on its standard input may hang it for ever: give it a terminal, or /dev/null,
          or little.
        """
        here = os.getcwd()
        argv = ['qrsh', '-wd', here, '-V', '-now', 'no']
        if re.search(self.UNUSABLE, here):
            argv[2], command = '/', 'cd {} || exit\n{}'.format(shlex.quote(here), command)
        # With -noshell the words are handed over as they are; otherwise they are joined, for the user's login
        # shell.
        return argv + self.request_argv(params) + ['-noshell', 'bash', '-c', '--', command]


class LsfAnswers:
    """What the commands of LSF say, in plain values: a part of `Lsf`."""

    #: What `bjobs -o` is asked for; pend_reason comes last, because it may contain the delimiter.
    FIELDS = ('jobid', 'jobindex', 'stat', 'exit_code', 'exit_reason', 'exec_host', 'cpu_used', 'run_time',
              'max_mem', 'pend_reason')

    #: What bjobs says where it has no `-o` at all (LSF 8 and before), and on which lines it names a field
    #: that it does not know: 'Invalid field specs jobindex', '<JOBINDEX> in the format string is not a valid
    #: field name.'
    NO_FORMAT = r'(?im)^usage|(?:illegal|invalid|unknown|unrecognized) option'
    BAD_FIELD = '(?i)field|format string'

    #: A line of `bjobs -w`: JOBID USER STAT QUEUE FROM_HOST EXEC_HOST JOB_NAME SUBMIT_TIME.
    TABLE_LINE = re.compile(r'(\d+) +\S+ +([A-Z_]+) +\S+ +\S+ +(\S+) +(\S.*?) +\w{3} +\d+ [\d:]{5}\s*$')

    #: The states of bjobs and what they mean here.
    #: IBM Spectrum LSF 10.1.0, "LSF terms and concepts", section "Job states", and "bjobs command".
    STATES = {
        'PEND': ('PENDING', ''),
        'PROV': ('PENDING', 'its host is being woken up'),
        'WAIT': ('PENDING', 'waits in a chunk of jobs'),
        'PSUSP': ('PENDING', 'held: it starts only after bresume'),
        'FWD_PEND': ('PENDING', 'forwarded to another cluster'),
        'RUN': ('RUNNING', ''),
        'USUSP': ('RUNNING', 'suspended by a user or an administrator'),
        'SSUSP': ('RUNNING', 'suspended by LSF'),
        'SUSP': ('RUNNING', 'suspended'),    # of one of these, as some clients of LSF tell
        'DONE': ('COMPLETED', ''),
        'POST_DONE': ('COMPLETED', ''),
        'PDONE': ('COMPLETED', ''),
        'EXIT': ('FAILED', ''),
        'POST_ERR': ('COMPLETED', 'its post-processing failed'),
        'PERR': ('COMPLETED', 'its post-processing failed'),
        'UNKWN': ('OTHER', 'LSF has lost contact with its host'),
        'ZOMBI': ('OTHER', 'killed, but its host does not answer: it ends when the host is back'),
    }

    #: Why LSF ended a job (TERM_...), and which reason that is here.
    #: IBM Spectrum LSF 10.1.0, "Termination reasons displayed by bacct, bhist, and bjobs".
    TERMINATIONS = {word: reason for reason, words in (
        ('cancelled', 'ADMIN BUCKET_KILL CHKPNT FORCE_ADMIN FORCE_OWNER ORPHAN_SYSTEM OWNER'),
        (UNSTARTABLE, 'CWD_NOTEXIST'),
        ('memory', 'MEMLIMIT SWAP'),
        ('node', 'CSM_ALLOC DATA KUBE OTHER REMOVE_HUNG_JOB RMS SLURM ZOMBIE'),
        ('preempted', 'LOAD MC_RECALL PREEMPT REQUEUE_ADMIN REQUEUE_OWNER WINDOW'),
        ('signal', 'EXTERNAL_SIGNAL PROCESSLIMIT THREADLIMIT'),
        ('time', 'CPULIMIT DEADLINE RUNLIMIT'),
    ) for word in words.split()}

    #: What a signal may stand for that LSF does not explain.
    HINTS = {9: ', as the kernel sends it when memory runs out', 12: ', as LSF sends it at the time limit',
             24: ', as sent at the CPU time limit'}

    #: The line of a success. A site's esub may print others around it.
    SUBMITTED = r'Job <(\d+)> is submitted'

    #: See `Backend`. Most are of the vendor's table of messages (lsb_perror); the waiting lines are of
    #: "Customize batch command messages" (IBM Spectrum LSF 10.1.0). What broke off after the request was sent
    #: is silent.
    FAILURES: 'typing.Tuple[typing.Tuple[str, str], ...]' = (
        ('silent', '(?i)communication time|batch protocol error|xdr |end of file|lsf library call'
                   '|server is not connected'),
        ('busy', '(?i)non-LSF host rejected|pending (job|slot) threshold|connection refused'
                 '|timeout on connect call|reached its (job|slot) limit|no job id can be used'
                 '|queue has been closed|job array index too large|try (again )?later'
                 '|unknown cluster name or|cannot allocate memory|cannot fork|internal error'
                 '|appropriate port number|please wait|still trying|limit exceeded'
                 '|unable to contact|system call failed|unknown user|not registered'
                 '|cannot be created|no space left|quota exceeded'),
        ('refused', '(?i)usage:|illegal option|cannot have an argument|no such queue'
                    '|cannot use the queue|hard limit'
                    r'|bad [\w .-]*(syntax|specification|name|argument|option)|no matching job found'
                    '|no command is specified|too many processors|error near|error in|aborted by esub'
                    '|(does not|not) exist|unknown (resource|queue|host)|must be specified'
                    '|name too long|not a valid|invalid|undefined|not defined|syntax error'),
    )

    #: Lines that only say that LSF takes its time. They come before a good answer too.
    WAITING = '(?i)please wait|still trying'

    NOT_FOUND, NOTHING_FOUND = r'Job <([^<>]*)> is not found', r'(?i)No (?:unfinished |matching )?job found'

    @staticmethod
    def parse_version(text):
        """Return the version of `lsid` as a tuple, such as (10, 1, 0, 15), or ()."""
        found = re.search(r'LSF [^\n]*?(\d+(?:\.\d+)+)', text)
        return tuple(int(part) for part in found.group(1).split('.')) if found else ()

    @staticmethod
    def parse_unit(text):
        """Return LSF_UNIT_FOR_LIMITS of lsf.conf, or of `badmin showconf mbd`, as one of UNITS; '' where
        there is none."""
        found = re.search(r'(?mi)^\s*LSF_UNIT_FOR_LIMITS\s*=\s*"?([KMGT])B?\b', text)
        return found.group(1).upper() + 'B' if found else ''

    @classmethod
    def complaint(cls, answer):
        """Return what a person should read of a failure: the last lines of it, without those that only say to
        wait.

        A site's esub says in lines of its own why it refuses, before bsub's `Request aborted by esub`.
        """
        lines = [line.strip() for line in answer.whole().splitlines() if line.strip()]
        final = [line for line in lines if not re.search(cls.WAITING, line)]
        usage = next((index for index, line in enumerate(final) if re.match('(?i)usage:', line)), None)
        if usage:    # what is wrong stands above it
            final = final[:usage]
        return fold_lines(final[-4:] or lines[-1:]) or answer.message()

    @classmethod
    def parse_submission(cls, answer, count=1, params=None):
        """See `Backend.parse_submission`.

        'Job not submitted.' is bsub's last word on every failure it knows. At the limit of pending jobs bsub
        does not fail but waits, without LSB_NTRIES for ever. One that was killed there has most likely not
        submitted, yet it may have tried again, with success, in its last moment: it counts as silent, and a
        look at the name tells.
        """
        found = re.search(cls.SUBMITTED, answer.out) or re.search(cls.SUBMITTED, answer.err)
        if found:
            return 'ok', found.group(1)
        message, lines = cls.complaint(answer), answer.whole().splitlines()
        if not answer.code:
            return 'silent', message
        last = [line for line in lines if 'not submitted' in line]
        outcome = cls.classify_failure('\n'.join(last or lines))
        if outcome == 'unclear' and not last:    # it did not say that it has submitted nothing
            outcome = 'silent'
        return outcome, message

    @staticmethod
    def parse_limits(text):
        """Return the limits in the output of `bparams -a`, {} where it does not say: MAX_JOB_ARRAY_SIZE
        bounds the index as well."""
        found = re.search(r'MAX_JOB_ARRAY_SIZE\s*=\s*(\d+)', text)
        return {'array': int(found.group(1))} if found else {}

    @staticmethod
    def parse_task(name, index=''):
        """Return the task of '123[4]', or of '123' and its index; None if it is something else."""
        found = re.match(r'(\d+)(?:\[(\d+)\])?$', name.strip())
        if not found:
            return None
        return found.group(1), int(found.group(2) or (index.strip() if index.strip().isdigit() else 0))

    @classmethod
    def parse_jobs(cls, text, fields=FIELDS):
        """Return the list of dicts that `jobs_argv` brings: FIELDS as text ('' where it is unset, or was not
        asked for), and `task`.

        Lines of another form are left out: waiting lines, banners, a reason that goes on in the next line.

        Args:
            text: what bjobs printed
            fields: names of those that it was asked for; () for the table of `bjobs -w`
        """
        found = []
        for line in text.splitlines():
            if fields:
                values = [value.strip() for value in line.split('|', len(fields) - 1)]
                told = dict(zip(fields, values)) if len(values) == len(fields) else {}
            else:
                match = cls.TABLE_LINE.match(line)
                told = dict(zip(('jobid', 'stat', 'exec_host', 'job_name'), match.groups())) if match else {}
            if not re.match('[A-Z_]+$', told.get('stat', '')):
                continue
            job = dict.fromkeys(cls.FIELDS, '')
            job.update((key, '' if value == '-' else value) for key, value in told.items())
            index = job['jobindex'] or re.sub(r'.*\[(\d+)\]$|.*', r'\1', job.get('job_name', ''))
            job['task'] = cls.parse_task(job['jobid'], index)
            if job['task']:
                found.append(job)
        return found

    @classmethod
    def fewer_fields(cls, fields, text):
        """Return the fields that are left to be asked for after bjobs said a text: () for its table only, and
        the same ones where it complains of none.

        The index of a task is also in its name.
        """
        if re.search(cls.NO_FORMAT, text):
            return ()
        lines = [line for line in text.splitlines() if re.search(cls.BAD_FIELD, line)]
        words = set(re.findall(r'\w+', ' '.join(lines).lower()))
        unknown = words & set(fields)
        if unknown & {'jobid', 'stat', 'job_name'}:
            return ()
        left = tuple(field for field in fields if field not in unknown)
        return left[:1] + ('job_name',) + left[1:] if 'jobindex' in unknown else left

    @staticmethod
    def parse_relative(text):
        """Return the name and version of a relative of LSF that `lsid` tells of, '' for LSF itself."""
        found = re.search(r'(?i)\b(?:openlava|volclava)\b(?: [\d.]+\d)?', text)
        return found.group() if found else ''

    @classmethod
    def parse_missing(cls, text):
        """Return the set of ids of which LSF says itself that it does not know them."""
        return {name.strip() for name in re.findall(cls.NOT_FOUND, text)}

    def describe(self, job):
        """Return (status, reason, message) of one of `parse_jobs`."""
        status, words = self.STATES.get(job['stat'], ('', ''))
        if status == 'PENDING':
            reason = job['pend_reason'].rstrip(' ;')
            meaning = self.meaning(reason)
            if meaning:
                reason = '{} ({})'.format(reason, meaning)
            return status, '', ': '.join(part for part in (words, reason) if part)
        if not status:
            self.note_unknown('state', job['stat'])
        self.note_reason(job['exit_reason'])
        found = self.verdict(job['stat'], job['exit_code'], job['exit_reason'], job['exec_host'])
        return found['status'], found['reason'], found['words']

    def note_reason(self, text):
        """Note why LSF has ended a job, if nobody knows its keyword."""
        keyword = re.match(r'TERM_(\w+)', text)
        if keyword and keyword.group(1) not in self.TERMINATIONS:
            self.note_unknown('exit_reason', text)

    @classmethod
    def verdict(cls, state, code='', reason='', host=''):
        """Return what became of a job: dict with status, reason, words and, where known, exit_code and
        signal.

        Args:
            state: as bjobs writes it
            code: exit_code as text; LSF leaves it out for 0, and sometimes for a job that it has killed
            reason: exit_reason, such as 'TERM_OWNER: job killed by owner'; '' if LSF does not know
            host: exec_host; '' for a job that never started
        """
        status, words = cls.STATES.get(state, ('OTHER', 'LSF says {}, a state unknown to QMap'.format(state)))
        if state in ('POST_ERR', 'PERR') and code.strip('0'):
            status = 'FAILED'
        found = {'status': status, 'reason': '', 'words': words}
        if status in ('COMPLETED', 'FAILED') and code.isdigit():
            found['exit_code'] = int(code)
        elif status == 'COMPLETED':
            found['exit_code'] = 0
        if status != 'FAILED':
            return found
        number = found.get('exit_code')
        # Above 128 it is a signal, or a program that ended so by itself: LSF writes both alike ("LSF job exit
        # codes").
        if number and 128 < number <= 192:
            found['signal'] = number - 128
        keyword = re.match(r'TERM_(\w+)', reason)
        found['reason'] = cls.TERMINATIONS.get(keyword.group(1), '') if keyword else ''
        found['words'] = reason.rstrip(' .;')
        is_new = keyword and number is None    # LSF gives a reason that nobody knows, and nothing else
        if not found['reason'] and not is_new:
            found['reason'], words = cls.unexplained(number, found.get('signal'), host)
            found['words'] = found['words'] or words
        return found

    @classmethod
    def unexplained(cls, number, signal, host):
        """Return (reason, message) of a job that failed, where LSF does not say why; arguments as in
        `verdict`."""
        if signal:
            return 'signal', 'killed by signal {}{}'.format(signal, cls.HINTS.get(signal, ''))
        if number is not None:
            return 'exit', 'exit code {}'.format(number)
        return ('exit', 'LSF gives no exit code') if host else ('cancelled', 'ended while it was pending')


class Lsf(LsfAnswers, Backend):
    """IBM Spectrum LSF 10, through bsub, bjobs and bkill, and bparams and lsid.

    The script goes to `bsub` on standard input, because a site may or may not read a file that is named as a
    command. All options are words of the command line. Several tasks are one array, `-J "name[1-n]"`.

    How the parameters are written:
        cores     -n, all on one host (`span[hosts=1]`): without it LSF spreads the slots, and the script has
                  the first only
        nodes     hosts: the slots are dealt out evenly (`span[ptile=...]`)
        tasks     -n as well; where `nodes` is not given LSF may spread them. The larger of cores and tasks
                  counts
        memory    -M (the limit) and `rusage[mem=...]` (the reservation): see the options below
        time      -W, in minutes, rounded up; LSF has no seconds. A site without ABS_RUNLIMIT scales it by the
                  host's speed
        queue     -q
        gpus      -gpu, N for a host (the GPUs by the nodes), which no other job shares (IBM, bsub -gpu)
        account   -P: the project. -G is a group of users
        constraint  -R select[...]
        reservation  -U
        qos       nothing
        penv      nothing: LSF has no parallel environments. `extra = -a openmpi` is its nearest word
        extra     split as a shell splits words, last, so that it can add to all others

    Options of the profile, for sites that differ:
        memory_unit       suffix   numbers carry their unit: `-M 4096MB` (default; LSF 10.1 and later)
                          KB, MB, GB, TB   bare numbers in this unit: LSF_UNIT_FOR_LIMITS of lsf.conf
                          default  bare numbers as LSF means them without that setting: -M in KB, rusage in MB
                          When it is not set and `lsid` tells of a version before 10.1, lsf.conf is read.
        memory_per        host     `rusage[mem]` is for a host, as LSF has it by default: the job's memory by
                                   its nodes
                          slot     it is for a slot (RESOURCE_RESERVE_PER_TASK=Y): the memory by the slots
                          job      written as `mem=.../job`, whatever the site says (LSF 10.1.0.9)
        memory_limit_per  job      -M is the memory of the whole job (default)
                          slot     sites that multiply -M by the slots, or apply it to each process:
                                   divided by the slots

    A folder with `%` in its name cannot be given to LSF, which replaces %J, %I and others and has no way to
    quote them. Such an output goes to /dev/null, and such a working directory is left to the script itself.
    """

    name = 'lsf'
    title = 'LSF'
    task_variable = 'LSB_JOBINDEX'
    id_variable = 'LSB_JOBID'
    #: How often a command tries to reach mbatchd before it gives up; without LSB_NTRIES it never does (IBM,
    #: LSB_QUERY_RETRY_INTERVAL_STEP). bsub tries once: it also waits without end at the limit of pending
    #: jobs, and one that tries again after a lost reply would submit twice. Without LSB_EXIT_IF_CWD_NOTEXIST
    #: a job whose directory is missing on the host runs in /tmp (IBM, bsub -cwd).
    of_questions = {'LSB_NTRIES': '2'}
    of_submissions = {'LSB_NTRIES': '1', 'LSB_EXIT_IF_CWD_NOTEXIST': 'Y'}
    cancel_argv = ['bkill']
    unended, removal = 'its host does not answer|lost contact with its host', 'remove it with bkill -r {}'
    # sent at the run limit: IBM, RUNLIMIT of lsb.queues
    limit_signals = ('USR2',)
    # The default of the queue stands before what it allows at the most (IBM, bqueues -l).
    remaining = r"""
if [ "$1" = ask ]; then
    while read -t 30 -r qmap_line; do
        [[ $qmap_value = RUNLIMIT && -z $qmap_remaining && $qmap_line =~ ^([0-9]+)[.0-9]*\ min ]] &&
            qmap_remaining=$((60 * BASH_REMATCH[1]))
        qmap_value=$qmap_line
    done < <(bqueues -l "$LSB_QUEUE")
fi
"""
    # IBM Spectrum LSF 10, "bsub command"
    queue_option = r'-q(?!\S)'
    extra_rules = ExtraRules({
        '-J': 'QMap finds its jobs by their name, and makes the arrays; set the parameter name instead',
        '-K': 'QMap waits for the jobs itself; leave it out',
        '-I -IS -ISp -ISs -IX -Ip -Is': 'QMap submits no interactive jobs; leave it out',
        '-pack': 'QMap submits a script of its own; leave it out',
        '-h -V': 'submits nothing; leave it out',
    }, '-B -H -I -IS -ISp -ISs -IX -Ip -Is -K -N -Ne -V -XF -Zs -ar -datachk '
       '-h -hl -r -rn -ti -ul -x')
    options = {'account': ('-P {}', '-P'), 'reservation': ('-U {}', '-U'),
               'constraint': ('-R select[{}]', None)}
    lacks = {'qos': 'set queue, or a service class in extra: -sla NAME'}
    # lines of the job report; IBM Spectrum LSF 10, "Termination reasons displayed by bacct, bhist, and bjobs"
    NOTES = ((r'TERM_MEMLIMIT|TERM_SWAP', 'memory'), (r'TERM_(?:RUN|CPU)LIMIT|TERM_DEADLINE', 'time'),
             (r'TERM_(?:FORCE_)?(?:OWNER|ADMIN)', 'cancelled'),
             (r'TERM_(?:LOAD|PREEMPT|REQUEUE_\w+|WINDOW)', 'preempted'), (r'TERM_ZOMBIE', 'node'))

    #: Parts of one index list, as in 123[1,3,5-9]: keeps each word far below the 4,094 characters of LSF.
    PARTS = 200

    UNITS = {'KB': 2 ** 10, 'MB': 2 ** 20, 'GB': 2 ** 30, 'TB': 2 ** 40}
    choices = {'memory_unit': ('suffix', 'default', 'GB', 'KB', 'MB', 'TB'),
               'memory_per': ('host', 'slot', 'job'), 'memory_limit_per': ('job', 'slot')}

    def __init__(self, settings=None, wake=None):
        """Make a backend; see the class for the settings.

        Raises:
            ValueError: a setting has a value that is none
        """
        super().__init__(settings, wake)
        self._unit = self.settings.get('memory_unit') or ''
        self._fields: 'typing.Tuple[str, ...]' = self.FIELDS
        self._array = None

    # Submitting

    def memory_unit(self):
        """Return how memory is written: the setting, or what suits the version; asked once."""
        if not self._unit:
            self._unit = 'suffix'
            version = self.parse_version(self.ask(['lsid'], timeout=10).out)
            if version and version < (10, 1):
                self._unit = self._configured_unit() or 'default'
        return self._unit

    def _configured_unit(self):
        """Return LSF_UNIT_FOR_LIMITS of the site, or ''."""
        unit = self.parse_unit(self.ask(['badmin', 'showconf', 'mbd'], timeout=10).out)
        if unit:
            return unit
        folder = os.environ.get('LSF_ENVDIR') or '/etc'
        try:
            with open(os.path.join(folder, 'lsf.conf'), errors='replace') as source:
                return self.parse_unit(source.read())
        except OSError:
            return ''

    @classmethod
    def memory_word(cls, size, unit, default):
        """Return a memory size for bsub, rounded up.

        Args:
            size: bytes
            unit: suffix, default, or one of UNITS (see the class)
            default: the unit that LSF means here where the site has set none
        """
        if unit == 'suffix':
            return '{}MB'.format(cls.memory_word(size, 'MB', default))
        return '{}'.format(max(1, divide_up(size, cls.UNITS[default if unit == 'default' else unit])))

    @classmethod
    def request_argv(cls, params, unit='suffix', per='host', limit_per='job'):
        """Return the options of bsub for these params, without `working_directory`, those in `options`, and
        `extra`.

        Args:
            params: see `Backend`
            unit, per, limit_per: the options memory_unit, memory_per and memory_limit_per
        """
        argv, resources = [], []
        nodes, memory = params.get('nodes') or 0, params.get('memory')
        slots = max(params.get('cores') or 1, params.get('tasks') or 1, nodes)
        if params.get('queue'):
            argv += ['-q', params['queue']]
        if slots > 1:
            argv += ['-n', '{}'.format(slots)]
        if params.get('time'):
            # bsub -W has minutes only (IBM, bsub -W).
            argv += ['-W', '{}'.format(max(1, divide_up(params['time'], 60)))]
        if memory:
            argv += ['-M', cls.memory_word(memory if limit_per == 'job' else memory / slots, unit, 'KB')]
            reserved = memory / {'job': 1, 'slot': slots, 'host': max(1, nodes)}[per]
            resources.append('rusage[mem={}{}]'.format(
                cls.memory_word(reserved, unit, 'MB'), '/job' if per == 'job' else ''))
        if params.get('gpus') and not re.search(r'(^|\s)-gpu\b|\bngpus', params.get('extra') or ''):
            # Where reservations are for a slot, so is this number without its unit.
            argv += ['-gpu', 'num={}{}:j_exclusive=yes'.format(
                divide_up(params['gpus'], max(1, nodes)), '/host' if per == 'slot' else '')]
        may_spread = nodes != 1 and params.get('tasks')
        if nodes > 1:
            resources.append('span[ptile={}]'.format(divide_up(slots, nodes)))
        elif slots > 1 and not may_spread:
            resources.append('span[hosts=1]')
        if resources:
            argv += ['-R', ' '.join(resources)]
        return argv

    @staticmethod
    def directory_argv(params):
        """Return the option for the working directory, if it can be written (see the class)."""
        path = params.get('working_directory') or ''
        return ['-cwd', path] if path and '%' not in path else []

    def options_argv(self, params):
        """Return the options for all params: what a submission and a command that is run now have in
        common."""
        unit = self.memory_unit() if params.get('memory') else 'suffix'
        extra = shlex.split(params.get('extra') or '')
        return (self.directory_argv(params)
                + self.request_argv(params, unit, self.settings.get('memory_per') or 'host',
                                    self.settings.get('memory_limit_per') or 'job')
                + self.option_words(params, extra) + extra)

    def unusable(self):
        """See `Backend.unusable`: bsub of the relatives of LSF takes `-oo FILE` for the command to run."""
        relative = self.parse_relative(self.ask(['lsid'], timeout=10).out)
        return relative and ('{} lacks options of bsub that QMap needs (-rn, -oo, -cwd); IBM Spectrum LSF '
                             'has them'.format(relative))

    def submit_argv(self, script, name, count, params, output):
        """See `Backend.submit_argv`; the script is its standard input."""
        # -rn: whoever submits decides what runs again. -oo: without any -o LSF sends mail; without -e the
        # file has standard error too. It writes the file when the job has ended.
        return ['bsub', '-J', '{}[1-{}]'.format(name, count) if count > 1 else name, '-rn',
                '-oo', '/dev/null' if '%' in output else '{}.%I'.format(output)] + self.avoid_argv(params) + \
            self.options_argv(params)

    def chooses_hosts(self, params):
        """See `Backend.chooses_hosts`; beside compound requirements none can be added."""
        return bool(re.search(r'(^|\s)-m\b|\{', params.get('extra') or ''))

    def avoid_argv(self, params):
        """Return the option that keeps a submission from some nodes.

        All of several -R hold, but compound ones, in braces, stand alone; and where a host's name is asked
        for, bsub no longer means its own type of hosts by itself (IBM, "Selection string").
        """
        if not self.avoided or self.chooses_hosts(params):
            return []
        wanted = [] if '-R' in (params.get('extra') or '') else ['type==local']
        wanted += ["hname!='{}'".format(node) for node in sorted(self.avoided)]
        return ['-R', 'select[{}]'.format(' && '.join(wanted))]

    def submit_input(self, script):
        """See `Backend.submit_input`."""
        return script

    def job_cmd(self, script, name, count, params, output):
        """See `Backend.job_cmd`."""
        return 'LSB_EXIT_IF_CWD_NOTEXIST=Y {} < {}'.format(
            super().job_cmd(script, name, count, params, output), shlex.quote(script))

    def expect_less(self, count, message):
        """See `Backend.expect_less`: `bparams` did not say, or the queue allows less."""
        if 'array index too large' in message:
            self._array = max(1, count // 2)

    def task_name(self, task):
        """See `Backend.task_name`: '123[4]', or '123' for a single job."""
        return '{}[{}]'.format(*task) if task[1] else task[0]

    def limits(self):
        """See `Backend.limits`. (Without a setting it is 1,000: IBM, bsub -J.)"""
        size = (self.parse_limits(self.ask(['bparams', '-a']).out) or super().limits())['array']
        return {'array': min(size, self._array or size)}

    # Following

    def jobs_argv(self, *selection):
        """Return the words of bjobs that list these jobs: options and ids."""
        if not self._fields:
            return ['bjobs', '-w'] + list(selection)
        fields = '{} delimiter=\'|\''.format(' '.join(self._fields))
        return ['bjobs', '-noheader', '-o', fields] + list(selection)

    def ask_jobs(self, *selection):
        """Ask bjobs for jobs: options and ids. Return its `Answer`, and what `parse_jobs` finds there.

        Not every release has all of FIELDS, or `-o`: what this one lacks is not asked for again.
        """
        while True:
            answer = self.ask(self.jobs_argv(*selection))
            jobs = self.parse_jobs(answer.out, self._fields)
            left = self.fewer_fields(self._fields, answer.whole())
            if jobs or left == self._fields:
                return answer, jobs
            self._fields = left

    def find(self, name):
        """See `Backend.find`.

        A job that ended longer ago than the site's CLEAN_PERIOD (an hour) is '' too: LSF has forgotten it,
        and what it wrote itself has to tell.
        """
        answer, jobs = self.ask_jobs('-a', '-J', name)
        found = sorted({int(job['task'][0]) for job in jobs})
        if found:
            return '{}'.format(found[0])
        text = answer.whole()
        unknown = name in self.parse_missing(text) or re.search(self.NOTHING_FOUND, text)
        return '' if answer.code is not None and unknown else None

    def list_tasks(self, ids):
        """See `Backend.list_tasks`.

        An id has left the queue only where LSF itself says `Job <id> is not found`: its exit status means
        nothing (it differs by version and by LSB_BJOBS_CONSISTENT_EXIT_CODE), and other silence is no news.
        The number of tasks of an id is not known here, so no news of one id cannot be told task by task: then
        the whole answer is None, and nothing is concluded from it. The next question comes soon.
        """
        answer, jobs = self.ask_jobs('-a', *ids)
        if answer.code is None:
            return None
        known = {job['task'][0] for job in jobs} | self.parse_missing(answer.whole())
        return {job['task']: self.describe(job) for job in jobs} if known.issuperset(ids) else None

    def chatter(self, text):
        """See `Backend.chatter`: what stands below the job report."""
        return text.rpartition('The output (if any) follows:')[2]

    # The rest

    def task_words(self, tasks, counts):
        """See `Backend.task_words`: '123' for a single job or a whole array, else '123[4-6]'.

        An id that is not a positive number is left out: `bkill 0` kills all jobs of a user. bkill ends with
        255 where one of the tasks had ended, and has killed the others all the same.
        """
        words = []
        for number, indices in group_tasks(tasks, counts):
            if not re.match('[1-9][0-9]*$', number):
                continue
            if indices is None:
                words.append(number)
                continue
            for part in portions(write_ranges(indices).split(','), self.PARTS):
                words.append('{}[{}]'.format(number, ','.join(part)))
        return words

    def interactive(self, params, command):
        """See `Backend.interactive`. bsub hands one string to /bin/sh. What it says itself goes to
        standard error (BSUB_STDERR), or away (BSUB_QUIET)."""
        words = ['env', 'BSUB_STDERR=Y'] + (['BSUB_QUIET=Y'] if params.get('quiet') else [])
        command = '/bin/bash -c -- {}'.format(shlex.quote(command))
        return words + ['bsub', '-I'] + self.options_argv(params) + [command]


##############################################################################################################
# The standalone executor: the backend for this machine
##############################################################################################################

def machine_cores():
    """Return the number of cores that this process may use: its affinity, and the quota of its cgroup."""
    cores = len(os.sched_getaffinity(0))
    for quota in cgroup_values('cpu', 'cpu.max', 'cpu.cfs_quota_us', 'cpu.cfs_period_us'):
        limit, _, period = quota.partition(' ')
        if limit.isdigit():
            cores = min(cores, max(1, int(limit) // int(period or 100000)))
    return cores


def machine_memory():
    """Return the bytes of memory that this process may use: the machine's, and the limit of its cgroup."""
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    for limit in cgroup_values('memory', 'memory.max', 'memory.limit_in_bytes'):
        if limit.isdigit():
            memory = min(memory, int(limit))
    return memory


def cgroup_values(controller, name2, *names1):
    """Yield what a file says in the cgroup of this process and in all above it.

    Args:
        controller: its name in version 1
        name2: the file's name in version 2
        names1: the names of the files that say the same in version 1, each a part of it (cgroups(7))
    """
    try:
        with open('/proc/self/cgroup') as lines:
            entries = [line.rstrip('\n').split(':', 2) for line in lines]
    except OSError:
        return
    for _, controllers, path in entries:
        if controllers and controller not in controllers.split(','):
            continue
        root, names = ('/sys/fs/cgroup/' + controller, names1) if controllers else ('/sys/fs/cgroup', [name2])
        while True:
            parts = [read_line('{}{}/{}'.format(root, path.rstrip('/'), name)) for name in names]
            if parts[0]:
                yield ' '.join(filter(None, parts))
            if path in ('/', ''):
                break
            path = os.path.dirname(path)


#: Variables with the names of the GPUs that a process may use, separated by commas: of NVIDIA and of AMD
#: (CUDA C++ Programming Guide, "CUDA Environment Variables"; ROCm documentation, "GPU isolation techniques").
CUDA, ROCR = 'CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES'


def machine_devices():
    """Return the names of the GPUs that this process may use, as a list: as the environment says, else
    indices, as many as the machine has."""
    for variable in (CUDA, ROCR):
        if variable in os.environ:
            names = (part.strip() for part in os.environ[variable].split(','))
            # What follows one that is none, such as -1, does not count.
            names = itertools.takewhile(re.compile(r'\d+\Z|(?:GPU|MIG)-').match, names)
            return list(collections.OrderedDict.fromkeys(names))
    told = call_scheduler(['nvidia-smi', '-L'], timeout=20).out
    found = re.findall(r'^GPU \d+:', told, re.M) or nvidia_devices() or amd_devices()
    return list(map(str, range(len(found))))


def nvidia_devices():
    """Return a list with an entry for each GPU of NVIDIA that the kernel has."""
    return listed_names('/proc/driver/nvidia/gpus') or [
        name for name in listed_names('/dev') if re.match(r'nvidia\d+\Z', name)]


def amd_devices():
    """Return a list with an entry for each GPU of AMD that the kernel has; nodes that are CPUs have no id."""
    folder = '/sys/class/kfd/kfd/topology/nodes'
    return [name for name in listed_names(folder)
            if read_line(os.path.join(folder, name, 'gpu_id')) not in ('', '0')]


def listed_names(folder):
    """Return the list of the names in a folder, an empty one where it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def device_variables(devices):
    """Return the variables that tell a job its GPUs, a list of names: none where it has none of its own.

    Programs for AMD read both variables, and count by the first within what the second names.
    """
    if not devices:
        return {}
    for_cuda = devices if nvidia_devices() or not amd_devices() else map(str, range(len(devices)))
    return {CUDA: ','.join(for_cuda), ROCR: ','.join(devices)}


def devices_of(pid):
    """Return the list of the GPUs that a process was given when it was started (proc(5))."""
    try:
        with open('/proc/{}/environ'.format(pid), 'rb') as source:
            variables = dict(entry.partition(b'=')[::2] for entry in source.read().split(b'\0'))
    except OSError:    # it has ended
        return []
    return list(filter(None, os.fsdecode(variables.get(ROCR.encode(), b'')).split(',')))


NO_PROCESS, NO_THREAD = 'cannot start a process', 'cannot start a thread'

#: What the system says where it has no process, thread, memory or file descriptor to give at the moment.
SHORTAGES = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class Processes:
    """A look at all processes of this machine (proc(5))."""

    def __init__(self):
        page = os.sysconf('SC_PAGE_SIZE')
        self._boot = boot_id()
        self._resident, self._ticks, self._parent, self._group = {}, {}, {}, {}
        self._children, self._sessions = {}, {}
        for pid in self._all():
            try:
                with open('/proc/{}/stat'.format(pid), 'rb') as source:
                    fields = source.read().rpartition(b')')[2].split()
            except OSError:
                continue
            if len(fields) > 21 and fields[0] not in (b'Z', b'X'):
                self._resident[pid] = int(fields[21]) * page
                self._ticks[pid] = int(fields[19])
                self._parent[pid] = int(fields[1])
                self._group[pid] = int(fields[2])
                self._children.setdefault(int(fields[1]), []).append(pid)
                self._sessions.setdefault(int(fields[3]), []).append(pid)

    @staticmethod
    def _all():
        while True:
            try:
                return [int(name) for name in os.listdir('/proc') if name.isdigit()]
            except OSError as error:
                if error.errno not in SHORTAGES:
                    raise
                time.sleep(0.1)    # nobody can do without this look

    def birth(self, pid):
        """Return what `birth` does, as it was at this look."""
        return '{}/{}'.format(self._boot, self._ticks[pid]) if pid in self._ticks else ''

    def first_child(self, pid):
        """Return when the first of the children of a process was started, None where it has none.

        Returns:
            seconds on the monotonic clock. The kernel tells it on the boot clock, which is ahead of that by
            the time for which the machine has slept: for a while, it may be later than now (proc(5),
            clock_gettime(2))
        """
        ticks = [self._ticks[child] for child in self._children.get(pid, ())]
        return min(ticks) / os.sysconf('SC_CLK_TCK') if ticks else None

    def tree(self, pid):
        """Return a list of the processes below this one: its descendants, and all else in its session.

        Parents stand before their children: a shell that is ended after what it waits for would go on to its
        next command, and may even end well.
        """
        session = set(self._sessions.get(pid, ()))
        found = collections.OrderedDict.fromkeys(self._children.get(pid, []) + [
            other for other in session - {pid} if self._parent[other] not in session])
        more = collections.deque(found)
        while more:
            children = [child for child in self._children.get(more.popleft(), ()) if child not in found]
            found.update(dict.fromkeys(children))
            more.extend(children)
        return list(found)

    def outside(self, pids, leader):
        """Return those of some processes that are not in the process group with this leader."""
        return [pid for pid in pids if self._group.get(pid, leader) != leader]

    def orphans(self, pid):
        """Return a list of the processes in the session of a process that has ended."""
        return [] if pid in self._ticks else self._sessions.get(pid, [])

    def resident(self, pids):
        """Return the bytes that these processes have in memory: all pages, and those that several share in
        each."""
        return sum(self._resident.get(pid, 0) for pid in pids)


def memory_held(pids, limit=None):
    """Return the bytes of memory that processes hold together, and the most that one of them has of mapped
    files.

    The pages of mapped files do not count: the kernel drops them when it needs room. Pages that several
    processes share count in each; where that makes a difference, or brings the sum over the limit, their
    shares are summed instead, which takes the kernel much longer to tell.
    """
    amounts = [process_memory(pid) for pid in pids]
    total, most = sum(held for held, _ in amounts), max((held for held, _ in amounts), default=0)
    may_be_shared = total > most + most // 16 + (16 << 20)
    if len(pids) < 2:
        may_be_shared = False
    elif limit is not None and total > limit:
        may_be_shared = True
    if may_be_shared:
        total = sum(held if share is None else min(share, held)
                    for (held, _), share in zip(amounts, map(proportional_memory, pids)))
    return total, max((mapped for _, mapped in amounts), default=0)


def process_memory(pid):
    """Return the bytes of a process in memory that only it can give back, and those of mapped files, as a
    pair.

    The first are its own and those that it shares by intent: RssAnon and RssShmem in /proc/PID/status. Before
    Linux 4.5 the second kind counts with the files (proc(5)).
    """
    try:
        with open('/proc/{}/status'.format(pid), 'rb') as source:
            found = {kind: int(size) * 1024
                     for kind, size in re.findall(rb'Rss(\w+):\s*(\d+)', source.read())}
        if b'Anon' in found:
            return found[b'Anon'] + found.get(b'Shmem', 0), found.get(b'File', 0)
        with open('/proc/{}/statm'.format(pid), 'rb') as source:
            page = os.sysconf('SC_PAGE_SIZE')
            resident, files = (int(pages) * page for pages in source.read().split()[1:3])
        return max(0, resident - files), files
    except (OSError, ValueError):    # it has ended
        return 0, 0


def is_runner(pid):
    """Tell whether a process is what this user started to run jobs: whoever may write .qmap/run/ could name
    another one there, to have it killed. (proc(5); setsid(2): the runner leads its session)"""
    try:
        with open('/proc/{}/cmdline'.format(pid), 'rb') as source:
            words = source.read(1 << 16).split(b'\0')
        return os.stat('/proc/{}'.format(pid)).st_uid == os.geteuid() and os.getsid(pid) == pid and any(
            re.search(rb'/\.qmap/batch/\d+\Z', word) for word in words[1:])
    except OSError:
        return False


def proportional_memory(pid):
    """Return the bytes of a process as `process_memory` counts them, shared pages divided by the number that
    share them; None where unknown. (Before Linux 5.3 mapped files are among them.)"""
    try:
        with open('/proc/{}/smaps_rollup'.format(pid), 'rb') as source:
            found = {kind: int(size) * 1024
                     for kind, size in re.findall(rb'\nPss(\w*):\s*(\d+)', source.read())}
    except ProcessLookupError:    # it has ended, and was not yet waited for
        return 0
    except FileNotFoundError:    # gone, or a kernel before 4.14
        return None if os.path.exists('/proc/{}'.format(pid)) else 0
    except OSError:
        return None
    return found[b'_Anon'] + found.get(b'_Shmem', 0) if b'_Anon' in found else found.get(b'', 0)


def send(pids, number):
    """Send a signal to processes, of which some may be gone."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            pass


def spawn(argv, environ, source=None):
    """Start a program in a session of its own, with nothing open but /dev/null, and return its pid.

    Args:
        argv: list of words
        environ: its environment
        source: file descriptor that is to be its standard input

    Python ignores SIGPIPE and SIGXFSZ; the program gets them back. posix_spawn spares the copy of this
    process's page tables, which costs ten times the rest in a large process before Python 3.10.

    Raises:
        OSError: it cannot be started
    """
    if hasattr(os, 'posix_spawn'):
        actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0) if source is None else
                   (os.POSIX_SPAWN_DUP2, source, 0),
                   (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, 1, 2)]
        defaults = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        try:
            return os.posix_spawn(argv[0], argv, environ, file_actions=actions, setsid=True, setsigmask=[],
                                  setsigdef=defaults)
        except NotImplementedError:    # an old C library has no setsid
            pass
    import subprocess
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL if source is None else source,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ,
                             start_new_session=True)
    child.returncode = 0    # it is waited for by its pid, not by this object
    return child.pid


def own_peak():
    """Return the bytes of memory that this process held at most so far.

    What it starts has held as much by the account of the kernel (ru_maxrss), which begins with what the
    process held that called execve(2). VmHWM is this process's own; its ru_maxrss begins with that of whoever
    started it (proc(5)).
    """
    import resource
    try:
        with open('/proc/self/status', 'rb') as source:
            return int(re.search(rb'\nVmHWM:\s*(\d+)', source.read()).group(1)) * 1024
    except (OSError, AttributeError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def note_why(status_path, verdict):
    """Write down why an attempt is ended, for the runner, and for the next driver, should this one not live
    to see it. The first reason stays."""
    try:
        if not os.path.exists(status_path + '.why'):
            write_json(status_path + '.why', verdict)
    except OSError:
        pass


class MemoryUse:
    """The memory of something that was started: what was seen of it, and what the kernel tells at its end.

    Attributes:
        peak: bytes, the most that was seen
        floor: bytes, what starting it took: the kernel's account of it begins with so much
    """

    def __init__(self):
        self.floor = 0
        self.begin()

    def begin(self):
        """Begin to count."""
        self.peak = self._mapped = self._resident = 0

    def measure(self, look, pids, limit):
        """Return the bytes of memory that processes hold, 0 where it is not worth a closer look: they cannot
        be over the limit, and have no more pages than at the last one."""
        resident = look.resident(pids)
        grown = resident > (self._resident if len(pids) == 1 else self._resident * 17 // 16)
        over_limit = limit is not None and resident > limit
        if not grown and not over_limit:
            return 0
        self._resident = max(self._resident, resident)
        memory, mapped = memory_held(pids, limit)
        self.peak, self._mapped = max(self.peak, memory), max(self._mapped, mapped)
        return memory

    def most(self, used, over_limit=False):
        """Return what is known of the memory that it used at most, as was seen, or as the kernel tells of its
        largest process, where mapped files count as well (ru_maxrss: getrusage(2)).

        Args:
            used: struct_rusage of all its processes
            over_limit: whether it was ended for what was seen

        Returns:
            dict with `memory`, in bytes, or with `memory_below`: an upper bound, where its largest process
            cannot be told from the one that started it, and what was seen may not have been the most
        """
        largest = used.ru_maxrss * 1024
        if largest > self.floor + self.floor // 16:    # the kernel counts in portions
            return {'memory': max(self.peak, largest - self._mapped)}
        if self.peak >= largest or over_limit:
            return {'memory': self.peak}
        return {'memory_below': largest}

    def seen(self):
        """Return what `most` does while it still runs, {} where that is not known yet."""
        return {'memory': self.peak} if self.peak > self.floor else {}


class Running:
    """Something that was started, by this process or by an earlier driver, with its limits.

    Attributes:
        pid: of the runner, whose descendants are what the limits are for; None until it is known
        born: its birth; None for our own child
        since: when it began, on the monotonic clock
        status_path: path of the task's words, without the suffix, once it has claimed its attempt
        killed: when it was told to end, on the monotonic clock
        verdict: why: dict with reason, words and time, in seconds since 1970
        memory: MemoryUse
        devices: list of the names of its GPUs
    """

    #: Seconds between SIGTERM and SIGKILL, and for which what cannot be killed is waited for then.
    PATIENCE, AFTER = 10, 5

    def __init__(self, pid, params, born=None, runner=True):
        """
        Args:
            pid, born: see above
            params: dict of parameters
            runner: whether the process itself is ours, so that it is left alone
        """
        self.pid = pid
        self.params = params
        self.born = born
        self.status_path = None
        self.killed = None
        self.verdict = {}
        self.memory = MemoryUse()
        self.devices = []
        self._own = not runner
        self._told = {}    # by pid: the births of those that were told to end
        self._hard = False
        self.begin()

    def begin(self):
        """Begin to count: its first job, or the next in the same shell."""
        self.since = time.monotonic()
        self.memory.begin()

    def alive(self):
        """Tell whether it still runs."""
        return self.born is None or birth(self.pid) == self.born

    def pids(self, look):
        """Return the processes that its limits are for, and what is left of those that were told to end: they
        may have lost their parents since."""
        found = collections.OrderedDict()
        if self.born is None or look.birth(self.pid) in ('', self.born):    # else the number is another's
            found.update(dict.fromkeys([self.pid] * self._own + look.tree(self.pid)))
        for pid, born in self._told.items():
            if look.birth(pid) == born:
                found.update(dict.fromkeys([pid] + look.tree(pid)))
        if self._own:
            return [pid for pid in found if look.birth(pid)]
        return look.outside(found, self.pid)    # the runner's own group is what it sleeps with

    def strict(self):
        """Tell whether it needs a look several times a second."""
        return bool(self.killed or 'memory' in self.params)

    def watch(self, look, now):
        """See what it uses, and end it where that is more than it asked for."""
        limit, most = self.params.get('memory'), self.params.get('time')
        pids = self.pids(look)
        memory = self.memory.measure(look, pids, limit)
        if self.killed:
            if self._hard or now - self.killed > self.PATIENCE:
                send(pids, signal.SIGKILL)
        elif limit is not None and memory > limit:
            self.end(signal.SIGKILL, 'memory', 'used {} of memory, {} requested'.format(
                memory_text(memory), exact_memory(limit)))
        elif most is not None and now - self.since > most:
            self.end(signal.SIGTERM, 'time', 'time limit exceeded ({})'.format(time_text(most)))

    def most_memory(self, used):
        """Return what `MemoryUse.most` does of the usage that the kernel tells."""
        return self.memory.most(used, self.verdict.get('reason') == 'memory')

    def end(self, number, reason, message, look=None):
        """Send it a signal, and note why; `look` at the processes just before, if there was one."""
        if not self.killed:
            self.killed, self._hard = time.monotonic(), number == signal.SIGKILL
            self.verdict = {'reason': reason, 'words': message, 'time': time.time()}
            if self.status_path:
                note_why(self.status_path, self.verdict)
        if self.pid:
            look = look or Processes()
            pids = self.pids(look)
            self._told.update((pid, look.birth(pid)) for pid in pids)
            send(pids, number)

    def ending(self):
        """Tell whether something of it is left that was told to end, and has still time, or is about to be
        killed."""
        return bool(self.killed) and time.monotonic() - self.killed < self.PATIENCE + self.AFTER \
            and bool(self.pids(Processes()))


class Room:
    """The cores, memory and GPUs of this machine, and what of them no job has.

    Attributes:
        cores, memory: number, and bytes
    """

    def __init__(self):
        self.cores = self._free_cores = machine_cores()
        self.memory = self._free_memory = machine_memory()
        self._devices = None
        self._held = collections.Counter()    # by GPU: how many jobs have it

    @property
    def devices(self):
        """The names of the GPUs. Looked for where the first job asks for some: that takes seconds."""
        if self._devices is None:
            self._devices = machine_devices()
        return self._devices

    def refusal(self, params):
        """Return why this machine cannot hold a job, '' where it can."""
        if params.get('cores', 1) > self.cores:
            return 'requests {}; this machine has {}'.format(plural(params['cores'], 'core'), self.cores)
        if params.get('memory', 0) > self.memory:
            return 'requests {} of memory; this machine has {}'.format(
                exact_memory(params['memory']), memory_text(self.memory))
        if params.get('gpus') and params['gpus'] > len(self.devices):
            return 'requests {}; this machine has {}'.format(
                plural(params['gpus'], 'GPU'), len(self.devices) or 'none')
        return ''

    def holds(self, params):
        """Return how many jobs with these parameters it holds at once."""
        cores, gpus = params.get('cores', 1), params.get('gpus')
        most = [self.memory // params.get('memory', 1)]
        most += [self.cores // cores] if cores else []
        most += [len(self.devices) // gpus] if gpus else []
        return max(1, min(most))

    def fits(self, params):
        """Tell whether there is room now for a job with these parameters."""
        cores, memory, gpus = params.get('cores', 1), params.get('memory', 0), params.get('gpus')
        has_gpus = not gpus or gpus <= len(self._free_devices())
        return has_gpus and cores <= max(0, self._free_cores) and memory <= self._free_memory

    def take(self, params, devices=None):
        """Give a job its cores, memory and GPUs, and return the list of these.

        Args:
            params: of the job
            devices: the GPUs that it has already, None for none
        """
        if devices is None:
            devices = self._free_devices()[:params['gpus']] if params.get('gpus') else []
        self._free_cores -= params.get('cores', 1)
        self._free_memory -= params.get('memory', 0)
        self._held.update(devices)
        return devices

    def give_back(self, params, devices):
        """Have back what a job had."""
        self._free_cores += params.get('cores', 1)
        self._free_memory += params.get('memory', 0)
        self._held.subtract(devices)

    def _free_devices(self):
        return [device for device in self.devices if not self._held[device]]


class Runners:
    """Starts the runners of tasks, some ahead of their turn: starting a shell takes as long as many a job,
    and so the next one is there before its slot is free. For one thread at a time, but for `start`."""

    def __init__(self):
        import shutil
        self._bash = shutil.which('bash') or '/bin/bash'
        self._waiting = {}    # by task: the pid of a runner that waits, and the pipe on which it does

    def __contains__(self, task):
        return task in self._waiting

    def __len__(self):
        return len(self._waiting)

    @staticmethod
    def _environ(task, **more):
        return dict(job_environment(), QMAP_TASK=str(task[1]), **more)

    def start(self, task, script, devices=()):
        """Start a runner whose turn it is, and which may use these GPUs; return its pid.

        Raises:
            OSError: it cannot be started
        """
        return spawn([self._bash, '-c', EVALUATE, script], self._environ(task, **device_variables(devices)))

    def prepare(self, task, script):
        """Start the runner of a task that will be the next, as far as to where it waits for a word."""
        try:
            source, gate = os.pipe()
        except OSError:    # there is no room for it; later there may be
            return
        try:
            pid = spawn([self._bash, '-c', EVALUATE, script], self._environ(task, QMAP_WAIT='1'), source)
            self._waiting[task] = (pid, gate)
        except OSError:
            os.close(gate)
        os.close(source)

    def release(self, task):
        """Let a runner that waits go, and return its pid; None where there is none."""
        pid, gate = self._waiting.pop(task, (None, None))
        if pid is None:
            return None
        try:
            os.write(gate, b'\n')
        except OSError:    # somebody has killed it
            os.waitpid(pid, 0)
            pid = None
        os.close(gate)
        return pid

    def dismiss(self, task):
        """Let a runner that waits end. (So it does as well when this process ends, however that happens.)"""
        pid, gate = self._waiting.pop(task, (None, None))
        if pid is not None:
            os.close(gate)
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:    # somebody ignores SIGCHLD
                pass

    def dismiss_all(self):
        """Let all runners that wait end."""
        for task in list(self._waiting):
            self.dismiss(task)


class Warden:
    """A thread that watches over the limits of what runs, and ends what jobs leave behind.

    Attributes:
        stop: Event: there is nothing more to do
    """

    def __init__(self, list_running):
        """
        Args:
            list_running: function that returns a list of all Running
        """
        self.stop = threading.Event()
        self._list_running = list_running
        self._lock = threading.Lock()
        self._ended = []    # pids of runners that have ended, of whose jobs something may be left
        self._thread = None

    def at_work(self):
        """Tell whether it works, or can begin to: there may be no thread for it. Not for two threads at
        once."""
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._work, name='qmap-warden', daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        return True

    def runner_ended(self, pid):
        """Learn that a runner has ended."""
        with self._lock:
            self._ended.append(pid)

    def _work(self):
        while not self.stop.wait(0.25):
            running = [process for process in self._list_running() if process.pid]
            now = time.monotonic()
            worth_a_look = self._ended or any(
                process.strict() or now - process.since > 1 for process in running)
            if not worth_a_look:
                continue
            look = Processes()
            self.sweep(look)
            for process in running:
                process.watch(look, now)
            if not any(process.strict() for process in running):
                self.stop.wait(1.5)

    def sweep(self, look=None):
        """End what jobs have left in the background, in a process group of its own: as `timeout` has."""
        with self._lock:
            ended, self._ended = self._ended, []
        if ended:
            look = look or Processes()
        for pid in ended:
            send(look.orphans(pid), signal.SIGKILL)


class Local(Backend):
    """The standalone executor: the machine's cores and memory as the cluster, a thread a slot. A job that
    asks for no core takes none.

    As strict as a cluster: never more cores or memory at once than the machine has, first come first served;
    a job over its time or memory is killed with all its processes. Jobs outlive the driver, and a later one
    adopts them. A task is a pair of the batch's name and the index.
    """

    name = 'local'
    title = 'this machine'
    task_variable = 'QMAP_TASK'
    id_variable = 'QMAP_NO_ID'
    poll_interval = 1
    grace = 0.5
    #: No slot waits for the driver where jobs are short.
    ahead = 3
    starts_jobs = takes_back = limits_time = accounts_at_once = answers_at_once = True
    reuses_ids = False
    memory_hint = ''
    #: Seconds for which a shortage is told, and no runner started ahead of its time.
    SHORT = 15

    def __init__(self, settings=None, wake=None):
        """See `Backend`."""
        from concurrent.futures import ThreadPoolExecutor
        super().__init__(settings, wake)
        self._wake = wake or (lambda: None)
        self._lock = threading.RLock()
        self._room = Room()
        self._slots = self._room.cores
        self._queue = collections.deque()
        self._runners = Runners()
        self._running, self._ended, self._elsewhere = {}, {}, {}
        self._pool = ThreadPoolExecutor(self._room.cores)
        self._worked = False    # whether the pool has a thread
        self._warden = Warden(self._list_running)
        self._short = ('', 0)    # what was missing, and when that was seen

    def start_threads(self):
        """Start all threads that jobs need: once the main thread is at its end, Python 3.12 starts no more,
        while other releases do as long as functions are called that were registered for it."""
        together = threading.Barrier(self._room.cores + 1, timeout=10)
        try:
            self._guard()
            for _ in range(self._room.cores):
                self._pool.submit(together.wait)
            together.wait()
            self._worked = True
        except RuntimeError:    # there is none to be had now
            together.abort()

    # What every backend answers

    def most(self, params):
        """See `Backend.most`."""
        return {'memory': self._room.memory}

    def throttle(self, jobs):
        """Set how many jobs may run at once."""
        self._slots = jobs
        self._start()

    def holds(self, params):
        """Return how many jobs with these parameters the machine holds at once."""
        return self._room.holds(params)

    def refusal(self, params):
        """Return why the machine cannot hold a job with these parameters, '' where it can."""
        return self._room.refusal(params)

    def submit(self, script, name, count, params, output):
        """Queue the tasks of a script. A job that is larger than the machine is refused."""
        words = self.refusal(params)
        if words:
            return 'refused', words
        with self._lock:
            for k in range(1, count + 1):
                self._queue.append(((name, k if count > 1 else 0), script, params))
        self._start()
        return 'ok', name

    def job_cmd(self, script, name, count, params, output):
        """Return '': jobs run by their own scripts here."""
        return ''

    def chatter(self, text):
        """Return '', for the same reason."""
        return ''

    def job_name(self, prefix, batch, token):
        """Return the name of a batch."""
        return '{}.{}.{}'.format(prefix, token, batch)

    def task_name(self, task):
        """Return '': a job of this machine is known by its pid, which it says itself."""
        return ''

    def find(self, name):
        """Return the name where this process queued it, else '': what an earlier driver queued went with
        it."""
        with self._lock:
            tasks = itertools.chain((entry[0] for entry in self._queue), self._running, self._ended)
            return name if any(task[0] == name for task in tasks) else ''

    def started(self, task, start, params, status_path):
        """See `Backend.started`. A task that is not our child is watched from now on."""
        with self._lock:
            running = self._running.get(task)
            if running is None or running.pid not in (None, start.get('pid')):
                is_here = start.get('born') and birth(start.get('pid')) == start['born']
                if not is_here or not is_runner(start['pid']):
                    if start.get('host') != os.uname().nodename:
                        self._elsewhere[task] = start['host']
                    return
                if running:
                    self._over(task, None, running)    # ours came too late to claim the attempt
                running = self._running[task] = Running(start['pid'], params, start['born'])
                # The runner itself may be older: it may have waited for its turn. The wall clock may have
                # been set.
                running.since = min(running.since, Processes().first_child(running.pid) or running.since)
                devices = devices_of(running.pid) if params.get('gpus') else []
                running.devices = self._room.take(params, devices)
            if running.status_path and running.status_path != status_path:
                running.begin()    # the next job of a share
            running.status_path = status_path
        self._guard()

    @property
    def shortage(self):
        """What this machine had not for a job in the last moments, '' for nothing."""
        text, since = self._short
        return text if time.monotonic() - since < self.SHORT else ''

    def poll(self, ids):
        """Return the status of every task that is queued or runs."""
        with self._lock:
            if self._running:
                self._guard()    # there may have been no thread for it
            tasks = {task: (PENDING, '', '') for task, _, _ in self._queue}
            tasks.update((task, (RUNNING, '', 'on {}, another machine'.format(host)))
                         for task, host in self._elsewhere.items())
            tasks.update((task, (RUNNING, '', '')) for task in list(self._running) if not self.settled(task))
        return tasks

    def accounts(self, tasks):
        """Return what is known of ended tasks."""
        with self._lock:
            return {task: self._ended[task] for task in tasks if task in self._ended}

    def peak(self, task):
        """Return the bytes of memory that a task was seen to use, None where nobody looked."""
        running = self._running.get(task)
        return running.memory.peak or None if running else None

    def seen(self, task):
        """Return what is known of the memory that a running task has used, as `MemoryUse.seen` does."""
        running = self._running.get(task)
        return running.memory.seen() if running else {}

    def forget(self, task):
        """Forget an ended task: what was known of it is written down."""
        self._ended.pop(task, None)

    def settled(self, task):
        """Tell whether nothing more is to come from a task: it is no longer ours to wait for."""
        with self._lock:
            running = self._running.get(task)
            if running and not running.alive() and not running.ending():
                send(running.pids(Processes()), signal.SIGKILL)    # what it ran must not go on unseen
                self._warden.runner_ended(running.pid)
                self._over(task, dict(running.verdict, memory=running.memory.peak), running)
            return task not in self._running

    def cancel(self, tasks, counts):
        """Take queued tasks back, and end running ones: TERM, and after a while KILL, for the whole process
        tree."""
        with self._lock:
            wanted = set(tasks)
            for entry in [entry for entry in self._queue if entry[0] in wanted]:
                self._queue.remove(entry)
                self._runners.dismiss(entry[0])
                self._ended[entry[0]] = {
                    'status': FAILED, 'reason': 'cancelled', 'words': 'cancelled before it ran'}
            running = [self._running[task] for task in tasks if task in self._running]
        look = Processes() if running else None
        for process in running:
            process.end(signal.SIGTERM, 'cancelled', 'cancelled', look)
        self._guard()
        self._wake()

    def withdraw(self):
        """Take back all that has not started, and return those tasks."""
        with self._lock:
            tasks = [task for task, _, _ in self._queue]
            self._queue.clear()
            for task in tasks:
                self._runners.dismiss(task)
        return tasks

    def close(self):
        """Start nothing more. What runs goes on."""
        self._warden.stop.set()
        with self._lock:
            self._runners.dismiss_all()
        self._warden.sweep()
        self._pool.shutdown(wait=False)

    # A slot

    def _start(self):
        with self._lock:
            while self._queue and not self._closed and len(self._running) < self._slots:
                task, script, params = self._queue[0]
                if not self._room.fits(params) or not self._guard():
                    break
                self._queue.popleft()
                running = self._running[task] = Running(None, params)
                running.devices = self._room.take(params)
                try:
                    self._give_thread(task, script, running)
                except RuntimeError:    # it is on the pool's list all the same
                    self._run_short(NO_THREAD)
                    if not self._worked:    # no thread at all would ever take it from there
                        self._put_back(task, script, running)
                        break
                running.pid = self._runners.release(task)

    def _give_thread(self, *job):
        """Give a task that begins a thread: one of its own if it takes no core, as the pool has one for each
        core.

        Raises:
            RuntimeError: there is none
        """
        if job[-1].params.get('cores') == 0:
            try:
                threading.Thread(target=self._slot, args=job, name='qmap-slot').start()
                return
            except RuntimeError:    # the pool may have one
                pass
        self._pool.submit(self._slot_of_pool, *job)

    def _slot_of_pool(self, *job):
        with self._lock:
            self._worked = True
        self._slot(*job)

    def _put_back(self, task, script, running):
        """Let a task wait that could not be started."""
        with self._lock:
            self._queue.appendleft((task, script, running.params))
            self._give_back(task, running)

    def _slot(self, task, script, running):
        with self._lock:
            if self._closed or self._running.get(task) is not running:
                return    # it was put back, and only the pool does not know
        try:
            pid = running.pid = running.pid or self._runners.start(task, script, running.devices)
            running.memory.floor = own_peak()
        except OSError as error:
            self._fail(task, script, running, error)
            return
        self._prepare()
        try:
            # Until it is waited for, its number is no other's.
            signalled = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT).si_code != os.CLD_EXITED
            while running.ending():    # the warden kills what does not end
                time.sleep(0.25)
            if signalled:
                # The runner is gone and cannot say more. What it ran must not go on unseen beside a later
                # attempt.
                send(running.pids(Processes()), signal.SIGKILL)
            _, status, used = os.wait4(pid, 0)
        except ChildProcessError:    # somebody ignores SIGCHLD: its own words must do
            self._over(task, dict(running.verdict), running)
            return
        account = dict(running.verdict, cpu=round(used.ru_utime + used.ru_stime, 3),
                       **running.most_memory(used))
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            account = dict(
                {'reason': 'signal', 'words': ''}, signal=number, exit_code=128 + number, **account)
        elif os.WEXITSTATUS(status) == 75:
            account = None    # a second copy of an attempt that another process runs
        elif os.WEXITSTATUS(status) == 254:    # so a bash ends that has tried to fork for a while
            self._run_short(NO_PROCESS)
        self._warden.runner_ended(pid)
        self._over(task, account, running)

    def _fail(self, task, script, running, error):
        """Let a task wait for which there is no process just now, and end it where there never will be."""
        if error.errno not in SHORTAGES:
            self._over(task, {'reason': 'submit', 'words': 'bash: {}'.format(error.strerror)}, running)
            return
        self._run_short('{}: {}'.format(NO_PROCESS, error.strerror))
        self._warden.stop.wait(1)
        if running.killed:
            self._over(task, dict(running.verdict), running)
            return
        self._put_back(task, script, running)
        self._start()

    def _run_short(self, text):
        """Note what is missing. Runners that wait for a slot must not take the processes that jobs need."""
        with self._lock:
            self._short = (text, time.monotonic())
            self._runners.dismiss_all()

    def _prepare(self):
        """Start the runner of a task that will be the next, unless it has to be told its GPUs."""
        with self._lock:
            tasks = [(task, script) for task, script, params in itertools.islice(self._queue, self._slots)
                     if task not in self._runners and not params.get('gpus')]
            may_prepare = not self._closed and not self.shortage and len(self._runners) < self._slots
            if tasks and may_prepare:
                self._runners.prepare(*tasks[0])

    def _over(self, task, account, running):
        with self._lock:
            self._give_back(task, running)
            if account is not None:
                self._ended[task] = account
        self._start()
        self._wake()

    def _give_back(self, task, running):
        if self._running.get(task) is running:
            del self._running[task]
            self._room.give_back(running.params, running.devices)

    # The warden

    def _guard(self):
        """Have the warden at work, and return whether it is."""
        with self._lock:
            if self._warden.at_work():
                return True
            self._run_short(NO_THREAD)
            return False

    def _list_running(self):
        with self._lock:
            return list(self._running.values())

    @property
    def _closed(self):
        return self._warden.stop.is_set()


#: The backends that this file has, by their names in profiles.
BACKENDS = {backend.name: backend for backend in (Local, Slurm, GridEngine, Lsf)}


def load_backend(executor, settings=None, wake=None):
    """Return the backend for an executor: the one of qmap_backends, which knows more, where that is beside
    this file.

    Args:
        executor: one of EXECUTORS
        settings: of the profile: dict of text
        wake: function to call when a job has ended, where the backend knows that by itself

    Raises:
        QMapError: a setting is wrong, or qmap_backends is of another release
    """
    backend_class = BACKENDS[executor]
    if executor != 'local':
        full = load_module('qmap_backends.' + executor, executor)
        if full and not issubclass(full.BACKEND, backend_class):
            raise other_release(executor, '{} is of another release'.format(full.__file__))
        backend_class = full.BACKEND if full else backend_class
    settings = settings or {}
    try:
        backend = backend_class(settings, wake)
    except ValueError as error:
        raise QMapError('profile: {}'.format(error))
    given = settings if executor != 'local' else {}
    readers = (('poll', 'poll_interval', parse_count), ('give_up', 'give_up', parse_time))
    for setting, attribute, read in readers:
        try:
            if given.get(setting):
                setattr(backend, attribute, read(given[setting]))
        except ValueError as error:
            raise QMapError('profile: {} = {}: {}'.format(setting, given[setting], error))
    return backend


##############################################################################################################
# Records: what is known of a job
##############################################################################################################

def parse_statuses(texts):
    """Return the set of statuses that a list of names, first letters or 'all', with commas or without, stands
    for; and of the reasons among them, for the jobs that FAILED for these.

    Raises:
        QMapError: one of them is none
    """
    wanted = set()
    for text in texts:
        for word in text.split(','):
            found = [status for status in STATUSES if word and word.upper() in (status, status[0])]
            found += [reason for reason in REASONS + (UNNEEDED, GONE) if word.lower() == reason]
            if word.lower() in ('all', 'a'):
                found = STATUSES
            if not found:
                names = [status.lower() for status in STATUSES]
                raise QMapError('{}: unknown status{}'.format(
                    word or '(empty)', did_you_mean(
                        word.lower(), names + [UNNEEDED, GONE] + list(REASONS), '', 'status') or
                    '; known: {} (or first letters), all, {}, {}, and the reasons {}'.format(
                        ', '.join(names), UNNEEDED, GONE, ', '.join(REASONS))))
            wanted.update(found)
    return wanted


def first_texts(texts):
    """Return a dict of texts of parameters with the values of the first attempt alone."""
    several = {key: text for key, text in texts.items() if key in RAISED and ',' in text}
    return dict(texts, **write_parameters(plain_values(read_parameters(several)))) if several else texts


def raised_texts(ledger, texts):
    """Return what is different from a dict of texts of parameters, as others were saved by more."""
    found = {}
    for key, learned in (ledger.settings.get('learned') or {}).items():
        text = texts.get(key)
        for _ in range(len(learned)):
            text = learned.get(text, text)
        if text != texts.get(key):
            found[key] = text
    return found


class Plan:
    """What an execution is to do: the map as submitted, and execution.info.

    Attributes:
        info: dict of execution.info
        first: number of commands in the map as it was submitted
        group: commands in a job
        params: dict of the parameters of all jobs, as it was submitted
        rungs: {parameter: list of its values, one for each attempt}, of those that have several
        retry_rules: RetryRules
    """

    def __init__(self, logs, map=None):
        """Load it from a logs folder.

        Args:
            logs: Logs
            map: Map, if it has been read already

        Raises:
            QMapError: there is none, or it cannot be read
        """
        self.logs = logs
        try:
            if not stat.S_ISDIR(os.stat(logs.path).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), logs.path)
            self.info = read_json(logs.execution)
            if self.info is None and is_there(logs.execution):
                raise QMapError('{}: damaged: not JSON; restore it from a backup'.format(logs.execution))
        except OSError as error:
            raise unreadable_error(error, logs.execution)
        if not isinstance(self.info, dict) or 'token' not in self.info:
            raise NoExecution(logs.path)
        self._check()
        self._map = map or Map(logs.input, submitted=True)
        self._event, self._loaded = {}, {}    # the newest map event, and that of the map that was read
        # A map of the user that was kept: its name, Map, and the MapMatch with the map that there was.
        self._loading, self._staged = threading.Lock(), ('', None, {})
        self.first, self.group = len(self._map), self.info['group']
        try:
            given = read_parameters(self.info['params'])
            read_parameters(self.info['map_params'])
        except ValueError as error:
            raise QMapError('{}: damaged: {}; restore it from a backup'.format(logs.execution, error))
        self.params, self.rungs = plain_values(given), rungs_of(given)
        self.retry_rules = RetryRules(self.info.get('retry') or {})
        self._accept(self._map, self.info.get('commands'))

    def _accept(self, map, commands):
        """Take a Map that was read for the right one.

        Raises:
            QMapError: it has not this number of commands, which is None where it is not known
        """
        if commands not in (None, len(map)):
            raise QMapError('{}: was changed: it contains {}, but {:,} were submitted; restore it from a '
                            'backup'.format(map.path, plural(len(map), 'command'), commands))
        self.logs.most = 100000 + 8 * len(map)
        self._map = map

    @property
    def map(self):
        """The Map: as it was submitted, or as the newest `resume` left it."""
        if self._loaded is not self._event:
            with self._loading:
                event = self._event
                if self._loaded is not event:
                    path = os.path.join(self.logs.qmap, event['file']) if event else self.logs.input
                    commands = event['commands'] if event else self.first
                    self._accept(Map(path, submitted=True), commands)
                    self._loaded = event
        return self._map

    @property
    def width(self):
        """Digits of an id, at least."""
        return len(str(self.first - 1))

    def note_map(self, event):
        """Take in that a ledger comes to a `map` event. Older ones may be read again, and newer maps begin
        with the commands of older ones: hence the newest is right for all."""
        newest = self._event.get('number', 0)
        is_other = event['number'] == newest and event['file'] != self._event['file']
        if event['number'] > newest or is_other:
            self._event = event

    def stage_map(self, map):
        """Keep a copy of a map of the user where a driver takes it, read it there, and return its name.

        Raises:
            QMapError: it has changed since it was read
            OSError: it cannot be copied
        """
        name = os.urandom(8).hex() + '.map'
        path = os.path.join(self.logs.inbox, name)
        try:
            map.copy(path)
            os.chmod(path, 0o644)    # the driver may be another user
            bring_to_disk(path)
        except BaseException:
            remove_file(path)
            raise
        self._staged = name, map, {}
        return name

    def staged_map(self, name):
        """Return the Map that was kept under a name.

        Raises:
            QMapError: it is no map, or may be that of another user
            ValueError: it is no such name
        """
        if not STAGED_NAME.match(name):
            raise ValueError(name)
        if self._staged[0] != name:
            path = os.path.join(self.logs.inbox, name)
            there = status_of((path, False))
            if there and there.st_uid not in (os.geteuid(), 0, os.stat(self.logs.qmap).st_uid):
                raise QMapError('{}: belongs to {}'.format(path, user_name(there.st_uid)))
            self._staged = name, Map(path), {}
        return self._staged[1]

    def match_of(self, map, gone):
        """Return the MapMatch of the map with another, which is made once; gone: as for that."""
        known = self._staged[2] if self._staged[1] is map else {}
        if self.map not in known:
            known[self.map] = MapMatch(self.map, map, self.group, gone)
        return known[self.map]

    def settle_map(self, ledger):
        """Have the map of a ledger that was read to its end, whatever an overtaken driver said."""
        if ledger.map.get('file') != self._event.get('file'):
            self._event = ledger.map
        return self.map

    def _check(self):
        """See that execution.info says what everything else builds on.

        Raises:
            QMapError: it does not; something has changed it
        """
        info, needed = self.info, {'name', 'executor', 'settings', 'params', 'map_params', 'max_running',
                                   'group', 'repeat', 'token', 'created_seconds'}
        right = of_types(info, EXECUTION_FIELDS)
        told = {key for key in EXECUTION_FIELDS if info.get(key) is not None}
        wrong = sorted((needed | told) - set(right))
        wrong += [key for key in ('max_running', 'group') if key in right and right[key] < 1]
        wrong += [key for key in ('settings', 'params', 'map_params', 'retry') if key in right and not all(
            isinstance(text, str) for text in right[key].values())]
        if not all(isinstance(word, str) for word in right.get('repeat', ())):
            wrong.append('repeat')
        if wrong or info['executor'] not in EXECUTORS:
            raise QMapError('{}: damaged: {} missing or wrong; restore it from a backup'.format(
                self.logs.execution, ', '.join(wrong) or 'executor'))

    def commands(self, number):
        """Return the indices of a job's commands in the map."""
        return range(number * self.group, min((number + 1) * self.group, len(self.map)))

    def all_names(self):
        """Return the list of the names of all parameters, those of single commands included."""
        return list(self.params) + list(self.map.names)

    def named(self, id):
        """Return a job's id with its own parameters that QMap does not know, if it has any: '014 sample=S14'.
        """
        if self.alike:
            return id
        try:
            own = self.map.command(int(id))[1]
        except QMapError:    # the map was damaged
            return id
        shown = ' '.join('{}={}'.format(key, value) for key, value in own.items()
                         if key not in PARAMETERS and key not in PATHS)
        return '{} {}'.format(id, shown if len(shown) <= 60 else shown[:57] + '...') if shown else id

    def line_ids(self, number):
        """Return the identifiers of a job's commands."""
        return [self.map.line_id(index) for index in self.commands(number)]

    @property
    def has_outputs(self):
        """Whether the parameters in PATHS are those of QMap: earlier versions took them for the user's."""
        return bool(self.info.get('outputs') or self._event)

    @property
    def alike(self):
        """Whether all jobs were given the same parameters, none having any of its own."""
        return self.group > 1 or not self.map.owns

    @property
    def on_cluster(self):
        """Whether a scheduler runs the jobs, and not this machine by itself."""
        return self.info['executor'] != 'local'

    def job_params(self, number):
        """Return the parameters of a job, its own included."""
        if self.alike:
            return self.params
        own = self.map.command(number)[1]
        return dict(self.params, **plain_values(own)) if own else self.params

    def changes(self, ledger, number):
        """Return what has changed in a job's parameters since the map was submitted, as texts: what `set`
        says, but for the job's own, what a retry says, and what was learned from others."""
        retried = ledger.changes.get(number) or {}
        changes = first_texts(dict(self._set(ledger, number), **retried))
        if 'learned' in ledger.settings:
            asked = write_parameters(change_params(self.job_params(number), changes))
            raised = raised_texts(ledger, asked)
            changes.update((key, raised[key]) for key in raised.keys() - retried.keys())
        return changes

    def worker_params(self, ledger):
        """Return the parameters that a worker requests, as the jobs have them that have none of their own."""
        params = change_params(self.params, first_texts(ledger.settings.get('params') or {}))
        return change_params(params, raised_texts(ledger, write_parameters(params)))

    def _set(self, ledger, number):
        """Return what `set` has changed for a job, as texts: nothing of its own."""
        changes = dict(ledger.settings.get('params') or {})
        if changes and not self.alike:
            for key in self.map.command(number)[1]:
                changes.pop(key, None)
        return changes

    def rungs_of(self, ledger, number):
        """Return {parameter: list of its values, one for each attempt} of a job."""
        own = {} if self.alike else self.map.command(number)[1]
        changed = self._set(ledger, number)
        found = {key: rungs for key, rungs in self.rungs.items() if key not in own and key not in changed}
        found.update(rungs_of(own))
        found.update(rungs_of(read_parameters({key: changed[key] for key in RAISED if changed.get(key)})))
        return found

    def path(self, id, suffix=''):
        """Return the path of a job's file."""
        return self.logs.job(id, suffix, self.first)

    def script(self, id, attempt, params, before=0):
        """Return the JobScript of an attempt, given its parameters, and how many of the commands it leaves
        out."""
        indices = self.commands(int(id) // self.group)
        return job_script(id, attempt, indices, self.map, self.group, params, self.logs, before,
                          self.path(id, '.state'))

    def script_of(self, ledger, number, attempt=None):
        """Return the text of the script that an attempt of a job runs or ran, as the journal knows it.

        Args:
            ledger: Ledger
            number: of the job
            attempt: its number; by default the last one, or the next one where the job waits to be submitted
        """
        known = {record['attempt']: record
                 for record in map(sound_record, [ledger.record(number)] + ledger.earlier(number))}
        if not attempt:
            attempt = max(1, ledger.attempts[number] + (ledger.status[number] == STATUS_CODES[UNSUBMITTED]))
        record = known.get(attempt, {})
        changes = record.get('params') if record else self.changes(ledger, number)
        before = record.get('before', 0) if record or self.group == 1 else ledger.done_before(number)
        return ''.join(self.script(
            ledger.id(number), attempt, change_params(self.job_params(number), changes), before))

    def ledger(self, snapshot_read=None):
        """Return a Ledger of this execution with UsageTotals, not read yet; `snapshot_read` as for Ledger."""
        ledger = Ledger(self.logs, self.first, self.group, snapshot_read, UsageTotals(
            cores_of(self.params, self.on_cluster), self.alike,
            lambda record: cores_of(self.params_of(record), self.on_cluster)))
        ledger.on_map = self.note_map
        return ledger

    def params_of(self, record):
        """Return the parameters with which the attempt of a record was submitted."""
        return change_params(self.job_params(int(record['job']) // self.group), record.get('params'))

    def info_of(self, record, ledger, fields=None):
        """Return the whole of a job's metadata, as it stands in its .info file.

        Args:
            record: dict, the job's last event
            ledger: Ledger
            fields: names of those that are wanted, all by default
        """
        if not fields:
            is_group = self.group > 1 and len(self.commands(int(record['job']) // self.group)) > 1
            fields = JOB_FIELDS if is_group else FIELDS_OF_ONE
        try:
            return self._fields(fields, record, ledger)
        except UNSOUND:
            return self._fields(fields, sound_record(record), ledger)

    def _fields(self, names, record, ledger):
        return {name: JOB_FIELDS[name].value(self, record, ledger) for name in names if name in JOB_FIELDS}

    def _line(self, record, ledger):
        return self.map.line(int(record['job']))

    def _command(self, record, ledger):
        indices = self.commands(int(record['job']) // self.group)
        return '\n'.join(self.map.command(index)[0] for index in indices)

    def _job_cmd(self, record, ledger):
        submitted_with = ledger.job_cmd(record)
        if submitted_with or not record['attempt']:
            return submitted_with
        if record['status'] == FAILED:
            return 'bash ' + shlex.quote(self.path(record['job'], '.sh'))
        return '{} info -l {} --script {} | bash'.format(
            qmap_command(), shlex.quote(self.logs.path), record['job'])

    def _params(self, record, ledger):
        if record['status'] == UNSUBMITTED:
            record = dict(record, params=self.changes(ledger, ledger.number(record['job'])))
        return collections.OrderedDict((key, write_parameter(key, value))
                                       for key, value in self.params_of(record).items())

    def _usage(self, record, ledger):
        usage = {}
        if record.get('started') and record.get('finished'):
            seconds = max(0, record['finished'] - record['started'])
            usage['time'] = {
                'elapsed': time_text(seconds), 'seconds': round(seconds, 3), 'cpu': record.get('cpu')}
        if record.get('memory'):
            usage['memory'] = {'peak': memory_text(record['memory']), 'bytes': record['memory']}
        elif record.get('memory_below'):
            usage['memory'] = {'peak': None, 'bytes': None}
        if record.get('memory_below'):
            usage['memory']['below'] = int(record['memory_below'])
        return usage

    def _seconds(self, record, ledger):
        return {key: record.get(key) for key in ('submitted', 'started', 'finished')}

    def _attempts(self, record, ledger):
        return [collections.OrderedDict(
            [(key, past.get(key, '')) for key in (
                'attempt', 'status', 'error_reason', 'error', 'host', 'executor_id')]
            + [(key, iso_time(past.get(key))) for key in ('started', 'finished')]
            + [(key, past.get(key)) for key in ('exit_code',) + USED])
            for past in map(sound_record, ledger.earlier(ledger.number(record['job'])))]

    def _commands(self, record, ledger):
        count = len(self.commands(int(record['job']) // self.group))
        return {'count': count, 'done': count if record['status'] == COMPLETED else record.get('done', 0)}


def paths_in(plan, number, params, key):
    """Return the paths that a parameter in PATHS names for each command of a job, a list of lists.

    Args:
        plan: Plan
        number: of the job
        params: its parameters
        key: OUTPUTS or INPUTS
    """
    if not plan.has_outputs:
        return []
    return [split_paths(path_texts(plan.map, plan.group, index, params).get(key, ''))
            for index in plan.commands(number)]


def absolute_paths(plan, number, params, key):
    """Return the same as absolute paths."""
    return [[os.path.join(params['working_directory'], path) for path in paths]
            for paths in paths_in(plan, number, params, key)]


def output_verdict(plan, record, end):
    """Return why an attempt has failed that ended with 0 while one of its outputs was missing or empty, as a
    .why tells such things; None for any other.

    Args:
        plan: Plan
        record: its record
        end: its own words, None where there are none
    """
    lacks = (end or {}).get('lacks', 0)
    if lacks < 1 or end['exit_code'] != 0:
        return None
    paths = paths_in(plan, int(record['job']) // plan.group, plan.params_of(record), OUTPUTS)
    path = ([*itertools.chain(*paths)][lacks - 1:] or ['an output'])[0]
    return {'reason': 'output', 'words': path + ' is missing or empty', 'time': end['time']}


def commands_done(plan, event, end):
    """Return how many of the first commands of a job of several, which has FAILED, need not run once more.

    Args:
        plan: Plan
        event: the last one of its attempt
        end: its own words, None where there are none
    """
    path = os.path.join(plan.logs.run, key_of(event)) + '.done'
    done = event.get('before', 0) + read_tail(path, 1 << 20).count('\n')
    if event.get('error_reason') != 'output':
        return done
    paths = paths_in(plan, int(event['job']) // plan.group, plan.params_of(event), OUTPUTS)
    for index, number in enumerate(itertools.accumulate(map(len, paths))):
        if number >= end['lacks']:    # this command has not made its output
            return min(done, index)
    return done


class JobField:
    """A field of a job's metadata.

    Attributes:
        value: function of the Plan, the job's record and the ledger, which returns it
        parts: dotted names of the fields within it
    """

    __slots__ = ('value', 'parts')

    def __init__(self, value, *parts):
        self.value, self.parts = value, parts


def recorded_field(key, missing=''):
    """Return the JobField that tells what a record says."""
    return JobField(lambda plan, record, ledger: record.get(key, missing))


def time_field(key):
    """Return the JobField that tells when something was, as a record says it."""
    return JobField(lambda plan, record, ledger: iso_time(record.get(key)))


#: The fields of a job's metadata, in the order of its .info file. The manual's page `fields` explains each.
JOB_FIELDS = collections.OrderedDict([
    ('id', recorded_field('job')),
    ('line', JobField(Plan._line)),
    ('command', JobField(Plan._command)),
    ('status', recorded_field('status')),
    ('retries', JobField(lambda plan, record, ledger: max(0, record['attempt'] - 1))),
    ('executor_id', recorded_field('executor_id')),
    ('job_cmd', JobField(Plan._job_cmd)),
    ('params', JobField(Plan._params)),
    ('exit_code', recorded_field('exit_code', None)),
    ('error_reason', recorded_field('error_reason')),
    ('error', recorded_field('error')),
    ('reason', recorded_field('words')),
    ('submitted', time_field('submitted')),
    ('started', time_field('started')),
    ('finished', time_field('finished')),
    ('host', recorded_field('host')),
    ('usage', JobField(Plan._usage, 'time', 'time.elapsed', 'time.seconds', 'time.cpu',
                       'memory', 'memory.peak', 'memory.bytes', 'memory.below')),
    ('seconds', JobField(Plan._seconds)),
    ('attempts', JobField(Plan._attempts)),
    ('commands', JobField(Plan._commands, 'count', 'done'))])

#: Those of a job with one command.
FIELDS_OF_ONE = [name for name in JOB_FIELDS if name != 'commands']

#: What one may ask for, beside params.* and seconds.*
FIELDS = tuple(itertools.chain.from_iterable(
    [name] + ['{}.{}'.format(name, part) for part in made.parts] for name, made in JOB_FIELDS.items()))


def read_end(path):
    """Return what a job of an earlier version said at its end, as `sound_end` does; None where it is not
    (yet) whole.

    Raises:
        OSError: it cannot be read
    """
    lines = (read_bytes(path) or b'').decode('ascii', 'replace').split('\n')
    end = sound_end(lines[-2]) if len(lines) > 1 and not lines[-1] else None
    if end:
        # The second line of `times` is the CPU time of the shell's children: 0m0.004s 0m0.012s (bash(1)). A
        # worker also tells what it was before the job.
        end['cpu'] = seconds_of(lines[1])
        if 'before' in end and end['cpu'] is not None:
            before = end.pop('before')
            end['cpu'] = round(end['cpu'] - seconds_of(before), 3) if before else None
        leave_out_partial(end)
    return end


def sound_end(text):
    """Return what a job says at its end: exit_code (None where that is not known), time (in seconds since
    1970), memory and memory_below (bytes, 0 where not known), left (whether it left something running), signal (the
    name of the one that told it to end), oom_kills (how many of its processes the kernel killed for lack of
    memory), forewarned (it was ended by the signal that tells it that its time is nearly over: its own, job,
    or that of the task which ran it). None where it is not that.
    """
    try:
        end = json.loads(text)
    except (ValueError, RecursionError):
        return None
    status, end = end.get('exit_code', '') if isinstance(end, dict) else '', of_types(end, END_FIELDS)
    if status == '' or 'time' not in end:
        return None
    end['exit_code'] = exit_status(status)
    return end


def read_words(path, offset):
    """Return the whole lines that have been added to the words of a chunk behind so many bytes.

    Raises:
        OSError: they cannot be read
    """
    try:
        with name_in_errors(path), open_regular(path) as source:
            source.seek(offset)
            text = source.read(1 << 20)
    except ABSENT + (NotRegular,):
        return b''
    return text[:text.rfind(b'\n') + 1 or len(text) >> 20 << 20]    # no runner writes such a line


#: A line that is about one job: see RUNNER.
WORD = re.compile(r'([svce]) (\d+\.\d+)(?: (.*))? \.\Z')
#: How a job ended, as shares of earlier versions said it.
OLD_END = re.compile(r'(\d{1,12}\.?\d{0,12}) (-?\d{1,3})( left)?\Z')


class Words:
    """What the runner of a chunk says in run/, as far as it was read.

    Attributes:
        name: of its file
        who: its first line, as a dict
    """

    def __init__(self, logs, name):
        """
        Args:
            logs: Logs
            name: see above
        """
        self._path, self.name, self.who = os.path.join(logs.run, name), name, {}
        self._read, self._times, self._spent = 0, '', 0
        self._end_path = ''    # where the runner is of an earlier version, and its end is still to come

    def hear(self):
        """Return what has been added since the last time, as a list of (kind, key, dict): s, a job begins, as
        START_FIELDS has it, with its time; e, its end, as from `sound_end`; v, neither it nor those behind it
        begin; c, it was left out.

        Raises:
            OSError: it cannot be read
        """
        text, found = read_words(self._path, self._read), []
        if not self._read and self.name.endswith('.start'):
            self._end_path = self._path[:-len('start')] + 'end'
        self._read += len(text)
        for line in text.decode('ascii', 'replace').splitlines():
            match = WORD.match(line)
            if match:
                self._end_path = ''
                said = self._said(match.group(1), match.group(3) or '')
                found += [(match.group(1), match.group(2), said)] if said is not None else []
            elif line.startswith('{'):
                found += self._introduce(line)
            elif line:
                self._times = line    # the second of two: what its jobs have used
        end = read_end(self._end_path) if self._end_path else None
        if end:
            self._end_path = ''
            found.append(('e', self._key, end))
        return found

    @property
    def _key(self):
        """The key of its first job, by its name."""
        return self.name[:-len('.start')]

    def _introduce(self, line):
        """Take in who it is, and return a list with what a runner of an earlier version says at once."""
        try:
            self.who = of_types(json.loads(line), START_FIELDS)
        except (ValueError, RecursionError):    # torn, and then it goes no further
            return []
        if 'void' in self.who:
            return [('v', self._key, {})]
        return [('s', self._key, self.who)] if {'host', 'time'} <= set(self.who) else []

    def _said(self, kind, rest):
        """Return what is said of a job behind its key, as a dict; None for what is not whole."""
        if kind == 's':
            self._count_cpu()
            is_sound = re.match(r'\d{1,12}\.?\d{0,12}\Z', rest) and {'host', 'pid', 'born'} <= set(self.who)
            return dict(self.who, time=float(rest)) if is_sound else None
        if kind != 'e':
            return {}
        old = OLD_END.match(rest)
        end = sound_end(rest) if not old else {
            'time': float(old.group(1)), 'exit_code': exit_status(old.group(2)), 'left': bool(old.group(3))}
        if end:
            end['cpu'] = self._count_cpu()
            leave_out_partial(end)
        return end

    def _count_cpu(self):
        """Return the CPU time of its jobs since the last time, in seconds; None where it is not known."""
        spent, last = seconds_of(self._times), self._spent
        if spent is None:
            return None
        self._spent = spent
        return round(spent - last, 3)


def leave_out_partial(end):
    """Take out of what a job measured at its end what is not all of it.

    Args:
        end: dict of its words, with cpu as bash knows it of the children of the runner. group_cpu, in
            microseconds, is that of the whole cgroup (cpu.stat), with what srun has started and the runner;
            steps tells that srun has started something, nodes that the job had so many.
    """
    whole, steps, nodes = (end.pop(key, None) for key in ('group_cpu', 'steps', 'nodes'))
    if whole is not None and whole / 1e6 > 1.1 * (end.get('cpu') or 0) + 0.5:
        end['cpu'] = round(whole / 1e6, 3)
    elif steps and whole is None:
        end['cpu'] = None
    if nodes:
        end.update(cpu=None, memory=0, memory_below=0)


def exit_status(value):
    """Return a number or text as an exit status, 0 to 255, None where it is none. Early releases could write
    -1: their bash had lost the status of a job that ended while a signal came."""
    try:
        return int(value) if 0 <= int(value) <= 255 else None
    except (TypeError, ValueError):
        return None


def ended_unexplained(end):
    """Tell whether a job's own words leave open why it ended: by a signal, whatever it answered to that, or
    its status is not known."""
    by_signal = end['exit_code'] is not None and end['exit_code'] - 128 in SIGNALS and 'forewarned' not in end
    return end['exit_code'] is None or by_signal or bool(end.get('signal'))


def seconds_of(line):
    """Return the seconds of a line of `times`, '0m0.004s 0m0.012s', None where it is none (bash(1))."""
    try:
        parts = [part.replace(',', '.').partition('m') for part in line.split()]
        return round(sum(60 * int(minutes) + float(rest.rstrip('s')) for minutes, _, rest in parts), 3)
    except ValueError:
        return None


def is_account_of(event, account):
    """Tell whether an account can be that of an attempt that has ended, and is not of a copy that came too
    late, which stays for a shorter time. A host may have several names, and several hosts one: `n[1-2]`."""
    ran = (event.get('finished') or 0) - (event.get('started') or 0)
    return account.get('host', event['host']) == event['host'] or account.get('elapsed', 0) >= ran - 2


def add_usage(event, account):
    """Add to a record what an account tells of the usage, and return whether that was anything new. A runner
    may not have seen the CPU time of what srun has started."""
    news = {key: account[key] for key in USED if account.get(key) is not None and event.get(key) is None}
    if account.get('steps') and (account.get('cpu') or 0) > (event.get('cpu') or 0):
        news['cpu'] = account['cpu']
    event.update(news)
    return bool(news)


def unbegun_end(record, reason, error, now):
    """Return the last event of an attempt that never began.

    Args:
        record: dict, what was known of it
        reason, error: why it has failed, and in words
        now: seconds since 1970
    """
    return dict(record, event='end', status=FAILED, error_reason=reason, error=error, finished=now)


def end_event(record, start, end, account, why, error):
    """Return the last event of an attempt.

    Its own words come first. What the scheduler says of it (account) only adds to a failure the reason, and
    numbers that the job could not measure. What this execution ended it for (why) is a failure, whatever its
    exit status, and so is what the scheduler ended it for, where it was told to end.

    Args:
        record: dict, what was known of it
        start, end: its own words, None where there are none
        account: dict as from Backend.accounts
        why: dict with reason and words, where this execution ended it
        error: last line of its stderr
    """
    event = dict(record, event='end')
    for key in ('reason', 'words', 'state'):
        event.pop(key, None)
    start, account = start or {}, believed_account(account, end)
    add_usage(event, account)
    event['host'] = start.get('host') or account.get('host') or record.get('host', '')
    if start:
        event['started'] = start['time']
    if end:
        add_own_end(event, end)
        cut_short = 'signal' in end and account.get('reason') in FINAL
        if end['exit_code'] == 0 and not (why or cut_short):
            event['status'] = COMPLETED
            return event
    if event.get('exit_code') is None and account.get('exit_code') is not None:
        event['exit_code'] = account['exit_code']
    event['status'] = FAILED
    code = event.get('exit_code')
    reason, detail = why_failed(code, end, account, why)
    if reason == 'signal':
        event['signal'] = account.get('signal') or (code - 128 if code else None)
        detail = detail or 'killed by signal {}'.format(signal_name(event['signal']))
    event['error_reason'] = reason
    event['error'] = error if error and reason in ('exit', 'signal') else detail or error
    return event


def believed_account(account, end):
    """Return what to believe of what the scheduler says of an attempt.

    Args:
        account: dict as from Backend.accounts, None for nothing
        end: the attempt's own words, None where there are none
    """
    account = dict(account or {})
    if not end and account.get('reason') == 'exit':
        # The exit status is the runner's: it came second, or could not write. Else it had said how the job
        # ended.
        for key in ('reason', 'words', 'exit_code'):
            account.pop(key, None)
    return account


def add_own_end(event, end):
    """Add to the last event of an attempt what that said itself at its end."""
    event['finished'] = end['time']
    event['exit_code'] = end['exit_code']
    used = {key: end.get(key) or None for key in USED}    # 0 bytes are not known
    add_usage(event, dict(used, cpu=end.get('cpu')))
    if end.get('left'):
        event['words'] = LEFT_BEHIND
    if end.get('oom_kills'):
        event.update(oom_kills=end['oom_kills'], words=LACKED_MEMORY)


def why_failed(code, end, account, why):
    """Return why an attempt FAILED, and what there is to say of that, '' for nothing.

    Args:
        code: its exit status, None where that is not known
        end, account, why: as for `end_event`
    """
    if why:
        return why['reason'], why['words']
    reason = account.get('reason')
    said_itself = end and reason in ('exit', 'signal')
    if reason and not said_itself:
        return 'exit' if reason == UNSTARTABLE else reason, account.get('words', '')
    if not end:    # and the scheduler says nothing, or what nobody understands
        told = ['vanished without reporting an exit status', account.get('words')]
        return 'lost', ': '.join(filter(None, told))
    if end.get('oom_kills'):
        return 'memory', LACKED_MEMORY
    if code is None:
        return 'lost', 'ended; its exit status is unknown'
    if end.get('forewarned'):
        return 'time', 'ended by signal {}, sent before its time limit'.format(signal_name(code - 128))
    # A shell says 128 + n where a command was ended by signal n (bash(1), EXIT STATUS).
    return 'signal' if code - 128 in SIGNALS else 'exit', ''


def reached_limit(event, end, params, rules):
    """Return which limit an attempt has most likely reached that was ended by a signal, or told to end, where
    nobody says why: what it asked for and what it used decide.

    Args:
        event: its last event
        end: its own words, None where there are none
        params: dict, what it asked for
        rules: Backend, with `time_step` and `limit_signals`

    Returns:
        (reason, message); ('', '') for no limit
    """
    # Without its own words its end is told by another clock than its start.
    finished = 0 if end is None else event.get('finished') or 0
    end, code, lasted = end or {}, event.get('exit_code'), finished - (event.get('started') or float('inf'))
    limit = divide_up(params.get('time', 0), rules.time_step) * rules.time_step
    # The scheduler's clock starts a little before the job's own. What answered with 0 may have been ready.
    if limit and lasted >= (limit if code == 0 else 0.95 * limit):
        return 'time', 'time limit exceeded ({})'.format(time_text(limit))
    if code != 0 and end.get('signal') in rules.limit_signals:
        return 'time', 'told to end by {}, as at a time limit'.format(end['signal'])
    # Where the kernel tells what it has killed, it was not for that.
    is_full = 'memory' in params and (event.get('memory') or 0) >= 0.98 * params['memory']
    if is_full and event.get('signal') == signal.SIGKILL and 'oom_kills' not in end:
        return 'memory', 'killed with all of its memory in use ({})'.format(memory_text(params['memory']))
    return '', ''


#: What is said of a job that ended, and had processes that did not.
LEFT_BEHIND = 'killed the processes that it left in the background'
#: What is said of a job of which the kernel has killed a process, whatever the job made of that.
LACKED_MEMORY = 'a process of it was killed for lack of memory'

#: Reasons that the scheduler gives only for what is over.
FINAL = {'memory', 'time', 'cancelled', UNSTARTABLE}.union(INTERRUPTED)


def why_noted(ledger, number):
    """Return why a job was to end, as its .why tells it, from what the journal says: that somebody cancelled
    it, or what its .why told before that was removed. None where nothing is noted."""
    since = ledger.cancelled.get(number)
    if since is None and number not in ledger.live and ledger.status[number] == STATUS_CODES[FAILED]:
        record = ledger.record(number)
        if 'why' in record:
            return sound_why(record['why'])
        since = record.get('cancelled')    # early releases noted no other reason
    return None if since is None else {'reason': 'cancelled', 'words': 'cancelled', 'time': since}


def standing_verdict(end, why):
    """Return why this execution ended an attempt, None where it did not: one that answers that with exit
    status 0 was cut short all the same, but one that had ended before was not.

    Args:
        end: the attempt's own words, None where there are none
        why: dict as in its .why, None where nothing was noted. Early releases noted no time.
    """
    if not end or not why:
        return why
    before = end['time'] < why['time'] if 'time' in why else end['exit_code'] == 0
    return None if before else why


def own_end(plan, record, start, end, why):
    """Return the last event of an attempt as it tells that itself, whatever the scheduler may know besides.

    Args:
        plan: Plan
        record: dict, what was known of it, or what was inferred where it was not heard of
        start, end: its own words; start None where there are none
        why: as for `end_event`
    """
    why, account = why or output_verdict(plan, record, end), None
    if end.get('signal') and record.get('unheard') and record.get('error_reason') in FINAL:
        account = {'reason': record['error_reason'], 'words': record.get('error', '')}    # as was inferred
    record = {key: value for key, value in record.items() if key not in (
        'exit_code', 'signal', 'error_reason', 'error', 'finished', 'unheard', 'cancelled', 'rerun',
        'alone', 'retry', 'saved', 'again')}
    start = start if start and 'time' in start else {}
    error = '' if end['exit_code'] == 0 and not why else read_last_line(plan.path(record['job'], '.err'))
    event = end_event(record, start, end, account, why, error)
    if not event.get('executor_id'):
        event['executor_id'] = start.get('executor_id', '')
    if plan.group > 1 and event['status'] == FAILED:
        event['done'] = commands_done(plan, event, end)
    return event


SIGNALS = {int(number) for number in signal.Signals}


##############################################################################################################
# Another map for an execution: which of its commands are new, and which jobs are no longer in it
##############################################################################################################

#: Own parameters of a command that are its identifier and nothing else.
ONLY_LINE = re.compile(rb'line=\d{1,18}\s*\Z')


class CommandKeys:
    """What tells the commands of a map apart: some bytes for each, however long they are.

    Attributes:
        high, low: arrays, by command: two hashes of its text, and of those of its free own parameters (of
            names that QMap does not know) that it reads; they are others in another process
        own: array, by command: a hash of its own parameters, 0 for none; empty where no command has any
        free: the same of the free ones
        fillers: set of the commands that are no commands of the user
    """

    def __init__(self, map, group):
        """
        Args:
            map: Map
            group: commands in a job; where there are several, of own parameters only those in PATHS count
        """
        self._group = group
        self.high, self.low = array.array('q'), array.array('q')
        count = len(map) if map.owns else 0
        self.own, self.free = array.array('Q', bytes(8 * count)), array.array('Q', bytes(8 * count))
        self.fillers = set()
        for index, raw in enumerate(map.raws()):
            command, mark, tail = raw.rpartition(b' ## ')
            if not mark:
                command = raw
            elif not ONLY_LINE.match(tail):
                command = self._without_own(index, decode(raw))
            elif group > 1 and command == FILLER:
                self.fillers.add(index)
            command = command.strip()
            self.high.append(hash(command))    # Python's own: SipHash, with a key that each process draws
            self.low.append(hash(b'\0' + command))

    def _without_own(self, index, text):
        """Note the own parameters of a command, and return what else tells it apart, as bytes."""
        command, pairs = split_own(text)
        if not self.own:
            return encode(command)
        counts = PATHS if self._group > 1 else [key for key, _ in pairs if key != 'line']
        own = {key: value for key, value in pairs if key in counts}
        free = {key: value for key, value in own.items() if key not in PARAMETERS}
        self.own[index], self.free[index] = hash_of(own), hash_of(free)
        used = {key: free[key] for key in free if 'QMAP_' + key.upper() in command}
        return encode(command.strip() + ('\0' + json.dumps(sorted(used.items())) if used else ''))

    def portions(self):
        """Return a list of arrays of commands: equal ones are in the same array, as they stand in the map."""
        found = [array.array('L') for _ in range(256)]
        for index, key in enumerate(self.high):
            found[key & 255].append(index)
        return found

    def by_key(self, indices):
        """Return {first half of a key: the first such command}, and {the same: list} where there are several.
        """
        first, several, high = {}, {}, self.high
        for index in indices:
            other = first.setdefault(high[index], index)
            if other != index:
                several.setdefault(high[index], [other]).append(index)
        return first, several


def hash_of(pairs):
    """Return a number that stands for a dict of texts, 0 for an empty one."""
    from hashlib import blake2b
    text = encode(json.dumps(sorted(pairs.items())))
    return int.from_bytes(blake2b(text, digest_size=8).digest(), 'little') if pairs else 0


class MapMatch:
    """Which commands of a map are in another. Of equal ones, those with equal free parameters belong
    together, and the first with the first.

    Attributes:
        pairs: array, by command of the old map: its place in the new one, -1 for none
        fresh: bytearray, by command of the new map: 1 where it is not in the old one
        changed: bytearray, by command of the old map: 1 where its own parameters are others in the new one
        fillers: set of the commands of the old map that are none of the user
    """

    def __init__(self, old, new, group, gone=()):
        """
        Args:
            old, new: Map
            group: commands in a job
            gone: set of the numbers of jobs that the old map has no longer; of equal commands theirs are last
        """
        self.pairs = array.array('l', itertools.repeat(-1, len(old)))
        self.fresh, self.changed = bytearray(b'\1' * len(new)), bytearray(len(old))
        self._before, self._now = CommandKeys(old, group), CommandKeys(new, group)
        self.fillers = self._before.fillers
        pairs, fresh, lows, others = self.pairs, self.fresh, self._before.low, self._now.low
        for olds, news in zip(self._before.portions(), self._now.portions()):
            here, several_here = self._before.by_key(olds)
            there, several_there = self._now.by_key(news)
            for key, index in here.items():
                other = there.get(key)
                if other is None:
                    continue
                if key in several_here or key in several_there:
                    alike = several_here.get(key, [index])
                    alike.sort(key=lambda index: (index // group in gone, index))
                    self._pair_several(alike, several_there.get(key, [other]))
                elif lows[index] == others[other]:
                    pairs[index], fresh[other] = other, 0
        if self._before.own or self._now.own:
            self._compare_own(self._before.own or bytes(len(old)), self._now.own or bytes(len(new)))
        del self._before, self._now

    def _compare_own(self, before, now):
        """Find out which commands have other parameters of their own than before."""
        for index, other in enumerate(self.pairs):
            if other >= 0:
                self.changed[index] = before[index] != now[other]

    def _pair_several(self, olds, news):
        """Pair commands of which half of the key is equal."""
        before, now = self._before, self._now
        waiting = collections.defaultdict(collections.deque)
        for other in news:
            waiting[now.low[other], now.free[other] if now.free else 0].append(other)
        for index in olds:
            others = waiting.get((before.low[index], before.free[index] if before.free else 0))
            if others:
                self.pairs[index] = others.popleft()
                self.fresh[self.pairs[index]] = 0


class Renewal:
    """What becomes of the jobs of an execution when another map takes the place of its own.

    Attributes:
        map: Map, the new one
        match: MapMatch
        gone: set of the numbers of jobs that are no longer in the map
        again: list of those that have ended, and run once more
        counts: Counter: done, changed (and done), failed, running, waiting, new, gone
        changes: dict of texts, the parameters of all jobs that are others now, '' for those that are gone
    """

    def __init__(self, plan, ledger, map, params, strict=False):
        """
        Args:
            plan: Plan
            ledger: Ledger
            map: Map
            params: dict of texts, the parameters of all jobs from now on
            strict: whether jobs run again of which something else has changed than the command
        """
        self._plan, self._ledger, self.map, self._params = plan, ledger, map, params
        self.match = plan.match_of(map, ledger.gone)
        self.gone, self.again, self.counts = set(), [], collections.Counter()
        self._fresh = bytearray(self.match.fresh)
        self.changes = self._changed_params()
        self._retaken = bytearray(ledger.count)    # jobs that have their line from the new map
        self._sections = [name for name in ('pre', 'post') if plan.map.sections[name] != map.sections[name]]
        done, pairs, changed = 0, self.match.pairs, self.match.changed
        usual = STATUS_CODES[COMPLETED] if plan.group == 1 and not strict else None
        for number, code in enumerate(ledger.status):
            if code == usual and pairs[number] >= 0 and not changed[number]:
                done += 1    # most are, of many
            else:
                self._sort(number, strict)
        self.counts['done'] += done
        self.counts['new'] = -(-self._fresh.count(1) // plan.group)

    def notes(self):
        """Return a list of sentences about what has changed beside commands."""
        former = self.former_params()
        notes = ['[{}] changed'.format(name) for name in self._sections]
        notes += ['{} = {} (was {})'.format(key, text or '(none)', former.get(key, '(none)'))
                  for key, text in self.changes.items()]
        changed = plural(self.counts['changed'], 'completed job')
        return notes + (['own parameters of {} changed'.format(changed)] if self.counts['changed'] else [])

    def former_params(self):
        """Return the parameters of all jobs up to now, as texts."""
        return self._ledger.map.get('params') or self._plan.info['params']

    def _changed_params(self):
        """Return the parameters that are others now as texts, '' for those that are gone."""
        former = self.former_params()
        found = collections.OrderedDict(
            (key, text) for key, text in self._params.items() if former.get(key) != text)
        found.update((key, '') for key in former if key not in self._params)
        return found

    def _all_changed(self):
        """Tell whether something of all jobs is different."""
        return bool(self._sections or self.changes)

    def _sort(self, number, strict):
        """Find out what becomes of a job."""
        ledger, match = self._ledger, self.match
        places = [index for index in self._plan.commands(number) if index not in match.fillers]
        found = sum(match.pairs[index] >= 0 for index in places)
        status, is_live = STATUSES[ledger.status[number]], number in ledger.live
        needed = 1 if is_live or status == COMPLETED else len(places)    # commands that must be there
        if found < needed:
            self.gone.add(number)
            self.counts['gone'] += 1
            for index in places:
                if match.pairs[index] >= 0:
                    self._fresh[match.pairs[index]] = 1
            return
        changed = any(match.changed[index] for index in places)
        is_other = changed or self._all_changed() or bool(ledger.former[number])
        rerun = strict and is_other
        if is_live:
            self.counts['running'] += 1
        elif status == COMPLETED and not rerun:
            self.counts['done'] += 1
            self.counts['changed'] += changed
        elif status in (COMPLETED, FAILED):
            self.again.append(number)
            self.counts['failed' if status == FAILED else 'rerun'] += 1
            self._retaken[number] = changed
        else:
            self.counts['waiting'] += 1
            self._retaken[number] = changed

    def refuse_strange(self):
        """Raise QMapError where no command of the map was in the one before: it is another's."""
        if all(self._fresh):
            raise QMapError(
                '{}: none of its commands is in the map of {}; submit it without --resume, with another logs '
                'folder'.format(self.map.title, shown_path(self._plan.logs.path)))

    def has_new_map(self):
        """Tell whether anything is different from the map that the execution has."""
        has_other_jobs = bool(self.counts['new']) or self.gone != self._ledger.gone
        return has_other_jobs or self._all_changed() or any(self._retaken)

    def sentence(self):
        """Return what becomes of the jobs, for people."""
        words = [('done', 'done'), ('rerun', 'changed and run again'), ('failed', 'failed and run again'),
                 ('running', 'submitted already'), ('waiting', 'not yet submitted'), ('new', 'new')]
        total = sum(self.counts[key] for key, _ in words)
        parts = ['{:,} {}'.format(self.counts[key], text) for key, text in words if self.counts[key]]
        gone = '; {:,} no longer in the map'.format(self.counts['gone']) if self.counts['gone'] else ''
        return '{}: {}{}'.format(plural(total, 'job'), ', '.join(parts), gone)

    def lines(self):
        """Yield the lines of the map that takes the place of the old one, as bytes."""
        plan, match = self._plan, self.match
        for line in self.map.text(()):
            yield encode(line)
        line_id, changed = plan.map.line_id, match.changed
        for index, raw in enumerate(plan.map.raws()):
            if changed[index] and self._retaken[index // plan.group]:
                raw = encode(self.map.raw(match.pairs[index]))
            yield with_line_id(raw, line_id(index))
        if not self.counts['new']:
            return
        taken, following = self._taken_ids()
        for _ in range(-len(plan.map) % plan.group):
            yield with_line_id(FILLER, str(following))
            following += 1
        for index, raw in enumerate(self.map.raws()):
            if self._fresh[index]:
                own = self.map.own_id(index)
                yield with_line_id(raw, own if own and own not in taken else str(following))
                following += 1

    def _taken_ids(self):
        """Return the identifiers that commands have already, where new ones have some of their own, and a
        number above all of them."""
        old, new = self._plan.map, self.map
        own = [new.own_id(index) for index in range(len(new)) if self._fresh[index] and new.own_id(index)]
        highest = max(map(int, own), default=0)
        if old.own_id(0):    # else they are their places
            highest = max(highest, max(int(old.line_id(index)) for index in range(len(old))))
        taken = {old.line_id(index) for index in range(len(old))} if own else ()
        return taken, max(highest + 1, len(old))

    def commands(self):
        """Return how many commands there are in the map that takes the place of the old one."""
        old, fresh = len(self._plan.map), self._fresh.count(1)
        return old + fresh + (-old % self._plan.group if fresh else 0)

    def write(self, now):
        """Write that map, bring it to the disk, and return the event by which it counts.

        Args:
            now: seconds since 1970

        Raises:
            OSError: it could not be written
        """
        logs, number = self._plan.logs, self._ledger.map.get('number', 1) + 1
        name = 'map.{}.{}'.format(number, os.urandom(8).hex())
        path = os.path.join(logs.qmap, name)
        try:
            with open(path, 'xb') as target:
                target.writelines(line + b'\n' for line in self.lines())
            bring_to_disk(path)
            bring_to_disk(logs.qmap)
        except OSError:
            remove_file(path)
            raise
        event = {'event': 'map', 'file': name, 'number': number, 'commands': self.commands(),
                 'owns': bool(self._plan.map.owns or self.map.owns), 'params': self._params,
                 'gone': as_spans(sorted(self.gone)), 'time': now}
        return dict(event, differs=True) if self._all_changed() else event

    def events(self, now):
        """Return the events that let it be so, the map's own first.

        Args:
            now: seconds since 1970

        Raises:
            OSError: the map could not be written
        """
        ledger, events = self._ledger, []
        if self.has_new_map():
            events.append(self.write(now))
        if self.changes:
            params = dict(ledger.settings.get('params') or {}, **self.changes)
            events.append({'event': 'set', 'params': params, 'time': now})
        waiting = [number for number in sorted(self.gone) if not ledger.status[number]]
        back = {number: event for number, event in zip(waiting, map(ledger.before_retry, waiting)) if event}
        events += back.values()
        dropped = [number for number in waiting if number not in back]
        if dropped:
            events.append({'event': 'dropped', 'numbers': as_spans(dropped), 'time': now})
        pending = [number for number in self.gone if ledger.status[number] == STATUS_CODES[PENDING]]
        return events + cancel_events(pending, now) + self._retry_events()

    def _retry_events(self):
        """Return the events that let jobs run again: apart those whose earlier retries changed parameters."""
        groups = collections.OrderedDict()
        for number in self.again:
            groups.setdefault(tuple(self._overrides(number)), []).append(number)
        events = []
        for params, numbers in groups.items():
            events.append({'event': 'retry', 'numbers': as_spans(numbers)})
            if params:
                events[-1]['params'] = dict(params)
        return events

    def _overrides(self, number):
        """Yield (parameter, text) of what an earlier retry of a job changed, and the map says anew."""
        former = self._ledger.changes.get(number)
        if former:
            is_alone = self._plan.group == 1    # else own parameters count for nothing
            own = self.map.command(self.match.pairs[number])[1] if is_alone else {}
            for key in sorted(former):
                if key in own and self._retaken[number]:
                    yield key, write_parameter(key, own[key])
                elif key in self.changes and key not in own:
                    yield key, self.changes[key]


def with_line_id(raw, line_id):
    """Return the line of a map with a command and its identifier, as bytes; see `identified_line`."""
    command, mark, tail = raw.rpartition(b' ## ')
    if not mark or ONLY_LINE.match(tail):
        return b'%s ## line=%s' % (command if mark else raw, line_id.encode())
    return encode(identified_line(decode(raw), line_id))


##############################################################################################################
# Orders: what the driver is told
##############################################################################################################

#: What comes of an order: events for the journal, a sentence about them, and how the driver leaves ('' if it
#: stays). The sentence goes into the journal as well, as the event `command`, and every viewer shows it.
Reply = collections.namedtuple('Reply', 'events text leaving')


class Order:
    """An order of `qmap control`: how it is read from the command line, and what comes of it.

    Orders travel as dicts, {'do': its name, ...}: see `Inbox`. Whoever may write the folder can drop one, so
    that `obey` checks the types of what it takes from it.

    Attributes:
        name: of the order
        summary, options: what it does, and its options, for the help
    """

    name = summary = options = ''

    @staticmethod
    def add_options(parser):
        """Add its arguments to a parser of the command line."""

    @staticmethod
    def read(options, plan):
        """Return what the options of the command line say beside its name, as a dict.

        Raises:
            QMapError: an id, a status or a parameter is wrong
        """
        return {}

    @staticmethod
    def obey(driver, order):
        """Return what is to be done about it, as a Reply.

        Raises:
            QMapError: it is refused
            ArithmeticError, AttributeError, LookupError, TypeError, ValueError: it is not as this version
                writes it
        """
        raise NotImplementedError


def number_option(text):
    """Read a whole number of 1 or more on the command line."""
    import argparse
    try:
        return parse_count(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError('{}: {}'.format(text, error))


def halt_option(text):
    """Read the rule of `--halt` on the command line."""
    import argparse
    try:
        return text if text == 'never' else parse_halt(text) and text
    except ValueError as error:
        raise argparse.ArgumentTypeError('{}: {}'.format(text, error))


def request_note(driver, params):
    """Return what the answer to an order says of its params, a dict of texts, that jobs do not get so."""
    return ''.join('; ' + text for text in driver.backend.request_warnings(change_params({}, params)))


def split_settings(words, given=()):
    """Return the parameters in words KEY=VALUE, as a dict of texts; `given` are those that are known already.

    Raises:
        QMapError: one has no value
    """
    params = collections.OrderedDict()
    for word in words or ():
        key, mark, value = (part.strip() for part in decode_name(word).partition('='))
        if not mark:
            raise QMapError('{}: not a parameter; write KEY=VALUE'.format(word))
        if key in params or key in given:
            print_warnings(['{}: given twice; the last value counts'.format(key)])
        params[key] = value
    return params


def add_settings(parser):
    """Add the option for the other parameters to a parser of the command line."""
    parser.add_argument('--set', metavar='KEY=VALUE', action='append',
                        help='any parameter: gpus=1, account=lab (repeatable)')


def add_resources(parser):
    """Add the options with what a job asks for to a parser of the command line."""
    parser.add_argument('-c', '--cores', metavar='N', help='cores per job; 0 if it only waits')
    parser.add_argument('-m', '--memory', metavar='SIZE', help='memory per job: 512M, 1.5G (default: G)')
    parser.add_argument('-t', '--time', metavar='TIME',
                        help='wall time limit: 90m, 1d, 1:30:00 (default: h)')


def resumed_settings(ledger):
    """Return what `resume` sets, as a dict. What an execution was halted for counts anew from there on."""
    if not ledger.settings.get('halt_reason'):
        return {'halted': False}
    return {'halted': False, 'halt_reason': '', 'canaries': [], 'halt_from': ends_and_failures(ledger)}


def ends_and_failures(ledger):
    """Return how many jobs have ended, and how many of these failed, as a list: without those that were
    cancelled or skipped."""
    failed = ledger.count_of(FAILED) - ledger.failures.cancelled
    return [max(0, ledger.count_of(COMPLETED) - ledger.settings.get('skipped', 0)) + failed, failed]


class Pause(Order):
    """Submit nothing more for now."""

    name, summary = 'pause', 'stop submitting; running jobs continue'

    @staticmethod
    def obey(driver, order):
        """See Order."""
        text = 'paused: running jobs continue; {} not submitted, {} submitted'.format(
            plural(driver.ledger.count_of(UNSUBMITTED), 'job'), len(driver.ledger.live))
        return Reply([set_event(driver, halted=True)], text, '')


class Resume(Order):
    """Submit again."""

    name, summary = 'resume', 'continue submitting'

    @staticmethod
    def obey(driver, order):
        """See Order."""
        return Reply([set_event(driver, **resumed_settings(driver.ledger))], 'resumed: {} to submit'.format(
            plural(driver.ledger.count_of(UNSUBMITTED), 'job')), '')


class Start(Order):
    """Wait for no other execution."""

    name, summary = 'start', 'wait no longer for other executions (submit --after)'

    @staticmethod
    def obey(driver, order):
        """See Order."""
        if not driver.steering.gate.waits():
            return Reply([], 'not waiting for other executions', '')
        return Reply([set_event(driver, waited=True)], 'no longer waiting: {} to submit'.format(
            plural(driver.ledger.count_of(UNSUBMITTED), 'job')), '')


class MaxRunning(Order):
    """Let more or fewer jobs run at once."""

    name, summary = 'max-running', 'change the maximum number of jobs running or pending at once'

    @staticmethod
    def add_options(parser):
        """See Order."""
        parser.add_argument('number', metavar='N', type=number_option, help='number of jobs')

    @staticmethod
    def read(options, plan):
        """See Order."""
        return {'number': options.number}

    @staticmethod
    def obey(driver, order):
        """See Order."""
        number = order['number']
        if not is_of_type(number, int) or number < 1:
            raise ValueError(number)
        return Reply([set_event(driver, max_running=number)], 'max running: {} (was {})'.format(
            number, driver.max_running), '')


class JobsOrder(Order):
    """An order about some jobs: those with these ids, statuses, or both."""

    #: Which these are where nothing is said.
    default = ''

    @classmethod
    def add_options(cls, parser):
        """See Order."""
        parser.add_argument('ids', nargs='*', metavar='ID',
                            help='ids of jobs, such as 3 or 3,7-12 (default: {})'.format(cls.default))
        parser.add_argument('-s', '--status', metavar='STATUS', action='append',
                            help='only jobs with these statuses (names or first letters), or that failed for '
                            'these reasons: memory, time, cancelled...')

    @staticmethod
    def read(options, plan):
        """See Order."""
        order = {}
        if options.ids:
            order['ids'] = [span for text in options.ids for span in parse_ids(text, plan)]
        if options.status:
            order['statuses'] = sorted(parse_statuses(options.status))
        return order


class Cancel(JobsOrder):
    """End submitted jobs, and never submit others."""

    name, summary, options = 'cancel', 'cancel submitted jobs, drop unsubmitted ones', '(-s STATUS)'
    default = 'all unfinished jobs'

    @staticmethod
    def obey(driver, order):
        """See Order."""
        ledger, numbers, now = driver.ledger, selected_jobs(driver.ledger, order), driver.here.time()
        live = [number for number in numbers if number in ledger.live]
        waiting = [number for number in numbers if not ledger.status[number]]
        over = len(numbers) - len(live) - len(waiting) if order.get('ids') else 0
        back = {number: event for number, event in zip(waiting, map(ledger.before_retry, waiting)) if event}
        waiting = [number for number in waiting if number not in back]
        events = cancel_events(live, now) + list(back.values())
        if waiting:
            events.append({'event': 'dropped', 'numbers': as_spans(waiting), 'time': now})
        parts = ['cancelling {}'.format(plural(len(live), 'submitted job'))] if live else []
        if back:
            ends = collections.Counter('cancelled' if event.get('error_reason') == 'cancelled' else
                                       event['status'].lower() for event in back.values())
            ends = ' and '.join('{1:,} {0}'.format(*item) for item in sorted(ends.items()))
            parts.append('retry of {} withdrawn: {} as before'.format(plural(len(back), 'job'), ends))
        parts += ['{} dropped'.format(plural(len(waiting), 'unsubmitted job'))] if waiting else []
        parts += ['{} had finished already'.format(plural(over, 'job'))] if over else []
        return Reply(events, ', '.join(parts) or 'no jobs to cancel', '')


class Retry(JobsOrder):
    """Run finished jobs again."""

    name, summary, options = 'retry', 'run finished jobs again', '(-s STATUS, -c N, -m SIZE, -t TIME)'
    default = 'failed jobs, without cancelled ones'

    @classmethod
    def add_options(cls, parser):
        """See Order."""
        super().add_options(parser)
        add_resources(parser)

    @staticmethod
    def read(options, plan):
        """See Order."""
        given = ((key, getattr(options, key)) for key in ('cores', 'memory', 'time'))
        params = {key: write_parameter(key, parse_parameter(key, text))
                  for key, text in given if text is not None}
        return dict(JobsOrder.read(options, plan), params=params)

    @staticmethod
    def obey(driver, order):
        """See Order."""
        ledger, numbers = driver.ledger, selected_jobs(driver.ledger, order)
        again = [number for number in numbers if ledger.status[number] in ENDED_CODES]
        text = 'retrying {}'.format(plural(len(again), 'job'))
        if len(again) < len(numbers):
            text += ', without {} that had not finished'.format(plural(len(numbers) - len(again), 'job'))
        completed = sum(ledger.status[number] == STATUS_CODES[COMPLETED] for number in again)
        if completed:
            text += ' ({:,} had completed; cancel withdraws what has not started yet)'.format(completed)
        cancelled = ledger.failures.cancelled
        if cancelled and not order.get('ids') and not order.get('statuses'):
            text += ', without {:,} cancelled (retry those with -s cancelled)'.format(cancelled)
        elif cancelled and FAILED in (order.get('statuses') or ()):
            again_cancelled = sum(1 for _ in ledger.chosen({'cancelled'}, again))
            text += ', {:,} of them cancelled (without -s, cancelled jobs are left out)'.format(
                again_cancelled) if again_cancelled else ''
        event = {'event': 'retry', 'numbers': as_spans(again)}
        if order.get('params'):
            driver.steering.refuse(order['params'])
            event['params'] = order['params']
            text += ', with ' + ', '.join('{} = {}'.format(*item) for item in order['params'].items())
            text += request_note(driver, order['params'])
        return Reply([event] if again else [], text, '')


class Set(Order):
    """Change the parameters of what is not yet submitted."""

    name, summary = 'set', 'change parameters of unsubmitted jobs'

    @staticmethod
    def add_options(parser):
        """See Order."""
        parser.add_argument('params', nargs='+', metavar='KEY=VALUE', help='as in a map; KEY= removes one')

    @staticmethod
    def read(options, plan):
        """See Order."""
        params = split_settings(options.params)
        for key, value in params.items():
            if key == 'working_directory' and not os.path.isdir(file_name(value)):
                raise QMapError('{}: no such working directory'.format(value))
            if key == 'working_directory':
                value = decode_name(absolute_path(file_name(value)))
            params[key] = write_parameter(key, parse_parameter(key, value)) if value else ''
        check_case(plan.all_names() + list(params))
        print_warnings(foreign_parameters(params))
        return {'params': params}

    @staticmethod
    def obey(driver, order):
        """See Order."""
        params = dict(driver.ledger.settings.get('params') or {}, **order['params'])
        driver.steering.refuse(params)
        settings = dict(unlearned(driver.ledger, order['params']), params=params)
        own = count_own(driver, order['params'])
        count = driver.ledger.count_of(UNSUBMITTED) - own
        text = ', '.join('{} = {}'.format(key, text or '(none)') for key, text in order['params'].items())
        text += ' for {}'.format(plural(count, 'unsubmitted job'))
        text += '' if count else '; it holds for those that are retried or added later'
        if own:
            text += '; {:,} {} own by the map, behind ##'.format(own, 'has its' if own == 1 else 'have their')
        text += '; what was learned about it is forgotten' if 'learned' in settings else ''
        return Reply([set_event(driver, **settings)], text + request_note(driver, order['params']), '')


def count_own(driver, params):
    """Return how many jobs that are not submitted have all these parameters of their own, so that `set`
    leaves them as they are; 0 also where they are too many to be looked at."""
    plan, ledger = driver.plan, driver.ledger
    if plan.alike or ledger.count_of(UNSUBMITTED) > 10000:
        return 0
    return sum(params.keys() <= plan.map.command(number)[1].keys() for number in ledger.unsubmitted())


def unlearned(ledger, params):
    """Return what else is set with parameters, a dict of texts: jobs get what somebody says, whatever saved
    others that requested the same."""
    learned = ledger.settings.get('learned') or {}
    back = {key: dict(learned[key], **{text: text}) for key, text in params.items()
            if learned.get(key, {}).get(text, text) != text}
    return {'learned': dict(learned, **back)} if back else {}


class Include(Order):
    """Use hosts again that were left out."""

    name, summary = 'include', 'use hosts again that were left out, as jobs failed there'

    @staticmethod
    def add_options(parser):
        """See Order."""
        parser.add_argument('hosts', nargs='+', metavar='HOST', help='name of a host that was left out')

    @staticmethod
    def read(options, plan):
        """See Order."""
        return {'hosts': options.hosts}

    @staticmethod
    def obey(driver, order):
        """See Order."""
        entries, hosts = dict(driver.ledger.settings.get('excluded', {})), order['hosts']
        left_out = sorted(host for host, (_, why) in entries.items() if why)
        for host in hosts:
            if host not in left_out:
                raise QMapError('{}: not left out; left out: {}'.format(host, ', '.join(left_out) or 'none'))
        entries.update((host, [driver.here.time(), '']) for host in hosts)
        return Reply([set_event(driver, excluded=entries)], 'jobs may run on {} again'.format(
            ', '.join(sorted(hosts))), '')


class Add(Order):
    """Put another map in the place of the execution's."""

    name, summary, options = 'add', 'go on with a map that was edited or extended', '(--strict)'

    @staticmethod
    def add_options(parser):
        """See Order."""
        parser.add_argument('map', metavar='MAP', help='jobs map file: new commands are added, others stay')
        parser.add_argument('--strict', action='store_true',
                            help='run completed jobs again of which [pre], [post] or a parameter changed')

    @staticmethod
    def read(options, plan):
        """See Order; the map is kept until the driver has taken it."""
        reader = ExecutionReader(plan.logs.path)
        request = renewed_request(reader, options.map)
        print_warnings(request.warnings)
        return order_to_add(reader.plan, request, options.strict)

    @staticmethod
    def obey(driver, order):
        """See Order."""
        plan, ledger, params, now = driver.plan, driver.ledger, order['params'], driver.here.time()
        read_parameters(params)
        renewal = Renewal(plan, ledger, plan.staged_map(order['map']), params, bool(order.get('strict')))
        renewal.refuse_strange()
        driver.steering.refuse(renewal.changes)
        events = renewal.events(now)
        if order.get('go') and driver.halted:
            events.append(set_event(driver, **resumed_settings(ledger)))
        begin = sound_begin(order.get('begin', {}))
        if begin:
            more = {'waited': False} if 'after' in begin else {}    # it waits once more
            events.append(set_event(driver, **begin, **more))
        return Reply(events, renewal.sentence(), '')


class Stop(Order):
    """Let the driver go."""

    name, summary = 'stop', 'stop the driver; submitted jobs continue'
    options = '(or are cancelled: --cancel)'

    @staticmethod
    def add_options(parser):
        """See Order."""
        parser.add_argument('--cancel', action='store_true', help='cancel submitted jobs as well')

    @staticmethod
    def read(options, plan):
        """See Order."""
        return {'cancel': options.cancel}

    @staticmethod
    def obey(driver, order):
        """See Order."""
        live, drives = driver.ledger.live, driver.leaving != 'obey'
        if order.get('cancel'):
            return Reply(cancel_events(live, driver.here.time()), 'driver stops; cancelling {}'.format(
                plural(len(live), 'submitted job')), 'cancel' if drives else '')
        kind, count = 'submitted job', len(live)
        if driver.backend.takes_back:
            kind, count = 'running job', driver.ledger.count_of(RUNNING)
        if not drives:
            return Reply([], 'no driver is running; {} submitted'.format(plural(count, 'job')), '')
        return Reply([], 'driver stops; {} {}'.format(
            plural(count, kind), 'continues' if count == 1 else 'continue'), 'leave')


#: All orders, by their names.
ORDERS = collections.OrderedDict((order.name, order) for order in (
    Pause, Resume, MaxRunning, Cancel, Retry, Set, Include, Add, Start, Stop))


def set_event(driver, **settings):
    """Return the event that changes what steers a driver: max_running, halted, params."""
    return dict(settings, event='set', time=driver.here.time())


def cancel_events(numbers, now):
    """Return a list with the event by which live jobs are to end, an empty one for no jobs.

    Args:
        numbers: iterable of the numbers of the jobs
        now: seconds since 1970
    """
    return [{'event': 'cancel', 'numbers': as_spans(sorted(numbers)), 'time': now}] if numbers else []


def selected_jobs(ledger, order):
    """Return the numbers of the jobs that an order is for: by their ids, their statuses, or both. To retry
    are by default those that failed, but not those that somebody cancelled."""
    statuses, ids = order.get('statuses'), order.get('ids')
    numbers = range(ledger.count)
    if ids:
        numbers = job_numbers(ledger, ids)
    elif not statuses and order['do'] == Retry.name:
        failed = list(ledger.chosen({FAILED}))
        cancelled = set(ledger.chosen({'cancelled'}, failed) if ledger.failures.cancelled else ())
        return [number for number in failed if number not in cancelled]
    return list(ledger.chosen(set(statuses or STATUSES) - {GONE}, numbers))


def job_numbers(ledger, ids):
    """Return the numbers of the jobs whose ids are in these spans, as from `parse_ids`, in their order."""
    group, count = ledger.group, ledger.count
    return sorted(set(itertools.chain.from_iterable(
        range(-(-first // group), min(last // group + 1, count)) for first, last in ids)))


def parse_ids(text, plan):
    """Return the spans of ids that '3,7-12' stands for.

    Raises:
        QMapError: it is something else, or there is no such job
    """
    found = []
    for part in text.split(','):
        match = re.match(r'(\d+)(?:-(\d+))?$', part.strip())
        if not match:
            is_status = part.upper() in STATUSES + ('ALL',) or part in REASONS
            raise QMapError('{}: invalid job id; write 3 or 3,7-12{}'.format(
                part or '(empty)', ', or -s ' + part if is_status else ''))
        first, last = int(match.group(1)), int(match.group(2) or match.group(1))
        if first > last:
            raise QMapError('{}: the range runs backwards; write {}-{}'.format(
                part.strip(), *match.group(2, 1)))
        within_a_group = first == last and first % plan.group
        if last >= len(plan.map) or within_a_group:
            ids = range(0, len(plan.map), plan.group)
            ids, several = ids if len(ids) < 5 else [*ids[:3], ids[-1]], len(ids) > 4
            shown = ['{:0{}d}'.format(id, plan.width) for id in ids]
            shown[3:3] = ['...'] * several
            raise QMapError('{}: no such job; ids: {}'.format(part.strip(), ', '.join(shown)))
        found.append([first, last])
    return found


def parse_id(text, plan, option):
    """Return the id of the one job that the value of an option names, with its zeros.

    Raises:
        QMapError: it names none, or several
    """
    spans = parse_ids(text, plan)
    if len(spans) != 1 or spans[0][0] != spans[0][1]:
        raise QMapError('{}: {} takes the id of one job, such as 17'.format(text, option))
    return '{:0{}d}'.format(spans[0][0], plan.width)


def check_attempt(attempt, id, last):
    """Raise QMapError where a job has no attempt of this number; `last` is that of its last one."""
    if attempt and attempt > max(1, last):
        raise QMapError('job {}: no attempt {}; the last one is {}'.format(id, attempt, last))


def is_by_others(order, logs):
    """Tell whether an order is neither this user's nor root's nor that of the folder's owner: of whoever else
    may write the folder, who steers, but does not say what runs."""
    return order['owner'] not in (os.geteuid(), 0, os.stat(logs.qmap).st_uid)


def who_ordered(order, logs):
    """Return whose order this is: as it says itself, but never in the name of another user."""
    said, owner = str(order.get('by', ''))[:200], order['owner']
    if not is_by_others(order, logs) or said.partition('@')[0] in (user_name(owner), str(owner)):
        return said
    return '{} (as {})'.format(user_name(owner), said)


#: The parameters that whoever may write the folder may change: none of them can make another command run.
STEERED = ('cores', 'memory', 'time', 'gpus', 'queue', 'account', 'qos', 'constraint', 'reservation', 'nodes',
           'tasks', 'penv', 'signal', 'again', 'name', 'retries')


def refuse_others(order, logs):
    """Refuse what could make the commands of another user run as this one.

    Raises:
        QMapError: it is refused
    """
    if not is_by_others(order, logs):
        return
    if order.get('do') == Add.name:
        raise QMapError('add: only the user of the driver may change the map, because it changes what runs')
    for key in order.get('params') or ():
        if key not in STEERED:
            raise QMapError(
                '{}: only the user of the driver may set it, because it changes what runs'.format(key))


##############################################################################################################
# The driver
##############################################################################################################

class Host:
    """This process: its machine, its number and its time. The driver gets them from outside."""

    def __init__(self):
        self.host = os.uname().nodename
        self.pid = os.getpid()
        self.born = birth(self.pid)
        self._woken = threading.Event()

    birth = staticmethod(birth)
    monotonic = staticmethod(time.monotonic)
    rest = staticmethod(time.sleep)
    time = staticmethod(time.time)

    def sleep(self, seconds):
        """Wait, unless somebody wakes us before."""
        self._woken.wait(seconds)
        self._woken.clear()

    def wake(self):
        """End the sleep, or the next one."""
        self._woken.set()


class Attempt:
    """What was seen of a live attempt, beside its record in the journal. See `judge` for what comes of it.

    Attributes:
        number: of its job
        start: what it said when it began, as a dict; None before
        since: when it was first seen that it has left the queue, or was ended by a signal, on the monotonic
            clock; None where it is not gone
        reason, message: what the queue said of it then
        listed: whether the queue still lists it
        dropped: whether it waited when the queue was last asked, which still has what came with it or later
        requeued: whether it waits once more, after it had begun
        void: whether its runner had claimed it, and then did not come to begin it
        end: its own words of an end by a signal, of which the scheduler may know the reason
        index: of the worker that took it from a list, as that said itself; UNASSIGNED for none
    """

    __slots__ = (
        'number', 'start', 'since', 'reason', 'message', 'listed', 'dropped', 'requeued', 'void', 'end',
        'index')

    def __init__(self, number):
        self.number = number
        self.start = self.end = None
        self.void, self.index, self.requeued = False, UNASSIGNED, False
        self.found()

    @property
    def gone(self):
        """Whether it has left the queue, or was ended by a signal."""
        return self.since is not None

    def miss(self, now):
        """Note that it is gone: when that was seen first counts."""
        if not self.gone:
            self.since = now

    def found(self):
        """Note that the queue lists it after all, or still."""
        self.since, self.reason, self.message = None, '', ''
        self.listed = self.dropped = False


#: What is known of an attempt that has left the queue, or was ended by a signal:
#:     begun: whether its runner began it, as far as can be seen from here
#:     end: its own words of how it ended, None where it has not said so
#:     unread: whether these are there by now, and still to be read
#:     alone: whether it was ended by itself, and its worker went on
#:     queue, listed: the reason that the queue gave, '' for none; whether it is still listed there
#:     dropped: whether somebody has taken it out of the queue, unless it has begun
#:     output: the reason that stands in the output of its task, None for none
#:     account: dict of what the scheduler's accounts say, {} for nothing; None where they did not answer
#:     cancelled: whether this execution cancelled it
#:     tries: how many submissions of it have vanished without a trace, with this one
#:     again: whether it may be submitted again however many did
Evidence = collections.namedtuple(
    'Evidence', 'begun end unread alone queue listed dropped output account cancelled tries again')

#: What differs from scheduler to scheduler: the seconds for which the words of a job that has left the queue
#: may come late, and those for which its accounts may; whether what cannot run stays in the queue, with its
#: reason.
Rules = collections.namedtuple('Rules', 'grace patience lingers')

#: The verdicts of `judge`.
WAIT, END, RESUBMIT, VANISHED = 'wait', 'end', 'resubmit', 'vanished'
#: Submissions of a job that may vanish without a trace. The last one ends it.
SUBMISSIONS = 4
#: Seconds for which the reason of a signal may come late where the worker has gone on: it ended the job
#: itself.
PATIENCE_ALONE = 3


def judge(evidence, waited, rules):
    """Decide what becomes of an attempt that has left the queue, or was ended by a signal. Changes nothing.

    QUEUED --.start--> RUNNING --.end--------------------------> ENDED
      |                   |--.end by a signal--> UNEXPLAINED --> ENDED   somebody said why, or nobody in time
      |                   '--left the queue----> MISSING ------> ENDED   after a grace: its words may be late
      '--left the queue, never began-----------> MISSING ------> QUEUED  as another submission; ENDED for a
                                                                         reason, or after the last submission
    Args:
        evidence: Evidence
        waited: seconds since it was first seen to be gone
        rules: Rules

    Returns:
        WAIT for more evidence, END the attempt, RESUBMIT the job, or VANISHED: END, as all its submissions
            did
    """
    possible, certain = reasons_for(evidence, waited, rules)
    if evidence.end:
        patience = PATIENCE_ALONE if evidence.alone else rules.patience
        return END if (possible | certain) - {None, ''} or waited >= patience else WAIT
    if evidence.account is None or evidence.unread:
        return WAIT    # there was no answer, and that proves nothing; or its own words will tell
    # Another attempt follows where it was interrupted: not before its own words would have come.
    final = FINAL.difference(INTERRUPTED) if evidence.begun else FINAL
    if waited < rules.grace and not certain & final:
        return WAIT    # its own words may not yet be seen from here, and a queue may be wrong for a while
    if evidence.begun or possible - {None, '', 'exit'} or UNSTARTABLE in certain:
        return END
    # It was never begun, and the queue does not say why: as if it had not been submitted. The accounts may
    # speak of an older job: a controller that was killed forgets what it took last, and gives ids again.
    return RESUBMIT if evidence.again or evidence.tries < SUBMISSIONS else VANISHED


def reasons_for(evidence, waited, rules):
    """Return why an attempt may be gone, as its queue, its output and its user say, and what is certain, as
    two sets.

    Args:
        evidence, waited, rules: as for `judge`
    """
    account = evidence.account or {}
    was_cancelled = evidence.cancelled or is_dropped(evidence)
    possible = {evidence.output, evidence.queue, 'cancelled' if was_cancelled else None}
    certain = {evidence.output, account.get('reason')}
    if evidence.listed and rules.lingers:
        certain.add(evidence.queue)
    never_began = not evidence.begun and waited > rules.patience    # the accounts would have said so by now
    if evidence.cancelled:
        if 'cancelled' == evidence.queue or account.get('reason') == 'signal' or never_began:
            certain.add('cancelled')
    elif evidence.queue == 'cancelled' and not evidence.begun:
        if account.get('host'):
            # It had a node and never began there: the node did not take it, and nobody meant to cancel it.
            # (slurmctld: "Could not launch job and not able to requeue it, cancelling job")
            return possible - {'cancelled'}, certain - {'cancelled'}
        if never_began and not account:
            certain.add('cancelled')
    return possible, certain


def is_dropped(evidence):
    """Tell whether somebody has taken an attempt out of the queue before it began: then it had no node."""
    return evidence.dropped and not evidence.begun and not (evidence.account or {}).get('host')


class NotDriver(Exception):
    """Another process drives."""


def process_record(here, logs):
    """Return what tells a process from all others, and through which mount it sees the folder, as a dict.

    Args:
        here, logs: Host, Logs
    """
    return {'host': here.host, 'pid': here.pid, 'born': here.born, 'mount': os.stat(logs.qmap).st_dev}


class Beat:
    """What others see of the driver: a file with a number that counts up.

    Attributes:
        due: when it is shown next, on the monotonic clock
    """

    #: Seconds between beats; for which a foreign driver's beat must stand still before it counts as gone.
    EVERY = 10
    SILENCE = 180

    def __init__(self, logs, here, state):
        """
        Args:
            logs, here: Logs, Host
            state: function that returns what else others are told, as a dict
        """
        self._logs, self._here, self._state = logs, here, state
        self._nonce, self._count, self.due = os.urandom(8).hex(), 0, 0

    def is_due(self):
        """Tell whether others have to see now that the driver lives: what takes long has to wait."""
        return self._here.monotonic() >= self.due

    def show(self, epoch, written, released=False):
        """Show others that this process drives, or drives no more.

        Args:
            epoch: of its segment
            written: bytes of that which are on the disk
            released: whether it drives no more
        """
        self._count += 1
        self.due = self._here.monotonic() + self.EVERY
        write_json(self._logs.driver, dict(process_record(self._here, self._logs), **{
            'nonce': self._nonce, 'epoch': epoch, 'beat': self._count, 'released': released,
            'bytes': written}, **self._state()))


class Lease:
    """The right to drive: the lock, the newest segment of the journal, and the beat that others see.

    Attributes:
        ledger: Ledger, as this driver has read and written it
        on_event: function that is called with each event that was written, None for none
        unwritten: events that come first when something is written
        taken_from: the host and mount of the driver before, as from `view_of`, '' for none
        beat: Beat
        history_due: when older segments are removed, on the monotonic clock
    """

    #: Seconds for which those who read old segments may still need them.
    READERS = 60

    def __init__(self, logs, plan, here, on_event=None, state=dict):
        """
        Args:
            logs: Logs
            plan: Plan
            here: Host
            on_event: function that is called with each event that was written
            state: function that returns what else the file of the driver says, as a dict
        """
        self.logs, self.plan, self.here, self.on_event = logs, plan, here, on_event
        self.ledger = self._journal = None
        self.unwritten, self.history_due = [], float('inf')
        self.beat = Beat(logs, here, state)
        self._lock = Lock(logs.lock)
        self._epoch, self.taken_from = 0, ''

    def acquire(self, force, foreign, is_needed, seen=None):
        """Become the driver.

        Args:
            force: go on although some records of the journal cannot be read
            foreign: function of what is known of a driver on another host that tells whether it still beats;
                None to take its place whether it does or not
            is_needed: function that tells, once the ledger is read, whether there is anything to drive
            seen: Ledger that this process has read already, None for none

        Returns:
            whether there is anything to drive

        Raises:
            NotDriver: another process is the driver
            QMapError: the journal is damaged
            OSError: the folder cannot be written
        """
        locked = self._lock.acquire()
        if locked is False:
            raise NotDriver()
        try:
            if self._is_driven(locked, foreign):
                raise NotDriver()
            self._read(force, seen)
            if not is_needed():
                self._lock.release()
                return False
            self._epoch = max(self.logs.epochs(), default=0) + 1
            self._journal = Journal(self.logs.journal(self._epoch),
                                    dict(process_record(self.here, self.logs), event='open'))
        except FileExistsError:
            self._lock.release()
            raise NotDriver()
        except BaseException:
            self._lock.release()
            raise
        self._take_over()
        return True

    def _take_over(self):
        """Read what older drivers wrote last, and say that this process drives."""
        try:
            self.check_epoch()    # slept since it looked, it has the number of a segment that is compacted
            # Whoever drove before sees from now on that it does so no more. What it wrote until then counts.
            self._read_on()
            self.taken_from = self.ledger.drivers.last
            self._begin()
            self._compact()
        except BaseException as error:
            self._journal.close()
            if isinstance(error, OSError) and not self._is_followed():
                # Empty or void, it would pass for a driver that nobody knows.
                remove_file(self.logs.journal(self._epoch))
            self._lock.release()
            raise

    def release(self):
        """Drive no more."""
        self._journal.close()
        self._lock.release()

    def _read(self, force, seen):
        """Read the journal.

        Args:
            force, seen: as for `acquire`

        Raises:
            QMapError, OSError: some of it cannot be read, for good, or for now
        """
        driver = self.logs.driver_now()
        self.ledger = seen if seen and seen.current() and not seen.damage else self.plan.ledger()
        self.ledger.load(self.on_event if self.ledger is seen else None)
        self.ledger.miss(driver)
        if not self.ledger.damage or force:
            return
        if not self.sees_alike(view_of(driver)) and self.ledger.damage[-1] == self.ledger.missing(driver):
            raise OSError(errno.ESTALE, 'not all records are visible on this host yet',
                          self.logs.journal(driver['epoch']))
        path, place = self.ledger.segment_path(self.ledger.damage[0][0]), self.ledger.damage[0][1]
        if not os.path.lexists(path):
            raise QMapError('{}: missing; restore it, or resume from what the .info files say with '
                            'reattach --force'.format(path))
        raise QMapError('{}: {} cannot be read, the first at byte {}; skip them with reattach --force'.format(
            path, plural(len(self.ledger.damage), 'record'), place))

    def _is_driven(self, locked, foreign):
        """Tell whether another process must be taken for the driver, by the newest segment of the journal."""
        epochs = self.logs.epochs()
        if not epochs:
            return False
        driver = self.logs.driver_now()
        if driver.get('epoch') != epochs[-1]:    # that one has not come to say so
            driver = dict(Ledger.first(self.logs, epochs[-1]), beat=None)
            driver['epoch'] = epochs[-1]
        if driver.get('released'):
            return False
        if driver.get('host') == self.here.host:
            born = driver.get('born', '')
            if born.partition('/')[0] == self.here.born.partition('/')[0]:
                if driver.get('pid') == self.here.pid or self.here.birth(driver.get('pid')) != born:
                    return False
                if self.sees_alike(view_of(driver)):
                    return locked is None and bool(born)
            # The machine was started anew; or the driver lives, on another of that name.
            elif not born or self._has_been_silent(driver):
                return False
        return bool(foreign and foreign(driver))

    def sees_alike(self, view):
        """Tell whether a driver with this `view_of` sees, or saw, the folder just as this process does."""
        return view in ('', self.here.host, view_of(process_record(self.here, self.logs)))

    def _has_been_silent(self, driver):
        """Tell whether the beat of a driver has stood still since before this machine was started, by the
        clock of the files, and so long that one elsewhere would have shown it."""
        try:
            uptime = float(read_line('/proc/uptime').split()[0])
            os.utime(self.logs.lock)
            silence = os.stat(self.logs.lock).st_mtime - os.stat(self.logs.driver).st_mtime
        except (OSError, IndexError):
            return False
        enough = min(Beat.SILENCE, max(Beat.SILENCE / 2, uptime))
        return driver.get('beat') is not None and silence > enough

    def _is_followed(self):
        """Tell whether a newer driver may have read this one's segment."""
        try:
            return max(self.logs.epochs(), default=0) > self._epoch
        except OSError:
            return False

    def _read_on(self):
        """Read what older drivers wrote, once it is sure to survive: this one builds on it, and they may not
        have."""
        while True:
            lasting = {}
            for epoch in self.logs.epochs():
                if self.ledger.snapshot < epoch < self._epoch:
                    lasting[epoch] = os.path.getsize(self.logs.journal(epoch))
                    bring_to_disk(self.logs.journal(epoch))
            # Some of it went with a machine's power, or is compacted.
            if self._read_beyond(lasting) or self.ledger.outdated():
                self.ledger = self.plan.ledger()
            self.ledger.load()
            if not self._read_beyond(lasting):
                return

    def _read_beyond(self, sizes):
        """Tell whether more of some segment was read than so many bytes."""
        return any(place > sizes.get(epoch, place) for epoch, place in self.ledger.read_so_far().items())

    def _begin(self):
        """Say in the journal, and to those who look, that this process drives."""
        self.plan.settle_map(self.ledger)
        self.write([dict(
            process_record(self.here, self.logs), event='lead', epoch=self._epoch,
            read=self.ledger.read_so_far(), version=__version__, time=self.here.time())])
        self._journal.sync()
        bring_to_disk(self.logs.qmap)
        self.show_beat()
        if self.ledger.damage:
            self._restore()

    def _restore(self):
        """Write down what the journal has lost of a job, and its own .info still knows."""
        events = []
        for number in range(self.ledger.count):
            if self.ledger.status[number] not in (STATUS_CODES[COMPLETED], STATUS_CODES[FAILED]):
                id = self.ledger.id(number)
                info = read_json(self.plan.path(id, '.info'))
                told = of_types(info, dict(RECORD_FIELDS, id=str, status=str, retries=int, seconds=dict))
                known = told.get('id') == id and told.get('status') in (COMPLETED, FAILED)
                if known and self.ledger.attempts[number] <= told.get('retries', -2) + 1 < 1 << 16:
                    event = {'event': 'end', 'job': id, 'attempt': told['retries'] + 1}
                    event.update((key, told[key]) for key in (
                        'status', 'executor_id', 'exit_code', 'error_reason', 'error', 'host') if key in told)
                    event.update(of_types(told.get('seconds'), {
                        'submitted': NUMBER, 'started': NUMBER, 'finished': NUMBER}))
                    events.append(event)
        self.write(events)

    def _compact(self):
        """Put one file in the place of older segments of which most is history.

        They stay until it is whole, was read once more, and is found to say the same; and then for a minute
        more, for those who are just reading them.
        """
        last = max((epoch for epoch in self.ledger.read_so_far() if epoch < self._epoch), default=0)
        if last > self.ledger.snapshot and self.ledger.worth_compacting() and not self.ledger.damage:
            path = self.logs.snapshot(last)
            temporary = '{}.tmp{}'.format(path, os.getpid())
            try:
                places = self.ledger.compact(temporary, last)
                fresh = self.plan.ledger((temporary, last))
                fresh.load()
                if fresh.verify(self.ledger, places):
                    os.replace(temporary, path)
                    bring_to_disk(self.logs.qmap)
                    self.ledger = fresh.at(path)
            except OSError:
                pass    # no room for it now
            remove_file(temporary)
        if self.ledger.snapshot:
            self.history_due = self.here.monotonic() + self.READERS
            try:    # both times are the file server's
                age = os.stat(self.logs.journal(self._epoch)).st_mtime - os.stat(
                    self.logs.snapshot(self.ledger.snapshot)).st_mtime
                if age > self.READERS:
                    self.history_due = 0
            except OSError:
                pass

    def remove_history(self):
        """Remove the segments that the snapshot stands for, and what an earlier one left."""
        self.history_due = float('inf')
        self.check_epoch()
        for name in os.listdir(self.logs.qmap):
            kind, _, number = name.partition('.')
            number, _, rest = number.partition('.')
            if kind not in ('journal', 'snapshot') or not number.isdigit():
                continue
            is_older = int(number) < self.ledger.snapshot + (kind == 'journal')
            is_left_over = rest and int(number) < self._epoch    # that did not come to its place
            if is_older or is_left_over:
                remove_file(os.path.join(self.logs.qmap, name))

    def show_beat(self, released=False):
        """Show others that this process drives, or drives no more."""
        self.beat.show(self._epoch, self._journal.synced, released)

    def commit(self, events=()):
        """Write events, bring all that was written to the disk, and see that nobody has taken over. Only then
        may one act on them.

        Raises:
            NotDriver: another process has become the driver
            OSError: the journal could not be written
        """
        self.write(list(events))
        self.sync()
        self.check_epoch()

    def sync(self):
        """Bring all that was written to the disk."""
        self._journal.sync()

    def write(self, events):
        """Write events to the journal and take them in; those that were owed come first."""
        events = self.unwritten + events
        if events:
            places = self._journal.write(events)
            self.unwritten = []
            for event, place in zip(events, places):
                self.ledger.apply(event, self._epoch << 44 | place)
                if self.on_event:
                    self.on_event(event)
            self.ledger.wrote(self._epoch, self._journal.size)

    def check_epoch(self):
        """See that nobody has taken over.

        Raises:
            NotDriver: another process has become the driver
        """
        if max(self.logs.epochs(), default=0) != self._epoch:
            raise NotDriver()


class Timer:
    """When something is due. What fails is tried again after some seconds, and then after twice as many and
    some more.

    Attributes:
        due: on the monotonic clock, in seconds
        wait: seconds for which it was put off last, 0 after a success
    """

    def __init__(self, some, most):
        """
        Args:
            some, most: seconds to the first try after a failure, and between two tries at the most
        """
        self.some, self.most = some, most
        self.due = self.wait = 0

    def back_off(self, now):
        """Put it off, for longer each time."""
        self.wait = min(self.most, 2 * self.wait + self.some)
        self.due = now + self.wait

    def reset(self):
        """Note a success."""
        self.wait = 0


class Part:
    """What the parts of the driver have in common. Each has one task, and what belongs to it; they find each
    other by the driver.

    Attributes:
        driver: Driver
        lease: Lease, through which all is written
        logs, plan, backend, here: as the driver has them
    """

    def __init__(self, driver):
        """
        Args:
            driver: Driver
        """
        self.driver, self.lease = driver, driver.lease
        self.logs, self.plan, self.backend, self.here = driver.logs, driver.plan, driver.backend, driver.here

    @property
    def ledger(self):
        """The Ledger, as this driver has read and written it."""
        return self.lease.ledger


class Attempts(Part):
    """The live attempts, as far as something was seen of them, and those that are over and left something in
    run/.

    Attributes:
        by_key: {key: Attempt} of the live ones
        closed: keys of those that are over
        tries: {number of the job: how many submissions of it have left the queue without a trace}
        launches: Launches
    """

    def __init__(self, driver):
        super().__init__(driver)
        self.by_key, self.closed, self.tries = {}, set(), {}
        self.launches = Launches(driver)

    def of(self, record):
        """Return the Attempt of a live job."""
        key = key_of(record)
        if key not in self.by_key:
            self.by_key[key] = Attempt(self.ledger.number(record['job']))
        return self.by_key[key]

    def start_of(self, key):
        """Return what a live attempt said when it began, None where it has not said so yet."""
        attempt = self.by_key.get(key)
        return attempt and attempt.start

    def has_begun(self, key):
        """Tell whether a live attempt has said that it began."""
        return self.start_of(key) is not None

    def forget_start(self, key):
        """Take a live attempt for one that has not begun."""
        if key in self.by_key:
            self.by_key[key].start = None

    def is_live(self, key):
        """Tell whether an attempt is the one that its job is at."""
        record = self.ledger.live.get(self.by_key[key].number)
        return bool(record) and key_of(record) == key

    def close(self, key):
        """Note that an attempt is over, and may have left something in run/."""
        self.closed.add(key)
        self.driver.scribe.needs_cleaning = True

    def is_inferred(self, key):
        """Tell whether an attempt that is over was called failed without its own words."""
        try:
            id, attempt = split_key(key)
            number = self.ledger.number(id)
        except ValueError:
            return False
        if STATUSES[self.ledger.status[number]] != FAILED:
            return False
        record = self.ledger.record(number)
        return record['attempt'] == attempt and record['status'] == FAILED and bool(record.get('unheard'))

    def in_batch(self, batch):
        """Return the records of the live jobs of a batch."""
        return [record for record in self.ledger.live.values() if record['batch'] == batch]

    def index_of(self, record):
        """Return the index of the task, or worker, that runs a live job; UNASSIGNED for none yet."""
        attempt = self.by_key.get(key_of(record)) if record['k'] == UNASSIGNED else None
        return attempt.index if attempt else record['k']

    def task(self, record):
        """Return the scheduler's name for a live job: a pair, None where its submission has no id yet."""
        id, index = self.ledger.batch_of(record).get('id'), self.index_of(record)
        return (id, index) if id and index != UNASSIGNED else None

    def executor_id(self, record, start):
        """Return the name of a live job's task for people, as the scheduler writes it, or as the job itself
        says."""
        task = self.task(record)
        name = self.backend.task_name(task) if task else ''
        return name or start.get('executor_id', '')

    def status_path(self, record, kind=''):
        """Return the path of what an attempt says in run/.

        Args:
            record: of the job
            kind: '.done', '.why', or '' for what these have in common
        """
        return os.path.join(self.logs.run, key_of(record) + kind)

    def claim(self, record):
        """Keep the chunk of an attempt from beginning; return whether that is certain now."""
        path = os.path.join(self.logs.run, self.driver.chunks.first_of(record) + '.start')
        try:
            write_bytes(path, os.O_EXCL, b'{"driver":1}\n')
            return True
        except FileExistsError:
            return 'driver' in read_start(path)

    def output_path(self, record):
        """Return the path of what the scheduler itself had to say of a task."""
        batch = self.ledger.batch_of(record).get('crew', record['batch'])
        return '{}.out.{}'.format(self.logs.batch(batch), self.index_of(record))

    def changed_record(self, record, **changes):
        """Return the event that changes a live job's record."""
        return dict(record, event='run', k=self.index_of(record), **changes)

    def started_record(self, record, start):
        """Return the event of a live job that has said that it began."""
        return self.changed_record(
            record, status=RUNNING, started=start['time'], host=start['host'], words='',
            executor_id=self.executor_id(record, start))

    def tell_started(self, record, start):
        """Tell the backend what a task said when it started."""
        task = self.task(record)
        if task:
            self.backend.started(task, start, self.plan.params_of(record), self.status_path(record))

    def tell_started_in(self, batch):
        """Tell the backend of all jobs of a batch that have begun, once it is known which tasks they are."""
        for record in self.in_batch(batch):
            start = self.start_of(key_of(record))
            if start:
                self.tell_started(record, start)

    def peak(self, number):
        """Return the bytes of memory that a running job was seen to use so far, None where nobody looks."""
        try:
            return self.backend.peak(self.task(self.ledger.live[number]))
        except KeyError:    # it has just ended
            return None


#: What is said of a job that failed while the disk was full.
DISK_WAS_FULL = 'the disk of the logs folder was full'
#: What programs say that cannot write, strerror of ENOSPC and EDQUOT; and what was said of that before.
DISK_FULL = re.compile('No space left on device|Disk quota exceeded|' + DISK_WAS_FULL)


class Disk(Part):
    """Whether the logs folder has room for more.

    Attributes:
        retry: Timer of the next try after something there could not be read or written
    """

    #: Bytes that must be left for more jobs, and below which it is called full.
    SPACE, FULL = 16 << 20, 64 << 10

    def __init__(self, driver):
        super().__init__(driver)
        self._due, self._lacking, self.retry = 0, False, Timer(1, 30)
        #: When a file could not be written for want of space, on the monotonic clock.
        self._full_since = float('-inf')

    def has_space(self, now):
        """Tell whether the logs folder has room for the output of more jobs. Where it has not, none begins
        here."""
        if now >= self._due:
            self._due = now + self.driver.LOOK
            lacking = space_lacking(self.logs.path, self.SPACE)
            self._lacking = bool(lacking)
            self.driver.note_trouble('space', lacking and (
                '{}: disk nearly full ({} left); no new jobs are started'.format(self.logs.path, lacking)))
            if lacking:
                self.backend.throttle(0)
                for batch in self.driver.chunks.shares.open_batches():
                    self.driver.chunks.shares.close(batch)
        return not self._lacking

    def note_full(self, now):
        """Note that something could not be written, and keep what waits on this machine from beginning. The
        jobs of chunks that have not begun are seen to be gone later, and come back."""
        self._full_since = now
        self.backend.throttle(0)
        for batch in self.driver.chunks.shares.open_batches():
            self._close(batch)

    def _close(self, batch):
        try:
            self.logs.close_batch(batch)
        except OSError:
            pass    # tried again once there is room

    def explain(self, events):
        """Say of jobs that fail while the disk is full that it was."""
        failed = [event for event in events
                  if is_end(event) and event.get('error_reason') in ('exit', 'signal')]
        if not failed:
            return
        just_full = self.here.monotonic() - self._full_since < 2 * self.driver.LOOK
        if just_full or space_lacking(self.logs.path, self.FULL):
            for event in failed:
                if not DISK_FULL.search(event['error']):
                    event['error'] = '{}{}'.format(event['error'] and event['error'] + '; ', DISK_WAS_FULL)


class Scribe(Part):
    """Writes the .info files of jobs that are over, and removes what nobody needs any more.

    On a shared disk each creation of a file takes milliseconds: a job has no .info before it is over, and
    loses it with a retry.

    Attributes:
        changed: {number: its last record or event} of the jobs whose .info is to be written, or removed
        needs_cleaning: whether something may lie in run/ or batch/ that is over
        due: when it writes next, on the monotonic clock
    """

    #: Seconds between two rounds.
    FLUSH = 0.5
    #: Where one job takes more seconds than this, the disk is far away, and bears so many at once.
    FAR, TOGETHER = 0.001, 8

    def __init__(self, driver):
        super().__init__(driver)
        self.changed, self.needs_cleaning, self.due = {}, False, 0
        self._folders = set()    # that are there
        self._leaving = False

    def note(self, number, record=None):
        """Note that a job is over, or shall run once more. It has no .info if it never was over.

        Args:
            number: of the job
            record: its last record or event, None for what the ledger has
        """
        ledger = self.ledger
        has_ended = ledger.attempts[number] > (number in ledger.live) or number in ledger.places.earlier
        if has_ended or ledger.is_skipped(number):
            self.changed[number] = record or ledger.record(number)

    def place(self, id, suffix):
        """Return the path of a job's file, in a folder that is there."""
        path = self.plan.path(id, suffix)
        folder = os.path.dirname(path)
        if folder not in self._folders:
            os.makedirs(folder, FOLDER_MODE, exist_ok=True)
            self._folders.add(folder)
        return path

    def put_off(self, due):
        """Write no more until then: something could not be written, and a folder may be gone."""
        self._folders.clear()
        self.due = due

    def has_work(self):
        """Tell whether there is anything to write or to remove now."""
        return self.needs_cleaning or bool(self.changed and self._complete())

    def _complete(self):
        """Return the numbers of the jobs in `changed` of which nothing more will be known soon."""
        if self._leaving:
            return list(self.changed)
        awaited = self.driver.chunks.shares.unmeasured_numbers().union(self.driver.queue.waiting_for_usage)
        return [number for number in self.changed if number not in awaited]

    def flush(self):
        """Write what has changed to the .info files, and remove the words that are safe in the journal."""
        now = self.here.monotonic()
        if now < self.due or not self.has_work():
            return
        self.lease.commit()
        complete = self._complete()
        if not self._save_all(complete):
            return    # there are so many of them that the rest has to wait
        self.due = now + self.FLUSH
        if self.needs_cleaning:
            self._clean()
        if complete:
            self.lease.write([{'event': 'saved', 'but': as_spans(sorted(self.changed))}])

    def finish(self):
        """Write all that is left, and wait for nothing more."""
        self.due, self._leaving = 0, True
        self.flush()
        while self.changed:
            self.lease.show_beat()
            self.flush()
        if self.ledger.unsaved:
            self.lease.write([{'event': 'saved'}])

    def _save_all(self, numbers):
        """Write what has changed of these jobs; return whether there was the time for all of them."""
        done, size = 0, 1
        while done < len(numbers):
            if self.lease.beat.is_due():
                return False
            part, begun = numbers[done:done + size], self.here.monotonic()
            call_all([step for number in part for step in self._steps(self.changed[number])],
                     1 if size == 1 else self.TOGETHER)
            for number in part:
                del self.changed[number]
            done += size
            if size == 1 and self.here.monotonic() - begun > self.FAR:
                size = 8 * self.TOGETHER
        return True

    def _steps(self, record):
        """Return what makes the .info of a job that is over, or removes that of one that is not any more:
        tuples of a function and its arguments. They change nothing but files.
        """
        path, keep = self.plan.path(record['job']), self.plan.info.get('keep')
        if record['status'] == COMPLETED and keep == 'failed':
            return [(self._tidy, record)]
        if record['status'] not in (COMPLETED, FAILED):
            return [(remove_file, path + suffix) for suffix in ('.info', '.sh')]
        steps = [(create_json, self.place(record['job'], '.info'), self.plan.info_of(record, self.ledger))]
        if record['status'] == FAILED:
            script = self.plan.script_of(self.ledger, self.ledger.number(record['job']))
            steps.append((write_text, self.place(record['job'], '.sh'), script))
        return steps

    def _tidy(self, record):
        """Remove what nobody needs of a job that ended well: all but output that holds something."""
        path = self.plan.path(record['job'])
        for suffix in ('.sh', '.info'):
            remove_file(path + suffix)
        past = range(1, record['attempt'])
        for name in itertools.chain((path,), ('{}.{}'.format(path, attempt) for attempt in past)):
            for suffix in ('.out', '.err'):
                try:
                    # Over NFS its size is known only once it is open.
                    with open(name + suffix, 'rb') as source:
                        empty = not os.fstat(source.fileno()).st_size
                except OSError:
                    continue
                if empty:
                    remove_file(name + suffix)

    def _clean(self):
        """Remove the scripts of batches that are over, and what the jobs said of attempts that are.

        The claims come after the script of their batch: without that, no copy that comes late runs anything.
        """
        self.remove_scripts()
        attempts, pools = self.driver.attempts, self._pools()
        held = set(itertools.chain.from_iterable(batch['tasks'] for batch in self.ledger.batches.values()))
        cancelled = {self.driver.pools.worker_of(record)
                     for record in map(self.ledger.live.get, self.ledger.cancelled)}
        chunks = self.driver.chunks
        over = {'share': lambda file: file.batch not in self.ledger.batches,
                'left': lambda file: file.batch not in pools,
                'home': lambda file: file.batch not in pools,
                'cancel': lambda file: (file.batch, file.index) not in cancelled,
                # An attempt which was called failed without its words may still say how it ended.
                'start': lambda file: file.key in attempts.closed and file.key not in held and not any(
                    map(attempts.is_inferred, chunks.keys_of(file.key))),
                'end': lambda file: file.key in attempts.closed and not attempts.is_inferred(file.key),
                'done': lambda file: file.key in attempts.closed and not attempts.is_inferred(file.key),
                'why': lambda file: file.key in attempts.closed}
        for name in self.logs.listing():
            file = parse_run_file(name)
            if file and over[file.kind](file):
                remove_file(os.path.join(self.logs.run, name))
        attempts.closed &= held
        self.needs_cleaning = False

    def remove_scripts(self):
        """Remove the scripts of batches that are over, and their output, where no worker of theirs is
        left."""
        folder, pools = os.path.dirname(self.logs.batch(0)), self._pools()
        for name in os.listdir(folder):
            number, _, kind = name.partition('.')
            if not number.isdigit() or int(number) in self.ledger.batches:
                continue    # others' names may be there: .nfs0123 of a file that is still open
            if not (kind.startswith('out') and int(number) in pools):
                remove_file(os.path.join(folder, name))

    def _pools(self):
        """Return the numbers of the pools that have jobs, or workers."""
        with_jobs = {batch.get('crew') for batch in self.ledger.batches.values()}
        return with_jobs.union(self.driver.pools.by_number)


class Reports(Part):
    """What the jobs say themselves, and the records that come of it."""

    #: Seconds for which what they say waits for the answer to their submission.
    SOON = 5

    def collect(self, closed=()):
        """Read what the jobs have said since the last time, and write down what comes of it.

        Args:
            closed: the batches of which all is read that there is, whether it is due or not
        """
        self.driver.chunks.listen(set(self.logs.listing()), closed)
        self.driver.chunks.log_progress()

    def begin(self, record, start):
        """Note that a live attempt has said that it begins.

        Args:
            record: of its job
            start: what it said, as a dict
        """
        attempts, batch = self.driver.attempts, self.ledger.batch_of(record)
        attempt = attempts.of(record)
        if attempt.start is None:
            attempts.launches.note_begun(record, start.get('host'))
        if record['k'] == UNASSIGNED and start.get('crew') == batch.get('crew'):
            attempt.index = start['k'] if batch['workers'] > 1 else 0
            self.driver.pools.note_claim(batch['crew'], attempt.index)
        attempt.start, attempt.void = start, False

    def waits_for_scheduler(self, record, end):
        """Tell whether an attempt has ended, and only the scheduler can say why: that is noted then."""
        if not self._is_unexplained(record, end):
            return False
        attempt = self.driver.attempts.of(record)
        attempt.miss(self.here.monotonic())
        attempt.end = end
        return True

    def _is_unexplained(self, record, end):
        """Tell whether only the scheduler knows if a limit, a person or the job itself was behind an end."""
        return ended_unexplained(end) and not self.backend.accounts_at_once and not read_why(
            self.driver.attempts.status_path(record, '.why'))

    def live_number(self, key):
        """Return the number of the live job whose attempt this is, None for an attempt that is over or
        unheard of."""
        try:
            id, attempt = split_key(key)
            number = self.ledger.number(id)
        except ValueError:
            return None
        record = self.ledger.live.get(number)
        if record and record['attempt'] == attempt:
            return number
        if attempt <= self.ledger.attempts[number]:
            self.driver.attempts.close(key)    # merged before, and left by a crash
        return None

    def corrected(self, key, start, end):
        """Return a list with the last event of an attempt that was called failed without its own words, and
        says now how it ended; an empty one for any other.

        Args:
            key: of the attempt
            start, end: its words, as dicts
        """
        if not self.driver.attempts.is_inferred(key):
            return []
        number = self.ledger.number(split_key(key)[0])
        record, path = self.ledger.record(number), self.driver.attempts.status_path
        why = standing_verdict(end, read_why(path(record, '.why')) or why_noted(self.ledger, number))
        event = own_end(self.plan, record, start, end, why)
        if self.driver.recall.may_rerun(number, event):    # only now it is known that it had begun
            event.update(again_words(event))
        else:
            self.driver.recall.retries.note(number, event)
        return [event]

    def log(self, events):
        """Write events of single jobs, and note what is to be done for each."""
        ended = [number for number in (self.ledger.number(event['job']) for event in events if is_end(event))
                 if number in self.ledger.live]
        records = {number: self.ledger.live[number] for number in ended}
        batches = {number: self.ledger.batch_of(record) for number, record in records.items()}
        tasks = [self.driver.attempts.task(record) for number, record in records.items()
                 if not is_shared(batches[number])]
        self.driver.disk.explain(events)
        self.lease.write(events + rerun_events(self.ledger, events))
        if any('saved' in event for event in events):
            self.driver.recall.retries.learn()
        for task in tasks:
            self.backend.forget(task)
        for event in events:
            number = self.ledger.number(event['job'])
            if event['event'] != 'run':
                self.driver.scribe.note(number, None if runs_again(event) else event)
            if is_end(event):
                self._close(number, event, batches.get(number, ()))

    def _close(self, number, event, batch):
        """Note that an attempt is over.

        Args:
            number: of the job
            event: its end
            batch: the event of its batch, () where the job had ended before
        """
        now, key = self.here.monotonic(), key_of(event)
        self.driver.attempts.by_key.pop(key, None)
        self.driver.attempts.close(key)
        self.driver.attempts.tries.pop(number, None)
        self.driver.chunks.held.pop(number, None)
        self.driver.attempts.launches.forget(number)
        self.driver.submitter.note_end(now, event)
        self.driver.pools.short.note_end(event)
        if event.get('rerun'):
            return    # what the accounts add would be of an earlier attempt
        unmeasured = event.get('cpu') is None or event.get('memory') is None
        if unmeasured and event.get('task') and 'crew' not in batch and not self.backend.accounts_at_once:
            self.driver.queue.waiting_for_usage[number] = (now, event)

    def ended(self, record, end, account=None):
        """Return the event with which an attempt ends.

        Args:
            record: of the job
            end: its own words, None where there are none
            account: dict as from Backend.accounts, None where this was not asked
        """
        attempts = self.driver.attempts
        record = dict(record, k=attempts.index_of(record))
        task, number = attempts.task(record), self.ledger.number(record['job'])
        if account is None and task and self.backend.accounts_at_once:
            account = (self.backend.accounts([task]) or {}).get(task)
        why = self._verdict(number, record, end)
        error, start = '', attempts.start_of(key_of(record)) or {}
        if why or not end or end['exit_code'] != 0 or end.get('signal'):
            note = self.output_note(record, end)
            error = read_last_line(self.plan.path(record['job'], '.err')) or last_line(
                self.backend.chatter(note))
            account = dict(self.backend.note(note), **account or {})
        event = end_event(record, start, end, account, why, error)
        event['executor_id'] = attempts.executor_id(record, start) or record.get('executor_id', '')
        if not self.backend.accounts_at_once:
            event['task'] = task
        if self.plan.group > 1 and event['status'] == FAILED:
            event['done'] = commands_done(self.plan, event, end)
        if not event.get('finished'):
            event['finished'] = self._finished(event, account)
        self._note_limit(event, end, why)
        self._note_rerun(number, event, end, why)
        if not end:
            event['unheard'] = True
            if why:
                event['why'] = why    # for the case that it says later how it ended
        return event

    def _note_rerun(self, number, event, end, why):
        """Note in the last event of an attempt that the job runs once more by itself; see `_note_limit`."""
        cut_off = self.driver.pools.cut_off(event, end, why)
        if self.driver.recall.may_rerun(number, event) or cut_off:
            event.update(again_words(event))
        else:
            if asks_again(event) and self.driver.recall.times_again(number):
                event['error'] = 'asked to run again, as often as --again allows'
            self.driver.recall.retries.note(number, event)

    def _note_limit(self, event, end, why):
        """Note in the last event of an attempt which limit it has reached, where the scheduler does not say
        so.

        Args:
            event: it
            end: its own words, None where there are none
            why: why this execution ended it, None where it did not
        """
        if event.get('error_reason') == 'exit' and not asks_again(event):
            try:
                text = read_tail(self.plan.path(event['job'], '.err'))
            except OSError:    # a job may have done anything to its own output
                text = ''
            event.update(self.backend.lack_of_memory(text, event['error']))
        told = event['status'] == COMPLETED and end.get('signal')
        is_open = bool(told) or event.get('error_reason') == 'signal'
        has_own_limits = not self.backend.accounts_at_once and 'crew' not in self.ledger.batch_of(event)
        if is_open and has_own_limits and not why:
            reason, message = reached_limit(event, end, self.plan.params_of(event), self.backend)
            if reason:
                event.update(status=FAILED, error_reason=reason, error=message)

    def _finished(self, event, account):
        """Return when an attempt ended that could not say so itself, and may be gone for long: in seconds
        since 1970."""
        started, lasted = event.get('started') or 0, (account or {}).get('elapsed')
        finished = max(self.here.time(), started)
        return min(finished, started + lasted) if lasted and started else finished

    def _verdict(self, number, record, end):
        """Return why this execution ended an attempt, None where it did not."""
        cancelled = why_noted(self.ledger, number)
        timed = self.backend.limits_time or 'crew' in self.ledger.batch_of(record)
        has_limit = timed and 'time' in self.plan.params_of(record)
        noted = None
        if not end or end['exit_code'] != 0 or cancelled or has_limit:    # else nothing was noted of it
            why = read_why(self.driver.attempts.status_path(record, '.why'))
            noted = standing_verdict(end, why or cancelled)
        return noted or output_verdict(self.plan, record, end)

    def reason_noted(self, record, end):
        """Return the reason for an end that the scheduler wrote into the output of a task, None for none."""
        return self.backend.note(self.output_note(record, end)).get('reason')

    def output_note(self, record, end):
        """Return what the scheduler wrote about a task; of a worker that lives on it is about another job."""
        if end and 'crew' in self.ledger.batch_of(record):
            return ''
        return read_tail(self.driver.attempts.output_path(record))


class Chunk(Words):
    """Jobs of a batch that one runner runs in turn, often only one: what has been heard of them.

    Attributes:
        keys: of its attempts, in their order
        batch: number of their batch, 0 where that is over
        heard: what it has said, and is still to be looked at: see `Words.hear`
        due: when it is read next, on the monotonic clock
        ended: list of (number, key, end, when that was read) of the jobs that are to be logged
        unmeasured: their last events, where it is not known yet what they used
        key, since: the attempt that runs, and when that was read, on the monotonic clock
        start: the one that has said last that it begins, and what it said
        reported: the last one of which the journal was told that it runs
        task: as the backend knows it
    """

    #: Seconds between two looks at what runs: at the most, and as a part of the time that it has run. And so
    #: many looks a second there are at the most: that a task is over, the queue says as well.
    LOOK, LOOK_PART, LOOKS = 30, 0.1, 100

    def __init__(self, logs, name, batch, keys):
        """
        Args:
            logs: Logs
            name: of its file
            batch, keys: see above
        """
        super().__init__(logs, name)
        self.batch, self.keys, self.heard = batch, keys, collections.deque()
        self.due, self.ended, self.unmeasured, self.task = 0, [], [], None
        self.key, self.since, self.start, self.reported = '', 0, ('', {}), ''

    def hurry(self):
        """Read it at the next look, unless nothing of it counts any more."""
        if self.due < float('inf'):
            self.due = 0

    def put_off(self, now, running):
        """Say when to read it next, as it was just read: on a shared disk each look costs.

        Args:
            now: on the monotonic clock
            running: how many jobs are
        """
        lasted = now - self.since if self.key else 0
        self.due = now + max(1, running / self.LOOKS, min(self.LOOK, self.LOOK_PART * lasted))


class Chunks(Part):
    """What the runners say of the jobs of chunks: see `Chunk`, and RUNNER for their words.

    Attributes:
        by_name: {name of its words: Chunk} of those whose words lie in run/
        held: {number: the Chunk whose end tells what the job used}
        unlogged: events that are to be written: what they say is read only once
        shares: Shares
    """

    def __init__(self, driver):
        super().__init__(driver)
        self.by_name, self.held, self.unlogged, self.shares = {}, {}, [], Shares(driver)
        self._not_begun = []    # (batch, key) of the attempts that a chunk did not begin after all
        self._known = {}    # {batch: {key: those of its chunk}} of those that have chunks of several jobs
        self._at_hand = {}    # {worker, its pool and index: the Chunk that it claimed last}

    def _keys(self, batch, key):
        """Return the keys of the chunk of a batch in which an attempt is."""
        if batch not in self._known:
            event = self.ledger.batches.get(batch, {})
            chunks = chunks_of(event) if 'chunks' in event or 'shares' in event else ()
            self._known[batch] = {key: keys for keys in chunks for key in keys}
        return self._known[batch].get(key) or [key]

    def first_of(self, record):
        """Return the key of the first job in the chunk of a live job."""
        return self._keys(record['batch'], key_of(record))[0]

    def keys_of(self, key):
        """Return the keys of all jobs in the chunk that begins with this one, as far as it is known."""
        chunk = self.by_name.get(key + '.start')
        return chunk.keys if chunk else [key]

    def forget(self, keys):
        """Read the words of attempts anew that are submitted again: they may have been claimed before, and
        what was heard while they were not submitted did not count."""
        for key in keys:
            self.by_name.pop(key + '.start', None)

    def of(self, record):
        """Return the Chunk of a live job, None where nothing has been seen of it."""
        return self.by_name.get(self.first_of(record) + '.start')

    def is_claimed(self, record, names):
        """Tell whether the chunk of a live job has been claimed.

        Args:
            record: of the job
            names: set of what lies in run/
        """
        return not names.isdisjoint((self.first_of(record) + '.start', key_of(record) + '.start'))

    def may_have_begun(self, record, names):
        """Tell whether a live job may have begun, as far as can be seen: the first one of a chunk that was
        claimed has. A claim proves nothing where a machine may have lost with its power what came of it."""
        if self.driver.attempts.has_begun(key_of(record)):
            return True
        if self.driver.recall.is_untraced(record):
            return 'started' in record
        return self.first_of(record) == key_of(record) and self.is_claimed(record, names)

    def _chunk(self, name, file):
        """Return the Chunk with words of this name.

        Args:
            name: of its words
            file: RunFile
        """
        if name not in self.by_name:
            number = self.driver.reports.live_number(file.key)
            batch = 0 if number is None else self.ledger.live[number]['batch']
            keys = self._keys(batch, file.key)
            event, place = self.ledger.batches.get(file.batch, {}), max(0, file.index - 1)
            if place < event.get('shares', 0):
                batch, keys = file.batch, chunks_of(event)[place]
            self.by_name[name] = Chunk(self.logs, name, batch, keys)
        return self.by_name[name]

    def _hear(self, chunk):
        """Read what a chunk has said since the last time. It says itself of which batch it is, and which
        worker has it: that is through with the one that it had before."""
        is_new = not chunk.who
        chunk.heard.extend(chunk.hear())
        worker = (chunk.who.get('crew'), chunk.who.get('k'))
        if is_new and None not in worker:
            self._at_hand.get(worker, chunk).hurry()
            self._at_hand[worker] = chunk
        batch = chunk.who.get('batch', chunk.batch)
        if batch != chunk.batch:
            chunk.batch, chunk.keys = batch, self._keys(batch, chunk.keys[0])

    def listen(self, names, closed=()):
        """Read what the chunks have said since the last time, and keep the events that come of it.

        Args:
            names: set of what lies in run/
            closed: as for `Reports.collect`
        """
        files, now = words_in(self.logs.run_files(names)), self.here.monotonic()
        for batch in self._known.keys() - self.ledger.batches.keys():
            del self._known[batch]
        for name in self.by_name.keys() - files.keys():
            if not self.by_name[name].unmeasured:
                self.backend.forget(self.by_name.pop(name).task)
        for name, file in files.items():
            chunk = self._chunk(name, file)
            if chunk.due == float('inf'):
                continue
            if self._is_due(chunk, now) or file.kind == 'end' or chunk.batch in closed:
                self._hear(chunk)
                chunk.put_off(now, self.ledger.count_of(RUNNING))
            self.unlogged += self._take(chunk, now)
            if not chunk.heard and not chunk.ended and not any(map(self._counts, reversed(chunk.keys))):
                chunk.due = float('inf')

    def _is_due(self, chunk, now):
        """Tell whether to read what a chunk has said: at once where its job has left the queue."""
        attempt = self.driver.attempts.by_key.get(chunk.key)
        is_gone = bool(attempt) and attempt.gone
        return self.backend.starts_jobs or now >= chunk.due or is_gone

    def _counts(self, key):
        """Tell whether the words of an attempt count: it is live, or was called failed without them."""
        return self.driver.reports.live_number(key) is not None or self.driver.attempts.is_inferred(key)

    def has_end(self, record, names):
        """Tell whether a live job has said by now how it ended.

        Args:
            record: of the job
            names: set of what lies in run/
        """
        name = self.first_of(record) + '.start'
        file = words_in(self.logs.run_files({name, key_of(record) + '.end'} & names)).get(name)
        if not file:
            return False
        chunk = self._chunk(name, file)
        self._hear(chunk)
        return any(kind == 'e' and key == key_of(record) for kind, key, _ in chunk.heard)

    def _take(self, chunk, now):
        """Return the events that come of what a chunk has said."""
        events = []
        while chunk.heard:
            kind, key, said = chunk.heard[0]
            record = self.ledger.live.get(self.driver.reports.live_number(key))
            if record and record['batch'] == self.driver.asker.batch_under_way(self.driver.reports.SOON):
                break    # in a moment it is known what the scheduler calls its task
            chunk.heard.popleft()
            if kind == 's':
                chunk.start = (key, said)
            if record is None and kind == 'e':
                events += self.driver.reports.corrected(key, dict([chunk.start]).get(key, {}), said)
            elif record and self._is_of(chunk, record):
                chunk.task = self.driver.attempts.task(record)
                events += self._note(chunk, record, kind, said, now)
        events += self.release(chunk, now)
        record = self.ledger.live.get(chunk.key and self.driver.reports.live_number(chunk.key))
        if record and chunk.key != chunk.reported:
            attempts, start = self.driver.attempts, self.driver.attempts.start_of(chunk.key)
            chunk.reported, chunk.task = chunk.key, attempts.task(record)
            attempts.tell_started(record, start)
            if record.get('started') != start['time']:    # else an earlier driver has written it
                events.append(attempts.started_record(record, start))
        return events

    def _is_of(self, chunk, record):
        """Tell whether what a chunk says of a live job counts: it was not given back, and is in another one
        now, and its end is not known already."""
        attempt = self.driver.attempts.by_key.get(key_of(record))
        has_moved = key_of(record) != chunk.keys[0] and record['batch'] != chunk.batch
        has_ended = bool(attempt) and attempt.end
        return not (has_moved or has_ended or self.ledger.number(record['job']) in self.held)

    def _note(self, chunk, record, kind, said, now):
        """Take in a line about a live job, and return the events that come of it."""
        key, reports = key_of(record), self.driver.reports
        chunk.key = ''
        if kind == 's':
            chunk.key, chunk.since = key, now
            reports.begin(record, said)
        elif kind == 'e' and not reports.waits_for_scheduler(record, said):
            number = self.ledger.number(record['job'])
            chunk.ended.append((number, key, said, now))
            self.held[number] = chunk
        elif kind == 'v':
            self._take_back(chunk, key)
        elif kind == 'c':
            if self.ledger.number(record['job']) in self.ledger.cancelled:
                return [unbegun_end(record, 'cancelled', 'cancelled before it ran', self.here.time())]
            self._not_begun.append((chunk.batch, key))
        return []

    def _take_back(self, chunk, key):
        """Note that a chunk begins neither this job nor those behind it: it came too late, or leaves."""
        attempts = self.driver.attempts
        rest = chunk.keys[chunk.keys.index(key):] if key in chunk.keys else []
        if key == chunk.keys[0]:    # nothing was run of it, and another may be
            remove_file(os.path.join(self.logs.run, chunk.name))
            self.by_name.pop(chunk.name, None)
            chunk.heard.clear()
            if key in attempts.by_key:
                attempts.by_key[key].void = True
            rest = rest if is_shared(self.ledger.batches.get(chunk.batch, {})) else []
        attempts.forget_start(key)
        self._not_begun += [(chunk.batch, other) for other in rest]

    def release(self, chunk, now):
        """Return the ends of a chunk's jobs.

        How much memory very short jobs of this machine used is known only once their shell has ended
        itself: such ends are held back until then, for a second at the most where it goes on.
        """
        if not chunk.ended:
            return []
        _, key, end, since = chunk.ended[0]
        is_settled = self.backend.settled(chunk.task)
        if len(chunk.keys) == 1 and not is_settled:
            return []
        if len(chunk.keys) == 1 or not self.backend.accounts_at_once:
            return [self.driver.reports.ended(*ended) for ended in self._take_ended(chunk)]
        start = self.driver.attempts.start_of(key) or end
        short = end['time'] - start['time'] < 0.05
        if short and now - since < 1 and not is_settled:
            return []
        memory = self.driver.chunks.shares.memory(chunk)
        events = [self.driver.reports.ended(record, dict(end, **memory), {})
                  for record, end in self._take_ended(chunk)]
        if not memory:
            chunk.unmeasured += events
        return events

    def _take_ended(self, chunk):
        """Return the (record, end) of the jobs that are to be logged, and are held until that is written."""
        found = [(self.ledger.live[number], end) for number, _, end, _ in chunk.ended]
        chunk.ended = []
        return found

    def log_progress(self):
        """Log what chunks have said, which is read only once, and so is kept until it is written."""
        self.driver.reports.log(self.unlogged)
        self.unlogged = []

    def give_back(self):
        """Make the jobs unsubmitted again that no chunk came to."""
        if self._not_begun:
            live = {key_of(record): record['batch'] for record in self.ledger.live.values()}
            self.driver.recall.unsubmit([key for batch, key in self._not_begun if live.get(key) == batch])
            self._not_begun = []


class Shares(Part):
    """Short jobs of this machine, of which one shell runs several in turn: batches with chunks of several
    jobs and no workers.

    Attributes:
        inherited: such batches of an earlier driver
    """

    #: Seconds after which a file that was made elsewhere can be seen from here at the latest.
    UNSEEN = 90

    def __init__(self, driver):
        super().__init__(driver)
        self.inherited, self._inherited_due = [], 0

    def take_over(self):
        """Keep the shares of an earlier driver from beginning more."""
        self.inherited = self._batches()
        for batch in self.inherited:
            self.logs.close_batch(batch)
        # What one on another host, or another mount, has begun since may be seen from here only later.
        seen = self.lease.sees_alike(self.lease.taken_from)
        self._inherited_due = self.here.monotonic() + (0 if seen else self.UNSEEN)

    def close_inherited(self, now):
        """Take back what the shares of an earlier driver have not begun, once all can be seen that they
        have."""
        while self.inherited and now >= self._inherited_due:
            self.close(self.inherited[-1])
            self.inherited.pop()

    def count_for(self, params, count):
        """Return among how many chunks to divide jobs with these parameters: 0 where each is to run by
        itself.

        Those are short, so that what is spent on each counts, and ask for no limit that would have to be
        watched.
        """
        if not self.backend.starts_jobs or 'memory' in params or 'time' in params:
            return 0
        slots = min(self.driver.max_running, self.backend.holds(params))
        return min(slots, count) if self.driver.submitter.speed() > 4 * slots else 0

    def look_after(self):
        """Give to others what waits behind a long job."""
        now, chunks = self.here.monotonic(), list(self.driver.chunks.by_name.values())
        self.measure(chunks)
        for chunk in chunks:
            shared = is_shared(self.ledger.batches.get(chunk.batch, {}))
            if shared and chunk.key and now - chunk.since > 1 and self.logs.is_open(chunk.batch):
                self.close(chunk.batch)

    def memory(self, chunk):
        """Return what is known of the memory that one of a chunk's jobs used at most, {} where that is
        nothing yet."""
        account = (self.backend.accounts([chunk.task]) or {}).get(chunk.task) or {}
        return {key: account[key] for key in USED[1:] if account.get(key)} or self.backend.seen(chunk.task)

    def measure(self, chunks):
        """Add what the shells of chunks used that have ended themselves to the records of their jobs."""
        events = []
        for chunk in chunks:
            if chunk.unmeasured and self.backend.settled(chunk.task):
                memory = self.memory(chunk)
                for event in chunk.unmeasured if memory else ():
                    number = self.ledger.number(event['job'])
                    if number not in self.ledger.live and self.ledger.status[number] and \
                            self.ledger.attempts[number] == event['attempt']:
                        events.append(dict(event, event='usage', **memory))
                chunk.unmeasured = []
        self.driver.reports.log(events)

    def unmeasured_numbers(self):
        """Return the set of the numbers of ended jobs of which it is known soon how much memory they used:
        not where a longer job keeps their shell."""
        now = self.here.monotonic()
        return {self.ledger.number(event['job']) for chunk in self.driver.chunks.by_name.values()
                if now - chunk.since < 2 for event in chunk.unmeasured}

    def finish(self):
        """Take back what has not begun, and log the rest without waiting for what it used."""
        for batch in self._batches():
            self.close(batch)
        for chunk in self.driver.chunks.by_name.values():
            self.driver.chunks.unlogged += self.driver.chunks.release(chunk, float('inf'))
        self.driver.chunks.log_progress()

    def measure_last(self):
        """Add what the jobs used that have just ended, as their shells are about to end."""
        chunks = [chunk for chunk in self.driver.chunks.by_name.values() if chunk.unmeasured]
        for _ in range(20):
            if not all(self.backend.settled(chunk.task) for chunk in chunks):
                self.here.rest(0.01)
        self.measure(chunks)

    def _batches(self):
        """Return the numbers of the batches with shares."""
        return [batch for batch, event in self.ledger.batches.items() if is_shared(event)]

    def open_batches(self):
        """Return the batches with shares that may begin more."""
        return list(filter(self.logs.is_open, self._batches()))

    def close(self, batch):
        """Take back what the shares of a batch have not begun: once its list is gone, they begin nothing
        more.

        Raises:
            OSError: it cannot be removed
        """
        self.logs.close_batch(batch)
        if batch in self.inherited and self.here.monotonic() < self._inherited_due:
            return
        self.driver.reports.collect([batch])
        event, attempts = self.ledger.batches.get(batch), self.driver.attempts
        keys = [key_of(record) for record in attempts.in_batch(batch)]
        self._take_back([key for key in keys if not attempts.has_begun(key)])
        if event and event.get('id') is None and batch in self.ledger.batches:
            # An earlier driver did not come to say that it was submitted.
            self.driver.recall.note_id(batch, event['name'])
            attempts.tell_started_in(batch)

    def _take_back(self, keys):
        """Make attempts unsubmitted again that do not begin. One that was claimed cannot be claimed again."""
        names = set(self.logs.listing()) if keys else ()
        claimed = [key for key in keys if key + '.start' in names]
        self.driver.recall.unsubmit(claimed, spent=True)
        self.driver.recall.unsubmit([key for key in keys if key not in claimed])


class Pool:
    """The workers of one submission, which take jobs from lists.

    Attributes:
        number: of the batch with which they were submitted
        id: the scheduler's, None where it is not known
        params: what they asked for, as texts
        indices: of them all, as the scheduler counts them
        exited: set of the indices of those that have said their last word
        claimed: {index: whether it claimed a job before it ended} of those of which that is known
        gone: {index: (since when it is not in the queue, on the monotonic clock; whether that says so)}
        waiting: how many jobs are still on their lists
        ending: why they get no list any more: 'closed', 'cancelled', or '' while they do
        shut: {number of a list: when it was closed, on the monotonic clock}
        limit: workers with a larger index are not wanted any more
        idle: since when nothing is on their lists, on the monotonic clock
    """

    #: Seconds after which no list is given to them any more: a bit less than they wait for one.
    SOON = WORKER_WAIT - 5
    #: Jobs on a list at the most: as many files lie in run/ until all of them have ended. And those for each
    #: worker on the first one, when nobody knows how short they are: enough until the next has been written.
    LIST, FIRST = 10000, 100
    #: Seconds for which what a worker says may come late that the queue lists as ended, or that was
    #: cancelled. Should it work on all the same, claims keep it from running what another runs.
    ENDED_GRACE = 10

    def __init__(self, event):
        """
        Args:
            event: of one of its batches
        """
        self.number, self.params = event['crew'], event['with']
        self.id = event.get('id')
        self.indices = range(1, event['workers'] + 1) if event['workers'] > 1 else range(1)
        self.exited, self.gone, self.claimed, self.shut = set(), {}, {}, {}
        self.waiting, self.ending = 0, ''
        self.limit = self.idle = None

    def note_exit(self, index):
        """Note that a worker has said its last word.

        Args:
            index: of the worker, as it counts them itself
        """
        self.exited.add(index if len(self.indices) > 1 else 0)

    def at_work(self):
        """Return the indices of those that the scheduler has."""
        return [index for index in self.indices if index not in self.exited and index not in self.gone]

    def over(self, now, grace):
        """Tell whether all workers, and whether half of those that are wanted, will certainly take nothing
        more."""
        over = [index for index in self.indices if self.is_over(index, now, grace)]
        wanted = [index for index in self.indices if self.limit is None or index <= self.limit]
        return len(over) == len(self.indices), len(set(over) & set(wanted)) >= len(wanted) / 2

    def is_over(self, index, now, grace):
        """Tell whether a worker will certainly take nothing more."""
        since, is_told = self.gone.get(index, (now, False))
        return index in self.exited or now - since > (min(grace, self.ENDED_GRACE) if is_told else grace)

    def takes_more(self, params):
        """Tell whether more jobs may be given to them: such as ask for what they have.

        Args:
            params: dict of texts
        """
        return bool(self.id and not self.ending and self.params == params and self.at_work())


#: Jobs on lists that have not begun, as lists of their records: those that anybody may claim, those that
#: somebody has claimed and may have begun, those behind one that was claimed, and those of chunks that a
#: driver has claimed.
Waiting = collections.namedtuple('Waiting', 'free mute rest ours')


def chunk_sizes(count, left, workers, most):
    """Return how large the chunks of a list are: smaller towards the end of the map, so that all workers end
    together.

    Args:
        count: of the jobs on the list
        left: how many jobs there are, with those that follow on other lists
        workers: how many run them
        most: how many jobs a chunk has at the most

    Returns:
        list
    """
    found = []
    while count > 0:
        found.append(max(1, min(most, count, left // (4 * workers))))
        count, left = count - found[-1], left - found[-1]
    return found


def worker_can_run(own, params):
    """Tell whether a worker that asked for `params` can run a job that asks for `own`: dicts of
    parameters."""
    for key in set(own) | set(params):
        if key not in PARAMETERS or key in NOT_REQUESTED or own.get(key) == params.get(key):
            continue
        least = 1 if key == 'cores' else 0
        if key not in ('cores', 'memory', 'time') or own.get(key, least) > params.get(key, least):
            return False
    return True


class ShortJobs(Part):
    """Finds out whether jobs are so short that workers run them much sooner than the scheduler starts one
    after the other, where nobody said how many workers there are to be. Decided once, it stays so.
    """

    #: Jobs that are submitted first, and so many must have completed to say how long they take; seconds for
    #: which the others wait for them at the most.
    FIRST, WAIT = 8, 5
    #: So many jobs must be left, such a part of those that began must be short, and these seconds are short.
    MANY, PART, SHORT = 50, 0.9, 60
    #: As many such jobs must fit into the time that each asks for: a worker asks for no more.
    FITTING = 10
    #: Seconds to wait at the most until nearly all places are free, which the workers then take together.
    DRAIN = 10

    def __init__(self, driver):
        super().__init__(driver)
        #: Of each of the last jobs: (the seconds that it took, those that it waited).
        self._ends = collections.deque(maxlen=1000)
        self._began = self.here.time()
        self._first_due = 0    # until when the others wait for the first jobs, on the monotonic clock
        self._drained = None    # until when to wait for free places

    @property
    def decided(self):
        """Whether they are, and workers run what is left."""
        return 'pull' in self.ledger.settings

    @property
    def is_open(self):
        """Whether this is still to be found out."""
        never = self.backend.starts_jobs or self.plan.info.get('pull') is not None
        is_over = never or self.driver.leaving or self.decided
        return not is_over and self.ledger.count_of(UNSUBMITTED) > self.MANY

    def note_end(self, event):
        """Note how long a job took that this driver submitted, if it completed: one that fails says nothing
        of how long others take.

        It waited while its place was taken and it did not run: that counts by the clock of the driver, as
        those of the nodes may differ from it.

        Args:
            event: its end, just seen
        """
        is_known = event['status'] == COMPLETED and event.get('started') and event['submitted'] >= self._began
        if is_known and self.is_open:
            lasted = max(0, event['finished'] - event['started'])
            self._ends.append((lasted, max(0, self.here.time() - event['submitted'] - lasted)))

    def room(self, places):
        """Return how many of so many free places jobs may take now: first only a few, for which the others
        wait for a moment."""
        now, places = self.here.monotonic(), max(0, places)
        if not self.is_open:
            return places
        if not self.ledger.last_batch and self.ledger.count_of(UNSUBMITTED) > self.MANY + self.FIRST:
            self._first_due = now + self.WAIT
            return min(places, self.FIRST, max(1, self.driver.max_running // 2))    # half wait for no others
        return 0 if now < self._first_due and self.ledger.live and len(self._ends) < self.FIRST else places

    def decide(self):
        """Let workers run what is left, if jobs are short: that stands in the journal before the first one is
        submitted."""
        if len(self._ends) < self.FIRST or not self.is_open:
            return
        # Behind many others, a job waits for them, and not only to be started.
        waits = sorted(waited for _, waited in self._ends)
        idle = waits[len(waits) // 4] + self.driver.submitter.gathering()
        time = change_params(self.plan.params, self.ledger.settings.get('params')).get('time', float('inf'))
        most = min(self.SHORT, idle / 2, time / self.FITTING)
        short = [lasted for lasted, _ in self._ends if lasted <= most]
        if len(short) < self.PART * (len(self._ends) + self.ledger.count_of(RUNNING)):
            return
        # Those that follow may take longer: no place is to stay empty then.
        self.driver.set(pull=self.ledger.count_of(UNSUBMITTED), pull_reason=(
            'jobs take {:.1f} s, and {:.1f} s pass until the next one starts'.format(
                max(0.1, sum(short) / len(short)), idle)))

    def places(self, most, alone):
        """Return how many workers there may be beside jobs that wait for a place of their own.

        Args:
            most: how many places there are
            alone: how many such jobs
        """
        return most - min(alone, most // 2) if self.decided else most    # else somebody gave their number

    def drains(self, by_themselves):
        """Tell whether the workers have to wait for places: together they share the jobs best.

        Args:
            by_themselves: how many jobs have a place of their own
        """
        if not self.decided or by_themselves <= self.driver.max_running // 10:
            return False
        now = self.here.monotonic()
        self._drained = self._drained or now + self.DRAIN
        return now < self._drained


class Unclaimed(Part):
    """The jobs on the lists of workers that none has said to begin: they come back once it is certain that
    none will."""

    #: Seconds after which others get what waits behind a job, once they have nothing else.
    LONG = 10

    def look_after(self, pool, batches, names, now):
        """Close the lists of a pool of which it will not take all, and take that back once it is sure.

        Args:
            pool: Pool
            batches: the numbers of its lists
            names: of what lies in run/
            now: on the monotonic clock
        """
        waiting = self._on_lists(batches, names)
        pool.waiting = sum(record['batch'] not in pool.shut for record in waiting.free)
        grace = pool.ENDED_GRACE if pool.ending == 'cancelled' else self.backend.grace
        over, few = pool.over(now, grace)
        if waiting.free and pool.ending != 'cancelled':
            self.driver.pools.note_launches(pool, now, grace)
        # These are closed to all, and so they do not come to run twice.
        self.driver.recall.unsubmit([key_of(record) for record in waiting.ours], spent=True)
        left = waiting.free + waiting.rest if over or few else []
        if left + (waiting.mute if over else []):
            pool.ending = pool.ending or 'closed'
        lost = {record['batch'] for record in waiting.rest if self._is_lost(pool, record, now, grace)}
        wanted = {record['batch'] for record in waiting.free}
        for batch in batches if pool.ending else lost - wanted:
            if batch not in pool.shut:
                self.logs.close_batch(batch)
                pool.shut[batch] = now
        self._take_back(pool, batches, names, over, now, grace)

    def _take_back(self, pool, batches, names, over, now, grace):
        """Make the jobs of closed lists unsubmitted again of which it is certain that they do not begin.

        Args:
            over: whether all workers of the pool certainly take nothing more
            pool, batches, names, now, grace: as above
        """
        in_chunks = {batch for batch in batches if 'chunks' in self.ledger.batches.get(batch, ())}
        old = {batch for batch in batches if now - pool.shut.get(batch, now) >
               (self.backend.grace if batch in in_chunks else grace)}
        if old:
            self.driver.reports.collect(old)    # what they have begun until now can be seen
            waiting = self._on_lists(old, set(self.logs.listing()))
            self.driver.recall.unsubmit([key_of(record) for record in waiting.free + waiting.rest])
            # Whoever claimed these did not live to say that they begin, and all that was said can be seen.
            sure = {batch for batch in old if over and now - pool.shut[batch] > self.backend.grace}
            self.driver.recall.unsubmit(
                [key_of(record) for record in waiting.mute if record['batch'] in sure], spent=True)
        # What is claimed here certainly does not begin, and need not wait for words that are not seen yet.
        for record in self._on_lists(pool.shut.keys() - old, names).free if over else ():
            if self.driver.chunks.first_of(record) == key_of(record) and not self.lease.beat.is_due():
                self.driver.attempts.claim(record)

    def _is_lost(self, pool, record, now, grace):
        """Tell whether the worker will not come soon to a job which has claimed the chunk that it is in.

        Args:
            record: of the job
            pool, now, grace: as above
        """
        worker, chunk = self.driver.pools.worker_of(record), self.driver.chunks.of(record)
        if not worker or chunk.who.get('batch') != record['batch']:
            return bool(worker)    # it has another list with that job at the head of a chunk
        if chunk.key and now - chunk.since > self.LONG:
            return True    # it runs a long job
        return pool.is_over(worker[1] if len(pool.indices) > 1 else 0, now, grace)

    def _on_lists(self, batches, names):
        """Return the records of the jobs of these batches that have not said that they began, as Waiting.

        Args:
            batches: their numbers
            names: of what lies in run/
        """
        waiting, chunks = Waiting([], [], [], []), self.driver.chunks
        for record in self.ledger.live.values():
            waits = record['k'] == UNASSIGNED and record['batch'] in batches
            if not waits or self.driver.attempts.has_begun(key_of(record)):
                continue
            chunk = chunks.of(record)
            if not chunks.is_claimed(record, names):
                waiting.free.append(record)
            elif chunk and 'driver' in chunk.who:
                waiting.ours.append(record)
            else:
                is_first = chunks.first_of(record) == key_of(record)
                (waiting.mute if is_first else waiting.rest).append(record)
        return waiting


class Pools(Part):
    """The workers that take jobs from lists: see `Pool`.

    Attributes:
        by_number: {number of the batch with which they were submitted: Pool}
        short, unclaimed: ShortJobs, Unclaimed
    """

    def __init__(self, driver):
        super().__init__(driver)
        self.by_number, self.short, self.unclaimed = {}, ShortJobs(driver), Unclaimed(driver)
        self._next_of_workers, self._next_alone = True, False    # whether the next jobs are such

    @property
    def size(self):
        """How many workers there may be at once; 0 where each job has a task of its own."""
        if self.backend.starts_jobs:
            return 0
        given = self.plan.info.get('pull')
        return self.ledger.settings.get('pull', 0) if given is None else given

    def fill_lists(self):
        """Keep enough jobs on the lists of workers, and start the workers that are missing. A job that asks
        for more than a worker has, that a worker did not bring to its end, or that is to run elsewhere, is
        submitted by itself."""
        submitter, leaving = self.driver.submitter, self.driver.leaving
        waiting = sum(pool.waiting for pool in self.by_number.values())
        most = min(self.size, self.driver.max_running)
        ahead = min(Pool.LIST, max(Pool.FIRST * most, int(60 * submitter.speed())))
        is_fed = waiting > ahead // 2 and not leaving and not submitter.unfinished
        by_themselves = sum('crew' not in self.ledger.batch_of(record)
                            for record in self.ledger.live.values())
        if self._can_wait(is_fed, by_themselves):
            return
        submitter.unfinished = False
        room = 0 if is_fed else ahead - waiting
        if leaving:
            room = self.ledger.count_of(UNSUBMITTED)
        params = self.plan.worker_params(self.ledger)
        groups, alone = self._next_jobs(max(room, Pool.LIST), params)
        self._next_of_workers, self._next_alone = bool(groups), bool(alone)
        if not leaving:
            most = self.short.places(min(most, self.driver.max_running - by_themselves), len(alone))
        for changes, members in groups.items():
            while members and room > 0 and not self.lease.beat.is_due():
                count = submitter.fitting(members[:min(room, Pool.LIST)])
                some, members = members[:count], members[count:]
                pool, workers = self._pool_for(params, most, len(some))
                if not workers:
                    break    # what works now has other parameters
                if not submitter.submit_batch(some, params, dict(changes), 0, pool, workers):
                    submitter.unfinished = bool(self.driver.asker.under_way('submit'))
                    return
                room -= len(some)
        alone = [number for number in alone if submitter.demands.may_try(submitter.demands.of_job(number))]
        room = self.driver.max_running - self.at_work() - by_themselves
        submitter.submit_jobs(alone[:len(alone) if leaving else max(0, room)])

    def _can_wait(self, is_fed, by_themselves):
        """Tell whether nothing is to be done now for workers or for jobs that need a task of their own.

        Args:
            is_fed: whether there are enough jobs on the lists
            by_themselves: how many jobs have a task of their own
        """
        if self.driver.leaving or self.driver.submitter.unfinished:
            return False
        if self._next_of_workers and not is_fed:
            return not self.by_number and self.short.drains(by_themselves)
        # What is not for workers is gathered, as it is where there are none.
        none_alone = is_fed and not self._next_alone
        if none_alone or by_themselves + self.at_work() >= self.driver.max_running:
            return True
        return not self.driver.submitter.has_gathered()

    def _next_jobs(self, limit, params):
        """Return the numbers of the next jobs: those that a worker can run, as {changes in their parameters:
        list}, and those that need a task of their own.

        Args:
            limit: how many of them at the most
            params: dict, what a worker asks for
        """
        groups, alone = collections.OrderedDict(), []
        for number in self.ledger.following(limit):
            own, changes = self.driver.submitter.job_params(number)
            if worker_can_run(own, params) and not self._needs_task(number):
                groups.setdefault(tuple(changes.items()), []).append(number)
            else:
                alone.append(number)
        return groups, alone

    def _pool_for(self, params, most, count):
        """Return the workers to which jobs are given: (Pool, their number); (None, how many to start); (None,
        0) where the jobs have to wait.

        Args:
            params: dict, what the jobs ask for
            most: how many workers there may be
            count: of the jobs
        """
        submitter, texts, free = self.driver.submitter, write_parameters(params), most - self.at_work()
        pool = next((pool for pool in self.by_number.values() if pool.takes_more(texts)), None)
        if pool and free < max(1, most // 2):
            return pool, len(pool.indices)
        demand = submitter.demands.of(params)
        if free <= 0 or not submitter.demands.may_try(demand):
            return (pool, len(pool.indices)) if pool else (None, 0)
        return None, min(free, count, submitter.largest(demand))

    def note_claim(self, number, index):
        """Note that a worker has claimed a job.

        Args:
            number: of its pool
            index: of the worker
        """
        if number in self.by_number:
            self.by_number[number].claimed[index] = True

    def at_work(self):
        """Return how many workers the scheduler has."""
        return sum(len(pool.at_work()) for pool in self.by_number.values())

    def look_after(self):
        """Read which workers have exited, and give to others what nobody will take from their lists any
        more."""
        lists, now = self._know_lists(), self.here.monotonic()
        answer = self.driver.asker.take('workers')
        if answer:
            self.driver.attempts.launches.note_workers(answer.value or {}, *answer.about)
        if not self.by_number:
            return
        names = set(self.logs.listing())
        for file in self.logs.run_files(names):
            if file.kind == 'left' and file.batch in self.by_number:
                self.by_number[file.batch].note_exit(file.index)
        for number, pool in self.by_number.items():
            self.unclaimed.look_after(pool, lists.get(number, ()), names, now)
        self._shrink(self.at_work() - self.driver.max_running)

    def _know_lists(self):
        """Bring the pools up to what the ledger says; return {number: its lists, as the numbers of their
        batches}."""
        lists, now = {}, self.here.monotonic()
        for batch, event in self.ledger.batches.items():
            if 'crew' in event:
                pool = self.by_number.setdefault(event['crew'], Pool(event))
                pool.id, pool.idle = event.get('id') or pool.id, None
                lists.setdefault(event['crew'], []).append(batch)
        for number in set(self.by_number) - set(lists):
            pool = self.by_number[number]
            pool.idle = pool.idle or now
            if now - pool.idle > pool.SOON:
                del self.by_number[number]
        return lists

    def note_launches(self, pool, now, grace):
        """Note which workers of a pool have ended before they claimed a job, and ask where.

        Args:
            pool: Pool
            now: on the monotonic clock
            grace: seconds for which their words may come late
        """
        known = pool.claimed.keys() | pool.exited
        tasks = [(pool.id, index) for index in pool.indices
                 if index not in known and pool.is_over(index, now, grace)]
        if tasks and not self.driver.asker.under_way('workers'):
            pool.claimed.update((index, False) for _, index in tasks)
            have_none = len(pool.claimed) == len(pool.indices) and not any(pool.claimed.values())
            message = last_line(read_tail('{}.out.{}'.format(self.logs.batch(pool.number), tasks[0][1])))
            self.driver.asker.ask('workers', (pool, have_none, message), self.backend.accounts, tasks)

    def _shrink(self, count):
        """Let so many workers leave after the job at hand."""
        for pool in self.by_number.values():
            at_work = [index for index in pool.at_work() if pool.limit is None or index <= pool.limit]
            if count > 0 and len(at_work) < len(pool.at_work()):
                count -= len(pool.at_work()) - len(at_work)    # they are about to
            if count > 0 and at_work:
                pool.limit = at_work[-count - 1] if count < len(at_work) else 0
                count -= len(at_work)
                write_text(self.logs.run_file('home', pool.number), '{}\n'.format(pool.limit))

    def see(self, answer, ids, now):
        """Note which workers the queue still lists, and of a job on their list why none has begun.

        Args:
            answer: of the queue, as from Backend.poll
            ids: set of the scheduler's ids of which it speaks
            now: on the monotonic clock
        """
        events, stuck = [], []
        for pool in self.by_number.values():
            if pool.id not in ids:
                continue
            reasons, begun = [], False
            for index in pool.indices:
                status, _, message = answer.get((pool.id, index)) or answer.get((pool.id, 0)) or ('', '', '')
                if status in IN_QUEUE:
                    pool.gone.pop(index, None)
                    begun = begun or status == RUNNING
                    reasons += [message] if status == PENDING and message else []
                    continue
                pool.gone[index] = pool.gone.get(index, (now,))[0], bool(status)
                if status and self.backend.lingers:
                    stuck.append((pool.id, index))
            message = reasons[0] if reasons and not begun else ''
            for record in self.ledger.live.values():
                waits = self.driver.attempts.index_of(record) == UNASSIGNED
                if waits and self.ledger.batch_of(record).get('crew') == pool.number:
                    if record.get('words', '') != message:
                        events.append(self.driver.attempts.changed_record(record, words=message))
                    break
        self.driver.reports.log(events)
        self.driver.steering.end_tasks(stuck)    # what cannot run would stay in the queue for ever

    def ended_alone(self, record, end):
        """Tell whether a job was ended by itself, and not with its worker: this passes on what tells it to
        end, and says so.

        Args:
            record: of the job
            end: its own words, None where there are none
        """
        by_worker = not end or 'signal' in end or end.get('forewarned') == 'task'
        return 'crew' in self.ledger.batch_of(record) and not by_worker

    def cut_off(self, event, end, why):
        """Tell whether an attempt failed only because its worker ended: for lack of time, or of memory for
        all that it ran, or because somebody cancelled it. It runs once more, and its end says `alone`: in a
        task of its own.

        Args:
            event: its last event
            end: its own words, None where there are none
            why: why this execution ended it, None where it did not
        """
        wanted = why or self.ledger.number(event['job']) in self.ledger.cancelled
        if wanted or event['status'] != FAILED or 'crew' not in self.ledger.batch_of(event):
            return False
        if self.ended_alone(event, end):
            return False
        by_worker = end or event['error_reason'] in ('time', 'memory', 'cancelled', 'signal')
        if by_worker and event.get('started'):
            event['alone'] = True
        return 'alone' in event

    def _needs_task(self, number):
        """Tell whether the end of a worker was that of the last attempt of a job, or the job is to run
        elsewhere."""
        earlier = self.ledger.earlier(number)
        is_cut_off = bool(earlier) and bool(earlier[-1].get('alone'))
        return is_cut_off or bool(earlier and self.driver.recall.retries.elsewhere(number))

    def cancel(self):
        """Close the lists of pools of which no job is to go on, and return the tasks of their workers."""
        tasks = []
        for pool in self.by_number.values():
            batches = [batch for batch, event in self.ledger.batches.items()
                       if event.get('crew') == pool.number]
            numbers = {number for number, record in self.ledger.live.items() if record['batch'] in batches}
            if numbers <= self.ledger.cancelled.keys():
                pool.ending = 'cancelled'
                for batch in batches:
                    self.logs.close_batch(batch)
                    pool.shut.setdefault(batch, self.here.monotonic())
                tasks += [(pool.id, index) for index in pool.at_work() if pool.id]
        return tasks

    def worker_of(self, record):
        """Return the worker that has claimed a live job: its pool and its own index; None where it is not
        known."""
        chunk = self.driver.chunks.of(record)
        return (chunk.who['crew'], chunk.who['k']) if chunk and {'crew', 'k'} <= set(chunk.who) else None

    def tell_workers(self, records):
        """Let the workers that have claimed jobs end them, or leave them out."""
        orders = collections.OrderedDict()
        for record in records:
            worker, number = self.worker_of(record), self.ledger.number(record['job'])
            if worker:
                note_why(self.driver.attempts.status_path(record), why_noted(self.ledger, number))
                orders.setdefault(worker, []).append('{} {}\n'.format(
                    key_of(record), self.driver.chunks.first_of(record)))
        for worker, lines in orders.items():
            write_text(self.logs.run_file('cancel', *worker), ''.join(lines))

    def claim(self, record):
        """Keep a worker from beginning a job that is on its list; return whether that is certain now."""
        pool = self.by_number.get(self.ledger.batch_of(record)['crew'])
        if pool and pool.ending == 'cancelled':
            return False    # what is on its lists comes back
        return self.driver.attempts.claim(record)


def short_name(host):
    """Return the name of a host without its domain."""
    return host.partition('.')[0]


class BadHosts(Part):
    """Hosts that fail, or on which jobs fail that would not elsewhere: nothing more is submitted to them, and
    workers there leave. That stands in the journal, until somebody wants such a host used again.
    """

    #: Node failures of a host, or jobs that failed alike on it alone, that are enough; the part of the hosts
    #: that may be left out, though one may always; seconds between two looks.
    FAILED, PART, EVERY = 3, 0.05, 3
    #: Failures that have nothing to do with where a job runs, or count in another way.
    ANYWHERE = ('cancelled', 'submission refused', 'node failed')

    def __init__(self, driver):
        super().__init__(driver)
        self._due, self._told = 0, set()    # which hosts the file names that workers read

    def excluded(self):
        """Return the set of the hosts that are left out."""
        return {host for host, (_, why) in self.ledger.settings.get('excluded', {}).items() if why}

    def look(self):
        """Leave out a host where there is a reason to."""
        now = self.here.monotonic()
        if self.backend.starts_jobs or now < self._due:
            return
        self._due = now + self.EVERY
        if self.plan.info.get('exclude'):
            self._exclude()
        self._tell_workers()

    def _tell_workers(self):
        """Write down for workers on which hosts they are to leave, where that has changed."""
        excluded = self.excluded()
        if excluded != self._told:
            self.lease.commit()
            write_text(self.logs.excluded, ' '.join(sorted(excluded)) + '\n')
            self._told = excluded

    def _exclude(self):
        """Leave out the hosts that are suspect, as far as others are known."""
        entries, now = dict(self.ledger.settings.get('excluded', {})), self.here.time()
        hosts = {record.get('host') for record in self.ledger.live.values()} | set(+self.ledger.totals.hosts)
        known = len(hosts.union(entries) - {None, ''})
        left_out = self.excluded()
        for host, why in self._suspects():
            is_full = len(left_out) >= max(1, int(self.PART * known)) or known < 2
            if host not in entries and not is_full and re.match(r'\w[\w.-]*\Z', host):
                left_out.add(host)
                entries[host] = [now, why]
        if entries != self.ledger.settings.get('excluded', {}):
            self.lease.write([dict(set_event(self.driver, excluded=entries), time=now)])

    def _suspects(self):
        """Yield hosts on which jobs fail that would not elsewhere, each with what happened there."""
        totals = self.ledger.totals
        failures = collections.Counter(host for host, _ in +totals.node_failures)
        for host, count in failures.most_common():
            if count >= self.FAILED:
                yield host, 'node failed {} times'.format(count)
        if not self.ledger.count_of(COMPLETED):
            return
        for group in self.ledger.failures.groups():
            where = group.only_on(totals.hosts) if group.what not in self.ANYWHERE else []
            if len(where) == 1 and group.count >= self.FAILED:
                yield where[0], group.text(where, self.plan.named)


class Launches(Part):
    """Tasks that the scheduler started on a node, and that ended before their job began there.

    A node that ends at once all that it is given is free again at once, and takes one job after another. So
    where a second launch fails on a node, while jobs that may run on the same ones begin on others, none of
    these is submitted to it for a while; and what was on its way there by then is no try of its job.
    """

    #: Launches that may fail on a node before it is avoided, for how many seconds it is then, and for how
    #: many of them that is told.
    MOST, AVOIDED, TOLD = 2, 3600, 60
    #: Jobs, one after another, that may be lost before nothing more is submitted; seconds for which workers
    #: may be submitted of which none begins: no job is lost by that.
    LOST, HOPE = 10, 3600
    #: Exit statuses with which a shell says that there is nothing that it could run.
    NOTHING_RUN = (2, 126, 127)

    def __init__(self, driver):
        super().__init__(driver)
        #: By what chooses their nodes: where jobs began after the last launch that failed there.
        self._good = collections.defaultdict(set)
        #: By what chooses the nodes, and node: how many launches failed since something began; since when
        #: MOST did, in seconds since 1970.
        self._failed, self._bad = collections.Counter(), {}
        #: By number: what was said of the last launch that failed, the nodes, and how many were no try.
        self._jobs = {}
        self._lost, self._began = 0, False    # jobs since something began; whether anything ever did
        self._timer = Timer(5, 300)    # of the next submission, where nothing begins
        self._since = None    # when the first workers ended since then that did not, on the monotonic clock
        #: Why nothing more is submitted, '' where it is.
        self.stopped = ''
        self.bad_hosts = BadHosts(driver)

    def take_over(self):
        """Learn from the journal where jobs run, and where nothing is to start."""
        for record in self.ledger.live.values():
            if record.get('started'):
                self.note_begun(record, record.get('host'))
        if self.plan.alike and not self.ledger.settings.get('params'):    # where one ended, others can begin
            hosts = set(+self.ledger.totals.hosts)
            self._good[self._kind_of(self.plan.params)].update(map(short_name, hosts))

    @staticmethod
    def _kind_of(params):
        """Return the part of params that chooses nodes."""
        keys = ('queue', 'constraint', 'reservation', 'gpus', 'extra')
        return ' '.join(str(params[key]) for key in keys if params.get(key))

    def _kind_of_job(self, record):
        """Return what chose the nodes of a job, or of the worker that has it."""
        batch = self.ledger.batch_of(record)
        params = change_params({}, batch['with']) if 'with' in batch else self.plan.params_of(record)
        return self._kind_of(params)

    def avoided(self, params=None, own=()):
        """Return the list of nodes on which nothing is to start that asks for params.

        Args:
            params: dict, None for anything
            own: the hosts that these jobs alone do not want; left out only where there may be others
        """
        now = self.here.time()
        kind = None if params is None else self._kind_of(params)
        excluded = self.bad_hosts.excluded() if params is not None else set()
        if not self._good[kind] - set(map(short_name, excluded)):
            excluded = set()    # there may be no other that such jobs can have
        excluded = excluded.union(
            node for node, (since, _, of) in self.ledger.settings.get('avoided', {}).items()
            if abs(now - since) < self.AVOIDED and kind in (None, of))
        others = (self._good[kind] or set(map(short_name, +self.ledger.totals.hosts))) if own else set()
        may_be_others = self.backend.refuses_unfit or others - set(map(short_name, excluded.union(own)))
        return sorted(excluded.union(own if may_be_others else ()))

    def choose_hosts(self, params, own):
        """Let a submission avoid nodes; the arguments are those of `avoided`."""
        self.backend.avoided, self.backend.avoided_by_all = self.avoided(params, own), self.avoided(params)

    def tell(self):
        """Say which nodes are avoided, if that is new."""
        now, avoided = self.here.time(), self.ledger.settings.get('avoided', {})
        told = ', '.join('{} ({})'.format(node, entry[1]) for node, entry in sorted(avoided.items())
                         if now - entry[0] < self.TOLD)
        self.bad_hosts.look()
        self.driver.note_trouble('nodes', told and '{}: no more jobs for {}'.format(self.backend.title, told))

    def note_begun(self, record, host):
        """Note that a job has begun on a host."""
        if host and not self.backend.starts_jobs:
            node, kind = short_name(host), self._kind_of_job(record)
            self._good[kind].add(node)
            self._began = True
            self._bad.pop((kind, node), None)
            self._failed[kind, node], self._lost, self._since = 0, 0, None
            self._timer.reset()
            self.driver.note_trouble('launch', '')

    def _nothing_begins(self):
        """Tell whether nothing has begun on any node since a launch failed there."""
        return not any(self._good.values())

    def node_of(self, account):
        """Return the node on which a launch failed, '' where there are several, none is known, or it is not
        the node that ended it.

        Args:
            account: dict as from Backend.accounts, None for no answer
        """
        account = account or {}
        if account.get('status') != FAILED or account.get('reason') in ('cancelled', 'memory', 'time'):
            return ''
        found = re.match(r'[\w.-]+\Z', account.get('host') or '')
        return found.group() if found else ''

    def is_nodes_fault(self, record, account):
        """Tell whether a launch failed because of its node, of which nothing was known at its submission:
        jobs begin on other nodes."""
        node, kind = short_name(self.node_of(account)), self._kind_of_job(record)
        _, _, excused = self._jobs.get(self.ledger.number(record['job']), ('', (), 0))
        if not node or excused >= SUBMISSIONS or not self._good[kind] - {node}:
            return False
        return self.ledger.batch_of(record).get('time', 0) <= self._bad.get((kind, node), float('inf'))

    def is_final(self, account):
        """Tell whether the next launch of a job would fail as this one: a shell found nothing to run, and
        nothing has begun anywhere."""
        nothing_run = (account or {}).get('exit_code') in self.NOTHING_RUN
        return nothing_run and not self.backend.starts_jobs and not self._began

    def note_job(self, attempt, record, account, tries):
        """Note that the launch of a job failed.

        Args:
            attempt: Attempt
            record: of the job
            account: dict as from Backend.accounts
            tries: of the job, with this one if it counts
        """
        message = last_line(read_tail(self.driver.attempts.output_path(record))) or account.get(
            'words') or attempt.message
        _, nodes, excused = self._jobs.get(attempt.number, ('', set(), 0))
        nodes = nodes | {self.node_of(account)} - {''}
        excused += tries == self.driver.attempts.tries.get(attempt.number, 0)
        self._jobs[attempt.number] = message, nodes, excused
        self._note_failed(self._kind_of_job(record), account, message)
        if self.node_of(account) and self._nothing_begins():
            self._wait(message)

    def _note_failed(self, kind, account, message):
        """Note that a launch failed, and avoid its node where the next one would most likely fail too.

        Args:
            kind: what chose its node
            account: dict as from Backend.accounts
            message: what was said of it, '' for nothing
        """
        node = self.node_of(account)
        if not node:
            return
        place = kind, short_name(node)
        self._good[kind].discard(place[1])
        self._failed[place] += 1
        if self._failed[place] < self.MOST:
            return
        avoided, now = self.avoided(), self.here.time()
        self._bad.setdefault(place, now)
        others = len(self._good[kind])
        if not others and self.backend.refuses_unfit:
            others = 1    # they may only be full
        if node not in avoided and others > len(avoided):
            self._bad[place] = now
            entries = self.ledger.settings.get('avoided', {})
            entries = {name: entries[name] for name in avoided}
            entries[node] = [now, message or 'tasks end there before they begin', kind]
            self.driver.set(avoided=entries)

    def note_workers(self, accounts, pool, are_all, message):
        """Note that workers have ended before they claimed a job.

        Args:
            accounts: {task: dict} as from Backend.accounts
            pool: Pool
            are_all: whether all have that were submitted together
            message: what the first of them left in its output, '' for nothing
        """
        for account in accounts.values():
            message = message or account.get('words', '')
            self._note_failed(self._kind_of(change_params({}, pool.params)), account, message)
        if not are_all or not self._nothing_begins():
            return
        now = self.here.monotonic()
        self._since = self._since or now
        if now - self._since >= self.HOPE:
            return self._stop(message)
        self._wait(message)

    def why_lost(self, number, tries):
        """Return why a job ends of which all launches failed, in words, and note that.

        Args:
            number: of the job
            tries: how many there were
        """
        message, nodes, _ = self._jobs.pop(number, ('', (), 0))
        self._lost += 1
        if self._lost >= self.LOST and self._nothing_begins():
            self._stop(message)
        times = plural(tries, 'time')
        if not message and not nodes:
            return 'submitted {}; vanished from the queue each time'.format(times)
        where = ' on {}'.format(', '.join(sorted(nodes))) if nodes else ''
        return 'submitted {}, never began{}{}'.format(times, where, message and ': ' + message)

    def forget(self, number):
        """Note that an attempt of a job is over."""
        self._jobs.pop(number, None)

    def _wait(self, message):
        """Submit nothing for a while, longer each time: nothing begins anywhere."""
        now = self.here.monotonic()
        self.driver.note_trouble('launch', self._told(message))
        if now >= self._timer.due:    # else it is another one of those that ended together
            self._timer.back_off(now)
            self.driver.submitter.timer.due = self._timer.due

    def _stop(self, message):
        """Submit nothing more: nothing begins anywhere."""
        self.stopped = self._told(message) + '; nothing more is submitted'
        self.driver.note_trouble('launch', self.stopped)
        self.driver.leaving = self.driver.leaving or 'halt'

    def _told(self, message):
        nodes = ', '.join(sorted({node for (_, node), number in self._failed.items() if number}))
        return '{}: no job begins{}{}'.format(
            self.backend.title, nodes and ' on ' + nodes, message and ': ' + message)


#: Statuses of a task that the queue still has.
IN_QUEUE = (PENDING, RUNNING, OTHER)


class Question:
    """What the scheduler is asked, or told, and what came of it.

    Attributes:
        asked: when, on the monotonic clock. An answer speaks of that time: of what was submitted, or has
            changed, since then it says nothing
        about: for whoever asked: what was meant by it
        answered: whether the rest is there
        value: what the function returned; None for no answer
        said: Answer of the scheduler's last command, None for none
        error: what the function raised, None for nothing
    """

    def __init__(self, asked, about, function, arguments):
        """
        Args:
            asked, about: see the class
            function, arguments: what is called to ask, with these
        """
        self.asked, self.about, self._call = asked, about, (function, arguments)
        self.answered, self.value, self.said, self.error = False, None, None, None

    def put(self, backend):
        """Ask, and wait for the answer."""
        function, arguments = self._call
        try:
            self.value = function(*arguments)
            self.said = backend.last_answer()
        except BaseException as error:    # of whoever takes the answer
            self.error = error
        self.answered = True


class Asker(Part):
    """Asks the scheduler beside the work of the driver, so that an answer which takes minutes keeps nothing
    else waiting: one question of a kind at a time, in a thread of its own. Each kind has its own, because
    squeue should not wait for sacct, and a submission begins at once or not at all.
    """

    #: Seconds for which a driver that leaves waits for what it has told the scheduler. A submission of which
    #: it does not hear the answer is looked for by name, by the next driver.
    LEAVING = 10

    def __init__(self, driver):
        super().__init__(driver)
        self._questions, self._silent_since = {}, {}    # by kind
        self._written = 0    # texts of `Backend.unknown`

    def ask(self, kind, about, function, *arguments):
        """Ask something; of this kind there must be no question under way.

        Args:
            kind: any text
            about: for `Question.about`
            function, arguments: what is called, in another thread
        """
        self._questions[kind] = Question(self.here.monotonic(), about, function, arguments)
        self._put(self._questions[kind])

    def _put(self, question):
        """Have a question asked."""
        if not self.backend.answers_at_once:
            try:
                threading.Thread(target=self._work, args=(question,), name='qmap-asker', daemon=True).start()
                return
            except RuntimeError:    # no process can be started for it
                pass
        question.put(self.backend)

    def _work(self, question):
        question.put(self.backend)
        self.here.wake()

    def under_way(self, kind):
        """Return the Question of a kind of which nobody has taken the answer, None for none."""
        return self._questions.get(kind)

    def take(self, kind):
        """Return the Question of a kind once it has been answered, None before, and afterwards."""
        question = self._questions.get(kind)
        if question is None or not question.answered:
            return None
        del self._questions[kind]
        if question.error:
            raise question.error
        self._write_unknown()
        return question

    def _write_unknown(self):
        """Write what the scheduler has said and QMap does not know to execution.log, unless it is there.
        Users can send it."""
        new = self.backend.unknown[self._written:]
        self._written += len(new)
        if not new:
            return
        with contextlib.suppress(OSError):
            before = read_tail(self.logs.messages, 1 << 20)
            lines = ('qmap {}: {} says what qmap does not know, please report it: {}\n'.format(
                __version__, self.backend.title, text) for text in new)
            with open_to_append(self.logs.messages) as log:
                log.write(''.join(line for line in lines if line not in before).encode())

    def note_silence(self, kind, about, question, answered):
        """Note that the scheduler does not answer, or answers what nobody understands; or that this is over.

        Args:
            kind: of the question
            about: who does not answer, or about what there is no answer, as 'from Slurm'
            question: Question
            answered: whether there is an answer
        """
        if answered:
            self._silent_since.pop(kind, None)
            self.driver.note_trouble(kind, '')
            return
        if question.said:
            self.backend.note_answer(question.said)
        asked = self.here.time() - (self.here.monotonic() - question.asked)
        since, said = self._silent_since.setdefault(kind, asked), question.said
        self.driver.note_trouble(kind, 'no {}answer {} since {}{}'.format(
            'usable ' if said and said.code is not None else '', about,
            time.strftime('%H:%M:%S', time.localtime(since)), ': ' + said.message() if said else ''))

    def batch_under_way(self, within=float('inf')):
        """Return the number of the batch of which the submission is still to be answered, 0 for none.

        Args:
            within: seconds; of one that began longer ago, 0
        """
        question = self.under_way('submit')
        is_young = question and self.here.monotonic() - question.asked < within
        return question.about[0]['batch'] if is_young else 0

    def wait_for(self, *kinds):
        """Wait until the scheduler has answered to questions of these kinds, but not for long."""
        until = self.here.monotonic() + self.LEAVING
        while self.here.monotonic() < until and self._waits_for(kinds):
            self.here.sleep(0.1)

    def _waits_for(self, kinds):
        """Tell whether a question of one of these kinds is still to be answered."""
        self.driver.steering.end_tasks([])    # what had to wait for the last order
        return not all(self._questions[kind].answered for kind in kinds if kind in self._questions)


class Copies(Part):
    """Tasks of other submissions that run an attempt of ours: one that was not answered may have been taken all
    the same.

    Attributes:
        suspected: keys of attempts of which it is to be asked whether a copy runs them
        listed: {what an attempt calls its task: what the queue says of that, as from Backend.poll}, of those
            that were asked for last
    """

    #: Of so many it is asked one by one, at once; of the others it is not known until it is their turn.
    EACH = 10

    def __init__(self, driver):
        super().__init__(driver)
        self.suspected, self.listed, self._turn = set(), {}, 0

    def may_run(self, key, task):
        """Tell whether an attempt may have been claimed by a copy, which the scheduler still has. That is asked
        for first, together with the accounts.

        Args:
            key: of the attempt
            task: of the scheduler, None where it has none
        """
        claim = self.claimed_by(key)
        if not self.backend.reuses_ids or not claim:
            return False
        if claim not in self.listed:
            self.suspected.add(key)
            return True
        listed = self.listed[claim]
        return listed is None or self._has_others(listed, {task and task[0]})

    def claimed_by(self, key):
        """Return the scheduler's name of the task that has claimed an attempt, as that says itself; None for
        none."""
        return (self.driver.attempts.start_of(key) or {}).get('executor_id')

    def to_ask(self):
        """Return the arguments of `ask` for what is suspected."""
        claims = {self.claimed_by(key) for key in self.suspected} - {None, ''}
        self.suspected, turn = set(), self._turn % max(1, len(claims))
        self._turn = turn + self.EACH
        claims = sorted(claims)
        return claims[turn:] + claims[:turn], {batch.get('id') for batch in self.ledger.batches.values()}

    def ask(self, claims, own):
        """Return what is `listed` of some tasks. Called in another thread.

        Args:
            claims: list of what attempts call their task
            own: set of the ids of our own submissions
        """
        ids = {claim: self.backend.claimed_ids(claim, own - {None, ''}) for claim in claims}
        listed = self.backend.poll([id for claim in claims for id in ids[claim]]) if claims else {}
        if listed is not None and not self._has_others(listed, own):    # there hardly ever is one
            return dict.fromkeys(claims, {})
        found, said = dict.fromkeys(claims), self.backend.last_answer()    # None: nobody knows
        is_silent = not said or said.code is None
        if listed is not None or not is_silent:    # LSF may not answer because of one of them
            found.update((claim, self.backend.poll(ids[claim])) for claim in claims[:self.EACH])
        return found

    @staticmethod
    def _has_others(listed, own):
        """Tell whether the queue, as it said, has tasks of submissions that are not our own."""
        return any(status in IN_QUEUE and task[0] not in own for task, (status, _, _) in listed.items())


class Unended(Part):
    """The tasks that were told to end, and that the queue lists all the same: their nodes are dead, and
    nothing would ever end them."""

    #: Seconds after which such a task counts as cancelled.
    PATIENCE = 300

    def __init__(self, driver):
        super().__init__(driver)
        #: {task: since when the queue says so, on the monotonic clock}, and those that count as cancelled.
        self._since, self._over = {}, set()

    def correct(self, answer, now):
        """Return the answer of the queue, in which tasks are cancelled that have not ended for long.

        Args:
            answer: as from Backend.poll
            now: when it was asked for, on the monotonic clock
        """
        self._since = {task: self._since.get(task, now) for task in self._told_to_end()
                       if self._is_unended(*answer.get(task, ('', '', '')))}
        self._over = {task for task, since in self._since.items() if now - since >= self.PATIENCE}
        return {
            task: (FAILED, 'cancelled', self.message(task)) if task in self._over else told
            for task, told in answer.items()}

    def _told_to_end(self):
        """Return the tasks that this execution has told to end: of jobs, and workers."""
        records = [self.ledger.live[number] for number in self.ledger.cancelled]
        tasks = {self.driver.attempts.task(record) for record in records
                 if 'crew' not in self.ledger.batch_of(record)}
        for pool in self.driver.pools.by_number.values():
            tasks.update((pool.id, index) for index in pool.indices if pool.ending == 'cancelled' and pool.id)
        return tasks - {None}

    def _is_unended(self, status, reason, message):
        return status in IN_QUEUE and bool(self.backend.unended and re.search(self.backend.unended, message))

    def message(self, task):
        """Return what there is to say of a task that counts as cancelled."""
        removal = self.backend.removal.format(self.backend.task_name(task))
        return 'cancelled; its node does not end it, so {} is left to {}{}'.format(
            self.backend.task_name(task), self.backend.title, removal and ': ' + removal)

    def explain(self, event, task):
        """Return the last event of an attempt, with what there is to say of its task."""
        return dict(event, error=self.message(task)) if task in self._over else event


class Hopeless(Part):
    """The jobs that wait, and will never start, as the scheduler says. Where the profile has the setting
    `give_up`, they have failed after that time; those that request more since they failed, in any case.

    Those that are to run elsewhere run wherever they can then, and also where they waited for too long.
    """

    #: Seconds after which these are given up, where the profile says nothing. How long a job waits for
    #: another host: so many seconds, or times as long as it waited for the one that failed; a day at the
    #: most, as clocks may be wrong.
    GROWN, ELSEWHERE, TIMES, LONGEST = 600, 3600, 2, 86400

    #: What the scheduler's reasons in plain words say of them.
    NEVER = 'it will never start'

    def __init__(self, driver):
        super().__init__(driver)
        self._since = {}    # {key of the attempt: since when the queue says so, on the monotonic clock}

    def end(self, now):
        """End those of which the queue has said so for long enough.

        Args:
            now: on the monotonic clock
        """
        limits = self._limits()
        keys = {number: key_of(self.ledger.live[number]) for number in limits}
        self._since = {key: self._since.get(key, now) for key in keys.values()}
        attempts, tasks, events = self.driver.attempts, set(), []
        for number, key in keys.items():
            record, is_over = self.ledger.live[number], now - self._since[key] >= limits[number]
            if is_over and not self.lease.beat.is_due() and attempts.claim(record):
                tasks.update(self._tasks_of(record))
                events.append(self._end_of(number, record, time_text(limits[number])))
        self.driver.reports.log(events)
        self.driver.steering.end_tasks(sorted(tasks))

    def _limits(self):
        """Return {number of a job: for how many seconds it waits at the most}."""
        patience, retries, elsewhere = self.backend.give_up, self.driver.recall.retries, self._elsewhere()
        if patience is None and not self.ledger.changes and not elsewhere:
            return {}
        limits = {number: self.GROWN if patience is None else patience for number in self._numbers()
                  if patience is not None or number in elsewhere or retries.has_grown(number)}
        elsewhere.update(limits)
        return elsewhere

    def _elsewhere(self):
        """Return {number: seconds} of the jobs that wait for another host."""
        batches = {number for number, batch in self.ledger.batches.items() if batch.get('elsewhere')}
        numbers = [number for number, record in self.ledger.live.items() if record['batch'] in batches
                   and record['status'] == PENDING and number not in self.ledger.cancelled] if batches else []
        waited = {number: self.driver.recall.retries.waited(number) for number in numbers
                  if not self.driver.attempts.has_begun(key_of(self.ledger.live[number]))}
        return {number: max(self.ELSEWHERE, min(self.LONGEST, self.TIMES * seconds))
                for number, seconds in waited.items()}

    def _end_of(self, number, record, waited):
        """Return the end of the attempt of such a job that waited for so long, a text."""
        hosts, now = self.ledger.batch_of(record).get('elsewhere'), self.here.time()
        if hosts:
            error = 'waited {} for another host than {}'.format(waited, ', '.join(hosts))
            return dict(unbegun_end(record, 'submit', error, now), words='', rerun=True)
        error = 'given up after {}: {}'.format(waited, record.get('words') or self.NEVER)
        return self.driver.recall.retries.explain_refusal(
            dict(unbegun_end(record, 'submit', error, now), words=''))

    def _numbers(self):
        """Return the numbers of these jobs. Of the jobs on the lists of workers only one says so."""
        live, attempts = self.ledger.live, self.driver.attempts
        said = {number for number, record in live.items() if record['status'] == PENDING
                and self.NEVER in record.get('words', '') and number not in self.ledger.cancelled}
        pools = {self.ledger.batch_of(live[number]).get('crew') for number in said} - {None}
        on_lists = {number for number, record in live.items()
                    if pools and self.ledger.batch_of(record).get('crew') in pools}
        return [number for number in said | on_lists if not attempts.has_begun(key_of(live[number]))]

    def _tasks_of(self, record):
        """Return the tasks that wait for a job: its own, or the workers that would run it."""
        task = self.driver.attempts.task(record)
        if 'crew' not in self.ledger.batch_of(record):
            return [task] if task else []
        pool = self.driver.pools.by_number.get(self.ledger.batch_of(record)['crew'])
        return [(pool.id, index) for index in pool.at_work()] if pool and pool.id else []


class Queue(Part):
    """What the scheduler says: which tasks its queue lists, and how those ended of which it alone can tell.

    Attributes:
        timer: Timer of the next look
        polled: when that was asked which it has answered last, on the monotonic clock
        waiting_for_usage: {number: (since, event)} of ended jobs of which the accounts may still tell what
            they used
        load: of the cluster, as Backend.usage tells it, where the profile wants it
        copies: Copies
    """

    #: Seconds for which to wait for what the scheduler's accounts say of an end; between two looks at the
    #: load; between two questions for what ended jobs used, which is only nice to know; for which the queue
    #: is looked at more often, once jobs were cancelled.
    PATIENCE, LOAD, USAGE, ENDING = 20, 60, 60, 30

    def __init__(self, driver):
        super().__init__(driver)
        self.timer, self.polled, self.waiting_for_usage = Timer(5, 300), float('-inf'), {}
        self.load, self._load_due = {}, 0
        self._accounts_due = self._usage_due = 0
        #: What the backend says of that. To learn it may take a command.
        self._proves_absence = False
        self.copies = Copies(driver)
        #: The tasks that waited when the queue was last asked, and the batches that it listed; the last batch
        #: that it lists now as it did then: its memory reaches as far as that at least.
        self._waited, self._listed, self._whole = set(), set(), -1

    def look_soon(self, seconds=3, apart=10):
        """Look at the queue soon: something was submitted, and many die at once, or was told to end.

        Args:
            seconds: until then
            apart: seconds since it was asked last, at least: not after each of many submissions
        """
        self.timer.due = min(self.timer.due, max(self.here.monotonic() + seconds, self.polled + apart))

    def look_at_load(self, now):
        """Ask for the load of the cluster from time to time, where the profile wants it."""
        asker, wanted = self.driver.asker, self.plan.info['settings'].get('show_usage', '').lower() in TRUE
        if wanted and now >= self._load_due and not asker.under_way('load'):
            self._load_due = now + self.LOAD
            asker.ask('load', None, self.backend.usage)
        answer = asker.take('load')
        if answer:
            self.load = answer.value or {}

    def poll(self):
        """Ask the queue which tasks it lists, and note what it says of each job."""
        now, asker = self.here.monotonic(), self.driver.asker
        if now >= self.timer.due and self.ledger.live and not asker.under_way('poll'):
            for record in self.ledger.live.values():
                if self.ledger.batch_of(record).get('id') == '':    # only its own words can tell
                    self.driver.attempts.of(record).miss(now)
            ids = self._known_ids()
            if ids:
                asker.ask('poll', ids, self.backend.poll, list(ids.values()))
        answer = asker.take('poll')
        if answer is None or self._is_silent(answer, now):
            return
        answer.value = self.driver.steering.unended.correct(answer.value, answer.asked)
        batches = {id: number for number, id in answer.about.items()}
        listed = {batches[id] for id, _ in answer.value if id in batches}
        self._whole = max(listed & self._listed, default=-1)
        events, ids = [], self._known_ids()
        for number, record in self.ledger.live.items():
            batch = record['batch']
            if batch in ids and answer.about.get(batch) == ids[batch]:    # else it was submitted since
                events += self._see(number, record, answer.value, now)
        self._listed = listed
        self._waited = {task for task, told in answer.value.items() if told[0] == PENDING}
        self.driver.reports.log(events)
        if self.here.time() - max(self.ledger.cancelled.values(), default=0) < self.ENDING:
            self.look_soon()    # what was told to end is about to
        self.driver.pools.see(answer.value, set(answer.about.values()), now)
        self.driver.steering.hopeless.end(now)

    def _known_ids(self):
        """Return {number of the batch: the scheduler's id of it}."""
        return {number: batch['id'] for number, batch in self.ledger.batches.items() if batch.get('id')}

    def _is_silent(self, answer, now):
        """Tell whether the queue did not answer, and note when to ask it again.

        Args:
            answer: Question
            now: on the monotonic clock
        """
        self.driver.asker.note_silence(
            'poll', 'from ' + self.backend.title, answer, answer.value is not None)
        if answer.value is None:
            self.timer.back_off(now)
            return True
        self.timer.reset()
        if answer.asked - self.polled > 2 * self.backend.poll_interval:
            self._waited = set()    # what has begun since may have ended, and be forgotten
        self.polled, self.timer.due = answer.asked, now + self.backend.poll_interval
        if self._known_ids().items() - answer.about.items():
            self.look_soon(5, 15)
        return False

    def _see(self, number, record, answer, now):
        """Return a list with the event that comes of what the queue says of a live job, an empty one for
        none."""
        attempts, chunks = self.driver.attempts, self.driver.chunks
        task = attempts.task(record)
        if task is None and record['status'] == RUNNING:    # by a worker of another pool, or an unknown one
            attempts.of(record).miss(now)
        if task is None or number in chunks.held or record['batch'] in chunks.shares.inherited:
            return []
        # The rest of an array that was cancelled before it began may stand under index 0.
        status, reason, message = answer.get(task) or answer.get((task[0], 0)) or ('', '', '')
        if status in IN_QUEUE:
            return self._see_listed(record, status, message)
        attempt = attempts.of(record)
        if not attempt.gone:
            attempt.miss(now)
            is_whole = not self.backend.forgets or record['batch'] <= self._whole
            attempt.dropped = not status and task in self._waited and is_whole
            if attempt.start:
                attempts.tell_started(record, attempt.start)
        if status:
            attempt.reason, attempt.message = reason, message
        attempt.listed = bool(status)
        return []

    def _see_listed(self, record, status, message):
        """Return a list with the event of a live job that the queue lists, an empty one for no news."""
        attempt = self.driver.attempts.by_key.get(key_of(record))
        if attempt and attempt.end:
            return []    # it has said that it ended
        if attempt:
            attempt.requeued = status == PENDING and bool(attempt.start) and not self.backend.starts_jobs
            if attempt.requeued and self.driver.reports.reason_noted(record, None):
                attempt.miss(self.here.monotonic())    # its run has been ended; what waits would find that
            else:
                attempt.found()
        if is_shared(self.ledger.batch_of(record)):
            status = PENDING    # one of the chunk's jobs runs, and the others wait
        if status == PENDING and record.get('started'):
            status = RUNNING    # its own words count more
        if (status, message) == (record['status'], record.get('words', '')):
            return []
        return [self.driver.attempts.changed_record(record, status=status, words=message)]

    def ask_accounts(self):
        """Ask the scheduler's accounts, once for all: how did those end of which it alone can tell, what was
        used?"""
        now, asker = self.here.monotonic(), self.driver.asker
        busy = bool(self.ledger.live)    # nobody should wait at the end for what is only nice to know
        question = asker.under_way('accounts')
        if question is None and now >= self._accounts_due:
            self._ask_accounts(now, busy)
        elif question and not busy and now - question.asked > self.PATIENCE:
            self.waiting_for_usage.clear()
        answer = asker.take('accounts')
        if answer is None:
            return
        if not self.backend.accounts_at_once:
            self._accounts_due = now + (5 if busy else 2)
        gone, usage = answer.about
        accounts, self.copies.listed, self._proves_absence = answer.value
        if gone:
            asker.note_silence(
                'accounts', 'from the accounts of ' + self.backend.title, answer, accounts is not None)
        tasks = {attempt.number: task for task, attempt, *known in gone
                 if self._is_at(attempt) and known == [attempt.since, attempt.start, attempt.end]}
        self._judge(tasks, accounts, answer.asked)
        if self.copies.suspected:
            self._accounts_due = 0
        self._add_usage(usage, accounts, answer.asked, self.PATIENCE if busy else 6)

    def _ask_accounts(self, now, busy):
        """Ask the accounts, if there is anything to ask.

        Args:
            now: on the monotonic clock
            busy: whether there are jobs in the scheduler
        """
        attempts, over = self.driver.attempts, self._gone_for_a_while(now)
        late = {}
        if not busy or now >= self._usage_due:
            late = {number: event for number, (since, event) in self.waiting_for_usage.items()
                    if now - since > (5 if busy else 1)}
        if not over and not late:
            return
        if late:
            self._usage_due = now + self.USAGE
        gone = [(attempts.task(self.ledger.live[attempt.number]), attempt, attempt.since, attempt.start,
                 attempt.end) for attempt in over]
        tasks = [task for task, *_ in gone] + [tuple(event['task']) for event in late.values()]
        self.driver.asker.ask('accounts', (gone, late), self._ask_for, list(filter(None, tasks)),
                              *self.copies.to_ask())

    def _ask_for(self, tasks, claims, own):
        """Return what the accounts say of tasks, and what the queue says of copies. Called in another thread.

        Args:
            tasks: list of tasks
            claims, own: as for `Copies.ask`
        """
        return self.backend.accounts(tasks), self.copies.ask(claims, own), self.backend.proves_absence

    def _is_at(self, attempt):
        """Tell whether an attempt is still the one that its job is at, and gone."""
        record = self.ledger.live.get(attempt.number)
        return record is not None and attempt.gone and self.driver.attempts.of(record) is attempt

    def _gone_for_a_while(self, now):
        """Return the Attempts that are gone for so long that the accounts may know of it."""
        attempts, short = self.driver.attempts, min(10, self.backend.grace)
        gone = [attempt for key, attempt in attempts.by_key.items() if attempt.gone and attempts.is_live(key)]

        def is_clear(attempt):    # the accounts have nothing to add
            was_told = attempt.number in self.ledger.cancelled and attempt.reason == 'cancelled'
            return attempt.end or was_told

        return [attempt for attempt in gone if is_clear(attempt) or now - attempt.since > short]

    def _add_usage(self, asked, accounts, now, patience):
        """Add what ended jobs used to their records, and wait for some of them no more.

        Args:
            asked: {number of the job: the event that ended it}
            accounts: {task: dict} as the scheduler's accounts say, None for no answer
            now: when these were asked, on the monotonic clock
            patience: seconds
        """
        events, over = [], []
        for number, last in asked.items():
            since, event = self.waiting_for_usage.get(number, (0, None))
            if event is not last:    # nobody waits for it any more
                continue
            account = (accounts or {}).get(tuple(event['task'])) or {}
            with_usage = dict(event, event='usage')
            if is_account_of(event, account) and add_usage(with_usage, account):
                events.append(with_usage)
            if accounts == {} or account or now - since > patience:
                over.append(number)
        self.driver.reports.log(events)
        for number in over:    # only what is written down counts
            del self.waiting_for_usage[number]

    def _judge(self, tasks, accounts, now):
        """End the jobs that are gone, as far as it is known how.

        Args:
            tasks: {number of the job: its task, None where it has none}
            accounts: {task: dict} as the scheduler's accounts say, None for no answer
            now: when these were asked, on the monotonic clock
        """
        names, attempts = set(self.logs.listing()), self.driver.attempts
        rules = Rules(self.backend.grace, self.PATIENCE, self.backend.lingers)
        events, back, stuck = [], [], []
        for number, task in tasks.items():
            record = self.ledger.live[number]
            key, attempt = key_of(record), attempts.of(record)
            evidence = self._evidence(attempt, record, accounts, task, names)
            verdict = judge(evidence, now - attempt.since, rules)
            if verdict == WAIT:
                continue
            if verdict == END and not attempt.end and evidence.begun and self.copies.may_run(key, task):
                continue    # another copy was first
            if task and attempt.listed and self.backend.lingers:
                stuck.append(task)
            account = dict(evidence.account or {})
            if verdict in (RESUBMIT, VANISHED):
                attempts.launches.note_job(attempt, record, account, evidence.tries)
            if verdict == RESUBMIT:
                back.append((number, key, evidence.tries))
                continue
            if verdict == VANISHED:
                account = {'reason': 'lost', 'words': attempts.launches.why_lost(
                    number, attempts.tries.get(number, 0) + 1)}
            self._explain(account, attempt, evidence, record)
            event = self.driver.reports.ended(record, attempt.end, account)
            events.append(self.driver.steering.unended.explain(event, task))
            may_return = event.get('error_reason') in INTERRUPTED or attempt.requeued
            if may_return and task and 'crew' not in self.ledger.batch_of(record):
                stuck.append(task)    # with `requeue` in `extra` it would come back
        self.driver.reports.log(events)
        self.driver.recall.unsubmit([key for _, key, _ in back])
        # Only what is written down counts.
        attempts.tries.update((number, tries) for number, _, tries in back)
        self.driver.steering.end_tasks(stuck)    # else it would stay in the queue for ever

    def _evidence(self, attempt, record, accounts, task, names):
        """Return the Evidence about a job that is gone.

        Args:
            attempt: Attempt
            record: of the job
            accounts: {task: dict} as the scheduler's accounts say, None for no answer
            task: of the scheduler, None where it has none
            names: set of the names in run/
        """
        attempts, reports = self.driver.attempts, self.driver.reports
        alone = self.driver.pools.ended_alone(record, attempt.end)
        account = None if accounts is None else accounts.get(task) or {}
        if account and account.get('only') not in (None, self.copies.claimed_by(key_of(record))):
            account = {}    # of another job that has this id
        if alone:
            account, attempt.reason = {}, ''    # what became of its worker is not about this job
        if not attempt.void and not attempt.end:
            attempt.void = self._void_start(record)
        short_of_processes = attempt.void and self.backend.starts_jobs    # for a while
        chunks = self.driver.chunks
        unread = accounts is not None and not attempt.end and chunks.has_end(record, names)
        excused = short_of_processes or attempts.launches.is_nodes_fault(record, account)
        tries = attempts.tries.get(attempt.number, 0) + (not excused)
        return Evidence(
            begun=chunks.may_have_begun(record, names) and not attempt.void, end=attempt.end, unread=unread,
            alone=alone,
            queue=attempt.reason, listed=attempt.listed,
            dropped=attempt.dropped and self._proves_absence,
            output=reports.reason_noted(record, attempt.end), account=account,
            cancelled=attempt.number in self.ledger.cancelled,
            tries=SUBMISSIONS if attempts.launches.is_final(account) else tries,
            again=bool(excused) or is_shared(self.ledger.batch_of(record)))

    def _void_start(self, record):
        """Tell whether a claim is void, and remove it: the runner that made it found no process for the job,
        or a driver made it, and did not come to write what for."""
        path = self.driver.attempts.status_path(record, '.start')
        if not {'void', 'driver'}.intersection(read_start(path)):
            return False
        remove_file(path)
        self.driver.attempts.forget_start(key_of(record))
        return True

    def _explain(self, account, attempt, evidence, record):
        """Add to an account what is known beside it: what the queue said, or that the machine was started
        anew."""
        start, is_silent = attempt.start or {}, not evidence.output and not attempt.end
        if is_dropped(evidence):
            account.update(reason='cancelled', words='taken out of the queue while it waited')
        elif attempt.requeued and is_silent and account.get('reason', 'exit') in ('', 'exit'):
            # As it seems: a controller that has forgotten the start of a job says the same.
            account.update(reason='lost', words='put back into the queue while it ran, as it seems')
        if attempt.reason and account.get('reason', 'exit') in ('exit', 'signal', UNSTARTABLE):
            account.update(reason=attempt.reason, words=attempt.message)
        host, boot = start.get('host') or record.get('host'), start.get('born', '').partition('/')[0]
        rebooted = host == self.here.host and boot not in ('', self.here.born.partition('/')[0])
        if not start and evidence.begun:
            rebooted = self.driver.recall.is_untraced(record)
        if rebooted and not attempt.end and not account.get('reason'):
            account.update(reason='node', words='{} was rebooted while the job ran'.format(host))


class Retries(Part):
    """Decides which jobs that failed are retried by themselves, and what they request then."""

    #: So many jobs with the same request must have been saved by more, until the others start with that.
    LEARN = 10

    def wanted(self, number):
        """Return how often a job is retried, as its parameters say."""
        return self.driver.submitter.job_params(number)[0].get('retries', 0)

    def chain(self, number):
        """Return the records of a job's last attempts, each of which was followed by the next one by itself,
        the newest first."""
        return list(itertools.takewhile(
            lambda record: record.get('rerun'), map(sound_record, reversed(self.ledger.earlier(number)))))

    def elsewhere(self, number):
        """Return the hosts on which a job was interrupted, and that its next attempt does not want, a tuple:
        none where one has waited for that in vain, its request says itself on which it runs, or there may be
        no other."""
        is_off = self.backend.starts_jobs or not self.plan.info.get('exclude')
        if number not in self.ledger.places.earlier or is_off:
            return ()
        records = itertools.takewhile(
            lambda record: not waited_in_vain(record), self.chain(number))
        hosts = {record.get('host') or '' for record in records
                 if record.get('error_reason') in INTERRUPTED + ('lost',)}
        hosts = {host for host in hosts if re.match(r'\w[\w.-]*\Z', host)}
        params = self.driver.submitter.job_params(number)[0] if hosts else {}
        if not hosts or self.backend.chooses_hosts(self.backend.requested(params)):
            return ()
        return tuple(sorted(hosts.intersection(self.driver.attempts.launches.avoided(params, hosts))))

    def waited(self, number):
        """Return for how many seconds a job waited before its last attempt that began."""
        return next((max(0, record['started'] - record['submitted']) for record in self.chain(number)
                     if record.get('started') and record.get('submitted')), 0)

    def reason_of(self, record):
        """Return why an attempt failed: for lack of memory also where it says so itself, and then ends by
        itself, as a limit of the address space makes it."""
        hint, reason = self.backend.memory_hint, record['error_reason']
        is_short = reason in ('exit', 'signal') and hint and hint in (record.get('error') or '')
        return 'memory' if is_short and 'memory' in self.plan.params_of(record) else reason

    def note(self, number, event):
        """Note in the last event of an attempt that the job is retried, and what is different then; or that
        retries have saved it.

        Args:
            number: of the job
            event: the end of its attempt
        """
        if event['status'] == COMPLETED:
            saved = self._saved(number, event) if number in self.ledger.places.earlier else None
            event.update({'saved': saved} if saved else {})
            return
        reason = self.reason_of(event)
        is_unwanted = number in self.ledger.cancelled or number in self.ledger.gone
        if is_unwanted or not self.plan.retry_rules.concern(reason, event):
            return
        past = sum(map(counts_as_retry, self.chain(number)))
        changes = None
        if past < self.wanted(number):
            changes = next_request(self.plan, self.ledger, event, reason, past, self._most)
        if changes is not None:
            event.update(rerun=True, retry=write_parameters(changes))

    def _most(self, params):
        """Return {'memory': bytes, 'time': seconds}: a job with these parameters can have no more."""
        most = dict(self.backend.most(params))
        for key, value in self.plan.retry_rules.most.items():
            most[key] = min(value, most.get(key, value))
        return most

    def has_grown(self, number):
        """Tell whether a live job requests something else than before, since it failed."""
        return any(counts_as_retry(record) and record['retry'] for record in self.ledger.earlier(number)[-1:])

    def explain_refusal(self, event):
        """Return the end of an attempt that was refused: where it requests more since it failed, it is tried
        with what can be had, once, and has failed then for its first reason."""
        number = self.ledger.number(event['job'])
        chain = self.chain(number)
        first = next(filter(counts_as_retry, chain), None)
        if first is None or not first['retry']:
            return event
        asked, before = self.plan.params_of(event), self.plan.params_of(first)
        changes = {key: value for key, value in self._most(asked).items()
                   if before.get(key, value) < value < asked.get(key, value)}
        if changes and first is chain[0] and number not in self.ledger.cancelled:
            event.update(rerun=True, retry=write_parameters(changes))
            return event
        more = ', '.join('{} = {}'.format(*item) for item in sorted(first['retry'].items()))
        error = '{}; refused with {}: {}'.format(failure_text(first), more, event['error'])
        return dict(event, error_reason=first['error_reason'], error=error, exit_code=first.get('exit_code'))

    def _saved(self, number, event):
        """Return what saved a job that has completed, as `saved` of its record; None for no retry."""
        chain = list(itertools.filterfalse(waited_in_vain, self.chain(number)))
        by_retry = next(filter(counts_as_retry, chain), None)
        last = by_retry or next(itertools.filterfalse(asks_again, chain), None)
        if not last or not (by_retry or self.wanted(number)):
            return None
        reason = self.reason_of(last)
        before, after = (self.plan.params_of(record).get(reason) for record in (chain[-1], event))
        if reason not in ('memory', 'time') or not before or not after:
            return {'reason': reason}
        return {'reason': reason, 'parameter': reason, 'before': write_parameter(reason, before),
                'after': write_parameter(reason, after)}

    def learn(self):
        """Let jobs that are not yet submitted start with what saved enough others."""
        if not self.plan.retry_rules.learn:
            return
        found = collections.OrderedDict()    # {(parameter, before): {after: number of jobs}}
        for (_, key, before, after), count in self.ledger.totals.saved.most_common():
            found.setdefault((key, before), collections.OrderedDict())[after] = count
        learned = self.ledger.settings.get('learned') or {}
        for (key, before), saved in found.items():
            count, after = sum(saved.values()), next(iter(saved))    # which saved most of them
            if key and count >= self.LEARN and before not in learned.get(key, {}):
                learned = dict(learned, **{key: dict(learned.get(key, {}), **{before: after})})
                self.driver.set(learned=learned, learned_reason=(
                    'learned: {0} with {1} = {2} were saved by {3}; what is not submitted yet starts with '
                    '{4} (--no-learn avoids this; control set {1}={2} takes it back)'.format(
                        plural(count, 'job'), key, before, 'more' if len(saved) > 1 else after, after)))


def next_request(plan, ledger, event, reason, past, most):
    """Return what a job requests at its next attempt, a dict of parameters that change; None where more would
    help it, and there is no more.

    Args:
        plan: Plan
        ledger: Ledger
        event: dict, the end of its attempt
        reason: why that failed
        past: how many of its `retries` are used
        most: function of a job's parameters: with them it can have no more than these
    """
    asked, changes = plan.params_of(event), {}
    rungs = plan.rungs_of(ledger, ledger.number(event['job']))
    wanted = {key: values[min(past + 1, len(values) - 1)] for key, values in rungs.items()}
    if reason in rungs:    # it may have begun with more, as others had to
        larger = [value for value in rungs[reason][past + 1:] if value > asked.get(reason, 0)]
        wanted[reason] = (larger or rungs[reason][-1:])[0]
    elif reason in ('memory', 'time'):
        if reason not in asked:
            return None
        wanted[reason] = grown_value(reason, asked[reason], plan.retry_rules.grow)
    limits = most(dict(asked, **wanted))
    for key, value in wanted.items():
        if key == 'queue':
            changes[key] = value
            continue
        value, least = min(value, limits.get(key, value)), asked.get(key, 0)
        if key == reason and value <= least < wanted[key]:
            return None
        changes[key] = max(value, least)
    return {key: value for key, value in changes.items() if value != asked.get(key)}


def counts_as_retry(record):
    """Tell whether the attempt that follows one is one of the job's `retries`: not where only the submission
    was refused."""
    return 'retry' in record and record.get('error_reason') != 'submit'


def waited_in_vain(record):
    """Tell whether an attempt ended because there was no other host for it than one that had failed."""
    return record.get('error_reason') == 'submit' and 'retry' not in record


def grown_value(key, value, factor):
    """Return so many times as much memory, in whole M, or time, in whole minutes where it was some.

    Args:
        key: memory or time
        value: bytes or seconds
    """
    unit = {'memory': 1024 ** 2}.get(key, 60 if value >= 60 else 1)
    return value if factor == 1 else divide_up(int(value * factor), unit) * unit


class Recall(Part):
    """Makes jobs unsubmitted again: those whose submission the scheduler does not have, that vanished before
    they began, and that wait on this machine while the driver leaves.

    Attributes:
        due: when submissions that were not answered are looked for, on the monotonic clock
        retries: Retries
    """

    #: Seconds until a submission that was not answered is looked for, and looked for again; and after some of
    #: its jobs were seen to begin.
    FIND, FIND_AGAIN, FIND_BEGUN = 5, 15, 60

    def __init__(self, driver):
        super().__init__(driver)
        self.due, self.retries = float('inf'), Retries(driver)
        self._given_up = set()    # tasks whose jobs were submitted again
        self._untraced = 0    # jobs of batches up to this one may have begun without a trace

    def take_over(self):
        """Look for what an earlier driver submitted without an answer."""
        if any(batch.get('id') is None for batch in self.ledger.batches.values()):
            self.due = 0
        self._untraced = self.ledger.drivers.restarted_after if self.backend.starts_jobs else 0
        self.retries.learn()

    def is_untraced(self, record):
        """Tell whether a live job was submitted before this machine, which runs the jobs, was started anew:
        with its power it may have lost what that has said."""
        return record['batch'] <= self._untraced

    def may_rerun(self, number, event):
        """Tell whether a job runs once more by itself: nothing that it did ended it. (It may have claimed the
        attempt, and not have come to say that it begins.)

        Args:
            number: of the job
            event: the end of its attempt
        """
        if number in self.ledger.gone:
            return False
        if asks_again(event) and number not in self.ledger.cancelled:
            return self.times_again(number) < self.plan.params_of(event).get('again', AGAIN_MOST)
        reason = event.get('error_reason')
        if reason not in INTERRUPTED + ('lost',) or number in self.ledger.cancelled:
            return False
        reasons = INTERRUPTED + (('lost',) if self.retries.wanted(number) else ())
        earlier = self.ledger.earlier(number)
        return reason in reasons and sum(record.get('error_reason') in reasons for record in earlier) < RERUNS

    def times_again(self, number):
        """Return how many times a job has run again since somebody last had it run, because it ended with the
        exit status that asks for it."""
        return sum(map(asks_again, self.retries.chain(number)))

    def rerun_left(self):
        """Let jobs run once more of which an earlier driver could only write how they ended."""
        failed = STATUS_CODES[FAILED]
        records = [sound_record(self.ledger.record(number)) for number in self.ledger.unsaved
                   if self.ledger.status[number] == failed]
        self.lease.write(rerun_events(self.ledger, [record for record in records if 'event' in record]))

    def note_id(self, batch, id):
        """Write down under which id the scheduler has a batch: '' where it has none, and only what the jobs
        say themselves can tell."""
        self.lease.write([{'event': 'submitted', 'batch': batch, 'id': id}])

    def unsubmit(self, keys, spent=False):
        """Make the jobs of attempts unsubmitted again.

        Args:
            keys: of the attempts
            spent: whether the next ones are others, and do not have the names of these
        """
        if not keys:
            return
        numbers = [self.ledger.number(split_key(key)[0]) for key in keys]
        if not self.backend.takes_back:
            self._given_up.update(self.driver.attempts.task(self.ledger.live[number]) for number in numbers)
        used = {key for key, number in zip(keys, numbers)
                if spent or self.is_untraced(self.ledger.live[number])}
        now = self.here.time()
        self.lease.write([{'event': 'returned', 'tasks': sorted(some), 'spent': some is used, 'time': now}
                          for some in (set(keys) - used, used) if some])
        for key, number in zip(keys, numbers):
            remove_file(os.path.join(self.logs.run, key + '.why'))    # the attempt comes again
            self.driver.attempts.by_key.pop(key, None)
            self.driver.scribe.note(number)
        self.driver.scribe.needs_cleaning = True
        self.lease.commit()
        self.driver.scribe.remove_scripts()

    def end_copies(self):
        """Take out of the queue what was given up, and waits there all the same, once all jobs have ended."""
        given_up = self._given_up - {None}
        if given_up and not self.ledger.left():
            asker = self.driver.asker
            asker.ask('copies', None, self.backend.poll, sorted({id for id, _ in given_up}))
            asker.wait_for('copies')
            answer = asker.take('copies')
            listed = (answer.value if answer else None) or {}
            self.driver.steering.end_tasks(
                [task for task in sorted(given_up) if listed.get(task, ('',))[0] == PENDING])

    def withdraw(self):
        """Take back what has not begun and can be kept from it."""
        tasks = set(self.backend.withdraw())
        self.driver.chunks.shares.finish()
        if tasks:
            names, attempts, chunks = set(self.logs.listing()), self.driver.attempts, self.driver.chunks
            self.unsubmit([key_of(record) for record in self.ledger.live.values()
                           if attempts.task(record) in tasks and not chunks.is_claimed(record, names)])

    def find_batches(self):
        """Look for the submissions that were never answered, by their name."""
        now, asker = self.here.monotonic(), self.driver.asker
        if now >= self.due and not asker.under_way('find'):
            self.due = now + self.FIND_AGAIN
            names = self._names_to_find()
            if names:
                asker.ask('find', names, self._find_names, names)
            elif all(batch.get('id') is not None for batch in self.ledger.batches.values()):
                self.due = float('inf')
        answer = asker.take('find')
        if answer is None:
            return
        found = answer.value
        unknown = [name for number, (name, _) in answer.about.items() if found[number] is None]
        asker.note_silence('find', 'from {} about the submission {}'.format(
            self.backend.title, ', '.join(unknown[:1])), answer, not unknown)
        for number, id in found.items():
            if id is not None and self.ledger.batches.get(number, {'id': ''}).get('id') is None:
                self._note_found(number, id)
        if not unknown and all(batch.get('id') is not None for batch in self.ledger.batches.values()):
            self.due = float('inf')

    def _names_to_find(self):
        """Return {number of the batch: (its name, the params of its jobs)} of the submissions that were never
        answered, but for the one that still may be."""
        under_way = self.driver.asker.batch_under_way()
        return {number: (batch['name'], self._params_in(number))
                for number, batch in self.ledger.batches.items()
                if batch.get('id') is None and number != under_way
                and number not in self.driver.chunks.shares.inherited}

    def _params_in(self, number):
        """Return the params of the jobs of a batch: what concerns the scheduler is equal for all."""
        return next((self.plan.params_of(record) for record in self.driver.attempts.in_batch(number)), {})

    def _find_names(self, names):
        """Return {number of the batch: its id, as from Backend.find}. Called in another thread."""
        return {number: self.backend.find_submission(*about) for number, about in names.items()}

    def _note_found(self, number, id):
        """Note under which id the scheduler has a batch, '' for none."""
        if not id:
            self.return_batch(self.ledger.batches[number])
            return
        self.note_id(number, id)
        self.driver.attempts.tell_started_in(number)
        self.forget_id(number, id)
        self.driver.steering.note_cancelled()

    def return_batch(self, batch):
        """Make a batch unsubmitted again, but for what is seen to have started.

        Args:
            batch: its event
        """
        number, attempts = batch['batch'], self.driver.attempts
        if 'crew' in batch:
            self.logs.close_batch(number)    # or its workers would take more meanwhile
        names, records = set(self.logs.listing()), attempts.in_batch(number)
        back = [key_of(record) for record in records if not self.driver.chunks.is_claimed(record, names)]
        self.unsubmit(back)
        if len(back) == len(records):
            return
        if self.backend.takes_back:
            # An earlier driver did start some. Their own words, and the backend, tell the rest.
            self.note_id(number, batch['name'])
            attempts.tell_started_in(number)
        else:
            # Some did start: it is somewhere, or copies of another submission did, of which only their words
            # tell.
            now = self.here.monotonic()
            self.due = now + self.FIND_BEGUN
            for record in attempts.in_batch(number):
                attempts.of(record).miss(now)

    def forget_id(self, batch, id):
        """Give back the batch that had this id before: a scheduler that gives it again has forgotten who had
        it.

        Args:
            batch: number of the batch that has it now
            id: the scheduler's
        """
        for other in list(self.ledger.batches.values()) if self.backend.reuses_ids else ():
            if other.get('id') == id and other['batch'] != batch:
                self.note_id(other['batch'], '')
                self.return_batch(other)

    def is_in(self, number, batch):
        """Tell whether a job is still live in a batch: it may have ended before that was answered."""
        return self.ledger.live.get(number, {'batch': 0})['batch'] == batch

    def fail_batch(self, batch, numbers, message):
        """End the jobs of a batch that was refused, but for what a late copy of an earlier submission has
        begun."""
        names = set(self.logs.listing())
        records = [self.ledger.live[number] for number in numbers if self.is_in(number, batch)]
        refused = [record for record in records if not self.driver.chunks.is_claimed(record, names)]
        self.driver.reports.log([self.retries.explain_refusal(
            dict(unbegun_end(record, 'submit', message, self.here.time()), batch=0, unheard=True))
            for record in refused])
        if len(refused) < len(records):
            self.note_id(batch, '')


#: Jobs that are handed over together: their numbers, the parameters that are asked of the scheduler (dict),
#: what is different from the map (dict of texts), how many of them are in each chunk (an empty list for one),
#: the Pool to which they are given (None for new workers), how many workers take chunks (0 for a task each),
#: and on which hosts they were interrupted, and are not to run now.
Submission = collections.namedtuple('Submission', 'numbers params changes sizes pool workers elsewhere')


class Demand:
    """What the scheduler said of the submissions that asked for the same.

    Attributes:
        label: what they ask for that others do not, for people; '' for nothing
        timer: Timer of the next one, after one that was not taken
        largest: how many tasks one may have, 0 for as many as the site allows
        taken: whether the last one was taken, None before the first
        accepted: whether one was ever taken
        message: why the last one was not taken, '' where it was
        since: when the first one was not taken for a reason that is not known, on the monotonic clock; None
            for none
        tries: how many were not, since then
        whole: whether as many jobs as can be were submitted once more, before these words count as final
    """

    def __init__(self, label):
        self.label = label
        self.timer, self.largest = Timer(5, 300), 0
        self.taken, self.accepted, self.message = None, False, ''
        self.forget_doubts()

    def forget_doubts(self):
        """Note that it is known why the last one was not taken, or that it was."""
        self.since, self.tries, self.whole = None, 0, False


class Demands(Part):
    """Which jobs may be submitted now. Those wait that ask for what the scheduler does not take, for longer
    each time, and hold up no others: a queue may be closed for days. But a scheduler that takes nothing is
    asked as seldom as if all jobs asked for the same.

    Attributes:
        timer: Timer of the next submission of any kind
    """

    #: Demands that are not taken, one after another, until all wait that were not taken the last time.
    TOGETHER = 3
    #: Submissions in a row, each of half as many tasks, that may follow each other at once.
    HALVES = 12
    #: Tries, and seconds, after which words that are not known count as a refusal of one batch.
    TRIES, SECONDS = 4, 540
    #: Jobs among which those are looked for that may be submitted.
    SEARCH = 100000

    def __init__(self, driver):
        super().__init__(driver)
        self.timer, self._untaken = Timer(5, 300), Timer(5, 300)
        self._by_params, self._by_number, self._changes = {}, {}, None
        self._waiting = collections.OrderedDict()    # the demands of which the last submission was not taken
        self._failed, self._in_a_row = set(), 0    # since the last one was taken
        #: How it stood when none was found that may be submitted, and until when that holds.
        self._searched, self._search_due = None, 0

    def take_over(self):
        """Learn from the journal what an earlier driver had taken."""
        for record in self.ledger.live.values() if not self.backend.starts_jobs else ():
            if self.ledger.batch_of(record).get('id'):
                self.of(self.plan.params_of(record)).accepted = True

    def of(self, params):
        """Return the Demand of jobs with these parameters."""
        asked = {key: value for key, value in params.items()
                 if key in PARAMETERS and key not in NOT_REQUESTED}
        key = frozenset(asked.items())
        if key not in self._by_params:
            own = {name: value for name, value in asked.items() if self.plan.params.get(name) != value}
            self._by_params[key] = Demand(', '.join(
                '{} = {}'.format(name, text) for name, text in sorted(write_parameters(own).items())))
        return self._by_params[key]

    def of_job(self, number):
        """Return the Demand of a job that is not submitted."""
        settings = self.ledger.settings
        changes = settings.get('params'), settings.get('learned'), len(self.ledger.changes)
        if changes != self._changes:
            self._by_number, self._changes = {}, changes
        if number not in self._by_number:
            self._by_number[number] = self.of(self.driver.submitter.job_params(number)[0])
        return self._by_number[number]

    def may_try(self, demand):
        """Tell whether jobs may be submitted now that ask for this."""
        return self.here.monotonic() >= self._due(demand)

    def next_jobs(self, limit):
        """Return the numbers of the next jobs that may be submitted now, at most `limit`. Of those that were
        not taken the last time only so many as are tried at once: they may not be taken now either."""
        if not self._waiting and self._untaken.due <= self.here.monotonic():
            self._by_number = {}
            return self.ledger.following(limit)
        found, places = [], {}
        state = list(self.ledger.counts), self.ledger.settings.get('params'), len(self.ledger.changes)
        if state == self._searched and self.here.monotonic() < self._search_due:
            return []
        for number in itertools.islice(self.ledger.unsubmitted(), self.SEARCH):
            if len(found) == limit:
                break
            demand = self.of_job(number)
            if demand not in places:
                places[demand] = self._places_for(demand, limit)
            if places[demand]:
                places[demand] -= 1
                del self._by_number[number]
                found.append(number)
        if not found and places:
            self._searched, self._search_due = state, min(map(self._due, places))
        return found

    def _due(self, demand):
        """Return from when on jobs may be submitted that ask for this, on the monotonic clock."""
        return max(self.timer.due, demand.timer.due, 0 if demand.taken else self._untaken.due)

    def _places_for(self, demand, limit):
        """Return how many jobs may be submitted now that ask for this, of `limit`."""
        if not self.may_try(demand):
            return 0
        return (demand.largest or limit) if demand.taken is False else limit

    def has_live(self, demand, others):
        """Tell whether jobs that ask for this are in the scheduler, beside others.

        Args:
            demand: Demand
            others: numbers of jobs
        """
        return any(self.of(self.plan.params_of(record)) is demand
                   for number, record in self.ledger.live.items() if number not in others)

    def note_taken(self, demand):
        """Note that a submission was taken."""
        if not demand.taken:
            self._untaken = Timer(5, 300)
        self.timer.reset()
        self._failed, self._in_a_row, self._search_due = set(), 0, 0
        demand.taken = demand.accepted = True
        demand.largest = 2 * demand.largest if demand.largest < self.SEARCH else 0
        demand.timer.reset()
        demand.forget_doubts()
        self._forget(demand)

    def note_silence(self, demand, message):
        """Note that a submission was not answered."""
        demand.message, self._waiting[demand] = message, True
        self.timer.back_off(self.here.monotonic())
        self._tell()

    def put_off(self, demand, count, message):
        """Note that a submission of so many tasks was not taken for now. It may be their number: half as many
        are submitted at once."""
        now, self._waiting[demand] = self.here.monotonic(), True
        self._in_a_row += 1
        may_be_number = count > 1 and self._in_a_row <= self.HALVES
        demand.largest = 0 if demand.whole else max(1, count // 2)
        if demand.whole or may_be_number:
            demand.timer.due = now + self.driver.LOOK
            return
        demand.message = message
        demand.timer.back_off(now)
        if demand.taken:    # then it may be the scheduler
            self.timer.back_off(now)
        self._failed.add(demand)
        if len(self._failed) >= self.TOGETHER:
            self._untaken.back_off(now)
            self._failed = set()
        demand.taken = False
        self._tell()

    def is_final(self, demand, numbers):
        """Note that jobs were not submitted for a reason that is not known, and tell whether that counts as a
        refusal by now: not while others that ask for the same are in the scheduler, and not before as many
        were tried together once more as the first time.

        Args:
            demand: Demand
            numbers: of the jobs
        """
        now = self.here.monotonic()
        if self.has_live(demand, numbers):
            demand.forget_doubts()
        if demand.since is None:
            demand.since = now
        demand.tries += 1
        is_long = demand.tries >= self.TRIES and now - demand.since >= self.SECONDS
        final, demand.whole = is_long and demand.whole, is_long
        return final

    def note_refused(self, demand):
        """Note that a submission was refused, or is taken to be."""
        demand.largest, self._in_a_row = 0, 0
        demand.forget_doubts()
        self._forget(demand)

    def are_stuck(self):
        """Tell whether the scheduler takes no job more for now."""
        if self.timer.wait > 0 or self._untaken.wait > 15:
            return True
        waiting = [demand for demand in self._by_params.values() if not self.may_try(demand)]
        return bool(waiting) and all(demand.taken is False for demand in waiting) and not self.next_jobs(1)

    def forget_messages(self):
        """Note that no job waits any more for what was not taken."""
        for demand in list(self._waiting):
            self._forget(demand)

    def _forget(self, demand):
        """Forget why a submission was not taken."""
        demand.message = ''
        if self._waiting.pop(demand, False):
            self._tell()

    def _tell(self):
        """Tell why jobs are not taken: each reason once, and not more than three."""
        told = ['{} ({})'.format(demand.message, demand.label) if demand.label else demand.message
                for demand in self._waiting if demand.message]
        told = list(collections.OrderedDict.fromkeys(told))
        more = ['{} more'.format(len(told) - 3)] if len(told) > 3 else []
        text = '{}: {}'.format(self.backend.title, '; '.join(told[:3] + more))
        self.driver.note_trouble('submit', text if told else '')


class Lists(Part):
    """Writes what is handed over: the lists of batches, and their scripts.

    Attributes:
        requeues: the exit statuses for which the scheduler runs a task again, or holds it
    """

    def __init__(self, driver):
        super().__init__(driver)
        self.requeues = ()
        #: Variables of the user that a shell which jobs share would take for its own.
        self._own_shell = any(name.startswith('qmap_') or name == '_qmap' or changes_shells(name)
                              for name in os.environ)

    def write(self, event, submission):
        """Write the list of a batch, and the script that is handed over.

        Raises:
            OSError: one could not be written
        """
        batch, params, workers = event['batch'], submission.params, submission.workers
        jobs = [self._list_entry(number, key, params, workers)
                for number, key in zip(submission.numbers, event['tasks'])]
        sizes, last = event.get('chunks') or [[1, len(jobs)]], not self.ledger.count_of(UNSUBMITTED)
        # Workers may look at it at any moment.
        write_text(self.logs.batch(batch, '.new'), job_list(event.get('crew'), last, sizes, jobs))
        os.rename(self.logs.batch(batch, '.new'), self.logs.batch(batch, '.list'))
        if not submission.pool:
            subshells = any(task.startswith('=') for task, *_ in jobs)
            write_text(self.logs.batch(batch), batch_script(
                self.logs, batch, event['time'], self.backend, subshells, self.requeues, workers,
                params.get('time', 0)))

    def _list_entry(self, number, key, params, workers):
        """Return what stands on the list for a job, as for `job_list`, and make room for its output.

        Args:
            number: of the job
            key: of the attempt
            params: what was asked of the scheduler
            workers: how many take it from the list, 0 for a task of its own
        """
        id, attempt = split_key(key)
        own = self.driver.submitter.job_params(number)[0]
        path = self.driver.scribe.place(id, '')
        if attempt > 1:
            for suffix in ('out', 'err'):
                keep_old_file('{}.{}'.format(path, suffix), '{}.{}.{}'.format(path, attempt - 1, suffix))
                remove_file('{}.{}'.format(path, suffix))    # a job's output is added to what is there
        # On clusters a bash of its own is not what costs time, but for workers.
        may_share = bool(workers or self.backend.starts_jobs) and self._may_share_shell(number)
        is_limited = workers and own.get('time') != params.get('time')
        limits = [str(own.get('time', 0) if is_limited else 0)]
        script = self.plan.script(id, attempt, own, self.ledger.live[number].get('before', 0))
        if 'export QMAP_STATE=' in script.own:
            limits.append('@' + own.get('signal', ''))
        outputs = itertools.chain(*absolute_paths(self.plan, number, own, OUTPUTS))
        limits += ['>' + in_one_word(path) for path in outputs]
        return ('=' * may_share + key, path[len(self.logs.path) + 1:], ' '.join(limits), script)

    def _may_share_shell(self, number):
        """Tell whether a subshell will do for a job."""
        sections = self.plan.map.sections
        return not (self._own_shell or sections['pre'] or sections['post'] or self.plan.group > 1 or any(
            OWN_SHELL.search(self.plan.map.command(index)[0]) for index in self.plan.commands(number)))


class Submitter(Part):
    """Hands jobs over to the scheduler.

    Attributes:
        demands, lists: Demands, Lists
        timer: Timer of the next submission
        began: since when this driver drives, on the monotonic clock
        unfinished: whether more is to be submitted as soon as the last submission has been answered
    """

    #: Seconds for which free places are gathered into one submission, while fewer than half of them are free:
    #: at least, where jobs are short; at the most; as a part of the time that a job takes; and as so many
    #: times that of a submission.
    GATHER_LEAST, GATHER, GATHER_PART, GATHER_CALLS = 2, 10, 0.1, 4
    #: Seconds' worth of short jobs in a worker's chunk, and jobs, at the most.
    CHUNK_SECONDS, CHUNK_JOBS = 2, 100
    #: Bytes of the commands on a list, which each task reads as far as to its own, at the most.
    LIST_BYTES = 3 << 20
    #: Jobs among which those are looked for that can be submitted together.
    AT_ONCE = 10000

    def __init__(self, driver):
        super().__init__(driver)
        self.demands, self.lists = Demands(driver), Lists(driver)
        self.timer, self._submitted = self.demands.timer, float('-inf')
        self.began, self._last_batch = 0, 0    # the last batch of an earlier driver
        self._ends = collections.deque(maxlen=2000)    # when the last jobs ended, on the monotonic clock
        self._lasted = collections.deque(maxlen=100)    # seconds that the last jobs took
        self._took = 0    # seconds that the last submission took
        self._array_limit = 0
        self.unfinished = False

    def begin(self):
        """Note that this process begins to drive."""
        self.began, self._last_batch = self.here.monotonic(), self.ledger.last_batch

    def note_end(self, now, event):
        """Note that a job has ended now, if it did while this process drives.

        Args:
            now: on the monotonic clock
            event: its end
        """
        if now - self.began > 2 or event.get('batch', 0) > self._last_batch:
            self._ends.append(now)
        if event.get('started'):
            self._lasted.append(max(0, event['finished'] - event['started']))

    def lasts(self):
        """Return how many seconds a job takes, by the last ones, None where none has ended."""
        return sum(self._lasted) / len(self._lasted) if self._lasted else None

    def gathering(self):
        """Return for how many seconds free places are gathered: a part of the time for which they are taken
        then."""
        if not self._lasted:
            return self.GATHER
        least = max(self.GATHER_LEAST, self.GATHER_CALLS * self._took)
        return min(self.GATHER, max(least, self.GATHER_PART * self.lasts()))

    def has_gathered(self):
        """Tell whether free places have been gathered for long enough."""
        return self.here.monotonic() - self._submitted >= self.gathering()

    def ended_lately(self, now):
        """Return how many jobs ended in the last second."""
        while self._ends and now - self._ends[0] > 1:
            self._ends.popleft()
        return len(self._ends)

    def room(self):
        """Return how many more jobs may be submitted now."""
        return self.driver.max_running + self._ahead() - len(self.ledger.live) + len(self.driver.chunks.held)

    def _ahead(self):
        """Return how many more jobs than may run are handed over, so that none of the slots waits."""
        seconds = max(0.5, min(1, self.here.monotonic() - self.began))    # the first few say little
        return min(1000, int(len(self._ends) / seconds * self.backend.ahead))

    def speed(self):
        """Return how many jobs end in a second, by the last one."""
        if not self._ends:
            return 0
        return len(self._ends) / min(1, max(0.02, self.here.monotonic() - self.began))

    def submit(self):
        """Hand over as many jobs as may run."""
        now, max_running = self.here.monotonic(), self.driver.max_running
        if now < self.timer.due or not self._know_limits():
            return
        if not self.ledger.count_of(UNSUBMITTED) and self.driver.recall.due == float('inf'):
            self.demands.forget_messages()
        self.backend.throttle(max_running)
        self.driver.attempts.launches.tell()
        canaries = self.driver.steering.halts.canaries()
        if canaries:    # each has a task of its own
            self.submit_jobs([number for number in canaries if not self.ledger.status[number]
                              and self.demands.may_try(self.demands.of_job(number))][:max(0, self.room())])
            return
        self.driver.pools.short.decide()
        if self.driver.pools.size:
            self.driver.pools.fill_lists()
            return
        unsubmitted = self.ledger.count_of(UNSUBMITTED)
        room = unsubmitted if self.driver.leaving else self.room()
        if self.backend.ahead:
            if room < self._ahead() // 2:
                return    # there is enough on the way, and more at once costs less
        elif room < min(max_running // 2, unsubmitted) and not self.unfinished:
            if not self.has_gathered():
                return
        self.submit_jobs(self.demands.next_jobs(self.driver.pools.short.room(min(self.AT_ONCE, room))))

    def has_handed_over(self):
        """Tell whether the scheduler has all jobs, or all that it takes for now."""
        ended = self.ledger.next_job() is None or self.demands.are_stuck()
        return ended and not self.driver.asker.under_way('submit')

    def submit_jobs(self, numbers):
        """Submit jobs, those that ask for the same together, whatever parameters of the user they have."""
        self.unfinished, left = False, len(numbers)
        groups = collections.OrderedDict()
        for number in numbers:
            params, changes = self.job_params(number)
            asked = tuple(item for item in params.items() if item[0] in PARAMETERS)
            elsewhere = self.driver.recall.retries.elsewhere(number)
            groups.setdefault((asked, tuple(changes.items()), elsewhere), []).append(number)
        # What was not taken the last time comes after what was never tried: it may hold up all others.
        for (params, changes, elsewhere), members in sorted(
                groups.items(), key=lambda item: self.demands.of(dict(item[0][0])).taken is False):
            demand = self.demands.of(dict(params))
            chunks = self.driver.chunks.shares.count_for(dict(params), len(members))
            alone = [number for number in members if number in self.driver.attempts.tries] if chunks else []
            others = [number for number in members if number not in alone]
            for members, chunks in ((alone, 0), (others, chunks)):
                while members and self.demands.may_try(demand) and not self.lease.beat.is_due():
                    count = self.fitting(members[:self.largest(demand)])
                    some, members = members[:count], members[count:]
                    self.submit_batch(some, dict(params), dict(changes), min(chunks, len(some)),
                                      elsewhere=elsewhere)
                    left -= len(some)
                    if self.driver.asker.under_way('submit'):
                        self.unfinished = left > 0
                        return

    def job_params(self, number):
        """Return the parameters with which a job would be submitted now, and the changes in them."""
        changes = self.plan.changes(self.ledger, number)
        return change_params(self.plan.job_params(number), changes), changes

    def largest(self, demand):
        """Return how many tasks a submission of this Demand may have."""
        return min(self._array_limit, demand.largest or self._array_limit)

    def fitting(self, numbers):
        """Return how many of these jobs fit on one list."""
        left = self.LIST_BYTES
        for place, number in enumerate(numbers):
            left -= sum(len(self.plan.map.command(index)[0]) for index in self.plan.commands(number))
            if left < 0:
                return max(1, place)
        return len(numbers)

    def _know_limits(self):
        """Tell whether it is known how many tasks a submission may have, and ask for it."""
        asker = self.driver.asker
        if not self._array_limit and not asker.under_way('limits'):
            asker.ask('limits', None, self.backend.limits)
        answer = asker.take('limits')
        if answer:
            self._array_limit = answer.value.get('array', 1)
            self.lists.requeues = answer.value.get('requeues', ())
        return bool(self._array_limit)

    def submit_batch(self, numbers, params, changes, chunks=0, pool=None, workers=0, elsewhere=()):
        """Submit jobs as one batch.

        Args:
            chunks: among how many they are divided, 0 for a task each
            numbers, params, changes, pool, workers, elsewhere: of the Submission

        Returns:
            whether more may be submitted at once: not while the scheduler has still to answer
        """
        asker = self.driver.asker
        if not pool and asker.under_way('submit'):
            return False
        sizes = self._chunk_sizes(numbers, chunks, workers)
        if chunks:    # those that stand together in the map may all be long
            numbers = [number for first in range(chunks) for number in numbers[first::chunks]]
        submission = Submission(numbers, params, changes, sizes, pool, workers, elsewhere)
        event = self._batch_event(submission)
        script = self.logs.batch(event['batch'])
        # Should anything below fail, it is looked for.
        self.driver.recall.due = self.here.monotonic() + self.driver.recall.FIND
        self.lease.commit([event])
        self.driver.chunks.forget(event['tasks'])
        try:
            self.lists.write(event, submission)
        except OSError:
            self.driver.recall.unsubmit(event['tasks'])
            raise
        try:
            # Whoever took over while this was written has closed the batch, and it is open again.
            self.lease.check_epoch()
        except NotDriver:
            for suffix in ('.list', ''):
                remove_file(self.logs.batch(event['batch'], suffix))
            raise
        if pool:
            pool.waiting += len(numbers)
            self._note_taken(event, submission, pool.number)
            self.lease.write([])
            return True
        count = chunks or workers or len(numbers)
        self.driver.attempts.launches.choose_hosts(params, elsewhere)
        asker.ask('submit', (event, submission, count), self.backend.submit,
                  script, event['name'], count, params, script + '.out')
        return self.take_answer()

    def _chunk_sizes(self, numbers, chunks, workers):
        """Return how many jobs the chunks of a submission have, a list; an empty one where it is one for
        each.

        Args:
            numbers: of the jobs
            chunks: among how many they are divided, 0 for a task each
            workers: how many take chunks from a list, 0 for none
        """
        count, again = len(numbers), set(self.ledger.again)
        if chunks:
            return [(count + chunks - 1 - index) // chunks for index in range(chunks)]
        if not workers:
            return []
        lasts = self.lasts()
        if lasts is None:
            return []    # nobody knows yet how short they are
        most = min(self.CHUNK_JOBS, int(self.CHUNK_SECONDS / max(lasts, 0.001)))
        # An attempt that came back may have been claimed all the same, and only as the first of a chunk it does not
        # run twice then.
        alone = len(again.intersection(numbers))
        left = self.ledger.count_of(UNSUBMITTED) - alone
        sizes = [1] * alone + chunk_sizes(count - alone, left, workers, most)
        return sizes if max(sizes) > 1 else []

    def take_answer(self):
        """Do what comes of the answer to a submission, if there is one; return whether more may be submitted
        at once."""
        answer = self.driver.asker.take('submit')
        if answer is None:
            return False
        self._took = self.here.monotonic() - answer.asked
        outcome, detail = answer.value
        return self.OUTCOMES[outcome](self, *answer.about, detail)

    def _batch_event(self, submission):
        """Return the event of a batch that is to be submitted."""
        batch, pool = self.ledger.last_batch + 1, submission.pool
        event = {'event': 'batch', 'batch': batch, 'name': self._batch_name(submission.params, batch),
                 'tasks': [self.ledger.next_key(number) for number in submission.numbers],
                 'time': self.here.time()}
        if submission.sizes:
            event['chunks'] = [[size, len(list(some))] for size, some in itertools.groupby(submission.sizes)]
        if submission.workers:
            event.update(crew=pool.number if pool else batch, workers=submission.workers)
            event['with'] = write_parameters(submission.params)
        if pool:
            event['id'] = pool.id
        if submission.changes:
            event['params'] = submission.changes
        return dict(event, elsewhere=list(submission.elsewhere)) if submission.elsewhere else event

    def _accept(self, event, submission, count, id):
        """The scheduler has taken a batch."""
        self._note_taken(dict(event, id=id), submission, event['batch'])
        self.driver.recall.forget_id(event['batch'], id)
        self.demands.note_taken(self.demands.of(submission.params))
        self.driver.queue.look_soon(5, 15)
        self.lease.write([])
        if self.ledger.cancelled.keys() & set(submission.numbers):
            self.driver.steering.note_cancelled()
        return True

    def _refuse(self, event, submission, count, message):
        """The scheduler will never take such a batch. Where it took such a one before, that is not believed
        at once."""
        demand = self.demands.of(submission.params)
        if demand.accepted:
            return self._doubt(event, submission, count, message)
        self.demands.note_refused(demand)
        self.driver.recall.fail_batch(event['batch'], submission.numbers, message)
        return True

    def _doubt(self, event, submission, count, message):
        """The scheduler does not take a batch, and it is not known whether it will: that becomes a refusal of
        this batch if it says so for long enough."""
        demand = self.demands.of(submission.params)
        if not self.demands.is_final(demand, submission.numbers):
            return self._give_back(event, submission, count, message)
        self.demands.note_refused(demand)
        self.driver.recall.fail_batch(event['batch'], submission.numbers, message)
        return True

    def _put_off(self, event, submission, count, message):
        """The scheduler cannot take a batch now."""
        self.demands.of(submission.params).forget_doubts()
        return self._give_back(event, submission, count, message)

    def _give_back(self, event, submission, count, message):
        """Make a batch unsubmitted again that was not taken."""
        if event['batch'] in self.ledger.batches:
            self.driver.recall.return_batch(self.ledger.batches[event['batch']])
        self.demands.put_off(self.demands.of(submission.params), count, message)
        return False

    def _wait_for_answer(self, event, submission, count, message):
        """The scheduler did not answer, and may have taken the batch or not: it is looked for later."""
        self.driver.recall.due = self.here.monotonic() + self.driver.recall.FIND
        self.demands.note_silence(self.demands.of(submission.params), message)
        return False

    #: What comes of a submission, by its outcome: methods that return whether more may be submitted at once.
    OUTCOMES = {'ok': _accept, 'refused': _refuse, 'busy': _put_off, 'unclear': _doubt,
                'silent': _wait_for_answer}

    def _note_taken(self, event, submission, batch):
        """Note that the scheduler has the jobs of a batch.

        Args:
            event: of the batch, with its id
            submission: Submission
            batch: with which it was submitted: another where it is a list for workers that are there
        """
        script = self.logs.batch(batch)
        count = event.get('workers') or len(submission.sizes or submission.numbers)
        command = self.backend.job_cmd(
            script, self._batch_name(submission.params, batch), count, submission.params, script + '.out')
        self.lease.unwritten.append({
            'event': 'submitted', 'batch': event['batch'], 'id': event['id'], 'job_cmd': command})
        if event.get('crew') == event['batch']:
            pool = self.driver.pools.by_number.setdefault(batch, Pool(event))
            pool.id, pool.waiting = event['id'], len(submission.numbers)
        self._submitted = self.here.monotonic()

    def _batch_name(self, params, batch):
        """Return the name under which a batch is submitted, and looked for."""
        return self.backend.job_name(
            params.get('name') or self.plan.info['name'], batch, self.plan.info['token'])


class Halts(Part):
    """Halts an execution that fails as a whole, as `pause` does: because all its canaries failed, as many
    jobs as `--halt` says, or all of the first that ended, and alike. What is decided stands in the journal.

    Attributes:
        waits: whether somebody at a terminal can be waited for, who says what comes next
    """

    #: So many ends are the first ones, and so many are needed for a percentage.
    FIRST = 20

    def __init__(self, driver):
        super().__init__(driver)
        self.waits, self._first_over = False, False
        self._from, self._base = None, [0, 0]    # what the journal says that counting starts from; what it is

    def canaries(self):
        """Return the numbers of the jobs for which all others wait, [] for none: they are chosen, and that is
        written, when it is asked for the first time."""
        count, settings = self.plan.info.get('canary'), self.ledger.settings
        if not count or self.driver.leaving:
            return []
        if 'canaries' not in settings:
            self.driver.set(canaries=self._choose_canaries(count))
        return [number for number in settings['canaries']
                if 0 <= number < self.ledger.count
                and number not in self.ledger.gone and not self.ledger.is_skipped(number)]

    def _choose_canaries(self, count):
        """Return the numbers of so many jobs spread over the map: the first, the last, the one that requests
        most, and others between."""
        jobs = self.ledger.count
        if count >= jobs:
            return list(range(jobs))
        chosen = [0, jobs - 1][:count]
        if count > 2 and not self.plan.alike:
            chosen.append(max(range(jobs), key=self._size_of))
        spread = (place * (jobs - 1) // (count - 1) for place in range(count) if count > 2)
        for number in itertools.chain(spread, range(jobs)):
            if len(set(chosen)) == count:
                break
            chosen.append(number)
        return sorted(set(chosen))

    def _size_of(self, number):
        """Return what orders jobs by how much they request."""
        params = self.plan.job_params(number)
        return [params.get(key) or 0 for key in ('memory', 'time', 'cores')]

    def look(self):
        """Halt the execution where there is a reason to."""
        is_open = self.driver.steering.gate.is_open and not self.driver.halted and not self.driver.leaving
        if not is_open or not self.ledger.left():
            return
        waiting = self.ledger.count_of(UNSUBMITTED)
        if self.backend.takes_back:
            waiting += self.ledger.count_of(PENDING)
        found = self._canaries_end() or self._rule_applies() or self._first_fail()
        kind, reason, now = found or ('', '', False)
        if not kind or not waiting + now:
            return
        if self.backend.takes_back:
            self.driver.recall.withdraw()    # what waits on this machine is as good as not submitted
        ended = cancel_events(self.ledger.live, self.here.time()) if now else []
        self.lease.write([set_event(self.driver, halted=True, halt_reason=reason, halt_kind=kind), *ended])
        self.driver.steering.note_cancelled()

    def _canaries_end(self):
        """Return what to halt for where all canaries failed, as (kind, reason, whether to cancel), None for
        nothing. Where one did not, the others wait no more."""
        numbers = self.canaries() if self.ledger.settings.get('canaries') else []
        statuses = {self.ledger.status[number] for number in numbers}
        completed = STATUS_CODES[COMPLETED] in statuses
        is_known = completed or statuses == {STATUS_CODES[FAILED]}
        if not is_known:
            return None
        failed = [record for record in map(self.ledger.record, numbers)
                  if record['status'] == FAILED and record.get('error_reason') != 'cancelled']
        if completed or not failed:
            self.driver.set(canaries=[])
            return None
        found = Failures()
        for record in failed:
            found.add(record)
        return 'canary', 'all canaries failed: {}'.format('; '.join(
            map(self._text_of, found.groups()[:3]))), False

    def _text_of(self, group):
        """Return how a group of jobs failed, and which, without their number."""
        only_on = group.only_on(self.ledger.totals.hosts)
        return group.text(only_on, self.plan.named).partition(': ')[2]

    def _rule_applies(self):
        """Return what to halt for where --halt says so, as (kind, reason, whether to cancel), None for
        nothing."""
        text = self.plan.info.get('halt', 'never')
        if text in ('', 'never'):
            return None
        rule, counted = parse_halt(text), ends_and_failures(self.ledger)
        base = self.ledger.settings.get('halt_from', [0, 0])
        if base != self._from:
            self._from, self._base = base, base
        self._base = list(map(min, self._base, counted))    # jobs that run again have not ended
        ended, failed = (count - before for count, before in zip(counted, self._base))
        if rule.count:
            applies = failed >= rule.count
        else:
            applies = ended >= self.FIRST and 100 * failed >= rule.percent * ended
        return ('rule', '{:,} of {} failed (--halt {})'.format(
            failed, plural(ended, 'job'), text), rule.now) if applies else None

    def _first_fail(self):
        """Return what to halt for where all jobs that ended failed alike, as (kind, reason, whether to
        cancel), None for nothing. That is decided, and said, once."""
        counted = self.ledger.count_of(COMPLETED) + self.ledger.count_of(FAILED)
        if self.plan.info.get('halt', 'never') or self._first_over or counted < self.FIRST:
            return None
        ended, failed = ends_and_failures(self.ledger)
        if ended < self.FIRST:
            return None
        self._first_over, is_resumed = True, 'halt_from' in self.ledger.settings
        if ended > failed or is_resumed or not self.ledger.failures.are_alike():
            return None
        groups = [group for group in self.ledger.failures.groups() if group.what != 'cancelled']
        group = groups[0] if len(groups) == 1 else Group.merged(groups)
        reason = 'the first {} all failed: {}'.format(plural(ended, 'job'), self._text_of(group))
        return 'first', reason, False

    def is_over(self):
        """Tell whether the driver shall end, as nothing goes on before somebody says so."""
        settings = self.ledger.settings
        is_halted = self.driver.halted and bool(settings.get('halt_reason'))
        return is_halted and not (self.waits and settings.get('halt_kind') == 'first')


class Steering(Part):
    """Does what others order, and ends what is cancelled.

    Attributes:
        inbox: Inbox
        unended, hopeless, halts, gate: Unended, Hopeless, Halts, Gate
    """

    #: Seconds between two orders to the scheduler to end the same jobs.
    CANCEL = 60

    def __init__(self, driver):
        super().__init__(driver)
        self.inbox, self.unended = Inbox(self.logs, self.here), Unended(driver)
        self.hopeless, self.halts, self.gate = Hopeless(driver), Halts(driver), Gate(driver)
        self._cancel_now = False    # jobs have still to be cancelled
        self._tasks = []    # that the backend is to be told to end, once it has heard the last order
        self._inbox_due = self.cancel_due = 0    # cancel_due: when the backend is told once more

    def note_cancelled(self):
        """Note that the backend can, or should, be told now what to end."""
        self._cancel_now = self._cancel_now or bool(self.ledger.cancelled)

    def obey(self):
        """Do what the inbox asks for: each order once."""
        now = self.here.monotonic()
        if now < self._inbox_due:
            return
        self._inbox_due = now + self.driver.LOOK
        waiting = self.inbox.waiting()
        self.driver.note_trouble('inbox', self.inbox.trouble)
        for id, order in waiting:
            if self.lease.beat.is_due():
                break    # there are so many that the rest has to wait
            if id not in self.ledger.obeyed:
                self._obey(id, order)
            self.lease.commit()
            self.inbox.remove(id, order.get('map', ''))
        for id in self.inbox.junk:
            self.inbox.remove(id)

    def _obey(self, id, order):
        """Do what an order asks for, and write down what it came to."""
        if self.backend.takes_back and order.get('do') in ('pause', 'max-running', 'set', 'add'):
            self.driver.recall.withdraw()    # what waits in a chunk is as good as not submitted
        refused = False
        try:
            reply = self._answer(order)
        except QMapError as error:
            reply, refused = Reply([], str(error), ''), True
        except UNSOUND:
            reply = Reply([], 'the driver does not know this order; its version may be older', '')
            refused = True
        # The order last: where the record is torn, it is obeyed once more, and does no harm.
        self.lease.write(reply.events + [{
            'event': 'command', 'command': id, 'by': who_ordered(order, self.logs), 'said': reply.text,
            'refused': refused, 'time': self.here.time()}])
        for event in reply.events:
            if is_end(event):
                self.driver.scribe.note(self.ledger.number(event['job']), event)
            for number in itertools.chain(retried_numbers(event), dropped_numbers(event)):
                self.driver.queue.waiting_for_usage.pop(number, None)
                self.driver.scribe.note(number)
        self.note_cancelled()
        self.driver.leaving = reply.leaving or self.driver.leaving

    def _answer(self, order):
        """Return what is to be done about an order, as a Reply.

        Raises:
            QMapError: it is refused
            ArithmeticError, AttributeError, LookupError, TypeError, ValueError: it is none of this version's
        """
        refuse_others(order, self.logs)
        for key, text in (order.get('params') or {}).items():
            if text.strip() or not KEY.match(key):    # of text, as a map has it
                parse_parameter(key, text)
                check_case(self.plan.all_names() + [key])
        requested, most = order.get('ids') or (), self.ledger.commands
        if not all(0 <= first <= last for first, last in requested) or sum(
                min(last, most) - first for first, last in requested) > 1000 + 10 * most:
            raise ValueError(order)
        return ORDERS[order['do']].obey(self.driver, order)

    def refuse(self, changes):
        """Refuse parameters that no scheduler could give a job.

        Args:
            changes: dict of texts, what is different from the map

        Raises:
            QMapError: it is refused
        """
        params = change_params(self.plan.params, changes)
        message = self.backend.refusal(params)
        if message:
            raise QMapError('each job ' + message)
        fault = self.backend.extra_fault(params)
        if fault:
            raise QMapError(fault)

    def cancel(self, numbers):
        """Cancel live jobs."""
        self.lease.write(cancel_events(numbers, self.here.time()))
        self.tell_backend()

    def end_cancelled(self, now):
        """Tell the backend what to end, where there is a reason to tell it, or it was told long ago."""
        self.end_tasks([])
        is_long_ago = self.ledger.cancelled and now >= self.cancel_due
        if self._cancel_now or is_long_ago:
            self.tell_backend()

    def tell_backend(self):
        """Tell the backend to end all that shall end, and has an id by which it can be told."""
        self.lease.commit()
        pools, tasks, events, claimed = self.driver.pools, self.driver.pools.cancel(), [], []
        for batch in {self.ledger.live[number]['batch'] for number in self.ledger.cancelled}:
            if is_shared(self.ledger.batches.get(batch, {})):
                self.driver.chunks.shares.close(batch)    # so that what is told to end is not another one by then
        for number in list(self.ledger.cancelled):
            record = self.ledger.live[number]
            if 'crew' not in self.ledger.batch_of(record):
                tasks += self._task_to_end(number, record)
            elif not self.driver.attempts.has_begun(key_of(record)) and pools.claim(record):
                events.append(unbegun_end(
                    record, 'cancelled', 'cancelled before it ran', self.here.time()))
            else:
                claimed.append(record)
        pools.tell_workers(claimed)
        self.driver.reports.log(events)
        self._cancel_now = False
        self.cancel_due = self.here.monotonic() + self.CANCEL    # a scheduler that is down forgets it
        self.end_tasks(tasks)

    def _task_to_end(self, number, record):
        """Return a list with the task by which a cancelled job is ended, an empty one where there is none,
        and note in run/ why it ends."""
        attempts = self.driver.attempts
        task, chunk = attempts.task(record), self.driver.chunks.of(record)
        another_runs = chunk and len(chunk.keys) > 1 and chunk.key != key_of(record)
        if not task or another_runs:
            return []
        if attempts.has_begun(key_of(record)):
            note_why(attempts.status_path(record), why_noted(self.ledger, number))
        return [task]

    def end_tasks(self, tasks):
        """Tell the backend to end tasks: those with an id as schedulers give them, not one that a damaged
        record says, and that stands for all jobs of the user (LSF: 0) or for an option."""
        if self.backend.reuses_ids:
            tasks = [task for task in tasks if re.match(r'(?!0+(;|\Z))\w[\w.]*(;\w[\w.-]*)?\Z', task[0])]
        known = set(self._tasks)    # there may be many of both
        self._tasks += [task for task in tasks if task not in known]
        asker = self.driver.asker
        if asker.take('cancel'):
            self.driver.queue.look_soon()
        if self._tasks and not asker.under_way('cancel'):
            sizes = {batch['id']: batch.get('workers') or len(batch['tasks'])
                     for batch in self.ledger.batches.values() if batch.get('id')}
            self.lease.commit()    # what came of them, first
            tasks, self._tasks = self._tasks, []
            asker.ask('cancel', None, self.backend.cancel, tasks, sizes)
            self.driver.queue.look_soon()


#: What is said of a job that never ran, because what it makes was there.
SKIPPED = 'skipped: its outputs exist'


def awaited_paths(plan, ledger):
    """Return {path: whether all jobs there have to be COMPLETED} of the executions to wait for."""
    after = ledger.settings.get('after', plan.info.get('after'))
    return {} if ledger.settings.get('waited') else after or {}


def skips_existing(plan, ledger):
    """Tell whether jobs are not run whose outputs are there."""
    return ledger.settings.get('skip', plan.info.get('skip')) == 'existing'


class Gate(Part):
    """What comes before the first submission: other executions have to end (`--after`), and jobs are looked
    for whose outputs are there (`--skip existing`).

    Attributes:
        awaited_by: function of {path: whether all jobs there have to be COMPLETED} that returns the Awaited
        is_open: whether jobs may be submitted
        searches: whether it has still to look for jobs whose outputs are there
    """

    #: Seconds between two looks at other executions, and for which jobs are looked for at once; so many of
    #: these at the most wait for their .info.
    LOOK, SEARCH, AT_ONCE = 5, 0.5, 10000

    def __init__(self, driver):
        super().__init__(driver)
        self.awaited_by, self.is_open, self.searches = lambda after: [], False, False
        self._after, self._others = {}, []
        self._due = self._next = self._skipped = 0    # _next: number of the next job that is looked for

    def opens(self):
        """Do what is still to be done, and tell whether jobs may be submitted now."""
        self.is_open = self._are_over() and self._is_searched()
        return self.is_open

    def waits(self):
        """Tell whether other executions are waited for."""
        return bool(awaited_paths(self.plan, self.ledger))

    def _are_over(self):
        """Tell whether the other executions are over, or somebody has ended the waiting."""
        if self.waits():
            after = awaited_paths(self.plan, self.ledger)
            if after != self._after:
                self._after, self._others, self._due = after, self.awaited_by(after), 0
            now = self.here.monotonic()
            if now < self._due:
                return False
            self._due = now + self.LOOK
            found = list(filter(None, [other.hindrance() for other in self._others]))
            more = ['{} more'.format(len(found) - 3)] if len(found) > 3 else []
            self.driver.note_trouble('after', '; '.join(found[:3] + more))
            if found:
                return False
            self.driver.set(waited=True)    # so that no later driver waits for what is run once more
        self.driver.note_trouble('after', '')
        return True

    def _is_searched(self):
        """Look for some more of the jobs whose outputs are there, and tell whether there is nothing left to
        look for: once for each job, also where the map has become longer."""
        count = self.ledger.count
        if self._next >= count or not skips_existing(self.plan, self.ledger):
            return True
        end, found = self.here.monotonic() + self.SEARCH, []
        while self._next < count and self.here.monotonic() < end and not self.is_behind():
            some = range(self._next, min(self._next + 100, count))
            found += filter(self._is_made, some)
            self._next = some.stop
        now = self.here.time()
        self.lease.write([{'event': 'end', 'job': self.ledger.id(number), 'attempt': 0, 'status': COMPLETED,
                           'words': SKIPPED, 'finished': now} for number in found])
        for number in found:
            self.driver.scribe.note(number)
        self._skipped += len(found)
        self.searches = self._next < count
        self.driver.note_trouble('skip', self.searches and 'looking for outputs: {:,} of {}'.format(
            self._next, plural(count, 'job')))
        if not self.searches and self._skipped:
            self.driver.set(skipped=self._skipped + self.ledger.settings.get('skipped', 0))
            self._skipped = 0
        return not self.searches

    def is_behind(self):
        """Tell whether many jobs wait for their .info before more can be looked for."""
        return len(self.driver.scribe.changed) > self.AT_ONCE

    def _is_made(self, number):
        """Tell whether the outputs of a job are there which was never submitted, nor is to run once more."""
        ledger = self.ledger
        if ledger.status[number] or ledger.attempts[number] or number in ledger.places.earlier:
            return False
        params = self.driver.submitter.job_params(number)[0]
        paths = zip(*(absolute_paths(self.plan, number, params, key) for key in PATHS))
        return all(outputs and is_made(outputs, inputs) for outputs, inputs in paths)


class Driver:
    """The one process that submits. Its parts do the work; here stands in which order, and when it ends.

    Attributes:
        logs, plan, backend, here: Logs, Plan, Backend, Host
        lease: Lease
        attempts, reports, chunks, pools, asker, queue, recall, submitter, steering, scribe, disk: its parts
        leaving: set by others: 'halt' submits nothing more, 'leave' ends at once, 'cancel' ends all that was
            submitted, 'hand over' submits all that the scheduler takes, whatever max_running says, and ends;
            'obey' does what the inbox asks for, waits at most Queue.PATIENCE for what it cancels, and ends
    """

    #: Seconds between two looks at the folder.
    LOOK = 1

    def __init__(self, logs, plan, backend, here, on_event=None):
        """
        Args:
            logs: Logs
            plan: Plan
            backend: Backend
            here: Host
            on_event: function that is called with each event that was written
        """
        self.logs, self.plan, self.backend, self.here = logs, plan, backend, here
        self.lease = Lease(logs, plan, here, on_event, self._state)
        self.attempts, self.reports = Attempts(self), Reports(self)
        self.chunks, self.pools, self.asker = Chunks(self), Pools(self), Asker(self)
        self.queue, self.recall, self.submitter = Queue(self), Recall(self), Submitter(self)
        self.steering, self.scribe, self.disk = Steering(self), Scribe(self), Disk(self)
        self.leaving = self._left = ''
        self._troubles = {}

    @property
    def ledger(self):
        """The Ledger, as this driver has read and written it."""
        return self.lease.ledger

    @property
    def max_running(self):
        """How many jobs may be in the scheduler at once."""
        return self.ledger.settings.get('max_running') or self.plan.info['max_running']

    @property
    def halted(self):
        """Whether nothing is submitted for now."""
        return bool(self.ledger.settings.get('halted'))

    def set(self, **settings):
        """Change what steers the driver: max_running, halted, params, avoided, canaries."""
        self.lease.write([dict(settings, event='set', time=self.here.time())])

    def counts(self):
        """Return {status: number of jobs}."""
        return dict(zip(STATUSES, self.ledger.counts))

    def lead(self, force=False, foreign=None, idle=False, seen=None):
        """Become the driver.

        Args:
            idle: also where no job is left
            force, foreign, seen: as for `Lease.acquire`

        Returns:
            whether there is anything to drive

        Raises:
            NotDriver: another process is the driver
            QMapError: the journal is damaged
            OSError: the folder cannot be written
        """
        if not self.lease.acquire(force, foreign, lambda: idle or self._is_needed(), seen):
            return False
        self.recall.take_over()
        self.recall.rerun_left()
        for number in self.ledger.unsaved:    # what the last driver did not come to write
            self.scribe.note(number)
        self.chunks.shares.take_over()
        self.scribe.needs_cleaning = True    # of what came after the last driver had exited
        self.attempts.launches.take_over()
        self.submitter.demands.take_over()
        self.steering.note_cancelled()
        return True

    def _is_needed(self):
        """Tell whether there is anything to drive: jobs that have not ended, orders, .info files that were
        not written, or late words of a job."""
        return bool(self.ledger.left() or self.ledger.unsaved or self._orders() or unmerged_events(
            self.plan, self.ledger))

    def drive(self):
        """Submit, and follow what was submitted, until all jobs have ended or somebody wants to leave.

        Raises:
            NotDriver: another process has become the driver meanwhile
        """
        self.submitter.begin()
        try:
            self.tick()
            while self._goes_on():
                self.here.sleep(self._pause())
                self.tick()
            if self.steering.halts.is_over():
                self.leaving = self.leaving or 'halt'
            self._finish()
        finally:
            self.backend.close()
            self.lease.release()

    def _goes_on(self):
        """Tell whether there is more to do."""
        if self.leaving == 'leave':
            return False
        if self.leaving == 'obey':
            in_time = self.here.monotonic() < self.submitter.began + self.queue.PATIENCE
            return in_time and bool(self._orders() or self.ledger.cancelled)
        submits = self.leaving in ('', 'hand over') and self.ledger.left()
        submits = submits and not self.steering.halts.is_over()
        return bool(self.ledger.live or self.queue.waiting_for_usage or submits or self._orders())

    def _orders(self):
        """Return the orders that have not been obeyed."""
        return self.steering.inbox.waiting(self.ledger.obeyed)

    def _pause(self):
        """Return for how many seconds to sleep until the next look."""
        now = self.here.monotonic()
        if self.submitter.ended_lately(now) > 20:
            self.here.rest(0.02)    # so many jobs end that each look should find some
        if self.steering.gate.searches and not self.steering.gate.is_behind():
            return 0
        if self._may_submit():
            return max(0, min(self.LOOK, self.submitter.timer.due - now))
        if self.scribe.has_work():
            return max(0, min(self.LOOK, self.scribe.due - now))
        if self.backend.starts_jobs and self.ledger.count_of(PENDING):
            return self.LOOK / 2    # they begin at once, and may have ended soon
        return self.LOOK

    def _may_submit(self):
        """Tell whether this machine has a place for a job that waits."""
        wanted = not self.leaving and not self.halted and self.steering.gate.is_open
        return self.backend.ahead and wanted and self.submitter.room() > 0 \
            and self.ledger.next_job() is not None

    def tick(self):
        """Look at everything once, and do what is due."""
        now = self.here.monotonic()
        try:
            self._look(now)
        except OSError as error:
            # A full disk, a quota, a file system that hangs: nothing is submitted, all is tried again.
            self._complain(error)
            if error.errno in NO_ROOM:
                self.disk.note_full(now)
            self.disk.retry.back_off(now)
            self.scribe.put_off(self.disk.retry.due)
            self.submitter.timer.due = max(self.submitter.timer.due, self.disk.retry.due)

    def _look(self, now):
        """Look at everything once, in this order: what is known comes before what is done about it."""
        if self.lease.beat.is_due():
            self.lease.check_epoch()
            self.lease.show_beat()
        self.queue.look_at_load(now)
        if now >= self.lease.history_due:
            self.lease.remove_history()
        if self.lease.unwritten:
            self.lease.write([])
        self.chunks.shares.close_inherited(now)
        self.submitter.take_answer()
        self.reports.collect()
        self.chunks.shares.look_after()
        self.chunks.give_back()
        self.pools.look_after()
        self.queue.ask_accounts()
        self.recall.find_batches()
        self.queue.poll()
        self.note_trouble('shortage', self.backend.shortage and '{}: {}'.format(
            self.backend.title, self.backend.shortage))
        self.steering.obey()
        self.steering.halts.look()
        self.steering.end_cancelled(now)
        self._submit_or_leave(now)
        self.scribe.flush()
        if now >= self.disk.retry.due:
            self.disk.retry.reset()
            self.note_trouble('folder', '')

    def _submit_or_leave(self, now):
        """Submit more, or do once what somebody who wants to leave asks for."""
        if self.leaving in ('', 'hand over'):
            if not self.halted and self.disk.has_space(now) and self.steering.gate.opens():
                self.submitter.submit()
            if self.leaving and self.submitter.has_handed_over():
                self.leaving = 'leave'
        elif self.leaving != self._left:
            self.recall.withdraw()
            if self.leaving == 'cancel':
                self.steering.cancel(list(self.ledger.live))
            self._left = self.leaving

    def _finish(self):
        """Read and write what is left, and say that this process drives no more."""
        self.scribe.needs_cleaning = True    # LSF writes what it says of a task after that has ended
        self.pools.by_number = {}
        try:
            self.asker.wait_for('submit', 'cancel')
            self.lease.check_epoch()
            self.submitter.take_answer()
            self.reports.collect()    # what they have said since the last look
            self.recall.withdraw()
            self.recall.end_copies()
            self.asker.wait_for('cancel')
            self.chunks.shares.measure_last()
            self.scribe.finish()
            self.lease.write([{'event': 'left', 'time': self.here.time()}])
            self.lease.sync()
            write_json(self.logs.execution, dict(
                self.plan.info, finished='' if self.ledger.left() else iso_time(self.here.time()),
                jobs=sum(self.ledger.counts),
                counts=self.counts(), cancelled=self.ledger.failures.cancelled,
                halted=self.halted), lasting=True)
            self.lease.show_beat(released=True)
        except OSError as error:
            self._complain(error)

    def _state(self):
        """Return what others are told beside the beat, as a dict."""
        return {'trouble': self.trouble, 'max_running': self.max_running}

    def note_trouble(self, what, message):
        """Note what keeps the driver from going on.

        Args:
            what: of which kind it is
            message: for people, '' where it is over
        """
        self._troubles.pop(what, None)
        if message:
            self._troubles[what] = message

    def _complain(self, error):
        """Note that something in the logs folder could not be read or written."""
        self.note_trouble('folder', '{}: {}'.format(
            error.filename or self.logs.path, error.strerror or error))

    @property
    def trouble(self):
        """What keeps the driver from going on, '' for nothing."""
        return '; '.join(self._troubles.values())


class Inbox:
    """What others tell the driver: orders as files, dropped whole by whoever may write the folder.

    Attributes:
        junk: ids of what lay there the last time that `waiting` looked, and is none
    """

    #: So many names are looked at, at once; and an order has fewer bytes.
    MOST, LARGE = 10000, 1 << 22

    #: Makes the names of one process differ.
    _count = itertools.count(1)

    def __init__(self, logs, host):
        self._logs = logs
        self._host = host
        self._folder = os.path.join(logs.qmap, 'inbox')
        self._places = {}
        self.trouble = ''    # which order could not be read at the last look, and why
        self.junk = []

    def drop(self, order):
        """Put an order there, and return its id.

        Args:
            order: dict: do, and what belongs to it

        Raises:
            OSError: the folder cannot be written
        """
        name = re.sub('[^A-Za-z0-9_.-]', '_', self._host.host)
        id = '{:020d}-{}-{}-{}'.format(int(self._host.time() * 1e9), name, self._host.pid, next(self._count))
        try:
            self._drop(id, order)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._logs.path)
        return id

    def _drop(self, id, order):
        path = self._path(id)
        self._places = {}
        for epoch in self._logs.epochs():
            try:
                self._places[self._logs.journal(epoch)] = os.path.getsize(self._logs.journal(epoch))
            except FileNotFoundError:    # it was compacted just now
                pass
        with open(path + '.tmp', 'x') as target:
            target.write(json.dumps(order) + '\n')
            target.flush()
            os.fchmod(target.fileno(), 0o644)    # the driver may be another user
            sync_file(target.fileno())
        os.rename(path + '.tmp', path)
        with contextlib.suppress(OSError):    # not everybody may read the folder
            bring_to_disk(self._folder)    # an answer is seen before the journal is on the disk

    def answer(self, id):
        """Return the event that a driver has written of an order since it was dropped; None before."""
        paths = [self._logs.snapshot(epoch) for epoch in self._logs.epochs('snapshot')]
        for path in paths + [self._logs.journal(epoch) for epoch in self._logs.epochs()]:
            place = self._places.get(path, 0)
            try:
                source = open_regular(path)
            except FileNotFoundError:    # it was compacted just now
                continue
            except OSError as error:
                raise QMapError('{}: {}'.format(path, error.strerror))
            with source:
                source.seek(place)
                for line in iter(lambda: source.readline(LONGEST), b''):
                    if not line.endswith(b'\n'):
                        break
                    place += len(line)
                    event = parse_event(line) if id.encode() in line else None
                    if event and event.get('command') == id:
                        return event
            self._places[path] = place
        return None

    def _path(self, id):
        return os.path.join(self._folder, id + '.json')

    def waiting(self, obeyed=()):
        """Return a list of (id, order) of those that nobody has taken, the oldest first, with the number of
        the user whose file it is as `owner`. One that cannot be read is left out, and is the trouble: others
        are to be obeyed all the same. What is none is put into `junk`.

        Args:
            obeyed: ids of those that are not meant: their files may be another's, and stay

        Raises:
            OSError: the folder cannot be read
        """
        found, self.junk, self.trouble = [], [], ''
        try:
            with os.scandir(self._folder) as names:
                for name in itertools.islice(names, self.MOST):
                    if name.name.endswith('.json') and name.name[:-5] not in obeyed:
                        found.append(name.name[:-5])
        except ABSENT:    # some copies leave out empty folders
            return []
        orders = [(id, self._read_order(id)) for id in sorted(found)]
        return [(id, order) for id, order in orders if order]

    def _read_order(self, id):
        """Return the order with this id, None where it is none."""
        path = self._path(id)
        try:
            there = os.lstat(path)
            data, owner = read_owned(path) if there.st_size < self.LARGE else (None, None)
        except ABSENT:
            return None
        except OSError as error:
            self.trouble = '{}: {}'.format(error.filename or path, error.strerror)
            return None
        order = parse_json(data)
        if isinstance(order, dict):
            return dict(order, owner=owner)
        self.junk.append(id)
        return None

    def remove(self, id, map=''):
        """Take an order away, with the map that lies there for it."""
        if STAGED_NAME.match(str(map)):
            remove_file(os.path.join(self._folder, map))
        remove_file(self._path(id))


##############################################################################################################
# A mere look: what the jobs have said since a driver wrote down what it knew
##############################################################################################################

def is_driven(logs):
    """Tell whether a driver seems to live: on another host one that has not said that it left."""
    driver = logs.driver_now()
    if driver.get('released') or not {'host', 'pid', 'born'} <= set(driver):
        return False
    return driver['host'] != os.uname().nodename or seems_alive(driver['pid'], driver['born'])


def driver_alive(logs):
    """Return the host and the pid of the driver that seems to live, as a dict; None where there is none."""
    driver = logs.driver_now()
    return collections.OrderedDict((key, driver[key]) for key in ('host', 'pid')) if is_driven(logs) else None


def why_outdated(logs):
    """Return why what the journal says may be out of date, '' where a driver keeps it.

    Raises:
        OSError: it cannot be read who drives
    """
    if not is_driven(logs):
        return 'no driver is running'
    driver = logs.driver_now()
    if driver.get('host') == os.uname().nodename:
        return ''
    try:
        silence = time.time() - os.stat(logs.driver).st_mtime
    except ABSENT:
        silence = 0
    return '' if silence < Beat.SILENCE else 'no heartbeat from the driver (pid {} on {}) for {}'.format(
        driver.get('pid', '?'), driver.get('host', 'an unknown host'), time_text(silence))


def with_unmerged(plan, ledger):
    """Return a ledger that tells also what the jobs have written since, where no driver takes that in: a
    copy, and nothing is written. A job that went without a word is not judged: only a driver may do that.

    Args:
        plan: Plan
        ledger: Ledger, read

    Raises:
        OSError: what they wrote cannot be read
    """
    events = unmerged_events(plan, ledger) if why_outdated(plan.logs) else []
    return ledger.with_unwritten(events) if events else ledger


def unmerged_events(plan, ledger):
    """Return the events, run and end, that the jobs' own files tell beyond a ledger, the oldest first. What
    they say of a job that was called failed without its own words is among them."""
    try:
        names = set(plan.logs.listing())
    except FileNotFoundError:    # the folder is gone, and with it what they said
        return []
    found = []
    for name, file in words_in(plan.logs.run_files(names)).items():
        found += unmerged_of_chunk(plan, ledger, Words(plan.logs, name), file, names)
    return sorted(found, key=lambda event: event.get('finished') or event['started'])


def unmerged_of_chunk(plan, ledger, words, file, names):
    """Return the events that the words of a chunk tell, or of an attempt of an earlier version.

    Args:
        words: Words
        file: RunFile of them
        names: set of what lies in run/
    """
    starts, found, ended = {}, [], set()
    for kind, key, said in words.hear():
        record = open_record(ledger, key)
        has_moved = bool(record) and key != file.key and record['batch'] != words.who.get('batch', file.batch)
        if record is None or has_moved or key in ended:
            continue
        start = starts.pop(key, {})
        if kind == 's':
            starts = {key: said}
        elif kind == 'e':
            ended.add(key)    # it may be said twice, where the disk was full
            found.append(own_end(plan, record, start, said, verdict_on(plan, ledger, key, said, names)))
    for key, start in starts.items():
        record = open_record(ledger, key)
        if not record.get('started') and record['status'] != FAILED:
            found.append(running_event(record, start))
    return found


def verdict_on(plan, ledger, key, end, names):
    """Return why this execution ended an attempt, as `end_event` takes it; None where it did not."""
    why = read_why(os.path.join(plan.logs.run, key + '.why')) if key + '.why' in names else None
    return standing_verdict(end, why or why_noted(ledger, ledger.number(key.partition('.')[0])))


def open_record(ledger, key):
    """Return the record of an attempt of which its own words still count: it is live, or was called failed
    without them. None for any other."""
    id, _, attempt = key.partition('.')
    try:
        number = ledger.number(id)
        if ledger.attempts[number] != int(attempt):
            return None
    except ValueError:
        return None
    if number in ledger.live or ledger.status[number] != STATUS_CODES[FAILED]:
        return ledger.live.get(number)
    record = ledger.record(number)
    return record if record.get('unheard') and record['attempt'] == int(attempt) else None


def running_event(record, start):
    """Return the event of an attempt that has said that it began."""
    return dict(record, event='run', status=RUNNING, started=start['time'], host=start['host'], words='',
                executor_id=record.get('executor_id') or start.get('executor_id', ''))


##############################################################################################################
# An execution as its logs folder tells it
##############################################################################################################

class RetryCounts:
    """What retries have done so far, and which jobs are in a later attempt than their first.

    Attributes:
        saved: {reason: number of jobs that they saved}, the largest first
        waiting, running: numbers of jobs that are not over: whose next attempt has not begun, or runs
        requests: {what these request since they failed, such as 'memory = 8G': number of jobs}
        asked: number of jobs that asked to run again, by their exit status
        times: how often they did
    """

    def __init__(self, ledger):
        """
        Args:
            ledger: Ledger with UsageTotals
        """
        self.saved = saved_by_reason(ledger.totals)
        self.asked, self.times = len(ledger.totals.asked), sum(ledger.totals.asked.values())
        self.waiting = self.running = 0
        requests = collections.Counter()
        if ledger.places.earlier:
            for number in {*ledger.again, *ledger.live}:
                self._count(ledger, number, requests)
        self.requests = collections.OrderedDict(requests.most_common())

    def _count(self, ledger, number, requests):
        code = ledger.status[number]
        if number not in ledger.places.earlier or code in ENDED_CODES or number in ledger.gone:
            return
        self.running += code == STATUS_CODES[RUNNING]
        self.waiting += code != STATUS_CODES[RUNNING]
        changes = ledger.changes.get(number)
        if changes:
            requests[changes_text(changes)] += 1

    def parts(self):
        """Return it for people, as a list of short texts; an empty one where there is nothing to tell."""
        found = []
        if self.saved:
            found.append('{:,} saved ({})'.format(sum(self.saved.values()), ', '.join(
                '{:,} {}'.format(count, reason) for reason, count in self.saved.items())))
        states = ['{:,} {}'.format(count, word) for count, word in
                  ((self.waiting, 'waiting'), (self.running, 'running again')) if count]
        if states:
            requests = list(self.requests.items())
            others = self.waiting + self.running - sum(self.requests.values())
            is_for_all = len(requests) == 1 and not others
            with_what = ['{}with {}'.format('' if is_for_all else '{:,} '.format(count), what)
                         for what, count in requests[:2]]
            text = ', '.join(states)
            found.append(text + (' ' if is_for_all else ': ') + ', '.join(with_what) if with_what else text)
        if self.asked:
            found.append('{} asked to run again (exit {}), {}'.format(
                plural(self.asked, 'job'), AGAIN, plural(self.times, 'time')))
        return found

    def as_dict(self):
        """Return it for programs."""
        return collections.OrderedDict([
            ('saved', self.saved), ('waiting', self.waiting), ('running', self.running),
            ('requests', self.requests), ('again', {'jobs': self.asked, 'times': self.times})])


def saved_by_reason(totals):
    """Return {reason: number of jobs that were saved by retries} of UsageTotals, the largest first."""
    found = collections.Counter()
    for (reason, *_), count in totals.saved.copy().items():    # the driver may be counting just now
        found[reason] += count
    return collections.OrderedDict((+found).most_common())


def changes_text(changes):
    """Return parameters that have changed, a dict of texts, as 'memory = 8G, time = 02:00:00'."""
    return ', '.join('{} = {}'.format(*item) for item in sorted(changes.items()))


class ExecutionReader:
    """An execution, to be asked: what `info`, a summary and the views show. Nothing is written.

    Attributes:
        path: of the logs folder
        logs: Logs
        plan: Plan
        warnings: list of sentences about what looks odd in the map, the profile or the journal
        has_journal: whether there is a journal, which folders of qmap 0.4 have none of
        driving: whether this process is the driver
    """

    has_journal = True

    def __init__(self, path, map=None):
        """Read an execution from its logs folder.

        Args:
            path: of the folder
            map: Map, if it has been read already

        Raises:
            QMapError: there is none in the folder, or it cannot be read
        """
        self.logs = Logs(path)
        self.path: str = self.logs.path
        self.plan = Plan(self.logs, map)
        self.warnings: 'typing.List[str]' = []
        self._merged = None    # the ledger with what the jobs have written since; None before anybody asks
        try:
            self._read_anew()
        except OSError as error:
            raise unreadable_error(error, self.path)
        self.warnings += self._ledger.damage_texts()

    def _read_anew(self):
        """Read the journal from its beginning."""
        leads = None
        while True:
            driver, ledger, before = self.logs.driver_now(), self.plan.ledger(), leads
            ledger.load()
            if not ledger.outdated():
                break
            leads = [(epoch, Ledger.first(self.logs, epoch)) for epoch in self.logs.epochs()]
            if leads == before:    # no driver has come since the last time
                ledger.accept()
                break
        ledger.miss(driver)
        self.plan.settle_map(ledger)
        self._ledger = ledger

    def _take(self, ledger):
        """Take a ledger for all that is known, the words of jobs included: a driver merges those itself."""
        self._ledger = self._merged = ledger

    def look(self, on_event=None):
        """Read what has been added to the journal, and by the jobs where nobody drives. Not for the driver.

        Args:
            on_event: function that is called with each event of the journal; None for none

        Raises:
            OSError: it cannot be read
        """
        if self._ledger.outdated():
            self._read_anew()
        self._ledger.load(on_event)
        self._merged = with_unmerged(self.plan, self._ledger)

    @property
    def ledger(self):
        """The Ledger as this process knows it: the driver's own, or what was read last, with what the jobs
        have written since where nobody drives. Not to be kept: it may be replaced.

        Raises:
            QMapError: what they have written cannot be read
        """
        if self._merged is None:
            try:
                self._merged = with_unmerged(self.plan, self._ledger)
            except OSError as error:
                raise unreadable_error(error, self.path)
        return self._merged

    @property
    def driving(self) -> bool:
        """Whether this process is the driver."""
        return False

    @property
    def failures(self):
        """The Failures so far."""
        return self.ledger.failures

    @property
    def created(self):
        """When it was submitted, in seconds since 1970."""
        return self.plan.info['created_seconds']

    @property
    def name(self):
        """The prefix of the names of its jobs."""
        return self.plan.info['name']

    @property
    def repeat(self):
        """The options with which a rest of the map is submitted in the same way."""
        return self.plan.info['repeat']

    @property
    def max_running(self):
        """How many jobs may be in the scheduler at once."""
        return self.ledger.settings.get('max_running') or self.plan.info['max_running']

    @property
    def workers(self):
        """How many workers take the jobs from lists, 0 where each is one of the scheduler."""
        return min(self.max_running, self.plan.info.get('pull') or self.ledger.settings.get('pull', 0))

    @property
    def halted(self):
        """Whether nothing is submitted until somebody resumes it."""
        return bool(self.ledger.settings.get('halted'))

    @property
    def excluded(self):
        """The hosts to which nothing more is submitted, as {host: why}."""
        entries = self.ledger.settings.get('excluded', {})
        return {host: why for host, (_, why) in sorted(entries.items()) if why}

    @property
    def halt_reason(self):
        """Why it halted by itself, '' where it did not."""
        return self.ledger.settings.get('halt_reason', '') if self.halted else ''

    @property
    def awaited(self):
        """Paths of the executions that have to end before anything is submitted, a list."""
        return list(awaited_paths(self.plan, self.ledger)) if self.ledger.count_of(UNSUBMITTED) else []

    def skipped(self):
        """Return how many jobs never ran, because their outputs were there."""
        if not skips_existing(self.plan, self.ledger):
            return 0
        return self.ledger.count_skipped()

    def figures(self):
        """Return the UsageTotals so far."""
        return self.ledger.totals

    def retry_counts(self):
        """Return the RetryCounts so far."""
        return RetryCounts(self.ledger)

    def left(self) -> int:
        """Return how many jobs have not reached a final status."""
        return self.ledger.left()

    def counts(self) -> 'typing.Dict[str, int]':
        """Return {status: number of jobs}, in the order of STATUSES."""
        return dict(zip(STATUSES, self.ledger.counts))

    def jobs(self, status: 'typing.Union[str, typing.Iterable[str]]' = 'all',
             fields: 'typing.Optional[typing.Iterable[str]]' = None,
             ids: 'typing.Optional[str]' = None
             ) -> 'typing.Iterator[typing.Dict[str, typing.Any]]':
        """Yield the metadata of jobs, as in their .info files, in the order of the map.

        Args:
            status: as for `qmap info`: names or first letters of statuses, or reasons of those that FAILED,
                such as cancelled; separated by commas, or a list of them
            fields: names of the fields that are wanted, all by default
            ids: of the jobs, as '3,7-12'; all by default

        Raises:
            QMapError: there is no such job
        """
        fields = [fields] if isinstance(fields, str) else fields
        wanted, ledger = parse_statuses([status] if isinstance(status, str) else status), self.ledger
        if ids is not None and wanted.issuperset(STATUSES):    # what is named is there, whatever became of it
            wanted.add(GONE)
        quick = fields is not None and not set(fields) - {'id', 'status'}
        numbers = job_numbers(ledger, parse_ids(ids, self.plan)) if ids is not None else range(ledger.count)
        for number in ledger.chosen(wanted, numbers):
            record = {'job': ledger.id(number), 'status': STATUSES[ledger.status[number]]} if quick else \
                ledger.record(number)
            yield self.plan.info_of(record, ledger, fields)

    def changed_params(self):
        """Return the parameters of the map and the command line with what `set` changed, and a function of a
        command's index that returns what a retry of its job changed."""
        ledger = self.ledger
        params = change_params(read_parameters(self.plan.info['map_params']), ledger.settings.get('params'))
        return params, lambda index: ledger.changes.get(index) if self.plan.group == 1 else None

    def pending_reason(self):
        """Return what the scheduler says of most of the jobs that wait, '' where it says nothing."""
        try:
            said = collections.Counter(
                record['words'] for record in itertools.islice(self.ledger.live.values(), 1000)
                if record['status'] == PENDING and record.get('words'))
        except RuntimeError:    # the driver has just changed it
            return ''
        return said.most_common(1)[0][0] if said else ''

    def suspended(self):
        """Return how many of the jobs that run are suspended, as the scheduler says."""
        try:
            return sum(record['status'] == RUNNING and record.get('words', '').lower().startswith('suspended')
                       for record in self.ledger.live.values())
        except RuntimeError:    # the driver has just changed it
            return 0

    def driver(self):
        """Return who drives, as driver.json has it; {} where nobody does."""
        try:
            driver = self.logs.driver_now()
        except OSError:
            return {'pid': 'unknown', 'host': 'unknown'}
        return {} if driver.get('released') or not {'host', 'pid', 'born'} <= set(driver) else driver


class Awaited:
    """Another execution that has to end before this one begins.

    Attributes:
        path: of its logs folder
        completely: whether all of its jobs have to be COMPLETED
    """

    def __init__(self, path, completely):
        self.path, self.completely = path, completely
        self._reader = None

    def hindrance(self):
        """Return why it is to be waited for, as a sentence; '' where it is over."""
        where = quote_shown(shown_path(self.path))
        try:
            if self._reader:
                self._reader.look()
            else:
                self._reader = ExecutionReader(self.path)
            state = self._state(where)
        except (OSError, QMapError) as error:
            self._reader, state = None, str(error)
        return state and 'waiting for {}: {}'.format(where, state)

    def _state(self, where):
        reader, counts, left = self._reader, self._reader.counts(), self._reader.left()
        if not left and not (self.completely and counts[FAILED]):
            return ''
        parts = ['{:,} of {} completed'.format(counts[COMPLETED], plural(sum(counts.values()), 'job'))]
        parts += ['{:,} failed'.format(counts[FAILED])] if counts[FAILED] else []
        if not left:
            parts[-1] += ': retry (control -l {} retry), or wait no longer (control start)'.format(where)
        elif reader.halted:
            parts.append('paused')
        elif not is_driven(reader.logs):
            parts.append('no driver is running (resume with reattach -l {})'.format(where))
        return ', '.join(parts)


def awaited_by(after):
    """Return a list of Awaited; after: {path: whether all jobs there have to be COMPLETED}."""
    return [Awaited(file_name(path), wholly) for path, wholly in after.items()]


##############################################################################################################
# The summary of an execution
##############################################################################################################

def counts_for_people(counts, cancelled):
    """Return an ordered dict of the jobs by status, for people: cancelled is not failed, and 0 is left out.

    Args:
        counts: {status: number of jobs}
        cancelled: how many of those that FAILED were cancelled
    """
    found = collections.OrderedDict()
    for status, number in counts.items():
        found[status.lower()] = number
        if status == FAILED:
            found['cancelled'] = min(number, cancelled)    # the driver may be counting just now
            found['failed'] = number - found['cancelled']
    return collections.OrderedDict((word, number) for word, number in found.items() if number)


def workers_sentence(settings, most):
    """Return what to tell where workers run the jobs because these are short; '' where they do not.

    Args:
        settings: dict, what steers the driver
        most: how many jobs may be in the scheduler at once
    """
    if 'pull' not in settings:
        return ''
    return '{}: {} for the rest (--pull 0 avoids this; see qmap help workers)'.format(
        settings.get('pull_reason', 'jobs are short'), plural(min(settings['pull'], most), 'worker'))


def excluded_sentences(event, path):
    """Yield what to tell of the hosts that were just left out.

    Args:
        event: dict, set
        path: of the logs folder
    """
    for host, (since, why) in sorted(event['excluded'].items()):
        if why and since == event.get('time'):
            yield '{}: no more jobs there: {}; use it again with: {} control -l {} include {}'.format(
                host, why, qmap_command(), quote_shown(shown_path(path)), host)


class Summary:
    """What there is to say of an execution at its end, or at any time.

    Attributes:
        counts: {status: number of jobs}
        cancelled: how many of those that FAILED were cancelled
        skipped: how many of those that are COMPLETED never ran
        elapsed: seconds from its making to the end of the last job; None where that is not known
        figures: UsageTotals
        groups: list of Group, the failures
    """

    #: So many groups of failures are shown; so many core-seconds are worth a word, and such a part of jobs.
    SHOWN, WORTH, PART = 10, 360, 0.1

    def __init__(self, execution):
        """
        Args:
            execution: ExecutionReader, or Folder04
        """
        self._execution = execution
        self.counts = execution.counts()
        self.figures = execution.figures()
        failures = execution.ledger.named_failures() if execution.has_journal else execution.failures
        self.groups, self.cancelled = failures.groups(), failures.cancelled
        self.skipped = execution.skipped() if execution.has_journal else 0
        self._halt_reason = execution.halt_reason if execution.has_journal else ''
        self._excluded = execution.excluded if execution.has_journal else {}
        self._only_on = [group.only_on(self.figures.hosts) for group in self.groups]
        self.elapsed = max(0, self.figures.last - execution.created) if self.figures.last else None

    @property
    def status(self):
        """The exit status that tells it: 0 all completed, 1 some failed, 3 not all have ended, 4 as it
        halted by itself."""
        if self.left:
            return 4 if self._halt_reason else 3
        return 1 if self.counts[FAILED] else 0

    @property
    def left(self):
        """How many jobs have not ended."""
        return sum(self.counts.values()) - self.counts[COMPLETED] - self.counts[FAILED]

    def head(self):
        """Return the first line."""
        more = {'completed': ' ({:,} skipped)'.format(self.skipped)} if self.skipped else {}
        parts = ['{:,} {}{}'.format(number, word, more.get(word, ''))
                 for word, number in counts_for_people(self.counts, self.cancelled).items()]
        line = '{}: {}'.format(plural(sum(self.counts.values()), 'job'), ', '.join(parts))
        if self.elapsed is not None:
            line += ', in {}'.format(time_text(self.elapsed))
        if self.figures.requested >= self.WORTH:
            line += '; core-hours: {:,.1f} used, {:,.1f} requested'.format(
                self.figures.used / 3600, self.figures.requested / 3600)
        return line

    def commands(self):
        """Return an ordered dict of what to do next: {'to see one': command, ...}."""
        execution, found = self._execution, collections.OrderedDict()
        where = quote_shown(shown_path(execution.path))
        old = not execution.has_journal
        driven = not old and self.left and not execution.driving and is_driven(execution.logs)
        found.update(self._to_see_one(where))
        if not driven:
            found.update(self._reruns(where, old))
        if self.left and not old:
            found.update(self._releases(where))
        for host in self._excluded if self.left else ():
            found['to use {} again'.format(host)] = '{} control -l {} include {}'.format(
                qmap_command(), where, shlex.quote(host))
        if self.left and not driven and not old:
            go_on = '{} reattach -l {}'.format(qmap_command(), where)
            if self._halt_reason:
                go_on = '{} && {}'.format(found.pop('it is paused; to submit again'), go_on)
            found['to go on'] = go_on
        return found

    def _to_see_one(self, where):
        """Yield how to see the output of a job that failed: (what for, command)."""
        group = next((group for group in self.groups if group.ids), None)
        if group and group.what.startswith(('exit', 'signal')):    # what did not run has no output
            id, err = group.ids[0], bool(group.error)
            if backends_there():
                command = '{} info -l {} --log {}{}'.format(
                    qmap_command(), where, id, ' --err' if err else '')
            else:
                path = self._execution.plan.path(id, '.err' if err else '.out')
                command = 'cat ' + quote_shown(shown_path(path))
            yield 'to see one', command

    def _releases(self, where):
        """Yield how to end what keeps jobs from being submitted: (what for, command)."""
        order = '{} control -l {} {}'
        if self._execution.halted:
            yield 'it is paused; to submit again', order.format(qmap_command(), where, 'resume')
        if self._execution.awaited:
            yield 'it waits for other executions; to start now', order.format(qmap_command(), where, 'start')

    def _reruns(self, where, old):
        """Yield how to run again what did not complete: (what for, command)."""
        resume = '{0} control -l {1} resume && ' if self._halt_reason else ''
        retry = '{0} control -l {1} retry{2} && ' + resume + '{0} reattach -l {1}'
        if self.counts[FAILED] > self.cancelled and not old:
            yield 'to retry what failed', retry.format(qmap_command(), where, '')
        for_map = old or not self.cancelled    # the map has all that are FAILED
        if for_map and self.counts[FAILED]:
            again = ' '.join(map(shlex.quote, ['rerun.map'] + self._execution.repeat))
            yield 'to rerun what failed', '{0} info -l {1} -o rerun.map && {0} submit {2}'.format(
                qmap_command(), where, again)
        if self.cancelled and not old:
            yield 'to run what was cancelled', retry.format(qmap_command(), where, ' -s cancelled')

    def lines(self):
        """Yield it as lines for people."""
        yield self.head()
        if self.left and self._halt_reason:
            yield '  paused: ' + self._halt_reason
        named = self._execution.plan.named if self._execution.has_journal else str
        for group, hosts in zip(self.groups[:self.SHOWN], self._only_on):
            yield '  ' + group.text(hosts, named)
        if len(self.groups) > self.SHOWN:
            yield '  and {}'.format(plural(len(self.groups) - self.SHOWN, 'more kind') + ' of failures')
        for host, why in self._excluded.items():
            yield '  left out: {} ({})'.format(host, why)
        yield from self._about_retries()
        yield 'logs folder: {}'.format(shown_path(self._execution.path))
        for what, command in self.commands().items():
            yield '{}: {}'.format(what, command)

    def saved(self):
        """Return {reason: number of jobs that were saved by retries}, the largest first."""
        return saved_by_reason(self.figures)

    def retries(self):
        """Return what retries have done, for programs."""
        old = not self._execution.has_journal
        found = collections.OrderedDict(saved=self.saved())
        found.update({} if old else self._execution.retry_counts().as_dict())
        found['next'] = self.next_request()
        found['core_hours_lost'] = round(self.figures.lost / 3600, 6)
        found['learned'] = {} if old else self._execution.ledger.settings.get('learned') or {}
        return found

    def next_request(self):
        """Return the options with which next time no job would need a retry, such as ['-m 8G']; an empty list
        where only few did."""
        jobs, found = sum(self.counts.values()), collections.OrderedDict()
        for (_, key, _, after), count in sorted(self.figures.saved.items()):
            if key:
                found.setdefault(key, []).append((read_parameter(key, after), count))
        return ['{} {}'.format({'memory': '-m', 'time': '-t'}[key], write_parameter(key, max(values)[0]))
                for key, values in found.items() if sum(count for _, count in values) >= self.PART * jobs]

    def _about_retries(self):
        """Yield what retries have done, or would have."""
        if not self._execution.has_journal:
            return
        saved, plan = self.saved(), self._execution.plan
        if saved:
            line = '{} saved by retries ({})'.format(plural(sum(saved.values()), 'job'), ', '.join(
                '{:,} {}'.format(count, reason) for reason, count in saved.items()))
            if self.figures.lost >= self.WORTH:
                line += ', {:,.1f} core-hours lost to attempts that failed'.format(self.figures.lost / 3600)
            more = self.next_request()
            yield line + ('; next time {}'.format(' '.join(more)) if more else '')
        if self.figures.asked:
            yield self._execution.retry_counts().parts()[-1]
        if not saved and not plan.params.get('retries'):
            found = list(filter(None, map(self._would_retry, ('memory', 'time'))))
            if found:
                yield '--retries 2 would have retried ' + ' and '.join(found)

    def _would_retry(self, key):
        """Return which of the jobs that failed for lack of memory, or time, two retries would have run again,
        and with what; '' for none."""
        what = describe_end({'error_reason': key})
        groups = [group for group in self.groups if group.what == what]
        count, ids = sum(group.count for group in groups), [id for group in groups for id in group.ids]
        try:
            able = list(filter(None, [self._raised(key, id) for id in ids]))
        except QMapError:    # the journal is being compacted
            return ''
        if not able:
            return ''
        if len(ids) == count:
            jobs, known = plural(len(able), 'job'), True
        else:
            known = self._execution.plan.alike and len(able) == len(ids)
            jobs = ('' if known else 'up to ') + plural(count, 'job')
        is_one = known and len(set(able)) == 1
        return '{} with {}{}'.format(
            jobs, '{} = '.format(key) if is_one else 'more {}, such as '.format(key), able[0])

    def _raised(self, key, id):
        """Return what two retries of a job would have requested that failed for lack of memory, or time:
        '8G, then 16G'; '' where it is not retried."""
        plan, ledger = self._execution.plan, self._execution.ledger
        event, found = sound_record(ledger.record(ledger.number(id))), []
        if plan.params_of(event).get('retries'):
            return ''
        for past in range(2):
            changes = next_request(plan, ledger, event, key, past, lambda params: plan.retry_rules.most)
            if changes is None:
                break
            event = dict(event, params=dict(event.get('params') or {}, **write_parameters(changes)))
            found.append(write_parameter(key, plan.params_of(event)[key]))
        return ', then '.join(found)

    def variables(self):
        """Return the environment variables that tell it to a command."""
        found = {'QMAP_' + status: str(number) for status, number in self.counts.items()}
        found['QMAP_CANCELLED'] = str(self.cancelled)
        found.update(QMAP_LOGS=file_name(decode_name(self._execution.path)),
                     QMAP_NAME=file_name(self._execution.name), QMAP_STATUS=str(self.status),
                     QMAP_JOBS=str(sum(self.counts.values())), QMAP_SUMMARY=self.head(),
                     QMAP_ELAPSED='{:.0f}'.format(self.elapsed or 0))
        return found

    def as_dict(self):
        """Return it for programs."""
        execution, old = self._execution, not self._execution.has_journal
        return collections.OrderedDict([
            ('logs', self._execution.path), ('name', self._execution.name), ('status', self.status),
            ('jobs', sum(self.counts.values())), ('counts', self.counts),
            ('cancelled', self.cancelled), ('skipped', self.skipped),
            ('paused', not old and execution.halted),
            ('halt_reason', self._halt_reason), ('excluded', self._excluded),
            ('max_running', None if old else execution.max_running),
            ('pull', None if old else execution.workers),
            ('driver', None if old else driver_alive(execution.logs)),
            ('elapsed', None if self.elapsed is None else round(self.elapsed, 3)),
            ('core_hours', {'asked': round(self.figures.requested / 3600, 6),
                            'used': round(self.figures.used / 3600, 6)}),
            ('retries', self.retries()),
            ('failures', [collections.OrderedDict([
                ('jobs', group.count), ('what', group.what), ('error', group.error), ('same', group.same),
                ('ids', group.ids), ('hosts', group.hosts), ('only_on', hosts)])
                for group, hosts in zip(self.groups, self._only_on)]),
            ('next', self.commands())])


##############################################################################################################
# Sessions: a process at work on an execution
##############################################################################################################

def whoami():
    """Return user@host, for those who read what was done."""
    import getpass
    try:
        return '{}@{}'.format(getpass.getuser(), os.uname().nodename)
    except (KeyError, OSError):    # a user without a name
        return '{}@{}'.format(os.getuid(), os.uname().nodename)


class Admission:
    """Whether this process may drive an execution, and why not.

    Attributes:
        force: whether to drive although some records cannot be read, or the folder is a copy
        takeover: whether to take the place of a driver on another host although its beat goes on
        obstacle: why this process cannot drive, '' for nothing
        permitted: whether that is not for want of a permission
    """

    def __init__(self, logs, host, news, force, takeover):
        """
        Args:
            logs: Logs
            host: Host
            news: deque of sentences, to which is added what people should know
            force, takeover: as above
        """
        self._logs, self._host, self._news = logs, host, news
        self.force, self.takeover = force, takeover
        self.obstacle, self.permitted = '', True
        self._foreign = None    # of a driver elsewhere: its beat, since when that stands, whether it was told

    def check(self, plan):
        """Tell whether this process may drive, as far as that can be told before it tries.

        Raises:
            QMapError: it may not, and nobody else drives
        """
        self.obstacle, self.permitted = '', True
        self._refuse_copy(plan)
        return self._trusted()

    def _refuse_copy(self, plan):
        """Keep a copy of the folder from running the jobs of the first one again."""
        info, path = plan.info, self._logs.path
        other = Logs(file_name(info.get('logs') or decode_name(path)))
        if self.force or other.path == path or info.get('inode') == os.stat(self._logs.qmap).st_ino:
            return    # where it was, or moved
        try:
            there = of_types(read_json(other.execution), EXECUTION_FIELDS).get('token') == info['token']
            if there and os.path.samefile(other.execution, self._logs.execution):
                return    # the same folder by another name
        except OSError:
            there = True    # for all that can be seen from here
        raise QMapError('{} is a copy of {}, and both would run the same jobs; resume {}, or this one with '
                        '--force'.format(path, other.path, 'that one' if there else 'the original'))

    def _trusted(self):
        """Tell whether the folder can be trusted: what others may write says what runs as this user."""
        distrust = '' if self.force else self._logs.distrusted()
        if not distrust:
            return True
        path = shown_path(self._logs.path)
        if is_driven(self._logs) or not os.access(self._logs.qmap, os.W_OK):
            self.obstacle = '{}: {}'.format(path, os.strerror(errno.EACCES))
            return False
        raise QMapError('{}: {}; to drive it anyway: reattach --force'.format(path, distrust))

    def note_error(self, error):
        """Note the OSError for which this process cannot drive."""
        self.permitted = error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS)
        self.obstacle = str(unreadable_error(error, self._logs.path))
        if not self.permitted:
            self.obstacle = 'no write permission in {}; viewing only'.format(shown_path(self._logs.path))

    def beats_elsewhere(self, driver):
        """Tell whether a driver on another host must be taken for alive: its beat went on lately.

        Args:
            driver: dict of what is known of it
        """
        beat, now = (driver['epoch'], driver.get('nonce'), driver.get('beat')), self._host.monotonic()
        if self._foreign is None or self._foreign[0] != beat:
            self._foreign = (beat, now, [])
        since, told = self._foreign[1:]
        if now - since > 3 * Beat.EVERY and not told:
            told.append(True)
            self._news.append(
                'no heartbeat from the driver (pid {} on {}) for {:.0f} s; taking over after {} s '
                '(--takeover: at once)'.format(driver.get('pid', '?'), driver.get('host', 'an unknown host'),
                                               now - since, Beat.SILENCE))
        return now - since < Beat.SILENCE


class WorkThread:
    """A thread that calls a function; where none can be started, whoever asks whether it works tries again.

    Attributes:
        error: what the function raised, None for nothing
        trouble: why there is no thread yet, '' for nothing
        started: whether it was ever to begin
    """

    def __init__(self, on_end=None):
        """
        Args:
            on_end: function that is called in the thread at its end; None for none
        """
        self._on_end = on_end
        self._pid = os.getpid()
        # Not Thread.join: once interrupted, it no longer waits (Python 3.9 to 3.12).
        self._idle = threading.Event()
        self._idle.set()
        self._due = None    # the function, as long as there is no thread for it
        self.error, self.trouble, self.started = None, '', False

    def start(self, function):
        """Call the function in a thread, as soon as one can be started."""
        self.error, self.started = None, True
        self._idle.clear()
        self._due = function
        self._try()

    def _try(self):
        self.trouble = ''
        try:
            threading.Thread(target=self._run, args=(self._due,), name='qmap-driver', daemon=True).start()
            self._due = None
        except RuntimeError:
            self.trouble = 'this machine: ' + NO_THREAD

    def _run(self, function):
        try:
            function()
        except BaseException as error:
            self.error = error
        finally:
            self._idle.set()
            if self._on_end:
                self._on_end()

    def is_due(self):
        """Tell whether it is to begin, and there is no thread for it yet."""
        return self._due is not None

    def give_up(self):
        """Do not begin any more, where there is no thread yet."""
        if self.is_due():
            self._due = None
            self._idle.set()

    def working(self):
        """Tell whether it works at the moment, or is about to."""
        if self._idle.is_set() or self._pid != os.getpid():    # in a fork there is no thread
            return False
        if self.is_due():
            self._try()
        return not self._idle.is_set()

    def wait(self, seconds):
        """Wait until it has ended, at most so many seconds; None for as long as it takes."""
        self._idle.wait(seconds)


class Session(ExecutionReader):
    """A process at work on an execution: it drives, or views where another process drives. It works in a
    thread of its own; nothing is printed. Views show a session, and `follow` lets it work.

    Attributes: those of ExecutionReader, and viewing: whether another process drives leaving: how this
        process is to stop, as `stop` has it; '' before successor: who goes on with the jobs that are left
        when this process leaves: 'scheduler', to which all were submitted; 'background', a driver there; ''
            for nobody
        news: deque of sentences about what was done on demand, or went wrong, for a view to show
        on_event: function that is called with each event of the journal, in the thread that works; None for
            none
        asks: whether somebody is there who is asked what comes next where it halts by itself
    """

    def __init__(self, path, max_running=None, force=False, takeover=False, map=None, on_end=None):
        """Load an execution from its logs folder; `start` sets it going.

        Args:
            path: of the folder
            max_running: jobs in the scheduler at once, from now on; None for as many as before
            force: go on although some records cannot be read
            takeover: take the place of a driver on another host although its beat goes on
            map: Map, if it has been read already
            on_end: function that is called when it works no longer, in the thread that did; None for none

        Raises:
            QMapError: there is none in the folder
        """
        super().__init__(path, map)
        self._max_running = max_running
        self._host = Host()
        self._inbox = Inbox(self.logs, self._host)
        self.news = collections.deque(maxlen=1000)
        self.on_event = None
        self._admission = Admission(self.logs, self._host, self.news, force, takeover)
        self._thread = WorkThread(on_end)
        self._prepared = None    # a backend that `start` made
        self._driver = None
        self._drove = False
        self._unread = ''    # what could not be read at the last look
        self.viewing, self.leaving, self.successor = False, '', ''
        self.asks = False

    # The thread

    def start(self):
        """Drive what is left, or view where another process drives; also once more after all has ended, or
        was left. Nothing happens where it is at work already."""
        if self.working():
            return
        if self._thread.started:
            self.leaving = ''
        self._take(self._ledger)
        self._admission.obstacle = ''
        if sys.version_info[:2] == (3, 12) and self.plan.info['executor'] == 'local':
            self._prepared = load_backend('local', wake=self._host.wake)
            self._prepared.start_threads()
        self._thread.start(self._work)

    def working(self) -> bool:
        """Tell whether this process drives or views it at the moment, or is about to."""
        if self.leaving == 'leave':
            self._thread.give_up()
        return self._thread.working()

    def await_thread(self, end=float('inf')):
        """Wait until the thread has started, at most until `end` on the monotonic clock."""
        while self._thread.is_due() and self.working() and self._thread.is_due() and time.monotonic() < end:
            time.sleep(max(0, min(1, end - time.monotonic())))

    def wait(self, timeout: 'typing.Optional[float]' = None) -> bool:
        """Wait until all jobs have ended, or until it was left; see `Execution.wait`."""
        end = float('inf') if timeout is None else time.monotonic() + timeout
        self.await_thread(end)
        if self.working():
            self._thread.wait(None if timeout is None else max(0, end - time.monotonic()))
        if self._thread.error and not self.working():
            raise self._thread.error
        return not self.left()

    def stop(self, how):
        """Have this process stop its work.

        Args:
            how: what becomes of the jobs. 'halt': submit nothing more, follow what was submitted;
                'leave': stop driving, what was submitted goes on;
                'cancel': submit nothing more, cancel what was submitted;
                'hand over': submit all that the scheduler takes, whatever max_running says, and leave
        """
        if how == 'hand over':
            self.successor = 'scheduler'
        self.leaving, driver = how, self._driver
        if driver:
            driver.leaving = how
        self._host.wake()

    def order(self, name, **order):
        """Tell the driver, which may be this process, what to do.

        Args:
            name: of that, for people
            order: as `Order` has it
        """
        try:
            self._inbox.drop(dict(order, by=whoami()))
        except OSError:
            self.news.append('{}: not changed; {} is not writable'.format(name, self.path))

    def obey_orders(self):
        """Drive for a moment, only to do what the inbox asks for. Return whether nobody else drives."""
        self.leaving = 'obey'
        return self._drive()

    def _work(self):
        """Drive or view until nothing is left to do, or this process leaves."""
        try:
            late = True    # for who drives once is enough: that takes in what came late
            while self.leaving in ('', 'cancel', 'hand over') and self._undone(late):
                late = self.viewing = not self._drive()
                if self.viewing:
                    self._view()
                elif self.leaving:
                    break
            if self._drove and not (self.left() and self.successor):
                self.news.extend(tell_of_end(self.plan.info.get('on_finish'), Summary(self)))
        except OSError as error:
            raise unreadable_error(error, self.path)

    def _undone(self, late):
        """Tell whether there is something to drive or to follow: jobs, orders, .info files that were not
        written, or words of jobs that were called failed without them.

        Args:
            late: whether to look for such files and words
        """
        if not self._admission.permitted:
            return bool(self.left())
        if self._ledger.left():
            return True
        if self._admission.obstacle:
            return False
        try:
            if self._inbox.waiting(self._ledger.obeyed):
                return True
            return late and bool(self._ledger.unsaved or unmerged_events(self.plan, self._ledger))
        except OSError as error:
            self._admission.obstacle = str(unreadable_error(error, self.path))
            return False

    # Driving

    def _drive(self):
        """Drive, if nobody else does. Return False where another process drives, or has taken over."""
        admission = self._admission
        if not admission.check(self.plan):
            return False
        backend = self._backend()
        driver = Driver(self.logs, self.plan, backend, self._host, self._pass_on)
        driver.steering.gate.awaited_by = awaited_by
        leads = nobody_drives = False
        try:
            leads = driver.lead(admission.force, None if admission.takeover else admission.beats_elsewhere,
                                self.leaving == 'obey', self._ledger)
            nobody_drives = True
        except NotDriver:
            pass
        except OSError as error:
            admission.note_error(error)
        if nobody_drives:
            self._take(driver.ledger)
        if leads:
            return self._drive_with(driver)
        backend.close()
        return nobody_drives

    def _backend(self):
        """Return the backend to drive with."""
        backend, self._prepared = self._prepared, None
        if not backend:
            backend = load_backend(self.plan.info['executor'], self.plan.info['settings'], self._host.wake)
        backend.since, backend.token = self.plan.info['created_seconds'], self.plan.info['token']
        backend.folder = self.logs.batch('')[len(os.path.dirname(self.logs.path)):]
        return backend

    def _drive_with(self, driver):
        """Drive, as the driver that this process has become. Return False where it has been overtaken."""
        self._driver, self._unread = driver, ''
        if self.viewing:
            self.viewing = False
            self.news.append('the driver has exited; this process is the driver now')
        driver.leaving, driver.steering.halts.waits = self.leaving, self.asks
        try:
            try:
                self._note_move()
                if self._max_running:
                    driver.set(max_running=self._max_running)
                    self._max_running = None
            except OSError as error:
                self.news.append(str(unreadable_error(error, self.path)))
            self._drove = self.leaving != 'obey'
            driver.drive()
            self.leaving = driver.leaving
            self.news.extend('warning: ' + text for text in (driver.attempts.launches.stopped,) if text)
            return True
        except NotDriver:
            self._drove = False
            self.news.append('another process is the driver now; this one only views')
            self._admission.takeover = False
            self._read_anew()    # what this one wrote last may not count
            self._take(self._ledger)
            return False
        finally:
            self._driver = None

    def _note_move(self):
        """Write down where the folder is now, and say what that means for what was submitted before."""
        here, there = decode_name(self.path), self.plan.info.get('logs')
        if there and there != here:
            if self._ledger.live:
                self.news.append(
                    'this folder was {} when {} were submitted; unless that path still exists, running jobs '
                    'cannot report, and pending ones are submitted again'.format(
                        there, plural(len(self._ledger.live), 'job')))
            self.plan.info.update(logs=here, inode=os.stat(self.logs.qmap).st_ino)
            write_json(self.logs.execution, self.plan.info, lasting=True)

    # Viewing

    def _view(self):
        """Follow the journal for a while, and what the jobs write where nobody drives."""
        if self.leaving == 'cancel':
            self.leaving = 'leave'
        if self._max_running:
            self.order('--max-running', do='max-running', number=self._max_running)
            self._max_running = None
        for _ in range(3):
            try:
                self.look(self._pass_on)
                self._unread = ''
                over = not self._undone(True)
            except OSError as error:
                over, self._unread = False, str(unreadable_error(error, self.path))
            if self.leaving or over:
                break
            self._host.sleep(1)

    def _pass_on(self, event):
        """Tell of an event of the journal."""
        if is_reply(event):
            self.news.append('{}: {}'.format(event.get('by') or 'somebody', event['said']))
        if event['event'] == 'set' and 'pull' in event:
            self.news.append(workers_sentence(event, self.max_running))
        if event['event'] == 'set' and event.get('halt_reason'):
            self.news.append('paused: {}; {} not submitted'.format(
                event['halt_reason'], plural(self._ledger.count_of(UNSUBMITTED), 'job')))
        if event['event'] == 'set' and 'excluded' in event:
            self.news.extend(excluded_sentences(event, self.path))
        if event['event'] == 'set' and 'learned_reason' in event:
            self.news.append(event['learned_reason'])
        if event['event'] == 'set' and 'skipped' in event:
            whose = SKIPPED if event['skipped'] == 1 else SKIPPED.replace('its', 'their')
            self.news.append('{} {}'.format(plural(event['skipped'], 'job'), whose))
        if self.on_event:
            self.on_event(event)

    # What views ask

    @property
    def driving(self) -> bool:
        """Whether this process is the driver."""
        return self._driver is not None

    def waits_for_word(self):
        """Tell whether it halted by itself, and the driver waits until somebody says what comes next."""
        driver = self._driver
        is_asked = driver and not driver.leaving and not driver.steering.halts.is_over()
        return bool(is_asked and self.halt_reason)

    @property
    def stopping(self):
        """Whether this process submits nothing more, since it is to leave."""
        driver = self._driver
        return (driver.leaving if driver else self.leaving) in ('halt', 'leave', 'cancel')

    @property
    def trouble(self):
        """What keeps the execution from going on, '' for nothing."""
        driver = self._driver
        if driver:
            return driver.trouble
        if self._unread or self.driver().get('born'):
            return self._unread
        return self._admission.obstacle or self._thread.trouble

    @property
    def load(self):
        """The load of the cluster, where the profile wants it and this process drives: nodes (that are up),
        used and mine (percent of the cores)."""
        driver = self._driver
        return driver.queue.load if driver else {}

    def peak(self, number):
        """Return the bytes of memory that a running job was seen to use so far, None where nobody looks."""
        driver = self._driver
        return driver.attempts.peak(number) if driver else None


def tell_of_end(command, summary):
    """Run the command that is to be told of the end, and return its last lines, and a warning if it failed.

    Args:
        command: for bash; None or '' for none
        summary: Summary
    """
    import shutil
    import subprocess
    import tempfile
    if not command:
        return []
    lines = []
    try:
        # Files, not pipes: what it leaves in the background may write on when this process is gone.
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as output:
            source.write(json_text(summary.as_dict()).encode() + b'\n')
            source.seek(0)
            status = subprocess.Popen(
                [shutil.which('bash') or '/bin/bash', '-c', '--', file_name(command)], stdin=source,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                env=dict(outer_environment(), **summary.variables())).wait()
            output.seek(0)
            lines += [last_line(line) for line in decode(output.read(1 << 16)).splitlines()[-20:]]
        problem = 'exit status {}'.format(status) if status else ''
    except (OSError, ValueError) as error:
        problem = getattr(error, 'strerror', None) or str(error)
    return lines + (['warning: --on-finish: {}'.format(problem)] if problem else [])


##############################################################################################################
# Executions: what programs use
##############################################################################################################

class Listeners(list):
    """The queues of those who iterate over an execution: what happens to jobs, and None at the end."""

    def on_event(self, event):
        """Pass on an event of the journal, if it is about a job's attempt."""
        if self and is_record(event):
            told = {'job': event['job'], 'status': UNSUBMITTED if runs_again(event) else event['status'],
                    'time': event.get('finished') or event.get('started'),
                    'error_reason': event.get('error_reason', ''), 'error': event.get('error', '')}
            for queue in list(self):
                queue.put(told)

    def on_end(self):
        """Tell that nothing more comes."""
        for queue in list(self):
            queue.put(None)


class Execution:
    """An execution, driven from here or viewed. It works in a thread of its own; nothing is printed.

    Attributes:
        path: of the logs folder
        warnings: list of sentences about what looks odd in the map, the profile or the journal
    """

    def __init__(self, path, max_running=None, force=False, takeover=False, map=None):
        """Load an execution from its logs folder; `start` sets it going.

        Args:
            path: of the folder
            max_running: jobs in the scheduler at once, from now on; None for as many as before
            force: go on although some records cannot be read
            takeover: take the place of a driver on another host although its beat goes on
            map: Map, if it has been read already

        Raises:
            QMapError: there is none in the folder
        """
        max_running = None if max_running is None else positive_number('max_running', max_running)
        self._listeners = Listeners()
        self._session = Session(path, max_running, force, takeover, map, self._listeners.on_end)
        self._session.on_event = self._listeners.on_event
        self.path: str = self._session.path
        self.warnings: 'typing.List[str]' = self._session.warnings

    def __repr__(self) -> str:
        counts = ', '.join('{:,} {}'.format(count, status.lower())
                           for status, count in self.counts().items() if count)
        return '<qmap.Execution {!r}: {}>'.format(self.path, counts)

    def start(self) -> 'Execution':
        """Drive what is left, or view where another process drives; also once more after all has ended, or
        was left. Nothing happens where it is at work already."""
        self._session.start()
        return self

    @property
    def driving(self) -> bool:
        """Whether this process is the driver."""
        return self._session.driving

    @property
    def viewing(self) -> bool:
        """Whether another process drives."""
        return self._session.viewing

    def working(self) -> bool:
        """Tell whether this process drives or views it at the moment, or is about to."""
        return self._session.working()

    @property
    def halt_reason(self) -> str:
        """Why nothing more is submitted until somebody resumes it, '' where it did not halt by itself."""
        return self._session.halt_reason

    def left(self) -> int:
        """Return how many jobs have not reached a final status."""
        return self._session.left()

    def retries(self) -> 'typing.Dict[str, typing.Any]':
        """Return what retries have done so far: `saved` {reason: number of jobs}; of the jobs that are not
        over, how many wait for another attempt (`waiting`) or are in one (`running`), and what they request
        now (`requests`, {'memory = 8G': number of jobs}); `again` {'jobs', 'times'}: how many asked to run
        again, by the exit status 85, and how often."""
        return self._session.retry_counts().as_dict()

    def counts(self) -> 'typing.Dict[str, int]':
        """Return {status: number of jobs}, in the order of STATUSES."""
        return self._session.counts()

    def jobs(self, status: 'typing.Union[str, typing.Iterable[str]]' = 'all',
             fields: 'typing.Optional[typing.Iterable[str]]' = None,
             ids: 'typing.Optional[str]' = None
             ) -> 'typing.Iterator[typing.Dict[str, typing.Any]]':
        """Yield the metadata of jobs, as in their .info files, in the order of the map.

        Args:
            status: as for `qmap info`: names or first letters of statuses, or reasons of those that FAILED,
                such as cancelled; separated by commas, or a list of them
            fields: names of the fields that are wanted, all by default
            ids: of the jobs, as '3,7-12'; all by default

        Raises:
            QMapError: there is no such job
        """
        return self._session.jobs(status, fields, ids)

    def __iter__(self) -> 'typing.Iterator[typing.Dict[str, typing.Any]]':
        """Yield what happens to jobs, from now on until the execution ends: dicts with job, status, time,
        error_reason, error.

        Raises:
            QMapError: the execution cannot go on
        """
        import queue
        listener: 'queue.Queue[typing.Any]' = queue.Queue()
        self._listeners.append(listener)
        self._session.await_thread()
        if not self.working():
            listener.put(None)
        return self._events(listener)

    def _events(self, listener):
        try:
            for event in iter(listener.get, None):
                yield event
        finally:
            self._listeners.remove(listener)
        self.wait(0)

    def wait(self, timeout: 'typing.Optional[float]' = None) -> bool:
        """Wait until all jobs have ended, or until it was left.

        Args:
            timeout: seconds

        Returns:
            whether all jobs have reached a final status

        Raises:
            QMapError: the execution cannot go on
        """
        return self._session.wait(timeout)

    def halt(self) -> None:
        """Submit nothing more; go on following what was submitted."""
        self._session.stop('halt')

    def leave(self) -> None:
        """Stop driving. What was submitted goes on; `reattach` picks it up."""
        self._session.stop('leave')

    def cancel(self) -> None:
        """Submit nothing more, and cancel what was submitted."""
        self._session.stop('cancel')

    def hand_over(self) -> None:
        """Submit all that the scheduler takes, whatever max_running says, and leave."""
        self._session.stop('hand over')


def positive_number(name, value):
    """Return a number that a program gave, as int.

    Raises:
        QMapError: it is no whole number of 1 or more
    """
    try:
        return parse_count(str(value))
    except ValueError as error:
        raise QMapError('{} = {!r}: {}'.format(name, value, error))


def path_text(name, value):
    """Return a path that a program gave, as text.

    Raises:
        QMapError: it is none
    """
    try:
        return os.fsdecode(value)
    except TypeError:
        raise QMapError('{} = {!r}: must be a path'.format(name, value))


def map_text(map):
    """Return a map that a program gave: a path as text, or commands as they are."""
    is_path = isinstance(map, (bytes, os.PathLike)) or not hasattr(map, '__iter__')
    return path_text('map', map) if is_path else map


def path_list(name, value):
    """Return the paths that a program gave, or one, as a list of texts.

    Raises:
        QMapError: one of them is no path
    """
    several = hasattr(value, '__iter__') and not isinstance(value, (str, bytes))
    return [path_text(name, path) for path in (value if several else [value])]


def parameter_texts(params, keywords):
    """Return the parameters that a program gave as a dict of texts, None for those that it left open.

    Args:
        params: dict of parameters, its own among them; None for none
        keywords: dict of those that QMap knows

    Raises:
        QMapError: a keyword is a slip, or params is no dict of names
    """
    for key in keywords:
        if key not in PARAMETERS:
            raise QMapError('submit: unknown keyword {0}{1}; give parameters of your own as params={{{0!r}: '
                            '...}}'.format(key, meant_parameter(key, SUBMIT_KEYWORDS + tuple(PARAMETERS))))
    if not isinstance(params or {}, dict):
        raise QMapError('params = {!r}: must be a dict'.format(params))
    try:
        given = collections.OrderedDict(params or {}, **keywords)
        return collections.OrderedDict((key, None if value is None else str(value))
                                       for key, value in given.items()
                                       if KEY.match(key) or read_parameter(key, ''))
    except (TypeError, ValueError) as error:
        raise QMapError('params: {}'.format(error))


#: What `submit` takes that comes before the first job.
BEGIN_WORDS = ('skip', 'after', 'after_any')


def read_begin(given):
    """Return what comes before the first job, as `Request` takes it: which jobs are not to be run, and
    {path of a logs folder: whether all of its jobs have to be COMPLETED}.

    Args:
        given: dict of BEGIN_WORDS: 'existing', a path or several

    Raises:
        QMapError: something in it is wrong
    """
    if given.get('skip') not in (None, 'existing'):
        raise QMapError('skip = {}: must be existing'.format(given['skip']))
    return given.get('skip'), {path: word == 'after' for word in ('after', 'after_any')
                               for path in path_list(word, given.get(word) or ())}


#: What `submit` takes beside parameters.
SUBMIT_KEYWORDS = ('map', 'max_running', 'logs', 'group', 'profile', 'keep', 'pull', 'on_finish', 'params',
                   'canary', 'halt', 'exclude', 'resume', *RETRY_RULES, *BEGIN_WORDS)


def submit(map: 'typing.Union[str, os.PathLike[str], typing.Iterable[str]]',
           max_running: 'typing.Optional[int]' = None,
           logs: 'typing.Union[str, os.PathLike[str], None]' = None, group: 'typing.Optional[int]' = None,
           profile: 'typing.Union[str, os.PathLike[str], None]' = None, keep: 'typing.Optional[str]' = None,
           pull: 'typing.Optional[int]' = None, on_finish: 'typing.Optional[str]' = None,
           params: 'typing.Optional[typing.Mapping[str, typing.Any]]' = None,
           canary: 'typing.Optional[int]' = None, halt: 'typing.Optional[str]' = None,
           exclude: bool = True, resume: 'typing.Union[bool, str]' = False,
           **keywords: 'typing.Any') -> 'Execution':
    """Submit a jobs map file, or a list of commands, and return its Execution, already at work.

    A program that ends before its executions have waits for them.

    Args:
        map: path of the map, or an iterable of commands
        max_running: jobs in the scheduler at once; by default what the profile says, or the machine holds
        logs: path of the logs folder, empty or not there yet; by default MAP_YYYYMMDD, or NAME_YYYYMMDD
        group: commands in a job, by default 1
        profile: name or path; as `qmap submit --profile`
        keep: the files of which jobs stay: 'all', or 'failed'
        pull: workers that take the jobs from a list, on a cluster; 0 for none; by default what the profile
            says, or some where jobs are short
        on_finish: shell command that is run when the execution ends, or its driver does
        params: dict of parameters, as in a map, with those of your own, which are exported to the jobs
        canary: so many jobs come first; where all of them fail, nothing more is submitted
        halt: 'fail=20' or 'fail=5%': after so many failures nothing more is submitted; 'now,fail=20': and
            what was submitted is cancelled; 'never': whatever fails; by default where all of the first 20
            jobs that end fail alike
        exclude: whether nothing more is submitted to a host on which jobs fail that do not elsewhere
        resume: True, or 'strict': go on in the logs folder with an edited map, as `qmap submit --resume`
        keywords: parameters that QMap knows: cores=2, memory='4G', time='1h', retries=2...; how jobs are
            retried: retry_on='exit', grow=2, max_memory='64G', max_time='2d', learn=False; what comes first:
            skip='existing', not to run jobs whose outputs are there, after=LOGS, after_any=[LOGS...]

    Raises:
        QMapError: something in all that is wrong; then no folder was made
    """
    retry = {key: str(keywords.pop(key)) for key in RETRY_RULES if keywords.get(key) is not None}
    begin = read_begin({key: keywords.pop(key) for key in BEGIN_WORDS if key in keywords})
    given = (
        map_text(map), max_running, group,
        None if profile is None else path_text('profile', profile), parameter_texts(params, keywords), keep,
        pull, None if on_finish is None else str(on_finish), canary, halt, exclude, retry, begin)
    if resume:
        return submit_again(logs, resume, *given)
    request = Request(*given)
    execution = Execution(request.create(None if logs is None else path_text('logs', logs)), map=request.map)
    execution.warnings += request.warnings
    wait_at_exit(execution._session)
    return execution.start()


def submit_again(logs, resume, map, max_running, group, profile, params, keep, pull, on_finish, canary, halt,
                 exclude, retry, begin):
    """Go on with another map, as `submit` does with `resume`, and return the Execution.

    Args:
        logs, resume: as for `submit`
        map, max_running, ...: as for `Request`
    """
    given = dict(zip(FIXED, (group, keep, pull, on_finish, canary, halt)), **retry)
    if logs is None or resume not in (True, 'strict'):
        raise QMapError(
            'resume = {!r}: must be True or \'strict\', and logs the logs folder'.format(resume))
    session = Session(path_text('logs', logs))
    request = renewed_request(session, map, max_running, params, profile, given, begin)
    resume_with_map(session, request, resume == 'strict')
    execution = reattach(session.path, max_running)
    execution.warnings += request.warnings
    return execution


def reattach(logs: 'typing.Union[str, os.PathLike[str]]' = '.', max_running: 'typing.Optional[int]' = None,
             force: bool = False, takeover: bool = False) -> 'Execution':
    """Pick up an execution from its logs folder, and return it, already at work: it drives, or views where
    another process drives. A program that ends before that waits for it, if it drives.

    Args:
        logs: path of the folder
        max_running: jobs in the scheduler at once, from now on
        force: go on although some records cannot be read, or the folder is a copy
        takeover: take the place of a driver on another host, also while its beat goes on

    Raises:
        QMapError: there is no execution in the folder
    """
    execution = Execution(path_text('logs', logs), max_running, force, takeover)
    wait_at_exit(execution._session)
    return execution.start()


#: The sessions that programs have begun: weak references, None before the first.
ASKED_FOR = None


def wait_at_exit(session):
    """See to it that a program does not end while it drives an execution."""
    global ASKED_FOR
    if ASKED_FOR is None:
        import atexit
        import weakref
        import concurrent.futures.thread    # noqa: F401: what is registered last is called first
        ASKED_FOR = weakref.WeakSet()
        # From 3.9 on, concurrent.futures starts nothing more by the time that atexit calls.
        getattr(threading, '_register_atexit', atexit.register)(finish_executions)
    ASKED_FOR.add(session)


def finish_executions():
    """Wait for the executions that this process drives, as concurrent.futures waits for its calls."""
    for session in [session for session in ASKED_FOR if session.working()]:
        try:
            if session.viewing:
                session.stop('leave')
            elif session.left() and not session.leaving:
                print_message('{}: waiting for {} before this program exits; Ctrl-C leaves them to `reattach`'
                              .format(session.path, plural(session.left(), 'job')))
            session.wait()
        except KeyboardInterrupt:
            session.stop('leave')
            session.wait(10)
        except (QMapError, OSError) as error:
            print_message('error: {}'.format(error))


def options_to_repeat(
        profile, max_running, group, keep, pull, on_finish, canary, halt, exclude, retry, skip):
    """Return the options that submit a rest of a map in the same way. Arguments as for `Request`."""
    if profile and os.sep in profile:
        profile = absolute_path(profile)
    given = [('-p', profile), ('-r', max_running), ('-g', group), ('--keep', keep),
             ('--pull', None if pull is None else str(pull)), ('--on-finish', on_finish),
             ('--canary', canary), ('--halt', halt), ('--skip', skip)]
    given += [('--' + key.replace('_', '-'), value) for key, value in retry.items() if key != 'learn']
    words = [] if exclude else ['--no-exclude']
    words += ['--no-learn'] if retry.get('learn', '').lower() not in TRUE + ('',) else []
    return [word for option, value in given if value for word in (option, str(value))] + words


class Request:
    """What somebody wants to be submitted: all that is checked before a folder is made.

    Attributes:
        profile: Profile
        map: Map
        given: dict of the parameters for all jobs that do not come from the profile
        params: dict of the parameters for all jobs
        name: prefix of the names of the jobs
        warnings: list of sentences about what looks odd
        repeat: what has to be given again to submit a rest of the map in the same way
        keep, pull, group, max_running, on_finish, retry: as given, else as the profile says, else the
            defaults
        begin: which jobs are not run ('existing', those whose outputs are there; '' for none), and {absolute
            path of a logs folder: whether all of its jobs have to be COMPLETED} of what is waited for
        backend: Backend
    """

    def __init__(self, map, max_running=None, group=None, profile=None, params=None, keep=None, pull=None,
                 on_finish=None, canary=None, halt=None, exclude=True, retry=None, begin=(None, {}),
                 earlier=None):
        """
        Args:
            map: path of the map, '-' for standard input; or an iterable of commands
            max_running, group: whole numbers; None where they are not given
            profile: name or path
            params: dict of texts, from the command line
            keep: the files of which jobs stay: 'all' or 'failed'
            pull: number of workers that take the jobs from a list
            on_finish: shell command that is run at the end; by default the profile's
            canary: how many jobs come first, while the others wait for one that completes
            halt: after which failures it halts, as `parse_halt` has it, or 'never'; by default where all of
                the first that end fail alike
            exclude: whether hosts are left out on which jobs fail
            retry, begin: dict of texts for RetryRules; as `read_begin` returns it
            earlier: dict of texts, the parameters where neither the map nor the command line says anything

        Raises:
            QMapError: something is wrong
        """
        max_running = None if max_running is None else positive_number('max_running', max_running)
        group = None if group is None else positive_number('group', group)
        pull = positive_number('pull', pull) if pull else pull
        self.canary = None if canary is None else positive_number('canary', canary)
        self.halt = self._rule_to_halt(halt)
        self.profile = Profile(profile)
        self.map = self._read_map(map)
        self.warnings = self.profile.warnings + self.map.warnings
        self.repeat = options_to_repeat(
            profile, max_running, group, keep, pull, on_finish, canary, halt, exclude, retry or {}, begin[0])
        self.exclude, self.retry = bool(exclude), self._check_retry(retry or {})
        self.on_finish = self.profile.settings.get('on_finish', '') if on_finish is None else on_finish
        self.keep = self._files_to_keep(keep)
        self.pull = self._workers(pull)
        self.group = group or 1
        self.given = self._given_params(params or {}, earlier or {})
        self.params = self._profile_params()
        self.params.update(self.given)
        check_case(itertools.chain(self.params, self.map.names))
        self.map.check_line_ids()
        self._check_group(group)
        self.begin = self._check_begin(*begin)
        self.backend = load_backend(self.profile.executor, self.profile.settings)
        self._check_extra()
        self._check_requests()
        self.max_running = self._places(max_running)
        self.name = self._check_name() or self._stem

    @property
    def jobs(self):
        """The number of jobs."""
        return -(-len(self.map) // self.group)

    def _read_map(self, map):
        """Read a map. A pipe can be read once only, and is kept until the folder has it."""
        self._spooled = None
        if not isinstance(map, str):
            self._spooled, title = spool_commands(map), 'commands'
        elif map == '-' or is_pipe(map):
            self._spooled, title = spool_pipe(map), 'stdin'
        return Map(self._spooled.name, title=title) if self._spooled else Map(map)

    def _check_name(self):
        """Return the name that is given, '' for none."""
        name = self.params.get('name', '')
        if name.isdigit():
            self.warnings.append('name = {0}: names the jobs; cores per job: -c {0}, jobs at once: -r {0}'
                                 .format(name))
        return name

    @property
    def _stem(self):
        """The name of the map, by which jobs and logs folder are called."""
        return os.path.splitext(os.path.basename(self.map.title))[0]

    @staticmethod
    def _rule_to_halt(halt):
        """Return the rule by which it halts, as execution.info has it: '' for the default."""
        if halt in (None, 'never'):
            return halt or ''
        try:
            parse_halt(str(halt))
        except ValueError as error:
            raise QMapError('halt = {}: {}'.format(halt, error))
        return str(halt).strip()

    def _files_to_keep(self, keep):
        """Return the files of which jobs stay, from what was given or the profile says."""
        chosen = keep or self.profile.settings.get('keep') or 'all'
        if chosen not in ('all', 'failed'):
            raise QMapError('{}keep = {}: must be all or failed'.format(
                '' if keep else 'profile {}: '.format(self.profile.name), chosen))
        return chosen

    def _profile_params(self):
        """Return the parameters that the profile has for all jobs."""
        params = collections.OrderedDict(self.profile.params)
        if 'retries' in self.profile.settings:
            params.setdefault('retries', self.profile.number('retries') or 0)
        return params

    def _check_retry(self, given):
        """Return the texts for RetryRules, from what was given or the profile says."""
        texts = {key: text for key, text in self.profile.settings.items() if key in RETRY_RULES}
        texts.update(given)
        RetryRules(texts)
        return texts

    def _check_begin(self, skip, after):
        """Return what is noted of what comes before the first job; arguments as from `read_begin`."""
        if skip and OUTPUTS not in itertools.chain(self.params, self.map.names):
            self.warnings.append('--skip existing: no command names its outputs (## out=PATH); all run')
        after = {absolute_path(path): wholly for path, wholly in after.items()}
        for path in after:
            ExecutionReader(path)    # or there is none
        return skip or '', after

    def _workers(self, pull):
        """Return how many workers take the jobs from a list, from what was given or the profile says; None
        where that comes of how long jobs take."""
        if self.profile.executor != 'local':
            said = self.profile.number('pull') or 0 if 'pull' in self.profile.settings else None
            return said if pull is None else pull
        if pull:
            raise QMapError('--pull: only for clusters; leave it out, short jobs on this machine share a '
                            'shell anyway')
        if pull is None:
            self.profile.number('pull')    # or it is wrong
        return 0

    def _given_params(self, texts, earlier):
        """Return the parameters of the map with those given: dicts of texts, None for what is left open."""
        given = collections.OrderedDict(self.map.params)
        for key, value in texts.items():
            if value is not None:
                given[key] = parse_parameter(key, value)
                self.warnings += foreign_parameters([key])
        for key, value in earlier.items():
            given.setdefault(key, parse_parameter(key, value))
        folder = given.get('working_directory') or self.profile.params.get('working_directory') or os.curdir
        folder = absolute_path(os.path.expanduser(file_name(folder)))
        if not os.path.isdir(folder):
            raise QMapError('{}: no such working directory'.format(folder))
        given['working_directory'] = decode_name(folder)
        return given

    def _check_group(self, group):
        """Look whether the commands fit to the number of commands in a job: the given one, None for none."""
        most = self.profile.number('max_ungrouped')
        if not group and most and len(self.map) > most:
            raise QMapError('{}: {}; profile {} allows {} without --group; give --group N, the commands per '
                            'job (1 is allowed)'.format(
                                self.map.title, plural(len(self.map), 'command'), self.profile.name, most))
        ignored = sorted(self.map.owns.difference(PATHS)) if self.group > 1 else ()
        if ignored:
            self.warnings.append('{}: parameters of single commands (after ##: {}) are ignored with --group'
                                 .format(self.map.title, ', '.join(ignored)))

    def _check_extra(self):
        """Look whether the scheduler can be given every `extra`."""
        for text, line in self.map.extras().items():
            fault = self.backend.extra_fault({'extra': text})
            if fault:
                raise QMapError('{}, line {}: {}'.format(self.map.title, line, fault))
        for params, source in (self.profile.settings, 'profile {}: '.format(self.profile.name)), (self.params, ''):
            fault = self.backend.extra_fault(params)
            if fault:
                raise QMapError(source + fault)

    def _check_requests(self):
        """Look for what jobs ask for, and do not get."""
        self.warnings += self.backend.request_warnings(self.params) + self.backend.queue_warnings(self.params)
        names, before = {*self.params, *self.map.names}, self.params.get('signal', '').partition('@')[2]
        if 'signal' in names and 'time' not in names:
            self.warnings.append('signal: no signal is sent to jobs without a time limit; give --time')
        elif before and int(before) >= self.params.get('time', int(before) + 1):
            self.warnings.append('signal = {}: sent as soon as a job begins, because its time is {}'.format(
                self.params['signal'], time_text(self.params['time'])))
        for (key, value), line in self.map.own_values().items() if self.group == 1 else ():
            where = '{}, line {}: '.format(self.map.title, line)
            self.warnings += self.backend.request_warnings({key: value}, where)
            if key in QueueRules.DEFAULTS:
                self.warnings += self.backend.queue_warnings(dict(self.params, **{key: value}), where)
            refusal = self.backend.refusal({key: value}) if key == 'gpus' else ''
            if refusal:
                raise QMapError('{}the job {}; request less'.format(where, refusal))

    def _places(self, max_running):
        """Return how many jobs may be in the scheduler at once: as given, as the profile says, or as fit."""
        refusal = self.backend.refusal(self.params)
        if refusal:
            raise QMapError('each job {}; request less (jobs at once: --max-running)'.format(refusal))
        holds = default = self.backend.holds(self.params)
        if self.params.get('cores') == 0:
            default = min(holds, DEFAULT_RUNNING)
        most = max_running or self.profile.number('max_running') or default
        if self.profile.executor == 'local' and most > holds:
            by_cores = self.backend.holds(dict(self.params, cores=0)) > holds
            self.warnings.append('--max-running {1}: this machine has room for {0} at once{2}'.format(
                plural(holds, 'such job'), most, '; if they only wait, give -c 0' if by_cores else ''))
        return most

    def awaited(self):
        """Return {path: whether all jobs there have to be COMPLETED} of the executions to wait for."""
        return {decode_name(path): wholly for path, wholly in self.begin[1].items()}

    def default_folders(self):
        """Yield the logs folders that are taken where none is given, the first that is not there:
        MAP_YYYYMMDD here, then with -2, -3... What is no file is called by the name of its jobs."""
        stem = self.name.replace(os.sep, '_') if self._spooled else self._stem
        base = '{}_{}'.format(stem, time.strftime('%Y%m%d'))
        yield base
        for count in itertools.count(2):
            yield '{}-{}'.format(base, count)

    def create(self, logs=None):
        """Make the logs folder, and return its path.

        Args:
            logs: path; by default one of `default_folders`

        Raises:
            QMapError: it cannot be made, or is not empty
        """
        import shutil
        fault = self.backend.unusable()
        if fault:
            raise QMapError('{}: {}'.format(self.backend.title, fault))
        if logs is None:
            for logs in self.default_folders():
                try:
                    os.mkdir(logs, FOLDER_MODE)
                    break
                except FileExistsError:
                    continue
                except OSError as error:
                    raise QMapError('{}: {}; give another logs folder with --logs'.format(
                        absolute_path(logs), error.strerror))
        there = os.path.isdir(logs)
        folder = Logs(logs)
        folder.create()
        try:
            self._fill(folder)
        except (OSError, QMapError) as error:
            shutil.rmtree(folder.qmap if there else folder.path, ignore_errors=True)
            remove_file(folder.input)
            remove_file(folder.execution)
            if isinstance(error, QMapError):
                raise
            raise QMapError('{}: {}'.format(folder.path, error.strerror))
        return folder.path

    def _fill(self, folder):
        """Write down what is to be done, so that it is still there after a machine has lost its power.

        Args:
            folder: Logs
        """
        # Of the user's map; from here on it is the copy.
        path = '' if self._spooled else absolute_path(self.map.path)
        self.map.copy(folder.input)
        if self._spooled:
            self._spooled.close()
        bring_to_disk(folder.input)
        write_json(folder.execution, collections.OrderedDict([
            ('version', __version__), ('map', path), ('name', self.name),
            ('profile', self.profile.name), ('executor', self.profile.executor),
            ('settings', self.profile.settings), ('editable_params', self.profile.editable),
            ('params', write_parameters(self.params)), ('map_params', write_parameters(self.given)),
            ('max_running', self.max_running), ('group', self.group), ('keep', self.keep),
            ('pull', self.pull), ('on_finish', decode_name(self.on_finish)),
            ('canary', self.canary), ('halt', self.halt), ('exclude', self.exclude), ('retry', self.retry),
            ('outputs', True), ('skip', self.begin[0]),
            ('after', self.awaited()),
            ('repeat', self.repeat), ('jobs', self.jobs),
            ('commands', len(self.map)), ('working_directory', self.params['working_directory']),
            ('logs', decode_name(folder.path)), ('inode', os.stat(folder.qmap).st_ino),
            ('host', os.uname().nodename), ('token', os.urandom(4).hex()),
            ('created', iso_time(time.time())), ('created_seconds', time.time()), ('finished', '')]),
            lasting=True)
        for path in (folder.path, os.path.dirname(folder.path)):
            with contextlib.suppress(OSError):    # not everybody may read it
                bring_to_disk(path)


#: What was given as an execution began, and stays, beside the rules for retries.
FIXED = ('group', 'keep', 'pull', 'on_finish', 'canary', 'halt')


def renewed_request(reader, map, max_running=None, params=None, profile=None, given=None, begin=(None, {})):
    """Return the Request by which an execution goes on with another map.

    Args:
        reader: ExecutionReader
        map, max_running, params, begin: as for `Request`
        profile: its name or path, None for that of the execution
        given: dict of what else was given, by the names in FIXED and RETRY_RULES; None for what was not

    Raises:
        QMapError: something is wrong, or cannot be changed any more
    """
    plan = reader.plan
    info, before = plan.info, plan.map.params
    fixed = dict(info.get('retry') or {}, **{key: info.get(key) for key in FIXED})
    for key, value in (given or {}).items():
        if value is not None and value != fixed.get(key):
            raise QMapError(
                '--{} {}: was {} when the execution began, and stays; leave it out with --resume'.format(
                    key.replace('_', '-'), value, fixed.get(key)))
    own = info['repeat'][info['repeat'].index('-p') + 1] if '-p' in info['repeat'] else info['profile']
    former = reader.ledger.map.get('params') or info['params']
    earlier = {key: text for key, text in former.items()
               if key not in before or write_parameter(key, before[key]) != text}
    request = Request(map, max_running, plan.group, profile or own, params, info.get('keep'), begin=begin,
                      earlier=earlier)
    if plan.logs.path in request.begin[1]:
        raise QMapError('--after {}: is this execution itself; name another'.format(
            shown_path(plan.logs.path)))
    if request.profile.executor != info['executor']:
        raise QMapError(
            'profile {}: submits to {}, but this execution uses {}; leave -p out with --resume'.format(
                request.profile.name, request.profile.executor, info['executor']))
    return request


def order_to_add(plan, request, strict=False, go=False):
    """Return the order to go on with another map, a dict, and keep the map for whoever obeys it.

    Args:
        plan: Plan of the execution
        request: Request
        strict: whether jobs run again of which something else has changed than the command
        go: whether to submit again where that was paused

    Raises:
        QMapError: the map cannot be kept
    """
    try:
        name = plan.stage_map(request.map)
    except OSError as error:
        raise QMapError('{}: not writable ({}); only users with write permission can control its jobs'.format(
            shown_path(plan.logs.path), error.strerror))
    skip, after = request.begin
    begin = dict({'skip': skip} if skip else {}, **{'after': request.awaited()} if after else {})
    return {'do': Add.name, 'by': whoami(), 'map': name, 'params': write_parameters(request.params),
            'strict': strict, 'go': go, 'begin': begin}


def resume_with_map(reader, request, strict, tell=None):
    """Have an execution go on with another map, by whoever drives it or by this process.

    Returns:
        what was said of it

    Args:
        reader: Session that does not work yet
        request: Request
        strict: whether jobs run again of which something else has changed than the command
        tell: function of the Renewal, before anything is done, which tells whether to do it; None for nobody

    Raises:
        QMapError: it cannot be done
    """
    order = order_to_add(reader.plan, request, strict, True)
    staged = os.path.join(reader.logs.inbox, order['map'])
    try:
        renewal = Renewal(reader.plan, reader.ledger, request.map, order['params'], strict)
        renewal.refuse_strange()
        if tell and not tell(renewal):
            return ''
        reply = send_order(reader.logs, order, reader)
        reader.leaving = ''
        reader.news.clear()    # that was said
        return reply
    finally:
        remove_file(staged)


##############################################################################################################
# Questions: info
##############################################################################################################

def check_fields(paths, names):
    """Look whether jobs have these fields.

    Args:
        paths: list of dotted paths; the bare name of a parameter of the jobs' own is replaced by its path
        names: of the parameters of the jobs

    Raises:
        QMapError: no job has one of them; it names the one that is meant
    """
    for place, path in enumerate(paths):
        if path in names and path not in FIELDS:
            path = paths[place] = 'params.' + path
        kind, _, key = path.partition('.')
        known = {'params': [*names, *PARAMETERS], 'seconds': ['submitted', 'started', 'finished']}
        if path in FIELDS or key in known.get(kind, ()):
            continue
        if kind == 'params':
            hint = did_you_mean(key, [*names, *PARAMETERS], 'params.') or \
                '; parameters: ' + (', '.join(names) or 'none')
        else:
            hint = '; to choose jobs: --ids ' + path if re.match(r'\d[\d,-]*\Z', path) else \
                did_you_mean(path, FIELDS, '', 'field') or did_you_mean(path, names, 'params.') or \
                '; list of fields: {} help fields'.format(qmap_command())
        raise QMapError('unknown field {}{}'.format(path, hint))


def field_value(info, path):
    """Return a field of a job's metadata by its dotted path, None where there is none."""
    for part in path.split('.') if '.' in path else (path,):
        if not isinstance(info, dict) or part not in info:
            return None
        info = info[part]
    return info


def field_text(value):
    """Return a field as text on one line, without tabs."""
    if value is None:
        return ''
    if type(value) is int:
        return str(value)
    text = value if isinstance(value, str) else ENCODER.encode(value)
    if '\t' in text or '\n' in text or '\r' in text:
        return text.replace('\\', '\\\\').replace('\t', '\\t').replace('\n', '\\n').replace('\r', '\\r')
    return text


def cell_text(info, path):
    """Return a field of a job's metadata as text for a table: of an unknown peak the upper bound."""
    value = field_value(info, path)
    if value is None and path == 'usage.memory.peak':
        return peak_text({'memory_below': field_value(info, 'usage.memory.below')})
    return field_text(value)


def made_by_04(path):
    """Tell whether a folder is a logs folder of qmap 0.4.

    Raises:
        QMapError: it cannot be read
    """
    try:
        return is_there(os.path.join(path, 'qmap_input')) and not is_there(os.path.join(path, '.qmap'))
    except OSError as error:
        raise unreadable_error(error, path)


def open_folder(path):
    """Return what answers questions about a logs folder: an ExecutionReader, or a Folder04.

    Raises:
        QMapError: it holds none, or one of qmap 0.4 while its tool is not there
    """
    if made_by_04(path):
        return load_tool('folder04', '{}: made by qmap 0.4'.format(path)).Folder04(path)
    return ExecutionReader(path)


#: The first line of the maps that `info` makes, with the CRC-32 of all others in hexadecimal. So it may
#: overwrite them, but for those that were edited since.
INFO_MAP = '# made by qmap info, checksum {:08x}'


def info_map(lines):
    """Return the first line of a map that `info` makes.

    Args:
        lines: iterable of the others, as bytes
    """
    import zlib
    check = 0
    for line in lines:
        check = zlib.crc32(line, check)
    return INFO_MAP.format(check)


def is_info_map(path):
    """Tell whether a file is a map as `info` has made it."""
    with open(path, 'rb') as lines:
        first = lines.readline()
        is_alike = first.startswith(encode(INFO_MAP.partition('{')[0]))
        return is_alike and first == encode(info_map(lines) + '\n')


def left_map(plan, jobs, params, more=None):
    """Yield the lines of the map with the commands of these jobs that did not end well.

    Args:
        plan: Plan, or Folder04
        jobs: iterable of metadata
        params: dict of parameters, for its [params]
        more: as `own` in `Map.text`
    """
    indices = []
    for info in jobs:
        own = plan.commands(int(info['id']) // plan.group)
        done = field_value(info, 'commands.done') if info['status'] == FAILED else 0
        indices.extend(own[done or 0:])
    return plan.map.text(indices, params, more)


##############################################################################################################
# Views
##############################################################################################################

class View:
    """What shows an execution to somebody, while `follow` lets it work: the interface, and what most do.

    All is called by one thread. Nothing that a view does, or cannot do any more, may harm the execution.

    Attributes:
        session: Session
    """

    def __init__(self, session):
        self.session = session

    def update(self, last=False):
        """Show what has changed, if it is time to. Called some times a second.

        Args:
            last: whether this is the last look, behind `close`
        """
        raise NotImplementedError

    def say(self, text):
        """Show a sentence at once."""
        raise NotImplementedError

    def note(self, text):
        """Show what was done on demand, or went wrong on the way."""
        self.say(text)

    def wait(self, seconds):
        """Wait for the end, for a moment; whoever is at the keys may shorten it.

        Raises:
            QMapError: the execution cannot go on
        """
        self.session.wait(seconds)

    def holds(self):
        """Tell whether it shall stay although all is over."""
        return False

    def can_ask(self):
        """Tell whether somebody sees it, and can say what comes next."""
        return False

    def close(self):
        """Give back what it took, before the last lines."""

    def finish(self, summary):
        """Show how it ended, as the last thing.

        Args:
            summary: Summary
        """
        raise NotImplementedError


def requests_text(event):
    """Return what a retry requests, ' with memory = 8G', '' for nothing else."""
    changes = changes_text(sound_record(event).get('retry', {}))
    return ' with ' + changes if changes else ''


class FailureNotices:
    """What a plain view says of failures: so many in a while as one can read, and how many more there were.

    It is told of them by the thread that works: the deque is bounded, whatever the terminal does.
    """

    #: So many failures are told of, each on a line, in a while.
    SHOWN = 10

    def __init__(self, seconds):
        """
        Args:
            seconds: how long a while is
        """
        self._seconds = seconds
        self._since = self._shown = 0    # of this while: when it began, and how many were shown
        self._failed = collections.deque(maxlen=100)
        self._counted, self._told = collections.Counter(), collections.Counter()

    def note(self, event):
        """Note an event of the journal, if it is a failure."""
        if is_failure(event):
            self._failed.append(event)
            self._counted[self._kind(event)] += 1

    @staticmethod
    def _kind(event):
        if runs_again(event):
            return 'retried' if 'retry' in event else 'interrupted'
        return 'cancelled' if event.get('error_reason') == 'cancelled' else 'failed'

    def lines(self, now, last, named):
        """Yield the lines that are due.

        Args:
            now: on the monotonic clock
            last: whether nothing more will come
            named: function that returns how people call a job, by its id
        """
        if now - self._since >= self._seconds or last:
            if self._shown >= self.SHOWN and self._counted != self._told:
                counted = self._counted.copy()
                more = counted - self._told
                self._told = counted
                self._failed.clear()
                yield 'and ' + ', '.join('{:,} more {}'.format(number, kind)
                                         for kind, number in sorted(more.items(), reverse=True))
            self._since, self._shown = now, 0
        while self._failed and self._shown < self.SHOWN:
            event = self._failed.popleft()
            self._shown += 1
            kind, text = self._kind(event), failure_text(event)
            self._told[kind] += 1
            text = {'cancelled': text,    # it begins with that word
                    'interrupted': text + '; runs again',
                    'retried': text + '; retried' + requests_text(event)}.get(kind, 'failed: ' + text)
            yield '{} {}'.format(named(event['job']), text)


class Standstill:
    """What keeps jobs from going on, as a plain view says it: why they wait, and how many are suspended.

    Attributes:
        reason: why jobs wait, '' where some run, or nobody knows
        suspended: how many jobs are
        changes: counts up with each reason that is new since the numbers of jobs have changed: queues say one
            thing and another in turn, of which a log should not be full
    """

    #: Seconds between two looks at all jobs.
    LOOK = 5

    def __init__(self, session):
        """
        Args:
            session: Session
        """
        self._session = session
        self.reason, self.suspended, self.changes = '', 0, 0
        self._due, self._counts, self._told = 0, None, set()

    def look(self, counts, now):
        """Look at the jobs, if their numbers have changed, or it is time to.

        Args:
            counts: {status: number of jobs}
            now: on the monotonic clock
        """
        if counts == self._counts and now < self._due:
            return
        if counts != self._counts:
            self._told.clear()
        self._due, self._counts = now + self.LOOK, dict(counts)
        self.suspended = self._session.suspended() if counts[RUNNING] else 0
        stands = counts[PENDING] and counts[RUNNING] == self.suspended
        self.reason = self._session.pending_reason() if stands else ''
        kind = re.split('[,:(]', self.reason)[0]
        if kind and kind not in self._told:
            self._told.add(kind)
            self.changes += 1


class PlainView(View):
    """The plain view: on a terminal a line that redraws, elsewhere a line when something has changed."""

    #: Seconds between two looks on a terminal, and between two lines elsewhere.
    REDRAW = 0.5
    LINE = 5

    #: Seconds that are looked back on to say how fast it goes.
    WINDOW = 120

    def __init__(self, session, stream, quiet=False, bell=False):
        """
        Args:
            session: Session
            stream: text file to write to
            quiet: whether to say nothing but what failed, at the end
            bell: whether to ring the terminal at the end
        """
        super().__init__(session)
        self._stream = stream
        self._terminal = stream.isatty()
        plain = os.environ.get('NO_COLOR') or os.environ.get('TERM', 'dumb') == 'dumb'
        self._colours = self._terminal and not plain
        self._quiet, self._bell = quiet, bell
        self._failures = FailureNotices(1 if self._terminal else self.LINE)
        if not quiet:
            session.on_event = self._failures.note
        self._drawn = 0
        self._next = 0
        self._last = None
        self._points = collections.deque(maxlen=240)
        self._standstill = Standstill(session)
        self._asked_for = ''    # for which halt it was asked what comes next

    def can_ask(self):
        """See View."""
        on_terminal = self._terminal and not self._quiet and sys.stdin and sys.stdin.isatty()
        return bool(on_terminal) and in_foreground(self._stream)

    def wait(self, seconds):
        """See View; where it halted by itself, a word is read that says what comes next."""
        import select
        session = self.session
        if not (session.waits_for_word() and self.can_ask()):
            return super().wait(seconds)
        if self._asked_for != session.halt_reason:
            self._asked_for = session.halt_reason
            self.say('To submit the others all the same, type r and Enter; to quit, q and Enter.')
        if select.select([sys.stdin], [], [], seconds)[0]:
            word = os.read(sys.stdin.fileno(), 1000)
            if word.strip().lower() in (b'r', b'resume', b'y', b'yes'):
                session.order('resume', do='resume')
            elif not word or word.strip().lower() in (b'q', b'quit', b'n', b'no'):
                session.stop('leave')

    def say(self, text):
        """Print a line of its own."""
        self._write('{}{}\n'.format(self._clear(), self._painted(printable_text(text))))

    def note(self, text):
        """Print what was done on demand, or went wrong on the way."""
        if not self._quiet or text.startswith('warning: '):
            self.say(text)

    def _painted(self, text):
        return COLOURED.sub(paint_match, text) if self._colours else text

    def _stamped(self, text):
        self.say(text if self._terminal else '{}  {}'.format(time.strftime('%H:%M:%S'), text))

    def _clear(self):
        width, self._drawn = self._drawn, 0
        return '\r{}\r'.format(' ' * width) if width else ''

    def _write(self, text):
        try:
            self._stream.flush()
            if hasattr(self._stream, 'buffer'):
                self._stream.buffer.write(readable_bytes(text))    # whatever the locale: a path can be pasted
            else:
                self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError) as error:
            if getattr(error, 'errno', None) not in NO_ROOM:    # which may have room again later
                self._stream = open(os.devnull, 'w')    # the terminal is gone; the jobs are not

    def update(self, last=False):
        """Show how far it is, if it is time to.

        Args:
            last: whether this is the last look
        """
        import shutil
        now = time.monotonic()
        hidden = self._terminal and not in_foreground(self._stream)
        if self._quiet or hidden:
            return
        for line in self._failures.lines(now, last, self.session.plan.named):
            self._stamped(line)
        if now < self._next and not last:
            return
        counts = self.session.counts()
        trouble = self.session.trouble
        standstill = self._standstill
        standstill.look(counts, now)
        state = (tuple(counts.values()), trouble, self.session.viewing, standstill.suspended,
                 standstill.changes)
        if self._terminal:
            self._next = now + self.REDRAW
            line = printable_text(self._line(counts, trouble, now))
            width = max(20, shutil.get_terminal_size().columns - 1)
            line = line[:width]
            self._write('\r{}{}'.format(self._painted(line), ' ' * (self._drawn - len(line))))
            self._drawn = len(line)
            if last:
                self._write(self._clear())
        elif state != self._last:
            self._next = now + self.LINE
            self._stamped(self._line(counts, trouble, now))
        self._last = state

    def finish(self, summary):
        """Print the last lines.

        Args:
            summary: Summary
        """
        if not self._quiet or summary.status:
            for line in summary.lines():
                self.say(line)
        if self._bell and self._terminal:
            self._write('\a')

    def _line(self, counts, trouble, now):
        """Return the line that says how far it is."""
        import shutil
        session, total = self.session, sum(counts.values())
        ended = counts[COMPLETED] + counts[FAILED]
        shown = counts_for_people(counts, session.failures.cancelled)
        parts = ['{:,}/{:,}'.format(ended, total)]
        suspended = self._standstill.suspended
        more = {'running': ' ({:,} suspended)'.format(suspended)} if suspended else {}
        parts += ['{:,} {}{}'.format(number, word, more.get(word, '')) for word, number in shown.items()
                  if word not in ('unsubmitted', 'completed')]
        runs = counts[RUNNING] > suspended
        parts += self._pace(now, ended - shown.get('cancelled', 0), total - ended if runs else 0)
        retries = session.retry_counts().parts()
        parts += ['retries: ' + '; '.join(retries)] if retries else []
        if session.viewing and total > ended:
            parts.append('viewing; ' + self._driver_text())
        load = session.load
        if load:
            parts.append('cluster: {nodes} nodes, {used:.0f} % in use, {mine:.0f} % yours'.format(**load))
        if self._standstill.reason:
            parts.append('waiting: ' + self._standstill.reason)
        if counts[UNSUBMITTED]:
            parts += ['paused'] * session.halted + ['waiting for other executions'] * bool(session.awaited)
        if trouble:
            parts.append('! ' + trouble)
        if not self._terminal:
            return ', '.join(parts)
        line = '  '.join(parts)
        if shutil.get_terminal_size().columns <= 60:
            return line
        return progress_bar(total, ended, shown.get('failed', 0), shown.get('cancelled', 0)) + ' ' + line

    def _pace(self, now, run, left):
        """Return how fast it goes, and how long it takes, as far as that can be said.

        Args:
            now: on the monotonic clock
            run: how many jobs have run to their end
            left: how many are left, 0 where nobody can say how long they take
        """
        points = self._points
        points.append((now, run))
        while now - points[0][0] > self.WINDOW and len(points) > 2:
            points.popleft()
        seconds, more = now - points[0][0], points[-1][1] - points[0][1]
        if more <= 0 or seconds <= 0.5:
            return []
        eta = ['ETA {}'.format(time_text(left * seconds / more))] if left else []
        return ['{:.1f} jobs/s'.format(more / seconds)] + eta

    def _driver_text(self):
        driver = self.session.driver()
        return 'driver: pid {pid} on {host}'.format(**driver) if driver else 'no driver is running'


def progress_bar(total, ended, failed, cancelled):
    """Return a bar of 20 characters in brackets: '[####x-....]', for numbers of jobs."""
    done = 20 * ended // total
    failed, cancelled = (max(20 * number // total, 1 if number else 0) for number in (failed, cancelled))
    return '[{:.<20}]'.format(('#' * (done - failed - cancelled) + 'x' * failed + '-' * cancelled)[:20])


#: What has a colour on a terminal, and which (ECMA-48, SGR).
COLOURS = {'completed': '32', 'failed': '31', 'cancelled': '2', 'running': '36', 'pending': '33',
           'other': '35'}
#: The same, of the letters of the bar.
BAR = {'#': 'completed', 'x': 'failed', '-': 'cancelled'}
COLOURED = re.compile(r'\[[#x.-]{20}\]|[\d,]+ (' + '|'.join(COLOURS) + r')\b|! .*')


def paint_match(match):
    """Return what COLOURED has found with its colour: the bar, a number of jobs, a trouble."""
    text = match.group()
    if text.startswith('['):
        return re.sub('#+|x+|-+', lambda part: '\x1b[{}m{}\x1b[0m'.format(
            COLOURS[BAR[part.group()[0]]], part.group()), text)
    return '\x1b[{}m{}\x1b[0m'.format('1;31' if text.startswith('!') else COLOURS[match.group(1)], text)


def in_foreground(stream):
    """Tell whether a terminal is ours to draw on: not while this process is in the background."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return True    # no controlling terminal


##############################################################################################################
# run: one command, now
##############################################################################################################

def start_command(command, params, devices=()):
    """Start a shell command with the streams of this process and these GPUs, and return the Popen.

    Raises:
        OSError: it cannot be started
    """
    import shutil
    import subprocess
    return subprocess.Popen([shutil.which('bash') or '/bin/bash', '-c', '--', command],
                            env=dict(outer_environment(), **exported_variables(params),
                                     **device_variables(devices)),
                            cwd=params.get('working_directory'))


def await_end(running):
    """Wait for a child, and for what of it was told to end; return its wait status and its struct_rusage."""
    # Until it is waited for, its number is no other's.
    os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
    while running.ending():    # the guard kills what does not end
        time.sleep(0.1)
    return os.wait4(running.pid, 0)[1:]


def report_use(running, used):
    """Say what a command used that has ended, given its struct_rusage."""
    print_message('elapsed {}, cpu {:.1f} s, peak memory {}'.format(
        time_text(time.monotonic() - running.since), used.ru_utime + used.ru_stime,
        peak_text(running.most_memory(used)) or 'unknown'))


class ForwardedSignals:
    """While a command runs: signals that come to this process alone are passed on to it."""

    def __init__(self, running):
        """
        Args:
            running: Running, of the command
        """
        self._running, self._early, self._before = running, [], {}

    def __enter__(self):
        self._before = {number: signal.signal(number, self._forward)
                        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _forward(self, number, frame):
        if number == signal.SIGINT and on_terminal():
            return    # the terminal sends it to the command, too
        if self._running.pid is None:
            self._early.append(number)
        else:
            send(self._running.pids(Processes()), number)

    def pass_early(self):
        """Pass on those that came before the command had begun."""
        for number in self._early:
            self._forward(number, None)


def run_here(command, params, quiet=False):
    """Run a shell command on this machine, with its limits, as if it had been typed here.

    Args:
        command: text, given to bash as it is
        params: dict of parameters
        quiet: whether not to say what it used

    Returns:
        its exit status, 128 + n where signal n ended it

    Raises:
        QMapError: this machine does not hold it
    """
    room = Room()
    message = room.refusal(params)
    if message:
        raise QMapError('the command ' + message)
    running = Running(None, params, runner=False)
    try:
        with ForwardedSignals(running) as signals:
            if 'memory' in params or 'time' in params:
                threading.Thread(target=watch_limits, args=(running,), daemon=True).start()
            child = start_command(command, params, room.take(params))
            running.pid, running.memory.floor = child.pid, own_peak()
            signals.pass_early()
            status, used = await_end(running)
            child.returncode = 0    # it was waited for by its pid
    except OSError as error:
        raise QMapError('{}: {}'.format(error.filename or 'bash', error.strerror))
    except RuntimeError:
        raise QMapError('cannot start a thread to watch the limits; end other programs, or raise ulimit -u')
    if running.killed:
        print_message('killed: {}'.format(running.verdict['words']))
    if not quiet:
        report_use(running, used)
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def watch_limits(running):
    """Watch over something that runs, for as long as this process does."""
    while True:
        time.sleep(0.25)
        if running.pid:
            running.watch(Processes(), time.monotonic())


def run_there(backend, command, params, quiet=False):
    """Run a shell command through the scheduler, in this folder and environment.

    Args:
        backend: Backend
        command, params, quiet: as in `run_here`

    Returns:
        its exit status

    Raises:
        QMapError: the scheduler's command is not here
    """
    import subprocess
    # The scheduler's command hears it, and ends the job.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    since = time.monotonic()
    try:
        argv = backend.interactive(dict(backend.requested(params), quiet=quiet), command)
        child = subprocess.Popen(argv, env=dict(clean_environment(), **exported_variables(params)),
                                 preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, frame: child.send_signal(number))
        status = child.wait()
    except (OSError, ValueError) as error:
        raise QMapError('{}: {}'.format(backend.title, error))
    finally:
        signal.signal(signal.SIGINT, before)
    if not quiet:
        print_message('elapsed {}, queue wait included'.format(time_text(time.monotonic() - since)))
    return 128 - status if status < 0 else status


def on_terminal():
    """Tell whether this process is in the foreground of a terminal, which then signals its whole group."""
    try:
        with open('/dev/tty') as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


##############################################################################################################
# The command line
##############################################################################################################

def tool_template(options):
    """Run `qmap template`."""
    given = ((key, getattr(options, key)) for key in ('cores', 'memory', 'time'))
    params = collections.OrderedDict((key, parse_parameter(key, text))
                                     for key, text in given if text is not None)
    output = None if options.output == '-' else options.output
    overwrite_nothing(output, options.force)
    table = table_option(options)
    lines = template_lines(
        options.command, params, options.base, options.conda_env, options.module, table=table,
        link=options.link, most=None if options.force or options.sample else MANY)
    if options.sample:
        lines = sample_lines(lines, options.sample)
    if output is None or special_file(output):
        write_output(output, spooled_lines(lines))
    else:
        with made_folder(output):
            write_output(output, lines)
    requests = table.requests() if table else []
    if requests:
        print_message("columns that QMap takes as the jobs' own parameters: {} (to avoid it: "
                      '--no-params)'.format(', '.join(requests)))
    return 0


def table_option(options):
    """Return the Table that is given to `qmap template`, None where there is none."""
    if options.table is None:
        for name in ('where', 'no_params'):
            if getattr(options, name):
                raise QMapError('--{}: needs a table; add --table FILE'.format(name.replace('_', '-')))
        return None
    if options.command is None:
        raise QMapError('--table: needs a command, such as \'echo {{?COLUMN}}\'')
    return Table(options.table, options.where or (), not options.no_params)


def sample_lines(lines, count):
    """Yield the lines of a map as far as its first commands, so many of them."""
    for line in lines:
        yield line
        if line == '[jobs]':
            yield from itertools.islice(lines, count)
            return


def spooled_lines(lines):
    """Yield lines once the last one is known: where one of them cannot be made, there are none."""
    import tempfile
    try:
        with tempfile.SpooledTemporaryFile(1 << 20) as file:
            for line in lines:
                file.write(encode(line) + b'\n')
            file.seek(0)
            for line in file:
                yield decode(line[:-1])
    except OSError as error:
        raise QMapError('{}: {}'.format(tempfile.gettempdir(), error.strerror))


@contextlib.contextmanager
def made_folder(path):
    """Make the folder of a file, and take it away again where the file cannot be made.

    Raises:
        QMapError: it cannot be made
    """
    folder, made = os.path.dirname(path), []
    while folder and not os.path.exists(folder):
        made.append(folder)
        folder = os.path.dirname(folder)
    try:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    except OSError as error:
        raise QMapError('{}: {}'.format(path, error.strerror))
    try:
        yield
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        raise


#: What stands behind -l in Grid Engine and PBS.
RESOURCE = re.compile('(?:[hs]_(?:vmem|rt|cpu)|mem_free|virtual_free|p?v?mem|walltime|nodes|ncpus|select|'
                      'n?gpus?)=')


def tool_submit(options):
    """Run `qmap submit`."""
    if options.progress:
        load_tool('progress', '--progress')    # before a folder is made
    if options.logs and RESOURCE.match(options.logs) and not os.path.exists(options.logs):
        raise QMapError('-l {}: -l is the logs folder; memory per job: -m SIZE, wall time: -t TIME, '
                        'cores: -c N'.format(options.logs))
    if options.resume:
        return submit_rest(options)
    request = read_request(options)
    print_warnings(request.warnings)
    if options.leave:
        check_leave(request, options)
    if options.dry_run:
        return dry_run(request, options)
    path = request.create(options.logs)
    silent = options.quiet or options.progress
    note_lone_file(request.profile.executor, options.quiet)
    notices = tell_of_others(request, os.path.dirname(path), path, silent)
    notices += likely_slips(request, options)
    if silent:
        print_warnings(notices)
    else:
        print_notice(request.profile.sentence())
        for sentence in notices:
            print_notice(sentence)
        print_notice('{}, {}, logs folder {}'.format(
            jobs_text(request), at_once(request, options.leave), shown_path(path)))
    if options.detach:
        return detach_driver(path, options)
    session = Session(path, map=request.map)
    if sys.stdout.isatty() and not options.no_console:    # the console hides what was said until now
        session.news.extend(notices + ['warning: ' + sentence for sentence in request.warnings])
    if options.leave:
        session.stop('hand over')
    return follow_session(session, options)


def submit_rest(options):
    """Run `qmap submit MAP -l LOGS --resume`."""
    if not options.logs:
        raise QMapError('--resume: give the logs folder of the execution with -l DIR')
    if made_by_04(options.logs):
        raise QMapError('{}: made by qmap 0.4, without a journal; submit without --resume'.format(
            options.logs))
    session = Session(options.logs, options.max_running)
    print_warnings(session.warnings)
    request = read_request(options, session)
    print_warnings(request.warnings)
    if options.leave:
        check_leave(request, options)

    told = []

    def tell(renewal):
        """Say what is about to be done, and return whether to do it."""
        notes = renewal.notes()
        told.append(renewal.sentence())
        lines = told + notes
        if notes and renewal.counts['done'] and options.resume != 'strict':
            lines[-1] += '; completed jobs stay (--resume=strict runs them again)'
        if not (options.quiet or options.progress):
            for line in lines:
                print_notice(line)
        return not options.dry_run

    reply = resume_with_map(session, request, options.resume == 'strict', tell)
    if not reply:
        print_notice('dry run: nothing was changed')
        return 0
    if reply not in told and not (options.quiet or options.progress):    # jobs have ended meanwhile
        print_notice(reply)
    note_lone_file(request.profile.executor, options.quiet)
    if options.detach:
        return detach_driver(session.path, options)
    if options.leave:
        session.stop('hand over')
    return follow_session(session, options)


def read_request(options, resumed=None):
    """Return the Request that the options of `qmap submit` stand for.

    Args:
        options: of the command line
        resumed: Session that is to go on with it; None for none
    """
    keys = ('cores', 'memory', 'time', 'signal', 'again', 'working_directory', 'name', 'retries')
    params = {key: decode_name(getattr(options, key)) for key in keys if getattr(options, key) is not None}
    params.update(split_settings(options.set, params))
    retry = {key: getattr(options, key) for key in RETRY_RULES if getattr(options, key) is not None}
    begin = begin_option(options)
    if resumed:
        given = {key: getattr(options, key) for key in FIXED}
        request = renewed_request(
            resumed, options.map, options.max_running, params, options.profile, dict(given, **retry), begin)
    else:
        request = Request(
            options.map, options.max_running, options.group, options.profile, params, options.keep,
            options.pull, options.on_finish, options.canary, options.halt, options.exclude, retry, begin)
    if options.map == '-':
        read_keys()
    return request


def begin_option(options):
    """Return what comes before the first job, as `read_begin` does. The value of `--after` names several
    folders with commas, unless it is one."""
    given = {word: [path for text in getattr(options, word) or ()
                    for path in ([text] if os.path.isdir(text) else filter(None, text.split(',')))]
             for word in ('after', 'after_any')}
    return read_begin(dict(given, skip=options.skip))


def read_keys():
    """Have standard input, which was read to its end, be the terminal where there is one: for the console."""
    if sys.stdout.isatty() and not sys.stdin.isatty():
        with contextlib.suppress(OSError), open('/dev/tty', 'rb') as terminal:
            os.dup2(terminal.fileno(), 0)


def check_leave(request, options):
    """Look whether all jobs can be submitted at once.

    Raises:
        QMapError: something else that was asked for forbids that
    """
    if options.detach:
        raise QMapError('--leave and --detach: give only one of them')
    needs_driver = {'--canary': request.canary, '--halt': request.halt.replace('never', '')}
    for option, value in needs_driver.items():
        if value:
            raise QMapError('--leave and {}: give only one of them; {} needs a driver that stays'.format(
                option, option))
    if request.profile.executor == 'local':
        raise QMapError('--leave: needs a scheduler; to continue in the background, give --detach')


#: What a pipe is not: text in quotes, what a backslash makes harmless, `||`, and `>|`.
NO_PIPE = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|\|\||>\|""")
#: Commands of a map that are looked at for pipes.
LOOKED_AT = 100


def likely_slips(request, options):
    """Return a list of sentences about what was asked for, and may not be what is meant."""
    found = [other.hindrance() for other in map(Awaited, request.begin[1], request.begin[1].values())]
    found = list(filter(None, found))
    if (options.time or '').isdigit() and int(options.time) >= 24:    # as minutes are given to sbatch
        found.append('-t {0}: {1} for each job (a plain number is hours; minutes: -t {0}m)'.format(
            options.time, time_text(request.params['time'])))
    commands = [request.map.command(index)[0] for index in range(min(LOOKED_AT, len(request.map)))]
    if not any('pipefail' in text for text in commands + request.map.sections['pre']) and any(
            '|' in NO_PIPE.sub('', command) for command in commands):
        found.append('pipes without pipefail: only the last command of a pipe can make its job fail; '
                     'for all of them, set -o pipefail in [pre]')
    return found


def tell_of_others(request, folder, new=None, silent=False):
    """Return sentences about the executions in a folder of which one should know who submits another.

    Args:
        request: Request
        folder: path of the folder in which the logs folders lie
        new: path of the logs folder that was just made
        silent: whether to tell only of one of the same map that has not finished
    """
    executions, local = load_tool('executions'), request.profile.executor == 'local'
    return executions.beside(request.map.path, folder, new, local, silent) if executions else []


def python_words():
    """Return the words that start this Python in the way in which it was started itself."""
    flags = sys.flags
    options = (('-I', flags.isolated), ('-E', flags.ignore_environment), ('-S', flags.no_site))
    return [sys.executable] + [option for option, given in options if given]


def detach_driver(path, options, *more):
    """Start a driver of an execution in the background, in a session of its own; return the exit status.

    Args:
        path: of the logs folder
        options: of the command line: whether to be quiet, or to speak JSON
        more: options of `reattach`
    """
    import subprocess
    logs = Logs(path)
    messages = logs.messages
    try:
        with open_to_append(messages) as log:
            child = subprocess.Popen(
                python_words() + [FILE, 'reattach', '--no-console', '-l', logs.path, *more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=outer_environment())
    except OSError as error:
        raise QMapError('{}: {}'.format(error.filename or messages, error.strerror))
    end = time.monotonic() + 10    # it may find that another one drives, and look on
    while child.poll() is None and time.monotonic() < end and logs.driver_now().get('pid') != child.pid:
        time.sleep(0.05)
    if child.poll() == 2:
        raise QMapError(last_line(read_tail(messages)).replace('qmap: error: ', ''))
    child.returncode = child.returncode or 0    # it is not waited for
    if options.progress:
        print_notice(strict_json(load_tool('progress', '--progress').line(
            'detached', pid=child.pid, host=os.uname().nodename, logs=logs.path, messages=messages).strip()))
    if options.quiet or options.progress:
        return 0
    where = quote_shown(shown_path(logs.path))
    print_notice('continues in the background (pid {} on {}), messages in {}'.format(
        child.pid, os.uname().nodename, shown_path(messages)))
    print_notice('view: {} reattach -l {}'.format(qmap_command(), where))
    print_notice('stop: {} control -l {} stop'.format(qmap_command(), where))
    return 0


def jobs_text(request):
    """Return '12 jobs', or '3 jobs of up to 4 commands (12 in all)'."""
    if request.group == 1:
        return plural(request.jobs, 'job')
    return '{} of up to {} ({} in all)'.format(plural(request.jobs, 'job'), plural(request.group, 'command'),
                                               len(request.map))


def at_once(request, leave):
    """Return how many jobs will run at once, or which workers take them."""
    if request.pull:
        return plural(min(request.pull, request.max_running, request.jobs), 'worker')
    return 'max running {}'.format('unlimited' if leave else request.max_running)


def dry_run(request, options):
    """Print what `submit` would do; leave nothing behind."""
    logs = options.logs
    folder = Logs(logs or next(path for path in request.default_folders() if not os.path.lexists(path)))
    if logs and os.path.isdir(logs) and os.listdir(logs):
        raise QMapError(folder.taken())
    indices = range(min(request.group, len(request.map)))
    width = len(str(len(request.map) - 1))
    id = '0' * width
    params = plain_values(dict(request.params, **(request.map.command(0)[1] if request.group == 1 else {})))
    path = folder.job(id, '.sh', len(request.map))
    script = ''.join(job_script(id, 1, indices, request.map, request.group, params, folder))
    submission = None
    if request.profile.executor != 'local':
        name = request.backend.job_name(request.name, 1, '00000000')
        submission = request.backend.job_cmd(folder.batch(1), name, 1, params, folder.batch(1) + '.out')
    if options.progress:
        more = {'submission': submission} if submission else {}
        write_output(None, [strict_json(load_tool('progress', '--progress').line(
            'dry-run', logs=folder.path, profile=request.profile.name, executor=request.profile.executor,
            jobs=request.jobs, commands=len(request.map), max_running=request.max_running,
            params=write_parameters(params), script=script, **more).strip())])
        return 0
    lines = [request.profile.sentence(), *tell_of_others(request, os.path.dirname(folder.path)),
             *likely_slips(request, options)]
    lines += ['{}, {}, logs folder {}'.format(
        jobs_text(request), at_once(request, False), shown_path(folder.path)), 'parameters of the first job:']
    shown = write_parameters(request.backend.requested(params))
    lines += ['    {} = {}'.format(key, value) for key, value in shown.items()]
    if submission:
        lines += ['submission of the first job:', '    {}'.format(submission)]
    lines.append('script of the first job, {}:'.format(shown_path(path)))
    write_output(None, lines + script.splitlines() + ['dry run: nothing was submitted, no folder was made'])
    return 0


def tool_reattach(options):
    """Run `qmap reattach`."""
    if made_by_04(options.logs):
        raise QMapError('{}: made by qmap 0.4, without a journal; only `info` can read it'.format(
            options.logs))
    session = Session(options.logs, options.max_running, options.force, options.takeover)
    print_warnings(session.warnings)
    if options.detach and not options.force and session.logs.distrusted():
        raise QMapError('{}: {}; to drive it anyway: --force'.format(
            shown_path(session.path), session.logs.distrusted()))
    if options.detach:
        given = ['-r', str(options.max_running)] if options.max_running else []
        given += ['--force'] if options.force else []
        given += ['--takeover'] if options.takeover else []
        return detach_driver(session.path, options, *given)
    note_lone_file(session.plan.info['executor'], options.quiet)
    if session.left() and not (options.quiet or options.progress):
        print_notice('{}, {} remaining, logs folder {}'.format(
            plural(sum(session.counts().values()), 'job'), session.left(), shown_path(session.path)))
        if session.halt_reason:
            print_notice('paused: {}'.format(session.halt_reason))
    return follow_session(session, options)


def make_view(session, options):
    """Return the view that the options of the command line ask for, and this terminal can show."""
    if options.progress:
        return load_tool('progress', '--progress').Progress(session, sys.stdout)
    plain = PlainView(session, sys.stdout, options.quiet, options.bell)
    on_screen = sys.stdin.isatty() and sys.stdout.isatty() and in_foreground(sys.stdout)
    if options.no_console or options.quiet or not session.left() or not on_screen:
        return plain
    console = load_tool('console')    # None for qmap.py alone, and for a Python without curses
    return (console.open_console(session, plain) if console else None) or plain


#: A way in which a process is told to stop its work on an execution.
#:   how: what becomes of the jobs, as Session.stop has it
#:   message: what is said; {live}: '3 jobs', those that the scheduler or this machine has; {going}: what
#:       continues, and how to end that as well; {resume}: the command to resume with
#:   seconds: after which it leaves in any case; None: as soon as all is done
#:   status: exit status where jobs remain; None for that of every end, see `StopSignals.exit_status`
WayToStop = collections.namedtuple('WayToStop', 'how message seconds status')

#: The ways. Beside them, `--leave` is 'submit all' from the beginning, and `control stop` tells the driver.
STOPS = {
    'first Ctrl-C': WayToStop('halt', 'Stopping: no new jobs.{going}\nResume with: {resume}', 10, 130),
    'second Ctrl-C': WayToStop('cancel', 'Cancelling {live}.', None, 130),
    'third Ctrl-C': WayToStop('leave', '', 0, 130),
    'Ctrl-C in a view': WayToStop('leave', 'Stopped viewing.', 0, 130),
    'SIGTERM, SIGHUP': WayToStop('leave', '', 0, None),
    'quit': WayToStop('leave', 'quitting', None, None),
    'detach': WayToStop('leave', 'quitting', None, None),    # a driver in the background is started then
    'cancel': WayToStop('cancel', 'cancelling what was submitted, then quitting', None, None),
    'submit all': WayToStop('hand over', 'submitting all jobs to the scheduler, then quitting', None, None),
}


def stop_session(session, way, say):
    """Stop a session in one of the ways in STOPS, and say so.

    Args:
        session: Session
        way: key of STOPS
        say: function that shows a line
    """
    stop = STOPS[way]
    counts = session.counts()
    text = stop.message.format(
        live=plural(counts[RUNNING] + counts[PENDING], 'job'), going=going_sentence(session),
        resume='{} reattach -l {}'.format(qmap_command(), quote_shown(shown_path(session.path))))
    session.stop(stop.how)
    for line in text.splitlines():
        say(line)


def going_sentence(session):
    """Return a blank, and what goes on where nothing more is submitted; '' where nothing does."""
    counts, local = session.counts(), session.plan.info['executor'] == 'local'
    number = counts[RUNNING] + (0 if local else counts[PENDING])    # here, what only waits is taken back
    if not number:
        return ''
    continue_, them = ('continues', 'it') if number == 1 else ('continue', 'them')
    return ' {} {}; qmap exits in 10 s. Press Ctrl-C again to cancel {}.'.format(
        plural(number, 'running job' if local else 'submitted job'), continue_, them)


class StopSignals:
    """The signals that tell this process to stop its work on an execution. They are obeyed between two looks.

    Attributes:
        way: the key of STOPS for what was asked for, None for nothing
    """

    #: Seconds that the last things may take when it is time to leave: file systems may hang; within which a
    #: second Ctrl-C is the same one: programs such as timeout(1) pass on what the terminal has sent to all.
    PATIENCE, SAME = 10, 0.3

    def __init__(self, session):
        self._session = session
        self._received = []
        self._interrupts, self._interrupted = 0, float('-inf')    # when the last one came, likewise
        self._leave_at = None    # on the monotonic clock
        self.way = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:    # nohup
                signal.signal(number, lambda number, frame: self._receive(number))

    def _receive(self, number):
        now = time.monotonic()
        if number == signal.SIGINT:
            is_same, self._interrupted = now - self._interrupted < self.SAME, now
            if is_same:
                return
        self._received.append(number)

    def obey(self, say):
        """Obey what has come. Return False where this process must leave now, whatever is still to be done.

        Args:
            say: function that shows a line
        """
        while self._received:
            if self._received.pop(0) == signal.SIGINT:
                self._interrupts += 1
                self._stop(self._way_of_interrupt(), say)
            else:
                self._stop('SIGTERM, SIGHUP', say)
        if self._leave_at is None or time.monotonic() <= self._leave_at:
            return True
        self._session.stop('leave')
        return time.monotonic() <= self._leave_at + self.PATIENCE

    def _way_of_interrupt(self):
        if not self._session.driving:
            return 'Ctrl-C in a view'
        return {1: 'first Ctrl-C', 2: 'second Ctrl-C'}.get(self._interrupts, 'third Ctrl-C')

    def _stop(self, way, say):
        stop_session(self._session, way, say)
        if way == 'SIGTERM, SIGHUP' and self.way:    # it only hastens what was begun
            self._leave_at = self._leave_at or time.monotonic()
            return
        seconds, self.way = STOPS[way].seconds, way
        self._leave_at = None if seconds is None else time.monotonic() + seconds

    def exit_status(self):
        """Return the exit status: that of Ctrl-C where jobs remain, or where it was pressed again; 4 where
        jobs remain since it halted by itself, 3 where they do that nobody has taken over; 1 where jobs
        failed; 0."""
        counts, left = self._session.counts(), self._session.left()
        status = STOPS[self.way].status if self.way else None
        cut_short = left or self._interrupts > 1
        if status and cut_short:
            return status
        if self._session.successor == 'scheduler' and not counts[UNSUBMITTED]:
            left = 0
        if left:
            return 4 if self._session.halt_reason else 3
        return 1 if counts[FAILED] else 0


def follow_session(session, options):
    """Let a session work, show it, obey signals, and return the exit status.

    Args:
        session: Session
        options: of the command line
    """
    signals = StopSignals(session)
    view = make_view(session, options)
    session.asks = view.can_ask()
    try:
        session.start()
        attend_session(session, view, signals)
    finally:
        view.close()
    session.wait(0)
    view.update(last=True)
    detaches = session.successor == 'background'
    driver = driver_alive(session.logs) if session.viewing and session.left() and not detaches else None
    if driver:
        session.news.append('the driver continues (pid {pid} on {host}); stop it with: '.format(**driver) +
                            '{} control {} stop'.format(
                                qmap_command(), quote_shown(shown_path(session.path))))
    while session.news:
        view.note(session.news.popleft())
    if detaches and session.left():
        return detach_driver(session.path, options)
    view.finish(Summary(session))
    return signals.exit_status()


def attend_session(session, view, signals):
    """Show a session and obey signals until it is over or left.

    Args:
        session: Session
        view: View
        signals: StopSignals
    """
    def stays():
        """Tell whether it is shown although all is over."""
        return not signals.way and view.holds()

    while session.working() or stays():
        view.update()
        while session.news:
            view.note(session.news.popleft())
        try:
            view.wait(0.1)
        except QMapError:
            break
        if not signals.obey(view.say):
            break


#: Seconds after which a driver that does not obey is named, and after which the order is withdrawn.
SLOW, WITHDRAWN = 5, 120


def tool_control(options):
    """Run `qmap control`."""
    try:
        reply = give_order(options)
    except QMapError as error:
        if not options.format:
            raise
        write_output(None, [json_text(collections.OrderedDict([
            ('order', options.do), ('refused', True), ('reply', str(error))]))])
        return 2
    logs = Logs(options.logs)
    driver, resume = driver_alive(logs), ''
    if not driver and options.do != 'stop' and ExecutionReader(options.logs).left():
        resume = '{} reattach -l {}'.format(qmap_command(), quote_shown(shown_path(logs.path)))
    if options.format:
        write_output(None, [json_text(collections.OrderedDict([
            ('order', options.do), ('refused', False), ('reply', reply), ('driver', driver),
            ('next', resume)]))])
        return 0
    print_notice(reply)
    if resume:
        print_notice('no driver is running; resume with: ' + resume)
    return 0


def give_order(options):
    """Give the order of `qmap control` to the driver, or obey it where there is none; return the reply.

    Raises:
        QMapError: the order is wrong, it was refused, or nobody answers
    """
    logs = Logs(options.logs)
    plan = Plan(logs)
    if logs.has_other_maps():
        plan = ExecutionReader(logs.path).plan
    order = dict(ORDERS[options.do].read(options, plan), do=options.do, by=whoami())
    if options.do == 'retry':
        print_warnings(map_changed(plan))
    return send_order(logs, order)


def send_order(logs, order, session=None):
    """Give an order to the driver, or obey it where there is none; return the reply.

    Args:
        logs: Logs
        order: dict, with do and by
        session: Session with which it is obeyed; by default one that is made then

    Raises:
        QMapError: it was refused, or nobody answers
    """
    inbox = Inbox(logs, Host())
    try:
        id = inbox.drop(order)
    except OSError as error:
        raise QMapError('{}: not writable ({}); only users with write permission can control its jobs'.format(
            shown_path(logs.path), error.strerror))
    since, named, answer, obeys, given = time.monotonic(), False, None, False, session
    try:
        while answer is None:
            if not obeys and not is_driven(logs):
                session, obeys = session or Session(logs.path), True
            if obeys and session.obey_orders():
                session.plan = session.plan if given else Plan(logs)
            elif time.monotonic() - since > SLOW and not named:
                driver = logs.driver_now()
                print_warnings(['waiting for the driver (pid {} on {})'.format(
                    driver.get('pid'), driver.get('host'))])
                named = True
            answer = inbox.answer(id)
            if answer is None:
                if time.monotonic() - since > WITHDRAWN:
                    raise QMapError('{}: the driver does not answer; the order was withdrawn'.format(
                        shown_path(logs.path)))
                time.sleep(1 if obeys else 0.1)
    finally:
        inbox.remove(id, order.get('map', ''))
    if answer.get('refused'):
        raise QMapError(answer['said'])
    return answer['said']


def map_changed(plan):
    """Yield the warning that a map is no longer what was submitted: a retry runs what was."""
    import filecmp
    path = plan.info.get('map')
    try:
        if plan.logs.has_other_maps():    # it was resumed with another
            return
        if isinstance(path, str) and os.path.isfile(file_name(path)) and not filecmp.cmp(
                file_name(path), plan.logs.input, shallow=False):
            shown = shown_path(file_name(path))
            yield ('{}: changed since it was submitted; retry runs the commands as submitted; to run the map '
                   'as it is now: {} submit {} -l {} --resume'.format(
                       shown, qmap_command(), quote_shown(shown), quote_shown(shown_path(plan.logs.path))))
    except (OSError, ValueError):    # it is not for this user to read, or its name is no path here
        pass


def read_figures(logs, what):
    """Return (Plan, Ledger, Usage, Advice) of the execution in a folder.

    Args:
        logs: path of the folder
        what: the words of the command line that ask for it

    Raises:
        QMapError: there is none, or none of which the figures were kept
    """
    advice = load_tool('advice', what)
    if made_by_04(logs):
        raise QMapError('{}: made by qmap 0.4, without the figures for {}'.format(logs, what))
    plan, ledger, usage = advice.read(logs)
    print_warnings(ledger.damage_texts())
    warn_outdated(plan.logs, ledger)
    return plan, ledger, usage, advice.Advice(plan, ledger, usage)


def print_advice(options):
    """Run `qmap info --advise`."""
    if options.fields or options.status or options.collapse or options.format not in (None, 'json'):
        raise QMapError('--advise covers all jobs; the only options it takes are --format json and --output')
    found = read_figures(options.logs, '--advise')[-1]
    write_output(options.output, [json_text(found.as_dict())] if options.format == 'json' else found.lines())
    return 0


def print_summary(options):
    """Run `qmap info --summary`."""
    if options.fields or options.status or options.collapse or options.format not in (None, 'json'):
        raise QMapError('--summary covers all jobs; the only options it takes are --format json and --output')
    source = open_folder(options.logs)
    print_warnings(source.warnings)
    summary = Summary(source)
    if source.has_journal:
        warn_outdated(source.logs, source.ledger)
    lines = [json_text(summary.as_dict())] if options.format == 'json' else list(summary.lines())
    if source.has_journal and options.format != 'json':
        lines += [line for line in [workers_sentence(source.ledger.settings, source.max_running)] if line]
    write_output(options.output, lines)
    return 0


def print_script(options):
    """Run `qmap info --script`."""
    for name in 'log', 'err', 'follow', 'status', 'format', 'collapse', 'summary', 'advise', 'watch', 'every':
        if getattr(options, name):
            raise QMapError('--{}: not with --script ID'.format(name))
    if options.fields:
        raise QMapError('{}: not a logs folder, and --script ID takes no fields'.format(options.fields[0]))
    check_info_options(options)
    source = open_folder(options.logs)
    print_warnings(source.warnings)
    plan = source.plan if source.has_journal else source
    id = parse_id(options.script, plan, '--script')
    if source.has_journal:
        number = source.ledger.number(id)
        check_attempt(options.attempt, id, source.ledger.attempts[number])
        text = plan.script_of(source.ledger, number, options.attempt)
    else:
        text = plan.script(id)
    write_output(options.output, whole_script(text).rstrip('\n').split('\n'))
    return 0


def tool_info(options):
    """Run `qmap info`."""
    import gc
    no_map = options.fields or options.format or options.advise or options.summary or options.script
    overwrite_nothing(options.output, options.force, None if no_map else is_info_map)
    if options.script is not None:
        return print_script(options)
    if options.log is not None:
        return load_tool('watch', '--log').log(options)
    check_info_options(options)
    if options.watch:
        return load_tool('watch', '--watch').watch(options, parse_statuses(options.status or ['all']))
    gc.disable()    # it is soon over, and a million records make no garbage that goes in circles
    if options.advise:
        return print_advice(options)
    if options.summary:
        return print_summary(options)
    statuses = parse_statuses(options.status or ['all' if options.ids is not None else 'failed'])
    source = open_folder(options.logs)
    print_warnings(source.warnings)
    if source.has_journal:
        warn_outdated(source.logs, source.ledger)
    if options.fields:
        lines = field_lines(source, statuses, options)
    elif options.format == 'json':
        lines = table_lines(source.jobs(statuses, ids=options.ids), None, 'json')
    elif options.format:
        raise QMapError('--format {}: name the fields to print, such as status exit_code'.format(
            options.format))
    else:
        lines = map_lines(source, statuses, options)
    write_output(options.output, lines)
    return 0


def check_info_options(options):
    """Raise QMapError where options of `qmap info` need another one."""
    if options.err or options.follow:
        raise QMapError('--err, --follow: only with --log ID')
    if options.attempt and options.script is None:
        raise QMapError('--attempt: only with --log ID or --script ID')
    is_table = not options.summary and not options.advise
    if options.ids is not None and not is_table:
        raise QMapError('--ids: only with fields, or for a map')
    for given, other in (('every', 'watch'), ('force', 'output')):
        if getattr(options, given) and not getattr(options, other):
            raise QMapError('--{}: only with --{}'.format(given, other))


def field_lines(source, statuses, options):
    """Return the lines of a table of the fields that the options of `qmap info` name.

    Args:
        source: ExecutionReader, or Folder04
        statuses: set of statuses and reasons
        options: of the command line
    """
    fields = [path for path in options.fields if path != 'id'] or ['status']
    if source.has_journal:    # of which version 0.4 knew others
        params, _ = source.changed_params()
        check_fields(fields, list(collections.OrderedDict.fromkeys([*params, *source.plan.map.names])))
    jobs = source.jobs(statuses, ['id'] + [path.partition('.')[0] for path in fields], options.ids)
    return table_lines(jobs, fields, options.format or ('pipe' if options.collapse else 'tsv'))


def map_lines(source, statuses, options):
    """Return the lines of a map of jobs, or of their commands alone; arguments as for `field_lines`."""
    if source.has_journal:
        plan = source.plan
        params, own = source.changed_params()
    else:
        plan, params, own = source, source.params, None
    jobs = list(source.jobs(statuses, ['id', 'status'] + ['commands'] * (plan.group > 1), options.ids))
    if not jobs:
        print_warnings(['no job is {}; the map has no commands'.format(' or '.join(sorted(statuses)))])
    lines = left_map(plan, jobs, params, own)
    if options.collapse:
        return itertools.islice(itertools.dropwhile(lambda line: line != '[jobs]', lines), 1, None)
    first = info_map(encode(line + '\n') for line in lines)
    return itertools.chain([first], left_map(plan, jobs, params, own))


def warn_outdated(logs, ledger):
    """Say that jobs may have ended without a word, where no driver would know."""
    sentence = outdated_sentence(logs, ledger)
    print_warnings([sentence] if sentence else [])


def outdated_sentence(logs, ledger):
    """Return that jobs may have ended unnoticed, and what to do; '' where that cannot be."""
    why = ledger.live and why_outdated(logs)
    return '{}: submitted jobs may have ended since; update with: {} reattach -l {}'.format(
        why, qmap_command(), quote_shown(shown_path(logs.path))) if why else ''


def table_lines(jobs, fields, format):
    """Yield the lines of a table of fields.

    Args:
        jobs: iterable of metadata
        fields: list of dotted paths; None for all, in json
        format: tsv, pipe, csv or json (a line for each job)
    """
    if format == 'json':
        for info in jobs:
            yield json_text(collections.OrderedDict([('id', info['id'])] + [
                (path, field_value(info, path)) for path in fields]) if fields else info)
        return
    rows = itertools.chain([['id'] + fields], ([info['id']] + [cell_text(info, path) for path in fields]
                                               for info in jobs))
    if format == 'csv':
        import csv
        import io
        for row in rows:
            line = io.StringIO()
            csv.writer(line, lineterminator='').writerow(map(no_formula, row))
            yield line.getvalue()
        return
    for row in rows:
        yield ('|' if format == 'pipe' else '\t').join(row)


def no_formula(text):
    """Return a field so that a spreadsheet shows it, and reckons nothing: a number stays what it is."""
    return "'" + text if text[:1] in FORMULA and not re.match(r'[+-]?\d+(\.\d+)?\Z', text) else text


#: With what a formula begins in a spreadsheet (OWASP, CSV Injection).
FORMULA = ('=', '+', '-', '@', '\t', '\r')


def tool_report(options):
    """Run `qmap report`."""
    import gc
    gc.disable()    # as in `info`
    path = options.output or os.path.basename(absolute_path(options.logs)) + '.html'
    absolute_path(path)    # or there is no folder to write it to
    overwrite_nothing(path, options.force, other='another name with -o')
    page = load_tool('report', 'report').Report(*read_figures(options.logs, 'report'))
    write_output(path, (part.rstrip('\n') for part in page.parts()))
    print_notice('{}: {}, {:,.0f} kB'.format(shown_path(os.path.abspath(path)), plural(page.jobs, 'job'),
                                             os.path.getsize(path) / 1000))
    return 0


def tool_run(options):
    """Run `qmap run`."""
    command = shell_command(options.command)
    profile = Profile(options.profile)
    print_warnings(profile.warnings)
    params = collections.OrderedDict(profile.params)
    for key in ('cores', 'memory', 'time'):
        if getattr(options, key) is not None:
            params[key] = parse_parameter(key, getattr(options, key))
    params.update((key, parse_parameter(key, text)) for key, text in split_settings(options.set).items())
    if profile.executor == 'local':
        return run_here(command, params, options.quiet)
    backend = load_backend(profile.executor, profile.settings)
    fault = backend.extra_fault(profile.settings)
    if fault:
        raise QMapError('profile {}: {}'.format(profile.name, fault))
    fault = backend.extra_fault(params)
    if fault:
        raise QMapError(fault)
    print_warnings(backend.request_warnings(params) + backend.queue_warnings(params))
    return run_there(backend, command, params, options.quiet)


def shell_command(words):
    """Return the words behind the options of `qmap run` as a shell command: one word is a command already,
    several are a program and its arguments, as they are.

    Raises:
        QMapError: there is none
    """
    words = words[1:] if words[:1] == ['--'] else words
    if not words:
        raise QMapError('run: missing command; write it after the options: qmap run -c 4 make -j4')
    return words[0] if len(words) == 1 else ' '.join(shlex.quote(word) for word in words)


def tool_bundle(options):
    """Run `qmap bundle`."""
    overwrite_nothing(options.file, options.force)
    carried = load_tool('bundle', 'bundle').bundle(options.file)
    print_notice('{}: contains qmap {} with {}'.format(options.file, __version__, ' and '.join(carried)))
    if 'filelock' not in carried:
        print_notice('filelock is not installed; the bundle uses flock instead')
    return 0


def tool_completion(options):
    """Run `qmap completion`."""
    completion = load_tool('completion', 'completion')
    write_output(None, completion.script(make_parser(), options.shell).splitlines())
    return 0


def tool_doctor(options):
    """Run `qmap doctor`."""
    return load_tool('doctor', 'doctor').examine(options)


def tool_help(options):
    """Run `qmap help`."""
    manual = load_tool('manual', 'help')
    topic = ' '.join(options.topic)
    tools = make_parser().tools
    try:
        lines = manual.lines_of(topic)
    except KeyError:
        if topic not in tools:
            near, pages = did_you_mean(topic, [*manual.topics(), *tools]), manual.pages_with(topic)
            more = '' if near else '; topics: ' + ', '.join(manual.topics())
            if pages:
                more = '; pages with this word: ' + ', '.join(pages)
            raise QMapError('{}: no such topic{}{}'.format(topic, near, more))
        tools[topic].print_help()
        return 0
    if not manual.page_through(lines):
        write_output(None, lines)
    return 0


def print_notice(line):
    """Print a line about what was done, whatever the locale. If it cannot be written, nobody is told."""
    try:
        write_output(None, [printable_text(line)])
    except (QMapError, OSError):
        pass


def print_bytes(data):
    """Write bytes to standard output, at once, where they are what was asked for.

    Raises:
        QMapError: they cannot be written
        BrokenPipeError: nobody reads any more
    """
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise QMapError('standard output: {}'.format(error.strerror))


def write_output(path, lines):
    """Write lines to a file, which is there whole or not at all, or to standard output.

    Raises:
        QMapError: they cannot be written
        BrokenPipeError: nobody reads
    """
    lines = iter(lines)
    if path is None:
        if sys.stdout.isatty():
            lines = ('\t'.join(map(printable_text, line.split('\t'))) for line in lines)
        for some in iter(lambda: list(itertools.islice(lines, 1000)), []):
            print_bytes(encode('\n'.join(some + [''])))
        return
    whole = not special_file(path)
    # Behind links, which stay.
    written = '{}.{}'.format(os.path.realpath(path), os.urandom(8).hex()) if whole else path
    try:
        with open(written, 'xb' if whole else 'wb') as target:
            for line in lines:
                target.write(encode(line) + b'\n')
        if whole:
            os.replace(written, os.path.realpath(path))
    except OSError as error:
        raise QMapError('{}: {}'.format(path, error.strerror))
    finally:
        if whole:
            remove_file(written)


def special_file(path):
    """Tell whether a path names a device or a pipe, such as /dev/stdout, which is not to be replaced."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def overwrite_nothing(path, force, is_own=None, other='another name'):
    """Keep a file of the user from being overwritten.

    Args:
        path: of the file to be written; None for standard output
        force: whether it may be overwritten
        is_own: function of the path that tells whether a file may be overwritten, too
        other: what to give in place of the path

    Raises:
        QMapError: it is there, and shall stay
    """
    if path is None or force or not os.path.exists(path) or special_file(path):
        return
    if is_own and os.path.isfile(path) and is_own(path):
        return
    raise QMapError('{} already exists; give {}, or --force to overwrite it'.format(path, other))


def usage_error(message):
    """Return an error of argparse as QMap says it."""
    name, _, text = message.partition(': ')
    names = name.replace('argument ', '', 1).split('/')
    if names[0][:1] == '-':    # the first short name, and the first long one
        short, long = ([name for name in names if (name[1] == '-') == is_long] for is_long in (False, True))
        names = short[:1] + long[:1]
    name = '/'.join(names)
    choice = re.match(r"invalid choice: '?(.*?)'? \(choose from (.*)\)", text)
    if choice and name in ('TOOL', 'ORDER'):
        word, kind = choice.group(1), name.lower()
        known = re.findall(r'\w[\w-]*', choice.group(2))
        mark = 'qmap ' if kind == 'tool' else ''
        hint = ' (did you mean qmap submit {}?)'.format(word) if mark and os.path.isfile(word) else \
            did_you_mean(word, known, mark, kind)
        return '{}: unknown {}{}'.format(word, kind, hint or '; {}s: {}'.format(kind, ', '.join(known)))
    if choice:
        text = '{}: unknown value; known: {}'.format(choice.group(1), choice.group(2).replace("'", ''))
    if text.startswith('expected '):
        return name + ': needs a value'
    if text.startswith('ignored explicit argument'):
        return name + ': takes no value'
    if name == 'the following arguments are required':
        return 'missing argument: ' + text.upper()
    if not text:
        return message
    return '{}: {}'.format(name, text) if name.startswith('-') else text


def parser_classes():
    """Return the classes of a parser of QMap's command line and of the help of a tool."""
    import argparse

    class Parser(argparse.ArgumentParser):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            # Before 3.10 these were "optional arguments", and are "positional arguments" to this day.
            self._positionals.title, self._optionals.title = 'arguments', 'options'

        def _get_option_tuples(self, option_string):
            # No --mem for --memory. (Before 3.8, allow_abbrev=False would also forbid -r5 for -r 5.)
            return [] if option_string.startswith('--') else super()._get_option_tuples(option_string)

        def print_help(self, file=None):
            print_bytes(encode(self.format_help()))    # argparse passes over an output that cannot be written

        def error(self, message):
            raise QMapError('{} (see {} --help)'.format(usage_error(message), self.prog))

    class Help(argparse.RawDescriptionHelpFormatter):
        def __init__(self, prog):
            super().__init__(prog, max_help_position=33)

        def _format_action_invocation(self, action):
            if not action.option_strings:
                return super()._format_action_invocation(action)
            # As briefly as it can be said: -m, --memory SIZE.
            names = [name for name in action.option_strings if name not in (
                '--grouping', '--working_directory', '--jobs')]
            values = '{%s}' % ','.join(action.choices) if action.choices else action.metavar
            return ', '.join(names) + (' ' + values if action.nargs != 0 and values else '')

    return Parser, Help


def add_folder(made):
    """Add the words for a logs folder to the parser of a tool."""
    made.add_argument('folder', nargs='?', metavar='DIR', help='logs folder (default: this folder)')
    made.add_argument('-l', '--logs', metavar='DIR', help='same as DIR')


def add_profile(made):
    """Add the option for a profile."""
    made.add_argument('-p', '--profile', metavar='PROFILE',
                      help='local, slurm, sge, lsf, another name, or a path')


def add_view_options(made, from_when=''):
    """Add what concerns an execution that is shown; from_when: of the maximum number of jobs."""
    made.add_argument('-r', '-j', '--max-running', '--jobs', metavar='N', type=number_option,
                      help='maximum of jobs running or pending at once' + from_when)
    made.add_argument('--no-console', action='store_true', help='print plain lines instead of the console')
    made.add_argument('-q', '--quiet', action='store_true', help='print only failures, at the end')
    made.add_argument('--progress', choices=('json',), help='print each change as a line of JSON')
    made.add_argument('--bell', action='store_true', help='ring the terminal bell at the end')


def describe_template(add_tool):
    """Describe the command line of `qmap template`."""
    made = add_tool('template', tool_template, 'write a jobs map file from a command with wildcards',
                    "  qmap template 'gzip -k {{?f:*.txt}}' -f gzip.map\n"
                    "  qmap template 'echo {{a,b}} {{1..22}}'\n"
                    "  qmap template 'sort {{?reads}} > {{?sample}}.txt' --table samples.tsv\n")
    made.add_argument('command', nargs='?',
                      help='command with wildcards, or file of such commands (default: an empty map)')
    made.add_argument('-f', '-o', '--output', metavar='FILE',
                      help='write the map to FILE (default, or -: standard output)')
    made.add_argument('--table', metavar='FILE',
                      help='a job for each row of this TSV or CSV file, with {{?column}}')
    made.add_argument('--where', metavar='COLUMN=VALUE', action='append',
                      help='only rows with this value; COLUMN!=VALUE: without; repeatable')
    made.add_argument('--no-params', action='store_true', help='the columns are no parameters of jobs')
    made.add_argument('--link', action='store_true', help='lists side by side, not all combinations')
    made.add_argument('--sample', metavar='N', type=number_option, help='only the first N commands')
    add_resources(made)
    made.add_argument('--conda-env', metavar='ENV', help='conda environment (default: the active one)')
    made.add_argument('--module', metavar='M', action='append',
                      help='module to load, repeatable (default: those loaded)')
    made.add_argument('-b', '--base', metavar='FILE', default=os.environ.get('QMAP_TEMPLATE_BASE') or None,
                      help='copy the sections of this map (default: QMAP_TEMPLATE_BASE)')
    made.add_argument('--force', action='store_true',
                      help='overwrite FILE; make more than 10 million commands')


def add_retries(made):
    """Add how jobs are retried."""
    made.add_argument('--retries', metavar='N', help='retry N times what lacks memory or time')
    made.add_argument('--retry-on', metavar='LIST', help='other failures to retry: exit, signal, 75, 1-9')
    made.add_argument('--grow', metavar='X', help='a retry requests X times as much (default: 2)')
    made.add_argument('--max-memory', metavar='SIZE', help='retries request no more memory')
    made.add_argument('--max-time', metavar='TIME', help='retries request no more time')
    made.add_argument('--no-learn', dest='learn', action='store_const', const='no',
                      help='start no job with what saved others')


def describe_submit(add_tool):
    """Describe the command line of `qmap submit`."""
    import argparse
    made = add_tool('submit', tool_submit, 'run the commands of a jobs map file',
                    '  qmap submit jobs.map\n  qmap submit jobs.map -r 50 -c 4 -m 16G -t 2h --logs out\n',
                    'qmap submit MAP [OPTION]...')
    made.add_argument('map', help='jobs map file, or - for standard input')
    made.add_argument('-l', '--logs', metavar='DIR', help='logs folder (default: MAP_YYYYMMDD)')
    add_view_options(made)
    made.add_argument('-g', '--group', '--grouping', metavar='N', type=number_option,
                      help='commands per job, in turn (default: 1)')
    add_resources(made)
    add_settings(made)
    made.add_argument('--signal', metavar='NAME@SECONDS',
                      help='send jobs a signal so long before their time is over: USR2@120')
    made.add_argument('--again', metavar='N',
                      help='how often a job may end with 85, "run me again" (default: 100)')
    made.add_argument('-w', '--working-directory', '--working_directory', metavar='DIR',
                      help='where the commands run (default: this folder)')
    made.add_argument('-n', '--name', metavar='NAME',
                      help='prefix of the job names (default: of the map)')
    add_profile(made)
    made.add_argument('--keep', choices=('all', 'failed'),
                      help='failed: remove most files of completed jobs')
    made.add_argument('--pull', metavar='N', type=lambda text: 0 if text == '0' else number_option(text),
                      help='on a cluster: run all jobs with N workers, 0: none (default: if they are short)')
    made.add_argument('--skip', choices=('existing',),
                      help='do not run jobs whose outputs (out=) exist')
    made.add_argument('--after', metavar='DIR', action='append',
                      help='wait until these executions are COMPLETED')
    made.add_argument('--after-any', metavar='DIR', action='append',
                      help='wait until these executions have ended')
    made.add_argument('--on-finish', metavar='CMD', help='shell command to run at the end')
    made.add_argument('--canary', metavar='N', type=number_option,
                      help='run N jobs first; stop if all fail')
    made.add_argument('--halt', metavar='RULE', type=halt_option,
                      help='stop after failures: fail=20, fail=5%%, now,fail=1')
    made.add_argument('--no-halt', dest='halt', action='store_const', const='never',
                      help='go on if the first 20 jobs all fail')
    made.add_argument('--no-exclude', dest='exclude', action='store_false',
                      help='go on using hosts on which jobs fail')
    add_retries(made)
    made.add_argument('--detach', action='store_true', help='continue in the background')
    made.add_argument('--leave', action='store_true',
                      help='submit all jobs to the scheduler, and exit')
    made.add_argument('--dry-run', action='store_true', help='print what would be submitted, and exit')
    made.add_argument('--resume', action='store_const', const='commands',
                      help='go on with an edited map in the folder of -l')
    made.add_argument('--resume=strict', dest='resume', action='store_const', const='strict',
                      help=argparse.SUPPRESS)


def describe_reattach(add_tool):
    """Describe the command line of `qmap reattach`."""
    made = add_tool('reattach', tool_reattach, 'resume an execution, or view a running one',
                    '  qmap reattach jobs_20260131\n', 'qmap reattach [DIR] [OPTION]...')
    add_folder(made)
    add_view_options(made, ' from now on')
    made.add_argument('--detach', action='store_true', help='continue in the background')
    made.add_argument('--takeover', action='store_true',
                      help='replace a driver on another host at once, not after three minutes without a '
                      'heartbeat')
    made.add_argument('--force', action='store_true',
                      help='continue although records are unreadable or the folder is a copy')


def describe_control(add_tool):
    """Describe the command line of `qmap control`."""
    import argparse
    made = add_tool('control', tool_control, 'pause, resume, cancel, retry: control an execution',
                    '  qmap control out pause\n  qmap control out retry -m 32G\n'
                    '  qmap control out cancel 3,7-12\n', 'qmap control [DIR] ORDER [OPTION]...')
    made.add_argument('-l', '--logs', metavar='DIR', default='.', help='same as DIR (default: this folder)')
    made.add_argument('--format', choices=('json',), help='print the reply as a JSON object')
    orders = made.add_subparsers(dest='do', metavar='ORDER', prog='qmap control')
    orders.required = True
    made.orders = orders.choices

    for name, order in ORDERS.items():
        made = orders.add_parser(name, help=(order.summary + ' ' + order.options).strip(),
                                 description=order.summary[0].upper() + order.summary[1:] + '.')
        made.add_argument('-l', '--logs', metavar='DIR', default=argparse.SUPPRESS, help='logs folder')
        made.add_argument('--format', choices=('json',), default=argparse.SUPPRESS,
                          help='print the reply as a JSON object')
        order.add_options(made)


def describe_info(add_tool):
    """Describe the command line of `qmap info`."""
    made = add_tool('info', tool_info, 'query job metadata, or write a map of selected jobs',
                    '  qmap info out -s all status exit_code usage.time.elapsed\n'
                    '  qmap info out -s failed -o rerun.map\n  qmap info out --log 17 --err\n',
                    'qmap info [DIR] [OPTION]... [FIELD]...')
    made.add_argument('fields', nargs='*', metavar='FIELD',
                      help='fields to print, such as status or usage.memory.peak (default: a map of the '
                      'jobs); a first word that is a logs folder is DIR')
    made.add_argument('-l', '--logs', metavar='DIR', help='logs folder, same as DIR (default: this folder)')
    made.add_argument('-s', '--status', metavar='STATUS', action='append',
                      help='statuses (names or first letters, with commas or repeated), all, or reasons of '
                      'failures: exit, memory, cancelled... (default: failed)')
    made.add_argument('--ids', metavar='IDS', help='only these jobs, such as 3,7-12 (whatever their status)')
    made.add_argument('--format', choices=('tsv', 'csv', 'json'), help='format of the fields (default: tsv)')
    made.add_argument('--summary', action='store_true',
                      help='print counts, core-hours, groups of failures, next steps')
    made.add_argument('--advise', action='store_true',
                      help='print requested and used resources, recommended request')
    made.add_argument('--log', metavar='ID', help="print a job's stdout")
    made.add_argument('--err', action='store_true', help='with --log: stderr instead')
    made.add_argument('--script', metavar='ID', help="print a job's script, ready for bash")
    made.add_argument('--attempt', metavar='N', type=number_option,
                      help='with --log, --script: an earlier attempt')
    made.add_argument('--follow', action='store_true',
                      help='with --log: print what is appended until the job ends')
    made.add_argument('--watch', action='store_true',
                      help='refresh a table of the FIELDs, or of the latest jobs')
    made.add_argument('--every', metavar='SECONDS', type=number_option,
                      help='with --watch: interval (default: 2)')
    made.add_argument('--collapse', action='store_true',
                      help='fields: separate with |; map: print commands only')
    made.add_argument('-o', '--output', metavar='FILE', help='write to FILE')
    made.add_argument('--force', action='store_true', help='overwrite FILE')


def describe_report(add_tool):
    """Describe the command line of `qmap report`."""
    made = add_tool('report', tool_report, 'write an HTML report: failures, timeline, resource usage',
                    '  qmap report out\n  qmap report out -o talk.html\n', 'qmap report [DIR] [OPTION]...')
    add_folder(made)
    made.add_argument('-o', '--output', metavar='FILE', help='write to FILE (default: FOLDER.html)')
    made.add_argument('--force', action='store_true', help='overwrite FILE')


def describe_run(add_tool):
    """Describe the command line of `qmap run`."""
    import argparse
    made = add_tool('run', tool_run, 'run one command now with its own resources',
                    "  qmap run -c 4 -m 16G make -j4\n  qmap run -t 1h 'sort x.txt | uniq -c > x.counts'\n",
                    'qmap run [OPTION]... [--] COMMAND [ARGUMENT]...')
    made.add_argument('command', nargs=argparse.REMAINDER, metavar='COMMAND',
                      help='shell command in quotes, or program and arguments; options stand before it')
    add_resources(made)
    add_settings(made)
    add_profile(made)
    made.add_argument('-q', '--quiet', action='store_true', help='print only the output of the command')


def describe_bundle(add_tool):
    """Describe the command line of `qmap bundle`."""
    made = add_tool('bundle', tool_bundle, 'write qmap and its modules to one file, for other machines',
                    '  qmap bundle qmap-all.py\n')
    made.add_argument('file', metavar='FILE', help='file to write')
    made.add_argument('--force', action='store_true', help='overwrite FILE')


def describe_completion(add_tool):
    """Describe the command line of `qmap completion`."""
    made = add_tool('completion', tool_completion, 'print the completion script for a shell',
                    '  . <(qmap completion bash)    in ~/.bashrc (zsh: completion zsh, in ~/.zshrc)\n')
    made.add_argument('shell', choices=('bash', 'zsh'), help='bash or zsh')


def describe_doctor(add_tool):
    """Describe the command line of `qmap doctor`."""
    made = add_tool('doctor', tool_doctor, 'check this machine, a profile and a folder',
                    '  qmap doctor\n  qmap doctor --torture /scratch/me -p slurm\n',
                    'qmap doctor [DIR] [OPTION]...')
    made.add_argument('folder', nargs='?', default='.', metavar='DIR',
                      help='folder in which logs folders are to be (default: this one)')
    made.add_argument('--torture', action='store_true',
                      help='test what two processes, or nodes, see of each other in DIR')
    made.add_argument('--seconds', metavar='N', type=number_option,
                      help='with --torture: for how long (default: 60)')
    add_profile(made)


def describe_help(add_tool):
    """Describe the command line of `qmap help`."""
    made = add_tool('help', tool_help, 'print a page of the manual (without TOPIC: the list)',
                    '  qmap help\n'
                    '  qmap help fields\n')
    made.add_argument('topic', nargs='*', help='topic, title of a section, or tool')


#: What describes the command line of each tool, in the order of the help.
DESCRIPTIONS = (
    describe_template, describe_submit, describe_reattach, describe_control, describe_info,
    describe_report, describe_run, describe_bundle, describe_completion, describe_doctor, describe_help)


def make_parser():
    """Return the parser of the command line."""
    Parser, Help = parser_classes()
    parser = Parser(prog='qmap',
                    description='Run many similar shell commands in parallel, on this machine or a cluster.',
                    epilog='qmap TOOL --help: options of a tool; qmap help: the manual')
    parser.add_argument('-V', '--version', action='store_true', help='print the version and exit')
    tools = parser.add_subparsers(dest='tool', metavar='TOOL')

    def add_tool(name, function, summary, examples, usage=None):
        made = tools.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + '.',
                                usage=usage, epilog='examples:\n' + examples, formatter_class=Help)
        made.set_defaults(function=function)
        return made

    for describe in DESCRIPTIONS:
        describe(add_tool)
    parser.tools = tools.choices
    return parser


def call_tool(argv):
    """Read the command line, call its tool, and return the exit status.

    Raises:
        QMapError: the command line is wrong, or what the tool raises
        SystemExit: the help was printed
    """
    parser = make_parser()
    argv = with_named_folder(sys.argv[1:] if argv is None else argv, parser)
    options, rest = parser.parse_known_args(argv)
    if rest and options.tool == 'info' and not any(word.startswith('-') for word in rest):
        options.fields += rest    # fields on both sides of an option
    elif rest:
        tool = options.tool or ''
        known = re.findall(r'--([\w-]+)', parser.tools[tool].format_help() if tool else '')
        word, hint = rest[0].partition('=')[0].lstrip('-'), ''
        if tool == 'run':
            hint = 'options of the command stand behind it; '
        elif tool == 'template':
            hint = 'put the command in quotes; '
        elif word in known:
            hint = 'options stand before --; '
        elif tool == 'submit' and os.path.isdir(rest[0]):
            hint = 'a logs folder is given with --logs; '
        near = '' if word in known else did_you_mean(word, known, '--')
        raise QMapError('unrecognised: {}{} ({}see {} --help)'.format(
            ' '.join(rest), near, hint, ('qmap ' + tool).strip()))
    if options.version:
        write_output(None, ['qmap ' + __version__])
        return 0
    if not options.tool:
        lines = list_executions('.', sys.stdout)
        if lines:
            write_output(None, lines + ['qmap --help lists the tools'])
            return 0
        parser.print_help()
        return 2
    if options.tool == 'run':
        options.command = words_to_run(options, parser)
    if options.tool in ('reattach', 'info', 'report'):
        options.logs = chosen_folder(options)
    return options.function(options)


def with_named_folder(argv, parser):
    """Return the words of the command line in which `control DIR ORDER` is written `control -l DIR ORDER`.

    A first word that is an order is one: argparse would take it for the folder where other words follow.
    """
    word = argv[1] if argv[:1] == ['control'] and len(argv) > 1 else '-'
    orders = parser.tools['control'].orders
    if word.startswith('-') or word in orders:
        return argv
    before_order = len(argv) > 2 and argv[2] in orders
    return ['control', '-l'] + argv[1:] if before_order or os.path.isdir(word) else argv


def words_to_run(options, parser):
    """Return the words behind the options of `run`. Behind a shell command in quotes options of QMap may
    follow, as always; behind the name of a program all words are its arguments.

    Raises:
        QMapError: what follows a shell command is no option
    """
    words = options.command
    if len(words) < 2 or not words[1].startswith('-') or not re.search(r'\s', words[0]):
        return words
    parser.tools['run'].parse_args(words[1:] + ['--', words[0]], options)
    if options.command[0] != '--':
        raise QMapError('unrecognised: {} (see qmap run --help)'.format(options.command[0]))
    return options.command


def chosen_folder(options):
    """Return the logs folder that a command line names, with --logs or without.

    Of `info` the first word is one where it holds an execution, also if there is a field of that name, or
    where it is a folder and no field. Then it is no field any more.

    Raises:
        QMapError: it names two
    """
    if options.tool != 'info':
        folder = options.folder
    elif options.logs is None and options.fields and names_folder(options.fields[0]):
        folder = options.fields.pop(0)
    else:
        folder = None
    if folder is not None and options.logs is not None:
        raise QMapError('{} and --logs {}: give one logs folder'.format(folder, options.logs))
    return next((path for path in (folder, options.logs) if path is not None), '.')


def names_folder(word):
    """Tell whether the first word behind `info` is a logs folder, and no field."""
    if os.path.isdir(os.path.join(word, '.qmap')) or made_by_04(word):
        return True
    if word in FIELDS or word.startswith('params.'):
        return False
    return os.sep in word or os.path.isdir(word) or not (os.path.isdir('.qmap') or made_by_04('.'))


def list_executions(folder, stream):
    """Return the lines that tell of the executions at and below a folder, none where there are none, or where
    no qmap_backends is there to find them.

    Args:
        folder: path
        stream: text file on which they are shown
    """
    import shutil
    executions = load_tool('executions')
    width = shutil.get_terminal_size().columns if stream.isatty() else None
    return executions.listing(folder, width) if executions else []


def explain_error(error, argv):
    """Return the text of an error of the command line; a better one where another tool has such a word."""
    slips = load_tool('slips')
    return slips.explain(make_parser(), argv, str(error)) if slips else str(error)


def main(argv=None):
    """Run QMap's command line, and return its exit status: 0 all completed, 1 some failed, 2 wrong usage or
    input, 3 left before the end, 130 interrupted; of `run` that of the command.

    Args:
        argv: list of words; the process's own by default
    """
    try:
        return call_tool(argv)
    except SystemExit as error:    # the help was printed
        return error.code
    except QMapError as error:
        print_message('error: {}'.format(explain_error(error, sys.argv[1:] if argv is None else argv)))
        for line in list_executions(error.path, sys.stderr) if isinstance(error, NoExecution) else ():
            print_aside(line)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)    # `qmap info | head`
        return 141
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        name = '{}: '.format(error.filename) if error.filename else ''
        print_message('error: {}{}'.format(name, error.strerror or error))
    return 2


def open_missing_streams():
    """Fill the places of standard streams with which this process was started without: else the next files
    that are opened would get their numbers, and be written to as if they were the terminal.

    What is read or written there fails, as it would where nothing is open (as in gnulib's stdopen.c).
    """
    for handle, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(handle)
        except OSError:
            os.open(os.devnull, flags)    # gets the lowest number that is free
            os.set_inheritable(handle, True)
    sys.stdin = sys.stdin or open(0, closefd=False)
    sys.stdout = sys.stdout or open(1, 'w', closefd=False)
    sys.stderr = sys.stderr or open(2, 'w', closefd=False)


def pass_signal(child, number):
    """Send a signal to a process, unless a terminal has sent it to both."""
    if number == signal.SIGINT and on_terminal():
        return
    os.kill(child, number)


def attend_orphans():
    """As the first process of a container, go on as its child, and let this one wait for orphans.

    What a job leaves behind becomes a child of process 1, and stays a zombie until that waits for it. As what
    is waited for might be a child that other code waits for, process 1 does nothing else. Signals are passed
    on; those that a terminal sends reach the child by themselves.
    """
    try:
        child = os.fork()
    except OSError:    # then without
        return
    if not child:
        return
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, frame: pass_signal(child, number))
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def entry():
    """Run the command line as a program: do not wait for jobs that go on without us."""
    open_missing_streams()
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:    # how jobs end would be lost: wait(2), notes
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if os.getpid() == 1:
        attend_orphans()
    try:
        status = main()
    except SystemExit as error:    # of a module beside qmap.py that has the name of one of Python's
        status = error.code if isinstance(error.code, int) else 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(status)


# In a bundle, this is a text that carries qmap_backends and filelock.
PAYLOAD = ''

CARRIED = Carried(PAYLOAD) if PAYLOAD else None
sys.meta_path.insert(0, Beside)
if CARRIED:
    sys.meta_path.append(CARRIED)

if __name__ == '__main__':
    entry()
