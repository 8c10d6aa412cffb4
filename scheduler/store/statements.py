"""Statements: the SQL of the store, made once per engine with SQLAlchemy Core; no statement is written by hand.

The three that run once per firing or per batch (`insert_firing`, `move_cursor`, `mark_batch`) are rendered to text, and
sql.py gives the driver tuples: Core's own executemany costs twice the store's share of an emission (feasibility 3).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ClauseElement,
    Insert,
    Label,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement

from ..firing import FiringState
from .base import Lease
from .tables import Tables

LEASE_NAME = "beat"
FIRING_PARAMETERS = ("due_us", "entry", "kind", "key", "task_id", "rev", "batch_id")
BATCH_PARAMETERS = ("batch_id", "epoch", "state", "size", "from_us", "to_us", "decided_us")
SPECIAL_PARAMETERS = (*FIRING_PARAMETERS, "state", "cancels")
MOVE_PARAMETERS = ("to_us", "new_next_us", "more_runs", "known_entry", "known_rev", "from_us")
RUN_PARAMETERS = (*MOVE_PARAMETERS[:3], "run_id", "run_us", *MOVE_PARAMETERS[3:])
MARK_PARAMETERS = ("marked_us", "marked_batch_id")
_SEEN = ("holder", "epoch", "renewal")
_PUT = (*_SEEN, "ttl_ms", "info")
UNFINISHED = (FiringState.DECIDED, FiringState.SENDING, FiringState.HELD)
"""States of firings that keep their batch open."""


class Statements:
    """Everything that sql.py executes, for one dialect."""

    def __init__(self, tables: Tables, dialect: Dialect) -> None:
        self.tables = tables
        self._dialect_name = dialect.name
        style = "qmark" if dialect.name == "sqlite" else "format"
        self._positional: Dialect = type(dialect)(paramstyle=style)  # type: ignore[call-arg] # all our dialects take it
        self.fence = self._fence()
        self.swap_lease = self.swap_of(LEASE_NAME)
        self.insert_batch = tables.batch.insert().values({name: bindparam(name) for name in BATCH_PARAMETERS})
        self.insert_firing = self._hot(self._insert_firing(FIRING_PARAMETERS), FIRING_PARAMETERS)
        self.insert_special = self._hot(self._insert_firing(SPECIAL_PARAMETERS), SPECIAL_PARAMETERS)
        self.move_cursor = self._hot(self._move_cursor(run=False), MOVE_PARAMETERS)
        self.move_run = self._hot(self._move_cursor(run=True), RUN_PARAMETERS)
        self.mark_batch = self._hot(self._mark_batch(), MARK_PARAMETERS)
        self.mark_firing = self._mark_firing()
        self.settle = {state: self._settle(state) for state in UNFINISHED}
        self.put_latest, self.drop_latest, self.count_runs = self._latest()
        self.load_entries = self._load_entries()
        self.load_known = self._load_known()
        self.load_open = self._load_open()

    def insert_new(self, table: Table) -> Insert:
        """INSERT that passes over rows which are there already."""
        match self._dialect_name:
            case "postgresql":
                return postgresql.insert(table).on_conflict_do_nothing()
            case "sqlite":
                return sqlite.insert(table).on_conflict_do_nothing()
            case _:
                return mysql.insert(table).prefix_with("IGNORE")

    def swap_of(self, name: str) -> Update:
        """Replaces the lease row of this name if it is still as it was seen; takes `swap_values`."""
        lease = self.tables.lease
        seen = [lease.c[column] == bindparam(f"seen_{column}") for column in _SEEN]
        fits = and_(lease.c.name == name, *seen)
        return lease.update().where(fits).values({column: bindparam(f"put_{column}") for column in _PUT})

    @staticmethod
    def swap_values(seen: Lease, put: Lease) -> dict[str, Any]:
        """The parameters of `swap_of`."""
        values = {f"put_{column}": getattr(put, column) for column in _PUT}
        return values | {f"seen_{column}": getattr(seen, column) for column in _SEEN}

    def known(self, names: list[str]) -> Select[Any]:
        """The entries of these names."""
        return self.load_entries.where(self.tables.entry.c.name.in_(names))

    def _hot(self, statement: ClauseElement, names: tuple[str, ...]) -> str:
        """The text of a statement whose parameters come as tuples in the order of `names`."""
        compiled = statement.compile(dialect=self._positional)
        assert isinstance(compiled, SQLCompiler)
        assert tuple(compiled.positiontup or ()) == names, compiled.positiontup
        return str(compiled)

    def _fence(self) -> Select[Any]:
        """A locking read: under REPEATABLE READ a plain one would let a stale leader pass (reliability 1.1)."""
        lease = self.tables.lease.c
        fits = and_(
            lease.name == LEASE_NAME, lease.holder == bindparam("holder"), lease.epoch == bindparam("epoch")
        )
        return select(lease.epoch).where(fits).with_for_update()

    def _insert_firing(self, names: tuple[str, ...]) -> Insert:
        firing = self.tables.firing
        return self.insert_new(firing).values({name: bindparam(name) for name in names})

    def _move_cursor(self, *, run: bool) -> Update:
        entry = self.tables.entry
        fits = and_(
            entry.c.name == bindparam("known_entry"),
            entry.c.rev == bindparam("known_rev"),
            entry.c.cursor_us == bindparam("from_us"),
            entry.c.removed == literal_column("0"),
        )
        values: dict[str, ColumnElement[Any]] = {
            "cursor_us": bindparam("to_us"),
            "next_us": bindparam("new_next_us"),
            "runs": entry.c.runs + bindparam("more_runs"),
        }
        if run:
            values |= {"latest_id": bindparam("run_id"), "latest_us": bindparam("run_us")}
        return entry.update().where(fits).values(values)

    def _mark_batch(self) -> Update:
        batch = self.tables.batch
        fits = and_(
            batch.c.batch_id == bindparam("marked_batch_id"), batch.c.state == _number(FiringState.DECIDED)
        )
        return (
            batch.update().where(fits).values(state=_number(FiringState.SENT), sent_us=bindparam("marked_us"))
        )

    def _mark_firing(self) -> Update:
        firing = self.tables.firing
        may = or_(_is(firing.c.state, FiringState.DECIDED), _is(firing.c.state, FiringState.SENDING))
        values: dict[str, Any] = {"state": FiringState.SENT.value, "sent_us": bindparam("b_sent_us")}
        return firing.update().where(self._this_firing(), may).values(values)

    def _settle(self, before: FiringState) -> Update:
        """To another state, for a firing of an open batch that is in `before`."""
        firing, batch = self.tables.firing, self.tables.batch
        is_open = exists().where(
            batch.c.batch_id == firing.c.batch_id, batch.c.state == _number(FiringState.DECIDED)
        )
        fits = and_(self._this_firing(), _is(firing.c.state, before), is_open)
        values: dict[str, Any] = {
            "state": bindparam("b_after"),
            "error": bindparam("b_error"),
            "cancels": bindparam("b_cancels"),
            "sent_us": bindparam("b_sent_us"),
        }
        return firing.update().where(fits).values(values)

    def _this_firing(self) -> ColumnElement[bool]:
        firing = self.tables.firing
        return and_(
            *(firing.c[name] == bindparam(f"b_{name}") for name in ("due_us", "entry", "kind", "key"))
        )

    def _latest(self) -> tuple[Update, Update, Update]:
        """A new newest run, which counts as one; none any more, if it is still this one; so many runs more."""
        entry = self.tables.entry
        this = entry.c.name == bindparam("b_entry")
        put = {
            "latest_id": bindparam("b_task_id"),
            "latest_us": bindparam("b_now_us"),
            "runs": entry.c.runs + literal_column("1"),
        }
        return (
            entry.update().where(this).values(put),
            entry.update().where(this, entry.c.latest_id == bindparam("b_task_id")).values(latest_id=""),
            entry.update().where(this).values(runs=entry.c.runs + bindparam("b_runs")),
        )

    def _load_entries(self) -> Select[Any]:
        entry, revision = self.tables.entry, self.tables.revision
        pair = and_(revision.c.entry == entry.c.name, revision.c.rev == entry.c.rev)
        return select(entry, self._spec()).select_from(entry.outerjoin(revision, pair))

    def _spec(self) -> Label[str]:
        """The text of a revision; "", which is none, where somebody removed the row: who needs it must not be passed over."""
        return func.coalesce(self.tables.revision.c.spec, "").label("spec")

    def _load_known(self) -> Select[Any]:
        """The entries as a beat works with them: the columns that `Reads.known` takes."""
        entry = self.tables.entry.c
        columns = (entry.owner, entry.source, entry.rev, entry.cursor_us, entry.removed)
        runs = (entry.runs, entry.latest_id, entry.latest_us)
        return self.load_entries.with_only_columns(
            entry.name, self._spec(), *columns, *runs, maintain_column_froms=True
        )

    def _load_open(self) -> Select[Any]:
        """The unfinished firings of the batches in `batch_ids`; from_us and to_us keep the search inside the primary key."""
        firing, batch, revision = self.tables.firing, self.tables.batch, self.tables.revision
        inside = and_(
            firing.c.due_us.between(batch.c.from_us, batch.c.to_us), firing.c.batch_id == batch.c.batch_id
        )
        pair = and_(revision.c.entry == firing.c.entry, revision.c.rev == firing.c.rev)
        return (
            select(firing, self._spec())
            .select_from(batch.join(firing, inside).outerjoin(revision, pair))
            .where(
                batch.c.batch_id.in_(bindparam("batch_ids", expanding=True)),
                or_(*(_is(firing.c.state, state) for state in UNFINISHED)),
            )
            .order_by(firing.c.due_us, firing.c.entry, firing.c.kind, firing.c.key)
        )

    def open_batches(self) -> Select[Any]:
        """The open batches, oldest first."""
        batch = self.tables.batch.c
        is_open = batch.state == _number(FiringState.DECIDED)
        return select(batch.batch_id, batch.size).where(is_open).order_by(batch.from_us, batch.batch_id)

    def take_over(self) -> Update:
        """The batches in `batch_ids` belong to this epoch now."""
        batch = self.tables.batch
        which = batch.c.batch_id.in_(bindparam("batch_ids", expanding=True))
        return batch.update().where(which).values(epoch=bindparam("my_epoch"))


def _number(state: FiringState) -> ColumnElement[int]:
    """A state in the text of the statement: only so does the planner see that the partial index of open batches fits."""
    return literal_column(str(state.value))


def _is(column: ColumnElement[Any], state: FiringState) -> ColumnElement[bool]:
    """Whether a firing of an open batch is in this state; without a state of its own it is decided."""
    own: ColumnElement[bool] = column == _number(state)
    return or_(column.is_(None), own) if state is FiringState.DECIDED else own
