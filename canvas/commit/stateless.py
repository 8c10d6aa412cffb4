"""StatelessCommit: a broker and nothing else (decisions K17): no store, no joins, no claims; chains travel inside their messages.

With `replies` (the rpc backend) what ended is sent to who asked for it, before its message is acknowledged; so are retries, and that a
task was taken, if `tracks_started`. What is taken and held is intake.py's matter. Duplicates run twice: there is nobody to ask.

    replies, that may come twice   ->   what follows, published once as far as that is known   ->   ack   ->   take
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec.structs import replace

from ..brokers.base import Broker
from ..clock import Clock, SystemClock
from ..continuation import JoinRecord
from ..effect import (
    AddPart,
    CloseChain,
    CountPart,
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
from ..envelope import opened
from ..errors import EncodeError, ImproperlyConfigured, MessageError, Unavailable
from ..incarnation import name_of
from ..message import Message, sent_at
from ..progress import Progress
from ..results.document import document_of, to_text
from ..results.reply import Replies, Reply
from ..results.started import started
from ..signing import NO_KEYS, Keyring
from ..unique import Unique
from .base import Loaded
from .intake import Intake
from .limits import DEFAULT_LIMITS, Limits
from .looking import Waiting
from .taken import Taken
from .transition import Exchange, Transition
from .verdict import Poison, Run, Verdict, WasRevoked

logger = logging.getLogger(__name__)

FARTHEST_SECONDS = 900
"""An eta beyond this needs a place to wait in (decisions K16)."""

MOST_REVOKED = 50_000
"""So many ids that were revoked a worker remembers."""
MOST_DEATHS = 10_000
"""Of so many messages a worker remembers how many processes were lost over them."""


class StatelessCommit:
    """A Commit over a Broker alone, and a way to send results back, if there is one."""

    at_once = 256

    def __init__(
        self,
        broker: Broker,
        clock: Clock | None = None,
        *,
        replies: Replies | None = None,
        worker: str = "",
        limits: Limits = DEFAULT_LIMITS,
        tracks_started: bool = False,
        is_worker: bool = False,
        keyring: Keyring = NO_KEYS,
    ) -> None:
        self._is_worker = is_worker
        self._revoked: dict[str, int | None] = {}
        """Ids that this worker was told to revoke, the latest last, each with the signal that ends it."""
        self._broker = broker
        self._clock = clock or SystemClock()
        self._replies = replies
        self._worker = worker
        self._limits = limits
        self._tracks_started = tracks_started
        self._deaths: dict[tuple[str, int, int], int] = {}
        """How many processes were lost over what, the latest last."""
        self._intake = Intake(broker, keyring)
        self._is_told = False
        self._sent: set[tuple[str, int, int]] = set()
        """What the broker has confirmed of transitions that will be brought again, as it did not confirm all."""

    def exchange(
        self, transitions: Sequence[Transition], *, take: int = 0, claim: Sequence[Taken] = ()
    ) -> Exchange:
        published = [self._checked(transition) for transition in transitions]
        if self._replies is not None and transitions:
            self._replies.send(
                [reply for transition in transitions for reply in self._replies_to(transition)]
            )
        for transition, messages in zip(transitions, published, strict=True):
            self._publish(messages)
            if transition.dead is not None:
                dead = transition.dead
                logger.error("dead letter %s: %s", dead.task_id, dead.reason, extra={"action": "dead_letter"})
        self._sent -= {_identity(message) for messages in published for message in messages}
        self._intake.ack([t.delivery for t in transitions if t.delivery is not None])
        try:
            taken = self._take(take) if take else []
        except Unavailable:
            if not transitions:
                raise
            taken = []  # sent is sent: whoever next takes without bringing anything is told
        return Exchange([None] * len(transitions), taken, claim)

    def load(
        self,
        chains: Collection[str] = (),  # noqa: ARG002 - nothing is stored
        joins: Collection[str] = (),  # noqa: ARG002 - likewise
        plans: Collection[str] = (),  # noqa: ARG002 - likewise
    ) -> Loaded:
        return Loaded()

    def renew(self, held: Sequence[Taken]) -> None:
        self._broker.renew([*(taken.delivery for taken in held), *self._intake.held])

    def pause(self) -> None:
        self._intake.pause(self._clock.now_us())

    def release(self, held: Sequence[Taken], *, lost: bool = False) -> None:
        """As Commit says. Nobody else counts who was lost, so this worker does, for itself (decisions K8): what kills its process each time
        must not come back to it for ever.
        """
        for message in [taken.message for taken in held if taken.message is not None] if lost else ():
            key = _identity(message)
            self._deaths[key] = self._deaths.pop(key, 0) + 1
            if len(self._deaths) > MOST_DEATHS:
                del self._deaths[next(iter(self._deaths))]
        self._broker.release([taken.delivery for taken in held])

    def sweep(self) -> list[JoinRecord]:
        return []

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        next_us = self._intake.next_us
        if next_us is not None:
            timeout = max(0.0, min(timeout, (next_us - self._clock.now_us()) / 1_000_000))
        self._broker.wait(timeout, wakers)

    def terminations(self, ids: Collection[str]) -> Mapping[str, int]:
        found = {id_: self._revoked[id_] for id_ in ids if id_ in self._revoked}
        return {id_: signum for id_, signum in found.items() if signum is not None}

    def revoke(self, ids: Sequence[str], signum: int | None = None) -> None:
        """As long as this worker lives it remembers; a client, which does not, tells all workers (see Steering)."""
        if not self._is_worker:
            raise ImproperlyConfigured(
                f"{len(ids)} task(s) cannot be revoked: there is no result backend that would remember it. "
                "Write App(backend='redis://...') or postgresql://."
            )
        for id_ in ids:
            self._revoked.pop(id_, None)
            self._revoked[id_] = signum
        while len(self._revoked) > MOST_REVOKED:
            del self._revoked[next(iter(self._revoked))]

    def serve(self, queues: Sequence[str]) -> None:
        self._broker.serve(queues)

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        return self._broker.counts(queues)

    def scheduled(self, limit: int) -> Sequence[Waiting]:
        """Those that this worker holds."""
        return self._intake.waiting(limit)

    def revoked(self, limit: int) -> Sequence[str]:
        return [*reversed(self._revoked)][:limit]

    def tell(self, words: Sequence[Progress]) -> None:
        if self._replies is None:
            if not self._is_told:
                logger.warning(
                    "what a task says of itself (update_state) is seen by nobody: there is no result backend",
                    extra={"action": "state_unseen"},
                )
            self._is_told = True
            return
        now, worker, extended = self._clock.now_us(), name_of(self._worker), self._limits.extended
        self._replies.send(
            [
                Reply(
                    word.reply_to,
                    word.id,
                    to_text(word.document(now_us=now, worker=worker, extended=extended)),
                )
                for word in words
                if word.reply_to
            ]
        )

    def announce(self, name: str, value: str, seconds: float) -> str:
        return self._broker.announce(name, value, seconds)

    def present(self, broadcast: str, queue: str, seconds: float) -> None:
        self._broker.present(broadcast, queue, seconds)

    def audience(self, broadcast: str) -> Sequence[str] | None:
        return self._broker.audience(broadcast)

    def close(self) -> None:
        self._broker.close()
        if self._replies is not None:
            self._replies.close()

    # --- results -------------------------------------------------------------------------------------------------------------

    def _replies_to(self, transition: Transition) -> Iterator[Reply]:
        """What ended, and what can no longer run because of it: steps of a chain wait for their results in the same queue."""
        queue = _reply_to(transition)
        if not queue:
            return
        now, extended = self._clock.now_us(), self._limits.extended
        document = transition.document(now_us=now, worker=name_of(self._worker), extended=extended)
        if document is not None:
            yield Reply(queue, document.id, to_text(document))
        for effect in transition.effects:
            if isinstance(effect, Settle):
                document = document_of(
                    effect.id, effect.outcome, now_us=now, name=effect.name, extended=extended
                )
                yield Reply(queue, effect.id, to_text(document))

    def _tell_started(self, taken: Sequence[Taken], now_us: int) -> None:
        messages = [item.message for item in taken if item.message is not None]
        asked = [message for message in messages if message.reply_to and not message.ignore_result]
        if self._replies is not None and asked:
            texts = [to_text(started(message.id, self._worker, now_us)) for message in asked]
            replies = [Reply(m.reply_to, m.id, text) for m, text in zip(asked, texts, strict=True)]
            self._replies.send(replies)

    # --- taking and sending --------------------------------------------------------------------------------------------------

    def _take(self, limit: int) -> list[Taken]:
        now = self._clock.now_us()
        ready = self._intake.ready(limit, now)
        taken = [
            replace(item, verdict=self._verdict(item.message, now)) if item.message else item
            for item in ready
        ]
        if self._tracks_started:
            self._tell_started(taken, now)
        self._intake.given(len(taken))
        return taken

    def _verdict(self, message: Message, now_us: int) -> Verdict:
        if not self._revoked.keys().isdisjoint(message.revocable_by):
            return WasRevoked()
        lost = self._deaths.get(_identity(message), 0)
        return Poison(lost) if lost >= self._limits.max_lost else Run(lost, now_us)

    def _publish(self, messages: Sequence[Message]) -> None:
        left = [message for message in messages if _identity(message) not in self._sent]
        if not left:
            return
        posted = self._broker.post(left)
        confirmed = set(posted.confirmed)
        self._sent |= {_identity(message) for message in left if message.id in confirmed}
        if posted.unsendable:
            raise EncodeError("; ".join(posted.unsendable.values()))
        if any(message.id not in confirmed for message in left):
            raise Unavailable("the broker did not confirm a message")

    def _checked(self, transition: Transition) -> list[Message]:
        """What a transition publishes. All are looked at before the first is sent: what cannot be brought must not have been, in part."""
        _check_unique(transition.unique)
        if transition.admits is not None:
            raise ImproperlyConfigured(
                f"limit_key {transition.admits.quota.key!r} cannot be counted, as there is no result backend that would. "
                "Write App(backend='redis://...') or postgresql://."
            )
        messages = [effect.message for effect in _published(transition)]
        if transition.puts_off is not None:
            published = transition.puts_off.publish(self._clock.now_us())
            messages.append(replace(published.message, eta_us=published.not_before_us))
        return [self._timely(message) for message in messages]

    def _timely(self, message: Message) -> Message:
        message = sent_at(message, self._clock.now_us())
        farthest_us = self._clock.now_us() + FARTHEST_SECONDS * 1_000_000
        if message.eta_us is not None and message.eta_us > farthest_us and not self._broker.keeps_timers:
            raise ImproperlyConfigured(
                f"task {message.task} has an eta more than {FARTHEST_SECONDS // 60} minutes ahead, and without a result backend "
                "there is no place where it could wait. Write App(backend='redis://...') or postgresql://."
            )
        return message


def _identity(message: Message) -> tuple[str, int, int]:
    return message.id, message.generation, message.attempt


def _check_unique(unique: Unique | None) -> None:
    if unique is not None:
        raise ImproperlyConfigured(
            f"unique_key {unique.key!r} cannot be taken, as there is no result backend that would keep who has it. "
            "Write App(backend='redis://...') or postgresql://."
        )


def _reply_to(transition: Transition) -> str:
    """The queue that the sender of the task asks for its result; also of a message that could not be decoded, as far as it can be read."""
    if transition.message is not None and not transition.message.stub:
        return transition.message.reply_to
    if transition.delivery is None:
        return ""
    try:
        properties = opened(transition.delivery.parts).properties
    except MessageError:
        return ""
    queue = properties.get("reply_to")
    return queue if isinstance(queue, str) else ""


def _published(transition: Transition) -> list[Publish]:
    found = []
    for effect in transition.effects:
        match effect:
            case Publish():
                found.append(effect)
            case (
                OpenJoin()
                | OpenChain()
                | SealJoin()
                | GrowJoin()
                | AddPart()
                | Restart()
                | ReopenJoin()
                | KeepChain()
            ):
                raise ImproperlyConfigured("a chord, or a group inside a chain, needs a result backend")
            case OpenCount():
                raise ImproperlyConfigured(
                    "a chord that Celery's workers run needs a result backend in Redis"
                )
            case CountPart():
                pass  # Celery's clients send no chord without a store; who counts it somewhere else reads the result
            case Settle() | CloseChain() | OpenPlan() | Revoke():
                pass  # there is nowhere to store it; see _replies_to
    return found
