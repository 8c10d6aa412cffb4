"""Notifier: tells the service manager how this process is. systemd's protocol: datagrams to the socket that NOTIFY_SOCKET names.

Outside a service there is no such socket, and nothing is sent. A socket that is full, gone or of another kind is never an error of the
caller: what matters (READY, WATCHDOG) is said again at the next opportunity, and systemd acts upon silence. It decides nothing and owns
no thread: the listeners of the loops call it (worker/systemd.py, scheduler/systemd.py), so that silence means that a loop stands still.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, MutableMapping

STATUS_SECONDS = 10.0
"""How often a status line is renewed where no watchdog asks for more."""


class Notifier:
    """One service's line to its manager. Each method says whether there is nothing left to say: False means that it did not arrive.

    `address` is a path, or "@" and a name for an abstract socket; None, or any other kind of address, means that nobody listens.
    """

    def __init__(
        self,
        address: str | None,
        watchdog_seconds: float | None = None,
        *,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._address = _socket_address(address)
        self._watchdog_seconds = watchdog_seconds
        self._monotonic_ns = monotonic_ns
        self._interval_ns = int((watchdog_seconds / 3 if watchdog_seconds else STATUS_SECONDS) * 1e9)
        self._alive_at_ns: int | None = None

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] = os.environ) -> Notifier:
        """As the service manager asks for. The variables are taken out, so that what tasks start does not speak for the service."""
        address = environ.pop("NOTIFY_SOCKET", None)
        period_us, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        wanted = period_us.isdecimal() and int(period_us) > 0 and pid in ("", str(os.getpid()))
        return cls(address, int(period_us) / 1e6 if wanted else None)

    @property
    def listens(self) -> bool:
        """Whether there is a service manager at all."""
        return self._address is not None

    def ready(self, status: str = "") -> bool:
        """The service works, after its start or after `reloading`."""
        return self._send("READY=1", *_status(status))

    def status(self, text: str) -> bool:
        """What `systemctl status` shows, in one line."""
        return self._send(*_status(text))

    def reloading(self) -> bool:
        """It reads its configuration again; `ready` must follow. The time is what tells systemd that this READY is the later one."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={self._monotonic_ns() // 1000}")

    def stopping(self, status: str = "") -> bool:
        """It has begun to stop."""
        return self._send("STOPPING=1", *_status(status))

    def extend_timeout(self, seconds: float) -> bool:
        """Starting or stopping needs so many more seconds from now on; to be said again before they are over."""
        return self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def alive(self, status: Callable[[], str]) -> bool:
        """To be called at each proof of progress, however often: feeds the watchdog three times in its period, with a new status."""
        now = self._monotonic_ns()
        if self._address is None or (
            self._alive_at_ns is not None and now - self._alive_at_ns < self._interval_ns
        ):
            return True
        sent = self._send(*(["WATCHDOG=1"] if self._watchdog_seconds else []), *_status(status()))
        if sent:
            self._alive_at_ns = now
        return sent

    def _send(self, *lines: str) -> bool:
        if self._address is None or not lines:
            return True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                line.setblocking(False)
                line.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError:
            return False
        return True


def _socket_address(address: str | None) -> str | None:
    if not address or address[0] not in "/@":
        return None
    return "\0" + address[1:] if address[0] == "@" else address


def _status(text: str) -> list[str]:
    return [f"STATUS={' '.join(text.split())[:500]}"] if text else []
