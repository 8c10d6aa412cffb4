"""Moment: the clock by which faults are noted, and waiting that is itself the fault."""

from __future__ import annotations

import threading
import time


def wait(seconds: float) -> None:
    """A fault lasts: it is what is tested, nothing is awaited."""
    threading.Event().wait(max(0.0, seconds))


def now_us() -> int:
    """Wall-clock microseconds."""
    return time.time_ns() // 1000
