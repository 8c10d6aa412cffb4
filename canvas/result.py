"""Result: the handles that callers hold: AsyncResult for a task's value, GroupResult for a group's.

A handle knows an id and how to read results; it never asks the broker. Waiting is by notification where the store has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

from .codec import loads
from .errors import TaskRevokedError, TimeoutError  # noqa: A004 - Celery's name
from .failure import exception_of
from .outcome import PROPAGATE_STATES, State
from .request import running_request
from .results.base import Results
from .results.document import Document

R_co = TypeVar("R_co", covariant=True)


class Reader(Protocol):
    """What a handle needs of an app."""

    @property
    def results(self) -> Results: ...

    def revoke(
        self, ids: str | Sequence[str], terminate: bool = False, signal: str | int = "SIGTERM"
    ) -> None: ...


class AsyncResult(Generic[R_co]):
    """The value, or the error, that task `id` will have."""

    def __init__(
        self,
        id: str,
        app: Any = None,
        parent: AsyncResult[Any] | GroupResult | None = None,
        ignored: bool = False,
    ) -> None:
        self.id = id
        self.ignored = ignored
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
        """Celery's state name; PENDING also means that nothing is known of the id."""
        return str(self._document().state)

    status = state

    def ready(self) -> bool:
        """True if it has ended, in whatever way."""
        return self._document().ready

    def successful(self) -> bool:
        return self._document().state is State.SUCCESS

    def failed(self) -> bool:
        return self._document().state is State.FAILURE

    @property
    def result(self) -> Any:
        """The value, or the exception that it ended with, or None while it is not ready."""
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
        return [AsyncResult(child, app=self._app) for child in self._document().children]

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
    def date_done(self) -> str | None:
        return self._document().date_done

    # --- waiting -------------------------------------------------------------------------------------------------------------

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float | None = None,  # noqa: ARG002 - Celery's argument; waiting is by notification
        callback: Callable[[str, Any], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R_co:
        """Wait until it is ready, and return the value.

        Raises what the task raised, unless `propagate` is False (then the exception is returned); TaskRevokedError if it was
        revoked or expired; TimeoutError after `timeout` seconds; RuntimeError inside a task, where waiting can block a fleet.
        Returns None at once for what was sent with `ignore_result`, as nothing will ever be known of it.
        """
        forbid_in_task(disable_sync_subtasks)
        if self.ignored:
            return cast("R_co", None)
        document = self._document()
        if not document.ready:
            if not self._app.results.wait([self.id], timeout):
                raise TimeoutError(f"task {self.id} was not ready within {timeout} s")
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

    def _document(self) -> Document:
        if self._known is None:
            (document,) = self._app.results.get([self.id])
            if not document.ready:
                return document
            self._known = document
        return self._known

    # --- acting --------------------------------------------------------------------------------------------------------------

    def revoke(self, terminate: bool = False, signal: str | int = "SIGTERM", **_: Any) -> None:
        """See to it that it does not start; one that runs already goes on, but with `terminate` (see App.revoke)."""
        self._app.revoke([self.id], terminate, signal)

    def forget(self) -> None:
        """Delete its result."""
        self._known = None
        self._app.results.forget([self.id])

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


class GroupResult:
    """The values that the members of a group will have, in order."""

    def __init__(
        self,
        id: str,
        results: Sequence[AsyncResult[Any] | GroupResult] = (),
        app: Any = None,
        parent: AsyncResult[Any] | GroupResult | None = None,
    ) -> None:
        self.id = id
        self.results = list(results)
        self.parent = parent
        self._app: Reader = app

    @property
    def children(self) -> list[AsyncResult[Any] | GroupResult]:
        return self.results

    def ready(self) -> bool:
        """True if all members have ended."""
        return all(document.ready for document in self._documents())

    def successful(self) -> bool:
        return all(document.state is State.SUCCESS for document in self._documents())

    def failed(self) -> bool:
        return any(document.state is State.FAILURE for document in self._documents())

    def waiting(self) -> bool:
        """True if any member has not ended."""
        return not self.ready()

    def completed_count(self) -> int:
        """How many members succeeded."""
        return sum(document.state is State.SUCCESS for document in self._documents())

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float | None = None,  # noqa: ARG002 - Celery's argument; waiting is by notification
        callback: Callable[[str, Any], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> list[Any]:
        """Wait for all members; returns their values in order. Raises as `AsyncResult.get`, for the first member that failed."""
        forbid_in_task(disable_sync_subtasks)
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._app.results.wait(list(self._waited()), timeout):
            raise TimeoutError(f"group {self.id} was not ready within {timeout} s")
        values = []
        for member in self.results:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            values.append(member.get(left, propagate, None, callback, disable_sync_subtasks))
        return values

    join = get

    def revoke(self, terminate: bool = False, signal: str | int = "SIGTERM", **_: Any) -> None:
        """See to it that no member starts that has not; with `terminate` those that run are ended (see App.revoke)."""
        self._app.revoke(list(self.value_ids()), terminate, signal)

    def forget(self) -> None:
        self._app.results.forget(list(self.value_ids()))

    def as_tuple(self) -> tuple[Any, Any]:
        parent = self.parent.as_tuple() if self.parent is not None else None
        return (self.id, parent), [result.as_tuple() for result in self.results]

    def value_ids(self) -> Iterator[str]:
        """The ids of all tasks whose values make up the result."""
        for result in self.results:
            yield from result.value_ids()

    def _waited(self) -> Iterator[str]:
        for result in self.results:
            if isinstance(result, GroupResult):
                yield from result._waited()
            elif not result.ignored:
                yield result.id

    def _documents(self) -> list[Document]:
        ids = list(self.value_ids())
        return self._app.results.get(ids) if ids else []

    def __iter__(self) -> Iterator[AsyncResult[Any] | GroupResult]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: int) -> AsyncResult[Any] | GroupResult:
        return self.results[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GroupResult) and other.id == self.id and other.results == self.results

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<GroupResult: {self.id} [{len(self.results)}]>"


def forbid_in_task(disable_sync_subtasks: bool) -> None:
    """Raise RuntimeError inside a running task: the worker might wait for itself."""
    if disable_sync_subtasks and running_request() is not None:
        raise RuntimeError(
            "a task must not wait for another one: all workers may come to wait. Use a chain or chord, "
            "or get(disable_sync_subtasks=False) if you are sure."
        )


def result_from_tuple(data: Any, app: Any = None) -> AsyncResult[Any] | GroupResult:
    """The inverse of `as_tuple`."""
    (id_, parent), members = data
    above = result_from_tuple(parent, app) if parent else None
    if members is None:
        return AsyncResult(id_, app=app, parent=above)
    return GroupResult(id_, [result_from_tuple(member, app) for member in members], app=app, parent=above)
