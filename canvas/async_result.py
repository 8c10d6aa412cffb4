"""AsyncResult: the handle that a caller holds of one task: it knows an id and how to read results; it never asks the broker.

Waiting is by notification where the store has it. A handle keeps what was the last word of its task, as a store need not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast
from uuid import UUID

from .codec import loads
from .errors import TaskRevokedError, TimeoutError, UnknownResult  # noqa: A004 - Celery's name
from .failure import exception_of
from .handle import Handle
from .ids import plain_id
from .outcome import PROPAGATE_STATES, State
from .request import running_request
from .results.base import Results, Trace
from .results.document import Document
from .value import optional, patience

logger = logging.getLogger(__name__)

R_co = TypeVar("R_co", covariant=True)


class Reader(Protocol):
    """What a handle needs of an app."""

    @property
    def results(self) -> Results: ...

    def revoke(
        self, ids: str | Sequence[str], terminate: bool = False, signal: str | int = "SIGTERM"
    ) -> None: ...

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any] | Sequence[str],
        terminate: bool = False,
        signal: str | int = "SIGTERM",
    ) -> None: ...


class AsyncResult(Generic[R_co]):
    """The value, or the error, that task `id` will have. `sent`: whoever makes the handle knows that the task was sent."""

    waits: ClassVar[bool] = True
    """False where there is nothing to wait for, so that a task may ask, too."""

    def __init__(
        self,
        id: str | UUID,
        app: Any = None,
        parent: Handle | None = None,
        ignored: bool = False,
        sent: bool = False,
    ) -> None:
        self.id: str = plain_id(id)
        self.ignored = ignored
        self._sent = sent
        self.parent = parent
        self._app: Reader = app
        self._known: Document | None = None

    @property
    def task_id(self) -> str:
        return self.id

    @property
    def app(self) -> Any:
        return self._app

    # --- looking -------------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """Celery's state name, or UNKNOWN: the store has no trace of the id, which was never sent, or whose record is gone."""
        document = self._document()
        return str(document.state if self._trace(document) is Trace.SENT else State.UNKNOWN)

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
        document = self._document()
        return (
            loads(document.value)
            if document.error is None
            else exception_of(document.error, document.traceback)
        )

    info = result

    @property
    def traceback(self) -> str | None:
        return self._document().traceback

    @property
    def children(self) -> list[AsyncResult[Any]]:
        """Handles of what this task sent, of its links and of the steps that followed it."""
        return [AsyncResult(child, app=self._app, sent=True) for child in self._document().children]

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
    def date_started(self) -> str | None:
        """When the run that its state tells of began, as an ISO time: while it runs, and afterwards if `result_extended` is on."""
        return self._document().date_started

    @property
    def date_done(self) -> str | None:
        return self._document().date_done

    # --- waiting -------------------------------------------------------------------------------------------------------------

    def get(
        self,
        timeout: float | timedelta | None = None,
        propagate: bool = True,
        interval: float | None = None,  # noqa: ARG002 - Celery's argument; waiting is by notification
        callback: Callable[[str, Any], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R_co:
        """Wait until it is ready, and return the value.

        Raises what the task raised, unless `propagate` is False (then the exception is returned); TaskRevokedError if it was
        revoked or expired; UnknownResult at once if it is certain that nothing will come; TimeoutError after `timeout` (seconds, or a timedelta);
        RuntimeError inside a task, where waiting can block a fleet.
        Returns None at once for what was sent with `ignore_result`, as nothing will ever be known of it.
        """
        forbid_in_task(disable_sync_subtasks and self.waits)
        seconds: float | None = optional(patience)("timeout", timeout)
        if self.ignored:
            return cast("R_co", None)
        document = self._document()
        if not document.ready:
            refuse_unknown([self.id], [self._trace(document)])
            if not self._app.results.wait([self.id], seconds):
                raise TimeoutError(f"task {self.id} was not ready within {seconds} s")
            document = self._document()
        value: Any = self._value(document, propagate)
        if callback is not None:
            callback(self.id, value)
        return value  # type: ignore[no-any-return]  # the value is what the task's annotation says

    wait = get

    def _value(self, document: Document, propagate: bool) -> Any:
        if document.state is State.IGNORED:
            return None
        if document.state not in PROPAGATE_STATES:
            return loads(document.value)
        exc = (
            exception_of(document.error, document.traceback)
            if document.error
            else TaskRevokedError(str(document.state))
        )
        if propagate:
            raise exc
        return exc

    def _trace(self, document: Document) -> Trace:
        return self._app.results.trace([self.id])[0] if self.is_doubtful(document) else Trace.SENT

    @property
    def was_sent(self) -> bool:
        """True if that is certain. Of a handle that was made from an id alone only the store can say it."""
        return self._sent or self.ignored

    def is_doubtful(self, document: Document) -> bool:
        """True if it may never have been sent, for all that this document of it says."""
        return not self.was_sent and document.state is State.PENDING

    def _document(self) -> Document:
        return documents_of(self._app, [self])[0]

    # --- acting --------------------------------------------------------------------------------------------------------------

    def revoke(self, terminate: bool = False, signal: str | int = "SIGTERM", **_: Any) -> None:
        """See to it that it does not start; one that runs already goes on, but with `terminate` (see App.revoke)."""
        self._app.revoke([self.id], terminate, signal)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any] | Sequence[str],
        terminate: bool = False,
        signal: str | int = "SIGTERM",
        **_: Any,
    ) -> None:
        """See to it that nothing starts that has one of these stamps, whosever it is (see App.revoke_by_stamped_headers)."""
        self._app.revoke_by_stamped_headers(headers, terminate, signal)

    def forget(self) -> None:
        """Delete its result; who asks for it then is told that there is none."""
        forget_all(self._app, [self])

    def value_ids(self) -> Iterator[str]:
        """The ids of all tasks whose values make up the result."""
        yield self.id

    def as_tuple(self) -> tuple[Any, Any]:
        """((id, parent), None), as Celery writes handles down; see `result_from_tuple`."""
        return (self.id, self.parent.as_tuple() if self.parent is not None else None), None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<AsyncResult: {self.id}>"


def documents_of(app: Reader, handles: Sequence[AsyncResult[Any]]) -> list[Document]:
    """What is known of each of them, by one call for those that have not ended as far as they know; they keep it if it is the last word.

    So each result is read once: of those that were read, rpc keeps few.
    """
    known = [handle._known for handle in handles]
    asked = [handle.id for handle, document in zip(handles, known, strict=True) if document is None]
    found = iter(app.results.get(asked) if asked else ())
    documents = [document or next(found) for document in known]
    for handle, document in zip(handles, documents, strict=True):
        if document.ready:
            handle._known = document
    return documents


def forget_all(app: Reader, handles: Sequence[AsyncResult[Any]]) -> None:
    """Delete their results; the handles know no more of them than anybody else does."""
    for handle in handles:
        handle._known, handle._sent = None, False
    app.results.forget([handle.id for handle in handles])


def refuse_unknown(ids: Sequence[str], traces: Sequence[Trace]) -> None:
    """Raise UnknownResult if the result of one of `ids` can never come; say so in the log if that is only likely."""
    for id_, trace in zip(ids, traces, strict=True):
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


def forbid_in_task(disable_sync_subtasks: bool) -> None:
    """Raise RuntimeError inside a running task: the worker might wait for itself."""
    if disable_sync_subtasks and running_request() is not None:
        raise RuntimeError(
            "a task must not wait for another one: all workers may come to wait. Use a chain or chord, "
            "or get(disable_sync_subtasks=False) if you are sure."
        )
