"""Stub: what the headers alone say of a message whose body cannot be read, enough to end it and all that depends on it. PURE.

The embed in a body says what follows, for Celery; these headers say it a second time, in short: where the message stands, the ids and
names of the steps that it carries itself, and its error callbacks. Of a message of a Celery client they say whether it may be a part of
a chord, by its group. A stub ends as a failure and never goes on: it has no arguments, nor
have its steps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .continuation import Continuation, Counted, Inline, Member, Step, position_of, ref_of
from .json_text import Json, json_value
from .message import Message, check_calls, checked
from .node import Call, Node, calls
from .node_data import node_from_data, node_to_data

_THEN, _STEPS, _ERRBACKS = "backbeat_then", "backbeat_steps", "backbeat_errbacks"
STUB_HEADERS = frozenset([_THEN, _STEPS, _ERRBACKS])
LIMIT = 8_000
"""Characters of each header, at most: all headers must fit into one AMQP frame of 128 kB. What is longer is left out."""


def stub_headers(message: Message) -> dict[str, str]:
    """The headers from which `stub_of` makes a stub of `message`; none where nothing depends on it."""
    found: dict[str, str] = {}
    match message.then:
        case Step() | Member() as position:
            found[_THEN] = ref_of(position)
        case Inline(steps, below):
            found[_STEPS] = json_value([[call.id, call.task] for step in steps for call in calls(step)])
            if below is not None:
                found[_THEN] = ref_of(below)
    if message.link_error:
        found[_ERRBACKS] = json_value([node_to_data(node, json.loads) for node in message.link_error])
    return {name: text for name, text in found.items() if len(text) <= LIMIT}


def stub_of(id_: str, headers: Mapping[str, Any], queue: str) -> Message | None:
    """The stub of a message whose body cannot be read; None if its headers say of nothing that depends on it, or not in good form."""
    if STUB_HEADERS.isdisjoint(headers) and not headers.get("group"):
        return None
    try:
        stub = Message(
            id=id_,
            task=_text(headers["task"]),
            root_id=headers.get("root_id") or id_,
            attempt=int(headers.get("retries") or 0),
            generation=int(headers.get("backbeat_generation") or 0),
            then=_then_of(headers),
            link_error=_errbacks_of(headers),
            group_id=headers.get("group"),
            group_index=headers.get("group_index"),
            queue=queue,
            stub=True,
        )
        return checked(stub)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return None


def _then_of(headers: Mapping[str, Any]) -> Continuation | None:
    below = position_of(headers[_THEN]) if _THEN in headers else None
    steps = [Call(id=_text(step), task=_text(task)) for step, task in json.loads(headers.get(_STEPS, "[]"))]
    for step in steps:
        check_calls(step)
    if not steps and below is None and headers.get("group"):
        # which body it is the others know; of a plain group nobody ever asks
        return Counted(_text(headers["group"]), headers.get("group_index"), Json(""))
    return Inline(tuple(steps), below) if steps else below


def _errbacks_of(headers: Mapping[str, Any]) -> tuple[Node, ...]:
    data = json.loads(headers.get(_ERRBACKS, "[]"))
    errbacks = tuple(node_from_data(each, json_value) for each in data)
    for errback in errbacks:
        check_calls(errback)
    return errbacks


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"not a text: {value!r:.80}")
    return value
