"""Crew: the threads of a child that runs several jobs side by side.

A job that is dropped was ended for the worker, and the process is about to go. SystemExit is raised in its thread, so that it does no more than
it must: when it comes back from C code, if it does, and if it does not catch that. Nobody relies on it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Protocol

from ..failure import error_of, traceback_of, unreadable
from ..json_text import Json
from ..outcome import Failure
from ..teller import telling
from .base import Ended, Job, Requeue
from .runner import Runner
from .strike import Strike, StrikeLimit


class Post(Protocol):
    """Where a crew hands in what it has to say."""

    def report(self, report: Ended | Requeue, /) -> bool:
        """A job has ended; False if nobody listens any more."""
        ...

    def dropped(self, key: str, /) -> bool:
        """A job was dropped: that this is said shows that the process is not stuck."""
        ...

    def tell(self, key: str, state: str, value: Json, /) -> bool:
        """A job says something of itself; False if it cannot go this way. From any thread."""
        ...


class Crew:
    """`size` threads that run jobs, and hand each report to `post`; never two at a time."""

    def __init__(self, runner: Runner, size: int, post: Post) -> None:
        self._runner = runner
        self._post = post
        self._reporting = threading.Lock()
        self._limit = StrikeLimit()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._running: dict[str, Strike] = {}
        self._dropped: set[str] = set()
        self._threads = [
            threading.Thread(target=self._work, name=f"backbeat-task-{number}", daemon=True)
            for number in range(1, size + 1)
        ]

    def serve(self, next_orders: Callable[[], list[Job | str] | None]) -> None:
        """Have jobs run, and drop those of which only the key comes, until there is None; then wait for what runs."""
        for thread in self._threads:
            thread.start()
        while (orders := next_orders()) is not None:
            for order in orders:
                if isinstance(order, Job):
                    self._jobs.put(order)
                else:
                    self._drop(order)
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        pid = os.getpid()
        while (job := self._jobs.get()) is not None:
            report = self._run(job)
            if os.getpid() != pid:
                os._exit(0)  # a process that the task forked came back from it: the jobs are its parent's
            with self._reporting:
                try:
                    is_heard = self._post.report(report)
                except OSError:
                    # the task closed our pipe: only the death of this process says that its jobs are lost
                    os._exit(1)
                if not is_heard:
                    return

    def _drop(self, key: str) -> None:
        self._dropped.add(key)  # before the look at what runs: its thread does both the other way round
        strike = self._running.get(key)
        if strike is not None:
            strike.land()
        with self._reporting:
            self._post.dropped(key)

    def _run(self, job: Job) -> Ended | Requeue:
        began = time.perf_counter()
        try:
            strike = self._running[job.key] = Strike(SystemExit)
            with strike:
                if job.key in self._dropped:
                    sys.exit()
                with telling(partial(self._post.tell, job.key)):
                    return self._runner(job, self._limit)
        except BaseException as exc:  # noqa: BLE001 - what ends a process elsewhere ends the job here: the others go on
            return Ended(job.key, _failure(exc, job.key), time.perf_counter() - began)
        finally:
            del self._running[job.key]


def _failure(exc: BaseException, node: str) -> Failure:
    """Whatever the exception's class does, sys.exit() included: without a report the slot and the job would be lost for ever."""
    try:
        return Failure(error=error_of(exc, node), traceback=traceback_of(exc))
    except BaseException:  # noqa: BLE001 - see above
        return Failure(error=unreadable(exc, node))
