"""ReadyMessages: the messages of one queue that can be taken, in the order in which they are; and which queues have any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Executable,
    Row,
    Update,
    func,
    literal,
    null,
    select,
    union_all,
    update,
)

from ..priority import urgency_of
from .tables import message_table

Values = Mapping[str, Any]
"""A row, or a part of one, by its columns."""


class ReadyMessages(Struct, frozen=True):
    """The first `limit` messages of a queue whose time has come: those that came first."""

    queue: str
    now_us: int
    limit: int

    def query(self, *columns: ColumnElement[Any]) -> Any:
        """A query for these columns of those that are free, which locks them."""
        table = message_table.c
        query = select(*columns).where(table.queue == self.queue, table.visible_us <= self.now_us)
        query = query.order_by(table.visible_us, table.seq).limit(self.limit)
        return query.with_for_update(skip_locked=True)


def holding(seqs: Any, hold: Values) -> Update:
    """Write `hold` into the messages of these numbers."""
    return update(message_table).where(message_table.c.seq.in_(seqs)).values(**hold)


def hold_each(
    connection: Connection,
    queues: Sequence[str],
    now_us: int,
    limit: int,
    hold: Callable[[ReadyMessages], Sequence[Row[Any]]],
) -> Sequence[Row[Any]]:
    """Dialect.hold, queue by queue.

    A query over several would sort all that is ready, however few are wanted; and InnoDB locks all rows that are sorted.
    """
    found = list[Row[Any]]()
    for queue in _ripe_queues(connection, queues, now_us):
        found.extend(hold(ReadyMessages(queue, now_us, limit - len(found))))
        if len(found) >= limit:
            break
    return found


def ranks(queues: Sequence[str]) -> list[int]:
    """For each of these lanes, which are in the order of their urgency, its place in that order; those that are equally urgent share one."""
    places: dict[int, int] = {}
    return [places.setdefault(urgency_of(queue), len(places)) for queue in queues]


def _ripe_queues(connection: Connection, queues: Sequence[str], now_us: int) -> Sequence[str]:
    if len(queues) == 1:
        return queues
    rank = dict(zip(queues, ranks(queues), strict=True))
    found = connection.execute(_heads_query(tuple(queues)))
    firsts = {row.queue: row.us for row in found if row.us is not None}
    ripe = [queue for queue, us in firsts.items() if us <= now_us]
    return sorted(ripe, key=lambda queue: (rank[queue], firsts[queue]))


def until_first(queues: Sequence[str], clock: ColumnElement[int]) -> Executable:
    """The microseconds until the first message of these queues is there for whoever asks; NULL if they are empty."""
    if not queues:
        return select(null())
    firsts = _heads_query(tuple(queues)).subquery()
    return select(func.min(firsts.c.us) - clock)


@lru_cache(maxsize=64)
def _heads_query(queues: tuple[str, ...]) -> CompoundSelect[Any]:
    """When the first message of each queue is there for whoever asks. Costs the same whatever is in them; made once, as a worker asks it with each take."""
    table = message_table.c
    # one by one: together they would be searched from end to end
    firsts = [
        select(literal(queue).label("queue"), func.min(table.visible_us).label("us")).where(
            table.queue == queue
        )
        for queue in queues
    ]
    return union_all(*firsts)
