"""SqlResults: reads results from a SQL database; a Results."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Connection, Engine, Table, delete, select

from ..celery_place import CeleryPlace
from ..errors import Unavailable
from ..outcome import GOING_ON
from ..sql.celery_tables import ensure_celery_tables
from ..sql.engine import reading, unavailable
from ..sql.tables import ensure_tables, message_table, result_table, run_table
from ..sql.wake import Waker, open_waker
from .base import Trace, trace_of
from .celery_rows import CeleryRows
from .compression import plain_text
from .document import Document, from_text
from .groups import SavedGroups
from .sql_groups import SqlGroups
from .started import started

SLICE = 500
"""Ids in one query."""
LOOK_SECONDS = 1.0
"""How often a waiter looks although nobody told it to."""
CELERYS_LOOK_SECONDS = 0.2
"""The same where Celery's workers write, too, who tell nobody."""


class SqlResults:
    """Reads the tables bb_result and bb_run, and with `celery` what Celery's workers wrote there, too.

    `is_whole`: the messages are in this database, too. The rest, for saved groups, as in Limits.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        is_whole: bool = True,
        keep_seconds: float = 86_400.0,
        compression: str | None = None,
        celery: CeleryPlace | None = None,
    ) -> None:
        self._engine = engine
        self._is_whole = is_whole
        self._local = threading.local()
        self._celery = celery
        self.groups: SavedGroups = SqlGroups(
            engine, keep_seconds=keep_seconds, compression=compression, celery=celery
        )
        with unavailable():
            ensure_tables(engine)
            if celery is not None:
                ensure_celery_tables(engine, celery)

    def get(self, ids: Sequence[str]) -> list[Document]:
        found: dict[str, Document] = {}
        with reading(self._engine) as connection:
            for first in range(0, len(ids), SLICE):
                some = list(ids[first : first + SLICE])
                query = select(result_table.c.document).where(result_table.c.task_id.in_(some))
                documents = [from_text(plain_text(row.document)) for row in connection.execute(query)]
                found |= {document.id: document for document in documents}
                found |= self._celerys(connection, some, found)
                missing = [id_ for id_ in some if id_ not in found]
                if missing:
                    columns = run_table.c.task_id, run_table.c.worker, run_table.c.started_us
                    running = select(*columns).where(
                        run_table.c.task_id.in_(missing), run_table.c.worker != ""
                    )
                    rows = connection.execute(running)
                    found |= {row.task_id: started(*row) for row in rows}
        return [found.get(id_) or Document(id=id_) for id_ in ids]

    def wait(self, ids: Sequence[str], timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        waker = self._waker()
        pending = list(ids)
        while True:
            pending = [document.id for document in self.get(pending) if not document.ready]
            if not pending:
                return True
            longest = LOOK_SECONDS if self._celery is None else CELERYS_LOOK_SECONDS
            left = longest if deadline is None else min(longest, deadline - time.monotonic())
            if left <= 0:
                return False
            try:
                waker.wait(left, (), partial(self._is_ready, id_=pending[-1]))
            except Unavailable:
                self.close()  # the next wait listens anew
                raise

    def trace(self, ids: Sequence[str]) -> list[Trace]:
        traces: list[Trace] = []
        with reading(self._engine) as connection:
            for first in range(0, len(ids), SLICE):
                some = list(ids[first : first + SLICE])
                # in the order in which a task goes its way, so that it cannot be missed while it moves on
                waiting = _ids_in(connection, message_table, some)
                query = select(run_table.c.task_id, run_table.c.outcome).where(run_table.c.task_id.in_(some))
                open_ = {row.task_id: _is_open(row.outcome) for row in connection.execute(query)}
                documented = _ids_in(connection, result_table, some)
                if self._celery is not None:
                    documented |= CeleryRows(connection, self._celery).known(some)
                traces += [
                    Trace.SENT
                    if id_ in waiting
                    else trace_of(
                        id_,
                        has_document=id_ in documented,
                        is_open=open_.get(id_),
                        is_whole=self._is_whole,
                    )
                    for id_ in some
                ]
        return traces

    def forget(self, ids: Sequence[str]) -> None:
        for first in range(0, len(ids), SLICE):
            with unavailable(), self._engine.begin() as connection:
                some = list(ids[first : first + SLICE])
                connection.execute(delete(result_table).where(result_table.c.task_id.in_(some)))
                if self._celery is not None:
                    CeleryRows(connection, self._celery).delete(some)

    def close(self) -> None:
        waker: Waker | None = getattr(self._local, "waker", None)
        if waker is not None:
            waker.close()
            del self._local.waker

    def _celerys(
        self, connection: Connection, ids: Sequence[str], ours: Mapping[str, Document]
    ) -> dict[str, Document]:
        """What Celery's table says of those that have not ended by what ours says."""
        if self._celery is None:
            return {}
        going_on = [id_ for id_ in ids if id_ not in ours or not ours[id_].ready]
        found = CeleryRows(connection, self._celery).read(going_on)
        return {id_: document for id_, document in found.items() if document.ready or id_ not in ours}

    def _is_ready(self, connection: Connection, id_: str) -> bool:
        """One stands for all that are waited for, and the last one best: most come in the order in which they were sent."""
        query = select(result_table.c.document).where(result_table.c.task_id == id_)
        text = connection.execute(query).scalar()
        if text is not None and from_text(plain_text(text)).ready:
            return True
        return self._celery is not None and CeleryRows(connection, self._celery).is_ready(id_)

    def _waker(self) -> Waker:
        """One for each thread: a waker sees what happened since its own last look."""
        if not hasattr(self._local, "waker"):
            self._local.waker = open_waker(self._engine, "bb_result")
        waker: Waker = self._local.waker
        return waker


def _ids_in(connection: Connection, table: Table, ids: Sequence[str]) -> set[str]:
    query = select(table.c.task_id).where(table.c.task_id.in_(ids))
    return {row.task_id for row in connection.execute(query)}


def _is_open(outcome: str | None) -> bool:
    """As `RunRecord.is_open`."""
    return outcome is None or json.loads(outcome)["kind"] in GOING_ON
