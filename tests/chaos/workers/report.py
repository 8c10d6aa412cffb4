"""Report: the figures of all runs, as JSON and as lines for a terminal, against the bars that they must meet."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..bar import Bar, percentile
from .scenario import Outcome

CONSUME_SECONDS = 5.0
AT_LEAST = {"kills": 200, "rolls": 100, "restarts": 100}
"""How often each is done in a whole run; a roll is one of all workers."""
KINDS_OF_POISON = 14
COUNTS = {
    "lost": "tasks that never ended, and callbacks that never came",
    "wrong": "tasks that ended otherwise than they should",
    "changed": "outcomes that changed after they were seen",
    "unexplained": "second runs without a dead claim",
    "over_bound": "blows with more second runs than tasks that ran, or had ended and were not committed",
    "early_twice": "acknowledged early, and run twice",
    "strangers": "ids that nobody asked for, second bodies of a chord",
    "dead_letters": "dead letters without a reason",
    "poison": "poison that is not one dead letter that says why, or whose handle does not fail",
    "remains": "queues, holdings, joins and runs that are left",
    "strange_ends": "workers that ended by themselves",
}
"""What there must be none of, by its name in the report, and in words."""

SHARES = {"p50": 0.5, "p99": 0.99, "max": 1.0}

Row = Mapping[str, Any]
"""What `row` returns: an outcome as JSON data."""


def row(outcome: Outcome, *, seed: int) -> Row:
    """An outcome as JSON data."""
    verdict = outcome.verdict
    found = {name: len(getattr(verdict, name)) for name in COUNTS if name != "strange_ends"}
    return {
        "stack": outcome.stack,
        "name": outcome.name,
        "seed": seed,
        "seconds": round(outcome.seconds, 1),
        "done": dict(outcome.done),
        "blows": dict(Counter(blow.kind.value for blow in outcome.blows)),
        "orders": verdict.orders,
        "tasks": verdict.tasks,
        "runs": verdict.runs,
        "repeats": dict(verdict.repeats),
        "max_runs": verdict.max_runs,
        "lost_early": verdict.lost_early,
        "capped": verdict.capped,
        "refused": outcome.refused,
        **found,
        "strange_ends": len(outcome.strange_ends),
        "poisons": [asdict(each) for each in outcome.poisons],
        "gaps_seconds": [round(gap, 3) for gap in sorted(outcome.gaps_seconds)],
        "troubles": outcome.troubles,
    }


def bars(rows: Sequence[Row], *, is_whole: bool) -> list[Bar]:
    """Every bar; those about the size of a run only where it is a whole one."""
    counts = [(words, sum(each[name] for each in rows)) for name, words in COUNTS.items()]
    found = [Bar(words, count, "0", count == 0) for words, count in counts]
    gaps = sorted(gap for each in rows for gap in each["gaps_seconds"])
    longest = percentile(gaps, 1)
    is_met = longest is None or longest <= CONSUME_SECONDS
    found.append(
        Bar("broker back to each worker's next start, max, s", longest, f"<= {CONSUME_SECONDS:g}", is_met)
    )
    if is_whole:
        for kind, least in AT_LEAST.items():
            number = sum(each["done"].get(kind, 0) for each in rows)
            found.append(Bar(kind, number, f">= {least}", number >= least))
        kinds = len({poison["what"] for each in rows for poison in each["poisons"]})
        found.append(Bar("kinds of poison", kinds, f">= {KINDS_OF_POISON}", kinds >= KINDS_OF_POISON))
    return found


def document(rows: Sequence[Row], *, seed: int, lease_seconds: float, is_whole: bool) -> dict[str, Any]:
    """All figures as JSON data."""
    return {
        "seed": seed,
        "lease_seconds": lease_seconds,
        "load_average": round(os.getloadavg()[2], 1),
        "processors": os.cpu_count(),
        "bars": [asdict(bar) for bar in bars(rows, is_whole=is_whole)],
        "rows": list(rows),
    }


def lines(outcome: Outcome) -> list[str]:
    """One run in a few lines."""
    verdict, gaps = outcome.verdict, sorted(outcome.gaps_seconds)
    shown = {name: round(percentile(gaps, share) or 0, 2) for name, share in SHARES.items()} if gaps else ""
    return [
        (
            f"{outcome.stack}, {outcome.name}: {dict(outcome.done)} in {outcome.seconds:.0f} s,"
            f" {dict(Counter(blow.kind.value for blow in outcome.blows))}"
        ),
        (
            f"  {verdict.orders} orders, {verdict.tasks} tasks, {verdict.runs} runs, second runs {dict(verdict.repeats)},"
            f" at most {verdict.max_runs} of one; {verdict.lost_early} lost after an early ack, {verdict.capped} capped;"
            f" {outcome.refused} tries of the client refused"
        ),
        *([f"  {len(outcome.poisons)} messages of poison"] if outcome.poisons else []),
        *([f"  next start after the broker answered: {shown} s"] if gaps else []),
        *(f"  TROUBLE {trouble[:1_000]}" for trouble in outcome.troubles[:20]),
    ]
