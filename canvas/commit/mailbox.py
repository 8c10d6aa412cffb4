"""Mailbox: messages in memory: those that wait in queues, those whose time has not come, and those that a worker holds.

It knows texts and ids, no clock and no lock: MemoryCommit, whose store it belongs to, brings both.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..delivery import Delivery
from ..priority import lanes, queue_of_lane


class _Timer(NamedTuple):
    due_us: int
    serial: int
    queue: str
    text: str
    id: str


@dataclass(slots=True)
class _Held:
    queue: str
    text: str
    lease_us: int


class Mailbox:
    """Queues, timers and what is held. Times are microseconds.

    What is put somewhere, and what is taken from, are lanes of queues (see priority.py).
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[str]] = defaultdict(deque)
        self._timers: list[_Timer] = []
        self._held: dict[str, _Held] = {}
        self._serial = itertools.count()

    def put(self, queue: str, text: str) -> None:
        """A message that anybody may take."""
        self._queues[queue].append(text)

    def put_timer(self, queue: str, text: str, id_: str, due_us: int) -> None:
        """A message of task `id_` whose time has not come."""
        self._queues[queue]  # so that its name is known
        heapq.heappush(self._timers, _Timer(due_us, next(self._serial), queue, text, id_))

    def hasten(self, ids: Collection[str], now_us: int) -> int:
        """The timers of these tasks are due now; how many there are."""
        wanted = set(ids)
        count = sum(timer.id in wanted for timer in self._timers)
        self._timers = [
            t._replace(due_us=min(t.due_us, now_us)) if t.id in wanted else t for t in self._timers
        ]
        heapq.heapify(self._timers)
        return count

    def drop(self, queue: str) -> None:
        """Forget what waits there."""
        for name in lanes(queue):
            self._queues.pop(name, None)

    def waiting(self) -> dict[str, list[str]]:
        """The messages of each queue that has any."""
        found: dict[str, list[str]] = {}
        for name, texts in self._queues.items():
            if texts:
                found.setdefault(queue_of_lane(name), []).extend(texts)
        return found

    def queues(self) -> set[str]:
        """Where messages wait, now or once they are due."""
        return {*self.waiting(), *(queue_of_lane(timer.queue) for timer in self._timers)}

    def count(self) -> int:
        """How many messages wait, now or for their time."""
        return sum(map(len, self._queues.values())) + len(self._timers)

    def names(self) -> list[str]:
        """Every queue that a message was ever sent to, by name."""
        return sorted({queue_of_lane(name) for name in self._queues})

    @property
    def held(self) -> int:
        """How many messages workers hold."""
        return len(self._held)

    def waits(self, queue: str, now_us: int) -> int:
        """How many messages of a queue could be taken now."""
        due = sum(timer.queue == queue and timer.due_us <= now_us for timer in self._timers)
        return len(self._queues.get(queue, ())) + due

    def timers(self, limit: int) -> list[tuple[int, str]]:
        """When the first of them are due, and their texts."""
        return [(timer.due_us, timer.text) for timer in heapq.nsmallest(limit, self._timers)]

    def next_us(self) -> int | None:
        """When the first timer is due."""
        return self._timers[0].due_us if self._timers else None

    def has_any(self, queues: Sequence[str], now_us: int) -> bool:
        """Whether there is something to take."""
        due = bool(self._timers) and self._timers[0].due_us <= now_us
        return due or any(self._queues[queue] for queue in queues)

    def take(
        self, queues: Sequence[str], limit: int, holder: str, now_us: int, until_us: int
    ) -> list[Delivery]:
        """Up to `limit` messages, in the order of the queues, held until then."""
        while self._timers and self._timers[0].due_us <= now_us:
            timer = heapq.heappop(self._timers)
            self._queues[timer.queue].append(timer.text)
        taken: list[Delivery] = []
        for queue in queues:
            while self._queues[queue] and len(taken) < limit:
                taken.append(self.hold(queue, self._queues[queue].popleft(), holder, until_us))
        return taken

    def hold(self, queue: str, text: str, holder: str, until_us: int) -> Delivery:
        """A message that is nobody else's until then."""
        tag = f"{holder}:{next(self._serial)}"
        self._held[tag] = _Held(queue, text, until_us)
        return Delivery(tag, queue_of_lane(queue), None, text)

    def renew(self, tag: str, until_us: int) -> None:
        """Hold it longer, if it is still held."""
        if tag in self._held:
            self._held[tag].lease_us = until_us

    def ack(self, tag: str) -> None:
        """It is done with."""
        self._held.pop(tag, None)

    def put_back(self, tag: str) -> None:
        """It comes first again, if it was held."""
        held = self._held.pop(tag, None)
        if held is not None:
            self._queues[held.queue].appendleft(held.text)

    def put_back_overdue(self, now_us: int) -> None:
        """What was held for too long."""
        for tag in [tag for tag, held in self._held.items() if held.lease_us <= now_us]:
            self.put_back(tag)
