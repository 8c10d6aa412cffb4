"""Tasks of the workers under fire: `backbeat -A chaos.workers.tasks`. Each run is noted in the journal when it starts and when it ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backbeat.canvas import App
from backbeat.canvas.errors import Unavailable

from support.journal import write_line

NAME = "chaos.workers.tasks"
JOURNAL, WORKER, LEASE = "BACKBEAT_CHAOS_JOURNAL", "BACKBEAT_CHAOS_WORKER", "BACKBEAT_CHAOS_LEASE"
"""Variables that a worker is started with: a path, the worker's number, and seconds."""
ATTEMPTS = 3
"""Runs of `again`."""

app = App("chaos", task_lease_seconds=float(os.environ.get(LEASE, "10")))


@contextmanager
def noted(task: Any, order: int) -> Iterator[None]:
    """Write down that a run starts, and that it ends, however it does; a process that is killed writes no end."""
    fields = {
        "id": task.request.id,
        "attempt": task.request.retries,
        "task": task.name.rpartition(".")[2],
        "order": order,
        "worker": int(os.environ[WORKER]),
    }
    write_line(os.environ[JOURNAL], event="start", **fields)
    try:
        yield
    finally:
        write_line(os.environ[JOURNAL], event="end", **fields)


@app.task(bind=True)
def step(self: Any, n: int, *, order: int, seconds: float) -> int:
    """A call, a step of a chain, a member of a group."""
    with noted(self, order):
        time.sleep(seconds)
        return n + 1


@app.task(bind=True, acks_late=False)
def early(self: Any, n: int, *, order: int, seconds: float) -> int:
    """As `step`, acknowledged before it runs."""
    with noted(self, order):
        time.sleep(seconds)
        return n + 1


@app.task(bind=True)
def again(self: Any, n: int, *, order: int, seconds: float) -> int:
    """Succeeds at its last attempt."""
    with noted(self, order):
        time.sleep(seconds)
        if self.request.retries < ATTEMPTS - 1:
            raise self.retry(countdown=0.1)
        return n + 1


@app.task
def add(x: int, y: int) -> int:
    """What poison names, which never comes to run it."""
    return x + y


@app.task
def deadly() -> None:
    """Takes its process with it, however often it runs."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True)
def total(self: Any, values: list[int], *, order: int) -> int:
    """The body of a chord."""
    with noted(self, order):
        return sum(values)


@app.task(bind=True, throws=(ValueError,))
def broken(self: Any, n: int, *, order: int) -> None:
    """Fails."""
    with noted(self, order):
        raise ValueError(n)


@app.task(bind=True)
def notice(self: Any, request: Any, exc: Exception, traceback: str, *, order: int) -> str:
    """The error callback of `broken`."""
    with noted(self, order):
        return str(exc)


@app.task(bind=True, autoretry_for=(Unavailable,), retry_kwargs={"countdown": 0.2}, max_retries=None)
def spawn(self: Any, n: int, *, order: int, seconds: float) -> str:
    """Sends another task; returns its id. While the broker is away it is tried again."""
    with noted(self, order):
        return str(step.apply_async((n,), {"order": order, "seconds": seconds}).id)
