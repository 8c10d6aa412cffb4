"""The records of chains, joins and plans in a SQL database, written and read. Everything happens in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, select, update

from ..continuation import ChainRecord, JoinRecord, chain_needed
from ..effect import Effect, OpenChain, OpenJoin, OpenPlan
from ..plan import Plan, plan_from_text, plan_to_text
from ..sql.dialect import dialect_of
from ..sql.moment import Moment
from ..sql.step import Missing
from ..sql.tables import Row, chain_table, join_table, part_table, plan_table
from . import records
from .base import JoinState, Loaded, chains_after
from .sql_joins import SqlJoins, has_all


def open_records(moment: Moment, joins: SqlJoins, effects: Iterable[Effect], plan_seconds: float) -> None:
    """Write those that these effects open, where they are not there. `plan_seconds`: how long plans are kept.

    It does not matter whether their transition stands: they are derived, so they cannot be wrong, only early.
    """
    chains: list[Row] = []
    opened: list[Row] = []
    plans: list[Row] = []
    for effect in effects:
        match effect:
            case OpenChain(record):
                chains.append({"chain_id": record.chain_id, "record": records.chain_to_text(record)})
            case OpenJoin(record, size, lease, generation):
                deadline = None if lease is None else moment.us + round(lease * 1_000_000)
                row = {"join_id": record.join_id, "record": records.join_to_text(record), "size": size}
                opened.append({**row, "deadline_us": deadline, "closed": False, "generation": generation})
            case OpenPlan(plan):
                row = {"canvas_id": plan.id, "root_id": plan.root_id, "record": plan_to_text(plan)}
                plans.append({**row, "at_us": moment.us, "expires_us": moment.after(plan_seconds)})
    dialect = dialect_of(moment.connection)
    if chains:
        # two senders of the same must not wait for each other
        chains.sort(key=lambda row: row["chain_id"])
        dialect.write(moment.connection, [Missing(chain_table, chains)])
    joins.open(opened)
    if plans:
        plans.sort(key=lambda row: row["canvas_id"])
        dialect.write(moment.connection, [Missing(plan_table, plans)])


def keep_chain(connection: Connection, chain_id: str, until_us: int | None) -> None:
    """Keep a chain until then; with None until it is closed."""
    keeping = update(chain_table).where(chain_table.c.chain_id == chain_id)
    connection.execute(keeping.values(expires_us=until_us))


def load(
    connection: Connection, chains: Collection[str], joins: Collection[str], plans: Collection[str]
) -> Loaded:
    """See base.Commit."""
    states = _joins(connection, joins)
    return Loaded(
        _chains(connection, {*chains, *chains_after(states.values())}), states, _plans(connection, plans)
    )


def interrupted(connection: Connection, now_us: int) -> list[JoinRecord]:
    """The joins whose sender has not sealed them in time."""
    overdue = (
        join_table.c.size.is_(None) & (join_table.c.deadline_us <= now_us) & join_table.c.closed.is_(False)
    )
    return [
        records.join_from_text(row.record)
        for row in connection.execute(select(join_table.c.record).where(overdue))
    ]


def _plans(connection: Connection, ids: Collection[str]) -> list[Plan]:
    if not ids:
        return []
    wanted = sorted(ids)
    roots = select(plan_table.c.root_id).where(plan_table.c.canvas_id.in_(wanted))
    of_root = plan_table.c.root_id.in_(wanted) | plan_table.c.root_id.in_(roots)
    query = select(plan_table.c.record).where(of_root).order_by(plan_table.c.at_us, plan_table.c.canvas_id)
    return [plan_from_text(row.record) for row in connection.execute(query)]


def _chains(connection: Connection, ids: Collection[str]) -> dict[str, ChainRecord]:
    found: dict[str, ChainRecord] = {}
    wanted = set(ids)
    while wanted:
        query = select(chain_table.c.chain_id, chain_table.c.record).where(
            chain_table.c.chain_id.in_(sorted(wanted))
        )
        loaded = {row.chain_id: records.chain_from_text(row.record) for row in connection.execute(query)}
        found |= loaded
        below = {chain_needed(record.below) for record in loaded.values()} - {None}
        wanted = {id_ for id_ in below if id_ is not None and id_ not in found}
    return found


def _joins(connection: Connection, ids: Collection[str]) -> dict[str, JoinState]:
    states = {}
    for id_ in ids:
        row = connection.execute(select(join_table).where(join_table.c.join_id == id_)).first()
        if row is not None:
            query = select(part_table.c.part, part_table.c.outcome).where(part_table.c.join_id == id_)
            parts = [records.part_from_text(part, text) for part, text in connection.execute(query)]
            complete = not row.closed and has_all(row.size, len(parts))
            record = records.join_from_text(row.record)
            states[id_] = JoinState(record, parts, complete, bool(row.closed), row.generation)
    return states
