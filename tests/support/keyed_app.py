"""The app of limited tasks with those that are counted by key, which only a worker with a store runs."""

from __future__ import annotations

import threading
import time

from .acceptance_tasks import wait_for_gate
from .journal import write_line
from .limited_app import app

NAME = "support.keyed_app"
PLAIN = "support.limited_app.plain"


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
