"""GreenCrew: the greenlets of a child in which many jobs run side by side, of gevent or eventlet (see Green); one switches when it waits.

The process was patched before anything was imported in it (nursery.py), so what blocks elsewhere, a socket, a lock, time.sleep, waits here for
itself alone: that goes for the pipe to the pool, too. There is no other thread.

A job that is dropped gets SystemExit where it waits. The worker was told at once that it is lost; that it has really ended is told when it has,
and then this process may live on. Who catches that and goes on, or computes and never waits, does not say so in time, and the process is replaced.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Protocol

from ..errors import Reject, SoftTimeLimitExceeded
from ..limit import LimitsKept, overdue_text
from ..teller import telling
from .base import Ended, Job, Requeue
from .crew import Post, failure_of
from .runner import Runner


class Green(Protocol):
    """What a library of greenlets does for a crew."""

    def spawn(self, run: Callable[[Job], None], job: Job, /) -> Any:
        """A greenlet that runs this soon."""
        ...

    def soon(self, call: Callable[[], object], /) -> None:
        """Have it called by the hub, when all greenlets wait."""
        ...

    def join(self, greenlet: Any, /) -> None:
        """Wait for its end."""
        ...

    def timeout(self, seconds: float, error: Exception, /) -> AbstractContextManager[object]:
        """Raises `error` inside the block after so many seconds, if it waits then."""
        ...


class GreenLimit:
    """Soft limits of greenlets, by the library's own timeouts; see limit.SoftLimit."""

    kept = LimitsKept(soft=True, hard=True)

    def __init__(self, green: Green) -> None:
        self._green = green

    def over(self, seconds: float | None) -> AbstractContextManager[object]:
        if not seconds:
            return nullcontext()
        return self._green.timeout(seconds, SoftTimeLimitExceeded(overdue_text(seconds)))

    async def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:  # noqa: ARG002 - it does not run
        """Refused: a thread has one event loop at a time, and all greenlets are in one thread."""
        coroutine.close()
        raise Reject(
            "the task is a coroutine, and greenlets share a thread that can run no event loop for each, so it was not run: "
            "serve its queue with -P asyncio, processes or threads",
            requeue=False,
        )


class GreenCrew:
    """Greenlets that run jobs, one for each, and hand each report to `post`."""

    def __init__(self, runner: Runner, post: Post, green: Green) -> None:
        self._runner = runner
        self._post = post
        self._green = green
        self._limit = GreenLimit(green)
        self._pid = os.getpid()
        self._greenlets: dict[str, Any] = {}
        self._begun: set[str] = set()
        self._dropped: set[str] = set()

    def serve(self, next_orders: Callable[[], list[Job | str] | None]) -> None:
        """Have jobs run, and drop those of which only the key comes, until there is None; then wait for what runs."""
        while (orders := next_orders()) is not None:
            for order in orders:
                if isinstance(order, Job):
                    self._greenlets[order.key] = self._green.spawn(self._work, order)
                else:
                    self._drop(order)
        for greenlet in [*self._greenlets.values()]:
            self._green.join(greenlet)

    def _drop(self, key: str) -> None:
        self._post.dropped(key)
        if key not in self._greenlets:
            self._post.left(key)  # its report was on its way
            return
        self._dropped.add(key)
        self._green.soon(partial(self._strike, key))

    def _strike(self, key: str) -> None:
        """Raise SystemExit in the job where it waits, if it is in the middle of it: before and after that nothing may be raised."""
        if key in self._begun:
            self._greenlets[key].throw(SystemExit)

    def _work(self, job: Job) -> None:
        report = self._run(job)
        if os.getpid() != self._pid:
            os._exit(0)  # a process that the task forked came back from it: the jobs are its parent's
        is_dropped = job.key in self._dropped
        self._dropped.discard(job.key)
        del self._greenlets[job.key]
        try:
            if is_dropped:
                self._post.left(job.key)
            else:
                self._post.report(report)
        except OSError:
            os._exit(1)  # a task closed our pipe: only the death of this process says that its jobs are lost

    def _run(self, job: Job) -> Ended | Requeue:
        began = time.perf_counter()
        try:
            self._begun.add(job.key)
            if job.key in self._dropped:
                sys.exit()
            with telling(partial(self._post.tell, job.key)):
                return self._runner(job, self._limit)
        except BaseException as exc:  # noqa: BLE001 - what ends a process elsewhere ends the job here: the others go on
            return Ended(job.key, failure_of(exc, job.key), time.perf_counter() - began)
        finally:
            self._begun.discard(job.key)
