"""A header, and a body with all its values."""

from celery import chord, group
from celery.exceptions import ChordError

from celery_project.arithmetic import add, divide, identity, xsum


def main():
    """Both spellings, bodies of all kinds, and a header that fails."""
    result = chord((add.s(i, i) for i in range(10)), xsum.s()).delay()
    broken = chord([add.s(1, 1), divide.s(1, 0)], xsum.s()).delay()
    error = broken.get(timeout=20, propagate=False)
    return {
        "value": result.get(timeout=20),
        "parent": [result.parent.get(timeout=20), type(result.parent).__name__],
        "called": chord([add.s(2, 2), add.s(4, 4)])(xsum.s()).get(timeout=20),
        "partial": chord([add.s(1), add.s(2)], xsum.s()).delay(10).get(timeout=20),
        "immutable body": chord([add.s(1, 1)], add.si(7, 7)).delay().get(timeout=20),
        "body with more": chord([add.s(1, 1)], add.s([5])).delay().get(timeout=20),
        "body of steps": chord([add.s(1, 1)], xsum.s() | add.s(1)).delay().get(timeout=20),
        "body of members": chord([add.s(1, 1)], group(xsum.s(), identity.s())).delay().get(timeout=20),
        "empty header": chord([], identity.s()).delay().get(timeout=20),
        "header of one": chord([add.s(1, 1)], identity.s()).delay().get(timeout=20),
        "chain in the header": chord([add.s(1, 1) | add.s(2), add.s(3, 3)], identity.s())
        .delay()
        .get(timeout=20),
        "broken": [
            isinstance(error, ChordError),
            str(error).replace(broken.parent[1].id, "ID"),
            broken.state,
            broken.failed(),
        ],
    }
