"""SqlRuns: the runs that one exchange looks at and changes in a SQL database.

Rows are locked in the order of their keys before anything is decided by them, so that no two workers wait for each other. Everything
happens in the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select

from ..json_text import parsed
from ..outcome import GoingOn, outcome_from_data, outcome_to_data
from ..sql.dialect import BY_KEY, dialect_of
from ..sql.tables import Row, run_table
from .run import RunRecord

_LOCKING = (
    select(run_table)
    .where(run_table.c.task_id.in_(bindparam("ids", expanding=True)))
    .order_by(run_table.c.task_id)
    .with_for_update()
    .with_hint(run_table, BY_KEY, "mysql")
)


@dataclass(slots=True)
class SqlRuns:
    """Runs by task id. `ended_until_us` is until when one that has ended is kept; None for ever."""

    connection: Connection
    ended_until_us: int | None
    _runs: dict[str, RunRecord] = field(default_factory=dict)
    _changed: dict[str, RunRecord] = field(default_factory=dict)

    def lock(self, ids: Collection[str], *, are_known: bool = False) -> dict[str, RunRecord]:
        """The runs of `ids`, locked; rows that do not exist are made, so that two workers cannot both make them.

        With `are_known` most of them do exist: then they are not made first. Who meets one that another worker makes just then may lose against
        that one, and tries again (see is_passing).
        """
        wanted = sorted(set(ids))
        missing = self._locked(wanted) if are_known else wanted
        if missing:
            rows = [empty_run(id_) for id_ in missing]
            self.connection.execute(dialect_of(self.connection).insert_missing(run_table), rows)
            self._locked(missing)
        return {id_: self._runs[id_] for id_ in wanted}

    def _locked(self, ids: Sequence[str]) -> list[str]:
        """Read and lock these; returns those that do not exist."""
        rows = self.connection.execute(_LOCKING, {"ids": ids}) if ids else ()
        found = {row.task_id: run_of(row) for row in rows}
        self._runs |= found
        return [id_ for id_ in ids if id_ not in found]

    def get(self, id_: str) -> RunRecord | None:
        """A run that is locked, as it is by now; None for one that is not."""
        return self._runs.get(id_)

    def put(self, id_: str, record: RunRecord) -> None:
        """Remember a changed run; `write` writes it."""
        self._runs[id_] = self._changed[id_] = record

    def write(self) -> None:
        """Write the runs that changed."""
        rows = [self._row(id_, record) for id_, record in sorted(self._changed.items())]
        if rows:
            dialect = dialect_of(self.connection)
            self.connection.execute(dialect.overwrite(run_table, tuple(rows[0])), rows)
        self._changed = {}

    def _row(self, id_: str, record: RunRecord) -> Row:
        ended = record.outcome is not None and not isinstance(record.outcome, GoingOn)
        return {
            "task_id": id_,
            "generation": record.generation,
            "attempt": record.attempt,
            "outcome": None if record.outcome is None else json.dumps(outcome_to_data(record.outcome)),
            "worker": record.worker,
            "lease_us": record.lease_us,
            "lost": record.lost,
            "early": record.early,
            "started_us": record.started_us,
            "expires_us": self.ended_until_us if ended else None,
        }


def empty_run(id_: str) -> Row:
    """The row of an id of which nothing is known but that it was sent."""
    blank = {
        "generation": 0,
        "attempt": 0,
        "worker": "",
        "lease_us": 0,
        "lost": 0,
        "early": False,
        "started_us": 0,
    }
    return {"task_id": id_, **blank}


def run_of(row: Any) -> RunRecord:
    """The record of a row of bb_run."""
    return RunRecord(
        generation=row.generation,
        attempt=row.attempt,
        outcome=None if row.outcome is None else outcome_from_data(parsed(row.outcome)),
        worker=row.worker,
        lease_us=row.lease_us,
        lost=row.lost,
        early=row.early,
        started_us=row.started_us,
    )
