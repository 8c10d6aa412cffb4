"""Writes: what a transaction writes into the ledger, for whoever is in one: the beat's decisions, an operator's edits.

Each method works on the connection it is given and commits nothing. The fence, or the lock that stands in its place, is the caller's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, select

from ..edit import Edits
from ..firing import Firing, FiringKey, FiringState, firing_of
from ..notice import Notice, ended_notices, skip_notices
from ..skip import Skip
from .base import Change, Marks, Move
from .moves_mysql import move_all
from .rows import waiting_row, write_entries
from .statements import UNFINISHED, Statements


class Writes:
    """Rows into the tables of one store."""

    def __init__(self, statements: Statements, cluster: str) -> None:
        self._sql = statements
        self._cluster = cluster

    def insert(
        self,
        conn: Connection,
        firings: Sequence[Firing],
        decided_us: int,
        epoch: int,
        held: Sequence[Firing] = (),
    ) -> tuple[Firing, ...]:
        """Insert the firings of one batch, and those that are held; those that the ledger had already are not among the answer."""
        everything = (*firings, *held)
        if not everything:
            return ()
        batch_id, dues = everything[0].batch_id, [firing.due_us for firing in everything]
        values = {
            "batch_id": batch_id,
            "epoch": epoch,
            "state": FiringState.DECIDED.value,
            "size": len(everything),
        }
        values |= {"from_us": min(dues), "to_us": max(dues), "decided_us": decided_us}
        conn.execute(self._sql.insert_batch, values)
        if held or any(firing.cancels for firing in firings):
            own = [(f, None) for f in firings] + [(f, FiringState.HELD.value) for f in held]
            special = [(*_ledger_row(f), state, f.cancels or None) for f, state in own]
            inserted = conn.exec_driver_sql(self._sql.insert_special, special).rowcount
        else:
            rows = [(f.due_us, f.entry, f.kind._value_, f.key, f.task_id, f.rev, batch_id) for f in firings]
            inserted = conn.exec_driver_sql(self._sql.insert_firing, rows).rowcount
        if inserted == len(everything):
            return everything
        ledger = self._sql.tables.firing.c
        mine = select(ledger.due_us, ledger.entry, ledger.kind, ledger.key).where(
            ledger.due_us.between(min(dues), max(dues)), ledger.batch_id == batch_id
        )
        fresh = {FiringKey(*row) for row in conn.execute(mine)}
        return tuple(firing for firing in everything if firing.ledger_key in fresh)

    def moves(self, conn: Connection, moves: Sequence[Move], decided_us: int) -> int:
        """Compare-and-set of cursors; the number of those that fitted."""
        if conn.dialect.name == "mysql":
            return move_all(conn, moves, decided_us)
        plain = [(m.to_us, m.next_us, m.runs, m.entry, m.rev, m.from_us) for m in moves if not m.latest_id]
        fitted = conn.exec_driver_sql(self._sql.move_cursor, plain).rowcount if plain else 0
        if len(plain) < len(moves):
            runs = [
                (m.to_us, m.next_us, m.runs, m.latest_id, decided_us, m.entry, m.rev, m.from_us)
                for m in moves
                if m.latest_id
            ]
            fitted += conn.exec_driver_sql(self._sql.move_run, runs).rowcount
        return fitted

    def runs(self, conn: Connection, more: Mapping[str, int]) -> None:
        """Correct the number of runs of entries by so many."""
        rows = [{"b_entry": name, "b_runs": runs} for name, runs in sorted(more.items()) if runs]
        if rows:
            conn.execute(self._sql.count_runs, rows)

    def settle(self, conn: Connection, changes: Sequence[Change], now_us: int) -> int:
        """Change the states of firings, and what the entries say of their newest runs; the number of those that fitted."""
        fitted = 0
        for before in UNFINISHED:
            rows = [_settled_row(change, now_us) for change in changes if change.before is before]
            if rows:
                fitted += conn.execute(self._sql.settle[before], rows).rowcount
        released = [
            {"b_entry": c.firing.entry, "b_task_id": c.firing.task_id, "b_now_us": now_us}
            for c in changes
            if c.after is FiringState.DECIDED
        ]
        ended = [
            {"b_entry": c.firing.entry, "b_task_id": c.firing.task_id}
            for c in changes
            if c.after in {FiringState.SKIPPED, FiringState.FAILED}
        ]
        if fitted == len(changes) and released:
            conn.execute(self._sql.put_latest, released)
        if fitted == len(changes) and ended:
            conn.execute(self._sql.drop_latest, ended)
        if fitted == len(changes):
            told = [
                ended_notices(c.firing, c.after, c.reason, now_us) for c in changes if c.firing.terms.tells
            ]
            self.tell(conn, [notice for each in told for notice in each])
        return fitted

    def tell(self, conn: Connection, notices: Iterable[Notice]) -> None:
        """Put down what is to be delivered; what is there already stays as it is."""
        rows = [waiting_row(notice) for notice in notices]
        if rows:
            conn.execute(self._sql.insert_new(self._sql.tables.webhook), rows)

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
                "detail": skip.detail or None,
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
        """Single firings first: a whole batch closes with it."""
        if marks.firings:
            keys = [{**_this(key), "b_sent_us": marks.sent_us} for key in marks.firings]
            conn.execute(self._sql.mark_firing, keys)
        if marks.batches:
            rows = [(marks.sent_us, batch_id) for batch_id in marks.batches]
            conn.exec_driver_sql(self._sql.mark_batch, rows)
        self.tell(conn, marks.notices)

    def emit(self, conn: Connection, firings: Sequence[Firing], now_us: int) -> int:
        """Mark these as sent now, if they are still to be sent; the number of those that were."""
        return self.settle(
            conn,
            [
                Change(
                    firing,
                    FiringState.SENDING if firing.terms.once else FiringState.DECIDED,
                    FiringState.SENT,
                )
                for firing in firings
            ],
            now_us,
        )

    def edits(
        self, conn: Connection, wish: Edits, now_us: int, epoch: int, batch_id: int, changed: int
    ) -> tuple[tuple[Firing, ...], tuple[Firing, ...]]:
        """Write what the old revisions owe, then the new ones, as of the revision `changed` of the store; (to be sent, held)."""
        if not wish.edits:
            return (), ()
        owed: dict[bool, list[Firing]] = {False: [], True: []}
        for edit in wish.edits:
            owed[edit.holds] += [
                firing_of(self._cluster, due.entry, due.due_us, rev=edit.old_rev, batch_id=batch_id)
                for due in edit.dues
            ]
        written = self.insert(conn, owed[False], now_us, epoch, owed[True])
        holding = {firing.ledger_key for firing in owed[True]}
        fresh = tuple(firing for firing in written if firing.ledger_key not in holding)
        held = tuple(firing for firing in written if firing.ledger_key in holding)
        for edit in wish.edits:
            self.skips(conn, edit.skips, {edit.after.name: edit.old_rev}, now_us, epoch)
            self.tell(conn, skip_notices(self._cluster, edit.skips, edit.tells, now_us))
        write_entries(conn, self._sql, wish, changed=changed, now_us=now_us)
        self.runs(conn, Counter(firing.entry for firing in fresh))
        return fresh, held


def _ledger_row(firing: Firing) -> tuple[object, ...]:
    return (*firing.ledger_key, firing.task_id, firing.rev, firing.batch_id)


def _this(key: FiringKey) -> dict[str, object]:
    return {f"b_{name}": value for name, value in key._asdict().items()}


def _settled_row(change: Change, now_us: int) -> dict[str, object]:
    """Decided is the state of an open batch: a firing that is that has none of its own."""
    after = None if change.after is FiringState.DECIDED else change.after.value
    sent_us = now_us if change.after is FiringState.SENT else None
    values = {"b_after": after, "b_error": change.reason or None, "b_cancels": change.firing.cancels or None}
    return {**_this(change.firing.ledger_key), **values, "b_sent_us": sent_us}
