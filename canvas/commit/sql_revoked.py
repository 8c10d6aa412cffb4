"""Revoked ids in a SQL database: the table bb_revoked. Everything happens in the caller's transaction (decisions K20)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, delete, select, update

from ..message import Message
from ..sql.dialect import dialect_of
from ..sql.tables import message_table, revoked_table
from .limits import REVOKED_KEEP_US

_REVOKED = select(revoked_table.c.id)


def revoked_of(connection: Connection, messages: Sequence[Message]) -> set[str]:
    """Those ids, by which one of `messages` is revoked, that were."""
    ids = {id_ for message in messages for id_ in message.revocable_by}
    return {row.id for row in dialect_of(connection).find(connection, _REVOKED, revoked_table.c.id, ids)}


def remember(connection: Connection, ids: Sequence[str], signum: int | None, now_us: int) -> None:
    """Revoke them from now on; who is revoked again is remembered for longer."""
    connection.execute(delete(revoked_table).where(revoked_table.c.id.in_(ids)))
    rows = [{"id": id_, "at_us": now_us, "signum": signum} for id_ in sorted(set(ids))]
    connection.execute(revoked_table.insert(), rows)


def forget(connection: Connection, ids: Sequence[str]) -> None:
    """They may run again."""
    connection.execute(delete(revoked_table).where(revoked_table.c.id.in_(ids)))


def hasten(connection: Connection, ids: Collection[str], now_us: int) -> int:
    """Timers of these tasks are due now, so that a worker sees to them; how many there are."""
    waiting = message_table.c.task_id.in_(sorted(set(ids))) & (message_table.c.holder == "")
    due = update(message_table).where(waiting, message_table.c.visible_us > now_us)
    return connection.execute(due.values(visible_us=now_us)).rowcount


def terminations(connection: Connection, ids: Collection[str]) -> Mapping[str, int]:
    """Those of these ids that shall be ended by a signal."""
    query = select(revoked_table.c.id, revoked_table.c.signum)
    wanted = revoked_table.c.id.in_(sorted(ids)) & revoked_table.c.signum.is_not(None)
    return {row.id: row.signum for row in connection.execute(query.where(wanted))}


def newest(connection: Connection, limit: int) -> list[str]:
    """Those that were revoked last."""
    query = select(revoked_table.c.id).order_by(revoked_table.c.at_us.desc()).limit(limit)
    return [row.id for row in connection.execute(query)]


def forget_old(connection: Connection, now_us: int) -> None:
    """What was revoked too long ago to be remembered."""
    connection.execute(delete(revoked_table).where(revoked_table.c.at_us <= now_us - REVOKED_KEEP_US))
