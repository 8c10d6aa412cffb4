"""Vocabulary: which keys exist on which level of a schedules file, and what to say about the others.

PURE. A key that this version does not serve is refused, never ignored: a schedule that was written with `overlap: skip` must
not run as if it had not been.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from difflib import get_close_matches

from .node import Mapping, Node, Pair, Scalar, is_null
from .problem import Fault, quoted

OPTIONS = (
    "queue",
    "exchange",
    "routing_key",
    "priority",
    "expires",
    "countdown",
    "time_limit",
    "soft_time_limit",
    "headers",
    "serializer",
    "compression",
    "ignore_result",
    "retry",
)
COMPOSITES = ("chain", "group", "chord")
WHAT = ("task", *COMPOSITES, "workflow")
WHEN = ("every", "cron", "at", "rrule", "solar", "any")
PART_WHEN = tuple(kind for kind in WHEN if kind != "any")
WHEN_DETAILS = ("timezone", "day_match", "dst", "cron_fields", "anchor")
POLICIES = (
    *WHEN_DETAILS,
    "except",
    "on_except",
    "start",
    "end",
    "max_runs",
    "jitter",
    "spread",
    "catch_up",
    "catch_up_window",
    "catch_up_limit",
    "catch_up_rate",
    "grace",
    "overlap",
    "overlap_timeout",
    "delivery",
    "late_after",
    "enabled",
    "description",
    "tags",
    "owner",
)
CALLBACKS = ("on_success", "on_error")
TELLING = ("webhook", "on_done_url", "ping")

# Keys of the specification that are not served yet, with the values that mean the same as leaving them out.
_NOT_YET: dict[str, tuple[object, ...]] = {"django_task": ()}


@dataclass(frozen=True, slots=True)
class Level:
    """The keys of one kind of mapping; `aliases` are what people write instead of them."""

    noun: str
    keys: tuple[str, ...]
    aliases: MappingOf[str, str] = field(default_factory=dict)
    not_yet: MappingOf[str, tuple[object, ...]] = field(default_factory=dict)
    takes_options: bool = False


_STEP_ALIASES = {
    "class": "task",
    "job": "task",
    "func": "task",
    "function": "task",
    "callable": "task",
    "name": "task",
    "arg": "args",
    "arguments": "args",
    "params": "kwargs",
    "parameters": "kwargs",
    "kwarg": "kwargs",
    "opts": "options",
    "steps": "chain",
    "parallel": "group",
    "link": "on_success",
    "link_error": "on_error",
    "on_failure": "on_error",
    "errback": "on_error",
}
_WHEN_ALIASES = {
    "interval": "every",
    "period": "every",
    "crontab": "cron",
    "schedule": "cron",
    "clocked": "at",
    "date": "at",
    "eta": "at",
    "run_at": "at",
    "when": "at",
    "tz": "timezone",
    "zone": "timezone",
    "time_zone": "timezone",
    "timeZone": "timezone",
}
_SCHEDULE_ALIASES = {
    **_STEP_ALIASES,
    **_WHEN_ALIASES,
    "begin": "start",
    "from": "start",
    "start_date": "start",
    "start_time": "start",
    "until": "end",
    "end_date": "end",
    "stop": "end",
    "catchup": "catch_up",
    "coalesce": "catch_up",
    "misfire_grace_time": "grace",
    "startingDeadlineSeconds": "grace",
    "active": "enabled",
    "disabled": "enabled",
    "paused": "enabled",
    "status": "enabled",
    "suspend": "enabled",
    "concurrencyPolicy": "overlap",
    "max_instances": "overlap",
    "blackout": "except",
    "exclude": "except",
    "splay": "spread",
    "limit": "max_runs",
    "count": "max_runs",
    "repeat": "max_runs",
    "offset": "anchor",
    "rule": "rrule",
    "comment": "description",
    "desc": "description",
    "note": "description",
    "tag": "tags",
    "labels": "tags",
    "team": "owner",
    "webhooks": "webhook",
    "webhook_url": "webhook",
    "on_done": "on_done_url",
    "callback_url": "on_done_url",
    "healthcheck": "ping",
    "dead_man": "ping",
    "ping_url": "ping",
}
FILE = Level(
    "top-level key",
    ("version", "serial", "timezone", "include", "calendars", "defaults", "workflows", "schedules"),
    {
        "tz": "timezone",
        "zone": "timezone",
        "includes": "include",
        "import": "include",
        "default": "defaults",
        "workflow": "workflows",
        "schedule": "schedules",
        "beat_schedule": "schedules",
        "jobs": "schedules",
        "entries": "schedules",
        "tasks": "schedules",
        "crons": "schedules",
        "calendar": "calendars",
        "holidays": "calendars",
        "revision": "serial",
    },
)
SCHEDULE = Level(
    "key",
    (*WHAT, *WHEN, "args", "kwargs", "options", *POLICIES, *CALLBACKS, *TELLING),
    _SCHEDULE_ALIASES,
    _NOT_YET,
    takes_options=True,
)
DEFAULTS = Level("key", SCHEDULE.keys, _SCHEDULE_ALIASES, _NOT_YET, takes_options=True)
STEP = Level(
    "key",
    (*WHAT, "args", "kwargs", "options", "immutable", *CALLBACKS),
    _STEP_ALIASES,
    takes_options=True,
)
PART = Level("key of any", (*PART_WHEN, *WHEN_DETAILS), _WHEN_ALIASES)
EXCEPT = Level(
    "key of except",
    ("cron", "from", "to", "calendar", "timezone", "day_match", "cron_fields"),
    {
        "crontab": "cron",
        "start": "from",
        "begin": "from",
        "end": "to",
        "until": "to",
        "calendars": "calendar",
        "tz": "timezone",
    },
)
SOLAR = Level(
    "key of solar",
    ("event", "lat", "lon"),
    {"latitude": "lat", "longitude": "lon", "lng": "lon", "long": "lon"},
)
WEBHOOK = Level("key of webhook", ("url", "on"), {"to": "url", "events": "on", "event": "on"})
PING = Level(
    "key of ping",
    ("start", "done", "fail"),
    {"begin": "start", "sent": "start", "success": "done", "end": "done", "failure": "fail", "error": "fail"},
)
CHORD = Level("key of chord", ("header", "body"), {"callback": "body", "group": "header", "tasks": "header"})
OPTION = Level(
    "option",
    OPTIONS,
    {
        "delay": "countdown",
        "timeout": "time_limit",
        "ttl": "expires",
        "expire": "expires",
        "key": "routing_key",
        "header": "headers",
    },
)


def check_keys(mapping: Mapping, level: Level) -> None:
    """Raise Fault for the first key that this level does not have, or that this version does not serve."""
    for name, pair in mapping.pairs.items():
        if name not in level.keys:
            _check_other(name, pair, level)


def _check_other(name: str, pair: Pair, level: Level) -> None:
    if name in level.not_yet:
        _refuse_not_yet(name, pair, level.not_yet[name])
    elif level is FILE and name.startswith("x-"):
        return  # a place for anchors, as in compose files
    elif name in OPTIONS and level.takes_options:
        value = _shown(pair.value, "…")
        raise Fault(
            pair.key.place,
            "E121",
            f"{quoted(name)} belongs under options",
            help=f"`options: {{{name}: {value}}}`",
        )
    else:
        raise Fault(
            pair.key.place,
            "E120",
            f"unknown {level.noun} {quoted(name)}",
            help=_hint(name, pair.value, level),
        )


def _refuse_not_yet(name: str, pair: Pair, harmless: tuple[object, ...]) -> None:
    value = pair.value
    if is_null(value) or (isinstance(value, Scalar) and _is_one_of(value.value, harmless)):
        return
    help_text = f"remove it; only `{name}: {_words(harmless[0])}` is served" if harmless else "remove it"
    raise Fault(
        pair.key.place, "E122", f"{quoted(name)} is not supported yet by this version", help=help_text
    )


def _is_one_of(value: object, allowed: tuple[object, ...]) -> bool:
    return any(type(value) is type(each) and value == each for each in allowed)


def _words(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _hint(name: str, value: Node, level: Level) -> str:
    right = level.aliases.get(name)
    if right == "cron" and isinstance(value, Scalar) and isinstance(value.value, (int, float)):
        right = "every"  # Celery's `schedule: 30` is a number of seconds
    if right is not None:
        shown = (
            ""
            if right in {"enabled", "grace", "overlap", "at", "catch_up", "except", "max_runs"}
            else _shown(value, "")
        )
        if right == "cron" and shown:
            shown = f'"{shown}"'  # a star needs quotes
        return f"write `{right}: {shown}`" if shown else f"write `{right}:`"
    near = get_close_matches(name[:60], level.keys, n=1, cutoff=0.6)
    if near:
        return f"did you mean {quoted(near[0])}?"
    return f"known are {', '.join(level.keys)}"


def _shown(value: Node, other: str) -> str:
    if isinstance(value, Scalar) and value.value is not None:
        return value.text if len(value.text) <= 40 else other  # noqa: PLR2004 - what fits on a line of help
    return other
