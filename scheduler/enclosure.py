"""Enclosure: where the ledger and the queue are one database, a message and the mark of its firing are one transaction (I-ATOMIC).

Elsewhere a crash between the broker's confirm and the mark makes a second copy, with the same id (reliability 2.4, W1), and so does
a leader that was paused before it sent (W2). Here neither can be: the row says that it is still to be sent, or the message is there.

Addresses do not tell whether two are one place: `localhost` and `127.0.0.1` are, two schemas or socket directories may not be. So
what the broker was told is looked for by way of the store. The wiring makes one for every pair of SQL databases; the outlet asks it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from ..canvas.brokers.base import Broker, Posted
from ..canvas.errors import Unavailable
from ..canvas.signing import NO_KEYS, Keyring
from ..canvas.template import Sendable
from .firing import Firing
from .store.base import Store, StoreDown

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from .store.sql import SqlStore


PROOF_SECONDS = 60.0
"""How long the broker keeps the word. It is random, so an old one that stands yet proves the same."""


class SqlEnclosure:
    """Sends through the store's own transactions, into the tables of the SQL broker, which are there."""

    def __init__(self, store: SqlStore, keyring: Keyring = NO_KEYS) -> None:
        self._keyring = keyring
        self._store = store
        self._holds: bool | None = None

    def holds(self, broker: Broker) -> bool:
        """See `Enclosure` in outlet.py. A random word that the broker keeps is in the store's tables, or they are two places."""
        from ..canvas.sql.tables import announced_value

        if self._holds is None:
            try:
                name = f"place.{self._store.store_id()}"
                word = broker.announce(name, secrets.token_hex(16), PROOF_SECONDS)
                self._holds = self._store.look(lambda conn: announced_value(conn, name)) == word
            except StoreDown as cause:
                raise Unavailable(str(cause)) from cause
        return self._holds

    def post(self, firings: Sequence[Firing], items: Sequence[Sendable]) -> Posted:
        """See `Enclosure` in outlet.py. All of it or nothing: what the database refuses is refused as a whole, and said."""
        from ..canvas.commit.sql_put import put_messages

        by_id = {item.id: item for item in items}

        def write(conn: Connection, fresh: Sequence[Firing]) -> None:
            put_messages(conn, [by_id[firing.task_id] for firing in fresh], self._keyring)

        try:
            if not items:
                self._store.witness_us()
            else:
                self._store.emit([firing for firing in firings if firing.task_id in by_id], write)
        except StoreDown as cause:
            raise Unavailable(str(cause)) from cause
        return Posted(by_id.keys())


def enclosure_of(
    store: Store, store_url: str, broker_url: str, keyring: Keyring = NO_KEYS
) -> SqlEnclosure | None:
    """The enclosure of a store and a broker that may be one database; None where they cannot be."""
    from ..canvas.sql.engine import sql_url

    mine, other = sql_url(store_url), sql_url(broker_url)
    if mine is None or other is None or mine.get_backend_name() != other.get_backend_name():
        return None
    return SqlEnclosure(cast("SqlStore", store), keyring)
