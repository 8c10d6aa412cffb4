"""Mapping: one task over many arguments: map, starmap and chunks, and the tasks of every worker that run them.

`task.map([1, 2])` calls the function for each item, one after the other, in one message; `task.starmap([(1, 2), (3, 4)])` with the items
of each; `task.chunks(items, n)` is a group of such starmaps, of `n` items each, so its value is a list of lists. As in Celery an error
ends the message, and what came before it in it is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .compose.group import group
from .errors import ImproperlyConfigured
from .node_data import CHUNKS_TASK, STARMAP_TASK
from .result import Result
from .retrying import count_of
from .sender import Sender
from .signature import Signature, signature
from .signature_fields import Position
from .task import Task
from .task_making import task_of

MAP_TASK = "celery.map"
"""As the others a name of Celery's: its workers run what we send, and ours what its clients send."""


class _Mapping(Signature):
    """A signature of one task and of what it is called with. Immutable: it has all its arguments."""

    def __init__(self, name: str, task: Any, it: Iterable[Any], app: Sender | None, **more: Any) -> None:
        sig = signature(task) if isinstance(task, Mapping) else Signature(task)
        super().__init__(
            name, kwargs={"task": sig, "it": list(it), **more}, immutable=True, app=app or sig.own_app
        )

    @property
    def _called(self) -> str:
        return str(self.kwargs["task"]["task"])


class xmap(_Mapping):  # noqa: N801 - Celery's name
    """`[task(item) for item in it]`, in one message."""

    def __init__(self, task: Any, it: Iterable[Any], app: Sender | None = None) -> None:
        super().__init__(MAP_TASK, task, it, app)

    def __repr__(self) -> str:
        return f"[{self._called}(x) for x in {self.kwargs['it']!r}]"


class xstarmap(_Mapping):  # noqa: N801 - Celery's name
    """`[task(*item) for item in it]`, in one message."""

    def __init__(self, task: Any, it: Iterable[Any], app: Sender | None = None) -> None:
        super().__init__(STARMAP_TASK, task, it, app)

    def __repr__(self) -> str:
        return f"[{self._called}(*x) for x in {self.kwargs['it']!r}]"


class chunks(_Mapping):  # noqa: N801 - Celery's name
    """A group of starmaps, of `n` items each."""

    def __init__(self, task: Any, it: Iterable[Any], n: int, app: Sender | None = None) -> None:
        size = count_of(n)
        if not size:
            raise ImproperlyConfigured(f"chunks: n must be a whole number from 1 on, found {n!r:.80}")
        super().__init__(CHUNKS_TASK, task, it, app, n=size)

    def group(self) -> group:
        """The group that is sent."""
        it, size = self.kwargs["it"], self.kwargs["n"]
        pieces = [it[first : first + size] for first in range(0, len(it), size)]
        return group(
            [xstarmap(self.kwargs["task"], piece, app=self.own_app) for piece in pieces], app=self.own_app
        )

    def _frozen(self, id_: str | None, position: Position) -> Result:
        frozen = self.group().freeze(self.id or id_)
        self._place(position)
        self.options["task_id"] = frozen.id
        return frozen

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.apply_async(args, kwargs)

    def __repr__(self) -> str:
        return f"{CHUNKS_TASK}(task={self._called}, it={self.kwargs['it']!r}, n={self.kwargs['n']})"


# --- what workers run ----------------------------------------------------------------------------------------------------------


def mapping_tasks(app: Sender) -> dict[str, Task[Any, Any]]:
    """The tasks that every worker of `app` has besides the project's, by their names."""

    def called(task: Mapping[str, Any], args: Iterable[Any]) -> Any:
        return app.call_task(task["task"], [*args, *(task.get("args") or ())], task.get("kwargs") or {})

    def run_map(task: Mapping[str, Any], it: Iterable[Any]) -> list[Any]:
        return [called(task, (item,)) for item in it]

    def run_starmap(task: Mapping[str, Any], it: Iterable[Any]) -> list[Any]:
        return [called(task, item) for item in it]

    def run_chunks(self: Task[Any, Any], task: Mapping[str, Any], it: list[Any], n: int) -> None:
        self.replace(chunks(task, it, n).group())

    def accumulate(*args: Any, index: int | None = None, **_: Any) -> Any:
        return list(args) if index is None else args[index]

    def backend_cleanup() -> None:
        """What Celery's beat sends at night. Our stores delete what has expired as they go."""

    runs: dict[str, Callable[..., Any]] = {
        MAP_TASK: run_map,
        STARMAP_TASK: run_starmap,
        CHUNKS_TASK: run_chunks,
        "celery.accumulate": accumulate,
        "celery.backend_cleanup": backend_cleanup,
    }
    return {name: task_of(run, {"name": name, "bind": run is run_chunks}, app) for name, run in runs.items()}


Signature.MAPPINGS.update({MAP_TASK: xmap, STARMAP_TASK: xstarmap, CHUNKS_TASK: chunks})
