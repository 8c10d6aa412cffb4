"""Gap: fixed times of day that a clock change of the coming year skips.

PURE: the date comes in. The schedule works - `dst` says how - but who wrote 02:30 in Berlin should know about the last Sunday of
March. Called by `backbeat check` only, for what it says depends on the day on which it is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from ..schedule import Crontab, Dst
from ..zone import Zone, zone_named, zone_rules
from .definition import Definition
from .local_time import EPOCH
from .node import Node
from .problem import Fault, Problem, quoted
from .timing import Timing, expressions, parts, read_crontab

_YEAR = 366 * 86_400
_CORRECTION = 3 * 3_600  # more than that is no clock change (clock_change.py)
_SECOND_US = 1_000_000


def gap_warnings(definitions: Iterable[Definition], now_us: int) -> list[Problem]:
    """W192 for each cron expression with a time that does not exist on a day of the year after `now_us`."""
    return [
        Problem.of(fault, definition.entry.name)
        for definition in definitions
        for fault in _of_definition(definition, now_us // _SECOND_US)
    ]


def _of_definition(definition: Definition, now: int) -> Iterator[Fault]:
    keys = definition.keys
    if keys.get("dst") is not None:
        return  # who wrote the rule knows
    timing = Timing(keys=keys, zone=definition.zone, name=definition.entry.name, warnings=[])
    for node, around in _crons(timing):
        for item, expression in expressions(node):
            if expression.lower().startswith("@every"):
                continue
            fault = _fault(item, read_crontab(item, expression, around), now)
            if fault is not None:
                yield fault


def _crons(timing: Timing) -> Iterator[tuple[Node, Timing]]:
    """Each `cron:` of a schedule, the parts of its `any:` included."""
    node = timing.keys.get("cron")
    if node is not None:
        yield node, timing
    for part in parts(timing):
        yield from _crons(part)


def _fault(node: Node, crontab: Crontab, now: int) -> Fault | None:
    zone = zone_rules(crontab.timezone)
    for begin, width in _gaps(zone, now):
        # The same expression under `skip` misses the instant after the gap if, and only if, a skipped time falls there.
        before = (begin - 1) * _SECOND_US
        here = crontab.next_after(before)
        skipping = replace(crontab, dst=Dst.SKIP)
        if here == begin * _SECOND_US and skipping.next_after(before) != here:
            shown = (EPOCH + timedelta(seconds=begin)).astimezone(zone_named(crontab.timezone))
            message = (
                f"{quoted(crontab.expression)} names a time that {shown:%d %B %Y} does not have in {crontab.timezone}: "
                f"the clock jumps over {width // 60} minutes"
            )
            help_text = f"it runs at {shown:%H:%M} then; `dst: once` says that this is meant, `dst: skip` leaves it out"
            return Fault(node.place, "W192", message, help=help_text)
    return None


def _gaps(zone: Zone, now: int) -> Iterator[tuple[int, int]]:
    """The first instants after gaps within a year, and how many seconds each gap leaves out."""
    zone.reach(now)
    bounds, offsets = zone.reach(now + _YEAR)
    for place in range(1, len(offsets)):
        width = offsets[place] - offsets[place - 1]
        if now < bounds[place] <= now + _YEAR and 0 < width <= _CORRECTION:
            yield bounds[place], width
