"""Ledger: decides. Due entries go in, one fenced transaction records them, firings that are owed to the broker come out.

It owns the agenda, as the memory of what the store knows; the relay sends what it returns; the beat calls both. Steps E1 to
E5 of the order in beat.py. What the store refuses, it refuses whole: the agenda is then put right from the store's answer.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from .agenda import Agenda, Slot
from .edit import EditKind
from .entry import Entry
from .firing import Firing, regular_firing
from .plan import BATCH, Plan, Skip, plan
from .store.base import Batch, Decided, Fence, Fenced, Known, Marks, Move, Reconciled, Refusal, Store

log = logging.getLogger(__name__)

OPEN_AT_ONCE = 5_000
"""Open firings that are taken into memory in one load."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What one batch has decided: what to send, what is not sent, and whether more is due at the same instant."""

    firings: tuple[Firing, ...]
    skips: tuple[Skip, ...]


class Ledger:
    """One leader's view of the store. `lead` first; FENCED from any call ends the term."""

    def __init__(self, store: Store, cluster: str) -> None:
        self._store = store
        self._cluster = cluster
        self._agenda = Agenda()
        self._revision = 0
        self._epoch = 0
        self._batches = 0

    def __len__(self) -> int:
        return len(self._agenda)

    def next_us(self) -> int | None:
        """The earliest instant that is not decided."""
        return self._agenda.next_us()

    def lead(self, epoch: int) -> None:
        """Begin a term: take up entries and cursors as the store has them."""
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, 0
        loaded = self._store.load(None)
        assert loaded is not None
        self._revision = loaded.revision
        self._agenda.fill([slot for known in loaded.entries if (slot := self._slot(known)) is not None])

    def load_open(self, fence: Fence) -> tuple[Firing, ...] | Fenced:
        """Step L: what is decided and not sent, whoever decided it."""
        return self._store.load_open(fence, OPEN_AT_ONCE)

    def refresh(self) -> int:
        """Take up what was edited since; the number of entries."""
        loaded = self._store.load(self._revision)
        if loaded is None:
            return 0
        for known in loaded.entries:
            self._take_up(known)
        self._revision = loaded.revision
        return len(loaded.entries)

    def reconcile(self, wanted: Sequence[Entry], now_us: int, fence: Fence) -> Reconciled | Fenced:
        """Apply the entries of the files: all or nothing."""
        answer = self._store.reconcile(wanted, now_us, fence, batch_id=self._next_batch())
        if not isinstance(answer, Refusal) and answer.changes:
            self.refresh()
        return answer

    def decide(self, now_us: int, marks: Marks, fence: Fence) -> Decision | Fenced | None:
        """Decide at most one batch of what is due at `now_us`; None when nothing is."""
        slots = {slot.entry.name: slot for slot in self._agenda.take(now_us, BATCH)}
        if not slots:
            return None
        verdict = self._plan(slots, now_us)
        batch = self._batch(slots, verdict, now_us, marks)
        done = False
        try:
            answer = self._store.decide(batch, fence)
            done = isinstance(answer, Decided)
        finally:
            if not done:  # in doubt: a next try meets the moved cursors and is told
                self._put_back(slots, {name: slot.cursor_us for name, slot in slots.items()})
        if isinstance(answer, Refusal):
            return answer
        self._put_back(slots, verdict.cursors, verdict.next_us)
        for known in answer.stale:
            self._take_up(known)
        gone = {known.entry.name for known in answer.stale}
        return Decision(answer.fresh, tuple(skip for skip in verdict.skips if skip.entry not in gone))
