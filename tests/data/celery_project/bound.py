"""Tasks that know of their run."""

from celery import chain, chord, current_task

from celery_project.arithmetic import add
from celery_project.celery import app


@app.task(bind=True)
def me(self, *args, **kwargs):
    request = self.request
    return {
        "id": request.id,
        "root": request.root_id,
        "parent": request.parent_id,
        "group": request.group,
        "retries": request.retries,
        "args": list(request.args),
        "kwargs": dict(request.kwargs),
        "eager": request.is_eager,
        "called": request.called_directly,
        "name": self.name,
        "current": current_task.name,
        "header": request.get("mine"),
        "routing key": request.delivery_info["routing_key"],
    }


@app.task(bind=True)
def sends(self, x):
    return add.delay(x, 1).id


def main():
    """Alone, in a chain, in a header, and what it sends."""
    alone = me.apply_async((1,), {"x": 2}, task_id="known", headers={"mine": "yes"}).get(timeout=20)
    last = chain(me.si(), me.si()).delay()
    second, first = last.get(timeout=20), last.parent.get(timeout=20)
    sent = chord([me.si(), me.si()], add.si(1, 1)).delay()
    members = sent.parent.get(timeout=20)
    sender = sends.delay(1)
    child = sender.get(timeout=20)
    return {
        "alone": alone,
        "chain": [
            second["id"] == last.id,
            second["parent"] == first["id"],
            second["root"] == first["id"] == first["root"],
            first["parent"],
        ],
        "header": [member["group"] == sent.parent.id for member in members],
        "children": [each.id == child for each in sender.children],
        "called": [me.request.called_directly, me.request.id],
    }
