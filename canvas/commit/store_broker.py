"""StoreBroker: one of our own stores (memory, sql, redis) used as a broker only, while another store keeps the canvas."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from ..brokers.base import Posted
from ..delivery import Delivery
from ..effect import Publish
from ..errors import EncodeError
from ..message import Message
from ..template import Rendered, Sendable
from .base import Store
from .taken import Taken
from .transition import Transition
from .verdict import Run

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
"""How often who has nothing to do looks for what dead consumers held."""


class StoreBroker:
    """A Broker over a Commit that was opened with Role.BROKER."""

    def __init__(self, carrier: Store, *, sweep_seconds: float = SWEEP_SECONDS) -> None:
        self._carrier = carrier
        self._sweep_seconds = sweep_seconds
        self._next_sweep = 0.0

    keeps_timers = True

    def post(self, items: Sequence[Sendable], *, once: bool = False, at_once: bool = False) -> Posted:  # noqa: ARG002 - nothing is written twice
        rendered = [item for item in items if isinstance(item, Rendered)]
        refused = self._put(rendered) if rendered or not items else {}
        plain = [item for item in items if isinstance(item, Message)]
        refused |= self._send(plain, not_before_us=0 if at_once else None)
        return Posted([item.id for item in items if item.id not in refused], refused.keys(), refused)

    def _put(self, items: Sequence[Rendered]) -> dict[str, str]:
        """The same as `_send`."""
        try:
            return dict.fromkeys(self._carrier.put(items), "the store refuses it")
        except EncodeError as error:
            if len(items) > 1:
                return {id_: why for item in items for id_, why in self._put([item]).items()}
            return _refused(items[0].id, error)

    def _send(self, messages: Sequence[Message], not_before_us: int | None = None) -> dict[str, str]:
        """All in one step, or, where that is refused, one by one; why which are refused, by their ids."""
        if not messages:
            return {}
        try:
            self._carrier.exchange(
                [Transition(effects=tuple(Publish(message, not_before_us) for message in messages))]
            )
        except EncodeError as error:
            if len(messages) > 1:
                each = (self._send([message], not_before_us) for message in messages)
                return {id_: why for refused in each for id_, why in refused.items()}
            return _refused(messages[0].id, error)
        return {}

    def take(self, limit: int) -> list[Delivery]:
        taken = self._carrier.exchange([], take=limit).taken
        if not taken and time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + self._sweep_seconds
            self._carrier.sweep()
            taken = self._carrier.exchange([], take=limit).taken
        return [item.delivery for item in taken]

    def serve(self, queues: Sequence[str]) -> None:
        self._carrier.serve(queues)

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        return self._carrier.counts(queues)

    def pause(self) -> None:
        """A store sends nothing ahead."""

    def park(self, deliveries: Sequence[Delivery]) -> None:
        """A store sends whatever is held: what waits for long is to be posted again, to wait there."""

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._carrier.exchange([Transition(delivery=delivery) for delivery in deliveries])

    def release(self, deliveries: Sequence[Delivery]) -> None:
        self._carrier.release(_held(deliveries))

    def renew(self, deliveries: Sequence[Delivery]) -> None:
        self._carrier.renew(_held(deliveries))

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        self._carrier.wait(timeout, wakers)

    def announce(self, name: str, value: str, seconds: float) -> str:
        return self._carrier.announce(name, value, seconds)

    def present(self, broadcast: str, queue: str, seconds: float) -> None:
        self._carrier.present(broadcast, queue, seconds)

    def audience(self, broadcast: str) -> Sequence[str] | None:
        return self._carrier.audience(broadcast)

    def close(self) -> None:
        self._carrier.close()


def _refused(id_: str, error: EncodeError) -> dict[str, str]:
    logger.error("message %s is refused: %s", id_, error, extra={"action": "refused", "id": id_})
    return {id_: str(error)}


def _held(deliveries: Sequence[Delivery]) -> list[Taken]:
    return [Taken(delivery, None, Run()) for delivery in deliveries]
