"""Leftovers: what a stack still has of messages, waiting or held: when everything has ended there are none."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Self

from backbeat.canvas.message import CONTROL_QUEUE
from backbeat.canvas.sql.tables import message_table
from sqlalchemy import create_engine, func, inspect, select

from .stacks import Stack

QUEUES = ("celery", CONTROL_QUEUE)
HASHES = ("unacked", "backbeat:held", "backbeat:early")
TIMERS = "backbeat:timers"


class Leftovers:
    """Looks into one stack, over connections of its own."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._opened = ExitStack()
        self._engine: Any = None
        self._redis: Any = None
        self._channel: Any = None

    def __enter__(self) -> Self:
        if self._stack.backend.startswith("redis"):
            import redis

            self._redis = redis.Redis.from_url(self._stack.backend)
            self._opened.callback(self._redis.close)
        else:
            self._engine = create_engine(self._stack.backend)
            self._opened.callback(self._engine.dispose)
        if self._stack.broker.startswith("amqp"):
            from kombu import Connection

            self._channel = self._opened.enter_context(Connection(self._stack.broker)).channel()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def count(self) -> dict[str, int]:
        """How many messages lie where; places that are empty are left out."""
        found = self._in_sql() if self._redis is None else self._in_redis()
        if self._channel is not None:
            found |= self._in_rabbitmq()
        return {name: count for name, count in found.items() if count}

    def is_let_go(self) -> bool:
        """True if no worker is connected to RabbitMQ any more: then everything that one held is seen again."""
        return self._channel is None or not any(queue.consumer_count for queue in self._queues())

    def _in_redis(self) -> dict[str, int]:
        found = {name: self._redis.hlen(name) for name in HASHES}
        found |= {name: self._redis.llen(name) for name in (*QUEUES, "backbeat:outbox")}
        return {**found, TIMERS: self._redis.zcard(TIMERS)}

    def _in_sql(self) -> dict[str, int]:
        if not inspect(self._engine).has_table(message_table.name):
            return {}
        with self._engine.connect() as connection:
            query = select(message_table.c.queue, func.count()).group_by(message_table.c.queue)
            return {row[0]: row[1] for row in connection.execute(query)}

    def _in_rabbitmq(self) -> dict[str, int]:
        """Those that wait; what a worker holds is not seen."""
        return {queue.queue: queue.message_count for queue in self._queues()}

    def _queues(self) -> list[Any]:
        return [self._channel.queue_declare(queue, durable=True, auto_delete=False) for queue in QUEUES]
