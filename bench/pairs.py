"""Pairs: run two sides alternately and compare their medians. The machine is noisy, so only the ratio means something."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAIRS = 3


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One line of the tables. `ratio` is how many times better ours is; without a peer it is None and `target` is absolute."""

    name: str
    title: str
    unit: str
    ours: list[float]
    peer: str = ""
    theirs: list[float]
    ratio: float | None
    ratios: list[float]
    target: str
    reached: bool

    def to_data(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        mine = f"backbeat {statistics.median(self.ours):.4g} {self.unit} ({_spread(self.ours)})"
        theirs = ""
        if self.ratio is not None:
            peer = statistics.median(self.theirs)
            theirs = f"; {self.peer} {peer:.4g} ({_spread(self.theirs)}): {self.ratio:.3g}x ({_spread(self.ratios)})"
        verdict = "reached" if self.reached else "NOT REACHED"
        return f"{self.name} {self.title}: {mine}{theirs}; target {self.target}: {verdict}"


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):.3g}-{max(values):.3g}"


def run_data(command: Sequence[str], timeout: float = 170, environ: Mapping[str, str] | None = None) -> Any:
    """Run a command; its last line of output is JSON. `environ` is its whole environment, if it is not ours."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, env=environ, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_json(command: list[str], timeout: float = 170) -> float:
    """Run a command; its last line of output is a number."""
    return float(run_data(command, timeout))


def alternate(
    ours: Callable[[], Any], theirs: Callable[[], Any], pairs: int = PAIRS
) -> tuple[list[Any], list[Any]]:
    """Run both sides in turns."""
    mine, peer = [], []
    for _ in range(pairs):
        mine.append(ours())
        peer.append(theirs())
    return mine, peer


def against(
    name: str,
    title: str,
    unit: str,
    peer: str,
    ours: list[float],
    theirs: list[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Outcome:
    """The outcome of pairs. `at_least`: ours is so many times theirs (rates); `at_most`: ours is so much of theirs (times, sizes)."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ours) / statistics.median(theirs)
    if at_least is not None:
        target, reached = f">= {at_least:g}x", ratio >= at_least
    else:
        assert at_most is not None
        target, reached = f"<= {at_most:g}x", ratio <= at_most
    return _said(
        Outcome(
            name=name,
            title=title,
            unit=unit,
            ours=ours,
            peer=peer,
            theirs=theirs,
            ratio=ratio,
            ratios=ratios,
            target=target,
            reached=reached,
        )
    )


def absolute(name: str, title: str, unit: str, ours: list[float], at_most: float) -> Outcome:
    """An outcome that has no peer."""
    reached = statistics.median(ours) <= at_most
    return _said(
        Outcome(
            name=name,
            title=title,
            unit=unit,
            ours=ours,
            theirs=[],
            ratio=None,
            ratios=[],
            target=f"<= {at_most:g} {unit}",
            reached=reached,
        )
    )


def limited(
    name: str, title: str, unit: str, peer: str, ours: list[float], theirs: list[float], *, at_most: float
) -> Outcome:
    """An outcome whose target is absolute, with a peer beside it."""
    return _said(
        Outcome(
            name=name,
            title=title,
            unit=unit,
            ours=ours,
            peer=peer,
            theirs=theirs,
            ratio=statistics.median(ours) / peers if (peers := statistics.median(theirs)) else None,
            ratios=[a / b for a, b in zip(ours, theirs, strict=True) if b],
            target=f"<= {at_most:g} {unit}",
            reached=statistics.median(ours) <= at_most,
        )
    )


def _said(outcome: Outcome) -> Outcome:
    print(outcome, flush=True)
    return outcome


def compare(
    title: str, unit: str, ours: Callable[[], float], theirs: Callable[[], float], *, pairs: int = PAIRS
) -> None:
    """Alternate both sides and print both medians, and how many times better ours is (rates: more, seconds: less)."""
    mine, peer = alternate(ours, theirs, pairs)
    a, b = statistics.median(mine), statistics.median(peer)
    ratio = b / a if unit == "s" else a / b
    spread = f"ours {min(mine):.3g}-{max(mine):.3g}, celery {min(peer):.3g}-{max(peer):.3g}"
    print(
        f"{title}: backbeat {a:.4g} {unit}, celery 5.7 {b:.4g} {unit}: {ratio:.1f}x ({pairs} pairs; {spread})",
        flush=True,
    )
