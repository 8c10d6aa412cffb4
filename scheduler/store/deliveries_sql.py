"""SqlDeliveries: Deliveries over the table bb_webhook of a SqlStore."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, or_, select

from ..notice import Notice
from .deliveries import KeptNotice, NoticeState
from .sql import SqlStore

AT_ONCE = 500
"""Ids in one statement: SQLite takes some thousands of parameters."""


class SqlDeliveries:
    """In one SQL database."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._table = store._tables.webhook

    def due(self, now_us: int, limit: int, busy: Collection[str] = ()) -> Sequence[KeptNotice]:
        row = self._table.c
        query = select(self._table).where(row.state == NoticeState.WAITING.value, row.next_us <= now_us)
        if busy:
            query = query.where(row.url.not_in(sorted(busy)))
        with self._store._transaction(write=False) as conn:
            rows = conn.execute(query.order_by(row.next_us, row.id).limit(limit)).all()
        return list(map(_kept, rows))

    def tried(self, kept: KeptNotice) -> None:
        row = self._table.c
        waits = (row.id == kept.notice.id, row.state == NoticeState.WAITING.value)
        values = {
            "state": kept.state.value,
            "tries": kept.tries,
            "next_us": kept.next_us,
            "error": kept.error,
        }
        with self._store._transaction() as conn:
            conn.execute(self._table.update().where(*waits).values(values))

    def listed(self, state: NoticeState | None, limit: int) -> Sequence[KeptNotice]:
        row = self._table.c
        query = select(self._table) if state is None else select(self._table).where(row.state == state.value)
        with self._store._transaction(write=False) as conn:
            rows = conn.execute(query.order_by(row.at_us.desc(), row.id).limit(limit)).all()
        return list(map(_kept, rows))

    def replay(self, ids: Collection[str] | None, now_us: int) -> Sequence[str]:
        row = self._table.c
        again = {"state": NoticeState.WAITING.value, "tries": 0, "next_us": now_us, "error": ""}
        with self._store._transaction() as conn:
            if ids is None:
                failed = select(row.id).where(row.state == NoticeState.FAILED.value)
                ids = conn.execute(failed).scalars().all()
            wanted, found = sorted(ids), list[str]()
            for first in range(0, len(wanted), AT_ONCE):
                these = row.id.in_(wanted[first : first + AT_ONCE])
                found += conn.execute(select(row.id).where(these)).scalars()
                conn.execute(self._table.update().where(these).values(again))
        return sorted(found)

    def forget(self, delivered_before_us: int, failed_before_us: int) -> int:
        row = self._table.c
        old = [
            (row.state == state.value) & (row.at_us < before_us)
            for state, before_us in (
                (NoticeState.DELIVERED, delivered_before_us),
                (NoticeState.FAILED, failed_before_us),
            )
        ]
        with self._store._transaction() as conn:
            return conn.execute(delete(self._table).where(or_(*old))).rowcount


def _kept(row: Any) -> KeptNotice:
    notice = Notice(id=row.id, event=row.event, entry=row.entry, url=row.url, body=row.body, at_us=row.at_us)
    return KeptNotice(
        notice=notice,
        state=NoticeState(row.state),
        tries=row.tries,
        next_us=row.next_us,
        error=row.error,
    )
