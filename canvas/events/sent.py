"""SentEvents: a client's own word of what it has sent (setting `task_send_sent_event`), for who watches: nobody else knows of it before a worker has it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence

from kombu.clocks import LamportClock

from ..effect import Effect
from .base import EventSink
from .event import all_sent
from .sender import EventSender


class SentEvents:
    """Told from any thread; what sends is opened on first use, anew in each process. `open_sink` gives None where the broker carries no events."""

    def __init__(self, open_sink: Callable[[], EventSink | None]) -> None:
        self._open_sink = open_sink
        self._sender: EventSender | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def tell(self, effects: Sequence[Effect]) -> None:
        """These were sent."""
        sender = self._open()
        if sender is not None:
            for event in all_sent(effects):
                sender.tell(event)

    def close(self) -> None:
        """Send what was told, and let go."""
        with self._lock:
            sender, self._sender, self._pid = self._sender, None, 0
        if sender is not None:
            sender.stop()

    def _open(self) -> EventSender | None:
        with self._lock:
            if self._pid != os.getpid():
                sink = self._open_sink()
                node = f"gen{os.getpid()}@{socket.gethostname()}"  # as Celery names its clients
                self._sender = None if sink is None else EventSender(sink, node, LamportClock())
                self._pid = os.getpid()
                if self._sender is not None:
                    self._sender.start()
            return self._sender
