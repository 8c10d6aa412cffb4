"""Leader: may this process act now? An Elector answers with a Term, or with None; without a term nothing is emitted.

Theory of operation. Any number of beats share one lease row (holder, epoch, renewal). Whoever swaps it to itself leads, at
an epoch one higher. The lease only decides who *tries*: each decision compares the row again, inside its own transaction
(store/base.py), so that a leader that was paused, and does not know that it is none, decides nothing.

                     row is free, or its holder is gone,
                     or unchanged for its TTL: swap it
        STANDBY ------------------------------------------> LEADING --+
           ^                                                   |  ^   | renewed, every TTL/5
           |      swap refused, row names another              |  +---+
           +---------------------------------------------------+
           |                                                   | store error, or the deadline has passed
           |      swap refused, row names another              v
           +------------------------------------------------ IN DOUBT ---> LEADING, same epoch: the row was still mine

* STANDBY reads the row, every second. Patience is measured on its own boot-time clock, from when it first saw exactly this
  row: no clock of another machine, and no wall clock, enters. A row whose holder released it, or whose process was on this
  host and has ended, is taken at once. On SQLite a holder that shows no life for a TTL but still exists may be frozen inside
  a transaction, where it blocks the file for ever: the candidate ends it (decisions B11).
* LEADING trusts itself until the deadline: the time before the last successful request, plus 2/3 TTL. A standby waits a
  whole TTL, so clocks whose rates differ by 1.5 do no harm.
* IN DOUBT emits nothing. If the row turns out to be untouched, nobody else has led or decided anything in between.
* Stopping in good order empties the holder; a standby then takes over at its next look.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Protocol

from ..canvas.holder import Holder, Processes, Sighting
from .clock import Clock
from .store.base import Fence, Lease, StoreDown

log = logging.getLogger(__name__)

TTL_SECONDS = 10.0
SHORTEST_TTL_SECONDS = 0.1


class LeaseRow(Protocol):
    """The two methods of the Store that an elector uses; see store/base.py for their contract."""

    def read_lease(self) -> Lease: ...

    def swap_lease(self, seen: Lease, put: Lease) -> bool: ...


@dataclass(frozen=True, slots=True)
class Term:
    """Leadership, at one epoch, until `deadline` on the boot-time clock."""

    holder: str
    epoch: int
    deadline: float

    @property
    def fence(self) -> Fence:
        """What to show to the store."""
        return Fence(self.holder, self.epoch)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A row of somebody else, and when it was first seen exactly so."""

    lease: Lease
    since: float


class Elector:
    """One candidate. `hold` is a step: call it before each piece of work; it asks the store only when that is due.

    `end_frozen`: on SQLite, kill a holder of this host that shows no life.
    """

    def __init__(
        self,
        row: LeaseRow,
        clock: Clock,
        myself: Holder,
        processes: Processes,
        *,
        ttl_seconds: float = TTL_SECONDS,
        end_frozen: bool = False,
    ) -> None:
        if ttl_seconds < SHORTEST_TTL_SECONDS:
            raise ValueError(f"lease ttl {ttl_seconds} s: at least {SHORTEST_TTL_SECONDS} s is needed")
        self._row = row
        self._clock = clock
        self._me = str(myself)
        self._processes = processes
        self._ttl = ttl_seconds
        self._end_frozen = end_frozen
        self._mine: Lease | None = None
        self._seen: _Seen | None = None
        self._deadline = 0.0
        self._look_at = clock.boottime()

    @property
    def budget_seconds(self) -> float:
        """What a publish may take: a term that is closer to its deadline than this is not used."""
        return self._ttl / 20

    def next_look(self) -> float:
        """Seconds until `hold` wants to be called again."""
        return max(0.0, self._look_at - self._clock.boottime())

    def hold(self) -> Term | None:
        """The term, if this process may act now. Never raises for a store that is down: that is a doubt."""
        now = self._clock.boottime()
        if self._mine is not None and now < self._look_at and now < self._deadline - self.budget_seconds:
            return self._term(self._mine)
        if self._mine is None and now < self._look_at:
            return None
        self._look_at = now + min(1.0, self._ttl / 5)
        try:
            return self._watch(now) if self._mine is None else self._renew(self._mine, now)
        except StoreDown as cause:
            self.doubt()
            log.warning(
                "No answer about the lease, standing by: %s", cause, extra={"action": "lease_in_doubt"}
            )
            return None

    def holds(self, term: Term) -> bool:
        """Whether `term` may still be acted upon; asks nobody."""
        deadline = min(term.deadline, self._deadline)
        return self._mine is not None and self._clock.boottime() < deadline - self.budget_seconds

    def doubt(self) -> None:
        """Trust nothing until the row has been asked again."""
        self._deadline = 0.0

    def release(self) -> None:
        """Leave the lease to whoever comes, if it is mine; after the last decision and the last mark."""
        mine, self._mine = self._mine, None
        if mine is None:
            return
        try:
            self._row.swap_lease(mine, replace(mine, holder="", renewal=mine.renewal + 1))
        except StoreDown as cause:
            log.warning(
                "The lease was not released and will expire: %s",
                cause,
                extra={"action": "lease_not_released"},
            )

    def _term(self, mine: Lease) -> Term:
        return Term(self._me, mine.epoch, self._deadline)

    def _renew(self, mine: Lease, asked_at: float) -> Term | None:
        put = replace(mine, renewal=mine.renewal + 1, ttl_ms=round(self._ttl * 1000))
        if self._row.swap_lease(mine, put):
            return self._lead(put, asked_at)
        row = self._row.read_lease()
        if (
            row.holder == self._me and row.epoch == mine.epoch
        ):  # an earlier renewal was done and its answer lost
            self._mine = row
            put = replace(row, renewal=row.renewal + 1)
            return self._lead(put, asked_at) if self._row.swap_lease(row, put) else None
        self._mine = None
        self._seen = _Seen(row, self._clock.boottime())
        log.warning("Another beat leads now: %s", row.holder or "nobody", extra={"action": "lease_lost"})
        return None

    def _watch(self, now: float) -> Term | None:
        row = self._row.read_lease()
        if row.holder == self._me:  # a take-over was done and its answer lost
            return self._renew(row, now)
        if self._seen is None or self._seen.lease != row:
            # After the answer, while `now` is before the question: a pause in between must not make the row look old.
            self._seen = _Seen(row, self._clock.boottime())
        if not self._is_free(row, now - self._seen.since):
            return None
        put = Lease(self._me, row.epoch + 1, row.renewal + 1, round(self._ttl * 1000))
        return self._lead(put, now) if self._row.swap_lease(row, put) else None

    def _is_free(self, row: Lease, unchanged_seconds: float) -> bool:
        holder = Holder.parse(row.holder)
        if not row.holder or (holder is not None and self._processes.look(holder) is Sighting.GONE):
            return True
        if unchanged_seconds < row.ttl_ms / 1000:
            return False
        if holder is not None and self._end_frozen and self._processes.look(holder) is Sighting.ALIVE:
            log.error(
                "Ending the frozen leader, process %d", holder.pid, extra={"action": "frozen_leader_ended"}
            )
            self._processes.end(holder)
        return True

    def _lead(self, mine: Lease, asked_at: float) -> Term:
        self._mine = mine
        self._deadline = asked_at + self._ttl * 2 / 3
        self._look_at = asked_at + self._ttl / 5
        return self._term(mine)
