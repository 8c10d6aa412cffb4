"""Agenda: the entries that this beat works with, ordered by their next fire time.

PURE data in memory: a heap, so that a pass costs nothing while nothing is due, however many entries there are. It is never
the truth: the store is, and the ledger puts into the agenda what the store answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from .entry import Entry
from .likeness import Abridged


@dataclass(slots=True)
class Slot:
    """One entry with its revision, its cursor and its first undecided fire time; `next_us` None is "not on the heap".

    `runs` is how often it was sent, for entries that may be sent so many times only. It is small as long as it lies in the
    agenda: the entry itself is made when somebody wants it, and kept until the slot is put back.
    """

    brief: Abridged
    rev: int
    cursor_us: int
    next_us: int | None
    runs: int = 0
    _entry: Entry | None = None

    @property
    def entry(self) -> Entry:
        """The entry."""
        entry = self._entry
        if entry is None:
            entry = self._entry = self.brief.entry()
        return entry

    def fold(self) -> None:
        """Be small again."""
        self._entry = None


class Agenda:
    """Slots by name, and a heap of (next fire time, name). A heap item that no longer fits its slot is dropped on sight."""

    def __init__(self) -> None:
        self._slots: dict[str, Slot] = {}
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._slots)

    def fill(self, slots: list[Slot]) -> None:
        """Start again with these."""
        self._slots = {slot.brief.name: slot for slot in slots}
        self._heap = [(slot.next_us, slot.brief.name) for slot in slots if slot.next_us is not None]
        heapify(self._heap)

    def put(self, slot: Slot) -> None:
        """Add an entry, or put one back, with what is now known of it."""
        slot.fold()
        self._slots[slot.brief.name] = slot
        if slot.next_us is not None:
            heappush(self._heap, (slot.next_us, slot.brief.name))

    def drop(self, name: str) -> None:
        """Forget an entry."""
        self._slots.pop(name, None)

    def get(self, name: str) -> Slot | None:
        """The slot of an entry."""
        return self._slots.get(name)

    def take(self, now_us: int, limit: int) -> list[Slot]:
        """At most `limit` entries that are due, earliest first. They are off the heap until they are put back."""
        taken: list[Slot] = []
        while len(taken) < limit and (next_us := self.next_us()) is not None and next_us <= now_us:
            slot = self._slots[heappop(self._heap)[1]]
            slot.next_us = None
            taken.append(slot)
        return taken

    def next_us(self) -> int | None:
        """The earliest fire time that is not decided; None when there is none."""
        while self._heap:
            next_us, name = self._heap[0]
            slot = self._slots.get(name)
            if slot is not None and slot.next_us == next_us:
                return next_us
            heappop(self._heap)
        return None
