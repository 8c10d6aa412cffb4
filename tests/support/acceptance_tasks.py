"""The app of the acceptance tests: `backbeat -A support.acceptance_tasks -b URL ...`. What a test must know of a run is a line in a file."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from backbeat.canvas import App

from .journal import read_lines, write_line

NAME = "support.acceptance_tasks"
PATIENCE_SECONDS = 120.0
"""How long a task waits for its gate; nothing of a test that failed goes on for ever."""

app = App("acceptance", task_lease_seconds=float(os.environ.get("BACKBEAT_TEST_LEASE", "10")))


def wait_for_gate(gate: str) -> None:
    """Wait until the file exists."""
    deadline, waiting = time.monotonic() + PATIENCE_SECONDS, threading.Event()
    while not Path(gate).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{gate} did not open")
        waiting.wait(0.02)


@app.task(bind=True)
def note_firing(self: Any, log: str) -> str:
    """Write down under which id this firing runs."""
    headers = self.request.headers
    fields = {"entry": headers["periodic_task_name"], "fire_time": headers["fire_time"]}
    write_line(log, id=self.request.id, **fields)
    return str(fields["fire_time"])


@app.task(bind=True)
def take_time(self: Any, seconds: float, log: str) -> None:
    """Takes so long, and writes down when it began and ended."""
    write_line(log, event="began", id=self.request.id, at=time.time())
    threading.Event().wait(seconds)
    known = {"root": self.request.root_id, "worker": self.request.hostname}
    write_line(log, event="ended", id=self.request.id, at=time.time(), **known)


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
async def nap(seconds: float) -> str:
    """Wait without a thread."""
    await asyncio.sleep(seconds)
    return "rested"


@app.task
async def await_gate(log: str, gate: str) -> str:
    """As `wait_at_gate`, as a coroutine."""
    write_line(log, event="started", pid=os.getpid())
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not Path(gate).exists():  # noqa: ASYNC240 - a look at a file takes no time
        if time.monotonic() > deadline:
            raise TimeoutError(f"{gate} did not open")
        await asyncio.sleep(0.02)
    return "done"


@app.task
def numbers(count: int) -> list[int]:
    return list(range(count))


@app.task
def pick(values: list[int], index: int) -> int:
    return values[index]


@app.task
def total(values: list[int]) -> int:
    return sum(values)


@app.task
def opaque() -> object:
    """Its result cannot be written down."""
    return object()


@app.task
def fail(text: str) -> None:
    raise ValueError(text)


@app.task
def note_failure(request: Any, exc: Exception, traceback: str, log: str) -> str:
    """An error callback."""
    write_line(log, failed=request.task, error=f"{type(exc).__name__}: {exc}")
    return "noted"


@app.task(bind=True)
def member(self: Any, index: int, log: str, gate: str) -> int:
    """A header member of a chord: the first few end at once, the others wait for the gate."""
    write_line(log, event="started", index=index, id=self.request.id)
    if index >= 4:
        wait_for_gate(gate)
    write_line(log, event="ended", index=index, id=self.request.id)
    return index


@app.task(bind=True)
def body(self: Any, values: list[int], log: str) -> int:
    """The body of a chord."""
    write_line(log, event="body", id=self.request.id)
    return sum(values)


@app.task(bind=True)
def wait_at_gate(self: Any, log: str, gate: str) -> str:
    """Runs until the gate opens."""
    write_line(log, event="started", id=self.request.id)
    wait_for_gate(gate)
    write_line(log, event="ended", id=self.request.id)
    return "done"


@app.task(bind=True, acks_late=False)
def wait_early(self: Any, log: str, gate: str) -> str:
    """As `wait_at_gate`, acknowledged before it runs."""
    write_line(log, event="started", id=self.request.id)
    wait_for_gate(gate)
    return "done"


@app.task(bind=True)
def note_time(self: Any, log: str) -> float:
    """Write down when it ran."""
    write_line(log, event="ran", id=self.request.id)
    return time.time()


@app.task(bind=True)
def die_once(self: Any, log: str) -> str:
    """The process that runs it first dies; the second one succeeds."""
    runs = len([line for line in read_lines(Path(log)) if line["id"] == self.request.id])
    write_line(log, id=self.request.id)
    if runs == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@app.task(bind=True)
def die_always(self: Any, log: str) -> None:
    """Every process that runs it dies."""
    write_line(log, id=self.request.id)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True)
def succeed_second(self: Any, log: str) -> int:
    """Asks to be tried again once; returns the attempt that succeeded."""
    write_line(log, event="attempt", id=self.request.id, retries=self.request.retries)
    if self.request.retries == 0:
        raise self.retry(countdown=0.05)
    return int(self.request.retries)


@app.task(bind=True)
def hold_first(self: Any, log: str, gate: str) -> int:
    """Its first run goes on until the gate opens, later ones end at once; returns the number of the run."""
    number = 1 + len([line for line in read_lines(Path(log)) if line["id"] == self.request.id])
    write_line(log, event="started", id=self.request.id)
    if number == 1:
        wait_for_gate(gate)
    return number


@app.task(bind=True)
def note_value(self: Any, value: int, log: str) -> int:
    """Write down what came in."""
    write_line(log, event="came", id=self.request.id, value=value)
    return value


@app.task(bind=True)
def hang(self: Any, log: str, how: str) -> None:
    """Never ends: its process is stopped, or deaf to every signal that it can be deaf to."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    write_line(log, event="hangs", id=self.request.id)
    if how == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        threading.Event().wait(1)


@app.task
def counted(log: str, number: int, broken: str) -> int:
    """Write down that it ran; fail for as long as the file `broken` exists."""
    write_line(log, number=number)
    if broken and Path(broken).exists():
        raise ValueError("broken as it was to be")
    return number
