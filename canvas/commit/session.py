"""SessionSender: sends inside a user's own SQL transaction, so that the tasks exist if and only if it commits.

    the database is the broker's own      messages, chains and joins are written by the transaction itself: its commit sends them
    it is the result backend              the same, but messages go to the outbox that it has anyhow (see split.py), and from there
    any other                             the canvas becomes a row of an outbox of its own; after the commit it is sent, and deleted

Which one it is, is proven (see sql/place.py). After a commit the caller is not failed by a broker that is away: the task exists, and is
sent by a relay (see relay.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import WeakSet

from msgspec.structs import replace
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from ..effect import Effect
from ..errors import BackbeatError, ImproperlyConfigured
from ..signing import NO_KEYS, Keyring
from ..sql.outbox import WRITER_SECONDS, Outbox, create_outbox, outbox_table, write
from ..sql.pending import Pending, Watch, connection_of, resolved
from ..sql.place import Place
from ..start import Start, dated, start_to_text
from ..unique import Unique
from .limits import Limits
from .relay import Relay
from .role import Role
from .sql_put import put_effects

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
"""After a broker that could not be reached, commits leave what they send to relays for so long: nobody shall wait for it each time."""


class SessionSender:
    """An app's way into its users' transactions. Thread-safe as far as their sessions are.

    `place` is where our own tables are, if results are in a SQL database, and `role` what that is; `set_going` as in Relay;
    `send_stored` sends what lies in the outbox of a store; `is_relayed`: the setting `outbox_url` is given.
    """

    def __init__(
        self,
        *,
        place: Place | None,
        role: Role,
        limits: Limits,
        table: str,
        is_relayed: bool,
        set_going: Callable[[Sequence[Start]], None],
        send_stored: Callable[[], None],
        now_us: Callable[[], int],
        keyring: Keyring = NO_KEYS,
    ) -> None:
        self._place = place
        self._role = role
        self._keyring = keyring
        self._limits = limits
        self._table = outbox_table(table)
        self._is_relayed = is_relayed
        self._set_going = set_going
        self._send_stored = send_stored
        self._now_us = now_us
        self._watch = Watch(self._committed)
        self._has_outbox: WeakSet[Engine] = WeakSet()
        self._calm_at = 0.0

    @contextmanager
    def opened(self, session: Any) -> Iterator[Any]:
        """What is to be yielded to the user: the session; for an Engine a Connection, whose transaction ends with the block."""
        with session.begin() if isinstance(session, Engine) else nullcontext(session) as found:
            target = resolved(found)
            yield found
        if isinstance(target, Connection):
            self._watch.look(target)

    def send(
        self, session: Any, start: Start, effects: Sequence[Effect], unique: Unique | None = None
    ) -> str | None:
        """Send `start`, of which `effects` are what flow made, when the session's transaction commits. Raises what its database does.

        With `unique` the key is taken when it commits, too; returns the id of the task that has it, if it is taken.
        """
        session = resolved(session)
        connection = connection_of(session)
        if self._place is not None and self._place.holds(connection):
            _check_unique(unique)
            holder = put_effects(connection, effects, self._limits, self._role, self._keyring, unique)
            if self._role is Role.STORE and holder is None:
                self._watch.pending(session, connection).is_stored = True
            return holder
        if unique is not None:
            raise ImproperlyConfigured(
                f"unique_key {unique.key!r} cannot be taken in a transaction of this database, as keys are kept by the result backend: "
                "send the task after the commit, or name this database as the result backend"
            )
        if connection.dialect.name != "sqlite":
            self._see_to_outbox(connection)
        self._warn_once(connection)
        pending = self._watch.pending(session, connection)
        pending.is_written = True
        start = replace(start, node=dated(start.node, self._now_us()))
        write(connection, self._table, start_to_text(start), pending.holder)
        return None

    def _warn_once(self, connection: Connection) -> None:
        if not self._is_relayed:
            self._is_relayed = True
            logger.warning(
                "tasks are sent in transactions of %s, and no worker is told to relay what a process leaves there that dies "
                "after a commit: name that database in the setting outbox_url",
                connection.engine.url.render_as_string(hide_password=True),
                extra={"action": "outbox_unrelayed"},
            )

    def _see_to_outbox(self, connection: Connection) -> None:
        """Never make it in the user's transaction: MariaDB would commit that."""
        engine = connection.engine
        if engine in self._has_outbox:
            return
        if inspect(connection).has_table(self._table.name):
            self._has_outbox.add(engine)
        else:
            self.create_outbox(engine)

    def create_outbox(self, engine: Engine) -> None:
        """Make the outbox of a user's database, unless it is there."""
        create_outbox(engine, self._table.name)
        self._has_outbox.add(engine)

    def relay(self, engine: Engine) -> Relay:
        """A relay of that database's outbox."""
        return Relay(Outbox(engine, self._table), self._set_going)

    def _committed(self, pending: Pending) -> None:
        """Send what a transaction left in the outbox. Whatever fails, the commit was done, and the rows are there."""
        now = time.monotonic()
        if now < self._calm_at:
            return
        try:
            if pending.is_stored:
                self._send_stored()
            if pending.is_written:
                late = now - pending.written_at > WRITER_SECONDS / 2
                self.relay(pending.engine).send_written(pending.holder, late=late)
        except (BackbeatError, SQLAlchemyError) as error:
            self._calm_at = time.monotonic() + PAUSE_SECONDS
            logger.warning(
                "%s; what the transaction sent waits in the outbox for a relay",
                error,
                extra={"action": "unavailable", "pause": PAUSE_SECONDS},
            )


def _check_unique(unique: Unique | None) -> None:
    if unique is not None and unique.replaces:
        raise ImproperlyConfigured(
            f'unique_key {unique.key!r}: in a transaction unique_conflict="replace" is refused, as workers would have to wait for the '
            'commit before they could start, or pass over, the task that is replaced; write "existing" or "raise"'
        )
