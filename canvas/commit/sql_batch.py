"""SqlBatch: what one exchange changes in a SQL database, decided in memory and written in few statements.

Rows that decide (runs, joins) are locked first, in the order of their keys, so that two workers can neither both see a join one part
short nor wait for each other (decisions K3). Everything happens in the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Executable, Table, delete, func, select, update

from ..delivery import Delivery
from ..effect import AddPart, CloseChain, Effect, OpenChain, OpenJoin, Publish, SealJoin, Settle
from ..flow import join_message
from ..incarnation import name_of
from ..message import Message, sent_at
from ..outcome import Failure, outcome_from_data, outcome_to_data
from ..outcome import Retry as RetryOutcome
from ..results.document import document_of, to_text
from ..signing import NO_KEYS, Keyring
from ..sql.dialect import dialect_of
from ..sql.tables import (
    chain_table,
    join_table,
    message_table,
    part_table,
    result_table,
    run_table,
)
from . import records
from .base import OUTBOX, Limits, Role, Standing, Transition, part_without_join
from .run import RunRecord, begin_early, revoke, settle
from .sent import STEP_SECONDS, WAITING_SECONDS, Sent, sent_by
from .sql_dead import bury, drop

Row = dict[str, Any]
BY_KEY = "FORCE INDEX (PRIMARY)"
"""For MySQL: a search that goes another way locks rows that are not wanted, out of their order."""


@dataclass(slots=True)
class _Join:
    size: int | None
    closed: bool


@dataclass(slots=True)
class SqlBatch:
    """The changes of one exchange. `now_us` is the database's clock."""

    connection: Connection
    worker: str
    limits: Limits
    now_us: int
    role: Role = Role.WHOLE
    keyring: Keyring = NO_KEYS
    outbox: list[Delivery] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    _runs: dict[str, RunRecord] = field(default_factory=dict)
    _changed: dict[str, RunRecord] = field(default_factory=dict)
    _documents: dict[str, str] = field(default_factory=dict)
    _joins: dict[str, _Join] = field(default_factory=dict)
    _parts: dict[tuple[str, int], str] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)
    _known: dict[str, int] = field(default_factory=dict)

    @property
    def documented(self) -> Collection[str]:
        """The ids whose documents this batch wrote."""
        return self._documents.keys()

    @property
    def known_until_us(self) -> int | None:
        return self._after(self.limits.known_seconds)

    def _after(self, seconds: float) -> int | None:
        """When what is kept for so many seconds from now on is deleted; None for never."""
        return self.now_us + round(seconds * 1_000_000) if seconds else None

    def apply(self, transitions: Sequence[Transition]) -> list[Standing | None]:
        """Decide all transitions, in order, and write what they change."""
        self.lock_runs(_run_ids(transitions))
        self._open_chains_and_joins(transitions)
        self._lock_joins(_join_ids(transitions))
        standing = [self._apply(transition) for transition in transitions]
        self._write_parts()
        self._write_known()
        self.write_runs()
        self._write_documents()
        self.write_messages()
        return standing

    def lock_runs(self, ids: Collection[str]) -> dict[str, RunRecord]:
        """The runs of `ids`, locked; rows that do not exist are made, so that two workers cannot both make them."""
        wanted = sorted(set(ids))
        if wanted:
            rows = [empty_run(id_) for id_ in wanted]
            self.connection.execute(insert_missing(self.connection, run_table), rows)
            query = (
                select(run_table)
                .where(run_table.c.task_id.in_(wanted))
                .order_by(run_table.c.task_id)
                .with_for_update()
                .with_hint(run_table, BY_KEY, "mysql")
            )
            for row in self.connection.execute(query):
                self._runs[row.task_id] = run_of(row)
        return {id_: self._runs[id_] for id_ in wanted}

    def revoke(self, ids: Collection[str]) -> None:
        """Store REVOKED at once for those of these ids that nobody runs."""
        for id_, record in self.lock_runs(ids).items():
            changed = revoke(record, self.now_us)
            if changed is not None and changed.outcome is not None:
                self.put_run(id_, changed)
                self._documents[id_] = to_text(document_of(id_, changed.outcome, now_us=self.now_us))
        self.write_runs()
        self._write_documents()

    def put_run(self, id_: str, record: RunRecord) -> None:
        """Remember a changed run; `write_runs` writes it."""
        self._runs[id_] = self._changed[id_] = record

    def write_runs(self) -> None:
        """Write the runs that changed."""
        if not self._changed:
            return
        rows: list[Row] = []
        for id_, record in sorted(self._changed.items()):
            ended = record.outcome is not None and not isinstance(record.outcome, RetryOutcome)
            rows.append(
                {
                    "task_id": id_,
                    "generation": record.generation,
                    "attempt": record.attempt,
                    "outcome": None
                    if record.outcome is None
                    else json.dumps(outcome_to_data(record.outcome)),
                    "worker": record.worker,
                    "lease_us": record.lease_us,
                    "lost": record.lost,
                    "early": record.early,
                    "expires_us": self.known_until_us if ended else None,
                }
            )
        _overwrite(self.connection, run_table, rows)
        self._changed = {}

    # --- deciding ------------------------------------------------------------------------------------------------------------

    def _apply(self, transition: Transition) -> Standing | None:
        standing = self._settle(transition)
        if standing is not None:
            return standing
        if self._digs_up(transition) and self._closes(transition):
            for effect in transition.effects:
                self._effect(effect)
            self._know(sent_by(transition.effects))
        if transition.dead is not None:
            bury(self.connection, transition.dead, self.now_us)
        if transition.early is not None:
            self._begin_early(transition.early)
        elif transition.delivery is not None and transition.delivery.tag:
            seq, holder = transition.delivery.tag.split("@", 1)
            where = (message_table.c.seq == int(seq)) & (message_table.c.holder == holder)
            self.connection.execute(delete(message_table).where(where))
        return None

    def _begin_early(self, message: Message) -> None:
        """Its row stays held: only workers of ours read the table."""
        record = begin_early(self._runs.get(message.id), message, self.worker)
        if record is not None:
            self.put_run(message.id, record)

    def _settle(self, transition: Transition) -> Standing | None:
        message, outcome = transition.message, transition.outcome
        if message is None or outcome is None:
            return None
        standing, record = settle(self._runs[message.id], message, outcome)
        if record is not None:
            self.put_run(message.id, record)
            if not message.ignore_result:
                document = document_of(
                    message.id,
                    outcome,
                    now_us=self.now_us,
                    message=message,
                    children=transition.children,
                    worker=name_of(self.worker),
                    extended=self.limits.extended,
                )
                self._documents[message.id] = to_text(document)
        return standing

    def _digs_up(self, transition: Transition) -> bool:
        key = transition.digs_up
        return key is None or drop(self.connection, [key]) > 0

    def _closes(self, transition: Transition) -> bool:
        id_ = transition.closes
        if id_ is None:
            return True
        join = self._joins.get(id_)
        if join is None or join.closed:
            return False
        join.closed = True
        closing = update(join_table).where(join_table.c.join_id == id_)
        self.connection.execute(closing.values(closed=True, expires_us=self.known_until_us))
        self.connection.execute(delete(part_table).where(part_table.c.join_id == id_))
        return True

    def _effect(self, effect: Effect) -> None:
        match effect:
            case Publish(message, not_before_us):
                self.publish(message, not_before_us)
            case Settle(id_, outcome, name):
                self._settle_unstarted(id_, outcome, name)
            case OpenChain() | OpenJoin():
                pass  # written before joins are locked
            case CloseChain(chain_id):
                closing = update(chain_table).where(chain_table.c.chain_id == chain_id)
                self.connection.execute(closing.values(expires_us=self.known_until_us))
            case SealJoin(join_id, size):
                self._joins[join_id].size = size
                sealing = update(join_table).where(join_table.c.join_id == join_id)
                self.connection.execute(sealing.values(size=size, deadline_us=None))
                self._touched.add(join_id)
            case AddPart(join_id, index, id_, outcome):
                join = self._joins.get(join_id)
                text = records.part_to_text(id_, outcome)
                if join is None:
                    bury(self.connection, part_without_join(join_id, id_, text), self.now_us)
                elif not join.closed:
                    self._parts.setdefault((join_id, index), text)
                    self._touched.add(join_id)

    def _know(self, sent: Sent) -> None:
        """Messages can be found by their ids while they are in this database; what leaves it, and what is to follow, gets a run."""
        if self.role is Role.BROKER:
            return
        keep = self.limits.keep_seconds
        self._known |= dict.fromkeys(sent.steps, self.now_us + round(max(keep, STEP_SECONDS) * 1_000_000))
        if self.role is Role.STORE:
            for message in sent.messages:
                due = max(self.now_us, sent_at(message, self.now_us).eta_us or 0)
                self._known.setdefault(message.id, due + round(max(keep, WAITING_SECONDS) * 1_000_000))

    def _write_known(self) -> None:
        if self._known:
            rows = [
                {**empty_run(id_), "expires_us": expires_us}
                for id_, expires_us in sorted(self._known.items())
            ]
            self.connection.execute(insert_missing(self.connection, run_table), rows)

    def publish(self, message: Message, not_before_us: int | None = None) -> None:
        """Send a message when the batch is written."""
        message = sent_at(message, self.now_us)
        due = not_before_us if not_before_us is not None else message.eta_us
        visible = self.now_us if due is None else max(due, self.now_us)
        row = {
            "queue": message.queue,
            "visible_us": visible,
            "holder": "",
            "body": self.keyring.text(message),
            "task_id": message.id,
        }
        if self.role is Role.STORE:
            row["queue"] = OUTBOX
            if visible <= self.now_us:
                row["visible_us"] = self.now_us + self.limits.outbox_lease_us
                row["holder"] = self.worker
        self.messages.append(row)

    def _settle_unstarted(self, id_: str, outcome: Failure, name: str) -> None:
        if self._runs[id_].outcome is None:
            self.put_run(id_, RunRecord(outcome=outcome))
            extended = self.limits.extended
            document = document_of(id_, outcome, now_us=self.now_us, name=name, extended=extended)
            self._documents[id_] = to_text(document)

    # --- joins ---------------------------------------------------------------------------------------------------------------

    def _open_chains_and_joins(self, transitions: Sequence[Transition]) -> None:
        """Records are written whether or not their transition stands: they are derived, so they cannot be wrong, only early."""
        chains: list[Row] = []
        joins: list[Row] = []
        for effect in _effects(transitions):
            match effect:
                case OpenChain(record):
                    chains.append({"chain_id": record.chain_id, "record": records.chain_to_text(record)})
                case OpenJoin(record, size, lease):
                    deadline = None if lease is None else self.now_us + round(lease * 1_000_000)
                    row = {"join_id": record.join_id, "record": records.join_to_text(record), "size": size}
                    joins.append({**row, "deadline_us": deadline, "closed": False})
        if chains:
            self.connection.execute(insert_missing(self.connection, chain_table), chains)
        if joins:
            joins.sort(key=lambda row: row["join_id"])
            self.connection.execute(insert_missing(self.connection, join_table), joins)
            for row in joins:
                if row["deadline_us"] is not None:
                    renewing = update(join_table).where(
                        join_table.c.join_id == row["join_id"], join_table.c.size.is_(None)
                    )
                    self.connection.execute(renewing.values(deadline_us=row["deadline_us"]))

    def _lock_joins(self, ids: Collection[str]) -> None:
        if ids:
            query = select(join_table.c.join_id, join_table.c.size, join_table.c.closed)
            query = (
                query.where(join_table.c.join_id.in_(sorted(ids)))
                .order_by(join_table.c.join_id)
                .with_for_update()
                .with_hint(join_table, BY_KEY, "mysql")
            )
            self._joins = {row.join_id: _Join(row.size, row.closed) for row in self.connection.execute(query)}

    def _write_parts(self) -> None:
        """Write parts, count under the locks taken before, and send the message of each join that is complete."""
        if self._parts:
            rows = [
                {"join_id": j, "part": i, "outcome": text} for (j, i), text in sorted(self._parts.items())
            ]
            self.connection.execute(insert_missing(self.connection, part_table), rows)
        if not self._touched:
            return
        counting = select(part_table.c.join_id, func.count()).where(
            part_table.c.join_id.in_(sorted(self._touched))
        )
        counts = dict(tuple(row) for row in self.connection.execute(counting.group_by(part_table.c.join_id)))
        for join_id in sorted(self._touched):
            join = self._joins[join_id]
            if not join.closed and join.size is not None and counts.get(join_id, 0) >= join.size:
                self.publish(join_message(join_id))

    def write_messages(self) -> None:
        """Write what was published."""
        if not self.messages:
            return
        if self.role is not Role.STORE:
            self.connection.execute(message_table.insert(), self.messages)
            return
        held = dialect_of(self.connection).add_held(self.connection, self.messages)
        self.outbox = [
            Delivery(f"{row.seq}@{row.holder}", OUTBOX, None, row.body)
            for row in sorted(held, key=lambda row: row.seq)
        ]

    def _write_documents(self) -> None:
        if self._documents:
            expires_us = self._after(self.limits.keep_seconds)
            rows = [
                {"task_id": id_, "document": text, "expires_us": expires_us}
                for id_, text in sorted(self._documents.items())
            ]
            _overwrite(self.connection, result_table, rows)


def _effects(transitions: Sequence[Transition]) -> list[Effect]:
    return [effect for transition in transitions for effect in transition.effects]


def _run_ids(transitions: Sequence[Transition]) -> set[str]:
    own = {t.message.id for t in transitions if t.message is not None and t.outcome is not None}
    own |= {t.early.id for t in transitions if t.early is not None}
    return own | {effect.id for effect in _effects(transitions) if isinstance(effect, Settle)}


def _join_ids(transitions: Sequence[Transition]) -> set[str]:
    closed = {t.closes for t in transitions if t.closes is not None}
    return closed | {e.join_id for e in _effects(transitions) if isinstance(e, AddPart | SealJoin)}


def empty_run(id_: str) -> Row:
    """The row of an id of which nothing is known but that it was sent."""
    blank = {"generation": 0, "attempt": 0, "worker": "", "lease_us": 0, "lost": 0, "early": False}
    return {"task_id": id_, **blank}


def run_of(row: Any) -> RunRecord:
    """The record of a row of bb_run."""
    return RunRecord(
        generation=row.generation,
        attempt=row.attempt,
        outcome=None if row.outcome is None else outcome_from_data(json.loads(row.outcome)),
        worker=row.worker,
        lease_us=row.lease_us,
        lost=row.lost,
        early=row.early,
    )


def insert_missing(connection: Connection, table: Table) -> Executable:
    """An INSERT that passes over rows that are there."""
    return dialect_of(connection).insert_missing(table)


def _overwrite(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Put rows that have the same columns into those that are there, or beside them."""
    connection.execute(dialect_of(connection).overwrite(table, rows[0].keys()), rows)
