"""Place: whether a user's connection leads to the broker's own tables is proven, whatever the addresses look like."""

from __future__ import annotations

from contextlib import closing

import pytest
from backbeat.canvas.sql.engine import open_engine
from backbeat.canvas.sql.place import Place, _sees_mysql_lock
from backbeat.canvas.sql.tables import create_tables, metadata
from sqlalchemy import NullPool, create_engine, inspect, text

from support.servers import own_database


@pytest.fixture
def connect():
    """Connects to a URL as a user's program does."""
    opened = []

    def connect(url, **options):
        engine = create_engine(url, **options)
        opened.append((engine, engine.connect()))
        return opened[-1][1]

    yield connect
    for engine, connection in opened:
        connection.close()
        engine.dispose()


@pytest.fixture
def place_at():
    opened = []

    def place_at(url):
        opened.append(open_engine(url))
        return Place(opened[-1])

    yield place_at
    for engine in opened:
        engine.dispose()


def test_one_server_under_two_names_is_one_place(postgres_url, connect, place_at):
    theirs = connect(postgres_url.replace("127.0.0.1", "localhost"))

    assert place_at(postgres_url).holds(theirs)
    assert place_at(postgres_url).holds(theirs), "what was proven is kept with the connection"


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_transaction_that_sees_the_past_still_sees_where_it_is(postgres_url, connect, place_at, level):
    theirs = connect(postgres_url, isolation_level=level)
    place = place_at(postgres_url)
    place.holds(connect(postgres_url))  # the tables are there
    theirs.execute(text("SELECT 1"))  # the snapshot is taken

    assert place.holds(theirs)


def test_another_database_of_the_server_with_the_same_tables_is_another_place(
    postgres_url, connect, place_at
):
    with (
        own_database("postgres") as other,
        closing(create_engine(other, poolclass=NullPool).connect()) as theirs,
    ):
        create_tables(theirs.engine)

        assert not place_at(postgres_url).holds(theirs)


def test_a_schema_that_has_the_tables_too_is_another_place_even_if_it_is_chosen_later(
    postgres_url, connect, place_at
):
    place, theirs = place_at(postgres_url), connect(postgres_url)
    assert place.holds(theirs)
    theirs.execute(text("CREATE SCHEMA tenant"))
    theirs.execute(text("CREATE TABLE tenant.bb_message (body TEXT)"))

    theirs.execute(text("SET LOCAL search_path TO tenant"))

    assert not place.holds(theirs)


def test_another_kind_of_database_is_another_place(postgres_url, sqlite_url, connect, place_at):
    assert not place_at(postgres_url).holds(connect(sqlite_url))
    assert not place_at(sqlite_url).holds(connect(postgres_url))


def test_a_broker_that_cannot_be_asked_proves_nothing_and_the_next_transaction_asks_again(
    postgres_url, connect, place_at
):
    theirs = connect(postgres_url)

    assert not place_at("postgresql://nobody@127.0.0.1:1/none").holds(theirs)
    assert theirs.execute(text("SELECT 1")).scalar_one() == 1, "the user's transaction is whole"
    assert place_at(postgres_url).holds(theirs)


def test_a_file_is_one_place_under_each_of_its_names(tmp_path, connect, place_at):
    theirs = connect(f"sqlite:///{tmp_path}/one.db")
    (tmp_path / "link").symlink_to(tmp_path)

    assert place_at(f"sqlite:///{tmp_path}/link/one.db").holds(theirs)
    assert not place_at(f"sqlite:///{tmp_path}/two.db").holds(theirs)
    assert not place_at(f"sqlite:///{tmp_path}/one.db").holds(connect("sqlite://")), "in memory"


def test_in_a_file_the_tables_come_with_the_transaction_and_go_with_it(tmp_path, connect, place_at):
    url = f"sqlite:///{tmp_path}/one.db"
    theirs, place = connect(url), place_at(url)
    theirs.execute(text("CREATE TABLE mine (n INT)"))
    theirs.execute(text("INSERT INTO mine VALUES (1)"))  # the one write lock of the file is theirs

    assert place.holds(theirs)
    assert set(metadata.tables) <= set(inspect(theirs).get_table_names())
    theirs.rollback()
    assert place.holds(theirs)
    assert set(metadata.tables) <= set(inspect(theirs).get_table_names())


def test_a_file_whose_tables_are_of_an_earlier_version_is_left_to_its_worker(tmp_path, connect, place_at):
    url = f"sqlite:///{tmp_path}/one.db"
    theirs = connect(url)
    theirs.execute(text("CREATE TABLE bb_message (seq INTEGER PRIMARY KEY, body TEXT)"))

    assert not place_at(url).holds(theirs)


@pytest.mark.parametrize("driver", ["mysql+pymysql", "mariadb+pymysql"])
def test_a_mariadb_is_one_place_by_each_name_of_its_driver_and_its_other_databases_are_not(
    mariadb_url, connect, place_at, driver
):
    place = place_at(mariadb_url)
    theirs = connect(mariadb_url.replace("mysql+pymysql", driver), isolation_level="REPEATABLE READ")
    theirs.execute(text("SELECT count(*) FROM information_schema.tables"))

    assert place.holds(theirs)
    theirs.execute(text("USE information_schema"))
    assert not place.holds(theirs)


def test_mariadb_shows_a_lock_to_its_own_sessions_only(mariadb_url, connect):
    ours, theirs = connect(mariadb_url), connect(mariadb_url)

    assert _sees_mysql_lock(ours, theirs)
    assert not _sees_mysql_lock(ours, _Elsewhere(theirs)), "a server that holds no such lock"
    assert _sees_mysql_lock(ours, theirs), "the lock was let go"


class _Elsewhere:
    """A session of a server on which nobody has taken the lock: another name is asked for."""

    def __init__(self, connection):
        self._connection = connection

    def execute(self, statement, values):
        return self._connection.execute(statement, {"name": values["name"] + "x"})
