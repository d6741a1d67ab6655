"""A stand-in for an LSF cluster: bsub, bjobs, bkill, bhist, bacct, bparams, bqueues, bhosts and lsid that really run
jobs.

The cluster is a folder, FAKE_LSF_DIR. `events` in it is a log of JSON lines under one lock, like lsb.events; a command
reads it and adds to it. The first bsub leaves a process behind that starts the jobs, watches their limits and ends when
nothing is left to do. What it prints is what LSF 10 prints, as far as that is known, odd exit values included.

It is told how to behave by lines KEY=value in the file `conf` of the folder, or by variables FAKE_LSF_KEY:

    the cluster
    HOSTS=hosta*64           its hosts and their slots
    QUEUES=normal short      the first is the default
    RUNLIMIT=short*60        the longest -W of a queue, in minutes
    MEMLIMIT=short*400M      the largest -M of a queue
    MINUTE=60                seconds that a minute of -W lasts
    TERMINATE_INTERVAL=10    seconds between INT, TERM and KILL
    CLEAN_PERIOD=3600        seconds after which bjobs and bkill forget an ended job
    MAX_JOB_ARRAY_SIZE=1000
    MAX_PEND_JOBS=           SUB_TRY_INTERVAL=60 between the tries of a bsub that waits for it
    LSF_UNIT_FOR_LIMITS=     KB, MB, GB or TB
    LSB_JOB_MEMLIMIT=        Y: -M is enforced, on the sum of the job's processes
    DISPLAY_ENH=             Y: bjobs writes 123[4]
    CONSISTENT=              Y: LSB_BJOBS_CONSISTENT_EXIT_CODE
    VERSION=10.1.0.15        what lsid says
    LSID=text                all that lsid says
    LACKS=jobindex mem       bjobs does not know these fields; -o: it has no such option
    IDLE=3                   seconds without jobs after which the process ends

    failing, stalling, lying: CMD is the name of a command in capitals, BSUB for instance
    DOWN=down                mbatchd does not answer: down, busy, connect, query or lim; RETRY=10 seconds between tries
    DOWN_CMD=down            the same for one command
    WAITING=2                so many waiting lines before each good answer; WAITING_STREAM=stderr or stdout
    HANG_CMD=5               it does nothing for so many seconds
    DELAY_CMD=5              it does its work and answers so many seconds later
    FAIL_CMD=text            it fails with this text and 255
    REFUSE=text              bsub refuses: `text. Job not submitted.`
    CHATTER=text             a line of the site's esub before each answer of bsub
    LOSE=hang                bsub submits and never says so: hang, quiet (no line, 0), empty (no line, 255), or timeout
    FORGET=101 102[3]        bjobs and bkill do not know these
    LIST=101:UNKWN           bjobs lists these with another state
    HOST_LOST=hosta          running jobs of the host are UNKWN
    HIDE_CODES=Y             bjobs leaves the exit code of EXIT out
    KILLED=TERM_PREEMPT: x   why a running job ends, in place of TERM_OWNER
    HIDE_REASONS=Y           LSF knows no TERM_ reasons
    MUTE=Y                   bjobs does not say which ids it does not know
    BHIST_REASONS=no         bhist has no TERM_ reasons, though bacct has
    ACCOUNTS=no              bacct and bhist are not for users
    KEY_TIMES=1              KEY holds only so often

`calls` lists every command that was run: time, name, arguments.
"""

import errno
import fcntl
import getpass
import json
import os
import re
import select
import shlex
import signal
import socket
import sys
import time

STATES_ENDED = ('DONE', 'EXIT')
UNITS = {'K': 2 ** 10, 'M': 2 ** 20, 'G': 2 ** 30, 'T': 2 ** 40}
WAITS = {
    'down': 'LSF is down. Please wait ...',
    'busy': 'LSF is processing your request. Please wait ...',
    'connect': 'Cannot connect to LSF. Please wait ...',
    'query': 'Batch system concurrent job query limit exceeded. LSF is retrying. Please wait...',
    'lim': 'LSF daemon (LIM) not responding ... still trying',
}
DEFAULTS = {'HOSTS': 'hosta*64', 'QUEUES': 'normal short', 'MINUTE': '60', 'TERMINATE_INTERVAL': '10',
            'CLEAN_PERIOD': '3600', 'MAX_JOB_ARRAY_SIZE': '1000', 'SUB_TRY_INTERVAL': '60', 'VERSION': '10.1.0.15',
            'IDLE': '3', 'RETRY': '10', 'WAITING_STREAM': 'stderr'}


# The folder ###########################################################################################################

def folder(*parts):
    """Return a path in the cluster's folder."""
    return os.path.join(os.environ['FAKE_LSF_DIR'], *parts)


class Locked:
    """The lock of the cluster, as a context."""

    def __enter__(self):
        self.fd = os.open(folder('lock'), os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        # Explicitly: the process that bsub leaves behind has a copy of the descriptor.
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        os.close(self.fd)


class Settings:
    """The file `conf`, read again after a twentieth of a second: a listing asks for a setting thousands of times."""

    values = {}
    until = 0

    @classmethod
    def read(cls):
        if time.monotonic() >= cls.until:
            try:
                with open(folder('conf')) as source:
                    cls.values = dict(line.rstrip('\n').split('=', 1) for line in source if '=' in line)
            except OSError:
                cls.values = {}
            cls.until = time.monotonic() + 0.05
        return cls.values


def conf(key, counts=True):
    """Return a setting as text, '' if it is not set; one with KEY_TIMES is used up by asking."""
    settings = Settings.read()
    value = settings.get(key, os.environ.get('FAKE_LSF_' + key, DEFAULTS.get(key, '')))
    times = settings.get(key + '_TIMES', os.environ.get('FAKE_LSF_' + key + '_TIMES'))
    if value and times is not None and counts:
        with Locked():
            path = folder('used.' + key)
            used = int(open(path).read()) if os.path.exists(path) else 0
            if used >= int(times):
                return DEFAULTS.get(key, '')
            with open(path, 'w') as target:
                target.write('{}'.format(used + 1))
    return value


def log(*events):
    """Add events to the log; the lock must be held."""
    data = ''.join(json.dumps(dict(event, t=event.get('t', time.time()))) + '\n' for event in events)
    fd = os.open(folder('events'), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(fd, data.encode())
    finally:
        os.close(fd)


def poke():
    """Wake the process that runs the jobs."""
    try:
        fd = os.open(folder('poke'), os.O_WRONLY | os.O_NONBLOCK)
        os.write(fd, b'.')
        os.close(fd)
    except OSError:
        pass


class Cluster:
    """What the log says: jobs, a dict by id; each has elements, a dict by index (0 for a single job)."""

    def __init__(self):
        self.jobs = {}
        self.offset = 0

    def read(self):
        """Take in what is new in the log, and return the new events."""
        try:
            with open(folder('events'), 'rb') as source:
                source.seek(self.offset)
                data = source.read()
        except OSError:
            return []
        data = data[:data.rfind(b'\n') + 1]
        self.offset += len(data)
        events = [json.loads(line.decode()) for line in data.splitlines()]
        for event in events:
            self.apply(event)
        return events

    def apply(self, event):
        kind = event['e']
        if kind == 'new':
            job = dict(event, elements={})
            self.jobs[event['id']] = job
            for k in event['idx']:
                job['elements'][k] = {'stat': 'PSUSP' if event['held'] else 'PEND', 'start': None, 'end': None,
                                      'host': '', 'code': None, 'why': '', 'cpu': 0.0, 'mem': 0, 'pid': None}
        elif kind in ('start', 'end'):
            element = self.jobs[event['id']]['elements'][event['k']]
            for key in ('stat', 'host', 'pid', 'code', 'why', 'cpu', 'mem'):
                if key in event:
                    element[key] = event[key]
            element['start' if kind == 'start' else 'end'] = event['t']


def hosts():
    """Return {host: slots}, in order."""
    return {name: int(count) for name, _, count in (word.partition('*') for word in conf('HOSTS').split())}


def indices(text):
    """Return the numbers of an index list such as 2,4-8:2. Raises ValueError."""
    found = []
    for part in text.split(','):
        span, _, step = part.partition(':')
        first, dash, last = span.partition('-')
        first, last, step = int(first), int(last if dash else first), int(step or 1)
        if first < 1 or last < first or step < 1:
            raise ValueError(part)
        found += range(first, last + 1, step)
    return sorted(set(found))


def say(text, stream=sys.stdout):
    stream.write(text + '\n')
    stream.flush()


def fail(text, code=255):
    """End the command with words on standard error."""
    say(text, sys.stderr)
    sys.exit(code)


def begin(command, tail=''):
    """Note the call, and behave as told before any work is done. Does not return where the command fails."""
    if not os.path.isdir(os.environ.get('FAKE_LSF_DIR', '')):
        fail('{}: FAKE_LSF_DIR is not a folder'.format(command))
    with open(folder('calls'), 'a') as target:
        target.write(json.dumps([time.time(), command] + sys.argv[1:]) + '\n')
    hang = conf('HANG_' + command.upper())
    if hang:
        time.sleep(float(hang))
    text = conf('FAIL_' + command.upper())
    if text:
        fail(text)
    if command == 'lsid':
        return
    stream = sys.stdout if conf('WAITING_STREAM') == 'stdout' else sys.stderr
    tries = 0
    while True:
        kind = conf('DOWN_' + command.upper()) or conf('DOWN')
        if not kind:
            break
        tries += 1
        limit = os.environ.get('LSB_NTRIES', '')
        if limit.isdigit() and tries >= int(limit):
            fail('Connection refused by server' + tail, 255 if tail else 254)
        say(WAITS[kind], stream)
        time.sleep(float(conf('RETRY')))
    for _ in range(int(conf('WAITING') or 0)):
        say(WAITS['busy'], stream)


def end(command):
    """Wait as told, before the answer of a command whose work is done."""
    delay = conf('DELAY_' + command.upper())
    if delay:
        time.sleep(float(delay))


def stamp(when, seconds=True):
    return time.strftime('%a %b %e %H:%M:%S' if seconds else '%b %e %H:%M', time.localtime(when))


def fold(text):
    """Fold a line as bhist and bacct do: 79 columns, then 21 blanks and 58 columns."""
    lines = [text[:79]]
    lines += [' ' * 21 + text[start:start + 58] for start in range(79, len(text), 58)]
    return '\n'.join(lines)


# bsub #################################################################################################################

WITH_VALUE = {'J', 'o', 'e', 'oo', 'eo', 'cwd', 'W', 'We', 'M', 'R', 'n', 'q', 'P', 'env', 'w', 'b', 't', 'Ep', 'E',
              'a', 'app', 'g', 'sp', 'u', 'm', 'G', 'sla', 'c', 'C', 'F', 'S', 'D', 'T', 'v', 'i', 'is', 'L', 'U', 'k',
              'f', 'Jd', 'outdir', 'rnc', 'gpu'}
FLAGS = {'r', 'rn', 'K', 'I', 'Ip', 'Is', 'H', 'N', 'B', 'x', 'h', 'V'}


def options(words):
    """Return (options, what follows them); -R gathers in a list."""
    found, rest = {}, list(words)
    while rest and rest[0].startswith('-') and len(rest[0]) > 1:
        key = rest.pop(0)[1:]
        if key == 'R':
            found.setdefault('R', []).append(rest.pop(0) if rest else '')
        elif key in WITH_VALUE:
            if not rest:
                fail('Option {} needs a value. Job not submitted.'.format(key))
            found[key] = rest.pop(0)
        elif key in FLAGS:
            found[key] = True
        else:
            fail('bsub: illegal option -- {}\nUsage: bsub [options] command [argument ...]'.format(key))
    return found, rest


def refuse(text):
    fail('{}. Job not submitted.'.format(text))


def size(text, default):
    """Return the bytes of a memory size of -M or rusage; None if it is not one."""
    found = re.match(r'(\d+)\s*(?:([KMGT])B?)?!?(?:/(?:job|host|task))?$', text)
    if not found:
        return None
    return int(found.group(1)) * UNITS[found.group(2) or (conf('LSF_UNIT_FOR_LIMITS') or default)[0]]


def requirement(texts):
    """Return (hosts, ptile) of the span sections, after a look at the syntax of all."""
    whole = ptile = None
    for text in texts:
        seen = set()
        for section, body in re.findall(r'(\w+)\s*\[([^][]*)\]', text):
            if section in seen:
                refuse('Error near "{}" : duplicate section'.format(section))
            seen.add(section)
            if section == 'rusage' and 'mem' in body:
                amount = re.search(r'mem\s*=\s*([^,:]*)', body)
                if not amount or size(amount.group(1).strip(), 'M') is None:
                    refuse('Error in rusage section')
            if section == 'span':
                span = re.match(r'\s*(hosts|ptile)\s*=\s*(\d+)\s*$', body)
                if not span:
                    refuse('Error in span section')
                if span.group(1) == 'hosts':
                    whole = True
                else:
                    ptile = int(span.group(2))
        if text.count('[') != text.count(']') or not seen and '[' in text:
            refuse('Bad resource requirement syntax')
    return whole, ptile


def bsub():
    quiet, chatty = 'BSUB_QUIET' in os.environ, sys.stderr if 'BSUB_STDERR' in os.environ else sys.stdout
    begin('bsub', '. Job not submitted.')
    given, rest = options(sys.argv[1:])
    script = ''
    if not rest:
        script = sys.stdin.read()
        embedded = {}
        for line in script.splitlines():
            if line.startswith('#BSUB'):
                words = shlex.split(line[5:], comments=True)
                for key, value in options(words)[0].items():
                    embedded[key] = embedded.get(key, []) + value if key == 'R' else value
        given = dict(embedded, **given)
    if conf('CHATTER'):
        say(conf('CHATTER'), sys.stderr)
    with Locked():
        number = int(open(folder('next')).read()) if os.path.exists(folder('next')) else 101
        with open(folder('next'), 'w') as target:
            target.write('{}'.format(number + 1))
    text = conf('REFUSE')
    if text:
        refuse(text)
    if not rest and not script.strip():
        refuse('No command is specified')
    job = check(given, number)
    job['cmd'] = ' '.join(rest) if rest else script
    job['script'] = not rest
    first = re.match(r'#![ \t]*(\S+)(?:[ \t]+(\S+))?', script)
    job['shell'] = [word for word in first.groups() if word] if first else ['/bin/sh']
    tries = 0
    while True:
        with Locked():
            cluster = Cluster()
            cluster.read()
            limit = conf('MAX_PEND_JOBS', counts=False)
            waiting = sum(element['stat'] == 'PEND' for other in cluster.jobs.values()
                          for element in other['elements'].values()) if limit else 0
            if not limit or waiting + len(job['idx']) <= int(limit):
                store(job, number)
                break
        tries += 1
        most = os.environ.get('LSB_NTRIES', '')
        if most.isdigit() and tries >= int(most):
            refuse('User <{}>: Pending job threshold reached'.format(getpass.getuser()))
        interval = conf('SUB_TRY_INTERVAL')
        say('User <{}>: Pending job threshold reached. Retrying in {} seconds...'.format(getpass.getuser(), interval),
            sys.stderr)
        time.sleep(float(interval))
    poke()
    lose = conf('LOSE')
    if lose == 'hang':
        time.sleep(3600)
    elif lose == 'timeout':
        refuse('Contacting batch daemon: Communication timeout')
    elif lose:
        sys.exit(255 if lose == 'empty' else 0)
    end('bsub')
    if not quiet:
        where = 'queue' if 'q' in given or 'LSB_DEFAULTQUEUE' in os.environ else 'default queue'
        say('Job <{}> is submitted to {} <{}>.'.format(number, where, job['queue']), chatty)
    if job['interactive']:
        sys.exit(interact(job))
    if given.get('K'):
        sys.exit(wait_for(job))


def check(given, number):
    """Return the job that these options describe; refuse what LSF refuses."""
    queues = conf('QUEUES').split()
    queue = given.get('q') or os.environ.get('LSB_DEFAULTQUEUE') or queues[0]
    if queue not in queues:
        refuse('{}: No such queue'.format(queue))
    name, idx, most = given.get('J', ''), [0], 0
    array = re.match(r'([^][]*)\[([^][]*)\](?:%(\d+))?$', name)
    if array:
        try:
            name, idx, most = array.group(1), indices(array.group(2)), int(array.group(3) or 0)
        except ValueError:
            refuse('Bad job name')
        if idx[-1] > int(conf('MAX_JOB_ARRAY_SIZE')):
            refuse('Job array index too large')
    elif '[' in name or ']' in name:
        refuse('Bad job name')
    minutes = None
    if 'W' in given:
        limit = re.match(r'(?:(\d+):)?(\d+)(?:/.*)?$', given['W'])
        if not limit:
            refuse('{}: Bad RUNLIMIT specification'.format(given['W']))
        minutes = int(limit.group(1) or 0) * 60 + int(limit.group(2))
        for word in conf('RUNLIMIT').split():
            if word.split('*')[0] == queue and minutes > int(word.split('*')[1]):
                refuse('RUNLIMIT: Cannot exceed queue\'s hard limit(s)')
    memory = None
    if 'M' in given:
        memory = size(given['M'], 'K')
        if memory is None:
            refuse('{}: Bad MEMLIMIT specification'.format(given['M']))
        for word in conf('MEMLIMIT').split():
            if word.split('*')[0] == queue and memory > size(word.split('*')[1], 'K'):
                refuse('MEMLIMIT: Cannot exceed queue\'s hard limit(s)')
    count = given.get('n', '1').split(',')[0]
    if not count.isdigit() or count == '0':
        refuse('{}: Bad NUMBER OF PROCESSORS specification'.format(count))
    if int(count) > sum(hosts().values()):
        refuse('Too many processors requested')
    whole, ptile = requirement(given.get('R', []))
    return {'e': 'new', 'id': number, 'name': name, 'array': bool(array), 'idx': idx, 'most': most, 'queue': queue,
            'user': getpass.getuser(), 'n': int(count), 'whole': bool(whole), 'ptile': ptile, 'minutes': minutes,
            'memory': memory, 'cwd': given.get('cwd') or os.getcwd(), 'held': bool(given.get('H')),
            'out': given.get('oo') or given.get('o'), 'err': given.get('eo') or given.get('e'),
            'outnew': 'oo' in given, 'errnew': 'eo' in given, 'from': socket.gethostname(), 'project': given.get('P'),
            'report': not given.get('N'), 'interactive': bool(given.get('I') or given.get('Ip') or given.get('Is')),
            'env': given.get('env', 'all')}


def store(job, number):
    """Put a job into the cluster, and see that somebody runs it; the lock must be held."""
    os.makedirs(folder('spool'), exist_ok=True)
    environ = {} if job['env'] == 'none' else dict(os.environ)
    with open(folder('spool', '{}.env'.format(number)), 'w') as target:
        json.dump(environ, target)
    if job['script']:
        with open(folder('spool', '{}.sh'.format(number)), 'w', errors='surrogateescape') as target:
            target.write(job['cmd'])
        job['cmd'] = ';'.join(job['cmd'].splitlines())[:4094]
    log(job)
    if not job['interactive']:
        ensure_runner()


def interact(job):
    """Run an interactive job here, as the terminal's own, and return its exit code."""
    say('<<Waiting for dispatch ...>>', sys.stderr)
    host = sorted(hosts())[0]
    say('<<Starting on {}>>'.format(host), sys.stderr)
    pid = os.fork()
    if pid == 0:
        os.environ.update(variables(job, 0, [host] * job['n']))
        try:
            os.chdir(job['cwd'])
        except OSError:
            os.chdir('/tmp')
        os.execv('/bin/sh', ['/bin/sh', '-c', job['cmd']])
    with Locked():
        log({'e': 'start', 'id': job['id'], 'k': 0, 'stat': 'RUN', 'host': host, 'pid': pid})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, status, usage = os.wait4(pid, 0)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    with Locked():
        log({'e': 'end', 'id': job['id'], 'k': 0, 'stat': 'EXIT' if code else 'DONE', 'code': code,
             'cpu': usage.ru_utime + usage.ru_stime, 'mem': usage.ru_maxrss * 1024})
    return code


def wait_for(job):
    """Wait as bsub -K does, and return the job's exit code."""
    say('<<Waiting for dispatch ...>>', sys.stderr)
    cluster = Cluster()
    while True:
        cluster.read()
        elements = cluster.jobs[job['id']]['elements'].values()
        if all(element['stat'] in STATES_ENDED for element in elements):
            break
        time.sleep(0.1)
    if 'BSUB_QUIET2' not in os.environ:
        say('<<Job is finished>>', sys.stderr)
    element = list(elements)[0]
    return 126 if element['start'] is None and element['stat'] == 'EXIT' else element['code'] or 0


def variables(job, k, places):
    """Return what LSF puts into the environment of a task that has a slot on each of these hosts."""
    counts = [(name, places.count(name)) for name in sorted(set(places))]
    path = {key: (job[key] or '').replace('%J', '{}'.format(job['id'])).replace('%I', '{}'.format(k))
            for key in ('out', 'err')}
    return {'LSB_JOBID': '{}'.format(job['id']), 'LSB_JOBINDEX': '{}'.format(k),
            'LSB_JOBINDEX_END': '{}'.format(job['idx'][-1]), 'LSB_BATCH_JID': title(job, k),
            'LSB_JOBNAME': listed_name(job, k), 'LSB_QUEUE': job['queue'], 'LSB_HOSTS': ' '.join(places),
            'LSB_MCPU_HOSTS': ' '.join('{} {}'.format(*pair) for pair in counts), 'LSB_SUB_HOST': job['from'],
            'LSB_DJOB_NUMPROC': '{}'.format(job['n']), 'LS_SUBCWD': job['cwd'], 'LSB_OUTPUTFILE': path['out'],
            'LSB_ERRORFILE': path['err']}


def title(job, k):
    """Return '123[4]' or '123'."""
    return '{}[{}]'.format(job['id'], k) if job['array'] else '{}'.format(job['id'])


def listed_name(job, k):
    if not job['name']:
        return job['cmd'][:200]
    return '{}[{}]'.format(job['name'], k) if job['array'] else job['name']


# The process that runs the jobs #######################################################################################

def ensure_runner():
    """Start the process that runs the jobs, unless there is one; the lock must be held."""
    mine = os.open(folder('runner.lock'), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(mine)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return
    if not os.path.exists(folder('poke')):
        os.mkfifo(folder('poke'))
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os.close(mine)
        return
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        notes = os.open(folder('runner.log'), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for target, source in ((0, null), (1, notes), (2, notes)):
            os.dup2(source, target)
        for fd in range(3, 256):
            if fd != mine:
                try:
                    os.close(fd)
                except OSError:
                    pass
        os.chdir('/')
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR2, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        with open(folder('runner.pid'), 'w') as target:
            target.write('{}'.format(os.getpid()))
        runner = Runner()
        try:
            runner.run()
        finally:
            runner.kill_all(list(runner.running), signal.SIGKILL)
    except BaseException:
        # Without its folder the cluster is gone, and that is how a test ends it.
        if os.path.isdir(folder()):
            import traceback
            traceback.print_exc()
    finally:
        os._exit(0)


class Runner:
    """Starts pending tasks where slots are free, ends those over a limit, and writes down how they end."""

    def __init__(self):
        self.cluster = Cluster()
        self.waiting = {}
        self.running = {}
        self.signals = []
        self.free = hosts()
        self.events = []
        self.environs = {}

    def run(self):
        wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken)
        # Read and write, so that it never is at its end.
        poked = os.open(folder('poke'), os.O_RDWR | os.O_NONBLOCK)
        idle = time.monotonic()
        while True:
            self.take_in()
            self.reap()
            self.start()
            self.flush()
            self.limits()
            if self.running or any(self.waiting.values()):
                idle = time.monotonic()
            if time.monotonic() - idle > float(conf('IDLE')):
                with Locked():
                    if not self.cluster.read():
                        # Under the lock: the next bsub finds that nobody is here.
                        os._exit(0)
            ready = select.select([wake, poked], [], [], 0.1 if self.signals or self.running else 0.5)[0]
            for fd in ready:
                try:
                    os.read(fd, 65536)
                except OSError:
                    pass

    def take_in(self):
        with Locked():
            events = self.cluster.read()
        for event in events:
            if event['e'] == 'new' and not event['interactive']:
                self.waiting[event['id']] = list(event['idx'])[::-1] if not event['held'] else []
            elif event['e'] == 'end' and event['id'] in self.waiting:
                # Killed while pending.
                if event['k'] in self.waiting[event['id']]:
                    self.waiting[event['id']].remove(event['k'])
            elif event['e'] == 'kill':
                self.kill(event)

    def kill(self, event):
        for task in self.running.values():
            if task['id'] == event['id'] and task['k'] in event['k']:
                if event['signal']:
                    self.signals.append((0, task['pid'], event['signal']))
                else:
                    why = conf('KILLED') or 'TERM_OWNER: job killed by owner'
                    self.terminate(task, why, (signal.SIGINT, signal.SIGTERM))

    def terminate(self, task, why, polite):
        """Send the polite signals, then KILL, each an interval after the other."""
        task['why'] = task['why'] or why
        gap = float(conf('TERMINATE_INTERVAL'))
        for step, number in enumerate(tuple(polite) + (signal.SIGKILL,)):
            self.signals.append((time.monotonic() + step * gap, task['pid'], number))

    def reap(self):
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            task = self.running.pop(pid, None)
            if not task:
                continue
            self.signals = [entry for entry in self.signals if entry[1] != pid]
            for name in task['places']:
                self.free[name] += 1
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            if task['why']:
                self.kill_all([pid], signal.SIGKILL)
            job = self.cluster.jobs[task['id']]
            stat = 'EXIT' if code or task['why'] else 'DONE'
            event = {'e': 'end', 'id': task['id'], 'k': task['k'], 'stat': stat, 'code': code,
                     'why': '' if conf('HIDE_REASONS') else task['why'], 'cpu': usage.ru_utime + usage.ru_stime,
                     'mem': max(usage.ru_maxrss * 1024, task['peak']), 't': time.time(), 'start': task['begun']}
            self.deliver(job, task['k'], event, os.WIFSIGNALED(status))
            self.events.append(event)

    def start(self):
        most = {}
        for task in self.running.values():
            most[task['id']] = most.get(task['id'], 0) + 1
        for number in sorted(self.waiting):
            waiting = self.waiting[number]
            job = self.cluster.jobs[number]
            while waiting and not (job['most'] and most.get(number, 0) >= job['most']):
                places = self.place(job)
                if not places:
                    break
                most[number] = most.get(number, 0) + 1
                self.launch(job, waiting.pop(), places)
            if not waiting:
                del self.waiting[number]

    def place(self, job):
        """Return a host for each slot, or [] if there is no room."""
        if job['whole'] or job['n'] == 1:
            for name in self.free:
                if self.free[name] >= job['n']:
                    return [name] * job['n']
            return []
        places = []
        for name in self.free:
            places += [name] * min(self.free[name], job['ptile'] or job['n'], job['n'] - len(places))
        return places if len(places) == job['n'] else []

    def launch(self, job, k, places):
        for name in places:
            self.free[name] -= 1
        number = job['id']
        if number not in self.environs:
            with open(folder('spool', '{}.env'.format(number))) as source:
                self.environs = {number: json.load(source)}
        environ = dict(self.environs[number], **variables(job, k, places))
        host = ':'.join('{}*{}'.format(places.count(name), name) if places.count(name) > 1 else name
                        for name in sorted(set(places)))
        event = {'e': 'start', 'id': number, 'k': k, 'stat': 'RUN', 'host': host, 't': time.time()}
        where = job['cwd'] if os.path.isdir(job['cwd']) else '/tmp'
        if where != job['cwd'] and environ.get('LSB_EXIT_IF_CWD_NOTEXIST', '').upper() == 'Y':
            for name in places:
                self.free[name] += 1
            finish = {'e': 'end', 'id': number, 'k': k, 'stat': 'EXIT', 'code': 2, 'cpu': 0.0, 'mem': 0,
                      't': time.time(), 'start': time.time(),
                      'why': 'TERM_CWD_NOTEXIST: current working directory is not accessible or does not exist on the '
                             'execution host'}
            self.events += [event, finish]
            return
        if job['script']:
            path = folder('spool', '{}.sh'.format(number))
            argv = job['shell'] + [path]
        else:
            argv = ['/bin/sh', '-c', job['cmd']]
        streams = []
        for kind in ('out', 'err'):
            if kind == 'err' and not job['err']:
                streams.append(streams[0])
            else:
                streams.append(os.open(folder('spool', '{}.{}.{}'.format(number, k, kind)),
                                       os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644))
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                signal.set_wakeup_fd(-1)
                for signum in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
                    signal.signal(signum, signal.SIG_DFL)
                os.dup2(streams[0], 1)
                os.dup2(streams[1], 2)
                os.chdir(where)
                os.execve(argv[0], argv, environ)
            except BaseException:
                os._exit(127)
        for fd in set(streams):
            os.close(fd)
        event['pid'] = pid
        self.events.append(event)
        limit = None if job['minutes'] is None else time.monotonic() + job['minutes'] * float(conf('MINUTE'))
        self.running[pid] = {'id': number, 'k': k, 'pid': pid, 'places': places, 'why': '', 'limit': limit, 'peak': 0,
                             'memory': job['memory'], 'begun': event['t']}

    def limits(self):
        """Send the signals that are due, and look after run time and memory."""
        now = time.monotonic()
        due = [entry for entry in self.signals if entry[0] <= now]
        self.signals = [entry for entry in self.signals if entry[0] > now]
        for _, pid, number in due:
            if pid in self.running:
                self.kill_all([pid], number)
        watched = []
        for task in self.running.values():
            if task['limit'] and now >= task['limit'] and not task['why']:
                task['why'] = 'TERM_RUNLIMIT: job killed after reaching LSF run time limit'
                self.signals.append((now, task['pid'], signal.SIGUSR2))
                self.signals.append((now + 10 * float(conf('MINUTE')), task['pid'], signal.SIGKILL))
            elif task['memory'] and not task['why']:
                watched.append(task)
        if not watched or conf('LSB_JOB_MEMLIMIT').upper() != 'Y':
            return
        sums = {}
        for pid, session, resident in processes():
            sums[session] = sums.get(session, 0) + resident
        for task in watched:
            task['peak'] = max(task['peak'], sums.get(task['pid'], 0))
            if task['peak'] > task['memory']:
                self.terminate(task, 'TERM_MEMLIMIT: job killed after reaching LSF memory usage limit',
                               (signal.SIGINT, signal.SIGTERM))

    def kill_all(self, sessions, number):
        """Send a signal to every process of these sessions."""
        for pid, session, _ in processes():
            if session in sessions:
                try:
                    os.kill(pid, number)
                except OSError:
                    pass

    def flush(self):
        """Write down what has happened, and take it in like any other command does."""
        if self.events:
            try:
                with Locked():
                    log(*self.events)
            except OSError:
                if os.path.isdir(folder()):
                    raise
            self.events = []

    def deliver(self, job, k, event, signalled):
        """Put the job's output where -o and -e say, with the report; this is when LSF does it."""
        def path(name):
            found = name.replace('%J', '{}'.format(job['id'])).replace('%I', '{}'.format(k))
            return os.path.join(job['cwd'], found)

        text = report(job, k, event, signalled)
        for kind in ('out', 'err'):
            spooled = folder('spool', '{}.{}.{}'.format(job['id'], k, kind))
            if not os.path.exists(spooled):
                continue
            with open(spooled, 'rb') as source:
                data = source.read()
            os.unlink(spooled)
            target = path(job[kind]) if job[kind] else folder('mail.{}.{}'.format(job['id'], k))
            if target == os.devnull:
                continue
            if kind == 'out':
                data = text.encode('utf-8', 'surrogateescape') + data
            try:
                with open(target, 'wb' if job[kind + 'new'] else 'ab') as sink:
                    sink.write(data)
            except OSError:
                pass


def processes():
    """Yield (pid, session, resident bytes) of all processes."""
    page = os.sysconf('SC_PAGE_SIZE')
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open('/proc/{}/stat'.format(name), 'rb') as source:
                    fields = source.read().rpartition(b')')[2].split()
            except OSError:
                continue
            yield int(name), int(fields[3]), int(fields[21]) * page


def report(job, k, event, signalled):
    """Return the job report that goes before the output."""
    words = [event['why'] + '.'] if event['why'] else []
    if event['stat'] == 'DONE':
        words.append('Successfully completed.')
    elif signalled:
        words.append('Exited with signal termination: {}.'.format(event['code'] - 128))
    else:
        words.append('Exited with exit code {}.'.format(event['code']))
    line = '-' * 60
    return '\n'.join([
        'Sender: LSF System <lsfadmin@{}>'.format(job['from']),
        'Subject: Job {}: <{}> in cluster <fake> {}'.format(
            title(job, k), listed_name(job, k), 'Done' if event['stat'] == 'DONE' else 'Exited'),
        '', 'Job <{}> was submitted from host <{}> by user <{}> in cluster <fake> at {}'.format(
            listed_name(job, k), job['from'], job['user'], stamp(job['t'])),
        'Started at {}'.format(stamp(event['start'])), 'Terminated at {}'.format(stamp(event['t'])),
        'Results reported at {}'.format(stamp(event['t'])), '', 'Your job looked like:', '', line,
        '# LSBATCH: User input', job['cmd'], line, ''] + words + [
        '', 'Resource usage summary:', '',
        '    CPU time :                                   {:.2f} sec.'.format(event['cpu']),
        '    Max Memory :                                 {} MB'.format(max(1, event['mem'] >> 20)),
        '', 'The output (if any) follows:', '', ''])


# bjobs ################################################################################################################

def known(cluster, job, k):
    """Say whether bjobs and bkill still know a task."""
    element = job['elements'][k]
    forgotten = conf('FORGET', counts=False).split()
    if '{}'.format(job['id']) in forgotten or title(job, k) in forgotten:
        return False
    return element['end'] is None or time.time() - element['end'] <= float(conf('CLEAN_PERIOD'))


def select_tasks(cluster, word):
    """Return the tasks [(job, k)] that an id or '123[4-6]' names; [] if there are none."""
    match = re.match(r'(\d+)(?:\[([^]]*)\])?$', word)
    job = cluster.jobs.get(int(match.group(1))) if match else None
    if not job:
        return []
    if match.group(2) is None:
        return [(job, k) for k in job['idx']]
    try:
        wanted = indices(match.group(2))
    except ValueError:
        return []
    return [(job, k) for k in wanted if k in job['elements']]


def state(job, k):
    """Return the state that bjobs shows, lies included."""
    element = job['elements'][k]
    for word in conf('LIST', counts=False).split():
        name, _, lie = word.rpartition(':')
        if name in ('{}'.format(job['id']), title(job, k)):
            return lie
    if element['stat'] == 'RUN' and conf('HOST_LOST', counts=False) in element['host'].split(':') \
            and conf('HOST_LOST', counts=False):
        return 'UNKWN'
    return element['stat']


def clock(seconds, hms):
    if hms:
        seconds = int(seconds)
        return '{:02d}:{:02d}:{:02d}'.format(seconds // 3600, seconds // 60 % 60, seconds % 60)
    return '{:d} second(s)'.format(int(seconds))


def memory(value):
    if not value:
        return '-'
    for unit, name in (('G', 'Gbytes'), ('M', 'Mbytes')):
        if value >= UNITS[unit]:
            number = value / UNITS[unit]
            return '{} {}'.format('{:.1f}'.format(number) if unit == 'G' and number % 1 else int(number), name)
    return '{} Kbytes'.format(value // 1024)


def pending(job, element):
    if element['stat'] == 'PSUSP':
        return 'Job was suspended by the user while pending;'
    if element['stat'] != 'PEND':
        return '-'
    if job['whole'] and job['n'] > max(hosts().values()):
        return 'Not enough processors to meet the job\'s spanning requirement: {} hosts;'.format(len(hosts()))
    if time.time() - job['t'] < 1:
        return 'New job is waiting for scheduling;'
    return 'Not enough job slot(s): {} host{};'.format(len(hosts()), 's' if len(hosts()) > 1 else '')


def field(name, job, k, hms):
    """Return one field of bjobs -o."""
    element = job['elements'][k]
    begun, ended = element['start'], element['end']
    if name in ('jobid', 'id'):
        return title(job, k) if conf('DISPLAY_ENH', counts=False) else '{}'.format(job['id'])
    if name == 'exit_code':
        shown = element['stat'] == 'EXIT' and element['code'] and not conf('HIDE_CODES', counts=False)
        return '{}'.format(element['code']) if shown else '-'
    values = {
        'jobindex': k, 'stat': state(job, k), 'user': job['user'], 'queue': job['queue'],
        'job_name': listed_name(job, k), 'name': listed_name(job, k), 'proj_name': job['project'] or 'default',
        'exit_reason': element['why'] or '-', 'exec_host': element['host'] or '-', 'from_host': job['from'],
        'slots': job['n'], 'nalloc_slot': job['n'] if begun and not ended else '-',
        'submit_time': stamp(job['t'], False), 'start_time': stamp(begun, False) if begun else '-',
        'finish_time': stamp(ended, False) + (' X' if job['minutes'] and element['code'] == 140 else ' L')
        if ended and job['minutes'] else stamp(ended, False) if ended else '-',
        'run_time': clock((ended or time.time()) - begun if begun else 0, hms),
        'cpu_used': clock(element['cpu'], hms) if hms else '{:.1f} second(s)'.format(element['cpu']),
        'max_mem': memory(element['mem']), 'mem': '-', 'pend_reason': pending(job, element), 'command': job['cmd'],
        'sub_cwd': job['cwd'], 'output_file': job['out'] or '-', 'error_file': job['err'] or '-',
    }
    if name not in values:
        fail('{}: unknown field name'.format(name))
    return '{}'.format(values[name])


def bjobs():
    begin('bjobs')
    words = sys.argv[1:]
    given, ids = {}, []
    while words:
        word = words.pop(0)
        if word in ('-o', '-J', '-u', '-q', '-m', '-P', '-g'):
            given[word] = words.pop(0) if words else ''
        elif word.startswith('-') and len(word) > 1:
            given[word] = True
        else:
            ids.append(word)
    if '-json' in given and ('-noheader' in given or '-o' not in given):
        fail('bjobs: -json goes with -o, and without -noheader')
    cluster = Cluster()
    with Locked():
        cluster.read()
    consistent = (conf('CONSISTENT') or os.environ.get('LSB_BJOBS_CONSISTENT_EXIT_CODE', '')).upper() == 'Y'
    found, missing = [], []
    if ids:
        for word in ids:
            tasks = [task for task in select_tasks(cluster, word) if known(cluster, *task)]
            found += tasks
            if not tasks:
                missing.append(word)
    else:
        for number in sorted(cluster.jobs):
            job = cluster.jobs[number]
            found += [(job, k) for k in job['idx'] if known(cluster, job, k)
                      and ('-a' in given or '-d' in given or job['elements'][k]['stat'] not in STATES_ENDED)]
    if '-J' in given:
        pattern = '.*'.join(re.escape(part) for part in given['-J'].split('*')) + '$'
        found = [(job, k) for job, k in found
                 if re.match(pattern, job['name']) or re.match(pattern, listed_name(job, k))]
        if not found and not ids:
            missing.append(given['-J'])
    for key, wanted in (('-r', 'RUN'), ('-p', 'PEND')):
        if key in given:
            found = [(job, k) for job, k in found if job['elements'][k]['stat'] == wanted]
    if '-q' in given:
        found = [(job, k) for job, k in found if job['queue'] == given['-q']]
    end('bjobs')
    show(given, found)
    for word in missing if not conf('MUTE') else []:
        say('Job <{}> is not found'.format(word), sys.stderr)
    if not found and not missing:
        say('No job found' if '-a' in given else 'No unfinished job found', sys.stderr)
    if missing and (found or consistent) or consistent and not found:
        sys.exit(255)


def show(given, found):
    """Print tasks: as -o says, as JSON, or as the plain table."""
    text = given.get('-o') or os.environ.get('LSB_BJOBS_FORMAT') or ''
    lacks = conf('LACKS', counts=False).split()
    if '-o' in lacks and '-o' in given:
        fail('bjobs: illegal option -- o\nUsage: bjobs [-h] [-V] [-w |-l] [-a] [-d] [-p] [-s] [-r] [jobId ...]')
    for word in text.split():
        if word in lacks:    # as OpenLava 4 says it, one at a time
            say('Invalid field specs {}'.format(word))
            sys.exit(99)
    delimiter = re.search(r'delimiter=[\'"](.)[\'"]', text)
    names = [word.split(':')[0] for word in re.sub(r'delimiter=\S+', '', text).split()]
    hms = '-hms' in given
    if '-json' in given:
        say(json.dumps({'COMMAND': 'bjobs', 'JOBS': len(found), 'RECORDS': [
            {name.upper(): '' if value == '-' else value
             for name, value in ((name, field(name, job, k, hms)) for name in names)} for job, k in found]}))
        return
    if names:
        glue = delimiter.group(1) if delimiter else ' '
        lines = [glue.join(field(name, job, k, hms) for name in names) for job, k in found]
        if lines and '-noheader' not in given:
            lines.insert(0, glue.join(name.upper() for name in names))
    else:
        lines = []
        wide = '-w' in given
        for job, k in found:
            name = listed_name(job, k)
            host = job['elements'][k]['host'] or ('-' if wide else '')
            lines.append('{:<7} {:<7} {:<5} {:<10} {:<11} {:<11} {:<10} {}'.format(
                *('{}'.format(job['id']) if wide else '{}'.format(job['id'])[-7:], job['user'] if wide else
                  job['user'][:7], state(job, k), job['queue'], job['from'] if wide else job['from'][:11], host,
                  name if wide or len(name) <= 10 else '*' + name[-9:], stamp(job['t'], False))))
        if lines and '-noheader' not in given:
            lines.insert(0, 'JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME')
    if lines:
        say('\n'.join(lines))


# bkill ################################################################################################################

def bkill():
    begin('bkill')
    words, number, force, ids = sys.argv[1:], 0, False, []
    while words:
        word = words.pop(0)
        if word == '-s':
            name = words.pop(0)
            number = int(name) if name.isdigit() else int(getattr(signal, 'SIG' + name.upper().replace('SIG', '')))
        elif word == '-r':
            force = True
        elif word in ('-C', '-J', '-q', '-m', '-u'):
            words.pop(0)
        else:
            ids.append(word)
    if not ids:
        fail('Job ID or -J or -q or -m or -u must be specified')
    code = 0
    lines = []
    with Locked():
        cluster = Cluster()
        cluster.read()
        everything = ['{}'.format(name) for name, job in sorted(cluster.jobs.items())
                      if any(element['stat'] not in STATES_ENDED for element in job['elements'].values())]
        events = []
        for word in everything if '0' in ids else ids:
            tasks = [task for task in select_tasks(cluster, word) if known(cluster, *task)]
            alive = [(job, k) for job, k in tasks if job['elements'][k]['stat'] not in STATES_ENDED]
            if not alive:
                code = 255
                lines.append((sys.stderr, 'Job <{}>: {}'.format(
                    word, 'Job has already finished' if tasks else 'No matching job found')))
                continue
            stopped = [k for _, k in alive if alive[0][0]['elements'][k]['stat'] == 'RUN']
            for job, k in alive:
                if k not in stopped and not number:
                    events.append({'e': 'end', 'id': job['id'], 'k': k, 'stat': 'EXIT', 'code': None,
                                   'why': '' if conf('HIDE_REASONS') else 'TERM_OWNER: job killed by owner'})
            if stopped:
                events.append({'e': 'kill', 'id': alive[0][0]['id'], 'k': stopped,
                               'signal': int(signal.SIGKILL) if force else number})
            doing = 'signaled' if number else 'terminated'
            named = [word] if '[' not in word else [title(job, k) for job, k in alive]
            lines += [(sys.stdout, 'Job <{}> is being {}'.format(name, doing)) for name in named]
        if events:
            log(*events)
    poke()
    end('bkill')
    for stream, line in lines:
        say(line, stream)
    sys.exit(code)


# bhist, bacct #########################################################################################################

def selection(command, valued):
    """Return (options, tasks, words) of bhist or bacct."""
    begin(command)
    if conf('ACCOUNTS') == 'no':
        fail('{}: User permission denied'.format(command))
    words, given, ids = sys.argv[1:], set(), []
    while words:
        word = words.pop(0)
        if word in valued:
            words.pop(0)
        elif word.startswith('-'):
            given.add(word)
        else:
            ids.append(word)
    cluster = Cluster()
    with Locked():
        cluster.read()
    if ids:
        tasks = [task for word in ids for task in select_tasks(cluster, word)]
    else:
        tasks = [(job, k) for number, job in sorted(cluster.jobs.items()) for k in job['idx']]
        if command == 'bhist' and '-a' not in given:
            tasks = [(job, k) for job, k in tasks if job['elements'][k]['stat'] not in STATES_ENDED]
    end(command)
    return given, tasks


def header(job, k, stat=''):
    name = ', Job Name <{}>'.format(listed_name(job, k)) if job['name'] else ''
    return 'Job <{}>{}, User <{}>, Project <{}>, {}{}Command <{}>'.format(
        title(job, k), name, job['user'], job['project'] or 'default',
        'Status <{}>, Queue <{}>, '.format(stat, job['queue']) if stat else '', '', job['cmd'])


def submitted(job):
    files = ''.join(', {} File{} <{}>'.format(word, ' (overwrite)' if job[key + 'new'] else '', job[key])
                    for word, key in (('Output', 'out'), ('Error', 'err')) if job[key])
    return '{}: Submitted from host <{}>, to Queue <{}>, CWD <{}>{};'.format(
        stamp(job['t']), job['from'], job['queue'], job['cwd'], files)


def spent(job, element):
    """Return (seconds pending, seconds running)."""
    until = element['end'] or time.time()
    return int((element['start'] or until) - job['t']), int(until - element['start']) if element['start'] else 0


def bhist():
    given, tasks = selection('bhist', ('-n', '-J', '-u', '-q', '-C', '-S', '-D', '-T', '-t0', '-f', '-P', '-m'))
    if not tasks:
        say('No matching job found')
        sys.exit(255)
    if '-l' not in given:
        say('Summary of time in seconds spent in various states:')
        say('JOBID   USER    JOB_NAME  PEND    PSUSP   RUN     USUSP   SSUSP   UNKWN   TOTAL')
    for job, k in tasks:
        element = job['elements'][k]
        waited, ran = spent(job, element)
        if '-l' not in given:
            say('{:<7} {:<7} {:<9} {:<7} 0       {:<7} 0       0       0       {}'.format(
                title(job, k), job['user'][:7], listed_name(job, k)[-9:], waited, ran, waited + ran))
            continue
        lines = [header(job, k), submitted(job)]
        mark = '[{}] '.format(k) if job['array'] else ''
        if element['start']:
            count = element['host'].count(':') + 1
            at = stamp(element['start'])
            lines.append('{}: {}Dispatched {} Task(s) on Host(s) <{}>, Allocated {} Slot(s) on Host(s) <{}>, Effective '
                         'RES_REQ <select[type == local] order[r15s:pg] >;'.format(
                             at, mark, count, element['host'], job['n'], element['host']))
            lines.append('{}: {}Starting (Pid {});'.format(at, mark, element['pid']))
        if element['end']:
            at = stamp(element['end'])
            used = ' The CPU time used is {:.1f} seconds;'.format(element['cpu'])
            if element['stat'] == 'DONE':
                lines.append('{}: {}Done successfully.{}'.format(at, mark, used))
            elif element['start'] is None:
                lines.append('{}: {}Exited'.format(at, mark))
            else:
                lines.append('{}: {}Exited with exit code {}.{}'.format(at, mark, element['code'], used))
            if element['why'] and conf('BHIST_REASONS') != 'no':
                lines.append('{}: {}Completed <exit>; {};'.format(at, mark, element['why']))
        say('\n' + '\n'.join(fold(line) for line in lines))
        if element['mem']:
            say('\nMEMORY USAGE:\nMAX MEM: {};  AVG MEM: {}'.format(memory(element['mem']), memory(element['mem'])))
        say('\nSummary of time in seconds spent in various states by  {}\n  PEND     PSUSP    RUN      USUSP    '
            'SSUSP    UNKWN    TOTAL\n  {:<8} 0        {:<8} 0        0        0        {:<8}'.format(
                stamp(time.time()), waited, ran, waited + ran))
        say('-' * 78)


def bacct():
    given, tasks = selection('bacct', ('-u', '-q', '-C', '-S', '-D', '-f', '-P', '-m', '-N', '-app'))
    tasks = [(job, k) for job, k in tasks if job['elements'][k]['stat'] in STATES_ENDED]
    line = '-' * 78
    say('\nAccounting information about jobs that are: \n  - submitted by all users.\n  - accounted on all projects.\n'
        '  - completed normally or exited\n  - executed on all hosts.\n  - submitted to all queues.\n'
        '  - accounted on all service classes.\n' + line)
    if not tasks:
        say('\nSUMMARY:      ( time unit: second ) \n Total number of done jobs:       0      Total number of exited '
            'jobs:     0')
        return
    for job, k in tasks if '-l' in given else []:
        element = job['elements'][k]
        waited, ran = spent(job, element)
        mark = '[{}] '.format(k) if job['array'] else ''
        lines = [header(job, k, element['stat']), submitted(job)]
        if element['start']:
            lines.append('{}: {}Dispatched {} Task(s) on Host(s) <{}>, Allocated {} Slot(s) on Host(s) <{}>;'.format(
                stamp(element['start']), mark, job['n'], element['host'], job['n'], element['host']))
        why = '; ' + element['why'] if element['why'] else ''
        lines.append('{}: Completed <{}>{}.'.format(stamp(element['end']), element['stat'].lower(), why))
        say('\n' + '\n'.join(fold(text) for text in lines))
        say('\nAccounting information about this job:\n     CPU_T     WAIT     TURNAROUND   STATUS     HOG_FACTOR  '
            '  MEM    SWAP\n {:>9.2f} {:>8} {:>14} {:>8} {:>14.4f} {:>6} {:>7}'.format(
                element['cpu'], waited, waited + ran, element['stat'].lower(),
                element['cpu'] / max(1, waited + ran), '{}M'.format(element['mem'] >> 20), '0M'))
        say(line)
    done = sum(job['elements'][k]['stat'] == 'DONE' for job, k in tasks)
    say('\nSUMMARY:      ( time unit: second ) \n Total number of done jobs: {:>7}      Total number of exited '
        'jobs: {:>5}'.format(done, len(tasks) - done))


# bhosts, bqueues, bparams, lsid #######################################################################################

def bhosts():
    begin('bhosts')
    cluster = Cluster()
    with Locked():
        cluster.read()
    used = {}
    for job in cluster.jobs.values():
        for element in job['elements'].values():
            if element['stat'] == 'RUN':
                for part in element['host'].split(':'):
                    count, _, name = part.rpartition('*')
                    used[name] = used.get(name, 0) + int(count or 1)
    end('bhosts')
    lines = ['HOST_NAME          STATUS       JL/U    MAX  NJOBS    RUN  SSUSP  USUSP    RSV ']
    for name, count in hosts().items():
        busy = used.get(name, 0)
        status = 'unreach' if name == conf('HOST_LOST') else 'closed_Full' if busy >= count else 'ok'
        if '-w' not in sys.argv:
            status, name = status.split('_')[0], name[:18]
        lines.append('{:<18} {:<12} {:>5} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}'.format(
            name, status, '-', count, busy, busy, 0, 0, 0))
    say('\n'.join(lines))


def bqueues():
    begin('bqueues')
    end('bqueues')
    limits = [dict(word.split('*') for word in conf(name).split()) for name in ('RUNLIMIT', 'MEMLIMIT')]
    parts = []
    for queue in conf('QUEUES').split():
        lines = ['QUEUE: ' + queue, '  -- A queue of a stand-in.', '', 'PARAMETERS/STATISTICS',
                 'PRIO NICE STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN SSUSP USUSP  RSV ',
                 ' 30    0  Open:Active       -    -    -    -     0     0     0     0     0    0',
                 'Interval for a host to accept two jobs is 0 seconds', '']
        if queue in limits[0] or queue in limits[1]:
            lines += ['MAXIMUM LIMITS:']
            lines += [' RUNLIMIT', ' {}.0 min'.format(limits[0][queue]), ''] if queue in limits[0] else []
            lines += [' MEMLIMIT', '{:>7} {} '.format(*re.match(r'(\d+)(\w)', limits[1][queue]).groups()), ''] \
                if queue in limits[1] else []
        lines += ['SCHEDULING PARAMETERS', '           r15s   r1m  r15m   ut', '', 'USERS: all ']
        parts.append('\n'.join(lines))
    say('\n-------------------------------------------------------------------------------\n\n'.join(parts))


def bparams():
    begin('bparams')
    end('bparams')
    queues = conf('QUEUES').split()
    if '-a' not in sys.argv:
        say('Default Queues:  {}\nJob Dispatch Interval:  1 seconds'.format(queues[0]))
        return
    say('\n'.join(['lsb.params configuration at {}'.format(stamp(time.time())),
                   '    DEFAULT_QUEUE = {}'.format(queues[0]),
                   '    CLEAN_PERIOD = {}'.format(conf('CLEAN_PERIOD')),
                   '    MAX_JOB_ARRAY_SIZE = {}'.format(conf('MAX_JOB_ARRAY_SIZE')),
                   '    MAX_PEND_JOBS = {}'.format(conf('MAX_PEND_JOBS', counts=False) or 2147483647),
                   '    SUB_TRY_INTERVAL = {}'.format(conf('SUB_TRY_INTERVAL')),
                   '    JOB_TERMINATE_INTERVAL = {}'.format(conf('TERMINATE_INTERVAL'))]))


def lsid():
    begin('lsid')
    if conf('LSID'):
        return say(conf('LSID'))
    say('IBM Spectrum LSF Standard {}, Jun 14 2024\nCopyright International Business Machines Corp. 1992, 2016.\n'
        'US Government Users Restricted Rights - Use, duplication or disclosure restricted by GSA ADP Schedule '
        'Contract with IBM Corp.\n\nMy cluster name is fake\nMy master name is {}'.format(
            conf('VERSION'), list(hosts())[0]))
