"""Intake: what a StatelessCommit takes from its broker, and holds: what was not given out yet, what waits for its time, what is to be acknowledged.

Where the broker keeps timers, what waits for long goes back to it as one (decisions K16); else it waits here, unacknowledged (see timers.py).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence

from ..brokers.base import Broker
from ..delivery import Delivery
from ..errors import Unavailable
from ..message import Message
from ..signing import NO_KEYS, Keyring
from .looking import Waiting, waiting_of
from .taken import Taken, decoded
from .timers import Timers

logger = logging.getLogger(__name__)

TIMERS_AT_ONCE = 200
"""So many messages whose time has not come are passed over in one call, to look for others behind them."""
NEAR_SECONDS = 60
"""What is due so soon waits here in any case: a broker whose clock is ahead of ours would bring it back at once, again and again."""


class Intake:
    """What one process has taken from `broker`."""

    def __init__(self, broker: Broker, keyring: Keyring = NO_KEYS) -> None:
        self._broker = broker
        self._keyring = keyring
        self._timers = Timers()
        self._is_full = False
        self._ready: list[Taken] = []
        self._doubtful: list[Delivery] = []
        """Taken before the broker failed. If their connection is lost they come again, and would run twice: so they go back in any case."""
        self._done: list[Delivery] = []

    @property
    def next_us(self) -> int | None:
        """When there will be something to give out without asking the broker; None if nothing waits."""
        return 0 if self._ready else self._timers.next_us

    @property
    def held(self) -> list[Delivery]:
        """All that is held here."""
        ready = [item.delivery for item in self._ready]
        return [*ready, *self._timers.held, *self._doubtful, *self._done]

    def waiting(self, limit: int) -> list[Waiting]:
        """What waits here for its time."""
        return waiting_of(self._timers.first(limit), self._keyring)

    def ready(self, limit: int, now_us: int) -> list[Taken]:
        """Up to `limit` messages that may run now; they are here still until they are `given`. Raises Unavailable."""
        self.ack([])
        try:
            if self._doubtful:
                self._broker.release(self._doubtful)
                self._doubtful = []
            self._fill(limit, now_us)
        except Unavailable:
            self._doubtful += [item.delivery for item in self._ready]
            self._ready = []
            raise
        return self._ready[:limit]

    def given(self, count: int) -> None:
        """So many of those that were ready are somebody else's now."""
        del self._ready[:count]

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """These are done with. What follows from them is sent by now, and would be sent twice if this failed: so it is tried again by and by."""
        self._done += deliveries
        if not self._done:
            return
        try:
            self._broker.ack(self._done)
        except Unavailable as error:
            text = "%s; what was not acknowledged may come again, and run again"
            logger.warning(text, error, extra={"action": "unavailable"})
        else:
            self._done = []

    def pause(self, now_us: int) -> None:
        """Hand back what may run now, and have no more sent ahead. What waits for its time goes on being held until then: handed back,
        thousands of messages would be sent around with each task that takes a while.
        """
        # what cannot be handed back comes back by itself, as its connection is lost or its lease will be over
        ready = [item.delivery for item in self._ready]
        given, self._ready, self._doubtful = [*ready, *self._doubtful], [], []
        self.ack([])
        self._broker.pause()
        self._broker.release([*given, *self._timers.due(now_us)])

    def _fill(self, limit: int, now_us: int) -> None:
        due = self._timers.due(now_us, limit - len(self._ready))
        self._ready += [decoded(delivery, self._keyring) for delivery in due]
        self._park()  # there may be room again, and nothing may come before it is used
        waiting = 0
        while len(self._ready) < limit and waiting < TIMERS_AT_ONCE:
            found = [
                decoded(delivery, self._keyring) for delivery in self._broker.take(limit - len(self._ready))
            ]
            early = [item for item in found if _is_early(item.message, now_us)]
            self._ready += [item for item in found if not _is_early(item.message, now_us)]
            if not early:
                return
            waiting += len(early)
            self._hold(early, now_us)
            self._park()

    def _hold(self, early: Sequence[Taken], now_us: int) -> None:
        stored = self._stored(early, now_us) if self._broker.keeps_timers else ()
        over = []
        for delivery, message in _messages(early):
            if delivery.tag in stored:
                over.append(delivery)
                continue
            replaced = self._timers.add(delivery, message)
            # else it would run twice: the connection that held it was lost, or it was sent twice
            if replaced is not None:
                over.append(replaced)
        self.ack(over)

    def _stored(self, early: Sequence[Taken], now_us: int) -> Collection[str]:
        """Send what waits for long again, to wait in the broker; the tags of what is there by now."""
        near_us = 0 if self._timers.is_full else NEAR_SECONDS * 1_000_000
        far = [
            (delivery.tag, message)
            for delivery, message in _messages(early)
            if _is_early(message, now_us + near_us)
        ]
        if not far:
            return ()
        try:
            confirmed = set(self._broker.post([message for _, message in far]).confirmed)
        except Unavailable:  # nobody knows; it is held here, where it is renewed
            return ()
        return {tag for tag, message in far if message.id in confirmed}

    def _park(self) -> None:
        parked = self._timers.park()
        if parked:
            self._broker.park(parked)
        is_full = self._timers.is_full and not self._broker.keeps_timers
        if is_full and not self._is_full:
            logger.warning(
                "%d messages wait for their time in this worker, as there is no result backend where they could: it takes no more of them",
                len(self._timers.held),
                extra={"action": "timers_full"},
            )
        self._is_full = is_full


def _is_early(message: Message | None, now_us: int) -> bool:
    return message is not None and message.eta_us is not None and message.eta_us > now_us


def _messages(items: Sequence[Taken]) -> Iterator[tuple[Delivery, Message]]:
    for item in items:
        if item.message is not None:
            yield item.delivery, item.message
