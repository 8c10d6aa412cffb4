"""backbeat.scheduler: decides when tasks run. It stands on backbeat.canvas, which decides what runs next.

The public names are loaded on first use, so that a command pays only for what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .entry import CatchUp as CatchUp
    from .entry import Delivery as Delivery
    from .entry import Entry as Entry
    from .entry import Overlap as Overlap
    from .schedule import AnyOf as AnyOf
    from .schedule import Clocked as Clocked
    from .schedule import Crontab as Crontab
    from .schedule import CronWindow as CronWindow
    from .schedule import DailyWindow as DailyWindow
    from .schedule import DaysWindow as DaysWindow
    from .schedule import Dst as Dst
    from .schedule import Except as Except
    from .schedule import Interval as Interval
    from .schedule import Months as Months
    from .schedule import OnExcept as OnExcept
    from .schedule import RRule as RRule
    from .schedule import Solar as Solar
    from .schedule import SpanWindow as SpanWindow
    from .schedule import next_fires as next_fires
    from .schedules import Schedules as Schedules

_HOME = {
    "AnyOf": "schedule",
    "CatchUp": "entry",
    "Clocked": "schedule",
    "Crontab": "schedule",
    "CronWindow": "schedule",
    "DailyWindow": "schedule",
    "DaysWindow": "schedule",
    "Delivery": "entry",
    "Dst": "schedule",
    "Entry": "entry",
    "Except": "schedule",
    "Interval": "schedule",
    "Months": "schedule",
    "OnExcept": "schedule",
    "Overlap": "entry",
    "RRule": "schedule",
    "Schedules": "schedules",
    "Solar": "schedule",
    "SpanWindow": "schedule",
    "next_fires": "schedule",
}
__all__ = [
    "AnyOf",
    "CatchUp",
    "Clocked",
    "CronWindow",
    "Crontab",
    "DailyWindow",
    "DaysWindow",
    "Delivery",
    "Dst",
    "Entry",
    "Except",
    "Interval",
    "Months",
    "OnExcept",
    "Overlap",
    "RRule",
    "Schedules",
    "Solar",
    "SpanWindow",
    "next_fires",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
