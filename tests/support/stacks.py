"""Stacks: a broker and a result backend that belong to one test, for programs that know nothing but URLs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backbeat.canvas import App
from sqlalchemy import create_engine, text

from support import servers

IS_WHOLE = os.environ.get("BACKBEAT_STACKS") == "all"
"""Whether there is time for every stack (make test-all)."""
STACKS = (
    ["sqlite", "postgres", "redis", "rabbitmq+redis", "rabbitmq+postgres"]
    if IS_WHOLE
    else ["sqlite", "redis", "rabbitmq+postgres"]
)
"""Each server is in one of the three; the other two pairs of them take as long again."""
COMMAND_STACKS = STACKS if IS_WHOLE else ["redis", "rabbitmq+postgres"]
"""Where many commands are run, one after the other: all SQL databases are one code to them."""
GREEN_POOLS = ["gevent", "eventlet"] if IS_WHOLE else ["gevent"]
"""The pools of greenlets, where each test has one of its own: both are one code over two libraries; what a pool does with limits is tried with both always."""
SHORT_LEASE = 2.0
"""Seconds, for workers that a test lets die."""


@dataclass
class Stack:
    """`app` is a client of it. Results are in `backend`, which is the broker itself where that is a store."""

    name: str
    broker: str
    backend: str
    tasks: str = "support.acceptance_tasks"
    app: App = field(init=False)

    def __post_init__(self) -> None:
        self.app = App("acceptance", broker=self.broker, backend=self.backend, set_as_current=False)

    @property
    def options(self) -> list[str]:
        """What the command line needs to know."""
        return ["-A", self.tasks, "-b", self.broker, "--result-backend", self.backend]

    def inject(self, queue: str, envelope: str) -> None:
        """Put a text where envelopes lie: in the queue's table or list; there is no such thing on RabbitMQ."""
        if self.broker.startswith("redis"):
            with _redis(self.broker) as client:
                client.lpush(queue, envelope)
            return
        with self._sql(self.broker) as connection:
            row = {"queue": queue, "body": envelope}
            connection.execute(
                text(
                    "INSERT INTO bb_message (queue, visible_us, holder, body) VALUES (:queue, 0, '', :body)"
                ),
                row,
            )

    def publish_raw(
        self, queue: str, headers: dict[str, Any], properties: dict[str, Any], body: bytes
    ) -> None:
        """Publish to RabbitMQ whatever it takes."""
        from kombu import Connection

        with Connection(self.broker) as connection, connection.channel() as channel:
            channel.queue_declare(queue=queue, durable=True, auto_delete=False)
            channel.basic_publish(channel.prepare_message(body, headers=headers, **properties), "", queue)

    def dead_letters(self) -> list[dict[str, Any]]:
        """task_id and reason of each dead letter, oldest first."""
        if self.backend.startswith("redis"):
            with _redis(self.backend) as client:
                keys = client.zrange("backbeat:dead", 0, -1)
                return (
                    [json.loads(each) for each in client.hmget("backbeat:dead-texts", keys)] if keys else []
                )
        with self._sql(self.backend) as connection:
            rows = connection.execute(text("SELECT task_id, reason, message FROM bb_dead ORDER BY seq"))
            return [dict(row) for row in rows.mappings()]

    @contextmanager
    def _sql(self, url: str) -> Iterator[Any]:
        engine = create_engine(url)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()


@contextmanager
def open_stack(name: str, directory: Path) -> Iterator[Stack]:
    """Lend out the servers of a stack; skips where one is missing."""
    with ExitStack() as lent:
        urls = [_lend(part, directory, lent) for part in name.split("+")]
        stack = Stack(name, urls[0], urls[-1])
        lent.callback(stack.app.close)
        yield stack


def _lend(server: str, directory: Path, lent: ExitStack) -> str:
    match server:
        case "sqlite":
            return f"sqlite:///{directory}/stack.db"
        case "postgres":
            return lent.enter_context(servers.own_database("postgres"))
        case "rabbitmq":
            return lent.enter_context(servers.own_vhost())
        case _:
            return lent.enter_context(own_redis_database())


@contextmanager
def own_redis_database() -> Iterator[str]:
    """The URL of an empty database of the Redis server, for programs that know no key prefix; emptied afterwards."""
    url = servers.require("redis").rsplit("/", 1)[0]
    for number in range(13, 3, -1):  # 14 and 15 are the benchmarks'
        with _redis(f"{url}/{number}") as client:
            # what a run left behind that was aborted may be at work there
            connected = [each for each in client.client_list() if each["db"] == str(number)]
            is_free = len(connected) == 1 and client.dbsize() == 0
            # the mark of a run that was killed is gone in an hour
            if is_free and client.set("bb_test_taken", 1, nx=True, ex=3600):
                try:
                    yield f"{url}/{number}"
                finally:
                    client.flushdb(
                        asynchronous=True
                    )  # a soak leaves a million keys, and others use this server
                return
    raise RuntimeError("databases 4 to 13 of the Redis server are all in use")


@contextmanager
def _redis(url: str) -> Iterator[Any]:
    import redis

    client = redis.Redis.from_url(url)
    try:
        yield client
    finally:
        with suppress(redis.RedisError):
            client.close()


def states(app: App, ids: Sequence[str]) -> list[str]:
    """The states of these tasks."""
    return [str(document.state) for document in app.results.get(list(ids))]
