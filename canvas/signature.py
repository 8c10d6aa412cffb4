"""Signature: a canvas as users write it: `add.s(2, 2) | double.s()`, chain, group, chord.

As in Celery a signature is a mapping {task, args, kwargs, options, subtask_type, immutable} that survives JSON (canvas.md S1-S10). It is
a face only: sending turns it into nodes (node.py), and flow knows nothing of this module. Signatures know their app as a `Sender`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, Self

from .codec import dumps
from .errors import ImproperlyConfigured
from .ids import derive, draw
from .node import Group, Node, chain_of, node_from_data
from .options import Given, laid_on, named
from .result import AsyncResult, GroupResult

Result = AsyncResult[Any] | GroupResult


class Sender(Protocol):
    """What a signature needs of an app."""

    def send_signature(
        self, signature: Signature, args: Iterable[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Result:
        """Send the canvas; returns the handle of its value."""
        ...

    def call_task(self, name: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run a task's function here and now."""
        ...


_default_sender: list[Sender] = []


def set_default_sender(sender: Sender) -> None:
    """Make `sender` the app of signatures and shared tasks that have none."""
    _default_sender[:] = [sender]


def default_sender() -> Sender:
    """The app of signatures that have none. Raises ImproperlyConfigured if there is no app at all."""
    if not _default_sender:
        raise ImproperlyConfigured(
            "there is no app yet: create one with App(name, broker=..., backend=...) first"
        )
    return _default_sender[0]


class Signature(dict[str, Any]):
    """One task to run, with its arguments: a mapping that survives JSON."""

    subtask_type: str | None = None

    def __init__(
        self,
        task: Any = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        immutable: bool = False,
        app: Sender | None = None,
        **more: Any,
    ) -> None:
        if isinstance(task, Mapping):
            super().__init__(copy.deepcopy(dict(task)))
            self["args"] = list(self.get("args") or ())
            for name in ("kwargs", "options"):
                self[name] = dict(self.get(name) or {})
            self.setdefault("subtask_type", None)
            self.setdefault("immutable", False)
        else:
            super().__init__(
                task=task if isinstance(task, str) else task.name,
                args=list(args),
                kwargs=dict(kwargs or {}),
                options={**(options or {}), **more},
                subtask_type=self.subtask_type,
                immutable=immutable,
            )
        self._app = app if app is not None else getattr(task, "bound_app", None)

    # --- what it is ----------------------------------------------------------------------------------------------------------

    @property
    def app(self) -> Sender:
        return self._app if self._app is not None else default_sender()

    @property
    def task(self) -> str:
        return str(self["task"])

    @property
    def name(self) -> str:
        return self.task

    @property
    def args(self) -> list[Any]:
        args: list[Any] = self["args"]
        return args

    @property
    def kwargs(self) -> dict[str, Any]:
        kwargs: dict[str, Any] = self["kwargs"]
        return kwargs

    @property
    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = self["options"]
        return options

    @property
    def immutable(self) -> bool:
        return bool(self["immutable"])

    @property
    def id(self) -> str | None:
        return self.options.get("task_id")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], app: Sender | None = None) -> Signature:
        """The signature, chain, group or chord that `data` describes; inner ones come to life too."""
        kind = _KINDS.get(data.get("subtask_type"), Signature)
        return kind._revive(data, app)

    @classmethod
    def _revive(cls, data: Mapping[str, Any], app: Sender | None) -> Signature:
        return Signature(data, app=app)

    def to_node(self) -> Node:
        """The canvas as frozen data. Raises EncodeError for arguments that cannot be written as JSON."""
        return node_from_data(self, dumps)

    # --- changing it ---------------------------------------------------------------------------------------------------------

    def clone(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Self:
        """A copy with `args` in front of the stored ones, and with `kwargs` and `options` winning over them."""
        new = copy.deepcopy(self)
        if "immutable" in options:
            new.set_immutable(bool(options.pop("immutable")))
        if not self.immutable:
            new["args"] = [*args, *new["args"]]
            new["kwargs"] = {**new["kwargs"], **(kwargs or {})}
        new["options"] = {**new["options"], **options}
        return new

    partial = clone

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = copy.copy(self)
        for name, value in self.items():
            dict.__setitem__(new, name, copy.deepcopy(value, memo))
        return new

    def __copy__(self) -> Self:
        new = type(self).__new__(type(self))
        dict.update(new, self)
        new._app = self._app
        return new

    def replace(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """A copy with what is given in place of what is stored."""
        new = self.clone()
        if args is not None:
            new["args"] = list(args)
        if kwargs is not None:
            new["kwargs"] = dict(kwargs)
        if options is not None:
            new["options"] = dict(options)
        return new

    def set(self, immutable: bool | None = None, **options: Any) -> Self:
        """Change options in place."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Whether the value of the step before is kept away from it."""
        self["immutable"] = immutable

    def link(self, callback: Signature) -> Signature:
        """Call `callback` with the value when this succeeds."""
        return _add_once(self.options, "link", callback)

    def link_error(self, errback: Signature) -> Signature:
        """Call `errback` when this fails."""
        return _add_once(self.options, "link_error", errback)

    def on_error(self, errback: Signature) -> Self:
        """As `link_error`, and returns the signature itself."""
        self.link_error(errback)
        return self

    def freeze(self, _id: str | None = None) -> Result:
        """Fix the ids now, before it is sent; returns the handle. A second call keeps the first ids."""
        id_ = self.options.setdefault("task_id", _id or draw())
        return AsyncResult(id_, app=self.app)

    # --- sending it ----------------------------------------------------------------------------------------------------------

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Send it with `args` in front of its own."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Send it; returns an AsyncResult, a GroupResult for a group, None for an empty chain. Options: see `Task.apply_async`."""
        return self.app.send_signature(self, args or (), kwargs or {}, options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function here and now."""
        merged = self.clone(args, kwargs)
        return self.app.call_task(self.task, merged.args, merged.kwargs)

    # --- composing -----------------------------------------------------------------------------------------------------------

    def __or__(self, other: object) -> Signature:  # type: ignore[override]  # | composes, as in Celery; it does not merge
        if not isinstance(other, Signature):
            return NotImplemented
        left, right = self.clone(), other.clone()
        if isinstance(right, chain) and not right.tasks:
            return left
        match left, right:
            case group(), _:
                return chord(left, right, app=self._app)
            case chord(), _ if not isinstance(right, group | chord):
                left.kwargs["body"] = left.body | right
                return left
            case _:
                return chain(*_steps(left), *_steps(right), app=self._app)

    def __ror__(self, other: object) -> Signature:  # type: ignore[override]  # as for __or__; dict's own would merge
        return NotImplemented

    def __repr__(self) -> str:
        arguments = [repr(arg) for arg in self.args] + [
            f"{name}={value!r}" for name, value in self.kwargs.items()
        ]
        return f"{self.task}({', '.join(arguments)})"


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

    def _parts(self) -> Node:
        raise NotImplementedError


class chain(_Composite):  # noqa: N801 - Celery's name
    """Steps that run one after the other: `chain(a.s(), b.s())` or `a.s() | b.s()`."""

    subtask_type = "chain"

    def __init__(self, *tasks: Any, app: Sender | None = None, **options: Any) -> None:
        super().__init__(
            "celery.chain", kwargs={"tasks": _spliced(tasks)}, options=options, app=app or _app_in(tasks)
        )

    @classmethod
    def _revive(cls, data: Mapping[str, Any], app: Sender | None) -> Signature:
        return cls(*map(signature, data["kwargs"]["tasks"]), app=app, **(data.get("options") or {}))

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
            first = handle
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
    def _revive(cls, data: Mapping[str, Any], app: Sender | None) -> Signature:
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
    def _revive(cls, data: Mapping[str, Any], app: Sender | None) -> Signature:
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


def signature(
    task: Any,
    args: Iterable[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    app: Sender | None = None,
    **more: Any,
) -> Signature:
    """A signature of a task's name, of a task, or of a mapping (as JSON gives it back); a signature as it is."""
    if isinstance(task, Signature):
        return task
    if isinstance(task, Mapping):
        return Signature.from_dict(task, app=app)
    return Signature(task, args, kwargs, options, app=app, **more)


subtask = signature

_KINDS: dict[str | None, type[Signature]] = {"chain": chain, "group": group, "chord": chord}


def links_of(links: Any) -> tuple[Node, ...]:
    """The nodes of one callback or of a list of them."""
    if not links:
        return ()
    return tuple(
        signature(link).to_node() for link in (links if isinstance(links, list | tuple) else [links])
    )


def _add_once(options: dict[str, Any], name: str, item: Signature) -> Signature:
    items = options.get(name) or []
    items = list(items) if isinstance(items, list | tuple) else [items]
    if item not in items:
        items.append(item)
    options[name] = items
    return item


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
