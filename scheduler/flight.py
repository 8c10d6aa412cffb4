"""Flight: what the relay has handed to the sender and not yet heard of: one job, and the firings that it is about; and its News.

The relay makes one and keeps it until the sender is done; the job runs in the sender's thread and touches nothing of the relay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from .firing import Firing, FiringState
from .published import Outlet, OutletDown, Published
from .runs import Runs
from .sender import Job
from .store.base import Change

Settle = Callable[[Sequence[Change]], Sequence[Change]]
"""Records changes in a fenced transaction; returns those that were done."""
RETURNED = "the broker did not take it, and it may go out once only"


class Lapsed(OutletDown):
    """The term ended before the sender came to it: nothing was sent."""


class FlightJob(Enum):
    """What the sender does."""

    STAY = "stay"
    """The outlet's `stay`."""
    REACH = "reach"
    """Make sure of the broker, before firings that may go out once only are recorded as sending."""
    PUBLISH = "publish"
    """Publish the firings."""


@dataclass(frozen=True, slots=True)
class Flight:
    """A job that the sender has, and the firings that it is about; all of them `once`, or none.

    `gate` is asked again before anything is written (I-LOCAL), and after connecting, which takes seconds, where the broker was away.
    """

    job: FlightJob
    since: float
    firings: tuple[Firing, ...] = ()
    once: bool = False
    gate: Callable[[], bool] = lambda: True
    was_away: bool = False

    def job_over(self, outlet: Outlet, runs: Runs | None) -> Job:
        """What the sender shall run."""
        match self.job:
            case FlightJob.STAY:
                return outlet.stay
            case FlightJob.REACH:
                return outlet.reach
            case FlightJob.PUBLISH:
                return partial(self._publish, outlet, runs)

    def _publish(self, outlet: Outlet, runs: Runs | None) -> Published:
        """In the sender's thread."""
        if self.was_away:
            outlet.reach()
        if not self.gate():
            raise Lapsed("the term ended before it could be sent")
        return _publish(outlet, runs, self.firings)

    def unconfirmed(self, answer: Published) -> tuple[list[Change], list[Firing]]:
        """What becomes of those that were not confirmed: changes of their states, and those that are to be sent again."""
        confirmed = {firing.ledger_key for firing in answer.confirmed}
        refused = {firing.ledger_key: reason for firing, reason in answer.refused}
        returned = {firing.ledger_key for firing in answer.returned}
        before = FiringState.SENDING if self.once else FiringState.DECIDED
        verdicts: list[Change] = []
        again: list[Firing] = []
        for firing in self.firings:
            key = firing.ledger_key
            if key in confirmed:
                continue
            if key in refused:
                verdicts.append(Change(firing, before, FiringState.FAILED, refused[key]))
            elif not self.once:
                again.append(firing)
            elif key in returned:
                verdicts.append(Change(firing, before, FiringState.FAILED, RETURNED))
            else:
                verdicts.append(Change(firing, before, FiringState.DOUBTFUL))
        return verdicts, again


@dataclass(slots=True)
class News:
    """What became of firings since somebody last asked: to be told, and recorded already but for the confirmed ones."""

    confirmed: list[Firing] = field(default_factory=list)
    settled: list[Change] = field(default_factory=list)


def _publish(outlet: Outlet, runs: Runs | None, firings: Sequence[Firing]) -> Published:
    """First the runs that are to be cancelled, then those firings whose way is free."""
    cancelling = [firing for firing in firings if firing.cancels] if runs is not None else []
    blocked = [firing for firing in cancelling if runs is not None and not runs.revoke(firing.cancels)]
    if not blocked:
        return outlet.publish(firings)
    free = [firing for firing in firings if firing not in blocked]
    answer = outlet.publish(free) if free else Published(())
    return Published(answer.confirmed, answer.refused, (*answer.returned, *blocked))
