"""Pooled connections that the server has closed meanwhile are replaced before they are used."""

from __future__ import annotations

import pytest
from backbeat.canvas.sql.idle_ping import ping_when_idle
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import OperationalError

OWN = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
END = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


@pytest.fixture(params=["postgres_url", "mariadb_url"])
def new_engine(request):
    url = request.getfixturevalue(request.param)
    opened = []

    def new(idle_seconds=None):
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        opened.append(engine)
        if idle_seconds is not None:
            ping_when_idle(engine, idle_seconds)
        return engine

    yield new
    for engine in opened:
        engine.dispose()


def own(engine):
    with engine.connect() as connection:
        return connection.execute(text(OWN[engine.dialect.name])).scalar()


def end(engine, session):
    with engine.connect() as connection:
        connection.execute(text(END[engine.dialect.name].format(session)))


def test_a_connection_that_the_server_has_closed_is_replaced(new_engine):
    engine, other = new_engine(0.0), new_engine()
    first = own(engine)
    end(other, first)

    assert own(engine) != first


def test_one_that_was_just_used_is_not_tried(new_engine):
    engine, other = new_engine(3_600.0), new_engine()
    first = own(engine)
    asked = []
    event.listen(engine, "before_cursor_execute", lambda *known: asked.append(known[2]))
    assert own(engine) == first
    assert asked == [OWN[engine.dialect.name]]
    end(other, first)

    with pytest.raises(OperationalError):
        own(engine)
    assert own(engine) != first
