"""The app of the tests of the asyncio pool: coroutines that meet at the test's gate, and say what they know of themselves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import time

from backbeat.canvas import current_task
from backbeat.canvas.app import App

from support.pool_jobs import SECONDS

app = App("loop", broker="memory://", set_as_current=False)


async def knock(gate: str, key: str) -> asyncio.StreamReader:
    """Arrive at the gate; what is returned ends when the test lets go."""
    reader, writer = await asyncio.open_unix_connection(gate)
    writer.write(json.dumps({"key": key, "pid": os.getpid()}).encode() + b"\n")
    await writer.drain()
    _open.add(writer)
    return reader


_open: set[asyncio.StreamWriter] = set()


@app.task(name="wait")
async def wait(gate: str, key: str) -> list:
    await (await knock(gate, key)).read()
    return [os.getpid(), threading.get_ident()]


@app.task(name="wait_in_thread")
def wait_in_thread(gate: str, key: str) -> list:
    asyncio.run(wait.run(gate, key))
    return [os.getpid(), threading.get_ident()]


@app.task(name="known", bind=True)
async def known(self, gate: str, key: str) -> list:
    """What it knows of itself before and after others ran."""
    before = [self.request.id, current_task.name, list(self.request.args)]
    self.update_state(state="MET", meta=key)
    await (await knock(gate, key)).read()
    return [before, [self.request.id, current_task.name, list(self.request.args)]]


@app.task(name="tidy")
async def tidy(gate: str, key: str, path: str) -> None:
    """Cleans up when it is cancelled, which takes a moment."""
    try:
        await (await knock(gate, key)).read()
    except asyncio.CancelledError:
        await asyncio.sleep(0.02)
        _write(path, f"{os.getpid()} cleaned up")
        raise


@app.task(name="deaf")
async def deaf(gate: str, key: str) -> None:
    """Does not hear that it is cancelled."""
    reader = await knock(gate, key)
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await reader.read()
            return


@app.task(name="block")
async def block(gate: str, key: str) -> None:
    """Keeps the loop from turning."""
    await knock(gate, key)
    time.sleep(10 * SECONDS)  # noqa: ASYNC251 - this is what it is for


@app.task(name="cancel_itself")
async def cancel_itself() -> None:
    asyncio.current_task().cancel()
    await asyncio.sleep(SECONDS)


@app.task(name="exit")
async def leave() -> None:
    raise SystemExit(3)


@app.task(name="pid")
async def pid() -> int:
    return os.getpid()


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, text.encode())
    os.close(fd)
