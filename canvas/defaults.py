"""Defaults: a canvas with all that its caller did not say, and what its calls may ask for where they are sent from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from .call_options import CallOptions
from .errors import EncodeError, ImproperlyConfigured
from .node import HOOKS, Call, Node, check_depth
from .options import Given, checked, laid_on, map_calls, named
from .signature import Signature, links_of
from .tasks import Tasks
from .unique_call import UniqueCall, callbacks_without_keys, is_unique, plain, unique_call, without_keys
from .value import identity, key, keywords, optional, positional
from .webhook.ending_urls import OPTIONS as ENDING_URLS

_OF_WHOLE = frozenset({"task_id", "failure_policy", "link", *HOOKS, *ENDING_URLS})
"""Options of a group or chord that are none of its members'."""


class Spread(Struct, frozen=True):
    """The options of a group whose members are sent one by one: those of the whole, and those of each member."""

    whole: Mapping[str, Any]
    member: Mapping[str, Any]


class Defaults:
    """Of the canvases of one app; `calls` knows the options of single calls."""

    def __init__(self, calls: CallOptions, tasks: Tasks) -> None:
        self._calls = calls
        self._tasks = tasks

    def resolved(
        self,
        signature: Signature,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Node:
        """The canvas with all options laid on: the caller's, the signatures', the tasks' and the settings'."""
        given = dict(options or {})
        links = links_of(given.pop("link", None))
        errbacks = links_of(given.pop("link_error", None))
        id_ = optional(identity)("task_id", given.pop("task_id", None))
        if (policy := given.pop("failure_policy", None)) is not None:
            signature = signature.clone().set(failure_policy=policy)
        if urls := {name: given.pop(name) for name in ENDING_URLS if name in given}:
            signature = signature.clone().set(**urls)
        node = signature.to_node()
        given_options = checked({name: value for name, value in given.items() if value is not None})
        whole = laid_on(
            node,
            Given(
                args=positional(args),
                kwargs=keywords(kwargs or {}),
                options=given_options,
                link=links,
                link_error=errbacks,
            ),
        )
        node = named(self._with_defaults(whole), id_)
        check_depth(node)
        if isinstance(node, Call):
            return callbacks_without_keys(node, self.is_unique)
        return without_keys(node, self.is_unique)

    def spread(self, signature: Signature, options: Mapping[str, Any]) -> Spread:
        """Who gets which of the options that a group or chord has, and is sent with."""
        is_chord = signature.subtask_type == "chord"
        own = _OF_WHOLE | {"link_error"} if is_chord else _OF_WHOLE
        header = signature.kwargs["header"].options if is_chord else {}
        every = {**header, **signature.options, **options}
        return Spread(
            whole={name: value for name, value in options.items() if name in own},
            member={name: value for name, value in every.items() if name not in own},
        )

    def member(
        self, signature: Signature, args: Iterable[Any], kwargs: Mapping[str, Any], spread: Spread
    ) -> Node:
        """As `resolved`, for a member of a group that is sent by itself."""
        node = self.resolved(signature, args, kwargs, spread.member)
        return without_keys(node, self.is_unique)

    def keyed(self, node: Node) -> tuple[Node, UniqueCall | None]:
        """What is to be sent, and the key that it asks for."""
        if not isinstance(node, Call):
            return node, None
        task = self._tasks.get(node.task)
        options, run = ({}, None) if task is None else (task.options.unique(), task.run_bound)
        return plain(node), unique_call(node, options, run)

    def scheduled(self, signature: Signature) -> Node:
        """As `resolved`, for what a schedule sends: each of its runs, whatever keys others have. Raises ImproperlyConfigured."""
        instead = (
            "a schedule says by its overlap what becomes of a run that is due while another one is going on"
        )
        return self._without_key(self.resolved(signature), instead)

    def replacing(self, signature: Signature) -> Node:
        """As `resolved`, for what takes the place of a task, whatever keys others have. Raises ImproperlyConfigured."""
        if signature.options.get("chord") is not None:
            raise ImproperlyConfigured(
                "a signature with the option chord cannot take the place of a task: use chord(header, body)"
            )
        return self._without_key(
            self.resolved(signature), "what replaces a task has the task's place, and its key"
        )

    def adding(self, signature: Signature) -> Node:
        """As `resolved`, for what a task adds to its chord. Raises ImproperlyConfigured."""
        return self._without_key(
            self.resolved(signature), "what is added to a chord is waited for there, whoever has its key"
        )

    def _without_key(self, node: Node, instead: str) -> Node:
        if not isinstance(node, Call):
            return node
        if node.options.get("unique_key"):
            raise ImproperlyConfigured(
                f"task {node.task}: a unique_key is taken by apply_async alone; {instead}"
            )
        return plain(node)

    def is_unique(self, call: Call) -> bool:
        """Whether a call asks for a unique key, by its own options or its task's."""
        task = self._tasks.get(call.task)
        return is_unique(call, None if task is None else task.options.unique_key)

    def _with_defaults(self, node: Node) -> Node:
        """Each call with its task's and the settings' defaults under its own options; its callbacks too."""
        limit = self._calls.max_bytes

        def change(call: Call) -> Call:
            _check_size(call, limit)
            links = tuple(map(self._with_defaults, call.link))
            errbacks = tuple(map(self._with_defaults, call.link_error))
            return replace(call, options=self._calls.of(call), link=links, link_error=errbacks)

        return map_calls(node, change)


def _check_size(call: Call, limit: int) -> None:
    size = len(call.args) + len(call.kwargs)
    if size > limit:
        raise EncodeError(
            f"the arguments of {call.task} have {size:,} bytes, more than {limit:,}: pass a reference to the data, "
            "or raise the setting task_max_argument_bytes"
        )
    if call.id:
        key("task_id", call.id)
