"""SQLite files that must not be used, and what is said about them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from backbeat.scheduler.store.base import StoreDown, StoreRefused
from backbeat.scheduler.store.sqlite_file import damage, network_type, prepare_file, set_aside
from backbeat.scheduler.store.wiring import open_store

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/export /srv/nfs nfs4 rw 0 0
tmpfs /srv/nfs/local tmpfs rw 0 0
//server/share /mnt/with\\040space cifs rw 0 0
sshfs#u@h:/ /home/u/far fuse.sshfs rw 0 0
/dev/sdb1 /srv/nfs/again ext4 rw 0 0
host:/x /srv/nfs/again nfs rw 0 0
overlay /var/lib overlay rw 0 0
"""


@pytest.fixture
def file(tmp_path):
    """A store with some hundred rows."""
    path = tmp_path / "state" / "backbeat.db"
    open_store(f"sqlite:///{path}").close()
    with contextlib.closing(sqlite3.connect(path)) as conn:
        conn.executemany(
            "INSERT INTO bb_revision VALUES (?, 1, 1, ?)", [(f"entry {n}", "x" * 500) for n in range(400)]
        )
        conn.commit()
    return path


def flip_bits(path, offset):
    with path.open("r+b") as opened:
        opened.seek(offset)
        old = opened.read(64)
        opened.seek(offset)
        opened.write(bytes(byte ^ 0xFF for byte in old))


def page_of(path, table):
    """The offset of the first page of a table."""
    with contextlib.closing(sqlite3.connect(path)) as conn:
        root = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        return (root - 1) * conn.execute("PRAGMA page_size").fetchone()[0]


def damage_header(path):
    flip_bits(path, 0)


def damage_page(path):
    flip_bits(path, page_of(path, "bb_revision"))


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def replace_by_text(path):
    path.write_text("schedules:\n  tick: {every: 1s}\n" * 200)


def replace_by_zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("harm", [damage_header, damage_page, truncate, replace_by_text, replace_by_zeros])
def test_a_damaged_file_is_refused_says_what_to_do_and_stays_as_it_is(file, harm):
    harm(file)
    before = file.read_bytes()

    with pytest.raises(StoreRefused) as refused:
        open_store(f"sqlite:///{file}")

    said = str(refused.value)
    assert str(file) in said
    assert "damaged" in said
    assert "--accept-state-loss" in said
    assert file.read_bytes() == before
    assert {path.name for path in file.parent.iterdir()} <= {
        "backbeat.db",
        "backbeat.db-shm",
        "backbeat.db-wal",
    }


def test_a_whole_file_is_neither_refused_nor_set_aside(file):
    assert damage(file) is None
    assert set_aside(file, "now") is None

    open_store(f"sqlite:///{file}").close()


def test_a_damaged_file_is_set_aside_and_a_new_store_begins(file):
    damage_page(file)
    harmed = file.read_bytes()

    aside = set_aside(file, "2026-01-01")

    assert aside == file.with_name("backbeat.db.damaged-2026-01-01")
    assert aside.read_bytes() == harmed
    store = open_store(f"sqlite:///{file}")
    assert store.load(None).entries == ()
    store.close()


def test_a_file_that_another_process_writes_to_is_whole(file):
    with contextlib.closing(sqlite3.connect(file)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("DELETE FROM bb_revision")

        assert damage(file) is None


def test_what_we_make_is_for_its_owner_alone(tmp_path):
    before = os.umask(0)
    try:
        open_store(f"sqlite:///{tmp_path}/state/backbeat.db").close()
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "backbeat.db").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/backbeat/backbeat.db", None),
        ("/srv/nfs/backbeat.db", "nfs4"),
        ("/srv/nfs-not/backbeat.db", None),
        ("/srv/nfs/local/backbeat.db", None),
        ("/srv/nfs/again/backbeat.db", "nfs"),
        ("/mnt/with space/a/backbeat.db", "cifs"),
        ("/home/u/far/backbeat.db", "fuse.sshfs"),
    ],
)
def test_a_network_file_system_is_told_by_the_table_of_mounts(path, kind):
    assert network_type(Path(path), MOUNTS) == kind
    assert network_type(Path(path), "") is None


def test_a_file_on_a_network_file_system_is_refused_also_behind_a_link(tmp_path):
    real = tmp_path.resolve() / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    mounts = f"/dev/sda1 / ext4 rw 0 0\nserver:/export {real} nfs rw 0 0\n"

    with pytest.raises(StoreRefused, match=r"network file system \(nfs\)"):
        prepare_file(str(tmp_path / "link" / "backbeat.db"), mounts)

    assert list(real.iterdir()) == []


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_store_needs_a_file(url):
    with pytest.raises(StoreRefused, match="needs a file"):
        open_store(url)


def test_a_directory_that_cannot_be_made_is_a_doubt_and_not_a_refusal(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreDown, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path}/file/below/backbeat.db")
