"""Backlog: the open firings that a beat has in memory, and which of them go out next.

PURE: both times come in as arguments, boot time for delays and wall time for what depends on fire times. Oldest first, with
these exceptions: a firing waits for its send time (jitter, spread), for its next try, or for its turn where an entry's late
ones leave at a limited rate. Those that may go out once only stand in a queue of their own, as they are sent in windows of
their own; the older head of the two goes first.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from .entry import SECOND_US, USUAL
from .firing import Firing, FiringKey, FiringKind

FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Slice:
    """What goes out next: all of it `once` or none of it; and what was found to be expired meanwhile."""

    firings: tuple[Firing, ...]
    once: bool
    expired: tuple[Firing, ...]


def delay_seconds(tries: int) -> float:
    """How long to wait after so many tries in vain."""
    return min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(tries - 1, 10))


class Backlog:
    """Firings until they are taken. Whoever takes them counts them from then on."""

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        return self.waiting + len(self._timed)

    @property
    def waiting(self) -> int:
        """How many wait for the broker, and not for their send time."""
        paced = sum(len(late) for late in self._paced.values()) if self._paced else 0
        return len(self._usual) + len(self._once) + len(self._later) + paced

    @property
    def ready(self) -> int:
        """How many could go out now, but for the broker; those that it returned, or that wait for their turn, hold up nobody."""
        return len(self._usual) + len(self._once)

    def clear(self) -> None:
        """Forget everything."""
        self._usual: deque[Firing] = deque()
        self._once: deque[Firing] = deque()
        self._later: list[tuple[float, FiringKey, Firing]] = []
        self._timed: list[tuple[int, FiringKey, Firing]] = []
        self._tries: Counter[FiringKey] = Counter()
        self._paced: dict[str, deque[Firing]] = {}
        self._free_at: dict[str, float] = {}
        self._turn: set[FiringKey] = set()

    def put(self, firings: Sequence[Firing]) -> None:
        """Add firings, oldest first, behind those that are here."""
        if all(firing.terms is USUAL and not firing.hold_us for firing in firings):
            self._usual.extend(firings)
            return
        for firing in firings:
            if firing.hold_us:
                heappush(self._timed, (firing.due_us + firing.hold_us, firing.ledger_key, firing))
            else:
                self._queue_of(firing).append(firing)

    def put_back(self, firings: Sequence[Firing]) -> None:
        """Add firings, oldest first, before those that are here: they were taken, and nothing was done with them."""
        for firing in reversed(firings):
            if firing.terms.rate is not None and firing.entry in self._paced:
                self._wait_in_line(firing)  # else a later one would have its turn before it
            else:
                self._queue_of(firing).appendleft(firing)

    def put_again(self, firing: Firing, now: float) -> int:
        """Add a firing that was tried and not confirmed, for later, the later the more often; how often it was tried."""
        key = firing.ledger_key
        self._tries[key] += 1
        self.put_later(firing, now + delay_seconds(self._tries[key]))
        return self._tries[key]

    def settled(self, key: FiringKey) -> None:
        """This firing, which was taken, does not come back."""
        self._tries.pop(key, None)

    def put_later(self, firing: Firing, at: float) -> None:
        """Add a firing that is not to be taken before `at`, in boot time."""
        heappush(self._later, (at, firing.ledger_key, firing))

    def take(self, most: int, most_once: int, now: float, now_us: int) -> Slice:
        """The next firings, at most `most`, or `most_once` of those that may go out once only."""
        self._release(now, now_us)
        once = bool(self._once) and (not self._usual or self._once[0].due_us < self._usual[0].due_us)
        source, size = (self._once, most_once) if once else (self._usual, most)
        taken: list[Firing] = []
        expired: list[Firing] = []
        while source and len(taken) < size:
            firing = source.popleft()
            if firing.terms is USUAL:
                taken.append(firing)
            elif _expired(firing, now_us):
                expired.append(firing)
            elif self._has_its_turn(firing, now, now_us):
                taken.append(firing)
        return Slice(tuple(taken), once, tuple(expired))

    def next_in(self, now: float, now_us: int) -> float | None:
        """Seconds until something can be taken; None when nothing is here."""
        if self._usual or self._once:
            return 0.0
        if not self._later and not self._timed and not self._paced:
            return None
        waits = []
        if self._later:
            waits.append(self._later[0][0] - now)
        if self._timed:
            waits.append((self._timed[0][0] - now_us) / SECOND_US)
        waits += [self._free_at[name] - now for name in self._paced]
        return max(0.0, min(waits)) if waits else None

    def trim_tried(self) -> list[Firing]:
        """Take out the oldest regular firings of each entry of which the broker returned more than its terms allow."""
        return self._trim([item[2] for item in self._later], {}) if self._later else []

    def trim(self, elsewhere: Mapping[str, int]) -> list[Firing]:
        """Take out the oldest regular firings of each entry that has more than its terms allow; `elsewhere` are more of them."""
        paced = (firing for late in self._paced.values() for firing in late)
        return self._trim([*self._usual, *self._once, *(item[2] for item in self._later), *paced], elsewhere)

    def _trim(self, everything: Sequence[Firing], elsewhere: Mapping[str, int]) -> list[Firing]:
        waiting = [firing for firing in everything if firing.kind is FiringKind.REGULAR]
        excess = Counter(firing.entry for firing in waiting)
        excess.update(elsewhere)
        most = {firing.entry: firing.terms.backlog for firing in waiting}
        excess.subtract(most)
        if all(number <= 0 for number in excess.values()):
            return []
        gone: dict[FiringKey, Firing] = {}
        for firing in sorted(waiting, key=lambda each: each.ledger_key):
            if excess[firing.entry] > 0:
                excess[firing.entry] -= 1
                gone[firing.ledger_key] = firing
        self._usual = deque(firing for firing in self._usual if firing.ledger_key not in gone)
        self._once = deque(firing for firing in self._once if firing.ledger_key not in gone)
        self._later = [item for item in self._later if item[1] not in gone]
        heapify(self._later)
        for name, late in list(self._paced.items()):
            self._put_paced(name, deque(firing for firing in late if firing.ledger_key not in gone))
        return list(gone.values())

    def _queue_of(self, firing: Firing) -> deque[Firing]:
        return self._once if firing.terms.once else self._usual

    def _release(self, now: float, now_us: int) -> None:
        """Those whose time has come join the queues: new ones at the end, those that were tried before at the front."""
        while self._timed and self._timed[0][0] <= now_us:
            firing = heappop(self._timed)[2]
            self._queue_of(firing).append(firing)
        again: list[Firing] = []
        while self._later and self._later[0][0] <= now:
            again.append(heappop(self._later)[2])
        for name, late in list(self._paced.items()):
            if self._free_at[name] <= now:
                firing = late.popleft()
                self._turn.add(firing.ledger_key)
                self._count_turn(firing, now)
                self._put_paced(name, late)
                again.append(firing)
        if again:
            for firing in sorted(again, key=lambda firing: firing.ledger_key, reverse=True):
                self._queue_of(firing).appendleft(firing)

    def _has_its_turn(self, firing: Firing, now: float, now_us: int) -> bool:
        """Whether it may go now; late ones of an entry with a rate wait in a line of their own, oldest first."""
        rate = firing.terms.rate
        if rate is None or now_us - firing.due_us - firing.hold_us < firing.terms.rate_after_us:
            return True
        if firing.ledger_key in self._turn:
            self._turn.discard(firing.ledger_key)
            return True
        if firing.entry not in self._paced and self._free_at.get(firing.entry, now) <= now:
            self._count_turn(firing, now)
            return True
        self._wait_in_line(firing)
        return False

    def _wait_in_line(self, firing: Firing) -> None:
        late = self._paced.setdefault(firing.entry, deque())
        if not late or firing.ledger_key > late[-1].ledger_key:
            late.append(firing)
        else:  # it had its turn, and the broker did not take it
            late.insert(bisect(late, firing.ledger_key, key=lambda each: each.ledger_key), firing)

    def _count_turn(self, firing: Firing, now: float) -> None:
        assert firing.terms.rate is not None
        self._free_at[firing.entry] = now + 1 / firing.terms.rate

    def _put_paced(self, name: str, late: deque[Firing]) -> None:
        if late:
            self._paced[name] = late
        else:
            self._paced.pop(name, None)


def _expired(firing: Firing, now_us: int) -> bool:
    expires_us = firing.terms.expires_us
    return expires_us is not None and now_us >= firing.due_us + expires_us
