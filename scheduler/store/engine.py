"""Engine: a SQLAlchemy engine for a store, with the limits under which a session of a leader may live.

A leader that is frozen inside its transaction keeps the lease row locked, and nobody can take over. So each session is ended
by the server when it idles inside a transaction for a quarter of the lease's TTL, and waits for a lock for half of it at most
(reliability 1.2). SQLite has no server: there a candidate ends the frozen process (decisions B11). MySQL has no such limit:
there a candidate ends the session (session.py). The other way round, a server that takes requests and does not answer is given
up after a TTL, or after four seconds where that is longer.

SQLAlchemy is imported on first use, so that a command that needs no store does not pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import StoreRefused
from .sqlite_file import prepare_file, sqlite_path

if TYPE_CHECKING:
    from sqlalchemy import Engine

_LOCKED_TABLES = ("bb_lease", "bb_entry", "bb_batch", "bb_firing")
"""Whose rows a leader's transactions hold."""
PATIENT_SECONDS = 3600.0
"""For a command that reads or changes whole tables, which somebody started and can end: see `open_engine`."""
DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
"""The driver that stands for a scheme without one."""


def with_driver(url: str) -> str:
    """The address with the driver that we speak to it with: `mysql://` is `mysql+pymysql://`."""
    scheme, _, rest = url.partition("://")
    return f"{DRIVERS.get(scheme, scheme)}://{rest}"


def open_engine(url: str, lease_ttl_seconds: float = 10.0, answer_seconds: float | None = None) -> Engine:
    """An engine whose sessions do not block a take-over for longer than the lease allows. Connects to nothing yet.

    A server that has not answered a statement within `answer_seconds` (default: a TTL, at least 4 s) is taken for lost.

    Raises StoreRefused for a scheme that is none of them, when the driver is not installed, and for a SQLite file that must not be used (see sqlite_file.py).
    """
    url = with_driver(url)
    answer_seconds = answer_seconds or max(4.0, lease_ttl_seconds)
    try:
        match url.partition("://")[0].partition("+")[0]:
            case "sqlite":
                return _open_sqlite(url, lease_ttl_seconds)
            case "mysql":
                return _open_mysql(url, lease_ttl_seconds, answer_seconds)
            case "postgresql":
                return _open_postgresql(url, lease_ttl_seconds, answer_seconds)
            case scheme:
                raise StoreRefused(
                    f'"{scheme}" is no store: use sqlite:///file.db, postgresql:// or mysql:// (or mariadb://)'
                )
    except ModuleNotFoundError as missing:
        extra = "mysql" if url.startswith("mysql") else "postgres"
        raise StoreRefused(
            f"{url.partition('://')[0]} needs a driver, {missing.name}: pip install 'backbeat[{extra}]'"
        ) from missing


def _open_sqlite(url: str, lease_ttl_seconds: float) -> Engine:
    from sqlalchemy import create_engine, event

    prepare_file(sqlite_path(url))
    engine = create_engine(url, connect_args={"timeout": min(5.0, lease_ttl_seconds / 2)})

    def prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # FULL: a decision that was answered survives a power cut; it costs nothing that could be measured (feasibility 3).
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    event.listen(engine, "connect", prepare)
    return engine


def _open_postgresql(url: str, lease_ttl_seconds: float, answer_seconds: float) -> Engine:
    from sqlalchemy import create_engine

    from ...canvas.sql.bounded_postgresql import bound_answers, bound_sessions
    from ...canvas.sql.engine import warn_unless_verified
    from ...canvas.sql.silent_session import end_silent_sessions

    seconds = max(1, round(lease_ttl_seconds / 4))
    limits = {
        "connect_timeout": max(2, seconds),
        "keepalives_idle": seconds,
        "tcp_user_timeout": seconds * 2000,
    }
    # whatever the database's default is: under SERIALIZABLE editors and leader would end each other's transactions
    engine = create_engine(url, connect_args=limits, isolation_level="READ COMMITTED")
    warn_unless_verified(engine.url)
    bound_answers(engine, answer_seconds)
    bound_sessions(
        engine,
        lock_seconds=lease_ttl_seconds / 2,
        idle_seconds=lease_ttl_seconds / 4,
        statement_seconds=answer_seconds * 0.9,
    )
    end_silent_sessions(engine, _LOCKED_TABLES, lease_ttl_seconds / 4)
    return engine


def _open_mysql(url: str, lease_ttl_seconds: float, answer_seconds: float) -> Engine:
    from pymysql.constants import CLIENT
    from sqlalchemy import create_engine, event

    from ...canvas.sql.engine import warn_unless_verified

    seconds = max(1, round(lease_ttl_seconds / 4))
    limits = {
        "charset": "utf8mb4",
        "connect_timeout": max(2, seconds),
        # longer than any lock wait, so that only a dead connection meets it
        "read_timeout": round(answer_seconds),
        "write_timeout": round(answer_seconds),
        # a compare-and-set counts the rows that it found: by default MySQL counts those whose values became different
        "client_flag": CLIENT.FOUND_ROWS,
    }
    # READ COMMITTED: each statement sees what is committed, and a locking read locks rows that exist and no gaps between them
    engine = create_engine(url, connect_args=limits, isolation_level="READ COMMITTED")
    warn_unless_verified(engine.url)

    def prepare(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {max(1, round(lease_ttl_seconds / 2))}")
            # strict: a value that does not fit is an error, never cut off
            cursor.execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'")
            if "MariaDB" in connection.get_server_info():
                cursor.execute(f"SET SESSION idle_transaction_timeout = {seconds}")

    event.listen(engine, "connect", prepare)
    return engine
