"""A beat of ours, as `backbeat beat` wires it, over a store that is there. Programs that measure one share this; it measures nothing."""

from __future__ import annotations

import time
from pathlib import Path

from backbeat.canvas import App
from backbeat.scheduler.listener import SilentListener
from backbeat.scheduler.wiring import BeatOptions, OpenBeat, open_beat

from .stores import CLUSTER


class Counting(SilentListener):
    """Notes how late each firing was confirmed."""

    def __init__(self) -> None:
        self.late_us: list[int] = []

    def fired(self, firing: object, lateness_us: int) -> None:  # noqa: ARG002 - as it is told
        self.late_us.append(lateness_us)


def open_over(path: Path, url: str, listener: SilentListener) -> OpenBeat:
    """A beat over the store at `path` and the broker at `url`."""
    app = App("bench", broker=url)
    app.conf.task_default_queue = "bench"
    options = BeatOptions(store=f"sqlite:///{path}", cluster=CLUSTER, reads_app=False)
    return open_beat(app, options, listener)


def now_us() -> int:
    """Wall time."""
    return time.time_ns() // 1000
