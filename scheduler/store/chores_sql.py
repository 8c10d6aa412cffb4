"""SqlChores: Chores over the tables of a SqlStore: slices of backfills, and the ends of overrides. Each call is fenced."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from ..backfill import Backfill, RequestState
from ..firing import Firing
from ..override import first_end_us
from .base import FENCED, Fence, Fenced, Marks
from .lifting import Lifting
from .registry_sql import backfill_of
from .rows import kept_entry
from .sql import SqlStore
from .trail import Trail


class SqlChores:
    """What a leader does for operators, in one SQL database."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._tables = store._tables
        self._trail = Trail(store._sql)
        self._lifting = Lifting(store, self._trail)

    def running(self) -> Sequence[Backfill]:
        table = self._tables.backfill
        query = table.select().where(table.c.state == RequestState.RUNNING.value)
        with self._store._transaction(write=False) as conn:
            rows = conn.execute(query.order_by(table.c.at_us, table.c.id)).mappings().all()
        return [backfill_of(row) for row in rows]

    def advance(
        self, seen: Backfill, put: Backfill, firings: Sequence[Firing], now_us: int, fence: Fence
    ) -> tuple[Firing, ...] | Fenced | None:
        table = self._tables.backfill
        still = (
            table.c.id == seen.id,
            table.c.state == seen.state.value,
            table.c.cursor_us == seen.cursor_us,
        )
        with self._store._transaction() as conn:
            if not self._store._holds(conn, fence):
                return FENCED
            if firings and self._revision_of(conn, firings[0].entry) != firings[0].rev:
                return None
            fresh = self._store._writes.insert(conn, firings, now_us, fence.epoch)
            values = {
                "cursor_us": put.cursor_us,
                "state": put.state.value,
                "decided": seen.decided + len(fresh),
            }
            if conn.execute(table.update().where(*still).values(values)).rowcount != 1:
                conn.rollback()
                return None
            if firings and not fresh:  # the batch owes nobody anything
                self._store._writes.marks(conn, Marks(batches=(firings[0].batch_id,)))
        return fresh

    def _revision_of(self, conn: Connection, name: str) -> int | None:
        entry = self._tables.entry.c
        rev: int | None = conn.execute(select(entry.rev).where(entry.name == name)).scalar()
        return rev

    def first_end_us(self) -> int | None:
        with self._store._transaction(write=False) as conn:
            return self._trail.end_us(conn)

    def lift(self, now_us: int, fence: Fence, *, batch_id: int) -> int | Fenced:
        entry = self._tables.entry.c
        with self._store._transaction() as conn:
            if not self._store._holds(conn, fence):
                return FENCED
            changed = self._store._raise_revision(conn)
            rows = conn.execute(self._store._sql.load_entries.where(entry.override.is_not(None)))
            kept = [kept_entry(row) for row in rows.mappings()]
            edits = self._lifting.lift(
                conn, kept, now_us, epoch=fence.epoch, batch_id=batch_id, changed=changed
            )
            left = {each.name: each for each in kept} | {edit.after.name: edit.after for edit in edits}
            ends = [first_end_us(each.overrides) for each in left.values()]
            self._trail.set_end(conn, min((each for each in ends if each is not None), default=None))
        return len(edits)
