"""AmqpLine: one connection to RabbitMQ over py-amqp, for publishing with pipelined confirms or for consuming. KombuBroker owns it.

py-amqp reads frame by frame and can only block or spin while a frame is half there. So frames are cut out of what the socket gives
here, and only handed to py-amqp to be understood: `pump` never waits, takes one system call for many messages, and survives
messages whose properties cannot be read. Usual messages that are there as a whole are read without it (parcel.py).
"""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from struct import error as struct_error
from struct import unpack_from
from typing import Any

from amqp.exceptions import (  # type: ignore[import-untyped]  # py-amqp has no types
    ChannelError,
    FrameSyntaxError,
    NotFound,
    PreconditionFailed,
    UnexpectedFrame,
)
from kombu.connection import Connection

from ..message import Message
from ..queue_table import NO_QUEUES, QueueTable
from ..signing import NO_KEYS, Keyring
from ..template import Sendable
from .base import Posted
from .line import Receive
from .parcel import parcel_at
from .publisher import Publisher
from .subscription import Subscription

logger = logging.getLogger(__name__)

IO_SECONDS = 10.0
"""How long a write or an answer of the server may take; also how long confirms are waited for."""
CHUNK = 65_536
"""Bytes asked for in one read."""
PUMP_EVERY = 200
"""Messages that are written before a look at what the server says."""
_FRAME_HEADER, _FRAME_END = 7, 0xCE
_METHOD, _PROPERTIES = 1, 2


class AmqpLine:
    """One connection with one channel. Raises the errors of py-amqp and OSError; then it is of no use any more."""

    def __init__(
        self,
        connection: Connection,
        *,
        create_queues: bool,
        keyring: Keyring = NO_KEYS,
        table: QueueTable = NO_QUEUES,
    ) -> None:
        self._table = table
        self._create_queues = create_queues
        self._declared: set[str] = set()
        self.blocked = False
        """Whether the server has said that it takes nothing."""
        self._next_tick = time.monotonic()
        self._amqp = connection.transport.establish_connection()
        self._amqp.on_blocked, self._amqp.on_unblocked = self._block, self._unblock
        # py-amqp's own attributes connect again when they are read after the connection was lost: hold what they are now
        self._transport = self._amqp.transport
        self._sock = self._transport.sock
        self._on_frame = self._amqp.on_inbound_frame
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)
        try:
            self._sock.settimeout(IO_SECONDS)
            self._channel = self._amqp.channel()
            self._subscription = Subscription(self._channel, self.pump, self._write)
            self._publisher = Publisher(
                self._channel, self._amqp.frame_max, keyring, self._write, self._on_return
            )
        except BaseException:
            self._amqp.collect()
            raise

    @property
    def alive(self) -> bool:
        """False once the connection is known to be lost."""
        return bool(self._transport.connected)

    def fileno(self) -> int | None:
        """The descriptor that can be read when there is something to pump."""
        return int(self._sock.fileno())

    @property
    def tick_seconds(self) -> float:
        """How often `tick` must be called."""
        return float(self._amqp.heartbeat or 0) / 4 or IO_SECONDS

    def tick(self) -> None:
        """Keep heartbeats going; to be called after `pump`, as what waits in the socket proves that the server lives."""
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + self.tick_seconds
            self._amqp.heartbeat_tick(rate=2)

    def close(self) -> None:
        """Close the connection; what was not acknowledged goes back to its queue."""
        try:
            self._amqp.close()
        finally:
            self._amqp.collect()

    # --- reading -------------------------------------------------------------------------------------------------------------

    def pump(self, timeout: float = 0.0) -> None:
        """Dispatch all that has come; waits up to `timeout` seconds for the first bytes."""
        if self._sock.fileno() < 0:
            raise ConnectionResetError("the connection is closed")
        while self._readable(timeout):
            timeout = 0.0
            chunk = self._sock.recv(CHUNK)
            if not chunk:
                raise ConnectionResetError("the server closed the connection")
            self._amqp.bytes_recv += 1  # py-amqp counts reads, to know when the server was last heard
            self._transport._read_buffer += chunk
            self._dispatch()

    def _readable(self, timeout: float) -> bool:
        pending = getattr(self._sock, "pending", None)  # TLS may hold bytes that the socket no longer shows
        return bool((pending is not None and pending()) or self._poll.poll(timeout * 1000))

    def _dispatch(self) -> None:
        data, offset = self._transport._read_buffer, 0
        while len(data) - offset > _FRAME_HEADER:
            parcel = parcel_at(data, offset, self._channel.channel_id)
            if parcel is not None and self._subscription.received(parcel):
                offset = parcel.end
                continue
            kind, channel, size = unpack_from(">BHI", data, offset)
            end = offset + _FRAME_HEADER + size
            if end >= len(data):
                break
            if data[end] != _FRAME_END:
                raise UnexpectedFrame(f"a frame ends with {data[end]:#x}")
            payload = data[offset + _FRAME_HEADER : end]
            # py-amqp may read on by itself while it handles a frame (it opens a closed channel again)
            data, offset = data[end + 1 :], 0
            self._transport._read_buffer = data
            self._understand(kind, channel, payload)
            data = self._transport._read_buffer
        if offset:
            self._transport._read_buffer = data[offset:]

    def _understand(self, kind: int, channel: int, payload: bytes) -> None:
        try:
            self._on_frame((kind, channel, payload))
        except (
            ValueError,
            FrameSyntaxError,
            struct_error,
            RecursionError,
            OverflowError,
            IndexError,
            TypeError,
        ):
            if kind != _PROPERTIES:
                raise
            # properties that cannot be read: a message without any, which the worker keeps as a dead letter; else it would
            # come back after each reconnect for ever
            logger.exception(
                "a message has properties that cannot be read", extra={"action": "bad_properties"}
            )
            self._on_frame((kind, channel, payload[:12] + b"\0\0"))

    # --- queues --------------------------------------------------------------------------------------------------------------

    def declare(self, queues: Iterable[str]) -> None:
        """Declare queues as the table says, or else as Celery does. One that exists with other arguments is used as it is."""
        for queue in sorted(set(queues) - self._declared):
            self._declared.add(queue)
            if self._create_queues and self._table.makes(queue):
                self._declare(queue)

    def _declare(self, queue: str) -> None:
        known = self._table.queue(queue)
        try:
            with self._amqp.channel() as channel:
                channel.queue_declare(
                    queue=queue,
                    durable=known.durable,
                    auto_delete=known.auto_delete,
                    arguments=dict(known.arguments),
                )
                for binding in known.bindings:
                    channel.exchange_declare(
                        exchange=binding.exchange,
                        type=binding.type,
                        durable=binding.durable,
                        auto_delete=False,
                    )
                    channel.queue_bind(queue=queue, exchange=binding.exchange, routing_key=binding.key)
        except PreconditionFailed as error:
            logger.info("queue %s is used as it is: %s", queue, error, extra={"action": "queue_kept"})
        except (ChannelError, struct_error, ValueError, FrameSyntaxError) as error:
            # who publishes to it gets the message back; who consumes from it is told by the server
            logger.error("queue %s cannot be declared: %s", queue, error, extra={"action": "queue_refused"})  # noqa: TRY400

    def counts(self, queues: Iterable[str]) -> dict[str, int]:
        """How many messages are ready in each; one that is not there is missing."""
        found: dict[str, int] = {}
        for queue in queues:
            # a channel of its own: the server closes it where there is no such queue
            with suppress(NotFound), self._amqp.channel() as channel:
                found[queue] = channel.queue_declare(queue=queue, passive=True).message_count
        return found

    # --- publishing ----------------------------------------------------------------------------------------------------------

    def post(self, items: Sequence[Sendable]) -> Posted:
        """Write all messages, then wait for their confirms."""
        self.pump()
        if self.blocked:
            return Posted((), [item.id for item in items])  # nothing was written
        self.declare(queue for item in items for queue in self._queues_for(item))
        self._publisher.begin()
        for number, item in enumerate(items, 1):
            self._publisher.send(item)
            if number % PUMP_EVERY == 0:
                self.pump()
        self._publisher.flush()
        deadline = time.monotonic() + IO_SECONDS
        while self._publisher.is_waiting and (left := deadline - time.monotonic()) > 0:
            self.pump(left)
        return self._publisher.posted()

    def _queues_for(self, item: Sendable) -> Sequence[str]:
        """The queues of ours that it is to reach."""
        if isinstance(item, Message) and item.exchange:
            return self._table.queues_of(item.exchange)
        return (item.queue,)

    def known(self) -> Posted:
        """What is known of the last batch, whatever became of the connection."""
        return self._publisher.posted()

    @property
    def in_doubt(self) -> bool:
        """True if confirms of the last batch did not come in time."""
        return self._publisher.is_waiting

    def _write(self, frames: bytes) -> None:
        self._transport.write(frames)
        self._amqp.bytes_sent += 1  # py-amqp counts writes, to know when a heartbeat is due

    def _on_return(self, error: Exception, exchange: str, queue: str, message: Any) -> None:
        """Comes before the confirm of the same message. The queue is gone, so it is declared again before the next one."""
        self._publisher.refuse(message.properties.get("correlation_id", ""))
        self._declared -= {queue, *self._table.queues_of(exchange)}
        where = f"exchange {exchange} by key {queue}" if exchange else f"queue {queue}"
        logger.warning("a message to %s came back: %s", where, error, extra={"action": "returned"})

    def _block(self, reason: str) -> None:
        self.blocked = True
        logger.warning("the broker blocks publishers: %s", reason, extra={"action": "blocked"})

    def _unblock(self) -> None:
        self.blocked = False

    # --- consuming -----------------------------------------------------------------------------------------------------------

    def consume(self, queues: Sequence[str], prefetch: int, receive: Receive) -> None:
        """Subscribe to `queues`, each with `prefetch` messages that may be unacknowledged."""
        self.declare(queues)
        self._subscription.open(queues, prefetch, receive)

    def cancel(self) -> None:
        """Unsubscribe. What comes before the server has heard of it is received as all else."""
        self._subscription.close()

    def park(self, tags: Collection[str]) -> None:
        """These shall not count towards what may be unacknowledged."""
        self._subscription.park(tags)

    def ack(self, tags: Collection[str]) -> None:
        """Acknowledge."""
        self._subscription.ack(tags)

    def release(self, tags: Collection[str]) -> None:
        """Hand back to the queue."""
        self._subscription.release(tags)

    def check(self, queues: Sequence[str]) -> None:
        """Raise ConnectionResetError if the server does not know, or no longer knows, that somebody consumes from these queues."""
        try:
            with self._amqp.channel() as channel:
                for queue in queues:
                    found = channel.queue_declare(queue=queue, passive=True)
                    if not found.consumer_count:
                        raise ConnectionResetError(f"the server has no consumer of queue {queue}")
        except ChannelError as error:
            raise ConnectionResetError(f"a queue is gone: {error}") from error
