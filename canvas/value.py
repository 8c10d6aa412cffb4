"""Value: what users give for a setting or an option, read: numbers in their bounds, flags, names. PURE.

A reader takes the name, for the message, and the value; it returns the value, or raises ImproperlyConfigured with what was found and what
to write. Used for settings (setting.py) and for options of tasks, sends and retries. It is not for what comes with messages: those are
checked in message.py, as a stranger's message must never be an error of ours.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

from msgspec import Struct

from .errors import ImproperlyConfigured
from .ids import plain_id
from .message import LONGEST_SECONDS

LONGEST_NAME = 255
"""Bytes that brokers and databases take."""
Read = Callable[[str, Any], Any]


class Bound(Struct, frozen=True, kw_only=True):
    """Reads a number, also one of NumPy's or a timedelta. Infinity and "not a number" never are in bounds, nor are True and False."""

    lowest: float = 0
    highest: float = LONGEST_SECONDS
    above: bool = False
    """`lowest` itself is out of bounds."""
    whole: bool = False
    """A count; else seconds."""

    def __call__(self, name: str, value: Any) -> Any:
        number = number_of(value)
        if not self.holds(number):
            raise ImproperlyConfigured(f"{name} must be {self}, found {value!r:.100}")
        return number

    def holds(self, value: object) -> bool:
        """Whether a number, as `number_of` gives it, is in bounds."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return self.lowest <= value <= self.highest and not (self.above and value == self.lowest)

    def __str__(self) -> str:
        what = "a whole number" if self.whole else "seconds"
        highest = "a century" if self.highest == LONGEST_SECONDS else f"{self.highest:,}"
        if self.above:
            return f"{what} above {self.lowest:,} and at most {highest}"
        return f"{what} from {self.lowest:,} to {highest}"


def number_of(value: object) -> int | float | None:
    """The number of Python's own that `value` is: an int, a float, or the seconds of a timedelta. None if it is none, as True and False are.

    Numbers of NumPy's, decimals and fractions are so many numbers, too; what counts, such as numpy.int64, gives an int.
    """
    if type(value) in (int, float):  # nearly always, and this is on the way of every send
        return value  # type: ignore[return-value]  # as the line above says
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, timedelta):
            return value.total_seconds()
        if isinstance(value, Integral):
            return int(value)
        if hasattr(value, "__index__"):
            return operator.index(value)
        if isinstance(value, Real | Decimal):
            return float(value)
    except (TypeError, ValueError, OverflowError):  # arrays have __index__, and cannot always do it
        return None
    return None


LARGEST_COUNT = 2**31 - 1
"""What every database has a column for."""
COUNT = Bound(lowest=1, highest=LARGEST_COUNT, whole=True)
SECONDS = Bound()
LIMIT = Bound(above=True)
"""A time limit. None is how to say that there is none; 0 would be as good as that, or end each task at once: nobody can tell."""


def flag(name: str, value: Any) -> Any:
    """True or False; text such as "no" would be true, and numbers are not meant."""
    if not isinstance(value, bool):
        raise ImproperlyConfigured(f"{name} must be True or False, found {value!r:.100}")
    return value


def patience(name: str, value: Any) -> Any:
    """Seconds to wait. Less than none is none, as who waits for several things in turn may come to that."""
    number = number_of(value)
    return 0.0 if number is not None and number < 0 else SECONDS(name, value)


def text(name: str, value: Any) -> Any:
    """A text, which may be empty."""
    if not isinstance(value, str):
        raise ImproperlyConfigured(f"{name} must be a text, found {value!r:.100}")
    return value


def key(name: str, value: Any) -> Any:
    """A name that brokers and databases take: LONGEST_NAME bytes at most, and nothing that cannot be printed."""
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value.encode()) <= LONGEST_NAME:
        raise ImproperlyConfigured(
            f"{name} must be a printable text of 1 to {LONGEST_NAME} bytes, found {value!r:.80}"
        )
    return value


def identity(name: str, value: Any) -> Any:
    """An id: as `key`, or a UUID, which becomes its text."""
    return key(name, plain_id(value))


def identities(name: str, value: Any) -> list[str]:
    """One id or several, as a list."""
    value = plain_id(value)
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Iterable) or isinstance(value, Mapping | bytes):
        raise ImproperlyConfigured(
            f"{name} must be a text, or a list of them for several, found {value!r:.80}"
        )
    return [identity(name, item) for item in value]


def label(name: str, value: Any) -> Any:
    """As `key`, but it may be empty."""
    return value if value == "" else key(name, value)


def texts(name: str, value: Any) -> Any:
    """Several texts, as a list or a tuple; a single one is one of them."""
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Iterable) or isinstance(value, Mapping | bytes):
        raise ImproperlyConfigured(
            f"{name} must be a list or a tuple: write ('one', 'two'), found {value!r:.80}"
        )
    found = value if isinstance(value, list | tuple) else tuple(value)
    for item in found:
        key(f"each of {name}", item)
    return found


def mapping(name: str, value: Any) -> Any:
    """A map with texts as keys."""
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value):
        # its values may be secrets
        raise ImproperlyConfigured(f"{name} must be a map with texts as keys, found {_shape(value)}")
    return value


def url(name: str, value: Any) -> Any:
    """A URL, or what may become one."""
    if not isinstance(value, str):  # it may hold a password
        raise ImproperlyConfigured(f"{name} must be a text such as redis://host, found {_shape(value)}")
    return value


def optional(read: Read) -> Read:
    """As `read`, but None is let pass."""
    return lambda name, value: None if value is None else read(name, value)


def positional(args: Any) -> list[Any]:
    """Positional arguments. Raises TypeError for a text or a map, of which a list would have the letters or the keys."""
    if isinstance(args, list | tuple):  # nearly always, and this is on the way of every send
        return list(args)
    if isinstance(args, str | bytes | Mapping) or not isinstance(args, Iterable):
        raise TypeError(f"args must be a list or a tuple, found {args!r:.100}")
    return list(args)


def keywords(kwargs: Any) -> dict[str, Any]:
    """Keyword arguments. Raises TypeError for what is no map of names: JSON would turn other keys into texts without a word."""
    if kwargs == {}:
        return {}
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise TypeError(f"kwargs must be a map with texts as keys, found {kwargs!r:.100}")
    return dict(kwargs)


def check_limits(options: Mapping[str, Any], prefix: str = "") -> None:
    """Raise ImproperlyConfigured for a soft limit that could never be told before the hard one has ended the task.

    `options` are of one place, and each limit of them was read: what one place says may well cut short what another says.
    """
    hard, soft = (
        number_of(options.get(f"{prefix}time_limit")),
        number_of(options.get(f"{prefix}soft_time_limit")),
    )
    if hard is not None and soft is not None and soft >= hard:
        raise ImproperlyConfigured(
            f"{prefix}soft_time_limit must be below {prefix}time_limit: {soft} is not below {hard}, so the task would be ended before "
            "it was told"
        )


def _shape(value: Any) -> str:
    return f"a {type(value).__name__}"
