"""Beat: 10,000 interval entries that fall due at one instant, Redis as broker; emissions a second until the burst is out.

Ours records each firing in a SQLite ledger (synchronous=FULL) before it sends, and waits for Redis. Celery's scheduler keeps its state
in memory, and is stopped after some seconds if the burst is not out: the rate is that of what it sent.
"""

from __future__ import annotations

import sys

from tests.support.celery_env import celery_python

from .pairs import compare, run_json

ENTRIES, LIMIT_SECONDS = 10_000, 10
URL = "redis://127.0.0.1:6379/14"

OURS = """
import json, sys, tempfile, time
from datetime import timedelta
from backbeat.canvas import App
from backbeat.canvas.holder import LocalProcesses
from backbeat.canvas.wiring import open_broker
from backbeat.scheduler import Entry, Interval
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock import SystemClock
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.listener import SilentListener
from backbeat.scheduler.outlet import BrokerOutlet
from backbeat.scheduler.store.wiring import open_store

n, url = int(sys.argv[1]), sys.argv[2]
app = App("bench", broker=url)
app.conf.task_default_queue = "bench"
clock, processes = SystemClock(), LocalProcesses()
due = clock.now_us() // 1_000_000 * 1_000_000 + 3_000_000
what = lambda i: {"task": "bench.noop", "args": [i], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
entries = [Entry(name=f"e{i}", when=Interval(every=timedelta(days=1), anchor_us=due), what=what(i)) for i in range(n)]
sent = 0
class Count(SilentListener):
    def fired(self, firing, lateness_us):
        global sent
        sent += 1
with tempfile.TemporaryDirectory() as home:
    store = open_store(f"sqlite:///{home}/x.db", cluster="bench")
    elector = Elector(store, clock, processes.myself(), processes, end_frozen=True)
    batches = iter([entries])
    beat = Beat(store, BrokerOutlet(open_broker(app.conf), app, cluster="bench", store_id=store.store_id()), clock, elector, cluster="bench", listener=Count(),
                entries_source=lambda: next(batches, None))
    while clock.now_us() < due - 200_000:
        clock.wait(min(beat.step(), (due - 200_000 - clock.now_us()) / 1e6))
    while clock.now_us() < due:
        pass
    began = time.perf_counter()
    while sent < n:
        beat.step()
    took = time.perf_counter() - began
    beat.retire()
print(json.dumps(sent / took))
"""

THEIRS = """
import json, sys, time
from datetime import timedelta
from celery import Celery
from celery.beat import Scheduler
from celery.schedules import schedule

n, url, limit = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
app = Celery("bench", broker=url)
app.conf.task_default_queue = "bench"
app.conf.beat_schedule = {
    f"e{i}": {"task": "bench.noop", "schedule": schedule(run_every=timedelta(days=1)), "args": (i,)} for i in range(n)
}
scheduler = Scheduler(app=app, lazy=False)
scheduler.setup_schedule()
long_ago = app.now() - timedelta(days=2)
for entry in scheduler.schedule.values():
    entry.last_run_at = long_ago
scheduler.populate_heap()
sent, began = 0, time.perf_counter()
while sent < n and time.perf_counter() - began < limit:
    if scheduler.tick() == 0 or sent < n:
        sent += 1
print(json.dumps(sent / (time.perf_counter() - began)))
"""


def main() -> None:
    """10,000 due at one instant."""
    ours = [sys.executable, "-W", "ignore", "-c", OURS, str(ENTRIES), URL]
    theirs = [str(celery_python()), "-W", "ignore", "-c", THEIRS, str(ENTRIES), URL, str(LIMIT_SECONDS)]
    compare(
        f"beat, {ENTRIES:,} entries due at one instant, Redis",
        "emissions/s",
        lambda: _cleared(ours),
        lambda: _cleared(theirs),
    )


def _cleared(command: list[str]) -> float:
    import redis

    with redis.Redis.from_url(URL) as client:
        client.flushdb()
        rate = run_json(command)
        length = client.llen("bench")
        client.flushdb()
    if length == 0:
        raise SystemExit("nothing was sent")
    return rate
