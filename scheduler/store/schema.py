"""Schema: the tables of a store that is opened for the first time, and the rows without which it is not complete."""

from __future__ import annotations

import uuid

from sqlalchemy import Connection, Engine, exists, select
from sqlalchemy.exc import SQLAlchemyError

from .statements import LEASE_NAME, Statements
from .tables import SCHEMA_VERSION, Tables

TRIES = 5


def create_tables(engine: Engine, tables: Tables) -> None:
    """Make what is missing. Of two beats that do so at once one meets a table that is there, and looks again."""
    engine.connect().close()  # a server that is not there is not asked five times
    for _ in range(TRIES - 1):
        try:
            tables.meta.metadata.create_all(engine, tables.all())
        except SQLAlchemyError:
            continue
        return
    tables.meta.metadata.create_all(engine, tables.all())


def schema_version(conn: Connection, tables: Tables) -> int | None:
    """None: the first rows are missing.

    It only reads: a complete store can be opened also while a frozen leader blocks all writing, and so the beat that
    shall end that leader can start.
    """
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
