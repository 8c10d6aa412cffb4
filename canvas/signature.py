"""Signature: one task to run, as users write it: `add.s(2, 2)`. Chains, groups and chords stand in compose/.

As in Celery a signature is a mapping {task, args, kwargs, options, subtask_type, immutable} that survives JSON. It is
a face only: sending turns it into nodes (node.py), and flow knows nothing of this module. Signatures know their app as a `Sender`.
"""

from __future__ import annotations

import builtins
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

from msgspec import Struct
from msgspec.structs import replace

from .argument_fault import named_fault
from .codec import dumps
from .errors import EncodeError
from .ids import draw
from .node import HOOKS, Call, Node, tapped
from .node_data import node_from_data
from .result import AsyncResult, Result
from .sender import Sender
from .signature_fields import Position
from .signature_sending import SignatureSending
from .stamp import overlaid
from .stamping import StampingVisitor, asked, merged, options_with
from .value import flag, keywords, positional
from .webhook.ending_urls import check_ending_urls, told_by_url

Kind = builtins.type["Signature"]
"""A class of signatures."""


class Signature(SignatureSending):
    """One task to run, with its arguments: a mapping that survives JSON."""

    subtask_type: str | None = None
    TYPES: ClassVar[dict[str, Kind]] = {}
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

    @classmethod
    def register_type(cls, name: Any = None, kind: Kind | None = None) -> Any:
        """Let signatures with this `subtask_type`, by default the name of the class, come to life as `kind`; without that it decorates a class.

        @Signature.register_type(name="batch")
        class Batch(Signature): ...
        """

        def registered(found: Kind) -> Kind:
            cls.TYPES[name if isinstance(name, str) else found.__name__] = found
            return found

        if isinstance(name, builtins.type):
            return registered(name)
        return registered if kind is None else registered(kind)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], app: Sender | None = None) -> Signature:
        """The signature, chain, group or chord that `data` describes; inner ones come to life too."""
        kind = cls.TYPES.get(data.get("subtask_type") or "", Signature)
        if kind is not cls and "from_dict" in kind.__dict__ and kind is not Signature:
            return kind.from_dict(data, app)  # of a user's own type
        return kind.revive(data, app)

    @classmethod
    def revive(cls, data: Mapping[str, Any], app: Sender | None) -> Signature:
        """A signature of this type from its data; of a type whose __init__ wants something else a plain one."""
        return (cls if cls.__init__ is Signature.__init__ else Signature)(data, app=app)

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
        callbacks = callbacks_in(options) if options else None
        try:
            node = node_from_data(self if callbacks is None else {**self, "options": options}, dumps)
        except EncodeError as error:
            raise named_fault(self.task, self.args, self.kwargs, error) from error
        if callbacks is None:
            return node
        if isinstance(node, Call) and (callbacks.link or callbacks.link_error):  # of chunks there is no call
            node = replace(node, link=callbacks.link, link_error=callbacks.link_error)
        return tapped(node, self.task, callbacks.hooks)

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
        new["options"] = overlaid(new["options"], options)
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

    def link(self, callback: Any) -> Any:
        """Call `callback`, or each of a list, with the value when this succeeds; returns it."""
        return self._calls("link", callback)

    def link_error(self, errback: Any) -> Any:
        """Call `errback`, or each of a list, when this fails; returns it."""
        return self._calls("link_error", errback)

    def _calls(self, name: str, callback: Any) -> Any:
        for each in callback if isinstance(callback, list | tuple) else [callback]:
            self.append_to_list_option(name, signature(each, app=self._app))
        return callback

    def on_error(self, errback: Any) -> Self:
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
        self._calls(name, callback)
        return self

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Signature | None = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Result:
        """Fix the ids now, before it is sent; returns the handle. A second call keeps the first ids.

        `root_id`, `parent_id`, `group_id` and `group_index` are what its message will say; `chord` is kept as option, and what has it is not sent
        by itself.
        """
        return self._frozen(_id, Position(group_id, chord, root_id, parent_id, group_index))

    def _frozen(self, id_: str | None, position: Position) -> Result:
        self._place(position)
        return AsyncResult(self.options.setdefault("task_id", id_ or draw()), app=self.app)

    # --- stamping it ---------------------------------------------------------------------------------------------------------

    def stamp(
        self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any
    ) -> Self:
        """Stamp it, and all that it links to: with `headers`, and with what the visitor says (see stamping.py); returns the signature itself.

        A name that is stamped already gets the new value, with `append_stamps` a list of both.
        """
        self.stamp_links(visitor, append_stamps, **headers)
        said = merged(headers, asked(visitor, "on_signature", self, headers))
        self["options"] = options_with(self.options, said, append=append_stamps)
        return self

    def stamp_links(
        self, visitor: StampingVisitor | None, append_stamps: bool = False, **headers: Any
    ) -> None:
        """Stamp what is called when it ends: links, error callbacks, and what hears of the end of a canvas."""
        for name, hook in _HOOKS_OF_LINKS.items():
            if found := self.options.get(name):
                links = [signature(link, app=self._app) for link in _listed(found)]
                self.options[name] = links
                for link in links:
                    link.stamp(visitor, append_stamps, **merged(headers, asked(visitor, hook, link, headers)))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function here and now."""
        merged = self.clone(args, kwargs)
        return self.app.call_task(self.task, merged.args, merged.kwargs)

    # --- composing -----------------------------------------------------------------------------------------------------------

    def __or__(self, other: object) -> Signature:  # type: ignore[override]  # | composes, as in Celery; it does not merge
        if not isinstance(other, Signature):
            return NotImplemented
        return self.piped(self.clone(), other.clone())

    def __ior__(self, other: object) -> Signature:  # type: ignore[override]  # noqa: PYI034 - as for __or__; dict's own would merge
        return self.__or__(other)

    def __ror__(self, other: object) -> Signature:  # type: ignore[override]  # as for __or__; dict's own would merge
        return NotImplemented

    def flatten_links(self) -> list[Signature]:
        """It, and what it links to, and so on."""
        found = [self]
        for link in _listed(self.options.get("link")):
            found += signature(link, app=self._app).flatten_links()
        return found

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """The call as text, with these arguments in front of its own, as in `add(2, 2)`."""
        arguments = [repr(arg) for arg in (*args, *self.args)]
        arguments += [f"{name}={value!r}" for name, value in {**self.kwargs, **kwargs}.items()]
        return f"{self.task}({', '.join(arguments)})"

    def __repr__(self) -> str:
        return self.reprcall()


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


def maybe_signature(sig: Any, app: Sender | None = None, clone: bool = False) -> Signature | None:
    """A signature of a mapping; a signature as it is, or with `clone` a copy of it; None of None. With `app` it belongs to that."""
    if sig is None:
        return None
    made = signature(sig).clone() if clone and isinstance(sig, Signature) else signature(sig)
    if app is not None:
        made._app = app
    return made


maybe_subtask = maybe_signature


_HOOKS_OF_LINKS = {"link": "on_callback", "link_error": "on_errback"} | {
    name: "on_errback" if name == "on_failure" else "on_callback" for name in HOOKS
}


class Callbacks(Struct, frozen=True):
    """What is called when a signature ends, as nodes."""

    link: tuple[Node, ...]
    link_error: tuple[Node, ...]
    hooks: Mapping[str, tuple[Node, ...]]


_NO_CALLBACKS = Callbacks((), (), {})


def callbacks_in(options: dict[str, Any]) -> Callbacks:
    """Take the callbacks out of `options`. Raises ImproperlyConfigured for a URL that is none."""
    if not options:
        return _NO_CALLBACKS
    check_ending_urls(options)
    hooks = {name: links_of(options.pop(name, None)) for name in HOOKS}
    hooks["on_done"] += told_by_url(options)
    return Callbacks(
        link=links_of(options.pop("link", None)),
        link_error=links_of(options.pop("link_error", None)),
        hooks=hooks,
    )


def links_of(links: Any) -> tuple[Node, ...]:
    """The nodes of one callback or of a list of them."""
    return tuple(signature(link).to_node() for link in _listed(links)) if links else ()


def _listed(value: Any) -> list[Any]:
    """One of an option that may be a list, or those of the list, or none."""
    if not value:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
