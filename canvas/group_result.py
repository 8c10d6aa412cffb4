"""GroupResult: the handle of a group: the handles of its members, in order. All of them are read, and waited for, by one call.

A group in a group is a member as any other one; the store is asked for the tasks of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .async_result import AsyncResult, Reader, forbid_in_task, refuse_unknown
from .errors import TimeoutError  # noqa: A004 - Celery's name
from .handle import Handle
from .outcome import State
from .results.base import Trace
from .results.document import Document


class GroupResult:
    """The values that the members of a group will have, in order."""

    def __init__(
        self,
        id: str,
        results: Sequence[AsyncResult[Any] | GroupResult] = (),
        app: Any = None,
        parent: Handle | None = None,
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

    def exists(self) -> bool:
        """False if the store has no trace of one of the members, see `AsyncResult.exists`."""
        return all(trace is Trace.SENT for trace in self._traces(list(self._doubtful())))

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
        doubtful = list(self._doubtful())
        refuse_unknown(doubtful, self._traces(doubtful))
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
        return (result.id for result in self._single() if not result.ignored)

    def _doubtful(self) -> Iterator[str]:
        """Ids of members whose handles were made from an id alone, and of which there is no document."""
        made = [result for result in self._single() if not (result._sent or result.ignored)]
        ids = [result.id for result in made]
        documents = self._app.results.get(ids) if ids else []
        return (document.id for document in documents if document.state is State.PENDING)

    def _traces(self, ids: list[str]) -> list[Trace]:
        return self._app.results.trace(ids) if ids else []

    def _single(self) -> Iterator[AsyncResult[Any]]:
        for result in self.results:
            if isinstance(result, GroupResult):
                yield from result._single()
            else:
                yield result

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
