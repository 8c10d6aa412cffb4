"""Subscription: what one channel of RabbitMQ consumes from, and what it was sent and has not acknowledged. AmqpLine owns it.

RabbitMQ counts what is unacknowledged for each consumer, and takes a new limit for new consumers only. So what is held for long is taken out of
the count by another consumer in place of the one that got it: a consumer that is cancelled leaves its messages held, and they count for none.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from amqp import spec  # type: ignore[import-untyped]  # py-amqp has no types

from .foreign import wire_of
from .frames import ack_frame
from .line import Receive
from .parcel import Parcel

CANCEL_SECONDS = 10.0
"""How long the server may take to say that a consumer is cancelled."""
_NACK_FORMAT = "Lbb"


class Subscription:
    """The consumers of one channel. `pump` waits up to so many seconds for what comes, and has it dispatched; `write` writes frames."""

    def __init__(self, channel: Any, pump: Callable[[float], None], write: Callable[[bytes], None]) -> None:
        self._channel = channel
        self._pump = pump
        self._write = write
        self._prefetch = 0
        self._receive: Receive | None = None
        self._consumers: dict[str, str] = {}
        """Their tags, by queue."""
        self._outstanding: dict[int, str] = {}
        """The queues of what is not acknowledged, by tag, in ascending order."""
        self._parked: Counter[str] = Counter()
        """How many of a queue's messages are parked and count for its consumer."""

    def open(self, queues: Sequence[str], prefetch: int, receive: Receive) -> None:
        """Consume from `queues`, each with `prefetch` messages that may be unacknowledged."""
        self._prefetch, self._receive = prefetch, receive
        self._channel.basic_qos(0, prefetch, False)
        for queue in queues:
            self._consume(queue)

    def close(self) -> None:
        """Consume from nothing. What comes before the server has heard of it is received as all else, before this returns."""
        self._cancel([*self._consumers])

    def park(self, tags: Collection[str]) -> None:
        """These shall not count towards what may be unacknowledged."""
        if not self._prefetch:  # no limit, no count
            return
        self._parked.update(self._outstanding[tag] for tag in map(int, tags) if tag in self._outstanding)
        # half of the limit at a time: a new consumer costs two round trips
        full = [queue for queue in self._consumers if self._parked[queue] * 2 >= self._prefetch]
        self._cancel(full)
        for queue in full:
            self._consume(queue)

    def _consume(self, queue: str) -> None:
        assert self._receive is not None
        self._parked[queue] = 0
        callback = partial(self._receive_from, queue, self._receive)
        self._consumers[queue] = self._channel.basic_consume(queue, callback=callback)

    def _cancel(self, queues: Collection[str]) -> None:
        tags = [self._consumers.pop(queue) for queue in queues]
        for tag in tags:
            self._channel.send_method(spec.Basic.Cancel, "sb", (tag, False))
        deadline = time.monotonic() + CANCEL_SECONDS
        while any(tag in self._channel.callbacks for tag in tags):
            left = deadline - time.monotonic()
            if left <= 0:
                raise ConnectionResetError("the server does not say that a consumer is cancelled")
            self._pump(left)

    def received(self, parcel: Parcel) -> bool:
        """Receive a message as py-amqp would; False where py-amqp must, as it knows of no such consumer, say."""
        callback = None if self._channel.is_closing else self._channel.callbacks.get(parcel.consumer)
        if callback is None:
            return False
        callback(parcel)
        return True

    def _receive_from(self, queue: str, receive: Receive, message: Any) -> None:
        """A parcel, or a message of py-amqp's."""
        tag = message.delivery_tag
        self._outstanding[tag] = queue
        receive(queue, str(tag), message.wire if isinstance(message, Parcel) else wire_of(message))

    def ack(self, tags: Collection[str]) -> None:
        """Acknowledge: all up to the tag below which all are done at once (decisions K15), then one by one; all in one write."""
        done = {tag for tag in map(int, tags) if tag in self._outstanding}
        below = 0
        for tag in self._outstanding:  # in ascending order
            if tag not in done:
                break
            below = tag
        channel = self._channel.channel_id
        frames = [ack_frame(channel, below, multiple=True)] if below else []
        for tag in sorted(done):
            del self._outstanding[tag]
            if tag > below:
                frames.append(ack_frame(channel, tag, multiple=False))
        if frames:
            self._write(b"".join(frames))

    def release(self, tags: Collection[str]) -> None:
        """Hand back to the queue."""
        for tag in sorted(map(int, tags)):
            if tag in self._outstanding:
                del self._outstanding[tag]
                # not a reject, which a quorum queue of RabbitMQ 4.3 or later counts as a failure
                self._channel.send_method(spec.Basic.Nack, _NACK_FORMAT, (tag, False, True))
