"""Incumbent: the holder of the lease as a candidate sees it. Has it ended, or shown no life for its TTL?

A row is judged by how long it has stood unchanged on the candidate's own boot-time clock, from when it was first seen exactly
so. A holder that released it, whose process was on this host and has ended, or whose crash hint is free has ended at once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..canvas.holder import Holder, Processes, Sighting
from .clock import Clock
from .lease_info import LeaseInfo
from .store.base import Lease
from .store.hint import Hint, key_of
from .store.session import Sessions

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A row of somebody else, when it was first seen exactly so, and what it says."""

    lease: Lease
    since: float
    info: LeaseInfo


class Incumbent:
    """Whoever holds the lease, while it is not this process. `end_frozen`: see Elector."""

    def __init__(
        self, clock: Clock, processes: Processes, hint: Hint, sessions: Sessions, *, end_frozen: bool
    ) -> None:
        self._clock = clock
        self._processes = processes
        self._hint = hint
        self._sessions = sessions
        self._end_frozen = end_frozen
        self._seen: _Seen | None = None

    def see(self, row: Lease) -> None:
        """The row that was read just now."""
        if self._seen is None or self._seen.lease != row:
            # The time after the answer, while a look is timed from before its question: a pause in between must not make it look old.
            self._seen = _Seen(row, self._clock.boottime(), LeaseInfo.parse(row.info))

    def forget(self) -> None:
        """The lease was this process's own since."""
        self._seen = None

    @property
    def is_hinted(self) -> bool:
        """Whether it says that it holds a hint."""
        return self._seen is not None and self._seen.info.hint

    def has_dropped_its_hint(self) -> bool:
        """Reason enough to read the row at once; asks the hint, not the row."""
        seen = self._seen
        return (
            seen is not None
            and seen.info.hint
            and self._hint.is_free(key_of(seen.lease.holder, seen.lease.epoch))
        )

    def is_gone(self, now: float) -> bool:
        """Whether its lease may be taken, as of a look that began at `now`. Who shows no life loses its session, or is ended."""
        assert self._seen is not None
        row, since = self._seen.lease, self._seen.since
        holder = Holder.parse(row.holder)
        if not row.holder or (holder is not None and self._processes.look(holder) is Sighting.GONE):
            return True
        if self.has_dropped_its_hint():
            return True
        if now - since < row.ttl_ms / 1000:
            return False
        self._sessions.end(self._seen.info.session)
        if holder is not None and self._end_frozen and self._processes.end(holder):
            log.error(
                "Ended the frozen leader, process %d", holder.pid, extra={"action": "frozen_leader_ended"}
            )
        return True
