"""Timetable: entries of every kind, drawn by a seed; thin enough that a year of them can be simulated, with hours and minutes that are dense.

The zones are those whose clocks change in odd ways: by half an hour, by two hours, at midnight, on the other half of the globe.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from backbeat.scheduler.blackout import DailyWindow, SpanWindow
from backbeat.scheduler.clock_change import Dst
from backbeat.scheduler.crontab import Crontab
from backbeat.scheduler.entry import SECOND_US, CatchUp, Delivery, Entry, Overlap
from backbeat.scheduler.exclusion import Except, OnExcept
from backbeat.scheduler.instants import AnyOf, Clocked, Interval, Schedule
from backbeat.scheduler.months import Months

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Africa/Cairo",
    "America/Santiago",
    "Pacific/Chatham",
    "Asia/Beirut",
    "America/Havana",
    "Europe/Dublin",
    "Africa/Casablanca",
)
DAY_US = 86_400 * SECOND_US


def timetable(draw: random.Random, start_us: int, days: int) -> list[Entry]:
    """Entries for one world."""
    kinds: tuple[Callable[[random.Random, int, int], tuple[Schedule, Mapping[str, Any]]], ...] = (
        _hours,
        _daily,
        _daily,
        _wild,
        _monthly,
        _union,
        _without,
        _jittered,
        _limited,
        _overlapping,
        _overlapping,
        _once,
        _seconds,
        _listed,
        _caught_up,
        _expiring,
        _poison,
    )
    entries = []
    for number, kind in enumerate(kinds):
        when, more = kind(draw, start_us, days)
        name = f"{kind.__name__[1:]}{number}"
        given = {
            "catch_up": draw.choice(list(CatchUp)),
            "what": {"task": f"app.{name}", "args": [number]},
            **more,
        }
        entries.append(Entry(name=name, when=when, **given))
    return entries


def _zone(draw: random.Random) -> str:
    return draw.choice(ZONES)


def _hours(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    every = timedelta(minutes=draw.choice((95, 150, 240, 390)))
    return Interval(every=every, anchor_us=draw.randrange(3_600) * SECOND_US), {}


def _daily(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    expression = f"{draw.choice((0, 5, 15, 30, 45, 59))} {draw.choice((0, 1, 2, 2, 3))} * * *"
    return Crontab(expression=expression, timezone=_zone(draw), dst=draw.choice(list(Dst))), {}


def _wild(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    return Crontab(
        expression=f"{draw.randrange(60)} */{draw.choice((3, 4, 6))} * * *", timezone=_zone(draw)
    ), {}


def _monthly(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    day = draw.choice((1, 15, 31))
    return Months(months=1, anchor=f"2020-01-{day:02}T02:30", timezone=_zone(draw)), {}


def _union(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    first, _ = _daily(draw, start_us, days)
    second, _ = _wild(draw, start_us, days)
    return AnyOf(schedules=(first, second)), {}


def _without(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    hours, _ = _hours(draw, start_us, days)
    begin_us = start_us + draw.randrange(max(1, days)) * DAY_US
    out = (
        DailyWindow(start="01:00", end=draw.choice(("02:30", "05:00")), timezone=_zone(draw)),
        SpanWindow(from_us=begin_us, to_us=begin_us + DAY_US),
    )
    return Except(when=hours, out=out, on_except=draw.choice(list(OnExcept))), {}


def _jittered(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    when, _ = _hours(draw, start_us, days)
    return when, {"jitter_us": 90 * SECOND_US, "spread_us": draw.choice((0, 40 * SECOND_US, None))}


def _limited(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    when, _ = _burst(draw, 5)
    return when, {"max_runs": draw.choice((1, 5, 40)), "catch_up": CatchUp.ALL}


def _overlapping(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    when, _ = _burst(draw, 5)
    overlap = draw.choice((Overlap.SKIP, Overlap.QUEUE, Overlap.CANCEL))
    return when, {"overlap": overlap, "overlap_timeout_us": draw.choice((120, 3_600)) * SECOND_US}


def _once(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    when, _ = _burst(draw, 5)
    return when, {"delivery": Delivery.AT_MOST_ONCE}


def _seconds(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    hour, minute = draw.randrange(24), draw.randrange(60)
    expression = f"*/{draw.choice((1, 2, 5))} {minute} {hour} * * {draw.choice(('mon', 'thu'))}"
    return Crontab(expression=expression, timezone=_zone(draw), fields=6), {}


def _listed(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    times = tuple(start_us + draw.randrange(days * DAY_US) for _ in range(10))
    return Clocked(times_us=times), {}


def _caught_up(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    when, _ = _burst(draw, 5)
    more: dict[str, Any] = {"catch_up": CatchUp.ALL, "catch_up_limit": draw.choice((2, 5, 1000))}
    more["catch_up_window_us"] = draw.choice((None, 600 * SECOND_US, DAY_US))
    more["catch_up_rate"] = draw.choice((None, None, 0.5))
    return when, more


def _expiring(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    when, _ = _burst(draw, 5)
    return when, {"what": {"task": "app.expiring", "options": {"expires": draw.choice((5.0, 90.0))}}}


def _poison(draw: random.Random, start_us: int, days: int) -> tuple[Schedule, Mapping[str, Any]]:
    when, _ = _daily(draw, start_us, days)
    return when, {"what": {"task": "app.poison"}}


def _burst(draw: random.Random, minutes: int) -> tuple[Schedule, Mapping[str, Any]]:
    """Each minute for some minutes, once a day."""
    first = draw.randrange(60 - minutes)
    return Crontab(
        expression=f"{first}-{first + minutes - 1} {draw.randrange(24)} * * *", timezone=_zone(draw)
    ), {}
