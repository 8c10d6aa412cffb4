"""`backbeat explain`: a schedule in words, its next runs, and what clock changes will do to it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...canvas.cli import Options
from .entries import iso, shown_entries
from .files import files_option

if TYPE_CHECKING:
    from ..entry import Entry
    from ..schedule import DayMatch, Dst, Schedule

_HASHED = re.compile(r"(?:^|[\s,])H(?![A-Z])", re.IGNORECASE)
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
@click.pass_obj
def explain(
    options: Options, what: str, files: tuple[Path, ...], tz: str, dst: str, day_match: str, count: int
) -> None:
    """Explain WHAT: a cron expression such as "30 2 * * 1-5", an @word, or the name of a schedule."""
    from ..clock_note import clock_notes
    from ..entry import Entry
    from ..schedule import DayMatch, Dst
    from ..words import in_words
    from ..zone import zone_named

    what = what.strip()
    remarks = []
    if " " in what or what.startswith("@"):
        when = _when(what, tz, Dst(dst), DayMatch(day_match))
        entry, zone = Entry(name=what, when=when, what={}), tz
        remarks = _remarks(what)
    else:
        (entry,) = shown_entries(options, files).named([what])
        zone = getattr(entry.when, "timezone", "UTC")
    now_us = time.time_ns() // 1000
    shown_in = zone_named(zone)
    fires = [iso(each, shown_in) for each in _next(entry, now_us, count)]
    notes = clock_notes(entry.when, now_us, now_us + YEAR_US)
    data = {
        "words": in_words(entry.when),
        "zone": zone,
        "next": fires,
        "clock_changes": [{"at": iso(note.at_us, shown_in), "text": note.text} for note in notes],
    }
    lines = [f"{what}: {data['words']}", *remarks, "", f"next ({zone}):", *(f"  {each}" for each in fires)]
    if not fires:
        lines.append("  never again")
    if notes:
        lines += ["", "clock changes in the next year:"]
        lines += [f"  {iso(note.at_us, shown_in)}  {note.text}" for note in notes]
    options.show(data, "\n".join(lines))


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
    fire_us = entry.next_after(now_us)
    while fire_us is not None and len(found) < count:
        found.append(fire_us)
        fire_us = entry.next_after(fire_us)
    return found
