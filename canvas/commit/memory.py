"""Memory: the reference implementation of Commit, in one process. It is what the others are compared with.

A `MemoryStore` (memory_store.py) is shared by all who open it; `MemoryCommit` is one worker's or client's view of it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from ..continuation import JoinRecord, chain_needed
from ..incarnation import is_gone, name_of
from ..plan import plan_from_text
from ..priority import in_order, lane
from ..progress import Progress
from ..readable import readable
from ..results.document import from_text, to_text
from ..signing import NO_KEYS, Keyring
from ..template import Rendered
from . import records
from .base import Loaded, chains_after
from .dead_letter import KeptLetter
from .limits import ABSENT_KEEP_US, DEFAULT_LIMITS, REVOKED_KEEP_US, Limits
from .looking import Waiting, waiting_of
from .memory_batch import MemoryBatch
from .memory_store import MemoryStore
from .role import OUTBOX, Role
from .run import judge
from .taken import Taken, decoded
from .transition import Exchange, Transition
from .unique import apart, is_free

LOOK_SECONDS = 0.01
"""How often a waiter looks at timers, which nobody announces."""


class MemoryCommit:
    """One worker's or client's view of a MemoryStore; a Commit. `queues` None: it takes from all that there are, by name."""

    at_once = 256

    def __init__(
        self,
        store: MemoryStore,
        *,
        worker: str = "",
        queues: Sequence[str] | None = (),
        limits: Limits = DEFAULT_LIMITS,
        role: Role = Role.WHOLE,
        keyring: Keyring = NO_KEYS,
    ) -> None:
        self._store = store
        self._worker = worker
        self._own_queues = [OUTBOX] if role is Role.STORE else queues
        self._role = role
        self._limits = limits
        self._keyring = keyring

    def exchange(
        self, transitions: Sequence[Transition], *, take: int = 0, claim: Sequence[Taken] = ()
    ) -> Exchange:
        with self._store.changed:
            batch = self._batch()
            standing, holders = apart([batch.apply(transition) for transition in transitions])
            claimed = [self._judged(item) for item in claim]
            taken = self._take(take) if take else []
            self._store.changed.notify_all()
            return Exchange(standing, taken, claimed, batch.outbox, holders, batch.admitted)

    def put(self, items: Sequence[Rendered]) -> Collection[str]:
        with self._store.changed:
            for item in items:
                self._store.state.mail.put(lane(item.queue, item.priority), item.envelope())
            self._store.changed.notify_all()
        return ()

    def load(
        self, chains: Collection[str] = (), joins: Collection[str] = (), plans: Collection[str] = ()
    ) -> Loaded:
        with self._store.changed:
            state = self._store.state
            found = {}
            states = {id_: state.joins.load(id_) for id_ in joins}
            joined = {id_: join for id_, join in states.items() if join is not None}
            wanted = [*chains, *chains_after(joined.values())]
            while wanted:
                id_ = wanted.pop()
                if id_ in state.chains and id_ not in found:
                    found[id_] = records.chain_from_text(state.chains[id_])
                    below = chain_needed(found[id_].below)
                    wanted += [below] if below else []
            roots = dict.fromkeys(state.roots.get(id_, id_) for id_ in plans)
            texts = [text for root in roots for text in state.plans.get(root, {}).values()]
            return Loaded(found, joined, [plan_from_text(text) for text in texts])

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
            batch = self._batch()
            for key in [key for key, line in state.lines.items() if line]:
                batch.wake(key, len(state.lines[key]))
            for key in [key for key, line in state.lines.items() if not line]:
                del state.lines[key]
            for key in [key for key in state.lanes if batch.is_over(key)]:
                del state.lanes[key]
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
            self._batch().revoke(ids, signum)
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
            return self._store.state.dead.newest(limit, before)

    def dead_letter(self, key: str) -> KeptLetter | None:
        with self._store.changed:
            return self._store.state.dead.find(key)

    def drop_dead(self, keys: Sequence[str]) -> int:
        with self._store.changed:
            return self._store.state.dead.drop(keys)

    def tell(self, words: Sequence[Progress]) -> None:
        with self._store.changed:
            documents = self._store.state.documents
            for word in words:
                if word.id in documents and from_text(documents[word.id]).ready:
                    continue
                worker, extended = name_of(self._worker), self._limits.extended
                document = word.document(now_us=self._now(), worker=worker, extended=extended)
                documents[word.id] = to_text(document)
            self._store.changed.notify_all()

    def serve(self, queues: Sequence[str]) -> None:
        self._own_queues = [OUTBOX] if self._role is Role.STORE else list(queues)

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        with self._store.changed:
            mail = self._store.state.mail
            return {name: mail.waits(name, self._now()) for name in queues if name in mail.names()}

    def scheduled(self, limit: int) -> Sequence[Waiting]:
        with self._store.changed:
            found = self._store.state.mail.timers(limit)
        return waiting_of(found, self._keyring)

    def revoked(self, limit: int) -> Sequence[str]:
        with self._store.changed:
            return [*reversed(self._store.state.revoked)][:limit]

    def announce(self, name: str, value: str, seconds: float) -> str:
        with self._store.changed:
            kept, until_us = self._store.state.announced.get(name, (value, 0))
            if kept != value and until_us > self._now():
                return kept
            self._store.state.announced[name] = (value, self._now() + round(seconds * 1_000_000))
            return value

    def present(self, broadcast: str, queue: str, seconds: float) -> None:
        with self._store.changed:
            state, now = self._store.state, self._now()
            known = state.audiences.setdefault(broadcast, {})
            known[queue] = now + round(seconds * 1_000_000)
            for absent in [name for name, until_us in known.items() if until_us <= now]:
                state.mail.drop(absent)
            state.audiences[broadcast] = {q: us for q, us in known.items() if us > now - ABSENT_KEEP_US}

    def audience(self, broadcast: str) -> Sequence[str]:
        with self._store.changed:
            known, now = self._store.state.audiences.get(broadcast, {}), self._now()
            return [queue for queue, until_us in known.items() if until_us > now]

    def close(self) -> None:
        """Nothing to let go of."""

    def _anything(self) -> bool:
        with self._store.changed:
            return self._store.state.mail.has_any(self._queues, self._now())

    # --- inside the lock -----------------------------------------------------------------------------------------------------

    @property
    def _queues(self) -> Sequence[str]:
        """The lanes that it takes from."""
        names = self._store.state.mail.names() if self._own_queues is None else self._own_queues
        return in_order(names, lowest_first=self._limits.lowest_first)

    def _now(self) -> int:
        return self._store.clock.now_us()

    def _batch(self) -> MemoryBatch:
        return MemoryBatch(
            self._store.state, self._worker, self._limits, self._now(), self._role, self._keyring
        )

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
            revoked=not state.revoked.keys().isdisjoint(message.revocable_by),
            is_gone=is_gone,
        )
        if record is not None:
            state.runs[message.id] = record
        return replace(taken, verdict=verdict)
