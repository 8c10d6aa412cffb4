"""EventSender: one thread that sends what a worker or client tells, some together, and every so often that a worker lives.

Who tells never waits. What cannot be sent is kept for a while, the newest of it, as who listens then wants to know how it stands.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from kombu.clocks import LamportClock

from ..errors import Unavailable
from ..patience import Patience
from .base import Event, EventSink

logger = logging.getLogger(__name__)

KEPT = 10_000
"""Events that are kept while the broker is away."""
GATHER_SECONDS = 0.02
"""For so long more are waited for, to be sent together."""
LAST_SECONDS = 2.0
"""How long the last events of a process may take."""


class EventSender:
    """`beat` makes the events that are sent every `beat_seconds`; without it none are."""

    def __init__(
        self,
        sink: EventSink,
        node: str,
        clock: LamportClock,
        *,
        beat: Callable[[], Event] | None = None,
        beat_seconds: float = 2.0,
    ) -> None:
        self._sink = sink
        self._node = node
        self._clock = clock
        self._beat = beat
        self._beat_seconds = beat_seconds
        self._told: SimpleQueue[Event | None] = SimpleQueue()
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._stopped = threading.Event()
        self._patience = Patience()
        self._thread = threading.Thread(target=self._work, name="backbeat-events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def tell(self, event: Event) -> None:
        """Have it sent soon, as of now. From any thread."""
        fields: dict[str, Any] = {
            "hostname": self._node,
            "utcoffset": _utcoffset(),
            "pid": os.getpid(),
            "clock": self._clock.forward(),
            "timestamp": time.time(),
        }
        self._told.put(event | fields)

    def stop(self) -> None:
        """Send what was told, if that is soon done, and end."""
        self._stopped.set()
        self._told.put(None)
        self._thread.join(LAST_SECONDS)

    def _work(self) -> None:
        next_beat = time.monotonic()
        while True:
            if self._beat is not None and not self._stopped.is_set() and time.monotonic() >= next_beat:
                self.tell(self._beat())
                next_beat = time.monotonic() + self._beat_seconds
            self._gather(next_beat)
            if self._kept and not self._send():
                continue
            if self._stopped.is_set() and self._told.empty():
                break
        self._sink.close()

    def _gather(self, next_beat: float) -> None:
        """Wait for something to send, and then a moment for what comes with it."""
        until_beat = None if self._beat is None else max(0.0, next_beat - time.monotonic())
        if not self._kept:
            try:
                first = self._told.get(timeout=until_beat)
            except Empty:
                return
            self._keep(first)
            self._stopped.wait(GATHER_SECONDS)
        try:
            while True:
                self._keep(self._told.get_nowait())
        except Empty:
            return

    def _keep(self, event: Event | None) -> None:
        if event is not None:
            self._kept.append(event)

    def _send(self) -> bool:
        """False if it is to be tried again, after a pause."""
        events = [*self._kept]
        try:
            self._sink.send(events)
        except Unavailable as error:
            pause, is_told = self._patience.next()
            level = logging.WARNING if is_told else logging.DEBUG
            logger.log(level, "events wait: %s", error, extra={"action": "unavailable"})
            if self._stopped.wait(pause):
                self._kept.clear()  # nobody has time to wait for a broker that is away
            return False
        self._patience.reset()
        self._kept.clear()
        return True


def _utcoffset() -> int:
    """Hours that the local clock is behind UTC, as Celery counts them."""
    seconds = time.altzone if time.daylight and time.localtime().tm_isdst else time.timezone
    return seconds // 3600
