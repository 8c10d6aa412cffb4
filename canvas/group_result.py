"""GroupResult: the handle of a group: the handles of its members, in order. All of them are read, and waited for, by one call.

A group in a group is a member as any other one; the store is asked for the tasks of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from .async_result import AsyncResult, Reader, documents_of, forbid_in_task, forget_all, refuse_unknown
from .errors import TimeoutError  # noqa: A004 - Celery's name
from .handle import Handle
from .ids import plain_id
from .outcome import State
from .results.base import Trace
from .results.document import Document
from .value import optional, patience


class GroupResult:
    """The values that the members of a group will have, in order."""

    waits: ClassVar[bool] = True
    """See `AsyncResult.waits`."""

    def __init__(
        self,
        id: str | UUID,
        results: Sequence[AsyncResult[Any] | GroupResult] = (),
        app: Any = None,
        parent: Handle | None = None,
    ) -> None:
        self.id: str = plain_id(id)
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

    def exists(self) -> bool:
        """False if the store has no trace of one of the members, see `AsyncResult.exists`."""
        made = [member for member in self._single() if not member.was_sent]
        _, traces = self._doubtful(made, documents_of(self._app, made))
        return all(trace is Trace.SENT for trace in traces)

    def completed_count(self) -> int:
        """How many members succeeded."""
        return sum(document.state is State.SUCCESS for document in self._documents())

    def get(
        self,
        timeout: float | timedelta | None = None,
        propagate: bool = True,
        interval: float | None = None,  # noqa: ARG002 - Celery's argument; waiting is by notification
        callback: Callable[[str, Any], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> list[Any]:
        """Wait for all members; returns their values in order. Raises as `AsyncResult.get`, for the first member that failed."""
        forbid_in_task(disable_sync_subtasks and self.waits)
        seconds: float | None = optional(patience)("timeout", timeout)
        deadline = None if seconds is None else time.monotonic() + seconds
        waited = [member for member in self._single() if not member.ignored]
        documents = documents_of(self._app, waited)
        refuse_unknown(*self._doubtful(waited, documents))
        pending = [document.id for document in documents if not document.ready]
        if pending:
            if not self._app.results.wait(pending, seconds):
                raise TimeoutError(f"group {self.id} was not ready within {seconds} s")
            documents_of(self._app, waited)
        values = []
        for member in self.results:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            values.append(member.get(left, propagate, None, callback, disable_sync_subtasks))
        return values

    join = get

    def revoke(self, terminate: bool = False, signal: str | int = "SIGTERM", **_: Any) -> None:
        """See to it that no member starts that has not; with `terminate` those that run are ended (see App.revoke)."""
        self._app.revoke(list(self.value_ids()), terminate, signal)

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
        """Delete its members' results, see `AsyncResult.forget`."""
        forget_all(self._app, self._single())

    def as_tuple(self) -> tuple[Any, Any]:
        parent = self.parent.as_tuple() if self.parent is not None else None
        return (self.id, parent), [result.as_tuple() for result in self.results]

    def value_ids(self) -> Iterator[str]:
        """The ids of all tasks whose values make up the result."""
        for result in self.results:
            yield from result.value_ids()

    def _single(self) -> list[AsyncResult[Any]]:
        """The members, those of groups that are members in their place."""
        found: list[AsyncResult[Any]] = []
        for result in self.results:
            found += result._single() if isinstance(result, GroupResult) else [result]
        return found

    def _documents(self) -> list[Document]:
        return documents_of(self._app, self._single())

    def _doubtful(
        self, members: Sequence[AsyncResult[Any]], documents: Sequence[Document]
    ) -> tuple[list[str], list[Trace]]:
        """The ids that may never have been sent, and what the store says of them."""
        ids = [
            document.id
            for member, document in zip(members, documents, strict=True)
            if member.is_doubtful(document)
        ]
        return ids, self._app.results.trace(ids) if ids else []

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
