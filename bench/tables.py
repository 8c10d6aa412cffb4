"""Tables: the figures of docs/benchmarks.md and docs/reliability.md, from what `make bench` and `make chaos` kept in var/. `make figures`
writes them.

Only the part between the two marks of the document is ours; the words around it are for people to write.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .pairs import ROOT

FIGURES, WORKER_FIGURES = "figures", "worker figures"
"""What stands in the marks of a document: <!-- figures: begin -->, <!-- figures: end -->."""
PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "var" / "bench" / "results.json"
CHAOS = ROOT / "var" / "chaos.json"
CHAOS_WORKERS = ROOT / "var" / "chaos-workers.json"
MANY = 1_000
HEAD = ("", "what", "backbeat", "peer", "ratio (range)", "target", "")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as Markdown; the first is the head."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def write(document: Path, text: str, name: str = FIGURES) -> None:
    """Put `text` between the marks of that name in a document. Raises SystemExit when it has none."""
    begin, finish = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    whole = document.read_text()
    before, mark, rest = whole.partition(begin)
    _, end, after = rest.partition(finish)
    if not mark or not end:
        raise SystemExit(f"{document} has no place for figures: {begin} ... {finish}")
    document.write_text(f"{before}{begin}\n{text}\n{finish}{after}")


def benchmarks() -> str:
    """The table of all outcomes, by name: those that were kept, and those of the page that were not measured since."""
    rows = {row[0]: row for row in _rows_of(PAGE.read_text())}
    rows |= {name: _row(name, outcome) for name, outcome in json.loads(RESULTS.read_text()).items()}
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


def chaos() -> str:
    """What the last chaos gave: in all, bar by bar, and for each pair of store and broker."""
    known = json.loads(CHAOS.read_text())
    combinations = known["combinations"]
    windows = ", ".join(f"{name}: {count}" for name, count in sorted(known["windows"].items())) or "none"
    rows = [("store", "broker", "kills", "pauses", "firings", "messages", "kill to next emission p50 / max")]
    for each in combinations:
        gap = each["gaps_seconds"].get("kill")
        took = f"{gap['p50']:.2f} / {gap['max']:.2f} s" if gap else ""
        counts = [f"{each[key]:,}" for key in ("kills", "pauses", "firings", "messages")]
        rows.append((each["store"], each["broker"], *counts, took))
    return (
        f"The last run of `make chaos ARGS=beats`: {known['kills']} kills, {known['pauses']} pauses, {known['firings']:,} firings,"
        f" {known['messages']:,} messages, lease {known['ttl_seconds']:g} s, seed {known['seed']}. Second copies by window: {windows};"
        f" at most {known['max_copies']} of one firing. The faults are aimed at bursts, so their share of the copies says nothing about"
        f" a quiet service.\n\n{_bars(known['bars'])}\n\n{table(rows)}"
    )


def _bars(bars: Sequence[dict[str, Any]]) -> str:
    rows = [("bar", "figure", "bound", "")]
    for bar in bars:
        figure = f"{bar['figure']:.3g}" if isinstance(bar["figure"], float) else str(bar["figure"])
        rows.append((bar["name"], figure, bar["bound"], "met" if bar["is_met"] else "not met"))
    return table(rows)


def chaos_workers() -> str:
    """What the last chaos of the workers gave: bar by bar, and for each stack and kind of fire."""
    known = json.loads(CHAOS_WORKERS.read_text())
    head = ("what is done", "broker + store", "times", "tasks", "runs", "second runs", "ended as lost")
    rows = [(*head, "broker back to next start p50 / p99 / max")]
    for each in known["rows"]:
        gaps = each["gaps_seconds"]
        shares = [gaps[max(0, math.ceil(share * len(gaps)) - 1)] for share in (0.5, 0.99, 1)] if gaps else []
        took = " / ".join(f"{seconds:.2f}" for seconds in shares) + (" s" if shares else "")
        ways = ", ".join(f"{count} by {way}" for way, count in sorted(each["blows"].items()))
        second = ", ".join(f"{name}: {count}" for name, count in sorted(each["repeats"].items())) or "0"
        lost = f"{each['lost_early']} early, {each['capped']} capped"
        done = f"{sum(each['done'].values())}" + (f" ({ways})" if len(each["blows"]) > 1 else "")
        counts = [f"{each[key]:,}" for key in ("tasks", "runs")]
        rows.append((each["name"], each["stack"], done, *counts, second, lost, took))
    total = {name: sum(each[name] for each in known["rows"]) for name in ("tasks", "runs")}
    return (
        f"The last run of `make chaos ARGS=workers`: {total['tasks']:,} tasks, {total['runs']:,} runs, three workers with two processes each,"
        f" lease {known['lease_seconds']:g} s, seed {known['seed']}, load average {known['load_average']} on {known['processors']} processors."
        f"\n\n{_bars(known['bars'])}\n\n{table(rows)}"
    )


def main() -> None:
    for page, source, text, name in (
        ("benchmarks", RESULTS, benchmarks, FIGURES),
        ("reliability", CHAOS, chaos, FIGURES),
        ("reliability", CHAOS_WORKERS, chaos_workers, WORKER_FIGURES),
    ):
        if not source.exists():
            print(f"the {name} of docs/{page}.md stay as they are: there is no {source.relative_to(ROOT)}")
            continue
        write(ROOT / "docs" / f"{page}.md", text(), name)
        print(f"docs/{page}.md: {name} written")
