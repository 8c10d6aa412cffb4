"""Usual: messages as most are, read in a third of the time: msgspec decodes and checks their fields in one go, by the types that these have.

Whatever is unusual in any way is None here: `unpack` and `from_wire`, which know all forms and say what is wrong with a message, read it then.
What both can read is the same message.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from .continuation import Continuation
from .embed import nodes_of, then_of
from .envelope import Raw, opened
from .errors import MessageError
from .json_text import json_value
from .message import BROADCAST_QUEUE, MAX_BYTES, Message, us_of_iso
from .node import Node
from .wire import Wire, from_wire

_Key = Annotated[str, Meta(max_length=255)]
_Index = Annotated[int, Meta(gt=-(2**31), lt=2**31)]
_Count = Annotated[int, Meta(ge=0, lt=2**31)]


class _Nothing(Struct, forbid_unknown_fields=True):
    """A map without entries."""


class _Headers(Struct, forbid_unknown_fields=True):
    id: Annotated[str, Meta(min_length=1, max_length=255)]
    task: Annotated[str, Meta(min_length=1, max_length=255)]
    root_id: _Key | None = None
    parent_id: _Key | None = None
    group: _Key | None = None
    group_index: _Index | None = None
    eta: str | None = None
    expires: str | None = None
    retries: _Count | None = None
    timelimit: tuple[None, None] | None = None
    origin: str = ""
    ignore_result: bool = False
    replaced_task_nesting: _Count = 0
    shadow: None = None
    stamped_headers: None = None
    stamps: _Nothing | None = None
    traceparent: str | UnsetType = UNSET
    tracestate: str | UnsetType = UNSET
    baggage: str | UnsetType = UNSET
    backbeat_generation: _Count = 0
    # nothing is read of these
    lang: Any = None
    argsrepr: Any = None
    kwargsrepr: Any = None
    backbeat_then: Any = None
    backbeat_steps: Any = None
    backbeat_errbacks: Any = None


class _Properties(Struct):
    priority: _Index | None = None
    reply_to: str | None = None


class _Encoded(_Properties, kw_only=True):
    body_encoding: Literal["base64"]


class _Parts(_Properties, kw_only=True):
    content_type: Literal["application/json"]
    content_encoding: Literal["utf-8"]


class _Envelope(Struct):
    headers: _Headers
    properties: _Encoded
    content_type: Literal["application/json"] = field(name="content-type")
    content_encoding: Literal["utf-8"] = field(name="content-encoding")
    body: bytes


class _Embed(Struct, forbid_unknown_fields=True):
    callbacks: list[Any] | None = None
    errbacks: list[Any] | None = None
    chain: list[Any] | None = None
    chord: Any = None


_envelope = msgspec.json.Decoder(_Envelope)
_body = msgspec.json.Decoder(tuple[list[Any], dict[str, Any], _Embed])


def message_in(raw: Raw, queue: str) -> Message:
    """The message that came from `queue`, usual or not. Raises MessageError for what is none."""
    usual = usual_message(raw, queue) if isinstance(raw, str) else usual_of_wire(Wire(*raw), queue)
    return usual or from_wire(opened(raw), queue)


def usual_message(text: str, queue: str) -> Message | None:
    """The message of an envelope that came from `queue`; None if it is not as most are."""
    if len(text) > MAX_BYTES:
        return None
    try:
        envelope = _envelope.decode(text)
    except (ValueError, RecursionError):
        return None
    return _usual(envelope.headers, envelope.properties, envelope.body, queue)


def usual_of_wire(wire: Wire, queue: str) -> Message | None:
    """The same of one that came in parts."""
    if len(wire.body) > MAX_BYTES:
        return None
    try:
        headers = msgspec.convert(wire.headers, _Headers)
        properties = msgspec.convert(wire.properties, _Parts)
    except (ValueError, RecursionError):
        return None
    return _usual(headers, properties, wire.body, queue)


def _usual(headers: _Headers, properties: _Properties, text: bytes, queue: str) -> Message | None:
    if queue.startswith(BROADCAST_QUEUE) or not _is_key(queue):
        return None
    try:
        args, kwargs, embed = _body.decode(text)
        return _message(headers, properties, args, kwargs, embed, queue)
    except (MessageError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _is_key(queue: str) -> bool:
    return len(queue) <= 255 and queue.isprintable()  # noqa: PLR2004 - a column's width


def _message(
    headers: _Headers,
    properties: _Properties,
    args: list[Any],
    kwargs: dict[str, Any],
    embed: _Embed,
    queue: str,
) -> Message | None:
    keys = (headers.id, headers.task, headers.root_id, headers.parent_id, headers.group)
    if not all(key is None or key.isprintable() for key in keys):
        return None
    then: Continuation | None = None
    link: tuple[Node, ...] = ()
    errbacks: tuple[Node, ...] = ()
    if embed.callbacks or embed.errbacks or embed.chain or embed.chord:
        known = {"chain": embed.chain, "errbacks": embed.errbacks, "chord": embed.chord}
        then, errbacks = then_of(known, headers.group, headers.group_index)
        link = nodes_of(embed.callbacks)
    return Message(
        id=headers.id,
        task=headers.task,
        args=json_value(args),
        kwargs=json_value(kwargs),
        root_id=headers.root_id or headers.id,
        parent_id=headers.parent_id,
        then=then,
        link=link,
        link_error=errbacks,
        attempt=headers.retries or 0,
        replaced_task_nesting=headers.replaced_task_nesting,
        generation=headers.backbeat_generation,
        group_id=headers.group,
        group_index=headers.group_index,
        eta_us=us_of_iso(headers.eta),
        expires_us=us_of_iso(headers.expires),
        queue=queue,
        priority=properties.priority,
        ignore_result=headers.ignore_result,
        reply_to=properties.reply_to or "",
        origin=headers.origin,
        headers=_traced(headers),
    )


def _traced(headers: _Headers) -> dict[str, str]:
    values = {
        "traceparent": headers.traceparent,
        "tracestate": headers.tracestate,
        "baggage": headers.baggage,
    }
    return {name: value for name, value in values.items() if isinstance(value, str)}
