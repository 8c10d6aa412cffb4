"""Crew: the threads of a child that runs several jobs side by side, each as long as the child lives.

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

_NOT = object()


class Post(Protocol):
    """Where a crew hands in what it has to say."""

    def report(self, report: Ended | Requeue, /) -> bool:
        """A job has ended; False if nobody listens any more."""
        ...

    def dropped(self, key: str, /) -> bool:
        """A job was dropped: that this is said shows that the process is not stuck."""
        ...

    def left(self, key: str, /) -> bool:
        """A job that was dropped has ended after all."""
        ...

    def tell(self, key: str, state: str, value: Json, /) -> bool:
        """A job says something of itself; False if it cannot go this way. From any thread."""
        ...


class Crew:
    """Threads that run jobs, and hand each report to `post`; never two at a time. `ready` of them are there from the beginning, and
    one more is started where a job would have to wait for one: how many run side by side is for others to say.
    """

    def __init__(self, runner: Runner, post: Post, ready: int = 0) -> None:
        self._runner = runner
        self._post = post
        self._ready = ready
        self._reporting = threading.Lock()
        self._limit = StrikeLimit()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._running: dict[str, Strike] = {}
        self._wanted: dict[str, object] = {}
        """The jobs that have not ended, and were not dropped. Who takes a key out of it, its thread or `drop`, decides which of the two it was."""
        self._threads: list[threading.Thread] = []

    def serve(self, next_orders: Callable[[], list[Job | str] | None]) -> None:
        """Have jobs run, and drop those of which only the key comes, until there is None; then wait for what runs."""
        for _ in range(self._ready):
            self._start_thread()
            self._idle.release()
        while (orders := next_orders()) is not None:
            for order in orders:
                if isinstance(order, Job):
                    self.take(order)
                else:
                    self.drop(order)
                    with self._reporting:
                        self._post.dropped(order)
        self.finish()

    def take(self, job: Job) -> None:
        """Have it run. By one thread only, as `drop` and `finish`."""
        self._wanted[job.key] = None
        self._jobs.put(job)
        if not self._idle.acquire(blocking=False):
            self._start_thread()

    def drop(self, key: str) -> bool:
        """Have this job end, if it can be told; its report is not wanted any more. False if it has ended."""
        if self._wanted.pop(key, _NOT) is _NOT:
            return False
        # after it was taken out: its thread does both the other way round
        strike = self._running.get(key)
        if strike is not None:
            strike.land()
        return True

    def finish(self) -> None:
        """Take no more, and wait for what runs."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _start_thread(self) -> None:
        name = f"backbeat-task-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        pid = os.getpid()
        while (job := self._jobs.get()) is not None:
            report = self._run(job)
            if os.getpid() != pid:
                os._exit(0)  # a process that the task forked came back from it: the jobs are its parent's
            is_dropped = self._wanted.pop(job.key, _NOT) is _NOT
            with self._reporting:
                try:
                    is_heard = self._post.left(job.key) if is_dropped else self._post.report(report)
                except OSError:
                    # the task closed our pipe: only the death of this process says that its jobs are lost
                    os._exit(1)
                if not is_heard:
                    return
            self._idle.release()

    def _run(self, job: Job) -> Ended | Requeue:
        began = time.perf_counter()
        try:
            strike = self._running[job.key] = Strike(SystemExit)
            with strike:
                if job.key not in self._wanted:
                    sys.exit()
                with telling(partial(self._post.tell, job.key)):
                    return self._runner(job, self._limit)
        except BaseException as exc:  # noqa: BLE001 - what ends a process elsewhere ends the job here: the others go on
            return Ended(job.key, failure_of(exc, job.key), time.perf_counter() - began)
        finally:
            del self._running[job.key]


def failure_of(exc: BaseException, node: str) -> Failure:
    """What a job came to that raised this. Whatever the exception's class does, sys.exit() included: without a report the slot and the job would be lost for ever."""
    try:
        return Failure(error=error_of(exc, node), traceback=traceback_of(exc))
    except BaseException:  # noqa: BLE001 - see above
        return Failure(error=unreadable(exc, node))
