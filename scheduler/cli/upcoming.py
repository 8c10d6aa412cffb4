"""`backbeat next`: when schedules fire next."""

from __future__ import annotations

from datetime import UTC
from itertools import islice
from pathlib import Path

import click

from ...canvas.cli import Options
from .completing import names_argument
from .entries import instant_us, iso, shown_entries
from .files import files_option

FAR_US = 100 * 366 * 86_400 * 1_000_000


@click.command("next")
@names_argument()
@files_option
@click.option("--from-store", is_flag=True, help="The schedules of the store, in place of files.")
@click.option(
    "-n", "--count", default=5, show_default=True, type=click.IntRange(1, 10_000), help="Of each schedule."
)
@click.option("--from", "start", default="now", show_default=True, help="2026-12-01T03:00, now, +2h.")
@click.option("--until", help="The same.")
@click.option("--tz", help="Show and read times in this zone; default: UTC.")
@click.pass_obj
def upcoming(
    options: Options,
    names: tuple[str, ...],
    files: tuple[Path, ...],
    count: int,
    tz: str | None,
    from_store: bool = False,
    start: str = "now",
    until: str | None = None,
) -> None:
    """Print the next fire times of all schedules, or of those that are named."""
    from ..entry import is_canvas
    from ..preview import Occurrence, occurrences
    from ..work_words import work_text
    from ..zone import zone_named

    zone = zone_named(tz) if tz else UTC
    shown = shown_entries(options, files, from_store=from_store)
    from_us = instant_us(start, zone)
    to_us = instant_us(until, zone) if until else from_us + FAR_US
    rows: list[Occurrence] = []
    for entry in shown.named(names):
        coming = occurrences(shown.coming([entry.name]), from_us, to_us, runs=shown.runs)
        rows += islice(coming, count)
    rows.sort(key=lambda each: (each.fire_us, each.entry))
    canvases = {
        entry.name: {"canvas": work_text(entry.what)}
        for entry in shown.entries.values()
        if is_canvas(entry.what)
    }
    data = [
        {"at": iso(each.fire_us, zone), "schedule": each.entry}
        | canvases.get(each.entry, {})
        | ({"sent_at": iso(each.send_us, zone)} if each.send_us != each.fire_us else {})
        | ({"skipped": each.skipped} if each.skipped else {})
        for each in rows
    ]
    none = "nothing fires"
    if not shown.entries:
        none = f"there are no schedules{' in the store' if from_store else ': name a file with -s, or an app with -A'}"
    options.show(data, "\n".join(_line(row) for row in data) or none)


def _line(row: dict[str, str]) -> str:
    sent = f"  (sent {row['sent_at']})" if "sent_at" in row else ""
    skipped = f"  (skipped: {row['skipped']})" if "skipped" in row else ""
    canvas = f"  {row['canvas']}" if "canvas" in row else ""
    return f"{row['at']}  {row['schedule']}{canvas}{sent}{skipped}"
