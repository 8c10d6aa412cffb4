"""Serials: which version of the schedules files was applied last, and who has a newer one (decisions B13).

Only a leader applies files, and only files that are not older than those that were applied. A standby whose files are newer
says so here, and the leader hands over to it. serials_sql.py keeps this in the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .base import Fence, Fenced


@dataclass(frozen=True, slots=True, kw_only=True)
class Serial:
    """`number` and `digest` of the files that were applied last; the number of newer ones, and the holder that has them.

    Nobody asks: `asked` is 0.
    """

    number: int = 0
    digest: str = ""
    asked: int = 0
    asker: str = ""


class Serials(Protocol):
    """Kept beside the entries. Raises StoreDown."""

    def read(self) -> Serial:
        """What is known."""

    def apply(self, number: int, digest: str, fence: Fence) -> bool | Fenced:
        """Note that these files will be applied; False, and nothing is noted, when other ones were applied that are newer.

        Idempotent. Wishes that are not newer than these files are fulfilled by it.
        """

    def ask(self, number: int, asker: str) -> None:
        """Say that `asker` has files of this number; an older wish gives way. Not fenced."""

    def withdraw(self, number: int, asker: str) -> None:
        """Forget this wish, where it still stands: it is granted, or was before. Not fenced."""


class NoSerials:
    """Of a store that nobody else sees: whatever its only beat has is the newest."""

    def read(self) -> Serial:
        return Serial()

    def apply(self, number: int, digest: str, fence: Fence) -> bool | Fenced:  # noqa: ARG002 - the seam's signature
        return True

    def ask(self, number: int, asker: str) -> None: ...

    def withdraw(self, number: int, asker: str) -> None: ...
