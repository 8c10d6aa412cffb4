"""CeleryField: one field of Celery's crontab (a number, a text, several numbers) as one field of a cron expression.

PURE. Celery's grammar is read strictly: `*`, `*/n`, `a`, `a-b`, `a-b/n`, lists of these, names. What cron has no text for is spelled
out: ranges that wrap around, steps beyond the field, long names of days. A star stays a star, as it tells elapsed time from fixed times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import ScheduleError


@dataclass(frozen=True, slots=True, kw_only=True)
class CeleryField:
    """What may stand in one of the five arguments of `crontab`."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """The first three letters of each value's name, from `low` up."""


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

MINUTE = CeleryField(name="minute", low=0, high=59)
HOUR = CeleryField(name="hour", low=0, high=23)
DAY_OF_MONTH = CeleryField(name="day_of_month", low=1, high=31)
MONTH_OF_YEAR = CeleryField(name="month_of_year", low=1, high=12, names=_MONTHS)
DAY_OF_WEEK = CeleryField(name="day_of_week", low=0, high=6, names=_WEEKDAYS)

CRON_ORDER = (MINUTE, HOUR, DAY_OF_MONTH, MONTH_OF_YEAR, DAY_OF_WEEK)

_PART = re.compile(r"(?:(\*)|([0-9]{1,9}|[A-Za-z]+)(?:-([0-9]{1,9}|[A-Za-z]+))?)(?:/([0-9]{1,9}))?")
_LIST_BRACKETS = "[]{}() "
_RUN = 3
"""So many neighbours in a row are written as a range."""


def cron_text(kind: CeleryField, given: object) -> str:
    """The field of a cron expression that has the same values. Raises ScheduleError for what Celery would not accept, too."""
    if isinstance(given, bool) or given is None:
        raise _wrong(kind, given)
    if isinstance(given, int):
        return _joined(kind, [_checked(kind, given)])
    if isinstance(given, str):
        return _text_field(kind, given)
    if isinstance(given, Iterable):
        numbers = [int(each) if isinstance(each, str) and each.isdigit() else each for each in given]
        if numbers and all(type(each) is int for each in numbers):
            return _joined(kind, [_checked(kind, each) for each in numbers])
    raise _wrong(kind, given)


def _text_field(kind: CeleryField, text: str) -> str:
    # django-celery-beat keeps lists as their text, "[0, 15]"
    parts = text.strip(_LIST_BRACKETS).replace(" ", "").split(",")
    read = [_part(kind, part, text) for part in parts]
    values = sorted({value for part in read for value in part.values})
    if len(values) == kind.high - kind.low + 1:
        return "*"
    if any(part.text is None for part in read):
        return _joined(kind, values)
    return ",".join(str(part.text) for part in read)


@dataclass(frozen=True, slots=True)
class _Part:
    values: tuple[int, ...]
    text: str | None
    """As cron writes it; None where it must be spelled out."""


def _part(kind: CeleryField, part: str, whole: str) -> _Part:
    match = _PART.fullmatch(part)
    if match is None or (match[4] is not None and (match[1] is None and match[3] is None)):
        raise _wrong(kind, whole)
    star, first, last, step_text = match.groups()
    step = int(step_text) if step_text is not None else 1
    if step == 0:
        raise _wrong(kind, whole)
    low = kind.low if star else _number(kind, first, whole)
    high = kind.high if star else low if last is None else _number(kind, last, whole)
    span = (
        [*range(low, high + 1)] if low <= high else [*range(low, kind.high + 1), *range(kind.low, high + 1)]
    )
    values = tuple(span[::step])
    if low > high or step > kind.high - kind.low + 1:
        return _Part(values, None)
    base = "*" if star else f"{low}" if last is None else f"{low}-{high}"
    return _Part(values, f"{base}/{step}" if step > 1 else base)


def _number(kind: CeleryField, token: str, whole: str) -> int:
    if token.isdigit():
        return _checked(kind, int(token))
    if token[:3].lower() not in kind.names:
        raise _wrong(kind, whole)
    return kind.names.index(token[:3].lower()) + kind.low


def _checked(kind: CeleryField, value: int) -> int:
    if kind is DAY_OF_WEEK and value == kind.high + 1:
        return kind.low  # cron's second Sunday
    if not kind.low <= value <= kind.high:
        raise ScheduleError(f"{kind.name} {value} is out of range {kind.low}-{kind.high}")
    return value


def _joined(kind: CeleryField, values: Iterable[int]) -> str:
    """The values as a list, with ranges for runs; a star for all of them."""
    ordered = sorted(set(values))
    if len(ordered) == kind.high - kind.low + 1:
        return "*"
    parts: list[str] = []
    while ordered:
        run = 1
        while run < len(ordered) and ordered[run] == ordered[0] + run:
            run += 1
        parts += (
            [f"{ordered[0]}-{ordered[run - 1]}"] if run >= _RUN else [str(value) for value in ordered[:run]]
        )
        ordered = ordered[run:]
    return ",".join(parts)


def _wrong(kind: CeleryField, given: object) -> ScheduleError:
    return ScheduleError(
        f"{kind.name}={given!r:.80} is not a field of a crontab", help='7, "*/15", "mon-fri", [0, 30]'
    )
