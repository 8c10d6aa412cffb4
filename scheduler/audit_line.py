"""AuditLine: who did what to which entry, as the store keeps it: an operator's order, a reload, an override that ended.

PURE. The registry and the store write lines in the transaction of what they tell; `backbeat audit` shows them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .edit import Edit, EditKind, Edits, KeptEntry
from .entry import Owner

MOST_LINES = 1_000
"""Edits of one reload that have a line each in the audit; a larger one has a single line for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """Who did what to which entry."""

    at_us: int
    actor: str
    action: str
    target: str
    detail: Mapping[str, Any]


def edit_detail(before: KeptEntry | None, edit: Edit, reason: str, until_us: int | None) -> dict[str, Any]:
    """What the audit says about an edit: the revision, and the keys that are different with their values."""
    old = {} if before is None or before.removed else _spec(before)
    new = {} if edit.after.removed else _spec(edit.after)
    keys = sorted(
        key for key in old.keys() | new.keys() if key not in old or key not in new or old[key] != new[key]
    )
    return {
        "kind": edit.kind.value,
        "rev": edit.after.rev,
        "reason": reason,
        "until_us": until_us,
        "before": {key: old[key] for key in keys if key in old},
        "after": {key: new[key] for key in keys if key in new},
    }


def reload_lines(wish: Edits, known: Mapping[str, KeptEntry], owner: Owner, now_us: int) -> list[AuditLine]:
    """What the audit says about a reload of what a file or an app wants; nothing of entries that only stand elsewhere."""
    told = [edit for edit in wish.edits if edit.kind is not EditKind.MOVED]
    if len(told) > MOST_LINES:
        kinds = Counter(edit.kind.value for edit in told)
        return [AuditLine(at_us=now_us, actor=owner.value, action="reload", target="*", detail=dict(kinds))]
    return [
        AuditLine(
            at_us=now_us,
            actor=f"{owner.value} {edit.after.source}".rstrip(),
            action="reload",
            target=edit.after.name,
            detail=edit_detail(known.get(edit.after.name), edit, "", None),
        )
        for edit in told
    ]


def _spec(kept: KeptEntry) -> dict[str, Any]:
    try:
        spec: dict[str, Any] = json.loads(kept.spec)
    except ValueError:  # damaged
        return {}
    return spec
