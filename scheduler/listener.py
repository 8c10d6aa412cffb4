"""Listener: who wants to know what the beat does: the terminal display, sd_notify, metrics. It decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .firing import Firing
from .leader import Term
from .skip import Skip


class Listener(Protocol):
    """Called from the beat's thread, after the fact; must return soon. What it raises is logged and ignored."""

    def fired(self, firing: Firing, lateness_us: int) -> None:
        """The broker confirmed a firing, so long after it was to be sent: its fire time, and what jitter and spread add."""

    def late(self, firing: Firing, lateness_us: int) -> None:
        """A firing that was confirmed later than its entry's `late_after`; after `fired`."""

    def failed(self, firing: Firing, reason: str) -> None:
        """A firing can never be sent, and is recorded so."""

    def doubtful(self, firing: Firing) -> None:
        """Nobody knows whether the broker has a firing that may go out once only; it is recorded so, and not sent again."""

    def skipped(self, skip: Skip) -> None:
        """Fire times were passed over, and are recorded so."""

    def quarantined(self, entry: str, fault: str) -> None:
        """This entry cannot be read or evaluated; it waits until it is edited."""

    def clock_stepped(self, seconds: float) -> None:
        """The wall clock was set, by so much; the beat's own time follows when that is confirmed."""

    def leading(self, term: Term) -> None:
        """A term begins."""

    def standby(self) -> None:
        """This beat does not lead (any more)."""

    def reloaded(self, changes: int) -> None:
        """The entries of the files were applied; so many were different."""

    def reload_refused(self, problems: Sequence[str]) -> None:
        """Entries of the files were not applied."""

    def passed(self, *, leads: bool) -> None:
        """A pass of the loop is complete and nothing failed in it: what a watchdog may be fed with."""


class SilentListener:
    """Hears everything and says nothing; a base to override one method of."""

    def fired(self, firing: Firing, lateness_us: int) -> None: ...

    def late(self, firing: Firing, lateness_us: int) -> None: ...

    def failed(self, firing: Firing, reason: str) -> None: ...

    def doubtful(self, firing: Firing) -> None: ...

    def skipped(self, skip: Skip) -> None: ...

    def quarantined(self, entry: str, fault: str) -> None: ...

    def clock_stepped(self, seconds: float) -> None: ...

    def leading(self, term: Term) -> None: ...

    def standby(self) -> None: ...

    def reloaded(self, changes: int) -> None: ...

    def reload_refused(self, problems: Sequence[str]) -> None: ...

    def passed(self, *, leads: bool) -> None: ...
