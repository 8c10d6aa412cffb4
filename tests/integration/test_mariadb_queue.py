"""What MariaDB does otherwise than other databases, where the queue, the results and the canvases are in it."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.sql import SqlCommit
from backbeat.canvas.commit.store_broker import StoreBroker
from backbeat.canvas.commit.taken import decoded
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import EncodeError, Unavailable
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import State, Success
from backbeat.canvas.results.sql import SqlResults
from backbeat.canvas.sql.engine import open_engine
from backbeat.canvas.sql.tables import create_tables, message_table, metadata, run_table
from backbeat.canvas.sql.wake import LONGEST_SECONDS, open_waker
from sqlalchemy import event, inspect, select, text

from support.processes import wait_until
from support.servers import cut_database, own_database

QUEUES = ["celery", "backbeat"]
LIMITS = Limits(lease_seconds=60.0)


@pytest.fixture(scope="module")
def url():
    with own_database("mariadb") as found:
        yield found


@pytest.fixture
def engine(url):
    opened = open_engine(url)
    create_tables(opened)
    with opened.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    yield opened
    opened.dispose()


@pytest.fixture
def open_commit(engine):
    opened = []

    def make(worker="w", **known):
        opened.append(SqlCommit(engine, worker=worker, queues=QUEUES, limits=LIMITS, **known))
        return opened[-1]

    yield make
    for commit in opened:
        commit.close()


def message(id_, **known):
    return Message(**{"id": id_, "task": "t", "queue": "celery", **known})


def send(commit, *messages):
    commit.exchange([Transition(effects=tuple(Publish(each) for each in messages))])


def ended(id_, value="1"):
    return Transition(message=message(id_), outcome=Success(value=Json(value)))


# --- texts -----------------------------------------------------------------------------------------------------------------------


def test_ids_that_a_collation_takes_for_one_are_different_tasks(engine, open_commit):
    ids = ["id", "ID", "id ", "íd", "id🂡", "id🂢"]
    open_commit().exchange([ended(id_, str(number)) for number, id_ in enumerate(ids)])

    with closing(SqlResults(engine)) as results:
        found = results.get(ids)

    assert [(document.id, document.value) for document in found] == [
        (id_, str(number)) for number, id_ in enumerate(ids)
    ]


def test_queues_that_a_collation_takes_for_one_are_different_queues(open_commit, engine):
    send(open_commit(), message("1", queue="Celery"), message("2", queue="celery "))

    assert open_commit().exchange([], take=5).taken == ()


def test_what_is_larger_than_a_packet_is_an_error_of_encoding_and_the_others_are_stored(open_commit):
    commit, large = open_commit(), f'"{"x" * 17_000_000}"'
    with pytest.raises(EncodeError, match="max_allowed_packet"):
        commit.exchange([ended("large", large), ended("small")])

    (standing,) = commit.exchange([ended("small")]).standing

    assert standing is None


def test_k18_a_message_that_no_statement_can_hold_is_refused_alone(open_commit):
    broker = StoreBroker(open_commit(role=Role.BROKER))
    small = message("small")

    posted = broker.post([message("large", args=Json(f'["{"x" * 17_000_000}"]')), small])

    assert [*posted.confirmed] == ["small"]
    assert [decoded(delivery).message.id for delivery in broker.take(5)] == ["small"]


def test_many_rows_are_sent_in_few_statements_of_a_size_that_the_server_takes(engine, open_commit):
    commit, sent = open_commit(), []
    event.listen(engine, "do_executemany", lambda cursor, *_: sent.append(cursor.max_stmt_length))

    send(commit, *(message(str(number), args=Json(f'["{"x" * 20_000}"]')) for number in range(100)))

    assert set(sent) == {1_000_000}
    assert len(commit.exchange([], take=200).taken) == 100


# --- locks -----------------------------------------------------------------------------------------------------------------------


def test_who_takes_does_not_wait_for_what_another_one_is_taking(engine, open_commit):
    send(open_commit(), *(message(str(number)) for number in range(6)))
    with engine.begin() as connection:
        query = select(message_table.c.seq).where(message_table.c.queue == "celery")
        query = query.order_by(message_table.c.visible_us, message_table.c.seq).limit(4)
        connection.execute(
            query.with_hint(message_table, "FORCE INDEX (bb_message_ready)").with_for_update()
        ).all()

        begun = time.monotonic()
        taken = open_commit().exchange([], take=6).taken

        assert [item.message.id for item in taken] == ["4", "5"]
        assert time.monotonic() - begun < 10


def test_who_takes_one_of_many_locks_no_other(engine, open_commit):
    send(open_commit(), *(message(str(number), queue=QUEUES[number % 2]) for number in range(200)))
    worker, other = open_commit("one"), open_commit("other")
    taking, goes_on, taken = threading.Event(), threading.Event(), []

    @event.listens_for(engine, "after_cursor_execute")
    def pause(_conn, _cursor, statement, *_):
        if statement.startswith("UPDATE bb_message") and not taking.is_set():
            taking.set()
            goes_on.wait(20)

    one = threading.Thread(target=lambda: taken.extend(worker.exchange([], take=1).taken))
    one.start()
    assert taking.wait(20)
    rest = other.exchange([], take=200).taken
    goes_on.set()
    one.join()

    assert len(taken) == 1
    assert len(rest) == 199


def test_a_transaction_that_loses_a_deadlock_is_tried_again(engine, open_commit):
    commit, standing, errors = open_commit(), [], []
    event.listen(engine, "handle_error", lambda context: errors.append(context.original_exception.args[0]))
    with engine.begin() as connection:
        connection.execute(run_table.insert(), [{"task_id": "a"}])
    with engine.begin() as connection:
        # it has changed more rows, so the server ends the other one
        connection.execute(run_table.insert(), [{"task_id": f"b{number}"} for number in range(50)])

        losing = threading.Thread(
            target=lambda: standing.extend(commit.exchange([ended("a"), ended("b1")]).standing)
        )
        losing.start()
        waiting = text(
            "SELECT count(*) FROM information_schema.processlist"
            " WHERE db = database() AND info LIKE 'SELECT bb_run%' AND time_ms > 100"
        )
        wait_until(lambda: connection.execute(waiting).scalar())
        connection.execute(select(run_table).where(run_table.c.task_id == "a").with_for_update()).all()
    losing.join()

    assert errors == [1213]
    assert standing == [None, None]


def test_a_lock_that_nobody_lets_go_is_an_error_that_passes(url, monkeypatch):
    from backbeat.canvas.commit import sql
    from backbeat.canvas.sql import engine

    monkeypatch.setattr(engine, "LOCK_SECONDS", 1)
    monkeypatch.setattr(sql, "TRIES", 1)
    opened = open_engine(url)
    with closing(SqlCommit(opened, worker="w", limits=LIMITS)) as commit:
        commit.exchange([ended("locked")])
        with opened.begin() as connection:
            connection.execute(
                select(run_table).where(run_table.c.task_id == "locked").with_for_update()
            ).all()
            with pytest.raises(Unavailable, match="Lock wait timeout"):
                commit.exchange([ended("locked")])
        assert len(commit.exchange([ended("locked")]).standing) == 1
    opened.dispose()


# --- the outbox and the tables ---------------------------------------------------------------------------------------------------


def test_the_outbox_of_an_exchange_is_what_it_wrote_and_is_due(engine, open_commit):
    writer = open_commit("writer", role=Role.STORE)
    later = time.time_ns() // 1000 + 60_000_000
    earlier = writer.exchange([Transition(effects=(Publish(message("0")),))]).outbox
    effects = (Publish(message("1")), Publish(message("2"), not_before_us=later), Publish(message("3")))

    outbox = writer.exchange([Transition(effects=effects)]).outbox

    assert len(earlier) == 1
    with engine.connect() as connection:
        rows = connection.execute(select(message_table).order_by(message_table.c.seq)).all()
    assert [delivery.tag for delivery in outbox] == [f"{rows[1].seq}@writer", f"{rows[3].seq}@writer"]


def test_tables_whose_maker_died_half_way_get_their_indexes():
    with own_database("mariadb") as url:
        engine = open_engine(url)
        create_tables(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP INDEX bb_message_ready ON bb_message")

        create_tables(engine)

        assert {index["name"] for index in inspect(engine).get_indexes("bb_message")} == {
            "bb_message_ready",
            "bb_message_holder",
            "bb_message_task",
        }
        engine.dispose()


# --- waking ----------------------------------------------------------------------------------------------------------------------


def test_k25_who_waits_looks_often_at_first_and_seldom_when_nothing_comes(engine):
    with closing(open_waker(engine, "bb_message")) as waker:
        looks = []

        def look(connection):
            looks.append(time.monotonic())
            return connection.execute(select(message_table.c.seq).limit(1)).first() is not None

        for _ in range(2):
            waker.wait(0.5, (), look)
        first, last = looks[1] - looks[0], looks[-2] - looks[-3]

    assert first < LONGEST_SECONDS
    assert last >= LONGEST_SECONDS
    assert len(looks) < 45


def test_waiting_goes_on_after_the_server_closed_all_connections(url, engine, open_commit):
    commit = open_commit()
    with closing(SqlResults(engine)) as results:
        # long enough for a busy machine to have waited on a connection at all
        assert not results.wait(["never"], 0.5)
        commit.wait(0.5)
        cut_database(url)

        with pytest.raises(Unavailable):
            results.wait(["never"], 10)
        assert not results.wait(["never"], 0.01)
        commit.exchange([ended("after")])
        assert results.get(["after"])[0].state is State.SUCCESS


def test_what_a_waiter_left_alone_for_long_is_opened_anew(url, engine, monkeypatch):
    from backbeat.canvas.sql import wake

    with closing(open_waker(engine, "bb_message")) as waker:
        waker.wait(0.01, (), lambda _: False)
        cut_database(url)
        monkeypatch.setattr(wake, "STALE_SECONDS", 0.0)

        assert waker.wait(0.01, (), lambda connection: connection.scalar(text("SELECT 1")) == 1) == []
