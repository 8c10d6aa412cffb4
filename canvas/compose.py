"""Compose: signatures made of signatures: chain, group, chord, and what `|` makes of two of them.

They are faces, as Signature is: in nodes there are only calls, chains and groups, and a chord is a chain whose first step is a group.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Self

from .default_app import default_app_if_any
from .errors import ImproperlyConfigured
from .handle import Handle
from .ids import derive, draw
from .node import HOOKS, Chain, Group, Node, Policy, chain_of, flat, tapped, with_policy
from .options import Given, laid_on, named
from .pipe import piped, piped_as_celery
from .result import GroupResult, Result
from .signature import Sender, Signature, links_of, signature
from .stamping import StampingVisitor, asked, merged
from .value import keywords


class _Composite(Signature):
    """A signature made of signatures, which stand in its kwargs."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.apply_async(args, kwargs)

    def to_node(self) -> Node:
        """The canvas, with the arguments and options of the composite itself laid onto its parts."""
        options = dict(self.options)
        id_, policy = options.pop("task_id", None), options.pop("failure_policy", None)
        link, link_error = links_of(options.pop("link", None)), links_of(options.pop("link_error", None))
        hooks = {name: links_of(options.pop(name, None)) for name in HOOKS}
        node = self._parts() if policy is None else self._under(_policy(policy), self._parts())
        given = Given(args=self.args, options=options, link=link, link_error=link_error)
        node = named(laid_on(node, given), id_)
        return tapped(node, self.task, hooks)

    def _under(self, policy: Policy, node: Node) -> Node:
        """`node` with this policy for its own groups."""
        return with_policy(node, policy)

    def stamp(
        self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any
    ) -> Self:
        """Stamp each part of it, and all that it links to; returns the signature itself."""
        self._stamp_parts(visitor, append_stamps, headers)
        return self

    def _stamp_parts(
        self, visitor: StampingVisitor | None, append: bool, headers: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Stamp its parts and its links; returns what holds for them all."""
        said = merged(headers, asked(visitor, f"on_{self._hook}_start", self, headers))
        self.stamp_links(visitor, append, **said)
        self._stamp_each(lambda part: part.stamp(visitor, append, **said))
        if visitor is not None:
            getattr(visitor, f"on_{self._hook}_end")(self, **said)
        return said

    @property
    def _hook(self) -> str:
        """What the visitor's hooks for it are called after."""
        return str(self.subtask_type)

    def _stamp_each(self, stamp: Callable[[Signature], Signature]) -> None:
        """Stamp its parts, but for the body of a chord."""
        self.kwargs["tasks"] = [stamp(signature(task, app=self._app)) for task in self.kwargs["tasks"]]

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

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Signature | None = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Result:
        if not self.tasks:
            raise ImproperlyConfigured("this chain has no steps")
        id_ = self.options.pop("task_id", None) or _id or draw()
        last = len(self.tasks) - 1
        handle: Result | None = None
        # its place in a group is that of its last step, what is above it above its first
        self.tasks[0]._place(root_id=root_id, parent_id=parent_id)
        self.tasks[last]._place(group_id=group_id, chord=chord, group_index=group_index)
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
            members = list(_members(_unpacked(tasks)))
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

    def unread(self, at_most: int) -> tuple[group, Iterator[Signature]] | None:
        if self._source is None:
            return None
        first = list(islice(self._source, at_most + 1))
        if len(first) <= at_most:
            self._source = iter(first)
            self._read()
            return None
        app, rest, self._source = self._app or _app_in(_members(first)), self._source, None
        bare = self.clone()
        bare._app, self._source = app, _Spent()
        return bare, _members(itertools.chain(first, rest))

    def _read(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            members = list(_members(source))
            dict.__getitem__(self, "kwargs")["tasks"].extend(members)
            self._app = self._app or _app_in(members)

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
            self._app = _app_in(_members(first))
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

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Signature | None = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Result:
        id_ = self.options.setdefault("task_id", _id or draw())
        self._place(group_id=group_id, chord=chord, group_index=group_index)
        members = [
            task.freeze(derive(id_, str(index)), root_id=root_id, parent_id=parent_id)
            for index, task in enumerate(self.tasks)
        ]
        return GroupResult(id_, members, app=self.app)

    def __repr__(self) -> str:
        return f"group({', '.join(map(repr, self.tasks))})"


class chord(_Composite):  # noqa: N801 - Celery's name
    """A group and a body that is called with the list of its values: `chord([a.s(), b.s()], body.s())`."""

    subtask_type = "chord"

    def __init__(
        self,
        header: Any,
        body: Any = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        app: Sender | None = None,
        **options: Any,
    ) -> None:
        """`args`, and `kwargs={"kwargs": {...}}`, which is Celery's form, are for the members; options delay and route them, too."""
        members = header if isinstance(header, group) else group(header)
        if wrong := sorted(set(kwargs or ()) - {"kwargs"}):
            raise TypeError(
                f"chord(kwargs=...) has no {wrong[0]!r}: arguments of the members are kwargs={{'kwargs': {{...}}}}, those of the body stand in its signature"
            )
        found: dict[str, Any] = {
            "header": members,
            "body": None if body is None else signature(body),
            "kwargs": keywords((kwargs or {}).get("kwargs") or {}),
        }
        own = app or members.own_app or _app_in([body])
        super().__init__("celery.chord", args or (), found, options, app=own)

    @classmethod
    def revive(cls, data: Mapping[str, Any], app: Sender | None) -> Signature:
        kwargs = data["kwargs"]
        header = kwargs["header"]
        members = signature(header) if isinstance(header, Mapping) else group(*header)
        given = {"kwargs": kwargs.get("kwargs") or {}}
        body = None if kwargs["body"] is None else signature(kwargs["body"])
        return cls(members, body, data.get("args"), given, app=app, **(data.get("options") or {}))

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
        ready = self._with(self.tasks, self.kwargs["body"] if body is None else body)
        return ready.apply_async(**options)

    def unread(self, at_most: int) -> tuple[chord, Iterator[Signature]] | None:
        found = None if self.kwargs["kwargs"] else self.tasks.unread(at_most)
        return None if found is None else (self._with(found[0], self.kwargs["body"]), found[1])

    def _with(self, header: group, body: Any) -> chord:
        """The same with another header and body. No clone, which would need all members."""
        new = chord(header, body, self.args, {"kwargs": self.kwargs["kwargs"]}, self.own_app, **self.options)
        new["immutable"] = self.immutable
        return new

    def _parts(self) -> Node:
        if self.kwargs["body"] is None:
            raise ImproperlyConfigured(
                "this chord has no body: write chord(header, body) or chord(header)(body)"
            )
        header = signature(self.tasks).to_node()
        if given := self.kwargs["kwargs"]:
            header = laid_on(header, Given(kwargs=given))
        return chain_of((header, signature(self.body).to_node()))

    def _stamp_parts(
        self, visitor: StampingVisitor | None, append: bool, headers: Mapping[str, Any]
    ) -> dict[str, Any]:
        said = super()._stamp_parts(visitor, append, headers)
        if self.kwargs["body"] is not None:
            body = self.kwargs["body"] = signature(self.body, app=self._app)
            # what holds for the header holds for what follows it, too
            body.stamp(visitor, append, **merged(said, asked(visitor, "on_chord_body", self, said)))
        return said

    _hook = "chord_header"

    def _stamp_each(self, stamp: Callable[[Signature], Signature]) -> None:
        self.tasks._stamp_each(stamp)

    def _under(self, policy: Policy, node: Node) -> Node:
        assert isinstance(node, Chain)
        return Chain(steps=(with_policy(node.steps[0], policy), *node.steps[1:]))

    def set_immutable(self, immutable: bool) -> None:
        self.tasks.set_immutable(immutable)

    def run(
        self,
        header: Any,
        body: Any,
        partial_args: Iterable[Any] = (),
        app: Sender | None = None,
        task_id: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Send `header` and `body` with this chord's options, under the name by which Celery's does its work."""
        ready = chord(header, body, app=app or self.own_app, **self.options)
        return ready.apply_async(partial_args, kwargs, task_id=task_id, **options)

    def link(self, callback: Any) -> Any:
        return self.body.link(callback)

    def link_error(self, errback: Any) -> Any:
        """Call `errback` when the body fails, or cannot run as a member failed; with `task_allow_error_cb_on_chord_header` also for each
        member that fails, as an immutable one. A chord that is a member calls it, too.
        """
        app = self.own_app or default_app_if_any()
        tells_headers = app is not None and app.tells_headers
        for member in self.tasks:
            if tells_headers:
                for each in errback if isinstance(errback, list | tuple) else [errback]:
                    member.link_error(signature(each).clone(immutable=True))
            elif isinstance(member, chord):
                member.link_error(errback)
        self.body.link_error(errback)
        return errback

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Signature | None = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Result:
        id_ = self.options.pop("task_id", None) or _id or draw()
        header = self.tasks.freeze(derive(id_, "step:0"), root_id=root_id, parent_id=parent_id)
        handle = self.body.freeze(id_, group_id, chord, root_id, group_index=group_index)
        handle.parent = header
        return handle

    def __repr__(self) -> str:
        return f"chord({self.tasks!r}, {self.kwargs['body']!r})"


def _policy(value: Any) -> Policy:
    try:
        return Policy(value)
    except ValueError:
        names = ", ".join(repr(policy.value) for policy in Policy)
        raise ImproperlyConfigured(f"failure_policy must be one of {names}, found {value!r:.80}") from None


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


def _app_in(tasks: Iterable[Any]) -> Sender | None:
    return next((task._app for task in tasks if isinstance(task, Signature) and task._app is not None), None)


for _kind in (chain, group, chord):
    Signature.register_type(str(_kind.subtask_type), _kind)
