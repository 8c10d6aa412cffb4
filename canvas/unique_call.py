"""UniqueCall: what one call asks for by `unique_key`, `unique_scope` and `unique_conflict`, of its own or by its task's options.

What a task's option says as a text may name parameters, "user:{user_id}"; what a call says as a text is the key as it is, as its caller
has the arguments, and so that no text from elsewhere is ever taken for a format. A key belongs to all tasks of a store.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from .argument_key import Run, check_key_format, formatted_key
from .codec import dumps, loads
from .errors import BackbeatError, ImproperlyConfigured
from .node import Call, Chain, Group, Node, Tap
from .unique import (
    LONGEST_KEY,
    NAMES,
    Conflict,
    Scope,
    Unique,
    checked_key,
    checked_unique,
    conflict_of,
    scope_of,
)


class UniqueCall(Struct, frozen=True):
    """What a store is asked, and what becomes of the send if the key is taken."""

    unique: Unique
    conflict: Conflict


def check_task(name: str, options: Mapping[str, Any], run: Run) -> None:
    """Check the options of a task. Raises ImproperlyConfigured."""
    try:
        given = checked_unique(options)
        key = given.get("unique_key")
        if not key:
            _check_none(given)
        if isinstance(key, str):
            check_key_format("unique_key", key, run)
    except ImproperlyConfigured as error:
        raise ImproperlyConfigured(f"task {name}: {error}") from None


def is_unique(call: Call, task_key: Any) -> bool:
    """Whether a call, or else its task by its option `unique_key`, asks for a key."""
    return bool(call.options.get("unique_key", task_key))


def unique_call(call: Call, task_options: Mapping[str, Any], run: Run | None) -> UniqueCall | None:
    """What a frozen call asks for; None if nothing. `run` is its function, as callers see it, where that is known.

    Raises ImproperlyConfigured for a key that cannot be made or taken.
    """
    own = checked_unique(call.options)
    given = {**checked_unique(task_options), **own}
    asked = given.get("unique_key")
    if not asked:
        if "unique_key" not in own:
            _check_none(own)
        return None
    key = _key_of(call, asked, run, is_format="unique_key" not in own)
    if key is None:
        return None
    scope, seconds = scope_of(given.get("unique_scope", Scope.RUNNING.value))
    conflict = conflict_of(given.get("unique_conflict", Conflict.EXISTING.value))
    unique = Unique(key=key, id=call.id, scope=scope, seconds=seconds, replaces=conflict is Conflict.REPLACE)
    return UniqueCall(unique, conflict)


def plain(call: Call) -> Call:
    """The call without what only its sender needs."""
    if NAMES.isdisjoint(call.options):
        return call
    return replace(call, options={name: value for name, value in call.options.items() if name not in NAMES})


def without_keys(node: Node, asks: Callable[[Call], bool]) -> Node:
    """A part of a canvas, or a callback, in which no call may ask for a key. Raises ImproperlyConfigured if one does."""
    match node:
        case Call():
            if asks(node):
                raise ImproperlyConfigured(
                    f"task {node.task} has a unique_key, and so it cannot be part of a chain, group or chord, nor a callback: what "
                    "follows it waits for a run of its own, which it has not if another task has the key. Send it alone, or give "
                    "its signature unique_key=False"
                )
            return callbacks_without_keys(plain(node), asks)
        case Chain():
            return replace(node, steps=tuple(without_keys(step, asks) for step in node.steps))
        case Group():
            return replace(node, members=tuple(without_keys(member, asks) for member in node.members))
        case Tap():
            return node.changed(lambda callback: without_keys(callback, asks))


def callbacks_without_keys(call: Call, asks: Callable[[Call], bool]) -> Call:
    """The call, in whose callbacks no call may ask for a key. Raises ImproperlyConfigured if one does."""
    if not call.link and not call.link_error:
        return call
    links = tuple(without_keys(link, asks) for link in call.link)
    errbacks = tuple(without_keys(errback, asks) for errback in call.link_error)
    return replace(call, link=links, link_error=errbacks)


def _check_none(given: Mapping[str, Any]) -> None:
    others = [name for name in given if name != "unique_key"]
    if others:
        raise ImproperlyConfigured(f"{' and '.join(others)} without a unique_key means nothing")


# --- keys --------------------------------------------------------------------------------------------------------------------------


def _key_of(call: Call, asked: Any, run: Run | None, *, is_format: bool) -> str | None:
    if asked is True:
        return _key_of_arguments(call, run)
    try:
        if callable(asked):
            made = asked(*loads(call.args), **loads(call.kwargs))
            return None if made is None else checked_key(made)
        return checked_key(_formatted(asked, call, run) if is_format else asked)
    except (BackbeatError, TypeError) as error:
        raise ImproperlyConfigured(f"task {call.task}: {error}") from error


def _key_of_arguments(call: Call, run: Run | None) -> str:
    """The same for the same task and arguments, however they are given; defaults count only where the function is known."""
    args, kwargs = json.loads(call.args), json.loads(call.kwargs)
    if run is None:
        return _digest(call.task, [args, kwargs])
    signature = inspect.signature(run)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        raise ImproperlyConfigured(f"task {call.task}: {error}") from error
    return _digest(
        call.task,
        {
            name: value
            for name, value in given.items()
            if not _is_default(value, signature.parameters[name].default)
        },
    )


def _digest(task: str, arguments: Any) -> str:
    digest = hashlib.sha256(json.dumps([task, arguments], sort_keys=True).encode()).hexdigest()
    key = f"{task}:{digest}"
    return key if key.isprintable() and len(key.encode()) <= LONGEST_KEY else digest


def _is_default(value: Any, default: Any) -> bool:
    if default is inspect.Parameter.empty:
        return False
    try:
        return json.dumps(value, sort_keys=True) == json.dumps(json.loads(dumps(default)), sort_keys=True)
    except BackbeatError:
        return False  # it cannot be written, so nobody has sent it


def _formatted(text: str, call: Call, run: Run | None) -> str:
    return (
        text if run is None else formatted_key("unique_key", text, run, loads(call.args), loads(call.kwargs))
    )
