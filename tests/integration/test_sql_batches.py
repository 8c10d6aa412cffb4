"""What it means in PostgreSQL that all rows of a step are one statement, whose plan is kept: it stays cheap, misses nothing, and many may do it at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.sql import SqlCommit
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import Publish
from backbeat.canvas.json_text import NULL
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Success
from backbeat.canvas.sql import postgresql
from backbeat.canvas.sql.engine import open_engine
from backbeat.canvas.sql.tables import message_table, result_table, revoked_table, run_table
from sqlalchemy import func, select, text

from support.processes import wait_until
from support.servers import own_database

LIMITS = Limits(lease_seconds=60.0)
MANY = 20_000
KEPT = 8
"""After so many times PostgreSQL keeps the plan of a statement for all values."""


@pytest.fixture
def engine():
    with own_database("postgres") as url:
        engine = open_engine(url)
        yield engine
        engine.dispose()


def commit_of(engine, worker="w"):
    return SqlCommit(engine, worker=worker, queues=["celery", "backbeat"], limits=LIMITS)


def sent(commit, ids):
    commit.exchange([Transition(effects=tuple(Publish(Message(id=id_, task="t")) for id_ in ids))])


def ended(item):
    return Transition(message=item.message, outcome=Success(value=NULL), delivery=item.delivery)


def rows_of(engine, table):
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def rows_read_in_order(engine):
    """How many rows were read by reading tables from their beginning."""
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
    with engine.connect() as connection:
        return connection.execute(text("SELECT sum(seq_tup_read) FROM pg_stat_user_tables")).scalar_one()


def is_kept_waiting(engine):
    """Whether somebody waits for a lock."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with engine.connect() as connection:
        return connection.execute(text(waiting)).first()


def test_a_plan_that_is_kept_from_when_tables_were_small_reads_none_of_them_when_they_are_large(engine):
    with closing(commit_of(engine)) as commit:
        sent(commit, [f"first{number}" for number in range(KEPT)])
        taken = commit.exchange([], take=1).taken
        while taken:
            taken = commit.exchange([ended(item) for item in taken], take=1).taken
        with engine.begin() as connection:
            old = [f"old{number}" for number in range(MANY)]
            connection.execute(run_table.insert(), [{"task_id": id_} for id_ in old])
            connection.execute(revoked_table.insert(), [{"id": id_, "at_us": 2**60} for id_ in old])
            later = {"queue": "celery", "visible_us": 2**60, "holder": "", "body": "{}"}
            connection.execute(message_table.insert(), [{**later, "task_id": id_} for id_ in old])
        sent(commit, [f"last{number}" for number in range(KEPT)])
        before = rows_read_in_order(engine)

        taken = commit.exchange([], take=KEPT).taken
        commit.exchange([ended(item) for item in taken], take=1)

        assert len(taken) == KEPT
        assert rows_read_in_order(engine) - before < MANY


def test_a_statement_is_planned_once_and_not_for_each_batch(engine):
    with closing(commit_of(engine)) as commit:
        sent(commit, [f"id{number}" for number in range(3 * KEPT)])
        taken = commit.exchange([], take=1).taken
        while taken:
            taken = commit.exchange([ended(item) for item in taken], take=1).taken

        prepared = "SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%bb\\_%'"
        with engine.connect() as connection:
            found = connection.execute(text(prepared)).all()

    assert len(found) >= 5  # the look at runs, what is written, taken, revoked, claimed
    assert [row for row in found if row.custom_plans > 5 or row.generic_plans < KEPT] == []


def test_a_message_that_is_renewed_at_that_very_moment_is_acknowledged(engine):
    with closing(commit_of(engine)) as commit, ThreadPoolExecutor(1) as beside:
        sent(commit, ["a", "b"])
        taken = commit.exchange([], take=2).taken
        with engine.begin() as renewing:
            renewing.execute(text("UPDATE bb_message SET visible_us = visible_us + 1 WHERE task_id = 'b'"))
            bringing = beside.submit(commit.exchange, [ended(item) for item in taken])
            wait_until(lambda: is_kept_waiting(engine))
        bringing.result(10)

    assert rows_of(engine, message_table) == 0


def test_more_rows_than_go_into_one_statement_go_into_several(engine, monkeypatch):
    monkeypatch.setattr(postgresql, "ROWS_AT_ONCE", 3)
    with closing(commit_of(engine)) as commit:
        sent(commit, [f"id{number}" for number in range(10)])
        taken = commit.exchange([], take=10).taken
        again = commit.exchange([ended(item) for item in taken], take=10)

    assert [item.message.id for item in taken] == [f"id{number}" for number in range(10)]
    assert again.standing == [None] * 10
    assert [rows_of(engine, table) for table in (message_table, run_table, result_table)] == [0, 10, 10]


def test_workers_that_take_and_bring_at_once_do_not_meet_in_a_deadlock(engine):
    ids = [f"id{number}" for number in range(1_200)]
    with closing(commit_of(engine)) as commit:
        sent(commit, ids)

    def drained(name):
        done = []
        with closing(commit_of(engine, name)) as commit:
            taken = commit.exchange([], take=20).taken
            while taken:
                done += [item.message.id for item in taken]
                taken = commit.exchange([ended(item) for item in taken], take=20).taken
        return done

    with ThreadPoolExecutor(4) as workers:
        done = [id_ for each in workers.map(drained, ["w1", "w2", "w3", "w4"]) for id_ in each]

    assert sorted(done) == sorted(ids)
    with engine.connect() as connection:
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert connection.execute(text(deadlocks)).scalar_one() == 0
