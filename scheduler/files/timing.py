"""Timing: when a schedule fires, read from every, cron, at, rrule, solar or any.

PURE. What fires is decided in schedule.py; this finds the values, gives them the schedule's zone, and puts what schedule.py
refuses at the place of the value. Blackouts (`except:`) are read in blackout.py, local times in local_time.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ..errors import ScheduleError
from ..schedule import (
    AnyOf,
    Clocked,
    Crontab,
    DayMatch,
    Dst,
    Interval,
    MonthCount,
    Months,
    RRule,
    Schedule,
    Solar,
    every_word,
    parse_every,
)
from ..zone import zone_named
from .advice import two_days
from .local_time import local_text, local_time_us
from .node import Mapping, Node, Pair, Scalar, Sequence
from .problem import Fault
from .step import only_one
from .value import DURATIONS, choice, count, duration, mapping, number, schedule_fault, sequence, text, texts
from .vocabulary import PART, PART_WHEN, SOLAR, WHEN, WHEN_DETAILS, check_keys

CRON_LIMIT = 1_000  # characters; the longest sensible expression names every minute
RRULE_LIMIT = 1_000
MOST_PARTS = 100
FIELDS = {
    5: "five fields: minute hour day month weekday",
    6: "six fields: second minute hour day month weekday",
    7: "seven fields: second minute hour day month weekday year",
}
_INHERITED = {*WHEN_DETAILS, "start"}  # the last for DTSTART
_DEFAULT_ANCHOR = "1970-01-01T00:00:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The keys of a schedule, or of one part of `any:`, with its zone and the name that `H` is hashed over."""

    keys: Mapping
    zone: str
    name: str
    warnings: list[Fault]

    def local_us(self, node: Node, key: str) -> int:
        return local_time_us(node, key, self.zone, self.warnings)


def read_zone(node: Node) -> str:
    """The name of a time zone that exists. Raises Fault E150."""
    name = text(node, "timezone", limit=100)
    try:
        zone_named(name)
    except ScheduleError as error:
        raise schedule_fault(node, "E150", error) from error
    return name


def read_when(timing: Timing) -> Schedule:
    """The schedule that exactly one of every, cron, at, rrule, solar and any describes. Raises Fault."""
    kind = only_one(timing.keys, WHEN)
    if kind is None:
        raise Fault(
            timing.keys.place, "E130", "says what to run but not when", help="add every:, cron: or at:"
        )
    return _READERS[kind](timing.keys.pairs[kind].value, timing)


def read_crontab(node: Node, expression: str, timing: Timing) -> Crontab:
    """One cron expression, by the details that stand beside it. Raises Fault at `node`."""
    keys = timing.keys
    day_match, fields = keys.get("day_match"), _fields(keys)
    if len(expression) > CRON_LIMIT:
        message = f"an expression of {len(expression):,} characters is not a crontab"
        raise Fault(node.place, "E140", message, help=FIELDS[fields])
    try:
        crontab = Crontab(
            expression=expression,
            timezone=timing.zone,
            dst=_dst(keys),
            day_match=DayMatch.ANY if day_match is None else choice(day_match, "day_match", DayMatch),
            fields=fields,
            hash_key=timing.name,
        )
    except ScheduleError as error:
        raise schedule_fault(node, _cron_code(expression, fields, error), error) from error
    if day_match is None:
        timing.warnings.extend(two_days(node, expression, fields))
    return crontab


def expressions(node: Node) -> list[tuple[Node, str]]:
    """One cron expression or a list of them, each with its node."""
    for item in node.items if isinstance(node, Sequence) else (node,):
        if isinstance(item, Scalar) and isinstance(item.value, int | float):
            fields = "cron needs five fields (minute hour day month weekday)"
            raise Fault(
                item.place, "E141", f"{item.text} is a number; {fields}", help='write `cron: "0 3 * * *"`'
            )
    return [(item, expression.strip()) for item, expression in texts(node, "cron")]


def parts(timing: Timing) -> Iterator[Timing]:
    """The parts of `any:`, each with its own keys over the details of the whole; nothing without one. Raises Fault."""
    node = timing.keys.get("any")
    if node is None:
        return
    items = sequence(node, "any", help="write each part as `- cron: …`").items
    if not 1 <= len(items) <= MOST_PARTS:
        raise Fault(node.place, "E112", f"any must have from 1 to {MOST_PARTS} parts, found {len(items)}")
    inherited = {key: pair for key, pair in timing.keys.pairs.items() if key in _INHERITED}
    for position, item in enumerate(items, start=1):
        try:
            yield _part(mapping(item, "a part", help='write `- {cron: "0 3 * * *"}`'), inherited, timing)
        except Fault as fault:
            raise fault.inside(f"any, part {position}") from fault


def _part(own: Mapping, inherited: dict[str, Pair], timing: Timing) -> Timing:
    check_keys(own, PART)
    if only_one(own, PART_WHEN) is None:
        raise Fault(own.place, "E130", "does not say when", help="add every:, cron: or at:")
    zone = own.get("timezone")
    return replace(
        timing,
        keys=Mapping(own.place, inherited | own.pairs),
        zone=timing.zone if zone is None else read_zone(zone),
    )


def _every(node: Node, timing: Timing) -> Schedule:
    anchor = timing.keys.get("anchor")
    months = _months(node)
    try:
        if months is not None:
            start = _DEFAULT_ANCHOR if anchor is None else local_text(anchor, "anchor", timing.zone)
            return Months(months=months, anchor=start, timezone=timing.zone, dst=_dst(timing.keys))
        every = duration(node, "every")
        if not every:
            raise Fault(node.place, "E160", "every must be longer than 0", help=DURATIONS)
        return Interval(every=every, anchor_us=0 if anchor is None else timing.local_us(anchor, "anchor"))
    except ScheduleError as error:
        raise schedule_fault(node, "E160", error) from error


def _months(node: Node) -> int | None:
    """The calendar months of 1mo, 1y or 1y6mo; None for everything else."""
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return None
    try:
        length = parse_every(node.value)
    except ScheduleError:
        return None  # whoever reads it as a duration says what is wrong
    return length.months if isinstance(length, MonthCount) else None


def _crontabs(node: Node, timing: Timing) -> Schedule:
    found = [_cron(item, expression, timing) for item, expression in expressions(node)]
    return found[0] if len(found) == 1 else AnyOf(schedules=tuple(found))


def _cron(node: Node, expression: str, timing: Timing) -> Schedule:
    if not expression.lower().startswith("@every"):
        return read_crontab(node, expression, timing)
    try:
        every = every_word(expression[:CRON_LIMIT])
        if every is not None:
            return Interval(every=every)
    except ScheduleError as error:
        raise schedule_fault(node, "E160", error) from error
    return read_crontab(node, expression, timing)


def _times(node: Node, timing: Timing) -> Schedule:
    times = [timing.local_us(item, "at") for item, _ in texts(node, "at")]
    return Clocked(times_us=tuple(sorted(set(times))))


def _rrule(node: Node, timing: Timing) -> Schedule:
    """RFC 5545's DTSTART is the anchor; else start; else 1970."""
    keys = timing.keys
    first = keys.get("anchor") or keys.get("start")
    try:
        return RRule(
            rule=text(node, "rrule", RRULE_LIMIT),
            start=_DEFAULT_ANCHOR if first is None else local_text(first, "start", timing.zone),
            timezone=timing.zone,
            dst=_dst(keys),
        )
    except ScheduleError as error:
        code = "E182" if "never fires" in error.message else "E162"
        raise schedule_fault(node, code, error) from error


def _solar(node: Node, _: Timing) -> Schedule:
    keys = mapping(node, "solar", help="write `solar: {event: sunset, lat: 52.5, lon: 13.4}`")
    check_keys(keys, SOLAR)
    missing = [key for key in SOLAR.keys if keys.get(key) is None]
    if missing:
        raise Fault(keys.place, "E132", f"solar has no {missing[0]}", help=f"add {missing[0]}:")
    lat, lon = keys.pairs["lat"].value, keys.pairs["lon"].value
    try:
        return Solar(
            event=text(keys.pairs["event"].value, "event", 100),
            latitude=number(lat, "lat", -90, 90),
            longitude=number(lon, "lon", -180, 180),
        )
    except ScheduleError as error:
        raise schedule_fault(keys.pairs["event"].value, "E163", error) from error


def _any(_: Node, timing: Timing) -> Schedule:
    found: list[Schedule] = []
    for position, part in enumerate(parts(timing), start=1):
        try:
            found.append(read_when(part))
        except Fault as fault:
            raise fault.inside(f"any, part {position}") from fault
    return found[0] if len(found) == 1 else AnyOf(schedules=tuple(found))


_READERS: dict[str, Callable[[Node, Timing], Schedule]] = {
    "every": _every,
    "cron": _crontabs,
    "at": _times,
    "rrule": _rrule,
    "solar": _solar,
    "any": _any,
}


def _dst(keys: Mapping) -> Dst:
    node = keys.get("dst")
    return Dst.ONCE if node is None else choice(node, "dst", Dst)


def _fields(keys: Mapping) -> int:
    node = keys.get("cron_fields")
    return min(FIELDS) if node is None else count(node, "cron_fields", min(FIELDS), max(FIELDS))


def _cron_code(expression: str, fields: int, error: ScheduleError) -> str:
    if "never fires" in error.message:
        return "E182"
    return "E141" if not expression.startswith("@") and len(expression.split()) != fields else "E140"
