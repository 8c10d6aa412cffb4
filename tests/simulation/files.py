"""Files: the schedules as the files of a simulated world have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backbeat.scheduler.edit import spec_text
from backbeat.scheduler.entry import Entry, Owner
from backbeat.scheduler.store.memory import MemoryStore


class Files:
    """Some entries, which may change: each process reads them at its start, and when they have changed."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self._serial = 1

    def write(self, entries: Sequence[Entry]) -> None:
        """Save other entries."""
        self.entries, self._serial = tuple(entries), self._serial + 1

    def source(self) -> Callable[[], Sequence[Entry] | None]:
        """What one process asks."""
        seen = [0]

        def read() -> Sequence[Entry] | None:
            if seen[0] == self._serial:
                return None
            seen[0] = self._serial
            return self.entries

        return read

    def differ_from(self, store: MemoryStore) -> list[str]:
        """The names of the entries of which the store has something else than the files say (I-RELOAD)."""
        has = {
            name: kept.definition
            for name, kept in store._entries.items()
            if kept.owner is Owner.FILE and not kept.removed
        }
        wanted = {entry.name: spec_text(entry) for entry in self.entries}
        return sorted({name for name in has.keys() | wanted.keys() if has.get(name) != wanted.get(name)})
