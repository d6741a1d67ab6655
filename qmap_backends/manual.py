"""The tables of the manual, for `qmap help` and for README.md, which holds the same text."""

import collections
import re
import shutil
import textwrap

#: Each in Markdown. A backslash at the end of a line joins it to the next.
EVENTS = """\
| event | keys, beside `event` and `time` (seconds since 1970) |
| --- | --- |
| `start` | `logs` (folder), `version`, `profile`, `executor`, `jobs`, `commands`, `max_running`, `counts` |
| `job` | a job's status has changed: `id`, `status`, `attempt`; at an end also `exit_code`, `error_reason`, `error`, \
`host`, `started`, `finished`, `cpu` (seconds), `memory` (bytes). A short job may end without a line that it ran |
| `counts` | jobs have changed, once a second at the most: `counts` (jobs by status), `trouble` (what keeps it \
from going on, or nothing), `driving` (whether this process submits) |
| `note` | `text`: what was done on demand, or went wrong |
| `end` | the last line: all that `info --summary --format json` prints; `left`: whether QMap goes before all \
jobs have ended |
| `detached` | the only line, with `--detach`: `pid`, `host`, `logs`, `messages` (file) |
| `dry-run` | the only line, with `--dry-run`: `logs`, `profile`, `executor`, `jobs`, `commands`, `max_running`; of \
the first job `params`, `script`, and on a cluster `submission` |
"""

ON_FINISH = """\
| for `--on-finish` | value |
| --- | --- |
| `QMAP_LOGS`, `QMAP_NAME` | the logs folder; the name of the execution |
| `QMAP_STATUS` | 0: all completed, 1: some failed, 3: the driver goes before all have ended |
| `QMAP_JOBS`, `QMAP_COMPLETED`, `QMAP_FAILED`... | number of jobs, of all and by status |
| `QMAP_CANCELLED` | how many of the FAILED jobs were cancelled |
| `QMAP_ELAPSED` | seconds since it was submitted |
| `QMAP_SUMMARY` | the first line of the summary |
"""

PARAMETERS = """\
| parameter | meaning |
| --- | --- |
| `cores` | cores for the job |
| `memory` | memory for the job: `512M`, `1.5G`, units K M G T P; a plain number is G |
| `time` | the longest it may run: `90m`, `2h`, `1d`, `1h30m`, `1:30:00`, `2-00:00:00`; a plain number is hours |
| `queue` | queue or partition |
| `nodes`, `tasks` | number of nodes, of tasks (processes) |
| `penv` | parallel environment (Grid Engine) |
| `name` | prefix of the job names |
| `working_directory` | folder in which the commands run |
| `extra` | options for the scheduler, as on its command line |
"""

WILDCARDS = """\
| in the command | stands for |
| --- | --- |
| `{{a,b,c}}` | each item of the list, as typed; a comma in quotes, in braces or behind a backslash belongs to \
its item |
| `{{file}}` | each line of the file, without blank lines and `#` comments, as one word for the shell, as paths are |
| `{{raw:file}}` | the same, as typed: several words, variables, wildcards |
| `*` `**` `?` `[x-y]` | the paths that match, sorted; `**` is any number of folders, but none that is a link |
| `{{?name:...}}` | any of these, with a name |
| `{{?=name}}` | the value of that name once more, anywhere in the command |
| `\\{{` | the two braces themselves, for the command: `docker ps --format '\\{{.Names}}'` |
"""

FIELDS = """\
| field | meaning |
| --- | --- |
| `id` | the place of the job's first command in the map, from 0, padded with zeros |
| `line` | the line of the map on which it stands |
| `command` | as in the map; those of a group with newlines between them |
| `status` | UNSUBMITTED, PENDING, RUNNING, COMPLETED, FAILED or OTHER |
| `retries` | how often it was tried again |
| `attempts` | the earlier attempts of a job that was: for each `attempt`, `status`, `exit_code`, `error_reason`, \
`error`, `started`, `finished`, `host`, `executor_id`, `cpu` (seconds), `memory` (bytes) |
| `executor_id` | the scheduler's id; on one machine the pid |
| `job_cmd` | the command that submitted it, or repeats it |
| `params.*` | what it asked for: `params.cores`, `params.memory`... |
| `exit_code` | its exit status, 128 + n where signal n ended it |
| `error_reason` | why it FAILED: `exit`, `signal`, `memory`, `time`, `cancelled`, `node` (its machine went down), \
`submit` (it was not accepted), `lost` (it went without a word) |
| `error` | the last line of its stderr, or what there is to say otherwise |
| `reason` | what the scheduler says of a job that waits |
| `submitted`, `started`, `finished` | UTC, ISO 8601; as seconds since 1970 in `seconds.submitted`... |
| `host` | the machine that ran it |
| `usage.time.elapsed` | how long it ran: `00:01:12` or `2-00:00:00`; in seconds: `usage.time.seconds` |
| `usage.time.cpu` | seconds of CPU time that it used |
| `usage.memory.peak` | the most memory that it used: `1.5G`; in bytes: `usage.memory.bytes`. On one machine the most \
that was seen, or that its largest process had; not less than some 40 MB, which starting it takes, and with mapped \
files where it was too short to be looked at; of short jobs the most that one in the same shell used |
| `commands.count`, `commands.done` | of a group: its commands, and how many of them ended well |
"""

SETTINGS = """\
| setting | meaning |
| --- | --- |
| `executor` | where the jobs run: `local`, `slurm`, `sge` or `lsf` |
| `max_running` | jobs at once, where `--max-running` is not given |
| `max_ungrouped` | commands that may be submitted without `--group` (`-g 1` is with it); 0 is any number |
| `keep` | the files of which jobs stay: `all` (the default) or `failed`, see `--keep` |
| `pull` | on a cluster: workers that take jobs from a list, see `--pull`; 0 is none |
| `on_finish` | shell command that is run when an execution ends, see [Being told](#being-told) |
| `show_usage` | whether the load of the cluster is shown: `true` or `false` |
| `poll` | seconds between two questions to the scheduler, while all is well; by default 30 |
| `penv` | Grid Engine: the parallel environment for more than one core; by default `smp` |
| `memory_resource` | Grid Engine: the resource that limits memory; by default `h_vmem` |
| `accounting` | Grid Engine: path of the accounting file, where it is in no usual place |
| `memory_unit` | LSF: `suffix` (`4096MB`, the default); `KB`, `MB`, `GB`, `TB` (bare numbers in the site's \
LSF_UNIT_FOR_LIMITS); `default` (bare numbers, `-M` in KB, `rusage` in MB) |
| `memory_per` | LSF: a reservation is for a `host` (the default), a `slot` or a `job` |
| `memory_limit_per` | LSF: `-M` is for the `job` (the default), or a `slot` where the site multiplies it |
| `[params]` | [parameters](#map-files) for all jobs |
| `[editable_params]` | parameters that may be changed while an execution runs, with their labels |
"""

EXIT = """\
| status | of `submit` and `reattach` |
| --- | --- |
| 0 | all jobs completed |
| 1 | some failed |
| 2 | wrong usage or input; nothing was made |
| 3 | left before the end |
| 130 | interrupted by Ctrl-C |
"""

IN_A_JOB = """\
| in a job | value |
| --- | --- |
| `QMAP_LINE` | the command's identifier, which a rerun keeps: the name for its output files |
| `QMAP_JOB`, `QMAP_ATTEMPT` | the job's id in this logs folder, and which attempt this is, from 1 |
| `QMAP_LOGS` | the logs folder |
| `QMAP_CORES` | cores of the job, 1 where none are asked for |
| `QMAP_STATUS` | in `[post]`: the exit status of the commands |
| `QMAP_<PARAM>` | every parameter: `QMAP_MEMORY=16G`, `QMAP_TIME=01:30:00`, and your own |
"""

FOR_QMAP = """\
| for QMap | meaning |
| --- | --- |
| `QMAP_PROFILE` | profile, where `-p` is not given |
| `QMAP_HOME` | folder of profiles, before `~/.config/qmap` |
| `QMAP_TEMPLATE_BASE` | as `template --base` |
| `NO_COLOR` | no colours |
"""

ORDERS = """\
| order | what it does |
| --- | --- |
| `pause`, `resume` | submit nothing more for now; submit again |
| `max-running N` | at most so many jobs at once from now on |
| `set KEY=VALUE ...` | changes parameters of the jobs that are not yet submitted, those that are tried again later \
included; a command's own (behind `##`) stay; `KEY=` takes one away |
| `cancel` | cancels what was submitted, and drops what was not: all that has not ended, or what ID and `-s` choose |
| `retry` | runs jobs again that have ended: those that failed but were not cancelled, or what ID and `-s` choose, \
with other `-c`, `-m`, `-t` if wanted |
| `stop` | ends the driver; what was submitted goes on, and `reattach` picks it up. With `--cancel` it is cancelled \
first |
"""

#: What each key of the console does: (keys, where, what). The table of its `?`, too.
KEYS = [
    ('Up Down, j k', 'list', 'previous, next job'),
    ('PgUp PgDn', 'list', 'page up, page down'),
    ('Home End', 'list', 'first, last job'),
    ('Left Right', 'list', 'scroll the commands'),
    ('Enter', 'list', 'open job details'),
    ('o', 'list', 'order: running first, or by id'),
    ('U P R C F X O', 'list', 'show only jobs of this status (U: unsubmitted, X: cancelled); again: all'),
    ('s', 'list', 'show only the next status'),
    ('/', 'list', 'search text, or ids (3,7-12)'),
    ('g', 'list', 'failures in groups'),
    ('Space, *', 'list', 'mark the job, all listed jobs'),
    ('Esc', 'list', 'clear search, filter, marks'),
    ('Tab, 1 2 3 4', 'job', 'about, stdout, stderr, script'),
    ('< >', 'job', 'previous, next job of the list'),
    ('Up Down, End', 'job', 'scroll; End follows the output'),
    ('Esc', 'job', 'back to the list'),
    ('p', 'control', 'pause or resume submission'),
    ('m', 'control', 'set max running'),
    ('e', 'control', 'edit unsubmitted jobs'),
    ('r', 'control', 'retry jobs (more memory, time)'),
    ('c', 'control', 'cancel jobs'),
    ('d', 'leave', 'detach: run in the background'),
    ('a', 'leave', 'submit all and quit (clusters)'),
    ('q', 'leave', 'quit; asks what happens to jobs'),
    ('Ctrl-C', 'leave', 'stop in 10 s; again: cancel'),
    ('Ctrl-Z', 'leave', 'suspend; `fg` comes back'),
    ('l', 'show', 'log: what was done, and errors'),
    ('?', 'show', 'this table'),
    ('Ctrl-L', 'show', 'redraw the screen'),
]

#: What `qmap help` knows: the head line of each topic, and what stands below.
TOPICS = collections.OrderedDict([
    ('map', ('jobs map files', """\
A list of commands, one a line, or sections: [pre] and [post] (before and after the commands of every job), [params]
(key = value), [jobs] (the commands). Lines with # in front do not count; a backslash at the end continues a line. A
command may end in parameters of its own: `sort a.txt ## memory=4G time=2h`. In a map that `info` wrote, ` ## line=017`
is the identifier (QMAP_LINE) that the command had.
""", [PARAMETERS])),
    ('wildcards', ('wildcards of qmap template', """\
All combinations are made, the first group varying slowest. `{{?name:...}}` is used once more as `{{?=name}}`.
""", [WILDCARDS])),
    ('fields', ('what qmap info knows of a job', '', [FIELDS])),
    ('profiles', ('profiles: where and how jobs run', """\
-p NAME or PATH, else QMAP_PROFILE, else the scheduler of this machine, else local. Built in are local, slurm, sge and
lsf; others are files NAME.conf in QMAP_HOME or ~/.config/qmap, where default.conf is always read. Lines: key = value.
""", [SETTINGS])),
    ('orders', ('orders of qmap control', '', [ORDERS])),
    ('console', ('keys of the console', '', [
        [(where, '')] + [(keys, what) for keys, place, what in KEYS if place == where]
        for where in ('list', 'job', 'control', 'leave', 'show')])),
    ('exit', ('exit status', """\
That of `run` is that of its command, of the others 0, or 2 where something is wrong.
""", [EXIT])),
    ('variables', ('environment variables', '', [IN_A_JOB, ON_FINISH, FOR_QMAP])),
    ('progress', ('what --progress json prints: an object on a line', '', [EVENTS]))])


def plain(text):
    """Return Markdown without its marks; what stands between ` is left as it is."""
    parts = text.split('`')
    parts[::2] = [re.sub(r'\[([^]]+)\]\(#[^)]*\)', r'\1', part).replace('**', '') for part in parts[::2]]
    return ''.join(parts)


def rows(table):
    """Return the rows of a table in Markdown, without the line below the head, as lists of plain texts; also of a
    table that is a list of rows already."""
    if not isinstance(table, str):
        return [[plain(cell) for cell in row] for row in table]
    lines = [line for line in table.splitlines() if not line.startswith('| ---')]
    return [[plain(cell).strip() for cell in line.strip('|').split(' | ')] for line in lines]


def lines(topic, width=None):
    """Yield a topic as lines for a terminal.

    Args:
        topic: one of TOPICS
        width: columns, by default those of the terminal, but no more than one reads with ease
    """
    width = width or min(100, shutil.get_terminal_size().columns)
    title, words, tables = TOPICS[topic]
    yield title
    if words:
        yield ''
        for line in textwrap.wrap(plain(words), width):
            yield line
    for table in tables:
        head, *found = rows(table)
        yield ''
        if len(tables) > 1:
            yield head[0] + ':'
        indent = min(24, max(len(row[0]) for row in found)) + 4
        for name, text in found:
            wrapped = textwrap.wrap(text, width - indent)
            if len(name) + 4 > indent:
                yield '  ' + name
            else:
                wrapped[0] = '  {:{}}{}'.format(name, indent - 2, wrapped[0])
            for place, line in enumerate(wrapped):
                yield line if line.startswith('  ') and not place else ' ' * indent + line


def topics():
    """Yield the list of topics as lines."""
    yield 'qmap help TOPIC, where TOPIC is one of these or a tool:'
    yield ''
    for topic, (title, _, _) in TOPICS.items():
        yield '  {:12}{}'.format(topic, title)
