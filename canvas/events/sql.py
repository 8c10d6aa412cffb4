"""Events where the broker is a database: notices in a table (sql/notices.py)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..sql.notices import Notices
from .base import Event

KEPT_SECONDS = 10.0
"""How long an event lies there for those who look."""
TOGETHER = 100
"""So many events in one row at most."""


class SqlEventSink:
    """An EventSink."""

    def __init__(self, notices: Notices, place: str) -> None:
        self._notices = notices
        self._place = place

    def send(self, events: Sequence[Event]) -> None:
        parts = [events[first : first + TOGETHER] for first in range(0, len(events), TOGETHER)]
        self._notices.tell(self._place, [json.dumps(part, default=str) for part in parts], KEPT_SECONDS)

    def close(self) -> None:
        """Nothing is held."""


class SqlEventSource:
    """An EventSource."""

    lasting = False

    def __init__(self, notices: Notices, place: str) -> None:
        self._reader = notices.reader(place)

    def take(self, seconds: float) -> Sequence[Event]:
        return [event for text in self._reader.take(seconds) for event in json.loads(text)]

    def close(self) -> None:
        self._reader.close()
