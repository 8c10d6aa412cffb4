"""Sends: P18 of the targets: what a client sends in a second, beside Celery's. No worker runs; all messages must be on the broker afterwards.

    python -m bench p18

Each call of `delay()` returns when the broker has it. A hundred at once are a group: that is how both sides are asked to send many; on
RabbitMQ the broker confirms every message at both sides.
"""

from __future__ import annotations

from functools import partial

from .pairs import Outcome, against, alternate
from .rates import Open
from .systems import CELERY, OURS, System, on_rabbitmq, on_redis

TASKS = {"each": 5_000, "batches": 10_000}


def p18() -> list[Outcome]:
    """One call after the other, and a hundred at once."""
    stored = partial(on_redis, results=True)
    return [
        _pair("P18-delay", "delay() in a loop, Redis, no results", "each", on_redis, 2.5),
        _pair("P18-delay-results", "delay() in a loop, Redis, results", "each", stored, 2.5),
        _pair("P18-many-redis", "groups of 100, Redis, no results", "batches", on_redis, 15),
        _pair("P18-many-rabbitmq", "groups of 100, RabbitMQ, confirmed", "batches", on_rabbitmq, 5),
    ]


def _pair(name: str, title: str, verb: str, open_place: Open, least: float) -> Outcome:
    ours, theirs = alternate(lambda: _rate(OURS, verb, open_place), lambda: _rate(CELERY, verb, open_place))
    return against(name, title, "/s", CELERY.name.removesuffix(" prefork"), ours, theirs, at_least=least)


def _rate(system: System, verb: str, open_place: Open) -> float:
    count = TASKS[verb]
    with open_place() as place:
        took: float = system.run(place, verb, count)["seconds"]
        if (sent := place.left) != count:
            raise SystemExit(f"{system.name}: {sent} of {count} messages are on the broker")
    return (count - 1) / took
