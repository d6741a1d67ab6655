"""Some steps of small worlds, and that they find what they are there to find."""

import os
import subprocess
import sys

import pytest

#: Hardly depends on the Python.
pytestmark = pytest.mark.once

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'small_world.py')


def play(*words):
    process = subprocess.run([sys.executable, SCRIPT] + list(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return process.returncode, process.stdout.decode()


def test_the_rules_hold_at_some_steps():
    code, said = play()
    assert code == 0 and said.count(' 0 break a rule') == 5, said


def test_a_point_repeats_exactly():
    point = ('--story', 'machine', '--point', 'power:44:2')
    assert [line.split(' ', 1) for line in play(*point)[1].splitlines() if '/' not in line] == [
        line.split(' ', 1) for line in play(*point)[1].splitlines() if '/' not in line]


@pytest.mark.slow
@pytest.mark.parametrize('bug, story, near, every', [
    ('dropping', 'machine', '1-1.json', '5'), ('fsync', 'machine', '1.start', '15')])
def test_a_planted_bug_is_found(bug, story, near, every):
    code, said = play('--plant', bug, '--story', story, '--near', near, '--every', every)
    assert code == 1 and '--point' in said, said
