"""Prune: removes from the ledger what is finished and old, in slices that each lock the store for a moment only.

Never removed: a batch that is open, with its firings; a firing or a skip that is not older than the cursor of its entry, since
its row is what keeps that instant from being decided again; entries, revisions, the audit trail. What is gone takes its
protection along: a backfill of a time that was pruned sends that time again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, RowMapping, and_, delete, exists, func, or_, select
from sqlalchemy.sql.expression import ColumnElement

from ..firing import FiringState
from .tables import Tables
from .transaction import transaction

SLICE = 5_000
"""Rows in one transaction."""
PAUSE_SECONDS = 0.02
"""Between two: a beat that waits for SQLite's lock asks for it every few milliseconds."""
_BATCHES_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows were removed, or would be."""

    firings: int = 0
    batches: int = 0
    skips: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        return Pruned(
            firings=self.firings + other.firings,
            batches=self.batches + other.batches,
            skips=self.skips + other.skips,
        )


class Pruning:
    """One run over one store: what lies before `before_us`."""

    def __init__(self, engine: Engine, tables: Tables, before_us: int) -> None:
        self._engine = engine
        self._tables = tables
        self._before_us = before_us

    def count(self) -> Pruned:
        """What `run` would remove now. Reads the old part of the ledger once."""
        firing, batch = self._tables.firing, self._tables.batch
        inside = and_(
            firing.c.due_us.between(batch.c.from_us, batch.c.to_us), firing.c.batch_id == batch.c.batch_id
        )
        old = select(func.count()).select_from(batch.join(firing, inside))
        with transaction(self._engine, write=False) as conn:
            firings = conn.execute(old.where(self._is_finished(), self._is_behind_cursor())).scalar_one()
            kept = select(firing.c.batch_id).select_from(batch.join(firing, inside))
            kept = kept.where(self._is_finished(), ~self._is_behind_cursor())
            batches = conn.execute(
                select(func.count())
                .select_from(batch)
                .where(self._is_finished(), batch.c.batch_id.not_in(kept))
            ).scalar_one()
            skips = conn.execute(
                select(func.count()).select_from(self._tables.skip).where(*self._old_skips())
            ).scalar_one()
        return Pruned(firings=firings, batches=batches, skips=skips)

    def run(self) -> Iterator[Pruned]:
        """Remove it; yields after each slice what that one removed. Raises StoreDown; what is removed until then stays so."""
        last: tuple[int, int] | None = None
        while batches := self._next_batches(last):
            with transaction(self._engine) as conn:
                removed = self._remove(conn, batches)
            yield removed
            last = batches[-1]["from_us"], batches[-1]["batch_id"]
            time.sleep(PAUSE_SECONDS)
        while True:
            with transaction(self._engine) as conn:
                count = self._remove_skips(conn)
            yield Pruned(skips=count)
            if count < SLICE:
                return
            time.sleep(PAUSE_SECONDS)

    def _next_batches(self, last: tuple[int, int] | None) -> list[RowMapping]:
        """The next finished batches after `last`, as many as fit into a slice, and one at least."""
        batch = self._tables.batch.c
        which = [self._is_finished()]
        if last is not None:
            from_us, batch_id = last
            which.append(
                or_(batch.from_us > from_us, and_(batch.from_us == from_us, batch.batch_id > batch_id))
            )
        statement = select(batch.batch_id, batch.from_us, batch.to_us, batch.size).where(*which)
        with transaction(self._engine, write=False) as conn:
            ordered = statement.order_by(batch.from_us, batch.batch_id).limit(_BATCHES_AT_ONCE)
            rows = conn.execute(ordered).mappings().all()
        taken: list[RowMapping] = []
        size = 0
        for row in rows:
            if taken and size + row["size"] > SLICE:
                break
            taken.append(row)
            size += row["size"]
        return taken

    def _remove(self, conn: Connection, batches: Sequence[RowMapping]) -> Pruned:
        firing, batch = self._tables.firing, self._tables.batch
        numbers = [row["batch_id"] for row in batches]
        start, end = min(row["from_us"] for row in batches), max(row["to_us"] for row in batches)
        mine = [firing.c.due_us.between(start, end), firing.c.batch_id.in_(numbers)]
        firings = conn.execute(delete(firing).where(*mine, self._is_behind_cursor())).rowcount
        left = set(conn.execute(select(firing.c.batch_id).where(*mine).distinct()).scalars())
        empty = [number for number in numbers if number not in left]
        gone = conn.execute(delete(batch).where(batch.c.batch_id.in_(empty), self._is_finished())).rowcount
        return Pruned(firings=firings, batches=gone)

    def _remove_skips(self, conn: Connection) -> int:
        skip = self._tables.skip
        keys = select(skip.c.from_us, skip.c.entry).where(*self._old_skips()).limit(SLICE)
        rows = conn.execute(keys).all()
        for row in rows:
            conn.execute(delete(skip).where(skip.c.from_us == row.from_us, skip.c.entry == row.entry))
        return len(rows)

    def _is_finished(self) -> ColumnElement[bool]:
        batch = self._tables.batch.c
        return and_(batch.state != FiringState.DECIDED.value, batch.to_us < self._before_us)

    def _is_behind_cursor(self) -> ColumnElement[bool]:
        """Of a firing: its entry's cursor has passed it, or there is no such entry any more."""
        entry, firing = self._tables.entry.c, self._tables.firing.c
        return ~exists().where(entry.name == firing.entry, entry.cursor_us < firing.due_us)

    def _old_skips(self) -> list[ColumnElement[bool]]:
        entry, skip = self._tables.entry.c, self._tables.skip.c
        protected = exists().where(entry.name == skip.entry, entry.cursor_us < skip.to_us)
        return [skip.from_us < self._before_us, skip.to_us < self._before_us, ~protected]
