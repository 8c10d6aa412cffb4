"""LoopCrew: the event loop of a child in which the coroutines of many jobs run side by side; jobs that are none have a thread each (crew.py).

The loop runs in the main thread, and nothing in it waits for the worker: reports are written by a thread of their own.

A job that is dropped is cancelled as asyncio does it: CancelledError comes out of its `await`. The worker was told at once that it is lost; that
it has really ended is told when it has, and then this process may live on. Who catches the cancellation and goes on, or does not let the
loop run, does not say so in time, and the process is replaced.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from queue import SimpleQueue
from typing import Any

from ..limit import LimitedCoroutine, LimitsKept
from ..teller import telling
from .base import Ended, Job, Requeue
from .crew import Crew, Post, failure_of
from .pipe import Inbox, orders_of
from .runner import AwaitedRunner, Runner

_CHUNK = 1 << 18


class LoopLimit:
    """Soft limits in a loop that tasks share; see limit.SoftLimit."""

    kept = LimitsKept(soft=True, hard=True)

    def over(self, seconds: float | None) -> AbstractContextManager[object]:  # noqa: ARG002 - to call it only makes the coroutine
        return nullcontext()

    async def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
        """A coroutine that does not let the loop run is not told."""
        return await (LimitedCoroutine(coroutine, seconds).wait() if seconds else coroutine)


class LoopCrew:
    """Runs jobs until the pool ends its `pipe`, then waits for what runs."""

    def __init__(self, runner: Runner, post: Post) -> None:
        self._runner = runner
        self._post = post
        self._threads = Crew(runner, post)
        self._limit = LoopLimit()
        self._pid = os.getpid()
        self._tasks: dict[str, asyncio.Task[Ended | Requeue]] = {}
        self._dropped: set[str] = set()
        self._said: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        """What is to be written, in this order."""

    def serve(self, pipe: socket.socket) -> None:
        """Return when all is done and said."""
        writer = threading.Thread(target=self._write, name="backbeat-reports", daemon=True)
        writer.start()
        asyncio.run(self._serve(pipe))
        self._threads.finish()
        self._said.put(None)
        writer.join()

    async def _serve(self, pipe: socket.socket) -> None:
        loop, inbox = asyncio.get_running_loop(), Inbox()
        over: asyncio.Future[None] = loop.create_future()
        loop.add_reader(pipe, self._read, pipe, inbox, over)
        await over
        loop.remove_reader(pipe)
        while self._tasks:
            await asyncio.wait([*self._tasks.values()])

    def _read(self, pipe: socket.socket, inbox: Inbox, over: asyncio.Future[None]) -> None:
        try:
            data = pipe.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data and not over.done():
            over.set_result(None)
        inbox.feed(data)
        for frame in inbox.frames():
            for order in orders_of(frame):
                if isinstance(order, Job):
                    self._take(order)
                else:
                    self._drop(order)

    def _take(self, job: Job) -> None:
        coroutine = (
            self._runner.awaited(job, self._limit) if isinstance(self._runner, AwaitedRunner) else None
        )
        if coroutine is None:
            self._threads.take(job)
            return
        task = asyncio.get_running_loop().create_task(self._run(job, coroutine))
        self._tasks[job.key] = task
        task.add_done_callback(partial(self._ended, job.key, coroutine))

    async def _run(self, job: Job, coroutine: Coroutine[Any, Any, Ended | Requeue]) -> Ended | Requeue:
        with telling(partial(self._post.tell, job.key)):
            try:
                return await coroutine
            except BaseException as exc:  # noqa: BLE001 - what ends a process elsewhere ends the job here: the others go on
                return Ended(job.key, failure_of(exc, job.key))

    def _ended(
        self,
        key: str,
        coroutine: Coroutine[Any, Any, Ended | Requeue],
        task: asyncio.Task[Ended | Requeue],
    ) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # a process that the task forked came back from it: the jobs are its parent's
        coroutine.close()  # it has not begun, if it was cancelled before
        del self._tasks[key]
        if key in self._dropped:
            self._dropped.discard(key)
            self._said.put(partial(self._post.left, key))
            return
        report = Ended(key, failure_of(asyncio.CancelledError(), key)) if task.cancelled() else task.result()
        self._said.put(partial(self._post.report, report))

    def _drop(self, key: str) -> None:
        task = self._tasks.get(key)
        self._said.put(partial(self._post.dropped, key))
        if task is not None:
            self._dropped.add(key)
            task.cancel()
        elif not self._threads.drop(key):
            self._said.put(partial(self._post.left, key))  # its report was on its way

    def _write(self) -> None:
        while (say := self._said.get()) is not None:
            try:
                say()
            except OSError:
                os._exit(
                    1
                )  # a task closed our pipe: only the death of this process says that its jobs are lost
