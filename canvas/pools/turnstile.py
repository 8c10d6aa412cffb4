"""Turnstile: a child starts the jobs that it was given one by one, each by a turn, and the pool takes back the turns of those that have not started.

A pair of sockets with a byte for each turn. The child reads one byte before it starts a job; the pool, which holds that end too, reads all that are
left. The kernel gives each byte to one of the two, so a job runs in the child or is back with the pool, never both, whatever the child does just
then and wherever it dies: what is left after its death are the jobs that it had not started.

In place of a turn an order can come, once all turns are taken back: end, and your job by this signal.
"""

from __future__ import annotations

import contextlib
import socket

_TURN = 0
"""No signal has this number: every other byte is an order."""


class Turnstile:
    """The pool's view of it. It never waits."""

    def __init__(self) -> None:
        self._entry, self.exit = socket.socketpair()
        """`exit` is the child's end."""

    def let(self, count: int) -> None:
        """Let the child start so many jobs more."""
        self._send(bytes([_TURN]) * count)

    def take_back(self, most: int) -> int:
        """Let the last ones not start, up to so many; how many had not."""
        try:
            return self.exit.recv(most, socket.MSG_DONTWAIT).count(_TURN) if most else 0
        except BlockingIOError:
            return 0

    def order(self, signum: int) -> None:
        """Let the child end its job by this signal. All turns must be taken back."""
        self._send(bytes([signum]))

    def end(self) -> None:
        """Let the child end when it has used its turns."""
        with contextlib.suppress(OSError):
            self._entry.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._entry.close()
        self.exit.close()

    def _send(self, data: bytes) -> None:
        self._entry.send(data, socket.MSG_DONTWAIT)


class Turns:
    """The child's view of it."""

    def __init__(self, exit_: socket.socket) -> None:
        self._exit = exit_
        self.is_over = False
        """No turn comes any more: the pool is gone, or has ordered this process to end."""

    def fileno(self) -> int:
        """It can be read when there is a turn, or when they are over."""
        return self._exit.fileno()

    def take(self) -> bool:
        """Whether there is a turn, which is taken then."""
        try:
            byte = self._exit.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            byte = b""
        self.is_over = not byte or byte[0] != _TURN
        return not self.is_over

    def order(self) -> int | None:
        """The signal that the pool has ordered while a job runs, if it has. The order stays: after it no job starts any more."""
        try:
            byte = self._exit.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:  # nothing is there
            return None
        return byte[0] if byte and byte[0] != _TURN else None
