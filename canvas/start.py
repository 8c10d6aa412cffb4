"""Start: a canvas that is to be set going, as data and as the text that an outbox keeps. PURE.

All ids are frozen, so whoever sets it going, and however often, sends the same tasks; and the caller has the handles already.
"""

from __future__ import annotations

import json

from msgspec import Struct
from msgspec.structs import replace

from .errors import DecodeError
from .json_text import json_value
from .message import check_calls, iso_of_us
from .node import Call, Node, map_first
from .node_data import node_from_data, node_to_data
from .trace_context import NO_TRACE, Trace, trace_of

VERSION = 1


class Start(Struct, frozen=True):
    """A frozen canvas, the root that it belongs to, the task that sent it, and the trace that it is of."""

    node: Node
    root_id: str
    parent_id: str | None = None
    trace: Trace = NO_TRACE


def start_to_text(start: Start) -> str:
    """JSON text, in ASCII."""
    canvas = node_to_data(start.node, json.loads)
    data = {"v": VERSION, "root": start.root_id, "parent": start.parent_id, "canvas": canvas}
    if start.trace:
        data["trace"] = dict(start.trace)
    return json_value(data)


def start_from_text(text: str) -> Start:
    """The inverse of `start_to_text`. Raises DecodeError."""
    try:
        data = json.loads(text)
        if data["v"] != VERSION:
            raise DecodeError(f"the canvas is of version {data['v']!r}; this one reads {VERSION}")
        node = node_from_data(data["canvas"], json_value)
        start = Start(node, data["root"], data["parent"], trace_of(data.get("trace", {})))
        check_calls(start.node)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise DecodeError(f"the canvas cannot be read: {type(error).__name__}: {error}") from error
    return start


def dated(node: Node, now_us: int) -> Node:
    """The canvas with countdown and relative expiry of its first calls counted from `now_us`, however late they are sent."""

    def changed(call: Call) -> Call:
        options = dict(call.options)
        countdown, expires = options.pop("countdown", None), options.get("expires")
        if countdown is not None and options.get("eta") is None:
            options["eta"] = iso_of_us(now_us + round(countdown * 1_000_000))
        if isinstance(expires, int | float):
            options["expires"] = iso_of_us(now_us + round(expires * 1_000_000))
        return replace(call, options=options)

    return map_first(node, changed)
