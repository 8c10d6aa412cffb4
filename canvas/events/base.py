"""EventSink and EventSource: the seam between events and what carries them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Event = dict[str, Any]


class EventSink(Protocol):
    """Used by one thread. Raises Unavailable when the broker cannot be reached; then the next call connects anew."""

    def send(self, events: Sequence[Event]) -> None:
        """Tell all who listen now; nobody else will ever know."""
        ...

    def close(self) -> None: ...


class EventSource(Protocol):
    """Used by one thread. Raises Unavailable when the broker cannot be reached; then the next call connects anew."""

    @property
    def lasting(self) -> bool:
        """Whether it gets what was told while it was away, too, and once more what was taken by who died before its next call."""
        ...

    def take(self, seconds: float) -> Sequence[Event]:
        """Events that came since the last call; waits up to `seconds` for the first. The first call begins to listen.

        Whoever calls is done with what the call before gave.
        """
        ...

    def close(self) -> None: ...
