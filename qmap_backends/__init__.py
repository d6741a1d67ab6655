"""The border between QMap and the schedulers: what every backend answers, and the one door to their commands.

A backend is a module of this package with one class derived from `Backend`. It turns plain values into the language of
one scheduler and back. It keeps no state about jobs, and answers in values, because silence is normal: a scheduler that
does not answer is a value too, and never an exception.

A *task* is a pair (id, k): the scheduler's id of a submission as a string, and the index in the array from 1, or 0
where the submission was a single job. *params* is a dict: `cores`, `nodes` and `tasks` are integers, `memory` is bytes
and `time` seconds, each for the whole job; `queue`, `penv`, `name`, `working_directory` and `extra` are strings. A
parameter that nobody asked for is not in it.
"""

import os
import re
import shlex
import signal
import subprocess
from importlib import import_module

from qmap import job_environment

#: The names that `load` knows.
NAMES = ('slurm', 'sge', 'lsf')

#: Seconds that a scheduler's command may take before its silence counts as no answer.
TIMEOUT = 60

#: Ids on one command line at the most: well below any limit on its length.
CHUNK = 500

#: Variables that a surrounding job leaves, and that change what a submission or a query means (their prefixes).
LEAKS = ('SLURM_', 'SBATCH_', 'SALLOC_', 'SRUN_', 'SQUEUE_', 'SACCT_', 'SGE_TASK_', 'PE_HOSTFILE', 'LSB_', 'LS_',
         'BSUB_', 'PMI_', 'PMIX_')

#: Of those, what tells the client where its cluster is and who pays, and so has to stay.
KEPT = ('SLURM_CONF', 'SLURM_CONF_SERVER', 'SLURM_CLUSTERS', 'SLURM_ACCOUNT', 'SBATCH_ACCOUNT', 'SALLOC_ACCOUNT',
        'LSB_DEFAULTQUEUE', 'LSB_DEFAULTPROJECT', 'LSB_CONFDIR', 'LSB_SHAREDIR')


class Answer:
    """What an external command said.

    Attributes:
        code: exit status, or None where the command could not be started or did not end in time
        out: its standard output, as text
        err: its standard error, as text, or why there was no answer
    """

    def __init__(self, code, out='', err=''):
        self.code = code
        self.out = out
        self.err = err

    def words(self):
        """Return what a person should read of it: the last line of stderr that says something, or of stdout."""
        lines = [line.strip() for line in (self.err.strip() or self.out.strip()).splitlines() if line.strip()]
        return lines[-1] if lines else 'exit status {}, no message'.format(self.code)


def clean_environment(environ=None):
    """Return a copy of the environment without what a surrounding job left in it (see LEAKS).

    Args:
        environ: mapping of variables; the process's own by default
    """
    return {key: value for key, value in (os.environ if environ is None else environ).items()
            if key in KEPT or not key.startswith(LEAKS)}


def call(argv, stdin=None, timeout=TIMEOUT, **variables):
    """Run a scheduler's command and return its `Answer`. The one door to external commands.

    Args:
        argv: list of words; no shell is involved
        stdin: path of a file to be its standard input; closed otherwise
        timeout: seconds, after which it is killed and counts as silent; what it said until then is kept
        variables: set in its environment, beside LC_ALL=C; None takes one out. A submission has to hand over the
            LC_ALL of the user, since its environment becomes that of the job
    """
    environ = clean_environment(job_environment())
    environ.update(dict({'LC_ALL': 'C'}, **variables))
    environ = {key: value for key, value in environ.items() if value is not None}
    try:
        with open(stdin or os.devnull, 'rb') as source:
            child = subprocess.Popen(argv, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ,
                                     start_new_session=True)
    except OSError as error:
        return Answer(None, '', '{}: {}'.format(argv[0], error.strerror or error))
    try:
        out, err = child.communicate(timeout=timeout)
        code, late = child.returncode, ''
    except subprocess.TimeoutExpired:
        # With all its session: a site's wrapper would leave the real command behind, which may submit after all.
        os.killpg(child.pid, signal.SIGKILL)
        code, late = None, '{}: no answer within {:g} s'.format(argv[0], timeout)
        try:
            out, err = child.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            out = err = b''
    out, err = out.decode('utf-8', 'replace'), err.decode('utf-8', 'replace')
    return Answer(code, out, '\n'.join(part for part in (err, late) if part))


def chunks(items, size=CHUNK):
    """Yield the items in lists of at most `size`."""
    items = list(items)
    for start in range(0, len(items), size):
        yield items[start:start + size]


def ranges(numbers):
    """Return whole numbers as a scheduler writes them: [1, 2, 3, 7] -> '1-3,7'."""
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ','.join('{}'.format(a) if a == b else '{}-{}'.format(a, b) for a, b in parts)


def numbers(text):
    """Return the list of whole numbers that '1-3,7' or '1-10:3' stands for; the opposite of `ranges`.

    Raises:
        ValueError: the text is something else
    """
    found = []
    for part in text.split(','):
        span, _, step = part.partition(':')
        first, _, last = span.partition('-')
        found.extend(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


class Backend:
    """What the driver asks of a scheduler. Each method that is not written here is a subclass's own."""

    #: The name in profiles, and the one for people.
    name = ''
    title = ''
    #: The commands without which it cannot work.
    commands = ()
    #: Variables in the job's environment: the index in the array, and the scheduler's id.
    task_variable = ''
    id_variable = ''
    #: Seconds between two questions while all is well, and for which a job that has left the queue may still write its
    #: end (the caches of network file systems).
    poll_interval = 30
    grace = 90
    #: Seconds of work to hand over ahead of time: only where handing over costs nothing and can be undone.
    ahead = 0
    #: Whether `accounts` knows of a task as soon as it has ended, so that its usage can be had at once.
    immediate = False
    #: Whether a task that the queue calls FAILED stays there until it is cancelled.
    lingers = False
    #: What it has not for jobs that wait, '' for nothing: only where it runs them itself.
    shortage = ''

    def __init__(self, options=None):
        """Make a backend.

        Args:
            options: dict of strings, the profile's own settings
        """
        self.options = dict(options or {})
        #: Seconds since the epoch: nothing of this execution was submitted before. The driver sets it, because
        #: schedulers use their ids again: without it the accounts may speak of a job of long ago.
        self.since = 0
        #: With what the names of this execution's submissions end. The driver sets it, for the same reason.
        self.token = ''

    def submit_argv(self, script, name, count, params, output):
        """Return the submission command as a list of words.

        Args:
            script: path of the script to run, once for each task
            name: of the submission: unique, made by `job_name`
            count: number of tasks; 1 makes a single job, more an array with indices from 1
            params: see the module
            output: path where the scheduler itself may write about the tasks: it gets '.K' added, K being the index
                (0 for a single job)
        """
        raise NotImplementedError

    def submit(self, script, name, count, params, output):
        """Hand the script to the scheduler.

        Returns:
            ('ok', id); ('refused', words): it will never be taken like this; ('busy', words): a limit or a passing
            trouble, nothing was submitted; ('silent', words): it may have been submitted, look for the name
        """
        raise NotImplementedError

    def job_cmd(self, script, name, count, params, output):
        """Return the submission command as a line to be pasted into a shell."""
        return ' '.join(shlex.quote(word) for word in self.submit_argv(script, name, count, params, output))

    def job_name(self, prefix, batch, token):
        """Return a name for a submission: legal here, short, readable, and unique by the token.

        Args:
            prefix: what the user calls the execution
            batch: number of the batch
            token: short text that no other execution has
        """
        raise NotImplementedError

    def find(self, name):
        """Return the id of the submission with this name, '' if there surely is none, None without an answer."""
        raise NotImplementedError

    def poll(self, ids):
        """Ask the queue for all submissions at once.

        Args:
            ids: list of scheduler ids

        Returns:
            {task: (status, reason, words)}, or None without an answer. A task that is not in it has left the queue.
            status is PENDING, RUNNING, COMPLETED, FAILED or OTHER; reason is '' or, of a FAILED task, one of exit,
            signal, memory, time, cancelled, node, lost; words say it as the scheduler does, or why it is pending.
        """
        raise NotImplementedError

    def accounts(self, tasks):
        """Ask the accounting for ended tasks, in batches.

        Returns:
            {task: dict} of those it knows; {} where the site keeps no accounts; None without an answer. A dict may
            hold status, reason and words as in `poll`, exit_code, signal (numbers), host, elapsed and cpu (seconds),
            memory (bytes, the peak).
        """
        raise NotImplementedError

    def cancel(self, tasks, counts):
        """Cancel tasks: in batches, arrays as ranges. One that has ended meanwhile is no error.

        Args:
            tasks: list of tasks
            counts: {id: number of tasks of that submission}, so that a whole array is named by its id alone
        """
        raise NotImplementedError

    #: What the scheduler writes into the output of a task that it ends: (pattern, reason), the first that fits.
    NOTES = ()

    def note(self, text):
        """Return why the scheduler ended a task, from what it wrote into the task's output: dict with reason and
        words, {} for nothing."""
        for pattern, reason in self.NOTES:
            match = re.search('.*(?:{}).*'.format(pattern), text)
            if match:
                return {'reason': reason, 'words': match.group().strip()}
        return {}

    def chatter(self, text):
        """Return the part of a task's output beside the job's own that says what went wrong in starting it."""
        return text

    def usage(self):
        """Return the load of the cluster, or None without an answer.

        Returns:
            dict: nodes (that are up), used (percent of the cores in use), mine (percent that is this user's)
        """
        raise NotImplementedError

    def interactive(self, params, command):
        """Return the words that run a shell command now, with these params, in this directory and environment."""
        raise NotImplementedError

    def limits(self):
        """Return what the site allows, as it says itself: dict with array (the largest number of tasks)."""
        return {'array': 1000}

    def task_name(self, task):
        """Return how the scheduler writes a task: its executor_id for people."""
        raise NotImplementedError

    # What only a backend that runs the tasks itself has an answer to

    def holds(self, params):
        """Return how many jobs with these params to have in the scheduler at once, where nobody says."""
        return 100

    def refusal(self, params):
        """Return why a job with these params can never run, '' where only the scheduler knows."""
        return ''

    def throttle(self, jobs):
        """Hear how many jobs may run at once."""

    def started(self, task, start, params, said):
        """Hear what a task said when it started.

        Args:
            task: the task
            start: dict, its own words: host, pid, born, time
            params: of the job
            said: path of its words, without the suffix
        """

    def forget(self, task):
        """Hear that the end of a task is written down."""

    def settled(self, task):
        """Tell whether a task that has said its end will bring no more news."""
        return True

    def withdraw(self):
        """Take back what was submitted and has not begun, if that is for certain; return those tasks."""
        return []

    def close(self):
        """Let go. What was submitted goes on."""


def load(name, options=None):
    """Return the backend of this name.

    Raises:
        KeyError: there is none
    """
    if name not in NAMES:
        raise KeyError(name)
    module = import_module('{}.{}'.format(__name__, name))
    return module.BACKEND(options)
