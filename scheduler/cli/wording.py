"""Wording: one key of an entry, as the store keeps it, in words for people: `when` as a sentence, `what` as its tasks, `_us` as a
time or a length.

`plan`, `schedules overrides` and `audit` print it; with --json they give what the store keeps.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from datetime import timedelta, tzinfo
from typing import Any

from .table import clock

MOST_LINES = 50
"""Of what is different between two canvases."""
_INSTANTS = frozenset({"at_us", "due_us", "end_us", "from_us", "skip_us", "start_us", "to_us", "until_us"})


def worded(key: str, value: Any, zone: tzinfo) -> tuple[str, str]:
    """A key and its value as they are shown; instants in `zone`. What it does not know is JSON."""
    from ..errors import ScheduleError
    from ..schedule_spec import schedule_from_spec
    from ..words import in_words, length_in_words
    from ..work_words import work_text

    name = key.removesuffix("_us")
    if key == "what" and isinstance(value, dict):
        return key, work_text(value)
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
        if key == "what":
            lines += _work_changed(before.get(key), after.get(key))
            continue
        name, _ = worded(key, after.get(key, before.get(key)), zone)
        was, is_now = (worded(key, side[key], zone)[1] if key in side else "-" for side in (before, after))
        if was == is_now:  # words leave out what a clock change does, and where a period begins
            was, is_now = (json.dumps(side.get(key)) for side in (before, after))
        lines.append(f"    {name}: {was} -> {is_now}")
    return lines


def canvas_lines(what: Mapping[str, Any], head: str) -> list[str]:
    """The tasks of a canvas, a line each, behind `head`; nothing for one task, of which a definition says it all."""
    from ..entry import is_canvas
    from ..work_words import work_lines

    if not is_canvas(what):
        return []
    first, *rest = work_lines(what)
    return [f"{head}{first}", *(f"{' ' * len(head)}{line}" for line in rest)]


def _work_changed(before: Any, after: Any) -> list[str]:
    """What is sent, before and after; of canvases the lines that are different."""
    from ..work_words import work_lines, work_text

    if not isinstance(before, dict) or not isinstance(after, dict):
        was, is_now = (work_text(side) if isinstance(side, dict) else "-" for side in (before, after))
        return [f"    what: {was} -> {is_now}"]
    old, new = work_lines(before), work_lines(after)
    marked = list(difflib.unified_diff(old[1:], new[1:], n=0, lineterm=""))[2:]
    differing = [f"      {line[0]} {line[1:]}" for line in marked if not line.startswith("@@")]
    if len(differing) > MOST_LINES:
        differing[MOST_LINES:] = [f"      … and {len(differing) - MOST_LINES} more lines"]
    if old == new:  # words leave out what no version of ours writes
        return [f"    what: {json.dumps(before)} -> {json.dumps(after)}"]
    head = old[0] if old[0] == new[0] else f"{old[0]} -> {new[0]}"
    return [f"    what: {head}", *differing]


def _instant(time_us: int, zone: tzinfo) -> str:
    from ..view import moment

    return clock(moment(time_us), zone)
