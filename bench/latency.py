"""Latency: P12 and P13 of the targets: from a call to its result, at a worker that has nothing else to do; and what such a worker costs.

python -m bench p12 p13
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from backbeat.canvas.commit.limits import DEFAULT_LIMITS
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.store_broker import StoreBroker
from backbeat.canvas.commit.wiring import open_store
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message

from .delivery import place
from .environment import peers_python
from .pairs import Outcome, against, alternate, limited, run_json
from .rates import Open
from .systems import CELERY, JOBS, OURS, Place, System, on_redis
from .working import working

TRIPS, SLOW_TRIPS = 300, 20
IDLE_SECONDS = 10.0
SQLITE_TASKS = 2_000


def p12() -> list[Outcome]:
    """Redis has messages and results."""
    ours, theirs = _pairs(partial(on_redis, results=True), TRIPS, TRIPS)
    title = "send to result, idle worker, Redis"
    outcomes = [
        against(
            f"P12-{name}",
            f"{title}, {name}",
            "ms",
            CELERY.name,
            _of(ours, name),
            _of(theirs, name),
            at_most=most,
        )
        for name, most in (("p50", 0.35), ("p99", 0.5))
    ]
    title = "worker that has nothing to do, Redis, CPU"
    outcomes.append(
        limited(
            "P12-idle", title, "% of a core", CELERY.name, _of(ours, "idle"), _of(theirs, "idle"), at_most=1.0
        )
    )
    return outcomes


def p13() -> list[Outcome]:
    """Results in SQL, messages in Redis; and a broker that is a file of SQLite."""
    outcomes = []
    for store in ("postgresql", "sqlite"):
        ours, theirs = alternate(
            lambda store=store: _trips(OURS, partial(_redis_and, store, ""), TRIPS),
            lambda store=store: _trips(CELERY, partial(_redis_and, store, "db+"), SLOW_TRIPS),
        )
        title = f"send to result, broker Redis, results in {store}, p50"
        outcomes.append(
            limited(
                f"P13-{store}", title, "ms", CELERY.name, _of(ours, "p50"), _of(theirs, "p50"), at_most=10.0
            )
        )
    for name, words, size, least in (("one", "one by one", 1, None), ("batch", "100 at once", 100, 10.0)):
        mine, peer = alternate(lambda size=size: _sqlite_ours(size), _sqlite_kombu)
        title = f"broker in SQLite: put, take, acknowledge, {words}"
        outcomes.append(
            against(f"P13-broker-{name}", title, "/s", "kombu, one by one", mine, peer, at_least=least or 1.0)
        )
    return outcomes


def _pairs(open_place: Open, our_trips: int, their_trips: int) -> tuple[list[Any], list[Any]]:
    return alternate(
        lambda: _trips(OURS, open_place, our_trips), lambda: _trips(CELERY, open_place, their_trips)
    )


def _of(runs: list[Any], key: str) -> list[float]:
    return [run[key] for run in runs]


def _trips(system: System, open_place: Open, count: int) -> dict[str, float]:
    """Milliseconds of `count` trips; then the worker's share of a core while nothing comes."""
    with open_place() as found, working(system, found) as worker:
        times = sorted(system.run(found, "latency", count)["ms"])
        runs, _ = worker.counted
        if runs < count:
            raise SystemExit(f"{system.name}: {runs} tasks ran for {count} results")
        before = worker.cpu_seconds
        time.sleep(IDLE_SECONDS)
        idle = (worker.cpu_seconds - before) / IDLE_SECONDS * 100
    p99 = times[max(0, round(count * 0.99) - 1)]
    return {"p50": statistics.median(times), "p99": p99, "idle": idle}


@contextmanager
def _redis_and(store: str, form: str) -> Iterator[Place]:
    """Messages in Redis, results in a database, each side's in its own tables: Celery's URLs begin with "db+", and ours that do mean Celery's, too."""
    with tempfile.TemporaryDirectory() as home, on_redis() as found, place(store, home) as url:
        yield Place(found.broker, f"{form}{url}")


def _sqlite_ours(size: int) -> float:
    """Messages a second that are put, taken and acknowledged, `size` at once."""
    messages = [
        Message(id=f"m{number}", task="bench.noop", args=Json(f"[{number}]"))
        for number in range(SQLITE_TASKS)
    ]
    with tempfile.TemporaryDirectory() as home:
        url = f"sqlite:///{home}/broker.db"
        broker = StoreBroker(
            open_store(url, worker="bench", limits=DEFAULT_LIMITS, queues=["celery"], role=Role.BROKER)
        )
        broker.post([Message(id="first", task="bench.noop", args=Json("[-1]"))])  # tables are there
        broker.ack(broker.take(1))
        began = time.perf_counter()
        for first in range(0, SQLITE_TASKS, size):
            broker.post(messages[first : first + size])
        taken = 0
        while held := broker.take(size):
            broker.ack(held)
            taken += len(held)
        took = time.perf_counter() - began
        broker.close()
    if taken != SQLITE_TASKS:
        raise SystemExit(f"{taken} of {SQLITE_TASKS} messages were taken")
    return SQLITE_TASKS / took


def _sqlite_kombu() -> float:
    with tempfile.TemporaryDirectory() as home:
        program = [str(peers_python()), "-W", "ignore", str(JOBS / "kombu_sqlite.py")]
        return run_json([*program, f"{home}/broker.db", str(SQLITE_TASKS)])
