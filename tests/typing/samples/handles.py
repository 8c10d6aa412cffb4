"""Handles keep the type of their task's value, in coroutines too."""

from typing import Any, assert_type

from backbeat.canvas import App, AsyncResult, GroupResult, ResultSet, group, result_from_tuple
from backbeat.canvas.result import allow_join_result

app = App("typing")


@app.task
def add(x: int, y: int = 1) -> int:
    return x + y


async def main() -> int:
    handle = await add.adelay(1, y=2)
    assert_type(handle, AsyncResult[int])
    assert_type(await handle.aget(timeout=5.0), int)
    assert_type(await add.aapply_async((1,), countdown=3.0), AsyncResult[int])
    assert_type(await app.asend_task("add", [1]), AsyncResult[Any])
    await add.adelay("1")  # E: arg-type
    await add.adelay()  # E: call-arg
    text: str = await handle.aget()  # E: assignment
    return len(text)


handle = add.delay(1).then(lambda result: print(result.get()))
assert_type(handle, AsyncResult[int])
assert_type(AsyncResult[int]("id").get(), int)
both = app.ResultSet([handle, AsyncResult("id")])
assert_type(both, ResultSet)
assert_type(both.get(timeout=1), list[Any])
saved = app.GroupResult.restore("id")
assert_type(saved, GroupResult | None)
assert_type(GroupResult.restore("id", app=app), GroupResult | None)
assert_type(app.GroupResult("id", 3), GroupResult)
for id_, meta in both.iter_native(timeout=1):
    assert_type((id_, meta), tuple[str, Any])
with allow_join_result():
    again: AsyncResult[Any] | GroupResult = result_from_tuple(handle.as_tuple(), app=app)
sent: Any = group(add.s(1)).apply_async()

saved.save()  # E: union-attr
handle.get(timout=1)  # E: call-arg
year: int = handle.date_done.year  # E: union-attr
ResultSet(handle)  # E: arg-type
