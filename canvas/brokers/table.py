"""Table: headers and properties of AMQP 0-9-1, read and written in one go. PURE.

py-amqp does both in several calls for each value. Here only the usual is known: text, whole numbers, floats, truth, none, lists and tables, as Celery
and backbeat write them. All else is a TableError; then it must go py-amqp's way, which says what is wrong with it. What is written is, byte for
byte, what py-amqp writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from struct import Struct as Layout
from struct import error as layout_error
from struct import pack
from typing import Any

from ..wire import Wire

MAX_DEPTH = 15
"""Tables in tables, at most; foreign.py cuts off what is deeper than it keeps."""
_INT, _LONG, _DOUBLE, _SIZE = Layout(">i"), Layout(">q"), Layout(">d"), Layout(">I")
_MOST = 2**31 - 1
"""The largest number that py-amqp writes in four bytes."""
_MOST_SHORT = 255
_TYPE, _ENCODING, _HEADERS, _MODE, _PRIORITY = 0x8000, 0x4000, 0x2000, 0x1000, 0x0800
_TEXTS = ((0x0400, "correlation_id"), (0x0200, "reply_to"), (0x0100, "expiration"), (0x0080, "message_id"))
_RARE = 0x007F
"""Properties that only other programs write."""
_AS_IT_IS = frozenset({None, "utf-8", "binary"})
"""Encodings of which py-amqp leaves the body's bytes as they are."""
_WRITTEN = frozenset(
    ["content_type", "content_encoding", "delivery_mode", "priority", *(name for _, name in _TEXTS)]
)
_TEXT, _NONE, _TRUTH, _TABLE, _LIST, _FLOAT = b"SVtFAd"
_NUMBER, _LONG_NUMBERS = ord("I"), frozenset(b"lL")


class TableError(Exception):
    """It is not of what is known here."""


# --- reading ---------------------------------------------------------------------------------------------------------------------


def read_properties(data: bytes, at: int, end: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Headers and properties, these with all that a Wire always has, of what stands from `at` to `end`. Raises TableError."""
    try:
        return _read_properties(data, at, end)
    except (layout_error, IndexError, UnicodeDecodeError) as error:
        raise TableError from error


def _read_properties(data: bytes, at: int, end: int) -> tuple[dict[str, Any], dict[str, Any]]:
    flags = data[at] << 8 | data[at + 1]
    at += 2
    if flags & _RARE:
        raise TableError
    type_ = encoding = None
    headers: dict[str, Any] = {}
    if flags & _TYPE:
        type_, at = _short(data, at)
    if flags & _ENCODING:
        encoding, at = _short(data, at)
    if encoding not in _AS_IT_IS:
        raise TableError
    if flags & _HEADERS:
        (size,) = _SIZE.unpack_from(data, at)
        at += 4
        headers = _table(data, at, at + size, 0)
        at += size
    properties: dict[str, Any] = {"content_type": type_, "content_encoding": encoding, "correlation_id": ""}
    if flags & _MODE:
        properties["delivery_mode"] = data[at]
        at += 1
    if flags & _PRIORITY:
        properties["priority"] = data[at]
        at += 1
    for flag, name in _TEXTS:
        if flags & flag:
            properties[name], at = _short(data, at)
    if at != end:
        raise TableError
    return headers, properties


def _short(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    return data[at + 1 : end].decode(), end


def _table(data: bytes, at: int, end: int, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while at < end:
        name = at + 1
        at = name + data[at]
        key = data[name:at].decode()
        # most are texts
        if data[at] == _TEXT:
            (size,) = _SIZE.unpack_from(data, at + 1)
            start = at + 5
            at = start + size
            found[key] = data[start:at].decode()
        else:
            found[key], at = _value(data, at, depth)
    if at != end:
        raise TableError
    return found


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    kind = data[at]
    at += 1
    if kind == _NONE:
        return None, at
    if kind == _TRUTH:
        return data[at] != 0, at + 1
    if kind == _NUMBER:
        return _INT.unpack_from(data, at)[0], at + 4
    if kind in _LONG_NUMBERS:
        return _LONG.unpack_from(data, at)[0], at + 8
    if kind == _FLOAT:
        return _DOUBLE.unpack_from(data, at)[0], at + 8
    start = at + 4
    end = start + _SIZE.unpack_from(data, at)[0]
    if kind == _TEXT:
        return data[start:end].decode(), end
    if depth >= MAX_DEPTH or end > len(data):
        raise TableError
    if kind == _TABLE:
        return _table(data, start, end, depth + 1), end
    if kind == _LIST:
        return _list(data, start, end, depth + 1), end
    raise TableError


def _list(data: bytes, at: int, end: int, depth: int) -> list[Any]:
    found = []
    while at < end:
        value, at = _value(data, at, depth)
        found.append(value)
    if at != end:
        raise TableError
    return found


# --- writing ---------------------------------------------------------------------------------------------------------------------


def write_properties(wire: Wire) -> bytes:
    """The headers and properties of a message. Raises TableError."""
    properties = wire.properties
    if not _WRITTEN.issuperset(properties):
        raise TableError
    flags, parts = _HEADERS, []
    for flag, name in ((_TYPE, "content_type"), (_ENCODING, "content_encoding")):
        if (text := properties.get(name)) is not None:
            flags |= flag
            parts.append(short_text(text))
    parts.append(_table_of(wire.headers))
    for flag, name in ((_MODE, "delivery_mode"), (_PRIORITY, "priority")):
        if (number := properties.get(name)) is not None:
            if type(number) is not int or not 0 <= number <= _MOST_SHORT:
                raise TableError
            flags |= flag
            parts.append(bytes((number,)))
    for flag, name in _TEXTS:
        if (text := properties.get(name)) is not None:
            flags |= flag
            parts.append(short_text(text))
    return b"".join((pack(">H", flags), *parts))


def short_text(text: Any) -> bytes:
    """A text of up to 255 bytes, with its length in front. Raises TableError."""
    if type(text) is not str:
        raise TableError
    raw: bytes = text.encode("utf-8", "surrogatepass")
    if len(raw) > _MOST_SHORT:
        raise TableError
    return bytes((len(raw),)) + raw


_name = lru_cache(1_000)(short_text)


def _table_of(values: Mapping[str, Any]) -> bytes:
    parts = []
    for name, value in values.items():
        parts.append(_name(name))
        parts.append(_written(value))
    table = b"".join(parts)
    return _SIZE.pack(len(table)) + table


def _list_of(values: Sequence[Any]) -> bytes:
    written = b"".join(map(_written, values))
    return _SIZE.pack(len(written)) + written


def _written(value: Any) -> bytes:
    kind = type(value)
    if kind is str:
        raw: bytes = value.encode("utf-8", "surrogatepass")
        return b"S" + _SIZE.pack(len(raw)) + raw
    if value is None:
        return b"V"
    if kind is bool:
        return b"t\x01" if value else b"t\x00"
    if kind is int:
        if abs(value) <= _MOST:
            return b"I" + _INT.pack(value)
        if -(2**63) <= value < 2**63:
            return b"L" + _LONG.pack(value)
    if kind is float:
        return b"d" + _DOUBLE.pack(value)
    if kind is dict:
        return b"F" + _table_of(value)
    if kind is list or kind is tuple:
        return b"A" + _list_of(value)
    raise TableError
