"""Side by side."""

from celery import group

from celery_project.arithmetic import add, divide
from celery_project.celery import app
from celery_project.notes import note, noted


@app.task
def noted_first(about):
    note(about, "called once, with its own arguments")


def main():
    """Members in lists, arguments and generators, and the handle of all."""
    result = group(add.s(i, i) for i in range(10))()
    values = result.get(timeout=20)
    partial = group(add.s(1), add.s(2), add.s(3))
    broken = group(divide.s(4, 2), divide.s(1, 0), divide.s(9, 3)).delay()
    slots = broken.get(timeout=20, propagate=False)
    empty = group().apply_async()
    nested = group(group(add.s(1, 1), add.s(2, 2)), add.s(3, 3))
    linked = group(add.s(1, 1), add.s(2, 2))
    linked.link(noted_first.s("linked to a group"))
    linked.delay()
    return {
        "linked": noted("linked to a group"),
        "values": values,
        "handle": [
            len(result),
            result.ready(),
            result.successful(),
            result.failed(),
            result.waiting(),
            result.completed_count(),
            [each.get() for each in result],
            result[3].get(),
            result.children == result.results,
            result.join(timeout=20) == values,
            sorted(value["result"] for _, value in result.iter_native()),
        ],
        "partial": partial(10).get(timeout=20),
        "list": group([add.s(1, 1), add.s(2, 2)]).delay().get(timeout=20),
        "broken": [repr(slots), broken.failed(), broken.successful(), broken.completed_count()],
        "empty": [empty.get(timeout=20), len(empty), empty.ready(), empty.successful()],
        "nested": nested.delay().get(timeout=20),
        "skewed": [task.options["countdown"] for task in partial.skew(start=1, stop=10).tasks],
        "id": group(add.s(1, 1)).apply_async(task_id="the-group").id,
    }
