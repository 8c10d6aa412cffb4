"""Pool: the seam behind which task functions run. It takes and returns lists (decisions K24).

Where a pool can take jobs back that it has not started, some may wait in it, each behind one that runs: then short ones follow each other without
the worker (ADR 24).

A pool knows messages and outcomes only. Claims, effects and acknowledgements are the worker's business, in another process if need be.
"""

from __future__ import annotations

from collections.abc import Sequence
from signal import SIGKILL
from typing import Protocol

from msgspec import Struct

from ..envelope import Raw
from ..json_text import Json
from ..limit import LimitsKept
from ..outcome import Outcome
from ..trace_context import NO_TRACE, Trace

LONG_SECONDS = 0.01
"""Behind a job that has run for so long no other is put, nor stays."""


class Job(Struct, frozen=True):
    """A message to run, as it travels; `key` names it between the worker and the pool."""

    key: str
    raw: Raw
    queue: str
    alone: bool = False
    """A process died that ran it: where jobs share a process it gets one for itself, so that it takes no other with it."""


class Ended(Struct, frozen=True):
    """A job ended, after so many seconds. `trace` is what follows it is of, if its run left a span (see tracing.py)."""

    key: str
    outcome: Outcome
    seconds: float = 0.0
    trace: Trace = NO_TRACE


class Requeue(Struct, frozen=True):
    """A job asks to be handed back to the broker (Reject with requeue)."""

    key: str


class Lost(Struct, frozen=True):
    """The process that ran a job died with it, or the job was ended by `kill`; the pool has replaced the process.

    `shared`: other jobs ran in it too, so it is not known that this one ended it.
    """

    key: str
    reason: str
    shared: bool = False


class Unstarted(Struct, frozen=True):
    """A job was taken back before it began; the pool does not have it any more."""

    key: str


class Told(Struct, frozen=True):
    """A job says something of itself, and goes on: a state, and a value as JSON text. Only its last word since the previous `collect` counts."""

    key: str
    state: str
    value: Json


Report = Ended | Requeue | Lost | Unstarted


class Pool(Protocol):
    """Runs jobs. Used by one thread only, the worker's.

    Each submitted job is reported once, besides what it says before it ends (Told), unless the pool is killed before. A job is never run twice by one pool.
    """

    @property
    def limits(self) -> LimitsKept:
        """Which time limits it keeps: soft ones by itself, as the message says, and hard ones by `kill`."""
        ...

    @property
    def free(self) -> int:
        """How many more jobs would start at once."""
        ...

    @property
    def queue_limit(self) -> int:
        """How many jobs may wait behind each that runs."""
        ...

    def room(self, depth: int) -> int:
        """How many more jobs may be submitted if `depth` may wait behind each that runs; at least `free`."""
        ...

    def submit(self, jobs: Sequence[Job]) -> None:
        """Run these: as many as are `free` at once, others when those before them have ended. Never more than `room(queue_limit)`,
        and no more than are `free` if one of them runs alone.

        Returns at once, but for a pool that runs jobs in the caller.
        """
        ...

    def since(self, key: str) -> float | None:
        """When (monotonic seconds) this job began to run, as far as the pool knows; None if it waits, or is not there."""
        ...

    def pid_of(self, key: str) -> int | None:
        """The process that has this job; None if it is not there."""
        ...

    @property
    def pids(self) -> Sequence[int]:
        """The processes that are ready, and get jobs."""
        ...

    @property
    def oldest_before_others(self) -> float | None:
        """Since when that job runs which has run for longest of those behind which others wait; None if none waits."""
        ...

    def take_back(self, before: float) -> None:
        """Take back all jobs that wait behind one that began to run before this (monotonic seconds); they are reported as Unstarted."""
        ...

    def collect(self) -> list[Report | Told]:
        """What ended, or said something, since the last call. Never waits. Also replaces processes that died."""
        ...

    def kill(self, key: str, signum: int = SIGKILL) -> None:
        """End this job, and the process that runs it. It is reported as Lost, unless it ends just now; or as Unstarted, if it waits, and then no
        process is ended; nothing happens if it is not there.

        With another signal than SIGKILL its task may clean up first, for a few seconds: SIGTERM raises SystemExit in it, SIGINT KeyboardInterrupt,
        SIGUSR1 SoftTimeLimitExceeded (how it ends then is what is reported); SIGQUIT and others end the process at once, if it has not
        taken them for itself. Where the process is shared by other jobs the signal makes no difference: the job is reported at once, it
        is told to end (SystemExit), and when the others have ended its process is killed.

        Only where `limits.hard`. Raises ValueError for what is no signal.
        """
        ...

    @property
    def size(self) -> int:
        """How many jobs run side by side at most."""
        ...

    def resize(self, size: int) -> None:
        """Let this be so many from now on. What runs ends first; what waits may be taken back, and is reported as Unstarted.

        Raises ImproperlyConfigured for a size that it cannot have: a pool without processes has always one.
        """
        ...

    def restart(self) -> None:
        """Have each process replaced by one that has imported the app anew. What runs ends first; what waits may be taken back.

        It returns at once. An app that cannot be imported any more changes nothing, and is told in the log. Raises ImproperlyConfigured where
        there are no processes.
        """
        ...

    def wakers(self) -> Sequence[int]:
        """File descriptors that can be read when there is something to collect."""
        ...

    def stop(self, grace_seconds: float) -> list[Report]:
        """Start nothing more, wait up to `grace_seconds` for what runs, then end the processes; returns what ended meanwhile."""
        ...
