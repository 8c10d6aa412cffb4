"""Replacing: what a task that asks for it (`self.replace`) becomes: another canvas that ends under the task's id (decisions K10). PURE.

What ends last gets the id, as its next attempt, and with it all that depends on the task: links, its place in a group, whoever waits for
the result. Where a group ends last, and so has no value of its own, a task of every worker's (`VALUE_TASK`) gets it and returns the list.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .ids import derive
from .message import CONTROL_QUEUE, Message
from .node import Call, Chain, Group, Node, freeze

VALUE_TASK = "backbeat.value"


def frozen_for(message: Message, node: Node) -> Node:
    """`node` with ids that come from those of the run that it replaces: whoever runs it again asks for the same."""
    return freeze(node, derive(message.id, _path(message)))


def record_id(message: Message) -> str:
    """The id of the stored chain of what replaces a run: that of its last step is the task's, which may have ended another chain."""
    return derive(message.id, f"{_path(message)}:chain")


def in_place_of(message: Message, node: Node) -> Call | Chain:
    """The frozen canvas `node`, that it may take the place of `message`. Its error callbacks are called whatever step fails."""
    steps = node.steps if isinstance(node, Chain) else (node,)
    before, last = steps[:-1], steps[-1]
    if not isinstance(last, Call):
        before, last = steps, Call(task=VALUE_TASK, options={"queue": CONTROL_QUEUE})
    heir = replace(
        last,
        id=message.id,
        options={**last.options, **_inherited(message)},
        # the task's own first: each has an id by its place, which a copy of the task that comes late must find as it is
        link=(*message.link, *last.link),
        link_error=(*message.link_error, *last.link_error),
    )
    if not before:
        return heir
    return Chain(steps=(*(_telling(step, message) for step in before), heir))


def _path(message: Message) -> str:
    return f"replaced:{message.generation}.{message.attempt}"


def _telling(step: Node, message: Message) -> Node:
    """A group fails through what follows it."""
    match step:
        case Call():
            return replace(step, link_error=(*message.link_error, *step.link_error))
        case Group() | Chain():
            return step


def _inherited(message: Message) -> dict[str, Any]:
    """The options that make a call the next attempt of `message`."""
    attempt = message.attempt + 1
    options = {
        "retries": attempt,
        "first_attempt": attempt,
        "replaced_task_nesting": message.replaced_task_nesting + 1,
        "ignore_result": message.ignore_result,
        "reply_to": message.reply_to,
        "group_id": message.group_id,
        "group_index": message.group_index,
    }
    return {name: value for name, value in options.items() if value is not None}
