"""Wire: the bytes of a message: Celery's task protocol 2, in and out. The wire format is versioned by it.

`to_wire` and `from_wire` change between messages and (headers, properties, body); `pack` and `unpack` between these and the
envelope text that Redis lists and the SQL queue hold.

What follows a message travels as embedded signatures that a Celery worker forwards: `backbeat.next(ref)` in `chain`, for when the
task succeeds, and `backbeat.failed(ref)` in `errbacks`, for when it does not. They are routed to the queue `backbeat`. Headers say it again, in short, for
when the body cannot be read (see stub.py).

Arguments of types that Celery does not have (see mark.py) are written twice: in front for Celery, in the embed for us.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .continuation import Continuation, Inline, Member, Step, position_of, ref_of
from .errors import MessageError
from .flow import FAILED_TASK, NEXT_TASK
from .ids import derive
from .json_text import Json, json_value
from .mark import is_marked, plain
from .message import CONTROL_QUEUE, MAX_BYTES, Message, check_calls, checked, iso_of_us, us_of_iso
from .node import Call, Node, node_from_data, node_to_data
from .stub import STUB_HEADERS, stub_headers

SIGNATURE = "backbeat_signature"
"""The header that holds a message's signature (see signing.py)."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A message as a broker carries it."""

    headers: dict[str, Any]
    properties: dict[str, Any]
    body: bytes


def to_wire(message: Message) -> Wire:
    """Headers, properties and body of protocol 2."""
    args, kwargs = plain(message.args), plain(message.kwargs)
    headers: dict[str, Any] = {
        **_users_own(message.headers),
        "lang": "py",
        "task": message.task,
        "id": message.id,
        "shadow": message.shadow,
        "eta": None if message.eta_us is None else iso_of_us(message.eta_us),
        "expires": None if message.expires_us is None else iso_of_us(message.expires_us),
        "group": message.group_id,
        "group_index": message.group_index,
        "retries": message.attempt,
        "timelimit": [message.time_limit, message.soft_time_limit],
        "root_id": message.root_id or message.id,
        "parent_id": message.parent_id,
        "argsrepr": repr_of(args),
        "kwargsrepr": repr_of(kwargs),
        "origin": message.origin,
        "ignore_result": message.ignore_result,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    if message.generation:
        headers["backbeat_generation"] = message.generation
    if message.max_retries is not None:
        headers["backbeat_max_retries"] = message.max_retries
    if message.errback is not None:
        headers["backbeat_errback"] = dict(message.errback)
    if message.guards is not None:
        headers["backbeat_guards"] = message.guards
    headers |= stub_headers(message)
    properties = {
        "correlation_id": message.id,
        "reply_to": message.reply_to,
        "delivery_mode": 2,
        "priority": message.priority or 0,
        "content_type": "application/json",
        "content_encoding": "utf-8",
    }
    body = f"[{args},{kwargs},{json.dumps(_embed(message))}]"
    return Wire(headers, properties, body.encode())


def repr_of(text: Json, limit: int = 1024) -> str:
    """For people who read the queue; JSON text rather than Python's repr, as it is at hand."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _embed(message: Message) -> dict[str, Any]:
    callbacks = [node_to_data(link, json.loads) for link in message.link] or None
    errbacks = [node_to_data(link, json.loads) for link in message.link_error]
    chain: list[dict[str, Any]] = []
    match message.then:
        case Inline(steps, below):
            chain = [node_to_data(step, json.loads) for step in steps]
            if below is not None:
                chain.append(_forward(NEXT_TASK, message.id, below))
                errbacks.append(_forward(FAILED_TASK, message.id, below))
        case Step() | Member() as position:
            chain = [_forward(NEXT_TASK, message.id, position)]
            errbacks.append(_forward(FAILED_TASK, message.id, position))
    chain.reverse()
    embed = {"callbacks": callbacks, "errbacks": errbacks or None, "chain": chain or None, "chord": None}
    if is_marked(message.args) or is_marked(message.kwargs):
        embed[_ARGUMENTS] = [json.loads(message.args), json.loads(message.kwargs)]
    return embed


_ARGUMENTS = "backbeat_arguments"
"""Where marked arguments are in the embed."""


def _forward(task: str, id_: str, position: Step | Member) -> dict[str, Any]:
    """A signature that brings the outcome of `id_` to a backbeat worker, whoever ran the task."""
    call = Call(
        task=task,
        id=derive(id_, task),
        args=Json(json.dumps([ref_of(position)])),
        options={"queue": CONTROL_QUEUE, "routing_key": CONTROL_QUEUE},
    )
    return node_to_data(call, json.loads)


def pack(wire: Wire, queue: str) -> str:
    """The envelope text that kombu's virtual transports use (Redis lists), which the SQL queue uses too."""
    properties = dict(wire.properties)
    content_type, encoding = properties.pop("content_type"), properties.pop("content_encoding")
    properties |= {
        "delivery_info": {"exchange": "", "routing_key": queue},
        "body_encoding": "base64",
        "delivery_tag": properties["correlation_id"],
    }
    return json.dumps(
        {
            "body": base64.b64encode(wire.body).decode(),
            "content-encoding": encoding,
            "content-type": content_type,
            "headers": wire.headers,
            "properties": properties,
        }
    )


def unpack(text: str | bytes) -> Wire:
    """The inverse of `pack`. Raises MessageError for whatever is not an envelope."""
    if len(text) > 2 * MAX_BYTES:
        raise MessageError(f"the message has {len(text)} bytes, more than {2 * MAX_BYTES}")
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"not an envelope: {error}") from error
    if not isinstance(envelope, dict):
        raise MessageError(f"not an envelope: {type(envelope).__name__} in place of a map")
    headers, properties = envelope.get("headers"), envelope.get("properties")
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        id_ = _id_in(headers) if isinstance(headers, dict) else None
        raise MessageError("the envelope has no headers or no properties", id_)
    body = envelope.get("body")
    try:
        if properties.get("body_encoding") == "base64":
            body = base64.b64decode(body or b"", validate=True)
        elif isinstance(body, str):
            body = body.encode()
    except (ValueError, TypeError) as error:
        raise MessageError(f"the body is not base64: {error}", _id_in(headers)) from error
    if not isinstance(body, bytes):
        raise MessageError("the envelope has no body", _id_in(headers))
    properties["content_type"] = envelope.get("content-type")
    properties["content_encoding"] = envelope.get("content-encoding")
    return Wire(headers, properties, body)


def from_wire(wire: Wire, queue: str) -> Message:
    """The message of a delivery. Raises MessageError, with the task's id where there is one, for what is not protocol 2 in JSON."""
    headers = wire.headers
    id_ = _id_in(headers)
    if id_ is None:
        raise MessageError("the message has no id")
    try:
        return _decode(wire, headers, id_, queue)
    except MessageError as error:
        raise MessageError(str(error), id_, headers) from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        text = f"the message is not a task message: {type(error).__name__}: {error}"
        raise MessageError(text, id_, headers) from error


def _decode(wire: Wire, headers: Mapping[str, Any], id_: str, queue: str) -> Message:
    args, kwargs, embed = _body(wire)
    then, errbacks = _then_of(embed)
    hard, soft = headers.get("timelimit") or (None, None)
    message = Message(
        id=id_,
        task=_text(headers, "task"),
        args=json_value(args),
        kwargs=json_value(kwargs),
        root_id=headers.get("root_id") or id_,
        parent_id=headers.get("parent_id"),
        then=then,
        link=_nodes(embed.get("callbacks")),
        link_error=errbacks,
        attempt=int(headers.get("retries") or 0),
        generation=int(headers.get("backbeat_generation") or 0),
        group_id=headers.get("group"),
        group_index=headers.get("group_index"),
        eta_us=us_of_iso(headers.get("eta")),
        expires_us=us_of_iso(headers.get("expires")),
        queue=queue,
        priority=wire.properties.get("priority"),
        ignore_result=bool(headers.get("ignore_result")),
        time_limit=hard,
        soft_time_limit=soft,
        max_retries=headers.get("backbeat_max_retries"),
        shadow=headers.get("shadow"),
        reply_to=wire.properties.get("reply_to") or "",
        origin=str(headers.get("origin") or ""),
        headers=_users_own(headers),
        errback=headers.get("backbeat_errback"),
        guards=headers.get("backbeat_guards"),
    )
    return checked(message)


def _users_own(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in headers.items() if name not in OWN_HEADERS}


OWN_HEADERS = frozenset(
    [
        "lang",
        "task",
        "id",
        "shadow",
        "eta",
        "expires",
        "group",
        "group_index",
        "retries",
        "timelimit",
        "root_id",
        "parent_id",
        "argsrepr",
        "kwargsrepr",
        "origin",
        "ignore_result",
        "replaced_task_nesting",
        "stamped_headers",
        "stamps",
        "backbeat_generation",
        "backbeat_max_retries",
        "backbeat_errback",
        "backbeat_guards",
        *STUB_HEADERS,
        SIGNATURE,
        "compression",
    ]
)
"""Names that a message's own headers have; a user's header of such a name would be taken for what it is not."""


_ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def _body(wire: Wire) -> tuple[Any, Any, Mapping[str, Any]]:
    if len(wire.body) > MAX_BYTES:
        raise MessageError(f"the body has {len(wire.body)} bytes, more than {MAX_BYTES}")
    if wire.properties.get("content_type") != "application/json":
        raise MessageError(
            f"content type {wire.properties.get('content_type')!r} is not accepted; accepted is application/json"
        )
    if compression := wire.headers.get("compression"):
        raise MessageError(
            f"the body is compressed ({compression!r:.100}), which is not accepted: send it as it is"
        )
    encoding = str(wire.properties.get("content_encoding") or "utf-8")
    if encoding.lower() not in _ENCODINGS:
        raise MessageError(f"content encoding {encoding!r:.100} is not accepted; accepted is utf-8")
    body = json.loads(wire.body)
    if not isinstance(body, list) or len(body) != 3:  # noqa: PLR2004 - args, kwargs, embed
        raise MessageError("the body is not [args, kwargs, embed]")
    args, kwargs, embed = body
    if isinstance(embed, dict) and _ARGUMENTS in embed:
        args, kwargs = embed[_ARGUMENTS]
    if not isinstance(args, list) or not isinstance(kwargs, dict) or not isinstance(embed or {}, dict):
        raise MessageError("the body is not [list, map, map]")
    return args, kwargs, embed or {}


def _then_of(embed: Mapping[str, Any]) -> tuple[Continuation | None, tuple[Node, ...]]:
    """The continuation and the error callbacks of the user's own."""
    if embed.get("chord"):
        raise MessageError(
            "a chord of a Celery client needs a Celery worker; send the chord with backbeat's canvas"
        )
    steps = list(_nodes(list(reversed(embed.get("chain") or []))))
    below: Step | Member | None = None
    if steps and isinstance(steps[-1], Call) and steps[-1].task == NEXT_TASK:
        below = _position(steps.pop())
    errbacks = tuple(
        n for n in _nodes(embed.get("errbacks")) if not (isinstance(n, Call) and n.task == FAILED_TASK)
    )
    return (Inline(tuple(steps), below) if steps else below), errbacks


def _position(node: Node) -> Step | Member:
    assert isinstance(node, Call)
    (ref,) = json.loads(node.args)
    return position_of(ref)


def _nodes(items: Any) -> tuple[Node, ...]:
    if not items:
        return ()
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise MessageError("embedded signatures are not a list")
    nodes = tuple(node_from_data(item, json_value) for item in items)
    for node in nodes:
        check_calls(node)
    return nodes


def _id_in(headers: Mapping[str, Any]) -> str | None:
    id_ = headers.get("id")
    good = isinstance(id_, str) and 0 < len(id_) <= 255 and id_.isprintable()  # noqa: PLR2004 - a column's width
    return id_ if good else None


def _text(headers: Mapping[str, Any], name: str) -> str:
    value = headers.get(name)
    if not isinstance(value, str) or not value:
        raise MessageError(f"header {name!r} is not a string")
    return value
