"""SqlBatch: what one exchange changes in a SQL database, decided in memory and written in few statements.

Rows that decide (runs, then joins) are locked first, so that no two workers decide by the same ones, or wait for each other. Everything
happens in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace
from sqlalchemy import Connection

from ..delivery import Delivery
from ..effect import (
    AddPart,
    CloseChain,
    CountPart,
    Effect,
    GrowJoin,
    KeepChain,
    OpenChain,
    OpenCount,
    OpenJoin,
    OpenPlan,
    Publish,
    ReopenJoin,
    Restart,
    Revoke,
    SealJoin,
    Settle,
)
from ..incarnation import name_of
from ..message import Message
from ..own_tasks import join_message
from ..results.document import document_of
from ..series import Series
from ..signing import NO_KEYS, Keyring
from ..sql.dialect import dialect_of
from ..sql.moment import Moment
from ..sql.wake import wake_takers
from ..stamp import is_stamp_key
from . import records
from .dead_letter import part_without_join
from .limits import Limits
from .put_off import PutOff
from .role import Role
from .run import begin_early, give_back, hastened, restart, revoke, settle, settle_unstarted, waiting_id
from .sent import sent_by
from .sql_dead import bury, drop
from .sql_documents import SqlDocuments
from .sql_joins import SqlJoins
from .sql_lanes import SqlLanes
from .sql_messages import SqlMessages
from .sql_records import keep_chain, open_records
from .sql_revoked import forget, hasten, remember, revoked_of
from .sql_runs import SqlRuns
from .touched import effects_of, growing_ids, join_ids, limit_keys, run_ids
from .transition import Transition, settled_document
from .verdict import Standing


@dataclass(slots=True)
class SqlBatch:
    """The changes of one exchange."""

    connection: Connection
    worker: str
    limits: Limits
    role: Role = Role.WHOLE
    keyring: Keyring = NO_KEYS
    admitted: list[str] = field(default_factory=list)
    _moment: Moment = field(init=False)
    _freed: list[str] = field(default_factory=list)
    _lanes: SqlLanes = field(init=False)
    _messages: SqlMessages = field(init=False)
    runs: SqlRuns = field(init=False)
    _joins: SqlJoins = field(init=False)
    _documents: SqlDocuments = field(init=False)
    _has_hastened: bool = False

    def __post_init__(self) -> None:
        self._moment = Moment(self.connection)
        self.runs = SqlRuns(self.connection, self._moment, self.limits.known_seconds)
        self._joins = SqlJoins(self.connection)
        self._lanes = SqlLanes(self.connection, self._moment)
        self._documents = SqlDocuments(self._moment, self.limits)
        series, lease_us = Series(self.keyring), self.limits.outbox_lease_us
        self._messages = SqlMessages(self._moment, series, self.role, self.worker, lease_us)

    @property
    def now_us(self) -> int:
        """The database's clock."""
        return self._moment.us

    @property
    def outbox(self) -> list[Delivery]:
        """What was written to the outbox, and is this worker's to send."""
        return self._messages.outbox

    def apply(self, transitions: Sequence[Transition]) -> list[Standing | None]:
        """Decide all transitions, in order, and write what they change."""
        self._lanes.lock(limit_keys(transitions))
        self.runs.lock(run_ids(transitions), are_known=True)
        transitions = [transition.dated(self.now_us) for transition in transitions]
        # before joins are locked
        open_records(self._moment, self._joins, effects_of(transitions), self.limits.plan_seconds)
        self._joins.lock(join_ids(transitions), growing_ids(transitions))
        standing = [self._apply(transition) for transition in transitions]
        for join_id in self._joins.write_parts():
            self._messages.publish(join_message(join_id, self._joins.generation_of(join_id)))
        self._write()
        for key in self._freed:  # now that what began to wait in this very step can be found
            self._has_hastened = self._lanes.wake(key, self.runs.get, 1) or self._has_hastened
        self._lanes.write()
        return standing

    def revoke(self, ids: Collection[str], signum: int | None = None) -> None:
        """Remember that these are revoked; store REVOKED at once for those that nobody runs, and let timers of them be due."""
        self.runs.lock([id_ for id_ in ids if not is_stamp_key(id_)])
        self._revoke(ids, signum)
        self._write()

    def _revoke(self, ids: Collection[str], signum: int | None = None) -> None:
        """As `revoke`, of ids that are locked."""
        for id_ in ids:
            if is_stamp_key(id_):
                continue
            changed = revoke(self.runs.get(id_), self.now_us)
            if changed is not None and changed.outcome is not None:
                self.runs.put(id_, changed)
                self._documents.put(document_of(id_, changed.outcome, now_us=self.now_us))
        remember(self.connection, list(ids), signum, self.now_us)
        hasten(self.connection, ids, self.now_us)
        self._has_hastened = True

    def notify(self) -> None:
        """Wake those who wait for what was made due, where the database can; elsewhere they look (see wake.py)."""
        if self.role is not Role.STORE and self._has_hastened:
            wake_takers(self.connection)

    # --- deciding ------------------------------------------------------------------------------------------------------------

    def _apply(self, transition: Transition) -> Standing | None:
        transition = self._admit(transition)
        waiting = transition.puts_off.message if transition.puts_off is not None else transition.message
        if waiting is not None and waiting_id(transition) is not None:
            is_revoked = waiting.id in revoked_of(self.connection, [waiting])
            transition = hastened(transition) if is_revoked else transition
        standing = self._settle(transition)
        if standing is not None:
            return standing
        if transition.puts_off is not None:
            self._give_back(transition.puts_off.message)
        if self._digs_up(transition) and self._closes(transition):
            for effect in transition.effects:
                self._effect(effect)
            self._know(transition.effects)
        if transition.frees is not None:
            self._freed.append(transition.frees)
        if transition.dead is not None:
            bury(self.connection, transition.dead, self.now_us)
        if transition.early is not None:
            self._begin_early(transition.early)
        elif transition.delivery is not None and transition.delivery.tag:
            self._messages.acknowledge(transition.delivery.tag)
        return None

    def _begin_early(self, message: Message) -> None:
        """Its row stays held: only workers of ours read the table."""
        record = begin_early(self.runs.get(message.id), message, self.worker)
        if record is not None:
            self.runs.put(message.id, record)

    def _admit(self, transition: Transition) -> Transition:
        """What remains of it: nothing if it may start, else what puts it off."""
        ask = transition.admits
        if ask is None or give_back(self.runs.get(ask.message.id), ask.message, self.worker) is None:
            return transition
        wait = self._lanes.admit(ask, self.runs.get)
        if wait is None:
            self.admitted.append(ask.message.id)
            return Transition()
        return replace(transition, puts_off=PutOff(ask.message, wait)).dated(self.now_us)

    def wake(self, keys: Sequence[str]) -> None:
        """Wake those that wait for slots of these keys that are free."""
        self._lanes.lock(keys)
        for key in keys:
            self._has_hastened = self._lanes.wake(key, self.runs.get) or self._has_hastened
        self._lanes.write()

    def _give_back(self, message: Message) -> None:
        record = give_back(self.runs.get(message.id), message, self.worker)
        if record is not None:
            self.runs.put(message.id, record)

    def _settle(self, transition: Transition) -> Standing | None:
        message, outcome = transition.message, transition.outcome
        if message is None or outcome is None:
            return None
        standing, record = settle(self.runs.get(message.id), message, outcome)
        if record is not None:
            self.runs.put(message.id, record)
            worker, extended = name_of(self.worker), self.limits.extended
            document = transition.document(
                now_us=self.now_us, worker=worker, extended=extended, keyring=self.keyring
            )
            if document is not None:
                self._documents.put(document)
        return standing

    @property
    def _known_until_us(self) -> int | None:
        return self._moment.after(self.limits.known_seconds)

    def _closes(self, transition: Transition) -> bool:
        return transition.closes is None or self._joins.close(transition.closes, self._known_until_us)

    def _digs_up(self, transition: Transition) -> bool:
        key = transition.digs_up
        return key is None or drop(self.connection, [key]) > 0

    def _effect(self, effect: Effect) -> None:
        match effect:
            case Publish(message, not_before_us):
                self._messages.publish(message, not_before_us)
            case Settle():
                self._settle_unstarted(effect)
            case OpenChain() | OpenJoin() | OpenPlan():
                pass  # written before joins are locked
            case CloseChain(chain_id):
                keep_chain(self.connection, chain_id, self._known_until_us)
            case KeepChain(chain_id):
                keep_chain(self.connection, chain_id, None)
            case Restart(ids, generation, roots):
                forget(self.connection, [*ids, *roots])
                self._restart(ids, generation)
            case ReopenJoin(join_id, indexes, generation):
                self._joins.reopen(join_id, indexes, generation)
            case SealJoin(join_id, size):
                self._joins.seal(join_id, size)
            case Revoke(ids):
                self._revoke(ids)
            case GrowJoin(join_id, key, ids):
                if not self._joins.grow(join_id, key):
                    self._revoke(ids)
            case CountPart() | OpenCount():
                pass  # Celery's workers count in Redis alone; elsewhere who joins reads the results
            case AddPart(join_id, index, id_, outcome, completes, key):
                text = records.part_to_text(id_, outcome)
                if not self._joins.add(join_id, index, text, completes=completes, key=key):
                    bury(self.connection, part_without_join(join_id, id_, text), self.now_us)

    def _restart(self, ids: Sequence[str], generation: int) -> None:
        self._documents.delete([id_ for id_ in ids if self._restarts(id_, generation)])

    def _restarts(self, id_: str, generation: int) -> bool:
        record = restart(self.runs.get(id_), generation)
        if record is not None:
            self.runs.put(id_, record)
        return record is not None

    def _know(self, effects: Sequence[Effect]) -> None:
        """Messages can be found by their ids while they are in this database; what leaves it, and what is to follow, gets a run."""
        if self.role is not Role.BROKER:
            leaves = self.role is Role.STORE
            self.runs.know(sent_by(effects), self.limits.keep_seconds, messages=leaves)

    def _settle_unstarted(self, settled: Settle) -> None:
        run = settle_unstarted(self.runs.get(settled.id), settled.outcome, settled.attempt)
        if run is not None:
            self.runs.put(settled.id, run)
            document = settled_document(settled, now_us=self.now_us, extended=self.limits.extended)
            self._documents.put(document)

    def _write(self) -> None:
        """Write all that was decided, in one statement where the database can."""
        steps = [
            *self._messages.drops(),
            *self.runs.steps(),
            *self._documents.steps(),
            *self._messages.adds(),
        ]
        dialect_of(self.connection).write(self.connection, steps)
        self._documents.share()
        self._messages.write_outbox()
