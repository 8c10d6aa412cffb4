"""The app of the tests of time limits: tasks that run too long, each in its own way."""

import asyncio
import time

from backbeat.canvas.app import App
from backbeat.canvas.errors import SoftTimeLimitExceeded

from support.pool_jobs import SECONDS

app = App("limited", broker="memory://", set_as_current=False)


def _spin():
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        pass


def _linger():
    """Wait as often as it computes, so that greenlets can be told, too."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.001)


@app.task(name="spin")
def spin():
    _spin()


@app.task(name="linger")
def linger():
    _linger()


@app.task(name="spin_for")
def spin_for(seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


@app.task(name="sleep")
def sleep(seconds):
    time.sleep(seconds)


@app.task(name="tidy")
def tidy():
    try:
        _linger()
    except SoftTimeLimitExceeded as exc:
        return f"{type(exc).__name__}: {exc}"


@app.task(name="await_tidily")
async def await_tidily():
    try:
        await asyncio.sleep(SECONDS)
    except SoftTimeLimitExceeded as exc:
        await asyncio.sleep(0)  # it may go on awaiting
        return f"{type(exc).__name__}: {exc}"


@app.task(name="await_forever")
async def await_forever():
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(asyncio.sleep(SECONDS), asyncio.sleep(SECONDS))


@app.task(name="spin_in_loop")
async def spin_in_loop():
    _spin()


@app.task(name="limited", soft_time_limit=0.05)
def limited():
    _linger()


@app.task(name="add", bind=True)
def add(self, x, y):
    return [x + y, self.request.timelimit]
