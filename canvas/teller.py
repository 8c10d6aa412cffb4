"""Teller: how a job that runs in this thread says something of itself before it ends; a pool that has a way for that lends it to the job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .json_text import Json

Tell = Callable[[str, Json], bool]
"""Takes a state and a value; False if it cannot be passed on this way."""
_current: ContextVar[Tell | None] = ContextVar("backbeat_teller", default=None)


@contextmanager
def telling(tell: Tell) -> Iterator[None]:
    """Lend it to the job that runs in the block."""
    token = _current.set(tell)
    try:
        yield
    finally:
        _current.reset(token)


def teller() -> Tell | None:
    """What was lent to the job that runs here, if anything was."""
    return _current.get()
