"""MemoryGroups: keeps groups in a MemoryStore, as long as its process lives; a SavedGroups."""

from __future__ import annotations

from .memory_store import MemoryStore


class MemoryGroups:
    """Reads and writes a MemoryStore."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def save(self, id_: str, text: str, *, is_short: bool = False) -> None:  # noqa: ARG002 - no client of Celery's looks here
        with self._store.changed:
            self._store.state.groups[id_] = text

    def load(self, id_: str) -> str | None:
        with self._store.changed:
            return self._store.state.groups.get(id_)

    def delete(self, id_: str) -> None:
        with self._store.changed:
            self._store.state.groups.pop(id_, None)
