"""EventReceiver: hears events and hands each to whoever wants its type, as `app.events.Receiver` of Celery does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Self

from ..errors import Unavailable
from ..patience import Patience
from .base import Event, EventSource

Handler = Callable[[Event], object]
TURN_SECONDS = 1.0


class EventReceiver:
    """`handlers` by type; "*" gets those that have none of their own.

        app.events.Receiver(handlers={"task-failed": note, "*": state.event}).capture(limit=None, timeout=None)

    It begins to listen with the first `take`. Not thread-safe.
    """

    def __init__(self, source: EventSource, handlers: Mapping[str, Handler] | None = None) -> None:
        self._source = source
        self.handlers = dict(handlers or {})
        self.should_stop = False
        """Set it, from a handler say, to have `capture` return."""

    def capture(self, limit: int | None = None, timeout: float | None = None, wakeup: bool = True) -> None:  # noqa: ARG002 - Celery's argument: workers tell of themselves every two seconds anyhow
        """Hand on events, up to `limit` of them, until none came for `timeout` seconds. A broker that is away is waited for."""
        for _ in self.itercapture(limit, timeout):
            pass

    def itercapture(self, limit: int | None = None, timeout: float | None = None) -> Iterator[Event]:
        """The same, and each event as it comes. Raises TimeoutError when none came for `timeout` seconds."""
        patience, heard, last = Patience(), 0, time.monotonic()
        while not self.should_stop and (limit is None or heard < limit):
            events: Sequence[Event] = ()
            try:
                events = self._source.take(TURN_SECONDS if timeout is None else min(TURN_SECONDS, timeout))
                patience.reset()
            except Unavailable:
                time.sleep(patience.next()[0])
            for event in events:
                heard += 1
                self.process(event["type"], event)
                yield event
                if self.should_stop or heard == limit:
                    return
            last = time.monotonic() if events else last
            if timeout is not None and time.monotonic() - last >= timeout:
                raise TimeoutError(f"no event came for {timeout:g} s")

    def listen(self) -> None:
        """Begin to listen now. Raises Unavailable, where `capture` would wait for the broker."""
        for event in self._source.take(0.0):
            self.process(event["type"], event)

    def process(self, type_: str, event: Event) -> None:
        """Hand on one event."""
        handler = self.handlers.get(type_) or self.handlers.get("*")
        if handler is not None:
            handler(event)

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
