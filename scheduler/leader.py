"""Leader: may this process act now? An Elector answers with a Term, or with None; without a term nothing is emitted.

Theory of operation. Any number of beats share one lease row (holder, epoch, renewal). Whoever swaps it to itself leads, at
an epoch one higher. The lease only decides who *tries*: each decision compares the row again, inside its own transaction
(store/base.py), so that a leader that was paused, and does not know that it is none, decides nothing.

                     row is free, or its holder is gone,
                     or unchanged for its TTL: swap it
        STANDBY ------------------------------------------> LEADING --+
           ^                                                   |  ^   | renewed, every TTL/5
           |      swap refused, row is another's; unfit        |  +---+
           +---------------------------------------------------+
           |                                                   | store error, or the deadline has passed
           |      swap refused, row is another's               v
           +------------------------------------------------ IN DOUBT ---> LEADING, same epoch: the row was still mine

* STANDBY reads the row, every second. Patience is measured on its own boot-time clock, from when it first saw exactly this
  row: no clock of another machine, and no wall clock, enters. A row whose holder released it, or whose process was on this
  host and has ended, is taken at once. Some times a second it asks whether the leader's crash hint (store/hint.py) is free,
  and if so reads the row at once and takes it. A holder that shows no life for a TTL may be frozen inside a transaction: on
  SQLite, where it blocks the file for ever, the candidate ends it if it is stopped (decisions B11); on MySQL it ends its sessions.
* LEADING trusts itself until the deadline: the time before the last successful request, plus 2/3 TTL. A standby waits a
  whole TTL, so clocks whose rates differ by 1.5 do no harm. The hint is held before the row says so.
* IN DOUBT emits nothing. If the row turns out to be untouched, nobody else has led or decided anything in between. Only a
  row that this very elector has written, or tried to write, is its own: a second beat under the same name is another beat.
* An elector that is not `fit` (its clock is far from the store's) takes no lease, and leaves the one it has.
* Stopping in good order empties the holder, then drops the hint; a standby takes over when it next looks at the hint.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from ..canvas.holder import Holder, Processes
from .clock import Clock
from .incumbent import Incumbent
from .lease_info import LeaseInfo
from .store.base import Fence, Lease, StoreDown
from .store.hint import Hint, NoHint, key_of
from .store.session import NoSessions, Sessions

log = logging.getLogger(__name__)

TTL_SECONDS = 10.0
SHORTEST_TTL_SECONDS = 0.1
RENEWALS = 5
"""In a TTL; it follows that a TTL is never less than three renewals, whatever it is set to (reliability 1.1)."""
HINT_SECONDS = 0.1
"""How often a standby looks at the hint: this is nearly all of the time that a hand-over takes."""


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


class Elector:
    """One candidate. `hold` is a step: call it before each piece of work; it asks the store only when that is due.

    `end_frozen`: on SQLite, kill a holder of this host that shows no life. `fit` is asked at each call of `hold`; `version`
    stands in the lease row.
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
        hint: Hint | None = None,
        sessions: Sessions | None = None,
        fit: Callable[[], bool] = lambda: True,
        version: str = "",
    ) -> None:
        if ttl_seconds < SHORTEST_TTL_SECONDS:
            raise ValueError(f"lease ttl {ttl_seconds} s: at least {SHORTEST_TTL_SECONDS} s is needed")
        self._row = row
        self._clock = clock
        self._me = str(myself)
        self._ttl = ttl_seconds
        self._hint_pause = min(HINT_SECONDS, ttl_seconds / RENEWALS)
        self._hint = hint or NoHint()
        self._sessions = sessions or NoSessions()
        self._fit = fit
        self._info = LeaseInfo(mark=secrets.token_hex(8), version=version)
        self._mine: Lease | None = None
        self._highest = (
            0  # epoch that was ever asked for: none is used twice, also where the store forgets a take-over
        )
        self._tried: Lease | None = None  # a swap to this was asked for, and its answer lost
        self._incumbent = Incumbent(clock, processes, self._hint, self._sessions, end_frozen=end_frozen)
        self._silent_since: float | None = None  # the store
        self._deadline = 0.0
        self._look_at = clock.boottime()
        self._hint_at = self._look_at

    @property
    def budget_seconds(self) -> float:
        """What a publish may take: a term that is closer to its deadline than this is not used."""
        return self._ttl / 20

    def next_look(self) -> float:
        """Seconds until `hold` wants to be called again."""
        at = min(self._look_at, self._hint_at) if self._listens() else self._look_at
        return max(0.0, at - self._clock.boottime())

    def hold(self) -> Term | None:
        """The term, if this process may act now. Never raises for a store that is down: that is a doubt."""
        fit = self._fit()
        now = self._clock.boottime()
        if self._mine is not None and not fit:
            self.release()
        if self._mine is not None and now < self._look_at and now < self._deadline - self.budget_seconds:
            return self._term(self._mine)
        if self._mine is None and now < self._look_at and not self._hears_of_an_end(now):
            return None
        self._look_at = now + min(1.0, self._ttl / RENEWALS)
        try:
            term = self._watch(now, fit=fit) if self._mine is None else self._renew(self._mine, now)
        except StoreDown as cause:
            self.doubt()
            if self._silent_since is None:
                # a connection that had died unnoticed fails once, an outage more than that
                self._look_at = now + self._hint_pause
            self._hint_at = self._look_at  # where the row cannot be read its hint helps nobody
            self._note_outage(cause, now)
            return None
        self._silent_since = None
        return term

    def renew_early(self) -> None:
        """In a quiet moment: renew what is to be renewed soon, so that it does not fall into the moment of a fire time."""
        soon = self._clock.boottime() + self._ttl / RENEWALS / 4
        if self._mine is not None and soon >= self._look_at:
            self._look_at = 0.0
            self.hold()

    def holds(self, term: Term) -> bool:
        """Whether `term` may still be acted upon; asks nobody."""
        mine = self._mine  # which may have been renewed since the term was handed out
        is_mine = mine is not None and mine.epoch == term.epoch
        return is_mine and self._clock.boottime() < self._deadline - self.budget_seconds

    def doubt(self) -> None:
        """Trust nothing until the row has been asked again."""
        self._deadline = 0.0

    def release(self) -> None:
        """Leave the lease to whoever comes, if it is mine; after the last decision and the last mark."""
        mine, self._mine = self._mine, None
        self._deadline = 0.0
        self._incumbent.forget()
        if mine is None:
            return
        try:
            self._row.swap_lease(mine, replace(mine, holder="", renewal=mine.renewal + 1, info=""))
        except StoreDown as cause:
            log.warning(
                "The lease was not released and will expire: %s",
                cause,
                extra={"action": "lease_not_released"},
            )
        self._hint.drop()

    def _term(self, mine: Lease) -> Term:
        return Term(self._me, mine.epoch, self._deadline)

    def _renew(self, mine: Lease, asked_at: float) -> Term | None:
        put = replace(
            mine, renewal=mine.renewal + 1, ttl_ms=round(self._ttl * 1000), info=self._info_now(mine.epoch)
        )
        if self._swap(mine, put):
            return self._lead(put, asked_at)
        row = self._row.read_lease()
        if self._is_tried(row):  # an earlier renewal was done and its answer lost
            self._mine = row
            put = replace(row, renewal=row.renewal + 1)
            return self._lead(put, asked_at) if self._swap(row, put) else None
        self._mine = self._tried = None
        self._hint.drop()
        self._incumbent.see(row)
        other = Holder.parse(row.holder)
        name = row.holder or "nobody" if other is None else f"{other.host}, pid {other.pid}"
        log.warning("Another beat leads now: %s", name, extra={"action": "lease_lost"})
        return None

    def _watch(self, now: float, *, fit: bool) -> Term | None:
        row = self._row.read_lease()
        if self._is_tried(row):  # a take-over was done and its answer lost
            return self._renew(row, now)
        self._incumbent.see(row)
        if not fit or not self._incumbent.is_gone(now):
            return None
        epoch = max(row.epoch, self._highest) + 1
        info = self._info_now(epoch)
        put = Lease(self._me, epoch, row.renewal + 1, round(self._ttl * 1000), info)
        if self._swap(row, put):
            return self._lead(put, now)
        self._hint.drop()
        self._incumbent.see(self._row.read_lease())  # whose hint to look at from now on
        return None

    def _swap(self, seen: Lease, put: Lease) -> bool:
        self._highest = max(self._highest, put.epoch)
        try:
            done = self._row.swap_lease(seen, put)
        except StoreDown:
            self._tried = put
            raise
        if done:
            self._tried = None
        return done

    def _is_tried(self, row: Lease) -> bool:
        """Whether this row is the one whose swap was in doubt; all tries at one renewal put the same numbers."""
        tried = self._tried
        return (
            tried is not None
            and (row.holder, row.epoch, row.renewal) == (tried.holder, tried.epoch, tried.renewal)
            and LeaseInfo.parse(row.info).mark == self._info.mark
        )

    def _listens(self) -> bool:
        return self._mine is None and self._incumbent.is_hinted

    def _hears_of_an_end(self, now: float) -> bool:
        """Whether the leader's hint is free: reason enough to look at the row before its time."""
        if not self._listens() or now < self._hint_at:
            return False
        self._hint_at = now + self._hint_pause
        return self._incumbent.has_dropped_its_hint()

    def _info_now(self, epoch: int) -> str:
        held = self._hint.hold(key_of(self._me, epoch))
        return str(replace(self._info, hint=held, session=self._sessions.mine()))

    def _note_outage(self, cause: StoreDown, now: float) -> None:
        """An outage longer than the TTL is somebody's business: nothing is sent, whoever leads."""
        if self._silent_since is None:
            self._silent_since = now
        seconds = now - self._silent_since
        log.log(
            logging.ERROR if seconds >= self._ttl else logging.WARNING,
            "No answer about the lease for %.0f s, nothing is sent: %s",
            seconds,
            cause,
            extra={"action": "lease_in_doubt"},
        )

    def _lead(self, mine: Lease, asked_at: float) -> Term:
        pause = self._ttl / RENEWALS
        if self._mine is not None and _is_hinted(self._mine) and not _is_hinted(mine):
            # the lock can be had again as soon as the server has noticed what was cut
            pause = self._hint_pause
        self._mine = mine
        self._deadline = asked_at + self._ttl * 2 / 3
        self._look_at = asked_at + pause
        return self._term(mine)


def _is_hinted(lease: Lease) -> bool:
    return LeaseInfo.parse(lease.info).hint
