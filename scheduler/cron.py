"""Cron: five fields or an @word, checked and compiled once into what the search needs.

PURE. It knows text and the calendar; it knows no zone and no clock change (clock_change.py does). Called by Crontab only.

The dialect is Debian cron's, made strict: lists, ranges, steps, names, 7 for Sunday. What is not defined is refused and never
read as something else. The fields are read here and not taken from croniter: its `expand` reads `12-12` as a star, `?` as a star,
`59/15` as something else in each version, and a look at its opinion costs 180 us a line. It is the second opinion of the tests.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import lru_cache

from .cron_field import DAYS, FIELDS, parse_field
from .errors import ScheduleError

WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_LONGEST_WAIT_YEARS = 41
"""29 February on a given weekday comes every 28 years, every 40 over a century that is no leap year."""
_MONTH_DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LONGEST_TEXT = 1_000


class DayMatch(Enum):
    """How day of month and weekday are joined when both are restricted."""

    ANY = "any"
    """Debian cron's rule: either is enough, unless one of the fields begins with `*` (so `0 0 */2 * 1` needs both)."""
    ALL = "all"
    """Both, always: `0 0 13 * 5` is Friday the 13th."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A compiled expression. Local times are seconds since 1970-01-01 00:00 of the wall clock; days are those divided by 86,400."""

    seconds: tuple[int, ...]
    """The times of a day, in seconds since midnight, sorted."""
    days: tuple[int, ...]
    """Bit d is day d of a month; one mask for each weekday (0 = Sunday) on which the month's first day can fall."""
    months: tuple[int, ...]
    every_day: bool
    wild: bool
    """Minute or hour begins with `*`: the entry follows elapsed time, not the wall clock (see clock_change.py)."""

    def next_local(self, local: int) -> int | None:
        """First matching local time strictly later than `local`; None if there is none within the longest possible wait."""
        day, second = divmod(local, _DAY)
        seconds = self.seconds
        found: int | None
        if self.every_day:
            if second < seconds[-1]:
                return day * _DAY + seconds[bisect_right(seconds, second)]
            return (day + 1) * _DAY + seconds[0]
        found = self._day_from(day if second < seconds[-1] else day + 1)
        if found is None:
            return None
        if found != day:
            return found * _DAY + seconds[0]
        return day * _DAY + seconds[bisect_right(seconds, second)]

    def _day_from(self, day: int) -> int | None:
        """First matching day that is `day` or later."""
        today = date.fromordinal(day + _EPOCH)
        year, month, day_of_month = today.year, today.month, today.day
        if month in self.months:
            first = day - day_of_month + 1
            bits = self.days[(first + 4) % 7] & _length_mask(year, month)
            bits = bits >> day_of_month << day_of_month
            if bits:
                return first + (bits & -bits).bit_length() - 2
        for later in range(year, min(year + _LONGEST_WAIT_YEARS, 9_999) + 1):
            for candidate in self.months:
                if later == year and candidate <= month:
                    continue
                first = date(later, candidate, 1).toordinal() - _EPOCH
                bits = self.days[(first + 4) % 7] & _length_mask(later, candidate)
                if bits:
                    return first + (bits & -bits).bit_length() - 2
        return None


def parse_cron(expression: str, day_match: DayMatch) -> Cron:
    """The compiled form of an expression; the same object for the same text.

    Raises: ScheduleError that names the field, the text and what to write instead; also for a date that never comes (31 February).
    """
    if not isinstance(expression, str) or len(expression) > _LONGEST_TEXT:
        raise ScheduleError(
            f'"{str(expression)[:40]}" is not a cron expression', help='text such as "30 2 * * *"'
        )
    return _compile(expression, day_match)


@lru_cache(maxsize=65_536)
def _compile(expression: str, day_match: DayMatch) -> Cron:
    fields = _split(expression)
    parsed = [parse_field(kind, text, expression) for kind, text in zip(FIELDS, fields, strict=True)]
    minutes, hours, dates, months, weekdays = parsed
    starred = fields[DAYS[0]].startswith("*") or fields[DAYS[1]].startswith("*")
    cron = Cron(
        seconds=_times(minutes, hours),
        days=_day_masks(
            dates, frozenset(day % 7 for day in weekdays), both=starred or day_match is DayMatch.ALL
        ),
        months=tuple(sorted(months)),
        every_day=fields[2:] == ("*", "*", "*"),
        wild=fields[0].startswith("*") or fields[1].startswith("*"),
    )
    # From 1970 the search reaches 2011: each date of the calendar comes on each weekday before that.
    if cron.next_local(0) is None:
        raise ScheduleError(
            f'"{expression}" never fires: no month it names has such a day',
            help="for the last day of a month write the first day of the next one",
        )
    return cron


def _split(expression: str) -> tuple[str, ...]:
    """The five fields of an expression, with an @word replaced by what it stands for."""
    if expression.strip().startswith("@"):
        word = expression.strip().lower()
        if word not in WORDS:
            every = " or `every: 5m` for a fixed distance" if word.startswith("@every") else ""
            raise ScheduleError(
                f'"{expression}" is not a known word', help=f"one of {' '.join(WORDS)}{every}"
            )
        expression = WORDS[word]
    fields = tuple(expression.split())
    if len(fields) != len(FIELDS):
        noun = "field" if len(fields) == 1 else "fields"
        raise ScheduleError(
            f'"{expression}" has {len(fields)} {noun}, expected 5 (minute hour day month weekday)',
            help=_five_of(fields),
        )
    return fields


def _five_of(fields: tuple[str, ...]) -> str:
    """What to write instead of another number of fields: Quartz and Spring write seconds first, and a year last."""
    if len(fields) < len(FIELDS):
        return 'write * for a field that does not matter: "30 2 * * *" is every day at 02:30'
    shorter = tuple("*" if field == "?" else field for field in fields[1 : len(FIELDS) + 1])
    text = " ".join(shorter)
    year = fields[len(FIELDS) + 1 :]
    if fields[0] not in ("0", "00") or year not in ((), ("*",), ("?",)):
        return "cron has no seconds and no year; for seconds write `every: 10s`"
    try:
        parse_cron(text, DayMatch.ANY)
    except ScheduleError:
        return "cron has no seconds and no year"
    return f'the seconds field was dropped: "{text}"'


@lru_cache(maxsize=4_096)
def _times(minutes: frozenset[int], hours: frozenset[int]) -> tuple[int, ...]:
    """Shared by expressions that differ in their days only: "every minute" is a tuple of 1,440."""
    return tuple(hour * 3_600 + minute * 60 for hour in sorted(hours) for minute in sorted(minutes))


def _day_masks(dates: frozenset[int], weekdays: frozenset[int], *, both: bool) -> tuple[int, ...]:
    date_bits = sum(1 << day for day in dates)
    masks = []
    for first in range(7):
        weekday_bits = sum(1 << day for day in range(1, 32) if (first + day - 1) % 7 in weekdays)
        masks.append(date_bits & weekday_bits if both else date_bits | weekday_bits)
    return tuple(masks)


def _length_mask(year: int, month: int) -> int:
    days = _MONTH_DAYS[month]
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):  # noqa: PLR2004 - the calendar
        days = 29
    return (2 << days) - 2
