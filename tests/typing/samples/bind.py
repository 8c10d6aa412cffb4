"""`bind=True` takes `self` away from what callers write; the function's own view of `self` may be any."""

from typing import Any, assert_type

from backbeat.canvas import App, AsyncResult, Task, shared_task

app = App("typing")


@app.task(bind=True, max_retries=5)
def fetch(self: Task[..., Any], url: str, *, tries: int = 1) -> bytes:
    if not url:
        raise self.retry(countdown=2.0)
    return url.encode()


@shared_task(bind=True)
def loose(self: Any, count: int) -> list[int]:
    return [count, self.request.retries]


assert_type(fetch.delay("x"), AsyncResult[bytes])
assert_type(fetch.delay("x", tries=2).get(), bytes)
assert_type(loose.delay(3).get(), list[int])

fetch.delay()  # E: call-arg
fetch.delay(fetch, "x")  # E: arg-type call-arg
fetch.delay(1)  # E: arg-type
fetch.delay("x", tries="2")  # E: arg-type
loose.delay("3")  # E: arg-type
loose.delay(3, 4)  # E: call-arg


@app.task(bind=True)  # E: arg-type
def selfless() -> None: ...
