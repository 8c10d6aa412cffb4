"""CeleryTables: the two tables of Celery's database backend as they are in a database, and how they are made where they are not.

Their columns are Celery's. Which of them there are depends on the Celery that made the table: `children` and `stamps` came with 5.7, and what
`result_extended` adds is missing where it was off. What is there is used, and nothing is added to it.
"""

from __future__ import annotations

from functools import cache
from weakref import WeakKeyDictionary

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    String,
    Table,
    Text,
    inspect,
)
from sqlalchemy.dialects.mysql import BLOB, LONGBLOB, LONGTEXT

from ..celery_place import CeleryPlace
from .dialect import family_of
from .tables import made

LONGEST_NAME = 155
"""Characters of an id, of a task's name, of a worker's and of a queue's."""
LONGEST_STATE = 50
LONGEST_BLOB = 65_535
"""Bytes in a BLOB of MySQL's, which is what Celery makes there; what we make holds 4 GB."""

_Bytes = LargeBinary().with_variant(LONGBLOB, "mysql", "mariadb")
_Text = Text().with_variant(LONGTEXT, "mysql", "mariadb")
_Id = Integer().with_variant(BigInteger, "mssql")


class CeleryTables(Struct, frozen=True):
    """The tables, the columns of `task` that are there, whether its results are pickles, and how many bytes of one it holds."""

    task: Table
    group: Table
    columns: frozenset[str]
    pickled: bool
    largest: int | None


_known: WeakKeyDictionary[Engine, dict[CeleryPlace, CeleryTables]] = WeakKeyDictionary()


def ensure_celery_tables(engine: Engine, place: CeleryPlace) -> None:
    """Make the tables, if they are not there."""
    if place not in _known.get(engine, {}):
        made(engine, lambda: _tables(place)[0].metadata.create_all(engine))
        with engine.connect() as connection:
            celery_tables(connection, place)


def celery_tables(connection: Connection, place: CeleryPlace) -> CeleryTables:
    """The tables as this connection sees them; they are there. Each engine is asked once."""
    known = _known.setdefault(connection.engine, {})
    if place not in known:
        known[place] = _found(connection, place)
    return known[place]


def _found(connection: Connection, place: CeleryPlace) -> CeleryTables:
    task, group = _tables(place)
    columns = {
        column["name"]: column["type"]
        for column in inspect(connection).get_columns(task.name, schema=task.schema)
    }
    is_short = family_of(connection) == "mysql" and type(columns.get("result")) is BLOB
    return CeleryTables(
        task,
        group,
        frozenset(columns) & frozenset(task.columns.keys()),
        pickled="children" not in columns if place.pickled is None else place.pickled,
        largest=LONGEST_BLOB if is_short else None,
    )


@cache
def _tables(place: CeleryPlace) -> tuple[Table, Table]:
    metadata = MetaData()
    task = Table(
        place.task,
        metadata,
        Column(
            "id",
            _Id,
            Sequence("task_id_sequence", schema=place.task_schema),
            primary_key=True,
            autoincrement=True,
        ),
        Column("task_id", String(LONGEST_NAME), unique=True),
        Column("status", String(LONGEST_STATE)),
        Column("result", _Bytes),
        Column("date_done", DateTime, index=True),
        Column("traceback", _Text),
        Column("children", _Bytes),
        Column("name", String(LONGEST_NAME)),
        Column("args", _Bytes),
        Column("kwargs", _Bytes),
        Column("worker", String(LONGEST_NAME)),
        Column("retries", Integer),
        Column("queue", String(LONGEST_NAME)),
        Column("stamps", _Bytes),
        schema=place.task_schema,
        sqlite_autoincrement=True,
        mysql_engine="InnoDB",
    )
    group = Table(
        place.group,
        metadata,
        Column(
            "id",
            _Id,
            Sequence("taskset_id_sequence", schema=place.group_schema),
            primary_key=True,
            autoincrement=True,
        ),
        Column("taskset_id", String(LONGEST_NAME), unique=True),
        Column("result", _Bytes),
        Column("date_done", DateTime, index=True),
        schema=place.group_schema,
        sqlite_autoincrement=True,
        mysql_engine="InnoDB",
    )
    return task, group
