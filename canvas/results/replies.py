"""Replies: a worker's side of rpc: sends result documents to the queues of those who asked for them.

At most once: a reply that cannot be sent is tried once more over a new connection and then given up, as the task itself has ended and
must not be held up. The broker drops what is sent to a queue whose owner is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from kombu.messaging import Producer

from ..kombu_client import KombuClient
from ..readable import readable
from .reply import Reply

logger = logging.getLogger(__name__)


class KombuReplies:
    """Sends over a connection of its own; a Replies."""

    def __init__(self, url: str, *, transport_options: Mapping[str, Any] | None = None) -> None:
        self._client = KombuClient(url, transport_options)
        self._producer: Any = None

    def send(self, replies: Sequence[Reply]) -> None:
        left = list(replies)
        for is_last in (False, True):
            try:
                while left:
                    self._send(left[0])
                    left.pop(0)
            except self._client.errors as error:
                self.close()
                if is_last:
                    _give_up(left, error)
            else:
                return

    def close(self) -> None:
        self._producer = None
        self._client.close()

    def _send(self, reply: Reply) -> None:
        if self._producer is None or self._was_closed():
            self._producer = Producer(self._client.open(), auto_declare=False)  # type: ignore[no-untyped-call]  # kombu has no types
        self._producer.publish(
            reply.text,
            exchange="",
            routing_key=reply.queue,
            correlation_id=reply.task_id,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=1,
        )

    def _was_closed(self) -> bool:
        """True if the server has something to say to a connection that only sends: that it ends, or is gone."""
        fd = self._client.fileno()
        return fd is not None and bool(readable([fd], 0))


def _give_up(replies: Sequence[Reply], error: Exception) -> None:
    for reply in replies:
        logger.error(
            "the result of task %s cannot be sent, and is lost: %s",
            reply.task_id,
            error,
            extra={"action": "reply_lost", "id": reply.task_id},
        )
