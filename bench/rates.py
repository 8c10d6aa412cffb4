"""Rates: P8 to P11 of the targets: workers that empty a queue of tasks that do nothing, side by side.

    python -m bench p8 p9 p10 p11

All tasks are sent first, then the worker starts. The rate is that of the runs between 15 % and 85 % of all, as the tasks themselves count
them (jobs/counted.py); CPU is that of all processes of the worker in that time. In the end each task has run once, all are acknowledged,
and where results are asked for there are as many. Every side logs what it logs by default, into a file, and has two processes (procrastinate:
two at a time); each acknowledges after the task, unless its name says otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from .pairs import Outcome, against, alternate
from .systems import (
    CELERY,
    DRAMATIQ,
    HUEY,
    OURS,
    PROCRASTINATE,
    TASKIQ_LIST,
    TASKIQ_STREAM,
    Place,
    System,
    on_postgresql,
    on_rabbitmq,
    on_redis,
)
from .working import Working, working

FROM, TO = 0.15, 0.85
LOOK_SECONDS = 0.02
LIMIT_SECONDS = 150.0
OTHER_TASKS = 25_000
TASKS = {OURS.name: 40_000, CELERY.name: 10_000, PROCRASTINATE.name: 2_500}
"""So many take some seconds; all others are quick enough for OTHER_TASKS."""

Open = Callable[[], AbstractContextManager[Place]]


def p8() -> list[Outcome]:
    """Redis, against Celery, without and with results."""
    outcomes = []
    for name, words, least, open_place in (
        ("P8-plain", "no results", 25, on_redis),
        ("P8-results", "results", 20, partial(on_redis, results=True)),
    ):
        ours, theirs = _pairs(open_place, CELERY)
        title = f"worker on Redis, {words}"
        outcomes.append(_rate(name, title, CELERY, ours, theirs, least))
        cpu = [[run["cpu_us"] for run in side] for side in (ours, theirs)]
        outcomes.append(against(f"{name}-cpu", f"{title}: CPU a task", "us", CELERY.name, *cpu, at_most=0.06))
    return outcomes


def p9() -> list[Outcome]:
    """Redis, no results, against those that are quicker than Celery."""
    outcomes = []
    for name, system in (
        ("dramatiq", DRAMATIQ),
        ("huey", HUEY),
        ("taskiq-list", TASKIQ_LIST),
        ("taskiq-stream", TASKIQ_STREAM),
    ):
        ours, theirs = _pairs(on_redis, system)
        outcomes.append(_rate(f"P9-{name}", "worker on Redis, no results", system, ours, theirs, 4))
    return outcomes


def p10() -> list[Outcome]:
    """RabbitMQ, no results."""
    outcomes = []
    for name, system, least in (("celery", CELERY, 2.5), ("dramatiq", DRAMATIQ, 1.5)):
        ours, theirs = _pairs(on_rabbitmq, system)
        outcomes.append(_rate(f"P10-{name}", "worker on RabbitMQ, no results", system, ours, theirs, least))
    return outcomes


def p11() -> list[Outcome]:
    """PostgreSQL has messages and results."""
    ours, theirs = _pairs(on_postgresql, PROCRASTINATE)
    title = "worker on PostgreSQL, results in it"
    return [_rate("P11", title, PROCRASTINATE, ours, theirs, 12)]


def _pairs(open_place: Open, peer: System) -> tuple[list[Any], list[Any]]:
    return alternate(lambda: emptied(OURS, open_place), lambda: emptied(peer, open_place))


def _rate(name: str, title: str, peer: System, ours: list[Any], theirs: list[Any], least: float) -> Outcome:
    rates = [[run["rate"] for run in side] for side in (ours, theirs)]
    return against(name, title, "/s", peer.name, *rates, at_least=least)


def emptied(system: System, open_place: Open, tasks: int | None = None) -> dict[str, float]:
    """Queue tasks, and have a worker run them all: "rate" is tasks in a second, "cpu_us" the worker's time for one."""
    count = tasks or TASKS.get(system.name, OTHER_TASKS)
    with open_place() as place:
        if system is PROCRASTINATE:
            system.run(place, "schema")
        system.run(place, "send", count)
        with working(system, place, awaited=False) as worker:
            found = _watched(worker, system, count)
        if left := place.left:
            raise SystemExit(f"{system.name}: {left} messages are not acknowledged")
        if place.results and (stored := place.stored) != count:
            raise SystemExit(f"{system.name}: {stored} results of {count} tasks")
    return found


def _watched(worker: Working, system: System, count: int) -> dict[str, float]:
    """Until all have run; the rate in between."""
    deadline = time.monotonic() + LIMIT_SECONDS
    looks = [(time.monotonic(), 0, 0.0)]
    while looks[-1][1] < count:
        if time.monotonic() > deadline or not worker.runs:
            raise SystemExit(f"{system.name}: {looks[-1][1]} of {count} tasks ran")
        time.sleep(LOOK_SECONDS)
        runs, total = worker.counted
        looks.append((time.monotonic(), runs, worker.cpu_seconds))
    if (runs, total) != (count, expected := count * (count - 1) // 2):
        raise SystemExit(f"{system.name}: {runs} runs of {count} tasks, numbers {total} for {expected}")
    first = next(look for look in looks if look[1] >= count * FROM)
    last = next(look for look in looks if look[1] >= count * TO)
    ran = last[1] - first[1]
    if not ran:
        raise SystemExit(f"{system.name}: {count} tasks are too few to see a rate")
    return {"rate": ran / (last[0] - first[0]), "cpu_us": (last[2] - first[2]) / ran * 1e6}
