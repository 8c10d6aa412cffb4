"""`backbeat explain`: a schedule in words, its next runs, and what clock changes will do to it."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...canvas.cli import Options
from .completing import schedule_names
from .entries import Shown, iso, shown_entries
from .files import files_option
from .wording import canvas_lines

if TYPE_CHECKING:
    from ..entry import Entry
    from ..errors import ScheduleError
    from ..schedule import DayMatch, Dst, Schedule

_HASHED = re.compile(r"(?:^|[\s,])H(?![A-Z])", re.IGNORECASE)
_CRON_LIKE = re.compile(r"[\d*?@H]")
FAR_US = 1000 * 366 * 86_400 * 1_000_000
YEAR_US = 366 * 86_400 * 1_000_000


@click.command()
@click.argument("what", shell_complete=schedule_names)
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
    from ..preview import occurrences
    from ..schedule import DayMatch, Dst
    from ..words import in_words
    from ..work_words import work_text
    from ..zone import zone_named

    what, now_us = what.strip(), time.time_ns() // 1000
    when, refused = None, None
    if not from_store and (" " in what or what.startswith("@")):
        try:
            when = _when(what, tz, Dst(dst), DayMatch(day_match))
        except ScheduleError as error:
            refused = error  # it may be a name
    if when is not None:
        entry, zone, remarks = Entry(name=what, when=when, what={}), tz, _remarks(what)
        coming = occurrences([entry], now_us, now_us + FAR_US)
    else:
        shown = _shown(options, files, what, refused, from_store=from_store)
        (entry,) = shown.named([what])
        coming = occurrences(shown.coming([what]), now_us, now_us + FAR_US, runs=shown.runs)
        if entry.max_runs is not None:
            entry = replace(entry, max_runs=max(0, entry.max_runs - shown.runs.get(what, 0)))
        zone, remarks = _zone_of(entry.when) or "UTC", _limits(entry)
    shown_in = zone_named(zone)
    fires = [iso(each.fire_us, shown_in) for each in islice(coming, count)]
    notes = clock_notes(entry.when, now_us, now_us + YEAR_US)
    data = {
        "words": in_words(entry.when),
        "what": work_text(entry.what),
        "zone": zone,
        "next": fires,
        "clock_changes": [{"at": iso(note.at_us, shown_in), "text": note.text} for note in notes],
    }
    work = canvas_lines(entry.what, "  sends a ")
    lines = [
        f"{what}: {data['words']}",
        *remarks,
        *work,
        "",
        f"next ({zone}):",
        *(f"  {each}" for each in fires),
    ]
    if not fires:
        lines.append("  never again" if entry.enabled else "  not while it is disabled")
    if notes:
        lines += ["", "clock changes in the next year:"]
        lines += [f"  {iso(note.at_us, shown_in)}  {note.text}" for note in notes]
    options.show(data, "\n".join(lines))


def _shown(
    options: Options, files: tuple[Path, ...], name: str, refused: ScheduleError | None, *, from_store: bool
) -> Shown:
    """What has a schedule of this name. Raises ScheduleError: `refused`, if there is none and it was read as an expression."""
    from ..errors import ScheduleError

    try:
        shown = shown_entries(options, files, from_store=from_store)
    except ScheduleError as unread:  # of two faults the one of what this looks like
        raise refused if refused and _CRON_LIKE.match(name) else unread from None
    try:
        shown.named([name])
    except ScheduleError as unknown:
        raise refused or unknown from None
    return shown


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
    found += _told(entry)
    if entry.spread_us is None:
        found.append("  each at the place in its period that its name gives it (spread)")
    elif entry.spread_us:
        found.append("  each at the place in its spread that its name gives it")
    return found


def _told(entry: Entry) -> list[str]:
    """Who hears of it from a beat; what workers tell stands with what is sent."""
    from ..work_words import place_of

    found = []
    if entry.webhook_url and entry.webhook_on:
        found.append(f"  tells {place_of(entry.webhook_url)} what is {', '.join(entry.webhook_on)}")
    if entry.ping_start:
        found.append(f"  asks for {place_of(entry.ping_start)} when it was sent (start)")
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
