"""Switchboard: all that a brood listens to, behind one descriptor (epoll or kqueue): pipes of children, nurseries, and nudges from the pool itself."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

from .line import Line


class Switchboard:
    """What is heard by `selector` has the line or nursery as data; a nudge has None. Used by one thread, but for nudges."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self._nudged, self._nudge = socket.socketpair()
        self.selector.register(self._nudged, selectors.EVENT_READ)

    def connect(self, line: Line) -> None:
        self.selector.register(line.pipe, line.events, line)

    def hears(self, line: Line) -> bool:
        return line.pipe in self.selector.get_map()

    def watch(self, line: Line) -> None:
        """Wait for room in its pipe as long as something is still to be sent."""
        if self.hears(line) and self.selector.get_key(line.pipe).events != line.events:
            self.selector.modify(line.pipe, line.events, line)

    def disconnect(self, line: Line) -> None:
        if self.hears(line):
            self.selector.unregister(line.pipe)

    def nudge(self) -> None:
        """Have the descriptor be readable until `take_nudges`."""
        self._nudge.send(b".")

    def nudge_in(self, seconds: float) -> None:
        """Likewise after so many seconds, for what is to be looked at then. Seldom: it takes a thread."""
        timer = threading.Timer(seconds, self._nudge_later)
        timer.daemon = True
        timer.start()

    def take_nudges(self) -> None:
        self._nudged.recv(4096)

    def close(self) -> None:
        self.selector.close()
        self._nudged.close()
        self._nudge.close()

    def _nudge_later(self) -> None:
        with contextlib.suppress(OSError):  # it may be closed by now
            self.nudge()
