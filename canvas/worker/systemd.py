"""SystemdListener: a worker as systemd sees it: ready, what it did, that it still works, and that it needs time to stop.

The watchdog is fed from `passed` and from nothing else: it ends a worker whose loop hangs, and one that could consume nothing for a minute
and has nothing to lose; not one whose task runs for long (tasks run elsewhere, see pools/). While a worker that was told to stop lets its tasks end, it asks for more time
again and again, so that the unit's TimeoutStopSec bounds only a loop that stands still, and `drain_seconds` bounds the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..commit.taken import Taken
from ..commit.transition import Transition
from ..message import Message
from ..notify import Notifier
from ..outcome import Failure, Success

DRAIN_SECONDS = 600.0
"""How long more time is asked for after a stop was asked for, unless a grace is known: a worker that has not ended by then is killed."""
STOPPING_SECONDS = 30.0
"""What ending the pool and handing back may take after the grace."""
EXTENSION_SECONDS = 30.0
STALL_SECONDS = 60.0
"""For so long nothing may be consumable before the watchdog is left hungry, unless tasks run: to start anew may help, and costs nothing."""


class SystemdListener:
    """Tells systemd; without systemd it does nothing. The command line calls `stopping` from its signal handler."""

    def __init__(
        self,
        notifier: Notifier | None = None,
        *,
        drain_seconds: float = DRAIN_SECONDS,
        stall_seconds: float = STALL_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier or Notifier.from_environment()
        self._drain_seconds = drain_seconds
        self._stall_seconds = stall_seconds
        self._monotonic = monotonic
        self._ready = False
        self._drain_until: float | None = None
        self._extended_at = float("-inf")
        self._fault, self._fault_since = "", 0.0
        self._succeeded = self._failed = self._others = self._lost = 0

    def stopping(self) -> None:
        """The worker was told to stop."""
        if self._drain_until is None:
            self._drain_until = self._monotonic() + self._drain_seconds
            self._notifier.stopping("stopping: what runs may end")

    def ready(self) -> None:
        self._ready = self._notifier.ready(self._status())

    def started(self, message: Message) -> None:
        """Nothing to tell."""

    def applied(self, transition: Transition, seconds: float | None) -> None:
        if seconds is None:
            return
        match transition.outcome:
            case Success():
                self._succeeded += 1
            case Failure():
                self._failed += 1
            case _:
                self._others += 1

    def lost(self, taken: Taken, reason: str) -> None:  # noqa: ARG002 - the listener's protocol
        self._lost += 1

    def passed(self, busy: int, fault: str = "") -> None:
        if self._drain_until is not None:
            self._ask_for_time(self._drain_until)
        elif not self._ready:
            self.ready()  # it did not arrive
        if fault and not self._fault:
            self._fault_since = self._monotonic()
        self._fault = fault
        if busy or not fault or self._monotonic() - self._fault_since < self._stall_seconds:
            self._notifier.alive(self._status)

    def _ask_for_time(self, until: float) -> None:
        now = self._monotonic()
        seconds = min(EXTENSION_SECONDS, until - now)
        if (
            seconds > 0
            and now - self._extended_at >= EXTENSION_SECONDS / 3
            and self._notifier.extend_timeout(seconds)
        ):
            self._extended_at = now

    def _status(self) -> str:
        role = "working" if self._drain_until is None else "stopping: what runs may end"
        done = f"succeeded {self._succeeded}, failed {self._failed}, other ends {self._others}"
        fault = f"; nothing can be consumed: {self._fault}" if self._fault else ""
        return f"{role}; {done}, lost {self._lost}{fault}"
