"""Signature: a task, chain, group or chord as data in Celery's JSON shape, and what may be laid onto one.

PURE. A signature is {task, args, kwargs, options, subtask_type, immutable}; a chain is the task "celery.chain" with its steps in
kwargs, and so on. One that was written under a name has that name, too, as `workflow`: for people, no message carries it. Signatures
are shared, by all who use a named workflow, and so never changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

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


def fault_of_size(signature: Signature) -> str:
    """What is too much about a signature; "" for nothing. No more of it is walked than is allowed."""
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
        waiting += [(inner, level + 1) for inner in inner_signatures(each)]
    return ""


def inner_signatures(signature: Signature) -> Iterator[Signature]:
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
