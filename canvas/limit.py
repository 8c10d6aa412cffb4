"""Limit: how long a task may run. TimeLimits says it; a SoftLimit is what tells a task that its soft limit has come.

The hard limit is the worker's business, which has the pool end the job. The soft one is kept where the task runs, and how depends on the
thread: by an alarm in a main thread (pools/alarm.py), by an exception set from outside in any other (pools/strike.py). Both strike in the
task's function only: `execute` puts `over` and `run` around nothing else.

A coroutine is told by its event loop: SoftTimeLimitExceeded comes out of the `await` at which it waits, so it can be caught there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from threading import Thread
from typing import Any, Protocol

from msgspec import Struct

from .errors import SoftTimeLimitExceeded


class TimeLimits(Struct, frozen=True):
    """Seconds; None and 0 mean that there is no limit."""

    hard: float | None = None
    soft: float | None = None

    def otherwise(self, other: TimeLimits) -> TimeLimits:
        """These, and where one is missing that of `other`."""
        return TimeLimits(self.hard or other.hard or None, self.soft or other.soft or None)


class LimitsKept(Struct, frozen=True):
    """Which limits a pool can keep."""

    soft: bool
    hard: bool

    def missing(self, limits: TimeLimits) -> list[str]:
        """The names of those among `limits` that are not kept."""
        missing = []
        if limits.hard and not self.hard:
            missing.append("time_limit")
        if limits.soft and not self.soft:
            missing.append("soft_time_limit")
        return missing


class SoftLimit(Protocol):
    """Tells the task that runs in the calling thread that its time is over."""

    @property
    def kept(self) -> LimitsKept:
        """What is kept where this one is used: a message that wants more is refused."""
        ...

    def over(self, seconds: float | None) -> AbstractContextManager[object]:
        """Inside, after `seconds`, SoftTimeLimitExceeded is raised: once, and never outside."""
        ...

    async def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
        """Run the coroutine to its end, with the same exception in it after `seconds`.

        Only where tasks share an event loop this waits by way of it; elsewhere it has ended when this is first driven.
        """
        ...


class NoLimit:
    """Keeps none: for what runs a task outside of a pool. A caller that is a coroutine itself waits for the task's."""

    kept = LimitsKept(soft=False, hard=False)

    def over(self, seconds: float | None) -> AbstractContextManager[object]:  # noqa: ARG002 - none is kept
        return nullcontext()

    async def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:  # noqa: ARG002 - none is kept
        return run_here(coroutine)


NO_LIMIT = NoLimit()


def run_here(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run it to its end in an event loop of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # a thread has one event loop at a time, so this one goes to another thread
    ended: Future[Any] = Future()
    context = copy_context()
    thread = Thread(target=_settle, args=(ended, lambda: context.run(asyncio.run, coroutine)))
    thread.start()
    return ended.result()


def _settle(ended: Future[Any], call: Callable[[], Any]) -> None:
    try:
        ended.set_result(call())
    except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
        ended.set_exception(error)


def overdue_text(seconds: float) -> str:
    """What SoftTimeLimitExceeded says."""
    return f"the task ran longer than its soft time limit of {seconds} s"


class LimitedCoroutine:
    """Runs a coroutine, and throws SoftTimeLimitExceeded into it after `seconds`.

    It waits for the coroutine in its place: what the loop cancels at the limit is this one, which hands on the exception instead.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], seconds: float) -> None:
        self._coroutine = coroutine
        self._seconds = seconds
        self._task: asyncio.Task[Any] | None = None
        self._expired = False
        self._told = False
        self.stepping = False
        """The coroutine's own code runs now."""

    def run(self) -> Any:
        """In an event loop of its own."""
        return asyncio.run(self.wait())

    def tell(self) -> bool:
        """True for the first who asks, who must then raise the exception in the coroutine."""
        first, self._told = not self._told, True
        return first

    async def wait(self) -> Any:
        """In the loop and the asyncio task of the caller."""
        self._task = asyncio.current_task()
        timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)
        try:
            return await self
        finally:
            timer.cancel()

    def _expire(self) -> None:
        assert self._task is not None
        if self.tell():
            self._expired = True
            self._task.cancel()

    def __await__(self) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        while True:
            self.stepping = True
            try:
                step = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            except StopIteration as end:
                return end.value
            finally:
                self.stepping = False
            try:
                yield step
                error = None
            except BaseException as raised:  # noqa: BLE001 - whatever comes is the coroutine's
                error = self._meant(raised)

    def _meant(self, raised: BaseException) -> BaseException:
        """The limit, if it was this which cancelled us; else what was raised."""
        if not self._expired or not isinstance(raised, asyncio.CancelledError):
            return raised
        assert self._task is not None
        self._expired = False
        self._task.uncancel()
        return SoftTimeLimitExceeded(overdue_text(self._seconds))
