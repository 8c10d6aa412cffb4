"""Timers: messages whose time has not come, which a worker without a store holds unacknowledged (decisions K16, K17). PURE.

A broker that keeps timers itself gets back those that wait for long (see intake.py).

Of each only its envelope is kept, and it is read again when it is due: thousands of them cost a worker some megabytes. They are parked at the broker,
so that it sends others all the same, up to a bound: a worker must not be filled until the system kills it.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass

from ..delivery import Delivery
from ..message import Message

MOST_BYTES = 64 * 2**20
"""How much may be parked, in bytes of envelopes."""

_Key = tuple[str, int, int, int]
"""Id, generation, attempt and due time: what is the same in all of these is the same message, delivered twice."""


@dataclass(slots=True)
class _Timer:
    delivery: Delivery
    is_parked: bool = False


class Timers:
    """What waits, by its time."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._waiting: dict[_Key, _Timer] = {}
        self._by_time: list[tuple[int, _Key]] = []
        self._counted: deque[_Key] = deque()
        """Those that are not parked yet."""
        self._parked_bytes = 0

    def add(self, delivery: Delivery, message: Message) -> Delivery | None:
        """Hold a message that has an eta. Returns the delivery that it takes the place of, if the same message is held already."""
        assert message.eta_us is not None
        key = message.id, message.generation, message.attempt, message.eta_us
        known = self._waiting.pop(key, None)
        if known is None:
            heapq.heappush(self._by_time, (message.eta_us, key))
        else:
            self._leave(known)
        self._waiting[key] = _Timer(Delivery(delivery.tag, delivery.queue, None, delivery.raw))
        self._counted.append(key)
        return None if known is None else known.delivery

    def due(self, now_us: int, limit: int | None = None) -> list[Delivery]:
        """Let go of up to `limit` messages whose time has come, the earliest first."""
        found: list[Delivery] = []
        while self._by_time and self._by_time[0][0] <= now_us and (limit is None or len(found) < limit):
            timer = self._waiting.pop(heapq.heappop(self._by_time)[1])
            self._leave(timer)
            found.append(timer.delivery)
        return found

    @property
    def next_us(self) -> int | None:
        """When the first of them is due."""
        return self._by_time[0][0] if self._by_time else None

    @property
    def held(self) -> list[Delivery]:
        """All of them."""
        return [timer.delivery for timer in self._waiting.values()]

    def first(self, limit: int) -> list[tuple[int, str]]:
        """When those that come first are due, and their envelopes."""
        earliest = heapq.nsmallest(limit, ((key[3], key) for key in self._waiting))
        return [(due_us, self._waiting[key].delivery.raw) for due_us, key in earliest]

    def park(self) -> list[Delivery]:
        """Those that are to be parked now, each only once."""
        found = []
        while self._counted and self._parked_bytes < self._most_bytes:
            timer = self._waiting.get(self._counted.popleft())
            if timer is not None and not timer.is_parked:
                timer.is_parked = True
                self._parked_bytes += len(timer.delivery.raw)
                found.append(timer.delivery)
        return found

    @property
    def is_full(self) -> bool:
        """Whether some cannot be parked."""
        return bool(self._counted) and self._parked_bytes >= self._most_bytes

    def _leave(self, timer: _Timer) -> None:
        if timer.is_parked:
            self._parked_bytes -= len(timer.delivery.raw)
