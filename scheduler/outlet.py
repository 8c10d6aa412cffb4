"""Outlet: firings to messages, and these to the broker.

One firing is one message. A task is sent as itself; a canvas travels whole in the arguments of `backbeat.start`, which every
backbeat worker serves (decisions B7). Each message carries the headers `periodic_task_name` and `fire_time`, and starts those too
that it starts. A relative `expires` counts from the fire time (B10).

Before it sends, it announces on the broker which store it sends from. Where another store sends for the same cluster it refuses: two
beats that share no store cannot elect a leader, and would both send everything (B12).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from ..canvas.brokers.base import Broker
from ..canvas.errors import Unavailable
from ..canvas.flow import START_TASK
from ..canvas.json_text import Json
from ..canvas.message import CONTROL_QUEUE, Message, iso_of_us, message_of
from ..canvas.node import Call, Node, node_to_data
from .firing import Firing
from .relay import OutletDown

ANNOUNCED_SECONDS = 60.0
"""How long after its last firing a store still counts as the one that sends."""


class Resolver(Protocol):
    """What an outlet needs of an app."""

    def resolved_from_data(self, signature: Mapping[str, Any]) -> Node:
        """The canvas of a signature in JSON shape, with the defaults of its tasks and of the settings."""
        ...


class BrokerOutlet:
    """The Outlet over a broker."""

    def __init__(
        self,
        broker: Broker,
        app: Resolver,
        *,
        cluster: str,
        store_id: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._app = app
        self._cluster = cluster
        self._store_id = store_id
        self._monotonic = monotonic
        self._announce_at = monotonic()
        self._stay_at: float | None = None  # None until the first announcement stood

    def publish(self, firings: Sequence[Firing]) -> Sequence[Firing]:
        """Send firings; returns those that the broker has confirmed. Raises OutletDown when it cannot be reached."""
        try:
            self._announce()
            confirmed = self._broker.publish([self._message_of(firing) for firing in firings])
        except Unavailable as error:
            raise OutletDown(str(error)) from error
        ids = {message.id for message in confirmed}
        return [firing for firing in firings if firing.task_id in ids]

    def _announce(self) -> None:
        """Say which store sends, from time to time; raises OutletDown where another one does."""
        if self._monotonic() < self._announce_at:
            return
        standing = self._broker.announce(f"beat.{self._cluster}", self._store_id, ANNOUNCED_SECONDS)
        if standing != self._store_id:
            raise OutletDown(
                f"another beat sends for cluster {self._cluster!r} from another store ({standing[:8]}, this one is "
                f"{self._store_id[:8]}), so both would send everything: start them with one --store, or with a --cluster each"
            )
        self._announce_at = self._monotonic() + ANNOUNCED_SECONDS / 4
        self._stay_at = self._announce_at

    def stay(self) -> None:
        """Announce again when it is time, though nothing is to be sent; who has not sent yet has nothing to say.

        A broker that is away is no matter here, but asking it takes its time, so the next try waits, too.
        """
        if self._stay_at is None or self._monotonic() < self._stay_at:
            return
        self._stay_at = self._monotonic() + ANNOUNCED_SECONDS / 4
        with suppress(OutletDown, Unavailable):
            self._announce()

    def close(self) -> None:
        """Let go of the connection."""
        self._broker.close()

    def _message_of(self, firing: Firing) -> Message:
        node = self._app.resolved_from_data(firing.payload)
        headers = {"periodic_task_name": firing.entry, "fire_time": iso_of_us(firing.due_us)}
        if isinstance(node, Call):
            call = replace(node, id=firing.task_id)
            message = message_of(call, args=call.args, then=None, root_id=firing.task_id, parent_id=None)
            return _dated(replace(message, headers={**message.headers, **headers}), firing)
        signature = node_to_data(node, json.loads)
        return Message(
            id=firing.task_id,
            task=START_TASK,
            args=Json(json.dumps([signature])),
            root_id=firing.task_id,
            queue=CONTROL_QUEUE,
            headers=headers,
        )


def _dated(message: Message, firing: Firing) -> Message:
    """A relative expiry counts from the fire time, so that an outage does not keep a stale firing alive."""
    if message.expires_after is None:
        return message
    return replace(
        message, expires_us=firing.due_us + round(message.expires_after * 1_000_000), expires_after=None
    )
