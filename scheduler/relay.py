"""Relay: sends what the ledger has recorded, collects what the broker answered, and says what may be marked as sent.

The truth is in the open rows of the ledger; the relay holds some of them in memory (backlog.py), and loads again what it forgets
(step L). The windows in which the broker may get a second copy, always with the same
task id, are those of reliability 2.4: a crash or a lost confirm between publish and mark (W1), and a leader that was paused
between the gate and the socket (W2). AT_ONCE bounds what is unconfirmed; what is confirmed is marked within about a second.

Publishing never happens here but in the sender: one slice is in flight at a time, and the next call takes up what became of it.

    usual firings     gate, publish --> confirmed: sent | refused: failed | else: decided still, comes again
    at most once      gate, reach the broker, record as sending (fenced), publish
                           --> confirmed: sent | refused, returned: failed | else, and whoever finds it: doubtful
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from .account import MARK_AT_ONCE, PARTS_SECONDS, Account
from .backlog import Backlog, delay_seconds
from .clock import Clock
from .firing import Firing, FiringState
from .flight import Flight, FlightJob, Lapsed, News, Settle
from .published import AT_ONCE, ONCE_AT_ONCE, MemoryOutlet, Outlet, OutletDown, Published
from .runs import Runs
from .sender import InlineSender, Sender
from .skip import SkipReason
from .store.base import Change, Marks, Open

__all__ = ["AT_ONCE", "MemoryOutlet", "Outlet", "OutletDown", "Published", "Relay"]
log = logging.getLogger(__name__)

SLICES_AT_ONCE = 4
"""Slices in one call, where the sender answers at once: a backlog must not keep the loop from deciding what is due meanwhile."""
HELD_IN_MEMORY = 20_000
"""Open firings in memory that could go out now; beyond it they wait in the ledger alone, ..."""
HELD_AT_MOST = 200_000
"""... and these with those that the broker returned or that wait for their turn, which hold up nobody until they are so many."""
LONGEST_PAUSE_SECONDS = 4.0
"""Between two tries of a broker that is away."""
TOLD_TRIES, TOLD_EACH = 5, 15
"""Of these the first are told, and then about one a minute."""
SLOW_SECONDS = 5.0
"""A publish that takes longer than this counts as a broker that is down."""


class Relay:
    """Open firings on their way out. `runs` are asked to revoke the run whose place a firing takes."""

    def __init__(
        self,
        outlet: Outlet,
        clock: Clock,
        *,
        sender: Sender | None = None,
        runs: Runs | None = None,
    ) -> None:
        self._outlet = outlet
        self._clock = clock
        self._sender = sender or InlineSender()
        self._runs = runs
        self._backlog = Backlog()
        self._flight: Flight | None = None
        # at most once: the broker can be reached, and they are not yet recorded as sending
        self._window: tuple[Firing, ...] = ()
        self._verdicts: list[Change] = []
        self._account = Account()
        self._beyond: Counter[str] = Counter()
        self._news = News()
        self._failures = 0
        self._retry_at = self._parts_at = 0.0
        self.overflowed = False
        """Whether open firings were left to the ledger alone: load them when there is room."""

    def __len__(self) -> int:
        in_flight = len(self._flight.firings) if self._flight else 0
        return len(self._backlog) + in_flight + len(self._window) + len(self._verdicts)

    @property
    def unsent(self) -> int:
        """Those whose send time has come."""
        return len(self) - len(self._backlog) + self._backlog.waiting

    @property
    def is_down(self) -> bool:
        """Whether the broker could not be reached when it was tried last."""
        return self._failures > 0

    @property
    def busy(self) -> bool:
        """Whether firings are with the broker, or about to be."""
        return self._flight is not None and self._flight.job is not FlightJob.STAY

    @property
    def is_behind(self) -> bool:
        """Whether more waits than a broker that answers can take soon: deciding yet more would only go to the ledger and back."""
        return self._backlog.ready >= HELD_IN_MEMORY // 2 and not self._failures and not self._is_slow()

    def _is_slow(self) -> bool:
        return self._flight is not None and self._clock.boottime() - self._flight.since > SLOW_SECONDS

    @property
    def has_room(self) -> bool:
        """Whether firings that were left to the ledger can be loaded."""
        return self._backlog.ready <= HELD_IN_MEMORY // 2 and self._backlog.waiting <= HELD_AT_MOST // 2

    @property
    def _is_full(self) -> bool:
        return self._backlog.ready >= HELD_IN_MEMORY or self._backlog.waiting >= HELD_AT_MOST

    @property
    def batches(self) -> Collection[int]:
        """The batches whose open firings are all here."""
        return self._account.batches

    def add(self, firings: Sequence[Firing], held: Sequence[Firing] = ()) -> None:
        """Take over all firings of batches that are new here; `held` are their others, which wait for the run before them."""
        if not firings and not held:
            return
        if self.overflowed or self._is_full:
            self.overflowed = True  # all or nothing: a batch is marked as a whole
            self._beyond.update(firing.entry for firing in firings)
            return
        self._account.open(firings)
        self._account.open(held)
        self._backlog.put(firings)

    def add_loaded(self, found: Open) -> None:
        """Take over what was left to the ledger, as it was loaded."""
        self.overflowed = False
        self._beyond.subtract(firing.entry for firing in found.firings)
        self._beyond = +self._beyond if found.more else Counter()
        self.add(found.firings, found.held)
        self.overflowed = self.overflowed or found.more

    def restart(self, found: Open) -> None:
        """Forget everything; hold these, which the ledger says are open. Not while busy; marks must be stored before."""
        self._backlog.clear()
        self._window, self._verdicts = (), []
        self._account.clear()
        self.add_loaded(found)

    def release(self, change: Change) -> None:
        """A held firing was decided, or skipped."""
        if change.firing.batch_id not in self.batches:
            return  # left to the ledger alone, with its batch
        if change.after is FiringState.DECIDED:
            self._backlog.put([change.firing])
        else:
            self._account.finish(change.firing)

    def stay(self) -> None:
        """See to it that the outlet's `stay` is called; in each of the rounds."""
        if self._flight is None:
            self._hand(Flight(FlightJob.STAY, self._clock.boottime()))

    def trim(self) -> None:
        """Give up the oldest firings of entries that have too many: while the broker is down, and of those that it returns (decisions B10)."""
        is_down = self._failures or self._is_slow()
        gone = self._backlog.trim(self._beyond) if is_down else self._backlog.trim_tried()
        self._give_up(gone, SkipReason.BACKLOG)

    def send(self, gate: Callable[[], bool], settle: Settle) -> None:
        """Take up what became of the slice in flight, and hand over the next while `gate` is open; `take_news` tells more.

        Raises what `settle` raises; then `restart` is due.
        """
        self.collect()
        self.settle(settle)
        for _ in range(SLICES_AT_ONCE):
            if not self._send_next(gate, settle):
                break
            self.collect()
            self.settle(settle)

    def collect(self, wait_seconds: float = 0.0) -> bool:
        """Take up what became of the slice in flight, without recording it; waits for it for at most so long.

        False when the sender had nothing to do.
        """
        if self._flight is None:
            return False
        done = self._sender.collect(wait_seconds)
        if done is None:
            return True
        flight, self._flight = self._flight, None
        if flight.job is FlightJob.PUBLISH and isinstance(done.answer, Published):
            self._failures = 0
            self._published(flight, done.answer)
            return True
        match flight.job:
            case FlightJob.PUBLISH if flight.once:
                self._verdicts += flight.unconfirmed(Published(()))[0]
            case FlightJob.REACH if done.fault is None:
                self._window = flight.firings
            case _:
                self._backlog.put_back(flight.firings)
        if done.fault is not None and not isinstance(done.fault, Lapsed):
            self._back_off(done.fault)
        return True

    def take_news(self) -> News:
        """What became of firings since the last call."""
        news, self._news = self._news, News()
        return news

    def retry_in(self) -> float | None:
        """Seconds until there is something to send again; None when there is nothing, or when the sender will say so."""
        if self._flight is not None:
            return None
        now = self._clock.boottime()
        if self._window or self._verdicts:
            return 0.0
        wait = self._backlog.next_in(now, self._clock.now_us())
        return None if wait is None else max(wait, self._retry_at - now)

    def marks(self, now_us: int, *, everything: bool = False, passenger: bool = False) -> Marks:
        """What is confirmed and not yet marked, if it is worth a transaction now: whole batches, and single firings of others.

        As a `passenger` of a transaction that is made anyway whole batches are always worth it.
        """
        now = self._clock.boottime()
        idle = self._flight is None and self._backlog.next_in(now, now_us) != 0.0
        parts = everything or idle or now - self._parts_at >= PARTS_SECONDS
        if parts:
            self._parts_at = now
        elif not passenger and self._account.unmarked < MARK_AT_ONCE:
            return Marks()
        return self._account.marks(now_us, parts=parts)

    def marked(self, marks: Marks) -> None:
        """The store has these marks."""
        self._account.marked(marks)

    def close(self) -> None:
        """Let go of the sender; a slice that is in flight is left to itself."""
        self._sender.close()

    # --- sending -------------------------------------------------------------------------------------------------------------

    def _send_next(self, gate: Callable[[], bool], settle: Settle) -> bool:
        """Hand the next slice over; False when there is none, or none may go now."""
        now = self._clock.boottime()
        if self._flight is not None or now < self._retry_at:
            return False
        if self._window:
            return self._send_window(gate, settle, now)
        if self._backlog.next_in(now, self._clock.now_us()) != 0.0 or not gate():
            return False
        taken = self._backlog.take(AT_ONCE, ONCE_AT_ONCE, now, self._clock.now_us())
        self._give_up(taken.expired, SkipReason.EXPIRED)
        if taken.firings:
            job, away = FlightJob.REACH if taken.once else FlightJob.PUBLISH, self.is_down
            self._hand(Flight(job, now, taken.firings, taken.once, gate, away))
        return bool(taken.firings or taken.expired)

    def _send_window(self, gate: Callable[[], bool], settle: Settle, now: float) -> bool:
        if not gate():
            return False
        window, self._window = self._window, ()
        wanted = [Change(firing, FiringState.DECIDED, FiringState.SENDING) for firing in window]
        sending = {change.firing.ledger_key for change in settle(wanted)}
        for firing in window:
            if firing.ledger_key not in sending:
                self._account.finish(firing)
        firings = tuple(firing for firing in window if firing.ledger_key in sending)
        if firings:
            self._hand(Flight(FlightJob.PUBLISH, now, firings, once=True, gate=gate))
        return True

    def _hand(self, flight: Flight) -> None:
        """Noted first: with a sender that runs it here, a fault that ends the process must find it in flight."""
        self._flight = flight
        self._sender.hand(flight.job_over(self._outlet, self._runs))

    def _published(self, flight: Flight, answer: Published) -> None:
        """Count what was confirmed; put the rest back with a delay of its own, so that it holds nobody up."""
        self._account.confirm(answer.confirmed, self._clock.now_us())
        self._news.confirmed += answer.confirmed
        if len(answer.confirmed) == len(flight.firings):
            return
        for firing in answer.confirmed:
            self._backlog.settled(firing.ledger_key)
        verdicts, again = flight.unconfirmed(answer)
        self._verdicts += verdicts
        for firing in again:
            tries = self._backlog.put_again(firing, self._clock.boottime())
            extra = {"action": "firing_unconfirmed", "entry": firing.entry, "id": firing.task_id}
            text = "Not confirmed, will be sent again: %s (%s), try %d"
            log.warning(text, firing.entry, firing.task_id, tries, extra=extra)

    def _back_off(self, cause: Exception) -> None:
        self._failures += 1
        delay = min(LONGEST_PAUSE_SECONDS, delay_seconds(self._failures))
        self._retry_at = self._clock.boottime() + delay
        if self._failures > TOLD_TRIES and self._failures % TOLD_EACH:
            return
        text = "Nothing can be sent, %d firings wait, next try in %.1f s: %s"
        fault = None if isinstance(cause, OutletDown) else cause  # one of ours: with its traceback
        log.warning(text, len(self), delay, cause, exc_info=fault, extra={"action": "outlet_down"})

    def _give_up(self, firings: Sequence[Firing], reason: SkipReason) -> None:
        self._verdicts += [
            Change(firing, FiringState.DECIDED, FiringState.SKIPPED, reason.value) for firing in firings
        ]

    def settle(self, settle: Settle) -> None:
        """Record what became of firings, but for those that were sent."""
        if not self._verdicts:
            return
        verdicts, self._verdicts = self._verdicts, []
        self._news.settled += settle(verdicts)
        for change in verdicts:
            self._account.finish(change.firing)
            self._backlog.settled(change.firing.ledger_key)
