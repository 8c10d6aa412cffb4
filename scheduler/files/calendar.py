"""Calendar: named days of the top level, such as holidays, that `except:` leaves out.

PURE. A calendar is a list of dates here, or the name of an .ics file; the file is read by reading.py and understood by ics.py.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf

from .local_time import date_text
from .node import Node, Scalar, Sequence
from .problem import Fault, quoted
from .value import text

Days = tuple[str, ...]
"""Dates, 2026-12-25, sorted."""
Calendars = MappingOf[str, Days | Fault]
"""Days by name; a calendar that could not be read stands as its Fault."""
MOST_DAYS = 10_000
_HELP = "write a list of dates, [2026-12-25, 2027-01-01], or the name of an .ics file"


def read_calendar(node: Node, key: str) -> Days | None:
    """The days of a calendar that is written as a list of dates; None for one that names a file. Raises Fault."""
    if isinstance(node, Sequence):
        if not node.items:
            raise Fault(node.place, "E112", f"{key} is an empty list", help=_HELP)
        if len(node.items) > MOST_DAYS:
            raise Fault(node.place, "E112", f"{key} has more than {MOST_DAYS:,} days", help="use fewer years")
        return tuple(sorted({date_text(item, key) for item in node.items}))
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.lower().endswith(".ics"):
        return None
    raise Fault(node.place, "E111", f"{key} must be a list of dates or the name of an .ics file", help=_HELP)


def days_of(node: Node, calendars: Calendars) -> Days:
    """The days of the calendar that `node` names. Raises Fault E194 if there is none, or the calendar's own."""
    name = text(node, "calendar")
    found = calendars.get(name)
    if found is None:
        known = ", ".join(sorted(calendars)[:10])
        hint = f"known are {known}" if known else "write it under calendars:, at the top of a file"
        raise Fault(node.place, "E194", f"calendar {quoted(name)} is not defined", help=hint)
    if isinstance(found, Fault):
        raise found
    return found
