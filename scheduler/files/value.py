"""Values: nodes read as texts, flags, counts, durations and plain JSON data, or a Fault at the place of what is wrong.

PURE. Every function takes the node and the key that it stands under, for the message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingOf
from datetime import timedelta
from difflib import get_close_matches
from enum import Enum
from typing import Any, TypeVar

from ..errors import ScheduleError
from ..schedule import parse_duration
from .node import Mapping, Node, Scalar, Sequence, shape
from .problem import Fault, quoted

DURATIONS = "30s, 5m, 1h30m, 2h, 1d"
_ZERO = re.compile(r"\s*0+(ms|[smhdw])?\s*\Z", re.ASCII)
Choice = TypeVar("Choice", bound=Enum)
TEXT_LIMIT = 10_000
SECONDS_LIMIT = 100 * 366 * 86_400  # a hundred years: beyond it the text is a mistake


def mapping(
    node: Node,
    key: str,
    *,
    help: str = "",
    what: str = "a mapping",
) -> Mapping:
    """The node as a mapping."""
    if not isinstance(node, Mapping):
        raise Fault(node.place, "E111", f"{key} must be {what}, found {shape(node)}", help=help)
    return node


def sequence(node: Node, key: str, *, help: str = "") -> Sequence:
    """The node as a list."""
    if not isinstance(node, Sequence):
        raise Fault(node.place, "E111", f"{key} must be a list, found {shape(node)}", help=help)
    return node


def text(node: Node, key: str, limit: int = TEXT_LIMIT) -> str:
    """The node as text that is not empty; numbers and true/false are refused, since quotes tell what is meant."""
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        hint = f'put quotes around it: `"{node.text[:40]}"`' if isinstance(node, Scalar) and node.text else ""
        raise Fault(node.place, "E111", f"{key} must be text, found {shape(node)}", help=hint)
    if not node.value.strip():
        raise Fault(node.place, "E112", f"{key} is empty", help="write a value or remove the key")
    if len(node.value) > limit:
        raise Fault(node.place, "E112", f"{key} is longer than {limit:,} characters")
    return node.value


def texts(node: Node, key: str) -> list[tuple[Node, str]]:
    """One text or a list of texts, each with its node."""
    if isinstance(node, Sequence):
        if not node.items:
            raise Fault(node.place, "E112", f"{key} is an empty list", help="write a value or remove the key")
        return [(item, text(item, key)) for item in node.items]
    return [(node, text(node, key))]


def flag(node: Node, key: str) -> bool:
    """The node as true or false; yes, no, on and off are text in YAML 1.2."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    word = node.text.lower() if isinstance(node, Scalar) else ""
    help_text = {"yes": "write true", "on": "write true", "no": "write false", "off": "write false"}.get(
        word, "write true or false"
    )
    found = quoted(node.text) if isinstance(node, Scalar) else shape(node)
    raise Fault(node.place, "E112", f"{key} must be true or false, found {found}", help=help_text)


def count(node: Node, key: str, least: int, most: int) -> int:
    """The node as a whole number from `least` to `most`."""
    if isinstance(node, Scalar) and type(node.value) is int:
        if least <= node.value <= most:
            return node.value
        raise Fault(node.place, "E112", f"{key} must be from {least} to {most:,}, found {node.value}")
    found = quoted(node.text) if isinstance(node, Scalar) else shape(node)
    raise Fault(node.place, "E112", f"{key} must be a whole number, found {found}")


def number(node: Node, key: str, least: float, most: float) -> float:
    """The node as a number from `least` to `most`."""
    if isinstance(node, Scalar) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        if least <= node.value <= most:
            return node.value
        raise Fault(node.place, "E112", f"{key} must be from {least} to {most}, found {node.text[:40]}")
    found = quoted(node.text) if isinstance(node, Scalar) else shape(node)
    raise Fault(node.place, "E112", f"{key} must be a number, found {found}")


def choice(node: Node, key: str, kind: type[Choice]) -> Choice:
    """The node as a member of `kind`, by its value."""
    words = [str(member.value) for member in kind]
    written = ""
    if isinstance(node, Scalar):
        written = node.value if isinstance(node.value, str) else node.text
    if written in words:
        return kind(written)
    near = get_close_matches(written.lower()[:40], words, n=1)
    hint = f"did you mean {near[0]}?" if near else ""
    found = quoted(written) if written else shape(node)
    raise Fault(node.place, "E112", f"{key} must be one of {', '.join(words)}, found {found}", help=hint)


def duration(node: Node, key: str) -> timedelta:
    """A duration: text as 1h30m, or a number of seconds; zero is allowed, less is not."""
    if not isinstance(node, Scalar) or node.value is None or isinstance(node.value, bool):
        found = quoted(node.text) if isinstance(node, Scalar) and node.text else shape(node)
        raise Fault(node.place, "E160", f"{found} is not a duration", help=DURATIONS)
    if isinstance(node.value, str) and not _ZERO.match(node.value):
        try:
            length = parse_duration(node.value)
        except ScheduleError as error:
            raise schedule_fault(node, "E160", error) from error
        seconds = length.total_seconds()
    else:
        seconds = 0.0 if isinstance(node.value, str) else node.value
    if not 0 <= seconds <= SECONDS_LIMIT:
        raise Fault(node.place, "E160", f"{key} must be from 0 to 100 years", help=DURATIONS)
    return timedelta(seconds=seconds)


def duration_us(node: Node, key: str) -> int:
    """A duration in microseconds."""
    return duration(node, key) // timedelta(microseconds=1)


def schedule_fault(node: Node, code: str, error: ScheduleError) -> Fault:
    """What schedule.py says about a value, at the value's place."""
    return Fault(node.place, code, error.message, help=error.help)


def data(node: Node) -> Any:
    """The node as JSON data: what goes into args, kwargs and headers."""
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [data(item) for item in node.items]
        case Mapping():
            return {name: data(pair.value) for name, pair in node.pairs.items()}


def arguments(node: Node, key: str) -> MappingOf[str, Any]:
    """Keyword arguments or headers: a mapping of names to JSON data."""
    hint = "write {name: value}"
    return {name: data(pair.value) for name, pair in mapping(node, key, help=hint).pairs.items()}
