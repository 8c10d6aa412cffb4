"""Overlap: the rulings as a table, and what the ledger remembers for them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from backbeat.scheduler.blockers import Blockers
from backbeat.scheduler.entry import SECOND_US, Entry, Overlap
from backbeat.scheduler.firing import FiringState, firing_of
from backbeat.scheduler.overlap import rule
from backbeat.scheduler.runs import MemoryRuns
from backbeat.scheduler.schedule import Interval

NOW = 1_700_000_000 * SECOND_US


def entry(overlap=Overlap.QUEUE, **known):
    return Entry(
        name="e", when=Interval(every=timedelta(minutes=1)), what={"task": "t"}, overlap=overlap, **known
    )


def firings(count, start=0, **known):
    return [
        firing_of("test", entry(**known), NOW + k * SECOND_US, rev=1, batch_id=1)
        for k in range(start, start + count)
    ]


RULINGS = [
    # overlap, is the run before alive, how many: decided, held, skipped with the reason
    ("skip", False, 1, [0], [], []),
    ("skip", True, 1, [], [], [(0, "overlap", "run")]),
    ("skip", False, 3, [0], [], [(1, "overlap", 0), (2, "overlap", 0)]),
    ("queue", False, 1, [0], [], []),
    ("queue", True, 1, [], [0], []),
    ("queue", True, 3, [], [2], [(0, "superseded", 1), (1, "superseded", 2)]),
    ("queue", False, 3, [0], [2], [(1, "superseded", 2)]),
    ("cancel", False, 1, [0], [], []),
    ("cancel", True, 2, [0, 1], [], []),
]


@pytest.mark.parametrize("row", RULINGS)
def test_the_rulings(row):
    overlap, alive, count, decided, held, skipped = row
    given = firings(count)

    ruling = rule(Overlap(overlap), given, "run" if alive else "")

    assert [f.task_id for f in ruling.decided] == [given[k].task_id for k in decided]
    assert ruling.held == tuple(given[k] for k in held)
    details = [given[d].task_id if isinstance(d, int) else d for _, _, d in skipped]
    assert [(s.from_us, s.to_us, s.count, s.reason.value, s.detail) for s in ruling.skips] == [
        (given[k].due_us, given[k].due_us, 1, why, detail)
        for (k, why, _), detail in zip(skipped, details, strict=True)
    ]
    assert ruling.latest_id == (given[decided[-1]].task_id if decided else "")


def test_each_run_cancels_the_one_before_it():
    given = firings(3)

    ruling = rule(Overlap.CANCEL, given, "run")

    assert [f.cancels for f in ruling.decided] == ["run", given[0].task_id, given[1].task_id]


def blockers_with(latest, since_us=NOW, **known):
    blockers, runs = Blockers(MemoryRuns()), None
    blockers._runs = runs = MemoryRuns()
    blockers.learn(entry(**known), latest, since_us)
    return blockers, runs


def ends(blockers, now_us, **known):
    ruling = blockers.rule({"e": (entry(**known), firings(1, 100))}, now_us)["e"]
    return len(ruling.decided), len(ruling.held), len(ruling.skips)


def test_a_run_is_in_the_way_until_it_is_over_or_has_lasted_too_long():
    blockers, runs = blockers_with("run", overlap_timeout_us=50 * SECOND_US)
    known = {"overlap_timeout_us": 50 * SECOND_US}

    assert ends(blockers, NOW + 49 * SECOND_US, **known) == (0, 1, 0)
    assert ends(blockers, NOW + 50 * SECOND_US, **known) == (1, 0, 0)
    blockers, runs = blockers_with("run")
    runs.ended.add("run")

    assert ends(blockers, NOW) == (1, 0, 0)


def test_runs_that_cannot_be_asked_are_not_over():
    blockers, runs = blockers_with("run")
    runs.ended.add("run")
    runs.up = False

    assert ends(blockers, NOW) == (0, 1, 0)


def test_of_the_held_the_newest_goes_when_the_way_is_free_and_the_others_never():
    blockers, runs = blockers_with("run")
    held = firings(3)
    blockers.restart(held)

    first = blockers.review(lambda _: entry(), NOW)
    assert [(c.firing, c.after, c.reason) for c in first] == [
        (held[0], FiringState.SKIPPED, "superseded"),
        (held[1], FiringState.SKIPPED, "superseded"),
    ]
    blockers.settled(first, first, NOW)
    runs.ended.add("run")
    second = blockers.review(lambda _: entry(), NOW)
    blockers.settled(second, second, NOW)

    assert [(c.firing, c.after) for c in second] == [(held[2], FiringState.DECIDED)]
    assert not blockers.holds("e")
    assert ends(blockers, NOW) == (0, 1, 0)  # it is the newest run now


def test_what_is_held_expires():
    blockers, _ = blockers_with("run")
    what = {"task": "t", "options": {"expires": 10}}
    short = Entry(name="e", when=entry().when, what=what, overlap=Overlap.QUEUE)
    blockers.restart([firing_of("test", short, NOW, rev=1, batch_id=1)])

    assert blockers.review(lambda _: short, NOW + 9 * SECOND_US) == []
    (change,) = blockers.review(lambda _: short, NOW + 10 * SECOND_US)

    assert (change.after, change.reason) == (FiringState.SKIPPED, "expired")


def test_what_is_held_of_an_entry_that_is_gone_goes_at_once():
    blockers, _ = blockers_with("run")
    blockers.restart(firings(1))

    (change,) = blockers.review(lambda _: None, NOW)

    assert change.after is FiringState.DECIDED


def test_a_held_firing_that_is_loaded_twice_is_held_once():
    blockers, runs = blockers_with("run")
    held = firings(1)
    blockers.restart(held)
    blockers.add_held(firings(1))
    runs.ended.add("run")

    assert [c.after for c in blockers.review(lambda _: entry(), NOW)] == [FiringState.DECIDED]


def test_a_run_that_failed_before_it_left_is_in_nobodys_way():
    blockers, _ = blockers_with("")
    (run,) = firings(1)
    blockers.sent(run, NOW)
    assert ends(blockers, NOW) == (0, 1, 0)

    blockers.gone([run])

    assert ends(blockers, NOW) == (1, 0, 0)
