"""Courier: delivers what a store says is to be told, in threads of its own, while its beat leads.

A notice lies in the store until somebody has it: what is in flight when a process dies comes again from the next leader, with the same id, and so may
what two leaders had in the moment of a takeover. The beat's loop never waits for a courier. So that a receiver that hangs does not keep
the others waiting, no more than EACH deliveries to one URL are under way at a time.

    due --> deliver --> delivered | again after a pause that grows (webhook/pause.py) | failed: given up, or refused
"""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ..canvas.webhook.pause import PING_TRIES, TRIES, pause_seconds
from ..canvas.webhook.post import Answer, Delivered, Refused, Undelivered
from .entry import DAY_US, SECOND_US
from .notice import PING, Notice
from .store.base import StoreDown
from .store.deliveries import Deliveries, KeptNotice, NoticeState

log = logging.getLogger(__name__)

THREADS = 8
EACH = 2
AT_ONCE = 50
"""Notices that are read at once."""
PERIOD_SECONDS = 1.0
"""How often the store is asked, if nothing was delivered meanwhile."""
TIDY_SECONDS = 3_600.0
DELIVERED_US, FAILED_US = 7 * DAY_US, 30 * DAY_US
"""So long what was delivered, and what failed, can be listed and sent again."""


class Courier:
    """`deliver` brings one notice; `leads` says whether this process may; `alarm` is looked at each time, leading or not."""

    def __init__(
        self,
        deliveries: Deliveries,
        deliver: Callable[[Notice], Answer],
        *,
        leads: Callable[[], bool],
        now_us: Callable[[], int],
        alarm: Callable[[], object] = lambda: None,
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        self._deliveries = deliveries
        self._deliver = deliver
        self._leads = leads
        self._now_us = now_us
        self._alarm = alarm
        self._period = period_seconds
        self._under_way: dict[str, str] = {}  # URLs by the ids of their notices
        self._changed = threading.Condition()
        self._stopping = False
        self._tidy_us = 0
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook")
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Deliver from now on."""
        self._thread.start()

    def close(self) -> None:
        """Begin nothing more. What is under way has its own time limit, and stays to be delivered if it is not over by then."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def drain(self, seconds: float) -> None:
        """Deliver what is due now, for a beat that ends at once; for at most so long. Not after `start`."""
        until_us = self._now_us() + round(seconds * SECOND_US)
        try:
            while self._now_us() < until_us and (self._turn() or self._under_way):
                with self._changed:
                    self._changed.wait(0.05)
        except StoreDown as cause:
            log.warning("Webhooks wait for the next beat: %s", cause, extra={"action": "webhooks_wait"})

    def _run(self) -> None:
        while not self._stopping:
            began = 0
            try:
                self._alarm()
                began = self._turn() if self._leads() else 0
            except StoreDown as cause:
                log.debug("Webhooks wait for the store: %s", cause)
            except Exception:
                log.exception("The courier failed", extra={"action": "courier_failed"})
            with self._changed:
                if not began and not self._stopping:
                    self._changed.wait(self._period)

    def _turn(self) -> int:
        """Begin what is due and may be begun; how many that were."""
        now_us = self._now_us()
        if now_us >= self._tidy_us:
            self._tidy_us = now_us + round(TIDY_SECONDS * SECOND_US)
            self._deliveries.forget(now_us - DELIVERED_US, now_us - FAILED_US)
        with self._changed:
            urls = Counter(self._under_way.values())
        room = THREADS - urls.total()
        busy = [url for url, count in urls.items() if count >= EACH]
        begun = 0
        for kept in self._deliveries.due(now_us, AT_ONCE, busy) if room > 0 else ():
            notice = kept.notice
            if begun < room and urls[notice.url] < EACH and notice.id not in self._under_way:
                urls[notice.url] += 1
                begun += 1
                with self._changed:
                    self._under_way[notice.id] = notice.url
                self._pool.submit(self._bring, kept)
        return begun

    def _bring(self, kept: KeptNotice) -> None:
        """In a thread of the pool."""
        try:
            self._deliveries.tried(self._after(kept, self._answer(kept.notice)))
        except StoreDown as cause:  # it is still there, and will come again
            log.warning("Not noted of a webhook: %s", cause, extra={"action": "webhook_not_noted"})
        finally:
            with self._changed:
                self._under_way.pop(kept.notice.id, None)
                self._changed.notify_all()

    def _answer(self, notice: Notice) -> Answer:
        try:
            return self._deliver(notice)
        except Exception as fault:
            log.exception("A webhook failed", extra={"action": "webhook_failed", "id": notice.id})
            return Undelivered(type(fault).__name__)

    def _after(self, kept: KeptNotice, answer: Answer) -> KeptNotice:
        """What became of it by this answer."""
        notice, tries = kept.notice, kept.tries + 1
        extra = {"entry": notice.entry, "id": notice.id}
        tried = replace(kept, tries=tries)
        if isinstance(answer, Delivered):
            log.debug(
                "Told %s of %s", notice.event, notice.entry, extra={"action": "webhook_delivered", **extra}
            )
            return replace(tried, state=NoticeState.DELIVERED, error="")
        tried, pause = replace(tried, error=answer.reason), None
        if not isinstance(answer, Refused):
            most = PING_TRIES if notice.event == PING else TRIES
            pause = pause_seconds(tries, random.random(), most)  # noqa: S311 - not a secret
        if pause is None:
            text = "Not delivered: %s of %s (%s), after %d tries: %s"
            words = notice.event, notice.entry, notice.id, tries, answer.reason
            log.error(text, *words, extra={"action": "webhook_failed", **extra})
            return replace(tried, state=NoticeState.FAILED)
        return replace(tried, next_us=self._now_us() + round(pause * SECOND_US))
