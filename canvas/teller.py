"""Teller: how a job that runs in this thread says something of itself before it ends; a pool that has a way for that lends it to the job."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from .json_text import Json

Tell = Callable[[str, Json], bool]
"""Takes a state and a value; False if it cannot be passed on this way."""
_current: ContextVar[Tell | None] = ContextVar("backbeat_teller", default=None)


class telling:  # noqa: N801 - used as what contextlib has, which costs a microsecond for each task
    """Lend `tell` to the job that runs in the block."""

    __slots__ = ("_tell", "_token")

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def __enter__(self) -> None:
        self._token = _current.set(self._tell)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def teller() -> Tell | None:
    """What was lent to the job that runs here, if anything was."""
    return _current.get()
