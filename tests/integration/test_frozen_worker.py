"""A worker that is frozen while its transaction holds rows of a canvas: others do not wait for it for ever."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager, suppress

import psycopg
import pytest
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.sql import PATIENCE_SECONDS, SqlCommit
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Success
from backbeat.canvas.sql import engine
from backbeat.canvas.sql.engine import open_engine
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from support.processes import wait_until
from support.servers import own_database

LOCKING = "SELECT * FROM bb_run FOR UPDATE"
HOLDS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE pid = :pid AND wait_event = 'ClientRead' AND backend_xid IS NOT NULL"
)


@contextmanager
def two_engines(server, monkeypatch):
    """One of the frozen worker, one of another; a second is a long time for both."""
    monkeypatch.setattr(engine, "FROZEN_SECONDS", 1)
    monkeypatch.setattr(engine, "LOCK_SECONDS", 1)
    with own_database(server) as url:
        opened = open_engine(url), open_engine(url)
        yield opened
        for each in opened:
            each.dispose()


def seconds_of_a_step(opened):
    """How long it takes to say how a step ended."""
    begun = time.monotonic()
    transition = Transition(
        message=Message(id="step", task="t", queue="celery"), outcome=Success(value=Json("1"))
    )
    with closing(SqlCommit(opened, worker="w", limits=Limits(lease_seconds=60.0))) as commit:
        assert list(commit.exchange([transition]).standing) == [None]
    return time.monotonic() - begun


def holds_rows(opened, pid):
    with opened.connect() as connection:
        return connection.execute(HOLDS, {"pid": pid}).scalar()


@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_a_step_waits_for_no_worker_that_is_frozen_inside_its_transaction(server, monkeypatch, figure):
    with two_engines(server, monkeypatch) as (frozen, other):
        seconds_of_a_step(other)
        with suppress(DBAPIError), frozen.connect() as connection:
            connection.execute(text(LOCKING)).all()
            waited = seconds_of_a_step(other)

    figure(f"it waited {waited:.1f} s")
    assert 0.5 < waited < PATIENCE_SECONDS


def test_a_step_waits_for_no_worker_that_is_frozen_in_the_middle_of_a_pipeline(monkeypatch, caplog, figure):
    """PostgreSQL takes its session for a busy one: no timeout of its own ends it."""
    with two_engines("postgres", monkeypatch) as (frozen, other):
        seconds_of_a_step(other)
        with suppress(psycopg.Error), frozen.connect() as connection:
            driver = connection.connection.driver_connection
            with driver.pipeline():
                driver.execute(LOCKING)
                driver.pgconn.send_flush_request()
                driver.pgconn.flush()
                wait_until(lambda: holds_rows(other, driver.pgconn.backend_pid))
                waited = seconds_of_a_step(other)

    figure(f"it waited {waited:.1f} s")
    assert 0.5 < waited < PATIENCE_SECONDS
    assert any("were silent" in record.getMessage() for record in caplog.records)
