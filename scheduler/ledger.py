"""Ledger: decides. Due entries go in, one fenced transaction records them, firings that are owed to the broker come out.

It owns the agenda, as the memory of what the store knows; the relay sends what it returns; the beat calls both. Steps E1 to
E5 of the order in beat.py. What the store refuses, it refuses whole: the agenda is then put right from the store's answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .agenda import Agenda, Slot
from .entry import Entry
from .firing import Firing, regular_firing
from .plan import BATCH, Plan, Skip, plan
from .store.base import Batch, Decided, Fence, Fenced, Known, Marks, Move, Reconciled, Refusal, Store

log = logging.getLogger(__name__)

OPEN_AT_ONCE = 5_000
"""Open firings that are taken into memory in one load."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What one batch has decided: what to send, and what is not sent."""

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

    def refresh(self) -> bool:
        """Take up what was edited since; says whether anything was."""
        loaded = self._store.load(self._revision)
        if loaded is None:
            return False
        for known in loaded.entries:
            self._take_up(known)
        self._revision = loaded.revision
        return True

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
        answer: Decided | Fenced | None = None
        try:
            answer = self._store.decide(batch, fence)
        finally:  # in doubt the cursors stay as they were: the next try meets the store's, and is told
            self._put_back(slots, verdict if isinstance(answer, Decided) else None)
        if isinstance(answer, Refusal):
            return answer
        for known in answer.stale:
            self._take_up(known)
        gone = {known.entry.name for known in answer.stale}
        return Decision(answer.fresh, tuple(skip for skip in verdict.skips if skip.entry not in gone))

    def _plan(self, slots: dict[str, Slot], now_us: int) -> Plan:
        """The plan of these entries. One whose evaluation raises is left out, off the heap: it can only hurt itself."""
        cursors = {name: slot.cursor_us for name, slot in slots.items()}
        try:
            return plan((slot.entry for slot in slots.values()), cursors, now_us)
        except Exception:  # noqa: BLE001 - user's schedules, zones and calendars are evaluated in there
            for name in [name for name, slot in slots.items() if not self._evaluates(slot, now_us)]:
                del slots[name]
            return plan((slot.entry for slot in slots.values()), cursors, now_us)

    def _evaluates(self, slot: Slot, now_us: int) -> bool:
        try:
            plan([slot.entry], {slot.entry.name: slot.cursor_us}, now_us)
        except Exception as fault:  # noqa: BLE001 - the same
            _quarantined(slot.entry, fault)
            return False
        return True

    def _batch(self, slots: dict[str, Slot], verdict: Plan, now_us: int, marks: Marks) -> Batch:
        batch_id = self._next_batch()
        firings = tuple(
            regular_firing(
                self._cluster,
                due.entry.name,
                due.due_us,
                due.entry.what,
                rev=slots[due.entry.name].rev,
                batch_id=batch_id,
            )
            for due in verdict.dues
        )
        moves = tuple(
            Move(name, slot.rev, slot.cursor_us, verdict.cursors[name], verdict.next_us[name])
            for name, slot in slots.items()
            if verdict.cursors[name] != slot.cursor_us
        )
        return Batch(batch_id, now_us, firings, moves, verdict.skips, marks)

    def _next_batch(self) -> int:
        """A number that no other batch has: epochs are not reused, and a term has less than a billion batches."""
        self._batches += 1
        return self._epoch * 1_000_000_000 + self._batches

    def _put_back(self, slots: Mapping[str, Slot], plan_made: Plan | None) -> None:
        for name, slot in slots.items():
            if plan_made is None:
                slot.next_us = slot.entry.next_after(slot.cursor_us)
            else:
                slot.cursor_us, slot.next_us = plan_made.cursors[name], plan_made.next_us[name]
            self._agenda.put(slot)

    def _take_up(self, known: Known) -> None:
        slot = None if known.removed else self._slot(known)
        if slot is None:
            self._agenda.drop(known.entry.name)
        else:
            self._agenda.put(slot)

    def _slot(self, known: Known) -> Slot | None:
        """The slot of an entry; None for one that cannot be evaluated."""
        try:
            next_us = known.entry.next_after(known.cursor_us) if known.entry.enabled else None
        except Exception as fault:  # noqa: BLE001 - the same as in _plan
            _quarantined(known.entry, fault)
            return None
        return Slot(known.entry, known.rev, known.cursor_us, next_us)


def _quarantined(entry: Entry, fault: Exception) -> None:
    log.error(
        "Entry %s cannot be evaluated and waits until it is edited: its next fire time raises",
        entry.name,
        exc_info=fault,
        extra={"action": "entry_quarantined", "entry": entry.name},
    )
