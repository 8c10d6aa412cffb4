"""`backbeat db`: the tables of the store: which version they have, upgrading them, and removing what is old."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...canvas.cli import Options, banner
from ...canvas.url_text import without_password

if TYPE_CHECKING:
    from sqlalchemy import Engine


@click.group()
def db() -> None:
    """The store's tables: version, upgrade, pruning."""


@db.command()
@click.pass_obj
def current(options: Options) -> None:
    """Show the version of the store's tables, and the one that this backbeat needs. Changes nothing."""
    from ..store.tables import SCHEMA_VERSION

    with _engine(options) as (url, engine):
        version = _version(engine, url)
    data = {"store": without_password(url), "version": version, "needed": SCHEMA_VERSION}
    options.show(data, banner("backbeat db", {name: str(value) for name, value in data.items()}))
    if version < SCHEMA_VERSION:
        click.echo("run `backbeat db upgrade`", err=True)


@db.command()
@click.pass_obj
def upgrade(options: Options) -> None:
    """Bring the store's tables up to date. Beats of the older version may go on meanwhile; to do it twice does no harm."""
    from ..store.base import StoreRefused
    from ..store.migration import upgrade as bring_up_to_date
    from ..store.tables import SCHEMA_VERSION

    with _engine(options) as (url, engine):
        if (version := _version(engine, url)) > SCHEMA_VERSION:
            raise StoreRefused(
                f"the store has schema version {version}, this backbeat knows {SCHEMA_VERSION}: use a newer backbeat"
            )
        with _store_down():
            done = bring_up_to_date(engine)
    text = f"upgraded from version {version} to {done[-1]}" if done else f"version {version}: nothing to do"
    options.show({"store": without_password(url), "from": version, "steps": done}, text)


@db.command()
@click.option(
    "--older-than", default="90d", show_default=True, help="How long finished firings are kept: 90d, 12h."
)
@click.option("--dry-run", is_flag=True, help="Count only; remove nothing.")
@click.pass_obj
def prune(options: Options, older_than: str, dry_run: bool) -> None:
    """Remove finished firings, batches and skips that are old, a slice at a time, beside a running beat.

    What is open stays, and what lies after the cursor of its entry.
    """
    from datetime import timedelta

    from sqlalchemy import MetaData

    from ..duration import parse_duration
    from ..store.prune import Pruned, Pruning
    from ..store.tables import Tables

    age = parse_duration(older_than)
    before_us = time.time_ns() // 1000 - age // timedelta(microseconds=1)
    with _engine(options) as (url, engine):
        _version(engine, url)
        pruning = Pruning(engine, Tables.on(MetaData()), before_us)
        total = pruning.count() if dry_run else sum(pruning.run(), start=Pruned())
    verb = "would remove" if dry_run else "removed"
    options.show(
        {"firings": total.firings, "batches": total.batches, "skips": total.skips, "dry_run": dry_run},
        f"{verb} {total.firings} firings, {total.batches} batches, {total.skips} skips older than {older_than}",
    )


@contextmanager
def _engine(options: Options) -> Iterator[tuple[str, Engine]]:
    """The store's address and an engine for it; a SQLite file is never made here."""
    from ..store.base import StoreRefused
    from ..store.engine import PATIENT_SECONDS, open_engine
    from ..store.sqlite_file import sqlite_path
    from ..wiring import store_url

    url = options.store or os.environ.get("BACKBEAT_STORE")
    if options.app or options.broker or not url:
        url = store_url(options.load_app(), options.store)
    if url.startswith("memory:"):
        raise StoreRefused("a memory store has no tables: name another one with --store")
    file = sqlite_path(url)
    if file and not Path(file).exists():
        raise StoreRefused(f"there is no store at {file} yet: no beat has run with it. Name it with --store")
    engine = open_engine(url, answer_seconds=PATIENT_SECONDS)
    try:
        yield url, engine
    finally:
        engine.dispose()


def _version(engine: Engine, url: str) -> int:
    from sqlalchemy import MetaData

    from ..store.base import StoreRefused
    from ..store.schema import schema_version
    from ..store.tables import Tables

    with _store_down(), engine.connect() as conn:
        version = schema_version(conn, Tables.on(MetaData()))
    if version is None:
        raise StoreRefused(f"{without_password(url)} holds no store yet: the first beat makes it")
    return version


@contextmanager
def _store_down() -> Iterator[None]:
    from sqlalchemy.exc import SQLAlchemyError

    from ..store.base import StoreDown

    try:
        yield
    except SQLAlchemyError as cause:
        reason = str(getattr(cause, "orig", None) or cause).strip().splitlines() or [type(cause).__name__]
        raise StoreDown(f"the store does not answer: {reason[0]}") from cause
