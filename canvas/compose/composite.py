"""Composite: what chains, groups and chords have in common: their parts, and what holds for all of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from ..errors import ImproperlyConfigured
from ..node import Node, Policy, tapped, with_policy
from ..options import Given, laid_on, named
from ..sender import Sender
from ..signature import Signature, callbacks_in, signature
from ..stamping import StampingVisitor, asked, merged


class Composite(Signature):
    """A signature made of signatures, which stand in its kwargs."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.apply_async(args, kwargs)

    def to_node(self) -> Node:
        """The canvas, with the arguments and options of the composite itself laid onto its parts."""
        options = dict(self.options)
        id_, policy = options.pop("task_id", None), options.pop("failure_policy", None)
        callbacks = callbacks_in(options)
        node = self._parts() if policy is None else self._under(_policy(policy), self._parts())
        given = Given(args=self.args, options=options, link=callbacks.link, link_error=callbacks.link_error)
        return tapped(named(laid_on(node, given), id_), self.task, callbacks.hooks)

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


def _policy(value: Any) -> Policy:
    try:
        return Policy(value)
    except ValueError:
        names = ", ".join(repr(policy.value) for policy in Policy)
        raise ImproperlyConfigured(f"failure_policy must be one of {names}, found {value!r:.80}") from None


def unpacked(tasks: tuple[Any, ...]) -> Iterable[Any]:
    """One list or generator in place of several arguments."""
    if len(tasks) == 1 and not isinstance(tasks[0], Mapping) and isinstance(tasks[0], Iterable):
        return tasks[0]
    return tasks


def app_in(tasks: Iterable[Any]) -> Sender | None:
    return next((task._app for task in tasks if isinstance(task, Signature) and task._app is not None), None)
