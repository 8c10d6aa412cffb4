"""Replacing: what a task that asks for it (`self.replace`) becomes: another canvas that ends under the task's id (decisions K10). PURE.

What ends last gets the id, as its next attempt, and with it all that depends on the task: links, its place in a group, whoever waits for
the result. Where a group ends last, and so has no value of its own, a task of every worker's (`VALUE_TASK`) gets it and returns the list.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from .errors import ImproperlyConfigured
from .ids import derive
from .message import CONTROL_QUEUE, Message
from .node import Call, Chain, Node, calls, freeze, frozen_errbacks

VALUE_TASK = "backbeat.value"


def frozen_for(message: Message, node: Node) -> Node:
    """`node` with ids that come from those of the run that it replaces: whoever runs it again asks for the same.

    Raises ImproperlyConfigured if something inside has the id that what ends last will have.
    """
    frozen = freeze(node, derive(message.id, _path(message)))
    before, _ = _parted(frozen)
    if any(call.id == message.id for step in before for call in calls(step)):
        raise ImproperlyConfigured(
            f"{message.id} is the id of the task that is replaced, and will be that of what ends last: leave this task_id out"
        )
    return frozen


def record_id(message: Message) -> str:
    """The id of the stored chain of what replaces a run: that of its last step is the task's, which may have ended another chain."""
    return derive(message.id, f"{_path(message)}:chain")


def in_place_of(message: Message, node: Node) -> Call | Chain:
    """The frozen canvas `node`, that it may take the place of `message`. Its error callbacks are called whatever step fails."""
    before, last = _parted(node)
    heir = replace(
        last,
        id=message.id,
        options={**last.options, **_inherited(message)},
        # the task's own first: each has an id by its place, and a copy of the task that comes late must come to the same
        link=(*message.link, *last.link),
        link_error=(*message.link_error, *last.link_error),
    )
    if not before:
        return heir
    return Chain(steps=(*(_telling(step, message) for step in before), heir))


def _parted(node: Node) -> tuple[tuple[Node, ...], Call]:
    """What runs before, and what ends last: a call."""
    steps = node.steps if isinstance(node, Chain) else (node,)
    *before, last = steps
    if isinstance(last, Call):
        return tuple(before), last
    return steps, Call(task=VALUE_TASK, options={"queue": CONTROL_QUEUE})


def _path(message: Message) -> str:
    return f"replaced:{message.generation}.{message.attempt}"


def _telling(step: Node, message: Message) -> Node:
    """A step whose failure is told as the task's would be. A group fails through what follows it."""
    if not isinstance(step, Call):
        return step
    callbacks = frozen_errbacks(message.link_error, message.id)
    # what waits for a reply is told by the step that failed of all that can no longer run
    options = {"reply_to": message.reply_to} if message.reply_to else {}
    return replace(step, link_error=(*step.link_error, *callbacks), options={**step.options, **options})


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
