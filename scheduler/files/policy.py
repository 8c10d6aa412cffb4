"""Policy: the keys of a schedule that are values by themselves, each with its reader and its field of an Entry.

PURE. What and when are read elsewhere (step.py, timing.py, blackout.py); here are limits, delays and what to do about fire times
that were missed, overlap or come late.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..entry import CatchUp, Delivery, Overlap
from .node import Mapping, Node, Scalar
from .problem import Fault, quoted
from .value import DURATIONS, choice, count, duration_us, flag, number, text, texts

MOST_CATCH_UPS = 1_000_000
MOST_RUNS = 1_000_000_000
MOST_A_SECOND = 1_000_000
RATE = r"\d+(?:\.\d+)?/[smh]"
_RATE = re.compile(RATE + r"\Z", re.ASCII)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}
_LEAST_RATE = 1 / 86_400


@dataclass(frozen=True, slots=True)
class Policy:
    """How one key is read, and which field of an Entry it gives."""

    field: str
    read: Callable[[Node, str], Any]


def read_policies(keys: Mapping) -> dict[str, Any]:
    """The fields of an Entry that the policies of a schedule give. Raises Fault."""
    found = {}
    for key, policy in POLICIES.items():
        node = keys.get(key)
        if node is not None:
            found[policy.field] = policy.read(node, key)
    return found


def _longer_than_zero_us(node: Node, key: str) -> int:
    length = duration_us(node, key)
    if length == 0:
        raise Fault(node.place, "E160", f"{key} must be longer than 0", help=DURATIONS)
    return length


def _spread(node: Node, key: str) -> int | None:
    """A duration; true is one period, which an Entry calls None."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return None if node.value else 0
    return duration_us(node, key)


def _rate(node: Node, key: str) -> float:
    """Sendings a second: a number, or 10/s, 600/m, 100/h."""
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return number(node, key, _LEAST_RATE, MOST_A_SECOND)
    if not _RATE.match(node.value) or len(node.value) > len("1000000.000000/s"):
        raise Fault(
            node.place, "E112", f"{quoted(node.value)} is not a rate", help="write 10/s, 600/m or 100/h"
        )
    amount, _, unit = node.value.partition("/")
    rate = float(amount) / _UNIT_SECONDS[unit]
    if not _LEAST_RATE <= rate <= MOST_A_SECOND:
        raise Fault(node.place, "E112", f"{key} must be from one a day to {MOST_A_SECOND:,} a second")
    return rate


def _tags(node: Node, key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(written for _, written in texts(node, key)))


POLICIES: dict[str, Policy] = {
    "max_runs": Policy("max_runs", lambda node, key: count(node, key, 1, MOST_RUNS)),
    "jitter": Policy("jitter_us", duration_us),
    "spread": Policy("spread_us", _spread),
    "catch_up": Policy("catch_up", lambda node, key: choice(node, key, CatchUp)),
    "catch_up_window": Policy("catch_up_window_us", duration_us),
    "catch_up_limit": Policy("catch_up_limit", lambda node, key: count(node, key, 1, MOST_CATCH_UPS)),
    "catch_up_rate": Policy("catch_up_rate", _rate),
    "grace": Policy("grace_us", duration_us),
    "overlap": Policy("overlap", lambda node, key: choice(node, key, Overlap)),
    "overlap_timeout": Policy("overlap_timeout_us", _longer_than_zero_us),
    "delivery": Policy("delivery", lambda node, key: choice(node, key, Delivery)),
    "late_after": Policy("late_after_us", _longer_than_zero_us),
    "enabled": Policy("enabled", flag),
    "description": Policy("description", text),
    "tags": Policy("tags", _tags),
    "owner": Policy("team", text),
}
