"""Transaction: the one way into the database, for the store and for those who work on its tables beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from .base import StoreDown


@contextmanager
def transaction(engine: Engine, *, write: bool = True) -> Iterator[Connection]:
    """Commit on leaving, roll back on any exception; what the driver raises becomes StoreDown."""
    with errors_as_store_down(), engine.connect() as conn:
        try:
            if write and engine.dialect.name == "sqlite":
                conn.exec_driver_sql("BEGIN IMMEDIATE")  # waits for the lock where nothing is lost yet
            yield conn
            conn.commit()
        except BaseException:
            conn.invalidate()  # a connection in doubt may hold a lock, or the answer to somebody else's question
            raise


@contextmanager
def errors_as_store_down() -> Iterator[None]:
    """Driver errors in here become StoreDown, in one line."""
    try:
        yield
    except SQLAlchemyError as cause:
        reason = str(getattr(cause, "orig", None) or cause).strip().splitlines() or [type(cause).__name__]
        raise StoreDown(f"the store does not answer: {reason[0]}") from cause
