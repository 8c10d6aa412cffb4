"""Fixtures over one Redis: a client, and commits on a key prefix of the test's own."""

from __future__ import annotations

import pytest

from support.redis_orders import QUEUE


@pytest.fixture
def client(redis_url):
    from backbeat.canvas.redis_client import open_redis

    client = open_redis(redis_url)
    yield client
    client.close()


@pytest.fixture
def ours(client, redis_prefix):
    """Opens a RedisCommit for a worker; all are closed at the end."""
    from backbeat.canvas.commit.redis import RedisCommit

    opened = []

    def open_commit(worker="w", **known):
        opened.append(RedisCommit(client, worker=worker, queues=[QUEUE], prefix=redis_prefix, **known))
        return opened[-1]

    yield open_commit
    for commit in opened:
        commit.close()
