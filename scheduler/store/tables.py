"""Tables of the scheduler's store: portable SQL, all times in microseconds UTC as BIGINT, every name begins with `bb_`.

The key order is measured (feasibility 3): the ledger's primary key begins with the fire time, so that rows append at its
end; the state of a batch is one row of bb_batch, and a firing carries a state of its own only as an exception. What an entry
is at a revision stands once, in bb_revision: a firing names (entry, rev) in place of a copy of its payload.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, SmallInteger, String, Table

from . import history_tables
from .column import Text

SCHEMA_VERSION = 5
NAME = 120
"""Characters in the name of an entry (decisions C3)."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one MetaData."""

    meta: Table
    lease: Table
    entry: Table
    revision: Table
    batch: Table
    firing: Table
    skip: Table
    backfill: Table
    audit: Table
    webhook: Table
    task_run: Table
    gap: Table

    @classmethod
    def on(cls, metadata: MetaData) -> Tables:
        """Define the tables on `metadata`; once per MetaData."""
        return cls(
            meta=_meta(metadata),
            lease=_lease(metadata),
            entry=_entry(metadata),
            revision=_revision(metadata),
            batch=_batch(metadata),
            firing=_firing(metadata),
            skip=_skip(metadata),
            backfill=_backfill(metadata),
            audit=_audit(metadata),
            webhook=_webhook(metadata),
            task_run=history_tables.task_run(metadata),
            gap=history_tables.gap(metadata),
        )

    def all(self) -> list[Table]:
        """All of them, for create_all."""
        return [
            self.meta,
            self.lease,
            self.entry,
            self.revision,
            self.batch,
            self.firing,
            self.skip,
            self.backfill,
            self.audit,
            self.webhook,
            self.task_run,
            self.gap,
        ]


def _meta(metadata: MetaData) -> Table:
    """schema_version, revision (raised by each change of entries), store_id (drawn when the store was made)."""
    return Table(
        "bb_meta",
        metadata,
        Column("name", String(40), primary_key=True),
        Column("number", BigInteger, nullable=False),
        Column("text", Text, nullable=False),
    )


def _lease(metadata: MetaData) -> Table:
    return Table(
        "bb_lease",
        metadata,
        Column("name", String(40), primary_key=True),
        Column("holder", String(300), nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("renewal", BigInteger, nullable=False),
        Column("ttl_ms", BigInteger, nullable=False),
        Column("info", Text, nullable=False),
    )


def _entry(metadata: MetaData) -> Table:
    """One small row per entry: each firing rewrites it. `changed` is the store's revision of its last edit.

    `runs` counts its regular firings (decisions B8); `latest_id` and `latest_us` are its newest run and when that was decided,
    kept where overlap matters. `override` is what an operator laid over the owner's definition, and `defined` that definition;
    both are empty where there is no override.
    """
    return Table(
        "bb_entry",
        metadata,
        Column("name", String(NAME), primary_key=True),
        Column("rev", Integer, nullable=False),
        Column("cursor_us", BigInteger, nullable=False),
        Column("next_us", BigInteger),
        Column("removed", SmallInteger, nullable=False),
        Column("changed", BigInteger, nullable=False),
        Column("owner", String(8), nullable=False),
        Column("source", Text, nullable=False),
        Column("runs", BigInteger, nullable=False, server_default="0"),
        Column("latest_id", String(36), nullable=False, server_default=""),
        Column("latest_us", BigInteger, nullable=False, server_default="0"),
        Column("defined", Text),
        Column("override", Text),
        Index("bb_entry_changed", "changed"),
        sqlite_with_rowid=False,
    )


def _revision(metadata: MetaData) -> Table:
    """What an entry was at each of its revisions: append only, for the payloads of firings and for the history."""
    return Table(
        "bb_revision",
        metadata,
        Column("entry", String(NAME), primary_key=True),
        Column("rev", Integer, primary_key=True, autoincrement=False),
        Column("decided_us", BigInteger, nullable=False),
        Column("spec", Text, nullable=False),
    )


def _batch(metadata: MetaData) -> Table:
    """One decision. `from_us` to `to_us` bound its fire times: that finds its firings without an index on batch_id."""
    table = Table(
        "bb_batch",
        metadata,
        Column("batch_id", BigInteger, primary_key=True, autoincrement=False),
        Column("epoch", BigInteger, nullable=False),
        Column("state", SmallInteger, nullable=False),
        Column("size", Integer, nullable=False),
        Column("from_us", BigInteger, nullable=False),
        Column("to_us", BigInteger, nullable=False),
        Column("decided_us", BigInteger, nullable=False),
        Column("sent_us", BigInteger),
    )
    is_open = table.c.state == 1
    partial = Index("bb_batch_open", table.c.from_us, sqlite_where=is_open, postgresql_where=is_open)
    partial.ddl_if(callable_=lambda *_, dialect, **__: dialect.name != "mysql")
    Index("bb_batch_state", table.c.state, table.c.from_us).ddl_if(dialect="mysql")  # it has no partial ones
    return table


def _firing(metadata: MetaData) -> Table:
    """The ledger. `state` NULL means: the state of the batch. No foreign key: it would be looked up for every row.

    `cancels` is the run to revoke before this one is sent (overlap: cancel); `error` says why a row was skipped or failed. `sent_us`
    is when a row with a state of its own was marked as sent; the others were with their batch.
    """
    return Table(
        "bb_firing",
        metadata,
        Column("due_us", BigInteger, primary_key=True, autoincrement=False),
        Column("entry", String(NAME), primary_key=True),
        Column("kind", String(8), primary_key=True),
        Column("key", String(64), primary_key=True),
        Column("task_id", String(36), nullable=False),
        Column("rev", Integer, nullable=False),
        Column("batch_id", BigInteger, nullable=False),
        Column("state", SmallInteger),
        Column("cancels", String(36)),
        Column("error", Text),
        Column("sent_us", BigInteger),
        sqlite_with_rowid=False,
    )


def _skip(metadata: MetaData) -> Table:
    """Ranges that were not sent, and why; both ends are fire times. `count` NULL means: not counted (see plan.py)."""
    return Table(
        "bb_skip",
        metadata,
        Column("from_us", BigInteger, primary_key=True, autoincrement=False),
        Column("entry", String(NAME), primary_key=True),
        Column("to_us", BigInteger, nullable=False),
        Column("count", BigInteger),
        Column("reason", String(20), nullable=False),
        Column("detail", Text),
        Column("rev", Integer, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("decided_us", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _backfill(metadata: MetaData) -> Table:
    """Ranges of the past that somebody wants sent again. `cursor_us` is the instant up to which that is decided.

    `state`: 1 running, 2 done, 3 cancelled; 4 is no backfill but a single run that somebody asked for, kept so that the same
    request is known again (backfill.py). `rate` is firings a second, NULL as fast as possible.
    """
    return Table(
        "bb_backfill",
        metadata,
        Column("id", String(36), primary_key=True),
        Column("entry", String(NAME), nullable=False),
        Column("from_us", BigInteger, nullable=False),
        Column("to_us", BigInteger, nullable=False),
        Column("cursor_us", BigInteger, nullable=False),
        Column("rate", Float),
        Column("state", SmallInteger, nullable=False),
        Column("decided", BigInteger, nullable=False),
        Column("actor", String(200), nullable=False),
        Column("reason", Text, nullable=False),
        Column("at_us", BigInteger, nullable=False),
        Index("bb_backfill_state", "state"),
    )


def _audit(metadata: MetaData) -> Table:
    """Who did what to which entry, and when: append only."""
    return Table(
        "bb_audit",
        metadata,
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("at_us", BigInteger, nullable=False),
        Column("actor", String(200), nullable=False),
        Column("action", String(40), nullable=False),
        Column("target", String(NAME), nullable=False),
        Column("detail", Text, nullable=False),
        Index("bb_audit_target", "target", "seq"),
    )


def _webhook(metadata: MetaData) -> Table:
    """What somebody outside is to be told, or was (notice.py, deliveries.py). `next_us`: not tried before this instant."""
    return Table(
        "bb_webhook",
        metadata,
        Column("id", String(36), primary_key=True),
        Column("event", String(20), nullable=False),
        Column("entry", String(NAME), nullable=False),
        Column("url", Text, nullable=False),
        Column("body", Text, nullable=False),
        Column("at_us", BigInteger, nullable=False),
        Column("state", SmallInteger, nullable=False),
        Column("tries", Integer, nullable=False),
        Column("next_us", BigInteger, nullable=False),
        Column("error", Text, nullable=False),
        Index("bb_webhook_state", "state", "next_us"),
    )
