"""Spent: schedules that never fire again.

PURE: the date comes in. A one-off time in the past, an `end:` that has come, a year that is over: not an error, as a file may keep
what it has done, but hardly what somebody wants who writes it. Called by `backbeat check` only, as gap.py is.
"""

from __future__ import annotations

from collections.abc import Iterable

from .definition import Definition
from .problem import Fault, Problem


def spent_warnings(definitions: Iterable[Definition], now_us: int) -> list[Problem]:
    """W185 for each enabled schedule that has no fire time after `now_us`."""
    return [
        Problem.of(_fault(definition), definition.entry.name)
        for definition in definitions
        if definition.entry.enabled and definition.entry.next_after(now_us) is None
    ]


def _fault(definition: Definition) -> Fault:
    return Fault(
        definition.keys.place,
        "W185",
        "it has no fire time left: it never fires again",
        help="write a later time, or `enabled: false` to keep it",
    )
