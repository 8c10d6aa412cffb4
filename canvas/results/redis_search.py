"""Search in a Redis for ids of which nothing is known: may they wait there all the same, or run in somebody else's worker?

What backbeat sends is known by its run (commit/sent.py). What a Celery client sends is not before a backbeat worker claims it, and
what a Celery worker runs never is. Slow, as all keys are looked through: only for who asks after an id that has no trace.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..redis_client import Redis

AT_ONCE = 1_000
"""Keys, or messages, in one command."""
DEEPEST = 10_000
"""Messages of a queue that are looked at, the oldest ones: younger ones of ours have their run. A longer queue is in doubt."""


def shares_with_kombu(client: Redis, prefix: str) -> bool:
    """True if a program that uses kombu (Celery's clients and workers) ever declared a queue of tasks in this database. Queues of remote control
    and events are declared by backbeat's own workers and those who watch, too.
    """
    found = client.scan_iter(match=f"{_literal(prefix)}_kombu.binding.*", count=AT_ONCE)
    return any(not key.endswith((b".pidbox", b".celeryev")) for key in found)


def waiting_among(client: Redis, prefix: str, ids: Collection[str]) -> set[str]:
    """Those of `ids` whose messages may wait in a queue."""
    left, waiting = set(ids), set()
    for name in client.scan_iter(match=f"{_literal(prefix)}*", count=AT_ONCE, _type="list"):
        if name == f"{prefix}backbeat:dead".encode():
            continue
        for text in _oldest(client, name):
            named = {id_ for id_ in left if id_.encode() in text}
            waiting |= named
            left -= named
        length: Any = client.llen(name)
        if length > DEEPEST:
            return set(ids)
        if not left:
            break
    return waiting


def _oldest(client: Redis, name: bytes) -> Any:
    """Messages of a queue, from its end, where the oldest are."""
    for last in range(-1, -DEEPEST, -AT_ONCE):
        texts: Any = client.lrange(name, last - AT_ONCE + 1, last)
        yield from texts
        if len(texts) < AT_ONCE:
            return


def _literal(text: str) -> str:
    """The text as a pattern that matches nothing else."""
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in text)
