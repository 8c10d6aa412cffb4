"""Stores of older releases: their tables are brought up to date, their rows stay, and they work; newer ones are refused."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from pathlib import Path

import pytest
from backbeat.scheduler.cli.main import main
from backbeat.scheduler.firing import regular_firing
from backbeat.scheduler.store.base import Batch, Fence, Lease, Move, StoreRefused
from backbeat.scheduler.store.engine import open_engine
from backbeat.scheduler.store.migration import make_first, upgrade
from backbeat.scheduler.store.tables import SCHEMA_VERSION, Tables
from backbeat.scheduler.store.wiring import open_store
from click.testing import CliRunner
from sqlalchemy import MetaData, Table, inspect, text

from support import servers

RECORDED = Path(__file__).parents[1] / "data" / "store_v1.sql"
START, MINUTE = 1_700_000_000_000_000, 60_000_000
WHAT = {"task": "app.tick", "args": [1]}
KINDS = ["sqlite", "postgres", "mariadb"]


@contextlib.contextmanager
def own_database(kind, tmp_path):
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path}/old.db"
    else:
        with servers.own_database(kind) as url:
            yield url


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def old_url(kind, tmp_path):
    """A database with what the first release had written into its SQLite file."""
    with own_database(kind, tmp_path) as url:
        recorded = sqlite3.connect(tmp_path / "old.db" if kind == "sqlite" else ":memory:")
        recorded.executescript(RECORDED.read_text(encoding="utf-8"))
        if kind != "sqlite":
            copy(recorded, url)
        recorded.close()
        yield url


def copy(recorded, url):
    engine = open_engine(url)
    with engine.connect() as conn:
        make_first(conn)
        conn.commit()
        for name in inspect(engine).get_table_names():
            table = Table(name, MetaData(), autoload_with=conn)
            cursor = recorded.execute(f"SELECT * FROM {name}")
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
            if rows:
                conn.execute(table.insert(), rows)
        conn.commit()
    engine.dispose()


def shape(url):
    """Columns, keys and indexes of the store's tables, by name; their order says nothing."""
    engine = open_engine(url)
    found = inspect(engine)
    shapes = {
        name: (
            {c["name"]: (str(c["type"]), c["nullable"], str(c["default"])) for c in found.get_columns(name)},
            found.get_pk_constraint(name)["constrained_columns"],
            sorted((i["name"], tuple(i["column_names"])) for i in found.get_indexes(name)),
            found.get_table_options(name) if engine.dialect.name == "mysql" else None,
        )
        for name in (table.name for table in Tables.on(MetaData()).all())
    }
    engine.dispose()
    for _, _, _, options in shapes.values():
        if options:
            options.pop("mysql_auto_increment", None)
    return shapes


def brought_up_to_date(url):
    engine = open_engine(url)
    done = upgrade(engine)
    engine.dispose()
    return done


def test_an_old_sqlite_file_is_upgraded_when_it_is_opened(tmp_path):
    recorded = sqlite3.connect(tmp_path / "old.db")
    recorded.executescript(RECORDED.read_text(encoding="utf-8"))
    recorded.close()

    open_store(f"sqlite:///{tmp_path}/old.db").close()

    with contextlib.closing(sqlite3.connect(tmp_path / "old.db")) as conn:
        version = conn.execute("SELECT number FROM bb_meta WHERE name = 'schema_version'").fetchone()
    assert version == (SCHEMA_VERSION,)


@pytest.mark.parametrize("kind", ["postgres", "mariadb"], indirect=True)
def test_an_old_server_store_is_refused_with_the_command_that_upgrades_it(old_url):
    with pytest.raises(StoreRefused, match="backbeat db upgrade"):
        open_store(old_url)

    assert brought_up_to_date(old_url) == list(range(2, SCHEMA_VERSION + 1))
    open_store(old_url).close()


def test_an_upgraded_store_keeps_its_rows_and_works(old_url):
    brought_up_to_date(old_url)
    store = open_store(old_url, cluster="test")

    loaded = store.load(None)
    assert {known.entry.name: known.cursor_us for known in loaded.entries} == {
        "tick": START + 90 * MINUTE,
        "naïve “name”": START,
    }
    lease = store.read_lease()
    assert lease == Lease("", 3, 2, 10_000)
    assert store.swap_lease(lease, Lease("me", 4, 3, 10_000))
    me = Fence("me", 4)
    assert [firing.due_us for firing in store.load_open(me, 100).firings] == [
        START + 2 * MINUTE,
        START + 3 * MINUTE,
    ]
    due = START + 91 * MINUTE
    firing = regular_firing("test", "tick", due, WHAT, rev=1, batch_id=4_000_000_001)
    move = Move("tick", 1, START + 90 * MINUTE, due, due + MINUTE, runs=1)
    assert store.decide(Batch(4_000_000_001, due, (firing,), (move,)), me).fresh == (firing,)
    assert len(store.load_open(me, 100).firings) == 3
    store.close()


def test_an_upgraded_store_has_the_tables_of_a_new_one(old_url, kind, tmp_path):
    brought_up_to_date(old_url)
    (tmp_path / "new").mkdir()

    with own_database(kind, tmp_path / "new") as url:
        open_store(url).close()

        assert shape(old_url) == shape(url)


def test_an_upgrade_that_was_interrupted_half_way_goes_on(old_url):
    engine = open_engine(old_url)
    with engine.begin() as conn:
        conn.execute(text("ALTER TABLE bb_entry ADD COLUMN runs BIGINT DEFAULT 0 NOT NULL"))
    engine.dispose()

    assert brought_up_to_date(old_url)

    open_store(old_url).close()
    assert brought_up_to_date(old_url) == []


def test_two_upgrades_at_once_do_it_once(old_url):
    done, faults = [], []

    def run():
        try:
            done.extend(brought_up_to_date(old_url))
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # a table changes outside any transaction there: one of the two may fail, and can try again
    if old_url.startswith("mysql"):
        assert len(faults) <= 1
    else:
        assert faults == []
        # each step once; who did the first of them need not be the first to return
        assert sorted(done) == list(range(2, SCHEMA_VERSION + 1))
    brought_up_to_date(old_url)
    open_store(old_url).close()


def test_a_store_of_a_newer_backbeat_is_refused_and_not_touched(old_url):
    engine = open_engine(old_url)
    with engine.begin() as conn:
        conn.execute(text("UPDATE bb_meta SET number = 99 WHERE name = 'schema_version'"))
    before = set(inspect(engine).get_table_names())

    with pytest.raises(StoreRefused, match=r"version 99.*newer backbeat"):
        open_store(old_url)

    assert set(inspect(engine).get_table_names()) == before
    engine.dispose()


@pytest.mark.parametrize("kind", ["postgres", "mariadb"], indirect=True)
def test_the_command_says_the_version_and_upgrades(old_url):
    def run(command):
        done = CliRunner().invoke(main, ["--store", old_url, "--json", "db", command])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    assert run("current")["version"] == 1
    assert run("upgrade")["steps"] == list(range(2, SCHEMA_VERSION + 1))
    assert run("upgrade")["steps"] == []
    assert run("current")["version"] == run("current")["needed"]
