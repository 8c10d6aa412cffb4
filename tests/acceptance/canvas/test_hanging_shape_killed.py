"""The twelfth of the shapes that hang in Celery: who counts the last member of a chord dies before it has sent the body.

A chord of three is played once, without a death; then once for each commit and each take that a worker passes from when the outcome of the
last member is stored until the body starts, with the worker killed there: when it has counted, when it has been told that all are in, when
the body is sent, when the body is taken. (test_kill_points.py has all points, of more canvases.)
"""

from __future__ import annotations

import pytest

from support.kill_matrix import name_of
from support.kill_scenarios import SCENARIOS
from support.kill_trial import Trial
from support.leftovers import Leftovers
from support.stacks import open_stack
from support.thorough import long
from support.zygote import Zygote

CHORD = SCENARIOS["chord"]


@pytest.fixture(params=["redis", "postgres", long("sqlite")])
def play(request, tmp_path):
    """Plays the chord with a process killed at each of the points given."""
    with open_stack(request.param, tmp_path) as stack, Leftovers(stack) as leftovers:
        zygote = Zygote(tmp_path)
        try:
            yield lambda *plan: Trial(zygote, stack, leftovers, CHORD, tmp_path, plan)
        finally:
            zygote.close()


def points_between(story: str, last: int) -> list[str]:
    """The points, as NAME#N, that a worker passed from the run of that number (from 0) until the next one."""
    counts: dict[str, int] = {}
    runs, found = 0, []
    for line in story.splitlines():
        _, _, text = line.partition(" ")
        if text.startswith("run "):
            runs += 1
        elif text in ("worker.committed", "worker.taken"):
            counts[text] = counts.get(text, 0) + 1
            if runs == last + 1:
                found.append(f"{text}#{counts[text]}")
    return found


@pytest.mark.timeout(240)
def test_h12_a_chord_whose_worker_is_killed_between_counting_and_dispatching_runs_its_body(play, figure):
    calm = play().run()
    points = points_between(calm.story, last=2)
    assert calm.runs == 4
    assert [name_of(point) for point in points] == ["worker.committed", "worker.taken"] * 2

    longest = 0.0
    for point in points:
        ended = play(point).run()

        assert ended.troubles == [], ended.story
        assert ended.killed == [point]
        assert ended.repeats <= 1, (
            ended.story
        )  # what ran when its worker died, and had not stored its outcome
        longest = max(longest, ended.seconds)
    figure(f"{len(points)} points, the canvas had settled at most {longest:.2f} s after the death")
