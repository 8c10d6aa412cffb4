"""SqlStore: Store over SQLAlchemy: SQLite (embedded default) and PostgreSQL; the statements are portable to MariaDB/MySQL.

It is given its engine and its MetaData and chooses neither (see wiring.py). Each method is one short transaction; on SQLite
a writing one begins IMMEDIATE, so that it waits for the lock where nothing is lost yet. Driver errors become StoreDown here.

States of a batch: decided (1), sent (2). A firing without a state of its own has the state of its batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, MetaData, RowMapping, select
from sqlalchemy.exc import SQLAlchemyError

from ..edit import edits
from ..entry import Entry, Owner
from ..firing import Firing
from .base import (
    FENCED,
    Batch,
    Decided,
    Fence,
    Fenced,
    Known,
    Lease,
    Loaded,
    Marks,
    Move,
    Reconciled,
    StoreDown,
    StoreRefused,
)
from .rows import kept_entry, loaded_firing
from .schema import create_tables, schema_version, seed
from .statements import LEASE_NAME, Statements
from .tables import SCHEMA_VERSION, Tables
from .writes import Writes

TRIES = 5
"""Of a reconcile that meets somebody else's edits."""


class SqlStore:
    """The store of a cluster in one SQL database."""

    def __init__(self, engine: Engine, metadata: MetaData, cluster: str = "backbeat") -> None:
        self._engine = engine
        self._tables = Tables.on(metadata)
        self._sql = Statements(self._tables, engine.dialect)
        self._writes = Writes(self._sql, cluster)
        self._parsed: dict[str, tuple[int, Entry]] = {}

    def create(self) -> None:
        """Make the tables that are missing, and the first rows; refuse a store that a newer backbeat has made.

        Two beats may do this at once: the loser of the race meets a table that is there, and looks again.
        """
        with _errors_as_store_down():
            create_tables(self._engine, self._tables)
        with self._transaction(write=False) as conn:
            version = schema_version(conn, self._tables)
        if version is None:
            with self._transaction() as conn:
                seed(conn, self._sql)
            version = SCHEMA_VERSION
        if version > SCHEMA_VERSION:
            raise StoreRefused(
                f"the store has schema version {version}, this backbeat knows {SCHEMA_VERSION}: use a newer backbeat"
            )

    def read_lease(self) -> Lease:
        lease = self._tables.lease
        with self._transaction(write=False) as conn:
            row = conn.execute(lease.select().where(lease.c.name == LEASE_NAME)).one()
        return Lease(row.holder, row.epoch, row.renewal, row.ttl_ms)

    def swap_lease(self, seen: Lease, put: Lease) -> bool:
        values = {f"put_{name}": getattr(put, name) for name in ("holder", "epoch", "renewal", "ttl_ms")}
        values |= {f"seen_{name}": getattr(seen, name) for name in ("holder", "epoch", "renewal")}
        with self._transaction() as conn:
            return conn.execute(self._sql.swap_lease, values).rowcount == 1

    def load(self, known: int | None) -> Loaded | None:
        with self._transaction(write=False) as conn:
            # The number first: an entry that changes in between comes twice and is not missed.
            revision = self._revision(conn)
            if revision == known:
                return None
            entry = self._tables.entry.c
            which = entry.removed == 0 if known is None else entry.changed > known
            rows = conn.execute(self._sql.load_entries.where(which)).mappings().all()
        return Loaded(tuple(self._known(row) for row in rows), revision)

    def reconcile(
        self, wanted: Sequence[Entry], now_us: int, fence: Fence, *, batch_id: int, owner: Owner = Owner.FILE
    ) -> Reconciled | Fenced:
        # Reading and comparing thousands of entries takes seconds, and a fenced transaction must not idle: PostgreSQL
        # would end it (wiring.py). So both come first, and the store's revision says whether they still hold. Cursors
        # are not part of the revision, but only the holder of the fence moves them.
        for _ in range(TRIES):
            with self._transaction(write=False) as conn:
                revision = self._revision(conn)
                rows = conn.execute(self._sql.load_entries).mappings().all()
            wish = edits({row["name"]: kept_entry(row) for row in rows}, wanted, owner, now_us)
            with self._transaction() as conn:
                if not self._holds(conn, fence):
                    return FENCED
                if wish.edits and self._raise_revision(conn) != revision + 1:
                    conn.rollback()
                    continue
                firings = self._writes.edits(conn, wish, now_us, fence.epoch, batch_id, revision + 1)
            skips = tuple(skip for edit in wish.edits for skip in edit.skips)
            return Reconciled(tuple((e.after.name, e.kind) for e in wish.edits), wish.foreign, firings, skips)
        raise StoreDown(f"the entries were edited {TRIES} times while they were compared with the file")

    def decide(self, batch: Batch, fence: Fence) -> Decided | Fenced:
        decided = self._decide(batch, fence, one_by_one=False)
        if decided is None:  # rare: an entry was edited since we read it, and the transaction was rolled back
            decided = self._decide(batch, fence, one_by_one=True)
        assert decided is not None
        return decided

    def load_open(self, fence: Fence, limit: int) -> tuple[Firing, ...] | Fenced:
        with self._transaction() as conn:
            if not self._holds(conn, fence):
                return FENCED
            found: list[Firing] = []
            wanted: list[int] = []
            size = 0
            for batch in conn.execute(self._sql.open_batches()).all():
                wanted.append(batch.batch_id)
                size += batch.size
                if size >= limit:
                    found += self._load_batches(conn, wanted, fence.epoch)
                    wanted, size = [], len(found)
                    if size >= limit:
                        break
            found += self._load_batches(conn, wanted, fence.epoch)
        return tuple(sorted(found, key=lambda firing: firing.ledger_key))

    def mark(self, marks: Marks) -> None:
        with self._transaction() as conn:
            self._writes.marks(conn, marks)

    def store_id(self) -> str:
        meta = self._tables.meta.c
        with self._transaction(write=False) as conn:
            return str(conn.execute(select(meta.text).where(meta.name == "store_id")).scalar_one())

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self, *, write: bool = True) -> Iterator[Connection]:
        """Commit on leaving, roll back on any exception; what the driver raises becomes StoreDown."""
        with _errors_as_store_down(), self._engine.connect() as conn:
            try:
                if write and self._engine.dialect.name == "sqlite":
                    conn.exec_driver_sql("BEGIN IMMEDIATE")
                yield conn
                conn.commit()
            except BaseException:
                conn.invalidate()  # a connection in doubt may hold a lock, or the answer to somebody else's question
                raise

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
                stale = {move.entry for move in batch.moves if self._move(conn, [move]) == 0}
            elif self._move(conn, batch.moves) != len(batch.moves):
                conn.rollback()
                return None
            self._writes.marks(conn, batch.marks)
            firings = [firing for firing in batch.firings if firing.entry not in stale]
            fresh = self._writes.insert(conn, firings, batch.decided_us, fence.epoch)
            revs = {move.entry: move.rev for move in batch.moves if move.entry not in stale}
            self._writes.skips(conn, batch.skips, revs, batch.decided_us, fence.epoch)
            known = conn.execute(self._sql.known(sorted(stale))).mappings().all() if stale else ()
        return Decided(fresh, tuple(self._known(row) for row in known))

    def _move(self, conn: Connection, moves: Sequence[Move]) -> int:
        """Compare-and-set of cursors; the number of those that fitted."""
        rows = [(move.to_us, move.next_us, move.entry, move.rev, move.from_us) for move in moves]
        return conn.exec_driver_sql(self._sql.move_cursor, rows).rowcount if rows else 0

    def _load_batches(self, conn: Connection, batch_ids: list[int], epoch: int) -> list[Firing]:
        """The open firings of these batches, which are taken over; a batch that has none left is closed."""
        if not batch_ids:
            return []
        conn.execute(self._sql.take_over(), {"batch_ids": batch_ids, "my_epoch": epoch})
        rows = conn.execute(self._sql.load_open, {"batch_ids": batch_ids}).mappings().all()
        empty = set(batch_ids) - {row["batch_id"] for row in rows}
        self._writes.marks(conn, Marks(batches=tuple(sorted(empty))))
        return [loaded_firing(row) for row in rows]

    def _known(self, row: RowMapping) -> Known:
        """An entry from its row; one whose revision is known is not parsed again."""
        name, rev = row["name"], row["rev"]
        parsed = self._parsed.get(name)
        if parsed is None or parsed[0] != rev:
            parsed = self._parsed[name] = (rev, kept_entry(row).entry())
        return Known(parsed[1], rev, row["cursor_us"], bool(row["removed"]))


@contextmanager
def _errors_as_store_down() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as cause:
        reason = str(getattr(cause, "orig", None) or cause).strip().splitlines() or [type(cause).__name__]
        raise StoreDown(f"the store does not answer: {reason[0]}") from cause
