"""The real runner, killed before each of its commands: some of them here, all with `tests/run --points`."""

import os
import subprocess
import sys

import pytest

import points

import qmap as module

#: Hardly depends on the Python.
pytestmark = pytest.mark.once


def play_some(stride):
    process = subprocess.run([sys.executable, os.path.abspath(points.__file__), str(stride)],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert process.returncode == 0, process.stdout.decode()


def test_the_laws_hold_at_every_97th_point():
    play_some(97)


@pytest.mark.slow
def test_the_laws_hold_at_every_19th_point():
    play_some(19)


@pytest.fixture
def stage(tmp_path):
    """A function that makes a scene."""
    scenes = []

    def make(name):
        scenes.append(points.Scene(name, str(tmp_path)))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.close()


@pytest.mark.parametrize('name', points.SCENES)
def test_what_was_claimed_and_did_not_come_to_begin_runs_as_the_next_attempt(stage, name):
    scene = stage(name)
    point = next(point for point, command in scene.points.items() if command == 'set +C')
    assert scene.play(point, 'node')
    assert [key for key in scene.begun() if key.startswith('0.')] == ['0.2']


#: Bugs, each with the scene and what happens in it that shows it: where in qmap.py, what stands there, and what then.
BUGS = {
    'who cannot make the file runs the chunk all the same': (
        'RUNNER', 'if ! exec >"$qmap_words"', 'if ! exec >|"$qmap_words"', 'task', 'beside'),
    'it is not looked once more whether the batch is over': (
        'RUNNER', '[ -e "$qmap_batch" ]', 'true', 'share', 'driver'),
    'a job begins before it says so': (
        'LOOP', r"printf 's %s %s .\n' $qmap_key $qmap_time", 'true', 'share', 'node'),
    'a job says its end before it began': (
        'LOOP', '    set -m\n',
        '    set -m; qmap_say e $qmap_key \'{"exit_code":0,"time":1,"memory":0}\'\n', 'task', 'node'),
    'a line that was torn counts': (
        'WORD', r'(?: (.*))? \.\Z', r'(?: (.*))?(?: \.)?\Z', 'task', 'torn'),
}


@pytest.mark.slow
@pytest.mark.parametrize('bug', BUGS)
def test_a_planted_bug_is_found(stage, monkeypatch, bug):
    where, right, wrong, name, fate = BUGS[bug]
    value = getattr(module, where)
    if where == 'WORD':
        planted = module.re.compile(value.pattern.replace(right, wrong))
        assert planted.pattern != value.pattern
    else:
        planted = value.replace(right, wrong)
        assert planted != value
    monkeypatch.setattr(module, where, planted)
    scene = stage(name)
    cases = [case for case in scene.cases() if case[1] == fate]
    assert any(points.play(scene, case) is False for case in cases[::len(cases) // 60 + 1])
