"""Outgoing: sends the messages of an outbox, and finds those that the broker will never take.

One that cannot be written in the broker's protocol, or takes the connection with it each time, would else be sent again for ever, and with it
whatever is read from the outbox together with it. It is found by sending one by one what could not be sent together.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..brokers.base import Broker, Posted
from ..errors import Unavailable
from ..message import Message

logger = logging.getLogger(__name__)

MOST_LOSSES = 5
"""How many connections may be lost over one message, while the broker was there just before. A restart of the broker may be one of them."""


@dataclass(slots=True)
class Sending:
    """What became of messages, by their ids; of the others nobody knows, or the broker may take them later."""

    confirmed: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    """Why the broker will never take it."""

    def add(self, posted: Posted) -> None:
        self.confirmed.update(posted.confirmed)
        self.refused.update(posted.unsendable)


class Outgoing:
    """Sends by one broker; remembers over which messages connections were lost."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._losses: Counter[str] = Counter()

    def send(self, messages: Sequence[Message]) -> Sending:
        """Send them at once. Raises Unavailable if the broker is away, or none of them could be sent."""
        sent = Sending()
        try:
            sent.add(self._broker.post(messages, at_once=True))
        except Unavailable as error:
            for message in messages:
                self._broker.post(())  # raises if the broker is away: then none of them is to blame
                self._send_alone(message, sent)
            if not sent.confirmed and not sent.refused:
                raise error from None
        for id_ in sent.confirmed:
            self._losses.pop(id_, None)
        return sent

    def _send_alone(self, message: Message, sent: Sending) -> None:
        try:
            sent.add(self._broker.post((message,), at_once=True))
        except Unavailable as error:
            self._losses[message.id] += 1
            extra = {"action": "connection_lost", "id": message.id}
            logger.warning("a connection was lost over message %s: %s", message.id, error, extra=extra)
            if self._losses[message.id] >= MOST_LOSSES:
                sent.refused[message.id] = f"{MOST_LOSSES} connections were lost over it: {error}"
