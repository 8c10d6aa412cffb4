"""Blackout: the windows of `except:`, in which a schedule does not fire.

PURE. Each item is one of: a cron expression, every time of which is out; `from` and `to`, a span of local time or, as times of
day, a part of each day; a calendar, each of whose days is out whole.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import ScheduleError
from ..schedule import Blackout, CronWindow, DailyWindow, DaysWindow, SpanWindow
from .calendar import Calendars, days_of
from .local_time import is_time_of_day
from .node import Mapping, Node, Sequence
from .problem import Fault
from .step import only_one
from .timing import Timing, expressions, read_crontab, read_zone
from .value import mapping, schedule_fault, text
from .vocabulary import EXCEPT, check_keys

MOST_WINDOWS = 100
_HELP = 'write `- {from: "22:00", to: "06:00"}`, `- {cron: "* 2 * * *"}` or `- {calendar: holidays}`'


def read_blackouts(node: Node, timing: Timing, calendars: Calendars) -> tuple[Blackout, ...]:
    """The windows of `except:`, which is one mapping or a list of them. Raises Fault."""
    items = node.items if isinstance(node, Sequence) else (node,)
    if not 1 <= len(items) <= MOST_WINDOWS:
        raise Fault(
            node.place, "E112", f"except must have from 1 to {MOST_WINDOWS} windows, found {len(items)}"
        )
    found: list[Blackout] = []
    for position, item in enumerate(items, start=1):
        try:
            found += _windows(mapping(item, "a window", help=_HELP), timing, calendars)
        except Fault as fault:
            raise fault.inside(f"except, window {position}" if len(items) > 1 else "except") from fault
    return tuple(found)


def _windows(own: Mapping, timing: Timing, calendars: Calendars) -> list[Blackout]:
    check_keys(own, EXCEPT)
    kind = only_one(own, ("cron", "from", "calendar"))
    zone = own.get("timezone")
    # a window has the schedule's zone, and no other detail of its times
    around = replace(timing, keys=own, zone=timing.zone if zone is None else read_zone(zone))
    if kind != "from" and own.get("to") is not None:
        raise Fault(own.pairs["to"].key.place, "E132", "to has no from", help="add from:")
    node = own.pairs[kind].value if kind else own
    try:
        match kind:
            case "cron":
                crontabs = [read_crontab(item, expression, around) for item, expression in expressions(node)]
                return [CronWindow(crontab=crontab) for crontab in crontabs]
            case "from":
                return [_span(own, around)]
            case "calendar":
                return [DaysWindow(days=days_of(node, calendars), timezone=around.zone)]
            case _:
                raise Fault(own.place, "E132", "a window says nothing", help=_HELP)
    except ScheduleError as error:
        raise schedule_fault(node, "E182", error) from error


def _span(own: Mapping, timing: Timing) -> Blackout:
    start, end = own.pairs["from"].value, own.get("to")
    if end is None:
        raise Fault(own.pairs["from"].key.place, "E132", "from has no to", help="add to:")
    written = text(start, "from", 100), text(end, "to", 100)
    daily = [is_time_of_day(each) for each in written]
    if all(daily):
        if written[0] == written[1]:
            raise Fault(end.place, "E182", "from and to are the same: nothing is left out, or everything")
        return DailyWindow(start=written[0], end=written[1], timezone=timing.zone)
    if any(daily):
        raise Fault(
            end.place,
            "E161",
            "from and to must both be local times, or both times of day",
            help='write `{from: 2026-12-24T18:00, to: 2026-12-27T06:00}` or `{from: "22:00", to: "06:00"}`',
        )
    span = timing.local_us(start, "from"), timing.local_us(end, "to")
    if span[1] <= span[0]:
        raise Fault(end.place, "E182", "to does not lie after from", help="write a later to:")
    return SpanWindow(from_us=span[0], to_us=span[1])
