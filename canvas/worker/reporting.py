"""Reporting: what the pool says that its tasks came to, until each is dealt with: brought as an outcome, handed back, or put back to start."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from ..commit.taken import Taken
from ..commit.transition import Transition
from ..killpoint import reach
from ..message import Message
from ..outcome import Retry
from ..perform import Performer
from ..pools.base import Ended, Lost, Pool, Report, Requeue, Unstarted
from ..trace_context import moved
from .appetite import Appetite
from .bringing import Bringing
from .listener import Listener
from .running import Running, RunningTasks
from .starting import Starting
from .surviving import surviving
from .words import Words


class Reporting:
    """Of one worker's pool, for its thread. `release` hands messages back: uncounted, or, if their process died, as lost."""

    def __init__(
        self,
        performer: Performer,
        pool: Pool,
        running: RunningTasks,
        words: Words,
        bringing: Bringing,
        starting: Starting,
        appetite: Appetite,
        listener: Listener,
        release: Callable[[Sequence[Taken], bool], None],
    ) -> None:
        self._performer = performer
        self._pool = pool
        self._running = running
        self._words = words
        self._bringing = bringing
        self._starting = starting
        self._appetite = appetite
        self._listener = listener
        self._release = release
        self._reports: deque[Report] = deque()
        self._has_news = False

    def has_news(self) -> bool:
        """Whether anything was reported since this was asked the last time."""
        has_news, self._has_news = self._has_news, False
        return has_news

    def collect(self) -> None:
        """Ask the pool. Raises BackbeatError if it can run nothing any more."""
        reports = self._words.sifted(self._pool.collect())
        self._has_news = self._has_news or bool(reports)
        self._reports += reports

    def stop_pool(self) -> None:
        """End the pool; of what ran only that counts which says how its task ended."""
        self._reports += [report for report in self._pool.stop(0) if self._is_settling(report)]

    def work_off(self) -> None:
        """Deal with each; it is off the list only then: what Unavailable interrupts is done again."""
        while self._reports:
            self._deal_with_next()

    def work_off_outcomes(self) -> None:
        """Deal with those that are outcomes, up to the first that is none: nothing is handed back meanwhile."""
        while self._reports and isinstance(self._reports[0], Ended):
            self._deal_with_next()

    def _deal_with_next(self) -> None:
        report = self._reports[0]
        with surviving():
            self._deal_with(report, self._running[report.key])
            reach("worker.reported")
        self._running.forget(report.key)
        self._reports.popleft()

    def _deal_with(self, report: Report, running: Running) -> None:
        match report:
            case Ended(outcome=outcome, seconds=seconds):
                self._appetite.ran(seconds)
                message = _traced(running.message, report)
                self._bring(running, self._performer.ended(running.taken, message, outcome), seconds)
            case Requeue():
                self._release([running.taken], running.early)
            case Lost() | Unstarted() if running.fate is not None:
                transition = self._performer.finished(running.taken, running.message, running.fate)
                self._bring(running, transition, running.seconds)
            case Unstarted() if running.early:
                self._release([running.taken], True)
                self._listener.lost(running.taken, "its process died before it began")
            case Unstarted():
                self._starting.put_back(running.taken)
            case Lost(reason=reason):
                self._release([running.taken], True)
                self._listener.lost(running.taken, reason)

    def _bring(self, running: Running, transition: Transition, seconds: float) -> None:
        if running.frees is not None:
            transition = replace(transition, frees=running.frees)
        self._bringing.add(transition, seconds)

    def _is_settling(self, report: Report) -> bool:
        """It says how its task ended, which may be that it was killed for its time limit, say, and not for the stop."""
        return isinstance(report, Ended) or (
            isinstance(report, Lost | Unstarted) and self._running[report.key].fate is not None
        )


def _traced(message: Message, ended: Ended) -> Message:
    """What follows a run is a child of its span; the next attempt is not, as it is the same message again."""
    if not ended.trace or isinstance(ended.outcome, Retry):
        return message
    return replace(message, headers=moved(message.headers, ended.trace))
