"""Wiring of the store: the one place that turns `--store URL` into a Store.

    sqlite:///path/to/file.db     one host: WAL, synchronous FULL; no server
    postgresql://user@host/db     several hosts (psycopg 3)
    memory://                     forgets everything when the process ends: trials and tests

SQLAlchemy is imported on first use, so that a command that needs no store does not pay for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .base import Store, StoreRefused

if TYPE_CHECKING:
    from sqlalchemy import Engine

_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


def open_store(url: str, *, cluster: str = "backbeat", lease_ttl_seconds: float = 10.0) -> Store:
    """The store at `url`, with its tables made if they are missing.

    Raises:
        StoreRefused: the address is none of a store, or the store was made by a newer backbeat.
        StoreDown: the database does not answer.
    """
    scheme, _, rest = url.partition("://")
    match scheme.partition("+")[0]:
        case "memory":
            from .memory import MemoryStore

            return MemoryStore(cluster)
        case "sqlite" | "postgresql" | "postgres":
            from sqlalchemy import MetaData

            from .sql import SqlStore

            store = SqlStore(
                open_engine(f"{_DRIVERS.get(scheme, scheme)}://{rest}", lease_ttl_seconds),
                MetaData(),
                cluster,
            )
            store.create()
            return store
        case "redis" | "rediss" | "valkey":
            raise StoreRefused(
                "--store redis:// is not possible: the ledger must survive a restart and commit entry, cursor and firing"
                " together, which Redis promises only with settings that most servers do not have."
                " Use sqlite:///backbeat.db or postgresql://...; the broker may stay Redis"
            )
        case _:
            raise StoreRefused(
                f"--store {_without_password(url)}: use sqlite:///path or postgresql://user@host/database"
            )


def open_engine(url: str, lease_ttl_seconds: float = 10.0) -> Engine:
    """An engine whose sessions do not outlive the lease: nobody may block the take-over for longer (reliability 1.2)."""
    from sqlalchemy import create_engine, event

    if url.startswith("sqlite"):
        Path(url.partition(":///")[2]).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": min(5.0, lease_ttl_seconds / 2)})
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    seconds = max(1, round(lease_ttl_seconds / 4))
    limits = {
        "connect_timeout": max(2, seconds),
        "keepalives_idle": seconds,
        "tcp_user_timeout": seconds * 2000,
    }
    engine = create_engine(url, connect_args=limits)

    def prepare(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {round(lease_ttl_seconds * 250)}")
            cursor.execute(f"SET lock_timeout = {round(lease_ttl_seconds * 500)}")
        connection.commit()

    event.listen(engine, "connect", prepare)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL: a decision that was answered survives a power cut; it costs nothing that could be measured (feasibility 3).
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", ":***@") if parts.password else url
