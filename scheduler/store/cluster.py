"""Cluster: which cluster a store belongs to: the name that the ids of its firings derive from (decisions B1).

The first beat over a store puts its own there. Beats of another name are refused; commands take what stands there, so that nobody
need tell them. The row is read first: a beat can start while a frozen leader blocks all writing.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, select

from .base import StoreRefused
from .statements import Statements

_ROW = "cluster"


def cluster_of(engine: Engine, statements: Statements) -> str | None:
    """The cluster that the store belongs to; None for none yet."""
    with engine.connect() as conn:
        return cluster_in(conn, statements)


def cluster_in(conn: Connection, statements: Statements) -> str | None:
    """The same, for who is in a transaction: a beat may have come since the store was opened."""
    meta = statements.tables.meta.c
    name: str | None = conn.execute(select(meta.text).where(meta.name == _ROW)).scalar()
    return name


def claim_cluster(engine: Engine, statements: Statements, name: str) -> str:
    """See to it that the store belongs to a cluster: to this one, if it was nobody's. The name that stands."""
    standing = cluster_of(engine, statements)
    if standing is None:
        row = {"name": _ROW, "number": 0, "text": name}
        with engine.connect() as conn:
            conn.execute(statements.insert_new(statements.tables.meta).values(row))
            conn.commit()
        standing = cluster_of(engine, statements)
    assert standing is not None
    return standing


def check_cluster(standing: str, named: str) -> None:
    """Raise StoreRefused for a name that is not the store's."""
    if standing != named:
        raise StoreRefused(
            f"the store belongs to the cluster {standing!r}, not to {named!r}, and the ids of its firings derive from that name:"
            f" start with --cluster {standing}, or with a --store of its own"
        )
