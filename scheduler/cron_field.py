"""CronField: one field of a cron expression, from text to the set of its values, or to a sentence that says what is wrong.

PURE. Called by cron.py. Strict on purpose: a text has one meaning or is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .errors import ScheduleError


@dataclass(frozen=True, slots=True, kw_only=True)
class CronField:
    """What may stand in one of the five places."""

    noun: str
    place: str
    low: int
    high: int
    names: dict[str, int] = field(default_factory=dict)
    cycle: int
    """How many different values there are: a longer step would only ever give the first."""


_MONTHS = {name: i for i, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_WEEKDAYS = {name: i for i, name in enumerate("sun mon tue wed thu fri sat".split())}

FIELDS = (
    CronField(noun="minute", place="first", low=0, high=59, cycle=60),
    CronField(noun="hour", place="second", low=0, high=23, cycle=24),
    CronField(noun="day", place="third", low=1, high=31, cycle=31),
    CronField(noun="month", place="fourth", low=1, high=12, cycle=12, names=_MONTHS),
    CronField(noun="weekday", place="fifth", low=0, high=7, cycle=7, names=_WEEKDAYS),
)
DAYS = (2, 4)
"""The places of the two day fields."""

_ITEM = re.compile(r"(\*|[0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?(?:/([0-9]+))?")
_LONGEST_NUMBER = 9
# What other dialects have and a later version may: last day, nearest workday, nth weekday, hashed, random.
_SPECIAL = re.compile(
    r"(?i)(?:[0-9]*|[a-z]{3})(?P<L>L)W?(?:-[0-9]+)?|[0-9]*(?P<W>W)|\w+(?P<N>#).*|(?P<H>H).*|(?P<R>R).*"
)


def parse_field(kind: CronField, text: str, expression: str) -> frozenset[int]:
    """The values of one field; of the weekdays 7 stays 7, as Sunday may be either end.

    Raises: ScheduleError that names the field, its place and the expression.
    """
    where = f'({kind.place} field of "{expression}")'
    values: set[int] = set()
    for item in text.split(","):
        values.update(_item_values(kind, item, where))
    return frozenset(values)


def _item_values(kind: CronField, item: str, where: str) -> range:
    match = _ITEM.fullmatch(item)
    if match is None or not (match[1] == "*" or _is_value(kind, match[1])):
        raise _not_a_value(kind, item, where)
    first, last, step_text = match[1], match[2], match[3]
    if first == "*":
        if last is not None:
            raise _not_a_value(kind, item, where)
        # A star of weekdays is 0-6: with both Sundays `*/7` would be right by luck only.
        low, high = kind.low, kind.low + kind.cycle - 1
    else:
        if last is not None and not _is_value(kind, last):
            raise _not_a_value(kind, item, where)
        low = _value(kind, first, where)
        high = low if last is None else _value(kind, last, where)
        if last is None and step_text is not None:
            raise ScheduleError(
                f'{kind.noun} "{item}" has a step but no range {where}',
                help=f"write {first}-{max(low, kind.low + kind.cycle - 1)}/{step_text} or */{step_text}",
            )
    step = _step(kind, item, step_text, where)
    if low > high:
        raise ScheduleError(
            f'{kind.noun} range "{item}" runs backwards {where}',
            help=f"write {_forward(kind, low, high, step)}",
        )
    return range(low, high + 1, step)


def _is_value(kind: CronField, token: str) -> bool:
    return token.isdigit() or token.lower() in kind.names


def _value(kind: CronField, token: str, where: str) -> int:
    if not token.isdigit():
        return kind.names[token.lower()]
    value = int(token) if len(token) <= _LONGEST_NUMBER else 10**_LONGEST_NUMBER
    if not kind.low <= value <= kind.high:
        raise ScheduleError(f"{kind.noun} {token[:20]} is out of range {kind.low}-{kind.high} {where}")
    return value


def _step(kind: CronField, item: str, text: str | None, where: str) -> int:
    if text is None:
        return 1
    step = int(text) if len(text) <= _LONGEST_NUMBER else 10**_LONGEST_NUMBER
    if not 1 <= step <= kind.cycle:
        raise ScheduleError(
            f'step {text[:20]} of {kind.noun} "{item[:40]}" is out of range 1-{kind.cycle} {where}',
            help="a step starts anew with each hour, day, month or year; for longer distances use every:",
        )
    return step


def _forward(kind: CronField, low: int, high: int, step: int) -> str:
    """A range that wraps around, written as cron has it."""
    if kind.noun == "weekday" and low == kind.high:
        return f"0-{high}" if step == 1 else f"0-{high}/{step}"
    if kind.noun == "weekday" and high == 0 and step == 1:
        return f"{low}-7"
    top = kind.low + kind.cycle - 1
    if step == 1:
        return ",".join(f"{a}-{b}" if a != b else f"{a}" for a, b in ((low, top), (kind.low, high)))
    span = range(low, high + kind.cycle + 1, step)
    return ",".join(
        str(value) for value in sorted({(value - kind.low) % kind.cycle + kind.low for value in span})
    )


def _not_a_value(kind: CronField, item: str, where: str) -> ScheduleError:
    shown = item[:40]
    if "?" in item:
        return ScheduleError(f'"?" is not cron {where}', help="write * for a day field that does not matter")
    special = _SPECIAL.fullmatch(item)
    if special is not None:
        character = next(part for part in special.groups() if part is not None).upper()
        return ScheduleError(
            f'{kind.noun} "{shown}": {character} is not supported yet {where}',
            help="numbers, names, lists, ranges and steps are",
        )
    if item == "":
        return ScheduleError(f"{kind.noun} has an empty place in its list {where}", help="remove the comma")
    known = f"{kind.low}-{kind.high}" + (
        f" or {'-'.join((*kind.names,)[:: len(kind.names) - 1])}" if kind.names else ""
    )
    return ScheduleError(f'"{shown}" is not a {kind.noun} {where}', help=f"{known}, as 1, 1-5, 1,3, * or */2")
