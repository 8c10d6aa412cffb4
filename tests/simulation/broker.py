"""SimBroker: the broker of a simulated world, and the workers behind it: what was delivered when and by whom, and which runs are over.

It judges on delivery what can be judged only then: a message whose row is not in the ledger, more at once than may be, a beat that
does not lead any more. The rest is judged at the end, by the checker.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from backbeat.scheduler.firing import Firing, FiringKey
from backbeat.scheduler.published import AT_ONCE, Published
from backbeat.scheduler.relay import ONCE_AT_ONCE

from .timeline import SECOND_US, Timeline

NEVER_US = 1 << 62


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message, as the broker got it."""

    at_us: int
    firing: Firing
    sender: str


class SimRuns:
    """The runs behind the broker, as the Runs of a beat: each begins with its first message, and its length is drawn from its id."""

    def __init__(self, timeline: Timeline, seed: int) -> None:
        self._timeline = timeline
        self._seed = seed
        self._ends_us: dict[str, int] = {}
        self.revoked: set[str] = set()
        self._all_over_us = NEVER_US

    def begin(self, task_id: str) -> None:
        """The first message of a run has arrived."""
        if task_id in self._ends_us:
            return
        draw = random.Random(f"{self._seed} {task_id}")
        seconds = draw.choice((0.2, 2.0, 20.0, 70.0, 150.0, 400.0)) * draw.uniform(0.5, 1.5)
        lost = draw.random() < 0.02  # its end is never heard of
        ends_us = NEVER_US if lost else self._timeline.now_us + round(seconds * SECOND_US)
        self._ends_us[task_id] = self._timeline.now_us if task_id in self.revoked else ends_us

    def ended_us(self, task_id: str) -> int:
        """When a run was over, or will be."""
        return min(self._ends_us.get(task_id, NEVER_US), self._all_over_us)

    def end_all(self) -> None:
        """From now on every run is over as soon as it begins."""
        self._all_over_us = self._timeline.now_us

    def next_end_us(self) -> int | None:
        """When the next run is over."""
        ends = [end_us for end_us in self._ends_us.values() if self._timeline.now_us < end_us < NEVER_US]
        return min(ends, default=None)

    def over(self, task_ids: Sequence[str]) -> Collection[str]:
        return [each for each in task_ids if self.ended_us(each) <= self._timeline.now_us]

    def revoke(self, task_id: str) -> bool:
        self.revoked.add(task_id)
        if self.ended_us(task_id) > self._timeline.now_us:
            self._ends_us[task_id] = self._timeline.now_us
        return True


class SimBroker:
    """Every message that came in, by firing. `known` says whether a firing may come: it judges by the ledger."""

    def __init__(self, timeline: Timeline, runs: SimRuns, judge: Callable[[Firing, str], str | None]) -> None:
        self._timeline = timeline
        self._runs = runs
        self._judge = judge
        self.deliveries: dict[FiringKey, list[Delivery]] = defaultdict(list)
        self.confirmed: set[FiringKey] = set()
        self.lost: dict[FiringKey, list[int]] = defaultdict(list)
        """When a confirm of a firing was lost, or the broker returned it."""
        self.wrong: list[str] = []
        self.returned_share = 0.0
        self.draw = random.Random(0)

    def take(self, firings: Sequence[Firing], sender: str) -> Published:
        """Take messages in; what it answers is heard only if nothing happens on the way (`confirm`)."""
        if len(firings) > (ONCE_AT_ONCE if any(firing.terms.once for firing in firings) else AT_ONCE):
            self.wrong.append(f"I-CAP: {len(firings)} firings in one publish")
        taken: list[Firing] = []
        refused: list[tuple[Firing, str]] = []
        returned: list[Firing] = []
        for firing in firings:
            if firing.payload.get("task") == "app.poison":
                refused.append((firing, "it cannot be encoded"))
            elif self.returned_share and self.draw.random() < self.returned_share:
                returned.append(firing)
            else:
                taken.append(firing)
                self._deliver(firing, sender)
        return Published(taken, refused, returned)

    def heard(self, answer: Published) -> None:
        """The answer got through."""
        self.confirmed.update(firing.ledger_key for firing in answer.confirmed)
        for firing in answer.returned:
            self.lost[firing.ledger_key].append(self._timeline.now_us)

    def unheard(self, answer: Published) -> None:
        """It did not."""
        for firing in answer.confirmed:
            self.lost[firing.ledger_key].append(self._timeline.now_us)

    def _deliver(self, firing: Firing, sender: str) -> None:
        wrong = self._judge(firing, sender)
        if wrong is not None:
            self.wrong.append(wrong)
        self.deliveries[firing.ledger_key].append(Delivery(self._timeline.now_us, firing, sender))
        self._runs.begin(firing.task_id)
