"""`backbeat simulate`: a span of time played through: what will be sent when, and how the load lies."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...canvas.cli import Options
from .completing import names_argument
from .entries import Shown, instant_us, iso, shown_entries
from .files import files_option

if TYPE_CHECKING:
    from ..preview import Load, Occurrence

WIDTH, HEIGHT = 72, 8
BLOCKS = " ▁▂▃▄▅▆▇█"
MOST_LINES = 200


@click.command()
@names_argument()
@files_option
@click.option("--from-store", is_flag=True, help="The schedules of the store, in place of files.")
@click.option("--from", "start", default="now", show_default=True, help="2026-12-01T03:00, now, +2h.")
@click.option("--to", "end", default="+1d", show_default=True, help="The same.")
@click.option("--tz", help="Show and read times in this zone; default: UTC.")
@click.option("--cluster", default=None, help="Name under which firings get their ids; default: the app's.")
@click.option("--lines/--no-lines", default=True, help="Each occurrence, or the chart alone.")
@click.option("--ledger", is_flag=True, help="As JSON lines, one for each row of the ledger.")
@click.pass_obj
def simulate(
    options: Options,
    names: tuple[str, ...],
    files: tuple[Path, ...],
    from_store: bool,
    start: str,
    end: str,
    tz: str | None,
    cluster: str | None,
    lines: bool,
    ledger: bool,
) -> None:
    """Play a span of time through: every occurrence with jitter, blackouts, clock changes and limits, and the load by the minute.

    It is what a beat that runs without a break writes into its ledger. How long runs take is not known, so overlap is not applied.
    """
    from ..errors import ScheduleError
    from ..preview import load_of, occurrences
    from ..zone import zone_named

    zone = zone_named(tz) if tz else UTC
    shown = shown_entries(options, files, from_store=from_store)
    from_us, to_us = instant_us(start, zone), instant_us(end, zone)
    if to_us <= from_us:
        raise ScheduleError(f"--to {end} is not later than --from {start}")
    if cluster is None:
        cluster = options.load_app().cluster if options.app else "backbeat"
    coming = occurrences(shown.coming(names), from_us, to_us, cluster=cluster, runs=shown.runs)
    if ledger:
        for each in coming:
            click.echo(ledger_line(each))
        return
    found = list(coming)
    load = load_of(found)
    if options.as_json:
        options.show(_data(found, load, zone), "")
        return
    if lines:
        _print_lines(found, zone)
    click.echo("\n".join(_chart(load, from_us, to_us, zone)))
    for text in _notes(shown, names, from_us, to_us, zone):
        click.echo(text)


def ledger_line(occurrence: Occurrence) -> str:
    """One occurrence as a row of the ledger: the same text for the same firing, whoever writes it."""
    return json.dumps(
        {
            "due_us": occurrence.fire_us,
            "entry": occurrence.entry,
            "kind": "regular",
            "task_id": None if occurrence.skipped else occurrence.task_id,
            "send_us": None if occurrence.skipped else occurrence.send_us,
            "skipped": occurrence.skipped or None,
        },
        separators=(",", ":"),
    )


def _data(found: list[Occurrence], load: Load, zone: tzinfo) -> dict[str, object]:
    minute, number = load.peak
    return {
        "occurrences": [
            {
                "at": iso(each.fire_us, zone),
                "schedule": each.entry,
                "sent_at": None if each.skipped else iso(each.send_us, zone),
                "skipped": each.skipped or None,
                "task_id": each.task_id,
            }
            for each in found
        ],
        "messages": load.total,
        "busiest_minute": iso(minute, zone) if number else None,
        "messages_in_it": number,
    }


def _print_lines(found: list[Occurrence], zone: tzinfo) -> None:
    for each in found[:MOST_LINES]:
        held = (
            f"  sent {iso(each.send_us, zone)}" if each.send_us != each.fire_us and not each.skipped else ""
        )
        skipped = f"  skipped: {each.skipped}" if each.skipped else ""
        click.echo(f"{iso(each.fire_us, zone)}  {each.entry}{held}{skipped}")
    if len(found) > MOST_LINES:
        click.echo(f"... and {len(found) - MOST_LINES:,} more (--json or --ledger shows all)")
    click.echo("")


def _chart(load: Load, from_us: int, to_us: int, zone: tzinfo) -> Iterable[str]:
    """The busiest minute of each column, as bars of eighths."""
    minute, peak = load.peak
    if not peak:
        yield "nothing is sent in this span"
        return
    per_column, columns = load.columns(from_us, to_us, WIDTH)
    of = "minute" if per_column == 1 else f"{per_column} minutes"
    yield f"messages a minute (a column is {of}, its busiest minute counts)"
    for row in range(HEIGHT, 0, -1):
        eighths = [round(number / peak * HEIGHT * 8) - (row - 1) * 8 for number in columns]
        label = f"{peak * row / HEIGHT:>8,.0f}" if row in (HEIGHT, HEIGHT // 2) else " " * 8
        yield f"{label} |" + "".join(BLOCKS[min(8, max(0, each))] for each in eighths).rstrip()
    yield " " * 9 + "+" + "-" * len(columns)
    yield f"{'':9} {iso(from_us, zone)[:16]}{iso(to_us, zone)[:16]:>{max(17, len(columns) - 16)}}"
    yield f"{load.total:,} messages; the busiest minute is {iso(minute, zone)[:16]} with {peak:,}"


def _notes(shown: Shown, names: tuple[str, ...], from_us: int, to_us: int, zone: tzinfo) -> Iterable[str]:
    from ..clock_note import clock_notes
    from ..entry import Overlap

    for entry in shown.named(names):
        for note in clock_notes(entry.when, from_us, to_us):
            yield f"clock change: {iso(note.at_us, zone)} ({note.zone}) {entry.name}: {note.text}"
        if entry.overlap is not Overlap.ALLOW:
            yield f"note: {entry.name}: overlap: {entry.overlap.value} depends on how long its runs take and is not applied here"
