"""Embed: the third part of a message's body: the signatures that travel along, and so what follows it. PURE.

A continuation travels as signatures that a Celery worker forwards: `backbeat.next(ref)` in `chain`, for when the task succeeds, and
`backbeat.failed(ref)` in `errbacks`, for when it does not. They are routed to the queue `backbeat`. What a client of Celery's embeds is
read and written as it does: steps in `chain`, the last one first, and in `chord` what follows when all parts of a chord are in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .continuation import Continuation, Counted, Inline, Member, Step, position_of, ref_of
from .errors import MessageError
from .ids import derive
from .json_text import json_value
from .mark import is_marked
from .message import CONTROL_QUEUE, Message, check_calls
from .node import Node
from .node_data import node_from_data, node_to_data
from .own_tasks import FAILED_TASK, NEXT_TASK
from .stamp import Stamps, stamped, with_stamps
from .trace_context import trace_of

ARGUMENTS = "backbeat_arguments"
"""Where marked arguments are in the embed."""


def embed_of(message: Message) -> dict[str, Any]:
    """What a message carries along."""
    # a Celery worker sends on only what a signature has itself
    stamps = message.stamps
    callbacks = [_data(link, stamps) for link in message.link] or None
    errbacks = [_data(link, stamps) for link in message.link_error]
    chain: list[dict[str, Any]] = []
    chord: Any = None
    match message.then:
        case Counted(body=body):
            chord = json.loads(body) if body else None
        case Inline(steps, below):
            chain = [_data(step, stamps) for step in steps]
            if below is not None:
                chain.append(_forward(NEXT_TASK, message, below))
                errbacks.append(_forward(FAILED_TASK, message, below))
        case Step() | Member() as position:
            chain = [_forward(NEXT_TASK, message, position)]
            errbacks.append(_forward(FAILED_TASK, message, position))
    chain.reverse()
    if message.tail is not None:
        chain = json.loads(message.tail)
    embed = {"callbacks": callbacks, "errbacks": errbacks or None, "chain": chain or None, "chord": chord}
    if is_marked(message.args) or is_marked(message.kwargs):
        embed[ARGUMENTS] = [json.loads(message.args), json.loads(message.kwargs)]
    return embed


def then_of(
    embed: Mapping[str, Any], group_id: str | None, group_index: int | None
) -> tuple[Continuation | None, tuple[Node, ...]]:
    """The continuation and the error callbacks of the user's own. Group and index are those of the message's headers."""
    chain, below = embed.get("chain") or [], None
    if isinstance(chain, list) and chain and _is_forward(chain[0], NEXT_TASK):
        (ref,) = chain[0]["args"]
        below, chain = position_of(ref), chain[1:]
    steps = nodes_of(list(reversed(chain)))
    own = embed.get("errbacks")
    errbacks = nodes_of([e for e in own if not _is_forward(e, FAILED_TASK)] if isinstance(own, list) else own)
    chord = embed.get("chord")
    if chord:
        nodes_of([chord])  # it is checked now, and read when it is sent
    if not chord or not group_id:  # a chord without a group is counted by nobody, as in Celery
        return (Inline(steps, below) if steps else below), errbacks
    if steps or below is not None:
        raise MessageError("a task cannot be a part of a chord and have a next step at once")
    return Counted(group_id, group_index, json_value(chord)), errbacks


def nodes_of(items: Any) -> tuple[Node, ...]:
    """Embedded signatures, checked. Raises MessageError for what is no list of them."""
    if not items:
        return ()
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise MessageError("embedded signatures are not a list")
    nodes = tuple(node_from_data(item, json_value) for item in items)
    for node in nodes:
        check_calls(node)
    return nodes


def _data(node: Node, stamps: Stamps) -> dict[str, Any]:
    return node_to_data(stamped(node, stamps), json.loads)


def _forward(task: str, message: Message, position: Step | Member) -> dict[str, Any]:
    """A signature that brings the outcome of `message` to a backbeat worker, whoever ran the task."""
    options = with_stamps({"queue": CONTROL_QUEUE}, message.stamps)
    options["task_id"] = derive(message.id, task)
    if trace := trace_of(message.headers):
        options["headers"] = dict(trace)
    # as node_to_data writes a call: most messages have two of these
    return {
        "task": task,
        "args": [ref_of(position)],
        "kwargs": {},
        "options": options,
        "subtask_type": None,
        "immutable": False,
    }


def _is_forward(item: Any, task: str) -> bool:
    """One of ours, of which but the position is read."""
    return isinstance(item, Mapping) and item.get("task") == task and not item.get("subtask_type")
