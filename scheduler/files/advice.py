"""Advice: keys of one schedule that are right each by itself and do not go together.

PURE. What cannot have been meant is a Fault; what works, but hardly as the writer thinks, is a warning. Advice that needs the
app stands in fit.py, advice that needs the date in gap.py.
"""

from __future__ import annotations

import itertools
from datetime import timedelta

from ..entry import Entry, Overlap
from ..schedule import Interval, Schedule
from .node import Mapping, Node
from .problem import Fault

_PARTNERS = {
    "anchor": ("every", "rrule", "any"),
    "cron_fields": ("cron", "any"),
    "day_match": ("cron", "any"),
    "on_except": ("except",),
    "overlap_timeout": ("overlap",),
}
_FIELDS = 5  # of a crontab without seconds
_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_WEEKDAYS = {
    "7": "Sunday",
    **{str(place): name for place, name in enumerate(_NAMES)},
    **{name[:3].lower(): name for name in _NAMES},
}
_FIRES_LOOKED_AT = 12
_LOOK_FROM_US = (
    1_704_067_200_000_000  # 2024-01-01, any time long enough for a year with 29 February to follow
)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000
_MINUTE_US, _HOUR_US, _DAY_US = 60 * _SECOND_US, 3_600 * _SECOND_US, 86_400 * _SECOND_US
_UNITS = ((_DAY_US, "d"), (_HOUR_US, "h"), (_MINUTE_US, "m"), (_SECOND_US, "s"), (1_000, "ms"))


def check_partners(own: Mapping, keys: Mapping) -> None:
    """Raise Fault E134 for a key of the schedule's `own` that only says something beside another, which is not there."""
    for key, partners in _PARTNERS.items():
        if own.get(key) is not None and all(keys.get(partner) is None for partner in partners):
            words = " or ".join(f"{partner}:" for partner in partners)
            raise Fault(
                own.pairs[key].key.place,
                "E134",
                f'"{key}" says nothing without {words}',
                help="remove it, or add what it belongs to",
            )


def advise(entry: Entry, keys: Mapping) -> list[Fault]:
    """Warnings about the keys of an entry that could be read."""
    found = [_uneven(entry.when, keys), _unseen_end(entry, keys)]
    if entry.jitter_us or entry.spread_us != 0:
        period_us = shortest_period_us(entry.when)
        found += [_beyond_period(entry, keys, period_us), _expires_early(entry, keys, period_us)]
    return [each for each in found if each is not None]


def two_days(node: Node, expression: str, fields: int) -> list[Fault]:
    """Warning W142 for a cron expression that names days of the month and weekdays, which cron joins with "or"."""
    words = expression.split()
    if len(words) != fields:
        return []
    first = fields > _FIELDS  # the seconds
    day, weekday = words[2 + first], words[4 + first]
    if day[0] in "*?" or weekday[0] in "*?":
        return []
    name = _WEEKDAYS.get(weekday.lower())
    hint = "for days that are both add `day_match: all`"
    if day.isdigit() and name:
        message = f"runs on the {_ordinal(int(day))} and also every {name}"
        hint = f"for {name} the {_ordinal(int(day))} add `day_match: all`"
    else:
        message = f"runs on days {day[:60]} of the month and also on every weekday {weekday[:60]}"
    return [Fault(node.place, "W142", message, help=f"{hint}; for this meaning add `day_match: any`")]


def shortest_period_us(when: Schedule) -> int | None:
    """The shortest time between two of its next fire times, as a look at the first few tells; None for a single one."""
    if isinstance(when, Interval):
        return when.every // _MICROSECOND
    fires: list[int] = []
    after_us: int | None = when.next_after(_LOOK_FROM_US)
    while after_us is not None and len(fires) < _FIRES_LOOKED_AT:
        fires.append(after_us)
        after_us = when.next_after(after_us)
    return min((later - fire for fire, later in itertools.pairwise(fires)), default=None)


def spelled(length_us: int) -> str:
    """A length of time as one writes it: 7m, 1h30m, 250ms."""
    words, rest = "", length_us
    for unit_us, unit in _UNITS:
        amount, rest = divmod(rest, unit_us)
        words += f"{amount}{unit}" if amount else ""
    return words or "0s"


def _uneven(when: Schedule, keys: Mapping) -> Fault | None:
    """An interval of minutes that no hour, or of hours that no day is a multiple of, drifts against the clock."""
    node = keys.get("every")
    if node is None or keys.get("anchor") is not None or not isinstance(when, Interval):
        return None
    every_us = when.every // _MICROSECOND
    if _SECOND_US <= every_us < _MINUTE_US and _HOUR_US % every_us:
        unit_us, unit, small_us = _HOUR_US, "hour", _SECOND_US
    elif _MINUTE_US <= every_us < _HOUR_US and _HOUR_US % every_us:
        unit_us, unit, small_us = _HOUR_US, "hour", _MINUTE_US
    elif _HOUR_US <= every_us < _DAY_US and _DAY_US % every_us:
        unit_us, unit, small_us = _DAY_US, "day", _HOUR_US
    else:
        return None
    near = [length for length in range(small_us, unit_us, small_us) if unit_us % length == 0]
    below = next((length for length in near[::-1] if length < every_us), None)
    above = next((length for length in near if length > every_us), None)
    others = " or ".join(f"`every: {spelled(each)}`" for each in (below, above) if each is not None)
    first, second = (_clock(every_us * turn, unit_us) for turn in (0, 1))
    return Fault(
        node.place,
        "W183",
        f"runs at {first}, {second} … and not at the same times of every {unit}: {spelled(every_us)} does not divide it",
        help=f"write {others}; if it is meant, add an anchor: to say so",
    )


def _clock(offset_us: int, unit_us: int) -> str:
    hours, rest = divmod(offset_us // _SECOND_US, 3_600)
    minutes, seconds = divmod(rest, 60)
    if unit_us == _DAY_US:
        return f"{hours:02}:{minutes:02}"
    return f":{minutes:02}" if not seconds else f":{minutes:02}:{seconds:02}"


def _unseen_end(entry: Entry, keys: Mapping) -> Fault | None:
    if entry.overlap is Overlap.ALLOW or not entry.what["options"].get("ignore_result"):
        return None
    place = keys.pairs["overlap"].value.place
    return Fault(
        place,
        "W180",
        f"overlap: {entry.overlap.value} needs to see the end of a run, but ignore_result leaves no trace of it",
        help="remove ignore_result; otherwise a run counts as over after overlap_timeout",
    )


def _beyond_period(entry: Entry, keys: Mapping, period_us: int | None) -> Fault | None:
    delay_us = entry.jitter_us + (entry.spread_us or 0)
    if period_us is None or delay_us <= period_us:
        return None
    names = [key for key in ("jitter", "spread") if keys.get(key) is not None]
    return Fault(
        keys.pairs[names[0]].value.place,
        "W184",
        f"{' and '.join(names)} of {spelled(delay_us)} is longer than the {spelled(period_us)} between two fire times",
        help="a sending is never moved past the next fire time; write a shorter one",
    )


def _expires_early(entry: Entry, keys: Mapping, period_us: int | None) -> Fault | None:
    expires_us = entry.terms.expires_us
    delay_us = entry.jitter_us + ((period_us or 0) if entry.spread_us is None else entry.spread_us)
    if expires_us is None or expires_us >= delay_us:
        return None
    names = [key for key in ("jitter", "spread") if keys.get(key) is not None]
    return Fault(
        keys.pairs[names[0]].value.place,
        "W181",
        f"expires after {spelled(expires_us)}, but {' and '.join(names)} may hold a sending back for {spelled(delay_us)}",
        help="expires counts from the fire time: write a longer expires, or a shorter delay",
    )


def _ordinal(day: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{day}{endings.get(day % 10 if not 11 <= day <= 13 else 0, 'th')}"  # noqa: PLR2004 - eleventh, twelfth, thirteenth
