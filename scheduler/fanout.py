"""Fanout: one beat, several listeners: systemd, the metrics, a display. What one of them raises reaches neither the others nor the beat.

A listener whose class does not override a method is not called for it, so that a firing costs what those cost that count it. The
wiring makes one; the beat knows it as its listener.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from .firing import Firing
from .leader import Term
from .listener import Listener, SilentListener
from .skip import Skip

log = logging.getLogger(__name__)

REPEAT_SECONDS = 60.0
"""A listener that fails at each firing is written about once in so many seconds."""

_Method = Callable[..., None]


class Fanout:
    """Tells several listeners, in their order. Called from one thread, as each of them is."""

    def __init__(
        self, listeners: Sequence[Listener], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._said_at: dict[str, float] = {}
        self._hearing = {name: _hearing(listeners, name) for name in _EVENTS}
        self._fired = self._hearing["fired"]
        if len(self._fired) == 1:
            self.fired = self._fired[0]  # type: ignore[method-assign] # ten thousand a second: one call each, the beat has a net

    def fired(self, firing: Firing, lateness_us: int) -> None:
        for hear in self._fired:
            try:
                hear(firing, lateness_us)
            except Exception as fault:  # noqa: BLE001 - a listener's fault is written down and is nobody else's
                self._failed("fired", hear, fault)

    def late(self, firing: Firing, lateness_us: int) -> None:
        self._tell("late", firing, lateness_us)

    def failed(self, firing: Firing, reason: str) -> None:
        self._tell("failed", firing, reason)

    def doubtful(self, firing: Firing) -> None:
        self._tell("doubtful", firing)

    def quarantined(self, entry: str, fault: str) -> None:
        self._tell("quarantined", entry, fault)

    def clock_stepped(self, seconds: float) -> None:
        self._tell("clock_stepped", seconds)

    def skipped(self, skip: Skip) -> None:
        self._tell("skipped", skip)

    def leading(self, term: Term) -> None:
        self._tell("leading", term)

    def standby(self) -> None:
        self._tell("standby")

    def reloaded(self, changes: int) -> None:
        self._tell("reloaded", changes)

    def reload_refused(self, problems: Sequence[str]) -> None:
        self._tell("reload_refused", problems)

    def passed(self, *, leads: bool) -> None:
        for hear in self._hearing["passed"]:
            try:
                hear(leads=leads)
            except Exception as fault:  # noqa: BLE001 - the same
                self._failed("passed", hear, fault)

    def _tell(self, event: str, *what: object) -> None:
        for hear in self._hearing[event]:
            try:
                hear(*what)
            except Exception as fault:  # noqa: BLE001 - the same
                self._failed(event, hear, fault)

    def _failed(self, event: str, hear: _Method, fault: Exception) -> None:
        who = f"{type(getattr(hear, '__self__', hear)).__name__}.{event}"
        now = self._monotonic()
        if now - self._said_at.get(who, float("-inf")) < REPEAT_SECONDS:
            return
        self._said_at[who] = now
        log.error(
            "%s failed; the beat goes on without it",
            who,
            exc_info=fault,
            extra={"action": "listener_failed"},
        )


_EVENTS = (
    "fired",
    "late",
    "failed",
    "doubtful",
    "quarantined",
    "clock_stepped",
    "skipped",
    "leading",
    "standby",
    "reloaded",
    "reload_refused",
    "passed",
)


def _hearing(listeners: Sequence[Listener], event: str) -> tuple[_Method, ...]:
    """The bound methods for one event, without those that SilentListener has for it."""
    silent: Any = getattr(SilentListener, event, None)
    found = [(each, getattr(type(each), event, None)) for each in listeners]
    return tuple(
        getattr(each, event) for each, method in found if method is not None and method is not silent
    )
