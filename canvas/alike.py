"""Alike: the members of a group that all call one task and have derived ids: as many as one likes, in no memory. PURE.

They are a sequence of calls without arguments, made as they are asked for: good for plans, which need no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from .ids import derive
from .node import Call, Node


class Alike(Sequence[Node]):
    """`size` calls of `task` in the group `group_id`."""

    __slots__ = ("group_id", "size", "task")

    def __init__(self, group_id: str, size: int, task: str) -> None:
        self.group_id = group_id
        self.size = size
        self.task = task

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> Node: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Node]: ...

    def __getitem__(self, index: int | slice) -> Node | Sequence[Node]:
        places = range(self.size)[index]
        if isinstance(places, range):
            return [self._member(place) for place in places]
        return self._member(places)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Alike):
            return (self.group_id, self.size, self.task) == (other.group_id, other.size, other.task)
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash((self.group_id, self.size, self.task))

    def __repr__(self) -> str:
        return f"Alike({self.group_id!r}, {self.size}, {self.task!r})"

    def _member(self, place: int) -> Call:
        return Call(task=self.task, id=derive(self.group_id, str(place)))
