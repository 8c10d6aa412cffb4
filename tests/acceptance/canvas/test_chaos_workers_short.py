"""A few blows of `make chaos ARGS=workers`, with every id and every run counted: workers, broker, store and blows are real."""

from __future__ import annotations

import random

import pytest

from chaos.workers.arena import open_arena
from chaos.workers.report import CONSUME_SECONDS, COUNTS, lines, row
from chaos.workers.scenario import Setting, run_one
from support import servers
from support.thorough import long

COMMON = {"name": "short", "size": 2, "per_second": 6.0, "seconds": 150.0}
SETTINGS = {
    # a lease that outlasts a restart: then only a killed process, or a grace that is over, explains a second run
    "redis": Setting(kills=3, rolls=1, restarts=3, lease_seconds=6.0, **COMMON),
    "postgres": Setting(kills=3, rolls=1, poison=6, lease_seconds=3.0, **COMMON),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["redis", long("postgres")])
def test_killed_and_restarted_workers_and_brokers_lose_nothing_and_run_nothing_twice_without_a_dead_claim(
    name, tmp_path, figure
):
    servers.require(name)
    setting = SETTINGS[name]
    with open_arena(name) as arena:
        outcome = run_one(arena, tmp_path, setting, random.Random(f"short {name}"), logs=None)

    figure(" ".join(lines(outcome)))
    assert outcome.troubles == []
    found = row(outcome, seed=0)
    assert {each: found[each] for each in COUNTS} == dict.fromkeys(COUNTS, 0)
    assert max(outcome.gaps_seconds, default=0) <= CONSUME_SECONDS
    assert outcome.done == {step: setting.steps.count(step) for step in setting.steps}
    assert outcome.verdict.tasks > 20
