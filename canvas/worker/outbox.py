"""OutboxThread: a worker's relays of its users' outboxes, beside its loop: a user's database that is slow or away must not hold it up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Self

from ..errors import Unavailable
from ..transaction import OutboxRelay

logger = logging.getLogger("backbeat.worker")

LOOK_SECONDS = 1.0
"""How often the outboxes are looked at."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 30.0
"""Pauses while a database or the broker cannot be reached."""


class OutboxThread:
    """Runs inside `with`."""

    def __init__(self, relays: Sequence[OutboxRelay]) -> None:
        self._relays = relays
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=[relay], name="backbeat-outbox", daemon=True)
            for relay in relays
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def _run(self, relay: OutboxRelay) -> None:
        pause = FIRST_RETRY_SECONDS
        wait = 0.0
        while not self._stopping.wait(wait):
            try:
                if count := relay.send_due():
                    logger.info(
                        "sent %d canvases that transactions had left in the outbox",
                        count,
                        extra={"action": "outbox_relayed", "count": count},
                    )
                wait, pause = LOOK_SECONDS, FIRST_RETRY_SECONDS
            except Unavailable as error:
                logger.warning(
                    "outbox: %s; trying again in %.1f s",
                    error,
                    pause,
                    extra={"action": "unavailable", "pause": pause},
                )
                wait, pause = pause, min(pause * 2, LAST_RETRY_SECONDS)
            except Exception:
                # whatever is wrong with one outbox, the worker and the other outboxes go on
                logger.exception("the outbox cannot be relayed", extra={"action": "outbox_failed"})
                wait = LAST_RETRY_SECONDS
