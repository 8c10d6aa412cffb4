"""Chords in chords."""

from celery import chain, chord, group

from celery_project.arithmetic import add, identity, xsum


def main():
    """In the header, as the body, in a chain."""
    inner = chord([add.s(1, 1), add.s(2, 2)], xsum.s())
    return {
        "in the header": chord([inner, add.s(10, 10)], identity.s()).delay().get(timeout=20),
        "twice": chord([chord([inner, add.s(1, 1)], xsum.s()), inner], identity.s()).delay().get(timeout=20),
        "as the body": chord([add.s(1, 1)], chord([xsum.s(), identity.s()], identity.s()))
        .delay()
        .get(timeout=20),
        "in a chain": chain(add.s(1, 1), chord([add.s(1), add.s(2)], xsum.s()), add.s(100))
        .delay()
        .get(timeout=20),
        "one after the other": chain(inner, identity.s()).delay().get(timeout=20),
        "beside a group": group(inner, inner).delay().get(timeout=20),
        "a chain that ends in a group": chord(
            [add.s(1, 1) | group(add.s(1), add.s(2)), add.s(2, 2)], identity.s()
        )
        .delay()
        .get(timeout=20),
    }
