"""The options of a task are known by name and type, in both decorators."""

from datetime import timedelta
from typing import Any, assert_type

from backbeat.canvas import App, AsyncResult, Task, shared_task

app = App("typing")


@app.task(
    name="whole",
    queue="slow",
    autoretry_for=(OSError, KeyError),
    dont_autoretry_for=(FileNotFoundError,),
    throws=[KeyError],
    retry_backoff=2.5,
    retry_backoff_max=timedelta(minutes=10),
    retry_jitter=False,
    retry_kwargs={"max_retries": 5, "countdown": 2},
    max_retries=None,
    default_retry_delay=3,
)
def whole(x: int) -> int:
    return x


@shared_task(bind=True, retry_backoff=True, ignore_result=True)
def bound(self: Task[..., Any], x: int) -> int:
    try:
        return 1 // x
    except ZeroDivisionError as error:
        raise self.retry(exc=error, countdown=timedelta(seconds=1), queue="slow") from error
    except self.MaxRetriesExceededError:
        return 0


assert_type(whole.delay(1), AsyncResult[int])
assert_type(bound.delay(1), AsyncResult[int])


@app.task(retry_backof=True)  # E: call-overload untyped-decorator
def misspelt() -> None: ...


@app.task(autoretry_for=("OSError",))  # E: arg-type
def text_for_a_class() -> None: ...


@shared_task(max_retries="3")  # E: call-overload untyped-decorator
def text_for_a_number() -> None: ...
