"""Errands: what a leader does for operators besides deciding what is due: slices of backfills, and the ends of overrides.

`look` is part of the beat's rounds; `lift` and `step` are called in every pass, and cost nothing while there is nothing to do.
A pass does at most one slice, and none while more than ROOM firings wait for the broker, so that a year of minutes goes out
beside the regular firings and not before them. What was decided is in the store (bb_backfill.cursor_us): a new leader goes on
where the old one stopped, and a slice that two of them decide adds its firings once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .backfill import SLICE, Backfill, RequestState, Slice, backfill_firing, next_slice
from .clock import SECOND_US, Clock
from .firing import Firing
from .store.base import Fence, Fenced, Refusal
from .store.draw import draw_batch_id
from .store.registry import Chores, Records, Standing

log = logging.getLogger(__name__)

ROOM = 500
"""Firings that may wait for the broker when a slice is decided."""
SHORTEST_PAUSE_SECONDS = 0.1
"""Between slices of a backfill with a rate, so that what falls due in it is one transaction; and until a full relay is asked again."""


@dataclass(slots=True)
class _Allowance:
    """How many firings of a backfill may be decided now; it fills up by its rate, to at most a second's worth."""

    firings: float
    at: float


class Errands:
    """A leader's work for operators. One thread; every answer of the store ends the term when it is FENCED."""

    def __init__(self, chores: Chores, records: Records, clock: Clock, cluster: str) -> None:
        self._chores = chores
        self._records = records
        self._clock = clock
        self._cluster = cluster
        self._running: list[Backfill] = []
        self._allowances: dict[str, _Allowance] = {}
        self._slice_at = 0.0
        self._end_us: int | None = None  # when the next override ends, as far as the last look showed

    def look(self, fence: Fence, now_us: int) -> Fenced | None:
        """Ask the store for backfills that were begun or ended, and for overrides that end. Raises StoreDown."""
        if isinstance(refusal := self.lift_now(fence, now_us), Refusal):
            return refusal
        running = {each.id: each for each in self._chores.running()}
        turns = [each.id for each in self._running if each.id in running]
        if len(turns) < max(len(running), len(self._running)):
            self._slice_at = 0.0  # it was set for those that ran before
        self._running = [running[turn] for turn in turns] + [
            each for each in running.values() if each.id not in turns
        ]
        self._allowances = {name: known for name, known in self._allowances.items() if name in running}
        return None

    def lift(self, fence: Fence, now_us: int) -> Fenced | None:
        """Take off the overrides that have ended, as far as the last look showed. Raises StoreDown."""
        if self._end_us is None or now_us < self._end_us:
            return None
        return self.lift_now(fence, now_us)

    def lift_now(self, fence: Fence, now_us: int) -> Fenced | None:
        """The same, and ask the store which have. In the order of the ends: between two of them the later one was in force."""
        while (end_us := self._chores.first_end_us()) is not None and end_us <= now_us:
            lifted = self._chores.lift(now_us, fence, batch_id=draw_batch_id())
            if isinstance(lifted, Refusal):
                return lifted
            if not lifted:
                end_us = None  # it was somebody's that has none any more
                break
            log.info("Overrides of %d entries have ended", lifted, extra={"action": "overrides_ended"})
        self._end_us = end_us
        return None

    def step(self, fence: Fence, now_us: int, unsent: int) -> Sequence[Firing] | Fenced:
        """Decide at most one slice of a backfill; the firings that it added to the ledger.

        `unsent` is how many firings wait for the broker. Raises StoreDown.
        """
        if not self._running or (now := self._clock.boottime()) < self._slice_at:
            return ()
        if unsent >= ROOM:
            self._slice_at = now + SHORTEST_PAUSE_SECONDS  # the broker is slow, or down
            return ()
        backfill = self._running.pop(0)
        self._running.append(backfill)  # in turn, so that a short one is not behind a long one
        return self._decide(backfill, now_us, fence)

    def forget(self) -> None:
        """A term begins: the next look says what is to be done."""
        self._running.clear()
        self._slice_at, self._end_us = 0.0, None

    def wait_seconds(self, now_us: int) -> float | None:
        """Seconds until there is something to do, as far as the last look showed; None for nothing."""
        waits = []
        if self._running:
            waits.append(self._slice_at - self._clock.boottime())
        if self._end_us is not None:
            waits.append((self._end_us - now_us) / SECOND_US)
        return max(0.0, min(waits)) if waits else None

    def _decide(self, seen: Backfill, now_us: int, fence: Fence) -> Sequence[Firing] | Fenced:
        limit = self._limit(seen)
        if limit == 0:
            return ()
        standing = self._records.get(seen.entry)
        piece = None if standing is None or standing.kept.removed else _slice(seen, standing, limit)
        if standing is None or piece is None:
            put, firings = replace(seen, state=RequestState.CANCELLED), []
        else:
            state = RequestState.DONE if piece.done else RequestState.RUNNING
            put = replace(seen, cursor_us=piece.cursor_us, state=state)
            firings = self._firings(standing, piece)
        fresh = self._chores.advance(seen, put, firings, now_us, fence)
        if isinstance(fresh, Refusal):
            return fresh
        self._note(seen, None if fresh is None else replace(put, decided=seen.decided + len(fresh)))
        if seen.rate is not None:
            # what was there before costs nobody anything
            self._allowances[seen.id].firings -= len(fresh or ())
        return fresh or ()

    def _firings(self, standing: Standing, piece: Slice) -> list[Firing]:
        batch_id = draw_batch_id()
        return [
            backfill_firing(self._cluster, standing.entry, due_us, rev=standing.kept.rev, batch_id=batch_id)
            for due_us in piece.fires_us
        ]

    def _limit(self, backfill: Backfill) -> int:
        """How many firings of it may be decided now; sets when to come again where the rate forbids any."""
        self._slice_at = 0.0
        if backfill.rate is None:
            return SLICE
        now = self._clock.boottime()
        known = self._allowances.setdefault(backfill.id, _Allowance(1.0, now))
        most = max(1.0, backfill.rate)
        known.firings = min(most, known.firings + backfill.rate * (now - known.at))
        known.at = now
        limit = min(SLICE, int(known.firings))
        if len(self._running) == 1:
            missing_seconds = (1.0 - known.firings) / backfill.rate if limit == 0 else 0.0
            self._slice_at = now + max(SHORTEST_PAUSE_SECONDS, missing_seconds)
        elif all(each.rate is not None for each in self._running):
            self._slice_at = now + SHORTEST_PAUSE_SECONDS / len(self._running)
        return limit

    def _note(self, seen: Backfill, put: Backfill | None) -> None:
        """Remember how it stands; None: somebody else changed it, and the next look says how."""
        self._running = [
            put if each.id == seen.id and put is not None else each
            for each in self._running
            if each.id != seen.id or (put is not None and put.state is RequestState.RUNNING)
        ]
        if put is not None and put.state is not RequestState.RUNNING:
            log.info(
                "Backfill %s of %s is %s: %d firings",
                put.id,
                put.entry,
                put.state.name.lower(),
                put.decided,
                extra={"action": "backfill_ended", "entry": put.entry, "id": put.id},
            )


def _slice(backfill: Backfill, standing: Standing, limit: int) -> Slice | None:
    """The next slice; None for an entry whose next fire time raises: it can only hurt itself."""
    try:
        return next_slice(backfill, standing.entry, limit)
    except Exception:
        log.exception(
            "Backfill %s is cancelled: the next fire time of %s raises",
            backfill.id,
            backfill.entry,
            extra={"action": "backfill_failed", "entry": backfill.entry, "id": backfill.id},
        )
        return None
