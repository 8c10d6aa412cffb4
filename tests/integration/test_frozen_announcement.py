"""A beat that is frozen while it says on a SQL broker who sends: the next one must not wait for it (I-FREEZE)."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from backbeat.canvas.commit.limits import DEFAULT_LIMITS
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.sql import SqlCommit
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.sql import engine
from backbeat.canvas.sql.engine import open_engine
from sqlalchemy import event

from support.servers import own_database

SECONDS = 10.0


@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_who_announces_does_not_wait_for_one_that_is_frozen_in_its_announcement(server, monkeypatch):
    monkeypatch.setattr(engine, "FROZEN_SECONDS", 1)
    frozen, goes_on, said = threading.Event(), threading.Event(), []
    with own_database(server) as url:
        engines = [open_engine(url) for _ in range(2)]
        first, second = (
            SqlCommit(engine, worker="", limits=DEFAULT_LIMITS, role=Role.BROKER) for engine in engines
        )
        with closing(first), closing(second):
            first.announce("beat.test", "store", 60)

            @event.listens_for(engines[0], "after_cursor_execute")
            def freeze(_conn, _cursor, statement, *_):
                if statement.startswith("UPDATE"):
                    frozen.set()
                    goes_on.wait(3 * SECONDS)

            def announce():
                try:
                    said.append(first.announce("beat.test", "store", 60))
                except Exception as error:
                    said.append(error)

            one = threading.Thread(target=announce)
            one.start()
            assert frozen.wait(SECONDS)
            other = threading.Thread(target=lambda: said.append(second.announce("beat.test", "store", 60)))
            other.start()
            other.join(SECONDS)
            is_held_up = other.is_alive()
            goes_on.set()
            one.join(SECONDS)
            other.join(SECONDS)
        for each in engines:
            each.dispose()

    assert not is_held_up
    held_up, gone = said
    assert held_up == "store"
    assert isinstance(gone, Unavailable)
