"""Tasks that look now and then whether somebody wants them to stop: `base=AbortableTask`, `self.is_aborted()`, `result.abort()`.

The wish is a state of the task, ABORTED, so it is heard only until the task says a state of its own. `revoke(terminate=True)` ends a
task that does not look, and `revoke()` one that has not begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ..async_result import AsyncResult
from ..task import Task

__all__ = ["ABORTED", "AbortableAsyncResult", "AbortableTask"]

R = TypeVar("R")

ABORTED = "ABORTED"


class AbortableAsyncResult(AsyncResult[R]):
    """The handle of a task that can be aborted."""

    def is_aborted(self) -> bool:
        """Whether `abort` was called, and the task has not ended or said something else since."""
        return self.state == ABORTED

    def abort(self) -> None:
        """Ask the task to stop; it does when it looks. Nothing comes of it if it has ended."""
        self.app.tell_state(self.id, ABORTED, None)


class AbortableTask(Task[..., Any]):
    """A base of tasks: `@app.task(base=AbortableTask, bind=True)`."""

    abstract = True

    def apply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AbortableAsyncResult[Any]:
        """As that of any task; the handle has `abort`."""
        handle = super().apply_async(args, kwargs, **options)
        return AbortableAsyncResult(
            handle.id, app=self.app, parent=handle.parent, ignored=handle.ignored, sent=True
        )

    def AsyncResult(self, task_id: str) -> AbortableAsyncResult[Any]:  # noqa: N802 - Celery's name
        """The handle of a task by its id."""
        return AbortableAsyncResult(task_id, app=self.app)

    def is_aborted(self, **kwargs: Any) -> bool:
        """Whether this run was asked to stop; with `task_id` another one. A look at the result backend."""
        id_ = kwargs.get("task_id", self.request.id)
        return id_ is not None and self.AsyncResult(id_).is_aborted()
