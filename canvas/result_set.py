"""ResultSet: the handles of several tasks, in an order. All of them are read, and waited for, by one call.

A set in a set, as a group in a group, is a member as any other one; the store is asked for the tasks of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, Self

from . import awaitable
from .arriving import arriving
from .async_result import AsyncResult, call_back
from .blocking import forbid_in_task
from .default_app import default_app
from .errors import TimeoutError  # noqa: A004 - Celery's name
from .meta import meta_of
from .outcome import State
from .result_base import ResultBase
from .results.base import Trace
from .results.document import Document
from .task_view import TaskView, documents_of, doubts, forget_all, has_failed, pending_of
from .value import optional, patience
from .waiting import Notices, notices_of, wait_for

Member = Any
"""An AsyncResult or a ResultSet, which is a GroupResult mostly."""


class Later:
    """The members of a set that are not made before somebody looks at them: there may be a million."""

    def __init__(self, size: int, members: Callable[[], list[Member]]) -> None:
        self._size = size
        self.members = members

    def __len__(self) -> int:
        return self._size


class ResultSet(ResultBase):
    """Results that are waited for together. Members can be added and taken away."""

    waits: ClassVar[bool] = True
    """See `AsyncResult.waits`."""

    def __init__(self, results: Iterable[Member] | Later = (), app: Any = None) -> None:
        self._results: list[Member] | Later = results if isinstance(results, Later) else list(results)
        self._app = app

    @property
    def results(self) -> list[Member]:
        """The members."""
        if isinstance(self._results, Later):
            self._results = self._results.members()
        return self._results

    @property
    def app(self) -> Any:
        """The app whose results it reads: its own, or its first member's, or the default one."""
        if self._app is None:
            return self.results[0].app if self.results else default_app()
        return self._app

    # --- members -------------------------------------------------------------------------------------------------------------

    def add(self, result: Member) -> None:
        """Add a member, unless it is one."""
        if result not in self.results:
            self.results.append(result)

    def update(self, results: Iterable[Member]) -> None:
        """Add several."""
        for result in results:
            self.add(result)

    def discard(self, result: Member | str) -> None:
        """Take a member away, by itself or by its id, if it is one."""
        self.results[:] = [member for member in self.results if member != result]

    def remove(self, result: Member | str) -> None:
        """As `discard`, but raises KeyError if it is none."""
        if result not in self.results:
            raise KeyError(result)
        self.discard(result)

    def clear(self) -> None:
        """Take all members away."""
        self.results.clear()

    # --- looking -------------------------------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """True if all members have ended."""
        return all(document.ready for document in self._documents())

    def waiting(self) -> bool:
        """True if any member has not ended."""
        return not self.ready()

    def successful(self) -> bool:
        return all(document.state is State.SUCCESS for document in self._documents())

    def failed(self) -> bool:
        return any(document.state is State.FAILURE for document in self._documents())

    def exists(self) -> bool:
        """False if the store has no trace of one of the members, see `AsyncResult.exists`."""
        made = [member for member in self._single() if not member.was_sent]
        return all(trace is Trace.SENT for _, trace in doubts(self.app, made, documents_of(self.app, made)))

    def completed_count(self) -> int:
        """How many members succeeded; of groups in it each of their members counts."""
        return sum(document.state is State.SUCCESS for document in self._documents())

    def maybe_throw(
        self, callback: Callable[[str, Any], object] | None = None, propagate: bool = True
    ) -> None:
        """Raise what the first member that failed, in order, ended with. Does not wait; `callback(id, value)` see AsyncResult's."""
        self._documents()
        for member in self.results:
            member.maybe_throw(callback=callback, propagate=propagate)

    maybe_reraise = maybe_throw

    # --- waiting -------------------------------------------------------------------------------------------------------------

    def get(
        self,
        timeout: float | timedelta | None = None,
        propagate: bool = True,
        interval: float | None = None,
        callback: Callable[[str, Any], object] | None = None,
        no_ack: bool = True,  # noqa: ARG002 - Celery's argument; nothing is acknowledged
        on_message: Callable[[dict[str, Any]], object] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], object] | None = None,
    ) -> list[Any]:
        """Wait for all members; returns their values in order.

        Raises as `AsyncResult.get`, for the first member that failed; if others go on for more than a second it does not wait for
        them. With `propagate=False` an exception stands in the place of the value. `callback(id, value)` is called with each
        member's, in order, once all are there. For the other arguments see `AsyncResult.get`.
        """
        forbid_in_task(disable_sync_subtasks and self.waits)
        seconds: float | None = optional(patience)("timeout", timeout)
        self._wait(seconds, propagate, notices_of(interval, on_interval, on_message))
        return self._values(propagate, callback)

    join = join_native = get

    async def aget(
        self,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as `get`, which is not called in a block of asyncio.timeout
        propagate: bool = True,
        callback: Callable[[str, Any], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> list[Any]:
        """As `get`, for coroutines: see `AsyncResult.aget`."""
        forbid_in_task(disable_sync_subtasks and self.waits)
        seconds: float | None = optional(patience)("timeout", timeout)
        waited = self._wanted()
        pending = await awaitable.in_thread(self._pending, waited, propagate)
        look = partial(self._raise_failure, waited) if propagate else None
        if pending and not await awaitable.ready(self.app, pending, seconds, look):
            raise self._late(seconds)
        values = await awaitable.in_thread(self._values, propagate, None)
        for member, value in zip(self.results, values, strict=True) if callback is not None else ():
            callback(member.id, value)  # type: ignore[misc]  # there is one, as the line above says
        return values

    ajoin = aget

    def iterate(
        self, timeout: float | timedelta | None = None, propagate: bool = True, interval: float | None = None
    ) -> Iterator[Any]:
        """The members' values, each as soon as it is there. Raises as `get`, when it comes to a member that failed."""
        forbid_in_task(self.waits)
        for member in self._as_ready(timeout, notices_of(interval, None, None)):
            yield member._settled(propagate)

    def iter_native(
        self,
        timeout: float | timedelta | None = None,
        interval: float | None = None,
        no_ack: bool = True,  # noqa: ARG002 - Celery's argument; nothing is acknowledged
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """(id, meta) of each member as soon as it has ended, whatever came of it; of a group in it (id, its members).

        `meta` is a map of status, result, traceback and more. Raises TimeoutError and UnknownResult as `get`.
        """
        for member in self._as_ready(timeout, notices_of(interval, on_interval, on_message)):
            found = member.results if isinstance(member, ResultSet) else meta_of(member._document())
            yield member.id, found

    def then(
        self,
        callback: Callable[[Any], object],
        on_error: Callable[[Exception], object] | None = None,
        weak: bool = False,  # noqa: ARG002 - Celery's argument; the callback is kept until it is called
    ) -> Self:
        """Call `callback(results)` once all members have ended: see `AsyncResult.then`."""
        self.app.watch.add(self._wanted(), partial(call_back, self, callback, on_error), is_lasting=True)
        return self

    def _wait(self, seconds: float | None, propagate: bool, notices: Notices) -> None:
        waited = self._wanted()
        pending = self._pending(waited, propagate)
        if not pending:
            return
        look = partial(self._raise_failure, waited) if propagate else None
        if not wait_for(self.app, pending, seconds, look=look, notices=notices):
            raise self._late(seconds)
        documents_of(self.app, waited)

    def _pending(self, waited: Sequence[AsyncResult[Any]], propagate: bool) -> list[TaskView]:
        """Those that have not ended. With `propagate` there is nothing to wait for where one has failed, which is raised then."""
        pending = pending_of(self.app, waited)
        for view in waited if propagate and pending else ():
            if view._known is not None and has_failed(view._known):
                view._settled(propagate=True)
        return pending

    def _raise_failure(self, waited: Sequence[AsyncResult[Any]]) -> None:
        """Raise what the first member that has failed by now ended with."""
        for view, document in zip(waited, documents_of(self.app, waited), strict=True):
            if has_failed(document):
                view._settled(propagate=True)

    def _late(self, seconds: float | None) -> TimeoutError:
        return TimeoutError(f"{self._name} was not ready within {seconds} s")

    @property
    def _name(self) -> str:
        return f"a set of {len(self.results)} results"

    def _values(self, propagate: bool, callback: Callable[[str, Any], object] | None) -> list[Any]:
        """The members' values, of which is known that they have ended."""
        values = []
        for member in self.results:
            values.append(member._settled(propagate))
            if callback is not None:
                callback(member.id, values[-1])
        return values

    def _settled(self, propagate: bool) -> list[Any]:
        return self._values(propagate, None)

    def _as_ready(self, timeout: Any, notices: Notices) -> Iterator[Member]:
        seconds: float | None = optional(patience)("timeout", timeout)
        waited = self._wanted()
        pending_of(self.app, waited)
        return arriving(self.app, self.results, waited, seconds, notices, self._late)

    # --- acting --------------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Delete its members' results; who asks for them then is told that there are none."""
        forget_all(self.app, self._single())

    # --- inside --------------------------------------------------------------------------------------------------------------

    def value_ids(self) -> Iterator[str]:
        """The ids of all tasks whose values make up the result."""
        for result in self.results:
            yield from result.value_ids()

    @property
    def has_ended(self) -> bool:
        """True if the last words of all members are known here. Asks nobody."""
        return all(member.has_ended for member in self.results)

    def _single(self) -> list[AsyncResult[Any]]:
        """The members, those of sets that are members in their place."""
        found: list[AsyncResult[Any]] = []
        for result in self.results:
            found += result._single() if isinstance(result, ResultSet) else [result]
        return found

    def _wanted(self) -> list[AsyncResult[Any]]:
        """The members of which anything will ever be known."""
        return [member for member in self._single() if not member.ignored]

    def _documents(self) -> list[Document]:
        single = self._single()
        return documents_of(self.app, single) if single else []

    def _written(self, parent: tuple[Any, Any] | None) -> tuple[Any, Any]:  # noqa: ARG002 - the base's
        raise TypeError("a set of results has no id to be written down under; a GroupResult has")

    def __iter__(self) -> Iterator[Member]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self._results)

    def __getitem__(self, index: int) -> Member:
        return self.results[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResultSet) and other.results == self.results

    def __hash__(self) -> int:
        raise TypeError("a set of results cannot be hashed: what it is equal to changes with its members")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: [{', '.join(member.id for member in self.results)}]>"
