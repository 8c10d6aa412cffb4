"""Bringing: what a worker's tasks came to, until it is stored: all in one commit, or, where that is refused, one by one (decisions K18)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

from ..commit.overlap import nothing
from ..commit.taken import Taken
from ..commit.transition import Transition
from ..errors import Unavailable
from ..killpoint import reach
from ..perform import Performer
from ..unstorable import instead_of
from .listener import Listener

logger = logging.getLogger("backbeat.worker")

_Item = tuple[Transition, float | None]
"""And how many seconds its task ran, if one did."""


class Bringing:
    """What is taken in the same step goes to `taken`; `listener` is told of what is stored when there is time for it (`tell`)."""

    def __init__(self, performer: Performer, listener: Listener, taken: deque[Taken]) -> None:
        self._performer = performer
        self._listener = listener
        self._taken = taken
        self._pending: list[_Item] = []
        self._untold: list[_Item] = []

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, transition: Transition, seconds: float | None = None) -> None:
        """To be brought the next time; `seconds` is how long its task ran."""
        self._pending.append((transition, seconds))

    def bring(self, take: int = 0, meanwhile: Callable[[], object] = nothing) -> None:
        """Store it, and take up to so many messages; `meanwhile` is called while servers work on that, or just before, and must not raise.

        Raises Unavailable; then what is not stored is brought again the next time.
        """
        items, self._pending = self._pending, []
        self._bring(items, take, meanwhile)

    def tell(self) -> None:
        """Tell the listener of what was stored since the last time."""
        if not self._untold:
            return
        items, self._untold = self._untold, []
        for transition, seconds in items:
            self._listener.applied(transition, seconds)
        reach("worker.told")

    def _bring(
        self, items: Sequence[_Item], take: int = 0, meanwhile: Callable[[], object] = nothing
    ) -> None:
        if items:
            reach("worker.bringing")
        try:
            transitions = [transition for transition, _ in items]
            self._taken += self._performer.commit(transitions, take=take, meanwhile=meanwhile)
        except Unavailable:
            self._pending = [*items, *self._pending]
            raise
        except Exception as error:  # what one task made must not end the worker and all that it runs
            if not items:
                logger.exception("messages cannot be taken", extra={"action": "step_failed"})
            elif len(items) == 1:
                self._replace(items[0], error)
            else:
                self._bring_each(items)
            return
        if items:
            reach("worker.committed")
        self._untold += items

    def _bring_each(self, items: Sequence[_Item]) -> None:
        """One of several cannot be written, and the others can."""
        for number, item in enumerate(items, 1):
            try:
                self._bring([item])
            except Unavailable:
                self._pending += items[number:]
                raise

    def _replace(self, item: _Item, error: Exception) -> None:
        """What cannot be written ends as failed."""
        transition, seconds = item
        logger.error("a transition cannot be stored: %s", error, extra={"action": "transition_refused"})
        try:
            instead = instead_of(transition, error, self._performer)
        except Unavailable:
            self._pending.append(item)
            raise
        if instead is not None:
            self._bring([(instead, seconds)])
