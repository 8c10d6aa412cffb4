"""CeleryPlace: where Celery's database backend keeps its results: the names of its two tables, and the form of what is in them. PURE."""

from __future__ import annotations

from msgspec import Struct

TASK_TABLE, GROUP_TABLE = "celery_taskmeta", "celery_tasksetmeta"


class CeleryPlace(Struct, frozen=True, kw_only=True):
    """Names as the settings `database_table_names` and `database_table_schemas` have them."""

    task: str = TASK_TABLE
    group: str = GROUP_TABLE
    task_schema: str | None = None
    group_schema: str | None = None
    pickled: bool | None = None
    """Whether results are written as pickles of plain values, as Celery before 5.7 reads them. None: where the table has no column
    `children`, which it has since 5.7 (`database_pickled_rows`)."""
