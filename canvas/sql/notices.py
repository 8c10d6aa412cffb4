"""Notices: what is told to all who look into a table, and is gone a while later: remote control and events where the broker is a database.

Who looks sees what was told since it began to look. Numbers are given before a transaction is committed, so a notice may come behind one with a higher
number: each look goes back a little, and passes over what it has seen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import Connection, Engine, bindparam, delete, insert, select

from ..errors import Unavailable
from .dialect import dialect_of
from .engine import now_us, reading, unavailable
from .tables import ensure_tables, notice_table
from .wake import LookingWaker

LOOK_SECONDS = 0.2
"""How often who waits looks."""
BACK_SECONDS = 5.0
"""A transaction that tells something is over by then."""
FORGET_SECONDS = 5.0
"""How often one who tells deletes what is over."""


class Notices:
    """The table of one database. Raises Unavailable."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._forget_at = 0.0
        self._is_made = False

    def tell(self, place: str, bodies: Sequence[str], seconds: float) -> None:
        """Tell it to all who look at `place` within so many seconds."""
        self._make()
        with unavailable(), self._engine.begin() as connection:
            now = now_us(connection)
            until = now + round(seconds * 1_000_000)
            rows = [{"place": place, "at_us": now, "until_us": until, "body": body} for body in bodies]
            connection.execute(insert(notice_table), rows)
            if time.monotonic() >= self._forget_at:
                self._forget_at = time.monotonic() + FORGET_SECONDS
                connection.execute(delete(notice_table).where(notice_table.c.until_us <= now))

    def reader(self, place: str) -> Reader:
        """Sees what is told there from now on."""
        return Reader(self, self._engine, place)

    def now_us(self) -> int:
        """The database's time."""
        self._make()
        with reading(self._engine) as connection:
            return now_us(connection)

    def _make(self) -> None:
        if not self._is_made:
            with unavailable():
                ensure_tables(self._engine)
            self._is_made = True


class Reader:
    """Used by one thread."""

    def __init__(self, notices: Notices, engine: Engine, place: str) -> None:
        self._notices = notices
        self._waker = LookingWaker(engine, LOOK_SECONDS, LOOK_SECONDS)
        clock, table = dialect_of(engine).clock(), notice_table.c
        query = select(table.seq, table.body, clock.label("now_us")).order_by(table.seq)
        # once, as an idle worker asks it all the time
        self._query = query.where(
            table.place == place, table.at_us >= bindparam("from_us"), table.until_us > clock
        )
        self._began_us: int | None = None
        self._from_us = 0
        self._seen: dict[int, None] = {}
        self._new: list[str] = []

    def begin(self) -> None:
        """What is told from now on is seen."""
        if self._began_us is None:
            self._began_us = self._from_us = self._notices.now_us()

    def take(self, seconds: float) -> list[str]:
        """What was told since the last call; waits up to `seconds` for the first."""
        self.begin()
        self._new = []
        try:
            self._waker.wait(seconds, (), self._look)
        except Unavailable:
            self._waker.close()  # the next wait connects anew
            raise
        return self._new

    def close(self) -> None:
        """Let go of the connection."""
        self._waker.close()

    def _look(self, connection: Connection) -> bool:
        assert self._began_us is not None
        found = connection.execute(self._query, {"from_us": self._from_us}).all()
        self._new = [row.body for row in found if row.seq not in self._seen]
        # what is not found again is not looked at any more
        self._seen = dict.fromkeys(row.seq for row in found)
        if found:
            self._from_us = max(self._began_us, found[-1].now_us - round(BACK_SECONDS * 1_000_000))
        return bool(self._new)
