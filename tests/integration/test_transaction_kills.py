"""Transactional send: at 200 points of a transaction that sends its process is killed; the tasks exist if and only if it committed.

BACKBEAT_KILL_POINTS=500 takes so many in each setting.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from backbeat.canvas.commit.role import OUTBOX as OUTBOX_QUEUE
from backbeat.canvas.killpoint import VARIABLE
from backbeat.canvas.sql.outbox import outbox_table
from backbeat.canvas.sql.tables import message_table
from sqlalchemy import create_engine, inspect, select, text, update

from support.doomed_sender import make_app
from support.drain import drain
from support.servers import own_database
from support.stacks import own_redis_database

OUTBOX = outbox_table("bb_outbox")
PLACES = {"one sqlite": 50, "sqlite is the backend": 50, "postgres, and redis": 100}
"""With the number of points."""
MORE = int(os.environ.get("BACKBEAT_KILL_POINTS", "0"))


@pytest.fixture(params=PLACES)
def places(request, tmp_path):
    """The URLs of the users' database, of the broker and of the result backend."""
    file = f"sqlite:///{tmp_path}/one.db"
    with ExitStack() as lent:
        match request.param:
            case "one sqlite":
                yield file, file, file
            case "sqlite is the backend":
                yield file, lent.enter_context(own_redis_database()), file
            case _:
                broker = lent.enter_context(own_redis_database())
                yield lent.enter_context(own_database("postgres")), broker, broker


@pytest.fixture
def points(request):
    return MORE or PLACES[request.node.callspec.params["places"]]


@pytest.fixture
def engine(places):
    engine = create_engine(places[0])
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (number INT)"))
    yield engine
    engine.dispose()


def run_python(*arguments, **environ):
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, "PYTHONPATH": path, **environ}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=110, check=False)


def kill_senders(places, points):
    """How each child ended, by its number."""
    done = run_python("-m", "support.doomed_sender", *places, str(points))
    assert done.returncode == 0, done.stderr
    words = [line.split() for line in done.stdout.splitlines()]
    return {int(number): int(ended) for word, number, _, ended in (w for w in words if w[0] == "child")}


def left_unsent(engine):
    """How many rows lie in an outbox; all are made due, so that nobody has to wait."""
    if inspect(engine).has_table(message_table.name):
        with engine.begin() as connection:
            mine = message_table.c.queue == OUTBOX_QUEUE
            connection.execute(update(message_table).where(mine).values(visible_us=0))
            return len(connection.execute(select(message_table.c.seq).where(mine)).all())
    if not inspect(engine).has_table(OUTBOX.name):
        return 0
    with engine.begin() as connection:
        connection.execute(update(OUTBOX).values(due_us=0))
        return len(connection.execute(select(OUTBOX.c.seq)).all())


def test_tasks_exist_if_and_only_if_their_transaction_committed_wherever_it_is_killed(places, points, engine):
    ends = kill_senders(places, points)
    with engine.connect() as connection:
        committed = {n for n in connection.execute(text("SELECT number FROM mine")).scalars() if n >= 0}
    left = left_unsent(engine)
    with closing(make_app(*places[1:])) as app:
        app.relay_outbox(engine)

        ends_of_all = {f"{kind}-{n}" for kind in ("call", "chord") for n in committed}
        ran = Counter(drain(app, lambda ids: ends_of_all <= set(ids)))

        states = {
            n: {app.AsyncResult(f"{kind}-{n}").state for kind in ("call", "chord")} for n in range(points)
        }
        sums = {app.AsyncResult(f"chord-{n}").get(timeout=1) - 2 * n for n in committed}
    assert set(ends.values()) == {-9}
    assert len(ends) == points
    assert 3 < len(committed) < points - 3, "killed on both sides of the commit"
    assert states == {n: {"SUCCESS"} if n in committed else {"UNKNOWN"} for n in range(points)}
    assert sums == {2}
    assert set(ran.values()) == {1}, "a second copy has the same id and does not run"
    assert left_unsent(engine) == 0
    assert (left > 0) == (places[0] != places[1]), "some were killed between commit and send"


ARMED = """
import sys
from backbeat.canvas.killpoint import arm
from sqlalchemy import create_engine
from support.doomed_sender import make_app, send_in_transaction

what, database, broker, backend = sys.argv[1:]
app = make_app(broker, backend, outbox_url=database)
arm()
if what == "send":
    send_in_transaction(app, database, 0)
else:
    app.relay_outbox(create_engine(database))
"""


@pytest.mark.parametrize("point", ["relay.sent", "relay.deleted"])
@pytest.mark.parametrize(
    "places", ["postgres, and redis"], indirect=True
)  # the one with an outbox of its own
def test_a_relay_that_is_killed_after_it_sent_is_followed_by_another_and_each_task_runs_once(
    places, engine, tmp_path, point
):
    for what, where in (("send", "relay.sent"), ("relay", point)):
        variables = {VARIABLE: f"{where}#1@{tmp_path}/{what}.log"}
        done = run_python("-c", ARMED, what, *places, **variables)
        assert done.returncode == -9, done.stderr
        left = left_unsent(engine)
        assert (left == 0) == (where == "relay.deleted")

    with closing(make_app(*places[1:])) as app:
        assert app.relay_outbox(engine) == left
        ends = {"call-0", "chord-0"}
        ran = Counter(drain(app, lambda ids: ends <= set(ids)))
        assert {app.AsyncResult(id_).state for id_ in ends} == {"SUCCESS"}
    assert set(ran.values()) == {1}
    assert left_unsent(engine) == 0
