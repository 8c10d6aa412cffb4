"""A shared task is as well known as an app's own."""

from typing import assert_type

from backbeat.canvas import AsyncResult, shared_task


@shared_task
def double(x: int) -> int:
    return 2 * x


@shared_task(name="shout", ignore_result=True)
def shout(text: str, *more: str) -> str:
    return " ".join((text, *more)).upper()


assert_type(double.delay(1), AsyncResult[int])
assert_type(shout.delay("a", "b", "c").get(), str)

double.delay("1")  # E: arg-type
double.delay(1, 2)  # E: call-arg
shout.delay("a", 2)  # E: arg-type
shout.delay()  # E: call-arg
