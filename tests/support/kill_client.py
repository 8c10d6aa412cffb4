"""What a zygote forks for the kill-point harness: a worker, as the command line starts it, and a client, which can be killed as well."""

from __future__ import annotations

import os

from backbeat.canvas import killpoint, sending
from backbeat.scheduler.cli import main as command_line

from .kill_scenarios import SCENARIOS
from .kill_tasks import LEASE_SECONDS, REPAIRED, WORKER, app, write


def worker(arguments: list[str]) -> None:
    """`backbeat ARGUMENTS`."""
    os.environ[WORKER] = str(os.getpid())
    command_line(arguments)


def operator(arguments: list[str]) -> None:
    """Do with a canvas what a scenario says."""
    broker, backend, what, id_ = arguments
    killpoint.arm()
    app.conf.broker_url, app.conf.result_backend = broker, backend
    canvas = app.canvas(id_)
    if what == "retry":
        write(REPAIRED)
        canvas.retry()
    else:
        canvas.cancel()
    app.close()


def client(arguments: list[str]) -> None:
    """Send the canvas of a scenario under an id. Clients never arm their points by themselves: this one is a test's."""
    broker, backend, name, id_ = arguments
    scenario = SCENARIOS[name]
    killpoint.arm()
    app.conf.broker_url, app.conf.result_backend = broker, backend
    if scenario.sliced:
        sending.SLICE, sending.SENDER_LEASE_SECONDS = 2, LEASE_SECONDS
    scenario.canvas().apply_async(task_id=id_)
    app.close()
