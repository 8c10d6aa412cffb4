"""Events over a broker that kombu knows (Redis, RabbitMQ), on Celery's exchange: both ends."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from kombu.entity import Exchange, Queue
from msgspec import Struct

from ..brokers.foreign import wire_of
from ..config import Config
from ..kombu_line import KombuLine
from .base import Event

logger = logging.getLogger(__name__)

MULTI = "task.multi"
"""The routing key of a message that holds several events of tasks."""
LASTING_SECONDS, LASTING_MESSAGES = 3 * 86_400.0, 500_000
"""How long, and how many, messages wait for a listener that was away; the oldest go first."""
TOGETHER = 100
"""So many events in one message at most."""
_FANOUT = ("redis", "rediss", "gcpubsub")
"""Transports that know no topics for those who come and go."""


class EventLayout(Struct, frozen=True):
    """Of the settings `event_exchange`, `event_queue_prefix`, `event_queue_ttl`, `event_queue_expires`; times are seconds."""

    exchange: str = "celeryev"
    prefix: str = "celeryev"
    ttl: float | None = 5.0
    expires: float | None = 60.0
    is_fanout: bool = False

    def exchange_of(self) -> Any:
        kind = "fanout" if self.is_fanout else "topic"
        return Exchange(self.exchange, type=kind)  # type: ignore[no-untyped-call]  # kombu has no types

    def queue_of(self, listener: str) -> Any:
        """That of one who listens to all."""
        return Queue(  # type: ignore[no-untyped-call]  # the same
            f"{self.prefix}.{listener}",
            exchange=self.exchange_of(),
            routing_key="#",
            auto_delete=True,
            durable=False,
            exclusive=True,
            message_ttl=self.ttl,
            expires=self.expires,
        )

    def lasting_queue_of(self, listener: str) -> Any:
        """That of one who wants what was told of tasks while it was away, too; bounded, if it never comes back."""
        return Queue(  # type: ignore[no-untyped-call]  # the same
            f"{self.prefix}.{listener}",
            exchange=self.exchange_of(),
            routing_key="task.#",
            durable=True,
            message_ttl=LASTING_SECONDS,
            max_length=LASTING_MESSAGES,
        )


def event_layout_of(conf: Config, url: str) -> EventLayout:
    """That of an app whose broker has this URL."""
    ttl, expires = conf.event_queue_ttl, conf.event_queue_expires
    return EventLayout(
        str(conf.event_exchange),
        str(conf.event_queue_prefix),
        None if ttl is None else float(ttl),
        None if expires is None else float(expires),
        url.partition("+")[0].partition(":")[0] in _FANOUT,
    )


class KombuEventSink:
    """An EventSink. Not connected before it is used."""

    def __init__(
        self, url: str, layout: EventLayout, transport_options: Mapping[str, Any] | None = None
    ) -> None:
        self._line = KombuLine(url, transport_options)
        self._exchange = layout.exchange_of()

    def send(self, events: Sequence[Event]) -> None:
        with self._line.reaching():
            for key, body, node in _messages(events):
                text = json.dumps(body, default=str).encode()
                self._line.publish(text, self._exchange, key, {"hostname": node})

    def close(self) -> None:
        self._line.close()


class KombuEventSource:
    """An EventSource. Not connected before it is used. With a name it is `lasting` where the broker keeps queues for who is away."""

    def __init__(
        self,
        url: str,
        layout: EventLayout,
        transport_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        self.lasting = name is not None and not layout.is_fanout
        queue = layout.lasting_queue_of(name) if name and self.lasting else layout.queue_of(str(uuid4()))
        self._line = KombuLine(url, transport_options, queue, acks=self.lasting)

    def take(self, seconds: float) -> Sequence[Event]:
        with self._line.reaching():
            messages = self._line.take(seconds)
        return [event for message in messages for event in _events_of(message)]

    def close(self) -> None:
        self._line.close()


def _messages(events: Sequence[Event]) -> list[tuple[str, Any, str]]:
    """Routing key, body and node of each message: several events of tasks go together, and those of workers alone."""
    found: list[tuple[str, Any, str]] = []
    tasks: list[Event] = []
    for event in events:
        group, _, rest = event["type"].partition("-")
        if group == "task":
            tasks.append(event)
            continue
        found.append((f"{group}.{rest.replace('-', '.')}", event, event["hostname"]))
    for first in range(0, len(tasks), TOGETHER):
        part = tasks[first : first + TOGETHER]
        found.append((MULTI, part, part[0]["hostname"]))
    return found


def _events_of(message: Any) -> list[Event]:
    try:
        data = json.loads(wire_of(message).body)
    except (ValueError, RecursionError) as error:
        extra = {"action": "event_refused"}
        logger.warning("an event cannot be read: %s", error, extra=extra)
        return []
    events = data if isinstance(data, list) else [data]
    return [event for event in events if isinstance(event, dict) and isinstance(event.get("type"), str)]
