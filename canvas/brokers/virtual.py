"""VirtualLine: one connection over a kombu transport that is not AMQP (memory, filesystem, SQS ...). KombuBroker owns it.

These transports know neither confirms nor returned messages: what was published without an error counts as confirmed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from kombu.connection import Connection
from kombu.entity import Exchange, Queue

from ..errors import EncodeError
from ..message import sent_at
from ..queue_table import NO_QUEUES, QueueTable
from ..signing import NO_KEYS, Keyring
from ..template import Rendered, Sendable
from .base import Posted
from .foreign import wire_of
from .line import Receive

logger = logging.getLogger(__name__)


class VirtualLine:
    """One connection with one channel. Raises the errors of its transport."""

    def __init__(
        self,
        connection: Connection,
        *,
        create_queues: bool,
        keyring: Keyring = NO_KEYS,
        table: QueueTable = NO_QUEUES,
    ) -> None:
        self._table = table
        self._keyring = keyring
        self._create_queues = create_queues
        self._declared: set[str] = set()
        self._outstanding: set[str] = set()
        self._parked: set[str] = set()
        self._consumers: list[str] = []
        self._prefetch = 0
        self._transport: Any = connection.transport
        self._connection = self._transport.establish_connection()
        self._channel = self._transport.create_channel(self._connection)

    alive = True
    blocked = False
    in_doubt = False
    tick_seconds = 60.0

    def fileno(self) -> int | None:
        """There is none that can be waited for."""
        return None

    def tick(self) -> None:
        """There are no heartbeats."""

    def close(self) -> None:
        """Close the channel and the connection."""
        self._channel.close()
        self._transport.close_connection(self._connection)

    def pump(self) -> None:
        """Dispatch what is there, without waiting."""
        while True:
            try:
                self._transport.drain_events(self._connection, timeout=0)
            except TimeoutError:
                return
            except (KeyError, ValueError, TypeError, AttributeError):
                logger.exception("not a message of kombu's", extra={"action": "bad_envelope"})

    def post(self, items: Sequence[Sendable]) -> Posted:
        """Send all messages."""
        refused: dict[str, str] = {}
        for item in items:
            message = item.message() if isinstance(item, Rendered) else item
            self._declare(message.queue)
            try:
                wire = self._keyring.wire(sent_at(message, time.time_ns() // 1000))
            except EncodeError as error:
                extra = {"action": "unsendable", "id": item.id}
                logger.exception("message %s cannot be sent", item.id, extra=extra)
                refused[item.id] = str(error)
                continue
            properties = dict(wire.properties)
            content = self._channel.prepare_message(
                wire.body,
                priority=properties.pop("priority"),
                content_type=properties.pop("content_type"),
                content_encoding=properties.pop("content_encoding"),
                headers=wire.headers,
                properties=properties,
            )
            self._channel.basic_publish(content, "", message.queue)
        return Posted([item.id for item in items if item.id not in refused], refused.keys(), refused)

    def known(self) -> Posted:
        """Of a batch that failed nothing is known."""
        return Posted(())

    def consume(self, queues: Sequence[str], prefetch: int, receive: Receive) -> None:
        """Subscribe to `queues`."""
        self._prefetch = prefetch
        self._limit()
        for queue in queues:
            self._declare(queue)
            callback = partial(self._receive, receive, queue)
            self._consumers.append(f"backbeat:{queue}")
            self._channel.basic_consume(queue, False, callback, self._consumers[-1])

    def cancel(self) -> None:
        """Unsubscribe."""
        while self._consumers:
            self._channel.basic_cancel(self._consumers.pop())

    def park(self, tags: Collection[str]) -> None:
        """These shall not count towards what may be unacknowledged."""
        self._parked |= self._outstanding.intersection(tags)
        self._limit()

    def _limit(self) -> None:
        if self._prefetch:  # 0 is no limit
            self._channel.basic_qos(0, self._prefetch + len(self._parked), False)

    def check(self, queues: Sequence[str]) -> None:
        """These transports fetch for themselves; there is no consumer that somebody else could forget."""

    def counts(self, queues: Sequence[str]) -> dict[str, int]:
        """How many messages wait in each, as far as the transport can tell."""
        return {queue: int(self._channel._size(queue)) for queue in queues}

    def _receive(self, receive: Receive, queue: str, message: Any) -> None:
        self._outstanding.add(str(message.delivery_tag))
        receive(queue, str(message.delivery_tag), wire_of(message))

    def ack(self, tags: Collection[str]) -> None:
        """Acknowledge one by one."""
        for tag in self._outstanding.intersection(tags):
            self._forget(tag)
            self._channel.basic_ack(tag)

    def release(self, tags: Collection[str]) -> None:
        """Hand back to the queue."""
        for tag in self._outstanding.intersection(tags):
            self._forget(tag)
            self._channel.basic_reject(tag, requeue=True)

    def _forget(self, tag: str) -> None:
        self._outstanding.discard(tag)
        if tag in self._parked:
            self._parked.discard(tag)
            self._limit()

    def _declare(self, queue: str) -> None:
        if self._create_queues and queue not in self._declared and self._table.makes(queue):
            exchange = Exchange(queue, type="direct")  # type: ignore[no-untyped-call]  # kombu has no types
            declaration: Any = Queue(queue, exchange, routing_key=queue)  # type: ignore[no-untyped-call]  # the same
            declaration(self._channel).declare()
            self._declared.add(queue)
