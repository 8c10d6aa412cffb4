"""SqlResults: reads results from a SQL database; a Results."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, Engine, delete, select

from ..errors import Unavailable
from ..outcome import State
from ..sql.engine import reading, unavailable
from ..sql.tables import create_tables, result_table, run_table
from ..sql.wake import Waker, open_waker
from .document import Document, from_text

SLICE = 500
"""Ids in one query."""
LOOK_SECONDS = 1.0
"""How often a waiter looks although nobody told it to."""


class SqlResults:
    """Reads the tables bb_result and bb_run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._local = threading.local()
        with unavailable():
            create_tables(engine)

    def get(self, ids: Sequence[str]) -> list[Document]:
        found: dict[str, Document] = {}
        with reading(self._engine) as connection:
            for first in range(0, len(ids), SLICE):
                some = list(ids[first : first + SLICE])
                query = select(result_table.c.document).where(result_table.c.task_id.in_(some))
                documents = [from_text(row.document) for row in connection.execute(query)]
                found |= {document.id: document for document in documents}
                missing = [id_ for id_ in some if id_ not in found]
                if missing:
                    running = select(run_table.c.task_id).where(
                        run_table.c.task_id.in_(missing), run_table.c.worker != ""
                    )
                    started = [row.task_id for row in connection.execute(running)]
                    found |= {id_: Document(id=id_, state=State.STARTED) for id_ in started}
        return [found.get(id_) or Document(id=id_) for id_ in ids]

    def wait(self, ids: Sequence[str], timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        waker = self._waker()
        pending = list(ids)
        while True:
            pending = [document.id for document in self.get(pending) if not document.ready]
            if not pending:
                return True
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return False
            try:
                waker.wait(left, (), partial(_is_ready, id_=pending[-1]))
            except Unavailable:
                self.close()  # the next wait listens anew
                raise

    def forget(self, ids: Sequence[str]) -> None:
        with unavailable(), self._engine.begin() as connection:
            connection.execute(delete(result_table).where(result_table.c.task_id.in_(list(ids))))

    def close(self) -> None:
        waker: Waker | None = getattr(self._local, "waker", None)
        if waker is not None:
            waker.close()
            del self._local.waker

    def _waker(self) -> Waker:
        """One for each thread: a waker sees what happened since its own last look."""
        if not hasattr(self._local, "waker"):
            self._local.waker = open_waker(self._engine, "bb_result")
        waker: Waker = self._local.waker
        return waker


def _is_ready(connection: Connection, id_: str) -> bool:
    """One stands for all that are waited for, and the last one best: most come in the order in which they were sent."""
    query = select(result_table.c.document).where(result_table.c.task_id == id_)
    text = connection.execute(query).scalar()
    return text is not None and from_text(text).ready
