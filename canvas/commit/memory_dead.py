"""MemoryDead: the dead letters of a MemoryStore. It knows no clock and no lock."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .dead_letter import DeadLetter, KeptLetter


class MemoryDead:
    """Dead letters by key; a later one has a larger key."""

    def __init__(self) -> None:
        self._letters: dict[str, KeptLetter] = {}
        self._serial = itertools.count()

    def __len__(self) -> int:
        return len(self._letters)

    def bury(self, letter: DeadLetter, now_us: int) -> None:
        """Keep it."""
        key = str(next(self._serial))
        self._letters[key] = KeptLetter(key, now_us, letter)

    def newest(self, limit: int, before: str) -> list[KeptLetter]:
        """The newest ones; see dead_letter.DeadLetters."""
        kept = [letter for key, letter in self._letters.items() if not before or int(key) < int(before)]
        return kept[::-1][:limit]

    def find(self, key: str) -> KeptLetter | None:
        """The one of this key."""
        return self._letters.get(key)

    def drop(self, keys: Sequence[str]) -> int:
        """Delete them; how many there were."""
        return sum(self._letters.pop(key, None) is not None for key in keys)
