"""Dead letters in a Redis: a sorted set of keys by time, and their texts. store.lua writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..redis_client import Redis
from .dead_letter import DeadLetter, KeptLetter
from .redis_keys import RedisKeys


def letter_to_text(dead: DeadLetter, now_us: int) -> str:
    """A dead letter as it is stored."""
    known = {"task_id": dead.task_id, "reason": dead.reason, "message": dead.raw, "queue": dead.queue}
    return json.dumps({"at_us": now_us, **known})


def newest(client: Redis, keys: RedisKeys, limit: int, before: str) -> list[KeptLetter]:
    """The newest ones; see dead_letter.DeadLetters."""
    start: Any = client.zrevrank(keys.own("dead"), before) if before else -1
    if start is None:
        return []
    rows: Any = client.zrevrange(keys.own("dead"), start + 1, start + limit, withscores=True)
    return _kept(client, keys, [key.decode() for key, _ in rows])


def find(client: Redis, keys: RedisKeys, key: str) -> KeptLetter | None:
    """The one of this key."""
    return next(iter(_kept(client, keys, [key])), None)


def drop(client: Redis, keys: RedisKeys, dropped: Sequence[str]) -> int:
    """Delete them; how many there were."""
    pipeline = client.pipeline()
    pipeline.zrem(keys.own("dead"), *dropped)
    pipeline.hdel(keys.own("dead-texts"), *dropped)
    return int(pipeline.execute()[0])


def _kept(client: Redis, keys: RedisKeys, wanted: Sequence[str]) -> list[KeptLetter]:
    texts: Any = client.hmget(keys.own("dead-texts"), list(wanted)) if wanted else []
    return [_letter_of(key, text) for key, text in zip(wanted, texts, strict=True) if text is not None]


def _letter_of(key: str, text: bytes) -> KeptLetter:
    row = json.loads(text)
    letter = DeadLetter(row["reason"], row["message"], row.get("task_id"), row.get("queue") or "")
    return KeptLetter(key, row.get("at_us") or 0, letter)
