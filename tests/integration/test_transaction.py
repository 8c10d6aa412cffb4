"""Transactional send: what is sent in a SQLAlchemy transaction exists if and only if that commits, whatever the broker is."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import ExitStack, closing

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.errors import EncodeError, ImproperlyConfigured, Unavailable
from backbeat.canvas.request import Request, running
from backbeat.canvas.sending import SLICE
from backbeat.canvas.sql.outbox import Outbox, outbox_table
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.outbox import OutboxThread
from backbeat.canvas.worker.wiring import WorkerOptions, open_worker
from sqlalchemy import create_engine, event, func, inspect, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from support import doomed_sender
from support.drain import drain
from support.processes import wait_until
from support.servers import own_database, own_vhost
from support.stacks import own_redis_database

OUTBOX = outbox_table("bb_outbox")
ABSENT = "redis://127.0.0.1:1/0"
SECONDS = 20.0


def make_app(broker, backend=None, **settings):
    known = {"outbox_url": "sqlite:///users.db", **settings}
    app = App("shop", broker=broker, backend=backend, set_as_current=False, **known)

    @app.task(name="add")
    def add(x, y=1):
        return x + y

    @app.task(name="double")
    def double(value):
        return 2 * value

    @app.task(name="total")
    def total(values):
        return sum(values)

    return app


def make_engine(url):
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (number INT)"))
    return engine


class Shop:
    """A user's database and an app."""

    def __init__(self, database, broker, backend=None):
        self.engine = make_engine(database)
        self.broker, self.backend = broker, backend
        self.app = make_app(broker, backend)
        self.add, self.total = self.app.tasks["add"], self.app.tasks["total"]

    @property
    def is_one(self):
        """Whether the database has the broker's or the results' tables."""
        return self.engine.url.render_as_string(hide_password=False) in (self.broker, self.backend)

    def order(self, session, number=1):
        """A user's own row."""
        session.execute(text("INSERT INTO mine (number) VALUES (:number)"), {"number": number})

    def drain(self, *handles):
        """Run what there is, until these have run."""
        ids = {handle.id for handle in handles}
        return drain(self.app, lambda ran: ids <= set(ran))

    def rows(self):
        """How many rows the outbox has."""
        if not inspect(self.engine).has_table(OUTBOX.name):
            return 0
        with self.engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(OUTBOX)).scalar_one()

    def make_due(self):
        """Two seconds pass for what lies in the outbox."""
        with self.engine.begin() as connection:
            connection.execute(update(OUTBOX).values(due_us=0))

    def leave(self, send):
        """Send in a transaction of an app whose broker is away: the rows stay."""
        with closing(make_app(ABSENT)) as app, Session(self.engine) as session, app.transaction(session):
            found = send(app)
            session.commit()
        return found

    def close(self):
        self.app.close()
        self.engine.dispose()


OUTBOXES = ["sqlite+memory", "postgres+redis", "mariadb+rabbitmq"]
PLACES = ["sqlite", "postgres", "rabbitmq+postgres", *OUTBOXES]
"""One name: all is there. "rabbitmq+postgres": the user's database is the result backend, too."""


def lend(name, lent, directory):
    match name:
        case "sqlite":
            return f"sqlite:///{directory}/shop.db"
        case "postgres" | "mariadb":
            return lent.enter_context(own_database(name))
        case "redis":
            return lent.enter_context(own_redis_database())
        case "rabbitmq":
            return lent.enter_context(own_vhost())
    return f"memory://{directory}"


@pytest.fixture(scope="module", params=PLACES)
def place(request, tmp_path_factory):
    """A shop that all tests share, as servers take their time to lend a place of its own."""
    first, _, second = request.param.partition("+")
    directory = tmp_path_factory.mktemp("shop")
    with ExitStack() as lent:
        if first == "rabbitmq":
            broker, database = lend(first, lent, directory), lend(second, lent, directory)
            shop = Shop(database, broker, database)
        else:
            database = lend(first, lent, directory)
            backend = f"memory://{directory}" if second == "rabbitmq" else None
            shop = Shop(database, lend(second, lent, directory) if second else database, backend)
        lent.callback(shop.close)
        yield shop


@pytest.fixture
def shop(place):
    """The shared one, with nothing waiting in it."""
    yield place
    if place.rows():
        with place.engine.begin() as connection:
            connection.execute(OUTBOX.delete())
    drain(place.app)


@pytest.fixture
def small(tmp_path):
    """One that needs no server: SQLite, and a broker in memory."""
    with closing(Shop(f"sqlite:///{tmp_path}/shop.db", f"memory://{tmp_path}")) as shop:
        yield shop


# --- commit and rollback -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [*PLACES, "mariadb"], indirect=True)
def test_what_a_committed_transaction_sent_runs_once_and_what_a_rolled_back_one_sent_does_not_exist(shop):
    with Session(shop.engine) as session, shop.app.transaction(session):
        shop.order(session)
        gone = [shop.add.delay(0), chord([shop.add.s(0)], shop.total.s()).apply_async()]
        session.rollback()
        shop.order(session)
        call = shop.add.delay(1, 2)
        body = chord([shop.add.s(1), shop.add.s(2)], shop.total.s()).apply_async()
        tail = chain(shop.add.s(1), shop.add.s(10), shop.add.s(100)).apply_async()
        session.commit()

    ran = shop.drain(call, body, tail)

    assert len(ran) == len(set(ran)) == 7
    assert [handle.get(timeout=5) for handle in (call, body, tail)] == [3, 5, 112]
    assert {handle.state for handle in gone} == {"PENDING"}
    assert shop.rows() == 0
    assert inspect(shop.engine).has_table(OUTBOX.name) != shop.is_one, "one database needs no outbox"


def test_what_a_coroutine_sends_in_a_thread_is_in_its_transaction(shop):
    async def main():
        with Session(shop.engine) as session, shop.app.transaction(session):
            shop.order(session)
            gone = await shop.add.adelay(0)
            session.rollback()
            shop.order(session)
            call = await shop.add.adelay(1, 2)
            session.commit()
            return gone, call

    gone, call = asyncio.run(main())
    ran = shop.drain(call)

    assert gone.id not in ran
    assert (call.get(timeout=5), gone.state) == (3, "PENDING")


def test_nothing_is_seen_of_it_before_the_commit(shop):
    with Session(shop.engine) as session, shop.app.transaction(session):
        call = shop.add.delay(1)
        if not shop.is_one or shop.engine.dialect.name != "sqlite":  # else this transaction is the one writer
            assert drain(shop.app) == []
        session.commit()

    assert shop.drain(call) == [call.id]


def test_a_savepoint_that_is_rolled_back_takes_along_what_was_sent_inside(shop):
    with Session(shop.engine) as session, shop.app.transaction(session):
        shop.order(session)
        kept = shop.add.delay(1)
        with session.begin_nested() as inner:
            gone = shop.add.delay(2)
            inner.rollback()
        with session.begin_nested():
            kept_too = shop.add.delay(3)
        assert shop.rows() == 0
        session.commit()

    assert sorted(shop.drain(kept, kept_too)) == sorted([kept.id, kept_too.id])
    assert gone.state == "PENDING"


def test_a_session_sends_in_one_transaction_after_the_other(shop):
    calls = []
    with Session(shop.engine) as session, shop.app.transaction(session):
        for number in range(3):
            calls.append(shop.add.delay(number))
            session.commit()
            assert shop.rows() == 0

    assert sorted(shop.drain(*calls)) == sorted(call.id for call in calls)


# --- how it is asked for -------------------------------------------------------------------------------------------------------------


def test_an_engine_gives_a_connection_and_the_end_of_the_block_commits(shop):
    with shop.app.transaction(shop.engine) as connection:
        shop.order(connection)
        call = shop.add.delay(1)
    gone = []

    def fail():
        with shop.app.transaction(shop.engine):
            gone.append(shop.add.delay(2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert shop.rows() == 0
    assert shop.drain(call) == [call.id]
    assert [each.state for each in gone] == ["PENDING"]


def test_a_connection_of_the_user_s_is_looked_at_when_the_block_ends(small):
    with small.engine.connect() as connection, small.app.transaction(connection), connection.begin():
        call = small.add.delay(1)
    with small.engine.begin() as connection, small.app.transaction(connection):
        later = small.add.delay(2)

    assert small.drain(call) == [call.id]
    assert small.rows() == 1, "that one committed after the block: it is a relay's"
    small.make_due()
    assert small.app.relay_outbox(small.engine) == 1
    assert small.drain(later) == [later.id]


def test_one_send_takes_a_session_as_an_option(small):
    with Session(small.engine) as session:
        calls = [
            small.add.apply_async([1], session=session),
            small.app.send_task("add", [1], session=session),
            chain(small.add.s(1), small.add.s(2)).apply_async(session=session),
            chord([small.add.s(1)])(small.total.s(), session=session),
        ]
        many = group(small.add.s(1), small.add.s(2)).apply_async(session=session)
        assert drain(small.app) == []
        session.commit()

    small.drain(*calls, *many.results)
    assert [call.get(timeout=1) for call in calls] == [2, 2, 4, 2]
    assert many.get(timeout=1) == [2, 3]


def test_a_scoped_session_is_the_thread_s_own(small):
    scoped = scoped_session(sessionmaker(small.engine))
    with small.app.transaction(scoped):
        call = small.add.delay(1)
        assert drain(small.app) == []
        scoped.commit()
    scoped.remove()

    assert small.drain(call) == [call.id]


def test_inside_a_block_none_sends_at_once(small):
    with Session(small.engine) as session, small.app.transaction(session):
        with small.app.transaction(None):
            now = small.add.delay(1)
        gone = small.add.delay(2)

    assert small.drain(now) == [now.id]
    assert gone.state == "PENDING"


def test_another_thread_and_another_app_do_not_send_in_this_block(small):
    with closing(make_app(small.broker)) as other, Session(small.engine) as session:
        sent = []
        with small.app.transaction(session):
            thread = threading.Thread(target=lambda: sent.append(small.add.delay(1)))
            thread.start()
            thread.join()
            sent.append(other.tasks["add"].delay(2))

    assert sorted(small.drain(*sent)) == sorted(each.id for each in sent)


def test_a_send_in_a_transaction_does_not_wait_for_what_another_thread_sends(shop):
    """That one may be waiting for a lock that this transaction has."""
    held, over = threading.Event(), threading.Event()

    def hold():
        with shop.app._connections._lock:
            held.set()
            over.wait(SECONDS)

    thread = threading.Thread(target=hold)
    with Session(shop.engine) as session, shop.app.transaction(session):
        shop.order(session)
        thread.start()
        held.wait(SECONDS)
        call = shop.add.delay(1)
        assert thread.is_alive()
        over.set()
        session.commit()
    thread.join()

    assert shop.drain(call) == [call.id]


def test_what_has_no_transaction_is_refused_with_what_to_pass(small):
    for wrong in ("sqlite://", sessionmaker(small.engine), object()):
        with pytest.raises(ImproperlyConfigured, match="Session, scoped_session or Connection"):
            small.add.apply_async([1], session=wrong)
        with pytest.raises(ImproperlyConfigured, match="run_sync"), small.app.transaction(wrong):
            pass


def test_a_running_task_sends_as_what_it_is(small):
    request = Request(id="parent", root_id="root", called_directly=False)
    with running(request), Session(small.engine) as session, small.app.transaction(session):
        call = small.add.delay(1)
        session.commit()

    ran = []
    small.app.tasks["add"].run, add = (lambda x, y=1: ran.append(small.add.request) or x + y), small.add.run
    small.drain(call)
    small.app.tasks["add"].run = add

    assert [(each.root_id, each.parent_id) for each in ran] == [("root", "parent")]
    assert request.children == [call.id]


# --- broker down, writer dead --------------------------------------------------------------------------------------------------------


def test_a_broker_that_is_away_does_not_fail_the_commit_and_the_task_is_relayed(small, caplog):
    with caplog.at_level(logging.WARNING):
        call = small.leave(lambda app: app.tasks["add"].delay(1))

    assert [record.action for record in caplog.records] == ["unavailable"]
    assert small.rows() == 1
    small.make_due()
    assert small.app.relay_outbox(small.engine) == 1
    assert small.drain(call) == [call.id]
    assert small.rows() == 0


def test_a_broker_that_is_away_is_asked_once_and_not_by_each_commit(small, caplog):
    with closing(make_app(ABSENT)) as app, Session(small.engine) as session, app.transaction(session):
        for number in range(5):
            app.tasks["add"].delay(number)
            session.commit()

    assert [record.action for record in caplog.records] == ["unavailable"]
    assert small.rows() == 5


def test_who_has_no_relay_is_told_so_once(small, caplog):
    with closing(make_app(small.broker, outbox_url=None)) as app, app.transaction(small.engine):
        app.tasks["add"].delay(1)
        app.tasks["add"].delay(2)

    (record,) = caplog.records
    assert record.action == "outbox_unrelayed"
    assert "outbox_url" in record.getMessage()


@pytest.mark.parametrize("place", ["rabbitmq+postgres"], indirect=True)
def test_what_a_dead_writer_left_in_the_result_backend_is_sent_by_any_worker(shop):
    with closing(make_app("amqp://127.0.0.1:1", shop.backend)) as app, app.transaction(shop.engine):
        call = app.tasks["add"].delay(1)
        body = chord([app.tasks["add"].s(1)], app.tasks["total"].s()).apply_async()

    ran = shop.drain(call, body)

    assert len(ran) == len(set(ran)) == 3
    assert [shop.app.AsyncResult(each.id).get(timeout=5) for each in (call, body)] == [2, 2]


def test_a_relay_leaves_a_row_to_its_writer_for_two_seconds(small):
    before = time.time_ns() // 1000
    small.leave(lambda app: app.tasks["add"].delay(1))

    assert small.app.relay_outbox(small.engine) == 0
    with small.engine.connect() as connection:
        due = connection.execute(select(OUTBOX.c.due_us)).scalar_one()
    assert before + 2_000_000 <= due <= time.time_ns() // 1000 + 2_000_000


def test_a_relay_that_cannot_reach_the_broker_leaves_the_rows_to_others(small):
    small.leave(lambda app: app.tasks["add"].delay(1))
    small.make_due()

    with closing(make_app(ABSENT)) as app, pytest.raises(Unavailable):
        app.relay_outbox(small.engine)

    assert small.app.relay_outbox(small.engine) == 1


@pytest.mark.parametrize("place", OUTBOXES, indirect=True)
def test_of_many_relays_each_row_is_one_s(shop):
    calls = shop.leave(lambda app: [app.tasks["add"].delay(number) for number in range(40)])
    shop.make_due()
    outbox, taken, start = Outbox(shop.engine, OUTBOX), [], threading.Barrier(4)

    def take(name):
        start.wait()
        while rows := outbox.take_due(f"{name}.{len(taken)}.{time.monotonic_ns()}", 3):
            taken.extend(row.seq for row in rows)

    threads = [threading.Thread(target=take, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == len(calls)


def test_a_long_transaction_s_rows_are_its_writer_s_unless_a_relay_took_them(small):
    with Session(small.engine) as session, small.app.transaction(session):
        small.add.delay(1)
        session.commit()
        outbox = Outbox(small.engine, OUTBOX)
        small.leave(lambda app: app.tasks["add"].delay(2))
        with small.engine.connect() as connection:
            holder = connection.execute(select(OUTBOX.c.holder)).scalar_one()
        small.make_due()

        outbox.renew(holder)
        assert outbox.take_due("relay", 10) == []
        small.make_due()
        assert len(outbox.take_due("relay", 10)) == 1

    assert outbox.written_by(holder) == []


def test_a_row_that_is_refused_does_not_hold_up_the_others_and_stays(small, caplog):
    calls = small.leave(lambda app: [app.tasks["add"].delay(number) for number in range(3)])
    with small.engine.begin() as connection:
        spoilt = connection.execute(select(OUTBOX.c.seq).order_by(OUTBOX.c.seq)).scalars().all()[1]
        connection.execute(update(OUTBOX).where(OUTBOX.c.seq == spoilt).values(canvas="[]"))
    small.make_due()
    caplog.clear()

    assert small.app.relay_outbox(small.engine) == 2

    assert [record.action for record in caplog.records] == ["outbox_refused"]
    assert sorted(small.drain(calls[0], calls[2])) == sorted([calls[0].id, calls[2].id])
    with small.engine.connect() as connection:
        (row,) = connection.execute(select(OUTBOX)).all()
    assert (row.seq, row.tries) == (spoilt, 1)
    assert row.due_us > time.time_ns() // 1000
    assert small.app.relay_outbox(small.engine) == 0


def test_a_countdown_counts_from_when_it_was_sent_and_not_from_when_it_is_relayed(small):
    before = time.time()
    call = small.leave(lambda app: app.tasks["add"].apply_async([1], countdown=0.2))
    after = time.time()
    small.make_due()
    seen = []

    @small.app.task(name="add", bind=True)
    def add(self, x, y=1):
        seen.append(self.request.eta)

    small.app.relay_outbox(small.engine)
    small.drain(call)

    from datetime import datetime

    (eta,) = seen
    assert before + 0.2 <= datetime.fromisoformat(eta).timestamp() <= after + 0.2


def test_k4_a_large_canvas_that_a_relay_left_half_sent_is_sent_whole_by_the_next(small, monkeypatch):
    size = SLICE + 20
    handle = small.leave(
        lambda app: chord([app.tasks["add"].s(n) for n in range(size)], app.tasks["total"].s()).apply_async()
    )
    small.make_due()
    with small.app._connections.client() as client:
        exchange, left = client.exchange, [1]

    def cut(*args, **known):
        if not left:
            raise Unavailable("the connection is cut")
        left.pop()
        return exchange(*args, **known)

    monkeypatch.setattr(client, "exchange", cut)
    with pytest.raises(Unavailable):
        small.app.relay_outbox(small.engine)
    monkeypatch.undo()
    assert client.sweep() == [], "nobody takes the sender for dead: the row is there"

    assert small.app.relay_outbox(small.engine) == 1

    small.drain(handle)
    assert small.app.AsyncResult(handle.id).get(timeout=1) == sum(range(1, size + 1))


def test_a_worker_relays_the_outboxes_that_it_is_told_of(tmp_path, small):
    other = make_engine(f"sqlite:///{tmp_path}/other.db")
    calls = [small.leave(lambda app: app.tasks["add"].delay(1))]
    small.make_due()
    gone = small.rows
    small.app.conf.outbox_url = [
        str(small.engine.url),
        str(other.url),
        "postgresql://nobody@127.0.0.1:1/none",
    ]

    with OutboxThread(small.app.open_relays()):
        wait_until(lambda: not gone(), SECONDS)

    assert small.drain(*calls) == [calls[0].id]
    assert not inspect(other).has_table(OUTBOX.name), "a worker only looks"
    other.dispose()


def test_a_worker_with_the_setting_runs_what_a_dead_writer_left(small):
    call = small.leave(lambda app: app.tasks["double"].delay(21))
    small.make_due()
    app = doomed_sender.make_app(small.broker, outbox_url=str(small.engine.url))
    options = WorkerOptions(pool="solo", concurrency=1)
    worker = open_worker(app, "support.doomed_sender:app", options, LogListener())
    thread = threading.Thread(target=worker.run)
    thread.start()

    try:
        assert app.AsyncResult(call.id).get(timeout=SECONDS) == 42
    finally:
        worker.stop()
        thread.join(SECONDS)
        app.close()
    assert [each.name for each in threading.enumerate() if each.name == "backbeat-outbox"] == []


def test_an_outbox_url_that_is_none_is_refused(small):
    for wrong in ("redis://x", "not a url", "oracle://x/y"):
        small.app.conf.outbox_url = wrong
        with pytest.raises(ImproperlyConfigured, match="outbox_url"):
            small.app.open_relays()


# --- sessions of other kinds ---------------------------------------------------------------------------------------------------------


def test_a_session_inside_an_outer_transaction_sends_when_that_one_has_committed(small):
    with small.engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            small.order(session)
            with small.app.transaction(session):
                call = small.add.delay(1)
                session.commit()
        assert drain(small.app) == [], "that was no commit yet"
        outer.commit()
    small.make_due()

    assert small.app.relay_outbox(small.engine) == 1
    assert small.drain(call) == [call.id]


def test_a_pool_of_one_connection_is_enough(shop):
    shop.app.create_outbox(shop.engine)
    narrow = create_engine(shop.engine.url, pool_size=1, max_overflow=0, pool_timeout=5)
    started = time.monotonic()
    with Session(narrow) as session, shop.app.transaction(session):
        call = shop.add.delay(1)
        session.commit()

    assert time.monotonic() - started < 5
    assert shop.rows() == 0
    assert shop.drain(call) == [call.id]
    narrow.dispose()


def test_a_commit_that_the_database_refuses_sends_nothing(shop):
    with Session(shop.engine) as session, shop.app.transaction(session):
        gone = shop.add.delay(1)
        cut = session.connection().invalidate
        event.listen(session.connection(), "commit", lambda _: cut())
        with pytest.raises(SQLAlchemyError):
            session.commit()
        session.invalidate()

    assert drain(shop.app) == []
    assert gone.state == "PENDING"
    assert shop.rows() == 0


def test_what_cannot_be_sent_is_refused_when_it_is_sent_and_not_after_the_commit(small):
    with Session(small.engine) as session, small.app.transaction(session):
        with pytest.raises(EncodeError):
            small.add.delay("x" * 300_000)
        with pytest.raises(TypeError):
            small.add.delay(1, 2, 3)
        session.commit()

    assert drain(small.app) == []


def test_tables_have_the_name_that_the_setting_gives_them(tmp_path):
    with closing(Shop(f"sqlite:///{tmp_path}/shop.db", f"memory://{tmp_path}")) as shop:
        shop.app.conf.outbox_table = "shop_outbox"
        with Session(shop.engine) as session, shop.app.transaction(session):
            call = shop.add.delay(1)
            session.commit()

        assert set(inspect(shop.engine).get_table_names()) == {"mine", "shop_outbox"}
        assert shop.drain(call) == [call.id]
