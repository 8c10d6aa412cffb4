"""Systems: those that P8 to P20 compare, each with the program of its worker (see jobs/), and the places where their messages lie.

A place is empty when it is lent, and belongs to the benchmarks alone: databases 14 and 15 of a Redis, a vhost, a database of PostgreSQL.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from .delivery import place
from .environment import peers_python
from .pairs import run_data

JOBS = Path(__file__).parent / "jobs"
REDIS = os.environ.get("BACKBEAT_BENCH_REDIS", "redis://127.0.0.1:6379")
QUEUE = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One of those that are compared. `worker` is what stands behind the interpreter; `ready` is what the worker's log says when it works."""

    name: str
    module: str
    worker: tuple[str, ...]
    ready: str
    is_peer: bool = True
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def python(self) -> str:
        return str(peers_python()) if self.is_peer else sys.executable

    def environment(self, place: Place, counts: Path | None = None) -> dict[str, str]:
        """What its programs find in their environment."""
        own = {"BENCH_BROKER": place.broker, "PYTHONPATH": str(JOBS), "PYTHONUNBUFFERED": "1"}
        if place.results:
            own["BENCH_RESULTS"] = place.results
        if counts is not None:
            own["BENCH_COUNTS"] = str(counts)
        return {**os.environ, **own, **self.environ}

    def start(self, place: Place, program: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a program of its own at this place; what it writes can be read."""
        return subprocess.Popen(
            [self.python, "-W", "ignore", "-c", program, *arguments],
            env=self.environment(place, None),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, place: Place, verb: str, count: int = 0, timeout: float = 300) -> Any:
        """Run its sender's program; what it printed."""
        # as the worker imports it: some systems call a task by its module
        program = f"import {self.module}; {self.module}.main()"
        command = [self.python, "-W", "ignore", "-c", program, verb, str(count)]
        return run_data(command, timeout, self.environment(place))


def _celery_like(program: tuple[str, ...], name: str, package: str, pool: str) -> System:
    return System(
        name=name,
        module="celery_jobs",
        worker=(*program, "worker", "-Q", QUEUE, "-c", "2", "-P", pool, "-l", "INFO"),
        ready="ready",
        is_peer=package == "celery",
        environ={"BENCH_PACKAGE": package},
    )


OURS = _celery_like(
    ("-m", "backbeat.scheduler.cli", "-A", "celery_jobs:app"), "backbeat", "backbeat.canvas", "processes"
)
CELERY = _celery_like(("-m", "celery", "-A", "celery_jobs"), "Celery 5.7 prefork", "celery", "prefork")
DRAMATIQ = System(
    name="dramatiq, 2 processes, 8 threads each",
    module="dramatiq_jobs",
    worker=("-m", "dramatiq", "dramatiq_jobs", "-Q", QUEUE, "-p", "2", "-t", "8"),
    ready="Worker process is ready for action",
)


def _taskiq(kind: str, words: str) -> System:
    return System(
        name=f"taskiq, 2 workers, {words}",
        module="taskiq_jobs",
        worker=("-m", "taskiq", "worker", "taskiq_jobs:broker", "-w", "2"),
        ready="Listening started",
        environ={"BENCH_KIND": kind},
    )


TASKIQ_LIST = _taskiq("list", "list (no acknowledgement)")
TASKIQ_STREAM = _taskiq("stream", "stream")
HUEY = System(
    name="huey, 2 processes (no acknowledgement)",
    module="huey_jobs",
    worker=("-m", "huey.bin.huey_consumer", "huey_jobs.huey", "-w", "2", "-k", "process"),
    ready="Huey consumer started",
)
PROCRASTINATE = System(
    name="procrastinate -c 2",
    module="procrastinate_jobs",
    worker=("-m", "procrastinate", "-a", "procrastinate_jobs.app", "worker", "-c", "2", "-q", QUEUE),
    ready="Starting worker",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A broker, and where results go; None if nobody wants any."""

    broker: str
    results: str | None = None

    @property
    def left(self) -> int:
        """How many messages are on the broker that nobody has acknowledged; no worker may run."""
        if self.broker.startswith("redis"):
            return _left_in_redis(self.broker)
        if self.broker.startswith("amqp"):
            return _left_on_rabbitmq(self.broker)
        return _count(
            self.broker,
            "bb_message",
            ("procrastinate_jobs", "SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'"),
        )

    @property
    def stored(self) -> int:
        """How many results there are."""
        assert self.results is not None
        if self.results.startswith("redis"):
            with _redis(self.results) as client:
                return sum(1 for _ in client.scan_iter("celery-task-meta-*", count=10_000))
        return _count(
            self.results,
            "bb_result",
            ("procrastinate_jobs", "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"),
        )


@contextmanager
def on_redis(*, results: bool = False, number: int = 14) -> Iterator[Place]:
    """A database of the Redis, for broker and results."""
    url = f"{REDIS}/{number}"
    with _redis(url) as client:
        client.flushdb()
        try:
            yield Place(url, url if results else None)
        finally:
            client.flushdb(asynchronous=True)


@contextmanager
def on_rabbitmq() -> Iterator[Place]:
    """A vhost, and no results."""
    from tests.support.servers import own_vhost

    with own_vhost() as url:
        yield Place(url)


@contextmanager
def on_postgresql() -> Iterator[Place]:
    """A database, for messages and results; as its libraries write the URL, not SQLAlchemy."""
    with place("postgresql", "") as url:
        plain = url.replace("+psycopg", "")
        yield Place(plain, plain)


def _redis(url: str) -> Any:
    import redis

    return redis.Redis.from_url(url)


def _left_in_redis(url: str) -> int:
    """What is in lists and streams, and what kombu and dramatiq note of what they have sent to a worker."""
    left = 0
    with _redis(url) as client:
        for key in client.scan_iter(count=10_000, _type="list"):
            left += client.llen(key)
        for key in client.scan_iter(count=10_000, _type="hash"):
            if key == b"unacked" or key.endswith(b".msgs"):
                left += client.hlen(key)
        for key in client.scan_iter(count=10_000, _type="stream"):
            groups = client.xinfo_groups(key)
            left += (
                sum(each["pending"] + (each["lag"] or 0) for each in groups) if groups else client.xlen(key)
            )
    return left


def _left_on_rabbitmq(url: str) -> int:
    from kombu import Connection

    with Connection(url) as connection, connection.channel() as channel:
        return int(channel.queue_declare(QUEUE, passive=True).message_count)


def _count(url: str, table: str, other: tuple[str, str]) -> int:
    """The rows of our own table, or what the question about the other one says where that is there."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        is_theirs = connection.execute(text(f"SELECT to_regclass('{other[0]}')")).scalar() is not None
        found = connection.execute(text(other[1] if is_theirs else f"SELECT count(*) FROM {table}")).scalar()
    engine.dispose()
    return int(found or 0)
