"""Results by id, as data, and their relations."""

from celery import chain, group
from celery.result import AsyncResult, GroupResult, result_from_tuple

from celery_project.arithmetic import add, divide, identity
from celery_project.celery import app


def main():
    """AsyncResult and GroupResult."""
    result = add.delay(1, 2)
    result.get(timeout=20)
    again = AsyncResult(result.id, app=app)
    last = chain(add.s(1, 1), add.s(2), add.s(3)).delay()
    last.get(timeout=20)
    told = result_from_tuple(last.as_tuple(), app=app)
    members = group(add.s(1, 1), identity.s("x")).delay()
    members.get(timeout=20)
    members.save()
    restored = GroupResult.restore(members.id, app=app)
    first = last.parent.parent
    failed = divide.delay(1, 0)
    failed.get(timeout=20, propagate=False)
    frozen = add.s(5, 5)
    handle = frozen.freeze("frozen-id")
    frozen.delay().get(timeout=20)
    forgotten = add.delay(1, 1)
    forgotten.get(timeout=20)
    forgotten.forget()
    return {
        "by id": [again.get(timeout=20), again.state, again.id == result.id, again == result],
        "unknown": AsyncResult("nobody-sent-this", app=app).state,
        "as data": [
            told.get(timeout=20),
            told.parent.get(timeout=20),
            told.parent.parent.parent,
            told == last,
        ],
        "list": last.as_list() == [last.id, last.parent.id, first.id],
        "restored": [restored.get(timeout=20), len(restored), restored.id == members.id],
        "collected": [value for _, value in first.collect()],
        "children": [child.id for child in first.children] == [last.parent.id],
        "callback": add.delay(2, 2).get(timeout=20, callback=lambda _, value: value),
        "failed": [
            type(failed.result).__name__,
            type(failed.info).__name__,
            failed.successful(),
            failed.ready(),
        ],
        "frozen": [handle.id, handle.get(timeout=20)],
        "forgotten": AsyncResult(forgotten.id, app=app).state,
    }
