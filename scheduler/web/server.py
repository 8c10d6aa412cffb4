"""Server: serves the dashboard by HTTP until it is told to stop, in a loop of its own.

The port is taken when it is made, so that a port that is taken is said before anything else begins. Signals belong to the command line.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

from ..errors import ScheduleError

CLOSING_SECONDS = 5
"""How long answers that are on their way may take at the end."""
AT_ONCE = 200
"""Connections side by side; more are answered with 503."""


class Server:
    """Over a socket of `listen`."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        self._listening = listening
        self._server = _Quiet(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=AT_ONCE,
                timeout_graceful_shutdown=CLOSING_SECONDS,
            )
        )

    def run(self) -> None:
        """Until `stop` is called."""
        self._server.run(sockets=[self._listening])

    def stop(self) -> None:
        """End soon. For signal handlers."""
        self._server.should_exit = True


class _Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """The command line hears the signals, and calls `stop`."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """The address, taken. Raises ScheduleError when it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(128)
        except OSError:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        raise ScheduleError(
            f"--host {host} --port {port} cannot be served: {error}. Choose another port, or an address of this host."
        ) from error
    return listening


def shown(listening: socket.socket) -> str:
    """HOST:PORT as it stands in a URL."""
    host, port = listening.getsockname()[:2]
    return f"{f'[{host}]' if ':' in host else host}:{port}"
