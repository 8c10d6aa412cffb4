"""Task: a function that can be sent. `delay` keeps the function's signature for type checkers; `self.retry` asks for another run."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, NoReturn, ParamSpec, Self, TypeVar, cast

from . import errors
from .awaitable import in_thread
from .django_project import on_commit
from .eager_result import EagerResult
from .growing import added_to_chord
from .header import check_size
from .ids import draw
from .model_call import ModelCall
from .outcome import READY_STATES
from .parameters import Parameters
from .request import Request, current_request
from .result import AsyncResult
from .retry_call import RetryCall, retry_call
from .signature import Signature
from .signature import signature as signature_of
from .stated import stated
from .task_attributes import TaskAttributes
from .task_hooks import TaskHooks
from .value import keywords, positional

P = ParamSpec("P")
R = TypeVar("R")


class Task(TaskAttributes, TaskHooks, Generic[P, R]):
    """One task. Made by `@app.task` and `@shared_task` of a function; or an instance of a class that has a method `run`, registered by
    `app.register_task`. Its options are attributes (task_attributes.py), what it is told of its runs are methods (task_hooks.py).

    One instance runs all runs in a process, so what it keeps in attributes is there for the next run in that process.
    """

    MaxRetriesExceededError: ClassVar[type[Exception]] = errors.MaxRetriesExceededError
    """For `except self.MaxRetriesExceededError`, as Celery projects write it."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        task = super().__new__(cls)
        task._be(cls.name or f"{cls.__module__}.{cls.__name__}", cls.run, cls)
        return task

    def _be(self, name: str, run: Callable[..., Any], named: Any) -> None:
        """Take the place of `run`, under the names of `named`."""
        known = self.__dict__
        known["name"] = name
        known["__name__"] = getattr(named, "__name__", name)
        known["__qualname__"] = getattr(named, "__qualname__", name)
        known["__module__"] = getattr(named, "__module__", __name__)
        known["__doc__"] = named.__doc__
        known["__wrapped__"] = run

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the task does. Classes of tasks define it."""
        raise NotImplementedError(no_run(self))

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """A task of this class was registered with `app`. For classes to override."""

    @property
    def request(self) -> Request:
        """What is known of the run that this code is part of."""
        return current_request()

    @property
    def backend(self) -> Any:
        """Where results are read: that of its app."""
        return self.app.backend

    # --- running -------------------------------------------------------------------------------------------------------------

    @property
    def run_bound(self) -> Callable[..., Any]:
        """The function as callers see it: with `self` filled in for `bind=True`."""
        return self.run

    @property
    def entry(self) -> Callable[..., Any]:
        """What a worker calls: the function, or the class's own `__call__` if it has one."""
        return self.run if type(self).__call__ is Task.__call__ else self

    @property
    def is_coroutine(self) -> bool:
        """Whether calling it only makes a coroutine: then it may run beside others in one event loop."""
        if type(self).__call__ is not Task.__call__:
            return inspect.iscoroutinefunction(type(self).__call__)
        run = self.run
        return inspect.iscoroutinefunction(run.__wrapped__ if isinstance(run, ModelCall) else run)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now."""
        return self.run(*args, **kwargs)

    # --- sending -------------------------------------------------------------------------------------------------------------

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send it with these arguments. Raises TypeError if the function does not take them."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[R]:
        """Send it.

        Options: countdown (seconds), eta (aware datetime), expires (seconds or aware datetime), queue, priority, task_id, headers,
        link, link_error, ignore_result, time_limit, soft_time_limit, unique_key, unique_scope, unique_conflict, ... Raises TypeError
        for arguments that the function does not take or an option that does not exist, EncodeError for what JSON cannot hold,
        UniqueConflict if another task has the unique key and that is to be raised, Unavailable if the broker cannot be reached.
        """
        args, kwargs = positional(args or ()), keywords(kwargs or {})
        self._check(args, kwargs)
        if isinstance(self.run, ModelCall):
            args, kwargs = self.run.dumped(args, kwargs)
        handle = self.app.send_signature(Signature(self.name, app=self.bound_app), args, kwargs, options)
        return cast("AsyncResult[R]", handle)

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """As `delay`, for coroutines: the event loop goes on while it is sent (see awaitable.py)."""
        return await in_thread(self.delay, *args, **kwargs)

    async def aapply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[R]:
        """As `apply_async`, for coroutines."""
        return await in_thread(self.apply_async, args, kwargs, **options)

    def delay_on_commit(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """As `delay`, when the transaction of Django's that is open commits."""
        return self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        using: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """As `apply_async`, when the transaction of Django's that is open on the database `using` commits; never if it is rolled back, now if none
        is open. The id is known at once. Arguments are checked at once, too; what Celery would raise when it is sent comes out of the commit.

        A process that dies between the commit and the sending sends nothing: with SQLAlchemy `app.transaction` leaves no such moment.
        """
        self._check(positional(args or ()), keywords(kwargs or {}))
        options = {**options, "task_id": options.get("task_id") or draw()}
        on_commit(lambda: self.apply_async(args, kwargs, **options), using)
        return cast("AsyncResult[R]", self.app.AsyncResult(options["task_id"]))

    def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        throw: bool | None = None,
        logfile: object = None,  # noqa: ARG002 - Celery's arguments: where a worker would log, and there is none
        loglevel: object = None,  # noqa: ARG002
        **options: Any,
    ) -> EagerResult[R]:
        """Run it here and now, and all that follows from it: retries, without waiting, and links. Returns a handle that is ready.

        With `throw` (None: as `task_eager_propagates` says) what it raised is raised here. `retries` says how often it was tried before;
        the other options are those of `apply_async`, of which time limits mean nothing. Raises what `apply_async` does of values
        that cannot be sent, though nothing is sent.
        """
        args, kwargs = positional(args or ()), keywords(kwargs or {})
        self._check(args, kwargs)
        sig = Signature(self.name, app=self.bound_app)
        handle = self.app.apply_signature(sig, args, kwargs, {**options, "throw": throw})
        return cast("EagerResult[R]", handle)

    def _check(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        if self.options.typing is False:
            return
        try:
            self._parameters().check(args, kwargs)
        except TypeError as error:
            raise TypeError(f"task {self.name}: {error}") from None

    def _parameters(self) -> Parameters:
        """Of `run`: looked up at each call, as another function may have been put there, but read only once."""
        known: tuple[Any, Parameters] | None = self.__dict__.get("_known_parameters")
        if known is None or known[0] != self.run:
            known = self.__dict__["_known_parameters"] = self.run, Parameters(self.run)
        return known[1]

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

    def map(self, it: Iterable[Any]) -> Signature:
        """A signature that calls the task for each item of `it`, one after the other, in one message; its value is a list."""
        return self._mapping("celery.map", it)

    def starmap(self, it: Iterable[Any]) -> Signature:
        """As `map`, with the items of each item as arguments."""
        return self._mapping("celery.starmap", it)

    def chunks(self, it: Iterable[Any], n: int) -> Signature:
        """A group of starmaps, of `n` items each: its value is a list of lists."""
        return self._mapping("celery.chunks", it, n)

    def _mapping(self, name: str, *arguments: Any) -> Signature:
        return Signature.MAPPINGS[name](self.s(), *arguments, app=self.bound_app)

    def AsyncResult(self, task_id: str) -> AsyncResult[R]:  # noqa: N802 - Celery's name
        """The handle of a task by its id."""
        return AsyncResult(task_id, app=self.app)

    def update_state(self, task_id: str | None = None, state: str = "PROGRESS", meta: Any = None) -> None:
        """Say how far the run is: `state` (a name of your own), and what `result.info` shall be. By default of the run that this is part of.

        It reads so until the next word, and at last until the task ends, by which it is overwritten; but not if it ends by Ignore: then the
        last word stands. A task that still runs has not ended, whatever it says: SUCCESS, FAILURE and the like are kept for that case.
        It is stored soon, not before this returns, and is lost if it cannot be; nothing depends on it. Of a task that
        ignores its result nothing is stored.

        Raises ImproperlyConfigured for what is no name of a state, or outside of a run without `task_id`; EncodeError for a `meta` that
        cannot be written down, or is longer than results may be.
        """
        request = self.request
        is_own = not request.called_directly and task_id in (None, request.id)
        if is_own:
            word = request.told = stated(state, meta, int(self.setting("result_max_bytes")))
            if request.ignore_result or request.is_eager or word[0] in READY_STATES:
                return
            if request.tell is not None and request.tell(*word):
                return
        elif task_id is None:
            raise errors.ImproperlyConfigured(
                f"{self.name}: no task runs here, so say of which one this is the state: update_state(task_id=...)"
            )
        self.app.tell_state(task_id or request.id, state, meta, request.message if is_own else None)

    def add_trail(self, result: Any) -> Any:
        """Let a handle be among the children of the run that this code is part of; returns it. What a run sends is so anyhow."""
        if self.trail:
            self.request.children.append(result)
        return result

    # --- retrying ------------------------------------------------------------------------------------------------------------

    def retry(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        exc: BaseException | type[BaseException] | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | timedelta | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> errors.Retry:
        """Run this task again, after `countdown` seconds or at `eta`; by default after `default_retry_delay`.

        It keeps its id, its place in a canvas, its links and its options, but for `args`, `kwargs` and `options` (queue, priority,
        expires, headers, time limits, shadow). Raises Retry, which the worker understands; with `throw=False` it is returned, and the
        task is run again when this run ends, unless it ends by Ignore or Reject.

        Once `max_retries` runs have been repeats it raises `exc`, or MaxRetriesExceededError. Outside of a worker it raises `exc`, or
        the exception that is being handled.
        """
        given = {
            "args": args,
            "kwargs": kwargs,
            "eta": eta,
            "countdown": countdown,
            "max_retries": max_retries,
        }
        asked = retry_call({**given, **options})
        reason = _exception(exc)
        request = self.request
        if request.called_directly or request.task not in (None, self.name):
            handled = sys.exception() if reason is None else reason
            raise self._nobody_to_retry() if handled is None else handled
        if "queue" in asked.options:
            self.app.check_queue(asked.options["queue"])
        if "headers" in asked.options:
            # else they could grow with each attempt
            check_size({**request.headers, **asked.options["headers"]})
        if asked.max_retries is not None:
            request.max_retries = asked.max_retries  # autoretry_for shall not go on beyond it
        limit = self._limit(request, asked)
        if limit is not None and request.retries >= limit:
            raise self._exhausted(request, limit) if reason is None else reason
        retry = self._asking(asked, reason, self.retrying.delay_seconds if asked.when is None else asked.when)
        if throw:
            raise retry from reason
        request.retry_asked = retry
        return retry

    def replace(self, sig: Mapping[str, Any]) -> NoReturn:
        """Let a canvas take the place of this run: `raise self.replace(a.s(1) | b.s())`. It always raises; the worker understands it.

        The canvas goes on under this task's id: what ends last in it gives this task's value (of a group the list of its members'), and
        what waits for this task, its links, its group or chord and the rest of its chain, goes on from that. If it fails, this task
        fails, and its error callbacks are called. It gets no arguments from this run but those that its signatures have.

        Raises ImproperlyConfigured for an empty chain, for what cannot be sent, and where it is not this task that a worker runs;
        EncodeError for arguments that cannot be sent, TypeError for what is no signature.
        """
        request = self.request
        if request.called_directly or request.task not in (None, self.name):
            raise errors.ImproperlyConfigured(
                f"{self.name} is not what a worker runs here, so it cannot be replaced: use the `self` of the task that runs (bind=True)"
            )
        self.on_replace(signature_of(sig, app=self.app))

    def add_to_chord(self, sig: Mapping[str, Any], lazy: bool = False) -> Any:
        """Let one more canvas be a member of the chord in whose header this run is: its value comes at the end of the body's list.

        It starts, and the chord waits for it, when this run has succeeded; if the run fails or is retried nothing is added. Returns its
        handle. With `lazy` it returns a signature that is added when it is sent with `delay()` or `apply_async()`.

        Raises ValueError if this run is in no header (of a step of a long chain that is known only when the run ends, so it fails then);
        ImproperlyConfigured and EncodeError for what cannot be sent, TypeError for what is no signature.
        """
        return added_to_chord(self.app, self.request, sig, lazy=lazy)

    def on_replace(self, sig: Signature) -> NoReturn:
        """What `replace` ends with: for subclasses that look at `sig`, or change it, and then call this one."""
        raise errors.Replaced(self.app.replacing(sig))

    def retry_after(self, exc: BaseException, request: Request, draw: float) -> errors.Retry | None:
        """The retry that `autoretry_for` asks for after `exc` ended the run of `request`; None if it does not, or not any more.

        `draw`, from 0 to 1, chooses the delay where there is jitter.
        """
        if not self.retrying.wants(exc):
            return None
        limit = self._limit(request, self._retry_call)
        if limit is not None and request.retries >= limit:
            return None
        when: datetime | float | None = self.retrying.backoff(request.retries, draw)
        if when is None:
            when = self._retry_call.when
        return self._asking(self._retry_call, exc, self.retrying.delay_seconds if when is None else when)

    def _limit(self, request: Request, asked: RetryCall) -> int | None:
        """How many retries there may be: as this run said, or its caller, or `retry_kwargs`, or the task. None: any number."""
        found = (request.max_retries, asked.max_retries, self.retrying.max_retries)
        return next((limit for limit in found if limit is not None), None)

    @staticmethod
    def _asking(asked: RetryCall, exc: BaseException | None, when: datetime | float) -> errors.Retry:
        return errors.Retry(exc=exc, when=when, args=asked.args, kwargs=asked.kwargs, options=asked.options)

    def _exhausted(self, request: Request, limit: int) -> Exception:
        tries = f"{request.retries + 1} time{'s' if request.retries else ''}"
        return errors.MaxRetriesExceededError(
            f"{self.name}[{request.id}] was tried {tries} and cannot be retried again: max_retries is {limit}"
        )

    def _nobody_to_retry(self) -> Exception:
        return errors.ImproperlyConfigured(
            f"{self.name} was called directly, so there is nobody to run it again"
        )

    def __repr__(self) -> str:
        return f"<@task: {self.name}>"


def _exception(exc: Any) -> BaseException | None:
    """The exception that `retry(exc=...)` names, which may be a class, as in `raise`."""
    made = exc() if isinstance(exc, type) and issubclass(exc, BaseException) else exc
    if made is not None and not isinstance(made, BaseException):
        raise TypeError(f"exc must be an exception, found {exc!r:.100}; write retry(exc=error)")
    return made


def no_run(task: Task[Any, Any]) -> str:
    """Why a class of tasks without a function is no task."""
    name = type(task).__name__
    return f"{name} has no run(): define it, or use the class as a base, @app.task(base={name})"
