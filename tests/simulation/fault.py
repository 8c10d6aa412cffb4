"""Fault: what was done to a world, written down, so that whatever is late or comes twice can be explained, or cannot.

Whoever does something puts a line into the log first. `grace_seconds` is how long after it something may still be late because of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from .timeline import SECOND_US


class FaultKind(Enum):
    """What can be done."""

    CRASH = "crash"
    STOP = "graceful stop"
    FREEZE = "freeze"
    CUT_STORE = "cut from the store"
    CUT_BROKER = "cut from the broker"
    LOST_ANSWER = "answer of the store lost"
    LOST_CONFIRM = "confirm of the broker lost"
    SLOW = "confirm comes late"
    STORE_DOWN = "store down"
    BROKER_DOWN = "broker down"
    ROLLBACK = "store rolled back"
    CLOCK = "wall clock set"
    NOBODY = "no beat can work"
    EDIT = "edit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One of them, from when to when."""

    kind: FaultKind
    at_us: int
    until_us: int
    grace_seconds: float = 3.0
    node: str = ""

    @property
    def felt_until_us(self) -> int:
        """When nothing can be late because of it any more."""
        return self.until_us + round(self.grace_seconds * SECOND_US)


class FaultLog:
    """All that was done."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def note(
        self,
        kind: FaultKind,
        at_us: int,
        until_us: int | None = None,
        grace_seconds: float = 3.0,
        node: str = "",
    ) -> None:
        """Write one down."""
        until_us = at_us if until_us is None else until_us
        self.faults.append(
            Fault(kind=kind, at_us=at_us, until_us=until_us, grace_seconds=grace_seconds, node=node)
        )

    def count(self, kind: FaultKind) -> int:
        """How many there were of a kind."""
        return sum(fault.kind is kind for fault in self.faults)

    def spans(self) -> list[tuple[int, int]]:
        """The times in which something may be late, joined, in order."""
        return joined((fault.at_us, fault.felt_until_us) for fault in self.faults)


def joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of time in order, those that touch made one."""
    result: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if result and begin <= result[-1][1]:
            result[-1] = result[-1][0], max(end, result[-1][1])
        else:
            result.append((begin, end))
    return result


def longest_calm_us(spans: list[tuple[int, int]], from_us: int, to_us: int) -> int:
    """The longest time between two instants that lies in none of the spans, which are joined and in order."""
    longest, at_us = 0, from_us
    first = max(0, bisect_right(spans, (from_us, 0)) - 1)
    for begin, end in islice(spans, first, None):
        if begin >= to_us:
            break
        longest = max(longest, begin - at_us)
        at_us = max(at_us, end)
    return max(longest, to_us - at_us)
