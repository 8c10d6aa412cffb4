"""Priority: which of a queue's messages come first: those with the highest priority, on every broker. PURE.

Priorities are 0 to 9, in four steps: 0 to 2, 3 to 5, 6 to 8, and 9 and above; of one step what came first comes first. Each step of a queue is a lane
of its own, with the name that kombu gives to the lists of its Redis transport; the lane of the lowest step, in which all lies that has no
priority, has the queue's own name. RabbitMQ has no lanes: there a queue has as many priorities as it was declared with.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable

from .message import CONTROL_QUEUE

SEPARATOR = "\x06\x16"
"""kombu's, between the name of a queue and a step."""
STEPS = (0, 3, 6, 9)
_STEP = re.compile(f"{SEPARATOR}([369])$")


def step_of(priority: int | None) -> int:
    """The place, from 1, of the lane for a priority; it is rounded down, as by kombu."""
    return max(1, bisect.bisect(STEPS, priority or 0))


def lane(queue: str, priority: int | None) -> str:
    """The lane of a message in a queue. What every worker does for the others has one."""
    step = STEPS[step_of(priority) - 1]
    return queue if step == 0 or queue == CONTROL_QUEUE else f"{queue}{SEPARATOR}{step}"


def lanes(queue: str) -> list[str]:
    """All lanes of a queue, from the lowest step to the highest."""
    return [queue] if queue == CONTROL_QUEUE else [lane(queue, step) for step in STEPS]


def queue_of_lane(name: str) -> str:
    """The queue that a lane is of."""
    return _STEP.sub("", name)


def urgency_of(name: str) -> int:
    """Of two lanes that with the larger one comes first."""
    found = _STEP.search(name)
    return 0 if found is None else int(found[1])


def in_order(queues: Iterable[str], *, lowest_first: bool = False) -> list[str]:
    """The lanes of all queues, the most urgent ones first, and of equals those of the first queue."""
    found = [name for queue in queues for name in lanes(queue)]
    return sorted(found, key=urgency_of, reverse=not lowest_first)
