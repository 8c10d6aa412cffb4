"""Signature: one task to run, as users write it: `add.s(2, 2)`. Chains, groups and chords stand in compose.py.

As in Celery a signature is a mapping {task, args, kwargs, options, subtask_type, immutable} that survives JSON. It is
a face only: sending turns it into nodes (node.py), and flow knows nothing of this module. Signatures know their app as a `Sender`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Protocol, Self

from .awaitable import in_thread
from .codec import dumps
from .default_app import default_app, default_app_if_any, set_default_app
from .ids import draw
from .node import HOOKS, Call, Node, tapped
from .node_data import node_from_data
from .result import AsyncResult, Result
from .value import flag, keywords, positional


class Sender(Protocol):
    """What a signature needs of an app."""

    def send_signature(
        self, signature: Signature, args: Iterable[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Result:
        """Send the canvas; returns the handle of its value."""
        ...

    def apply_signature(
        self, signature: Signature, args: Iterable[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Result:
        """Run the canvas here and now; returns the handle of its value, which is ready."""
        ...

    def call_task(self, name: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run a task's function here and now."""
        ...

    @property
    def is_strict(self) -> bool:
        """False if canvases are composed as Celery does it (setting `canvas_mode`)."""
        ...

    @property
    def tells_of_members(self) -> bool:
        """Whether an error callback of a chord is also one of its members (setting `task_allow_error_cb_on_chord_header`)."""
        ...


set_default_sender = set_default_app


def default_sender() -> Sender:
    """The app of signatures that have none. Raises ImproperlyConfigured if there is no app at all."""
    sender: Sender = default_app()
    return sender


class Signature(dict[str, Any]):
    """One task to run, with its arguments: a mapping that survives JSON."""

    subtask_type: str | None = None
    TYPES: ClassVar[dict[str, type[Signature]]] = {}
    MAPPINGS: ClassVar[dict[str, Callable[..., Signature]]] = {}
    """What makes a signature of one task and of many arguments, by the name of the task that a worker runs for it (mapping.py)."""

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
            self["args"] = positional(self.get("args") or ())
            for name in ("kwargs", "options"):
                self[name] = dict(self.get(name) or {})
            self.setdefault("subtask_type", None)
            self.setdefault("immutable", False)
        else:
            if not isinstance(name := getattr(task, "name", task), str):
                raise TypeError(f"a signature is of a task or of its name, found {task!r:.80}")
            super().__init__(
                task=name,
                args=positional(args),
                kwargs=keywords(kwargs or {}),
                options={**(options or {}), **more},
                subtask_type=self.subtask_type,
                immutable=flag("immutable", immutable),
            )
        self._app = app if app is not None else getattr(task, "bound_app", None)

    # --- what it is ----------------------------------------------------------------------------------------------------------

    @property
    def app(self) -> Sender:
        return self._app if self._app is not None else default_sender()

    @property
    def own_app(self) -> Sender | None:
        """The app that it was made with; None if it belongs to whichever is the default."""
        return self._app

    @property
    def is_strict(self) -> bool:
        """False if it is composed as Celery does it."""
        app: Sender | None = self._app or default_app_if_any()
        return app is None or app.is_strict

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
    def register_type(cls, name: str, kind: type[Signature]) -> None:
        """Let signatures with this `subtask_type` come to life as `kind`."""
        cls.TYPES[name] = kind

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], app: Sender | None = None) -> Signature:
        """The signature, chain, group or chord that `data` describes; inner ones come to life too."""
        kind = cls.TYPES.get(data.get("subtask_type") or "", Signature)
        return kind.revive(data, app)

    @classmethod
    def revive(cls, data: Mapping[str, Any], app: Sender | None) -> Signature:
        """A signature of this type from its data."""
        return Signature(data, app=app)

    @classmethod
    def piped(cls, left: Signature, right: Signature) -> Signature:
        """What `left | right` is; the type "chain" knows it."""
        return cls.TYPES["chain"].piped(left, right)

    def unread(self, at_most: int) -> tuple[Signature, Iterator[Signature]] | None:  # noqa: ARG002 - see group
        """Of a group, or a chord, whose members are made one by one, and are more than `at_most`: itself without any, and the members.

        Who takes them sends them: the signature does not have them any more.
        """
        return None

    def to_node(self) -> Node:
        """The canvas as frozen data. Raises EncodeError for arguments that cannot be written as JSON."""
        options = dict(self.options)
        link, link_error = links_of(options.pop("link", None)), links_of(options.pop("link_error", None))
        hooks = {name: links_of(options.pop(name, None)) for name in HOOKS}
        node = node_from_data({**self, "options": options}, dumps)
        if isinstance(node, Call):  # of chunks there is no call
            node = replace(node, link=link, link_error=link_error)
        return tapped(node, self.task, hooks)

    # --- changing it ---------------------------------------------------------------------------------------------------------

    def clone(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Self:
        """A copy with `args` in front of the stored ones, and with `kwargs` and `options` winning over them."""
        new = copy.deepcopy(self)
        if "immutable" in options:
            new.set_immutable(options.pop("immutable"))
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
            new["args"] = positional(args)
        if kwargs is not None:
            new["kwargs"] = keywords(kwargs)
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
        self["immutable"] = flag("immutable", immutable)

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

    def on_success(self, callback: Signature) -> Self:
        """Call `callback` with the value of the whole, once, when all of it has succeeded; returns the signature itself."""
        return self._told("on_success", callback)

    def on_failure(self, callback: Signature) -> Self:
        """Call `callback` once when it has failed, whichever part broke, with a map that tells how (see ending_report.py)."""
        return self._told("on_failure", callback)

    def on_done(self, callback: Signature) -> Self:
        """Call `callback` once when it has ended, in whatever way, with a map that tells how (see ending_report.py)."""
        return self._told("on_done", callback)

    def _told(self, name: str, callback: Signature) -> Self:
        _add_once(self.options, name, callback)
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

    async def adelay(self, *args: Any, **kwargs: Any) -> Any:
        """As `delay`, for coroutines: the event loop goes on while it is sent (see awaitable.py)."""
        return await in_thread(self.delay, *args, **kwargs)

    async def aapply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """As `apply_async`, for coroutines."""
        return await in_thread(self.apply_async, args, kwargs, **options)

    def apply(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Run it here and now, to its end; returns what `apply_async` does, ready. Options: also `throw`, see `Task.apply`."""
        return self.app.apply_signature(self, args or (), kwargs or {}, options)

    def __invert__(self) -> Any:
        """Send it and wait for its value: `~add.s(2, 2)`."""
        return self.apply_async().get()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function here and now."""
        merged = self.clone(args, kwargs)
        return self.app.call_task(self.task, merged.args, merged.kwargs)

    # --- composing -----------------------------------------------------------------------------------------------------------

    def __or__(self, other: object) -> Signature:  # type: ignore[override]  # | composes, as in Celery; it does not merge
        if not isinstance(other, Signature):
            return NotImplemented
        return self.piped(self.clone(), other.clone())

    def __ror__(self, other: object) -> Signature:  # type: ignore[override]  # as for __or__; dict's own would merge
        return NotImplemented

    def __repr__(self) -> str:
        arguments = [repr(arg) for arg in self.args] + [
            f"{name}={value!r}" for name, value in self.kwargs.items()
        ]
        return f"{self.task}({', '.join(arguments)})"


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


def maybe_signature(d: Any, app: Sender | None = None, clone: bool = False) -> Any:
    """A mapping brought to life as a signature, a signature as it is, or its copy; anything else, such as None, as it is."""
    if not isinstance(d, Mapping):
        return d
    found = signature(d, app=app)
    return found.clone() if clone and found is d else found


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
