"""Leaving: jobs that were told to end in a process that others share, and by when each must have answered, or have left it.

A thread cannot be ended; so where a process is shared, the job is reported as lost there and then, its
process is retired, and killed as soon as the others have ended: they are not lost for it. Only if it holds the interpreter, so that none of
them can go on, they are. A coroutine or greenlet can be ended, if it does not resist: such a process is given no jobs until it has answered, and
retired only if it does not answer soon, or if the job has not left it after a few seconds. When a shared process dies nobody knows which of its jobs did it; so a job that was in one that died runs alone the next
time (`Job.alone`), in a child that is retired for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

from .line import Line

ANSWER_SECONDS = 0.05
"""How long a process may take to say that it has told a job to end: an event loop that does not turn for so long is stuck."""


class Leaving:
    """Deadlines of one pool. `look_in` lets the pool look again after so many seconds."""

    def __init__(self, look_in: Callable[[float], None]) -> None:
        self._look_in = look_in
        self._look_at = math.inf

    def expect(self, line: Line, key: str, seconds: float) -> None:
        """Within so many seconds this job must have answered, or left; else its process is stuck."""
        line.leaving[key] = time.monotonic() + seconds
        self._look_at = min(self._look_at, line.leaving[key])
        self._look_in(seconds)

    def stuck(self, lines: Iterable[Line]) -> list[Line]:
        """Those of which a job has not kept its time, each once."""
        now = time.monotonic()
        if now < self._look_at:
            return []
        self._look_at = math.inf
        found = []
        for line in lines:
            if line.leaving and min(line.leaving.values()) <= now:
                line.leaving.clear()
                found.append(line)
            self._look_at = min(self._look_at, *line.leaving.values(), math.inf)
        return found
