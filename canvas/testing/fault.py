"""Fault: what a test says shall go wrong; how it goes wrong is for the parts that it happens to: a commit, a mailbox, a worker."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from ..brokers.base import Broker
from ..commit.memory import MemoryCommit
from ..commit.store_broker import StoreBroker
from ..errors import Unavailable
from ..message import Message
from ..tasks import Tasks

Moment = Literal["start", "end"]
Raised = BaseException | type[BaseException]


class Faults:
    """What shall go wrong, and how often still."""

    def __init__(self) -> None:
        self._failing: dict[str, list[Raised]] = {}
        self._dying: dict[str, list[Moment]] = {}
        self._doubled: Counter[str] = Counter()
        self._outages = 0

    @property
    def is_broker_down(self) -> bool:
        return self._outages > 0

    @contextmanager
    def broker_down(self) -> Iterator[None]:
        """In the block nobody reaches the broker."""
        self._outages += 1
        try:
            yield
        finally:
            self._outages -= 1

    def reach_broker(self) -> None:
        """Raise Unavailable while the broker is down."""
        if self.is_broker_down:
            raise Unavailable("the broker cannot be reached: the test has switched it off")

    def fail(self, task: str, raised: Raised, times: int) -> None:
        self._failing.setdefault(task, []).extend([raised] * count_of(times))

    def kill(self, task: str, times: int, when: Moment) -> None:
        if when not in ("start", "end"):
            raise ValueError(f"when is 'start' or 'end', found {when!r}")
        self._dying.setdefault(task, []).extend([when] * count_of(times))

    def double(self, task: str, times: int) -> None:
        self._doubled[task] += count_of(times)

    def is_doubled(self, task: str) -> bool:
        """Whether this message of the task is to be delivered twice; counts it."""
        if self._doubled[task] <= 0:
            return False
        self._doubled[task] -= 1
        return True

    def is_killed(self, task: str, when: Moment) -> bool:
        """Whether the worker dies of the task now; counts it."""
        dying = self._dying.get(task, [])
        if not dying or dying[0] != when:
            return False
        dying.pop(0)
        return True

    def tasks_for(self, message: Message, tasks: Tasks) -> Tasks:
        """`tasks`; if this run shall fail, a copy of its task that raises in place of its function. Counts it."""
        failing, task = self._failing.get(message.task, []), tasks.get(message.task)
        if not failing or task is None:
            return tasks
        broken = copy.copy(task)
        broken.__dict__["run"] = _raising(failing.pop(0))
        found = Tasks()
        found[message.task] = broken
        return found


class FaultyCommit(MemoryCommit):
    """A client's or worker's commit whose broker may be down."""

    def __init__(self, faults: Faults, *known: Any, **more: Any) -> None:
        super().__init__(*known, **more)
        self._faults = faults

    def exchange(self, *given: Any, **more: Any) -> Any:
        self._faults.reach_broker()
        return super().exchange(*given, **more)

    def put(self, items: Sequence[Any]) -> Any:
        self._faults.reach_broker()
        return super().put(items)

    def revoke(self, ids: Sequence[str], signum: int | None = None) -> None:
        self._faults.reach_broker()
        super().revoke(ids, signum)

    def announce(self, name: str, value: str, seconds: float) -> str:
        self._faults.reach_broker()
        return super().announce(name, value, seconds)


def broker_over(commit: FaultyCommit) -> Broker:
    """Only the broker, for a beat."""
    return StoreBroker(commit)


def count_of(times: int) -> int:
    """How often. Raises ValueError for less than once."""
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise ValueError(f"times must be a whole number from 1 on, found {times!r}")
    return times


def _raising(raised: Raised) -> Callable[..., Any]:
    def run(*_: Any, **__: Any) -> Any:
        raise raised

    return run
