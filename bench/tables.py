"""Tables: the figures of docs/benchmarks.md and docs/reliability.md, from what `make bench` and `make chaos` kept in var/. `make figures`
writes them.

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
RESULTS = ROOT / "var" / "bench" / "results.json"
CHAOS = ROOT / "var" / "chaos.json"
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


def _order(name: str) -> tuple[bool, int, str]:
    """Those that have a peer's or a spec's number first: P1, P2, ...; then our own: E1, ..."""
    match = re.match(r"([A-Za-z]+)([0-9]+)", name)
    return (match[1].lower() != "p", int(match[2]), name) if match else (True, 0, name)


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


def chaos() -> str:
    """What the last chaos gave: in all, bar by bar, and for each pair of store and broker."""
    known = json.loads(CHAOS.read_text())
    combinations = known["combinations"]
    windows = ", ".join(f"{name}: {count}" for name, count in sorted(known["windows"].items())) or "none"
    bars = [("bar", "figure", "bound", "")]
    for bar in known["bars"]:
        figure = f"{bar['figure']:.3g}" if isinstance(bar["figure"], float) else str(bar["figure"])
        bars.append((bar["name"], figure, bar["bound"], "met" if bar["is_met"] else "not met"))
    rows = [("store", "broker", "kills", "pauses", "firings", "messages", "kill to next emission p50 / max")]
    for each in combinations:
        gap = each["gaps_seconds"].get("kill")
        took = f"{gap['p50']:.2f} / {gap['max']:.2f} s" if gap else ""
        counts = [f"{each[key]:,}" for key in ("kills", "pauses", "firings", "messages")]
        rows.append((each["store"], each["broker"], *counts, took))
    return (
        f"The last run of `make chaos`: {known['kills']} kills, {known['pauses']} pauses, {known['firings']:,} firings,"
        f" {known['messages']:,} messages, lease {known['ttl_seconds']:g} s, seed {known['seed']}. Second copies by window: {windows};"
        f" at most {known['max_copies']} of one firing. The faults are aimed at bursts, so their share of the copies says nothing about"
        f" a quiet service.\n\n{table(bars)}\n\n{table(rows)}"
    )


def main() -> None:
    for name, source, text in (("benchmarks", RESULTS, benchmarks), ("reliability", CHAOS, chaos)):
        if not source.exists():
            print(f"docs/{name}.md stays as it is: there is no {source.relative_to(ROOT)}")
            continue
        write(ROOT / "docs" / f"{name}.md", text())
        print(f"docs/{name}.md written")
