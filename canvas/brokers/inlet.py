"""Inlet: the consuming side of a KombuBroker: its connection, its subscription, and what was sent ahead and nobody has taken.

Tags carry the number of their connection, so that one of a dead connection is passed over: its message has gone back to its queue.
Raises the errors of the transport; then it is to be dropped, and the next call connects and subscribes again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..delivery import Delivery
from ..wire import Wire
from .line import Line

CHECK_SECONDS = 10.0
"""How long nothing may come before the broker is asked whether it still knows that somebody consumes."""
MOST_RETURNS = 10
"""A quorum queue drops what was handed back too often: 20 times by default, counted so before RabbitMQ 4.3. Such a message is kept."""


class Inlet:
    """`connect` opens a line; `prefetch` says how many messages of each queue are sent ahead and may be unacknowledged, each time that it subscribes."""

    def __init__(
        self, connect: Callable[[], Line], queues: Sequence[str], prefetch: Callable[[], int]
    ) -> None:
        self._connect = connect
        self._queues = list(queues)
        self._prefetch = prefetch
        self.line: Line | None = None
        """The connection, if there is one."""
        self._generation = 0
        self._is_paused = self._is_subscribed = False
        self._check_at = 0.0
        self._ahead: deque[Delivery] = deque()

    @property
    def is_empty(self) -> bool:
        """Nothing is there to be taken."""
        return not self._ahead

    def take(self, limit: int) -> list[Delivery]:
        """Up to `limit` messages that are there."""
        if limit:
            self._is_paused = False
        if len(self._ahead) < limit:
            self.read()
        return [self._ahead.popleft() for _ in range(min(limit, len(self._ahead)))]

    def pause(self) -> None:
        """Unsubscribe, and hand back what nobody has taken; a connection is kept alive."""
        self._is_paused = True
        if self.line is None:
            return
        if self._is_subscribed:
            self.line.cancel()
            self._is_subscribed = False
        kept = [each for each in self._ahead if _returns(each) >= MOST_RETURNS]
        self.release([each for each in self._ahead if _returns(each) < MOST_RETURNS])
        self._ahead = deque(kept)
        self._pump(self.line)

    def serve(self, queues: Sequence[str]) -> None:
        """Consume from these from now on."""
        self._queues = list(queues)
        if self._is_subscribed and self.line is not None:
            self.line.cancel()
            self._is_subscribed = False

    def read(self) -> Line:
        """Connect, subscribe unless it is paused, and receive what has come; the connection."""
        line = self._connected()
        if not self._is_paused and not self._is_subscribed:
            try:
                line.consume(self._queues, self._prefetch(), self._receive)
            except BaseException:  # half a subscription is none
                self.drop()
                raise
            self._is_subscribed, self._check_at = True, time.monotonic() + CHECK_SECONDS
        self._pump(line)
        return line

    def keep(self) -> None:
        """Connect, and keep the connection alive. Nothing is asked for that was not asked for before."""
        self._pump(self._connected())

    def _connected(self) -> Line:
        if self.line is None:
            self._generation += 1
            self.line = self._connect()
        return self.line

    def _pump(self, line: Line) -> None:
        line.pump()
        line.tick()
        if self._is_subscribed:
            self._check(line)

    def _check(self, line: Line) -> None:
        """A broker that has forgotten its consumer says nothing; so it is asked when nothing has come for a while."""
        now = time.monotonic()
        if self._ahead:
            self._check_at = now + CHECK_SECONDS
        elif now >= self._check_at:
            self._check_at = now + CHECK_SECONDS
            line.check(self._queues)

    def _receive(self, queue: str, tag: str, wire: Wire) -> None:
        self._ahead.append(Delivery(f"{self._generation}:{tag}", queue, wire))

    # --- what was taken ------------------------------------------------------------------------------------------------------

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge."""
        if (tags := self._alive(deliveries)) and self.line is not None:
            self.line.ack(tags)

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Hand back."""
        if (tags := self._alive(deliveries)) and self.line is not None:
            self.line.release(tags)

    def park(self, deliveries: Sequence[Delivery]) -> None:
        """Take out of the count."""
        if (tags := self._alive(deliveries)) and self.line is not None:
            self.line.park(tags)

    def _alive(self, deliveries: Sequence[Delivery]) -> list[str]:
        parts = (delivery.tag.partition(":") for delivery in deliveries)
        return [tag for generation, _, tag in parts if generation == str(self._generation)]

    def drop(self) -> None:
        """Close the connection; all that it held goes back."""
        line, self.line = self.line, None
        self._is_subscribed = False
        self._ahead.clear()
        if line is not None:
            with suppress(Exception):  # it may be dead already
                line.close()


def _returns(delivery: Delivery) -> int:
    """How often it was handed back, where the queue counts that."""
    count = delivery.wire.headers.get("x-delivery-count") if delivery.wire is not None else None
    return count if isinstance(count, int) else 0
