"""SqlDocuments: the results that one exchange stores in a SQL database, and in Celery's tables if they are there. In the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete

from ..results.celery_rows import CeleryRows
from ..results.compression import compressed_text
from ..results.document import Document, to_text
from ..sql.moment import Moment
from ..sql.step import Over, Step, Tell
from ..sql.tables import result_table
from .limits import Limits


@dataclass(slots=True)
class SqlDocuments:
    """Documents by task id, as texts."""

    moment: Moment
    limits: Limits
    _texts: dict[str, str] = field(default_factory=dict)

    def put(self, document: Document) -> None:
        """Store this one when the rest is written; the last one of a task counts."""
        self._texts[document.id] = to_text(document)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete those of these tasks, which run again, wherever they are."""
        connection, place = self.moment.connection, self.limits.celery
        connection.execute(delete(result_table).where(result_table.c.task_id.in_(ids)))
        if ids and place is not None:
            CeleryRows(connection, place).delete(ids)
        for id_ in ids:
            self._texts.pop(id_, None)

    def steps(self) -> list[Step]:
        """The steps that write them into our table; who waits for one is told by the commit."""
        expires_us, method = self.moment.after(self.limits.keep_seconds), self.limits.compression
        rows = [
            {
                "task_id": id_,
                "document": compressed_text(text, method) if method else text,
                "expires_us": expires_us,
            }
            for id_, text in sorted(self._texts.items())
        ]
        return [Over(result_table, rows), Tell("bb_result", sorted(self._texts))]

    def share(self) -> None:
        """Write them where Celery's clients look, too, once the steps are done; that is the end of them."""
        texts, self._texts = self._texts, {}
        if texts and self.limits.celery is not None:
            CeleryRows(self.moment.connection, self.limits.celery).write(texts)
