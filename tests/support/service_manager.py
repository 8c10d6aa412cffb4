"""ServiceManager: systemd's end of the line that services speak on."""

from __future__ import annotations

import select
import socket
import time

DEADLINE_SECONDS = 20.0


class ServiceManager:
    """A socket at a path, or at "@" and a name for an abstract one."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[list[str]]:
        """All that was said since the last call, one list of lines a datagram."""
        datagrams = []
        while True:
            try:
                datagrams.append(self._socket.recv(65536).decode().split("\n"))
            except BlockingIOError:
                return datagrams

    def wait_for(self, line: str) -> list[str]:
        """The first datagram with that line, within the deadline."""
        until = time.monotonic() + DEADLINE_SECONDS
        while select.select([self._socket], [], [], max(0.0, until - time.monotonic()))[0]:
            lines = self._socket.recv(65536).decode().split("\n")
            if line in lines:
                return lines
        raise AssertionError(f"{line} was not said within {DEADLINE_SECONDS} s")

    def close(self) -> None:
        self._socket.close()
