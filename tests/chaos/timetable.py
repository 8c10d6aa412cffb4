"""Timetable: the entries of a run, as YAML for the beats and as plain arithmetic for the checker.

The arithmetic shares nothing with the scheduler: a fire time is one because of what its second or its millisecond is. All fields that
are used mean the same in every whole-hour zone and on every date, so that no run depends on when it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

STEP_US = 50_000
"""All fire times lie on this grid."""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry: its YAML without name and task, and whether an instant on the grid, in microseconds, is a fire time."""

    yaml: str
    fires: Callable[[int], bool]
    once: bool = False


def every(milliseconds: int, *, once: bool = False) -> Line:
    """An interval on the grid from 1970."""
    more = ", delivery: at_most_once" if once else ""
    return Line(f"every: {milliseconds}ms{more}", lambda at_us: at_us % (milliseconds * 1000) == 0, once)


def seconds(field: str, chosen: Callable[[int], bool], *, zone: str = "UTC") -> Line:
    """Six fields, of which only the second is not a star."""
    text = f"cron: '{field} * * * * *', cron_fields: 6, timezone: {zone}"
    return Line(text, lambda at_us: at_us % 1_000_000 == 0 and chosen(at_us // 1_000_000 % 60))


FIBONACCI = (1, 2, 3, 5, 8, 13, 21, 34, 55)
LINES: dict[str, Line] = {
    "tick": every(50),
    "quarter": every(250),
    "slow": every(700),
    "once": every(500, once=True),
    "second": seconds("*", lambda _: True),
    "even": seconds("*/2", lambda second: second % 2 == 0),
    "window": seconds("10-40/3", lambda second: 10 <= second <= 40 and (second - 10) % 3 == 0),
    "list": seconds(",".join(map(str, FIBONACCI)), lambda second: second in FIBONACCI),
    "berlin": seconds("*/7", lambda second: second % 7 == 0, zone="Europe/Berlin"),
    "minute": Line("cron: '* * * * *'", lambda at_us: at_us % 60_000_000 == 0),
}


def yaml_text(task: str) -> str:
    """The schedules file."""
    entries = (f"  {name}: {{{line.yaml}, task: {task}, args: [1, 2]}}\n" for name, line in LINES.items())
    return "defaults: {catch_up: all}\nschedules:\n" + "".join(entries)


def fire_times(line: Line, after_us: int, until_us: int) -> Iterator[int]:
    """Those in (after_us, until_us]."""
    first_us = after_us - after_us % STEP_US + STEP_US
    return (at_us for at_us in range(first_us, until_us + 1, STEP_US) if line.fires(at_us))
