"""Belief: what is read of a message of remote control, and whether it is believed: where the app has keys it must be signed (decisions C4). PURE.

The signature covers body and headers as that of a task's message does, so also until when the request counts. A key that may only send some tasks
may give orders only if `backbeat.control.METHOD` is one of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import MessageError
from ..signing import Keyring
from ..wire import SIGNATURE, Wire
from .request import Request, request_of

PLACE = "celery.pidbox"
"""What stands for the queue in a signature: one message goes to all."""
_PROPERTIES = {"content_type": "application/json", "content_encoding": "utf-8"}


def request_of_text(headers: Mapping[str, Any], body: bytes, keyring: Keyring) -> Request:
    """Raises MessageError for what is no request, SignatureError for one that must not be believed."""
    method = _method_of(body) if keyring.signs else ""
    signed = {**headers, "task": f"backbeat.control.{method}"}
    keyring.verify(Wire(signed, dict(_PROPERTIES), body), PLACE)
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"it is not JSON: {error}") from None
    return request_of(data, headers.get("expires") or 0)


def headers_of(request: Request, body: bytes, clock: int, keyring: Keyring) -> dict[str, Any]:
    """The headers of a request, whose body is made already."""
    headers: dict[str, Any] = {"clock": clock, "expires": request.expires}
    if keyring.signs:
        wire = Wire({**headers, "task": f"backbeat.control.{request.method}"}, dict(_PROPERTIES), body)
        headers[SIGNATURE] = keyring.signature(keyring.head(wire, PLACE), body)
    return headers


def _method_of(body: bytes) -> str:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    method = data.get("method") if isinstance(data, dict) else None
    return method if isinstance(method, str) else ""
