"""Reads: what a transaction reads of entries and open firings, as the objects of the beat.

Each method works on the connection, or the rows, that it is given. An entry that cannot be parsed is reported and hurts nobody else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping

from ..entry import Entry
from ..firing import Firing, FiringKind, FiringState
from ..likeness import abridged
from .base import SPEC_FAULTS, Change, Fault, Known, Marks, Open
from .rows import entry_of_row, loaded_firing, unreadable_firing
from .statements import Statements
from .writes import Writes

log = logging.getLogger(__name__)
_KINDS = {kind.value for kind in FiringKind}


class Reads:
    """Rows out of the tables of one store."""

    def __init__(self, statements: Statements, writes: Writes) -> None:
        self._sql = statements
        self._writes = writes

    def known(self, rows: Iterable[Sequence[Any]], each: Callable[[Known], None]) -> tuple[Fault, ...]:
        """Give `each` the entries of rows of `Statements.load_known`, one after the other; returns those that cannot be read."""
        faults: list[Fault] = []
        for name, spec, owner, source, rev, cursor_us, removed, runs, latest_id, latest_us in rows:
            try:
                brief = abridged(name, spec, owner, source)
            except SPEC_FAULTS as fault:
                faults.append(Fault(name, f"its definition cannot be read: {type(fault).__name__}: {fault}"))
            else:
                each(Known(brief, rev, cursor_us, removed == 1, runs, latest_id, latest_us))
        return tuple(faults)

    def open(self, conn: Connection, epoch: int, limit: int, besides: Collection[int]) -> Open:
        """What is open, for `Store.load_open`; the fence is the caller's."""
        every = [
            (batch.batch_id, batch.size)
            for batch in conn.execute(self._sql.open_batches()).all()
            if batch.batch_id not in besides
        ]
        rows: list[RowMapping] = []
        wanted: list[int] = []
        taken = size = 0
        for batch_id, batch_size in every:
            taken += 1
            wanted.append(batch_id)
            size += batch_size
            if size >= limit:
                rows += self._take_over(conn, wanted, epoch)
                wanted, size = [], len(rows)  # most of a batch may be finished: see how many there really are
                if size >= limit:
                    break
        rows += self._take_over(conn, wanted, epoch)
        found = self._sorted_out(conn, rows)
        unfinished = {firing.batch_id for firing in (*found.firings, *found.held)}
        unfinished |= {row["batch_id"] for row in rows if row["kind"] not in _KINDS}
        done = {batch_id for batch_id, _ in every[:taken]} - unfinished
        self._writes.marks(conn, Marks(batches=tuple(sorted(done))))
        return Open(found.firings, found.held, found.doubtful, found.failed, more=taken < len(every))

    def _take_over(self, conn: Connection, batch_ids: list[int], epoch: int) -> list[RowMapping]:
        if not batch_ids:
            return []
        conn.execute(self._sql.take_over(), {"batch_ids": batch_ids, "my_epoch": epoch})
        return list(conn.execute(self._sql.load_open, {"batch_ids": batch_ids}).mappings().all())

    def _sorted_out(self, conn: Connection, rows: list[RowMapping]) -> Open:
        """Firings by state. Those that were sending are doubtful from now on, and those that cannot be read failed."""
        by_state: dict[FiringState, list[Firing]] = {FiringState(state): [] for state in (1, 4, 7)}
        failed: list[tuple[Firing, str]] = []
        changes: list[Change] = []
        entries: dict[tuple[str, int], Entry] = {}
        for row in rows:
            if row["kind"] not in _KINDS:
                text = "A firing of %s is of the unknown kind %r: a newer backbeat wrote it, or the row is damaged; it stays as it is"
                log.error(
                    text, row["entry"], row["kind"], extra={"action": "row_damaged", "entry": row["entry"]}
                )
                continue
            state = FiringState(row["state"] or FiringState.DECIDED)
            try:
                firing = self._firing(row, entries)
            except SPEC_FAULTS as fault:
                firing = unreadable_firing(row)
                reason = f"what it was to send cannot be read: {type(fault).__name__}: {fault}"
                if state is not FiringState.SENDING:
                    after = FiringState.SKIPPED if state is FiringState.HELD else FiringState.FAILED
                    changes.append(Change(firing, state, after, reason))
                    failed.append((firing, reason))
                    continue
            if state is FiringState.SENDING:
                changes.append(Change(firing, state, FiringState.DOUBTFUL))
            by_state[state].append(firing)
        if changes:
            self._writes.settle(conn, changes, now_us=0)
        decided, sending, held = (
            tuple(sorted(firings, key=lambda firing: firing.ledger_key)) for firings in by_state.values()
        )
        return Open(decided, held, sending, tuple(failed))

    def _firing(self, row: RowMapping, entries: dict[tuple[str, int], Entry]) -> Firing:
        name, rev = row["entry"], row["rev"]
        entry = entries.get((name, rev))
        if entry is None:
            entry = entries[name, rev] = entry_of_row(row)
        return loaded_firing(row, entry)
