"""Delivery: what timers and revoked ids cost a worker, on Redis, PostgreSQL and SQLite. Absolute: no peer keeps either in its store.

    python -m bench delivery

D1a 100,000 timers that are due in an hour, sent to a worker that runs: how much its memory grows. D1b timers on an idle machine: how late the
99th of a hundred starts. D1c how long a call behind these timers takes to start. D2 what 100,000 revoked ids add to the claim of a task.
"""

from __future__ import annotations

import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from backbeat.canvas import App
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import Publish
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.wiring import open_client, open_commit
from sqlalchemy import create_engine, text

from .pairs import Outcome, absolute, alternate

TIMERS, REVOKED, SLICE = 100_000, 100_000, 1_000
LATE_TIMERS, ROUNDS = 200, 3
TASKS = """
import time
from backbeat.canvas import App
app = App("bench_delivery", broker="{url}", backend="{url}")

@app.task(name="bench.now")
def now():
    return time.time()
"""
STORES = ("redis", "postgresql", "sqlite")
SERVERS = {
    "postgresql": "postgresql+psycopg://postgres@127.0.0.1:5432",
    "mariadb": "mysql+pymysql://root@127.0.0.1:3306",
}


def delivery() -> list[Outcome]:
    """All stores, one after the other."""
    return [outcome for store in STORES for outcome in _measure(store)]


def _measure(store: str) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory() as directory, place(store, directory) as url:
        app = App("bench_delivery", broker=url, backend=url, set_as_current=False)
        with worker(url, directory) as pid:
            assert app.send_task("bench.now").get(timeout=60)
            before = _rss_mb(pid)
            _send_timers(app)
            grown = _rss_mb(pid) - before
            yield absolute(f"D1a {store}", "100,000 timers: memory of a worker", "MB", [max(0.0, grown)], 20)
            late = [_lateness_ms(app) for _ in range(ROUNDS)]
            yield absolute(f"D1b {store}", "timers, idle: 99th of 100 late by", "ms", late, 250)
            starts = [_start_ms(app) for _ in range(ROUNDS)]
            yield absolute(f"D1c {store}", "call behind 100,000 timers starts after", "ms", starts, 50)
        app.close()
    with (
        tempfile.TemporaryDirectory() as directory,
        place(store, directory) as url,
        place(store, directory, 1) as plain_url,
    ):
        longer = _revoked_ms(url, plain_url)
        yield absolute(f"D2 {store}", "100,000 revoked ids: a start takes longer by", "ms", longer, 1)


def _send_timers(app: App) -> None:
    """In slices, as a client that has many to send would."""
    client, later = open_client(app.conf), time.time_ns() // 1_000 + 3_600_000_000
    for first in range(0, TIMERS, SLICE):
        effects = tuple(
            Publish(Message(id=f"timer-{first + n}", task="bench.now", eta_us=later)) for n in range(SLICE)
        )
        client.exchange([Transition(effects=effects)])
    client.close()


def _lateness_ms(app: App) -> float:
    """Milliseconds, of timers that are spread over ten seconds."""
    first = time.time() + 1
    etas = [first + n / 20 for n in range(LATE_TIMERS)]
    handles = [app.send_task("bench.now", eta=datetime.fromtimestamp(eta, UTC)) for eta in etas]
    late = [handle.get(timeout=60) - eta for eta, handle in zip(etas, handles, strict=True)]
    if min(late) < 0:
        raise SystemExit(f"a timer was early by {-min(late):.3f} s")
    return sorted(late)[round(LATE_TIMERS * 0.99) - 1] * 1_000


def _start_ms(app: App) -> float:
    late = []
    for _ in range(20):
        began = time.time()
        late.append(app.send_task("bench.now").get(timeout=60) - began)
    return statistics.median(late) * 1_000


def _revoked_ms(url: str, plain_url: str) -> list[float]:
    """How much longer it takes to take and claim one message where ids are revoked than where none is, in turns."""
    with _Place(url) as revoked, _Place(plain_url) as plain:
        for first in range(0, REVOKED, 10_000):
            revoked.client.revoke([f"revoked-{first + n}" for n in range(10_000)])
        pairs = alternate(revoked.claim_seconds, plain.claim_seconds, pairs=5)
        return [(longer - shorter) * 1_000 for longer, shorter in zip(*pairs, strict=True)]


class _Place:
    """A store, with a client and a worker on it."""

    def __init__(self, url: str) -> None:
        app = App("bench_revoked", broker=url, backend=url, set_as_current=False)
        self.client = open_commit(app.conf, worker="client")
        self._worker = open_commit(app.conf, worker="w1", queues=["celery"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._worker.close()

    def claim_seconds(self, count: int = 200) -> float:
        """The median."""
        took = []
        for _ in range(count):
            message = Message(id=secrets.token_hex(8), task="t", args=Json("[]"))
            self.client.exchange([Transition(effects=(Publish(message),))])
            began = time.perf_counter()
            (item,) = self._worker.exchange([], take=1).taken
            took.append(time.perf_counter() - began)
            self._worker.exchange([Transition(delivery=item.delivery)])
        return statistics.median(took)


@contextmanager
def worker(url: str, directory: str, tasks: str = TASKS) -> Iterator[int]:
    """A worker with one process; its pid."""
    Path(directory, "bench_delivery.py").write_text(tasks.format(url=url))
    command = [sys.executable, "-m", "backbeat.scheduler.cli", "-A", "bench_delivery", "worker", "-c", "1"]
    with Path(directory, "log").open("w") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def place(store: str, directory: str, number: int = 0) -> Iterator[str]:
    """A place of its own for each run; what was in it goes."""
    match store:
        case "redis":
            import redis

            url = f"redis://127.0.0.1:6379/{15 - number}"  # tests lend out those below 14
            with redis.Redis.from_url(url) as client:
                client.flushdb()
                try:
                    yield url
                finally:
                    client.flushdb()
        case "postgresql" | "mariadb":
            name, server = f"bench_{secrets.token_hex(4)}", SERVERS[store]
            admin = create_engine(
                f"{server}/{'postgres' if store == 'postgresql' else ''}", isolation_level="AUTOCOMMIT"
            )
            _run(admin, [f"CREATE DATABASE {name}"])
            try:
                yield f"{server}/{name}"
            finally:
                _run(admin, [f"DROP DATABASE {name}{' WITH (FORCE)' if store == 'postgresql' else ''}"])
                admin.dispose()
        case _:
            yield f"sqlite:///{directory}/store{number}.db"


def _run(engine: object, statements: Sequence[str]) -> None:
    with engine.connect() as connection:  # type: ignore[attr-defined]  # an Engine
        for statement in statements:
            connection.execute(text(statement))
