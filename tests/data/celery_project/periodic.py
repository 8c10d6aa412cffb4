"""Tasks by the clock: what is written down of them."""

from datetime import timedelta

from celery.schedules import crontab, schedule, solar

from celery_project.arithmetic import add
from celery_project.celery import app

app.conf.beat_schedule = {
    "every 30 seconds": {"task": "celery_project.arithmetic.add", "schedule": 30.0, "args": (16, 16)},
    "monday morning": {
        "task": "celery_project.arithmetic.add",
        "schedule": crontab(hour=7, minute=30, day_of_week=1),
        "args": (16, 16),
        "options": {"expires": 60},
    },
}


@app.on_after_configure.connect
def set_up(sender, **kwargs):
    sender.add_periodic_task(10.0, add.s(1, 1), name="every ten seconds")
    sender.add_periodic_task(crontab(minute="*/15"), add.s(2, 2), name="four times an hour")


def main():
    """crontab, schedule, solar; entries."""
    return {
        "entries": sorted(set(app.conf.beat_schedule) & {"every 30 seconds", "monday morning"}),
        "equal": [
            crontab(minute=0, hour="*/3") == crontab(minute="0", hour="*/3"),
            crontab(0, 0) == crontab(minute=0, hour=0),
            crontab() == crontab(minute=1),
            crontab.from_string("30 7 * * 1") == crontab(hour=7, minute=30, day_of_week=1),
            schedule(timedelta(seconds=10)) == schedule(run_every=timedelta(seconds=10)),
            solar("sunrise", 52.5, 13.4) == solar("sunset", 52.5, 13.4),
        ],
        "task": add.s(1, 1).delay().get(timeout=20),
    }
