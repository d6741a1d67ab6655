"""What people type who come from other tools, and what QMap calls it. Loaded if a command line is wrong."""

import os
import re
from difflib import get_close_matches

#: Hints for options that QMap does not have. {:N} is the value that was given, or else the word N; {:whole}
#: the option with its value.
CORES, MEMORY, TIME = 'cores per job: -c {:N}', 'memory per job: -m {:SIZE}', 'wall time limit: -t {:TIME}'
RUNNING = 'jobs at once: -r {:N}'
ARRAY = 'each line of the map is a job; jobs at once: -r N'
RANGE = 'write a day as 1d or 1-00:00:00 (and for a job array nothing: each line of the map is a job)'
CORE_MEMORY = 'memory per job, for all its cores: -m SIZE'
EXTRA = 'put scheduler options below [params] in the map: extra = {:whole}'
QUEUE, NODES, TASKS = 'queue: --set queue={:NAME}', 'nodes: --set nodes={:N}', 'tasks: --set tasks={:N}'
GPUS, QOS = 'GPUs per job: --set gpus={:N}', 'QOS: --set qos={:NAME}'
ACCOUNT = 'account: --set account={:NAME}'
CONSTRAINT, RESERVATION = 'nodes: --set constraint={:NAME}', 'reservation: --set reservation={:NAME}'
NAME, FOLDER = 'job name: -n {:NAME}', 'working directory: -w {:DIR}'
OUTPUT = 'the output of all jobs goes to the logs folder: -l DIR'
WAITS = 'leave it out: qmap submit waits for the jobs; to continue in the background: --detach'
DRY = 'dry run: --dry-run'
NOTIFY = 'notifications: --on-finish CMD'
RESUME = 'resume an execution: qmap reattach DIR'
RETRY = 'retry failed jobs: qmap control DIR retry, then qmap reattach DIR'
GOES_ON = 'leave it out: other jobs continue after a failure (--no-halt: whatever fails)'
AGAIN = 'leave it out: each submit runs the whole map, in a new logs folder'
COLUMNS = 'give --table FILE to qmap template, and write {{{{?COLUMN}}}} in its command'
LISTS = 'write {{{{a,b}}}} or {{{{FILE}}}} in the command of qmap template'
PROGRESS = 'leave it out: progress is shown by default'
BACKGROUND = 'continue in the background: --detach'
CONDA = 'conda environment: qmap template --conda-env ENV'
PROFILE = 'scheduler: -p {:PROFILE}'
REPORT = 'after the run: qmap report DIR'
ORDERED = 'leave it out: the output of each job is in its own file, ID.out'

OPTIONS = {
    # Slurm: sbatch(1)
    '--cpus-per-task': CORES, '--mem': MEMORY, '--mem-per-cpu': CORE_MEMORY, '--array': ARRAY, '-a': ARRAY,
    '--partition': QUEUE, '--nodes': NODES, '-N': NODES, '--ntasks': TASKS, '--job-name': NAME, '-J': NAME,
    '--output': OUTPUT, '-o': OUTPUT, '--error': OUTPUT, '-e': OUTPUT, '--chdir': FOLDER, '-D': FOLDER,
    '--gres': EXTRA, '--gpus': GPUS, '-G': GPUS, '--gpus-per-node': GPUS, '-gpu': GPUS, '--account': ACCOUNT,
    '-A': ACCOUNT, '--qos': QOS, '--constraint': CONSTRAINT, '-C': CONSTRAINT,
    '--reservation': RESERVATION, '-ar': RESERVATION, '-U': RESERVATION, '--exclusive': EXTRA,
    '--licenses': EXTRA, '-L': EXTRA, '--nodelist': EXTRA, '--exclude': EXTRA, '-x': EXTRA,
    '--dependency': EXTRA, '-d': EXTRA, '--begin': EXTRA, '--requeue': EXTRA,
    '--export': 'leave it out: jobs get the environment of qmap submit',
    '--wrap': "one command now: qmap run 'COMMAND'; many: one per line in a map", '--test-only': DRY,
    '--wait': WAITS, '--mail-type': NOTIFY, '--mail-user': NOTIFY,
    '--parsable': 'for programs: --progress json',
    # Grid Engine, LSF, PBS: qsub(1), bsub(1)
    '-pe': 'parallel environment: penv = NAME below [params] in the map, or in the profile; '
           'cores per job: -c N',
    '-cwd': 'leave it out: jobs run in this folder; another one: -w DIR', '-tc': RUNNING, '-sync': WAITS,
    '-K': WAITS, '-S': 'leave it out: commands run in bash', '-b': 'leave it out: a map holds commands',
    '-V': 'leave it out: jobs get the environment of qmap submit',
    '-v': 'put variables into [pre]: export NAME=VALUE', '-R': MEMORY, '-W': TIME, '-M': MEMORY,
    # GNU parallel, xargs
    '-P': RUNNING, '--max-procs': RUNNING, '--dryrun': DRY,
    '--joblog': 'afterwards: qmap info DIR -s all FIELD...', '--results': OUTPUT, '--resume': RESUME,
    '--resume-failed': RETRY, '--retry-failed': RETRY,
    '--bar': PROGRESS, '--eta': PROGRESS, '--timeout': TIME, '--memfree': MEMORY, '--keep-order': ORDERED,
    '--tag': ORDERED, '--line-buffer': ORDERED, '--workdir': FOLDER, '--wd': FOLDER, '--colsep': COLUMNS,
    '--header': COLUMNS, '--arg-file': LISTS, '-I': LISTS, '--link': LISTS,
    '--sshlogin': 'hosts are chosen by a scheduler: -p slurm, sge or lsf',
    # Snakemake, Nextflow
    '-k': GOES_ON, '--keep-going': GOES_ON, '--rerun-incomplete': RESUME,
    '--restart-times': 'retries: --retries N',
    '--use-conda': CONDA, '--conda': CONDA, '--executor': PROFILE, '--cluster': PROFILE, '--forceall': AGAIN,
    '-F': AGAIN, '--force': AGAIN, '--resources': MEMORY, '--default-resources': MEMORY,
    '--printshellcmds': 'commands of the map: cat MAP', '-resume': RESUME, '-profile': PROFILE,
    '-bg': BACKGROUND, '--background': BACKGROUND, '-with-report': REPORT, '--report': REPORT,
    # Others
    '--cpus': CORES, '--threads': CORES, '--ncpus': CORES, '--ram': MEMORY, '--walltime': TIME,
    '--time-limit': TIME, '--runtime': TIME, '--queue': QUEUE, '--parallel': RUNNING, '--procs': RUNNING,
    '--max-jobs': RUNNING,
    '--workers': 'jobs at once: -r {:N}; workers for short jobs on a cluster: --pull {:N}',
    '--local': 'this machine: -p local', '--json': 'for programs: --progress json',
    '--verbose': 'leave it out: failures are shown by default',
}

#: Which of these hints fit other tools than submit.
FITTING = {'run': (CORES, CORE_MEMORY, MEMORY, TIME, PROFILE, QUEUE, NODES, TASKS, GPUS, ACCOUNT, QOS,
                   CONSTRAINT, RESERVATION),
           'template': (CORES, MEMORY, TIME, COLUMNS, LISTS, CONDA),
           'reattach': (RUNNING, BACKGROUND, WAITS), 'control': (CORES, MEMORY, TIME)}

#: The same, of single tools.
OF_TOOL = {
    'info': {
        '--json': 'give --format json', '--csv': 'give --format csv', '--tsv': 'give --format tsv',
        '--failed': 'give -s failed', '--all': 'give -s all', '-a': 'give -s all',
        '--state': 'give -s {:STATUS}', '--states': 'give -s {:STATUS}', '-t': 'give -s {:STATUS}',
        '--fields': 'write the fields without an option: qmap info status exit_code',
        '-f': 'give --log ID --follow', '--stderr': 'give --log ID --err', '--stdout': 'give --log ID',
        '--tail': 'give --log ID --follow', '--jobs': 'give -s all', '-r': 'give -s running',
        '--stats': 'give --summary'},
    'control': {
        '--state': 'give -s {:STATUS}', '--all': 'leave it out: without IDs an order is for all jobs',
        '--mem': 'give -m {:SIZE}',
        '--id': 'write the ids without an option: cancel 3,7-12', '--force': 'leave it out'},
    'template': {
        '-I': LISTS, '-a': LISTS, '--dry-run': 'leave it out: the map is printed unless -f FILE is given',
        '-d': 'separate items with commas: {{{{a,b}}}}', '-n': 'one line of the map is one job'},
}

#: What other tools call tools, orders, statuses, reasons and fields.
SYNONYMS = {
    'tool': {
        'status': 'info --summary', 'list': 'info -s all status', 'ls': 'info -s all status',
        'jobs': 'info -s all status', 'squeue': 'info -s all status', 'qstat': 'info -s all status',
        'bjobs': 'info -s all status', 'ps': 'info -s all status', 'sacct': 'info -s all status',
        'top': 'reattach', 'watch': 'info --watch', 'summary': 'info --summary', 'advise': 'info --advise',
        'log': 'info --log ID', 'logs': 'info --log ID', 'cat': 'info --log ID',
        'tail': 'info --log ID --follow', 'cancel': 'control cancel', 'kill': 'control cancel',
        'scancel': 'control cancel', 'qdel': 'control cancel', 'bkill': 'control cancel',
        'stop': 'control stop', 'pause': 'control pause', 'hold': 'control pause', 'resume': 'reattach',
        'continue': 'reattach', 'retry': 'control retry', 'rerun': 'control retry', 'set': 'control set',
        'attach': 'reattach', 'view': 'reattach', 'console': 'reattach', 'gui': 'reattach', 'array': 'submit',
        'sbatch': 'submit', 'qsub': 'submit', 'bsub': 'submit', 'start': 'submit', 'parallel': 'submit',
        'exec': 'run', 'srun': 'run', 'qrsh': 'run', 'version': '--version', 'man': 'help',
        'init': 'template', 'map': 'template', 'html': 'report', 'wait': 'reattach'},
    'order': {
        'kill': 'cancel', 'abort': 'cancel', 'delete': 'cancel', 'remove': 'cancel', 'scancel': 'cancel',
        'qdel': 'cancel', 'rerun': 'retry', 'resubmit': 'retry', 'restart': 'retry', 'continue': 'resume',
        'unpause': 'resume', 'start': 'resume', 'release': 'resume', 'hold': 'pause', 'suspend': 'pause',
        'quit': 'stop', 'exit': 'stop', 'end': 'stop', 'shutdown': 'stop', 'update': 'set', 'edit': 'set',
        'change': 'set', 'limit': 'max-running', 'jobs': 'max-running'},
    'status': {
        'done': 'completed', 'success': 'completed', 'succeeded': 'completed', 'finished': 'completed',
        'ok': 'completed',
        'cd': 'completed', 'error': 'failed', 'failure': 'failed', 'exited': 'failed', 'bad': 'failed',
        'active': 'running',
        'queued': 'pending', 'waiting': 'pending', 'pd': 'pending', 'qw': 'pending', 'new': 'unsubmitted',
        'oom': 'memory', 'out_of_memory': 'memory', 'timeout': 'time', 'to': 'time', 'killed': 'signal',
        'canceled': 'cancelled', 'ca': 'cancelled', 'node_fail': 'node', 'unknown': 'other'},
    'field': {
        'state': 'status', 'exit': 'exit_code', 'exitcode': 'exit_code', 'exit_status': 'exit_code',
        'code': 'exit_code', 'jobid': 'executor_id', 'job_id': 'executor_id', 'pid': 'executor_id',
        'node': 'host', 'nodelist': 'host', 'elapsed': 'usage.time.elapsed', 'runtime': 'usage.time.elapsed',
        'duration': 'usage.time.elapsed', 'maxrss': 'usage.memory.peak', 'rss': 'usage.memory.peak',
        'cputime': 'usage.time.cpu', 'cmd': 'command', 'start': 'started', 'end': 'finished',
        'submit': 'submitted', 'reason_failed': 'error_reason', 'stderr': 'error', 'attempt': 'retries',
        'memory': 'usage.memory.peak', 'time': 'usage.time.elapsed', 'cores': 'params.cores',
        'name': 'params.name', 'queue': 'params.queue', 'partition': 'params.queue'},
}

#: What is said of an option that lacks its value: {what argparse calls it: hint}.
LACKING = {'-n/--name': '-n is the name of the jobs; dry run: --dry-run',
           '--progress': 'write --progress json', '--log': 'write --log ID', '--script': 'write --script ID'}

#: What values look like that mean the same in QMap. (4000 is megabytes in Slurm, and 90 minutes.)
VALID = {'N': r'[1-9]\d*', 'SIZE': r'\d+(\.\d+)?[KMGTPkmgtp](i?[bB])?',
         'TIME': r'[\d.dhms]*[dhms]|(\d+-)?\d+:\d\d:\d\d'}

#: What stands behind a flag of QMap that takes a value elsewhere.
AFTER = {'-q': '-q is --quiet; ' + QUEUE, '--bell': '--bell takes no value',
         '--detach': '--detach takes no value'}


def explain(parser, argv, message):
    """Return the error of a command line, or a better one where a word of it belongs to another tool.

    Args:
        parser: of the command line
        argv: list of words
        message: text of the error
    """
    tool, words = argv[0] if argv else '', argv[1:]
    if tool not in parser.tools:
        return explain_unknown_tool(tool, message) or message
    known = parser.tools[tool]._option_string_actions
    return explain_foreign_option(tool, words, known) or explain_bad_value(message) or \
        explain_stray_word(tool, words, message) or message


def explain_unknown_tool(tool, message):
    """Return the error of a command line that begins with no tool; '' where the message says enough."""
    near = {'-v': ['-V']}.get(tool) or get_close_matches(tool, ['--version', '--help'], 1)
    if near and message.startswith('unrecognised: -'):
        return '{}: unknown option (did you mean {}?)'.format(tool, near[0])
    return ''


def own_words(tool, words, known):
    """Yield (word, word behind it) of those that are for QMap: not the program that `run` runs.

    Args:
        tool: name
        words: list
        known: {option: action} of the tool
    """
    for before, word, behind in zip([''] + words, words, words[1:] + ['']):
        is_value = before in known and known[before].nargs != 0
        begins_program = tool == 'run' and not word.startswith('-') and not is_value
        if word == '--' or begins_program:
            return
        yield word, behind


def explain_foreign_option(tool, words, known):
    """Return the error of a command line with an option of another tool, '' where there is none.

    Args: those of `own_words`
    """
    fitting = OPTIONS.values() if tool == 'submit' else FITTING.get(tool, ())
    hints = {name: hint for name, hint in OPTIONS.items() if hint in fitting}
    hints.update(OF_TOOL.get(tool, {}))
    for word, behind in own_words(tool, words, known):
        if word in (':::', '::::', ':::+'):
            return '{} belongs to GNU parallel; {}'.format(word, fill_hint(LISTS, '', '', ''))
        name, mark, value = word.partition('=')
        if name in hints and name not in known:
            if not mark and not behind.startswith('-'):
                value = behind
            return '{}: unknown option; {}'.format(word, fill_hint(hints[name], name, value, mark))
    return ''


def explain_bad_value(message):
    """Return the error of an option whose value is wrong or missing; '' where the message says enough."""
    if re.search(r'= \d+-\d+\S*: invalid time', message):
        return '{}; {}'.format(message.partition(';')[0], RANGE)
    lacking = re.match(r'(\S+): needs a value', message)
    if lacking and lacking.group(1) in LACKING:
        return '{}; {}'.format(lacking.group(), LACKING[lacking.group(1)])
    return ''


def explain_stray_word(tool, words, message):
    """Return the error of a word that `submit` does not take; '' where the message says enough."""
    stray = re.match(r'unrecognised: (\S+)', message)
    if tool != 'submit' or not stray or stray.group(1) not in words:
        return ''
    word = stray.group(1)
    place = words.index(word)
    before = words[place - 1] if place else ''
    if before in AFTER:
        return '{}: {}'.format(word, fill_hint(AFTER[before], before, word, ''))
    if os.path.isfile(word):
        return '{}: only one map per submit; join maps with cat, or submit each'.format(word)
    return ''


def fill_hint(hint, name, value, mark):
    """Return a hint with the value of the option in it, or what stands for one.

    Args:
        hint: text, with {:WORD} where a value stands
        name: of the option
        value: text, '' where there is none
        mark: '=' where the value was given behind it
    """
    def value_or_word(match):
        word = match.group(1)
        if word == 'whole':
            return name + (mark or ' ') + value if value else name
        return value if re.fullmatch(VALID.get(word, r'[\w.:/%+-]+'), value) else word

    return re.sub(r'\{:(\w+)\}', value_or_word, hint).replace('{{', '{').replace('}}', '}')
