"""Listener: who wants to know what the beat does: the terminal display, sd_notify, metrics. It decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .firing import Firing
from .leader import Term
from .plan import Skip


class Listener(Protocol):
    """Called from the beat's thread, after the fact; must return soon. What it raises is logged and ignored."""

    def fired(self, firing: Firing, lateness_us: int) -> None:
        """The broker confirmed a firing, so long after its fire time."""

    def skipped(self, skip: Skip) -> None:
        """Fire times were passed over, and are recorded so."""

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

    def skipped(self, skip: Skip) -> None: ...

    def leading(self, term: Term) -> None: ...

    def standby(self) -> None: ...

    def reloaded(self, changes: int) -> None: ...

    def reload_refused(self, problems: Sequence[str]) -> None: ...

    def passed(self, *, leads: bool) -> None: ...
