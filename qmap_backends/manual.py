"""The tables of the manual, for `qmap help` and for README.md, which holds the same text."""

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
| `QMAP_ELAPSED` | seconds since it was submitted |
| `QMAP_SUMMARY` | the first line of the summary |
"""
