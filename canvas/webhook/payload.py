"""Payload: what a webhook says, as the JSON text that is signed and sent. PURE."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..redaction import redacted

MOST_BYTES = 262_144
"""Of a payload: a result that makes it longer is left out."""


def done_payload(id: str, report: Mapping[str, Any], at: str) -> str:
    """Of the end of a task or canvas: `report` is what ending_report.py says of it, `at` when that was."""
    told = {"delivery": id, "event": "done", "at": at, **redacted(report)}
    text = _text(told)
    if len(text.encode()) <= MOST_BYTES:
        return text
    told |= {"result": None, "members": None, "left_out": ["result", "members"]}
    return _text(told)


def event_payload(id: str, event: str, at: str, facts: Mapping[str, Any]) -> str:
    """Of something that happened to a schedule."""
    return _text({"delivery": id, "event": event, "at": at, **facts})


def _text(told: Mapping[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    """What JSON has no form for, as a stranger can read it."""
    if isinstance(value, set | frozenset):
        return list(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
