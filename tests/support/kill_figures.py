"""What the kill-point harness found on all stacks, as JSON data, and where `make figures` looks for it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .kill_matrix import Figures
from .kill_scenarios import SCENARIOS
from .kill_tasks import LEASE_SECONDS

KEPT = Path(__file__).parents[2] / "var" / "kill-points.json"


def document(found: Sequence[Figures], *, seed: str) -> dict[str, Any]:
    """All figures, a row for each stack."""
    return {
        "seed": seed,
        "lease_seconds": LEASE_SECONDS,
        "scenarios": len(SCENARIOS),
        "load_average": round(os.getloadavg()[2], 1),
        "processors": os.cpu_count(),
        "rows": [
            {
                "stack": each.stack,
                "points": each.points,
                "trials": each.trials,
                "kills": each.kills,
                "runs": each.runs,
                "repeats": each.repeats,
                "longest_seconds": round(each.longest, 2),
                "missed": len(each.missed),
                "troubles": len(each.troubles),
                "by_name": dict(sorted(each.by_name.items())),
            }
            for each in found
        ],
    }


def keep(found: Sequence[Figures], *, seed: str, path: Path = KEPT) -> None:
    """Write them down, in place of those of the run before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(found, seed=seed), indent=1) + "\n")
