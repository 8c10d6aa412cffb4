"""SqlLeaseRow: a lease of another name than the beats', for an Elector: who records the history, say. Each name has a row of its own."""

from __future__ import annotations

from sqlalchemy import Engine, MetaData

from .base import Lease
from .statements import Statements
from .tables import Tables
from .transaction import transaction


class SqlLeaseRow:
    """The LeaseRow (leader.py) called `name`; made when it is first read. Raises StoreDown."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._sql = Statements(Tables.on(MetaData()), engine.dialect)
        self._swap = self._sql.swap_of(name)
        self._is_there = False

    def read_lease(self) -> Lease:
        lease = self._sql.tables.lease
        if not self._is_there:
            nobody = {"name": self._name, "holder": "", "epoch": 0, "renewal": 0, "ttl_ms": 0, "info": ""}
            with transaction(self._engine) as conn:
                conn.execute(self._sql.insert_new(lease).values(nobody))
            self._is_there = True
        with transaction(self._engine, write=False) as conn:
            row = conn.execute(lease.select().where(lease.c.name == self._name)).one()
        return Lease(row.holder, row.epoch, row.renewal, row.ttl_ms, row.info)

    def swap_lease(self, seen: Lease, put: Lease) -> bool:
        values = self._sql.swap_values(seen, put)
        with transaction(self._engine) as conn:
            return conn.execute(self._swap, values).rowcount == 1
