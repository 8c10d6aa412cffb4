"""CeleryRows: results and saved groups in the tables of Celery's database backend, which its clients and workers read and write, too.

They lie there besides our own tables, written in the same transaction. What a canvas stands on (runs, joins, chains) is in ours alone.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.exc import DBAPIError

from ..celery_place import CeleryPlace
from ..outcome import READY_STATES, State
from ..sql.celery_tables import LONGEST_NAME, celery_tables
from ..sql.dialect import dialect_of
from ..sql.engine import is_passing
from .celery_row import Row, document_of_row, row_of, value_of_blob, value_to_blob
from .document import Document

logger = logging.getLogger(__name__)

SLICE = 500
"""Ids in one statement."""
FORGOTTEN_AT_ONCE = 1_000


class CeleryRows:
    """What a connection sees of them; the tables are there."""

    def __init__(self, connection: Connection, place: CeleryPlace) -> None:
        self._connection = connection
        self._tables = celery_tables(connection, place)

    def write(self, texts: Mapping[str, str], *, told: bool = False) -> None:
        """Write these documents, by task id; a SUCCESS stands. `told`: as long as a task has not ended, so every ending stands.

        Celery has no place for an id of more than 155 characters. A row that the database refuses is left out, and logged.
        """
        tables = self._tables
        rows: list[Row] = []
        for id_, text in sorted(texts.items()):
            if len(id_) > LONGEST_NAME:
                continue
            try:
                row = row_of(text, columns=tables.columns, pickled=tables.pickled, largest=tables.largest)
            except RecursionError as error:  # a process with less on its stack has written it
                _left_out(id_, error)
            else:
                rows.append(row)
        if rows:
            spared = READY_STATES if told else frozenset({State.SUCCESS})
            if not self._is_taken(rows, spared):
                for row in rows:
                    self._is_taken([row], spared, is_last=True)

    def _is_taken(self, rows: list[Row], spared: Collection[State], *, is_last: bool = False) -> bool:
        """Whether the table takes these rows. It is others' table, and whatever it is that it refuses must not hold up what is in ours."""
        table = self._tables.task.c
        try:
            with self._connection.begin_nested():
                dialect = dialect_of(self._connection)
                dialect.write_unless(
                    self._connection, rows, table.task_id, table.status, frozenset(map(str, spared))
                )
        except DBAPIError as error:
            if error.connection_invalidated or is_passing(error):
                raise
            if is_last:
                _left_out(rows[0]["task_id"], error.orig)
            return False
        return True

    def read(self, ids: Sequence[str]) -> dict[str, Document]:
        """The documents of these ids that are there. Raises DecodeError."""
        columns = [self._tables.task.c[name] for name in sorted(self._tables.columns)]
        found: dict[str, Document] = {}
        for first in range(0, len(ids), SLICE):
            query = select(*columns).where(self._tables.task.c.task_id.in_(ids[first : first + SLICE]))
            found |= {
                row["task_id"]: document_of_row(dict(row))
                for row in self._connection.execute(query).mappings()
            }
        return found

    def known(self, ids: Collection[str]) -> set[str]:
        """Which of these ids are there, whatever is said of them."""
        task_id = self._tables.task.c.task_id
        return {row.task_id for row in self._connection.execute(select(task_id).where(task_id.in_(ids)))}

    def is_ready(self, id_: str) -> bool:
        table = self._tables.task.c
        status = self._connection.execute(select(table.status).where(table.task_id == id_)).scalar()
        return status in READY_STATES

    def delete(self, ids: Collection[str]) -> None:
        table = self._tables.task
        self._connection.execute(delete(table).where(table.c.task_id.in_(ids)))

    def forget_old(self, now_us: int, keep_seconds: float) -> None:
        """Delete what ended so long ago, whoever wrote it, as Celery's own cleaning does."""
        before = datetime.fromtimestamp(now_us / 1_000_000 - keep_seconds, UTC).replace(tzinfo=None)
        for table in (self._tables.task, self._tables.group):
            while True:  # not all in one statement, which would take long
                old = select(table.c.id).where(table.c.date_done < before).limit(FORGOTTEN_AT_ONCE)
                ids = list(self._connection.execute(old).scalars())
                if ids:
                    self._connection.execute(delete(table).where(table.c.id.in_(ids)))
                if len(ids) < FORGOTTEN_AT_ONCE:
                    break

    # --- saved groups ----------------------------------------------------------------------------------------------------------

    def save_group(self, id_: str, written: Any, now_us: int) -> None:
        """Keep what `GroupResult.as_tuple` says of a group. Of a table of pickles Celery reads handles alone, so nothing is put there."""
        self.delete_group(id_)
        if len(id_) > LONGEST_NAME or self._tables.pickled:
            return
        blob = value_to_blob(written, pickled=False)
        if self._tables.largest is not None and len(blob) > self._tables.largest:
            return
        moment = datetime.fromtimestamp(now_us / 1_000_000, UTC).replace(tzinfo=None)
        row = {"taskset_id": id_, "result": blob, "date_done": moment}
        self._connection.execute(self._tables.group.insert(), [row])

    def load_group(self, id_: str) -> Any:
        """The same; None if there is none. Raises DecodeError for one that was pickled, as Celery before 5.7 does."""
        table = self._tables.group.c
        raw = self._connection.execute(select(table.result).where(table.taskset_id == id_)).scalar()
        return None if raw is None else value_of_blob(raw)

    def delete_group(self, id_: str) -> None:
        table = self._tables.group
        self._connection.execute(delete(table).where(table.c.taskset_id == id_))


def _left_out(id_: str, why: object) -> None:
    text = "Celery's table of results does not get the row of task %s: %s"
    logger.error(text, id_, why, extra={"action": "celery_row_refused", "id": id_})
