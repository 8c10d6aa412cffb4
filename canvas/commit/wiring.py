"""Wiring of our own stores: from a URL to a Commit, and to what all of a process share: one store in memory, one engine a database."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from ..errors import ImproperlyConfigured
from ..places import Kind, kind_of
from ..signing import NO_KEYS, Keyring
from ..url_text import without_password
from .base import Store
from .limits import Limits
from .role import Role

_opening = threading.Lock()
"""`cache` lets two threads make what both find missing."""


def open_store(
    url: str,
    *,
    worker: str,
    limits: Limits,
    queues: Sequence[str] = (),
    role: Role = Role.WHOLE,
    prefix: str = "",
    db_of_results: int | None = None,
    keyring: Keyring = NO_KEYS,
) -> Store:
    """One of our own stores, in any role. Raises ImproperlyConfigured for what is none."""
    match kind_of(url):
        case Kind.MEMORY:
            from .memory import MemoryCommit

            return MemoryCommit(
                memory_store_of(url), worker=worker, queues=queues, limits=limits, role=role, keyring=keyring
            )
        case Kind.SQL:
            from .sql import SqlCommit

            return SqlCommit(
                engine_of(url), worker=worker, queues=queues, limits=limits, role=role, keyring=keyring
            )
        case Kind.REDIS:
            from .redis import RedisCommit

            return RedisCommit(
                url,
                worker=worker,
                queues=queues,
                limits=limits,
                role=role,
                prefix=prefix,
                result_db=db_of_results,
                keyring=keyring,
            )
        case Kind.KOMBU:
            raise ImproperlyConfigured(
                f"{without_password(url)} only carries messages and cannot hold results"
            )


def memory_store_of(url: str) -> Any:
    """One store for each memory:// URL of this process."""
    with _opening:
        return _memory_store(url)


@cache
def _memory_store(url: str) -> Any:  # noqa: ARG001 - the cache's key
    from .memory_store import MemoryStore

    return MemoryStore()


def engine_of(url: str) -> Any:
    """One engine, with its pool, for each database of this process; a fork must not use its parent's connections."""
    with _opening:
        return _engine(url, os.getpid())


@cache
def _engine(url: str, pid: int) -> Any:  # noqa: ARG001 - the cache's key
    from ..sql.engine import open_engine

    return open_engine(url)
