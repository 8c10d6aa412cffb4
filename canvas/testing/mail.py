"""WatchedMailbox: a mailbox that notes what is sent, and that delivers twice what the test wants twice."""

from __future__ import annotations

from collections.abc import Callable

from ..built_in import BUILT_IN
from ..commit.mailbox import Mailbox
from ..commit.taken import decoded
from ..delivery import Delivery
from ..errors import BackbeatError
from ..own_tasks import START_TASK
from ..priority import queue_of_lane
from ..signing import NO_KEYS
from .fault import Faults
from .sent import Sent, sent_of

INNER = BUILT_IN - {START_TASK}
"""What workers send each other to carry on a canvas. The start of a whole one is what a beat sends."""


class WatchedMailbox(Mailbox):
    """A Mailbox. `sent` holds each task that came, once: another attempt of it, or a copy, is no news."""

    def __init__(self, faults: Faults, now_us: Callable[[], int]) -> None:
        super().__init__()
        self.sent: list[Sent] = []
        self.keyring = NO_KEYS
        self._faults = faults
        self._now_us = now_us
        self._known: set[tuple[str, str]] = set()

    def put(self, queue: str, text: str) -> None:
        super().put(queue, text)
        if self._note(queue, text, None):
            super().put(queue, text)

    def put_timer(self, queue: str, text: str, id_: str, due_us: int) -> None:
        super().put_timer(queue, text, id_, due_us)
        if self._note(queue, text, due_us):
            super().put_timer(queue, text, id_, due_us)

    def _note(self, queue: str, text: str, due_us: int | None) -> bool:
        """Whether it is to be delivered twice."""
        queue = queue_of_lane(queue)
        message = decoded(Delivery("", queue, None, text), self.keyring).message
        if message is None or message.task in INNER or message.guards is not None:
            return False
        if (known := (message.id, message.task)) in self._known:
            return False
        self._known.add(known)
        try:
            self.sent.append(sent_of(message, queue, due_us, self._now_us()))
        except BackbeatError:
            return False  # no worker can read it either, and says so
        return self._faults.is_doubled(message.task)
