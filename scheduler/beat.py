"""Beat: the loop. One thread, one step after another; `step` does what is to be done now and says how long to sleep.

Theory of operation. Record first, publish second, mark third: a firing is a row in the ledger before it is a message, so that
no crash loses it or decides it again, and its task id is derived from entry and fire time, so that a second copy of the
message is the same task. The order (spec/reliability.md 2.3), and where each part lives:

    E0  gate: a term that is far enough from its deadline; no term, no emission        leader.py
    L   once per term, and after every doubt: entries, cursors, open firings, fenced   ledger.py
    E1  what is due, from the cursor and never from "now", at most one batch           agenda.py, plan.py
    E2-E5  one fenced transaction: marks of the batch before, cursors, firings, skips  ledger.py, store/
    E6  publish in slices, the gate is asked for each                                  relay.py
    E7  collect confirms; what is not confirmed stays open and comes again             relay.py
    E8  mark as sent: with the next batch, or at once when there is none               relay.py, store/

Doubt is an ordinary state. Whenever the store gives no answer nobody knows whether a transaction was done: the step ends, the
next one begins at L, and the rows say what is so. Nothing that the store or the broker does ends the loop: broker down means
that rows stay open, store down that nothing is decided; both are retried with a growing delay.

A pass in which nothing is due costs a look at the heap. Once a second the leader asks the store for edits and the source of
entries for new ones, whatever the clock says: no sleep depends on wall time for longer than that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from .clock import SECOND_US, Clock
from .entry import Entry
from .firing import Firing
from .leader import Elector, Term
from .ledger import OPEN_AT_ONCE, Ledger
from .listener import Listener, SilentListener
from .plan import Skip
from .relay import Outlet, Relay
from .store.base import Refusal, Store, StoreDown

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often the leader asks for edits."""
FIRST_BACK_OFF_SECONDS = 0.1
LONGEST_BACK_OFF_SECONDS = 2.0
"""Short: an outage of the store must not add much to the time that a take-over needs."""


class Fenced(Exception):
    """The store says that another beat leads."""


class Beat:
    """One beat. All its methods belong to one thread, except `wake`.

    `entries_source` returns the entries of the files when they have changed since it was last asked, else None; it is asked
    only while this beat leads, and its answer is applied again at the start of each term.
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
    ) -> None:
        self._store = store
        self._clock = clock
        self._elector = elector
        self._listener = listener or SilentListener()
        self._entries_source = entries_source
        self._ledger = Ledger(store, cluster)
        self._relay = Relay(outlet, clock)
        self._wanted: Sequence[Entry] | None = None
        self._applied = False
        self._epoch: int | None = None  # of the term we are in; 0: standing by; None: nothing known yet
        self._loaded = False
        self._poll_at = 0.0
        self._as_of_us = 0
        self._failures = 0

    def run(self, stop: Callable[[], bool]) -> None:
        """Step and sleep until `stop` says so (and `wake` is called); then mark, release the lease and return."""
        while not stop():
            if self._clock.wait(self.step()):
                self._poll_at = 0.0
        self.retire()

    @property
    def leads(self) -> bool:
        """Whether it led when it last looked."""
        return bool(self._epoch)

    @property
    def unsent(self) -> int:
        """How many decided firings the broker has not confirmed yet."""
        return len(self._relay)

    def wake(self) -> None:
        """End the sleep, and look for edits at once: for signal handlers and other threads."""
        self._clock.wake()

    def step(self) -> float:
        """Do what is to be done now; seconds until there may be more. Never raises for what a store or a broker does."""
        try:
            term = self._elector.hold()
            if term is None:
                return self._stand_by()
            self._begin(term)
            self._poll(term)
            self._decide(term)
            self._send(term)
            self._mark_when_idle()
            self._failures = 0
            self._tell(lambda listener: listener.passed(leads=True))
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
        try:
            self._mark()
        except StoreDown as cause:
            log.warning("What was sent could not be marked: %s", cause, extra={"action": "marks_lost"})
        self._elector.release()
        self._enter(0)

    def _begin(self, term: Term) -> None:
        """Step L: take up what the store knows, at the start of a term and after a doubt."""
        if self._loaded and self._epoch == term.epoch:
            return
        self._mark()
        if self._epoch != term.epoch:
            self._ledger.lead(term.epoch)
            self._applied = False
        firings = self._ledger.load_open(term.fence)
        if isinstance(firings, Refusal):
            raise Fenced
        self._relay.restart(firings, more=len(firings) >= OPEN_AT_ONCE)
        self._loaded = True
        if self._enter(term.epoch):
            log.info(
                "Leading, epoch %d: %d entries, %d open firings",
                term.epoch,
                len(self._ledger),
                len(firings),
                extra={"action": "leading"},
            )
            self._tell(lambda listener: listener.leading(term))

    def _poll(self, term: Term) -> None:
        """Once a second: edits in the store, and new entries of the files."""
        now = self._clock.boottime()
        if self._applied and now < self._poll_at:
            return
        self._poll_at = now + POLL_SECONDS
        self._relay.stay()
        self._ask_source()
        if self._wanted is not None and not self._applied:
            self._apply(self._wanted, term)
        elif self._ledger.refresh() or (self._relay.overflowed and not len(self._relay)):
            self._loaded = (
                False  # somebody edited, and may have asked for a run; or the ledger holds more than we do
            )
        self._applied = True

    def _ask_source(self) -> None:
        try:
            wanted = self._entries_source()
        except Exception:
            log.exception(
                "The entries could not be read; the old ones stay", extra={"action": "reload_failed"}
            )
            return
        if wanted is not None:
            self._wanted, self._applied = wanted, False

    def _apply(self, wanted: Sequence[Entry], term: Term) -> None:
        answer = self._ledger.reconcile(wanted, self._clock.now_us(), term.fence)
        if isinstance(answer, Refusal):
            raise Fenced
        self._relay.add(answer.firings)
        log.info("Schedules applied: %d changes", len(answer.changes), extra={"action": "reloaded"})
        self._tell(lambda listener: listener.reloaded(len(answer.changes)))
        self._tell_skips(answer.skips)
        if answer.foreign:
            problems = [
                f"entry {name!r} belongs to another owner: rename it, or delete that one"
                for name in answer.foreign
            ]
            for problem in problems:
                log.warning("Not applied: %s", problem, extra={"action": "reload_refused"})
            self._tell(lambda listener: listener.reload_refused(problems))

    def _decide(self, term: Term) -> None:
        """Steps E0 to E5, for one batch. A burst is decided as of one instant, so that it does not age while it is drained."""
        next_us, now_us = self._ledger.next_us(), self._clock.now_us()
        if next_us is None or not self._elector.holds(term):
            return
        if not next_us <= self._as_of_us <= now_us:
            self._as_of_us = now_us
        marks = self._relay.marks(now_us)
        decision = self._ledger.decide(self._as_of_us, marks, term.fence)
        if isinstance(decision, Refusal):
            raise Fenced
        if decision is None:
            return
        self._relay.marked(marks)
        self._relay.add(decision.firings)
        self._tell_skips(decision.skips)

    def _send(self, term: Term) -> None:
        """Steps E6 and E7."""
        confirmed = self._relay.send(lambda: self._elector.holds(term))
        if not confirmed:
            return
        if log.isEnabledFor(logging.INFO):
            for firing in confirmed:
                _log_sent(firing)
        now_us = self._clock.now_us()

        def news(listener: Listener) -> None:
            for firing in confirmed:
                listener.fired(firing, now_us - firing.due_us)

        self._tell(news)

    def _mark_when_idle(self) -> None:
        """Step E8, when no next batch takes the marks along."""
        next_us = self._ledger.next_us()
        if next_us is None or next_us > self._clock.now_us():
            self._mark()

    def _mark(self) -> None:
        marks = self._relay.marks(self._clock.now_us())
        if marks:
            self._store.mark(marks)
            self._relay.marked(marks)

    def _stand_by(self) -> float:
        self._loaded = False
        self._mark()  # facts need no fence
        self._failures = 0
        if self._enter(0):
            log.info("Standing by", extra={"action": "standby"})
        self._tell(lambda listener: listener.passed(leads=False))
        return self._elector.next_look()

    def _enter(self, epoch: int) -> bool:
        """Note the epoch we are in, 0 for none; says whether that is new."""
        before, self._epoch = self._epoch, epoch
        if epoch == 0 and before != 0:
            self._tell(lambda listener: listener.standby())
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
        if not self._loaded:
            return 0.0
        waits = [self._elector.next_look(), self._poll_at - self._clock.boottime()]
        if (retry_in := self._relay.retry_in()) is not None:
            waits.append(retry_in)
        if (next_us := self._ledger.next_us()) is not None:
            waits.append((next_us - self._clock.now_us()) / SECOND_US)
        return max(0.0, min(waits))

    def _tell_skips(self, skips: Sequence[Skip]) -> None:
        for skip in skips:
            extra = {"action": "skipped", "entry": skip.entry}
            log.info("Skipped %s: %s fire times (%s)", skip.entry, skip.count, skip.reason.value, extra=extra)

        def news(listener: Listener) -> None:
            for skip in skips:
                listener.skipped(skip)

        if skips:
            self._tell(news)

    def _tell(self, news: Callable[[Listener], None]) -> None:
        """Tell the listener; its faults are not the beat's."""
        try:
            news(self._listener)
        except Exception:
            log.exception("The listener failed", extra={"action": "listener_failed"})


def _log_sent(firing: Firing) -> None:
    """One line per emission, in the words that people grep for."""
    extra = {"action": "sent", "entry": firing.entry, "id": firing.task_id, "scheduled_for_us": firing.due_us}
    log.info("Scheduler: Sending due task %s (%s)", firing.entry, firing.payload.get("task"), extra=extra)
