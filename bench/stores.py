"""Stores: SQLite files as a beat would have left them, filled without one: with old firings, or with many entries.

What is the same each time is made once and kept in var/bench; benchmarks copy it. Entries belong to owner `app`, so that a beat that is
given neither files nor a project leaves them alone.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from backbeat.scheduler import Entry, Interval
from backbeat.scheduler.edit import spec_text
from backbeat.scheduler.entry import Owner
from backbeat.scheduler.firing import FiringKind, FiringState, derive_task_id
from backbeat.scheduler.schedule import Crontab
from backbeat.scheduler.store.wiring import open_store

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = "bench"
BATCH = 500
FIRST_US = 1_700_000_000_000_000
DAY_US = 86_400_000_000
ENTRIES = 10_000


def entries(count: int, kind: str = "interval", due_us: int = 0) -> Iterator[Entry]:
    """So many entries of one task, each with an argument of its own. Intervals of a day, due at `due_us`; or daily crontabs."""
    every = timedelta(days=1)
    for number in range(count):
        when = (
            Interval(every=every, anchor_us=due_us)
            if kind == "interval"
            else Crontab(expression=f"{number % 60} {number // 60 % 24} * * *")
        )
        yield Entry(name=f"e{number}", when=when, what=signature(number))


def signature(number: int) -> dict[str, object]:
    """What an entry sends."""
    shape = {"kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
    return {"task": "bench.noop", "args": [number], **shape}


def add_entries(path: Path, known: Iterable[Entry], cursor_us: int) -> None:
    """Put entries into a store; what is due after `cursor_us` is theirs to send."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous=OFF")
        one = "INSERT INTO bb_entry (name, rev, cursor_us, next_us, removed, changed, owner, source) VALUES (?, 1, ?, ?, 0, 1, ?, '')"
        two = "INSERT INTO bb_revision (entry, rev, decided_us, spec) VALUES (?, 1, ?, ?)"
        for entry in known:
            spec = spec_text(entry)
            db.execute(one, (entry.name, cursor_us, entry.next_after(cursor_us), Owner.APP.value))
            db.execute(two, (entry.name, cursor_us, spec))
        db.commit()


def old_ledger(rows: int) -> Path:
    """A store with `rows` firings that were sent."""
    return _kept(f"ledger-{rows}", lambda path: _add_firings(path, rows))


def many_entries(count: int, kind: str, now_us: int) -> Path:
    """A store with entries of which none is due for half a day; made anew when it is older than some hours."""
    path = _kept(
        f"entries-{kind}-{count}", lambda path: add_entries(path, entries(count, kind, _far(now_us)), now_us)
    )
    with closing(sqlite3.connect(path)) as db:
        (next_us,) = db.execute("SELECT min(next_us) FROM bb_entry").fetchone()
    if kind == "interval" and next_us < now_us + DAY_US // 4:
        path.unlink()
        return many_entries(count, kind, now_us)
    return path


def copied(kept: Path, home: str) -> Path:
    """A copy to work with."""
    return Path(shutil.copy(kept, Path(home, "backbeat.db")))


def new_store(path: Path) -> Path:
    """An empty store."""
    close = getattr(open_store(f"sqlite:///{path}", cluster=CLUSTER), "close", None)
    if close is not None:
        close()
    return path


def _far(now_us: int) -> int:
    """Half a day from now, on the hour: of each day, so that no time of day is nearer."""
    hour_us = DAY_US // 24
    return (now_us // hour_us + 12) * hour_us


def _kept(name: str, fill: Callable[[Path], None]) -> Path:
    """The store of this name for the present schema."""
    home = ROOT / "var" / "bench"
    home.mkdir(parents=True, exist_ok=True)
    fresh = new_store(home / f"new-{os.getpid()}.db")
    with closing(sqlite3.connect(fresh)) as db:
        schema = sorted(sql for (sql,) in db.execute("SELECT sql FROM sqlite_master") if sql)
    path = home / f"{name}-{sha256(repr(schema).encode()).hexdigest()[:12]}.db"
    if not path.exists():
        for old in home.glob(f"{name}-*.db"):
            old.unlink()
        fill(fresh)
        with closing(sqlite3.connect(fresh)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        fresh.rename(path)
    for left in home.glob(f"new-{os.getpid()}.db*"):
        left.unlink()
    return path


def _add_firings(path: Path, rows: int) -> None:
    firing = "INSERT INTO bb_firing (due_us, entry, kind, key, task_id, rev, batch_id) VALUES (?, ?, ?, ?, ?, 1, ?)"
    batch = (
        "INSERT INTO bb_batch (batch_id, epoch, state, size, from_us, to_us, decided_us, sent_us) "
        "VALUES (?, 1, ?, ?, ?, ?, ?, ?)"
    )
    sent = FiringState.SENT.value
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.executemany(firing, _firings(rows))
        times = ((number, FIRST_US + number * 1_000_000) for number in range(rows // BATCH))
        db.executemany(batch, ((number, sent, BATCH, us, us, us, us + 50_000) for number, us in times))
        db.commit()


def _firings(rows: int) -> Iterator[tuple[int, str, str, str, str, int]]:
    kind = FiringKind.REGULAR
    for number in range(rows):
        due_us, entry = FIRST_US + number // BATCH * 1_000_000, f"e{number % ENTRIES}"
        id_ = derive_task_id(CLUSTER, entry, kind, str(due_us), due_us)
        yield due_us, entry, kind.value, str(due_us), id_, number // BATCH
