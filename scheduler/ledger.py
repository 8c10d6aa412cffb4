"""Ledger: decides. Due entries go in, one fenced transaction records them, firings that are owed to the broker come out.

It owns the agenda, as the memory of what the store knows; the relay sends what it returns; the beat calls both. Steps E1 to
E5 of the order in beat.py. What the store refuses, it refuses whole: the agenda is then put right from the store's answer.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .agenda import Agenda, Slot
from .blockers import Blockers
from .collection import long_lived
from .draft import draft
from .entry import Entry, Overlap, Owner
from .firing import Firing, FiringState, firing_of
from .likeness import Abridged
from .overlap import Ruling
from .plan import BATCH, Plan, Skip, plan
from .runs import Runs
from .store.base import (
    Change,
    Decided,
    Fault,
    Fence,
    Fenced,
    Known,
    Marks,
    Move,
    Open,
    Reconciled,
    Refusal,
    Store,
)
from .store.draw import draw_term_start

log = logging.getLogger(__name__)

OPEN_AT_ONCE = 5_000
"""Open firings that are taken into memory in one load."""
NO_RUNS = "its overlap needs to know when a run is over, and the app has no result backend: configure one, or write overlap: allow"


@dataclass(frozen=True, slots=True)
class Decision:
    """What one batch has decided: what to send, what is not sent, and what waits for the run before it."""

    firings: tuple[Firing, ...]
    skips: tuple[Skip, ...]
    held: tuple[Firing, ...] = ()


class Ledger:
    """One leader's view of the store. `lead` first; FENCED from any call ends the term.

    `runs` None: nobody knows which runs are over, and entries that need to know are quarantined. `quarantined` is told the
    name of an entry that cannot be used, and why.
    """

    def __init__(
        self,
        store: Store,
        cluster: str,
        *,
        runs: Runs | None = None,
        quarantined: Callable[[str, str], None] = lambda _name, _why: None,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._blockers = Blockers(runs)
        self._tell_quarantined = quarantined
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
            self._epoch, self._batches = epoch, draw_term_start(epoch)
        slots: list[Slot] = []

        def each(known: Known) -> None:
            if (slot := self._slot(known)) is not None:
                slots.append(slot)

        self._blockers.clear()
        with long_lived():
            loaded = self._store.load(None, each)
            assert loaded is not None
            self._revision = loaded.revision
            self._agenda.fill(slots)
        self._quarantine(loaded.faults)

    def load_open(self, fence: Fence, now_us: int, besides: Collection[int] | None = None) -> Open | Fenced:
        """Step L: what is not finished, whoever decided it; without the batches in `besides`, which we have already."""
        found = self._store.load_open(fence, OPEN_AT_ONCE, besides or ())
        if isinstance(found, Refusal):
            return found
        was_held: Collection[str] = ()
        if besides is None:
            was_held = self._blockers.was_held()
            self._blockers.restart(found.held)
        else:
            self._blockers.add_held(found.held)
        for firing in found.firings:
            slot = self._agenda.get(firing.entry)
            if slot is not None and slot.brief.model.overlap is not Overlap.ALLOW:
                self._blockers.sent(firing, now_us)
                if firing.task_id in was_held:  # it was decided in a transaction whose answer was lost
                    slot.runs += 1
                    slot.next_us = self._next(slot.brief, slot.cursor_us, slot.runs)
                    self._agenda.put(slot)
        return found

    def refresh(self) -> bool:
        """Take up what was edited since; says whether anything was."""
        loaded = self._store.load(self._revision)
        if loaded is None:
            return False
        for known in loaded.entries:
            self._take_up(known)
        self._quarantine(loaded.faults)
        self._revision = loaded.revision
        return True

    def reconcile(
        self, wanted: Sequence[Entry], now_us: int, fence: Fence, owner: Owner = Owner.FILE
    ) -> Reconciled | Fenced:
        """Apply the entries of an owner: all or nothing."""
        answer = self._store.reconcile(wanted, now_us, fence, batch_id=self._next_batch(), owner=owner)
        if not isinstance(answer, Refusal) and answer.changes:
            self.refresh()
            for firing in answer.firings:
                slot = self._agenda.get(firing.entry)
                if slot is not None and slot.brief.model.overlap is not Overlap.ALLOW:
                    self._blockers.sent(firing, now_us)
        return answer

    def decide(self, now_us: int, marks: Marks, fence: Fence) -> Decision | Fenced | None:
        """Decide at most one batch of what is due at `now_us`; None when nothing is."""
        slots = {slot.brief.name: slot for slot in self._agenda.take(now_us, BATCH)}
        if not slots:
            return None
        batch_id = self._next_batch()
        verdict, firings = self._evaluated(slots, now_us, batch_id)
        rulings = self._rulings(slots, firings, now_us)
        batch = draft(batch_id, slots, verdict, firings, rulings, now_us, marks)
        answer: Decided | Fenced | None = None
        try:
            answer = self._store.decide(batch, fence)
        finally:  # in doubt the cursors stay as they were: the next try meets the store's, and is told
            self._put_back(slots, verdict if isinstance(answer, Decided) else None, batch.moves)
        if isinstance(answer, Refusal):
            return answer
        for known in answer.stale:
            self._take_up(known)
        self._quarantine(answer.faults)
        gone = {known.name for known in answer.stale} | {fault.entry for fault in answer.faults}
        self._count_runs(slots, answer.fresh, gone)
        short = {firing.entry for firing in batch.firings} if len(answer.fresh) < len(batch.firings) else ()
        if rulings:
            self._blockers.add_held(answer.held)
            for firing in answer.fresh:
                if firing.entry in rulings:
                    self._blockers.sent(firing, now_us)
        for name in short:  # some were in the ledger already, and used none of the runs that the plan counted
            slot = slots[name]
            if slot.next_us is None and name not in gone:
                slot.next_us = self._next(slot.brief, slot.cursor_us, slot.runs)
                self._agenda.put(slot)
        return Decision(answer.fresh, tuple(s for s in batch.skips if s.entry not in gone), answer.held)

    def review(self, now_us: int, fence: Fence) -> Sequence[Change] | Fenced:
        """Decide again about what is held: whether the run before it is over. Returns what was decided."""
        changes = self._blockers.review(self._entry, now_us)
        if not changes:
            return ()
        done = self._store.settle(changes, now_us, fence)
        if isinstance(done, Refusal):
            return done
        self._blockers.settled(changes, done, now_us)
        for change in changes:
            slot = self._agenda.get(change.firing.entry)
            if slot is not None and slot.brief.model.max_runs is not None:
                slot.runs += change in done and change.after is FiringState.DECIDED
                slot.next_us = self._next(slot.brief, slot.cursor_us, slot.runs)
                self._agenda.put(slot)
        return done

    def gone(self, firings: Iterable[Firing]) -> None:
        """These were decided, and will not be sent after all: they are in nobody's way."""
        self._blockers.gone(firings)

    def left(self, firings: Iterable[Firing], now_us: int) -> None:
        """The broker has these, or may have them."""
        self._blockers.left(firings, now_us)

    # --- deciding ------------------------------------------------------------------------------------------------------------

    def _evaluated(self, slots: dict[str, Slot], now_us: int, batch_id: int) -> tuple[Plan, list[Firing]]:
        """Plan and firings of these entries. One whose evaluation raises is left out, off the heap: it can only hurt itself."""
        try:
            return self._evaluate(slots, now_us, batch_id)
        except Exception:  # noqa: BLE001 - user's schedules, zones and calendars are evaluated in there
            for name in [name for name, slot in slots.items() if not self._evaluates(name, slot, now_us)]:
                del slots[name]
            return self._evaluate(slots, now_us, batch_id)

    def _evaluates(self, name: str, slot: Slot, now_us: int) -> bool:
        try:
            self._evaluate({name: slot}, now_us, 0)
        except Exception as fault:  # noqa: BLE001 - the same
            self._cannot_be_evaluated(name, fault)
            return False
        return True

    def _evaluate(self, slots: Mapping[str, Slot], now_us: int, batch_id: int) -> tuple[Plan, list[Firing]]:
        cursors = {name: slot.cursor_us for name, slot in slots.items()}
        left = {
            name: slot.entry.max_runs - slot.runs - self._blockers.holds(name)
            for name, slot in slots.items()
            if slot.entry.max_runs is not None
        }
        verdict = plan([slot.entry for slot in slots.values()], cursors, now_us, left=left)
        firings = [
            firing_of(self._cluster, due.entry, due.due_us, rev=slots[due.entry.name].rev, batch_id=batch_id)
            for due in verdict.dues
        ]
        return verdict, firings

    def _rulings(
        self, slots: Mapping[str, Slot], firings: Sequence[Firing], now_us: int
    ) -> Mapping[str, Ruling]:
        watched = {name for name, slot in slots.items() if slot.entry.overlap is not Overlap.ALLOW}
        wanted: dict[str, tuple[Entry, list[Firing]]] = {}
        for firing in firings if watched else ():
            if firing.entry in watched:
                wanted.setdefault(firing.entry, (slots[firing.entry].entry, []))[1].append(firing)
        return self._blockers.rule(wanted, now_us) if wanted else {}

    def _next_batch(self) -> int:
        """A number that no other batch has."""
        self._batches += 1
        return self._batches

    # --- the agenda ----------------------------------------------------------------------------------------------------------

    def _put_back(self, slots: Mapping[str, Slot], verdict: Plan | None, moves: Sequence[Move]) -> None:
        for name, slot in slots.items():
            if verdict is None:
                slot.next_us = self._next(slot.brief, slot.cursor_us, slot.runs)
            else:
                slot.next_us = verdict.next_us[name]
        for move in moves if verdict is not None else ():
            slots[move.entry].cursor_us, slots[move.entry].next_us = move.to_us, move.next_us
        for slot in slots.values():
            self._agenda.put(slot)

    def _count_runs(self, slots: Mapping[str, Slot], fresh: Sequence[Firing], gone: Collection[str]) -> None:
        limited = [slot for slot in slots.values() if slot.brief.model.max_runs is not None]
        runs = Counter(firing.entry for firing in fresh) if limited else {}
        for slot in limited:
            if slot.brief.name not in gone:
                slot.runs += runs.get(slot.brief.name, 0)

    def _take_up(self, known: Known) -> None:
        slot = None if known.removed else self._slot(known)
        if slot is None:
            self._agenda.drop(known.name)
        else:
            self._agenda.put(slot)

    def _slot(self, known: Known) -> Slot | None:
        """The slot of an entry; None for one that cannot be used."""
        brief, policy = known.brief, known.brief.model
        if policy.overlap is not Overlap.ALLOW:
            self._blockers.learn(known.entry, known.latest_id, known.latest_us)
            if not self._blockers.knows_runs:
                self._quarantine([Fault(brief.name, NO_RUNS)])
                return None
        try:
            next_us = self._next(brief, known.cursor_us, known.runs)
        except Exception as fault:  # noqa: BLE001 - the same as in _evaluated
            self._cannot_be_evaluated(brief.name, fault)
            return None
        return Slot(brief, known.rev, known.cursor_us, next_us, known.runs)

    def _next(self, brief: Abridged, cursor_us: int, runs: int) -> int | None:
        policy = brief.model
        if not policy.enabled:
            return None
        if policy.max_runs is not None and runs + self._blockers.holds(brief.name) >= policy.max_runs:
            return None
        return brief.next_after(cursor_us)

    def _entry(self, name: str) -> Entry | None:
        slot = self._agenda.get(name)
        return None if slot is None else slot.entry

    def _cannot_be_evaluated(self, name: str, fault: Exception) -> None:
        log.error("The next fire time of %s raises", name, exc_info=fault)
        self._quarantine([Fault(name, f"its next fire time raises {type(fault).__name__}: {fault}")])

    def _quarantine(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self._agenda.drop(fault.entry)
            extra = {"action": "entry_quarantined", "entry": fault.entry}
            log.error("Entry %s waits until it is edited: %s", fault.entry, fault.reason, extra=extra)
            self._tell_quarantined(fault.entry, fault.reason)
