"""Given: the jobs that a child was given and has not started, which it starts one by one, each when it has its turn (turnstile.py)."""

from __future__ import annotations

import contextlib
import select
import socket
from collections import deque

from .base import Job
from .pipe import BACK, Frame, Inbox
from .turnstile import Turns

_CHUNK = 1 << 18


class Given:
    """Read from the pool's `pipe`."""

    def __init__(self, pipe: socket.socket, turns: Turns) -> None:
        self._pipe = pipe
        self._turns = turns
        self._either = select.poll()
        self._either.register(pipe, select.POLLIN)
        self._either.register(turns, select.POLLIN)
        self._inbox = Inbox()
        self._jobs: deque[Job] = deque()

    def next(self) -> Job | None:
        """Wait for the next job. None if this process shall end."""
        while not self._turns.take():
            if self._turns.is_over:
                return None
            # also for the pipe: the pool gives no turn before all of the job is there, which may be more than a pipe holds
            self._either.poll()
            if not self._read():
                return None
        # the turn may be that of a job behind some that were taken back, which the pipe says before the turn comes
        return self._jobs.popleft() if self._read() else None

    def await_end(self) -> None:
        """Start none any more, and wait until the pool lets this process end."""
        with contextlib.suppress(ConnectionError):
            while self._pipe.recv(_CHUNK):
                pass

    def _read(self) -> bool:
        """Read what is in the pipe; False at its end."""
        while True:
            try:
                data = self._pipe.recv(_CHUNK, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except ConnectionError:
                return False
            self._inbox.feed(data)
            for frame in self._inbox.frames():
                self._take(frame)
            if len(data) < _CHUNK:
                return bool(data)

    def _take(self, frame: Frame) -> None:
        for note in frame:
            match note:
                case [str(word), int(count)] if word == BACK:
                    # not all that are here: the turn of the first may have been taken just before
                    for _ in range(count):
                        self._jobs.pop()
                case _:
                    self._jobs.append(Job(*note))
