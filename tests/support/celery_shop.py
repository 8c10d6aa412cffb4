"""A Celery project with periodic tasks of all kinds, written into a directory; Celery itself imports it, in its own environment."""

from __future__ import annotations

from pathlib import Path

TASKS = """
from shop.celery import app

@app.task(name="shop.sync")
def sync(*args, **kwargs):
    return [args, kwargs]

@app.task(name="shop.heavy", queue="heavy", priority=7)
def heavy():
    pass

@app.on_after_finalize.connect
def after_finalize(sender, **_):
    sender.add_periodic_task(3600, sync.s("late"), name="after-finalize")
"""

APP = """
import os
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from celery import Celery, signature
from kombu import Exchange, Queue
from celery.schedules import BaseSchedule, crontab, schedule, solar

print("this line must not spoil the import")

class Lunar(BaseSchedule):
    def is_due(self, last_run_at):
        return False, 3600.0

app = Celery("shop", broker="memory://", include=["shop.tasks"])
app.conf.timezone = "Europe/Berlin"

app.conf.task_routes = {"shop.video.*": {"queue": "video"}}
app.conf.task_queues = [Queue("celery"), Queue("stills", Exchange("pictures"), routing_key="picture.still")]

def entry(schedule, **more):
    return {"task": "shop.sync", "schedule": schedule, **more}

beat_schedule = {
    "seconds": entry(30.0),
    "hourly interval": entry(timedelta(hours=1)),
    "schedule object": entry(schedule(run_every=90)),
    "every minute": entry(crontab()),
    "every third hour": entry(crontab(minute=0, hour="*/3")),
    "office hours": entry(crontab(minute="*/15", hour="9-17", day_of_week="mon-fri")),
    "friday the 13th": entry(crontab(0, 0, day_of_month="13", day_of_week="fri")),
    "first weekend": entry(crontab(0, 8, day_of_month="1-7", day_of_week="sat,sun")),
    "half past two": entry(crontab(minute=30, hour=2)),
    "twice a month": entry(crontab(0, 0, day_of_month="1,15")),
    "long weekend": entry(crontab(0, 0, day_of_week="sat-mon")),
    "lists": entry(crontab(minute=[0, 20, 40], hour={6, 7, 8})),
    "quarters": entry(crontab(0, 0, day_of_month=1, month_of_year="*/3")),
    "by name": entry(crontab(0, 12, day_of_week="sunday,wednesday")),
    "night": entry(crontab(minute=0, hour="22-4/2")),
    "hourly relative": entry(timedelta(hours=1), relative=True),
    "daily relative": entry(timedelta(days=1), relative=True),
    "two days relative": entry(timedelta(days=2), relative=True),
    "ninety minutes relative": entry(timedelta(minutes=90), relative=True),
    "own clock": entry(crontab(0, 9, nowfun=lambda: datetime.now(timezone.utc))),
    "options": entry(
        60.0, args=(16, "a $HOME ${x} $$"), kwargs={"deep": {"no": [None, True, 1.5]}},
        options={"queue": "media", "expires": timedelta(minutes=5), "priority": 3, "headers": {"tenant": "acme"}},
    ),
    "until": entry(crontab(0, 5), options={"expires": datetime(2027, 1, 1, tzinfo=timezone.utc)}),
    "linked": entry(600, options={"link": signature("shop.done", args=("x",))}),
    "typed": entry(600, args=(datetime(2026, 1, 2, tzinfo=timezone.utc), Decimal("1.50"))),
    "routed": entry(600, options={"exchange": "media", "routing_key": "media.video"}),
    "by route": {"task": "shop.video.cut", "schedule": 600},
    "by task": {"task": "shop.heavy", "schedule": 600},
    "declared": entry(600, options={"exchange": "pictures", "routing_key": "picture.still"}),
    "lunar": entry(Lunar()),
    "object": entry(600, args=(object(),)),
}

try:
    beat_schedule["sunset"] = entry(solar("sunset", 52.5, 13.4))
except Exception:
    pass  # ephem is not installed

app.conf.beat_schedule = beat_schedule

@app.on_after_configure.connect
def after_configure(sender, **_):
    sender.add_periodic_task(crontab(minute=7), sender.signature("shop.sync"), name="after-configure")
"""

OLD = """
from celery import Celery
from datetime import timedelta

app = Celery("old")
app.config_from_object({
    "BROKER_URL": "memory://",
    "CELERY_TIMEZONE": "America/New_York",
    "CELERYBEAT_SCHEDULE": {"tick": {"task": "old.tick", "schedule": timedelta(seconds=10), "options": {"queue": "q"}}},
})
"""

NEXT_RUNS = """
import json, sys
from datetime import datetime, timedelta, timezone
from celery.app.utils import find_app
sys.path.insert(0, sys.argv[1])
app = find_app(sys.argv[2])
app.loader.init_worker()
app.finalize()
from celery.beat import ScheduleEntry
begin, end = (datetime.fromisoformat(text).astimezone(app.timezone) for text in sys.argv[3:5])
found = {}
for name, fields in app.conf.beat_schedule.items():
    entry = ScheduleEntry(name=name, app=app, **fields)
    if type(entry.schedule).__name__ not in ("crontab", "schedule", "solar"):
        continue
    last, times = begin, []
    while len(times) < 700:
        entry.schedule.nowfun = lambda: last
        left = entry.schedule.remaining_estimate(last)
        last = (last.astimezone(timezone.utc) + left).astimezone(app.timezone)
        if last > end:
            break
        times.append(last.astimezone(timezone.utc).isoformat())
    found[name] = times
print(json.dumps(found))
"""
"""Celery's own next runs, without the importer: each is what `remaining_estimate` says at the run before it."""


def write_shop(home: Path) -> None:
    """The package `shop` and the module `old`."""
    (home / "shop").mkdir()
    (home / "shop" / "__init__.py").write_text("")
    (home / "shop" / "celery.py").write_text(APP)
    (home / "shop" / "tasks.py").write_text(TASKS)
    (home / "old.py").write_text(OLD)
