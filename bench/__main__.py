"""Run the benchmarks that are named, or all: python -m bench [p1 p2 ...]. Outcomes are printed, and kept in var/bench/results.json."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from . import beat, canvas, cron, delivery, edits, footprint, idle, latency, promptness, rates, sends, tables
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
    "p8": rates.p8,
    "p9": rates.p9,
    "p10": rates.p10,
    "p11": rates.p11,
    "p12": latency.p12,
    "p13": latency.p13,
    "p14": canvas.p14,
    "p15": canvas.p15,
    "p16": canvas.p16,
    "p17": canvas.p17,
    "p18": sends.p18,
    "p19": footprint.p19,
    "p20": footprint.p20,
    "p21": cron.p21,
    "delivery": delivery.delivery,
    "edits": edits.edits,
    "idlers": footprint.idlers,
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


# the programs that are started keep what they compile: those of the peers were compiled when they were installed
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
main(sys.argv[1:])
