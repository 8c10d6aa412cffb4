"""Receiver: who gets webhooks: a real HTTP server on loopback that notes what comes, and answers as a test wants."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from support.processes import wait_until


class Received(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def payload(self) -> Any:
        return json.loads(self.body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: Any) -> None:
        """A client that goes, or refuses the certificate, is no fault of a test."""


class Receiver:
    """It listens from `open` to `close`, always on the same port; `answer` is given each request and says the status.

    `write`, if it is set, writes the answer in the place of that: bytes, to the socket's file.
    """

    def __init__(self, tls: tuple[str, str] | None = None) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], int] = lambda _: 200
        self.headers: dict[str, str] = {}
        self.write: Callable[[Any], None] | None = None
        self._tls = tls
        self._server: _Server | None = None
        self.port = 0
        self.open()

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        """An address of it."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def open(self) -> None:
        """Listen."""
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        self.port = self._server.server_address[1]
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="receiver", daemon=True
        ).start()

    def close(self) -> None:
        """Be away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def wait_for(self, count: int, path: str | None = None, seconds: float = 60.0) -> list[Received]:
        """Wait for so many requests, to this path; they."""

        def found() -> list[Received]:
            return [each for each in self.received if path is None or each.path == path]

        wait_until(
            lambda: len(found()) >= count,
            seconds,
            what=lambda: f"{len(found())} of {count} requests: {self.received}",
        )
        return found()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                one = Received(self.command, self.path, headers, body, time.time())
                receiver.received.append(one)
                if receiver.write is not None:
                    receiver.write(self.wfile)
                    return
                self.send_response(receiver.answer(one))
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = _serve  # noqa: N815 - http.server looks for this name
            do_POST = _serve  # noqa: N815 - the same

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
