"""Published: the seam between the relay and the way to the broker: the Outlet, and what it answers.

outlet.py is the real one; MemoryOutlet is for tests and trials. The relay is the only caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .errors import BackbeatScheduleError
from .firing import Firing

AT_ONCE = 256
"""Firings that are with the broker and not confirmed (I-CAP); the gate is asked again for each such slice."""
ONCE_AT_ONCE = 32
"""Firings of at_most_once in one slice: so many may become doubtful at once (decisions B6)."""


class OutletDown(BackbeatScheduleError):
    """The broker cannot be reached; nothing of what was given is known to be confirmed."""


@dataclass(frozen=True, slots=True)
class Published:
    """What became of the firings of one publish. Those that are named nowhere may have arrived or not: nobody knows."""

    confirmed: Sequence[Firing]
    """The broker has them, durably."""
    refused: Sequence[tuple[Firing, str]] = ()
    """They can never be sent, and why: not to be encoded, or too large."""
    returned: Sequence[Firing] = ()
    """The broker said no, so it has none of them: there is no such queue, or it is full. A later try may succeed."""


class Outlet(Protocol):
    """The way to the broker. One thread at a time.

    An outlet that can will also tell other beats its cluster and store id (decisions B12); the relay does not ask for it.
    """

    def publish(self, firings: Sequence[Firing]) -> Published:
        """Send each firing as one message with its task id, the headers as `Firing.terms` say (`delivery`).

        What is not known to be confirmed is sent again, with the same id, but for firings whose terms say `once`. Takes at
        most AT_ONCE firings, and returns within a bounded time. Raises OutletDown when the broker cannot be reached at all.
        """

    def reach(self) -> None:
        """See to it that the broker can be reached now, and sends nothing. Raises OutletDown if it cannot."""

    def stay(self) -> None:
        """Called twice a second while this beat leads, whether or not something is to be sent. Raises nothing."""


class MemoryOutlet:
    """Keeps what is sent in a list, for tests and trials; confirms everything while `up`."""

    def __init__(self) -> None:
        self.sent: list[Firing] = []
        self.up = True

    def stay(self) -> None:
        """Nobody is told."""

    def reach(self) -> None:
        if not self.up:
            raise OutletDown("the memory outlet is switched off")

    def publish(self, firings: Sequence[Firing]) -> Published:
        self.reach()
        self.sent += firings
        return Published(firings)
