"""Wire: the bytes of a message: Celery's task protocol 2, in and out, and protocol 1 in (protocol1.py). The wire format is versioned by it.

`to_wire` and `from_wire` change between messages and (headers, properties, body). What the third part of a body says is in embed.py;
headers say it again, in short, for when the body cannot be read (see stub.py). The text that holds all three is in envelope.py.

Arguments of types that Celery does not have (see mark.py) are written twice: in front for Celery, in the embed for us.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from .embed import ARGUMENTS, embed_of, nodes_of, then_of
from .errors import MessageError
from .json_text import Json, json_value, parsed
from .mark import plain
from .message import BROADCAST_QUEUE, MAX_BYTES, Message, checked, copy_of, iso_of_us, us_of_iso
from .protocol1 import is_protocol_1, to_protocol_2
from .stamp import stamps_of_headers
from .stub import STUB_HEADERS, stub_headers

EXCHANGE = "backbeat_exchange"
"""The header of what is published to an exchange: which one, the queue whose message keeps the id, and the routing key."""
SIGNATURE = "backbeat_signature"
"""The header that holds a message's signature (see signing.py)."""


class Wire(Struct, frozen=True):
    """A message as a broker carries it."""

    headers: dict[str, Any]
    properties: dict[str, Any]
    body: bytes


def to_wire(message: Message) -> Wire:
    """Headers, properties and body of protocol 2."""
    args, kwargs = plain(message.args), plain(message.kwargs)
    body = f"[{args},{kwargs},{json_value(embed_of(message))}]"
    return Wire(_headers(message, args, kwargs), properties_of(message), body.encode())


def headers_of(message: Message) -> dict[str, Any]:
    """The headers of a message."""
    return _headers(message, plain(message.args), plain(message.kwargs))


def properties_of(message: Message) -> dict[str, Any]:
    """The properties of a message."""
    return {
        "correlation_id": message.id,
        "reply_to": message.reply_to,
        "delivery_mode": 2,
        "priority": message.priority or 0,
        "content_type": "application/json",
        "content_encoding": "utf-8",
    }


def _headers(message: Message, args: Json, kwargs: Json) -> dict[str, Any]:
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
        "replaced_task_nesting": message.replaced_task_nesting,
        "stamped_headers": list(message.stamps) or None,
        "stamps": dict(message.stamps),
    }
    if message.first_attempt:
        headers["backbeat_first_attempt"] = message.first_attempt
    if message.generation:
        headers["backbeat_generation"] = message.generation
    if message.max_retries is not None:
        headers["backbeat_max_retries"] = message.max_retries
    if message.errback is not None:
        headers["backbeat_errback"] = dict(message.errback)
    if message.guards is not None:
        headers["backbeat_guards"] = message.guards
    if message.paced_us is not None:
        headers["backbeat_paced"] = message.paced_us
    if message.exchange:
        headers[EXCHANGE] = [message.exchange, message.first_queue, message.queue]
    if message.copy_of is not None:
        headers["backbeat_copy_of"] = message.copy_of
    return headers | stub_headers(message)


def sent_to(headers: Mapping[str, Any], queue: str) -> str:
    """The routing key that a message was published with which came from `queue`: its name, but for what an exchange led there."""
    match headers.get(EXCHANGE):
        case [_, _, str(routing_key)]:
            return routing_key
    return queue


def repr_of(text: Json, limit: int = 1024) -> str:
    """For people who read the queue; JSON text rather than Python's repr, as it is at hand."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def from_wire(wire: Wire, queue: str, *, is_moved: bool = False) -> Message:
    """The message of a delivery. Raises MessageError, with the task's id where there is one, for what is not protocol 2, or 1, in JSON.

    `is_moved`: `queue` is where it is still to be sent, and not where it came from.
    """
    if is_protocol_1(wire.headers):
        wire = _of_protocol_2(wire)
    headers = wire.headers
    id_ = id_in(headers)
    if id_ is None:
        raise MessageError("the message has no id")
    try:
        return _decode(wire, headers, id_, queue, is_moved)
    except MessageError as error:
        raise MessageError(str(error), id_, headers) from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        text = f"the message is not a task message: {type(error).__name__}: {error}"
        raise MessageError(text, id_, headers) from error


def _of_protocol_2(wire: Wire) -> Wire:
    try:
        headers, body = to_protocol_2(wire.headers, _content(wire))
    except (TypeError, ValueError, RecursionError) as error:
        raise MessageError(f"the message is not a task message: {type(error).__name__}: {error}") from error
    return Wire(headers, wire.properties, body)


def _decode(wire: Wire, headers: Mapping[str, Any], id_: str, queue: str, is_moved: bool) -> Message:
    args, kwargs, embed = _body(wire)
    then, errbacks = then_of(embed, headers.get("group"), headers.get("group_index"))
    hard, soft = headers.get("timelimit") or (None, None)
    message = Message(
        id=id_,
        task=_text(headers, "task"),
        args=json_value(args),
        kwargs=json_value(kwargs),
        root_id=headers.get("root_id") or id_,
        parent_id=headers.get("parent_id"),
        then=then,
        link=nodes_of(embed.get("callbacks")),
        link_error=errbacks,
        attempt=int(headers.get("retries") or 0),
        first_attempt=int(headers.get("backbeat_first_attempt") or 0),
        replaced_task_nesting=int(headers.get("replaced_task_nesting") or 0),
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
        stamps=stamps_of_headers(headers),
        errback=headers.get("backbeat_errback"),
        guards=headers.get("backbeat_guards"),
        paced_us=headers.get("backbeat_paced"),
        copy_of=headers.get("backbeat_copy_of"),
    )
    return _delivered(checked(message), headers.get(EXCHANGE), is_moved)


def _delivered(message: Message, published: Any, is_moved: bool) -> Message:
    """A message that an exchange led to a queue is a copy, but in one of them; on its way there it still knows the exchange."""
    exchange, first, _ = ("", "", "") if published is None else map(str, published)
    if is_moved:
        return replace(message, exchange=exchange, first_queue=first) if exchange else message
    is_own = message.queue.startswith(BROADCAST_QUEUE) and message.copy_of is None
    return copy_of(message, message.queue) if is_own or (first and first != message.queue) else message


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
        "backbeat_first_attempt",
        "backbeat_generation",
        "backbeat_max_retries",
        "backbeat_errback",
        "backbeat_guards",
        "backbeat_paced",
        "backbeat_copy_of",
        EXCHANGE,
        *STUB_HEADERS,
        SIGNATURE,
        "compression",
    ]
)
"""Names that a message's own headers have; a user's header of such a name would be taken for what it is not."""


_ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def _body(wire: Wire) -> tuple[Any, Any, Mapping[str, Any]]:
    body = _content(wire)
    if not isinstance(body, list) or len(body) != 3:  # noqa: PLR2004 - args, kwargs, embed
        raise MessageError("the body is not [args, kwargs, embed]")
    args, kwargs, embed = body
    if isinstance(embed, dict) and ARGUMENTS in embed:
        args, kwargs = embed[ARGUMENTS]
    if not isinstance(args, list) or not isinstance(kwargs, dict) or not isinstance(embed or {}, dict):
        raise MessageError("the body is not [list, map, map]")
    return args, kwargs, embed or {}


def _content(wire: Wire) -> Any:
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
    return parsed(wire.body)


def id_in(headers: Mapping[str, Any]) -> str | None:
    """The id of the task, if there is one that may be one."""
    id_ = headers.get("id")
    good = isinstance(id_, str) and 0 < len(id_) <= 255 and id_.isprintable()  # noqa: PLR2004 - a column's width
    return id_ if good else None


def _text(headers: Mapping[str, Any], name: str) -> str:
    value = headers.get(name)
    if not isinstance(value, str) or not value:
        raise MessageError(f"header {name!r} is not a string")
    return value
