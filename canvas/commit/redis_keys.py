"""RedisKeys: where things lie in a Redis: queues as kombu has them, what is our own under `backbeat:`.

The scripts (store.lua) build the same names.
"""

from __future__ import annotations

import bisect

from msgspec import Struct

from .role import OUTBOX

SEPARATOR = "\x06\x16"
"""kombu's, between the name of a queue and a priority."""
STEPS = (0, 3, 6, 9)
"""kombu's priorities: each has a list of its own, the lowest is taken first."""


class RedisKeys(Struct, frozen=True):
    """`prefix` is in front of every key (kombu's `global_keyprefix`)."""

    prefix: str = ""

    def own(self, name: str) -> str:
        """The key of something that only backbeat knows."""
        return f"{self.prefix}backbeat:{name}"

    def lists(self, queue: str) -> list[str]:
        """The lists of a queue, one for each priority; the outbox has one."""
        if queue == OUTBOX:
            return [self.own("outbox")]
        name = f"{self.prefix}{queue}"
        return [name if step == 0 else f"{name}{SEPARATOR}{step}" for step in STEPS]


def step_of(priority: int | None) -> int:
    """The place, from 1, of the list for a priority; kombu rounds down."""
    return max(1, bisect.bisect(STEPS, priority or 0))
