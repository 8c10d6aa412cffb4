"""Schedules: when a periodic task runs, as Celery projects write it: `crontab(...)`, `schedule(...)`, `solar(...)`.

They are descriptions only. `app.conf.beat_schedule` and `app.add_periodic_task` take them (and numbers, timedeltas and Celery's own
objects); the beat gives them their meaning, and tells what is wrong with one, by the entry's name. A project that changes
`from celery.schedules import crontab` to `from backbeat.canvas.schedules import crontab` is done.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

__all__ = ["crontab", "maybe_schedule", "schedule", "solar"]

CronSpec = int | str | Iterable[int]
"""One field: a number, a text such as "*/15" or "mon-fri", or several numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class crontab:  # noqa: N801 - Celery's name
    """Times of the wall clock in the zone of `app.conf.timezone`; as in Celery both day fields must match.

    The order of the fields is Celery's, and not that of a crontab file. `nowfun` and `app` are accepted and have no effect.

    >>> crontab(minute=0, hour=9, day_of_week="mon-fri")
    crontab(minute=0, hour=9, day_of_week='mon-fri', day_of_month='*', month_of_year='*')
    """

    minute: CronSpec = "*"
    hour: CronSpec = "*"
    day_of_week: CronSpec = "*"
    day_of_month: CronSpec = "*"
    month_of_year: CronSpec = "*"

    def __init__(
        self,
        minute: CronSpec = "*",
        hour: CronSpec = "*",
        day_of_week: CronSpec = "*",
        day_of_month: CronSpec = "*",
        month_of_year: CronSpec = "*",
        *,
        nowfun: Any = None,
        app: Any = None,  # noqa: ARG002 - Celery's signature
    ) -> None:
        if nowfun is not None:
            text = "crontab(nowfun=...) has no effect: the zone is app.conf.timezone"
            warnings.warn(text, UserWarning, stacklevel=2)
        given = {
            "minute": minute,
            "hour": hour,
            "day_of_week": day_of_week,
            "day_of_month": day_of_month,
            "month_of_year": month_of_year,
        }
        for name, value in given.items():
            object.__setattr__(self, name, _frozen(value))

    def _spelt(self) -> tuple[Any, ...]:
        """The fields, a number as it is written in a text: 0 and "0" are the same."""
        fields = (self.minute, self.hour, self.day_of_week, self.day_of_month, self.month_of_year)
        return tuple(str(field) if isinstance(field, int) else field for field in fields)

    def __eq__(self, other: object) -> bool:
        return self._spelt() == other._spelt() if isinstance(other, crontab) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._spelt())

    @classmethod
    def from_string(cls, expression: str) -> crontab:
        """The five fields in the order of a crontab file: "minute hour day month weekday". Raises ValueError for another number."""
        fields = expression.split()
        if len(fields) != 5:  # noqa: PLR2004 - see the docstring
            raise ValueError(f"{expression!r} has {len(fields)} fields, expected 5")
        minute, hour, day_of_month, month_of_year, day_of_week = fields
        return cls(minute, hour, day_of_week, day_of_month, month_of_year)


@dataclass(frozen=True, slots=True)
class schedule:  # noqa: N801 - Celery's name
    """Every `run_every` (seconds or a timedelta); `relative` means at whole days, hours or minutes of the wall clock."""

    run_every: float | timedelta
    relative: bool = False


@dataclass(frozen=True, slots=True)
class solar:  # noqa: N801 - Celery's name
    """An event of the sun (sunrise, sunset, solar_noon, dawn_civil ...) at a place, in degrees north and east."""

    event: str
    lat: float
    lon: float


def _frozen(value: CronSpec) -> CronSpec:
    """Several numbers as a tuple: a set or a list could change later."""
    if isinstance(value, int | str):
        return value
    return tuple(sorted(value)) if isinstance(value, set | frozenset) else tuple(value)


def maybe_schedule(s: Any, relative: bool = False, app: Any = None) -> Any:  # noqa: ARG001 - Celery's signature
    """Seconds and timedeltas as a schedule; anything else as it is."""
    return schedule(s, relative) if isinstance(s, int | float | timedelta) else s
