"""MemoryJoins: the joins of a MemoryStore: what each waits for, and what has come. It knows texts, no clock and no lock."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..continuation import JoinRecord
from . import records
from .base import JoinState


@dataclass(slots=True)
class _Join:
    record: str
    size: int | None
    deadline_us: int | None
    parts: dict[int, str] = field(default_factory=dict)
    closed: bool = False

    @property
    def complete(self) -> bool:
        return not self.closed and self.size is not None and len(self.parts) >= self.size


class MemoryJoins:
    """Joins by id. Times are microseconds."""

    def __init__(self) -> None:
        self._joins: dict[str, _Join] = {}

    def __contains__(self, id_: object) -> bool:
        return id_ in self._joins

    def __len__(self) -> int:
        return len(self._joins)

    def open(self, id_: str, record: str, size: int | None, deadline_us: int | None) -> None:
        """A join; one that is there stays as it is, but for how long its sender may take."""
        self._joins.setdefault(id_, _Join(record, size, deadline_us)).deadline_us = deadline_us

    def seal(self, id_: str, size: int) -> None:
        """All members have been sent, and so many there are. A join that is not there is passed over."""
        join = self._joins.get(id_)
        if join is not None and join.size is None:
            join.size = size

    def add(self, id_: str, index: int, text: str, *, completes: bool = False) -> None:
        """The part of one member, if it is the first of it; a join that is closed wants none. With `completes` it wants no other."""
        join = self._joins[id_]
        if not join.closed:
            join.parts.setdefault(index, text)
            if completes:
                join.size = 1

    def is_complete(self, id_: str) -> bool:
        """Whether all parts are there, and nobody has gone on from here."""
        join = self._joins.get(id_)
        return join is not None and join.complete

    def close(self, id_: str) -> bool:
        """True for the one who goes on from here: it was open."""
        join = self._joins.get(id_)
        if join is None or join.closed:
            return False
        join.closed, join.parts = True, {}
        return True

    def load(self, id_: str) -> JoinState | None:
        """What is known of a join; None if there is none."""
        join = self._joins.get(id_)
        if join is None:
            return None
        parts = [records.part_from_text(index, text) for index, text in join.parts.items()]
        return JoinState(records.join_from_text(join.record), parts, join.complete)

    def interrupted(self, now_us: int) -> list[JoinRecord]:
        """Those whose sender has not sealed them in time."""
        return [
            records.join_from_text(join.record)
            for join in self._joins.values()
            if not join.closed
            and join.size is None
            and join.deadline_us is not None
            and join.deadline_us <= now_us
        ]
