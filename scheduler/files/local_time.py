"""Local time: date-times, dates and times of day as people write them, in the zone of a schedule.

PURE. YAML 1.2 keeps them as text; here they become instants, or a normal form of the text. A time that a clock change leaves
out becomes the first instant after the gap, with a warning; of a time that comes twice the first is meant.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ..zone import zone_named
from .node import Node
from .problem import Fault, quoted
from .value import text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL_TIME = (
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:[Zz]|[+-]\d\d:\d\d)?)?"  # the schema's too
)
TIME_OF_DAY = r"(?:[01]\d|2[0-3]):[0-5]\d"
_LOCAL_TIME = re.compile(LOCAL_TIME + r"\Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_TIME_OF_DAY = re.compile(TIME_OF_DAY + r"\Z", re.ASCII)
_HELP = "write 2026-12-01T03:00"


def local_time_us(node: Node, key: str, zone: str, warnings: list[Fault]) -> int:
    """A local time as microseconds since 1970 UTC; a time with an offset or Z is taken as it is.

    A time in a gap adds warning W192. Raises Fault E161.
    """
    local = _written(node, key)
    try:
        if local.tzinfo is not None:
            return _microseconds(local)
        instant, is_gap = _first_instant(local, zone_named(zone))
    except (ValueError, OverflowError) as error:
        raise _impossible(node, error) from error
    if is_gap:
        message = f"{text(node, key)} does not exist in {zone}: the clock jumps over it"
        warnings.append(Fault(node.place, "W192", message, help="the first instant after the jump is taken"))
    return instant


def local_text(node: Node, key: str, zone: str) -> str:
    """A local time in its normal form, 2026-12-01T03:00:00; one with an offset is turned into the zone's. Raises Fault E161."""
    local = _written(node, key)
    try:
        if local.tzinfo is not None:
            local = local.astimezone(zone_named(zone)).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise _impossible(node, error) from error
    return local.isoformat(timespec="seconds" if not local.microsecond else "auto")


def is_time_of_day(written: str) -> bool:
    """True for 00:00 to 23:59."""
    return _TIME_OF_DAY.match(written) is not None


def date_text(node: Node, key: str) -> str:
    """A date, 2026-12-25. Raises Fault E161."""
    written = text(node, key, limit=100)
    try:
        if _DATE.match(written):
            return datetime.fromisoformat(written).date().isoformat()
    except ValueError as error:
        raise _impossible(node, error) from error
    raise Fault(node.place, "E161", f"{quoted(written)} is not a date", help="write 2026-12-25")


def _written(node: Node, key: str) -> datetime:
    written = text(node, key, limit=100)
    if not _LOCAL_TIME.match(written):
        raise Fault(node.place, "E161", f"{quoted(written)} is not a local time", help=_HELP)
    try:
        return datetime.fromisoformat(written.upper())
    except ValueError as error:
        raise _impossible(node, error) from error


def _impossible(node: Node, error: Exception) -> Fault:
    written = text(node, "time", limit=100)
    return Fault(node.place, "E161", f"{quoted(written)} is not a time of the calendar: {error}")


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
