"""Wiring of the store: the one place that turns `--store URL` into a Store.

sqlite:///path/to/file.db     one host: WAL, synchronous FULL; no server
postgresql://user@host/db     several hosts (psycopg 3)
mysql://user@host/db          several hosts (PyMySQL); MariaDB too
memory://                     forgets everything when the process ends: trials and tests
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ...canvas.url_text import without_password
from .base import Store, StoreRefused
from .engine import open_engine
from .hint import Hint, NoHint
from .serials import NoSerials, Serials
from .session import NoSessions, Sessions
from .sqlite_file import set_aside, sqlite_path

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger(__name__)

_SQL = ("sqlite", "postgresql", "postgres", "mysql", "mariadb")

__all__ = ["BeatStore", "open_engine", "open_for_beat", "open_store", "set_damaged_aside"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatStore:
    """A store, with what helps its beats to follow a leader that has ended."""

    store: Store
    hint: Hint
    sessions: Sessions
    serials: Serials

    def close(self) -> None:
        """Let go of connections and of the hint."""
        self.hint.close()
        self.store.close()


def open_for_beat(url: str, *, cluster: str = "backbeat", lease_ttl_seconds: float = 10.0) -> BeatStore:
    """The store at `url` for a beat, which may lead: the store belongs to its cluster from now on. Raises what `open_store` raises."""
    kind = url.partition("://")[0].partition("+")[0]
    if kind not in _SQL:
        store = open_store(url, cluster=cluster, lease_ttl_seconds=lease_ttl_seconds)
        return BeatStore(store=store, hint=NoHint(), sessions=NoSessions(), serials=NoSerials())
    engine = open_engine(url, lease_ttl_seconds)
    if kind == "sqlite":
        from .hint_file import FileHint

        # one file has one hint, by whatever name it is opened
        hint: Hint = FileHint(Path(sqlite_path(url)).resolve())
    else:
        from .hint_sql import SqlHint

        hint = SqlHint(open_engine(url, lease_ttl_seconds))
    sessions: Sessions = NoSessions()
    if engine.dialect.name == "mysql":
        from .session_mysql import MysqlSessions

        sessions = MysqlSessions(engine)
    from sqlalchemy import MetaData

    from .serials_sql import SqlSerials
    from .statements import Statements
    from .tables import Tables

    serials = SqlSerials(engine, Statements(Tables.on(MetaData()), engine.dialect))
    store = _open_sql(engine, cluster, claims=True)
    return BeatStore(store=store, hint=hint, sessions=sessions, serials=serials)


def open_store(
    url: str,
    *,
    cluster: str | None = None,
    otherwise: str = "backbeat",
    lease_ttl_seconds: float = 10.0,
    make: bool = True,
) -> Store:
    """The store at `url`, with its tables made if they are missing; without `make` that is refused.

    `cluster` None: the one that the store belongs to, `otherwise` if it is nobody's yet.

    Raises:
        StoreRefused: the address is none of a store, its file is damaged, a newer backbeat has made it, or it belongs to
            another cluster.
        StoreDown: the database does not answer.
    """
    match url.partition("://")[0].partition("+")[0]:
        case "memory":
            from .memory import MemoryStore

            return MemoryStore(cluster or otherwise)
        case kind if kind in _SQL:
            return _open_sql(open_engine(url, lease_ttl_seconds), cluster, otherwise, make=make)
        case "redis" | "rediss" | "valkey":
            raise StoreRefused(
                "--store redis:// is not possible: the ledger must survive a restart and commit entry, cursor and firing"
                " together, which Redis promises only with settings that most servers do not have."
                " Use sqlite:///backbeat.db, postgresql://... or mysql://...; the broker may stay Redis"
            )
        case _:
            raise StoreRefused(
                f"--store {without_password(url)}: use sqlite:///path, postgresql://user@host/database"
                " or mysql://user@host/database"
            )


def set_damaged_aside(url: str) -> None:
    """Move a SQLite file that is damaged out of the way, and say so; anything else stays as it is."""
    if not url.startswith("sqlite"):
        return
    aside = set_aside(Path(sqlite_path(url)), f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    if aside is not None:
        log.error(
            "The damaged store was moved to %s. A new one begins: every schedule goes on from now, what was missed before is"
            " not caught up, and what was decided and not sent is lost",
            aside,
            extra={"action": "state_loss_accepted"},
        )


def _open_sql(
    engine: Engine, cluster: str | None, otherwise: str = "", *, claims: bool = False, make: bool = True
) -> Store:
    from sqlalchemy import MetaData

    from .cluster import check_cluster, claim_cluster, cluster_of
    from .schema import check_made, prepare_store
    from .sql import SqlStore
    from .statements import Statements
    from .tables import Tables
    from .transaction import errors_as_store_down

    statements = Statements(Tables.on(MetaData()), engine.dialect)
    try:
        with errors_as_store_down():
            if not make:
                check_made(engine, statements)
            prepare_store(engine, statements)
            if cluster is not None and claims:
                standing: str | None = claim_cluster(engine, statements, cluster)
            else:
                standing = cluster_of(engine, statements)
        if standing is not None and cluster is not None:
            check_cluster(standing, cluster)
    except BaseException:
        engine.dispose()
        raise
    return SqlStore(engine, MetaData(), standing or cluster or otherwise)
