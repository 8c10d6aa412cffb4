"""AsyncResult: the handle that a caller holds of one task: it knows an id and how to read results; it never asks the broker.

Waiting is by notification where the store has it. What a task is known by is task_view.py's; what is here is how to wait for it, what
it led to, and what can be done to it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, Generic, NoReturn, Self, TypeVar, cast
from uuid import UUID

from . import awaitable, dependencies
from .blocking import forbid_in_task
from .child import Child
from .dependency_graph import DependencyGraph
from .errors import TimeoutError as Late
from .handle import Handle
from .task_view import TaskView, documents_of, forget_all, has_failed, outcome_of, pending_of
from .value import optional, patience
from .waiting import Notices, notices_of, wait_for

logger = logging.getLogger(__name__)

R_co = TypeVar("R_co", covariant=True)


class AsyncResult(TaskView, Generic[R_co]):
    """The value, or the error, that task `id` will have. `sent`: whoever makes the handle knows that the task was sent.

    `backend` may stand in for `app`; `task_name` is Celery's, and says nothing here.
    """

    TimeoutError = Late
    """What `get` raises, for who has the handle alone."""
    waits: ClassVar[bool] = True
    """False where there is nothing to wait for, so that a task may ask, too."""

    def __init__(
        self,
        id: str | UUID,
        backend: Any = None,
        task_name: str | None = None,  # noqa: ARG002 - Celery's argument; names come with results
        app: Any = None,
        parent: Handle | None = None,
        *,
        ignored: bool = False,
        sent: bool = False,
    ) -> None:
        super().__init__(id, app if app is not None else getattr(backend, "app", None), ignored, sent)
        self.parent = parent

    # --- waiting -------------------------------------------------------------------------------------------------------------

    def get(
        self,
        timeout: float | timedelta | None = None,
        propagate: bool = True,
        interval: float | None = None,
        no_ack: bool = True,  # noqa: ARG002 - Celery's argument; nothing is acknowledged
        follow_parents: bool = True,
        callback: Callable[[str, Any], object] | None = None,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        disable_sync_subtasks: bool = True,
        EXCEPTION_STATES: object = None,  # noqa: N803, ARG002 - Celery's argument; the states are those that there are
        PROPAGATE_STATES: object = None,  # noqa: N803, ARG002 - the same
    ) -> R_co:
        """Wait until it is ready, and return the value.

        Raises what the task raised, unless `propagate` is False (then the exception is returned); TaskRevokedError if it was
        revoked or expired; UnknownResult at once if it is certain that nothing will come; TimeoutError after `timeout` (seconds, or a timedelta);
        RuntimeError inside a task, where waiting can block a fleet (see blocking.py).
        With `follow_parents` the failure is that of the first step of its chain that failed, which is looked for only if this one
        failed, or does not come for a second. Returns None at once for what was sent with `ignore_result`, as nothing will ever be
        known of it.

        `callback(id, value)` is called with the value. While it waits, every `interval` seconds (0.5), `on_interval()` is called,
        and `on_message(meta)` if the state has changed; without these two the interval says nothing. `no_ack`, `EXCEPTION_STATES` and
        `PROPAGATE_STATES` are taken as Celery takes them, and change nothing.
        """
        forbid_in_task(disable_sync_subtasks and self.waits)
        seconds: float | None = optional(patience)("timeout", timeout)
        notices = notices_of(interval, on_interval, on_message)
        self._wait(seconds, notices, follows=propagate and follow_parents)
        value: Any = self._settled(propagate, follow_parents)
        if callback is not None:
            callback(self.id, value)
        return value  # type: ignore[no-any-return]  # the value is what the task's annotation says

    wait = get

    async def aget(
        self,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as `get`, which is not called in a block of asyncio.timeout
        propagate: bool = True,
        follow_parents: bool = True,
        disable_sync_subtasks: bool = True,
    ) -> R_co:
        """As `get`, for coroutines: the event loop goes on meanwhile, and no thread is held. It can be cancelled at any time."""
        forbid_in_task(disable_sync_subtasks and self.waits)
        seconds: float | None = optional(patience)("timeout", timeout)
        pending = [] if self.ignored else await awaitable.in_thread(pending_of, self.app, [self])
        look = self._look(propagate and follow_parents)
        if pending and not await awaitable.ready(self.app, pending, seconds, look):
            raise self._late(seconds)
        return cast("R_co", await awaitable.in_thread(self._settled, propagate, follow_parents))

    def maybe_throw(
        self, propagate: bool = True, callback: Callable[[str, Any], object] | None = None
    ) -> Any:
        """Raise what it ended with, if it failed; else what is known of its value now, None if it has not ended. Does not wait."""
        document = self._document()
        value = self._settled(propagate, follow_parents=False) if document.ready else None
        if callback is not None:
            callback(self.id, value)
        return value

    maybe_reraise = maybe_throw

    def throw(self, exc: BaseException, *_: object) -> NoReturn:
        """Raise `exc`."""
        raise exc

    def then(
        self,
        callback: Callable[[AsyncResult[Any]], object],
        on_error: Callable[[Exception], object] | None = None,
        weak: bool = False,  # noqa: ARG002 - Celery's argument; the callback is kept until it is called
    ) -> Self:
        """Call `callback(result)` once it has ended, in whatever way: from a thread of its own, which all callbacks of an app share.

        `on_error(exc)` is called with what the callback raises, or if the result cannot be read; without it that is logged. While the
        store cannot be reached it waits on.
        """
        self.app.watch.add([self], partial(call_back, self, callback, on_error), is_lasting=True)
        return self

    def _wait(self, seconds: float | None, notices: Notices, *, follows: bool) -> None:
        """Until it is ready. Raises TimeoutError, UnknownResult, and what a step before it failed with if `follows`."""
        if (
            not self.ignored
            and pending_of(self.app, [self])
            and not wait_for(self.app, [self], seconds, look=self._look(follows), notices=notices)
        ):
            raise self._late(seconds)

    def _late(self, seconds: float | None) -> Late:
        return Late(f"task {self.id} was not ready within {seconds} s")

    def _settled(self, propagate: bool, follow_parents: bool = True) -> Any:
        """Its value, of which is known that it has ended."""
        if self.ignored:
            return None
        document = self._document()
        if propagate and follow_parents and has_failed(document):
            self._raise_first_failure()
        return outcome_of(document, propagate)

    def _look(self, follows: bool) -> Callable[[], None] | None:
        return self._raise_first_failure if follows and self._steps_before() else None

    def _raise_first_failure(self) -> None:
        """Raise what the first step that failed raised, if one before it did. All steps are read by one call."""
        before = self._steps_before()
        for document in documents_of(self.app, before):
            if has_failed(document):
                outcome_of(document, propagate=True)

    def _steps_before(self) -> list[TaskView]:
        """Tasks before it in its chain, the first one first. Of a group the task after it tells what became of it."""
        before: list[TaskView] = [above for above in self._parents() if isinstance(above, TaskView)]
        return [above for above in reversed(before) if not above.ignored]

    # --- what it led to ------------------------------------------------------------------------------------------------------

    @property
    def children(self) -> list[Any]:
        """Handles of what this task sent, of its links and of the step that followed it; of groups those of the groups."""
        return [self._child(child) for child in self._document().children]

    def _child(self, child: Child) -> Any:
        if isinstance(child, str):
            return type(self)(child, app=self._app, sent=True)
        return self.app.result_from_tuple(child, sent=True)

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[Any, Any]]:
        """(parent, handle) of this task and of all that it led to, level by level; the parent of the first is None.

        Raises IncompleteStream at a task that has not ended, as it may yet lead to more; with `intermediate` it goes on without it.
        """
        return dependencies.iterdeps(self, intermediate)

    def collect(self, intermediate: bool = False, **options: Any) -> Iterator[tuple[Any, Any]]:
        """(handle, value) of this task and of all that it led to, level by level; waits for each in turn. `options`: see `get`."""
        for _, node in self.iterdeps(intermediate):
            yield node, node.get(**options)

    def get_leaf(self) -> Any:
        """The value of the last of all that it led to."""
        return deque((value for _, value in self.collect()), maxlen=1)[0]

    @property
    def graph(self) -> DependencyGraph:
        """What it led to, as a graph: see `build_graph`."""
        return self.build_graph()

    def build_graph(
        self, intermediate: bool = False, formatter: Callable[[Any], str] | None = None
    ) -> DependencyGraph:
        """The graph of this task and of all that it led to. `formatter(handle)` gives labels for `to_dot`. Raises as `iterdeps`."""
        return dependencies.graph_of(self, intermediate, formatter)

    # --- acting --------------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Delete its result, and those of the steps before it; who asks for them then is told that there is none."""
        above = [view for parent in self._parents() for view in parent._single()]
        forget_all(self.app, [self, *above])

    def _written(self, parent: tuple[Any, Any] | None) -> tuple[Any, Any]:
        return (self.id, parent), None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return other == self.id
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"


def call_back(
    handle: Any,
    callback: Callable[[Any], object],
    on_error: Callable[[Exception], object] | None,
    error: Exception | None,
) -> None:
    """What `then` asks for, once `handle` has ended or, with `error`, cannot be read."""
    if error is None:
        try:
            callback(handle)
        except Exception as failure:  # noqa: BLE001 - of the user's own, who is told or finds it in the log
            error = failure
    if error is None:
        return
    if on_error is not None:
        on_error(error)
    else:
        logger.error("then() of %r", handle, exc_info=error, extra={"action": "callback_failed"})
