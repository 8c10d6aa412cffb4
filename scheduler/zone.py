"""Zone: a time zone as stretches of constant offset, so that a schedule computes with additions instead of datetimes.

PURE but for zone data, which zone_data.py reads once a zone: the tzdata package's, so that hosts of one installation agree, whatever
their systems have. All entries of a zone share one `Zone`, and what it has learnt.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_right
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from .errors import ScheduleError
from .zone_data import load_zone, zone_data_version, zone_names

__all__ = [
    "FIRST_SECOND",
    "LAST_SECOND",
    "Zone",
    "offset_at",
    "zone_data_version",
    "zone_named",
    "zone_rules",
]

DAY = 86_400
FIRST_SECOND = -62_135_596_800 + 5 * DAY
"""Schedules begin here: a few days into year 1, so that local times stay inside what datetime can hold."""
LAST_SECOND = 253_402_300_800 - 400 * DAY
"""And end here: more than a year before the year 10000."""

_YEAR = 366 * DAY
_LONGEST_NAME = 60
_ABBREVIATION = 4
_SHIFTED = re.compile(r"[+-]\d")
_FAR = 60 * _YEAR
_ENDLESS = 1 << 62

Stretches = tuple[tuple[int, ...], tuple[int, ...]]
"""(bounds, offsets): from bounds[i] to before bounds[i+1], in seconds since 1970 UTC, local time is UTC plus offsets[i] seconds.

The first and the last bound are where knowledge ends; each bound between them is a change of the offset.
"""


def zone_named(name: str) -> ZoneInfo:
    """The zone of an IANA name such as Europe/Berlin.

    Raises: ScheduleError for a name that is not known, with the nearest one that is.
    """
    try:
        return load_zone(name)
    except (KeyError, TypeError):  # unknown; a list, which has no hash
        raise ScheduleError(f'unknown time zone "{name}"', help=_nearest(str(name))) from None


def zone_rules(name: str) -> Zone:
    """The shared `Zone` of an IANA name. Raises: ScheduleError as `zone_named`."""
    return _shared(name if isinstance(name, str) else str(name))


@cache
def _shared(name: str) -> Zone:
    return Zone(zone_named(name))


class Zone:
    """Stretches of one zone, learnt as they are asked for.

    `known` is one immutable tuple that is replaced as a whole, so threads may share a zone: the worst they do is learn twice.
    `calm` is clock_change's note of the stretch that was asked about last, (from, to before, offset), without the hours after its
    begin in which a repeated time may need judging; replaced as a whole, too.
    """

    __slots__ = ("_tz", "calm", "known")

    calm: tuple[int, int, int]
    known: Stretches

    def __init__(self, tz: tzinfo) -> None:
        self._tz = tz
        self.calm = 0, 0, 0
        # Zones without any change answer for None; those, UTC above all, are one endless stretch.
        fixed = tz.utcoffset(None) if isinstance(tz, (ZoneInfo, timezone)) else None
        if fixed is None:
            self.known = ((0, 0), ())
        else:
            self.known = ((-_ENDLESS, _ENDLESS), (fixed.days * DAY + fixed.seconds,))

    def __reduce__(self) -> tuple[type[Zone], tuple[tzinfo]]:
        return Zone, (self._tz,)

    def reach(self, second: int) -> Stretches:
        """What is known, after learning whatever misses of the year around `second` (FIRST_SECOND to LAST_SECOND)."""
        bounds, offsets = self.known
        low, high = bounds[0], bounds[-1]
        if low + DAY <= second < high:
            return self.known
        if not offsets or not low - _FAR < second < high + _FAR:  # to learn all years between would take long
            low = high = second
            bounds, offsets = (second, second), ()
        if second - DAY < low:
            bounds, offsets = _join(self._learn(second - _YEAR, low), (bounds, offsets))
        if second >= high:
            bounds, offsets = _join((bounds, offsets), self._learn(high, second + _YEAR))
        self.known = bounds, offsets
        return self.known

    def _learn(self, low: int, high: int) -> Stretches:
        """One look a day: no zone has changed twice within a day (the nearest two changes of 2026f are more than two days apart)."""
        low = max(low, FIRST_SECOND - 2 * DAY)
        bounds, offsets = [low], [self._offset(low)]
        seen = low
        while seen < high:
            look = min(seen + DAY, high)
            offset = self._offset(look)
            if offset != offsets[-1]:
                before, after = seen, look
                while after - before > 1:
                    middle = (before + after) // 2
                    before, after = (
                        (middle, after) if self._offset(middle) == offsets[-1] else (before, middle)
                    )
                if after < high:  # a change exactly at `high` belongs to the next part, which begins with it
                    bounds.append(after)
                    offsets.append(offset)
            seen = look
        return (*bounds, high), tuple(offsets)

    def _offset(self, second: int) -> int:
        offset = datetime.fromtimestamp(second, self._tz).utcoffset()
        assert offset is not None  # an aware datetime has one
        return offset.days * DAY + offset.seconds


def offset_at(zone: Zone, second: int) -> int:
    """Seconds that local time is ahead of UTC at `second`."""
    bounds, offsets = zone.reach(second)
    return offsets[bisect_right(bounds, second) - 1]


def zone_name(zone: object) -> str:
    """The IANA name of a zone that is a text or a tzinfo, pytz's too; UTC for None. Raises ScheduleError for a zone without a name."""
    if zone is None:
        return "UTC"
    if isinstance(zone, str):
        return zone
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if isinstance(name, str):
        return name
    if isinstance(zone, tzinfo) and zone.utcoffset(None) == timedelta(0):
        return "UTC"
    raise ScheduleError(f"the time zone {zone!r} has no name", help='timezone = "Europe/Berlin"')


def plain_zone(zone: Any) -> Any:
    """A zone that is a tzinfo, pytz's too, as its name; anything else as it is, for `zone_rules` to judge."""
    return zone_name(zone) if isinstance(zone, tzinfo) else zone


def _join(left: Stretches, right: Stretches) -> Stretches:
    """Two neighbours as one, without a bound where the offset does not change."""
    if not left[1]:
        return right
    if not right[1]:
        return left
    if left[1][-1] == right[1][0]:
        return left[0][:-1] + right[0][1:], left[1] + right[1][1:]
    return left[0][:-1] + right[0], left[1] + right[1]


@lru_cache(maxsize=256)
def _nearest(name: str) -> str:
    known, lowered, cities = _spellings()
    wanted = name.strip().lower().replace(" ", "_")[:_LONGEST_NAME]
    found = lowered.get(wanted)
    # Etc/GMT+1 is an hour behind UTC, and EST is not like CEST: there the nearest spelling would be another time
    if found is None and not _SHIFTED.search(wanted):
        found = cities.get(wanted)
        if found is None and len(wanted) > _ABBREVIATION:
            near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.7)
            found = lowered[near[0]] if near else None
    return f"did you mean {found}?" if found else "an IANA name such as Europe/Berlin, or UTC"


@cache
def _spellings() -> tuple[list[str], dict[str, str], dict[str, str]]:
    names = sorted(zone_names())
    lowered = {name.lower(): name for name in names}
    return list(lowered), lowered, {name.lower().rpartition("/")[2]: name for name in names if "/" in name}
