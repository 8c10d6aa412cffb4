"""Definition: an entry as the keys of a schedules file; the inverse of files/definition.py.

PURE. It writes what importers make: tasks with callbacks, and the schedules that other schedulers have. What it cannot write it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ...canvas.node import HOOKS
from ...canvas.webhook.ending_urls import OPTIONS as ENDING_URLS
from ..entry import EVENTS, CatchUp, Delivery, Entry, Overlap
from ..errors import ScheduleError
from ..schedule import AnyOf, Clocked, Crontab, DayMatch, Dst, Interval, RRule, Schedule, Solar

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = (
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
)
_WAYS = ("options", "on_success", "on_error")
"""Keys that stand behind those that say when."""
_WORDS = {"catch_up": CatchUp.LATEST, "overlap": Overlap.ALLOW, "delivery": Delivery.AT_LEAST_ONCE}
_UNSAID = frozenset({*HOOKS, *ENDING_URLS, "failure_policy"})
"""Options of a canvas that no key of a file gives."""
_LENGTHS = {
    "catch_up_window": None,
    "grace": 60_000_000,
    "jitter": 0,
    "late_after": None,
    "overlap_timeout": 3_600_000_000,
}
_NUMBERS = {"max_runs": None, "catch_up_limit": 1000, "catch_up_rate": None}


def definition_of(entry: Entry, file_zone: str) -> dict[str, Any]:
    """The keys of one schedule, in the order in which people read them. Raises ScheduleError for what a file cannot say."""
    options = dict(entry.what.get("options") or {})
    urls = {name: options.pop(name) for name in ENDING_URLS if name in options}
    try:
        what = _what({**entry.what, "options": options})
    except (LookupError, TypeError, AttributeError) as error:
        raise ScheduleError("its canvas is damaged: a part of it is missing") from error
    ways = {key: what.pop(key) for key in _WAYS if key in what}
    keys = {**what, **_when(entry.when, file_zone), **ways}
    for key, moment_us in (("start", entry.start_us), ("end", entry.end_us)):
        if moment_us is not None:
            keys[key] = moment_text(moment_us)
    keys |= {**_policies(entry), **_telling(entry, urls)}
    if not entry.enabled:
        keys["enabled"] = False
    keys |= {
        key: value
        for key, value in (
            ("description", entry.description),
            ("tags", list(entry.tags)),
            ("owner", entry.team),
        )
        if value
    }
    return keys


def moment_text(moment_us: int) -> str:
    """An instant as the file has it, in UTC."""
    return (_EPOCH + timedelta(microseconds=moment_us)).replace(tzinfo=None).isoformat() + "Z"


def length_text(length_us: int) -> str | float:
    """A length of time: "1h30m", or seconds where no unit is small enough."""
    if length_us % 1_000:
        return length_us / 1_000_000
    for unit, unit_us in _UNITS:
        if length_us >= unit_us and length_us % unit_us == 0 and (unit != "w" or length_us == unit_us):
            return f"{length_us // unit_us}{unit}"
    parts = []
    for unit, unit_us in _UNITS[1:]:
        count, length_us = divmod(length_us, unit_us)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def _policies(entry: Entry) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for name, word in _WORDS.items():
        if getattr(entry, name) is not word:
            keys[name] = getattr(entry, name).value
    for name, usual in _LENGTHS.items():
        if (length_us := getattr(entry, f"{name}_us")) != usual:
            keys[name] = length_text(length_us)
    keys |= {name: getattr(entry, name) for name, usual in _NUMBERS.items() if getattr(entry, name) != usual}
    if entry.spread_us != 0:
        keys["spread"] = True if entry.spread_us is None else length_text(entry.spread_us)
    return keys


def _telling(entry: Entry, urls: Mapping[str, Any]) -> dict[str, Any]:
    """Who is told of it: what the entry says, and what its work does."""
    keys: dict[str, Any] = {}
    if entry.webhook_url:
        is_usual = entry.webhook_on == EVENTS
        full = {"url": entry.webhook_url, "on": list(entry.webhook_on)}
        keys["webhook"] = entry.webhook_url if is_usual else full
    if "on_done_url" in urls:
        keys["on_done_url"] = urls["on_done_url"]
    pings = ({"start": entry.ping_start} if entry.ping_start else {}) | (urls.get("ping") or {})
    return keys | ({"ping": pings} if pings else {})


def _what(signature: Mapping[str, Any]) -> dict[str, Any]:
    kind = signature.get("subtask_type")
    options = dict(signature.get("options") or {})
    links = {
        key: options.pop(name, None) for key, name in (("on_success", "link"), ("on_error", "link_error"))
    }
    kwargs = dict(signature.get("kwargs") or {})
    unsaid = sorted(_UNSAID.intersection(options))
    if unsaid:
        raise ScheduleError(f"a schedules file has no {unsaid[0]}")
    keys: dict[str, Any]
    match kind:
        case None:
            keys = {"task": signature["task"]}
            keys |= {
                key: value for key, value in (("args", signature.get("args")), ("kwargs", kwargs)) if value
            }
        case "chain" | "group":
            keys = {kind: [_what(step) for step in kwargs["tasks"]]}
        case "chord":
            header = kwargs["header"]
            if isinstance(header, Mapping) and header.get("options"):
                raise ScheduleError("a schedules file has no options of a chord's header")
            members = header["kwargs"]["tasks"] if isinstance(header, Mapping) else header
            keys = {"chord": {"header": [_what(step) for step in members], "body": _what(kwargs["body"])}}
        case _:
            raise ScheduleError(f"a {kind} cannot be written in a schedules file")
    if options:
        keys["options"] = options
    if signature.get("immutable"):
        keys["immutable"] = True
    for key, link in links.items():
        steps = [_what(each) for each in ([link] if isinstance(link, Mapping) else link or ())]
        if steps:
            keys[key] = steps[0] if len(steps) == 1 else steps
    return keys


def _when(when: Schedule, file_zone: str) -> dict[str, Any]:
    match when:
        case Interval():
            every = {"every": length_text(when.every // _MICROSECOND)}
            return every | ({"anchor": moment_text(when.anchor_us)} if when.anchor_us else {})
        case Clocked():
            moments = [moment_text(each) for each in when.times_us]
            return {"at": moments[0] if len(moments) == 1 else moments}
        case Crontab():
            details = _details(when.timezone, when.dst, when.day_match, file_zone)
            fields = {} if when.fields == 5 else {"cron_fields": when.fields}  # noqa: PLR2004 - cron's own number
            return {"cron": when.expression, **fields, **details}
        case RRule():
            return {
                "rrule": when.rule,
                "anchor": when.start,
                **_details(when.timezone, when.dst, DayMatch.ANY, file_zone),
            }
        case Solar():
            return {"solar": {"event": when.event, "lat": when.latitude, "lon": when.longitude}}
        case AnyOf():
            return {"any": [_when(each, file_zone) for each in when.schedules]}
        case _:
            raise ScheduleError(f"a {type(when).__name__} cannot be written in a schedules file")


def _details(zone: str, dst: Dst, day_match: DayMatch, file_zone: str) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if day_match is DayMatch.ALL:
        keys["day_match"] = "all"
    if zone != file_zone:
        keys["timezone"] = zone
    if dst is not Dst.ONCE:
        keys["dst"] = dst.value
    return keys
