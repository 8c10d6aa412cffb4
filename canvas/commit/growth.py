"""Growth: the parts that a join waits for besides those that it was opened with (effect.GrowJoin). PURE.

Each is known by a key, and has its place behind all others, in the order in which they came; joins.lua gives the same places.
"""

from __future__ import annotations

from collections.abc import Sequence

FIRST_ADDED = 2**30
"""The index of the first of them: no group has so many members."""


def index_of(added: Sequence[str], key: str) -> int | None:
    """The index of the part with this key; None if there is none."""
    return FIRST_ADDED + added.index(key) if key in added else None
