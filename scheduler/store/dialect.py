"""Dialect: what MySQL and MariaDB need in CREATE TABLE, for schema.py and the migrations."""

from __future__ import annotations

from sqlalchemy import Connection

from ...canvas.sql.types import binary_collation


def mysql_options(conn: Connection) -> dict[str, str]:
    """Options of every table, by SQLAlchemy's names without `mysql_`; none for other servers.

    Names of entries differ by case and by spaces at their end, as everywhere else: the collation is a binary one that pads
    nothing.
    """
    if conn.dialect.name != "mysql":
        return {}
    return {"engine": "InnoDB", "charset": "utf8mb4", "collate": binary_collation(conn.dialect)}
