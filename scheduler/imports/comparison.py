"""Comparison: when the other scheduler fires and when ours does, over the same days, and what explains the difference.

PURE. A difference is explained or it is not: intervals in another phase, the sun computed by another library, and what Celery does
around clock changes are explained; everything else is for a human to look at before the file is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import pairwise

from ..entry import Entry
from ..schedule import Crontab, Interval, RRule, Solar
from ..zone import offset_at, zone_rules
from .haul import Draft, Fires

_SECOND_US = 1_000_000
_HOUR_US = 3_600 * _SECOND_US
_SUN_US = 180 * _SECOND_US
"""Two libraries agree on the sun within less than this."""
_AROUND_CHANGE_US = 25 * _HOUR_US
"""A clock change can move the fire times of the day that follows it."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Verdict(Enum):
    """What a comparison says."""

    SAME = "same"
    EXPLAINED = "explained"
    DIFFERENT = "different"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Of one entry. `first_us` is the first fire time that only one of the two has."""

    name: str
    verdict: Verdict
    theirs: int = 0
    ours: int = 0
    first_us: int | None = None
    text: str = ""

    def line(self) -> str:
        """The comparison on one line."""
        counts = (
            f"{self.theirs} and {self.ours} fire times"
            if self.theirs != self.ours
            else f"{self.ours} fire times"
        )
        shown = "" if self.verdict is Verdict.NOT_COMPARED else f" ({counts})"
        return f"{self.verdict.value:<12} {self.name}{shown}{': ' + self.text if self.text else ''}"


def compare(draft: Draft) -> Comparison:
    """Our fire times against those of the draft."""
    entry, theirs = draft.entry, draft.theirs
    if theirs is None:
        return Comparison(
            name=entry.name, verdict=Verdict.NOT_COMPARED, text="nobody said when it fires there"
        )
    ours = fire_times(entry, theirs.from_us, theirs.to_us, len(theirs.times_us) + 1_000)
    verdict, text = _verdict(entry, theirs, ours)
    only = sorted({*theirs.times_us} ^ {*ours})
    if verdict is Verdict.DIFFERENT:
        side = "Celery" if only[0] in theirs.times_us else "backbeat"
        text = f"{len(only)} differ, the first is {_shown(only[0])}, by {side} alone"
    return Comparison(
        name=entry.name,
        verdict=verdict,
        theirs=len(theirs.times_us),
        ours=len(ours),
        first_us=only[0] if only else None,
        text=text,
    )


def fire_times(entry: Entry, from_us: int, to_us: int, limit: int) -> tuple[int, ...]:
    """The fire times after `from_us`, up to `to_us`, `limit` at most."""
    times: list[int] = []
    fire_us = entry.next_after(from_us)
    while fire_us is not None and fire_us <= to_us and len(times) < limit:
        times.append(fire_us)
        fire_us = entry.next_after(fire_us)
    return tuple(times)


def _verdict(entry: Entry, theirs: Fires, ours: tuple[int, ...]) -> tuple[Verdict, str]:
    if theirs.times_us == ours:
        return Verdict.SAME, ""
    match entry.when:
        case Interval() | RRule() if _is_other_phase(
            theirs.times_us, ours, getattr(entry.when, "timezone", "UTC")
        ):
            return (
                Verdict.EXPLAINED,
                "the same distances from another beginning: Celery counts from its own start",
            )
        case Solar() if len(ours) == len(theirs.times_us) and all(
            abs(a - b) < _SUN_US for a, b in zip(theirs.times_us, ours, strict=True)
        ):
            return Verdict.EXPLAINED, "the sun as another library computes it, less than 3 minutes apart"
        case Crontab(timezone=zone) | RRule(timezone=zone) if (
            change := _change(zone, theirs.times_us, ours)
        ) is not None:
            return (
                Verdict.EXPLAINED,
                f"the clock of {zone} changes at {_shown(change)}; docs/migrating.md says what Celery does there",
            )
        case _:
            return Verdict.DIFFERENT, ""


def _is_other_phase(theirs: tuple[int, ...], ours: tuple[int, ...], zone: str) -> bool:
    """Equal distances on the clock of `zone`, one more or less of them, in both."""
    rules = zone_rules(zone)
    walls = [
        [each + offset_at(rules, each // _SECOND_US) * _SECOND_US for each in times]
        for times in (theirs, ours)
    ]
    distances = {later - earlier for wall in walls for earlier, later in pairwise(wall)}
    return len(distances) <= 1 and abs(len(theirs) - len(ours)) <= 1


def _change(zone: str, theirs: tuple[int, ...], ours: tuple[int, ...]) -> int | None:
    """The clock change around which all differences lie."""
    differing = sorted({*theirs} ^ {*ours})
    rules = zone_rules(zone)
    hour = differing[0] // _HOUR_US * 3_600
    for second in range(hour - 26 * 3_600, differing[-1] // _SECOND_US + 4 * 3_600, 900):
        if offset_at(rules, second) != offset_at(rules, second - 900):
            change_us = second * _SECOND_US
            near = all(-3 * _HOUR_US <= each - change_us <= _AROUND_CHANGE_US for each in differing)
            return change_us if near else None
    return None


def _shown(moment_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=moment_us)).strftime("%Y-%m-%d %H:%M:%SZ")
