"""Override: what an operator laid over an entry that somebody else defines, or over his own for a while.

PURE data. The definition (of a file, of an app, of the store itself) stays beside it, so that a reload changes the definition
and keeps what lies on top, and taking an override off brings the definition back. At most one of each kind lies on an entry;
they are applied in the order of `OverrideKind`. edit.py makes the effective entry of both; the store keeps them as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class OverrideKind(Enum):
    """What an override is for; the value stands in the store."""

    CHANGE = "change"
    """Other values for some keys."""
    SKIP = "skip"
    """Fire times that are passed over."""
    PAUSE = "pause"
    """It does not fire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One of them. `changes` are keys of `Entry.to_spec` with their new values, each replacing the whole key.

    `until_us` is the instant at which the leader takes it off (None: somebody does); a fire time at that very instant is
    the definition's again.
    """

    kind: OverrideKind
    changes: Mapping[str, Any]
    actor: str
    at_us: int
    reason: str = ""
    until_us: int | None = None


def overrides_text(overrides: Iterable[Override]) -> str | None:
    """Overrides as the store keeps them; None for none."""
    known = [
        {
            "kind": each.kind.value,
            "changes": dict(each.changes),
            "actor": each.actor,
            "at_us": each.at_us,
            "reason": each.reason,
            "until_us": each.until_us,
        }
        for each in overrides
    ]
    return json.dumps(known, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if known else None


def parse_overrides(text: str | None) -> tuple[Override, ...]:
    """The inverse of `overrides_text`."""
    if not text:
        return ()
    return tuple(Override(**{**each, "kind": OverrideKind(each["kind"])}) for each in json.loads(text))


def laid(overrides: Iterable[Override], new: Override) -> tuple[Override, ...]:
    """These, with `new` in the place of the one of its kind."""
    order = list(OverrideKind)
    kept = [*(each for each in overrides if each.kind is not new.kind), new]
    return tuple(sorted(kept, key=lambda each: order.index(each.kind)))


def lifted(overrides: Iterable[Override], kind: OverrideKind) -> tuple[Override, ...]:
    """These, without the one of this kind."""
    return tuple(each for each in overrides if each.kind is not kind)


def override_of(overrides: Iterable[Override], kind: OverrideKind) -> Override | None:
    """The one of this kind, if it is there."""
    return next((each for each in overrides if each.kind is kind), None)


def first_end_us(overrides: Iterable[Override]) -> int | None:
    """When the first of them ends by itself."""
    return min((each.until_us for each in overrides if each.until_us is not None), default=None)
