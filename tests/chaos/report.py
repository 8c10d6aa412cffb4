"""Report: the figures of all runs, as JSON and as lines for a terminal, against the bars that they must meet."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .bar import Bar, percentile
from .fault import KILLS, PAUSES, FaultKind
from .plan import Outcome
from .world import COMBINATIONS, SAME

KILLS_AT_LEAST, PAUSES_AT_LEAST = 200, 50
"""Of a run over all combinations."""
HINT_SECONDS = 0.5
HAND_OVER_SECONDS = 0.3
COUNTS = (
    "lost",
    "extra",
    "different_ids",
    "unexplained_copies",
    "copies_over_the_bound",
    "second_copies_of_at_most_once",
    "strange_ends",
)
"""What there must be none of, in each combination."""


Combination = Mapping[str, Any]
"""What `combination` returns: an outcome as JSON data."""


def gaps_of(faults: Sequence[Mapping[str, Any]], kind: FaultKind) -> list[float]:
    """Seconds from the fault to the next emission of another beat, sorted."""
    return sorted(
        fault["gap_seconds"]
        for fault in faults
        if fault["kind"] == kind.value and fault["gap_seconds"] is not None
    )


def bars(combinations: Sequence[Combination], ttl_seconds: float) -> list[Bar]:
    """Every bar."""
    faults = [fault for each in combinations for fault in each["faults"]]
    ones = [each for each in combinations if each["broker"] == SAME]
    counts = [(name.replace("_", " "), sum(each[name] for each in combinations)) for name in COUNTS]
    counts.append(
        ("second copies where store and broker are one", sum(max(0, each["max_copies"] - 1) for each in ones))
    )
    killed, stopped = gaps_of(faults, FaultKind.KILL), gaps_of(faults, FaultKind.STOP)
    frozen = sorted(gaps_of(faults, FaultKind.FREEZE) + gaps_of(faults, FaultKind.PAUSE))
    limits = [
        ("SIGKILL to the next emission, p99, s", percentile(killed, 0.99), HINT_SECONDS),
        ("SIGTERM to the next emission, p99, s", percentile(stopped, 0.99), HAND_OVER_SECONDS),
        ("SIGSTOP to the next emission, max, s", percentile(frozen, 1), ttl_seconds * 1.25 + 1),
    ]
    found = [Bar(name, count, "0", count == 0) for name, count in counts]
    found += [
        Bar(name, figure, f"<= {limit}", figure is None or figure <= limit) for name, figure, limit in limits
    ]
    if len(combinations) == len(COMBINATIONS):
        for name, least in (("kills", KILLS_AT_LEAST), ("pauses", PAUSES_AT_LEAST)):
            number = sum(each[name] for each in combinations)
            found.append(Bar(name, number, f">= {least}", number >= least))
    return found


def document(combinations: Sequence[Combination], *, seed: int, ttl_seconds: float) -> dict[str, Any]:
    """All figures as JSON data."""
    faults = [fault for each in combinations for fault in each["faults"]]
    windows: Counter[str] = Counter()
    for each in combinations:
        windows.update(each["windows"])
    return {
        "seed": seed,
        "ttl_seconds": ttl_seconds,
        "load_average": round(os.getloadavg()[2], 1),
        "processors": os.cpu_count(),
        **{
            name: sum(each[name] for each in combinations)
            for name in ("kills", "pauses", "firings", "messages")
        },
        "windows": dict(windows),
        "max_copies": max((each["max_copies"] for each in combinations), default=0),
        "gaps_seconds": _gaps(faults),
        "bars": [asdict(bar) for bar in bars(combinations, ttl_seconds)],
        "combinations": list(combinations),
    }


def lines(outcome: Outcome) -> list[str]:
    """One run in a few lines."""
    verdict, kinds = outcome.verdict, Counter(fault.kind.value for fault in outcome.faults)
    copies = ", ".join(f"{window} {count}" for window, count in sorted(verdict.windows.items())) or "none"
    gaps = "; ".join(
        f"{kind.value} p50 {percentile(found, 0.5):.2f} p99 {percentile(found, 0.99):.2f} s"
        for kind in FaultKind
        if (found := gaps_of([fault.to_json() for fault in outcome.faults], kind))
    )
    return [
        f"{outcome.store} + {outcome.broker}: {outcome.seconds:.0f} s, {dict(kinds)}, {outcome.epochs} epochs",
        (
            f"  {verdict.firings} firings, {len(verdict.lost)} lost, {len(verdict.extra)} extra, {len(verdict.other_ids)} other ids,"
            f" second copies: {copies}, {len(verdict.unexplained)} unexplained, at most {verdict.max_copies};"
            f" {verdict.doubtful} doubtful, {verdict.skipped} skips"
        ),
        f"  next emission: {gaps}",
        *(f"  not done: {step}" for step in outcome.not_done),
        *(f"  TROUBLE {trouble}" for trouble in outcome.troubles[:20]),
    ]


def _gaps(faults: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    return {
        kind.value: {
            "count": len(found),
            "p50": percentile(found, 0.5),
            "p99": percentile(found, 0.99),
            "max": found[-1],
        }
        for kind in FaultKind
        if (found := gaps_of(faults, kind))
    }


def combination(outcome: Outcome, *, seed: int) -> Combination:
    """An outcome as JSON data."""
    verdict, faults = outcome.verdict, [fault.to_json() for fault in outcome.faults]
    return {
        "store": outcome.store,
        "broker": outcome.broker,
        "seed": seed,
        "seconds": round(outcome.seconds, 1),
        "epochs": outcome.epochs,
        "kills": sum(fault.kind in KILLS for fault in outcome.faults),
        "pauses": sum(fault.kind in PAUSES for fault in outcome.faults),
        "firings": verdict.firings,
        "messages": verdict.messages,
        "lost": len(verdict.lost),
        "extra": len(verdict.extra),
        "different_ids": len(verdict.other_ids),
        "unexplained_copies": len(verdict.unexplained),
        "copies_over_the_bound": len(verdict.over_bound),
        "second_copies_of_at_most_once": len(verdict.twice_at_most_once),
        "strange_ends": len(outcome.strange_ends),
        "windows": dict(verdict.windows),
        "max_copies": verdict.max_copies,
        "doubtful": verdict.doubtful,
        "failed": verdict.failed,
        "skip_records": verdict.skipped,
        "gaps_seconds": _gaps(faults),
        "troubles": outcome.troubles,
        "not_done": outcome.not_done,
        "faults": faults,
    }
