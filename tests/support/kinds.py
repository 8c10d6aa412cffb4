"""Every pair of broker and store that the suites of Commit run over, by name."""

from __future__ import annotations

from typing import Any

from backbeat.canvas.sql.engine import open_engine

from support.backends import CelerySqlBackend, MemoryBackend, RedisBackend, SqlBackend
from support.split_backend import SplitBackend, amqp_broker, memory_broker, sqs_broker
from support.stacks import IS_WHOLE
from support.thorough import in_turn

STORES = ["memory", "sqlite", "postgres", "mariadb", "redis"]
CELERYS = ["sqlite-celery", "postgres-celery", "mariadb-celery"] if IS_WHOLE else ["postgres-celery"]
"""With results in the tables of Celery's database backend, too."""
SPLIT = ["split-memory", "split-rabbitmq-redis", "split-rabbitmq-postgres"]
KINDS = STORES + SPLIT
IN_TURN = in_turn(KINDS, always=["memory", "sqlite", "redis", "split-memory", "split-rabbitmq-redis"])
"""The same as parameters: PostgreSQL and MariaDB are one code with SQLite, and each pair of broker and store is one with the others."""
ON_SQS = "split-sqs-redis"
"""For the contract of Commit alone: the emulator is slow, and what else runs over a Commit does not know its broker."""
OUTBOXES = [*SPLIT, "split-rabbitmq-mariadb"]
"""The pairs for what only a split commit does."""


def open_backend(kind: str, request: Any) -> Any:
    """The backend `kind`, with a place of its own. `request` is pytest's."""
    match kind:
        case "memory":
            return MemoryBackend()
        case "sqlite" | "postgres" | "mariadb":
            return SqlBackend(open_engine(request.getfixturevalue(f"{kind}_url")))
        case "sqlite-celery" | "postgres-celery" | "mariadb-celery":
            server = kind.removesuffix("-celery")
            return CelerySqlBackend(open_engine(request.getfixturevalue(f"{server}_url")))
        case "redis":
            return RedisBackend(*request.getfixturevalue("redis_prefixed"))
        case "split-memory":
            store = MemoryBackend()
            return SplitBackend(memory_broker(MemoryBackend(store.clock)), store)
    store_kind = kind.rsplit("-", 1)[1]
    if kind.startswith("split-sqs"):
        server = request.getfixturevalue("sqs_server")
        return SplitBackend(sqs_broker(server.url), open_backend(store_kind, request), forget=server.empty)
    url = request.getfixturevalue("amqp_url")
    return SplitBackend(amqp_broker(url), open_backend(store_kind, request), amqp_url=url)
