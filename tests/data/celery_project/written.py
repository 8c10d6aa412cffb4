"""Signatures as data."""

import json

from celery import chain, chord, group, signature
from celery.canvas import Signature

from celery_project.arithmetic import add, xsum


def through_json(sig):
    return signature(json.loads(json.dumps(sig)))


def main():
    """What they are written as, and what comes back."""
    sigs = {
        "task": add.s(2, 2),
        "chain": chain(add.s(1, 1), add.s(2)),
        "group": group(add.s(1, 1), add.s(2, 2)),
        "chord": chord([add.s(1, 1), add.s(2, 2)], xsum.s()),
        "options": add.signature((1, 1), kwargs={}, priority=3, headers={"a": "b"}),
        "immutable": add.si(3, 3),
    }
    plain = json.loads(json.dumps(add.s(2, y=2)))
    return {
        "values": {name: through_json(sig).delay().get(timeout=20) for name, sig in sigs.items()},
        "kinds": {name: isinstance(through_json(sig), Signature) for name, sig in sigs.items()},
        "types": {name: json.loads(json.dumps(sig))["subtask_type"] for name, sig in sigs.items()},
        "tasks": {name: sig["task"] for name, sig in sigs.items()},
        "plain": [sorted(plain), plain["args"], plain["kwargs"], plain["immutable"], plain["subtask_type"]],
        "from_dict": Signature.from_dict(plain).delay().get(timeout=20),
        "equal": [add.s(1, 1) == add.s(1, 1), add.s(1, 1) == add.s(1, 2), dict(through_json(plain)) == plain],
        "is a mapping": [isinstance(add.s(), dict), add.s(1)["args"][0]],
    }
