"""Tasks that ask for another run."""

from celery import chain, chord
from celery.exceptions import MaxRetriesExceededError

from celery_project.arithmetic import add, xsum
from celery_project.celery import app
from celery_project.notes import note, noted


@app.task(bind=True, max_retries=5)
def third_time(self, x, y):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return x + y


@app.task(bind=True, max_retries=2, default_retry_delay=0)
def never(self):
    note("never", self.request.retries)
    try:
        raise ConnectionError("nobody there")
    except ConnectionError as exc:
        raise self.retry(exc=exc)


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def never_without_reason(self):
    raise self.retry()


@app.task(
    bind=True, autoretry_for=(ConnectionError,), max_retries=3, retry_backoff=False, default_retry_delay=0
)
def by_itself(self):
    if self.request.retries < 2:
        raise ConnectionError("not yet")
    return self.request.retries


@app.task(bind=True, max_retries=3)
def with_other_arguments(self, x):
    if self.request.retries == 0:
        raise self.retry(args=(x + 1,), countdown=0)
    return x


def main():
    """Alone, in a chain and in a header; what comes when there were too many."""
    exhausted = never.delay()
    error = exhausted.get(timeout=20, propagate=False)
    return {
        "alone": third_time.delay(1, 1).get(timeout=20),
        "in a chain": chain(third_time.s(1, 1), add.s(1)).delay().get(timeout=20),
        "in a header": chord([third_time.s(1, 1), add.s(2, 2)], xsum.s()).delay().get(timeout=20),
        "by itself": by_itself.delay().get(timeout=20),
        "other arguments": with_other_arguments.delay(1).get(timeout=20),
        "exhausted": [repr(error), exhausted.state, noted("never", 3)],
        "without reason": isinstance(
            never_without_reason.delay().get(timeout=20, propagate=False), MaxRetriesExceededError
        ),
    }
