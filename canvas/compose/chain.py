"""Chain: steps that run one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import ImproperlyConfigured
from ..handle import Handle
from ..ids import derive, draw
from ..node import Group, Node, chain_of
from ..pipe import piped, piped_as_celery
from ..result import Result
from ..sender import Sender
from ..signature import Signature, signature
from ..signature_fields import Position
from .composite import Composite, app_in, unpacked
from .group import group


class chain(Composite):  # noqa: N801 - Celery's name
    """Steps that run one after the other: `chain(a.s(), b.s())` or `a.s() | b.s()`."""

    subtask_type = "chain"

    def __init__(self, *tasks: Any, app: Sender | None = None, **options: Any) -> None:
        steps = _spliced(tasks)
        super().__init__("celery.chain", kwargs={"tasks": steps}, options=options, app=app or app_in(steps))

    @classmethod
    def revive(cls, data: Mapping[str, Any], app: Sender | None) -> Signature:
        return cls(*map(signature, data["kwargs"]["tasks"]), app=app, **(data.get("options") or {}))

    @classmethod
    def piped(cls, left: Signature, right: Signature) -> Signature:
        return piped(left, right) if left.is_strict and right.is_strict else piped_as_celery(left, right)

    @property
    def tasks(self) -> list[Signature]:
        tasks: list[Signature] = self.kwargs["tasks"]
        return tasks

    def link(self, callback: Any) -> Any:
        return self.tasks[-1].link(callback)

    def unchain_tasks(self) -> list[Signature]:
        """Copies of its steps, with its links on the last, and its error callbacks on each."""
        steps = [step.clone() for step in self.tasks]
        if steps and (links := self.options.get("link")):
            steps[-1].link(links)
        for step in steps if (errbacks := self.options.get("link_error")) else ():
            step.link_error(errbacks)
        return steps

    def run(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """As `apply_async`, under the name by which Celery's does its work."""
        return self.apply_async(args, kwargs, **options)

    def link_error(self, errback: Any) -> Any:
        """Call `errback` when any step fails; members of a group that is followed by something fail through what follows."""
        for index, task in enumerate(self.tasks):
            if not isinstance(task, group) or index == len(self.tasks) - 1:
                task.link_error(errback)
        return errback

    def apply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        return super().apply_async(args, kwargs, **options) if self.tasks else None

    def apply(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Run it here and now; returns the handle of its last step, None if it is empty."""
        return super().apply(args, kwargs, **options) if self.tasks else None

    def _parts(self) -> Node:
        # a chain in a chain is spliced, so an empty one adds nothing
        steps = [task for task in map(signature, self.tasks) if not isinstance(task, chain) or task.tasks]
        if not steps:
            raise ImproperlyConfigured("this chain has no steps")
        nodes = tuple(step.to_node() for step in steps)
        return chain_of(nodes if self.is_strict else tuple(_without_lists(nodes)))

    def _frozen(self, id_: str | None, position: Position) -> Result:
        if not self.tasks:
            raise ImproperlyConfigured("this chain has no steps")
        own = self.options.pop("task_id", None) or id_ or draw()
        last = len(self.tasks) - 1
        handle: Result | None = None
        self.tasks[0]._place(position.of_first())
        self.tasks[last]._place(position.of_last())
        for index, task in enumerate(self.tasks):
            parent, handle = handle, task.freeze(own if index == last else derive(own, f"step:{index}"))
            first: Handle = handle
            while first.parent is not None:
                first = first.parent
            first.parent = parent
        assert handle is not None
        return handle

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.tasks))


def _without_lists(steps: tuple[Node, ...]) -> Iterator[Node]:
    """The steps of a chain as Celery takes them: a group of none is no step, one of one that is not the first gives its value alone."""
    for index, step in enumerate(steps):
        match step:
            case Group(members=()) if len(steps) > 1:
                pass
            case Group(members=(member,)) if index > 0:
                yield member
            case _:
                yield step


def _spliced(tasks: tuple[Any, ...]) -> list[Signature]:
    steps: list[Signature] = []
    for task in map(signature, unpacked(tasks)):
        steps.extend(task.tasks if isinstance(task, chain) and not task.options else [task])
    return steps


Signature.register_type("chain", chain)
