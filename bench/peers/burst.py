"""A burst at a peer: python burst.py PEER N BROKER_URL LIMIT_SECONDS; prints {"rate", "p99_s", "last_s", "sent"} as JSON.

All entries are due when the clock starts. A peer that is not through within the limit is stopped: the rate is that of what it sent.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta

PEER, COUNT, URL, LIMIT = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
emitted: list[float] = []


def celery_app():
    from celery import Celery

    app = Celery("bench", broker=URL)
    app.conf.task_default_queue = "bench"
    if URL.startswith("amqp"):
        app.conf.broker_transport_options = {"confirm_publish": True}
    return app


def noting(scheduler_class):
    """The scheduler, and it notes when each send returned."""

    class Noting(scheduler_class):
        def apply_async(self, *args, **kwargs):
            result = super().apply_async(*args, **kwargs)
            emitted.append(time.perf_counter())
            return result

    return Noting


def beat_schedule(seconds):
    from celery.schedules import schedule

    every = schedule(run_every=timedelta(seconds=seconds))
    return {f"e{i}": {"task": "bench.noop", "schedule": every, "args": (i,)} for i in range(COUNT)}


def celery_ticks():
    from celery.beat import Scheduler

    app = celery_app()
    app.conf.beat_schedule = beat_schedule(86_400)
    scheduler = noting(Scheduler)(app=app, lazy=False)
    long_ago = app.now() - timedelta(days=2)
    for entry in scheduler.schedule.values():
        entry.last_run_at = long_ago
    scheduler.populate_heap()
    return scheduler.tick


def redbeat_ticks():
    from celery.schedules import schedule
    from redbeat.schedulers import RedBeatScheduler, RedBeatSchedulerEntry

    app = celery_app()
    app.conf.redbeat_redis_url = URL if URL.startswith("redis") else "redis://127.0.0.1:6379/15"
    app.conf.redbeat_lock_key = None
    scheduler = noting(RedBeatScheduler)(app=app, lazy=True)
    every = schedule(run_every=timedelta(days=1), app=app)
    long_ago = app.now() - timedelta(days=2)
    for i in range(COUNT):
        entry = RedBeatSchedulerEntry(f"e{i}", "bench.noop", every, args=[i], app=app)
        entry.last_run_at = long_ago
        entry.save()
    time.sleep(1.1)  # its clock has whole seconds: by now all are due
    return scheduler.tick


def sqlalchemy_ticks():
    from sqlalchemy_celery_beat.schedulers import DatabaseScheduler

    app = celery_app()
    app.conf.beat_dburi = f"sqlite:///{tempfile.mkdtemp()}/beat.db"
    app.conf.beat_schedule = beat_schedule(1)
    scheduler = noting(DatabaseScheduler)(app=app, lazy=False)
    scheduler.schedule  # noqa: B018 - it is read now, not in the measured time
    time.sleep(1.1)
    return scheduler.tick


def apscheduler_ticks():
    """In memory, with the executor that runs jobs in place, its fastest; each job is one send_task of Celery."""
    from apscheduler.executors.debug import DebugExecutor
    from apscheduler.schedulers.background import BlockingScheduler

    app = celery_app()

    def send(number):
        app.send_task("bench.noop", (number,))
        emitted.append(time.perf_counter())

    class Driven(BlockingScheduler):
        def _main_loop(self):
            pass

    scheduler = Driven(
        executors={"default": DebugExecutor()}, job_defaults={"misfire_grace_time": None}, timezone="UTC"
    )
    due = datetime.now(UTC) + timedelta(seconds=2 + COUNT / 4_000)
    for i in range(COUNT):
        scheduler.add_job(send, "interval", days=1, start_date=due, args=(i,), id=f"e{i}")
    scheduler.start()
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
    return scheduler._process_jobs


TICKS = {
    "celery": celery_ticks,
    "redbeat": redbeat_ticks,
    "sqlalchemy": sqlalchemy_ticks,
    "apscheduler": apscheduler_ticks,
}


def main() -> None:
    tick = TICKS[PEER]()
    began = time.perf_counter()
    while len(emitted) < COUNT and time.perf_counter() - began < LIMIT:
        tick()
    late = sorted(moment - began for moment in emitted[:COUNT])
    print(
        json.dumps(
            {
                "rate": len(late) / late[-1],
                "p99_s": late[max(0, int(len(late) * 0.99) - 1)],
                "last_s": late[-1],
                "sent": len(late),
            }
        )
    )


main()
