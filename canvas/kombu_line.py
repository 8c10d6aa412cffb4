"""KombuLine: a connection to a broker that kombu knows, over which one queue is read and messages are published that nobody need get.

Events and remote control stand on it: who is not there does not get them, and nobody waits for that.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kombu.messaging import Consumer, Producer

from .errors import Unavailable
from .kombu_client import KombuClient

AHEAD = 1_000
"""Messages that a broker sends before one is acknowledged, where that is done."""
PROPERTIES: dict[str, Any] = {
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "delivery_mode": 1,
}


class KombuLine:
    """Not connected before it is used. `queue` (kombu's) is declared and read, if there is one.

    With `acks` the broker keeps what was taken until the next call of `take`: who dies before gets it again.
    """

    def __init__(
        self, url: str, transport_options: Mapping[str, Any] | None, queue: Any = None, *, acks: bool = False
    ) -> None:
        self._client = KombuClient(url, transport_options)
        self._queue = queue
        self._acks = acks
        self._last: Any = None
        self._came: deque[Any] = deque()
        self._channel: Any = None
        self._producer: Any = None

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Around what needs the broker. Raises Unavailable where it cannot be reached; then the next call connects anew."""
        try:
            if self._channel is None:
                self._open()
            yield
        except self._client.errors as error:
            self.close()
            text = (
                f"the broker {self._client.address} cannot be reached: {str(error) or type(error).__name__}"
            )
            raise Unavailable(text) from error

    def take(self, seconds: float) -> list[Any]:
        """Messages that came; waits for the first."""
        self._acknowledge()
        deadline = time.monotonic() + seconds
        while not self._came and (left := deadline - time.monotonic()) > 0:
            try:
                self._client.drain(left)
            except TimeoutError:
                break
        came = [*self._came]
        self._came.clear()
        self._last = came[-1] if came else None
        return came

    def _acknowledge(self) -> None:
        if self._acks and self._last is not None:
            self._last.ack(multiple=True)
        self._last = None

    def publish(self, text: bytes, exchange: Any, key: str, headers: Mapping[str, Any]) -> None:
        """Send it to whoever listens; JSON text."""
        self._producer.publish(
            text, exchange=exchange, routing_key=key, headers=dict(headers), declare=[exchange], **PROPERTIES
        )

    def close(self) -> None:
        self._channel = self._producer = self._last = None
        self._came.clear()
        self._client.close()

    def _open(self) -> None:
        channel = self._client.open()
        if self._queue is not None:
            consumer: Any = Consumer(
                channel, [self._queue], no_ack=not self._acks, on_message=self._came.append
            )  # type: ignore[no-untyped-call]  # kombu has no types
            if self._acks:
                consumer.qos(prefetch_count=AHEAD)
            consumer.consume()
        self._producer = Producer(channel, auto_declare=False)  # type: ignore[no-untyped-call]  # the same
        self._channel = channel
