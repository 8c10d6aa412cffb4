"""DeadLetter: what no worker could run, and what tasks refused or died of; and DeadLetters, the seam to where they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class DeadLetter(Struct, frozen=True):
    """A message that no worker can run, kept whole."""

    reason: str
    raw: str
    task_id: str | None = None
    queue: str = ""


class KeptLetter(Struct, frozen=True):
    """A dead letter as a store keeps it: `key` names it there, `at_us` is when it died."""

    key: str
    at_us: int
    letter: DeadLetter


def part_without_join(join_id: str, id_: str, part: str) -> DeadLetter:
    """What becomes of a part whose join is gone without a tombstone (decisions K3): the store was emptied, or evicts keys."""
    return DeadLetter(
        f"JoinLost: the store has no join {join_id}, which this task was to report to", part, id_
    )


class DeadLetters(Protocol):
    """What no worker could run, and what tasks refused or died of, kept whole until somebody decides about it. Raises Unavailable."""

    def dead_letters(self, limit: int, before: str = "") -> Sequence[KeptLetter]:
        """The newest of them; with `before` those that are older than the one of this key."""
        ...

    def dead_letter(self, key: str) -> KeptLetter | None:
        """The one of this key."""
        ...

    def drop_dead(self, keys: Sequence[str]) -> int:
        """Delete them; how many there were."""
        ...
