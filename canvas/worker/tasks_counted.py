"""TasksCounted: how many tasks a worker has started, how they came out, and how long they took, for /metrics. Plain figures.

Counted by the name of the task, which clients choose: a name that the app does not have counts as "unknown", or anybody who can send could make
as many series as he likes. The worker's thread counts, any other reads.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Container

from ..built_in import BUILT_IN
from ..commit.taken import Taken
from ..commit.transition import Transition
from ..message import Message
from ..outcome import Failure, Ignored, Outcome, Rejected, Replaced, Retry, Revoked, Success
from ..replacing import VALUE_TASK

BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
UNKNOWN = "unknown"
_ENDS: dict[type[Outcome], str] = {
    Success: "succeeded",
    Failure: "failed",
    Retry: "retried",
    Revoked: "revoked",
    Rejected: "rejected",
    Ignored: "ignored",
    Replaced: "replaced",
}
ENDS = (*_ENDS.values(),)


class TasksCounted:
    """A worker's listener. `known` are the names that are counted by themselves."""

    def __init__(self, known: Container[str]) -> None:
        self._known = known
        self.started_tasks: Counter[str] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()
        """By (task, how)."""
        self.durations: dict[str, list[int]] = {}
        """By task: counts by bucket, one more than there are bounds."""
        self.seconds: dict[str, float] = {}
        """By task: the sum."""
        self.lost_tasks = 0
        self.busy = 0
        self.size: Callable[[], int] = int
        """How many may run side by side now; 0 before the worker has begun."""
        self.faults = 0
        """Passes in which nothing could be consumed."""
        self.is_faulty = False

    def ready(self) -> None:
        """Nothing to count."""

    def started(self, message: Message) -> None:
        self.busy += 1  # with solo the loop stands still until it has ended
        if message.task not in BUILT_IN:
            self.started_tasks[self._label(message.task)] += 1

    def applied(self, transition: Transition, seconds: float | None) -> None:
        message, outcome = transition.message, transition.outcome
        if message is None or outcome is None or (message.task in BUILT_IN and message.task != VALUE_TASK):
            return
        task = self._label(message.task)
        self.ended[task, _ENDS[type(outcome)]] += 1
        if seconds is not None:
            counts = self.durations.get(task)
            if counts is None:
                counts = self.durations[task] = [0] * (len(BOUNDS_SECONDS) + 1)
            counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
            self.seconds[task] = self.seconds.get(task, 0.0) + seconds

    def lost(self, taken: Taken, reason: str) -> None:  # noqa: ARG002 - the listener's protocol
        self.lost_tasks += 1

    def passed(self, busy: int, fault: str = "") -> None:
        self.busy, self.is_faulty = busy, bool(fault)
        self.faults += bool(fault)

    def _label(self, task: str) -> str:
        return task if task in self._known else UNKNOWN
