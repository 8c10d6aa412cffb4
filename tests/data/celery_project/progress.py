"""States of a task's own, and results that nobody wants."""

import time

from celery import chord, states
from celery.exceptions import Ignore

from celery_project.arithmetic import identity
from celery_project.celery import app
from celery_project.notes import HOME, note, noted


@app.task(bind=True)
def steps(self, total):
    for done in range(total):
        self.update_state(state="PROGRESS", meta={"done": done, "total": total})
    note("progress", "said")
    while not (HOME / "go on").exists():
        time.sleep(0.02)
    return {"done": total, "total": total}


@app.task(ignore_result=True)
def unwanted(about):
    note(about, "ran")


@app.task(bind=True)
def own_ending(self):
    self.update_state(state="SKIPPED", meta="nothing to do")
    raise Ignore


def seen(result, state, info):
    until = time.monotonic() + 20
    while (result.state, result.info) != (state, info) and time.monotonic() < until:
        time.sleep(0.02)
    return [result.state, result.info]


def main():
    """update_state, Ignore, ignore_result."""
    result = steps.delay(3)
    noted("progress")
    running = seen(result, "PROGRESS", {"done": 2, "total": 3})
    note("go on", True)
    ignored = unwanted.delay("unwanted")
    header = chord([identity.s(1), identity.signature((2,), ignore_result=True)], identity.s()).delay()
    return {
        "running": running,
        "ended": [result.get(timeout=20), result.state],
        "ignored": [noted("unwanted"), ignored.ignored],
        "own ending": seen(own_ending.delay(), "SKIPPED", "nothing to do"),
        "ignored in a header": header.get(timeout=20),
        "order": [states.state("PROGRESS") > states.PENDING, states.state("PROGRESS") < states.SUCCESS],
    }
