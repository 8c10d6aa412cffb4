"""A task keeps its function's signature: in `delay` and in a direct call."""

from typing import assert_type

from backbeat.canvas import App, AsyncResult
from backbeat.canvas.result import EagerResult

app = App("typing")


@app.task
def add(x: int, y: int = 1, *, note: str = "") -> int:
    return x + y


@app.task(name="pause", queue="slow")
def pause(seconds: float) -> str:
    return str(seconds)


@app.task()
def nothing() -> None: ...


# what is right passes
assert_type(add.delay(1), AsyncResult[int])
assert_type(add.delay(1, 2, note="x"), AsyncResult[int])
assert_type(add.delay(x=1, y=2).get(), int)
assert_type(add.delay(1).get(timeout=1.0), int)
assert_type(add.apply_async((1, 2), countdown=3.0).get(), int)
assert_type(add.AsyncResult("id").get(), int)
assert_type(add.apply((1, 2), throw=True), EagerResult[int])
assert_type(add.apply((1, 2)).get(), int)
assert_type(add(1, 2), int)
assert_type(nothing.delay(), AsyncResult[None])

# what is wrong does not
add.delay("1")  # E: arg-type
add.delay(1, "2")  # E: arg-type
add.delay(1, note=3)  # E: arg-type
add.delay()  # E: call-arg
add.delay(1, 2, 3)  # E: arg-type call-arg
add.delay(1, z=2)  # E: call-arg
add("1")  # E: arg-type
add()  # E: call-arg
nothing.delay(1)  # E: call-arg
pause.delay("1")  # E: arg-type
text: str = add.delay(1).get()  # E: assignment
