"""The app of the kill-point harness. Each run of a task is a line in the log into which the points are written, in the order of things."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from backbeat.canvas import App
from backbeat.canvas.errors import Reject

from .processes import wait_until

NAME = "support.kill_tasks"
LOG = "KILL_LOG"
"""The environment variable with the path of the log."""
LEASE_SECONDS = 2.5
"""Longer than a worker is kept waiting on a machine that is busy: its claims must not run out while it lives."""
WORKER = "KILL_WORKER"
"""The environment variable with the pid of the worker; its children inherit it."""
HELD_SECONDS = 30.0
"""How long a task stays that waits to be ended from outside."""

app = App("kill", set_as_current=False)
app.conf.task_lease_seconds = LEASE_SECONDS


def write(text: str) -> None:
    """Append one line, whole, whoever else writes."""
    descriptor = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, f"{os.getpid()} {text}\n".encode())
    finally:
        os.close(descriptor)


REPAIRED = "repaired"
"""What an operator writes into the log before a canvas that failed shall go on."""


def has_file_lock() -> bool:
    """Whether this process may write into a file of SQLite right now, and no other may."""
    locks = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any("WRITE" in words and str(os.getpid()) in words for words in locks)


def begin(task: Any) -> bool:
    """Write down that this run begins; True if it is the first one of its id."""
    key, log = f" run {task.request.id} ", Path(os.environ[LOG]).read_text()
    is_first = key not in log
    attempt = task.request.retries + task.request.replaced_task_nesting  # one follows the other here
    if f" {REPAIRED}\n" in log:
        attempt += 10  # the next generation
    write(f"run {task.request.id} {attempt} {os.environ[WORKER]}")
    return is_first


@app.task(bind=True)
def step(self: Any, x: int) -> int:
    begin(self)
    return x + 1


@app.task(bind=True)
def broken(self: Any) -> None:
    begin(self)
    raise ValueError("as it was to be")


@app.task(bind=True)
def repaired(self: Any, x: int) -> int:
    """Fails until somebody has repaired what is wrong."""
    begin(self)
    if f" {REPAIRED}\n" not in Path(os.environ[LOG]).read_text():
        raise ValueError("not yet")
    return x + 1


@app.task(bind=True)
def told(self: Any, report: dict[str, Any]) -> str:
    begin(self)
    return str(report["state"])


@app.task(bind=True)
def replaced(self: Any, x: int) -> int:
    """Two steps take its place."""
    begin(self)
    raise self.replace(step.s(x) | step.s())


@app.task(bind=True, acks_late=False)
def early_step(self: Any, x: int) -> int:
    begin(self)
    return x + 1


@app.task(bind=True)
def total(self: Any, values: list[int]) -> int:
    begin(self)
    return sum(values)


@app.task(bind=True)
def third_time(self: Any, x: int) -> int:
    """Succeeds at its third attempt."""
    begin(self)
    if self.request.retries < 2:
        raise self.retry(countdown=0.05, max_retries=5)
    return x + 1


@app.task(bind=True)
def asks_again(self: Any, x: int) -> int:
    """Wants its message to be delivered once more."""
    if begin(self):
        raise Reject("once more", requeue=True)
    return x + 1


@app.task(bind=True)
def held(self: Any, x: int) -> int:
    """Its first run goes on until its process is ended."""
    deadline, waiting = time.monotonic() + HELD_SECONDS, threading.Event()
    if begin(self):
        while time.monotonic() < deadline:
            waiting.wait(0.1)
    return x + 1


@app.task(bind=True)
def frozen(self: Any, x: int) -> int:
    """Its first run is stopped in the middle; each run has another value."""
    if begin(self):
        # other threads of a worker write, too, and who is frozen in the middle of a write keeps SQLite's lock
        wait_until(lambda: not has_file_lock())
        os.kill(os.getpid(), signal.SIGSTOP)
    return os.getpid() + x
