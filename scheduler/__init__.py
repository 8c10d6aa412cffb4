"""backbeat.scheduler: decides when tasks run. It stands on backbeat.canvas, which decides what runs next.

The public names are loaded on first use, so that a command pays only for what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .entry import CatchUp as CatchUp
    from .entry import Entry as Entry
    from .schedule import Clocked as Clocked
    from .schedule import Crontab as Crontab
    from .schedule import Interval as Interval
    from .schedule import next_fires as next_fires

_HOME = {
    "CatchUp": "entry",
    "Clocked": "schedule",
    "Crontab": "schedule",
    "Entry": "entry",
    "Interval": "schedule",
    "next_fires": "schedule",
}
__all__ = ["CatchUp", "Clocked", "Crontab", "Entry", "Interval", "next_fires"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
