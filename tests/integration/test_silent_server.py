"""A server that takes what it is sent and answers nothing: whoever asks it gives up in time, and goes on when it answers again."""

from __future__ import annotations

import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from backbeat.canvas.app import App
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.wiring import open_broker
from backbeat.scheduler.store.base import StoreDown
from backbeat.scheduler.store.engine import open_engine
from backbeat.scheduler.store.wiring import open_for_beat
from sqlalchemy.exc import SQLAlchemyError

from support import servers
from support.proxy import Proxy

TTL = 2.0
ANSWER_SECONDS = 4.0
"""What engine.py makes of that TTL."""


@pytest.fixture(params=["postgres", "mariadb"])
def silenced(request):
    """A store's URL through a proxy, and the proxy."""
    with servers.own_database(request.param) as direct_url:
        port = urlsplit(direct_url).port
        with closing(Proxy(port)) as proxy:
            yield direct_url.replace(f":{port}/", f":{proxy.port}/"), proxy


def test_a_server_that_answers_nothing_is_given_up_in_time_and_used_again_when_it_answers(silenced):
    url, proxy = silenced
    opened = open_for_beat(url, lease_ttl_seconds=TTL)
    with closing(opened):
        opened.store.read_lease()
        proxy.silence()

        begun = time.monotonic()
        with pytest.raises(StoreDown):
            opened.store.read_lease()
        assert time.monotonic() - begun < ANSWER_SECONDS + 1

        begun = time.monotonic()
        assert not opened.hint.is_free("a key")
        assert time.monotonic() - begun < ANSWER_SECONDS + 1

        proxy.open_door()
        assert opened.store.read_lease().epoch == 0
        assert opened.hint.is_free("a key")


def test_a_statement_that_takes_too_long_is_ended_by_the_server_itself():
    with servers.own_database("postgres") as url:
        engine = open_engine(url, answer_seconds=1.0)
        with engine.connect() as conn, pytest.raises(SQLAlchemyError, match="statement timeout"):
            conn.exec_driver_sql("SELECT pg_sleep(30)")
        engine.dispose()


@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_a_queue_in_a_database_that_answers_nothing_is_given_up_too(server, monkeypatch):
    from backbeat.canvas.sql import bounded_mysql, engine

    monkeypatch.setattr(engine, "ANSWER_SECONDS", 2.0)
    monkeypatch.setattr(bounded_mysql, "CONNECT_SECONDS", 1)
    with servers.own_database(server) as direct_url:
        port = urlsplit(direct_url).port
        with closing(Proxy(port)) as proxy:
            app = App("test", broker=direct_url.replace(f":{port}/", f":{proxy.port}/"))
            with closing(open_broker(app.conf)) as broker:
                assert broker.announce("a", "b", 60) == "b"
                proxy.silence()

                begun = time.monotonic()
                with pytest.raises(Unavailable):
                    broker.announce("a", "b", 60)

                assert time.monotonic() - begun < 10
                proxy.open_door()
                assert broker.announce("a", "b", 60) == "b"
