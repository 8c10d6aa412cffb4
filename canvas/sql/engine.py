"""Engine: a SQLAlchemy engine for a backbeat URL, with what each database needs to be safe and quick."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..errors import EncodeError, ImproperlyConfigured, Unavailable
from ..url_text import error_text, without_password
from .dialect import dialect_of
from .pinged import ping_before_use

BUSY_SECONDS = 15
ANSWER_SECONDS = 30.0
"""A server that has not answered a statement by then is taken for lost."""
LOCK_SECONDS = 3
"""How long a statement waits for a lock. Transactions that lose are tried again for 10 s (commit/sql.py)."""
FROZEN_SECONDS = 15
"""After it a session that idles inside a transaction is ended. One that writes a million messages in a step idles for some seconds."""
_UNVERIFIED = frozenset(["allow", "prefer", "require", "verify-ca"])
"""What may be asked for with `sslmode` and lets another server in (verify-ca: any that the same authority knows); verify-full does not."""
_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}


def sql_url(url: str) -> URL | None:
    """The SQLAlchemy URL of a broker, result or store URL (`sqla+`, `db+` and plain forms); None if it is not SQL."""
    plain = re.sub(r"^(sqla|sqlalchemy|db)\+", "", url)
    scheme = plain.split(":", 1)[0]
    base = scheme.split("+", 1)[0]
    if base not in _DRIVERS:
        return None
    try:
        parsed = make_url(plain)
    except (ArgumentError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{without_password(url)} is not a database URL: {error_text(error, url)}. "
            "Write sqlite:///file, postgresql://host/db or mysql://host/db."
        ) from None
    if "+" not in scheme:
        return parsed.set(drivername=_DRIVERS[base])
    # SQLAlchemy has a second name for MariaDB, whose server tells by itself what it is
    return parsed.set(drivername=parsed.drivername.replace("mariadb+", "mysql+"))


def open_engine(url: str) -> Engine:
    """An engine for a SQL URL. SQLite: WAL, synchronous=FULL, transactions that begin as writers; its directory is made."""
    parsed = sql_url(url)
    if parsed is None:
        raise ImproperlyConfigured(
            f"{without_password(url)} is not a SQL database. Write sqlite:///file, postgresql://user@host/db or mysql://user@host/db."
        )
    backend = parsed.get_backend_name()
    try:
        warn_unless_verified(parsed)
        match backend:
            case "sqlite":
                return _open_sqlite(parsed)
            case "mysql":
                return _open_mysql(parsed)
            case _:
                return _open_postgresql(parsed)
    except ModuleNotFoundError as error:
        extra = "mysql" if backend == "mysql" else "postgres"
        raise ImproperlyConfigured(
            f"{parsed.drivername} needs a driver: pip install 'backbeat[{extra}]'"
        ) from error


def _open_postgresql(url: URL) -> Engine:
    from .bounded_postgresql import bound_answers, bound_sessions
    from .silent_session import end_silent_sessions
    from .tables import metadata

    engine = create_engine(url, pool_size=5, max_overflow=20, connect_args={"connect_timeout": 4})
    ping_before_use(engine)
    bound_answers(engine, ANSWER_SECONDS)
    bound_sessions(
        engine,
        lock_seconds=LOCK_SECONDS,
        idle_seconds=FROZEN_SECONDS,
        statement_seconds=ANSWER_SECONDS * 0.9,
    )
    end_silent_sessions(engine, sorted(metadata.tables), FROZEN_SECONDS)
    return engine


def _open_mysql(url: URL) -> Engine:
    if url.drivername != _DRIVERS["mysql"]:
        raise ImproperlyConfigured(
            f"{url.drivername}:// is another driver than the one that is used, PyMySQL. Write mysql://user@host/db."
        )
    from .bounded_mysql import open_mysql

    return open_mysql(
        url, answer_seconds=ANSWER_SECONDS, lock_seconds=LOCK_SECONDS, idle_seconds=FROZEN_SECONDS
    )


def warn_unless_verified(url: URL) -> None:
    """One warning where a URL asks for an encrypted connection and not for proof of who is at its other end."""
    query = url.query
    if url.get_backend_name() == "postgresql":
        is_verified = query.get("sslmode") not in _UNVERIFIED
    else:
        is_verified = not any(name.startswith("ssl") for name in query) or (
            bool({"ssl_ca", "ssl_capath"} & query.keys())
            and str(query.get("ssl_check_hostname", "true")).lower() not in ("false", "0")
        )
    if not is_verified:
        from ..tls import warn_unverified

        warn_unverified(f"the database {url.host}")


def _open_sqlite(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise ImproperlyConfigured(
            "an SQLite database needs a file that can be shared. Write sqlite:///file or sqlite:////path/to/file."
        )
    assert url.database is not None
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"the directory of {url.database} cannot be made: {error}") from error
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin where we say so, see below
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_SECONDS * 1000}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # a transaction that reads first and writes later fails at once when another one wrote in between; one that only reads
        # need not wait for writers
        options = connection.get_execution_options()
        if options.get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN" if options.get("only_reads", False) else "BEGIN IMMEDIATE")

    return engine


_PASSING = re.compile(r"deadlock|could not serialize|database is locked|lock timeout", re.IGNORECASE)
_PASSING_MYSQL = {1020, 1205, 1213}
"""The row changed since it was read; a lock took too long; a deadlock."""


def is_passing(error: DBAPIError) -> bool:
    """True for a conflict with another transaction, after which the same transaction may be tried again."""
    return _said(error.orig)[0] in _PASSING_MYSQL or _PASSING.search(str(error.orig)) is not None


def _said(cause: object) -> tuple[int, str]:
    """Number and text of an error that has both, as those of MySQL's driver have; else 0 and the text."""
    match getattr(cause, "args", ()):
        case (int(number), str(text), *_):
            return number, text
    return 0, str(cause)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads. Raises Unavailable."""
    with unavailable(), engine.connect().execution_options(only_reads=True) as connection:
        yield connection
        # not rolled back: for that psycopg forgets every prepared statement of the connection, and tells the server to
        connection.commit()


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn a lost or refused connection into Unavailable, without the password."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise unreachable(error.orig) from error
    except InternalError as error:
        # a session that idled in a transaction for too long is ended by the server, and this is what it is called
        if not error.connection_invalidated:
            raise
        raise unreachable(error.orig) from error
    except PoolTimeout as error:
        raise unreachable(error) from error
    except DataError as error:
        first, *_ = _said(error.orig)[1].strip().splitlines() or [""]
        raise EncodeError(f"the database refuses it: {first}") from error


def unreachable(cause: object) -> Unavailable:
    """What a driver's error means, in one line."""
    first, *_ = _said(cause)[1].strip().splitlines() or [type(cause).__name__]
    return Unavailable(f"the database cannot be reached: {first}")


def now_us(connection: Connection) -> int:
    """The database's clock; this machine's for SQLite, and for a user's database of another kind."""
    try:
        dialect = dialect_of(connection)
    except KeyError:
        return time.time_ns() // 1000
    return dialect.now_us(connection)
