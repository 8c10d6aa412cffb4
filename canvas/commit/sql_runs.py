"""SqlRuns: the runs that one exchange looks at and changes in a SQL database.

Rows are locked in the order of their keys before anything is decided by them, so that no two workers wait for each other. Everything
happens in the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from ..json_text import parsed
from ..message import sent_at
from ..outcome import GoingOn, outcome_from_data, outcome_to_data
from ..sql.dialect import dialect_of
from ..sql.moment import Moment
from ..sql.step import Missing, Over, Step
from ..sql.tables import Row, run_table
from .run import RunRecord
from .sent import STEP_SECONDS, WAITING_SECONDS, Sent

_LOCKING = select(run_table).with_for_update()


@dataclass(slots=True)
class SqlRuns:
    """Runs by task id. One that has ended is kept for `known_seconds`; with 0 for ever."""

    connection: Connection
    moment: Moment
    known_seconds: float
    _runs: dict[str, RunRecord] = field(default_factory=dict)
    _changed: dict[str, RunRecord] = field(default_factory=dict)
    _known: dict[str, int] = field(default_factory=dict)

    def lock(self, ids: Collection[str], *, are_known: bool = False) -> dict[str, RunRecord]:
        """The runs of `ids`, locked; rows that do not exist are made, so that two workers cannot both make them.

        With `are_known` most of them do exist: then they are not made first. Who meets one that another worker makes just then may lose against
        that one, and tries again (see is_passing).
        """
        wanted = sorted(set(ids))
        missing = self._locked(wanted) if are_known else wanted
        if missing:
            rows = [empty_run(id_) for id_ in missing]
            dialect_of(self.connection).write(self.connection, [Missing(run_table, rows)])
            self._locked(missing)
        return {id_: self._runs[id_] for id_ in wanted}

    def _locked(self, ids: Sequence[str]) -> list[str]:
        """Read and lock these; returns those that do not exist."""
        if not ids:
            return []
        rows = self.moment.find(_LOCKING, run_table.c.task_id, ids)
        found = {row.task_id: run_of(row) for row in rows}
        self._runs |= found
        return [id_ for id_ in ids if id_ not in found]

    def claim(self, claims: Mapping[str, RunRecord]) -> Collection[str]:
        """Write the claims of those of which nothing is known yet, where the database tells which these are; they are locked then, as theirs are whose
        run is another one's by now.
        """
        rows = [self._row(id_, record) for id_, record in sorted(claims.items())]
        new = dialect_of(self.connection).insert_new(self.connection, run_table, rows) if rows else ()
        self._runs |= {id_: claims[id_] for id_ in new}
        return new

    def get(self, id_: str) -> RunRecord | None:
        """A run that is locked, as it is by now; None for one that is not."""
        return self._runs.get(id_)

    def put(self, id_: str, record: RunRecord) -> None:
        """Remember a changed run; `write` writes it."""
        self._runs[id_] = self._changed[id_] = record

    def know(self, sent: Sent, keep_seconds: float, *, messages: bool) -> None:
        """Remember what is to follow, so that who waits for it knows of it; with `messages` those as well that are on their way."""
        now_us = self.moment.us
        self._known |= dict.fromkeys(sent.steps, now_us + round(max(keep_seconds, STEP_SECONDS) * 1_000_000))
        for message in sent.messages if messages else ():
            due = max(now_us, sent_at(message, now_us).eta_us or 0)
            self._known.setdefault(message.id, due + round(max(keep_seconds, WAITING_SECONDS) * 1_000_000))

    def write(self) -> None:
        """Write the runs that changed."""
        dialect_of(self.connection).write(self.connection, [self._changes()])

    def steps(self) -> list[Step]:
        """The steps that write the runs that changed, and those that were sent; they must be done now."""
        known = [
            {**empty_run(id_), "expires_us": expires_us}
            for id_, expires_us in sorted(self._known.items())
            if id_ not in self._changed
        ]
        self._known = {}
        return [Missing(run_table, known), self._changes()]

    def _changes(self) -> Step:
        rows = [self._row(id_, record) for id_, record in sorted(self._changed.items())]
        self._changed = {}
        return Over(run_table, rows)

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
            "expires_us": self.moment.after(self.known_seconds) if ended else None,
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
