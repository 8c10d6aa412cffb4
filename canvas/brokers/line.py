"""Line: what a KombuBroker and its Inlet ask of one connection to a broker, over whatever transport. One thread uses it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from ..template import Sendable
from ..wire import Wire
from .base import Posted

Receive = Callable[[str, str, Wire], None]
"""What is called with each message that comes: its queue, its tag, and what it is."""


class Line(Protocol):
    """Raises the errors of its transport; then it is to be closed, and another one opened."""

    @property
    def alive(self) -> bool:
        """False once it is known that the connection is gone."""
        ...

    @property
    def blocked(self) -> bool:
        """The broker takes no messages for now."""
        ...

    @property
    def in_doubt(self) -> bool:
        """Nobody knows of some messages whether the broker has them; the connection is of no more use."""
        ...

    @property
    def tick_seconds(self) -> float:
        """How long nobody may call `tick`."""
        ...

    def fileno(self) -> int | None:
        """What can be read when something has come; None where there is no such thing."""
        ...

    def tick(self) -> None:
        """Do what is due to keep the connection alive, and what came over it held."""
        ...

    def close(self) -> None:
        """Let go of the connection; what it held goes back."""
        ...

    def pump(self) -> None:
        """Dispatch what has come, without waiting."""
        ...

    def post(self, items: Sequence[Sendable]) -> Posted:
        """Send all messages."""
        ...

    def counts(self, queues: Sequence[str]) -> dict[str, int]:
        """How many messages wait in each; one that is not there is missing, as far as the transport can tell."""
        ...

    def known(self) -> Posted:
        """What is known of the last batch, whatever became of the connection."""
        ...

    def consume(self, queues: Sequence[str], prefetch: int, receive: Receive) -> None:
        """Subscribe to `queues`; of each `prefetch` messages may be unacknowledged (0: no limit)."""
        ...

    def cancel(self) -> None:
        """Unsubscribe."""
        ...

    def check(self, queues: Sequence[str]) -> None:
        """Ask whether the broker still knows that somebody consumes from these."""
        ...

    def ack(self, tags: Collection[str]) -> None:
        """Acknowledge."""
        ...

    def release(self, tags: Collection[str]) -> None:
        """Hand back to the queue."""
        ...

    def park(self, tags: Collection[str]) -> None:
        """These shall not count towards what may be unacknowledged."""
        ...
