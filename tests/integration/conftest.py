"""Fixtures over one Redis: a client, and commits on a key prefix of the test's own; and worlds in which beats come and go."""

from __future__ import annotations

from contextlib import closing

import pytest
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.store.sql import SqlStore
from backbeat.scheduler.store.wiring import open_engine
from sqlalchemy import MetaData, event

from chaos.own_server import OwnServer
from support.beat_world import World
from support.redis_orders import QUEUE
from support.servers import require_program
from support.thorough import in_turn


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


@pytest.fixture(params=in_turn(["memory", "sqlite"], always=["memory"]))
def make_world(request, tmp_path):
    """Makes a World on a new store."""
    opened = []

    def make():
        if request.param == "memory":
            return World(MemoryStore("test"))
        engine = open_engine(f"sqlite:///{tmp_path}/store{len(opened)}.db")
        # The crashes here are of processes, not of machines: what the kernel has is safe.
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        store = SqlStore(engine, MetaData(), "test")
        store.create()
        opened.append(store)
        return World(store)

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def world(make_world):
    return make_world()


@pytest.fixture(scope="module")
def own_redis():
    """A Redis that serves this module alone: it may be killed, and what it counts is counted for nobody else."""
    require_program("redis-server")
    with closing(OwnServer("redis")) as opened:
        yield opened
