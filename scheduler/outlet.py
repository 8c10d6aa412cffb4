"""Outlet: firings to the broker, as the messages that firing_messages.py makes of them.

Before it sends, it announces on the broker which store it sends from. Where another store sends for the same cluster it refuses: two
beats that share no store cannot elect a leader, and would both send everything (B12).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from ..canvas.brokers.base import Broker, Posted
from ..canvas.errors import Unavailable
from ..canvas.signing import NO_KEYS, Keyring
from ..canvas.template import Sendable
from .expanded_firings import ExpandedFirings
from .firing import Firing
from .firing_messages import FiringMessages, Resolver
from .relay import OutletDown, Published

ANNOUNCED_SECONDS = 60.0
"""How long after its last firing a store still counts as the one that sends."""


class Enclosure(Protocol):
    """Where ledger and queue may be one database (enclosure.py)."""

    def holds(self, broker: Broker) -> bool:
        """Whether they are, which is asked once. Raises Unavailable."""
        ...

    def post(self, firings: Sequence[Firing], items: Sequence[Sendable]) -> Posted:
        """Send items, each with the mark of its firing, in one transaction. Raises Unavailable."""
        ...


class BrokerOutlet:
    """The Outlet over a broker; with an enclosure what is sent goes that way, and the broker is only asked who else sends."""

    def __init__(
        self,
        broker: Broker,
        app: Resolver,
        *,
        cluster: str,
        store_id: str,
        enclosure: Enclosure | None = None,
        keyring: Keyring = NO_KEYS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._enclosure = enclosure
        self._messages = FiringMessages(app, keyring)
        self._expanded = ExpandedFirings(app)
        self._cluster = cluster
        self._store_id = store_id
        self._monotonic = monotonic
        self._announce_at = monotonic()
        self._stay_at = self._announce_at
        self._has_announced = False

    def publish(self, firings: Sequence[Firing]) -> Published:
        """Send firings, and say what became of them. Raises OutletDown when the broker cannot be reached."""
        canvases = [firing for firing in firings if self._expanded.takes(firing)]
        if not canvases:
            return self._publish(firings)
        try:
            self._announce()
            started, refused = self._expanded.start(canvases)
        except Unavailable as error:
            raise OutletDown(str(error)) from error
        others = [firing for firing in firings if not self._expanded.takes(firing)]
        sent = self._publish(others) if others else Published(())
        return Published([*started, *sent.confirmed], [*refused, *sent.refused], sent.returned)

    def _publish(self, firings: Sequence[Firing]) -> Published:
        items, refused = self._messages.of(firings)
        try:
            self._announce()
            if self._enclosure is not None and self._enclosure.holds(self._broker):
                posted = self._enclosure.post(firings, items)
            else:
                posted = self._broker.post(items, once=any(firing.terms.once for firing in firings))
        except Unavailable as error:
            raise OutletDown(str(error)) from error
        if len(posted.confirmed) == len(firings):
            return Published(firings)
        confirmed, returned = set(posted.confirmed), set(posted.returned)
        return Published(
            [firing for firing in firings if firing.task_id in confirmed],
            refused,
            [firing for firing in firings if firing.task_id in returned],
        )

    def reach(self) -> None:
        """Announce now, which asks the broker. Raises OutletDown when it cannot be reached, or another store sends."""
        try:
            self._announce(now=True)
            self._broker.post(())
        except Unavailable as error:
            raise OutletDown(str(error)) from error

    def _announce(self, *, now: bool = False) -> None:
        """Say which store sends, from time to time; raises OutletDown where another one does."""
        if not now and self._monotonic() < self._announce_at:
            return
        standing = self._broker.announce(f"beat.{self._cluster}", self._store_id, ANNOUNCED_SECONDS)
        if standing != self._store_id:
            raise OutletDown(
                f"another beat sends for cluster {self._cluster!r} from another store ({standing[:8]}, this one is "
                f"{self._store_id[:8]}), so both would send everything: start them with one --store, or with a --cluster each"
            )
        self._announce_at = self._monotonic() + ANNOUNCED_SECONDS / 4
        self._stay_at = self._announce_at
        self._has_announced = True

    def stay(self) -> None:
        """Announce again when it is time, though nothing is to be sent; who has not sent yet has nothing to say, but connects.

        A broker that is away is no matter here, but asking it takes its time, so the next try waits, too.
        """
        if self._monotonic() < self._stay_at:
            return
        self._stay_at = self._monotonic() + ANNOUNCED_SECONDS / 4
        self._messages.warm()
        with suppress(OutletDown, Unavailable):
            if self._has_announced:
                self._announce()
            # a connection that is lost, or was never made, is made now and not at the next fire time
            self._broker.post(())

    def close(self) -> None:
        """Let go of the connection."""
        self._broker.close()
