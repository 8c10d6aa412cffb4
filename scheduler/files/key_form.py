"""KeyForm: what may stand below each key of a schedules file, as JSON Schema, with the sentence that an editor shows.

PURE data, one row a key, grouped as vocabulary.py groups them; schema.py puts the rows together. Closed sets, limits and patterns are
taken from the readers, so that the two cannot say different things.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from ...canvas.webhook.url import LONGEST
from ..entry import EVENTS, CatchUp, Delivery, Overlap
from ..schedule import DayMatch, Dst, OnExcept, SolarEvent
from .definition import NAME_LIMIT
from .local_time import LOCAL_TIME, TIME_OF_DAY
from .option import HIGHEST_PRIORITY
from .policy import MOST_CATCH_UPS, MOST_RUNS, RATE
from .scalar import MOST
from .step import TASK_NAME_LIMIT
from .timing import CRON_LIMIT, FIELDS, MOST_PARTS, RRULE_LIMIT
from .value import TEXT_LIMIT

Form = dict[str, Any]
Rows = Mapping[str, tuple[str, Form]]
"""A key's description and its form."""

VARIABLE: Form = {"type": "string", "pattern": r"\$\{"}
DURATION = r"^\s*(?=[0-9])([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?\s*$|^\s*[0-9]+(\.[0-9]+)?\s*$"
MONTHS = r"^\s*(?=[0-9])([0-9]+y)?([0-9]+mo)?\s*$"


def ref(name: str) -> Form:
    """What is defined once."""
    return {"$ref": f"#/definitions/{name}"}


def one_or_list(form: Form) -> Form:
    return {"anyOf": [form, {"type": "array", "items": form, "minItems": 1}]}


def text(limit: int = TEXT_LIMIT) -> Form:
    return {"type": "string", "minLength": 1, "maxLength": limit, "pattern": r"\S"}


def pattern(*patterns: str) -> Form:
    return {"anyOf": [*({"type": "string", "pattern": each} for each in patterns), VARIABLE]}


def whole(least: int, most: int) -> Form:
    return {"type": "integer", "minimum": least, "maximum": most}


def words(kind: type[Enum]) -> Form:
    return {"anyOf": [{"enum": [member.value for member in kind]}, VARIABLE]}


def mapping() -> Form:
    return {"type": "object"}


FLAG: Form = {"type": "boolean"}
CRON: Form = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": CRON_LIMIT, "pattern": r"^\s*[@\d*?HhLl]"},
        VARIABLE,
    ]
}
URL: Form = {"anyOf": [{"type": "string", "pattern": r"^https?://[!-~]+$", "maxLength": LONGEST}, VARIABLE]}
LOCAL = pattern(f"^({LOCAL_TIME})$")
DEFINED: Mapping[str, Form] = {
    "duration": {"anyOf": [{"type": "number", "minimum": 0}, *pattern(DURATION)["anyOf"]]},
    "local_time": LOCAL,
    "timezone": {**text(100), "examples": ["UTC", "Europe/Berlin", "America/New_York"]},
    "cron": CRON,
}

WHEN_ROWS: Rows = {
    "every": (
        "A period: 30s, 5m, 1h30m, 1d; calendar months as 1mo, 1y.",
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                *pattern(DURATION, MONTHS)["anyOf"],
            ]
        },
    ),
    "cron": (
        'One or several cron expressions or @words, in quotes: "30 2 * * *", "@daily".',
        one_or_list(ref("cron")),
    ),
    "at": ("One or several local times: 2026-12-01T03:00.", one_or_list(ref("local_time"))),
    "rrule": (
        "An iCalendar rule: FREQ=WEEKLY;BYDAY=MO,WE. It starts at anchor: or start:.",
        text(RRULE_LIMIT),
    ),
    "solar": ("An event of the sun at a place.", ref("solar")),
    "any": (
        "Several of these at once; a time that parts share counts once.",
        {"type": "array", "items": ref("part"), "minItems": 1, "maxItems": MOST_PARTS},
    ),
}
DETAIL_ROWS: Rows = {
    "timezone": ("The zone in which times of day are meant; an IANA name.", ref("timezone")),
    "day_match": (
        "How cron joins day of month and weekday: any (either is enough) or all (both, as Celery does).",
        words(DayMatch),
    ),
    "dst": ("What becomes of a time of day that a clock change skips or repeats.", words(Dst)),
    "cron_fields": (
        "Fields of a cron expression: 5, 6 with seconds in front, 7 with years at the end.",
        {"enum": [*FIELDS]},
    ),
    "anchor": ("A local time that the period, or the rule, is counted from.", ref("local_time")),
}
POLICY_ROWS: Rows = {
    **DETAIL_ROWS,
    "except": (
        "Windows in which nothing fires: cron times, a span, a part of each day, or a calendar.",
        one_or_list(ref("window")),
    ),
    "on_except": (
        "A fire time inside a window is skipped, or deferred to the window's end.",
        words(OnExcept),
    ),
    "start": ("No fire time before this local time.", ref("local_time")),
    "end": ("No fire time after this local time.", ref("local_time")),
    "max_runs": ("So many regular firings are ever sent.", whole(1, MOST_RUNS)),
    "jitter": ("Each sending is delayed by up to so long, differently each time.", ref("duration")),
    "spread": (
        "Each sending is delayed by the same part of this length, found by the name; true is one period.",
        {"anyOf": [FLAG, ref("duration")]},
    ),
    "catch_up": ("Which fire times older than grace are sent after a pause.", words(CatchUp)),
    "catch_up_window": ("Missed fire times older than this are only recorded.", ref("duration")),
    "catch_up_limit": ("More missed fire times than this are never sent.", whole(1, MOST_CATCH_UPS)),
    "catch_up_rate": (
        "Sendings of what is later than `grace` (at least a second), at most: a number a second, or 10/s, 600/m, 100/h.",
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, *pattern(f"^{RATE}$")["anyOf"]]},
    ),
    "grace": (
        "A fire time no older than this is always sent; with `catch_up: none` a second at least.",
        ref("duration"),
    ),
    "overlap": ("What becomes of a fire time while the run before it is not over.", words(Overlap)),
    "overlap_timeout": ("After so long a run counts as over, seen or not.", ref("duration")),
    "delivery": ("Whether a sending that may have arrived is repeated.", words(Delivery)),
    "late_after": ("Sent later than this is late: counted and told.", ref("duration")),
    "enabled": ("false: nothing fires, and nothing is caught up later.", FLAG),
    "description": ("What it is for.", text()),
    "tags": ("Words to find it by.", one_or_list(text())),
    "owner": ("Who looks after it: a person or a team.", text()),
}
TASK_ROWS: Rows = {
    "task": ("The name of a task.", text(TASK_NAME_LIMIT)),
    "chain": ("Steps one after the other, each gets the result of the one before.", ref("steps")),
    "group": ("Steps side by side.", ref("steps")),
    "chord": ("Steps side by side, then one with all their results.", ref("chord")),
    "args": ("Arguments of the task.", {"type": "array"}),
    "kwargs": ("Keyword arguments of the task.", mapping()),
    "options": ("How it is delivered; the names are those of apply_async.", ref("options")),
    "workflow": ("The name of one of the workflows.", text(NAME_LIMIT)),
    "on_success": ("A step that follows, with the result; or several.", one_or_list(ref("step"))),
    "on_error": ("A step that follows a failure, with its id; or several.", one_or_list(ref("step"))),
}
TELLING_ROWS: Rows = {
    "webhook": (
        "Who is told, signed, that it was sent late, missed or failed to be sent: a URL, or {url, on}.",
        {"anyOf": [URL, ref("webhook")]},
    ),
    "on_done_url": ("Who is told, signed, how each run ended: a URL. Workers do it.", URL),
    "ping": (
        "What is asked for when it was sent, has succeeded, has failed: a URL (and /start, /fail behind it), or {start, done, fail}.",
        {"anyOf": [URL, ref("ping")]},
    ),
}
WEBHOOK_ROWS: Rows = {
    "url": ("Where it is posted to.", URL),
    "on": ("Of what: one or several.", one_or_list({"enum": [*EVENTS]})),
}
PING_ROWS: Rows = {
    "start": ("Asked for when it was sent.", URL),
    "done": ("Asked for when the run has succeeded.", URL),
    "fail": ("Asked for when the run has failed.", URL),
}
SCHEDULE_ROWS: Rows = {**WHEN_ROWS, **POLICY_ROWS, **TASK_ROWS, **TELLING_ROWS}
STEP_ROWS: Rows = {
    **TASK_ROWS,
    "immutable": ("true: it does not get the result of the step before it.", FLAG),
}
OPTION_ROWS: Rows = {
    "queue": ("The queue.", text(255)),
    "exchange": ("The exchange.", text(255)),
    "routing_key": ("The routing key.", text(255)),
    "priority": ("The priority of the message.", whole(0, HIGHEST_PRIORITY)),
    "expires": ("Not run later than so long after the fire time.", ref("duration")),
    "countdown": ("Not run earlier than so long after it is sent.", ref("duration")),
    "time_limit": ("The run is ended after so long.", ref("duration")),
    "soft_time_limit": ("The run is told to end after so long.", ref("duration")),
    "headers": ("More headers of the message.", mapping()),
    "serializer": ("How arguments are written.", text(255)),
    "compression": ("How the message is compressed.", text(255)),
    "ignore_result": ("true: no result is kept.", FLAG),
    "retry": ("false: sending is not tried again.", FLAG),
}
PART_ROWS: Rows = {**{key: row for key, row in WHEN_ROWS.items() if key != "any"}, **DETAIL_ROWS}
WINDOW_ROWS: Rows = {
    "cron": ("Each time that this expression names is out.", one_or_list(ref("cron"))),
    "from": (
        "The first instant of a span, or a time of day.",
        pattern(f"^({LOCAL_TIME})$", f"^{TIME_OF_DAY}$"),
    ),
    "to": (
        "The end of a span, or a time of day; not itself out.",
        pattern(f"^({LOCAL_TIME})$", f"^{TIME_OF_DAY}$"),
    ),
    "calendar": ("The name of one of the calendars; each of its days is out.", text(NAME_LIMIT)),
    **{key: DETAIL_ROWS[key] for key in ("timezone", "day_match", "cron_fields")},
}
SOLAR_ROWS: Rows = {
    "event": ("What of the sun.", words(SolarEvent)),
    "lat": ("Latitude in degrees, north is positive.", {"type": "number", "minimum": -90, "maximum": 90}),
    "lon": ("Longitude in degrees, east is positive.", {"type": "number", "minimum": -180, "maximum": 180}),
}
CHORD_ROWS: Rows = {
    "header": ("Steps side by side.", ref("steps")),
    "body": ("The step that gets the list of their results.", ref("step")),
}
FILE_ROWS: Rows = {
    "version": ("The version of this format.", {"enum": [1, "1"]}),
    "serial": ("Orders versions of this file: a larger one is newer.", whole(0, MOST)),
    "timezone": ("The zone of all schedules that have none of their own.", ref("timezone")),
    "include": ("More files, as patterns relative to this one.", one_or_list(text())),
    "calendars": (
        "Named days, as lists of dates or .ics files.",
        {"type": "object", "additionalProperties": ref("calendar")},
    ),
    "defaults": ("Keys that every schedule has unless it has its own.", ref("schedule")),
    "workflows": (
        "Steps that schedules start by name.",
        {"type": "object", "additionalProperties": ref("step")},
    ),
    "schedules": (
        "What to run and when, by name.",
        {"type": "object", "additionalProperties": ref("schedule")},
    ),
}
CALENDAR: Form = {
    "anyOf": [
        {"type": "array", "items": pattern(r"^\d{4}-\d\d-\d\d$"), "minItems": 1},
        pattern(r"\.[iI][cC][sS]$"),
    ]
}
