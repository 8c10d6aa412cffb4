"""Openings: which children of a pool can be given a job, and how many more the pool has room for.

QueuedOpenings is for children that run one job at a time, behind which others may wait; SharedOpenings for such as run many in one process, where
none waits.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush

from .base import LONG_SECONDS
from .line import Line

QUEUE_LIMIT = 128
"""How many jobs may wait behind one: with more a worker would hold much that others could run, and gain little."""


class Openings(ABC):
    """`lines` are all children, by number, each with `slots` jobs at most that run side by side, and no more than `total` in all of them: one that is
    retired may still run some beside its successor. A child gets `max_tasks` jobs in its life.
    """

    queue_limit: int
    """How many jobs may wait behind one."""

    def __init__(self, lines: Mapping[int, Line], *, slots: int, total: int, max_tasks: int | None) -> None:
        self._lines = lines
        self._slots = slots
        self._total = total
        self._max_tasks = max_tasks
        self._open: dict[int, Line] = {}

    def __iter__(self) -> Iterator[Line]:
        return iter([*self._open.values()])

    def resize(self, *, slots: int, total: int) -> None:
        """Run so many side by side from now on; what runs already goes on."""
        self._slots, self._total = slots, total

    def look_at(self, line: Line) -> None:
        """It became ready, was given a job, was told to drop one or has answered, or retired."""
        if line.pid is None or line.retired or line.unanswered or line.given == self._max_tasks:
            self._open.pop(line.number, None)
        else:
            self._open[line.number] = line

    @abstractmethod
    def room(self, depth: int, reserved: int, *, behind_long: bool = False) -> int:
        """As Pool.room; so many jobs are to run besides, and no child has them yet. `behind_long`: also behind jobs that have run for long."""

    @abstractmethod
    def in_turn(self, reserved: int, depth: int) -> Iterator[Line]:
        """The child for each further job, as long as there is room."""

    def _unused(self, reserved: int) -> int:
        unused, slots = self._total - reserved, self._slots
        for line in self._lines.values():
            if line.jobs:
                unused -= min(len(line.jobs), slots)
        return max(0, unused)  # fewer were wanted while more ran

    def _space(self, line: Line, depth: int) -> int:
        space = self._slots + depth - len(line.jobs)
        return max(0, space if self._max_tasks is None else min(space, self._max_tasks - line.given))


class QueuedOpenings(Openings):
    """Of children that run one job at a time: the next goes to one that can start it at once, else where fewest wait."""

    queue_limit = QUEUE_LIMIT

    def room(self, depth: int, reserved: int, *, behind_long: bool = False) -> int:
        unused, depth, places = self._unused(reserved), min(depth, QUEUE_LIMIT), 0
        for line in self._open.values():
            if not line.jobs:
                if unused > 0:
                    unused -= 1
                    places += self._space(line, depth)
            elif depth and (behind_long or not _is_long(line)):
                places += self._space(line, depth)
        return places

    def in_turn(self, reserved: int, depth: int) -> Iterator[Line]:
        idle = [line for line in self._open.values() if not line.jobs][: self._unused(reserved)]
        lines = [*idle, *(line for line in self._open.values() if line.jobs)]
        # what was young when the room was counted may be so no more: then it waits there for a moment, until it is taken back
        heap = [(_is_long(line), len(line.jobs), line.number) for line in lines]
        heapify(heap)
        while heap:
            is_long, count, number = heappop(heap)
            line = self._open.get(number)
            if line is not None and self._space(line, depth):
                yield line
                heappush(heap, (is_long, count + 1, number))


class SharedOpenings(Openings):
    """Of children that run many jobs each: all go to the same one as long as it has room."""

    queue_limit = 0

    def room(self, depth: int, reserved: int, *, behind_long: bool = False) -> int:  # noqa: ARG002 - none waits
        return min(sum(self._space(line, 0) for line in self._open.values()), self._unused(reserved))

    def in_turn(self, reserved: int, depth: int) -> Iterator[Line]:  # noqa: ARG002 - none waits, and all that are reserved come first
        for number in sorted(self._open, key=lambda number: (not self._open[number].jobs, number)):
            while (line := self._open.get(number)) and self._space(line, 0):
                yield line


def _is_long(line: Line) -> bool:
    return line.since is not None and line.since <= time.monotonic() - LONG_SECONDS
