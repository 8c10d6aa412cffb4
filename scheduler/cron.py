"""Cron: an expression of five to seven fields or an @word, checked and compiled once into what the search needs.

PURE. It knows text and the calendar; it knows no zone and no clock change (clock_change.py does). Called by crontab.py and blackout.py.

The dialect is Debian cron's with Quartz's and Jenkins' words (docs/cron.md), made strict: what is not defined is refused and never
read as something else. The fields are read here and not taken from croniter: its `expand` reads `12-12` as a star, and
`59/15` as something else in each version, and a look at its opinion costs 180 us a line. It is the second opinion of the tests.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import lru_cache

from .cron_day import EVERY_DAY, SHORTEST_MONTH, DayWord, day_masks
from .cron_field import (
    DAY,
    HOUR,
    LAYOUTS,
    MINUTE,
    MONTH,
    SECOND,
    WEEKDAY,
    YEAR,
    CronField,
    FieldText,
    parse_field,
)
from .cron_text import WORDS, split_cron
from .errors import ScheduleError

__all__ = ["WORDS", "Cron", "DayMatch", "LongCron", "parse_cron"]

_DAY = 86_400
_MINUTE = 60
_EPOCH = date(1970, 1, 1).toordinal()
_LONGEST_WAIT_YEARS = 41
"""29 February on a given weekday comes every 28 years, every 40 over a century that is no leap year."""
_MONTH_DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LAST_YEAR = 9_999
_LONGEST_TEXT = 1_000


class DayMatch(Enum):
    """How day of month and weekday are joined when both are restricted."""

    ANY = "any"
    """Debian cron's rule: either is enough, unless one of the fields begins with `*` (so `0 0 */2 * 1` needs both)."""
    ALL = "all"
    """Both, always: `0 0 13 * 5` is Friday the 13th."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A compiled expression of five fields.

    Local times are seconds since 1970-01-01 00:00 of the wall clock; days are those divided by 86,400.
    """

    times: tuple[int, ...]
    """The times of a day, in seconds since midnight, sorted."""
    days: tuple[int, ...]
    """The days of each kind of month, as cron_day.day_masks makes them."""
    months: tuple[int, ...]
    every_day: bool
    step: int
    """The distance in seconds of those that come in equal steps for ever ("* * * * *", "30 2 * * *"); 0 for others."""
    wild: bool
    """Minute or hour begins with `*`: the entry follows elapsed time, not the wall clock (see clock_change.py)."""

    def next_local(self, local: int) -> int | None:
        """First matching local time strictly later than `local`; None if there is none within the longest possible wait."""
        times = self.times
        if self.step:
            return local + self.step - (local - times[0]) % self.step
        second = local % _DAY
        if self.every_day:
            if second < times[-1]:
                return local - second + times[bisect_right(times, second)]
            return local - second + _DAY + times[0]
        day = local // _DAY
        found = self._day_from(day if second < times[-1] else day + 1)
        if found == day:
            return local - second + times[bisect_right(times, second)]
        return None if found is None else found * _DAY + times[0]

    def has_day(self, day: int) -> bool:
        """Whether it fires on a day at all."""
        return self.every_day or self._day_from(day) == day

    def _day_from(self, day: int) -> int | None:
        """First matching day that is `day` or later."""
        today = date.fromordinal(day + _EPOCH)
        year, month, day_of_month = today.year, today.month, today.day
        months = self.months
        at = bisect_left(months, month)
        if at < len(months) and months[at] == month:
            first = day - day_of_month + 1
            length = _MONTH_DAYS[month] if month != 2 else _february(year)  # noqa: PLR2004 - the calendar
            bits = self.days[(length - SHORTEST_MONTH) * 7 + (first + 4) % 7] >> day_of_month
            if bits:
                return day + (bits & -bits).bit_length() - 1
            at += 1
        last_year = min(year + _LONGEST_WAIT_YEARS, _LAST_YEAR)
        while True:
            if at == len(months):
                year, at = year + 1, 0
                if year > last_year:
                    return None
            month = months[at]
            first = date(year, month, 1).toordinal() - _EPOCH
            length = _MONTH_DAYS[month] if month != 2 else _february(year)  # noqa: PLR2004 - the calendar
            bits = self.days[(length - SHORTEST_MONTH) * 7 + (first + 4) % 7]
            if bits:
                return first + (bits & -bits).bit_length() - 2
            at += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LongCron:
    """A compiled expression of six or seven fields: the minutes of a Cron, seconds within them, and perhaps years."""

    minutes: Cron
    seconds: tuple[int, ...]
    """Of a minute, sorted."""
    years: tuple[int, ...] | None
    """Sorted; None: all."""
    wild: bool
    """Second, minute or hour begins with `*`."""

    def next_local(self, local: int) -> int | None:
        """As Cron's; None also after the last year."""
        found = self._next(local)
        years = self.years
        while found is not None and years is not None:
            year = date.fromordinal(found // _DAY + _EPOCH).year
            at = bisect_left(years, year)
            if at == len(years):
                return None
            if years[at] == year:
                break
            found = self._next((date(years[at], 1, 1).toordinal() - _EPOCH) * _DAY - 1)
        return found

    def has_day(self, day: int) -> bool:
        """Whether it fires on a day at all."""
        if self.years is not None and date.fromordinal(day + _EPOCH).year not in self.years:
            return False
        return self.minutes.has_day(day)

    def _next(self, local: int) -> int | None:
        second = local % _MINUTE
        if second < self.seconds[-1]:
            minute = local - second
            if self.minutes.next_local(minute - 1) == minute:
                return minute + self.seconds[bisect_right(self.seconds, second)]
        following = self.minutes.next_local(local)
        return None if following is None else following + self.seconds[0]


def parse_cron(
    expression: str, day_match: DayMatch = DayMatch.ANY, *, fields: int = 5, hash_key: str = ""
) -> Cron | LongCron:
    """The compiled form of an expression; the same object for the same text. `hash_key` is the name that H is drawn from.

    Raises: ScheduleError that names the field, the text and what to write instead; also for a date that never comes (31 February).
    """
    if not isinstance(expression, str) or len(expression) > _LONGEST_TEXT:
        raise ScheduleError(
            f'"{str(expression)[:40]}" is not a cron expression', help='text such as "30 2 * * *"'
        )
    if isinstance(fields, bool) or fields not in LAYOUTS:
        raise ScheduleError(
            f'"{fields}" is not a number of cron fields', help="5, 6 (seconds first) or 7 (years last)"
        )
    return _compile(expression, day_match, fields, hash_key)


@lru_cache(maxsize=65_536)
def _compile(expression: str, day_match: DayMatch, fields: int, hash_key: str) -> Cron | LongCron:
    texts = split_cron(expression, fields)
    text = dict(zip(LAYOUTS[fields], texts, strict=True))
    values, words = {}, frozenset[DayWord]()
    for place, kind in enumerate(LAYOUTS[fields]):
        written = FieldText(kind=kind, text=text[kind], place=place, expression=expression, hash_key=hash_key)
        values[kind], more = parse_field(written)
        words |= more
    minutes = _minutes(text, values, words, day_match)
    cron: Cron | LongCron = minutes
    if SECOND in text:
        cron = LongCron(
            minutes=minutes,
            seconds=tuple(sorted(values[SECOND])),
            years=tuple(sorted(values[YEAR])) if text.get(YEAR, "*") != "*" else None,
            wild=minutes.wild or text[SECOND].startswith("*"),
        )
    # From 1970 the search reaches 2011: each date of the calendar comes on each weekday before that.
    if cron.next_local(-1) is None:
        raise ScheduleError(
            f'"{expression}" never fires: no month it names has such a day',
            help='"0 0 L * *" is the last day of each month',
        )
    return cron


def _minutes(
    text: Mapping[CronField, str],
    values: Mapping[CronField, frozenset[int]],
    words: frozenset[DayWord],
    day_match: DayMatch,
) -> Cron:
    starred = text[DAY].startswith(("*", "?")) or text[WEEKDAY].startswith(("*", "?"))
    masks = day_masks(
        values[DAY],
        frozenset(day % 7 for day in values[WEEKDAY]),
        words,
        both=starred or day_match is DayMatch.ALL,
    )
    times = _times(values[MINUTE], values[HOUR])
    every_day = len(values[MONTH]) == MONTH.cycle and masks == EVERY_DAY
    return Cron(
        times=times,
        days=masks,
        months=tuple(sorted(values[MONTH])),
        every_day=every_day,
        step=_step(times) if every_day else 0,
        wild=text[MINUTE].startswith("*") or text[HOUR].startswith("*"),
    )


@lru_cache(maxsize=4_096)
def _times(minutes: frozenset[int], hours: frozenset[int]) -> tuple[int, ...]:
    """Shared by expressions that differ in their days only: "every minute" is a tuple of 1,440."""
    return tuple(hour * 3_600 + minute * 60 for hour in sorted(hours) for minute in sorted(minutes))


def _step(times: tuple[int, ...]) -> int:
    """The one distance between neighbours, over midnight too; 0 if there are several."""
    step = times[0] + _DAY - times[-1]
    even = len(times) * step == _DAY and all(time % step == times[0] for time in times)
    return step if even else 0


def _february(year: int) -> int:
    return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
