"""Herald: tells the log and the listener what the beat did: one line, or one call, for each thing that a user asked for.

It decides nothing. What a listener raises is logged here and ends here: its faults are not the beat's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from .clock import Clock
from .edit import EditKind
from .entry import USUAL
from .firing import Firing, FiringState
from .flight import News
from .listener import Listener
from .skip import Skip, SkipReason
from .store.base import Change, Reconciled
from .work_words import work_text

log = logging.getLogger(__name__)

LATE_AGAIN_SECONDS = 60.0
"""How often one entry is said to be late."""


class Herald:
    """The voice of one beat."""

    def __init__(self, listener: Listener, clock: Clock) -> None:
        self._listener = listener
        self._clock = clock
        self._late_at: dict[str, float] = {}

    def tell(self, news: Callable[[Listener], None]) -> None:
        """Tell the listener something."""
        try:
            news(self._listener)
        except Exception:
            log.exception("The listener failed", extra={"action": "listener_failed"})

    def became(self, news: News) -> None:
        """Tell what became of firings."""
        if news.confirmed:
            self._fired(news.confirmed)
        for change in news.settled:
            self._settled(change)

    def skipped(self, skips: Sequence[Skip]) -> None:
        """Tell what was passed over."""
        for skip in skips:
            extra = {"action": "skipped", "entry": skip.entry}
            log.info("Skipped %s: %s fire times (%s)", skip.entry, skip.count, skip.reason.value, extra=extra)

        def news(listener: Listener) -> None:
            for skip in skips:
                listener.skipped(skip)

        if skips:
            self.tell(news)

    def failed(self, firing: Firing, reason: str) -> None:
        """Tell that a firing will never be sent."""
        log.error(
            "Cannot be sent: %s (%s): %s",
            firing.entry,
            firing.task_id,
            reason,
            extra=_extra("failed", firing),
        )
        self.tell(lambda listener: listener.failed(firing, reason))

    def doubtful(self, firing: Firing) -> None:
        """Tell that nobody knows whether a firing was sent, and that it will not be sent again."""
        text = "Nobody knows whether %s (%s) was sent; it may go out once only, so it is not sent again: look for its result"
        log.error(text, firing.entry, firing.task_id, extra=_extra("doubtful", firing))
        self.tell(lambda listener: listener.doubtful(firing))

    def quarantined(self, entry: str, fault: str) -> None:
        """Tell that an entry cannot be used; the ledger has logged it."""
        self.tell(lambda listener: listener.quarantined(entry, fault))

    def reloaded(self, answer: Reconciled) -> None:
        """Tell that the entries of the files were applied, and which were not; nothing of entries that only stand elsewhere."""
        number = sum(kind is not EditKind.MOVED for _, kind in answer.changes)
        if number or not answer.changes:
            log.info("Schedules applied: %d changes", number, extra={"action": "reloaded"})
            self.tell(lambda listener: listener.reloaded(number))
        self.skipped(answer.skips)
        problems = [
            f"entry {name!r} belongs to another owner: rename it, or delete that one"
            for name in answer.foreign
        ]
        for problem in problems:
            log.warning("Not applied: %s", problem, extra={"action": "reload_refused"})
        if problems:
            self.tell(lambda listener: listener.reload_refused(problems))

    def _fired(self, confirmed: Sequence[Firing]) -> None:
        now_us = self._clock.now_us()
        if log.isEnabledFor(logging.INFO):
            for firing in confirmed:
                _log_sent(firing)

        def news(listener: Listener) -> None:
            for firing in confirmed:
                listener.fired(firing, now_us - firing.due_us - firing.hold_us)

        self.tell(news)
        for firing in confirmed:
            if firing.terms is not USUAL and firing.terms.late_after_us is not None:
                self._late(firing, now_us - firing.due_us - firing.hold_us, firing.terms.late_after_us)

    def _late(self, firing: Firing, lateness_us: int, late_after_us: int) -> None:
        if lateness_us <= late_after_us:
            return
        self.tell(lambda listener: listener.late(firing, lateness_us))
        now = self._clock.boottime()
        if now >= self._late_at.get(firing.entry, now):
            self._late_at[firing.entry] = now + LATE_AGAIN_SECONDS
            text = "Late: %s (%s) was sent %.1f s after its time, %.1f s is its limit"
            numbers = lateness_us / 1e6, late_after_us / 1e6
            log.warning(text, firing.entry, firing.task_id, *numbers, extra=_extra("late", firing))

    def _settled(self, change: Change) -> None:
        firing = change.firing
        match change.after:
            case FiringState.SKIPPED:
                self.skipped([Skip(firing.entry, firing.due_us, firing.due_us, 1, SkipReason(change.reason))])
            case FiringState.FAILED:
                self.failed(firing, change.reason)
            case FiringState.DOUBTFUL:
                self.doubtful(firing)
            case _:
                pass


def _log_sent(firing: Firing) -> None:
    """One line per emission, in the words that people grep for."""
    text = "Scheduler: Sending due task %s (%s)"
    log.info(text, firing.entry, work_text(firing.payload), extra=_extra("sent", firing))


def _extra(action: str, firing: Firing) -> dict[str, object]:
    return {
        "action": action,
        "entry": firing.entry,
        "id": firing.task_id,
        "scheduled_for_us": firing.due_us,
    }
