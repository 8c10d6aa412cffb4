"""The tasks of this project. Workers import them by the name of this module; schedules.yaml says when they run."""

from __future__ import annotations

import os
import time
from typing import Any

from backbeat.canvas import App, chain

# Where messages and results are comes from BACKBEAT_BROKER_URL and BACKBEAT_RESULT_BACKEND; `backbeat dev` needs neither.
app = App("starter")


@app.task
def heartbeat() -> float:
    """A task like any other: what it returns is kept as its result. The load of this machine, over one minute."""
    return round(os.getloadavg()[0], 2)


@app.task
def fetch_orders(count: int) -> list[int]:
    """The first step of the workflow: its result is handed to the next ones."""
    return [10 * number for number in range(1, count + 1)]


@app.task
def add_up(orders: list[int], currency: str) -> dict[str, int]:
    """One of the steps that run side by side. The first argument comes from the step before."""
    return {currency: sum(orders)}


@app.task
def write_report(sums: list[dict[str, int]]) -> str:
    """The last step: it gets the results of all that ran side by side, in their order."""
    return ", ".join(f"{value} {currency}" for each in sums for currency, value in each.items())


@app.task(autoretry_for=(ConnectionError,), retry_backoff=True, max_retries=5)
def clean_up(older_than_days: int) -> str:
    """Tried again, after longer and longer pauses, when a connection fails."""
    limit = time.time() - 86_400 * older_than_days
    return f"nothing is older than {time.strftime('%Y-%m-%d', time.gmtime(limit))}"


@app.task
def note_failure(request: Any, exc: Exception, traceback: str) -> str:  # noqa: ARG001 - what error callbacks get
    """Called when a task or a workflow has failed for good."""
    return f"{request.task} failed: {exc}"


def report_now(count: int) -> str:
    """A workflow written in Python: send it, and wait for what came of it. A worker must run."""
    flow = chain(fetch_orders.s(count), add_up.s("EUR"))
    return str(flow.delay().get(timeout=30))
