"""The view for programs: `--progress json` prints each event as a line of JSON; progress.md has the keys."""

import collections
import json
import os
import time

from qmap import COMPLETED, FAILED, NO_ROOM, View, __version__, encode, status_changes, strict_json

#: What is told of an attempt that has ended.
OF_END = ('exit_code', 'error_reason', 'error', 'host', 'started', 'finished', 'cpu', 'memory',
          'memory_below', 'rerun', 'retry')


def line(event, **keys):
    """Return what happened as a line."""
    now = round(time.time(), 3)
    return json.dumps(collections.OrderedDict([('event', event), ('time', now)], **keys)) + '\n'


class Progress(View):
    """The view for programs: what the plain view does, in JSON."""

    #: Seconds between two lines with counts.
    PAUSE = 1

    def __init__(self, session, stream):
        """
        Args:
            session: Session
            stream: text file to write to
        """
        super().__init__(session)
        self._stream = stream
        self._events = collections.deque()
        self._next, self._last = 0, None
        session.on_event = self._events.append
        info = session.plan.info
        self._write(line(
            'start', logs=session.path, version=__version__, profile=info['profile'],
            executor=info['executor'], jobs=info['jobs'], commands=info['commands'],
            max_running=info['max_running'], counts=session.counts()))

    def _write(self, text):
        try:
            self._stream.write(strict_json(text))
            self._stream.flush()
        except (OSError, ValueError) as error:
            if getattr(error, 'errno', None) not in NO_ROOM:    # which may have room again later
                self._stream = open(os.devnull, 'w')    # nobody reads any more; the jobs go on

    def say(self, text):
        """Print a sentence."""
        self._write(line('note', text=encode(text).decode('utf-8', 'replace')))

    def update(self, last=False):
        """Print what has happened."""
        changes = []
        while self._events:
            changes.extend(self._changes(self._events.popleft()))
            if len(changes) > 1000:
                self._write(''.join(changes))
                changes = []
        self._write(''.join(changes))
        now = time.monotonic()
        session = self.session
        state = (session.counts(), session.trouble, session.driving)
        due = last or now >= self._next
        if due and state != self._last:
            self._next, self._last = now + self.PAUSE, state
            self._write(line('counts', counts=state[0], trouble=state[1], driving=state[2]))

    def _changes(self, event):
        for change in status_changes(event, self.session.ledger):
            told = OF_END if change['status'] in (COMPLETED, FAILED) else ()
            keys = {key: change[key] for key in told if change.get(key) not in (None, '')}
            yield line('job', id=change['job'], status=change['status'], attempt=change['attempt'], **keys)

    def finish(self, summary):
        """Print the last line.

        Args:
            summary: Summary
        """
        self._write(line('end', left=bool(summary.left), **summary.as_dict()))
