"""ClockChange: the next fire time of wall-clock times in a zone, with Debian cron's rule for hours that miss or come twice.

PURE. Called by Crontab, Months and RRule. Seconds since 1970; `instant` is UTC, `local` is the wall clock's.

Theory. A zone is a row of stretches of constant offset. Inside a stretch local times and instants run in step, so the next fire time
is one search in the calendar and one subtraction. All rules are about the bound between two stretches:

    offset grows (gap)     local times [bound + before, bound + offset) do not exist.
                           wild: nothing. fixed: if one of them matches, the entry fires at the bound itself, once however
                           many there are (Dst.SKIP: not at all).
    offset shrinks (fold)  local times [bound + offset, bound + before) come a second time.
                           wild: they fire again. fixed: they do not (Dst.TWICE: they do).
    by more than 3 hours   a correction (Apia 2011, Kwajalein 1993), not a clock change: the new wall clock is taken as it is,
                           lost times are lost and repeated ones are new.

A cron entry is wild if its minute or hour field begins with `*` (of six fields also the second), an RRULE if its frequency is
hourly or higher: it stands for "every so often" and follows elapsed time.
Each hop to a later bound moves the instant forward, so the search ends and its answer is always later than its argument.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import Enum
from typing import Protocol

from .zone import FIRST_SECOND, LAST_SECOND, Zone

CORRECTION = 3 * 3_600
_DAY = 86_400
_HORIZON = 50 * 366 * _DAY
"""From the first matching time on: longer than any wait of the calendar (40 years); only a time that falls into a gap each year,
under SKIP, gets there."""


class Dst(Enum):
    """What becomes of a fixed time of day that a clock change skips or repeats. Wildcard entries follow elapsed time always."""

    ONCE = "once"
    """Debian cron's rule: a skipped time fires at the first instant after the gap, a repeated one the first time only."""
    SKIP = "skip"
    """A skipped time does not fire; a repeated one the first time only."""
    TWICE = "twice"
    """A skipped time fires at the first instant after the gap; a repeated one both times."""


class LocalTimes(Protocol):
    """Times of the wall clock, as if it never changed. A value; any thread."""

    @property
    def wild(self) -> bool:
        """It follows elapsed time, not the wall clock."""

    def next_local(self, local: int) -> int | None:
        """First of the times strictly later than `local`, both in seconds since 1970-01-01 00:00 of the wall clock; None: never again."""


def next_fire(times: LocalTimes, zone: Zone, dst: Dst, after: int) -> int | None:
    """First instant strictly later than `after` at which the entry fires; None if there is none within 50 years of the first matching time."""
    low, high, offset = zone.calm
    if low <= after < high:
        wanted = times.next_local(after + offset)
        if wanted is None:
            return None
        if wanted - offset < high:
            return wanted - offset
        return _walk(times, zone, dst, after + 1, wanted)
    return _next_fire(times, zone, dst, after)


def _next_fire(times: LocalTimes, zone: Zone, dst: Dst, after: int) -> int | None:
    """`next_fire` away from the calm that the zone remembers."""
    first = after + 1
    if not FIRST_SECOND <= first < LAST_SECOND:
        if first >= LAST_SECOND:
            return None
        first = FIRST_SECOND
    bounds, offsets = zone.known
    if not bounds[0] + _DAY <= first < bounds[-1]:
        bounds, offsets = zone.reach(first)
    at = bisect_right(bounds, first) - 1
    begin, end, offset = bounds[at], min(bounds[at + 1], LAST_SECOND), offsets[at]
    if first - begin <= CORRECTION and at > 0:
        return _walk(times, zone, dst, first, None)
    zone.calm = max(begin + (CORRECTION if at else _DAY), FIRST_SECOND), end, offset
    wanted = times.next_local(first + offset - 1)
    if wanted is None:
        return None
    if wanted - offset < end:
        return wanted - offset
    return _walk(times, zone, dst, first, wanted)


def _walk(times: LocalTimes, zone: Zone, dst: Dst, instant: int, wanted: int | None) -> int | None:
    """The search over bounds. `wanted`, where given, is the first matching local time from `instant` on in its stretch."""
    bounds, offsets = zone.known
    # known with the first matching time, which may be centuries away: a start, a year field
    horizon: int | None = None
    while instant < (LAST_SECOND if horizon is None else horizon):
        if not bounds[0] + _DAY <= instant < bounds[-1]:
            bounds, offsets = zone.reach(instant)
        at = bisect_right(bounds, instant) - 1
        begin, end, offset = bounds[at], bounds[at + 1], offsets[at]
        before = offsets[at - 1] if at else offset
        floor = instant + offset
        changed = begin + before  # what the wall clock would show at the bound, had nothing changed
        if not times.wild and 0 < abs(offset - before) <= CORRECTION:
            if offset < before:
                floor = floor if dst is Dst.TWICE else max(floor, changed)
            elif instant == begin and dst is not Dst.SKIP:
                wanted = times.next_local(changed - 1) if wanted is None else wanted
                if wanted is not None and wanted < floor:
                    return begin
        # the last: the clock went back behind what was searched
        if wanted is None or wanted < floor or floor < changed:
            wanted = times.next_local(floor - 1)
            if wanted is None:
                return None
        if wanted - offset < end:
            return wanted - offset
        horizon = horizon or min(wanted - offset + _HORIZON, LAST_SECOND)
        # No local time from floor to `wanted` matches, so no bound between them can fire - but the clock may go back behind
        # floor at a bound that is near. Two days: offsets differ by 26 hours at most, and bounds lie farther apart than that.
        instant = max(end, wanted - offset - 2 * _DAY) if instant + 2 * _DAY < end else end
    return None
