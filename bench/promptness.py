"""Promptness: how soon a worker goes on after a child that hangs, and how soon who waits for a result has it. Absolute: no peer is asked.

    python -m bench promptness

D3 a worker with one process, whose task stops its own process by SIGSTOP: from its hard limit of 0.3 s, counted from just before the task
was sent, to the start of the next task, which needs a new process. D4 from when a result was stored to when `wait`, begun 10 ms before in another
thread, has returned, the median of fifty.
"""

from __future__ import annotations

import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator

from backbeat.canvas import App
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Success
from backbeat.canvas.wiring import open_client

from .delivery import STORES, place, worker
from .pairs import Outcome, absolute

LIMIT_SECONDS, HUNG, WAITS, ROUNDS = 0.3, 9, 50, 3
TASKS = """
import os, signal, time
from backbeat.canvas import App
app = App("bench_delivery", broker="{url}", backend="{url}")

@app.task(name="bench.now")
def now():
    return time.time()

@app.task(name="bench.hang")
def hang():
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def promptness() -> list[Outcome]:
    """All stores, one after the other."""
    return [
        *(outcome for store in STORES for outcome in _hung(store)),
        *(outcome for store in (*STORES, "mariadb") for outcome in _waits(store)),
    ]


def _hung(store: str) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory() as directory, place(store, directory) as url:
        app = App("bench_delivery", broker=url, backend=url, set_as_current=False)
        with worker(url, directory, TASKS):
            assert app.send_task("bench.now").get(timeout=60)
            gaps = [_gap_ms(app) for _ in range(HUNG)]
        app.close()
    title = "a child hangs, one process: from its hard limit to the start of the next task"
    yield absolute(f"D3 {store}", title, "ms", gaps, 200)


def _gap_ms(app: App) -> float:
    sent = time.time()
    app.send_task("bench.hang", time_limit=LIMIT_SECONDS)
    return (app.send_task("bench.now").get(timeout=60) - sent - LIMIT_SECONDS) * 1_000


def _waits(store: str) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory() as directory, place(store, directory) as url:
        app = App("bench_waits", broker=url, backend=url, set_as_current=False)
        client = open_client(app.conf)
        lags = [statistics.median(_lag_ms(app, client) for _ in range(WAITS)) for _ in range(ROUNDS)]
        client.close()
        app.close()
    yield absolute(f"D4 {store}", "a result is stored: who waits has it, p50", "ms", lags, 10)


def _lag_ms(app: App, client: object) -> float:
    message, stored = Message(id=secrets.token_hex(8), task="t", args=Json("[]")), []

    def store() -> None:
        client.exchange([Transition(message=message, outcome=Success(value=Json("1")))])  # type: ignore[attr-defined]  # a Commit
        stored.append(time.monotonic())

    storing = threading.Timer(0.01, store)
    storing.start()
    assert app.results.wait([message.id], 20)
    ended = time.monotonic()
    storing.join()
    return (ended - stored[0]) * 1_000
