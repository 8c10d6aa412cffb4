"""The part of the Store contract that is about time, over every implementation; and the crash hint of SQLite's file."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta

import pytest
from backbeat.scheduler.entry import SECOND_US, Entry
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.base import FENCED, Fence, Lease
from backbeat.scheduler.store.hint_file import FileHint
from backbeat.scheduler.store.wiring import open_for_beat, open_store

from support import servers
from support.processes import wait_until
from support.thorough import in_turn

NOW = 1_700_000_000 * SECOND_US
MINE = Fence("a", 1)


@pytest.fixture(params=in_turn(["memory", "sqlite", "postgres", "mariadb"], always=["memory", "sqlite"]))
def kind(request):
    return request.param


@pytest.fixture
def store(kind, tmp_path):
    if kind in {"memory", "sqlite"}:
        store = open_store("memory://" if kind == "memory" else f"sqlite:///{tmp_path}/s.db")
        yield store
        store.close()
        return
    with servers.own_database(kind) as url:
        store = open_store(url)
        yield store
        store.close()


def lead(store, *names, info=""):
    row = store.read_lease()
    assert store.swap_lease(row, Lease("a", 1, row.renewal + 1, 10_000, info))
    entries = [
        Entry(name=name, when=Interval(every=timedelta(hours=1)), what={"task": "t"}) for name in names
    ]
    store.reconcile(entries, NOW, MINE, batch_id=1)


def cursors(store):
    return {known.entry.name: known.cursor_us for known in store.load(None).entries}


def test_the_witness_tells_the_servers_time_and_there_is_none_without_a_server(store, kind):
    before = time.time_ns() // 1000
    seen = store.witness_us()
    after = time.time_ns() // 1000

    if kind in {"memory", "sqlite"}:
        assert seen is None
    else:
        assert before - SECOND_US <= seen <= after + SECOND_US


def test_the_latest_cursor_of_a_store_without_entries_is_zero(store):
    assert store.latest_cursor_us() == 0
    lead(store, "a", "b")
    assert store.latest_cursor_us() == NOW


def test_a_rewind_sets_only_cursors_of_the_future_back(store):
    lead(store, "a", "b")

    assert store.rewind(NOW + 1, MINE) == 0
    assert store.rewind(NOW - SECOND_US, MINE) == 2

    assert cursors(store) == {"a": NOW - SECOND_US, "b": NOW - SECOND_US}
    assert store.rewind(NOW - SECOND_US, MINE) == 0
    assert store.latest_cursor_us() == NOW - SECOND_US


def test_a_stale_leader_rewinds_nothing(store):
    lead(store, "a")

    assert store.rewind(0, Fence("a", 2)) is FENCED
    assert store.rewind(0, Fence("", 1)) is FENCED

    assert cursors(store) == {"a": NOW}


def test_what_a_leader_says_of_itself_comes_back_and_decides_nothing(store):
    lead(store, info='{"hint":true}')

    row = store.read_lease()

    assert row.info == '{"hint":true}'
    assert store.swap_lease(Lease("a", 1, 1, 0, "other"), Lease("b", 2, 2, 10_000, "é" * 2000))
    assert store.read_lease().info == "é" * 2000


# --- the hint of a file ----------------------------------------------------------------------------------------------------------

HOLDER = """
import signal, sys
from pathlib import Path
from backbeat.scheduler.store.hint_file import FileHint
hint = FileHint(Path(sys.argv[1]))
assert hint.hold("1-a")
print("held", flush=True)
signal.pause()
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "backbeat.db"


def leftovers(file):
    return sorted(path.name for path in file.parent.glob("*-leader-*"))


def test_a_file_lock_is_free_when_its_process_was_killed(file):
    other = FileHint(file)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        assert not other.is_free("1-a")
        assert not other.hold("1-a")

        holder.kill()

        wait_until(lambda: other.is_free("1-a"), 5)
    assert leftovers(file) == ["backbeat.db-leader-1-a"]
    assert other.hold("2-b")
    assert leftovers(file) == ["backbeat.db-leader-2-b"]
    other.close()
    assert leftovers(file) == []


def test_a_file_lock_excludes_within_a_process_too(file):
    one, two = FileHint(file), FileHint(file)

    assert one.hold("1-a")
    assert one.hold("1-a")
    assert not two.hold("1-a")
    assert not two.is_free("1-a")
    assert two.hold("2-b")
    assert leftovers(file) == ["backbeat.db-leader-1-a", "backbeat.db-leader-2-b"]
    one.drop()
    assert two.is_free("1-a")
    assert not one.is_free("2-b")
    two.close()


def test_where_no_file_can_be_made_nothing_is_held(tmp_path):
    hint = FileHint(tmp_path / "missing" / "backbeat.db")

    assert not hint.hold("1-a")
    hint.drop()


def test_a_store_that_is_opened_through_a_link_has_the_same_hint(tmp_path):
    (tmp_path / "store.db").touch()
    (tmp_path / "other").mkdir()
    link = tmp_path / "other" / "link.db"
    link.symlink_to(tmp_path / "store.db")
    first, second = (open_for_beat(f"sqlite:///{path}") for path in (tmp_path / "store.db", link))

    assert first.hint.hold("1-x")

    assert not second.hint.is_free("1-x")
    first.hint.drop()
    assert second.hint.is_free("1-x")
    first.close()
    second.close()
