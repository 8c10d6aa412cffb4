"""Timing: when a schedule fires, read from every, cron or at, and the local times of start and end.

PURE. What fires is decided in schedule.py; this finds the values, gives them the schedule's zone, and puts what schedule.py
refuses at the place of the value.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ..errors import ScheduleError
from ..schedule import AnyOf, Clocked, Crontab, DayMatch, Dst, Interval, Schedule
from ..zone import zone_named
from .node import Mapping, Node, Scalar, Sequence
from .problem import Fault, quoted
from .step import only_one
from .value import DURATIONS, choice, duration, schedule_fault, text, texts
from .vocabulary import WHEN

CRON_LIMIT = 1_000  # characters; the longest sensible expression names every minute
FIELDS = 5
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCAL_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:[Zz]|[+-]\d\d:\d\d)?)?\Z", re.ASCII
)


def read_zone(node: Node) -> str:
    """The name of a time zone that exists. Raises Fault E150."""
    name = text(node, "timezone", limit=100)
    try:
        zone_named(name)
    except ScheduleError as error:
        raise schedule_fault(node, "E150", error) from error
    return name


def read_when(keys: Mapping, zone: str, warnings: list[Fault]) -> Schedule:
    """The schedule that exactly one of every, cron and at describes. Raises Fault."""
    kind = only_one(keys, WHEN)
    if kind is None:
        raise Fault(keys.place, "E130", "says what to run but not when", help="add every:, cron: or at:")
    node = keys.pairs[kind].value
    if kind == "every":
        return _interval(node)
    if kind == "at":
        times = [local_time_us(item, "at", zone, warnings) for item, _ in texts(node, "at")]
        return Clocked(times_us=tuple(sorted(set(times))))
    return _crontabs(node, keys, zone, warnings)


def local_time_us(node: Node, key: str, zone: str, warnings: list[Fault]) -> int:
    """A local time as microseconds since 1970 UTC; a time with an offset or Z is taken as it is.

    A time that a clock change leaves out becomes the first instant after the gap, with warning W192; of a time that
    comes twice the first is meant. Raises Fault E161.
    """
    written = text(node, key, limit=100)
    if not _LOCAL_TIME.match(written):
        raise Fault(
            node.place, "E161", f"{quoted(written)} is not a local time", help="write 2026-12-01T03:00"
        )
    try:
        local = datetime.fromisoformat(written.upper())
        if local.tzinfo is not None:
            return _microseconds(local)
        instant, is_gap = _first_instant(local, zone_named(zone))
    except (ValueError, OverflowError) as error:
        raise Fault(
            node.place, "E161", f"{quoted(written)} is not a time of the calendar: {error}"
        ) from error
    if is_gap:
        message = f"{written} does not exist in {zone}: the clock jumps over it"
        warnings.append(Fault(node.place, "W192", message, help="the first instant after the jump is taken"))
    return instant


def _interval(node: Node) -> Interval:
    every = duration(node, "every")
    if every <= timedelta(0):
        raise Fault(node.place, "E160", "every must be longer than 0", help=DURATIONS)
    try:
        return Interval(every=every)
    except ScheduleError as error:
        raise schedule_fault(node, "E160", error) from error


def _crontabs(node: Node, keys: Mapping, zone: str, warnings: list[Fault]) -> Schedule:
    day_match, dst = keys.get("day_match"), keys.get("dst")
    match = DayMatch.ANY if day_match is None else choice(day_match, "day_match", DayMatch)
    rule = Dst.ONCE if dst is None else choice(dst, "dst", Dst)
    crontabs: list[Schedule] = []
    for item, expression in _expressions(node):
        try:
            crontabs.append(Crontab(expression=expression, timezone=zone, dst=rule, day_match=match))
        except ScheduleError as error:
            raise schedule_fault(item, _cron_code(expression, error), error) from error
        if day_match is None:
            _warn_of_two_days(item, expression, warnings)
    return crontabs[0] if len(crontabs) == 1 else AnyOf(schedules=tuple(crontabs))


def _expressions(node: Node) -> list[tuple[Node, str]]:
    for item in node.items if isinstance(node, Sequence) else (node,):
        if isinstance(item, Scalar) and isinstance(item.value, int | float):
            fields = "cron needs five fields (minute hour day month weekday)"
            raise Fault(
                item.place, "E141", f"{item.text} is a number; {fields}", help='write `cron: "0 3 * * *"`'
            )
    found = [(item, expression.strip()) for item, expression in texts(node, "cron")]
    for item, expression in found:
        if len(expression) > CRON_LIMIT:
            message = f"an expression of {len(expression):,} characters is not a crontab"
            raise Fault(item.place, "E140", message, help="five fields: minute hour day month weekday")
    return found


def _cron_code(expression: str, error: ScheduleError) -> str:
    if "never fires" in error.message:
        return "E182"
    is_word = expression.startswith("@")
    return "E141" if not is_word and len(expression.split()) != FIELDS else "E140"


def _warn_of_two_days(node: Node, expression: str, warnings: list[Fault]) -> None:
    fields = expression.split()
    if len(fields) == FIELDS and fields[2][0] != "*" and fields[4][0] != "*":
        message = f"runs on days {fields[2]} of the month and also on every weekday {fields[4]}"
        hint = "for days that are both add `day_match: all`; for this meaning add `day_match: any`"
        warnings.append(Fault(node.place, "W142", message, help=hint))


def _first_instant(local: datetime, zone: ZoneInfo) -> tuple[int, bool]:
    before = local.replace(tzinfo=zone, fold=0)
    instant = before.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None, fold=0) == local:
        return _microseconds(instant), False
    low, high = _microseconds(local.replace(tzinfo=zone, fold=1)), _microseconds(instant)
    offset = _at(low).astimezone(zone).utcoffset()
    while high - low > 1:  # low lies before the change, high at it or after it
        middle = (low + high) // 2
        if _at(middle).astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high, True


def _at(instant_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=instant_us)


def _microseconds(instant: datetime) -> int:
    return (instant.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)
