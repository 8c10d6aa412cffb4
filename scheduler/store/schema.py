"""Schema: a store as this backbeat needs it: made when it is new, brought up to date or refused when it is not.

no store yet     made whole, with its first rows
this version     used; two rows are read and nothing is written
older, SQLite    upgraded at once: its file belongs to this host
older, server    refused: `backbeat db upgrade` does it when its owner wants
newer            refused
"""

from __future__ import annotations

import uuid

from sqlalchemy import Connection, Engine, exists, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from .base import StoreRefused
from .dialect import mysql_options
from .statements import LEASE_NAME, Statements
from .tables import SCHEMA_VERSION, Tables

TRIES = 5


def check_made(engine: Engine, statements: Statements) -> None:
    """Raise StoreRefused where there is no store, of any version; and what SQLAlchemy raises."""
    with engine.connect() as conn:
        if schema_version(conn, statements.tables) is None:
            place = engine.url.render_as_string(hide_password=True)
            raise StoreRefused(f"there is no store at {place} yet: no beat has run with it")


def prepare_store(engine: Engine, statements: Statements) -> None:
    """See to it that the store can be used. Raises StoreRefused, and what SQLAlchemy raises."""
    tables = statements.tables
    with engine.connect() as conn:
        version = schema_version(conn, tables)
    if version is None:
        create_tables(engine, tables)
        with engine.connect() as conn:
            if conn.dialect.name == "sqlite":
                conn.exec_driver_sql("BEGIN IMMEDIATE")  # waits for the lock where nothing is lost yet
            seed(conn, statements)
            conn.commit()
    elif version > SCHEMA_VERSION:
        raise StoreRefused(
            f"the store has schema version {version}, this backbeat knows {SCHEMA_VERSION}: use a newer backbeat"
        )
    elif version < SCHEMA_VERSION:
        if engine.dialect.name != "sqlite":
            raise StoreRefused(
                f"the store has schema version {version}, this backbeat needs {SCHEMA_VERSION}: run `backbeat db upgrade`."
                " Beats of the older version may go on meanwhile"
            )
        from .migration import upgrade

        upgrade(engine)


def create_tables(engine: Engine, tables: Tables) -> None:
    """Make what is missing. Of two beats that do so at once one meets a table that is there, and looks again."""
    with engine.connect() as conn:  # a server that is not there is not asked five times
        options = mysql_options(conn)
    for table in tables.all():
        table.dialect_options["mysql"].update(options)
    for _ in range(TRIES + len(tables.all())):  # each try may meet another table that came to be meanwhile
        try:
            tables.meta.metadata.create_all(engine, tables.all())
        except SQLAlchemyError:
            continue
        return
    tables.meta.metadata.create_all(engine, tables.all())


def schema_version(conn: Connection, tables: Tables) -> int | None:
    """None: the store does not exist, or its first rows are missing.

    It only reads: a complete store can be opened also while a frozen leader blocks all writing, and so the beat that
    shall end that leader can start.
    """
    if not inspect(conn).has_table(tables.meta.name) or not inspect(conn).has_table(tables.lease.name):
        return None
    meta, lease = tables.meta.c, tables.lease.c
    seeded = exists(select(lease.name).where(lease.name == LEASE_NAME))
    version: int | None = conn.execute(
        select(meta.number).where(meta.name == "schema_version", seeded)
    ).scalar()
    return version


def seed(conn: Connection, statements: Statements) -> None:
    """The first rows; those that are there stay. The store id is drawn once, when the store is made (decisions B12)."""
    tables = statements.tables
    first = (("schema_version", SCHEMA_VERSION, ""), ("revision", 1, ""), ("store_id", 0, uuid.uuid4().hex))
    for name, number, text in first:
        conn.execute(statements.insert_new(tables.meta).values(name=name, number=number, text=text))
    nobody = {"name": LEASE_NAME, "holder": "", "epoch": 0, "renewal": 0, "ttl_ms": 0, "info": ""}
    conn.execute(statements.insert_new(tables.lease).values(nobody))
