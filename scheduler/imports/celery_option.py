"""CeleryOption: the options of a Celery entry as those of a schedules file, with what they mean here and what is lost.

PURE. Values are JSON data already; a moment is an ISO text, a length of time seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..files.vocabulary import OPTIONS

_HARMLESS = {
    "retry_policy": "retry_policy: the beat keeps what is due in its ledger and tries for as long as the broker is away",
    "retry": "retry: the same",
}
_ROUTES = ("exchange", "routing_key", "exchange_type")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Mapped:
    """Options of the file, the end of the schedule if an absolute expiry gave one, and sentences."""

    options: dict[str, Any] = field(default_factory=dict)
    end_us: int | None = None
    notes: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def mapped(given: Mapping[str, Any]) -> Mapped:
    """Options under Celery's names; those that are None are not set."""
    out = Mapped()
    left = {name: value for name, value in given.items() if value is not None}
    _route(left, out)
    _expiry(left.pop("expires", None), out)
    if left.get("serializer") == "json":
        del left["serializer"]
    elif "serializer" in left:
        out.lost.append(f"serializer {left.pop('serializer')!r}: messages are JSON")
    for name, value in left.items():
        if name in _HARMLESS:
            out.notes.append(_HARMLESS[name])
        elif name in ("link", "link_error"):
            out.options[name] = value if isinstance(value, list) else [value]
        elif name in OPTIONS:
            is_whole = isinstance(value, float) and value.is_integer()
            out.options[name] = int(value) if is_whole else value
        else:
            out.lost.append(f"option {name}={value!r:.80} has no place in a schedule")
    return out


def _route(left: dict[str, Any], out: Mapped) -> None:
    """Messages go to queues by name; a routing key through the default exchange is one."""
    routes = {name: left.pop(name) for name in _ROUTES if name in left}
    queue = left.pop("queue", None)
    if queue is None and set(routes) == {"routing_key"}:
        queue = routes["routing_key"]
        out.notes.append(f"routing_key {queue!r} is written as the queue of that name")
    if queue is not None:
        out.options["queue"] = queue
    elsewhere = [f"{name} {value!r}" for name, value in routes.items() if value not in ("", queue, "direct")]
    if elsewhere:
        out.lost.append(
            f"{', '.join(elsewhere)}: messages go to queues by name, write options: {{queue: ...}}"
        )


def _expiry(expires: Any, out: Mapped) -> None:
    if isinstance(expires, str):
        moment = datetime.fromisoformat(expires)
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        out.end_us = int((moment - _EPOCH).total_seconds()) * 1_000_000
        out.notes.append("end: Celery's expires was this moment, after which no run starts")
    elif expires is not None:
        out.options["expires"] = int(expires) if float(expires).is_integer() else expires
        out.notes.append("expires counts from the fire time, in Celery from the sending")
