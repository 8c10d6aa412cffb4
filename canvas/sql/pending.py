"""Pending: the outbox rows of a transaction that has not ended yet, and the events that tell when it has.

What counts is the transaction of the database, not the session's: a session may stand inside an outer one, and SAVEPOINTs end all the
time. SQLAlchemy tells of a commit just before it is done; that it was done is seen by the rows being there (see outbox.py).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

from ..errors import ImproperlyConfigured


@dataclass(slots=True, eq=False)
class Pending:
    """What one transaction wrote: rows of the outbox (`is_written`), whose mark is `holder`, or of a store's (`is_stored`)."""

    engine: Engine
    holder: str = field(default_factory=lambda: secrets.token_hex(16))
    written_at: float = field(default_factory=time.monotonic)
    """Of the first row."""
    is_written: bool = False
    is_stored: bool = False
    committing: bool = False


class Watch:
    """Calls `committed` with what was pending once its transaction has committed, after the session has let go of its connection.

    Of a bare Connection it cannot be told when its transaction has ended; `look` asks.
    """

    def __init__(self, committed: Callable[[Pending], None]) -> None:
        self._committed = committed
        self._pending: WeakKeyDictionary[Connection, Pending] = WeakKeyDictionary()
        self._sessions: WeakKeyDictionary[Session, set[Connection]] = WeakKeyDictionary()

    def pending(self, session: Session | Connection, connection: Connection) -> Pending:
        """What is pending in the connection's transaction; watched from now on."""
        found = self._pending.get(connection)
        # an older one, after whose commit nobody looked, is left to a relay
        if found is None or found.committing:
            found = self._pending[connection] = Pending(connection.engine)
        if not event.contains(connection, "commit", self._commits):
            event.listen(connection, "commit", self._commits)
            event.listen(connection, "commit_twophase", self._commits_twophase)
            event.listen(connection, "rollback", self._forget)
            event.listen(connection, "rollback_twophase", self._forget_twophase)
        if isinstance(session, Session):
            self._sessions.setdefault(session, set()).add(connection)
            if not event.contains(session, "after_transaction_end", self._ended):
                event.listen(session, "after_transaction_end", self._ended)
        return found

    def look(self, connection: Connection) -> None:
        """If the connection's transaction has committed, say so."""
        found = self._pending.get(connection)
        if found is not None and found.committing:
            del self._pending[connection]
            self._committed(found)

    def _commits(self, connection: Connection) -> None:
        if connection in self._pending:
            self._pending[connection].committing = True

    def _commits_twophase(self, connection: Connection, xid: object, is_prepared: object) -> None:  # noqa: ARG002 - SQLAlchemy's shape
        self._commits(connection)

    def _forget(self, connection: Connection) -> None:
        self._pending.pop(connection, None)

    def _forget_twophase(self, connection: Connection, xid: object, is_prepared: object) -> None:  # noqa: ARG002 - SQLAlchemy's shape
        self._forget(connection)

    def _ended(self, session: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None:
            for connection in self._sessions.pop(session, ()):
                self.look(connection)


def resolved(session: Any) -> Session | Connection:
    """The session of this thread where it is a scoped one. Raises ImproperlyConfigured for what has no transaction."""
    if isinstance(session, scoped_session):
        session = session()
    if isinstance(session, Session | Connection):
        return session
    raise ImproperlyConfigured(
        f"a transaction is that of a SQLAlchemy Session, scoped_session or Connection, not of {session!r:.100}. "
        "With an AsyncSession send inside `await session.run_sync(...)`, which hands you a Session."
    )


def connection_of(session: Session | Connection) -> Connection:
    """The connection in whose transaction the session is; a session begins one if there is none."""
    return session.connection() if isinstance(session, Session) else session
