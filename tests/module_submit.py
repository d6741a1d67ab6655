"""Executions as files, without a driver."""

import os

import qmap as module


def prepare(tool, text, logs):
    """Make the logs folder for a map in a tool's folder, and start nothing."""
    tool.write('prepared.map', text)
    here = os.getcwd()
    os.chdir(tool.folder)
    try:
        return module.Request('prepared.map', profile='local').create(logs)
    finally:
        os.chdir(here)


def write_journal(path, events):
    """Write the journal of a prepared execution, as one driver would that is gone.

    Args:
        path: of the logs folder
        events: list of dicts
    """
    journal = module.Journal(module.Logs(path).journal(1), {'event': 'open', 'host': 'login', 'pid': 1, 'born': 'x/1'})
    journal.write([{'event': 'lead', 'epoch': 1, 'host': 'login', 'pid': 1, 'born': 'x/1', 'read': {}, 'time': 1000.0}])
    journal.write(events + [{'event': 'saved'}, {'event': 'left', 'time': 9000.0}])
    journal.close()


def ended(job, seconds, memory=None, cpu=None, **more):
    """Return the last event of a job that completed.

    Args:
        job: its id
        seconds: that it ran
        memory: bytes
        cpu: seconds
        more: other fields, also in place of these
    """
    return dict({'event': 'end', 'job': job, 'attempt': 1, 'status': 'COMPLETED', 'batch': 1, 'k': 0,
                 'submitted': 1000.0, 'started': 1010.0, 'finished': 1010.0 + seconds, 'host': 'c01', 'exit_code': 0,
                 'cpu': cpu, 'memory': memory}, **more)
