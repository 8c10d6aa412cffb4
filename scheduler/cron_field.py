"""CronField: one field of a cron expression, from text to what it names, or to a sentence that says what is wrong.

PURE. Called by cron.py. Strict on purpose: a text has one meaning or is refused. What only a month can name (L, W, #) is in
cron_day.py. H is drawn from the entry's name: eight bytes of its blake2b hash for each field, so that fields are independent of one
another and an entry keeps its minute when its hour is edited.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from .cron_day import DayWord, date_word, weekday_word
from .errors import ScheduleError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CronField:
    """What may stand in a field. One object for each kind: compared by identity, so that it is a quick key."""

    noun: str
    low: int
    high: int
    names: dict[str, int] = field(default_factory=dict)
    cycle: int
    """How many different values there are: a longer step would only ever give the first."""
    hash_slot: int | None
    """Which eight bytes of the hash are this field's; None: no H here."""
    hash_high: int
    """The largest value of a plain H: of the days those that every month has."""


_MONTHS = {name: i for i, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_WEEKDAYS = {name: i for i, name in enumerate("sun mon tue wed thu fri sat".split())}

SECOND = CronField(noun="second", low=0, high=59, cycle=60, hash_slot=0, hash_high=59)
MINUTE = CronField(noun="minute", low=0, high=59, cycle=60, hash_slot=1, hash_high=59)
HOUR = CronField(noun="hour", low=0, high=23, cycle=24, hash_slot=2, hash_high=23)
DAY = CronField(noun="day", low=1, high=31, cycle=31, hash_slot=3, hash_high=28)
MONTH = CronField(noun="month", low=1, high=12, cycle=12, names=_MONTHS, hash_slot=4, hash_high=12)
WEEKDAY = CronField(noun="weekday", low=0, high=7, cycle=7, names=_WEEKDAYS, hash_slot=5, hash_high=6)
YEAR = CronField(noun="year", low=1970, high=2199, cycle=230, hash_slot=None, hash_high=2199)

LAYOUTS = {
    5: (MINUTE, HOUR, DAY, MONTH, WEEKDAY),
    6: (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY),
    7: (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, YEAR),
}
"""The fields of an expression, by their number."""

_PLACES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
_ITEM = re.compile(r"(\*|[0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?(?:/([0-9]+))?")
_HASHED = re.compile(r"(?i)H(?:\(([0-9A-Za-z]+)-([0-9A-Za-z]+)\))?(?:/([0-9]+))?")
_LONGEST_NUMBER = 9
_WORDS = re.compile(r"(?i)(?:[0-9]*|[a-z]{3})(?P<L>L).*|.*[0-9L](?P<W>W).*|\w+(?P<N>#).*|(?P<R>R)(?:\W.*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldText:
    """One field as it was written, and where."""

    kind: CronField
    text: str
    place: int
    expression: str
    hash_key: str = ""

    @property
    def where(self) -> str:
        return f'({_PLACES[self.place]} field of "{self.expression}")'


def parse_field(written: FieldText) -> tuple[frozenset[int], frozenset[DayWord]]:
    """The values that a field names, and what only a month can name; of the weekdays 7 stays 7, as Sunday may be either end.

    Raises: ScheduleError that names the field, its place and the expression.
    """
    kind = written.kind
    if written.text == "?" and kind in (DAY, WEEKDAY):
        return frozenset(range(kind.low, kind.low + kind.cycle)), frozenset()
    values: set[int] = set()
    words: set[DayWord] = set()
    for item in written.text.split(","):
        match = _ITEM.fullmatch(item)
        if match is not None and (match[1] == "*" or _is_value(kind, match[1])):
            values.update(_plain(written, item, match))
        elif (word := _day_word(kind, item)) is not None:
            words.add(word)
        elif (hashed := _HASHED.fullmatch(item)) is not None and kind.hash_slot is not None:
            values.update(_hashed(written, item, hashed))
        else:
            raise _not_a_value(written, item)
    return frozenset(values), frozenset(words)


def _plain(written: FieldText, item: str, match: re.Match[str]) -> range:
    kind, where = written.kind, written.where
    first, last, step_text = match[1], match[2], match[3]
    if first == "*":
        if last is not None:
            raise _not_a_value(written, item)
        # A star of weekdays is 0-6: with both Sundays `*/7` would be right by luck only.
        low, high = kind.low, kind.low + kind.cycle - 1
    else:
        if last is not None and not _is_value(kind, last):
            raise _not_a_value(written, item)
        low = _value(written, first)
        high = low if last is None else _value(written, last)
        if last is None and step_text is not None:
            raise ScheduleError(
                f'{kind.noun} "{item}" has a step but no range {where}',
                help=f"write {first}-{max(low, kind.low + kind.cycle - 1)}/{step_text} or */{step_text}",
            )
    step = _step(written, item, step_text)
    if low > high:
        raise ScheduleError(
            f'{kind.noun} range "{item}" runs backwards {where}',
            help=f"write {_forward(kind, low, high, step)}",
        )
    return range(low, high + 1, step)


def _hashed(written: FieldText, item: str, match: re.Match[str]) -> range:
    kind, where = written.kind, written.where
    if not written.hash_key:
        raise ScheduleError(
            f'{kind.noun} "{item}": H is hashed from a name, and there is none {where}',
            help="give the entry's name as hash_key, or write a number",
        )
    low, high = kind.low, kind.hash_high
    if match[1] is not None:
        if not (_is_value(kind, match[1]) and _is_value(kind, match[2])):
            raise _not_a_value(written, item)
        low, high = _value(written, match[1]), _value(written, match[2])
        if low > high:
            raise ScheduleError(
                f'{kind.noun} range "{item}" runs backwards {where}', help=f"write H({high}-{low})"
            )
    slot = _slot(kind, written.hash_key)
    if match[3] is None:
        value = low + slot % (high - low + 1)
        return range(value, value + 1)
    step = _step(written, item, match[3])
    if step > high - low + 1:
        raise ScheduleError(
            f'step {step} of {kind.noun} "{item}" is longer than {low}-{high} {where}',
            help=f"write {item.partition('/')[0]}",
        )
    return range(low + slot % step, high + 1, step)


def _slot(kind: CronField, hash_key: str) -> int:
    digest = hashlib.blake2b(hash_key.encode("utf-8", "surrogatepass"), digest_size=48).digest()
    begin = 8 * (kind.hash_slot or 0)
    return int.from_bytes(digest[begin : begin + 8])


def _day_word(kind: CronField, item: str) -> DayWord | None:
    if kind is DAY:
        return date_word(item)
    return weekday_word(item, kind.names) if kind is WEEKDAY else None


def _is_value(kind: CronField, token: str) -> bool:
    return token.isdigit() or token.lower() in kind.names


def _value(written: FieldText, token: str) -> int:
    kind = written.kind
    if not token.isdigit():
        return kind.names[token.lower()]
    value = int(token) if len(token) <= _LONGEST_NUMBER else 10**_LONGEST_NUMBER
    if not kind.low <= value <= kind.high:
        raise ScheduleError(
            f"{kind.noun} {token[:20]} is out of range {kind.low}-{kind.high} {written.where}"
        )
    return value


def _step(written: FieldText, item: str, text: str | None) -> int:
    if text is None:
        return 1
    kind = written.kind
    step = int(text) if len(text) <= _LONGEST_NUMBER else 10**_LONGEST_NUMBER
    if not 1 <= step <= kind.cycle:
        raise ScheduleError(
            f'step {text[:20]} of {kind.noun} "{item[:40]}" is out of range 1-{kind.cycle} {written.where}',
            help="a step starts anew with each hour, day, month or year; for longer distances use every:",
        )
    return step


def _forward(kind: CronField, low: int, high: int, step: int) -> str:
    """A range that wraps around, written as cron has it."""
    if kind is YEAR:
        return f"{high}-{low}" if step == 1 else f"{high}-{low}/{step}"
    if kind is WEEKDAY and low == kind.high:
        return f"0-{high}" if step == 1 else f"0-{high}/{step}"
    if kind is WEEKDAY and high == 0 and step == 1:
        return f"{low}-7"
    top = kind.low + kind.cycle - 1
    if step == 1:
        return ",".join(f"{a}-{b}" if a != b else f"{a}" for a, b in ((low, top), (kind.low, high)))
    span = range(low, high + kind.cycle + 1, step)
    return ",".join(
        str(value) for value in sorted({(value - kind.low) % kind.cycle + kind.low for value in span})
    )


def _not_a_value(written: FieldText, item: str) -> ScheduleError:
    kind, where, shown = written.kind, written.where, item[:40]
    if "?" in item:
        return ScheduleError(
            f'"?" stands alone, in a day field that does not matter {where}', help="write * or a value"
        )
    word = _WORDS.fullmatch(item)
    if word is not None:
        sign = next(part for part in word.groups() if part is not None).upper()
        return ScheduleError(f'{kind.noun} "{shown}" is not a use of {sign} {where}', help=_SIGNS[sign])
    if item[:1] in "Hh" and kind.hash_slot is not None and item:
        return ScheduleError(f'{kind.noun} "{shown}" is not a use of H {where}', help=_SIGNS["H"])
    if item == "":
        return ScheduleError(f"{kind.noun} has an empty place in its list {where}", help="remove the comma")
    known = f"{kind.low}-{kind.high}" + (
        f" or {'-'.join((*kind.names,)[:: len(kind.names) - 1])}" if kind.names else ""
    )
    return ScheduleError(f'"{shown}" is not a {kind.noun} {where}', help=f"{known}, as 1, 1-5, 1,3, * or */2")


_SIGNS = {
    "L": "in the day field L is the last day, L-3 the third before it and LW the last workday; "
    "in the weekday field 5L is the last Friday, and Saturday is 6",
    "W": "in the day field 15W is the workday nearest to the 15th and LW the last one; a range of days is mon-fri",
    "#": "in the weekday field 5#3 is the third Friday; one weekday, and 1-5",
    "R": "random times would differ from host to host; H draws one from the entry's name",
    "H": "H, H/15, H(0-29) or H(0-29)/10",
}
