"""A few faults of `make chaos`, with everything counted: the beats are real, and so are store, broker and faults."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from chaos.plan import Plan
from chaos.report import COUNTS, combination, lines
from chaos.scenario import run_one
from chaos.world import open_world
from support import servers
from support.thorough import long

TTL_SECONDS = 2.0
PLAN = Plan(kills=3, pauses=1, freezes=1, stops=1, outages=1)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("store", "broker"), [long("sqlite", "redis"), ("postgres", "same")])
def test_killed_frozen_and_cut_off_beats_lose_nothing_and_send_nothing_new_twice(store, broker, figure):
    for kind in {store, broker} & {"redis", "postgres"}:
        servers.require(kind)
    with tempfile.TemporaryDirectory(prefix="backbeat-chaos-") as name:
        directory = Path(name)
        with open_world(store, broker, directory) as world:
            outcome = run_one(
                world, directory, PLAN, seed="short", ttl_seconds=TTL_SECONDS, seconds=120, logs=None
            )

    figure(" ".join(lines(outcome)))
    assert outcome.troubles == []
    found = combination(outcome, seed=0)
    assert {name: found[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0)
    assert outcome.verdict.max_copies == 1 or broker != "same"
    assert outcome.verdict.firings > 100
    assert len(outcome.faults) >= 6
