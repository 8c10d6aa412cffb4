"""EventListener: a worker's Listener that tells the world: of the worker always, of its tasks where that is wanted (-E, enable_events)."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator

from ..built_in import BUILT_IN
from ..commit.taken import Taken
from ..commit.transition import Transition
from ..message import Message
from ..replacing import VALUE_TASK
from . import event
from .base import Event
from .sender import EventSender

FREQUENCY_SECONDS = 2.0
IDENT = "backbeat"


class EventListener:
    """`sender` must be started and stopped by `working`. `processed` and `busy` tell how many tasks were started, and run."""

    def __init__(
        self, *, tells_tasks: bool, version: str, tells_sent: bool = False, seconds: float = FREQUENCY_SECONDS
    ) -> None:
        self.tells_tasks = tells_tasks
        self._tells_sent = tells_sent
        self.seconds = seconds
        self._version = version
        self._processed = self._busy = 0
        self._sender: EventSender | None = None

    @contextlib.contextmanager
    def working(self, sender: EventSender) -> Iterator[None]:
        """While the worker runs."""
        self._sender = sender
        sender.start()
        sender.tell(self._worker("worker-online"))
        try:
            yield
        finally:
            sender.tell(self._worker("worker-offline"))
            sender.stop()
            self._sender = None

    def beat(self) -> Event:
        """That it lives, and how it does."""
        return self._worker("worker-heartbeat")

    def tell_beat(self) -> None:
        """Tell that it lives, out of turn."""
        if self._sender is not None:
            self._sender.tell(self.beat())

    def ready(self) -> None:
        """Told by `working`."""

    def started(self, message: Message) -> None:
        self._processed += 1
        if self.tells_tasks and self._sender is not None:
            self._sender.tell(event.received(message))
            self._sender.tell(event.started(message))

    def applied(self, transition: Transition, seconds: float | None) -> None:
        if self._sender is None:
            return
        if self._tells_sent and transition.effects:
            for each in event.all_sent(transition.effects):
                self._sender.tell(each)
        message, outcome = transition.message, transition.outcome
        if not self.tells_tasks or message is None or outcome is None:
            return
        if message.task in BUILT_IN and message.task != VALUE_TASK:
            return
        told = event.ended(message, outcome, seconds)
        if told is not None:
            self._sender.tell(told)

    def lost(self, taken: Taken, reason: str) -> None:
        """Nothing: it is handed back, and no end of it."""

    def passed(self, busy: int, fault: str = "") -> None:  # noqa: ARG002 - the listener's protocol
        self._busy = busy

    def _worker(self, type_: str) -> Event:
        return {
            "type": type_,
            "freq": self.seconds,
            "active": self._busy,
            "processed": self._processed,
            "loadavg": [round(load, 2) for load in os.getloadavg()],
            "sw_ident": IDENT,
            "sw_ver": self._version,
            "sw_sys": platform.system(),
        }
