"""A program that uses all that QMap promises to programs: tests run it, and .ci/run has its types checked.

    python3 tests/typed_program.py MAP LOGS

`wrong_uses` never runs. A type checker must refuse each of its lines: `type: ignore` names the error, and
mypy tells of a comment without an error. So an annotation that is lost, or says nothing, is noticed.
"""

import os
import pathlib
import sys
from typing import Any, Dict, Iterator, List, Optional

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import qmap    # noqa: E402: the one beside this folder


def run_map(jobs_map: str, logs: str) -> qmap.Execution:
    """Run a map to its end, with all that `submit` takes."""
    execution: qmap.Execution = qmap.submit(
        pathlib.Path(jobs_map), max_running=2, logs=logs, group=1, profile='local', keep='all', pull=0,
        on_finish=None, params={'sample': 's1'}, canary=1, halt='fail=5', exclude=True, resume=False, cores=1,
        retries=2, max_memory='8G')
    for event in execution:
        print(event['job'], event['status'])
    ended: bool = execution.wait(timeout=60.0)
    print('ended', ended, execution.left())
    return execution


def show_jobs(execution: qmap.Execution) -> None:
    """Print what is known of the jobs, and of the execution."""
    counts: Dict[str, int] = execution.counts()
    print('counts', counts['COMPLETED'], counts['FAILED'])
    jobs: Iterator[Dict[str, Any]] = execution.jobs(status=['failed'], fields=['id', 'exit_code'])
    print('failed', list(jobs))
    warnings: List[str] = execution.warnings
    reason: str = execution.halt_reason
    path: str = execution.path
    print(warnings, reason or '-', os.path.basename(path), repr(execution))


def resume_in_steps(logs: str) -> None:
    """Pick an execution up again, and steer it in each way."""
    execution: qmap.Execution = qmap.reattach(
        logs=pathlib.Path(logs), max_running=None, force=False, takeover=False)
    execution.halt()
    execution.leave()
    execution.cancel()
    execution.start()
    left: int = execution.left()
    print('resumed', execution.wait(None), left, execution.retries()['waiting'])


def find_error(logs: str) -> Optional[str]:
    """Return what QMap says of a folder without an execution."""
    try:
        qmap.reattach(logs)
    except qmap.QMapError as error:
        return str(error)
    return None


def wrong_uses(execution: qmap.Execution) -> None:
    """Use what is promised in wrong ways; never called."""
    qmap.submit()    # type: ignore[call-arg]
    qmap.submit(3)    # type: ignore[arg-type]
    qmap.submit('a.map', max_running='four')    # type: ignore[arg-type]
    qmap.submit('a.map', logs=5)    # type: ignore[arg-type]
    qmap.submit('a.map', group='two')    # type: ignore[arg-type]
    qmap.submit('a.map', profile=1)    # type: ignore[arg-type]
    qmap.submit('a.map', keep=True)    # type: ignore[arg-type]
    qmap.submit('a.map', pull='64')    # type: ignore[arg-type]
    qmap.submit('a.map', on_finish=print)    # type: ignore[arg-type]
    qmap.submit('a.map', params=['cores=1'])    # type: ignore[arg-type]
    qmap.submit('a.map').wait_for_all()    # type: ignore[attr-defined]
    qmap.reattach(7)    # type: ignore[arg-type]
    qmap.reattach('logs', max_running='four')    # type: ignore[arg-type]
    qmap.reattach('logs', force='yes')    # type: ignore[arg-type]
    qmap.reattach('logs', takeover='yes')    # type: ignore[arg-type]
    qmap.reattach('logs', cores=2)    # type: ignore[call-arg]
    qmap.reattach('logs').finish()    # type: ignore[attr-defined]
    execution.wait('a minute')    # type: ignore[arg-type]
    execution.jobs(status=3)    # type: ignore[arg-type]
    execution.jobs(fields=3)    # type: ignore[arg-type]
    next(execution.jobs()).id    # type: ignore[attr-defined]
    next(iter(execution)).job    # type: ignore[attr-defined]
    execution.wait().finished    # type: ignore[attr-defined]
    execution.left().ids    # type: ignore[attr-defined]
    execution.counts().completed    # type: ignore[attr-defined]
    execution.counts()[0]    # type: ignore[index]
    execution.path.name    # type: ignore[attr-defined]
    execution.warnings.splitlines()    # type: ignore[attr-defined]
    execution.start().pid    # type: ignore[attr-defined]
    print(execution.halt())    # type: ignore[func-returns-value]
    print(execution.leave())    # type: ignore[func-returns-value]
    print(execution.cancel())    # type: ignore[func-returns-value]


if __name__ == '__main__':
    show_jobs(run_map(sys.argv[1], sys.argv[2]))
    resume_in_steps(sys.argv[2])
    print(find_error(os.path.dirname(qmap.__file__)))
