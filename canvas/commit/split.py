"""SplitCommit: one broker, another store: what happened is stored first, with the messages that it causes; then these are sent.

    store: outcome + parts + outbox rows   ->   broker: publish, confirmed   ->   store: delete the rows   ->   broker: ack

Whoever dies in between leaves outbox rows that any worker's relay sends after two seconds, and messages that the broker delivers
again; both carry ids that are known, so nothing runs that has run (decisions K1). Timers wait in the outbox until they are due.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from ..brokers.base import Broker
from ..continuation import JoinRecord
from ..delivery import Delivery
from ..errors import Unavailable
from .base import Commit, Exchange, Loaded, Run, Taken, Transition, decoded

logger = logging.getLogger(__name__)

RELAY_LIMIT = 500


class SplitCommit:
    """A Commit over a Broker and a store that was opened with Role.STORE."""

    def __init__(self, broker: Broker, store: Commit) -> None:
        self._broker = broker
        self._store = store
        self._unclaimed: list[Taken] = []

    def exchange(
        self, transitions: Sequence[Transition], *, take: int = 0, claim: Sequence[Taken] = ()
    ) -> Exchange:
        stored = Exchange([])
        if transitions:
            stored = self._store.exchange([_without_delivery(transition) for transition in transitions])
            pairs = zip(transitions, stored.standing, strict=True)
            done = [t.delivery for t, standing in pairs if standing is None and t.delivery is not None]
            try:
                self._send(stored.outbox)
                if done:
                    self._broker.ack(done)
            except Unavailable as error:
                if not done:
                    raise  # a client is told
                # stored is stored: a relay sends the rows, and what is not acknowledged comes back and is known.
                # Bringing the transitions again would write all their messages once more
                logger.warning(
                    "%s; what was to be sent waits in the outbox", error, extra={"action": "unavailable"}
                )
        if take > len(self._unclaimed):
            self._unclaimed += [
                decoded(delivery) for delivery in self._broker.take(take - len(self._unclaimed))
            ]
        mine = self._unclaimed  # kept until they are claimed: the broker would not give them again
        claimed = self._store.exchange([], claim=[*mine, *claim]).claimed if mine or claim else []
        self._unclaimed = []
        return Exchange(stored.standing, claimed[: len(mine)], claimed[len(mine) :])

    def load(self, chains: Collection[str] = (), joins: Collection[str] = ()) -> Loaded:
        return self._store.load(chains, joins)

    def renew(self, held: Sequence[Taken]) -> None:
        self._store.renew(_claims(held))
        self._broker.renew([taken.delivery for taken in held])

    def release(self, held: Sequence[Taken], *, lost: bool = False) -> None:
        self._store.release(_claims(held), lost=lost)
        self._broker.release([taken.delivery for taken in held])

    def sweep(self) -> list[JoinRecord]:
        """Relay what is due or was left by the dead."""
        interrupted = self._store.sweep()
        self.send_stored()
        return interrupted

    def send_stored(self) -> None:
        """Send what lies in the outbox and is due. Raises Unavailable; then it lies there still, for anyone to send."""
        rows = [taken.delivery for taken in self._store.exchange([], take=RELAY_LIMIT).taken]
        try:
            self._send(rows)
        except Unavailable:
            with suppress(Unavailable):  # then they are there again after their lease
                self._store.release([Taken(row, None, Run()) for row in rows])
            raise

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        self._broker.wait(timeout, wakers)

    def revoke(self, ids: Sequence[str]) -> None:
        self._store.revoke(ids)

    def announce(self, name: str, value: str, seconds: float) -> str:
        return self._broker.announce(name, value, seconds)

    def close(self) -> None:
        self._broker.close()
        self._store.close()

    def _send(self, outbox: Sequence[Delivery]) -> None:
        """Send outbox rows, and delete those that the broker has confirmed; the others are tried again by the next sweep."""
        taken = [item for item in map(decoded, outbox) if item.message is not None]
        if not taken:
            return
        confirmed = {
            message.id
            for message in self._broker.publish([t.message for t in taken if t.message is not None])
        }
        sent = [item.delivery for item in taken if item.message is not None and item.message.id in confirmed]
        self._store.exchange([Transition(delivery=delivery) for delivery in sent])


def _without_delivery(transition: Transition) -> Transition:
    return replace(transition, delivery=None)


def _claims(held: Sequence[Taken]) -> list[Taken]:
    """What the store knows of these: their claims. The tags are the broker's, and mean nothing or something else to the store."""
    return [replace(taken, delivery=replace(taken.delivery, tag="")) for taken in held]
