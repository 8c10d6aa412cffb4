"""Schema: the JSON Schema of schedules files, for editors.

PURE. It is made on each call from vocabulary.py (which keys there are) and key_form.py (what may stand below them), in draft-07,
which yaml-language-server knows. A schema sees less than `backbeat check`: it knows no variables, no names and no dates.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from . import key_form
from .definition import NAME_LIMIT
from .key_form import CALENDAR, DEFINED, Form, Rows, ref
from .vocabulary import (
    CHORD,
    EXCEPT,
    FILE,
    OPTION,
    PART,
    PART_WHEN,
    PING,
    SCHEDULE,
    SOLAR,
    STEP,
    WEBHOOK,
    WHAT,
    WHEN,
    Level,
)

DRAFT = "http://json-schema.org/draft-07/schema#"


def schedules_schema() -> dict[str, Any]:
    """The schema as JSON data."""
    root = _level(FILE, key_form.FILE_ROWS)
    for key in ("calendars", "workflows", "schedules"):
        named = root["properties"][key]["anyOf"][0]
        named["propertyNames"] = {"minLength": 1, "maxLength": NAME_LIMIT}
    return {
        "$schema": DRAFT,
        "title": "backbeat schedules",
        "description": "What backbeat's beat sends and when.",
        **root,
        "patternProperties": {"^x-": {}},
        "definitions": {
            **DEFINED,
            "calendar": CALENDAR,
            "schedule": _without_two(_level(SCHEDULE, key_form.SCHEDULE_ROWS), WHAT, WHEN),
            "step": _without_two(_level(STEP, key_form.STEP_ROWS), WHAT),
            "steps": {"type": "array", "items": ref("step"), "minItems": 1},
            "chord": {**_level(CHORD, key_form.CHORD_ROWS), "required": [*CHORD.keys]},
            "options": _level(OPTION, key_form.OPTION_ROWS),
            "part": _without_two(_level(PART, key_form.PART_ROWS), PART_WHEN),
            "webhook": {**_level(WEBHOOK, key_form.WEBHOOK_ROWS), "required": ["url"]},
            "ping": _level(PING, key_form.PING_ROWS),
            "solar": {**_level(SOLAR, key_form.SOLAR_ROWS), "required": [*SOLAR.keys]},
            "window": _without_two(_level(EXCEPT, key_form.WINDOW_ROWS), ("cron", "from", "calendar")),
        },
    }


def _level(level: Level, rows: Rows) -> Form:
    """A mapping with exactly the keys of `level`. Each may be null: that means "not set"."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: _property(*rows[key]) for key in level.keys},
    }


def _property(description: str, form: Form) -> Form:
    return {"description": description, "anyOf": [{**form}, {"type": "null"}]}


def _without_two(form: Form, *groups: tuple[str, ...]) -> Form:
    """The form, where no two keys of a group are set."""
    is_set = {"not": {"type": "null"}}
    pairs = [pair for group in groups for pair in combinations(group, 2)]
    both = [{"required": [*pair], "properties": dict.fromkeys(pair, is_set)} for pair in pairs]
    return {**form, "not": {"anyOf": both}}
