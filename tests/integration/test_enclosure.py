"""I-ATOMIC: where ledger and queue are one database, a message and the mark of its firing commit together."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import timedelta

import pytest
from backbeat.canvas.app import App
from backbeat.canvas.wiring import open_broker
from backbeat.scheduler.enclosure import enclosure_of
from backbeat.scheduler.entry import SECOND_US, Entry
from backbeat.scheduler.firing import firing_of
from backbeat.scheduler.outlet import BrokerOutlet
from backbeat.scheduler.relay import OutletDown
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.base import FENCED, Batch, Fence, Lease, Move
from backbeat.scheduler.store.wiring import open_store
from sqlalchemy import create_engine, text

from support.servers import own_database

NOW = 1_790_000_000 * SECOND_US
FENCE = Fence("me", 1)
ENTRY = Entry(name="tick", when=Interval(every=timedelta(seconds=1)), what={"task": "app.tick", "args": [1]})


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'one.db'}"
    else:
        with own_database(request.param) as found:
            yield found


@pytest.fixture
def store(url):
    with closing(open_store(url, cluster="test")) as found:
        assert found.swap_lease(Lease("", 0, 0, 0), Lease("me", 1, 1, 10_000))
        yield found


def outlet_of(store, store_url, broker_url):
    app = App("test", broker=broker_url)
    enclosure = enclosure_of(store, store_url, broker_url)
    return BrokerOutlet(
        open_broker(app.conf), app, cluster="test", store_id=store.store_id(), enclosure=enclosure
    )


@pytest.fixture
def outlet(url, store):
    with closing(outlet_of(store, url, url)) as found:
        yield found


@pytest.fixture
def firings(store):
    """Ten firings that are decided and not sent."""
    answer = store.reconcile([ENTRY], NOW, FENCE, batch_id=1)
    assert answer is not FENCED
    found = tuple(firing_of("test", ENTRY, NOW + i * SECOND_US, rev=1, batch_id=2) for i in range(1, 11))
    move = Move("tick", 1, NOW, NOW + 10 * SECOND_US, NOW + 11 * SECOND_US)
    store.decide(Batch(2, NOW, found, (move,)), FENCE)
    return found


def open_in(store):
    return list(store.load_open(FENCE, 1_000).firings)


def messages(url):
    engine = create_engine(url)
    with engine.connect() as conn:
        found = conn.execute(text("SELECT count(*) FROM bb_message")).scalar_one()
    engine.dispose()
    return found


@pytest.mark.parametrize("url", ["sqlite", "postgres", "mariadb"], indirect=True)
def test_what_is_sent_is_marked_in_the_same_transaction(url, store, outlet, firings):
    published = outlet.publish(firings)

    assert list(published.confirmed) == list(firings)
    assert (messages(url), open_in(store)) == (10, [])


def test_a_transaction_that_fails_leaves_neither_message_nor_mark(url, store, outlet, firings):
    outlet.reach()

    def write(conn, fresh):
        from backbeat.canvas.commit.sql_put import put_messages

        items, _ = outlet._messages.of(fresh)
        put_messages(conn, items)
        raise KeyboardInterrupt  # a crash before the commit

    with pytest.raises(KeyboardInterrupt):
        store.emit(firings, write)

    assert messages(url) == 0
    assert open_in(store) == list(firings)


def test_what_was_sent_and_not_answered_is_not_sent_again(url, store, outlet, firings):
    outlet.publish(firings[:4])  # the answer is lost: all of them come again

    published = outlet.publish(firings)

    assert list(published.confirmed) == list(firings)
    assert messages(url) == 10


@pytest.mark.parametrize("url", ["sqlite", "postgres", "mariadb"], indirect=True)
def test_of_two_leaders_that_send_the_same_firings_one_sends_each(url, store, outlet, firings):
    other_store = open_store(url, cluster="test")
    other = outlet_of(other_store, url, url)
    start = threading.Barrier(2)

    def send(one):
        start.wait()
        for firing in firings:
            one.publish([firing])

    threads = [threading.Thread(target=send, args=(one,)) for one in (outlet, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (messages(url), open_in(store)) == (10, [])
    other.close()
    other_store.close()


def test_a_store_that_cannot_mark_is_a_broker_that_is_down(url, outlet, firings):
    outlet.reach()
    engine = create_engine(url)
    with engine.begin() as conn:
        conn.execute(text("DROP TABLE bb_firing"))
    engine.dispose()

    with pytest.raises(OutletDown):
        outlet.publish(firings)

    assert messages(url) == 0


# --- which two are one -------------------------------------------------------------------------------------------------------


@pytest.fixture
def postgres():
    with own_database("postgres") as found:
        yield found


def are_one(ledger_url, queue_url):
    broker = open_broker(App("test", broker=queue_url).conf)
    with closing(open_store(ledger_url, cluster="test")) as store, closing(broker):
        enclosure = enclosure_of(store, ledger_url, queue_url)
        return enclosure is not None and enclosure.holds(broker)


def schemas_of(url):
    """Two addresses, each of a schema of its own in the same database."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        for name in ("first", "second"):
            conn.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return [f"{url}?options=-csearch_path%3D{name}" for name in ("first", "second")]


@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(lambda url: url, id="as it is"),
        pytest.param(lambda url: url.replace("127.0.0.1", "localhost"), id="another name of the host"),
        pytest.param(lambda url: url.replace(":5432/", "/"), id="without the port"),
        pytest.param(lambda url: "db+postgresql+psycopg" + url[url.index(":") :], id="with its driver"),
    ],
)
def test_one_database_is_one_place_however_its_address_is_spelled(postgres, spell):
    other = spell(postgres)

    assert are_one(postgres, other)
    assert are_one(other.removeprefix("db+"), postgres)


def test_two_schemas_of_one_database_are_two_places_and_each_alone_is_one(postgres):
    first, second = schemas_of(postgres)

    assert not are_one(first, second)
    assert are_one(first, first)
    assert not are_one(second, first)  # though a queue is there that another ledger uses


def test_one_sqlite_file_is_one_place_by_each_of_its_names_and_two_files_are_two(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")

    assert are_one("sqlite:///a.db", "sqla+sqlite:///./a.db")
    assert are_one(f"sqlite:///{tmp_path}/a.db", "sqlite:///link.db")
    assert not are_one("sqlite:///a.db", "sqlite:///b.db")


@pytest.mark.parametrize("queue", ["redis://h/0", "amqp://h", "postgresql://u@h/db"])
def test_databases_of_different_kinds_are_never_asked(queue):
    assert enclosure_of(object(), "sqlite:///a.db", queue) is None


def test_a_queue_elsewhere_gets_what_is_sent_and_the_ledger_is_marked_later(postgres):
    first, second = schemas_of(postgres)
    with closing(open_store(first, cluster="test")) as store:
        firing = firing_of("test", ENTRY, NOW, rev=1, batch_id=2)
        with closing(outlet_of(store, first, second)) as outlet:
            published = outlet.publish([firing])

    assert list(published.confirmed) == [firing]
    assert messages(second) == 1
