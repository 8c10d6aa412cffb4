"""Tables of the history: what became of tasks, and when nobody listened. They belong to the scheduler's store (see tables.py).

Lists of runs are read newest first, and paged by (at_us, id): each column that a list can be narrowed by has an index which ends in at_us, so
that no page is sorted or counted through.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, SmallInteger, String, Table

from .column import Text

LABEL = 255
"""Characters of names and ids that come from outside: of tasks, queues, workers; longer ones are cut off."""


def task_run(metadata: MetaData) -> Table:
    """One row per task. `at_us` is when it was first heard of, and never changes; `look_us` is when its result is to be looked for again.

    `args` and `kwargs` are JSON where `is_whole`, else what an event showed of them. `attempts` is a JSON list, see task_run.py.
    """
    return Table(
        "bb_task_run",
        metadata,
        Column("id", String(LABEL), primary_key=True),
        Column("at_us", BigInteger, nullable=False),
        Column("name", String(LABEL), nullable=False),
        Column("state", String(20), nullable=False),
        Column("queue", String(LABEL), nullable=False),
        Column("worker", String(LABEL), nullable=False),
        Column("entry", String(LABEL), nullable=False),
        Column("root_id", String(LABEL), nullable=False),
        Column("parent_id", String(LABEL), nullable=False),
        Column("args", Text, nullable=False),
        Column("kwargs", Text, nullable=False),
        Column("is_whole", SmallInteger, nullable=False),
        Column("result", Text, nullable=False),
        Column("error", Text, nullable=False),
        Column("traceback", Text, nullable=False),
        Column("retries", Integer, nullable=False),
        Column("eta", String(40), nullable=False),
        Column("expires", String(40), nullable=False),
        Column("due_us", BigInteger),
        Column("sent_us", BigInteger),
        Column("received_us", BigInteger),
        Column("started_us", BigInteger),
        Column("ended_us", BigInteger),
        Column("seconds", Float),
        Column("attempts", Text, nullable=False),
        Column("look_us", BigInteger),
        Index("bb_task_run_at", "at_us", "id"),
        Index("bb_task_run_state", "state", "at_us"),
        Index("bb_task_run_name", "name", "at_us"),
        Index("bb_task_run_entry", "entry", "at_us"),
        Index("bb_task_run_worker", "worker", "at_us"),
        Index("bb_task_run_queue", "queue", "at_us"),
        Index("bb_task_run_root", "root_id", "at_us"),
        Index("bb_task_run_parent", "parent_id", "at_us"),
        Index("bb_task_run_look", "look_us"),
    )


def gap(metadata: MetaData) -> Table:
    """Spans in which events may have been told and nobody kept them."""
    return Table(
        "bb_gap",
        metadata,
        Column("from_us", BigInteger, primary_key=True, autoincrement=False),
        Column("to_us", BigInteger, nullable=False),
        Column("reason", String(200), nullable=False),
    )
