"""Envelope: a message as one text, as Redis lists and the SQL queue hold it: that of kombu's virtual transports."""

from __future__ import annotations

import base64
from typing import Any

from .errors import MessageError
from .json_text import json_value, parsed
from .message import MAX_BYTES
from .wire import Wire, id_in

Raw = str | tuple[dict[str, Any], dict[str, Any], bytes]
"""A message as envelope text; or its headers, properties and body, where it came so: between processes of one worker."""


def opened(raw: Raw) -> Wire:
    """The message. Raises MessageError, as `unpack` does."""
    return unpack(raw) if isinstance(raw, str) else Wire(*raw)


def pack(wire: Wire, queue: str) -> str:
    """The envelope text that kombu's virtual transports use (Redis lists), which the SQL queue uses too."""
    properties = dict(wire.properties)
    content_type, encoding = properties.pop("content_type"), properties.pop("content_encoding")
    properties |= {
        "delivery_info": {"exchange": "", "routing_key": queue},
        "body_encoding": "base64",
        "delivery_tag": properties["correlation_id"],
    }
    return json_value(
        {
            "body": base64.b64encode(wire.body).decode(),
            "content-encoding": encoding,
            "content-type": content_type,
            "headers": wire.headers,
            "properties": properties,
        }
    )


def unpack(text: str | bytes) -> Wire:
    """The inverse of `pack`. Raises MessageError for whatever is not an envelope."""
    if len(text) > 2 * MAX_BYTES:
        raise MessageError(f"the message has {len(text)} bytes, more than {2 * MAX_BYTES}")
    try:
        envelope = parsed(text)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"not an envelope: {error}") from error
    if not isinstance(envelope, dict):
        raise MessageError(f"not an envelope: {type(envelope).__name__} in place of a map")
    headers, properties = envelope.get("headers"), envelope.get("properties")
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        known = headers if isinstance(headers, dict) else {}
        raise MessageError("the envelope has no headers or no properties", id_in(known), known)
    body = envelope.get("body")
    try:
        if properties.get("body_encoding") == "base64":
            body = base64.b64decode(body or b"", validate=True)
        elif isinstance(body, str):
            body = body.encode()
    except (ValueError, TypeError) as error:
        raise MessageError(f"the body is not base64: {error}", id_in(headers), headers) from error
    if not isinstance(body, bytes):
        raise MessageError("the envelope has no body", id_in(headers), headers)
    properties["content_type"] = envelope.get("content-type")
    properties["content_encoding"] = envelope.get("content-encoding")
    return Wire(headers, properties, body)
