"""Broker: the seam through which messages are carried, and nothing else is. Split commits and the beat stand on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from ..delivery import Delivery
from ..template import Sendable


class Posted(Struct, frozen=True):
    """What became of messages, by their ids. Of those in neither nobody knows; to send any of them again is safe."""

    confirmed: Collection[str]
    """The broker has them, durably."""
    returned: Collection[str] = ()
    """The broker has none of these: it said no, or they were never written."""
    unsendable: Mapping[str, str] = field(default_factory=dict)
    """Those of the returned that the broker will never take, and why: they cannot be written in its protocol, or are too large for it."""


class Broker(Protocol):
    """One process's way to a broker. At-least-once: what is not acknowledged comes back. Not thread-safe.

    Raises Unavailable when the broker cannot be reached; the next call connects again.
    """

    @property
    def keeps_timers(self) -> bool:
        """Whether a message with an eta that is posted waits in the broker until then; else it is delivered at once."""
        ...

    def post(self, items: Sequence[Sendable], *, once: bool = False, at_once: bool = False) -> Posted:
        """Send messages, persistent, confirmed and mandatory; tells what was refused from what is in doubt.

        A message with an eta waits in a broker that `keeps_timers`, else, and with `at_once`, it is delivered at once.

        Without items it only sees to it that there is a connection, and that the broker takes messages.
        With `once` nothing is written a second time, not even to find out which message the broker refused.
        """
        ...

    def take(self, limit: int) -> list[Delivery]:
        """Up to `limit` messages that are there now, held for this process. Never waits.

        A broker may send more ahead, to be there at the next call; also after a `pause`, if `limit` is not 0.
        """
        ...

    def serve(self, queues: Sequence[str]) -> None:
        """Take from these queues from now on, and from no others; what was taken or sent ahead stays."""
        ...

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        """How many messages wait in each of these queues; those that are not there are missing."""
        ...

    def pause(self) -> None:
        """Nothing more is wanted for now: what was sent ahead and not taken goes back, to be taken at once by anyone, and no more is sent.

        What was taken stays held. To be called again and again for as long as nothing is wanted: that is cheap, and keeps the connection alive.
        """
        ...

    def park(self, deliveries: Sequence[Delivery]) -> None:
        """These are held for long, and shall not count towards what may be sent ahead, as the broker would send nothing else then."""
        ...

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """These are done with. A delivery that is no longer held is passed over."""
        ...

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Hand these back, to be taken again at once by anyone."""
        ...

    def renew(self, deliveries: Sequence[Delivery]) -> None:
        """Hold these for another lease, where the broker knows leases; also of none, keep its connection alive where it must be kept."""
        ...

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        """Wait until there may be something to take, a file descriptor of `wakers` can be read, or `timeout` seconds have passed."""
        ...

    def announce(self, name: str, value: str, seconds: float) -> str:
        """Keep `value` under `name` for about so many seconds, unless another value is kept there; returns the one that stands."""
        ...

    def present(self, broadcast: str, queue: str, seconds: float) -> None:
        """Queue `queue` gets a copy of what is broadcast under this name for so many seconds from now; with 0 no more. Idempotent.

        What lies in queues whose time is over is deleted: nobody will take it.
        """
        ...

    def audience(self, broadcast: str) -> Sequence[str] | None:
        """The queues that get a copy now; None where a message to the exchange of this name gets into all of them."""
        ...

    def close(self) -> None:
        """Let go of connections; what is still held comes back to others. Idempotent."""
        ...
