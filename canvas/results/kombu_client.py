"""Kombu client: a connection to the broker for the two sides of rpc, replies.py and rpc.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kombu.connection import Connection
from kombu.exceptions import KombuError

from ..errors import ImproperlyConfigured

CONNECT_SECONDS = 4.0


def open_kombu(
    url: str, transport_options: Mapping[str, Any] | None
) -> tuple[Any, tuple[type[Exception], ...]]:
    """A connection, not yet made, and the errors of it that mean that the broker cannot be reached. Raises ImproperlyConfigured."""
    try:
        connection: Any = Connection(  # type: ignore[no-untyped-call]  # kombu has no types
            url, connect_timeout=CONNECT_SECONDS, transport_options=dict(transport_options or {})
        )
        transport = connection.transport
    except (KeyError, ImportError, ValueError) as error:
        raise ImproperlyConfigured(f"the broker URL is not one that kombu knows: {error}") from error
    return connection, (*transport.connection_errors, *transport.channel_errors, OSError, KombuError)
