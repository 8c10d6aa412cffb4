"""Chord: a group, and a body that is called with the list of its values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from ..default_app import default_app_if_any
from ..errors import ImproperlyConfigured
from ..ids import derive, draw
from ..node import Chain, Node, Policy, chain_of, with_policy
from ..options import Given, laid_on
from ..result import Result
from ..sender import Sender
from ..signature import Signature, signature
from ..signature_fields import Position
from ..stamping import StampingVisitor, asked, merged
from ..value import keywords
from .composite import Composite, app_in
from .group import group


class chord(Composite):  # noqa: N801 - Celery's name
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
        own = app or members.own_app or app_in([body])
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

    def _frozen(self, id_: str | None, position: Position) -> Result:
        own = self.options.pop("task_id", None) or id_ or draw()
        header = self.tasks.freeze(derive(own, "step:0"), **position.of_first().options())
        # the body's parent is known when the last member has ended
        handle = self.body.freeze(own, **replace(position, parent_id=None).options())
        handle.parent = header
        return handle

    def __repr__(self) -> str:
        return f"chord({self.tasks!r}, {self.kwargs['body']!r})"


Signature.register_type("chord", chord)
