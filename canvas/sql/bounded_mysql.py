"""Connections to MySQL and MariaDB, by PyMySQL, that wait for nothing for ever and say what they refuse.

What a session needs is set when it is opened: READ COMMITTED, so that who has waited for a row then sees what is committed
(decisions K3), and so that a locking read locks rows and not the gaps between them; a strict mode, so that a value which does not fit
is an error and not cut off; and how long it waits for a lock. MariaDB ends a session that idles inside a transaction, as one of a
frozen process does; MySQL cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymysql import Connection
from pymysql.constants import CLIENT, ER
from pymysql.err import DataError, OperationalError
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL

from ..errors import ImproperlyConfigured
from .pinged import ping_before_use

CONNECT_SECONDS = 4
STATEMENT_BYTES = 1_000_000
"""Rows that are inserted together make statements of this size at most."""
_OLDEST = {"MariaDB": (10, 6), "MySQL": (8, 0, 17)}
"""They have SKIP LOCKED, and the collation of types.py."""
_REFUSED = {
    ER.NET_PACKET_TOO_LARGE,
    ER.TOO_BIG_ROWSIZE,
    ER.INVALID_CHARACTER_STRING,
    ER.TRUNCATED_WRONG_VALUE_FOR_FIELD,
}
"""Errors that lie in the value that was to be stored."""


class BoundedConnection(Connection):
    """Knows how much the server takes in one packet: who sends more is cut off, often before the reason arrives."""

    packet_bytes = 2**30

    def query(self, sql: str | bytes | bytearray, unbuffered: bool = False) -> int:
        """Send one statement. Raises DataError for what cannot be stored for its own fault."""
        try:
            sent = sql.encode(self.encoding) if isinstance(sql, str) else sql
        except UnicodeEncodeError as error:
            raise DataError(ER.INVALID_CHARACTER_STRING, f"a text is no UTF-8: {error.reason}") from error
        if len(sent) >= self.packet_bytes:
            raise DataError(
                ER.NET_PACKET_TOO_LARGE,
                f"{len(sent)} bytes in one statement; the server's max_allowed_packet is {self.packet_bytes}",
            )
        try:
            return int(super().query(sent, unbuffered))
        except OperationalError as error:
            if error.args and error.args[0] in _REFUSED:
                raise DataError(*error.args) from error
            raise

    def cursor(self, cursor: Any = None) -> Any:
        opened = super().cursor(cursor)
        opened.max_stmt_length = min(STATEMENT_BYTES, self.packet_bytes // 2)
        return opened


def open_mysql(url: URL, *, answer_seconds: float, lock_seconds: int, idle_seconds: int) -> Engine:
    """An engine for a `mysql+pymysql` URL; a server that has not answered a statement in time is taken for lost.

    A statement waits for a lock, and a session of MariaDB idles inside a transaction, for so long at most.

    Raises ImproperlyConfigured for a URL without a database, and on connecting where the server is too old.
    """
    if not url.database:
        raise ImproperlyConfigured(f"{url.render_as_string()} names no database. Write mysql://user@host/db.")
    options = {
        "charset": "utf8mb4",
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": answer_seconds,
        "write_timeout": answer_seconds,
        # an UPDATE counts the rows that it found: by default those that became different
        "client_flag": CLIENT.FOUND_ROWS,
        "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
        # what stands in the comment is for MariaDB alone
        "init_command": f"SET SESSION innodb_lock_wait_timeout = {lock_seconds}"
        f" /*M!100303 , idle_transaction_timeout = {idle_seconds} */",
    }
    engine = create_engine(
        url,
        pool_size=5,
        max_overflow=20,
        connect_args=options,
        isolation_level="READ COMMITTED",
    )
    ping_before_use(engine)

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: object, _record: object, args: Sequence[Any], named: dict[str, Any]) -> Any:
        return BoundedConnection(*args, **named)

    @event.listens_for(engine, "connect")
    def _prepare(connection: BoundedConnection, _record: object) -> None:
        dialect: Any = engine.dialect
        refuse_old("MariaDB" if dialect.is_mariadb else "MySQL", dialect.server_version_info)
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@max_allowed_packet")
            (connection.packet_bytes,) = cursor.fetchone()

    return engine


def refuse_old(product: str, version: tuple[int, ...]) -> None:
    """Raises ImproperlyConfigured for a server that lacks what the queue needs."""
    oldest = _OLDEST[product]
    if version < oldest:
        found, needed = (".".join(map(str, each)) for each in (version, oldest))
        raise ImproperlyConfigured(
            f"{product} {found} is too old to carry messages. Use {product} {needed} or later."
        )
