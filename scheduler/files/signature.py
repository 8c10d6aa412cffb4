"""Signature: a task, chain, group or chord as data in Celery's JSON shape, and what may be laid onto one.

PURE. A signature is {task, args, kwargs, options, subtask_type, immutable}; a chain is the task "celery.chain" with its steps in
kwargs, and so on. One that was written under a name has that name, too, as `workflow`: for people, no message carries it. Signatures
are shared, by all who use a named workflow, and so never changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .problem import Fault
from .source import Place

Signature = dict[str, Any]
MOST_TASKS = 10_000
"""Tasks in one signature, callbacks included. It travels as one message, and a name that is used often multiplies quickly."""
MOST_LEVELS = 50
"""Signatures inside signatures, callbacks included. The canvas reads 100, and a chord has two for the one that is written."""


def task_signature(task: str, args: list[Any], kwargs: Signature) -> Signature:
    """The signature of one task."""
    return _signature(task, args, kwargs, None)


def composite(kind: str, kwargs: Signature) -> Signature:
    """The signature of a chain, group or chord."""
    return _signature(f"celery.{kind}", [], kwargs, kind)


def _signature(task: str, args: list[Any], kwargs: Signature, subtask_type: str | None) -> Signature:
    return {
        "task": task,
        "args": args,
        "kwargs": kwargs,
        "options": {},
        "subtask_type": subtask_type,
        "immutable": False,
    }


def on_first(signature: Signature, change: Callable[[Signature], Signature]) -> Signature:
    """The signature with `change` made to each task that starts when it starts."""
    kwargs = signature["kwargs"]
    match signature["subtask_type"]:
        case "chain":
            first, *rest = kwargs["tasks"]
            return {**signature, "kwargs": {"tasks": [on_first(first, change), *rest]}}
        case "group":
            return {**signature, "kwargs": {"tasks": [on_first(task, change) for task in kwargs["tasks"]]}}
        case "chord":
            header = [on_first(task, change) for task in kwargs["header"]]
            return {**signature, "kwargs": {**kwargs, "header": header}}
        case _:
            return change(signature)


def made_immutable(signature: Signature) -> Signature:
    """The signature, which does not get the result of what comes before it: none of the tasks that start it does."""
    return on_first(signature, lambda task: {**task, "immutable": True})


def with_defaults(signature: Signature, defaults: Signature) -> tuple[Signature, Signature]:
    """The signature, and the defaults that may be given to it as a whole, where they would win over what its first tasks say.

    Of an option that one of these has itself, the default is given to the others.
    """
    starting = _starting(signature)
    said = {key for part in starting for options in options_of_first(part) for key in options}
    said &= defaults.keys()
    if not said:
        return signature, defaults
    weak = {key: defaults[key] for key in said}
    signature = on_first(signature, lambda task: {**task, "options": {**weak, **task["options"]}})
    return signature, {key: value for key, value in defaults.items() if key not in said}


def options_of_first(signature: Signature) -> Iterator[Signature]:
    """The options with which each task is sent that starts when it starts: what is given to a whole wins over what a part says."""
    own, starting = signature["options"], _starting(signature)
    if not starting:
        yield own
    for part in starting:
        for options in options_of_first(part):
            yield {**options, **own}


def _starting(signature: Signature) -> list[Signature]:
    """The parts that start when it starts; of a task there are none."""
    kwargs = signature["kwargs"]
    match signature["subtask_type"]:
        case "chain":
            first: Signature = kwargs["tasks"][0]
            return [first]
        case "group":
            return list(kwargs["tasks"])
        case "chord":
            return list(kwargs["header"])
        case _:
            return []


def check_size(signature: Signature, place: Place) -> None:
    """Raise Fault E197 for a signature that is too large or too deep. No more of it is walked than is allowed."""
    excess = _excess(signature)
    if excess:
        help_text = "let a task send what is inside, or take several schedules"
        raise Fault(place, "E197", excess, help=help_text)


def _excess(signature: Signature) -> str:
    tasks = 0
    waiting = [(signature, 1)]
    while waiting:
        each, level = waiting.pop()
        if level > MOST_LEVELS:
            return f"is nested more than {MOST_LEVELS} levels deep"
        if each["subtask_type"] is None:
            tasks += 1
        if tasks > MOST_TASKS:
            return f"has more than {MOST_TASKS:,} tasks"
        waiting += [(inner, level + 1) for inner in _inner(each)]
    return ""


def _inner(signature: Signature) -> Iterator[Signature]:
    """Those that stand directly in it: its parts, and its callbacks."""
    options, kwargs = signature["options"], signature["kwargs"]
    match signature["subtask_type"]:
        case "chain" | "group":
            yield from kwargs["tasks"]
        case "chord":
            yield from kwargs["header"]
            yield kwargs["body"]
    if "link" in options or "link_error" in options:
        yield from options.get("link", ())
        yield from options.get("link_error", ())
