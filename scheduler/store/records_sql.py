"""SqlRecords: Records over the tables of a SqlStore: entries as they stand, their history, the audit.

History is read along the ledger's primary key, which begins with the fire time: it passes over the firings of other entries,
some 10 ms for each 100,000 of them. An index by entry would cost every firing more than a look costs a person.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, and_, case, func, select

from ..audit_line import AuditLine
from ..backfill import Backfill, RequestState
from ..firing import FiringKind, FiringState
from .registry import HistoryLine, Standing, Which
from .registry_sql import backfill_of
from .rows import kept_entry
from .sql import SqlStore
from .standing import standing_of

FAR_US = 1 << 62


class SqlRecords:
    """What one may read of one SQL database."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._tables = store._tables

    def get(self, name: str) -> Standing | None:
        found = self._standings(self._store._sql.known([name]))
        return found[0] if found else None

    def entries(self, which: Which = Which.PRESENT) -> Sequence[Standing]:
        entry = self._tables.entry.c
        query = self._store._sql.load_entries.order_by(entry.name)
        if which is not Which.ALL:
            query = query.where(entry.removed == 0)
        if which is Which.OVERRIDDEN:
            query = query.where(entry.override.is_not(None))
        return self._standings(query)

    def history(self, name: str, limit: int, before_us: int | None = None) -> Sequence[HistoryLine]:
        before_us = FAR_US if before_us is None else before_us
        found = [*self._firings(name, limit, before_us), *self._skips(name, limit, before_us)]
        found.sort(key=lambda each: (each.due_us, each.kind.value), reverse=True)
        return found[:limit]

    def audit(self, name: str | None, limit: int) -> Sequence[AuditLine]:
        audit = self._tables.audit
        query = audit.select().order_by(audit.c.seq.desc()).limit(limit)
        if name is not None:
            query = query.where(audit.c.target == name)
        with self._store._transaction(write=False) as conn:
            rows = conn.execute(query).all()
        return [
            AuditLine(
                at_us=row.at_us,
                actor=row.actor,
                action=row.action,
                target=row.target,
                detail=json.loads(row.detail),
            )
            for row in rows
        ]

    def backfills(self, limit: int = 100, id: str | None = None) -> Sequence[Backfill]:
        table = self._tables.backfill
        is_one = table.c.state != RequestState.RUN_NOW.value
        query = table.select().where(is_one).order_by(table.c.at_us.desc(), table.c.id).limit(limit)
        if id is not None:
            query = query.where(table.c.id == id)
        with self._store._transaction(write=False) as conn:
            return [backfill_of(row) for row in conn.execute(query).mappings()]

    def _standings(self, query: Select[Any]) -> list[Standing]:
        with self._store._transaction(write=False) as conn:
            rows = conn.execute(query).mappings().all()
        standings = (standing_of(kept_entry(row), row["next_us"]) for row in rows)
        return [standing for standing in standings if standing is not None]

    def _firings(self, name: str, limit: int, before_us: int) -> list[HistoryLine]:
        firing, batch = self._tables.firing, self._tables.batch
        query = (
            select(
                firing,
                func.coalesce(firing.c.state, batch.c.state).label("outcome"),
                batch.c.epoch,
                batch.c.decided_us,
                case((firing.c.state.is_(None), batch.c.sent_us), else_=firing.c.sent_us).label("marked_us"),
            )
            .select_from(firing.join(batch, firing.c.batch_id == batch.c.batch_id))
            .where(and_(firing.c.entry == name, firing.c.due_us < before_us))
            .order_by(firing.c.due_us.desc())
            .limit(limit)
        )
        with self._store._transaction(write=False) as conn:
            rows = conn.execute(query).mappings().all()
        return [
            HistoryLine(
                due_us=row["due_us"],
                kind=FiringKind(row["kind"]),
                state=FiringState(row["outcome"]),
                rev=row["rev"],
                epoch=row["epoch"],
                decided_us=row["decided_us"],
                task_id=row["task_id"],
                sent_us=row["marked_us"] if row["outcome"] == FiringState.SENT else None,
                reason=row["error"] or "",
            )
            for row in rows
        ]

    def _skips(self, name: str, limit: int, before_us: int) -> list[HistoryLine]:
        skip = self._tables.skip
        which = and_(skip.c.entry == name, skip.c.from_us < before_us)
        query = skip.select().where(which).order_by(skip.c.from_us.desc()).limit(limit)
        with self._store._transaction(write=False) as conn:
            rows = conn.execute(query).mappings().all()
        return [
            HistoryLine(
                due_us=row["from_us"],
                until_us=row["to_us"],
                count=row["count"],
                kind=FiringKind.REGULAR,
                state=FiringState.SKIPPED,
                rev=row["rev"],
                epoch=row["epoch"],
                decided_us=row["decided_us"],
                reason=f"{row['reason']}: {row['detail']}" if row["detail"] else row["reason"],
            )
            for row in rows
        ]
