"""Stages: one group after the other."""

from celery import chain, group

from celery_project.arithmetic import add, identity, mul, xsum


def main():
    """What each stage gets of the one before."""
    split = chain(add.s(1, 1), group(add.s(1), add.s(2)), xsum.s(), group(add.s(1), mul.s(10)))
    gathered = chain(identity.s([1, 2]), group(xsum.s(), identity.s()), identity.s())
    followed = chain(group(add.s(1, 1), add.s(2, 2)), group(xsum.s(), identity.s()))
    return {
        "split": split.delay().get(timeout=20),
        "gathered": gathered.delay().get(timeout=20),
        "followed": followed.delay().get(timeout=20),
        "with a task in front": (
            identity.s(1) | group(add.s(1), add.s(2)) | group(xsum.s(), xsum.s()) | xsum.s()
        )
        .delay()
        .get(timeout=20),
    }
