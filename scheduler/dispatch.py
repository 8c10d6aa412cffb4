"""Dispatch: ledger, relay and herald in concert: what is open is taken up, sent, recorded and told; steps L and E6 to E8 of beat.py.

The beat says when; here is how. It decides nothing but what becomes of firings that are decided.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from .clock import Clock
from .firing import FiringState
from .flight import News
from .herald import Herald
from .ledger import Ledger
from .relay import Relay
from .store.base import Change, Fence, Refusal, Store

log = logging.getLogger(__name__)


REST_SECONDS = 0.1
"""A leader that stops sends no longer than this: the next one waits for it."""


class Fenced(Exception):
    """The store says that another beat leads."""


class Dispatch:
    """The way of decided firings out of the ledger."""

    def __init__(self, store: Store, ledger: Ledger, relay: Relay, herald: Herald, clock: Clock) -> None:
        self._store = store
        self._ledger = ledger
        self._relay = relay
        self._herald = herald
        self._clock = clock

    def load(self, fence: Fence, *, more: bool = False) -> None:
        """Step L: what is open in the ledger: all of it anew, or what the relay has not got yet. Raises Fenced."""
        besides = self._relay.batches if more else None
        found = self._ledger.load_open(fence, self._clock.now_us(), besides)
        if isinstance(found, Refusal):
            raise Fenced
        if more:
            self._relay.add_loaded(found)
        else:
            self._relay.restart(found)
        if found.firings or found.held:
            count = len(found.firings) + len(found.held)
            log.info("%d open firings taken up", count, extra={"action": "open_firings"})
        for firing in found.doubtful:
            self._herald.doubtful(firing)
        for firing, reason in found.failed:
            self._herald.failed(firing, reason)

    def load_more(self, fence: Fence) -> None:
        """What was left to the ledger alone, when there is room for it. Raises Fenced."""
        if self._relay.overflowed and self._relay.has_room:
            self.load(fence, more=True)

    def review(self, fence: Fence) -> None:
        """May what is held go on? Raises Fenced."""
        changes = self._ledger.review(self._clock.now_us(), fence)
        if isinstance(changes, Refusal):
            raise Fenced
        for change in changes:
            self._relay.release(change)
            if change.after is FiringState.SKIPPED:
                self._herald.became(News(settled=[change]))

    def send(self, fence: Fence, gate: Callable[[], bool]) -> None:
        """Steps E6 and E7. Raises Fenced."""
        try:
            self._relay.send(gate, lambda changes: self._settle(changes, fence))
        finally:
            self._tell()

    def send_rest(self, fence: Fence, gate: Callable[[], bool]) -> None:
        """Before leaving: what is decided and due, as far as the broker takes it at once. The next beat has the rest. Raises Fenced."""
        until = self._clock.boottime() + REST_SECONDS
        while not self._relay.is_down and (left := until - self._clock.boottime()) > 0:
            self.send(fence, gate)
            if not self._relay.busy:
                return
            self.collect(left)

    def mark(self, *, everything: bool = False) -> None:
        """Step E8."""
        marks = self._relay.marks(self._clock.now_us(), everything=everything)
        if marks:
            self._store.mark(marks)
            self._relay.marked(marks)

    def rewind(self, fence: Fence) -> None:
        """Cursors that lie far in the future, because a clock was wrong, go back to now. Raises Fenced."""
        if isinstance(self._store.rewind(self._clock.now_us(), fence), Refusal):
            raise Fenced

    def collect(self, wait_seconds: float = 0.0) -> None:
        """Take up what the broker answered, without a term; what is not a mark waits for the next term's step L."""
        self._relay.collect(wait_seconds)
        self._tell()

    def settle(self, fence: Fence) -> None:
        """Record what the broker answered, but for the marks. Raises Fenced."""
        try:
            self._relay.settle(lambda changes: self._settle(changes, fence))
        finally:
            self._tell()

    def _settle(self, changes: Sequence[Change], fence: Fence) -> Sequence[Change]:
        done = self._store.settle(changes, self._clock.now_us(), fence)
        if isinstance(done, Refusal):
            raise Fenced
        ends = (FiringState.SKIPPED, FiringState.FAILED)
        self._ledger.gone(change.firing for change in done if change.after in ends)
        doubtful = [change.firing for change in done if change.after is FiringState.DOUBTFUL]
        self._ledger.left(doubtful, self._clock.now_us())
        return done

    def _tell(self) -> None:
        news = self._relay.take_news()
        self._ledger.left(news.confirmed, self._clock.now_us())
        self._herald.became(news)
