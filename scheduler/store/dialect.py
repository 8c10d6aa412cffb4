"""Dialect: what MySQL and MariaDB need in CREATE TABLE, for schema.py and the migrations."""

from __future__ import annotations

from sqlalchemy import Connection


def mysql_options(conn: Connection) -> dict[str, str]:
    """Options of every table, by SQLAlchemy's names without `mysql_`; none for other servers.

    Names of entries differ by case and by spaces at their end, as everywhere else: the collation is a binary one that pads
    nothing, and the two servers have different names for it.
    """
    if conn.dialect.name != "mysql":
        return {}
    binary = "utf8mb4_nopad_bin" if getattr(conn.dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
    return {"engine": "InnoDB", "charset": "utf8mb4", "collate": binary}
