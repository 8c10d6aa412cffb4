"""`backbeat next`: when schedules fire next."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...canvas.cli import Options
from ..errors import ScheduleError
from .files import chosen_files, files_option

if TYPE_CHECKING:
    from ..entry import Entry


@click.command("next")
@click.argument("names", nargs=-1)
@files_option
@click.option("-n", "--count", default=5, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--tz", help="Show times in this zone; default: UTC.")
@click.pass_obj
def upcoming(
    options: Options, names: tuple[str, ...], files: tuple[Path, ...], count: int, tz: str | None
) -> None:
    """Print the next fire times of all schedules, or of those that are named."""
    from ..files import load
    from ..zone import zone_named

    zone = zone_named(tz) if tz else UTC
    entries: dict[str, Entry] = {}
    for path in chosen_files(files):
        loaded = load(path, os.environ)
        if not loaded.is_applicable:
            raise ScheduleError("\n".join(problem.render() for problem in loaded.problems))
        entries |= {entry.name: entry for entry in loaded.entries}
    for name in names:
        if name not in entries:
            raise ScheduleError(
                f"there is no schedule {name!r}; there are: {', '.join(sorted(entries)) or 'none'}"
            )
    rows = []
    for entry in entries.values():
        if not entry.enabled or (names and entry.name not in names):
            continue
        fire_us = int(datetime.now(UTC).timestamp() * 1_000_000)
        for _ in range(count):
            following = entry.next_after(fire_us)
            if following is None:
                break
            fire_us = following
            rows.append((fire_us, entry.name))
    shown = [(datetime.fromtimestamp(us / 1_000_000, zone).isoformat(), name) for us, name in sorted(rows)]
    options.show(
        [{"at": at, "schedule": name} for at, name in shown], "\n".join(f"{at}  {name}" for at, name in shown)
    )
