"""Losses: how often results on their way to this process may have been lost, and who has still to be told of it. PURE.

Whoever waits for a result while one happens is told, and so is who asks later for the result of a task that was sent before: once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

REMEMBERED = 10_000
"""Tasks whose results have not come, by when they were sent; a process that never asks for results must not fill its memory with them."""


class Losses:
    """Not thread-safe."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self.count = 0
        self._reason = ""
        self._remembered = remembered
        self._told: OrderedDict[str, int] = OrderedDict()
        """How many there had been when a task was sent, or when somebody who asks for it was told last."""

    def happen(self, reason: str) -> None:
        """There is one more."""
        self.count += 1
        self._reason = reason

    def expect(self, id_: str) -> None:
        """Task `id_` is about to be sent."""
        self._told[id_] = self.count
        if len(self._told) > self._remembered:
            self._told.popitem(last=False)

    def forget(self, id_: str) -> None:
        """Nothing more will come of task `id_`, or nobody wants it."""
        self._told.pop(id_, None)

    def news(self, ids: Iterable[str], since: int) -> str | None:
        """What has to be told to one who waits for `ids` since there had been `since` losses, and has not been told yet."""
        if not self.count:
            return None
        ids = list(ids)
        if self.count <= since and all(self._told.get(id_, self.count) == self.count for id_ in ids):
            return None
        for id_ in ids:
            if id_ in self._told:
                self._told[id_] = self.count
        return self._reason
