"""Place: whether a user's connection leads into the database and schema where our own tables are, so that both can commit together.

Addresses do not tell: `localhost` and `127.0.0.1` are one place, two schemas or a copy of a server are not. So it is proven: our own
connection takes a lock of a random name, and the user's must see it held; that works in any isolation level and writes nothing.
SQLite needs no lock: two paths are one file, or they are not. What was proven of a server is kept with the connection.

A wrong "no" costs an outbox row, a wrong "yes" would cost the task. So what cannot be proven is a no.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.exc import SQLAlchemyError

from ..errors import ImproperlyConfigured
from .dialect import family_of
from .tables import ensure_tables, message_table, metadata

logger = logging.getLogger(__name__)

_Schema = tuple[Any, ...]
_LITE_COLUMNS = text(
    "SELECT count(*) FROM sqlite_master AS t, pragma_table_info(t.name) WHERE t.type = 'table' AND t.name IN :names"
).bindparams(bindparam("names", list(metadata.tables), expanding=True))
_COLUMNS = sum(len(table.columns) for table in metadata.tables.values())
_PG_SCHEMA = text(f"SELECT current_database(), to_regclass('{message_table.name}')::oid::bigint")
_PG_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
_PG_SEES = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND classid::bigint = :high AND objid::bigint = :low"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_MY_SCHEMA = text("SELECT database()")


class Place:
    """The database of `engine`, where our tables are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._key = f"backbeat.place {engine.url}"

    def holds(self, connection: Connection) -> bool:
        """Whether what `connection` writes is here; if so, the tables are there."""
        if family_of(connection) != family_of(self._engine):
            return False
        match family_of(connection):
            case "sqlite":
                return self._is_file_of(connection)
            case "postgresql":
                return self._is_proven(connection, _PG_SCHEMA, _sees_postgresql_lock)
            case "mysql":
                return self._is_proven(connection, _MY_SCHEMA, _sees_mysql_lock)
        return False

    def _is_file_of(self, connection: Connection) -> bool:
        files = {row[1]: row[2] for row in connection.exec_driver_sql("PRAGMA database_list")}
        if not files.get("main") or not _same_file(files["main"], str(self._engine.url.database)):
            return False
        # on the user's connection: it may have the file's one write lock, and here tables come and go with a transaction
        if connection.execute(_LITE_COLUMNS).scalar_one() < _COLUMNS:
            metadata.create_all(connection)
            # tables of an earlier version are completed by whoever opens the file as a broker
            return bool(connection.execute(_LITE_COLUMNS).scalar_one() >= _COLUMNS)
        return True

    def _is_proven(
        self, connection: Connection, schema: Any, sees_lock: Callable[[Connection, Connection], bool]
    ) -> bool:
        known: _Schema | None = connection.info.get(self._key)
        if known is None:
            try:
                known = self._prove(connection, schema, sees_lock)
            except (SQLAlchemyError, ImproperlyConfigured) as error:
                # if it was theirs that failed, what is written next will say so
                logger.warning(
                    "it cannot be told whether the database of a transaction is the broker's own: %s",
                    error,
                    extra={"action": "place_unknown"},
                )
                return False
            connection.info[self._key] = known
        # where names lead may be changed from one transaction to the next (SET search_path, USE)
        return known != () and tuple(connection.execute(schema).one()) == known

    def _prove(
        self, theirs: Connection, schema: Any, sees_lock: Callable[[Connection, Connection], bool]
    ) -> _Schema:
        """What the names mean in both; () if they are two places."""
        ensure_tables(self._engine)
        with self._engine.begin() as ours:
            meant = tuple(ours.execute(schema).one())
            same = meant == tuple(theirs.execute(schema).one()) and sees_lock(ours, theirs)
        return meant if same else ()


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)  # noqa: PTH121 - both ways of asking are one call
    except FileNotFoundError:  # SQLite makes a file when it is first written
        return Path(one).resolve() == Path(other).resolve()


def _sees_postgresql_lock(ours: Connection, theirs: Connection) -> bool:
    key = secrets.randbits(63)
    ours.execute(_PG_LOCK, {"key": key})
    parts = {"high": key >> 32, "low": key & 0xFFFFFFFF}
    return bool(theirs.execute(_PG_SEES, parts).scalar_one())


def _sees_mysql_lock(ours: Connection, theirs: Connection) -> bool:
    name = {"name": f"backbeat.{secrets.token_hex(16)}"}
    if ours.execute(text("SELECT get_lock(:name, 0)"), name).scalar() != 1:
        return False
    try:
        holder = theirs.execute(text("SELECT is_used_lock(:name)"), name).scalar()
        return holder is not None and holder == ours.execute(text("SELECT connection_id()")).scalar()
    finally:
        ours.execute(text("SELECT release_lock(:name)"), name)
