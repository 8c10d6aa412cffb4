"""Json: a value as encoded JSON text. PURE.

Values travel through backbeat as text: encoded once, where a task returned or a caller passed them; decoded once, where a task
or a caller wants them. What lies between (flow, stores, brokers) only joins texts, so it costs little and cannot change a value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NewType

import msgspec

Json = NewType("Json", str)

NULL = Json("null")
EMPTY_LIST = Json("[]")
EMPTY_MAP = Json("{}")


def encoder(
    default: Callable[[Any], Any] | None = None, separators: tuple[str, str] = (",", ":")
) -> Callable[[Any], str]:
    """A function that writes JSON, compact unless `separators` are others; `default` says what is written for a value that JSON has no form for, or raises.

    json's encoder in C is made once for it: `json.dumps` makes it anew for each text. Circles are a RecursionError.
    """
    default = default or json.JSONEncoder().default
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(separators=separators, default=default).encode
    item, key = separators
    pieces = make(None, default, json.encoder.encode_basestring_ascii, None, key, item, False, False, True)
    return lambda value: "".join(pieces(value, 0))


_encode = encoder()


def parsed(text: str | bytes) -> Any:
    """What `json.loads` gives, and what it raises, in a third of its time."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        # it takes more than the standard allows: NaN, halves of pairs of surrogates, UTF-16
        return json.loads(text)


def json_string(text: str) -> Json:
    """A string, as JSON text."""
    return Json(json.dumps(text))


def json_value(value: object) -> Json:
    """A value of JSON's own types, as compact text."""
    return Json(_encode(value))


def json_list(values: Iterable[Json]) -> Json:
    """The list of `values`, as text."""
    return Json("[" + ",".join(values) + "]")


def prepend(value: Json, args: Json) -> Json:
    """The list `args` with `value` in front of it. Both are compact or spaced JSON; `args` is a list without leading blanks."""
    rest = args[1:].lstrip()
    return Json(f"[{value}]") if rest.startswith("]") else Json(f"[{value},{rest}")
