"""SystemdListener: the beat as systemd sees it: ready, what it does, and that it still does it.

READY is said when the role is known: a standby is as ready as a leader. The watchdog is fed from `passed` and from nothing else, and
not while a publish hangs, so it ends a beat whose loop or sender hangs, or whose process was stopped; the lease (10 s) is shorter than
the watchdog (30 s), and a standby leads by then. A beat that waits at its start for a store or a broker asks for more time again
and again, and one that stops asks once, to drain what is on its way: the unit's limits bound what stands still. The command line calls
`waiting`, and from its signal handlers `reloading` and `stopping`; the beat's thread calls the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from ..canvas.notify import Notifier
from .health import liveness
from .leader import Term
from .listener import SilentListener
from .vitals import Vitals

EXTENSION_SECONDS = 30.0
"""More time for a start or a stop that moves."""


class SystemdListener(SilentListener):
    """Tells systemd; without systemd it does nothing. It shows what `vitals` count, which are told before it, and feeds nothing that hangs."""

    def __init__(
        self,
        notifier: Notifier | None = None,
        *,
        vitals: Vitals | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier or Notifier.from_environment()
        self._vitals = vitals or Vitals()
        self._now = now
        self._monotonic = monotonic
        self._extended_at = float("-inf")
        self._role = ""
        self._ready = self._stopping = False
        # Reloads. The signal handler writes the first and the loop the others, so that neither undoes what the other noted.
        self._asked = self._seen = self._answered = 0
        self._problems = 0
        self._passed_at: float | None = None

    # --- from the command line -----------------------------------------------------------------------------------------------

    def waiting(self, what: str) -> None:
        """What the beat stands on is absent; it will be tried again."""
        self._notifier.status(f"waiting: {what}")
        self._ask_for_time()

    def reloading(self) -> None:
        """The files will be read again; READY follows when they were, or when the loop found nothing to apply."""
        self._asked += 1
        self._notifier.reloading()

    def stopping(self) -> None:
        """The beat was told to stop."""
        self._stopping = True
        self._notifier.stopping("stopping: marking what was sent, freeing the lease")
        self._ask_for_time()

    # --- from the loop -------------------------------------------------------------------------------------------------------

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
        if liveness(self._vitals).well:
            self._notifier.alive(self._status)

    def _enter(self, role: str) -> None:
        self._role = role
        if self._stopping:
            return
        if self._ready:
            self._notifier.status(self._status())
        else:
            self._say_ready()

    def _ask_for_time(self) -> None:
        now = self._monotonic()
        if now - self._extended_at >= EXTENSION_SECONDS / 3 and self._notifier.extend_timeout(
            EXTENSION_SECONDS
        ):
            self._extended_at = now

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
        vitals = self._vitals
        parts = [self._role, f"sent {vitals.sent}", f"skipped {sum(vitals.skips.values())}"]
        parts.append(f"open {vitals.open_firings}")
        if vitals.latest is not None:
            entry, lateness_us = vitals.latest
            parts.append(f"last {entry!r}, {lateness_us / 1000:.0f} ms late")
        parts += _faults(vitals)
        if self._problems:
            parts.append(f"{self._problems} problems in the schedules, the old ones stay")
        if self._passed_at is not None:
            parts.append(f"last pass {datetime.fromtimestamp(self._passed_at, UTC):%Y-%m-%dT%H:%M:%SZ}")
        return "; ".join(parts)


def _faults(vitals: Vitals) -> list[str]:
    parts = []
    if vitals.broker_up is False:
        parts.append("the broker does not answer")
    if vitals.audit is not None and vitals.audit.differences:
        parts.append(f"the self-audit found {len(vitals.audit.differences)} differences")
    return parts
