"""Line: the pool's end of the pipe to one child, and what the pool knows of that child. It never waits.

A child that runs one job at a time may be given more to follow (turnstile.py): it starts them in the order in which they were given.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from typing import Protocol

from .pipe import BACK, Frame, Inbox, pack
from .turnstile import Turnstile

_CHUNK = 1 << 18


class Undertaker(Protocol):
    """What a line knows of its child's nursery (nursery.py)."""

    def kill(self, number: int, signum: int = ..., seconds: float = ...) -> None:
        """Send the child a signal, and SIGKILL if it lives so many seconds later."""
        ...


class Line:
    """The line to child `number`."""

    __slots__ = (
        "_back",
        "_inbox",
        "_outbox",
        "_turns_due",
        "doomed",
        "given",
        "haunted",
        "jobs",
        "leaving",
        "number",
        "nursery",
        "orphan",
        "pid",
        "pipe",
        "retired",
        "turnstile",
        "unanswered",
    )

    def __init__(self, number: int, pipe: socket.socket, turnstile: Turnstile, nursery: Undertaker) -> None:
        self.number = number
        self.nursery = nursery
        """The one that bore it, and alone can end it."""
        self.pipe = pipe
        self.turnstile = turnstile
        self.pid: int | None = None
        """None until the child has said that it is ready."""
        self.jobs: dict[str, float | None] = {}
        """By key, in the order in which they were given, those that it has, and since when (monotonic seconds) each runs; None: it waits."""
        self.given = 0
        """How many jobs it was ever given."""
        self.retired = False
        """It gets no more jobs, and has a successor; it ends when those that it has are reported."""
        self.haunted = 0
        """So many jobs that were reported lost still run in it: it cannot end by itself."""
        self.leaving: dict[str, float] = {}
        """Those of them that may end without it, and when (monotonic seconds) that is given up."""
        self.unanswered = 0
        """So many jobs it was told to drop, and has not said so."""
        self.doomed = False
        """It was told to end, or killed: its death is no surprise."""
        self.orphan = False
        """The child's nursery is dead."""
        self._inbox = Inbox()
        self._outbox = bytearray()
        self._turns_due = 0
        """Of jobs that are not in the pipe yet: a child may not have a turn before it can see its job."""
        self._back = 0
        """So many jobs were taken back, and the child has not been told."""

    @property
    def events(self) -> int:
        """What to wait for: always for something to hear, and for room in the pipe while something is still to be sent."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outbox else 0)

    @property
    def since(self) -> float | None:
        """Since when the first of its jobs runs; None if it has none."""
        return next(iter(self.jobs.values()), None)

    def ended(self, key: str) -> None:
        """A job of it has, and where another one waits that has started by now."""
        del self.jobs[key]
        for waiting, since in self.jobs.items():
            if since is None:
                self.jobs[waiting] = time.monotonic()
            return

    def give(self, jobs: Frame) -> None:
        """Send it jobs that it runs one at a time."""
        frame = [[BACK, self._back], *jobs] if self._back else jobs
        self._back = 0
        self._turns_due += len(jobs)
        self.say(pack(frame))

    def take_back(self, *, whole: bool = False) -> list[str]:
        """The keys of the jobs that wait, and will not start any more; with `whole` also of the first one, if it has not started either.

        The first is left to a child that has not come round to it: it would be given the same again.
        """
        most = len(self.jobs) if whole else sum(since is None for since in self.jobs.values())
        due = min(self._turns_due, most)
        count = due + self.turnstile.take_back(most - due)
        if not count:
            return []
        self._turns_due -= due
        self._back += count
        keys = [*self.jobs][-count:]
        for key in keys:
            del self.jobs[key]
        self.given -= count
        return keys

    def end(self) -> None:
        """It is given nothing more, and may end when it has done what it has."""
        with contextlib.suppress(OSError):  # it is dead already
            self.pipe.shutdown(socket.SHUT_WR)
        self.turnstile.end()

    def kill(self, signum: int, seconds: float) -> None:
        """By its nursery: see Undertaker. Not an orphan, of which only the pipe is known."""
        if not self.orphan:
            self.nursery.kill(self.number, signum, seconds)

    def kill_orphan(self) -> None:
        """Its pipe has not ended, so it lives, and the number is its own."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        self.pipe.close()
        self.turnstile.close()

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
        if self._turns_due and not self._outbox:
            self.turnstile.let(self._turns_due)
            self._turns_due = 0

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
