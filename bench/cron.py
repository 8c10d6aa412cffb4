"""The next time of cron expressions: ours, cronsim's and croniter's, side by side in one process, in turns.

Each side walks from the same instant, as a scheduler does: it is asked for the time after the last one. Zones are warm on all sides:
the first walk of each is thrown away. Before a time counts, all three must have given the same fire times
(so no expression here has a time in the hours that clocks skip or repeat: there croniter differs, docs/cron.md).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from backbeat.scheduler.schedule import Crontab
from croniter import croniter
from cronsim import CronSim

from .pairs import Outcome, against

START = datetime(2026, 6, 1, 0, 0, 30, tzinfo=UTC)
ROUNDS = 7
ZONES = ("UTC", "Europe/Berlin")
EXPRESSIONS = [  # and how many steps a round walks: rare ones fewer, to stay in years that all sides know
    ("every minute", "* * * * *", 1_000),
    ("quarter hours", "*/15 * * * *", 1_000),
    ("hourly", "0 * * * *", 1_000),
    ("daily", "30 4 * * *", 500),
    ("weekdays", "0 9 * * mon-fri", 300),
    ("office hours", "*/20 9-17 * * 1-5", 1_000),
    ("monthly", "0 0 1 * *", 100),
    ("yearly", "0 0 1 1 *", 25),
    ("leap day", "0 0 29 2 *", 12),
]
RARE = {"yearly", "leap day"}
TARGETS = {
    ("common", "cronsim"): 5,
    ("common", "croniter"): 15,
    ("rare", "cronsim"): 5,
    ("rare", "croniter"): 8,
}
Walk = Callable[[int], list[Any]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One expression in one zone: microseconds a step of each round, by side."""

    title: str
    group: str
    taken: dict[str, list[float]]

    def median(self, side: str) -> float:
        return statistics.median(self.taken[side])


def p21() -> list[Outcome]:
    """Print every case, then for each target the case in which we are least ahead."""
    print(f"p21 cron: microseconds a step, median of {ROUNDS} rounds in turns", flush=True)
    cases = [_case(*expression, zone) for zone in ZONES for expression in EXPRESSIONS]
    outcomes = []
    for (group, peer), times in TARGETS.items():
        of_group = [case for case in cases if case.group == group]
        worst = max(of_group, key=lambda case: case.median("ours") / case.median(peer))
        outcomes.append(
            against(
                f"p21 {group} {peer}",
                f"next time of a cron expression, nearest of {len(of_group)}: {worst.title}",
                "us",
                peer,
                worst.taken["ours"],
                worst.taken[peer],
                at_most=1 / times,
            )
        )
    return outcomes


def _case(title: str, expression: str, steps: int, zone: str) -> Case:
    walks = {name: side(expression, zone) for name, side in SIDES.items()}
    ours, *theirs = (walk(steps) for walk in walks.values())
    if any([round(fire.timestamp() * 1_000_000) for fire in fires] != ours for fires in theirs):
        raise SystemExit(f'"{expression}" in {zone}: the three sides give different fire times')
    taken: dict[str, list[float]] = {name: [] for name in walks}
    for _ in range(ROUNDS):
        for name, walk in walks.items():
            begin = time.perf_counter()
            walk(steps)
            taken[name].append((time.perf_counter() - begin) / steps * 1e6)
    case = Case(
        title=f'{title}, "{expression}" in {zone}', group="rare" if title in RARE else "common", taken=taken
    )
    mine, cronsim, croniter_ = (case.median(name) for name in SIDES)
    print(
        f"  {title:14} {expression:18} {zone:14} ours {mine:6.2f}   cronsim {cronsim:7.2f} {cronsim / mine:6.1f}x"
        f"   croniter {croniter_:7.2f} {croniter_ / mine:6.1f}x",
        flush=True,
    )
    return case


def _ours(expression: str, zone: str) -> Walk:
    schedule = Crontab(expression=expression, timezone=zone)

    def walk(steps: int) -> list[Any]:
        at: int | None = int(START.timestamp() * 1_000_000)
        found = []
        for _ in range(steps):
            at = schedule.next_after(at)
            found.append(at)
        return found

    return walk


def _cronsim(expression: str, zone: str) -> Walk:
    start = START.astimezone(UTC if zone == "UTC" else ZoneInfo(zone))

    def walk(steps: int) -> list[Any]:
        times = CronSim(expression, start)
        return [next(times) for _ in range(steps)]

    return walk


def _croniter(expression: str, zone: str) -> Walk:
    start = START.astimezone(UTC if zone == "UTC" else ZoneInfo(zone))

    def walk(steps: int) -> list[Any]:
        times = croniter(expression, start, implement_cron_bug=True)
        return [times.get_next(datetime) for _ in range(steps)]

    return walk


SIDES = {"ours": _ours, "cronsim": _cronsim, "croniter": _croniter}
