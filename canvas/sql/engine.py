"""Engine: a SQLAlchemy engine for a backbeat URL, with what each database needs to be safe and quick."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
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

BUSY_SECONDS = 15
ANSWER_SECONDS = 30.0
"""A server that has not answered a statement by then is taken for lost."""
_UNVERIFIED = frozenset(["allow", "prefer", "require", "verify-ca"])
"""What may be asked for with `sslmode` and lets another server in (verify-ca: any that the same authority knows); verify-full does not."""
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


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
            f"{without_password(url)} is not a database URL: {error_text(error, url)}. Write sqlite:///file or postgresql://host/db."
        ) from None
    return parsed if "+" in scheme else parsed.set(drivername=_DRIVERS[base])


def open_engine(url: str) -> Engine:
    """An engine for a SQL URL. SQLite: WAL, synchronous=FULL, transactions that begin as writers; its directory is made."""
    parsed = sql_url(url)
    if parsed is None:
        raise ImproperlyConfigured(
            f"{without_password(url)} is not a SQL database. Write sqlite:///file or postgresql://user@host/db."
        )
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    try:
        from .bounded_postgresql import bound_answers

        warn_unless_verified(parsed)

        engine = create_engine(
            parsed, pool_pre_ping=True, pool_size=5, max_overflow=20, connect_args={"connect_timeout": 4}
        )
    except ModuleNotFoundError as error:
        raise ImproperlyConfigured(
            f"{parsed.drivername} needs a driver: pip install 'backbeat[postgres]'"
        ) from error
    bound_answers(engine, ANSWER_SECONDS)
    return engine


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
        only_reads = connection.get_execution_options().get("only_reads", False)
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")

    return engine


_PASSING = re.compile(r"deadlock|could not serialize|database is locked|lock timeout", re.IGNORECASE)


def is_passing(error: DBAPIError) -> bool:
    """True for a conflict with another transaction, after which the same transaction may be tried again."""
    return _PASSING.search(str(error.orig)) is not None


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads, and is rolled back. Raises Unavailable."""
    with unavailable(), engine.connect().execution_options(only_reads=True) as connection:
        yield connection
        connection.rollback()


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
        first, *_ = str(error.orig).strip().splitlines() or [""]
        raise EncodeError(f"the database refuses it: {first}") from error


def unreachable(cause: object) -> Unavailable:
    """What a driver's error means, in one line."""
    first, *_ = str(cause).strip().splitlines() or [type(cause).__name__]
    return Unavailable(f"the database cannot be reached: {first}")


def now_us(connection: Connection) -> int:
    """The database's clock. SQLite has the machine's."""
    if connection.dialect.name == "postgresql":
        return int(
            connection.execute(
                text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            ).scalar_one()
        )
    import time

    return time.time_ns() // 1000
