"""Tasks that let others take their place."""

from celery import chain, chord, group

from celery_project.arithmetic import add, identity, xsum
from celery_project.celery import app


@app.task(bind=True)
def by_one(self, x):
    raise self.replace(add.s(x, 1))


@app.task(bind=True)
def by_steps(self, x):
    return self.replace(add.s(x, 1) | add.s(10))


@app.task(bind=True)
def by_members(self, x):
    return self.replace(group(add.s(x, 1), add.s(x, 2)))


@app.task(bind=True)
def countdown(self, n):
    return n if n == 0 else self.replace(countdown.s(n - 1))


def main():
    """Alone, in a chain, in a header."""
    alone = by_one.delay(1)
    return {
        "one": [alone.get(timeout=20), alone.state],
        "in a chain": chain(add.s(1, 1), by_steps.s(), add.s(100)).delay().get(timeout=20),
        "a group in a chain": chain(by_members.si(1), xsum.s()).delay().get(timeout=20),
        "in a header": chord([by_steps.s(1), add.s(1, 1)], identity.s()).delay().get(timeout=20),
        "a group in a header": chord([by_members.s(1), add.s(1, 1)], identity.s()).delay().get(timeout=20),
        "again and again": countdown.delay(4).get(timeout=20),
    }
