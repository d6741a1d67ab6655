"""Slips that people make: each gets one line that names the mend, and leaves nothing behind."""

import os
import re
import shlex

import pytest

import qmap as module
from module_submit import ended, prepare, write_journal

#: Depends little on the Python, but argparse words its errors in several ways.
pytestmark = pytest.mark.twice

#: The files that stand in the folder, beside the logs folder `out`.
FILES = {
    'a.map': 'true\n', 'jobs.map': 'true\n', 'names.txt': 'x y\n', 's.tsv': 'a\tb\nc\td\n', 'empty.map': '',
    'comments.map': '# x\n', 'unsplit.map': '[pre]\nset -u\ntrue\n',
    'sections.map': '[job]\ntrue\n', 'params.map': '[params]\nmemory 4G\n[jobs]\ntrue\n',
    'colon.map': '[params]\ncores: 4\n[jobs]\ntrue\n', 'unclosed.map': '[jobs\ntrue\n',
    'before.map': 'true\n[params]\ncores = 2\n', 'stray.map': '[jobs] true\n', 'utf16.map': 'true\n'.encode('utf-16'),
    'units.map': 'true ## memory=lots\n', 'own.map': 'true ## cores=all\n',
    'twice.map': 'true ## line=3\ntrue ## line=3\n', 'reserved.map': '[params]\nstatus = x\n[jobs]\ntrue\n',
    'number.map': '[params]\nname = 4\n[jobs]\ntrue\n', 'sbatch.map': '#!/bin/bash\n#SBATCH --mem=4G\ntrue\n',
    'cpus.map': '[params]\ncpus = 4\n[jobs]\ntrue\n', 'sample.map': 'true ## sample=x\n'}

#: What is typed behind `qmap`, and the error. ... is what depends on the machine.
SLIPS = [
    ('submit a.map --cpus-per-task=4', '--cpus-per-task=4: unknown option; cores per job: -c 4'),
    ('submit a.map --cpus-per-task 4', '--cpus-per-task: unknown option; cores per job: -c 4'),
    ('submit a.map --mem=4G', '--mem=4G: unknown option; memory per job: -m 4G'),
    ('submit a.map --mem=4096', '--mem=4096: unknown option; memory per job: -m SIZE'),
    ('submit a.map --mem-per-cpu=2G', '--mem-per-cpu=2G: unknown option; memory per job, for all its cores: -m SIZE'),
    ('submit a.map --array=1-300%20',
     '--array=1-300%20: unknown option; each line of the map is a job; jobs at once: -r N'),
    ('submit a.map -a 1-10', '-a: unknown option; each line of the map is a job; jobs at once: -r N'),
    ('submit a.map --partition=long',
     '--partition=long: unknown option; queue: --set queue=long'),
    ('submit a.map -p long',
     'profile long: not found; built in: local, slurm, sge, lsf; others: long.conf in HERE or HERE/qmap; for '
     'a partition or queue, write queue = long below [params] in the map'),
    ('submit a.map --job-name=x', '--job-name=x: unknown option; job name: -n x'),
    ('submit a.map -J x', '-J: unknown option; job name: -n x'),
    ('submit a.map -o out.txt', '-o: unknown option; the output of all jobs goes to the logs folder: -l DIR'),
    ('submit a.map --error=e.txt',
     '--error=e.txt: unknown option; the output of all jobs goes to the logs folder: -l DIR'),
    ('submit a.map -N 2', '-N: unknown option; nodes: --set nodes=2'),
    ('submit a.map --ntasks=4', '--ntasks=4: unknown option; tasks: --set tasks=4'),
    ('submit a.map --gres=gpu:1',
     '--gres=gpu:1: unknown option; put scheduler options below [params] in the map: extra = --gres=gpu:1'),
    ('submit a.map -A proj', '-A: unknown option; account: --set account=proj'),
    ('submit a.map --qos=high',
     '--qos=high: unknown option; QOS: --set qos=high'),
    ('submit a.map --wrap="echo hi"',
     "--wrap=echo hi: unknown option; one command now: qmap run 'COMMAND'; many: one per line in a map"),
    ('submit --wrap="echo hi"',
     "--wrap=echo hi: unknown option; one command now: qmap run 'COMMAND'; many: one per line in a map"),
    ('submit a.map --dependency=afterok:1',
     '--dependency=afterok:1: unknown option; put scheduler options below [params] in the map: extra = '
     '--dependency=afterok:1'),
    ('submit a.map --test-only', '--test-only: unknown option; dry run: --dry-run'),
    ('submit a.map --wait',
     '--wait: unknown option; leave it out: qmap submit waits for the jobs; to continue in the background: '
     '--detach'),
    ('submit a.map --mail-type=END', '--mail-type=END: unknown option; notifications: --on-finish CMD'),
    ('submit a.map --chdir=/tmp', '--chdir=/tmp: unknown option; working directory: -w /tmp'),
    ('submit a.map --constraint=avx',
     '--constraint=avx: unknown option; nodes: --set constraint=avx'),
    ('submit a.map --gpus 2', '--gpus: unknown option; GPUs per job: --set gpus=2'),
    ('run -A lab make', '-A: unknown option; account: --set account=lab'),
    ('submit a.map --set gpus', 'gpus: not a parameter; write KEY=VALUE'),
    ('submit a.map --set gpus=all', 'gpus = all: must be a positive integer or 0'),
    ('submit a.map --set status=x', 'status: reserved name (QMap sets QMAP_STATUS itself); rename the parameter'),
    ('submit a.map -t 1-0',
     'time = 1-0: invalid time; write a day as 1d or 1-00:00:00 (and for a job array nothing: each line of '
     'the map is a job)'),
    ('submit a.map -t 90min',
     'time = 90min: invalid time; write 90m, 2h, 1d, 1:30:00 or 2-00:00:00 (default unit: hours)'),
    ('submit a.map -t 1:30',
     'time = 1:30: invalid time; write 90m, 2h, 1d, 1:30:00 or 2-00:00:00 (default unit: hours)'),
    ('submit a.map -t unlimited',
     'time = unlimited: invalid time; write 90m, 2h, 1d, 1:30:00 or 2-00:00:00 (default unit: hours)'),
    ('submit a.map -t 0', 'time = 0: invalid time; write 90m, 2h, 1d, 1:30:00 or 2-00:00:00 (default unit: hours)'),
    ('submit a.map -t -5m', '-t/--time: needs a value (see qmap submit --help)'),
    ('submit a.map -l h_vmem=4G',
     '-l h_vmem=4G: -l is the logs folder; memory per job: -m SIZE, wall time: -t TIME, cores: -c N'),
    ('submit a.map -lh_rt=1:00:00',
     '-l h_rt=1:00:00: -l is the logs folder; memory per job: -m SIZE, wall time: -t TIME, cores: -c N'),
    ('submit a.map -pe smp 4',
     '-pe: unknown option; parallel environment: penv = NAME below [params] in the map, or in the profile; '
     'cores per job: -c N'),
    ('submit a.map -cwd', '-cwd: unknown option; leave it out: jobs run in this folder; another one: -w DIR'),
    ('submit a.map -tc 20', '-tc: unknown option; jobs at once: -r 20'),
    ('submit a.map -t 1-100',
     'time = 1-100: invalid time; write a day as 1d or 1-00:00:00 (and for a job array nothing: each line of '
     'the map is a job)'),
    ('submit a.map -q long.q', 'long.q: -q is --quiet; queue: --set queue=long.q'),
    ('submit a.map -sync y',
     '-sync: unknown option; leave it out: qmap submit waits for the jobs; to continue in the background: '
     '--detach'),
    ('submit a.map -V', '-V: unknown option; leave it out: jobs get the environment of qmap submit'),
    ('submit a.map -S /bin/bash', '-S: unknown option; leave it out: commands run in bash'),
    ('submit a.map -R rusage[mem=4000]', '-R: unknown option; memory per job: -m SIZE'),
    ('submit a.map -W 1:00', '-W: unknown option; wall time limit: -t TIME'),
    ('submit a.map -M 4000', '-M: unknown option; memory per job: -m SIZE'),
    ('submit a.map -P 8', '-P: unknown option; jobs at once: -r 8'),
    ('submit a.map --max-procs=8', '--max-procs=8: unknown option; jobs at once: -r 8'),
    ('submit a.map --joblog log', '--joblog: unknown option; afterwards: qmap info DIR -s all FIELD...'),
    ('submit a.map --resume', '--resume: give the logs folder of the execution with -l DIR'),
    ('submit a.map --resume-failed',
     '--resume-failed: unknown option; retry failed jobs: qmap control DIR retry, then qmap reattach DIR'),
    ('submit a.map --halt now,done=1',
     '--halt: now,done=1: must be fail=N or fail=N%, or now,fail=N to cancel running jobs as well '
     '(see qmap submit --help)'),
    ('submit a.map --bar', '--bar: unknown option; leave it out: progress is shown by default'),
    ('submit a.map --timeout 10m', '--timeout: unknown option; wall time limit: -t 10m'),
    ('submit a.map --memfree 4G', '--memfree: unknown option; memory per job: -m 4G'),
    ('submit a.map --dryrun', '--dryrun: unknown option; dry run: --dry-run'),
    ('submit a.map --workdir /tmp', '--workdir: unknown option; working directory: -w /tmp'),
    ('submit a.map -k',
     '-k: unknown option; leave it out: other jobs continue after a failure (--no-halt: whatever fails)'),
    ("template 'gzip {}' ::: a b",
     '::: belongs to GNU parallel; write {{a,b}} or {{FILE}} in the command of qmap template'),
    ("template 'gzip {}' :::: names.txt",
     ':::: belongs to GNU parallel; write {{a,b}} or {{FILE}} in the command of qmap template'),
    ("template -I {} 'gzip {}'", '-I: unknown option; write {{a,b}} or {{FILE}} in the command of qmap template'),
    ("template 'gzip {1}' --colsep ,",
     '--colsep: unknown option; give --table FILE to qmap template, and write {{?COLUMN}} in its command'),
    ('template gzip a b', 'unrecognised: a b (put the command in quotes; see qmap template --help)'),
    ('template nope.txt',
     'nope.txt: no such file or program; to use a program that only the jobs find, write "command nope.txt"'),
    ("template 'x {{nope.txt}}'",
     '{{nope.txt}}: No such file or directory (a list needs a comma, a pattern a wildcard; to pass braces to '
     'the command, write \\{{)'),
    ("template 'x {{s.tsv}}'",
     '{{s.tsv}}: s.tsv, line 1: contains a tab, but each line is one value; for a table, give --table s.tsv and '
     'write {{?COLUMN}}'),
    ("template 'x {{?sample}}'", '{{?sample}}: a column, but no table is given; add --table FILE'),
    ("template 'x {{?file}}' --table s.tsv", '{{?file}}: s.tsv has no column file; its columns: a, b'),
    ("template 'x {{?=f:base}} {{?f:a,b}}'",
     '{{?=f:base}}: invalid reference; write {{?=name}}, or a part of that path: {{?=f:name}} {{?=f:stem}} '
     '{{?=f:dir}} {{?=f:ext}}'),
    ('template x --where type=tumor', '--where: needs a table; add --table FILE'),
    ('template --table s.tsv', "--table: needs a command, such as 'echo {{?COLUMN}}'"),
    ('template x --table s.txv', 's.txv: No such file or directory (did you mean s.tsv?)'),
    ("template 'x {{*.none}}'", '{{*.none}}: no file matches; to pass the wildcard to the command, quote it'),
    ("template 'x {{a,b'", '{{a,b: unclosed or nested braces; to pass braces to the command, write \\{{'),
    ("template 'x {{?=n}}'", '{{?=n}}: no group is named n; name one with {{?n:...}}'),
    ("template 'x {{}}'",
     '{{}}: invalid group; write {{a,b}}, {{file}}, {{*}}, {{?name:...}} or {{?=name}} (names: letters, '
     'digits and _)'),
    ('template x -f a.map', 'a.map already exists; give another name, or --force to overwrite it'),
    ('template x -b nope.map', 'nope.map: No such file or directory (did you mean unclosed.map?)'),
    ('template x -m lots', 'memory = lots: invalid memory size; write 512M, 1.5G or 2T (units K M G T P; default G)'),
    ('submit a.map -n', '-n/--name: needs a value; -n is the name of the jobs; dry run: --dry-run'),
    ('submit a.map --keep-going',
     '--keep-going: unknown option; leave it out: other jobs continue after a failure (--no-halt: whatever fails)'),
    ('submit a.map --rerun-incomplete',
     '--rerun-incomplete: unknown option; resume an execution: qmap reattach DIR'),
    ('submit a.map --restart-times 3',
     '--restart-times: unknown option; retries: --retries N'),
    ('submit a.map --executor slurm', '--executor: unknown option; scheduler: -p slurm'),
    ('submit a.map --use-conda', '--use-conda: unknown option; conda environment: qmap template --conda-env ENV'),
    ('submit a.map --forceall',
     '--forceall: unknown option; leave it out: each submit runs the whole map, in a new logs folder'),
    ('submit a.map --cores all', 'cores = all: must be a positive integer or 0'),
    ('submit a.map --cores 64',
     'each job requests 64 cores; this machine has ...; request less (jobs at once: --max-running)'),
    ('submit a.map -resume', '-resume: unknown option; resume an execution: qmap reattach DIR'),
    ('submit a.map -profile slurm', '-profile: unknown option; scheduler: -p slurm'),
    ('submit a.map -bg', '-bg: unknown option; continue in the background: --detach'),
    ('submit a.map --progress', '--progress: needs a value; write --progress json'),
    ('submit a.map --keep none', '--keep: none: unknown value; known: all, failed (see qmap submit --help)'),
    ('submit a.map --detach=yes', '--detach: takes no value (see qmap submit --help)'),
    ('submit a.map --detach --leave', '--leave and --detach: give only one of them'),
    ('submit a.map --leave', '--leave: needs a scheduler; to continue in the background, give --detach'),
    ('submit a.map --pull 4',
     '--pull: only for clusters; leave it out, short jobs on this machine share a shell anyway'),
    ('submit a.map -r 0', '-r/--max-running: 0: must be a positive integer (see qmap submit --help)'),
    ('submit a.map -r all', '-r/--max-running: all: must be a positive integer (see qmap submit --help)'),
    ('submit a.map -r 1.5', '-r/--max-running: 1.5: must be a positive integer (see qmap submit --help)'),
    ('submit a.map -g 0', '-g/--group: 0: must be a positive integer (see qmap submit --help)'),
    ('submit a.map -c 2.5', 'cores = 2.5: must be a positive integer or 0'),
    ('submit a.map -c=-1', 'cores = -1: must be a positive integer or 0'),
    ('submit a.map -m 4,5G',
     'memory = 4,5G: invalid memory size; write 512M, 1.5G or 2T (units K M G T P; default G)'),
    ('submit a.map -m 0', 'memory = 0: invalid memory size; write 512M, 1.5G or 2T (units K M G T P; default G)'),
    ('submit a.map -m 10%', 'memory = 10%: invalid memory size; write 512M, 1.5G or 2T (units K M G T P; default G)'),
    ('submit a.map -m -4G', '-m/--memory: needs a value (see qmap submit --help)'),
    ('submit a.map -m 900T',
     'each job requests 900T of memory; this machine has ...; request less (jobs at once: --max-running)'),
    ('submit a.map -l out',
     'out: contains an execution already; resume it with reattach -l out, with an edited map by '
     '--resume, or give another folder with --logs'),
    ('submit a.map -l a.map', 'HERE/a.map: the logs folder is a file; give another one with --logs'),
    ('submit a.map -l names.txt/x', 'HERE/names.txt/x: Not a directory; give another logs folder with --logs'),
    ('submit a.map jobs.map', 'jobs.map: only one map per submit; join maps with cat, or submit each'),
    ('submit job.map', 'job.map: No such file or directory (did you mean jobs.map?)'),
    ('submit nope/job.map', 'nope/job.map: No such file or directory'),
    ('submit', 'missing argument: MAP (see qmap submit --help)'),
    ('submit out', 'out: Is a directory; resume an execution with reattach -l out'),
    ("submit 'echo hi'", "echo hi: No such file or directory; to run one command: qmap run 'echo hi'"),
    ('submit empty.map', 'empty.map: contains no commands; write one per line'),
    ('submit comments.map', 'comments.map: contains no commands; write one per line'),
    ('submit unsplit.map',
     'unsplit.map: contains no commands; all its lines (2) belong to [pre]: add a line [jobs] before the commands'),
    ('submit sections.map',
     'sections.map, line 1: [job]: unknown section (did you mean jobs?); known sections: [pre] [post] '
     '[params] [jobs]'),
    ('submit a.map --nmae x', 'unrecognised: --nmae x (did you mean --name?) (see qmap submit --help)'),
    ('submit a.map --Memory 4G', 'unrecognised: --Memory 4G (did you mean --memory?) (see qmap submit --help)'),
    ('submti a.map', 'submti: unknown tool (did you mean qmap submit?) (see qmap --help)'),
    ('status', 'status: unknown tool (did you mean qmap info --summary?) (see qmap --help)'),
    ('squeue', 'squeue: unknown tool (did you mean qmap info -s all status?) (see qmap --help)'),
    ('cancel 3', 'cancel: unknown tool (did you mean qmap control cancel?) (see qmap --help)'),
    ('kill', 'kill: unknown tool (did you mean qmap control cancel?) (see qmap --help)'),
    ('resume', 'resume: unknown tool (did you mean qmap reattach?) (see qmap --help)'),
    ('log 17', 'log: unknown tool (did you mean qmap info --log ID?) (see qmap --help)'),
    ('ls', 'ls: unknown tool (did you mean qmap info -s all status?) (see qmap --help)'),
    ('version', 'version: unknown tool (did you mean qmap --version?) (see qmap --help)'),
    ('a.map', 'a.map: unknown tool (did you mean qmap submit a.map?) (see qmap --help)'),
    ('-v', '-v: unknown option (did you mean -V?)'),
    ('--verison', '--verison: unknown option (did you mean --version?)'),
    ('sbatch a.map', 'sbatch: unknown tool (did you mean qmap submit?) (see qmap --help)'),
    ('qdel 3', 'qdel: unknown tool (did you mean qmap control cancel?) (see qmap --help)'),
    ('control -l out kill', 'kill: unknown order (did you mean cancel?) (see qmap control --help)'),
    ('control -l out cancle', 'cancle: unknown order (did you mean cancel?) (see qmap control --help)'),
    ('control -l out rerun', 'rerun: unknown order (did you mean retry?) (see qmap control --help)'),
    ('control -l out hold', 'hold: unknown order (did you mean pause?) (see qmap control --help)'),
    ('control -l out', 'missing argument: ORDER (see qmap control --help)'),
    ('control -l out cancel all', 'all: invalid job id; write 3 or 3,7-12, or -s all'),
    ('control -l out cancel 3..5', '3..5: invalid job id; write 3 or 3,7-12'),
    ('control -l out cancel 1-0', '1-0: the range runs backwards; write 0-1'),
    ('control -l out cancel 99', '99: no such job; ids: 0'),
    ('control -l out retry failed', 'failed: invalid job id; write 3 or 3,7-12, or -s failed'),
    ('control -l out retry -s fialed', 'fialed: unknown status (did you mean failed?)'),
    ('control -l out retry -m lots',
     'memory = lots: invalid memory size; write 512M, 1.5G or 2T (units K M G T P; default G)'),
    ('control -l out set cores 4', 'cores: not a parameter; write KEY=VALUE'),
    ('control -l out set cores=two', 'cores = two: must be a positive integer or 0'),
    ('control -l out set Cores=2', 'Cores: parameter names are in lower case; write cores'),
    ('control -l out set', 'missing argument: KEY=VALUE (see qmap control set --help)'),
    ('control -l out max-running', 'missing argument: N (see qmap control max-running --help)'),
    ('control -l out max-running all', 'all: must be a positive integer (see qmap control max-running --help)'),
    ('control -l nope pause', 'HERE/nope: No such file or directory'),
    ('info -l out -s skiped', 'skiped: unknown status (did you mean skipped?)'),
    ('info -l out -s done', 'done: unknown status (did you mean completed?)'),
    ('info -l out -s fialed', 'fialed: unknown status (did you mean failed?)'),
    ('info -l out -s oom', 'oom: unknown status (did you mean memory?)'),
    ('info -l out -s CANCELED', 'CANCELED: unknown status (did you mean cancelled?)'),
    ('info -l out -s timeout', 'timeout: unknown status (did you mean time?)'),
    ('info -l out -s queued', 'queued: unknown status (did you mean pending?)'),
    ('info -l out --failed', '--failed: unknown option; give -s failed'),
    ('info -l out --json', '--json: unknown option; give --format json'),
    ('info -l out --state=FAILED', '--state=FAILED: unknown option; give -s FAILED'),
    ('info -l out -f', '-f: unknown option; give --log ID --follow'),
    ('info -l out --stderr', '--stderr: unknown option; give --log ID --err'),
    ('info -l out --log', '--log: needs a value; write --log ID'),
    ('info -l out --log 99', '99: no such job; ids: 0'),
    ('info -l out --log a-b', 'a-b: invalid job id; write 3 or 3,7-12'),
    ('info -l out --err', '--err, --follow: only with --log ID'),
    ('info -l out --attempt 1', '--attempt: only with --log ID or --script ID'),
    ('info -l out --script', '--script: needs a value; write --script ID'),
    ('info -l out --script 99', '99: no such job; ids: 0'),
    ('info -l out --script 0,0', '0,0: --script takes the id of one job, such as 17'),
    ('info -l out --script 0 --attempt 2', 'job 0: no attempt 2; the last one is 1'),
    ('info -l out --script 0 --log 0', '--log: not with --script ID'),
    ('info -l out --script 0 -s all', '--status: not with --script ID'),
    ('info -l out --script 0 status', 'status: not a logs folder, and --script ID takes no fields'),
    ('info nope --script 0', 'HERE/nope: No such file or directory'),
    ('info -l out --every 2', '--every: only with --watch'),
    ('info -l out --format xml status', '--format: xml: unknown value; known: tsv, csv, json (see qmap info --help)'),
    ('info -l out --format csv', '--format csv: name the fields to print, such as status exit_code'),
    ('info -l out --summary status',
     '--summary covers all jobs; the only options it takes are --format json and --output'),
    ('info -l out -o a.map', 'a.map already exists; give another name, or --force to overwrite it'),
    ('info -l nope', 'HERE/nope: No such file or directory'),
    ('report -l out -o a.map', 'a.map already exists; give another name with -o, or --force to overwrite it'),
    ('report -l nope', 'HERE/nope: No such file or directory'),
    ('reattach -l a.map', 'HERE/a.map: Not a directory'),
    ('run --mem=4G true', '--mem=4G: unknown option; memory per job: -m 4G'),
    ('run -c 900 true', 'the command requests 900 cores; this machine has ...'),
    ('run -c 900 -q make -W 5', 'the command requests 900 cores; this machine has ...'),
    ('run -t soon true', 'time = soon: invalid time; write 90m, 2h, 1d, 1:30:00 or 2-00:00:00 (default unit: hours)'),
    ('bundle a.map', 'a.map already exists; give another name, or --force to overwrite it'),
    ('completion fish', 'fish: unknown value; known: bash, zsh (see qmap completion --help)'),
    ('help feilds', 'feilds: no such topic (did you mean fields?)'),
    ('help submti', 'submti: no such topic (did you mean submit?)'),
    ('submit params.map', 'params.map, line 2: memory 4G: not a parameter; write key = value'),
    ('submit colon.map', 'colon.map, line 2: cores: 4: not a parameter; write key = value'),
    ('submit unclosed.map', 'unclosed.map, line 1: [jobs: missing closing bracket; write [name]'),
    ('submit before.map', 'before.map, line 1: text before the first section; move it below [jobs]'),
    ('submit stray.map', 'stray.map, line 1: [jobs] true: text after a section header; move it to the next line'),
    ('submit utf16.map', 'utf16.map: encoded in UTF-16; save it as UTF-8'),
    ('submit units.map',
     'units.map, line 1: memory = lots: invalid memory size; write 512M, 1.5G or 2T (units K M G T P; default G)'),
    ('submit own.map', 'own.map, line 1: cores = all: must be a positive integer or 0'),
    ('submit twice.map',
     'twice.map, line 2: identifier 3 (QMAP_LINE) is also that of line 1; delete line=, or give another number'),
    ('submit reserved.map',
     'reserved.map, line 2: status: reserved name (QMap sets QMAP_STATUS itself); rename the parameter'),
    ('info -l out -s all state', 'unknown field state (did you mean status?)'),
    ('info -l out -s all sampel', 'unknown field sampel (did you mean params.sample?)'),
    ('info -l out 1', 'unknown field 1; to choose jobs: --ids 1'),
    ('info outt', 'HERE/outt: No such file or directory'),
    ('info -l out --summary --ids 1', '--ids: only with fields, or for a map'),
    ('info -l out -s all jobid', 'unknown field jobid (did you mean executor_id?)'),
    ('info -l out -s all maxrss', 'unknown field maxrss (did you mean usage.memory.peak?)'),
    ('info -l out -s all exitcode', 'unknown field exitcode (did you mean exit_code?)'),
    ('info -l out -s all params.sampel', 'unknown field params.sampel (did you mean params.sample?)'),
    ('info -l out -s all nosuch', 'unknown field nosuch; list of fields: ...'),
]

#: The same, of what is done all the same, with a warning.
ODD = [
    ('submit a.map --dry-run -n 4', 'name = 4: names the jobs; cores per job: -c 4, jobs at once: -r 4'),
    ('submit number.map --dry-run', 'name = 4: names the jobs; cores per job: -c 4, jobs at once: -r 4'),
    ('submit sbatch.map --dry-run',
     'sbatch.map, line 2: #SBATCH --mem=4G: not read; put resources below [params], and other options of the scheduler '
     'into extra'),
    ('submit cpus.map --dry-run',
     'cpus.map, line 2: unknown parameter cpus (did you mean cores?); passed to jobs as QMAP_CPUS'),
    ('submit a.map --dry-run -r 1000',
     '--max-running 1000: this machine has room for ... such job... at once; if they only wait, give -c 0'),
]


def content(folder):
    """Return {path: bytes} of all files below a folder, and the paths of the folders."""
    found = {}
    for path, folders, names in os.walk(folder):
        found.update((os.path.join(path, name), None) for name in folders)
        for name in names:
            with open(os.path.join(path, name), 'rb') as source:
                found[os.path.join(path, name)] = source.read()
    return found


@pytest.fixture
def call(qmap, monkeypatch, capsys):
    """Return a function that calls QMap in this process, in a folder with FILES: the exit status, stdout and stderr."""
    for name, text in FILES.items():
        qmap.write(name, text)
    write_journal(prepare(qmap, FILES['sample.map'], 'out'), [ended('0', 5)])
    monkeypatch.chdir(qmap.folder)
    for name in ('QMAP_PROFILE', 'QMAP_HOME', 'XDG_CONFIG_HOME'):
        monkeypatch.setenv(name, qmap.environ[name])
    monkeypatch.delenv('QMAP_TEMPLATE_BASE', raising=False)

    def function(line):
        status = module.main(shlex.split(line))
        return (status,) + tuple(capsys.readouterr())
    return function


def matches(expected, line, folder):
    """Tell whether a line is what is expected, where ... stands for anything, and HERE for the folder."""
    pattern = re.escape(expected).replace(re.escape('...'), '.*').replace('HERE', re.escape(folder))
    return re.fullmatch(pattern, line) is not None


@pytest.mark.parametrize('line, error', SLIPS, ids=[line for line, _ in SLIPS])
def test_a_slip_is_one_line_that_names_the_mend(call, qmap, line, error):
    before = content(qmap.folder)
    status, out, err = call(line)
    assert (status, out) == (2, '') and err.count('\n') == 1, (out, err)
    assert matches('qmap: error: ' + error, err[:-1], qmap.folder), err
    assert content(qmap.folder) == before


@pytest.mark.parametrize('line, warning', ODD, ids=[line for line, _ in ODD])
def test_what_looks_odd_is_done_with_a_warning(call, qmap, line, warning):
    before = content(qmap.folder)
    status, _, err = call(line)
    assert status == 0 and err.count('\n') == 1 and matches('qmap: warning: ' + warning, err[:-1], qmap.folder), err
    assert content(qmap.folder) == before


def test_a_lone_file_says_what_is_wrong_without_the_hints(call, qmap, monkeypatch):
    monkeypatch.setattr(module, 'backends_there', lambda: False)
    assert call('submit a.map --array=1-9')[2] == 'qmap: error: unrecognised: --array=1-9 (see qmap submit --help)\n'
    assert 'submti: unknown tool (did you mean qmap submit?)' in call('submti a.map')[2]
