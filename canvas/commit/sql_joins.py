"""SqlJoins: the joins that one exchange changes in a SQL database: opened, sealed, filled, closed; and which are complete then.

Rows are locked in the order of their keys, and parts are counted under these locks, so that two workers can neither both see a join one
part short nor wait for each other (decisions K3). Everything happens in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, func, select, update

from ..sql.dialect import dialect_of
from ..sql.one_by_one import BY_KEY
from ..sql.step import Missing
from ..sql.tables import Row, join_table, part_table
from .growth import index_of
from .records import added_in, with_added
from .transition import Closing


@dataclass(slots=True)
class _Join:
    """`size` is negative where no other part is waited for (see `completed`)."""

    size: int | None
    closed: bool
    generation: int
    record: str | None = None
    """Where it matters by what it was grown, which is part of its record; `size` counts that, too."""

    @property
    def added(self) -> list[str]:
        assert self.record is not None
        return added_in(self.record)


@dataclass(slots=True)
class SqlJoins:
    """`lock` must be called before anything is changed in a join, with all that will be."""

    connection: Connection
    _joins: dict[str, _Join] = field(default_factory=dict)
    _parts: dict[tuple[str, int], str] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)

    def open(self, rows: Sequence[Row]) -> None:
        """Joins that are not there yet; of one that is, its sender may take longer. `rows` are columns of bb_join."""
        if not rows:
            return
        rows = sorted(rows, key=lambda row: row["join_id"])
        dialect_of(self.connection).write(self.connection, [Missing(join_table, rows)])
        for row in rows:
            if row["deadline_us"] is not None:
                unsealed = (join_table.c.join_id == row["join_id"]) & join_table.c.size.is_(None)
                renewing = update(join_table).where(unsealed)
                self.connection.execute(renewing.values(deadline_us=row["deadline_us"]))

    def lock(self, ids: Collection[str], growing: Collection[str] = ()) -> None:
        """Nobody else changes these, or counts their parts, until the transaction is over. `growing`: those that may be grown."""
        if not ids:
            return
        query = select(join_table.c.join_id, join_table.c.size, join_table.c.closed, join_table.c.generation)
        query = (
            query.where(join_table.c.join_id.in_(sorted(ids)))
            .order_by(join_table.c.join_id)
            .with_for_update()
            .with_hint(join_table, BY_KEY, "mysql")
        )
        self._joins = {
            row.join_id: _Join(row.size, row.closed, row.generation) for row in self.connection.execute(query)
        }
        if growing:
            records = select(join_table.c.join_id, join_table.c.record).where(
                join_table.c.join_id.in_(sorted(growing))
            )
            # a locking read: another one would show, in MariaDB, what the transaction saw first
            for row in self.connection.execute(records.with_for_update()):
                self._joins[row.join_id].record = row.record

    def seal(self, id_: str, size: int) -> None:
        """All members have been sent, and so many there are. A join that is not there, or has its size, is passed over."""
        join = self._joins.get(id_)
        if join is None or join.size not in (None, completed(None)):
            return
        whole = size + len(join.added)
        self._set_size(id_, join, whole if join.size is None else completed(whole))
        self._touched.add(id_)

    def grow(self, id_: str, key: str) -> bool:
        """Wait for one more part, once for each key; False if it wants none any more."""
        join = self._joins.get(id_)
        if join is None or join.record is None:
            return False
        if key in join.added:
            return True
        if join.closed or (join.size or 0) < 0:
            return False
        join.record = with_added(join.record, key)
        join.size = None if join.size is None else join.size + 1
        growing = update(join_table).where(join_table.c.join_id == id_)
        self.connection.execute(growing.values(record=join.record, size=join.size))
        return True

    def add(self, id_: str, index: int, text: str, *, completes: bool = False, key: str = "") -> bool:
        """The part of one member, if it is the first of it; a join that is closed wants none, unless it did not wait for it.

        With `completes` it waits for no other; with `key` the part is the one that it was grown by. False if there is no such join.
        """
        join = self._joins.get(id_)
        place = index_of(join.added, key) if key and join is not None else index
        if join is not None and place is not None and (not join.closed or (join.size or 0) < 0):
            self._parts.setdefault((id_, place), text)
            self._touched.add(id_)
            if completes:
                self._set_size(id_, join, completed(join.size))
        return join is not None

    def _set_size(self, id_: str, join: _Join, size: int) -> None:
        join.size = size
        sizing = update(join_table).where(join_table.c.join_id == id_)
        self.connection.execute(sizing.values(size=size, deadline_us=None))

    def close(self, closing: Closing, expires_us: int | None) -> bool:
        """True for the one who goes on from here: it was open. What is kept of it is deleted then, unless its parts may be needed."""
        join = self._joins.get(closing.join_id)
        if join is None or join.closed or closing.generation not in (None, join.generation):
            return False
        join.closed = True
        updating = update(join_table).where(join_table.c.join_id == closing.join_id)
        self.connection.execute(updating.values(closed=True, expires_us=expires_us))
        if not closing.keeps_parts:
            self.connection.execute(delete(part_table).where(part_table.c.join_id == closing.join_id))
        return True

    def reopen(self, id_: str, indexes: Sequence[int], generation: int) -> None:
        """Wait again for these parts, and for those that never came; whoever read the join before can no longer close it."""
        join = self._joins.get(id_)
        if join is None or join.generation >= generation:
            return
        join.closed, join.generation, join.size = False, generation, _waited_for(join.size)
        opening = update(join_table).where(join_table.c.join_id == id_)
        self.connection.execute(
            opening.values(closed=False, generation=generation, size=join.size, expires_us=None)
        )
        failed = (part_table.c.join_id == id_) & part_table.c.part.in_(indexes)
        self.connection.execute(delete(part_table).where(failed))
        for index in indexes:
            self._parts.pop((id_, index), None)
        self._touched.add(id_)

    def generation_of(self, id_: str) -> int:
        """How often a join was opened again."""
        return self._joins[id_].generation

    def write_parts(self) -> list[str]:
        """Write the parts; returns the joins that were touched and are complete, whoever brought the last part."""
        if self._parts:
            rows = [
                {"join_id": id_, "part": index, "outcome": text}
                for (id_, index), text in sorted(self._parts.items())
            ]
            dialect_of(self.connection).write(self.connection, [Missing(part_table, rows)])
        if not self._touched:
            return []
        counting = select(part_table.c.join_id, func.count()).where(
            part_table.c.join_id.in_(sorted(self._touched))
        )
        counts = dict(tuple(row) for row in self.connection.execute(counting.group_by(part_table.c.join_id)))
        return [id_ for id_ in sorted(self._touched) if _is_complete(self._joins[id_], counts.get(id_, 0))]


UNSEALED = 2**31 - 1


def completed(size: int | None) -> int:
    """What stands for the size of a join that waits for no other part, and tells what its size was."""
    return -(UNSEALED if size is None else abs(size))


def _waited_for(size: int | None) -> int | None:
    """The size again of a join that waited for no other part."""
    return None if size is None or abs(size) == UNSEALED else abs(size)


def has_all(size: int | None, count: int) -> bool:
    """Whether a join has all the parts that it waits for."""
    return size is not None and count >= size


def _is_complete(join: _Join, count: int) -> bool:
    return not join.closed and has_all(join.size, count)
