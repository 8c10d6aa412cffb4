"""Compose: signatures made of signatures: chain, group, chord, and what `|` makes of two of them.

They are faces, as Signature is: in nodes there are only calls, chains and groups, and a chord is a chain whose first step is a group.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .errors import ImproperlyConfigured
from .handle import Handle
from .ids import derive, draw
from .node import Group, Node, chain_of
from .options import Given, laid_on, named
from .result import GroupResult, Result
from .signature import Sender, Signature, links_of, signature


class _Composite(Signature):
    """A signature made of signatures, which stand in its kwargs."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.apply_async(args, kwargs)

    def to_node(self) -> Node:
        """The canvas, with the arguments and options of the composite itself laid onto its parts."""
        options = dict(self.options)
        id_ = options.pop("task_id", None)
        link, link_error = links_of(options.pop("link", None)), links_of(options.pop("link_error", None))
        given = Given(args=self.args, options=options, link=link, link_error=link_error)
        return named(laid_on(self._parts(), given), id_)

    @abstractmethod
    def _parts(self) -> Node:
        """The canvas without what was given to the composite itself."""


class chain(_Composite):  # noqa: N801 - Celery's name
    """Steps that run one after the other: `chain(a.s(), b.s())` or `a.s() | b.s()`."""

    subtask_type = "chain"

    def __init__(self, *tasks: Any, app: Sender | None = None, **options: Any) -> None:
        steps = _spliced(tasks)
        super().__init__("celery.chain", kwargs={"tasks": steps}, options=options, app=app or _app_in(steps))

    @classmethod
    def revive(cls, data: Mapping[str, Any], app: Sender | None) -> Signature:
        return cls(*map(signature, data["kwargs"]["tasks"]), app=app, **(data.get("options") or {}))

    @classmethod
    def piped(cls, left: Signature, right: Signature) -> Signature:
        """`left | right`: a group followed by anything is a chord, what follows a chord joins its body, all else is a chain."""
        if isinstance(right, chain) and not right.tasks:
            return left
        match left, right:
            case group(), _:
                return chord(left, right, app=left._app)
            case chord(), _ if not isinstance(right, group | chord):
                left.kwargs["body"] = left.body | right
                return left
            case _:
                return chain(*_steps(left), *_steps(right), app=left._app)

    @property
    def tasks(self) -> list[Signature]:
        tasks: list[Signature] = self.kwargs["tasks"]
        return tasks

    def link(self, callback: Signature) -> Signature:
        return self.tasks[-1].link(callback)

    def link_error(self, errback: Signature) -> Signature:
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
        return chain_of(tuple(step.to_node() for step in steps))

    def freeze(self, _id: str | None = None) -> Result:
        if not self.tasks:
            raise ImproperlyConfigured("this chain has no steps")
        id_ = self.options.pop("task_id", None) or _id or draw()
        last = len(self.tasks) - 1
        handle: Result | None = None
        for index, task in enumerate(self.tasks):
            parent, handle = handle, task.freeze(id_ if index == last else derive(id_, f"step:{index}"))
            first: Handle = handle
            while first.parent is not None:
                first = first.parent
            first.parent = parent
        assert handle is not None
        return handle

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.tasks))


class group(_Composite):  # noqa: N801 - Celery's name
    """Members that run side by side: `group(a.s(), b.s())` or `group(a.s(i) for i in ...)`; its value is the list of theirs."""

    subtask_type = "group"

    def __init__(self, *tasks: Any, app: Sender | None = None, **options: Any) -> None:
        members: list[Signature] = []
        for task in map(signature, _unpacked(tasks)):
            members.extend(task.tasks if isinstance(task, group) else [task])
        super().__init__(
            "celery.group", kwargs={"tasks": members}, options=options, app=app or _app_in(members)
        )

    @classmethod
    def revive(cls, data: Mapping[str, Any], app: Sender | None) -> Signature:
        return cls(*map(signature, data["kwargs"]["tasks"]), app=app, **(data.get("options") or {}))

    @property
    def tasks(self) -> list[Signature]:
        tasks: list[Signature] = self.kwargs["tasks"]
        return tasks

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def keys(self) -> Any:
        return dict.keys(self)

    def set_immutable(self, immutable: bool) -> None:
        for task in self.tasks:
            task.set_immutable(immutable)

    def link(self, callback: Signature) -> Signature:
        raise TypeError(
            f"a group has no single end to link {callback!r} to: use chord(group, callback), or link each member"
        )

    def link_error(self, errback: Signature) -> Signature:
        for task in self.tasks:
            task.link_error(errback)
        return errback

    def _parts(self) -> Node:
        members: list[Node] = []
        for task in map(signature, self.tasks):
            node = task.to_node()
            members.extend(node.members if isinstance(node, Group) else (node,))
        return Group(members=tuple(members))

    def freeze(self, _id: str | None = None) -> Result:
        id_ = self.options.setdefault("task_id", _id or draw())
        members = [task.freeze(derive(id_, str(index))) for index, task in enumerate(self.tasks)]
        return GroupResult(id_, members, app=self.app)

    def __repr__(self) -> str:
        return f"group({', '.join(map(repr, self.tasks))})"


class chord(_Composite):  # noqa: N801 - Celery's name
    """A group and a body that is called with the list of its values: `chord([a.s(), b.s()], body.s())`."""

    subtask_type = "chord"

    def __init__(
        self, header: Any, body: Signature | None = None, app: Sender | None = None, **options: Any
    ) -> None:
        members = header if isinstance(header, group) else group(header)
        kwargs: dict[str, Any] = {
            "header": members,
            "body": None if body is None else signature(body),
            "kwargs": {},
        }
        super().__init__(
            "celery.chord", kwargs=kwargs, options=options, app=app or _app_in([*members.tasks, body])
        )

    @classmethod
    def revive(cls, data: Mapping[str, Any], app: Sender | None) -> Signature:
        kwargs = data["kwargs"]
        header = kwargs["header"]
        members = signature(header) if isinstance(header, Mapping) else group(*header)
        return cls(members, signature(kwargs["body"]), app=app, **(data.get("options") or {}))

    @property
    def tasks(self) -> group:
        header: group = self.kwargs["header"]
        return header

    @property
    def body(self) -> Signature:
        body: Signature = self.kwargs["body"]
        return body

    def __call__(self, body: Signature | None = None, **options: Any) -> Any:
        """Send it, with `body` if it has none yet: `chord(header)(body)`."""
        ready = self.clone()
        if body is not None:
            ready.kwargs["body"] = signature(body)
        return ready.apply_async(**options)

    def _parts(self) -> Node:
        if self.kwargs["body"] is None:
            raise ImproperlyConfigured(
                "this chord has no body: write chord(header, body) or chord(header)(body)"
            )
        return chain_of((signature(self.tasks).to_node(), signature(self.body).to_node()))

    def set_immutable(self, immutable: bool) -> None:
        self.tasks.set_immutable(immutable)

    def link(self, callback: Signature) -> Signature:
        return self.body.link(callback)

    def link_error(self, errback: Signature) -> Signature:
        return self.body.link_error(errback)

    def freeze(self, _id: str | None = None) -> Result:
        id_ = self.options.pop("task_id", None) or _id or draw()
        header = self.tasks.freeze(derive(id_, "step:0"))
        handle = self.body.freeze(id_)
        handle.parent = header
        return handle

    def __repr__(self) -> str:
        return f"chord({self.tasks!r}, {self.kwargs['body']!r})"


def _unpacked(tasks: tuple[Any, ...]) -> Iterable[Any]:
    """One list or generator in place of several arguments."""
    if len(tasks) == 1 and not isinstance(tasks[0], Mapping) and isinstance(tasks[0], Iterable):
        return tasks[0]
    return tasks


def _spliced(tasks: tuple[Any, ...]) -> list[Signature]:
    steps: list[Signature] = []
    for task in map(signature, _unpacked(tasks)):
        steps.extend(task.tasks if isinstance(task, chain) and not task.options else [task])
    return steps


def _steps(sig: Signature) -> list[Signature]:
    return sig.tasks if isinstance(sig, chain) and not sig.options else [sig]


def _app_in(tasks: Iterable[Any]) -> Sender | None:
    return next((task._app for task in tasks if isinstance(task, Signature) and task._app is not None), None)


for _kind in (chain, group, chord):
    Signature.register_type(str(_kind.subtask_type), _kind)
