"""What `backbeat doctor` finds about the store: is it there, whole, up to date, writable, on time, and does somebody lead?"""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...canvas.url_text import without_password
from .finding import Finding, fail, ok, warn

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from ..store.base import Lease

SKEW_WARNING_SECONDS = 1.0
SKEW_LIMIT_SECONDS = 5.0
LONGEST_LOOK_SECONDS = 5.0
"""At the lease: a leader renews it every fifth of its TTL."""
LOOK_SECONDS = 0.2


def store_findings(url: str) -> Iterator[Finding]:
    """All about the store at `url`."""
    from ..store.base import StoreDown, StoreRefused
    from ..store.engine import open_engine
    from ..store.sqlite_file import sqlite_path

    shown = without_password(url)
    if url.startswith("memory:"):
        yield warn("store", "memory: everything is forgotten when the beat ends; name one with --store")
        return
    file = sqlite_path(url)
    if file and not Path(file).exists():
        yield warn("store", f"{file} is not there yet: the first beat makes it")
        return
    if file:
        yield from _file(Path(file))
    try:
        engine = open_engine(url)
    except (StoreRefused, StoreDown) as problem:
        yield fail("store", str(problem))
        return
    try:
        yield from _database(engine, shown)
    finally:
        engine.dispose()


def _file(file: Path) -> Iterator[Finding]:
    from ..store.sqlite_file import damage

    if (fault := damage(file)) is not None:
        yield fail(
            "store file",
            f"{file} is damaged: {fault}. Restore it, or start once with `backbeat beat --accept-state-loss`",
        )
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        yield warn(
            "store file", f"{file} has mode {mode:04o}: others can read or change it: chmod 600 {file}"
        )
    else:
        yield ok("store file", f"mode {mode:04o}, {file.stat().st_size / 2**20:.1f} MB")


def _database(engine: Engine, shown: str) -> Iterator[Finding]:
    from sqlalchemy import MetaData
    from sqlalchemy.exc import SQLAlchemyError

    from ..store.schema import schema_version
    from ..store.tables import SCHEMA_VERSION, Tables

    try:
        with engine.connect() as conn:
            version = schema_version(conn, Tables.on(MetaData()))
            yield ok("store", f"{shown} answers")
            if version is None:
                yield warn("schema", "there are no tables yet: the first beat makes them")
                return
            if version != SCHEMA_VERSION:
                todo = "run `backbeat db upgrade`" if version < SCHEMA_VERSION else "use a newer backbeat"
                yield fail("schema", f"version {version}, this backbeat needs {SCHEMA_VERSION}: {todo}")
                return
            yield ok("schema", f"version {version}")
            conn.rollback()
            yield _write(conn)
            yield _clock(conn)
            conn.rollback()
            yield _lease(engine)
    except SQLAlchemyError as cause:
        yield fail("store", f"{shown} does not answer: {_first_line(cause)}")


def _write(conn: Connection) -> Finding:
    """Whether a row can be written; the transaction is rolled back."""
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        if conn.dialect.name == "sqlite":
            conn.exec_driver_sql("BEGIN IMMEDIATE")
        conn.execute(text("UPDATE bb_meta SET number = number WHERE name = 'store_id'"))
    except SQLAlchemyError as cause:
        conn.rollback()
        return fail(
            "store writes",
            f"refused: {_first_line(cause)}. Nothing can be decided: free the disk, or check the rights",
        )
    conn.rollback()
    return ok("store writes", "accepted")


def _clock(conn: Connection) -> Finding:
    from ..clock_guard import EARLIEST_US
    from ..store.timekeeping import database_us

    before = time.time_ns()
    found = database_us(conn)
    now_us = (before + time.time_ns()) // 2000
    if found is None:
        if now_us < EARLIEST_US:
            return fail("clock", "this machine's clock was never set: no beat will lead. Set it by NTP")
        return ok("clock", "the store has this machine's")
    skew = (now_us - found) / 1e6
    text = f"{skew:+.2f} s beside the store's"
    if abs(skew) > SKEW_LIMIT_SECONDS:
        return fail("clock", f"{text}: a beat of this machine may not lead. Set both by NTP")
    if abs(skew) > SKEW_WARNING_SECONDS:
        return warn("clock", f"{text}: set both by NTP")
    return ok("clock", text)


def _lease(engine: Engine) -> Finding:
    """Look until the leader renews its lease."""
    from ...canvas.holder import Holder
    from ..store.store_reader import StoreReader

    reader = StoreReader(engine)
    first = lease = reader.lease()
    if not first.holder:
        return warn("lease", f"no beat leads (epoch {first.epoch}): start one")
    begun = time.monotonic()
    limit = min(LONGEST_LOOK_SECONDS, max(1.0, first.ttl_ms / 1000))
    while not _differs(lease, first) and time.monotonic() - begun < limit:
        time.sleep(LOOK_SECONDS)
        lease = reader.lease()
    holder = Holder.parse(lease.holder)
    who = f"{holder.host}, pid {holder.pid}, epoch {lease.epoch}" if holder else f"epoch {lease.epoch}"
    if _differs(lease, first):
        return ok("lease", f"held by {who}, renewed just now")
    return warn(
        "lease",
        f"held by {who}, and not renewed for {limit:.0f} s: it is taken over after {lease.ttl_ms / 1000:g} s",
    )


def _differs(lease: Lease, first: Lease) -> bool:
    return (lease.epoch, lease.renewal) != (first.epoch, first.renewal)


def _first_line(cause: Exception) -> str:
    text = str(getattr(cause, "orig", None) or cause).strip()
    return text.splitlines()[0] if text else type(cause).__name__
