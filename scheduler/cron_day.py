"""CronDay: the days that only a month can name (L, L-3, LW, 15W, 5L, 5#3), and all days of a field as bit masks.

PURE. Called by cron_field.py, which reads the words, and by cron.py, which searches the masks. The meaning is Quartz's, but weekdays
are numbered as cron numbers them (0 and 7 are Sunday), so 5L is the last Friday. A day that a month does not have does not come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

SHORTEST_MONTH = 28
_MONTH_LENGTHS = (28, 29, 30, 31)
_WEEK = 7
EVERY_DAY = tuple((2 << length) - 2 for length in _MONTH_LENGTHS for _ in range(_WEEK))
"""The masks that hold every day."""

_DATE = re.compile(r"(?i)L(?:-(?P<before>[0-9]{1,9}))?(?P<workday>W)?|(?P<near>[0-9]{1,9})W")
_WEEKDAY = re.compile(r"(?i)(?P<day>[0-9]{1,9}|[a-z]{3})(?:(?P<last>L)|#(?P<nth>[0-9]{1,9}))")


@dataclass(frozen=True, slots=True)
class LastDay:
    """L, L-n: `before` days before the last one; LW, L-nW: the workday nearest to that."""

    before: int
    workday: bool


@dataclass(frozen=True, slots=True)
class NearestWorkday:
    """nW: the Monday to Friday that is nearest to a day, inside the month."""

    day: int


@dataclass(frozen=True, slots=True)
class NthWeekday:
    """5#3: the third Friday of a month; 5L, with `nth` 0: the last one."""

    weekday: int
    nth: int


DayWord = LastDay | NearestWorkday | NthWeekday


def date_word(text: str) -> DayWord | None:
    """What a text such as L, L-3, LW or 15W means in the day field; None if it is none, or its number is out of range."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    if match["near"] is not None:
        day = int(match["near"])
        return NearestWorkday(day) if 1 <= day <= _MONTH_LENGTHS[-1] else None
    before = int(match["before"] or 0)
    if before >= _MONTH_LENGTHS[-1] or (match["before"] is not None and before == 0):
        return None
    return LastDay(before, match["workday"] is not None)


def weekday_word(text: str, names: dict[str, int]) -> DayWord | None:
    """What a text such as 5L, friL or 5#3 means in the weekday field; None if it is none, or a number is out of range."""
    match = _WEEKDAY.fullmatch(text)
    if match is None:
        return None
    day = int(match["day"]) if match["day"].isdigit() else names.get(match["day"].lower(), -1)
    nth = 0 if match["last"] else int(match["nth"])
    if not 0 <= day <= _WEEK or (not match["last"] and not 1 <= nth <= 5):  # noqa: PLR2004 - a month has at most five of each
        return None
    return NthWeekday(day % _WEEK, nth)


@lru_cache(maxsize=4_096)
def day_masks(
    dates: frozenset[int], weekdays: frozenset[int], words: frozenset[DayWord], *, both: bool
) -> tuple[int, ...]:
    """The days of each of the 28 kinds of month, at (length - SHORTEST_MONTH) * 7 + weekday of the first; bit d is day d.

    `both`: a day must satisfy both fields, else either is enough. `words` belong to the fields whose kind they are of.
    """
    date_bits = sum(1 << day for day in dates)
    masks = []
    for length in _MONTH_LENGTHS:
        for first in range(_WEEK):
            of_dates, of_weekdays = date_bits, 0
            for day in range(1, length + 1):
                if (first + day - 1) % _WEEK in weekdays:
                    of_weekdays |= 1 << day
            for word in words:
                if isinstance(word, NthWeekday):
                    of_weekdays |= _bit(word, first, length)
                else:
                    of_dates |= _bit(word, first, length)
            mask = of_dates & of_weekdays if both else of_dates | of_weekdays
            masks.append(mask & ((2 << length) - 2))
    return tuple(masks)


def _bit(word: DayWord, first: int, length: int) -> int:
    match word:
        case LastDay(before, workday):
            day = length - before
            day = _workday(day, first, length) if workday and day >= 1 else day
        case NearestWorkday(day):
            day = _workday(day, first, length) if day <= length else 0
        case NthWeekday(weekday, 0):
            day = length - (first + length - 1 - weekday) % _WEEK
        case NthWeekday(weekday, nth):
            day = 1 + (weekday - first) % _WEEK + (nth - 1) * _WEEK
            day = day if day <= length else 0
    return 1 << day if day >= 1 else 0


def _workday(day: int, first: int, length: int) -> int:
    match (first + day - 1) % _WEEK:
        case 6:  # Saturday: the Friday before it, in this month
            return day - 1 if day > 1 else day + 2
        case 0:  # Sunday: the Monday after it, in this month
            return day + 1 if day < length else day - 2
        case _:
            return day
