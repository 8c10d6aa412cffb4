"""SqlGroups: keeps groups in the table bb_group, and where Celery's clients look, too; a SavedGroups."""

from __future__ import annotations

import json

from sqlalchemy import Connection, Engine, delete, select

from ..celery_place import CeleryPlace
from ..errors import DecodeError
from ..sql.dialect import dialect_of
from ..sql.engine import now_us, reading, unavailable
from ..sql.step import Over
from ..sql.tables import group_table
from .celery_rows import CeleryRows
from .compression import compressed_text, plain_text
from .groups import celerys_form, not_a_group


class SqlGroups:
    """`keep_seconds`, `compression` and `celery` as in Limits. The tables are there."""

    def __init__(
        self, engine: Engine, *, keep_seconds: float, compression: str | None, celery: CeleryPlace | None
    ) -> None:
        self._celery = celery
        self._engine = engine
        self._keep_us = round(keep_seconds * 1_000_000)
        self._compression = compression

    def save(self, id_: str, text: str, *, is_short: bool = False) -> None:
        stored = compressed_text(text, self._compression) if self._compression else text
        with unavailable(), self._engine.begin() as connection:
            now = now_us(connection)
            expires_us = now + self._keep_us if self._keep_us else None
            row = {"group_id": id_, "document": stored, "expires_us": expires_us}
            dialect_of(connection).write(connection, [Over(group_table, [row])])
            if self._celery is not None:
                rows = CeleryRows(connection, self._celery)
                listed = None if is_short else celerys_form(text)
                if listed is None:
                    rows.delete_group(id_)
                else:
                    rows.save_group(id_, listed, now)

    def load(self, id_: str) -> str | None:
        with reading(self._engine) as connection:
            query = select(group_table.c.document, group_table.c.expires_us)
            row = connection.execute(query.where(group_table.c.group_id == id_)).first()
            if row is None or (row.expires_us is not None and row.expires_us <= now_us(connection)):
                return self._saved_by_celery(connection, id_)
            return plain_text(row.document)

    def delete(self, id_: str) -> None:
        with unavailable(), self._engine.begin() as connection:
            connection.execute(delete(group_table).where(group_table.c.group_id == id_))
            if self._celery is not None:
                CeleryRows(connection, self._celery).delete_group(id_)

    def _saved_by_celery(self, connection: Connection, id_: str) -> str | None:
        if self._celery is None:
            return None
        try:
            found = CeleryRows(connection, self._celery).load_group(id_)
        except DecodeError as error:
            raise not_a_group(id_, str(error)) from error
        return None if found is None else json.dumps({"result": found})
