"""Pool: the seam behind which task functions run. It takes and returns lists (decisions K24); the first version holds one task a slot.

A pool knows messages and outcomes only. Claims, effects and acknowledgements are the worker's business, in another process if need be.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..outcome import Outcome


@dataclass(frozen=True, slots=True)
class Job:
    """A message to run, as the envelope text in which it travels; `key` names it between the worker and the pool."""

    key: str
    raw: str
    queue: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A job ended."""

    key: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Requeue:
    """A job asks to be handed back to the broker (Reject with requeue)."""

    key: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The process that ran a job died with it; the pool has replaced it."""

    key: str
    reason: str


Report = Ended | Requeue | Lost


class Pool(Protocol):
    """Runs jobs. Used by one thread only, the worker's.

    Each submitted job is reported once, unless the pool is killed before. A job is never run twice by one pool.
    """

    @property
    def keeps_limits(self) -> bool:
        """Whether it can end a job that runs too long, softly and hard."""
        ...

    @property
    def free(self) -> int:
        """How many more jobs may be submitted now."""
        ...

    def submit(self, jobs: Sequence[Job]) -> None:
        """Run these. Never more than `free`; returns at once, but for a pool that runs jobs in the caller."""
        ...

    def collect(self) -> list[Report]:
        """What ended since the last call. Never waits. Also replaces processes that died."""
        ...

    def kill(self, key: str, signum: int = signal.SIGKILL) -> None:
        """End the process that runs this job; it is reported as Lost, unless it ends just now. Only where `keeps_limits`."""
        ...

    def wakers(self) -> Sequence[int]:
        """File descriptors that can be read when there is something to collect."""
        ...

    def stop(self, grace_seconds: float) -> list[Report]:
        """Start nothing more, wait up to `grace_seconds` for what runs, then end the processes; returns what ended meanwhile."""
        ...
