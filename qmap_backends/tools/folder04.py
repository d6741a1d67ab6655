"""Logs folders of qmap 0.4, for `qmap info`."""

import collections
import os

from qmap import (
    FAILED, Failures, Map, QMapError, STATUSES, UsageTotals, absolute_path, decode, of_types, open_regular,
    parse_ids, parse_statuses, read_json, read_last_line, sound_record)


class Folder04:
    """A logs folder of qmap 0.4: it has a .info for each job, and no journal. It can be asked, not driven.

    It has those attributes and methods of `ExecutionReader` and `Plan` that questions need.
    """

    has_journal = False

    def __init__(self, path):
        self.path = path
        self.map = Map(os.path.join(path, 'qmap_input'), submitted=True)
        info = of_types(read_json(os.path.join(path, 'execution.info')), {'groups': (int, str), 'token': str})
        self.group = max(1, int(info['groups'])) if str(info.get('groups', '')).isdigit() else 1
        self.params, self.width = self.map.params, len(str(len(self.map) - 1))
        self.name, self.repeat, self.created = os.path.basename(absolute_path(path)), [], 0
        self.warnings = ['{}: the journal is missing; only the .info files are read'.format(
            os.path.join(path, '.qmap'))] if 'token' in info else []
        self.failures = Failures()

    def jobs(self, status, fields=None, ids=None):
        """Yield the metadata of the jobs with a status and these ids, as '3,7-12'."""
        wanted = parse_statuses([status] if isinstance(status, str) else status)
        spans = parse_ids(ids, self) if ids is not None else [(0, len(self.map))]
        for name in sorted(os.listdir(self.path)):
            id, suffix = os.path.splitext(name)
            if suffix == '.info' and id.isdigit() and any(first <= int(id) <= last for first, last in spans):
                info = read_json(os.path.join(self.path, name))
                if not isinstance(info, dict) or not isinstance(info.get('status'), str):
                    continue
                reason_wanted = info['status'] == FAILED and str(info.get('error_reason')) in wanted
                if info['status'] in wanted or reason_wanted:
                    yield dict(info, id=id)

    def counts(self):
        """Return {status: number of jobs}, in the order of STATUSES."""
        found = collections.OrderedDict((status, 0) for status in STATUSES)
        for info in self.jobs('all'):
            found[info['status']] += 1
        return found

    def figures(self):
        """Return the UsageTotals of the finished jobs, as far as 0.4 knew them, and count the failures."""
        figures, self.failures = UsageTotals(1), Failures()
        for info in self.jobs('c,f'):
            record = {'job': info['id'], 'status': info['status'], 'host': info.get('host'),
                      'exit_code': info.get('exit_code'), 'error_reason': info.get('error_reason')}
            if info['status'] == FAILED:
                record['error'] = read_last_line(os.path.join(self.path, info['id'] + '.err'))
                if isinstance(record['exit_code'], int) and not record['error_reason']:
                    record['error_reason'] = 'exit'
                self.failures.add(sound_record(record))
            figures.add(sound_record(record))
        return figures

    def script(self, id):
        """Return the text of a job's script, which 0.4 kept.

        Raises:
            QMapError: it cannot be read
        """
        path = os.path.join(self.path, id + '.sh')
        try:
            with open_regular(path) as source:
                return decode(source.read())
        except OSError as error:
            raise QMapError('{}: {}'.format(path, error.strerror))

    def commands(self, number):
        """Return the indices of a job's commands in the map."""
        return range(number * self.group, min((number + 1) * self.group, len(self.map)))
