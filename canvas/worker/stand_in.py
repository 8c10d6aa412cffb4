"""Stand-in: does a worker's chores in another thread while its own runs a task (pool solo), which may take hours.

The chores use the worker's connections, which are one thread's: so the worker must use none of them within the block, and waits at its end
for a chore that is under way.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence

from .chores import Chore, faults

logger = logging.getLogger("backbeat.worker")

ROUND_SECONDS = 1.0
"""How often it looks which chores are due: as a worker's loop that has nothing to do; a connection's heartbeats live of it."""


@contextlib.contextmanager
def stand_in(chores: Sequence[Chore], after: float) -> Iterator[None]:
    """Does `chores` when they are due, as long as the block runs; but not in its first `after` seconds, which most tasks need no longer than."""
    over = threading.Event()
    thread = threading.Thread(target=_work, args=[chores, after, over], name="backbeat-stand-in", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _work(chores: Sequence[Chore], after: float, over: threading.Event) -> None:
    pause = after
    while not over.wait(pause):
        pause = ROUND_SECONDS
        try:
            fault = faults(chores, time.monotonic())
        except Exception:
            # whatever it is, the task goes on, and the next round may succeed
            logger.exception("a chore cannot be done", extra={"action": "chore_failed"})
        else:
            if fault is not None:
                extra = {"action": "unavailable", "pause": pause}
                logger.warning("%s; trying again in %.1f s", fault, pause, extra=extra)
