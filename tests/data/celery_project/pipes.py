"""Composing with `|`."""

from celery import chain, chord, group

from celery_project.arithmetic import add, identity, mul, xsum


def main():
    """What comes of two operands, and its value."""
    steps = add.s(2, 2) | mul.s(4) | add.s(1)
    upgraded = group(add.s(1, 1), add.s(2, 2)) | xsum.s()
    middle = add.s(1, 1) | group(add.s(1), add.s(2)) | xsum.s()
    fan_out = add.s(1, 1) | group(add.s(1), add.s(2))
    joined = chord([add.s(1, 1)], xsum.s()) | add.s(10)
    scalar = add.s(1, 1) | group(identity.s()) | identity.s()
    return {
        "kinds": [each["subtask_type"] for each in (steps, upgraded, middle, fan_out)],
        "steps": [len(steps.tasks), steps().get(timeout=20)],
        "upgraded": upgraded.delay().get(timeout=20),
        "middle": middle.delay().get(timeout=20),
        "fan out": fan_out.delay().get(timeout=20),
        "joined": joined.delay().get(timeout=20),
        "a group of one as a later step": scalar.delay().get(timeout=20),
        "a group of one as the first step": (group(identity.s(1)) | identity.s()).delay().get(timeout=20),
        "with an empty chain": (chain() | add.s(1, 1)).delay().get(timeout=20),
        "operands stay": [len(steps.tasks), len((steps | add.s(1)).tasks), len(steps.tasks)],
    }
