"""The app of the tests of endings with real workers: one task for each way to end that needs a process of its own, or that ends it."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from backbeat.canvas import App

NAME = "support.ending_tasks"
LIMIT_SECONDS = 0.3

app = App("endings", task_lease_seconds=float(os.environ.get("BACKBEAT_TEST_LEASE", "10")))


@app.task
def give(*values: Any) -> Any:
    """The last of its arguments."""
    return values[-1]


@app.task
def gather(values: list[Any]) -> list[Any]:
    """A body."""
    return values


@app.task(soft_time_limit=LIMIT_SECONDS)
def soft(*_: Any) -> None:
    """Goes on until it is told to end."""
    while True:
        threading.Event().wait(0.05)


@app.task(time_limit=LIMIT_SECONDS)
def hard(*_: Any) -> None:
    """Goes on until it is ended."""
    while True:
        threading.Event().wait(0.05)


@app.task
def lost(*_: Any) -> None:
    """Takes its process with it, each time."""
    os._exit(7)


@app.task
def opaque(*_: Any) -> object:
    """Its result cannot be written down."""
    return object()


@app.task
def leaves(*_: Any) -> None:
    """Asks its process to end."""
    sys.exit(3)


@app.task
def memory(*_: Any) -> None:
    """Finds no memory."""
    raise MemoryError("nothing is left")
