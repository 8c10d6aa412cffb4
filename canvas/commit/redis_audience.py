"""The audience of a broadcast in a Redis: a sorted set of the workers' own queues, by when each is over.

One whose time is over stays known for a day, as what was on its way may still come to it: it is deleted with the rest.
"""

from __future__ import annotations

from typing import Any

from ..redis_client import Redis
from .limits import ABSENT_KEEP_US
from .redis_keys import RedisKeys


def present(client: Redis, keys: RedisKeys, broadcast: str, queue: str, now_us: int, seconds: float) -> None:
    """See base.Commit."""
    key = keys.own("audience:" + broadcast)
    client.zadd(key, {queue: now_us + round(seconds * 1_000_000)})
    absent: Any = client.zrange(key, "-inf", now_us, byscore=True)
    if absent:
        client.unlink(*(name for each in absent for name in keys.lists(each.decode())))
        client.zremrangebyscore(key, "-inf", now_us - ABSENT_KEEP_US)


def audience(client: Redis, keys: RedisKeys, broadcast: str, now_us: int) -> list[str]:
    """See base.Commit."""
    found: Any = client.zrange(keys.own("audience:" + broadcast), f"({now_us}", "+inf", byscore=True)
    return [each.decode() for each in found]
