"""Unique keys in a SQL database: the table bb_unique, and the decisions of unique.py on it. Everything in the caller's transaction.

The row of a key is locked until the transaction ends, so whoever wants the same key waits for that. Keys are locked before runs, and in
their order. The run of the task that has a key is only read, unless it is to be replaced, so that no worker waits for a sender.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from sqlalchemy import Connection, delete, select, update

from ..message import Message
from ..sql.dialect import dialect_of
from ..sql.step import Missing
from ..sql.tables import run_table, unique_table
from ..unique import Scope, Unique
from .run import RunRecord
from .sql_batch import SqlBatch
from .sql_runs import empty_run, run_of
from .transition import Transition
from .unique import LOOK_AGAIN_US, Held, Hold, hold_of, is_free, known_us, look_us, message_of, take
from .verdict import Standing

LOOKED_AT = 2_000
"""Keys that one sweep looks at."""
TRIES = 10
"""How often a key is looked for that is forgotten each time before it can be locked."""


class _Lock(Enum):
    NONE = "none"
    SHARED = "shared"
    OWN = "own"


def apply(batch: SqlBatch, transitions: Sequence[Transition]) -> tuple[list[Standing | None], dict[int, str]]:
    """Apply those whose key is free, and those that want none; what became of each, and who has the keys of the others."""
    wanted = [(index, t) for index, t in enumerate(transitions) if t.unique is not None]
    if not wanted:
        return batch.apply(transitions), {}
    wanted.sort(key=lambda pair: pair[1].unique.key if pair[1].unique is not None else "")
    answers = {index: _take(batch, transition) for index, transition in wanted}
    holders = {index: answer.id for index, answer in answers.items() if answer is not None}
    standing = iter(batch.apply([t for index, t in enumerate(transitions) if index not in holders]))
    return [None if index in holders else next(standing) for index in range(len(transitions))], holders


def peek(connection: Connection, transitions: Sequence[Transition], now_us: int) -> dict[int, str]:
    """Who has the key of a transition that comes alone, where that can be told without a lock: most of those whose key is taken."""
    match transitions:
        case [Transition(unique=Unique(replaces=False) as unique) as transition]:
            hold = _hold(connection, unique.key)
            record = _record(connection, hold)
            answer = take(unique, message_of(unique, transition.effects), hold, record, now_us)
            return {0: answer.id} if isinstance(answer, Held) else {}
    return {}


def forget_free(connection: Connection, now_us: int) -> None:
    """Delete keys that nobody has any more; those that somebody is about to take are passed over."""
    query = select(unique_table).where(unique_table.c.look_us <= now_us).order_by(unique_table.c.look_us)
    rows = connection.execute(query.limit(LOOKED_AT).with_for_update(skip_locked=True)).all()
    if not rows:
        return
    holders = select(run_table).where(run_table.c.task_id.in_({row.task_id for row in rows}))
    records = {row.task_id: run_of(row) for row in connection.execute(holders)}
    free = {row.unique_key for row in rows if is_free(_hold_in(row), records.get(row.task_id), now_us)}
    taken = {row.unique_key for row in rows} - free
    if free:
        connection.execute(delete(unique_table).where(unique_table.c.unique_key.in_(sorted(free))))
    if taken:
        later = update(unique_table).where(unique_table.c.unique_key.in_(sorted(taken)))
        connection.execute(later.values(look_us=now_us + LOOK_AGAIN_US))


def _take(batch: SqlBatch, transition: Transition) -> Held | None:
    unique, connection, now_us = transition.unique, batch.connection, batch.now_us
    assert unique is not None
    message = message_of(unique, transition.effects)
    hold = _locked(batch, unique, message)
    record = _record(connection, hold, _lock_of(connection, unique))
    answer = take(unique, message, hold, record, now_us)
    if isinstance(answer, Held):
        return answer
    if answer.replaced is not None:
        batch.revoke([answer.replaced])
    mine = update(unique_table).where(unique_table.c.unique_key == unique.key)
    connection.execute(mine.values(_row(answer.hold, message, now_us)))
    known = {**empty_run(unique.id), "expires_us": known_us(message, now_us)}
    dialect_of(connection).write(connection, [Missing(run_table, [known])])
    return None


def _lock_of(connection: Connection, unique: Unique) -> _Lock:
    """How the run of who has the key is read: alone if it may be revoked.

    A user's transaction may show the past: MySQL shows the present to who locks, PostgreSQL ends the transaction then, which its user
    tries again. Where it shows the present anyway nothing is locked, as a worker would wait for it.
    """
    if unique.replaces:
        return _Lock.OWN
    match connection.dialect.name:
        case "mysql" | "mariadb":
            return _Lock.SHARED
        case "postgresql" if connection.get_isolation_level() in ("REPEATABLE READ", "SERIALIZABLE"):
            return _Lock.SHARED
    return _Lock.NONE


def _locked(batch: SqlBatch, unique: Unique, message: Message) -> Hold:
    """The key's row, locked; one that is not there is made for this task.

    The insert comes first, as SQLite locks by writing only.
    """
    connection = batch.connection
    first = hold_of(unique, message, batch.now_us)
    row = {"unique_key": unique.key, **_row(first, message, batch.now_us)}
    for _ in range(TRIES):
        dialect_of(connection).write(connection, [Missing(unique_table, [row])])
        found = _hold(connection, unique.key, lock=True)
        if found is not None:
            return found
    raise AssertionError(f"the row of unique key {unique.key!r} comes and goes")


def _hold(connection: Connection, key: str, *, lock: bool = False) -> Hold | None:
    query = select(unique_table).where(unique_table.c.unique_key == key)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _hold_in(row)


def _record(connection: Connection, hold: Hold | None, lock: _Lock = _Lock.NONE) -> RunRecord | None:
    if hold is None:
        return None
    query = select(run_table).where(run_table.c.task_id == hold.id)
    if lock is not _Lock.NONE:
        query = query.with_for_update(read=lock is _Lock.SHARED)
    row = connection.execute(query).first()
    return None if row is None else run_of(row)


def _hold_in(row: Any) -> Hold:
    return Hold(id=row.task_id, scope=Scope(row.scope), until_us=row.until_us)


def _row(hold: Hold, message: Message, now_us: int) -> dict[str, Any]:
    return {
        "task_id": hold.id,
        "scope": hold.scope.value,
        "until_us": hold.until_us,
        "look_us": look_us(hold, message, now_us),
    }
