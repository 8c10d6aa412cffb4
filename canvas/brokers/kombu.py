"""KombuBroker: RabbitMQ, or any transport that kombu knows, as a Broker. It carries messages in Celery's protocol 2 and nothing else.

Publishing and consuming have a connection each, made when first needed: RabbitMQ stops reading from a connection that publishes
while it is short of memory, and acknowledgements must not wait for that. A connection that fails is dropped and the error told as
Unavailable; the next call connects, declares and subscribes again.

No message gets an AMQP expiration: RabbitMQ would delete it unseen (decisions K12).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from amqp.exceptions import ChannelError, PreconditionFailed  # type: ignore[import-untyped]  # py-amqp has no types

from ..delivery import Delivery
from ..errors import Unavailable
from ..kombu_connection import KombuConnection
from ..queue_table import NO_QUEUES, QueueTable
from ..readable import readable
from ..signing import NO_KEYS, Keyring
from ..template import Sendable
from ..tls import certificate_fault
from .amqp import AmqpLine
from .announcement import announce
from .base import Posted
from .inlet import Inlet
from .line import Line
from .virtual import VirtualLine

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 4.0
HEARTBEAT_SECONDS = 60.0
PREFETCH = 64
"""As many as two processes take ahead: with fewer the worker goes round twice as often for the same messages."""
LOOK_SECONDS = (0.002, 0.05)
"""Shortest and longest time between two looks, for transports that cannot be waited for."""


class KombuBroker:
    """A Broker over kombu.

    `queues` are consumed from; `prefetch` messages of each are sent ahead and may be unacknowledged; what changes holds after a `pause`. With
    `create_queues` those that are published to or consumed from are declared first as `table` has them; others durable, with a direct
    exchange of the same name, as Celery does.
    `open_line` makes a line over a kombu connection, where it is to be none of the two that are known; `announce` keeps announcements where AMQP's way is none.
    """

    def __init__(
        self,
        url: str,
        *,
        queues: Sequence[str] = (),
        prefetch: int | Callable[[], int] = PREFETCH,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
        create_queues: bool = True,
        transport_options: Mapping[str, Any] | None = None,
        open_line: Callable[..., Line] | None = None,
        keyring: Keyring = NO_KEYS,
        announce: Callable[[Any, str, str, float], str] = announce,
        table: QueueTable = NO_QUEUES,
    ) -> None:
        self._announce = announce
        self._create_queues = create_queues
        self._publishing: Line | None = None
        self._inlet = Inlet(self._connect, queues, prefetch if callable(prefetch) else lambda: prefetch)
        self._broker = KombuConnection(
            url, transport_options, connect_timeout=connect_seconds, heartbeat=heartbeat_seconds
        )
        self._connection, self._shown = self._broker.kombu, self._broker.shown
        is_amqp = self._connection.transport.driver_name == "py-amqp"
        self._open = open_line or partial(AmqpLine if is_amqp else VirtualLine, keyring=keyring, table=table)

    keeps_timers = False

    def post(self, items: Sequence[Sendable], *, once: bool = False, at_once: bool = False) -> Posted:  # noqa: ARG002 - all are
        with self._seam(self._drop_publishing):
            line = self._publisher()
            if not items:
                line.tick()
                if line.blocked:
                    raise Unavailable(
                        f"the broker {self._shown} takes nothing: it is short of memory or disk"
                    )
                return Posted(())
            try:
                posted = line.post(items)
            except ChannelError as error:
                known = line.known()
                self._drop_publishing()
                if once:
                    logger.error("the broker refuses a message: %s", error, extra={"action": "refused"})  # noqa: TRY400 - it says all
                    return known
                return self._post_rest(items, known, error)
            if line.in_doubt:
                self._drop_publishing()
            return posted

    def take(self, limit: int) -> list[Delivery]:
        with self._seam(self._inlet.drop):
            taken = self._inlet.take(limit)
            if self._inlet.is_empty:
                self._keep_publishing()
            return taken

    def serve(self, queues: Sequence[str]) -> None:
        with self._seam(self._inlet.drop):
            self._inlet.serve(queues)

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        with self._seam(self._drop_publishing):
            return self._publisher().counts(queues)

    def pause(self) -> None:
        with self._seam(self._inlet.drop):
            self._inlet.pause()
            self._keep_publishing()

    def park(self, deliveries: Sequence[Delivery]) -> None:
        with self._seam(self._inlet.drop):
            self._inlet.park(deliveries)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        with self._seam(self._inlet.drop):
            self._inlet.ack(deliveries)

    def release(self, deliveries: Sequence[Delivery]) -> None:
        with self._seam(self._inlet.drop):
            self._inlet.release(deliveries)

    def renew(self, deliveries: Sequence[Delivery]) -> None:  # noqa: ARG002 - what is held is held by the connection
        """A message is held as long as its connection lives; heartbeats keep that, also while nobody takes or waits."""
        with self._seam(self._inlet.drop):
            self._inlet.keep()
            self._keep_publishing()

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        deadline, look = time.monotonic() + timeout, LOOK_SECONDS[0]
        with self._seam(self._inlet.drop):
            while self._inlet.is_empty:
                line = self._inlet.read()
                self._keep_publishing()
                left = deadline - time.monotonic()
                if not self._inlet.is_empty or left <= 0:
                    return
                fd = line.fileno()
                pause, look = (
                    (line.tick_seconds, look) if fd is not None else (look, min(look * 1.2, LOOK_SECONDS[1]))
                )
                ready = readable([*wakers] if fd is None else [fd, *wakers], min(left, pause))
                if ready & set(wakers):
                    return

    def announce(self, name: str, value: str, seconds: float) -> str:
        with self._seam(self._drop_publishing):
            return self._announce(self._broker.secure(), name, value, seconds)

    def present(self, broadcast: str, queue: str, seconds: float) -> None:  # noqa: ARG002 - the server knows by itself
        """A queue that is consumed from is bound to the exchange, and the server deletes it when nobody consumes from it for a while."""
        if seconds > 0:
            with self._seam(self._inlet.drop):
                self._inlet.read()

    def audience(self, broadcast: str) -> None:  # noqa: ARG002 - the server knows
        return None

    def close(self) -> None:
        self._drop_publishing()
        self._inlet.drop()
        self._connection.release()

    # --- connections ---------------------------------------------------------------------------------------------------------

    def _publisher(self) -> Line:
        if self._publishing is not None:
            try:
                self._publishing.pump()
            except self._errors:
                # it died while nobody used it; nothing was sent on it yet, so nobody needs to be told
                self._drop_publishing()
        if self._publishing is None:
            self._publishing = self._connect()
        return self._publishing

    def _post_rest(self, items: Sequence[Sendable], known: Posted, error: Exception) -> Posted:
        """The server refused one of them, by its size say, and closed the channel: find out which, and send the others.

        Not those that it had answered by then: it has them, or said why not.
        """
        answered = {*known.confirmed, *known.returned}
        rest = [item for item in items if item.id not in answered]
        if len(items) > 1:
            each = [known, *(self.post([item]) for item in rest)]
            return Posted(
                [id_ for posted in each for id_ in posted.confirmed],
                [id_ for posted in each for id_ in posted.returned],
                {id_: why for posted in each for id_, why in posted.unsendable.items()},
            )
        id_ = items[0].id
        logger.error("the broker refuses message %s: %s", id_, error, extra={"action": "refused", "id": id_})
        # too large, say; rights may still be given, and queues made
        return Posted((), [id_], {id_: str(error)} if isinstance(error, PreconditionFailed) else {})

    def _keep_publishing(self) -> None:
        if self._publishing is not None:
            try:
                self._publishing.pump()
                self._publishing.tick()
            except self._errors:
                self._drop_publishing()

    def _connect(self) -> Line:
        """Over the first of the URL's servers (separated by `;`) that answers."""
        for _ in self._connection.alt[1:]:
            try:
                return self._line()
            except self._errors as error:
                logger.warning("%s: %s; trying the next", self._shown, error, extra={"action": "failover"})
                self._connection.maybe_switch_next()
        return self._line()

    def _line(self) -> Line:
        return self._open(self._broker.secure(), create_queues=self._create_queues)

    def _drop_publishing(self) -> None:
        line, self._publishing = self._publishing, None
        if line is not None:
            with suppress(Exception):  # it may be dead already
                line.close()

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        transport = self._connection.transport
        errors: tuple[type[Exception], ...] = (
            *transport.connection_errors,
            *transport.channel_errors,
            OSError,
        )
        return errors

    @contextmanager
    def _seam(self, drop: Callable[[], None]) -> Iterator[None]:
        """Errors of kombu and its drivers end here; the connection that they struck is dropped."""
        # py-amqp trips over its own None where a connection was lost while it used it
        errors: tuple[type[Exception], ...] = (AttributeError, *self._errors)
        try:
            yield
        except errors as error:
            lines = [line for line in (self._publishing, self._inlet.line) if line is not None]
            if isinstance(error, AttributeError) and all(line.alive for line in lines):
                raise
            drop()
            reason = certificate_fault(error) or str(error) or type(error).__name__
            raise Unavailable(f"the broker {self._shown} cannot be reached: {reason}") from error
