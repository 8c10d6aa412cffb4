"""`task_store_eager_result`: what ended in an eager run is in the real result backend, as if workers had written it."""

from __future__ import annotations

import pytest
from backbeat.canvas import App, chain, chord, group

from support.stacks import STACKS, open_stack


@pytest.fixture(params=[*STACKS, "redis+postgres"])
def stack(request, tmp_path):
    with open_stack(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def app(stack):
    app = App(
        "eager",
        broker=stack.broker,
        backend=stack.backend,
        set_as_current=False,
        task_always_eager=True,
        task_store_eager_result=True,
    )
    app.task(name="add")(lambda x, y=0: x + y)
    app.task(name="total")(lambda numbers: sum(numbers))  # noqa: PLW0108 - its arguments are checked
    app.task(name="broken")(lambda *_: 1 / 0)
    app.task(name="fans", bind=True)(lambda task: task.replace(group(add(app, 1), add(app, 2))))
    with app:
        yield app


def add(app, *args):
    return app.signature("add", args)


def test_all_that_ended_is_in_the_store(app):
    flow = chord([add(app, 1), add(app, 2)], app.signature("total")).delay()
    failed = chain(app.signature("broken"), add(app, 1)).delay()
    replaced = app.signature("fans").delay()

    by_id = [app.AsyncResult(each.id) for each in (*flow.parent, flow, failed.parent, failed, replaced)]

    assert [each.state for each in by_id] == ["SUCCESS"] * 3 + ["FAILURE"] * 2 + ["SUCCESS"]
    assert [each.get() for each in by_id[:3]] == [1, 2, 3]
    assert by_id[5].get() == [1, 2]
    assert (by_id[0].name, by_id[0].args) == ("add", [1])
    with pytest.raises(ZeroDivisionError):
        by_id[4].get()
