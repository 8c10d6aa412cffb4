"""SqsLine: one connection to Amazon SQS, for a KombuBroker. kombu gives credentials, addresses and the layout of messages; asking, holding
and acknowledging are done here, as kombu's own way blocks for as long as a queue is empty.

    poller, a thread for each queue   ->   inbox, and a byte in a pipe   ->   pump, in the worker's thread   ->   Inlet

A message that was received is invisible to others for the visibility timeout. For all that is held that is prolonged by `tick`, at the
latest when a third of it is over: a worker that lives and turns keeps what it has, and what a killed one had comes back after that time. SQS
ends this twelve hours after a message was received. Released is visible at once.
"""

from __future__ import annotations

import base64
import logging
import os
import time
from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

from kombu.connection import Connection

from ..envelope import unpack
from ..errors import MessageError
from ..signing import NO_KEYS, Keyring
from ..template import Sendable
from .base import Posted
from .foreign import wire_of
from .line import Receive
from .sqs_poller import ERRORS, SqsPoller
from .sqs_queue import SqsQueue, SqsQueues, pause_of, told, visibility_of, wait_of
from .sqs_sending import send

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 4.0
ANSWER_SECONDS = 10.0
"""How long a request may take, beyond what SQS was asked to wait."""
MOST_CONNECTIONS = 50
WAITING = "ApproximateNumberOfMessages"
RENEW_PART = 3
"""What is held is prolonged when this part of the visibility timeout is over."""


@dataclass(slots=True)
class _Held:
    queue: SqsQueue
    poller: SqsPoller | None
    """Whose count it is in; None if in none."""
    renew_at: float


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A message as foreign.py reads them."""

    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    body: bytes


class SqsLine:
    """Raises ConnectionError for what SQS refuses, botocore's errors and OSError."""

    alive = True
    blocked = False
    in_doubt = False

    def __init__(self, connection: Connection, *, create_queues: bool, keyring: Keyring = NO_KEYS) -> None:
        options = dict(connection.transport_options or {})
        self._visibility = visibility_of(options)
        self._wait, self._pause = wait_of(options), pause_of(options)
        self.tick_seconds = min(1.0, self._visibility / (2 * RENEW_PART))
        self._keyring = keyring
        # a connection of its own: kombu's transport keeps what it knows of queues for ever, also of those that are gone
        own: Any = connection.clone(
            transport_options={**options, "client-config": self._client_config(options)}
        )  # type: ignore[no-untyped-call]  # kombu has no types
        self._connection = own
        with told():
            self._queues = SqsQueues(own.transport.create_channel(own.transport), create=create_queues)
        self._pollers: dict[str, SqsPoller] = {}
        self._held: dict[str, _Held] = {}
        self._inbox: deque[tuple[SqsPoller, dict[str, Any], float]] = deque()
        self._fault: Exception | None = None
        self._receive: Receive | None = None
        self._pipe = _Pipe()

    def _client_config(self, options: Mapping[str, Any]) -> dict[str, Any]:
        ours = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": self._wait + ANSWER_SECONDS,
            "retries": {"mode": "standard", "max_attempts": 2},
            "max_pool_connections": MOST_CONNECTIONS,
        }
        return ours | dict(options.get("client-config") or {})

    def fileno(self) -> int | None:
        """A pipe that the pollers write to."""
        return self._pipe.reader

    def tick(self) -> None:
        """Prolong what is due."""
        now = time.monotonic()
        due: dict[SqsQueue, list[str]] = defaultdict(list)
        for tag, held in self._held.items():
            if held.renew_at <= now:
                due[held.queue].append(tag)
        for queue, tags in due.items():
            with told():
                refused = queue.call_for(
                    "change_message_visibility_batch", tags, VisibilityTimeout=self._visibility
                )
            for tag in tags:
                self._held[tag].renew_at = now + self._visibility / RENEW_PART
            for tag, why in refused.items():
                self._held[tag].renew_at = float("inf")
                text = "a message of queue %s can be held no longer, and may run elsewhere as well: %s"
                logger.warning(text, queue.name, why, extra={"action": "not_renewed"})

    def close(self) -> None:
        """What is held is made visible; what a request under way brings is, too, if this process lives that long."""
        for poller in self._pollers.values():
            poller.close()
        with suppress(*ERRORS):
            self._take_in()
            self.release([*self._held])
        self._queues.close()
        self._pipe.close()

    def pump(self) -> None:
        """Dispatch what the pollers have brought."""
        self._pipe.drain()
        for tag, poller, message in self._take_in():
            if self._receive is not None:
                self._receive(poller.queue.name, tag, wire_of(_arrived(message.get("Body", ""))))
        if self._fault is not None:
            with told():
                raise self._fault

    def _take_in(self) -> list[tuple[str, SqsPoller, dict[str, Any]]]:
        found = []
        while self._inbox:
            poller, message, at = self._inbox.popleft()
            tag = str(message["ReceiptHandle"])
            self._held[tag] = _Held(poller.queue, poller, at + self._visibility / RENEW_PART)
            found.append((tag, poller, message))
        return found

    def post(self, items: Sequence[Sendable]) -> Posted:
        """Send all messages, ten in a request."""
        return send(self._queues, items, self._keyring)

    def queue(self, name: str) -> SqsQueue:
        """A queue by its name. Raises ImproperlyConfigured if it cannot be, or may not be made."""
        with told():
            return self._queues[name]

    def counts(self, queues: Sequence[str]) -> dict[str, int]:
        """About how many messages wait in each, as SQS says; one that is not there is missing."""
        found: dict[str, int] = {}
        for name in queues:
            with told():
                queue = self._queues.get(name)
                if queue is not None:
                    answer = queue.call("get_queue_attributes", AttributeNames=[WAITING])
                    found[name] = int(answer["Attributes"][WAITING])
        return found

    def known(self) -> Posted:
        """Of a batch that failed nothing is known."""
        return Posted(())

    # --- consuming -----------------------------------------------------------------------------------------------------------

    def consume(self, queues: Sequence[str], prefetch: int, receive: Receive) -> None:
        """Have `queues` polled. A poller that still waits for an answer to what it asked before goes on with that."""
        self._receive = receive
        for name in queues:
            if name not in self._pollers:
                self._pollers[name] = SqsPoller(
                    self.queue(name),
                    arrive=self._arrive,
                    fail=self._fail,
                    visibility_seconds=self._visibility,
                    wait_seconds=self._wait,
                    pause_seconds=self._pause,
                )
            self._pollers[name].want(prefetch)

    def cancel(self) -> None:
        """Have nothing polled. What has been brought by then is received as all else."""
        for poller in self._pollers.values():
            poller.rest()
        self.pump()

    def check(self, queues: Sequence[str]) -> None:
        """The pollers ask all the time; there is no consumer that SQS could forget."""

    def _arrive(self, poller: SqsPoller, messages: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        self._inbox.extend((poller, message, now) for message in messages)
        self._pipe.wake()

    def _fail(self, error: Exception) -> None:
        self._fault = error
        self._pipe.wake()

    # --- what was taken ------------------------------------------------------------------------------------------------------

    def ack(self, tags: Collection[str]) -> None:
        """Delete. What is no longer there to be deleted is passed over."""
        for queue, some in self._forgotten(tags).items():
            with told():
                refused = queue.call_for("delete_message_batch", some)
            if refused:
                text = "%d messages of queue %s may come again, as they could not be acknowledged: %s"
                logger.warning(
                    text,
                    len(refused),
                    queue.name,
                    next(iter(refused.values())),
                    extra={"action": "not_acked"},
                )

    def release(self, tags: Collection[str]) -> None:
        """Make visible at once. Where that is refused it is visible already, or will be."""
        for queue, some in self._forgotten(tags).items():
            with told():
                queue.call_for("change_message_visibility_batch", some, VisibilityTimeout=0)

    def park(self, tags: Collection[str]) -> None:
        """These shall not count towards what may be unacknowledged; they are prolonged as all else."""
        for held in [self._held[tag] for tag in tags if tag in self._held]:
            if held.poller is not None:
                held.poller.free(1)
                held.poller = None

    def _forgotten(self, tags: Collection[str]) -> dict[SqsQueue, list[str]]:
        found: dict[SqsQueue, list[str]] = defaultdict(list)
        for tag in tags:
            held = self._held.pop(tag, None)
            if held is None:
                continue
            found[held.queue].append(tag)
            if held.poller is not None:
                held.poller.free(1)
        return found


class _Pipe:
    """Wakes who waits for its reader."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)

    def wake(self) -> None:
        """From any thread."""
        with self._lock, suppress(BlockingIOError):  # it is full: somebody is woken already
            if self._writer >= 0:
                os.write(self._writer, b"x")

    def drain(self) -> None:
        """Read all that is in it."""
        with suppress(BlockingIOError):
            while os.read(self.reader, 4_096):
                pass

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            if self._writer >= 0:
                os.close(self.reader)
                os.close(self._writer)
                self.reader = self._writer = -1


def _arrived(text: str) -> _Arrived:
    """The envelope, in base64 or as it is; what is none is a body without headers, for who takes it to say why."""
    plain: str | bytes = text
    if not text.lstrip().startswith("{"):
        with suppress(ValueError):
            plain = base64.b64decode(text, validate=True)
    try:
        wire = unpack(plain)
    except MessageError as error:
        body = plain if isinstance(plain, bytes) else plain.encode(errors="replace")
        return _Arrived(error.headers, {}, body)
    return _Arrived(wire.headers, wire.properties, wire.body)
