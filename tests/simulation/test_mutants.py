"""The simulation finds a broken beat: each rule of the loop, the store and the clock is broken here on purpose, and found by its invariant.

A world of a mutant is small and dense: everything every second, faults every few seconds. The unbroken beat goes through the same
worlds with nothing to find.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from backbeat.scheduler.entry import SECOND_US, CatchUp, Delivery, Entry, Overlap
from backbeat.scheduler.instants import Interval

from simulation.mutant import MUTANTS
from simulation.node import Parts
from simulation.server_store import ServerStore
from simulation.setting import Setting
from simulation.storm import Storm
from simulation.world import World

START_US = 1_774_000_000 * SECOND_US
SECONDS, MOST_WORLDS = 240, 25


def entry(name, seconds, **more):
    given = {"catch_up": CatchUp.ALL, "grace_us": 5 * SECOND_US, "what": {"task": f"app.{name}"}} | more
    return Entry(name=name, when=Interval(every=timedelta(seconds=seconds)), **given)


def entries():
    return [
        entry("tick", 1),
        entry("none", 2, catch_up=CatchUp.NONE),
        entry("latest", 3, catch_up=CatchUp.LATEST),
        entry("once", 2, delivery=Delivery.AT_MOST_ONCE),
        entry("limited", 5, max_runs=20),
        entry("skips", 5, overlap=Overlap.SKIP, overlap_timeout_us=100 * SECOND_US),
        entry("jittered", 4, jitter_us=3 * SECOND_US),
    ]


def violations(seed, mutant):
    """What the checker says about one small world."""
    setting = Setting(
        start_us=START_US,
        one_host=seed % 2 == 0 and "set_clock" not in mutant.only,
        jumps=False,
        rollbacks=mutant.rollbacks,
    )
    world = World(setting, entries(), seed, parts=mutant.parts, store=mutant.store(World.cluster))
    share = 1 / 20 if mutant.aim else 1 / 60
    Storm(world, share=share, every_seconds=15.0, only=mutant.only, aim=mutant.aim)
    for node in world.nodes:
        node.start()
    world.run(SECONDS)
    return world.judge().violations()


def unbroken(mutant):
    """The same weather for the beat as it is."""
    return replace(mutant, found=(), parts=Parts(), store=ServerStore)


WEATHERS = sorted({unbroken(mutant) for mutant in MUTANTS.values()}, key=lambda each: (each.only, each.aim))


@pytest.fixture(autouse=True)
def _quiet(quiet):
    """Thousands of crashes."""


@pytest.mark.parametrize("what", MUTANTS)
def test_the_simulation_finds_a_broken(what):
    mutant = MUTANTS[what]

    for seed in range(1, MOST_WORLDS + 1):
        wrong = violations(seed, mutant)
        if any(line.split(":")[0] in mutant.found for line in wrong):
            break
    else:
        pytest.fail(f"nobody has noticed in {MOST_WORLDS} worlds: {what}; {wrong}")

    print(f"{what}: world {seed}, {wrong[0][:120]}")


@pytest.mark.parametrize("weather", WEATHERS, ids=lambda each: " ".join((*each.only, *each.aim)))
def test_it_finds_nothing_where_nothing_is_broken(weather):
    for seed in (1, 2):
        assert violations(seed, weather) == []
