"""SqlCommit: broker, results and canvas in one SQL database (SQLite, PostgreSQL, MariaDB, MySQL): every exchange is one transaction.

A message is deleted when it is acknowledged; until then whoever holds it has moved its `visible_us` one lease ahead (see tables.py),
so what a killed worker held is there again after the lease, or at once when the worker's process is known to be gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..celery_place import CeleryPlace
from ..continuation import JoinRecord
from ..delivery import Delivery
from ..errors import Unavailable
from ..hesitation import Hesitation
from ..incarnation import name_of
from ..priority import in_order, queue_of_lane, urgency_of
from ..progress import Progress
from ..readable import readable
from ..results.celery_rows import CeleryRows
from ..results.document import to_text
from ..signing import NO_KEYS, Keyring
from ..sql.celery_tables import ensure_celery_tables
from ..sql.dialect import dialect_of
from ..sql.engine import is_passing, now_us, reading, unavailable
from ..sql.ready import until_first
from ..sql.tables import (
    chain_table,
    ensure_tables,
    group_table,
    join_table,
    message_table,
    part_table,
    plan_table,
    result_table,
    run_table,
)
from ..sql.wake import Waker, open_waker
from ..template import Rendered
from . import (
    sql_announced,
    sql_audience,
    sql_claims,
    sql_dead,
    sql_held,
    sql_lanes,
    sql_records,
    sql_revoked,
    sql_told,
    sql_unique,
)
from .base import Loaded
from .dead_letter import KeptLetter
from .limits import DEFAULT_LIMITS, Limits
from .looking import Waiting, waiting_of
from .role import OUTBOX, Role
from .sql_batch import SqlBatch
from .sql_put import put_messages
from .taken import Taken, decoded
from .transition import Exchange, Transition

T = TypeVar("T")
TRIES = 8
"""How often a transaction that lost against another one is tried."""
PATIENCE_SECONDS = 10.0
"""After it none is tried again: SQLite has waited for its lock by then, once, and MySQL a few times."""
FORGET_SECONDS = 600.0
"""How often one worker looks for old rows in Celery's tables, unless results are kept for less."""
LONGEST_PAUSE_SECONDS = 0.05
"""How long messages are left to others at most: as long as where a database is asked again and again (decisions K25)."""
REVOKED_AT_ONCE = 500
"""Ids that are revoked in one transaction."""


class SqlCommit:
    """One worker's or client's view of a database; a Commit."""

    at_once = 256
    """A transaction is some ten ways to the server and back, whatever is in it."""

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
        self._role = role
        self._limits = limits
        self._keyring = keyring
        self.serve(queues)
        self._waker: Waker | None = None
        self._hesitation = Hesitation(LONGEST_PAUSE_SECONDS)
        self._forgets_at = 0.0
        with unavailable():
            ensure_tables(engine)
            if limits.celery is not None:
                ensure_celery_tables(engine, limits.celery)

    def exchange(
        self, transitions: Sequence[Transition], *, take: int = 0, claim: Sequence[Taken] = ()
    ) -> Exchange:
        done = self._exchange(transitions, take, claim)
        if take:
            self._hesitation.took(len(done.taken))
        return done

    def _exchange(self, transitions: Sequence[Transition], take: int, claim: Sequence[Taken]) -> Exchange:
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
            claimed = sql_claims.claim(batch, claim)
            taken = self._take(batch, take) if take else []
            batch.notify()
            return Exchange(standing, taken, claimed, batch.outbox, holders, batch.admitted)

        return self._transact(work)

    def put(self, items: Sequence[Rendered]) -> Collection[str]:
        if not items:
            with reading(self._engine) as connection:
                now_us(connection)
            return ()

        self._transact(lambda connection: put_messages(connection, items))
        return ()

    def load(
        self, chains: Collection[str] = (), joins: Collection[str] = (), plans: Collection[str] = ()
    ) -> Loaded:
        with reading(self._engine) as connection:
            return sql_records.load(connection, chains, joins, plans)

    def renew(self, held: Sequence[Taken]) -> None:
        if not held:
            return
        self._transact(
            lambda connection: sql_held.renew(connection, self._worker, held, self._limits.lease_us)
        )

    def release(self, held: Sequence[Taken], *, lost: bool = False) -> None:
        if not held:
            return
        self._transact(lambda connection: sql_held.release(connection, self._worker, held, lost=lost))

    def pause(self) -> None:
        """Nothing is sent ahead: what is taken is given out."""

    def sweep(self) -> list[JoinRecord]:
        interrupted = self._transact(_sweep)
        with reading(self._engine) as connection:
            keys = sql_lanes.waited_for(connection)
        if keys:  # by itself, as keys are locked before anything else
            self._transact(lambda connection: self._wake(connection, keys))
        if self._limits.celery is not None and self._limits.keep_seconds:
            self._forget_celerys(self._limits.celery)
        return interrupted

    def _forget_celerys(self, place: CeleryPlace) -> None:
        """From time to time only: of a table that Celery before 5.7 made all is looked at."""
        if time.monotonic() < self._forgets_at:
            return
        keep = self._limits.keep_seconds
        self._forgets_at = time.monotonic() + min(keep, FORGET_SECONDS)
        self._transact(lambda connection: CeleryRows(connection, place).forget_old(now_us(connection), keep))

    def _wake(self, connection: Connection, keys: Sequence[str]) -> None:
        batch = self._batch(connection)
        batch.wake(keys)
        batch.notify()

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        if self._waker is None:
            self._waker = open_waker(self._engine, "bb_message")
        with reading(self._engine) as connection:
            seconds = self._seconds_to_message(connection)
        if seconds is not None and seconds <= 0:
            pause = min(self._hesitation.seconds, timeout)
            if not pause or not readable(wakers, pause):
                self._hesitation.saw()
            return
        timeout = timeout if seconds is None else min(timeout, seconds)
        try:
            self._waker.wait(timeout, wakers, self._sees_any, self._hesitation)
        except Unavailable:
            self.close()  # the next wait listens anew
            raise

    def revoke(self, ids: Sequence[str], signum: int | None = None) -> None:
        def work(connection: Connection, some: Sequence[str]) -> None:
            batch = self._batch(connection)
            batch.revoke(some, signum)
            batch.notify()

        for first in range(0, len(ids), REVOKED_AT_ONCE):
            some = ids[first : first + REVOKED_AT_ONCE]
            self._transact(partial(work, some=some))

    def terminations(self, ids: Collection[str]) -> Mapping[str, int]:
        with reading(self._engine) as connection:
            return sql_revoked.terminations(connection, ids)

    def seconds_to_timer(self) -> float | None:
        with reading(self._engine) as connection:
            return self._seconds_to_message(connection)

    def serve(self, queues: Sequence[str]) -> None:
        is_store, lowest_first = self._role is Role.STORE, self._limits.lowest_first
        self._queues = [OUTBOX] if is_store else in_order(queues, lowest_first=lowest_first)
        """The lanes that it takes from, see priority.py."""
        clock = dialect_of(self._engine).clock()
        ready = message_table.c.queue.in_(self._queues) & (message_table.c.visible_us <= clock)
        # once, as idle workers ask them all the time
        self._any = select(message_table.c.seq).where(ready).limit(1)
        self._until_first = until_first(self._queues, clock)

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        with reading(self._engine) as connection:
            return sql_held.counts(connection, now_us(connection), queues)

    def scheduled(self, limit: int) -> Sequence[Waiting]:
        with reading(self._engine) as connection:
            found = sql_held.waiting(connection, now_us(connection), limit)
        return waiting_of(found, self._keyring)

    def revoked(self, limit: int) -> Sequence[str]:
        with reading(self._engine) as connection:
            return sql_revoked.newest(connection, limit)

    def dead_letters(self, limit: int, before: str = "") -> Sequence[KeptLetter]:
        with reading(self._engine) as connection:
            return sql_dead.newest(connection, limit, before)

    def dead_letter(self, key: str) -> KeptLetter | None:
        with reading(self._engine) as connection:
            return sql_dead.find(connection, key)

    def drop_dead(self, keys: Sequence[str]) -> int:
        return self._transact(lambda connection: sql_dead.drop(connection, keys))

    def tell(self, words: Sequence[Progress]) -> None:
        def work(connection: Connection) -> None:
            now, worker, extended = now_us(connection), name_of(self._worker), self._limits.extended
            documents = [word.document(now_us=now, worker=worker, extended=extended) for word in words]
            texts = {document.id: to_text(document) for document in documents}
            keep = self._limits.keep_seconds
            sql_told.tell(connection, texts, now + round(keep * 1_000_000) if keep else None)
            if self._limits.celery is not None:
                CeleryRows(connection, self._limits.celery).write(texts, told=True)

        self._transact(work)

    def announce(self, name: str, value: str, seconds: float) -> str:
        return self._transact(lambda connection: sql_announced.announce(connection, name, value, seconds))

    def present(self, broadcast: str, queue: str, seconds: float) -> None:
        self._transact(lambda connection: sql_audience.present(connection, broadcast, queue, seconds))

    def audience(self, broadcast: str) -> Sequence[str]:
        with reading(self._engine) as connection:
            return sql_audience.audience(connection, broadcast)

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
        until_us = connection.execute(self._until_first).scalar_one()
        return None if until_us is None else float(until_us) / 1_000_000

    def _batch(self, connection: Connection) -> SqlBatch:
        return SqlBatch(connection, self._worker, self._limits, self._role, self._keyring)

    def _take(self, batch: SqlBatch, limit: int) -> list[Taken]:
        connection = batch.connection
        hold = {"visible_us": batch.now_us + self._limits.lease_us, "holder": self._worker}
        rows = dialect_of(connection).hold(connection, self._queues, batch.now_us, limit, hold)
        sign = 1 if self._limits.lowest_first else -1
        deliveries = [
            Delivery(f"{row.seq}@{self._worker}", queue_of_lane(row.queue), None, row.body)
            for row in sorted(rows, key=lambda row: (sign * urgency_of(row.queue), row.seq))
        ]
        return sql_claims.claim(batch, [decoded(delivery, self._keyring) for delivery in deliveries])

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


def _sweep(connection: Connection) -> list[JoinRecord]:
    now = now_us(connection)
    sql_held.free_gone(connection)
    sql_revoked.forget_old(connection, now)
    sql_unique.forget_free(connection, now)
    sql_lanes.forget_old(connection, now)
    # read first: MariaDB would look at all parts for a subquery
    over = [
        row.join_id
        for row in connection.execute(select(join_table.c.join_id).where(join_table.c.expires_us <= now))
    ]
    if over:
        connection.execute(delete(part_table).where(part_table.c.join_id.in_(over)))
    for table in (run_table, result_table, group_table, chain_table, join_table, plan_table):
        connection.execute(delete(table).where(table.c.expires_us <= now))
    return sql_records.interrupted(connection, now)
