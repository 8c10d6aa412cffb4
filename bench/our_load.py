"""Loading of ours: python -m bench.our_load STORE BROKER_URL STARTED_US; prints {"first_s", "kib", "idle_us"} as JSON.

The store has entries of which one is due now. `first_s`: from STARTED_US, when this process was made, until its firing was confirmed;
`kib`: what the process has grown by for one entry; `idle_us`: the median of passes in which nothing is due.
"""

from __future__ import annotations

import gc
import json
import sqlite3
import statistics
import sys
import time
from contextlib import closing
from pathlib import Path

from backbeat.scheduler.beat import Beat

from .our_beat import Counting, now_us, open_over

PASSES, SLICE = 2_000, 20
PAGE_KIB = 4


def main() -> None:
    store, url, started_us = sys.argv[1:]
    print(json.dumps(load(Path(store), url, int(started_us))))


def load(path: Path, url: str, started_us: int) -> dict[str, float]:
    """Start a beat and look at it."""
    with closing(sqlite3.connect(path)) as db:
        (count,) = db.execute("SELECT count(*) FROM bb_entry").fetchone()
    listener = Counting()
    opened = open_over(path, url, listener)
    before_kib = resident_kib()
    while not listener.late_us:
        pause = opened.beat.step()
        if not listener.late_us:
            time.sleep(min(pause, 0.01))
    first_s = (now_us() - started_us) / 1e6
    grown_kib = resident_kib() - before_kib
    idle_us = statistics.median(_passes(opened.beat))
    opened.beat.retire()
    opened.close()
    return {"first_s": first_s, "kib": grown_kib / count, "idle_us": idle_us}


def _passes(beat: Beat) -> list[float]:
    """Processor time of one pass, from slices of some: what else this machine does is not our matter."""
    taken = []
    for _ in range(PASSES // SLICE):
        began = time.thread_time()
        for _ in range(SLICE):
            beat.step()
        taken.append((time.thread_time() - began) / SLICE * 1e6)
    return taken


def resident_kib() -> int:
    """Memory that this process has in use."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KIB


if __name__ == "__main__":
    main()
