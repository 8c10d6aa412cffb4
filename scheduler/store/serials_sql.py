"""SqlSerials: two rows of bb_meta: `serial` (number, and the digest of those files), `challenger` (number, and who asks)."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, select

from .base import FENCED, Fence, Fenced
from .serials import Serial
from .statements import LEASE_NAME, Statements
from .transaction import transaction

SERIAL, CHALLENGER = "serial", "challenger"


class SqlSerials:
    """Serials of the store that `engine` leads to."""

    def __init__(self, engine: Engine, statements: Statements) -> None:
        self._engine = engine
        self._sql = statements

    def read(self) -> Serial:
        with transaction(self._engine, write=False) as conn:
            return self._read(conn)

    def apply(self, number: int, digest: str, fence: Fence) -> bool | Fenced:
        lease = self._sql.tables.lease.c
        mine = select(lease.epoch).where(
            lease.name == LEASE_NAME, lease.holder == fence.holder, lease.epoch == fence.epoch
        )
        with transaction(self._engine) as conn:
            if not fence.holder or conn.execute(mine.with_for_update()).first() is None:
                return FENCED
            known = self._read(conn)
            if number < known.number and digest != known.digest:
                return False
            if (number, digest) != (known.number, known.digest):
                self._put(conn, SERIAL, max(number, known.number), digest)
            if known.asked and known.asked <= number:
                self._put(conn, CHALLENGER, 0, "")
        return True

    def ask(self, number: int, asker: str) -> None:
        with transaction(self._engine) as conn:
            if self._read(conn).asked < number:
                self._put(conn, CHALLENGER, number, asker)

    def withdraw(self, number: int, asker: str) -> None:
        with transaction(self._engine) as conn:
            known = self._read(conn)
            if (known.asked, known.asker) == (number, asker):
                self._put(conn, CHALLENGER, 0, "")

    def _read(self, conn: Connection) -> Serial:
        meta = self._sql.tables.meta.c
        rows = conn.execute(
            select(meta.name, meta.number, meta.text).where(meta.name.in_((SERIAL, CHALLENGER)))
        )
        found = {row.name: (row.number, row.text) for row in rows}
        number, digest = found.get(SERIAL, (0, ""))
        asked, asker = found.get(CHALLENGER, (0, ""))
        return Serial(number=number, digest=digest, asked=asked, asker=asker)

    def _put(self, conn: Connection, name: str, number: int, text: str) -> None:
        meta = self._sql.tables.meta
        conn.execute(self._sql.insert_new(meta).values(name=name, number=number, text=text))
        conn.execute(meta.update().where(meta.c.name == name).values(number=number, text=text))
