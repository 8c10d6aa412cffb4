"""Publisher: what a line writes to RabbitMQ, many messages in one call of the socket, and what the server confirms of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from struct import error as struct_error
from typing import Any

from amqp import spec  # type: ignore[import-untyped]  # py-amqp has no types
from amqp.exceptions import FrameSyntaxError  # type: ignore[import-untyped]  # the same

from ..errors import EncodeError
from ..message import Message, sent_at
from ..signing import Keyring
from ..template import Rendered, Sendable
from .base import Posted
from .confirms import Confirms
from .frames import PUBLISH_FORMAT, FrameWriter, content_of

logger = logging.getLogger(__name__)

WRITE_AT_ONCE, WRITE_BYTES = 64, 1 << 18
"""Messages that go to the socket in one call, and when so many bytes are enough."""
OnReturn = Callable[[Exception, str, str, Any], None]
"""Hears of a message that came back: why, its exchange, its routing key, and py-amqp's message."""


class Publisher:
    """On `channel` of py-amqp's; `write` gives bytes to the socket."""

    def __init__(
        self,
        channel: Any,
        frame_max: int,
        keyring: Keyring,
        write: Callable[[bytes], None],
        on_return: OnReturn,
    ) -> None:
        self._channel = channel
        self._frames = FrameWriter(channel.channel_id, frame_max)
        self._keyring = keyring
        self._write = write
        self._on_return = on_return
        self._confirms = Confirms()
        self._is_confirming = False
        self._written: list[bytes] = []
        self._written_bytes = 0
        """What is not with the socket yet."""

    @property
    def is_waiting(self) -> bool:
        """Whether something of the last batch is not confirmed."""
        return self._confirms.waiting

    def begin(self) -> None:
        """A batch begins; the first time the server is asked to confirm."""
        if not self._is_confirming:
            self._channel.confirm_select()
            self._channel.events["basic_ack"].add(self._confirms.ack)
            self._channel.events["basic_nack"].add(self._confirms.nack)
            self._channel.events["basic_return"].add(self._on_return)
            self._is_confirming = True
        self._confirms.begin()
        self._written, self._written_bytes = [], 0

    def send(self, item: Sendable) -> None:
        """Write a message of the batch, perhaps with those that follow; `flush` writes what is left."""
        try:
            if isinstance(item, Rendered) and (frames := self._frames.of(item)) is not None:
                self._write_later(frames)
            else:
                self._send_message(item.message() if isinstance(item, Rendered) else item)
        except (EncodeError, FrameSyntaxError, struct_error, ValueError, TypeError) as error:
            # nothing of it was written yet; it is told by the message's own worker, or by whoever sends it
            text, extra = "message %s cannot be written as AMQP: %s", {"action": "unsendable", "id": item.id}
            logger.error(text, item.id, error, extra=extra)  # noqa: TRY400 - py-amqp's own frames say nothing to anybody
            self.refuse(item.id, f"it cannot be written as AMQP: {error}")
            return
        self._confirms.sent(item.id)

    def flush(self) -> None:
        """Give the socket what it has not got yet."""
        written, self._written, self._written_bytes = self._written, [], 0
        if written:
            self._write(b"".join(written))

    def refuse(self, id_: str, for_good: str = "") -> None:
        """The broker has nothing of this message; `for_good` says why it never will, if so."""
        self._confirms.refuse(id_, for_good)

    def posted(self) -> Posted:
        """What is known of the last batch."""
        return self._confirms.posted()

    def _send_message(self, message: Message) -> None:
        wire = self._keyring.wire(sent_at(message, time.time_ns() // 1000))
        if (frames := self._frames.of_wire(wire, message.exchange, message.queue)) is not None:
            self._write_later(frames)
            return
        # not basic_publish, which looks for news after each message
        arguments = (0, message.exchange, message.queue, True, False)
        content = content_of(wire)
        self._frames.fit(content)
        self.flush()
        self._channel.send_method(spec.Basic.Publish, PUBLISH_FORMAT, arguments, content)

    def _write_later(self, frames: bytes) -> None:
        """Together with others; one after the other they must stand in the order of their publish numbers."""
        self._written.append(frames)
        self._written_bytes += len(frames)
        if self._written_bytes >= WRITE_BYTES or len(self._written) >= WRITE_AT_ONCE:
            self.flush()
