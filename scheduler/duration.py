"""Duration: lengths of time as people write them in files and on command lines.

PURE. Called by the loaders and by the command line, through schedule.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from ..canvas.length import LONGEST_TEXT, length_of
from .errors import ScheduleError

_MONTHS = re.compile(r"(?=[0-9])(?:(?P<years>[0-9]{1,5})y)?(?:(?P<months>[0-9]{1,5})mo)?")


def parse_duration(text: str | float) -> timedelta:
    """A length of time: "30s", "5m", "1h30m", "2h", "1d", "1w", "250ms"; a plain number is seconds. More than zero.

    Units go from the longest to the shortest, each at most once.
    Raises: ScheduleError for anything else, also for yes and no, which YAML 1.1 makes of words.
    """
    try:
        length = length_of(text)
    except (OverflowError, ValueError):  # more than timedelta or float holds
        length = None
    if length is None:
        raise ScheduleError(f'"{str(text)[:LONGEST_TEXT]}" is not a duration', help="30s, 5m, 1h30m, 2h, 1d")
    if length <= timedelta(0):
        raise ScheduleError(
            f'"{str(text)[:LONGEST_TEXT]}" is not more than zero', help="30s, 5m, 1h30m, 2h, 1d"
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
                f'"{written[:LONGEST_TEXT]}" is not a number of calendar months', help="1mo, 3mo, 1y, 2y6mo"
            )
        return parse_duration(text)
    months = 12 * int(match["years"] or 0) + int(match["months"] or 0)
    if not months:
        raise ScheduleError(f'"{written}" is not more than zero', help="1mo, 3mo, 1y, 2y6mo")
    return MonthCount(months)
