"""Admission: which of the tasks that could start now may, by their rate limits; the others are put off (commit/put_off.py).

It is asked when a slot is free for the task, and so not long before it starts. Whose turn was kept starts without being asked again,
whichever worker has it by then, unless it comes too late: what was due while no worker ran would start all at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..commit.put_off import PutOff
from ..commit.transition import Transition
from ..commit.verdict import Run
from ..perform import Execute
from ..rate import Rate, rate_of
from .pacing import Pacing

LATE_US = 5 * 1_000_000
"""How long after its time a turn is still kept."""


class Admission:
    """Of one worker. `tasks` are those that it knows, by name; `default` is the rate of those that say none."""

    def __init__(self, tasks: Mapping[str, Any], *, default: Any = None, is_off: bool = False) -> None:
        self._tasks = tasks
        self._default = default
        self._is_off = is_off
        self._pacing = Pacing()
        self._rates: dict[str, Rate | None] = {}

    def is_limited(self, execute: Execute) -> bool:
        """Whether it must start when it may, and wait nowhere."""
        return self._rate(execute.message.task) is not None

    def set_rate(self, task: str, value: Any) -> None:
        """Of starts from now on; None or 0 for no limit. Raises ImproperlyConfigured for what is no rate."""
        rate = rate_of("rate_limit", value)
        self._tasks[task].rate_limit = 0 if rate is None else value  # None would be the setting's
        self._rates.pop(task, None)

    def sifted(self, executes: Sequence[Execute]) -> tuple[list[Execute], list[Transition]]:
        """Those that start now; and what puts off the others."""
        starting: list[Execute] = []
        put_off: list[Transition] = []
        for execute in executes:
            rate = self._rate(execute.message.task)
            wait = None
            if rate is not None and not _has_turn(execute):
                wait = self._pacing.wait(execute.message.task, rate, time.monotonic())
            if wait is None:
                starting.append(execute)
            else:
                puts_off = PutOff(execute.message, wait)
                put_off.append(Transition(puts_off=puts_off, delivery=execute.taken.delivery))
        return starting, put_off

    def _rate(self, task: str) -> Rate | None:
        if task not in self._rates:
            self._rates[task] = self._known_rate(task)
        return self._rates[task]

    def _known_rate(self, name: str) -> Rate | None:
        task = None if self._is_off else self._tasks.get(name)
        if task is None:
            return None
        own = task.options.rate_limit
        return rate_of("rate_limit", self._default if own is None else own)


def _has_turn(execute: Execute) -> bool:
    message, verdict = execute.taken.message, execute.taken.verdict
    if message is None or message.paced_us is None or not isinstance(verdict, Run):
        return False
    return verdict.started_us - message.paced_us <= LATE_US
