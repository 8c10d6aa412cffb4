"""Column types of canvas/sql/tables.py: texts that are compared byte by byte, and that end nowhere, in every database.

MySQL and MariaDB compare texts by a collation, where "a" is "A" and "ä" by default, and their TEXT ends at 64 kB.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect, String, Text
from sqlalchemy.ext.compiler import compiles


def binary_collation(dialect: Dialect) -> str:
    """The collation in which texts are equal only if all their characters are, those at the end included.

    MySQL and MariaDB have different names for it; utf8mb4_bin, which both know, passes over spaces at the end.
    """
    return "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


class Key(String):
    """The name of a thing: what is looked for, and what indexes are made of."""


class LongText(Text):
    """Text of any length."""


@compiles(Key, "mysql", "mariadb")
def _key(type_: Key, compiler: Any, **_: object) -> str:
    return f"VARCHAR({type_.length}) CHARACTER SET utf8mb4 COLLATE {binary_collation(compiler.dialect)}"


@compiles(LongText, "mysql", "mariadb")
def _long_text(_type: LongText, compiler: Any, **_: object) -> str:
    return f"LONGTEXT CHARACTER SET utf8mb4 COLLATE {binary_collation(compiler.dialect)}"
