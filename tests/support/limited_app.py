"""An app of tasks with limits: each writes down when it ran and with which key."""

from __future__ import annotations

import os
import time

from backbeat.canvas import App

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
