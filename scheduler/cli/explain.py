"""`backbeat explain`: a schedule in words, its next runs, and what clock changes will do to it."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...canvas.cli import Options
from .entries import iso, shown_entries
from .files import files_option

if TYPE_CHECKING:
    from ..entry import Entry
    from ..errors import ScheduleError
    from ..schedule import DayMatch, Dst, Schedule

_HASHED = re.compile(r"(?:^|[\s,])H(?![A-Z])", re.IGNORECASE)
_CRON_LIKE = re.compile(r"[\d*?@H]")
YEAR_US = 366 * 86_400 * 1_000_000


@click.command()
@click.argument("what")
@files_option
@click.option("--tz", default="UTC", show_default=True, help="Zone of an expression; a schedule has its own.")
@click.option(
    "--dst",
    type=click.Choice(["once", "skip", "twice"]),
    default="once",
    show_default=True,
    help="For an expression.",
)
@click.option("--day-match", type=click.Choice(["any", "all"]), default="any", show_default=True)
@click.option("-n", "--count", default=5, show_default=True, type=click.IntRange(1, 1_000))
@click.option("--from-store", is_flag=True, help="A schedule of the store that --store names.")
@click.pass_obj
def explain(
    options: Options,
    what: str,
    files: tuple[Path, ...],
    tz: str,
    dst: str,
    day_match: str,
    count: int,
    from_store: bool,
) -> None:
    """Explain WHAT: a cron expression such as "30 2 * * 1-5", an @word, or the name of a schedule."""
    from ..clock_note import clock_notes
    from ..entry import Entry
    from ..errors import ScheduleError
    from ..schedule import DayMatch, Dst
    from ..words import in_words
    from ..zone import zone_named

    what = what.strip()
    when, refused = None, None
    if not from_store and (" " in what or what.startswith("@")):
        try:
            when = _when(what, tz, Dst(dst), DayMatch(day_match))
        except ScheduleError as error:
            refused = error  # it may be a name
    if when is not None:
        entry, zone, remarks = Entry(name=what, when=when, what={}), tz, _remarks(what)
    else:
        entry = _scheduled(options, files, what, refused, from_store=from_store)
        zone, remarks = _zone_of(entry.when) or "UTC", _limits(entry)
    now_us = time.time_ns() // 1000
    shown_in = zone_named(zone)
    fires = [iso(each, shown_in) for each in _next(entry, now_us, count)] if entry.enabled else []
    notes = clock_notes(entry.when, now_us, now_us + YEAR_US)
    data = {
        "words": in_words(entry.when),
        "zone": zone,
        "next": fires,
        "clock_changes": [{"at": iso(note.at_us, shown_in), "text": note.text} for note in notes],
    }
    lines = [f"{what}: {data['words']}", *remarks, "", f"next ({zone}):", *(f"  {each}" for each in fires)]
    if not fires:
        lines.append("  never again" if entry.enabled else "  not while it is disabled")
    if notes:
        lines += ["", "clock changes in the next year:"]
        lines += [f"  {iso(note.at_us, shown_in)}  {note.text}" for note in notes]
    options.show(data, "\n".join(lines))


def _scheduled(
    options: Options, files: tuple[Path, ...], name: str, refused: ScheduleError | None, *, from_store: bool
) -> Entry:
    """The schedule of this name, with the runs that it has left. Raises ScheduleError: `refused`, if there is none and it was read as an expression."""
    from ..errors import ScheduleError

    try:
        shown = shown_entries(options, files, from_store=from_store)
    except ScheduleError as unread:  # of two faults the one of what this looks like
        raise refused if refused and _CRON_LIKE.match(name) else unread from None
    try:
        (entry,) = shown.named([name])
    except ScheduleError as unknown:
        raise refused or unknown from None
    runs = shown.runs.get(name, 0)
    return entry if entry.max_runs is None else replace(entry, max_runs=max(0, entry.max_runs - runs))


def _zone_of(when: Schedule) -> str | None:
    """The first zone that a schedule, or a part of it, is written in."""
    zone: str | None = getattr(when, "timezone", None)
    parts = [*getattr(when, "schedules", ()), *([when.when] if hasattr(when, "when") else [])]
    return zone or next((found for part in parts if (found := _zone_of(part)) is not None), None)


def _limits(entry: Entry) -> list[str]:
    """What else says when it fires."""
    from ..words import length_in_words

    found = []
    if entry.max_runs is not None:
        found.append(f"  at most {entry.max_runs} times from now")
    if entry.jitter_us:
        found.append(
            f"  each up to {length_in_words(timedelta(microseconds=entry.jitter_us))} later (jitter)"
        )
    if entry.spread_us is None:
        found.append("  each at the place in its period that its name gives it (spread)")
    elif entry.spread_us:
        found.append("  each at the place in its spread that its name gives it")
    return found


def _when(expression: str, zone: str, dst: Dst, day_match: DayMatch) -> Schedule:
    """What a file would make of `cron:` with this text. Raises ScheduleError."""
    from ..schedule import Crontab, Interval, every_word

    every = every_word(expression)
    if every is not None:
        return Interval(every=every)
    fields = len(expression.split())
    return Crontab(
        expression=expression,
        timezone=zone,
        dst=dst,
        day_match=day_match,
        fields=fields if fields in (6, 7) else 5,
        hash_key="explain",
    )


def _remarks(expression: str) -> list[str]:
    """What is another matter in a file."""
    fields = len(expression.split())
    remarks = []
    if fields in (6, 7):
        remarks.append(f"  with the seconds in front: in a file this needs cron_fields: {fields}")
    if _HASHED.search(expression):
        remarks.append(
            "  H is drawn from the name of the schedule that has it: there it is another value than here"
        )
    return remarks


def _next(entry: Entry, now_us: int, count: int) -> list[int]:
    found: list[int] = []
    count = count if entry.max_runs is None else min(count, entry.max_runs)
    fire_us = entry.next_after(now_us)
    while fire_us is not None and len(found) < count:
        found.append(fire_us)
        fire_us = entry.next_after(fire_us)
    return found
