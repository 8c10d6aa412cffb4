"""What is called when a task fails."""

from celery import chain, chord, group

from celery_project.arithmetic import add, divide, xsum
from celery_project.celery import app
from celery_project.notes import note, noted


@app.task
@app.task
def new_style(request, exc, traceback):
    note("new style", [request.task, repr(exc), "ZeroDivisionError" in str(traceback)])


@app.task
def with_more(request, exc, traceback, about):
    note(about, [request.id if about == "failed named" else request.task, type(exc).__name__])


@app.task
def apart(about):
    note(about, "called without anything")


def main():
    """Of a task, a chain, a chord, members of a group."""
    divide.apply_async((1, 0), link_error=new_style.s())
    divide.apply_async((1, 0), link_error=[apart.si("list 1"), apart.si("list 2")])
    divide.s(1, 0).on_error(with_more.s("failed on_error")).delay()
    chain(add.s(1, 1), divide.s(0), add.s(1)).on_error(with_more.s("failed chain")).delay()
    chord([add.s(1, 1), divide.s(1, 0)], xsum.s().on_error(with_more.s("failed chord"))).delay()
    divide.apply_async((1, 0), task_id="known-failure", link_error=with_more.s("failed named"))
    group(divide.s(1, 0).on_error(apart.si("failed member")), add.s(1, 1)).delay()
    members = group(divide.s(1, 0), divide.s(2, 0))
    members.link_error(with_more.s("failed members"))
    members.delay()
    app.conf.task_allow_error_cb_on_chord_header = True
    told = chord([divide.s(1, 0), add.s(1, 1)], xsum.s())
    told.link_error(apart.si("failed header and body"))
    told.delay()
    app.conf.task_allow_error_cb_on_chord_header = False
    failed = chain(divide.s(1, 0), add.s(1)).delay()
    return {
        "new style": noted("new style"),
        "list": [noted("list 1"), noted("list 2")],
        "on_error": noted("failed on_error"),
        "chain": noted("failed chain"),
        "chord": noted("failed chord"),
        "named": noted("failed named"),
        "member": noted("failed member"),
        "members": noted("failed members", 2),
        "header and body": noted("failed header and body", 2),
        "what follows": [repr(failed.get(timeout=20, propagate=False)), failed.state, failed.parent.state],
    }
