"""Alarm: tells somebody outside that nobody leads. Any beat may raise it, and a standby does: whoever should lead cannot.

Nobody leads, as far as this beat can see, when the lease row has not changed for ABSENT_SECONDS: because nobody renews it and this beat must not take it
(its clock is wrong, its files are old), or because the store does not answer, which is as good. It is told once for each time, in a thread of its own:
there may be no store to keep it, so it is kept in memory and tried until somebody leads again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Protocol

from ..canvas.ids import draw
from ..canvas.message import iso_of_us
from ..canvas.webhook.pause import pause_seconds
from ..canvas.webhook.payload import event_payload
from ..canvas.webhook.post import Answer, Delivered, Refused
from .notice import Notice

log = logging.getLogger(__name__)

ABSENT_SECONDS = 20.0
"""A leader renews its lease every few seconds, and another one takes over within ten: what lasts longer does not end by itself. With what it takes to be told
that is within half a minute."""
NO_LEADER = "no_leader"


class Signs(Protocol):
    """When somebody was last seen to lead."""

    @property
    def lease_at(self) -> float | None:
        """When the lease row was last seen to be another than before, on the monotonic clock; None: never."""


class Alarm:
    """Of one beat. `look` is called about once a second, by one thread."""

    def __init__(
        self,
        signs: Signs,
        deliver: Callable[[Notice], Answer],
        *,
        url: str,
        cluster: str,
        who: str,
        absent_seconds: float = ABSENT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._signs = signs
        self._deliver = deliver
        self._url = url
        self._facts = {"cluster": cluster, "beat": who}
        self._absent_seconds = absent_seconds
        self._monotonic = monotonic
        self._began = monotonic()
        self._notice: Notice | None = None
        self._tries = 0
        self._next_at = 0.0
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Raise it, or try again to tell it, if that is due."""
        now = self._monotonic()
        seen_at = max(self._began, self._signs.lease_at or 0.0)
        if now - seen_at < self._absent_seconds:
            self._notice, self._tries, self._next_at = None, 0, 0.0
            return
        if self._notice is None:
            self._notice = self._made(now - seen_at)
            text = "Nobody has led cluster %s for %.0f s"
            log.error(text, self._facts["cluster"], now - seen_at, extra={"action": NO_LEADER})
        if now >= self._next_at and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(
                target=self._tell, args=(self._notice,), name="alarm", daemon=True
            )
            self._thread.start()

    def _made(self, seconds: float) -> Notice:
        id_, at_us = draw(), time.time_ns() // 1000
        facts = {**self._facts, "seconds": round(seconds, 1)}
        body = event_payload(id_, NO_LEADER, iso_of_us(at_us), facts)
        return Notice(id=id_, event=NO_LEADER, entry="", url=self._url, body=body, at_us=at_us)

    def _tell(self, notice: Notice) -> None:
        answer = self._deliver(notice)
        if isinstance(answer, Delivered):
            self._next_at = float("inf")
            return
        self._tries += 1
        log.warning("Not told that nobody leads: %s", answer.reason, extra={"action": "webhook_failed"})
        pause = None if isinstance(answer, Refused) else pause_seconds(self._tries, random.random())  # noqa: S311 - not a secret
        self._next_at = float("inf") if pause is None else self._monotonic() + pause
