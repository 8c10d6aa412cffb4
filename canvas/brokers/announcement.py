"""Announcement: a value that is kept under a name in a broker for a while, as one message in a queue of its own.

Whoever comes reads the message and puts it back; the one whose value it is replaces it by a fresh one before the old one goes, so that the
queue is never seen empty by another. The message expires when nobody renews it.
"""

from __future__ import annotations

from typing import Any

from kombu.connection import Connection

QUEUE_EXPIRES_MS = 86_400_000


def announce(connection: Connection, name: str, value: str, seconds: float) -> str:
    """Keep `value` under `name` unless another one is kept; returns the one that stands. Raises the errors of the transport."""
    queue = f"backbeat.announced.{name}"
    with connection.clone() as own:  # type: ignore[no-untyped-call]  # kombu has no types
        # not own.channel() or own.default_channel, which try several times, and raise an error that is none of the transport's
        transport: Any = own.transport
        line = transport.establish_connection()
        try:
            return _announced(transport.create_channel(line), queue, value, seconds)
        finally:
            transport.close_connection(line)


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
