"""Bindings: which queues of a Redis kombu's programs have bound to an exchange, Celery's workers for instance.

kombu keeps a set for each exchange: routing key, pattern and queue, with a separator between them. The pattern is there for topics.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..binding import topic_fits
from ..priority import SEPARATOR
from ..redis_client import Redis, unavailable


def bound_queues(client: Redis, prefix: str, exchange: str, routing_key: str) -> list[str]:
    """The queues that get what is published so, by name. Raises Unavailable."""
    with unavailable():
        members: Any = client.smembers(f"{prefix}_kombu.binding.{exchange}")
    return fitting((each.decode() for each in members), routing_key)


def fitting(members: Iterable[str], routing_key: str) -> list[str]:
    """The queues of those members of a set whose key or pattern fits."""
    found = set()
    for member in members:
        key, pattern, queue = [*member.split(SEPARATOR), "", ""][:3]
        if queue and (topic_fits(key, routing_key) if pattern else key == routing_key):
            found.add(queue)
    return sorted(found)
