"""StoreBroker: one of our own stores (memory, sql, redis) used as a broker only, while another store keeps the canvas."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..delivery import Delivery
from ..effect import Publish
from ..message import Message
from .base import Commit, Run, Taken, Transition

SWEEP_SECONDS = 1.0
"""How often who has nothing to do looks for what dead consumers held."""


class StoreBroker:
    """A Broker over a Commit that was opened with Role.BROKER."""

    def __init__(self, commit: Commit, *, sweep_seconds: float = SWEEP_SECONDS) -> None:
        self._commit = commit
        self._sweep_seconds = sweep_seconds
        self._next_sweep = 0.0

    def publish(self, messages: Sequence[Message]) -> Sequence[Message]:
        self._commit.exchange([Transition(effects=tuple(Publish(message) for message in messages))])
        return messages

    def take(self, limit: int) -> list[Delivery]:
        taken = self._commit.exchange([], take=limit).taken
        if not taken and time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + self._sweep_seconds
            self._commit.sweep()
            taken = self._commit.exchange([], take=limit).taken
        return [item.delivery for item in taken]

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._commit.exchange([Transition(delivery=delivery) for delivery in deliveries])

    def release(self, deliveries: Sequence[Delivery]) -> None:
        self._commit.release(_held(deliveries))

    def renew(self, deliveries: Sequence[Delivery]) -> None:
        self._commit.renew(_held(deliveries))

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        self._commit.wait(timeout, wakers)

    def announce(self, name: str, value: str, seconds: float) -> str:
        return self._commit.announce(name, value, seconds)

    def close(self) -> None:
        self._commit.close()


def _held(deliveries: Sequence[Delivery]) -> list[Taken]:
    return [Taken(delivery, None, Run()) for delivery in deliveries]
