"""Tables: the figures of docs/benchmarks.md and docs/reliability.md, from what `make bench`, `make chaos` and `make kills` kept in var/.
`make figures` writes them.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from . import reliability
from .page import table, write
from .pairs import ROOT

FIGURES = "figures"
DOCS, KEPT = ROOT / "docs", ROOT / "var"
PAGE = DOCS / "benchmarks.md"
MANY = 1_000
HEAD = ("", "what", "backbeat", "peer", "ratio (range)", "target", "")


def benchmarks(known: Mapping[str, Any]) -> str:
    """The table of all outcomes, by name: those that were kept, and those of the page that were not measured since."""
    rows = {row[0]: row for row in _rows_of(PAGE.read_text())}
    rows |= {name: _row(name, outcome) for name, outcome in known.items()}
    return table([HEAD, *(rows[name] for name in sorted(rows, key=_order))])


def _rows_of(page: str) -> list[list[str]]:
    """The rows of the table of all outcomes in a page, cell by cell."""
    figures = page.partition(f"<!-- {FIGURES}: begin -->")[2].partition(f"<!-- {FIGURES}: end -->")[0]
    lines = figures.strip().splitlines()[2:]
    return [[cell.replace("\\|", "|") for cell in re.split(r"(?<!\\) ?\| ?", line)[1:-1]] for line in lines]


def _order(name: str) -> tuple[bool, str, int, str]:
    """Those that have a peer's or a spec's number first: P1, P2, ...; then our own: D1, ..., E1, ..."""
    match = re.match(r"([A-Za-z]+)([0-9]+)", name)
    kind, number = (match[1].lower(), int(match[2])) if match else ("", 0)
    return kind != "p", kind, number, name


def _row(name: str, outcome: dict[str, Any]) -> list[str]:
    ours = _figure(outcome["ours"], outcome["unit"])
    if outcome["ratio"] is None:
        peer = ratio = ""
    else:
        peer = f"{outcome['peer']}: {_figure(outcome['theirs'], outcome['unit'])}"
        spread = outcome["ratios"]
        ratio = f"**{outcome['ratio']:.3g}x** ({min(spread):.3g}-{max(spread):.3g})"
    verdict = "reached" if outcome["reached"] else "not reached"
    return [name, outcome["title"], ours, peer, ratio, outcome["target"], f"{verdict}, {outcome['date']}"]


def _figure(values: Sequence[float], unit: str) -> str:
    middle = statistics.median(values)
    return f"{middle:,.0f} {unit}" if middle >= MANY else f"{middle:.4g} {unit}"


SOURCES = (
    (PAGE, "bench/results.json", benchmarks, FIGURES),
    (DOCS / "reliability.md", "chaos.json", reliability.chaos, FIGURES),
    (DOCS / "reliability.md", "kill-points.json", reliability.kill_points, "kill figures"),
    (DOCS / "reliability.md", "chaos-workers.json", reliability.chaos_workers, "worker figures"),
    (DOCS / "reliability.md", "chaos-workers.json", reliability.poison, "poison figures"),
    (DOCS / "reliability.md", "chaos-canvases.json", reliability.canvases, "canvas figures"),
    (DOCS / "reliability.md", "chaos-senders.json", reliability.senders, "sender figures"),
)
"""The document, the file in var/, what makes a text of it, and the name of its place in the document."""


def main() -> None:
    for document, source, text, name in SOURCES:
        path = KEPT / source
        figures = text(json.loads(path.read_text())) if path.exists() else ""
        if not figures:
            print(f"the {name} of {document.name} stay as they are: {path.relative_to(ROOT)} has none")
            continue
        write(document, figures, name)
        print(f"{document.relative_to(ROOT)}: {name} written")
