"""SqlHistory: the rows of what became of tasks: kept by one recorder, read by pages and commands. Over an engine of its own; thread-safe.

Every method raises StoreDown when the store does not answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import convert, to_builtins
from msgspec.structs import asdict
from sqlalchemy import Connection, Engine, MetaData, RowMapping, bindparam, delete, func, select

from ..store.statements import Statements
from ..store.tables import NAME, Tables
from ..store.trail import Trail
from ..store.transaction import transaction
from .argument_text import Arguments
from .gap import Gap
from .search import Key, Search, clauses
from .task_run import Attempt, TaskRun

AT_ONCE = 500
"""Ids in one question."""
SLICE = 2_000
"""Rows that are removed in one transaction."""
MOST_COUNTED = 10_000
"""How far `count` counts."""
_HEARD = "recorder_heard"


class SqlHistory:
    """The history in one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tables = Tables.on(MetaData())
        self._sql = Statements(self._tables, engine.dialect)
        run = self._tables.task_run
        self._trail = Trail(self._sql)
        self._insert = self._sql.insert_new(run)
        put: dict[str, Any] = {
            column.name: bindparam(f"b_{column.name}") for column in run.columns if column.name != "id"
        }
        self._update = run.update().where(run.c.id == bindparam("b_id")).values(put)

    # --- what the recorder does -------------------------------------------------------------------------------------------

    def known(self, ids: Iterable[str]) -> dict[str, TaskRun]:
        """Those of `ids` that are known."""
        run, wanted = self._tables.task_run, list(dict.fromkeys(ids))
        found: dict[str, TaskRun] = {}
        with transaction(self._engine, write=False) as conn:
            for first in range(0, len(wanted), AT_ONCE):
                query = run.select().where(run.c.id.in_(wanted[first : first + AT_ONCE]))
                found |= {row["id"]: run_of(row) for row in conn.execute(query).mappings()}
        return found

    def put(self, runs: Sequence[TaskRun], known: Iterable[str], heard_us: int | None = None) -> None:
        """Keep these, of which those in `known` have rows; and that events were heard until `heard_us`."""
        there = set(known)
        new = [row_of(run) for run in runs if run.id not in there]
        old = [{f"b_{name}": value for name, value in row_of(run).items()} for run in runs if run.id in there]
        with transaction(self._engine) as conn:
            if new:
                conn.execute(self._insert, new)
            if old:
                conn.execute(self._update, old)
            if heard_us is not None:
                self._put_heard(conn, heard_us)

    def _put_heard(self, conn: Connection, heard_us: int) -> None:
        meta = self._tables.meta
        found = conn.execute(meta.update().where(meta.c.name == _HEARD).values(number=heard_us)).rowcount
        if not found:
            conn.execute(self._sql.insert_new(meta).values(name=_HEARD, number=heard_us, text=""))

    def heard_us(self) -> int | None:
        """Until when events were heard; None if nobody ever listened."""
        meta = self._tables.meta.c
        with transaction(self._engine, write=False) as conn:
            number: int | None = conn.execute(select(meta.number).where(meta.name == _HEARD)).scalar()
        return number

    def note_gap(self, gap: Gap) -> None:
        """Nobody listened in this span."""
        values = {"from_us": gap.from_us, "to_us": gap.to_us, "reason": gap.reason[:200]}
        with transaction(self._engine) as conn:
            conn.execute(self._sql.insert_new(self._tables.gap).values(values))

    def claim(self, roots: Mapping[str, str]) -> None:
        """Runs with these roots belong to these schedules, if they belong to none."""
        run = self._tables.task_run
        if not roots:
            return
        fits = run.c.root_id == bindparam("b_root"), run.c.entry == ""
        put = run.update().where(*fits).values(entry=bindparam("b_entry"))
        with transaction(self._engine) as conn:
            conn.execute(put, [{"b_root": root, "b_entry": entry} for root, entry in roots.items()])

    def to_look_at(self, now_us: int, limit: int) -> list[TaskRun]:
        """Runs whose results are to be looked for now, those that wait longest first."""
        run = self._tables.task_run
        query = run.select().where(run.c.look_us <= now_us).order_by(run.c.look_us).limit(limit)
        return self._runs(query)

    def prune(self, before_us: int, most: int) -> int:
        """Remove what was first heard of before `before_us`, and the oldest of more than `most`; how many rows went."""
        run, gap = self._tables.task_run, self._tables.gap
        with transaction(self._engine, write=False) as conn:
            over = select(run.c.at_us).order_by(run.c.at_us.desc(), run.c.id.desc()).offset(most).limit(1)
            edge: int | None = conn.execute(over).scalar()
        until_us = before_us if edge is None else max(before_us, edge + 1)
        removed = 0
        while True:
            with transaction(self._engine) as conn:
                old = select(run.c.id).where(run.c.at_us < until_us).order_by(run.c.at_us).limit(SLICE)
                ids = conn.execute(old).scalars().all()
                for first in range(0, len(ids), AT_ONCE):
                    conn.execute(delete(run).where(run.c.id.in_(ids[first : first + AT_ONCE])))
                conn.execute(delete(gap).where(gap.c.to_us < before_us))
            removed += len(ids)
            if len(ids) < SLICE:
                return removed

    # --- what pages and commands read -------------------------------------------------------------------------------------

    def run(self, id: str) -> TaskRun | None:
        """One run."""
        return self.known([id]).get(id)

    def runs(self, search: Search, limit: int, after: Key | None = None) -> list[TaskRun]:
        """The newest runs that fit, newest first; those that come after the key of one that was read before."""
        run = self._tables.task_run
        query = run.select().where(*clauses(run, search, after))
        return self._runs(query.order_by(run.c.at_us.desc(), run.c.id.desc()).limit(limit))

    def count(self, search: Search) -> int:
        """How many fit; no more than MOST_COUNTED are counted."""
        run = self._tables.task_run
        some = select(run.c.id).where(*clauses(run, search)).limit(MOST_COUNTED).subquery()
        with transaction(self._engine, write=False) as conn:
            return int(conn.execute(select(func.count()).select_from(some)).scalar_one())

    def family(self, run: TaskRun, limit: int) -> list[TaskRun]:
        """Its parent and its children, oldest first."""
        table = self._tables.task_run
        query = table.select().where((table.c.parent_id == run.id) | (table.c.id == run.parent_id))
        return self._runs(query.order_by(table.c.at_us, table.c.id).limit(limit))

    def states(self, since_us: int) -> Mapping[str, int]:
        """How many runs that were first heard of since then are in which state."""
        run = self._tables.task_run.c
        query = select(run.state, func.count()).where(run.at_us >= since_us).group_by(run.state)
        with transaction(self._engine, write=False) as conn:
            return {row[0]: row[1] for row in conn.execute(query)}

    def latest_of(self, entries: Sequence[str], each: int) -> Mapping[str, list[TaskRun]]:
        """The newest `each` runs of every one of these entries, newest first."""
        run = self._tables.task_run
        found: dict[str, list[TaskRun]] = {}
        with transaction(self._engine, write=False) as conn:
            for entry in entries:
                query = run.select().where(run.c.entry == entry).order_by(run.c.at_us.desc()).limit(each)
                found[entry] = [run_of(row) for row in conn.execute(query).mappings()]
        return found

    def values_of(self, column: str, limit: int = 200) -> list[str]:
        """What there is in a column that lists are narrowed by: name, queue, worker, entry or state."""
        run = self._tables.task_run
        query = (
            select(run.c[column]).where(run.c[column] != "").distinct().order_by(run.c[column]).limit(limit)
        )
        with transaction(self._engine, write=False) as conn:
            return list(conn.execute(query).scalars())

    def gaps(self, limit: int = 20) -> list[Gap]:
        """The newest spans in which nobody listened."""
        gap = self._tables.gap
        with transaction(self._engine, write=False) as conn:
            rows = conn.execute(gap.select().order_by(gap.c.from_us.desc()).limit(limit)).mappings()
            return [Gap(row["from_us"], row["to_us"], row["reason"]) for row in rows]

    def note(self, actor: str, action: str, target: str, detail: Mapping[str, Any]) -> None:
        """A line of the audit: who did what to which run."""
        with transaction(self._engine) as conn:
            self._trail.note(conn, self._trail.now_us(conn), actor, action, target[:NAME], detail)

    def close(self) -> None:
        """Give connections back."""
        self._engine.dispose()

    def _runs(self, query: Any) -> list[TaskRun]:
        with transaction(self._engine, write=False) as conn:
            return [run_of(row) for row in conn.execute(query).mappings()]


def row_of(run: TaskRun) -> dict[str, Any]:
    """The row of a run."""
    row = asdict(run)
    arguments: Arguments = row.pop("arguments")
    row["attempts"] = json.dumps(to_builtins(run.attempts))
    row |= {"args": arguments.args, "kwargs": arguments.kwargs, "is_whole": int(arguments.is_whole)}
    return row


def run_of(row: RowMapping) -> TaskRun:
    """The run of a row."""
    values = dict(row)
    arguments = Arguments(values.pop("args"), values.pop("kwargs"), bool(values.pop("is_whole")))
    attempts = convert(json.loads(values.pop("attempts")), tuple[Attempt, ...])
    return TaskRun(arguments=arguments, attempts=attempts, **values)
