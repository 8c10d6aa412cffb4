"""SqlBatch: what one exchange changes in a SQL database, decided in memory and written in few statements.

Rows that decide (runs, then joins) are locked first, so that no two workers decide by the same ones, or wait for each other. Everything
happens in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace
from sqlalchemy import Connection, delete, update

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
from ..message import Message, sent_at
from ..own_tasks import join_message
from ..plan import plan_to_text
from ..priority import lane
from ..results.compression import compressed_text
from ..results.document import document_of, to_text
from ..series import Series
from ..signing import NO_KEYS, Keyring
from ..sql.dialect import dialect_of
from ..sql.tables import (
    Row,
    chain_table,
    message_table,
    plan_table,
    result_table,
    run_table,
)
from ..sql.wake import wake_takers
from ..stamp import is_stamp_key
from . import records
from .dead_letter import part_without_join
from .limits import Limits
from .put_off import PutOff
from .role import OUTBOX, Role
from .run import begin_early, give_back, hastened, restart, revoke, settle, settle_unstarted, waiting_id
from .sent import STEP_SECONDS, WAITING_SECONDS, Sent, sent_by
from .sql_dead import bury, drop
from .sql_joins import SqlJoins
from .sql_lanes import SqlLanes
from .sql_revoked import forget, hasten, remember, revoked_of
from .sql_runs import SqlRuns, empty_run
from .touched import effects_of, growing_ids, join_ids, limit_keys, run_ids
from .transition import Transition, settled_document
from .verdict import Standing


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
    admitted: list[str] = field(default_factory=list)
    _freed: list[str] = field(default_factory=list)
    _lanes: SqlLanes = field(init=False)
    runs: SqlRuns = field(init=False)
    _joins: SqlJoins = field(init=False)
    _series: Series = field(init=False)
    _documents: dict[str, str] = field(default_factory=dict)
    _known: dict[str, int] = field(default_factory=dict)
    _has_hastened: bool = False
    _acknowledged: dict[str, set[int]] = field(default_factory=dict)
    """By holder the numbers of messages."""

    def __post_init__(self) -> None:
        self.runs = SqlRuns(self.connection, self.known_until_us)
        self._joins = SqlJoins(self.connection)
        self._lanes = SqlLanes(self.connection, self.now_us)
        self._series = Series(self.keyring)

    @property
    def known_until_us(self) -> int | None:
        return self._after(self.limits.known_seconds)

    def _after(self, seconds: float) -> int | None:
        """When what is kept for so many seconds from now on is deleted; None for never."""
        return self.now_us + round(seconds * 1_000_000) if seconds else None

    def apply(self, transitions: Sequence[Transition]) -> list[Standing | None]:
        """Decide all transitions, in order, and write what they change."""
        self._lanes.lock(limit_keys(transitions))
        transitions = [transition.dated(self.now_us) for transition in transitions]
        self.runs.lock(run_ids(transitions), are_known=True)
        self._open_chains_and_joins(transitions)
        self._joins.lock(join_ids(transitions), growing_ids(transitions))
        standing = [self._apply(transition) for transition in transitions]
        for join_id in self._joins.write_parts():
            self.publish(join_message(join_id, self._joins.generation_of(join_id)))
        self._delete_acknowledged()
        self._write_known()
        self.runs.write()
        self._write_documents()
        self.write_messages()
        for key in self._freed:  # now that what began to wait in this very step can be found
            self._has_hastened = self._lanes.wake(key, self.runs.get, 1) or self._has_hastened
        self._lanes.write()
        return standing

    def revoke(self, ids: Collection[str], signum: int | None = None) -> None:
        """Remember that these are revoked; store REVOKED at once for those that nobody runs, and let timers of them be due."""
        self.runs.lock([id_ for id_ in ids if not is_stamp_key(id_)])
        self._revoke(ids, signum)
        self.runs.write()
        self._write_documents()

    def _revoke(self, ids: Collection[str], signum: int | None = None) -> None:
        """As `revoke`, of ids that are locked."""
        for id_ in ids:
            if is_stamp_key(id_):
                continue
            changed = revoke(self.runs.get(id_), self.now_us)
            if changed is not None and changed.outcome is not None:
                self.runs.put(id_, changed)
                self._documents[id_] = to_text(document_of(id_, changed.outcome, now_us=self.now_us))
        remember(self.connection, list(ids), signum, self.now_us)
        hasten(self.connection, ids, self.now_us)
        self._has_hastened = True

    def notify(self) -> None:
        """Wake those who wait, where the database can; elsewhere they look (see wake.py). For an outbox nobody waits: it is looked at."""
        if self.role is not Role.STORE and (self.messages or self._has_hastened):
            wake_takers(self.connection)
        dialect_of(self.connection).notify(self.connection, "bb_result", self._documents)

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
            self._know(sent_by(transition.effects))
        if transition.frees is not None:
            self._freed.append(transition.frees)
        if transition.dead is not None:
            bury(self.connection, transition.dead, self.now_us)
        if transition.early is not None:
            self._begin_early(transition.early)
        elif transition.delivery is not None and transition.delivery.tag:
            seq, holder = transition.delivery.tag.split("@", 1)
            self._acknowledged.setdefault(holder, set()).add(int(seq))
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
                self._documents[message.id] = to_text(document)
        return standing

    def _closes(self, transition: Transition) -> bool:
        return transition.closes is None or self._joins.close(transition.closes, self.known_until_us)

    def _digs_up(self, transition: Transition) -> bool:
        key = transition.digs_up
        return key is None or drop(self.connection, [key]) > 0

    def _effect(self, effect: Effect) -> None:
        match effect:
            case Publish(message, not_before_us):
                self.publish(message, not_before_us)
            case Settle():
                self._settle_unstarted(effect)
            case OpenChain() | OpenJoin() | OpenPlan():
                pass  # written before joins are locked
            case CloseChain(chain_id):
                self._keep_chain(chain_id, self.known_until_us)
            case KeepChain(chain_id):
                self._keep_chain(chain_id, None)
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

    def _keep_chain(self, chain_id: str, until_us: int | None) -> None:
        keeping = update(chain_table).where(chain_table.c.chain_id == chain_id)
        self.connection.execute(keeping.values(expires_us=until_us))

    def _restart(self, ids: Sequence[str], generation: int) -> None:
        again = [id_ for id_ in ids if self._restarts(id_, generation)]
        self.connection.execute(delete(result_table).where(result_table.c.task_id.in_(again)))
        for id_ in again:
            self._documents.pop(id_, None)

    def _restarts(self, id_: str, generation: int) -> bool:
        record = restart(self.runs.get(id_), generation)
        if record is not None:
            self.runs.put(id_, record)
        return record is not None

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

    def _delete_acknowledged(self) -> None:
        for holder, seqs in self._acknowledged.items():
            mine = message_table.c.seq.in_(sorted(seqs)) & (message_table.c.holder == holder)
            self.connection.execute(delete(message_table).where(mine))

    def _write_known(self) -> None:
        if self._known:
            rows = [
                {**empty_run(id_), "expires_us": expires_us}
                for id_, expires_us in sorted(self._known.items())
            ]
            self.connection.execute(dialect_of(self.connection).insert_missing(run_table), rows)

    def publish(self, message: Message, not_before_us: int | None = None) -> None:
        """Send a message when the batch is written."""
        message = sent_at(message, self.now_us)
        due = not_before_us if not_before_us is not None else message.eta_us
        visible = self.now_us if due is None else max(due, self.now_us)
        row = {
            "queue": lane(message.queue, message.priority),
            "visible_us": visible,
            "holder": "",
            "body": self._series.text(message),
            "task_id": message.id,
        }
        if self.role is Role.STORE:
            row["queue"] = OUTBOX
            if visible <= self.now_us:
                row["visible_us"] = self.now_us + self.limits.outbox_lease_us
                row["holder"] = self.worker
        self.messages.append(row)

    def _settle_unstarted(self, settled: Settle) -> None:
        run = settle_unstarted(self.runs.get(settled.id), settled.outcome, settled.attempt)
        if run is not None:
            self.runs.put(settled.id, run)
            document = settled_document(settled, now_us=self.now_us, extended=self.limits.extended)
            self._documents[settled.id] = to_text(document)

    def _open_chains_and_joins(self, transitions: Sequence[Transition]) -> None:
        """Records are written whether or not their transition stands: they are derived, so they cannot be wrong, only early."""
        chains: list[Row] = []
        joins: list[Row] = []
        plans: list[Row] = []
        for effect in effects_of(transitions):
            match effect:
                case OpenChain(record):
                    chains.append({"chain_id": record.chain_id, "record": records.chain_to_text(record)})
                case OpenJoin(record, size, lease, generation):
                    deadline = None if lease is None else self.now_us + round(lease * 1_000_000)
                    row = {"join_id": record.join_id, "record": records.join_to_text(record), "size": size}
                    joins.append({**row, "deadline_us": deadline, "closed": False, "generation": generation})
                case OpenPlan(plan):
                    row = {"canvas_id": plan.id, "root_id": plan.root_id, "record": plan_to_text(plan)}
                    expires_us = self._after(self.limits.plan_seconds)
                    plans.append({**row, "at_us": self.now_us, "expires_us": expires_us})
        if chains:
            # two senders of the same must not wait for each other
            chains.sort(key=lambda row: row["chain_id"])
            self.connection.execute(dialect_of(self.connection).insert_missing(chain_table), chains)
        self._joins.open(joins)
        if plans:
            plans.sort(key=lambda row: row["canvas_id"])
            self.connection.execute(dialect_of(self.connection).insert_missing(plan_table), plans)

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
            expires_us, method = self._after(self.limits.keep_seconds), self.limits.compression
            rows = [
                {
                    "task_id": id_,
                    "document": compressed_text(text, method) if method else text,
                    "expires_us": expires_us,
                }
                for id_, text in sorted(self._documents.items())
            ]
            dialect = dialect_of(self.connection)
            self.connection.execute(dialect.overwrite(result_table, tuple(rows[0])), rows)
