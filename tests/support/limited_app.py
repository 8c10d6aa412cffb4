"""An app of tasks with limits: each writes down when it ran and with which key."""

from __future__ import annotations

import os
import threading
import time

from backbeat.canvas import App

from .acceptance_tasks import wait_for_gate
from .journal import write_line

NAME = "support.limited_app"
INTERVAL_SECONDS = 0.25
UNLIMITED = "BACKBEAT_TEST_UNLIMITED"

app = App("limited", task_lease_seconds=float(os.environ.get("BACKBEAT_TEST_LEASE", "10")))
if os.environ.get(UNLIMITED):
    app.conf.worker_disable_rate_limits, app.conf.task_default_rate_limit = True, "1/h"


@app.task(rate_limit="4/s")
def paced(log: str, number: int) -> int:
    write_line(log, event="paced", at=time.time(), number=number)
    return number


@app.task(rate_limit="4/s", acks_late=False)
def paced_early(log: str, number: int) -> int:
    write_line(log, event="paced", at=time.time(), number=number)
    return number


@app.task
def plain(log: str, number: int) -> int:
    write_line(log, event="plain", at=time.time(), number=number)
    return number


@app.task
def at_gate(log: str, gate: str) -> str:
    write_line(log, event="waits", at=time.time())
    wait_for_gate(gate)
    return "done"


@app.task(limit_key="tenant:{tenant}", rate_limit="20/s")
def by_tenant(log: str, tenant: str, number: int) -> int:
    write_line(log, event=tenant, at=time.time(), number=number)
    return number


def _tenant(_log: str, tenant: str, *_: object) -> str | None:
    return None if tenant == "free" else f"two-of-{tenant}"


@app.task(limit_key=_tenant, limit_concurrency=2)
def two_at_once(log: str, tenant: str, number: int, gate: str = "") -> int:
    began = time.time()
    write_line(log, event=f"begins {tenant}", at=began, number=number)
    if gate:
        wait_for_gate(gate)
    else:
        threading.Event().wait(0.05)
    write_line(log, event=f"ends {tenant}", at=time.time(), began=began, number=number)
    return number


@app.task(limit_key=lambda: 1 / 0, limit_concurrency=1)
def without_key() -> None:
    """It cannot start."""
