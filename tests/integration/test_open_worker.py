"""A worker that cannot be put together leaves nothing behind: whoever starts it tries again, and again."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from backbeat.canvas import App
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.wiring import WorkerOptions, open_worker

from support.stacks import GREEN_POOLS


def beside():
    """The processes and threads of this program besides its main ones."""
    children = Path("/proc/thread-self/children").read_text().split()
    return [*children, *(thread.name for thread in threading.enumerate())]


@pytest.mark.parametrize("pool", ["processes", "threads", "asyncio", *GREEN_POOLS])
def test_a_worker_whose_outbox_cannot_be_opened_leaves_no_pool_behind(pool):
    app = App("a", broker="memory://", set_as_current=False)
    app.conf.outbox_url = "nothing://like-this"
    options, before = WorkerOptions(pool=pool, concurrency=2), beside()

    with pytest.raises(ImproperlyConfigured, match="nothing"):
        open_worker(app, "support.doomed_sender:app", options, LogListener())

    assert beside() == before
