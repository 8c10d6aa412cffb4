"""World: the store and the broker of one combination, with what can be done to them."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Engine, create_engine

from support import servers
from support.proxy import Proxy

from .own_server import RABBITMQ_PROGRAM, SQL, OwnServer

SAME = "same"
"""As a broker: the tables of the store's own database."""
COMBINATIONS = (
    ("sqlite", "rabbitmq"),
    ("sqlite", "redis"),
    ("sqlite", SAME),
    ("postgres", "rabbitmq"),
    ("postgres", "redis"),
    ("postgres", SAME),
    ("mariadb", "rabbitmq"),
    ("mariadb", "redis"),
    ("mariadb", SAME),
)

LONGER_THAN_A_LEASE = 7.0
"""Seconds, with the TTL of 3 s that is the default, and with the 4 s after which a server is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A store or a broker: `url` is for the beats, `direct_url` for us. Empty `outages`: nothing can be done to it."""

    url: str
    direct_url: str
    outages: dict[str, Callable[[random.Random], None]] = field(default_factory=dict)
    """By name. Each begins, lasts and ends in one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a fleet of beats stands on."""

    store_kind: str
    broker_kind: str
    store: Place
    broker: Place
    engine: Engine
    """Of the store, past every proxy."""

    @property
    def is_one(self) -> bool:
        """Whether message and mark are one transaction."""
        return self.broker_kind == SAME


@contextlib.contextmanager
def open_world(store: str, broker: str, directory: Path):
    """Start what a combination needs; all of it ends with the block."""
    with contextlib.ExitStack() as stack:
        store_place = _sqlite(directory) if store == "sqlite" else _server(stack, store)
        if broker == SAME:
            broker_place = Place(url=store_place.url, direct_url=store_place.direct_url)
        else:
            has_own = broker != "rabbitmq" or RABBITMQ_PROGRAM.exists()
            broker_place = _server(stack, broker) if has_own else _shared_rabbitmq(stack)
        engine = create_engine(store_place.direct_url)
        stack.callback(engine.dispose)
        yield World(
            store_kind=store, broker_kind=broker, store=store_place, broker=broker_place, engine=engine
        )


def _sqlite(directory: Path) -> Place:
    path = directory / "store.db"

    def lock(draw: random.Random) -> None:
        """Somebody writes for long: whoever else wants to, waits."""
        with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            _last(draw, 0.5, 2.5)
            connection.execute("ROLLBACK")

    return Place(url=f"sqlite:///{path}", direct_url=f"sqlite:///{path}", outages={"lock": lock})


def _server(stack: contextlib.ExitStack, kind: str) -> Place:
    server = OwnServer(kind)
    stack.callback(server.close)
    proxy = Proxy(server.port)
    stack.callback(proxy.close)
    database = "/chaos" if kind in SQL else ""
    if database:
        server.create_database("chaos")

    def crash(draw: random.Random) -> None:
        server.end(server.crash_signal)
        _last(draw, 0, 1)
        server.start()

    def restart(draw: random.Random) -> None:
        server.end(server.stop_signal)
        _last(draw, 0, 1)
        server.start()

    outages = {"crash": crash, "restart": restart, **_network(proxy)}
    url = server.url(proxy.port) + database
    return Place(url=url, direct_url=server.url() + database, outages=outages)


def _shared_rabbitmq(stack: contextlib.ExitStack) -> Place:
    """Where RabbitMQ is not installed as Debian does it: a vhost of our own, whose server is not ours to restart; its connections are."""
    direct_url = stack.enter_context(servers.own_vhost())
    parts = urlsplit(direct_url)
    proxy = Proxy(parts.port or 5672)
    stack.callback(proxy.close)
    url = direct_url.replace(f":{parts.port}/", f":{proxy.port}/")
    assert url != direct_url
    return Place(url=url, direct_url=direct_url, outages=_network(proxy))


def _network(proxy: Proxy) -> dict[str, Callable[[random.Random], None]]:
    def cut(_draw: random.Random) -> None:
        proxy.cut()

    def close(draw: random.Random) -> None:
        proxy.close_door()
        _last(draw, 0.2, 2.5)
        proxy.open_door()

    def silence(draw: random.Random) -> None:
        """Half-open, at times for longer than a lease; then it goes on as if nothing had been, or all connections turn out to be dead."""
        proxy.silence()
        longest = 2.5 if draw.random() < 0.7 else LONGER_THAN_A_LEASE
        _last(draw, longest / 10, longest)
        if draw.random() < 0.5:
            proxy.cut()
        proxy.open_door()

    return {"cut": cut, "close": close, "silence": silence}


def _last(draw: random.Random, shortest: float, longest: float) -> None:
    """The fault lasts: it is what is tested, nothing is awaited."""
    threading.Event().wait(draw.uniform(shortest, longest))
