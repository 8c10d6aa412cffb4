"""Chores: what a worker does every so often beside its work: each at its own time, whatever became of the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..errors import Unavailable


@dataclass(slots=True)
class Chore:
    """Done every so many `seconds`; one that failed is due again `again` seconds later."""

    act: Callable[[], object]
    seconds: float = 0.0
    again: float = 0.0
    due: float = -math.inf
    """When it is next due, in monotonic seconds."""


def faults(chores: Iterable[Chore], now: float) -> Unavailable | None:
    """Do those that are due; why not all could be done, if so. A store that is away keeps nobody from talking to the broker."""
    fault = None
    for chore in chores:
        if now >= chore.due:
            try:
                chore.act()
            except Unavailable as error:
                fault, chore.due = error, now + chore.again
            else:
                chore.due = now + chore.seconds
    return fault
