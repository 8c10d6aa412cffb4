"""Words: a schedule as an English sentence, for `explain`, lists and pages.

PURE. It reads the text of an expression, which cron.py has checked; where a field is too odd for words the field itself is shown, so
that a sentence is never wrong, at worst dry.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from .cron import WORDS, DayMatch
from .schedule import (
    AnyOf,
    Clocked,
    Crontab,
    CronWindow,
    DailyWindow,
    DaysWindow,
    Except,
    Interval,
    Months,
    OnExcept,
    RRule,
    Schedule,
    Solar,
    SpanWindow,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_MOST_TIMES = 6
_MOST_DAYS = 3
_NUMBER = re.compile(r"[0-9]+")
_DATES = re.compile(r"[0-9,/-]+")
_UNITS = ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def in_words(schedule: Schedule) -> str:
    """One sentence without a full stop; it names the zone unless that is UTC."""
    match schedule:
        case Interval():
            return f"every {length_in_words(schedule.every)}"
        case Months():
            return (
                f"every {_counted(schedule.months, 'month')} from {schedule.anchor}{_zone(schedule.timezone)}"
            )
        case Crontab():
            return _crontab(schedule) + _zone(schedule.timezone)
        case Clocked():
            return "at " + _listed([_instant(time_us) for time_us in schedule.times_us])
        case AnyOf():
            return "; and ".join(in_words(each) for each in schedule.schedules)
        case Except():
            what = "moved behind" if schedule.on_except is OnExcept.DEFER else "left out"
            windows = "; ".join(_window(each) for each in schedule.out)
            return f"{in_words(schedule.when)}; {what}: {windows}"
        case RRule():
            return f"by the rule {schedule.rule} from {schedule.start}{_zone(schedule.timezone)}"
        case Solar():
            return f"at {schedule.event.replace('_', ' ')} at {schedule.latitude:g}, {schedule.longitude:g}"
        case _:
            return repr(schedule)


def length_in_words(length: timedelta) -> str:
    """A length of time: "15 minutes", "hour", "1 hour 30 minutes", "250 ms"."""
    whole, rest = divmod(length, timedelta(seconds=1))
    parts = []
    for seconds, noun in _UNITS:
        count, whole = divmod(whole, seconds)
        if count:
            parts.append((count, noun))
    if rest:
        return " ".join(
            [
                *(_counted(count, noun, "1 ") for count, noun in parts),
                f"{rest / timedelta(milliseconds=1):g} ms",
            ]
        )
    if len(parts) == 1:
        return _counted(*parts[0])
    return " ".join(_counted(count, noun, "1 ") for count, noun in parts)


def _crontab(crontab: Crontab) -> str:
    text = crontab.expression.strip()
    fields = WORDS.get(text.lower(), text).split()
    seconds = fields.pop(0) if len(fields) > 5 else "0"  # noqa: PLR2004 - the classic number of fields
    years = fields.pop() if len(fields) > 5 else "*"  # noqa: PLR2004 - the same
    minute, hour, day, month, weekday = fields
    when = _time(seconds, minute, hour)
    days = _days(day, weekday, crontab.day_match)
    months = "" if month == "*" else f" in {_items(month, _month)}"
    until = "" if years == "*" else f" of {_items(years, str)}"
    if not days and not months and _is_clock_time(minute, hour):
        days = " every day"
    return when + days + months + until


def _is_clock_time(minute: str, hour: str) -> bool:
    """The time of day stands there in full, so that "every day" has to be said."""
    return _numbers(minute) is not None and _numbers(hour) is not None


def _time(seconds: str, minute: str, hour: str) -> str:
    if seconds not in ("0", "00"):
        return _every("second", seconds) + (
            "" if minute == hour == "*" else f" of {_time('0', minute, hour)}"
        )
    minutes, hours = _numbers(minute), _numbers(hour)
    if minutes and hours and len(minutes) * len(hours) <= _MOST_TIMES:
        return "at " + _listed([f"{h:02}:{m:02}" for h in hours for m in minutes])
    if hour == "*":
        return _every("minute", minute, " of every hour")
    return f"{_every('minute', minute)} {_of_hours(hour)}"


def _every(noun: str, text: str, of: str = "") -> str:
    if text == "*":
        return f"every {noun}"
    if text.startswith("*/") and _NUMBER.fullmatch(text[2:]):
        step, whole = int(text[2:]), {"second": "minute", "minute": "hour"}[noun]
        start = "" if 60 % step == 0 else f" from each full {whole}"
        return f"every {_counted(step, noun)}{start}"
    return f"at {noun} {_items(text, str)}{of}"


def _of_hours(hour: str) -> str:
    if hour.startswith("*/") and _NUMBER.fullmatch(hour[2:]):
        step = int(hour[2:])
        start = "" if 24 % step == 0 else " from midnight"
        return f"of every {_ordinal(step)} hour{start}"
    return f"of hour {_items(hour, str)}"


def _days(day: str, weekday: str, match: DayMatch) -> str:
    day, weekday = ("*" if text == "?" else text for text in (day, weekday))
    dates = f"on day {_items(day, str)} of the month" if _DATES.fullmatch(day) else f"on {_special_day(day)}"
    weekdays = f"on {_items(weekday, _weekday)}"
    if day == weekday == "*":
        return ""
    if weekday == "*":
        return f" {dates}"
    if day == "*":
        return f" {weekdays}"
    both = match is DayMatch.ALL or day.startswith("*") or weekday.startswith("*")
    return f" {dates} {'if that is also' if both else 'and also'} {weekdays}"


def _special_day(day: str) -> str:
    upper = day.upper()
    if upper == "L":
        return "the last day of the month"
    if upper == "LW":
        return "the last workday of the month"
    if match := re.fullmatch(r"L-([0-9]+)", upper):
        return f"the day {match[1]} before the last of the month"
    if match := re.fullmatch(r"([0-9]+)W", upper):
        return f"the workday nearest to day {match[1]} of the month"
    if match := re.fullmatch(r"\*/([0-9]+)", upper):
        return f"every {_ordinal(int(match[1]))} day of the month, from the first"
    return f"the days {day} of the month"


def _items(text: str, name: object) -> str:
    """A list of values and ranges, each value in words."""
    shown = name if callable(name) else str
    parts = []
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        words = shown(first) if not last else f"{shown(first)} to {shown(last)}"
        parts.append(f"{words} in steps of {step}" if step else words)
    return _listed(parts)


def _month(text: str) -> str:
    if text.isdigit():
        return _MONTHS[int(text)]
    return next((name for name in _MONTHS[1:] if name[:3].lower() == text.lower()), text)


def _weekday(text: str) -> str:
    base, _, nth = text.partition("#")
    last = base.upper().endswith("L") and len(base) > 1
    base = base[:-1] if last else base
    if base.isdigit():
        name = _WEEKDAYS[int(base)]
    else:
        name = next((each for each in _WEEKDAYS if each[:3].lower() == base.lower()), base)
    if nth.isdigit():
        return f"the {_ordinal(int(nth))} {name} of the month"
    return f"the last {name} of the month" if last else name


def _window(window: object) -> str:
    match window:
        case CronWindow():
            return f"the minutes that are {in_words(window.crontab)}"
        case SpanWindow():
            return f"{_instant(window.from_us)} to {_instant(window.to_us)}"
        case DailyWindow():
            return f"{window.start} to {window.end} each day{_zone(window.timezone)}"
        case DaysWindow():
            more = len(window.days) - _MOST_DAYS
            shown = ", ".join(window.days[:_MOST_DAYS]) + (f" and {more} more days" if more > 0 else "")
            return f"the days {shown}{_zone(window.timezone)}"
        case _:
            return repr(window)


def _numbers(text: str) -> list[int] | None:
    items = text.split(",")
    return [int(item) for item in items] if all(_NUMBER.fullmatch(item) for item in items) else None


def _instant(time_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat(sep=" ").replace("+00:00", " UTC")


def _zone(name: str) -> str:
    return "" if name == "UTC" else f" ({name})"


def _counted(number: int, noun: str, one: str = "") -> str:
    return f"{one}{noun}" if number == 1 else f"{number} {noun}s"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
