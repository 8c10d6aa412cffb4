"""Tally: a listener that counts: the tasks that a worker has started, by name, since when it runs, and how many run."""

from __future__ import annotations

import time
from collections import Counter

from ..commit.taken import Taken
from ..commit.transition import Transition
from ..message import Message


class Tally:
    """Written by the worker's thread; others may read."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.began = time.monotonic()
        self.busy = 0

    @property
    def seconds(self) -> int:
        """How long it runs."""
        return round(time.monotonic() - self.began)

    def ready(self) -> None:
        self.began = time.monotonic()

    def started(self, message: Message) -> None:
        self.total[message.task] += 1

    def applied(self, transition: Transition, seconds: float | None) -> None:
        """Nothing to count."""

    def lost(self, taken: Taken, reason: str) -> None:
        """Nothing to count: it starts again."""

    def passed(self, busy: int, fault: str = "") -> None:  # noqa: ARG002 - the listener's protocol
        self.busy = busy
