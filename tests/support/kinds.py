"""Every pair of broker and store that the suites of Commit run over, by name."""

from __future__ import annotations

from typing import Any

from backbeat.canvas.sql.engine import open_engine

from support.backends import MemoryBackend, RedisBackend, SqlBackend
from support.split_backend import SplitBackend, amqp_broker, memory_broker

STORES = ["memory", "sqlite", "postgres", "mariadb", "redis"]
SPLIT = ["split-memory", "split-rabbitmq-redis", "split-rabbitmq-postgres"]
KINDS = STORES + SPLIT
OUTBOXES = [*SPLIT, "split-rabbitmq-mariadb"]
"""The pairs for what only a split commit does."""


def open_backend(kind: str, request: Any) -> Any:
    """The backend `kind`, with a place of its own. `request` is pytest's."""
    match kind:
        case "memory":
            return MemoryBackend()
        case "sqlite" | "postgres" | "mariadb":
            return SqlBackend(open_engine(request.getfixturevalue(f"{kind}_url")))
        case "redis":
            return RedisBackend(*request.getfixturevalue("redis_prefixed"))
        case "split-memory":
            store = MemoryBackend()
            return SplitBackend(memory_broker(MemoryBackend(store.clock)), store)
    store_kind = kind.rsplit("-", 1)[1]
    url = request.getfixturevalue("amqp_url")
    return SplitBackend(amqp_broker(url), open_backend(store_kind, request), amqp_url=url)
