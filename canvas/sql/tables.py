"""Tables of the broker, the results and the canvas. Times are microseconds UTC as integers, so no time zone of a database enters.

A message is there for whoever asks once `visible_us` has come: it is the due time of a timer, the end of a lease of a held message,
and 0 after a hand-back. So a dead worker's messages come back without anybody doing anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    Table,
    false,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.schema import CreateColumn

from ..errors import ImproperlyConfigured
from .types import Key
from .types import LongText as Text

TRIES = 5
_FORBIDDEN = "42501"
"""PostgreSQL's insufficient_privilege."""

Row = dict[str, Any]
"""A row that is to be written, by its columns."""

metadata = MetaData()
_Id = Key(255)
IS_HELD = text("holder > ''")
"""Of a message. It is the text of the index, as databases do not look into parameters for it; no <>, for which MySQL uses none."""
_Sequence = BigInteger().with_variant(Integer, "sqlite")


message_table = Table(
    "bb_message",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
    Column("queue", _Id, nullable=False),
    Column("visible_us", BigInteger, nullable=False),
    Column("holder", Text, nullable=False, default=""),
    Column("body", Text, nullable=False),
    Column("task_id", _Id),
    # all of the order in which messages are taken, so that a backlog is never sorted
    Index("bb_message_ready", "queue", "visible_us", "seq"),
    # few are held; MySQL has no index of some rows, and none of a whole text
    Index(
        "bb_message_holder",
        "holder",
        sqlite_where=IS_HELD,
        postgresql_where=IS_HELD,
        mysql_length={"holder": 255},
    ),
    Index("bb_message_task", "task_id"),
)
run_table = Table(
    "bb_run",
    metadata,
    Column("task_id", _Id, primary_key=True),
    Column("generation", Integer, nullable=False, default=0),
    Column("attempt", Integer, nullable=False, default=0),
    Column("outcome", Text),
    Column("worker", Text, nullable=False, default=""),
    Column("lease_us", BigInteger, nullable=False, default=0),
    Column("lost", Integer, nullable=False, default=0),
    Column("early", Boolean, nullable=False, default=False, server_default=false()),
    Column("started_us", BigInteger, nullable=False, default=0, server_default="0"),
    Column("expires_us", BigInteger),
    Index("bb_run_expires", "expires_us"),
)
result_table = Table(
    "bb_result",
    metadata,
    Column("task_id", _Id, primary_key=True),
    Column("document", Text, nullable=False),
    Column("expires_us", BigInteger),
    Index("bb_result_expires", "expires_us"),
)
group_table = Table(
    "bb_group",
    metadata,
    Column("group_id", _Id, primary_key=True),
    Column("document", Text, nullable=False),
    Column("expires_us", BigInteger),
    Index("bb_group_expires", "expires_us"),
)
chain_table = Table(
    "bb_chain",
    metadata,
    Column("chain_id", _Id, primary_key=True),
    Column("record", Text, nullable=False),
    Column("expires_us", BigInteger),
    Index("bb_chain_expires", "expires_us"),
)
join_table = Table(
    "bb_join",
    metadata,
    Column("join_id", _Id, primary_key=True),
    Column("record", Text, nullable=False),
    Column("size", Integer),
    Column("deadline_us", BigInteger),
    Column("closed", Boolean, nullable=False, default=False),
    Column("generation", Integer, nullable=False, default=0, server_default="0"),
    Column("expires_us", BigInteger),
    Index("bb_join_expires", "expires_us"),
    Index("bb_join_deadline", "deadline_us"),
)
part_table = Table(
    "bb_part",
    metadata,
    Column("join_id", _Id, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("outcome", Text, nullable=False),
)
plan_table = Table(
    "bb_plan",
    metadata,
    Column("canvas_id", _Id, primary_key=True),
    Column("root_id", _Id, nullable=False),
    Column("record", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Index("bb_plan_root", "root_id"),
    Index("bb_plan_expires", "expires_us"),
)
revoked_table = Table(
    "bb_revoked",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("signum", Integer),
    Index("bb_revoked_at", "at_us"),
)
unique_table = Table(
    "bb_unique",
    metadata,
    Column("unique_key", _Id, primary_key=True),
    Column("task_id", _Id, nullable=False),
    Column("scope", _Id, nullable=False),
    Column("until_us", BigInteger),
    Column("look_us", BigInteger, nullable=False),
    Index("bb_unique_look", "look_us"),
)
limit_table = Table(
    "bb_limit",
    metadata,
    Column("limit_key", _Id, primary_key=True),
    Column("state", Text, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Index("bb_limit_expires", "expires_us"),
)
limit_line_table = Table(
    "bb_limit_line",
    metadata,
    Column("limit_key", _Id, primary_key=True),
    Column("task_id", _Id, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Index("bb_limit_line_order", "limit_key", "at_us"),
    Index("bb_limit_line_at", "at_us"),
)
dead_table = Table(
    "bb_dead",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
    Column("at_us", BigInteger, nullable=False),
    Column("task_id", _Id),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("queue", _Id, nullable=False, default="", server_default=""),
)


_complete_ones: WeakSet[Engine] = WeakSet()
"""Whose tables are known to be there: to ask the database takes longer than anything else that a client does when it begins."""


def ensure_tables(engine: Engine) -> None:
    """As `create_tables`, once for each engine."""
    if engine not in _complete_ones:
        create_tables(engine)
        _complete_ones.add(engine)


def create_tables(engine: Engine) -> None:
    """Make what is missing, also columns and indexes that an earlier version did not know. Raises as `made`."""
    made(engine, lambda: _complete(engine))


def made(engine: Engine, make: Callable[[], None]) -> None:
    """Do what makes tables where they are not there.

    Of two programs that do so at once one meets a table that is there, and looks again. Raises ImproperlyConfigured if PostgreSQL does
    not permit it.
    """
    for _ in range(TRIES - 1):
        try:
            make()
        except DBAPIError as error:
            _raise_if_forbidden(engine, error)
            if not _another_was_first(error):
                raise
            continue
        return
    make()


def _raise_if_forbidden(engine: Engine, error: DBAPIError) -> None:
    if getattr(error.orig, "sqlstate", None) != _FORBIDDEN:
        return
    first, *_ = str(error.orig).splitlines()
    raise ImproperlyConfigured(
        f"tables cannot be made or completed in {engine.url.render_as_string()}: {first}. Grant the role CREATE on its schema, or start a"
        " program of this version once as the owner of the tables."
    ) from error


def _another_was_first(error: DBAPIError) -> bool:
    """PostgreSQL: the name is taken by somebody who has not committed yet; any database: it is there by now."""
    text = str(error.orig).lower()
    return (
        isinstance(error, IntegrityError | ProgrammingError) or "duplicate column" in text or "exists" in text
    )


def _complete(engine: Engine) -> None:
    found = inspect(engine)
    columns = found.get_multi_columns(filter_names=[table.name for table in metadata.sorted_tables])
    there = {name: {column["name"] for column in each} for (_, name), each in columns.items()}
    if not there.keys() >= metadata.tables.keys():
        metadata.create_all(engine)
    for table in metadata.sorted_tables:
        known = there.get(table.name) or {column.name for column in table.columns}
        for column in table.columns:
            if column.name not in known:
                with engine.begin() as connection:
                    definition = CreateColumn(column).compile(dialect=engine.dialect)
                    connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")
    for index in _missing_indexes(engine):
        index.create(engine, checkfirst=True)


def _missing_indexes(engine: Engine) -> list[Index]:
    """Those that an earlier version did not know; and MySQL makes a table and its indexes in several steps: who makes them may die in
    between, or another one looks there."""
    tables = metadata.sorted_tables
    found = inspect(engine).get_multi_indexes(filter_names=[table.name for table in tables])
    there = {index["name"] for each in found.values() for index in each}
    return [index for table in tables for index in table.indexes if index.name not in there]


audience_table = Table(
    "bb_audience",
    metadata,
    Column("broadcast", _Id, primary_key=True),
    Column("queue", _Id, primary_key=True),
    Column("until_us", BigInteger, nullable=False),
)
announced_table = Table(
    "bb_announced",
    metadata,
    Column("name", _Id, primary_key=True),
    Column("value", Text, nullable=False),
    Column("until_us", BigInteger, nullable=False),
)

notice_table = Table(
    "bb_notice",
    metadata,
    Column("seq", _Sequence, primary_key=True, autoincrement=True),
    Column("place", _Id, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("bb_notice_place", "place", "seq"),
    Index("bb_notice_until", "until_us"),
)
"""What is told to all who look (see notices.py)."""

for _table in metadata.tables.values():
    _table.dialect_options["mysql"]["engine"] = "InnoDB"


def announced_value(connection: Connection, name: str) -> str | None:
    """What was last announced under `name` in the tables that this connection sees; None where there are none."""
    if not inspect(connection).has_table(announced_table.name):
        return None
    found: str | None = connection.execute(
        select(announced_table.c.value).where(announced_table.c.name == name)
    ).scalar()
    return found
