"""What others put into their own transactions: messages, and the effects that set a canvas going. They are there when it commits."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace
from sqlalchemy import Connection

from ..effect import Effect
from ..series import Series
from ..signing import NO_KEYS, Keyring
from ..sql.dialect import dialect_of
from ..sql.moment import Moment
from ..template import Sendable
from ..unique import Unique
from . import sql_unique
from .limits import Limits
from .role import Role
from .sql_batch import SqlBatch
from .sql_messages import SqlMessages
from .transition import Transition


def put_messages(connection: Connection, items: Sequence[Sendable], keyring: Keyring = NO_KEYS) -> None:
    """Write messages in the caller's transaction: they are there when it commits. All of them, or an exception."""
    messages = SqlMessages(Moment(connection), Series(keyring))
    for item in items:
        messages.put(item)
    dialect_of(connection).write(connection, messages.adds())


def put_effects(
    connection: Connection,
    effects: Sequence[Effect],
    limits: Limits,
    role: Role,
    keyring: Keyring = NO_KEYS,
    unique: Unique | None = None,
) -> str | None:
    """Bring the effects of `flow.start` in the caller's transaction: they stand when it commits.

    With Role.STORE messages are in the outbox then, and nobody holds them. With `unique` nothing is brought if another task has the key;
    returns its id.
    """
    limits = replace(limits, lease_seconds=0.0)
    batch = SqlBatch(connection, "", limits, role, keyring)
    _, holders = sql_unique.apply(batch, [Transition(effects=tuple(effects), unique=unique)])
    batch.notify()
    return holders.get(0)
