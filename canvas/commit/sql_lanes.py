"""Lanes in a SQL database: the tables bb_limit and bb_limit_line, and the decisions of lane.py on them. Everything in the caller's transaction.

The row of a key is locked until the transaction ends, so that of all who ask about it one decides at a time. Keys are locked before runs,
and in their order. The runs that have slots are only read: what their workers are about to write makes a slot free, and never takes one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from msgspec import json
from sqlalchemy import Connection, delete, select

from ..quota import Ask
from ..sql.dialect import dialect_of
from ..sql.moment import Moment
from ..sql.step import Missing, Over
from ..sql.tables import limit_line_table, limit_table, run_table
from .lane import Lane, Slot, admit
from .put_off import Wait
from .run import RunRecord
from .sql_revoked import hasten
from .sql_runs import run_of

LOOKED_AT = 200
"""Keys that one sweep looks at."""
TRIES = 10
"""How often a key is looked for that is forgotten each time before it can be locked."""


@dataclass(slots=True)
class SqlLanes:
    """The lanes that one exchange looks at and changes."""

    connection: Connection
    moment: Moment
    _lanes: dict[str, Lane] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)

    def lock(self, keys: Collection[str]) -> None:
        """Read and lock these; rows that do not exist are made."""
        for key in sorted(set(keys)):
            self._lanes[key] = self._locked(key)

    def admit(self, ask: Ask, known: Callable[[str], RunRecord | None]) -> Wait | None:
        """None if it may start; `known` are the runs of this exchange, as they are by now."""
        key, id_ = ask.quota.key, ask.message.id
        wait, lane = admit(self._pruned(key, known), ask, self.moment.us)
        self._put(key, lane)
        if wait is None:
            mine = (limit_line_table.c.limit_key == key) & (limit_line_table.c.task_id == id_)
            self.connection.execute(delete(limit_line_table).where(mine))
        elif wait.in_line:
            row = {"limit_key": key, "task_id": id_, "at_us": self.moment.us}
            dialect_of(self.connection).write(self.connection, [Missing(limit_line_table, [row])])
        return wait

    def wake(self, key: str, known: Callable[[str], RunRecord | None], most: int | None = None) -> bool:
        """Let those that come first in line ask again, one for each slot that is free, and at most so many; whether there were any."""
        lane = self._pruned(key, known)
        self._put(key, lane)
        free = lane.free if most is None else min(most, lane.free)
        woken = 0
        while woken < free:
            table = limit_line_table.c
            line = select(table.task_id).where(table.limit_key == key).order_by(table.at_us).limit(1)
            first = self.connection.execute(line).scalar()
            if first is None:
                break
            mine = (table.limit_key == key) & (table.task_id == first)
            self.connection.execute(delete(limit_line_table).where(mine))
            woken += hasten(self.connection, [first], self.moment.us) > 0
        return woken > 0

    def write(self) -> None:
        """Write the lanes that changed."""
        rows = [_row(key, self._lanes[key], self.moment.us) for key in sorted(self._changed)]
        if rows:
            dialect_of(self.connection).write(self.connection, [Over(limit_table, rows)])
        self._changed.clear()

    def _put(self, key: str, lane: Lane) -> None:
        self._lanes[key] = lane
        self._changed.add(key)

    def _pruned(self, key: str, known: Callable[[str], RunRecord | None]) -> Lane:
        lane = self._lanes[key]
        ids = [slot.id for slot in lane.slots if known(slot.id) is None]
        rows = self.connection.execute(select(run_table).where(run_table.c.task_id.in_(ids))) if ids else ()
        stored = {row.task_id: run_of(row) for row in rows}

        def is_taken(slot: Slot) -> bool:
            return slot.is_taken(known(slot.id) or stored.get(slot.id), self.moment.us)

        return lane.pruned(is_taken)

    def _locked(self, key: str) -> Lane:
        # the insert comes first, as SQLite locks by writing only
        row = _row(key, Lane(), self.moment.us)
        query = select(limit_table.c.state).where(limit_table.c.limit_key == key).with_for_update()
        for _ in range(TRIES):
            dialect_of(self.connection).write(self.connection, [Missing(limit_table, [row])])
            state = self.connection.execute(query).scalar()
            if state is not None:
                return json.decode(state, type=Lane)
        raise AssertionError(f"the row of limit_key {key!r} comes and goes")


def waited_for(connection: Connection) -> list[str]:
    """Keys for whose slots somebody waits, those first that waited longest."""
    table = limit_line_table.c
    query = select(table.limit_key).order_by(table.at_us).limit(LOOKED_AT)
    return list(dict.fromkeys(row.limit_key for row in connection.execute(query)))


def forget_old(connection: Connection, now_us: int) -> None:
    """Lanes on which nothing depends any more; those that somebody is about to ask about are passed over."""
    table = limit_table.c
    query = select(table.limit_key).where(table.expires_us <= now_us).limit(LOOKED_AT)
    keys = [row.limit_key for row in connection.execute(query.with_for_update(skip_locked=True))]
    if keys:
        connection.execute(delete(limit_table).where(table.limit_key.in_(keys)))


def _row(key: str, lane: Lane, now_us: int) -> dict[str, Any]:
    return {"limit_key": key, "state": json.encode(lane).decode(), "expires_us": lane.kept_until(now_us)}
