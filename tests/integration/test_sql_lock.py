"""Who meets a SQLite file whose lock or whose connections others keep: it waits once, and says so."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from backbeat.canvas.commit.sql import SqlCommit
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.message import Message
from backbeat.canvas.sql import engine as engines
from backbeat.canvas.sql.wake import open_waker
from sqlalchemy import QueuePool, create_engine, event


def test_a_lock_that_nobody_lets_go_is_waited_for_once(sqlite_url, monkeypatch):
    from backbeat.canvas.commit import sql

    monkeypatch.setattr(engines, "BUSY_SECONDS", 1)
    monkeypatch.setattr(sql, "PATIENCE_SECONDS", 0.5)
    engine, errors = engines.open_engine(sqlite_url), []
    with closing(SqlCommit(engine, worker="w")) as commit:
        event.listen(engine, "handle_error", lambda context: errors.append(str(context.original_exception)))
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="database is locked"):
                commit.exchange([Transition(effects=(Publish(Message(id="1", task="t")),))])
        assert errors == ["database is locked"]

        assert commit.exchange([Transition(effects=(Publish(Message(id="1", task="t")),))]).standing == [None]
    engine.dispose()


def test_a_waker_that_gets_no_connection_says_that_the_database_cannot_be_reached(tmp_path):
    missing = create_engine(f"sqlite:///{tmp_path}/none/store.db")
    with pytest.raises(Unavailable, match="unable to open database file"):
        open_waker(missing, "bb_message")
    full = create_engine(
        f"sqlite:///{tmp_path}/store.db", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01
    )
    with full.connect(), pytest.raises(Unavailable, match="QueuePool limit"):
        open_waker(full, "bb_message")
    full.dispose()
