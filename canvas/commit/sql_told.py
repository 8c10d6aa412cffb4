"""What is told of tasks that have not ended, in a SQL database. No row is locked for it: what is there is read, and replaced if it is still that."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select, update

from ..results.compression import plain_text
from ..results.document import from_text
from ..sql.dialect import dialect_of
from ..sql.step import Missing, Tell
from ..sql.tables import result_table


def tell(connection: Connection, texts: Mapping[str, str], expires_us: int | None) -> None:
    """Write these documents, by task id, but where the task has ended."""
    table = result_table.c
    query = select(table.task_id, table.document).where(table.task_id.in_(sorted(texts)))
    known = {row.task_id: row.document for row in connection.execute(query)}
    for id_, text in sorted(texts.items()):
        row = {"task_id": id_, "document": text, "expires_us": expires_us}
        before = known.get(id_)
        if before is None:
            dialect_of(connection).write(connection, [Missing(result_table, [row])])
        elif not from_text(plain_text(before)).ready:
            same = (table.task_id == id_) & (table.document == before)
            connection.execute(update(result_table).where(same).values(document=text, expires_us=expires_us))
    dialect_of(connection).write(connection, [Tell("bb_result", list(texts))])
