"""SqlStore: Store over SQLAlchemy: SQLite (embedded default) and PostgreSQL; the statements are portable to MariaDB/MySQL.

It is given its engine and its MetaData and chooses neither (see wiring.py). Each method is one short transaction; on SQLite
a writing one begins IMMEDIATE, so that it waits for the lock where nothing is lost yet. Driver errors become StoreDown here.

States of a batch: decided (1) while it is open, sent (2). A firing without a state of its own has the state of its batch.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from sqlalchemy import Connection, Engine, MetaData, select

from ..audit_line import reload_lines
from ..edit import edits, edits_anew, narrowed
from ..entry import Entry, Owner
from ..firing import Firing
from .base import (
    FENCED,
    Batch,
    Change,
    Decided,
    Fence,
    Fenced,
    Known,
    Lease,
    Loaded,
    Marks,
    Open,
    Reconciled,
)
from .reads import Reads
from .rows import kept_entry
from .schema import prepare_store
from .statements import LEASE_NAME, Statements
from .tables import Tables
from .timekeeping import database_us, latest_cursor_us, rewind
from .trail import Trail
from .transaction import errors_as_store_down, transaction
from .writes import Writes

Found = TypeVar("Found")

FEW = 1_000
"""Entries that are asked for by their names."""
_STREAMED = {"yield_per": 1_000}
"""A million rows never lie in memory together."""


class SqlStore:
    """The store of a cluster in one SQL database."""

    def __init__(self, engine: Engine, metadata: MetaData, cluster: str = "backbeat") -> None:
        self.cluster = cluster
        self._engine = engine
        self._tables = Tables.on(metadata)
        self._sql = Statements(self._tables, engine.dialect)
        self._writes = Writes(self._sql, cluster)
        self._trail = Trail(self._sql)
        self._reads = Reads(self._sql, self._writes)

    def create(self) -> None:
        """Make the store, or bring its tables up to date, or refuse it: see schema.py. Any number of beats may do so at once."""
        with errors_as_store_down():
            prepare_store(self._engine, self._sql)

    def read_lease(self) -> Lease:
        lease = self._tables.lease
        with self._transaction(write=False) as conn:
            row = conn.execute(lease.select().where(lease.c.name == LEASE_NAME)).one()
        return Lease(row.holder, row.epoch, row.renewal, row.ttl_ms, row.info)

    def swap_lease(self, seen: Lease, put: Lease) -> bool:
        with self._transaction() as conn:
            return conn.execute(self._sql.swap_lease, self._sql.swap_values(seen, put)).rowcount == 1

    def load(self, known: int | None, each: Callable[[Known], None] | None = None) -> Loaded | None:
        with self._transaction(write=False) as conn:
            # The number first: an entry that changes in between comes twice and is not missed.
            revision = self._revision(conn)
            if revision == known:
                return None
            entry = self._tables.entry.c
            which = entry.removed == 0 if known is None else entry.changed > known
            rows = conn.execute(self._sql.load_known.where(which), execution_options=_STREAMED)
            entries: list[Known] = []
            faults = self._reads.known(rows, each or entries.append)
        return Loaded(tuple(entries), revision, faults)

    def names(self, owner: Owner) -> Collection[str]:
        entry = self._tables.entry.c
        with self._transaction(write=False) as conn:
            mine = select(entry.name).where(entry.owner == owner.value, entry.removed == 0)
            return conn.execute(mine).scalars().all()

    def reconcile(
        self,
        wanted: Sequence[Entry],
        now_us: int,
        fence: Fence,
        *,
        batch_id: int,
        owner: Owner = Owner.FILE,
        among: Collection[str] | None = None,
    ) -> Reconciled | Fenced:
        # Reading and comparing thousands of entries takes seconds, and a fenced transaction must not idle: PostgreSQL
        # would end it (engine.py). So both come first; what operators edited meanwhile is then read under the lock of the
        # revision, which lets no further edit in, and judged again. Cursors move without a revision, but only by this leader.
        with self._transaction(write=False) as conn:
            revision = self._revision(conn)
            few = among is not None and len(among) <= FEW
            which = self._sql.known(sorted(among)) if among is not None and few else self._sql.load_entries
            rows = conn.execute(which).mappings().all()
        known, wanted = narrowed({row["name"]: kept_entry(row) for row in rows}, wanted, among)
        wish = edits(known, wanted, owner, now_us)
        with self._transaction() as conn:
            if not self._holds(conn, fence):
                return FENCED
            changed = self._raise_revision(conn) if wish.edits else revision
            if changed > revision + 1:
                since = self._sql.load_entries.where(self._tables.entry.c.changed > revision)
                edited, _ = narrowed(
                    {row["name"]: kept_entry(row) for row in conn.execute(since).mappings()}, (), among
                )
                known = {**known, **edited}
                wish = edits_anew(wish, edited, wanted, owner, now_us)
            firings, held = self._writes.edits(conn, wish, now_us, fence.epoch, batch_id, changed)
            self._trail.notes(conn, reload_lines(wish, known, owner, now_us))
        skips = tuple(skip for edit in wish.edits for skip in edit.skips)
        return Reconciled(
            tuple((e.after.name, e.kind) for e in wish.edits), wish.foreign, firings, skips, held
        )

    def decide(self, batch: Batch, fence: Fence) -> Decided | Fenced:
        decided = self._decide(batch, fence, one_by_one=False)
        if decided is None:  # rare: an entry was edited since we read it, and the transaction was rolled back
            decided = self._decide(batch, fence, one_by_one=True)
        assert decided is not None
        return decided

    def settle(self, changes: Sequence[Change], now_us: int, fence: Fence) -> tuple[Change, ...] | Fenced:
        with self._transaction() as conn:
            if not self._holds(conn, fence):
                return FENCED
            if self._writes.settle(conn, changes, now_us) == len(changes):
                return tuple(changes)
            conn.rollback()
        with self._transaction() as conn:  # rare: somebody else was there before us; find out where
            if not self._holds(conn, fence):
                return FENCED
            return tuple(change for change in changes if self._writes.settle(conn, [change], now_us))

    def load_open(self, fence: Fence, limit: int, besides: Collection[int] = ()) -> Open | Fenced:
        with self._transaction() as conn:
            if not self._holds(conn, fence):
                return FENCED
            return self._reads.open(conn, fence.epoch, limit, besides)

    def mark(self, marks: Marks) -> None:
        with self._transaction() as conn:
            self._writes.marks(conn, marks)

    def emit(self, firings: Sequence[Firing], write: Callable[[Connection, Sequence[Firing]], None]) -> None:
        """Mark these as sent and let `write` send them, in one transaction (I-ATOMIC); those that are sent already are left alone.

        Not fenced: whoever marks a firing is the one who sends it, so a leader that was paused sends none a second time.
        """
        now_us = time.time_ns() // 1000
        with self._transaction() as conn:
            if self._writes.emit(conn, firings, now_us) == len(firings):
                write(conn, firings)
                return
            conn.rollback()
        # rare: an answer was lost, or another leader was there; find out which are left
        with self._transaction() as conn:
            left = [firing for firing in firings if self._writes.emit(conn, [firing], now_us)]
            write(conn, left)

    def look(self, read: Callable[[Connection], Found]) -> Found:
        """What `read` finds on a connection of this store, for who has tables beside it."""
        with self._transaction(write=False) as conn:
            return read(conn)

    def witness_us(self) -> int | None:
        with self._transaction(write=False) as conn:
            return database_us(conn)

    def latest_cursor_us(self) -> int:
        with self._transaction(write=False) as conn:
            return latest_cursor_us(conn, self._tables)

    def rewind(self, now_us: int, fence: Fence) -> int | Fenced:
        with self._transaction() as conn:
            return rewind(conn, self._tables, now_us) if self._holds(conn, fence) else FENCED

    def store_id(self) -> str:
        meta = self._tables.meta.c
        with self._transaction(write=False) as conn:
            return str(conn.execute(select(meta.text).where(meta.name == "store_id")).scalar_one())

    def close(self) -> None:
        self._engine.dispose()

    def _transaction(self, *, write: bool = True) -> AbstractContextManager[Connection]:
        return transaction(self._engine, write=write)

    def _revision(self, conn: Connection) -> int:
        meta = self._tables.meta
        number: int = conn.execute(meta.select().where(meta.c.name == "revision")).one().number
        return number

    def _raise_revision(self, conn: Connection) -> int:
        """The next revision; the row stays locked, so that of two editors one comes after the other."""
        meta = self._tables.meta
        conn.execute(meta.update().where(meta.c.name == "revision").values(number=meta.c.number + 1))
        return self._revision(conn)

    def _holds(self, conn: Connection, fence: Fence) -> bool:
        shown = {"holder": fence.holder, "epoch": fence.epoch}
        return bool(fence.holder) and conn.execute(self._sql.fence, shown).first() is not None

    def _decide(self, batch: Batch, fence: Fence, *, one_by_one: bool) -> Decided | Fenced | None:
        """One try: None says that some cursor had moved and nothing was done; one by one finds out which."""
        with self._transaction() as conn:
            if not self._holds(conn, fence):
                return FENCED
            stale: set[str] = set()
            if one_by_one:
                moves = self._writes.moves
                stale = {move.entry for move in batch.moves if moves(conn, [move], batch.decided_us) == 0}
            elif self._writes.moves(conn, batch.moves, batch.decided_us) != len(batch.moves):
                conn.rollback()
                return None
            self._writes.marks(conn, batch.marks)
            fresh, held = self._insert(conn, batch, stale, fence.epoch)
            revs = {move.entry: move.rev for move in batch.moves if move.entry not in stale}
            self._writes.skips(conn, batch.skips, revs, batch.decided_us, fence.epoch)
            self._writes.tell(conn, [notice for notice in batch.notices if notice.entry not in stale])
            names = self._tables.entry.c.name.in_(sorted(stale))
            rows = conn.execute(self._sql.load_known.where(names)).all() if stale else ()
        known: list[Known] = []
        faults = self._reads.known(rows, known.append)
        return Decided(fresh, tuple(known), held, faults)

    def _insert(
        self, conn: Connection, batch: Batch, stale: set[str], epoch: int
    ) -> tuple[tuple[Firing, ...], tuple[Firing, ...]]:
        """The firings of a batch that are fresh, decided and held; runs were counted as if all of them were."""
        firings = (
            [firing for firing in batch.firings if firing.entry not in stale] if stale else batch.firings
        )
        held = [firing for firing in batch.held if firing.entry not in stale]
        fresh = self._writes.insert(conn, firings, batch.decided_us, epoch, held)
        if len(fresh) == len(firings) + len(held) and not held:
            return fresh, ()
        is_held = {firing.ledger_key for firing in held}
        known = {firing.ledger_key for firing in fresh}
        self._writes.runs(
            conn, {k: -n for k, n in Counter(f.entry for f in firings if f.ledger_key not in known).items()}
        )
        return (
            tuple(firing for firing in fresh if firing.ledger_key not in is_held),
            tuple(firing for firing in fresh if firing.ledger_key in is_held),
        )
