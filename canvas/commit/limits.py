"""Limits: what every store of a fleet should agree on: how long things are held and kept, and how often they are tried."""

from __future__ import annotations

from msgspec import Struct

from ..celery_place import CeleryPlace
from .chord_times import DEFAULT_TIMES, ChordTimes

KNOWN_SECONDS = 3_600.0
"""The shortest time for which what has ended is known, however short results are kept."""
OUTBOX_LEASE_SECONDS = 2.0
"""The longest that an outbox message waits for its writer (see Limits.outbox_lease_us)."""
PLAN_SECONDS = 7 * 86_400.0
"""The shortest time for which it is known what a canvas consists of."""
REVOKED_KEEP_US = 30 * 86_400 * 1_000_000
"""How long a revoked id is remembered; a message that waits for longer than that may start."""


ABSENT_KEEP_US = 86_400 * 1_000_000
"""How long a queue is known, and emptied, whose worker is gone."""


class Limits(Struct, frozen=True, kw_only=True):
    """What every store of a fleet should agree on."""

    lease_seconds: float = 10.0
    """How long a message or a claim that nobody renews is held for its worker."""
    max_lost: int = 3
    """How many workers or processes a task may take with it before it ends as WorkerLostError (decisions K8)."""
    keep_seconds: float = 86_400.0
    """How long results are kept (`result_expires`); 0 is for ever."""
    extended: bool = True
    """Whether results hold the task's name, arguments, worker, retries, queue and `date_started` (`result_extended`)."""
    compression: str | None = None
    """How results are compressed (`result_compression`); not in memory."""
    chords: ChordTimes = DEFAULT_TIMES
    """How the books of Celery's chords are kept; in Redis alone."""

    celery: CeleryPlace | None = None
    """Where Celery's clients and workers look for results, too; in a SQL database alone."""
    lowest_first: bool = False
    """Whether the lowest priority is the most urgent one (`task_priority_order`); RabbitMQ does not ask."""

    @property
    def known_seconds(self) -> float:
        """How long ended runs and closed joins are kept, so that a message that comes twice is known."""
        return max(self.keep_seconds, KNOWN_SECONDS) if self.keep_seconds else 0.0

    @property
    def plan_seconds(self) -> float:
        """How long it is known what a canvas consists of, from when it was sent; 0 is for ever."""
        return max(self.keep_seconds, PLAN_SECONDS) if self.keep_seconds else 0.0

    @property
    def lease_us(self) -> int:
        return round(self.lease_seconds * 1_000_000)

    @property
    def outbox_lease_us(self) -> int:
        """How long the writer of an outbox message has to send it before any worker's relay does (decisions K1)."""
        return round(min(OUTBOX_LEASE_SECONDS, self.lease_seconds) * 1_000_000)


DEFAULT_LIMITS = Limits()
