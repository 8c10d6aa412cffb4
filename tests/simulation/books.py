"""Books: what a store holds, read from behind, for the checker: the same shape for the memory store and for SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from backbeat.scheduler.edit import KeptEntry
from backbeat.scheduler.entry import Entry
from backbeat.scheduler.firing import FiringKey, FiringState
from backbeat.scheduler.skip import Skip, SkipReason
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.store.sql import SqlStore
from sqlalchemy import text


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the ledger."""

    task_id: str
    rev: int
    state: FiringState
    batch_id: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry as it stands."""

    entry: Entry
    rev: int
    cursor_us: int
    removed: bool
    runs: int


class Books(Protocol):
    """Everything that is in a store; slow."""

    def rows(self) -> Mapping[FiringKey, Row]:
        """The ledger."""

    def skips(self) -> Sequence[Skip]:
        """What was passed over."""

    def entries(self) -> Mapping[str, EntryRow]:
        """The entries, with those that were removed."""


class MemoryBooks:
    """The Books of a MemoryStore."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._parsed: dict[tuple[str, str], Entry] = {}

    def rows(self) -> Mapping[FiringKey, Row]:
        reasons = self._store.reasons()
        return {
            key: Row(firing.task_id, firing.rev, state, firing.batch_id, reasons.get(key, ""))
            for key, (firing, state) in self._store.ledger().items()
        }

    def skips(self) -> Sequence[Skip]:
        return self._store.skips()

    def entries(self) -> Mapping[str, EntryRow]:
        return {
            name: EntryRow(self._entry(kept), kept.rev, kept.cursor_us, kept.removed, kept.runs)
            for name, kept in self._store._entries.items()
        }

    def _entry(self, kept: KeptEntry) -> Entry:
        known = self._parsed.get((kept.name, kept.spec))
        if known is None:
            known = self._parsed[kept.name, kept.spec] = kept.entry()
        return known


class SqlBooks:
    """The Books of a SqlStore."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def rows(self) -> Mapping[FiringKey, Row]:
        query = (
            "SELECT f.due_us, f.entry, f.kind, f.key, f.task_id, f.rev, COALESCE(f.state, b.state), f.batch_id, f.error"
            " FROM bb_firing f JOIN bb_batch b USING (batch_id)"
        )
        return {
            FiringKey(*row[:4]): Row(row[4], row[5], FiringState(row[6]), row[7], row[8] or "")
            for row in self._ask(query)
        }

    def skips(self) -> Sequence[Skip]:
        query = "SELECT entry, from_us, to_us, count, reason, detail FROM bb_skip"
        return [Skip(*row[:4], SkipReason(row[4]), row[5] or "") for row in self._ask(query)]

    def entries(self) -> Mapping[str, EntryRow]:
        known = self._store.load(-1)
        assert known is not None
        return {
            each.entry.name: EntryRow(each.entry, each.rev, each.cursor_us, each.removed, each.runs)
            for each in known.entries
        }

    def _ask(self, query: str) -> Sequence[Sequence[object]]:
        with self._store._engine.connect() as conn:
            return conn.execute(text(query)).all()
