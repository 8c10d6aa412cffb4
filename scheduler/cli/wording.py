"""Wording: one key of an entry, as the store keeps it, in words for people: `when` as a sentence, `_us` as a time or a length.

`plan`, `schedules overrides` and `audit` print it; with --json they give what the store keeps.
"""

from __future__ import annotations

import json
from datetime import timedelta, tzinfo
from typing import Any

from .table import clock

_INSTANTS = frozenset({"at_us", "due_us", "end_us", "from_us", "skip_us", "start_us", "to_us", "until_us"})


def worded(key: str, value: Any, zone: tzinfo) -> tuple[str, str]:
    """A key and its value as they are shown; instants in `zone`. What it does not know is JSON."""
    from ..errors import ScheduleError
    from ..schedule_spec import schedule_from_spec
    from ..words import in_words, length_in_words

    name = key.removesuffix("_us")
    if key == "when":
        try:
            return key, in_words(schedule_from_spec(value))
        except (ScheduleError, KeyError, TypeError, ValueError):  # of a newer version: still to be read
            return key, json.dumps(value)
    if key in _INSTANTS and isinstance(value, list):
        return name, ", ".join(_instant(each, zone) for each in value)
    if key in _INSTANTS and isinstance(value, int):
        return name, _instant(value, zone)
    if key.endswith("_us") and isinstance(value, int):
        return name, length_in_words(timedelta(microseconds=value)) if value > 0 else str(value)
    return key, value if isinstance(value, str) else json.dumps(value)


def changed(before: dict[str, Any], after: dict[str, Any], zone: tzinfo) -> list[str]:
    """A line for each key that is in either side: what it was, and what it is now."""
    lines = []
    for key in sorted(before.keys() | after.keys()):
        name, _ = worded(key, after.get(key, before.get(key)), zone)
        was, is_now = (worded(key, side[key], zone)[1] if key in side else "-" for side in (before, after))
        if was == is_now:  # words leave out what a clock change does, and where a period begins
            was, is_now = (json.dumps(side.get(key)) for side in (before, after))
        lines.append(f"    {name}: {was} -> {is_now}")
    return lines


def _instant(time_us: int, zone: tzinfo) -> str:
    from ..view import moment

    return clock(moment(time_us), zone)
