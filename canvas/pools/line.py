"""Line: the pool's end of the pipe to one child, and what the pool knows of that child. It never waits."""

from __future__ import annotations

import selectors
import socket

from .pipe import Frame, Inbox

_CHUNK = 1 << 18


class Line:
    """The line to child `number`."""

    __slots__ = (
        "_inbox",
        "_outbox",
        "doomed",
        "given",
        "haunted",
        "jobs",
        "number",
        "orphan",
        "pid",
        "pipe",
        "retired",
        "unanswered",
    )

    def __init__(self, number: int, pipe: socket.socket) -> None:
        self.number = number
        self.pipe = pipe
        self.pid: int | None = None
        """None until the child has said that it is ready."""
        self.jobs: set[str] = set()
        """The keys of those that it runs."""
        self.given = 0
        """How many jobs it was ever given."""
        self.retired = False
        """It gets no more jobs, and has a successor; it ends when those that it has are reported."""
        self.haunted = 0
        """So many jobs that were reported lost still run in its threads: it cannot end by itself."""
        self.unanswered = 0
        """So many jobs it was told to drop, and has not said so."""
        self.doomed = False
        """It was told to end, or killed: its death is no surprise."""
        self.orphan = False
        """The child's nursery is dead."""
        self._inbox = Inbox()
        self._outbox = bytearray()

    @property
    def told_all(self) -> bool:
        """Whether all that was said to it is in the pipe."""
        return not self._outbox

    @property
    def events(self) -> int:
        """What to wait for: always for something to hear, and for room in the pipe while something is still to be sent."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outbox else 0)

    def say(self, data: bytes) -> None:
        """Send `data`; what does not fit into the pipe now is sent by `flush`, once there is room."""
        self._outbox += data
        if self._outbox:
            self.flush()

    def flush(self) -> None:
        try:
            del self._outbox[: self.pipe.send(self._outbox)]
        except BlockingIOError:
            pass
        except ConnectionError:
            self._outbox.clear()  # the child is dead, which others will say

    def hear(self) -> tuple[Frame, bool]:
        """What the child said since the last call, and whether more may come."""
        more = True
        while True:
            try:
                data = self.pipe.recv(_CHUNK)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            if not data:
                more = False
                break
            self._inbox.feed(data)
            if len(data) < _CHUNK:
                break
        return [note for frame in self._inbox.frames() for note in frame], more
