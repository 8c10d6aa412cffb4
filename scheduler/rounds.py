"""Rounds: what a leader does twice a second besides deciding: edits, the files' entries, operators' errands, the broker's connection.

All of it asks the store, and none of it is urgent, so that no round is made while something falls due in the next moment; a round that
was put off for some time is made all the same. Who edits sees it picked up within a second.
"""

from __future__ import annotations

from .clock import SECOND_US, Clock
from .dispatch import Dispatch, Fenced
from .errand import Errands
from .ledger import Ledger
from .relay import Relay
from .reload import Reload
from .store.base import Fence, Refusal

PERIOD_SECONDS = 0.5
MOMENT_US = SECOND_US // 20
"""A round takes some milliseconds, and a fire time that comes nearer than this must not wait for it."""
PATIENCE_SECONDS = 0.25
"""How long a round, or a slice of a large reload, may be put off."""


class Rounds:
    """The rounds of one beat. One thread."""

    def __init__(
        self,
        ledger: Ledger,
        relay: Relay,
        dispatch: Dispatch,
        reload: Reload,
        errands: Errands | None,
        clock: Clock,
        *,
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._relay = relay
        self._dispatch = dispatch
        self._reload = reload
        self._errands = errands
        self._clock = clock
        self._period_seconds = period_seconds
        self._at = self._slice_at = 0.0
        self._applied = False  # something, since what is open was loaded last

    @property
    def is_applying(self) -> bool:
        """Whether entries of the files or the app wait to be applied."""
        return self._reload.is_open

    def begin(self) -> None:
        """A term begins: the first round comes before anything is decided."""
        self._reload.begin()
        self._at = 0.0
        if self._errands is not None:
            self._errands.forget()

    def hasten(self) -> None:
        """Make the next one at once."""
        self._at = 0.0

    def before_deciding(self, fence: Fence, *, loaded: bool) -> bool:
        """A round if it is time, and at any time the ends of overrides: they must not decide what is due after their end.

        `loaded`: the open firings are in the relay. Says whether a round was made. Raises Fenced, and StoreDown.

        Between two rounds a large reload goes on.
        """
        now_us = self._clock.now_us()
        if self._errands is not None and isinstance(self._errands.lift(fence, now_us), Refusal):
            raise Fenced
        if self._in(self._at, now_us) > 0.0:
            if self.is_applying and self._in(self._slice_at, now_us) <= 0.0:
                self._apply(fence)
            return False
        self._make(fence, loaded=loaded)
        return True

    def after_deciding(self, fence: Fence) -> None:
        """A slice of a backfill: regular firings come first. Raises Fenced, and StoreDown."""
        if self._errands is None:
            return
        firings = self._errands.step(fence, self._clock.now_us(), self._relay.unsent)
        if isinstance(firings, Refusal):
            raise Fenced
        self._relay.add(firings)

    def wait_seconds(self, now_us: int) -> float:
        """Seconds until there is something to do here, or until that may be known."""
        waits = [self._in(self._at, now_us)]
        if self.is_applying:
            waits.append(self._in(self._slice_at, now_us))
        if self._errands is not None and (errands_in := self._errands.wait_seconds(now_us)) is not None:
            waits.append(errands_in)
        return min(waits)

    def _in(self, at: float, now_us: int) -> float:
        """Seconds until what is to be done at `at` may be done: not while something falls due in the next moment."""
        now = self._clock.boottime()
        if now < at:
            return at - now
        next_us = self._ledger.next_us()
        if next_us is None or next_us - now_us >= MOMENT_US:
            return 0.0
        return max(0.0, at + PATIENCE_SECONDS - now)

    def _apply(self, fence: Fence) -> None:
        """It takes up what somebody edited meanwhile, too. Ended overrides come off first: they say nothing about what came later."""
        now_us = self._clock.now_us()
        if self.is_applying:
            self._lift(fence, now_us)
        self._applied = self._reload.apply(fence, now_us) or self._applied
        self._slice_at = self._clock.boottime()

    def _lift(self, fence: Fence, now_us: int) -> None:
        if self._errands is not None and isinstance(self._errands.lift_now(fence, now_us), Refusal):
            raise Fenced

    def _make(self, fence: Fence, *, loaded: bool) -> None:
        self._at = self._clock.boottime() + self._period_seconds
        self._relay.stay()
        self._relay.trim()
        self._reload.ask()
        self._apply(fence)
        if self._errands is not None and isinstance(self._errands.look(fence, self._clock.now_us()), Refusal):
            raise Fenced
        edited = self._ledger.refresh() or self._applied  # by the end of an override, too
        self._applied = False
        self._dispatch.review(fence)
        if edited and loaded and not self._relay.overflowed:
            self._dispatch.load(fence, more=True)  # somebody edited, and may have asked for a run
