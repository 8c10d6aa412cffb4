"""SqlGroups: keeps groups in the table bb_group; a SavedGroups."""

from __future__ import annotations

from sqlalchemy import Engine, delete, select

from ..sql.dialect import dialect_of
from ..sql.engine import now_us, reading, unavailable
from ..sql.tables import group_table
from .compression import compressed_text, plain_text


class SqlGroups:
    """`keep_seconds` and `compression` as in Limits. The tables are there."""

    def __init__(self, engine: Engine, *, keep_seconds: float, compression: str | None) -> None:
        self._engine = engine
        self._keep_us = round(keep_seconds * 1_000_000)
        self._compression = compression

    def save(self, id_: str, text: str, *, is_short: bool = False) -> None:  # noqa: ARG002 - no client of Celery's looks here
        stored = compressed_text(text, self._compression) if self._compression else text
        with unavailable(), self._engine.begin() as connection:
            expires_us = now_us(connection) + self._keep_us if self._keep_us else None
            row = {"group_id": id_, "document": stored, "expires_us": expires_us}
            connection.execute(dialect_of(connection).overwrite(group_table, tuple(row)), [row])

    def load(self, id_: str) -> str | None:
        with reading(self._engine) as connection:
            query = select(group_table.c.document, group_table.c.expires_us)
            row = connection.execute(query.where(group_table.c.group_id == id_)).first()
            if row is None or (row.expires_us is not None and row.expires_us <= now_us(connection)):
                return None
            return plain_text(row.document)

    def delete(self, id_: str) -> None:
        with unavailable(), self._engine.begin() as connection:
            connection.execute(delete(group_table).where(group_table.c.group_id == id_))
