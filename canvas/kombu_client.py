"""KombuClient: one connection with one channel to the broker: for rpc results, events and remote control.

kombu's own way to connect tries for long; who waits for a result, or has one to send, must be told soon.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from kombu.exceptions import KombuError

from .kombu_connection import KombuConnection

CONNECT_SECONDS = 4.0


class KombuClient:
    """Not connected at first. Raises `errors` where the broker cannot be reached, ImproperlyConfigured for what is no broker's URL."""

    def __init__(self, url: str, transport_options: Mapping[str, Any] | None) -> None:
        self._broker = KombuConnection(url, transport_options, connect_timeout=CONNECT_SECONDS)
        self._connection = self._broker.kombu
        # nobody is there to send heartbeats while a thread waits, so none are promised, whatever the URL says
        self._connection.heartbeat = 0
        transport = self._connection.transport
        self.errors: tuple[type[Exception], ...] = (
            *transport.connection_errors,
            *transport.channel_errors,
            OSError,
            KombuError,
        )
        self._raw: Any = None

    @property
    def address(self) -> str:
        """The URL without its password."""
        return self._broker.shown

    def open(self) -> Any:
        """A channel over a new connection to the first of the URL's servers (separated by `;`) that answers."""
        self.close()
        for _ in self._connection.alt[1:]:
            try:
                return self._open()
            except self.errors:
                self._connection.maybe_switch_next()
        return self._open()

    def drain(self, seconds: float) -> None:
        """Deal with one thing that came; wait for it up to `seconds`. Raises TimeoutError if nothing did."""
        self._connection.transport.drain_events(self._raw, timeout=seconds)

    def fileno(self) -> int | None:
        """The descriptor that can be read when the server says something; None where there is none (Redis)."""
        if self._raw is None or self._connection.transport.driver_name != "py-amqp":
            return None
        # not the connection's own `sock`, which connects again where it was lost
        return int(self._raw.transport.sock.fileno())

    def close(self) -> None:
        """Close the connection; `open` makes another one."""
        raw, self._raw = self._raw, None
        if raw is not None:
            with suppress(Exception):  # it may be dead already
                self._connection.transport.close_connection(raw)

    def _open(self) -> Any:
        transport = self._broker.secure().transport
        raw = transport.establish_connection()
        try:
            channel = transport.create_channel(raw)
        except BaseException:
            transport.close_connection(raw)
            raise
        self._raw = raw
        return channel
