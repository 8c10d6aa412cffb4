"""Crontab against cronsim, the independent engine that also means Debian's cron: random expressions, and every difference has a name.

1,500 expressions always, 30,000 with BACKBEAT_ORACLE=all. Zones whose clocks change by whole hours: at Lord Howe's half hour cronsim is
wrong (the walk over real minutes says so). The table of the differences is in docs/cron.md.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.schedule import Crontab, zone_named
from cronsim import CronSim

ALL = os.environ.get("BACKBEAT_ORACLE") == "all"
EXPRESSIONS = 30_000 if ALL else 1_500
SEED = 20_261_121
FIRES = 6
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kolkata",
    "America/Asuncion",
    "Africa/Casablanca",
    "Europe/Dublin",
    "America/Sao_Paulo",
    "Australia/Sydney",
    "Asia/Tehran",
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTES, HOURS, DATES, MONTHS, WEEKDAYS = (0, 59), (0, 23), (1, 31), (1, 12), (0, 7)


def item(chance: random.Random, low: int, high: int) -> str:
    first, last = sorted((chance.randint(low, high), chance.randint(low, high)))
    step = chance.randint(1, max(2, (high - low) // 2))
    return chance.choice([f"{first}", f"{first}", f"{first}-{last}", f"{first}-{last}/{step}", f"*/{step}"])


def field(chance: random.Random, low: int, high: int, words: list[str]) -> str:
    kind = chance.random()
    if kind < 0.4:
        return "*"
    if words and kind < 0.5:
        return chance.choice(words)
    return ",".join(item(chance, low, high) for _ in range(chance.choice([1, 1, 2, 3])))


def expression_of(chance: random.Random) -> str:
    return " ".join(
        [
            field(chance, *MINUTES, []),
            field(chance, *HOURS, []),
            field(chance, *DATES, ["L", "LW", "L,15"]),
            field(chance, *MONTHS, ["jan-mar", "JUL"]),
            field(chance, *WEEKDAYS, ["5L", "0L", "1#1", "5#3", "1#1,1#3", "mon-fri"]),
        ]
    )


def start_of(chance: random.Random, zone: str) -> datetime:
    """Any time; every second one in the day before a clock change, where there is one in the half year after."""
    at = datetime(2001, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(35 * 525_600))
    if chance.random() < 0.5:
        for days in range(183):
            look = at + timedelta(days=days)
            there = [
                moment.astimezone(zone_named(zone)).utcoffset() for moment in (look, look + timedelta(days=1))
            ]
            if there[0] != there[1]:
                return look - timedelta(hours=chance.randrange(24))
    return at


def ours(schedule: Crontab, start: datetime) -> list[datetime]:
    found, at = [], (start - EPOCH) // timedelta(microseconds=1)
    for _ in range(FIRES):
        following = schedule.next_after(at)
        if following is None:
            break
        at = following
        found.append(EPOCH + timedelta(microseconds=at))
    return found


def theirs(expression: str, start: datetime, zone: str) -> list[datetime]:
    tz = UTC if zone == "UTC" else zone_named(zone)
    return [fire.astimezone(UTC) for fire in islice(CronSim(expression, start.astimezone(tz)), FIRES)]


def named_difference(expression: str, zone: str, mine: list[datetime], peer: list[datetime]) -> str | None:
    """Which row of the table in docs/cron.md a difference is; None: none of them."""
    for part in expression.replace(" ", ",").split(","):
        span, slash, _ = part.partition("/")
        low, dash, high = span.partition("-")
        if slash and dash and low == high:
            return "a-a/n is read as a/n"
    first = min(min(pair) for pair in zip(mine, peer, strict=True) if pair[0] != pair[1])
    fields = expression.split()
    if (fields[0][0] == "*" or fields[1][0] == "*") and has_no_midnight(zone, first):
        return "the day has no midnight, and 01:00 is taken for 00:00"
    return None


def has_no_midnight(zone: str, at: datetime) -> bool:
    """Whether clocks skip the midnight of the local day of `at`."""
    tz = zone_named(zone)
    midnight = at.astimezone(tz).replace(hour=0, minute=0, fold=0)
    return midnight.astimezone(UTC).astimezone(tz).hour != 0


def test_every_difference_to_cronsim_is_one_that_the_docs_name(capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(SEED)
    compared, unnamed = 0, []
    named: Counter[str] = Counter()
    while compared < EXPRESSIONS:
        expression, zone = expression_of(chance), chance.choice(ZONES)
        start = start_of(chance, zone)
        try:
            schedule = Crontab(expression=expression, timezone=zone)
        except ScheduleError:  # a date that never comes
            continue
        mine, peer = ours(schedule, start), theirs(expression, start, zone)
        compared += 1
        if mine != peer:
            difference = named_difference(expression, zone, mine, peer)
            if difference is None:
                unnamed.append((expression, zone, start, mine, peer))
            else:
                named[difference] += 1

    if ALL:
        with capsys.disabled():
            print(
                f"\ncronsim: {compared} expressions compared, seed {SEED}; differences {dict(named)}, unnamed {len(unnamed)}"
            )
    assert unnamed == []
    assert 0 < named.total() < compared // 20
    table = (Path(__file__).parents[3] / "docs" / "cron.md").read_text()
    assert [name for name in named if name not in table] == []


def test_each_named_difference_is_judged_by_what_the_text_and_the_clocks_say() -> None:
    once_an_hour = Crontab(expression="5-5/20 3 * * *")
    # in 2030 clocks go from 00:00 to 01:00
    cairo = Crontab(expression="* 0,3 26 4 *", timezone="Africa/Cairo")

    assert [f"{fire:%H:%M}" for fire in ours(once_an_hour, EPOCH)] == ["03:05"] * FIRES
    assert ours(cairo, datetime(2030, 4, 25, 12, tzinfo=UTC))[0] == datetime(2030, 4, 26, 0, tzinfo=UTC)
