"""Hint: whether the leader has ended, sooner than its lease says. It is never more than a reason to look at the row at once.

A leader holds a lock that ends with its process: an advisory lock of PostgreSQL, GET_LOCK of MariaDB and MySQL, a file lock
beside a SQLite file. The lock's key names holder and epoch, and the lease row says whether it was got; a standby asks now and
then whether that key is free, on a connection of its own. A wrong answer does no harm: whoever acts on it must still swap the
lease row, and each decision is fenced by that row. A frozen process keeps its lock: that is what the TTL is for.

This file is the seam and knows no database; hint_file.py and hint_sql.py do.
"""

from __future__ import annotations

from typing import Protocol


class Hint(Protocol):
    """One process's side of it. Called from the beat's thread only; returns within seconds, raises nothing."""

    def hold(self, key: str) -> bool:
        """Hold `key` and nothing else, until `drop` or the end of the process; says whether it is held.

        Idempotent: a leader asks again at each renewal, and so learns that the lock was lost, or gets it after all.
        """

    def is_free(self, key: str) -> bool:
        """Whether nobody holds `key` now. False when that is not known."""

    def drop(self) -> None:
        """Hold nothing any more."""

    def close(self) -> None:
        """Drop, and give the connection back."""


def key_of(holder: str, epoch: int) -> str:
    """The key of a holder's hint: the epoch, and the part of its name that nobody else has."""
    return f"{epoch}-{holder.rpartition(' ')[2]}"


class NoHint:
    """Nothing is held and nothing known: the TTL decides alone."""

    def hold(self, key: str) -> bool:  # noqa: ARG002 - the seam's signature
        return False

    def is_free(self, key: str) -> bool:  # noqa: ARG002 - the seam's signature
        return False

    def drop(self) -> None: ...

    def close(self) -> None: ...


class MemoryHint:
    """For tests: all that share `held` see each other. `end` is what the end of a process does."""

    def __init__(self, held: dict[str, object]) -> None:
        self._held = held

    def hold(self, key: str) -> bool:
        if self._held.get(key, self) is not self:
            return False
        self.drop()
        self._held[key] = self
        return True

    def is_free(self, key: str) -> bool:
        return key not in self._held

    def drop(self) -> None:
        for key in [key for key, holder in self._held.items() if holder is self]:
            del self._held[key]

    def close(self) -> None:
        self.drop()

    end = drop
