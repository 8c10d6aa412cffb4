"""RedisKeys: where things lie in a Redis: queues as kombu has them, what is our own under `backbeat:`.

The scripts (store.lua) build the same names.
"""

from __future__ import annotations

from msgspec import Struct

from ..priority import SEPARATOR, STEPS
from .role import OUTBOX


class RedisKeys(Struct, frozen=True):
    """`prefix` is in front of every key (kombu's `global_keyprefix`)."""

    prefix: str = ""

    def own(self, name: str) -> str:
        """The key of something that only backbeat knows."""
        return f"{self.prefix}backbeat:{name}"

    def lists(self, queue: str) -> list[str]:
        """The lists of a queue, one for each priority; the outbox has one."""
        return [self.list_of(queue, step) for step in (STEPS if queue != OUTBOX else STEPS[:1])]

    def list_of(self, queue: str, step: int) -> str:
        """The list of a queue for the priorities from `step` on."""
        if queue == OUTBOX:
            return self.own("outbox")
        return f"{self.prefix}{queue}{SEPARATOR}{step}" if step else f"{self.prefix}{queue}"
