"""Roster: which entries this beat works with, and from when on each is looked at again; those that cannot be used are not on it.

It puts slots into the agenda from what the store says, and takes out who is in quarantine: an entry that cannot be read or evaluated
can only hurt itself. The ledger owns it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from .agenda import Agenda, Slot
from .blockers import Blockers
from .collection import long_lived
from .entry import Entry, Overlap
from .likeness import Abridged
from .plan import Plan
from .store.base import Fault, Known, Move, Store

log = logging.getLogger(__name__)

NO_RUNS = "its overlap needs to know when a run is over, and the app has no result backend: configure one, or write overlap: allow"


class Roster:
    """The entries of one term. `tell` hears the name of an entry that cannot be used, and why."""

    def __init__(self, blockers: Blockers, tell: Callable[[str, str], None]) -> None:
        self._blockers = blockers
        self._tell = tell
        self.agenda = Agenda()

    def fill(self, store: Store) -> int:
        """Start again with what the store has; its revision."""
        slots: list[Slot] = []

        def each(known: Known) -> None:
            if (slot := self._slot(known)) is not None:
                slots.append(slot)

        with long_lived():
            loaded = store.load(None, each)
            assert loaded is not None
            self.agenda.fill(slots)
        self.quarantine(loaded.faults)
        return loaded.revision

    def put_again(self, slot: Slot) -> None:
        """Its runs have changed: so may its next fire time."""
        slot.next_us = self._next(slot.brief, slot.cursor_us, slot.runs)
        self.agenda.put(slot)

    def put_back(self, slots: Mapping[str, Slot], verdict: Plan | None, moves: Sequence[Move]) -> None:
        """Slots that were taken; `verdict` None is "in doubt": they stay as they were."""
        for name, slot in slots.items():
            if verdict is None:
                slot.next_us = self._next(slot.brief, slot.cursor_us, slot.runs)
            else:
                slot.next_us = verdict.next_us[name]
        for move in moves if verdict is not None else ():
            slots[move.entry].cursor_us, slots[move.entry].next_us = move.to_us, move.next_us
        for slot in slots.values():
            self.agenda.put(slot)

    def take_up(self, known: Known) -> None:
        """An entry as the store has it now."""
        slot = None if known.removed else self._slot(known)
        if slot is None:
            self.agenda.drop(known.name)
        else:
            self.agenda.put(slot)

    def entry(self, name: str) -> Entry | None:
        """The entry of this name, if it is on the roster."""
        slot = self.agenda.get(name)
        return None if slot is None else slot.entry

    def cannot_be_evaluated(self, name: str, fault: Exception) -> None:
        """Its next fire time raises."""
        log.error("The next fire time of %s raises", name, exc_info=fault)
        self.quarantine([Fault(name, f"its next fire time raises {type(fault).__name__}: {fault}")])

    def quarantine(self, faults: Iterable[Fault]) -> None:
        """These cannot be used until they are edited."""
        for fault in faults:
            self.agenda.drop(fault.entry)
            extra = {"action": "entry_quarantined", "entry": fault.entry}
            log.error("Entry %s waits until it is edited: %s", fault.entry, fault.reason, extra=extra)
            self._tell(fault.entry, fault.reason)

    def _slot(self, known: Known) -> Slot | None:
        """The slot of an entry; None for one that cannot be used."""
        brief, policy = known.brief, known.brief.model
        if policy.overlap is not Overlap.ALLOW:
            self._blockers.learn(known.entry, known.latest_id, known.latest_us)
            if not self._blockers.knows_runs:
                self.quarantine([Fault(brief.name, NO_RUNS)])
                return None
        try:
            next_us = self._next(brief, known.cursor_us, known.runs)
        except Exception as fault:  # noqa: BLE001 - users' schedules, zones and calendars are evaluated in there
            self.cannot_be_evaluated(brief.name, fault)
            return None
        return Slot(brief, known.rev, known.cursor_us, next_us, known.runs)

    def _next(self, brief: Abridged, cursor_us: int, runs: int) -> int | None:
        policy = brief.model
        if not policy.enabled:
            return None
        if policy.max_runs is not None and runs + self._blockers.holds(brief.name) >= policy.max_runs:
            return None
        return brief.next_after(cursor_us)
