"""Beat: the loop. One thread, one step after another; `step` does what is to be done now and says how long to sleep.

Theory of operation. Record first, publish second, mark third: a firing is a row in the ledger before it is a message, so that
no crash loses it or decides it again, and its task id is derived from entry and fire time, so that a second copy of the
message is the same task. The order, and where each part lives:

    E0  gate: a term that is far enough from its deadline; no term, no emission        leader.py
    L   once per term, and after every doubt: entries, cursors, open firings, fenced   ledger.py
    E1  what is due, from the cursor and never from "now", at most one batch           agenda.py, plan.py
    E2-E5  one fenced transaction: marks of the batch before, cursors, firings, skips  ledger.py, store/
    E6  publish in slices, the gate is asked for each; in a thread of its own          relay.py, sender.py
    E7  collect confirms; what is not confirmed stays open and comes again             relay.py
    E8  mark as sent: with the next batch, or at once when there is none               relay.py, store/

What is in flight with the broker does not hold up the loop: it goes on deciding and renewing, and takes the answer up when it
is there. Only L waits for it, as it would find the same firings open.

Doubt is an ordinary state. Whenever the store gives no answer nobody knows whether a transaction was done: the step ends, the
next one begins at L, and the rows say what is so. Nothing that the store or the broker does ends the loop: broker down means
that rows stay open, store down that nothing is decided; both are retried with a growing delay.

A pass in which nothing is due costs a look at the heap. Twice a second the leader makes its rounds (rounds.py), whatever the
clock says: no sleep depends on wall time for longer than that.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress

from .clock import SECOND_US, Clock
from .dispatch import Dispatch, Fenced
from .entry import Entry
from .errand import Errands
from .herald import Herald
from .leader import Elector, Term
from .ledger import Ledger
from .listener import Listener, SilentListener
from .relay import Outlet, Relay
from .reload import Reload
from .rounds import PERIOD_SECONDS, Rounds
from .runs import Runs
from .sender import Sender
from .store.base import Fence, Refusal, Store, StoreDown

log = logging.getLogger(__name__)

FIRST_BACK_OFF_SECONDS = 0.1
LONGEST_BACK_OFF_SECONDS = 2.0
"""Short: an outage of the store must not add much to the time that a take-over needs."""
ONCE_SECONDS = 1.5
"""How long `drain` waits for a broker; who retires waits again."""
STOP_SECONDS = 5.0
"""How long a beat that stops waits for the broker's answer."""


class Beat:
    """One beat. All its methods belong to one thread, except `wake`.

    `entries_source` returns the entries of the files when they have changed since it was last asked, else None; it is asked
    only while this beat leads, and its answer is applied again at the start of each term, as are `app_entries`, those that the
    project has in Python (None: nobody asked it, and what the store has of it stays). `begins` is told the latest cursor at
    the start of a term, and says whether cursors must go back to now (clock_guard.py). `may_apply`
    is asked before files are applied: older ones than those that were must not be (succession.py). `rounds_seconds`: how often it makes
    its rounds.
    """

    def __init__(
        self,
        store: Store,
        outlet: Outlet,
        clock: Clock,
        elector: Elector,
        *,
        cluster: str = "backbeat",
        listener: Listener | None = None,
        entries_source: Callable[[], Sequence[Entry] | None] = lambda: None,
        app_entries: Sequence[Entry] | None = None,
        begins: Callable[[int], bool] = lambda _: False,
        may_apply: Callable[[Fence], bool | Refusal] = lambda _: True,
        sender: Sender | None = None,
        runs: Runs | None = None,
        errands: Errands | None = None,
        rounds_seconds: float = PERIOD_SECONDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._elector = elector
        self._herald = Herald(listener or SilentListener(), clock)
        self._begins = begins
        self._ledger = Ledger(store, cluster, runs=runs, quarantined=self._herald.quarantined)
        self._relay = Relay(outlet, clock, sender=sender, runs=runs)
        self._dispatch = Dispatch(store, self._ledger, self._relay, self._herald, clock)
        reload = Reload(
            self._ledger,
            self._relay,
            self._herald,
            entries_source=entries_source,
            app_entries=app_entries,
            may_apply=may_apply,
        )
        self._rounds = Rounds(
            self._ledger, self._relay, self._dispatch, reload, errands, clock, period_seconds=rounds_seconds
        )
        self._nudged = False
        self._epoch: int | None = None  # of the term we are in; 0: standing by; None: nothing known yet
        self._loaded = False
        self._as_of_us = 0
        self._failures = 0

    def run(self, stop: Callable[[], bool]) -> None:
        """Step and sleep until `stop` says so (and `wake` is called); then mark, release the lease and return."""
        while not stop():
            self.turn()
        self.retire()

    def turn(self, longest_seconds: float = math.inf) -> None:
        """A step, and the sleep after it."""
        self._clock.wait(min(self.step(), longest_seconds))
        if self._nudged:  # not every wake: the sender wakes the loop, too
            self._nudged = False
            self._rounds.hasten()

    def drain(self) -> None:
        """Step until what is due now is decided and sent; for a broker that does not answer it waits a little."""
        begun_us, decided_at = self._clock.now_us(), None
        while (pause := self.step()) == 0 or self._is_at_work(min(pause, PERIOD_SECONDS)):
            if self._rounds.is_applying:
                continue
            if self._relay.is_down:
                return
            if self.next_us is not None and self.next_us <= begun_us:
                continue
            decided_at = decided_at or self._clock.boottime()
            if not self.unsent or self._clock.boottime() - decided_at > ONCE_SECONDS:
                return

    def _is_at_work(self, pause: float) -> bool:
        """Wait for the sender, or for the next slice of a reload; False when there is nothing to wait for."""
        if self._relay.collect(pause):
            return True
        if self.leads and not self._failures and self._rounds.is_applying:
            self._clock.wait(pause)
            return True
        return False

    @property
    def leads(self) -> bool:
        """Whether it led when it last looked."""
        return bool(self._epoch)

    @property
    def unsent(self) -> int:
        """How many decided firings the broker has not confirmed yet, of those whose send time has come."""
        return self._relay.unsent

    @property
    def publishing(self) -> bool:
        """Whether firings are with the broker at this moment."""
        return self._relay.busy

    @property
    def entries(self) -> int:
        """How many entries it works with; a standby works with none."""
        return len(self._ledger)

    @property
    def next_us(self) -> int | None:
        """The first fire time that is not decided."""
        return self._ledger.next_us()

    def wake(self) -> None:
        """End the sleep, and look for edits at once: for signal handlers and other threads."""
        self._nudged = True
        self._clock.wake()

    def step(self) -> float:
        """Do what is to be done now; seconds until there may be more. Never raises for what a store or a broker does."""
        try:
            term = self._elector.hold()
            if term is None:
                return self._stand_by()
            self._begin(term)
            if self._rounds.before_deciding(term.fence, loaded=self._loaded):
                self._elector.renew_early()
            self._send(term)
            if self._is_due() and self._decide(term):
                self._send(term)
            if self._elector.holds(term):
                self._rounds.after_deciding(term.fence)
            if not self._is_due():
                self._dispatch.mark()
            self._failures = 0
            self._herald.tell(lambda listener: listener.passed(leads=True))
            return self._pause()
        except Fenced:
            return self._doubt("Fenced: another beat leads")
        except StoreDown as cause:
            return self._doubt(f"The store is in doubt: {cause}")
        except Exception as cause:
            log.exception("A step of the beat failed", extra={"action": "step_failed"})
            return self._doubt(f"A step failed: {cause}")

    def retire(self) -> None:
        """Leave in good order: what is confirmed is marked, then the lease is free for the next at once."""
        self._dispatch.collect(STOP_SECONDS)
        try:
            term = self._elector.hold()
            if term is not None and term.epoch == self._epoch and self._loaded:
                self._dispatch.settle(term.fence)
                self._dispatch.send_rest(term.fence, lambda: self._elector.holds(term))
            self._dispatch.mark(everything=True)
        except (StoreDown, Fenced) as cause:
            log.warning("What was sent could not be marked: %s", cause, extra={"action": "marks_lost"})
        self._elector.release()
        self._relay.close()
        self._loaded = False
        self._enter(0)

    def _begin(self, term: Term) -> None:
        """Step L: take up what the store knows, at the start of a term and after a doubt."""
        if self._loaded and self._epoch == term.epoch:
            return
        self._as_of_us = 0  # what was due before the doubt has aged meanwhile
        self._dispatch.collect()
        self._dispatch.mark(everything=True)
        if self._epoch != term.epoch:
            if self._begins(self._store.latest_cursor_us()):
                self._dispatch.rewind(term.fence)
            self._ledger.lead(term.epoch)
            self._rounds.begin()
            self._enter(term.epoch)
            entries = len(self._ledger)
            log.info("Leading, epoch %d: %d entries", term.epoch, entries, extra={"action": "leading"})
            self._herald.tell(lambda listener: listener.leading(term))
        if not self._relay.busy:
            self._dispatch.load(term.fence)
            self._loaded = True

    def _is_due(self) -> bool:
        next_us = self._ledger.next_us()
        return next_us is not None and next_us <= self._clock.now_us()

    def _decide(self, term: Term) -> bool:
        """Steps E0 to E5, for one batch; says whether anything was decided.

        A burst is decided as of one instant, so that it does not age while it is drained.
        """
        next_us, now_us = self._ledger.next_us(), self._clock.now_us()
        if next_us is None or self._relay.is_behind or not self._elector.holds(term):
            return False
        if not next_us <= self._as_of_us <= now_us:
            self._as_of_us = now_us
        marks = self._relay.marks(now_us, passenger=True)
        decision = self._ledger.decide(self._as_of_us, marks, term.fence)
        if isinstance(decision, Refusal):
            raise Fenced
        if decision is None:
            return False
        self._relay.marked(marks)
        self._relay.add(decision.firings, decision.held)
        self._herald.skipped(decision.skips)
        if decision.held:
            self._dispatch.review(term.fence)  # it takes the place of an older one
        return True

    def _send(self, term: Term) -> None:
        """Steps E6 and E7."""
        if self._loaded:
            self._dispatch.load_more(term.fence)
        self._dispatch.send(term.fence, lambda: self._loaded and self._elector.holds(term))

    def _stand_by(self) -> float:
        self._loaded = False
        self._dispatch.collect()
        with suppress(StoreDown):  # they stay to be marked; the loop turns, and a watchdog must see that
            self._dispatch.mark(everything=True)  # facts need no fence
        self._failures = 0
        if self._enter(0):
            log.info("Standing by", extra={"action": "standby"})
        self._herald.tell(lambda listener: listener.passed(leads=False))
        return self._elector.next_look()

    def _enter(self, epoch: int) -> bool:
        """Note the epoch we are in, 0 for none; says whether that is new."""
        before, self._epoch = self._epoch, epoch
        if epoch == 0 and before != 0:
            self._herald.tell(lambda listener: listener.standby())
        return epoch != before

    def _doubt(self, what: str) -> float:
        """Nothing is certain: the next step asks for the lease first, then begins at L."""
        self._loaded = False
        self._elector.doubt()
        self._failures += 1
        delay = min(LONGEST_BACK_OFF_SECONDS, FIRST_BACK_OFF_SECONDS * 2.0 ** min(self._failures - 1, 10))
        log.warning("%s; next try in %.1f s", what, delay, extra={"action": "doubt"})
        return delay

    def _pause(self) -> float:
        """Seconds until the earliest of: the next fire time, the lease, the next poll, the next try of the broker."""
        if not self._loaded and not self._relay.busy:
            return 0.0
        now_us = self._clock.now_us()
        waits = [self._elector.next_look(), self._rounds.wait_seconds(now_us)]
        if (retry_in := self._relay.retry_in()) is not None:
            waits.append(retry_in)
        if (next_us := self._ledger.next_us()) is not None and not self._relay.is_behind:
            waits.append((next_us - now_us) / SECOND_US)
        return max(0.0, min(waits))
