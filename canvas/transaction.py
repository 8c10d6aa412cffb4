"""Transactions: which of the user's transactions what is sent here belongs to. How it is written there is commit/session.py's matter.

Like the current request, the open transaction is kept for each thread and coroutine.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from .effect import Effect
from .start import Start
from .unique import Unique


class OutboxRelay(Protocol):
    """Sends what committed transactions left in the outbox of one database."""

    def send_due(self) -> int:
        """Send what nobody has sent within two seconds; returns how many canvases. Raises Unavailable."""
        ...


class TransactionSender(Protocol):
    """Writes what is sent into a transaction. Its module loads SQLAlchemy, so it is made when it is needed."""

    def opened(self, session: Any) -> AbstractContextManager[Any]:
        """Around the code that sends; yields what it is given, or the connection of an engine."""
        ...

    def send(
        self, session: Any, start: Start, effects: Sequence[Effect], unique: Unique | None = None
    ) -> str | None:
        """Send `start`, of which `effects` are what flow made, if and only if the session's transaction commits.

        With `unique` it is not sent if another task has the key; returns the id of that one.
        """
        ...

    def create_outbox(self, engine: Any) -> None:
        """Make the outbox of the engine's database, unless it is there."""
        ...

    def relay(self, engine: Any) -> OutboxRelay:
        """A relay of the outbox of the engine's database."""
        ...


_open: ContextVar[tuple[tuple[Transactions, Any], ...]] = ContextVar("backbeat_transactions", default=())


class Transactions:
    """One app's. `open_sender` makes what writes into them."""

    def __init__(self, open_sender: Callable[[], TransactionSender]) -> None:
        self._open_sender = open_sender
        self._sender: TransactionSender | None = None
        self._pid = os.getpid()
        self._unlock()
        unlock = weakref.WeakMethod(self._unlock)
        # another thread may hold the lock at the fork, and it is not there to let go of it in the child
        os.register_at_fork(after_in_child=lambda: (found := unlock()) and found())

    @property
    def sender(self) -> TransactionSender:
        """It has connections of its own, so a fork gets another one."""
        with self._lock:
            if self._sender is None or self._pid != os.getpid():
                self._sender, self._pid = self._open_sender(), os.getpid()
            return self._sender

    def close(self) -> None:
        """Let go of it; it is made again when it is needed."""
        self._sender = None

    @contextmanager
    def opened(self, session: Any) -> Iterator[Any]:
        """What is sent inside the block belongs to this session's transaction; with None to none."""
        if session is None:
            with self._entered(None):
                yield None
            return
        with self.sender.opened(session) as found, self._entered(found):
            yield found

    def current(self, given: Any = None) -> Any:
        """The session that a send belongs to: the one that it was given, else that of the innermost block; None if there is none."""
        if given is not None:
            return given
        return next((session for owner, session in reversed(_open.get()) if owner is self), None)

    def send(
        self, session: Any, start: Start, effects: Sequence[Effect], unique: Unique | None = None
    ) -> str | None:
        """See TransactionSender."""
        return self.sender.send(session, start, effects, unique)

    def _unlock(self) -> None:
        # not the app's lock: another thread may hold that while it waits for the database that this one's transaction has locked
        self._lock = threading.Lock()

    @contextmanager
    def _entered(self, session: Any) -> Iterator[None]:
        token = _open.set((*_open.get(), (self, session)))
        try:
            yield
        finally:
            _open.reset(token)
