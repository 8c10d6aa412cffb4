"""The app of the tests of greenlets: plain functions that wait at the test's gate, and say where they run."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from backbeat.canvas import current_task
from backbeat.canvas.app import App

from support.pool_jobs import SECONDS

app = App("green", broker="memory://", set_as_current=False)


def knock(gate: str, key: str) -> socket.socket:
    """Arrive at the gate; it can be read when the test lets go."""
    knocked = socket.socket(socket.AF_UNIX)
    knocked.connect(gate)
    knocked.sendall(json.dumps({"key": key, "pid": os.getpid()}).encode() + b"\n")
    return knocked


@app.task(name="wait")
def wait(gate: str, key: str) -> int:
    with knock(gate, key) as knocked:
        knocked.recv(1)
    return os.getpid()


@app.task(name="known", bind=True)
def known(self, gate: str, key: str) -> list:
    """What it knows of itself before and after others ran."""
    before = [self.request.id, current_task.name, list(self.request.args)]
    self.update_state(state="MET", meta=key)
    wait.run(gate, key)
    return [before, [self.request.id, current_task.name, list(self.request.args)]]


@app.task(name="tidy")
def tidy(gate: str, key: str, path: str) -> None:
    """Cleans up when it is ended, which takes a moment."""
    try:
        wait.run(gate, key)
    except BaseException as exc:
        time.sleep(0.02)
        Path(path).write_text(f"{os.getpid()} {type(exc).__name__}")
        raise


@app.task(name="deaf")
def deaf(gate: str, key: str) -> None:
    """Does not hear that it is ended."""
    with knock(gate, key) as knocked:
        while True:
            with contextlib.suppress(SystemExit):
                knocked.recv(1)
                return


@app.task(name="block")
def block(gate: str, key: str) -> None:
    """Lets no other greenlet run."""
    with knock(gate, key):
        deadline = time.monotonic() + 10 * SECONDS
        while time.monotonic() < deadline:
            pass


@app.task(name="pid")
def pid() -> int:
    return os.getpid()


@app.task(name="program", bind=True)
def program(self) -> int:
    """A program that it starts, after it has said something of itself."""
    self.update_state(state="STARTS", meta=1)
    time.sleep(0.05)
    return subprocess.run([sys.executable, "-c", "raise SystemExit(3)"], check=False).returncode
