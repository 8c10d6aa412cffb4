"""Classes of tasks: their options, hooks and `run` are known by type."""

from collections.abc import Mapping, Sequence
from typing import Any, assert_type

from backbeat.canvas import App, AsyncResult, Task

app = App("typing")


class Base(Task[..., Any]):
    max_retries = 5
    queue = "slow"
    acks_late = True
    autoretry_for = (OSError,)

    def on_success(self, retval: Any, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        assert_type(self.request.retries, int)


class Double(Task[[int], int]):
    name = "double"

    def run(self, x: int) -> int:
        return 2 * x


@app.task(base=Base, retry_backoff=True)
def half(x: int) -> float:
    return x / 2


double = Double()
app.register_task(double)

assert_type(half.delay(1), AsyncResult[float])
assert_type(double.delay(1), AsyncResult[int])
assert_type(double(1), int)
double.delay("1")  # E: arg-type
half.delay("1")  # E: arg-type


class Wrong(Task[..., Any]):
    max_retries = "3"  # E: assignment
