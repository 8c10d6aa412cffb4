"""Vitals: what a worker knows of itself, for /healthz, /readyz and systemd: that its loop turns, and that it can consume.

A worker whose broker or store cannot be reached, or whose consumer the broker has forgotten, runs and does nothing: its process is up, and
nobody would know. The worker's thread tells; any other may ask.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

from ..commit.taken import Taken
from ..commit.transition import Transition
from ..message import Message
from ..probe_server import Answer

HANGS_SECONDS = 30.0
"""A loop that did not go round for so long hangs; it does about once a second."""
FAULT_SECONDS = 10.0
"""For so long nothing may be consumable before a worker is unwell: a broker that is restarted is back by then."""


class WorkerVitals:
    """A listener. With `runs_tasks_in_loop` (solo) a loop that stands still while a task runs is no fault."""

    def __init__(
        self,
        *,
        runs_tasks_in_loop: bool = False,
        fault_seconds: float = FAULT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs_tasks_in_loop = runs_tasks_in_loop
        self._fault_seconds = fault_seconds
        self._monotonic = monotonic
        self._passed_at = monotonic()
        self._fault, self._fault_since = "not started yet", monotonic()
        self._busy = 0
        self._is_stopping = False

    def stopping(self) -> None:
        """The worker was told to stop."""
        self._is_stopping = True

    def ready(self) -> None:
        """Nothing is known yet that `passed` will not tell."""

    def started(self, message: Message) -> None:  # noqa: ARG002 - the listener's protocol
        self._busy += 1

    def applied(self, transition: Transition, seconds: float | None) -> None:
        """Nothing to count."""

    def lost(self, taken: Taken, reason: str) -> None:
        """Nothing to count."""

    def passed(self, busy: int, fault: str = "") -> None:
        now = self._monotonic()
        if fault and not self._fault:
            self._fault_since = now
        self._passed_at, self._fault, self._busy = now, fault, busy

    def fault(self) -> str:
        """Why it is not alive, in one sentence; empty if it is."""
        now = self._monotonic()
        age = now - self._passed_at
        if age > HANGS_SECONDS and not (self._runs_tasks_in_loop and self._busy):
            return f"the loop's last pass was {age:.0f} s ago, more than {HANGS_SECONDS:g} s"
        if self._fault and now - self._fault_since > self._fault_seconds:
            return f"nothing can be consumed for {now - self._fault_since:.0f} s: {self._fault}"
        return ""

    def healthz(self) -> Answer:
        """The page that says whether it is alive."""
        fault = self.fault()
        if fault:
            return Answer.of_text(fault, HTTPStatus.SERVICE_UNAVAILABLE)
        return Answer.of_text(f"alive: {self._busy} tasks run")

    def readyz(self) -> Answer:
        """The page that says whether it consumes right now."""
        fault = self.fault() or self._fault or ("stopping" if self._is_stopping else "")
        if fault:
            return Answer.of_text(fault, HTTPStatus.SERVICE_UNAVAILABLE)
        return Answer.of_text("ready: consuming")
