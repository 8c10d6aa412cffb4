"""Duration: lengths of time as people write them in files and on command lines.

PURE. Called by the loaders and by the command line, through schedule.py.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta

from .errors import ScheduleError

_TEXT = re.compile(
    r"(?=[0-9])(?:(?P<weeks>[0-9]+)w)?(?:(?P<days>[0-9]+)d)?(?:(?P<hours>[0-9]+)h)?(?:(?P<minutes>[0-9]+)m)?"
    r"(?:(?P<seconds>[0-9]+)s)?(?:(?P<milliseconds>[0-9]+)ms)?"
)
_MONTHS = re.compile(r"(?=[0-9])(?:(?P<years>[0-9]{1,5})y)?(?:(?P<months>[0-9]{1,5})mo)?")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_LONGEST_TEXT = 40


def parse_duration(text: str | float) -> timedelta:
    """A length of time: "30s", "5m", "1h30m", "2h", "1d", "1w", "250ms"; a plain number is seconds. More than zero.

    Units go from the longest to the shortest, each at most once.
    Raises: ScheduleError for anything else, also for yes and no, which YAML 1.1 makes of words.
    """
    try:
        length = _length(text)
    except (OverflowError, ValueError):  # more than timedelta or float holds
        length = None
    if length is None:
        raise ScheduleError(f'"{str(text)[:_LONGEST_TEXT]}" is not a duration', help="30s, 5m, 1h30m, 2h, 1d")
    if length <= timedelta(0):
        raise ScheduleError(
            f'"{str(text)[:_LONGEST_TEXT]}" is not more than zero', help="30s, 5m, 1h30m, 2h, 1d"
        )
    return length


@dataclass(frozen=True, slots=True)
class MonthCount:
    """A distance of calendar months: Months makes a schedule of it."""

    months: int


def parse_every(text: str | float) -> timedelta | MonthCount:
    """What `every:` says: a duration, or calendar months: "1mo", "3mo", "1y", "2y6mo".

    Raises: ScheduleError as `parse_duration`, for no months, and for months mixed with days and less, which have no common length.
    """
    written = text.strip() if isinstance(text, str) else ""
    match = _MONTHS.fullmatch(written)
    if match is None:
        if _MONTHS.match(written) and re.match("[0-9]+(?:y|mo)", written):
            raise ScheduleError(
                f'"{written[:_LONGEST_TEXT]}" is not a number of calendar months', help="1mo, 3mo, 1y, 2y6mo"
            )
        return parse_duration(text)
    months = 12 * int(match["years"] or 0) + int(match["months"] or 0)
    if not months:
        raise ScheduleError(f'"{written}" is not more than zero', help="1mo, 3mo, 1y, 2y6mo")
    return MonthCount(months)


def _length(text: object) -> timedelta | None:
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        return None
    if isinstance(text, (int, float)):
        return timedelta(seconds=text) if math.isfinite(text) else None
    text = text.strip()
    if len(text) > _LONGEST_TEXT:
        return None
    if _NUMBER.fullmatch(text):
        return timedelta(seconds=float(text))
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    return timedelta(**{unit: int(count) for unit, count in match.groupdict(default="0").items()})
