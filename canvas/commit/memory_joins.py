"""MemoryJoins: the joins of a MemoryStore: what each waits for, and what has come. It knows texts, no clock and no lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..continuation import JoinRecord
from . import records
from .base import JoinState
from .growth import index_of
from .transition import Closing


@dataclass(slots=True)
class _Join:
    record: str
    size: int | None
    deadline_us: int | None
    parts: dict[int, str] = field(default_factory=dict)
    closed: bool = False
    is_hasty: bool = False
    """It waits for no other part."""
    generation: int = 0
    added: list[str] = field(default_factory=list)
    """The keys of what it waits for besides, see growth.py."""

    @property
    def complete(self) -> bool:
        has_all = self.size is not None and len(self.parts) >= self.size + len(self.added)
        return not self.closed and (self.is_hasty or has_all)


class MemoryJoins:
    """Joins by id. Times are microseconds."""

    def __init__(self) -> None:
        self._joins: dict[str, _Join] = {}

    def __contains__(self, id_: object) -> bool:
        return id_ in self._joins

    def __len__(self) -> int:
        return len(self._joins)

    def open(self, id_: str, record: str, size: int | None, deadline_us: int | None, generation: int) -> None:
        """A join; one that is there stays as it is, but for how long its sender may take."""
        join = self._joins.setdefault(id_, _Join(record, size, deadline_us, generation=generation))
        join.deadline_us = deadline_us

    def seal(self, id_: str, size: int) -> None:
        """All members have been sent, and so many there are. A join that is not there is passed over."""
        join = self._joins.get(id_)
        if join is not None and join.size is None:
            join.size = size

    def grow(self, id_: str, key: str) -> bool:
        """Wait for one more part, once for each key; False if it wants none any more."""
        join = self._joins.get(id_)
        if join is None:
            return False
        if key not in join.added:
            if join.closed or join.is_hasty:
                return False
            join.added.append(key)
        return True

    def add(self, id_: str, index: int, text: str, *, completes: bool = False, key: str = "") -> None:
        """The part of one member, if it is the first of it; a join that is closed wants none, unless it did not wait for it.

        With `completes` it waits for no other. With `key` the part is the one that it was grown by.
        """
        join = self._joins[id_]
        place = index_of(join.added, key) if key else index
        if place is not None and (not join.closed or join.is_hasty):
            join.parts.setdefault(place, text)
            join.is_hasty = join.is_hasty or completes

    def is_complete(self, id_: str) -> bool:
        """Whether all parts are there, and nobody has gone on from here."""
        join = self._joins.get(id_)
        return join is not None and join.complete

    def close(self, closing: Closing) -> bool:
        """True for the one who goes on from here: it was open."""
        join = self._joins.get(closing.join_id)
        if join is None or join.closed or closing.generation not in (None, join.generation):
            return False
        join.closed = True
        if not closing.keeps_parts:
            join.parts = {}
        return True

    def reopen(self, id_: str, indexes: Sequence[int], generation: int) -> None:
        """Wait again for these parts, and for those that never came; whoever read the join before can no longer close it."""
        join = self._joins.get(id_)
        if join is None or join.generation >= generation:
            return
        join.closed, join.is_hasty, join.generation = False, False, generation
        for index in indexes:
            join.parts.pop(index, None)

    def generation_of(self, id_: str) -> int:
        """How often a join was opened again."""
        return self._joins[id_].generation

    def load(self, id_: str) -> JoinState | None:
        """What is known of a join; None if there is none."""
        join = self._joins.get(id_)
        if join is None:
            return None
        parts = [records.part_from_text(index, text) for index, text in join.parts.items()]
        record = records.join_from_text(join.record)
        return JoinState(record, parts, join.complete, join.closed, join.generation)

    def interrupted(self, now_us: int) -> list[JoinRecord]:
        """Those whose sender has not sealed them in time."""
        return [
            records.join_from_text(join.record)
            for join in self._joins.values()
            if not join.closed
            and not join.is_hasty
            and join.size is None
            and join.deadline_us is not None
            and join.deadline_us <= now_us
        ]
