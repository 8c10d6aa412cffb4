"""RpcResults: results that workers send back as messages, to a queue that belongs to this process; a Results.

At most once: a result is lost when this process ends, when its connection to the broker is lost (its queue goes with it), or when it is
asked for by another process. No store is needed, so there are no chords (decisions K17).

One connection is shared by all threads: who waits reads from it for all, one at a time; the others are woken by what it finds, and by
its loss. Nothing is read while nobody asks, so a process that never looks at its results keeps none of them in memory.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from kombu.entity import Queue
from kombu.messaging import Consumer

from ..brokers.foreign import wire_of
from ..errors import Unavailable
from ..ids import draw
from ..kombu_client import KombuClient
from .base import Trace
from .document import Document, from_text
from .groups import NoSavedGroups, SavedGroups
from .inbox import Inbox
from .losses import Losses

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""The longest that one thread reads for all before another one may."""

SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 4_294_967.0
"""How long RabbitMQ is asked to keep a queue that nobody reads: until it is surely subscribed to, and as many milliseconds as 32 bits count."""


class RpcResults:
    """`url` is the broker's. `expires_seconds` is how long the broker keeps the queue when nobody reads from it; 0 is for ever."""

    def __init__(
        self, url: str, *, transport_options: Mapping[str, Any] | None = None, expires_seconds: float = 86_400
    ) -> None:
        self.queue = draw()
        self.groups: SavedGroups = NoSavedGroups()
        self._changed = threading.Condition()
        self._is_read = False
        """Whether some thread has the connection."""
        self._inbox = Inbox()
        self._losses = Losses()
        self._awaited: dict[object, set[str]] = {}
        """What each thread that waits has still to wait for."""
        self._cause: Exception | None = None
        """What the last loss was known by."""
        bounded = max(SHORTEST_SECONDS, min(expires_seconds, LONGEST_SECONDS))
        self._expires = bounded if expires_seconds else None
        self._consumer: Any = None
        self._client = KombuClient(url, transport_options)

    def open(self, *ids: str) -> str:
        """The queue for replies, which is there when this returns: to be called before the tasks `ids` are sent."""
        with self._changed:
            self._changed.wait_for(lambda: self._consumer is not None or not self._is_read)
            if self._consumer is not None:
                self._expect(ids)
                return self.queue
            self._is_read, since = True, self._losses.count
        with self._reading():
            self._subscribe()
        with self._changed:
            self._tell((), since)
            self._expect(ids)
        return self.queue

    def get(self, ids: Sequence[str]) -> list[Document]:
        since = self._losses.count
        self._look()
        with self._changed:
            pending = [id_ for id_ in ids if not self._inbox.has_ended(id_)]
            if pending:
                self._tell(pending, since)
            return [self._inbox.get(id_) for id_ in ids]

    def wait(self, ids: Sequence[str], timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        since, told = self._losses.count, -1
        with self._awaiting(ids) as pending:
            self._look()
            while True:
                with self._changed:
                    if not pending:
                        return True
                    if self._losses.count != told:
                        self._tell(pending, since)
                        told = self._losses.count
                    left = (
                        LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - time.monotonic())
                    )
                    if left <= 0:
                        return False
                    if self._is_read:
                        self._changed.wait(left)
                        continue
                    self._is_read = True
                with self._reading():
                    self._subscribe()
                    self._drain(left)

    def trace(self, ids: Sequence[str]) -> list[Trace]:
        """Nobody knows what was sent."""
        return [Trace.SENT] * len(ids)

    def forget(self, ids: Sequence[str]) -> None:
        with self._changed:
            for id_ in ids:
                self._inbox.forget(id_)
                self._losses.forget(id_)

    def close(self) -> None:
        with self._changed:
            # told first: who waits would go on reading, one after the other
            self._losses.happen("this process has closed its connection for results")
            self._cause = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_read)
            self._consumer = None
            self._client.close()

    @contextmanager
    def _awaiting(self, ids: Iterable[str]) -> Iterator[set[str]]:
        """Those of `ids` that have not ended; each leaves the set when its reply comes, as nobody can look for all at every reply."""
        wait = object()
        with self._changed:
            pending = self._awaited[wait] = {id_ for id_ in ids if not self._inbox.has_ended(id_)}
        try:
            yield pending
        finally:
            with self._changed:
                del self._awaited[wait]

    # --- for who holds the lock ------------------------------------------------------------------------------------------------

    def _expect(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            self._losses.expect(id_)

    def _tell(self, pending: Collection[str], since: int) -> None:
        """Raise Unavailable if results of `pending` may be lost, or anything was since there had been `since` losses."""
        reason = self._losses.news(pending, since)
        if reason is not None:
            raise Unavailable(reason) from self._cause

    # --- the connection: for the one thread that set `_is_read` ----------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Around what may lose the connection. That is told by `_tell`, to this thread as to all others."""
        try:
            yield
        except self._client.errors as error:
            reason = str(error) or type(error).__name__
            text = f"the broker {self._client.address} cannot be reached, results that were sent meanwhile are lost: {reason}"
            self._drop(text, error.with_traceback(None))
        except Exception as error:
            self._drop(f"results were lost: {error!r}")  # what was half read is of no use
            raise
        finally:
            with self._changed:
                self._is_read = False
                self._changed.notify_all()

    def _look(self) -> None:
        """Take in what has come, unless another thread does so anyway. Without a subscription nothing can have come."""
        with self._changed:
            if self._is_read or self._consumer is None:
                return
            self._is_read = True
        with self._reading():
            self._drain(0)

    def _subscribe(self) -> None:
        if self._consumer is None:
            queue = Queue(self.queue, durable=True, auto_delete=True, expires=self._expires)  # type: ignore[no-untyped-call]  # kombu has no types
            consumer: Any = Consumer(self._client.open(), [queue], no_ack=True, on_message=self._received)  # type: ignore[no-untyped-call]  # the same
            consumer.consume()
            self._consumer = consumer

    def _drain(self, seconds: float) -> None:
        """Take in all that is there; wait up to `seconds` for the first."""
        with suppress(TimeoutError):
            while True:
                self._client.drain(seconds)
                seconds = 0

    def _received(self, message: Any) -> None:
        try:
            document = from_text(wire_of(message).body)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            logger.error("refused a reply that is no result: %s", error, extra={"action": "reply_refused"})  # noqa: TRY400 - a stranger's fault
            return
        with self._changed:
            dropped = self._inbox.put(document, time.time_ns() // 1000)
            if self._inbox.has_ended(document.id):
                self._losses.forget(document.id)
                for pending in self._awaited.values():
                    pending.discard(document.id)
            self._changed.notify_all()
        if dropped is not None:
            extra = {"action": "reply_dropped", "id": dropped.id}
            logger.warning(
                "too many results wait to be read: that of task %s is dropped", dropped.id, extra=extra
            )

    def _drop(self, reason: str, cause: Exception | None = None) -> None:
        with self._changed:  # together, so that who sends next knows whether that is lost
            self._losses.happen(reason)
            self._consumer, self._cause = None, cause
        self._client.close()
