"""Notices: what is told to all who look into a table, and is gone a while later: remote control and events where the broker is a database.

Who looks sees what was told since it began to look. Numbers are given before a transaction is committed, so a notice may come behind one with a higher
number: each look goes back a little, and passes over what it has seen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import Engine, delete, insert, select

from .engine import now_us, reading, unavailable
from .tables import ensure_tables, notice_table

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
        return Reader(self, place)

    def since(self, place: str, from_us: int | None) -> tuple[int, list[tuple[int, str]]]:
        """The database's time, and numbers and texts of what was told at `place` from a time on; of None nothing."""
        self._make()
        with reading(self._engine) as connection:
            now, table = now_us(connection), notice_table.c
            if from_us is None:
                return now, []
            query = select(table.seq, table.body).where(table.place == place, table.at_us >= from_us)
            rows = connection.execute(query.where(table.until_us > now).order_by(table.seq))
            return now, [(row.seq, row.body) for row in rows]

    def _make(self) -> None:
        if not self._is_made:
            with unavailable():
                ensure_tables(self._engine)
            self._is_made = True


class Reader:
    """Used by one thread."""

    def __init__(self, notices: Notices, place: str) -> None:
        self._notices = notices
        self._place = place
        self._began_us: int | None = None
        self._from_us: int | None = None
        self._seen: dict[int, None] = {}

    def begin(self) -> None:
        """What is told from now on is seen."""
        if self._began_us is None:
            self._began_us, _ = self._notices.since(self._place, None)
            self._from_us = self._began_us

    def take(self, seconds: float) -> list[str]:
        """What was told since the last call; waits up to `seconds` for the first."""
        self.begin()
        deadline = time.monotonic() + seconds
        while True:
            texts = self._look()
            left = deadline - time.monotonic()
            if texts or left <= 0:
                return texts
            time.sleep(min(LOOK_SECONDS, left))

    def _look(self) -> list[str]:
        assert self._began_us is not None
        now, found = self._notices.since(self._place, self._from_us)
        new = [(seq, text) for seq, text in found if seq not in self._seen]
        self._seen = dict.fromkeys(
            seq for seq, _ in found
        )  # what is not found again is not looked at any more
        self._from_us = max(self._began_us, now - round(BACK_SECONDS * 1_000_000))
        return [text for _, text in new]
