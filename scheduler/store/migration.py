"""Migration: brings a store that an older backbeat has made up to date. Alembic is imported when there is something to do.

The version of a store is the row `schema_version` of bb_meta, and nothing else: a new store is made whole and has the newest.
Each script of migrations/ is one step; step and row are committed together, where the server can (not MySQL: there a step
that was interrupted is done again, and finds out what is done). Downgrades do not exist: a newer store is refused.
"""

from __future__ import annotations

import logging
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, text

from .tables import SCHEMA_VERSION

log = logging.getLogger(__name__)

_SET_VERSION = text("UPDATE bb_meta SET number = :number WHERE name = 'schema_version'")


def upgrade(engine: Engine, to: int = SCHEMA_VERSION) -> list[int]:
    """Bring a store up to version `to`; the versions that it went through, oldest first. Idempotent; two may do it at once."""
    done: list[int] = []
    for script in _scripts():
        number = int(script.revision)
        if number <= to and _step(engine, script, number):
            log.warning(
                "The store's tables are now of version %d", number, extra={"action": "store_upgraded"}
            )
            done.append(number)
    return done


def make_first(conn: Connection) -> None:
    """Make the tables of version 1, without rows: what the first release made."""
    _run(conn, _scripts()[0])


def _step(engine: Engine, script: Script, number: int) -> bool:
    with engine.connect() as conn:
        if conn.dialect.name == "sqlite":
            conn.exec_driver_sql("BEGIN IMMEDIATE")
        if _version(conn) >= number:
            conn.rollback()
            return False
        _run(conn, script)
        conn.execute(_SET_VERSION, {"number": number})
        conn.commit()
    return True


def _version(conn: Connection) -> int:
    """The version, read so that whoever upgrades at the same time comes after us."""
    lock = "" if conn.dialect.name == "sqlite" else " FOR UPDATE"
    found = conn.execute(text(f"SELECT number FROM bb_meta WHERE name = 'schema_version'{lock}"))
    return int(found.scalar_one())


def _run(conn: Connection, script: Script) -> None:
    # given, not installed as Alembic's global `op`: a process may hold more than one store
    script.module.upgrade(Operations(MigrationContext.configure(conn)))


def _scripts() -> list[Script]:
    """All scripts, oldest first."""
    directory = ScriptDirectory(str(Path(__file__).parent / "migrations"))
    return list(directory.walk_revisions())[::-1]
