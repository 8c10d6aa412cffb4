"""PutOff: a message that was claimed and may not start yet: it waits as a timer, as if nobody had ever claimed it. PURE.

In one step its claim is given back, uncounted, its delivery is acknowledged, and it is published for a later time. So it has no slot of a
worker, nothing waits behind it, and whoever dies meanwhile loses nothing.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from ..effect import Publish
from ..message import Message

LONGEST_SECONDS = 300.0
"""Turns are kept so far ahead, and no farther: a limit may be changed by then."""


class Wait(Struct, frozen=True):
    """Not yet, but in so many seconds. `has_turn`: then it is its turn, which is kept for it; else it asks again. `in_line`: it is woken
    before, when it may start.
    """

    seconds: float
    has_turn: bool = False
    in_line: bool = False


class PutOff(Struct, frozen=True):
    """Let a message wait, by the clock of whoever keeps its timer."""

    message: Message
    wait: Wait

    def publish(self, now_us: int) -> Publish:
        """The timer."""
        due_us = now_us + max(1, round(self.wait.seconds * 1_000_000))
        return Publish(replace(self.message, paced_us=due_us if self.wait.has_turn else None), due_us)
