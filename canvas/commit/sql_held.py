"""What workers hold in a SQL database: messages, and the claims of their runs. Everything happens in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select, update

from ..incarnation import is_gone
from ..sql.engine import now_us
from ..sql.tables import IS_HELD, message_table, run_table
from ..sql.wake import wake_takers
from .taken import Taken

FREED_AT_ONCE = 500
"""Messages of a process that is over, in one statement."""


def renew(connection: Connection, worker: str, held: Sequence[Taken], lease_us: int) -> None:
    """Hold them for another lease."""
    seqs, ids = _keys(held)
    until = now_us(connection) + lease_us
    mine = message_table.c.holder == worker
    connection.execute(
        update(message_table).where(message_table.c.seq.in_(seqs), mine).values(visible_us=until)
    )
    claimed = (run_table.c.worker == worker) & run_table.c.outcome.is_(None)
    connection.execute(update(run_table).where(run_table.c.task_id.in_(ids), claimed).values(lease_us=until))


def release(connection: Connection, worker: str, held: Sequence[Taken], *, lost: bool) -> None:
    """Hand them back; see base.Commit."""
    seqs, ids = _keys(held)
    mine = message_table.c.holder == worker
    freed = update(message_table).where(message_table.c.seq.in_(seqs), mine)
    connection.execute(freed.values(visible_us=0, holder=""))
    claimed = (run_table.c.worker == worker) & run_table.c.outcome.is_(None)
    unclaimed = update(run_table).where(run_table.c.task_id.in_(ids), claimed)
    connection.execute(unclaimed.values(worker="", lease_us=0, lost=run_table.c.lost + int(lost)))
    wake_takers(connection)


def waiting(connection: Connection, now_us: int, limit: int) -> list[tuple[int, str]]:
    """When messages that nobody holds are due, the earliest first, and their envelopes."""
    table = message_table.c
    query = select(table.visible_us, table.body).where(table.visible_us > now_us, table.holder == "")
    rows = connection.execute(query.order_by(table.visible_us).limit(limit))
    return [(row.visible_us, row.body) for row in rows]


def counts(connection: Connection, now_us: int, queues: Sequence[str]) -> dict[str, int]:
    """How many messages can be taken of each queue; there are no queues without messages."""
    table = message_table.c
    query = select(table.queue, func.count()).where(table.queue.in_(queues), table.visible_us <= now_us)
    found = {row[0]: int(row[1]) for row in connection.execute(query.group_by(table.queue))}
    return {queue: found.get(queue, 0) for queue in queues}


def free_gone(connection: Connection) -> None:
    """Hand back what processes of this machine held that are over."""
    holding = select(message_table.c.holder).where(IS_HELD).distinct()
    holding = holding.with_hint(message_table, "FORCE INDEX (bb_message_holder)", "mysql")
    for gone in [row.holder for row in connection.execute(holding) if is_gone(row.holder)]:
        _free(connection, gone)


def _free(connection: Connection, gone: str) -> None:
    """What a process held that is over: its messages, and the claims of their runs. A claim without a message here is judged to be dead
    when its message comes again."""
    table = message_table.c
    found = select(table.seq, table.task_id).where(IS_HELD, table.holder == gone)
    held = sorted(connection.execute(found).all(), key=lambda row: row.seq)
    for first in range(0, len(held), FREED_AT_ONCE):
        some = held[first : first + FREED_AT_ONCE]
        mine = table.seq.in_([row.seq for row in some]) & (table.holder == gone)
        connection.execute(update(message_table).where(mine).values(visible_us=0, holder=""))
        ids = sorted({row.task_id for row in some if row.task_id is not None})
        claimed = run_table.c.task_id.in_(ids) & (run_table.c.worker == gone) & run_table.c.outcome.is_(None)
        connection.execute(update(run_table).where(claimed).values(lease_us=0))


def _keys(held: Sequence[Taken]) -> tuple[list[int], list[str]]:
    seqs = [int(item.delivery.tag.split("@", 1)[0]) for item in held if item.delivery.tag]
    return seqs, [item.message.id for item in held if item.message is not None]
