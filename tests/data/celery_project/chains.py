"""One after the other."""

from celery import chain

from celery_project.arithmetic import add, mul


def main():
    """Steps, their handles and their ids."""
    result = chain(add.s(4, 4), mul.s(8), mul.s(10))()
    partial = chain(add.s(4), mul.s(8))
    named = chain(add.s(1, 1), add.s(2)).apply_async(task_id="the-last-one")
    flat = chain(chain(add.s(1, 1), add.s(2)), chain(add.s(3)))
    return {
        "value": result.get(timeout=20),
        "parents": [
            result.parent.get(timeout=20),
            result.parent.parent.get(timeout=20),
            result.parent.parent.parent,
        ],
        "partial": partial(16).get(timeout=20),
        "id": [named.id, named.get(timeout=20)],
        "flat": [len(flat.tasks), flat().get(timeout=20)],
        "list": chain([add.s(1, 1), add.s(2)])().get(timeout=20),
        "generator": chain(add.s(1) if i else add.s(1, 1) for i in range(3))().get(timeout=20),
        "one": chain(add.s(1, 1))().get(timeout=20),
        "empty": chain().apply_async(),
        "reduced": chain([add.s(1, 1)] + [add.s(i) for i in range(10)]).delay().get(timeout=20),
    }
