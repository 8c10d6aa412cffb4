"""Brokers under test, by kind and address; and, run as a program, a process that takes messages and holds them until it is killed.

python -m support.brokers KIND ADDRESS PREFIX QUEUE COUNT
"""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from backbeat.canvas.brokers.base import Broker
from backbeat.canvas.brokers.kombu import KombuBroker
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.store_broker import StoreBroker
from backbeat.canvas.queue_table import NO_QUEUES, QueueTable
from backbeat.canvas.sql.engine import open_engine

from support.backends import MemoryBackend, SqlBackend


@dataclass
class BrokerKind:
    """One implementation of Broker, with a place of its own."""

    kind: str
    address: str = ""
    prefix: str = ""
    lease_seconds: float = 0.3
    cut: Callable[[], None] | None = None
    """Makes the server close all connections; None where there is no server."""
    _opened: list[Any] = field(default_factory=list)
    _backend: Any = None

    def open(self, *queues: str, worker: str = "", table: QueueTable = NO_QUEUES) -> Broker:
        """A connection of its own, as another process would have it."""
        worker = worker or f"worker{len(self._opened)}"
        if self.kind == "rabbitmq":
            broker: Broker = KombuBroker(self.address, queues=queues, prefetch=2_000, table=table)
        elif self.kind == "sqs":
            from backbeat.canvas.brokers.sqs import open_sqs

            seconds = max(1, math.ceil(self.lease_seconds))  # SQS counts whole ones
            options = {"visibility_timeout": seconds, "wait_time_seconds": 1}
            broker = open_sqs(self.address, queues=queues, prefetch=2_000, transport_options=options)
        else:
            limits = Limits(lease_seconds=self.lease_seconds)
            commit = self.backend.open(worker, role=Role.BROKER, limits=limits, queues=queues)
            broker = StoreBroker(commit, sweep_seconds=0.02)
        self._opened.append(broker)
        return broker

    def many(self, count: int) -> int:
        """As many messages as a test should send: the emulator of SQS looks at all that are held for each that it hands out."""
        return min(count, {"sqlite": 600, "sqs": 200}.get(self.kind, count))

    @property
    def backend(self) -> Any:
        """The store behind a StoreBroker."""
        if self._backend is None:
            match self.kind:
                case "memory":
                    from backbeat.canvas.clock import SystemClock

                    self._backend = MemoryBackend(SystemClock())
                case "redis":
                    from support.backends import RedisBackend

                    self._backend = RedisBackend(self.address, self.prefix)
                case _:
                    self._backend = SqlBackend(open_engine(self.address))
        return self._backend

    def inject(self, queue: str, text: str) -> None:
        """Put `text`, which is no envelope, where messages lie."""
        match self.kind:
            case "memory":
                self.backend.store.state.mail.put(queue, text)
            case "redis":
                self.backend._client.lpush(f"{self.prefix}{queue}", text)
            case "rabbitmq":
                self._inject_amqp(queue, text)
            case "sqs":
                self._inject_sqs(queue, text)
            case _:
                from backbeat.canvas.sql.tables import message_table

                with self.backend._engine.begin() as connection:
                    row = {"queue": queue, "visible_us": 0, "holder": "", "body": text}
                    connection.execute(message_table.insert(), row)

    def _inject_amqp(self, queue: str, text: str) -> None:
        from kombu import Connection

        with Connection(self.address) as connection, connection.channel() as channel:
            channel.queue_declare(queue=queue, durable=True, auto_delete=False)
            message = channel.prepare_message(text.encode())
            channel.basic_publish(message, "", queue)

    def _inject_sqs(self, queue: str, text: str) -> None:
        import boto3

        parts = urlsplit(self.address)
        known = {"aws_access_key_id": parts.username, "aws_secret_access_key": parts.password}
        endpoint = f"http://{parts.hostname}:{parts.port}"
        client = boto3.Session(**known).client("sqs", region_name="us-east-1", endpoint_url=endpoint)
        url = client.get_queue_url(QueueName=queue)["QueueUrl"]
        client.send_message(QueueUrl=url, MessageBody=text)

    def close(self) -> None:
        for broker in self._opened:
            broker.close()
        if self._backend is not None:
            self._backend.close()


def take_all(broker: Broker, count: int, seconds: float = 20.0) -> list[Any]:
    """Take until there are `count`, or the deadline has passed."""
    taken: list[Any] = []
    deadline = time.monotonic() + seconds
    while len(taken) < count and time.monotonic() < deadline:
        found = broker.take(count - len(taken))
        taken += found
        if not found:
            broker.wait(0.02)
    return taken


def take_none(broker: Broker, seconds: float = 0.1) -> Sequence[Any]:
    """What comes although nothing should."""
    return take_all(broker, 1, seconds)


def main() -> None:
    kind, address, prefix, queue, count = sys.argv[1:]
    broker = BrokerKind(kind, address, prefix, lease_seconds=1.0).open(queue, worker="doomed")
    print("held", len(take_all(broker, int(count))), flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
