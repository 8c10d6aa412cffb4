"""Trail: what operators leave behind in the store besides their edits: the audit, and when the next override ends.

Works inside the caller's transaction and commits nothing. The caller holds the lock of the store's revision.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from ..audit_line import AuditLine
from .statements import Statements
from .timekeeping import database_us

ACTOR = 200
"""Characters of an actor."""
END = "override_end_us"
"""Row of bb_meta: no override ends by itself before this instant."""


class Trail:
    """The audit and the ends of overrides of one store."""

    def __init__(self, statements: Statements) -> None:
        self._sql = statements
        self._meta = statements.tables.meta
        self._audit = statements.tables.audit

    def now_us(self, conn: Connection) -> int:
        """The time of the database, or of this machine where the database is a file on it."""
        now_us = database_us(conn)
        return time.time_ns() // 1000 if now_us is None else now_us

    def note(
        self,
        conn: Connection,
        at_us: int,
        actor: str,
        action: str,
        target: str,
        detail: Mapping[str, Any],
    ) -> None:
        """One line of the audit."""
        line = AuditLine(at_us=at_us, actor=actor, action=action, target=target, detail=detail)
        self.notes(conn, [line])

    def notes(self, conn: Connection, lines: Sequence[AuditLine]) -> None:
        """Several lines."""
        if lines:
            conn.execute(self._audit.insert(), [_row(line) for line in lines])

    def end_us(self, conn: Connection) -> int | None:
        """No override ends before this; None: none does."""
        number: int | None = conn.execute(
            select(self._meta.c.number).where(self._meta.c.name == END)
        ).scalar()
        return number or None

    def note_end(self, conn: Connection, end_us: int) -> None:
        """An override ends then."""
        known = self.end_us(conn)
        if known is None or end_us < known:
            self.set_end(conn, end_us)

    def set_end(self, conn: Connection, end_us: int | None) -> None:
        """The first of all overrides ends then (None: none does)."""
        which = self._meta.c.name == END
        if conn.execute(self._meta.update().where(which).values(number=end_us or 0)).rowcount == 0:
            conn.execute(self._meta.insert().values(name=END, number=end_us or 0, text=""))


def _row(line: AuditLine) -> dict[str, object]:
    said = {name: value for name, value in line.detail.items() if value not in (None, "")}
    detail = json.dumps(said, sort_keys=True, ensure_ascii=False)
    return {
        "at_us": line.at_us,
        "actor": line.actor[:ACTOR],
        "action": line.action,
        "target": line.target,
        "detail": detail,
    }
