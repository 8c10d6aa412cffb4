"""Relay: sends the canvases of an outbox, and deletes those that are sent. Its writer's, after a commit, or a worker's, for the dead."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence

from ..errors import BackbeatError, DecodeError, Unavailable
from ..killpoint import reach
from ..sql.outbox import Outbox, Row
from ..start import Start, start_from_text

logger = logging.getLogger(__name__)

LIMIT = 200
"""Canvases that are taken together."""


class Relay:
    """One outbox, and a way to set canvases going.

    `set_going` sends canvases, each whole or not at all; when it returns the broker has them. It raises Unavailable, or another
    BackbeatError when one of them is refused.
    """

    def __init__(self, outbox: Outbox, set_going: Callable[[Sequence[Start]], None]) -> None:
        self._outbox = outbox
        self._set_going = set_going
        self._exists = False

    def send_written(self, holder: str, *, late: bool) -> None:
        """Send what a transaction of `holder` wrote, if it has committed. Raises Unavailable; then the rows are still there.

        `late`: their time has come, so a relay may be about to take them.
        """
        if late:
            self._outbox.renew(holder)
        self._send(self._outbox.written_by(holder))

    def send_due(self) -> int:
        """Send what is due; returns how many canvases were sent. Raises Unavailable."""
        self._exists = self._exists or self._outbox.exists()
        count = 0
        while self._exists:
            holder = secrets.token_hex(16)
            rows = self._outbox.take_due(holder, LIMIT)
            try:
                count += self._send(rows)
            except Unavailable:
                self._outbox.free(holder)
                raise
            if len(rows) < LIMIT:
                break
        return count

    def _send(self, rows: Sequence[Row]) -> int:
        """All in one step; where one of them is refused, one by one."""
        if not rows:
            return 0
        try:
            self._set_going([start_from_text(row.canvas) for row in rows])
        except Unavailable:
            raise
        except BackbeatError as error:
            if len(rows) > 1:
                return sum(self._send([row]) for row in rows)
            self._refused(rows[0], error)
            return 0
        reach("relay.sent")
        self._outbox.delete(rows)
        reach("relay.deleted")
        return len(rows)

    def _refused(self, row: Row, error: BackbeatError) -> None:
        """It stays where it is, to be seen and to be tried again: what refuses it may change."""
        pause = self._outbox.postpone(row)
        what = "read" if isinstance(error, DecodeError) else "sent"
        logger.error(
            "row %s of the outbox cannot be %s: %s; trying again in %.0f s",
            row.seq,
            what,
            error,
            pause,
            extra={"action": "outbox_refused", "seq": row.seq},
        )
