"""Announcement: a value that is kept under a name in a broker for a while, as one message in a queue of its own.

Whoever comes reads the message and puts it back; the one whose value it is replaces it by a fresh one before the old one goes. The message
expires when nobody renews it. Two that come at once would both find the queue empty: so each works inside a lock, a queue that the
server gives to one connection at a time, and takes away when that connection ends, however it ends. Transports other than AMQP know no
such queue; on these, two that start in the same moment may see each other a little later.
"""

from __future__ import annotations

import time
from typing import Any

from amqp.exceptions import ResourceLocked  # type: ignore[import-untyped]  # py-amqp has no types
from kombu.connection import Connection

from ..errors import Unavailable

QUEUE_EXPIRES_MS = 86_400_000
HEARTBEAT_SECONDS = 4.0
"""Short, as a process that is stopped inside the lock keeps it until the server misses its heartbeats."""
LOCK_SECONDS = 3.0
"""How long one waits for the others; each needs some milliseconds."""
FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS = 0.005, 0.1


def announce(connection: Connection, name: str, value: str, seconds: float) -> str:
    """Keep `value` under `name` unless another one is kept; returns the one that stands.

    Raises the errors of the transport, and Unavailable when others do not leave the lock.
    """
    queue = f"backbeat.announced.{name}"
    with connection.clone(heartbeat=HEARTBEAT_SECONDS) as own:  # type: ignore[no-untyped-call]  # kombu has no types
        # not own.channel() or own.default_channel, which try several times, and raise an error that is none of the transport's
        transport: Any = own.transport
        line = transport.establish_connection()
        try:
            _lock(transport, line, f"{queue}.lock")
            return _announced(transport.create_channel(line), queue, value, seconds)
        finally:
            transport.close_connection(line)


def _lock(transport: Any, line: Any, queue: str) -> None:
    """Wait until the lock is ours. The connection gives it back when it is closed."""
    deadline, pause = time.monotonic() + LOCK_SECONDS, FIRST_LOOK_SECONDS
    while True:
        channel = transport.create_channel(line)
        try:
            channel.queue_declare(queue=queue, durable=False, exclusive=True, auto_delete=True)
        except ResourceLocked:
            if time.monotonic() + pause > deadline:
                raise Unavailable(f"another process holds the lock {queue} for {LOCK_SECONDS:g} s") from None
        else:
            return
        time.sleep(pause)
        pause = min(pause * 2, LAST_LOOK_SECONDS)


def _announced(channel: Any, queue: str, value: str, seconds: float) -> str:
    channel.queue_declare(
        queue=queue, durable=True, auto_delete=False, arguments={"x-expires": QUEUE_EXPIRES_MS}
    )
    kept = []
    while (message := channel.basic_get(queue, no_ack=False)) is not None:
        kept.append((_text(message.body), message.delivery_tag))
    other = next((text for text, _ in kept if text != value), None)
    if other is None:
        content = channel.prepare_message(
            value.encode(),
            content_type="text/plain",
            content_encoding="utf-8",
            properties={"delivery_mode": 2, "expiration": str(max(1, round(seconds * 1000)))},
        )
        channel.basic_publish(content, exchange="", routing_key=queue)
    for _, tag in kept:
        if other is None:
            channel.basic_ack(tag)
        else:
            channel.basic_reject(tag, requeue=True)
    return value if other is None else other


def _text(body: Any) -> str:
    return bytes(body).decode() if isinstance(body, bytes | bytearray | memoryview) else str(body)
