"""Moment: the database's time in one transaction. It is asked for once, when it is first needed, and along with what is looked for just then."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Row, Select

from .dialect import dialect_of


@dataclass(slots=True)
class Moment:
    """That of the transaction that a connection is in."""

    connection: Connection
    _us: int | None = None

    @property
    def us(self) -> int:
        """Microseconds."""
        if self._us is None:
            self._us = dialect_of(self.connection).now_us(self.connection)
        return self._us

    def after(self, seconds: float) -> int | None:
        """When what is kept for so many seconds from now on is deleted, in microseconds; None, which is never, for 0."""
        return self.us + round(seconds * 1_000_000) if seconds else None

    def find(self, query: Select[Any], key: Column[Any], keys: Collection[Any]) -> Sequence[Row[Any]]:
        """As Dialect.find."""
        dialect = dialect_of(self.connection)
        if self._us is not None:
            return dialect.find(self.connection, query, key, keys)
        self._us, rows = dialect.find_now(self.connection, query, key, keys)
        return rows
