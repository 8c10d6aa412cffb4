"""Options: the delivery options of a schedule or a step, by the names that Celery's apply_async gives them.

PURE. Times may be written as durations; on the wire they are seconds. A null unsets an option that defaults: would give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...canvas.errors import EncodeError
from ...canvas.header import check_headers
from .node import Node, is_null
from .problem import Fault, quoted
from .value import arguments, count, duration, flag, mapping, text
from .vocabulary import OPTION, check_keys

HIGHEST_PRIORITY = 255  # what an AMQP message can carry


def read_options(node: Node) -> dict[str, Any]:
    """The options, None for those that are unset on purpose. Raises Fault."""
    written = mapping(node, "options", help="write `options: {queue: fast}`")
    check_keys(written, OPTION)
    options = {
        name: None if is_null(pair.value) else _READERS[name](pair.value, name)
        for name, pair in written.pairs.items()
    }
    check_limits(options, node)
    return options


def check_limits(options: Mapping[str, Any], node: Node) -> None:
    """Raise Fault, at `node`, for a soft limit that could never be told before the hard one has ended the run."""
    hard, soft = options.get("time_limit"), options.get("soft_time_limit")
    if hard is not None and soft is not None and soft >= hard:
        raise Fault(
            node.place,
            "E112",
            f"soft_time_limit must be below time_limit, found {soft} s and {hard} s",
            help="the run would be ended before it was told",
        )


def _seconds(node: Node, key: str) -> int | float:
    seconds = duration(node, key).total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _limit(node: Node, key: str) -> int | float:
    seconds = _seconds(node, key)
    if not seconds:
        raise Fault(
            node.place, "E112", f"{key} must be above 0", help="remove the key, or write null, for no limit"
        )
    return seconds


def _serializer(node: Node, key: str) -> str:
    name = _name(node, key)
    if name != "json":
        raise Fault(
            node.place,
            "E112",
            f"{key} must be json, found {quoted(name)}",
            help="remove the key: messages are JSON",
        )
    return name


def _name(node: Node, key: str) -> str:
    return text(node, key, limit=255)


def _priority(node: Node, key: str) -> int:
    return count(node, key, 0, HIGHEST_PRIORITY)


def _headers(node: Node, key: str) -> dict[str, Any]:
    headers = dict(arguments(node, key))
    try:
        check_headers(headers)
    except EncodeError as error:
        raise Fault(node.place, "E112", str(error)) from error
    return headers


_READERS: dict[str, Callable[[Node, str], Any]] = {
    "queue": _name,
    "exchange": _name,
    "routing_key": _name,
    "priority": _priority,
    "expires": _seconds,
    "countdown": _seconds,
    "time_limit": _limit,
    "soft_time_limit": _limit,
    "headers": _headers,
    "serializer": _serializer,
    "compression": _name,
    "ignore_result": flag,
    "retry": flag,
}
