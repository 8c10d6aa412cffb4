"""LedgerReader: what the ledger says of firings, for the history: whose they are, and what they were called with. Raises StoreDown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Engine, MetaData, Select, and_, case, func, or_, select

from ...canvas.ids import is_firing
from ..firing import FiringState
from ..store.tables import Tables
from ..store.transaction import transaction

MILLISECOND_US = 1_000
AT_ONCE = 100
SHOWN = (FiringState.DECIDED, FiringState.SENT, FiringState.SENDING, FiringState.DOUBTFUL)
"""States of firings that are, or may be, sent."""


class Fired(Struct, frozen=True, kw_only=True):
    """A firing: `what` is the signature that it sends, `sent_us` when its batch was marked as sent."""

    task_id: str
    entry: str
    due_us: int
    sent_us: int | None
    what: Mapping[str, Any]


class LedgerReader:
    """Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tables = Tables.on(MetaData())

    def since(self, from_us: int, until_us: int, limit: int) -> list[Fired]:
        """Firings with fire times from `from_us` to `until_us` that are sent, or to be: the oldest `limit`, oldest first."""
        firing = self._tables.firing.c
        query = self._query().where(firing.due_us >= from_us, firing.due_us <= until_us)
        with transaction(self._engine, write=False) as conn:
            return self._read(conn, query.order_by(firing.due_us).limit(limit))

    def of_ids(self, ids: Iterable[str]) -> dict[str, Fired]:
        """The firings among tasks, by their ids: an id begins with its fire time (decisions B1), so that none is searched for."""
        firing = self._tables.firing.c
        found: dict[str, Fired] = {}
        wanted = [(id_, due) for id_ in ids if is_firing(id_) and (due := _fire_ms(id_)) is not None]
        with transaction(self._engine, write=False) as conn:
            for first in range(0, len(wanted), AT_ONCE):
                near = [
                    and_(
                        firing.due_us >= due * MILLISECOND_US,
                        firing.due_us < (due + 1) * MILLISECOND_US,
                        firing.task_id == id_,
                    )
                    for id_, due in wanted[first : first + AT_ONCE]
                ]
                found |= {each.task_id: each for each in self._read(conn, self._query().where(or_(*near)))}
        return found

    def _query(self) -> Select[Any]:
        firing, batch, revision = self._tables.firing, self._tables.batch, self._tables.revision
        state = func.coalesce(firing.c.state, batch.c.state)
        pair = and_(revision.c.entry == firing.c.entry, revision.c.rev == firing.c.rev)
        return (
            select(
                firing.c.task_id,
                firing.c.entry,
                firing.c.due_us,
                case((firing.c.state.is_(None), batch.c.sent_us), else_=firing.c.sent_us).label("marked_us"),
                revision.c.spec,
            )
            .select_from(firing.join(batch, firing.c.batch_id == batch.c.batch_id).outerjoin(revision, pair))
            .where(state.in_([each.value for each in SHOWN]))
        )

    def _read(self, conn: Connection, query: Select[Any]) -> list[Fired]:
        return [
            Fired(
                task_id=row["task_id"],
                entry=row["entry"],
                due_us=row["due_us"],
                sent_us=row["marked_us"],
                what=_what(row["spec"]),
            )
            for row in conn.execute(query).mappings()
        ]


def _fire_ms(id_: str) -> int | None:
    try:
        return int(id_[:8] + id_[9:13], 16)
    except ValueError:
        return None


def _what(spec: str | None) -> Mapping[str, Any]:
    """The payload of a revision; an empty one where it is gone, or damaged."""
    try:
        found = json.loads(spec or "{}")
    except ValueError:
        return {}
    what = found.get("what", found) if isinstance(found, dict) else {}
    return what if isinstance(what, dict) else {}
