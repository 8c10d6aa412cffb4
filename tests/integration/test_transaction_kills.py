"""Transactional send: at each of 200 points of a transaction that sends, its process is killed; the tasks exist if and only if it committed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from backbeat.canvas.sql.outbox import outbox_table
from sqlalchemy import create_engine, inspect, select, text, update

from support.doomed_sender import make_app
from support.drain import drain
from support.servers import own_database
from support.stacks import _own_redis_database

POINTS = 200
OUTBOX = outbox_table("bb_outbox")


@pytest.fixture(params=["sqlite", "postgres+redis"])
def places(request, tmp_path):
    """The URL of the users' database, and of the broker."""
    if request.param == "sqlite":
        yield (f"sqlite:///{tmp_path}/one.db",) * 2
    else:
        with own_database("postgres") as database, _own_redis_database() as broker:
            yield database, broker


@pytest.fixture
def engine(places):
    engine = create_engine(places[0])
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (number INT)"))
    yield engine
    engine.dispose()


def kill_senders(database, broker):
    """How each child ended, by its number."""
    command = [sys.executable, "-m", "support.doomed_sender", database, broker, str(POINTS)]
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    words = [line.split() for line in done.stdout.splitlines()]
    return {int(number): int(ended) for word, number, _, ended in (w for w in words if w[0] == "child")}


def left_in_outbox(engine):
    """How many rows there are; all are made due, so that nobody has to wait."""
    if not inspect(engine).has_table(OUTBOX.name):
        return 0
    with engine.begin() as connection:
        connection.execute(update(OUTBOX).values(due_us=0))
        return len(connection.execute(select(OUTBOX.c.seq)).all())


def test_tasks_exist_if_and_only_if_their_transaction_committed_wherever_it_is_killed(places, engine):
    ends = kill_senders(*places)
    with engine.connect() as connection:
        committed = {n for n in connection.execute(text("SELECT number FROM mine")).scalars() if n >= 0}
    left = left_in_outbox(engine)
    with closing(make_app(places[1])) as app:
        app.relay_outbox(engine)

        ran = Counter(drain(app))

        states = {
            n: {app.AsyncResult(f"{kind}-{n}").state for kind in ("call", "chord")} for n in range(POINTS)
        }
        sums = {app.AsyncResult(f"chord-{n}").get(timeout=1) - 2 * n for n in committed}
    assert set(ends.values()) == {-9}
    assert len(ends) == POINTS
    assert 5 < len(committed) < POINTS - 5, "killed on both sides of the commit"
    assert states == {n: {"SUCCESS"} if n in committed else {"PENDING"} for n in range(POINTS)}
    assert sums == {2}
    assert set(ran.values()) == {1}, "a second copy has the same id and does not run"
    assert left_in_outbox(engine) == 0
    assert (left > 0) == (places[0] != places[1]), "some were killed between commit and send"
