"""Memory: the reference implementation of Commit, in one process. It is what the others are compared with.

Messages are kept as the text that travels on a wire, and records as the text that stores keep, so what works here has been through
the codec. A `MemoryStore` is shared by all who open it; `MemoryCommit` is one worker's or client's view of it.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..clock import Clock, SystemClock
from ..continuation import JoinRecord
from ..delivery import Delivery
from ..effect import AddPart, CloseChain, Effect, OpenChain, OpenJoin, Publish, SealJoin, Settle
from ..flow import chain_needed, join_message
from ..incarnation import is_gone, name_of
from ..message import Message, sent_at
from ..outcome import Failure
from ..readable import readable
from ..results.document import document_of, to_text
from ..signing import NO_KEYS, Keyring
from ..template import Rendered
from . import records
from .base import (
    DEFAULT_LIMITS,
    OUTBOX,
    REVOKED_KEEP_US,
    DeadLetter,
    Exchange,
    KeptLetter,
    Limits,
    Loaded,
    Role,
    Standing,
    Taken,
    Transition,
    decoded,
    part_without_join,
)
from .mailbox import Mailbox
from .memory_joins import MemoryJoins
from .run import RunRecord, begin_early, hastened, judge, revoke, settle
from .sent import Sent, sent_by
from .unique import Held, Hold, apart, is_free, message_of, take

LOOK_SECONDS = 0.01
"""How often a waiter looks at timers, which nobody announces."""


@dataclass(slots=True)
class _State:
    """All that a store holds."""

    mail: Mailbox = field(default_factory=Mailbox)
    runs: dict[str, RunRecord] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)
    chains: dict[str, str] = field(default_factory=dict)
    joins: MemoryJoins = field(default_factory=MemoryJoins)
    revoked: dict[str, tuple[int | None, int]] = field(default_factory=dict)
    announced: dict[str, tuple[str, int]] = field(default_factory=dict)
    dead: dict[str, KeptLetter] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)


class MemoryStore:
    """What is shared: messages, runs, documents, chains, joins. `changed` is notified on each change."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.state = _State()
        self.changed = threading.Condition()
        self.serial = itertools.count()


class MemoryCommit:
    """One worker's or client's view of a MemoryStore; a Commit."""

    def __init__(
        self,
        store: MemoryStore,
        *,
        worker: str = "",
        queues: Sequence[str] = (),
        limits: Limits = DEFAULT_LIMITS,
        role: Role = Role.WHOLE,
        keyring: Keyring = NO_KEYS,
    ) -> None:
        self._store = store
        self._worker = worker
        self._queues = [OUTBOX] if role is Role.STORE else list(queues)
        self._role = role
        self._outbox: list[Delivery] = []
        self._limits = limits
        self._keyring = keyring

    def exchange(
        self, transitions: Sequence[Transition], *, take: int = 0, claim: Sequence[Taken] = ()
    ) -> Exchange:
        with self._store.changed:
            self._outbox = []
            standing, holders = apart([self._apply(transition) for transition in transitions])
            claimed = [self._judged(item) for item in claim]
            taken = self._take(take) if take else []
            self._store.changed.notify_all()
            return Exchange(standing, taken, claimed, self._outbox, holders)

    def put(self, items: Sequence[Rendered]) -> Collection[str]:
        with self._store.changed:
            for item in items:
                self._store.state.mail.put(item.queue, item.envelope())
            self._store.changed.notify_all()
        return ()

    def load(self, chains: Collection[str] = (), joins: Collection[str] = ()) -> Loaded:
        with self._store.changed:
            state = self._store.state
            found = {}
            wanted = list(chains)
            while wanted:
                id_ = wanted.pop()
                if id_ in state.chains and id_ not in found:
                    found[id_] = records.chain_from_text(state.chains[id_])
                    below = chain_needed(found[id_].below)
                    wanted += [below] if below else []
            states = {id_: state.joins.load(id_) for id_ in joins}
            return Loaded(found, {id_: join for id_, join in states.items() if join is not None})

    def renew(self, held: Sequence[Taken]) -> None:
        with self._store.changed:
            state, until = self._store.state, self._now() + self._limits.lease_us
            for taken in held:
                state.mail.renew(taken.delivery.tag, until)
                run = state.runs.get(taken.message.id) if taken.message else None
                if taken.message and run and run.worker == self._worker and run.outcome is None:
                    state.runs[taken.message.id] = replace(run, lease_us=until)

    def release(self, held: Sequence[Taken], *, lost: bool = False) -> None:
        with self._store.changed:
            state = self._store.state
            for taken in held:
                state.mail.put_back(taken.delivery.tag)
                run = state.runs.get(taken.message.id) if taken.message else None
                if taken.message and run and run.worker == self._worker and run.outcome is None:
                    state.runs[taken.message.id] = replace(run, worker="", lease_us=0, lost=run.lost + lost)
            self._store.changed.notify_all()

    def pause(self) -> None:
        """Nothing is sent ahead: what is taken is given out."""

    def sweep(self) -> list[JoinRecord]:
        with self._store.changed:
            state, now = self._store.state, self._now()
            state.mail.put_back_overdue(now)
            for id_ in [id_ for id_, (_, at_us) in state.revoked.items() if at_us <= now - REVOKED_KEEP_US]:
                del state.revoked[id_]
            for key in [
                key for key, hold in state.holds.items() if is_free(hold, state.runs.get(hold.id), now)
            ]:
                del state.holds[key]
            self._store.changed.notify_all()
            return state.joins.interrupted(now)

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        deadline = time.monotonic() + timeout
        while not self._anything() and (left := deadline - time.monotonic()) > 0:
            if wakers:
                if readable(wakers, min(left, LOOK_SECONDS)):
                    return
            else:
                with self._store.changed:
                    self._store.changed.wait(min(left, LOOK_SECONDS))

    def revoke(self, ids: Sequence[str], signum: int | None = None) -> None:
        with self._store.changed:
            self._revoke(ids, signum)
            self._store.changed.notify_all()

    def terminations(self, ids: Collection[str]) -> Mapping[str, int]:
        with self._store.changed:
            revoked = self._store.state.revoked
            signums = {id_: revoked[id_][0] for id_ in ids if id_ in revoked}
            return {id_: signum for id_, signum in signums.items() if signum is not None}

    def seconds_to_timer(self) -> float | None:
        with self._store.changed:
            due_us = self._store.state.mail.next_us()
            return None if due_us is None else (due_us - self._now()) / 1_000_000

    def dead_letters(self, limit: int, before: str = "") -> Sequence[KeptLetter]:
        with self._store.changed:
            kept = [
                letter
                for key, letter in self._store.state.dead.items()
                if not before or int(key) < int(before)
            ]
            return kept[::-1][:limit]

    def dead_letter(self, key: str) -> KeptLetter | None:
        with self._store.changed:
            return self._store.state.dead.get(key)

    def drop_dead(self, keys: Sequence[str]) -> int:
        with self._store.changed:
            return sum(self._store.state.dead.pop(key, None) is not None for key in keys)

    def announce(self, name: str, value: str, seconds: float) -> str:
        with self._store.changed:
            kept, until_us = self._store.state.announced.get(name, (value, 0))
            if kept != value and until_us > self._now():
                return kept
            self._store.state.announced[name] = (value, self._now() + round(seconds * 1_000_000))
            return value

    def close(self) -> None:
        """Nothing to let go of."""

    def _anything(self) -> bool:
        with self._store.changed:
            return self._store.state.mail.has_any(self._queues, self._now())

    # --- inside the lock -----------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return self._store.clock.now_us()

    def _revoke(self, ids: Sequence[str], signum: int | None = None) -> None:
        state, now = self._store.state, self._now()
        for id_ in ids:
            state.revoked[id_] = (signum, now)
            record = revoke(state.runs.get(id_), now)
            if record is not None and record.outcome is not None:
                state.runs[id_] = record
                state.documents[id_] = to_text(document_of(id_, record.outcome, now_us=now))
        state.mail.hasten(ids, now)

    def _apply(self, transition: Transition) -> Standing | Held | None:
        message = transition.message
        if message is not None and message.id in self._store.state.revoked:
            transition = hastened(transition)
        # whatever can fail (encoding) is done before anything is changed, so a transition is applied whole or not at all
        effects = [self._dated(effect) for effect in transition.effects]
        texts = [_text_of(effect, self._keyring) for effect in effects]
        standing = self._settle(transition)
        if standing is not None:
            return standing
        if (held := self._take_key(transition)) is not None:
            return held
        closes = transition.closes
        if self._digs_up(transition) and (closes is None or self._store.state.joins.close(closes)):
            for effect, text in zip(effects, texts, strict=True):
                self._effect(effect, text)
            if self._role is not Role.BROKER:
                self._know(sent_by(effects))
        if transition.dead is not None:
            self._bury(transition.dead)
        if transition.early is not None:
            self._begin_early(transition.early)
        elif transition.delivery is not None:
            self._store.state.mail.ack(transition.delivery.tag)
        return None

    def _begin_early(self, message: Message) -> None:
        """It stays held, where only workers of ours find it."""
        record = begin_early(self._store.state.runs.get(message.id), message, self._worker)
        if record is not None:
            self._store.state.runs[message.id] = record

    def _settle(self, transition: Transition) -> Standing | None:
        message, outcome = transition.message, transition.outcome
        if message is None or outcome is None:
            return None
        state = self._store.state
        standing, record = settle(state.runs.get(message.id), message, outcome)
        if record is not None:
            state.runs[message.id] = record
            if not message.ignore_result:
                document = document_of(
                    message.id,
                    outcome,
                    now_us=self._now(),
                    message=message,
                    children=transition.children,
                    worker=name_of(self._worker),
                    extended=self._limits.extended,
                )
                state.documents[message.id] = to_text(document)
        return standing

    def _take_key(self, transition: Transition) -> Held | None:
        unique, state = transition.unique, self._store.state
        if unique is None:
            return None
        hold = state.holds.get(unique.key)
        record = state.runs.get(hold.id) if hold is not None else None
        answer = take(unique, message_of(unique, transition.effects), hold, record, self._now())
        if isinstance(answer, Held):
            return answer
        if answer.replaced is not None:
            self._revoke([answer.replaced])
        state.holds[unique.key] = answer.hold
        state.runs.setdefault(unique.id, RunRecord())
        return None

    def _digs_up(self, transition: Transition) -> bool:
        return transition.digs_up is None or self._store.state.dead.pop(transition.digs_up, None) is not None

    def _know(self, sent: Sent) -> None:
        for id_ in (*(message.id for message in sent.messages), *sent.steps):
            self._store.state.runs.setdefault(id_, RunRecord())

    def _dated(self, effect: Effect) -> Effect:
        if isinstance(effect, Publish):
            return replace(effect, message=sent_at(effect.message, self._now()))
        return effect

    def _effect(self, effect: Effect, text: str) -> None:
        state = self._store.state
        match effect:
            case Publish(message, not_before_us):
                self._publish(message, text, not_before_us)
            case Settle(id_, outcome, name):
                self._settle_unstarted(id_, outcome, name)
            case OpenChain(record):
                state.chains.setdefault(record.chain_id, text)
            case CloseChain():
                pass  # a store in memory lives as long as its process
            case OpenJoin(record, size, lease_seconds):
                deadline = None if lease_seconds is None else self._now() + round(lease_seconds * 1_000_000)
                state.joins.open(record.join_id, text, size, deadline)
            case SealJoin(join_id, size):
                state.joins.seal(join_id, size)
                self._dispatch_if_complete(join_id)
            case AddPart(join_id, index, id_):
                if join_id in state.joins:
                    state.joins.add(join_id, index, text)
                    self._dispatch_if_complete(join_id)
                else:
                    self._bury(part_without_join(join_id, id_, text))

    def _publish(self, message: Message, text: str, not_before_us: int | None) -> None:
        mail = self._store.state.mail
        queue = OUTBOX if self._role is Role.STORE else message.queue
        due = not_before_us if not_before_us is not None else message.eta_us
        if due is not None and due > self._now():
            mail.put_timer(queue, text, message.id, due)
        elif self._role is Role.STORE:
            until = self._now() + self._limits.outbox_lease_us
            self._outbox.append(mail.hold(queue, text, self._worker, until))
        else:
            mail.put(queue, text)

    def _bury(self, dead: DeadLetter) -> None:
        key = str(next(self._store.serial))
        self._store.state.dead[key] = KeptLetter(key, self._now(), dead)

    def _settle_unstarted(self, id_: str, outcome: Failure, name: str) -> None:
        state = self._store.state
        if id_ not in state.runs or state.runs[id_].outcome is None:
            state.runs[id_] = RunRecord(outcome=outcome)
            extended = self._limits.extended
            document = document_of(id_, outcome, now_us=self._now(), name=name, extended=extended)
            state.documents[id_] = to_text(document)

    def _dispatch_if_complete(self, join_id: str) -> None:
        """Level-triggered: whoever brings a part to a complete join sends the join's message, again if need be."""
        if self._store.state.joins.is_complete(join_id):
            message = join_message(join_id)
            self._publish(message, self._keyring.text(message), None)

    def _take(self, limit: int) -> list[Taken]:
        now = self._now()
        until = now + self._limits.lease_us
        deliveries = self._store.state.mail.take(self._queues, limit, self._worker, now, until)
        return [self._judged(decoded(delivery, self._keyring)) for delivery in deliveries]

    def _judged(self, taken: Taken) -> Taken:
        """The message with its verdict, its claim stored; without claims it may always run."""
        state, message = self._store.state, taken.message
        if message is None or self._role is Role.BROKER or taken.delivery.queue == OUTBOX:
            return taken
        verdict, record = judge(
            state.runs.get(message.id),
            message,
            worker=self._worker,
            now_us=self._now(),
            limits=self._limits,
            revoked=message.id in state.revoked or message.root_id in state.revoked,
            is_gone=is_gone,
        )
        if record is not None:
            state.runs[message.id] = record
        return replace(taken, verdict=verdict)


def _text_of(effect: Effect, keyring: Keyring) -> str:
    match effect:
        case Publish(message):
            return keyring.text(message)
        case OpenChain(record):
            return records.chain_to_text(record)
        case OpenJoin(record):
            return records.join_to_text(record)
        case AddPart(_, _, id_, outcome):
            return records.part_to_text(id_, outcome)
        case _:
            return ""
