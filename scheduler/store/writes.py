"""Writes: what a transaction writes into the ledger, for whoever is in one: the beat's decisions, an operator's edits.

Each method works on the connection it is given and commits nothing. The fence, or the lock that stands in its place, is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from ..edit import Edits
from ..firing import Firing, FiringKey, FiringState, regular_firing
from ..plan import Skip
from .base import Marks
from .rows import write_entries
from .statements import Statements


class Writes:
    """Rows into the tables of one store."""

    def __init__(self, statements: Statements, cluster: str) -> None:
        self._sql = statements
        self._cluster = cluster

    def insert(
        self, conn: Connection, firings: Sequence[Firing], decided_us: int, epoch: int
    ) -> tuple[Firing, ...]:
        """Insert the firings of one batch; those that the ledger had already are not among the answer."""
        if not firings:
            return ()
        batch_id, dues = firings[0].batch_id, [firing.due_us for firing in firings]
        values = {
            "batch_id": batch_id,
            "epoch": epoch,
            "state": FiringState.DECIDED.value,
            "size": len(firings),
        }
        values |= {"from_us": min(dues), "to_us": max(dues), "decided_us": decided_us}
        conn.execute(self._sql.tables.batch.insert().values(values))
        rows = [(f.due_us, f.entry, f.kind._value_, f.key, f.task_id, f.rev, batch_id) for f in firings]
        if conn.exec_driver_sql(self._sql.insert_firing, rows).rowcount == len(rows):
            return tuple(firings)
        ledger = self._sql.tables.firing.c
        mine = select(ledger.due_us, ledger.entry, ledger.kind, ledger.key).where(
            ledger.due_us.between(min(dues), max(dues)), ledger.batch_id == batch_id
        )
        fresh = {FiringKey(*row) for row in conn.execute(mine)}
        return tuple(firing for firing in firings if firing.ledger_key in fresh)

    def skips(
        self, conn: Connection, skips: Sequence[Skip], revs: Mapping[str, int], decided_us: int, epoch: int
    ) -> None:
        rows = [
            {
                "from_us": skip.from_us,
                "entry": skip.entry,
                "to_us": skip.to_us,
                "count": skip.count,
                "reason": skip.reason.value,
                "rev": revs[skip.entry],
                "epoch": epoch,
                "decided_us": decided_us,
            }
            for skip in skips
            if skip.entry in revs
        ]
        if rows:
            conn.execute(self._sql.insert_new(self._sql.tables.skip), rows)

    def marks(self, conn: Connection, marks: Marks) -> None:
        if marks.batches:
            rows = [(marks.sent_us, batch_id) for batch_id in marks.batches]
            conn.exec_driver_sql(self._sql.mark_batch, rows)
        if marks.firings:
            keys = [{f"b_{name}": value for name, value in key._asdict().items()} for key in marks.firings]
            conn.execute(self._sql.mark_firing, keys)

    def edits(
        self, conn: Connection, wish: Edits, now_us: int, epoch: int, batch_id: int, changed: int
    ) -> tuple[Firing, ...]:
        """Write what the old revisions owe, then the new ones, as of the revision `changed` of the store."""
        if not wish.edits:
            return ()
        owed = [
            regular_firing(
                self._cluster, d.entry.name, d.due_us, d.entry.what, rev=edit.old_rev, batch_id=batch_id
            )
            for edit in wish.edits
            for d in edit.dues
        ]
        fresh = self.insert(conn, owed, now_us, epoch)
        for edit in wish.edits:
            self.skips(conn, edit.skips, {edit.after.name: edit.old_rev}, now_us, epoch)
        write_entries(conn, self._sql, wish, changed=changed, now_us=now_us)
        return fresh
