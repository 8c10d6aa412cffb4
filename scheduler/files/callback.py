"""Callback: what on_success and on_error make of a signature; the one place that says where callbacks go.

PURE. They go where Celery's own link() and link_error() put them: on the task, on the chain as a whole, on a chord's body, and
link_error of a group on each member. So on_success follows what ends last, with its result, and on_error each task that fails; of a
chord's members the body speaks.
"""

from __future__ import annotations

from .node import Node
from .problem import Fault
from .signature import Signature, made_immutable, on_first

_OPTIONS = {"on_success": "link", "on_error": "link_error"}


def attached(signature: Signature, key: str, callback: Signature, node: Node) -> Signature:
    """The signature with one callback more. Raises Fault, at `node`, for an on_success that no single result would start."""
    if key == "on_success" and (end := _group_at_end(signature)):
        raise Fault(
            node.place,
            "E112",
            f"on_success of {end} has no single result to follow",
            help="write a chord, with this step as its body",
        )
    return _attached(signature, _OPTIONS[key], _settled(callback))


def _group_at_end(signature: Signature) -> str:
    """What it is that ends with many results at once, in words; "" for what ends with one."""
    match signature["subtask_type"]:
        case "group":
            return "a group"
        case "chain":
            return "a chain that ends with a group" if _group_at_end(signature["kwargs"]["tasks"][-1]) else ""
        case "chord":
            return "a chord whose body is a group" if _group_at_end(signature["kwargs"]["body"]) else ""
        case _:
            return ""


def _attached(signature: Signature, option: str, callback: Signature) -> Signature:
    kwargs = signature["kwargs"]
    match signature["subtask_type"]:
        case "chord":
            return {**signature, "kwargs": {**kwargs, "body": _attached(kwargs["body"], option, callback)}}
        case "group":  # which is called for each member that fails, with nothing of it
            each = made_immutable(callback)
            return _with_tasks(signature, [_attached(task, option, each) for task in kwargs["tasks"]])
        case _:
            options = signature["options"]
            return {**signature, "options": {**options, option: [*options.get(option, []), callback]}}


def _settled(callback: Signature) -> Signature:
    """The callback with what its chains and groups were given laid onto their tasks.

    A callback travels inside its task, as it is: there only tasks have options and callbacks of their own.
    """
    kwargs, options = callback["kwargs"], dict(callback["options"])
    match callback["subtask_type"]:
        case "chain" | "group":
            parts = _with_tasks(callback, [_settled(task) for task in kwargs["tasks"]])
        case "chord":
            header = [_settled(task) for task in kwargs["header"]]
            parts = {**callback, "kwargs": {**kwargs, "header": header, "body": _settled(kwargs["body"])}}
        case _:
            return callback
    links, errbacks = options.pop("link", ()), options.pop("link_error", ())
    settled = {**parts, "options": {}}
    if options:
        settled = on_first(settled, lambda task: {**task, "options": {**task["options"], **options}})
    for link in links:
        settled = _on_last(settled, link)
    for errback in errbacks:
        settled = _on_steps(settled, errback)
    return settled


def _on_last(signature: Signature, link: Signature) -> Signature:
    kwargs = signature["kwargs"]
    match signature["subtask_type"]:
        case "chain":
            *before, last = kwargs["tasks"]
            return _with_tasks(signature, [*before, _on_last(last, link)])
        case "chord":
            return {**signature, "kwargs": {**kwargs, "body": _on_last(kwargs["body"], link)}}
        case _:
            return _attached(signature, "link", link)


def _on_steps(signature: Signature, errback: Signature) -> Signature:
    """On each step, but on no member of a group that something follows: these fail through what follows."""
    tasks = signature["kwargs"].get("tasks")
    match signature["subtask_type"]:
        case "chain":
            last = len(tasks) - 1
            return _with_tasks(
                signature,
                [
                    task if task["subtask_type"] == "group" and index < last else _on_steps(task, errback)
                    for index, task in enumerate(tasks)
                ],
            )
        case "group":
            return _with_tasks(signature, [_on_steps(task, errback) for task in tasks])
        case "chord":
            kwargs = signature["kwargs"]
            return {**signature, "kwargs": {**kwargs, "body": _on_steps(kwargs["body"], errback)}}
        case _:
            return _attached(signature, "link_error", errback)


def _with_tasks(signature: Signature, tasks: list[Signature]) -> Signature:
    return {**signature, "kwargs": {"tasks": tasks}}
