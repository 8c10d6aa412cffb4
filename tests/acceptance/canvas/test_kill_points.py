"""Whatever dies, at whatever point: everything ends with the right value, and what ran twice did so because a claim died.

The product itself names the points between two effects (canvas/killpoint.py). Each scenario is played once without a death; then once for
each point that was met, with a process killed -9 there, worker, child or sender; and so on until a run meets no new point. That takes a
quarter of an hour and more (`make kills`, also part of `make test-all`), and its figures are kept for `make figures`; otherwise every name
of a point is taken once, on one stack or another, with a sample of the rest by seed. The stacks are tried side by side, as most of the time
passes with leases.
"""

from __future__ import annotations

import os
import random
import re
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from backbeat import canvas

from support.kill_figures import keep
from support.kill_log import KillLog
from support.kill_matrix import Figures, KillMatrix, name_of
from support.kill_scenarios import SCENARIOS, STACKS, Scenario
from support.leftovers import Leftovers
from support.stacks import open_stack
from support.zygote import Zygote

ALL = os.environ.get("BACKBEAT_KILL_MATRIX") == "all"
SEED = os.environ.get("BACKBEAT_SEED", "") or str(random.randrange(1_000_000))
pytestmark = pytest.mark.timeout(3 * 3600 if ALL else 600)
SHARE = 0.01
"""Of the points beyond the first of each name."""
MISSED = 0.05
"""How many plans, at most, may come to a point no more: which of two messages comes first is not up to a test."""
RELAYED = {"relay.sent", "relay.deleted"}
"""No worker of these scenarios relays a transaction: integration/test_transaction_kills.py kills who does."""


class Choice:
    """Which points a process is killed at: all, or each name once over all stacks and a sample of the others."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._lock = threading.Lock()
        self._draw = random.Random(SEED)

    def __call__(self, scenario: str, point: str) -> bool:
        with self._lock:
            if ALL or name_of(point) not in self._names:
                self._names.add(name_of(point))
                return True
            return self._draw.random() < SHARE


def scenarios_of(stack: str) -> list[Scenario]:
    """Each stack begins with another one, so that the names of points are spread over the stacks."""
    played = [each for each in SCENARIOS.values() if stack in (each.stacks if ALL else each.short)]
    first = STACKS.index(stack) * len(played) // len(STACKS)
    return played[first:] + played[:first]


def explore(stack_name: str, choice: Choice) -> Figures:
    """All scenarios on one stack."""
    with tempfile.TemporaryDirectory(prefix="backbeat-kill-") as name:
        directory = Path(name)
        with open_stack(stack_name, directory) as stack, Leftovers(stack) as leftovers:
            zygote = Zygote(directory)
            try:
                matrix = KillMatrix(stack, leftovers, zygote, directory, choice)
                for scenario in scenarios_of(stack_name):
                    matrix.explore(scenario)
            finally:
                zygote.close()
            return matrix.figures


@pytest.fixture(scope="module")
def explored():
    """The figures of each stack, or why there are none (a missing server skips)."""
    choice = Choice()
    with ThreadPoolExecutor(len(STACKS)) as threads:
        futures = {name: threads.submit(explore, name, choice) for name in STACKS}
    if ALL:
        keep([future.result() for future in futures.values() if future.exception() is None], seed=SEED)
    return futures


@pytest.mark.parametrize("stack", STACKS)
def test_killed_at_any_point_everything_ends_with_the_right_value(stack, explored, figure):
    figures = explored[stack].result()

    figure(figures.line() + f" (seed {SEED})")
    assert not figures.troubles, "\n\n".join(figures.troubles[:5])
    assert len(figures.missed) <= max(1, MISSED * figures.trials), figures.missed


def test_each_point_of_the_product_was_met_and_killed_at(explored):
    places = Path(canvas.__file__).parent.rglob("*.py")
    names = {name for path in places for name in re.findall(r'\breach\("([a-z_.]+)"\)', path.read_text())}
    figures = [future.result() for future in explored.values()]
    killed = {name for each in figures for name in each.by_name}
    missed = {name_of(plan[-1]) for each in figures for _, plan in each.missed}

    assert len(names) > 20
    assert killed <= names
    assert names - RELAYED - killed <= missed


# --- the judge itself ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def read(tmp_path):
    def read(*lines, split=False):
        path = tmp_path / "log"
        path.write_text("\n".join(lines))
        return KillLog(path, split)

    return read


def test_a_run_that_is_repeated_after_its_worker_died_is_explained(read):
    log = read("1 worker.taken", "1 run a 0", "1 child.ran", "1 !child.ran#1", "2 worker.taken", "2 run a 0")

    assert (log.killed, log.runs["a", 0], log.repeats, log.unexplained) == (["child.ran#1"], 2, 1, [])


def test_a_run_that_is_repeated_although_nobody_died_is_not_explained(read):
    assert read("1 run a 0", "2 run a 0").unexplained == [("a", 0)]


def test_a_run_that_is_repeated_although_its_outcome_was_stored_is_not_explained(read):
    brings = ["1 run a 0", "1 worker.reported", "1 worker.bringing"]
    whole = [*brings, "1 worker.committed", "1 !worker.committed#1", "2 run a 0"]
    split = [*brings, "1 split.stored", "1 !split.stored#1", "2 run a 0"]

    assert read(*whole).unexplained == [("a", 0)]
    assert read(*split, split=True).unexplained == [("a", 0)]


def test_an_outcome_that_is_reported_while_others_are_stored_is_not_stored_with_them(read):
    log = ["2 run b 0 1", "1 worker.bringing", "1 worker.reported", "1 worker.committed", "1 !worker.told#1"]

    assert read(*log, "3 run b 0 4").unexplained == []
    assert read(*log[:-1], "1 worker.bringing", "1 worker.committed", "3 run b 0 4").unexplained == [("b", 0)]


def test_a_death_of_one_worker_does_not_explain_a_repeat_of_what_another_runs(read):
    assert read("1 run a 0", "2 run b 0", "2 !child.ran#1", "3 run a 0").unexplained == [("a", 0)]


def test_what_a_child_begins_whose_worker_is_dead_may_be_repeated_but_not_what_the_next_worker_then_runs(
    read,
):
    orphan = ["1 worker.submitted", "1 !worker.submitted#1", "2 run a 0 1", "3 run a 0 4"]

    assert read(*orphan).unexplained == []
    assert read(*orphan, "3 run a 0 4").unexplained == [("a", 0)]


def test_the_outcome_that_a_worker_stores_is_that_of_its_child(read):
    stored = [
        "2 run a 0 1",
        "1 worker.reported",
        "1 worker.bringing",
        "1 worker.committed",
        "1 !worker.told#1",
    ]

    assert read(*stored, "3 run a 0 4").unexplained == [("a", 0)]


def test_a_second_repeat_needs_a_second_death(read):
    assert read("1 run a 0", "1 !x#1", "2 run a 0", "3 run a 0").unexplained == [("a", 0)]


def test_a_death_between_an_early_acknowledgement_and_the_outcome_is_noticed(read):
    before = ["1 worker.taken", "1 worker.acking_early"]
    begun = [*before, "1 worker.acked_early", "1 run a 0", "1 worker.reported", "1 worker.bringing"]

    assert not read(*before, "1 !worker.acking_early#1").lost_early
    assert read(*begun, "1 !worker.bringing#1").lost_early
    assert not read(*begun, "1 worker.committed", "1 !worker.committed#1").lost_early
