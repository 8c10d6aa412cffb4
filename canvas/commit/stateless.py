"""StatelessCommit: a broker and nothing else (decisions K17): no results, no joins, no claims; chains travel inside their messages.

Messages whose time has not come are held here, unacknowledged, as Celery does. Duplicates run twice: there is nobody to ask.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from ..brokers.base import Broker
from ..clock import Clock, SystemClock
from ..continuation import JoinRecord
from ..effect import AddPart, CloseChain, OpenChain, OpenJoin, Publish, SealJoin, Settle
from ..errors import ImproperlyConfigured, Unavailable
from ..message import Message, sent_at
from ..signing import NO_KEYS, Keyring
from .base import Exchange, Loaded, Taken, Transition, decoded

logger = logging.getLogger(__name__)

FARTHEST_SECONDS = 900
"""An eta beyond this needs a store to wait in (decisions K16)."""


class StatelessCommit:
    """A Commit over a Broker alone."""

    def __init__(self, broker: Broker, clock: Clock | None = None, *, keyring: Keyring = NO_KEYS) -> None:
        self._broker = broker
        self._keyring = keyring
        self._clock = clock or SystemClock()
        self._early: list[Taken] = []

    def exchange(
        self, transitions: Sequence[Transition], *, take: int = 0, claim: Sequence[Taken] = ()
    ) -> Exchange:
        for transition in transitions:
            messages = [self._checked(effect.message) for effect in _published(transition)]
            if messages and len(self._broker.publish(messages)) < len(messages):
                raise Unavailable("the broker did not confirm a message")
            if transition.dead is not None:
                dead = transition.dead
                logger.error("dead letter %s: %s", dead.task_id, dead.reason, extra={"action": "dead_letter"})
        done = [t.delivery for t in transitions if t.delivery is not None]
        if done:
            self._broker.ack(done)
        return Exchange([None] * len(transitions), self._take(take) if take else [], claim)

    def load(self, chains: Collection[str] = (), joins: Collection[str] = ()) -> Loaded:  # noqa: ARG002 - nothing is stored
        return Loaded()

    def renew(self, held: Sequence[Taken]) -> None:
        self._broker.renew([taken.delivery for taken in (*held, *self._early)])

    def release(self, held: Sequence[Taken], *, lost: bool = False) -> None:  # noqa: ARG002 - nobody counts
        self._broker.release([taken.delivery for taken in held])

    def sweep(self) -> list[JoinRecord]:
        return []

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        due = [taken.message.eta_us for taken in self._early if taken.message and taken.message.eta_us]
        if due:
            timeout = max(0.0, min(timeout, (min(due) - self._clock.now_us()) / 1_000_000))
        self._broker.wait(timeout, wakers)

    def terminations(self, ids: Collection[str]) -> Mapping[str, int]:  # noqa: ARG002 - nobody could ask for one
        return {}

    def revoke(self, ids: Sequence[str], signum: int | None = None) -> None:  # noqa: ARG002 - nobody remembers
        raise ImproperlyConfigured(
            f"{len(ids)} task(s) cannot be revoked: there is no result backend that would remember it. "
            "Write App(backend='redis://...') or postgresql://."
        )

    def announce(self, name: str, value: str, seconds: float) -> str:
        return self._broker.announce(name, value, seconds)

    def close(self) -> None:
        self._broker.close()

    def _take(self, limit: int) -> list[Taken]:
        now = self._clock.now_us()
        taken = [item for item in self._early if not _is_early(item, now)][:limit]
        for item in taken:
            self._early.remove(item)
        for delivery in self._broker.take(limit - len(taken)):
            item = decoded(delivery, self._keyring)
            (self._early if _is_early(item, now) else taken).append(item)
        return taken

    def _checked(self, message: Message) -> Message:
        message = sent_at(message, self._clock.now_us())
        if (
            message.eta_us is not None
            and message.eta_us > self._clock.now_us() + FARTHEST_SECONDS * 1_000_000
        ):
            raise ImproperlyConfigured(
                f"task {message.task} has an eta more than {FARTHEST_SECONDS // 60} minutes ahead, and without a result backend "
                "there is no place where it could wait. Write App(backend='redis://...') or postgresql://."
            )
        return message


def _published(transition: Transition) -> list[Publish]:
    found = []
    for effect in transition.effects:
        match effect:
            case Publish():
                found.append(effect)
            case OpenJoin() | OpenChain() | SealJoin() | AddPart():
                raise ImproperlyConfigured("a chord, or a group inside a chain, needs a result backend")
            case Settle() | CloseChain():
                pass  # there is nowhere to store it
    return found


def _is_early(taken: Taken, now_us: int) -> bool:
    return taken.message is not None and taken.message.eta_us is not None and taken.message.eta_us > now_us
