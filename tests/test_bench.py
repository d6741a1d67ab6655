"""The bench starts, names its parts as the manual does, and prints what it measured."""

import json
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

BENCH = os.path.join(ROOT, 'tests', 'bench')


def test_the_manual_names_every_part():
    listed = subprocess.check_output([sys.executable, BENCH, '--list'], universal_newlines=True)
    with open(os.path.join(ROOT, 'qmap_backends', 'manual', 'speed.md')) as page:
        rows = re.findall(r'^\| (`.*?) \|', page.read().partition('## How it is measured')[2], re.M)
    documented = re.findall('`(.*?)`', ' '.join(rows))
    assert sorted(documented) == sorted(line.split()[0] for line in listed.splitlines())


@pytest.mark.twice
def test_a_part_prints_a_table_and_writes_json(tmp_path):
    done = subprocess.Popen([sys.executable, BENCH, '--part', 'driver', '--rounds', '1', '--jobs', '20', '--json', 'x'],
                            cwd=str(tmp_path), stdout=subprocess.PIPE, universal_newlines=True)
    out = done.communicate()[0]
    with open(str(tmp_path / 'x')) as source:
        row, = json.load(source)['rows']
    assert row['value'] > 0 and row['what'] == 'CPU time of the driver' and row['unit'] == 'ms a job'
    # It does not promise anything of twenty jobs.
    assert done.returncode == int(not row['good']) and '| CPU time of the driver |' in out
