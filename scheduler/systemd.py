"""SystemdListener: the beat as systemd sees it: ready, what it does, and that it still does it.

READY is said when the role is known: a standby is as ready as a leader. The watchdog is fed from `passed` and from nothing else, so it
ends a beat whose loop hangs or whose process was stopped; the lease (10 s) is shorter than the watchdog (30 s), and a standby leads by
then. The command line calls `reloading` and `stopping` from its signal handlers; the beat's thread calls the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from ..canvas.notify import Notifier
from .firing import Firing
from .leader import Term
from .listener import SilentListener
from .plan import Skip


class SystemdListener(SilentListener):
    """Tells systemd; without systemd it does nothing."""

    def __init__(self, notifier: Notifier | None = None, *, now: Callable[[], float] = time.time) -> None:
        self._notifier = notifier or Notifier.from_environment()
        self._now = now
        self._role = ""
        self._ready = self._stopping = False
        # Reloads. The signal handler writes the first and the loop the others, so that neither undoes what the other noted.
        self._asked = self._seen = self._answered = 0
        self._sent = self._skipped = self._problems = 0
        self._latest: tuple[str, int] | None = None
        self._passed_at: float | None = None

    # --- from signal handlers ------------------------------------------------------------------------------------------------

    def reloading(self) -> None:
        """The files will be read again; READY follows when they were, or when the loop found nothing to apply."""
        self._asked += 1
        self._notifier.reloading()

    def stopping(self) -> None:
        """The beat was told to stop."""
        self._stopping = True
        self._notifier.stopping("stopping: marking what was sent, freeing the lease")

    # --- from the loop -------------------------------------------------------------------------------------------------------

    def fired(self, firing: Firing, lateness_us: int) -> None:
        self._sent += 1
        self._latest = firing.entry, lateness_us

    def skipped(self, skip: Skip) -> None:
        self._skipped += skip.count or 0

    def leading(self, term: Term) -> None:
        self._enter(f"leading, epoch {term.epoch}")

    def standby(self) -> None:
        self._enter("standby")

    def reloaded(self, changes: int) -> None:  # noqa: ARG002 - the listener's protocol
        self._problems = 0
        self._reload_ended()

    def reload_refused(self, problems: Sequence[str]) -> None:
        self._problems = len(problems)
        self._reload_ended()

    def passed(self, *, leads: bool) -> None:  # noqa: ARG002 - the listener's protocol
        self._passed_at = self._now()
        asked = self._asked
        if not self._ready or (self._seen == asked and self._answered != asked):
            self._say_ready()  # the pass before this one saw the reload too, so this one began after it
        self._seen = asked
        self._notifier.alive(self._status)

    def _enter(self, role: str) -> None:
        self._role = role
        if self._stopping:
            return
        if self._ready:
            self._notifier.status(self._status())
        else:
            self._say_ready()

    def _reload_ended(self) -> None:
        if self._answered != self._asked:
            self._say_ready()

    def _say_ready(self) -> None:
        """Said again at the next pass if it did not arrive; not at all before there is a role, or while stopping."""
        if not self._role or self._stopping:
            return
        asked = self._asked  # read first: a reload that is asked for meanwhile gets a READY of its own
        if self._notifier.ready(self._status()):
            self._ready, self._answered = True, asked

    def _status(self) -> str:
        parts = [self._role, f"sent {self._sent}", f"skipped {self._skipped}"]
        if self._latest is not None:
            entry, lateness_us = self._latest
            parts.append(f"last {entry!r}, {lateness_us / 1000:.0f} ms late")
        if self._problems:
            parts.append(f"{self._problems} problems in the schedules, the old ones stay")
        if self._passed_at is not None:
            parts.append(f"last pass {datetime.fromtimestamp(self._passed_at, UTC):%Y-%m-%dT%H:%M:%SZ}")
        return "; ".join(parts)
