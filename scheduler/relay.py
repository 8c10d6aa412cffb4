"""Relay: sends what the ledger has recorded, collects what the broker confirmed, and says what may be marked as sent.

It is not the truth about anything: the open rows of the ledger are, and the relay holds some of them in memory, oldest first.
Whatever it forgets is loaded again (step L). The windows in which the broker may get a second copy, always with the same
task id, are those of reliability 2.4: a crash or a lost confirm between publish and mark (W1), and a leader that was paused
between the gate and the socket (W2). AT_ONCE bounds what is unconfirmed, BATCH what is confirmed and not yet marked.
"""

from __future__ import annotations

import heapq
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Protocol

from .clock import Clock
from .errors import BackbeatScheduleError
from .firing import Firing, FiringKey
from .store.base import Marks

log = logging.getLogger(__name__)

AT_ONCE = 256
"""Firings that are with the broker and not confirmed (I-CAP); the gate is asked again for each such slice."""
SLICES_AT_ONCE = 8
"""Slices in one call: a backlog must not keep the loop from deciding what is due meanwhile."""
HELD_IN_MEMORY = 20_000
"""Open firings in memory; beyond it, while the broker is down, they wait in the ledger alone."""
FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 30.0


class OutletDown(BackbeatScheduleError):
    """The broker cannot be reached; nothing of what was given is known to be confirmed."""


class Outlet(Protocol):
    """The way to the broker. One thread at a time.

    An outlet that can will also tell other beats its cluster and store id (decisions B12); the relay does not ask for it.
    """

    def publish(self, firings: Sequence[Firing]) -> Sequence[Firing]:
        """Send each firing as one message with its task id; returns those that the broker has confirmed as durable.

        The others may have arrived or not: they are sent again, with the same id. Takes at most AT_ONCE firings, and
        returns within a bounded time. Raises OutletDown when the broker cannot be reached at all.
        """

    def stay(self) -> None:
        """Called about once a second while this beat leads, whether or not something is to be sent. Raises nothing."""


class MemoryOutlet:
    """Keeps what is sent in a list, for tests and trials; confirms everything while `up`."""

    def __init__(self) -> None:
        self.sent: list[Firing] = []
        self.up = True

    def stay(self) -> None:
        """Nobody is told."""

    def publish(self, firings: Sequence[Firing]) -> Sequence[Firing]:
        if not self.up:
            raise OutletDown("the memory outlet is switched off")
        self.sent += firings
        return firings


class Relay:
    """Open firings on their way out."""

    def __init__(self, outlet: Outlet, clock: Clock) -> None:
        self.stay = outlet.stay
        self._outlet = outlet
        self._clock = clock
        self._ready: deque[Firing] = deque()
        self._later: list[tuple[float, FiringKey, Firing]] = []
        self._tries: Counter[FiringKey] = Counter()
        self._open: Counter[int] = Counter()
        self._confirmed: dict[int, list[Firing]] = {}
        self._failures = 0
        self._retry_at = 0.0
        self.overflowed = False
        """Whether open firings were left to the ledger alone: load them when the relay has room again."""

    def __len__(self) -> int:
        return len(self._ready) + len(self._later)

    def add(self, batch: Sequence[Firing]) -> None:
        """Take over all firings of a batch that was decided just now: they come after what is here already."""
        if self.overflowed or len(self) >= HELD_IN_MEMORY:
            self.overflowed = True  # all or nothing: a batch is marked as a whole
            return
        self._ready.extend(batch)
        self._open.update(firing.batch_id for firing in batch)

    def restart(self, firings: Sequence[Firing], *, more: bool = False) -> None:
        """Forget everything; hold these, which the ledger says are open, oldest first; `more` are in the ledger alone.

        Marks must be stored before.
        """
        self._ready = deque(firings)
        self._later.clear()
        self._tries.clear()
        self._confirmed.clear()
        self._open = Counter(firing.batch_id for firing in firings)
        self.overflowed = more

    def send(self, gate: Callable[[], bool]) -> list[Firing]:
        """Publish what is ready, slice by slice while `gate` is open; the firings that were confirmed."""
        confirmed: list[Firing] = []
        now = self._clock.boottime()
        while self._later and self._later[0][0] <= now:
            self._ready.appendleft(heapq.heappop(self._later)[2])
        for _ in range(SLICES_AT_ONCE):
            if not self._ready or now < self._retry_at or not gate():
                break
            size = min(AT_ONCE, len(self._ready))
            try:
                took = self._outlet.publish([self._ready[i] for i in range(size)])
            except OutletDown as cause:
                self._back_off(cause)
                break
            self._failures = 0
            self._settle([self._ready.popleft() for _ in range(size)], took)
            confirmed += took
        return confirmed

    def retry_in(self) -> float | None:
        """Seconds until there is something to send again; None when there is nothing."""
        now = self._clock.boottime()
        if self._ready:
            return max(0.0, self._retry_at - now)
        return max(0.0, self._later[0][0] - now) if self._later else None

    def marks(self, now_us: int) -> Marks:
        """What is confirmed and not yet marked: whole batches, and single firings of those that still have open ones."""
        whole = tuple(batch_id for batch_id in self._confirmed if not self._open[batch_id])
        parts = tuple(
            f.ledger_key for batch_id, known in self._confirmed.items() if self._open[batch_id] for f in known
        )
        return Marks(whole, parts, now_us)

    def marked(self, marks: Marks) -> None:
        """The store has these marks."""
        for batch_id in marks.batches:
            self._confirmed.pop(batch_id, None)
            del self._open[batch_id]
        done = set(marks.firings)
        if done:
            left = {b: [f for f in known if f.ledger_key not in done] for b, known in self._confirmed.items()}
            self._confirmed = {batch_id: known for batch_id, known in left.items() if known}

    def _settle(self, given: Sequence[Firing], took: Sequence[Firing]) -> None:
        """Count what was confirmed; put the rest back with a delay of its own, so that it holds nobody up."""
        for firing in took:
            self._confirmed.setdefault(firing.batch_id, []).append(firing)
            self._open[firing.batch_id] -= 1
        if len(took) == len(given):
            return
        confirmed = {firing.ledger_key for firing in took}
        now = self._clock.boottime()
        for firing in given:
            key = firing.ledger_key
            if key in confirmed:
                self._tries.pop(key, None)
                continue
            self._tries[key] += 1
            heapq.heappush(self._later, (now + _delay(self._tries[key]), key, firing))
            log.warning(
                "Not confirmed, will be sent again: %s (%s), try %d",
                firing.entry,
                firing.task_id,
                self._tries[key],
                extra={"action": "firing_unconfirmed", "entry": firing.entry, "id": firing.task_id},
            )

    def _back_off(self, cause: OutletDown) -> None:
        self._failures += 1
        delay = _delay(self._failures)
        self._retry_at = self._clock.boottime() + delay
        log.warning(
            "The broker is down, %d firings wait, next try in %.1f s: %s",
            len(self),
            delay,
            cause,
            extra={"action": "outlet_down"},
        )


def _delay(tries: int) -> float:
    return min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(tries - 1, 10))
