"""Every canvas settles, with the values of the plan, whatever dies: random canvases against a naive evaluator, over every Commit.

Where nobody dies each node is started once, too. `make fuzz` compares a hundred thousand of them (tests/fuzz.py).
"""

from __future__ import annotations

import os
import random

import pytest

from support.backends import MemoryBackend
from support.flow_trial import SETTINGS, SPLIT_SETTINGS, eager_app, settle_eagerly, settle_one
from support.kinds import open_backend

DEFAULT = 250
CANVASES = int(os.environ.get("BACKBEAT_HARNESS", DEFAULT))
"""Canvases for each setting in memory; the others take their share of it."""
SHARES = {
    "memory": 1.0,
    "sqlite": 0.05,
    "postgres": 0.03,
    "mariadb": 0.008,
    "redis": 0.06,
    "split-memory": 0.4,
    "split-rabbitmq-redis": 0.016,
    "split-rabbitmq-postgres": 0.016,
}
EAGER_SHARE = 2.0
AT_LEAST = 2_000
"""Canvases that each run of the tests compares, all in all."""


SERVED = {"sqlite", "postgres", "split-rabbitmq-postgres"}
"""Where a canvas costs most: half of the share, unless there is time for more than the default."""


def share_of(name: str) -> float:
    return SHARES[name] / 2 if name in SERVED and CANVASES <= DEFAULT else SHARES[name]


def canvases(share: float) -> int:
    return max(2, round(CANVASES * share))


@pytest.mark.timeout(max(120, 120 * CANVASES // DEFAULT))
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", SHARES)
def test_k1_every_random_canvas_settles_with_the_values_of_its_plan(name, setting, request):
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    faults = (SPLIT_SETTINGS if name.startswith("split") else SETTINGS)[setting]
    backend = open_backend(name, request)
    try:
        for number in range(canvases(share_of(name))):
            if name == "memory":
                backend = MemoryBackend()  # costs nothing, and keeps what is looked through short
            settle_one(backend, random.Random(f"{seed}/{number}"), faults)
    finally:
        backend.clear()  # the next test has the same database or vhost, and copies may be left of what has settled
        backend.close()


@pytest.mark.timeout(max(120, 120 * CANVASES // DEFAULT))
def test_every_random_canvas_has_the_values_of_its_plan_when_it_runs_eagerly():
    seed, app = random.randrange(1_000_000), eager_app()
    print(f"seed {seed}")
    for number in range(canvases(EAGER_SHARE)):
        settle_eagerly(app, random.Random(f"{seed}/{number}"))


def test_two_thousand_canvases_are_compared_in_each_run(figure):
    compared = canvases(EAGER_SHARE) + len(SETTINGS) * sum(canvases(share_of(name)) for name in SHARES)

    figure(f"{compared:,} random canvases are compared with the evaluator")
    assert compared >= AT_LEAST
