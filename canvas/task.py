"""Task: a function that can be sent. `delay` keeps the function's signature for type checkers; `self.retry` asks for another run."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, cast, overload

from . import errors
from .options import checked
from .request import Request, current_request
from .result import AsyncResult
from .signature import Sender, Signature, default_sender

P = ParamSpec("P")
R = TypeVar("R")

MAX_RETRIES = 3
RETRY_SECONDS = 180.0
SENT_OPTIONS = frozenset(
    {
        "queue",
        "priority",
        "expires",
        "ignore_result",
        "time_limit",
        "soft_time_limit",
        "routing_key",
        "serializer",
    }
)
"""Options of a task that each of its messages carries, unless the caller says otherwise."""


ALWAYS = {"track_started": True, "reject_on_worker_lost": True}
"""Options of Celery's that have one value here; giving that value is no error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What `@app.task(...)` was given. Values that are None were not given."""

    bind: bool = False
    queue: str | None = None
    routing_key: str | None = None
    priority: int | None = None
    expires: float | None = None
    serializer: str | None = None
    ignore_result: bool | None = None
    acks_late: bool | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    max_retries: int | None = MAX_RETRIES
    default_retry_delay: float = RETRY_SECONDS

    def sent(self) -> dict[str, Any]:
        """Those that go with each message."""
        found = {name: getattr(self, name) for name in SENT_OPTIONS}
        return {name: value for name, value in found.items() if value is not None}


class Task(Generic[P, R]):
    """One task. Made by `@app.task` and `@shared_task`."""

    def __init__(
        self, run: Callable[P, R], *, name: str, options: TaskOptions, app: Sender | None = None
    ) -> None:
        self.run = run
        self.name = name
        self.options = options
        self.bound_app = app
        self.__name__ = getattr(run, "__name__", name)
        self.__qualname__ = getattr(run, "__qualname__", name)
        self.__module__ = getattr(run, "__module__", __name__)
        self.__doc__ = run.__doc__
        self.__wrapped__ = run

    @property
    def app(self) -> Any:
        """The app that it belongs to; for a shared task the current one."""
        return self.bound_app if self.bound_app is not None else default_sender()

    @property
    def request(self) -> Request:
        """What is known of the run that this code is part of."""
        return current_request()

    @property
    def max_retries(self) -> int | None:
        return self.options.max_retries

    # --- running -------------------------------------------------------------------------------------------------------------

    @property
    def run_bound(self) -> Callable[..., Any]:
        """The function as callers see it: with `self` filled in for `bind=True`."""
        return self._run_with_self if self.options.bind else self.run

    @property
    def _run_with_self(self) -> Callable[..., Any]:
        return cast("Callable[..., Any]", self.run.__get__(self))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now."""
        return cast("R", self.run_bound(*args, **kwargs))

    # --- sending -------------------------------------------------------------------------------------------------------------

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send it with these arguments. Raises TypeError if the function does not take them."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[R]:
        """Send it.

        Options: countdown (seconds), eta (aware datetime), expires (seconds or aware datetime), queue, priority, task_id, headers,
        link, link_error, ignore_result, time_limit, soft_time_limit, ... Raises TypeError for arguments that the function does not
        take or an option that does not exist, EncodeError for what JSON cannot hold, Unavailable if the broker cannot be reached.
        """
        args, kwargs = list(args or ()), dict(kwargs or {})
        self._check(args, kwargs)
        handle = self.app.send_signature(Signature(self.name, app=self.bound_app), args, kwargs, options)
        return cast("AsyncResult[R]", handle)

    def _check(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        try:
            inspect.signature(self.run_bound).bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"task {self.name}: {error}") from None

    def s(self, *args: Any, **kwargs: Any) -> Signature:
        """A signature with these arguments; what a step before it returns comes in front of them."""
        return Signature(self.name, args, kwargs, app=self.bound_app)

    def si(self, *args: Any, **kwargs: Any) -> Signature:
        """A signature that takes nothing from the step before it."""
        return Signature(self.name, args, kwargs, immutable=True, app=self.bound_app)

    def signature(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature:
        """A signature with options."""
        immutable = options.pop("immutable", False)
        return Signature(self.name, args, kwargs, options, immutable=immutable, app=self.bound_app)

    subtask = signature

    def AsyncResult(self, task_id: str) -> AsyncResult[R]:  # noqa: N802 - Celery's name
        """The handle of a task by its id."""
        return AsyncResult(task_id, app=self.app)

    # --- retrying ------------------------------------------------------------------------------------------------------------

    def retry(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
    ) -> errors.Retry:
        """Run this task again, after `countdown` seconds or at `eta`; by default after `default_retry_delay`.

        Raises Retry, which the worker understands; once `max_retries` runs have been repeats, `exc` or MaxRetriesExceededError.
        """
        wanted = checked({"eta": eta, "countdown": countdown})
        request = self.request
        if request.called_directly:
            raise (
                exc
                or sys.exception()
                or errors.ImproperlyConfigured(
                    f"{self.name} was called directly, so there is nobody to run it again"
                )
            )
        limit = self.options.max_retries if max_retries is None else max_retries
        if limit is not None and request.retries >= limit:
            if exc is not None:
                raise exc
            raise errors.MaxRetriesExceededError(
                f"{self.name}[{request.id}] was tried {request.retries + 1} times"
            )
        when = eta if eta is not None else wanted.get("countdown", self.options.default_retry_delay)
        retry = errors.Retry(exc=exc, when=when, args=args, kwargs=kwargs)
        if throw:
            raise retry from exc
        return retry

    def __repr__(self) -> str:
        return f"<@task: {self.name}>"


class Tasks(MutableMapping[str, Task[Any, Any]]):
    """Tasks by name: an app's own, and those that are shared by all apps."""

    def __init__(self) -> None:
        self._own: dict[str, Task[Any, Any]] = {}

    def __getitem__(self, name: str) -> Task[Any, Any]:
        return self._own[name] if name in self._own else _shared[name]

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


def task_name(run: Callable[..., Any], main: str = "") -> str:
    """module.function; functions of the main program are named after the app."""
    module = run.__module__
    return f"{main or module}.{run.__name__}" if module == "__main__" else f"{module}.{run.__name__}"


def task_of(
    run: Callable[..., Any], options: Mapping[str, Any], app: Sender | None, main: str = ""
) -> Task[Any, Any]:
    """A task of a function, with what its decorator was given. Raises TypeError, with a suggestion, for an option that does not exist."""
    given = dict(options)
    name = given.pop("name", None) or task_name(run, main)
    for option, value in ALWAYS.items():
        if given.pop(option, value) != value:
            raise TypeError(f"task {name}: {option} is always {value!r} in this version")
    for option in given:
        if option not in TaskOptions.__slots__:
            near = difflib.get_close_matches(option, TaskOptions.__slots__, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            known = ", ".join(("name", *TaskOptions.__slots__))
            raise TypeError(f"task {name}: there is no option {option!r}{hint or '.'} Options are: {known}.")
    return Task(run, name=name, options=TaskOptions(**given), app=app)


@overload
def shared_task(run: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...


@overload
def shared_task(run: Callable[P, R], /) -> Task[P, R]: ...


@overload
def shared_task(
    *, bind: Literal[True], name: str | None = None, **options: Any
) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...


@overload
def shared_task(
    *, bind: Literal[False] = False, name: str | None = None, **options: Any
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def shared_task(*run: Any, **options: Any) -> Any:
    """A task that belongs to whatever app there will be; for libraries and for Django apps."""

    def define(run: Callable[..., Any]) -> Task[Any, Any]:
        return share(task_of(run, options, None))

    return define(*run) if run else define
