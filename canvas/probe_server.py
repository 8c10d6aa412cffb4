"""ProbeServer: what `--web HOST:PORT` serves to monitors and orchestrators: /healthz, /readyz, of a beat also /metrics and /status.

It reads and changes nothing. It runs in threads of its own, a bounded number of them, each with a deadline for the whole request, so
that a client that is slow or hostile costs a thread for some seconds, and the loop of the program nothing. Only GET and HEAD; no body is
read; one request a connection. It says what a monitor may know: names of entries, no payloads, no addresses, no passwords.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from msgspec import Struct

from .errors import ImproperlyConfigured

log = logging.getLogger(__name__)

AT_ONCE = 16
"""Requests that are served side by side; one more is hung up on."""
DEADLINE_SECONDS = 5.0
"""For a request to arrive, and again for its answer to be taken."""
CLOSING_SECONDS = 0.5
"""How often the accepting thread looks whether it shall end."""
LONGEST_HEAD = 16_384
TEXT = "text/plain; charset=utf-8"
NO_METRICS = "no metrics: prometheus-client is not installed. pip install 'backbeat[metrics]'"
"""What /metrics says then."""


class Answer(Struct, frozen=True):
    """What a path answers."""

    status: HTTPStatus
    body: bytes
    kind: str = TEXT

    @classmethod
    def of_text(cls, text: str, status: HTTPStatus = HTTPStatus.OK) -> Answer:
        """One line of text."""
        return cls(status, f"{text}\n".encode())

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Answer:
        """A document."""
        return cls(HTTPStatus.OK, json.dumps(data, indent=2).encode() + b"\n", "application/json")


class ProbeServer:
    """Serves `pages`, each a function from nothing to an answer, until it is closed. The port is taken when it is made.

    Raises ImproperlyConfigured when the address cannot be had.
    """

    def __init__(self, host: str, port: int, pages: Mapping[str, Callable[[], Answer]]) -> None:
        try:
            self._server = _Server(host, port, pages)
        except (OSError, OverflowError) as error:
            raise ImproperlyConfigured(
                f"--web {host}:{port} cannot be served: {error}. Choose another port, or an address of this host."
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(CLOSING_SECONDS,), name="probes", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; the port is a real one where 0 was asked for."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    @property
    def shown(self) -> str:
        """The address as text."""
        host, port = self.address
        return f"{f'[{host}]' if ':' in host else host}:{port}"

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(DEADLINE_SECONDS)


def address_of(web: str) -> tuple[str, int]:
    """HOST:PORT as a pair; `:8080` and `8080` are on loopback, IPv6 stands in brackets. Raises ImproperlyConfigured."""
    host, _, port = web.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not (port.isascii() and port.isdecimal() and int(port) < 65_536):  # noqa: PLR2004 - ports end there
        raise ImproperlyConfigured(
            f'--web "{web}" is no address: write 127.0.0.1:8788, 0.0.0.0:8788 or [::1]:8788'
        )
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(ThreadingHTTPServer):
    """Threads that are counted: the oldest flood is a second client in a loop."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, host: str, port: int, pages: Mapping[str, Callable[[], Answer]]) -> None:
        self.pages = pages
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer would ask for the host's full name here, which may take as long as a name server does
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no more threads can be had
            self._free.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        log.debug("A request of %s failed", client_address, extra={"action": "probe_failed"})


class _Handler(BaseHTTPRequestHandler):
    """One request: its head is read under one deadline, then parsed from memory; the answer is written under another one."""

    server: _Server
    protocol_version = "HTTP/1.0"
    server_version = "backbeat"
    sys_version = ""

    def setup(self) -> None:
        self.rfile = io.BytesIO(self._head())
        self.wfile = io.BytesIO()

    def finish(self) -> None:
        written = self.wfile.getvalue() if isinstance(self.wfile, io.BytesIO) else b""
        with contextlib.suppress(OSError):
            self.request.settimeout(DEADLINE_SECONDS)  # of the whole: sendall counts it down
            self.request.sendall(written)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def __getattr__(self, name: str) -> Any:
        """Any other method: http.server asks for do_METHOD."""
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args, extra={"action": "probe"})

    def _head(self) -> bytes:
        """What has come when the head is complete; nothing, if that takes too long or is too much."""
        until, head = time.monotonic() + DEADLINE_SECONDS, b""
        try:
            while b"\r\n\r\n" not in head and b"\n\n" not in head:
                self.request.settimeout(max(0.001, until - time.monotonic()))
                piece = self.request.recv(4096)
                head += piece
                if not piece or len(head) > LONGEST_HEAD or time.monotonic() >= until:
                    return b""
        except OSError:
            return b""
        return head

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        page = self.server.pages.get(path)
        if page is None:
            found = Answer.of_text(
                f"not here; there are {', '.join(self.server.pages)}", HTTPStatus.NOT_FOUND
            )
        else:
            try:
                found = page()
            except Exception as error:
                log.exception("%s failed", path, extra={"action": "probe_failed"})
                found = Answer.of_text(f"failed: {type(error).__name__}", HTTPStatus.INTERNAL_SERVER_ERROR)
        self._write(found, with_body=with_body)

    def _refuse(self) -> None:
        self._write(Answer.of_text("only GET and HEAD", HTTPStatus.METHOD_NOT_ALLOWED), with_body=True)

    def _write(self, answer: Answer, *, with_body: bool) -> None:
        self.send_response(answer.status)
        if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)
