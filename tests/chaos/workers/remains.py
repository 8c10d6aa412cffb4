"""Remains: what broker and store still have when all is over: messages that wait or are held, joins and runs that are open. All must be 0."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backbeat.canvas.message import CONTROL_QUEUE
from sqlalchemy import create_engine, text

from support.stacks import Stack

QUEUES = ("celery", CONTROL_QUEUE)
_SQL = {
    "messages": "SELECT count(*) FROM bb_message",
    "open joins": "SELECT count(*) FROM bb_join WHERE NOT closed",
    "open runs": "SELECT count(*) FROM bb_run WHERE outcome IS NULL",
}


def remains_of(stack: Stack) -> dict[str, int]:
    """By name how many there are, of those that there are."""
    found = dict(_of_rabbitmq(stack.broker)) if stack.broker.startswith("amqp") else {}
    found |= _of_redis(stack.backend) if stack.backend.startswith("redis") else _of_sql(stack.backend)
    return {name: count for name, count in found.items() if count}


def _of_sql(url: str) -> dict[str, int]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return {name: int(connection.execute(text(query)).scalar_one()) for name, query in _SQL.items()}
    finally:
        engine.dispose()


def _of_rabbitmq(url: str) -> Iterator[tuple[str, int]]:
    from kombu import Connection

    with Connection(url) as connection, connection.channel() as channel:
        for queue in QUEUES:
            yield f"messages in {queue}", channel.queue_declare(queue=queue, passive=True).message_count


def _of_redis(url: str) -> dict[str, int]:
    with _redis(url) as client:
        found = {}
        for key in client.scan_iter(count=1_000):
            name, kind = key.decode(), client.type(key).decode()
            if kind == "list":
                found[f"messages in {name!r}"] = client.llen(key)
            elif name in {"unacked", "backbeat:held", "backbeat:early", "backbeat:timer-texts"}:
                found[name] = client.hlen(key)
            elif name in {"unacked_index", "backbeat:leases", "backbeat:timers", "backbeat:unsealed"}:
                found[name] = client.zcard(key)
            elif name.startswith("backbeat:join:"):
                found["open joins"] = found.get("open joins", 0) + (client.hget(key, "closed") is None)
            elif name.startswith("backbeat:run:"):
                found["open runs"] = found.get("open runs", 0) + client.get(key).endswith(b"\n")
        return found


@contextmanager
def _redis(url: str) -> Iterator[Any]:
    import redis

    with redis.Redis.from_url(url) as client:
        yield client
