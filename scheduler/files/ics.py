"""Ics: the days of an iCalendar file, as calendars of public holidays are published.

Whole-day events count, with their yearly, monthly or weekly repetitions up to the end of 2099; events of some hours are
passed over, for a holiday calendar has none. Called by reading.py with the content of a file; it opens nothing itself.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import islice, takewhile
from typing import Any

from .calendar import MOST_DAYS, Days

LARGEST = 1024 * 1024  # bytes
_LAST = datetime(2099, 12, 31)  # noqa: DTZ001 - iCalendar's whole days have no zone
_LONGEST_EVENT = 366
_MOST_EVENTS, _MOST_RULES = (
    5_000,
    250,
)  # a file beyond these is no calendar of holidays, and takes seconds to read
_PARTS = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYDAY", "BYMONTHDAY", "WKST"})
_FREQUENCIES = frozenset({"YEARLY", "MONTHLY", "WEEKLY"})


class IcsError(ValueError):
    """A file that is no calendar of whole days; `help` says what to do."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.help = help


def days_in(content: bytes) -> Days:
    """The days of all whole-day events, sorted. Raises IcsError."""
    try:
        from icalendar import Calendar
    except ImportError as error:
        raise IcsError("needs the icalendar package", "pip install 'backbeat[calendars]'") from error
    try:
        calendar = Calendar.from_ical(content)
        events: list[Any] = calendar.walk("VEVENT")
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise IcsError(f"is not an iCalendar file: {error}") from error
    if len(events) > _MOST_EVENTS or sum("RRULE" in event for event in events) > _MOST_RULES:
        raise IcsError("holds too many events", "use a calendar of holidays only")
    found: list[str] = []
    for event in events:
        if str(event.get("STATUS", "")).upper() == "CANCELLED":
            continue
        found += _days(event)
        if len(found) > MOST_DAYS:
            raise IcsError(f"holds more than {MOST_DAYS:,} days", "use a calendar of holidays only")
    if not found:
        raise IcsError("holds no whole-day event", "such an event has DTSTART;VALUE=DATE")
    return tuple(sorted(set(found)))


def _days(event: Any) -> set[str]:
    start = _value(event, "DTSTART")
    if type(start) is not date:
        return set()
    length = _length(event, start)
    firsts = {start, *_repeated(event, start), *_listed(event, "RDATE")} - set(_listed(event, "EXDATE"))
    return {(first + timedelta(days=day)).isoformat() for first in firsts for day in range(length)}


def _length(event: Any, start: date) -> int:
    """Days from an event's first to its last; DTEND is the day after the last."""
    end, duration = _value(event, "DTEND"), _value(event, "DURATION")
    days = 1
    if type(end) is date:
        days = (end - start).days
    elif isinstance(duration, timedelta):
        days = duration.days
    if days > _LONGEST_EVENT:
        raise IcsError(f"has an event of {days:,} days", "use a calendar of holidays only")
    return max(days, 1)


def _repeated(event: Any, start: date) -> list[date]:
    from dateutil.rrule import rrulestr

    rule = event.get("RRULE")
    if rule is None:
        return []
    text = rule.to_ical().decode() if hasattr(rule, "to_ical") else ""
    parts = dict(part.partition("=")[::2] for part in text.upper().split(";"))
    if not text or not parts.keys() <= _PARTS or parts.get("FREQ") not in _FREQUENCIES:
        raise IcsError(
            f'has an event with the rule "{text[:60]}"', "yearly, monthly and weekly rules are read"
        )
    midnight = datetime(start.year, start.month, start.day)  # noqa: DTZ001 - as _LAST
    try:
        repetitions = rrulestr(text, dtstart=midnight, ignoretz=True)
        found = list(islice(takewhile(lambda each: each <= _LAST, repetitions), MOST_DAYS + 1))
    except (ValueError, TypeError) as error:
        raise IcsError(f'has an event with the rule "{text[:60]}": {error}') from error
    if not found:
        raise IcsError(f'has an event with the rule "{text[:60]}", which never comes', "remove the rule")
    return [each.date() for each in found]


def _listed(event: Any, key: str) -> list[date]:
    """RDATE or EXDATE: absent, one property or several, each with one or several dates."""
    value = event.get(key)
    lists = value if isinstance(value, list) else [] if value is None else [value]
    return [each.dt for every in lists for each in every.dts if type(each.dt) is date]


def _value(event: Any, key: str) -> object:
    value = event.get(key)
    return getattr(value, "dt", None)
