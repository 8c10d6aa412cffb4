"""Deliveries: the seam to what is to be told to somebody outside: notices, what became of them, and which are to be tried now.

They are recorded by Store, with what they tell of; this is what a courier, and who asks the courier's questions from a command line, needs.

    waiting ---> delivered
       |  ^
       v  | replay
      failed: given up, or refused by what the settings allow

Implementations: deliveries_memory.py (the reference), deliveries_sql.py. One suite runs over both: tests/conformance/test_deliveries.py.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from ..notice import Notice


class NoticeState(IntEnum):
    """The state of a notice; the numbers stand in the database."""

    WAITING = 1
    DELIVERED = 2
    FAILED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNotice:
    """A notice with what became of it: how often it was tried, why the last try failed, and the instant before which there is no other."""

    notice: Notice
    state: NoticeState = NoticeState.WAITING
    tries: int = 0
    next_us: int = 0
    error: str = ""


class Deliveries(Protocol):
    """The contract. Thread-safe. Every method raises StoreDown when the store cannot be asked, or its answer is lost."""

    def due(self, now_us: int, limit: int, busy: Collection[str] = ()) -> Sequence[KeptNotice]:
        """Those that wait and may be tried now, the longest due first; but for those whose URL is in `busy`."""

    def tried(self, kept: KeptNotice) -> None:
        """Record what became of one that waits. One that does not wait any more stays as it is. Idempotent."""

    def listed(self, state: NoticeState | None, limit: int) -> Sequence[KeptNotice]:
        """The newest of them, newest first; of all states with None."""

    def replay(self, ids: Collection[str] | None, now_us: int) -> Sequence[str]:
        """Let these wait again, to be tried from now on as if they were new; None: all that failed. The ids of those that there are."""

    def forget(self, delivered_before_us: int, failed_before_us: int) -> int:
        """Delete those of these states that tell of something before; how many."""
