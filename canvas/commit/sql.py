"""SqlCommit: broker, results and canvas in one SQL database (SQLite, PostgreSQL, MariaDB, MySQL): every exchange is one transaction.

A message is deleted when it is acknowledged; until then whoever holds it has moved its `visible_us` one lease ahead (see tables.py),
so what a killed worker held is there again after the lease, or at once when the worker's process is known to be gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..continuation import ChainRecord, JoinRecord
from ..delivery import Delivery
from ..effect import Effect
from ..errors import Unavailable
from ..flow import chain_needed
from ..incarnation import is_gone
from ..message import Message
from ..signing import NO_KEYS, Keyring
from ..sql.dialect import dialect_of, heads, hold_ready
from ..sql.engine import is_passing, now_us, reading, unavailable
from ..sql.tables import (
    IS_HELD,
    announced_table,
    chain_table,
    create_tables,
    join_table,
    message_table,
    part_table,
    result_table,
    run_table,
)
from ..sql.wake import Waker, open_waker
from ..template import Rendered, Sendable
from ..unique import Unique
from . import records, sql_dead, sql_revoked, sql_unique
from .base import (
    DEFAULT_LIMITS,
    OUTBOX,
    Exchange,
    JoinState,
    KeptLetter,
    Limits,
    Loaded,
    Role,
    Taken,
    Transition,
    decoded,
)
from .run import judge
from .sql_batch import SqlBatch

T = TypeVar("T")
TRIES = 8
"""How often a transaction that lost against another one is tried."""
PATIENCE_SECONDS = 10.0
"""After it none is tried again: SQLite has waited for its lock by then, once, and MySQL a few times."""
FREED_AT_ONCE = 500
"""Messages of a process that is over, in one statement."""
REVOKED_AT_ONCE = 500
"""Ids that are revoked in one transaction."""


class SqlCommit:
    """One worker's or client's view of a database; a Commit."""

    def __init__(
        self,
        engine: Engine,
        *,
        worker: str = "",
        queues: Sequence[str] = (),
        limits: Limits = DEFAULT_LIMITS,
        role: Role = Role.WHOLE,
        keyring: Keyring = NO_KEYS,
    ) -> None:
        self._engine = engine
        self._worker = worker
        self._queues = [OUTBOX] if role is Role.STORE else list(queues)
        self._role = role
        self._limits = limits
        self._keyring = keyring
        ready = message_table.c.queue.in_(self._queues) & (
            message_table.c.visible_us <= dialect_of(engine).clock()
        )
        self._any = (
            select(message_table.c.seq).where(ready).limit(1)
        )  # once, as idle workers ask it all the time
        self._waker: Waker | None = None
        with unavailable():
            create_tables(engine)

    def exchange(
        self, transitions: Sequence[Transition], *, take: int = 0, claim: Sequence[Taken] = ()
    ) -> Exchange:
        if not transitions and not claim and not self._anything_visible():
            return Exchange([])
        if any(transition.unique is not None for transition in transitions):
            with reading(self._engine) as connection:
                holders = sql_unique.peek(connection, transitions, now_us(connection))
            if holders and not take and not claim:
                return Exchange([None], holders=holders)

        def work(connection: Connection) -> Exchange:
            batch = self._batch(connection)
            standing, holders = sql_unique.apply(batch, transitions)
            claimed = self._claim(batch, claim)
            taken = self._take(batch, take) if take else []
            notify(connection, batch)
            return Exchange(standing, taken, claimed, batch.outbox, holders)

        return self._transact(work)

    def put(self, items: Sequence[Rendered]) -> Collection[str]:
        if not items:
            with reading(self._engine) as connection:
                now_us(connection)
            return ()

        self._transact(lambda connection: put_messages(connection, items))
        return ()

    def load(self, chains: Collection[str] = (), joins: Collection[str] = ()) -> Loaded:
        with reading(self._engine) as connection:
            return _load(connection, chains, joins)

    def renew(self, held: Sequence[Taken]) -> None:
        if not held:
            return
        seqs, ids = _held_keys(held)

        def work(connection: Connection) -> None:
            until = now_us(connection) + self._limits.lease_us
            mine = message_table.c.holder == self._worker
            connection.execute(
                update(message_table).where(message_table.c.seq.in_(seqs), mine).values(visible_us=until)
            )
            claimed = (run_table.c.worker == self._worker) & run_table.c.outcome.is_(None)
            connection.execute(
                update(run_table).where(run_table.c.task_id.in_(ids), claimed).values(lease_us=until)
            )

        self._transact(work)

    def release(self, held: Sequence[Taken], *, lost: bool = False) -> None:
        if not held:
            return
        seqs, ids = _held_keys(held)

        def work(connection: Connection) -> None:
            mine = message_table.c.holder == self._worker
            freed = update(message_table).where(message_table.c.seq.in_(seqs), mine)
            connection.execute(freed.values(visible_us=0, holder=""))
            claimed = (run_table.c.worker == self._worker) & run_table.c.outcome.is_(None)
            unclaimed = update(run_table).where(run_table.c.task_id.in_(ids), claimed)
            connection.execute(unclaimed.values(worker="", lease_us=0, lost=run_table.c.lost + int(lost)))
            wake_takers(connection)

        self._transact(work)

    def pause(self) -> None:
        """Nothing is sent ahead: what is taken is given out."""

    def sweep(self) -> list[JoinRecord]:
        return self._transact(_sweep)

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        if self._waker is None:
            self._waker = open_waker(self._engine, "bb_message")
        with reading(self._engine) as connection:
            seconds = self._seconds_to_message(connection)
            timeout = timeout if seconds is None else min(timeout, seconds)
        if timeout > 0:
            try:
                self._waker.wait(timeout, wakers, self._sees_any)
            except Unavailable:
                self.close()  # the next wait listens anew
                raise

    def revoke(self, ids: Sequence[str], signum: int | None = None) -> None:
        def work(connection: Connection, some: Sequence[str]) -> None:
            batch = self._batch(connection)
            batch.revoke(some)  # first, as it locks
            sql_revoked.remember(connection, some, signum, batch.now_us)
            sql_revoked.hasten(connection, some, batch.now_us)
            notify(connection, batch, hastened=True)

        for first in range(0, len(ids), REVOKED_AT_ONCE):
            some = ids[first : first + REVOKED_AT_ONCE]
            self._transact(partial(work, some=some))

    def terminations(self, ids: Collection[str]) -> Mapping[str, int]:
        with reading(self._engine) as connection:
            return sql_revoked.terminations(connection, ids)

    def seconds_to_timer(self) -> float | None:
        with reading(self._engine) as connection:
            return self._seconds_to_message(connection)

    def dead_letters(self, limit: int, before: str = "") -> Sequence[KeptLetter]:
        with reading(self._engine) as connection:
            return sql_dead.newest(connection, limit, before)

    def dead_letter(self, key: str) -> KeptLetter | None:
        with reading(self._engine) as connection:
            return sql_dead.find(connection, key)

    def drop_dead(self, keys: Sequence[str]) -> int:
        return self._transact(lambda connection: sql_dead.drop(connection, keys))

    def announce(self, name: str, value: str, seconds: float) -> str:
        def work(connection: Connection) -> str:
            dialect_of(connection).end_if_frozen(connection)  # it holds the row that the next one needs
            now, table = now_us(connection), announced_table
            until = now + round(seconds * 1_000_000)
            connection.execute(delete(table).where(table.c.name == name, table.c.until_us <= now))
            connection.execute(
                dialect_of(connection).insert_missing(table),
                {"name": name, "value": value, "until_us": until},
            )
            mine = (table.c.name == name) & (table.c.value == value)
            connection.execute(update(table).where(mine).values(until_us=until))
            return str(connection.execute(select(table.c.value).where(table.c.name == name)).scalar_one())

        return self._transact(work)

    def close(self) -> None:
        waker, self._waker = self._waker, None
        if waker is not None:
            waker.close()

    # --- taking --------------------------------------------------------------------------------------------------------------

    def _anything_visible(self) -> bool:
        """A look without a write transaction, so that idle workers do not stand in each other's way."""
        with reading(self._engine) as connection:
            return self._sees_any(connection)

    def _sees_any(self, connection: Connection) -> bool:
        return connection.execute(self._any).first() is not None

    def _seconds_to_message(self, connection: Connection) -> float | None:
        """How long until there is one to take, as far as is known now."""
        firsts = heads(connection, self._queues)
        return (min(firsts.values()) - now_us(connection)) / 1_000_000 if firsts else None

    def _batch(self, connection: Connection) -> SqlBatch:
        return SqlBatch(connection, self._worker, self._limits, now_us(connection), self._role, self._keyring)

    def _take(self, batch: SqlBatch, limit: int) -> list[Taken]:
        connection = batch.connection
        hold = {"visible_us": batch.now_us + self._limits.lease_us, "holder": self._worker}
        rows = hold_ready(connection, self._queues, batch.now_us, limit, hold)
        deliveries = [
            Delivery(f"{row.seq}@{self._worker}", row.queue, None, row.body)
            for row in sorted(rows, key=lambda row: row.seq)
        ]
        return self._claim(batch, [decoded(delivery, self._keyring) for delivery in deliveries])

    def _claim(self, batch: SqlBatch, taken: Sequence[Taken]) -> list[Taken]:
        messages = [item.message for item in taken if item.message is not None]
        if not messages or self._role is Role.BROKER or taken[0].delivery.queue == OUTBOX:
            return list(taken)
        runs = batch.runs.lock([message.id for message in messages])
        refused = sql_revoked.revoked_of(batch.connection, messages)
        claimed = []
        for item in taken:
            message = item.message
            if message is None:
                claimed.append(item)
                continue
            verdict, record = judge(
                runs[message.id],
                message,
                worker=self._worker,
                now_us=batch.now_us,
                limits=self._limits,
                revoked=message.id in refused or message.root_id in refused,
                is_gone=is_gone,
            )
            if record is not None:
                batch.runs.put(message.id, record)
                runs[message.id] = record
            claimed.append(replace(item, verdict=verdict))
        batch.runs.write()
        return claimed

    def _transact(self, work: Callable[[Connection], T]) -> T:
        deadline = time.monotonic() + PATIENCE_SECONDS
        for attempt in range(TRIES):
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except (DBAPIError, PoolTimeout) as error:
                is_last = attempt == TRIES - 1 or time.monotonic() >= deadline
                if isinstance(error, PoolTimeout) or not is_passing(error) or is_last:
                    with unavailable():
                        raise
                time.sleep(0.005 * 2**attempt)
        raise AssertionError("unreachable")


def put_messages(connection: Connection, items: Sequence[Sendable], keyring: Keyring = NO_KEYS) -> None:
    """Write messages in the caller's transaction: they are there when it commits. All of them, or an exception."""
    batch = SqlBatch(connection, worker="", limits=DEFAULT_LIMITS, now_us=now_us(connection), keyring=keyring)
    for item in items:
        if isinstance(item, Message):
            batch.publish(item)
        else:
            row = {"queue": item.queue, "visible_us": batch.now_us, "holder": "", "body": item.envelope()}
            batch.messages.append({**row, "task_id": item.id})
    batch.write_messages()
    notify(connection, batch)


def put_effects(
    connection: Connection,
    effects: Sequence[Effect],
    limits: Limits,
    role: Role,
    keyring: Keyring = NO_KEYS,
    unique: Unique | None = None,
) -> str | None:
    """Bring the effects of `flow.start` in the caller's transaction: they stand when it commits.

    With Role.STORE messages are in the outbox then, and nobody holds them. With `unique` nothing is brought if another task has the key;
    returns its id.
    """
    limits = replace(limits, lease_seconds=0.0)
    batch = SqlBatch(connection, "", limits, now_us(connection), role, keyring)
    _, holders = sql_unique.apply(batch, [Transition(effects=tuple(effects), unique=unique)])
    notify(connection, batch)
    return holders.get(0)


def notify(connection: Connection, batch: SqlBatch, *, hastened: bool = False) -> None:
    """Wake those who wait, where the database can; elsewhere they look (see wake.py)."""
    if batch.messages or hastened:
        wake_takers(connection)
    dialect_of(connection).notify(connection, "bb_result", batch.documented)


def wake_takers(connection: Connection) -> None:
    """There may be something to take once this transaction is committed."""
    dialect_of(connection).notify(connection, "bb_message", [""])


def _load(connection: Connection, chains: Collection[str], joins: Collection[str]) -> Loaded:
    found: dict[str, ChainRecord] = {}
    wanted = set(chains)
    while wanted:
        query = select(chain_table.c.chain_id, chain_table.c.record).where(
            chain_table.c.chain_id.in_(sorted(wanted))
        )
        loaded = {row.chain_id: records.chain_from_text(row.record) for row in connection.execute(query)}
        found |= loaded
        below = {chain_needed(record.below) for record in loaded.values()} - {None}
        wanted = {id_ for id_ in below if id_ is not None and id_ not in found}
    states = {}
    for id_ in joins:
        row = connection.execute(select(join_table).where(join_table.c.join_id == id_)).first()
        if row is not None:
            query = select(part_table.c.part, part_table.c.outcome).where(part_table.c.join_id == id_)
            parts = [records.part_from_text(part, text) for part, text in connection.execute(query)]
            complete = not row.closed and row.size is not None and len(parts) >= row.size
            states[id_] = JoinState(records.join_from_text(row.record), parts, complete)
    return Loaded(found, states)


def _sweep(connection: Connection) -> list[JoinRecord]:
    now = now_us(connection)
    holding = select(message_table.c.holder).where(IS_HELD).distinct()
    holding = holding.with_hint(message_table, "FORCE INDEX (bb_message_holder)", "mysql")
    for gone in [row.holder for row in connection.execute(holding) if is_gone(row.holder)]:
        _free(connection, gone)
    sql_revoked.forget_old(connection, now)
    sql_unique.forget_free(connection, now)
    for table in (run_table, result_table, chain_table, join_table):
        connection.execute(delete(table).where(table.c.expires_us <= now))
    overdue = join_table.c.size.is_(None) & (join_table.c.deadline_us <= now) & join_table.c.closed.is_(False)
    return [
        records.join_from_text(row.record)
        for row in connection.execute(select(join_table.c.record).where(overdue))
    ]


def _free(connection: Connection, gone: str) -> None:
    """What a process held that is over: its messages, and the claims of their runs. A claim without a message here is judged to be dead
    when its message comes again."""
    table = message_table.c
    found = select(table.seq, table.task_id).where(IS_HELD, table.holder == gone)
    held = sorted(connection.execute(found).all(), key=lambda row: row.seq)
    for first in range(0, len(held), FREED_AT_ONCE):
        some = held[first : first + FREED_AT_ONCE]
        mine = table.seq.in_([row.seq for row in some]) & (table.holder == gone)
        connection.execute(update(message_table).where(mine).values(visible_us=0, holder=""))
        ids = sorted({row.task_id for row in some if row.task_id is not None})
        claimed = run_table.c.task_id.in_(ids) & (run_table.c.worker == gone) & run_table.c.outcome.is_(None)
        connection.execute(update(run_table).where(claimed).values(lease_us=0))


def _held_keys(held: Sequence[Taken]) -> tuple[list[int], list[str]]:
    seqs = [int(item.delivery.tag.split("@", 1)[0]) for item in held if item.delivery.tag]
    return seqs, [item.message.id for item in held if item.message is not None]
