"""The public names of both packages, as a user with mypy --strict meets them."""

from datetime import timedelta
from typing import Any, assert_type

from backbeat.canvas import App, AsyncResult, GroupResult, Signature, chain, chord, group
from backbeat.scheduler import Crontab, Entry, Interval

app = App("typing", broker="memory://", include=["tasks"])


@app.task
def add(x: int, y: int) -> int:
    return x + y


step: Signature = add.s(1, 2)
both: Signature = group(add.si(1, 1), add.si(2, 2))
whole: Signature = add.s(1, 2) | add.s(3)
joined: Signature = chord([add.s(1, 1), add.s(2, 2)], add.si(0, 0))
line: Signature = chain(add.s(1, 1), add.s(2))
handle: AsyncResult[Any] | GroupResult = whole.delay()
assert_type(app.send_task("add", (1, 2)), AsyncResult[Any])
before: Any = handle.parent.get(timeout=1) if handle.parent is not None else None

every = Interval(every=timedelta(minutes=5))
nightly = Crontab(expression="0 3 * * *", timezone="Europe/Berlin")
entry = Entry(name="report", when=nightly, what={"task": "add"})

App(name=3)  # E: arg-type
AsyncResult("id", app=app, parent="id")  # E: arg-type
add.no_such_method()  # E: attr-defined
Crontab(expression=3)  # E: arg-type
Interval(every=5)  # E: arg-type
Entry(name="report")  # E: call-arg
