"""MemoryBatch: what one exchange changes in a MemoryStore. Its caller has the lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

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
from ..results.document import document_of, to_text
from ..signing import NO_KEYS, Keyring
from ..stamp import is_stamp_key
from . import records
from .dead_letter import part_without_join
from .lane import EMPTY_LANE, Lane, admit
from .limits import Limits
from .memory_store import State
from .put_off import PutOff
from .role import OUTBOX, Role
from .run import (
    RunRecord,
    begin_early,
    give_back,
    hastened,
    restart,
    revoke,
    settle,
    settle_unstarted,
    waiting_id,
)
from .sent import Sent, sent_by
from .transition import Transition, settled_document
from .unique import Held, message_of, take
from .verdict import Standing


@dataclass(slots=True)
class MemoryBatch:
    """The changes of one exchange. `outbox` (Role.STORE) is what it wrote there, held for the caller to send."""

    state: State
    worker: str
    limits: Limits
    now_us: int
    role: Role = Role.WHOLE
    keyring: Keyring = NO_KEYS
    outbox: list[Delivery] = field(default_factory=list)
    admitted: list[str] = field(default_factory=list)

    def apply(self, transition: Transition) -> Standing | Held | None:
        """One transition: applied (None), or who or what stood against it."""
        transition = self._admit(transition).dated(self.now_us)
        if waiting_id(transition) in self.state.revoked:
            transition = hastened(transition)
        # whatever can fail (encoding) is done before anything is changed, so a transition is applied whole or not at all
        effects = [self._dated(effect) for effect in transition.effects]
        texts = [_text_of(effect, self.keyring) for effect in effects]
        standing = self._settle(transition)
        if standing is not None:
            return standing
        if (held := self._take_key(transition)) is not None:
            return held
        if transition.puts_off is not None:
            self._give_back(transition.puts_off.message)
        if self._digs_up(transition) and self._closes(transition):
            for effect, text in zip(effects, texts, strict=True):
                self._effect(effect, text)
            if self.role is not Role.BROKER:
                self._know(sent_by(effects))
        if transition.frees is not None:
            self.wake(transition.frees, 1)
        if transition.dead is not None:
            self.state.dead.bury(transition.dead, self.now_us)
        if transition.early is not None:
            self._begin_early(transition.early)
        elif transition.delivery is not None:
            self.state.mail.ack(transition.delivery.tag)
        return None

    def revoke(self, ids: Sequence[str], signum: int | None = None) -> None:
        """Remember that these are revoked; what nobody runs is REVOKED at once."""
        state, now = self.state, self.now_us
        for id_ in ids:
            state.revoked[id_] = (signum, now)
            if is_stamp_key(id_):
                continue
            record = revoke(state.runs.get(id_), now)
            if record is not None and record.outcome is not None:
                state.runs[id_] = record
                state.documents[id_] = to_text(document_of(id_, record.outcome, now_us=now))
        state.mail.hasten(ids, now)

    def _restart(self, ids: Sequence[str], generation: int) -> None:
        state = self.state
        for id_ in ids:
            record = restart(state.runs.get(id_), generation)
            if record is not None:
                state.runs[id_] = record
                state.documents.pop(id_, None)

    def _begin_early(self, message: Message) -> None:
        """It stays held, where only workers of ours find it."""
        record = begin_early(self.state.runs.get(message.id), message, self.worker)
        if record is not None:
            self.state.runs[message.id] = record

    def _admit(self, transition: Transition) -> Transition:
        """What remains of it: nothing if it may start, else what puts it off."""
        ask = transition.admits
        if ask is None:
            return transition
        message, key = ask.message, ask.quota.key
        if give_back(self.state.runs.get(message.id), message, self.worker) is None:
            return transition
        wait, lane = admit(self._lane(key), ask, self.now_us)
        self.state.lanes[key] = lane
        line = self.state.lines.setdefault(key, {})
        if wait is None:
            line.pop(message.id, None)
            self.admitted.append(message.id)
            return Transition()
        if wait.in_line:
            line.setdefault(message.id)
        return replace(transition, puts_off=PutOff(message, wait))

    def _lane(self, key: str) -> Lane:
        runs = self.state.runs
        lane = self.state.lanes.get(key, EMPTY_LANE)
        return lane.pruned(lambda slot: slot.is_taken(runs.get(slot.id), self.now_us))

    def is_over(self, key: str) -> bool:
        """Whether nothing depends on its lane any more."""
        lane = self._lane(key)
        return not lane.slots and key not in self.state.lines and lane.until_us <= self.now_us

    def wake(self, key: str, most: int) -> None:
        """Let those that come first in line ask again, one for each slot that is free, and at most so many."""
        lane, line = self._lane(key), self.state.lines.get(key, {})
        self.state.lanes[key] = lane
        count = min(most, lane.free)
        while line and count > 0:
            first = next(iter(line))
            del line[first]
            count -= self.state.mail.hasten([first], self.now_us) > 0

    def _give_back(self, message: Message) -> None:
        record = give_back(self.state.runs.get(message.id), message, self.worker)
        if record is not None:
            self.state.runs[message.id] = record

    def _settle(self, transition: Transition) -> Standing | None:
        message, outcome = transition.message, transition.outcome
        if message is None or outcome is None:
            return None
        state = self.state
        standing, record = settle(state.runs.get(message.id), message, outcome)
        if record is not None:
            state.runs[message.id] = record
            worker, extended = name_of(self.worker), self.limits.extended
            document = transition.document(
                now_us=self.now_us, worker=worker, extended=extended, keyring=self.keyring
            )
            if document is not None:
                state.documents[message.id] = to_text(document)
        return standing

    def _take_key(self, transition: Transition) -> Held | None:
        unique, state = transition.unique, self.state
        if unique is None:
            return None
        hold = state.holds.get(unique.key)
        record = state.runs.get(hold.id) if hold is not None else None
        answer = take(unique, message_of(unique, transition.effects), hold, record, self.now_us)
        if isinstance(answer, Held):
            return answer
        if answer.replaced is not None:
            self.revoke([answer.replaced])
        state.holds[unique.key] = answer.hold
        state.runs.setdefault(unique.id, RunRecord())
        return None

    def _closes(self, transition: Transition) -> bool:
        return transition.closes is None or self.state.joins.close(transition.closes)

    def _digs_up(self, transition: Transition) -> bool:
        return transition.digs_up is None or self.state.dead.drop([transition.digs_up]) > 0

    def _know(self, sent: Sent) -> None:
        for id_ in (*(message.id for message in sent.messages), *sent.steps):
            self.state.runs.setdefault(id_, RunRecord())

    def _dated(self, effect: Effect) -> Effect:
        if isinstance(effect, Publish):
            return replace(effect, message=sent_at(effect.message, self.now_us))
        return effect

    def _effect(self, effect: Effect, text: str) -> None:
        state = self.state
        match effect:
            case Publish(message, not_before_us):
                self._publish(message, text, not_before_us)
            case Settle():
                self._settle_unstarted(effect)
            case OpenChain(record):
                state.chains.setdefault(record.chain_id, text)
            case CloseChain() | KeepChain():
                pass  # a store in memory lives as long as its process
            case OpenJoin(record, size, lease_seconds, generation):
                deadline = None if lease_seconds is None else self.now_us + round(lease_seconds * 1_000_000)
                state.joins.open(record.join_id, text, size, deadline, generation)
            case SealJoin(join_id, size):
                state.joins.seal(join_id, size)
                self._dispatch_if_complete(join_id)
            case Revoke(ids):
                self.revoke(ids)
            case OpenPlan(plan):
                state.plans.setdefault(plan.root_id, {}).setdefault(plan.id, text)
                state.roots.setdefault(plan.id, plan.root_id)
            case Restart(ids, generation, roots):
                for id_ in (*ids, *roots):
                    state.revoked.pop(id_, None)
                self._restart(ids, generation)
            case ReopenJoin(join_id, indexes, generation):
                state.joins.reopen(join_id, indexes, generation)
                self._dispatch_if_complete(join_id)
            case GrowJoin(join_id, key, ids):
                if not state.joins.grow(join_id, key):
                    self.revoke(ids)
            case CountPart() | OpenCount():
                pass  # Celery's workers count in Redis alone; elsewhere who joins reads the results
            case AddPart(join_id, index, id_, _, completes, key):
                if join_id in state.joins:
                    state.joins.add(join_id, index, text, completes=completes, key=key)
                    self._dispatch_if_complete(join_id)
                else:
                    state.dead.bury(part_without_join(join_id, id_, text), self.now_us)

    def _publish(self, message: Message, text: str, not_before_us: int | None) -> None:
        mail = self.state.mail
        queue = OUTBOX if self.role is Role.STORE else lane(message.queue, message.priority)
        due = not_before_us if not_before_us is not None else message.eta_us
        if due is not None and due > self.now_us:
            mail.put_timer(queue, text, message.id, due)
        elif self.role is Role.STORE:
            until = self.now_us + self.limits.outbox_lease_us
            self.outbox.append(mail.hold(queue, text, self.worker, until))
        else:
            mail.put(queue, text)

    def _settle_unstarted(self, settled: Settle) -> None:
        state = self.state
        run = settle_unstarted(state.runs.get(settled.id), settled.outcome, settled.attempt)
        if run is not None:
            state.runs[settled.id] = run
            document = settled_document(settled, now_us=self.now_us, extended=self.limits.extended)
            state.documents[settled.id] = to_text(document)

    def _dispatch_if_complete(self, join_id: str) -> None:
        """Level-triggered: whoever brings a part to a complete join sends the join's message, again if need be."""
        if self.state.joins.is_complete(join_id):
            message = join_message(join_id, self.state.joins.generation_of(join_id))
            self._publish(message, self.keyring.text(message), None)


def _text_of(effect: Effect, keyring: Keyring) -> str:
    match effect:
        case Publish(message):
            return keyring.text(message)
        case OpenChain(record):
            return records.chain_to_text(record)
        case OpenJoin(record):
            return records.join_to_text(record)
        case AddPart(id=id_, outcome=outcome):
            return records.part_to_text(id_, outcome)
        case OpenPlan(plan):
            return plan_to_text(plan)
        case _:
            return ""
