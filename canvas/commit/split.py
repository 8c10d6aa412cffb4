"""SplitCommit: one broker, another store: what happened is stored first, with the messages that it causes; then these are sent.

    store: outcome + parts + outbox rows   ->   broker: publish, confirmed; ack   ->   store: delete the rows, and claim what comes next

Whoever dies in between leaves outbox rows that any worker's relay sends after two seconds, and messages that the broker delivers
again; both carry ids that are known, so nothing runs that has run (decisions K1). Timers wait in the outbox until they are due.

A worker that completes a join serves it itself, straight from the outbox: that saves the way over the broker and three transactions. If it
dies a relay sends the row as any other; of two that serve it one closes the join.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from itertools import islice

from msgspec.structs import replace

from ..brokers.base import Broker
from ..continuation import JoinRecord
from ..delivery import Delivery
from ..effect import Publish
from ..errors import Unavailable
from ..killpoint import reach
from ..message import guard_of
from ..own_tasks import JOIN_TASK
from ..progress import Progress
from ..signing import NO_KEYS, Keyring
from .base import Loaded, Store
from .dead_letter import DeadLetter, KeptLetter
from .limits import DEFAULT_LIMITS, Limits
from .looking import Waiting
from .outgoing import Outgoing
from .role import OUTBOX
from .taken import Taken, decoded
from .transition import Exchange, Transition
from .verdict import Run

logger = logging.getLogger(__name__)

RELAY_LIMIT = 500
LOOK_SECONDS = 0.1
"""How often the store is asked for the next timer; another process may have put an earlier one there."""
LONGEST_WAIT_SECONDS = 0.2
"""How late a timer may be that somebody else has put into the store meanwhile: the broker, which is waited for, knows nothing of it."""
SOONEST_SECONDS = 0.02
"""A timer that is due and cannot be sent yet (another relay holds it) is looked at again after so long."""


class SplitCommit:
    """A Commit over a Broker and a store that was opened with Role.STORE."""

    def __init__(
        self, broker: Broker, store: Store, limits: Limits = DEFAULT_LIMITS, *, keyring: Keyring = NO_KEYS
    ) -> None:
        self._broker = broker
        self._store = store
        self._limits = limits
        self._keyring = keyring
        self._outgoing = Outgoing(broker)
        self._unclaimed: list[Taken] = []
        self._sent: list[Delivery] = []
        """Outbox rows that the broker has confirmed, and that are still to be deleted: by whatever is next brought to the store."""
        self._unsendable: deque[Taken] = deque(maxlen=RELAY_LIMIT)
        """Outbox rows that no broker will take: they are given to whoever takes, to end as what cannot be read does."""
        self._own_joins: deque[Taken] = deque()
        """Joins that are complete by what was brought here, in rows of the outbox that are held."""
        self._look_at = self._timer_at = 0.0

    @property
    def at_once(self) -> int:
        return self._store.at_once

    def exchange(
        self, transitions: Sequence[Transition], *, take: int = 0, claim: Sequence[Taken] = ()
    ) -> Exchange:
        stored = Exchange([])
        if transitions:
            stored = self._store.exchange([self._to_store(transition) for transition in transitions])
            reach("split.stored")
            if any(transition.frees is not None for transition in transitions):
                self._look_at = self._timer_at = 0.0  # who waited for the slot is due now
            pairs = zip(transitions, stored.standing, strict=True)
            done = [
                t.delivery
                for t, standing in pairs
                if standing is None
                and t.delivery is not None
                and not _is_from_outbox(t.delivery)
                and not (t.admits is not None and t.admits.message.id in stored.admitted)
            ]
            is_told = all(transition.delivery is None for transition in transitions)
            self._send_or_leave(self._without_joins(stored.outbox, take), is_told=is_told)
            if done:
                self._ack_or_leave(done)
        try:
            taken, claimed = self._take(take, claim)
        except Unavailable:
            if claim or not transitions:
                raise
            taken, claimed = [], []  # stored is stored: whoever next takes without bringing anything is told
        return Exchange(stored.standing, taken, claimed, holders=stored.holders, admitted=stored.admitted)

    def _without_joins(self, outbox: Sequence[Delivery], take: int) -> list[Taken]:
        """What is to be sent: all but the joins that who takes is given at once."""
        others: list[Taken] = []
        for item in [decoded(delivery, self._keyring) for delivery in outbox]:
            is_join = item.message is not None and item.message.task == JOIN_TASK
            (self._own_joins if is_join and len(self._own_joins) < take else others).append(item)
        return others

    def _send_or_leave(self, outbox: Sequence[Taken], *, is_told: bool) -> None:
        """Send what was just stored. Stored is stored: what cannot be sent now is sent by a relay. Bringing the transitions again would
        write all their messages once more, so only a client, who has nothing to acknowledge, is told.
        """
        try:
            self._send(outbox)
        except Unavailable as error:
            if is_told:
                raise
            logger.warning(
                "%s; what was to be sent waits in the outbox", error, extra={"action": "unavailable"}
            )

    def _ack_or_leave(self, done: Sequence[Delivery]) -> None:
        """Whatever became of the sending: else the broker would count them as held, and send no others, for as long as it lives."""
        try:
            self._broker.ack(done)
            reach("split.acked")
        except Unavailable as error:
            logger.warning(
                "%s; what was not acknowledged comes again, and is known",
                error,
                extra={"action": "unavailable"},
            )

    def _take(self, take: int, claim: Sequence[Taken]) -> tuple[list[Taken], list[Taken]]:
        """New work with its claims, and what was brought to be claimed."""
        if take:
            self._send_due()
        own = [*islice(self._own_joins, take)]
        refused = [*islice(self._unsendable, take - len(own))]
        take -= len(own) + len(refused)
        if take > len(self._unclaimed):
            self._unclaimed += [
                decoded(delivery, self._keyring)
                for delivery in self._broker.take(take - len(self._unclaimed))
            ]
        # kept until they are claimed, as the broker would not give them again; there may be more than were asked for this time
        mine = self._unclaimed[:take]
        if mine:
            reach("split.delivered")
        claimed = self._claimed([*mine, *claim])
        self._unclaimed = self._unclaimed[take:]
        for given, source in ((own, self._own_joins), (refused, self._unsendable)):
            for _ in given:
                source.popleft()
        return [*own, *refused, *claimed[: len(mine)]], claimed[len(mine) :]

    def _claimed(self, wanted: Sequence[Taken]) -> list[Taken]:
        """Claim these, and delete the outbox rows that were sent, in one step of the store; none if there is nothing to do."""
        sent = [Transition(delivery=delivery) for delivery in self._sent]
        if not sent and not wanted:
            return []
        claimed = list(self._store.exchange(sent, claim=wanted).claimed)
        self._sent.clear()
        if sent:
            reach("split.deleted")
        return claimed

    def load(
        self, chains: Collection[str] = (), joins: Collection[str] = (), plans: Collection[str] = ()
    ) -> Loaded:
        return self._store.load(chains, joins, plans)

    def renew(self, held: Sequence[Taken]) -> None:
        try:
            self._store.renew(_claims(held))
        finally:  # a broker that hears nothing while the store is away would give what runs to others
            self._broker.renew([taken.delivery for taken in held if not _is_from_outbox(taken.delivery)])

    def release(self, held: Sequence[Taken], *, lost: bool = False) -> None:
        own = [taken for taken in held if _is_from_outbox(taken.delivery)]
        others = [taken for taken in held if not _is_from_outbox(taken.delivery)]
        self._store.release([*own, *_claims(others)], lost=lost)
        reach("split.released")
        self._broker.release([taken.delivery for taken in others])

    def pause(self) -> None:
        """Hand back what is not claimed; what cannot be comes back by itself, as its connection is lost or its lease will be over."""
        unclaimed, self._unclaimed = self._unclaimed, []
        joins = [*self._own_joins]
        self._own_joins.clear()
        self._broker.pause()
        self._broker.release([taken.delivery for taken in unclaimed])
        if joins:
            self._store.release(joins)

    def sweep(self) -> list[JoinRecord]:
        """Relay what is due or was left by the dead."""
        interrupted = self._store.sweep()
        self.send_stored()
        return interrupted

    def send_stored(self) -> None:
        """Send what lies in the outbox and is due. Raises Unavailable; then it lies there still, for anyone to send."""
        rows = [taken.delivery for taken in self._store.exchange([], take=RELAY_LIMIT).taken]
        if rows:
            reach("split.relaying")
        try:
            self._unsendable.extend(self._send([decoded(row, self._keyring) for row in rows]))
            self._claimed([])
        except Unavailable:
            with suppress(Unavailable):  # then they are there again after their lease
                self._store.release([Taken(row, None, Run()) for row in rows])
            raise

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        self._send_due()
        until_timer = self._timer_at - time.monotonic()
        if until_timer > 0:
            self._broker.wait(min(timeout, until_timer, LONGEST_WAIT_SECONDS), wakers)
        self._send_due()

    def revoke(self, ids: Sequence[str], signum: int | None = None) -> None:
        self._store.revoke(ids, signum)

    def terminations(self, ids: Collection[str]) -> Mapping[str, int]:
        return self._store.terminations(ids)

    def serve(self, queues: Sequence[str]) -> None:
        self._broker.serve(queues)

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        return self._broker.counts(queues)

    def scheduled(self, limit: int) -> Sequence[Waiting]:
        return self._store.scheduled(limit)

    def revoked(self, limit: int) -> Sequence[str]:
        return self._store.revoked(limit)

    def dead_letters(self, limit: int, before: str = "") -> Sequence[KeptLetter]:
        return self._store.dead_letters(limit, before)

    def dead_letter(self, key: str) -> KeptLetter | None:
        return self._store.dead_letter(key)

    def drop_dead(self, keys: Sequence[str]) -> int:
        return self._store.drop_dead(keys)

    def tell(self, words: Sequence[Progress]) -> None:
        self._store.tell(words)

    def announce(self, name: str, value: str, seconds: float) -> str:
        return self._broker.announce(name, value, seconds)

    def present(self, broadcast: str, queue: str, seconds: float) -> None:
        self._broker.present(broadcast, queue, seconds)

    def audience(self, broadcast: str) -> Sequence[str] | None:
        return self._broker.audience(broadcast)

    def close(self) -> None:
        self._broker.close()
        self._store.close()

    def _send_due(self) -> None:
        """Timers wait in the store, and whoever is awake when one is due sends it (decisions K16)."""
        now = time.monotonic()
        if now < min(self._timer_at, self._look_at):
            return
        seconds = self._store.seconds_to_timer()
        self._look_at = now + LOOK_SECONDS
        self._timer_at = math.inf if seconds is None else now + max(seconds, SOONEST_SECONDS)
        if seconds is not None and seconds <= 0:
            self.send_stored()

    def _to_store(self, transition: Transition) -> Transition:
        """What the store gets of a transition: all but a delivery that is the broker's. A message that is acknowledged early leaves
        the broker for good, so a copy of it waits in the store for the case that its claim dies.
        """
        delivery = transition.delivery if _is_from_outbox(transition.delivery) else None
        if transition.early is None:
            return replace(transition, delivery=delivery)
        guard = Publish(guard_of(transition.early, self._limits.lease_seconds))
        return replace(transition, delivery=delivery, effects=(*transition.effects, guard))

    def _send(self, outbox: Sequence[Taken]) -> list[Taken]:
        """Send outbox rows, and delete those that the broker has confirmed; the others are tried again by the next sweep.

        Returns those that the broker will never take, to end as messages that cannot be read end, but that all is known of them.
        """
        self._bury([item for item in outbox if item.message is None])
        messages = [item.message for item in outbox if item.message is not None]
        if not messages:
            return []
        sent = self._outgoing.send(messages)
        reach("split.sent")
        done = [
            item.delivery for item in outbox if item.message is not None and item.message.id in sent.confirmed
        ]
        self._sent += done
        return [
            Taken(item.delivery, None, Run(), sent.refused[message.id], message.id, stub=message)
            for item in outbox
            if (message := item.message) is not None and message.id in sent.refused
        ]

    def _bury(self, refused: Sequence[Taken]) -> None:
        """Rows that are no messages of ours: nobody else could send them either."""
        for item in refused:
            text = "a row of the outbox is not sent: %s"
            logger.error(text, item.reason, extra={"action": "message_refused", "id": item.task_id})
            dead = DeadLetter(item.reason, item.delivery.raw, item.task_id)
            self._store.exchange([Transition(delivery=item.delivery, dead=dead)])


def _claims(held: Sequence[Taken]) -> list[Taken]:
    """What the store knows of these: their claims. The tags are the broker's, and mean nothing or something else to the store."""
    return [replace(taken, delivery=replace(taken.delivery, tag="")) for taken in held]


def _is_from_outbox(delivery: Delivery | None) -> bool:
    return delivery is not None and delivery.queue == OUTBOX
