"""Signatures that have some of their arguments."""

from celery import signature

from celery_project.arithmetic import add


def main():
    """Arguments of the call come in front, keyword arguments and options of the call win."""
    partial = add.s(2)
    options = add.signature((2,), countdown=10, queue="other")
    return {
        "delay": partial.delay(4).get(timeout=20),
        "apply_async": partial.apply_async((8,)).get(timeout=20),
        "keywords": add.s(2, y=4).delay(y=8).get(timeout=20),
        "called": [partial(4), add.s(2, 2)()],
        "cloned": [
            list(partial.clone((4,)).args),
            list(partial.args),
            dict(add.s(2).clone(kwargs={"y": 1}).kwargs),
        ],
        "options": [options.options["countdown"], options.set(countdown=1).options["countdown"]],
        "replaced": [list(partial.replace(args=(1, 2)).args), list(partial.args)],
        "by name": signature("celery_project.arithmetic.add", args=(2, 2)).delay().get(timeout=20),
        "text": [repr(add.s(2, 2)), add.s(2).task, add.s(2).immutable],
        "waited": ~add.s(20, 22),
    }
