"""SqlRegistry: Registry over the tables of a SqlStore: orders about entries, runs and backfills that somebody asks for.

The lock order is that of the leader's reconcile: first the row of the store's revision, which lets one editor in after the
other, then the entry's row, so that its cursor is the one that the leader left. No fence: whoever may reach the store may
edit. A leader that decides meanwhile meets another revision at its compare-and-set, and takes the entry up again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, func, select

from ..audit_line import edit_detail
from ..backfill import (
    REQUEST_ID,
    Backfill,
    RequestState,
    check_range,
    check_same,
    manual_firing,
    with_payload,
)
from ..edit import Edit, Edits, KeptEntry, spec_text
from ..entry import Entry
from ..firing import Firing
from ..order import NoSuchEntry, Order, OrderRefused, action_of, check_revision, obey
from ..override import first_end_us
from .base import StoreDown
from .cluster import cluster_in
from .draw import draw_batch_id
from .lifting import Lifting
from .registry import Edited, ManualRun, Standing
from .rows import kept_entry
from .sql import SqlStore
from .statements import LEASE_NAME
from .trail import Trail

T = TypeVar("T")
TRIES = 5
"""Of a transaction that the database gave up because of another one."""


class SqlRegistry:
    """What operators do, in one SQL database."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._tables = store._tables
        self._trail = Trail(store._sql)
        self._lifting = Lifting(store, self._trail)

    def edit(self, name: str, order: Order, *, actor: str, expected_rev: int | None = None) -> Edited:
        def once(conn: Connection) -> Edited:
            changed = self._store._raise_revision(conn)
            now_us = self._trail.now_us(conn)
            seen, next_us = self._locked(conn, name)
            check_revision(seen, expected_rev, name)
            before, next_us = self._up_to_date(conn, seen, next_us, now_us, changed)
            edit = obey(name, order, before, actor=actor, now_us=now_us)
            if edit is None:
                assert before is not None  # what is not there is refused or added
                if before is seen:
                    conn.rollback()
                return Edited(
                    kind=None, standing=Standing(kept=before, entry=before.entry(), next_us=next_us)
                )
            self._write(conn, edit, now_us, changed)
            detail = edit_detail(before, edit, getattr(order, "reason", ""), getattr(order, "until_us", None))
            self._trail.note(conn, now_us, actor, action_of(order), name, detail)
            standing = Standing(kept=edit.after, entry=edit.after.entry(), next_us=edit.next_us)
            return Edited(kind=edit.kind, standing=standing)

        return self._transaction(once)

    def run_now(
        self, name: str, request_id: str, *, actor: str, payload: Mapping[str, Any] | None = None
    ) -> ManualRun:
        if not 0 < len(request_id) <= REQUEST_ID:
            raise OrderRefused(f"a request id has 1 to {REQUEST_ID} characters, not {len(request_id)}")

        def once(conn: Connection) -> ManualRun:
            self._store._raise_revision(conn)
            now_us = self._trail.now_us(conn)
            asked = self._request(conn, request_id)
            if asked is not None and (asked.entry != name or asked.state is not RequestState.RUN_NOW):
                raise OrderRefused(f"request {request_id} is one of entry {asked.entry!r}: choose another id")
            kept = self._present(conn, name)
            due_us = now_us if asked is None else asked.from_us
            entry, rev = kept.entry(), kept.rev
            if payload is not None and asked is None:
                entry = with_payload(entry, payload)
                rev = self._side_revision(conn, entry, now_us)
            batch_id = draw_batch_id()
            cluster = cluster_in(conn, self._store._sql) or self._store.cluster
            firing = manual_firing(cluster, entry, request_id, due_us, rev=rev, batch_id=batch_id)
            run = ManualRun(
                request_id=request_id, task_id=firing.task_id, due_us=due_us, is_new=asked is None
            )
            if asked is not None:
                conn.rollback()
                return run
            self._store._writes.insert(conn, [firing], now_us, self._epoch(conn))
            self._put_request(conn, _request_of(firing, actor, now_us))
            detail = {"request_id": request_id, "task_id": firing.task_id, "due_us": due_us, "rev": rev}
            self._trail.note(conn, now_us, actor, "run-now", name, detail)
            return run

        return self._transaction(once)

    def backfill(self, wish: Backfill) -> Backfill:
        def once(conn: Connection) -> Backfill:
            self._store._raise_revision(conn)
            now_us = self._trail.now_us(conn)
            asked = self._request(conn, wish.id)
            if asked is not None:
                conn.rollback()
                check_same(asked, wish)
                return asked
            self._present(conn, wish.entry)
            check_range(wish, now_us)
            put = replace(wish, at_us=now_us, cursor_us=wish.from_us - 1, decided=0)
            self._put_request(conn, put)
            detail = {"id": put.id, "from_us": put.from_us, "to_us": put.to_us, "rate": put.rate}
            self._trail.note(conn, now_us, put.actor, "backfill", put.entry, {**detail, "reason": put.reason})
            return put

        return self._transaction(once)

    def cancel_backfill(self, id: str, *, actor: str) -> Backfill:
        def once(conn: Connection) -> Backfill:
            self._store._raise_revision(conn)
            asked = self._request(conn, id, lock=True)
            if asked is None or asked.state is RequestState.RUN_NOW:
                raise NoSuchEntry(
                    f"there is no backfill {id!r}: `backbeat schedules backfill --list` shows them"
                )
            if asked.state is not RequestState.RUNNING:
                conn.rollback()
                return asked
            table = self._tables.backfill
            state = RequestState.CANCELLED
            conn.execute(table.update().where(table.c.id == id).values(state=state.value))
            detail = {"id": id, "decided": asked.decided}
            self._trail.note(conn, self._trail.now_us(conn), actor, "cancel-backfill", asked.entry, detail)
            return replace(asked, state=state)

        return self._transaction(once)

    def now_us(self) -> int:
        with self._store._transaction(write=False) as conn:
            return self._trail.now_us(conn)

    def _transaction(self, once: Callable[[Connection], T]) -> T:
        """One transaction, again when the database gave it up for another one: it is known not to have happened."""
        for _ in range(TRIES - 1):
            try:
                with self._store._transaction() as conn:
                    return once(conn)
            except StoreDown as down:
                if not _gave_up(down):
                    raise
        with self._store._transaction() as conn:
            return once(conn)

    def _locked(self, conn: Connection, name: str) -> tuple[KeptEntry | None, int | None]:
        """The entry and its next fire time; its row is locked, so that its cursor stays."""
        entry = self._tables.entry.c
        cursor = select(entry.cursor_us, entry.next_us).where(entry.name == name).with_for_update()
        locked = conn.execute(cursor).first()
        row = conn.execute(self._store._sql.known([name])).mappings().first()
        if locked is None or row is None:
            return None, None
        return replace(kept_entry(row), cursor_us=locked.cursor_us), locked.next_us

    def _up_to_date(
        self, conn: Connection, kept: KeptEntry | None, next_us: int | None, now_us: int, changed: int
    ) -> tuple[KeptEntry | None, int | None]:
        """The entry without what ended while no leader looked, and its next fire time."""
        while kept is not None:
            lifted = self._lifting.lift(
                conn, [kept], now_us, epoch=self._epoch(conn), batch_id=draw_batch_id(), changed=changed
            )
            if not lifted:
                break
            kept, next_us = lifted[0].after, lifted[0].next_us
        return kept, next_us

    def _present(self, conn: Connection, name: str) -> KeptEntry:
        kept, _ = self._locked(conn, name)
        if kept is None or kept.removed:
            raise NoSuchEntry(
                f"there is no entry {name!r}: `backbeat schedules list` shows those that there are"
            )
        return kept

    def _write(self, conn: Connection, edit: Edit, now_us: int, changed: int) -> None:
        self._store._writes.edits(
            conn, Edits((edit,), ()), now_us, self._epoch(conn), draw_batch_id(), changed
        )
        end_us = first_end_us(edit.after.overrides)
        if end_us is not None:
            self._trail.note_end(conn, end_us)
        if edit.after.removed:
            table = self._tables.backfill
            of_it = (table.c.entry == edit.after.name, table.c.state == RequestState.RUNNING.value)
            conn.execute(table.update().where(*of_it).values(state=RequestState.CANCELLED.value))

    def _epoch(self, conn: Connection) -> int:
        lease = self._tables.lease.c
        epoch: int = conn.execute(select(lease.epoch).where(lease.name == LEASE_NAME)).scalar_one()
        return epoch

    def _side_revision(self, conn: Connection, entry: Entry, now_us: int) -> int:
        """A revision that the entry never was: for one run with a payload of its own. Its number is below zero."""
        table = self._tables.revision
        lowest = conn.execute(select(func.min(table.c.rev)).where(table.c.entry == entry.name)).scalar_one()
        rev: int = min(lowest, 0) - 1
        values = {"entry": entry.name, "rev": rev, "decided_us": now_us, "spec": spec_text(entry)}
        conn.execute(table.insert().values(values))
        return rev

    def _request(self, conn: Connection, id: str, *, lock: bool = False) -> Backfill | None:
        table = self._tables.backfill
        query = table.select().where(table.c.id == id)
        row = conn.execute(query.with_for_update() if lock else query).mappings().first()
        return None if row is None else backfill_of(row)

    def _put_request(self, conn: Connection, request: Backfill) -> None:
        values = {name: getattr(request, name) for name in Backfill.__dataclass_fields__}
        conn.execute(self._tables.backfill.insert().values({**values, "state": request.state.value}))


def backfill_of(row: RowMapping) -> Backfill:
    """A row of bb_backfill."""
    known = {name: row[name] for name in Backfill.__dataclass_fields__}
    return Backfill(**{**known, "state": RequestState(row["state"])})


def _request_of(firing: Firing, actor: str, now_us: int) -> Backfill:
    return Backfill(
        id=firing.key,
        entry=firing.entry,
        from_us=firing.due_us,
        to_us=firing.due_us,
        actor=actor,
        at_us=now_us,
        cursor_us=firing.due_us,
        decided=1,
        state=RequestState.RUN_NOW,
    )


def _gave_up(down: StoreDown) -> bool:
    """Whether the database ended the transaction itself: a serialisation failure, a deadlock, a lock that was not had."""
    origin = getattr(down.__cause__, "orig", None)
    if getattr(origin, "sqlstate", None) in {"40001", "40P01", "55P03"}:
        return True
    arguments: tuple[object, ...] = getattr(origin, "args", ())
    return bool(arguments) and arguments[0] in {1205, 1213, 1020}
