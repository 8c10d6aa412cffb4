"""Request: what somebody asks of workers, as it travels (wire.md 4.5); which workers it is for, and until when. PURE."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct, field

from ..errors import MessageError

MATCHERS = ("glob", "pcre")


class ReplyTo(Struct, frozen=True):
    """Where an answer is sent."""

    exchange: str
    routing_key: str


class Request(Struct, frozen=True, kw_only=True):
    """One question or order. `destination`: the nodes that it is for, all if None; or those that match `pattern`.

    `expires` is in seconds of the epoch, 0 for never. With `ticket` and `reply_to` an answer is wanted.
    """

    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    destination: Sequence[str] | None = None
    pattern: str | None = None
    matcher: str | None = None
    ticket: str | None = None
    reply_to: ReplyTo | None = None
    expires: float = 0.0

    def is_for(self, node: str) -> bool:
        """Whether the worker with this name is meant. Raises MessageError for a pattern that cannot be."""
        if self.destination:
            return node in self.destination
        if not self.pattern or not self.matcher:
            return True
        if self.matcher == "glob":
            return fnmatchcase(node, self.pattern)
        try:
            return re.match(self.pattern, node) is not None
        except re.error as error:
            raise MessageError(
                f"the pattern {self.pattern!r:.100} is no regular expression: {error}"
            ) from None

    def is_late(self, now: float) -> bool:
        """Whether nobody waits for it any more."""
        return bool(self.expires) and self.expires < now

    def to_data(self) -> dict[str, Any]:
        """The body of its message."""
        data: dict[str, Any] = {
            "method": self.method,
            "arguments": dict(self.arguments),
            "destination": None if self.destination is None else list(self.destination),
            "pattern": self.pattern,
            "matcher": self.matcher,
        }
        if self.ticket is not None and self.reply_to is not None:
            data["ticket"] = self.ticket
            data["reply_to"] = {
                "exchange": self.reply_to.exchange,
                "routing_key": self.reply_to.routing_key,
            }
        return data


def request_of(data: object, expires: object = 0) -> Request:
    """The inverse of `to_data`; `expires` comes in a header. Raises MessageError for what is no request."""
    if not isinstance(data, dict) or not isinstance(method := data.get("method"), str):
        raise MessageError(f"it is no request: {data!r:.200}")
    arguments, destination = data.get("arguments") or {}, data.get("destination")
    if not isinstance(arguments, dict) or not all(isinstance(name, str) for name in arguments):
        raise MessageError(f"the arguments of {method!r:.100} are no map: {arguments!r:.100}")
    if isinstance(destination, str):
        destination = [destination]
    if destination is not None and not (
        isinstance(destination, list) and all(isinstance(node, str) for node in destination)
    ):
        raise MessageError(f"the destination of {method!r:.100} is no list of names: {destination!r:.100}")
    pattern, matcher, ticket = data.get("pattern"), data.get("matcher"), data.get("ticket")
    for name, value in (("pattern", pattern), ("matcher", matcher), ("ticket", ticket)):
        if value is not None and not isinstance(value, str):
            raise MessageError(f"the {name} of {method!r:.100} is no text: {value!r:.100}")
    if pattern and matcher and matcher not in MATCHERS:
        raise MessageError(
            f"the matcher of {method!r:.100} is {matcher!r:.100}; known are {', '.join(MATCHERS)}"
        )
    return Request(
        method=method,
        arguments=arguments,
        destination=destination,
        pattern=pattern,
        matcher=matcher,
        ticket=ticket,
        reply_to=_reply_to(data.get("reply_to")),
        expires=float(expires) if isinstance(expires, int | float) else 0.0,
    )


def _reply_to(data: object) -> ReplyTo | None:
    match data:
        case None:
            return None
        case {"exchange": str(exchange), "routing_key": str(routing_key)}:
            return ReplyTo(exchange, routing_key)
    raise MessageError(f"there is nowhere to send an answer: {data!r:.100}")
