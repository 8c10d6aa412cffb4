"""StoreReader: what the store says of itself to `health` and /status, on a connection of its own. It makes no store and changes nothing.

`open_reading` is the engine of all that only read beside a beat: this, and the self-audit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, create_engine, func, inspect, select
from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError

from .base import Lease, StoreDown, StoreRefused
from .engine import PATIENT_SECONDS, open_engine
from .sqlite_file import sqlite_path
from .statements import LEASE_NAME
from .tables import Tables

LOCKED_SECONDS = 2.0
"""How long a read of a SQLite file waits where somebody has locked it whole, which a beat never does."""


def open_reading(url: str) -> Engine | None:
    """An engine to read the store at `url` with; None for a memory store, which nobody else can see. Connects to nothing yet.

    A SQLite file is opened read-only, and not looked through for damage, as a probe comes every few seconds.
    Raises StoreRefused where there is no such file, and as `open_engine` does.
    """
    if url.startswith("memory:"):
        return None
    if not url.startswith("sqlite"):
        return open_engine(url, answer_seconds=PATIENT_SECONDS)
    path = Path(sqlite_path(url))
    if not path.exists():
        raise StoreRefused(
            f"there is no store at {path} yet: no beat has run with it. Name it with --store, or start a beat."
        )
    return create_engine(
        f"sqlite:///{path.absolute().as_uri()}?mode=ro&uri=true", connect_args={"timeout": LOCKED_SECONDS}
    )


@dataclass(frozen=True, slots=True)
class Upcoming:
    """An entry's first fire time that is not decided."""

    entry: str
    next_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Entries that are not removed; those of them that will fire; firings in batches that are not marked as sent."""

    entries: int
    upcoming: int
    open_firings: int


class StoreReader:
    """Over an engine of its own. Thread-safe. Every method raises StoreDown when the store cannot be asked, or has no tables."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tables = Tables.on(MetaData())

    def lease(self, name: str = LEASE_NAME) -> Lease:
        """The lease row: that of beats, or of others who lead in the same way. Holder "" before the first of them."""
        lease = self._tables.lease.c
        question = select(lease.holder, lease.epoch, lease.renewal, lease.ttl_ms)
        with self._read() as conn:
            row = conn.execute(question.where(lease.name == name)).first()
        return Lease("", 0, 0, 0) if row is None else Lease(row.holder, row.epoch, row.renewal, row.ttl_ms)

    def upcoming(self, limit: int) -> tuple[Upcoming, ...]:
        """The entries that fire next. Looks at all of them."""
        entry = self._tables.entry.c
        question = select(entry.name, entry.next_us).where(entry.removed == 0, entry.next_us.is_not(None))
        with self._read() as conn:
            rows = conn.execute(question.order_by(entry.next_us, entry.name).limit(limit)).all()
        return tuple(Upcoming(row.name, row.next_us) for row in rows)

    def names(self, beginning: str, limit: int) -> tuple[str, ...]:
        """The names of entries that begin so, in order."""
        entry = self._tables.entry.c
        question = select(entry.name).where(entry.removed == 0)
        if beginning:
            question = question.where(entry.name.startswith(beginning, autoescape=True))
        with self._read() as conn:
            return tuple(conn.execute(question.order_by(entry.name).limit(limit)).scalars())

    def counts(self) -> Counts:
        """How much there is of what."""
        entry, batch = self._tables.entry.c, self._tables.batch.c
        numbers = select(func.count(), func.count(entry.next_us)).where(entry.removed == 0)
        with self._read() as conn:
            entries, upcoming = conn.execute(numbers).one()
            waiting = conn.execute(select(func.sum(batch.size)).where(batch.state == 1)).scalar_one()
        return Counts(entries=entries, upcoming=upcoming, open_firings=int(waiting or 0))

    def close(self) -> None:
        """Give connections back."""
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as conn:
                try:
                    yield conn
                except (OperationalError, ProgrammingError) as cause:
                    conn.rollback()
                    if not inspect(conn).has_table(self._tables.lease.name):
                        raise StoreDown(
                            "the store has no tables yet: no beat has run with it. Name another with --store, or start a beat."
                        ) from cause
                    raise
        except SQLAlchemyError as cause:
            reason = str(getattr(cause, "orig", None) or cause).strip().splitlines() or [type(cause).__name__]
            raise StoreDown(f"the store does not answer: {reason[0]}") from cause
