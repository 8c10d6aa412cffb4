"""RuleText: the parts of an iCalendar RRULE, read strictly.

PURE. Called by rrule.py. RFC 5545 says which parts may stand together; what it forbids, and what other readers pass over in silence
(a 13th month, an unknown part, a date alone as UNTIL), is refused here with what to write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import IntEnum
from math import prod

from .errors import ScheduleError


class Frequency(IntEnum):
    """How often, from rare to often; the numbers are dateutil's."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5
    SECONDLY = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekday:
    """One day of BYDAY: 0 is Monday; `nth` as in 2MO or -1FR, 0 for each."""

    day: int
    nth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleText:
    """An RRULE, checked. `until` is in seconds since 1970-01-01 00:00, of UTC if `until_is_utc`, else of the wall clock."""

    frequency: Frequency
    interval: int
    count: int | None
    until: int | None
    until_is_utc: bool
    week_start: int
    weekdays: tuple[Weekday, ...] | None
    numbers: dict[str, tuple[int, ...]]
    """The other BY parts, by their names in lower case."""


_EPOCH = date(1970, 1, 1).toordinal()
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_WEEKDAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_UNTIL = re.compile(r"([0-9]{8}T[0-9]{6})(Z?)")
_MOST = {"INTERVAL": 10_000, "COUNT": 10_000}
_LISTS = {  # lowest, highest, and whether it may count from the end
    "BYSECOND": (0, 59, False),
    "BYMINUTE": (0, 59, False),
    "BYHOUR": (0, 23, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYMONTH": (1, 12, False),
    "BYSETPOS": (1, 366, True),
}
_KNOWN = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_LISTS)
_LONGEST_TEXT = 1_000
_EXAMPLE = "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"


def read_rule(text: str) -> RuleText:
    """The parts of an RRULE, with or without the "RRULE:" before it. Raises: ScheduleError that names the part."""
    parts = _parts(text)
    frequency = _frequency(parts, text)
    numbers = {
        key.lower(): _numbers(key, value, *_LISTS[key]) for key, value in parts.items() if key in _LISTS
    }
    weekdays = _weekdays(parts["BYDAY"], frequency, numbers) if "BYDAY" in parts else None
    _refuse_what_clashes(parts, frequency)
    _refuse_far_positions(frequency, numbers)
    until, until_is_utc = _until(parts["UNTIL"]) if "UNTIL" in parts else (None, False)
    week_start = parts.get("WKST", "MO")
    if week_start not in _DAYS:
        raise ScheduleError(f'WKST "{week_start[:20]}" is not a weekday', help=f"one of {', '.join(_DAYS)}")
    return RuleText(
        frequency=frequency,
        interval=_count("INTERVAL", parts["INTERVAL"]) if "INTERVAL" in parts else 1,
        count=_count("COUNT", parts["COUNT"]) if "COUNT" in parts else None,
        until=until,
        until_is_utc=until_is_utc,
        week_start=_DAYS.index(week_start),
        weekdays=weekdays,
        numbers=numbers,
    )


def _parts(text: str) -> dict[str, str]:
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        raise ScheduleError(f'"{str(text)[:40]}" is not a recurrence rule', help=_EXAMPLE)
    rule = text.strip().upper().removeprefix("RRULE:").removesuffix(";")
    parts: dict[str, str] = {}
    for part in rule.split(";"):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not value:
            raise ScheduleError(f'"{part[:40]}" is not a part of a recurrence rule', help=_EXAMPLE)
        if key not in _KNOWN:
            wanted = "it is the key start" if key.startswith("DTSTART") else f"one of {', '.join(_KNOWN)}"
            raise ScheduleError(f'"{key[:20]}" is not a part of a recurrence rule', help=wanted)
        if key in parts:
            raise ScheduleError(f"{key} stands twice in the rule", help="keep one; lists have commas")
        parts[key] = value
    return parts


def _frequency(parts: dict[str, str], text: str) -> Frequency:
    name = parts.get("FREQ")
    if name is None:
        raise ScheduleError(f'the rule "{text[:60]}" has no FREQ', help=_EXAMPLE)
    if name not in Frequency.__members__:
        raise ScheduleError(
            f'FREQ "{name[:20]}" is not known', help=f"one of {', '.join(Frequency.__members__)}"
        )
    return Frequency[name]


def _count(key: str, value: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", value) or not 1 <= int(value) <= _MOST[key]:
        more = "; for more use UNTIL, or max_runs of the entry" if key == "COUNT" else ""
        raise ScheduleError(f'{key} "{value[:20]}" is out of range', help=f"1 to {_MOST[key]}{more}")
    return int(value)


def _numbers(key: str, value: str, low: int, high: int, from_end: bool) -> tuple[int, ...]:
    found = set()
    for item in value.split(","):
        number = int(item) if re.fullmatch(r"[+-]?[0-9]{1,4}", item) else None
        if number is None or not low <= (abs(number) if from_end else number) <= high:
            end = f", or -{high} to -{low} from the end" if from_end else ""
            raise ScheduleError(f'{key} "{item[:20]}" is out of range', help=f"{low} to {high}{end}")
        found.add(number)
    return tuple(sorted(found))


def _weekdays(value: str, frequency: Frequency, numbers: dict[str, tuple[int, ...]]) -> tuple[Weekday, ...]:
    in_month = frequency is Frequency.MONTHLY or "bymonth" in numbers
    most = 5 if in_month else 53
    found = []
    for item in value.split(","):
        match = _WEEKDAY.fullmatch(item)
        if match is None:
            raise ScheduleError(f'BYDAY "{item[:20]}" is not a weekday', help="MO, 2MO or -1FR")
        nth = int(match[1] or 0)
        if match[1] is not None:
            if frequency > Frequency.MONTHLY or "byweekno" in numbers:
                raise ScheduleError(
                    f'BYDAY "{item}" counts within a month or a year, which FREQ={frequency.name} has not'
                    if frequency > Frequency.MONTHLY
                    else f'BYDAY "{item}" cannot count within the weeks of BYWEEKNO',
                    help=f"write {match[2]}, or FREQ=MONTHLY",
                )
            if not 1 <= abs(nth) <= most:
                raise ScheduleError(
                    f'BYDAY "{item}" is out of range', help=f"1 to {most}, or -{most} to -1 from the end"
                )
        found.append(Weekday(day=_DAYS.index(match[2]), nth=nth))
    return tuple(found)


def _until(value: str) -> tuple[int, bool]:
    match = _UNTIL.fullmatch(value)
    if match is None:
        day = f"{value}T235959" if re.fullmatch("[0-9]{8}", value) else "20261231T235959"
        raise ScheduleError(
            f'UNTIL "{value[:20]}" is not a time', help=f"write {day}, local time, or with Z for UTC"
        )
    try:
        until = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise ScheduleError(
            f'UNTIL "{value}" is not a time of the calendar', help="write 20261231T235959"
        ) from None
    seconds = until.hour * 3_600 + until.minute * 60 + until.second
    return (until.toordinal() - _EPOCH) * 86_400 + seconds, match[2] == "Z"


def _refuse_what_clashes(parts: dict[str, str], frequency: Frequency) -> None:
    wrong = None
    if "COUNT" in parts and "UNTIL" in parts:
        wrong = "COUNT and UNTIL both end the rule"
    elif "BYWEEKNO" in parts and frequency is not Frequency.YEARLY:
        wrong = "BYWEEKNO needs FREQ=YEARLY"
    elif "BYYEARDAY" in parts and frequency in (Frequency.MONTHLY, Frequency.WEEKLY, Frequency.DAILY):
        wrong = "BYYEARDAY needs FREQ=YEARLY"
    elif "BYMONTHDAY" in parts and frequency is Frequency.WEEKLY:
        wrong = "BYMONTHDAY does not go with FREQ=WEEKLY"
    elif "BYSETPOS" in parts and not any(key.startswith("BY") and key != "BYSETPOS" for key in parts):
        wrong = "BYSETPOS chooses from another BY part, and there is none"
    if wrong is not None:
        raise ScheduleError(f"{wrong} (RFC 5545)", help=_EXAMPLE)


def _refuse_far_positions(frequency: Frequency, numbers: dict[str, tuple[int, ...]]) -> None:
    """BYSETPOS beyond all that a day or less can hold: the search for it would take minutes and find nothing."""
    if "bysetpos" not in numbers or frequency < Frequency.DAILY:
        return
    times = ("byhour", "byminute", "bysecond")[frequency - Frequency.DAILY :]
    most = prod(len(numbers[part]) for part in times if part in numbers)
    if all(abs(position) > most for position in numbers["bysetpos"]):
        raise ScheduleError(
            f"the rule never fires: BYSETPOS chooses beyond the {most} of each period of FREQ={frequency.name}",
            help=_EXAMPLE,
        )
