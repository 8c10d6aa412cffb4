"""SqliteFile: may this file hold a store? Before SQLite opens it, and without changing anything that is in it.

A store must be a whole SQLite database on a local file system. A damaged one is refused and stays where it is: whoever starts
a beat decides whether its state may be lost (`set_aside`). SQLite's locks do not hold on network file systems, and two hosts
that share one would both lead. The directory and the file are for their owner alone when we make them.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from .base import StoreDown, StoreRefused

NETWORK_TYPES = frozenset(
    "nfs nfs4 cifs smb2 smb3 smbfs afs ceph lustre gpfs glusterfs ocfs2 gfs2 beegfs orangefs fuse.sshfs fuse.glusterfs"
    " fuse.ceph fuse.s3fs fuse.rclone fuse.gcsfuse vboxsf prl_fs".split()
)
CHECKED_BYTES = 128 * 2**20
"""A file up to this size is read through at each start, which takes less than a second; `backbeat doctor` reads any."""
_SIDE_FILES = ("", "-wal", "-shm", "-journal")
_MAGIC = b"SQLite format 3\0"
_DAMAGE = ("malformed", "not a database", "disk image", "corrupt")


def sqlite_path(url: str) -> str:
    """The path in the address of a SQLite file; "" where there is none."""
    return url.partition(":///")[2].partition("?")[0]


def prepare_file(path: str, mounts: str | None = None) -> None:
    """Make the directory and the file if they are missing. Raises StoreRefused for a file that must not be used.

    `mounts` is the text of /proc/mounts; None reads that of this system. Raises StoreDown where the file cannot be made or
    read now: a full disk and a missing mount may heal.
    """
    if path in {"", ":memory:"}:
        raise StoreRefused(
            "--store sqlite:// needs a file: sqlite:///backbeat.db or sqlite:////var/lib/backbeat/backbeat.db"
        )
    file = Path(path)
    if (kind := network_type(file.resolve(), _mounts() if mounts is None else mounts)) is not None:
        raise StoreRefused(
            f"{file} is on a network file system ({kind}), where SQLite's locks do not hold and two beats could both lead."
            " Put it on a local disk, or share a server: --store postgresql://... or mysql://..."
        )
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600))
        size = file.stat().st_size
    except OSError as cause:
        raise StoreDown(f"the store's file cannot be opened: {file}: {cause.strerror}") from cause
    if size and (fault := damage(file, thorough=size <= CHECKED_BYTES)) is not None:
        raise StoreRefused(
            f"the store {file} is damaged: {fault}. Nothing was changed. Restore the file from a backup, or start once with"
            " `backbeat beat --accept-state-loss`: it is moved aside, and a new store begins with every schedule as of now"
        )


def damage(file: Path, *, thorough: bool = True) -> str | None:
    """What is wrong with a database file, in SQLite's words; None when it is whole, or cannot be looked at now.

    Not thorough: only the first pages are read. A changed byte inside a text cannot be noticed by anybody.
    """
    try:
        with file.open("rb") as opened:
            if opened.read(len(_MAGIC)) not in {
                _MAGIC,
                b"",
            }:  # SQLite takes a file of zeros for a new database
                return "file is not a database"
    except OSError:
        return None
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)) as conn:
            statement = "PRAGMA quick_check(1)" if thorough else "SELECT count(*) FROM sqlite_master"
            answer = conn.execute(statement).fetchone()
    except sqlite3.DatabaseError as fault:
        return str(fault) if any(word in str(fault) for word in _DAMAGE) else None
    found = str(answer[0])
    return None if not thorough or found == "ok" else found.splitlines()[-1]


def set_aside(file: Path, stamp: str) -> Path | None:
    """Move a damaged file, with the files beside it, to `NAME.damaged-STAMP`; the new path. None: it is whole, or not there."""
    if not file.exists() or damage(file) is None:
        return None
    aside = file.with_name(f"{file.name}.damaged-{stamp}")
    for suffix in _SIDE_FILES:
        old = file.with_name(file.name + suffix)
        if old.exists():
            old.rename(aside.with_name(aside.name + suffix))
    return aside


def network_type(path: Path, mounts: str) -> str | None:
    """The type of the network file system that holds `path`, by the text of /proc/mounts; None for a local one."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:  # noqa: PLR2004 - device, directory, type
            continue
        directory = fields[1].replace("\\040", " ")
        # later lines cover earlier ones of the same directory
        if path.is_relative_to(directory) and len(directory) >= len(best):
            best, kind = directory, fields[2]
    return kind if kind in NETWORK_TYPES else None


def _mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux: nothing is known
        return ""
