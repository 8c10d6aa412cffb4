"""RRule: iCalendar recurrence rules. dateutil does the calendar; the zone and the rule for clock changes are ours.

PURE. The text is read by rrule_text.py. dateutil counts from the start of a rule, each time anew; here it begins at the period in which
the question lies, so that a rule of 2010 costs no more than one of yesterday. And it is asked in the last centuries of the calendar,
which repeats itself every 400 years to the weekday: so a rule that never fires is known after 400 years instead of 8,000.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from typing import Any

from .clock_change import Dst, next_fire
from .errors import ScheduleError
from .instants import SECOND_US
from .months import local_second
from .rrule_text import Frequency, RuleText, read_rule
from .zone import Zone, plain_zone, zone_rules

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the wall clock's
_SECOND = timedelta(seconds=1)
_CYCLE_YEARS, _CYCLE = 400, timedelta(days=146_097)
_LATEST_YEAR = 9_949
"""The search has at least the 50 years up to 9999."""
_YEARS = (2, 9_990)
_COUNT_YEARS = 200
"""What COUNT has not reached by then is left away."""
_DAY_PARTS = ("bymonth", "bymonthday", "byyearday", "byweekday")
_PERIOD = {
    Frequency.DAILY: timedelta(days=1),
    Frequency.HOURLY: timedelta(hours=1),
    Frequency.MINUTELY: timedelta(minutes=1),
    Frequency.SECONDLY: timedelta(seconds=1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RRule:
    """An iCalendar RRULE from `start` (DTSTART, local time of the zone) on.

    A start that the rule does not name is no fire time. FREQ of HOURLY, MINUTELY and SECONDLY follows elapsed time through clock changes, as
    `*` in cron's minute or hour does; what is rarer follows the wall clock and `dst`.
    Raises: ScheduleError for a wrong rule, one that never fires, a start that is no local time, an unknown zone.
    """

    rule: str
    start: str
    timezone: str = "UTC"
    dst: Dst = Dst.ONCE
    _recurrence: Recurrence = field(init=False, repr=False, compare=False)
    _zone: Zone = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "timezone", plain_zone(self.timezone))
        local_second(self.start, "start")
        object.__setattr__(self, "_recurrence", _recurrence(self.rule, self.start))
        object.__setattr__(self, "_zone", zone_rules(self.timezone))

    def next_after(self, after_us: int) -> int | None:
        fire = next_fire(self._recurrence, self._zone, self.dst, after_us // SECOND_US)
        if fire is None:
            return None
        text = self._recurrence.text
        if text.until_is_utc and text.until is not None and fire > text.until:
            return None
        return fire * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """The local times of a rule, for clock_change."""

    text: RuleText
    start: datetime
    filled: dict[str, Any]
    """dateutil's names for the BY parts, with those that DTSTART stands in for."""
    listed: tuple[int, ...] | None
    """With COUNT: all of them."""

    @property
    def wild(self) -> bool:
        """It follows elapsed time."""
        return self.text.frequency >= Frequency.HOURLY

    def next_local(self, local: int) -> int | None:
        """First time of the rule strictly later than `local`; None if there is none in the next centuries."""
        if self.listed is not None:
            later = bisect_right(self.listed, local)
            return self.listed[later] if later < len(self.listed) else None
        asked = max(_EPOCH + timedelta(seconds=local), self.start - timedelta(seconds=1))
        anchor = self._anchor(asked)
        if anchor is None or not _YEARS[0] <= anchor.year <= _YEARS[1]:
            return None
        shift = _shift(anchor)
        following: datetime | None = self._from(anchor + shift).after(asked + shift)
        if following is None:
            return None
        try:
            second = (following - shift - _EPOCH) // _SECOND
        except OverflowError:  # asked in 9990, found after 9999
            return None
        if self.text.until is not None and not self.text.until_is_utc and second > self.text.until:
            return None
        return second

    def _anchor(self, asked: datetime) -> datetime | None:
        """A time from which dateutil may count to find the first one after `asked`; None: there is none."""
        begin: datetime | None = asked
        if self.text.frequency >= Frequency.HOURLY:
            begin = self._hour_from(asked)
        if begin is None or begin < self.start:
            return None if begin is None else self.start
        return self._period_before(begin) or self.start

    def _hour_from(self, asked: datetime) -> datetime | None:
        """The begin of the first hour after which something may fire after `asked`; dateutil would walk there second by second."""
        hours = self.filled.get("byhour", range(24))
        last = timedelta(
            minutes=max(self.filled.get("byminute", (59,))), seconds=max(self.filled.get("bysecond", (59,)))
        )
        day = self._day_from(_midnight(asked))
        if day is not None:
            for hour in hours:
                if day + timedelta(hours=hour) + last > asked:
                    return max(day + timedelta(hours=hour), asked.replace(minute=0, second=0))
            day = self._day_from(day + timedelta(days=1))
        return None if day is None else day + timedelta(hours=hours[0])

    def _day_from(self, day: datetime) -> datetime | None:
        """The first day from `day` on that the BY parts of days allow."""
        from dateutil.rrule import DAILY, rrule

        parts = {part: self.filled[part] for part in _DAY_PARTS if part in self.filled}
        if not parts:
            return day
        shift = _shift(day)
        found: datetime | None = rrule(DAILY, dtstart=day + shift, **parts).after(day + shift, inc=True)
        return None if found is None else found - shift

    def _period_before(self, asked: datetime) -> datetime | None:
        """The begin of the rule's last period that begins at `asked` or before; None if that is the first one."""
        every, start = self.text.interval, self.start
        match self.text.frequency:
            case Frequency.YEARLY:
                years = (asked.year - start.year) // every * every
                return datetime(start.year + years, 1, 1) if years else None  # noqa: DTZ001 - the wall clock's
            case Frequency.MONTHLY:
                passed = (asked.year - start.year) * 12 + asked.month - start.month
                months = start.year * 12 + start.month - 1 + passed // every * every
                return datetime(months // 12, months % 12 + 1, 1) if passed >= every else None  # noqa: DTZ001 - as above
            case Frequency.WEEKLY:
                first = _midnight(start) - timedelta(days=(start.weekday() - self.text.week_start) % 7)
                weeks = (asked - first).days // 7 // every * every
                return first + timedelta(weeks=weeks) if weeks else None
            case frequency:
                period = _PERIOD[frequency]
                first = start if frequency is Frequency.SECONDLY else start.replace(second=0)
                first = first.replace(minute=0) if frequency <= Frequency.HOURLY else first
                first = first.replace(hour=0) if frequency is Frequency.DAILY else first
                periods = (asked - first) // period // every * every
                return first + periods * period if periods else None

    def _from(self, anchor: datetime) -> Any:
        from dateutil.rrule import rrule

        text = self.text
        frequency: Any = int(text.frequency)
        return rrule(frequency, dtstart=anchor, interval=text.interval, wkst=text.week_start, **self.filled)


@lru_cache(maxsize=1_024)
def _recurrence(rule: str, start_text: str) -> Recurrence:
    text = read_rule(rule)
    start = _EPOCH + timedelta(seconds=local_second(start_text, "start"))
    if not _YEARS[0] <= start.year <= _YEARS[1]:
        raise ScheduleError(f'start "{start_text}" is out of the calendar', help="write 2026-12-01T03:00")
    filled = _filled(text, start)
    found = Recurrence(text=text, start=start, filled=filled, listed=None)
    try:
        never = found.next_local((start - _EPOCH) // _SECOND - 1) is None
    except ValueError:  # dateutil's word for an interval that never meets its hours
        never = True
    if never:
        raise ScheduleError(
            f'the rule "{rule[:80]}" never fires after {start_text}',
            help="check its BY parts, UNTIL and start",
        )
    return (
        found
        if text.count is None
        else Recurrence(text=text, start=start, filled=filled, listed=_listed(found, text.count))
    )


def _listed(recurrence: Recurrence, count: int) -> tuple[int, ...]:
    """All times of a rule with COUNT, in seconds since 1970 of the wall clock."""
    last_year = min(recurrence.start.year + _COUNT_YEARS, _YEARS[1])
    end = (datetime(last_year, 1, 1) - _EPOCH) // _SECOND  # noqa: DTZ001 - the wall clock's
    times: Iterator[int]
    if recurrence.text.frequency <= Frequency.DAILY:
        times = ((at - _EPOCH) // _SECOND for at in recurrence._from(recurrence.start))
    else:
        times = _chain(recurrence)
    return tuple(islice(takewhile(lambda at: at < end, times), count))


def _chain(recurrence: Recurrence) -> Iterator[int]:
    following = recurrence.next_local((recurrence.start - _EPOCH) // _SECOND - 1)
    while following is not None:
        yield following
        following = recurrence.next_local(following)


def _filled(text: RuleText, start: datetime) -> dict[str, Any]:
    from dateutil.rrule import weekday

    filled: dict[str, Any] = dict(text.numbers)
    if text.weekdays is not None:
        filled["byweekday"] = [weekday(each.day, each.nth or None) for each in text.weekdays]
    if not filled.keys() & {"byweekno", "byyearday", "bymonthday", "byweekday"}:
        match text.frequency:
            case Frequency.YEARLY:
                filled.setdefault("bymonth", start.month)
                filled["bymonthday"] = start.day
            case Frequency.MONTHLY:
                filled["bymonthday"] = start.day
            case Frequency.WEEKLY:
                filled["byweekday"] = start.weekday()
            case _:
                pass
    for frequency, part in (
        (Frequency.HOURLY, "hour"),
        (Frequency.MINUTELY, "minute"),
        (Frequency.SECONDLY, "second"),
    ):
        if text.frequency < frequency:
            filled.setdefault(f"by{part}", (getattr(start, part),))
    return filled


def _shift(at: datetime) -> timedelta:
    """How far `at` must move to lie in the last centuries of the calendar."""
    return (_LATEST_YEAR - at.year) // _CYCLE_YEARS * _CYCLE


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0)
