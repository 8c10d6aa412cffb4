"""A burst of ours: python -m bench.our_burst N BROKER_URL [LEDGER]; prints {"rate", "p99_s", "last_s", "sent", "cpu_us"} as JSON.

The ledger is a SQLite file with synchronous=FULL, as always; LEDGER is one to begin with (see stores.py). A firing counts when the broker
has confirmed it; the burst is out with the last confirm. `cpu_us` is this process's time for one firing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from .our_beat import Counting, now_us, open_over
from .stores import add_entries, copied, entries, new_store

LIMIT_US = 60_000_000


def main() -> None:
    count, url, *ledger = sys.argv[1:]
    with tempfile.TemporaryDirectory() as home:
        path = copied(Path(ledger[0]), home) if ledger else new_store(Path(home, "backbeat.db"))
        print(json.dumps(burst(path, url, int(count))))


def burst(path: Path, url: str, count: int) -> dict[str, float]:
    """Load, wait until all are due, let the beat run until all is out."""
    began_us = now_us()
    due_us = began_us // 1_000_000 * 1_000_000 + 4_000_000 + count * 150
    add_entries(path, entries(count, "interval", due_us), began_us)
    listener = Counting()
    opened = open_over(path, url, listener)
    late_us = listener.late_us
    cpu_s = [0.0, 0.0]  # before the burst, and when it was out

    def through() -> bool:
        waits, done = now_us() < due_us, len(late_us) >= count
        if waits or done:
            cpu_s[done] = time.process_time()
        return done or now_us() > due_us + LIMIT_US

    opened.beat.run(through)
    if not cpu_s[0]:
        raise SystemExit("loading took longer than was left for it")
    opened.close()
    if len(late_us) < count:
        raise SystemExit(f"only {len(late_us)} of {count} were sent")
    late_us.sort()
    return {
        "rate": count / late_us[-1] * 1e6,
        "p99_s": late_us[max(0, int(count * 0.99) - 1)] / 1e6,
        "last_s": late_us[-1] / 1e6,
        "sent": len(late_us),
        "cpu_us": (cpu_s[1] - cpu_s[0]) / count * 1e6,
    }


if __name__ == "__main__":
    main()
