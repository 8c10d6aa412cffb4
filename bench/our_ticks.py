"""Entries of each second: python -m bench.our_ticks STORE BROKER_URL SECONDS; prints {"late_s": [...], "drift_s", "sent"} as JSON.

Drift: how far the fire times of an entry are from whole seconds at the end, beyond how far they were at the beginning.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from backbeat.scheduler.firing import Firing

from .our_beat import Counting, now_us, open_over


class Ticks(Counting):
    """Notes the fire times, too."""

    def __init__(self) -> None:
        super().__init__()
        self.due_us: list[int] = []

    def fired(self, firing: Firing, lateness_us: int) -> None:
        super().fired(firing, lateness_us)
        self.due_us.append(firing.due_us)


def main() -> None:
    store, url, seconds = sys.argv[1:]
    listener = Ticks()
    opened = open_over(Path(store), url, listener)
    until_us = now_us() + (int(seconds) + 3) * 1_000_000
    opened.beat.run(lambda: now_us() > until_us)
    opened.close()
    first_us = listener.due_us[0] + 2_000_000  # the first ones were due while the entries were loaded
    kept = [late for due, late in zip(listener.due_us, listener.late_us, strict=True) if due > first_us]
    drift_us = listener.due_us[-1] % 1_000_000 - listener.due_us[0] % 1_000_000
    print(
        json.dumps(
            {"late_s": [late / 1e6 for late in kept], "drift_s": abs(drift_us) / 1e6, "sent": len(kept)}
        )
    )


if __name__ == "__main__":
    main()
