"""TaskLimits: the time limits of what a worker runs: the message's own, else those that were set while it runs, else the task's.

Limits that were set later are not known where tasks run, in other processes; so they travel in the messages that are given to these.
"""

from __future__ import annotations

from collections.abc import Callable

from ..delivery import Delivery
from ..envelope import Raw, opened, pack
from ..limit import TimeLimits
from ..message import Message
from ..wire import Wire


def _own(message: Message) -> TimeLimits:
    return TimeLimits(message.time_limit, message.soft_time_limit)


class TaskLimits:
    """`known` tells what holds for a message where nothing was set."""

    def __init__(self, known: Callable[[Message], TimeLimits] = _own) -> None:
        self._known = known
        self._set: dict[str, TimeLimits] = {}

    def set(self, task: str, limits: TimeLimits) -> None:
        """Of runs of this task that begin from now on, if their messages have none."""
        self._set[task] = limits

    def hard(self, message: Message) -> float | None:
        """After how many seconds the run of a message is ended; None and 0: never."""
        changed = self._set.get(message.task)
        return self._known(message).hard if changed is None else _own(message).otherwise(changed).hard

    def envelope(self, message: Message, delivery: Delivery) -> Raw:
        """What is given to the process that runs it."""
        changed = self._set.get(message.task)
        if changed is None:
            return delivery.parts
        limits, wire = _own(message).otherwise(changed), opened(delivery.parts)
        headers = {**wire.headers, "timelimit": [limits.hard, limits.soft]}
        return pack(Wire(headers, wire.properties, wire.body), delivery.queue)
