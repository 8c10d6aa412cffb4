"""A task that looks whether it is still wanted."""

import time

from celery.contrib.abortable import AbortableAsyncResult, AbortableTask

from celery_project.celery import app
from celery_project.notes import note, noted


@app.task(bind=True, base=AbortableTask)
def patient(self):
    note("aborting", "begun")
    until = time.monotonic() + 15
    while time.monotonic() < until:
        if self.is_aborted():
            return "stopped early"
        time.sleep(0.02)
    return "ran to its end"


def main():
    """Abort it from outside, by its id."""
    result = patient.delay()
    noted("aborting")
    AbortableAsyncResult(result.id, app=app).abort()
    return {
        "value": result.get(timeout=20),
        "state": result.state,
        "kind": isinstance(result, AbortableAsyncResult),
    }
