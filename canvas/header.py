"""Header: what the headers that a user gives to a message may hold, so that every broker can carry them. PURE.

One rule for all brokers, though only AMQP is as narrow: a project can change its broker, and a message that cannot be written is otherwise
found out when its sender has long got a handle. What comes with a stranger's message is not looked at here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from .errors import EncodeError

MOST_BYTES = 32 * 1024
"""As JSON. AMQP writes them up to 2.5 times as long (a list of zeros), and all headers of a message, those included that say what follows it,
must go into one frame: 131,072 bytes, unless RabbitMQ's `frame_max` says otherwise."""
LONGEST_NAME = 255
"""Bytes: AMQP counts those of a name in one."""
DEEPEST = 20
"""Maps and lists in each other, as far as they are kept when a message comes from AMQP."""
_INTEGERS = range(-(2**63), 2**63)
"""What AMQP's largest integer can be."""


def check_headers(headers: Mapping[str, Any]) -> None:
    """Raise EncodeError, naming the header, for what no message could carry."""
    for name, value in headers.items():
        if (fault := _name_fault(name) or _fault(value, 1)) is not None:
            raise EncodeError(f"headers cannot be written: {name!r:.80}: {fault}")
    check_size(headers)


def check_size(headers: Mapping[str, Any]) -> None:
    """Raise EncodeError for headers that are too large together."""
    size = len(json.dumps(headers, separators=(",", ":")))
    if size > MOST_BYTES:
        raise EncodeError(
            f"the headers have {size:,} bytes as JSON, more than {MOST_BYTES:,}: pass large values as arguments, or a reference to them"
        )


def _name_fault(name: object) -> str | None:
    if not isinstance(name, str):
        return f"the name {name!r:.80} is no text"
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        return f"the name {name!r:.80} has more than {LONGEST_NAME} bytes"
    return None


def _fault(value: object, depth: int) -> str | None:
    """What is wrong with a value that has `depth` maps and lists around it."""
    match value:
        case None | bool() | str():
            return None
        case int():
            return None if value in _INTEGERS else f"{value!r:.40} has more than 64 bits"
        case float():
            return None if math.isfinite(value) else f"found {value!r}: nan and infinity are no numbers"
        case dict() | list() | tuple() if depth >= DEEPEST:
            return f"more than {DEEPEST} maps and lists are in each other"
        case dict():
            faults = (_name_fault(name) or _fault(item, depth + 1) for name, item in value.items())
        case list() | tuple():
            faults = (_fault(item, depth + 1) for item in value)
        case _:
            return f"{type(value).__name__} cannot be written as JSON. Pass numbers, strings, lists and maps."
    return next((fault for fault in faults if fault is not None), None)
