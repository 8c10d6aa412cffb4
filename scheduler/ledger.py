"""Ledger: decides. Due entries go in, one fenced transaction records them, firings that are owed to the broker come out.

It owns the agenda, as the memory of what the store knows; the relay sends what it returns; the beat calls both. Steps E1 to
E5 of the order in beat.py. What the store refuses, it refuses whole: the agenda is then put right from the store's answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .agenda import Slot
from .blockers import Blockers
from .draft import draft
from .entry import Entry, Overlap, Owner
from .firing import Firing, FiringKind, FiringState, firing_of
from .overlap import Ruling
from .plan import BATCH, Plan, plan
from .roster import Roster
from .runs import Runs
from .skip import Skip
from .store.base import (
    Change,
    Decided,
    Fence,
    Fenced,
    Marks,
    Open,
    Reconciled,
    Refusal,
    Store,
)
from .store.draw import draw_term_start

OPEN_AT_ONCE = 5_000
"""Open firings that are taken into memory in one load."""


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
        self._roster = Roster(self._blockers, quarantined)
        self._agenda = self._roster.agenda
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
        self._blockers.clear()
        self._revision = self._roster.fill(self._store)

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
            slot = self._agenda.get(firing.entry) if firing.kind is FiringKind.REGULAR else None
            if slot is not None and slot.brief.model.overlap is not Overlap.ALLOW:
                self._blockers.sent(firing, now_us)
                if firing.task_id in was_held:  # it was decided in a transaction whose answer was lost
                    slot.runs += 1
                    self._roster.put_again(slot)
        return found

    def refresh(self) -> bool:
        """Take up what was edited since; says whether anything was."""
        loaded = self._store.load(self._revision)
        if loaded is None:
            return False
        for known in loaded.entries:
            self._roster.take_up(known)
        self._roster.quarantine(loaded.faults)
        self._revision = loaded.revision
        return True

    def reconcile(
        self,
        wanted: Sequence[Entry],
        now_us: int,
        fence: Fence,
        owner: Owner = Owner.FILE,
        among: Collection[str] | None = None,
    ) -> Reconciled | Fenced:
        """Apply the entries of an owner, or those with these names: all or nothing."""
        batch_id = self._next_batch()
        answer = self._store.reconcile(wanted, now_us, fence, batch_id=batch_id, owner=owner, among=among)
        if not isinstance(answer, Refusal) and answer.changes:
            self.refresh()
            self._blockers.add_held(answer.held)
        return answer

    def names(self, owner: Owner) -> Collection[str]:
        """The entries that the store has of an owner."""
        return self._store.names(owner)

    def decide(self, now_us: int, marks: Marks, fence: Fence) -> Decision | Fenced | None:
        """Decide at most one batch of what is due at `now_us`; None when nothing is."""
        slots = {slot.brief.name: slot for slot in self._agenda.take(now_us, BATCH)}
        if not slots:
            return None
        batch_id = self._next_batch()
        verdict, firings = self._evaluated(slots, now_us, batch_id)
        rulings = self._rulings(slots, firings, now_us)
        batch = draft(self._cluster, batch_id, slots, verdict, firings, rulings, now_us, marks)
        answer: Decided | Fenced | None = None
        try:
            answer = self._store.decide(batch, fence)
        finally:  # in doubt the cursors stay as they were: the next try meets the store's, and is told
            self._roster.put_back(slots, verdict if isinstance(answer, Decided) else None, batch.moves)
        if isinstance(answer, Refusal):
            return answer
        for known in answer.stale:
            self._roster.take_up(known)
        self._roster.quarantine(answer.faults)
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
                self._roster.put_again(slot)
        return Decision(answer.fresh, tuple(s for s in batch.skips if s.entry not in gone), answer.held)

    def review(self, now_us: int, fence: Fence) -> Sequence[Change] | Fenced:
        """Decide again about what is held: whether the run before it is over. Returns what was decided."""
        changes = self._blockers.review(self._roster.entry, now_us)
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
                self._roster.put_again(slot)
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
            self._roster.cannot_be_evaluated(name, fault)
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

    def _count_runs(self, slots: Mapping[str, Slot], fresh: Sequence[Firing], gone: Collection[str]) -> None:
        limited = [slot for slot in slots.values() if slot.brief.model.max_runs is not None]
        runs = Counter(firing.entry for firing in fresh) if limited else {}
        for slot in limited:
            if slot.brief.name not in gone:
                slot.runs += runs.get(slot.brief.name, 0)
