"""Length: lengths of time as people write them: "30s", "1h30m", "7d". PURE."""

from __future__ import annotations

import math
import re
from datetime import timedelta

_TEXT = re.compile(
    r"(?=[0-9])(?:(?P<weeks>[0-9]+)w)?(?:(?P<days>[0-9]+)d)?(?:(?P<hours>[0-9]+)h)?(?:(?P<minutes>[0-9]+)m)?"
    r"(?:(?P<seconds>[0-9]+)s)?(?:(?P<milliseconds>[0-9]+)ms)?"
)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
LONGEST_TEXT = 40


def length_of(text: object) -> timedelta | None:
    """The length that a text or a number (seconds) says; None for what says none. Units go from the longest to the shortest.

    Raises OverflowError and ValueError for more than a timedelta or a float holds.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        return None
    if isinstance(text, (int, float)):
        return timedelta(seconds=text) if math.isfinite(text) else None
    text = text.strip()
    if len(text) > LONGEST_TEXT:
        return None
    if _NUMBER.fullmatch(text):
        return timedelta(seconds=float(text))
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    return timedelta(**{unit: int(count) for unit, count in match.groupdict(default="0").items()})
