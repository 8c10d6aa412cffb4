"""Memory of a peer: python memory.py KIND N; prints {"kib"} as JSON: what the process grew by, for one entry. Nothing is sent.

KIND is interval, or crontab with one expression for each minute of the day.
"""

from __future__ import annotations

import gc
import json
import sys
from datetime import timedelta
from pathlib import Path

KIND, COUNT = sys.argv[1], int(sys.argv[2])


def resident_kib():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4


def main() -> None:
    from celery import Celery
    from celery.beat import Scheduler
    from celery.schedules import crontab, schedule

    app = Celery("bench", broker="memory://")
    warm = Scheduler(app=app, lazy=False)
    warm.setup_schedule()
    every = schedule(run_every=timedelta(days=1))

    def when(number):
        # a crontab of its own for each, as in every project's settings
        return every if KIND == "interval" else crontab(minute=number % 60, hour=number // 60 % 24)

    before = resident_kib()
    app.conf.beat_schedule = {
        f"e{i}": {"task": "bench.noop", "schedule": when(i), "args": (i,)} for i in range(COUNT)
    }
    scheduler = Scheduler(app=app, lazy=False)
    scheduler.populate_heap()
    print(json.dumps({"kib": (resident_kib() - before) / COUNT, "entries": len(scheduler.schedule)}))


main()
