"""Unique keys as users ask for them: handles, errors, transactions; what stores forget; and races."""

from __future__ import annotations

import random
import threading
from contextlib import ExitStack, closing

import pytest
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.commit.redis import RedisCommit
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.sql import SqlCommit
from backbeat.canvas.commit.stateless import StatelessCommit
from backbeat.canvas.commit.taken import Taken
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.commit.verdict import Run
from backbeat.canvas.delivery import Delivery
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import ImproperlyConfigured, TaskRevokedError, UniqueConflict
from backbeat.canvas.outcome import Retry, Revoked, Success
from backbeat.canvas.request import Request, running
from backbeat.canvas.sql.engine import open_engine
from backbeat.canvas.sql.tables import revoked_table, run_table, unique_table
from backbeat.canvas.unique import Scope, Unique
from sqlalchemy import create_engine, event, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from chaos.senders import STACKS, race
from support.drain import drain
from support.processes import wait_until
from support.redis_orders import QUEUE, message, now_us
from support.servers import own_database
from support.unique_senders import make_app

ALIVE, DEAD = Limits(lease_seconds=1_000.0), Limits(lease_seconds=0.0)


@pytest.fixture
def app(request):
    with closing(make_app(f"memory://{request.node.name}", f"memory://{request.node.name}")) as app:
        yield app


# --- what a sender gets ------------------------------------------------------------------------------------------------------------


def test_r18_every_handle_is_that_of_the_one_task_until_it_has_ended(app):
    sync = app.tasks["sync"]
    handles = [sync.delay(1), sync.apply_async([1]), sync.s(1).delay(), app.send_task("sync", [1])]
    other = sync.delay(2)

    assert sorted(drain(app)) == sorted([handles[0].id, other.id])
    assert {handle.id for handle in handles} == {handles[0].id}
    assert [handle.get(timeout=5) for handle in (*handles, other)] == [10, 10, 10, 10, 20]
    assert sync.delay(1).id not in (handles[0].id, other.id)


def test_r18_a_conflict_is_raised_where_that_is_asked_for(app):
    sync = app.tasks["sync"]
    first = sync.delay(1)
    with pytest.raises(UniqueConflict, match=f"task {first.id} has the unique key 'user:1'") as conflict:
        sync.apply_async([1], unique_conflict="raise")

    assert (conflict.value.key, conflict.value.task_id) == ("user:1", first.id)
    assert drain(app) == [first.id]


def test_r18_what_waits_is_replaced_where_that_is_asked_for(app):
    sync = app.tasks["sync"]
    old = sync.apply_async([1], countdown=3_600)
    new = sync.apply_async([1], unique_conflict="replace")

    assert new.id != old.id
    assert drain(app) == [new.id]
    assert new.get(timeout=5) == 10
    with pytest.raises(TaskRevokedError):
        old.get(timeout=5)


def test_r18_a_send_is_dropped_with_its_callbacks(app):
    ran = []
    app.task(name="then")(ran.append)
    app.tasks["sync"].delay(1)
    app.tasks["sync"].apply_async([1], link=app.signature("then"))

    assert len(drain(app)) == 1
    assert ran == []


def test_r18_what_a_task_sends_is_its_child_whoever_sent_it_first(app):
    first = app.tasks["sync"].delay(1)
    request = Request(id="parent", root_id="parent", task="parent")
    with running(request):
        app.tasks["sync"].delay(1)

    assert request.children == [first.id]


def test_r18_a_retry_keeps_the_key(app):
    @app.task(name="again", bind=True, unique_key=True)
    def again(self):
        handles.append(again.delay())
        if self.request.retries == 0:
            self.retry(countdown=0)

    handles = []
    first = again.delay()

    assert drain(app, lambda ran: len(ran) == 2) == [first.id] * 2
    assert [handle.id for handle in handles] == [first.id] * 2


def test_r18_without_a_store_a_key_is_refused_with_the_reason():
    commit = StatelessCommit(broker=None)
    unique = Transition(effects=(Publish(message("id")),), unique=Unique(key="user:1", id="id"))
    with pytest.raises(
        ImproperlyConfigured, match="unique_key 'user:1' cannot be taken, as there is no result"
    ):
        commit.exchange([unique])


# --- transactions ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgres", "mariadb", "memory+sqlite"])
def shop(request, tmp_path):
    """An app, and an engine of its user's on the database of its results."""
    with ExitStack() as lent:
        url = (
            lent.enter_context(own_database(request.param))
            if request.param in ("postgres", "mariadb")
            else f"sqlite:///{tmp_path}/shop.db"
        )
        broker = f"memory://{tmp_path}" if "+" in request.param else url
        app = lent.enter_context(closing(make_app(broker, url)))
        engine = create_engine(url)
        lent.callback(engine.dispose)
        yield app, engine


def test_r18_a_key_is_taken_if_and_only_if_the_transaction_commits(shop):
    app, engine = shop
    sync = app.tasks["sync"]
    with Session(engine) as session, app.transaction(session):
        gone = sync.delay(1)
        session.rollback()
        first = sync.delay(1)
        second = sync.delay(1)
        session.commit()
        third = sync.delay(1)
        with pytest.raises(UniqueConflict):
            sync.apply_async([1], unique_conflict="raise")
        session.commit()

    assert gone.id != first.id
    assert {first.id, second.id, third.id, sync.delay(1).id} == {first.id}
    assert drain(app, bool) == [first.id]
    assert third.get(timeout=5) == 10


def test_r18_a_transaction_that_began_before_a_key_was_taken_sees_who_has_it(shop):
    app, engine = shop
    sync = app.tasks["sync"]
    ended = sync.delay(1)
    assert drain(app, bool) == [ended.id]
    with Session(engine) as session, app.transaction(session):
        assert session.execute(select(run_table.c.task_id)).all() != []
        with app.transaction(None):
            first = sync.delay(1)
        second = sync.delay(1)
        session.commit()

    assert first.id != ended.id
    assert second.id == first.id
    assert drain(app, bool) == [first.id]


def test_r18_a_snapshot_in_which_the_holder_still_runs_drops_no_send():
    with own_database("postgres") as url, closing(make_app(url, url)) as app:
        engine = create_engine(url, isolation_level="REPEATABLE READ")
        sync = app.tasks["sync"]
        ended = sync.delay(1)
        with Session(engine) as session, app.transaction(session):
            assert session.execute(select(run_table.c.task_id)).all() != []
            assert drain(app, bool) == [ended.id]
            with pytest.raises(OperationalError, match="could not serialize"):
                sync.delay(1)
            session.rollback()
            again = sync.delay(1)
            session.commit()
        engine.dispose()

        assert drain(app, bool) == [again.id]


def test_r18_replacing_in_a_transaction_is_refused(shop):
    app, engine = shop
    with (
        Session(engine) as session,
        app.transaction(session),
        pytest.raises(ImproperlyConfigured, match='in a transaction unique_conflict="replace" is refused'),
    ):
        app.tasks["sync"].apply_async([1], unique_conflict="replace")


def test_r18_who_wants_a_key_that_a_transaction_may_take_waits_for_its_end():
    with (
        own_database("postgres") as url,
        closing(make_app(url, url)) as app,
        closing(make_app(url, url)) as other,
    ):
        engine = create_engine(url)
        other.tasks["sync"].delay(2)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(other.tasks["sync"].delay(1).id))
        with Session(engine) as session, app.transaction(session):
            mine = app.tasks["sync"].delay(1)
            thread.start()
            wait_until(lambda: waits_for_a_lock(engine), 20)
            assert seen == []
            session.commit()
        thread.join(20)
        engine.dispose()

    assert seen == [mine.id]


def waits_for_a_lock(engine):
    """Whether a connection to this database waits until another one's transaction has ended."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with engine.connect() as connection:
        return connection.execute(text(waiting)).scalar_one()


def test_r18_a_key_in_a_transaction_of_another_database_is_refused_with_the_reason(app, tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/users.db")
    with (
        Session(engine) as session,
        app.transaction(session),
        pytest.raises(
            ImproperlyConfigured, match="unique_key 'user:1' cannot be taken in a transaction of this"
        ),
    ):
        app.tasks["sync"].delay(1)
    engine.dispose()


# --- what stores keep --------------------------------------------------------------------------------------------------------------


def wants(key, id_, **asked):
    return Transition(effects=(Publish(message(id_)),), unique=Unique(key=key, id=id_, **asked))


def test_r18_redis_forgets_free_keys_and_looks_later_at_the_others(ours, client, redis_prefix):
    commit, keys, look = ours(), f"{redis_prefix}backbeat:unique", f"{redis_prefix}backbeat:unique-look"
    commit.exchange(
        [wants("ended", "a"), wants("waits", "b"), wants("timed", "c", scope=Scope.TIME, seconds=1e-6)]
    )
    commit.exchange([Transition(message=message("a"), outcome=Success(value="1"))])
    commit.sweep()
    first = set(client.hkeys(keys))
    client.zadd(look, {"ended": 0, "waits": 0})
    commit.sweep()

    assert first == {b"ended", b"waits"}
    assert client.hkeys(keys) == client.zrange(look, 0, -1) == [b"waits"]
    assert client.zscore(look, "waits") > 0
    assert commit.exchange([wants("waits", "d"), wants("ended", "e")]).holders == {0: "b"}


@pytest.mark.parametrize("database", ["sqlite_url", "postgres_url", "mariadb_url"])
def test_r18_sql_forgets_free_keys_and_looks_later_at_the_others(database, request):
    engine = open_engine(request.getfixturevalue(database))
    commit = SqlCommit(engine, queues=[QUEUE])
    commit.exchange(
        [wants("ended", "a"), wants("waits", "b"), wants("timed", "c", scope=Scope.TIME, seconds=1e-6)]
    )
    commit.exchange([Transition(message=message("a"), outcome=Success(value="1"))])
    commit.sweep()
    with engine.begin() as connection:
        first = set(connection.execute(select(unique_table.c.unique_key)).scalars())
        connection.execute(update(unique_table).values(look_us=0))
    commit.sweep()
    with engine.begin() as connection:
        ((key, look),) = connection.execute(select(unique_table.c.unique_key, unique_table.c.look_us)).all()

    assert first == {"ended", "waits"}
    assert key == "waits"
    assert look > 0
    assert commit.exchange([wants("waits", "d"), wants("ended", "e")]).holders == {0: "b"}
    engine.dispose()


def test_r18_redis_knows_a_holder_for_as_long_as_it_waits_and_a_holder_that_it_does_not_know_has_no_key(
    ours, client, redis_prefix
):
    commit, run = ours(), f"{redis_prefix}backbeat:run:a"
    commit.exchange([wants("key", "a")])
    seconds = client.ttl(run)
    taken = commit.exchange([wants("key", "b")]).holders
    client.delete(run)

    assert seconds > 29 * 86_400
    assert taken == {0: "a"}
    assert commit.exchange([wants("key", "c", replaces=True)]).holders == {}
    assert client.zcard(f"{redis_prefix}backbeat:revoked") == 0


def test_r18_sql_knows_a_holder_for_as_long_as_it_waits_and_a_holder_that_it_does_not_know_has_no_key(
    sqlite_url,
):
    engine = open_engine(sqlite_url)
    commit, now = SqlCommit(engine, queues=[QUEUE]), now_us()
    commit.exchange([wants("key", "a")])
    with engine.begin() as connection:
        until = connection.execute(select(run_table.c.expires_us)).scalar_one()
    taken = commit.exchange([wants("key", "b")]).holders
    with engine.begin() as connection:
        connection.execute(run_table.delete())

    assert until > now + 29 * 86_400_000_000
    assert taken == {0: "a"}
    assert commit.exchange([wants("key", "c", replaces=True)]).holders == {}
    with engine.begin() as connection:
        assert connection.execute(select(revoked_table)).all() == []
    engine.dispose()


# --- all stores decide alike, also in a race ---------------------------------------------------------------------------------------


def random_step(rng, number, offered):
    """What happens next, to any Commit: it gets the two of a worker that lives and of one that dies at once. `offered` are earlier ids."""
    held = message(rng.choice(offered[-3:] or ["id"]), attempt=rng.choice([0, 0, 1]))
    mine = message(f"id{number}", expires_us=rng.choice([None, None, 1, 1 << 51]))
    scope = rng.choice([Scope.RUNNING, Scope.RUNNING, Scope.PENDING, Scope.TIME])
    unique = Unique(
        key=rng.choice("ab"),
        id=mine.id,
        scope=scope,
        seconds=rng.choice([1e-6, 1e6]) if scope is Scope.TIME else 0.0,
        replaces=rng.random() < 0.3,
    )
    outcome = rng.choice([Success(value="1"), Retry(eta_us=5), Revoked()])
    taken = Taken(Delivery("", QUEUE, None, ""), held, Run())
    kind, dies, lost = rng.random(), rng.random() < 0.3, rng.random() < 0.5

    def happen(commits):
        commit = commits[dies]
        if kind < 0.4:
            offered.append(mine.id)
            return commit.exchange([Transition(effects=(Publish(mine),), unique=unique)]).holders
        if kind < 0.7:
            return type(commit.exchange([], claim=[taken]).claimed[0].verdict)
        if kind < 0.85:
            return commit.release([taken], lost=lost)
        if kind < 0.88:
            return commit.revoke([held.id])
        return commit.exchange([Transition(message=held, outcome=outcome)]).standing

    return happen


def test_r18_redis_and_sql_decide_as_memory_does(client, redis_prefix, sqlite_url):
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    engine = open_engine(sqlite_url)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    for number in range(12):
        rng, store, offered = random.Random(f"{seed}/{number}"), MemoryStore(), []
        known = {"role": Role.STORE, "worker": f"w{number}"}
        worlds = {
            "memory": [MemoryCommit(store, limits=limits, **known) for limits in (ALIVE, DEAD)],
            "redis": [
                RedisCommit(client, prefix=f"{redis_prefix}{number}", limits=limits, **known)
                for limits in (ALIVE, DEAD)
            ],
        }
        if number < 3:  # slower
            worlds["sqlite"] = [SqlCommit(engine, limits=limits, **known) for limits in (ALIVE, DEAD)]
            with engine.begin() as connection:
                for table in unique_table.metadata.sorted_tables:
                    connection.execute(table.delete())
        for step in range(60):
            happen = random_step(rng, step, offered)
            answers = {name: happen(commits) for name, commits in worlds.items()}
            assert len({repr(answer) for answer in answers.values()}) == 1, (number, step, answers)
    engine.dispose()


@pytest.mark.parametrize("name", STACKS)
def test_r18_many_processes_that_send_one_key_get_handles_of_one_task(name, tmp_path):
    """A short form of `make chaos ARGS=senders`."""
    found = race(name, tmp_path, children=8, sends=100)

    assert (found.handles, found.ids, found.runs, found.strangers) == (800, 1, 1, 0)
