"""What a long backlog costs in a SQL database: whoever takes or sweeps goes by an index, and sorts nothing. Told by the plans of the statements."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager

import pytest
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.sql import SqlCommit
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.results.sql import SqlResults
from backbeat.canvas.sql.engine import open_engine
from backbeat.canvas.sql.tables import chain_table, create_tables, join_table, message_table, run_table
from sqlalchemy import event, inspect, select, text

from support.gone import gone_incarnation
from support.servers import own_database
from support.thorough import in_turn

QUEUES = ["celery", "backbeat"]
LIMITS = Limits(lease_seconds=60.0)
MANY = 20_000
LARGE = ("bb_message", "bb_run", "bb_chain", "bb_join")
DEAR = {
    "sqlite": ("SCAN bb_", "TEMP B-TREE FOR ORDER BY"),
    "postgresql": ("Seq Scan", "Sort Key"),
    "mysql": ("'ALL'", "filesort"),
}
"""What stands in the plan of a statement that looks at all rows."""
CHEAP = "Sort Key: lane.rank"
"""In PostgreSQL, where it is lanes that are sorted, not what is in them."""


@pytest.fixture(params=in_turn(["sqlite", "postgres", "mariadb"], always=["sqlite"]))
def engine(request, tmp_path):
    with ExitStack() as lent:
        url = (
            f"sqlite:///{tmp_path}/backlog.db"
            if request.param == "sqlite"
            else lent.enter_context(own_database(request.param))
        )
        engine = open_engine(url)
        lent.callback(engine.dispose)
        create_tables(engine)
        yield engine


def fill(engine, table, rows):
    with engine.begin() as connection:
        connection.execute(table.insert(), rows)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        verb = "ANALYZE TABLE" if engine.dialect.name == "mysql" else "ANALYZE"
        connection.exec_driver_sql(f"{verb} {table.name}")


def backlog(number):
    return {
        "queue": QUEUES[number % 2],
        "visible_us": 1,
        "holder": "",
        "body": "{}",
        "task_id": f"id{number}",
    }


@contextmanager
def plans(engine):
    """The plans of all statements on our tables that are executed inside; each is told before it runs."""
    found = []

    def explain(_connection, cursor, statement, parameters, *_):
        if "bb_" in statement and not statement.startswith(("EXPLAIN", "INSERT")):
            verb = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
            cursor.execute(f"{verb} {statement}", parameters)
            found.append((statement, [str(row) for row in cursor.fetchall()]))

    event.listen(engine, "before_cursor_execute", explain)
    yield found
    event.remove(engine, "before_cursor_execute", explain)


def dear(engine, found):
    """Those that look at all rows; a search in no order ends at the first row that is ready."""
    words = DEAR[engine.dialect.name]
    ordered = [plan for plan in found if "LIMIT" not in plan[0] or "ORDER BY" in plan[0]]
    return [
        plan
        for plan in ordered
        if any(word in line and CHEAP not in line for line in plan[1] for word in words)
    ]


@pytest.mark.parametrize("queues", [QUEUES, QUEUES[:1]], ids=["two queues", "one queue"])
def test_who_takes_few_of_many_messages_of_one_moment_sorts_none(engine, queues):
    fill(engine, message_table, [backlog(number) for number in range(MANY)])
    with (
        closing(SqlCommit(engine, worker="w", queues=queues, limits=LIMITS)) as commit,
        plans(engine) as found,
    ):
        taken = commit.exchange([], take=4).taken

    assert [item.delivery.tag for item in taken] == [f"{seq}@w" for seq in (1, 3, 5, 7)]
    assert any("ORDER BY" in statement for statement, _ in found)
    assert dear(engine, found) == []


def test_who_takes_has_the_rest_of_his_messages_from_another_queue(engine):
    rows = [{**backlog(number), "visible_us": 10 - number} for number in range(4)]
    fill(engine, message_table, rows)
    with closing(SqlCommit(engine, worker="w", queues=QUEUES, limits=LIMITS)) as commit:
        first = commit.exchange([], take=1).taken
        rest = commit.exchange([], take=9).taken

    assert [item.delivery.tag for item in first] == ["4@w"], "the oldest, in whichever queue"
    assert [item.delivery.tag for item in rest] == ["1@w", "2@w", "3@w"]


def test_an_index_that_an_earlier_version_did_not_know_is_made(engine):
    where = " ON bb_message" if engine.dialect.name == "mysql" else ""
    with engine.begin() as connection:
        connection.execute(text(f"DROP INDEX bb_message_ready{where}"))

    create_tables(engine)

    assert "bb_message_ready" in {index["name"] for index in inspect(engine).get_indexes("bb_message")}


def test_a_column_that_an_earlier_version_did_not_know_is_made(engine):
    fill(engine, run_table, [{"task_id": "old", "worker": "w", "started_us": 5}])
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE bb_run DROP COLUMN started_us"))

    create_tables(engine)

    with closing(SqlResults(engine)) as results:
        (document,) = results.get(["old"])
    assert (document.state, document.date_started) == ("STARTED", None)


def test_a_sweep_looks_at_no_more_than_is_held_or_over(engine):
    gone = gone_incarnation()
    held = {"queue": "celery", "visible_us": 2**60, "holder": gone, "body": "{}", "task_id": "held"}
    fill(engine, message_table, [*(backlog(number) for number in range(MANY)), held])
    fill(engine, run_table, [{"task_id": f"id{number}", "worker": "w"} for number in range(MANY)])
    claim = {"task_id": "held", "worker": gone, "lease_us": 2**60}
    fill(engine, run_table, [claim])
    fill(engine, chain_table, [{"chain_id": f"c{number}", "record": ""} for number in range(MANY)])
    fill(engine, join_table, [{"join_id": f"j{number}", "record": "", "size": 2} for number in range(MANY)])
    with (
        closing(SqlCommit(engine, worker="w", queues=QUEUES, limits=LIMITS)) as commit,
        plans(engine) as found,
    ):
        assert commit.sweep() == []

    of_many = [plan for plan in found if any(name in plan[0] for name in LARGE)]
    assert len(of_many) >= 7
    assert dear(engine, of_many) == []
    with engine.connect() as connection:
        query = select(message_table.c.holder, message_table.c.visible_us)
        assert connection.execute(query.where(message_table.c.task_id == "held")).one() == ("", 0)
        claimed = select(run_table.c.lease_us).where(run_table.c.task_id == "held")
        assert connection.execute(claimed).scalar_one() == 0


def test_many_messages_are_acknowledged_in_one_statement(engine):
    fill(engine, message_table, [backlog(number) for number in range(50)])
    with closing(SqlCommit(engine, worker="w", queues=QUEUES, limits=LIMITS)) as commit:
        taken = commit.exchange([], take=49).taken
        with plans(engine) as found:
            commit.exchange([Transition(delivery=item.delivery) for item in taken])
        rest = commit.exchange([], take=50).taken

    assert sum("DELETE FROM bb_message" in statement for statement, _ in found) == 1
    assert len(rest) == 1
