"""An app for workers whose pool is one of real processes: its tasks say what they do by files, as they share nothing else with the test."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from backbeat.canvas import App

app = App("batches", broker="memory://batches", set_as_current=False)
LONGEST_SECONDS = 30.0


@app.task(name="quick")
def quick(value=None):
    return value


@app.task(name="early", acks_late=False)
def early():
    return os.getpid()


@app.task(name="stay")
def stay(folder):
    """Say that it runs, and stay until there is a file `go`."""
    Path(folder, "stays").touch()
    deadline = time.monotonic() + LONGEST_SECONDS
    while not Path(folder, "go").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return os.getpid()


@app.task(name="die")
def die(folder):
    """Kill this process in the first run."""
    try:
        Path(folder, "died").touch(exist_ok=False)
    except FileExistsError:
        return "again"
    return os.kill(os.getpid(), signal.SIGKILL)


def make():
    from backbeat.canvas.pools.child import run_job

    def run(job, limit, /):
        return run_job(job, app.tasks, "celery@batches", limit)

    return run
