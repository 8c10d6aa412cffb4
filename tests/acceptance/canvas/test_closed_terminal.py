"""A worker whose terminal is gone: what it says at a stop reaches nobody, and what runs ends in order all the same."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request

import pytest

from support.journal import read_events
from support.processes import wait_until
from support.stacks import open_stack

TASKS = "support.acceptance_tasks"
DEAF = ("bash", "-c", 'exec "$@" 2> >(true)', "worker")
"""Becomes a program whose standard error is a pipe that nobody reads any more."""


@pytest.mark.timeout(120)
def test_what_runs_may_end_although_nobody_reads_standard_error_any_more(programs, tmp_path, log, gate):
    with open_stack("sqlite", tmp_path) as stack:
        worker = programs.start(*stack.options, "worker", "-c", 1, "--web", "127.0.0.1:0", launcher=DEAF)
        page = worker.wait_for(r"probes +(http://[^/]+)/healthz").group(1) + "/readyz"
        handle = stack.app.send_task(f"{TASKS}.wait_at_gate", [str(log), str(gate)])
        wait_until(lambda: read_events(log, "started"), what=lambda: worker.text)

        worker.send(signal.SIGTERM)
        wait_until(lambda: not worker.runs or answer(page) == "stopping", what=lambda: answer(page))
        gate.touch()

        assert worker.wait() == 0, worker.text
        assert handle.get(timeout=0) == "done"
        assert len(read_events(log, "ended")) == 1


def answer(page):
    """What the page says."""
    try:
        with urllib.request.urlopen(page, timeout=10) as read:
            return read.read().decode().strip()
    except urllib.error.HTTPError as refused:
        return refused.read().decode().strip()
    except OSError as error:
        return str(error)
