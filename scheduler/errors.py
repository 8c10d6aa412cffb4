"""Errors of the scheduler: what was wrong, where it stands, and what to write instead. Other modules add their classes here."""

from __future__ import annotations


class BackbeatScheduleError(Exception):
    """Root of what the scheduler raises on purpose."""


class ScheduleError(BackbeatScheduleError, ValueError):
    """A schedule, a duration or a time zone that cannot be understood.

    `str()` is the whole sentence. For linters that print the parts on lines of their own, `message` says what is wrong and `help`
    what to write instead (it may be empty).
    """

    def __init__(self, message: str, *, help: str = "") -> None:
        joint = "; " if help.startswith("did you mean") else ". help: "
        super().__init__(f"{message}{joint}{help}" if help else message)
        self.message = message
        self.help = help


class StoreDown(BackbeatScheduleError):
    """The store could not be asked, or its answer was lost: what was asked may or may not have happened."""


class StoreRefused(BackbeatScheduleError):
    """The store can be reached and must not be used: a wrong address, or made by a newer backbeat."""
