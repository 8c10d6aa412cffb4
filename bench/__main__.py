"""Run the benchmarks that are named, or all: python -m bench [p1 p2 ...]. Outcomes are printed, and kept in var/bench/results.json."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from . import beat, canvas, cron, delivery, edits, idle, promptness, tables
from .pairs import ROOT, Outcome

RESULTS = ROOT / "var" / "bench" / "results.json"
ALL = {
    "p1": beat.p1,
    "p2": beat.p2,
    "p3": beat.p3,
    "p4": beat.p4,
    "p5": idle.p5,
    "p6": idle.p6,
    "p7": beat.p7,
    "p14": canvas.p14,
    "p15": canvas.p15,
    "p16": canvas.p16,
    "p17": canvas.p17,
    "p21": cron.p21,
    "delivery": delivery.delivery,
    "edits": edits.edits,
    "promptness": promptness.promptness,
}


def keep(outcomes: Sequence[Outcome], path: Path = RESULTS) -> None:
    """Put outcomes in the place of older ones of the same name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    today = datetime.now(UTC).date().isoformat()
    known |= {outcome.name: {**outcome.to_data(), "date": today} for outcome in outcomes}
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1))


def main(names: Sequence[str]) -> None:
    for name in names or ALL:
        if name == "figures":
            tables.main()
        elif name == "cron":
            keep(cron.p21())
        elif name in ALL:
            keep(ALL[name]())
        else:
            raise SystemExit(f"there is no benchmark {name!r}: {', '.join(ALL)}")


main(sys.argv[1:])
