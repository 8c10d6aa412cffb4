"""SqlChores: Chores over the tables of a SqlStore: slices of backfills, and the ends of overrides. Each call is fenced."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from ..audit_line import edit_detail
from ..backfill import Backfill, RequestState
from ..edit import Edit, EditKind, Edits, revise
from ..firing import Firing
from ..order import overdue
from ..override import first_end_us
from .base import FENCED, Fence, Fenced, Marks
from .registry_sql import backfill_of
from .rows import kept_entry
from .sql import SqlStore
from .trail import Trail

NOBODY = "backbeat"
"""The actor of what happens by itself."""


class SqlChores:
    """What a leader does for operators, in one SQL database."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._tables = store._tables
        self._trail = Trail(store._sql)

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
        entry, revision = self._tables.entry.c, self._tables.revision
        with self._store._transaction() as conn:
            if not self._store._holds(conn, fence):
                return FENCED
            changed = self._store._raise_revision(conn)
            rows = conn.execute(self._store._sql.load_entries.where(entry.override.is_not(None)))
            kept = [kept_entry(row) for row in rows.mappings()]
            edits: list[Edit] = []
            begins: list[int] = []
            left_us: list[int | None] = []
            for before in kept:
                ended = overdue(before, now_us)
                after = before if ended is None else ended[0]
                left_us.append(first_end_us(after.overrides))
                if ended is None:
                    continue
                edit = revise(before, after, now_us, ended[1])
                assert edit is not None  # it has other overrides
                detail = edit_detail(before, edit, "its end has come", None)
                self._trail.note(conn, now_us, NOBODY, "lift", before.name, detail)
                edits.append(edit)
                begins.append(ended[1])
            self._store._writes.edits(conn, Edits(tuple(edits), ()), now_us, fence.epoch, batch_id, changed)
            for edit, begins_us in zip(edits, begins, strict=True):
                # the revision is in force since then: whoever reads the history counts its fire times from there
                since = revision.update().where(
                    revision.c.entry == edit.after.name, revision.c.rev == edit.after.rev
                )
                if edit.kind is EditKind.RETIMED:
                    conn.execute(since.values(decided_us=begins_us - 1))
            self._trail.set_end(conn, min((each for each in left_us if each is not None), default=None))
        return len(edits)
