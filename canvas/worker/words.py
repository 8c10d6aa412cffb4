"""Words: what tasks that run say of themselves (`update_state`), on its way into the store: of each task the last word only, a few times a second.

It is never more important than what ends: it is dropped when its task has ended, and where it cannot be stored it waits, without being
told to anybody.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from ..commit.base import Commit
from ..errors import Unavailable
from ..pools.base import Report, Told
from ..progress import Progress
from .running import RunningTasks

logger = logging.getLogger("backbeat.worker")

PAUSE_SECONDS = 0.05
"""Between two times that words are stored; what is said meanwhile is stored together, and of each task only the last word."""


class Words:
    """Of the tasks of one worker. Used by its thread."""

    def __init__(
        self, commit: Commit, running: RunningTasks, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._commit = commit
        self._running = running
        self._told: dict[str, Told] = {}
        self._not_before = 0.0

    def sifted(self, reports: Sequence[Report | Told]) -> list[Report]:
        """Keep the words among `reports`; returns the others, of whose tasks no word is wanted any more."""
        ended: list[Report] = []
        for report in reports:
            if isinstance(report, Told):
                self._told[report.key] = report
            else:
                self._told.pop(report.key, None)
                ended.append(report)
        return ended

    @property
    def due(self) -> float:
        """When (monotonic seconds) there is something to store; infinite if there is nothing."""
        return self._not_before if self._told else float("inf")

    def bring(self) -> None:
        """Store what is due. Never raises: nothing depends on it."""
        if self._now() < self.due:
            return
        told, self._told = self._told, {}
        words = [word for key, each in told.items() if (word := self._word(key, each)) is not None]
        try:
            if words:
                self._commit.tell(words)
        except Unavailable as error:
            self._told = told
            logger.debug("%s; what tasks say of themselves waits", error, extra={"action": "unavailable"})
        except Exception:
            logger.exception(
                "what tasks say of themselves cannot be stored", extra={"action": "state_refused"}
            )
        self._not_before = self._now() + PAUSE_SECONDS

    def _word(self, key: str, told: Told) -> Progress | None:
        running = self._running.get(key)
        if running is None or running.message.ignore_result:
            return None
        return Progress(id=running.message.id, state=told.state, value=told.value, message=running.message)
