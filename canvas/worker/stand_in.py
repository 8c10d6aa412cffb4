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

from ..errors import Unavailable
from ..patience import Patience
from .chores import Chore, faults

logger = logging.getLogger("backbeat.worker")


@contextlib.contextmanager
def stand_in(chores: Sequence[Chore], every: float) -> Iterator[None]:
    """Does those of `chores` that are due, every so many seconds for as long as the block runs; most tasks end before the first time."""
    over = threading.Event()
    thread = threading.Thread(target=_work, args=[chores, every, over], name="backbeat-stand-in", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _work(chores: Sequence[Chore], every: float, over: threading.Event) -> None:
    patience = Patience()
    while not over.wait(every):
        found = [_fault(chore) for chore in chores]
        fault = next((fault for fault in found if fault is not None), None)
        if fault is None:
            patience.reset()
        elif patience.next()[1]:
            extra = {"action": "unavailable", "pause": every}
            logger.warning("%s; trying again in %.1f s", fault, every, extra=extra)


def _fault(chore: Chore) -> Unavailable | None:
    """Whatever is wrong with one chore, the task and the others go on, and it may succeed the next time."""
    try:
        return faults([chore], time.monotonic())
    except Exception:
        logger.exception("a chore cannot be done", extra={"action": "chore_failed"})
        return None
