"""RedisGroups: keeps groups where Celery's clients look for them; a SavedGroups."""

from __future__ import annotations

import math
from typing import Any

from ..redis_client import Redis, unavailable
from .compression import compressed, plain


class RedisGroups:
    """Keeps `celery-taskset-meta-<id>`, and the short form, of which Celery's clients know nothing, under a key of its own.

    `keep_seconds` and `compression` as in Limits.
    """

    def __init__(self, client: Redis, *, prefix: str, keep_seconds: float, compression: str | None) -> None:
        self._client = client
        self._prefix = prefix
        self._seconds = math.ceil(keep_seconds) or None
        self._compression = compression

    def save(self, id_: str, text: str, *, is_short: bool = False) -> None:
        listed, short = self._keys(id_)
        packed = compressed(text, self._compression) if self._compression else None
        stored = text.encode() if packed is None else packed
        with unavailable(), self._client.pipeline() as pipeline:
            pipeline.set(short if is_short else listed, stored, ex=self._seconds)
            pipeline.delete(listed if is_short else short)
            pipeline.execute()

    def load(self, id_: str) -> str | None:
        with unavailable():
            found: Any = self._client.mget(self._keys(id_))
        stored = next((each for each in found if each is not None), None)
        return None if stored is None else plain(stored).decode()

    def delete(self, id_: str) -> None:
        with unavailable():
            self._client.delete(*self._keys(id_))

    def _keys(self, id_: str) -> tuple[str, str]:
        return f"{self._prefix}celery-taskset-meta-{id_}", f"{self._prefix}backbeat:group:{id_}"
