"""Enclosure: where the ledger and the queue are one database, a message and the mark of its firing are one transaction (I-ATOMIC).

Elsewhere a crash between the broker's confirm and the mark makes a second copy, with the same id (reliability 2.4, W1), and so does
a leader that was paused before it sent (W2). Here neither can be: the row says that it is still to be sent, or the message is there.
The wiring makes one, where it finds that both addresses are one; the outlet calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..canvas.brokers.base import Posted
from ..canvas.errors import Unavailable
from ..canvas.template import Sendable
from .firing import Firing
from .store.base import Store, StoreDown

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from .store.sql import SqlStore


class SqlEnclosure:
    """Sends through the store's own transactions, into the tables of the SQL broker, which are there."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def post(self, firings: Sequence[Firing], items: Sequence[Sendable]) -> Posted:
        """See `Enclosure` in outlet.py. All of it or nothing: what the database refuses is refused as a whole, and said."""
        from ..canvas.commit.sql import put_messages

        by_id = {item.id: item for item in items}

        def write(conn: Connection, fresh: Sequence[Firing]) -> None:
            put_messages(conn, [by_id[firing.task_id] for firing in fresh])

        try:
            if not items:
                self._store.witness_us()
            else:
                self._store.emit([firing for firing in firings if firing.task_id in by_id], write)
        except StoreDown as cause:
            raise Unavailable(str(cause)) from cause
        return Posted(by_id.keys())


def enclosure_of(store: Store, store_url: str, broker_url: str) -> SqlEnclosure | None:
    """The enclosure of a store and a broker at these addresses; None where they are two places."""
    place = _place(store_url)
    return (
        SqlEnclosure(cast("SqlStore", store)) if place is not None and place == _place(broker_url) else None
    )


def _place(url: str) -> tuple[object, ...] | None:
    """What makes a database the same one, however its address is written; None for what is no SQL database."""
    from ..canvas.sql.engine import sql_url

    parsed = sql_url(url)
    if parsed is None:
        return None
    name = parsed.get_backend_name()
    if name == "sqlite":
        return name, Path(parsed.database or "").resolve()
    return name, parsed.host, parsed.port, parsed.database
