"""Later, and not too late."""

import time
from datetime import UTC, datetime, timedelta

from celery import group
from celery.exceptions import TaskRevokedError, TimeoutError

from celery_project.arithmetic import add
from celery_project.celery import app


@app.task
def clock():
    return time.time()


def main():
    """countdown, eta, expires, and a `get` that gives up."""
    start = time.time()
    soon = datetime.now(UTC) + timedelta(seconds=1)
    counted, dated = clock.apply_async(countdown=1), clock.apply_async(eta=soon)
    skewed = group(clock.s() for _ in range(2)).skew(start=0.5, step=0.5).apply_async()
    expired = add.apply_async((1, 1), expires=datetime.now(UTC) - timedelta(seconds=5))
    in_time = add.apply_async((1, 1), expires=60)
    error = expired.get(timeout=20, propagate=False)
    later = add.apply_async((1, 1), countdown=3600)
    try:
        later.get(timeout=0.1)
        waited = "a value"
    except TimeoutError:
        waited = "nothing"
    later.revoke()
    return {
        "countdown": counted.get(timeout=20) - start >= 0.99,
        "eta": dated.get(timeout=20) >= soon.timestamp(),
        "skewed": [value - start >= at for value, at in zip(skewed.get(timeout=20), (0.49, 0.99))],
        "expired": [isinstance(error, TaskRevokedError), expired.state],
        "in time": in_time.get(timeout=20),
        "too late": waited,
    }
