"""A chord that grows while it runs."""

from celery import chord

from celery_project.arithmetic import add, identity
from celery_project.celery import app


@app.task(bind=True)
def adds_another(self, x):
    self.add_to_chord(add.s(x, 100))
    return x


def main():
    """The body gets one value more."""
    return {
        "values": sorted(chord([adds_another.s(1), add.s(1, 1)], identity.s()).delay().get(timeout=20)),
    }
