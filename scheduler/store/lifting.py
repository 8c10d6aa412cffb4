"""Lifting: takes overrides off whose end has come, inside somebody's transaction: the leader's, or that of an operator's next order.

Whoever changes an entry does this first: what ended must not decide what came after its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from ..audit_line import edit_detail
from ..edit import Edit, EditKind, Edits, KeptEntry, revise
from ..order import overdue
from .trail import Trail

if TYPE_CHECKING:
    from .sql import SqlStore

NOBODY = "backbeat"
"""The actor of what happens by itself."""


class Lifting:
    """For one store. The caller holds the lock of the store's revision, and commits."""

    def __init__(self, store: SqlStore, trail: Trail) -> None:
        self._store = store
        self._revision = store._tables.revision
        self._trail = trail

    def lift(
        self,
        conn: Connection,
        kept: Sequence[KeptEntry],
        now_us: int,
        *,
        epoch: int,
        batch_id: int,
        changed: int,
    ) -> list[Edit]:
        """The edits that take off what ended first of each entry; none for those of which nothing has ended."""
        edits: list[Edit] = []
        begins: list[int] = []
        for before in kept:
            ended = overdue(before, now_us)
            if ended is None:
                continue
            after, begins_us = ended
            edit = revise(before, after, now_us, begins_us)
            assert edit is not None  # it has other overrides
            detail = edit_detail(before, edit, "its end has come", None)
            self._trail.note(conn, now_us, NOBODY, "lift", before.name, detail)
            edits.append(edit)
            begins.append(begins_us)
        self._store._writes.edits(conn, Edits(tuple(edits), ()), now_us, epoch, batch_id, changed)
        for edit, begins_us in zip(edits, begins, strict=True):
            if edit.kind is EditKind.RETIMED:
                self._began(conn, edit.after, begins_us)
        return edits

    def _began(self, conn: Connection, after: KeptEntry, begins_us: int) -> None:
        """The revision is in force since then: whoever reads the history counts its fire times from there."""
        column = self._revision.c
        this = (column.entry == after.name, column.rev == after.rev)
        conn.execute(self._revision.update().where(*this).values(decided_us=begins_us - 1))
