"""Group: members that run side by side, given or made one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from ..errors import ImproperlyConfigured
from ..ids import derive, draw
from ..node import Group, Node, flat
from ..result import GroupResult, Result
from ..sender import Sender
from ..signature import Signature, signature
from ..signature_fields import Position
from .composite import Composite, app_in, unpacked


class group(Composite):  # noqa: N801 - Celery's name
    """Members that run side by side: `group(a.s(), b.s())` or `group(a.s(i) for i in ...)`; its value is the list of theirs.

    A generator is read when its members are needed, and once. If there are many, and the group is sent as it is or as the header of a
    chord, they are sent as they are read, and not kept.
    """

    subtask_type = "group"
    _source: Iterator[Any] | None = None
    """What members are still to be read from."""

    def __init__(self, *tasks: Any, app: Sender | None = None, **options: Any) -> None:
        members: list[Signature] = []
        if len(tasks) == 1 and isinstance(tasks[0], Iterator):
            self._source = tasks[0]
        else:
            members = list(_members(unpacked(tasks)))
        super().__init__(
            "celery.group", kwargs={"tasks": members}, options=options, app=app or app_in(members)
        )

    @classmethod
    def revive(cls, data: Mapping[str, Any], app: Sender | None) -> Signature:
        return cls(*map(signature, data["kwargs"]["tasks"]), app=app, **(data.get("options") or {}))

    @property
    def tasks(self) -> list[Signature]:
        tasks: list[Signature] = self.kwargs["tasks"]
        return tasks

    def unread(self, at_most: int) -> tuple[group, Iterator[Signature]] | None:
        if self._source is None:
            return None
        first = list(islice(self._source, at_most + 1))
        if len(first) <= at_most:
            self._source = iter(first)
            self._read()
            return None
        app, rest, self._source = self._app or app_in(_members(first)), self._source, None
        bare = self.clone()
        bare._app, self._source = app, _Spent()
        return bare, _members(itertools.chain(first, rest))

    def _read(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            members = list(_members(source))
            dict.__getitem__(self, "kwargs")["tasks"].extend(members)
            self._app = self._app or app_in(members)

    # whoever looks at a mapping sees all members

    def __getitem__(self, key: str) -> Any:
        self._read()
        return dict.__getitem__(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        self._read()
        return dict.get(self, key, default)

    def items(self) -> Any:
        self._read()
        return dict.items(self)

    def values(self) -> Any:
        self._read()
        return dict.values(self)

    def __eq__(self, other: object) -> bool:
        self._read()
        return dict.__eq__(self, other)

    __hash__ = None  # type: ignore[assignment]  # as any mapping

    @property
    def app(self) -> Sender:
        self._peek()
        return super().app

    @property
    def own_app(self) -> Sender | None:
        self._peek()
        return super().own_app

    def _stamp_each(self, stamp: Callable[[Signature], Signature]) -> None:
        if self._source is None:
            super()._stamp_each(stamp)
        else:
            self._source = map(stamp, _members(self._source))

    def _peek(self) -> None:
        """The app of the first member is the group's."""
        if self._app is None and self._source is not None:
            first = list(islice(self._source, 1))
            self._app = app_in(_members(first))
            self._source = itertools.chain(first, self._source)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def keys(self) -> Any:
        return dict.keys(self)

    def set_immutable(self, immutable: bool) -> None:
        for task in self.tasks:
            task.set_immutable(immutable)

    def skew(self, start: float = 1.0, stop: float | None = None, step: float = 1.0) -> group:
        """Let the members start one after the other: countdowns of `start`, `start + step`, ... seconds, up to `stop`, then the last of them again and again.

        Returns the group itself.
        """
        countdown = start
        for task in self.tasks:
            task.set(countdown=countdown)
            if stop is None or countdown + step <= stop:
                countdown += step
        return self

    def link(self, callback: Any) -> Any:
        if not self.is_strict and self.tasks:
            # as Celery does it; whoever relies on it moved here with that mode
            return self.tasks[0].link(callback.clone().set(immutable=True))
        raise TypeError(
            f"a group has no single end to link {callback!r} to: use chord(group, callback), or link each member"
        )

    def link_error(self, errback: Any) -> Any:
        for task in self.tasks:
            task.link_error(errback)
        return errback

    def _parts(self) -> Node:
        return Group(members=flat(signature(task).to_node() for task in self.tasks))

    def _frozen(self, id_: str | None, position: Position) -> Result:
        own = self.options.setdefault("task_id", id_ or draw())
        self._place(position.of_last())
        above = position.of_first().options()
        members = [task.freeze(derive(own, str(index)), **above) for index, task in enumerate(self.tasks)]
        return GroupResult(own, members, app=self.app)

    def __repr__(self) -> str:
        return f"group({', '.join(map(repr, self.tasks))})"


def _members(tasks: Iterable[Any]) -> Iterator[Signature]:
    """The members of a group; of a group directly inside it its members. One with options of its own stays a group."""
    for task in map(signature, tasks):
        if isinstance(task, group) and not task.options:
            yield from task.tasks
        else:
            yield task


class _Spent(Iterator[Any]):
    """In place of a generator whose members were sent as they came."""

    def __next__(self) -> Any:
        raise ImproperlyConfigured(
            "the members of this group came from a generator, were sent as they came and not kept: make the group of a list to use it again"
        )


Signature.register_type("group", group)
