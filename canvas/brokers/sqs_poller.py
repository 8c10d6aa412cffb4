"""SqsPoller: one thread that asks SQS for the messages of one queue, and lets SQS wait until there are some (long polling).

So an idle worker costs a request in ten seconds for each queue and no CPU, and a message is there as soon as it is sent. A request
that waits cannot be taken back: what it brings when nothing is wanted any more is made visible again, for others.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # botocore has no types

from .sqs_queue import AT_ONCE, SqsQueue

logger = logging.getLogger(__name__)

ERRORS = (ClientError, BotoCoreError, OSError)


class SqsPoller:
    """Polls `queue` while it is wanted and fewer than `prefetch` messages are out (0: no limit).

    `arrive` is called in its thread with each batch, `fail` with the error that ended it.
    """

    def __init__(
        self,
        queue: SqsQueue,
        *,
        arrive: Callable[[SqsPoller, list[dict[str, Any]]], None],
        fail: Callable[[Exception], None],
        visibility_seconds: int,
        wait_seconds: int,
        pause_seconds: float,
    ) -> None:
        self.queue = queue
        self._arrive, self._fail = arrive, fail
        self._arguments = {
            "VisibilityTimeout": visibility_seconds,
            "WaitTimeSeconds": wait_seconds,
        }
        self._pause_seconds = pause_seconds
        self._changed = threading.Condition()
        self._prefetch = self._out = 0
        self._is_wanted = self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=f"sqs {queue.name}", daemon=True)

    def want(self, prefetch: int) -> None:
        """Messages are wanted from now on."""
        with self._changed:
            self._prefetch, self._is_wanted = prefetch, True
            self._changed.notify()
        if self._thread.ident is None:
            self._thread.start()

    def rest(self) -> None:
        """None are wanted for now."""
        with self._changed:
            self._is_wanted = False

    def close(self) -> None:
        """None will be wanted any more."""
        with self._changed:
            self._is_wanted, self._is_closed = False, True
            self._changed.notify()

    def free(self, count: int) -> None:
        """So many of those that it brought count no longer."""
        with self._changed:
            self._out -= count
            self._changed.notify()

    # --- in the thread -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while count := self._room():
                messages = self.queue.call(
                    "receive_message", MaxNumberOfMessages=count, **self._arguments
                ).get("Messages", [])
                if messages and not self._bring(messages):
                    self._give_back(messages)
                if not messages and self._pause_seconds:
                    with self._changed:
                        self._changed.wait_for(lambda: self._is_closed, self._pause_seconds)
        except ERRORS as error:
            self._fail(error)

    def _room(self) -> int:
        """Wait until some are wanted: how many; 0 if none will be."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or (self._is_wanted and self._left() > 0))
            return 0 if self._is_closed else self._left()

    def _left(self) -> int:
        return AT_ONCE if not self._prefetch else min(AT_ONCE, self._prefetch - self._out)

    def _bring(self, messages: list[dict[str, Any]]) -> bool:
        with self._changed:
            if not self._is_wanted:
                return False
            self._out += len(messages)
            self._arrive(self, messages)
            return True

    def _give_back(self, messages: list[dict[str, Any]]) -> None:
        handles = [message["ReceiptHandle"] for message in messages]
        self.queue.call_for("change_message_visibility_batch", handles, VisibilityTimeout=0)
