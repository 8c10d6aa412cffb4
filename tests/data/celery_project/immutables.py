"""Signatures that want nothing of the step before."""

from celery import chain, group

from celery_project.arithmetic import add, xsum


def main():
    """`si`, and `immutable=True`."""
    steps = chain(add.s(2, 2), add.si(4, 4), add.s(1))
    members = group(add.si(1, 1), add.si(2, 2))
    marked = add.signature((5, 5), immutable=True)
    return {
        "chain": steps().get(timeout=20),
        "call": add.si(2, 2).delay(100).get(timeout=20),
        "group": (add.s(9, 9) | members).delay().get(timeout=20),
        "signature": [marked.immutable, (add.s(1, 1) | marked).delay().get(timeout=20)],
        "set": (add.s(1, 1) | xsum.s([3, 4]).set(immutable=True)).delay().get(timeout=20),
    }
