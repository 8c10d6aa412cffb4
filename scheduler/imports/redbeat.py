"""RedBeat: the entries that RedBeat keeps in Redis, read from its hashes; RedBeat need not be installed.

Each entry is a hash with the fields `definition` and `meta`, both JSON; whether it is in RedBeat's index does not matter, as entries that
are switched off are not. Nothing is written. Crontabs have no zone of their own there: `zone` is the app's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from ...canvas.errors import Unavailable
from ..celery_schedule import Translated, crontab, interval
from ..entry import Entry
from ..errors import ScheduleError
from ..schedule import Interval, RRule
from ..zone import zone_named
from .celery_option import mapped
from .haul import ROUTES, Draft, Haul, Sorting, Unmapped, signature

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_RULES = ("bysetpos", "bymonth", "bymonthday", "byyearday", "byweekno", "byhour", "byminute", "bysecond")


def read_redbeat(url: str, prefix: str, zone: str) -> Haul:
    """All entries under a key prefix. Raises ScheduleError when there are none, Unavailable when Redis does not answer."""
    from ...canvas.redis_client import RedisError, open_redis

    client = open_redis(url)
    sorting = Sorting()
    try:
        for key, definition, meta in _hashes(client, prefix):
            _sort(key.removeprefix(prefix), definition, meta, zone, sorting)
    except RedisError as error:
        raise Unavailable(f"Redis cannot be read: {error}") from error
    finally:
        client.close()
    if not sorting.drafts and not sorting.unmapped:
        raise ScheduleError(
            f"there is no RedBeat entry under the prefix {prefix!r}", help="--prefix, as redbeat_key_prefix"
        )
    sorting.drafts.sort(key=lambda draft: draft.entry.name)
    sorting.unmapped.sort(key=lambda each: each.name)
    return sorting.haul(
        f"RedBeat, keys {prefix}*",
        (f"crontabs are in {zone}, which --timezone says: RedBeat takes them in the app's timezone", ROUTES),
    )


def _hashes(client: Any, prefix: str) -> Iterator[tuple[str, str, str]]:
    escaped = "".join(f"\\{char}" if char in "*?[]\\" else char for char in prefix)
    for key in client.scan_iter(match=f"{escaped}*", count=1_000, _type="hash"):
        definition, meta = client.hmget(key, "definition", "meta")
        if definition is not None:
            yield _text(key), _text(definition), _text(meta or "{}")


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _sort(key: str, definition: str, meta: str, zone: str, sorting: Sorting) -> None:
    try:
        sorting.drafts.append(_draft(key, json.loads(definition), json.loads(meta), zone))
    except (ScheduleError, ValueError, TypeError, KeyError) as error:
        reason = f"its definition has no {error}" if isinstance(error, KeyError) else str(error)
        sorting.unmapped.append(Unmapped(name=key, reason=reason, text=definition[:200]))


def _draft(key: str, definition: Mapping[str, Any], meta: Mapping[str, Any], zone: str) -> Draft:
    when = _when(definition["schedule"], zone)
    notes, lost = list(when.notes), []
    given = dict(definition.get("options") or {})
    if (moment_us := _moment_us(given.get("expires"))) is not None:
        given["expires"] = (_EPOCH + moment_us * _MICROSECOND).isoformat()
    options = mapped(given)
    schedule, last_us = when.when, _moment_us(meta.get("last_run_at"))
    if isinstance(schedule, Interval) and last_us is not None:
        schedule = replace(schedule, anchor_us=last_us)
        notes = [
            "anchor: its last run, from which the interval goes on; here lateness and restarts do not move it"
        ]
    entry = Entry(
        name=str(definition.get("name") or key),
        when=schedule,
        what=signature(
            str(definition["task"]),
            list(definition.get("args") or []),
            dict(definition.get("kwargs") or {}),
            options.options,
        ),
        enabled=bool(definition.get("enabled", True)),
        end_us=options.end_us,
    )
    lost += options.lost
    return Draft(entry=entry, notes=(*notes, *options.notes), lost=tuple(lost))


def _when(found: Mapping[str, Any], zone: str) -> Translated:
    match found:
        case {"__type__": "interval", "every": every}:
            return interval(every, zone=zone, relative=bool(found.get("relative")))
        case {"__type__": "crontab"}:
            fields = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
            return crontab({name: found.get(name, "*") for name in fields}, zone=zone)
        case {"__type__": "rrule", "freq": freq}:
            return _rrule(found, freq, zone)
        case _:
            raise ScheduleError(f"{str(found)[:80]} is a schedule class of its own")


def _rrule(found: Mapping[str, Any], freq: Any, zone: str) -> Translated:
    """An rrule of dateutil, as the text of iCalendar; RedBeat keeps its beginning with the offset of that day."""
    name = str(freq).upper() if isinstance(freq, str) else _FREQUENCIES[int(freq)]
    if found.get("byeaster") is not None:
        raise ScheduleError("byeaster is not part of RRULE")
    parts = [f"FREQ={name}", f"INTERVAL={int(found.get('interval') or 1)}"]
    parts += [
        f"{rule.upper()}={_numbers(found[rule])}" for rule in _RULES if found.get(rule) not in (None, [])
    ]
    if found.get("byweekday") not in (None, []):
        parts.append(f"BYDAY={_days(found['byweekday'])}")
    if found.get("wkst") is not None:
        parts.append(f"WKST={_days(found['wkst'])}")
    if found.get("count") is not None:
        parts.append(f"COUNT={int(found['count'])}")
    if found.get("dtstart") is None:
        raise ScheduleError("its rrule has no dtstart")
    start = datetime.fromtimestamp(float(found["dtstart"]), UTC)
    if found.get("until") is not None:
        parts.append(f"UNTIL={datetime.fromtimestamp(float(found['until']), UTC):%Y%m%dT%H%M%SZ}")
    own = _zone_of(start, timedelta(minutes=float(found.get("dtstart_tz") or 0)), zone)
    local = start.astimezone(zone_named(own)).replace(tzinfo=None)
    notes = (
        ()
        if own == "UTC"
        else (f"rrule: in {own} through clock changes; RedBeat keeps the offset that its beginning had",)
    )
    return Translated(when=RRule(rule=";".join(parts), start=local.isoformat(), timezone=own), notes=notes)


def _zone_of(start: datetime, offset: timedelta, zone: str) -> str:
    if not offset:
        return "UTC"
    if start.astimezone(zone_named(zone)).utcoffset() == offset:
        return zone
    hours, rest = divmod(offset, timedelta(hours=1))
    if rest:
        raise ScheduleError(
            f"its rrule begins at an offset of {offset}, which {zone} does not have then", help="--timezone"
        )
    return f"Etc/GMT{-hours:+d}"


def _numbers(value: Any) -> str:
    return ",".join(str(int(each)) for each in (value if isinstance(value, list) else [value]))


def _days(value: Any) -> str:
    days = value if isinstance(value, list) else [value]
    return ",".join(_WEEKDAYS[int(each["wkday"] if isinstance(each, Mapping) else each)] for each in days)


def _moment_us(found: Any) -> int | None:
    """A moment as RedBeat writes it, in microseconds since 1970 UTC."""
    if not isinstance(found, Mapping) or found.get("__type__") != "datetime":
        return None
    parts = [
        int(found.get(part, 0))
        for part in ("year", "month", "day", "hour", "minute", "second", "microsecond")
    ]
    zone = found.get("timezone", "UTC")
    tz = zone_named(zone) if isinstance(zone, str) else timezone(timedelta(seconds=float(zone)))
    return (datetime(*parts, tzinfo=tz) - _EPOCH) // _MICROSECOND  # type: ignore[arg-type, misc]  # seven integers are a moment
