"""Foreign: a delivery of py-amqp or kombu as a Wire, whoever sent it: what JSON cannot hold is turned into what it can."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..wire import Wire

MAX_DEPTH = 20
"""Nesting of headers that is kept."""


def wire_of(message: Any) -> Wire:
    """Headers, properties and body of a py-amqp or kombu message, whoever sent it, as what JSON can hold."""
    properties = dict(message.properties) if isinstance(message.properties, Mapping) else {}
    headers = properties.pop("application_headers", None) or getattr(message, "headers", None)
    kept = {str(name): _plain(value) for name, value in properties.items()}
    kept |= {
        "content_type": kept.get("content_type") or _plain(getattr(message, "content_type", None)),
        "content_encoding": kept.get("content_encoding")
        or _plain(getattr(message, "content_encoding", None)),
        "correlation_id": kept.get("correlation_id") or "",
    }
    plain = _plain(headers)
    return Wire(plain if isinstance(plain, dict) else {}, kept, _bytes(message.body, properties))


def _bytes(body: object, properties: Mapping[str, Any]) -> bytes:
    match body:
        case bytes() | bytearray() | memoryview():
            return bytes(body)
        case str() if properties.get("body_encoding") == "base64":
            with suppress(ValueError):
                return base64.b64decode(body, validate=True)
            return body.encode(errors="replace")
        case str():
            return body.encode(errors="replace")
    return b""


def _plain(value: object, depth: int = 0) -> Any:
    """AMQP tables know dates, decimals and bytes."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode(errors="backslashreplace")
        case dt.datetime():
            aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
            return aware.isoformat()
        case decimal.Decimal():
            return str(value)
        case Mapping() if depth < MAX_DEPTH:
            return {str(key): _plain(item, depth + 1) for key, item in value.items()}
        case list() | tuple() if depth < MAX_DEPTH:
            return [_plain(item, depth + 1) for item in value]
    return str(type(value).__name__)
