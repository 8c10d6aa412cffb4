"""TaskView: what a handle knows of its task: states, values and times, as the result store has them.

Each result is read once: a view keeps what was the last word of its task, as a store need not. Several views are read by one call.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from .codec import loads
from .errors import DecodeError, TaskError, TaskRevokedError, UnknownResult
from .failure import exception_of
from .ids import plain_id
from .outcome import PROPAGATE_STATES, State
from .result_base import Reader, ResultBase
from .results.base import Trace
from .results.document import Document

logger = logging.getLogger(__name__)


class TaskView(ResultBase):
    """Task `id` as its store knows it. `sent`: whoever makes the view knows that the task was sent."""

    def __init__(self, id: str | UUID, app: Any = None, ignored: bool = False, sent: bool = False) -> None:
        self.id: str = plain_id(id)
        self.ignored = ignored
        self._sent = sent
        self._app = app
        self._known: Document | None = None

    @property
    def task_id(self) -> str:
        return self.id

    @property
    def state(self) -> str:
        """Celery's state name, or UNKNOWN: the store has no trace of the id, which was never sent, or whose record is gone.

        With `canvas_mode = "celery"` such an id reads PENDING, as programs written for Celery look for that; `exists()` tells the two apart.
        """
        document = self._document()
        if self._trace(document) is Trace.SENT or not self.app.is_strict:
            return str(document.state)
        return str(State.UNKNOWN)

    status = state

    def exists(self) -> bool:
        """False if the store has no trace of it: it was never sent, or its record is gone."""
        return self._trace(self._document()) is Trace.SENT

    def ready(self) -> bool:
        """True if it has ended, in whatever way."""
        return self._document().ready

    def successful(self) -> bool:
        return self._document().state is State.SUCCESS

    def failed(self) -> bool:
        return self._document().state is State.FAILURE

    @property
    def result(self) -> Any:
        """The value, or the exception that it ended with or is retried for; `{pid, hostname}` while it runs; None before."""
        return result_of(self._document())

    info = result

    @property
    def traceback(self) -> str | None:
        return self._document().traceback

    @property
    def name(self) -> str | None:
        return self._document().name

    @property
    def args(self) -> Any:
        args = self._document().args
        return None if args is None else loads(args)

    @property
    def kwargs(self) -> Any:
        kwargs = self._document().kwargs
        return None if kwargs is None else loads(kwargs)

    @property
    def worker(self) -> str | None:
        return self._document().worker

    @property
    def retries(self) -> int | None:
        return self._document().retries

    @property
    def queue(self) -> str | None:
        """The queue that it was sent to."""
        return self._document().queue

    @property
    def group_id(self) -> str | None:
        """The id of the group that it is a member of."""
        return self._document().group_id

    @property
    def parent_id(self) -> str | None:
        """The id of the task that sent it, or came before it."""
        return self._document().parent_id

    @property
    def date_started(self) -> datetime | None:
        """When the run that its state tells of began: while it runs, and afterwards if `result_extended` is on."""
        return moment_of(self._document().date_started)

    @property
    def date_done(self) -> datetime | None:
        """When it ended."""
        return moment_of(self._document().date_done)

    def value_ids(self) -> Iterator[str]:
        """The ids of all tasks whose values make up the result."""
        yield self.id

    def _single(self) -> list[Any]:
        """The handles of all these tasks."""
        return [self]

    @property
    def was_sent(self) -> bool:
        """True if that is certain. Of a handle that was made from an id alone only the store can say it."""
        return self._sent or self.ignored

    @property
    def has_ended(self) -> bool:
        """True if its last word is known here, or never will be. Asks nobody."""
        return self.ignored or self._known is not None

    def is_doubtful(self, document: Document) -> bool:
        """True if it may never have been sent, for all that this document of it says."""
        return not self.was_sent and document.state is State.PENDING

    def _trace(self, document: Document) -> Trace:
        trace: Trace = self.app.results.trace([self.id])[0] if self.is_doubtful(document) else Trace.SENT
        return trace

    def _document(self) -> Document:
        return documents_of(self.app, [self])[0]


def documents_of(app: Reader, views: Sequence[TaskView]) -> list[Document]:
    """What is known of each of them, by one call for those that have not ended as far as they know; they keep it if it is the last word.

    So each result is read once: of those that were read, rpc keeps few.
    """
    known = [view._known for view in views]
    asked = [view.id for view, document in zip(views, known, strict=True) if document is None]
    found = iter(app.results.get(asked) if asked else ())
    documents = [document or next(found) for document in known]
    for view, document in zip(views, documents, strict=True):
        if document.ready:
            view._known = document
    return documents


def forget_all(app: Reader, views: Sequence[TaskView]) -> None:
    """Delete their results; the views know no more of them than anybody else does."""
    for view in views:
        view._known, view._sent = None, False
    app.results.forget([view.id for view in views])


def refuse_unknown(app: Reader, views: Sequence[TaskView], documents: Sequence[Document]) -> None:
    """Raise UnknownResult if the result of one of them can never come; say so in the log if that is only likely."""
    for id_, trace in doubts(app, views, documents):
        if trace is Trace.NEVER:
            raise UnknownResult(
                f"nothing is known of task {id_}: it was never sent, or its result was ignored, forgotten or is older than "
                "result_expires"
            )
        if trace is Trace.MISSING:
            logger.warning(
                "the result store has no trace of task %s; waiting, as the broker cannot be asked",
                id_,
                extra={"action": "no_trace", "id": id_},
            )


def pending_of(app: Reader, views: Sequence[TaskView]) -> list[TaskView]:
    """Those of them that have not ended. Raises UnknownResult, see `refuse_unknown`."""
    documents = documents_of(app, views) if views else []
    refuse_unknown(app, views, documents)
    return [view for view, document in zip(views, documents, strict=True) if not document.ready]


def doubts(app: Reader, views: Sequence[TaskView], documents: Sequence[Document]) -> list[tuple[str, Trace]]:
    """The ids that may never have been sent, each with what the store says of it."""
    ids = [view.id for view, document in zip(views, documents, strict=True) if view.is_doubtful(document)]
    return list(zip(ids, app.results.trace(ids), strict=True)) if ids else []


def result_of(document: Document) -> Any:
    """The value of a task, or the exception that it ended with or is retried for."""
    if document.error is None:
        return loads(document.value)
    return exception_of(document.error, document.traceback)


def outcome_of(document: Document, propagate: bool) -> Any:
    """The value of a task that has ended; what it raised is raised, or returned unless `propagate`."""
    if document.state is State.IGNORED:
        return None
    if document.state not in PROPAGATE_STATES:
        return loads(document.value)
    exc = exception_of(document.error, document.traceback) if document.error else _said_only(document)
    if propagate:
        raise exc
    return exc


def _said_only(document: Document) -> BaseException:
    """Of a task that said itself that it failed, and did not say by which exception."""
    said = loads(document.value)
    if said is None or document.state is State.REVOKED:
        return TaskRevokedError(str(document.state))
    return TaskError(said)


def has_failed(document: Document) -> bool:
    """True if `get` raises what became of it."""
    return document.ready and document.state in PROPAGATE_STATES and document.state is not State.IGNORED


def moment_of(text: str | None) -> datetime | None:
    """The time in a document, aware; one without an offset is UTC, as Celery means it. Raises DecodeError."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise DecodeError(f"a result says {text!r:.80} where a time should be") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
