"""Rate: how often a task may start, as users write it: 5, "100/s", "10/m", "3/h". PURE."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from .errors import ImproperlyConfigured
from .value import number_of

SECONDS_OF = {"s": 1.0, "m": 60.0, "h": 3_600.0}
SLOWEST, FASTEST = 1 / 86_400, 1_000_000
"""Starts in a second: below, nobody would see whether a task starts at all; beyond, no worker could keep it."""


class Rate(Struct, frozen=True):
    """So many starts, at least one, in any window of so many seconds."""

    count: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds from one start to the next, if they are spread evenly."""
        return self.seconds / self.count


def rate_of(name: str, value: Any) -> Rate | None:
    """What `value` says; None and 0 are no limit. A number, or a text without a unit, counts starts in a second.

    Raises ImproperlyConfigured, naming `name`, for what is no rate.
    """
    if value is None:
        return None
    count, seconds = _parts(value)
    if count == 0:
        return None
    if count is None or not SLOWEST <= count / seconds <= FASTEST:
        raise ImproperlyConfigured(
            f'{name} must be a number of starts in a second, or such as "100/s", "10/m" or "3/h", from one a day to '
            f"{FASTEST:,} a second; None or 0 is no limit; found {value!r:.100}"
        )
    whole = max(1, int(count))
    return Rate(whole, seconds * whole / count)


def _parts(value: Any) -> tuple[float | None, float]:
    """The count, and the seconds of its unit; None for what is no number."""
    if not isinstance(value, str):
        return number_of(value), 1.0
    text, slash, unit = value.strip().partition("/")
    try:
        # a number is of digits: float() takes "nan", "1_0" and " 1" too
        count = float(text) if text.replace(".", "", 1).isdecimal() else None
    except ValueError:
        count = None
    return (count, SECONDS_OF[unit]) if unit in SECONDS_OF else (None if slash else count, 1.0)
