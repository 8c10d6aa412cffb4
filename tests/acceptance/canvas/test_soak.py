"""Memory of a worker, of its children and of a client stays flat, however many tasks go through: `make soak` runs a million.

The run itself, and what of it is judged, is bench/soak.py.
"""

from __future__ import annotations

import os

import pytest
from bench.soak import soak

from support.stacks import own_redis_database

TASKS = int(os.environ.get("BACKBEAT_SOAK", "20000"))
RESULTS = TASKS // 10
ALLOWED_MB = 2.0
"""What any run may grow by: buffers and caches reach their size when they do."""
SLOPE_MB = 1.0
"""And for each 100,000 tasks, or results, besides."""


@pytest.mark.timeout(TASKS // 250 + 120)
def test_a_worker_its_children_and_a_client_do_not_grow_with_the_tasks_that_go_through(figure):
    with own_redis_database() as url:
        found = soak(url, tasks=TASKS, results=RESULTS)

    figure(found)
    for who, count in (("worker", TASKS), ("children", TASKS), ("client", RESULTS)):
        assert found.growth_mb(who) <= ALLOWED_MB + SLOPE_MB * count / 100_000, f"{who}: {found.sizes[who]}"
