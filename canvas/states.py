"""States: the names of what a task can be in, as Celery projects import them, and their order. What each means is said in outcome.py. PURE.

READY_STATES are two more than Celery's, as a task that was rejected or ignored has ended here, and nothing waits for it for ever.
"""

from __future__ import annotations

from .outcome import EXCEPTION_STATES as _EXCEPTIONS
from .outcome import PROPAGATE_STATES as _PROPAGATED
from .outcome import READY_STATES as _READY
from .outcome import State

PENDING = "PENDING"
RECEIVED = "RECEIVED"
STARTED = "STARTED"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
REVOKED = "REVOKED"
REJECTED = "REJECTED"
RETRY = "RETRY"
IGNORED = "IGNORED"
UNKNOWN = "UNKNOWN"

READY_STATES = frozenset(map(str, _READY))
"""It has ended."""
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, RETRY})
EXCEPTION_STATES = frozenset(map(str, _EXCEPTIONS))
"""The result is an exception."""
PROPAGATE_STATES = frozenset(map(str, _PROPAGATED))
"""`get` raises."""
ALL_STATES = frozenset(str(each) for each in State if each is not State.UNKNOWN)

_BEFORE_OTHERS = (SUCCESS, FAILURE)
_AFTER_OTHERS = (REVOKED, STARTED, RECEIVED, REJECTED, RETRY, PENDING)
_ORDER = {name: index for index, name in enumerate((*_BEFORE_OTHERS, None, *_AFTER_OTHERS))}
"""None stands for states of a task's own, and for those that are not in Celery's order."""


def precedence(state: str) -> int:
    """The place of a state in the order, 0 for the one that says most: SUCCESS."""
    return _ORDER.get(state, _ORDER[None])


class state(str):  # noqa: N801 - Celery's name
    """A state's name that compares by what it says of a task: `state(PENDING) < state(SUCCESS)`."""

    __slots__ = ()

    def __gt__(self, other: str) -> bool:
        return precedence(self) < precedence(other)

    def __ge__(self, other: str) -> bool:
        return precedence(self) <= precedence(other)

    def __lt__(self, other: str) -> bool:
        return precedence(self) > precedence(other)

    def __le__(self, other: str) -> bool:
        return precedence(self) >= precedence(other)
