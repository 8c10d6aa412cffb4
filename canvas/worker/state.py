"""WorkerState: what the commands of remote control see of a worker (panel.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kombu.clocks import LamportClock

from ..application import App
from ..errors import Unavailable
from ..events.listener import EventListener
from .tally import Tally
from .task_info import Info
from .worker import Worker

T = TypeVar("T")
LOOP_SECONDS = 10.0
"""How long the worker's thread may take to come round; it does so at once, but where it runs a task itself (solo) or a server is slow."""


class WorkerState:
    """Of the worker called `hostname`, which runs `worker`."""

    def __init__(
        self,
        app: App,
        hostname: str,
        worker: Worker,
        tally: Tally,
        events: EventListener | None,
        clock: LamportClock,
        *,
        pool: str,
    ) -> None:
        self.app = app
        self.hostname = hostname
        self.worker = worker
        self.tally = tally
        self.events = events
        self.clock = clock
        self.pool = pool

    def in_loop(self, call: Callable[[], T]) -> T:
        """What the worker's thread returns or raises for `call`. Raises Unavailable if it does not come round in time."""
        told = self.worker.errands.ask(call)
        try:
            return told.result(LOOP_SECONDS)
        except TimeoutError:
            told.cancel()
            text = f"the worker's loop did not come round within {LOOP_SECONDS:g} s"
            raise Unavailable(text) from None

    def active(self) -> Sequence[Info]:
        """What runs."""
        return self.in_loop(lambda: self.worker.inside.active(self.hostname))

    def reserved(self) -> Sequence[Info]:
        """What the worker has and has not started."""
        return self.in_loop(lambda: self.worker.inside.reserved(self.hostname))

    def scheduled(self, limit: int) -> Sequence[Any]:
        """What waits for its time."""
        return self.in_loop(lambda: self.worker.inside.scheduled(self.hostname, limit))
