"""Remote control over a broker that kombu knows (Redis, RabbitMQ): both sides of it, as Celery's own tools and workers do it.

Requests and answers are not durable: who is not there does not get them, and nobody waits for that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

from amqp.exceptions import ResourceLocked  # type: ignore[import-untyped]  # py-amqp has no types
from kombu.clocks import LamportClock
from msgspec.structs import replace

from ..brokers.foreign import wire_of
from ..errors import Unavailable
from ..kombu_line import KombuLine
from ..signing import NO_KEYS, Keyring
from .arriving import request_or_none
from .base import Answer, NameTaken
from .belief import headers_of, request_of_text
from .layout import Layout, answers_exchange
from .request import ReplyTo, Request


class KombuMailbox:
    """A Mailbox of the worker `node`. Not connected before it is used."""

    def __init__(
        self,
        url: str,
        node: str,
        layout: Layout,
        *,
        transport_options: Mapping[str, Any] | None = None,
        clock: LamportClock | None = None,
        keyring: Keyring = NO_KEYS,
    ) -> None:
        self._node = node
        self._line = KombuLine(url, transport_options, layout.queue_of(node))
        self._clock = clock or LamportClock()
        self._keyring = keyring

    def take(self, seconds: float) -> list[Request]:
        try:
            with self._line.reaching():
                messages = self._line.take(seconds)
        except Unavailable as error:
            if isinstance(error.__cause__, ResourceLocked):
                text = f"another worker is called {self._node}, and gets what is asked of it: give each a name of its own (-n)"
                raise NameTaken(text) from error
            raise
        found = [request_or_none(partial(self._read, message)) for message in messages]
        return [request for request in found if request is not None]

    def reply(self, request: Request, payload: Any) -> None:
        if request.reply_to is None:
            return
        text = json.dumps(payload, default=str).encode()
        headers = {"ticket": request.ticket, "clock": self._clock.forward()}
        exchange = answers_exchange(request.reply_to.exchange)
        with self._line.reaching():
            self._line.publish(text, exchange, request.reply_to.routing_key, headers)

    def close(self) -> None:
        self._line.close()

    def _read(self, message: Any) -> Request:
        wire = wire_of(message)
        self._clock.adjust(_number(wire.headers.get("clock")))
        return request_of_text(wire.headers, wire.body, self._keyring)


class KombuOffice:
    """An Office. Not connected before it is used."""

    def __init__(
        self,
        url: str,
        layout: Layout,
        *,
        transport_options: Mapping[str, Any] | None = None,
        clock: LamportClock | None = None,
        keyring: Keyring = NO_KEYS,
    ) -> None:
        self._key = str(uuid4())
        self._layout = layout
        self._line = KombuLine(url, transport_options, layout.answers_for(self._key))
        self._clock = clock or LamportClock()
        self._keyring = keyring

    def send(self, request: Request, *, seconds: float) -> Request:
        reply_to = ReplyTo(self._layout.answers.name, self._key) if request.ticket else None
        request = replace(request, reply_to=reply_to, expires=time.time() + seconds if seconds else 0.0)
        body = json.dumps(request.to_data(), default=str).encode()
        headers = headers_of(request, body, self._clock.forward(), self._keyring)
        with self._line.reaching():
            self._line.publish(body, self._layout.requests, "", headers)
        return request

    def answers(self, request: Request, seconds: float) -> Sequence[Answer]:
        with self._line.reaching():
            messages = self._line.take(seconds)
        found: list[Answer] = []
        for message in messages:
            wire = wire_of(message)
            self._clock.adjust(_number(wire.headers.get("clock")))
            if wire.headers.get("ticket") != request.ticket:
                continue  # to one that was asked before
            try:
                data = json.loads(wire.body)
            except ValueError:
                continue
            found += data.items() if isinstance(data, dict) else []
        return found

    def close(self) -> None:
        self._line.close()


def _number(clock: object) -> int:
    return clock if isinstance(clock, int) else 0
