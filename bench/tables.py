"""Tables: the figures of docs/benchmarks.md, from what `python -m bench` kept in var/bench/results.json. `make figures` writes them.

Only the part between the two marks of the document is ours; the words around it are for people to write.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .pairs import ROOT

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "var" / "bench" / "results.json"
MANY = 1_000
HEAD = ("", "what", "backbeat", "peer", "ratio (range)", "target", "")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as Markdown; the first is the head."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def write(document: Path, text: str) -> None:
    """Put `text` between the marks of a document. Raises SystemExit when it has none."""
    whole = document.read_text()
    before, mark, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise SystemExit(f"{document} has no place for figures: {BEGIN} ... {END}")
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def benchmarks() -> str:
    """The table of all outcomes that are kept, by name."""
    known = json.loads(RESULTS.read_text())
    rows = [HEAD, *(_row(name, known[name]) for name in sorted(known, key=_order))]
    return table(rows)


def _order(name: str) -> tuple[int, str]:
    match = re.match(r"[A-Za-z]+([0-9]+)", name)
    return int(match[1]) if match else 0, name


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


def main() -> None:
    write(DOCUMENT, benchmarks())
    print(f"{DOCUMENT.relative_to(ROOT)} written")
