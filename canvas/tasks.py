"""Tasks: tasks by name, an app's own and those that libraries share with every app by `@shared_task`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, MutableMapping
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, Unpack, overload

from .errors import NotRegistered
from .task import Task
from .task_making import task_of
from .task_option_types import TaskOptionTypes

P = ParamSpec("P")
R = TypeVar("R")


class Tasks(MutableMapping[str, Task[Any, Any]]):
    """Tasks by name: an app's own, and those that are shared by all apps. Those that every worker has are found, and not listed."""

    def __init__(self, built_in: Mapping[str, Task[Any, Any]] | None = None) -> None:
        self._own: dict[str, Task[Any, Any]] = {}
        self._built_in = built_in or {}

    def __getitem__(self, name: str) -> Task[Any, Any]:
        if name in self._own:
            return self._own[name]
        if name in _shared:
            return _shared[name]
        if name in self._built_in:
            return self._built_in[name]
        raise NotRegistered(name)

    def register(self, task: Task[Any, Any]) -> None:
        """Add a task under its name."""
        self[task.name] = task

    def unregister(self, name: str | Task[Any, Any]) -> None:
        """Take one of the app's own away. Raises NotRegistered if there is none of that name."""
        key = name if isinstance(name, str) else name.name
        if key not in self._own:
            raise NotRegistered(key)
        del self._own[key]

    def regular(self) -> dict[str, Task[Any, Any]]:
        """All of them: no task is periodic by itself, as schedules say what is sent when."""
        return dict(self)

    def periodic(self) -> dict[str, Task[Any, Any]]:
        """None, see `regular`."""
        return {}

    def __setitem__(self, name: str, task: Task[Any, Any]) -> None:
        self._own[name] = task

    def __delitem__(self, name: str) -> None:
        del self._own[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**_shared, **self._own})

    def __len__(self) -> int:
        return len({**_shared, **self._own})


_shared: dict[str, Task[Any, Any]] = {}
"""Tasks of libraries, which do not know the app that will run them."""


def share(task: Task[P, R]) -> Task[P, R]:
    """Offer a task to all apps."""
    _shared[task.name] = task
    return task


@overload
def shared_task(run: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...


@overload
def shared_task(run: Callable[P, R], /) -> Task[P, R]: ...


@overload
def shared_task(
    *, bind: Literal[True], name: str | None = None, **options: Unpack[TaskOptionTypes]
) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...


@overload
def shared_task(
    *, bind: Literal[False] = False, name: str | None = None, **options: Unpack[TaskOptionTypes]
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def shared_task(*run: Any, **options: Any) -> Any:
    """A task that belongs to whatever app there will be; for libraries and for Django apps."""

    def define(run: Callable[..., Any]) -> Task[Any, Any]:
        return share(task_of(run, options, None))

    return define(*run) if run else define
