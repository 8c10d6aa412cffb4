"""Drain: what a run has left: the ledger's rows from the store, and every message from the broker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

QUEUE = "celery"
OPEN, SENT, SKIPPED = 1, 2, 3
DOUBTFUL, FAILED = 5, 6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A firing of the ledger. `sent_us` None: its batch was never marked as a whole."""

    entry: str
    due_us: int
    task_id: str
    state: int
    decided_us: int
    sent_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A message. `origin_pid` is the process that sent it."""

    entry: str
    due_us: int
    task_id: str
    origin_pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """All that is left of a run. `begins` is from when on each entry is owed its fire times."""

    rows: list[Row]
    copies: list[Copy]
    skips: list[tuple[str, int, int, str]]
    begins: dict[str, int]
    epoch: int
    holder: str


def read_remains(engine: Engine, store_kind: str, broker_url: str) -> Remains:
    """Read everything; the broker's queue is empty afterwards, but that of SQL."""
    with engine.connect() as conn:
        rows = conn.execute(
            text(
                "SELECT f.entry, f.due_us, f.task_id, coalesce(f.state, b.state) AS state, b.decided_us, b.sent_us"
                " FROM bb_firing f JOIN bb_batch b ON b.batch_id = f.batch_id"
            )
        ).all()
        skips = conn.execute(text("SELECT entry, from_us, to_us, reason FROM bb_skip")).all()
        begins = conn.execute(
            text("SELECT entry, min(decided_us) AS begin_us FROM bb_revision GROUP BY entry")
        ).all()
        lease = conn.execute(text("SELECT epoch, holder FROM bb_lease")).one()
    return Remains(
        rows=[Row(**row._mapping) for row in rows],
        copies=[_copy(headers) for headers in _headers(engine, store_kind, broker_url)],
        skips=[tuple(skip) for skip in skips],
        begins={row.entry: int(row.begin_us) for row in begins},
        epoch=lease.epoch,
        holder=lease.holder,
    )


def _headers(engine: Engine, store_kind: str, url: str) -> list[Mapping[str, Any]]:
    if url.startswith("amqp"):
        return _of_rabbitmq(url)
    if url.startswith("redis"):
        return _of_redis(url)
    with engine.connect() as conn:
        bodies = conn.execute(text("SELECT body FROM bb_message")).scalars().all()
    return [json.loads(body)["headers"] for body in bodies]


def _of_redis(url: str) -> list[Mapping[str, Any]]:
    import redis

    with redis.Redis.from_url(url) as client:
        return [json.loads(envelope)["headers"] for envelope in client.lrange(QUEUE, 0, -1)]


def _of_rabbitmq(url: str) -> list[Mapping[str, Any]]:
    from kombu.connection import Connection

    found: list[Mapping[str, Any]] = []
    with Connection(url) as connection:
        channel = connection.channel()
        while (message := channel.basic_get(QUEUE, no_ack=True)) is not None:
            found.append(dict(message.headers))
    return found


def _copy(headers: Mapping[str, Any]) -> Copy:
    fire_time = datetime.fromisoformat(headers["fire_time"])
    due_us = (fire_time - _EPOCH) // timedelta(microseconds=1)
    pid = int(headers["origin"].partition("@")[0].removeprefix("gen"))
    return Copy(entry=headers["periodic_task_name"], due_us=due_us, task_id=headers["id"], origin_pid=pid)
